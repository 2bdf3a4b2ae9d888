"""What becomes of numbers, maps and pictures on their way to the page."""

import base64
import doctest
import json
from io import BytesIO

import numpy as np
import PIL.Image
import pytest

from nst.lesson import pieces
from nst.lesson.pieces import Curves, Long, Mark, Picture, Table, encode


def decoded(source):
    data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    return np.asarray(PIL.Image.open(BytesIO(data)).convert("RGB"))


def test_a_number_keeps_all_digits_beside_those_that_are_shown():
    assert encode(np.float32(0.1)) == {"number": float(np.float32(0.1)), "text": "0.1"}
    assert encode(Long(1 / 3)) == {"number": 1 / 3, "text": "0.3333333333"}
    assert encode(7) == {"number": 7.0, "text": "7"}


def test_examples_are_true():
    failed, tried = doctest.testmod(pieces)
    assert tried
    assert not failed


def test_a_map_is_dark_at_nothing_and_bright_at_most():
    image = decoded(encode(Picture(np.array([[0.0, 1.0, 2.0]]), "a map"))["source"])
    assert image.shape == (1, 3, 3)
    brightness = image.sum(axis=2, dtype=int)[0]
    assert brightness[0] < 20 < brightness[1] < brightness[2]


def test_a_signed_map_is_white_at_nothing_and_has_two_colours():
    image = decoded(encode(Picture(np.array([[-1.0, 0.0, 1.0]]), "a map", signed=True))["source"])
    assert image[0, 1].min() > 230
    assert image[0, 0, 0] > image[0, 0, 2]  # orange below: more red than blue
    assert image[0, 2, 0] < image[0, 2, 2]  # violet above


def test_a_picture_is_its_grey_levels(rng):
    values = rng.random((3, 4, 5)).astype(np.float32)
    shown = encode(Picture(values, "a picture"))
    assert (shown["rows"], shown["columns"], shown["text"]) == (4, 5, "a picture")
    np.testing.assert_allclose(
        decoded(shown["source"]) / 255, np.moveaxis(values, 0, -1), atol=0.003
    )


def test_a_map_of_nothing_is_drawn():
    assert decoded(encode(Picture(np.zeros((2, 2)), ""))["source"]).shape == (2, 2, 3)


@pytest.mark.parametrize("value", [Curves({"a": [1, np.float32(2)]}, "x"), Mark(0, 1, 2, 3)])
def test_all_of_it_is_json(value):
    table = Table(("a", "b"), [("x", np.float64(2.5)), ("y", 3)])
    assert json.loads(json.dumps(encode({"t": table, "v": value, "s": [value, "s", True]})))
