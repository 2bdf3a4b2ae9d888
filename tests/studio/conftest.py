import time
from dataclasses import replace

import pytest
from browsers import browser, served, visitor
from playwright.sync_api import expect

from nst.objective.recipes import RECIPES
from nst.studio import painter
from nst.studio.studio import Studio

__all__ = ["browser", "visitor"]

expect.set_options(timeout=60_000)  # milliseconds; a busy machine is slow


@pytest.fixture
def on(files, tmp_path, monkeypatch):
    """A function that opens a studio on a device, in an empty folder, whose network is tiny."""
    monkeypatch.chdir(tmp_path)
    every_step = replace(RECIPES["nst"], until=0.0)  # a tiny picture would be done too soon
    monkeypatch.setitem(RECIPES, "nst", every_step)
    may_go_on = painter.Painter._may_go_on

    def in_turn(self, piece):
        time.sleep(0.005)  # steps of a tiny picture would leave the page and its test no time
        return may_go_on(self, piece)

    monkeypatch.setattr(painter.Painter, "_may_go_on", in_turn)
    opened = []

    def on(device):
        opened.append(Studio(model=str(files / "tiny.onnx"), device=device))
        return opened[-1]

    yield on
    for studio in opened:
        studio.close()


@pytest.fixture
def studio(on):
    """A studio in an empty folder whose network is tiny."""
    return on("cpu")


@pytest.fixture
def here(studio):
    """The studio's page, served."""
    with served(studio.site) as listening:
        yield listening
