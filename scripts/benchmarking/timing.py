"""Contenders take turns in one process, so that whatever else the machine does meets them all."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Protocol

PHASES = ("forward", "losses", "backward", "optimizer")


class Clock:
    """Adds up seconds by phase.  ``synchronize`` waits for the device before a lap ends."""

    def __init__(self, synchronize: Callable[[], None]) -> None:
        self.synchronize = synchronize
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.last = time.perf_counter()

    def lap(self, phase: str) -> None:
        """Count the time since the last lap as ``phase``."""
        self.synchronize()
        now = time.perf_counter()
        self.seconds[phase] += now - self.last
        self.last = now


class Contender(Protocol):
    """What takes part: a step is one loss-and-gradient and one move of the image."""

    def step(self, clock: Clock) -> float: ...

    def synchronize(self) -> None: ...


def take_turns(
    contenders: Mapping[str, Contender], repeats: int, warm_up: int = 2
) -> dict[str, dict[str, float]]:
    """Return for each contender the median seconds of each phase and of their sum, ``total``.

    The first ``warm_up`` rounds are not counted: buffers are made and code is compiled in them.
    """
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for turn in range(warm_up + repeats):
        for name, contender in contenders.items():
            clock = Clock(contender.synchronize)
            contender.step(clock)
            if turn >= warm_up:
                total = sum(clock.seconds.values())
                rounds[name].append(clock.seconds | {"total": total})
    return {
        name: {phase: median(r[phase] for r in laps) for phase in (*PHASES, "total")}
        for name, laps in rounds.items()
    }
