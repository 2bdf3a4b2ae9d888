"""The line search on functions of one variable whose minimum is known."""

import math

import pytest

from nst.optimizers.line_search import MOST_TRIALS, LineSearch


def more_thuente_1(t):
    """Their eq. 5.1 with beta = 2: flat far out."""
    return -t / (t * t + 2), (t * t - 2) / (t * t + 2) ** 2


def more_thuente_2(t):
    """Their eq. 5.2 with beta = 0.004: nearly flat at first, the minimum at 1.596."""
    b = t + 0.004
    return b**5 - 2 * b**4, 5 * b**4 - 8 * b**3


def wave(t):
    """Falls, with many minima on the way."""
    return 0.3 * math.cos(8 * t) - t / (1 + 0.02 * t * t), -2.4 * math.sin(8 * t) - (
        1 - 0.02 * t * t
    ) / (1 + 0.02 * t * t) ** 2


def parabola(bottom):
    return lambda t: (((t - bottom) / bottom) ** 2, 2 * (t - bottom) / bottom**2)


def walled(wall, beyond):
    """A barrier: the loss grows to infinity at ``wall``, and there is nothing beyond."""

    def function(t):
        if t >= wall:
            return beyond, beyond
        return -3 * t - wall * math.log(1 - t / wall), -3 + wall / (wall - t)

    return function


FUNCTIONS = {
    "at once": (parabola(1.0), 1, 1),
    "growth": (parabola(60.0), 2, 5),
    "zoom": (parabola(0.003), 2, 8),
    "growth, then zoom": (parabola(2.2), 1, 4),
    "More-Thuente 1": (more_thuente_1, 1, 6),
    "More-Thuente 2": (more_thuente_2, 1, 8),
    "wave": (wave, 1, 12),
    "infinity beyond": (walled(0.3, math.inf), 2, 8),
    "not a number beyond": (walled(0.3, math.nan), 2, 8),
}


def search(function):
    line = LineSearch(*function(0.0))
    while not line.done:
        line.advance(*function(line.trial))
    return line


@pytest.mark.parametrize(("function", "at_least", "at_most"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_an_accepted_step_keeps_the_strong_wolfe_conditions(function, at_least, at_most):
    line = search(function)
    loss_0, slope_0 = function(0.0)
    loss, slope = function(line.trial)
    assert line.accepted
    assert at_least <= line.trials <= at_most
    assert loss <= loss_0 + 1e-4 * line.trial * slope_0
    assert abs(slope) <= 0.9 * abs(slope_0)


def test_both_conditions_are_needed():
    """The first trial has a small slope but too little descent; the next has both."""
    line = LineSearch(1.0, -1.0)
    line.advance(1.0 - 0.5e-4, 0.0)
    assert not line.accepted
    assert line.trial < 1
    line = LineSearch(1.0, -1.0)
    line.advance(0.05, -0.95)
    assert not line.accepted
    assert line.trial > 1


@pytest.mark.parametrize("slope", [-0.95, -0.1, 0.0, 0.1, 0.95])
@pytest.mark.parametrize("loss", [0.05, 0.5, 0.999])
def test_a_trial_worse_than_the_best_so_far_went_too_far_however_much_it_fell(loss, slope):
    """Nocedal and Wright, Algorithm 3.5, line 2, and 3.6, line 3: a good step is between them.

    The first trial falls to 0.05 and is steep there, so the search goes on; the second is lower
    than the start by more than the first Wolfe condition asks for, and higher than the first.
    """
    line = LineSearch(1.0, -1.0)
    line.advance(0.05, -0.95)
    best, farther = line.low, line.trial
    assert farther > best.step == 1
    line.advance(loss, slope)
    assert not line.accepted
    assert line.low == best
    assert line.high == (farther, loss, slope)
    assert best.step < line.trial < farther
    line.advance(loss, slope)  # and so inside the bracket too
    assert not line.accepted
    assert line.low == best
    assert line.high.step < farther


def test_a_line_that_never_ends_is_given_up_at_its_farthest_trial():
    line = search(lambda t: (-t, -1.0))
    assert line.done
    assert not line.accepted
    assert line.trials == MOST_TRIALS
    assert line.low.step == 4.0 ** (MOST_TRIALS - 1)


@pytest.mark.parametrize("worse", [1.0, math.inf, math.nan])
def test_a_line_that_only_rises_is_given_up_at_its_start(worse):
    line = search(lambda t: (0.0, -1.0) if t == 0 else (worse, worse))
    assert line.done
    assert not line.accepted
    assert line.low.step == 0


def test_the_cubic_finds_the_minimum_of_a_cubic_at_once():
    """t**3 - 0.75 t has its minimum at 1/2; from the ends 0 and 1 no other trial is needed."""
    line = LineSearch(0.0, -0.75)
    line.advance(1.0 - 0.75, 3 - 0.75)
    assert line.trial == pytest.approx(0.5, rel=1e-12)
    line = LineSearch(0.0, -0.27)  # t**3 - 0.27 t: at 0.3
    line.advance(1.0 - 0.27, 3 - 0.27)
    assert line.trial == pytest.approx(0.3, rel=1e-12)
