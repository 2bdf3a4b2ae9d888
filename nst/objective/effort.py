"""How much work a picture is worth: one word, for those who do not want to count steps."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """What a word means where size, steps or until are not given themselves."""

    share: float  # of the recipe's steps
    ends: bool  # when they bring no more, as the recipe says; else all of them are made
    size: int | None = None  # pixels, the longer side; None: the recipe's

    def steps(self, usual: int | tuple[int, ...]) -> int | tuple[int, ...]:
        """Return the share of a recipe's ``usual`` steps, of each number at least one.

        Examples
        --------
        >>> EFFORTS["draft"].steps((120, 40, 2))
        (12, 4, 1)
        """
        if isinstance(usual, tuple):
            return tuple(max(1, round(self.share * number)) for number in usual)
        return max(1, round(self.share * usual))


EFFORTS = {
    "draft": Effort(0.1, True, 256),
    "normal": Effort(1.0, True),
    "best": Effort(2.0, False),
}


def draft_side() -> int:
    """Return the longer side of a draft in pixels."""
    return EFFORTS["draft"].size or 0
