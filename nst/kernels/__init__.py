"""The arithmetic of style transfer, twice: once to read, once to run fast.

``numpy_kernels`` is the reference: plain NumPy, one formula per function, forward
above backward.  ``cupy_kernels`` has the same functions with the same signatures,
running the hand-written CUDA of ``kernels.cu`` on CuPy arrays.  ``DERIVATIONS.md``
derives every formula.  What nearest features need has files of its own, and is found
under the same roof: ``numpy_neighbours`` and ``neighbours.cu``.

Code elsewhere never asks which device it is on.  It asks once for the twin that
fits its arrays and then calls plain functions::

    k = kernels.of(features, target)
    loss = k.mse(features, target)

Shapes, everywhere in this package: C channels, H rows, W columns.  An image is
(3, H, W) and a layer's features are (C, H, W), C-contiguous float32.  A value
named ``d_x`` is dL/dx and has the shape of ``x``.

The contract, which both twins keep:

* A backward function takes the incoming gradient first, then what the forward took.
* float32 in, float32 out.  The NumPy twin also keeps float64, for slope checks.
* Sums accumulate in float64; at most a strip of 256 values is added up in float32 before, and
  products of matrices, as Gram's and those of L-BFGS' history, in the library's own way.
* A result that is one number is a 0-d array on the device of its input, so that nothing waits
  for the GPU until somebody reads it.
* ``out`` takes the result of a backward function, and may be the array that it reads; with
  ``add`` it may not, nor in total variation, which reads a pixel's neighbours.
* What changes an array in place (``axpy``, ``scale``, ``clip`` and the steps)
  says so and returns that same array.
* The same input gives the same bits on every run: no atomics.
"""

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nst.kernels import numpy_kernels

if TYPE_CHECKING:  # CuPy may not be installed
    import cupy
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any] | cupy.ndarray
else:
    Array = Any


def of(*arrays: Array) -> ModuleType:
    """Return the twin for ``arrays``: ``numpy_kernels`` or ``cupy_kernels``.

    Raises TypeError unless all are NumPy arrays or all are CuPy arrays.
    """
    if all(isinstance(a, np.ndarray) for a in arrays):
        return numpy_kernels
    cupy = sys.modules.get("cupy")  # not imported: no argument can be a CuPy array
    if cupy is not None and all(isinstance(a, cupy.ndarray) for a in arrays):
        import nst.kernels.cupy_kernels as cupy_kernels

        return cupy_kernels
    found = ", ".join(f"{type(a).__module__}.{type(a).__qualname__}" for a in arrays)
    raise TypeError(
        f"kernels need all NumPy or all CuPy arrays, got: {found}. "
        "Move arrays with Device.asarray() before calling, not inside the math."
    )


def on_host(array: Array) -> np.ndarray:
    """Return an array as NumPy's: with a wait for the GPU, if it is there, and else itself."""
    return array if isinstance(array, np.ndarray) else array.get()


def beside(array: Array, like: Array) -> Array:
    """Return an array where ``like`` is: one of NumPy's beside one of CuPy's is copied there."""
    if isinstance(like, np.ndarray) or not isinstance(array, np.ndarray):
        return array
    return sys.modules["cupy"].asarray(array)


def floats(numbers: Sequence[Array]) -> list[float]:
    """Return 0-d arrays, and numbers among them, as Python floats: with one wait for the GPU.

    Each ``float(array)`` would wait until the GPU has done all that it was told, and then the GPU
    would wait for what it is told next.
    """
    on_gpu = [number for number in numbers if hasattr(number, "get")]
    if not on_gpu:
        return [float(number) for number in numbers]
    cuda, size = sys.modules["cupy"].cuda, 8  # bytes, the largest
    memory = cuda.alloc_pinned_memory(size * len(on_gpu))  # what the GPU can write to meanwhile
    read = [
        np.frombuffer(memory, number.dtype, 1, size * place).reshape(())
        for place, number in enumerate(on_gpu)
    ]
    for number, place in zip(on_gpu, read, strict=True):
        number.get(out=place, blocking=False)
    cuda.get_current_stream().synchronize()
    found = iter(read)
    return [float(next(found)) if hasattr(number, "get") else float(number) for number in numbers]
