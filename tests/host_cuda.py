"""Compile kernels.cu as C++ and call its kernels on NumPy arrays."""

import ctypes
import mmap
import re
import subprocess
from pathlib import Path

import numpy as np
from filelock import FileLock

from nst import kernels

HERE = Path(__file__).parent
SOURCES = [Path(kernels.__file__).with_name(name) for name in ("kernels.cu", "neighbours.cu")]
SOURCE = "".join(source.read_text(encoding="utf-8") for source in SOURCES)
SIGNATURE = re.compile(r'extern "C" __global__ void (\w+)\(([^)]*)\)')
MISTAKES = {
    1: "the threads of a block wait at different __syncthreads()",
    2: "went past the end of an array",
}

BROKEN = """  // what the host runner must notice
extern "C" __global__ void reads_before(float* y, const float* x, long long n) {
    y[threadIdx.x] = x[(long long)threadIdx.x - 1];
}
extern "C" __global__ void writes_before(float* y, const float* x, long long n) {
    y[(long long)threadIdx.x - 1] = x[threadIdx.x];
}
extern "C" __global__ void reads_behind(float* y, const float* x, long long n) {
    y[threadIdx.x] = x[threadIdx.x + 1];
}
extern "C" __global__ void writes_behind(float* y, const float* x, long long n) {
    y[threadIdx.x + 1] = x[threadIdx.x];
}
extern "C" __global__ void waits_alone(float* y, const float* x, long long n) {
    if (threadIdx.x < 2) __syncthreads();
    y[threadIdx.x] = x[threadIdx.x];
}
extern "C" __global__ void reads_too_early(float* y, const float* x, long long n) {
    __shared__ float shared[4];
    shared[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = shared[n - 1 - threadIdx.x];
}
"""


def kernel_names(source: str) -> list[str]:
    return [name for name, _ in SIGNATURE.findall(source)]


class HostModule:
    """The kernels of a ``.cu`` source, run on the CPU.  Mirrors ``cupy.RawModule``."""

    def __init__(self, source: str, build_dir: Path) -> None:
        cpp, so = build_dir / "kernels.cpp", build_dir / "kernels.so"
        with FileLock(build_dir / "lock"):  # the other workers of a test run wait, and take it
            if not so.exists():
                cpp.write_text(f'#include "host_cuda.h"\n{source}\n{_launchers(source)}')
                # -Bsymbolic: a kernel called `scale` is ours, whatever the process has loaded
                flags = "-std=c++20 -O1 -g -shared -fPIC -Wl,-Bsymbolic".split()
                command = ["g++", *flags, f"-I{HERE}", "-o", str(so), str(cpp)]
                subprocess.run(command, check=True)
        self._library = ctypes.CDLL(str(so))

    def launch(self, name: str, grid: int, block: int, args, *, backwards: bool = False) -> None:
        """Run kernel ``name``; ``backwards`` takes the threads from the last to the first.

        Asserts that the threads keep together and stay inside of their arrays.
        """
        fenced = {id(a): _Fenced(a) for a in args if isinstance(a, np.ndarray)}
        values = [fenced[id(a)].pointer if id(a) in fenced else _c(a) for a in args]
        self.call(name, grid, block, values, backwards=backwards)
        for array in fenced.values():
            array.copy_back(name)

    def call(self, name: str, grid: int, block: int, values, *, backwards: bool = False) -> None:
        """Run kernel ``name`` on values of ctypes, and on no copies of what they point at."""
        launcher = self._library[f"host_{name}"]
        result = launcher(ctypes.c_uint(grid), ctypes.c_uint(block), int(backwards), *values)
        assert not result, f"{name}: {MISTAKES[result]}"


class _Fenced:
    """A copy of an array that ends where a page without access begins.

    Before it lie NaN, to poison what is read there and to show what is written.
    """

    def __init__(self, array: np.ndarray) -> None:
        assert array.flags.c_contiguous
        page = mmap.PAGESIZE
        inner = page * (1 + -(-array.nbytes // page))  # at least one page of NaN
        self._memory = mmap.mmap(-1, inner + page)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        everything = np.frombuffer(self._memory, np.uint8, inner)
        self._before, self._inside = np.split(everything, [inner - array.nbytes])
        self._before[:] = 0xFF  # all ones are NaN
        self._inside[:] = np.frombuffer(array.tobytes(), np.uint8)
        self._array = array
        self.pointer = ctypes.c_void_p(self._inside.ctypes.data)
        no_access = 0
        refused = ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + inner), page, no_access)
        assert not refused, "mprotect failed"

    def copy_back(self, name: str) -> None:
        assert (self._before == 0xFF).all(), f"{name}: wrote before an array {self._array.shape}"
        self._array[...] = self._inside.view(self._array.dtype).reshape(self._array.shape)


def _launchers(source: str) -> str:
    lines = []
    for name, parameters in SIGNATURE.findall(source):
        names = ", ".join(p.split()[-1].lstrip("*") for p in parameters.split(","))
        lines.append(
            f'extern "C" int host_{name}(unsigned grid, unsigned block, int backwards, '
            f"{parameters}) {{ return run_on_host(grid, block, backwards, "
            f"[=] {{ {name}({names}); }}); }}"
        )
    return "\n".join(lines)


def _c(value):
    """Pass ``value`` the way CuPy would: a Python int as long long, a float as double."""
    return ctypes.c_longlong(value) if isinstance(value, int) else ctypes.c_double(value)
