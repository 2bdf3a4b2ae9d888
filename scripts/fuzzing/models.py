"""Weights files that are damaged, lie about their shapes, or unfold to gigabytes.

A file of the real VGG16 has 59 MB; here the program's table has a narrow network under that name,
so that a file that is accepted takes milliseconds too.
"""

import json
import random
import struct
import zipfile
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any

import h5py
import numpy as np
import onnx
import safetensors.numpy

from fuzzing import pictures
from fuzzing.bombs import undated, write_zeros
from fuzzing.cases import SHORT, TINY, Case
from fuzzing.mutations import LARGE, NUMBERS, PLAIN_TEXTS, altered, as_json, damaged
from fuzzing.networks import NARROW_VGG16, draw_arrays, model_bytes, tiny_bytes
from nst.vgg import weights
from nst.vgg.architecture import ARCHITECTURES

SUFFIXES = ("onnx", "h5", "safetensors", "npz")
WHOLE = 0.1  # of the models given to --model paint a step; the others are opened and checked


def standing() -> dict[str, bytes]:
    """Return two pictures and a network; and let "vgg16" be narrow in this process."""
    ARCHITECTURES["vgg16"] = NARROW_VGG16
    return pictures.standing()


def draw(rng: random.Random) -> Case:
    """Return a case: a file for `nst models add`, or for --model."""
    suffix = rng.choice(SUFFIXES)
    if suffix == "onnx" and rng.random() < 0.6:
        return _for_model(rng, _onnx(rng, tiny_bytes()))
    what, data = _MAKERS[suffix](rng)
    shown = suffix if rng.random() < 0.95 else rng.choice((*SUFFIXES, "pth", "x", "ONNX", "zip"))
    return Case(f"{what} to add", {f"x.{shown}": data}, ("models", "add", "vgg16", f"x.{shown}"))


def _for_model(rng: random.Random, made: tuple[str, bytes]) -> Case:
    what, data = made
    if rng.random() < WHOLE:
        words = ("stylize", "a.png", "b.png", *TINY, *SHORT, "--model", "x.onnx", "-o", "o.png")
        return Case(f"{what} as --model", {"x.onnx": data}, words)
    said: dict[str, Any] = {"content": "a.png", "style": "b.png", "model": "x.onnx", "size": 32}
    said |= {"device": "cpu", "output": "o.png", "memory": "1GB"}
    return Case(f"{what} as --model", {"x.onnx": data}, call=said)


@cache
def arrays() -> dict[str, np.ndarray]:
    """Return the narrow network's arrays under torchvision's names."""
    drawn, layers = draw_arrays(NARROW_VGG16), NARROW_VGG16.layers
    return {
        f"features.{layers.index(name.split('.')[0])}.{name.split('.')[1]}": array
        for name, array in drawn.items()
    }


def _changed(rng: random.Random) -> dict[str, np.ndarray]:
    """Return the arrays with some of them of another name, shape, type or value, or gone."""
    made = dict(arrays())
    for _ in range(rng.randrange(3)):
        name = rng.choice(list(made))
        array = made.pop(name)
        what = rng.randrange(9)
        if what == 0:
            made[rng.choice((name + "x", "features.99.weight", "x/y", "mean", "é"))] = array
        elif what == 1:
            made[name] = array.astype(rng.choice(("f2", "f8", "i4", "u1", "?")))
        elif what == 2:
            made[name] = array[..., :-1]
        elif what == 3:
            made[name] = array.ravel()
        elif what == 4:
            made[name] = np.full_like(array, rng.choice((np.nan, np.inf, 0, 1e38, -1)))
        elif what == 5:
            made[name] = np.zeros((0, *array.shape[1:]), np.float32)
        elif what == 6:
            made[name] = np.full((), rng.random(), np.float32)
        elif what == 7:
            made["mean"] = np.full(3, rng.choice((0, np.nan, 1e30)), np.float32)
            made["std"] = np.full(3, rng.choice((0, -1, 1e-45, 1)), np.float32)
    return made


# --- ONNX -------------------------------------------------------------------------------------


@cache
def _narrow_bytes() -> bytes:
    return model_bytes(weights.from_arrays(draw_arrays(NARROW_VGG16), name="vgg16"))


def _onnx(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    if rng.random() < 0.3:
        return "ONNX, bytes", damaged(rng, data)
    model = onnx.load_from_string(data)
    for _ in range(rng.randrange(1, 3)):
        tensor = rng.choice(model.graph.initializer)
        rng.choice(_ONNX_CHANGES)(rng, model, tensor)
    return "ONNX, by its parts", model.SerializeToString()


def _dims(rng: random.Random, model: Any, tensor: Any) -> None:
    at = rng.randrange(len(tensor.dims) or 1)
    if tensor.dims:
        tensor.dims[at] = rng.choice((0, -1, 1, 2, 7, 10**6, 2**31, 2**62))


def _data(rng: random.Random, model: Any, tensor: Any) -> None:
    values = np.frombuffer(tensor.raw_data, "<f4") * np.float32(
        rng.choice((np.nan, np.inf, 0, 1e38))
    )
    tensor.raw_data = rng.choice(
        (b"", tensor.raw_data[:-3], tensor.raw_data * 2, values.tobytes())
    )


def _external(rng: random.Random, model: Any, tensor: Any) -> None:
    """Let the tensor be in another file: one of the system's, or one that is not there."""
    tensor.data_location = onnx.TensorProto.EXTERNAL
    del tensor.external_data[:]
    location = rng.choice(
        ("../../../etc/passwd", "/etc/passwd", "a.png", "nowhere", "", "\x1b[31m")
    )
    for key, text in (("location", location), ("offset", "0"), ("length", rng.choice("04"))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, text


def _names(rng: random.Random, model: Any, tensor: Any) -> None:
    names = (
        "conv9_9.weight",
        "conv1_1.weight",
        "mean",
        "",
        "\x1b[31m",
        "x" * 2000,
        "conv0_1.bias",
    )
    tensor.name = rng.choice(names)


def _types(rng: random.Random, model: Any, tensor: Any) -> None:
    tensor.data_type = rng.choice((*range(24), 99, -1))


def _metadata(rng: random.Random, model: Any, tensor: Any) -> None:
    if not model.metadata_props:
        return
    entry = rng.choice(model.metadata_props)
    entry.value = rng.choice(
        (*PLAIN_TEXTS, "nan nan nan", "0 0 0", "1 2", "1e-45 1 1", "max", "9" * 999)
    )


def _remove_tensor(rng: random.Random, model: Any, tensor: Any) -> None:
    if len(model.graph.initializer) > 1:
        model.graph.initializer.remove(tensor)


def _double_tensor(rng: random.Random, model: Any, tensor: Any) -> None:
    model.graph.initializer.add().CopyFrom(tensor)


def _resigned(rng: random.Random, model: Any, tensor: Any) -> None:
    """Change values, and let the model's own checksum agree."""
    values = np.frombuffer(tensor.raw_data, "<f4") * np.float32(rng.choice((0, 1e30, 1e-30, -1)))
    tensor.raw_data = values.tobytes()
    said = {entry.key: entry for entry in model.metadata_props}
    try:
        stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
        mean, std = (tuple(map(float, said[key].value.split())) for key in ("mean", "std"))
        said["sha256"].value = weights.from_arrays(stored, said["pooling"].value, mean, std).sha256
    except Exception:  # it is wrong in another way too
        return


def _nodes(rng: random.Random, model: Any, tensor: Any) -> None:
    if model.graph.node:
        node = rng.choice(model.graph.node)
        node.op_type = rng.choice(("Nothing", "Loop", "If", ""))


_ONNX_CHANGES: tuple[Callable[[random.Random, Any, Any], None], ...] = (
    *(_dims, _data, _external, _names, _types, _metadata, _remove_tensor, _double_tensor),
    *(_resigned, _nodes),
)


# --- Safetensors ------------------------------------------------------------------------------


def _safetensors(rng: random.Random) -> tuple[str, bytes]:
    data = safetensors.numpy.save(_changed(rng))
    what = rng.random()
    if what < 0.3:
        return "safetensors, bytes", damaged(rng, data)
    if what < 0.4:
        return "safetensors, arrays", data
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    text = as_json(rng, altered(rng, header)).encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        text = rng.choice(
            (b"[" * 100_000, b'{"a":' * 100_000, b"", b"{}", b"\xff" * 50, b" " * 99)
        )
    told = rng.choice((len(text), len(text), len(text), *NUMBERS[:4], *LARGE)) % 2**64
    return "safetensors, header", struct.pack("<Q", told) + text + body


# --- NumPy's .npz -----------------------------------------------------------------------------


def _npz(rng: random.Random) -> tuple[str, bytes]:
    file = BytesIO()
    made = _changed(rng)
    if rng.random() < 0.06:
        return "NPZ bomb", _npz_bomb(rng)
    if rng.random() < 0.4:
        np.savez(file, **made)
        return "NPZ, bytes", damaged(rng, file.getvalue())
    with zipfile.ZipFile(
        file, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as archive:
        for name, array in made.items():
            suffix = rng.choice((".npy", ".npy", ".npy", ".npy", "", ".npy/"))
            archive.writestr(undated(archive, name + suffix), _npy(rng, array))
    return "NPZ, by its parts", file.getvalue()


def _npy(rng: random.Random, array: np.ndarray) -> bytes:
    """Return an array's .npy bytes; at times with a header that lies."""
    file = BytesIO()
    np.save(file, array)
    data = file.getvalue()
    if rng.random() > 0.05:
        return data
    shape = rng.choice(("(2147483648, 4)", "(-1,)", "(9999999, 99999)", "()", "(1.5,)", "((1,),)"))
    kind = rng.choice(("<f4", "|O", "|V9", "<U9", "|S1000000000", ">f8", "nothing", "<M8[s]"))
    header = rng.choice(
        (
            f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}}}",
            f"{{'descr': [('a', {kind!r})], 'fortran_order': 3, 'shape': {shape}}}",
            "__import__('os').abort()",
            "(" * 3000,
            "",
        )
    ).encode()
    return data[:8] + struct.pack("<H", len(header) % 65536) + header + data[128:]


def _npz_bomb(rng: random.Random) -> bytes:
    """Return zeros that unfold to 1.6 GB, under a name that is wanted or one that is not."""
    return _zeros(rng.choice(("features.0.weight", "classifier.0.weight")))


@cache
def _zeros(name: str) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        write_zeros(archive, name + ".npy")
        for other, array in arrays().items():
            if other != name:
                archive.writestr(undated(archive, other + ".npy"), _npy(random.Random(1), array))
    return file.getvalue()


# --- Keras' .h5 -------------------------------------------------------------------------------


def _h5(rng: random.Random) -> tuple[str, bytes]:
    file = BytesIO()
    drawn = draw_arrays(NARROW_VGG16)
    with h5py.File(file, "w") as stored:
        for name, array in drawn.items():
            layer, part = name.split(".")
            block, index = layer.removeprefix("conv").split("_")
            inner = f"block{block}_conv{index}"
            path = f"{inner}/{inner}/{'kernel' if part == 'weight' else 'bias'}:0"
            stored[path] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
        if rng.random() < 0.7:
            _change_h5(rng, stored)
    if rng.random() < 0.4:
        return "HDF5, bytes", damaged(rng, file.getvalue())
    return "HDF5, by its parts", file.getvalue()


def _change_h5(rng: random.Random, stored: h5py.File) -> None:
    block = rng.choice(list(stored))
    path = f"{block}/{block}/kernel:0"
    what = rng.randrange(9)
    if what in (0, 1, 2, 3, 4):
        del stored[path]
    if what == 0:
        big = (100_000, 10_000)
        stored.create_dataset(
            path, big, "f4", chunks=(1000, 1000), compression="gzip", fillvalue=1
        )
    elif what == 1:
        stored[path] = h5py.ExternalLink(rng.choice(("/etc/passwd", "nowhere.h5", "x.h5")), path)
    elif what == 2:
        stored[path] = h5py.SoftLink(rng.choice((path, "/", "/nowhere")))
    elif what == 3:
        stored[path] = rng.choice((["text"], [1, 2], np.zeros((0,)), np.float64(3), [b"x" * 99]))
    elif what == 4:
        stored.create_dataset(path, (3, 3, 3, 3), np.dtype([("a", "f4"), ("b", "i2")]))
    elif what == 5:
        stored[f"{block}/{block}/again"] = stored[block]
    elif what == 6:
        stored[rng.choice(("block9_conv9/kernel:0", "é/kernel:0", "block1_conv1/kernel:0"))] = [
            1.0
        ]
    elif what == 7:
        outside = [("/etc/passwd", 0, 144)]
        stored.create_dataset("block1_conv1/x_W", (3, 3, 2, 2), "f4", external=outside)
    else:
        stored.attrs["layer_names"] = [b"\xff\x1b[31m" * 20]


_MAKERS: dict[str, Callable[[random.Random], tuple[str, bytes]]] = {
    "onnx": lambda rng: _onnx(rng, _narrow_bytes()),
    "h5": _h5,
    "safetensors": _safetensors,
    "npz": _npz,
}
