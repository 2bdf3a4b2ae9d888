"""nst/OPTIONS.md says what `nst --help` says."""

import sys
from pathlib import Path

import pytest

from nst import cli

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import options


def test_the_page_is_as_the_parser_is():
    assert options.PAGE.read_text(encoding="utf-8") == options.page(), (
        "the options have changed: run `python scripts/options.py`"
    )


@pytest.mark.parametrize("name", ["stylize", "demo", "resume", "models"])
def test_commands_are_on_it(name):
    assert f"## nst {name}\n" in options.page()


def test_an_option_is_on_it_with_its_default_and_a_bar_stays_in_its_cell():
    text = options.page()
    (style_scale,) = [line for line in text.splitlines() if "`--style-scale" in line]
    assert style_scale.count("|") == 4
    assert "`1.0`" in style_scale
    steps, _ = [line for line in text.splitlines() if "`--steps" in line]  # the sheet's is other
    assert r"N\|N,N,..." in steps


def test_every_option_of_the_longest_command_is_on_it():
    text = options.page()
    named = [name for a in cli._parser()._actions if a.choices for name in a.choices]
    assert "stylize" in named
    for option in ("--style-mask", "--strength", "--checkpoint", "--quiet"):
        assert f"{option}" in text


def test_what_a_command_lacks_is_said():
    text = options.page()
    said = "but for `CONTENT`, `--from`, `STYLE`, `--preview`, `--log`, `--report`, `--checkpoint`"
    assert said in text.split("## nst batch")[1].split("## nst sheet")[0]
    assert "takes, but for `CONTENT`, `--from`.\n" in text.split("## nst demo")[1]


def test_what_must_be_given_is_said():
    table = options.page().split("## nst batch")[1].split("## nst sheet")[0]
    assert "| `-o`, `--output FOLDER` | required |" in table
