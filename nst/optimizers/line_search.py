"""How far to go along a direction: the line search of L-BFGS, one evaluation at a time."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

MOST_TRIALS = 12  # evaluations in one line search


class Trial(NamedTuple):
    """A step along the search direction, the loss there and the slope along the direction."""

    step: float
    loss: float
    slope: float


class LineSearch:
    """Finds a step with enough descent and a small enough slope: the strong Wolfe conditions.

        loss(step) <= loss(0) + C1 * step * slope(0)    and    |slope(step)| <= C2 * |slope(0)|

    Nocedal and Wright (2006), Algorithms 3.5 and 3.6 in one: `low` is the best trial so far,
    and a good step lies between `low` and `high`; until a `high` is found the step grows.  Call
    `advance` with the loss and slope at `trial` until `done`.
    """

    C1, C2 = 1e-4, 0.9

    def __init__(self, loss: float, slope: float) -> None:
        self.zero = self.low = Trial(0.0, loss, slope)
        self.high: Trial | None = None
        self.trial = 1.0  # the step to evaluate next
        self.trials = 0
        self.accepted = False

    def open(self, slope: float) -> None:
        """Take in the slope at zero, where it was not known when the search began."""
        self.zero = self.low = self.zero._replace(slope=slope)

    def state(self) -> dict[str, Any]:
        """Return all of it as numbers and lists of numbers."""
        ends = {"zero": self.zero, "low": self.low, "high": self.high}
        return {
            **{name: None if end is None else [*map(float, end)] for name, end in ends.items()},
            "trial": self.trial,
            "trials": self.trials,
            "accepted": self.accepted,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "LineSearch":
        """Return the search that ``state`` was taken of."""
        search = cls(0.0, 0.0)
        search.zero, search.low = Trial(*state["zero"]), Trial(*state["low"])
        search.high = None if state["high"] is None else Trial(*state["high"])
        search.trial, search.trials = state["trial"], state["trials"]
        search.accepted = state["accepted"]
        return search

    @property
    def done(self) -> bool:
        return self.accepted or self.trials >= MOST_TRIALS

    def advance(self, loss: float, slope: float) -> None:
        """Take in the evaluation at `trial`; choose the next trial, or accept this one."""
        here = Trial(self.trial, loss, slope)
        self.trials += 1
        enough = self.zero.loss + self.C1 * here.step * self.zero.slope
        if not loss <= enough or loss >= self.low.loss:  # too far (or not a number)
            self.high = here
        elif abs(slope) <= self.C2 * abs(self.zero.slope):
            self.accepted = True
            return
        else:
            onward = 1.0 if self.high is None else self.high.step - self.low.step
            if slope * onward >= 0:  # uphill from here to high: the minimum was passed
                self.high = self.low
            self.low = here
        self.trial = 4 * here.step if self.high is None else self._between(self.low, self.high)

    @staticmethod
    def _between(low: Trial, high: Trial) -> float:
        """Return the minimum of the cubic through both ends (eq. 3.59), kept off the ends."""
        width = high.step - low.step
        fraction = 0.5
        if np.isfinite(high.loss) and np.isfinite(high.slope):
            d1 = low.slope + high.slope - 3 * (high.loss - low.loss) / width
            square = d1 * d1 - low.slope * high.slope
            if square >= 0:
                d2 = np.copysign(np.sqrt(square), width)
                bottom = high.slope - low.slope + 2 * d2
                if bottom:
                    fraction = 1 - (high.slope + d2 - d1) / bottom
        return low.step + min(max(fraction, 0.1), 0.9) * width
