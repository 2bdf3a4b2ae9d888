"""The figures of the lesson: what each asks, what a reader can change, and the lines behind it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nst.kernels import numpy_kernels
from nst.lesson import blindness, coarse, gram_matrix, pulls, seeing, slope, stepping
from nst.lesson.pieces import Answer
from nst.lesson.sources import Source, find
from nst.lesson.subject import LAYERS, STYLE_TAPS, TAPS, Subject
from nst.objective import content, smoothness, style, tiling
from nst.objective.objective import Objective, combine
from nst.objective.styles.covariance import CovarianceStyle
from nst.objective.styles.gram import GramStyle
from nst.objective.styles.moments import MomentsStyle
from nst.objective.styles.neighbours import NeighboursStyle
from nst.optimizers import Adam, Lbfgs, NormalisedDescent
from nst.vgg import Vgg, graphs

MOST_CHANNEL, MOST_PIXEL, MOST_STEPS = 175, 159, 60


@dataclass(frozen=True)
class Choice:
    """One of some words, or of some numbers."""

    name: str
    label: str
    options: Sequence[str | float]
    value: str | float

    def check(self, given: Any) -> str | None:
        """Return what is wrong with a value, or None."""
        if given in self.options:
            return None
        return f"{self.name} must be one of {', '.join(map(str, self.options))}"


@dataclass(frozen=True)
class Number:
    """A whole number from ``low`` to ``high``; ``steps`` is walked to, step by step."""

    name: str
    label: str
    low: int
    high: int
    value: int
    step: int = 1  # between values that a slider offers
    steps: bool = False

    def check(self, given: Any) -> str | None:
        """Return what is wrong with a value, or None."""
        if isinstance(given, bool) or not isinstance(given, int):
            return f"{self.name} must be a whole number"
        if not self.low <= given <= self.high:
            return f"{self.name} must be from {self.low} to {self.high}"
        return None


@dataclass(frozen=True)
class Figure:
    """One figure: a chapter's function, its controls, and the lines of source behind it."""

    ask: Callable[..., Answer]
    controls: Sequence[Choice | Number]
    lines: Sequence[tuple[Callable[..., Any], str]]
    views: Sequence[Mapping[str, Any]] = ()  # that an export records, beside the opening one

    @property
    def opening(self) -> dict[str, Any]:
        """What is asked first."""
        return {control.name: control.value for control in self.controls}

    @property
    def sources(self) -> list[Source]:
        """The lines, each found."""
        return [find(function, text) for function, text in self.lines]

    def answer(self, subject: Subject, given: Mapping[str, Any]) -> Answer:
        """Return what the figure shows for what the reader chose."""
        return self.ask(subject, **given)


def _row(value: int) -> Number:
    return Number("row", "row", 0, MOST_PIXEL, value)


def _column(value: int) -> Number:
    return Number("column", "column", 0, MOST_PIXEL, value)


def _channel(value: int, name: str = "channel", label: str = "channel") -> Number:
    return Number(name, label, 0, MOST_CHANNEL, value)


def _steps(most: int = MOST_STEPS) -> Number:
    return Number("step", "steps", 0, most, 0, steps=True)


FIGURES: dict[str, Figure] = {
    "pixel": Figure(
        seeing.pixel,
        (_row(40), _column(40)),
        (),
        [{"row": 10, "column": 20}, {"row": 60, "column": 30}],
    ),
    "layer": Figure(
        seeing.layer,
        (Choice("tap", "layer", LAYERS, "relu2_1"), _channel(3), _row(40), _column(40)),
        ((Vgg.features, 'self._pass("features"'),),
        [
            {"tap": tap, "channel": channel, "row": 40, "column": 40}
            for tap in LAYERS
            for channel in (0, 3, 7)
        ],
    ),
    "convolution": Figure(
        seeing.convolution,
        (
            Choice("tap", "convolution", tuple(seeing.BEFORE), "conv1_1"),
            _channel(5),
            _row(40),
            _column(40),
        ),
        ((graphs.conv, "Conv"), (graphs.relu, "Relu"), (seeing.convolution, "products = ")),
        [
            {"tap": tap, "channel": channel, "row": row, "column": 40}
            for tap in seeing.BEFORE
            for channel in (0, 5)
            for row in (20, 40)
        ],
    ),
    "distance": Figure(
        seeing.distance,
        (Number("percent", "faded to the painting, percent", 0, 100, 30),),
        (
            (numpy_kernels.mse, "_dot(difference, difference)"),
            (content.content_loss, "loss = k.mse"),
            (numpy_kernels.mse_backward, "pull *= factor"),
        ),
        [{"percent": percent} for percent in (0, 10, 60, 100)],
    ),
    "entry": Figure(
        gram_matrix.entry,
        (
            Choice("tap", "layer", TAPS[:2], "relu1_1"),
            _channel(3, "i", "row i"),
            _channel(11, "j", "column j"),
            Choice("picture", "picture", ("photograph", "painting"), "photograph"),
        ),
        ((numpy_kernels.gram, "f @ f.T"), (GramStyle.measure, "products = k.gram")),
        [
            {"tap": "relu1_1", "i": i, "j": j, "picture": picture}
            for picture in ("photograph", "painting")
            for i, j in ((3, 3), (3, 11), (0, 7), (5, 20))
        ],
    ),
    "shuffle": Figure(
        gram_matrix.shuffle,
        (
            Choice("tap", "layer", TAPS[:2], "relu1_1"),
            _channel(3),
            Number("percent", "shuffled, percent", 0, 100, 0, 5),
        ),
        ((numpy_kernels.gram, "f @ f.T"), (gram_matrix.shuffle_pixels, "[:, order]")),
        [{"tap": "relu1_1", "channel": 3, "percent": percent} for percent in (25, 50, 100)],
    ),
    "twin": Figure(
        gram_matrix.twin,
        (_steps(),),
        ((GramStyle.compare, "loss = k.mse"), (Lbfgs.step, "self.search.advance")),
        [{"step": step} for step in (1, 5, 10, 20, 40)],
    ),
    "style": Figure(
        gram_matrix.style,
        (Choice("tap", "layer", STYLE_TAPS, "relu2_1"),),
        ((style.style_loss, "loss, d_sums = "), (GramStyle.compare, "loss = k.mse")),
        [{"tap": tap} for tap in STYLE_TAPS],
    ),
    "nudge": Figure(
        slope.pixel_slope,
        (
            Choice("loss", "loss", slope.LOSSES, "style"),
            _row(40),
            _column(40),
            Choice("colour", "colour", slope.COLOURS, "red"),
            Choice("nudge", "nudge h", (0.1, 0.01, 0.003, 0.001, 0.0001), 0.001),
        ),
        (
            (style.style_loss, "d_features = target.spread"),
            (numpy_kernels.gram_backward, "both = "),
            (smoothness.smoothness_loss, "d_image = backward"),
            (Vgg.backward, 'self._pass("backward"'),
        ),
        [
            {"loss": loss, "row": row, "column": 40, "colour": "red", "nudge": 0.001}
            for loss in slope.LOSSES
            for row in (20, 40, 60)
        ],
    ),
    "digits": Figure(
        slope.digits,
        (),
        ((style.style_loss, "d_features = target.spread"),),
    ),
    "line": Figure(
        slope.line_slope,
        (
            Choice("line", "line of the derivations", tuple(slope.LINES), "gram"),
            Number("element", "which number (0 is the one that matters most)", 0, 200, 0),
            Choice("nudge", "nudge h", slope.NUDGES, 1e-3),
        ),
        ((slope.line_slope, "slope, claimed = "),),
        [{"line": line, "element": 0, "nudge": 0.001} for line in slope.LINES],
    ),
    "pull": Figure(
        pulls.pull,
        (
            Choice("tap", "layer", TAPS[:2], "relu1_1"),
            _channel(3, "i", "row i"),
            _channel(11, "j", "column j"),
            Number("count", "strongest entries", 1, 528, 20),
        ),
        (
            (numpy_kernels.mse_backward, "np.subtract(here, wanted"),
            (numpy_kernels.gram_backward, "both = "),
            (Vgg.backward, 'self._pass("backward"'),
        ),
        [
            {"tap": "relu1_1", "i": i, "j": j, "count": count}
            for i, j, count in ((3, 3, 1), (3, 11, 5), (0, 7, 20), (5, 20, 200))
        ],
    ),
    "step": Figure(
        stepping.step,
        (Choice("optimizer", "optimizer", tuple(stepping.OPTIMIZERS), "descent"), _steps()),
        (
            (Objective.evaluate, "total, _ = combine"),
            (NormalisedDescent.step, "k.normalised_descent_step"),
            (numpy_kernels.normalised_descent_step, "axpy("),
            (Adam.step, "k.adam_step"),
            (numpy_kernels.adam_step, "here -= "),
            (Lbfgs.step, "self.search.advance"),
        ),
        [
            {"optimizer": optimizer, "step": step}
            for optimizer in stepping.OPTIMIZERS
            for step in (0, 1, 5, 20)
        ],
    ),
    "scale": Figure(
        stepping.scale,
        (
            Choice("factor", "the loss, counted so many times", (1, 10, 100, 1000), 1),
            Choice("white", "the number of a white pixel", (1, 255), 1),
        ),
        (
            (numpy_kernels.normalised_descent_step, "axpy("),
            (numpy_kernels.adam_step, "here -= "),
        ),
        [{"factor": f, "white": w} for f in (1, 1000) for w in (1, 255)],
    ),
    "hvass": Figure(
        stepping.hvass,
        (Choice("picture", "picture", stepping.PICTURES, stepping.PICTURES[0]),),
        ((combine, "total = sum(kind_weight[kind] * np.log"),),
        [{"picture": picture} for picture in stepping.PICTURES],
    ),
    "blindness": Figure(
        blindness.compared,
        (
            Choice("change", "change", tuple(blindness.CHANGES), "shuffled"),
            Number("percent", "how much, percent", 0, 100, 100, 5),
            Choice("tap", "compared", blindness.LOOKED_AT[:3], "pixels"),
        ),
        (
            (GramStyle.compare, "loss = k.mse"),
            (CovarianceStyle.compare, "loss = "),
            (MomentsStyle.compare, "loss = gram_loss"),
            (NeighboursStyle.measure, "total = k.cosine_distance"),
        ),
        [
            {"change": change, "percent": 100, "tap": tap}
            for change in blindness.CHANGES
            for tap in blindness.LOOKED_AT[:2]
        ],
    ),
    "scales": Figure(
        coarse.scales,
        (Choice("way", "way", coarse.WAYS, "coarse"), _steps()),
        ((Lbfgs.step, "self.search.advance"),),
        [{"way": way, "step": step} for way in coarse.WAYS for step in (0, 5, 12, 13, 20, 30)],
    ),
    "tiles": Figure(
        coarse.tiles,
        (
            Number("side", "largest window, pixels", 44, 160, 48),
            Number("tile", "tile", 0, 40, 0),
            _channel(3),
        ),
        (
            (Objective.in_tiles, "sums = reduce(add"),
            (Objective.in_tiles, "d_shown[tile.window] +="),
            (tiling.spans, "starts = ["),
        ),
        [{"side": 48, "tile": tile, "channel": 3} for tile in range(4)],
    ),
}
