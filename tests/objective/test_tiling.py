"""Tiles against their definition: every pixel and feature owned once, and seen exactly."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import ReferenceVgg, draw_arrays

from nst.objective.tiling import cut, put_among_zeros, smallest_side
from nst.vgg.architecture import POOLINGS, ROUNDINGS, VGG16, VGG19, Architecture

ONE_BLOCK = Architecture(((3, 2),))
THREE_BLOCKS = Architecture(((3,), (2, 4), (3, 2)))
FIVE_BLOCKS = Architecture(((2,), (3,), (2,), (3,), (2, 3)))


@st.composite
def cases(draw):
    """An architecture, taps of it, an image's size and a tile's, with odd remainders."""
    architecture = draw(st.sampled_from([ONE_BLOCK, THREE_BLOCKS, FIVE_BLOCKS]))
    architecture = replace(architecture, rounding=draw(st.sampled_from(ROUNDINGS)))
    taps = draw(st.lists(st.sampled_from(architecture.taps), min_size=1, max_size=3, unique=True))
    least = smallest_side(architecture, taps)
    side = draw(st.integers(least, least + 30))
    height, width = draw(st.integers(16, 120)), draw(st.integers(16, 140))
    padding = draw(st.integers(0, 2)) * max(architecture.stride(tap) for tap in taps)
    return architecture, tuple(taps), height, width, side, padding


# ---- What a tile owns -----------------------------------------------------------------


@given(cases())
@settings(max_examples=200)
def test_each_feature_of_each_tap_belongs_to_exactly_one_tile(case):
    architecture, taps, height, width, *_ = case
    tiles = cut(*case)
    for tap in taps:
        owners = np.zeros(architecture.shape(tap, height, width), int)
        for tile in tiles:
            owners[tile.own(architecture.stride(tap))] += 1
        np.testing.assert_array_equal(owners, 1)


@given(cases())
@settings(max_examples=200)
def test_windows_lie_on_the_grid_inside_the_image_and_fit_the_side(case):
    architecture, taps, height, width, side, padding = case
    deepest = max(architecture.stride(tap) for tap in taps)
    for tile in cut(*case):
        for span, length in ((tile.rows, height), (tile.columns, width)):
            assert span.start % deepest == span.own_start % deepest == 0
            assert -padding <= span.start <= span.own_start < span.own_stop <= span.stop
            assert 0 <= span.own_start
            assert span.own_stop <= length
            assert span.stop <= length + padding
            assert 16 <= span.stop - span.start <= side
            own = [span.own(architecture.stride(tap)) for tap in taps]
            assert all(owned.stop > owned.start for owned in own)


@given(cases())
@settings(max_examples=100)
def test_all_windows_have_one_size(case):
    assert len({tile.shape for tile in cut(*case)}) == 1


def test_tiles_come_out_about_equal():
    spans = {tile.rows for tile in cut(VGG16, ["relu5_1"], 1040, 16, 720)}
    assert sorted(span.own_stop - span.own_start for span in spans) == [512, 528]


def test_an_image_that_fits_is_one_tile():
    for side in (None, 250):
        (tile,) = cut(VGG16, ["relu5_1"], 250, 171, side)
        assert tile.window == (slice(None), slice(0, 250), slice(0, 171))
        assert tile.shape == (250, 171)
        assert tile.own(16) == tile.inside(16) == (slice(None), slice(0, 15), slice(0, 10))


def test_a_row_of_tiles_by_hand():
    """relu2_1 of one-convolution blocks: stride 2, and it sees 1 + 2 pixels further."""
    architecture = Architecture(((3,), (3,)))
    left, right = cut(architecture, ["relu2_1"], 20, 65, 55)
    assert (left.columns.start, left.columns.own_start) == (0, 0)
    assert (left.columns.own_stop, left.columns.stop) == (32, 37)
    assert (right.columns.start, right.columns.own_start) == (28, 32)
    assert (right.columns.own_stop, right.columns.stop) == (65, 65)
    assert right.own(2) == (slice(None), slice(0, 10), slice(16, 32))  # the odd column is dropped
    assert right.inside(2) == (slice(None), slice(0, 10), slice(2, 18))
    assert right.own(1)[2] == slice(32, 65)
    _, kept = cut(replace(architecture, rounding="ceil"), ["relu2_1"], 20, 65, 55)
    assert kept.own(2) == (slice(None), slice(0, 10), slice(16, 33))
    assert kept.inside(2) == (slice(None), slice(0, 10), slice(2, 19))


def test_a_tile_too_small_to_own_anything_is_refused():
    least = smallest_side(VGG16, ["relu5_1"])
    assert least == 2 * 16 - 1 + 2 * 64
    cut(VGG16, ["relu5_1"], 1000, 900, least)
    with pytest.raises(ValueError, match=f"158 pixels is too small for relu5_1; it needs {least}"):
        cut(VGG16, ["relu5_1"], 1000, 900, least - 1)


# ---- What it sees ---------------------------------------------------------------------


@pytest.mark.parametrize("rows", [slice(0, 5), slice(1, 4), slice(2, 5), slice(0, 3)])
@pytest.mark.parametrize("columns", [slice(0, 7), slice(2, 6), slice(0, 1)])
def test_what_is_not_a_tile_s_own_pulls_nothing(rng, rows, columns):
    place = slice(None), rows, columns
    out = rng.random((2, 5, 7))
    expected = np.zeros_like(out)
    expected[place] = d_own = rng.random(out[place].shape)
    put_among_zeros(d_own, place, out)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    ("architecture", "tap", "radius"),
    [
        (VGG16, "relu1_1", 1),
        (VGG16, "conv1_2", 2),
        (VGG16, "relu3_1", 2 + 2 * 2 + 4),
        (VGG16, "relu5_1", 2 + 2 * 2 + 3 * 4 + 3 * 8 + 16),
        (VGG19, "relu5_1", 2 + 2 * 2 + 4 * 4 + 4 * 8 + 16),
    ],
)
def test_radius(architecture, tap, radius):
    assert architecture.radius(tap) == radius


@pytest.mark.parametrize("tap", ["relu1_1", "relu2_1", "conv3_2"])
def test_a_feature_sees_its_radius_and_no_further(tap, rng):
    """By poking: the pixels that a feature in the middle of the image answers to."""
    arrays = {name: np.abs(a) for name, a in draw_arrays(THREE_BLOCKS, rng).items()}
    vgg = ReferenceVgg(THREE_BLOCKS, arrays, [tap], "average")
    radius, stride = THREE_BLOCKS.radius(tap), THREE_BLOCKS.stride(tap)
    features = vgg.forward(rng.random((3, 16, 72)) + 1)
    d_features = np.zeros_like(features[tap])
    middle = 36 // stride
    d_features[:, :, middle] = 1
    seen = np.flatnonzero(np.any(vgg.backward({tap: d_features}) != 0, axis=(0, 1)))
    assert (seen[0], seen[-1]) == (36 - radius, 36 + stride - 1 + radius)


def own_features(vgg, image, case, features=None):
    """Return the features of an image without those of its margin, as views."""
    architecture, taps, height, width, _, padding = case
    features = vgg.forward(image) if features is None else features
    own = {}
    for tap in taps:
        _, rows, columns = architecture.shape(tap, height, width)
        first = padding // architecture.stride(tap)
        own[tap] = features[tap][:, first : first + rows, first : first + columns]
    return own


@pytest.mark.parametrize("pooling", POOLINGS)
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_the_features_of_tiles_are_those_of_the_whole(pooling, case, seed):
    architecture, taps, height, width, _, padding = case
    rng = np.random.default_rng(seed)
    vgg = ReferenceVgg(architecture, draw_arrays(architecture, rng), taps, pooling)
    image = rng.random((3, height + 2 * padding, width + 2 * padding))
    whole = own_features(vgg, image, case)
    put_together = {tap: np.full_like(features, np.nan) for tap, features in whole.items()}
    for tile in cut(*case):
        features = vgg.forward(image[tile.window])
        for tap in taps:
            stride = architecture.stride(tap)
            put_together[tap][tile.own(stride)] = features[tap][tile.inside(stride)]
    for tap in taps:
        np.testing.assert_allclose(put_together[tap], whole[tap], rtol=0, atol=1e-12)


@pytest.mark.parametrize("pooling", POOLINGS)
@given(case=cases(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_the_gradients_of_tiles_add_up_to_that_of_the_whole(pooling, case, seed):
    architecture, taps, height, width, _, padding = case
    rng = np.random.default_rng(seed)
    vgg = ReferenceVgg(architecture, draw_arrays(architecture, rng), taps, pooling)
    image = rng.random((3, height + 2 * padding, width + 2 * padding))
    pulls = {
        tap: rng.standard_normal(f.shape) for tap, f in own_features(vgg, image, case).items()
    }
    d_whole = {tap: np.zeros_like(f) for tap, f in vgg.forward(image).items()}
    for tap, d_own in own_features(vgg, image, case, d_whole).items():
        d_own[...] = pulls[tap]
    expected = vgg.backward(d_whole)
    added = np.zeros_like(image)
    for tile in cut(*case):
        features = vgg.forward(image[tile.window])
        d_features = {tap: np.zeros_like(f) for tap, f in features.items()}
        for tap in taps:
            stride = architecture.stride(tap)
            d_features[tap][tile.inside(stride)] = pulls[tap][tile.own(stride)]
        added[tile.window] += vgg.backward(d_features)
    np.testing.assert_allclose(
        added, expected, rtol=0, atol=1e-12 * max(1, np.abs(expected).max())
    )
