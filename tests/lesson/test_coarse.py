"""Chapter 7: coarse to fine, and tiles whose sums and gradients add up."""

import numpy as np
import pytest

from nst.lesson import coarse
from nst.lesson.subject import objective_of
from nst.pictures import images


def test_coarse_to_fine_begins_at_half_the_size_and_goes_on_with_what_was_painted(subject):
    first = coarse.scales(subject, "coarse", 0)
    small = images.resize(subject.photograph, *(n // 2 for n in subject.photograph.shape[1:]))
    np.testing.assert_array_equal(first["image"].values, small)
    last_small = coarse.coarse_race(subject).at(coarse.COARSE_STEPS).image
    here = coarse.scales(subject, "coarse", coarse.COARSE_STEPS)
    enlarged = images.resize(last_small, *subject.photograph.shape[1:])
    np.testing.assert_array_equal(here["image"].values, enlarged)
    losses, _ = objective_of(subject, subject.photograph).evaluate(enlarged)
    assert here["loss"] == pytest.approx(float(losses.total), rel=1e-4)


def test_at_half_the_size_a_feature_sees_twice_as_much_of_the_picture(subject):
    half, whole = (coarse.scales(subject, way, 0) for way in ("coarse", "at once"))
    assert half["seen"] == whole["seen"] == "40"
    marks = [shown["marks"][0] for shown in (half, whole)]
    assert all(mark.bottom - mark.top == 40 for mark in marks)
    assert int(whole["share"].rstrip("%")) == round(100 * 40 / 64)


@pytest.mark.parametrize("side", [0, 48])
def test_tiles_add_up(subject, side):
    shown = coarse.tiles(subject, side, 1, 5)
    assert shown["tiles"] > 2
    features = subject.features["relu2_1"].astype(np.float64)
    assert shown["added"] == pytest.approx(np.sum(features[5] ** 2), rel=1e-4)
    assert shown["whole"] == pytest.approx(np.sum(features[5] ** 2), rel=1e-4)
    assert sum(part for _, *parts in shown["table"].rows for part in parts) == pytest.approx(
        shown["added"]
    )
    assert shown["apart"] < 1e-4
    assert not np.allclose(shown["share"].values, shown["added_up"].values)


def test_each_pixel_is_owned_by_one_tile_and_read_in_a_window(subject):
    shown = coarse.tiles(subject, 0, 2, 0)
    window, *owned = shown["marks"]
    counted = np.zeros(subject.photograph.shape[1:], int)
    for mark in owned:
        counted[mark.top : mark.bottom, mark.left : mark.right] += 1
    assert np.all(counted == 1)
    own = owned[shown["tile"]]
    assert window.top <= own.top < own.bottom <= window.bottom
    share = shown["share"].values
    outside = np.ones(share.shape, bool)
    outside[window.top : window.bottom, window.left : window.right] = False
    assert np.all(share[outside] == 0)


def test_of_all_windows_only_the_last_ones_tiles_are_kept(subject):
    coarse.tiles(subject, 48, 0, 3)
    kept = len(subject.kept)
    sides = [coarse.tiles(subject, side, 0, 3)["side"] for side in (50, 52, 48)]
    assert sides == [50, 52, 48]
    assert len(subject.kept) == kept
