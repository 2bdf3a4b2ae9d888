"""Exercises: which answer is right is computed, and is the one that follows from the formulas."""

import pytest

from nst.errors import NstError
from nst.lesson.answers import Answers
from nst.lesson.exercises import EXERCISES
from nst.lesson.figures import FIGURES

RIGHT = {  # what must come out, whatever the pictures; of "direction" it depends on them
    "field": "more than twice as many along a side",
    "relu": "0",
    "shuffle": "it stays",
    "shuffle one": "those of row 3 and column 3, but not gram[3, 3]",
    "double": "four times as large",
    "nudge": "one in the middle",
    "wish": "to grow where channel j fires",
    "nowhere": "not at all",
    "adam": "no farther",
    "counted": "plain descent's only",
    "constant": "of neither",
    "negative": "the neighbours only",
    "half": "as many as before",
    "tiles": "add them",
}


@pytest.fixture(scope="module")
def answers(subject):
    return Answers(subject)


@pytest.mark.parametrize("key", EXERCISES)
def test_one_answer_is_right_and_all_others_are_not(answers, key):
    exercise = EXERCISES[key]
    verdicts = [
        answers.exercise({"exercise": key, "choice": choice})
        for choice in range(len(exercise.choices))
    ]
    right = [n for n, verdict in enumerate(verdicts) if verdict["right"]]
    assert len(right) == 1
    if key in RIGHT:
        assert exercise.choices[right[0]] == RIGHT[key]
    assert len({verdict["because"] for verdict in verdicts}) == 1
    assert any(letter.isdigit() for letter in verdicts[0]["because"])


def test_the_direction_is_the_sign_of_the_gradient(answers, subject):
    from nst.lesson import slope

    _, d_image = slope.evaluated(subject, "style", slope.picture(subject))
    falls = d_image[slope.strongest_pixel(d_image)] < 0
    assert answers.exercise({"exercise": "direction", "choice": 0 if falls else 1})["right"]


def test_every_chapter_has_exercises():
    assert {exercise.chapter for exercise in EXERCISES.values()} == set(range(1, 8))
    assert set(EXERCISES) == {*RIGHT, "direction"}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"figure": "entry"},
        {"figure": "no such", "given": {}},
        {"figure": "pixel", "given": {"row": 1}},
        {"figure": "pixel", "given": {"row": 1, "column": "x"}},
        {"figure": "pixel", "given": {"row": -1, "column": 2}},
        {"figure": "pixel", "given": {"row": 1.5, "column": 2}},
        {"figure": "pixel", "given": {"row": True, "column": 2}},
        {"figure": "pixel", "given": {"row": 1, "column": 10**9}},
        {"figure": "hvass", "given": {"picture": "../x"}},
        [],
        None,
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(answers, asked):
    with pytest.raises(NstError) as refused:
        answers.figure(asked)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "asked", [{}, {"exercise": "x", "choice": 0}, {"exercise": "relu", "choice": 9}]
)
def test_a_guess_that_is_none_is_refused(answers, asked):
    with pytest.raises(NstError):
        answers.exercise(asked)


@pytest.mark.parametrize("name", FIGURES)
def test_every_control_may_be_at_either_end(answers, name):
    figure = FIGURES[name]
    for end in (0, -1):
        given = {}
        for control in figure.controls:
            ends = control.options if hasattr(control, "options") else (control.low, control.high)
            given[control.name] = ends[end]
            if getattr(control, "steps", False):
                given[control.name] = 2 if end else 0
        assert answers.figure({"figure": name, "given": given})


@pytest.mark.parametrize("name", FIGURES)
def test_every_recorded_view_can_be_asked(name):
    figure = FIGURES[name]
    for view in figure.views:
        assert {c.name for c in figure.controls} == set(view)
        assert all(control.check(view[control.name]) is None for control in figure.controls)
