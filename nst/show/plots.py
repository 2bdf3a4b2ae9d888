"""Pictures about pictures: the triptych, the losses, what a layer sees and what a style is.

Every function draws into a figure of its own and writes it like any other image: PNG or JPEG,
whole or not at all.  There is no pyplot here, so no window, no display, and nothing that one plot
leaves behind for the next.  What the user's matplotlibrc says is for other plots than these.

Matplotlib takes a second to import: import this module late.  That raises NstError if matplotlib
does not start.
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import cast

import numpy as np

from nst.errors import NstError

try:
    from matplotlib import colormaps, rc_context, rcParamsDefault
except Exception as error:
    raise NstError(f"matplotlib does not start, see its matplotlibrc: {error}") from error

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import FuncNorm, to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine, LayoutEngine
from matplotlib.ticker import MaxNLocator

from nst import files, machine
from nst.pictures import images
from nst.run.records import NOT_LOSSES

DPI = 128  # a power of two: pixels / DPI * DPI is the same number of pixels
INK, FAINT = "#222222", "#b0b0b0"
LIGHT = "#e8e4de"  # ink on a dark ground
LEAST, MOST = 1e-100, 1e100  # of the losses that are drawn
MARGIN, GAP, TITLE = 18, 12, 36  # pixels: around the panels, between them, and of a line above

PANEL_HEIGHT = 480  # pixels of a triptych's images,
TRIPTYCH_WIDTH = 2400  # unless the three together would be wider than this
CELL_WIDTH, CAPTION = 132, 26  # pixels of a feature map, and of the line below it
GRAM_SIDE, BAR_HEIGHT, BAR_LABELS = 300, 12, 24  # pixels of a Gram matrix and its colour bar

LIGHTNESS = {"Oranges": (0.9, 0.6), "viridis": (0.0, 0.8)}  # of the lines: where in a colour map
BACKEND = ("backend", "backend_fallback", "interactive")  # no matter of looks
LOOKS = {name: value for name, value in rcParamsDefault.items() if name not in BACKEND}

NOT_TERMS = (*NOT_LOSSES, "total")  # what else a row of a history holds


@rc_context(LOOKS)
def triptych(
    content: np.ndarray,
    mixed: np.ndarray,
    style: np.ndarray,
    path: files.PathLike,
    title: str | None = None,
) -> None:
    """Write content | mixed | style side by side; see ``draw_triptych``."""
    _save(draw_triptych(content, mixed, style, title), path)


@rc_context(LOOKS)
def draw_triptych(
    content: np.ndarray, mixed: np.ndarray, style: np.ndarray, title: str | None = None
) -> Figure:
    """Draw content | mixed | style side by side, at one height, each under its name.

    The three are (3, H, W) in [0, 1], of any sizes.  Each is resampled to the very pixels it
    gets, so that what is seen is the image and not the plot.
    """
    panels = {"content": content, "mixed": mixed, "style": style}
    aspects = [image.shape[2] / image.shape[1] for image in panels.values()]
    height = max(1, min(PANEL_HEIGHT, round(TRIPTYCH_WIDTH / sum(aspects))))
    widths = [max(1, round(height * aspect)) for aspect in aspects]
    header = TITLE * (2 if title else 1)
    figure = _figure(sum(widths) + 2 * GAP + 2 * MARGIN, height + header + MARGIN)
    left = MARGIN
    for (name, image), width in zip(panels.items(), widths, strict=True):
        pixels = images.as_uint8(images.resize(image, height, width))
        figure.figimage(pixels, xo=left, yo=MARGIN, origin="upper")
        _write_text(figure, name, left + width / 2, MARGIN + height + TITLE / 2, size=10)
        left += width + GAP
    if title:
        middle = sum(widths) / 2 + GAP + MARGIN
        _write_text(figure, title, middle, MARGIN + height + TITLE * 3 / 2, size=12)
    return figure


@rc_context(LOOKS)
def draw_sheet(panels: Sequence[tuple[str, np.ndarray]]) -> Figure:
    """Draw a contact sheet: pictures of one subject in rows, each above its name.

    ``panels`` are names and images (3, H, W) in [0, 1]; each is resampled to the size of the last,
    whose own pixels are shown.
    """
    height, width = panels[-1][1].shape[1:]
    columns = math.ceil(math.sqrt(len(panels) * height / width))
    columns = min(len(panels), max(1, columns))
    rows = math.ceil(len(panels) / columns)
    across, down = width + GAP, height + TITLE
    figure = _figure(columns * across - GAP + 2 * MARGIN, rows * down + MARGIN)
    for i, (name, image) in enumerate(panels):
        row, column = divmod(i, columns)
        left, bottom = MARGIN + column * across, (rows - row) * down - height
        pixels = images.as_uint8(images.resize(image, height, width))
        figure.figimage(pixels, xo=left, yo=bottom, origin="upper")
        said = name if len(name) <= width // 8 else name[: max(1, width // 8 - 3)] + "..."
        _write_text(figure, said, left + width / 2, bottom - TITLE / 2, size=10)
    return figure


def loss_curves(
    history: Sequence[Mapping[str, float]], path: files.PathLike, total: bool = False
) -> None:
    """Write every raw loss against the step, on a logarithmic axis; see ``draw_losses``."""
    _save(draw_losses(history, total), path)


@rc_context(LOOKS)
def draw_losses(
    history: Sequence[Mapping[str, float]], total: bool = False, dark: bool = False
) -> Figure:
    """Draw every raw loss against the step, on a logarithmic axis.

    ``history`` has one mapping a step: "step", "scale" and "size" (pixels), and the raw losses
    "content relu4_1", "style relu1_1", ..., "smoothness".  Where the scale changes there is a
    vertical line.  What is zero, negative or not finite cannot be on the axis and is left out, and
    so is what lies beyond LEAST and MOST: matplotlib cannot draw so long an axis.
    The "total" is drawn only if asked for: where losses are combined by their logarithms it is
    constant (see nst/objective/objective.py), and teaches nothing.  On a ``dark`` ground ink is
    light, and so are the lines.
    """
    ink = LIGHT if dark else INK
    margin = MARGIN / 2 / DPI
    figure = _figure(1120, 600, ConstrainedLayoutEngine(w_pad=margin, h_pad=margin))
    axes = figure.add_subplot()
    axes.set_yscale("log")
    axes.set_xlabel("step", color=ink, fontsize=8)
    axes.set_ylabel("raw loss", color=ink, fontsize=8)
    axes.tick_params(labelsize=7.5, colors=ink)
    axes.grid(color=FAINT, alpha=0.35, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(ink)
    axes.xaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.margins(x=0.01)
    steps = _running_steps(history)
    for name, look in _looks(terms(history), total, dark).items():
        values = np.array([row.get(name, math.nan) for row in history], float)
        values[~((LEAST < values) & (values < MOST))] = math.nan
        marker = "o" if np.isfinite(values).sum() == 1 else ""  # a line needs two
        axes.plot(steps, values, label=name, marker=marker, markersize=3, **look)
    _mark_scales(axes, steps, history, ink)
    if axes.lines:
        figure.legend(loc="outside right upper", frameon=False, fontsize=7.5, labelcolor=ink)
    else:
        axes.text(0.5, 0.5, "no step was taken", transform=axes.transAxes, ha="center", color=ink)
    return figure


def as_svg(figure: Figure) -> bytes:
    """Return a drawn figure as SVG: on no ground, sharp at any size, the same bytes each time."""
    encoded = BytesIO()
    looks = LOOKS | {"svg.hashsalt": "nst"}
    with machine.without_variable("SOURCE_DATE_EPOCH"), rc_context(looks):  # it may be no number
        figure.savefig(encoded, format="svg", metadata={"Date": None}, transparent=True)
    return encoded.getvalue()


@rc_context(LOOKS)
def feature_maps(
    features: np.ndarray, path: files.PathLike, columns: int = 8, limit: int = 32
) -> None:
    """Write the first ``limit`` channels of (C, H, W) features as a grid of maps.

    Each channel is stretched over its own range, which stands below it: otherwise the strongest
    few would leave the others black.  Maps longer than 4 : 1 are drawn as 4 : 1.
    """
    if features.ndim != 3 or 0 in features.shape or min(columns, limit) < 1:
        raise ValueError(
            f"feature_maps needs (C, H, W) features, columns and limit; got {features.shape}, "
            f"{columns} and {limit}"
        )
    channels, height, width = features.shape
    shown = features[:limit]
    columns = min(columns, len(shown))
    rows = math.ceil(len(shown) / columns)
    cell_height = round(CELL_WIDTH * min(max(height / width, 1 / 4), 4))
    grid_width = columns * (CELL_WIDTH + GAP) - GAP
    top = MARGIN + rows * (cell_height + CAPTION)
    figure = _figure(max(grid_width, 2 * CELL_WIDTH) + 2 * MARGIN, top + TITLE)
    for i, channel in enumerate(shown):
        row, column = divmod(i, columns)
        left = (figure.bbox.width - grid_width) / 2 + column * (CELL_WIDTH + GAP)
        bottom = top - row * (cell_height + CAPTION) - cell_height
        axes = _panel(figure, left, bottom, CELL_WIDTH, cell_height)
        axes.imshow(channel, cmap="magma", interpolation="nearest", aspect="auto")
        caption = f"{i}:  {channel.min():.3g} to {channel.max():.3g}"
        _write_text(figure, caption, left + CELL_WIDTH / 2, bottom - 10, size=6.5)
    count = f"{channels}" if channels == len(shown) else f"the first {len(shown)} of {channels}"
    title = f"{count} channels, each {height} x {width}"
    _write_text(figure, title, figure.bbox.width / 2, top + TITLE / 2, size=9)
    _save(figure, path)


@rc_context(LOOKS)
def gram_matrices(grams: Mapping[str, np.ndarray], path: files.PathLike) -> None:
    """Write (C, C) Gram matrices side by side, each with the colour bar of its own values.

    Colour follows the square root: a Gram entry is a mean product of two activations, so its root
    is on the scale of one activation, and a few strong channels do not hide the rest.  Where
    there are negative entries, zero is white.
    """
    if not grams:
        raise ValueError("gram_matrices needs at least one Gram matrix")
    pitch = GRAM_SIDE + 2 * MARGIN
    bar_bottom = BAR_LABELS + MARGIN / 2
    bottom = bar_bottom + BAR_HEIGHT + GAP
    figure = _figure(len(grams) * pitch, bottom + GRAM_SIDE + TITLE)
    for i, (name, gram) in enumerate(grams.items()):
        if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
            raise ValueError(f"a Gram matrix is (C, C), and that of {name} is {gram.shape}")
        left = i * pitch + MARGIN
        axes = _panel(figure, left, bottom, GRAM_SIDE, GRAM_SIDE)
        bar_axes = _panel(figure, left, bar_bottom, GRAM_SIDE, BAR_HEIGHT)
        _draw_gram(axes, bar_axes, gram)
        title = f"{name}, {len(gram)} channels"
        _write_text(figure, title, left + GRAM_SIDE / 2, bottom + GRAM_SIDE + TITLE / 2, size=9)
    _save(figure, path)


def _draw_gram(axes: Axes, bar_axes: Axes, gram: np.ndarray) -> None:
    highest = float(np.abs(gram).max()) or 1.0
    lowest, cmap = (-highest, "PuOr") if gram.min() < 0 else (0.0, "magma")
    root_scale = FuncNorm((_signed_root, _signed_square), vmin=lowest, vmax=highest)
    drawn = axes.imshow(gram, cmap=cmap, norm=root_scale, interpolation="nearest")
    bar = axes.figure.colorbar(drawn, cax=bar_axes, orientation="horizontal")
    bar.outline.set_visible(False)
    ticks = [lowest, 0.0 if lowest else highest / 4, highest]  # both ends and the middle
    bar.set_ticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
    bar_axes.minorticks_off()
    bar_axes.tick_params(labelsize=6.5, colors=INK)
    for label, side in zip(bar_axes.get_xticklabels(), ("left", "center", "right"), strict=True):
        label.set(ha=side)


def _signed_root(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.sqrt(np.abs(x))


def _signed_square(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.square(x)


def terms(history: Iterable[Mapping[str, float]]) -> list[str]:
    """Return the names of the losses, in the order in which they first appear."""
    names = dict.fromkeys(name for row in history for name in row)
    return [name for name in names if name not in NOT_TERMS]


def _running_steps(history: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Return the step of each row over the whole run, also if every scale counts its own."""
    steps = np.array([row["step"] for row in history], float)
    return steps if np.all(np.diff(steps) > 0) else np.arange(1.0, len(history) + 1)


def _looks(terms: list[str], total: bool, dark: bool = False) -> dict[str, dict]:
    """Return how to draw each term: oranges for content, violet to green for style by depth.

    Lightness falls steadily along both, so the order shows in grey and to any eye.  On a ``dark``
    ground both are lighter, blue to yellow for style.
    """
    content = [name for name in terms if name.startswith("content")]
    style = [name for name in terms if name.startswith("style")]
    other = [name for name in terms if name not in content and name not in style]
    looks: dict[str, dict] = {}
    ends = {"Oranges": (0.35, 0.6), "viridis": (0.4, 1)} if dark else LIGHTNESS
    for names, cmap in ((content, "Oranges"), (style, "viridis")):
        low, high = ends[cmap]
        for name, shade in zip(names, np.linspace(low, high, len(names)), strict=True):
            looks[name] = {"color": to_hex(colormaps[cmap](shade)), "linewidth": 1.4}
    for name, dashes in zip(other, ["--", ":", "-."] * len(other), strict=False):
        colour = LIGHT if dark else INK
        looks[name] = {"color": colour, "linewidth": 1.1, "linestyle": dashes}
    if total:
        looks["total"] = {"color": FAINT, "linewidth": 0.8}
    return looks


def _mark_scales(
    axes: Axes, steps: np.ndarray, history: Sequence[Mapping[str, float]], ink: str
) -> None:
    """Draw a line where the scale changes, and above each scale how large its image is."""
    scales = [row.get("scale") for row in history]
    starts = [i for i, scale in enumerate(scales) if i == 0 or scale != scales[i - 1]]
    if len(starts) < 2:
        return
    for i in starts:
        edge = steps[0] if i == 0 else (steps[i - 1] + steps[i]) / 2
        if i > 0:
            axes.axvline(edge, color=ink, linewidth=0.6, alpha=0.6)
        axes.annotate(
            f"{history[i]['size']:.0f} px" if "size" in history[i] else f"scale {scales[i]}",
            (edge, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(4, 3),
            textcoords="offset points",
            fontsize=7.5,
            color=ink,
        )


# The drawing surface.  Positions are in pixels, counted from the lower left corner.


def _figure(width: float, height: float, layout: LayoutEngine | None = None) -> Figure:
    figure = Figure((width / DPI, height / DPI), DPI, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)  # attaches itself
    return figure


def _panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    x, y = figure.bbox.width, figure.bbox.height
    axes = figure.add_axes((left / x, bottom / y, width / x, height / y))
    _bare(axes)
    return axes


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _write_text(figure: Figure, text: str, x: float, y: float, size: float) -> None:
    """Write ``text`` centred on a point.  It may be a file's name: no mathematics in it."""
    figure.text(
        x / figure.bbox.width,
        y / figure.bbox.height,
        text,
        ha="center",
        va="center",
        fontsize=size,
        color=INK,
        parse_math=False,
    )


def _save(figure: Figure, path: files.PathLike) -> None:
    save(figure, path)


def save(figure: Figure, path: files.PathLike, metadata: dict[str, str] | None = None) -> None:
    """Write a figure as PNG or JPEG, with ``metadata`` as `images.save` has it."""
    images.save(path, drawn(figure), metadata=metadata)


@rc_context(LOOKS)
def drawn(figure: Figure) -> np.ndarray:
    """Return the pixels of a figure, (3, H, W) in [0, 1]."""
    canvas = cast(FigureCanvasAgg, figure.canvas)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # it draws a box; that will do
        canvas.draw()
    rgb = np.asarray(canvas.buffer_rgba())[..., :3]
    return np.moveaxis(rgb, -1, 0) / np.float32(255)
