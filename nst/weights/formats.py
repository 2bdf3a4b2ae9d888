"""Published weights -> Network: names, layouts and colours brought to ours, and all of it checked.

The same thirteen convolutions are called ``block1_conv1`` with kernels (3, 3, I, O) by Keras,
``features.0`` by torchvision, ``vgg0_conv0`` by MXNet and so by the ONNX Model Zoo, and
``conv1_1`` here; where names say nothing, `recognition` goes by shapes and order.  What belongs
to the classifier is left out; a convolution that the model lacks or has too many is an error.
Shapes are read from headers and checked before any array is.  Nothing is ever unpickled.
"""

import functools
import math
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nst.errors import NstError, brief, warn
from nst.vgg import weights
from nst.vgg.architecture import ARCHITECTURES, Architecture
from nst.vgg.weights import Network
from nst.weights import recognition, sources
from nst.weights.recognition import Stored
from nst.weights.sources import PREPROCESSINGS, Pin, Preprocessing

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto

SUFFIXES = (".h5", ".safetensors", ".onnx", ".npz")
PICKLES = (".pth", ".pt", ".pkl", ".pickle", ".bin", ".ckpt")

_OURS = re.compile(r"conv\d+_\d+\.\w+")
_TORCHVISION = re.compile(r"features\.(\d+)\.(\w+)")
_MXNET = re.compile(r"vgg\d+_conv(\d+)_(weight|bias)")
_KERAS = re.compile(  # model_weights/block1_conv1/block1_conv1/kernel:0, block1_conv1_W_1:0
    r"(?:.*/)?block(\d+)_conv(\d+)/(?:[^/]+/)*"
    r"(?:(kernel|[^/]+_W(?:_\d+)?)|bias|[^/]+_b(?:_\d+)?)(?::0)?"
)

# Whose layer names these are, and what that library's networks expect of an image.
_ASSUMED = (
    (re.compile(r"block1_conv1"), "caffe", "Keras"),
    (re.compile(r"vgg\d+_conv0"), "torchvision", "MXNet"),
)
_FLOATS = ("float16", "float32", "float64")
_NODES = 100_000  # more than any VGG's graph has, its functions written out


@dataclass(frozen=True)
class Opened:
    """A file whose headers are read and whose arrays are not."""

    stored: Mapping[str, Stored]
    graph: "GraphProto | None" = None
    is_ours: bool = False  # a model file of this program


Reader: TypeAlias = Callable[[Path], AbstractContextManager[Opened]]


def read(
    path: Path, model: str, preprocessing: Preprocessing | None = None, pin: Pin | None = None
) -> Network:
    """Return the network ``model`` whose weights are in a .h5, .safetensors, .onnx or .npz file.

    ``preprocessing`` says what the weights expect of an image.  Without it the file must: a model
    file of ours does, a .npz file may bring ``mean`` and ``std``, RGB in [0, 1], published numbers
    are known by their digest, and the layer names of Keras and MXNet are taken for those
    libraries' networks, with a warning.  ``pin``: what the numbers must be.

    Raises NstError for a pickle, which is not even opened, for a file that cannot be read, for one
    that holds anything but the convolutions of ``model`` in their full widths, and where nothing
    says which colours they expect.
    """
    check_suffix(path)
    if not path.exists():
        raise NstError(f"weights file not found: {path}. Check the path.")
    if not path.is_file():
        raise NstError(f"{path} is no file; give one of {', '.join(SUFFIXES)}.")
    try:
        return _read(path, model, preprocessing, pin)
    except NstError:
        raise
    except Exception as error:  # whatever a library raises on a damaged file
        raise NstError(
            f"{path} is not a readable {path.suffix} file ({brief(error)}); get it again."
        ) from None


def check_suffix(path: Path) -> None:
    """Raise NstError unless ``path`` is of a kind that `read` takes."""
    if path.suffix.lower() in PICKLES:
        raise NstError(
            f"{path} is a pickle, which runs any program when read, so it was not opened. Where "
            "you trust it, run in Python `import torch, safetensors.torch`, then "
            f"`safetensors.torch.save_file(torch.load({path.name!r}, weights_only=True), "
            f"{path.stem + '.safetensors'!r})`, and give that file."
        )
    if path.suffix.lower() not in SUFFIXES:
        raise NstError(f"{path} has an unknown suffix; choose {', '.join(SUFFIXES)}.")


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


def _read(path: Path, model: str, preprocessing: Preprocessing | None, pin: Pin | None) -> Network:
    architecture, suffix = ARCHITECTURES[model], path.suffix.lower()
    with _READERS[suffix](path) as opened:
        try:
            names = _names(opened, architecture)
            channels_last = suffix == ".h5" or _channels_last(opened, names, architecture)
            _check_headers(opened, names, architecture, channels_last)
            if opened.is_ours:
                if preprocessing is not None:
                    raise ValueError("it says itself what it expects; leave --preprocessing out")
                return replace(weights.load(path), name=model)
            arrays = {
                name: _floats(opened.stored[names[name]].read(), shape, channels_last)
                for name, shape in architecture.parameters.items()
            }
            for name, array in arrays.items():
                weights.check_values(name, array)
            _check_pin(arrays, pin)
            colours = _colours(path, model, opened, arrays, names, preprocessing)
            return _network(arrays, colours, model)
        except ValueError as error:
            raise NstError(
                f"{path} is not {model}: {brief(error)}. `nst models` lists where its files are."
            ) from None


def _names(opened: Opened, architecture: Architecture) -> dict[str, str]:
    """Return {our name: stored name} of every convolution; ValueError for another network."""
    if opened.graph is not None and not opened.is_ours:
        return recognition.in_graph(opened.graph, opened.stored, architecture)
    if any(_our_name(name, architecture) for name in opened.stored):
        return our_names(opened.stored, architecture)
    return recognition.by_shape(opened.stored, architecture)


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


def _channels_last(opened: Opened, names: Mapping[str, str], architecture: Architecture) -> bool:
    """Tell whether kernels are (3, 3, I, O), as Keras has them, and not (O, I, 3, 3)."""
    kernels = [
        (opened.stored[names[name]].shape, shape)
        for name, shape in architecture.parameters.items()
        if len(shape) == 4
    ]
    return all(found == recognition.channels_last(shape) for found, shape in kernels)


def _check_headers(
    opened: Opened, names: Mapping[str, str], architecture: Architecture, channels_last: bool
) -> None:
    """Raise ValueError unless every array is made of floats and has its shape."""
    for name, shape in architecture.parameters.items():
        stored = opened.stored[names[name]]
        found = stored.shape
        if channels_last and len(found) == 4:
            found = (found[3], found[2], *found[:2])
        if (
            len(shape) == 1
            and opened.graph is not None
            and math.prod(found) == max(found, default=0)
        ):
            found = (math.prod(found),)  # (1, O, 1, 1), of a bias that is added
        if found != shape:
            raise ValueError(
                f"{names[name]} must be {shape} as (out, in, rows, columns), found {found}"
            )
        if stored.dtype not in _FLOATS:
            raise ValueError(
                f"{names[name]} holds {stored.dtype}, not floating-point numbers of "
                "16, 32 or 64 bits"
            )


def _floats(array: np.ndarray, shape: tuple[int, ...], channels_last: bool) -> np.ndarray:
    """Return a kernel as (O, I, 3, 3), or a bias as (O,), in float32."""
    if channels_last and len(shape) == 4:
        array = array.transpose(3, 2, 0, 1)
    return array.reshape(shape).astype(np.float32)


def _check_pin(arrays: Mapping[str, np.ndarray], pin: Pin | None) -> None:
    if pin is None:
        return
    found = weights.digest(arrays, pin.convolutions)
    if found != pin.sha256:
        raise ValueError(
            f"its numbers are others (sha256 {found[:12]}..., expected {pin.sha256[:12]}...)"
        )


def _colours(
    path: Path,
    model: str,
    opened: Opened,
    arrays: Mapping[str, np.ndarray],
    names: Mapping[str, str],
    chosen: Preprocessing | None,
) -> Preprocessing:
    """Return what the weights expect of an image; ValueError where nothing says it."""
    in_file = _mean_and_std(opened.stored)
    if in_file and chosen:
        raise ValueError("it says itself what it expects; leave --preprocessing out")
    whose, known = sources.known(arrays) or ("", None)
    if known and chosen and known != chosen:
        raise ValueError(f"its numbers are {whose}, which expects {known}, not {chosen}")
    in_hand = [s.preprocessing for s in sources.of(model) if s.is_in(path)] if not chosen else []
    if found := in_file or chosen or known or next(iter(in_hand), None):
        return found
    for pattern, name, library in _ASSUMED:
        if any(pattern.search(stored) for stored in names.values()):
            warn(
                f"{path} has the layer names of {library}, so it is taken to expect "
                f"{PREPROCESSINGS[name]}; --preprocessing would say otherwise."
            )
            return PREPROCESSINGS[name]
    choices = " or ".join(f"--preprocessing {name} ({p})" for name, p in PREPROCESSINGS.items())
    raise NstError(
        f"nothing says which colours {path} expects, and the wrong ones swap red and blue; "
        f"give {choices}."
    )


def _mean_and_std(stored: Mapping[str, Stored]) -> Preprocessing | None:
    """Return what arrays called mean and std say: RGB in [0, 1]."""
    if not {"mean", "std"} <= set(stored):
        return None
    for name in ("mean", "std"):
        if math.prod(stored[name].shape) != 3 or stored[name].dtype not in _FLOATS:
            raise ValueError(f"{name} must be three numbers, found shape {stored[name].shape}")
    mean, std = (tuple(stored[name].read().ravel().tolist()) for name in ("mean", "std"))
    return Preprocessing("RGB", 1, mean, std)


def _network(arrays: dict[str, np.ndarray], preprocessing: Preprocessing, model: str) -> Network:
    """Return the network for RGB in [0, 1]: order and scale move into conv1_1, mean and std.

    (scale x - mean) / std = (x - mean / scale) / (std / scale)
    """
    mean, std = (
        tuple(value / preprocessing.scale for value in values)
        for values in (preprocessing.mean, preprocessing.std)
    )
    if preprocessing.order == "BGR":
        first = "conv1_1.weight"
        arrays, mean, std = {**arrays, first: arrays[first][:, ::-1]}, mean[::-1], std[::-1]
    return weights.from_arrays(arrays, "max", mean, std, model)


# --- Readers: a file -> what its headers say of the arrays in it ------------------------------


@contextmanager
def _h5(path: Path) -> Iterator[Opened]:
    import h5py

    stored: dict[str, Stored] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            stored[name] = Stored(item.shape or (), str(item.dtype), lambda: _h5_array(item))

    with h5py.File(path) as file:
        file.visititems(note)
        yield Opened(stored)


def _h5_array(dataset: Any) -> np.ndarray:
    """Read a dataset whose shape is right, unless what lies behind it is not bounded by that."""
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} lies in another file")
    if dataset.id.get_create_plist().get_nfilters():
        raise ValueError(f"{dataset.name} is compressed; save it without")
    if dataset.chunks and math.prod(dataset.chunks) > 2 * dataset.size + 4096:
        raise ValueError(f"{dataset.name} comes in chunks of {dataset.chunks}")
    return dataset[()]


@contextmanager
def _safetensors(path: Path) -> Iterator[Opened]:
    import safetensors

    dtypes = {"F16": "float16", "F32": "float32", "F64": "float64"}
    with safetensors.safe_open(path, framework="numpy") as file:
        stored = {}
        for name in file.keys():  # it is no dictionary
            part = file.get_slice(name)
            dtype = dtypes.get(part.get_dtype(), part.get_dtype().lower())
            read_array = functools.partial(file.get_tensor, name)
            stored[name] = Stored(tuple(part.get_shape()), dtype, read_array)
        yield Opened(stored)


@contextmanager
def _npz(path: Path) -> Iterator[Opened]:
    with zipfile.ZipFile(path) as file:
        stored = {}
        for entry in file.infolist():
            if not entry.filename.endswith(".npy"):
                continue
            with file.open(entry) as member:
                shape, dtype = _npy_header(member)
            read_array = functools.partial(_npy_array, file, entry)
            stored[entry.filename.removesuffix(".npy")] = Stored(shape, dtype, read_array)
        yield Opened(stored)


def _npy_array(file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with file.open(entry) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _npy_header(member: Any) -> tuple[tuple[int, ...], str]:
    version = np.lib.format.read_magic(member)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"{member.name} has version {version} of the .npy format, expected 1.0")
    shape, _, dtype = readers[version](member)
    return shape, str(dtype)


@contextmanager
def _onnx(path: Path) -> Iterator[Opened]:
    import onnx

    if path.stat().st_size > weights.LARGEST_FILE:
        raise ValueError("it is larger than an ONNX file can be")
    model = _inlined(onnx.load(path, load_external_data=False))
    is_ours = {"pooling", "mean", "std"} <= {entry.key for entry in model.metadata_props}
    yield Opened(_constants(model.graph, path.parent), model.graph, is_ours)


def _inlined(model: "ModelProto") -> "ModelProto":
    """Return the model with the nodes of its functions in the graph itself.

    PyTorch 2.1 to 2.4 wrote each layer as a function.  Functions that call functions could make
    few bytes into many nodes, so they are counted first.
    """
    if not model.functions:
        return model
    from onnx import inliner

    sizes = {(f.domain, f.name): len(f.node) for f in model.functions}
    for _ in model.functions:  # as deep as they can call each other
        for function in model.functions:
            called = sum(sizes.get((node.domain, node.op_type), 1) for node in function.node)
            sizes[function.domain, function.name] = min(called, _NODES)
    if sum(sizes.get((node.domain, node.op_type), 1) for node in model.graph.node) >= _NODES:
        raise ValueError(f"its functions call each other {_NODES} times or more")
    return inliner.inline_local_functions(model)


def _constants(graph: "GraphProto", folder: Path) -> dict[str, Stored]:
    """Return the constants of a graph, and what is made of them by turning and converting."""
    import onnx

    stored = {tensor.name: _tensor(tensor, folder) for tensor in graph.initializer}
    for node in graph.node:
        attributes = {
            entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute
        }
        if node.op_type == "Constant" and "value" in attributes:
            stored[node.output[0]] = _tensor(attributes["value"], folder)
        elif node.input and node.input[0] in stored and node.output:
            if made := _made(node.op_type, stored[node.input[0]], attributes.get("perm")):
                stored[node.output[0]] = made
    return stored


def _made(operator: str, constant: Stored, perm: list[int] | None) -> Stored | None:
    """Return what an operator makes of a constant; None for one that computes."""
    if operator in ("Identity", "Cast"):  # all numbers become float32 in the end
        return constant
    if operator == "Transpose":
        axes = perm or list(range(len(constant.shape)))[::-1]
        shape = tuple(constant.shape[axis] for axis in axes)
        return Stored(shape, constant.dtype, lambda: constant.read().transpose(axes))
    if operator in ("Reshape", "Squeeze", "Unsqueeze"):  # of a bias, to be added
        flat = (math.prod(constant.shape),)
        return Stored(flat, constant.dtype, lambda: constant.read().reshape(-1))
    return None


def _tensor(tensor: "TensorProto", folder: Path) -> Stored:
    import onnx

    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)

    def read_array() -> np.ndarray:
        if onnx.external_data_helper.uses_external_data(tensor):  # beside the model file
            elsewhere = {entry.key: entry.value for entry in tensor.external_data}
            if elsewhere.get("length") != str(math.prod(tensor.dims) * dtype.itemsize):
                length = elsewhere.get("length")
                raise ValueError(f"{tensor.name} has {length} bytes in another file")
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        return onnx.numpy_helper.to_array(tensor)

    return Stored(tuple(tensor.dims), dtype.name, read_array)


_READERS: dict[str, Reader] = {
    ".h5": _h5,
    ".safetensors": _safetensors,
    ".onnx": _onnx,
    ".npz": _npz,
}
