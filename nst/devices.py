"""Where arrays live: NumPy on the CPU or CuPy on the GPU.  Chosen once, at the start of a run."""

import os
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from nst import gpu
from nst.errors import NstError, warn
from nst.extras import installing
from nst.kernels import Array
from nst.signals import held


@dataclass(frozen=True)
class Device:
    """An array module and the ONNX Runtime provider that goes with it."""

    name: str  # "cpu" or "cuda", as ONNX Runtime calls it in an I/O binding
    xp: ModuleType
    provider: str
    kept: Any = None  # the CUDA stream in use, which CuPy itself does not keep alive

    def asarray(self, host: np.ndarray) -> Array:
        """Place a NumPy array on this device, as C-contiguous float32.

        On the CPU one that is so already is returned itself.
        """
        return self.xp.ascontiguousarray(self.xp.asarray(host, self.xp.float32))

    def asnumpy(self, array: Array) -> np.ndarray:
        """Copy an array of this device back to NumPy."""
        return array.copy() if isinstance(array, np.ndarray) else array.get()

    def pointer(self, array: Array) -> int:
        """Return the address of the first element of a C-contiguous array of this device."""
        return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr

    def stream(self) -> int:
        """Return the CUDA stream that this thread's kernels go to; 0 on the CPU."""
        return self.xp.cuda.get_current_stream().ptr if self.name == "cuda" else 0

    def synchronize(self) -> None:
        """Wait until every kernel launched so far has finished."""
        if self.name == "cuda":
            self.xp.cuda.get_current_stream().synchronize()


CPU = Device("cpu", np, "CPUExecutionProvider")


def cuda() -> Device:
    """Return the GPU device, which has computed something already.

    Raises NstError saying why there is none; NoGpuError where none seems meant.
    """
    try:
        runtime = onnxruntime()
        cupy = gpu.find(runtime)
        gpu.load_libraries(runtime)
        device = Device("cuda", cupy, gpu.PROVIDER, _stream(cupy))
        gpu.try_out(device, runtime)
    except Exception as error:  # of a library that is broken or missing, whatever it may be
        kind = gpu.NoGpuError if isinstance(error, gpu.NoGpuError) else NstError
        raise kind(gpu.explained(error)) from error
    return device


def _stream(cupy: ModuleType) -> Any:
    """Let this thread's CuPy launch on a stream that ONNX Runtime can share, and return it.

    The one that it starts with has the address 0, which ONNX Runtime takes for none given; it
    would run on another, and not wait for CuPy's kernels (onnxruntime #26609).
    """
    stream = cupy.cuda.get_current_stream()
    if not stream.ptr:
        stream = cupy.cuda.Stream(non_blocking=True)
        stream.use()
    return stream


def pick(name: str) -> Device:
    """Return the device called ``name``: 'cpu', 'cuda', or 'auto' for the best that works.

    Warns with NstWarning where 'auto' passes over a GPU that is there, or seems meant.
    """
    if name == "cpu":
        return CPU
    if name not in ("auto", "cuda"):
        raise NstError(f"--device is {name!r}; choose auto, cpu or cuda.")
    try:
        return cuda()
    except NstError as error:
        if name == "cuda":
            raise NstError(f"--device cuda: {error}; or use --device cpu") from error
        if not isinstance(error, gpu.NoGpuError):
            warn(f"--device auto takes the CPU: {error}")
        return CPU


def onnxruntime() -> ModuleType:
    """Return the onnxruntime module, or raise NstError saying how to get it.

    It comes with an extra, because its CPU and CUDA builds are two packages with one module.  It
    would tell its maker about each start and keep a number for this machine; here it does not,
    unless the user has set the variable otherwise.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        with held():  # cut short, it would seem not to be installed
            import onnxruntime
    except ImportError:
        raise NstError(
            f"ONNX Runtime is not installed. Install it with "
            f"`{installing('cpu')}`, or for an NVIDIA GPU with `make install-cuda`."
        ) from None
    return onnxruntime
