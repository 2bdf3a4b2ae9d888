"""What the README tells a reader to type works, and what it points at is there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nst import cli, demo

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
LINES = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
]
COMMANDS = [line.split("#")[0].strip() for line in LINES]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_make_commands_have_a_target_and_known_variables(command):
    _, target, *variables = shlex.split(command)
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)
    for variable in variables:
        assert f"$({variable.split('=')[0]})" in MAKEFILE


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("nst ")])
def test_nst_commands_parse(command):
    cli._parser().parse_args(shlex.split(command)[1:])


def test_there_are_commands_to_check():
    assert len([c for c in COMMANDS if c.startswith("nst ")]) >= 3
    assert len([c for c in COMMANDS if c.startswith("make ")]) >= 3


def test_links_and_files_exist():
    targets = re.findall(r"\]\(((?!https)[^)]+)\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


def test_options_in_the_table_exist():
    options = vars(cli._parser().parse_args(["demo"]))
    for option in re.findall(r"`--([a-z-]+)`", README):
        assert option.replace("-", "_") in options, option


def test_every_painting_is_named():
    for name in demo.STYLES:
        assert f"`{name}`" in README


def test_the_breakpoint_is_the_gram_matrix(tmp_path):
    """The README's pdb session, word for word, must stop there and print what it says."""
    (command,) = [c for c in COMMANDS if "pdb" in c]
    session = re.findall(r"^\(Pdb\) (.*)$", README, re.MULTILINE)
    (number,) = re.findall(r"b nst/styles\.py:(\d+)", session[0])
    line = (ROOT / "nst" / "styles.py").read_text().splitlines()[int(number) - 1]
    assert line.strip() == "products = k.gram(features, 1, weights)"

    arguments = [*shlex.split(command)[1:], "--output", str(tmp_path / "out.png")]
    done = subprocess.run(
        [sys.executable, *arguments],
        input="\n".join([*session, "q"]),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "-> products = k.gram(features, 1, weights)" in done.stdout
    assert "((32, 51, 64), 3264)" in done.stdout  # the painting at 64 pixels, relu1_1
    assert "array([[" in done.stdout  # products[:3, :3] / area
