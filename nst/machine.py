"""What the machine grants this process: CPUs and memory, by every limit that is put on it.

A container, a service or a batch job has limits of its own, below what the machine has.  Linux
keeps them in control groups: folders of small files, one inside the other, of which each on the
way up counts.  Version 2 has one such tree, version 1 one for each kind of limit.
"""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")  # in which groups this process is

_share: dict[str, int] = {}  # of this process: see `grant`


def grant(cpus: int, memory: int | None = None) -> None:
    """Hold this process to so many CPUs and bytes, where the machine would grant it more.

    That is for one of several processes that share a machine.  It is told before the first
    picture: what is open already keeps the threads that it has.
    """
    _share["cpus"] = cpus
    if memory is not None:
        _share["memory"] = memory


@contextmanager
def without_variable(name: str) -> Iterator[None]:
    """Hide the environment's variable ``name``, whatever it says, from what the block calls."""
    value = os.environ.pop(name, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[name] = value


def cpus(root: Path = CGROUPS, own: Path = OWN) -> int:
    """Return how many CPUs this process may use at once, 1 or more.

    Those that it may run on (`taskset`, cpusets, Slurm), and no more than its share of time is
    worth (a container's quota): 1.5 are rounded up to 2.  See `grant` too.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    count = min(count, _share.get("cpus", count))
    return max(1, min([count, *(math.ceil(quota) for quota in cpu_quotas(root, own))]))


def cpu_quotas(root: Path = CGROUPS, own: Path = OWN) -> list[float]:
    """Return what each limit on this process' time on CPUs is worth, in CPUs; [] without any."""
    found = []
    for folder in groups("cpu", root, own):
        with suppress(OSError, ValueError):  # not of this version; "max"
            quota, period = (folder / "cpu.max").read_text().split()
            found.append(int(quota) / int(period))
        with suppress(OSError, ValueError):
            quota = (folder / "cpu.cfs_quota_us").read_text()
            found.append(int(quota) / int((folder / "cpu.cfs_period_us").read_text()))
    return [quota for quota in found if quota > 0]  # version 1 has -1 for none


def memory_left(root: Path = CGROUPS, own: Path = OWN) -> list[int]:
    """Return the bytes that each limit on this process' memory leaves free; [] without any."""
    version_2 = ("memory.max", "memory.current", "inactive_file")
    version_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    found = [
        _left(folder, *names)
        for folder in groups("memory", root, own)
        for names in (version_2, version_1)
    ]
    found += [_addresses_left(), _share_left()]
    return [amount for amount in found if amount is not None]


def groups(kind: str, root: Path = CGROUPS, own: Path = OWN) -> list[Path]:
    """Return the folders, innermost first, that may hold a limit of this ``kind`` on this process.

    Inside a container the way that the system tells may begin outside, and not be there; the top
    of a tree is then the container's own group.
    """
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return []
    found: dict[Path, None] = {}
    for number, kinds, way in (line for line in lines if len(line) == 3):
        if number == "0":
            trees = [root, root / "unified"]  # the second where both versions are in use
        elif kind in kinds.split(","):
            trees = [root / kind, root / kinds]
        else:
            continue
        for tree in trees:
            leaf = tree / way.lstrip("/")
            inside = [folder for folder in (leaf, *leaf.parents) if folder.is_relative_to(tree)]
            found |= dict.fromkeys(inside)
    return list(found)


def _left(folder: Path, limit: str, usage: str, cache: str) -> int | None:
    """Return the limit less the usage; pages of files that nobody maps can be dropped."""
    try:
        most, taken = (folder / limit).read_text().strip(), (folder / usage).read_text()
        entries = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    if most == "max":
        return None
    above = int(entries.get("hierarchical_memory_limit", most))  # version 1: of groups unseen too
    return max(0, min(int(most), above) - int(taken) + int(entries.get(cache, 0)))


def _addresses_left() -> int | None:
    """Return how many bytes more this process may map (`ulimit -v`), or None for no limit."""
    if sys.platform != "linux":  # others keep no such count, or do not hold to the limit
        return None
    import resource

    import psutil

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return None
    return max(0, soft - psutil.Process().memory_info().vms)


def has_granted() -> bool:
    """Return whether this process is held to some of the machine's memory: see `grant`."""
    return "memory" in _share


def _share_left() -> int | None:
    """Return what this process has not taken yet of the memory that it was granted, or None."""
    if "memory" not in _share:
        return None
    import psutil

    return max(0, _share["memory"] - psutil.Process().memory_info().rss)
