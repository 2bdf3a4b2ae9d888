"""Matching both ways: what is near to everything counts for less."""

from dataclasses import replace

import numpy as np
import pytest

from nst.devices import CPU
from nst.objective.recipes import RECIPES
from nst.objective.style import style_loss
from nst.objective.styles import matching, query
from nst.objective.styles.neighbours import NeighboursStyle
from nst.objective.styles.query import Query
from nst.objective.styles.split import SplitStyle
from nst.objective.styles.sums import Mask

RECIPE = RECIPES["neighbours"]


def unit(vectors):
    return vectors / np.sqrt((vectors**2).sum(axis=0))


@pytest.fixture
def pair(rng):
    """Directions (C, N) that ask, and (C, M) of a painting, in float32."""
    return [unit(rng.standard_normal((5, n))).astype(np.float32) for n in (37, 23)]


def test_the_price_is_half_the_cosine_of_the_nearest_that_asks(pair):
    queries, units = pair
    for j, price in enumerate(matching.price_of(units, queries)):
        cosines = [float(c.astype(float) @ units[:, j].astype(float)) for c in queries.T]
        assert price == pytest.approx(max(cosines) / 2, abs=1e-6)


def test_the_price_of_what_nothing_is_near_to_is_nothing(pair):
    _, units = pair
    np.testing.assert_array_equal(matching.price_of(units, 0 * units), 0)
    assert matching.price_of(units, -units[:, :1])[0] == 0  # its cosine is -1


def test_the_nearest_is_that_of_the_cosine_less_the_price(pair, rng):
    queries, units = pair
    price = rng.random(23).astype(np.float32)
    index, products = matching.nearest(queries, units, price)
    for i, c in enumerate(queries.T.astype(float)):
        scores = [c @ units[:, j].astype(float) - price[j] for j in range(23)]
        assert index[i] == int(np.argmax(scores))
        assert products[i] == pytest.approx(max(scores), abs=1e-6)


def test_of_several_alike_the_first_is_taken(pair):
    queries, units = pair
    twice = np.concatenate([units, units], axis=1)
    index, _ = matching.nearest(queries, twice, matching.price_of(twice, queries))
    assert index.max() < 23


def test_what_is_near_to_everything_leaves_room_for_others(rng):
    """A direction in the middle of all that asks is the nearest of most of them, one way."""
    middle = np.zeros((40, 1))
    middle[0] = 1
    queries = unit(2 * middle + rng.standard_normal((40, 200))).astype(np.float32)
    others = unit(2 * middle + rng.standard_normal((40, 30)))
    units = np.concatenate([middle, others], axis=1).astype(np.float32)
    one_way = (queries.T @ units).argmax(axis=1)
    both, _ = matching.nearest(queries, units, matching.price_of(units, queries))
    assert (both == 0).sum() < (one_way == 0).sum() / 2
    assert np.bincount(both).max() < np.bincount(one_way).max() / 2


# ---- The two statistics that match ---------------------------------------------------------


def target_of(asking, paintings, shares=(1.0,), **how):
    collected = [NeighboursStyle.collect(one) for one in paintings]
    blended = NeighboursStyle.blend(collected, shares)
    return NeighboursStyle.of(blended, RECIPE, Query(asking, CPU, **how)).target


@pytest.fixture
def maps(rng):
    return [rng.random(shape).astype(np.float32) for shape in ((5, 9, 7), (5, 6, 8), (5, 4, 9))]


def test_strips_do_not_change_the_target(maps, monkeypatch):
    asking, painting, other = maps
    mask = np.ones(asking.shape[1:], np.float32)
    mask[2:4, 1:] = 0
    for how in ({}, {"mask": Mask(mask, mask)}):
        expected = target_of(asking, [painting, other], (1.0, 2.0), **how)
        for positions in (7, 14, 21):
            monkeypatch.setattr(query, "STRIP_POSITIONS", positions)
            found = target_of(asking, [painting, other], (1.0, 2.0), **how)
            np.testing.assert_allclose(found, expected, atol=1e-6)
        monkeypatch.undo()


def test_several_paintings_have_their_shares(rng):
    asking, *paintings = (rng.standard_normal((5, 20, n)).astype(np.float32) for n in (20, 9, 7))
    target = target_of(asking, paintings, (3.0, 1.0)).reshape(5, -1)
    first = unit(paintings[0].reshape(5, -1))
    share = ((first.T @ target).max(axis=0) > 1 - 1e-5).mean()
    assert share == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("with_mask", [False, True])
def test_the_last_pass_matches_both_ways_too(maps, monkeypatch, with_mask):
    """What a mask leaves out asks nothing back."""
    monkeypatch.setattr(matching, "ASKED_BACK", 2)
    image, painting, _ = (one.astype(np.float64) for one in maps)
    weights, mask = np.ones(63), None
    if with_mask:
        weights[20:48] = 0
        pixels = weights.reshape(9, 7)
        mask = Mask(pixels, pixels)
    style = SplitStyle.blend([SplitStyle.collect(painting)], [1])
    loss, _ = style_loss_in(SplitStyle.of(style, RECIPE), image, mask)
    vectors = image.reshape(5, -1)
    mean = (vectors * weights).sum(axis=1, keepdims=True) / weights.sum()
    asking = unit(vectors - mean)
    units = painting.reshape(5, -1)
    units = unit(units - units.mean(axis=1, keepdims=True))
    back = [i for i in range(0, 63, 2) if weights[i]]
    expected = 0.0
    for c, weight in zip(asking.T, weights, strict=True):
        scores = [2 * c @ s - max(0.0, *(asking[:, i] @ s for i in back)) for s in units.T]
        expected += weight * (1 - c @ units[:, int(np.argmax(scores))]) / weights.sum()
    assert float(loss) == pytest.approx(expected, rel=1e-9)
    plain, _ = style_loss_in(style, image, mask)
    assert float(plain) < float(loss)  # the nearest, and nothing else


def style_loss_in(style, features, mask):
    return style.compare(style.measure(features, mask))


def test_the_program_of_kolkin_matches_one_way(maps):
    image, painting, _ = maps
    style = SplitStyle.of(
        SplitStyle.blend([SplitStyle.collect(painting)], [1]), RECIPES["nnst"].fine
    )
    assert not style.both_ways
    assert not RECIPES["nnst"].both_ways
    assert float(style_loss(image, style)[0]) == float(
        style_loss(image, replace(style, both_ways=False))[0]
    )


# ---- Along the main directions -------------------------------------------------------------


@pytest.fixture
def flat(rng):
    """Directions (40, 300) along 6 of the 40, all but 1 percent, and the 6: (40, 6)."""
    axes, _ = np.linalg.qr(rng.standard_normal((40, 6)))
    vectors = axes @ rng.standard_normal((6, 300)) + 0.01 * rng.standard_normal((40, 300))
    return unit(vectors).astype(np.float32), axes


def test_the_main_directions_are_those_of_the_largest_singular_values(flat, monkeypatch):
    monkeypatch.setattr(matching, "MAIN_DIRECTIONS", 6)
    units, axes = flat
    main = matching.main_directions(units)
    assert main.dtype == units.dtype
    np.testing.assert_allclose(main.T @ main, np.eye(6), atol=1e-6)
    assert np.linalg.svd(axes.T @ main)[1].min() > 0.999  # they span the same
    np.testing.assert_array_equal(main, matching.main_directions(units))


def test_where_nothing_would_be_gained_all_channels_are_matched(flat, monkeypatch):
    units, _ = flat
    for few, found in ((27, True), (26, False), (6, False)):
        monkeypatch.setattr(matching, "MAIN_DIRECTIONS", few)
        assert (matching.main_directions(units) is None) == found
    assert matching.main_directions(units[:, :8]) is None
    assert matching.along(None, units) is units


def test_both_statistics_take_nearly_the_same_along_the_main_directions(flat, rng, monkeypatch):
    """The target is of all channels, whatever it was found by."""
    units, axes = flat
    asking = (axes @ rng.standard_normal((6, 400))).astype(np.float32).reshape(40, 20, 20)
    painting = units.reshape(40, 15, 20)
    style = SplitStyle.blend([SplitStyle.collect(painting)], [1])
    found = {}
    for count in (1000, 6, 2):
        monkeypatch.setattr(matching, "MAIN_DIRECTIONS", count)
        loss, _ = style_loss_in(SplitStyle.of(style, RECIPE), asking, None)
        target = target_of(asking, [painting]).reshape(40, -1)
        found[count] = float(loss), target
    same = (found[1000][1] == found[6][1]).all(axis=0).mean()
    assert same > 0.9
    assert found[6][0] == pytest.approx(found[1000][0], rel=1e-2)
    assert (found[1000][1] == found[2][1]).all(axis=0).mean() < 0.5
    assert found[2][0] > 1.5 * found[1000][0]


def test_each_painting_has_main_directions_of_its_own(flat, rng, monkeypatch):
    monkeypatch.setattr(matching, "MAIN_DIRECTIONS", 6)
    paintings = [flat[0].reshape(40, 15, 20), rng.random((40, 15, 20)).astype(np.float32)]
    for order in (paintings, paintings[::-1]):
        style = SplitStyle.blend([SplitStyle.collect(one) for one in order], [1, 1])
        for one, kept in zip(order, SplitStyle.of(style, RECIPE).paintings, strict=True):
            vectors = one.reshape(40, -1)
            units = unit(vectors - vectors.mean(axis=1, keepdims=True))
            expected = matching.main_directions(units)
            np.testing.assert_allclose(np.abs(expected.T @ kept.main), np.eye(6), atol=1e-3)


def test_another_program_s_recipe_is_matched_along_all(flat, monkeypatch):
    monkeypatch.setattr(matching, "MAIN_DIRECTIONS", 6)
    painting = flat[0].reshape(40, 15, 20)
    style = SplitStyle.blend([SplitStyle.collect(painting)], [1])
    ours, theirs = (SplitStyle.of(style, RECIPES[name]) for name in ("neighbours", "nnst"))
    assert ours.paintings[0].main.shape == (40, 6)
    assert theirs.paintings[0].main is None
