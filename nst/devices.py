"""Where arrays live: NumPy on the CPU or CuPy on the GPU.  Chosen once, at the start of a run."""

import os
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from nst.errors import NstError
from nst.kernels import Array

INSTALL_CPU = "Install it with `pip install 'nst[cpu]'` (or nst[cuda] for an NVIDIA GPU)."
INSTALL_CUDA = (
    "In an environment of its own, `pip install 'nst[cuda]'`; or use --device cpu. "
    "`nst doctor` shows what is there."
)


@dataclass(frozen=True)
class Device:
    """An array module and the ONNX Runtime provider that goes with it."""

    name: str  # "cpu" or "cuda", as ONNX Runtime calls it in an I/O binding
    xp: ModuleType
    provider: str
    kept: Any = None  # the CUDA stream in use, which CuPy itself does not keep alive

    def asarray(self, host: np.ndarray) -> Array:
        """Place a NumPy array here, as C-contiguous float32: on the CPU, itself if it is that."""
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
    """Return the GPU device, or raise NstError saying what is missing."""
    try:
        import cupy
    except ImportError:
        raise NstError(
            f"--device cuda needs CuPy, which is not installed. {INSTALL_CUDA}"
        ) from None
    if not cupy.cuda.is_available():
        raise NstError(
            f"--device cuda: CuPy {cupy.__version__} found no usable NVIDIA GPU. "
            "Check `nvidia-smi`, or use --device cpu."
        )
    device = Device("cuda", cupy, "CUDAExecutionProvider")
    providers = onnxruntime().get_available_providers()
    if device.provider not in providers:
        raise NstError(
            f"--device cuda needs ONNX Runtime's CUDA provider; this installation has "
            f"{', '.join(providers)}. {INSTALL_CUDA}"
        )
    return replace(device, kept=_stream(cupy))


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
    """Return the device called ``name``: 'cpu', 'cuda', or 'auto' for the best present."""
    if name == "cpu":
        return CPU
    if name == "cuda":
        return cuda()
    if name != "auto":
        raise NstError(f"--device is {name!r}; choose auto, cpu or cuda.")
    try:
        return cuda()
    except NstError:
        return CPU


def onnxruntime() -> ModuleType:
    """Return the onnxruntime module, or raise NstError saying how to get it.

    It comes with an extra, because its CPU and CUDA builds are two packages with one module.  It
    would tell its maker about each start and keep a number for this machine; here it does not,
    unless the user has set the variable otherwise.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError:
        raise NstError(f"ONNX Runtime is not installed. {INSTALL_CPU}") from None
    return onnxruntime
