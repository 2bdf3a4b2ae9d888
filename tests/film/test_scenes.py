"""Where scenes begin, and what is found out about a film before it is painted."""

from fractions import Fraction

import numpy as np
import pytest
from film_files import moving

from nst.errors import NstError
from nst.film.clip import Frame
from nst.film.scenes import survey


class Made:
    """A clip of given frames."""

    name, rate, time_base = "made", Fraction(25), Fraction(1, 25)

    def __init__(self, frames):
        self._frames = frames

    def frames(self, start=0, stop=None):
        for number, picture in enumerate(self._frames):
            yield Frame(number, picture.astype(np.float32), 2 * number, 2)


def starts(frames):
    return [scene.start for scene in survey(Made(frames)).scenes]


def test_a_cut_begins_a_scene():
    film = [*moving(4, seed=1), *moving(3, seed=2), *moving(2, seed=3)]
    assert starts(film) == [0, 4, 7]
    found = survey(Made(film))
    assert [scene.stop for scene in found.scenes] == [4, 7, 9]
    assert [len(scene) for scene in found.scenes] == [4, 3, 2]
    assert (found.height, found.width, len(found)) == (48, 64, 9)
    assert found.pts == tuple(range(0, 18, 2))
    assert set(found.durations) == {2}


@pytest.mark.parametrize("speed", [(0, 0), (1, 2), (4, 7)])
def test_a_camera_that_moves_is_no_cut(speed):
    assert starts(moving(6, 96, 128, speed=speed)) == [0]


def test_noise_a_slow_fade_and_something_that_passes_are_no_cuts(rng):
    noisy = [(f + rng.normal(0, 0.05, f.shape)).clip(0, 1) for f in moving(5)]
    assert starts(noisy) == [0]
    assert starts([f * (1 - t / 20) for t, f in enumerate(moving(8))]) == [0]
    passing = moving(6, speed=(0, 0))
    for t, frame in enumerate(passing):
        frame[:, 10:30, 8 * t : 8 * t + 15] = 0.9
    assert starts(passing) == [0]


def test_the_reference_of_a_scene_is_its_most_colourful_frame():
    """Not a black one that it fades in from."""
    colourful = moving(4, speed=(0, 0))
    film = [f * share for f, share in zip(colourful, [0.93, 0.96, 1.0, 0.95], strict=True)]
    (scene,) = survey(Made(film)).scenes
    np.testing.assert_allclose(scene.reference, film[2], atol=1e-5)


def test_a_frame_of_another_size_is_refused():
    film = [*moving(2), *moving(1, 48, 66)]
    with pytest.raises(NstError, match=r"frame 3 of made is 66 x 48 pixels, .* 64 x 48; give"):
        survey(Made(film))


def test_a_film_without_a_frame_is_refused():
    with pytest.raises(NstError, match="made has no frame"):
        survey(Made([]))


def test_a_film_of_one_frame_is_one_scene():
    (scene,) = survey(Made(moving(1))).scenes
    assert (scene.start, scene.stop) == (0, 1)
