"""The losses that are read are the losses that run: made to raise, they stop every run."""

import pytest
from running import paint

from nst import stylize
from nst.objective.content import content_loss
from nst.objective.recipes import RECIPES
from nst.objective.smoothness import smoothness_loss
from nst.objective.style import style_loss
from nst.run.inputs import prepare
from nst.settings import Painting

pytestmark = pytest.mark.filterwarnings("ignore:the mask")

LOSSES = {"content": content_loss, "style": style_loss, "smoothness": smoothness_loss}


class MadeToRaise(Exception):
    """What no run takes for its own."""


def raising(*_, **__):
    raise MadeToRaise


@pytest.fixture
def make(settings):
    """A function that returns a tiny run in the sense of a recipe."""

    def asked(recipe, **changes):
        taps = {"content_taps": {"relu3_1": 1.0}, "style_taps": {"relu1_1": 1.0}}  # tiny has them
        return settings(recipe=recipe, size=96, scales=1, steps=2, **taps | changes)

    return asked


@pytest.mark.parametrize(
    ("kind", "recipe"),
    [
        (kind, name)
        for kind in LOSSES
        for name, recipe in RECIPES.items()
        if (kind != "smoothness" or recipe.smoothness) and recipe.fine is None  # of deeper taps
    ],
)
def test_a_loss_that_raises_stops_every_plain_run(make, monkeypatch, kind, recipe):
    inputs = prepare(make(recipe))
    # its code, so that it raises under every name that it was imported by
    monkeypatch.setattr(LOSSES[kind], "__code__", raising.__code__)
    monkeypatch.setitem(LOSSES[kind].__globals__, "MadeToRaise", MadeToRaise)
    with pytest.raises(MadeToRaise):
        paint(inputs)


@pytest.mark.parametrize("kind", LOSSES)
def test_so_it_is_with_masks(make, monkeypatch, files, first, left, kind):
    masked = Painting(files / "painting.png", region=files / "left.png")
    inputs = prepare(make("nst", style=[masked]))
    monkeypatch.setattr(LOSSES[kind], "__code__", raising.__code__)
    monkeypatch.setitem(LOSSES[kind].__globals__, "MadeToRaise", MadeToRaise)
    with pytest.raises(MadeToRaise):
        paint(inputs)


def test_such_a_run_paints(make):
    assert len(stylize(make("hvass")).history) == 2
