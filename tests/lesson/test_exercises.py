"""Exercises: which answer is right is computed, and is the one that follows from the formulas."""

from dataclasses import replace

import numpy as np
import pytest

from nst.errors import NstError
from nst.lesson.answers import Answers
from nst.lesson.exercises import EXERCISES
from nst.lesson.figures import FIGURES
from nst.lesson.pieces import Table

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


# ---- Other pictures, of which another answer is right -----------------------------------------


def grey(subject):
    """Return the subject with its photograph in shades of grey."""
    shades = subject.photograph.mean(axis=0, keepdims=True).repeat(3, axis=0)
    return replace(subject, photograph=shades, kept={})


def plain(subject, name, colour):
    """Return the subject with one of its pictures of one colour."""
    colours = np.float32(colour)[:, None, None]
    return replace(subject, **{name: 0 * getattr(subject, name) + colours}, kept={})


def black(subject):
    return plain(subject, "photograph", (0, 0, 0))


def white(subject):
    return plain(subject, "photograph", (1, 1, 1))


def plain_painting(subject):
    return plain(subject, "painting", (0.8, 0.1, 0.1))


def twice(subject):
    return replace(subject, painting=subject.photograph, kept={})


@pytest.mark.parametrize(
    ("key", "pictures", "right", "told"),
    [
        ("negative", grey, "none", "are what they were, as those of grey always are"),
        ("constant", plain_painting, "of the painting", "takes its weight out of the sum"),
        ("constant", twice, "of the painting", "takes its weight out of the sum"),
        ("tiles", white, "add them", "add up to"),
        ("adam", black, "no farther", "only the sign is left"),
        ("adam", white, "no farther", "only the sign is left"),
    ],
)
def test_the_right_answer_is_that_of_the_pictures(subject, key, pictures, right, told):
    exercise = EXERCISES[key]
    number, because = exercise.solve(pictures(subject))
    assert exercise.choices[number] == right
    assert told in because


@pytest.mark.parametrize(
    ("float32", "right", "told", "not_told"),
    [
        ((1e-4, 1e-2, 1.0), 0, "so little does the loss bend", "for the loss bends"),
        ((1e-2, 1e-4, 1.0), 1, "for the loss bends", "so little"),
        ((1e-2, 1e-3, 1e-4), 2, "for the loss bends", "agree in nearly all their digits"),
        ((9.0, 0.5, 1.0), None, "nothing to predict", "the loss bends"),
    ],
)
def test_what_is_said_of_the_best_nudge_fits_the_table(
    subject, monkeypatch, float32, right, told, not_told
):
    from nst.lesson import slope

    rows = [
        (name, one, one) for name, one in zip(("1e-01", "1e-03", "1e-06"), float32, strict=True)
    ]
    table = Table(("nudge", "float32", "float64"), rows)
    monkeypatch.setattr(slope, "digits", lambda subject: {"table": table})
    found, because = EXERCISES["nudge"].solve(subject)
    assert found == right
    assert told in because
    assert not_told not in because


def test_the_sums_of_tiles_are_of_a_channel_that_fires(subject):
    _, because = EXERCISES["tiles"].solve(white(subject))
    assert "add up to 0," not in because


@pytest.mark.parametrize("key", ["direction", "nudge", "wish", "adam", "counted"])
def test_of_one_picture_twice_there_is_nothing_to_predict(subject, key):
    answers = Answers(twice(subject))
    for choice in range(len(EXERCISES[key].choices)):
        verdict = answers.exercise({"exercise": key, "choice": choice})
        assert verdict["right"] is None
        assert verdict["because"].startswith("There is nothing to predict here")


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
