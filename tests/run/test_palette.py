"""The photograph in the colours of its paintings, which the default recipe keeps."""

import numpy as np
import pytest

from nst.objective.recipes import RECIPES
from nst.pictures import colour, images
from nst.run.inputs import ReadPainting, in_style_colours, prepare


@pytest.fixture
def photograph(rng):
    return rng.uniform(0.3, 0.7, (3, 20, 30)).astype(np.float32)


@pytest.fixture
def paintings(rng):
    first = 0.5 + 0.1 * rng.standard_normal((3, 12, 9)) * [[[1]], [[0.5]], [[0.2]]]
    second = 0.4 + 0.1 * rng.standard_normal((3, 7, 11)) * [[[0.3]], [[0.6]], [[1]]]
    return [picture.clip(0, 1).astype(np.float32) for picture in (first, second)]


def moments(image, where=None):
    mean, covariance = colour.colour_moments(image, where)
    return np.append(mean, covariance.ravel())


def test_the_whole_photograph_takes_the_palette_of_the_one_painting(photograph, paintings):
    coloured = in_style_colours(photograph, None, [ReadPainting(paintings[0])])
    np.testing.assert_allclose(moments(coloured), moments(paintings[0]), atol=2e-4)


def test_two_paintings_are_pooled_by_their_weights(photograph, paintings):
    heavy, light = ReadPainting(paintings[0], 3), ReadPainting(paintings[1], 1)
    coloured = in_style_colours(photograph, None, [heavy, light])
    each = [picture.mean(axis=(1, 2)) for picture in paintings]
    np.testing.assert_allclose(
        coloured.mean(axis=(1, 2)), 0.75 * each[0] + 0.25 * each[1], atol=2e-3
    )


def test_each_region_takes_its_own_and_the_rest_of_the_photograph_stays(photograph, paintings):
    left, middle = np.zeros((2, 20, 30), np.float32)
    left[:, :10] = middle[:, 10:20] = 1
    regions = [
        ReadPainting(paintings[0], region=left, part="left"),
        ReadPainting(paintings[1], region=middle, part="middle"),
    ]
    coloured = in_style_colours(photograph, None, regions)
    np.testing.assert_array_equal(coloured[:, :, 20:], photograph[:, :, 20:])
    for painting, columns in zip(paintings, [np.s_[:10], np.s_[10:20]], strict=True):
        np.testing.assert_allclose(moments(coloured[:, :, columns]), moments(painting), atol=2e-4)


def test_what_is_hidden_is_not_counted(photograph, paintings):
    alpha = np.ones((20, 30), np.float32)
    alpha[:5] = 0
    photograph[:, :5] = 1  # white, and never seen
    mask = np.ones((12, 9), np.float32)
    mask[:, :4] = 0
    coloured = in_style_colours(photograph, alpha, [ReadPainting(paintings[0], mask=mask)])
    np.testing.assert_allclose(moments(coloured, alpha), moments(paintings[0], mask), atol=2e-4)


def test_a_strength_between_goes_half_way_and_only_the_default_recipe_does_so(settings):
    def content(**how):
        return prepare(settings(**how)).content

    photograph = content(strength=0)
    np.testing.assert_array_equal(photograph, images.load(settings().content))
    whole, half = content(), content(strength=0.5)
    assert np.abs(whole - photograph).mean() > 0.02
    np.testing.assert_allclose(half, (whole + photograph) / 2, atol=1e-6)
    assert {name for name, recipe in RECIPES.items() if recipe.content_colors == "style"} == {
        "nst"
    }
