"""How many evaluations, and seconds, it takes to bring the loss down."""

import time
from dataclasses import dataclass

from benchmarking.timing import Clock, Contender

SHARES = (0.3, 0.1, 0.05)  # of the first loss


@dataclass(frozen=True)
class Reached:
    """When the loss first was ``share`` of what it was at the start."""

    share: float
    evaluations: int
    seconds: float


def descend(contender: Contender, steps: int) -> list[Reached]:
    """Take up to ``steps`` steps; return what was reached of SHARES, in their order."""
    reached: list[Reached] = []
    start, first = time.perf_counter(), 0.0
    for evaluation in range(1, steps + 1):
        loss = contender.step(Clock(contender.synchronize))
        first = first or loss
        while len(reached) < len(SHARES) and loss <= SHARES[len(reached)] * first:
            seconds = time.perf_counter() - start
            reached.append(Reached(SHARES[len(reached)], evaluation, seconds))
        if len(reached) == len(SHARES):
            break
    return reached
