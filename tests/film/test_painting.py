"""A scene as it is painted: what is handed out, what comes back, and where it goes."""

from types import SimpleNamespace

import numpy as np

from nst.devices import CPU
from nst.film.clip import Frame
from nst.film.flow import grey
from nst.film.kept import Kept
from nst.film.painting import Painted, Reel, at_frame, base_of
from nst.film.scenes import Scene
from nst.pictures import images
from nst.pictures.reading import read as read_input
from nst.run.shared import Shared

START, COUNT = 3, 7  # the scene's first frame in its film, and how many it has


class Taken:
    """A sink that keeps the numbers of the frames that it was given."""

    def __init__(self):
        self.numbers, self.done, self.closed = [], 0, False

    def write(self, number, image):
        self.numbers.append(number)
        self.done += 1

    def close(self):
        self.closed = True


def reel_in(folder, rng):
    pictures = rng.random((START + COUNT, 3, 4, 6), np.float32)

    def frames(start, stop):
        for number in range(start, stop):
            yield Frame(number, pictures[number], number, 1)

    shoot = SimpleNamespace(
        clip=SimpleNamespace(frames=frames),
        first=SimpleNamespace(full=SimpleNamespace(height=4, width=6)),
    )
    sink = Taken()
    scene = Scene(START, START + COUNT, pictures[START])
    return Reel(shoot, scene, Kept(folder, 4, 6), sink), sink, pictures[START:]


def painted(number, picture):
    levels = images.as_uint8(1 - picture)
    return Painted(number, levels, levels, 2.5, [])


def test_what_did_not_come_back_is_handed_out_again_and_all_frames_come_once(tmp_path, rng):
    reel, sink, pictures = reel_in(tmp_path, rng)
    begins = []
    while (stretch := reel.next(3)) is not None:
        again = reel.next(3)  # who had the first is gone
        assert again.start == stretch.start
        np.testing.assert_array_equal(again.pictures, stretch.pictures)
        begins.append(stretch.start)
        for number, picture in enumerate(again.pictures, start=again.start):
            np.testing.assert_array_equal(picture, pictures[number])
            reel.take(painted(number, picture))
    assert begins == [0, 3, 6]
    assert sink.numbers == list(range(START, START + COUNT))
    assert sink.closed


def test_a_stretch_has_the_unit_and_the_frames_that_it_looks_back_at(tmp_path, rng):
    reel, _, pictures = reel_in(tmp_path, rng)
    first = reel.next(5)
    assert first.past == {}
    assert first.unit is None
    for number, picture in enumerate(first.pictures):
        reel.take(painted(number, picture))
    second = reel.next(5)
    assert second.unit == 2.5
    assert sorted(second.past) == [1, 2, 3, 4]
    for number, (luma, image) in second.past.items():
        np.testing.assert_array_equal(luma, grey(pictures[number]))
        np.testing.assert_array_equal(
            images.as_uint8(image), images.as_uint8(1 - pictures[number])
        )


def test_what_comes_into_a_film_changes_no_colour_of_the_rest(settings, rng):
    """The default recipe's photograph is moved by one map in all frames; then nothing more is."""
    asked = settings()
    read = {one.path: read_input(one.path) for one in asked.style}
    frame = rng.random((3, 30, 40)).astype(np.float32)
    base = base_of(asked, CPU, read, {}, frame, Shared())
    brighter = frame.copy()
    brighter[:, :10] = 1
    for picture in (frame, brighter):
        np.testing.assert_array_equal(at_frame(base, picture).present(frame), frame)
    moved = [at_frame(base, picture).content[:, 10:] for picture in (frame, brighter)]
    np.testing.assert_array_equal(*moved)
