"""What memory there is: limits as Linux writes them, amounts as people do, peaks, and files."""

import errno
import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from nst import memory
from nst.devices import CPU
from nst.errors import NstError
from nst.memory import FileArray, Peak
from nst.vgg import Vgg

MB = 10**6

# ---- Amounts --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("4GB", 4_000_000_000),
        ("1.5 gb", 1_500_000_000),
        ("800M", 800_000_000),
        ("2T", 2_000_000_000_000),
        ("64 KiB", 64_000),
        ("123", 123),
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
    assert memory.said(amount) == text


# ---- Limits ---------------------------------------------------------------------------


def write_limit(folder, names, limit, usage, cache):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(names, (limit, usage), strict=True):
        (folder / name).write_text(f"{text}\n")
    lines = ["anon 5", f"inactive_file {cache}", f"total_inactive_file {cache}"]
    (folder / "memory.stat").write_text("\n".join(lines))


V2, V1 = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")


def test_every_limit_on_the_way_up_counts(tmp_path):
    """A service inside a slice, as systemd writes them: the slice's limit is the lower one."""
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("1:name=systemd:/elsewhere\n0::/user.slice/shell.service\n")
    write_limit(root / "user.slice" / "shell.service", V2, 900, 400, 50)
    write_limit(root / "user.slice", V2, 700, 600, 30)
    write_limit(root, V2, "max", 10_000, 0)
    write_limit(tmp_path, V2, 7, 7, 0)  # above the tree: none of ours
    assert sorted(memory.cgroup_free(root, own)) == [130, 550]


def test_the_limit_of_a_container_of_version_1(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("5:memory:/docker/abc\n")
    write_limit(root / "memory", V1, 1000, 700, 200)
    assert memory.cgroup_free(root, own) == [500]


def test_more_in_use_than_allowed_leaves_nothing(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("0::/\n")
    write_limit(root, V2, 100, 140, 10)
    assert memory.cgroup_free(root, own) == [0]


def test_without_cgroups_there_is_no_limit(tmp_path):
    assert memory.cgroup_free(tmp_path / "nothing", tmp_path / "no_file") == []


def test_free_is_the_least_of_all(monkeypatch):
    monkeypatch.setattr(memory, "cgroup_free", lambda: [3 * MB, 2 * MB])
    assert memory.free(CPU) == 2 * MB
    monkeypatch.setattr(memory, "cgroup_free", lambda: [10**18])
    machine = psutil.virtual_memory()
    assert 0 < memory.free(CPU) <= machine.total


# ---- What was used --------------------------------------------------------------------


@pytest.mark.parametrize("counted", [True, False], ids=["by the system", "looked up"])
def test_a_peak_is_seen_though_it_is_gone_at_the_end(monkeypatch, counted):
    if not counted:
        monkeypatch.setattr(memory, "_forget_highest", lambda: False)
    with Peak(CPU) as peak:
        block = np.ones(60 * MB // 4, np.float32)
        time.sleep(0.1)
        del block
    assert peak.bytes == pytest.approx(60 * MB, rel=0.1)


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


def test_a_full_disk_is_one_line(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(NstError, match=r"no room for 80 MB .*\(No space left on device\); set"):
        FileArray((5, 2000, 2000))
