"""Every knob: its default, its range, and one line for each mistake."""

import dataclasses
import json
import math
import re
from pathlib import Path

import pytest

from nst.errors import NstError
from nst.objective.recipes import RECIPES
from nst.settings import Painting, Settings


@pytest.fixture
def inputs(tmp_path):
    """A photograph and a painting; settings look at whether they exist, not at what they are."""
    paths = tmp_path / "photograph.jpg", tmp_path / "painting.jpg"
    for path in paths:
        path.touch()
    return paths


def message(content, style, **changes):
    with pytest.raises(NstError) as error:
        Settings(content, style, **changes)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")
    return str(error.value)


# ---- Numbers -------------------------------------------------------------------------

WEIGHTS = ("content_weight", "style_weight", "tv_weight", "edges")
TOO_LOW = [
    ("size", 15),
    ("size", -512),
    ("steps", -1),
    ("scales", 0),
    ("scale_factor", 1.0),
    ("seed", -1),
    ("save_every", -5),
    *((weight, -0.001) for weight in WEIGHTS),
]
TOO_HIGH = [("size", 16385), ("scales", 11)]
ENDS = [
    ("size", 16),
    ("size", 16384),
    ("steps", 0),
    ("scales", 1),
    ("scales", 10),
    ("seed", 0),
    ("save_every", 0),
    *((weight, 0) for weight in WEIGHTS),
]
NO_NUMBERS = [(name, value) for name in WEIGHTS for value in (math.nan, math.inf, -math.inf)]


@pytest.mark.parametrize(("name", "value"), TOO_LOW + TOO_HIGH + NO_NUMBERS)
def test_a_number_out_of_its_range_is_named_with_its_option(inputs, name, value):
    told = message(*inputs, **{name: value})
    assert told.startswith(f"--{name.replace('_', '-')} is {value}; it must be ")


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["size", "steps", "scales", "seed", "save_every"])
def test_a_count_that_is_no_number_is_refused(inputs, name, value):
    assert f"--{name.replace('_', '-')} is {value}" in message(*inputs, **{name: value})


def test_the_range_is_said(inputs):
    assert message(*inputs, size=8).endswith("must be between 16 and 16384.")
    assert message(*inputs, steps=-1).endswith("must be at least 0.")
    assert message(*inputs, scales=12).endswith("must be between 1 and 10.")


@pytest.mark.parametrize(("name", "value"), ENDS)
def test_the_ends_of_a_range_are_inside(inputs, name, value):
    assert getattr(Settings(*inputs, **{name: value}), name) == value


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"scales": (256, 128)}, "--scales is 256,128; the sizes must grow, from 16 pixels up."),
        ({"scales": (8, 128)}, "--scales is 8,128; the sizes must grow, from 16 pixels up."),
        ({"scales": ()}, "--scales is ; the sizes must grow, from 16 pixels up."),
        (
            {"scales": (256, 700), "size": 640},
            "--scales goes up to 700 pixels, beyond --size 640; ",
        ),
        ({"scales": "all"}, "--scales is 'all'; give a number."),
        ({"steps": (5, -1)}, "--steps is 5,-1; give a number for each scale, 0 or more."),
        ({"steps": ()}, "--steps is ; give a number for each scale, 0 or more."),
        ({"scale_factor": 1}, "--scale-factor is 1; it must be between 1.1 and 8."),
    ],
)
def test_lists_of_scales_and_steps_make_sense(inputs, changes, told):
    assert message(*inputs, **changes).startswith(told)


def test_steps_are_counted_over_all_scales(inputs):
    assert Settings(*inputs, steps=50).all_steps == 50
    assert Settings(*inputs, steps=(50, 20, 5)).all_steps == 75


# ---- Choices -------------------------------------------------------------------------

CHOICES = {
    "device": ("auto", "cpu", "cuda"),
    "recipe": tuple(RECIPES),
    "optimizer": ("descent", "adam", "pyramid", "lbfgs"),
    "pooling": ("max", "average"),
    "conv": ("auto", "direct"),
    "precision": ("float32", "tf32"),
}


@pytest.mark.parametrize(("name", "choices"), CHOICES.items())
def test_an_unknown_choice_is_told_with_those_there_are(inputs, name, choices):
    told = message(*inputs, **{name: "best"})
    assert told == f"--{name} is 'best'; choose {', '.join(choices)}."
    for choice in choices:
        assert getattr(Settings(*inputs, **{name: choice}), name) == choice


@pytest.mark.parametrize("init", ["content", "noise", "style", None])
def test_init_by_name(inputs, init):
    assert Settings(*inputs, init=init).init == init


def test_init_from_a_file(inputs):
    assert Settings(*inputs, init=str(inputs[1])).init == str(inputs[1])


@pytest.mark.parametrize("init", ["nowhere.png", "Noise", ""])
def test_an_init_that_is_neither_is_refused(inputs, init):
    told = message(*inputs, init=init)
    assert told.startswith(f"--init is {init!r}; choose content, noise, style, or an existing")


# ---- Files ---------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["content", "style"])
def test_an_image_that_is_not_there_is_named(inputs, tmp_path, which):
    paths = dict(zip(("content", "style"), inputs, strict=True))
    paths[which] = tmp_path / "nowhere.jpg"
    told = message(**paths)
    assert told.startswith(f"{which} image not found: {tmp_path / 'nowhere.jpg'}.")


@pytest.mark.parametrize("option", ["output", "log"])
@pytest.mark.parametrize("which", ["content", "style", "init"])
def test_an_input_is_never_overwritten(inputs, tmp_path, which, option):
    start = tmp_path / "start.png"
    start.touch()
    path = {"content": inputs[0], "style": inputs[1], "init": start}[which]
    told = message(*inputs, init=str(start), **{option: path})
    assert told == f"--{option} would overwrite an input, {path}; give another name."


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("out.png", {}),
        ("out.csv", {"log": "out.csv"}),
        ("out-losses.png", {"plot": True}),
        ("out-00020.png", {"save_every": 10, "steps": 25}),
    ],
)
def test_a_folder_of_checkpoints_takes_no_file_s_name(
    inputs, tmp_path, monkeypatch, name, options
):
    """It would be made first, and the picture find its place taken after the whole run."""
    monkeypatch.chdir(tmp_path)
    told = message(*inputs, output=Path("out.png"), checkpoint=Path(name), **options)
    assert re.search(rf"--[a-z-]+ would overwrite .*{name}; give another name", told)
    Settings(*inputs, "out.png", checkpoint="out-checkpoint", **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("out-triptych.png", {"plot": True}),
        ("out-losses.png", {"plot": True}),
        ("out-00020.png", {"save_every": 10, "steps": 25}),
    ],
)
def test_an_input_is_not_overwritten_by_what_is_written_beside(inputs, tmp_path, name, options):
    content = tmp_path / name
    content.touch()
    told = message(content, inputs[1], output=tmp_path / "out.png", **options)
    assert f"would overwrite an input, {content}" in told
    Settings(content, inputs[1], tmp_path / "other.png", **options)  # and elsewhere it may


def test_a_name_beside_the_output(inputs, tmp_path):
    assert Settings(*inputs, tmp_path / "out.png").frame(50) == tmp_path / "out-00050.png"
    dotted = Settings(*inputs, tmp_path / "a.b.jpg")
    assert dotted.beside("plot.png") == tmp_path / "a.b-plot.png"
    with pytest.raises(ValueError, match="no output to write beside"):
        Settings(*inputs, None).beside("plot.png")


def test_an_input_is_known_by_another_name_too(inputs, tmp_path):
    content, style = inputs
    link = tmp_path / "link.jpg"
    link.symlink_to(content)
    for path in (link, tmp_path / "folder" / ".." / "photograph.jpg"):
        assert "would overwrite an input" in message(content, style, output=path)


def test_an_input_that_is_a_link_is_the_file_it_leads_to(inputs, tmp_path):
    content, style = inputs
    link = tmp_path / "link.jpg"
    link.symlink_to(content)
    assert "would overwrite an input" in message(link, style, output=content)


def test_log_and_output_are_two_files(inputs, tmp_path):
    path = tmp_path / "out.png"
    assert "--log" in message(*inputs, output=path, log=path)


@pytest.mark.parametrize("change", [{"plot": True}, {"save_every": 5}])
def test_what_is_written_beside_the_output_needs_one(inputs, change):
    assert message(*inputs, output=None, **change).endswith("give --output.")
    assert Settings(*inputs, **change).output == Path("out.png")


# ---- The record itself ---------------------------------------------------------------


def test_text_is_taken_for_paths(inputs):
    settings = Settings(str(inputs[0]), str(inputs[1]), "picture.png", log="losses.csv")
    assert settings.content == inputs[0]
    assert settings.style == (Painting(inputs[1]),)
    assert settings.output == Path("picture.png")
    assert settings.log == Path("losses.csv")


def test_settings_do_not_change(inputs):
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings(*inputs).size = 64


def test_a_changed_copy_is_checked_again(inputs):
    with pytest.raises(NstError, match="--size is 3"):
        dataclasses.replace(Settings(*inputs), size=3)


def test_objective_is_the_recipe_of_that_name(inputs):
    for name, recipe in RECIPES.items():
        assert Settings(*inputs, recipe=name).objective is recipe


def test_as_json_has_every_setting(inputs):
    settings = Settings(*inputs, None, size=100, style_weight=2.5, seed=7)
    said = json.loads(settings.as_json())
    assert set(said) == {field.name for field in dataclasses.fields(Settings)}
    assert said["content"] == str(inputs[0])
    assert said["output"] is None
    assert (said["size"], said["style_weight"], said["seed"]) == (100, 2.5, 7)
    assert Settings.from_json(settings.as_json()) == settings


def test_lists_survive_json(inputs):
    settings = Settings(*inputs, scales=(100, 640), steps=[30, 20])
    assert settings.steps == (30, 20)
    assert Settings.from_json(settings.as_json()) == settings


def test_relative_paths_in_json_begin_at_its_folder(tmp_path, monkeypatch):
    folder = tmp_path / "there"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "tiny.onnx"):
        (folder / name).touch()
    monkeypatch.chdir(folder)
    settings = Settings("a.jpg", "b.jpg", model="tiny.onnx", init="b.jpg", log=tmp_path / "l.csv")
    text = settings.as_json()
    assert Settings.from_json(text, folder) == settings
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NstError, match=r"content image not found: a\.jpg"):
        Settings.from_json(text)
    moved = Settings.from_json(text, folder)
    assert moved.content == folder / "a.jpg"
    assert moved.output == folder / "out.png"
    assert (moved.init, moved.model) == (str(folder / "b.jpg"), str(folder / "tiny.onnx"))
    assert moved.log == tmp_path / "l.csv"
    named = dataclasses.replace(settings, content=moved.content, style=moved.style, init="noise")
    named = dataclasses.replace(named, model="vgg16")
    assert Settings.from_json(named.as_json(), folder).model == "vgg16"
    assert Settings.from_json(named.as_json(), folder).init == "noise"


def test_json_of_another_version_is_refused(inputs):
    said = json.loads(Settings(*inputs).as_json()) | {"brushes": 3}
    with pytest.raises(NstError, match="what this nst does not know: brushes") as error:
        Settings.from_json(json.dumps(said))
    assert "\n" not in str(error.value)
