"""What memory there is, what a run may use of it, and what it did use."""

import math
import os
import re
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from nst import machine
from nst.devices import Device
from nst.errors import NstError
from nst.values import shown

SHARE = 0.8  # of what is free, where the user names no budget
MOST = 2.0**62  # bytes: more is as good
LEAST = 1_000_000  # bytes: with a number below, the unit was forgotten
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
SAMPLE_SECONDS = 0.002
PASSING = 2**24  # bytes of a file that are in memory while it is read or written


def parse(text: str) -> int | None:
    """Return the bytes that a text means; None for "auto", and NstError for any other text.

    >>> parse("1.5 GB"), parse("800MB"), parse("auto")
    (1500000000, 800000000, None)
    """
    if text == "auto":
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?", text.strip().upper())
    if not found or not 0 < float(found[1]) < float("inf"):
        raise NstError(f"--memory is {shown(text)}; give auto, or an amount such as 4GB or 800MB.")
    amount = min(float(found[1]) * UNITS[found[2]], MOST)
    if not found[2] and amount < LEAST:
        raise NstError(
            f"--memory is {shown(text)}, which is {found[1]} bytes; give its unit too, such as "
            f"{found[1]}GB."
        )
    return int(amount)


def format_bytes(amount: float) -> str:
    """Return bytes with their unit.

    >>> [format_bytes(amount) for amount in (850e6, 1.42e9, 12e9)]
    ['850 MB', '1.4 GB', '12 GB']
    """
    if amount < 999.5e6:
        return f"{amount / 1e6:.0f} MB"
    return f"{amount / 1e9:.1f} GB" if amount < 9.95e9 else f"{amount / 1e9:.0f} GB"


def ran_out(error: BaseException) -> bool:
    """Return whether ``error`` says that memory ran out: Python, ONNX Runtime or protobuf."""
    if isinstance(error, MemoryError):
        return True
    said, who = str(error), type(error).__module__
    if not (who.startswith(("onnxruntime", "google.")) or "onnxruntime" in said):
        return False
    words = "bad_alloc|bad allocation|[Ff]ailed to allocate memory|Arena alloc failed|code: 12\\b"
    return re.search(words, said) is not None


# --- What there is --------------------------------------------------------------------


def used(device: Device) -> int:
    """Return the bytes that this process holds in main memory; on a GPU, that everyone does."""
    if device.name == "cuda":
        free, total = device.xp.cuda.runtime.memGetInfo()
        return total - free
    import psutil

    return psutil.Process().memory_info().rss


def free(device: Device) -> int:
    """Return the bytes that can still be had on ``device``, this process' limits included."""
    if device.name == "cuda":
        return device.xp.cuda.runtime.memGetInfo()[0]
    import psutil

    return min([psutil.virtual_memory().available, *machine.memory_left()])


def room(device: Device, budget: str = "auto") -> float:
    """Return the bytes that may still be taken on ``device`` within a budget; see `parse`."""
    most = parse(budget)
    return SHARE * free(device) if most is None else most - used(device)


def highest() -> int:
    """Return the most bytes that this process has held; 0 where nobody keeps count.

    Since its start, or on Linux since the last `Peak` began.  There the system's other count,
    ru_maxrss, begins with what the process had that started this one.
    """
    status = Path("/proc/self/status")
    if status.is_file() and (found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        return 1024 * int(found[1])
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def trim(device: Device) -> None:
    """Hand what was freed on ``device`` to the machine; glibc and CuPy's pool would keep it."""
    if device.name == "cuda":
        device.xp.get_default_memory_pool().free_all_blocks()
        return
    import ctypes

    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


class Peak:
    """The most memory in use on ``device`` while a block ran, beyond that at its start: ``bytes``.

    What was freed before, and is kept for the next who asks, is handed back first: what is made
    in it would not be seen.  Linux keeps count of a process' own memory; elsewhere, and on a GPU,
    it is looked up every 2 ms, which may miss a short peak on a busy machine.
    """

    def __init__(self, device: Device) -> None:
        self.bytes = 0
        self._device = device
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Peak":
        trim(self._device)
        self._before = used(self._device)
        if self._device.name != "cpu" or not _forget_highest():
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is None:
            self.bytes = max(0, highest() - self._before)
            return
        self._done.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            self._look()

    def _look(self) -> None:
        self.bytes = max(self.bytes, used(self._device) - self._before)


def _forget_highest() -> bool:
    """Let Linux count the process' highest memory from now on; return whether it does."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # see proc(5)
    except OSError:
        return False
    return True


# --- Arrays that would not fit ---------------------------------------------------------


class FileArray:
    """A float32 array in a temporary file, read and written by slices; the file goes with it.

    Only the slice at hand is ever in memory, and about PASSING bytes of the file: what is mapped
    counts as the process' own, so it is mapped anew for each part that is copied.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._file: Any = tempfile.TemporaryFile(prefix="nst-")
        weakref.finalize(self, self._file.close)
        size = 4 * math.prod(shape)
        try:  # now, and not by a signal when a page of the map finds no room
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, size)
            else:
                self._file.truncate(size)
        except OSError as error:
            raise NstError(
                f"no room for {format_bytes(size)} of features in "
                f"{tempfile.gettempdir()} ({error.strerror}); set TMPDIR to a folder with "
                "room, or use a smaller --size."
            ) from None

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[k] for k in range(self.shape[0]))

    def __getitem__(self, index: Any) -> np.ndarray:
        mapped = self._mapped("r")[index]
        out = np.empty(mapped.shape, np.float32)
        for part in _parts(mapped):
            out[part] = self._mapped("r")[index][part]
        return out

    def __setitem__(self, index: Any, values: np.ndarray | float) -> None:
        mapped = self._mapped("r")[index]
        values = np.broadcast_to(values, mapped.shape)
        for part in _parts(mapped):
            self._mapped("r+")[index][part] = values[part]

    def _mapped(self, mode: Any) -> np.ndarray:
        return np.memmap(self._file, np.float32, mode, shape=self.shape)


def _parts(mapped: np.ndarray) -> Iterator[Any]:
    """Yield indices that together are all of ``mapped``, a part of a file, PASSING bytes each.

    What lies between two rows counts: the system maps more of a file than is read.
    """
    if mapped.ndim == 0 or len(mapped) * mapped.strides[0] <= PASSING:
        yield ...
        return
    count = max(1, PASSING // mapped.strides[0])
    for first in range(0, len(mapped), count):
        yield slice(first, first + count)
