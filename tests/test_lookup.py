"""What moved pictures and checkpoints name: it is found, compared, and says nothing of folders."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from run.test_hostile_checkpoints import contents
from stopping import stop_after

from nst import cli, demo, resume, stylize
from nst.errors import NstError
from nst.lookup import Lookup, portable, sha256
from nst.pictures import images
from nst.run import checkpoints
from nst.settings import Painting


@pytest.fixture
def masks(files):
    """A mask of the photograph's shape and one of the painting's, their left halves white."""
    for name, height, width in (("left.png", 90, 75), ("inside.png", 50, 66)):
        images.save(files / f"half-{name}", np.ones((3, height, 1)) * (np.arange(width) < 33))
    return files / "half-left.png", files / "half-inside.png"


@pytest.fixture
def made(settings, files, masks, tmp_path, monkeypatch):
    """A run of relative paths, in folders below the current one, stopped after step 2 of 4."""
    here = tmp_path / "here"
    (here / "pictures").mkdir(parents=True)
    for path in (files / "photograph.png", files / "painting.png", *masks, files / "tiny.onnx"):
        shutil.copy(path, here / "pictures")
    monkeypatch.chdir(here)
    asked = settings(
        content="pictures/photograph.png",
        style=[
            Painting("pictures/painting.png", region="pictures/half-left.png"),
            Painting("pictures/painting.png", 2, mask="pictures/half-inside.png"),
        ],
        model="pictures/tiny.onnx",
        init="pictures/painting.png",
        output="out.png",
        checkpoint="saved",
        log="losses.csv",
        size=64,
        scales=1,
        steps=4,
    )
    with pytest.raises(KeyboardInterrupt):
        stylize(asked, on_progress=stop_after(2))
    return here


# ---- Finding ---------------------------------------------------------------------------


def test_where_the_text_says_comes_first_then_beside_by_path_and_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lookup = Lookup("it", None, (tmp_path / "a", tmp_path / "b"))
    path = Path("pictures/one.png")
    assert lookup.find(path) == path  # nowhere: where it says
    order = ["b/one.png", "b/pictures/one.png", "a/one.png", "a/pictures/one.png"]
    for name in [*order, "pictures/one.png"]:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
        found = lookup.find(path)
        assert found == (path if name == "pictures/one.png" else tmp_path / name)
    assert lookup.found == {"pictures/one.png": path}
    expecting = Lookup("it", None, lookup.beside, {"pictures/one.png": sha256(Path("b/one.png"))})
    assert expecting.find(path) == tmp_path / "b" / "one.png"  # the one with the right contents


def test_an_absolute_path_of_another_machine_is_found_by_its_name(tmp_path):
    (tmp_path / "one.png").touch()
    lookup = Lookup("it", Path("/nowhere"), (tmp_path,))
    assert lookup.find(Path("/home/somebody/one.png")) == tmp_path / "one.png"


def test_what_comes_along_is_found_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Lookup().find(Path("waves.jpg")) == demo.style_path("waves")
    assert Lookup().find(Path("grace_hopper.jpg")) == demo.content_path()


def test_a_pipe_is_not_looked_into(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pipe").touch()
    lookup = Lookup("it", None, (tmp_path / "other",), {str(tmp_path / "pipe"): "00"})
    assert lookup.find(tmp_path / "pipe") == tmp_path / "pipe"
    assert lookup.find(Path("-")) == Path("-")


def test_a_place_to_write_is_beside_where_its_folder_is_gone(tmp_path):
    lookup = Lookup("it", tmp_path, (tmp_path / "beside",))
    assert lookup.place(Path("out.png")) == tmp_path / "out.png"
    assert lookup.place(Path("gone/out.png")) == tmp_path / "beside" / "out.png"
    assert lookup.place(Path("/gone/out.png")) == tmp_path / "beside" / "out.png"


def test_names_that_others_read_say_nothing_of_folders():
    paths = ["a/b.png", "/home/me/c.png", "../d.png", "/home/you/c.png", "/x/y/c.png", "-"]
    named = portable(map(Path, paths))
    assert list(named.values()) == ["a/b.png", "c.png", "d.png", "you/c.png", "y/c.png", "-"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/a/photos/x.png", "x.png"], ["x.png", "2/x.png"]),
        (["../../x.png", "../x.png", "../../../x.png"], ["x.png", "2/x.png", "3/x.png"]),
        (["../b/x.png", "../../b/x.png", "b/x.png"], ["x.png", "b/x.png", "2/x.png"]),
    ],
)
def test_no_two_files_have_one_name(paths, names):
    assert list(portable(map(Path, paths)).values()) == names


def test_the_text_of_a_result_tells_two_files_of_one_name_apart(
    settings, files, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copy(files / "painting.png", "photograph.png")
    asked = settings(style="photograph.png", size=32, scales=1, steps=1, output="out.png")
    stylize(asked)
    inputs = json.loads(images.read_metadata("out.png")["nst inputs"])
    assert inputs == {
        "photograph.png": sha256(files / "photograph.png"),
        "2/photograph.png": sha256(files / "painting.png"),
    }


# ---- A checkpoint that has moved -------------------------------------------------------


def test_a_run_goes_on_from_another_folder(made, tmp_path, monkeypatch):
    """Every relative path begins where it began: of the masks too."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(resume(made / "saved").history) == 4
    assert (made / "out.png").is_file()
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("flat", [True, False])
def test_a_run_goes_on_on_another_machine(made, tmp_path, monkeypatch, flat):
    """What it reads lies beside the checkpoint there; so will what it writes."""
    there = tmp_path / "there"
    there.mkdir()
    shutil.copytree(made / "saved", there / "saved")
    shutil.copytree(made / "pictures", there if flat else there / "pictures", dirs_exist_ok=True)
    shutil.rmtree(made)
    monkeypatch.chdir(tmp_path)
    assert len(resume(Path("there/saved")).history) == 4
    assert {"out.png", "losses.csv"} <= {path.name for path in there.iterdir()}
    assert not (there / "saved").exists()


@pytest.mark.parametrize("name", ["photograph.png", "painting.png", "half-left.png"])
def test_another_file_of_that_name_is_refused(made, tmp_path, rng, name):
    images.save(made / "pictures" / name, rng.random((3, 50, 60)))
    with pytest.raises(NstError, match=rf"pictures/{name} has changed since the run in saved"):
        resume(Path("saved"))
    assert checkpoints.saved(made / "saved")


# ---- A picture that has moved ----------------------------------------------------------


@pytest.fixture
def moved(made, tmp_path, monkeypatch):
    """The picture of that run, and what it was painted of, in another folder."""
    resume(Path("saved"))
    there = tmp_path / "there"
    shutil.copytree(made / "pictures", there)
    (made / "out.png").rename(there / "out.png")
    shutil.rmtree(made)
    monkeypatch.chdir(tmp_path)
    return there


def test_a_picture_is_painted_again_of_what_lies_beside_it(moved, capsys):
    assert cli.main(["stylize", "--quiet", "--from", "there/out.png", "-o", "again.png"]) == 0
    assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(images.load("again.png"), images.load(moved / "out.png"))


def test_a_changed_input_is_warned_of(moved, rng, capsys):
    images.save(moved / "painting.png", rng.random((3, 50, 66)))
    assert cli.main(["stylize", "--quiet", "--from", "there/out.png", "-o", "again.png"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "nst: warning: there/painting.png is not the pictures/painting.png that there/out.png was "
    )


def test_what_is_given_anew_is_not_warned_of(moved, first, rng, capsys):
    images.save(moved / "photograph.png", rng.random((3, 90, 75)))
    again = ["stylize", "--quiet", "--from", "there/out.png", "-o", "again.png"]
    assert cli.main([*again, "there/photograph.png"]) == 0
    assert capsys.readouterr().err == ""


# ---- What others get to read -----------------------------------------------------------


def test_no_folder_of_the_user_s_is_in_a_picture_or_a_report(settings, files, tmp_path, masks):
    asked = settings(
        style=[Painting(files / "painting.png", mask=masks[1], region=masks[0])],
        init=str(files / "painting.png"),
        log=tmp_path / "l.csv",
        report=tmp_path / "r.html",
        checkpoint=tmp_path / "saved",
        plot=True,
        save_every=1,
        size=64,
        scales=1,
        steps=2,
    )
    result = stylize(asked)
    told = json.dumps(result.metadata)
    assert json.loads(result.metadata["nst settings"])["content"] == "photograph.png"
    assert json.loads(result.metadata["nst inputs"]).keys() == {
        "photograph.png",
        "painting.png",
        "half-left.png",
        "half-inside.png",
    }
    for secret in (str(tmp_path), str(files), files.name, tmp_path.name, str(Path.cwd())):
        assert secret not in told
        for path in (p for p in tmp_path.iterdir() if p.is_file()):
            assert secret.encode() not in path.read_bytes(), path


def test_a_checkpoint_knows_where_its_run_was(made):
    """It is no thing to show around: it lies beside the picture until that is done."""
    about, _ = contents(checkpoints.saved(made / "saved")[0])
    assert about["folder"] == str(made)
    assert about["settings"]["content"] == "pictures/photograph.png"
