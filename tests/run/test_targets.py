"""What is measured at a scale, and how a style image is sized for it."""

from dataclasses import replace

import numpy as np
import pytest
from objectives import features_seen
from running import begun

from nst import stylize
from nst.objective import Region, Targets, Weights
from nst.objective.objective import relative_to
from nst.objective.recipes import RECIPES
from nst.objective.styles.gram import GramStyle
from nst.pictures import images
from nst.run.inputs import override, prepare
from nst.run.plan import draft
from nst.run.scales import Scale
from nst.run.targets import objective_at, style_size
from nst.settings import Painting
from nst.vgg import Vgg


def test_targets_are_those_of_both_pictures_at_the_scale(settings):
    run = prepare(settings())
    run = replace(run, recipe=replace(run.recipe, padding=0))
    planned = draft(run)
    scale = planned.scales[0]
    objective = objective_at(run, scale, share=planned.share(scale))
    assert (scale.height, scale.width) == (80, 67)

    features = features_seen(run, images.resize(run.content, 80, 67))
    for tap, target in objective.targets.content.items():
        np.testing.assert_array_equal(target, features[tap])
    features = features_seen(run, images.resize(run.style, 61, 80))  # its own aspect, 50 x 66
    for tap, (region,) in objective.targets.style.items():
        flat = features[tap].reshape(len(features[tap]), -1).astype(np.float64)
        np.testing.assert_allclose(region.style.gram, flat @ flat.T / flat.shape[1], rtol=1e-5)
    assert set(objective.targets.content) == set(run.recipe.content)
    assert set(objective.targets.style) == set(run.recipe.style)


def test_the_content_is_at_its_own_target(settings):
    """The photograph itself has a content loss of zero, at every scale."""
    run = prepare(settings())
    for scale in draft(run).scales:
        content = images.resize(run.content, scale.height, scale.width)
        losses, _ = objective_at(run, scale).evaluate(content)
        assert losses.raw["content relu4_1"] == 0
        assert losses.raw["style relu1_1"] > 0


def test_relative_weights_are_divided_by_the_mean_square_of_the_target(rng):
    content = {"relu3_1": rng.standard_normal((4, 5, 6))}
    grams = rng.standard_normal((3, 3)), 5 * rng.standard_normal((3, 3)), np.zeros((3, 3))
    some, more, nothing = (Region(GramStyle(gram), weight=0.5) for gram in grams)
    style = {"relu1_1": [some, more], "relu2_1": [nothing]}
    weights = Weights({"relu3_1": 2.0}, {"relu1_1": 3.0, "relu2_1": 5.0}, 0.7)
    targets, relative = relative_to(Targets(content, style), weights)
    regions = targets.style
    assert relative.content["relu3_1"] == pytest.approx(2 / np.mean(content["relu3_1"] ** 2))
    for region, gram in zip(regions["relu1_1"], grams, strict=False):
        found = relative.style["relu1_1"] * region.weight
        assert found == pytest.approx(3 * 0.5 / np.mean(gram**2))
    assert regions["relu1_1"][0].weight == 0.5  # so that the loss of the first stays raw
    assert np.isfinite(relative.style["relu2_1"])  # a target of nothing
    assert relative.smoothness == 0.7


@pytest.mark.parametrize("recipe", ["nst", "hvass"])
def test_the_recipe_s_conventions_reach_the_objective(settings, recipe):
    named = override(settings(recipe=recipe))
    read = prepare(settings())
    taps = {"content": {"relu3_1": 1.5}, "style": {"relu1_1": 2.0}}  # which tiny has
    recipe = replace(named, **taps)
    run = replace(read, recipe=recipe, vgg=Vgg(settings().model, recipe.taps))
    objective = objective_at(run, draft(run).full)
    assert objective.recipe is run.recipe
    for (region,) in objective.targets.style.values():
        assert region.style.normalization == named.gram_normalization
    assert objective.weights.smoothness == named.smoothness
    given = objective.weights.content["relu3_1"]
    assert (given == 1.5) != named.relative


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ((50, 66), (61, 80)),
        ((66, 50), (80, 61)),
        ((40, 400), (16, 160)),  # 8 x 80 would be too thin for the network
        ((3000, 16), (3000, 16)),
    ],
)
def test_a_style_image_is_never_thinner_than_the_network_sees(style, expected):
    assert style_size(*style, Scale(80, 67, 1), RECIPES["nst"]) == expected


@pytest.mark.parametrize(
    ("size", "side", "share", "expected"),
    [
        (None, "longer", 0.5, (61, 80)),
        (None, "shorter", 0.5, (67, 88)),
        (None, "width", 0.5, (51, 67)),
        (None, "height", 0.5, (80, 106)),
        (300, "longer", 0.5, (114, 150)),  # at half of the full size, half of it
        (300, "shorter", 1.0, (300, 396)),
    ],
)
def test_the_recipe_says_how_large_a_style_image_is(size, side, share, expected):
    recipe = replace(RECIPES["gatys"], style_size=size, style_side=side)
    assert style_size(50, 66, Scale(80, 67, 1), recipe, share=share) == expected


def test_a_strip_can_be_a_style(settings, files, rng):
    images.save(files / "strip.png", rng.random((3, 20, 300)))
    stylize(settings(style=files / "strip.png", steps=3))


@pytest.mark.parametrize(
    ("recipe", "size"),
    [
        ("nst", (200, 100)),  # the longer sides agree
        ("gatys", (180, 90)),  # the shorter sides
        ("anish", (400, 200)),  # the widths
        ("hvass", (300, 150)),  # 300 whatever the result
        ("pystiche", (1000, 500)),  # 500 on the shorter side
    ],
)
def test_a_recipe_sizes_the_style_in_its_own_way(recipe, size):
    assert style_size(60, 30, Scale(90, 200, 1), RECIPES[recipe]) == size
    half = tuple(side / 2 for side in size)
    assert style_size(60, 30, Scale(90, 200, 1), RECIPES[recipe], 0.5) == half


# ---- On a GPU ------------------------------------------------------------------------


@pytest.fixture
def run_on_gpu(gpu, settings, files, first, other, left, right):
    """A run with two regions on the emulated GPU; what is counted begins at zero."""
    regions = [
        Painting(files / "painting.png", region=files / "left.png"),
        Painting(files / "other.png", region=files / "right.png"),
    ]
    run = prepare(settings(device="cuda", style=regions, size=128, scales=1))
    gpu.forget()
    return run


def waits(gpu):
    """Return what waited, by line, but for the network: a size's first run of it waits."""
    return {line: times for line, times in gpu.waits.items() if not line.startswith("runtime.py")}


@pytest.mark.filterwarnings("ignore:the mask")
def test_measuring_targets_waits_once_for_each_of_them_and_not_for_each_row(gpu, run_on_gpu):
    objective = objective_at(run_on_gpu, draft(run_on_gpu).full)
    regions = sum(len(regions) for regions in objective.targets.style.values())
    assert regions == 2 * 4
    assert sum(waits(gpu).values()) <= len(objective.targets.content) + regions


@pytest.mark.filterwarnings("ignore:the mask")
@pytest.mark.parametrize("side", [None, 96], ids=["whole", "tiles"])
def test_an_evaluation_waits_for_nothing(gpu, run_on_gpu, side):
    _, planned, state = begun(run_on_gpu)
    objective = objective_at(run_on_gpu, planned.full, side)
    objective.evaluate(state.image)
    gpu.forget()
    losses, _ = objective.evaluate(state.image)
    assert not waits(gpu)
    losses.floats()
    assert sum(waits(gpu).values()) == 1
