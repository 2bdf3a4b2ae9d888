"""What a person sees: lines, warnings and progress.  The only file that prints.

All that is printed goes through `printable`: names and texts of files do not speak to a terminal.
"""

import os
import sys
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from nst.errors import printable
from nst.values import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nst.many.batch import Standing
    from nst.run.records import Progress

LINES_EVERY = 5.0  # seconds: of progress where nothing but lines can be shown


class _Lines:
    """Progress into a file or a pipe: plain lines, one every few seconds, and the last."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._said = time.monotonic()

    def show(self, share: float, text: str) -> None:
        now = time.monotonic()
        if not self._quiet and (share >= 1 or now - self._said >= LINES_EVERY):
            self._said = now
            say(f"{share:4.0%}  {text}")


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _tqdm(notebook: bool = False) -> Any:
    """Return tqdm, imported where no TQDM_NCOLS=abc can hurt: it reads its environment then.

    For a ``notebook`` it is the bar of widgets where there are such.
    """
    theirs = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("TQDM_")}
    try:
        if notebook:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that there are no widgets
                from tqdm.auto import tqdm
        else:
            from tqdm import tqdm
    finally:
        os.environ.update(theirs)
    return tqdm


class ProgressBar:
    """A tqdm bar whose length is work, not steps: a step at full size takes longest.

    Where it was ``asked`` for, it is one in any case: in a notebook, of widgets.  Otherwise there
    are lines where nobody could see a bar.
    """

    _times = "{elapsed}, {remaining} left  "
    _full_without_a_step = False

    def __init__(self, quiet: bool, asked: bool = False) -> None:
        self._lines = None if asked or _is_terminal() else _Lines(quiet)
        length = "{bar}" if asked else "{bar:20}"  # a notebook has its own
        self._bar = _tqdm(asked)(
            total=1.0,
            disable=quiet or self._lines is not None,
            bar_format="{percentage:3.0f}% |" + length + f"| {self._times}{{desc}}",
            mininterval=0.2,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # A run that ended before its last step is at its end
        if kind is None and (self._bar.n or self._full_without_a_step):
            self._bar.update(1 - self._bar.n)
        self._bar.close()

    def show(self, progress: "Progress") -> None:
        """Show the step that was just done."""
        sums = {"content": 0.0, "style": 0.0, "edges": 0.0, "smoothness": 0.0, "temporal": 0.0}
        for name, value in progress.losses.items():
            if name != "total":
                sums[name.split()[0]] += value
        listed = "  ".join(f"{kind} {value:.3g}" for kind, value in sums.items() if value)
        text = f"{progress.scale.longer} px, step {progress.step}/{progress.steps}  {listed}"
        if self._lines is not None:
            left = progress.seconds * (1 / progress.done - 1) if progress.done else 0.0
            times = f"{format_seconds(progress.seconds)}, {format_seconds(left)} left"
            self._lines.show(progress.done, f"{times}  {text}")
            return
        self._bar.set_description_str(text, refresh=False)
        self._bar.update(progress.done - self._bar.n)


class BatchBar(ProgressBar):
    """A bar over the pictures of a batch, with the time that is left by their estimates."""

    _times = "{elapsed}  "
    _full_without_a_step = True  # where all was there already

    def show_standing(self, standing: "Standing") -> None:
        """Show the step that was just done, of one of the pictures."""
        progress = standing.progress
        text = (
            f"{format_seconds(standing.left)} left  {standing.what} {standing.picture}/"
            f"{standing.pictures}, {standing.title}"
        )
        if progress is not None:
            text += f", step {progress.step}/{progress.steps}"
        if self._lines is not None:
            self._lines.show(standing.done, f"{text}")
            return
        self._bar.set_description_str(printable(text), refresh=False)
        self._bar.update(standing.done - self._bar.n)

    def clear(self) -> None:
        """Make room for a line that is printed."""
        self._bar.clear()


@contextmanager
def shown(
    on_progress: "Callable[[Any], object] | None", asked: bool, several: bool = False
) -> "Iterator[Callable[[Any], Any] | None]":
    """Yield what to call after a step: ``on_progress``, and where ``asked`` a bar before it.

    It is called with a Progress; of ``several`` pictures, with a Standing.
    """
    if not asked:
        yield on_progress
        return
    with (BatchBar if several else ProgressBar)(quiet=False, asked=True) as bar:
        show: Callable[[Any], None] = bar.show_standing if isinstance(bar, BatchBar) else bar.show

        def after_step(made: Any) -> object:
            show(made)
            return None if on_progress is None else on_progress(made)

        yield after_step


class DownloadBar:
    """A tqdm bar of bytes, which appears with the first of them."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._lines = None if _is_terminal() else _Lines(quiet)
        self._bar: Any = None

    def __enter__(self) -> "DownloadBar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, host: str, here: int, total: int) -> None:
        """Show how many bytes have come from a host, of the total."""
        if self._lines is not None:
            self._lines.show(here / total if total else 0.0, f"of {total / 1e6:.0f} MB  {host}")
            return
        if self._bar is None:
            self._bar = _tqdm()(
                disable=self._quiet,
                unit="B",
                unit_scale=True,
                bar_format="{percentage:3.0f}% |{bar:20}| {n_fmt}/{total_fmt}  {rate_fmt}  {desc}",
                mininterval=0.2,
                initial=here,
                total=total,
            )
        self._bar.total = total
        self._bar.set_description_str(host, refresh=False)
        self._bar.update(here - self._bar.n)


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as one line of ours: what ``warnings.showwarning`` becomes."""
    say("nst: warning:", message)


def say(*parts: object) -> None:
    """Print one line for the reader of errors."""
    print(*map(printable, parts), file=sys.stderr)


def tell(*lines: object) -> None:
    """Print what was asked for, a line each."""
    print(*map(printable, lines), sep="\n", flush=True)
