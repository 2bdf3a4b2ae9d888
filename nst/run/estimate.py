"""What a run takes in tiles of one size: memory and time, of one evaluation's, see probe.py.

What is no part of an evaluation is counted in whole images, I = 12 bytes a pixel:

    while measuring    base + I (image) + the resized photograph + the resized painting + a window
    while evaluating   base + I (image, best, d_image, the optimizer's) + targets + a window
    while stepping     the same, and what the optimizer needs in passing; tiles are given back
    while saving       base + I (image, best, optimizer) + SAVING I; a frame: + d_image, targets

``base`` is what the process holds when everything is open, and the image that painting starts
from.  A window is the part of the image that the network is given at once: all of it, or the
largest tile's.  Targets are the photograph's features and what is made for each scale, and the
paintings' features where these are looked at anew, unless they are in files; and the regions'
masks as each layer sees them.  Gram matrices, plots and the report are small at any size.

Time is that of the evaluations and of the optimizer's passes over whole images, of opening the
graphs of a size, and of measuring the targets there.  Saving is left out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nst.memory import format_bytes
from nst.objective.style import Style
from nst.objective.styles.matching import ASKED_BACK, MAIN_DIRECTIONS
from nst.objective.styles.sums import Effort
from nst.objective.tiling import smallest_side, spans
from nst.pictures import images
from nst.run.probe import Cost
from nst.run.targets import network_size
from nst.values import format_seconds
from nst.vgg.architecture import SMALLEST_SIDE, Architecture

IMAGE = 12  # bytes a pixel: three float32
SAVING = 4.5  # images: on the host, scaled to grey levels, as bytes, encoded
SAVING_PARTS = 3  # images more, where a picture has regions, or an opacity
SAVING_CHROMA = 10.5  # images more, where it takes the photograph's chroma
SAVING_AVIF = 2.5  # images more
WARPED = 4 / 3 + 5  # images: three colours and a certainty; the frames before, and this one's own
TRANSFORM = 16  # passes that one cosine transform takes, and the sums over its bands
EDGES = 1 / 4  # images: the blocks of 4 x 4 pixels, their Laplacian and its target
EDGE_PASSES = 4  # over the image, to blocks and back
WARPED_PASSES = 2  # that the temporal loss takes, there and back
FIRST_PASS = 1 / 3  # of a tile, forward only: what it takes of the second, forward and backward


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
            f"{scale.width:6} x {scale.height:<6}{_format_tiles(scale):24}"
            f"{scale.steps:5} {'steps of' if scale.steps != 1 else 'step of':8} "
            f"{format_seconds(scale.seconds):8}{format_bytes(scale.bytes):>8}"
            for scale in self.scales
        ]
        of_memory = f"{format_bytes(self.bytes)} of {format_bytes(self.budget)} memory"
        return [*rows, f"about {format_seconds(self.seconds)}, {of_memory}"]


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
    start: int = 0  # bytes a pixel of the first scale: of the image that painting starts from
    paintings: int = 1
    regions: int = 0  # of the photograph: each has masks
    frames: bool = False  # are saved between steps
    asking: Mapping[str, type[Style]] = field(default_factory=dict)
    # ^ the taps whose targets are made for each scale, and what makes them
    blended: bool = False  # the photograph's own features go into these targets
    averaged: bool = False  # the picture is a running mean of Adam's steps
    looking: Mapping[str, type[Style]] = field(default_factory=dict)
    # ^ the taps at which the paintings' own features are kept, in files where they are in tiles
    whole: bool = False  # what it compares cannot be had tile by tile
    looked_at: int | None = None  # positions of a painting
    both_ways: bool = False  # and some of the image's are asked back
    padding: int = 0  # pixels around a picture that the network is shown
    bands: int = 1  # of frequencies in which L-BFGS begins
    edges: bool = False  # of the photograph are kept
    warped: bool = False  # there is a picture of the frames before, and its certainty
    saving: float = SAVING  # images that it takes to bring it into its last colours and save it

    def target_bytes(self, size: tuple[int, int], whole: bool) -> float:
        """Return the bytes of what an image of ``size`` is compared with: features and masks.

        Seen in tiles, the features are in files.
        """
        content, style = (
            [self.architecture.shape(tap, *size) for tap in taps]
            for taps in (self.content_taps, self.style_taps)
        )
        content += [self.architecture.shape(tap, *size) for tap in self.asking] * self.fields
        features = sum(map(math.prod, content)) if whole else 0
        return 4.0 * (features + self.regions * sum(height * width for _, height, width in style))

    @property
    def fields(self) -> int:
        """How many targets of the image's own size there are at a tap that asks: by region."""
        return max(1, self.regions)

    def asked(self, size: tuple[int, int], style_size: tuple[int, int], whole: bool) -> Effort:
        """Return what it takes to make the targets that are made for each scale."""
        values = products = 0.0
        for tap, kind in self.asking.items():
            shape = self.architecture.shape
            channels, rows, columns = shape(tap, *size)
            painted = self.paintings * math.prod(shape(tap, *style_size)[1:])
            effort = kind.effort(channels, (rows, columns), painted, self.looked_at)
            own = channels * rows * columns
            in_file = 0 if whole else own
            values += effort.values - in_file + (own if whole and self.blended else 0)
            often = 1.0
            if self.both_ways:  # a copy of what is looked at, with its prices
                values += channels * min(painted, self.looked_at or painted)
                often = (1 + 1 / ASKED_BACK) * min(1.0, MAIN_DIRECTIONS / channels)
            products += often * effort.products
        return Effort(values, products)

    def looked(
        self, size: tuple[int, int], style_size: tuple[int, int], whole: bool, style_whole: bool
    ) -> float:
        """Return the bytes of what is looked at anew at each evaluation.

        The features of paintings that are seen as a whole, and of the photograph if it is blended
        in.  Of an image in tiles what is looked at, what pulls on that, and the same weighed.
        """
        values, shape = 0.0, self.architecture.shape
        for tap, kind in self.looking.items():
            channels, rows, columns = shape(tap, *size)
            kept = self.fields * rows * columns if whole and self.blended else 0
            if style_whole:
                kept += self.paintings * math.prod(shape(tap, *style_size)[1:])
            effort = kind.effort(channels, (rows, columns), kept, self.looked_at)
            values += effort.kept + (0 if whole else 3 * self.fields * effort.seen)
        return 4 * values

    def at_size(self, longer: int) -> "Work":
        """Return the same for a last scale of another size, and no other scale."""
        (height, width, steps), style = self.sizes[-1], self.style_sizes[-1]
        style_longer = round(longer * max(style) / max(height, width))
        size = (*images.fit(height, width, longer), steps)
        style_size = network_size(*style, style_longer)
        return replace(self, sizes=[size], style_sizes=[style_size])

    @property
    def longest(self) -> int:
        """The side, in pixels, of the smallest window that holds every picture as a whole."""
        longest = max(max(*size[:2], *style) for size, style in self._pairs())
        return longest + 2 * self.padding

    @property
    def smallest(self) -> int:
        """The side, in pixels, of the smallest window that is tried."""
        least = smallest_side(self.architecture, self.taps) + SMALLEST_SIDE
        return max(least, self.longest) if self.whole else least

    def peak(self, side: int | None, pairs: int) -> float:
        """Return the most bytes that the process will hold, at any scale."""
        return max(self.scale(k, side, pairs).bytes for k in range(len(self.sizes)))

    def seen(self, side: int | None) -> float:
        """Return how many pixels the network sees in all steps, forward and backward."""
        pixels = 0.0
        for height, width, steps in self.sizes:
            rows, columns, _ = self._windows(height, width, side)
            again = 0 if _is_whole(rows, columns) else FIRST_PASS
            pixels += steps * sum(rows) * sum(columns) * (1 + again)
        return pixels

    def scale(self, index: int, side: int | None, pairs: int) -> ScaleEstimate:
        """Return what one scale takes, in windows of ``side`` and with ``pairs`` of L-BFGS."""
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
        style_rows, style_columns, style_window = self._windows(*style_size, side)
        whole, style_whole = _is_whole(rows, columns), _is_whole(style_rows, style_columns)
        image = IMAGE * size[0] * size[1]
        network = self.cost.evaluating(*window)
        steps = max(n for height, width, n in self.sizes if (height, width) == size)
        kept_pairs = min(pairs, steps), self.averaged, self.bands
        kept, passing = optimizer_images(self.optimizer, *kept_pairs)
        targets = self.target_bytes(size, whole)
        targets += self.looked(size, style_size, whole, style_whole)
        if whole:
            stepping = network + passing * image
        else:
            own, read = (
                max((math.prod(self.architecture.shape(tap, *window)) for tap in taps), default=0)
                for taps in (self.taps, {*self.content_taps, *self.asking})
            )  # see Objective._own; what they are compared with comes from a file
            stepping = max(network + 4 * (own + read), passing * image)
        style_image = 2 * IMAGE * style_size[0] * style_size[1]
        style_network = self.cost.measuring(*style_window)
        measuring = 2 * image + targets + style_image + style_network
        measuring += 4 * self.asked(size, style_size, whole).values
        evaluating = (2 + kept) * image + targets + stepping
        if self.warped:
            measuring += WARPED * image
            evaluating += WARPED * image
        if self.padding:  # the image with its margin, and its gradient
            shown, style_shown = (
                IMAGE * math.prod(length + 2 * self.padding for length in lengths)
                for lengths in (size, style_size)
            )
            measuring += max(shown, style_shown)
            evaluating += 2 * shown
        if self.edges:
            measuring += EDGES * image
            evaluating += EDGES * image
        saving = (1 + kept + self.saving) * image
        if self.frames:
            saving += image + targets + (network if whole else 0)
        held = self.base + self.start * self.sizes[0][0] * self.sizes[0][1]
        return held + max(measuring, evaluating, saving)

    def _pairs(self) -> list[tuple[tuple[int, int, int], tuple[int, int]]]:
        return list(zip(self.sizes, self.style_sizes, strict=True))

    def _step_seconds(self, size: tuple[int, int], side: int | None, pairs: int) -> float:
        rows, columns, _ = self._windows(*size, side)
        cost = self.cost
        again = 0 if _is_whole(rows, columns) else cost.features_seconds
        kept_pairs = pairs, self.averaged, self.bands
        passes = optimizer_passes(self.optimizer, *kept_pairs)
        passes += EDGE_PASSES * self.edges + WARPED_PASSES * self.warped
        seen = sum(rows) * sum(columns) * (cost.seconds + again)
        return seen + size[0] * size[1] * passes * cost.pass_seconds

    def _preparing_seconds(
        self, size: tuple[int, int], style_size: tuple[int, int], side: int | None
    ) -> float:
        """Return the time to open the network at one scale and to measure the targets."""
        rows, columns, _ = self._windows(*size, side)
        style_rows, style_columns, _ = self._windows(*style_size, side)
        seen = sum(rows) * sum(columns)
        pixels = seen + self.paintings * sum(style_rows) * sum(style_columns)
        if self.asking:
            pixels += seen * (2 if self.blended else 1)
        matching = self.asked(size, style_size, True).products * self.cost.product_seconds
        return self.cost.opening_seconds + pixels * self.cost.features_seconds + matching

    def _windows(
        self, height: int, width: int, side: int | None
    ) -> tuple[list[int], list[int], tuple[int, int]]:
        """Return the windows' heights, widths, and the largest of each."""
        how = self.architecture, self.taps
        rows, columns = (
            [span.stop - span.start for span in spans(*how, length, side, self.padding)]
            for length in (height, width)
        )
        return rows, columns, (max(rows), max(columns))


def _is_whole(rows: list[int], columns: list[int]) -> bool:
    return len(rows) == len(columns) == 1


def optimizer_images(
    kind: str, pairs: int, averaged: bool = False, bands: int = 1
) -> tuple[int, int]:
    """Return how many arrays of the image's size an optimizer keeps, and needs in passing.

    L-BFGS keeps where its line search started, the gradient there, its direction, and its
    ``pairs``; the best picture so far is a copy, and so it is where Adam's are ``averaged``.
    Beginning in ``bands``, it transforms images, on a GPU through complex numbers.
    """
    if kind == "descent":
        return 0, 1
    if kind == "adam":
        return 2 + averaged, 1
    if kind == "pyramid":  # a third more than the image: its coefficients, and their moments
        return 4, 4
    return 4 + 2 * pairs, 5 if bands == 1 else 9


def optimizer_passes(kind: str, pairs: int, averaged: bool = False, bands: int = 1) -> int:
    """Return about how many passes over arrays of the image's size a step and its checks take.

    A pass is what adding one array to another takes.  L-BFGS reads each of its ``pairs`` five
    times, in products of a matrix and a vector, which is about two; and there is its line
    search's, and in ``bands``, four cosine transforms.
    """
    if kind == "descent":
        return 4
    if kind == "adam":
        return 6 + 2 * averaged
    if kind == "pyramid":
        return 30
    return 30 + 2 * pairs + (0 if bands == 1 else 4 * TRANSFORM)


# --- As people say it -----------------------------------------------------------------


def _format_tiles(scale: ScaleEstimate) -> str:
    rows, columns = scale.tiles
    if rows * columns == 1:
        return "as a whole"
    height, width = scale.window
    return f"{rows * columns} tiles of {width} x {height}"
