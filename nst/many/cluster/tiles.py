"""Tiles of one picture on a worker: its features, the sums over them, its share of the gradient.

A tile is ``kept`` by the worker that measured its photograph, as the result of `keep`: the
photograph's features that the tile owns, and what its masks show of them.  What comes for each
step is the image's window, what goes back are sums, and then a gradient on that window.  See
`Objective.in_tiles`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nst import devices, kernels
from nst.devices import Device
from nst.kernels import Array
from nst.many.cluster import worker
from nst.objective import Objective, Region, Targets
from nst.objective.content import Squares
from nst.objective.objective import Pulls, Sums
from nst.objective.recipe import Recipe
from nst.objective.styles.finish import STATISTICS
from nst.objective.styles.sums import Mask, StyleSums
from nst.objective.tiling import Span, Tile
from nst.vgg import Vgg, weights

Plain = Mapping[str, Any]


def keep(network: Plain, model: bytes, tile: Plain, window: np.ndarray) -> dict[str, Any]:
    """Return a ``tile`` with the photograph's features, given the photograph on its ``window``."""
    with _at_work(network):
        vgg = _vgg(network, model)
        features = vgg.features(vgg.device.asarray(window))
        stride = vgg.network.architecture.stride
        found = {
            tap: vgg.device.asnumpy(
                vgg.device.xp.ascontiguousarray(features[tap][_tile(tile).inside(stride(tap))])
            )
            for tap in network["content"]
        }
        return {**tile, "content": found}


def squares(kept: Plain) -> dict[str, float]:
    """Return the sum of squares of a tile's features of the photograph, at each tap."""
    return {
        tap: sum(kernels.floats([kernels.of(row).dot(row, row) for row in features]))
        for tap, features in kept["content"].items()
    }


def measure(network: Plain, model: bytes, kept: Plain, window: np.ndarray) -> dict[str, Any]:
    """Return the sums over the features that a tile owns: pass one."""
    with _at_work(network):
        objective = _objective(network, model, kept)
        device = objective.vgg.device
        return plain_sums(objective.measure_window(device.asarray(window), _tile(kept)), device)


def spread(
    network: Plain, model: bytes, kept: Plain, window: np.ndarray, pulls: Plain
) -> np.ndarray:
    """Return what a tile adds to the gradient, (3, H, W) on its ``window``: pass two."""
    with _at_work(network):
        objective = _objective(network, model, kept)
        device = objective.vgg.device
        placed = pulls_of(pulls, device)
        d_window = objective.spread_window(device.asarray(window), placed, _tile(kept))
        return device.asnumpy(d_window)


def _at_work(network: Plain) -> Any:
    return worker.turn(network["cpus"])


def _vgg(network: Plain, model: bytes) -> Vgg:
    """Return the network, opened once for all tiles and steps."""

    def make() -> Vgg:
        read = weights.load(worker.file_of(network["model"], model))
        shown = read.brightened(network["gain"]).rounded(network["rounding"])
        device = devices.pick(network["device"])
        how = network["conv"], network["precision"]
        return Vgg(shown, network["taps"], network["pooling"], device, *how)

    return worker.kept(f"tiles:{network!r}", make)


def _objective(network: Plain, model: bytes, kept: Plain) -> Objective:
    """Return the objective of one who has this tile and nothing else.

    What it is minimised for is the client's business: weights and the painting's sums stay there.
    """
    vgg = _vgg(network, model)
    device = vgg.device
    style = {
        tap: [
            _region(name, mask, device)
            for name, mask in zip(names, kept["masks"][tap], strict=True)
        ]
        for tap, names in network["style"].items()
    }
    content = {tap: device.asarray(features) for tap, features in kept["content"].items()}
    seen = {tap: device.xp.asarray(shown) for tap, shown in kept["seen"].items()}
    recipe = Recipe(
        source="a tile",
        content=dict.fromkeys(content, 1.0),
        style=dict.fromkeys(style, 1.0),
        content_reduction=network["reduction"],
    )
    return Objective(vgg, Targets(content, style, seen), recipe)


def _region(name: str, mask: np.ndarray | None, device: Device) -> Region:
    style: Any = _Measuring(STATISTICS[name])
    return Region(style, None if mask is None else Mask.placed(mask, device))


@dataclass(frozen=True)
class _Measuring:
    """A style without a painting: what every one of its kind measures and spreads alike."""

    kind: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kind, name)

    def within(self, place: object) -> "_Measuring":
        return self


# ---- As they travel ------------------------------------------------------------------------


def plain_tile(tile: Tile) -> dict[str, Any]:
    """Return a tile as numbers, counted from where its own begins."""
    spans = {"rows": tile.rows.alone, "columns": tile.columns.alone}
    return {
        name: [one.start, one.stop, one.own_start, one.own_stop, one.rounding]
        for name, one in spans.items()
    }


def _tile(told: Plain) -> Tile:
    return Tile(Span(*told["rows"]), Span(*told["columns"]))


def plain_sums(sums: Sums, device: Device) -> dict[str, Any]:
    """Return sums as numbers and arrays of NumPy."""
    return {
        "content": {tap: [float(s.total), s.count] for tap, s in sums.content.items()},
        "style": {
            tap: [[device.asnumpy(one.sums), one.area] for one in of_regions]
            for tap, of_regions in sums.style.items()
        },
    }


def sums_of(told: Plain, device: Device) -> Sums:
    """Undo `plain_sums`: the arrays are on ``device``."""
    place = device.xp.asarray
    return Sums(
        {tap: Squares(place(total), count) for tap, (total, count) in told["content"].items()},
        {
            tap: [StyleSums(place(sums), area) for sums, area in of_regions]
            for tap, of_regions in told["style"].items()
        },
    )


def plain_pulls(pulls: Pulls, device: Device) -> dict[str, Any]:
    """Return pulls as numbers and arrays of NumPy, each of the type that it has."""

    def number(value: float | Array) -> Any:
        if type(value) is float:
            return value  # which takes the type of what it meets; one of NumPy's does not
        return np.asarray(value) if isinstance(value, np.generic) else device.asnumpy(value)

    return {
        "content": {tap: number(pull) for tap, pull in pulls.content.items()},
        "style": {
            tap: [device.asnumpy(pull) for pull in of_regions]
            for tap, of_regions in pulls.style.items()
        },
    }


def pulls_of(told: Plain, device: Device) -> Pulls:
    """Undo `plain_pulls`."""
    place = device.xp.asarray
    return Pulls(
        {
            tap: pull if type(pull) is float else place(pull)
            for tap, pull in told["content"].items()
        },
        {tap: [place(one) for one in of_regions] for tap, of_regions in told["style"].items()},
    )
