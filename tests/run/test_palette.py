"""The photograph in the colours of its paintings, which the default recipe keeps."""

import numpy as np
import pytest
from matrix_roots import root_in_steps

from nst.objective.recipes import RECIPES
from nst.pictures import colour, images
from nst.run.inputs import ReadPainting, in_style_colours, prepare, with_palette


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


# ---- The palette of what was painted with less strength ------------------------------------


def matched_by_hand(image, target):
    """Return ``image`` with the mean and covariance of ``target``, in float64 by roots."""
    flat, wanted = (one.reshape(3, -1).astype(np.float64) for one in (image, target))
    roots = [root_in_steps(np.cov(one, bias=True), 60) for one in (wanted, flat)]
    centred = flat - flat.mean(axis=1, keepdims=True)
    found = roots[0] @ np.linalg.inv(roots[1]) @ centred + wanted.mean(axis=1, keepdims=True)
    return found.clip(0, 1).reshape(image.shape)


@pytest.fixture
def painted(photograph, paintings):
    """What has gone half of the way already, and a little elsewhere."""
    coloured = in_style_colours(photograph, None, [ReadPainting(paintings[0])])
    return (0.5 * (photograph + coloured) + 0.05 * np.sin(20 * coloured[::-1])).astype(np.float32)


def test_with_less_strength_the_palette_is_between_both(photograph, paintings, painted):
    found = with_palette(painted, photograph, None, [ReadPainting(paintings[0])], 0.3)
    ends = [matched_by_hand(painted, target) for target in (paintings[0], photograph)]
    np.testing.assert_allclose(found, 0.3 * ends[0] + 0.7 * ends[1], atol=1e-4)


def test_the_colours_of_what_was_painted_go_no_part_of_the_way_twice(
    photograph, paintings, painted
):
    found = with_palette(painted, photograph, None, [ReadPainting(paintings[0])], 0.5)
    means = [one.mean(axis=(1, 2)) for one in (photograph, paintings[0])]
    np.testing.assert_allclose(found.mean(axis=(1, 2)), sum(means) / 2, atol=2e-3)


def test_the_ends_of_the_strength_are_what_was_painted_and_the_paintings_palette(
    photograph, paintings, painted
):
    sharing = [ReadPainting(paintings[0])]
    none, full = (with_palette(painted, photograph, None, sharing, s) for s in (0, 1))
    np.testing.assert_array_equal(none, painted)
    np.testing.assert_array_equal(full, in_style_colours(painted, None, sharing))


def test_each_region_has_its_own_palette_between(photograph, paintings, painted):
    left = np.zeros((20, 30), np.float32)
    left[:, :10] = 1
    sharing = [ReadPainting(paintings[0], region=left, part="left")]
    found = with_palette(painted, photograph, None, sharing, 0.5)
    np.testing.assert_array_equal(found[:, :, 10:], painted[:, :, 10:])
    part, own = painted[:, :, :10], photograph[:, :, :10]
    ends = [matched_by_hand(part, target) for target in (paintings[0], own)]
    np.testing.assert_allclose(found[:, :, :10], sum(ends) / 2, atol=1e-4)


def test_what_is_hidden_has_no_part_in_a_palette_between(photograph, paintings, painted):
    alpha = np.ones((20, 30), np.float32)
    alpha[:5] = 0
    photograph[:, :5] = painted[:, :5] = 1  # white, and never seen
    found = with_palette(painted, photograph, alpha, [ReadPainting(paintings[0])], 0.5)
    seen, own = painted[:, 5:], photograph[:, 5:]
    ends = [matched_by_hand(seen, target) for target in (paintings[0], own)]
    np.testing.assert_allclose(found[:, 5:], sum(ends) / 2, atol=1e-4)
