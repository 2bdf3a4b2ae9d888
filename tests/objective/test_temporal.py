"""The temporal loss against loops and slopes, and in the whole objective."""

import math
from dataclasses import replace

import numpy as np
import pytest
from gradcheck import assert_gradient
from objectives import everywhere, recipe_of
from small_networks import ReferenceVgg, draw_arrays, relative_error

from nst import losses
from nst.objective import Objective, Targets, Warped
from nst.objective.tiling import smallest_side, tiles_of
from nst.vgg.architecture import Architecture

TWO_BLOCKS = Architecture(((3,), (4, 2)))
TAPS = ("relu1_1", "relu2_2")
SIDE = smallest_side(TWO_BLOCKS, TAPS) + 16


def draw_warped(rng, height, width, dtype=np.float64):
    """A picture, and a certainty that is 0 in places."""
    certainty = np.maximum(rng.uniform(-0.5, 1.0, (height, width)), 0)
    return Warped(rng.random((3, height, width)).astype(dtype), certainty.astype(dtype))


def test_it_is_the_mean_of_what_is_certain(rng):
    image, warped, expected = rng.random((3, 5, 7)), draw_warped(rng, 5, 7), 0.0
    for channel, row, column in np.ndindex(3, 5, 7):
        difference = image[channel, row, column] - warped.picture[channel, row, column]
        expected += warped.certainty[row, column] * difference**2 / (3 * 5 * 7)
    loss, _ = losses.temporal_loss(image, warped)
    assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (1, 9), (8, 1)])
def test_its_gradient_is_the_slope(rng, shape):
    image, warped = rng.random((3, *shape)), draw_warped(rng, *shape)
    _, d_image = losses.temporal_loss(image, warped)
    assert_gradient(lambda i: losses.temporal_loss(i, warped)[0], image, d_image)


def test_where_nothing_is_known_nothing_pulls(rng):
    image, warped = rng.random((3, 5, 7)), draw_warped(rng, 5, 7)
    _, d_image = losses.temporal_loss(image, warped, 3.0)
    assert (warped.certainty == 0).any()
    assert not d_image[:, warped.certainty == 0].any()
    assert d_image[:, warped.certainty > 0].all()


# ---- In the objective ------------------------------------------------------------------


def objective_of(rng, side=None, size=(17, 62), temporal=7.0, **conventions):
    vgg = ReferenceVgg(TWO_BLOCKS, draw_arrays(TWO_BLOCKS, rng), TAPS, "max")
    content = vgg.forward(rng.random((3, *size)))["relu2_2"]
    gram = rng.random((3, 3))
    recipe = recipe_of({"relu2_2": 1.0}, {"relu1_1": 2.0}, temporal=temporal, **conventions)
    warped = draw_warped(rng, *size)
    targets = Targets({"relu2_2": content}, everywhere({"relu1_1": gram + gram.T}), warped=warped)
    return Objective(vgg, targets, recipe, side), rng.random((3, *size))


@pytest.mark.parametrize("combination", ["sum", "log"])
def test_it_is_added_to_what_is_minimised(rng, combination):
    objective, image = objective_of(rng, None, (9, 8), combination=combination, smoothness=0.3)
    without = Objective(
        objective.vgg,
        replace(objective.targets, warped=None),
        objective.recipe,
    )
    found, d_image = objective.evaluate(image)
    expected, d_expected = without.evaluate(image)
    loss, d_loss = losses.temporal_loss(image, objective.targets.warped)
    assert found.raw["temporal"] == pytest.approx(float(loss))
    assert "temporal" not in expected.raw
    assert found.total == pytest.approx(float(expected.total) + 7 * float(loss), rel=1e-12)
    np.testing.assert_allclose(d_image, d_expected + 7 * d_loss, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("combination", ["sum", "log"])
def test_in_tiles_it_is_the_same(rng, combination):
    """It acts on the pixels: no tile has a part in it."""
    whole, image = objective_of(rng, combination=combination, padding=8)
    tiled = Objective(whole.vgg, whole.targets, whole.recipe, SIDE)
    expected, d_expected = whole.evaluate(image)
    found, d_image = tiled.evaluate(image)
    assert len(tiles_of(whole.vgg, image, SIDE, 8)) > 1
    assert math.isfinite(found.total)
    assert found.raw["temporal"] == expected.raw["temporal"]
    assert found.floats() == pytest.approx(expected.floats(), rel=1e-6)
    assert relative_error(d_image, d_expected) <= 1e-6


def test_targets_relative_to_their_size_keep_it(rng):
    objective, image = objective_of(rng, size=(9, 8), relative=True)
    assert objective.evaluate(image)[0].raw["temporal"] > 0


def test_a_warped_picture_without_a_weight_is_not_looked_at(rng):
    objective, image = objective_of(rng, size=(9, 8), temporal=0.0)
    assert "temporal" not in objective.evaluate(image)[0].raw
