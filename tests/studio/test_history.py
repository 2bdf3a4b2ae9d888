"""What was painted, as the page lists it: also results whose text somebody has changed."""

import json

import numpy as np
import pytest

import nst
from nst import demo, stylize
from nst.errors import NstError
from nst.pictures import images
from nst.pictures.reading import read
from nst.studio import steps
from nst.studio.history import History
from nst.studio.shelf import Shelf
from nst.studio.wish import Choices, without_knob


@pytest.fixture
def history(tmp_path):
    return History(tmp_path, Choices(Shelf(tmp_path / "inputs"), {"auto": "auto"}))


@pytest.fixture
def texts(settings, tmp_path):
    """What a result says of itself."""
    return stylize(settings(style="waves", output=None, size=32, steps=1, scales=1)).metadata


def listed(history, folder, texts):
    """Return what the page shows of a result with these texts: it must be listed."""
    images.save(folder / "a.png", np.full((3, 32, 32), 0.5, np.float32), None, texts)
    (one,) = history.listed()
    assert one["name"] == "a.png"
    told = history.told(one["id"])
    json.dumps(told, allow_nan=False)
    assert "\n" not in told["error"]
    return told


SETTINGS = {
    "no style": lambda told: told.pop("style"),
    "an empty style": lambda told: told.update(style=[]),
    "a style of numbers": lambda told: told.update(style=[3]),
    "a style of words": lambda told: told.update(style="waves"),
    "a style without a path": lambda told: told.update(style=[{}]),
    "a path of a number": lambda told: told.update(style=[{"path": 3}]),
    "no content": lambda told: told.pop("content"),
    "a content of a list": lambda told: told.update(content=[]),
    "a mask of a number": lambda told: told["style"][0].update(mask=7),
    "a size of a word": lambda told: told.update(size="large"),
    "a seed of a list": lambda told: told.update(seed=[1]),
}


@pytest.mark.parametrize("what", SETTINGS)
def test_settings_that_cannot_be_are_an_error_in_one_line(history, texts, tmp_path, what):
    told = json.loads(texts["nst settings"]) | {"content": demo.content_path().name}
    texts["nst inputs"] = "{}"
    sound = listed(history, tmp_path, texts | {"nst settings": json.dumps(told)})
    assert (sound["error"], sound["wish"]["content"]) == ("", "photograph")
    SETTINGS[what](told)
    found = listed(history, tmp_path, texts | {"nst settings": json.dumps(told)})
    assert found["wish"] is None
    assert found["error"].startswith("what the picture says of its settings cannot be used: ")
    with pytest.raises(NstError):
        history.wish(found["id"])


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", '"text"', "[" * 5000, '{"content": 1}']
)
@pytest.mark.parametrize("key", ["nst settings", "nst inputs"])
def test_texts_that_are_no_settings_are_an_error_in_one_line(history, texts, tmp_path, key, text):
    found = listed(history, tmp_path, texts | {key: text})
    assert found["wish"] is None
    assert "what " in found["error"]


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"step": "x"}', '{"step": NaN}'])
def test_losses_that_cannot_be_are_none(history, texts, tmp_path, text):
    assert listed(history, tmp_path, texts | {"nst losses": text})["step"] == 0
    assert listed(history, tmp_path, texts)["step"] == 1


def test_the_steps_of_a_result_are_kept_for_that_result_alone(tmp_path):
    result, other = tmp_path / "a.png", tmp_path / "b.png"
    result.write_bytes(b"one")
    losses = [{"step": float(step), "total": 1 / step} for step in range(1, 2501)]
    steps.keep(tmp_path, result, losses, [7])
    found = steps.kept(tmp_path, result, read(result).sha256)
    assert (found.last, found.turns, found.losses[0]) == (2500, [7], losses[0])
    assert len(found.losses) <= steps.MOST + 1
    result.write_bytes(b"another under its name")
    sha256 = read(result).sha256
    assert steps.kept(tmp_path, result, sha256) == steps.Steps()
    assert steps.kept(tmp_path, other, sha256) == steps.Steps()


@pytest.mark.parametrize(
    "text", ["", "{", "3", "[1]", '{"losses": 3}', '{"losses": [{"step": "x"}]}', "\udc80"]
)
def test_steps_that_cannot_be_are_none(tmp_path, text):
    result = tmp_path / "a.png"
    result.write_bytes(b"one")
    (tmp_path / "a-steps.json").write_text(text, "utf-8", "surrogateescape")
    assert steps.kept(tmp_path, result, read(result).sha256) == steps.Steps()


def test_it_is_said_what_the_page_has_no_knob_for(settings):
    usual = {"style": "waves", "style_weight": 3, "scales": None}
    assert without_knob(settings(**usual).as_told()) == []
    told = settings(**usual | {"tv_weight": 2, "steps": (2, 2), "scales": 2}).as_told()
    assert without_knob(told) == ["--scales", "--tv-weight", "--steps"]
    for style in (["waves", "glass"], nst.Painting("waves", taps=("relu1_1",))):
        assert without_knob(settings(**usual | {"style": style}).as_told()) == ["--style"]
