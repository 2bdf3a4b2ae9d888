"""A film is gone through once before it is painted: how long it is, and where its scenes begin.

Whatever is wrong with it shows here, before hours are spent.  A scene ends where the next frame is
another picture altogether: what is left of the difference when the one is moved along the flow to
the other.  So a fast pan is no cut.
"""

from dataclasses import dataclass, field

import numpy as np

from nst.errors import NstError
from nst.film.clip import Clip, Frame
from nst.film.flow import flow, grey, warp
from nst.pictures import images
from nst.pictures.colour import colour_moments

CUT = 0.09  # mean difference of two frames, of white, that no motion explains
SIDE = 128  # pixels, the longer side, at which frames are looked at for cuts
SMALLEST = 16  # pixels, the least side that flow is found in


@dataclass(frozen=True)
class Scene:
    """Frames that go on from each other: from number ``start``, before ``stop``."""

    start: int
    stop: int
    reference: np.ndarray = field(repr=False)  # (3, h, w): its most colourful frame, small

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Survey:
    """What there is to a film."""

    height: int
    width: int
    pts: tuple[int, ...]  # of each frame, in the clip's time base
    durations: tuple[int, ...]
    scenes: tuple[Scene, ...]
    damaged: tuple[int, ...] = ()  # the numbers of frames that could not be decoded whole

    def __len__(self) -> int:
        return len(self.pts)


def survey(clip: Clip) -> Survey:
    """Go through all frames of a ``clip`` once, and return what there is.

    Raises NstError where a frame cannot be decoded, or is not of the size of the first.
    """
    pts, durations, scenes = list[int](), list[int](), list[Scene]()
    damaged = list[int]()
    size: tuple[int, ...] = ()
    small = before = np.empty(0)
    most = -1.0
    for frame in clip.frames():
        size = size or frame.picture.shape
        _check_size(clip, frame, size)
        pts.append(frame.pts)
        durations.append(frame.duration)
        damaged += [frame.number] if frame.damaged else []
        small, before = images.resize(frame.picture, *_small(*size[1:])), small
        spread = float(np.trace(colour_moments(small)[1]))
        if not scenes or is_cut(before, small):
            scenes.append(Scene(frame.number, frame.number + 1, small))
            most = spread
            continue
        reference = small if spread > most else scenes[-1].reference
        scenes[-1] = Scene(scenes[-1].start, frame.number + 1, reference)
        most = max(most, spread)
    if not scenes:
        raise NstError(f"{clip.name} has no frame; give a film that has.")
    times = tuple(pts), tuple(durations)
    return Survey(size[1], size[2], *times, tuple(scenes), tuple(damaged))


def is_cut(before: np.ndarray, after: np.ndarray) -> bool:
    """Return whether no motion leads from one small picture (3, H, W) to the other."""
    moved = warp(before, flow(grey(after), grey(before)))
    return float(np.abs(after - moved).mean()) > CUT


def _small(height: int, width: int) -> tuple[int, int]:
    rows, columns = images.fit(height, width, min(SIDE, max(height, width)))
    return max(SMALLEST, rows), max(SMALLEST, columns)


def _check_size(clip: Clip, frame: Frame, size: tuple[int, ...]) -> None:
    _, height, width = frame.picture.shape
    if (height, width) != size[1:]:
        raise NstError(
            f"frame {frame.number + 1} of {clip.name} is {width} x {height} pixels, and those "
            f"before it {size[2]} x {size[1]}; give a film of one size."
        )
