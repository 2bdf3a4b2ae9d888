"""Tiles that are seen elsewhere, by plain data alone: the same losses, the same gradient.

Here "elsewhere" is this process, so that many cases cost little; test_poster.py has workers.
"""

import contextlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from objectives import SUMMED
from plain_data import check_plain
from small_networks import relative_error

from nst.many.cluster import poster, tiles, worker
from nst.run.inputs import prepare
from nst.run.scales import Scale
from nst.run.targets import objective_at
from nst.settings import Painting

SCALE = Scale(150, 125, 1)


class Here:
    """A cluster that does what it is asked for at once, of what could be sent."""

    cpus = 1

    def __init__(self, workers):
        self.places, self.asked = [f"worker {k}" for k in range(workers)], []

    def workers(self):
        return self.places

    def submit(self, function, *data, on=None):
        check_plain(data)
        self.asked.append((function.__name__, on))
        result = function(*data)
        check_plain(result)
        return result

    def result(self, future):
        return future


@pytest.fixture
def sent(monkeypatch, tmp_path):
    monkeypatch.setattr(worker, "turn", lambda cpus: contextlib.nullcontext())
    monkeypatch.setattr(worker, "_opened", {})

    def file_of(sha256, model):
        path = tmp_path / f"{sha256}.onnx"
        path.write_bytes(model)
        return path

    monkeypatch.setattr(worker, "file_of", file_of)


def seen(inputs, side, crew=None):
    run = objective_at(inputs, SCALE, side, crew=crew)
    image = np.random.default_rng(7).random((3, SCALE.height, SCALE.width), np.float32)
    losses, d_image = run.evaluate(inputs.device.asarray(image))
    return losses.floats(), inputs.device.asnumpy(d_image)


def check(inputs, side=96):
    whole, d_whole = seen(inputs, None)
    clusters = [Here(1), Here(2), Here(3)]
    far = [seen(inputs, side, poster.Crew(cluster, inputs)) for cluster in clusters]
    for losses, d_image in far:
        assert losses == far[0][0]
        np.testing.assert_array_equal(d_image, far[0][1])
    assert far[0][0] == pytest.approx(whole, rel=3e-5)
    assert relative_error(far[0][1], d_whole) < 1e-5
    counted = [name for name, _ in clusters[1].asked]
    assert counted.count("keep") == counted.count("measure") == counted.count("spread") >= 4
    assert {place for _, place in clusters[1].asked} == {None}  # whose worker dies, goes on


@pytest.mark.usefixtures("sent")
@pytest.mark.parametrize("statistic", SUMMED)
def test_losses_and_gradient_are_those_of_one_machine(settings, statistic):
    inputs = prepare(settings(), asked=True)
    check(replace(inputs, recipe=replace(inputs.recipe, style_statistic=statistic)))


@pytest.mark.usefixtures("sent")
@pytest.mark.filterwarnings("ignore:the mask .* another shape")
@pytest.mark.parametrize("recipe", ["nst", "hvass", "johnson"])
def test_with_masks_taps_and_the_conventions_of_a_recipe(
    settings, recipe, first, other, left, right
):
    style = (Painting(first, region=left), Painting(other, region=right, mask=left))
    taps = {
        "content_taps": {"relu3_2": 1.0},
        "style_taps": {"relu1_2": 1.0, "relu3_1": 2.0, "relu3_2": 0.5},
    }
    check(prepare(settings(style=style, recipe=recipe, **taps), asked=True))


@pytest.mark.usefixtures("sent", "gpu")
@pytest.mark.filterwarnings("ignore:the mask .* another shape")
@pytest.mark.parametrize("recipe", ["nst", "hvass"])
def test_workers_with_a_gpu_send_what_any_other_sends(settings, recipe, first, other, left, right):
    style = (Painting(first, region=left), Painting(other, region=right, mask=left))
    taps = {"content_taps": {"relu3_2": 1.0}, "style_taps": {"relu1_2": 1.0, "relu3_1": 2.0}}
    check(prepare(settings(style=style, recipe=recipe, device="cuda", **taps), asked=True))


@pytest.mark.usefixtures("sent")
def test_with_a_photograph_that_is_transparent_in_part(settings):
    inputs = prepare(settings(), asked=True)
    alpha = np.ones(inputs.photograph.shape[1:], np.float32)
    alpha[20:60, :30] = 0
    check(replace(inputs, alpha=alpha))


def test_sums_and_pulls_travel_without_a_bit_lost(rng):
    device = SimpleNamespace(xp=np, asnumpy=np.copy)
    pulls = tiles.Pulls(
        {"a": 0.1, "b": np.float64(0.1), "c": rng.random(())}, {"a": [rng.random(3)]}
    )
    back = tiles.pulls_of(tiles.plain_pulls(pulls, device), device)
    for tap, pull in pulls.content.items():
        assert back.content[tap] == pull
    np.testing.assert_array_equal(back.style["a"][0], pulls.style["a"][0])
