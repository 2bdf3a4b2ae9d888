"""What memory there is: amounts as people write them, peaks, and files."""

import errno
import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from nst import machine, memory
from nst.devices import CPU
from nst.errors import NstError
from nst.memory import FileArray, Peak
from nst.vgg import Vgg

MB = 10**6

ARENA = type("DecodeError", (Exception,), {"__module__": "google._upb"})("Arena alloc failed")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("/onnxruntime_src/env.cc: pthread_create failed, error code: 12 "), True),
        (RuntimeError("pthread_create failed, error code: 12 "), False),
        (RuntimeError("/onnxruntime_src/env.cc: error code: 122 "), False),
        (ARENA, True),
        (ValueError("Arena alloc failed"), False),
    ],
)
def test_what_says_that_memory_ran_out(error, expected):
    assert memory.ran_out(error) is expected


# ---- Amounts --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("4GB", 4_000_000_000),
        ("1.5 gb", 1_500_000_000),
        ("800M", 800_000_000),
        ("2T", 2_000_000_000_000),
        ("64 KiB", 64_000),
        ("123000000", 123_000_000),
        ("9" * 300 + "TB", 2**62),
        ("auto", None),
    ],
)
def test_amounts_that_people_write(text, amount):
    assert memory.parse(text) == amount


@pytest.mark.parametrize("text", ["", "much", "-1GB", "4 G B", "4XB", "0", "0.0GB", "1.GB", "B"])
def test_other_amounts_are_refused_in_one_line(text):
    with pytest.raises(NstError, match="give auto, or an amount such as 4GB") as error:
        memory.parse(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("text", ["2", "16", "0.5", "999999", "512B"])
def test_a_small_number_without_a_unit_is_told_as_what_it_is(text):
    number = text.removesuffix("B")
    with pytest.raises(NstError) as error:
        memory.parse(text)
    assert str(error.value) == (
        f"--memory is {text!r}, which is {number} bytes; give its unit too, such as {number}GB."
    )


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 MB"),
        (849.6e6, "850 MB"),
        (999.4e6, "999 MB"),
        (999.6e6, "1.0 GB"),
        (9.94e9, "9.9 GB"),
        (9.96e9, "10 GB"),
        (123.4e9, "123 GB"),
    ],
)
def test_amounts_that_people_read(amount, text):
    assert memory.format_bytes(amount) == text


# ---- What is free -------------------------------------------------------------------


def test_free_is_the_least_of_all(monkeypatch):
    monkeypatch.setattr(machine, "memory_left", lambda: [3 * MB, 2 * MB])
    assert memory.free(CPU) == 2 * MB
    monkeypatch.setattr(machine, "memory_left", lambda: [10**18])
    assert 0 < memory.free(CPU) <= psutil.virtual_memory().total


# ---- What was used --------------------------------------------------------------------


@pytest.mark.parametrize("counted", [True, False], ids=["by the system", "looked up"])
def test_a_peak_is_seen_though_it_is_gone_at_the_end(monkeypatch, counted):
    if not counted:
        monkeypatch.setattr(memory, "_forget_highest", lambda: False)
    kept = [np.ones(MB // 32, np.float32) for _ in range(640)]  # 125 kB each, in the heap: 80 MB
    last = np.ones(MB // 32, np.float32)
    del kept  # to the heap, not to the machine: ``last`` lies above it
    with Peak(CPU) as peak:
        block = np.ones(60 * MB // 4, np.float32)
        time.sleep(0.1)
        del block
    assert peak.bytes == pytest.approx(60 * MB, rel=0.1)
    del last


def test_the_highest_is_about_what_is_used_now_or_more():
    """About: two counters of the system, to which threads add in batches."""
    block = np.ones(200 * MB // 4, np.float32)
    assert memory.highest() > 0.95 * memory.used(CPU) > 0.95 * block.nbytes


def test_the_highest_is_this_process_own_and_not_that_of_the_one_that_started_it():
    block = np.ones(400 * MB // 4, np.float32)
    command = [sys.executable, "-c", "from nst import memory; print(memory.highest())"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(found.stdout) < block.nbytes


def test_a_network_gives_its_memory_back(rng):
    vgg = Vgg("vgg16-slim", ["relu3_1"])
    image = rng.random((3, 400, 410), np.float32)
    vgg.features(image[:, :32, :32])  # what a first run keeps for good
    vgg.release()
    before = memory.used(CPU)
    features = vgg.forward(image)
    vgg.backward({tap: np.ones_like(f) for tap, f in features.items()})
    del features
    taken = memory.used(CPU) - before
    vgg.release()
    assert taken > 50 * MB
    assert memory.used(CPU) - before < 0.1 * taken
    with pytest.raises(ValueError, match="backward needs a forward first"):
        vgg.backward({})


# ---- Arrays in files ------------------------------------------------------------------


def test_what_is_written_to_a_file_array_is_read(rng):
    expected = rng.random((3, 7, 9), np.float32)
    stored = FileArray((3, 7, 9))
    stored[:, :4] = expected[:, :4]
    stored[:, 4:, 2:] = expected[:, 4:, 2:]
    stored[:, 4:, :2] = expected[:, 4:, :2]
    np.testing.assert_array_equal(stored[...], expected)
    part = stored[:, 1:5, 3:8]
    np.testing.assert_array_equal(part, expected[:, 1:5, 3:8])
    part[...] = 0  # a copy
    np.testing.assert_array_equal(stored[...], expected)


def test_a_file_array_takes_disk_and_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stored = FileArray((5, 1000, 2000))
    before = memory.used(CPU)
    for row in range(0, 1000, 100):
        stored[:, row : row + 100] = row
    assert stored[4, 901, 1999] == 900
    assert memory.used(CPU) - before < 8 * MB
    assert list(tmp_path.iterdir()) == []  # it has no name, so a killed run leaves none behind


def test_a_large_part_of_a_file_array_passes_through_little_memory(monkeypatch, rng):
    """What is mapped counts as the process' own, so it is never all of what is copied."""
    monkeypatch.setattr(memory, "PASSING", 2**20)
    values = rng.random((50, 400, 500), np.float32)
    stored = FileArray((50, 400, 600))
    with memory.Peak(CPU) as peak:
        stored[:, :, 50:550] = values
    assert peak.bytes < values.nbytes / 2
    with memory.Peak(CPU) as peak:
        read = stored[:, :, 50:550]
    assert peak.bytes < 1.5 * values.nbytes
    np.testing.assert_array_equal(read, values)


def test_rows_far_apart_pass_through_little_memory_too(monkeypatch, rng):
    """Of a file that is mapped the system holds more than what is read of it."""
    monkeypatch.setattr(memory, "PASSING", 2**20)
    values = rng.random((40, 1024, 512), np.float32)
    stored = FileArray(values.shape)
    stored[...] = values
    with memory.Peak(CPU) as peak:
        read = stored[:, 3::16, 5::16]
    assert peak.bytes < values.nbytes / 8
    np.testing.assert_array_equal(read, values[:, 3::16, 5::16])


def test_a_full_disk_is_one_line(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(NstError, match=r"no room for 80 MB .*\(No space left on device\); set"):
        FileArray((5, 2000, 2000))
