"""Narrow pictures: what is legal for the run is legal for its scales, the probe and the tiles."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from running import paint
from small_networks import FOUR_BLOCKS

from nst.objective.tiling import cut, smallest_side
from nst.pictures import images
from nst.run.budget import least, too_large
from nst.run.estimate import Work
from nst.run.inputs import prepare
from nst.run.plan import plan
from nst.run.probe import PROBE_SIDE, Cost, probe_size
from nst.run.scales import scales_for
from nst.run.state import start
from nst.run.targets import network_size
from nst.settings import Settings
from nst.stylize import complete
from nst.vgg.architecture import SMALLEST_SIDE

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu3_3", "relu4_1")


@st.composite
def sizes(draw):
    """Any size from 16 x 16 to 16 x 4000, upright or not; narrow ones more often than not."""
    shorter = draw(st.one_of(st.integers(16, 40), st.integers(16, 4000)))
    longer = draw(st.one_of(st.integers(shorter, 4000), st.just(4000)))
    return draw(st.permutations((shorter, longer)))


@given(sizes(), st.sampled_from([None, "auto", 1, 2, 5]), st.sampled_from(["nst", "crowson"]))
def test_scales_are_wide_enough_for_the_network_and_end_at_the_size(size, scales, recipe):
    height, width = size
    settings = Settings(__file__, __file__, size=max(size), scales=scales, recipe=recipe)
    planned = scales_for(height, width, settings)
    assert (planned[-1].height, planned[-1].width) == (height, width)
    for scale in planned:
        assert min(scale.height, scale.width) >= SMALLEST_SIDE
    areas = [scale.height * scale.width for scale in planned]
    assert areas == sorted(areas)


@given(sizes())
def test_the_probe_is_wide_enough_and_no_larger_than_it_must_be(size):
    height, width = size
    found = probe_size(height, width)
    assert min(found) >= SMALLEST_SIDE
    assert math.prod(found) <= height * width
    longest = math.ceil(SMALLEST_SIDE * max(size) / min(size))
    assert max(found) <= max(PROBE_SIDE, longest)
    assert (found[0] >= found[1]) == (height >= width) or found[0] == found[1]


@given(sizes(), st.integers(0, 800))
def test_tiles_are_wide_enough_and_own_every_pixel_once(size, more):
    side = smallest_side(FOUR_BLOCKS, TAPS) + more
    tiles = cut(FOUR_BLOCKS, TAPS, *size, side)
    owned = 0
    for tile in tiles:
        assert SMALLEST_SIDE <= min(tile.shape)
        assert max(tile.shape) <= side
        rows, columns = tile.rows, tile.columns
        owned += (rows.own_stop - rows.own_start) * (columns.own_stop - columns.own_start)
    assert owned == math.prod(size)


@given(sizes(), sizes(), st.floats(0.02, 1))
def test_a_size_that_would_fit_is_one_that_can_be_painted(size, style, share):
    work = Work(
        FOUR_BLOCKS,
        TAPS,
        ("relu3_3",),
        ("relu1_1",),
        "adam",
        0,
        [(*size, 10)],
        [style],
        Cost(bytes=2000.0, seconds=1e-6, features_bytes=700.0, features_seconds=1e-6),
        base=0.0,
    )
    budget = share * least(work)
    assume(budget < least(work))
    advice = str(too_large(work, budget))
    if "--size" in advice:
        longer = int(advice.split("--size ")[1].split()[0])
        assert min(images.fit(*size, longer)) >= SMALLEST_SIDE
        smaller = work.at_size(longer)
        assert min(smaller.style_sizes[0]) >= SMALLEST_SIDE
        assert least(smaller) <= budget


@pytest.fixture
def strip(tmp_path, rng):
    """A function that writes a picture of a size and returns its path."""

    def write(height, width):
        path = tmp_path / f"{height}x{width}.png"
        images.save(path, rng.random((3, height, width), np.float32))
        return path

    return write


REAL = [(16, 16), (17, 16), (16, 400), (60, 1600), (4000, 16), (16, 4000), (333, 19)]


@pytest.mark.parametrize("size", REAL, ids=lambda size: "{}x{}".format(*size))
def test_narrow_pictures_are_estimated_and_painted(settings, strip, size):
    path = strip(*size)
    asked = settings(content=path, style=path, size=max(size), scales=None, steps=4, plot=True)
    inputs = prepare(asked)
    planned = plan(inputs)
    last = planned.estimate.scales[-1]
    assert (last.height, last.width) == size
    assert complete(inputs, planned, start(inputs, planned)).image.shape == (3, *size)


@pytest.mark.parametrize("size", [(16, 900), (900, 16), (20, 700)])
def test_narrow_pictures_are_painted_in_tiles_and_from_narrow_paintings(settings, strip, size):
    """As in one piece, but for rounding."""
    options = {"size": max(size), "scales": 1, "steps": 2, "optimizer": "descent"}
    asked = settings(content=strip(*size), style=strip(*size[::-1]), **options)
    whole, tiled = (paint(prepare(asked), side=side).image for side in (None, 112))
    assert min(network_size(*size[::-1], 100)) >= SMALLEST_SIDE
    np.testing.assert_allclose(tiled, whole, atol=2e-3)
