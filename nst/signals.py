"""Signals: never in the middle of a step, and never in the middle of saving."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

# What ends a run: Ctrl-C, a system that shuts down, a terminal that closes, Ctrl-\\, and the limit
# of processor time, which a batch system may set.  Windows has the first two.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU")
NUMBERS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A signal came: as on Ctrl-C, the picture so far is saved."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Steps(Protocol):
    """What is done in steps: a `State`, or work of which none is done here."""

    whole: bool  # between two steps


class NoSteps:
    """Work that is not in steps, or that others do: a signal may end it at any moment."""

    whole = True


class Signals:
    """Turns the signals of NAMES into an exception, but never in the middle of a step.

    There the picture, the optimizer and the history do not fit together, and a checkpoint could
    not be saved; it takes milliseconds, and ``check``, called after every step, catches up.  One
    exception is enough: what comes after it changes nothing.  A signal that whoever started this
    process has it ignore, as `nohup` does, stays ignored.  Only Python's main thread can do that;
    in another nothing changes.
    """

    def __init__(self, state: Steps) -> None:
        self._state = state
        self._pending: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        for number in NUMBERS if _in_main_thread() else ():
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise Stopped if a signal has come."""
        if self._pending is not None:
            raise Stopped(self._pending)

    def _handle(self, number: int, _: object) -> None:
        if self._pending is None:
            self._pending = number
            if self._state.whole:
                self.check()


@contextmanager
def held() -> Iterator[None]:
    """Let signals wait for the end of the block: what it saves is saved.

    Then each is raised again, for whoever handles it.  Only Python's main thread can do that; in
    another the block just runs, and no signal interrupts it there.
    """
    came: dict[int, None] = {}
    before = {}
    for number in NUMBERS if _in_main_thread() else ():
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            before[number] = signal.signal(number, lambda n, _: came.setdefault(n))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


@contextmanager
def unheard_by_children() -> Iterator[None]:
    """Let processes that are started in the block, and by its threads, not hear of a terminal.

    Ctrl-C and a terminal that closes go to every process of the terminal, and each would say so.
    This process hears after the block what came meanwhile.  SIGTERM reaches children and ends
    them.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    unheard = {*NUMBERS} - {signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, unheard)
    try:
        resource_tracker.ensure_running()  # a child of Python's own, whose start unblocks SIGINT
        signal.pthread_sigmask(signal.SIG_BLOCK, unheard)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
