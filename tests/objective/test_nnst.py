"""The recipe nnst against the program's own algorithm, written anew in float64.

Nothing is shared with nst but the network's numbers, the sizes at which pictures are seen, and how
they are brought there: that nst does in its own way, and says so.
"""

from dataclasses import replace

import numpy as np
import pytest
from gradcheck import assert_gradient
from objective.test_recipe_objectives import TORCH_MEAN, TORCH_STD, NaiveVgg
from objectives import mask_of, recipe_of
from running import begun
from small_networks import NARROW_VGG16, ReferenceVgg, draw_arrays, relative_error
from stopping import assert_the_same_when_stopped, stop_after

from nst import resume, stylize
from nst.devices import CPU
from nst.errors import NstError
from nst.objective import Objective, Region, Targets
from nst.objective.recipes import RECIPES, describe
from nst.objective.style import style_loss
from nst.objective.styles import split
from nst.objective.styles.neighbours import NeighboursStyle
from nst.objective.styles.split import SplitStyle
from nst.objective.styles.sums import Mask
from nst.optimizers import Adam, PyramidAdam, pyramid
from nst.pictures import colour, images
from nst.run import checkpoints
from nst.run.inputs import prepare
from nst.run.plan import plan
from nst.run.scales import Scale
from nst.run.targets import objective_at, painting_size
from nst.settings import Painting
from nst.stylize import complete
from nst.vgg import Vgg, weights
from nst.vgg.architecture import HYPERCOLUMN, HYPERCOLUMN_POINTS, Architecture

RECIPE = RECIPES["nnst"]
LAYERS = NARROW_VGG16.parts(HYPERCOLUMN)
ONE = RECIPE.style[HYPERCOLUMN_POINTS]


# ---- The program, in float64 ---------------------------------------------------------


def points(length, count, corners):
    """Return the matrix (count, length) that samples a line at ``count`` points."""
    matrix = np.zeros((count, length))
    for i in range(count):
        at = i * (length - 1) / max(count - 1, 1) if corners else (i + 0.5) * length / count - 0.5
        at = max(at, 0.0)
        first = min(int(at), length - 1)
        matrix[i, first] += 1 - (at - first)
        matrix[i, min(first + 1, length - 1)] += at - first
    return matrix


def sampled(maps, height, width, corners=False):
    rows, columns = points(maps.shape[1], height, corners), points(maps.shape[2], width, corners)
    return np.stack([rows @ one @ columns.T for one in maps])


def sampled_backward(d_maps, height, width, corners=False):
    rows, columns = (
        points(n, m, corners) for n, m in ((height, d_maps.shape[1]), (width, d_maps.shape[2]))
    )
    return np.stack([rows.T @ one @ columns for one in d_maps])


def decomposed(image):
    levels = []
    while max(image.shape[1:]) >= 4:
        height, width = (max(1, n // 2) for n in image.shape[1:])
        small = sampled(image, height, width)
        levels.append(image - sampled(small, *image.shape[1:]))
        image = small
    return [*levels, image]


def composed(levels):
    image = levels[-1]
    for level in levels[-2::-1]:
        image = level + sampled(image, *level.shape[1:])
    return image


class Program:
    """One network, and what the program does with it."""

    def __init__(self, arrays):
        self.network = NaiveVgg(arrays, "max")
        self.network.layers = NARROW_VGG16.layers

    def layers(self, image):
        outputs = self.network.forward((image - TORCH_MEAN) / TORCH_STD)
        return {name: outputs[name] for name in LAYERS}, outputs

    def column(self, image):
        layers, outputs = self.layers(image)
        height, width = (n // 4 for n in image.shape[1:])
        parts = [sampled(f, height, width, True) / len(f) for f in layers.values()]
        return np.concatenate(parts).reshape(-1, height * width), outputs

    def columns_of_style(self, style):
        turned = [np.rot90(style, quarters, (1, 2)) for quarters in range(4)]
        return np.concatenate([self.column(np.array(one))[0] for one in turned], axis=1)

    def targets(self, asking, style):
        """Return for each position the style's vector of the smallest centred cosine distance."""
        vectors, own = self.columns_of_style(style), self.column(asking)[0]
        return vectors[:, nearest(own, vectors)]

    def matched(self, image, targets):
        """Return loss and gradient of the stages that match hypercolumns."""
        column, outputs = self.column(image)
        lengths, wanted = np.linalg.norm(column, axis=0), unit(targets)
        cosines = (column * wanted).sum(axis=0) / lengths
        d_column = (cosines * column / lengths - wanted) / lengths / column.shape[1]
        height, width = (n // 4 for n in image.shape[1:])
        d_taps, first = {}, 0
        for name in LAYERS:
            channels = len(outputs[name])
            rows = d_column[first : first + channels].reshape(channels, height, width) / channels
            d_taps[name] = sampled_backward(rows, *outputs[name].shape[1:], True)
            first += channels
        return np.mean(1 - cosines), self.back(d_taps, outputs)

    def split(self, image, style, draws, longest):
        """Return loss and gradient of the last pass, each layer's first row and column drawn."""
        layers, outputs = self.layers(image)
        turned = [self.layers(np.array(np.rot90(style, q, (1, 2))))[0] for q in range(4)]
        total, d_taps = 0.0, {}
        for name, features in layers.items():
            step = max(1, max(features.shape[1:]) // longest)
            row, column = (int(step * draw) for draw in next(draws))
            here = np.s_[:, row::step, column::step]
            vectors = np.concatenate([flat(one[name][here]) for one in turned], axis=1)
            own = flat(features[here])
            y, wanted = own - own.mean(axis=1, keepdims=True), centred_units(vectors)
            wanted = wanted[:, nearest(own, vectors)]
            lengths = np.linalg.norm(y, axis=0)
            cosines = (y * wanted).sum(axis=0) / lengths
            total += np.mean(1 - cosines)
            d_y = (cosines * y / lengths - wanted) / lengths / y.shape[1]
            d_taps[name] = np.zeros_like(features)
            d_own = d_y - d_y.mean(axis=1, keepdims=True)
            d_taps[name][here] = d_own.reshape(features[here].shape)
        return total, self.back(d_taps, outputs)

    def back(self, d_taps, outputs):
        return self.network.backward(d_taps, outputs) / TORCH_STD


def flat(features):
    return features.reshape(len(features), -1)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=0)


def centred_units(vectors):
    return unit(vectors - vectors.mean(axis=1, keepdims=True))


def nearest(asking, vectors):
    distances = 1 - centred_units(asking).T @ centred_units(vectors)
    return distances.argmin(axis=1)


def descended(image, evaluate, steps):
    """Return the image after so many steps of Adam on its pyramid, 2e-3 each."""
    levels = decomposed(image)
    m, v = ([np.zeros_like(level) for level in levels] for _ in range(2))
    for t in range(1, steps + 1):
        _, pull = evaluate(composed(levels))
        for k, level in enumerate(levels):
            if k:
                pull = sampled_backward(pull, *level.shape[1:])
            m[k] = 0.9 * m[k] + 0.1 * pull
            v[k] = 0.999 * v[k] + 0.001 * pull**2
            level -= 2e-3 * (m[k] / (1 - 0.9**t)) / (np.sqrt(v[k] / (1 - 0.999**t)) + 1e-8)
    return composed(levels)


# ---- The objective ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def arrays():
    return draw_arrays(NARROW_VGG16, np.random.default_rng(16))


@pytest.fixture
def narrow(arrays, monkeypatch):
    """Let runs paint with the narrow network."""
    network = weights.from_arrays(arrays, "max")
    monkeypatch.setattr(weights, "load", lambda *_: network)
    return network


def inputs_of(settings, **asked):
    return prepare(settings(recipe="nnst", **asked))


def test_matching_columns_is_what_the_program_does(settings, narrow, arrays, rng):
    inputs = inputs_of(settings)
    program, (height, width) = Program(arrays), (38, 33)
    asking = rng.random((3, height, width)).astype(np.float32)
    objective = objective_at(inputs, Scale(height, width, 1), asking=asking)
    style = images.resize(inputs.style, *images.fit(*inputs.style.shape[1:], 38))
    targets = program.targets(asking.astype(np.float64), style.astype(np.float64))
    ((region,),) = objective.targets.style.values()
    np.testing.assert_allclose(flat(region.style.target), unit(targets), rtol=1e-4, atol=1e-6)

    image = rng.random((3, height, width)).astype(np.float32)
    losses, d_image = objective.evaluate(image)
    total, d_expected = program.matched(image.astype(np.float64), targets)
    assert losses.total == pytest.approx(total, rel=1e-5)
    assert relative_error(d_image, d_expected) < 1e-4


def test_splitting_features_is_what_the_program_does(settings, narrow, arrays, rng, monkeypatch):
    """It draws a row and a column for each layer, at every evaluation."""
    monkeypatch.setattr(split, "LOOKED_AT", 9)  # of 38: every fourth; in block 4 every one
    inputs = inputs_of(settings, seed=3).fine
    program, (height, width) = Program(arrays), (38, 33)
    objective = objective_at(inputs, Scale(height, width, 1, fine=True))
    style = images.resize(inputs.style, *images.fit(*inputs.style.shape[1:], 38))
    image = rng.random((3, height, width)).astype(np.float32)
    for evaluation in range(3):
        losses, d_image = objective.evaluate(image)
        chance = np.random.default_rng([3, evaluation])
        draws = (chance.random(2) for _ in LAYERS)
        total, d_expected = program.split(
            image.astype(np.float64), style.astype(np.float64), draws, 9
        )
        assert losses.total == pytest.approx(total, rel=1e-5)
        assert relative_error(d_image, d_expected) < 1e-4


def test_a_whole_run_is_that_of_the_program(settings, narrow, arrays):
    """Two scales of columns, then the last pass; before the colours."""
    asked = settings(
        recipe="nnst", size=40, scales=(20, 40), steps=(4, 3, 3), style_weight=1.0, seed=5
    )
    inputs, planned, state = begun(prepare(asked))
    assert [(scale.steps, scale.fine) for scale in planned.scales] == [
        (4, False), (3, False), (3, True),
    ]  # fmt: skip
    complete(inputs, planned, state)

    program, photograph = Program(arrays), inputs.content
    sizes = [(scale.height, scale.width) for scale in planned.scales]
    small, large = (images.resize(photograph, *size).astype(np.float64) for size in sizes[:2])
    styles = [
        images.resize(inputs.style, *painting_size(inputs, inputs.paintings[0], scale))
        for scale in planned.scales
    ]
    targets = program.targets(small, styles[0].astype(np.float64))
    here = descended(small.copy(), lambda image: program.matched(image, targets), 4)
    carried = images.resize(here.astype(np.float32), *sizes[1]).astype(np.float64)
    details = large - images.resize(small.astype(np.float32), *sizes[1])
    asking = 0.75 * large + 0.25 * (carried + details)
    targets = program.targets(asking, styles[1].astype(np.float64))
    here = descended(carried, lambda image: program.matched(image, targets), 3)
    chances = (np.random.default_rng([5, evaluation]) for evaluation in range(3))

    def last_pass(image):
        chance = next(chances)
        draws = (chance.random(2) for _ in LAYERS)
        return program.split(image, styles[2].astype(np.float64), draws, 64)

    expected = descended(here, last_pass, 3)
    assert np.abs(state.image - expected).mean() < 1e-5
    assert np.abs(expected - images.resize(photograph, *sizes[1])).mean() > 2e-3  # it has moved


# ---- Slopes, in float64 ----------------------------------------------------------------


def test_columns_by_point_sampling_have_the_slope_that_they_claim(rng):
    architecture = Architecture(((3,), (4, 2), (3,), (2,)))
    taps = (HYPERCOLUMN_POINTS,)
    vgg = ReferenceVgg(architecture, draw_arrays(architecture, rng), taps, "average")
    channels, height, width = architecture.shape(HYPERCOLUMN_POINTS, 27, 34)
    field = unit(rng.standard_normal((channels, height * width))).reshape(-1, height, width)
    style = {HYPERCOLUMN_POINTS: [Region(NeighboursStyle(field, CPU))]}
    objective = Objective(vgg, Targets({}, style), recipe_of({}, {HYPERCOLUMN_POINTS: 2.0}))
    image = rng.random((3, 27, 34))
    _, d_image = objective.evaluate(image)
    assert_gradient(lambda i: objective.evaluate(i)[0].total, image, d_image)


@pytest.mark.parametrize("with_mask", [False, True])
def test_split_features_have_the_slope_that_they_claim(rng, with_mask, monkeypatch):
    monkeypatch.setattr(split, "LOOKED_AT", 4)
    collected = [
        SplitStyle.collect(rng.random((5, *size))) + SplitStyle.collect(rng.random((5, 4, 9)))
        for size in ((6, 7), (9, 5))
    ]
    every_second = slice(1, None, 2), slice(0, None, 2)
    style = replace(SplitStyle.blend(collected, (2, 1)), grid=every_second)
    mask = mask_of(rng.random((8, 9))) if with_mask else None
    region, image = Region(style, mask, 0.7), rng.random((5, 8, 9))
    _, d_image = style_loss(image, region, 1.3)
    assert_gradient(lambda f: 1.3 * style_loss(f, region)[0], image, d_image)
    assert not d_image[:, 0::2].any()  # the first row was drawn, and of two each second is seen
    assert d_image[:, 1::2, ::2].any()


def test_several_paintings_count_by_their_shares(rng):
    one, other = (SplitStyle.collect(rng.random((4, 5, 6))) for _ in range(2))
    image = rng.random((4, 5, 5))
    alone = [style_loss(image, SplitStyle.blend([each], [1.0]))[0] for each in (one, other)]
    both = SplitStyle.blend([SplitStyle.blend([one, other], [3, 1]), one], [1, 1])
    assert both.shares == pytest.approx((0.375, 0.125, 0.5))
    assert style_loss(image, both)[0] == pytest.approx(0.875 * alone[0] + 0.125 * alone[1])


def test_a_mask_of_the_painting_leaves_positions_out(rng):
    painting, image = rng.random((4, 6, 7)), rng.random((4, 5, 5))
    pixels = np.zeros((6, 7), np.float32)
    pixels[1:4, 2:6], pixels[0, 0] = 1, 0.3
    seen = SplitStyle.blend([SplitStyle.collect(painting, Mask(pixels, pixels))], [1])
    cut = SplitStyle.blend([SplitStyle.collect(painting[:, 1:4, 2:6])], [1])
    assert style_loss(image, seen)[0] == pytest.approx(style_loss(image, cut)[0], rel=1e-12)
    dim = SplitStyle.blend([SplitStyle.collect(painting, Mask(pixels / 4, pixels / 4))], [1])
    assert style_loss(image, dim)[0] == style_loss(image, seen)[0]  # "seen" is of the brightest
    nothing = Mask(0 * pixels, 0 * pixels)
    with pytest.raises(NstError, match="mask leaves nothing of the painting"):
        style_loss(image, SplitStyle.blend([SplitStyle.collect(painting, nothing)], [1]))


@pytest.mark.parametrize("row", range(4))
@pytest.mark.parametrize("masked", [False, True])
def test_whatever_is_drawn_something_of_the_painting_is_looked_at(rng, row, masked):
    """A painting of fewer rows than the step has, and a mask between the rows of the grid."""
    painting, image = rng.random((4, 3, 17)), rng.random((4, 8, 8))
    pixels = np.zeros((3, 17), np.float32)
    pixels[1, 8:] = 0.2
    grid = slice(row, None, 4), slice(3, None, 4)
    mask = Mask(pixels, pixels) if masked else None
    style = replace(SplitStyle.blend([SplitStyle.collect(painting, mask)], [1]), grid=grid)
    seen = painting[:, row % 3 :: 4, 3::4]
    if masked:
        seen = painting[:, 1:2, 11::4] if row == 1 else painting[:, 1:2, 8::4]
    large = seen.repeat(4, axis=1).repeat(4, axis=2)  # of which any such grid sees all
    alone = replace(SplitStyle.blend([SplitStyle.collect(large)], [1]), grid=grid)
    assert style_loss(image, style)[0] == pytest.approx(style_loss(image, alone)[0], rel=1e-12)


def test_where_the_image_has_a_mask_only_its_inside_counts(rng):
    painting, image = rng.random((4, 6, 7)), rng.random((4, 5, 6))
    style = SplitStyle.blend([SplitStyle.collect(painting)], [1])
    pixels = np.zeros((5, 6))
    pixels[1:4, 2:5] = 1
    loss, d_image = style_loss(image, Region(style, Mask(pixels, pixels)))
    inside, d_inside = style_loss(np.ascontiguousarray(image[:, 1:4, 2:5]), style)
    assert loss == pytest.approx(inside, rel=1e-12)
    np.testing.assert_allclose(d_image[:, 1:4, 2:5], d_inside, rtol=1e-9, atol=1e-15)
    assert not (d_image * (1 - pixels)).any()


# ---- Adam on a pyramid -----------------------------------------------------------------


@pytest.mark.parametrize("size", [(37, 22), (5, 64), (16, 3)])
def test_a_pyramid_is_that_of_the_program_and_its_gradient_the_slope(rng, size):
    image, d_image = rng.random((3, *size)), rng.standard_normal((3, *size))
    levels = pyramid.decomposed(image)
    assert [level.shape[1:] for level in levels] == pyramid.sizes_of(*size)
    for found, expected in zip(levels, decomposed(image), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(pyramid.composed(levels), image, atol=1e-12)
    d_levels = pyramid.composed_backward(d_image, levels)
    for k, (level, d_level) in enumerate(zip(levels, d_levels, strict=True)):

        def loss(changed, k=k):
            return np.vdot(d_image, pyramid.composed([*levels[:k], changed, *levels[k + 1 :]]))

        assert_gradient(loss, level, d_level)


def test_at_512_pixels_a_pyramid_has_the_program_s_eight_steps():
    sizes = pyramid.sizes_of(384, 512)
    assert (len(sizes), sizes[-1]) == (9, (1, 2))
    assert len(pyramid.sizes_of(48, 64)) == 6


def test_adam_moves_coefficients(rng):
    image = rng.random((3, 21, 34))
    pulls = list(rng.standard_normal((4, 3, 21, 34)))
    given = iter(pulls)
    expected = descended(image, lambda here: (0.0, next(given)), 4)
    optimizer, here = PyramidAdam(bounds=None), image.copy()
    for pull in pulls:
        optimizer.step(here, np.asarray(0.0), pull)
    np.testing.assert_allclose(here, expected, rtol=1e-10)
    pixels = image.copy()
    adam = Adam(0.002, bounds=None)
    for pull in pulls:
        adam.step(pixels, np.asarray(0.0), pull)
    assert np.abs(here - pixels).max() > 1e-3  # which is another way


# ---- The colour pass -------------------------------------------------------------------


def oklab(image):
    """Return OkLab of (3, H, W), pixel by pixel."""
    found = np.empty(image.shape)
    for place in np.ndindex(image.shape[1:]):
        r, g, b = image[:, *place]
        x = np.cbrt(0.4121656120 * r + 0.5362752080 * g + 0.0514575653 * b)
        y = np.cbrt(0.2118591070 * r + 0.6807189584 * g + 0.1074065790 * b)
        z = np.cbrt(0.0883097947 * r + 0.2818474174 * g + 0.6302613616 * b)
        found[:, *place] = (
            0.2104542553 * x + 0.7936177850 * y - 0.0040720468 * z,
            1.9779984951 * x - 2.4285922050 * y + 0.4505937099 * z,
            0.0259040371 * x + 0.7827717662 * y - 0.8086757660 * z,
        )
    return found


def recoloured(values, style):
    """Return ``values`` (N, H, W), whitened and coloured through singular values."""
    own, target = flat(values), flat(style)
    mean, wanted = own.mean(axis=1, keepdims=True), target.mean(axis=1, keepdims=True)
    ridge = 1e-4 * np.eye(len(values))
    u, s, _ = np.linalg.svd((own - mean) @ (own - mean).T / own.shape[1] + ridge)
    v, t, _ = np.linalg.svd((target - wanted) @ (target - wanted).T / target.shape[1] + ridge)
    white = u @ np.diag(s**-0.5) @ u.T @ (own - mean)
    return (v @ np.diag(t**0.5) @ v.T @ white + wanted).reshape(values.shape)


def clipped_to(values, style):
    return np.stack([v.clip(s.min(), s.max()) for v, s in zip(values, style, strict=True)])


def smoothed(lab):
    """Return OkLab with its a and b smoothed five times where L is smooth."""
    lightness, chroma = lab[0], lab[1:]
    height, width = lightness.shape
    for _ in range(5):
        after = np.empty_like(chroma)
        for row, column in np.ndindex(height, width):
            total, whole = 0.0, 0.0
            for i in (row - 1, row, row + 1):
                for j in (column - 1, column, column + 1):
                    there = min(max(i, 0), height - 1), min(max(j, 0), width - 1)
                    weight = np.exp(-5 * abs(lightness[there] - lightness[row, column])) ** 2
                    total, whole = total + weight * chroma[:, *there], whole + weight
            after[:, row, column] = total / whole
        chroma = after
    return np.concatenate([lab[:1], chroma])


def coloured_by_the_program(painted, photograph, style):
    lab, own, target = oklab(painted), oklab(photograph), oklab(style)
    new = clipped_to(lab, target)
    covariance = np.cov(flat(target), bias=True)
    if np.abs(covariance[1:, 1:]).max() < 6e-5:
        new = recoloured(np.concatenate([new[:1], lab[1:]]), target)
    else:
        new = smoothed(np.concatenate([new[:1], recoloured(own[1:], target[1:])]))
    return oklab_back(clipped_to(new, target))


def oklab_back(lab):
    cones = np.array(
        [
            [1, 0.3963377774, 0.2158037573],
            [1, -0.1055613458, -0.0638541728],
            [1, -0.0894841775, -1.2914855480],
        ]
    )
    light = np.array(
        [
            [4.0767245293, -3.3072168827, 0.2307590544],
            [-1.2681437731, 2.6093323231, -0.3411344290],
            [-0.0041119885, -0.7034763098, 1.7068625689],
        ]
    )
    return np.tensordot(light, np.tensordot(cones, lab, 1) ** 3, 1).clip(0, 1)


@pytest.mark.parametrize("grey", [False, True])
def test_the_colours_are_the_program_s(rng, grey):
    painted, photograph, style = (
        rng.uniform(low, high, (3, *size))
        for low, high, size in ((0, 1, (9, 12)), (0.2, 1, (9, 12)), (0.1, 0.8, (7, 11)))
    )
    style = style[:1].repeat(3, axis=0) if grey else style
    palette = colour.palette_of([style], [None], [1.0])
    found = colour.with_chroma_of(painted, photograph, palette)
    expected = coloured_by_the_program(painted, photograph, style)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_run_ends_in_the_program_s_colours(settings, narrow):
    asked = settings(recipe="nnst", size=40, scales=(20, 40), steps=(2, 2, 2))
    inputs, planned, state = begun(prepare(asked))
    complete(inputs, planned, state)
    found = inputs.present(CPU.asnumpy(state.image))
    style = images.resize(inputs.style, *images.fit(*inputs.style.shape[1:], 40))
    photograph = images.resize(inputs.photograph, *found.shape[1:])
    doubles = (a.astype(np.float64) for a in (state.image.clip(0, 1), photograph, style))
    np.testing.assert_allclose(found, coloured_by_the_program(*doubles), atol=1e-4)


# ---- The run ---------------------------------------------------------------------------


def test_its_numbers_are_those_of_the_program():
    assert RECIPE.sides_to(512, 2) == [64, 128, 256, 512]
    assert RECIPE.steps_to(512, 2) == (199,) * 5  # the program leaves its last step out
    assert (RECIPE.step_size, RECIPE.betas, RECIPE.photograph_share) == (0.002, (0.9, 0.999), 0.75)
    assert (RECIPE.looked_at, RECIPE.rotations, RECIPE.pooling) == (None, True, "max")
    assert set(RECIPE.fine.style) == set(LAYERS)
    assert RECIPE.fine.optimizer == RECIPE.optimizer == "pyramid"
    assert "relu3_3" in describe("nnst")


SMALL = {"recipe": "nnst", "size": 48, "scales": (24, 48)}


def test_a_run_that_was_stopped_goes_on_with_the_same_bits(settings, narrow, tmp_path):
    """In the scales of columns, between, and in the last pass."""
    asked = settings(**SMALL, steps=(2, 3, 3))
    assert_the_same_when_stopped(asked, tmp_path / "checkpoint", 1, 2, 4, 5, 7)


def test_the_log_tells_the_columns_of_the_last_pass(settings, narrow, tmp_path):
    log = tmp_path / "losses.csv"
    stylize(settings(**SMALL, steps=(1, 1, 2), log=log))
    lines = log.read_text().splitlines()
    assert len(lines) == 6
    assert lines[0].endswith("style hypercolumn_points")
    assert lines[3].startswith("step,scale")
    assert "style relu4_3" in lines[3]


def test_a_pyramid_that_does_not_fit_is_refused(settings, narrow, tmp_path):
    asked = settings(**SMALL, steps=(2, 3, 3), checkpoint=tmp_path / "checkpoint")
    with pytest.raises(KeyboardInterrupt):
        stylize(asked, on_progress=stop_after(4))
    saved = checkpoints.load(tmp_path / "checkpoint")
    saved.optimizer["levels"][1] = saved.optimizer["levels"][1][:, 1:]
    checkpoints.save(tmp_path / "checkpoint", saved, CPU)
    with pytest.raises(NstError, match="the pyramid cannot be so"):
        resume(tmp_path / "checkpoint")


def test_what_does_not_fit_is_refused_and_not_cut_into_tiles(settings, narrow):
    inputs = inputs_of(settings, size=400)
    with pytest.raises(NstError, match=r"painting \d+ x \d+ pixels takes .*memory"):
        plan(replace(inputs, settings=replace(inputs.settings, memory="60MB")))
    planned = plan(replace(inputs, settings=replace(inputs.settings, memory="8GB")))
    assert planned.side is None
    assert len(planned.estimate.scales) == len(planned.scales)


def test_without_strength_it_is_the_photograph(settings, narrow):
    result = stylize(settings(**SMALL, strength=0.0))
    photograph = prepare(settings(**SMALL)).photograph
    expected = images.resize(photograph, *result.image.shape[1:])
    assert np.abs(result.image - expected).max() < 2e-3


def test_strength_goes_evenly_from_the_photograph_to_the_painting(settings, narrow):
    moved = []
    whole = stylize(settings(**SMALL, steps=(6, 6, 6))).image
    for strength in (0.3, 0.7):
        found = stylize(settings(**SMALL, steps=(6, 6, 6), strength=strength)).image
        moved.append(np.abs(found - whole).mean())
    assert moved[0] > moved[1] > 0


def test_the_last_pass_looks_at_every_painting_at_all_layers(settings, narrow):
    asked = settings(**SMALL, steps=(1, 1, 1))
    (only,) = asked.style
    here = replace(asked, style=(Painting(only.path, taps=(HYPERCOLUMN_POINTS,)),))
    np.testing.assert_array_equal(stylize(here).image, stylize(asked).image)


def test_turned_paintings_are_looked_at_with_their_masks(settings, narrow, tmp_path, rng):
    pixels = np.zeros((30, 40), np.float32)
    pixels[:10, :25] = 1
    images.save(tmp_path / "mask.png", np.repeat(pixels[None], 3, axis=0))
    asked = settings(**SMALL)
    (only,) = asked.style
    masked = replace(asked, style=(Painting(only.path, mask=tmp_path / "mask.png"),))
    inputs = prepare(masked)
    objective = objective_at(inputs, Scale(32, 40, 1))
    size = images.fit(*inputs.style.shape[1:], 40)
    style, mask = images.resize(inputs.style, *size), images.resize(pixels, *size)
    network = Vgg(inputs.vgg.network, [HYPERCOLUMN_POINTS], "max")
    kept = []
    for quarters in range(4):
        turned = np.ascontiguousarray(np.rot90(style, quarters, (1, 2)))
        column = network.features(turned)[HYPERCOLUMN_POINTS]
        there = np.rot90(mask, quarters)
        rows, columns = column.shape[1:]
        seen = there[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4).mean(axis=(1, 3))
        kept.append(column[:, seen >= 0.5])
    vectors = unit(np.concatenate(kept, axis=1))
    ((region,),) = objective.targets.style.values()
    cosines = vectors.T @ flat(region.style.target)
    assert cosines.max(axis=0).min() > 1 - 1e-5
