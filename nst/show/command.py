"""The command line that would paint the same."""

import shlex
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from functools import cache
from pathlib import Path

from nst import demo
from nst.settings import APART, Painting, Settings

TAPS = ("content_taps", "style_taps")  # of a table, which no command line holds
TABLE = "TAPS.toml"


def command_of(settings: Settings, where: bool = False) -> str | None:
    """Return the command that paints the same picture, with names in place of paths.

    It names files by their paths if it is to say ``where`` they are, for who runs it here.
    Only what differs from the defaults is said, and of that what changes the picture.  None where
    a picture was in memory: no command names it.
    """
    if settings.in_memory:
        return None
    told = {path: str(path) if where else name for path, name in settings.names.items()}
    names = {path: no_option(name) for path, name in told.items()}
    of_demo = settings.content in demo.photographs()
    words = ["demo"] if of_demo else ["stylize", names[settings.content]]
    first, *others = [_style(one, names) for one in settings.style]
    words += [first] if ":" not in first else ["--style", first]
    for one in others:
        words += ["--style", one]
    for option, kind in (("--style-mask", "mask"), ("--content-mask", "region")):
        masks = [getattr(one, kind) for one in settings.style]
        if any(masks):
            for mask in masks:
                words += [option, "none" if mask is None else names[mask]]
    if settings.output is not None:
        words += ["-o", no_option(str(settings.output) if where else settings.output.name)]
    if any(getattr(settings, name) is not None for name in TAPS):
        words += ["--tap-weights", TABLE]
    for name, value in changed(settings).items():
        if name not in ("content", "style", "init", "model", *APART, *TAPS):
            option = "--" + name.replace("_", "-")
            words += [option] if value is True else [option, _text(value)]
    for name in ("init", "model"):
        value = getattr(settings, name)
        if value != getattr(Settings, name):
            words += [f"--{name}", names.get(Path(value), str(value))]
    return shlex.join([program() if where else "nst", *words])


def program() -> str:
    """Return what starts this program here: its path where the shell would not find it.

    So it is in an environment that `make` has set up.
    """
    here = _out_of_sight()
    if here is None:
        return "nst"
    with suppress(OSError):  # a folder that is gone
        if here.is_relative_to(Path.cwd()):
            return str(here.relative_to(Path.cwd()))
    return str(here)


@cache  # a page is told its command at every step
def _out_of_sight() -> Path | None:
    """Return where this program is, if that is in no folder that the shell looks into."""
    here = Path(sys.executable).with_name("nst")
    return here if shutil.which("nst") is None and here.is_file() else None


def changed(settings: Settings) -> dict[str, object]:
    """Return the settings that are not as `Settings` has them by itself."""
    return {
        field.name: getattr(settings, field.name)
        for field in fields(settings)
        if getattr(settings, field.name) != field.default
    }


def style_name(painting: Painting, names: Mapping[Path, str]) -> str:
    """Return what a person calls a painting: one that comes along by its own name."""
    return demo.name_of(painting.path) or names[painting.path]


def _style(painting: Painting, names: Mapping[Path, str]) -> str:
    name = style_name(painting, names)
    taps = "" if painting.taps is None else ":" + ",".join(painting.taps)
    return name if painting.weight == 1 and not taps else f"{name}:{_text(painting.weight)}{taps}"


def no_option(name: object) -> str:
    """Return a file's name as a word that no program takes for an option."""
    return f"./{name}" if str(name).startswith("-") else str(name)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value)
