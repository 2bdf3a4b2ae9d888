"""When a scale is done: after its steps, or when they have ceased to bring anything."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import TypeVar

Listed = TypeVar("Listed")

WINDOW = 20  # steps that have to bring something


def is_over(
    history: Sequence[dict[str, float]],
    number: int,
    steps: int,
    until: float,
    window: int = WINDOW,
) -> bool:
    """Return whether scale ``number``, which counts from 1, has no step to come.

    It has had its ``steps``, or a later scale has begun, or it is `settled`; the history alone
    decides, so a run that goes on from a checkpoint ends where it would have.
    """
    last = history[-1]["scale"] if history else 0
    begun = bisect_left(history, number, key=_scale_of)
    made = bisect_right(history, number, key=_scale_of) - begun
    return made >= steps or last > number or (last == number and settled(history, until, window))


def settled(history: Sequence[dict[str, float]], until: float, window: int = WINDOW) -> bool:
    """Return whether the last steps, a ``window``, brought the loss down by too little.

    That is by less than ``until`` percent, from the lowest loss in as many before them to the
    lowest in them, so no single trial decides; both are of one scale.  With 0 it is never so.
    """
    seen = history[-2 * window :]
    if not until or len(seen) < 2 * window or seen[0]["scale"] != seen[-1]["scale"]:
        return False
    totals = [entry["total"] for entry in seen]
    before, after = min(totals[:window]), min(totals[window:])
    return before - after < until / 100 * abs(before)


def last_begun(history: Sequence[Mapping[str, float]], scales: Sequence[Listed]) -> Listed:
    """Return the scale of the last step that was made: the first, if there is none."""
    number = int(history[-1].get("scale", 1)) if history else 1
    return scales[min(max(number, 1), len(scales)) - 1]


def _scale_of(entry: dict[str, float]) -> int:
    return int(entry["scale"])
