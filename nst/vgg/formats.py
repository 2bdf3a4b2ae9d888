"""Published weights -> Network: names, layouts and colours brought to ours, and all of it checked.

The same thirteen convolutions are called ``block1_conv1`` with kernels (3, 3, I, O) by Keras,
``features.0`` by torchvision, ``vgg0_conv0`` by MXNet and so by the ONNX Model Zoo, and
``conv1_1`` here.  What belongs to the classifier is left out; a convolution that the model lacks
or has too many is an error.  Nothing is ever unpickled.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from nst.errors import NstError
from nst.vgg import weights
from nst.vgg.architecture import ARCHITECTURES, Architecture
from nst.vgg.sources import CAFFE, TORCHVISION, Preprocessing
from nst.vgg.weights import Network

# What a file of this kind expects of an image, unless its source says otherwise.
PREPROCESSING = {
    ".h5": CAFFE,
    ".safetensors": TORCHVISION,
    ".onnx": TORCHVISION,
    ".npz": TORCHVISION,
}
PICKLES = (".pth", ".pt", ".pkl", ".pickle", ".bin", ".ckpt")

_OURS = re.compile(r"conv\d+_\d+\.\w+")
_TORCHVISION = re.compile(r"features\.(\d+)\.(\w+)")
_MXNET = re.compile(r"vgg\d+_conv(\d+)_(weight|bias)")
_KERAS = re.compile(  # model_weights/block1_conv1/block1_conv1/kernel:0, block1_conv1_W_1:0
    r"(?:.*/)?block(\d+)_conv(\d+)/(?:[^/]+/)*"
    r"(?:(kernel|[^/]+_W(?:_\d+)?)|bias|[^/]+_b(?:_\d+)?)(?::0)?"
)

Opened: TypeAlias = tuple[list[str], Callable[[str], np.ndarray]]  # names; name -> array
Reader: TypeAlias = Callable[[Path], AbstractContextManager[Opened]]


def read(path: Path, model: str, preprocessing: Preprocessing | None = None) -> Network:
    """Return the network ``model`` whose weights are in a .h5, .safetensors, .onnx or .npz file.

    Without ``preprocessing`` a .h5 file is taken for Keras' (BGR, 0..255 less the mean), any other
    for torchvision's (RGB, less the mean, over the standard deviation).  A .npz file may bring
    its own ``mean`` and ``std``, RGB in [0, 1]; a model file of ours has them anyway.

    Raises NstError for a pickle, which is not even opened, for a file that cannot be read, and
    for one that holds anything but the convolutions of ``model`` in their full widths.
    """
    check_suffix(path)
    try:
        return _read(path, model, preprocessing or PREPROCESSING[path.suffix.lower()])
    except NstError:
        raise
    except FileNotFoundError:
        raise NstError(f"weights file not found: {path}. Check the path.") from None
    except Exception as error:  # whatever a library raises on a damaged file
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise NstError(
            f"{path} is not a readable {path.suffix} file ({said}); get it again."
        ) from None


def check_suffix(path: Path) -> None:
    """Raise NstError unless ``path`` is of a kind that `read` takes."""
    if path.suffix.lower() in PICKLES:
        raise NstError(
            f"{path} is a pickle, which can run any program when it is read, so it was not opened."
            " Where you trust it, run in Python `import torch, safetensors.torch`, then"
            f" `safetensors.torch.save_file(torch.load({path.name!r}, weights_only=True),"
            f" {path.stem + '.safetensors'!r})`, and give that file."
        )
    if path.suffix.lower() not in PREPROCESSING:
        raise NstError(f"{path} has an unknown suffix; choose {', '.join(PREPROCESSING)}.")


def our_names(stored: Iterable[str], architecture: Architecture) -> dict[str, str]:
    """Return {our name: stored name} of every convolution among the ``stored`` names.

    Raises ValueError unless they are exactly the architecture's.
    """
    ours: dict[str, str] = {}
    for name in stored:
        translated = _our_name(name, architecture)
        if translated in ours:
            raise ValueError(f"{ours[translated]} and {name} are the same layer")
        if translated is not None:
            ours[translated] = name
    wanted = architecture.parameters
    if missing := [name for name in wanted if name not in ours]:
        found = ", ".join(sorted(stored)[:4]) or "nothing"
        raise ValueError(f"{missing[0]} is missing, among {len(missing)}; it holds {found}, ...")
    if stray := [name for ours_, name in ours.items() if ours_ not in wanted]:
        raise ValueError(f"{stray[0]} is one convolution too many")
    return ours


def _read(path: Path, model: str, preprocessing: Preprocessing) -> Network:
    architecture, suffix = ARCHITECTURES[model], path.suffix.lower()
    with _READERS[suffix](path) as (stored, read_array):
        try:
            names = our_names(stored, architecture)
            arrays = {name: _floats(read_array(key), key) for name, key in names.items()}
            if suffix == ".h5":
                arrays = {name: _channels_first(array) for name, array in arrays.items()}
            _check_shapes(arrays, names, architecture)
            if suffix == ".onnx" and "conv1_1.weight" in stored:  # one of ours
                return replace(weights.load(path), name=model)
            if {"mean", "std"} <= set(stored):
                mean, std = (read_array(key).ravel().tolist() for key in ("mean", "std"))
                preprocessing = Preprocessing("RGB", 1, tuple(mean), tuple(std))
            return _network(arrays, preprocessing, model)
        except ValueError as error:
            raise NstError(
                f"{path} is not {model}: {error}. `nst models` lists where its files are."
            ) from None


def _our_name(stored: str, architecture: Architecture) -> str | None:
    """Return our name of a stored array, or its own where it is a layer that we lack.

    None for what is no convolution.
    """
    if _OURS.fullmatch(stored):
        return stored
    if match := _TORCHVISION.fullmatch(stored):
        layers, index, part = architecture.layers, int(match[1]), match[2]
    elif match := _MXNET.fullmatch(stored):
        layers, index, part = architecture.convolutions, int(match[1]), match[2]
    elif match := _KERAS.fullmatch(stored):
        return f"conv{match[1]}_{match[2]}.{'weight' if match[3] else 'bias'}"
    else:
        return None
    return f"{layers[index]}.{part}" if index < len(layers) else stored


def _floats(array: np.ndarray, stored: str) -> np.ndarray:
    if array.dtype.kind != "f":
        raise ValueError(f"{stored} holds {array.dtype}, not floating-point numbers")
    return array.astype(np.float32)


def _channels_first(array: np.ndarray) -> np.ndarray:
    """Return Keras' kernel (3, 3, I, O) as (O, I, 3, 3); leave anything else as it is."""
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array


def _check_shapes(
    arrays: Mapping[str, np.ndarray], stored: Mapping[str, str], architecture: Architecture
) -> None:
    for name, shape in architecture.parameters.items():
        if arrays[name].shape != shape:
            raise ValueError(
                f"{stored[name]} must be {shape} as (out, in, rows, columns), "
                f"found {arrays[name].shape}"
            )


def _network(arrays: dict[str, np.ndarray], preprocessing: Preprocessing, model: str) -> Network:
    """Return the network for RGB in [0, 1]: order and scale move into conv1_1, mean and std.

    (scale x - mean) / std = (x - mean / scale) / (std / scale)
    """
    if not np.isfinite(preprocessing.mean).all() or not np.min(preprocessing.std) > 0:
        raise ValueError(f"mean {preprocessing.mean} and std {preprocessing.std} make no colours")
    mean, std = (
        tuple(value / preprocessing.scale for value in values)
        for values in (preprocessing.mean, preprocessing.std)
    )
    if preprocessing.order == "BGR":
        first = "conv1_1.weight"
        arrays, mean, std = {**arrays, first: arrays[first][:, ::-1]}, mean[::-1], std[::-1]
    return weights.from_arrays(arrays, "max", mean, std, model)


# --- Readers: a file -> the names in it, and a function from a name to its array --------------


@contextmanager
def _h5(path: Path) -> Iterator[Opened]:
    import h5py

    with h5py.File(path) as file:
        names: list[str] = []
        file.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        yield names, lambda name: file[name][()]


@contextmanager
def _safetensors(path: Path) -> Iterator[Opened]:
    import safetensors

    with safetensors.safe_open(path, framework="numpy") as file:
        yield list(file.keys()), file.get_tensor


@contextmanager
def _onnx(path: Path) -> Iterator[Opened]:
    import onnx

    tensors = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    yield list(tensors), lambda name: onnx.numpy_helper.to_array(tensors[name])


@contextmanager
def _npz(path: Path) -> Iterator[Opened]:
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        yield list(file), lambda name: file[name]


_READERS: dict[str, Reader] = {
    ".h5": _h5,
    ".safetensors": _safetensors,
    ".onnx": _onnx,
    ".npz": _npz,
}
