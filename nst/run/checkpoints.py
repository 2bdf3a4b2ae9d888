"""A run on the disk: saved while it goes on, and read back to go on where it was.

A checkpoint is one .npz file: the arrays, each with a checksum, and all else as the JSON text
``about``; nothing is pickled.  It appears whole or not at all, and the one before it stays.
"""

import json
import math
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nst import files, schema
from nst.devices import Device
from nst.errors import NstError, brief, warn
from nst.kernels import Array
from nst.run.checkpoint_schema import DEEPEST, MOST_TEXT, TEXT_OF_A_STEP, About
from nst.values import shown
from nst.version import VERSION

FORMAT = 1  # of the file; one of another format is refused
LONG_RUN = 300.0  # seconds: a run that is to take longer is saved without being asked
INTERVAL = 60.0  # seconds of work between two checkpoints, at the least,
LOCK = ".lock"  # in the folder; the system holds it for as long as the run lives
SHARE = 0.02  # and so many more that saving takes no larger share of the time than this


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on: plain numbers, text, and lists and dicts of them; and arrays."""

    settings: dict[str, Any]
    folder: str  # where the relative paths in the settings begin
    inputs: dict[str, str]  # path: sha256 of every file that the run reads
    model: str  # sha256 of the network
    device: str
    scales: list[list[int]]  # height, width, steps of each
    side: int | None  # of the tiles; see Plan
    pairs: int
    history: list[dict[str, float]]  # an entry for every step that was made
    image: Array  # (3, H, W): where the next step starts
    optimizer: dict[str, Any]  # its state
    asking: Array | None = None  # (3, H, W): what asked for the targets of the scale


def save(folder: Path, checkpoint: Checkpoint, device: Device, first: bool = False) -> Path:
    """Write ``checkpoint``, whose arrays are of ``device``, into ``folder``; return the file.

    At most two stay: this one and the one before, which is not touched until this one is whole
    and on the disk.  Of later steps there are only damaged ones, and those of a run that was given
    up.  None but this one stays where it is the ``first`` of a run that began anew: the others
    are another's.  Raises NstError for what the disk refuses.
    """
    path = folder / f"step-{len(checkpoint.history):08d}.npz"
    make_folder(folder)
    others = [other for other in saved(folder) if other != path]
    earlier = [] if first else [other for other in others if other < path]
    for old in [*earlier[:-1], *folder.glob(".nst-*.tmp")]:
        old.unlink()  # the second is what a killed run was writing
    arrays: dict[str, Array] = {}
    values = {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)}
    about = {"format": FORMAT, "nst": VERSION, **_take_out(values, arrays)}
    with files.replace_atomically(path) as file, zipfile.ZipFile(file, "w") as archive:
        _write(archive, "about", np.array(json.dumps(about)))
        for name, array in arrays.items():
            _write(archive, name, device.asnumpy(array))
    for other in others:
        if other not in earlier:
            other.unlink()
    return path


def load(folder: Path) -> Checkpoint:
    """Return the newest checkpoint in ``folder`` that is whole, its arrays in NumPy.

    Warns with NstWarning about a newer one that is damaged.  Raises NstError if there is none,
    or if it is of another format.
    """
    paths = saved(folder)
    if not paths:
        raise NstError(
            f"there is no checkpoint in {folder}; name the folder of a run that was stopped "
            "(a run that ends removes its own)"
        )
    for path in reversed(paths[1:]):
        try:
            return _read(path)
        except _Damaged as error:
            warn(f"{error}; going on from the one before")
    try:
        return _read(paths[0])
    except _Damaged as error:
        raise NstError(f"{error}, and there is no other; start a new run") from error


def placed(value: Any, device: Device) -> Any:
    """Return ``value`` with every array in it placed on ``device``."""
    if isinstance(value, dict):
        return {name: placed(inner, device) for name, inner in value.items()}
    if isinstance(value, list):
        return [placed(inner, device) for inner in value]
    return device.asarray(value) if isinstance(value, np.ndarray) else value


def handed_over(state: dict[str, Any], device: Device) -> dict[str, Any]:
    """Return an optimizer's ``state`` placed on ``device``, its pairs one by one.

    Each is let go here as it is taken there: there are many, each two images.
    """
    pairs = state.get("pairs", [])

    def given() -> Iterator[Any]:
        while pairs:
            yield placed(pairs.pop(0), device)

    others = {name: placed(value, device) for name, value in state.items() if name != "pairs"}
    return others | ({"pairs": given()} if "pairs" in state else {})


def saved(folder: Path) -> list[Path]:
    """Return the checkpoints in ``folder``, oldest first."""
    try:
        return sorted(path for path in folder.glob("step-*.npz") if path.is_file())  # no pipe
    except OSError:  # no folder can have such a name
        return []


def remove(folder: Path) -> None:
    """Remove the checkpoints in ``folder``, and the folder if nothing else is in it."""
    for path in saved(folder):
        path.unlink()
    with suppress(OSError):
        (folder / LOCK).unlink()
    with suppress(OSError):
        folder.rmdir()


def make_folder(folder: Path) -> None:
    """Make ``folder`` where it is missing; raise NstError if no file can be written in it."""
    files.make_folder(folder, "choose another for --checkpoint")
    files.check_writable(folder / "step.npz")


def lock(folder: Path, option: str = "--checkpoint") -> Any:
    """Return a lock on ``folder`` with a method ``release``; None where no file can be written.

    Raises NstError where another run has it; ``option`` is what names another folder.
    """
    try:
        make_folder(folder)
    except (NstError, OSError):  # saving will tell why
        return None
    return files.locked(
        folder / LOCK,
        f"another run is saved in {folder} while it goes on; wait for its end, stop it, or "
        f"give this one another {option}.",
    )


class Keeper:
    """Decides when a run is saved, and saves it in ``folder``; None: nowhere.

    A checkpoint that cannot be written does not stop the run: it warns, once, and tries again when
    the next is due.  As a context manager it keeps other runs out of the folder: NstError says
    that one is at work there.  The system forgets a lock when its process dies, however that dies.
    """

    def __init__(self, folder: Path | None, device: Device, resumed: bool = False) -> None:
        self.folder = folder
        self._first = not resumed
        self._lock: Any = None
        self._device = device
        self._saved = time.monotonic()
        self._wait = INTERVAL
        self._beside = files.Beside()

    def __enter__(self) -> "Keeper":
        if self.folder is not None:
            self._lock = lock(self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            if self.folder is not None and not saved(self.folder):
                remove(self.folder)
            self._lock.release()

    def due(self) -> bool:
        """Return whether to save now."""
        return self.folder is not None and time.monotonic() - self._saved >= self._wait

    def save(self, checkpoint: Checkpoint) -> bool:
        """Save, where there is a folder; return whether it is saved."""
        if self.folder is None:
            return False
        began, saved = time.monotonic(), False
        with self._beside.attempt("checkpoint"):
            save(self.folder, checkpoint, self._device, self._first)
            self._first, saved = False, True
        self._saved = time.monotonic()
        self._wait = max(INTERVAL, (self._saved - began) / SHARE)
        return saved

    def remove(self) -> None:
        """Remove what was saved: the run has ended."""
        if self.folder is not None:
            with suppress(OSError):
                remove(self.folder)


# --- The file ---------------------------------------------------------------------------------


class _Damaged(NstError):
    """A checkpoint that is not what was written."""


def _write(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        np.lib.format.write_array(entry, array, allow_pickle=False)


def _read(path: Path) -> Checkpoint:
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = _sizes(archive, path)
            text = str(_array(archive, "about", sizes))
            steps = int(path.stem.removeprefix("step-"))
            about = schema.parse_json(text, "its text", MOST_TEXT + steps * TEXT_OF_A_STEP)
            version, writer = about.pop("format"), about.pop("nst")
            if version == FORMAT:
                return _put_together(schema.convert(about, About, "its text"), archive, sizes)
    except Exception as error:  # whatever a reader stumbles over in a damaged file
        reason = brief(error) if isinstance(error, NstError) else type(error).__name__
        raise _Damaged(f"the checkpoint {path} is cut short or damaged ({reason})") from error
    raise NstError(
        f"the checkpoint {path} has format {shown(version)}, of nst {brief(writer, 40)}; this is "
        f"nst {VERSION}, which reads format {FORMAT}: go on with the version that wrote it"
    )


def _sizes(archive: zipfile.ZipFile, path: Path) -> dict[str, int]:
    """Return how many bytes each entry has; all of them are in the file, as many as they say.

    So reading them takes no more memory than the file has bytes, whatever it says of shapes.
    """
    entries = archive.infolist()
    sizes = {entry.filename: entry.file_size for entry in entries}
    if len(sizes) < len(entries) or sum(sizes.values()) > path.stat().st_size:
        raise _Damaged("its entries are not as they were written")
    return sizes


def _array(archive: zipfile.ZipFile, name: str, sizes: Mapping[str, int]) -> np.ndarray:
    """Return an array of the archive, after looking whether its shape fits its size."""
    name = f"{name}.npy"
    with archive.open(name) as entry:
        np.lib.format.read_magic(entry)
        shape, _, dtype = np.lib.format.read_array_header_1_0(entry)
        length = sizes[name] - entry.tell()
    if min(shape, default=1) < 1 or math.prod(shape) * dtype.itemsize != length:
        raise _Damaged(f"{name} has the shape {shape} and {length} bytes")
    if dtype.kind not in "fU":
        raise _Damaged(f"{name} is of {dtype}")
    with archive.open(name) as entry:
        return np.lib.format.read_array(entry, allow_pickle=False)


def _put_together(about: About, archive: zipfile.ZipFile, sizes: Mapping[str, int]) -> Checkpoint:
    values = msgspec.structs.asdict(about)
    values["folder"] = str(about.folder)
    values["image"] = _array(archive, about.image.array, sizes)
    if about.asking is not None:
        values["asking"] = _array(archive, about.asking.array, sizes)
    values["optimizer"] = _put_back(about.optimizer, archive, sizes)
    return Checkpoint(**values)


def _take_out(value: Any, arrays: dict[str, Array]) -> Any:
    """Return ``value`` ready for JSON: its arrays are in ``arrays``, and their names in it."""
    if isinstance(value, Mapping):
        return {name: _take_out(inner, arrays) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_take_out(inner, arrays) for inner in value]
    if hasattr(value, "dtype") and value.ndim:
        name = f"array{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    return value


def _put_back(
    value: Any, archive: zipfile.ZipFile, sizes: Mapping[str, int], depth: int = 0
) -> Any:
    """Undo `_take_out`."""
    if depth > DEEPEST:
        raise _Damaged("its optimizer's state is nested too deep")
    if isinstance(value, dict):
        if set(value) == {"array"}:
            return _array(archive, value["array"], sizes)
        return {n: _put_back(inner, archive, sizes, depth + 1) for n, inner in value.items()}
    if isinstance(value, list):
        return [_put_back(inner, archive, sizes, depth + 1) for inner in value]
    return value
