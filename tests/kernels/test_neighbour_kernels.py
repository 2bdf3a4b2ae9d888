"""The kernels of nearest features: against plain loops and slopes, and the two twins."""

# ruff: noqa: F811  (a fixture of another file is an import, and then a parameter)
from pathlib import Path

import numpy as np
import pytest
from gradcheck import assert_gradient
from kernels.test_twins import call, on_host, public_names, twin  # noqa: F401

from nst import kernels
from nst.kernels import blocks, numpy_neighbours
from nst.kernels import numpy_kernels as k

SHAPES = [(1, 1, 1), (3, 1, 5), (2, 9, 8), (3, 17, 31)]
GRIDS = [("corners", 0.4), ("centres", 0.4), ("corners", 2.3), ("centres", 1.7), ("doubled", 2)]
ODD = [(0, 0), (1, 0), (0, 1), (1, 1)]  # what a doubled grid has beyond twice the pixels


def sized(length, ratio):
    return max(1, round(length * ratio))


def point(index, count, length, grid):
    """Return where a point of a grid is on a line, written from its definition."""
    if grid == "corners":
        place = index * (length - 1) / (count - 1) if count > 1 else 0.0
    elif grid == "centres":
        place = (index + 0.5) * length / count - 0.5
    else:
        place = (index + 0.5) / 2 - 0.5
    return min(max(place, 0.0), length - 1.0)


def interpolated(channel, row, column):
    """Return a channel's value between its pixels."""
    (top, left), (height, width) = (int(row), int(column)), channel.shape
    below, right = min(top + 1, height - 1), min(left + 1, width - 1)
    t, u = row - top, column - left
    upper = channel[top, left] * (1 - u) + channel[top, right] * u
    lower = channel[below, left] * (1 - u) + channel[below, right] * u
    return upper * (1 - t) + lower * t


# ---- One grid for several layers ---------------------------------------------------------


@pytest.mark.parametrize("side", [1, 2, 4])
def test_block_means_are_those_of_a_loop(rng, side):
    features = rng.standard_normal((3, 9, 11))
    found = k.block_mean(features, side, 0.3)
    assert found.shape == (3, 9 // side, 11 // side)
    for c, row, column in np.ndindex(found.shape):
        block = [
            features[c, row * side + r, column * side + q]
            for r in range(side)
            for q in range(side)
        ]
        assert found[c, row, column] == pytest.approx(0.3 * sum(block) / len(block))


@pytest.mark.parametrize("side", [1, 2, 4])
def test_block_mean_backward_is_the_slope(rng, side):
    features = rng.standard_normal((2, 9, 6))
    d_means = rng.standard_normal(k.block_mean(features, side).shape)
    d_features = k.block_mean_backward(d_means, features, side, 0.3)
    assert_gradient(lambda f: (k.block_mean(f, side, 0.3) * d_means).sum(), features, d_features)


@pytest.mark.parametrize(("grid", "ratio"), GRIDS)
def test_a_resized_picture_is_that_of_a_loop(rng, grid, ratio):
    features = rng.standard_normal((2, 7, 9))
    height, width = sized(7, ratio), sized(9, ratio)
    found = k.resize(features, height, width, grid, 0.3)
    for c, row, column in np.ndindex(found.shape):
        at = point(row, height, 7, grid), point(column, width, 9, grid)
        assert found[c, row, column] == pytest.approx(0.3 * interpolated(features[c], *at))


@pytest.mark.parametrize(("grid", "ratio"), GRIDS)
def test_resize_backward_is_the_slope(rng, grid, ratio):
    features = rng.standard_normal((2, 5, 4))
    d_resized = rng.standard_normal((2, sized(5, ratio), sized(4, ratio)))
    d_features = k.resize_backward(d_resized, features, grid, 0.3)
    shape = d_resized.shape[1:]
    assert_gradient(
        lambda f: (k.resize(f, *shape, grid, 0.3) * d_resized).sum(), features, d_features
    )


@pytest.mark.parametrize("odd", ODD)
def test_a_doubled_grid_is_the_same_in_a_part_of_the_picture(rng, odd):
    """A tile that begins at any pixel has the same points, but for those beside its cut."""
    features = rng.standard_normal((2, 10, 12))
    whole = k.resize(features, 20 + odd[0], 24 + odd[1], "doubled")
    part = k.resize(features[:, 3:, 2:].copy(), 14 + odd[0], 20 + odd[1], "doubled")
    np.testing.assert_allclose(part[:, 1:, 1:], whole[:, 7:, 5:], rtol=1e-12, atol=1e-12)


def test_a_doubled_grid_has_twice_the_points():
    with pytest.raises(ValueError, match=r"doubled grid of 5 has 10 points, got 12"):
        k.resize(np.zeros((1, 5, 5)), 12, 10, "doubled")
    with pytest.raises(ValueError, match=r"grid must be .*, got 'cubic'"):
        k.resize(np.zeros((1, 5, 5)), 12, 10, "cubic")


def test_wide_pictures_are_resized_in_bands_as_a_whole(rng):
    features = rng.standard_normal((1, 3, 150))
    wide = k.resize(features, 6, 300, "doubled")
    for column in range(0, 300, 37):
        at = point(4, 6, 3, "doubled"), point(column, 300, 150, "doubled")
        assert wide[0, 4, column] == pytest.approx(interpolated(features[0], *at))


# ---- Nearest vectors ---------------------------------------------------------------------


def test_unit_vectors_have_the_length_1_and_their_direction(rng):
    vectors = rng.standard_normal((300, 5)) * 10.0 ** np.arange(-2, 3)
    units = k.unit_vectors(vectors)
    for unit, vector in zip(units.T, vectors.T, strict=True):
        length = sum(v * v for v in vector) ** 0.5
        np.testing.assert_allclose(unit, vector / length, rtol=1e-12)
    assert not k.unit_vectors(np.zeros((3, 2))).any()
    np.testing.assert_allclose(k.unit_vectors(np.full((1, 1), 1e-6)), 1e-2)


def test_the_nearest_is_that_of_a_loop(rng):
    queries, vectors = rng.standard_normal((4, 7)), rng.standard_normal((4, 9))
    index, products = k.nearest(queries, vectors)
    assert index.dtype == np.int32
    for n in range(7):
        all_of_it = [sum(queries[c, n] * vectors[c, m] for c in range(4)) for m in range(9)]
        assert index[n] == max(range(9), key=all_of_it.__getitem__)
        assert products[n] == pytest.approx(max(all_of_it))


def test_of_several_alike_the_first_is_the_nearest(twin, rng):
    """The same vector stands at many places, in all threads' shares and in several slices."""
    vectors = rng.integers(-3, 4, (5, 700)).astype(np.float32)
    best = 4 * np.ones((5, 1), np.float32)
    vectors[:, [130, 131, 130 + 16, 147, 300, 699]] = best  # a thread has every 16th
    queries = np.ones((5, 90), np.float32)
    queries[:, 3] = -1
    vectors[:, [5, 5 + 16, 69, 133, 69 + 16]] = -best
    index, products = (on_host(a) for a in twin.nearest(*map(twin.cp.array, (queries, vectors))))
    expected = np.full(90, 130)
    expected[3] = 5
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_array_equal(products, 20)
    index, _ = k.nearest(queries, vectors)
    np.testing.assert_array_equal(index, expected)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 65, 7), (130, 64, 64), (17, 200, 333)])
def test_the_twins_find_the_same_neighbours(twin, rng, sizes):
    channels, count, others = sizes
    queries = rng.standard_normal((channels, count), np.float32)
    vectors = rng.standard_normal((channels, others), np.float32)
    expected, nearness = k.nearest(queries, vectors)
    found = twin.nearest(twin.cp.array(queries), twin.cp.array(vectors))
    np.testing.assert_array_equal(on_host(found[0]), expected)
    np.testing.assert_allclose(on_host(found[1]), nearness, rtol=1e-5, atol=1e-5)
    assert on_host(found[0]).dtype == np.int32


def test_the_product_of_all_pairs_never_exists(rng, monkeypatch):
    """Only so many products at once, and the same neighbours."""
    queries = rng.standard_normal((3, 50), np.float32)
    vectors = rng.standard_normal((3, 40), np.float32)
    whole = k.nearest(queries, vectors)
    rows = []
    nearest = numpy_neighbours._nearest

    def counted(vectors, index, products, queries):
        rows.append(queries.shape[1])
        nearest(vectors, index, products, queries)

    monkeypatch.setattr(numpy_neighbours, "_nearest", counted)
    monkeypatch.setattr(numpy_neighbours, "MATCHED_ELEMENTS", 40 * 8)
    for a, b in zip(k.nearest(queries, vectors), whole, strict=True):
        np.testing.assert_array_equal(a, b)
    assert sorted(rows) == [2] + [8] * 6  # threads take them in any order


def test_queries_and_vectors_have_the_same_channels():
    with pytest.raises(ValueError, match="queries of 3 channels cannot be near vectors of 4"):
        k.nearest(np.zeros((3, 2)), np.zeros((4, 2)))


# ---- Cosines -----------------------------------------------------------------------------


def drawn(rng, shape, dtype=np.float64):
    """Features, unit targets, and weights; one target is nothing and one vector is tiny."""
    channels, height, width = shape
    features = rng.standard_normal(shape).astype(dtype)
    target = k.unit_vectors(rng.standard_normal((channels, height * width)))
    target[:, 0] = 0
    return features, target.reshape(shape).astype(dtype), rng.random(shape[1:]).astype(dtype)


@pytest.mark.parametrize("weighed", [False, True])
def test_the_cosine_distance_is_that_of_a_loop(rng, weighed):
    features, target, weights = drawn(rng, (3, 4, 5))
    expected = 0.0
    for r, c in np.ndindex(4, 5):
        f, t = features[:, r, c], target[:, r, c]
        cosine = sum(a * b for a, b in zip(f, t, strict=True)) / sum(a * a for a in f) ** 0.5
        expected += (1 - cosine) * (weights[r, c] if weighed else 1)
    found = k.cosine_distance(features, target, weights if weighed else None)
    assert found.shape == ()
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("weighed", [False, True])
def test_cosine_distance_backward_is_the_slope(rng, weighed):
    features, target, weights = drawn(rng, (3, 4, 5))
    weights = weights if weighed else None
    d_features = k.cosine_distance_backward(features, target, weights, 1.3)
    assert_gradient(lambda f: 1.3 * k.cosine_distance(f, target, weights), features, d_features)


def test_a_vector_of_almost_nothing_has_a_gradient_all_the_same(rng):
    features, target = 1e-6 * rng.standard_normal((3, 1, 2)), np.full((3, 1, 2), 3**-0.5)
    features[:, 0, 0] = 0
    d_features = k.cosine_distance_backward(features, target)
    np.testing.assert_allclose(d_features, -target / 1e-4)


def test_cosines_of_many_channels_are_added_up_in_float64():
    """Once at 2**24, float32 counts in steps of 2."""
    features = np.ones((1100, 1, 1), np.float32)
    features[0], features[1:256] = 2.0**12, 0  # the first strip
    target = np.zeros_like(features)
    target[0] = 1
    length = np.sqrt(2.0**24 + 1100 - 256)
    found = 1 - k.cosine_distance(features, target).astype(np.float64)
    assert found == pytest.approx(2.0**12 / length, rel=1e-7)


# ---- Colours -----------------------------------------------------------------------------


def test_a_map_of_channels_is_that_of_a_loop(rng):
    features, matrix = rng.standard_normal((3, 4, 5)), rng.standard_normal((2, 3))
    before, after = rng.standard_normal(3), rng.standard_normal(2)
    found = k.map_channels(features, matrix, before, after)
    assert found.shape == (2, 4, 5)
    for o, row, column in np.ndindex(found.shape):
        here = features[:, row, column]
        expected = sum(matrix[o, c] * (here[c] - before[c]) for c in range(3)) + after[o]
        assert found[o, row, column] == pytest.approx(expected)


def test_channels_are_mapped_in_blocks(rng, monkeypatch):
    """A poster has no room for another of itself beside what is read and what is written."""
    features = rng.standard_normal((3, 40, 50), np.float32)
    numbers = rng.standard_normal((3, 3)), rng.standard_normal(3), rng.standard_normal(3)
    whole, seen = k.map_channels(features, *numbers), []
    of_a_block = numpy_neighbours._map_channels

    def counted(*given):
        seen.append(given[-1].shape[1])
        of_a_block(*given)

    monkeypatch.setattr(numpy_neighbours, "_map_channels", counted)
    monkeypatch.setattr(blocks, "WRITTEN_ELEMENTS", 3 * 600)
    np.testing.assert_allclose(k.map_channels(features, *numbers), whole, rtol=1e-6, atol=1e-6)
    assert sorted(seen) == [200, 600, 600, 600]


@pytest.mark.parametrize(
    ("matrix", "before", "after"), [((3, 2), 2, 3), ((2, 3), 2, 2), ((2, 3), 3, 3), ((3,), 3, 3)]
)
def test_a_map_fits_its_channels(matrix, before, after):
    with pytest.raises(ValueError, match=r"a map of 3 channels needs a matrix \(O, 3\)"):
        k.map_channels(np.zeros((3, 4, 5)), *(np.zeros(s) for s in (matrix, before, after)))


# ---- All of them -------------------------------------------------------------------------


def cases(rng, shape):
    """Return for each kernel its arguments, in float32, by name."""
    features, target, weights = drawn(rng, shape, np.float32)
    channels, height, width = shape
    odd = {"height": 2 * height + 1, "width": 2 * width}
    doubled = rng.standard_normal((channels, *odd.values()), np.float32)
    side = min(2, height, width)
    means = rng.standard_normal((channels, height // side, width // side), np.float32)
    smaller = rng.standard_normal((channels, sized(height, 0.6), sized(width, 0.6)), np.float32)
    there = {"out": rng.standard_normal(shape, np.float32), "add": True}
    cosine = {"features": features, "target": target}
    return {
        "block_mean": {"features": features, "side": side, "factor": 0.3},
        "block_mean_backward": {"d_means": means, "features": features, "side": side},
        "block_mean_backward added": {"d_means": means, "features": features, "side": side}
        | {"factor": 0.3}
        | there,
        "resize": {"features": features, "grid": "doubled", "factor": 0.3} | odd,
        "resize smaller": {"features": features, "grid": "corners"}
        | {"height": smaller.shape[1], "width": smaller.shape[2]},
        "resize_backward": {"d_resized": doubled, "features": features, "grid": "doubled"},
        "resize_backward smaller": {"d_resized": smaller, "features": features} | there,
        "resize_backward corners": {"d_resized": doubled, "features": features}
        | {"grid": "corners", "factor": 0.3},
        "unit_vectors": {"vectors": features.reshape(channels, -1)},
        "cosine_distance": cosine,
        "cosine_distance weighed": cosine | {"mask": weights},
        "cosine_distance_backward": cosine | {"d_loss": np.asarray(0.7)},
        "cosine_distance_backward weighed": cosine | {"mask": weights, "d_loss": 2} | there,
        "map_channels": {"features": features}
        | {"matrix": rng.standard_normal((2, channels)).T[:, ::-1].T}
        | {"before": rng.standard_normal(channels), "after": rng.standard_normal(2)},
        "nearest": {"queries": features.reshape(channels, -1)}
        | {"vectors": target.reshape(channels, -1)},
    }


CASES = list(cases(np.random.default_rng(0), (3, 8, 9)))
ARRAYS = [case for case in CASES if case != "nearest"]  # which has a test of its own


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", ARRAYS)
def test_twins_agree(twin, rng, case, shape):
    name, arguments = case.split()[0], cases(rng, shape)[case]
    expected, expected_after = call(k, name, arguments)
    actual, actual_after = call(twin, name, arguments, asarray=twin.cp.array)
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=3e-6, atol=1e-6)
    arrays = {n: a for n, a in expected_after.items() if np.ndim(a)}
    for parameter, value in arrays.items():  # what is changed in place, and only that
        np.testing.assert_allclose(actual_after[parameter], value, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_the_same_input_gives_the_same_bits(twin, rng, case):
    name, arguments = case.split()[0], cases(rng, (3, 40, 50))[case]
    first, again = (call(twin, name, arguments, asarray=twin.cp.array)[0] for _ in range(2))
    for one, other in zip(np.atleast_1d(first), np.atleast_1d(again), strict=True):
        np.testing.assert_array_equal(on_host(one), on_host(other))


@pytest.mark.parametrize("case", ARRAYS)
def test_what_is_not_float32_is_refused_on_the_gpu(twin, rng, case):
    name, arguments = case.split()[0], cases(rng, (3, 8, 9))[case]
    wide = {n: a.astype(float) if np.ndim(a) else a for n, a in arguments.items()}
    with pytest.raises(TypeError, match=rf"^{name}\w*: \w+ must be float32 on the GPU, got"):
        call(twin, name, wide, asarray=twin.cp.array)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", ARRAYS)
def test_the_dtype_that_goes_in_comes_out(rng, case, dtype):
    name, arguments = case.split()[0], cases(rng, (3, 8, 9))[case]
    given = {n: a.astype(dtype) if np.ndim(a) else a for n, a in arguments.items()}
    before = {n: np.copy(a) for n, a in given.items()}
    result = getattr(k, name)(**given)
    assert result.dtype == dtype
    changed = {n for n, a in given.items() if not np.array_equal(a, before[n])}
    assert changed == ({"out"} if "out" in given else set())


WRITING = [c for c in ARRAYS if "backward" in c or c in ("resize", "map_channels")]


@pytest.mark.parametrize("case", WRITING)
def test_what_is_written_goes_where_it_is_told(rng, case):
    name, arguments = case.split()[0], cases(rng, (3, 8, 9))[case]
    given = {n: a for n, a in arguments.items() if n not in ("out", "add")}
    expected = getattr(k, name)(**given)
    out = np.full_like(expected, np.nan)
    assert getattr(k, name)(**given, out=out) is out
    np.testing.assert_array_equal(out, expected)
    if "backward" in name:
        there = rng.standard_normal(expected.shape, np.float32)
        total = getattr(k, name)(**given, out=there.copy(), add=True)
        np.testing.assert_allclose(total, there + expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", public_names(numpy_neighbours))
def test_the_derivations_cover_every_kernel(name):
    page = Path(kernels.__file__).with_name("DERIVATIONS.md").read_text(encoding="utf-8")
    assert f"`{name}`" in page
