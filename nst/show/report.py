"""A run as one page to look at: an HTML file that needs no other and no network.

The page is report.html beside this file; here its gaps are filled.  Pictures are in it as data
URIs, scaled down to what a screen shows, so the file has a megabyte or two.
"""

import base64
import html
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np

from nst import files
from nst.objective.styles.gram import GramStyle
from nst.objective.tiling import style_sums
from nst.pictures import images
from nst.run.inputs import Inputs
from nst.run.paintings import ReadPainting
from nst.run.plan import Plan
from nst.run.state import State
from nst.run.targets import kinds_of, network_size, padding_in
from nst.settings import OUTPUTS, Settings
from nst.show.command import changed, command_of, style_name
from nst.version import VERSION

LONGEST_SIDE = 1280  # pixels of a picture in the page
FRAME_HEIGHT = 320  # of a frame: twice what is shown, for dense screens
MOST_FRAMES = 12  # of more, as many are shown, spread evenly
GRAM_SIDE = 256  # pixels of a drawn Gram matrix, at most
MEASURED_SIDE = 640  # pixels: larger pictures are scaled down for their Gram matrices


@dataclass(frozen=True)
class Report:
    """What a report shows of a run.  Images are (3, H, W) RGB in [0, 1], of any sizes.

    What is transparent in them is the white of paper.
    """

    content: np.ndarray
    styles: Mapping[str, np.ndarray]  # by name
    painted: np.ndarray
    history: Sequence[Mapping[str, float]]  # an entry a step; see stylize.Result
    settings: Mapping[str, object]  # by name: those that are not as they are by themselves
    grams: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    # ^ tap: the (C, C) Gram matrices of the style and of the painted picture
    frames: Mapping[int, np.ndarray] = field(default_factory=dict)  # by step
    name: str = "picture"  # of the photograph
    mark: str = ""  # whose file it is: see marks.py
    command: str | None = None  # that paints the same
    made: str = ""  # by which network and program


def write(path: files.PathLike, report: Report) -> None:
    """Write ``report`` as one HTML file, whole or not at all.

    Raises NstError if the file cannot be written.
    """
    page = render(report)
    with files.replace_atomically(path) as file:
        file.write(page.encode(errors="backslashreplace"))  # a file's name may be no text


def render(report: Report) -> str:
    """Return the HTML of ``report``."""
    height, width = report.painted.shape[1:]
    seconds = report.history[-1].get("seconds", 0.0) if report.history else 0.0
    shown = images.fit(height, width, min(max(height, width), LONGEST_SIDE))
    content = images.resize(report.content, *shown)  # as large as the painted picture is shown
    template = string.Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
    return template.substitute(
        mark=html.escape(report.mark),
        title=html.escape(f"{report.name} in the style of {' and '.join(report.styles)}"),
        summary=f"{width} x {height} pixels, {len(report.history)} steps, {seconds:.0f} s",
        aspect=f"{width / height:.4f}",
        painted=_photograph(report.painted, "JPEG"),
        content=_photograph(content, "JPEG"),
        command=_command(report.command),
        pictures="\n".join(_pictures(report)),
        losses=_losses(report.history),
        frames=_frames(report.frames),
        grams=_grams(report.grams),
        settings=_settings(report.settings),
        made=html.escape(report.made),
    )


def of_run(inputs: Inputs, plan: Plan, state: State, painted: np.ndarray) -> Report:
    """Return the report of a run, whose picture so far is ``painted``.

    Frames are those that --save-every has left beside the output.  Where paintings are looked at
    through masks, or paint regions, no Gram matrix of the whole picture is anyone's target, and
    none is shown.
    """
    settings = inputs.settings
    names = settings.names
    named = [style_name(one, names) for one in settings.style]
    read = [images.over_white(one.picture, one.alpha) for one in inputs.paintings]
    whole = all(one.mask is None and one.region is None for one in inputs.paintings)
    network = inputs.vgg.network
    return Report(
        content=images.over_white(inputs.photograph, inputs.alpha),
        styles=dict(zip(named, read, strict=True)),
        painted=images.over_white(painted, inputs.alpha),
        history=state.history,
        settings=_told(settings),
        grams=measure_grams(inputs, plan.side, painted) if whole else {},
        frames=_saved_frames(settings, len(state.history)),
        name=names[settings.content],
        mark=inputs.mark,
        command=command_of(settings),
        made=f"nst {VERSION}, {network.name} (sha256 {network.sha256}), on {inputs.device.name}",
    )


def _told(settings: Settings) -> dict[str, object]:
    """Return the settings that are not as they are by themselves, for a person to read."""
    told = settings.as_told()
    shown = {name: told[name] for name in changed(settings) if name not in OUTPUTS}
    del shown["content"], shown["style"]  # the page shows them
    names = settings.names
    weighed = [
        f"{style_name(one, names)} (weight {one.weight:g}{_taps(one.taps)})"
        for one in settings.style
        if one.weight != 1 or one.taps is not None
    ]
    return ({"style": ", ".join(weighed)} if weighed else {}) | shown


def _taps(taps: Sequence[str] | None) -> str:
    return "" if taps is None else f", at {', '.join(taps)}"


def measure_grams(
    inputs: Inputs, side: int | None, painted: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return, for each tap of the style, the Gram matrices (C, C) of the style and ``painted``.

    They are divided by H * W, whatever the recipe; those of several paintings are blended.  All
    pictures are brought to the same longer side, MEASURED_SIDE at most, and are seen in tiles of
    ``side``.
    """
    taps = [tap for tap, kind in kinds_of(inputs.recipe).items() if not kind.per_scale]
    if not taps:
        return {}
    longer = min(max(painted.shape[1:]), MEASURED_SIDE)
    pictures = [one.picture for one in inputs.paintings]
    found = []
    for image in [painted, *pictures]:
        height, width = image.shape[1:]
        placed = images.resize(image, *network_size(height, width, longer))
        placed, padding = inputs.device.asarray(placed), padding_in(inputs)
        grams = dict.fromkeys(taps, GramStyle)
        sums = style_sums(inputs.vgg, placed, dict.fromkeys(taps), grams, side, padding)
        found.append({tap: inputs.device.asnumpy(s.sums) / s.area for tap, s in sums.items()})
    of_painted, *of_styles = found
    return {tap: (_blended(tap, of_styles, inputs.paintings), of_painted[tap]) for tap in taps}


def _blended(
    tap: str, grams: Sequence[dict[str, np.ndarray]], paintings: Sequence[ReadPainting]
) -> np.ndarray:
    """Return the mean Gram matrix of the paintings that are taken at ``tap``, by their weights."""
    weights = [one.weight if one.taken_at(tap) else 0.0 for one in paintings]
    mean: np.ndarray = np.average([one[tap] for one in grams], 0, weights)
    return mean


def _saved_frames(settings: Settings, steps: int) -> dict[int, np.ndarray]:
    """Return the frames that are shown, of those on the disk, as large as they are shown."""
    if not settings.save_every or settings.output is None:
        return {}
    due = range(settings.save_every, steps + 1, settings.save_every)
    saved = [step for step in due if settings.frame(step).is_file()]
    return {step: _as_frame(images.load(settings.frame(step))) for step in _chosen(saved)}


# --- The gaps of the page ---------------------------------------------------------------------


def _command(command: str | None) -> str:
    if command is None:
        return ""
    words = re.split(r" (?=-)", command)  # an option and its value stay in one line
    parts = " ".join(f"<span>{html.escape(word)}</span>" for word in words)
    return (
        "<h2>To paint it again</h2>\n"
        f'<div class="command"><code>{parts}</code>'
        '<button type="button" aria-live="polite">Copy</button></div>'
    )


def _pictures(report: Report) -> list[str]:
    shown = {f"The photograph: {report.name}": report.content}
    shown |= {f"The style: {name}": style for name, style in report.styles.items()}
    return [_figure(_photograph(image, "JPEG"), name) for name, image in shown.items()]


def _losses(history: Sequence[Mapping[str, float]]) -> str:
    from nst.show import plots  # matplotlib takes a while to import

    if not history:
        return "<p>No step was taken.</p>"
    light, dark = (
        _uri(plots.as_svg(plots.draw_losses(history, dark=dark)), "image/svg+xml")
        for dark in (False, True)
    )
    last = [row for row in history if row.get("scale") == history[-1].get("scale")]
    rows = []
    for name in plots.terms(last):
        values = [row[name] for row in last if name in row]
        cells = [f"{values[0]:.4g}", f"{values[-1]:.4g}", _change(values[0], values[-1])]
        numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
        rows.append(f'<tr><th scope="row">{html.escape(name)}</th>{numbers}</tr>')
    heads = ["loss", f"step {last[0]['step']:.0f}", f"step {last[-1]['step']:.0f}", "change"]
    named = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        '<div class="wide" tabindex="0" role="group" aria-label="Loss curves">'
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img class="plot" src="{light}" alt="Every raw loss against the step"></picture></div>\n'
        "<p>At the full size, from its first step to its last. Content and smoothness may rise: "
        "the picture leaves the photograph to come nearer to the style.</p>\n"
        f'<div class="wide"><table><thead><tr>{named}</tr></thead>\n'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _frames(frames: Mapping[int, np.ndarray]) -> str:
    if not frames:
        return ""
    figures = [
        _figure(_photograph(_as_frame(frames[step]), "JPEG"), f"step {step}")
        for step in _chosen(sorted(frames))
    ]
    strip = "\n".join(figures)
    return (
        "<h2>On the way</h2>\n"
        f'<div class="strip" tabindex="0" role="group" aria-label="Frames">\n{strip}\n</div>'
    )


def _chosen(steps: Sequence[int]) -> list[int]:
    """Return the steps whose frames are shown: MOST_FRAMES at most, spread evenly."""
    chosen = np.linspace(0, len(steps) - 1, min(len(steps), MOST_FRAMES)).round().astype(int)
    return [steps[i] for i in chosen]


def _as_frame(image: np.ndarray) -> np.ndarray:
    """Return an image (3, H, W) of a frame's height; the same one if it has that."""
    height, width = image.shape[1:]
    if height == FRAME_HEIGHT:
        return image
    return images.resize(image, FRAME_HEIGHT, max(1, width * FRAME_HEIGHT // height))


def _grams(grams: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> str:
    if not grams:
        return ""
    parts = [
        "<h2>The Gram matrices</h2>",
        "<p>How strongly each pair of channels fires together: what the style loss compares. "
        "The style's strongest channel comes first. Colour follows the square root, on one scale "
        "in each row; in the difference, white is none.</p>",
    ]
    for tap, (style, painted) in grams.items():
        left = _share(float(np.linalg.norm(painted - style)), float(np.linalg.norm(style)))
        drawn = _draw_grams(style, painted)
        captions = ("style", "painted", f"difference: {left or 'nothing'} of the style's")
        figures = "\n".join(map(_figure, drawn, captions))
        heading = f"<h3>{html.escape(tap)}, {len(style)} channels</h3>"
        parts.append(f'<section class="grams">{heading}\n{figures}</section>')
    return "\n".join(parts)


def _draw_grams(style: np.ndarray, painted: np.ndarray) -> list[str]:
    """Return the style's Gram matrix, the painted picture's and their difference, drawn."""
    from matplotlib import colormaps

    order = np.argsort(-style.diagonal(), kind="stable")
    style, painted = (gram[np.ix_(order, order)] for gram in (style, painted))
    highest = max(np.abs(style).max(), np.abs(painted).max()) or 1.0
    plain = "magma" if min(style.min(), painted.min()) >= 0 else "PuOr"
    drawn = []
    for values, name in ((style, plain), (painted, plain), (painted - style, "PuOr")):
        root = np.sign(values) * np.sqrt(np.abs(values) / highest)
        place = root if name == "magma" else (root + 1) / 2
        if len(place) > GRAM_SIDE:
            place = images.resize(place.astype(np.float32), GRAM_SIDE, GRAM_SIDE)
        colours = colormaps[name](np.clip(place, 0, 1))[..., :3]
        drawn.append(_photograph(np.moveaxis(colours, -1, 0), "PNG"))
    return drawn


def _settings(settings: Mapping[str, object]) -> str:
    if not settings:
        return "<p>Every setting was left as it is by itself.</p>"
    rows = []
    for name, value in settings.items():
        label, text = html.escape(name.replace("_", " ")), html.escape(_said(value))
        rows.append(f'<tr><th scope="row">{label}</th><td>{text}</td></tr>')
    return (
        "<p>Those that were not left as they are by themselves.</p>\n"
        f'<div class="wide"><table>\n{"".join(rows)}\n</table></div>'
    )


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_said(one)}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _figure(source: str, caption: str) -> str:
    text = html.escape(caption)
    return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _photograph(image: np.ndarray, kind: str) -> str:
    """Return the data URI of an image (3, H, W), no larger than the page shows it."""
    encoded = BytesIO()
    images.as_pil(images.no_longer(image, LONGEST_SIDE)).save(encoded, kind, quality=88)
    return _uri(encoded.getvalue(), f"image/{kind.lower()}")


def _uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _change(first: float, last: float) -> str:
    """Return what became of a loss, with its sign; nothing where it began with none."""
    if not first:
        return ""
    if last > 10 * first:
        return f"\N{MULTIPLICATION SIGN} {last / first:.3g}"
    return f"{100 * (last / first - 1):+.0f} %".replace("-", "\N{MINUS SIGN}")


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3g} %" if whole else ""
