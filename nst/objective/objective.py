"""All losses at one image, through VGG and back: image -> (Losses, d_image).

A term is one loss at one tap, such as ``style relu3_1``; the kinds are content, style, edges and
smoothness, and temporal in a film.  Two ways to make one number of them:

    "sum"   total = sum over terms of weight * loss                               (Gatys)
    "log"   total = sum over kinds of W * log(mean loss of the kind + 1e-10)      (Hvass)

where W is the sum of the kind's weights, and the mean is weighted by them.  About "log": Hvass
divides each kind by its own last value and calls that adaptive weights.  What is descended then
is exactly the gradient of the sum of logarithms; the combined loss that he prints is constant
(1.5 + 10 + 0.3 = 11.8), whatever the picture.  The temporal loss is added as it is in either: it
starts near 0, where its logarithm would pull without end.

A picture that does not fit into memory is evaluated tile by tile: the same losses and gradient.
Style losses need the sums over the whole picture before the first gradient can be told.  So the
network sees every tile twice:

    1. each tile's features -> its sums; added up, those of the picture -> losses
    2. each tile's features and the pull on the sums -> d_features, zero but for its own features
       -> its share of d_image, on its window; the shares overlap and are added

Nothing is approximated: see tiling.py.

Where the recipe has a padding, the network is shown the image with a mirrored margin.  Losses are
of the features of the image itself; what they pull on in the margin is folded into the image.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Any, TypeAlias

import numpy as np

from nst import kernels
from nst.errors import NstError, brief
from nst.kernels import Array
from nst.memory import FileArray
from nst.objective import content as contents
from nst.objective.content import Squares, content_loss
from nst.objective.edges import edges_loss
from nst.objective.recipe import Recipe
from nst.objective.relative import mean_square
from nst.objective.smoothness import smoothness_loss
from nst.objective.style import Region, style_loss
from nst.objective.styles.sums import Place
from nst.objective.temporal import Warped, temporal_loss
from nst.objective.tiling import Tile, padding_of, put_among_zeros, tiles_of, with_margin
from nst.vgg import Vgg

TINY = 1e-10  # Hvass': keeps log and division finite at a loss of zero
COMBINATIONS = ("sum", "log")

Number: TypeAlias = float | Array  # or a 0-d array, which a GPU need not be waited for


@dataclass(frozen=True)
class Targets:
    """What the painted image is compared with, by tap."""

    content: Mapping[str, Array | FileArray]  # (C, H, W) features of the photograph
    style: Mapping[str, Sequence[Region]]  # one, of everywhere, or several side by side
    seen: Mapping[str, Array] = field(default_factory=dict)
    # ^ (H, W), 0 where the photograph is transparent; a tap that is not there: seen everywhere
    edges: Array | None = None  # (H // 4, W // 4) of the photograph; see edges.py
    warped: Warped | None = None  # the frames of a film that were painted before

    def within(self, tap: str, place: Place, vgg: Vgg) -> "Targets":
        """Return those at ``tap``, for the features that a tile owns there."""
        contiguous = vgg.device.xp.ascontiguousarray
        content = {tap: contiguous(self.content[tap][place])} if tap in self.content else {}
        regions = [region.within(place) for region in self.style.get(tap, ())]
        seen = {tap: contiguous(self.seen[tap][place[1:]])} if tap in self.seen else {}
        return Targets(content, {tap: regions} if regions else {}, seen)

    def drawn(self, rng: np.random.Generator, size: tuple[int, int], vgg: Vgg) -> "Targets":
        """Return those of one evaluation, where chance has a part in what is looked at.

        ``size`` is the (height, width) of the image.
        """
        shape = vgg.network.architecture.shape
        style = {
            tap: [region.drawn(rng, shape(tap, *size)) for region in regions]
            for tap, regions in self.style.items()
        }
        return replace(self, style=style)

    def readers(self, tap: str) -> int:
        """Return how many losses read the features at ``tap``."""
        return int(tap in self.content) + len(self.style.get(tap, ()))


@dataclass(frozen=True)
class Weights:
    """What each term counts, by tap; edges and smoothness act on the pixels and have no tap."""

    content: Mapping[str, Number]
    style: Mapping[str, Number]
    smoothness: Number = 0.0
    edges: Number = 0.0


@dataclass(frozen=True)
class Sums:
    """What the losses need to know of the features: sums over pixels, so that tiles add up."""

    content: Mapping[str, Squares]
    style: Mapping[str, Sequence[Any]]  # of each region

    def __add__(self, other: "Sums") -> "Sums":
        content = {tap: squares + other.content[tap] for tap, squares in self.content.items()}
        style = {
            tap: [a + b for a, b in zip(sums, other.style[tap], strict=True)]
            for tap, sums in self.style.items()
        }
        return Sums(content, style)


@dataclass(frozen=True)
class Pulls:
    """How much the total grows with what the losses were made of: dtotal/dsums."""

    content: Mapping[str, Number]  # by the sum of squared differences
    style: Mapping[str, list[Array]]  # by each region's sums


@dataclass(frozen=True)
class Term:
    """One loss, unweighted."""

    kind: str  # "content", "style", "edges" or "smoothness"; temporal is none: see `evaluate`
    tap: str  # "image" for edges and smoothness
    weight: Number
    loss: Array  # 0-d

    @property
    def name(self) -> str:
        """Its name in `Losses`."""
        return self.kind if self.tap == "image" else f"{self.kind} {self.tap}"


@dataclass(frozen=True)
class Losses:
    """The losses at one image, as 0-d arrays of its device: reading one waits for the GPU."""

    total: Array  # what is minimised
    raw: Mapping[str, Array]  # "content relu4_1", "style relu1_1", "smoothness": unweighted

    def floats(self) -> dict[str, float]:
        """Return ``{"total": ..., "content relu4_1": ..., ...}`` as Python floats: one wait."""
        named = {"total": self.total, **self.raw}
        return dict(zip(named, kernels.floats(list(named.values())), strict=True))


def check_finite(values: Mapping[str, float]) -> None:
    """Raise NstError naming the losses that are NaN or infinite, as many as a line takes."""
    if bad := [f"{name} is {value}" for name, value in values.items() if not np.isfinite(value)]:
        raise NstError(
            f"the run left the finite numbers: {brief(', '.join(bad), 70)}. "
            "Try smaller weights, a smaller step, or another --init."
        )


class Objective:
    """What is minimised: the losses of one image against fixed targets.

    Parameters
    ----------
    vgg : Vgg
        Has every tap that the targets name.
    targets : Targets
        Content features have the shape that the image gives, in memory or in a `FileArray`;
        styles fit any image.
    recipe : Recipe
        One weight for each target, and the conventions in which the losses are meant.
    side : int, optional
        The network is never given more than a window of so many pixels a side.  None: the image
        in one piece, as is any that fits into one window.
    seed : int
        What is drawn by chance depends on it, and on how many ``evaluations`` there were before.

    Raises
    ------
    ValueError
        If the recipe's weights are not at the targets' taps.
    """

    def __init__(
        self,
        vgg: Vgg,
        targets: Targets,
        recipe: Recipe,
        side: int | None = None,
        seed: int = 0,
    ) -> None:
        for kind in ("content", "style"):
            named, weighed = set(getattr(targets, kind)), set(getattr(recipe, kind))
            if named != weighed:
                raise ValueError(
                    f"{kind} targets are at {sorted(named)}, weights at {sorted(weighed)}; "
                    "each target needs one weight"
                )
        if recipe.edges and targets.edges is None:
            raise ValueError(f"edges weigh {recipe.edges}, and there is no target for them")
        if recipe.combination not in COMBINATIONS:
            raise ValueError(f"combination is {recipe.combination!r}; choose {COMBINATIONS}")
        weights = Weights(recipe.content, recipe.style, recipe.smoothness, recipe.edges)
        if recipe.relative:
            targets, weights = relative_to(targets, weights)
        self.vgg = vgg
        self.targets = targets
        self.weights = weights
        self.recipe = recipe
        self.side = side
        self.seed, self.evaluations = seed, 0
        self.padding = padding_of(recipe.padding, vgg)
        self._buffers: dict[str, Array] = {}  # d_features by tap, where several losses meet: flat

    def evaluate(self, image: Array) -> tuple[Losses, Array]:
        """Return the losses at an image, and the gradient of their total.

        Parameters
        ----------
        image : (3, H, W) float array
            RGB in [0, 1], on the network's device.

        Returns
        -------
        losses : Losses
            The total that is minimised, and each loss unweighted.
        d_image : (3, H, W) float array
            A new array.
        """
        chance = np.random.default_rng([self.seed, self.evaluations])
        self.targets = self.targets.drawn(chance, image.shape[1:], self.vgg)
        self.evaluations += 1
        tiles = tiles_of(self.vgg, image, self.side, self.padding)
        if len(tiles) > 1:
            terms, weights, d_image = self.in_tiles(image, tiles)
        else:
            terms, weights, d_image = self.in_one_piece(image, tiles[0])
        if self.weights.edges:
            loss, d_image = self.edges(image, weights.edges, out=d_image, add=True)
            terms.append(Term("edges", "image", self.weights.edges, loss))
        if self.weights.smoothness:
            loss, d_image = self.smoothness(image, weights.smoothness, out=d_image, add=True)
            terms.append(Term("smoothness", "image", self.weights.smoothness, loss))
        total, _ = combine(terms, self.recipe.combination)
        raw = {term.name: term.loss for term in terms}
        if self.targets.warped is not None and self.recipe.temporal:
            weight = self.recipe.temporal
            loss, d_image = temporal_loss(image, self.targets.warped, weight, d_image, add=True)
            total, raw["temporal"] = total + weight * loss.astype(np.float64), loss
        return Losses(total, raw), d_image

    def in_one_piece(self, image: Array, tile: Tile) -> tuple[list[Term], Weights, Array]:
        """Return content and style losses, how much each one pulls, and ``d_image``.

        ``tile`` is all of it.
        """
        shown = self.vgg.forward(with_margin(image, self.padding))
        features = self.without_margin(shown, tile)
        weights, known = self.weights_at(features, image)
        terms, d_features = [], {}
        for tap, target in self.targets.content.items():
            out, reduction = self._place(tap, features[tap]), self.recipe.content_reduction
            loss, d_features[tap] = content_loss(
                features[tap],
                target,
                reduction,
                weights.content[tap],
                out,
                self.targets.seen.get(tap),
            )
            terms.append(Term("content", tap, self.weights.content[tap], loss))
        for tap, regions in self.targets.style.items():
            out, losses = self._place(tap, features[tap]), []
            for index, region in enumerate(regions):
                sums = known.style[tap][index] if known else None
                loss, d_features[tap] = style_loss(
                    features[tap], region, weights.style[tap], out, tap in d_features, sums
                )
                losses.append(loss)
            terms.append(Term("style", tap, self.weights.style[tap], sum(losses)))
        d_shown = self.vgg.backward(self.among_zeros(d_features, shown, tile))
        return terms, weights, self.folded(d_shown)

    def in_tiles(self, image: Array, tiles: Sequence[Tile]) -> tuple[list[Term], Weights, Array]:
        """Return the same, of an image in several tiles."""
        shown = with_margin(image, self.padding)
        sums = reduce(add, self.measured(shown, tiles))
        terms, d_style = self.compare(sums)
        weights = self.weights
        if self.recipe.combination == "log":
            weights = self.adapted(terms, image)
        pulls = self.pulls(weights, sums, d_style)
        d_shown = self.vgg.device.xp.zeros_like(shown)
        for tile, d_window in zip(tiles, self.spread_out(shown, pulls, tiles), strict=True):
            d_shown[tile.window] += d_window
        self._buffers.clear()
        self.vgg.release()  # what follows needs room for whole images
        return terms, weights, self.folded(d_shown)

    def without_margin(self, shown: Mapping[str, Array], tile: Tile) -> Mapping[str, Array]:
        """Return those of the features that are the image's own, of all that were ``shown``."""
        if not self.padding:
            return shown
        stride = self.vgg.network.architecture.stride
        return {tap: self._own(f, tile.inside(stride(tap)), tap) for tap, f in shown.items()}

    def among_zeros(
        self, d_features: Mapping[str, Array], shown: Mapping[str, Array], tile: Tile
    ) -> Mapping[str, Array]:
        """Return the way back of `without_margin`: nothing pulls on the margin's features.

        They are written over those that were ``shown``.
        """
        if not self.padding:
            return d_features
        for tap, d_own in d_features.items():
            place = tile.inside(self.vgg.network.architecture.stride(tap))
            put_among_zeros(d_own, place, shown[tap])
        return {tap: shown[tap] for tap in d_features}

    def folded(self, d_shown: Array) -> Array:
        """Return d_image, given dL/d(the image with its margin)."""
        if not self.padding:
            return d_shown
        return kernels.of(d_shown).reflect_backward(d_shown, self.padding)

    def edges(
        self, image: Array, d_loss: Number = 1.0, out: Array | None = None, add: bool = False
    ) -> tuple[Array, Array]:
        """Return the loss of the photograph's edges, and its gradient."""
        targets, white = self.targets, self.recipe.pixel_range
        return edges_loss(image, targets.edges, white, d_loss, out, add, targets.seen.get("image"))

    def smoothness(
        self,
        image: Array,
        d_loss: Number = 1.0,
        out: Array | None = None,
        add: bool = False,
    ) -> tuple[Array, Array]:
        """Return the smoothness loss of the recipe, and its gradient."""
        recipe = self.recipe
        conventions = recipe.smoothness_kind, recipe.smoothness_reduction, recipe.pixel_range
        return smoothness_loss(image, *conventions, d_loss, out, add)

    def weights_at(
        self, features: Mapping[str, Array], image: Array
    ) -> tuple[Weights, Sums | None]:
        """Return what each loss weighs there, and the sums if they had to be measured for that."""
        if self.recipe.combination == "sum":
            return self.weights, None
        sums = self.measure(features, self.targets)  # what one loss weighs depends on all others
        terms, _ = self.compare(sums)
        return self.adapted(terms, image), sums

    def adapted(self, terms: Sequence[Term], image: Array) -> Weights:
        """Return the weights, each divided by the mean loss of its kind: Hvass' adaptive ones."""
        terms = list(terms)
        if self.weights.edges:
            loss, _ = self.edges(image)
            terms.append(Term("edges", "image", self.weights.edges, loss))
        if self.weights.smoothness:
            loss, _ = self.smoothness(image)
            terms.append(Term("smoothness", "image", self.weights.smoothness, loss))
        _, factors = combine(terms, "log")
        adapted = {(t.kind, t.tap): factor for t, factor in zip(terms, factors, strict=True)}
        return Weights(
            {tap: adapted["content", tap] for tap in self.targets.content},
            {tap: adapted["style", tap] for tap in self.targets.style},
            adapted.get(("smoothness", "image"), 0.0),
            adapted.get(("edges", "image"), 0.0),
        )

    # ---- The parts of it, for tiles --------------------------------------------------------

    def measure(self, features: Mapping[str, Array], targets: Targets) -> Sums:
        """Return what the losses need of ``features``, against targets of their size."""
        content = {
            tap: contents.measure(features[tap], target, targets.seen.get(tap))
            for tap, target in targets.content.items()
        }
        style = {
            tap: [region.measure(features[tap]) for region in regions]
            for tap, regions in targets.style.items()
        }
        return Sums(content, style)

    def compare(self, sums: Sums) -> tuple[list[Term], dict[str, list[Array]]]:
        """Return the losses of a whole image, and of each style the gradient by its sums."""
        terms, d_style = [], {}
        for tap, squares in sums.content.items():
            loss = contents.compare(squares, self.recipe.content_reduction)
            terms.append(Term("content", tap, self.weights.content[tap], loss))
        for tap, of_regions in sums.style.items():
            regions = self.targets.style[tap]
            compared = [r.compare(s) for r, s in zip(regions, of_regions, strict=True)]
            d_style[tap] = [d_sums for _, d_sums in compared]
            losses = [loss for loss, _ in compared]
            terms.append(Term("style", tap, self.weights.style[tap], sum(losses)))
        return terms, d_style

    def pulls(self, weights: Weights, sums: Sums, d_style: Mapping[str, list[Array]]) -> Pulls:
        """Return how much the total grows with what the losses were made of."""
        reduction = self.recipe.content_reduction
        content = {
            tap: weights.content[tap] / contents.content_divisor(reduction, squares.count)
            for tap, squares in sums.content.items()
        }
        style = {tap: [weights.style[tap] * d for d in d_sums] for tap, d_sums in d_style.items()}
        return Pulls(content, style)

    def spread(
        self, pulls: Pulls, features: Mapping[str, Array], targets: Targets
    ) -> dict[str, Array]:
        """Return ``d_features`` at each tap, where the pulls on the sums end up.

        They are written over the features, where one loss alone reads these; else into arrays
        that are kept, and overwritten by the next call for features of the same shape.
        """
        d_features: dict[str, Array] = {}
        for tap, target in targets.content.items():
            out = self._place(tap, features[tap])
            d_features[tap] = contents.spread(
                pulls.content[tap], features[tap], target, out, targets.seen.get(tap)
            )
        for tap, regions in targets.style.items():
            out = self._place(tap, features[tap])
            for region, d_sums in zip(regions, pulls.style[tap], strict=True):
                d_features[tap] = region.spread(d_sums, features[tap], out, tap in d_features)
        return d_features

    def measured(self, shown: Array, tiles: Sequence[Tile]) -> Iterator[Sums]:
        """Yield the sums over the features that each of the ``tiles`` owns, in their order."""
        return (self.measure_window(shown[tile.window], tile) for tile in tiles)

    def spread_out(self, shown: Array, pulls: Pulls, tiles: Sequence[Tile]) -> Iterator[Array]:
        """Yield what the features of each tile add to ``d_shown``, on its window."""
        return (self.spread_window(shown[tile.window], pulls, tile) for tile in tiles)

    def measure_window(self, window: Array, tile: Tile) -> Sums:
        """Return the sums over the features that ``tile`` owns, given its ``window``."""
        features = self.vgg.features(window)
        content: dict[str, Squares] = {}
        style: dict[str, Sequence[Any]] = {}
        for tap in self.vgg.taps:
            stride = self.vgg.network.architecture.stride(tap)
            own = self._own(features.pop(tap), tile.inside(stride))
            targets = self.targets.within(tap, tile.own(stride), self.vgg)
            sums = self.measure({tap: own}, targets)
            content |= sums.content
            style |= sums.style
        return Sums(content, style)

    def spread_window(self, window: Array, pulls: Pulls, tile: Tile) -> Array:
        """Return what the features that ``tile`` owns add to ``d_shown``, on its window."""
        d_features = {}
        for tap, features in self.vgg.forward(window).items():
            stride = self.vgg.network.architecture.stride(tap)
            own = self._own(features, tile.inside(stride))
            targets = self.targets.within(tap, tile.own(stride), self.vgg)
            d_own = self.spread(pulls, {tap: own}, targets)[tap]
            put_among_zeros(d_own, tile.inside(stride), features)  # which nobody reads any more
            d_features[tap] = features
        return self.vgg.backward(d_features)

    # ---- Memory that is used again ---------------------------------------------------------

    def buffer_bytes(self) -> int:
        """Return the bytes of the arrays that are kept from one evaluation to the next."""
        return sum(array.nbytes for array in self._buffers.values())

    def _own(self, features: Array, place: Place, tap: str = "") -> Array:
        """Return those features of a tile's window that the tile owns, until the next call."""
        part = features[place]
        own = self._buffer("own" + tap, part)
        own[...] = part
        return own

    def _place(self, tap: str, features: Array) -> Array:
        """Return the array at ``tap`` that takes d_features; see `spread`."""
        return features if self.targets.readers(tap) == 1 else self._buffer(tap, features)

    def _buffer(self, name: str, like: Array) -> Array:
        """Return an array as large as ``like``, in memory that the last one of this name had.

        New memory would have to be cleared by the system, each time.
        """
        kept = self._buffers.get(name)
        if kept is None or kept.size < like.size:
            kept = self._buffers[name] = like.copy().reshape(-1)
        return kept[: like.size].reshape(like.shape)


def combine(terms: Sequence[Term], combination: str) -> tuple[Array, list[Number]]:
    """Return the total and, for each term, ``d_total / d_loss``; see the module's docstring."""
    if combination == "sum":
        return sum(t.weight * t.loss.astype(np.float64) for t in terms), [t.weight for t in terms]
    weighed = [t for t in terms if t.weight]  # a kind of weight zero has no mean
    kind_weight: dict[str, Number] = dict.fromkeys((t.kind for t in weighed), 0.0)
    kind_sum: dict[str, Array] = dict.fromkeys(kind_weight, 0.0)
    for t in weighed:
        kind_weight[t.kind] += t.weight
        kind_sum[t.kind] += t.weight * t.loss.astype(np.float64)
    mean = {kind: kind_sum[kind] / kind_weight[kind] for kind in kind_weight}
    total = sum(kind_weight[kind] * np.log(mean[kind] + TINY) for kind in mean)
    return total, [t.weight / (mean[t.kind] + TINY) if t.weight else 0.0 for t in terms]


def relative_to(targets: Targets, weights: Weights) -> tuple[Targets, Weights]:
    """Return targets and weights with each loss divided by its target's mean square.

    A loss of 1 then means "as far from the target as nothing is", at every tap, for every model
    and every picture, and so a weight means the same everywhere.  The weight at a tap is divided
    for its first region, and what others differ from that goes into theirs.
    """
    content = {tap: weights.content[tap] / mean_square(t) for tap, t in targets.content.items()}
    style, relative = {}, {}
    for tap, regions in targets.style.items():
        sizes = [region.style.mean_square() for region in regions]
        style[tap] = weights.style[tap] / sizes[0]
        relative[tap] = [
            replace(region, weight=region.weight * sizes[0] / size)
            for region, size in zip(regions, sizes, strict=True)
        ]
    edges = weights.edges
    if edges and targets.edges is not None:
        edges = edges / mean_square(targets.edges)
    return replace(targets, style=relative), Weights(content, style, weights.smoothness, edges)
