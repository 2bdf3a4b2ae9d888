"""The comparison of the scales: its arithmetic, and one of a tiny run."""

import sys
from pathlib import Path

import numpy as np
import pytest
from running import begun

from nst import demo
from nst.pictures import images
from nst.run.inputs import prepare
from nst.stylize import complete

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import coarse_to_fine


def test_shares_of_the_time_are_told_by_hand(capsys):
    single = np.array([[10, 5.0, 9, 9], [20, 4, 8, 8], [40, 3, 7, 6]])
    fine = np.array([[5, 9.0, 7, 5], [10, 3.5, 5, 4], [20, 3.2, 4, 3]])
    coarse_to_fine.compare(single, fine)
    _, first, _, *rows = capsys.readouterr().out.splitlines()
    assert "takes 0.50 of the time" in first
    assert [row.split() for row in rows] == [
        "1/1 3.000 4.000 3.200 not within its steps".split(),
        "1/2 7.000 8.000 4.000 after 0.12 of its time".split(),
        "1/4 6.000 8.000 3.000 after 0.12 of its time".split(),
        "the sum 16.000 20.000 10.200 after 0.25 of its time".split(),
    ]


def test_the_last_picture_is_judged_and_its_loss_split(settings):
    inputs, planned, state = begun(prepare(settings(steps=7, scales=1, color="painted")))
    judge = coarse_to_fine.Judge(inputs, planned)
    image = complete(inputs, planned, state, judge).image
    ((work, *losses),) = judge.scores
    assert (work, len(losses)) == (7, 3)
    split = judge.split(image)
    assert sum(split.values()) == pytest.approx(losses[0], rel=1e-5)
    assert set(split) == set(state.history[-1]) - {"step", "scale", "size", "seconds", "total"}


def test_a_panorama_has_steps_for_the_scales_that_are_painted(tmp_path, rng, monkeypatch, capsys):
    """At 192 pixels, which `auto` would begin with, it is only 32 pixels high."""
    images.save(tmp_path / "wide.png", rng.random((3, 64, 384)))
    words = [str(tmp_path / "wide.png"), str(demo.style_path("waves"))]
    monkeypatch.setattr(
        sys, "argv", ["coarse_to_fine.py", *words, "--size", "384", "--steps", "1"]
    )
    monkeypatch.setattr(coarse_to_fine, "plan", coarse_to_fine.draft)  # nothing is measured
    coarse_to_fine.main()
    assert "scales auto (384:1)" in capsys.readouterr().out


def test_a_picture_that_cannot_be_judged_at_a_quarter_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["coarse_to_fine.py", "--size", "60"])
    with pytest.raises(SystemExit) as stopped:
        coarse_to_fine.main()
    assert stopped.value.code == 2
    assert "at a quarter of --size 60 the picture is 13 x 15 pixels" in capsys.readouterr().err
