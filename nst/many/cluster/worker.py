"""What every task on a worker needs: its turn, its share of the machine, and a way to be stopped.

Dask runs these functions in threads of a worker's process, one of them at a time.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nst import machine, memory
from nst.errors import NstError
from nst.version import VERSION

PAUSED = 0.8  # of its memory: beyond, Dask gives a worker nothing more to do; at 0.95 it ends it

_turn = threading.Lock()  # a network and its buffers are for one task at a time
_opened: dict[str, Any] = {}  # what the last tasks had in common: see `kept`


def hello() -> dict[str, Any]:
    """Return what a client asks of a worker before anything else."""
    return {"nst": VERSION}


def as_it_is(data: Any, _: Any = None) -> Any:
    """Return ``data``: the result of this task is sent to each worker that needs it, once.

    A second future says where to: to the worker that has its result.
    """
    return data


@contextmanager
def turn(cpus: int | None) -> Iterator[None]:
    """Let the block be the only one in this process, with the CPUs and memory of this worker.

    ``cpus`` is what the client has reckoned for each worker of one machine; None: the worker's
    own number of threads.
    """
    from distributed import get_worker

    with _turn:
        here = get_worker()
        limit = here.memory_manager.memory_limit
        most = int(PAUSED * limit) if limit else None
        machine.grant(here.state.nthreads if cpus is None else cpus, most)
        yield


def is_busy() -> bool:
    """Return whether a task has its turn here."""
    return _turn.locked()


def stop_if_unwanted() -> None:
    """Raise RuntimeError where nobody waits any more for the task that runs in this thread."""
    from distributed import Status, get_worker

    here = get_worker()
    task = here.state.tasks.get(here.get_current_task())
    wanted = task is not None and task.state in ("executing", "long-running")
    if not wanted or here.status not in (Status.running, Status.paused):
        raise RuntimeError("nobody waits for it any more")


def plain(error: Exception) -> Exception:
    """Return ``error`` as one of Python's own, so that no class of ours is pickled."""
    if memory.ran_out(error):
        return MemoryError(str(error))
    if isinstance(error, OSError):
        return OSError(str(error))
    if isinstance(error, NstError):
        return ValueError(str(error))
    return RuntimeError(repr(error))


def kept(name: str, make: Any) -> Any:
    """Return what was made under this name, or make it; of every kind the last one is kept.

    A kind is what stands before the colon in the name.
    """
    kind = name.split(":")[0]
    if _opened.get(kind, ("", None))[0] != name:
        _opened.pop(kind, None)  # before the next one is made: never both in memory
        _opened[kind] = name, make()
    return _opened[kind][1]


def file_of(sha256: str, model: bytes) -> Path:
    """Return a file with the bytes of a network, in the folder that Dask removes at the end."""
    from distributed import get_worker

    path = Path(get_worker().local_directory, f"{sha256}.onnx")
    if not path.exists():
        path.write_bytes(model)
    return path
