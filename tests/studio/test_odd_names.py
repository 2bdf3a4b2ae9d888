"""Names of folders and files that are no text, too long, or full of signs a shell obeys."""

import os
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from asking import ask, told, until
from browsers import served

from nst import cli
from nst.pictures import images
from nst.show.command import program
from nst.studio.studio import Studio
from nst.studio.wish import Wish

SMALL = {"size": 32, "steps": 2}
NO_TEXT = os.fsdecode(b"no \xff text")


@pytest.fixture
def asked(files, tmp_path, monkeypatch):
    """Return a function that serves a studio in a folder of some name."""
    monkeypatch.chdir(tmp_path)

    def open_studio(name):
        return Studio(Path(name), model=str(files / "tiny.onnx"), device="cpu")

    return open_studio


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_a_name_that_is_no_text_is_told_and_downloaded(asked):
    studio = asked(NO_TEXT)
    piece = studio.begin(Wish(**SMALL))
    until(lambda: piece.status == "done")
    copy = studio.folder / f"{NO_TEXT}.png"
    copy.write_bytes(piece.output.read_bytes())
    with served(studio.site) as here:
        assert told(here, "choices")["folder"] == NO_TEXT
        assert told(here, f"pieces/{piece.id}")["name"] == piece.output.name
        found = {one["name"]: one["id"] for one in studio._history.listed()}
        assert told(here, f"pieces/{found[copy.name]}")["name"] == copy.name
        status, headers, data = ask(here, f"pieces/{found[copy.name]}/file")
        assert (status, data) == (200, copy.read_bytes())
        assert "no%20%EF%BF%BD%20text.png" in headers["content-disposition"]


def test_names_of_any_script_are_short_enough_for_a_file(asked):
    studio = asked("s")
    shelf = studio.choices.shelf
    ids = []
    for sign in "\N{LINEAR B SYLLABLE B008 A}\N{GOTHIC LETTER AHSA}":  # of four bytes each
        path = Path(f"{sign}.png")
        images.save(path, np.full((3, 20, 20), 0.5 + 0.1 * len(ids), np.float32))
        ids.append(shelf.take(f"{sign * 60}.png", path.read_bytes()).id)
    piece = studio.begin(Wish(*ids, **SMALL))
    until(lambda: not piece.live)
    assert piece.error == ""
    assert piece.output.exists()


def test_the_command_of_a_result_can_be_pasted_into_a_shell(asked, monkeypatch):
    studio = asked("my studio; it's")
    piece = studio.begin(Wish(**SMALL))
    until(lambda: piece.status == "done")
    ((id, path),) = studio._history.paths().items()
    words = shlex.split(studio._history.told(id)["command"])
    assert words == [program(), "stylize", "--from", str(path), "-o", "again.png"]
    (studio.folder / "-dash.png").write_bytes(path.read_bytes())
    monkeypatch.chdir(studio.folder)
    here = Studio(Path(), model="vgg16-slim", device="cpu")
    id = next(id for id, path in here._history.paths().items() if path.name == "-dash.png")
    words = shlex.split(here._history.told(id)["command"])
    model = studio.choices.models["auto"]
    assert cli.main([*words[1:], "--quiet", "--model", model]) == 0
