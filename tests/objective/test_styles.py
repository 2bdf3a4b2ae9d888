"""Styles against loops and slopes, their sums against parts of themselves, masks against loops."""

import math
from dataclasses import replace

import numpy as np
import pytest
from gradcheck import assert_gradient
from matrix_roots import root_in_steps
from objectives import SUMMED, mask_of, recipe_of

from nst import losses
from nst.objective.style import Region, style_loss
from nst.objective.styles import sums as style_sums
from nst.objective.styles.covariance import CovarianceStyle, mean_and_covariance
from nst.objective.styles.finish import STATISTICS, finish
from nst.objective.styles.gram import GRAM_NORMALIZATIONS, GramStyle
from nst.objective.styles.moments import MomentsStyle
from nst.objective.styles.sums import StyleSums, SumStyle

SHAPES = [(1, 2, 3), (4, 6, 5), (3, 1, 7), (5, 7, 1)]


def draw_mask(rng, height, width):
    """A mask with soft edges, some of it 0."""
    mask = np.maximum(rng.uniform(-0.4, 1, (height, width)), 0)
    mask.flat[0] = 1.0
    return mask


def loops(features, mask=None):
    """Return the weighed mean, the mean of products, and the area, pixel by pixel."""
    channels, height, width = features.shape
    mean, products, area = np.zeros(channels), np.zeros((channels, channels)), 0.0
    for row, column in np.ndindex(height, width):
        pixel = features[:, row, column]
        weight = 1.0 if mask is None else mask[row, column]
        mean += weight * pixel
        products += weight * np.outer(pixel, pixel)
        area += weight
    return mean / area, products / area, area


def finish_as(kind, sums, **conventions):
    """Return the style with these sums, in the sense of a recipe with these conventions."""
    return finish(sums, recipe_of({}, {}, style_statistic=kind, **conventions), "relu1_1")


def style_of(kind, painting):
    """Return the style of a painting in float64, where `finish` would round to float32."""
    mean, products, _ = loops(painting)
    if kind == "gram":
        return GramStyle(products)
    if kind in ("w2", "newton-schulz"):
        return STATISTICS[kind].of(STATISTICS[kind].measure(painting))
    deviation = np.sqrt(np.diag(products) - mean**2)
    return MomentsStyle(products, mean, deviation, weight=0.7)


def naive_loss(kind, features, painting, mask=None):
    """Return the distance of a picture's style from a painting's, from its definition."""
    mean, products, _ = loops(features, mask)
    wanted_mean, wanted_products, _ = loops(painting)
    channels = len(mean)
    if kind == "gram":
        return np.mean((products - wanted_products) ** 2)
    if kind == "moments":
        deviation = np.sqrt(np.diag(products) - mean**2)
        wanted_deviation = np.sqrt(np.diag(wanted_products) - wanted_mean**2)
        means = np.mean((mean - wanted_mean) ** 2)
        deviations = np.mean((deviation - wanted_deviation) ** 2)
        return np.mean((products - wanted_products) ** 2) + 0.7 * (means + deviations)
    ridge = 1e-4 * np.eye(channels)
    covariance = products - np.outer(mean, mean) + ridge
    wanted = wanted_products - np.outer(wanted_mean, wanted_mean) + ridge
    means = np.mean((mean - wanted_mean) ** 2)
    if kind == "newton-schulz":
        root = root_in_steps(wanted, 12)
        travel = np.trace(covariance + wanted - 2 * root_in_steps(root @ covariance @ root, 12))
        return means + travel / channels
    # trace((R S R)**(1/2)) is the sum of the roots of the eigenvalues of T S, which needs no R
    roots = np.sqrt(np.linalg.eigvals(wanted @ covariance).real).sum()
    travel = np.trace(covariance) + np.trace(wanted) - 2 * roots
    return means + travel / channels


# ---- The distances -------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", SHAPES[:2])
@pytest.mark.parametrize("kind", SUMMED)
def test_the_loss_is_the_distance_of_the_statistics(rng, kind, shape, masked):
    features, painting = rng.random(shape), rng.random((shape[0], 9, 4))
    mask = draw_mask(rng, *shape[1:]) if masked else None
    style = style_of(kind, painting)
    loss, _ = style.compare(style.measure(features, mask_of(mask)))
    assert loss == pytest.approx(naive_loss(kind, features, painting, mask), rel=1e-6)


# So few pixels as in the last shape leave eigenvalues near zero, which those steps do not reach.
SLOPED = [(k, s) for k in SUMMED for s in SHAPES if k != "newton-schulz" or s != SHAPES[-1]]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("kind", "shape"), SLOPED)
def test_the_gradient_is_the_slope(rng, kind, shape, masked):
    features, painting = rng.random(shape), rng.random((shape[0], 9, 4))
    mask = draw_mask(rng, *shape[1:]) if masked else None
    style = style_of(kind, painting)

    def loss(features):
        return style.compare(style.measure(features, mask_of(mask)))[0]

    _, d_sums = style.compare(style.measure(features, mask_of(mask)))
    assert_gradient(loss, features, style.spread(d_sums, features, mask_of(mask)), rtol=3e-6)


@pytest.mark.parametrize("kind", SUMMED)
def test_the_painting_itself_is_at_no_distance(rng, kind):
    painting = rng.random((4, 9, 5)).astype(np.float32)
    sums = STATISTICS[kind].collect(painting)
    style = finish_as(kind, sums)
    loss, d_features = style_loss(painting, style)
    assert loss == pytest.approx(0, abs=1e-11)
    np.testing.assert_allclose(d_features, 0, atol=1e-7)


@pytest.mark.parametrize("normalization", GRAM_NORMALIZATIONS)
def test_a_gram_style_is_the_style_loss(rng, normalization):
    features, painting = rng.random((4, 6, 5)), rng.random((4, 3, 8))
    gram = np.einsum("ihw,jhw->ij", painting, painting)
    expected, d_expected = losses.style_loss(features, gram, normalization)
    style = GramStyle(gram, normalization)
    loss, d_sums = style.compare(style.measure(features))
    assert loss == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(style.spread(d_sums, features), d_expected, rtol=1e-10)


@pytest.mark.parametrize(("normalization", "divisor"), [("HW", 27), ("CHW", 108), ("none", 1)])
def test_finish_divides_as_it_is_told(rng, normalization, divisor):
    painting = rng.random((4, 3, 9))
    products = np.einsum("ihw,jhw->ij", painting, painting) / divisor
    gram = finish_as("gram", GramStyle.collect(painting), gram_normalization=normalization)
    np.testing.assert_allclose(gram.gram, products, rtol=1e-6)
    conventions = {"gram_normalization": normalization, "moment_weight": 0.5}
    moments = finish_as("moments", MomentsStyle.collect(painting), **conventions)
    np.testing.assert_allclose(moments.gram, products, rtol=1e-6)
    assert (gram.normalization, moments.normalization) == (normalization, normalization)
    assert moments.weight == 0.5 * 4**2
    assert gram.gram.dtype == moments.mean.dtype == moments.deviation.dtype == np.float32


def test_a_flat_picture_has_finite_gradients():
    """Its standard deviations are 0, and its covariance has no inverse."""
    flat = np.full((3, 4, 5), 0.25, np.float32)
    painting = np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 5, 4)
    for kind in SUMMED:
        style = finish_as(kind, STATISTICS[kind].collect(painting))
        loss, d_features = style_loss(flat, style)
        assert np.isfinite(loss)
        assert np.isfinite(d_features).all()


def test_channels_that_go_together_have_finite_gradients(rng):
    """Two patterns in twenty channels: only rounding keeps the covariance from being singular,
    and makes some eigenvalues negative."""
    patterns = rng.standard_normal((2, 6 * 7)) * 1000
    layer = (rng.standard_normal((20, 2)) @ patterns).reshape(20, 6, 7)
    style = CovarianceStyle.of(CovarianceStyle.measure(layer))
    sums = style.measure(layer[:, ::-1].copy() * 1.5)
    between = style.root @ mean_and_covariance(sums)[1] @ style.root
    assert np.linalg.eigvalsh(between)[0] < 0
    loss, d_sums = style.compare(sums)
    assert loss > 0
    assert np.isfinite(d_sums).all()


def test_spreads_and_means_far_from_zero_survive_float32(rng):
    """A brightness of 1000 and a contrast of 1: in float32, 1000**2 swallows the contrast."""
    contrast = rng.standard_normal((3, 30, 31))
    painting = (1000 + contrast).astype(np.float32)
    style = finish_as("moments", MomentsStyle.collect(painting))
    expected = painting.astype(np.float64).std(axis=(1, 2))
    np.testing.assert_allclose(style.deviation, expected, rtol=1e-5)
    twice = (1000 + 2 * contrast).astype(np.float32)
    covariance = finish_as("w2", CovarianceStyle.collect(painting))
    loss, _ = covariance.compare(covariance.measure(twice))
    assert loss == pytest.approx(np.mean(expected**2), rel=0.05)  # (2 s - s)**2, for each channel


# ---- Sums add up ---------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", SUMMED)
def test_the_sums_of_tiles_add_up_to_those_of_the_whole(rng, kind, masked):
    features, mask = rng.random((4, 7, 10)), mask_of(draw_mask(rng, 7, 10))
    statistic = STATISTICS[kind]
    parts = [
        statistic.collect(
            np.ascontiguousarray(features[:, rows, columns]),
            mask.within((slice(None), rows, columns)) if masked else None,
        )
        for rows in (slice(0, 3), slice(3, 7))
        for columns in (slice(0, 9), slice(9, 10))
    ]
    added = parts[0] + parts[1] + parts[2] + parts[3]
    whole = statistic.collect(features, mask if masked else None)
    np.testing.assert_allclose(added.sums, whole.sums, rtol=1e-12)
    assert added.area == pytest.approx(whole.area, rel=1e-14)


def test_a_mask_of_ones_changes_nothing_and_a_half_only_the_area(rng):
    features = rng.random((4, 6, 5))
    plain = GramStyle.measure(features)
    ones = GramStyle.measure(features, mask_of(np.ones((6, 5))))
    half = GramStyle.measure(features, mask_of(np.full((6, 5), 0.5)))
    np.testing.assert_allclose(ones.sums, plain.sums, rtol=1e-12)
    assert (plain.area, ones.area, half.area) == (30, 30, 15)
    style = GramStyle(rng.random((4, 4)))
    assert style.compare(half)[0] == pytest.approx(float(style.compare(plain)[0]), rel=1e-12)


def test_a_region_knows_nothing_of_what_is_outside(rng):
    features, mask = rng.random((4, 6, 5)), np.zeros((6, 5))
    mask[:, :2] = 1
    inside = GramStyle.measure(np.ascontiguousarray(features[:, :, :2]))
    style = GramStyle(rng.random((4, 4)))
    loss, d_features = style_loss(features, Region(style, mask_of(mask)))
    assert loss == pytest.approx(float(style.compare(inside)[0]), rel=1e-12)
    assert not d_features[:, :, 2:].any()
    assert d_features[:, :, :2].all()


def test_a_region_without_area_pulls_on_nothing(rng):
    features, nothing = rng.random((4, 6, 5)), np.zeros((6, 5))
    for kind in SUMMED:
        style = style_of(kind, rng.random((4, 9, 4)))
        loss, d_features = style_loss(features, Region(style, mask_of(nothing)))
        assert np.isfinite(loss)
        assert not d_features.any()


# ---- Several styles ------------------------------------------------------------------


def test_a_blend_is_that_of_gram_matrices(rng):
    paintings = rng.random((3, 4, 5)), rng.random((3, 2, 7))
    blended = SumStyle.blend([GramStyle.collect(p) for p in paintings], [1.5, 4.5])
    grams = [loops(p)[1] for p in paintings]
    found = finish_as("gram", blended).gram
    np.testing.assert_allclose(found, 0.25 * grams[0] + 0.75 * grams[1], rtol=1e-6)


def test_a_blend_of_moments_is_that_of_all_their_pixels(rng):
    """Two paintings of one size, in equal parts: as if hung side by side."""
    one, other = rng.random((2, 3, 4, 5))
    both = MomentsStyle.measure(np.concatenate([one, other], axis=2))
    parts = [MomentsStyle.collect(p) for p in (one, other)]
    blended = SumStyle.blend(parts, [2, 2])
    for kind in ("w2", "newton-schulz", "moments"):
        assert finish_as(kind, blended).compare(both)[0] == pytest.approx(0, abs=1e-11)


# ---- Masks ---------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 31), (40, 23)])
@pytest.mark.parametrize("pools", [0, 1, 2, 4])
@pytest.mark.parametrize(("rounding", "round_half"), [("floor", math.floor), ("ceil", math.ceil)])
def test_a_mask_is_halved_as_the_layers_are(rng, height, width, pools, rounding, round_half):
    mask = rng.random((height, width)).astype(np.float32)
    expected = mask
    for _ in range(pools):
        rows, columns = (round_half(side / 2) for side in expected.shape)
        halved = np.zeros((rows, columns))
        for row, column in np.ndindex(rows, columns):
            square = expected[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            halved[row, column] = math.fsum(map(float, square.flat)) / square.size
        expected = halved
    found = style_sums.mask_at(mask, *expected.shape, rounding)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_a_mask_of_another_picture_is_refused(rounding):
    with pytest.raises(ValueError, match=r"a mask of \(16, 20\) does not belong to .*\(8, 9\)"):
        style_sums.mask_at(np.ones((16, 20)), 8, 9, rounding)


def test_an_unknown_kind_or_normalization_is_named(rng):
    sums = StyleSums(rng.random((2, 2)), 6.0)
    with pytest.raises(ValueError, match=r"kind of style is 'Gram'; choose from \('gram', 'w2'"):
        finish_as("Gram", sums)
    with pytest.raises(ValueError, match=r"Gram normalization is 'hw'; choose \('HW', 'CHW', 'n"):
        finish_as("gram", sums, gram_normalization="hw")
    wrong = replace(GramStyle(np.ones((2, 2))), normalization="C")
    with pytest.raises(ValueError, match="Gram normalization is 'C'"):
        wrong.compare(sums)
