"""Many pictures, one after the other: what is there is skipped, what fails is told."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nst import demo, devices, files, memory, terminal
from nst.errors import NstError, readable, with_notes
from nst.files import PathLike
from nst.many import jobs as listed
from nst.many.jobs import Job
from nst.many.journal import Journal, Record
from nst.many.pace import Pace
from nst.many.photographs import find
from nst.many.picture import begun, is_refusal, losses_of
from nst.options import check_options
from nst.pictures import reading
from nst.run import marks
from nst.run.inputs import Inputs, override
from nst.run.plan import Plan
from nst.run.records import Progress
from nst.run.shared import Shared
from nst.run.state import State
from nst.settings import Painting, Settings, paintings_of
from nst.signals import held
from nst.stylize import Result, complete
from nst.values import check_functions

NOT_HERE = ("content", *listed.OF_ONE_PICTURE)


class Painter(Protocol):
    """What paints one picture from its state to its end: `stylize.complete`, or one around it."""

    def __call__(
        self, inputs: Inputs, plan: Plan, state: State, on_progress: Callable[[Progress], None]
    ) -> Result:
        """Paint, save and return the result."""


@dataclass(frozen=True)
class Standing:
    """Where a batch is after a step of one of its pictures."""

    picture: int  # counts from 1, of those that are to be painted
    pictures: int
    title: str  # of this picture
    progress: Progress | None  # None: a worker has painted it to its end
    left: float  # seconds to the end of the batch
    what: str = "picture"  # or frame, of a film

    @property
    def done(self) -> float:
        """The share of the work, 0 .. 1, every picture counted alike."""
        share = 1.0 if self.progress is None else self.progress.done
        return (self.picture - 1 + share) / self.pictures


class PictureCrew(Protocol):
    """What paints several pictures at once, elsewhere: see cluster/pictures.py."""

    def painted(
        self, jobs: Sequence[Job], batch: "Batch"
    ) -> Iterator[tuple[Record, Exception | None]]:
        """Yield what becomes of each picture, as it is done, and the error that ended it."""


def batch(
    photographs: PathLike | Sequence[PathLike],
    styles: PathLike | Painting | Iterable[PathLike | Painting],
    folder: PathLike,
    *,
    pairs: PathLike | None = None,
    recursive: bool = False,
    kind: str = "png",
    on_record: Callable[[Record], None] | None = None,
    on_progress: Callable[[Standing], None] | None = None,
    progress: bool = False,
    paint: Painter = complete,
    workers: int | None = None,
    scheduler: str | None = None,
    shared_folder: bool = False,
    **options: Any,
) -> list[Record]:
    """Paint each of the ``photographs`` in each of the ``styles``; or the pairs of a list.

    The results are ``folder/photograph-style.png``, and ``folder/batch.jsonl`` says what became of
    each.  A result that is there already, painted to its end with the same settings from the same
    inputs, is skipped; a run that was stopped, and has left a checkpoint, goes on.  A picture that
    fails does not stop the others.  The network is opened once, and a painting is measured once
    for each size.

    Parameters
    ----------
    photographs : path, or sequence of path
        Files, folders and globs.
    styles : path, Painting, or iterable of these
        One or more; or none, with ``pairs``.
    folder : path
        Of the results; it is made where it is missing.
    pairs : path, optional
        A CSV file with lines of photograph, style and perhaps the result's name.
    recursive : bool
        Look into folders in folders too; the results are in folders of the same names.
    kind : "png", "jpg", "webp", "tiff" or "avif"
        Of the results.
    on_record : function of a Record, optional
        Called when a picture was painted or skipped, or failed.
    on_progress : function of a Standing, optional
        Called after every step.
    progress : bool
        Show a bar, in a notebook or a terminal.
    paint : Painter
        What paints one picture: ``stylize.complete``; of pictures that are painted here.
    workers, scheduler : int, str, optional
        So many processes on this machine paint at once, or the workers of the Dask scheduler at
        this address, each one picture at a time.
    shared_folder : bool
        Workers read and write the files themselves, by the same paths as here.
    options
        Further `Settings`, such as ``size``, the same for all.

    Returns
    -------
    records : list of Record
        One a picture, in their order: ``status`` is painted, skipped or failed.

    Raises
    ------
    NstError
        For settings that no picture could have, for photographs that are not there, for no
        photograph at all, and where ``folder`` cannot be written.
    ConnectionError
        Where the scheduler is gone; what was painted until then is there.
    KeyboardInterrupt
        The picture that was being painted is saved, as `stylize` does.
    """
    place = Path(folder)
    check_functions(on_record=on_record, on_progress=on_progress)
    check_options(options, batch, NOT_HERE, "a batch")
    if kind not in listed.KINDS:
        raise NstError(f"--format is {kind!r}; choose {', '.join(listed.KINDS)}.")
    paintings = list(paintings_of(styles)) if styles else []
    if isinstance(photographs, str | os.PathLike):
        photographs = [photographs]
    unreadable: list[tuple[Path, NstError]] = []
    if pairs is not None:
        if photographs or paintings:
            raise NstError("--pairs names photographs and styles; give it alone.")
        jobs = listed.read_list(Path(pairs), place, kind)
    else:
        if not photographs:
            raise NstError("there is no photograph to paint; name files, folders, or --pairs.")
        if not paintings:
            raise NstError("there is no style; name one or more with --style, or give --pairs.")
        found = find(photographs, place, recursive)
        unreadable = found.unreadable
        jobs = listed.each_in_each(found.photographs, paintings, place, kind)
    shared = Shared()
    _refuse_standard_input(paintings, options)
    _refuse_for_all(place, shared, options)
    if shared_folder and scheduler is None:
        raise NstError("--shared is for the workers of a --scheduler; give that too.")
    with ExitStack() as stack:
        crew = None
        if workers is not None or scheduler is not None:
            from nst.many.cluster import connection, pictures

            cluster = stack.enter_context(connection.opened(workers, scheduler))
            crew = pictures.Pictures(cluster, shared_folder or scheduler is None)
        files.make_folder(place)
        after_step = stack.enter_context(terminal.shown(on_progress, progress, several=True))
        run = Batch(Journal(place), options, shared, paint, on_record, after_step, crew)
        run.paint_all(jobs, unreadable)
    return run.records


def _refuse_standard_input(paintings: Sequence[Painting], options: dict[str, Any]) -> None:
    """Raise NstError where every picture of a batch would read it: that can be done once."""
    read = [file for painting in paintings for file in painting.files]
    if reading.STDIN in map(str, [*read, options.get("init")]):
        raise NstError("a batch reads files, not standard input; save what comes, and name that.")


def _refuse_for_all(folder: Path, shared: Shared, options: dict[str, Any]) -> None:
    """Raise NstError for what no picture of a batch could have, before the first."""
    some = demo.style_path(next(iter(demo.STYLES)))
    settings = Settings(some, (Painting(some),), folder / f"picture.{listed.KINDS[0]}", **options)
    devices.pick(settings.device)
    shared.network(settings, override(settings))


class Batch:
    """The pictures of one batch, and what became of them so far."""

    def __init__(
        self,
        journal: Journal,
        options: dict[str, Any],
        shared: Shared,
        paint: Painter,
        on_record: Callable[[Record], None] | None,
        on_progress: Callable[[Standing], None] | None,
        crew: PictureCrew | None = None,
    ) -> None:
        self.records: list[Record] = []
        self._journal = journal
        self._options = options
        self._shared = shared
        self._paint = paint
        self._on_record = on_record
        self.on_progress = on_progress
        self._crew = crew
        self._pace = Pace()
        self._sha256: dict[Path, str] = {}  # of paintings and masks, which many pictures share

    def paint_all(self, jobs: Sequence[Job], unreadable: Sequence[tuple[Path, NstError]]) -> None:
        """Skip what is there, paint the rest; a bug is raised when all others are painted."""
        there = [self._is_there(job) for job in jobs]
        left = [job for job, is_there in zip(jobs, there, strict=True) if not is_there]
        self._journal.begin(job.output for job in left)
        for folder, reason in unreadable:
            self.tell(Record(str(folder), [], None, "failed", error=str(reason)))
        for job, is_there in zip(jobs, there, strict=True):
            if is_there:
                known = self._journal.knows(job.output)
                self.tell(self.record(job, "skipped"), write=not known)
        bugs: list[Exception] = []
        behind = 0
        try:
            for record, error in self._outcomes(left):
                behind += 1
                self.tell(record)
                if error is not None and not is_refusal(error):
                    bugs.append(error)
        except (KeyboardInterrupt, ConnectionError) as stop:
            count = len(left) - behind
            stop.add_note(f"{count} of {len(jobs)} are left: the same command goes on.")
            raise
        order = {str(job.output): number for number, job in enumerate(jobs)}
        self.records.sort(key=lambda record: order.get(str(record.output), -1))
        if bugs:
            raise bugs[0]

    def _outcomes(self, left: Sequence[Job]) -> Iterator[tuple[Record, Exception | None]]:
        """Yield what becomes of each picture, as it is done, and the error that ended it."""
        if self._crew is not None:
            yield from self._crew.painted(left, self)
            return
        for number, job in enumerate(left):
            began = time.perf_counter()
            try:
                yield self._one(job, number, len(left), began), None
            except Exception as error:
                yield self.failed(job, error, time.perf_counter() - began), error
            except KeyboardInterrupt as interrupt:
                said = " ".join(getattr(interrupt, "__notes__", [])) or None
                stopped = self.record(job, "stopped", time.perf_counter() - began, None, said)
                with suppress(NstError):
                    self._journal.add(stopped)
                raise

    def tell(self, record: Record, write: bool = True) -> None:
        """Take down what became of a picture."""
        try:
            with held():
                self.records.append(record)
                if write:
                    self._journal.add(record)
        finally:  # also where the disk does not take it
            if self._on_record is not None:
                self._on_record(record)

    def _one(self, job: Job, number: int, pictures: int, began: float) -> Record:
        """Paint one picture, or go on with it, and return its record."""
        refuse_foreign(job)
        inputs, planned, state = begun(self.settings_of(job), self._shared, self.mark)
        estimate = None if planned.estimate is None else planned.estimate.seconds
        before = state.history[-1]["seconds"] if state.history else 0.0  # it was stopped

        def after_step(progress: Progress) -> None:
            if self.on_progress is not None:
                behind = pictures - number - 1
                left = self._pace.left(estimate, progress.done, progress.seconds, behind)
                self.on_progress(Standing(number + 1, pictures, job.title, progress, left))

        try:
            result = self._paint(inputs, planned, state, after_step)
        finally:
            self._shared.release()
        seconds = time.perf_counter() - began
        self._pace.add(estimate, before + seconds)
        return self.record(job, "painted", seconds, losses_of(result.history))

    def settings_of(self, job: Job) -> Settings:
        """Return what the picture of a job is painted with."""
        style = job.style if isinstance(job.style, Painting) else Painting(job.style)
        return Settings(job.content, (style,), job.output, **self._options)

    def _is_there(self, job: Job) -> bool:
        """Return whether the picture is painted; what cannot be told now will be told later."""
        if not marks.is_ours(job.output):
            return False
        try:
            return marks.is_finished(job.output, self.mark(self.settings_of(job)))
        except (NstError, OSError, MemoryError):
            return False

    def mark(self, settings: Settings) -> str:
        """Return the mark that the picture of these ``settings`` would carry."""
        read = {}
        for path in settings.inputs:
            sha256 = self._sha256.get(path)
            if sha256 is None:
                sha256 = reading.read(path, settings.memory).sha256
            if path != settings.content:
                self._sha256[path] = sha256
            read[str(path)] = sha256
        network = self._shared.network(settings, override(settings))
        return marks.mark_of(settings, read, network.sha256)

    def failed(self, job: Job, error: Exception, seconds: float = 0.0) -> Record:
        """Return what is taken down of a picture that an ``error`` ended."""
        said = "memory ran out" if memory.ran_out(error) else str(error) or repr(error)
        if not is_refusal(error):
            said = f"a bug of nst: {error!r}"
        line = with_notes(error, readable(said))
        return self.record(job, "failed", seconds, None, line)

    def record(
        self,
        job: Job,
        status: Any,
        seconds: float = 0.0,
        losses: dict[str, float] | None = None,
        error: str | None = None,
    ) -> Record:
        """Return what became of a job's picture."""
        style = [demo.name_of(job.style_path) or str(job.style_path)]
        output = str(job.output)
        return Record(str(job.content), style, output, status, round(seconds, 3), losses, error)


def refuse_foreign(job: Job) -> None:
    """Raise NstError where the picture of another program would be overwritten."""
    if os.path.lexists(job.output) and not marks.is_ours(job.output):
        raise NstError(
            f"{job.output} is there, and nst did not paint it: move it away, or choose "
            "another folder."
        )
