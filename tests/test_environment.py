"""What the environment says that nst never asked for is no reason to paint no picture."""

import os
import subprocess
import sys
import warnings
from contextlib import suppress

import numpy as np
import pytest
from refusals import refusal_of

from nst import cli, commands, errors
from nst.pictures import images
from nst.run.state import start
from nst.show import apart
from nst.vgg import weights
from nst.weights import install

try:
    import pty
    import termios
except ImportError:  # Windows
    pty = termios = None

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
NST = [sys.executable, "-m", "nst"]


@pytest.fixture
def painting(settings):
    asked = settings()
    words = ["stylize", asked.content, asked.style[0].path, "--model", asked.model]
    words += ["--size", 32, "--scales", 1, "--steps", 2, "--device", "cpu"]
    return list(map(str, words))


@pytest.mark.parametrize("name", ["MPLBACKEND", "SOURCE_DATE_EPOCH"])
def test_what_matplotlib_cannot_use_of_its_environment_keeps_no_plot_away(
    painting, tmp_path, name
):
    more = ["-o", "out.png", "--plot", "--report", "out.html"]
    done = subprocess.run(
        [*NST, *painting, *more, "--quiet"],
        cwd=tmp_path,
        env=os.environ | {name: "nonsense"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    names = ["out-losses.png", "out-triptych.png", "out.html", "out.png"]
    assert sorted(os.listdir(tmp_path)) == names


def test_the_backend_that_somebody_asked_for_is_asked_for_still(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "pdf")
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    with apart.matplotlib_apart():
        assert "MPLBACKEND" not in os.environ
    assert os.environ["MPLBACKEND"] == "pdf"


@POSIX
@pytest.mark.parametrize("name", ["TQDM_NCOLS", "TQDM_MININTERVAL", "TQDM_FILE", "TQDM_POSITION"])
def test_what_tqdm_would_take_from_its_environment_does_no_harm(painting, tmp_path, name):
    """On a terminal, where there is a bar."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    done = subprocess.run(
        [*NST, *painting, "-o", "out.png"],
        cwd=tmp_path,
        env=os.environ | {name: "abc"},
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    said = b""
    with suppress(OSError):  # Linux has an error where others have an end
        while part := os.read(controller, 100_000):
            said += part
    os.close(controller)
    assert done.returncode == 0, said
    assert b"100% |" in said
    assert (tmp_path / "out.png").is_file()


@POSIX
def test_a_folder_of_models_that_no_system_has_has_no_models(painting, capsys, monkeypatch):
    monkeypatch.setenv("NST_MODELS", "x" * 5000)
    assert weights.find("auto") == weights.find(weights.EMBEDDED)
    for words in (["models"], ["doctor"], [*painting, "--output", os.devnull + ".jpeg"]):
        assert cli.main(words) in (0, 2)
        told = capsys.readouterr().err
        assert told.count("\n") <= 1
        assert len(told) < 300


@POSIX
def test_nothing_is_added_to_a_folder_that_no_system_has(tmp_path, monkeypatch):
    monkeypatch.setenv("NST_MODELS", "x" * 5000)
    told = refusal_of(lambda: install._alone("vgg16").__enter__())
    assert told.startswith("cannot write into xxxxx")
    assert told.endswith("File name too long; let NST_MODELS name a folder of yours.")
    assert len(told) < 300
    told = refusal_of(weights.find, "./" + "x" * 300 + ".onnx")
    assert told.startswith("model file not found: ./xxx")


@POSIX
@pytest.mark.skipif(
    sys.version_info[:3] == (3, 13, 0), reason="Python 3.13.0 cannot import NumPy there"
)
def test_a_working_folder_that_was_removed_is_missed_by_who_needs_it(painting, tmp_path):
    (tmp_path / "gone").mkdir()

    def run(*words):
        code = "import os, sys; os.rmdir(os.getcwd()); from nst.cli import main; sys.exit(main())"
        (tmp_path / "gone").mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, "-c", code, *painting, "--quiet", *words],
            cwd=tmp_path / "gone",
            capture_output=True,
            text=True,
        )

    more = ["--plot", "--log", tmp_path / "l.csv", "--checkpoint", tmp_path / "saved"]
    done = run("-o", tmp_path / "out.png", *more)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(images.load(tmp_path / "out.png").shape) == 32
    done = run("-o", "out.png")
    assert done.returncode == 2
    assert done.stderr == (
        "nst: cannot write out.png: no such file or directory; choose another name or folder\n"
    )


# Warnings of libraries


@pytest.mark.parametrize("asked", [False, True])
def test_a_library_s_warning_is_shown_to_who_asks_for_it(monkeypatch, capsys, asked):
    """Our own line says what to do; NumPy's `overflow encountered in multiply` does not."""

    def paint():
        errors.warn("ours")
        return int(np.square(np.float32(1e38)) < 1)

    monkeypatch.setattr(sys, "warnoptions", ["default"] if asked else [])
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert cli._run(paint, {}) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "nst: warning: ours"
    assert len(lines) == 1 + asked


def test_a_loss_that_leaves_the_numbers_is_one_line(painting, tmp_path, monkeypatch, capsys):
    """As with --style-weight 1e300 before it had a limit."""

    def started(*given):
        begun = start(*given)
        begun.image[...] = begun.trial[...] = 1e30
        return begun

    monkeypatch.setattr(commands, "start", started)
    assert cli.main([*painting, "-o", str(tmp_path / "out.png"), "--quiet"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
