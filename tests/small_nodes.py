"""Nodes of a convolution on their own, and the loops that they are held against."""

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from nst.vgg import graphs


def naive_conv(x, kernel, borders=(1, 1)):
    """Return the 3x3 convolution by its definition; ``borders``: rows of zeros above and below."""
    padded = np.pad(x, [(0, 0), borders, (1, 1)])
    y = np.empty((len(kernel), padded.shape[1] - 2, padded.shape[2] - 2))
    for channel, row, column in np.ndindex(y.shape):
        y[channel, row, column] = np.sum(
            padded[:, row : row + 3, column : column + 3] * kernel[channel]
        )
    return y


def run_alone(nodes, x, shape, constants):
    """Return what the ``nodes`` make of ``x`` under the name y, of a ``shape``, in float64."""
    kind = onnx.TensorProto.DOUBLE
    graph = helper.make_graph(
        nodes,
        "alone",
        [helper.make_tensor_value_info("x", kind, [1, *x.shape])],
        [helper.make_tensor_value_info("y", kind, [1, *shape])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", graphs.OPSET)])
    onnx.checker.check_model(model, full_check=True)
    return ReferenceEvaluator(model).run(None, {"x": x[None]})[0][0]
