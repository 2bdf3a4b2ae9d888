"""The lesson's figures as they are recorded in a copy that needs no server."""

from typing import Any

from nst.kernels.blocks import blas_on_one_thread
from nst.lesson.answers import Answers
from nst.lesson.exercises import EXERCISES
from nst.lesson.figures import FIGURES


def record(answers: Answers) -> dict[str, Any]:
    """Return the answers to each figure's opening question and views, and to the exercises."""
    figures = {}
    for name, figure in FIGURES.items():
        asked = [figure.opening]
        asked += [dict(view) for view in figure.views if view != figure.opening]
        figures[name] = [
            {"given": given, "answer": answers.figure({"figure": name, "given": given})}
            for given in asked
        ]
    exercises = {}
    for key, exercise in EXERCISES.items():
        with blas_on_one_thread():
            right, because = exercise.solve(answers.subject)
        exercises[key] = {"right": right, "because": because}
    return {"figures": figures, "exercises": exercises}
