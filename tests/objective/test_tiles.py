"""The objective by tiles against the same on the whole image: they may differ by rounding only."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from objectives import SUMMED, everywhere, mask_of, recipe_of
from small_networks import ReferenceVgg, draw_arrays, relative_error

from nst.memory import FileArray
from nst.objective import COMBINATIONS, Objective, Region, Targets
from nst.objective.styles.finish import STATISTICS, finish
from nst.objective.styles.gram import GRAM_NORMALIZATIONS
from nst.objective.tiling import cut, features_of, smallest_side, style_sums, tiles_of
from nst.vgg import Vgg, weights
from nst.vgg.architecture import POOLINGS, ROUNDINGS, Architecture

TWO_BLOCKS = Architecture(((3,), (4, 2)))
THREE_BLOCKS = Architecture(((3,), (2, 4), (3, 2)))
FIVE_BLOCKS = Architecture(((4,), (3,), (2,), (3,), (5,)))


@st.composite
def cases(draw):
    """Everything that an objective depends on, and an image in several tiles."""
    architecture = draw(st.sampled_from([TWO_BLOCKS, THREE_BLOCKS, FIVE_BLOCKS]))
    architecture = replace(architecture, rounding=draw(st.sampled_from(ROUNDINGS)))
    some_taps = st.lists(st.sampled_from(architecture.taps), min_size=1, max_size=2, unique=True)
    content, style = draw(some_taps), draw(some_taps)
    taps = tuple(dict.fromkeys([*content, *style]))
    side = smallest_side(architecture, taps) + draw(st.integers(0, 20))
    return SimpleNamespace(
        architecture=architecture,
        pooling=draw(st.sampled_from(POOLINGS)),
        content=content,
        style=style,
        taps=taps,
        side=side,
        height=draw(st.integers(16, side + 60)),
        width=draw(st.integers(side + 1, side + 90)),
        statistic=draw(st.sampled_from(SUMMED)),
        masked=draw(st.booleans()),
        padding=draw(st.sampled_from([0, 1, 8])),
        conventions={
            "gram_normalization": draw(st.sampled_from(GRAM_NORMALIZATIONS)),
            "smoothness_kind": draw(st.sampled_from(["l1", "l2"])),
            "smoothness_reduction": draw(st.sampled_from(["sum", "mean"])),
            "combination": draw(st.sampled_from(COMBINATIONS)),
        },
        rng=np.random.default_rng(draw(st.integers(0, 2**32 - 1))),
    )


def styles_of(case, features):
    """A style at each tap: of the whole image, or two regions with soft masks of their own."""
    found = {}
    for tap in case.style:
        sums = STATISTICS[case.statistic].collect(features[tap])
        style = finish(
            sums, recipe_of({}, {}, style_statistic=case.statistic, **case.conventions), tap
        )
        found[tap] = [Region(style)]
        if case.masked:
            _, height, width = case.architecture.shape(tap, case.height, case.width)
            mask = case.rng.random((height, width)) * (case.rng.random((height, width)) > 0.4)
            mask = mask.astype(features[tap].dtype)
            found[tap] = [Region(style, mask_of(mask), 0.3), Region(style, mask_of(1 - mask), 1.7)]
    return found


def targets_and_recipe(case, vgg, dtype):
    content = vgg.features(case.rng.random((3, case.height, case.width)).astype(dtype))
    painting = vgg.features(case.rng.random((3, 37, 52)).astype(dtype))
    targets = Targets({tap: content[tap] for tap in case.content}, styles_of(case, painting))
    edges = case.rng.random((case.height // 4, case.width // 4)).astype(dtype)
    targets = replace(targets, edges=edges)
    recipe = recipe_of(
        {tap: 0.5 + case.rng.random() for tap in case.content},
        {tap: 0.5 + case.rng.random() for tap in case.style},
        smoothness=case.rng.choice([0.0, 0.4]),
        edges=case.rng.choice([0.0, 0.9]),
        padding=case.padding,
        **case.conventions,
    )
    return targets, recipe


def assert_same(case, vgg, dtype, tolerance):
    targets, recipe = targets_and_recipe(case, vgg, dtype)
    image = case.rng.random((3, case.height, case.width)).astype(dtype)
    whole = Objective(vgg, targets, recipe)
    expected, d_expected = whole.evaluate(image)
    d_expected = d_expected.copy()
    tiled = Objective(vgg, targets, recipe, case.side)
    found, d_image = tiled.evaluate(image)
    # a distance between statistics may be a small difference of large numbers
    close = {"rel": 3 * tolerance, "abs": 1e-3 * tolerance}
    assert found.floats() == pytest.approx(expected.floats(), **close)
    assert d_image.dtype == image.dtype
    assert relative_error(d_image, d_expected) <= tolerance


# ---- The property ---------------------------------------------------------------------


@given(case=cases())
@settings(max_examples=12)
def test_tiled_is_whole_in_float64(case):
    """At a tolerance that no missing pixel passes; styles round to float32, hence not less."""
    arrays = draw_arrays(case.architecture, case.rng)
    vgg = ReferenceVgg(case.architecture, arrays, case.taps, case.pooling)
    assert_same(case, vgg, np.float64, 1e-6)


@given(case=cases())
@settings(max_examples=60)
def test_tiled_is_whole_in_float32(case):
    arrays = draw_arrays(case.architecture, case.rng)
    network = weights.from_arrays(arrays, case.pooling).rounded(case.architecture.rounding)
    vgg = Vgg(network, case.taps)
    assert_same(case, vgg, np.float32, 1e-5)


def test_the_cases_above_have_many_tiles():
    """A property of one tile would hold for nothing."""
    counts = []

    @given(case=cases())
    @settings(max_examples=60)
    def count(case):
        counts.append(len(cut(case.architecture, case.taps, case.height, case.width, case.side)))

    count()
    assert min(counts) >= 2
    assert max(counts) >= 10


# ---- What it asks of the network --------------------------------------------------------


@pytest.fixture
def vgg(rng):
    arrays = draw_arrays(THREE_BLOCKS, rng)
    return ReferenceVgg(THREE_BLOCKS, arrays, ["relu2_1", "conv3_2"], "max")


@pytest.fixture
def seen(vgg, monkeypatch):
    """The sizes of the images that the network was given, by pass."""
    sizes = {"features": [], "forward": []}
    for name, found in sizes.items():
        original = getattr(vgg, name)

        def spy(image, original=original, found=found):
            found.append(image.shape[1:])
            return original(image)

        monkeypatch.setattr(vgg, name, spy)
    return sizes


def objective_of(vgg, rng, side, size=(50, 90)):
    image = rng.random((3, *size))
    features = ReferenceVgg.forward(vgg, image)
    targets = Targets({"conv3_2": features["conv3_2"] + 0.1}, everywhere({"relu2_1": np.eye(2)}))
    recipe = recipe_of({"conv3_2": 1.0}, {"relu2_1": 2.0})
    return Objective(vgg, targets, recipe, side), image


def test_every_tile_is_seen_twice_and_never_more_than_a_window(vgg, seen, rng):
    objective, image = objective_of(vgg, rng, 64)
    objective.evaluate(image)
    assert seen["features"] == seen["forward"] == [t.shape for t in tiles_of(vgg, image, 64)]
    assert len(seen["forward"]) > 1
    assert max(itertools.chain(*seen["forward"])) <= 64
    assert vgg.released == 1


def test_an_image_that_fits_is_seen_once(vgg, seen, rng):
    objective, image = objective_of(vgg, rng, 90)
    objective.evaluate(image)
    assert seen == {"features": [], "forward": [(50, 90)]}
    assert vgg.released == 0


def test_an_image_that_fits_is_evaluated_as_a_whole_where_several_losses_meet(vgg, rng):
    """Content and style at two taps: each takes its gradient while the other waits."""
    image, features = rng.random((3, 50, 61)), vgg.features(rng.random((3, 50, 61)))
    grams = {tap: np.eye(len(features[tap])) for tap in vgg.taps}
    targets = Targets(features, everywhere(grams))
    recipe = recipe_of(dict.fromkeys(vgg.taps, 1.0), dict.fromkeys(vgg.taps, 2.0))
    expected, d_expected = Objective(vgg, targets, recipe).evaluate(image)
    found, d_image = Objective(vgg, targets, recipe, 90).evaluate(image)
    assert found.floats() == pytest.approx(expected.floats(), rel=1e-12)
    np.testing.assert_allclose(d_image, d_expected, rtol=1e-12)


def test_evaluate_changes_neither_the_image_nor_the_targets(vgg, rng):
    objective, image = objective_of(vgg, rng, 64)
    copies = image.copy(), objective.targets.content["conv3_2"].copy()
    first = objective.evaluate(image)[1]
    second = objective.evaluate(image)[1]
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(image, copies[0])
    np.testing.assert_array_equal(objective.targets.content["conv3_2"], copies[1])


# ---- Targets by tiles -----------------------------------------------------------------


def test_content_in_files_is_the_content_and_serves_as_a_target(rng):
    arrays = draw_arrays(THREE_BLOCKS, rng)
    vgg = Vgg.from_arrays(arrays, ["relu2_1", "conv3_2"])
    photograph = rng.random((3, 77, 94), np.float32)
    whole = features_of(vgg, photograph, vgg.taps, None)
    stored = features_of(vgg, photograph, vgg.taps, 64)
    for tap, target in stored.items():
        assert isinstance(target, FileArray)
        assert target.shape == whole[tap].shape
        assert relative_error(target[...], whole[tap]) <= 1e-6

    image = rng.random((3, 77, 94), np.float32)
    recipe = recipe_of(dict.fromkeys(vgg.taps, 1.0), {})
    expected, d_expected = Objective(vgg, Targets(whole, {}), recipe).evaluate(image)
    found, d_found = Objective(vgg, Targets(stored, {}), recipe, 64).evaluate(image)
    assert found.floats() == pytest.approx(expected.floats(), rel=1e-5)
    assert relative_error(d_found, d_expected) <= 1e-5


def test_content_that_fits_stays_in_memory_and_only_where_it_is_asked_for(vgg, rng):
    found = features_of(vgg, rng.random((3, 40, 41)), ["conv3_2"], 64)
    assert list(found) == ["conv3_2"]
    assert isinstance(found["conv3_2"], np.ndarray)


@pytest.mark.parametrize(("kind", "means"), [("gram", False), ("moments", True)])
def test_the_style_of_tiles_is_that_of_the_whole_painting(vgg, rng, kind, means):
    painting = rng.random((3, 71, 88))
    found = style_sums(vgg, painting, {"relu2_1": None}, {"relu2_1": STATISTICS[kind]}, 64)
    features = vgg.forward(painting)["relu2_1"].reshape(2, -1)
    expected = np.einsum("ip,jp->ij", features, features)
    if means:
        expected = np.column_stack([expected, features.sum(axis=1)])
    assert list(found) == ["relu2_1"]
    assert found["relu2_1"].area == 35 * 44
    np.testing.assert_allclose(found["relu2_1"].sums, expected, rtol=1e-12)
