"""What the machine grants: limits on CPUs and memory as Linux writes them, nested, and real."""

import os
import subprocess
import sys

import pytest

from nst import machine
from nst.kernels import blocks
from nst.vgg import Vgg

# ---- Memory ---------------------------------------------------------------------------


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
    assert sorted(machine.memory_left(root, own)) == [130, 550]


def test_the_limit_of_a_container_of_version_1(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("5:memory:/docker/abc\n")
    write_limit(root / "memory", V1, 1000, 700, 200)
    assert machine.memory_left(root, own) == [500]


def test_more_in_use_than_allowed_leaves_nothing(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("0::/\n")
    write_limit(root, V2, 100, 140, 10)
    assert machine.memory_left(root, own) == [0]


def test_without_cgroups_there_is_no_limit(tmp_path):
    assert machine.memory_left(tmp_path / "nothing", tmp_path / "no_file") == []


def test_limits_of_version_1_are_nested_too(tmp_path):
    """Of a batch job: the step's, the job's and the user's; the job's leaves least."""
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("3:cpuset:/slurm\n5:memory:/slurm/job_7/step_0\n1:name=systemd:/x\n0::/\n")
    tree = root / "memory"
    for folder, limit in {"slurm/job_7/step_0": 900, "slurm/job_7": 800, "slurm": 5000}.items():
        write_limit(tree / folder, V1, limit, 500, 100)
    write_limit(tree, V1, 2**63 - 4096, 700, 0)
    assert sorted(machine.memory_left(root, own))[:3] == [400, 500, 4600]
    assert len(machine.memory_left(root, own)) == 4


def test_limits_of_groups_that_cannot_be_seen_count(tmp_path):
    """In a container: the way begins outside, and version 1 tells the least limit above."""
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("5:memory:/kubepods/pod1/abc\n")
    write_limit(root / "memory", V1, 9000, 700, 200)
    with (root / "memory" / "memory.stat").open("a") as file:
        file.write("\nhierarchical_memory_limit 1000\n")
    assert machine.memory_left(root, own) == [500]


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit that holds")
def test_the_limit_of_addresses_counts():
    """As after `ulimit -v 4000000`."""
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (4 * 10**9, 4 * 10**9)); "
    code += "from nst import memory; from nst.devices import CPU; print(memory.free(CPU))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 10**9 < int(done.stdout) < 4 * 10**9


# ---- CPUs ----------------------------------------------------------------------------


@pytest.fixture
def eight(monkeypatch):
    """A machine that lets this process run on eight CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({}, 8),
        ({"a/b": "max 100000"}, 8),
        ({"a/b": "150000 100000"}, 2),
        ({"a/b": "400000 100000", "a": "250000 100000"}, 3),
        ({"a/b": "1000 100000"}, 1),
        ({"a": "1600000 100000"}, 8),
        ({"..": "100000 100000", "other": "100000 100000"}, 8),  # none of ours
    ],
)
def test_the_least_quota_of_version_2_counts_rounded_up(tmp_path, written, expected):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("0::/a/b\n")
    for folder, text in written.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "cpu.max").write_text(text + "\n")
    assert machine.cpus(root, own) == expected


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize("tree", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"job/step": -1, "job": -1}, 8),
        ({"job/step": -1, "job": 320_000, "": -1}, 4),
        ({"job/step": 50_000, "job": 320_000}, 1),
        ({"": 200_000}, 2),  # a container's own
    ],
)
def test_the_least_quota_of_version_1_counts_rounded_up(tmp_path, tree, written, expected):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("4:memory:/\n7:cpu,cpuacct:/job/step\n")
    for folder, quota in written.items():
        (root / tree / folder).mkdir(parents=True, exist_ok=True)
        (root / tree / folder / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        (root / tree / folder / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.cpus(root, own) == expected


@pytest.mark.usefixtures("eight")
def test_where_both_versions_are_in_use_both_count(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("0::/a\n")
    (root / "unified" / "a").mkdir(parents=True)
    (root / "unified" / "a" / "cpu.max").write_text("200000 100000")
    assert machine.cpus(root, own) == 2


def test_where_nobody_knows_there_is_one(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.cpus(tmp_path, tmp_path / "no_file") == 1


# ---- Who goes by it ------------------------------------------------------------------


def threads():
    return len(os.listdir("/proc/self/task"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("count", [1, 3])
def test_onnx_runtime_starts_as_many_threads_as_it_may(monkeypatch, rng, count):
    monkeypatch.setattr(machine, "cpus", lambda: count)
    image = rng.random((3, 32, 40), "f4")
    Vgg("vgg16-slim", ["relu1_1"]).features(image)  # what starts once a process
    before = threads()
    vgg = Vgg("vgg16-slim", ["relu1_1"])
    vgg.features(image)
    assert threads() - before == count - 1  # beside the one that calls it


@pytest.mark.parametrize("count", [1, 3])
def test_numpy_starts_as_many_threads_as_it_may(monkeypatch, count):
    monkeypatch.setattr(machine, "cpus", lambda: count)
    blocks._threads.cache_clear()
    assert blocks._threads()._max_workers == count
    blocks._threads.cache_clear()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_a_process_on_one_cpu_knows():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
    code += "from nst import machine; print(machine.cpus())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
