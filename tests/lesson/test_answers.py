"""The lesson's server: what it refuses, in one line; and pictures that have little to show."""

import http.client
import json

import numpy as np
import PIL.Image
import pytest
from browsers import served

from nst.errors import NstError
from nst.lesson import commands
from nst.lesson import subject as subjects
from nst.lesson.answers import Answers
from nst.lesson.exercises import EXERCISES
from nst.lesson.figures import FIGURES

PIXEL = '{"figure": "pixel", "given": {"row": %s, "column": 2}}'
NUDGE = (
    '{"figure": "nudge", "given": '
    '{"loss": "style", "row": 1, "column": 1, "colour": "red", "nudge": %s}}'
)
STEP = '{"figure": "step", "given": {"optimizer": "adam", "step": %s}}'
REFUSED = [  # (path, body)
    *(("figure", body) for body in ("", "{", "null", "[]", "NaN", "x" * 20_000, "[" * 4000)),
    *(
        ("figure", PIXEL % row)
        for row in ("-1", "160", "1e400", "NaN", "1.5", "true", "null", '"1"', "[]", "9" * 5000)
    ),
    *(("figure", NUDGE % nudge) for nudge in ("NaN", "-0.1", "1e-300", "1e9")),
    *(("figure", STEP % step) for step in ("-1", "61", "1000000000", '"1"')),
    ("figure", '{"figure": "pixel"}'),
    ("figure", '{"figure": "pixel", "given": {}}'),
    ("figure", '{"figure": "pixel", "given": {"row": 1, "column": 2, "size": 9}}'),
    ("figure", '{"figure": "a\\nb", "given": {}}'),
    ("figure", '{"figure": "hvass", "given": {"picture": "a\\nb"}}'),
    ("figure", '{"figure": "pixel", "figure": "pixel", "given": {"row": 1, "column": 2}}'),
    ("exercise", "{}"),
    ("exercise", '{"exercise": "relu", "choice": -1}'),
    ("exercise", '{"exercise": "relu", "choice": 1.5}'),
    ("exercise", '{"exercise": "\\ud800", "choice": 0}'),
    ("nothing", PIXEL % "1"),
]


@pytest.fixture(scope="module")
def here(subject, tmp_path_factory):
    with served(commands.site(Answers(subject), tmp_path_factory.mktemp("page"))) as listening:
        yield listening


def ask(here, path, body, method="POST", **headers):
    """Return status and answer."""
    own = f"127.0.0.1:{here.port}"
    connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=60)
    said = {"Host": own, "Origin": f"http://{own}", **headers}
    connection.request(method, f"/{here.token}/{path}", body.encode(), said)
    answer = connection.getresponse()
    status, text = answer.status, answer.read().decode()
    connection.close()
    return status, text


@pytest.mark.parametrize(("path", "body"), REFUSED)
def test_what_cannot_be_asked_is_one_line_and_never_the_servers_fault(here, path, body):
    status, text = ask(here, path, body)
    assert 400 <= status < 500
    assert "\n" not in json.loads(text)["error"]
    assert len(text) < 400
    assert ask(here, "figure", PIXEL % "1")[0] == 200  # and it goes on


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Host": "localhost"}, {"Origin": "http://evil.example"}]
)
def test_a_foreign_page_is_told_nothing(here, headers):
    status, text = ask(here, "figure", PIXEL % "1", **headers)
    assert 400 <= status < 500
    assert set(json.loads(text)) == {"error"}


def test_every_figure_is_told_over_the_wire(here):
    for name, figure in FIGURES.items():
        status, text = ask(here, "figure", json.dumps({"figure": name, "given": figure.opening}))
        assert status == 200, text
        assert json.loads(text)


# ---- Pictures that have little to show ------------------------------------------------------


def file_of(tmp_path, name, pixels):
    PIL.Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path / f"{name}.png"


def flat(level):
    return np.full((40, 64, 3), level)


SEEN = np.random.default_rng(0).integers(0, 255, (66, 64, 3))
STARK = np.repeat(255 * np.random.default_rng(0).integers(0, 2, (64, 40, 1)), 3, axis=2)


@pytest.mark.parametrize(
    ("photograph", "painting"),
    [(flat(0), flat(0)), (flat(0), flat(255)), (SEEN, SEEN), (STARK, flat(128))],
    ids=["both black", "black and white", "the same twice", "black and white dots"],
)
def test_flat_and_equal_pictures_are_answered_in_numbers(tmp_path, photograph, painting):
    files = file_of(tmp_path, "a", photograph), file_of(tmp_path, "b", painting)
    answers = Answers(subjects.read(files[0], str(files[1]), 64))
    for name, figure in FIGURES.items():
        told = answers.figure({"figure": name, "given": figure.opening})
        json.dumps(told, allow_nan=False)
    for key in EXERCISES:
        assert answers.exercise({"exercise": key, "choice": 0})["because"]


def test_a_picture_that_would_be_too_narrow_is_refused_with_what_to_do(tmp_path):
    narrow = file_of(tmp_path, "narrow", np.zeros((40, 200, 3)))
    with pytest.raises(NstError, match=r"only 64 x 13; .*larger --size \(up to 160\)"):
        subjects.read(narrow, "swirl", 64)
    assert subjects.read(narrow, "swirl", 160).photograph.shape == (3, 32, 160)


@pytest.mark.parametrize("across", [False, True])
def test_the_narrowest_picture_that_is_taken_answers_everything(tmp_path, across):
    pixels = np.random.default_rng(1).integers(0, 255, (64, 128, 3))
    narrow = file_of(tmp_path, "narrow", pixels if across else pixels.swapaxes(0, 1))
    answers = Answers(subjects.read(narrow, str(narrow), 64))
    for name, figure in FIGURES.items():
        assert answers.figure({"figure": name, "given": figure.opening})
    for line in FIGURES["line"].controls[0].options:
        given = {**FIGURES["line"].opening, "line": line}
        assert answers.figure({"figure": "line", "given": given})
