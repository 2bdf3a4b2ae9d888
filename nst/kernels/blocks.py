"""Large arrays, block by block: element-wise work stays in the cache, products use all cores.

The blocks depend on the shapes alone, and results are added up in the order of the blocks.  So the
same input gives the same bits, on however many cores.

NumPy's own matrix products can use several threads too, but those of OpenBLAS spin while they wait
and take the cores from ONNX Runtime; `blas_on_one_thread` is for that.  Threads of Python
sleep while they wait, and NumPy lets go of the interpreter inside of a product.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from threading import Barrier
from typing import Any

import numpy as np

from nst import machine
from nst.signals import held

ELEMENTS = 1 << 16  # of a block for element-wise work: a quarter of a megabyte in float32
SUMMED_ELEMENTS = 1 << 20  # of a block whose product is added up: more than its (C, C) result
WRITTEN_ELEMENTS = 1 << 18  # of a block for a product: long enough to be worth a thread's while


def blas_on_one_thread() -> AbstractContextManager[Any]:
    """Return a context in which NumPy's own products run on one thread; see this module.

    On an idle machine with two cores that costs nothing; where something else runs it makes a step
    several times faster.
    """
    from threadpoolctl import threadpool_limits  # takes a while to import

    limits: AbstractContextManager[Any] = threadpool_limits(1, user_api="blas")
    return limits


def of(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the same block of each of the ``arrays``, which have one shape, as flat views.

    Where an array is not contiguous it has no flat view, and all of them are one block.
    """
    if not all(array.flags.c_contiguous for array in arrays):
        yield arrays
        return
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, ELEMENTS):
        yield tuple(array[start : start + ELEMENTS] for array in flat)


def add_up(product: Callable[..., np.ndarray], *matrices: np.ndarray) -> np.ndarray:
    """Return the float64 sum of ``product(*blocks)`` over blocks of columns, on all cores."""
    partials = _on_all_cores(product, columns(matrices, SUMMED_ELEMENTS))
    total: np.ndarray = next(partials).astype(np.float64)
    for partial in partials:
        total += partial
    return total


def write(product: Callable[..., object], *matrices: np.ndarray) -> None:
    """Call ``product(*blocks)`` for every block of columns, on all cores; it writes into one."""
    for _ in _on_all_cores(product, columns(matrices, WRITTEN_ELEMENTS)):
        pass


def write_columns(function: Callable[..., object], width: int, *matrices: np.ndarray) -> None:
    """Call ``function(*blocks)`` for every ``width`` columns, on all cores; it writes."""
    count = matrices[0].shape[1]
    cut = [tuple(m[:, i : i + width] for m in matrices) for i in range(0, count, width)]
    for _ in _on_all_cores(function, cut):
        pass


def by_channels(function: Callable[..., object], *arrays: np.ndarray) -> None:
    """Call ``function(*blocks)`` for blocks of channels, on all cores; it writes into some.

    The arrays (C, ...) have one number of channels.
    """
    largest = max(array[0].size for array in arrays)
    count = max(1, WRITTEN_ELEMENTS // largest)
    cut = [tuple(a[i : i + count] for a in arrays) for i in range(0, len(arrays[0]), count)]
    for _ in _on_all_cores(function, cut):
        pass


def columns(
    matrices: tuple[np.ndarray, ...], elements: int = WRITTEN_ELEMENTS
) -> list[tuple[np.ndarray, ...]]:
    """Cut the matrices, of one number of columns, into blocks of columns: views."""
    rows, count = max(len(m) for m in matrices), matrices[0].shape[1]
    width = max(1, elements // rows)
    return [tuple(m[:, i : i + width] for m in matrices) for i in range(0, count, width)]


def _on_all_cores(
    function: Callable[..., Any], blocks: list[tuple[np.ndarray, ...]]
) -> Iterator[Any]:
    """Yield what ``function`` returns for each of the blocks, in their order."""
    if len(blocks) == 1:
        return iter([function(*blocks[0])])
    return _threads().map(function, *zip(*blocks, strict=True))


@cache
def _threads() -> ThreadPoolExecutor:
    """Return one thread for each CPU that this process may use, all of them started.

    Started later, one by one, a signal could come between the start of one and the pool's notice
    of it; nobody would end that thread, and Python waits for it in the end.
    """
    count = machine.cpus()
    all_there = Barrier(count)
    with held():
        pool = ThreadPoolExecutor(count, thread_name_prefix="nst-kernels")
        try:
            for future in [pool.submit(all_there.wait) for _ in range(count)]:
                future.result()
        except RuntimeError:  # the system has no more; those that wait must not wait for ever
            all_there.abort()
            raise
    return pool


if hasattr(os, "register_at_fork"):  # a child process has none of its parent's threads
    os.register_at_fork(after_in_child=_threads.cache_clear)
