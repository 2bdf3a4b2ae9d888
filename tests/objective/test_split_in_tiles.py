"""Features compared anew at every evaluation, of a picture that is seen tile by tile.

The same positions are looked at, and losses and gradient are those of the whole: of the picture,
and of paintings that are seen in tiles themselves.
"""

import sys
from dataclasses import replace

import numpy as np
import pytest
from objectives import mask_of, recipe_of, styles_blended, styles_by_region
from running import paint
from small_networks import ReferenceVgg, draw_arrays, relative_error
from stopping import assert_the_same_when_stopped

from nst import kernels
from nst.memory import FileArray
from nst.objective import Objective, Region, Targets
from nst.objective.styles import split
from nst.objective.styles.gram import GramStyle
from nst.objective.styles.split import SplitStyle
from nst.objective.tiling import style_sums, tiles_of
from nst.run.inputs import prepare
from nst.run.plan import draft
from nst.run.scales import Scale
from nst.run.targets import objective_at
from nst.settings import Painting
from nst.vgg import Vgg
from nst.vgg.architecture import Architecture

SIDE = 128  # pixels: of the windows
BLOCKS = Architecture(((3,), (4, 2), (3,), (2,)))
TAPS = ("relu1_1", "relu2_2", "relu4_1")
pytestmark = pytest.mark.filterwarnings("ignore:the mask .* another shape")


@pytest.fixture(params=[(64, 61, 213), (9, 151, 140)], ids=["many", "few"])
def size(request, monkeypatch):
    """The size of a picture, of whose longer side many or few positions are looked at."""
    looked_at, *size = request.param
    monkeypatch.setattr(split, "LOOKED_AT", looked_at)
    return tuple(size)


# ---- Against the whole ---------------------------------------------------------------------

ASKED = {
    "everywhere": lambda at: {},
    "two with shares": styles_blended,
    "regions": styles_by_region,
    "the photograph's own": lambda at: {"strength": 0.6},
    "smaller paintings": lambda at: {"style_scale": 0.5},
    "larger paintings": lambda at: {"style_scale": 1.7},
    "turned": lambda at: {},
}


@pytest.fixture(params=ASKED)
def inputs(request, settings, files, first, other, left, right):
    """The last pass of strokes."""
    asked = settings(recipe="strokes", conv="direct", seed=3, **ASKED[request.param](files))
    found = prepare(asked).fine
    if request.param == "turned":
        found = replace(found, recipe=replace(found.recipe, rotations=True))
    return found


def test_loss_and_gradient_are_those_of_the_whole(inputs, size, rng):
    """In float32 a match that is nearly a tie may fall otherwise; in float64 see below."""
    scale, image = Scale(*size, 1, fine=True), rng.random((3, *size), np.float32)
    whole, tiled = (objective_at(inputs, scale, side) for side in (None, SIDE))
    assert len(tiles_of(inputs.vgg, image, SIDE, tiled.padding)) > 1
    for _ in range(2):  # others are looked at each time
        expected, d_expected = whole.evaluate(image)
        found, d_image = tiled.evaluate(image)
        assert found.floats() == pytest.approx(expected.floats(), rel=1e-5)
        assert relative_error(d_image, d_expected) < 1e-4


@pytest.mark.parametrize("with_mask", [False, True], ids=["everywhere", "mask"])
def test_in_float64_it_is_exact(rng, size, with_mask):
    vgg = ReferenceVgg(BLOCKS, draw_arrays(BLOCKS, rng), TAPS, "average")
    targets = Targets({}, {tap: [] for tap in TAPS})
    for tap, regions in targets.style.items():
        channels, height, width = BLOCKS.shape(tap, *size)
        for weight in (0.7, 0.2) if with_mask else (1.0,):
            collected = [SplitStyle.collect(rng.random((channels, n, 31))) for n in (40, 33)]
            mask = mask_of(rng.random((height, width))) if with_mask else None
            regions.append(Region(SplitStyle.blend(collected, (2, 1)), mask, weight))
    recipe = recipe_of({}, dict.fromkeys(TAPS, 2.0), relative=True, smoothness=0.5)
    whole, tiled = (Objective(vgg, targets, recipe, side, seed=4) for side in (None, SIDE))
    image = rng.random((3, *size))
    assert len(tiles_of(vgg, image, SIDE)) > 1
    for _ in range(2):
        expected, d_expected = whole.evaluate(image)
        found, d_image = tiled.evaluate(image)
        assert found.floats() == pytest.approx(expected.floats(), rel=1e-11)
        assert relative_error(d_image, d_expected) < 1e-11


def test_tiles_look_at_what_the_whole_does_once_each(rng, monkeypatch):
    """Cut anywhere, tiles without a position among them; in the order of the whole."""
    monkeypatch.setattr(split, "LOOKED_AT", 5)  # every fifth
    image = rng.random((4, 23, 27))
    style = SplitStyle.blend([SplitStyle.collect(rng.random((4, 30, 31)))], [1])
    for draw in range(20):
        drawn = style.drawn(np.random.default_rng(draw), image.shape)
        places = [
            (slice(None), rows, columns)
            for rows in (slice(0, 2), slice(2, 4), slice(4, 17), slice(17, 23))
            for columns in (slice(0, 13), slice(13, 14), slice(14, 27))
        ]
        tiles = [drawn.within(place) for place in places]
        first, *others = [
            tile.measure(image[place]) for tile, place in zip(tiles, places, strict=True)
        ]
        loss, pull = drawn.compare(sum(others, first))
        expected, d_expected = drawn.compare(drawn.measure(image))
        assert loss == expected
        np.testing.assert_array_equal(pull, d_expected)
        spread = np.empty_like(image)
        for tile, place in zip(tiles, places, strict=True):
            spread[place] = tile.spread(pull, image[place])
        np.testing.assert_array_equal(spread, drawn.spread(pull, image))
        assert np.count_nonzero(spread.any(axis=0)) == pull[0].size


def test_of_a_strip_that_is_narrower_than_a_step_a_row_is_looked_at(rng):
    image = rng.random((4, 3, 400))  # every sixth
    style = SplitStyle.blend([SplitStyle.collect(rng.random((4, 9, 70)))], [1])
    rows = set()
    for draw in range(20):
        drawn = style.drawn(np.random.default_rng(draw), image.shape)
        assert np.isfinite(drawn.compare(drawn.measure(image))[0])
        rows.add(drawn.grid[0].start)
    assert rows == {0, 1, 2}


def test_what_a_tile_measured_is_its_own(rng):
    """The next one's features take the place of its."""
    features = rng.random((4, 6, 7))
    style = SplitStyle.blend([SplitStyle.collect(rng.random((4, 9, 8)))], [1])
    sums = style.measure(features)
    expected, _ = style.compare(sums)
    features[...] = 0
    assert style.compare(sums)[0] == expected


def test_a_tile_asks_for_what_is_drawn_of_the_whole(rng):
    style = SplitStyle.blend([SplitStyle.collect(rng.random((4, 9, 8)))], [1])
    with pytest.raises(ValueError, match="drawn"):
        style.within((slice(None), slice(0, 4), slice(0, 5)))


# ---- The painting ---------------------------------------------------------------------------


@pytest.fixture
def vgg(rng):
    return Vgg.from_arrays(draw_arrays(BLOCKS, rng), TAPS, "average")


def test_of_a_painting_in_tiles_the_same_positions_are_compared(vgg, rng, monkeypatch):
    """They count from the corner of the painting, and not from those of its tiles."""
    monkeypatch.setattr(split, "LOOKED_AT", 7)
    painting = rng.random((3, 170, 203), np.float32)
    masks = {tap: mask_of(rng.random(BLOCKS.shape(tap, 170, 203)[1:])) for tap in TAPS}
    kinds = dict.fromkeys(TAPS, SplitStyle)
    whole, tiled = (style_sums(vgg, painting, masks, kinds, side) for side in (None, SIDE))
    for tap in TAPS:
        assert isinstance(tiled[tap].features[0], FileArray)
        features = rng.random(BLOCKS.shape(tap, 90, 120)).astype(np.float32)
        for draw in range(3):
            (loss, pull), (found, d_found) = (
                compared(SplitStyle.blend([sums[tap]], [1]), features, draw)
                for sums in (whole, tiled)
            )
            assert found == pytest.approx(float(loss), rel=1e-5)
            assert relative_error(d_found, pull) < 1e-5


def compared(style, features, draw):
    drawn = style.drawn(np.random.default_rng(draw), features.shape)
    return drawn.compare(drawn.measure(features))


def test_what_keeps_no_maps_is_still_summed(vgg, rng):
    painting, masks = rng.random((3, 170, 203), np.float32), dict.fromkeys(TAPS)
    kinds = {"relu1_1": GramStyle, "relu2_2": SplitStyle, "relu4_1": GramStyle}
    whole, tiled = (style_sums(vgg, painting, masks, kinds, side) for side in (None, SIDE))
    assert set(tiled) == set(whole) == set(TAPS)
    for tap in ("relu1_1", "relu4_1"):
        np.testing.assert_allclose(tiled[tap].sums, whole[tap].sums, rtol=1e-5)
    (features,), (expected,) = tiled["relu2_2"].features, whole["relu2_2"].features
    assert relative_error(features[...], expected) < 1e-6


# ---- A run ----------------------------------------------------------------------------------

RUN = {"recipe": "strokes", "size": 160, "scales": (80, 160), "steps": (2, 2, 4)}


def test_it_paints_the_same_picture(settings):
    asked = settings(**RUN, conv="direct")
    whole, tiled = (paint(prepare(asked), side=side).image for side in (None, SIDE))
    before = paint(prepare(replace(asked, steps=(2, 2, 0)))).image
    assert np.abs(tiled - whole).mean() < 0.05 * np.abs(whole - before).mean()


def test_stopped_and_resumed_in_tiles_it_paints_the_same_picture(settings, tmp_path, monkeypatch):
    def in_tiles(inputs):
        return replace(draft(inputs), side=SIDE)

    monkeypatch.setattr(sys.modules["nst.run.plan"], "plan", in_tiles)
    assert_the_same_when_stopped(settings(**RUN), tmp_path / "saved", 3, 6)


# ---- On the GPU -----------------------------------------------------------------------------


@pytest.fixture
def masked(first, other, left, right):
    return [Painting(first, mask=left, region=left), Painting(other, region=right)]


@pytest.mark.parametrize("style_scale", [0.5, 1.0], ids=["painting whole", "painting in tiles"])
def test_on_the_gpu_it_is_the_same(gpu, settings, masked, style_scale, rng, monkeypatch):
    """And an evaluation waits once, to give memory back."""
    monkeypatch.setattr(split, "LOOKED_AT", 16)
    asked = settings(recipe="strokes", style=masked, style_scale=style_scale, conv="direct")
    image, found = rng.random((3, 40, 147), np.float32), []
    for name in ("cuda", "cpu"):
        inputs = prepare(replace(asked, device=name)).fine
        objective = objective_at(inputs, Scale(40, 147, 1, fine=True), SIDE)
        placed = inputs.device.asarray(image)
        objective.evaluate(placed)
        gpu.forget()
        losses, d_image = objective.evaluate(placed)
        assert sum(gpu.waits.values()) <= 1, gpu.waits
        found.append((losses.floats(), kernels.on_host(d_image)))
    (losses, d_image), (expected, d_expected) = found
    assert losses == pytest.approx(expected, rel=1e-4)
    assert relative_error(d_image, d_expected) < 1e-3  # a match that is nearly a tie
