"""What the README tells a reader to type works, and what it points at is there."""

import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nst import cli, demo
from nst.kernels import numpy_kernels
from nst.objective.effort import draft_side

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


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ([], True),
        ([f"SIZE={draft_side()}"], False),
        ([f"SIZE={draft_side() + 1}"], True),
        (["PREVIEW="], False),
        (["OPTIONS=--from out.png"], False),  # as that was painted
        ([f"OPTIONS=--plot --size {draft_side()}"], False),
        ([f"OPTIONS=--size={draft_side() + 1} --plot"], True),
        (["SIZE=1024", f"OPTIONS=--size {draft_side()}"], False),  # the last counts
        (["OPTIONS=--effort draft"], False),
        (["OPTIONS=--effort=best"], True),
        (["OPTIONS=--style 'my (old) painting.jpg'"], True),
    ],
)
def test_make_stylize_paints_a_draft_first_where_it_is_smaller(variables, first):
    assert ("--preview" in made("stylize", *variables)) == first


def made(target, *variables):
    """Return the last command that `make` would run for a target."""
    words = ["make", "-n", "-C", str(ROOT), "--no-print-directory", target, *variables]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return told.replace("\\\n", "").splitlines()[-1]


@pytest.mark.parametrize(
    ("target", "variables", "expected"),
    [
        ("lesson", [], []),
        ("lesson", ["CONTENT=my photo.jpg"], ["my photo.jpg"]),
        ("lesson", ["CONTENT=a.jpg", "STYLE=my style.jpg"], ["a.jpg", "my style.jpg"]),
        (
            "export",
            ["TAPS=relu1_1, relu2_1"],
            ["--taps", "relu1_1, relu2_1", "--output", "models"],
        ),
    ],
)
def test_make_gives_a_name_with_a_space_as_one_word(target, variables, expected):
    assert shlex.split(made(target, *variables))[2:] == expected


def test_make_lesson_with_a_style_alone_is_of_the_demo_s_photograph():
    command = made("lesson", "STYLE=waves", f"BIN={Path(sys.executable).parent}")
    told = subprocess.run(
        ["bash", "-c", f"printf '%s\n' {command}"], check=True, capture_output=True, text=True
    ).stdout
    assert told.splitlines()[2:] == [str(demo.content_path()), "waves"]


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


def test_the_file_tree_has_a_line_for_every_file():
    sys.path.insert(0, str(ROOT / "scripts"))
    import tree

    (shown,) = tree.BLOCK.findall(README)
    assert shown == tree.tree(), "files or their docstrings changed: run `python scripts/tree.py`"
    assert {path.name for path in ROOT.glob("nst/**/*.py")} - set(
        re.findall(r"\w+\.py", shown)
    ) == {
        "__init__.py",
        "__main__.py",
    }


def test_options_in_the_table_exist():
    options = vars(cli._parser().parse_args(["demo"]))
    options |= vars(cli._parser().parse_args(["batch", "-o", "folder"]))
    options |= vars(cli._parser().parse_args(["video", "in.mp4", "-o", "out.mp4"]))
    options |= {"json": options["as_json"], "shared": options["shared_folder"]}
    for option in re.findall(r"`--([a-z-]+)`", README):
        assert option.replace("-", "_") in options, option


def test_every_painting_is_named():
    for name in demo.STYLES:
        assert f"`{name}`" in README


def test_the_files_that_contributing_names_exist():
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = re.findall(r"(?:nst|tests|scripts|\.ci)/[\w./-]*\w", text)
    assert len(paths) > 20
    for path in paths:
        assert (ROOT / path).exists(), path


@pytest.fixture(scope="module")
def dialogue(tmp_path_factory):
    """What the README's pdb session prints, word for word as it is typed there."""
    if sys.version_info[:3] == (3, 13, 0):
        pytest.skip("Python 3.13.0's pdb takes no options of the program; 3.13.1's does")
    (command,) = [c for c in COMMANDS if "pdb" in c]
    typed = re.findall(r"^\(Pdb\) (.*)$", README, re.MULTILINE)
    (given,) = re.findall(r"b nst/objective/styles/gram\.py:(\d+)", "\n".join(typed))
    assert number_of(GRAM, "nst/objective/styles/gram.py") == int(given)
    output = tmp_path_factory.mktemp("pdb") / "out.png"
    done = subprocess.run(
        [sys.executable, *shlex.split(command)[1:], "--output", str(output)],
        input="\n".join([*typed, "w", "q"]),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split("(Pdb) ")  # what comes by itself, and what each line is answered


PAINTING = "losses, d_image = objective.evaluate(state.trial)"
GRAM = "products = k.gram(features, 1, pixels)"


def frames(where):
    """Return file and function of each frame that pdb's `w` lists, the innermost last."""
    return re.findall(r"/(\w+\.py)\(\d+\)(\w+)\(", where)


def test_the_debugger_stops_where_the_picture_is_painted(dialogue):
    stopped, shape, *_ = dialogue
    assert f"stylize.py({number_of(PAINTING)})step()\n-> {PAINTING}" in stopped
    assert shape == "(3, 64, 55)\n"  # the picture, and neither the painting nor a probe


def test_then_at_the_gram_matrix_of_that_picture_with_the_loss_as_its_caller(dialogue):
    _, _, _, stopped, where, shape, *_ = dialogue
    assert f"-> {GRAM}" in stopped
    assert shape == "(32, 64, 55)\n"  # the picture's size at relu1_1
    way = frames(where)
    assert way[-1] == ("gram.py", "measure")
    assert [name for _, name in way[-6:-3]] == ["step", "evaluate", "in_one_piece"]
    assert ("style.py", "style_loss") in way
    between = [file for file, _ in way[way.index(("style.py", "style_loss")) :]]
    assert set(between) == {"style.py", "gram.py"}  # and numpy_kernels.py is the third


def test_and_a_step_leads_into_the_formula(dialogue):
    *_, stepped, where, _ = dialogue
    assert "--Call--" in stepped
    assert frames(where)[-1] == ("numpy_kernels.py", "gram")
    source = inspect.getsource(numpy_kernels.gram)
    assert "f @ f.T" in source
    assert "products / " in source


def number_of(line, file="nst/stylize.py"):
    lines = [each.strip() for each in (ROOT / file).read_text().splitlines()]
    return lines.index(line) + 1
