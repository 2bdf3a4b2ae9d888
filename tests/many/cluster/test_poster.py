"""A poster on workers: the bits do not depend on how many there are, nor on who of them dies."""

from dataclasses import replace

import numpy as np
import on_workers
import pytest

import nst
from nst import cli
from nst.errors import NstError
from nst.many.cluster import connection, poster
from nst.run.inputs import prepare
from nst.run.plan import plan
from nst.run.state import start
from nst.stylize import complete

SIDE = 96  # pixels of a window, so that a tiny picture has several


@pytest.fixture
def large(settings, monkeypatch):
    """Settings of a picture of 2 x 2 tiles."""
    monkeypatch.setattr(poster, "SIDE", SIDE)
    return settings(size=120, scales=1, steps=3)


def here(settings):
    """Return what one machine paints in the same tiles."""
    inputs = prepare(settings)
    planned = replace(plan(inputs), side=SIDE)
    return complete(inputs, planned, start(inputs, planned))


def losses(result):
    return [{n: v for n, v in entry.items() if n != "seconds"} for entry in result.history]


def check_same(found, expected):
    assert losses(found) == losses(expected)
    np.testing.assert_array_equal(found.image, expected.image)


def test_one_worker_and_two_paint_the_same_and_what_one_machine_paints(
    large, borrowed, monkeypatch
):
    by_two = nst.stylize(large, workers=2)
    monkeypatch.setattr(borrowed, "workers", lambda: borrowed.__class__.workers(borrowed)[:1])
    by_one = nst.stylize(large, workers=1)
    check_same(by_one, by_two)
    alone = here(large)
    for entry, expected in zip(losses(by_two), losses(alone), strict=True):
        assert entry == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(by_two.image, alone.image, atol=1e-5)


@pytest.mark.usefixtures("borrowed")
@pytest.mark.parametrize("function", ["measure", "spread"])
def test_a_worker_that_is_killed_changes_no_bit(large, plugged, tmp_path, function):
    expected = nst.stylize(large, workers=2)
    plugged(on_workers.Dying(function, 3, str(tmp_path / "marker")))
    found = nst.stylize(large, workers=2)
    assert (tmp_path / "marker").exists()
    check_same(found, expected)


def test_a_scheduler_that_is_gone_is_one_line_and_the_run_goes_on_from_its_checkpoint(
    large, borrowed, monkeypatch, tmp_path, capsys
):
    folder = tmp_path / "saved"
    expected = nst.stylize(large, workers=2)

    class Gone:
        """A scheduler that does not answer any more from the second step on."""

        def __init__(self):
            self.tiles = self.spread = 0

        def __call__(self, function, *data, on=None):
            self.tiles += function.__name__ == "keep"
            self.spread += function.__name__ == "spread"
            if self.spread > self.tiles:
                with borrowed._heard():
                    from distributed.client import FutureCancelledError

                    raise FutureCancelledError("a key", "scheduler-connection-lost")
            return borrowed.__class__.submit(borrowed, function, *data, on=on)

    monkeypatch.setattr(borrowed, "submit", Gone())
    words = [large.content, large.style[0].path, "-o", large.output, "--model", large.model]
    words += ["--size", 120, "--scales", 1, "--steps", 3, "--device", "cpu", "--workers", 2]
    words += ["--checkpoint", folder, "--quiet"]
    assert cli.main(["stylize", *map(str, words)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith("nst: the scheduler at this machine is gone; start it again. The pict")
    assert told.endswith(f"`nst resume {folder}` goes on.\n")
    monkeypatch.undo()
    monkeypatch.setattr(poster, "SIDE", 64)  # a run that goes on keeps its tiles
    with monkeypatch.context() as patch:
        patch.setattr(connection, "opened", lambda *_: _entered(borrowed))
        check_same(nst.resume(folder, workers=2), expected)


class _entered:
    def __init__(self, cluster):
        self.cluster = cluster

    def __enter__(self):
        return self.cluster

    def __exit__(self, *_):
        self.cluster.cancel()


def test_what_workers_cannot_share_is_said(large, monkeypatch):
    for recipe in ("neighbours", "strokes"):
        with pytest.raises(NstError, match=f"recipe {recipe} compares each place"):
            nst.stylize(replace(large, recipe=recipe, content_taps=None), workers=2)
    monkeypatch.setattr(poster, "SIDE", 1024)
    with pytest.raises(NstError, match="is one tile, and nothing to share"):
        nst.stylize(large, workers=2)
