"""Chapter 7: coarse to fine, because a layer sees only so far; and tiles, whose sums add up."""

from functools import reduce
from operator import add

import numpy as np

from nst import kernels
from nst.lesson.pieces import Answer, Curves, Mark, Picture, Table, over
from nst.lesson.race import Race
from nst.lesson.subject import TAPS, Subject, objective_of
from nst.objective import Objective, Region, Targets
from nst.objective.objective import Sums
from nst.objective.recipe import Recipe
from nst.objective.styles.gram import GramStyle
from nst.objective.tiling import Tile, smallest_side, tiles_of
from nst.optimizers import Lbfgs
from nst.pictures import images
from nst.vgg import Vgg

COARSE_STEPS = 12  # steps at half the size, before the whole
WAYS = ("coarse", "at once")
TILED_TAPS = TAPS[:2]  # deeper ones see further, and need larger tiles
TAP = TILED_TAPS[-1]  # whose sum is added up


def scales(subject: Subject, way: str, step: int) -> Answer:
    """Return a picture after ``step`` steps: at once, or the first of them at half the size."""
    if way == "coarse" and step < COARSE_STEPS:
        race, here, losses = coarse_race(subject), step, "half the size"
    elif way == "coarse":
        race, here, losses = fine_race(subject), step - COARSE_STEPS, "the whole size"
    else:
        race, here, losses = at_once(subject), step, "the whole size"
    frame = race.at(here)
    height, width = frame.image.shape[1:]
    architecture = subject.vgg.network.architecture
    side = architecture.stride(TAPS[-1]) + 2 * architecture.radius(TAPS[-1])
    top, left = (height - side) / 2, (width - side) / 2
    return {
        "image": Picture(frame.image, f"After {step} steps, {way}"),
        "marks": [Mark(top, left, top + side, left + side, "seen")],
        "size": f"{width} x {height}",
        "seen": f"{side}",
        "share": f"{min(side / height, 1):.0%}",
        "loss": frame.losses["total"],
        "losses_at": losses,
        "curves": Curves({way: race.totals(here)}, f"The total loss at {losses}"),
        "step": step,
    }


def coarse_race(subject: Subject) -> Race:
    """Return the race at half the size, from the photograph."""
    small = half(subject.photograph)
    return Race.of(subject, "coarse", lambda: objective_of(subject, small), Lbfgs, small)


def fine_race(subject: Subject) -> Race:
    """Return the race at the whole size, from what was painted at half of it."""
    _, height, width = subject.photograph.shape
    painted = images.resize(coarse_race(subject).at(COARSE_STEPS).image, height, width)
    return Race.of(subject, "fine", lambda: subject.objective, Lbfgs, painted)


def at_once(subject: Subject) -> Race:
    """Return the race at the whole size, from the photograph: that of chapter 5."""
    return Race.of(subject, "lbfgs", lambda: subject.objective, Lbfgs, subject.photograph)


def half(image: np.ndarray) -> np.ndarray:
    """Return an image at half its size."""
    _, height, width = image.shape
    return images.resize(image, height // 2, width // 2)


def tiles(subject: Subject, side: int, tile: int, channel: int) -> Answer:
    """Return one tile of the photograph, and what all add up to: sums, and the gradient."""
    image, taps = subject.photograph, TILED_TAPS
    least = max(image.shape) // 2  # with more tiles an answer would no longer come at once
    side = max(side, least, smallest_side(subject.vgg.network.architecture, taps))
    cut, sums, shares = subject.last("tiles", side, lambda: _in_tiles(subject, side))
    _, in_one = subject.once("in one piece", lambda: _objective(subject, None).evaluate(image))
    tile, added = min(tile, len(cut) - 1), np.sum(shares, axis=0)
    features = subject.features[TAP]
    channel = min(channel, len(features) - 1)
    of_tiles = [float(each.style[TAP][0].sums[channel, channel]) for each in sums]
    whole = kernels.of(features).gram(features, divisor=1)[channel, channel]
    return {
        "image": Picture(image, "The photograph in tiles"),
        "marks": [_window(cut[tile]), *map(_owned, cut)],
        "share": Picture(shares[tile].sum(axis=0), "What this tile adds to it", signed=True),
        "added_up": Picture(added.sum(axis=0), "The gradient, all tiles added", signed=True),
        "table": _as_they_lie(cut, of_tiles),
        "added": sum(of_tiles),
        "whole": whole,
        "apart": over(np.linalg.norm(added - in_one), np.linalg.norm(in_one)),
        "tiles": len(cut),
        "side": side,
        "tile": tile,
        "where": f"sums[{channel}, {channel}]",
    }


def _objective(subject: Subject, side: int | None) -> Objective:
    """Return the style at TILED_TAPS alone, so that tiles can be small."""
    style = {tap: [Region(GramStyle(subject.target_grams[tap]))] for tap in TILED_TAPS}
    recipe = Recipe("in tiles", content={}, style=dict.fromkeys(TILED_TAPS, 1.0), relative=True)
    return Objective(Vgg(subject.vgg.network, TILED_TAPS), Targets({}, style), recipe, side)


def _in_tiles(subject: Subject, side: int) -> tuple[list[Tile], list[Sums], list[np.ndarray]]:
    """Return the tiles, the sums of each, and what each adds to d_image: as `in_tiles` does it."""
    objective, image = _objective(subject, side), subject.photograph
    cut = tiles_of(objective.vgg, image, side)
    sums = list(objective.measured(image, cut))
    total = reduce(add, sums)
    _, d_style = objective.compare(total)
    pulls = objective.pulls(objective.weights, total, d_style)
    shares = []
    for tile, d_window in zip(cut, objective.spread_out(image, pulls, cut), strict=True):
        share = np.zeros_like(image)
        share[tile.window] = d_window
        shares.append(share)
    return cut, sums, shares


def _as_they_lie(cut: list[Tile], parts: list[float]) -> Table:
    """Return what each tile has as a table in which the numbers lie as the tiles do."""
    columns = sorted({tile.columns.own_start for tile in cut})
    rows = sorted({tile.rows.own_start for tile in cut})
    across = len(columns)
    return Table(
        ("tiles", *(f"from column {column}" for column in columns)),
        [(f"from row {row}", *parts[n * across : (n + 1) * across]) for n, row in enumerate(rows)],
    )


def _window(tile: Tile) -> Mark:
    return Mark(tile.rows.start, tile.columns.start, tile.rows.stop, tile.columns.stop, "window")


def _owned(tile: Tile) -> Mark:
    rows, columns = tile.rows, tile.columns
    return Mark(rows.own_start, columns.own_start, rows.own_stop, columns.own_stop, "owned")
