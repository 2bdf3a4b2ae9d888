"""Whatever ends a run after its first step, the picture is saved; what lies beside ends none."""

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import running
from refusals import raiser
from running import begun

from nst import cli, signals, stylize
from nst import files as nst_files
from nst.errors import NstError, NstWarning, with_notes
from nst.objective import Objective
from nst.optimizers import Lbfgs
from nst.pictures import images
from nst.run.checkpoints import Keeper
from nst.run.inputs import prepare
from nst.run.records import Records
from nst.show import plots
from nst.show.apart import matplotlib_apart
from nst.signals import Signals
from nst.stylize import complete

FULL = (160, 133)  # of the result at --size 160


@pytest.fixture
def settings(settings):
    """As the losses leave it: at another size colours are brought elsewhere."""
    return partial(settings, color="painted")


def ending(step, error):
    """Return a callback that raises ``error`` after ``step``, or calls it, and what it saw."""
    seen = []

    def after_step(progress):
        seen.append(progress.image.copy())
        if progress.step == step:
            if isinstance(error, BaseException):
                raise error
            error()

    return after_step, seen


def assert_painted(path, seen):
    """Check that the picture at ``path`` is the last one that was seen, at full size."""
    np.testing.assert_allclose(images.load(path), images.resize(seen[-1], *FULL), atol=0.51 / 255)
    assert json.loads(images.read_metadata(path)["nst losses"])["step"] == len(seen)


# ---- What ends a run -----------------------------------------------------------------

ENDS = [
    ZeroDivisionError("a bug"),
    MemoryError(),
    OSError(errno.ENOSPC, "No space left on device"),
    SystemExit(3),
    KeyboardInterrupt(),
    NstError("something to mend"),
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: type(end).__name__)
def test_the_picture_is_saved_whatever_a_callback_raises(settings, end):
    after_step, seen = ending(3, end)
    asked = settings()
    with pytest.raises(type(end)) as error:
        stylize(asked, on_progress=after_step)
    assert error.value is end
    assert end.__notes__ == [f"The picture after step 3 is in {asked.output}."]
    del end.__notes__
    assert_painted(asked.output, seen)


@pytest.mark.parametrize("end", [MemoryError, TypeError])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(Objective, "evaluate"), (Lbfgs, "step"), (Lbfgs, "best"), (Keeper, "due")],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_the_picture_is_saved_whatever_part_of_a_step_fails(
    settings, monkeypatch, owner, name, end
):
    (inputs, planned, state), calls = begun(prepare(settings())), []
    real = getattr(owner, name)

    def failing(*arguments):
        calls.append(1)
        if len(calls) == 5:
            raise end
        return real(*arguments)

    monkeypatch.setattr(owner, name, failing)
    with pytest.raises(end) as error:
        complete(inputs, planned, state)
    made = len(state.history)
    assert made in (4, 5)
    output = inputs.settings.output
    assert error.value.__notes__[0] == f"The picture after step {made} is in {output}."
    saved = images.read_metadata(output)
    assert json.loads(saved["nst losses"])["step"] == made


def test_where_memory_is_short_what_painting_needed_goes_first(settings, monkeypatch):
    kept, real = [], images.save

    def save(*arguments):
        kept.append(inputs.vgg._activations)
        real(*arguments)

    monkeypatch.setattr(images, "save", save)
    after_step, seen = ending(3, MemoryError())
    inputs = prepare(settings())
    with pytest.raises(MemoryError):
        running.paint(inputs, after_step)
    assert kept == [{}]
    assert_painted(inputs.settings.output, seen)


def test_a_fine_stage_s_network_goes_too(settings):
    small = settings(recipe="strokes", size=64, scales=1, steps=(1, 3), model="vgg16-slim")
    inputs = prepare(small)
    with pytest.raises(MemoryError):
        running.paint(inputs, ending(3, MemoryError())[0])
    assert [len(vgg._activations) for vgg in inputs.networks] == [0, 0]
    assert [len(vgg._passes) for vgg in inputs.networks] == [0, 0]


def test_what_can_go_on_is_kept_after_the_picture(settings, tmp_path, monkeypatch):
    """After: on a disk that is nearly full the picture goes first."""
    order = []
    for owner, name in ((images, "save"), (Keeper, "save")):
        real = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda *a, real=real, name=owner.__name__: order.append(name) or real(*a)
        )
    asked = settings(checkpoint=tmp_path / "saved")
    with pytest.raises(ZeroDivisionError) as error:
        stylize(asked, on_progress=ending(3, ZeroDivisionError())[0])
    assert error.value.__notes__[1] == f"`nst resume {tmp_path / 'saved'}` goes on."
    assert order == ["nst.pictures.images", "Keeper"]


def test_a_second_fault_does_not_hide_the_first(settings, monkeypatch):
    monkeypatch.setattr(images, "save", raiser(TypeError("another bug")))
    with pytest.raises(ZeroDivisionError, match="a bug") as error:
        stylize(settings(), on_progress=ending(3, ZeroDivisionError("a bug"))[0])
    assert error.value.__notes__ == [
        "The picture could not be saved anywhere: TypeError('another bug')"
    ]


def test_a_place_that_cannot_be_written_is_not_told_twice(settings, monkeypatch):
    monkeypatch.setattr(images, "save", raiser(NstError("the disk is full; free some space")))
    with pytest.raises(NstError) as error:
        stylize(settings())
    assert with_notes(error.value) == (
        "the disk is full; free some space. The picture could not be saved anywhere."
    )


def test_what_the_machine_refuses_is_said_without_its_number():
    beside = nst_files.Beside()
    with pytest.warns(NstWarning, match=r"no plot was saved: Too many open files: 'a\.ttf'$"):
        with beside.attempt("plot"):
            raise OSError(24, "Too many open files", "a.ttf")


def test_a_temporary_folder_that_cannot_be_removed_ends_no_run(monkeypatch):
    """As where no more files may be open: what was painted is there."""
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        with matplotlib_apart():
            folder = Path(os.environ["MPLCONFIGDIR"])
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    folder.rmdir()


def paint(settings, *more):
    """Paint by the command line, in this process; return the exit status."""
    return cli.main(words_of(settings(), *more))


def words_of(asked, *more):
    """Return the words of a command line."""
    words = ["stylize", asked.content, asked.style[0].path, "-o", asked.output, *more]
    words += ["--model", asked.model, "--device", "cpu", "--size", "48", "--steps", "5"]
    return [*map(str, words), "--scales", "1"]


def after_third_step(monkeypatch, act):
    """Let ``act`` be called when three steps are recorded."""
    real = Records.add

    def add(self, *arguments):
        progress = real(self, *arguments)
        if progress.step == 3:
            act()
        return progress

    monkeypatch.setattr(Records, "add", add)


def test_a_bug_keeps_its_traceback_and_says_where_the_picture_is(settings, monkeypatch):
    after_third_step(monkeypatch, raiser(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug") as error:
        paint(settings)
    assert error.value.__notes__ == [f"The picture after step 3 is in {settings().output}."]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "nst: memory ran out; use a smaller --size, or let --memory name less"),
        (OSError(errno.EIO, "Input/output error", "a.png"), "nst: Input/output error: 'a.png'"),
    ],
)
def test_what_the_machine_refuses_is_one_line(settings, monkeypatch, capsys, error, told):
    after_third_step(monkeypatch, raiser(error))
    assert paint(settings, "--quiet") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(told)
    assert line.endswith(f"The picture after step 3 is in {settings().output}.")


# ---- What cannot be written beside it ------------------------------------------------


def folders_at(*paths):
    for path in paths:
        path.mkdir()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.filterwarnings("error")
def test_a_log_that_finds_no_room_is_told_once(settings, tmp_path, monkeypatch):
    log, real = tmp_path / "losses.csv", Path.open

    def opened(path, *rest, **more):
        return real(Path("/dev/full") if path == log else path, *rest, **more)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.warns(NstWarning, match=r"no log was saved: .*losses.csv: the disk is") as told:
        result = stylize(settings(log=log))
    assert len(told) == 1
    assert len(result.history) == 10


def test_a_log_that_cannot_be_opened_any_more_is_told_once(settings, tmp_path):
    inputs = prepare(settings(log=tmp_path / "losses.csv"))
    folders_at(tmp_path / "losses.csv")
    with pytest.warns(NstWarning, match=r"no log was saved: .*losses.csv: it is a folder") as told:
        assert len(running.paint(inputs).history) == 10
    assert len(told) == 1


def test_frames_that_cannot_be_written_are_told_once(settings, tmp_path):
    inputs = prepare(settings(save_every=2))
    folders_at(tmp_path / "out-00002.png", tmp_path / "out-00006.png")
    with pytest.warns(NstWarning, match=r"no frame was saved: .*out-00002.png") as told:
        assert len(running.paint(inputs).history) == 10
    assert len(told) == 1
    assert (tmp_path / "out-00008.png").is_file()  # it tries on


def test_plots_and_report_that_cannot_be_written_are_told(settings, tmp_path):
    page = tmp_path / "page.html"
    inputs = prepare(settings(plot=True, report=page))
    folders_at(tmp_path / "out-triptych.png", page)
    with pytest.warns(NstWarning) as told:
        result = running.paint(inputs)
    assert [str(one.message).split(":")[0] for one in told] == [
        "no triptych was saved",
        "no report was saved",
    ]
    assert (tmp_path / "out-losses.png").is_file()
    np.testing.assert_allclose(images.load(inputs.settings.output), result.image, atol=0.51 / 255)


def test_a_bug_in_a_plot_is_not_hidden_and_says_where_the_picture_is(settings, monkeypatch):
    monkeypatch.setattr(plots, "draw_triptych", raiser(ZeroDivisionError("a bug")))
    asked = settings(plot=True)
    with pytest.raises(ZeroDivisionError) as error:
        stylize(asked)
    assert error.value.__notes__ == [f"The picture is in {asked.output}."]
    assert asked.output.is_file()


def test_checkpoints_that_cannot_be_written_are_told_once(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(Keeper, "due", lambda self: True)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    folder = tmp_path / "saved"

    def lost():
        shutil.rmtree(folder)
        folder.write_text("a file now")

    inputs = prepare(settings(checkpoint=folder))
    with pytest.warns(NstWarning, match="no checkpoint was saved: .*saved") as told:
        assert len(running.paint(inputs, ending(2, lost)[0]).history) == 10
    assert len(told) == 1


# ---- A folder that is gone -----------------------------------------------------------


def test_a_picture_whose_folder_is_gone_goes_to_the_nearest_place(settings, tmp_path):
    gone = tmp_path / "far" / "away"
    gone.mkdir(parents=True)
    (tmp_path / "out.png").write_text("of someone else")
    asked = settings(output=gone / "out.png", save_every=4)
    after_step, seen = ending(3, lambda: shutil.rmtree(tmp_path / "far"))
    with (
        pytest.warns(NstWarning, match="no frame was saved"),
        pytest.raises(NstError, match=f"cannot write {gone}/out.png: its folder") as error,
    ):
        stylize(asked, on_progress=after_step)
    near = tmp_path / "out-2.png"
    assert error.value.__notes__ == [f"The picture after step 10 is in {near}."]
    assert_painted(near, seen)
    assert (tmp_path / "out.png").read_text() == "of someone else"


def test_a_current_folder_that_is_gone_is_no_hindrance(settings, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    asked = settings(output="out.png", checkpoint="saved")
    after_step, seen = ending(3, lambda: shutil.rmtree(here))
    monkeypatch.setattr(Keeper, "due", lambda self: True)
    with pytest.warns(NstWarning), pytest.raises(NstError, match="cannot write") as error:
        stylize(asked, on_progress=after_step)
    assert error.value.__notes__ == [f"The picture after step 10 is in {tmp_path / 'out.png'}."]
    assert_painted(tmp_path / "out.png", seen)


def test_the_places_near_are_tried_in_their_order(tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    folders_at(home, here)
    (here / "a.png").touch()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(nst_files.tempfile, "gettempdir", raiser(FileNotFoundError("none")))
    asked = tmp_path / "one" / "two" / "a.png"
    assert list(nst_files.places_near(asked)) == [
        asked,
        tmp_path / "a.png",
        here / "a-2.png",
        home / "a.png",
    ]


# ---- Signals -------------------------------------------------------------------------


def while_saving(monkeypatch, number):
    """Let a signal come while the picture is written; return what was written whole then."""
    whole, real = [], os.fsync

    def fsync(descriptor):
        signal.raise_signal(number)
        whole.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return whole


@pytest.mark.usefixtures("heard")
def test_a_signal_while_the_result_is_saved_waits_for_it(settings, monkeypatch):
    asked = settings()
    whole = while_saving(monkeypatch, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as error:
        stylize(asked)
    assert error.value.__notes__ == [f"The picture is in {asked.output}."]
    assert whole == [asked.output.stat().st_size]


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("first", [KeyboardInterrupt, ZeroDivisionError])
def test_a_second_signal_waits_too_and_the_message_is_that_of_the_first(
    settings, monkeypatch, first
):
    asked = settings()
    whole = while_saving(monkeypatch, signal.SIGINT)
    after_step, seen = ending(3, first())
    with pytest.raises(KeyboardInterrupt) as error:
        stylize(asked, on_progress=after_step)
    assert error.value.__notes__ == [f"The picture after step 3 is in {asked.output}."]
    assert whole == [asked.output.stat().st_size]
    assert_painted(asked.output, seen)


ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU")
NAMED = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("second", NAMED[:3], ids=lambda n: n.name)
@pytest.mark.parametrize("first", NAMED, ids=lambda n: n.name)
def test_any_two_signals_save_one_picture(settings, monkeypatch, capsys, first, second):
    whole = while_saving(monkeypatch, second)
    after_third_step(monkeypatch, lambda: signal.raise_signal(first))
    assert paint(settings, "--quiet") == 128 + first
    complaint = capsys.readouterr().err.strip()
    assert complaint == f"nst: interrupted. The picture after step 3 is in {settings().output}."
    assert whole == [settings().output.stat().st_size]


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", NAMED, ids=lambda n: n.name)
def test_a_signal_before_the_first_step_ends_it_with_a_line(settings, monkeypatch, capsys, number):
    def reading(*_, **__):
        signal.raise_signal(number)

    monkeypatch.setattr("nst.commands.prepare", reading)
    assert paint(settings, "--quiet") == 128 + number
    assert capsys.readouterr().err.strip() == "nst: interrupted. Nothing was written yet."
    assert not settings().output.exists()


@pytest.mark.usefixtures("heard")
def test_a_signal_behind_a_preview_says_where_it_is(settings, monkeypatch, capsys):
    def planning(_):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("nst.commands.plan_to_paint", planning)
    asked, output = settings(), settings().output
    words = ["stylize", asked.content, asked.style[0].path, "-o", output, "--model", asked.model]
    assert cli.main([*map(str, words), "--size", "300", "--preview", "--quiet"]) == 143
    assert capsys.readouterr().err.strip() == f"nst: interrupted. The preview is in {output}."
    assert output.is_file()


@pytest.mark.usefixtures("heard")
def test_a_signal_that_a_library_takes_for_its_own_failure_is_one(settings, monkeypatch, capsys):
    """C code that is being imported may turn any exception into an ImportError."""

    def importing(*_, **__):
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            raise ImportError("initialization failed") from None

    monkeypatch.setattr("nst.commands.prepare", importing)
    assert paint(settings, "--quiet") == 143
    assert capsys.readouterr().err.strip() == "nst: interrupted. Nothing was written yet."


STARTING = """
import signal, sys, threading
from nst import cli
started = threading.Thread.start
def start(thread):
    started(thread)
    if thread.name.startswith("nst-kernels"):
        signal.raise_signal(signal.SIGTERM)
threading.Thread.start = start
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.usefixtures("heard")
def test_a_signal_while_threads_start_leaves_none_behind(settings):
    """Python waits for each in the end: for ever, where nobody tells it to go."""
    done = subprocess.run(
        [sys.executable, "-c", STARTING, *words_of(settings()), "--size", "400"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 143, done.stderr
    assert "nst: interrupted." in done.stderr


@pytest.mark.usefixtures("heard")
def test_a_second_signal_on_the_way_to_saving_changes_nothing(settings, monkeypatch, capsys):
    closed = Records.__exit__

    def closing(self, *rest):
        signal.raise_signal(signal.SIGTERM)
        closed(self, *rest)

    monkeypatch.setattr(Records, "__exit__", closing)
    after_third_step(monkeypatch, lambda: signal.raise_signal(signal.SIGINT))
    assert paint(settings, "--quiet") == 130
    assert "interrupted. The picture after step 3 is in " in capsys.readouterr().err


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", NAMED, ids=lambda n: n.name)
def test_a_signal_that_is_ignored_stays_ignored(settings, monkeypatch, number):
    """As `nohup nst ...` has SIGHUP, and SIGINT is for `nst ... &` in a script."""
    signal.signal(number, signal.SIG_IGN)
    after_third_step(monkeypatch, lambda: signal.raise_signal(number))
    while_saving(monkeypatch, number)
    assert paint(settings, "--quiet") == 0
    assert signal.getsignal(number) == signal.SIG_IGN


@pytest.mark.usefixtures("heard")
def test_signals_have_their_handlers_back(settings):
    before = [signal.getsignal(number) for number in NAMED]
    with Signals(begun(prepare(settings()))[2]), signals.held():
        pass
    assert [signal.getsignal(number) for number in NAMED] == before


# ---- Names ---------------------------------------------------------------------------


def test_a_name_of_255_bytes_leaves_no_room_beside_it_and_that_is_told_early(settings, tmp_path):
    longest = tmp_path / ("x" * 251 + ".png")
    assert stylize(settings(output=longest, steps=1)).history
    assert longest.is_file()
    for more in ({"plot": True}, {"save_every": 1}):
        with pytest.raises(NstError, match=r"cannot write .*: file name too long; choose another"):
            prepare(settings(output=longest, **more))


def test_a_name_that_no_file_can_have_is_one_line(settings, capsys):
    for words in (["resume", "x" * 300], ["stylize", "x" * 300, "waves"]):
        assert cli.main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert re.search("no checkpoint in x|(?i:file name too long)", line)


@pytest.mark.skipif(os.name != "posix", reason="needs names that are bytes")
def test_a_report_of_files_whose_names_are_no_text(settings, files, tmp_path):
    named = tmp_path / os.fsdecode(b"photo\xff.png")
    shutil.copy(files / "photograph.png", named)
    asked = settings(content=named, output=tmp_path / os.fsdecode(b"out\xfe.png"), steps=1)
    stylize(replace(asked, report=tmp_path / os.fsdecode(b"page\xfd.html")))
    page = (tmp_path / os.fsdecode(b"page\xfd.html")).read_text(encoding="utf-8")
    assert "photo\\udcff.png" in page
