"""Error messages are code too: the commands, options and extras that they recommend must exist."""

import math
import re
import tomllib
from pathlib import Path

import pytest
from refusals import refusal_of

from nst import cli
from nst.objective.objective import check_finite

ROOT = Path(__file__).parent.parent
PYTHON = "".join(path.read_text() for path in sorted(ROOT.glob("nst/**/*.py")))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def options_of(parser):
    below = parser._subparsers._group_actions[0].choices.values() if parser._subparsers else ()
    return set(parser._option_string_actions).union(*map(options_of, below))


def options_of_all_commands():
    (commands,) = cli._parser()._subparsers._group_actions
    return {name: options_of(parser) for name, parser in commands.choices.items()}


OPTIONS = options_of_all_commands()


def found(pattern):
    return sorted(set(re.findall(pattern, PYTHON)))


@pytest.mark.parametrize("command", found(r"`nst ([a-z]+)"))
def test_recommended_command_exists(command):
    assert command in OPTIONS


@pytest.mark.parametrize("option", found(r"(?<![\w-])--[a-z][a-z-]+"))
def test_recommended_option_exists(option):
    others = {"--version", "--force-reinstall", "--std"}  # of nst itself, of pip and of NVRTC
    others |= {"--no-deps", "--only-binary", "--require-hashes", "--no-cache-dir", "--no-input"}
    others |= {"--disable-pip-version-check", "--no-color", "--dest", "--requirement", "--hash"}
    assert option in set.union(*OPTIONS.values()) | others


@pytest.mark.parametrize("extra", found(r"nst\[(\w+)\]"))
def test_recommended_extra_exists(extra):
    assert extra in EXTRAS


def test_the_patterns_above_find_something():
    """A pattern that matches nothing would pass for ever."""
    assert found(r"`nst ([a-z]+)")
    assert "--device" in found(r"(?<![\w-])--[a-z][a-z-]+")
    assert found(r"nst\[(\w+)\]") == ["cpu", "cuda", "heic"]


def test_losses_of_many_names_are_told_in_a_line():
    losses = {"content": 1.0} | {f"style relu{n}_1 mask": math.nan for n in range(60)}
    told = refusal_of(check_finite, losses)
    assert told.startswith("the run left the finite numbers: style relu0_1 mask is nan, style ")
    assert told.endswith(".... Try smaller weights, a smaller step, or another --init.")
    assert len(told) < 300
