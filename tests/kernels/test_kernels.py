"""What each kernel computes, checked on small arrays a reader can follow."""

import math
import statistics

import numpy as np
import pytest
from gradcheck import assert_gradient
from matrix_roots import lyapunov_in_steps, root_in_steps

from nst.kernels import blocks
from nst.kernels import numpy_kernels as k

SHAPES = [(1, 1, 1), (3, 1, 5), (3, 5, 1), (2, 4, 7), (5, 16, 16)]
DIVISORS = {"default": None, "seed": 1, "johnson": 2 * 4 * 7.0}
REDUCTIONS = ["sum", "mean", "means"]


# ---- Gram matrix ---------------------------------------------------------------------


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shape", SHAPES)
def test_gram_is_the_mean_product_of_channel_pairs(rng, shape):
    features = rng.standard_normal(shape)
    expected = np.zeros((shape[0], shape[0]))
    for i in range(shape[0]):
        for j in range(shape[0]):
            expected[i, j] = np.mean(features[i] * features[j])
    np.testing.assert_allclose(k.gram(features), expected, rtol=1e-12)


@pytest.mark.parametrize("divisor", [1, 56, 0.5])
def test_gram_is_the_sum_over_pixels_by_the_divisor(rng, divisor):
    features = rng.standard_normal((2, 4, 7))
    expected = 0.0
    for row in range(4):
        for column in range(7):
            expected += features[0, row, column] * features[1, row, column]
    assert k.gram(features, divisor)[0, 1] == pytest.approx(expected / divisor, rel=1e-12)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("divisor", DIVISORS.values(), ids=DIVISORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gram_backward_is_its_slope(rng, shape, divisor):
    features = rng.standard_normal(shape)
    d_gram = rng.standard_normal((shape[0], shape[0]))  # not symmetric, on purpose
    assert_gradient(
        lambda f: np.vdot(d_gram, k.gram(f, divisor)),
        features,
        k.gram_backward(d_gram, features, divisor),
    )


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few pixels, so that every loop over them takes several turns."""
    monkeypatch.setattr(blocks, "ELEMENTS", 5)
    monkeypatch.setattr(blocks, "SUMMED_ELEMENTS", 12)
    monkeypatch.setattr(blocks, "WRITTEN_ELEMENTS", 12)


def draw_mask(rng, shape):
    """Weights of 0 to 1 as in a mask with soft edges, some of them 0."""
    return np.maximum(rng.uniform(-0.3, 1.0, shape[1:]), 0)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shape", SHAPES)
def test_gram_weighs_each_pixel(rng, shape):
    features, mask = rng.standard_normal(shape), draw_mask(rng, shape)
    expected = np.zeros((shape[0], shape[0]))
    for i, j, row, column in np.ndindex(shape[0], *shape):
        product = features[i, row, column] * features[j, row, column]
        expected[i, j] += mask[row, column] * product / 3
    np.testing.assert_allclose(k.gram(features, 3, mask), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shape", SHAPES)
def test_weighed_gram_backward_is_its_slope(rng, shape):
    features, mask = rng.standard_normal(shape), draw_mask(rng, shape)
    d_gram = rng.standard_normal((shape[0], shape[0]))
    assert_gradient(
        lambda f: np.vdot(d_gram, k.gram(f, 7, mask)),
        features,
        k.gram_backward(d_gram, features, 7, mask),
    )


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("shape", [(2, 4, 7), (5, 16, 16)])
def test_gram_of_two_parts_adds_up_to_that_of_the_whole(rng, shape, weighed):
    features, mask = rng.standard_normal(shape), draw_mask(rng, shape)
    parts = [
        k.gram(features[:, :, part], 1, mask[:, part] if weighed else None)
        for part in (slice(None, 3), slice(3, None))
    ]
    whole = k.gram(features, 1, mask if weighed else None)
    np.testing.assert_allclose(sum(parts), whole, rtol=1e-12)


def test_gram_adds_its_blocks_in_float64(monkeypatch):
    """Once at 2**26, float32 counts in steps of 8: the fours of a block would be lost."""
    monkeypatch.setattr(blocks, "SUMMED_ELEMENTS", 4)
    features = np.ones((1, 1, 68), np.float32)
    features[0, 0, :4] = [2.0**13, 0, 0, 0]
    assert k.gram(features, 1)[0, 0] == 2**26 + 64


# ---- Sums for means and covariances --------------------------------------------------


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_moments_are_the_weighed_sums_of_products_and_of_values(rng, shape, weighed):
    features, mask = rng.standard_normal(shape), draw_mask(rng, shape)
    expected = np.zeros((shape[0], shape[0] + 1))
    for i, row, column in np.ndindex(shape):
        value = features[i, row, column] * (mask[row, column] if weighed else 1)
        expected[i, -1] += value
        for j in range(shape[0]):
            expected[i, j] += value * features[j, row, column]
    found = k.moments(features, mask) if weighed else k.moments(features)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_moments_backward_is_their_slope(rng, shape, weighed):
    features = rng.standard_normal(shape)
    mask = draw_mask(rng, shape) if weighed else None
    d_moments = rng.standard_normal((shape[0], shape[0] + 1))
    assert_gradient(
        lambda f: np.vdot(d_moments, k.moments(f, mask)),
        features,
        k.moments_backward(d_moments, features, mask),
    )


def test_a_covariance_survives_means_far_from_zero(rng):
    """Beside the square of 3000, float32 has no digit left for a variance of 1."""
    spread = rng.standard_normal((3, 40, 50))
    features = (spread * [[[1.0]], [[0.5]], [[2.0]]] + 3000).astype(np.float32)
    moments, area = k.moments(features), 40 * 50
    means = moments[:, -1] / area
    covariance = moments[:, :-1] / area - np.outer(means, means)
    expected = np.cov(features.reshape(3, -1).astype(np.float64), bias=True)
    np.testing.assert_allclose(covariance, expected, rtol=1e-5, atol=1e-5)


def draw_symmetric(rng, size):
    """A symmetric matrix with eigenvalues from 0.5 to 4."""
    vectors, _ = np.linalg.qr(rng.standard_normal((size, size)))
    return (vectors * np.linspace(0.5, 4, size)) @ vectors.T


@pytest.mark.parametrize("size", [1, 2, 7])
def test_the_power_one_half_is_the_root(rng, size):
    matrix = draw_symmetric(rng, size)
    root = k.symmetric_power(matrix, 0.5)
    np.testing.assert_allclose(root @ root, matrix, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(root, root.T, rtol=1e-12, atol=1e-14)
    inverse = k.symmetric_power(matrix, -0.5)
    np.testing.assert_allclose(inverse @ root, np.eye(size), rtol=1e-12, atol=1e-13)


def test_a_power_lifts_the_smallest_eigenvalues(rng):
    """Rounding makes some of those of a singular matrix negative."""
    side = rng.standard_normal((6, 2))
    raised = k.symmetric_power(side @ side.T, -0.5, smallest=0.01)
    assert np.linalg.eigvalsh(raised).max() == pytest.approx(10, rel=1e-9)
    assert np.isfinite(k.symmetric_power(side @ side.T, 0.5)).all()


SPECTRA = {
    "near": np.linspace(0.5, 4, 7),
    "far": np.logspace(0, -9, 7),  # twelve steps do not reach the last ones
    "lone": np.array([3.0]),
}


@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA)
@pytest.mark.parametrize("steps", [1, 5, 12])
def test_newton_and_schulz_go_by_eigenvalues_as_they_go_by_matrices(rng, spectrum, steps):
    vectors, _ = np.linalg.qr(rng.standard_normal((len(spectrum), len(spectrum))))
    matrix = (vectors * spectrum) @ vectors.T
    root, d_matrix = k.newton_schulz(matrix, steps)
    expected = root_in_steps(matrix, steps)
    np.testing.assert_allclose(root, expected, rtol=1e-10, atol=1e-12)
    d_expected = lyapunov_in_steps(expected, np.eye(len(spectrum)), steps)
    np.testing.assert_allclose(
        d_matrix, d_expected, rtol=1e-10, atol=1e-12 * np.abs(d_expected).max()
    )


def test_where_they_have_converged_it_is_the_root_and_its_slope(rng):
    matrix = draw_symmetric(rng, 5)
    root, d_matrix = k.newton_schulz(matrix, 12)
    np.testing.assert_allclose(root, k.symmetric_power(matrix, 0.5), rtol=1e-9, atol=1e-12)

    def trace(matrix):
        return np.trace(k.newton_schulz((matrix + matrix.T) / 2, 12)[0])

    assert_gradient(trace, matrix, d_matrix)


def test_twelve_steps_leave_small_eigenvalues_behind(rng):
    vectors, _ = np.linalg.qr(rng.standard_normal((7, 7)))
    matrix = (vectors * SPECTRA["far"]) @ vectors.T
    root, d_matrix = k.newton_schulz(matrix, 12)
    exact = k.symmetric_power(matrix, 0.5)
    assert np.abs(root - exact).max() > 1e-4
    assert np.linalg.norm(d_matrix) < np.linalg.norm(k.symmetric_power(matrix, -0.5)) / 50


# ---- Into a given array --------------------------------------------------------------

INTO = {
    "gram_backward": lambda rng: [rng.standard_normal((5, 5)), rng.standard_normal((5, 6, 7))],
    "moments_backward": lambda rng: [rng.standard_normal((5, 6)), rng.standard_normal((5, 6, 7))],
    "mse_backward": lambda rng: [*rng.standard_normal((2, 5, 6, 7))],
    "masked_mse_backward": lambda rng: [
        *rng.standard_normal((2, 5, 6, 7)),
        draw_mask(rng, (5, 6, 7)),
    ],
    "total_variation_l1_backward": lambda rng: [rng.standard_normal((5, 6, 7))],
    "total_variation_l2_backward": lambda rng: [rng.standard_normal((5, 6, 7))],
    "total_variation_johnson_backward": lambda rng: [rng.standard_normal((5, 6, 7))],
    "total_variation_crowson_backward": lambda rng: [rng.standard_normal((5, 6, 7))],
}
ADDING = [name for name in INTO if name != "mse_backward"]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", INTO)
def test_a_backward_overwrites_the_array_it_is_given(rng, name):
    arguments, out = INTO[name](rng), np.full((5, 6, 7), np.nan)
    expected = getattr(k, name)(*arguments)
    assert getattr(k, name)(*arguments, out=out) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", ADDING)
def test_a_backward_adds_to_the_array_it_is_given(rng, name):
    arguments, out = INTO[name](rng), rng.standard_normal((5, 6, 7))
    expected = out + getattr(k, name)(*arguments)
    assert getattr(k, name)(*arguments, out=out, add=True) is out
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("d_loss", [3, -0.25, np.asarray(0.5, np.float32), np.asarray(0.5)])
@pytest.mark.parametrize("name", ["mse_backward", *ADDING[2:]])
def test_a_loss_passes_its_own_gradient_on(rng, name, d_loss):
    arguments = [a.astype(np.float32) for a in INTO[name](rng)]
    found = getattr(k, name)(*arguments, d_loss=d_loss)
    assert found.dtype == np.float32
    expected = float(d_loss) * getattr(k, name)(*arguments).astype(np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)


# ---- Mean squared error --------------------------------------------------------------


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shape", SHAPES)
def test_mse_is_the_mean_squared_difference(rng, shape):
    x, target = rng.standard_normal((2, *shape))
    expected = 0.0
    for i in np.ndindex(shape):
        expected += (x[i] - target[i]) ** 2
    assert k.mse(x, target) == pytest.approx(expected / math.prod(shape), rel=1e-12)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shape", SHAPES)
def test_mse_backward_is_its_slope(rng, shape):
    x, target = rng.standard_normal((2, *shape))
    assert_gradient(lambda x: k.mse(x, target), x, k.mse_backward(x, target))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shape", SHAPES)
def test_masked_mse_weighs_each_pixel_and_divides_by_all(rng, shape):
    x, target = rng.standard_normal((2, *shape))
    mask, expected = draw_mask(rng, shape), 0.0
    for channel, row, column in np.ndindex(shape):
        difference = x[channel, row, column] - target[channel, row, column]
        expected += mask[row, column] * difference**2
    assert k.masked_mse(x, target, mask) == pytest.approx(expected / math.prod(shape), rel=1e-12)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shape", SHAPES)
def test_masked_mse_backward_is_its_slope(rng, shape):
    x, target = rng.standard_normal((2, *shape))
    mask = draw_mask(rng, shape)
    d_x = k.masked_mse_backward(x, target, mask)
    assert_gradient(lambda x: k.masked_mse(x, target, mask), x, d_x)


def test_where_the_mask_is_0_nothing_counts_and_where_it_is_1_all_does(rng):
    x, target = rng.standard_normal((2, 2, 4, 7))
    assert k.masked_mse(x, target, np.ones((4, 7))) == pytest.approx(k.mse(x, target), rel=1e-14)
    mask = draw_mask(rng, (2, 4, 7))
    target[:, mask == 0] = 1e6
    assert k.masked_mse(x, target, mask) < 1e3
    assert not k.masked_mse_backward(x, target, mask)[:, mask == 0].any()


# ---- Total variation -----------------------------------------------------------------


VARIATIONS = [(name, r) for name in ("l1", "l2", "johnson") for r in REDUCTIONS]
VARIATIONS += [("crowson", "mean")]  # test_losses.py has each of them in loops


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("norm", "power"), [("l1", 1), ("l2", 2)])
def test_total_variation_sums_steps_to_right_and_below(rng, norm, power, shape, reduction):
    image = rng.standard_normal(shape)
    _, height, width = shape
    rights, belows = [], []
    for c, row, column in np.ndindex(shape):
        if column + 1 < width:
            rights.append(abs(image[c, row, column + 1] - image[c, row, column]) ** power)
        if row + 1 < height:
            belows.append(abs(image[c, row + 1, column] - image[c, row, column]) ** power)
    expected = sum(rights) + sum(belows)
    if reduction == "mean":
        expected /= math.prod(shape)
    if reduction == "means":
        expected = sum(rights) / max(1, len(rights)) + sum(belows) / max(1, len(belows))
    total_variation = getattr(k, f"total_variation_{norm}")
    assert total_variation(image, reduction) == pytest.approx(expected, rel=1e-12)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("norm", "reduction"), VARIATIONS)
def test_total_variation_backward_is_its_slope(rng, norm, shape, reduction):
    image = rng.standard_normal(shape)
    forward = getattr(k, f"total_variation_{norm}")
    backward = getattr(k, f"total_variation_{norm}_backward")
    assert_gradient(lambda x: forward(x, reduction), image, backward(image, reduction))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("norm", ["l1", "l2", "johnson", "crowson"])
def test_the_bands_of_total_variation_leave_no_seam(rng, monkeypatch, norm):
    image = rng.standard_normal((3, 9, 4))
    forward = getattr(k, f"total_variation_{norm}")
    backward = getattr(k, f"total_variation_{norm}_backward")
    found = float(forward(image)), backward(image)
    monkeypatch.setattr(blocks, "ELEMENTS", 1000)
    assert found[0] == pytest.approx(float(forward(image)), rel=1e-12)
    np.testing.assert_allclose(found[1], backward(image), rtol=1e-12, atol=1e-14)


def test_total_variation_of_one_bright_pixel():
    image = np.zeros((1, 3, 3), np.float32)
    image[0, 1, 1] = 2.0
    assert k.total_variation_l1(image) == 8  # four steps of two
    assert k.total_variation_l2(image) == 16
    assert k.total_variation_l2(image, "mean") == pytest.approx(16 / 9)  # nine values

    cross = np.asarray([[[0, -1, 0], [-1, 4, -1], [0, -1, 0]]], np.float32)
    np.testing.assert_array_equal(k.total_variation_l1_backward(image), cross)
    np.testing.assert_array_equal(k.total_variation_l2_backward(image), 4 * cross)


def test_total_variation_l1_takes_the_slope_of_a_flat_image_as_zero():
    assert not k.total_variation_l1_backward(np.full((3, 4, 5), 0.3, np.float32)).any()


# ---- Colour --------------------------------------------------------------------------


def test_luminance_weights_red_green_and_blue_by_rec_601(rng):
    image = rng.random((3, 4, 7))
    luma = k.luminance(image)
    assert luma.shape == (4, 7)
    for row, column in np.ndindex(4, 7):
        red, green, blue = image[:, row, column]
        expected = (299 * red + 587 * green + 114 * blue) / 1000
        assert luma[row, column] == pytest.approx(expected, rel=1e-12)


def test_luminance_of_grey_is_its_level():
    np.testing.assert_allclose(k.luminance(np.full((3, 2, 5), 0.25)), 0.25, rtol=1e-15)


# ---- Vectors -------------------------------------------------------------------------


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 4, 5)])
def test_dot_is_the_sum_of_products(rng, shape):
    x, y = rng.standard_normal((2, *shape))
    expected = math.fsum(float(x[i]) * float(y[i]) for i in np.ndindex(shape))
    assert k.dot(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("scale", [-0.75, 3, np.asarray(0.5, np.float32), np.asarray(0.5)])
def test_axpy_adds_a_multiple_in_place(rng, scale):
    x, y = rng.standard_normal((2, 3, 4, 5), np.float32)
    expected = [float(b) + float(scale) * float(a) for a, b in zip(x.flat, y.flat, strict=True)]
    assert k.axpy(scale, x, y) is y
    np.testing.assert_allclose(y.ravel(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("factor", [-0.75, 3, np.asarray(0.5, np.float32), np.asarray(0.5)])
def test_scale_multiplies_in_place(rng, factor):
    x = rng.standard_normal((3, 4, 5), np.float32)
    expected = [float(factor) * float(a) for a in x.flat]
    assert k.scale(factor, x) is x
    np.testing.assert_allclose(x.ravel(), expected, rtol=1e-6)


def test_clip_limits_in_place_and_lets_nan_through():
    image = np.asarray([-0.5, 0.0, 0.25, 1.0, 1.5, np.inf, -np.inf, np.nan], np.float32)
    assert k.clip(image, 0, 1) is image
    np.testing.assert_array_equal(image, [0, 0, 0.25, 1, 1, 1, 0, np.nan])


# ---- Steps ---------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"epsilon": 0.3}], ids=["default", "other"])
def test_normalised_descent_divides_by_the_spread_of_the_gradient(rng, options):
    image, d_image = rng.standard_normal((2, 3, 4, 7))
    before = image.copy()
    assert k.normalised_descent_step(image, d_image, 10.0, **options) is image
    spread = statistics.pstdev(map(float, d_image.flat)) + options.get("epsilon", 1e-8)
    for i in np.ndindex(image.shape):
        assert image[i] == pytest.approx(before[i] - 10 * d_image[i] / spread, rel=1e-7)


def test_normalised_descent_takes_the_same_step_from_a_gradient_of_any_length(rng):
    d_image = rng.standard_normal((3, 16, 17), np.float32)
    d_image -= d_image.mean()
    for length in (1e-3, 1.0, 1e6):
        image = np.zeros_like(d_image)
        k.normalised_descent_step(image, length * d_image, 10 / 255)
        assert np.sqrt(np.mean(image**2)) == pytest.approx(10 / 255, rel=1e-4)


def test_normalised_descent_stays_where_the_gradient_is_zero():
    image = np.full((3, 2, 5), 0.5, np.float32)
    k.normalised_descent_step(image, np.zeros_like(image), 10.0)
    assert (image == 0.5).all()


def test_the_first_step_of_adam_moves_by_the_step_size_against_the_sign(rng):
    d_image = rng.standard_normal((3, 4, 7)) * 100
    image, first, second = np.zeros((3, *d_image.shape))
    assert k.adam_step(image, d_image, first, second, 1, 0.02) is image
    np.testing.assert_allclose(image, -0.02 * np.sign(d_image), rtol=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"beta1": 0.5, "beta2": 0.75, "epsilon": 0.1}], ids=["default", "other"]
)
def test_three_steps_of_adam_follow_the_paper(options):
    """Algorithm 1 of Kingma and Ba, line by line, on one number."""
    alpha, beta1, beta2 = 0.02, options.get("beta1", 0.9), options.get("beta2", 0.999)
    epsilon = options.get("epsilon", 1e-8)
    theta, m, v = 0.5, 0.0, 0.0
    image, first, second = np.full((1, 1, 1), theta), np.zeros((1, 1, 1)), np.zeros((1, 1, 1))
    for t, g in [(1, 3.0), (2, -1.0), (3, 0.25)]:
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        theta = theta - alpha * m_hat / (math.sqrt(v_hat) + epsilon)
        k.adam_step(image, np.full((1, 1, 1), g), first, second, t, alpha, **options)
        assert image.item() == pytest.approx(theta, rel=1e-12)
        assert first.item() == pytest.approx(m, rel=1e-12)
        assert second.item() == pytest.approx(v, rel=1e-12)


# ---- Edges ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_the_laplacian_is_the_difference_from_the_four_neighbours_in_all_channels(rng, shape):
    image = rng.standard_normal(shape)
    _, height, width = shape
    expected = np.zeros((height, width))
    for channel, row, column in np.ndindex(*shape):
        for r, c in [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]:
            if 0 <= r < height and 0 <= c < width:  # beyond is the pixel itself: no difference
                expected[row, column] += image[channel, row, column] - image[channel, r, c]
    np.testing.assert_allclose(k.laplacian(image), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_laplacian_backward_is_its_slope(rng, shape):
    image, d_laplacian = rng.standard_normal(shape), rng.standard_normal(shape[1:])
    assert_gradient(
        lambda x: np.vdot(d_laplacian, k.laplacian(x)),
        image,
        k.laplacian_backward(d_laplacian, image),
    )


# ---- Margin --------------------------------------------------------------------------

MARGINS = [((1, 1, 1), 1), ((3, 1, 5), 1), ((2, 4, 7), 0), ((2, 4, 7), 3), ((2, 4, 7), 4)]


@pytest.mark.parametrize(("shape", "margin"), MARGINS)
def test_reflect_mirrors_the_image_at_its_border(rng, shape, margin):
    image = rng.standard_normal(shape)
    _, height, width = shape
    reflected = k.reflect(image, margin)
    assert reflected.shape == (shape[0], height + 2 * margin, width + 2 * margin)
    rows, columns = ([*range(n), *range(n)[::-1]] * 3 for n in (height, width))  # there and back
    for channel, row, column in np.ndindex(*reflected.shape):
        r, c = rows[2 * height + row - margin], columns[2 * width + column - margin]
        assert reflected[channel, row, column] == image[channel, r, c]


@pytest.mark.parametrize(("shape", "margin"), MARGINS)
def test_reflect_backward_is_its_slope(rng, shape, margin):
    image = rng.standard_normal(shape)
    d_reflected = rng.standard_normal(k.reflect(image, margin).shape)
    assert_gradient(
        lambda x: np.vdot(d_reflected, k.reflect(x, margin)),
        image,
        k.reflect_backward(d_reflected, margin),
    )
