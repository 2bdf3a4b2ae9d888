"""Every optimizer on functions whose minimum is known, and L-BFGS part by part."""

import json
import sys
from itertools import pairwise

import numpy as np
import pytest
import scipy.fft
from machine import cupy, unavailable
from objectives import everywhere, recipe_of
from small_networks import TWO_BLOCKS, draw_arrays

from nst import kernels
from nst.objective import Objective, Targets
from nst.optimizers import Adam, Lbfgs, NormalisedDescent, first_curvatures
from nst.optimizers.first_curvatures import known_of
from nst.optimizers.lbfgs import FIRST_MOVE, two_loop_direction
from nst.optimizers.line_search import MOST_TRIALS
from nst.vgg import Vgg

SHAPE = (3, 4, 5)


def minimise(optimizer, function, image, evaluations):
    """Do what the loop in stylize.py does; return the image that it would show."""
    for _ in range(evaluations):
        loss, d_image = function(image)
        optimizer.step(image, np.asarray(loss), d_image)
    return optimizer.best(image)


class Quadratic:
    """loss = 1/2 (x - bottom) . A (x - bottom), with curvatures from 1 to ``condition``."""

    def __init__(self, rng, bottom, condition, turned=True):
        size = bottom.size
        axes = np.linalg.qr(rng.standard_normal((size, size)))[0] if turned else np.eye(size)
        curvatures = np.geomspace(1, condition, size)
        self.bottom, self.matrix = bottom, axes * curvatures @ axes.T

    def __call__(self, image):
        d_image = (self.matrix @ (image - self.bottom).ravel()).reshape(image.shape)
        loss = 0.5 * np.vdot(image - self.bottom, d_image)
        return loss.astype(image.dtype), d_image.astype(image.dtype)


def rosenbrock(image):
    """100 (y - x**2)**2 + (1 - x)**2: a bent valley, with its bottom at (1, 1)."""
    x, y = image
    d_image = np.array([-400 * x * (y - x * x) - 2 * (1 - x), 200 * (y - x * x)])
    return 100 * (y - x * x) ** 2 + (1 - x) ** 2, d_image


def in_bands(**options):
    return Lbfgs(bands=6, **options)


OPTIMIZERS = {
    "descent": NormalisedDescent,
    "adam": Adam,
    "lbfgs": Lbfgs,
    "lbfgs in bands": in_bands,
}
LBFGS = pytest.mark.parametrize("lbfgs", [Lbfgs, in_bands], ids=["one number", "in bands"])


# ---- Known answers -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "condition", "evaluations", "tolerance"),
    [
        (NormalisedDescent(0.1, 0.97, bounds=None), 1, 300, 1e-4),
        (Adam(0.1, 0.995, bounds=None), 10, 2500, 1e-4),
        (Lbfgs(bounds=None), 1000, 250, 1e-6),
        (in_bands(bounds=None), 1000, 250, 1e-5),  # turned: the bands are no help
    ],
    ids=OPTIMIZERS,
)
def test_a_quadratic_is_followed_to_its_bottom(rng, optimizer, condition, evaluations, tolerance):
    function = Quadratic(rng, rng.standard_normal(SHAPE), condition)
    image = rng.standard_normal(SHAPE)
    found = minimise(optimizer, function, image, evaluations)
    np.testing.assert_allclose(found, function.bottom, atol=tolerance)


@LBFGS
def test_lbfgs_follows_rosenbrock_s_valley(lbfgs):
    """As an image of two pixels: their mean and their difference are its only frequencies."""

    def function(image):
        loss, d_image = rosenbrock(image.ravel())
        return loss, d_image.reshape(image.shape)

    found = minimise(lbfgs(bounds=None), function, np.array([[[-1.2, 1.0]]]), 100)
    assert function(found)[0] < 1e-8


def test_adam_gets_near_in_rosenbrock_s_valley():
    found = minimise(Adam(0.05, 0.9995, bounds=None), rosenbrock, np.array([-1.2, 1.0]), 2000)
    assert rosenbrock(found)[0] < 1e-3


def test_a_single_step_of_descent_is_hvass_formula(rng):
    image, d_image = rng.standard_normal((2, *SHAPE))
    expected = image - 0.3 * d_image / (np.std(d_image) + 1e-8)
    NormalisedDescent(0.3, bounds=None).step(image, np.asarray(0.0), d_image)
    np.testing.assert_allclose(image, expected, rtol=1e-12)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.8, 0.99)])
def test_steps_of_adam_are_algorithm_1_of_the_paper(rng, betas):
    b1, b2 = betas
    image, *gradients = rng.standard_normal((4, *SHAPE))
    expected = image.copy()
    m = v = np.zeros(SHAPE)
    optimizer = Adam(0.1, decay=0.5, bounds=None, betas=betas)
    for t, g in enumerate(gradients, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        alpha = 0.1 * 0.5 ** (t - 1)
        expected = expected - alpha * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + 1e-8)
        optimizer.step(image, np.asarray(0.0), g)
        np.testing.assert_allclose(image, expected, rtol=1e-12)


def test_the_picture_of_an_average_is_the_mean_with_falling_weights(rng):
    """Bias-corrected, as Adam's moments are, with the picture before the first step in it."""
    start, *gradients = rng.standard_normal((6, *SHAPE))
    image, seen = start.copy(), [start.copy()]
    plain, averaged = Adam(0.1), Adam(0.1, average=0.9)
    alone = start.copy()
    for count, g in enumerate(gradients, start=2):
        plain.step(alone, np.asarray(0.0), g)
        averaged.step(image, np.asarray(0.0), g)
        np.testing.assert_array_equal(image, alone)  # where the next step starts is the same
        seen.append(alone.copy())
        weights = 0.9 ** np.arange(count)[::-1]
        expected = np.tensordot(weights, seen, 1) / weights.sum()
        np.testing.assert_allclose(averaged.best(image), expected, rtol=1e-12)
    again = Adam(0.1, average=0.9)
    again.restore(averaged.state())
    assert again.best(image) is averaged.mean


def test_descent_with_decay_takes_ever_smaller_steps():
    d_image = np.array([1.0, -1.0])  # of spread 1
    image = np.zeros(2)
    optimizer = NormalisedDescent(0.8, 0.5, bounds=None)
    places = []
    for _ in range(3):
        optimizer.step(image, np.asarray(0.0), d_image)
        places.append(image[1])
    assert places == pytest.approx([0.8, 1.2, 1.4])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_where_the_gradient_is_zero_the_image_stays(rng, optimizer, dtype):
    start = rng.random(SHAPE).astype(dtype)
    image = start.copy()
    found = minimise(optimizer(), lambda image: (1.0, np.zeros_like(image)), image, 5)
    np.testing.assert_array_equal(found, start)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_gradient_is_read_and_not_written(rng, optimizer):
    function = Quadratic(rng, rng.standard_normal(SHAPE), 10)
    image, optimizer = rng.random(SHAPE), optimizer()
    for _ in range(6):
        loss, d_image = function(image)
        copy = d_image.copy()
        optimizer.step(image, loss, d_image)
        np.testing.assert_array_equal(d_image, copy)


# ---- The box [0, 1] ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "condition", "evaluations", "tolerance"),
    [(NormalisedDescent(0.02, 0.999), 2, 4000, 1e-2), (Adam(0.05, 0.98), 20, 400, 1e-3)],
    ids=["descent", "adam"],
)
def test_with_a_bottom_outside_of_the_box_the_answer_is_clipped(
    rng, optimizer, condition, evaluations, tolerance
):
    """The curvatures lie along the axes, so each pixel has a bottom of its own."""
    bottom = rng.uniform(-0.8, 1.8, SHAPE)
    function = Quadratic(rng, bottom, condition, turned=False)
    found = minimise_inside(optimizer, function, rng.random(SHAPE), evaluations)
    assert (bottom < 0).any()
    assert (bottom > 1).any()
    np.testing.assert_allclose(found, np.clip(bottom, 0, 1), atol=tolerance)


@LBFGS
@pytest.mark.parametrize("turned", [False, True])
def test_lbfgs_finds_the_lowest_point_of_the_box(rng, turned, lbfgs):
    """Also where that is not the clipped bottom: pulled outward at the bounds, flat inside."""
    function = Quadratic(rng, rng.uniform(-0.8, 1.8, SHAPE), 20, turned)
    found = minimise_inside(lbfgs(), function, rng.random(SHAPE), 100)
    _, d_found = function(found)
    inside = (found > 0) & (found < 1)
    assert 0 < inside.sum() < inside.size
    np.testing.assert_allclose(d_found[inside], 0, atol=1e-6)
    assert (d_found[found == 0] > 0).all()
    assert (d_found[found == 1] < 0).all()
    if not turned:
        np.testing.assert_allclose(found, np.clip(function.bottom, 0, 1), atol=1e-6)


def minimise_inside(optimizer, function, image, evaluations):
    for _ in range(evaluations):
        loss, d_image = function(image)
        optimizer.step(image, loss, d_image)
        shown = optimizer.best(image)
        assert shown.min() >= 0
        assert shown.max() <= 1
    return shown


@LBFGS
def test_lbfgs_evaluates_pictures_alone_and_knows_what_a_clip_leaves_of_a_move(rng, lbfgs):
    """The first search falls steeply to beyond the box: what is clipped is what s and y tell."""
    seen = []

    def function(image):
        seen.append((image.copy(), image - 3.0))
        return 0.5 * np.sum((image - 3.0) ** 2), image - 3.0

    optimizer, image = lbfgs(), rng.uniform(0.2, 0.9, SHAPE)
    image[0, 0, :2] = 1  # held from the start
    while not optimizer.pairs:
        optimizer.step(image, *function(image))
        assert image.min() >= 0
        assert image.max() <= 1
    ((s, y),) = optimizer.pairs
    (first, d_first), (last, d_last) = seen[0], seen[-1]
    np.testing.assert_array_equal(s, last - first)
    np.testing.assert_array_equal(s == 0, first == 1)
    np.testing.assert_array_equal(y, (d_last - d_first) * (first < 1))
    assert (last == 1).any()
    found = minimise(optimizer, function, image, 5)
    np.testing.assert_array_equal(found, 1)


def test_a_pixel_at_its_bound_has_no_part_in_the_slope(rng):
    """The slope is that of the loss along the clipped line: by differences, past its corners."""
    function = Quadratic(rng, rng.uniform(-0.8, 1.8, SHAPE), 20)
    optimizer, image = Lbfgs(), rng.random(SHAPE)
    optimizer.step(image, *function(image))
    optimizer.direction *= 8

    def at(step):
        return np.clip(optimizer.start + step * optimizer.direction, 0, 1)

    for step in (0.1, 1.0, 3.0):
        slope = (function(at(step + 1e-6))[0] - function(at(step - 1e-6))[0]) / 2e-6
        found = optimizer._slope(at(step), function(at(step))[1])
        assert found == pytest.approx(slope, rel=1e-5)
    assert ((at(3.0) == 0) | (at(3.0) == 1)).sum() > 3


@LBFGS
def test_what_pulls_at_a_held_pixel_moves_no_other(rng, lbfgs):
    """Neither through the history, whose y have it, nor by frequencies, which are everywhere."""
    optimizer = lbfgs()
    optimizer.pairs = [(s, 3 * s) for s in rng.standard_normal((2, *SHAPE))]
    image = rng.uniform(0.2, 0.8, SHAPE)
    image[0, 0, 0] = image[2, 3, 4] = 0.0
    for s, _ in optimizer.pairs:
        s[image == 0] = 0
    d_image = rng.standard_normal(SHAPE)
    d_image[image == 0] = 1.0
    before = optimizer._downhill(image, d_image)
    d_image[image == 0] = 1e6
    for _, y in optimizer.pairs:
        y[image == 0] = 0
    np.testing.assert_allclose(optimizer._downhill(image, d_image), before)
    assert (before[image == 0] == 0).all()
    for _, y in optimizer.pairs:
        y[image == 0] = 1e3
    optimizer.known = [known_of(s, y, bands=1) for s, y in optimizer.pairs]
    assert np.abs(optimizer._downhill(image, d_image)).max() < 1e2


def test_bounds_are_those_that_are_given():
    for optimizer in (kind(bounds=(-2.0, 0.5)) for kind in OPTIMIZERS.values()):
        found = minimise(optimizer, lambda x: (np.sum(x), np.ones_like(x)), np.zeros(SHAPE), 60)
        assert found.min() >= -2
    image = np.zeros(2)
    NormalisedDescent(9.0, bounds=(-2.0, 0.5)).step(image, 0.0, np.array([1.0, -1.0]))
    assert image.tolist() == [-2.0, 0.5]


# ---- L-BFGS, part by part ------------------------------------------------------------


def dense_inverse_hessian(pairs, size):
    """Nocedal and Wright, eq. 6.17, pair by pair from H0 of eq. 7.20."""
    s, y = (part.ravel() for part in pairs[-1])
    inverse = np.eye(size) * (s @ y) / (y @ y)
    for pair in pairs:
        s, y = (part.ravel() for part in pair)
        rho = 1 / (y @ s)
        left = np.eye(size) - rho * np.outer(s, y)
        inverse = left @ inverse @ left.T + rho * np.outer(s, s)
    return inverse


@pytest.mark.parametrize("count", [1, 2, 7])
def test_two_loop_direction_is_that_of_the_dense_formula(rng, count):
    function = Quadratic(rng, np.zeros(SHAPE), 50)
    moves = rng.standard_normal((count, *SHAPE))
    pairs = [(s, function(s)[1] + 0.1 * s) for s in moves]
    d_image = rng.standard_normal(SHAPE)
    copies = [(s.copy(), y.copy()) for s, y in pairs]
    expected = -dense_inverse_hessian(pairs, 60) @ d_image.ravel()
    found = two_loop_direction(d_image, pairs)
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(pairs, copies)


def test_without_pairs_the_direction_is_a_small_step_downhill(rng):
    d_image = 1e6 * rng.standard_normal(SHAPE)
    found = two_loop_direction(d_image, [])
    assert np.sqrt(np.mean(found**2)) == pytest.approx(FIRST_MOVE)
    np.testing.assert_allclose(found / found[0, 0, 0], d_image / d_image[0, 0, 0])
    assert np.vdot(found, d_image) < 0


def test_history_keeps_the_newest_pairs_of_move_and_change_of_gradient(rng):
    function = Quadratic(rng, rng.standard_normal(SHAPE), 300)
    optimizer = Lbfgs(history=3, bounds=None)
    image = rng.standard_normal(SHAPE)
    accepted = []  # (image, gradient) at which a line search began
    for _ in range(30):
        loss, d_image = function(image)
        optimizer.step(image, loss, d_image)
        if not accepted or optimizer.start is not accepted[-1][0]:
            accepted.append((optimizer.start, optimizer.d_start))
    assert len(accepted) > 5
    assert len(optimizer.pairs) == 3
    for (before, after), (s, y) in zip(
        zip(accepted[-4:-1], accepted[-3:], strict=True), optimizer.pairs, strict=True
    ):
        np.testing.assert_allclose(s, after[0] - before[0], atol=1e-12)
        np.testing.assert_allclose(y, after[1] - before[1], atol=1e-9)
        assert np.vdot(s, y) > 0


def test_a_history_of_none_keeps_none(rng):
    """[-0:] is everything: with no pairs each search leads down the gradient itself."""
    stretch = rng.uniform(1, 30, (3, 4, 5)).astype(np.float32)
    optimizer, image = Lbfgs(history=0, bounds=None), np.ones_like(stretch)
    starts = set()
    for _ in range(40):
        gradient = stretch * image
        optimizer.step(image, float((gradient * image).sum()) / 2, gradient)
        starts.add(id(optimizer.start))
        assert (optimizer.pairs, optimizer.known) == ([], [])
    assert len(starts) > 3


def test_best_is_where_the_search_began_until_it_ends(rng):
    function = Quadratic(rng, rng.standard_normal(SHAPE), 100)
    image = rng.standard_normal(SHAPE)
    optimizer = Lbfgs(bounds=None)
    losses = []
    for _ in range(40):
        loss, d_image = function(image)
        optimizer.step(image, loss, d_image)
        losses.append(function(optimizer.best(image))[0])
    assert all(later <= earlier for earlier, later in pairwise(losses))
    assert losses[-1] < 1e-3 * losses[0]


def test_a_search_that_leads_nowhere_returns_and_forgets(rng):
    """A gradient of the wrong sign: every trial is worse than the start."""
    start = rng.random(SHAPE)
    image = start.copy()
    optimizer = Lbfgs(bounds=None)
    optimizer.pairs = [(np.ones(SHAPE), np.ones(SHAPE))]
    for _ in range(1 + MOST_TRIALS):
        optimizer.step(image, np.asarray(0.5 * np.sum(image**2)), -image)
    assert optimizer.search is None
    assert optimizer.pairs == []
    np.testing.assert_array_equal(optimizer.best(image), start)


def test_a_history_that_points_uphill_is_forgotten(rng):
    d_image = rng.standard_normal(SHAPE)
    optimizer = Lbfgs(bounds=None)
    optimizer.pairs = [(d_image.copy(), -d_image)]  # negative curvature: never accepted so
    optimizer.step(rng.random(SHAPE), np.asarray(1.0), d_image)
    assert optimizer.pairs == []
    assert np.vdot(optimizer.direction, d_image) < 0


def test_after_a_minimum_is_met_exactly_it_stays_there():
    """The gradient is exactly zero after the first search; a stale one must not go on."""
    image = np.zeros(2)
    optimizer = Lbfgs(bounds=None)
    bottom = np.full(2, FIRST_MOVE)
    found = minimise(optimizer, lambda x: (np.sum((x - bottom) ** 2), x - bottom), image, 6)
    np.testing.assert_allclose(found, bottom, rtol=1e-12)
    assert optimizer.search is None or optimizer.search.trials < MOST_TRIALS


# ---- L-BFGS in bands of frequencies -----------------------------------------------------

PICTURE = (3, 21, 30)


class Convolution:
    """loss = 1/2 x . K x, with K x = x + steep * (x blurred eight times).

    A blur means over a pixel and its four neighbours, mirrored at the edges: large shapes are
    curved by 1 + steep, and fine detail by about 1.
    """

    def __init__(self, steep):
        self.steep = steep

    def __call__(self, image):
        blurred = image
        for _ in range(8):
            around = np.pad(blurred, ((0, 0), (1, 1), (1, 1)), "symmetric")
            rows = around[:, :-2, 1:-1] + around[:, 2:, 1:-1]
            blurred = (blurred + rows + around[:, 1:-1, :-2] + around[:, 1:-1, 2:]) / 5
        d_image = image + self.steep * blurred
        return 0.5 * np.vdot(image, d_image), d_image


def evaluations_until(function, optimizer, image, share):
    """Return how many evaluations bring the loss to ``share`` of what it was."""
    first = function(image)[0]
    for count in range(1, 400):
        loss, d_image = function(image)
        if loss <= share * first:
            return count
        optimizer.step(image, np.asarray(loss), d_image)
    raise AssertionError("never")


@pytest.mark.parametrize("steep", [300, 3000])
@pytest.mark.parametrize("history", [4, 10])
def test_bands_reach_the_bottom_of_a_convolution_in_less_than_half_the_evaluations(
    rng, steep, history
):
    """Of those that one number for all takes to a hundred thousandth of the loss."""
    function, start = Convolution(steep), rng.standard_normal(PICTURE)
    one, twelve = (
        evaluations_until(function, Lbfgs(history, None, bands), start.copy(), 1e-5)
        for bands in (1, 12)
    )
    assert twelve < one / 2


def test_for_the_same_curvature_everywhere_bands_are_the_one_number(rng):
    pairs = [(s, 7.0 * s) for s in rng.standard_normal((3, *PICTURE))]
    d_image = rng.standard_normal(PICTURE)
    expected = two_loop_direction(d_image, pairs)
    found = two_loop_direction(d_image, pairs, [known_of(s, y, bands=12) for s, y in pairs])
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(found, -d_image / 7, rtol=1e-9)


def test_the_beginning_is_the_formula_of_the_derivations(rng):
    """Cosine by cosine, from matrices of them; of five pairs out of six, gamma of the newest."""
    shape, bands = (2, 5, 7), 4
    matrices = [cosines(side) for side in shape]

    def transformed(x):
        return np.einsum("kc,ir,jq,crq->kij", *matrices, x)

    band = np.array([[band_of(i / 5, j / 7) for j in range(7)] for i in range(5)])
    pairs = rng.standard_normal((6, 2, *shape))
    pairs[-1, 1] += pairs[-1, 0]
    h = np.empty(shape)
    for channel in range(2):
        for b in range(bands):
            here = channel, band == b
            squares = [sum((transformed(p[which]) ** 2)[here].sum() for p in pairs[1:])
                       for which in (0, 1)]  # fmt: skip
            h[here] = np.sqrt(squares[0] / squares[1])
    s, y = pairs[-1]
    gamma = (s * y).sum() / (transformed(y) ** 2 * h).sum()
    q = rng.standard_normal(shape)
    expected = np.einsum("kc,ir,jq,kij->crq", *matrices, gamma * h * transformed(q))
    known = [known_of(s, y, bands=bands) for s, y in pairs]
    np.testing.assert_allclose(first_curvatures.begin(known, q), expected, rtol=1e-9, atol=1e-12)


def band_of(row, column):
    """The band, of four, of these shares of the highest frequencies: each an L around the last."""
    return sum(max(row, column) >= 2 ** (-k / 2) for k in (1, 2, 3))


def cosines(side):
    """The matrix of the orthonormal cosine transform: a row for each frequency."""
    frequency, place = np.mgrid[:side, :side]
    matrix = np.cos(np.pi * frequency * (2 * place + 1) / (2 * side)) * np.sqrt(2 / side)
    matrix[0] /= np.sqrt(2)
    return matrix


@pytest.mark.parametrize("sign", [1, -1])
def test_however_the_bands_pull_at_each_other_the_beginning_leads_downhill(rng, sign):
    """A pair whose lower half of frequencies has s . y below zero, or whose upper half has."""
    s = rng.standard_normal(PICTURE)
    low = s.mean(axis=(1, 2), keepdims=True) + 0 * s
    y = sign * low * 3 + (s - low) * 2 if sign > 0 else low * 900 - (s - low) * 0.01
    assert np.vdot(s, y) > 0
    for q in rng.standard_normal((5, *PICTURE)):
        before = q.copy()
        assert np.vdot(before, first_curvatures.begin([known_of(s, y, bands=12)], q)) > 0


def test_a_band_in_which_nothing_moved_has_what_all_have(rng):
    """The pair is flat, but for the mean: other frequencies are 0 / 0."""
    pair = known_of(np.ones(PICTURE), np.full(PICTURE, 4.0), bands=12)
    q = rng.standard_normal(PICTURE)
    np.testing.assert_allclose(first_curvatures.begin([pair], q.copy()), q / 4, rtol=1e-6)


# ---- State -----------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_restored_optimizer_goes_on_as_if_nothing_had_been(rng, optimizer):
    """Restored after each of many steps, through JSON but for the arrays, which are copied."""
    function = Quadratic(rng, rng.uniform(-0.5, 1.5, SHAPE).astype(np.float32), 100)
    image = rng.random(SHAPE, np.float32)
    going, stopping = optimizer(), optimizer()
    kinds = {tuple(stopping.state())}
    for _ in range(60):
        copy = image.copy()
        for each, place in ((going, image), (stopping, copy)):
            each.step(place, *map(np.asarray, function(place)))
        np.testing.assert_array_equal(copy, image)
        np.testing.assert_array_equal(stopping.best(copy), going.best(image))
        state = through_a_file(stopping.state())
        kinds.add(tuple(state))
        stopping = optimizer()
        stopping.restore(state)
    assert len(kinds) == (
        2 if optimizer in (Lbfgs, in_bands) else 1
    )  # inside a line search and between two


def through_a_file(state):
    """Return the state with new arrays, and all else as JSON brings it back."""
    if isinstance(state, np.ndarray):
        return state.copy()
    if isinstance(state, dict):
        return {name: through_a_file(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return [through_a_file(value) for value in state]
    return json.loads(json.dumps(state))


# ---- On a picture --------------------------------------------------------------------


@pytest.fixture(scope="module")
def painting():
    """One small style transfer: an objective, and the image to start from."""
    rng = np.random.default_rng(1889)
    vgg = Vgg.from_arrays(draw_arrays(TWO_BLOCKS, rng), ["relu1_1", "relu2_1"], "average")
    rows, columns = np.mgrid[:24, :20] / 24
    content = np.stack([rows, columns, rows * columns]).astype(np.float32)
    style = rng.random((3, 32, 18), np.float32)
    target = vgg.forward(content)["relu2_1"]
    grams = {tap: kernels.of(f).gram(f) for tap, f in vgg.forward(style).items()}
    objective = Objective(
        vgg,
        Targets({"relu2_1": target}, everywhere(grams)),
        recipe_of({"relu2_1": 1.0}, dict.fromkeys(grams, 10.0), 0.1),
    )
    return objective, content


@pytest.mark.parametrize(
    ("optimizer", "factor"),
    [(NormalisedDescent(0.03, 0.95), 4), (Adam(0.03), 8), (Lbfgs(), 8), (in_bands(), 8)],
    ids=OPTIMIZERS,
)
def test_the_loss_of_a_style_transfer_falls(painting, optimizer, factor):
    assert loss_before(painting) > factor * loss_after(painting, optimizer, 60)


def test_lbfgs_gets_further_than_hvass_descent_in_the_same_evaluations(painting):
    assert loss_after(painting, Lbfgs(), 60) < 0.5 * loss_after(painting, NormalisedDescent(), 60)


def loss_before(painting):
    objective, start = painting
    return float(objective.evaluate(start)[0].total)


def loss_after(painting, optimizer, evaluations):
    objective, start = painting

    def function(image):
        losses, d_image = objective.evaluate(image)
        return losses.total, d_image

    found = minimise(optimizer, function, start.copy(), evaluations)
    return float(objective.evaluate(found)[0].total)


# ---- On both twins -------------------------------------------------------------------


@pytest.fixture(scope="module")
def cuda_twin(host):
    """``cupy_kernels`` on the host: NumPy for CuPy and C++ for CUDA.  See test_twins.py."""
    if cupy is None:
        unavailable("CuPy (but no GPU), to import the twin")
    from nst.kernels import cupy_kernels

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cupy_kernels, "cp", np)
        patch.setitem(sys.modules, "cupyx.scipy.fft", scipy.fft)
        patch.setattr(
            cupy_kernels,
            "_run",
            lambda name, blocks, args: host.launch(name, blocks, cupy_kernels.BLOCK, args),
        )
        yield cupy_kernels


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_both_twins_take_the_same_way(rng, monkeypatch, cuda_twin, optimizer):
    function = Quadratic(rng, rng.uniform(-0.5, 1.5, SHAPE).astype(np.float32), 20)
    start = rng.random(SHAPE, np.float32)
    expected = minimise(optimizer(), function, start.copy(), 12)

    asked = []
    monkeypatch.setattr(kernels, "of", lambda *arrays: asked.append(arrays) or cuda_twin)
    found = minimise(optimizer(), function, start.copy(), 12)
    assert asked
    assert found.dtype == np.float32
    assert np.abs(found - start).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
