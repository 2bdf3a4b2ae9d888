"""Colour: moments and luma against closed forms, and what must not happen to grey images."""

import tracemalloc

import numpy as np
import pytest

from nst.pictures import colour

TINTS = np.array([[0.20, 0.05, 0.00], [0.06, 0.10, 0.04], [0.01, 0.02, 0.15]])


def painting(rng, height=23, width=17, mean=(0.5, 0.45, 0.55)):
    """Return colours that are correlated, and far enough from 0 and 1 to need no clip."""
    noise = rng.uniform(-0.8, 0.8, (3, height * width))
    return (TINTS @ noise + np.reshape(mean, (3, 1))).reshape(3, height, width)


def naive_moments(image):
    pixels = [image[:, i, j] for i, j in np.ndindex(image.shape[1:])]
    mean = sum(pixels) / len(pixels)
    return mean, sum(np.outer(p - mean, p - mean) for p in pixels) / len(pixels)


def luma(image):
    return 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]


def test_moments_are_those_of_the_pixels(rng):
    image = painting(rng)
    mean, covariance = colour.colour_moments(image)
    expected_mean, expected_covariance = naive_moments(image)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-12)
    np.testing.assert_allclose(covariance, expected_covariance, rtol=1e-10)


def test_matched_colours_have_the_mean_and_covariance_of_the_target(rng):
    image = painting(rng)
    target = 0.5 + 0.7 * (painting(rng, 9, 31)[[2, 0, 1]] - 0.5)
    matched = colour.match_colours(image, target)
    for found, expected in zip(naive_moments(matched), naive_moments(target), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert matched.shape == image.shape


def test_matching_is_symmetric_where_covariances_are_diagonal(rng):
    """Then S_target^(1/2) S_image^(-1/2) is one factor per channel, the ratio of the spreads."""
    red, green, blue = np.meshgrid([-0.2, 0.2], [-0.1, 0.1], [-0.05, 0.05])
    image = np.stack([red, green, blue]).reshape(3, 2, 4)
    matched = colour.match_colours(image + 0.4, image[[1, 2, 0]] + 0.6)
    np.testing.assert_allclose(matched, image * [[[0.5]], [[0.5]], [[4]]] + 0.6, rtol=1e-9)


def test_an_image_matched_to_itself_stays(rng):
    image = painting(rng)
    np.testing.assert_allclose(colour.match_colours(image, image), image, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_grey_image_stays_finite_and_takes_the_mean(rng, dtype):
    grey = colour.as_grey(painting(rng)).astype(dtype)
    target = painting(rng, 9, 31, mean=(0.6, 0.4, 0.5)).astype(dtype)
    matched = colour.match_colours(grey, target)
    assert matched.dtype == dtype
    assert np.isfinite(matched).all()
    np.testing.assert_allclose(matched.mean(axis=(1, 2)), naive_moments(target)[0], atol=1e-3)
    spread = np.linalg.eigvalsh(naive_moments(matched)[1])
    assert spread[1] < 1e-6 < spread[2], "a grey image has one direction, and one remains"


def test_rounding_in_a_grey_image_is_not_stretched_into_colours(rng):
    """A JPEG of a grey picture has chroma of less than a grey level."""
    grey = colour.as_grey(painting(rng))
    noisy = grey + rng.uniform(-0.4, 0.4, grey.shape) / 255
    target = painting(rng, 9, 31)
    steps = np.abs(colour.match_colours(noisy, target) - colour.match_colours(grey, target))
    assert steps.max() < 10 / 255


def test_a_flat_image_becomes_the_mean_of_the_target(rng):
    target = painting(rng)
    matched = colour.match_colours(np.full((3, 5, 4), 0.3), target)
    mean = naive_moments(target)[0]
    np.testing.assert_allclose(matched, np.broadcast_to(mean[:, None, None], (3, 5, 4)))


def test_matched_to_a_grey_target_an_image_is_grey(rng):
    matched = colour.match_colours(painting(rng), colour.as_grey(painting(rng, 9, 31)))
    np.testing.assert_allclose(matched[0], matched[1], atol=1e-9)
    np.testing.assert_allclose(matched[0], matched[2], atol=1e-9)
    assert matched.std() > 0.05


def test_what_leaves_the_range_is_clipped(rng):
    matched = colour.match_colours(painting(rng), np.repeat([[[0.0, 1.0]]], 3, axis=0))
    assert matched.min() == 0
    assert matched.max() == 1


def test_a_pixel_with_a_colour_makes_a_picture_of_colour(rng):
    grey, coloured = colour.as_grey(painting(rng)), colour.as_grey(painting(rng, 9, 31))
    coloured[0, 3, 4] += 3 / 255
    rounded = grey + rng.uniform(-0.9, 0.9, grey.shape) / 255  # as a JPEG leaves it
    assert colour.is_grey(grey, rounded)
    assert not colour.is_grey(coloured)
    assert not colour.is_grey(grey, coloured)


# ---- Chroma --------------------------------------------------------------------------


def test_the_luma_is_the_paintings_at_every_pixel(rng):
    painted, content = rng.uniform(0, 1, (2, 3, 151, 17))  # also where the chroma cannot fit
    result = colour.take_chroma(painted, content)
    np.testing.assert_allclose(luma(result), luma(painted), atol=1e-12)
    assert result.min() >= 0
    assert result.max() <= 1


def test_the_chroma_is_the_contents_where_it_fits(rng):
    painted = painting(rng)
    content = 0.5 + 0.3 * (painting(rng)[[2, 0, 1]] - 0.5)
    result = colour.take_chroma(painted, content)
    for channel in range(3):
        found = result[channel] - luma(result)
        np.testing.assert_allclose(found, content[channel] - luma(content), atol=1e-12)


def test_chroma_that_does_not_fit_is_scaled_and_keeps_its_hue():
    painted = np.full((3, 1, 1), 0.9)
    content = np.array([0.2, 0.4, 0.8]).reshape(3, 1, 1)
    y = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.8
    share = (1 - 0.9) / (0.8 - y)  # blue meets white first
    expected = 0.9 + share * (content - y)
    np.testing.assert_allclose(colour.take_chroma(painted, content), expected, rtol=1e-12)
    assert expected.max() == pytest.approx(1)


def test_black_and_white_have_no_chroma(rng):
    content = painting(rng)
    for level in (0.0, 1.0):
        result = colour.take_chroma(np.full_like(content, level), content)
        np.testing.assert_allclose(result, level, atol=1e-12)


def test_an_image_with_its_own_chroma_is_itself(rng):
    image = rng.uniform(0, 1, (3, 23, 17)).astype(np.float32)
    result = colour.take_chroma(image, image)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, image, atol=1e-6)


def test_take_chroma_needs_room_for_the_result_alone(rng):
    image, content = rng.random((2, 3, 1000, 500), np.float32)
    tracemalloc.start()
    colour.take_chroma(image, content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.6 * image.nbytes


def test_take_chroma_needs_one_shape(rng):
    with pytest.raises(ValueError, match="one shape"):
        colour.take_chroma(painting(rng), painting(rng, 9, 31))


def test_blended_moments_are_those_of_one_image_that_holds_them_all(rng):
    first, second = painting(rng, 12, 10), painting(rng, 8, 5, mean=(0.3, 0.6, 0.4))
    both = np.concatenate([first.reshape(3, -1), second.reshape(3, -1)], axis=1)
    moments = [colour.colour_moments(first), colour.colour_moments(second)]
    for found, expected in zip(
        colour.blended(moments, [120, 40]), naive_moments(both[:, None]), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9)


# ---- What each choice does -----------------------------------------------------------


@pytest.fixture
def pair(rng):
    return painting(rng), painting(rng, 9, 31, mean=(0.7, 0.4, 0.3))


def test_style_changes_nothing(pair):
    content, style = pair
    assert colour.content_to_paint("style", content) is content
    assert colour.style_to_paint("style", style, content) is style
    assert colour.finished("style", content, style) is content


def test_content_paints_as_usual_and_takes_the_chroma_afterwards(pair, rng):
    content, style = pair
    painted = painting(rng)
    assert colour.content_to_paint("content", content) is content
    assert colour.style_to_paint("content", style, content) is style
    result = colour.finished("content", painted, content)
    np.testing.assert_array_equal(result, colour.take_chroma(painted, content))


def test_content_luminance_paints_in_grey(pair, rng):
    content, style = pair
    grey = colour.content_to_paint("content-luminance", content)
    np.testing.assert_array_equal(grey, np.stack([luma(content)] * 3))
    measured = colour.style_to_paint("content-luminance", style, content)
    np.testing.assert_allclose(measured, measured[[1, 2, 0]], atol=1e-9)
    assert measured[0].mean() == pytest.approx(luma(content).mean())
    assert measured[0].std() == pytest.approx(luma(content).std())
    painted = colour.as_grey(painting(rng))
    result = colour.finished("content-luminance", painted, content)
    np.testing.assert_allclose(luma(result), painted[0], atol=1e-12)
    np.testing.assert_array_equal(result, colour.take_chroma(painted, content))


def test_match_gives_the_style_the_contents_palette_before_painting(pair):
    content, style = pair
    measured = colour.style_to_paint("match", style, content)
    np.testing.assert_allclose(naive_moments(measured)[0], naive_moments(content)[0])
    assert colour.content_to_paint("match", content) is content
    assert colour.finished("match", content, style) is content
