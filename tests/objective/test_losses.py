"""The three losses against naive loops, and their gradients against slopes."""

import math

import numpy as np
import pytest
from gradcheck import assert_gradient

from nst import losses
from nst.objective.content import CONTENT_REDUCTIONS, content_divisor
from nst.objective.smoothness import SMOOTHNESS_KINDS
from nst.objective.styles.gram import GRAM_NORMALIZATIONS, gram_divisor

SHAPES = [(1, 1, 1), (4, 6, 5), (3, 1, 7), (5, 7, 1)]
DIVISORS = {"HW": 6 * 5, "CHW": 4 * 6 * 5, "none": 1}  # of (4, 6, 5)
SMOOTHNESS = [
    (kind, reduction) for kind in ("l1", "l2", "johnson") for reduction in ("sum", "mean", "means")
] + [("crowson", "mean")]


# ---- Content -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_content_loss_is_the_mean_squared_difference(rng, shape):
    features, target = rng.standard_normal((2, *shape))
    loss, _ = losses.content_loss(features, target)
    expected = sum((features[i] - target[i]) ** 2 for i in np.ndindex(shape)) / math.prod(shape)
    assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("reduction", "divisor"), [("mean", 120), ("sum", 1), ("half sum", 2)])
def test_content_loss_is_reduced_as_it_is_told(rng, reduction, divisor):
    features, target = rng.standard_normal((2, 4, 6, 5))
    loss, _ = losses.content_loss(features, target, reduction)
    expected = sum((features[i] - target[i]) ** 2 for i in np.ndindex(4, 6, 5)) / divisor
    assert loss == pytest.approx(expected, rel=1e-12)
    assert content_divisor(reduction, 120) == divisor


@pytest.mark.parametrize("reduction", CONTENT_REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_content_gradient_is_the_slope(rng, shape, reduction):
    features, target = rng.standard_normal((2, *shape))
    _, d_features = losses.content_loss(features, target, reduction)
    assert_gradient(lambda f: losses.content_loss(f, target, reduction)[0], features, d_features)


def test_an_unknown_content_reduction_is_named():
    with pytest.raises(
        ValueError, match=r"content reduction is 'half'; choose \('mean', 'sum', '"
    ):
        losses.content_loss(np.zeros((2, 3, 4)), np.zeros((2, 3, 4)), "half")


def test_content_loss_is_zero_at_its_target(rng):
    target = rng.standard_normal((4, 6, 5))
    loss, d_features = losses.content_loss(target.copy(), target)
    assert loss == 0
    assert not d_features.any()


# ---- Style ---------------------------------------------------------------------------


def naive_gram(features, divisor):
    channels, height, width = features.shape
    gram = np.zeros((channels, channels))
    for i, j in np.ndindex(gram.shape):
        for row, column in np.ndindex(height, width):
            gram[i, j] += features[i, row, column] * features[j, row, column]
    return gram / divisor


@pytest.mark.parametrize(("normalization", "divisor"), DIVISORS.items())
def test_style_loss_is_the_mean_squared_difference_of_gram_matrices(rng, normalization, divisor):
    features = rng.standard_normal((4, 6, 5))
    target = rng.standard_normal((4, 4))
    loss, _ = losses.style_loss(features, target, normalization)
    difference = naive_gram(features, divisor) - target
    expected = sum(difference[i, j] ** 2 for i in range(4) for j in range(4)) / 16
    assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("normalization", DIVISORS)
def test_style_gradient_is_the_slope(rng, normalization, shape):
    features = rng.standard_normal(shape)
    target = rng.standard_normal((shape[0], shape[0]))  # not symmetric, on purpose
    _, d_features = losses.style_loss(features, target, normalization)
    assert_gradient(lambda f: losses.style_loss(f, target, normalization)[0], features, d_features)


@pytest.mark.parametrize("normalization", DIVISORS)
def test_style_loss_is_zero_for_the_painting_itself(rng, normalization):
    painting = rng.standard_normal((4, 6, 5))
    target = naive_gram(painting, DIVISORS[normalization])
    loss, d_features = losses.style_loss(painting, target, normalization)
    assert loss == pytest.approx(0, abs=1e-25)
    np.testing.assert_allclose(d_features, 0, atol=1e-12)


def test_style_loss_takes_a_painting_of_another_size(rng):
    """The same texture, larger: divided by the number of pixels, it is the same style."""
    texture = rng.standard_normal((3, 4, 5))
    target = naive_gram(np.tile(texture, (1, 2, 3)), 8 * 15)
    assert losses.style_loss(texture, target, "HW")[0] == pytest.approx(0, abs=1e-25)
    assert losses.style_loss(texture, target, "none")[0] > 1


def test_style_does_not_know_where_a_pixel_is(rng):
    features = rng.standard_normal((4, 6, 5))
    target = rng.standard_normal((4, 4))
    moved = features.reshape(4, 30)[:, rng.permutation(30)].reshape(4, 6, 5)
    loss, _ = losses.style_loss(features, target)
    assert losses.style_loss(moved, target)[0] == pytest.approx(float(loss), rel=1e-12)


@pytest.mark.parametrize(("normalization", "divisor"), DIVISORS.items())
def test_gram_divisor_is_what_the_name_says(normalization, divisor):
    assert gram_divisor(4, 6 * 5, normalization) == divisor


def test_every_normalization_is_tested():
    assert set(DIVISORS) == set(GRAM_NORMALIZATIONS)


def test_an_unknown_normalization_is_named():
    with pytest.raises(ValueError, match=r"Gram normalization is 'hw'; choose \('HW', 'CHW', 'n"):
        losses.style_loss(np.zeros((2, 3, 4)), np.zeros((2, 2)), "hw")


# ---- Smoothness ----------------------------------------------------------------------


def naive_smoothness(image, kind, reduction):
    """Return the total variation from its definition, step by step."""
    _, height, width = image.shape
    if kind == "crowson":
        return naive_crowson(image)
    totals = {"right": 0.0, "below": 0.0}
    for c, row, column in np.ndindex(image.shape):
        for name, down, right in (("right", 0, 1), ("below", 1, 0)):
            there = row + down < height and column + right < width
            both = row + 1 < height and column + 1 < width
            if there and (both or kind != "johnson"):
                step = image[c, row + down, column + right] - image[c, row, column]
                totals[name] += {"l1": abs(step), "l2": step**2, "johnson": step**2 / 2}[kind]
    if reduction == "means":
        rows, columns = max(1, height - 1), max(1, width - 1)
        return totals["right"] / (3 * height * columns) + totals["below"] / (3 * rows * width)
    return sum(totals.values()) / (image.size if reduction == "mean" else 1)


def naive_crowson(image):
    """The published formula: four means of squares over an image with its border repeated."""
    channels, height, width = image.shape

    def at(c, row, column):  # pixels outside are the nearest ones inside
        return image[c, min(max(row, 0), height - 1), min(max(column, 0), width - 1)]

    right, below, falling, rising = [], [], [], []
    for c, row, column in np.ndindex(channels, height, width):
        right.append((at(c, row, column + 1) - at(c, row, column)) ** 2)
        below.append((at(c, row + 1, column) - at(c, row, column)) ** 2)
    for c, row, column in np.ndindex(channels, height + 1, width + 1):
        falling.append((at(c, row, column) - at(c, row - 1, column - 1)) ** 2)
        rising.append((at(c, row, column - 1) - at(c, row - 1, column)) ** 2)
    means = [math.fsum(steps) / len(steps) for steps in (right, below, falling, rising)]
    return 2 * (means[0] / 3 + means[1] / 3 + means[2] / 12 + means[3] / 12)


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 1, 5), (3, 5, 1), (3, 6, 5)])
@pytest.mark.parametrize(("kind", "reduction"), SMOOTHNESS)
def test_smoothness_sums_the_steps_between_neighbours(rng, kind, reduction, shape):
    image = rng.random(shape)
    loss, _ = losses.smoothness_loss(image, kind, reduction)
    expected = naive_smoothness(image, kind, reduction)
    assert loss == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_every_kind_of_smoothness_is_tested():
    assert {kind for kind, _ in SMOOTHNESS} == set(SMOOTHNESS_KINDS)


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 1, 5), (3, 5, 1), (3, 6, 5)])
@pytest.mark.parametrize(("kind", "reduction"), SMOOTHNESS)
def test_smoothness_gradient_is_the_slope(rng, kind, reduction, shape):
    image = rng.random(shape)
    _, d_image = losses.smoothness_loss(image, kind, reduction)
    assert_gradient(lambda i: losses.smoothness_loss(i, kind, reduction)[0], image, d_image)


def test_smoothness_is_squared_and_mean_unless_said(rng):
    image = rng.random((3, 6, 5))
    plain, told = losses.smoothness_loss(image), losses.smoothness_loss(image, "l2", "mean")
    assert plain[0] == told[0]
    np.testing.assert_array_equal(plain[1], told[1])


def test_an_unknown_kind_or_reduction_is_named():
    with pytest.raises(ValueError, match=r"kind of total variation is 'l3'; choose .*'l1', 'l2'"):
        losses.smoothness_loss(np.zeros((3, 4, 5)), "l3")
    with pytest.raises(ValueError, match="reduction must be 'sum', 'mean' or 'means', got 'max'"):
        losses.smoothness_loss(np.zeros((3, 4, 5)), "l2", "max")
    with pytest.raises(ValueError, match="reduction must be 'mean' here, got 'sum'"):
        losses.smoothness_loss(np.zeros((3, 4, 5)), "crowson", "sum")


# ---- All three -----------------------------------------------------------------------


def test_float32_in_float32_out(rng):
    features, target = rng.standard_normal((2, 4, 6, 5)).astype(np.float32)
    gram = rng.standard_normal((4, 4)).astype(np.float32)
    image = rng.random((3, 6, 5), np.float32)
    for loss, gradient in (
        losses.content_loss(features, target),
        losses.style_loss(features, gram),
        losses.smoothness_loss(image),
    ):
        assert loss.shape == ()
        assert loss.dtype == gradient.dtype == np.float32


def test_nothing_is_written_into_the_inputs(rng):
    features, target = rng.standard_normal((2, 4, 6, 5))
    gram, image = rng.standard_normal((4, 4)), rng.random((3, 6, 5))
    inputs = features, target, gram, image
    copies = [array.copy() for array in inputs]
    losses.content_loss(features, target)
    losses.style_loss(features, gram)
    losses.smoothness_loss(image)
    for array, copy in zip(inputs, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
