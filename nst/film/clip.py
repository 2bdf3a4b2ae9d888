"""What a film is read from: a file with a video stream, a GIF among them, or a row of pictures.

Frames come one at a time, upright, as (3, H, W) float32 RGB in [0, 1], each with the moment at
which the file shows it.  Nothing is kept of those that are gone.
"""

import glob
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from nst.errors import NstError, brief
from nst.film import extra, gif
from nst.many.photographs import ENDINGS
from nst.pictures import decoding, images, reading

LEVELS = np.float32(255)  # of 8 bits: that of white


@dataclass(frozen=True)
class Colours:
    """What a film says of its colours: code points of ITU-T H.273, which the result takes over."""

    matrix: int = 1  # from RGB to luma and chroma
    range: int = 1  # 1: 16 to 235, as television has it; 2: 0 to 255
    primaries: int = 1
    transfer: int = 1


@dataclass(frozen=True)
class Frame:
    """One picture of a film."""

    number: int  # counts from 0
    picture: np.ndarray = field(repr=False)  # (3, H, W), upright
    pts: int  # when it is shown, in the clip's time base
    duration: int  # in the same unit
    damaged: bool = False  # it could not be decoded whole


def open_clip(path: str | os.PathLike[str], rate: Fraction | None = None) -> "Clip":
    """Return the film in a file, or the row of pictures in a folder or of a glob.

    ``rate`` is that of a row of pictures, which does not say it; 25 if not given.

    Raises NstError for what is no film, and for a rate where the film has its own.
    """
    text = os.fspath(path)
    if text == reading.STDIN:
        raise NstError("a film is read from a file, not from standard input; name one.")
    pictures = _row(text)
    if pictures:
        return Row(text, pictures, rate or Fraction(25))
    if rate is not None:
        raise NstError(f"--rate is of a row of pictures; {text} says its own.")
    reading.check(text, "film")
    return Film(Path(text))


def _row(text: str) -> list[Path]:
    """Return the pictures of a folder or of a glob, in the order of their numbers."""
    if os.path.isdir(text):
        names = [Path(text, name) for name in os.listdir(text) if not name.startswith(".")]
        found = [path for path in names if path.suffix.lower() in ENDINGS]
        if not found:
            raise NstError(f"there is no picture in the folder {text}; name a film, or a folder.")
    elif not reading.exists(text) and glob.has_magic(text):
        found = [Path(name) for name in glob.glob(text)]
        if not found:
            raise NstError(f"no file is called {brief(text)}; check the pattern.")
    else:
        return []
    return sorted(found, key=_by_number)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Return a key by which frame10 comes behind frame9."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


@dataclass(frozen=True)
class Row:
    """A row of pictures."""

    name: str  # as messages call it
    pictures: Sequence[Path]
    rate: Fraction  # frames a second
    aspect: Fraction = Fraction(1)  # the width of a pixel over its height
    colours: Colours = Colours()

    @property
    def path(self) -> Path:
        """The first picture."""
        return self.pictures[0]

    @property
    def time_base(self) -> Fraction:
        """The time of one frame."""
        return 1 / self.rate

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Yield the frames from number ``start`` to ``stop``; see `Film.frames`."""
        for number, path in list(enumerate(self.pictures))[start:stop]:
            yield Frame(number, images.load(path), number, 1)

    def digest(self) -> str:
        """Return the SHA-256 of what is read, in hexadecimal."""
        digest = hashlib.sha256()
        for path in self.pictures:
            digest.update(_sha256(path))
        return digest.hexdigest()


class Film:
    """A file with a video stream.

    It has the attributes of a `Row`; its ``rate`` is the mean where frames are not evenly long,
    and ``time_base`` the unit in which the file counts time, in seconds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        with self.opened() as (container, stream):
            single = container.format.name == "image2" or container.format.name.endswith("_pipe")
            context = stream.codec_context
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
            self.time_base = Fraction(stream.time_base)
            self.aspect = Fraction(stream.sample_aspect_ratio or 1)
            self.colours = _colours_of(context)
        first = list(islice(self._decoded(), 2))
        if not first:
            raise NstError(f"{self.name} has no frame; give a film that has.")
        if len(first) == 1 and (single or self._kind() not in (None, "GIF")):
            raise NstError(
                f"{self.name} is a photograph, not a film: `nst stylize` paints it; give a "
                "film, a GIF, or a folder of pictures."
            )
        if _turns(first[0]) % 2:
            self.aspect = 1 / self.aspect

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Yield the frames from number ``start`` to ``stop``; NstError where one is broken."""
        step = round(1 / (self.rate * self.time_base))
        for number, frame in enumerate(self._decoded()):
            if number == stop:
                return
            if number >= start:
                pts = number * step if frame.pts is None else frame.pts
                length = frame.duration or step
                yield Frame(number, _upright(frame), pts, length, frame.is_corrupt)

    def digest(self) -> str:
        """Return the SHA-256 of what is read, in hexadecimal."""
        return _sha256(self.path).hex()

    def _decoded(self) -> Iterator[Any]:
        """Yield the decoded frames as PyAV has them."""
        errors = extra.pyav().error
        with self.opened() as (container, stream):
            stream.thread_type = "AUTO"
            count = 0
            try:
                for frame in container.decode(stream):
                    yield frame
                    count += 1
            except errors.FFmpegError as error:
                raise NstError(
                    f"{self.name} is broken behind frame {count}: {brief(error.strerror)}; mend "
                    "it, or cut it off there."
                ) from error

    def _kind(self) -> str | None:
        """Return which kind of picture the file would be."""
        with self.path.open("rb") as file:
            return decoding.kind_of(file.read(256))

    @contextmanager
    def opened(self) -> Iterator[tuple[Any, Any]]:
        """Yield the open file, as PyAV has it, and its video stream."""
        av = extra.pyav()
        try:
            held = self.path.read_bytes() if self._kind() == "GIF" else None
            container = av.open(  # a playlist may name addresses: nothing but files is read
                os.path.abspath(self.path) if held is None else BytesIO(gif.with_delays(held)),
                metadata_errors="replace",
                container_options={"protocol_whitelist": "file"},
            )
        except (av.error.FFmpegError, OSError) as error:
            raise NstError(
                f"cannot read {self.name}: {brief(error.strerror or error).lower()}; give a film, "
                "such as an .mp4, a GIF, or a folder of pictures."
            ) from error
        with container:
            if not container.streams.video:
                kinds = ", ".join(sorted({stream.type for stream in container.streams}))
                raise NstError(
                    f"{self.name} has no video, only {kinds or 'nothing'}; give a film."
                )
            yield container, container.streams.video[0]


Clip: TypeAlias = Film | Row


def _colours_of(context: Any) -> Colours:
    """Return what a stream says; a film in RGB says nothing of luma, and is taken for BT.709."""
    if context.format is not None and context.format.is_rgb:
        return Colours()
    return Colours(
        int(context.colorspace),
        int(context.color_range),
        int(context.color_primaries),
        int(context.color_trc),
    )


def _upright(frame: Any) -> np.ndarray:
    """Return a decoded frame as (3, H, W), turned as the file says; on white where transparent."""
    alpha = any(component.is_alpha for component in frame.format.components)
    levels = frame.to_ndarray(format="rgba" if alpha else "rgb24", threads=1)
    levels = np.rot90(levels, _turns(frame))
    picture = np.ascontiguousarray(np.moveaxis(levels, -1, 0), np.float32) / LEVELS
    return images.over_white(picture[:3], picture[3]) if alpha else picture


def _turns(frame: Any) -> int:
    """Return by how many quarters a frame is to be turned anticlockwise, as the file says."""
    return round(frame.rotation / 90) % 4


def _sha256(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise NstError(f"cannot read {path}: {error.strerror}; check it.") from error
