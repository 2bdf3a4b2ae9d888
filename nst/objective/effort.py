"""How much work a picture is worth: one word, for those who do not want to count steps."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """What a word means where size, steps or until are not given themselves."""

    times: float = 1.0  # the recipe's steps
    most: int | None = None  # steps, over all scales or at each, as the recipe counts them
    ends: bool = True  # when steps bring no more, as the recipe says; else all are made
    size: int | None = None  # pixels, the longer side; None: the recipe's

    def steps(self, usual: int | tuple[int, ...]) -> int | tuple[int, ...]:
        """Return the steps in place of a recipe's ``usual`` ones.

        Examples
        --------
        >>> EFFORTS["draft"].steps((120, 40, 2)), EFFORTS["best"].steps(500)
        ((16, 16, 2), 1000)
        """
        if isinstance(usual, tuple):
            return tuple(map(self._count, usual))
        return self._count(usual)

    def _count(self, usual: int) -> int:
        steps = round(self.times * usual)
        return steps if self.most is None else min(steps, self.most)


EFFORTS = {
    "draft": Effort(most=16, size=256),
    "normal": Effort(),
    "best": Effort(times=2.0, ends=False),
}


def draft_side() -> int:
    """Return the longer side of a draft in pixels."""
    return EFFORTS["draft"].size or 0
