"""An optimizer on its way, one evaluation a step; what was once painted is remembered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from nst.lesson.subject import Subject
from nst.objective import Objective
from nst.optimizers import Optimizer


@dataclass(frozen=True)
class Frame:
    """Where a race is after so many steps."""

    image: np.ndarray  # (3, H, W), as it was evaluated: of a line search, a trial
    losses: Mapping[str, float]  # of that image: "total", "style relu1_1", ...
    d_image: np.ndarray  # (3, H, W), the gradient there
    moved: np.ndarray  # (3, H, W), what the last step added


@dataclass
class Race:
    """The loop of this program for one size: evaluate, step, repeat."""

    objective: Objective
    optimizer: Optimizer
    trial: np.ndarray  # (3, H, W), moves
    frames: list[Frame] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        subject: Subject,
        name: str,
        objective: Callable[[], Objective],
        optimizer: Callable[[], Optimizer],
        start: np.ndarray,
    ) -> "Race":
        """Return the subject's race of this name, which goes on where it was."""
        return subject.once(("race", name), lambda: cls(objective(), optimizer(), start.copy()))

    def at(self, step: int) -> Frame:
        """Return where it is after ``step`` steps; those that are new are taken now."""
        while len(self.frames) <= step:
            before = self.trial.copy()
            if self.frames:
                last = self.frames[-1]
                loss = np.asarray(last.losses["total"])
                self.optimizer.step(self.trial, loss, last.d_image)
            losses, d_image = self.objective.evaluate(self.trial)
            moved = self.trial - before
            self.frames.append(Frame(self.trial.copy(), losses.floats(), d_image, moved))
        return self.frames[step]

    def totals(self, step: int) -> list[float]:
        """Return the total loss at each step so far."""
        self.at(step)
        return [frame.losses["total"] for frame in self.frames[: step + 1]]


def grey_levels(move: np.ndarray) -> float:
    """Return the typical move of a pixel: the root of the mean square, in grey levels."""
    return 255 * float(np.sqrt(np.mean(move.astype(np.float64) ** 2)))
