"""Nearest features: the statistic against a computation of its own, and every way of painting."""

from dataclasses import replace

import numpy as np
import pytest
from gradcheck import assert_gradient
from objectives import mask_of, recipe_of
from running import begun, paint
from small_networks import NARROW_VGG16, NARROW_VGG19, ReferenceVgg, draw_arrays, relative_error
from stopping import assert_the_same_when_stopped

from nst import stylize
from nst.devices import CPU
from nst.errors import NstError
from nst.memory import FileArray
from nst.objective import Objective, Region, Targets
from nst.objective.recipes import RECIPES
from nst.objective.style import style_loss
from nst.objective.styles import query, split
from nst.objective.styles.gram import GramStyle
from nst.objective.styles.neighbours import NeighboursStyle, Positions
from nst.objective.styles.query import Query
from nst.objective.styles.sums import Mask
from nst.objective.tiling import tiles_of
from nst.pictures import images
from nst.run.inputs import prepare
from nst.run.plan import draft, plan, work_of
from nst.run.probe import Cost
from nst.run.scales import Scale
from nst.run.targets import objective_at
from nst.settings import Painting
from nst.stylize import begin
from nst.vgg import Vgg
from nst.vgg.architecture import HYPERCOLUMN, Architecture

pytestmark = pytest.mark.filterwarnings("ignore:the mask")
RECIPE = RECIPES["neighbours"]


# ---- The statistic itself, against loops -------------------------------------------------


def nearest_of(asking, vectors, both_ways=True):
    """Return for each column of ``asking`` which of ``vectors`` it takes: centred, by loops.

    Matched both ways every eighth that asks is asked back.
    """
    asking = asking - asking.mean(axis=1, keepdims=True)
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    cosines = np.empty((asking.shape[1], vectors.shape[1]))
    for i, j in np.ndindex(cosines.shape):
        c, s = asking[:, i], centred[:, j]
        cosines[i, j] = c @ s / np.sqrt((c @ c) * (s @ s))
    back = range(0, len(cosines), 8) if both_ways else []
    found = []
    for row in cosines:
        scores = [2 * row[j] - max([0.0, *cosines[back, j]]) for j in range(len(row))]
        found.append(int(np.argmax(scores)))
    return np.array(found)


def unit(vectors):
    return vectors / np.sqrt((vectors**2).sum(axis=0))


def flat(features):
    return features.reshape(len(features), -1)


@pytest.fixture
def features(rng):
    """What asks, (5, 6, 7), and two paintings."""
    return [
        (rng.random(shape) + 0.3).astype(np.float32) for shape in ((5, 6, 7), (5, 4, 9), (5, 8, 3))
    ]


def style_of(paintings, asking, shares=(1.0,), recipe=RECIPE, **how):
    collected = [NeighboursStyle.collect(one) for one in paintings]
    blended = NeighboursStyle.blend(collected, shares)
    return NeighboursStyle.of(blended, recipe, Query(asking, CPU, **how))


def test_each_position_takes_the_nearest_features_of_the_painting(features):
    asking, painting, _ = features
    style = style_of([painting], asking)
    index = nearest_of(flat(asking).astype(float), flat(painting).astype(float))
    np.testing.assert_allclose(flat(style.target), unit(flat(painting)[:, index]), rtol=1e-5)
    assert len(set(index)) > 5


def test_its_loss_is_the_mean_of_one_minus_cosine(rng, features):
    asking, painting, _ = features
    style, image = style_of([painting], asking), rng.random((5, 6, 7))
    cosines = (unit(flat(image)) * flat(style.target)).sum(axis=0)
    loss, _ = style_loss(image.astype(np.float32), style)
    assert loss == pytest.approx(np.mean(1 - cosines), rel=1e-5)


@pytest.mark.parametrize("with_mask", [False, True])
def test_its_gradient_is_the_slope(rng, features, with_mask):
    target = style_of([features[1]], features[0]).target.astype(np.float64)
    mask = mask_of(rng.random((6, 7))) if with_mask else None
    region, image = Region(NeighboursStyle(target, CPU), mask, 0.7), rng.random((5, 6, 7))
    _, d_image = style_loss(image, region, 1.3)
    assert_gradient(lambda f: 1.3 * style_loss(f, region)[0], image, d_image)


def test_it_is_made_strip_by_strip_as_at_once(features, monkeypatch):
    asking, painting, other = features
    expected = style_of([painting, other], asking, (2, 1)).target
    monkeypatch.setattr(query, "STRIP_POSITIONS", 14)  # two rows
    found = style_of([painting, other], asking, (2, 1)).target
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_several_paintings_have_the_shares_of_their_weights(rng):
    asking, *paintings = ((rng.random((5, 20, 25)) + 0.1).astype(np.float32) for _ in range(3))
    for shares in ((1, 1), (3, 1), (1, 9)):
        target = flat(style_of(paintings, asking, shares).target)
        of_first = np.abs(target.T @ unit(flat(paintings[0]))).max(axis=1)
        of_second = np.abs(target.T @ unit(flat(paintings[1]))).max(axis=1)
        share = np.mean(of_first > of_second)
        assert share == pytest.approx(shares[0] / sum(shares), abs=0.02)


def test_a_second_painting_that_is_the_first_changes_nothing(features):
    asking, painting, _ = features
    one, two = style_of([painting], asking), style_of([painting, painting], asking, (1, 2))
    np.testing.assert_array_equal(one.target, two.target)


def test_a_mask_of_the_painting_leaves_positions_out(rng, features):
    asking, painting, _ = features
    pixels = np.zeros(painting.shape[1:], np.float32)
    pixels[1:3, 2:6], pixels[0, 0] = 0.8, 0.3  # less than half of the largest: not looked at
    collected = NeighboursStyle.collect(painting, Mask(pixels, pixels))
    blended = NeighboursStyle.blend([collected], [1.0])
    found = NeighboursStyle.of(blended, RECIPE, Query(asking, CPU))
    seen = np.ascontiguousarray(painting[:, 1:3, 2:6])
    np.testing.assert_allclose(found.target, style_of([seen], asking).target, rtol=1e-6)


def test_a_mask_of_nothing_is_refused(features):
    asking, painting, _ = features
    pixels = np.zeros(painting.shape[1:], np.float32)
    collected = NeighboursStyle.collect(painting, Mask(pixels, pixels))
    with pytest.raises(NstError, match=r"mask leaves nothing of the painting.*--scales"):
        NeighboursStyle.of(NeighboursStyle.blend([collected], [1.0]), RECIPE, Query(asking, CPU))


def test_a_region_too_thin_for_the_layer_has_no_target(features):
    asking, painting, _ = features
    nothing = np.zeros(asking.shape[1:], np.float32)
    style = style_of([painting], asking, mask=Mask(nothing, nothing))
    assert not style.target.any()
    loss, d_features = style_loss(asking, Region(style, Mask(nothing, nothing)))
    assert loss == 0
    assert not d_features.any()


def test_only_a_region_asks(features):
    """Its mean is that of its own positions, and outside of it there is no target."""
    asking, painting, _ = features
    pixels = np.zeros(asking.shape[1:], np.float32)
    pixels[2:5, 1:4] = 1
    style = style_of([painting], asking, mask=Mask(pixels, pixels))
    inside = np.ascontiguousarray(asking[:, 2:5, 1:4])
    expected = style_of([painting], inside).target
    np.testing.assert_allclose(style.target[:, 2:5, 1:4], expected, rtol=1e-5, atol=1e-6)
    assert not (style.target * (1 - pixels)).any()


def test_with_less_strength_the_photograph_keeps_its_direction(features):
    asking, painting, _ = features
    full, none, some = (
        flat(style_of([painting], asking, own=asking, share=s).target) for s in (1, 0, 0.4)
    )
    np.testing.assert_allclose(none, unit(flat(asking)), rtol=1e-5)
    np.testing.assert_allclose(some, unit(0.4 * full + 0.6 * none), rtol=1e-5)


def test_of_a_large_painting_every_second_position_is_looked_at(features):
    asking, painting, _ = features
    style = style_of([painting], asking, recipe=replace(RECIPE, looked_at=20))  # of 36
    seen = np.ascontiguousarray(flat(painting)[:, ::2])[:, None]
    np.testing.assert_allclose(style.target, style_of([seen], asking).target, rtol=1e-6)


def test_what_tiles_of_a_painting_have_adds_up(features):
    asking, painting, _ = features
    parts = [NeighboursStyle.collect(painting[:, rows]) for rows in (slice(0, 1), slice(1, 4))]
    whole = parts[0] + parts[1]
    assert isinstance(whole, Positions)
    found = NeighboursStyle.of(NeighboursStyle.blend([whole], [1]), RECIPE, Query(asking, CPU))
    np.testing.assert_allclose(found.target, style_of([painting], asking).target, rtol=1e-5)


def test_targets_of_a_picture_in_tiles_are_in_a_file(features):
    asking, painting, _ = features
    stored = FileArray(asking.shape)
    stored[...] = asking
    style = style_of([painting], stored)
    assert isinstance(style.target, FileArray)
    expected = style_of([painting], asking)
    place = np.s_[:, 2:5, 1:4]
    np.testing.assert_array_equal(style.within(place).target, expected.within(place).target)
    with pytest.raises(ValueError, match="targets in a file are for tiles"):
        style.measure(asking)


# ---- The objective, against a network and a hypercolumn of its own -----------------------


def column_of(layers, height, width):
    """Return the hypercolumn (C, height, width), written from its definition."""
    rows = []
    for layer, features in layers.items():
        channels, stride = len(features), 2 ** (int(layer[4]) - 1)
        column = np.zeros((channels, height, width))
        for r, c in np.ndindex(height, width):
            if stride <= 4:
                side = 4 // stride
                block = features[:, r * side : (r + 1) * side, c * side : (c + 1) * side]
                column[:, r, c] = block.mean(axis=(1, 2))
                continue
            at = [
                min(max((k + 0.5) / 2 - 0.5, 0), length - 1)
                for k, length in zip((r, c), features.shape[1:], strict=True)
            ]
            (top, left), (t, u) = map(int, at), (at[0] % 1, at[1] % 1)
            below = min(top + 1, features.shape[1] - 1)
            right = min(left + 1, features.shape[2] - 1)
            column[:, r, c] = (1 - t) * (
                (1 - u) * features[:, top, left] + u * features[:, top, right]
            ) + t * ((1 - u) * features[:, below, left] + u * features[:, below, right])
        rows.append(column / channels)
    return np.concatenate(rows)


@pytest.mark.parametrize("architecture", [NARROW_VGG16, NARROW_VGG19], ids=["vgg16", "vgg19"])
@pytest.mark.parametrize("size", [(36, 43), (33, 40)])
def test_the_hypercolumn_is_that_of_its_definition(rng, architecture, size):
    arrays = draw_arrays(architecture, rng)
    layers = architecture.parts(HYPERCOLUMN)
    assert layers[-1] == ("relu4_3" if architecture is NARROW_VGG16 else "relu4_4")
    image = rng.random((3, *size)).astype(np.float32)
    vgg = Vgg.from_arrays(arrays, [HYPERCOLUMN], "average")
    found = vgg.features(image)[HYPERCOLUMN]
    assert found.shape == architecture.shape(HYPERCOLUMN, *size)
    plain = Vgg.from_arrays(arrays, layers, "average").features(image)
    expected = column_of(plain, *found.shape[1:])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(vgg.forward(image)[HYPERCOLUMN], found)


def test_a_hypercolumn_goes_back_beside_the_layers_that_it_is_made_of(rng):
    """One of them is a tap as well, and the pulls are added; backward may be asked again."""
    arrays = draw_arrays(NARROW_VGG16, rng)
    vgg = Vgg.from_arrays(arrays, [HYPERCOLUMN, "relu2_1", "conv4_1"], "average")
    image = rng.random((3, 36, 43)).astype(np.float32)
    taps = vgg.forward(image)
    pulls = {tap: rng.standard_normal(f.shape).astype(np.float32) for tap, f in taps.items()}
    together = vgg.backward({tap: d.copy() for tap, d in pulls.items()})
    alone = [vgg.backward({tap: d.copy()}) for tap, d in pulls.items()]
    assert relative_error(together, sum(alone)) < 1e-5
    assert all(np.abs(d).max() > 0 for d in alone)


@pytest.mark.parametrize("size", [(41, 150), (44, 155)])
def test_the_whole_objective_is_exact_in_tiles_and_its_gradient_the_slope(rng, size):
    """In float64, with fixed targets, a mask, and Gram matrices beside."""
    architecture = Architecture(((3,), (4, 2), (3,), (2,)))
    taps = (HYPERCOLUMN, "relu2_1")
    vgg = ReferenceVgg(architecture, draw_arrays(architecture, rng), taps, "average")
    channels, height, width = architecture.shape(HYPERCOLUMN, *size)
    field = unit(rng.standard_normal((channels, height * width))).reshape(-1, height, width)
    mask = mask_of(rng.random((height, width)))
    targets = Targets(
        {},
        {
            HYPERCOLUMN: [Region(NeighboursStyle(field, CPU), mask, 0.7)],
            "relu2_1": [Region(GramStyle(rng.random((4, 4))))],
        },
    )
    recipe = recipe_of({}, {HYPERCOLUMN: 2.0, "relu2_1": 3.0}, relative=True, smoothness=0.5)
    image = rng.random((3, *size))
    whole, tiled = (Objective(vgg, targets, recipe, side) for side in (None, 112))
    assert len(tiles_of(vgg, image, 112)) > 1
    expected, d_expected = whole.evaluate(image)
    found, d_image = tiled.evaluate(image)
    assert found.floats() == pytest.approx(expected.floats(), rel=1e-9)
    assert relative_error(d_image, d_expected) < 1e-9
    assert_gradient(lambda i: whole.evaluate(i)[0].total, image, d_expected)


MARGIN = 16  # pixels, mirrored around each picture


def column_in_margin(network, picture):
    """Return the columns (C, H // 4, W // 4) of ``picture``, which is seen in a margin."""
    (_, height, width), first = picture.shape, MARGIN // 4
    plain = seen_in_margin(network, picture)
    column = column_of(plain, (height + 2 * MARGIN) // 4, (width + 2 * MARGIN) // 4)
    return column[:, first : first + height // 4, first : first + width // 4]


def seen_in_margin(network, picture):
    around = (0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)
    plain = network.features(np.pad(picture, around, "symmetric"))
    return {layer: f.astype(np.float64) for layer, f in plain.items()}


def gram_in_margin(network, picture, tap):
    """Return the Gram matrix of the features at ``tap`` without those of the margin."""
    stride = 2 ** (int(tap[4]) - 1)
    first, (_, height, width) = MARGIN // stride, picture.shape
    features = seen_in_margin(network, picture)[tap]
    own = features[:, first : first + height // stride, first : first + width // stride]
    return flat(own) @ flat(own).T / own[0].size


def total_of(recipe, vgg, image, targets, grams):
    """Return the total loss at ``image`` by a hypercolumn of its own, in float64."""
    layers = vgg.network.architecture.parts(HYPERCOLUMN)
    network = Vgg(vgg.network, layers, recipe.pooling, convolution="direct")
    column = column_in_margin(network, image)
    total = recipe.style[HYPERCOLUMN] * np.mean(1 - (unit(flat(column)) * targets).sum(axis=0))
    for tap, gram in grams.items():
        difference = gram_in_margin(network, image, tap) - gram
        total += recipe.style[tap] * (difference**2).mean() / (gram**2).mean()
    steps = [np.diff(image.astype(np.float64), axis=axis) for axis in (1, 2)]
    return total + recipe.smoothness * sum((s**2).sum() for s in steps) / image.size


def test_what_a_run_minimises_is_what_is_defined(settings, rng, recipe):
    """Targets and loss, from the pictures: nothing is shared but the network."""
    inputs = prepare(settings(recipe=recipe, conv="direct"))
    size = 61, 51
    objective = objective_at(inputs, Scale(*size, 1))
    layers = inputs.vgg.network.architecture.parts(HYPERCOLUMN)
    network = Vgg(inputs.vgg.network, layers, "average", convolution="direct")

    def column(picture):
        return flat(column_in_margin(network, picture))

    asking = column(images.resize(inputs.content, *size))
    painting = column(images.resize(inputs.style, *images.fit(50, 66, 61)))
    target = unit(painting[:, nearest_of(asking, painting, inputs.recipe.both_ways)])
    (region,) = objective.targets.style[HYPERCOLUMN]
    agreeing = (flat(region.style.target) * target).sum(axis=0) > 1 - 1e-5
    assert agreeing.mean() > 0.98  # two that are equally near may be exchanged by rounding
    image = rng.random((3, *size), np.float32)
    losses, _ = objective.evaluate(image)
    found = flat(region.style.target).astype(np.float64)
    painted = images.resize(inputs.style, *images.fit(50, 66, 61))
    taps = set(inputs.recipe.style) - {HYPERCOLUMN}
    grams = {tap: gram_in_margin(network, painted, tap) for tap in taps}
    expected = total_of(inputs.recipe, inputs.vgg, image, found, grams)
    assert losses.total == pytest.approx(expected, rel=1e-5)


def own_in_margin(network, picture, tap):
    """Return the features (C, H, W) at ``tap`` of a picture that is seen in a margin."""
    stride = 2 ** (int(tap[4]) - 1)
    first, (_, height, width) = MARGIN // stride, picture.shape
    seen = seen_in_margin(network, picture)[tap]
    return seen[:, first : first + height // stride, first : first + width // stride]


def split_loss(image, painting, chance, looked_at):
    """Return the mean of 1 - cos to what is taken, of positions that ``chance`` draws."""
    step = max(1, max(image.shape[1:]) // looked_at)
    row, column = (int(step * draw) for draw in chance.random(2))
    kept = [flat(maps[:, row::step, column::step]) for maps in (image, painting)]
    vectors, directions = (unit(one - one.mean(axis=1, keepdims=True)) for one in kept)
    taken = directions[:, nearest_of(*kept)]
    return (1 - (vectors * taken).sum(axis=0)).mean()


def test_the_last_pass_of_strokes_is_what_is_defined(settings, rng, monkeypatch):
    monkeypatch.setattr(split, "LOOKED_AT", 9)  # positions along a side, of 61
    inputs = prepare(settings(recipe="strokes", conv="direct", seed=3)).fine
    size, layers = (61, 51), inputs.vgg.network.architecture.parts(HYPERCOLUMN)
    objective = objective_at(inputs, Scale(*size, 1, fine=True))
    network = Vgg(inputs.vgg.network, layers, "average", convolution="direct")
    photograph = images.resize(inputs.content, *size)
    painting = images.resize(inputs.style, *images.fit(50, 66, 61))
    image = rng.random((3, *size), np.float32)
    chance = np.random.default_rng([3, 0])
    expected = 0.0
    for tap in ("relu1_1", "relu2_1", "relu3_1", "relu4_1"):
        seen = own_in_margin(network, image, tap), own_in_margin(network, painting, tap)
        expected += 2.5 * split_loss(*seen, chance, 9)
    kept = own_in_margin(network, photograph, "relu3_3")
    difference = own_in_margin(network, image, "relu3_3") - kept
    expected += (difference**2).mean() / (kept**2).mean()
    steps = [np.diff(image.astype(np.float64), axis=axis) for axis in (1, 2)]
    expected += 0.5 * sum((s**2).sum() for s in steps) / image.size
    losses, _ = objective.evaluate(image)
    assert losses.total == pytest.approx(expected, rel=1e-5)


def test_strokes_are_painted_after_what_is_nearest(settings):
    columns = settings(recipe="neighbours", size=64, steps=4, scales=None)
    strokes = settings(recipe="strokes", size=64, steps=8, scales=None)
    inputs = prepare(strokes)
    first, last = plan(inputs).scales
    assert (first.steps, first.fine, last.steps, last.fine) == (4, False, 4, True)
    run = stylize(strokes)
    assert run.history[3]["style hypercolumn"] == stylize(columns).history[3]["style hypercolumn"]
    assert run.history[-1]["total"] < run.history[4]["total"]


def test_the_weights_of_the_settings_count_in_the_last_pass_too(settings):
    asked = settings(recipe="strokes", content_weight=2, style_weight=3, tv_weight=4, edges=5)
    usual, fine = RECIPES["strokes"].fine, prepare(asked).fine.recipe
    assert fine.content == {tap: 2 * weight for tap, weight in usual.content.items()}
    assert fine.style == {tap: 3 * weight for tap, weight in usual.style.items()}
    assert (fine.smoothness, fine.edges) == (4 * usual.smoothness, 5)
    with pytest.raises(NstError, match="--content-weight has nothing to weigh"):
        settings(recipe="neighbours", content_weight=2)


@pytest.mark.parametrize("how", ["masked", "blended", "weaker", "content", "resumed"])
def test_strokes_are_painted_in_every_way(settings, masked, other, files, tmp_path, how):
    """And stopped in the last pass, with the same bits."""
    asked = {"recipe": "strokes", "size": 64, "steps": 6, "scales": None}
    if how == "masked":
        asked |= masked
    if how == "blended":
        asked |= {"style": [Painting(files / "painting.png", 2), Painting(files / "other.png")]}
    if how == "weaker":
        asked |= {"strength": 0.5}
    if how == "content":
        asked |= {"color": "content"}
    if how == "resumed":
        assert_the_same_when_stopped(settings(**asked), tmp_path / "saved", 2, 5)
        return
    image = stylize(settings(**asked)).image
    assert np.isfinite(image).all()
    assert 0 <= image.min() < image.max() <= 1


# ---- Every way of painting ---------------------------------------------------------------


@pytest.fixture(params=["neighbours", "mixture"])
def recipe(request):
    return request.param


@pytest.fixture
def masked(files, first, other, left, right):
    """Two paintings side by side."""
    return {
        "style": [
            Painting(files / "painting.png", mask=files / "left.png", region=files / "left.png"),
            Painting(files / "other.png", region=files / "right.png"),
        ]
    }


@pytest.fixture(params=["everywhere", "masked", "two", "weaker"])
def asked(request, recipe, settings, masked, first, other):
    """A run of two scales."""
    changes = {
        "everywhere": {},
        "masked": masked,
        "two": {"style": [Painting(first, 2.0), Painting(other)]},
        "weaker": {"strength": 0.6},
    }[request.param]
    return settings(recipe=recipe, size=128, scales=(64, 128), steps=(3, 5), **changes)


def test_it_paints(asked):
    result = stylize(replace(asked, size=96, scales=(64, 96), steps=(2, 4)))
    last = [entry for entry in result.history if entry["scale"] == 2]
    assert last[-1]["total"] < last[0]["total"]
    assert np.abs(result.image - images.resize(prepare(asked).content, 96, 80)).mean() > 1e-2


def begun_at_the_last_scale(settings):
    """Return a run that has painted its first scale, its plan and its state."""
    inputs, planned, state = begun(prepare(settings))
    rng = np.random.default_rng(7)
    state.image = rng.random((3, *state.image.shape[1:]), np.float32)
    begin(inputs, planned, state, planned.full)
    return inputs, planned, state


def test_in_tiles_loss_and_gradient_are_those_of_the_whole(asked):
    inputs, planned, state = begun_at_the_last_scale(replace(asked, conv="direct"))
    whole, tiled = (
        objective_at(inputs, planned.full, side, 1.0, state.asking) for side in (None, 112)
    )
    assert len(tiles_of(inputs.vgg, state.image, 112)) > 1
    for tap, regions in whole.targets.style.items():  # the same targets, in a file
        for one, other in zip(regions, tiled.targets.style[tap], strict=True):
            if hasattr(other.style, "target"):
                assert isinstance(other.style.target, FileArray)
                np.testing.assert_allclose(other.style.target[:], one.style.target, atol=1e-5)
    image = np.random.default_rng(8).random(state.image.shape, np.float32)
    expected, d_expected = whole.evaluate(image)
    found, d_image = tiled.evaluate(image)
    assert found.floats() == pytest.approx(expected.floats(), rel=1e-5)
    assert relative_error(d_image, d_expected) < 1e-5


def test_stopped_and_resumed_it_paints_the_same_picture(asked, tmp_path):
    assert_the_same_when_stopped(asked, tmp_path / "saved", 5)


@pytest.mark.parametrize("side", [None, 112], ids=["whole", "tiles"])
def test_on_the_gpu_it_paints_the_same_picture(gpu, recipe, settings, masked, side):
    changes = {"size": 128, "scales": (64, 128), "steps": (2, 3)}
    asked = settings(recipe=recipe, strength=0.9, **changes, **masked)
    results = []
    for device in ("cuda", "cpu"):
        inputs = prepare(replace(asked, device=device, conv="direct"))
        results.append(paint(inputs, side=side).image)
    apart = np.abs(results[0] - results[1])  # a match that is nearly a tie may fall otherwise
    assert (apart > 2e-3).mean() < 1e-3
    assert apart.max() < 0.02


def test_from_the_second_scale_on_what_was_painted_asks_too(settings):
    inputs, planned, state = begun_at_the_last_scale(settings(recipe="neighbours", strength=0.5))
    before, after = planned.scales[-2], planned.full
    photograph = images.resize(inputs.content, after.height, after.width)
    coarse = images.resize(inputs.content, before.height, before.width)
    details = photograph - images.resize(coarse, after.height, after.width)
    expected = 0.75 * photograph + 0.25 * (state.image + 0.5 * details)
    np.testing.assert_allclose(state.asking, expected, atol=1e-6)


def test_at_the_first_scale_the_photograph_asks(settings):
    inputs, planned, state = begun(prepare(settings(recipe="neighbours", init="noise")))
    begin(inputs, planned, state, planned.scales[0])
    assert state.asking is None
    one = objective_at(inputs, planned.scales[0]).targets.style[HYPERCOLUMN][0]
    content = images.resize(inputs.content, *state.image.shape[1:])
    other = objective_at(inputs, planned.scales[0], asking=content).targets.style[HYPERCOLUMN][0]
    np.testing.assert_array_equal(one.style.target, other.style.target)


def test_other_recipes_keep_no_picture_that_asks(settings):
    _, _, state = begun_at_the_last_scale(settings())
    assert state.asking is None


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_strength_goes_from_the_photograph_to_the_painting(settings, recipe, strength):
    changes = {"recipe": recipe, "size": 96, "scales": 1, "steps": 8}
    none, some, full = (
        stylize(settings(**changes, strength=s)).image for s in (0.0, strength, 1.0)
    )
    near, far = np.abs(some - none).mean(), np.abs(full - none).mean()
    assert near == pytest.approx(strength * far, rel=0.5, abs=1e-6)


def test_scales_begin_at_64_pixels(settings):
    planned = draft(prepare(settings(recipe="neighbours", size=512, scales=None, steps=None)))
    assert [max(s.height, s.width) for s in planned.scales] == [64, 128, 256, 512]
    assert sum(s.steps for s in planned.scales) == RECIPE.steps


# ---- The palette -------------------------------------------------------------------------


def colours(image, weights=None):
    flat = image.reshape(3, -1)
    mean = np.average(flat, axis=1, weights=weights)
    return mean, np.cov(flat, bias=True, aweights=weights)


def test_the_picture_has_the_palette_of_the_painting(settings):
    result = stylize(settings(recipe="neighbours", size=96, scales=1, steps=5))
    for found, expected in zip(
        colours(result.image), colours(prepare(settings()).style), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=0.03)


def test_each_region_has_the_palette_of_its_own_painting(settings, masked):
    result = stylize(settings(recipe="neighbours", size=96, scales=1, steps=5, **masked))
    left, right = result.image[:, :, :36], result.image[:, :, -36:]
    inputs = prepare(settings(**masked))
    own = [painting.picture.mean(axis=(1, 2)) for painting in inputs.paintings]
    for half, mine, others in ((left, *own), (right, *own[::-1])):
        found = half.mean(axis=(1, 2))
        assert np.abs(found - mine).max() < 0.5 * np.abs(found - others).max()


@pytest.mark.parametrize("color", ["content", "content-luminance", "match"])
def test_with_every_color_it_paints(settings, recipe, color):
    result = stylize(settings(recipe=recipe, size=64, scales=1, steps=2, color=color))
    assert np.isfinite(result.image).all()


# ---- What it takes -----------------------------------------------------------------------


@pytest.mark.parametrize("regions", [0, 2])
def test_the_estimate_has_the_targets_and_the_time_of_matching(settings, regions):
    """A field as large as the features for each region; a product of all positions, at most."""
    inputs = prepare(settings(recipe="neighbours", size=512, scales=1))
    cost = Cost(2000.0, 1e-6, 700.0, 1e-6, product_seconds=1e-9)
    work = replace(work_of(inputs, draft(inputs), cost, 0.0), regions=regions)
    without = replace(work, asking={})
    channels, positions, painted = 37, 128 * 106, 128 * 97
    fields = 4 * channels * positions * max(1, regions)
    added = work.target_bytes((512, 427), True) - without.target_bytes((512, 427), True)
    assert added == fields
    assert work.target_bytes((512, 427), False) == without.target_bytes((512, 427), False)
    ours, bare = (w.scale(0, None, 10) for w in (work, without))
    matching = 1e-9 * channels * positions * painted * 9 / 8  # one of eight is asked back
    again = 1e-6 * (512 + 16) * (427 + 16)  # the picture that asks is seen as well
    found = ours.preparing_seconds - bare.preparing_seconds
    assert found == pytest.approx(matching + again, rel=1e-2)
    assert ours.bytes >= bare.bytes + fields  # measuring may take more
