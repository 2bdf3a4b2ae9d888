"""A picture that the studio paints, or has painted, and what the page is told of it."""

from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Literal

from nst.run.records import Progress
from nst.settings import Settings
from nst.show.command import command_of
from nst.studio.wish import Wish

Status = Literal["waiting", "preparing", "painting", "paused", "done", "stopped", "failed"]
LIVE = ("waiting", "preparing", "painting", "paused")


@dataclass(frozen=True)
class Knobs:
    """How a piece is painted: the knobs, and the settings that they mean."""

    wish: Wish
    settings: Settings | None


@dataclass
class Piece:
    """One painting.  Only the painter's thread changes it, and what turns its knobs."""

    id: str
    wish: Wish
    output: Path
    status: Status = "waiting"
    at_first: float = inf  # steps after which it pauses
    settings: Settings | None = None  # of the run that paints it now
    asked: Knobs | None = None  # that were turned, and are taken before the next step
    before: Knobs | None = None  # of the run before this one, when a knob was turned
    lines: list[str] = field(default_factory=list)  # the estimate's
    error: str = ""  # what ended it, or refused the last change
    step: int = 0  # over all its runs
    behind: int = 0  # steps of the runs before this one: before a knob was turned
    ahead: int = 0  # the last step of this run, counted likewise
    done: float = 0.0  # share of this run
    seconds: float = 0.0  # of this run, without its pauses
    waited: float = 0.0  # seconds in which this run was paused
    size: tuple[int, int] = (0, 0)  # width, height at present
    history: list[dict[str, float]] = field(default_factory=list)  # losses, an entry a step
    turns: list[int] = field(default_factory=list)  # steps after which a knob was turned
    picture: bytes = b""  # JPEG
    version: int = 0  # of it; 0: there is none
    fetched: int = 0  # the version that a page has last taken

    @property
    def live(self) -> bool:
        """Whether it is being painted, or will be."""
        return self.status in LIVE

    @property
    def wanted(self) -> bool:
        """Whether a page has the newest picture, and so may have another."""
        return self.fetched == self.version

    def took(self, progress: Progress) -> None:
        """Count a step."""
        self.step = self.behind + progress.step
        self.ahead = self.behind + progress.steps
        if progress.step == 1:  # its seconds begin here
            self.waited = 0.0
        self.done, self.seconds = progress.done, progress.seconds - self.waited
        self.size = progress.scale.width, progress.scale.height
        self.history.append({"step": self.step, **progress.losses})

    def show(self, picture: bytes) -> None:
        """Have another picture to show."""
        self.picture, self.version = picture, self.version + 1

    def take_back(self) -> None:
        """Be painted as before the last turn, where no step was made since."""
        if self.before is not None and self.step == self.behind:
            self.wish, self.settings = self.before.wish, self.before.settings
            self.turns.pop()

    def told(self) -> dict[str, Any]:
        """Return what the page shows of it: the knobs as they were turned last."""
        knobs = self.asked or Knobs(self.wish, self.settings)
        left = self.seconds * (1 - self.done) / self.done if self.done else None
        return {
            "id": self.id,
            "name": self.output.name,
            "wish": vars(knobs.wish),
            "status": self.status,
            "live": self.live,
            "step": self.step,
            "steps": self.ahead,
            "done": self.done,
            "left": left,
            "size": self.size,
            "picture": self.version,
            "turns": self.turns,
            "lines": self.lines,
            "error": self.error,
            "command": command_of(knobs.settings, where=True) if knobs.settings else "",
        }
