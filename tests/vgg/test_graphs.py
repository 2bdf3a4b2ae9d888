"""The graphs against naive loops and slopes in float64, then ONNX Runtime against the graphs."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest
from gradcheck import assert_gradient
from onnx import helper
from onnx.reference import ReferenceEvaluator
from small_networks import (
    NARROW_VGG16,
    NARROW_VGG19,
    TWO_BLOCKS,
    ReferenceVgg,
    draw_arrays,
    relative_error,
)

from nst.devices import onnxruntime
from nst.errors import NstError
from nst.vgg import Vgg, graphs, weights
from nst.vgg.architecture import POOLINGS, ROUNDINGS, VGG16, VGG19, Architecture
from nst.vgg.plan import Plan

SIZES = [(35, 22), (16, 16), (17, 31)]  # rows x columns
NETWORKS = {"vgg16": NARROW_VGG16, "vgg19": NARROW_VGG19}
EVERY_TAP = [(name, tap) for name, network in NETWORKS.items() for tap in network.taps]
SEVERAL = ("relu4_2", "conv1_1", "relu1_2", "conv3_1", "relu3_1", "conv5_3")  # in no order


@cache
def network(name, pooling, *taps, rounding="floor"):
    """A network with every tap, or with ``taps``; the same weights for both."""
    architecture = replace(NETWORKS[name], rounding=rounding)
    arrays = draw_arrays(architecture, np.random.default_rng(14))
    return ReferenceVgg(architecture, arrays, taps or architecture.taps, pooling)


@cache
def photograph(height, width):
    return np.random.default_rng(height).random((3, height, width))


# ---- Forward, against loops ----------------------------------------------------------


def naive_conv(x, weight, bias):
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1)])
    y = np.empty((len(weight), *x.shape[1:]))
    for channel, row, column in np.ndindex(y.shape):
        square = padded[:, row : row + 3, column : column + 3]
        y[channel, row, column] = np.sum(square * weight[channel]) + bias[channel]
    return y


def naive_pool(x, reduce, rounding):
    half = {"floor": math.floor, "ceil": math.ceil}[rounding]
    y = np.empty((len(x), half(x.shape[1] / 2), half(x.shape[2] / 2)))
    for channel, row, column in np.ndindex(y.shape):
        y[channel, row, column] = reduce(
            x[channel, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        )
    return y


@pytest.mark.parametrize(("pooling", "reduce"), [("max", np.max), ("average", np.mean)])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_forward_is_normalisation_convolution_relu_and_pool(rng, rounding, pooling, reduce):
    arrays = draw_arrays(TWO_BLOCKS, rng)
    mean, std = (0.5, 0.25, 0.125), (0.5, 2.0, 0.25)
    image = rng.random((3, 17, 19))

    expected = {}
    x = np.stack([(image[c] - mean[c]) / std[c] for c in range(3)])
    for layer in ("conv1_1", "conv1_2", "pool", "conv2_1"):
        if layer == "pool":
            x = naive_pool(x, reduce, rounding)
            continue
        expected[layer] = naive_conv(x, arrays[f"{layer}.weight"], arrays[f"{layer}.bias"])
        x = expected[layer.replace("conv", "relu")] = expected[layer] * (expected[layer] > 0)

    architecture = replace(TWO_BLOCKS, rounding=rounding)
    vgg = ReferenceVgg(architecture, arrays, architecture.taps, pooling, mean, std)
    found = vgg.forward(image)
    assert set(found) == set(expected)
    for tap in expected:
        np.testing.assert_allclose(found[tap], expected[tap], rtol=1e-12, atol=1e-12)
    assert (expected["conv2_1"] < 0).any()  # so that conv and relu differ


# ---- Backward, against slopes --------------------------------------------------------


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(("name", "tap"), EVERY_TAP)
def test_backward_from_every_tap_is_the_slope(rng, name, tap, pooling):
    image = photograph(35, 22)
    whole = network(name, pooling)  # run once for all taps: see ReferenceVgg
    d_tap = rng.standard_normal(whole.forward(image)[tap].shape)
    one = network(name, pooling, tap)
    one.forward(image)
    d_image = one.backward({tap: d_tap})
    assert np.abs(d_image).max() > 1e-4  # the network is alive down to here
    assert_gradient(lambda image: np.vdot(d_tap, whole.forward(image)[tap]), image, d_image)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_backward_from_several_taps_is_the_slope_of_their_sum(rng, rounding, pooling, size):
    image = photograph(*size)
    vgg = network("vgg16", pooling, *SEVERAL, rounding=rounding)
    d_features = {t: rng.standard_normal(f.shape) for t, f in vgg.forward(image).items()}
    d_image = vgg.backward(d_features)

    def loss(image):
        features = vgg.forward(image)
        return sum(np.vdot(d_features[tap], features[tap]) for tap in SEVERAL)

    assert_gradient(loss, image, d_image)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradient_of_the_normalisation_knows_each_colour(rng, pooling):
    arrays = draw_arrays(TWO_BLOCKS, rng)
    mean, std = (0.1, 0.9, 0.4), (0.02, 1.5, 7.0)
    vgg = ReferenceVgg(TWO_BLOCKS, arrays, ["relu2_1"], pooling, mean, std)
    image = rng.random((3, 16, 21))
    d_features = rng.standard_normal(vgg.forward(image)["relu2_1"].shape)
    d_image = vgg.backward({"relu2_1": d_features})
    for colour in range(3):  # the second has a hundredth of the first one's slope: one by one

        def loss(channel, colour=colour):
            changed = image.copy()
            changed[colour] = channel
            return np.vdot(d_features, vgg.forward(changed)["relu2_1"])

        assert_gradient(loss, image[colour], d_image[colour])


# ---- Pools: ties, and what an odd side drops -----------------------------------------


def exact_network(architecture, rng):
    """Weights of few bits, and colours to match: no sum is rounded, so equals stay equal."""
    arrays = draw_arrays(architecture, rng)
    exact = {name: np.round(array * 16) / 16 for name, array in arrays.items()}
    exact["conv1_1.bias"] += 1 / 32  # keeps the sums off zero, where a ReLU has no slope
    return exact


@pytest.mark.parametrize("runtime", ["reference", "onnxruntime"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_on_a_flat_image_brightness_has_the_measured_slope(rng, pooling, runtime):
    """Every 2x2 square ties.  All pixels move as one, so the loss has a slope for all that."""
    architecture = Architecture(((4, 5), (6, 4), (5,)))
    arrays = exact_network(architecture, rng)
    colours = (0.5,) * 3, (0.25,) * 3
    flat = np.full((3, 32, 24), 0.75)
    everything = ReferenceVgg(architecture, arrays, architecture.taps, pooling, *colours)
    assert all(x.all() for tap, x in everything.forward(flat).items() if tap[:4] == "conv")
    reference = ReferenceVgg(architecture, arrays, ["conv3_1"], pooling, *colours)
    d_tap = np.round(rng.standard_normal(reference.forward(flat)["conv3_1"].shape) * 4)

    def loss(brightness):
        return np.vdot(d_tap, reference.forward(flat + brightness)["conv3_1"])

    measured = (loss(2**-20) - loss(-(2**-20))) / 2**-19
    if runtime == "onnxruntime":
        vgg = Vgg.from_arrays(arrays, ["conv3_1"], pooling, "cpu", *colours)
        vgg.forward(flat.astype(np.float32))
        d_image = vgg.backward({"conv3_1": d_tap.astype(np.float32)})
    else:
        reference.forward(flat)
        d_image = reference.backward({"conv3_1": d_tap})
    assert abs(measured) > 1
    assert np.sum(d_image, dtype=np.float64) == pytest.approx(measured, rel=1e-5)


def centre_only(architecture):
    """Convolutions that copy their first channel: what is left of VGG is its pools."""
    arrays = {}
    inputs = 3
    for name in architecture.convolutions:
        outputs = architecture.channels(name)
        arrays[f"{name}.weight"] = np.zeros((outputs, inputs, 3, 3))
        arrays[f"{name}.weight"][0, 0, 1, 1] = 1
        arrays[f"{name}.bias"] = np.zeros(outputs)
        inputs = outputs
    return arrays


def only_pools(pooling, blocks=2, rounding="floor"):
    architecture = Architecture(((1,),) * blocks, rounding)
    colours = (0.0,) * 3, (1.0,) * 3
    return ReferenceVgg(
        architecture, centre_only(architecture), [f"relu{blocks}_1"], pooling, *colours
    )


@pytest.mark.parametrize(
    ("square", "shares"),
    [
        ([[3, 1], [2, 1]], [[1, 0], [0, 0]]),
        ([[1, 2], [3, 3]], [[0, 0], [1 / 2, 1 / 2]]),
        ([[3, 1], [3, 3]], [[1 / 3, 0], [1 / 3, 1 / 3]]),
        ([[3, 3], [3, 3]], [[1 / 4, 1 / 4], [1 / 4, 1 / 4]]),
    ],
)
def test_pixels_that_tie_for_the_maximum_share_evenly(rng, square, shares):
    image = rng.random((3, 16, 18)) / 2
    image[0, 4:6, 10:12] = np.asarray(square) / 4
    vgg = only_pools("max")
    d_pooled = rng.standard_normal(vgg.forward(image)["relu2_1"].shape)
    d_image = vgg.backward({"relu2_1": d_pooled})
    np.testing.assert_allclose(d_image[0, 4:6, 10:12], d_pooled[0, 2, 5] * np.asarray(shares))


def test_an_average_pool_gives_each_pixel_a_quarter(rng):
    image = rng.random((3, 16, 18)) + 0.1
    vgg = only_pools("average")
    d_pooled = rng.standard_normal(vgg.forward(image)["relu2_1"].shape)
    d_image = vgg.backward({"relu2_1": d_pooled})
    for row, column in np.ndindex(16, 18):
        quarter = d_pooled[0, row // 2, column // 2] / 4
        assert d_image[0, row, column] == pytest.approx(quarter)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_an_odd_side_drops_gets_no_gradient(rng, pooling):
    image = rng.random((3, 23, 29)) + 0.1  # 23 -> 11 -> 5 rows and 29 -> 14 -> 7 columns
    vgg = only_pools(pooling, blocks=3)
    features = vgg.forward(image)["relu3_1"]
    assert features.shape == (1, 5, 7)
    d_image = vgg.backward({"relu3_1": np.ones_like(features)})
    assert not d_image[:, 20:].any()
    assert not d_image[:, :, 28:].any()
    squares = d_image[0, :20, :28].reshape(5, 4, 7, 4).sum(axis=(1, 3))
    np.testing.assert_allclose(squares, 1)  # and nothing is lost on what is left


@pytest.mark.parametrize("size", [None, (23, 29)], ids=["free", "known"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_an_odd_side_keeps_gets_the_gradient_of_its_square(pooling, size):
    """23 -> 12 -> 6 rows and 29 -> 15 -> 8 columns: squares of four, two and one pixel."""
    architecture = Architecture(((1,),) * 3, "ceil")
    arrays = {name: a.astype(np.float32) for name, a in centre_only(architecture).items()}
    arrays |= {"mean": np.zeros((1, 3, 1, 1), "f"), "std": np.ones((1, 3, 1, 1), "f")}
    plan = Plan(architecture, ("relu3_1",), pooling, size)
    models = graphs.forward(plan, arrays, plan.outputs), graphs.backward(plan, arrays)
    image = np.random.default_rng(4).random((1, 3, 23, 29), np.float32) + np.float32(0.1)
    d_pooled = np.random.default_rng(5).random((1, 1, 6, 8), np.float32)
    found = []
    for run in (evaluated, in_onnx_runtime):
        outputs = dict(zip(plan.outputs, run(models[0], {"image": image}), strict=True))
        saved = {name: outputs[name] for name in plan.saved}
        (d_image,) = run(models[1], saved | {"d_relu3_1": d_pooled})
        found.append(d_image[0, 0])
        squares = [[d_image[0, 0, r : r + 4, c : c + 4] for c in range(0, 29, 4)]
                   for r in range(0, 23, 4)]  # fmt: skip
        sums = [[square.sum() for square in row] for row in squares]
        np.testing.assert_allclose(sums, d_pooled[0, 0], rtol=1e-5)
        corner = squares[-1][-1][:, 0]  # three pixels below each other: two and one
        if pooling == "average":
            np.testing.assert_allclose(corner, d_pooled[0, 0, -1, -1] * np.array([1, 1, 2]) / 4)
            assert outputs["relu3_1"][0, 0, -1, -1] == pytest.approx(
                image[0, 0, -3:, -1] @ [0.25, 0.25, 0.5]
            )
        else:
            assert outputs["relu3_1"][0, 0, -1, -1] == image[0, 0, -3:, -1].max()
    np.testing.assert_allclose(*found, rtol=1e-6)


def evaluated(model, inputs):
    return ReferenceEvaluator(model).run(None, inputs)


def in_onnx_runtime(model, inputs):
    session = onnxruntime().InferenceSession(model.SerializeToString())
    return session.run(None, inputs)


# ---- ONNX Runtime in float32, against float64 ----------------------------------------


def assert_runtime_agrees(rng, name, pooling, taps, size, rounding="floor"):
    reference = network(name, pooling, *taps, rounding=rounding)
    image = photograph(*size)
    expected = reference.forward(image)
    d_features = {t: rng.standard_normal(f.shape) for t, f in expected.items()}
    arrays = draw_arrays(NETWORKS[name], np.random.default_rng(14))
    vgg = Vgg(weights.from_arrays(arrays, pooling).rounded(rounding), taps)
    found = vgg.forward(image.astype(np.float32))
    d_image = vgg.backward({t: d.astype(np.float32) for t, d in d_features.items()})
    assert d_image.dtype == np.float32
    assert list(found) == list(taps)
    for tap in taps:
        assert relative_error(found[tap], expected[tap]) <= 1e-5
    assert relative_error(d_image, reference.backward(d_features)) <= 1e-4


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(("name", "tap"), EVERY_TAP)
def test_onnx_runtime_agrees_at_every_tap(rng, name, tap, pooling):
    assert_runtime_agrees(rng, name, pooling, (tap,), (35, 22))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_onnx_runtime_agrees_with_several_taps_at_once(rng, rounding, pooling, size):
    assert_runtime_agrees(rng, "vgg16", pooling, SEVERAL, size, rounding)


# ---- The models themselves -----------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("taps", [("conv1_1",), SEVERAL, tuple(NARROW_VGG16.taps)])
def test_both_graphs_pass_the_full_check(rng, taps, pooling, dtype):
    colours = {"mean": np.zeros((1, 3, 1, 1)), "std": np.ones((1, 3, 1, 1))}
    arrays = {**draw_arrays(NARROW_VGG16, rng), **colours}
    arrays = {name: array.astype(dtype) for name, array in arrays.items()}
    plan = Plan(NARROW_VGG16, taps, pooling)
    forward, backward = graphs.forward(plan, arrays, plan.outputs), graphs.backward(plan, arrays)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    for model in (forward, backward):
        onnx.checker.check_model(model, full_check=True)
        for value in (*model.graph.input, *model.graph.output):
            masks = value.name.endswith(("_positive", "_winners"))
            expected = onnx.TensorProto.BOOL if masks else kind
            assert value.type.tensor_type.elem_type == expected


@pytest.mark.parametrize("pooling", POOLINGS)
def test_both_graphs_stop_at_the_deepest_tap(pooling):
    vgg = network("vgg16", pooling, "relu1_1", "conv2_1")
    forward, backward = vgg.forward_model.graph, vgg.backward_model.graph
    kinds = {"max": "MaxPool", "average": "AveragePool"}
    layers = ("Conv", "Relu", kinds[pooling])  # and what makes the masks
    assert [node.op_type for node in forward.node if node.op_type in layers] == [
        "Conv", "Relu", "Conv", "Relu", kinds[pooling], "Conv",
    ]  # fmt: skip
    assert [node.op_type for node in backward.node].count("Conv") == 3
    for graph in (forward, backward):
        names = {tensor.name for tensor in graph.initializer}
        assert {n for n in names if n.endswith("weight")} == {
            "conv1_1.weight", "conv1_2.weight", "conv2_1.weight",
        }  # fmt: skip
    assert not any(t.name.endswith("bias") for t in backward.initializer)


def test_every_initializer_is_read():
    for vgg in (network("vgg19", "max", "relu5_4"), network("vgg19", "average", "conv1_1")):
        for graph in (vgg.forward_model.graph, vgg.backward_model.graph):
            read = {name for node in graph.node for name in node.input}
            assert {tensor.name for tensor in graph.initializer} <= read


def test_a_mask_is_saved_for_each_relu_and_no_activation():
    def saved(pooling, *taps):
        return Plan(VGG16, taps, pooling).saved

    assert saved("average", "relu3_1") == [
        "relu1_1_positive", "relu1_2_positive", "relu2_1_positive", "relu2_2_positive",
        "relu3_1_positive",
    ]  # fmt: skip
    assert saved("max", "relu3_1", "conv2_1") == [
        "relu1_1_positive", "relu1_2_winners", "relu2_1_positive", "relu2_2_winners",
        "relu3_1_positive",
    ]  # fmt: skip
    assert saved("max", "relu1_2", "conv2_1") == [
        "relu1_1_positive", "relu1_2_winners", "relu1_2_positive",
    ]  # fmt: skip
    assert saved("max", "relu1_2") == ["relu1_1_positive", "relu1_2_positive"]


def test_tensors_have_names_and_sizes_that_a_person_can_read():
    vgg = network("vgg16", "max", "relu3_1", "conv2_2")
    inputs = {value.name: sides(value) for value in vgg.backward_model.graph.input}
    assert inputs["d_relu3_1"] == [1, NARROW_VGG16.channels("relu3_1"), "H/4", "W/4"]
    assert inputs["d_conv2_2"][2:] == ["H/2", "W/2"]
    assert inputs["relu2_2_winners"] == [1, NARROW_VGG16.channels("relu2_2"), "H/2", "W/2"]
    assert sides(vgg.backward_model.graph.output[0]) == [1, 3, "H", "W"]
    assert sides(vgg.forward_model.graph.input[0]) == [1, 3, "H", "W"]


def sides(value):
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("architecture", [VGG16, VGG19], ids=["vgg16", "vgg19"])
def test_at_full_width_the_shapes_are_those_of_the_paper(architecture):
    """From ONNX' shape inference, with weights that are only declared."""
    relus = [tap for tap in architecture.taps if tap.startswith("relu")]
    arrays = {"mean": np.zeros((1, 3, 1, 1), np.float32), "std": np.ones((1, 3, 1, 1), np.float32)}
    plan = Plan(architecture, tuple(relus), "max")
    model = graphs.forward(plan, arrays, relus)
    _set_size(model.graph.input[0], 224, 224)
    for name, shape in weight_shapes(architecture).items():
        kind = onnx.TensorProto.FLOAT
        model.graph.input.append(helper.make_tensor_value_info(name, kind, shape))
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    found = {value.name: tuple(sides(value)) for value in inferred.graph.output}

    side_of = {1: 224, 2: 112, 3: 56, 4: 28, 5: 14}
    channels_of = {1: 64, 2: 128, 3: 256, 4: 512, 5: 512}
    for relu in relus:
        block = int(relu[4])
        assert found[relu] == (1, channels_of[block], side_of[block], side_of[block])


def weight_shapes(architecture):
    shapes = {}
    inputs = 3
    for name in architecture.convolutions:
        outputs = architecture.channels(name)
        shapes |= {f"{name}.weight": (outputs, inputs, 3, 3), f"{name}.bias": (outputs,)}
        inputs = outputs
    return shapes


def _set_size(value, height, width):
    dimensions = value.type.tensor_type.shape.dim
    dimensions[2].dim_value, dimensions[3].dim_value = height, width


def test_relu_backward_is_zero_where_the_output_is_zero():
    kind = onnx.TensorProto.DOUBLE
    nodes = [
        *graphs.is_positive("y", "positive"),
        *graphs.as_number("positive", "mask", kind),
        *graphs.relu_backward("mask", "d_y", "d_x"),
    ]
    values = [helper.make_tensor_value_info(name, kind, [None]) for name in ("y", "d_y", "d_x")]
    zero = onnx.numpy_helper.from_array(np.zeros(()), "zero")
    model = helper.make_model(
        helper.make_graph(nodes, "relu", values[:2], values[2:], [zero]),
        opset_imports=[helper.make_opsetid("", graphs.OPSET)],
    )
    y, d_y = np.array([0.0, 1e-30, 2.0]), np.array([5.0, -6.0, 7.0])
    (d_x,) = ReferenceEvaluator(model).run(None, {"y": y, "d_y": d_y})
    assert d_x.tolist() == [0.0, -6.0, 7.0]


def test_an_unknown_tap_is_refused_before_a_graph_is_made():
    with pytest.raises(NstError, match="no tap 'relu3_1'; it has conv1_1, relu1_1"):
        Plan(TWO_BLOCKS, ("relu3_1",), "max")
