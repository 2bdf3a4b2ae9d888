"""Words from outside that mean settings: a result's text, a table of weights, options, values.

No case names a device as an output: run by root, that would be an attack on the machine.
"""

import json
import random
from contextlib import redirect_stderr
from dataclasses import fields
from fractions import Fraction
from functools import cache
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from PIL.PngImagePlugin import PngInfo

from fuzzing import pictures
from fuzzing.cases import SHORT, TINY, Case, inside
from fuzzing.mutations import NUMBERS, TEXTS, altered, as_json, damaged, near, value
from nst import Settings, cli

INPUTS = ("/dev/zero", "/dev/stdin", "/proc/self/mem", "/proc/self/maps", ".", "/", "a.png/", "")


@cache
def standing() -> dict[str, bytes]:
    """Return the pictures and the network that sound settings name."""
    mask = BytesIO()
    PIL.Image.new("L", (20, 30), 255).save(mask, "PNG")
    return pictures.standing() | {"mask.png": mask.getvalue()}


def draw(rng: random.Random) -> Case:
    """Return a case: words of one of the four kinds."""
    return rng.choice((_from_text, _from_text, _from_table, _from_options, _from_values))(rng)


# --- The text in a picture --------------------------------------------------------------------


@cache
def texts() -> tuple[dict[str, str], ...]:
    """Return what results say about themselves: of a plain run, and of one with every option."""
    plain = ("stylize", "a.png", "b.png", *SHORT, *TINY)
    full = ("stylize", "a.png", "--style", "b.png:2", "--style", "a.png", *TINY)
    full += ("--style-mask", "mask.png", "--style-mask", "none", "--content-mask", "none")
    full += ("--content-mask", "mask.png", "--init", "b.png", "--tap-weights", "taps.toml")
    full += ("--size", "40", "--scales", "32,40", "--steps", "1,2", "--color", "match")
    table = b"[style]\nrelu1_1 = 2.0\nrelu2_1 = 1\n"
    with inside(standing() | {"taps.toml": table}):
        return tuple(_said_by(words) for words in (plain, full))


def _said_by(words: tuple[str, ...]) -> dict[str, str]:
    with redirect_stderr(StringIO()):
        status = cli.main((*words, "--output", "painted.png"))
    if status != 0:
        raise RuntimeError("a sound command line was refused")
    with PIL.Image.open("painted.png") as picture:
        picture.load()
        return dict(picture.text)  # type: ignore[attr-defined]


def _from_text(rng: random.Random) -> Case:
    said = dict(rng.choice(texts()))
    name = rng.choice((*said, "nst settings", "nst settings", "nst settings"))
    said[name] = _altered_text(rng, said[name])
    if rng.random() < 0.05:
        del said[rng.choice(list(said))]
    info = PngInfo()
    for keyword, text in said.items():
        info.add_itxt(keyword, text.encode("utf-8", "replace").decode())
    file = BytesIO()
    PIL.Image.new("RGB", (32, 40)).save(file, "PNG", pnginfo=info)
    command = rng.choice((("estimate",), ("stylize", "--output", "again.png")))
    short = rng.choice((SHORT, ("--size", "32"), ())) if command == ("estimate",) else SHORT
    what = f"{name} for --from"
    return Case(what, {"x.png": file.getvalue()}, (*command, "--from", "x.png", *TINY, *short))


def _altered_text(rng: random.Random, text: str) -> str:
    try:
        tree = json.loads(text)
    except ValueError:
        return rng.choice((*TEXTS, text[: len(text) // 2], text * 2))
    if rng.random() < 0.1:
        inputs = [name for name in ("content", "style", "init", "model") if name in tree]
        if inputs:
            tree[rng.choice(inputs)] = rng.choice(INPUTS)
    elif rng.random() < 0.05:
        tree = value(rng)
    else:
        tree = altered(rng, tree)
    return as_json(rng, tree)


# --- A table of weights -----------------------------------------------------------------------

_TABLE = b"[content]\nrelu3_1 = 1.5\n[style]\nrelu1_1 = 2.0\nrelu2_1 = 1\n"
_TOML_VALUES = (
    *("true", "nan", "inf", "-inf", "-1", "0", "1e400", "0x10", "9" * 400, "''", "'1'", "[]"),
    *("{}", "{a = 1}", "1979-05-27", "[1, 2]", "'''\n\x1b[31m'''", '"\\u0000"', '"\\uD800"'),
    *("[" * 2000 + "]" * 2000, "{a=" * 300 + "1" + "}" * 300, ""),
)
_TOML_KEYS = (
    "relu9_9",
    "conv1_1",
    "pool1",
    "''",
    '"\\u001b[31m"',
    '"a\\nb"',
    "relu1_1.x",
    "1",
    "é",
)


def _from_table(rng: random.Random) -> Case:
    table = _TABLE
    if rng.random() < 0.7:
        lines = table.decode().splitlines()
        for _ in range(rng.randrange(1, 4)):
            key = rng.choice(("relu1_1", "relu2_1", "relu3_1", *_TOML_KEYS))
            line = rng.choice(
                (f"{key} = {rng.choice(_TOML_VALUES)}", f"[{key}]", "[style]", "style = 3")
            )
            at = rng.randrange(len(lines) + 1)
            lines[at : at + rng.randrange(2)] = [line]
        table = "\n".join(lines).encode("utf-8", "surrogatepass")
    if rng.random() < 0.4:
        table = damaged(rng, table)
    table = rng.choice((b"", b"", b"", b"\xef\xbb\xbf", b"\xff\xfe")) + table
    words = ("estimate", "a.png", "b.png", "--tap-weights", "x.toml", *TINY, *SHORT)
    return Case("--tap-weights", {"x.toml": table}, words)


# --- A command line ---------------------------------------------------------------------------

_NUMERIC = (
    *("--size", "--steps", "--scales", "--scale-factor", "--content-weight", "--style-weight"),
    *("--tv-weight", "--strength", "--style-scale", "--seed", "--save-every", "--memory"),
)
_PATHS = (
    "--style",
    "--style-mask",
    "--content-mask",
    "--init",
    "--model",
    "--tap-weights",
    "--from",
)
_WRITTEN = ("--output", "--log", "--report", "--checkpoint")
_CHOICES = ("--recipe", "--color", "--optimizer", "--pooling", "--conv", "--precision", "--device")
_NUMBERS = (
    *map(str, (*NUMBERS, -1, 2**31, 2**63, 10**30)),
    *(
        "nan",
        "inf",
        "-inf",
        "1e400",
        "1e-400",
        "0x10",
        "1_000",
        "\N{ARABIC-INDIC DIGIT FIVE}",
        "1,2",
    ),
    *(
        "1,,2",
        ",",
        "64,32",
        "32,64,128",
        "9" * 5000,
        "",
        " ",
        "4GB",
        "1e9GB",
        "0.00001",
        "-0",
        "+5",
    ),
)


def _from_options(rng: random.Random) -> Case:
    words = []
    for _ in range(rng.randrange(1, 4)):
        group = rng.randrange(5)
        if group < 2:
            words += [rng.choice(_NUMERIC), rng.choice(_NUMBERS)]
        elif group == 2:
            given = rng.choice(
                (*TEXTS, *INPUTS, "a.png:nan", "a.png:-1", "a.png:1e400", ":", "b.png:")
            )
            words += [rng.choice(_PATHS), given]
        elif group == 3:
            words += [
                rng.choice(_WRITTEN),
                rng.choice((*TEXTS, "a.png", "b.png", "./a.png", "mask.png")),
            ]
        else:
            words += [
                rng.choice(_CHOICES),
                rng.choice((*TEXTS, "NST", "gatys", "grey", "average")),
            ]
    words = [word.replace("\0", "\\0").encode("utf-8", "replace").decode() for word in words]
    start = ("estimate", "a.png", "b.png", *TINY, *SHORT)
    return Case("options " + " ".join(words)[:60], {}, (*start, *words))


# --- Values of Python -------------------------------------------------------------------------

_OBJECTS = (
    *(np.int64(32), np.float32(1.5), np.array([1, 2]), np.nan, Fraction(1, 3), 1 + 2j, b"a.png"),
    *(object(), {1, 2}, range(3), Path("a.png"), Path(), ("a.png", "b.png"), [], {}, len),
)


def _from_values(rng: random.Random) -> Case:
    said: dict[str, Any] = {"content": "a.png", "style": "b.png", "model": "tiny.onnx", "size": 32}
    said |= {"device": "cpu", "output": "o.png", "memory": "1GB", "scales": 1}
    names = [field.name for field in fields(Settings)]
    for name in rng.sample(names, rng.randrange(1, 3)):
        kind = rng.randrange(4)
        if kind == 0 and name in said:
            said[name] = near(rng, said[name])
        elif kind == 1:
            said[name] = rng.choice(_OBJECTS)
        elif kind == 2 and name in ("content", "style", "init", "model"):
            said[name] = rng.choice(INPUTS)
        else:
            said[name] = value(rng)
    return Case("Settings(...)", {}, call=said)
