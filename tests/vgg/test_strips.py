"""Blocks in strips of rows: which rows need which, by loops, and networks against whole ones."""

from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from small_networks import draw_arrays

from nst.vgg import graphs, strips, winograd
from nst.vgg.architecture import POOLINGS, ROUNDINGS, Architecture
from nst.vgg.plan import Plan
from nst.vgg.strips import Rows

SIZES = [(35, 22), (16, 16), (17, 31), (63, 18)]  # rows x columns
FOUR_BLOCKS = Architecture(((4, 5), (6,), (4, 7, 3), (5,)))


# ---- Which rows need which, by trying ---------------------------------------------------


def touched(height, rows, give):
    """The rows that ``give`` (output row -> input rows) says these rows need, in order."""
    return sorted(
        {r for row in range(rows.first, rows.last) for r in give(row) if 0 <= r < height}
    )


def spans(height):
    return [Rows(a, b, height) for a in range(height) for b in range(a + 1, height + 1)]


@pytest.mark.parametrize("height", [1, 2, 5, 8])
def test_a_convolution_reads_one_row_more_on_each_side(height):
    for rows in spans(height):
        expected = touched(height, rows, lambda row: (row - 1, row, row + 1))
        around = rows.around()
        assert [*range(around.first, around.last)] == expected


@pytest.mark.parametrize("height", [1, 2, 5, 8])
def test_what_a_convolution_puts_out_reads_no_row_that_is_not_there(height):
    for rows in spans(height):
        given = set(range(rows.first, rows.last))
        expected = [
            row
            for row in range(height)
            if {r for r in (row - 1, row, row + 1) if 0 <= r < height} <= given
        ]
        inside = rows.inside()
        assert [*range(inside.first, inside.last)] == expected
        if expected:
            assert rows.borders == (int(expected[0] == 0), int(expected[-1] == height - 1))


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("height", [2, 5, 8])
def test_a_pool_takes_two_rows_for_one_and_drops_or_keeps_an_odd_one(height, rounding):
    half = height // 2 + (rounding == "ceil" and height % 2)
    for rows in spans(half):
        unpooled = rows.unpooled(height)
        expected = touched(height, rows, lambda row: (2 * row, 2 * row + 1))
        if rounding == "floor" and rows.last == half and height % 2:
            expected.append(height - 1)
        assert [*range(unpooled.first, unpooled.last)] == expected
        assert unpooled.pooled(half) == rows
    for rows in spans(height):
        pooled = {row // 2 for row in range(rows.first, rows.last)} & set(range(half))
        found = rows.pooled(half)
        assert {*range(found.first, found.last)} == pooled


@pytest.mark.parametrize("values", [1, 99, 100, 101, 1000])
@pytest.mark.parametrize("height", [1, 2, 7, 40])
def test_strips_are_all_rows_once_and_begin_at_even_ones(monkeypatch, height, values):
    monkeypatch.setattr(strips, "VALUES", 100)
    cut = strips.cut(height, values)
    assert [row for rows in cut for row in range(rows.first, rows.last)] == [*range(height)]
    assert all(rows.first % 2 == 0 and rows.height == height for rows in cut)
    if values <= 100:
        assert len(cut) == 1
    elif height == 40:
        assert len(cut) == -(-values // 100)
        assert max(rows.count for rows in cut) * values <= 100 * 40 + 2 * values


# ---- Networks in strips against whole ones, in float64 -----------------------------------


@cache
def arrays():
    drawn = draw_arrays(FOUR_BLOCKS, np.random.default_rng(5))
    return drawn | {"mean": np.full((1, 3, 1, 1), 0.4), "std": np.full((1, 3, 1, 1), 0.3)}


def models(plan):
    forward = graphs.forward(plan, arrays(), plan.outputs)
    return forward, graphs.backward(plan, arrays())


def evaluate(plan, image, d_features):
    """Both graphs by ONNX's own evaluator, with what they put out by name."""
    kernels = graphs.points(plan, arrays())
    forward, backward = models(plan)
    for model in (forward, backward):
        onnx.checker.check_model(model, full_check=True)
    found = ReferenceEvaluator(forward).run(None, {"image": image[None], **only(kernels, forward)})
    outputs = dict(zip(plan.outputs, found, strict=True))
    inputs = {name: outputs[name] for name in plan.saved}
    inputs |= {f"d_{tap}": d_features(outputs[tap].shape) for tap in plan.taps}
    (d_image,) = ReferenceEvaluator(backward).run(None, inputs | only(kernels, backward))
    return outputs | {"d_image": d_image}


def only(kernels, model):
    return {
        value.name: kernels[value.name] for value in model.graph.input if value.name in kernels
    }


def ramp(shape):
    return np.sin(np.arange(np.prod(shape)) * 0.37).reshape(shape)


TAPS = [(tap,) for tap in FOUR_BLOCKS.taps] + [
    ("relu1_1", "relu2_1", "relu3_1", "conv4_1"),
    ("relu1_2", "conv2_1", "relu3_2"),
    tuple(FOUR_BLOCKS.taps),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("taps", TAPS, ids="-".join)
def test_strips_give_what_the_whole_gives(monkeypatch, taps, rounding, pooling, size):
    convolution = "auto" if size[0] % 2 else "direct"
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", 4)
    monkeypatch.setattr(winograd, "SQUARES_AT_ONCE", 12)
    plan = Plan(replace(FOUR_BLOCKS, rounding=rounding), taps, pooling, size, convolution)
    image = np.random.default_rng(size[0]).random((3, *size))
    whole = evaluate(plan, image, ramp)
    monkeypatch.setattr(strips, "VALUES", 600)
    found = evaluate(plan, image, ramp)
    assert any("_rows" in name for name in names(models(plan)[1]))
    assert list(found) == list(whole)
    for name, expected in whole.items():
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-12)


def names(model):
    return [node.name for node in model.graph.node]
