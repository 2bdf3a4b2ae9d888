"""The lesson as one HTML file that needs no other: text, formulas, figures' frames, and sources.

Its text is in text/, a file a chapter.  What is put in: numbers ({{name}}), formulas (<m>, LaTeX
made into MathML beforehand: see formulas.json), controls and lines of source of each figure,
and the exercises.  What figures show is not in it: the page asks for that, or has it recorded.
"""

import html
import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from nst.lesson import blindness, coarse, slope, stepping
from nst.lesson.derivations import LINES
from nst.lesson.exercises import EXERCISES
from nst.lesson.figures import FIGURES, Choice, Figure, Number
from nst.lesson.pieces import shown
from nst.lesson.sources import ROOT, Source
from nst.lesson.subject import STYLE_TAPS, Subject
from nst.pictures import images

HERE = Path(__file__).parent
CHAPTERS = range(9)  # 0 is the words before, 8 the picture by hand
CALLED = {"descent": "Normalised descent", "adam": "Adam", "lbfgs": "L-BFGS"}
SPELLED = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COPY = (
    ". This is a copy that needs no server: each figure shows some of its answers, recorded; "
    "<code>nst lesson</code> computes any of them."
)
FORMULAS = HERE / "formulas.json"


def facts(subject: Subject, python: str = "python") -> dict[str, str]:
    """Return the numbers of the text, and how this ``python`` is called in a shell."""
    architecture = subject.vgg.network.architecture
    first, second = (architecture.parameters[f"{n}.weight"] for n in ("conv1_1", "conv1_2"))
    channels = first[0]
    white = int(images.as_uint8(np.ones((3, 1, 1), np.float32)).max())
    grey = round(stepping.STEP * white)
    numbers: dict[str, Any] = {
        "pixels_read": first[1] * first[2] * first[3],
        "channels_read": second[1],
        "products_deep": second[1] * second[2] * second[3],
        "channels": channels,
        "pairs": channels**2,
        "tap": STYLE_TAPS[0],
        "taps": SPELLED[len(STYLE_TAPS)],
        "sees_first": SPELLED[1 + 2 * architecture.radius(STYLE_TAPS[0])],
        "year_gatys": "2015",
        "digits_single": np.finfo(np.float32).precision + 1,
        "digits_double": np.finfo(np.float64).precision + 1,
        "white": white,
        "grey": grey,
        "step": f"{grey}/{white}",
        "Losses": SPELLED[len(slope.LOSSES)].capitalize(),
        "Optimizers": SPELLED[len(stepping.OPTIMIZERS)].capitalize(),
        "pictures": SPELLED[len(stepping.PICTURES)],
        "hvass": SPELLED[len(stepping.HVASS)],
        "hvass_sum": " + ".join(f"{w:g}" for w in stepping.HVASS.values())
        + f" = {sum(stepping.HVASS.values()):g}",
        "Statistics": SPELLED[len(blindness.SHOWN)].capitalize(),
        "Changes": SPELLED[len(blindness.CHANGES)].capitalize(),
        "coarse_steps": coarse.COARSE_STEPS,
        "python": python,
    }
    return {name: v if isinstance(v, str) else shown(v) for name, v in numbers.items()}


def render(subject: Subject, recorded: Mapping[str, Any] | None = None) -> str:
    """Return the page; with what is ``recorded`` in it, it asks no server."""
    text = "\n".join(_chapter(number, subject, recorded) for number in CHAPTERS)
    named = [figure.sources for figure in FIGURES.values()]
    named += [line.sources for line in LINES.values()]
    sources = {source.function: source for each in named for source in each}
    data = ""
    if recorded is not None:
        told = json.dumps(recorded).replace("<", "\\u003c")
        data = f'<script type="application/json" id="recorded">{told}</script>'
    parts = {
        "style": (HERE / "page.css").read_text(encoding="utf-8"),
        "script": (HERE / "page.js").read_text(encoding="utf-8"),
        "contents": _contents(text),
        "text": text,
        "sources": "\n".join(map(_listing, sources.values())),
        "recorded": data,
        "pictures": html.escape(" and ".join(subject.names)) + ("" if recorded is None else COPY),
    }
    template = (HERE / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\[\[(\w+)\]\]", lambda found: parts[found[1]], template)


def source_text(number: int) -> str:
    """Return the text of a chapter as it is written."""
    return (HERE / "text" / f"{number}.html").read_text(encoding="utf-8")


def filled(number: int, values: Mapping[str, str]) -> str:
    """Return the text of a chapter with its numbers put in."""
    return re.sub(r"\{\{(\w+)\}\}", lambda f: html.escape(values[f[1]]), source_text(number))


def _chapter(number: int, subject: Subject, recorded: Mapping[str, Any] | None) -> str:
    python = shlex.quote(sys.executable) if recorded is None else "python"
    values, ids = facts(subject, python), count(1)
    text = filled(number, values)
    text = re.sub(r"<m>(.*?)</m>", lambda f: _formulas()[f[1]], text, flags=re.DOTALL)

    def figure(found: re.Match[str]) -> str:
        name, chosen, inside = found[1], found[2] or "", found[3]
        key = f"{name}-{next(ids)}"
        set_to = dict([chosen.split("=")]) if chosen else {}
        made = FIGURES[name]
        if recorded is None:
            controls = "".join(_control(c, key, set_to.get(c.name)) for c in made.controls)
        else:
            controls = _views(recorded["figures"][name], key, set_to)
        form = f'<form class="controls" autocomplete="off">{controls}</form>' if controls else ""
        heading = re.findall(r"<h[23][^>]*>(.*?)</h[23]>", text[: found.start()])[-1]
        label = ", ".join([heading, *(CALLED.get(value, value) for value in set_to.values())])
        return (
            f'<figure data-figure="{name}" id="figure-{key}" aria-label="{label}">{form}{inside}'
            f'<p class="trouble" role="alert" hidden></p>{_lines(made)}</figure>'
        )

    pattern = r'<figure data-figure="(\w+)"(?: data-set="([^"]*)")?>(.*?)</figure>'
    text = re.sub(pattern, figure, text, flags=re.DOTALL)
    exercises = "".join(_exercise(k) for k, e in EXERCISES.items() if e.chapter == number)
    if exercises:
        text += f"<h3>Predict, then look</h3>{exercises}"
    text = text.replace("<by-hand></by-hand>", _by_hand())
    text = re.sub(r"(<h2 [^>]*>)", rf'\1<span class="number">{number}</span> ', text)
    return f'<section class="chapter" data-chapter="{number}">{text}</section>'


def _contents(text: str) -> str:
    heads = re.findall(r'<h2 id="([\w-]+)" data-short="([^"]+)"', text)
    return "".join(f'<li><a href="#{place}">{short}</a></li>' for place, short in heads)


@cache
def _formulas() -> dict[str, str]:
    found: dict[str, str] = json.loads(FORMULAS.read_text(encoding="utf-8"))
    return found


def _control(control: Choice | Number, key: str, set_to: str | None) -> str:
    """Return the HTML of a control; one that is ``set_to`` something is not to be changed."""
    place = f"{key}-{control.name}"
    value = control.value if set_to is None else set_to
    if set_to is not None:
        return (
            f'<input type="hidden" name="{control.name}" value="{html.escape(set_to)}">'
            f'<strong class="set">{html.escape(CALLED.get(set_to, set_to))}</strong>'
        )
    label = f'<label for="{place}">{html.escape(control.label)}</label>'
    if isinstance(control, Choice):
        kind = "text" if isinstance(control.value, str) else "number"
        options = "".join(
            f'<option value="{html.escape(str(o))}"{" selected" if o == value else ""}>'
            f"{html.escape(str(o))}</option>"
            for o in control.options
        )
        return (
            f'<span class="control">{label}<select id="{place}" name="{control.name}" '
            f'data-kind="{kind}">{options}</select></span>'
        )
    limits = f'min="{control.low}" max="{control.high}" step="{control.step}" value="{value}"'
    if control.steps:
        buttons = "".join(
            f'<button type="button" data-step="{n}">{said}</button>'
            for n, said in ((1, "One step"), (10, "Ten steps"), (0, "Back to the start"))
        )
        return (
            f'<span class="control">{label}<input id="{place}" name="{control.name}" '
            f'type="number" data-steps {limits}>{buttons}</span>'
        )
    kind = "range" if control.step > 1 or control.name in ("percent", "count") else "number"
    beside = f'<output for="{place}">{value}</output>' if kind == "range" else ""
    return (
        f'<span class="control">{label}<input id="{place}" name="{control.name}" '
        f'type="{kind}" {limits}>{beside}</span>'
    )


def _views(views: Sequence[Mapping[str, Any]], key: str, set_to: Mapping[str, str]) -> str:
    """Return the choice among what is recorded of a figure; nothing if that is one view."""
    chosen = [
        (number, view["given"])
        for number, view in enumerate(views)
        if all(str(view["given"][name]) == value for name, value in set_to.items())
    ]
    if len(chosen) < 2:
        return ""
    options = "".join(
        f'<option value="{number}">{html.escape(_told(given, set_to))}</option>'
        for number, given in chosen
    )
    return (
        f'<span class="control"><label for="{key}-view">recorded</label>'
        f'<select id="{key}-view" data-view>{options}</select></span>'
    )


def _told(given: Mapping[str, Any], set_to: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in given.items() if name not in set_to)


def _lines(figure: Figure) -> str:
    """Return the lines of source behind a figure, each linked to where it stands."""
    if not figure.lines:
        return ""
    rows = "".join(
        f'<li><a href="#{s.place}" data-place="{s.place}">{s.place}</a> '
        f"<code>{html.escape(s.text)}</code></li>"
        for s in figure.sources
    )
    said = "The lines of source that made it"
    return f'<details class="source"><summary>{said}</summary><ul>{rows}</ul></details>'


def _listing(source: Source) -> str:
    """Return a function with its line numbers, each an anchor."""
    rows = "".join(
        f'<span class="line" id="{source.path}:{number}"><i>{number}</i>'
        f"{html.escape(text)}\n</span>"
        for number, text in enumerate(source.code, start=source.first)
    )
    return (
        f"<details><summary><code>{source.function}</code> "
        f'{html.escape(source.name)}</summary><pre tabindex="0">{rows}</pre></details>'
    )


def _by_hand() -> str:
    path = HERE / "by_hand.py"
    lines = path.read_text(encoding="utf-8").splitlines()
    place = path.resolve().relative_to(ROOT.resolve()).as_posix()
    rows = "".join(
        f'<span class="line" id="{place}:{number}"><i>{number}</i>{html.escape(text)}\n</span>'
        for number, text in enumerate(lines, start=1)
    )
    return f'<pre class="by-hand" tabindex="0">{rows}</pre>'


def _exercise(key: str) -> str:
    exercise = EXERCISES[key]
    name = key.replace(" ", "-")
    choices = "".join(
        f'<label><input type="radio" name="{name}" value="{n}"> {html.escape(said)}</label>'
        for n, said in enumerate(exercise.choices)
    )
    return (
        f'<form class="exercise" data-exercise="{html.escape(key)}"><fieldset>'
        f"<legend>{html.escape(exercise.question)}</legend>{choices}"
        '<button type="submit">Look</button><p class="verdict" role="status"></p>'
        "</fieldset></form>"
    )
