"""Optical flow: where each pixel of a frame was in another, and where that can be believed.

A flow is (2, H, W) float32: by how many rows and columns a pixel of one frame is away in the
other.  All this is on the host, once a frame, and OpenCV does the heavy part.

Ruder, Dosovitskiy and Brox, *Artistic Style Transfer for Videos* (2016), section 4; the flow is
Kroeger, Timofte, Dai and van Gool's, *Fast Optical Flow using Dense Inverse Search* (2016).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from nst import kernels
from nst.film import extra
from nst.objective import Warped
from nst.pictures import images

BACK = (1, 2, 4)  # frames: how far each frame looks back, nearest first


def grey(picture: np.ndarray) -> np.ndarray:
    """Return the luma of a picture (3, H, W) in [0, 1] as (H, W) uint8, which flow is found in."""
    luma = kernels.of(picture).luminance(picture)
    return images.as_uint8(luma[None])[:, :, 0]


def flow(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Return where each pixel of ``here`` is in ``there``, (2, H, W), by dense inverse search.

    Parameters
    ----------
    here, there : (H, W) uint8 arrays
        Luma, of 16 pixels a side or more.
    """
    cv2 = extra.opencv()
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)  # by itself it stops at half the size, and errs by twice as much
    with _on_one_thread():  # its result depends on their number
        found = search.calc(here, there, None)
    return np.ascontiguousarray(found[..., ::-1].transpose(2, 0, 1))  # OpenCV has columns first


def warp(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Return ``picture`` as seen from where ``flow`` begins: pixel p is ``picture[p + flow[p]]``.

    Between pixels it is interpolated by Lanczos' filter with four lobes, within [0, 1]; what would
    be beyond the border is the border.

    Parameters
    ----------
    picture : (C, H, W) or (H, W) float32 array
        In [0, 1], or any range where it is a flow.
    flow : (2, H, W) float32 array
        Rows and columns.
    """
    cv2 = extra.opencv()
    rows, columns = _places(flow)
    with _on_one_thread():
        warped = [
            cv2.remap(channel, columns, rows, cv2.INTER_LANCZOS4, None, cv2.BORDER_REPLICATE)
            for channel in picture
        ]
    return np.stack(warped).clip(0, 1)


def visible(backward: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """Return (H, W) of bool: which pixels of a frame are seen in the other one too.

    There and back again must end where it began: not if
    ``|w + v|**2 > 0.01 (|w|**2 + |v|**2) + 0.5`` (eq. 5), with v the ``backward`` flow, from here
    to there, and w the ``forward`` one where that ends; nor if it ends beyond the border.
    """
    rows, columns = _places(backward)
    cv2 = extra.opencv()
    with _on_one_thread():
        back = np.stack([cv2.remap(part, columns, rows, cv2.INTER_LINEAR) for part in forward])
    apart = _squares(back + backward)
    return inside(backward) & (apart <= 0.01 * (_squares(back) + _squares(backward)) + 0.5)


def inside(flow: np.ndarray) -> np.ndarray:
    """Return (H, W) of bool: where a flow leads to a pixel, and not beyond the border."""
    rows, columns = _places(flow)
    height, width = rows.shape
    across: np.ndarray = (rows >= 0) & (rows <= height - 1)
    return across & (columns >= 0) & (columns <= width - 1)


def moves_evenly(flow: np.ndarray) -> np.ndarray:
    """Return (H, W) of bool: where nothing moves past its neighbour.

    There is a motion edge where ``|grad u|**2 + |grad v|**2 > 0.01 |v|**2 + 0.002`` (eq. 6).
    """
    slopes = sum(_squares(np.stack(np.gradient(part))) for part in flow)
    return slopes <= 0.01 * _squares(flow) + 0.002


def remembered(
    now: np.ndarray, before: Sequence[tuple[np.ndarray, np.ndarray] | None], start: np.ndarray
) -> tuple[Warped, np.ndarray]:
    """Return what is known of a frame from those before it, and what to start painting it from.

    Parameters
    ----------
    now : (H, W) uint8 array
        The film's luma.
    before : sequence of (luma, painted) or None
        Of the frames at the distances BACK, nearest first: (H, W) uint8 and (3, H, W); None where
        the scene had not begun.
    start : (3, H, W) float32 array
        What to start from where no frame knows: the frame itself.

    Returns
    -------
    warped : Warped
        With ``c_k = max(c_k - sum of the nearer, 0)`` (eq. 10) the nearest frame that is certain
        of a pixel decides; as c is 0 or 1, so does one picture for all.
    begun : (3, H, W) float32 array
        The nearest frame that sees a pixel, certain or not; where none does, the last one moved:
        few steps paint less than there is in it, though it be of something else.
    """
    picture, begun = start.copy(), start
    certain = np.zeros(now.shape, bool)
    seen = np.zeros(now.shape, bool)
    for luma, painted in filter(None, before):
        backward = flow(now, luma)
        moved = warp(painted, backward)
        shown = visible(backward, flow(luma, now))
        known = shown & moves_evenly(backward)
        picture = np.where(known & ~certain, moved, picture)
        looked_at = inside(backward) if begun is start else shown & ~seen
        begun = np.where(looked_at, moved, begun)
        certain |= known
        seen |= shown
    return Warped(picture, certain.astype(np.float32)), begun


def flicker(
    now: np.ndarray, before: np.ndarray, backward: np.ndarray, certainty: np.ndarray
) -> float:
    """Return the mean of ``c |x_t - warp(x_{t-1})|`` of two frames (3, H, W)."""
    return float(np.mean(certainty * np.abs(now - warp(before, backward)), dtype=np.float64))


def _places(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and the column that each pixel's flow leads to, float32."""
    height, width = flow.shape[1:]
    rows = np.arange(height)[:, None] + flow[0]
    columns = np.arange(width)[None, :] + flow[1]
    return rows.astype(np.float32), columns.astype(np.float32)


def _squares(vectors: np.ndarray) -> np.ndarray:
    """Return the squared length of each pixel's vector, of (N, H, W)."""
    length: np.ndarray = np.sum(vectors * vectors, axis=0)
    return length


@contextmanager
def _on_one_thread() -> Iterator[None]:
    """Let OpenCV use one thread: so a film is painted alike on however many cores."""
    cv2 = extra.opencv()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
