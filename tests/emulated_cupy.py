"""CuPy's rules over the host's memory: what the CUDA path runs on where there is no GPU.

Stricter than CuPy where it can be:

* No array becomes a NumPy array by itself, and no NumPy array is taken for one of these.
* Memory is from a pool like CuPy's: what one array gave back is the next one's, of another shape.
  What is in it, new or given back, is NaN.
* What waits for the GPU, or copies something to it, is counted with the line of nst that did it.
* Each thread begins with the null stream.

`start` puts a fresh pool in place; kernels.cu runs as C++ on the host, see host_cuda.py.
"""

import ctypes
import mmap
import sys
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import scipy.fft

import nst

__version__ = "14, emulated"
float32, float64, int32 = np.float32, np.float64, np.int32
COUNTS_FIRST = {  # how many there are says how large the result is, and the GPU knows it
    "nonzero", "flatnonzero", "argwhere", "unique", "extract", "compress", "bincount",
}  # fmt: skip
TOGETHER = {"gram_partials", "nearest_partials"}  # kernels whose threads share a tile
UNIT = 512  # bytes: what the pool gives is a multiple
LARGEST = 1 << 30  # bytes of the GPU; what nobody touches takes nothing
NST = str(Path(nst.__file__).parent)

waits: Counter = Counter()  # "stylize.py:136 float": how often
uploads: Counter = Counter()
launches: Counter = Counter()  # by kernel; those of CuPy itself are "cupy"
used: set = set()  # names of CuPy's that were asked for


def start(host):
    """Begin with an empty GPU, whose kernels ``host`` runs, a `host_cuda.HostModule`."""
    global pool, host_module
    pool, host_module = Pool(), host
    cuda.in_use = threading.local()
    used.clear()
    forget()


def forget():
    """Count from zero."""
    for counter in (waits, uploads, launches):
        counter.clear()


def count(counter, what):
    frame = sys._getframe(1)
    while frame and not frame.f_code.co_filename.startswith(NST):
        frame = frame.f_back
    where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else "a test"
    counter[f"{where} {what}"] += 1


# ---- Memory --------------------------------------------------------------------------


class Pool:
    """Takes the smallest free piece that is large enough, and cuts off what is too much."""

    def __init__(self):
        self._map = mmap.mmap(-1, LARGEST)
        self._start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self.free = {self._start: LARGEST}  # address: bytes
        self.taken = {}
        self.reused = 0  # allocations at an address that had been another's
        self.top = self.most = self.released = 0

    def take(self, size):
        size = max(UNIT, -(-size // UNIT) * UNIT)
        fitting = [(length, at) for at, length in self.free.items() if length >= size]
        if not fitting:
            raise MemoryError(f"Out of memory allocating {size} bytes")
        length, address = min(fitting)
        del self.free[address]
        if length > size:
            self.free[address + size] = length - size
        self.taken[address] = size
        self.reused += address + size <= self._start + self.top
        self.top = max(self.top, address + size - self._start)
        self.most = max(self.most, self.top)
        ctypes.memset(address, 0xFF, size)
        return address

    def give_back(self, address):
        size = self.taken.pop(address)
        ctypes.memset(address, 0xFF, size)
        after = self.free.pop(address + size, 0)
        before = next((at for at, length in self.free.items() if at + length == address), None)
        if before is None:
            self.free[address] = size + after
        else:
            self.free[before] += size + after

    def holds(self, address, size):
        """Tell whether all of this memory is some array's now."""
        return any(at <= address and address + size <= at + n for at, n in self.taken.items())

    def used_bytes(self):
        return sum(self.taken.values())

    def total_bytes(self):
        return self.top

    def free_all_blocks(self):
        self.released += 1
        self.top = max((at + size - self._start for at, size in self.taken.items()), default=0)


class Memory:
    """A piece of the pool, for as long as an array or a view needs it."""

    def __init__(self, size):
        self.pool, self.address = pool, pool.take(size)

    def __del__(self):
        if hasattr(self, "address"):
            self.pool.give_back(self.address)


def get_default_memory_pool():
    return pool


# ---- Arrays --------------------------------------------------------------------------


class ndarray:  # as CuPy and NumPy have it
    __hash__ = None

    def __init__(self, host, memory):
        self.host, self.memory = host, memory

    shape = property(lambda self: self.host.shape)
    dtype = property(lambda self: self.host.dtype)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    nbytes = property(lambda self: self.host.nbytes)
    itemsize = property(lambda self: self.host.itemsize)
    strides = property(lambda self: self.host.strides)
    flags = property(lambda self: self.host.flags)
    data = property(lambda self: SimpleNamespace(ptr=self.host.ctypes.data))
    T = property(lambda self: ndarray(self.host.T, self.memory))

    # What waits for the GPU.

    def get(self, out=None, blocking=True):
        if not blocking:  # what is read is there after the next wait, and not before
            assert out.shape == self.shape and out.dtype == self.dtype  # noqa: PT018
            cuda.get_current_stream().pending.append((out, self))
            return out
        count(waits, "get")
        return self.host.copy()

    def item(self):
        count(waits, "item")
        return self.host.item()

    def tolist(self):
        count(waits, "tolist")
        return self.host.tolist()

    def __float__(self):
        count(waits, "float")
        return float(self.host)

    def __int__(self):
        count(waits, "int")
        return int(self.host)

    __index__ = __int__

    def __bool__(self):
        count(waits, "bool")
        return bool(self.host)

    def __format__(self, form):
        count(waits, "format")
        return format(self.host, form)

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        assert method == "__call__", method
        return _call(ufunc, *inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        return getattr(sys.modules[__name__], function.__name__)(*args, **kwargs)  # CuPy's

    # What does not.

    def __len__(self):
        return len(self.host)

    def __iter__(self):
        return (self[index] for index in range(len(self)))

    def __getitem__(self, key):
        parts = key if isinstance(key, tuple) else (key,)
        if any(isinstance(part, ndarray) and part.dtype == bool for part in parts):
            count(waits, "where it is true")
        return _result(self.host[_host(key)], self)

    def __setitem__(self, key, value):
        launches["cupy"] += 1
        self.host[_host(key)] = _host(value)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(self.host, name)
        used.add(f"ndarray.{name}")
        _count_first(name)
        return lambda *args, **kwargs: _call(method, *args, operand=self, **kwargs)

    def fill(self, value):
        self[...] = value

    def astype(self, dtype, copy=True):
        return self if not copy and self.dtype == dtype else _call(self.host.astype, dtype)

    def copy(self):
        return _copy(np.ascontiguousarray(self.host))

    def __imatmul__(self, other):
        raise TypeError("in-place matrix multiplication is not supported")


BINARY = ("add", "sub", "mul", "truediv", "pow", "matmul", "and", "or")
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
UNARY = ("neg", "invert", "abs")


def _operator(name):
    def apply(self, *others):
        if any(isinstance(other, np.ndarray) for other in others):
            raise TypeError(f"Unsupported type numpy.ndarray in {name}")
        method = getattr(self.host, name)
        return _call(lambda *hosts: method(*(np.asarray(h) if isinstance(h, np.generic) else h
                                             for h in hosts)), *others, operand=self)  # fmt: skip

    return apply


def _in_place(name):
    def apply(self, other):
        launches["cupy"] += 1
        getattr(self.host, name)(_host(other))
        return self

    return apply


for _name in BINARY:
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
    setattr(ndarray, f"__r{_name}__", _operator(f"__r{_name}__"))
    if _name != "matmul":
        setattr(ndarray, f"__i{_name}__", _in_place(f"__i{_name}__"))
for _name in COMPARISONS + UNARY:
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))


def _host(value):
    """Return what NumPy computes with for ``value``; a NumPy array is refused."""
    if isinstance(value, ndarray):
        return value.host
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, tuple | list):
        return type(value)(map(_host, value))
    return value


def _call(function, *args, operand=None, out=None, **kwargs):
    launches["cupy"] += 1
    hosts = list(map(_host, args))
    options = {name: _host(value) for name, value in kwargs.items()}
    if out is not None:
        assert out.flags.c_contiguous
        assert not any(np.may_share_memory(out.host, host) for host in hosts), "cuBLAS does not"
        options["out"] = out.host
    value = function(*hosts, **options)
    if value is NotImplemented:
        return value
    return out if out is not None else _result(value, operand, *args)


def _result(value, *operands):
    """Return ``value`` as one of our arrays: a view, or in memory of its own."""
    if isinstance(value, tuple):
        return tuple(_result(part, *operands) for part in value)
    value = np.asarray(value)
    for operand in operands:
        if isinstance(operand, ndarray) and np.may_share_memory(value, operand.host):
            return ndarray(value, operand.memory)
    return _copy(value)


def _copy(value):
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    array = empty(value.shape, value.dtype, order)
    array.host[...] = value
    return array


def empty(shape, dtype=float, order="C"):
    dtype, shape = np.dtype(dtype), (shape,) if isinstance(shape, int) else tuple(shape)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = Memory(size)
    raw = (ctypes.c_char * size).from_address(memory.address)
    return ndarray(np.frombuffer(raw, dtype).reshape(shape, order=order), memory)


def zeros(shape, dtype=float):
    return full(shape, 0, dtype)


def ones(shape, dtype=float):
    return full(shape, 1, dtype)


def full(shape, value, dtype=float):
    array = empty(shape, dtype)
    array.fill(value)
    return array


def empty_like(prototype, dtype=None, order="K"):
    return empty(prototype.shape, dtype or prototype.dtype)


def zeros_like(prototype, dtype=None, shape=None):
    return zeros(prototype.shape if shape is None else shape, dtype or prototype.dtype)


def asarray(value, dtype=None):
    if isinstance(value, ndarray):
        return value if dtype is None else value.astype(dtype, copy=False)
    if isinstance(value, list | tuple) and any(isinstance(v, ndarray) for v in value):
        return stack([asarray(v, dtype) for v in value])
    count(uploads, "array" if np.ndim(value) else "number")
    return _copy(np.asarray(value, dtype))


def array(value, dtype=None):
    return value.copy() if isinstance(value, ndarray) else asarray(value, dtype)


def ascontiguousarray(value, dtype=None):
    value = asarray(value, dtype)
    return value if value.flags.c_contiguous else value.copy()


def stack(arrays, axis=0):
    count(uploads, "where the arrays are")
    return _call(np.stack, list(arrays), axis=axis)


def concatenate(arrays, axis=0):
    launches["cupy"] += 1
    used.add("concatenate")
    return _copy(np.concatenate([_host(one) for one in arrays], axis))


def __getattr__(name):
    if name.startswith("_"):
        raise AttributeError(name)
    function = getattr(np, name)
    used.add(name)
    _count_first(name)
    return lambda *args, **kwargs: _call(function, *args, **kwargs)


def _count_first(name):
    if name in COUNTS_FIRST:
        count(waits, name)


class linalg:
    @staticmethod
    def eigh(matrix):
        values, vectors = np.linalg.eigh(_host(matrix))
        return _result(values), _result(np.asfortranarray(vectors))


class fft:
    """In place of cupyx.scipy.fft."""

    @staticmethod
    def dctn(x, norm):
        return _call(scipy.fft.dctn, x, norm=norm)

    @staticmethod
    def idctn(x, norm):
        return _call(scipy.fft.idctn, x, norm=norm)


# ---- Kernels and streams -------------------------------------------------------------


class RawModule:
    def __init__(self, code, options=()):
        self.code = code

    def get_function(self, name):
        def launch(grid, block, args):
            assert block == (256,), f"{name}: {block} threads"
            assert 1 <= grid[0] <= 1024, f"{name}: {grid} blocks"
            launches[name] += 1
            threads = 256 if name in TOGETHER else 1
            host_module.call(name, *grid, threads, [_argument(name, value) for value in args])

        return launch


def _argument(kernel, value):
    if isinstance(value, ndarray):
        assert value.flags.c_contiguous, f"{kernel}: an array of {value.strides} bytes a step"
        return ctypes.c_void_p(value.data.ptr)
    assert type(value) in (int, float), f"{kernel}: {type(value)}"
    return ctypes.c_longlong(value) if type(value) is int else ctypes.c_double(value)


class Stream:
    made = 0

    def __init__(self, non_blocking=False, ptr=None):
        Stream.made += 1
        self.ptr = 0x7000_0000_0000 + 16 * Stream.made if ptr is None else ptr
        self.pending = []

    def use(self):
        cuda.in_use.stream = self

    def synchronize(self):
        count(waits, "synchronize")
        for out, array in self.pending:
            out[...] = array.host
        self.pending.clear()


class runtime:
    getDeviceCount = staticmethod(lambda: 1)
    driverGetVersion = staticmethod(lambda: 13010)
    runtimeGetVersion = staticmethod(lambda: 13020)
    memGetInfo = staticmethod(lambda: (LARGEST - pool.total_bytes(), LARGEST))

    @staticmethod
    def getDeviceProperties(device):
        return {"name": b"a GPU, emulated", "major": 9, "minor": 0, "totalGlobalMem": LARGEST}


NULL = Stream(ptr=0)


class cuda:
    in_use = threading.local()
    runtime = runtime
    Stream = Stream
    get_current_stream = staticmethod(lambda: getattr(cuda.in_use, "stream", NULL))
    alloc_pinned_memory = staticmethod(lambda size: bytearray(b"\xff" * size))
