"""VGG with a handful of channels: the same topology, in a thousandth of the time."""

from types import SimpleNamespace

import numpy as np
from onnx.reference import ReferenceEvaluator

from nst.devices import CPU
from nst.vgg import graphs, hypercolumn
from nst.vgg.architecture import COLUMNS, HYPERCOLUMN_POINTS, VGG16, VGG19, Architecture
from nst.vgg.plan import Plan
from nst.vgg.weights import IMAGENET_MEAN, IMAGENET_STD


def narrow(architecture: Architecture) -> Architecture:
    """Return the same blocks with 3 to 5 channels, so that neighbours rarely have as many."""
    return Architecture(
        tuple(
            tuple(3 + (block + index) % 3 for index in range(len(channels)))
            for block, channels in enumerate(architecture.blocks)
        )
    )


NARROW_VGG16, NARROW_VGG19 = narrow(VGG16), narrow(VGG19)
FOUR_BLOCKS = Architecture(((4, 5), (6, 4), (5, 4, 6), (3,)))  # has the taps of the default recipe
TWO_BLOCKS = Architecture(((4, 5), (6,)))  # conv1_1, conv1_2, conv2_1


def draw_arrays(architecture: Architecture, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return random weights and biases that keep the signal's size from layer to layer.

    They are float64, for exact checks, and float32 holds them without rounding.
    """
    arrays = {}
    inputs = 3
    for convolution in architecture.convolutions:
        outputs = architecture.channels(convolution)
        weight = rng.standard_normal((outputs, inputs, 3, 3)) * np.sqrt(2 / (9 * inputs))
        arrays[f"{convolution}.weight"] = weight
        arrays[f"{convolution}.bias"] = 0.1 + 0.1 * rng.standard_normal(outputs)
        inputs = outputs
    return {name: array.astype(np.float32).astype(np.float64) for name, array in arrays.items()}


class ReferenceVgg:
    """`Vgg` in float64: the same graphs, run by ONNX's own NumPy evaluator.

    It remembers every image it has seen, because the checks of many taps ask for the same ones.
    """

    def __init__(self, architecture, arrays, taps, pooling, mean=IMAGENET_MEAN, std=IMAGENET_STD):
        colours = {
            name: np.reshape(np.asarray(value, np.float32), (1, 3, 1, 1)).astype(np.float64)
            for name, value in (("mean", mean), ("std", std))
        }
        self.taps = tuple(taps)
        self.network = SimpleNamespace(architecture=architecture)
        self.device = CPU
        self.released = 0
        self._layers = tuple(dict.fromkeys(p for t in self.taps for p in architecture.parts(t)))
        plan = Plan(architecture, self._layers, pooling)
        self._saved, self._outputs = plan.saved, plan.outputs
        arrays = {**arrays, **colours}
        self.forward_model = graphs.forward(plan, arrays, self._outputs)
        self.backward_model = graphs.backward(plan, arrays)
        self._forward = ReferenceEvaluator(self.forward_model)
        self._backward = ReferenceEvaluator(self.backward_model)
        self._seen: dict[bytes, dict[str, np.ndarray]] = {}
        self._activations: dict[str, np.ndarray] = {}

    def forward(self, image):
        assert image.dtype == np.float64
        key = image.tobytes()
        if key not in self._seen:
            results = self._forward.run(None, {"image": image[None]})
            self._seen[key] = dict(zip(self._outputs, results, strict=True))
        self._activations = self._seen[key]
        layers = {layer: self._activations[layer][0].copy() for layer in self._layers}
        for tap in {*COLUMNS} & {*self.taps}:
            column = np.empty(self.network.architecture.shape(tap, *image.shape[1:]))
            points = tap == HYPERCOLUMN_POINTS
            layers[tap] = hypercolumn.forward(self._parts(layers), column, points)
        return {tap: layers[tap] for tap in self.taps}

    features = forward

    def release(self):
        self.released += 1

    def _parts(self, layers):
        return {part: layers[part] for part in self.network.architecture.parts(COLUMNS[0])}

    def backward(self, d_features):
        for column in {*COLUMNS} & {*d_features}:
            blank = {layer: np.zeros_like(self._activations[layer][0]) for layer in self._layers}
            given = {tap: d.copy() for tap, d in d_features.items() if tap != column}
            pulled = d_features[column], self._parts(blank), given, column == HYPERCOLUMN_POINTS
            d_features = given | hypercolumn.backward(*pulled)
        saved = {name: self._activations[name] for name in self._saved}
        d_taps = {
            f"d_{tap}": d_features[tap][None]
            if tap in d_features
            else np.zeros_like(self._activations[tap])
            for tap in self._layers
        }
        return self._backward.run(None, {**saved, **d_taps})[0][0]


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest error as a share of the largest expected value."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())
