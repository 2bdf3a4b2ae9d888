"""Pictures that are in memory: arrays, Pillow's images and bytes become what a file would be.

Settings name pictures by paths, and runs read them by these.  What is held here has a path too, to
no file, and reading it gives what was held: so nothing else asks where a picture comes from.
"""

import hashlib
from typing import Any

import numpy as np
import PIL.Image

from nst import memory
from nst.devices import CPU
from nst.errors import NstError
from nst.pictures import decoding
from nst.pictures.reading import SMALL, Held, Input
from nst.values import counted, shown
from nst.vgg.architecture import SMALLEST_SIDE

CHANNELS = (3, 4)  # the fourth is opacity
DIGITS = 12  # of the SHA-256, in the name
SHAPES = "(H, W, 3), (3, H, W), either with a fourth channel for opacity, or (H, W) for grey"
FLOATS = 8  # bytes a value: float32, and once more while it is brought into its range
ALMOST = 1e-3  # beyond 0 and 1: rounding


def held(value: Any, what: str) -> Any:
    """Return the path of the picture that ``value`` is, held; any other value as it is.

    Parameters
    ----------
    value : array, PIL.Image.Image, bytes or other
        Of arrays: (H, W, 3), (3, H, W), with a fourth channel for opacity, or (H, W) for grey,
        uint8 or uint16 from 0 to the highest, bool, or floats in [0, 1]; what NumPy makes an array
        of by itself, such as a tensor, will do.  Bytes are those of a picture file.
    what : str
        What messages call it: "content".

    Raises
    ------
    NstError
        For an array or an image that is no picture.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        digest = hashlib.sha256(data).hexdigest()
        return _named("bytes", digest, Input(f"the {what}'s bytes", data, digest))
    if isinstance(value, PIL.Image.Image):
        name = f"the {what} image"
        return _of_pixels("image", name, *decoding.of_image(value, name))
    if hasattr(value, "__array__"):
        return _of_pixels("array", f"the {what} array", *_planes(np.asarray(value), what))
    return value


def _of_pixels(kind: str, name: str, rgb: np.ndarray, alpha: np.ndarray | None) -> Held:
    """Return the path of these pixels; their hash is of what is painted from."""
    digest = hashlib.sha256(repr((rgb.shape, alpha is not None)).encode())
    digest.update(rgb.tobytes())
    if alpha is not None:
        digest.update(alpha.tobytes())
    sha256 = digest.hexdigest()
    return _named(kind, sha256, Input(name, b"", sha256, pixels=(rgb, alpha)))


def _named(kind: str, sha256: str, given: Input) -> Held:
    path = Held(f"{kind}-{sha256[:DIGITS]}")
    path.given = given
    return path


def _planes(array: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the colours (3, H, W) and the opacity (H, W) of an array, float32 in [0, 1]."""
    if array.ndim == 2:
        planes = array[np.newaxis]
    elif array.ndim == 3 and array.shape[-1] in CHANNELS:
        planes = np.moveaxis(array, -1, 0)
    elif array.ndim == 3 and array.shape[0] in CHANNELS:
        planes = array
    else:
        raise NstError(f"the {what} array has the shape {shown(array.shape)}; give {SHAPES}.")
    height, width = planes.shape[1:]
    if min(height, width) < SMALLEST_SIDE:
        raise NstError(
            f"the {what} array is {width} x {height} pixels, and both sides need {SMALLEST_SIDE} "
            "or more; give a larger one."
        )
    _check_memory(planes, what)
    planes = _in_range(planes, what)
    rgb = np.repeat(planes, 3, axis=0) if len(planes) == 1 else planes[:3]
    alpha = planes[3] if len(planes) == 4 else None
    opaque = alpha is None or (alpha == 1).all()
    return np.ascontiguousarray(rgb), None if opaque else np.ascontiguousarray(alpha)


def _check_memory(planes: np.ndarray, what: str) -> None:
    """Refuse what would not fit into memory as floats: an array may be one pixel, broadcast."""
    channels, height, width = planes.shape
    needed = FLOATS * max(3, channels) * height * width
    room = max(SMALL, memory.room(CPU))
    if needed > room:
        raise NstError(
            f"the {what} array is {width} x {height} pixels, which take "
            f"{memory.format_bytes(needed)} of memory, and there is {memory.format_bytes(room)} "
            "for it; give a smaller one."
        )


def _in_range(planes: np.ndarray, what: str) -> np.ndarray:
    """Return new planes, float32 in [0, 1]."""
    kind = planes.dtype
    if kind.kind == "b":
        return planes.astype(np.float32)
    if kind in (np.uint8, np.uint16):
        return planes.astype(np.float32) / np.float32(np.iinfo(kind).max)
    if kind.kind != "f":
        raise NstError(
            f"the {what} array is of {kind}, which does not say what is white; give uint8 from 0 "
            "to 255, or floats from 0 to 1."
        )
    if strange := int(planes.size - np.isfinite(planes).sum()):
        raise NstError(
            f"the {what} array has {counted(strange, 'value')} not finite; give floats from 0, "
            "black, to 1, white."
        )
    low, high = float(planes.min()), float(planes.max())
    if low < -ALMOST or high > 1 + ALMOST:
        raise NstError(
            f"the {what} array goes from {low:.4g} to {high:.4g}; floats go from 0, black, to 1, "
            "white: divide by 255, or use np.clip."
        )
    return planes.astype(np.float32).clip(0, 1)
