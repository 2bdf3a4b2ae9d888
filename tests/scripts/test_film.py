"""The clip that films are measured on: its motion is what it says."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from nst.film.flow import flicker, warp

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import film


@pytest.fixture(scope="module")
def moments():
    rows, columns = np.mgrid[:200, :260] / 25
    picture = np.stack([np.sin(rows), np.cos(columns), np.sin(rows + columns)])
    return film.clip((picture * 0.4 + 0.5).astype(np.float32), 96, 128, 4)


def test_each_pixel_was_where_the_clip_says(moments):
    for before, now in itertools.pairwise(moments):
        apart = np.abs(now.picture - warp(before.picture, now.backward))
        assert (apart * now.certainty).max() < 0.06
        assert apart.max() > 0.3  # the card hides, and shows
        assert 0.8 < now.certainty.mean() < 0.98
        assert np.abs(now.backward).max() > 1


def test_flicker_is_that_of_what_is_certain(moments):
    shown = [moment.picture for moment in moments]
    still = film.flickers(shown, moments)
    assert still < 0.005
    rng = np.random.default_rng(0)
    noisy = [frame + rng.normal(0, 0.1, frame.shape).astype(np.float32) for frame in shown]
    assert film.flickers(noisy, moments) > 10 * still
    now = moments[1]
    hidden = flicker(now.picture, 1 - now.picture, now.backward, 0 * now.certainty)
    assert hidden == 0


def test_work_is_counted_in_whole_pictures():
    history = [{"size": 32}] * 8 + [{"size": 64}] * 3
    assert film.work_of(history, 64) == 5


def test_a_shorter_clip_than_before_is_measured_alone(tmp_path, monkeypatch, capsys):
    def measured(*words):
        small = ["--size", "64", "--steps", "1", "--frame-steps", "1", "--folder", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", ["film.py", *small, *words])
        film.main()
        assert (tmp_path / "strip.png").is_file()
        return capsys.readouterr().out

    whole = measured("--frames", "3", "--by-frame", "4")
    assert "3 frames of 64 x 48" in whole
    assert "of a still's work" in whole
    shorter = measured("--frames", "2", "--by-frame", "0")
    assert [path.name for path in sorted((tmp_path / "clip").iterdir())] == ["000.png", "001.png"]
    assert len(list((tmp_path / "film").iterdir())) == 2
    assert "of a still's work" not in shorter
