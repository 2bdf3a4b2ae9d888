"""Arrays cut into blocks: nothing left out, nothing twice, and the same bits on any machine."""

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nst.kernels import blocks
from nst.kernels import numpy_kernels as k


@pytest.mark.parametrize("size", [1, 4, 5, 6, 23])
def test_blocks_are_views_that_cover_everything_once(monkeypatch, size):
    monkeypatch.setattr(blocks, "ELEMENTS", 5)
    x, y = np.zeros(size), np.arange(size)
    for here, there in blocks.of(x, y):
        assert here.size <= 5
        here += there + 1
    np.testing.assert_array_equal(x, np.arange(size) + 1)


def test_what_has_no_flat_view_is_one_block(monkeypatch):
    monkeypatch.setattr(blocks, "ELEMENTS", 5)
    x = np.zeros((3, 8))
    ((block,),) = blocks.of(x[:, ::2])
    block += 1
    np.testing.assert_array_equal(x, np.tile([1, 0], (3, 4)))


def test_a_product_sees_every_column_once(monkeypatch):
    monkeypatch.setattr(blocks, "SUMMED_ELEMENTS", 7)
    matrix = np.arange(3 * 11.0).reshape(3, 11)
    widths = []

    def column_sums(block):
        widths.append(block.shape[1])
        return block.sum(axis=1)

    np.testing.assert_array_equal(blocks.add_up(column_sums, matrix), matrix.sum(axis=1))
    assert sorted(widths) == [1, 2, 2, 2, 2, 2]


@pytest.fixture
def large(rng):
    return rng.standard_normal((7, 300, 301)).astype(np.float32)


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_the_number_of_cores_changes_no_bit(monkeypatch, large, cores):
    monkeypatch.setattr(blocks, "SUMMED_ELEMENTS", 10_000)
    monkeypatch.setattr(blocks, "WRITTEN_ELEMENTS", 10_000)
    d_gram = large[:, :7, 0]
    with ThreadPoolExecutor(3) as three, ThreadPoolExecutor(cores) as several:
        monkeypatch.setattr(blocks, "_threads", lambda: three)
        expected = k.gram(large), k.moments(large), k.gram_backward(d_gram, large)
        monkeypatch.setattr(blocks, "_threads", lambda: several)
        found = k.gram(large), k.moments(large), k.gram_backward(d_gram, large)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_products_run_on_several_threads(monkeypatch, large):
    monkeypatch.setattr(blocks, "SUMMED_ELEMENTS", 10_000)
    together = threading.Barrier(2, timeout=30)  # breaks unless two blocks are under way at once
    with ThreadPoolExecutor(2) as two:
        monkeypatch.setattr(blocks, "_threads", lambda: two)
        matrix = np.zeros((1, 20_000))
        blocks.add_up(lambda block: np.asarray(together.wait(), float), matrix)


def test_threads_that_cannot_all_start_leave_none_that_waits(monkeypatch):
    started, start = [], threading.Thread.start

    def start_once(thread):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(blocks.machine, "cpus", lambda: 2)
    monkeypatch.setattr(threading.Thread, "start", start_once)
    with pytest.raises(RuntimeError, match="can't start"):
        blocks._threads.__wrapped__()
    started[0].join(30)
    assert not started[0].is_alive()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # Python 3.12
def test_a_forked_child_has_threads_of_its_own(monkeypatch, large):
    monkeypatch.setattr(blocks, "SUMMED_ELEMENTS", 10_000)
    k.gram(large)
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        k.gram(large)  # would wait for ever for its parent's threads
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
