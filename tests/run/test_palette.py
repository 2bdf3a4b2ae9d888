"""The photograph in the colours of its paintings, which the default recipe keeps."""

from dataclasses import replace

import numpy as np
import pytest

from nst.objective.recipes import RECIPES
from nst.pictures import colour, images
from nst.run.colours import in_style_colours, in_style_palette
from nst.run.inputs import prepare
from nst.run.paintings import ReadPainting
from nst.settings import Painting


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


# ---- The palette that a picture has when it is done ------------------------------------


def in_oklab(image):
    """OkLab (3, N) in float64, by Ottosson's formula: sRGB's numbers taken for linear ones."""
    cones = np.cbrt(colour.TO_CONES @ image.reshape(3, -1).astype(np.float64))
    return colour.TO_LAB @ cones


def spread(values):
    """What lies at 1 / 20, 2 / 20, ... of each row."""
    return np.quantile(values, np.arange(1, 20) / 20, axis=1)


@pytest.fixture
def skewed(rng):
    """A painting whose lightness is mostly low, with a few bright places: (3, 40, 50)."""
    bright = rng.random((40, 50)) ** 1.7
    return np.stack([0.1 + 0.8 * bright, 0.2 + 0.5 * bright**2, 0.6 - 0.4 * bright]).astype("f4")


@pytest.fixture
def smooth(rng):
    """A picture of (3, 130, 70), several strips high, of evenly spread colours."""
    rows, columns = np.mgrid[:130, :70] / 130
    noise = 0.02 * rng.standard_normal((3, 130, 70))
    return (np.stack([rows, columns, 0.5 - rows / 4]) * 0.6 + 0.2 + noise).astype(np.float32)


def test_three_quarters_of_the_way_to_the_painting_s_distribution(smooth, skewed, monkeypatch):
    """In each channel of OkLab, from where the mean and covariance alone would bring it."""
    for bound in ("STEEPEST", "MOST_STRETCH"):
        monkeypatch.setattr(colour, bound, 100)
    found = in_style_palette(smooth, None, [ReadPainting(skewed)])
    moved = colour.match_moments(smooth, colour.colour_moments(skewed))
    before, after = spread(in_oklab(moved)), spread(in_oklab(skewed))
    expected = before + 0.75 * (after - before)
    np.testing.assert_allclose(spread(in_oklab(found)), expected, atol=4e-3)
    assert np.abs(before - expected).max() > 0.03


def test_equal_colours_stay_equal_and_lighter_greys_lighter(smooth, skewed):
    smooth[:, 100:] = smooth[:, :30]
    found = in_style_palette(smooth, None, [ReadPainting(skewed)])
    np.testing.assert_array_equal(found[:, 100:], found[:, :30])
    grey, greys = colour.as_grey(smooth), ReadPainting(colour.as_grey(skewed))
    after = in_style_palette(grey, None, [greys])[0].ravel()
    assert np.diff(after[np.argsort(grey[0], axis=None)]).min() > -1e-5
    assert np.ptp(after) > 0.3


def test_a_picture_is_moved_the_same_whatever_is_held_at_once(smooth, skewed, monkeypatch):
    whole = in_style_palette(smooth, None, [ReadPainting(skewed)])
    monkeypatch.setattr(colour, "ROWS_AT_ONCE", 7)
    in_strips = in_style_palette(smooth, None, [ReadPainting(skewed)])
    np.testing.assert_allclose(in_strips, whole, atol=2e-6)


def test_a_large_picture_is_known_by_some_of_its_pixels(smooth, skewed, monkeypatch):
    whole = in_style_palette(smooth, None, [ReadPainting(skewed)])
    monkeypatch.setattr(colour, "LOOKED_AT", 1000)
    by_some = in_style_palette(smooth, None, [ReadPainting(skewed)])
    assert 0 < np.abs(by_some - whole).mean() < 0.03


def test_two_paintings_are_spread_by_their_weights(smooth, skewed):
    """Three of one, that is dark, for one of the other, that is white."""
    white = ReadPainting(np.full((3, 5, 4), 1, np.float32), 1)
    dark = ReadPainting(skewed * np.float32(0.2), 3)
    together = colour.distribution_of([dark.picture, white.picture], [None, None], [3, 1])
    lightness = together.quantiles[0]
    assert (lightness > 0.99).mean() == pytest.approx(0.25, abs=0.01)


def test_the_smallest_weight_counts_as_any_other_where_it_is_alone(skewed):
    found, expected = (colour.distribution_of([skewed], [None], [w]) for w in (1e-320, 1))
    np.testing.assert_array_equal(found.quantiles, expected.quantiles)


def test_regions_masks_and_what_is_hidden(smooth, skewed, paintings):
    left = np.zeros(smooth.shape[1:], np.float32)
    left[:, :20] = 1
    region = ReadPainting(skewed, region=left, part="left")
    found = in_style_palette(smooth, None, [region])
    np.testing.assert_array_equal(found[:, :, 20:], smooth[:, :, 20:])
    alone = in_style_palette(np.ascontiguousarray(smooth[:, :, :20]), None, [ReadPainting(skewed)])
    np.testing.assert_allclose(found[:, :, :20], alone, atol=5e-3)

    nowhere = ReadPainting(skewed, region=np.zeros_like(left), part="nowhere")
    np.testing.assert_array_equal(in_style_palette(smooth, None, [nowhere]), smooth)

    alpha = np.ones(smooth.shape[1:], np.float32)
    alpha[:9] = 0
    white = smooth.copy()
    white[:, :9] = 1  # never seen
    seen = [in_style_palette(one, alpha, [ReadPainting(skewed)])[:, 9:] for one in (smooth, white)]
    np.testing.assert_array_equal(*seen)

    mask = np.zeros(skewed.shape[1:], np.float32)
    mask[:20] = 1
    half = np.ascontiguousarray(skewed[:, :20])
    masked = in_style_palette(smooth, None, [ReadPainting(skewed, mask=mask)])
    np.testing.assert_allclose(
        masked, in_style_palette(smooth, None, [ReadPainting(half)]), atol=1e-6
    )


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_flat_picture_takes_the_painting_s_mean_and_no_more(level, skewed):
    flat = np.full((3, 20, 30), level, np.float32)
    found = in_style_palette(flat, None, [ReadPainting(skewed)])
    assert np.ptp(found.reshape(3, -1), axis=1).max() == 0
    assert np.abs(found[:, 0, 0] - skewed.mean(axis=(1, 2))).max() < 0.1


@pytest.mark.parametrize("recipe", ["nst", "neighbours"])
def test_a_strength_between_is_between_the_photograph_and_the_painting(settings, smooth, recipe):
    """A picture painted half way stays there, and is not moved towards the painting once more."""
    inputs = prepare(settings(recipe=recipe, strength=0.4))
    alpha = np.ones(smooth.shape[1:], np.float32)
    alpha[40:80] = 0
    inputs = replace(inputs, alpha=alpha, photograph=np.ascontiguousarray(1 - smooth[:, ::-1]))
    inputs = replace(inputs, paintings=inputs.paintings[:1])
    own = colour.distribution_of([inputs.photograph], [alpha], [1])
    style = colour.distribution_of([inputs.style], [None], [1])
    wanted = colour.between(own, style, 0.4**0.7)
    expected = colour.with_distribution_of(smooth, wanted, alpha)
    np.testing.assert_allclose(inputs.present(smooth), expected, atol=1e-6)

    whole = replace(inputs, settings=replace(inputs.settings, strength=0))
    np.testing.assert_array_equal(whole.present(smooth), smooth)
    mean = np.average([own.moments[0], style.moments[0]], axis=0, weights=[0.5, 0.5])
    half = colour.between(own, style, 0.5)
    np.testing.assert_allclose(half.moments[0], mean)
    np.testing.assert_allclose(half.quantiles * 2, own.quantiles + style.quantiles)


def test_regions_take_their_own_paintings_and_share_what_both_cover(smooth, skewed, paintings):
    left, right = np.zeros((2, *smooth.shape[1:]), np.float32)
    left[:, :30] = right[:, 30:] = 1
    styles = skewed, np.ascontiguousarray(1 - skewed)
    both = [
        ReadPainting(picture, region=region, part=part)
        for picture, region, part in zip(styles, (left, right), ("left", "right"), strict=True)
    ]
    found = in_style_palette(smooth, None, both)
    for picture, columns in zip(styles, (np.s_[:30], np.s_[30:]), strict=True):
        own = np.ascontiguousarray(smooth[:, :, columns])
        alone = in_style_palette(own, None, [ReadPainting(picture)])
        np.testing.assert_allclose(found[:, :, columns], alone, atol=1e-5)

    everywhere = np.ones_like(left)
    twice = [ReadPainting(skewed, region=everywhere, part=part) for part in "ab"]
    once = in_style_palette(smooth, None, [ReadPainting(skewed)])
    np.testing.assert_allclose(in_style_palette(smooth, None, twice), once, atol=1e-5)
    coloured = in_style_colours(smooth, None, [ReadPainting(skewed)])
    np.testing.assert_allclose(in_style_colours(smooth, None, twice), coloured, atol=1e-5)


def test_a_sky_beside_a_forest_is_not_stretched_into_speckle(rng, skewed):
    """Half of the picture has noise of 2 grey levels, half of it every level there is."""
    picture = rng.random((3, 80, 90)).astype(np.float32)
    picture[:, :40] = 0.7 + rng.standard_normal((1, 40, 90)) * 2 / 255
    found = in_style_palette(picture, None, [ReadPainting(skewed)])
    moved = colour.match_moments(picture, colour.colour_moments(skewed))
    assert in_oklab(found[:, :40])[0].std() <= 1.75 * in_oklab(moved[:, :40])[0].std() + 1e-4


def test_no_step_is_steeper_than_twice_and_the_means_stay():
    known = np.cumsum(np.full((3, 256), 1e-3), axis=1)
    steps = np.stack(
        [np.full(256, 5e-4), np.full(256, 1e-3), np.r_[np.full(128, 1e-2), np.zeros(128)]]
    )
    quantiles = np.cumsum(steps, axis=1)
    found = colour._no_steeper(quantiles, known)
    np.testing.assert_allclose(found[:2], quantiles[:2], atol=1e-12)
    np.testing.assert_allclose(np.diff(found[2]), np.minimum(steps[2, 1:], 2e-3), atol=1e-12)
    np.testing.assert_allclose(found.mean(axis=1), quantiles.mean(axis=1))


def test_a_painting_of_fine_stripes_is_known_by_both_of_its_colours(smooth):
    """Every n-th row of it has one of them alone, whatever n is even."""
    stripes = np.zeros((3, 512, 512), np.float32)
    stripes[:, ::2] = 0.8
    wanted = colour.distribution_of([stripes], [None], [1])
    np.testing.assert_allclose(wanted.moments[0], 0.4, atol=0.01)
    assert (wanted.quantiles[0] > 0.5).mean() == pytest.approx(0.5, abs=0.02)


def test_what_is_nearly_flat_is_not_stretched_into_speckle(rng, skewed):
    """Noise of 2 grey levels becomes 1.25 times as much, then 1 / 4 + 3 / 4 of 2 times."""
    wall = (0.5 + rng.standard_normal((3, 80, 90)) * 2 / 255).astype(np.float32)
    found = in_style_palette(wall, None, [ReadPainting(skewed)])
    assert found.std(axis=(1, 2)).max() < 3 * wall.std(axis=(1, 2)).max()
    assert np.abs(found.mean(axis=(1, 2)) - skewed.mean(axis=(1, 2))).max() < 0.06


def test_a_picture_is_left_as_painted_where_that_is_asked_or_the_recipe_s_way(settings, rng):
    image = rng.random((3, 30, 40)).astype(np.float32)

    def presented(**how):
        return prepare(settings(**how)).present(image)

    assert np.abs(presented() - image).mean() > 0.01
    for as_painted in ({"color": "painted"}, {"recipe": "gatys"}):
        taps = {"content_taps": {"relu3_1": 1.0}, "style_taps": {"relu1_1": 1.0}}
        np.testing.assert_array_equal(presented(**as_painted, **taps), image)
    ours = {name for name, recipe in RECIPES.items() if recipe.palette == "matched"}
    assert ours == {"nst", "neighbours", "mixture", "strokes"}


def test_the_colours_are_those_of_the_painting_at_the_shallowest_layer(settings, files, rng):
    """As the photograph's are before: fine strokes of one painting, large forms of another.

    The shallowest is the first of the network, not of the alphabet.
    """
    taps = dict.fromkeys(("conv3_1", "relu1_1", "relu2_1", "relu4_1"), 1.0)
    image = rng.random((3, 30, 40)).astype(np.float32)
    fine = Painting(files / "painting.png", taps=("relu1_1", "relu2_1"))
    coarse = Painting(files / "photograph.png", taps=("conv3_1", "relu4_1"))
    both, alone = (
        prepare(settings(style=styles, style_taps=taps)).present(image)
        for styles in ([fine, coarse], [Painting(files / "painting.png")])
    )
    np.testing.assert_array_equal(both, alone)
