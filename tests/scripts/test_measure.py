"""What pictures have of painting and photograph: each number where it is known."""

import sys
from pathlib import Path

import numpy as np
import pytest
from small_networks import FOUR_BLOCKS, draw_arrays

from nst.pictures import images
from nst.vgg import Vgg
from nst.vgg.weights import from_arrays

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import measure


@pytest.fixture
def vgg(rng, monkeypatch):
    monkeypatch.setattr(measure, "SUBJECT", "relu3_3")
    return Vgg(from_arrays(draw_arrays(FOUR_BLOCKS, rng)), (*measure.LAYERS, "relu3_3"))


def test_a_palette_is_at_no_distance_from_itself_in_another_order(rng):
    image = rng.random((3, 20, 30))
    shuffled = rng.permutation(image.reshape(3, -1), axis=1).reshape(3, 30, 20)
    assert measure.palette_distance(image, shuffled) == pytest.approx(0, abs=1e-9)


def test_the_distance_of_two_greys_is_that_of_their_lightness():
    """By each direction, its share of lightness: a half on average."""
    black, white = np.zeros((3, 16, 16)), np.ones((3, 16, 16))
    assert 30 < measure.palette_distance(black, white) < 70
    grey = np.full((3, 16, 16), 0.5)
    assert measure.palette_distance(black, grey) == pytest.approx(
        0.598 * measure.palette_distance(black, white), rel=0.01
    )  # middle grey's lightness


def test_photograph_and_painting_are_at_no_distance_from_themselves(rng, vgg):
    photograph, painting, other = (rng.random((3, 40, 52), np.float32) for _ in range(3))
    of_photograph = measure.measure(vgg, photograph, photograph, painting)
    of_painting = measure.measure(vgg, painting, photograph, painting)
    of_other = measure.measure(vgg, other, photograph, painting)
    assert of_photograph["subject"] == 0
    assert of_painting["palette"] == 0
    for layer in measure.LAYERS:
        assert of_painting[layer] == pytest.approx(0, abs=1e-5)
        assert of_other[layer] > 1e-3
    assert min(of_painting["subject"], of_other["subject"]) > 0.01


def test_the_table_ends_with_the_mean():
    lines = measure.table({"one": {"a": 1.0, "b": 0.5}, "two": {"a": 2.0, "b": 0.7}}).splitlines()
    assert lines[0] == "| picture | a | b |"
    assert lines[-2:] == ["| two | 2.000 | 0.700 |", "| mean | 1.500 | 0.600 |"]


def test_pictures_of_one_name_have_a_row_each(rng, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("one", "two"):
        Path(folder).mkdir()
        images.save(f"{folder}/painted.png", rng.random((3, 30, 40)))
    words = "measure.py one/painted.png waves one/painted.png two/painted.png --model vgg16-slim"
    monkeypatch.setattr(sys, "argv", words.split())
    measure.main()
    rows = capsys.readouterr().out.splitlines()[2:]
    names = [row.split("|")[1].strip() for row in rows]
    assert names == ["one-painted.png", "two-painted.png", "mean"]


def test_it_measures_files(rng, tmp_path, capsys, monkeypatch):
    for name in ("photograph", "painted"):
        images.save(tmp_path / f"{name}.png", rng.random((3, 30, 40)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", "measure.py photograph.png waves painted.png --model vgg16-slim".split()
    )
    measure.main()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("| picture | palette | subject | relu1_1")
    assert printed[-1].startswith("| painted |")
