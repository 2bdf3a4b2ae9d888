"""A film's folder that somebody has damaged: one line that says what to remove, or it goes on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from film_files import Stop, moving, stopping_at, write_film

import nst
from nst import cli
from nst.errors import NstError
from nst.film.kept import Kept


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, files):
    """A folder with a film, and what is kept of it: five of six frames, four of them in parts."""
    folder = tmp_path_factory.mktemp("stopped")
    write_film(folder / "in.mp4", moving(6))
    how = {"model": str(files / "tiny.onnx"), "device": "cpu", "scales": 1, "steps": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("nst.film.writing.PART", 2)
        with pytest.raises(Stop):
            nst.video(
                "in.mp4",
                [files / "painting.png"],
                "out.mkv",
                paint=stopping_at(6, 1),
                size=32,
                frame_steps=2,
                **how,
            )
    return folder


@pytest.fixture
def again(stopped, first, files, tmp_path, monkeypatch, capsys):
    """A function that gives the same command once more, in a copy, and returns what it says."""
    shutil.copytree(stopped, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setattr("nst.film.writing.PART", 2)
    words = "--size 32 --scales 1 --steps 2 --frame-steps 2 --device cpu --quiet".split()
    words += ["--model", str(files / "tiny.onnx")]

    def run(output="out.mkv"):
        status = cli.main(["video", "in.mp4", "--style", str(first), "-o", output, *words])
        return status, capsys.readouterr().err.splitlines()

    return run


SCENE = Path("out-film/scene-00000000")
DAMAGES = {  # what is done to the folder, and what is said of it
    "no text": (lambda: Path("out-film/film.json").write_bytes(b"\xff\xfe{"), "film.json: "),
    "no JSON": (lambda: Path("out-film/film.json").write_text("{"), "film.json is not JSON"),
    "a list": (lambda: Path("out-film/film.json").write_text("[]"), "film.json cannot be used"),
    "a scene's text": (lambda: (SCENE / "scene.json").write_bytes(b"\xff"), "scene.json: "),
    "no unit": (lambda: (SCENE / "scene.json").write_text("{}"), "does not say the unit"),
    "an endless unit": (
        lambda: (SCENE / "scene.json").write_text('{"unit": NaN}'),
        "does not say the unit",
    ),
    "a unit of a word": (
        lambda: (SCENE / "scene.json").write_text('{"unit": "x"}'),
        "scene.json cannot be used",
    ),
    "a damaged part": (
        lambda: (SCENE / "part-00000000-0002.mkv").write_bytes(b"\xff" * 999),
        "part-00000000-0002.mkv is damaged (Invalid data",
    ),
    "a part of more": (
        lambda: (SCENE / "part-00000002-0002.mkv").rename(SCENE / "part-00000002-0009.mkv"),
        "the parts hold 4 frames, and the film has 6",
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_folder_is_refused_in_one_line(again, what):
    damage, message = DAMAGES[what]
    damage()
    status, lines = again()
    assert status == 2
    assert len(lines) == 1
    assert message in lines[0]
    assert "out-film" in lines[0]
    assert not Path("out.mkv").exists()


def test_what_is_not_ours_among_the_parts_does_no_harm(again):
    shutil.copytree("out-film", "whole-film")
    shutil.copy("in.mp4", "in2.mp4")
    assert again() == (0, [])
    whole = Path("out.mkv").read_bytes()
    Path("out.mkv").unlink()
    shutil.copytree("whole-film", "out-film")
    for name in (
        "part-abc.mkv",
        "part-00000099-0001.mkv",
        "part-1-2-3.mkv",
        "recent-abc",
        "x.json",
    ):
        (SCENE / name).write_bytes(b"junk")
    (SCENE / "recent-99999999x").mkdir()
    assert again() == (0, [])
    assert Path("out.mkv").read_bytes() == whole
    assert not Path("out-film").exists()


def test_a_folder_that_is_a_link_is_removed_with_its_link(again):
    shutil.move("out-film", "elsewhere")
    Path("out-film").symlink_to("elsewhere")
    assert again() == (0, [])
    assert Path("out.mkv").is_file()
    assert not Path("out-film").is_symlink()
    assert not Path("elsewhere").exists()


def test_a_folder_that_cannot_be_removed_is_told_and_the_film_is_there(again, monkeypatch):
    rmtree = shutil.rmtree

    def refuse(path, **more):
        if Path(path).name == "out-film":
            raise PermissionError(13, "Permission denied", str(path))
        rmtree(path, **more)

    monkeypatch.setattr("nst.film.video.shutil.rmtree", refuse)
    status, (line,) = again()
    assert status == 0
    assert line.startswith("nst: warning: out-film could not be removed (Permission denied)")
    assert Path("out.mkv").is_file()


def test_a_folder_in_use_is_told_in_the_words_of_films(again):
    from filelock import FileLock

    with FileLock("out-film/.lock"):
        status, (line,) = again()
    assert status == 2
    assert "another run is saved in out-film" in line
    assert line.endswith("or give this one another --output.")


def test_kept_frames_come_back_as_they_were(tmp_path, rng):
    kept = Kept(tmp_path / "scene", 5, 7)
    frames = [kept.add(rng.random((3, 5, 7), np.float32)) for _ in range(6)]
    kept.trim(6)
    for number in (2, 3, 4, 5):
        np.testing.assert_array_equal(kept.frame(number), frames[number])
    for number in (1, 6):
        with pytest.raises(NstError, match=f"frame {number + 1} of its scene is not in"):
            kept.frame(number)
    kept.keep_unit(0.25)
    assert json.loads((tmp_path / "scene" / "scene.json").read_text()) == {"unit": 0.25}
    assert Kept(tmp_path / "scene", 5, 7).unit == 0.25
