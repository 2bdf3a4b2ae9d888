"""What films are read from: upright, in the colours and at the times that the file says."""

import math
import sys
from fractions import Fraction

import av
import numpy as np
import PIL.Image
import pytest
from film_files import NTSC, moving, patches, write_film, write_sound
from refusals import refusal_of

from nst.extras import installing
from nst.film import extra
from nst.film.clip import Colours, Film, Row, open_clip
from nst.film.scenes import survey
from nst.film.video import _rate
from nst.pictures import images


def pictures_of(clip):
    return [frame.picture for frame in clip.frames()]


def test_a_film_has_its_frames_and_its_exact_rate(tmp_path):
    frames = moving(5)
    clip = open_clip(write_film(tmp_path / "a.mp4", frames))
    assert isinstance(clip, Film)
    assert clip.rate == NTSC
    found = list(clip.frames())
    assert [frame.number for frame in found] == [0, 1, 2, 3, 4]
    assert [frame.pts * clip.time_base for frame in found] == [n / NTSC for n in range(5)]
    assert {frame.duration * clip.time_base for frame in found} == {1 / NTSC}
    for frame, expected in zip(found, frames, strict=True):
        assert frame.picture.dtype == np.float32
        assert frame.picture.flags.c_contiguous
        assert np.abs(frame.picture - expected).mean() < 0.02


def test_some_of_its_frames(tmp_path):
    clip = open_clip(write_film(tmp_path / "a.mp4", moving(6)))
    whole = pictures_of(clip)
    some = list(clip.frames(2, 5))
    assert [frame.number for frame in some] == [2, 3, 4]
    for frame in some:
        np.testing.assert_array_equal(frame.picture, whole[frame.number])


def test_frames_of_uneven_length_keep_their_times(tmp_path):
    path = write_film(tmp_path / "a.mkv", moving(4), rate=25, pts=[0, 1, 5, 6])
    clip = open_clip(path)
    times = [frame.pts * clip.time_base for frame in clip.frames()]
    assert times == [Fraction(n, 25) for n in (0, 1, 5, 6)]


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_a_film_that_was_taken_sideways_stands_upright(tmp_path, rotation):
    upright = moving(2)
    stored = [np.rot90(f, -rotation // 90, axes=(1, 2)).copy() for f in upright]
    path = write_film(tmp_path / "a.mp4", stored, rotation=rotation, aspect=Fraction(4, 3))
    clip = open_clip(path)
    for picture, expected in zip(pictures_of(clip), upright, strict=True):
        assert picture.shape == expected.shape
        assert np.abs(picture - expected).mean() < 0.02
    assert clip.aspect == (Fraction(4, 3) if rotation == 180 else Fraction(3, 4))


@pytest.mark.parametrize("colours", [(1, 1, 1, 1), (5, 1, 5, 6), (1, 2, 1, 13), (9, 1, 9, 14)])
def test_colours_are_what_the_file_says(tmp_path, colours):
    clip = open_clip(write_film(tmp_path / "a.mp4", [patches()] * 2, colours=colours))
    assert clip.colours == Colours(*colours)
    for picture in pictures_of(clip):
        assert np.abs(picture - patches())[:, 8::16, 8::16].max() < 0.02


def test_a_gif_is_a_film(tmp_path):
    frames = [PIL.Image.fromarray(images.as_uint8(f)) for f in moving(3)]
    times = [100, 300, 200]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=times)
    clip = open_clip(tmp_path / "a.gif")
    found = list(clip.frames())
    assert [frame.pts * clip.time_base for frame in found] == [0, Fraction(1, 10), Fraction(4, 10)]
    assert clip.colours == Colours(1, 1, 1, 1)
    for frame, expected in zip(found, moving(3), strict=True):
        assert np.abs(frame.picture - expected).mean() < 0.05


def test_pictures_are_a_film_in_the_order_of_their_numbers(tmp_path):
    for number, frame in zip((9, 10, 2), moving(3), strict=True):
        images.save(tmp_path / f"frame{number}.png", frame)
    (tmp_path / "notes.txt").write_text("no picture")
    clip = open_clip(tmp_path)
    assert isinstance(clip, Row)
    assert [path.name for path in clip.pictures] == ["frame2.png", "frame9.png", "frame10.png"]
    assert clip.path == tmp_path / "frame2.png"
    assert clip.rate == 25
    assert [frame.number for frame in clip.frames()] == [0, 1, 2]
    some = open_clip(str(tmp_path / "frame1*.png"), Fraction(24000, 1001))
    assert [path.name for path in some.pictures] == ["frame10.png"]
    assert some.time_base == Fraction(1001, 24000)
    (tmp_path / "frame10.png").write_bytes((tmp_path / "frame2.png").read_bytes())
    assert open_clip(tmp_path).digest() != clip.digest


def test_what_is_read_has_a_digest(tmp_path):
    first = open_clip(write_film(tmp_path / "a.mp4", moving(2)))
    again = open_clip(write_film(tmp_path / "b.mp4", moving(2)))
    other = open_clip(write_film(tmp_path / "c.mp4", moving(3)))
    assert first.digest() == again.digest() != other.digest()


# ---- What is refused ---------------------------------------------------------------------


def test_what_is_no_film_is_refused_in_one_line(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no film at all " * 200)
    assert "cannot read" in refusal_of(open_clip, tmp_path / "a.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert "cannot read" in refusal_of(open_clip, tmp_path / "empty.mp4")
    assert "not found" in refusal_of(open_clip, tmp_path / "missing.mp4")
    assert "no file is called" in refusal_of(open_clip, str(tmp_path / "*.jpg"))
    assert "from a file" in refusal_of(open_clip, "-")
    assert "an address of the web" in refusal_of(open_clip, "https://example.org/a.mp4")
    (tmp_path / "folder").mkdir()
    assert "no picture in the folder" in refusal_of(open_clip, tmp_path / "folder")


def test_sound_alone_is_refused(tmp_path):
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        stream.layout = "stereo"
        write_sound(container, stream, 3)
    assert "has no video, only audio; give a film" in refusal_of(open_clip, path)


def test_a_film_that_breaks_off_is_refused_before_it_is_painted(tmp_path):
    whole = write_film(tmp_path / "a.mp4", moving(30, 96, 128)).read_bytes()
    damaged = bytearray(whole)
    first = whole.index(b"mdat") + 2000
    last = whole.index(b"moov") - 500
    damaged[first:last] = b"\xff" * (last - first)
    (tmp_path / "b.mp4").write_bytes(damaged)
    message = refusal_of(lambda: survey(open_clip(tmp_path / "b.mp4")))
    assert "b.mp4 is broken behind frame" in message
    (tmp_path / "c.mp4").write_bytes(whole[: len(whole) // 2])  # its index was at the end
    assert "cannot read" in refusal_of(open_clip, tmp_path / "c.mp4")


def test_a_rate_is_for_pictures_only(tmp_path):
    path = write_film(tmp_path / "a.mp4", moving(2))
    assert "says its own" in refusal_of(open_clip, path, Fraction(30))


@pytest.mark.parametrize("rate", ["1e9999999999", "1E3", math.inf, math.nan, "", "-1", 0, "3/0"])
def test_what_is_no_rate_is_refused_at_once(rate):
    assert "give frames a second, such as 25" in refusal_of(_rate, rate)


@pytest.mark.parametrize(("name", "called"), [("av", "PyAV"), ("cv2", "OpenCV")])
def test_without_the_extra_it_says_how_to_install_it(monkeypatch, name, called):
    monkeypatch.setitem(sys.modules, name, None)
    message = refusal_of(extra.pyav if name == "av" else extra.opencv)
    assert f"films need {called}" in message
    assert message.endswith(f"`{installing('video')}` brings it.")
