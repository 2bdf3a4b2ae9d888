"""What a run leaves behind beside its picture: a table of losses, frames, and its progress."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TextIO

import numpy as np
import PIL.Image

from nst import files
from nst.devices import Device
from nst.kernels import Array
from nst.pictures import images
from nst.run import marks
from nst.run.scales import Scale
from nst.run.table import Table
from nst.settings import Settings

NOT_LOSSES = ("step", "scale", "size", "seconds")  # what else an entry of a history has


@dataclass(frozen=True)
class Progress:
    """Where a run is after a step."""

    step: int  # counts from 1, over all scales
    steps: int  # in the whole run
    scale: Scale
    done: float  # 0 .. 1: the share of all work, by pixels
    seconds: float  # since the run began
    losses: dict[str, float]  # "total", and every raw loss, of the image before the step
    image: Array = field(repr=False)  # the best so far, at this scale, on the run's device
    present: Callable[[Array], np.ndarray] = field(repr=False, default=np.asarray)

    def picture(self) -> np.ndarray:
        """Return the picture after this step, in its final colours: (3, H, W) RGB in [0, 1].

        It is of the size of ``scale``.  Ask before the next step: that may go on in ``image``.
        """
        return self.present(self.image)

    def pil(self) -> PIL.Image.Image:
        """Return `picture` as an image of Pillow's, RGB."""
        return images.as_pil(self.picture())

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows."""
        return images.as_png(self.picture())


class Records:
    """The history of one run, its log file and its frames.  A context manager.

    ``history`` is what a run that goes on has behind it, and grows: the log starts with it, and
    seconds count on.  ``present`` brings a frame into its final colours, ``mark`` says in it whose
    it is (see marks.py), ``alpha`` (H, W) is the photograph's opacity, and the frames'.  Every
    line of the log is flushed: a run that is killed leaves what it had.
    """

    def __init__(
        self,
        settings: Settings,
        scales: Sequence[Scale],
        device: Device,
        history: list[dict[str, float]] | None = None,
        present: Callable[[np.ndarray], np.ndarray] | None = None,
        mark: str = "",
        alpha: np.ndarray | None = None,
    ) -> None:
        self.history = [] if history is None else history
        self._settings = settings
        self._scales = scales
        self._device = device
        self._present = present
        self._alpha = alpha
        self._metadata = {marks.KEYWORD: mark} if mark else None
        behind = self.history[-1]["seconds"] if self.history else 0.0
        self._began = time.perf_counter() - behind
        self._made = Counter(int(entry["scale"]) for entry in self.history)
        self._beside = files.Beside()
        self._log: TextIO | None = None
        self._table: Table | None = None
        if settings.log is not None:
            with self._logged():
                files.refuse_what_is_no_file(settings.log)
                self._log = settings.log.open("w", newline="", encoding="utf-8")
                self._table = Table(self._log)
        for entry in self.history:
            self._write(entry)

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, *_: object) -> None:
        if self._log is not None:
            with self._logged():
                self._log.close()

    def add(self, scale: Scale, losses: dict[str, float], image: Array) -> Progress:
        """Record one step at ``scale``, save a frame where one is due, and report."""
        step = len(self.history) + 1
        seconds = time.perf_counter() - self._began
        number = self._scales.index(scale) + 1
        self._made[number] += 1
        entry = {
            "step": step,
            "scale": number,
            "size": scale.longer,
            "seconds": round(seconds, 3),
            **losses,
        }
        self.history.append(entry)
        self._write(entry)
        every = self._settings.save_every
        if every and step % every == 0:
            with self._beside.attempt("frame"):
                frame = self._picture(image)
                alpha = self._alpha
                alpha = None if alpha is None else images.resize(alpha, *frame.shape[1:])
                images.save(self._settings.frame(step), frame, alpha, self._metadata)
        behind = sum(s.work for s in self._scales[: number - 1])  # whole, also if one ended early
        done = behind + self._made[number] * scale.height * scale.width
        work = sum(s.work for s in self._scales)
        steps = sum(s.steps for s in self._scales)
        made = done / work
        return Progress(step, steps, scale, made, seconds, losses, image, self._picture)

    def _picture(self, image: Array) -> np.ndarray:
        """Return an ``image`` of the run in its final colours."""
        painted = self._device.asnumpy(image)
        return painted if self._present is None else self._present(painted)

    def _write(self, entry: dict[str, float]) -> None:
        if self._log is None or self._table is None:
            return
        with self._logged():
            self._table.write(entry)
            self._log.flush()

    @contextmanager
    def _logged(self) -> Iterator[None]:
        """Let the block write to the log; where it cannot, the log ends there."""
        with self._beside.attempt("log"):
            try:
                yield
            except OSError as error:
                log, self._log = self._log, None
                with suppress(OSError):
                    if log is not None:
                        log.close()
                raise files.unwritable(str(self._settings.log), error) from error
