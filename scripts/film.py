"""What `nst video` brings, on a clip whose motion is known: flicker, and the work of a frame.

    python scripts/film.py --folder FOLDER

The clip is a photograph before a camera that turns and moves, and a card that passes before it.
It is painted as a film, and frame by frame; flicker is the mean of ``c |x_t - warp(x_{t-1})|``
along the true motion, c being 0 where something comes into sight.  Work is counted in evaluations
of the whole picture.  FOLDER keeps the frames, and strip.png shows them beside their differences.
"""

import argparse
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import nst
from nst import demo
from nst.film import extra
from nst.film.flow import flicker, warp
from nst.pictures import images

CARD = 0.3  # of the height: the side of the card
SHOWN = 0.8  # of the photograph's shorter side, or less: what the camera sees from top to bottom
EDGE = 4  # pixels around the card that are not counted: so far a warped pixel is made of both


@dataclass(frozen=True)
class Moment:
    """One frame of the clip, and where it was in the frame before."""

    picture: np.ndarray  # (3, H, W)
    backward: np.ndarray  # (2, H, W)
    certainty: np.ndarray  # (H, W)


def clip(photograph: np.ndarray, height: int, width: int, count: int) -> list[Moment]:
    """Return ``count`` frames of a moving camera and of a card that passes before it."""
    moments, (_, rows_there, columns_there) = [], photograph.shape
    longer = round(
        height / SHOWN * max(rows_there, columns_there) / min(rows_there, columns_there)
    )
    photograph = images.resize(photograph, *images.fit(rows_there, columns_there, longer))
    for t in range(count):
        seen, under = camera(t, height, width), card(t, height, width)
        picture = warp_to(photograph, seen)
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        place = inverse_camera(t - 1, height, width, seen)
        backward = np.stack([place[0] - rows, place[1] - columns])
        was_hidden = at(card(t - 1, height, width, EDGE).astype(np.float32), backward) > 0
        inside = (place[0] >= 0) & (place[0] <= height - 1)
        inside &= (place[1] >= 0) & (place[1] <= width - 1)
        known = inside & ~was_hidden & ~card(t, height, width, EDGE)
        speed = np.array(corner(t, height, width)) - corner(t - 1, height, width)
        backward = np.where(under, -speed[:, None, None], backward).astype(np.float32)
        known |= card(t, height, width, -EDGE)
        there = [
            (p - q) / 2.7 for p, q in zip((rows, columns), corner(t, height, width), strict=True)
        ]
        stripes = 0.55 + 0.2 * (np.sin(there[0] + there[1]) + np.sin(1.3 * there[0] - there[1]))
        colour = np.array([0.95, 0.75, 0.2], np.float32)[:, None, None]
        picture = np.where(under, colour * stripes, picture).astype(np.float32)
        moments.append(Moment(picture, backward, known.astype(np.float32)))
    return moments


def camera(t: int, height: int, width: int) -> np.ndarray:
    """Return the place in the photograph, (2, H, W) from -1 to 1, that each pixel shows."""
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    r, c = (rows - height / 2) / height, (columns - width / 2) / height
    turn, zoom = 0.004 * t, 0.9 - 0.003 * t
    place = zoom * np.stack(
        [r * math.cos(turn) - c * math.sin(turn), r * math.sin(turn) + c * math.cos(turn)]
    )
    return place + np.array([0.0041 * t, -0.0073 * t])[:, None, None]


def inverse_camera(t: int, height: int, width: int, place: np.ndarray) -> np.ndarray:
    """Return the pixel, (2, H, W), at which frame ``t`` shows each ``place``."""
    turn, zoom = 0.004 * t, 0.9 - 0.003 * t
    r, c = (place - np.array([0.0041 * t, -0.0073 * t])[:, None, None]) / zoom
    back = r * math.cos(turn) + c * math.sin(turn), c * math.cos(turn) - r * math.sin(turn)
    return np.stack([back[0] * height + height / 2, back[1] * height + width / 2])


def corner(t: int, height: int, width: int) -> tuple[float, float]:
    """Return the row and column of the card's upper left corner."""
    return 0.35 * height + 0.6 * t, 0.05 * width + 0.031 * width * t


def card(t: int, height: int, width: int, more: int = 0) -> np.ndarray:
    """Return which pixels the card hides, (H, W), and ``more`` around it."""
    rows, columns = np.mgrid[:height, :width]
    top, left = corner(t, height, width)
    side = CARD * height
    across = (rows >= top - more) & (rows < top + side + more)
    return across & (columns >= left - more) & (columns < left + side + more)


def warp_to(photograph: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return the photograph at each ``place``: its shorter side is from -0.5 to 0.5."""
    cv2 = extra.opencv()
    _, height, width = photograph.shape
    scale = min(height, width) * SHOWN
    rows = (place[0] * scale + height / 2).astype(np.float32)
    columns = (place[1] * scale + width / 2).astype(np.float32)
    return np.stack(
        [cv2.remap(channel, columns, rows, cv2.INTER_CUBIC) for channel in photograph]
    ).clip(0, 1)


def at(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Return an (H, W) picture warped."""
    return warp(picture[None], flow)[0]


def flickers(frames: Sequence[np.ndarray], moments: Sequence[Moment]) -> float:
    """Return the mean flicker of ``frames`` along the true motion of the clip."""
    return float(
        np.mean(
            [
                flicker(frames[t], frames[t - 1], moments[t].backward, moments[t].certainty)
                for t in range(1, len(frames))
            ]
        )
    )


def work_of(history: Sequence[dict[str, float]], size: int) -> float:
    """Return the evaluations of the whole picture that the steps of a history amount to."""
    return sum((entry["size"] / size) ** 2 for entry in history)


def strip(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Return pictures side by side, row below row."""
    return np.concatenate([np.concatenate(list(row), axis=2) for row in rows], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keep the frames there")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--style", default="swirl")
    parser.add_argument("--model", default="vgg16-slim")
    parser.add_argument("--temporal", type=float, default=None)
    parser.add_argument("--frame-steps", type=int, default=None)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--by-frame", type=int, default=4, help="frames to paint one by one")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measure(told, told.folder or Path(temporary))


def measure(told: argparse.Namespace, folder: Path) -> None:
    height, width = 3 * told.size // 4, told.size
    moments = clip(images.load(demo.content_path()), height, width, told.frames)
    (folder / "clip").mkdir(parents=True, exist_ok=True)
    for old in [*(folder / "clip").glob("*.png"), *(folder / "film").glob("*.png")]:
        old.unlink()  # of a clip that was longer
    for number, moment in enumerate(moments):
        images.save(folder / "clip" / f"{number:03d}.png", moment.picture)
    shown = [moment.picture for moment in moments]
    style = demo.style_path(told.style)
    how = {"model": told.model, "size": told.size, "steps": told.steps}
    of_film = {"temporal": told.temporal, "frame_steps": told.frame_steps}
    of_film = {name: value for name, value in of_film.items() if value is not None}
    filmed = nst.video(folder / "clip", [style], folder / "film", **of_film, **how)
    film = [images.load(path) for path in sorted((folder / "film").glob("*.png"))]
    singles, works = [], []
    for number in range(min(told.by_frame, told.frames)):
        settings = nst.Settings(folder / "clip" / f"{number:03d}.png", style, None, **how)
        result = nst.stylize(settings)
        singles.append(result.image)
        works.append(work_of(result.history, told.size))
    source, painted = flickers(shown, moments), flickers(film, moments)
    apart = flickers(singles, moments) if len(singles) > 1 else math.nan
    later = [one["steps"] for one in filmed.painted[1:]]
    print(f"{told.frames} frames of {width} x {height}, {told.style}, {told.model}")
    print("| | flicker | of frame by frame | of the film itself |\n|---|---|---|---|")
    for name, value in {
        "the film itself": source,
        "frame by frame": apart,
        "film": painted,
    }.items():
        print(f"| {name} | {value:.4f} | {value / apart:.2f} | {value / source:.2f} |")
    if later and works:
        print(f"steps of a later frame {later}; a still {works} evaluations")
        print(f"a later frame takes {np.mean(later) / np.mean(works):.2f} of a still's work")
    count = min(len(film), told.by_frame or 4)
    rows = [shown[:count], film[:count], differences(film[:count], moments)]
    if singles:
        rows += [singles[:count], differences(singles[:count], moments)]
    images.save(folder / "strip.png", strip(rows))


def differences(frames: Sequence[np.ndarray], moments: Sequence[Moment]) -> list[np.ndarray]:
    """Return what is not as it was, four times enlarged; and nothing for the first."""
    found = [np.zeros_like(frames[0])]
    for t in range(1, len(frames)):
        moved = warp(frames[t - 1], moments[t].backward)
        found.append((4 * moments[t].certainty * np.abs(frames[t] - moved)).clip(0, 1))
    return found


if __name__ == "__main__":
    main()
