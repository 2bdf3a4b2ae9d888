"""One large picture on a cluster: its tiles are seen by the workers, exactly as on one machine.

A step takes two passes over the tiles, as in `Objective.in_tiles`.  What comes back is added here
in the order of the tiles, whoever had them and whenever they came: so the picture has the same
bits with one worker and with many.  The tiles, too, depend on the picture alone.

The optimizer stays here, with all of the image.  Of a photograph each worker keeps the features
that its tiles own; a step sends windows of the image there, and brings gradients back.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nst.errors import NstError
from nst.kernels import Array
from nst.many.cluster import connection, tiles, worker
from nst.many.cluster.connection import Cluster
from nst.many.cluster.sent import Sent
from nst.objective import Objective, Targets
from nst.objective.objective import Pulls, Sums
from nst.objective.styles.finish import asks
from nst.objective.tiling import Tile, tiles_of, with_margin
from nst.run.inputs import Inputs
from nst.run.plan import Plan
from nst.run.targets import padding_in

SIDE = 1024  # pixels: the most that a window has, whatever number of workers there are


@contextmanager
def shared_out(
    inputs: Inputs, plan: Plan, workers: int | None, scheduler: str | None
) -> Iterator[Plan]:
    """Yield the ``plan`` with workers to see the tiles; itself where none are asked for.

    A run that goes on keeps its tiles.

    Raises
    ------
    NstError
        For a picture without tiles, a recipe that does not go by sums, and see `opened`.
    """
    if workers is None and scheduler is None:
        yield plan
        return
    if asks(inputs.recipe):
        raise NstError(
            f"recipe {inputs.settings.recipe} compares each place with all of a painting, which "
            "workers cannot share; paint it without --workers and --scheduler."
        )
    begins = plan.estimate is not None
    side = min(SIDE, plan.side or SIDE) if begins else plan.side
    full = plan.full
    longest = full.longer + 2 * padding_in(inputs)
    if side is None or longest <= side:
        raise NstError(
            f"a picture of {full.width} x {full.height} pixels is one tile, and nothing to share; "
            "paint it without --workers and --scheduler, or several pictures by `nst batch`."
        )
    with connection.opened(workers, scheduler) as cluster:
        yield replace(plan, side=side, crew=Crew(cluster, inputs))


class Crew:
    """The workers of a ``cluster``, which see the tiles of one picture: see run/targets.py."""

    def __init__(self, cluster: Cluster, inputs: Inputs) -> None:
        self.cluster = cluster
        self._inputs = inputs
        self._sha256, self.model = Sent(cluster).network(inputs.settings)

    def objective(self, content: Array, targets: Targets, side: int | None) -> Objective:
        """Return what is minimised, given the photograph; the targets lack its features."""
        return FarObjective(self, self._inputs, content, targets, side)

    def network(self, targets: Targets) -> dict[str, Any]:
        """Return what a worker must know of the network, and of what is read of it."""
        recipe, settings = self._inputs.recipe, self._inputs.settings
        return {
            "model": self._sha256,
            "gain": recipe.input_gain,
            "rounding": recipe.pool_rounding,
            "taps": list(recipe.taps),
            "pooling": self._inputs.vgg.pooling,
            "conv": settings.conv,
            "precision": settings.precision,
            "device": settings.device,
            "cpus": self.cluster.cpus,
            "content": list(recipe.content),
            "style": {
                tap: [recipe.statistics.get(tap, recipe.style_statistic)] * len(regions)
                for tap, regions in targets.style.items()
            },
            "reduction": recipe.content_reduction,
        }


@dataclass(frozen=True)
class Elsewhere:
    """The photograph's features at one tap, which the workers have: `relative.Rows`."""

    shape: tuple[int, ...]
    squares: float  # the sum of all

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield one row in place of all: its square is the sum of theirs."""
        return iter([np.array([math.sqrt(self.squares)])])


class FarObjective(Objective):
    """An objective whose tiles are seen by the workers of a ``crew``."""

    def __init__(
        self, crew: Crew, inputs: Inputs, content: Array, targets: Targets, side: int | None
    ) -> None:
        self._crew, self._cluster = crew, crew.cluster
        self._network = crew.network(targets)
        vgg, padding = inputs.vgg, padding_in(inputs)
        found = tiles_of(vgg, content, side, padding)
        shown = with_margin(content, padding)
        self._kept = [
            self._cluster.submit(
                tiles.keep,
                self._network,
                crew.model,
                {**tiles.plain_tile(tile), **_masks(targets, tile, vgg)},
                _window(shown, tile, vgg),
            )
            for tile in found
        ]
        self._windows: list[Any] = []  # of the step that goes on
        squares = self._squares()
        shape = vgg.network.architecture.shape
        far: Any = {
            tap: Elsewhere(shape(tap, *content.shape[1:]), squares[tap])
            for tap in inputs.recipe.content
        }
        super().__init__(vgg, replace(targets, content=far), inputs.recipe, side)

    def measured(self, shown: Array, tiles_: Sequence[Tile]) -> Iterator[Sums]:
        """Yield the sums over the features that each of the tiles owns, in their order."""
        self._windows = [
            self._cluster.submit(worker.as_it_is, _window(shown, tile, self.vgg), kept)
            for tile, kept in zip(tiles_, self._kept, strict=True)
        ]
        for told in self._on_all(tiles.measure):
            yield tiles.sums_of(told, self.vgg.device)

    def spread_out(self, shown: Array, pulls: Pulls, tiles_: Sequence[Tile]) -> Iterator[Array]:
        """Yield what the features of each tile add to the gradient, on its window."""
        told = self._cluster.submit(worker.as_it_is, tiles.plain_pulls(pulls, self.vgg.device))
        for d_window in self._on_all(tiles.spread, told):
            yield self.vgg.device.asarray(d_window)
        self._windows = []  # the workers forget them

    def _on_all(self, function: Any, *more: Any) -> Iterator[Any]:
        """Yield what ``function`` returns for each tile, in their order; all are asked at once."""
        futures = [
            self._cluster.submit(function, self._network, self._crew.model, kept, window, *more)
            for kept, window in zip(self._kept, self._windows, strict=True)
        ]
        while futures:
            yield self._cluster.result(futures.pop(0))

    def _squares(self) -> Mapping[str, float]:
        """Return the sum of squares of the photograph's features, added in the tiles' order."""
        asked = [self._cluster.submit(tiles.squares, kept) for kept in self._kept]
        total = dict.fromkeys(self._network["content"], 0.0)
        for future in asked:
            for tap, value in self._cluster.result(future).items():
                total[tap] += value
        return total


def _window(shown: Array, tile: Tile, vgg: Any) -> np.ndarray:
    return vgg.device.asnumpy(vgg.device.xp.ascontiguousarray(shown[tile.window]))


def _masks(targets: Targets, tile: Tile, vgg: Any) -> dict[str, Any]:
    """Return what a tile sees of the regions' masks, and of what of the photograph is seen."""
    place = {tap: tile.own(vgg.network.architecture.stride(tap)) for tap in vgg.taps}
    masks = {
        tap: [
            None if region.mask is None else region.mask.within(place[tap]).host
            for region in regions
        ]
        for tap, regions in targets.style.items()
    }
    seen = {
        tap: vgg.device.asnumpy(vgg.device.xp.ascontiguousarray(shown[place[tap][1:]]))
        for tap, shown in targets.seen.items()
        if tap in place  # edges have one of the image's, which stays here
    }
    return {"masks": masks, "seen": seen}
