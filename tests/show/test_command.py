"""The command of a report paints the same once more."""

import shlex
from dataclasses import fields, replace

import numpy as np
import pytest

from nst import cli, demo
from nst.arguments import settings_of
from nst.pictures import images
from nst.settings import Painting, Settings
from nst.show.command import command_of

STYLE_WORDS = {"styles", "style_mask", "content_mask", "tap_weights"}


def read_back(command):
    """Return the settings that a command means, in the folder where its names are files."""
    program, name, *words = shlex.split(command)
    assert program == "nst"
    options = vars(cli._parser([name, *words]).parse_args([name, *words]))
    known = {field.name for field in fields(Settings)} | STYLE_WORDS
    options = {name: value for name, value in options.items() if name in known}
    if name == "demo":
        options["content"] = demo.content_path()
    return settings_of(**options)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with pictures, some of names that a shell would misread."""
    monkeypatch.chdir(tmp_path)
    for name in ("photo.png", "a b's.png", "mask.png", "-odd.png", "start.png"):
        images.save(tmp_path / name, np.full((3, 20, 20), 0.5))
    return tmp_path


CHANGES = [
    {},
    {"size": 300, "steps": (10, 20), "scales": (200, 300), "until": 1.5, "strength": 0.1},
    {"recipe": "gatys", "optimizer": "adam", "pooling": "max", "init": "noise", "seed": 7},
    {"scales": 2, "scale_factor": 1.5, "color": "content", "conv": "direct", "device": "cpu"},
    {"content_weight": 1 / 3, "style_weight": 1e-7, "tv_weight": 3, "style_scale": 2, "edges": 2},
    {"model": "vgg16-slim", "effort": "best", "precision": "tf32", "preview": True},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: " ".join(change) or "none")
def test_it_is_read_back_as_what_it_was(here, change):
    told = Settings(here / "photo.png", here / "a b's.png", here / "out.png", **change)
    found = read_back(command_of(told))
    names = {"content": "photo.png", "style": (Painting("a b's.png"),), "output": "out.png"}
    assert found == replace(told, **names)


def test_styles_masks_and_a_start_have_their_places(here):
    style = (
        Painting(here / "a b's.png", 0.1, taps=("relu1_1", "relu2_1")),
        Painting(here / "-odd.png", 2.0, here / "mask.png", here / "mask.png"),
        Painting(demo.style_path("waves")),
    )
    told = Settings(here / "photo.png", style, here / "out.png", init=here / "start.png")
    found = read_back(command_of(told))
    assert [one.path.name for one in found.style] == ["a b's.png", "-odd.png", "waves.jpg"]
    assert [one.weight for one in found.style] == [0.1, 2.0, 1.0]
    assert found.style[0].taps == ("relu1_1", "relu2_1")
    assert [one.mask and one.mask.name for one in found.style] == [None, "mask.png", None]
    assert [one.region and one.region.name for one in found.style] == [None, "mask.png", None]
    assert found.init == "start.png"


def test_it_says_no_more_than_it_must(here):
    told = Settings(
        demo.content_path(), demo.style_path("waves"), "a.png", save_every=5, plot=True
    )
    assert command_of(told) == "nst demo waves -o a.png"
    assert str(here) not in command_of(Settings(here / "photo.png", here / "mask.png"))


def test_tables_of_weights_are_a_file_and_arrays_have_no_command(here):
    told = Settings(here / "photo.png", "waves", style_taps={"relu1_1": 2})
    assert "--tap-weights TAPS.toml" in command_of(told)
    assert command_of(Settings(np.zeros((20, 20, 3)), "waves")) is None
