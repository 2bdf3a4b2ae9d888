"""In what tiles, and with what history, a run fits into the memory there is; whether it does."""

from bisect import bisect_right

from nst.errors import NstError
from nst.memory import format_bytes
from nst.run.estimate import Estimate, Work
from nst.vgg.architecture import SMALLEST_SIDE

PATIENCE = 1.25  # times the fewest pixels seen: what more pairs of L-BFGS are worth
HISTORIES = (10, 5, 2)  # pairs that L-BFGS may keep at the least, each two images


def fit(work: Work, budget: float) -> Estimate:
    """Return how to do ``work`` within ``budget`` bytes.

    As a whole if that fits; else in the largest tiles that do.  L-BFGS gives up some of its
    pairs where larger tiles save time; that is judged by pixels, so that no clock has a part
    in the picture.  Raises NstError with the size that would fit.
    """
    sides = range(work.smallest, work.longest, 16)
    found: list[tuple[int | None, int]] = []
    for pairs in [work.pairs, *(n for n in HISTORIES if n < work.pairs)]:
        fitting: list[int | None] = [None]
        if work.peak(None, pairs) > budget:  # the peak grows with the side
            count = bisect_right(sides, budget, key=lambda side: work.peak(side, pairs))
            fitting = list(sides[:count][-1:])
        found += [(side, pairs) for side in fitting]
    if not found:
        raise too_large(work, budget)
    least_seen = min(work.seen(side) for side, _ in found)
    side, pairs = next(how for how in found if work.seen(how[0]) <= PATIENCE * least_seen)
    scales = [work.scale(k, side, pairs) for k in range(len(work.sizes))]
    return Estimate(scales, side, pairs, budget)


def least(work: Work) -> float:
    """Return the bytes without which there is no way to do ``work``."""
    return work.peak(work.smallest, min(work.pairs, HISTORIES[-1]))


def too_large(work: Work, budget: float) -> NstError:
    """Return the line that says so, with a size that would fit if there is one."""
    height, width, _ = work.sizes[-1]
    longer = max(height, width)
    smaller = range(-(-SMALLEST_SIDE * longer // min(height, width)), longer, 16)
    count = bisect_right(smaller, budget, key=lambda side: least(work.at_size(side)))
    advice = f"use --size {smaller[count - 1]} or less, or more" if count else "use more"
    return NstError(
        f"painting {width} x {height} pixels takes {format_bytes(least(work))} of memory or more, "
        f"and there is {format_bytes(budget)} for it; {advice} --memory."
    )
