"""A film is written: frame by frame into parts, and at its end these and the sound into one file.

A part holds some frames of one scene, encoded as the result is, and begins anew.  So a run that
was stopped has them, no picture is kept beside them, and at the end packets are copied.  A GIF's
parts are without loss, as its colours are chosen at the end.
"""

import heapq
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import numpy as np
import PIL.Image

from nst import files
from nst.errors import NstError, brief
from nst.film import extra
from nst.film.clip import Clip, Colours, Film
from nst.film.scenes import Survey
from nst.pictures import images
from nst.run import marks

PART = 24  # frames of a part, at most
T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """How a film is encoded."""

    format: str  # as FFmpeg calls the container
    codec: str
    pixels: str  # as FFmpeg calls what a codec takes
    options: tuple[tuple[str, str], ...] = ()


# Without frames that refer to later ones, so that each packet is one frame, in their order.
_H264 = "libx264", "yuv420p", (("crf", "16"), ("bf", "0"), ("preset", "medium"))
_VP9 = (
    *("libvpx-vp9", "yuv420p"),
    (("crf", "20"), ("b", "0"), ("auto-alt-ref", "0"), ("lag-in-frames", "0"), ("cpu-used", "3")),
)
KINDS = {
    ".mp4": Kind("mp4", *_H264),
    ".m4v": Kind("mp4", *_H264),
    ".mov": Kind("mov", *_H264),
    ".mkv": Kind("matroska", *_H264),
    ".webm": Kind("webm", *_VP9),
    ".gif": Kind("gif", "ffv1", "bgr0"),
}


def kind_of(output: Path) -> Kind | None:
    """Return how a film of this name is encoded; None for a folder of pictures.

    Raises NstError for a name that says neither.
    """
    suffix = output.suffix.lower()
    if output.is_dir() or not suffix:
        return None
    if suffix not in KINDS:
        raise NstError(
            f"cannot write {output}: its name ends in {suffix!r}; end it in {', '.join(KINDS)}, "
            "or name a folder for pictures."
        )
    return KINDS[suffix]


def check(output: Path, kind: Kind | None, clip: Clip) -> None:
    """Raise NstError if the result could not be written, before hours are spent on it."""
    if files.resolved(output) in (files.resolved(clip.path), files.resolved(clip.path).parent):
        raise NstError(f"--output would overwrite the film, {clip.name}; give another name.")
    if kind is None:
        files.make_folder(output)
        files.check_writable(output / "000001.png")
        return
    files.check_writable(output)
    with sound_of(clip) as (_, streams):
        held = _container(kind.format)
        for stream in streams if kind.format != "gif" else ():
            name = stream.codec_context.codec.canonical_name
            if name not in held:
                raise NstError(
                    f"the sound of {clip.name} is {name}, which {output.suffix} does not hold; "
                    "end --output in .mkv, which holds it."
                )


def _container(format: str) -> set[str]:
    """Return the names of the codecs that a container of this format holds."""
    with extra.pyav().open(BytesIO(), "w", format=format) as container:
        return set(container.supported_codecs)


class Sink(Protocol):
    """Where the painted frames of one scene go."""

    done: int  # frames of the scene that are there, and need not be painted again

    def write(self, number: int, image: np.ndarray) -> None:
        """Take frame ``number`` of the film, (3, H, W)."""

    def close(self) -> None:
        """Let all be there that was taken."""


class Pictures:
    """The frames as pictures in a folder, 000001.png and so on."""

    def __init__(self, folder: Path, start: int, stop: int, mark: str) -> None:
        self._folder, self._start, self._mark = folder, start, mark
        self.done = 0
        while start + self.done < stop and marks.is_of(self._name(start + self.done), mark):
            self.done += 1

    def _name(self, number: int) -> Path:
        return self._folder / f"{number + 1:06d}.png"

    def write(self, number: int, image: np.ndarray) -> None:
        """See `Sink`."""
        path = self._name(number)
        if os.path.lexists(path) and not marks.is_ours(path):
            raise NstError(
                f"{path} is there, and nst did not paint it: move it away, or choose another "
                "folder."
            )
        images.save(path, image, None, {marks.KEYWORD: self._mark})
        self.done = number + 1 - self._start

    def close(self) -> None:
        """See `Sink`."""


class Parts:
    """The frames of one scene, encoded in parts of at most PART frames in a folder."""

    def __init__(self, folder: Path, start: int, kind: Kind, clip: Clip) -> None:
        self._folder, self._start, self._kind, self._clip = folder, start, kind, clip
        self._container: Any = None
        self._stream: Any = None
        self._begun = self._taken = 0
        self.done = _frames_in(parts_in(folder))

    def write(self, number: int, image: np.ndarray) -> None:
        """See `Sink`."""
        levels = (
            _even(images.as_uint8(image)) if self._kind.codec != "ffv1" else images.as_uint8(image)
        )
        if self._container is None:
            self._open(*levels.shape[:2])
        frame = _encodable(levels, self._kind.pixels, self._clip.colours)
        frame.pts, frame.time_base = self._taken, 1 / self._clip.rate
        self._container.mux(self._stream.encode(frame))
        self._taken += 1
        if self._taken == PART:
            self.close()

    def close(self) -> None:
        """See `Sink`."""
        if self._container is None:
            return
        self._container.mux(self._stream.encode(None))
        self._container.close()
        path = self._folder / f"part-{self._begun:08d}-{self._taken:04d}.mkv"
        os.replace(self._unfinished, path)
        self._container = None
        self.done = self._begun + self._taken

    @property
    def _unfinished(self) -> Path:
        return self._folder / "unfinished.mkv"

    def _open(self, height: int, width: int) -> None:
        self._begun, self._taken = self.done, 0
        self._container = extra.pyav().open(str(self._unfinished), "w", format="matroska")
        rate, kind = self._clip.rate, self._kind
        stream = self._container.add_stream(kind.codec, rate=rate, options=dict(kind.options))
        stream.width, stream.height, stream.pix_fmt = width, height, kind.pixels
        context, colours = stream.codec_context, self._clip.colours
        context.thread_count = 1  # the same bits on however many cores
        context.sample_aspect_ratio = self._clip.aspect
        if kind.pixels.startswith("yuv"):
            context.colorspace, context.color_range = colours.matrix, colours.range
            context.color_primaries, context.color_trc = colours.primaries, colours.transfer
        self._stream = stream


def parts_in(folder: Path) -> list[Path]:
    """Return the parts in the folder of a scene that follow on each other from its first frame."""
    parts = list[Path]()
    for path in sorted(folder.glob("part-*.mkv")):
        named = re.fullmatch(r"part-(\d{8})-\d{4}", path.stem)
        if named and int(named[1]) == _frames_in(parts):
            parts.append(path)
    return parts


def _frames_in(parts: Sequence[Path]) -> int:
    """Return how many frames are in the parts, by their names."""
    return sum(int(path.stem.rpartition("-")[2]) for path in parts)


_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}  # that FFmpeg's scaler tells apart


def _encodable(levels: np.ndarray, pixels: str, colours: Colours) -> Any:
    """Return (H, W, 3) levels of 8 bits as a frame in the colours of the film."""
    frame = extra.pyav().VideoFrame.from_ndarray(levels, format="rgb24")
    if not pixels.startswith("yuv"):
        return frame.reformat(format=pixels, threads=1)
    return frame.reformat(
        format=pixels,
        dst_colorspace=_MATRICES.get(colours.matrix),
        dst_color_range=colours.range or 1,
        interpolation="BICUBIC",
        threads=1,
    )


def _even(levels: np.ndarray) -> np.ndarray:
    """Return levels (H, W, 3) with an even number of rows and columns, the last ones repeated."""
    rows, columns = (length % 2 for length in levels.shape[:2])
    return np.pad(levels, ((0, rows), (0, columns), (0, 0)), "edge")


# --- One file of all parts ------------------------------------------------------------------


def assemble(output: Path, kind: Kind, clip: Clip, survey: Survey, parts: Sequence[Path]) -> None:
    """Write the film of all ``parts``, which is there whole or not at all, with its sound."""
    with files.replace_atomically(output) as file:
        if kind.format == "gif":
            _write_gif(file, clip, survey, parts)
            return
        exactly = {"fflags": "bitexact"}  # no names by chance, as Matroska has them
        with extra.pyav().open(file, "w", kind.format, container_options=exactly) as container:
            _copy(container, clip, survey, parts)


def _copy(container: Any, clip: Clip, survey: Survey, parts: Sequence[Path]) -> None:
    """Copy all packets, pictures and sound, in the order of their times."""
    with _part(parts[0]) as first, sound_of(clip) as (source, heard):
        shown = container.add_stream_from_template(first.streams.video[0])
        shown.time_base = clip.time_base
        copies = {stream.index: container.add_stream_from_template(stream) for stream in heard}
        pictures = ((packet, shown) for packet in _pictures_of(parts, clip, survey))
        sounds = ((packet, copies[packet.stream.index]) for packet in _sounds_of(source, heard))
        for packet, stream in heapq.merge(pictures, sounds, key=_moment):
            packet.stream = stream
            container.mux(packet)


def _pictures_of(parts: Sequence[Path], clip: Clip, survey: Survey) -> Iterator[Any]:
    """Yield the packets of all parts, each with the time and duration of its frame."""
    for number, packet in enumerate(_all(_packets_of(parts), survey, parts)):
        packet.time_base = clip.time_base
        packet.pts = packet.dts = survey.pts[number]
        packet.duration = survey.durations[number]
        yield packet


def _packets_of(parts: Sequence[Path]) -> Iterator[Any]:
    for path in parts:
        with _part(path) as container:
            yield from (packet for packet in container.demux(video=0) if packet.size)


@contextmanager
def _part(path: Path) -> Iterator[Any]:
    """Yield a part, open, while it is read; NstError where it is damaged."""
    av = extra.pyav()
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise NstError(
            f"{path} is damaged ({brief(error.strerror or error)}); remove {path.parent}, and the "
            "scene is painted anew."
        ) from error
    with container:
        yield container


def _all(found: Iterable[T], survey: Survey, parts: Sequence[Path]) -> Iterator[T]:
    """Yield what was ``found`` in the ``parts``; NstError where it is not one for each frame."""
    number = 0
    for number, one in enumerate(found, start=1):
        if number <= len(survey):
            yield one
    if number != len(survey):
        raise NstError(
            f"the parts hold {number} frames, and the film has {len(survey)}: some were lost, or "
            f"are another film's; remove {parts[0].parents[1]}, and paint again."
        )


def _sounds_of(source: Any, heard: list[Any]) -> Iterator[Any]:
    """Yield the packets of the streams that are ``heard``, in the order of the file."""
    if heard:
        yield from (packet for packet in source.demux(heard) if packet.dts is not None)


def _moment(pair: tuple[Any, Any]) -> Fraction:
    """Return when a packet is decoded, in seconds."""
    moment: Fraction = pair[0].dts * pair[0].time_base
    return moment


@contextmanager
def sound_of(clip: Clip) -> Iterator[tuple[Any, list[Any]]]:
    """Yield the open file of a film and its streams of sound; none of a row of pictures."""
    if not isinstance(clip, Film):
        yield None, []
        return
    with extra.pyav().open(os.path.abspath(clip.path), metadata_errors="replace") as container:
        yield container, list(container.streams.audio)


def _write_gif(file: BinaryIO, clip: Clip, survey: Survey, parts: Sequence[Path]) -> None:
    """Write a GIF, whose colours are chosen for each frame; it has no sound."""
    shown = map(PIL.Image.fromarray, _all(_levels_of(parts), survey, parts))
    first = next(shown)
    hundredths = [round(100 * pts * clip.time_base) for pts in survey.pts]
    ends = [*hundredths[1:], hundredths[-1] + round(100 * survey.durations[-1] * clip.time_base)]
    times = [10 * max(1, end - begin) for begin, end in zip(hundredths, ends, strict=True)]
    first.save(file, "GIF", save_all=True, append_images=shown, duration=times, loop=0)


def _levels_of(parts: Sequence[Path]) -> Iterator[np.ndarray]:
    for path in parts:
        with _part(path) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24", threads=1)
