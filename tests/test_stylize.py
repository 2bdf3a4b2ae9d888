"""The loop: what it plans, what it measures, what it leaves behind, and how it stops."""

import csv
import hashlib
import json
import sys
import weakref
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from running import begun, paint
from small_networks import FOUR_BLOCKS, draw_arrays

from nst import stylize
from nst.devices import CPU
from nst.errors import NstError
from nst.objective import Losses, Objective
from nst.objective.recipes import RECIPES
from nst.pictures import images
from nst.run.inputs import override, prepare
from nst.run.scales import Scale
from nst.run.state import initial_image
from nst.stylize import at_scale
from nst.vgg import Vgg, weights
from nst.vgg.export import export_network

FULL = (160, 133)  # of the result at --size 160


# ---- Where painting starts -----------------------------------------------------------


@pytest.fixture
def settings(settings):
    """As the losses leave it: at another size colours are brought elsewhere."""
    return partial(settings, color="painted")


def test_noise_is_grey_with_a_breath_of_noise_from_the_seed(rng):
    content, style = rng.random((2, 3, 20, 20))
    scale = Scale(18, 22, 1)
    one, same, other = (initial_image("noise", seed, content, style, scale) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.shape == (3, 18, 22)
    assert one.dtype == np.float32
    assert one.min() >= 128 / 255
    assert one.max() <= 129 / 255
    assert one.std() > 0.2 / 255


def halves(height, width):
    """An image whose left half is black and right half is white."""
    image = np.zeros((3, height, width), np.float32)
    image[:, :, width // 2 :] = 1
    return image


def test_content_and_style_start_at_the_scale(rng):
    content, style = halves(40, 60), 1 - halves(40, 60)
    scale = Scale(20, 30, 1)
    from_content = initial_image("content", 0, content, style, scale)
    from_style = initial_image("style", 0, content, style, scale)
    for start, left in ((from_content, 0), (from_style, 1)):
        assert start.shape == (3, 20, 30)
        np.testing.assert_allclose(start[:, :, :10], left, atol=1e-6)
        np.testing.assert_allclose(start[:, :, 20:], 1 - left, atol=1e-6)


@pytest.mark.parametrize("init", ["style", "file"])
def test_what_has_another_aspect_is_cropped_and_not_squeezed(settings, rng, tmp_path, init):
    wide = halves(30, 90)
    wide[:, :, :30] = 0.5  # what a crop to a square from the middle leaves out
    images.save(tmp_path / "wide.png", wide)
    images.save(tmp_path / "square.png", rng.random((3, 30, 30)))
    asked = settings(content=tmp_path / "square.png", size=16, scales=1, steps=1)
    named = {"style": tmp_path / "wide.png", "init": "style"}
    if init == "file":
        named = {"init": str(tmp_path / "wide.png")}
    image = begun(prepare(replace(asked, **named)))[2].image
    np.testing.assert_allclose(image[:, :, :4], 0, atol=1e-6)
    np.testing.assert_allclose(image[:, :, 12:], 1, atol=1e-6)


def test_at_scale_keeps_what_fits_and_resizes_what_does_not(rng):
    image = rng.random((3, 20, 30), np.float32)
    assert at_scale(image, Scale(20, 30, 5), CPU) is image
    larger = at_scale(image, Scale(40, 61, 5), CPU)
    np.testing.assert_array_equal(larger, images.resize(image, 40, 61))


# ---- The recipe, as the settings change it -------------------------------------------


def test_nothing_said_changes_nothing(settings):
    for name, recipe in RECIPES.items():
        assert override(settings(recipe=name)) == recipe


def test_weights_are_factors_on_the_recipe_s_own(settings):
    recipe = RECIPES["nst"]
    changed = override(settings(content_weight=2, style_weight=0.5, tv_weight=3))
    assert changed.content == {tap: 2 * w for tap, w in recipe.content.items()}
    assert changed.style == {tap: 0.5 * w for tap, w in recipe.style.items()}
    assert changed.smoothness == 3 * recipe.smoothness
    assert override(settings(strength=0.25)).smoothness == 0.25**2 * recipe.smoothness


def test_choices_are_written_over_the_recipe(settings):
    changed = override(settings(recipe="hvass", optimizer="adam", pooling="max", init="style"))
    expected = replace(RECIPES["hvass"], optimizer="adam", pooling="max", init="style")
    assert changed == expected


# ---- From end to end -----------------------------------------------------------------


def test_a_run_paints_and_saves_what_it_returns(settings, files):
    result = stylize(settings(steps=20))
    assert result.image.shape == (3, *FULL)
    assert result.image.dtype == np.float32
    assert result.image.min() >= 0
    assert result.image.max() <= 1
    assert result.alpha is None
    np.testing.assert_allclose(images.load(settings().output), result.image, atol=0.51 / 255)
    content = images.resize(images.load(files / "photograph.png"), *FULL)
    assert np.abs(result.image - content).mean() > 0.01  # something was painted

    scale_2 = [entry["total"] for entry in result.history if entry["scale"] == 2]
    assert scale_2[-1] < scale_2[0]


@pytest.mark.parametrize("optimizer", ["descent", "adam", "lbfgs"])
def test_one_seed_gives_one_picture_bit_for_bit(settings, optimizer):
    def paint(seed):
        return stylize(
            settings(seed=seed, init="noise", optimizer=optimizer, steps=6, output=None)
        ).image

    one, same, other = paint(5), paint(5), paint(6)
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_without_an_output_nothing_is_written(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = stylize(settings(output=None))
    assert result.image.shape == (3, *FULL)
    assert not list(tmp_path.iterdir())


def test_history_has_every_step_and_every_raw_loss(settings):
    history = stylize(settings(output=None, steps=(6, 4))).history
    assert [entry["step"] for entry in history] == list(range(1, 11))
    assert [entry["scale"] for entry in history] == [1] * 6 + [2] * 4
    assert [entry["size"] for entry in history] == [80] * 6 + [160] * 4
    names = {"content relu4_1", "style relu1_1", "style relu2_1", "style relu3_1"}
    names |= {"style relu4_1", "smoothness", "total"}
    for entry in history:
        assert set(entry) == {"step", "scale", "size", "seconds", *names}
        assert all(np.isfinite(value) for value in entry.values())


def test_progress_reports_each_step_with_the_picture_so_far(settings):
    reports = []
    result = stylize(
        settings(output=None, steps=(6, 4)),
        on_progress=lambda p: reports.append((p, p.image.copy())),
    )
    assert [p.step for p, _ in reports] == list(range(1, 11))
    assert [image.shape for _, image in reports] == [(3, 80, 67)] * 6 + [(3, *FULL)] * 4
    assert reports[-1][0].done == 1
    assert reports[4][0].losses["total"] == result.history[4]["total"]
    np.testing.assert_array_equal(reports[-1][1], result.image)


def test_log_frames_and_plots_lie_beside_the_picture(settings, tmp_path):
    log = tmp_path / "losses.csv"
    result = stylize(settings(steps=5, save_every=2, plot=True, log=log))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "losses.csv",
        "out-00002.png",
        "out-00004.png",
        "out-losses.png",
        "out-triptych.png",
        "out.png",
    ]
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["total"]) for row in rows] == [e["total"] for e in result.history]


def test_the_png_says_how_it_was_made(settings, files):
    asked = settings(seed=11)
    result = stylize(asked)
    told = images.read_metadata(asked.output)
    assert told == result.metadata
    assert told["Software"].startswith("nst ")
    assert json.loads(told["nst settings"]) == json.loads(json.dumps(asked.as_told()))
    hashes = json.loads(told["nst inputs"])
    for name in ("photograph.png", "painting.png"):
        assert hashes[name] == hashlib.sha256((files / name).read_bytes()).hexdigest()
    assert json.loads(told["nst settings"])["seed"] == 11
    sha256 = weights.load(files / "tiny.onnx").sha256
    assert told["nst model"] == f"tiny sha256 {sha256}"
    last = result.history[-1]
    assert json.loads(told["nst losses"]) == {n: v for n, v in last.items() if n != "seconds"}


def test_alpha_is_kept(settings, files):
    alpha = np.ones((90, 75), np.float32)
    alpha[:, :30] = 0.2
    images.save(files / "cut-out.png", images.load(files / "photograph.png"), alpha)
    asked = settings(content=files / "cut-out.png", steps=2)
    result = stylize(asked)
    _, saved = images.load_with_alpha(asked.output)
    assert result.alpha.shape == saved.shape == FULL
    np.testing.assert_allclose(saved, result.alpha, atol=0.51 / 255)
    assert saved[80, 10] == pytest.approx(0.2, abs=0.01)
    assert saved[80, 120] == 1


def test_no_steps_give_the_start_at_full_size(settings, files):
    asked = settings(steps=0, scales=1)
    result = stylize(asked)
    content = prepare(asked).content  # the photograph in the painting's colours
    np.testing.assert_array_equal(result.image, images.resize(content, *FULL))
    assert result.history == []
    assert json.loads(result.metadata["nst losses"]) == {}
    assert asked.output.exists()


def test_no_steps_and_a_plot_is_a_triptych_alone(settings, tmp_path):
    stylize(settings(steps=0, plot=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out-triptych.png", "out.png"]


def test_a_kind_of_weight_zero_is_allowed_in_every_recipe(settings):
    for recipe in ("nst", "hvass"):
        inputs = prepare(settings(recipe="nst", content_weight=0, steps=3))
        mixed = replace(inputs.recipe, combination=RECIPES[recipe].combination)
        paint(replace(inputs, recipe=mixed))


# ---- How it stops --------------------------------------------------------------------


@pytest.mark.parametrize("last", [3, 8], ids=["at the coarse scale", "at the fine scale"])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_ctrl_c_saves_the_picture_so_far_at_full_size(settings, optimizer, last):
    seen = []

    def stop(progress):
        seen.append(progress.image.copy())
        if progress.step == last:
            raise KeyboardInterrupt

    asked = settings(optimizer=optimizer)
    with pytest.raises(KeyboardInterrupt) as interrupt:
        stylize(asked, on_progress=stop)
    assert interrupt.value.__notes__ == [f"The picture after step {last} is in {asked.output}."]
    expected = images.resize(seen[-1], *FULL)
    np.testing.assert_allclose(images.load(asked.output), expected, atol=0.51 / 255)
    assert json.loads(images.read_metadata(asked.output)["nst losses"])["step"] == last


def test_ctrl_c_before_the_first_step_saves_nothing(settings, monkeypatch):
    def interrupted(self, image):
        raise KeyboardInterrupt

    monkeypatch.setattr(Objective, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt) as interrupt:
        stylize(settings())
    assert not hasattr(interrupt.value, "__notes__")
    assert not settings().output.exists()


@pytest.mark.parametrize("optimizer", ["descent", "adam", "lbfgs"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stops_the_run_and_saves_the_last_good_picture(
    settings, monkeypatch, optimizer, value
):
    real, seen = Objective.evaluate, []

    def evaluate(self, image):
        losses, d_image = real(self, image)
        if len(seen) == 4:
            d_image[:] = np.nan
            return Losses(
                losses.total, {**losses.raw, "style relu2_1": np.asarray(value)}
            ), d_image
        return losses, d_image

    monkeypatch.setattr(Objective, "evaluate", evaluate)
    asked = settings(optimizer=optimizer)
    with pytest.raises(NstError, match=f"style relu2_1 is {value}, gradient is nan") as error:
        stylize(asked, on_progress=lambda progress: seen.append(progress.image.copy()))
    assert "content" not in str(error.value)
    assert error.value.__notes__ == [f"The picture after step 4 is in {asked.output}."]
    expected = images.resize(seen[-1], *FULL)
    np.testing.assert_allclose(images.load(asked.output), expected, atol=0.51 / 255)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_network_that_overflows_names_term_and_tap(settings, files, rng, monkeypatch):
    """Such a network is refused where it is read; this one gets past."""
    monkeypatch.setattr("nst.vgg.weights.check_values", lambda *_: None)
    arrays = draw_arrays(FOUR_BLOCKS, rng)
    arrays["conv3_2.weight"] *= 1e25
    path = files / "huge.onnx"
    export_network(weights.from_arrays(arrays, "average", name="huge"), path)
    with pytest.raises(NstError, match=r"style relu4_1 is (nan|inf)") as error:
        stylize(settings(model=str(path)))
    assert "relu1_1" not in str(error.value)
    assert not settings().output.exists()  # there was no good picture yet


# ---- Before it starts ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"output": "nowhere/out.png"}, "nowhere"),
        ({"output": "out.gif"}, "gif"),
        ({"log": "nowhere/losses.csv"}, "nowhere"),
        ({"recipe": "gatys"}, "no tap 'relu4_2'; it has conv1_1"),
        ({"model": "nowhere.onnx"}, "nowhere.onnx"),
    ],
)
def test_what_cannot_work_to_its_end_does_not_begin(
    settings, tmp_path, monkeypatch, changes, told
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Objective, "evaluate", None)
    with pytest.raises(NstError) as error:
        stylize(settings(**changes))
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_recipe_that_does_not_clip_still_gives_a_picture(settings):
    """Uniform noise under L-BFGS leaves [0, 1] in a step."""
    asked = settings(recipe="pystiche", model="vgg16-slim", size=48, scales=1, steps=4)
    image = stylize(asked).image
    assert image.min() >= 0
    assert image.max() <= 1


def test_what_one_size_was_painted_with_is_gone_when_the_next_is_measured(settings, monkeypatch):
    """Else both would have to fit into memory, the network's arrays too."""
    here, open_at = sys.modules["nst.stylize"], []
    real, kept = here.objective_at, []

    def objective_at(inputs, *at):
        open_at.append([one() is not None for one in kept])
        assert not any(in_use.values())
        objective = real(inputs, *at)
        kept.append(weakref.ref(objective))
        return objective

    in_use = {}
    evaluate, release = Objective.evaluate, Vgg.release

    def evaluated(self, image):
        in_use[id(self.vgg)] = True
        return evaluate(self, image)

    def released(self):
        in_use[id(self)] = False
        release(self)

    monkeypatch.setattr(here, "objective_at", objective_at)
    monkeypatch.setattr(Objective, "evaluate", evaluated)
    monkeypatch.setattr(Vgg, "release", released)
    paint(prepare(settings(recipe="strokes", size=64, scales=(32, 64), steps=(1, 1, 2))))
    assert open_at == [[], [False], [False, False]]
