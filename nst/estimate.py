"""What a run will take, told before it begins: memory, tiles, time; and whether it fits at all.

A small image is evaluated as the run will evaluate its own, and what that took of time is scaled
up by pixels; of memory what grows with them, see `Vgg.growing_bytes`: the strips in which a layer
is gone through have one size.  The rest is counted in whole images, I = 12 bytes a pixel:

    while measuring    base + I (image) + the resized photograph + the resized painting + a window
    while evaluating   base + I (image, best, d_image, the optimizer's) + targets + a window
    while stepping     the same, and what the optimizer needs in passing; tiles are given back
    while saving       base + I (image, best, optimizer) + SAVING I; a frame: + d_image, targets

``base`` is what the process holds when everything is open.  A window is the part of the image that
the network is given at once: all of it, or the largest tile's.  Targets are the photograph's
features, unless they are in files, and the regions' masks as each layer sees them.  Gram matrices,
plots and the report are small at any size.

Time is that of the evaluations and of the optimizer's passes over whole images, of opening the
graphs of a size, and of measuring the targets there.  Saving is left out.
"""

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nst import images, kernels, memory
from nst.errors import NstError
from nst.kernels import Array
from nst.kernels.blocks import blas_on_one_thread
from nst.memory import Peak, said
from nst.objective import Objective
from nst.objective.tiling import smallest_side, spans
from nst.runs import Run
from nst.scales import Scale
from nst.targets import network_size, objective_at, painting_size
from nst.vgg.architecture import SMALLEST_SIDE, Architecture

IMAGE = 12  # bytes a pixel: three float32
SAVING = 4.5  # images: on the host, scaled to grey levels, as bytes, encoded
PROBE_SECONDS = 0.3
PATIENCE = 1.25  # times the fewest pixels seen: what more pairs of L-BFGS are worth
FIRST_PASS = 1 / 3  # of a tile, forward only: what it takes of the second, forward and backward
HISTORIES = (10, 5, 2)  # pairs that L-BFGS may keep at the least, each two images
PROBE_SIDE = 320  # pixels


@dataclass(frozen=True)
class Cost:
    """What one evaluation took for each pixel of a small image, and what it takes of any."""

    bytes: float  # at its peak: activations, gradients, what the runtime keeps
    seconds: float  # of an image that is seen as a whole
    features_bytes: float  # of a forward pass that keeps nothing: the first pass over tiles
    features_seconds: float
    pass_seconds: float = 0.0  # of adding one array of its size to another
    opening_seconds: float = 0.0  # not for each pixel: the first evaluation of a size takes more
    fixed_bytes: float = 0.0  # of both, what does not grow with the image
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
    on_gpu = vgg.growing_bytes(height, width) is None
    if on_gpu:  # where libraries load what they need at its first use, which does not grow
        objective.evaluate(image)
    vgg.release()
    with Peak(vgg.device) as features_peak:
        vgg.features(image)
    vgg.release()
    with Peak(vgg.device) as peak:
        first = _seconds(lambda: objective.evaluate(image)[0].floats(), most=1)
        seconds = _seconds(lambda: objective.evaluate(image)[0].floats())
    features_seconds = _seconds(lambda: vgg.features(image))
    vgg.release()
    total, k = image.copy(), kernels.of(image)
    pass_seconds = _seconds(lambda: k.axpy(0.5, image, total))
    if on_gpu:  # should the runtime have had some of it already
        peak.bytes = max(peak.bytes, vgg.least_bytes(height, width))
        features_peak.bytes = max(features_peak.bytes, vgg.least_bytes(height, width, kept=False))
    buffers = objective.buffer_bytes()
    growing = _growing(peak.bytes, vgg.growing_bytes(height, width), buffers)
    features_growing = _growing(features_peak.bytes, vgg.growing_bytes(height, width, kept=False))
    return Cost(
        bytes=growing / pixels,
        seconds=seconds / pixels,
        features_bytes=features_growing / pixels,
        features_seconds=features_seconds / pixels,
        pass_seconds=pass_seconds / pixels,
        opening_seconds=max(0.0, first - seconds),
        fixed_bytes=peak.bytes - growing,
        features_fixed_bytes=features_peak.bytes - features_growing,
    )


def _growing(peak: float, network: int | None, buffers: int = 0) -> float:
    """Return what of a ``peak`` grows with the image; all of it where the network says None."""
    return peak if network is None else min(peak, network + buffers)


def _seconds(work: Callable[[], object], most: int = 5) -> float:
    """Return the time that ``work`` takes, the mean of a few tries."""
    began, tries = time.perf_counter(), 0
    while not tries or (time.perf_counter() - began < PROBE_SECONDS and tries < most):
        work()
        tries += 1
    return (time.perf_counter() - began) / tries


def estimate(run: Run) -> "Estimate":
    """Return what ``run`` will take, and settle how it does it: `Run.side` and `Run.pairs`.

    `Run.seconds` says then whether it is long enough to be saved on the way.

    A small image is evaluated for it, a second or two.  Raises NstError, with a size that would
    fit, if there is no way to do it within the memory that the settings allow.
    """
    height, width = probe_size(run.scales[-1].height, run.scales[-1].width)
    with blas_on_one_thread():  # as in complete
        image = run.device.asarray(images.resize(run.content, height, width))
        cost = probe(objective_at(run, Scale(height, width, 1)), image)
    base = memory.used(run.device)
    most = memory.parse(run.settings.memory) or base + memory.SHARE * memory.free(run.device)
    found = work_of(run, cost, base).fit(most)
    run.side, run.pairs, run.planned = found.side, found.pairs, True
    run.seconds = found.seconds
    return found


def probe_size(height: int, width: int) -> tuple[int, int]:
    """Return the size at which an image of ``height`` x ``width`` is probed: no larger than it.

    A narrow image stays as wide as the network needs.
    """
    smaller = network_size(height, width, min(PROBE_SIDE, max(height, width)))
    return smaller if math.prod(smaller) < height * width else (height, width)


def work_of(run: Run, cost: Cost, base: float) -> "Work":
    """Return what ``run`` has to do, in a process that holds ``base`` bytes."""
    return Work(
        run.vgg.network.architecture,
        run.recipe.taps,
        tuple(run.recipe.content),
        tuple(run.recipe.style),
        run.recipe.optimizer,
        run.recipe.history,
        [(scale.height, scale.width, scale.steps) for scale in run.scales],
        [largest_painting(run, scale) for scale in run.scales],
        cost,
        base,
        paintings=len(run.styles),
        regions=len({source.part for source in run.styles if source.region is not None}),
        frames=run.settings.save_every > 0,
    )


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
    preparing_seconds: float = 0.0  # before the first


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
        """All of it, but for reading and writing files."""
        painted = [scale for scale in self.scales if scale.steps]
        return sum(scale.preparing_seconds + scale.steps * scale.seconds for scale in painted)

    def lines(self) -> list[str]:
        """Return a line a scale, and one for the whole."""
        rows = [
            f"{scale.width:6} x {scale.height:<6}{_tiles_said(scale):24}"
            f"{scale.steps:5} {'steps of' if scale.steps != 1 else 'step of':8} "
            f"{time_said(scale.seconds):8}{said(scale.bytes):>8}"
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
    style_taps: tuple[str, ...]
    optimizer: str
    pairs: int  # that L-BFGS would like to keep
    sizes: Sequence[tuple[int, int, int]]  # height, width, steps of each scale, coarse to fine
    style_sizes: Sequence[tuple[int, int]]  # of the largest painting, as each scale measures it
    cost: Cost
    base: float  # bytes that the process holds when everything is open
    paintings: int = 1
    regions: int = 0  # of the photograph: each has masks
    frames: bool = False  # are saved between steps

    def fit(self, budget: float) -> Estimate:
        """Return how to do it within ``budget`` bytes.

        As a whole if that fits; else in the largest tiles that do.  L-BFGS gives up some of its
        pairs where larger tiles save time; that is judged by pixels, so that no clock has a part
        in the picture.  Raises NstError with the size that would fit.
        """
        sides = range(self._smallest(), self._longest(), 16)
        found: list[tuple[int | None, int]] = []
        for pairs in [self.pairs, *(n for n in HISTORIES if n < self.pairs)]:
            fitting: list[int | None] = [None]
            if self._peak(None, pairs) > budget:  # the peak grows with the side
                count = bisect_right(sides, budget, key=lambda side: self._peak(side, pairs))
                fitting = list(sides[:count][-1:])
            found += [(side, pairs) for side in fitting]
        if not found:
            raise self._too_large(budget)
        least = min(self._seen(side) for side, _ in found)
        side, pairs = next(how for how in found if self._seen(how[0]) <= PATIENCE * least)
        scales = [self._scale(k, side, pairs) for k in range(len(self.sizes))]
        return Estimate(scales, side, pairs, budget)

    def target_bytes(self, size: tuple[int, int], whole: bool) -> float:
        """Return the bytes of what an image of ``size`` is compared with: features and masks.

        Seen in tiles, the features are in files.
        """
        content, style = (
            [self.architecture.shape(tap, *size) for tap in taps]
            for taps in (self.content_taps, self.style_taps)
        )
        features = sum(map(math.prod, content)) if whole else 0
        return 4.0 * (features + self.regions * sum(height * width for _, height, width in style))

    def least(self) -> float:
        """Return the bytes without which there is no way to do it."""
        return self._peak(self._smallest(), min(self.pairs, HISTORIES[-1]))

    def _too_large(self, budget: float) -> NstError:
        height, width, _ = self.sizes[-1]
        longer = max(height, width)
        smaller = range(-(-SMALLEST_SIDE * longer // min(height, width)), longer, 16)
        count = bisect_right(smaller, budget, key=lambda side: self._at_size(side).least())
        advice = f"use --size {smaller[count - 1]} or less, or more" if count else "use more"
        return NstError(
            f"painting {width} x {height} pixels takes {said(self.least())} of memory or more, "
            f"and there is {said(budget)} for it; {advice} --memory."
        )

    def _at_size(self, longer: int) -> "Work":
        """Return the same for a last scale of another size, and no other scale."""
        (height, width, steps), style = self.sizes[-1], self.style_sizes[-1]
        style_longer = round(longer * max(style) / max(height, width))
        size = (*images.fit(height, width, longer), steps)
        style_size = network_size(*style, style_longer)
        return replace(self, sizes=[size], style_sizes=[style_size])

    def _longest(self) -> int:
        return max(max(*size[:2], *style) for size, style in self._pairs())

    def _smallest(self) -> int:
        return smallest_side(self.architecture, self.taps) + SMALLEST_SIDE

    def _pairs(self) -> list[tuple[tuple[int, int, int], tuple[int, int]]]:
        return list(zip(self.sizes, self.style_sizes, strict=True))

    def _peak(self, side: int | None, pairs: int) -> float:
        return max(self._scale(k, side, pairs).bytes for k in range(len(self.sizes)))

    def _seen(self, side: int | None) -> float:
        """Return how many pixels the network sees in all steps, forward and backward."""
        pixels = 0.0
        for height, width, steps in self.sizes:
            rows, columns, _ = self._windows(height, width, side)
            again = 0 if _is_whole(rows, columns) else FIRST_PASS
            pixels += steps * sum(rows) * sum(columns) * (1 + again)
        return pixels

    def _scale(self, index: int, side: int | None, pairs: int) -> ScaleEstimate:
        (height, width, steps), style_size = self._pairs()[index]
        rows, columns, window = self._windows(height, width, side)
        return ScaleEstimate(
            height,
            width,
            steps,
            (len(rows), len(columns)),
            window,
            self._bytes((height, width), style_size, side, pairs),
            self._step_seconds((height, width), side, min(pairs, steps)),
            self._preparing_seconds((height, width), style_size, side),
        )

    def _bytes(
        self, size: tuple[int, int], style_size: tuple[int, int], side: int | None, pairs: int
    ) -> float:
        """Return the peak at one scale; see the module's docstring."""
        rows, columns, window = self._windows(*size, side)
        style_window = self._windows(*style_size, side)[2]
        whole = _is_whole(rows, columns)
        image = IMAGE * size[0] * size[1]
        network = self.cost.evaluating(*window)
        steps = max(n for height, width, n in self.sizes if (height, width) == size)
        kept, passing = optimizer_images(self.optimizer, min(pairs, steps))
        targets = self.target_bytes(size, whole)
        if whole:
            stepping = network + passing * image
        else:
            own = max(math.prod(self.architecture.shape(tap, *window)) for tap in self.taps)
            stepping = max(network + 4 * own, passing * image)  # see Objective._own
        style_image = 2 * IMAGE * style_size[0] * style_size[1]
        style_network = self.cost.measuring(*style_window)
        measuring = 2 * image + targets + style_image + style_network
        evaluating = (2 + kept) * image + targets + stepping
        saving = (1 + kept + SAVING) * image
        if self.frames:
            saving += image + targets + (network if whole else 0)
        return self.base + max(measuring, evaluating, saving)

    def _step_seconds(self, size: tuple[int, int], side: int | None, pairs: int) -> float:
        rows, columns, _ = self._windows(*size, side)
        cost = self.cost
        again = 0 if _is_whole(rows, columns) else cost.features_seconds
        passes = cost.pass_seconds * optimizer_passes(self.optimizer, pairs)
        seen = sum(rows) * sum(columns) * (cost.seconds + again)
        return seen + size[0] * size[1] * passes

    def _preparing_seconds(
        self, size: tuple[int, int], style_size: tuple[int, int], side: int | None
    ) -> float:
        """Return the time to open the network at one scale and to measure the targets."""
        rows, columns, _ = self._windows(*size, side)
        style_rows, style_columns, _ = self._windows(*style_size, side)
        pixels = sum(rows) * sum(columns) + self.paintings * sum(style_rows) * sum(style_columns)
        return self.cost.opening_seconds + pixels * self.cost.features_seconds

    def _windows(
        self, height: int, width: int, side: int | None
    ) -> tuple[list[int], list[int], tuple[int, int]]:
        """Return the windows' heights, widths, and the largest of each."""
        rows, columns = (
            [span.stop - span.start for span in spans(self.architecture, self.taps, length, side)]
            for length in (height, width)
        )
        return rows, columns, (max(rows), max(columns))


def _is_whole(rows: list[int], columns: list[int]) -> bool:
    return len(rows) == len(columns) == 1


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


def optimizer_passes(kind: str, pairs: int) -> int:
    """Return about how many passes over arrays of the image's size a step and its checks take.

    A pass is what adding one array to another takes.  L-BFGS' are two dot products and two sums
    for each of its ``pairs``, and its line search's.
    """
    if kind == "descent":
        return 4
    if kind == "adam":
        return 6
    return 30 + 4 * pairs


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
