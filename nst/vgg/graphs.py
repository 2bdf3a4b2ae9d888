"""VGG's forward and backward graphs, built node by node as ONNX.

Each layer is a pair of functions: ``relu`` and, below it, ``relu_backward``.  Tensors are named
after what they are: ``relu1_1``, and ``d_relu1_1`` for dL/drelu1_1.  The derivations are in
kernels/DERIVATIONS.md.

The pair for a choice of taps:

    forward    image (1, 3, H, W) RGB in [0, 1]   ->  the taps, and what the backward pass needs
    backward   those activations, and d_tap for every tap  ->  d_image (1, 3, H, W)

Both stop at the deepest tap.  H and W are free unless a size is given: then what depends on it is
worked out beforehand, convolutions may go by winograd.py and pixel_shuffle.py, and large blocks
in strips, strips.py.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from onnx.helper import make_node

from nst.vgg import pixel_shuffle, strips, winograd
from nst.vgg.architecture import numbers
from nst.vgg.plan import Odd, Plan, is_conv, is_kernel, is_mask, is_pool, layer_of
from nst.vgg.strips import Rows

OPSET, IR_VERSION = 18, 9  # old enough for ONNX Runtime 1.20

Borders: TypeAlias = tuple[int, int]  # rows of zeros above and below a convolution's input

# --- One layer at a time: forward above, backward below --------------------------------------


def normalise(image: str, y: str) -> list[NodeProto]:
    """y = (image - mean) / std, per colour, as the network was trained."""
    return [
        make_node("Sub", [image, "mean"], ["centred"], "centred"),
        make_node("Div", ["centred", "std"], [y], y),
    ]


def normalise_backward(d_y: str, d_image: str) -> list[NodeProto]:
    """d_image = d_y / std."""
    return [make_node("Div", [d_y, "std"], [d_image], d_image)]


def conv(name: str, x: str, y: str, borders: Borders = (1, 1)) -> list[NodeProto]:
    """y = 3x3 convolution of x, zeros around it: one pixel on each side, or as ``borders`` say."""
    weights = [f"{name}.weight", f"{name}.bias"]
    return [make_node("Conv", [x, *weights], [y], y, pads=_pads(borders))]


def conv_backward(name: str, d_y: str, d_x: str, borders: Borders = (1, 1)) -> list[NodeProto]:
    """The same convolution with the kernel of `turn`: in and out exchanged.

    A ``ConvTranspose`` says so more directly, and is several times slower in ONNX Runtime.
    """
    return [make_node("Conv", [d_y, f"{name}.turned"], [d_x], d_x, pads=_pads(borders))]


def turn(name: str) -> list[NodeProto]:
    """The kernel turned by 180 degrees, in and out exchanged.

    Both nodes have constant inputs: they are folded once, when the graph is loaded.
    """
    exchanged, turned = f"{name}.exchanged", f"{name}.turned"
    return [
        make_node("Transpose", [f"{name}.weight"], [exchanged], exchanged, perm=[1, 0, 2, 3]),
        make_node("Slice", [exchanged, "last", "before_first", "sides", "back"], [turned], turned),
    ]


def turned(weight: np.ndarray) -> np.ndarray:
    """Return the kernel that the nodes of `turn` make of ``weight``: (C, O, 3, 3)."""
    return weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]


def _pads(borders: Borders) -> list[int]:
    above, below = borders
    return [above, 1, below, 1]


def relu(x: str, y: str) -> list[NodeProto]:
    """y = max(x, 0)."""
    return [make_node("Relu", [x], [y], y)]


def relu_backward(mask: str, d_y: str, d_x: str) -> list[NodeProto]:
    """Where the output was positive the gradient passes; elsewhere it is zero."""
    return [make_node("Mul", [d_y, mask], [d_x], d_x)]


def is_positive(y: str, positive: str) -> list[NodeProto]:
    """All that `relu_backward` needs of a ReLU's output: a byte a pixel, in place of four."""
    return [make_node("Greater", [y, "zero"], [positive], positive)]


def as_number(mask: str, number: str, kind: int) -> list[NodeProto]:
    """0 and 1 in place of False and True; ``kind`` is the graph's type, as ONNX numbers them."""
    return [make_node("Cast", [mask], [number], number, to=kind)]


def pool(pooling: str, x: str, y: str, rounding: str = "floor") -> list[NodeProto]:
    """y = maximum or mean of each 2x2 square of x.

    An odd last row or column is dropped; with the ``rounding`` "ceil" it makes squares of the
    pixels that there are.
    """
    kind = {"max": "MaxPool", "average": "AveragePool"}[pooling]
    ceil = int(rounding == "ceil")
    return [make_node(kind, [x], [y], y, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=ceil)]


def max_pool_backward(
    mask: str, d_y: str, d_x: str, odd: Odd, rounding: str = "floor"
) -> list[NodeProto]:
    """The gradient goes to the pixel that was the maximum; pixels that tie share it evenly.

    Ties are common where an image is flat.  Giving each of them the whole would multiply the
    gradient by four at every pool.  A square without winners gets nothing.
    """
    mean, tied = f"{d_x}_mean", f"{d_x}_tied"
    share, enlarged = f"{d_x}_share", f"{d_x}_enlarged"
    return [
        *_quarter_sums(mask, mean, odd, rounding),
        make_node("Mul", [mean, "four"], [f"{tied}_or_none"], f"{tied}_or_none"),
        make_node("Max", [f"{tied}_or_none", "one"], [tied], tied),
        make_node("Div", [d_y, tied], [share], share),
        *_enlarge(share, enlarged, mask, odd, rounding),
        make_node("Mul", [enlarged, mask], [d_x], d_x),
    ]


def are_winners(
    x: str, y: str, winners: str, odd: Odd, kind: int, rounding: str = "floor"
) -> list[NodeProto]:
    """All that `max_pool_backward` needs: which pixels are positive and their square's maximum.

    x comes out of a ReLU, whose mask this has in it: where y is 0 nothing may win, so it is
    replaced by -1, which no x equals.
    """
    nothing, number = f"{y}_is_nothing", f"{y}_is_nothing_as_number"
    highest, enlarged = f"{y}_or_minus_one", f"{y}_enlarged"
    return [
        make_node("LessOrEqual", [y, "zero"], [nothing], nothing),
        *as_number(nothing, number, kind),
        make_node("Sub", [y, number], [highest], highest),
        *_enlarge(highest, enlarged, x, odd, rounding),
        make_node("Equal", [x, enlarged], [winners], winners),
    ]


def average_pool_backward(
    like: str, d_y: str, d_x: str, odd: Odd, rounding: str = "floor"
) -> list[NodeProto]:
    """Each of the four pixels gets a quarter; of fewer that are kept, a half or all of it."""
    share, count = f"{d_x}_share", "four"
    counting: list[NodeProto] = []
    if _keeps_odd(odd, rounding):
        sides, ones, quarters = f"{d_x}_sides", f"{d_x}_ones", f"{d_x}_quarters"
        count = f"{d_x}_count"
        counting = [
            make_node("Shape", [like], [f"{sides}_only"], start=2),
            make_node("Concat", ["one_by_one", f"{sides}_only"], [sides], axis=0),
            make_node("Expand", ["one", sides], [ones], ones),
            *_quarter_sums(ones, quarters, odd, rounding),
            make_node("Mul", [quarters, "four"], [count], count),
        ]
    return [
        *counting,
        make_node("Div", [d_y, count], [share], share),
        *_enlarge(share, d_x, like, odd, rounding),
    ]


def _keeps_odd(odd: Odd, rounding: str) -> bool:
    """Tell whether a pool has, or may have, squares of fewer pixels than four."""
    return rounding == "ceil" and (odd is None or any(odd))


def _quarter_sums(x: str, y: str, odd: Odd, rounding: str) -> list[NodeProto]:
    """y = a quarter of the sum over each 2x2 square of x, as `pool` has them."""
    if not _keeps_odd(odd, rounding):
        return pool("average", x, y)
    padded = f"{y}_padded"  # by zeros; an even side drops them again
    return [make_node("Pad", [x, "one_behind"], [padded], padded), *pool("average", padded, y)]


def _enlarge(x: str, y: str, like: str, odd: Odd, rounding: str) -> list[NodeProto]:
    """y = x with every pixel made 2x2, of the size of ``like``.

    In an odd last row or column there are zeros where a pool drops it; else what is beyond it is
    cut off.
    """
    doubled = f"{y}_doubled" if odd is None or any(odd) else y
    resize = make_node(
        "Resize",
        [x, "", "twice"],
        [doubled],
        doubled,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    if doubled == y:
        return [resize]
    if rounding == "ceil":
        return [resize, *_cut_to(like, doubled, y, odd)]
    size, missing, pads = f"{y}_size", f"{y}_missing", f"{y}_pads"
    if odd is None:
        measure = [
            make_node("Shape", [like], [size], size),
            make_node("Shape", [doubled], [f"{size}_doubled"], f"{size}_doubled"),
            make_node("Sub", [size, f"{size}_doubled"], [missing], missing),
        ]
    else:
        measure = [make_node("Constant", [], [missing], value_ints=[0, 0, *map(int, odd)])]
    return [
        resize,
        *measure,
        make_node("Concat", ["none_before", missing], [pads], pads, axis=0),
        make_node("Pad", [doubled, pads], [y], y),
    ]


def _cut_to(like: str, x: str, y: str, odd: Odd) -> list[NodeProto]:
    """y = x as far as ``like`` has rows and columns: without the last, where these are odd."""
    if odd is not None:
        axes = [axis for axis, is_odd in zip((2, 3), odd, strict=True) if is_odd]
        return strips.part(x, y, [0] * len(axes), [-1] * len(axes), axes)
    size = f"{y}_size"
    return [
        make_node("Shape", [like], [size], size),
        make_node("Slice", [x, "none_before", size], [y], y),
    ]


CONSTANTS = {  # name: (value, dtype; None for the graph's own)
    "zero": (0.0, None),
    "one": (1.0, None),
    "four": (4.0, None),
    "twice": ([1, 1, 2, 2], np.float32),
    "none_before": ([0, 0, 0, 0], np.int64),
    "one_behind": ([0, 0, 0, 0, 0, 0, 1, 1], np.int64),
    "one_by_one": ([1, 1], np.int64),
    "last": ([-1, -1], np.int64),
    "before_first": ([np.iinfo(np.int64).min] * 2, np.int64),
    "sides": ([2, 3], np.int64),
    "behind": ([1, 2], np.int64),
    "back": ([-1, -1], np.int64),
}

# --- The pair of graphs for a choice of taps --------------------------------------------------


def points(plan: Plan, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the kernels at Winograd's points that the two graphs of ``plan`` take as inputs.

    (36, O, C) each: ``conv3_1.points``, and ``conv3_1.turned_points`` for the backward pass.
    """
    found = {}
    for name in filter(plan.points, filter(is_conv, plan.layers)):
        weight = arrays[f"{name}.weight"]
        found[f"{name}.points"] = winograd.transform_kernel(weight)
        found[f"{name}.turned_points"] = winograd.transform_kernel(turned(weight))
    return found


def forward(
    plan: Plan,
    arrays: Mapping[str, np.ndarray],
    outputs: list[str],
    metadata: Mapping[str, str] | None = None,
) -> ModelProto:
    """Return the graph from ``image`` to the ``outputs``: taps, and what the backward pass reads.

    ``arrays`` holds ``mean`` and ``std`` (1, 3, 1, 1) and each convolution's ``weight`` and
    ``bias``; their dtype is the graph's, so float64 arrays make a graph for exact checks.
    """
    nodes = normalise("image", "normalised")
    masks: list[NodeProto] = []
    kind = helper.np_dtype_to_tensor_dtype(arrays["mean"].dtype)
    x = "normalised"
    for layers in plan.stretches:
        cut = plan.cut(layers[-1], layers if is_pool(layers[-1]) else [])
        for rows in cut:
            nodes += _forward_through(plan, x, layers, rows)
        nodes += _join(layers[-1], cut)
        masks = _masks(plan, x, layers, cut, outputs, kind) + masks
        x = layers[-1]
    # ONNX Runtime goes for the node that stands last first, with what it needs.  The masks stand
    # behind all layers, the shallowest last: so each is made right after its layer, and
    # no layer waits in memory until the end.
    return _model(plan, nodes + masks, ["image"], outputs, arrays, metadata)


def _forward_through(plan: Plan, x: str, layers: list[str], rows: Rows) -> list[NodeProto]:
    """Return nodes from ``x`` through one stretch of layers, to these ``rows`` of the last."""
    here = rows
    for before, layer in reversed(list(pairwise([x, *layers]))):
        if is_conv(layer):
            here = here.around()
        elif is_pool(layer):
            here = here.unpooled(plan.height(before))
    names = _names(x, layers, rows)
    nodes = _take(x, names[0], here)
    for layer, (here_x, here_y) in zip(layers, pairwise(names), strict=True):
        if is_conv(layer):
            nodes += _conv_forward(plan, layer, here_x, here_y, here)
            here = here.inside()
        elif is_pool(layer):
            nodes += pool(plan.pooling, here_x, here_y, plan.rounding)
        else:
            nodes += relu(here_x, here_y)
    return nodes


def _names(x: str, layers: list[str], rows: Rows) -> list[str]:
    """Return what ``x`` and the ``layers`` are called that lead to these ``rows``."""
    read = f"{x}_read{rows.suffix}" if rows.suffix else x
    return [read, *(f"{layer}{rows.suffix}" for layer in layers)]


def _masks(
    plan: Plan, x: str, layers: list[str], cut: list[Rows], outputs: list[str], kind: int
) -> list[NodeProto]:
    """Return nodes for those of the ``outputs`` that are masks of one stretch, shallow last."""
    nodes: list[NodeProto] = []
    for index, (before, layer) in enumerate(pairwise([x, *layers])):
        mask = f"{before}_winners" if is_pool(layer) else f"{layer}_positive"
        if mask not in outputs:
            continue
        made: list[NodeProto] = []
        for rows in cut:
            here_x, here_y = _names(x, layers, rows)[index : index + 2]
            here = f"{mask}{rows.suffix}"
            if is_pool(layer):
                odd = plan.odd(before, rows.unpooled(plan.height(before)))
                made += are_winners(here_x, here_y, here, odd, kind, plan.rounding)
            else:
                made += is_positive(here_y, here)
        nodes = made + _join(mask, cut) + nodes
    return nodes


def backward(
    plan: Plan, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> ModelProto:
    """Return the graph from ``plan.saved`` and a ``d_tap`` for every tap to ``d_image``."""
    nodes = [node for name in plan.layers if plan.turns(name) for node in turn(name)]
    arrays = {**arrays, **_shuffled(plan, arrays)}
    masks: list[NodeProto] = []
    kind = helper.np_dtype_to_tensor_dtype(arrays["mean"].dtype)
    d_y = ""  # the gradient that arrives from the deeper layers; at the deepest there is none
    for x, layers in reversed(plan.blocks):
        cut = plan.cut(x, layers)
        for rows in cut:
            at = plan.rows_back(x, layers, rows)
            masks += _masks_as_numbers(plan, at, rows.suffix, kind)
            nodes += _backward_through(plan, x, layers, d_y, rows, at)
        d_y = f"d_{x}"
        nodes += _join(d_y, cut)
    nodes += normalise_backward(d_y, "d_image")
    inputs = [*plan.saved, *(f"d_{tap}" for tap in plan.taps)]
    # First, so that ONNX Runtime goes for them last: see `forward`.
    return _model(plan, masks + nodes, inputs, ["d_image"], arrays, metadata)


def _shuffled(plan: Plan, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the turned kernels of `pixel_shuffle`, by name: ``conv1_1.shuffled``."""
    return {
        f"{name}.shuffled": pixel_shuffle.shuffled_kernel(turned(arrays[f"{name}.weight"]))
        for name in filter(plan.shuffles, plan.layers)
    }


def _masks_as_numbers(
    plan: Plan, at: Mapping[str, Rows], suffix: str, kind: int
) -> list[NodeProto]:
    """Return nodes for ``relu1_1_positive_mask`` and ``relu1_2_winners_mask``, ..."""
    nodes: list[NodeProto] = []
    for name in plan.saved:
        rows = at.get(layer_of(name))
        if rows is None:  # of another block
            continue
        nodes += _take(name, f"{name}{suffix}", rows)
        nodes += as_number(f"{name}{suffix}", f"{name}_mask{suffix}", kind)
    return nodes


def _backward_through(
    plan: Plan, x: str, layers: list[str], d_y: str, rows: Rows, at: Mapping[str, Rows]
) -> list[NodeProto]:
    """Return nodes from ``d_y`` back through a block, to these ``rows`` of d_x; ``at`` which."""
    nodes: list[NodeProto] = []
    suffix = rows.suffix
    if d_y and suffix:
        nodes += _take(d_y, f"{d_y}_read{suffix}", at[layers[-1]])
        d_y = f"{d_y}_read{suffix}"
    for before, layer in reversed(list(pairwise([x, *layers]))):
        if layer in plan.taps:
            d_y = _add_tap(nodes, layer, d_y, suffix, at[layer])
        d_x = f"d_{before}_from_{layer}{suffix}"
        if is_conv(layer):
            nodes += _conv_backward(plan, layer, d_y, d_x, at[layer])
        elif is_pool(layer):
            odd = plan.odd(before, at[before]), plan.rounding
            if plan.pooling == "max":
                nodes += max_pool_backward(f"{before}_winners_mask{suffix}", d_y, d_x, *odd)
            else:
                nodes += average_pool_backward(f"{before}_positive_mask{suffix}", d_y, d_x, *odd)
        elif f"{layer}_positive" in plan.saved:
            nodes += relu_backward(f"{layer}_positive_mask{suffix}", d_y, d_x)
        else:
            continue  # the pool above has let through winners only, and these are positive
        d_y = d_x
    return nodes + strips.take(d_y, f"d_{x}{suffix}", at[x], rows)


def _take(whole: str, y: str, rows: Rows) -> list[NodeProto]:
    """Return nodes for y = these ``rows`` of a ``whole`` tensor; none if that is its name."""
    return strips.take(whole, y, Rows(0, rows.height, rows.height), rows) if y != whole else []


def _join(name: str, cut: list[Rows]) -> list[NodeProto]:
    """Return nodes for a tensor from its strips; none where it has been whole all along."""
    return strips.join([f"{name}{rows.suffix}" for rows in cut], name) if len(cut) > 1 else []


def _conv_forward(plan: Plan, name: str, x: str, y: str, rows: Rows) -> list[NodeProto]:
    """Return nodes for convolution ``name`` of these ``rows`` of its input."""
    if not plan.points(name):
        return conv(name, x, y, rows.borders)
    bias, summed = f"{y}_bias", f"{y}_without_bias"
    return [
        *_conv_at_points(plan, name, f"{name}.points", x, summed, rows),
        make_node("Unsqueeze", [f"{name}.bias", "behind"], [bias], bias),
        make_node("Add", [summed, bias], [y], y),
    ]


def _conv_backward(plan: Plan, name: str, d_y: str, d_x: str, rows: Rows) -> list[NodeProto]:
    if plan.shuffles(name):
        size = rows.inside().count, plan.shape(name)[2]
        return pixel_shuffle.conv(f"{name}.shuffled", d_y, d_x, *size, rows.borders)
    if not plan.points(name):
        return conv_backward(name, d_y, d_x, rows.borders)
    return _conv_at_points(plan, name, f"{name}.turned_points", d_y, d_x, rows)


def _conv_at_points(
    plan: Plan, name: str, kernel: str, x: str, y: str, rows: Rows
) -> list[NodeProto]:
    outputs, inputs = plan.architecture.parameters[f"{name}.weight"][:2]
    if kernel.endswith("turned_points"):
        inputs, outputs = outputs, inputs
    size = rows.inside().count, plan.shape(name)[2]
    return winograd.conv(kernel, x, y, inputs, outputs, *size, rows.borders)


def _add_tap(nodes: list[NodeProto], tap: str, d_deeper: str, suffix: str, rows: Rows) -> str:
    """Add the loss's own gradient at ``tap`` to what comes from deeper; return the sum's name."""
    nodes += _take(f"d_{tap}", f"d_{tap}{suffix}", rows)
    if not d_deeper:
        return f"d_{tap}{suffix}"
    total = f"d_{tap}_sum{suffix}"
    nodes.append(make_node("Add", [f"d_{tap}{suffix}", d_deeper], [total], total))
    return total


def _model(
    plan: Plan,
    nodes: list[NodeProto],
    inputs: list[str],
    outputs: list[str],
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None,
) -> ModelProto:
    """Return the model, with just those initializers that its nodes read.

    Kernels at Winograd's points are inputs, not initializers: so all graphs share one copy.
    """
    dtype = arrays["mean"].dtype
    given = {name: np.asarray(v, kind or dtype) for name, (v, kind) in CONSTANTS.items()}
    given |= winograd.constants(dtype)
    read = list(dict.fromkeys(name for node in nodes for name in node.input))
    initializers = {name: v for name, v in {**arrays, **given}.items() if name in read}
    kernels = [name for name in read if is_kernel(name)]
    graph = helper.make_graph(
        nodes,
        "vgg",
        [_value(plan, name, dtype) for name in [*inputs, *kernels]],
        [_value(plan, name, dtype) for name in outputs],
        [numpy_helper.from_array(v, name) for name, v in initializers.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    model.producer_name = "nst"
    helper.set_model_props(model, dict(metadata or {}))
    return model


def _value(plan: Plan, name: str, dtype: np.dtype) -> ValueInfoProto:
    """Return the name, type and shape of an input or output; free sides have names."""
    kind = TensorProto.BOOL if is_mask(name) else helper.np_dtype_to_tensor_dtype(dtype)
    if is_kernel(name):
        outputs, inputs = plan.architecture.parameters[f"{name.split('.')[0]}.weight"][:2]
        pair = [inputs, outputs] if name.endswith(".turned_points") else [outputs, inputs]
        return helper.make_tensor_value_info(name, kind, [36, *pair])
    layer = layer_of(name)
    channels = 3 if layer == "image" else plan.architecture.channels(layer)
    if plan.size is None:
        sides: list[str | int] = [*_sides(layer)]
    else:
        sides = [*(plan.size if layer == "image" else plan.shape(layer)[1:])]
    return helper.make_tensor_value_info(name, kind, [1, channels, *sides])


def _sides(layer: str) -> list[str]:
    """Name the free sides of a tensor: H and W, H/2 and W/2 behind the first pool, ..."""
    if layer == "image":
        return ["H", "W"]
    pools = int(layer[4:]) if layer.startswith("pool") else numbers(layer)[0] - 1
    return [f"{side}/{2**pools}" if pools else side for side in "HW"]
