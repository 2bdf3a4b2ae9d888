"""Styles that are taken at chosen layers: fine strokes of one painting, large forms of another."""

import json

import numpy as np
import pytest
from stopping import assert_the_same_when_stopped

from nst import NstError, Settings
from nst.arguments import options_of
from nst.lookup import Lookup
from nst.run.inputs import prepare
from nst.run.scales import Scale
from nst.run.targets import objective_at
from nst.settings import Painting

pytestmark = pytest.mark.filterwarnings("ignore:the mask .* another shape")
FINE, LARGE = ("relu1_1", "relu2_1"), ("relu3_1", "relu4_1")


def targets_of(asked):
    return objective_at(prepare(asked), Scale(64, 53, 1)).targets.style


def test_each_layer_has_the_style_of_those_that_are_taken_there(settings, first, other):
    both = targets_of(settings(style=[Painting(first, taps=FINE), Painting(other, taps=LARGE)]))
    alone = {tap: targets_of(settings(style=first))[tap] for tap in FINE}
    alone |= {tap: targets_of(settings(style=other))[tap] for tap in LARGE}
    assert list(both) == [*FINE, *LARGE]
    for tap, (region,) in both.items():
        np.testing.assert_array_equal(region.style.gram, alone[tap][0].style.gram)


def test_where_both_are_taken_they_are_blended(settings, first, other):
    found = targets_of(settings(style=[Painting(first, 3), Painting(other, 1, taps=FINE)]))
    blended = targets_of(settings(style=[Painting(first, 3), Painting(other, 1)]))
    alone = targets_of(settings(style=first))
    for tap, (region,) in found.items():
        expected = blended if tap in FINE else alone
        np.testing.assert_array_equal(region.style.gram, expected[tap][0].style.gram)


def test_a_layer_that_none_is_taken_at_has_no_style(settings, first):
    objective = objective_at(prepare(settings(style=Painting(first, taps=FINE))), Scale(64, 53, 1))
    assert tuple(objective.targets.style) == FINE
    assert objective.vgg.taps == ("relu4_1", *FINE)


def test_each_region_has_layers_of_its_own(settings, first, other, left, right):
    paintings = [
        Painting(first, region=left, taps=("relu1_1", "relu3_1")),
        Painting(other, region=right, taps=FINE),
    ]
    found = targets_of(settings(style=paintings))
    assert {tap: len(regions) for tap, regions in found.items()} == {
        **{"relu1_1": 2, "relu2_1": 1, "relu3_1": 1}
    }


@pytest.mark.parametrize(
    ("text", "weight", "taps"),
    [
        ("painting.png", 1.0, None),
        ("painting.png:2", 2.0, None),
        ("painting.png:2:relu1_1", 2.0, ("relu1_1",)),
        ("painting.png:0.5:relu1_1, conv2_1,relu1_1", 0.5, ("relu1_1", "conv2_1")),
    ],
)
def test_what_is_typed(files, monkeypatch, text, weight, taps):
    monkeypatch.chdir(files)
    (painting,) = options_of(styles=[text])["style"]
    assert (painting.path.name, painting.weight, painting.taps) == ("painting.png", weight, taps)


@pytest.mark.parametrize(
    ("taps", "told"),
    [
        ("relu1-1", "the taps of style .*painting.png are .*'relu1-1'.*; give names of layers"),
        ("", "the taps of style .*painting.png are .*''.*; give names of layers"),
        (",".join(["relu1_1"] * 65), "the taps of style .* are .*; give names of layers"),
    ],
)
def test_what_is_no_layer_is_refused(first, taps, told):
    with pytest.raises(NstError, match=told):
        options_of(styles=[f"{first}:1:{taps}"])


@pytest.mark.parametrize("taps", ["relu1_1", (), (1,), 5, ("relu1_1\n",), ("relu0_1",)])
def test_from_python_too(first, taps):
    with pytest.raises(NstError, match=r"the taps of style .* give names of layers such as"):
        Painting(first, taps=taps)


def test_a_layer_without_a_weight_is_told_with_those_there_are(settings, first):
    told = (
        "painting.png is to be taken at relu4_2, where the recipe has no weight; choose from "
        "relu1_1, relu2_1, relu3_1, relu4_1, or give --tap-weights"
    )
    with pytest.raises(NstError, match=told):
        prepare(settings(style=Painting(first, taps=("relu1_1", "relu4_2"))))


def test_they_are_in_the_text_and_come_back_from_it(settings, first, other):
    asked = settings(style=[Painting(first, taps=FINE), Painting(other)])
    told = json.loads(asked.as_json())
    assert [one["taps"] for one in told["style"]] == [list(FINE), None]
    assert Settings.from_json(asked.as_json()) == asked
    del told["style"][1]["taps"]  # as an nst before this one wrote it
    assert Settings.from_said(told, Lookup()) == asked


def test_a_stopped_run_goes_on_with_them(settings, first, other, tmp_path):
    styles = [Painting(first, taps=FINE), Painting(other, 2, taps=("relu2_1", *LARGE))]
    asked = settings(style=styles, size=64, scales=(48, 64), steps=(2, 3))
    expected = assert_the_same_when_stopped(asked, tmp_path / "saved", 3)
    text = json.loads(expected.metadata["nst settings"])
    assert [one["taps"] for one in text["style"]] == [list(one.taps) for one in styles]


def test_no_other_layer_has_a_loss(settings, first):
    objective = objective_at(
        prepare(settings(style=Painting(first, taps=LARGE))), Scale(64, 53, 1)
    )
    losses, _ = objective.evaluate(objective.vgg.device.asarray(np.full((3, 64, 53), 0.5)))
    assert set(losses.raw) == {"content relu4_1", *(f"style {t}" for t in LARGE), "smoothness"}
