"""A run one step at a time: what it holds, how it is stopped, and what is left of it then."""

import gc
import os
import sys
import threading
import weakref
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from running import begun
from threadpoolctl import threadpool_info

import nst
from nst.errors import NstError
from nst.kernels.blocks import blas_on_one_thread
from nst.pictures import images
from nst.run import checkpoints
from nst.run.inputs import prepare
from nst.stylize import Run, complete

FULL = (160, 133)  # of the result at --size 160


@pytest.fixture
def settings(settings):
    """As the losses leave it: at another size colours are brought elsewhere."""
    return partial(settings, color="painted")


def stopping(step):
    """Return a callback that says False after ``step``, and what it saw."""
    seen = []

    def after_step(progress):
        seen.append(progress.picture())
        return progress.step != step

    return after_step, seen


# ---- Stopped by False ------------------------------------------------------------------------


def test_false_ends_the_run_and_what_was_painted_comes_back(settings):
    after_step, seen = stopping(3)
    asked = settings()
    result = nst.stylize(asked, on_progress=after_step)
    assert len(seen) == len(result.history) == 3
    assert not result.finished
    assert result.image.shape == (3, *FULL)
    np.testing.assert_array_equal(result.image, images.resize(seen[-1], *FULL))
    np.testing.assert_allclose(images.load(asked.output), result.image, atol=0.51 / 255)
    assert "finished" not in images.read_metadata(asked.output)["nst run"]


@pytest.mark.parametrize("said", [None, True, 0, "", np.bool_(False)], ids=repr)
def test_only_false_itself_ends_it(settings, said):
    result = nst.stylize(settings(steps=3, output=None), on_progress=lambda _: said)
    assert result.finished
    assert len(result.history) == 3


def test_false_after_the_last_step_changes_nothing(settings):
    after_step, _ = stopping(10)
    result = nst.stylize(settings(), on_progress=after_step)
    assert result.finished
    assert " finished" in result.metadata["nst run"]


def test_a_run_that_is_stopped_goes_on_to_the_same_picture(settings, tmp_path):
    whole = nst.stylize(settings(output=tmp_path / "whole.png"))
    folder = tmp_path / "saved"
    after_step, _ = stopping(7)
    nst.stylize(settings(checkpoint=folder), on_progress=after_step)
    assert checkpoints.saved(folder)
    resumed = nst.resume(folder)
    np.testing.assert_array_equal(resumed.image, whole.image)
    assert not folder.exists()


# ---- Step by step ----------------------------------------------------------------------------


def test_the_steps_are_those_of_a_whole_run(settings):
    whole = nst.stylize(settings(output=None))
    run = nst.paint(settings())
    steps = [progress.step for progress in run]
    assert steps == list(range(1, 11))
    np.testing.assert_array_equal(run.result.image, whole.image)
    assert run.result.finished
    assert [entry["total"] for entry in run.result.history] == [
        entry["total"] for entry in whole.history
    ]
    np.testing.assert_allclose(images.load(settings().output), whole.image, atol=0.51 / 255)
    assert list(run) == []


def test_the_picture_so_far_is_there_at_every_step(settings):
    with nst.paint(settings(steps=(2, 2))) as run:
        for progress in run:
            height, width = progress.scale.height, progress.scale.width
            picture = progress.picture()
            assert picture.shape == (3, height, width)
            result = run.result
            np.testing.assert_array_equal(result.image, images.resize(picture, *FULL))
            assert len(result.history) == progress.step
            assert result.history[-1]["total"] == progress.losses["total"]
            assert result.finished == (progress.step == 4)
            assert not settings().output.exists()
    assert settings().output.exists()


def test_pictures_have_their_final_colours(settings):
    with nst.paint(settings(color="content", steps=2, output=None)) as run:
        progress = next(run)
        presented = run.inputs.present(np.array(progress.image))
        assert not np.array_equal(presented, progress.image)
        np.testing.assert_array_equal(progress.picture(), presented)


@pytest.mark.parametrize("how", ["close", "block", "forgotten"])
def test_a_run_that_is_left_is_saved(settings, how):
    asked = settings()
    run = nst.paint(asked)
    if how == "block":
        with run:
            next(run), next(run)
    else:
        next(run), next(run)
    if how == "close":
        run.close()
        run.close()
    if how == "forgotten":
        del run
    else:
        assert list(run) == []
        assert not run.result.finished
        assert "over" in repr(run)
    assert '"step": 2' in images.read_metadata(asked.output)["nst losses"]


def test_a_run_that_was_never_begun_leaves_nothing(settings, tmp_path):
    with nst.paint(settings(log=tmp_path / "log.csv")):
        pass
    run = nst.paint(settings(checkpoint=tmp_path / "saved"))
    run.close()
    assert list(run) == []
    assert list(run.result.history) == []
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


def test_an_error_between_two_steps_saves_the_picture(settings):
    asked = settings()
    error = ZeroDivisionError()
    with suppress(ZeroDivisionError), nst.paint(asked) as run:
        for _ in run:
            raise error
    assert error.__notes__ == [f"The picture after step 1 is in {asked.output}."]
    assert len(run.result.history) == 1


def test_interrupted_in_a_step_the_run_still_has_its_picture(settings, monkeypatch):
    """As a notebook's kernel is: Ctrl-C comes somewhere, and the variable stays."""
    run = nst.paint(settings(output=None))
    next(run), next(run)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(run.state.optimizer), "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(run)
    assert list(run) == []
    assert len(run.result.history) == 2
    assert not run.result.finished


def test_of_two_runs_one_has_the_folder(settings, tmp_path):
    asked = settings(checkpoint=tmp_path / "saved")
    inputs, planned, state = begun(prepare(asked))
    first, second = Run(inputs, planned, state), Run(*begun(prepare(settings())))
    second._keeper.folder = asked.checkpoint
    next(first)
    with pytest.raises(NstError, match="another run is saved"):
        next(second)
    assert not settings().output.exists()
    first.close()


# ---- What is left ----------------------------------------------------------------------------


def threads():
    """Return how many threads this process has, those of libraries too."""
    return len(os.listdir("/proc/self/task"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
@pytest.mark.parametrize("how", ["close", "delete", "end"])
def test_nothing_of_the_network_is_left(settings, how):
    nst.stylize(settings(output=None))  # what lives as long as the process is there now
    before, of_python = threads(), threading.active_count()
    run = nst.paint(settings(output=None, steps=2))
    next(run)
    assert threads() >= before
    sessions = [weakref.ref(one.session) for one in run.inputs.vgg._passes.values()]
    vgg = weakref.ref(run.inputs.vgg)
    assert sessions
    if how == "close":
        run.close()
    elif how == "end":
        list(run)
    else:
        del run
        assert vgg() is None  # at once: nothing waits for the collector
    gc.disable()
    try:
        assert [session() for session in sessions] == [None] * len(sessions)
        assert threads() == before
        assert threading.active_count() == of_python
    finally:
        gc.enable()


def test_between_two_steps_numpy_has_its_threads(settings):
    def blas():
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    before = blas()
    with blas_on_one_thread():
        assert set(blas()) == {1}
    with nst.paint(settings(output=None)) as run:
        next(run)
        assert blas() == before


def test_a_network_that_others_paint_with_stays_open(settings):
    from nst.run.shared import Shared

    shared = Shared()
    inputs, planned, state = begun(prepare(settings(output=None), shared=shared))
    complete(inputs, planned, state)
    assert inputs.vgg._passes
