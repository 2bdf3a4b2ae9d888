"""GIFs whose images say nothing of their time: every image of them is a frame."""

import re
from fractions import Fraction

import PIL.Image
import pytest
from film_files import moving

from nst.film import gif
from nst.film.clip import open_clip
from nst.pictures import images

CONTROL = rb"\x21\xf9\x04.{4}\x00"


def write_gif(path, count=4, **more):
    """Write a GIF and return its bytes."""
    first, *rest = (PIL.Image.fromarray(images.as_uint8(f)).convert("P") for f in moving(count))
    first.save(path, save_all=True, append_images=rest, **more)
    return path.read_bytes()


@pytest.mark.parametrize("which", [slice(0, 4), slice(3, 4), slice(0, 1), slice(1, 3)])
def test_images_without_a_delay_are_frames_too(tmp_path, which):
    data = write_gif(tmp_path / "a.gif", duration=200)
    found = list(re.finditer(CONTROL, data, re.DOTALL))
    assert len(found) == 4
    told = bytearray(data)
    for one in reversed(found[which]):  # what it says of transparency goes with it
        data = data[: one.start()] + data[one.end() :]
        told[one.start() : one.end()] = gif.CONTROL
    (tmp_path / "a.gif").write_bytes(told)
    whole = [frame.picture for frame in open_clip(tmp_path / "a.gif").frames()]
    (tmp_path / "b.gif").write_bytes(data)
    clip = open_clip(tmp_path / "b.gif")
    frames = list(clip.frames())
    assert len(frames) == 4
    for frame, expected in zip(frames, whole, strict=True):
        assert abs(frame.picture - expected).max() == 0
    bare = range(4)[which]
    lengths = [Fraction(1, 10) if number in bare else Fraction(1, 5) for number in range(4)]
    assert [frame.duration * clip.time_base for frame in frames] == lengths


def test_a_gif_that_tells_its_times_is_left_as_it_is(tmp_path):
    data = write_gif(tmp_path / "a.gif", duration=70, loop=0, comment=b"\x2c\x21 not an image")
    assert gif.with_delays(data) == data


@pytest.mark.parametrize("length", range(0, 1500, 37))
def test_what_is_cut_off_does_no_harm(tmp_path, length):
    data = re.sub(CONTROL, b"", write_gif(tmp_path / "a.gif", count=2), flags=re.DOTALL)[:length]
    assert gif.with_delays(data).replace(gif.CONTROL, b"") == data
