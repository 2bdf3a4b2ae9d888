"""What a run will take, told before it begins: memory, tiles, time; and whether it fits at all.

A small image is evaluated as the run will evaluate its own, and what that took of time is scaled
up by pixels; of memory what grows with them, see `Vgg.growing_bytes`: the strips in which a layer
is gone through have one size.  The rest is counted in whole images, I = 12 bytes a pixel:

    while measuring    base + I (image) + the resized photograph + the resized painting + a window
    while evaluating   base + I (image, best, d_image, the optimizer's) + targets + a window
    while stepping     the same, and what the optimizer needs in passing; tiles are given back
    while saving       base + I (image, best, optimizer) + SAVING I

``base`` is what the process holds when everything is open.  A window is the part of the image that
the network is given at once: all of it, or the largest tile's.
"""

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nst import images, memory
from nst.errors import NstError
from nst.kernels import Array
from nst.kernels.blocks import blas_on_one_thread
from nst.memory import Peak, said
from nst.objective import Objective
from nst.runs import Run
from nst.scales import Scale
from nst.targets import measure, painting_size
from nst.tiling import smallest_side, spans
from nst.vgg.architecture import SMALLEST_SIDE, Architecture

IMAGE = 12  # bytes a pixel: three float32
SAVING = 4.5  # images: on the host, scaled to grey levels, as bytes, encoded
PROBE_SECONDS = 0.3
PATIENCE = 1.25  # times the shortest time: what more pairs of L-BFGS are worth
HISTORIES = (10, 5, 2)  # pairs that L-BFGS may keep at the least, each two images
PROBE_SIDE = 320  # pixels


@dataclass(frozen=True)
class Cost:
    """What one evaluation took for each pixel of a small image, and what it takes of any."""

    bytes: float  # at its peak: activations, gradients, what the runtime keeps
    seconds: float  # of an image that is seen as a whole
    features_bytes: float  # of a forward pass that keeps nothing: the first pass over tiles
    features_seconds: float
    fixed_bytes: float = 0.0
    features_fixed_bytes: float = 0.0

    def evaluating(self, height: int, width: int) -> float:
        """Return the bytes of an evaluation of an image, or a window, of this size."""
        return self.fixed_bytes + self.bytes * height * width

    def measuring(self, height: int, width: int) -> float:
        """Return the bytes of a forward pass that keeps nothing."""
        return self.features_fixed_bytes + self.features_bytes * height * width


def probe(objective: Objective, image: Array) -> Cost:
    """Return what ``objective`` takes for each pixel of ``image``, seen as a whole."""
    vgg = objective.vgg
    _, height, width = image.shape
    pixels = height * width
    vgg.release()
    with Peak(vgg.device) as features_peak:
        vgg.features(image)
    vgg.release()
    with Peak(vgg.device) as peak:
        objective.evaluate(image)  # the first of a size sets up more than the next
        seconds = _seconds(lambda: objective.evaluate(image)[0].floats())
    features_seconds = _seconds(lambda: vgg.features(image))
    vgg.release()
    buffers = objective.buffer_bytes()
    growing = _growing(peak.bytes, vgg.growing_bytes(height, width), buffers)
    features_growing = _growing(features_peak.bytes, vgg.growing_bytes(height, width, kept=False))
    return Cost(
        growing / pixels,
        seconds / pixels,
        features_growing / pixels,
        features_seconds / pixels,
        peak.bytes - growing,
        features_peak.bytes - features_growing,
    )


def _growing(peak: float, network: int | None, buffers: int = 0) -> float:
    """Return what of a ``peak`` grows with the image; all of it where the network says None."""
    return peak if network is None else min(peak, network + buffers)


def _seconds(work: Callable[[], object]) -> float:
    """Return the time that ``work`` takes, the mean of a few tries."""
    began, tries = time.perf_counter(), 0
    while not tries or (time.perf_counter() - began < PROBE_SECONDS and tries < 5):
        work()
        tries += 1
    return (time.perf_counter() - began) / tries


def estimate(run: Run) -> "Estimate":
    """Return what ``run`` will take, and settle how it does it: `Run.side` and `Run.pairs`.

    A small image is evaluated for it, a second or two.  Raises NstError, with a size that would
    fit, if there is no way to do it within the memory that the settings allow.
    """
    height, width = images.fit(run.scales[-1].height, run.scales[-1].width, PROBE_SIDE)
    if height * width > run.scales[-1].height * run.scales[-1].width:
        height, width = run.scales[-1].height, run.scales[-1].width
    with blas_on_one_thread():  # as in complete
        image = run.device.asarray(images.resize(run.content, height, width))
        cost = probe(measure(run, Scale(height, width, 1)), image)
    base = memory.used(run.device)
    most = memory.parse(run.settings.memory) or base + memory.SHARE * memory.free(run.device)
    work = Work(
        run.vgg.network.architecture,
        run.recipe.taps,
        tuple(run.recipe.content),
        run.recipe.optimizer,
        run.recipe.history,
        [(scale.height, scale.width, scale.steps) for scale in run.scales],
        [largest_painting(run, scale) for scale in run.scales],
        cost,
        base,
    )
    found = work.fit(most)
    run.side, run.pairs, run.planned = found.side, found.pairs, True
    return found


def largest_painting(run: Run, scale: Scale) -> tuple[int, int]:
    """Return the height and width of the largest painting as it is measured at ``scale``."""
    return max((painting_size(run, source, scale) for source in run.styles), key=math.prod)


# --- What a run takes -----------------------------------------------------------------


@dataclass(frozen=True)
class ScaleEstimate:
    """What one scale takes."""

    height: int
    width: int
    steps: int
    tiles: tuple[int, int]  # rows and columns of them
    window: tuple[int, int]  # height and width of the largest
    bytes: float  # of the process, at the scale's peak
    seconds: float  # a step


@dataclass(frozen=True)
class Estimate:
    """What a run takes, and how it is to be done: in tiles of what size, with what history."""

    scales: list[ScaleEstimate]
    side: int | None  # of the largest window; None: every scale is seen as a whole
    pairs: int  # that L-BFGS keeps
    budget: float  # bytes

    @property
    def bytes(self) -> float:
        """The most that the process will hold."""
        return max(scale.bytes for scale in self.scales)

    @property
    def seconds(self) -> float:
        """All steps together."""
        return sum(scale.steps * scale.seconds for scale in self.scales)

    def lines(self) -> list[str]:
        """Return a line a scale, and one for the whole."""
        rows = [
            f"{scale.width:6} x {scale.height:<6}{_tiles_said(scale):24}"
            f"{scale.steps:5} steps of {time_said(scale.seconds):8}{said(scale.bytes):>8}"
            for scale in self.scales
        ]
        memory_said = f"{said(self.bytes)} of {said(self.budget)} memory"
        return [*rows, f"about {time_said(self.seconds)}, {memory_said}"]


@dataclass(frozen=True)
class Work:
    """What a run has to do, as far as memory and time depend on it."""

    architecture: Architecture
    taps: tuple[str, ...]
    content_taps: tuple[str, ...]
    optimizer: str
    pairs: int  # that L-BFGS would like to keep
    sizes: Sequence[tuple[int, int, int]]  # height, width, steps of each scale, coarse to fine
    style_sizes: Sequence[tuple[int, int]]  # of the painting, when it is measured at each scale
    cost: Cost
    base: float  # bytes that the process holds when everything is open

    def fit(self, budget: float) -> Estimate:
        """Return how to do it within ``budget`` bytes.

        As a whole if that fits; else in the largest tiles that do.  L-BFGS gives up some of its
        pairs where larger tiles save time.  Raises NstError with the size that would fit.
        """
        sides = range(self._smallest(), self._longest(), 16)
        found = []
        for pairs in [self.pairs, *(n for n in HISTORIES if n < self.pairs)]:
            fitting: list[int | None] = [None]
            if self._peak(None, pairs) > budget:  # the peak grows with the side
                count = bisect_right(sides, budget, key=lambda side: self._peak(side, pairs))
                fitting = list(sides[:count][-1:])
            for side in fitting:
                scales = [self._scale(k, side, pairs) for k in range(len(self.sizes))]
                found.append(Estimate(scales, side, pairs, budget))
        if not found:
            raise self._too_large(budget)
        least = min(estimate.seconds for estimate in found)
        return next(estimate for estimate in found if estimate.seconds <= PATIENCE * least)

    def least(self) -> float:
        """Return the bytes without which there is no way to do it."""
        return self._peak(self._smallest(), min(self.pairs, HISTORIES[-1]))

    def _too_large(self, budget: float) -> NstError:
        height, width, _ = self.sizes[-1]
        longer = max(height, width)
        smaller = range(SMALLEST_SIDE, longer, 16)
        count = bisect_right(smaller, budget, key=lambda side: self._at_size(side).least())
        advice = f"use --size {smaller[count - 1]} or less, or more" if count else "use more"
        return NstError(
            f"painting {width} x {height} pixels takes {said(self.least())} of memory or more, "
            f"and there is {said(budget)} for it; {advice} --memory."
        )

    def _at_size(self, longer: int) -> "Work":
        """Return the same for a last scale of another size, and no other scale."""
        (height, width, steps), style = self.sizes[-1], self.style_sizes[-1]
        ratio = longer / max(height, width)
        size = (round(height * ratio), round(width * ratio), steps)
        style_size = (round(style[0] * ratio), round(style[1] * ratio))
        return replace(self, sizes=[size], style_sizes=[style_size])

    def _longest(self) -> int:
        return max(max(*size[:2], *style) for size, style in self._pairs())

    def _smallest(self) -> int:
        return smallest_side(self.architecture, self.taps) + SMALLEST_SIDE

    def _pairs(self) -> list[tuple[tuple[int, int, int], tuple[int, int]]]:
        return list(zip(self.sizes, self.style_sizes, strict=True))

    def _peak(self, side: int | None, pairs: int) -> float:
        return max(self._scale(k, side, pairs).bytes for k in range(len(self.sizes)))

    def _scale(self, index: int, side: int | None, pairs: int) -> ScaleEstimate:
        (height, width, steps), style_size = self._pairs()[index]
        rows, columns, window = self._windows(height, width, side)
        whole = len(rows) * len(columns) == 1
        cost, pixels = self.cost, sum(rows) * sum(columns)
        seconds = pixels * (cost.seconds if whole else cost.seconds + cost.features_seconds)
        return ScaleEstimate(
            height,
            width,
            steps,
            (len(rows), len(columns)),
            window,
            self._bytes((height, width), style_size, side, pairs),
            seconds,
        )

    def _bytes(
        self, size: tuple[int, int], style_size: tuple[int, int], side: int | None, pairs: int
    ) -> float:
        """Return the peak at one scale; see the module's docstring."""
        rows, columns, window = self._windows(*size, side)
        style_window = self._windows(*style_size, side)[2]
        image = IMAGE * size[0] * size[1]
        network = self.cost.evaluating(*window)
        steps = max(n for height, width, n in self.sizes if (height, width) == size)
        kept, passing = optimizer_images(self.optimizer, min(pairs, steps))
        targets = 0.0
        if len(rows) * len(columns) == 1:  # otherwise they are in files
            shapes = [self.architecture.shape(tap, *size) for tap in self.content_taps]
            targets = 4.0 * sum(math.prod(shape) for shape in shapes)
            stepping = network + passing * image
        else:
            own = max(math.prod(self.architecture.shape(tap, *window)) for tap in self.taps)
            stepping = max(network + 4 * own, passing * image)  # see TiledObjective._own
        style_image = 2 * IMAGE * style_size[0] * style_size[1]
        style_network = self.cost.measuring(*style_window)
        measuring = 2 * image + targets + style_image + style_network
        evaluating = (2 + kept) * image + targets + stepping
        saving = (1 + kept + SAVING) * image
        return self.base + max(measuring, evaluating, saving)

    def _windows(
        self, height: int, width: int, side: int | None
    ) -> tuple[list[int], list[int], tuple[int, int]]:
        """Return the windows' heights, widths, and the largest of each."""
        rows, columns = (
            [span.stop - span.start for span in spans(self.architecture, self.taps, length, side)]
            for length in (height, width)
        )
        return rows, columns, (max(rows), max(columns))


def optimizer_images(kind: str, pairs: int) -> tuple[int, int]:
    """Return how many arrays of the image's size an optimizer keeps, and needs in passing.

    L-BFGS keeps where its line search started, the gradient there, its direction, and its
    ``pairs``; the best picture so far is a copy.
    """
    if kind == "descent":
        return 0, 1
    if kind == "adam":
        return 2, 1
    return 4 + 2 * pairs, 4


# --- As people say it -----------------------------------------------------------------


def time_said(seconds: float) -> str:
    """Return a duration as people say it: 0.4 s, 12 s, 7 min, 3.5 h."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _tiles_said(scale: ScaleEstimate) -> str:
    rows, columns = scale.tiles
    if rows * columns == 1:
        return "as a whole"
    height, width = scale.window
    return f"{rows * columns} tiles of {width} x {height}"
