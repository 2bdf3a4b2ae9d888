"""How long a reader of the lesson waits: each figure asked anew, by what its controls can be.

Beside the seconds on the wall stand the processor's: on a machine that does other things too, the
first say little, and the sum of both cores' is what an answer takes at the most on a quiet one.
"""

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from nst.lesson import subject
from nst.lesson.answers import Answers
from nst.lesson.exercises import EXERCISES
from nst.lesson.figures import FIGURES, Choice, Figure

SIZES = (64, 128, 160)


@dataclass(frozen=True)
class Waited:
    """Seconds for the answers to several questions of one kind."""

    name: str
    wall: list[float]
    processor: list[float]

    @property
    def row(self) -> list[str]:
        """Milliseconds: medians, the least on the wall, the most of the processor."""
        numbers = median(self.wall), min(self.wall), median(self.processor), max(self.processor)
        return [self.name, *(f"{1000 * seconds:.0f}" for seconds in numbers)]


def questions(figure: Figure, count: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield what a reader may choose; steps are walked one by one, as the page does it."""
    walked = any(getattr(control, "steps", False) for control in figure.controls)
    for number in range(count):
        given = figure.opening
        for control in figure.controls:
            if getattr(control, "steps", False):
                given[control.name] = number + 1
            elif isinstance(control, Choice):
                given[control.name] = control.value if walked else rng.choice(control.options)
            else:
                given[control.name] = rng.randint(control.low, control.high)
        yield given


def wait(size: int, repeats: int, rng: random.Random) -> Iterator[Waited]:
    """Yield what each figure and all exercises take, on the demo's pictures of that size."""
    answers = Answers(subject.read(None, "swirl", size))
    answers.warm()

    def timed(name: str, asked: list[tuple[Any, dict[str, Any]]]) -> Waited:
        wall, processor = [], []
        for ask, question in asked:
            began = time.perf_counter(), time.process_time()
            json.dumps(ask(question))
            wall.append(time.perf_counter() - began[0])
            processor.append(time.process_time() - began[1])
        return Waited(name, wall, processor)

    for name, figure in FIGURES.items():
        given = questions(figure, repeats, rng)
        yield timed(name, [(answers.figure, {"figure": name, "given": g}) for g in given])
    checked = [(answers.exercise, {"exercise": key, "choice": 0}) for key in EXERCISES]
    yield timed("exercises", checked * 2)
