"""Where a network's weights come from: a name or a file in, arrays out.

A model file is an ordinary ONNX forward graph whose initializers are called ``conv1_1.weight``,
``conv1_1.bias``, ...  Its metadata say how it was trained: pooling, mean, std, sha256.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nst import memory
from nst.errors import NstError, brief
from nst.vgg.architecture import ARCHITECTURES, POOLINGS, Architecture

# The mean and standard deviation of ImageNet's RGB in [0, 1], as torchvision has them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
EMBEDDED = "vgg16-slim"
BEST = "vgg16"  # what "auto" takes where it is installed
SMALLEST_GAIN, LARGEST_GAIN = 1e-4, 1e4  # output over input of a layer, for noise
LARGEST_BIAS = 1e5
LARGEST_FILE = 1 << 31  # bytes; what the ONNX format can hold


@dataclass(frozen=True)
class Network:
    """A trained network, before any choice of taps."""

    name: str
    architecture: Architecture
    arrays: dict[str, np.ndarray]  # mean, std (1, 3, 1, 1); conv*.weight (O, I, 3, 3), .bias (O,)
    pooling: str  # as trained

    @property
    def sha256(self) -> str:
        """Identify the weights: the hash of every array's name, shape and float32 bytes."""
        digest = hashlib.sha256()
        for name in sorted(self.arrays):
            array = np.ascontiguousarray(self.arrays[name], "<f4")
            digest.update(f"{name} {array.shape}\n".encode() + array.tobytes())
        return digest.hexdigest()

    def brightened(self, gain: float) -> "Network":
        """Return the network that sees ``gain`` times the image.

        ``(gain * image - mean) / std`` is ``(image - mean / gain) / (std / gain)``.  Johnson's
        program multiplies by 256 where the network was trained on 0 .. 255.
        """
        colours = {name: self.arrays[name] / np.float32(gain) for name in ("mean", "std")}
        return self if gain == 1 else replace(self, arrays=self.arrays | colours)

    def rounded(self, rounding: str) -> "Network":
        """Return the network whose pools round half an odd side so: "floor" or "ceil"."""
        return replace(self, architecture=replace(self.architecture, rounding=rounding))

    def metadata(self, taps: tuple[str, ...], pooling: str) -> dict[str, str]:
        """Return what an exported graph should say about itself."""
        return {
            "model": self.name,
            "taps": " ".join(taps),
            "pooling": pooling,
            "mean": _join(self.arrays["mean"]),
            "std": _join(self.arrays["std"]),
            "sha256": self.sha256,
        }


def digest(arrays: Mapping[str, np.ndarray], convolutions: int, rounded: bool = False) -> str:
    """Identify the first ``convolutions`` among ``arrays``, which are named as ours.

    The sha256 over each array's name and its little-endian float32 bytes, in the order of the
    names; ``rounded`` to the nearest float16 first.
    """
    layers = list(dict.fromkeys(name.split(".")[0] for name in sorted(arrays)))[:convolutions]
    sha256 = hashlib.sha256()
    for name in sorted(arrays):
        if name.split(".")[0] in layers:
            array = np.asarray(arrays[name])
            if rounded:
                with np.errstate(over="ignore"):
                    array = array.astype(np.float16)
            sha256.update(name.encode() + np.ascontiguousarray(array, "<f4").tobytes())
    return sha256.hexdigest()


def from_arrays(
    arrays: Mapping[str, np.ndarray],
    pooling: str = "max",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
    name: str = "arrays",
) -> Network:
    """Return the network of ``{"conv1_1.weight": (O, I, 3, 3), "conv1_1.bias": (O,), ...}``.

    Any widths and any number of blocks.  Raises ValueError where the arrays do not chain: the
    first convolution reads three channels (RGB), every other what the one before it puts out.
    """
    check_pooling(pooling)
    architecture = _architecture_of(arrays)
    checked = {}
    for key, shape in architecture.parameters.items():
        found = np.shape(arrays[key]) if key in arrays else "nothing"
        if found != shape:
            raise ValueError(f"{key} must have shape {shape}, found {found}")
        checked[key] = np.ascontiguousarray(arrays[key], np.float32)
        check_values(key, checked[key])
    checked["mean"] = np.reshape(np.asarray(mean, np.float32), (1, 3, 1, 1))
    checked["std"] = np.reshape(np.asarray(std, np.float32), (1, 3, 1, 1))
    if not np.isfinite(checked["mean"]).all() or not (
        np.isfinite(checked["std"]).all() and checked["std"].min() > 0
    ):
        raise ValueError(
            f"mean {_join(checked['mean'])} and std {_join(checked['std'])} make no colours"
        )
    return Network(name, architecture, checked, pooling)


def check_values(name: str, array: np.ndarray) -> None:
    """Raise ValueError for numbers that no training brings forth, and that would paint nothing.

    What a kernel does to noise of size 1 is the root of the sum of its squares: 0.4 to 1.7, on
    the average of a layer's kernels, in every network that is known here.
    """
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite")
    if array.ndim == 4:
        with np.errstate(over="ignore"):
            gain = float(np.sqrt(np.square(array, dtype=np.float64).sum() / len(array)))
        if array.min() == array.max():
            raise ValueError(f"{name} is {array.flat[0]:g} everywhere, which nobody trained")
        if not SMALLEST_GAIN < gain < LARGEST_GAIN:
            raise ValueError(
                f"{name} makes a signal {gain:.1g} times as large, which nobody trained"
            )
    elif np.abs(array).max() > LARGEST_BIAS:
        raise ValueError(f"{name} holds {np.abs(array).max():.1g}, which nobody trained")


def load(model: str | Path) -> Network:
    """Return the network called ``model`` (a known name) or stored in the file ``model``.

    Raises NstError if there is no such model, or if the file is not one of ours.
    """
    path = find(model)
    if path.stat().st_size > LARGEST_FILE:
        raise NstError(f"{path} is larger than an ONNX file can be; export it again.")
    try:
        import onnx
    except ImportError as error:
        raise NstError(f"onnx cannot be loaded ({brief(error)}); install nst again.") from error
    try:
        stored = onnx.load(path, load_external_data=False)  # ours have none
        tensors = stored.graph.initializer
        arrays = {str(tensor.name): onnx.numpy_helper.to_array(tensor) for tensor in tensors}
    except Exception as error:  # protobuf's own error class is not public
        if memory.ran_out(error):
            raise MemoryError from error
        raise NstError(
            f"{path} is not a readable ONNX file ({brief(error)}); export it again."
        ) from None
    metadata = {str(entry.key): str(entry.value) for entry in stored.metadata_props}
    try:
        mean, std = (tuple(map(float, metadata[key].split())) for key in ("mean", "std"))
        network = from_arrays(arrays, metadata["pooling"], mean, std, metadata["model"])
    except (KeyError, ValueError, NstError) as error:
        raise NstError(
            f"{path} is no model of this program ({brief(error)}); make one with `nst export`."
        ) from None
    if network.sha256 != metadata.get("sha256"):
        raise NstError(
            f"{path} is damaged or cut: its weights have sha256 {network.sha256[:12]}..., it says "
            f"{metadata.get('sha256', 'nothing')[:12]}...; get it again."
        )
    return network


def find(model: str | Path) -> Path:
    """Return the file of ``model``: a path, or a known name that is embedded or installed.

    "auto" is vgg16 where that is installed, else vgg16-slim.
    """
    if str(model) == "auto":
        return installed(BEST) or find(EMBEDDED)
    if Path(model).suffix == ".onnx" or os.sep in str(model):
        if not os.path.isfile(model):
            raise NstError(f"model file not found: {model}; known names are {_known()}.")
        return Path(model)
    if str(model) not in ARCHITECTURES:
        raise NstError(
            f"unknown model {str(model)!r}; known names are {_known()}, or an .onnx file."
        )
    if path := installed(str(model)):
        return path
    if str(model) == EMBEDDED:
        raise NstError(f"model {model} is missing, which comes with nst; install nst again.")
    raise NstError(
        f"model {model} is not installed; run `nst models fetch {model}`, "
        f"or use --model {EMBEDDED}, which comes with nst."
    )


def installed(model: str) -> Path | None:
    """Return the file of a known ``model``, the user's before ours, or None."""
    for folder in folders():
        if os.path.isfile(folder / f"{model}.onnx"):
            return folder / f"{model}.onnx"
    return None


def folders() -> list[Path]:
    """Return where models are looked for: the user's folder (NST_MODELS), then our own."""
    here = Path(__file__).parents[1]
    inside_wheel, inside_checkout = here / "models", here.parent / "models"
    ours = inside_wheel if inside_wheel.is_dir() else inside_checkout
    return [folder for folder in (user_folder(), ours) if folder is not None]


def user_folder() -> Path | None:
    """Return the folder for the user's own models: NST_MODELS, or the platform's cache folder.

    None where there is no HOME, and the system knows none of this user: a folder of the name "~"
    in the current one is nobody's.
    """
    if "NST_MODELS" in os.environ:
        return Path(os.environ["NST_MODELS"])
    import platformdirs

    try:
        folder = platformdirs.user_cache_path("nst") / "models"
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None  # of an older platformdirs


def check_pooling(pooling: str) -> None:
    """Raise NstError unless ``pooling`` is one of POOLINGS."""
    if pooling not in POOLINGS:
        raise NstError(f"pooling is {pooling!r}; choose {' or '.join(POOLINGS)}.")


def _architecture_of(arrays: Mapping[str, np.ndarray]) -> Architecture:
    """Read the number of blocks, convolutions and channels off the arrays' names and shapes."""
    blocks: list[tuple[int, ...]] = []
    while f"conv{len(blocks) + 1}_1.weight" in arrays:
        widths: list[int] = []
        while (key := f"conv{len(blocks) + 1}_{len(widths) + 1}.weight") in arrays:
            widths.append(len(np.atleast_1d(arrays[key])))
        blocks.append(tuple(widths))
    architecture = Architecture(tuple(blocks))
    named = architecture.parameters
    stray = sorted(key for key in arrays if key.startswith("conv") and key not in named)
    if stray or not blocks:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise ValueError(
            f"weights must be named conv1_1.weight, conv1_1.bias, ... without gaps; found {found}"
        )
    return architecture


def _join(values: np.ndarray) -> str:
    return " ".join(map(str, values.ravel().tolist()))


def _known() -> str:
    return ", ".join(("auto", *ARCHITECTURES))
