"""The commands for more pictures than one, and what of them is told to scripts."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst import demo
from nst.arguments import options_of
from nst.errors import with_notes
from nst.many import journal
from nst.many.batch import batch as paint_batch
from nst.many.journal import Record, Status
from nst.many.picture import losses_of
from nst.many.sheet import sheet as paint_sheet
from nst.run.inputs import Inputs
from nst.run.plan import Plan
from nst.run.records import Progress
from nst.run.state import State
from nst.settings import Settings
from nst.show.apart import matplotlib_apart
from nst.signals import Signals
from nst.stylize import Result, complete
from nst.terminal import BatchBar, say, tell


def batch(
    photographs: Sequence[str],
    styles: Sequence[str],
    folder: Path,
    pairs: Path | None,
    as_json: bool,
    quiet: bool,
    workers: int | None = None,
    scheduler: str | None = None,
    shared_folder: bool = False,
    **options: Any,
) -> int:
    """Paint each PHOTO in each style; what is there already is skipped."""
    given = options_of(styles=styles, **options)
    paintings = given.pop("style", ())
    with BatchBar(quiet) as bar, matplotlib_apart():

        def show(record: Record) -> None:
            bar.clear()
            if record.status == "failed":
                said = f"{record.content} in {record.style[0]}" if record.style else record.content
                say(f"nst: {said}: {record.error}")
            if as_json:
                tell(record.as_line())
            elif record.status == "painted" and not quiet:
                tell(record.output)

        records = paint_batch(
            photographs,
            paintings,
            folder,
            pairs=pairs,
            on_record=show,
            on_progress=bar.show_standing,
            paint=heeding_signals,
            workers=workers,
            scheduler=scheduler,
            shared_folder=shared_folder,
            **given,
        )
    counts = Counter(record.status for record in records)
    if not quiet and not as_json:
        found = [f"{counts[status]} {status}" for status in ("painted", "skipped", "failed")]
        tell(f"{', '.join(found)}; see {folder / journal.NAME}")
    return int(counts["failed"] > 0)


def sheet(
    photograph: str, styles: Sequence[str], output: Path, quiet: bool, **options: Any
) -> int:
    """Paint PHOTO small in several styles, on one page to choose by."""
    given = options_of(styles=styles, **options)
    paintings = given.pop("style", ())
    with BatchBar(quiet) as bar, matplotlib_apart():
        paint_sheet(
            photograph,
            paintings,
            output,
            on_progress=bar.show_standing,
            paint=heeding_signals,
            **given,
        )
    if not quiet:
        tell(output)
    return 0


def heeding_signals(
    inputs: Inputs, plan: Plan, state: State, on_progress: Callable[[Progress], None]
) -> Result:
    """Paint as `complete` does; a signal ends the run between two steps."""
    with Signals(state) as signals:

        def after_step(progress: Progress) -> None:
            on_progress(progress)
            signals.check()

        return complete(inputs, plan, state, after_step)


@dataclass
class Told:
    """What is known of a picture that is told as JSON."""

    content: str  # until the settings are known: as it was given
    style: list[str]
    result: Result | None = None  # None: it is not painted

    def take(self, settings: Settings) -> None:
        """Take the photograph and the paintings from the settings, which are known now."""
        self.content = str(settings.content)
        paths = [painting.path for painting in settings.style]
        self.style = [demo.name_of(path) or str(path) for path in paths]


@contextmanager
def told_as_json(
    source: Path | None,
    content: Path | None = None,
    style: str | None = None,
    styles: Sequence[str] = (),
    output: Path = Path("out.png"),
    **_: Any,
) -> Iterator[Told]:
    """Yield what takes the result; print what became of the picture as one line of JSON."""
    began = time.perf_counter()
    told = Told(
        str(source if content is None else content),
        [*([] if style is None else [style]), *styles],
    )
    status: Status = "failed"
    losses, said = None, None
    try:
        yield told
        status = "painted"
        losses = None if told.result is None else losses_of(told.result.history)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            status = "stopped"
        said = with_notes(error)
        raise
    finally:
        seconds = round(time.perf_counter() - began, 3)
        record = Record(told.content, told.style, str(output), status, seconds, losses, said)
        tell(record.as_line())
