"""Processes that run cases, each watched: one that hangs, grows or dies is replaced."""

import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil

from fuzzing.cases import Case, write
from fuzzing.judge import CRASH, HANG, MEMORY, Terminal, Verdict, Watch, judge

LIMIT = 5.0  # seconds of work in one case: a hang
BY_THE_CLOCK = 60.0  # seconds, where the machine is busy or the case sleeps
SLACK = 2  # times the budget: then the process is ended before it harms the machine
LOOK = 0.2  # seconds between two looks at the processes


@dataclass(frozen=True)
class Broken:
    """A case that could not be drawn, and why."""

    text: str


@dataclass(frozen=True)
class Finding:
    """A case by its number, and what came of it."""

    kind: str
    number: int
    what: str
    verdict: Verdict


def case_of(kind: str, seed: int, number: int) -> Case:
    """Return a case: the same for the same three, wherever it is drawn."""
    from fuzzing import kinds

    return kinds.KINDS[kind].draw(random.Random(f"{kind} {seed} {number}"))


def serve(connection: Connection, place: str, kind: str, seed: int, budget: int) -> None:
    """Run the cases whose numbers come in, below ``place``; send back what came of them."""
    folder = Path(place, "here")
    folder.mkdir()
    os.environ["NST_MODELS"] = str(Path(place, "models"))
    sys.path[:0] = [str(Path(__file__).parents[1])]
    from fuzzing import kinds

    terminal, watch = Terminal(Path(place)), Watch()
    standing = kinds.KINDS[kind].standing()
    connection.send(None)
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            number = connection.recv()
            try:
                case = case_of(kind, seed, number)
            except Exception:  # a bug of the fuzzer, not of what it attacks
                connection.send(Broken(f"{kind}:{seed}:{number}\n{traceback.format_exc()}"))
                raise
            write(folder, standing)
            connection.send(case.what)
            verdict = judge(case, folder, terminal, watch, budget)
            connection.send(verdict)
            if verdict.result == MEMORY:
                break


class _Worker:
    """One process, the case that it is at, and since when."""

    def __init__(self, kind: str, seed: int, budget: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._place = tempfile.TemporaryDirectory(prefix="nst-fuzz-", ignore_cleanup_errors=True)
        arguments = (theirs, self._place.name, kind, seed, budget)
        self._process = context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self._kind, self._budget = kind, budget
        self.number: int | None = None
        self.what = ""
        self.ready = False
        self._began, self._worked = 0.0, 0.0

    def give(self, number: int) -> None:
        self.number, self.what = number, ""
        self.connection.send(number)

    def begin(self, what: str) -> None:
        """Take the time from here: the case is drawn."""
        self.what, self._began, self._worked = what, time.monotonic(), self._work()

    def finding(self, verdict: Verdict) -> Finding:
        assert self.number is not None
        found = Finding(self._kind, self.number, self.what, verdict)
        self.number, self.what = None, ""
        return found

    def trouble(self) -> Verdict | None:
        """Return what is wrong with the process while it works, if anything is."""
        if not self.what:
            return None
        seconds, work = time.monotonic() - self._began, self._work() - self._worked
        if (seconds > LIMIT and work > LIMIT) or seconds > BY_THE_CLOCK:
            return Verdict(HANG, self.what, f"{work:.1f} s of work in {seconds:.1f} s")
        with suppress(psutil.Error):
            held = psutil.Process(self._process.pid).memory_info().rss
            if held > SLACK * self._budget:
                return Verdict(MEMORY, self.what, f"ended at {held / 1e6:.0f} MB")
        return None

    def death(self) -> Verdict:
        """Say how the process died."""
        self._process.join(5)
        code = self._process.exitcode or 0
        name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return Verdict(CRASH, f"{name}: {self.what}", f"the process died: {name}")

    def end(self) -> None:
        """Let the process end by itself, if it is not at work; end it otherwise."""
        self.connection.close()
        if self.number is None and not self.what:
            self._process.join(2)
        self._process.kill()
        self._process.join()
        self._place.cleanup()

    def _work(self) -> float:
        with suppress(psutil.Error):
            times = psutil.Process(self._process.pid).cpu_times()
            return times.user + times.system
        return 0.0


def attack(
    kind: str, numbers: Iterable[int], seed: int, processes: int, budget: int
) -> Iterator[Finding]:
    """Run the cases of these ``numbers``, and yield what came of each as it comes."""
    left = iter(numbers)
    workers = [_Worker(kind, seed, budget) for _ in range(processes)]
    try:
        while workers:
            for worker in _ready(workers):
                try:
                    message: Any = worker.connection.recv()
                except (EOFError, OSError):
                    if worker.number is None and not worker.ready:
                        raise RuntimeError(f"the process for {kind} could not start") from None
                    if worker.number is not None:
                        yield worker.finding(worker.death())
                    _replace(workers, worker, _Worker(kind, seed, budget))
                    continue
                if isinstance(message, Broken):
                    raise RuntimeError(f"no case could be drawn: {message.text}")
                if isinstance(message, str):
                    worker.begin(message)
                    continue
                if isinstance(message, Verdict):
                    yield worker.finding(message)
                worker.ready = True
                over = isinstance(message, Verdict) and message.result == MEMORY
                number = None if over else next(left, None)
                if over:
                    _replace(workers, worker, _Worker(kind, seed, budget))
                elif number is None:
                    _replace(workers, worker)
                else:
                    worker.give(number)
            for worker in list(workers):
                if trouble := worker.trouble():
                    yield worker.finding(trouble)
                    _replace(workers, worker, _Worker(kind, seed, budget))
    finally:
        for worker in workers:
            worker.end()


def _ready(workers: list[_Worker]) -> list[_Worker]:
    readable = wait([worker.connection for worker in workers], LOOK)
    return [worker for worker in workers if worker.connection in readable]


def _replace(workers: list[_Worker], old: _Worker, *new: _Worker) -> None:
    old.end()
    workers.remove(old)
    workers.extend(new)
