"""--until: a scale ends when its steps have ceased to bring anything, and never by the clock."""

import json
from dataclasses import replace

import numpy as np
import pytest
from stopping import assert_the_same_when_stopped, stop_after

from nst import devices, resume, stylize
from nst.errors import NstError
from nst.pictures import images
from nst.run import checkpoints
from nst.run.ending import WINDOW, is_over, settled


def entries(*scales):
    """A history of these losses, scale by scale."""
    return [
        {"scale": number, "total": total}
        for number, many in enumerate(scales, 1)
        for total in many
    ]


def test_it_ends_where_a_window_brings_less_than_was_asked_for():
    fallen = [*np.linspace(3, 2, WINDOW), *np.linspace(2, 1.9, WINDOW)]  # by 5 percent
    assert settled(entries(fallen), 5.1)
    assert not settled(entries(fallen), 4.9)
    assert not settled(entries(fallen), 0)
    assert not settled(entries(fallen[1:]), 5.1)  # a step too few to tell
    assert not settled(entries(fallen[:WINDOW], fallen[WINDOW:]), 5.1)  # two scales


def test_a_single_bad_trial_decides_nothing():
    falling = [*np.geomspace(100, 10, WINDOW), *np.geomspace(9, 1, WINDOW)]
    falling[-1] = falling[WINDOW] = 1e3
    assert not settled(entries(falling), 1)


def test_a_loss_below_zero_ends_too():
    """The logarithms that Hvass adds up."""
    assert settled(entries([-20.0] * WINDOW + [-20.1] * WINDOW), 1)
    assert not settled(entries([-20.0] * WINDOW + [-20.3] * WINDOW), 1)


def test_a_scale_is_over_after_its_steps_or_when_the_next_has_begun():
    history = entries([3.0] * 5, [2.0] * 2)
    assert is_over(history, 1, 5, 0)
    assert is_over(history, 1, 300, 1)
    assert not is_over(history, 2, 3, 1)
    assert is_over(history, 2, 2, 1)
    assert not is_over(history, 3, 1, 1)
    assert is_over([], 1, 0, 0)
    assert not is_over([], 1, 1, 0)


@pytest.fixture
def asked(settings):
    return settings(size=48, scales=(32, 48), steps=(300, 300), until=8.0)


def test_a_run_ends_early_and_says_so_itself(asked):
    done = []
    result = stylize(asked, on_progress=lambda progress: done.append(progress.done))
    made = [sum(e["scale"] == number for e in result.history) for number in (1, 2)]
    assert all(2 * WINDOW <= steps < 300 for steps in made)
    assert [e["step"] for e in result.history] == list(range(1, sum(made) + 1))
    for number in (1, 2):
        mine = [e for e in result.history if e["scale"] == number]
        assert settled(mine, 8.0)
        assert not settled(mine[:-1], 8.0)
    assert done == sorted(done)
    assert done[made[0]] == pytest.approx((300 * 32**2 + 48**2) / (300 * (32**2 + 48**2)), rel=0.1)
    text = images.read_metadata(asked.output)["nst settings"]
    assert json.loads(text)["until"] == 8.0


def test_steps_remain_the_most(asked):
    assert len(stylize(replace(asked, steps=(3, 4))).history) == 7


def test_without_it_every_step_is_made(asked):
    assert len(stylize(replace(asked, until=0.0, steps=(45, 45))).history) == 90


def test_stopped_anywhere_it_ends_where_it_would_have(asked, tmp_path):
    """Inside a scale, right behind its last step, and behind the first of the next."""
    history = stylize(asked).history
    first = sum(entry["scale"] == 1 for entry in history)
    stops = first - 1, first, first + 1, len(history)
    assert_the_same_when_stopped(asked, tmp_path / "saved", *stops)


def test_a_checkpoint_of_a_scale_that_ended_for_no_reason_is_refused(asked, tmp_path):
    folder = tmp_path / "saved"
    with pytest.raises(KeyboardInterrupt):
        stylize(
            replace(asked, until=0.0, steps=(2, 9), checkpoint=folder), on_progress=stop_after(4)
        )
    saved = checkpoints.load(folder)
    scales = [[*saved.scales[0][:2], 3], saved.scales[1]]
    (path,) = checkpoints.saved(folder)
    path.unlink()
    checkpoints.save(folder, replace(saved, scales=scales), devices.pick("cpu"))
    with pytest.raises(NstError, match="does not fit together: the steps"):
        resume(folder)


@pytest.mark.parametrize("value", [-1, 51, float("nan"), "soon", True])
def test_what_is_no_percentage_is_refused(settings, value):
    with pytest.raises(NstError, match=r"^--until is .*; (it must be|give a number)"):
        settings(until=value)
