"""VGG's forward and backward graphs, built node by node as ONNX.

Each layer is a pair of functions: ``relu`` and, below it, ``relu_backward``.  Tensors are named
after what they are: ``relu1_1``, and ``d_relu1_1`` for dL/drelu1_1.  The derivations are in
kernels/DERIVATIONS.md.

The pair for a choice of taps:

    forward    image (1, 3, H, W) RGB in [0, 1]   ->  the taps, and what the backward pass needs
    backward   those activations, and d_tap for every tap  ->  d_image (1, 3, H, W)

Both stop at the deepest tap.  H and W are free; every spatial size follows from the activations.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnx.helper import make_node

from nst.vgg.architecture import Architecture, numbers

OPSET, IR_VERSION = 18, 9  # old enough for ONNX Runtime 1.20

# --- One layer at a time: forward above, backward below --------------------------------------


def normalise(image: str, y: str) -> list[NodeProto]:
    """y = (image - mean) / std, per colour, as the network was trained."""
    return [
        make_node("Sub", [image, "mean"], ["centred"], "centred"),
        make_node("Div", ["centred", "std"], [y], y),
    ]


def normalise_backward(d_y: str, d_image: str) -> list[NodeProto]:
    return [make_node("Div", [d_y, "std"], [d_image], d_image)]


def conv(name: str, x: str, y: str) -> list[NodeProto]:
    """y = 3x3 convolution of x, same size: one pixel of zeros on every side."""
    weights = [f"{name}.weight", f"{name}.bias"]
    return [make_node("Conv", [x, *weights], [y], name, pads=[1, 1, 1, 1])]


def conv_backward(name: str, d_y: str, d_x: str) -> list[NodeProto]:
    """The same convolution with the kernel turned by 180 degrees, in and out exchanged.

    A ``ConvTranspose`` says so more directly, and is several times slower in ONNX Runtime.
    Transpose and Slice have constant inputs: they are folded once, when the graph is loaded.
    """
    exchanged, turned = f"{name}.exchanged", f"{name}.turned"
    return [
        make_node("Transpose", [f"{name}.weight"], [exchanged], exchanged, perm=[1, 0, 2, 3]),
        make_node("Slice", [exchanged, "last", "before_first", "sides", "back"], [turned], turned),
        make_node("Conv", [d_y, turned], [d_x], d_x, pads=[1, 1, 1, 1]),
    ]


def relu(x: str, y: str) -> list[NodeProto]:
    return [make_node("Relu", [x], [y], y)]


def relu_backward(y: str, d_y: str, d_x: str) -> list[NodeProto]:
    """Where the output is positive the gradient passes; elsewhere it is zero."""
    positive, mask = f"{y}_positive", f"{y}_mask"
    return [
        make_node("Greater", [y, "zero"], [positive], positive),
        make_node("CastLike", [positive, y], [mask], mask),
        make_node("Mul", [d_y, mask], [d_x], d_x),
    ]


def pool(pooling: str, x: str, y: str) -> list[NodeProto]:
    """y = maximum or mean of each 2x2 square of x; an odd last row or column is dropped."""
    kind = {"max": "MaxPool", "average": "AveragePool"}[pooling]
    return [make_node(kind, [x], [y], y, kernel_shape=[2, 2], strides=[2, 2])]


def max_pool_backward(x: str, y: str, d_y: str, d_x: str) -> list[NodeProto]:
    """The gradient goes to the pixel that was the maximum; pixels that tie share it evenly.

    Ties are common where an image is flat.  Giving each of them the whole would multiply the
    gradient by four at every pool.
    """
    name = f"{d_x}_"
    return [
        *_enlarge(y, x, f"{y}_enlarged"),
        make_node("Equal", [x, f"{y}_enlarged"], [f"{y}_is_maximum"], f"{y}_is_maximum"),
        make_node("CastLike", [f"{y}_is_maximum", x], [f"{y}_mask"], f"{y}_mask"),
        *pool("average", f"{y}_mask", f"{y}_tied_share"),
        make_node("Mul", [f"{y}_tied_share", "four"], [f"{y}_tied"], f"{y}_tied"),
        make_node("Div", [d_y, f"{y}_tied"], [f"{name}share"], f"{name}share"),
        *_enlarge(f"{name}share", x, f"{name}enlarged"),
        make_node("Mul", [f"{name}enlarged", f"{y}_mask"], [d_x], d_x),
    ]


def average_pool_backward(x: str, d_y: str, d_x: str) -> list[NodeProto]:
    """Each of the four pixels gets a quarter."""
    quarter = f"{d_x}_quarter"
    return [make_node("Div", [d_y, "four"], [quarter], quarter), *_enlarge(quarter, x, d_x)]


def _enlarge(x: str, like: str, y: str) -> list[NodeProto]:
    """y = x with every pixel made 2x2, and zeros in the odd last row or column of ``like``."""
    doubled, size, missing = f"{y}_doubled", f"{y}_size", f"{y}_missing"
    return [
        make_node(
            "Resize",
            [x, "", "twice"],
            [doubled],
            doubled,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        make_node("Shape", [like], [size], size),
        make_node("Shape", [doubled], [f"{size}_doubled"], f"{size}_doubled"),
        make_node("Sub", [size, f"{size}_doubled"], [missing], missing),
        make_node("Concat", ["none_before", missing], [f"{y}_pads"], f"{y}_pads", axis=0),
        make_node("Pad", [doubled, f"{y}_pads"], [y], y),
    ]


CONSTANTS = {  # name: (value, dtype; None for the graph's own)
    "zero": (0.0, None),
    "four": (4.0, None),
    "twice": ([1, 1, 2, 2], np.float32),
    "none_before": ([0, 0, 0, 0], np.int64),
    "last": ([-1, -1], np.int64),
    "before_first": ([np.iinfo(np.int64).min] * 2, np.int64),
    "sides": ([2, 3], np.int64),
    "back": ([-1, -1], np.int64),
}

# --- The pair of graphs for a choice of taps --------------------------------------------------


def saved_activations(
    architecture: Architecture, taps: tuple[str, ...], pooling: str
) -> list[str]:
    """Return what the backward pass reads of the forward pass, shallow to deep.

    A ReLU is undone from its output, an average pool from the shape of its input (a ReLU), and
    a max pool from its input and its output.
    """
    layers = architecture.layers_to(taps)
    kept = ("relu", "pool") if pooling == "max" else ("relu",)
    return [layer for layer in layers if layer.startswith(kept)]


def forward_outputs(architecture: Architecture, taps: tuple[str, ...], pooling: str) -> list[str]:
    """Return what a forward pass puts out: the taps, then what else the backward pass reads."""
    return list(dict.fromkeys([*taps, *saved_activations(architecture, taps, pooling)]))


def forward(
    architecture: Architecture,
    arrays: Mapping[str, np.ndarray],
    taps: tuple[str, ...],
    pooling: str,
    outputs: list[str],
    metadata: Mapping[str, str] | None = None,
) -> ModelProto:
    """Return the graph from ``image`` to the ``outputs``, any layers up to the deepest tap.

    ``arrays`` holds ``mean`` and ``std`` (1, 3, 1, 1) and each convolution's ``weight`` and
    ``bias``; their dtype is the graph's, so float64 arrays make a graph for exact checks.
    """
    nodes = normalise("image", "normalised")
    x = "normalised"
    for layer in architecture.layers_to(taps):
        if layer.startswith("conv"):
            nodes += conv(layer, x, layer)
        elif layer.startswith("relu"):
            nodes += relu(x, layer)
        else:
            nodes += pool(pooling, x, layer)
        x = layer
    channels = {"image": 3} | {name: architecture.channels(name) for name in outputs}
    return _model(nodes, ["image"], outputs, channels, arrays, metadata)


def backward(
    architecture: Architecture,
    arrays: Mapping[str, np.ndarray],
    taps: tuple[str, ...],
    pooling: str,
    metadata: Mapping[str, str] | None = None,
) -> ModelProto:
    """Return the graph from the saved activations and a ``d_tap`` for every tap to ``d_image``."""
    nodes: list[NodeProto] = []
    layers = ["normalised", *architecture.layers_to(taps)]
    d_y = ""  # the gradient that arrives from the deeper layers; at the deepest there is none
    for x, layer in reversed(list(pairwise(layers))):
        if layer in taps:
            d_y = _add_tap(nodes, layer, d_y)
        d_x = f"d_{x}_from_{layer}"
        if layer.startswith("conv"):
            nodes += conv_backward(layer, d_y, d_x)
        elif layer.startswith("relu"):
            nodes += relu_backward(layer, d_y, d_x)
        elif pooling == "max":
            nodes += max_pool_backward(x, layer, d_y, d_x)
        else:
            nodes += average_pool_backward(x, d_y, d_x)
        d_y = d_x
    nodes += normalise_backward(d_y, "d_image")
    saved = saved_activations(architecture, taps, pooling)
    inputs = [*saved, *(f"d_{tap}" for tap in taps)]
    channels = {"d_image": 3} | {
        name: architecture.channels(name.removeprefix("d_")) for name in inputs
    }
    return _model(nodes, inputs, ["d_image"], channels, arrays, metadata)


def _add_tap(nodes: list[NodeProto], tap: str, d_deeper: str) -> str:
    """Add the loss's own gradient at ``tap`` to what comes from deeper; return the sum's name."""
    if not d_deeper:
        return f"d_{tap}"
    total = f"d_{tap}_sum"
    nodes.append(make_node("Add", [f"d_{tap}", d_deeper], [total], total))
    return total


def _model(
    nodes: list[NodeProto],
    inputs: list[str],
    outputs: list[str],
    channels: Mapping[str, int],
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None,
) -> ModelProto:
    """Return the model, with just those initializers that its nodes read."""
    dtype = arrays["mean"].dtype
    constants = {name: np.asarray(v, kind or dtype) for name, (v, kind) in CONSTANTS.items()}
    read = {name for node in nodes for name in node.input}
    initializers = {n: v for n, v in {**arrays, **constants}.items() if n in read}
    kind = helper.np_dtype_to_tensor_dtype(dtype)

    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, [1, channels[name], *_sides(name)])

    graph = helper.make_graph(
        nodes,
        "vgg",
        [value(name) for name in inputs],
        [value(name) for name in outputs],
        [numpy_helper.from_array(v, name) for name, v in initializers.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    model.producer_name = "nst"
    helper.set_model_props(model, dict(metadata or {}))
    return model


def _sides(name: str) -> list[str]:
    """Name the free sides of a tensor: H and W, H/2 and W/2 behind the first pool, ..."""
    layer = name.removeprefix("d_")
    if layer == "image":
        return ["H", "W"]
    pools = int(layer[4:]) if layer.startswith("pool") else numbers(layer)[0] - 1
    return [f"{side}/{2**pools}" if pools else side for side in "HW"]
