"""The time left follows the estimates, and how true they have been."""

import pytest

from nst.many.pace import Pace


def test_without_anything_behind_it_is_the_estimate():
    assert Pace().left(10, 0.0, 0.0, 3) == 40


def test_a_machine_that_is_slower_than_estimated_has_longer_to_go():
    pace = Pace()
    pace.add(10, 20)
    assert pace.left(10, 0.5, 10, 2) == pytest.approx(2 * (5 + 2 * 10))
    assert pace.left(30, 0.5, 30, 1) == pytest.approx(2 * (15 + 20))


def test_a_picture_that_goes_on_takes_as_long_as_it_has_taken_so_far():
    """It has no estimate: a fifth of it took 4 seconds, and so one behind it takes 20."""
    pace = Pace()
    assert pace.left(None, 0.2, 4, 2) == pytest.approx(16 + 2 * 20)
    pace.add(None, 20)
    assert pace.left(10, 0.5, 5, 1) == pytest.approx(5 + 15)


def test_at_the_end_nothing_is_left():
    assert Pace().left(10, 1.0, 12, 0) == 0
