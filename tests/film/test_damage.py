"""Films that were cut off, or lack packets: they are painted, and it is said what they lack."""

import warnings
from itertools import pairwise

import av
import numpy as np
import pytest
from film_files import moving, write_film
from film_files import sound_packets as heard

from nst.errors import NstWarning
from nst.film import damage
from nst.film.clip import open_clip
from nst.film.scenes import survey
from nst.pictures import images


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    return write_film(folder / "a.mkv", moving(30, 96, 128), rate=24, sound=40)


def said_of(path):
    """Return the warnings of a film."""
    clip = open_clip(path)
    surveyed = survey(clip)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NstWarning)
        damage.warn_of(clip, surveyed)
    return [str(one.message).removeprefix(f"{path} is damaged: ") for one in caught]


def copied(source, target, without=(), sound=True, **options):
    """Copy the packets of a film, but for those pictures ``without``."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        kept = [s for s in old.streams if sound or s.type == "video"]
        streams = {s.index: new.add_stream_from_template(s) for s in kept}
        number = -1
        for packet in old.demux(kept):
            number += packet.stream.type == "video"
            if packet.size and not (packet.stream.type == "video" and number in without):
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    return target


@pytest.mark.parametrize("name", ["a.mkv", "b.mp4", "b.ts", "silent.mkv"])
def test_nothing_is_said_of_a_sound_film(film, tmp_path, name):
    path = film if name == "a.mkv" else copied(film, tmp_path / name, sound="silent" not in name)
    assert said_of(path) == []


def test_nor_of_one_whose_sound_is_longer_nor_of_frames_of_uneven_length(tmp_path):
    path = write_film(tmp_path / "a.mkv", moving(4), rate=24, sound=200)
    assert sum(duration for _, duration, _ in heard(path)) > 4
    assert said_of(path) == []
    uneven = write_film(tmp_path / "b.mp4", moving(5), rate=25, pts=[0, 1, 5, 6, 20])
    assert said_of(uneven) == []


def test_nor_of_a_gif_and_of_pictures(tmp_path):
    first, *rest = (images.as_pil(frame) for frame in moving(3))
    times = [100, 900, 200]
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest, duration=times)
    assert said_of(tmp_path / "a.gif") == []
    first.save(tmp_path / "1.png")
    assert said_of(tmp_path) == []


@pytest.mark.parametrize("sound", [True, False])
def test_a_film_that_was_cut_off_is_said_to_be(film, tmp_path, sound):
    data = copied(film, tmp_path / "whole.mkv", sound=sound).read_bytes()
    (tmp_path / "b.mkv").write_bytes(data[: len(data) * 3 // 4])
    (line,) = said_of(tmp_path / "b.mkv")
    assert line.startswith("it ends after 0.")
    assert line.endswith(" of 1.2 s; what is there is painted")
    fast = copied(film, tmp_path / "fast.mp4", sound=sound, movflags="faststart").read_bytes()
    assert fast.index(b"moov") < fast.index(b"mdat")
    (tmp_path / "b.mp4").write_bytes(fast[: len(fast) * 3 // 4])
    assert said_of(tmp_path / "b.mp4")[0].startswith("it ends after 0.")


def test_frames_that_are_not_whole_are_told(film, tmp_path):
    data = bytearray(copied(film, tmp_path / "whole.ts").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    (tmp_path / "b.ts").write_bytes(data)
    assert any("frames in it are not whole" in line for line in said_of(tmp_path / "b.ts"))


def test_a_gap_is_told(film, tmp_path):
    silent = copied(film, tmp_path / "b.mkv", sound=False)
    with av.open(str(silent)) as container:
        shown = [packet.pts for packet in container.demux(video=0) if packet.size]
    lost = next(n for n, pts in enumerate(shown) if pts == sorted(shown)[7])
    path = copied(silent, tmp_path / "c.mkv", without={lost})
    surveyed = survey(open_clip(path))
    lengths = [b - a for a, b in pairwise(surveyed.pts)]
    assert int(np.argmax(lengths)) == 6
    assert said_of(path) == ["frames are missing behind frame 7; what is there is painted"]
