"""A picture on standard output, and one object a picture for scripts."""

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nst
from nst import cli, piped
from nst.pictures import images
from nst.settings import Settings


@pytest.fixture
def run(files, quick):
    words = [word for name, value in quick.items() for word in (f"--{name}", str(value))]
    return ["stylize", str(files / "photograph.png"), str(files / "painting.png"), *words]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    return folder


def test_dash_is_standard_output_and_input(files, quick, run, temporary, tmp_path):
    run[1] = "-"
    done = subprocess.run(
        [sys.executable, "-m", "nst", *run, "-o", "-"],
        input=(files / "photograph.png").read_bytes(),
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    nst.stylize(
        Settings(files / "photograph.png", files / "painting.png", tmp_path / "x.png", **quick)
    )
    painted = np.asarray(Image.open(io.BytesIO(done.stdout)))
    np.testing.assert_array_equal(painted, np.asarray(Image.open(tmp_path / "x.png")))
    assert b"40 x 48 pixels" in done.stderr
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--plot"], "--plot and --save-every write beside"),
        (["--save-every", "1"], "--plot and --save-every write beside"),
        (["--json"], "--json prints on standard output"),
    ],
)
def test_what_cannot_go_there_is_one_line(run, more, expected, capsys):
    assert cli.main([*run, "-o", "-", *more]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"nst: {expected}")
    assert err.count("\n") == 1


def test_a_terminal_gets_no_picture(run, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert cli.main([*run, "-o", "-"]) == 2
    assert "terminal" in capsys.readouterr().err


def test_a_run_that_is_stopped_keeps_its_picture_and_sends_none(temporary, capsysbinary):
    kept = []

    def stop():
        with piped.standard_output() as path:
            path.write_bytes(b"half")
            kept.append(path)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert kept[0].read_bytes() == b"half"
    assert capsysbinary.readouterr().out == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
def test_a_picture_that_nobody_takes_is_kept(run, temporary, tmp_path):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nst", *run, "-o", "-", "--quiet"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=tmp_path,
        )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "cannot write the picture to standard output" in line
    kept = Path(line.rpartition("it is in ")[2].rstrip("."))
    assert images.load(kept).shape == (3, 48, 40)


def test_json_says_what_became_of_a_picture(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*run, "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert told["status"] == "painted"
    assert told["content"] == run[1]
    assert told["style"] == [run[2]]
    assert told["output"] == "out.png"
    assert told["losses"]["total"] > 0
    assert told["error"] is None


def test_json_names_what_was_painted_and_not_the_words_for_it(run, tmp_path, monkeypatch, capsys):
    """The style of itself, a style with a weight, and what a result says of itself."""
    monkeypatch.chdir(tmp_path)
    _, content, style, *quick = run
    Path("photograph.png").write_bytes(Path(content).read_bytes())
    for words, expected in [
        (["photograph.png", "-o", "swirled.png"], ("photograph.png", ["swirl"])),
        ([content, f"{style}:2", "--style", "waves:0.5"], (content, [style, "waves"])),
        (["--from", "swirled.png"], ("photograph.png", ["swirl"])),
    ]:
        assert cli.main(["stylize", *words, *quick, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["content"], told["style"]) == expected


def test_json_says_why_there_is_none(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("broken.png").write_bytes(b"-")
    assert cli.main(["stylize", "broken.png", *run[2:], "--json"]) == 2
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (told["status"], told["losses"]) == ("failed", None)
    assert told["error"].startswith("cannot read broken.png")
    assert err == f"nst: {told['error']}\n"
