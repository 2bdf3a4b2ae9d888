"""Optical flow: its conventions, where it is believed, and what is remembered of other frames."""

import cv2
import numpy as np
import pytest
from film_files import moving

from nst.film.flow import (
    _on_one_thread,
    flicker,
    flow,
    grey,
    inside,
    moves_evenly,
    remembered,
    visible,
    warp,
)

INNER = np.s_[12:-12, 12:-12]


@pytest.fixture
def pair():
    """Two frames: each pixel of the second was 3 rows lower and 2 columns to the right."""
    before, after = moving(2, 64, 96, speed=(3, 2))
    return before, after


def test_flow_leads_from_a_pixel_to_where_it_is_in_the_other_picture(pair):
    before, after = pair
    rows, columns = flow(grey(after), grey(before))
    assert np.abs(rows[INNER] - 3).mean() < 0.05
    assert np.abs(columns[INNER] - 2).mean() < 0.05


def test_warping_along_it_gives_the_picture(pair):
    before, after = pair
    moved = warp(before, flow(grey(after), grey(before)))
    assert np.abs(moved - after)[:, 12:-12, 12:-12].max() < 0.02
    assert flicker(after, before, flow(grey(after), grey(before)), np.ones((64, 96))) < 0.02


def test_warping_by_whole_pixels_changes_no_value(rng):
    picture = rng.random((3, 9, 11), np.float32)
    by = np.stack([np.full((9, 11), 2.0), np.full((9, 11), -1.0)]).astype(np.float32)
    moved = warp(picture, by)
    for row, column in np.ndindex(9, 11):
        expected = picture[:, min(row + 2, 8), max(column - 1, 0)]
        np.testing.assert_allclose(moved[:, row, column], expected, atol=1e-6)


def test_warping_stays_between_black_and_white(rng):
    picture = np.round(rng.random((3, 20, 20))).astype(np.float32)
    moved = warp(picture, np.full((2, 20, 20), 0.5, np.float32))
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_opencv_is_on_one_thread_and_afterwards_as_it_was():
    """What it finds may depend on how many share the work."""
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(3)
        with _on_one_thread():
            assert cv2.getNumThreads() == 1
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(threads)


# ---- Where it is believed ----------------------------------------------------------------


def test_what_comes_back_to_where_it_began_is_visible(rng):
    """Equation 5, by hand; flows of whole pixels, so that nothing is interpolated."""
    backward = rng.integers(-3, 4, (2, 12, 15)).astype(np.float32)
    forward = -backward + (rng.random((2, 12, 15)) < 0.3)
    found = visible(backward, forward.astype(np.float32))
    for row, column in np.ndindex(12, 15):
        v = backward[:, row, column]
        r, c = row + int(v[0]), column + int(v[1])
        expected = False
        if 0 <= r < 12 and 0 <= c < 15:
            w = forward[:, r, c]
            apart = (w[0] + v[0]) ** 2 + (w[1] + v[1]) ** 2
            expected = apart <= 0.01 * (w @ w + v @ v) + 0.5
        assert found[row, column] == expected
    assert found.any()
    assert not found.all()


def test_motion_edges_are_where_the_flow_is_steep(rng):
    """Equation 6, by hand, with differences over two pixels inside."""
    found_in = rng.normal(0, 0.04, (2, 9, 8)).astype(np.float32)
    found_in[1, :, 4:] += 2
    found = moves_evenly(found_in)
    for row, column in np.ndindex(7, 6):
        r, c = row + 1, column + 1
        down = (found_in[:, r + 1, c] - found_in[:, r - 1, c]) / 2
        right = (found_in[:, r, c + 1] - found_in[:, r, c - 1]) / 2
        v = found_in[:, r, c]
        expected = down @ down + right @ right <= 0.01 * (v @ v) + 0.002
        assert found[r, c] == expected
    assert found.any()
    assert not found.all()


# ---- What is remembered ------------------------------------------------------------------


def covered(frame, left):
    """The frame with a card in it, and the card's mask."""
    mask = np.zeros(frame.shape[1:], bool)
    mask[20:44, left : left + 24] = True
    stripes = (np.indices(mask.shape).sum(0) // 3) % 2
    return np.where(mask, stripes * np.float32(0.9), frame).astype(np.float32), mask


def test_what_comes_into_sight_is_not_certain_and_what_moved_on_is():
    still = moving(1, 64, 96)[0]
    (before, was), (now, is_now) = covered(still, 20), covered(still, 26)
    painted = 1 - before  # whatever was painted then
    start = np.full_like(still, 0.5)
    warped, begun = remembered(grey(now), [(grey(before), painted), None, None], start)
    uncovered = was & ~is_now
    assert warped.certainty[uncovered].mean() < 0.25
    far = np.ones_like(was)
    far[14:50, 14:56] = False
    assert warped.certainty[far].mean() > 0.9
    certain = far & (warped.certainty > 0)
    assert np.abs(warped.picture - painted)[:, certain].mean() < 0.01
    hidden = uncovered & (warped.certainty == 0)
    assert hidden.any()
    moved = warp(painted, flow(grey(now), grey(before)))
    np.testing.assert_array_equal(begun[:, hidden], moved[:, hidden])  # few steps paint less


def test_what_comes_in_from_beyond_the_border_starts_as_the_film_has_it(pair):
    before, after = pair
    start = np.full_like(after, 0.5)
    warped, begun = remembered(grey(after), [(grey(before), before), None, None], start)
    beyond = ~inside(flow(grey(after), grey(before)))
    assert beyond[-2:].mean() > 0.5
    assert (begun[:, beyond] == 0.5).all()
    assert not warped.certainty[beyond].any()


def test_the_nearest_frame_that_is_certain_decides():
    """A card hides in the last frame what the one before shows: eq. 10, with c of 0 or 1."""
    still = moving(1, 64, 96)[0]
    card, mask = covered(still, 30)
    luma, now = grey(card), grey(still)
    last, earlier = np.full_like(still, 0.25), np.full_like(still, 0.75)
    warped, begun = remembered(now, [(luma, last), (now, earlier), None], np.zeros_like(still))
    known = visible(flow(now, luma), flow(luma, now)) & moves_evenly(flow(now, luma))
    assert 0.5 < known[~mask].mean()
    assert known[mask].mean() < 0.5
    assert warped.certainty.all()  # what stands still is seen in the frame before the last
    expected = np.where(known, 0.25, 0.75)
    np.testing.assert_allclose(warped.picture, np.stack([expected] * 3), atol=1e-5)
    shown = visible(flow(now, luma), flow(luma, now))
    np.testing.assert_allclose(begun[0], np.where(shown, 0.25, 0.75), atol=1e-5)


def test_without_frames_before_nothing_is_certain(rng):
    start = rng.random((3, 32, 32), np.float32)
    warped, begun = remembered(grey(start), [None, None, None], start)
    assert not warped.certainty.any()
    np.testing.assert_array_equal(begun, start)
