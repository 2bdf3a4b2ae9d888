"""The pair of graphs of a network as ``.onnx`` files, to look at and to use elsewhere."""

from collections.abc import Iterable
from pathlib import Path

import onnx

from nst import files
from nst.vgg import graphs, weights
from nst.vgg.plan import Plan
from nst.vgg.weights import Network


def export_pair(
    model: str | Path, taps: Iterable[str], folder: Path, pooling: str | None = None
) -> tuple[Path, Path]:
    """Write ``MODEL.forward.onnx`` and ``MODEL.backward.onnx`` into ``folder``; return the paths.

    The folder is made where it is missing.  The forward graph puts out the taps first and then
    what the backward graph reads of it.  Both carry metadata: model, taps, pooling, mean, std and
    the weights' sha256.

    Raises NstError for an unknown model or tap, and for a folder that cannot be written.
    """
    network = weights.load(model)
    taps = tuple(dict.fromkeys(taps))
    pooling = pooling or network.pooling
    weights.check_pooling(pooling)
    plan = Plan(network.architecture, taps, pooling)
    metadata = network.metadata(taps, pooling)
    name = Path(network.name).name  # which a file says of itself: no way out of the folder
    forward, backward = (folder / f"{name}.{way}.onnx" for way in ("forward", "backward"))
    pair = graphs.forward(plan, network.arrays, plan.outputs, metadata)
    files.make_folder(folder)
    write(pair, forward)
    write(graphs.backward(plan, network.arrays, metadata), backward)
    return forward, backward


def export_network(network: Network, path: Path) -> None:
    """Write ``network`` as a model file: its forward graph to every ReLU, with all weights.

    `weights.load` reads it back; any choice of taps can be made from it.
    """
    taps = tuple(tap for tap in network.architecture.taps if tap.startswith("relu"))
    metadata = network.metadata(taps, network.pooling)
    plan = Plan(network.architecture, taps, network.pooling)
    write(graphs.forward(plan, network.arrays, list(taps), metadata), path)


def write(model: onnx.ModelProto, path: Path) -> None:
    """Check ``model`` in full and write it, whole or not at all."""
    onnx.checker.check_model(model, full_check=True)
    with files.replace_atomically(path) as file:
        file.write(model.SerializeToString())
