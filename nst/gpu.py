"""Whether a GPU works, found out by using it: CuPy, ONNX Runtime's CUDA provider, cuDNN.

What is installed and compiled in says little.  That a library is missing, a driver too old, or
that the machine code is for other GPUs shows only when something runs.
"""

import contextlib
import ctypes
import io
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from nst.errors import NstError

PROVIDER = "CUDAExecutionProvider"
INSTALL = (
    "`make install-cuda`, in the folder of nst's sources, sets up an environment with it; "
    "`nst doctor` shows what is there"
)
MACHINE_CODE = "7.5, 8.0, 8.6, 8.9, 9.0 and 12.0"  # of ONNX Runtime 1.31's wheel, and no PTX
LARGEST_REASON = 200  # characters of what a library says
SILENT = 4  # ONNX Runtime's severity above "error": all that it would print is raised as well


class NoGpuError(NstError):
    """There is no GPU to work with, and nothing says that there should be one."""


def find(runtime: ModuleType) -> ModuleType:
    """Return CuPy, where it sees a GPU and ``runtime``, ONNX Runtime, was built for one.

    Raises NoGpuError where none seems meant: without CuPy, or without a GPU and with an ONNX
    Runtime for the CPU.  Whatever else is wrong is an exception too: see `explained`.
    """
    cupy, providers = load_cupy(), runtime.get_available_providers()
    if cupy is None:
        raise NoGpuError(f"CuPy is not installed; {INSTALL}")
    if not count(cupy):
        kind = NstError if PROVIDER in providers else NoGpuError
        raise kind(f"CuPy {cupy.__version__} found no usable NVIDIA GPU; check `nvidia-smi`")
    if PROVIDER not in providers:
        listed = ", ".join(providers)
        raise NstError(f"ONNX Runtime's CUDA provider is not among {listed}; {INSTALL}")
    return cupy


def load_cupy() -> ModuleType | None:
    """Return CuPy, or None where it is not installed."""
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise
        return None
    return cupy


def count(cupy: ModuleType) -> int:
    """Return how many GPUs there are; 0 also without a driver.  Raises what CUDA says else."""
    try:
        return cupy.cuda.runtime.getDeviceCount()
    except RuntimeError as error:
        if "NoDevice" in str(error) or not cupy.cuda.runtime.driverGetVersion():
            return 0
        raise


def load_libraries(runtime: ModuleType) -> None:
    """Load CUDA and cuDNN from their Python packages, before the provider looks for them.

    They are on no library path.  What is missing is told by `try_out`, and not here.
    """
    runtime.set_default_logger_severity(SILENT)
    with contextlib.redirect_stdout(io.StringIO()):
        runtime.preload_dlls()


def try_out(device: Any, runtime: ModuleType) -> None:
    """Compute what is known on ``device``, a `devices.Device`; raise where that does not work.

    With a kernel of ours and cuBLAS in CuPy, and a convolution in ONNX Runtime, which is cuDNN.
    """
    from nst import kernels

    white = device.asarray(np.ones((3, 4, 5)))
    k = kernels.of(white)
    _must_be(1, device.asnumpy(k.luminance(white)), "a kernel of nst's")
    _must_be(20, device.asnumpy(k.gram(white, 1)), "a matrix product")
    session = runtime.InferenceSession(_convolution(), providers=[PROVIDER], enable_fallback=0)
    if PROVIDER not in session.get_providers():
        raise NstError(
            f"ONNX Runtime's CUDA provider does not start{_missing(runtime)}; {INSTALL}"
        )
    (convolved,) = session.run(None, {"x": np.ones((1, 3, 8, 8), np.float32)})
    _must_be(27, convolved[:, :, 1:-1, 1:-1], "a convolution")


def _must_be(expected: float, found: np.ndarray, what: str) -> None:
    if not np.allclose(found, expected, rtol=1e-2):  # in TF32, too
        raise NstError(f"on this GPU {what} gives {found.flat[0]} where {expected} is right")


def _convolution() -> bytes:
    """Return a model: a 3 x 3 convolution by ones, from 3 to 4 channels."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "ones"], ["y"], pads=[1, 1, 1, 1])],
        "trial",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 8])],
        [numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "ones")],
    )
    opset = helper.make_opsetid("", 18)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()


def _missing(runtime: ModuleType) -> str:
    """Return which library the provider lacks, as the end of a sentence; or nothing."""
    folder = Path(runtime.__file__ or "").parent / "capi"
    for library in folder.glob("*onnxruntime_providers_cuda.*"):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            if found := re.match(r"([^:]+): cannot open shared object file", str(error)):
                return f": {found[1]} was not found"
    return ""


# --- In words for a user ---------------------------------------------------------------


def explained(error: Exception) -> str:
    """Return in one line why a GPU does not work, where that ended in ``error``; what to do."""
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, NstError):
        return str(error)
    if isinstance(error, OSError) and "cupy" in str(error.filename):
        return f"CuPy cannot write {error.filename}; set CUPY_CACHE_DIR to a folder that it can"
    if "InsufficientDriver" in reason or "driver version is insufficient" in reason:
        return f"the NVIDIA driver is too old for this CUDA{_versions()}; update the driver"
    if re.search("NoKernelImage|no kernel image|NoBinaryForGpu|no binary for", reason):
        return (
            f"there is no machine code for this GPU{_capability()}: ONNX Runtime's package is for "
            f"compute capability {MACHINE_CODE}; take the CPU, or build ONNX Runtime for it"
        )
    if "cuDNN is not available" in reason or "NOT_IMPLEMENTED" in reason:
        return f"ONNX Runtime found no cuDNN, which its convolutions need; {INSTALL}"
    lines = [line for line in reason.splitlines() if line.strip(" =")]
    return f"{' '.join(lines[:2])[:LARGEST_REASON]}; {INSTALL}"


def facts(cupy: ModuleType) -> list[str]:
    """Return what is known of the first GPU and of the libraries for it, in lines."""
    runtime = cupy.cuda.runtime
    properties, (free, total) = runtime.getDeviceProperties(0), runtime.memGetInfo()
    return [
        f"GPU: {properties['name'].decode()}, compute capability {_of(properties)}, "
        f"{total / 1e9:.1f} GB, {free / 1e9:.1f} GB free",
        f"CUDA: driver for {_cuda(runtime.driverGetVersion())}, "
        f"CuPy with {_cuda(runtime.runtimeGetVersion())}, cuDNN {_cudnn() or 'not found'}",
    ]


def _versions() -> str:
    with contextlib.suppress(Exception):  # a driver that does not work may not even say this
        import cupy

        known, needed = cupy.cuda.runtime.driverGetVersion(), cupy.cuda.runtime.runtimeGetVersion()
        return f": it knows {_cuda(known)}, CuPy was built for {_cuda(needed)}"
    return ""


def _capability() -> str:
    with contextlib.suppress(Exception):
        import cupy

        properties = cupy.cuda.runtime.getDeviceProperties(0)
        return f", {properties['name'].decode()} of compute capability {_of(properties)}"
    return ""


def _of(properties: dict) -> str:
    return f"{properties['major']}.{properties['minor']}"


def _cuda(version: int) -> str:
    """Return 13.2 for 13020."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _cudnn() -> str | None:
    """Return the version of the cuDNN that `load_libraries` found."""
    for name in ("libcudnn.so.9", "cudnn64_9.dll"):
        with contextlib.suppress(OSError, AttributeError):
            version = ctypes.CDLL(name).cudnnGetVersion()
            return f"{version // 10000}.{version // 100 % 100}.{version % 100}"
    return None
