"""Which stored arrays are a VGG's convolutions, where their names do not say it.

In an ONNX graph the convolutions stand in the order of the forward pass, and what lies between
two of them tells a VGG from another network.  In a file of arrays alone their shapes and the
numbers in their names must be those of the architecture, in order.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nst.vgg.architecture import Architecture, numbers

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

_UNCHANGED = ("Identity", "Cast", "Transpose", "Dropout", "Pad")  # pass the same features on
_POOLS = ("MaxPool", "AveragePool")
_NORMS = ("BatchNormalization", "InstanceNormalization", "LayerNormalization", "Mul")


@dataclass(frozen=True)
class Stored:
    """An array in a file, known from its header: nothing of it is read before `read`."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]


# --- Graphs ------------------------------------------------------------------------------------


def in_graph(
    graph: "GraphProto", stored: Mapping[str, Stored], architecture: Architecture
) -> dict[str, str]:
    """Return {our name: stored name} of the convolutions of an ONNX graph.

    ``stored``: the constants of the graph.  What comes behind the last convolution, a classifier,
    is left out, and so is what comes before the first.  Raises ValueError for any other network.
    """
    return _Graph(graph, stored, architecture).names()


class _Graph:
    def __init__(
        self, graph: "GraphProto", stored: Mapping[str, Stored], architecture: Architecture
    ) -> None:
        self._stored, self._architecture = stored, architecture
        self._convolutions = [node for node in graph.node if node.op_type == "Conv"]
        self._makers = {output: node for node in graph.node for output in node.output}
        self._users: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)

    def names(self) -> dict[str, str]:
        """Return the stored names of all parameters; see `in_graph`."""
        wanted = self._architecture.convolutions
        if len(self._convolutions) < len(wanted):
            raise ValueError(
                f"its graph has {len(self._convolutions)} convolutions, expected {len(wanted)}"
            )
        names: dict[str, str] = {}
        before = ""  # the features behind the previous convolution's ReLU
        # More convolutions may follow: a classifier.
        for name, node in zip(wanted, self._convolutions, strict=False):
            if before:
                self._check_way(node, before, name)
            self._check_convolution(node, name)
            bias, before = self._behind(node, name)
            names[f"{name}.weight"] = self._constant(node.input[1], f"the kernel of {name}")
            names[f"{name}.bias"] = self._constant(bias, f"the bias of {name}")
        return names

    def _counted(self, steps: int) -> int:
        """Return ``steps`` and one more; ValueError where they go round in a circle."""
        if steps > len(self._makers):
            raise ValueError("its graph runs in a circle")
        return steps + 1

    def _constant(self, name: str, what: str) -> str:
        if name not in self._stored:
            raise ValueError(f"{what} is no constant of the graph ({name or 'there is none'})")
        return name

    def _check_convolution(self, node: "NodeProto", name: str) -> None:
        """Raise ValueError unless it is 3 x 3, one pixel by one, and pads by one pixel."""
        attributes = _attributes(node)
        for key, expected in (("strides", [1, 1]), ("dilations", [1, 1]), ("group", 1)):
            if attributes.get(key, expected) != expected:
                raise ValueError(
                    f"{name} ({node.name}) has {key} {attributes[key]}, expected {expected}"
                )
        same = attributes.get("auto_pad", b"NOTSET") in (b"SAME_UPPER", b"SAME_LOWER")
        maker = self._makers.get(node.input[0])
        apart = maker is not None and maker.op_type == "Pad"
        if attributes.get("pads", [0] * 4) != [1, 1, 1, 1] and not same and not apart:
            raise ValueError(f"{name} ({node.name}) does not pad its input by one pixel")

    def _behind(self, convolution: "NodeProto", name: str) -> tuple[str, str]:
        """Return the names of the bias and of the features behind the ReLU.

        The bias is the convolution's third input or what is added before the ReLU.
        """
        bias = convolution.input[2] if len(convolution.input) > 2 else ""
        features, steps = convolution.output[0], 0
        while users := self._users.get(features):
            node, steps = users[0], self._counted(steps)
            added = [one for one in node.input if one in self._stored]
            if node.op_type == "Relu":
                return bias, node.output[0]
            if node.op_type == "Add" and len(added) == 1 and not bias:
                bias = added[0]
            elif node.op_type not in _UNCHANGED:
                raise ValueError(self._stranger(node, f"between {name} and its ReLU"))
            features = node.output[0]
        if name != self._architecture.convolutions[-1]:
            raise ValueError(f"{name} ({convolution.name}) has no ReLU behind it")
        return bias, features

    def _check_way(self, convolution: "NodeProto", before: str, name: str) -> None:
        """Raise ValueError unless ``convolution`` sees ``before``, pooled where a block begins."""
        features, pools, steps = convolution.input[0], 0, 0
        while features != before:
            node, steps = self._makers.get(features), self._counted(steps)
            if node is None or node.op_type in ("Conv", "Relu"):
                raise ValueError(f"{name} ({convolution.name}) does not follow the one before it")
            if node.op_type in _POOLS:
                attributes = _attributes(node)
                if attributes.get("kernel_shape") != [2, 2] or attributes.get("strides") != [2, 2]:
                    raise ValueError(f"the pool before {name} ({node.name}) is not 2 x 2")
                pools += 1
            elif node.op_type not in _UNCHANGED:
                raise ValueError(self._stranger(node, f"before {name}"))
            features = node.input[0]
        block, index = numbers(name)
        if pools != (1 if index == 1 and block > 1 else 0):
            raise ValueError(f"{pools} pools lie before {name} ({convolution.name})")

    def _stranger(self, node: "NodeProto", where: str) -> str:
        found = f"{node.op_type} {node.name!r} {where}"
        if node.op_type in _NORMS:
            return f"it has batch normalisation, {found}, and so is another network"
        return f"it has {found}, where a VGG has none"


def _attributes(node: "NodeProto") -> dict[str, Any]:
    import onnx

    return {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}


# --- Arrays alone ------------------------------------------------------------------------------


def by_shape(stored: Mapping[str, Stored], architecture: Architecture) -> dict[str, str]:
    """Return {our name: stored name} of kernels and biases whose order their names' numbers give.

    Kernels are (O, I, 3, 3) or, as Keras has them, (3, 3, I, O).  Raises ValueError where they
    are not exactly the architecture's, or where anything would have to be guessed.
    """
    for name in stored:
        if re.search(r"running_mean|moving_mean|batch_?norm", name, re.IGNORECASE):
            raise ValueError(f"it has batch normalisation, {name}, and so is another network")
    kernels = [name for name in sorted(stored, key=_natural) if _is_kernel(stored[name].shape)]
    wanted = architecture.convolutions
    if len(kernels) != len(wanted):
        raise ValueError(
            f"{len(kernels)} of its arrays are kernels of 3 x 3, expected {len(wanted)}; "
            f"it holds {_some(stored)}"
        )
    if len({re.sub(r"[_.]?\d+", "", name) for name in kernels}) > 1:
        raise ValueError(f"the names of its kernels do not number them: {_some(kernels)}")
    names: dict[str, str] = {}
    for convolution, kernel in zip(wanted, kernels, strict=True):
        shape = architecture.parameters[f"{convolution}.weight"]
        found = stored[kernel].shape
        if found not in (shape, channels_last(shape)):
            raise ValueError(
                f"{kernel} comes as {convolution}, which must be {shape} as (out, in, rows, "
                f"columns), found {found}"
            )
        names[f"{convolution}.weight"] = kernel
        names[f"{convolution}.bias"] = _bias_of(kernel, stored, shape[0])
    return names


def _bias_of(kernel: str, stored: Mapping[str, Stored], outputs: int) -> str:
    """Return the bias beside ``kernel``: of the same stem, or else the array that comes next."""
    stem = re.sub(r"[^./_]*$", "", kernel)
    own = [n for n in stored if n.startswith(stem) and re.sub(r"[^./_]*$", "", n) == stem]
    beside = [name for name in own if name != kernel]
    if stem == "" or len(beside) != 1:  # arr_0, arr_1, ...
        order = sorted(stored, key=_natural)
        beside = order[order.index(kernel) + 1 :][:1]
    if not beside or stored[beside[0]].shape != (outputs,):
        raise ValueError(f"no bias of shape ({outputs},) lies beside {kernel}")
    return beside[0]


def _is_kernel(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and (shape[2:] == (3, 3) or shape[:2] == (3, 3))


def channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a kernel (O, I, 3, 3) with its channels last: (3, 3, I, O)."""
    return (*shape[2:], shape[1], shape[0])


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return what sorts names as people do: layer 2 before layer 10."""
    parts = re.findall(r"\d{1,9}|\D+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _some(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:4]) or "nothing"
