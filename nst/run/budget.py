"""In what tiles, and with what history, a run fits into the memory there is; whether it does."""

from bisect import bisect_right
from collections.abc import Sequence

from nst.errors import NstError
from nst.memory import format_bytes
from nst.run.estimate import Estimate, Work
from nst.vgg.architecture import SMALLEST_SIDE

PATIENCE = 1.25  # times the fewest pixels seen: what more pairs of L-BFGS are worth
HISTORIES = (10, 5, 2)  # pairs that L-BFGS may keep at the least, each two images


def fit(work: Work, budget: float, *after: Work) -> Estimate:
    """Return how to do ``work``, and what comes ``after`` it, within ``budget`` bytes.

    As a whole if that fits; else in the largest tiles that do, the same for all.  L-BFGS gives up
    some of its pairs where larger tiles save time; that is judged by pixels, so that no clock has
    a part in the picture.  Raises NstError with the size that would fit.
    """
    works = work, *after
    sides = range(_smallest(works), max(one.longest for one in works), 16)

    def peak(side: int | None, pairs: int) -> float:
        return max(one.peak(side, pairs) for one in works)

    def seen(side: int | None) -> float:
        return sum(one.seen(side) for one in works)

    found: list[tuple[int | None, int]] = []
    for pairs in [work.pairs, *(n for n in HISTORIES if n < work.pairs)]:
        fitting: list[int | None] = [None]
        if peak(None, pairs) > budget:  # the peak grows with the side
            count = bisect_right(sides, budget, key=lambda side: peak(side, pairs))
            fitting = list(sides[:count][-1:])
        found += [(side, pairs) for side in fitting]
    if not found:
        raise too_large(work, budget, *after)
    least_seen = min(seen(side) for side, _ in found)
    side, pairs = next(how for how in found if seen(how[0]) <= PATIENCE * least_seen)
    scales = [one.scale(k, side, pairs) for one in works for k in range(len(one.sizes))]
    return Estimate(scales, side, pairs, budget)


def least(*works: Work) -> float:
    """Return the bytes without which there is no way to do ``works``, one after the other."""
    side, pairs = _smallest(works), min(works[0].pairs, HISTORIES[-1])
    return max(work.peak(side, pairs) for work in works)


def _smallest(works: Sequence[Work]) -> int:
    return max(work.smallest for work in works)


def too_large(work: Work, budget: float, *after: Work) -> NstError:
    """Return the line that says so, with a size that would fit if there is one."""
    works = work, *after
    height, width, _ = work.sizes[-1]
    longer = max(height, width)
    smaller = range(-(-SMALLEST_SIDE * longer // min(height, width)), longer, 16)

    def needed(side: int) -> float:
        return least(*(one.at_size(side) for one in works))

    count = bisect_right(smaller, budget, key=needed)
    advice = f"use --size {smaller[count - 1]} or less, or more" if count else "use more"
    takes = format_bytes(least(*works))
    return NstError(
        f"painting {width} x {height} pixels takes {takes} of memory or more, "
        f"and there is {format_bytes(budget)} for it; {advice} --memory."
    )
