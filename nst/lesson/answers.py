"""What the page asks, checked; and what it is told: a figure's answer, an exercise's verdict."""

import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from nst import schema
from nst.errors import NstError
from nst.kernels.blocks import blas_on_one_thread
from nst.lesson import slope
from nst.lesson.exercises import EXERCISES
from nst.lesson.figures import FIGURES
from nst.lesson.pieces import encode
from nst.lesson.subject import Subject


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """What a figure is asked: its name, and a value for each of its controls."""

    figure: str
    given: dict[str, str | int | float]


class Guess(msgspec.Struct, forbid_unknown_fields=True):
    """Which answer to an exercise the reader took."""

    exercise: str
    choice: int


class Answers:
    """Answers one question at a time: a network remembers its last image."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._lock = threading.Lock()

    def figure(self, asked: Any) -> dict[str, Any]:
        """Return a figure's answer as JSON has it; NstError if it cannot be asked that."""
        question: Question = schema.convert(asked, Question, "the question")
        check(question.figure, question.given)
        with self._lock, blas_on_one_thread():
            found: dict[str, Any] = encode(
                FIGURES[question.figure].answer(self.subject, question.given)
            )
        return found

    def exercise(self, asked: Any) -> dict[str, Any]:
        """Return whether a guess is right, or None if there is nothing to predict; and why."""
        guess: Guess = schema.convert(asked, Guess, "the guess")
        if guess.exercise not in EXERCISES:
            raise NstError(f"there is no exercise {guess.exercise!r}; reload the page.")
        exercise = EXERCISES[guess.exercise]
        if not 0 <= guess.choice < len(exercise.choices):
            raise NstError(f"there is no answer {guess.choice}; reload the page.")
        with self._lock, blas_on_one_thread():
            right, because = exercise.solve(self.subject)
        return {"right": None if right is None else guess.choice == right, "because": because}

    def warm(self) -> None:
        """Answer the opening question of every figure: so no reader waits for what is first."""
        for name, figure in FIGURES.items():
            self.figure({"figure": name, "given": figure.opening})
        with self._lock, blas_on_one_thread():
            for loss in slope.LOSSES:
                slope.gradient(self.subject, loss)


def check(name: str, given: Mapping[str, Any]) -> None:
    """Raise NstError unless there is such a figure, and ``given`` is what its controls take."""
    if name not in FIGURES:
        raise NstError(f"there is no figure {name!r}; reload the page.")
    controls = {control.name: control for control in FIGURES[name].controls}
    if given.keys() != controls.keys():
        raise NstError(f"{name} takes {', '.join(controls)}, found {', '.join(given) or 'none'}.")
    for key, value in given.items():
        if wrong := controls[key].check(value):
            raise NstError(f"{wrong}, found {value!r}.")
