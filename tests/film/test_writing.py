"""Films are written as they were: times, colours, the shape of pixels, packets of sound."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest
from film_files import NTSC, decoded, moving, patches, sound_packets, write_film
from refusals import refusal_of

from nst.film import writing
from nst.film.clip import open_clip
from nst.film.scenes import survey
from nst.film.writing import KINDS, PART, Parts, Pictures, assemble, parts_in
from nst.pictures import images


def rewritten(source, output, frames=None):
    """Read a film, and write its frames, or others in their place, as a run does."""
    clip = open_clip(source)
    found, kind = survey(clip), writing.kind_of(output)
    writing.check(output, kind, clip)
    parts = []
    for scene in found.scenes:
        folder = output.with_name(f"{output.name}-{scene.start}")
        folder.mkdir()
        sink = Parts(folder, scene.start, kind, clip)
        for frame in clip.frames(scene.start, scene.stop):
            picture = frame.picture if frames is None else frames[frame.number]
            sink.write(frame.number, picture)
        sink.close()
        assert sink.done == len(scene)
        parts += parts_in(folder)
    assemble(output, kind, clip, found, parts)
    return output


def difference(path, frames):
    found = decoded(path)
    assert len(found) == len(frames)
    shown = [np.moveaxis(f.to_ndarray(format="rgb24") / 255, -1, 0) for f in found]
    return max(np.abs(a - b).mean() for a, b in zip(shown, frames, strict=True))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".gif"])
def test_a_film_comes_out_as_it_went_in(tmp_path, suffix):
    frames = [*moving(3, seed=1), *moving(4, seed=2)]  # two scenes
    source = write_film(tmp_path / "in.mp4", frames)
    output = rewritten(source, tmp_path / f"out{suffix}")
    assert difference(output, frames) < (0.03 if suffix == ".gif" else 0.02)
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (64, 48)
        times = [frame.pts * stream.time_base for frame in container.decode(stream)]
        if suffix in (".mp4", ".mov"):
            assert stream.average_rate == NTSC  # exactly
            assert times == [n / NTSC for n in range(7)]
        else:  # whose containers count milliseconds, and a GIF hundredths
            unit = Fraction(1, 100 if suffix == ".gif" else 1000)
            assert max(abs(t - n / NTSC) for n, t in enumerate(times)) <= unit
            if suffix != ".gif":
                assert abs(stream.average_rate - NTSC) < Fraction(1, 1000)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_is_copied_packet_by_packet(tmp_path, suffix):
    source = write_film(tmp_path / f"in{suffix}", moving(8), sound=20)
    output = rewritten(source, tmp_path / f"out{suffix}")
    expected, found = sound_packets(source), sound_packets(output)
    assert len(expected) >= 20
    assert [packet for *_, packet in found] == [packet for *_, packet in expected]
    unit = Fraction(1, 1000) if suffix == ".mkv" else 0
    for (time, length, _), (its_time, its_length, _) in zip(expected, found, strict=True):
        assert abs(time - its_time) <= unit
        assert abs(length - its_length) <= unit
    with av.open(str(source)) as a, av.open(str(output)) as b:
        first, second = a.streams.audio[0], b.streams.audio[0]
        assert first.codec_context.name == second.codec_context.name
        assert first.codec_context.extradata == second.codec_context.extradata
        assert first.codec_context.sample_rate == second.codec_context.sample_rate


def test_sound_that_the_result_cannot_hold_is_refused_before_anything_is_painted(tmp_path):
    clip = open_clip(write_film(tmp_path / "in.mp4", moving(2), sound=3))
    message = refusal_of(writing.check, tmp_path / "out.webm", KINDS[".webm"], clip)
    assert "the sound of" in message
    assert "is aac, which .webm does not hold; end --output in .mkv" in message


@pytest.mark.parametrize("colours", [(1, 1, 1, 1), (5, 1, 5, 6), (1, 2, 1, 13), (9, 1, 9, 14)])
def test_colours_are_kept_and_so_is_what_is_said_of_them(tmp_path, colours):
    source = write_film(tmp_path / "in.mp4", [patches()] * 3, colours=colours)
    output = rewritten(source, tmp_path / "out.mp4")
    for frame in decoded(output):
        said = frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc
        assert tuple(map(int, said)) == colours
        shown = np.moveaxis(frame.to_ndarray(format="rgb24") / 255, -1, 0)
        assert np.abs(shown - patches())[:, 8::16, 8::16].max() < 0.03


def test_a_film_that_was_taken_sideways_is_written_upright(tmp_path):
    upright = moving(3)
    stored = [np.rot90(frame, 1, axes=(1, 2)).copy() for frame in upright]
    source = write_film(
        tmp_path / "in.mp4", stored, rotation=-90, aspect=Fraction(4, 3), colours=(1, 1, 1, 1)
    )
    output = rewritten(source, tmp_path / "out.mp4")
    assert {frame.rotation for frame in decoded(output)} == {0}
    assert difference(output, upright) < 0.02
    with av.open(str(output)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(3, 4)


def test_frames_of_uneven_length_keep_their_times(tmp_path):
    source = write_film(tmp_path / "in.mp4", moving(4), rate=25, pts=[0, 1, 5, 6])
    output = rewritten(source, tmp_path / "out.mp4")
    times = [frame.pts * frame.time_base for frame in decoded(output)]
    assert times == [Fraction(n, 25) for n in (0, 1, 5, 6)]


def test_a_gif_keeps_its_times_and_goes_round(tmp_path):
    frames = [PIL.Image.fromarray(images.as_uint8(f)) for f in moving(3)]
    times = [100, 300, 200]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:], duration=times)
    output = rewritten(tmp_path / "in.gif", tmp_path / "out.gif")
    with PIL.Image.open(output) as found:
        assert found.n_frames == 3
        assert found.info["loop"] == 0
        durations = []
        for number in range(3):
            found.seek(number)
            durations.append(found.info["duration"])
    assert durations == times


@pytest.mark.parametrize("size", [(49, 64), (48, 65), (49, 65)])
def test_an_odd_side_gets_one_more_pixel(tmp_path, size):
    frames = moving(2)
    source = write_film(tmp_path / "in.mp4", frames)
    odd = [images.resize(frame, *size) for frame in frames]
    output = rewritten(source, tmp_path / "out.mp4", odd)
    (first, _) = decoded(output)
    assert (first.height, first.width) == tuple(n + n % 2 for n in size)
    shown = np.moveaxis(first.to_ndarray(format="rgb24") / 255, -1, 0)
    assert np.abs(shown[:, : size[0], : size[1]] - odd[0]).mean() < 0.02
    gif = rewritten(source, tmp_path / "out.gif", odd)
    assert decoded(gif)[0].height == size[0]


def test_parts_are_short_and_go_on_from_each_other(tmp_path):
    clip = open_clip(write_film(tmp_path / "in.mp4", moving(2)))
    frames = moving(PART + 3, 32, 32)
    sink = Parts(tmp_path, 0, KINDS[".mp4"], clip)
    for number, frame in enumerate(frames[: PART + 1]):
        sink.write(number, frame)
    assert sink.done == PART
    assert len(parts_in(tmp_path)) == 1
    again = Parts(tmp_path, 0, KINDS[".mp4"], clip)  # a run was killed: the open part is lost
    assert again.done == PART
    for number, frame in enumerate(frames[PART:], PART):
        again.write(number, frame)
    again.close()
    again.close()
    assert again.done == PART + 3
    assert [path.name for path in parts_in(tmp_path)] == [
        f"part-00000000-{PART:04d}.mkv",
        f"part-{PART:08d}-0003.mkv",
    ]


def test_pictures_that_are_there_and_of_this_run_are_done(tmp_path):
    sink = Pictures(tmp_path, 0, 3, "m" * 64)
    for number, frame in enumerate(moving(2)):
        sink.write(number, frame)
    assert sink.done == 2
    assert Pictures(tmp_path, 0, 3, "m" * 64).done == 2
    assert Pictures(tmp_path, 0, 3, "other").done == 0
    assert Pictures(tmp_path, 1, 3, "m" * 64).done == 1
    (tmp_path / "000002.png").write_bytes(b"")
    assert Pictures(tmp_path, 0, 3, "m" * 64).done == 1
    PIL.Image.new("RGB", (4, 4)).save(tmp_path / "000003.png")
    assert "nst did not paint it" in refusal_of(sink.write, 2, moving(1)[0])


def test_names_that_say_no_kind_are_refused(tmp_path):
    assert writing.kind_of(tmp_path / "folder") is None
    assert writing.kind_of(tmp_path) is None
    assert writing.kind_of(tmp_path / "OUT.MP4") == KINDS[".mp4"]
    assert "ends in '.avi'; end it in .mp4" in refusal_of(writing.kind_of, tmp_path / "a.avi")


def test_the_film_itself_is_not_overwritten(tmp_path):
    path = write_film(tmp_path / "a.mp4", moving(2))
    clip = open_clip(path)
    (tmp_path / "link.mp4").symlink_to(path)
    for output in (path, tmp_path / "link.mp4"):
        assert "would overwrite" in refusal_of(writing.check, output, KINDS[".mp4"], clip)
    (tmp_path / "row").mkdir()
    images.save(tmp_path / "row" / "a.png", moving(1)[0])
    row = open_clip(tmp_path / "row")
    assert "would overwrite" in refusal_of(writing.check, tmp_path / "row", None, row)


def test_what_cannot_be_written_is_refused_early(tmp_path):
    clip = open_clip(write_film(tmp_path / "a.mp4", moving(2)))
    missing = tmp_path / "missing" / "out.mp4"
    assert "its folder is not there" in refusal_of(writing.check, missing, KINDS[".mp4"], clip)
    (tmp_path / "file").write_text("")
    folder = Path(tmp_path / "file" / "frames")
    assert "cannot make the folder" in refusal_of(writing.check, folder, None, clip)


def test_lost_parts_are_noticed_and_nothing_is_written(tmp_path):
    frames = [*moving(3, seed=1), *moving(4, seed=2)]
    clip = open_clip(write_film(tmp_path / "in.mp4", frames))
    sink = Parts(tmp_path, 0, KINDS[".mp4"], clip)
    for number, frame in enumerate(frames[:5]):
        sink.write(number, frame)
    sink.close()
    output = tmp_path / "out.mp4"
    how = output, KINDS[".mp4"], clip, survey(clip), parts_in(tmp_path)
    assert "the parts hold 5 frames, and the film has 7" in refusal_of(assemble, *how)
    assert not output.exists()
    assert not list(tmp_path.glob(".nst-*"))
