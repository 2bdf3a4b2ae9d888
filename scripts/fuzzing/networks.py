"""Small networks, so that a case takes milliseconds."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from nst.vgg import weights
from nst.vgg.architecture import Architecture
from nst.vgg.export import export_network
from nst.vgg.weights import Network

FOUR_BLOCKS = Architecture(((4, 5), (6, 4), (5, 4, 6), (3,)))  # has the taps of the default recipe
NARROW_VGG16 = Architecture(((3, 4), (4, 5), (5, 3, 4), (3, 4, 5), (4, 5, 3)))


def draw_arrays(architecture: Architecture) -> dict[str, np.ndarray]:
    """Return weights and biases that keep the signal's size from layer to layer."""
    rng, arrays = np.random.default_rng(3), {}
    for name, shape in architecture.parameters.items():
        spread = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) == 4 else 0.1
        arrays[name] = (rng.standard_normal(shape) * spread).astype(np.float32)
    return arrays


@cache
def tiny_bytes() -> bytes:
    """Return the model file of a network that the default recipe can use."""
    return model_bytes(weights.from_arrays(draw_arrays(FOUR_BLOCKS), "average", name="tiny"))


def model_bytes(network: Network) -> bytes:
    """Return the bytes of the model file of ``network``."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        export_network(network, path)
        return path.read_bytes()
