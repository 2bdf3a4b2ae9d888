"""What a run may overwrite when it goes on, and that no two go on at once."""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from run.test_hostile_checkpoints import contents, forge
from running import paint
from stopping import stop_after

from nst import cli, resume, stylize
from nst.devices import CPU
from nst.errors import NstError
from nst.pictures import images
from nst.run import checkpoints, marks
from nst.run.checkpoints import Keeper
from nst.run.inputs import prepare
from nst.run.plan import checkpoint_folder
from nst.run.state import reopen
from nst.stylize import complete


@pytest.fixture
def asked(settings, tmp_path):
    """The settings of a run that writes everything there is."""
    return settings(
        size=64,
        steps=6,
        scales=1,
        save_every=2,
        plot=True,
        log=tmp_path / "losses.csv",
        report=tmp_path / "run.html",
        checkpoint=tmp_path / "saved",
    )


@pytest.fixture
def stopped(asked):
    with pytest.raises(KeyboardInterrupt):
        stylize(asked, on_progress=stop_after(5))
    return asked


def written(asked):
    """Every file that a run of ``asked`` writes, but for checkpoints."""
    folder = asked.output.parent
    names = ["out.png", "out-00002.png", "out-00004.png", "out-00006.png", "out-triptych.png"]
    return [folder / name for name in [*names, "out-losses.png", "losses.csv", "run.html"]]


KINDS = ["text", "picture", "folder", "link"]
NAMES = [
    "out.png",
    "out-00002.png",
    "out-00006.png",
    "out-triptych.png",
    "out-losses.png",
    "losses.csv",
    "run.html",
]


def test_a_run_goes_on_over_the_files_that_it_began(stopped):
    begun = {path.name for path in written(stopped) if path.exists()}
    assert begun == {"out.png", "out-00002.png", "out-00004.png", "losses.csv"}
    assert len(resume(stopped.checkpoint).history) == 6
    assert all(path.exists() for path in written(stopped))


def test_a_run_goes_on_over_the_files_of_the_same_run_before(asked):
    """The plots and the report too, which are written at the end."""
    stylize(dataclasses.replace(asked, checkpoint=None))
    assert all(path.exists() for path in written(asked))
    with pytest.raises(KeyboardInterrupt):
        stylize(asked, on_progress=stop_after(5))
    assert len(resume(asked.checkpoint).history) == 6


def test_a_file_that_the_run_did_not_begin_stays(stopped, tmp_path, rng):
    for name, kind in zip(NAMES, itertools.cycle(KINDS), strict=False):
        check_it_stays(stopped, tmp_path, rng, name, kind)
    assert len(resume(stopped.checkpoint).history) == 6


def check_it_stays(stopped, tmp_path, rng, name, kind):
    path = tmp_path / name
    own = path.read_bytes() if path.exists() else None
    path.unlink(missing_ok=True)
    other = tmp_path / "precious.png"
    images.save(other, rng.random((3, 20, 30)))
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(other)
    else:
        path.write_bytes(other.read_bytes() if kind == "picture" else b"years of work\n")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(NstError, match=f"{name}.*did not begin it|{name}.* is a folder") as error:
        resume(stopped.checkpoint)
    assert "\n" not in str(error.value)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    path.rmdir() if kind == "folder" else path.unlink()
    if own is not None:
        path.write_bytes(own)


def test_an_empty_file_is_nobody_s_loss(stopped, tmp_path):
    for name in ("out.png", "out-00006.png", "losses.csv", "run.html"):
        (tmp_path / name).write_bytes(b"")
    assert len(resume(stopped.checkpoint).history) == 6


@pytest.mark.parametrize("option", ["output", "log", "report"])
def test_a_checkpoint_does_not_choose_what_is_overwritten(stopped, tmp_path, option):
    """Somebody has written another path into it."""
    victim = tmp_path / "elsewhere" / f"thesis{getattr(stopped, option).suffix}"
    victim.parent.mkdir()
    victim.write_text("step,scale\n1,2\n")
    (path,) = checkpoints.saved(stopped.checkpoint)
    about, arrays = contents(path)
    about["settings"][option] = str(victim)
    forge(path, about, arrays)
    for command in ("resume", "report"):
        if command == "resume" or option == "report":
            assert cli.main([command, str(stopped.checkpoint)]) == 2
        assert victim.read_text() == "step,scale\n1,2\n"


def test_a_log_is_the_run_s_as_far_as_its_history_goes(stopped, tmp_path):
    log, history = stopped.log, reopen(stopped.checkpoint)[2].history
    whole = log.read_bytes()
    assert marks.is_log_of(log, history)
    for text in (whole + b"6,1,64,9.9,1\r\n", whole[:-20], whole[:5], b""):
        log.write_bytes(text)
        assert marks.is_log_of(log, history), text
    for text in (b"x" + whole, whole.replace(b"5,1,64", b"5,2,64"), b"\n", b"notes"):
        log.write_bytes(text)
        assert not marks.is_log_of(log, history), text
    log.write_bytes(whole)
    assert not marks.is_log_of(log, [])
    assert not marks.is_log_of(tmp_path, history)


def test_the_mark_is_that_of_the_picture_wherever_it_is_painted(settings, asked, files, tmp_path):
    mark = prepare(asked).mark
    copy = tmp_path / "copy.png"
    copy.write_bytes((files / "photograph.png").read_bytes())
    same = settings(size=64, steps=6, scales=1, content=copy, output=tmp_path / "b.png")
    assert prepare(same).mark == mark
    for change in (
        {"seed": 1},
        {"content": files / "painting.png"},
        {"style": copy},
        {"size": 60},
    ):
        changed = settings(**{"size": 64, "steps": 6, "scales": 1, **change})
        assert prepare(changed).mark != mark, change


def test_a_jpeg_says_whose_it_is(settings, tmp_path):
    asked = settings(output=tmp_path / "out.jpg", steps=4, size=64, checkpoint=tmp_path / "c")
    with pytest.raises(KeyboardInterrupt):
        stylize(asked, on_progress=stop_after(2))
    reopened, *_ = reopen(tmp_path / "c")
    assert marks.carries(asked.output, reopened.mark)
    assert not marks.is_finished(asked.output, reopened.mark)
    assert len(resume(tmp_path / "c").history) == 4
    with Image.open(asked.output) as image:
        assert image.info["comment"].decode() == reopened.mark + marks.FINISHED


def test_without_a_mark_a_jpeg_has_no_comment(tmp_path):
    images.save(tmp_path / "out.jpg", np.zeros((3, 20, 30)))
    with Image.open(tmp_path / "out.jpg") as image:
        assert not image.info.get("comment")


def test_a_new_run_overwrites_what_the_user_names(asked):
    asked.output.write_bytes(b"an old picture")
    asked.log.write_text("an old log")
    assert len(stylize(asked).history) == 6


# ---- One run at a time -----------------------------------------------------------------


def test_a_second_run_on_a_folder_is_refused_while_the_first_lives(tmp_path):
    folder = tmp_path / "saved"
    with Keeper(folder, CPU):
        for _ in range(2):
            with pytest.raises(NstError, match=r"another run is saved in .*saved") as error:
                with Keeper(folder, CPU):
                    pass
            assert "\n" not in str(error.value)
    assert not folder.exists()  # nothing was saved there
    with Keeper(folder, CPU) as keeper:
        keeper.remove()
    assert not folder.exists()


def test_without_a_folder_there_is_nothing_to_lock():
    with Keeper(None, CPU), Keeper(None, CPU):
        pass


def test_a_folder_that_cannot_be_made_does_not_stop_a_run(tmp_path):
    (tmp_path / "file").touch()
    with Keeper(tmp_path / "file" / "below", CPU):
        pass


def test_a_failed_run_unlocks_its_folder(stopped):
    with pytest.raises(KeyboardInterrupt):
        complete(*reopen(stopped.checkpoint), stop_after(6))
    with Keeper(stopped.checkpoint, CPU):
        pass


def test_two_long_runs_of_one_output_do_not_share_a_folder(settings, tmp_path):
    """The default folder is beside the output."""
    folder = checkpoint_folder(settings(), 1e6)

    def second(progress):
        other = prepare(settings())
        with pytest.raises(NstError, match=r"another run is saved in .*out-checkpoint"):
            paint(other, folder=folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paint(prepare(settings()), second, folder=folder)


def test_a_lock_dies_with_its_process(settings, tmp_path, capsys):
    """By SIGKILL too; as long as it lives, a second one goes nowhere."""
    asked = settings()
    command = [sys.executable, "-m", "nst", "stylize", asked.content, asked.style[0].path]
    command += ["--model", asked.model, "--device", "cpu", "--size", "64", "--scales", "1"]
    command += ["--steps", "100000", "--checkpoint", "c", "--log", "l.csv"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        try:
            while not (tmp_path / "l.csv").exists():
                assert process.poll() is None
                time.sleep(0.02)
            with pytest.raises(NstError, match="another run is saved in"):
                stylize(settings(checkpoint=tmp_path / "c", steps=2))
        finally:
            process.send_signal(signal.SIGKILL)
    assert len(stylize(settings(checkpoint=tmp_path / "c", steps=2)).history) == 2


# ---- The door that all pass ------------------------------------------------------------


def test_settings_tell_which_files_they_write(asked):
    """What is checked above is what is written: no option writes a file beside it unseen."""
    before = set(asked.output.parent.rglob("*"))
    stylize(asked)
    new = {path for path in asked.output.parent.rglob("*") if path.is_file()} - before
    assert new == set(written(asked))
    told = [asked.output, asked.log, asked.report, *asked.plots, *asked.frames_there()]
    assert set(told) == new


def test_frames_are_known_by_their_names(settings, tmp_path):
    asked = settings(save_every=2, steps=5)
    for name in ("out-00002.png", "out-00003.png", "out-2.png", "out-00006.png", "x-00002.png"):
        (tmp_path / name).touch()
    assert asked.frames_there() == [tmp_path / "out-00002.png"]
    assert asked.frame_step(Path("out-00004.png")) == 4
    assert settings().frames_there() == []


def test_the_text_of_a_checkpoint_is_the_settings(stopped):
    about, _ = contents(checkpoints.saved(stopped.checkpoint)[0])
    assert json.dumps(about["settings"]) == stopped.as_json()
    assert os.path.isabs(about["folder"])
