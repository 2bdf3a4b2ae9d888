"""The mirrored margin that the network is shown around an image: exact, and without a frame."""

from dataclasses import replace

import numpy as np
import pytest
from gradcheck import assert_gradient
from objectives import everywhere, recipe_of
from running import paint
from small_networks import ReferenceVgg, draw_arrays

from nst import Settings, demo
from nst.objective import Objective, Targets
from nst.objective.tiling import features_of, padding_of
from nst.run.inputs import prepare
from nst.vgg.architecture import Architecture

THREE_BLOCKS = Architecture(((3,), (2, 4), (3, 2)))
TAPS = ["relu2_1", "conv3_2"]


@pytest.fixture
def vgg(rng):
    return ReferenceVgg(THREE_BLOCKS, draw_arrays(THREE_BLOCKS, rng), TAPS, "average")


def objective_of(vgg, photograph, padding):
    """What keeps the photograph, and takes a style without patterns."""
    recipe = recipe_of({"conv3_2": 1.0}, {"relu2_1": 2.0}, 0.3, padding=padding)
    content = features_of(vgg, photograph, recipe.content, None, padding_of(padding, vgg))
    return Objective(vgg, Targets(content, everywhere({"relu2_1": np.eye(2)})), recipe)


@pytest.mark.parametrize("padding", [0, 4, 8])
def test_the_gradient_is_the_slope(vgg, rng, padding):
    photograph, image = rng.random((2, 3, 21, 26))
    objective = objective_of(vgg, photograph, padding)
    assert_gradient(
        lambda x: float(objective.evaluate(x)[0].total),
        image,
        objective.evaluate(image)[1],
        rtol=1e-5,
    )


def test_targets_are_of_the_image_s_own_features_as_the_margin_shows_them(vgg, rng):
    photograph = rng.random((3, 21, 26))
    objective = objective_of(vgg, photograph, 8)
    assert objective.targets.content["conv3_2"].shape == (2, 5, 6)  # no features of the margin
    assert objective.evaluate(photograph)[0].raw["content conv3_2"] == 0
    without = Objective(vgg, objective.targets, replace(objective.recipe, padding=0))
    assert without.evaluate(photograph)[0].raw["content conv3_2"] > 1e-4


def test_a_padding_is_whole_features_of_the_deepest_tap(vgg):
    assert [padding_of(n, vgg) for n in (0, 1, 4, 5, 8)] == [0, 4, 4, 8, 8]


# ---- The frame -----------------------------------------------------------------------


def steepness(image):
    """Return the step between the outermost rows and columns and those next to them.

    As a multiple of the mean step further inside, the mean of the four sides.  A single side may
    have more: a shore or a roof lies there.  So it has in a picture without a border at all, the
    inside of a larger one.
    """
    sides = []
    for axis in (1, 2):
        others = tuple({0, 1, 2} - {axis})
        steps = np.abs(np.diff(image, axis=axis)).mean(axis=others)
        sides += [steps[0] / steps[8:-8].mean(), steps[-1] / steps[8:-8].mean()]
    return np.mean(sides)


@pytest.fixture
def inputs(request):
    asked = {"size": 96, "steps": 40, "scales": 1, "model": "vgg16-slim", "device": "cpu"}
    asked["color"] = "painted"
    return prepare(Settings(demo.content_path(), demo.style_path(request.param), None, **asked))


@pytest.mark.parametrize("inputs", demo.STYLES, indirect=True)
def test_a_picture_has_no_frame(inputs):
    assert steepness(paint(inputs).image) <= 1.3


@pytest.mark.parametrize("inputs", ["waves"], indirect=True)
def test_without_the_margin_there_is_one(inputs):
    framed = replace(inputs, recipe=replace(inputs.recipe, padding=0))
    assert steepness(paint(framed).image) > steepness(paint(inputs).image)


def line(image, margin):
    """Return the step at the row and column that the margin's end shows, the mean of four sides.

    As a multiple of the steps beside it.  Beyond the margin are the network's zeros, whose pull on
    the outermost pixels of the margin is folded to there, and to none further in.
    """
    sides = []
    for x in (image, image[:, ::-1], image.swapaxes(1, 2), image.swapaxes(1, 2)[:, ::-1]):
        steps = np.abs(np.diff(x, axis=1)).mean(axis=(0, 2))
        beside = np.r_[steps[margin - 4 : margin - 1], steps[margin : margin + 3]]
        sides.append(steps[margin - 1] / beside.mean())
    return np.mean(sides)


@pytest.mark.parametrize("inputs", demo.STYLES, indirect=True)
def test_a_picture_has_no_line_where_the_margin_ends(inputs):
    assert line(paint(inputs).image, inputs.recipe.padding) <= 1.2


@pytest.mark.parametrize("inputs", ["swirl", "waves"], indirect=True)
def test_with_half_the_margin_there_is_one(inputs):
    half = inputs.recipe.padding // 2
    halved = replace(inputs, recipe=replace(inputs.recipe, padding=half))
    assert line(paint(halved).image, half) > 1.2
