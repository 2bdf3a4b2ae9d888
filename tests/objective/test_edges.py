"""The photograph's edges: a loss of the pixels, exact in tiles, in every kind of run."""

from dataclasses import replace

import numpy as np
import pytest
from gradcheck import assert_gradient
from objectives import recipe_of
from running import paint
from small_networks import ReferenceVgg, draw_arrays

from nst import cli, stylize
from nst.losses import edges_loss
from nst.objective import Objective, Targets, Term
from nst.objective.edges import edges_of, seen_of
from nst.objective.objective import combine
from nst.objective.recipes import RECIPES
from nst.pictures import images
from nst.run.inputs import prepare
from nst.run.scales import Scale
from nst.run.targets import objective_at
from nst.vgg.architecture import Architecture

ONE_BLOCK = Architecture(((3,),))
SHAPES = [(3, 4, 4), (3, 8, 12), (3, 23, 17)]  # one block; whole blocks; with remainders


def naive_edges(image, white):
    """Lapstyle's formula by loops; beyond the border a block is its own neighbour."""
    _, height, width = image.shape
    rows, columns = height // 4, width // 4
    found = np.zeros((rows, columns))
    for r, c in np.ndindex(rows, columns):
        for dr, dc in [(-1, 0), (1, 0), (0, -1), (0, 1)]:
            if 0 <= r + dr < rows and 0 <= c + dc < columns:
                for channel in range(3):
                    here, there = (
                        white * image[channel, 4 * a : 4 * a + 4, 4 * b : 4 * b + 4].mean()
                        for a, b in [(r, c), (r + dr, c + dc)]
                    )
                    found[r, c] += here - there
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("white", [1.0, 255.0])
def test_the_loss_is_the_mean_square_of_what_the_edges_differ_by(rng, shape, white):
    image, photograph = rng.random((2, *shape))
    target = edges_of(photograph, white)
    difference = naive_edges(image, white) - naive_edges(photograph, white)
    expected = sum(d * d for d in difference.flat) / difference.size
    loss, _ = edges_loss(image, target, white)
    assert loss == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("seen", [None, "some"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_is_the_slope(rng, shape, seen):
    image, photograph = rng.random((2, *shape))
    target = edges_of(photograph, 3.0)
    if seen:
        seen = (rng.random(target.shape) > 0.4).astype(float)
    _, d_image = edges_loss(image, target, 3.0, 0.7, seen=seen)
    assert_gradient(lambda x: 0.7 * edges_loss(x, target, 3.0, seen=seen)[0], image, d_image)


def test_the_gradient_is_added_to_what_is_there(rng):
    image, photograph, d_image = rng.random((3, 3, 9, 14))
    target, before = edges_of(photograph), d_image.copy()
    _, expected = edges_loss(image, target)
    _, found = edges_loss(image, target, out=d_image, add=True)
    assert found is d_image
    np.testing.assert_allclose(found, before + expected, rtol=1e-12)


def test_colours_are_free_and_lines_are_not(rng):
    photograph = rng.random((3, 16, 20))
    target = edges_of(photograph)
    darker = photograph - np.reshape([0.1, 0.2, 0.05], (3, 1, 1))
    assert edges_loss(darker, target)[0] == pytest.approx(0, abs=1e-20)
    assert edges_loss(photograph[:, ::-1].copy(), target)[0] > 0.01


# ---- Among the other losses ----------------------------------------------------------


@pytest.fixture
def vgg(rng):
    return ReferenceVgg(ONE_BLOCK, draw_arrays(ONE_BLOCK, rng), ["relu1_1"], "average")


@pytest.mark.parametrize("relative", [False, True])
def test_a_weight_weighs_them_in_the_total(vgg, rng, relative):
    image, photograph = rng.random((2, 3, 18, 25))
    target = edges_of(photograph, 5.0)
    recipe = recipe_of({"relu1_1": 2.0}, {}, 0.3, edges=7.0, pixel_range=5.0, relative=relative)
    targets = Targets(vgg.features(photograph), {}, edges=target)
    losses, d_image = Objective(vgg, targets, recipe).evaluate(image)
    plain, d_plain = Objective(vgg, targets, replace(recipe, edges=0.0)).evaluate(image)
    loss, d_edges = edges_loss(image, target, 5.0)
    size = np.mean(target**2) if relative else 1
    assert losses.raw["edges"] == loss
    assert losses.total == pytest.approx(plain.total + 7 * loss / size)
    np.testing.assert_allclose(d_image, d_plain + 7 / size * d_edges, rtol=1e-9, atol=1e-12)


def test_in_a_sum_of_logarithms_their_weight_is_divided_by_their_loss(vgg, rng):
    image, photograph = rng.random((2, 3, 18, 25))
    target = edges_of(photograph)
    recipe = recipe_of({}, {}, 0.3, edges=7.0, combination="log")
    objective = Objective(vgg, Targets({}, {}, edges=target), recipe)
    losses, d_image = objective.evaluate(image)
    terms = [
        Term("edges", "image", 7.0, edges_loss(image, target)[0]),
        Term("smoothness", "image", 0.3, losses.raw["smoothness"]),
    ]
    assert losses.total == pytest.approx(combine(terms, "log")[0])
    assert_gradient(lambda x: float(objective.evaluate(x)[0].total), image, d_image, rtol=1e-5)


def test_a_weight_without_a_target_is_refused(vgg):
    with pytest.raises(ValueError, match=r"edges weigh 2, and there is no target for them"):
        Objective(vgg, Targets({}, {}), recipe_of({}, {}, edges=2))


# ---- In a run ------------------------------------------------------------------------


def distance(image, files):
    """How far the edges of a picture are from the photograph's."""
    photograph = images.resize(images.load(files / "photograph.png"), *image.shape[1:])
    return edges_loss(image, edges_of(photograph))[0]


@pytest.mark.parametrize("recipe", ["nst", "crowson"])
def test_a_run_keeps_more_of_them(settings, files, recipe):
    taps = {"content_taps": {"relu3_1": 1.0}, "style_taps": {"relu1_1": 1.0}}
    asked = {"recipe": recipe, "size": 96, "scales": 1, "steps": 30, "init": "noise"} | taps
    weight = 50.0 if recipe == "nst" else 5e3
    plain, kept = (stylize(settings(edges=w, **asked)) for w in (0, weight))
    assert distance(kept.image, files) < 0.8 * distance(plain.image, files)
    assert "edges" in kept.history[-1]
    assert "edges" not in plain.history[-1]


def test_without_them_a_run_never_asks_for_them(settings, monkeypatch):
    def never(*_, **__):
        raise AssertionError("asked for edges")

    monkeypatch.setattr(edges_loss, "__code__", never.__code__)
    monkeypatch.setattr(edges_of, "__code__", never.__code__)
    paint(prepare(settings(steps=2)))


def test_what_is_transparent_has_no_edges_to_keep(settings, files, rng):
    """Against the formula written out."""
    shown, white = np.ones((90, 75), np.float32), RECIPES["nst"].pixel_range
    shown[30:60, 20:60] = 0
    images.save(files / "window.png", images.load(files / "photograph.png"), shown)
    changes = {"content": files / "window.png", "edges": 40.0, "output": None}
    objective = objective_at(prepare(settings(**changes)), Scale(90, 75, 1))
    image, target = rng.random((3, 90, 75), np.float32), objective.targets.edges
    seen = objective.targets.seen["image"]
    assert 0.5 < seen.mean() < 0.9
    difference = (naive_edges(image, white) - target) * seen
    losses, _ = objective.evaluate(image)
    assert losses.floats()["edges"] == pytest.approx(np.mean(difference**2), rel=1e-5)


def test_an_edge_is_seen_where_all_that_it_is_made_of_is_shown():
    shown = np.ones((24, 33))
    shown[9, 14] = 0  # in the third row of blocks and the fourth column
    expected = np.ones((6, 8))
    expected[2, 3] = expected[1, 3] = expected[3, 3] = expected[2, 2] = expected[2, 4] = 0
    np.testing.assert_array_equal(seen_of(shown), expected)


def test_the_command_line_takes_a_weight(files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    words = "stylize photograph.png painting.png --edges -1 --model vgg16-slim".split()
    assert cli.main(words) == 2
    assert "--edges" in capsys.readouterr().err
