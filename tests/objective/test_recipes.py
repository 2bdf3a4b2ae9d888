"""Published objectives: the numbers that stand in their sources."""

import re
from dataclasses import replace

import numpy as np
import pytest
from running import begun, paint

from nst import optimizers
from nst.objective import COMBINATIONS, Objective
from nst.objective.recipes import INITS, OPTIMIZERS, RECIPES, describe, table
from nst.objective.smoothness import smoothness_loss
from nst.objective.styles.finish import STATISTICS
from nst.objective.styles.gram import GRAM_NORMALIZATIONS
from nst.pictures import images
from nst.run.inputs import prepare
from nst.run.plan import draft, work_of
from nst.run.probe import Cost
from nst.run.scales import Scale, scales_for, side_of
from nst.run.state import choose_optimizer, initial_image
from nst.run.targets import style_size
from nst.vgg.architecture import POOLINGS, VGG16, VGG16_SLIM, VGG19


def test_gatys_weighs_each_layer_by_its_channels():
    gatys = RECIPES["gatys"]
    assert gatys.content == {"relu4_2": 1.0}
    assert gatys.style == pytest.approx(
        {
            "relu1_1": 1e3 / 64**2,
            "relu2_1": 1e3 / 128**2,
            "relu3_1": 1e3 / 256**2,
            "relu4_1": 1e3 / 512**2,
            "relu5_1": 1e3 / 512**2,
        }
    )
    assert gatys.smoothness == 0
    assert (gatys.gram_normalization, gatys.combination) == ("HW", "sum")
    assert (gatys.init, gatys.optimizer) == ("content", "lbfgs")


def test_hvass_weighs_three_kinds_and_every_layer_of_vgg16_alike():
    hvass = RECIPES["hvass"]
    assert hvass.content == {"relu3_1": 1.5}
    assert len(hvass.style) == 13
    assert set(hvass.style) == {c.replace("conv", "relu") for c in VGG16.convolutions}
    assert len(set(hvass.style.values())) == 1
    assert sum(hvass.style.values()) == pytest.approx(10)
    assert hvass.smoothness == 0.3
    total = sum(hvass.content.values()) + sum(hvass.style.values()) + hvass.smoothness
    assert total == pytest.approx(11.8)  # the constant that he prints as combined loss
    assert (hvass.gram_normalization, hvass.combination) == ("none", "log")
    assert (hvass.smoothness_kind, hvass.smoothness_reduction) == ("l1", "sum")
    assert (hvass.init, hvass.optimizer) == ("noise", "descent")
    assert (hvass.step_size, hvass.pixel_range) == (10, 255)  # grey levels, at every step
    assert hvass.step_decay == 1


# name: size, which side of the result, scales, steps, initial image, optimizer, pooling
PROGRAMS = {
    "gatys": (512, "shorter", 1, 500, "content", "lbfgs", "max"),
    "gatys-paper": (512, "longer", 1, 500, "noise", "lbfgs", "average"),
    "johnson": (512, "longer", 1, 1000, "noise", "lbfgs", "max"),
    "johnson-pt": (512, "longer", 1, 1000, "noise", "lbfgs", "max"),
    "anish": (None, "longer", 1, 1000, "noise", "adam", "max"),
    **dict.fromkeys(
        ("crowson", "w2"),
        (512, "longer", 1, (1000, 500), "content", "adam", "max"),
    ),
    "pystiche": (500, "shorter", 1, 500, "content", "lbfgs", "max"),
    "spst": (1023, "shorter", 1, 600, "content", "lbfgs", "max"),
    "hvass": (None, "longer", 1, 60, "noise", "descent", "max"),
    "nst": (640, "longer", "auto", 140, "content", "lbfgs", "average"),
    "nnst": (512, "longer", 1, (199, 199), "content", "pyramid", "max"),
    "neighbours": (512, "longer", 1, 120, "content", "lbfgs", "average"),
    **dict.fromkeys(
        ("mixture", "strokes"),
        (512, "longer", 1, 120, "content", "lbfgs", "average"),
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_run_as_its_program_runs_by_default(name):
    r = RECIPES[name]
    found = (r.size, r.side, r.scales, r.steps, r.init, r.optimizer, r.pooling)
    assert found == PROGRAMS[name]


def test_crowson_s_scales_go_down_to_128():
    crowson = RECIPES["crowson"]
    assert (crowson.coarsest, crowson.scale_factor) == (128, 2**0.5)
    assert "\ncoarsest              128" in describe("crowson")
    assert "\nscales" not in describe("crowson")
    going_down = [name for name, recipe in RECIPES.items() if recipe.coarsest is not None]
    assert sorted(going_down) == ["crowson", "mixture", "neighbours", "nnst", "strokes", "w2"]


@pytest.mark.parametrize("name", RECIPES)
def test_pools_keep_an_odd_row_where_loadcaffe_s_and_tensorflow_s_do(name, settings):
    keeping = name in ("johnson", "anish", "hvass")
    asked = settings(recipe=name, model="vgg16-slim", size=33, scales=1)
    inputs = prepare(asked)
    layer = inputs.vgg.network.architecture.shape("relu3_1", 33, 25)
    assert layer[1:] == ((9, 7) if keeping else (8, 6))
    work = work_of(inputs, draft(inputs), Cost(1.0, 1.0, 1.0, 1.0), 0.0)
    assert work.architecture is inputs.vgg.network.architecture  # as the estimate counts them


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_steps_fit_the_unit_of_the_pixels(recipe):
    """Also where --optimizer takes another than the recipe's."""
    assert 0.001 < recipe.step_size / recipe.pixel_range < 0.1


@pytest.mark.parametrize("name", ["anish", "johnson", "crowson"])
def test_adam_moves_as_it_would_in_the_recipe_s_own_pixels(name, rng):
    """Also where the gradient is as small as epsilon, which is in one over the pixels' unit."""
    recipe = replace(RECIPES[name], optimizer="adam", clip=False)
    optimizer, white = choose_optimizer(recipe), recipe.pixel_range
    pixels = white * rng.random((3, 4, 5))
    image = pixels / white
    m = v = np.zeros_like(pixels)
    b1, b2 = recipe.betas
    for t, g in enumerate(3e-8 * rng.standard_normal((3, *pixels.shape)), start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        move = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + 1e-8)
        pixels = pixels - recipe.step_size * move
        optimizer.step(image, np.asarray(0.0), white * g)
        np.testing.assert_allclose(white * image, pixels, rtol=1e-10)


def test_hvass_descends_as_he_does_in_grey_levels(rng):
    optimizer = choose_optimizer(RECIPES["hvass"])
    pixels, gradient = 128 + rng.random((3, 4, 5)), 3e-8 * rng.standard_normal((3, 4, 5))
    image = pixels / 255
    optimizer.step(image, np.asarray(0.0), 255 * gradient)
    expected = pixels - gradient * 10 / (np.std(gradient) + 1e-8)
    np.testing.assert_allclose(255 * image, expected, rtol=1e-10)


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "nst"])
def test_a_published_recipe_keeps_its_own_optimizer(name):
    """Only nst's own begins in bands of frequencies."""
    assert RECIPES[name].bands == 1


def test_the_optimizers_are_told_what_the_recipe_says():
    adam = choose_optimizer(RECIPES["crowson"])
    assert (adam.step_size, adam.betas, adam.bounds) == (0.02, (0.9, 0.99), (0, 1))
    assert (adam.average, RECIPES["anish"].average) == (0.99, 0)
    assert choose_optimizer(RECIPES["gatys"]).history == 100
    ours = choose_optimizer(RECIPES["nst"])
    assert (ours.history, ours.bands) == (30, 12)


@pytest.mark.parametrize("name", ["johnson", "anish", "gatys-paper", "hvass"])
def test_noise_is_the_recipes(name):
    recipe, scale = RECIPES[name], Scale(90, 110, 1)
    nothing = np.zeros((3, 16, 16), np.float32)
    start = initial_image("noise", 1, nothing, nothing, scale, recipe.noise)
    mean, spread = NOISE[name]
    assert start.dtype == np.float32
    np.testing.assert_allclose(start.mean(axis=(1, 2)), mean, rtol=0.02)
    assert start.std(axis=(1, 2)) == pytest.approx(np.full(3, spread), rel=0.05)
    assert len(np.unique(start)) > 50


def test_a_run_starts_from_the_recipes_noise_and_sees_it_through_its_gain(settings):
    plain, bright = (
        prepare(settings(recipe=name, model="vgg16-slim", size=32, scales=1))
        for name in ("johnson-pt", "johnson")
    )
    for inputs, white in ((plain, 255), (bright, 256)):
        image = begun(inputs)[2].image
        np.testing.assert_allclose(image.mean(axis=(1, 2)), np.array(MEAN_COLOUR) / white, 1e-4)
    for name in ("mean", "std"):
        found, given = (inputs.vgg.network.arrays[name] for inputs in (bright, plain))
        np.testing.assert_allclose(found * 256, given * 255, rtol=1e-6)


MEAN_COLOUR = (123.68, 116.779, 103.939)
NOISE = {  # mean of each channel, standard deviation
    "johnson": (np.array(MEAN_COLOUR) / 256, 0.001 / 256),
    "anish": (np.array(MEAN_COLOUR) / 255, 0.256 / 255),
    "gatys-paper": (np.full(3, 1 / 2), 12**-0.5),
    "hvass": (np.full(3, 128.5 / 255), 12**-0.5 / 255),
}


def test_what_adam_is_told():
    anish, crowson = RECIPES["anish"], RECIPES["crowson"]
    assert (anish.step_size, anish.pixel_range, anish.betas) == (10, 255, (0.9, 0.999))
    assert (crowson.step_size, crowson.pixel_range, crowson.betas) == (0.02, 1, (0.9, 0.99))


def test_our_own_fits_the_model_that_comes_along():
    VGG16_SLIM.check_taps(RECIPES["nst"].taps)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_runs_on_vgg19_and_names_what_exists(recipe):
    VGG19.check_taps(recipe.taps)
    VGG16.check_taps(recipe.taps)
    assert recipe.source
    assert recipe.gram_normalization in GRAM_NORMALIZATIONS
    assert recipe.combination in COMBINATIONS
    assert recipe.pooling in (None, *POOLINGS)
    assert recipe.init in INITS
    assert recipe.optimizer in OPTIMIZERS
    assert recipe.style_statistic in STATISTICS
    assert recipe.noise.kind in ("uniform", "normal")
    assert {side_of(30, 40, side) for side in (recipe.side, recipe.style_side)} <= {30, 40}
    smoothness_loss(np.zeros((3, 2, 2)), recipe.smoothness_kind, recipe.smoothness_reduction)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_weight_is_positive(recipe):
    assert min([*recipe.content.values(), *recipe.style.values()]) > 0
    assert recipe.smoothness >= 0


def test_taps_are_those_of_content_and_style_each_once():
    assert RECIPES["nst"].taps == ("relu4_1", "relu1_1", "relu2_1", "relu3_1")
    assert len(RECIPES["hvass"].taps) == 13  # relu3_1 is content and style


def test_every_name_of_an_optimizer_makes_one():
    kinds = {
        "descent": optimizers.NormalisedDescent,
        "adam": optimizers.Adam,
        "pyramid": optimizers.PyramidAdam,
        "lbfgs": optimizers.Lbfgs,
    }
    assert set(kinds) == set(OPTIMIZERS)
    for name, kind in kinds.items():
        recipe = replace(RECIPES["hvass"], optimizer=name, step_size=76.5, step_decay=0.9)
        optimizer = choose_optimizer(recipe)
        assert type(optimizer) is kind
        assert optimizer.bounds == (0, 1)
        assert choose_optimizer(replace(recipe, clip=False)).bounds is None
        if name != "lbfgs":
            assert (optimizer.step_size, optimizer.decay) == (0.3, 0.9)  # 76.5 of 255


# ---- In words ------------------------------------------------------------------------


def test_the_table_has_a_line_for_each_recipe_with_its_source():
    lines = table().splitlines()
    assert len(lines) == len(RECIPES)
    for line, (name, recipe) in zip(lines, RECIPES.items(), strict=True):
        assert line.split()[0] == name
        assert recipe.source in line
        assert len(line) < 100


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_in_full_fits_on_a_screen_and_says_every_weight(name):
    text, recipe = describe(name), RECIPES[name]
    lines = text.splitlines()
    assert len(lines) < 45
    assert max(map(len, lines)) < 100
    words = text.replace(",", " ").replace(";", " ").split()
    for tap in recipe.taps:
        assert tap in words
    for weight in {*recipe.content.values(), *recipe.style.values()}:
        assert f"{weight:.6g}" in words
    assert " ".join(recipe.source.split()) in " ".join(text.split())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gatys", ["strong Wolfe", "tolerance", "bilinearly", "cuts a side off", "--init FILE"]),
        ("gatys-paper", ["a mean activation of 1", "does not say size", "the content's size"]),
        ("johnson", ["strong Wolfe", "bilinearly", "only the gradient"]),
        ("johnson-pt", ["strong Wolfe", "bilinearly", "cuts a side off"]),
        ("anish", ["the lowest loss", "epsilon", "bilinearly"]),
        ("crowson", ["pads by replication", "with L-BFGS too", "moments", "enlarges", "bicubic"]),
        ("w2", ["have not converged", "see crowson"]),
        ("pystiche", ["strong Wolfe", "tolerance", "bilinearly"]),
        ("spst", ["strong Wolfe", "first scale only", "1023", "enlarges", "Pillow's default"]),
        ("hvass", ["to chance", "once more", "cuts a side off"]),
        ("nst", []),
        ("nnst", ["relu3_3 in their place", "199 times", "in blocks", "bilinearly", "1024"]),
        ("neighbours", []),
        ("mixture", []),
        ("strokes", []),
    ],
)
def test_a_recipe_says_where_it_departs_from_its_source(name, told):
    said = " ".join(describe(name).split())
    for words in told:
        assert words in said
    assert ("departs" in said) == bool(told)


def test_the_second_stage_of_gatys_is_the_notebook_s(settings):
    """Tuebingen, 1024 x 768: Scale(800) makes the shorter side 800 and cuts the other off."""
    (told,) = re.findall(r"--init FILE (--size \d+) (--steps \d+)", flat(describe("gatys")))
    size, steps = (int(option.split()[1]) for option in told)
    asked = settings(recipe="gatys", size=size, steps=steps, scales=None)
    (scale,) = scales_for(768, 1024, asked)
    assert (scale.width, scale.height, scale.steps) == (int(800 * 1024 / 768), 800, 200)
    height, width = style_size(768, 970, scale, RECIPES["gatys"])
    assert (height, width) == (800, round(800 * 970 / 768))  # its shorter side, too


@pytest.mark.parametrize("size", [None, 157, 900])
def test_pystiche_s_style_has_a_size_of_its_own(settings, size):
    """``--content-size`` and ``--style-size`` of _cli.py are 500 by default, each by itself."""
    asked = settings(recipe="pystiche", size=size, scales=None, steps=None)
    (scale,) = scales_for(300, 400, asked)
    assert min(scale.height, scale.width) == (500 if size is None else round(size * 3 / 4))
    assert style_size(640, 507, scale, RECIPES["pystiche"]) == (round(500 * 640 / 507), 500)
    assert "500, whatever the result's" in describe("pystiche")


def test_crowson_s_next_scale_starts_from_the_mean_of_the_steps(settings, monkeypatch):
    seen, evaluate = [], Objective.evaluate

    def spy(self, image):
        seen.append(image.copy())
        return evaluate(self, image)

    monkeypatch.setattr(Objective, "evaluate", spy)
    tried = {}
    for steps in ((2, 1), (3, 1)):
        asked = settings(
            recipe="crowson", model="vgg16-slim", size=40, scales=(24, 40), steps=steps
        )
        paint(prepare(asked))
        tried[steps] = seen[:]
        seen.clear()
    *pictures, _ = tried[3, 1]  # of the smaller scale, the third after two steps
    weights = 0.99 ** np.arange(3)[::-1]
    mean = np.tensordot(weights / weights.sum(), pictures, 1).astype(np.float32)
    expected = images.resize(mean, *tried[2, 1][-1].shape[1:])
    np.testing.assert_allclose(tried[2, 1][-1], expected, atol=1e-6)
    assert np.abs(expected - images.resize(pictures[-1], *expected.shape[1:])).max() > 1e-3


def flat(text):
    return " ".join(text.split())


def test_a_recipe_says_nothing_of_what_it_does_not_use():
    gatys, anish, hvass = (describe(name) for name in ("gatys", "anish", "hvass"))
    assert "history" in gatys
    for field in ("betas", "step_size", "noise", "moment_weight", "smoothness_kind"):
        assert f"\n{field}" not in gatys
    assert "\nbetas                 0.9, 0.999" in anish
    assert "history" not in anish
    assert "betas" not in hvass
    assert "\nsize                  the content file's own" in hvass
    assert "\nclip                  yes" in hvass
