"""How long a batch has still to go: by the estimates, and how true they have been so far."""

from dataclasses import dataclass


@dataclass
class Pace:
    """The time of pictures, as it was estimated and as it was; in seconds."""

    estimated: float = 0.0  # of the pictures that are done
    taken: float = 0.0
    pictures: int = 0

    def add(self, estimated: float | None, taken: float) -> None:
        """Count a picture that is done; one without an estimate for what it has taken."""
        self.estimated += taken if estimated is None else estimated
        self.taken += taken
        self.pictures += 1

    def left(self, estimated: float | None, share: float, taken: float, pictures: int) -> float:
        """Return the time to the end: of the rest of one picture, and of so many ``pictures``.

        Those behind it are taken for the mean of what was estimated so far.

        Parameters
        ----------
        estimated : float or None
            Of the one as a whole; None where it goes on, for then it was not estimated: what it
            has taken so far says it.
        share : float
            How much of it is done, from 0 to 1.
        taken : float
            What it has taken so far, also before it was stopped.
        pictures : int
            How many are behind it.
        """
        if estimated is None:
            estimated = taken / share if share > 0 else 0.0
        foreseen = self.estimated + share * estimated
        ratio = (self.taken + taken) / foreseen if foreseen > 0 and share > 0 else 1.0
        mean = (self.estimated + estimated) / (self.pictures + 1)
        return ratio * ((1 - share) * estimated + pictures * mean)
