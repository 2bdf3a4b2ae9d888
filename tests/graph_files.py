"""VGG as other programs write it into ONNX files, with names that say nothing."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

POOL = {"kernel_shape": [2, 2], "strides": [2, 2]}


class GraphFile:
    """Collects nodes and constants; every name is a number.

    ``channels_last`` turns the image first, as Keras' graphs do.  ``kernels`` are ``plain``,
    ``turned`` (stored as Keras has them), ``constant`` nodes, or ``half`` (float16 and a Cast).
    ``bias`` is an ``input`` of the Conv, ``added`` behind it, or ``reshaped`` and added.
    ``padding`` is ``pads``, ``same`` or a ``node`` of its own.  ``norm`` names an operator that
    stands behind the convolution ``norm_at``, or behind its ReLU.
    """

    def __init__(self, arrays, **form):
        self.form = {
            "channels_last": False,
            "kernels": "plain",
            "bias": "input",
            "padding": "pads",
            "pool": "MaxPool",
            "norm": None,
            "norm_at": "conv2_2",
            "norm_behind_relu": False,
            "classifier": True,
        } | form
        self.nodes, self.constants, self.arrays = [], [], arrays

    def name(self):
        return f"n{len(self.nodes) + 1000 * len(self.constants)}"

    def node(self, operator, *inputs, **attributes):
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], f"@{output}", **attributes))
        return output

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def kernel(self, array):
        array = np.float32(array)
        if self.form["kernels"] == "constant":
            return self.node("Constant", value=numpy_helper.from_array(array))
        if self.form["kernels"] == "turned":
            turned = self.constant(array.transpose(2, 3, 1, 0))
            return self.node("Transpose", turned, perm=[3, 2, 0, 1])
        if self.form["kernels"] == "half":
            half = self.constant(array.astype(np.float16))
            return self.node("Cast", half, to=TensorProto.FLOAT)
        return self.constant(array)

    def convolution(self, x, name, **attributes):
        kernel, bias = self.arrays[f"{name}.weight"], np.float32(self.arrays[f"{name}.bias"])
        said = {"pads": [1, 1, 1, 1]} | attributes
        if self.form["padding"] == "same":
            said = {"auto_pad": "SAME_UPPER"}
        elif self.form["padding"] == "node":
            pads = self.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1]))
            x, said = self.node("Pad", x, pads), {"pads": [0, 0, 0, 0]}
        elif self.form["padding"] == "none":
            said = {}
        weight = self.kernel(kernel)
        if self.form["bias"] == "input":
            x = self.node("Conv", x, weight, self.constant(bias), **said)
        else:
            x = self.node("Conv", x, weight, **said)
            if self.form["bias"] == "added":
                x = self.node("Add", x, self.constant(bias.reshape(1, -1, 1, 1)))
            elif self.form["bias"] == "reshaped":
                shape = self.constant(np.array([1, -1, 1, 1]))
                x = self.node("Add", self.node("Reshape", self.constant(bias), shape), x)
        return x

    def norm(self, x, channels):
        if self.form["norm"] == "Mul":
            return self.node("Mul", x, self.constant(np.ones((1, channels, 1, 1), np.float32)))
        ones = [self.constant(np.ones(channels, np.float32)) for _ in range(4)]
        return self.node(self.form["norm"], x, *ones)

    def model(self):
        form, x = self.form, "image"
        if form["channels_last"]:
            x = self.node("Transpose", x, perm=[0, 3, 1, 2])
        for name in [key[:-7] for key in self.arrays if key.endswith(".weight")]:
            channels = len(self.arrays[f"{name}.bias"])
            if name.endswith("_1") and name != "conv1_1":
                x = self.node(form["pool"], x, **form.get("sides", POOL))
            x = self.convolution(x, name, **form.get("attributes", {}))
            here = form["norm"] and form["norm_at"] == name
            if here and not form["norm_behind_relu"]:
                x = self.norm(x, channels)
            x = self.node(form.get("relu", "Relu"), x)
            if here and form["norm_behind_relu"]:
                x = self.norm(x, channels)
        if form["classifier"]:
            x = self.node("MaxPool", x, **POOL)
            if form["classifier"] == "convolutions":
                kernel = self.constant(np.ones((2, channels, 1, 1), np.float32))
                x = self.node("Relu", self.node("Conv", x, kernel))
            x = self.node("Flatten", x)
            x = self.node("MatMul", x, self.constant(np.ones((channels, 2), np.float32)))
            scale = self.constant(np.ones(2, np.float32))
            x = self.node("Add", self.node("Mul", x, scale), scale)  # a norm taken apart
        info = helper.make_tensor_value_info
        shape = [1, 32, 32, 3] if form["channels_last"] else [1, 3, 32, 32]
        graph = helper.make_graph(
            self.nodes,
            "another program's",
            [info("image", TensorProto.FLOAT, shape)],
            [info(x, TensorProto.FLOAT, None)],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])

    def save(self, path, **options):
        onnx.save(self.model(), path, **options)
        return path
