"""A statistic that nst does not know is added in one file, and every way of painting takes it."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import toy_statistic
from gradcheck import assert_gradient
from objectives import mask_of, recipe_of
from running import begun, paint
from small_networks import ReferenceVgg, draw_arrays, relative_error
from stopping import assert_the_same_when_stopped
from toy_statistic import MeanStyle

from nst import stylize
from nst.kernels import Array
from nst.objective import Objective, Region, Targets
from nst.objective.recipes import RECIPES
from nst.objective.style import Style, style_loss
from nst.objective.styles.finish import STATISTICS
from nst.objective.tiling import tiles_of
from nst.run.inputs import prepare
from nst.run.plan import draft
from nst.run.targets import objective_at
from nst.settings import Painting
from nst.vgg.architecture import Architecture

pytestmark = pytest.mark.filterwarnings("ignore:the mask")


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    """A recipe as the default, but for the statistic: relative, at several layers."""
    monkeypatch.setitem(STATISTICS, "toy", MeanStyle)
    recipe = replace(RECIPES["nst"], style_statistic="toy", smoothness=0.0)
    monkeypatch.setitem(RECIPES, "toy", recipe)
    return recipe


@pytest.fixture
def masked(files, first, other, left, right):
    """Two paintings side by side."""
    return {
        "style": [
            Painting(files / "painting.png", mask=files / "left.png", region=files / "left.png"),
            Painting(files / "other.png", region=files / "right.png"),
        ]
    }


@pytest.fixture(params=["everywhere", "masked"])
def asked(request, settings, masked):
    """A run of two scales with the toy."""
    changes = masked if request.param == "masked" else {}
    return settings(recipe="toy", size=128, scales=(80, 128), steps=(3, 4), **changes)


def test_it_takes_one_file_of_at_most_40_lines():
    file = Path(toy_statistic.__file__)
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 40


@pytest.mark.parametrize("with_mask", [False, True])
def test_its_gradient_is_the_slope(rng, with_mask):
    features, mask = rng.random((4, 6, 5)), mask_of(rng.random((6, 5))) if with_mask else None
    target: Style = Region(MeanStyle(rng.random(4)), mask, 0.7)
    _, d_features = style_loss(features, target, 1.3)
    assert_gradient(lambda f: 1.3 * style_loss(f, target)[0], features, d_features)


def test_it_paints(asked):
    result = stylize(asked)
    last = [entry for entry in result.history if entry["scale"] == 1]
    assert sum(v for k, v in last[-1].items() if k.startswith("style")) < sum(
        v for k, v in last[0].items() if k.startswith("style")
    )
    gram = stylize(replace(asked, recipe="nst"))
    assert np.abs(result.image - gram.image).mean() > 1e-3


def test_it_is_relative_to_its_own_size(settings, toy):
    run = prepare(settings(recipe="toy"))
    objective = objective_at(run, draft(run).full)
    for tap, (region,) in objective.targets.style.items():
        expected = toy.style[tap] / np.mean(region.style.mean.astype(np.float64) ** 2)
        assert objective.weights.style[tap] == pytest.approx(expected)


def test_in_tiles_it_paints_the_same_picture(asked):
    inputs, _, state = begun(prepare(replace(asked, scales=1, steps=4)))
    assert len(tiles_of(inputs.vgg, state.image, 96)) > 1
    whole, tiled = (paint(inputs, side=side).image for side in (None, 96))
    np.testing.assert_allclose(tiled, whole, atol=1e-4)


def test_stopped_and_resumed_it_paints_the_same_picture(asked, tmp_path):
    assert_the_same_when_stopped(asked, tmp_path / "saved", 4)


@pytest.mark.parametrize("side", [None, 96], ids=["whole", "tiles"])
def test_on_the_gpu_it_paints_the_same_picture(gpu, asked, side):
    results = []
    for device in ("cuda", "cpu"):
        inputs = prepare(replace(asked, device=device, conv="direct"))
        results.append(paint(inputs, side=side).image)
    np.testing.assert_allclose(*results, atol=1e-3)


# ---- A statistic that is no sum ----------------------------------------------------------


@dataclass(frozen=True)
class Total:
    """The sum over positions, of so many."""

    loss: Array
    positions: int

    def __add__(self, other):
        return Total(self.loss + other.loss, self.positions + other.positions)


@dataclass(frozen=True)
class FieldStyle:
    """Each position has a target of its own (C, H, W): one minus the cosine between the two."""

    field: Array
    knobs = ()

    def drawn(self, rng, shape):
        return self

    def measure(self, features, mask=None):
        cosine, _, _ = self._cosine(features)
        return Total((1 - cosine).sum(dtype=np.float64), cosine.size)

    def compare(self, sums):
        return sums.loss / sums.positions, np.full((), 1 / sums.positions)

    def spread(self, d_sums, features, mask=None, out=None, add=False):
        cosine, unit, length = self._cosine(features)
        wanted = self.field / np.linalg.norm(self.field, axis=0)
        d_features = d_sums * (cosine * unit - wanted) / length
        out = np.empty_like(features) if out is None else out
        out[...] = out + d_features if add else d_features
        return out

    def mean_square(self):
        return 1.0

    def within(self, place):
        return FieldStyle(self.field[place])

    def _cosine(self, features):
        length = np.linalg.norm(features, axis=0)
        wanted = self.field / np.linalg.norm(self.field, axis=0)
        return (features / length * wanted).sum(axis=0), features / length, length


def test_a_target_with_a_place_is_exact_in_tiles(rng):
    """As the nearest features of a painting will be: fixed, and of the image's own size."""
    architecture = Architecture(((3,), (4, 2)))
    taps = ("conv1_1", "relu2_1", "conv2_2")
    vgg = ReferenceVgg(architecture, draw_arrays(architecture, rng), taps, "average")
    height, width = 41, 70
    targets = Targets(
        {"relu2_1": vgg.features(rng.random((3, height, width)))["relu2_1"]},
        {
            tap: [Region(FieldStyle(rng.random(architecture.shape(tap, height, width))))]
            for tap in ("conv1_1", "conv2_2")
        },
    )
    recipe = recipe_of({"relu2_1": 0.5}, {"conv1_1": 2.0, "conv2_2": 3.0}, relative=True)
    image = rng.random((3, height, width))
    whole, tiled = (Objective(vgg, targets, recipe, side) for side in (None, 52))
    assert len(tiles_of(vgg, image, 52)) > 1
    expected, d_expected = whole.evaluate(image)
    found, d_image = tiled.evaluate(image)
    assert found.floats() == pytest.approx(expected.floats(), rel=1e-9)
    assert relative_error(d_image, d_expected) < 1e-9
    assert_gradient(lambda i: whole.evaluate(i)[0].total, image, d_expected)
