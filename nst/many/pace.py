"""How long a batch has still to go: by the estimates, and how true they have been so far."""

from dataclasses import dataclass


@dataclass
class Pace:
    """The time of pictures, as it was estimated and as it was; in seconds."""

    estimated: float = 0.0  # of the pictures that are done
    taken: float = 0.0
    pictures: int = 0

    def add(self, estimated: float, taken: float) -> None:
        """Count a picture that is done."""
        self.estimated += estimated
        self.taken += taken
        self.pictures += 1

    def left(self, estimated: float, share: float, taken: float, pictures: int) -> float:
        """Return the time to the end: of the rest of one picture, and of so many ``pictures``.

        The one is done to a ``share`` from 0 to 1, and was ``estimated`` as a whole.  Those behind
        it are taken for the mean of what was estimated so far.
        """
        foreseen = self.estimated + share * estimated
        ratio = (self.taken + taken) / foreseen if foreseen > 0 and share > 0 else 1.0
        mean = (self.estimated + estimated) / (self.pictures + 1)
        return ratio * ((1 - share) * estimated + pictures * mean)
