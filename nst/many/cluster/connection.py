"""A cluster of Dask: started on this machine or joined, and asked for work.

What is sent and what comes back is plain: text, bytes, numbers, NumPy arrays, and lists and dicts
of these.  Functions are called by their names.  So no object of nst is pickled, and a worker with
another nst is found out at the start, and not by what it cannot unpickle.

Every task can be done again, by another worker, with the same result: what it needs is in its
arguments, or the result of a task of which the same is true.  So Dask itself mends what a worker
that dies takes along.
"""

import gc
import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from nst import machine, memory
from nst.devices import CPU
from nst.errors import NstError, brief
from nst.extras import installing
from nst.many.cluster import worker
from nst.signals import unheard_by_children
from nst.values import is_count, shown
from nst.version import VERSION

MOST_WORKERS = 256  # on this machine; a larger number is taken for a typing mistake
CONNECTING = 10.0  # seconds that a scheduler has to answer
WAITING = 60.0  # seconds that the first worker has to come
RETRIES = 2  # of a task that failed where another try may not: memory, a shared disk
LOOKING = 1.0  # seconds between two looks at which workers there are
ENDING = 5.0  # seconds that cancelled tasks have to end

T = TypeVar("T")


@contextmanager
def opened(workers: int | None = None, scheduler: str | None = None) -> Iterator["Cluster"]:
    """Yield a cluster of so many ``workers`` on this machine, or that of a ``scheduler``.

    What was started here is stopped at the end; a cluster of others goes on, without our tasks.

    Raises
    ------
    NstError
        Where Dask is not installed, where nobody answers at the address, where there is no
        worker, or one that has another nst.
    """
    check(workers, scheduler)
    distributed = _distributed()
    gc.collect()  # A client whose scheduler is gone may be closed only when it is collected. That
    # takes a lock, which Dask holds while it starts the thread of the next client: there it waits.
    if workers is not None:
        with _started(distributed, workers) as local:
            cpus = max(1, machine.cpus() // len(local.workers))
            client = distributed.Client(local, set_as_default=False, direct_to_workers=True)
            with _closing(Cluster(client, "this machine", cpus)) as cluster:
                yield cluster
    elif scheduler is not None:
        client = _joined(distributed, scheduler)
        with _closing(Cluster(client, scheduler, None)) as cluster:
            yield cluster


def check(workers: object, scheduler: str | None) -> None:
    """Raise NstError for workers that cannot be, and where Dask is not installed."""
    _distributed()
    if (workers is None) == (scheduler is None):
        raise NstError("give --workers, for a cluster on this machine, or --scheduler, not both.")
    if workers is not None and not (is_count(workers) and 1 <= int(workers) <= MOST_WORKERS):  # type: ignore[call-overload]
        raise NstError(f"--workers is {shown(workers)}; give a number from 1 to {MOST_WORKERS}.")


def _distributed() -> Any:
    """Return Dask's module, quiet: what it would say, our own lines say."""
    try:
        import dask
        import distributed
    except ImportError:
        raise NstError(
            "--workers and --scheduler need Dask, which is not installed; "
            f"`{installing('cluster')}` brings it."
        ) from None
    for name in [*logging.root.manager.loggerDict]:
        if name.startswith(("distributed", "tornado")):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TiB"})  # windows are
    # Dask looks 15 s after a worker has died, and gives it up where it is not there: started
    # slowly, or started and dead once more.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"})
    return distributed


@contextmanager
def _started(distributed: Any, workers: int) -> Iterator[Any]:
    """Yield a cluster on this machine, to which only this process and its workers can connect.

    It listens on loopback alone, and asks for a certificate that nobody else has: other users of
    the machine could have it run their programs.
    """
    count = int(workers)
    try:
        with unheard_by_children():
            local = distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,  # tasks at a time; each uses its share of the CPUs
                memory_limit=int(memory.free(CPU) / count),
                host="127.0.0.1",
                security=distributed.Security.temporary(),
                dashboard_address="127.0.0.1:0",  # None would be port 8787, which another may have
                silence_logs=logging.CRITICAL,
            )
    except (OSError, RuntimeError) as error:
        raise NstError(f"the workers could not be started: {brief(error)}.") from error
    ended = threading.Event()
    with local:
        keeper = threading.Thread(target=_keep_up, args=(local, count, ended), daemon=True)
        keeper.start()
        try:
            yield local
        finally:
            ended.set()
            keeper.join()


def _keep_up(local: Any, count: int, ended: threading.Event) -> None:
    """Start anew the workers of a ``local`` cluster that Dask has given up, until it has ended."""

    async def forget_the_dead() -> None:
        for name, nanny in list(local.workers.items()):
            if nanny.status.name in ("closed", "failed"):
                del local.workers[name]

    while not ended.wait(LOOKING):
        with suppress(Exception):  # the cluster ends, or there is no room for one more process
            local.sync(forget_the_dead)
            if len(local.workers) < count:
                local.scale(count)


def _joined(distributed: Any, scheduler: str) -> Any:
    """Return a client of the scheduler at that address."""
    try:
        return distributed.Client(scheduler, set_as_default=False, timeout=CONNECTING)
    except (OSError, ValueError, TypeError) as error:
        raise NstError(
            f"no scheduler of Dask answers at {shown(scheduler)}: {brief(error, 120)}; check "
            "--scheduler, and for tls:// Dask's own settings, or start one with `dask scheduler`."
        ) from error


@contextmanager
def _closing(cluster: "Cluster") -> Iterator["Cluster"]:
    try:
        cluster.check()
        yield cluster
    finally:
        cluster.close()


class Cluster:
    """Workers, and what this process has asked of them."""

    def __init__(self, client: Any, name: str, cpus: int | None) -> None:
        self.client = client
        self.name = name  # as messages call it
        self.cpus = cpus  # that each worker may use; None: as many as it has threads
        self._number = 0
        self._asked = WeakValueDictionary[str, Any]()  # futures by key, while anybody has them
        self._looked = 0.0
        self._workers: list[str] = []

    def check(self) -> None:
        """Raise NstError unless there are workers, and all of them have this nst."""
        try:
            self.client.wait_for_workers(1, timeout=WAITING)
        except TimeoutError:
            raise NstError(
                f"the scheduler at {self.name} has no worker; start some with `dask worker "
                f"{self.name}`, where nst is installed."
            ) from None
        found = self.client.run(worker.hello, on_error="return")
        for address, told in found.items():
            if isinstance(told, Exception) or told.get("nst") != VERSION:
                has = brief(told) if isinstance(told, Exception) else f"nst {told.get('nst')}"
                raise NstError(
                    f"the worker at {address} cannot paint what this nst {VERSION} asks for, it "
                    f"has {has}; install the same nst there."
                )

    def workers(self) -> list[str]:
        """Return the addresses of the workers that there are, sorted; seldom looked up.

        Where there are none, they may be on their way: for a while they are waited for.  Raises
        ConnectionError when that has an end.
        """
        until = time.monotonic() + WAITING
        while time.monotonic() - self._looked > LOOKING or not self._workers:
            if self.client.status != "running":  # the client has lost it
                raise self._gone()
            with self._heard(), suppress(OSError):  # it may not answer just now
                self._workers = sorted(self.client.nthreads())  # all else about them takes long
            self._looked = time.monotonic()
            if not self._workers:
                if time.monotonic() > until:
                    raise ConnectionError(f"the scheduler at {self.name} has no worker left.")
                time.sleep(LOOKING)
        return self._workers

    def submit(self, function: Callable[..., Any], *data: Any, on: str | None = None) -> Any:
        """Return the future of ``function(*data)``; it goes to the worker ``on`` while that lives.

        The data are plain; futures among them, in lists and dicts too, stand for their results.
        """
        self._number += 1
        with self._heard():
            future = self.client.submit(
                function,
                *data,
                key=f"nst-{function.__name__}-{self.client.id}-{self._number}",
                workers=None if on is None else [on],
                allow_other_workers=on is not None,
                retries=RETRIES,
            )
        self._asked[future.key] = future
        return future

    def result(self, future: Any) -> Any:
        """Wait for a future, and return its result; raise what ended its task.

        Raises
        ------
        ConnectionError
            Where the scheduler is gone.
        NstError
            Where the task has ended several workers.
        """
        with self._heard():
            return future.result()

    def each(
        self, waiting: deque[T], start: Callable[[T, str], Any]
    ) -> Iterator[tuple[T, Any, Exception | None]]:
        """Yield each item with the result of its task, or the exception in its place.

        ``start(item, worker)`` returns the future of its task, or None where there is nothing to
        do.  A worker has one at a time, and what has no worker yet is ``waiting``: so a task that
        ends its worker takes no other along.  Dask may give it to a worker that is busy, though,
        when its own has died, and blames both: so what is blamed is tried once more, when no
        other is in work.  They come as they are done, and what is put into the queue meanwhile is
        done too.
        """
        done = queue.SimpleQueue[Any]()
        busy: dict[str, tuple[T, Any, str]] = {}  # by key: the item, its future, its worker
        lost = Counter[int]()  # by the id of an item: how often its task was stranded
        blamed, tried = deque[T](), set[int]()
        while waiting or busy or blamed:
            if not (waiting or busy):
                waiting.append(blamed.popleft())
            used = {address for _, _, address in busy.values()}
            for address in self.workers() if waiting else ():
                if address in used:
                    continue
                if not waiting:
                    break
                item = waiting.popleft()
                try:
                    future = start(item, address)
                except ConnectionError:
                    raise
                except Exception as error:
                    yield item, None, error
                    continue
                if future is not None:
                    busy[future.key] = item, future, address
                    future.add_done_callback(done.put)
            try:
                key = done.get(timeout=LOOKING if busy else 0.0).key
            except queue.Empty:
                for key in self._stranded(busy):
                    item, future, address = busy.pop(key)
                    future.cancel()
                    lost[id(item)] += 1
                    if lost[id(item)] > RETRIES:
                        yield item, None, _deadly(lost[id(item)], address)
                    else:
                        waiting.appendleft(item)
                continue
            if key in busy:  # else it was stranded
                item, future, _ = busy.pop(key)
                del lost[id(item)]
                result, ended = self._outcome(future)
                if isinstance(ended, DeadlyError) and id(item) not in tried:
                    future.cancel()
                    blamed.append(item)
                    tried.add(id(item))
                    continue
                yield item, result, ended

    def _stranded(self, busy: Mapping[str, tuple[Any, Any, str]]) -> list[str]:
        """Return the keys of the tasks that wait for a worker that will not come back.

        Where no other lives when a worker dies, Dask keeps its tasks for it alone.
        """
        there = self.workers()
        lost = [key for key, (_, _, address) in busy.items() if address not in there]
        if lost:
            with self._heard():
                in_work = {key for keys in self.client.processing().values() for key in keys}
            if any(self.client.id in key for key in in_work):  # perhaps what they wait for
                return []
        return [key for key in lost if not busy[key][1].done()]

    def _outcome(self, future: Any) -> tuple[Any, Exception | None]:
        try:
            return self.result(future), None
        except ConnectionError:
            raise
        except Exception as error:
            return None, error

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Say in our words what Dask says of a scheduler that is gone, and of dead workers."""
        from concurrent.futures import CancelledError

        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        try:
            yield
        except KilledWorker as error:
            raise _deadly(error.allowed_failures + 1, error.last_worker.address) from None
        except (FutureCancelledError, CancelledError):
            raise self._gone() from None
        except (OSError, RuntimeError, TimeoutError):
            if self.client.status == "running":
                raise
            raise self._gone() from None

    def _gone(self) -> ConnectionError:
        return ConnectionError(f"the scheduler at {self.name} is gone; start it again.")

    def cancel(self) -> None:
        """Cancel what was asked and is not done; wait a while until workers have noticed."""
        asked = [future for future in self._asked.values() if not future.done()]
        with suppress(Exception):  # the scheduler may be gone
            if asked and self.client.status == "running":
                self.client.cancel(asked, force=True)
                until = time.monotonic() + ENDING
                while time.monotonic() < until and any(self.client.run(worker.is_busy).values()):
                    time.sleep(0.1)

    def close(self) -> None:
        """Leave the cluster, without anything left to do for us."""
        self.cancel()
        with suppress(Exception):
            self.client.close(timeout=ENDING)


class DeadlyError(NstError):
    """Several workers have died while they had a task."""


def _deadly(deaths: int, address: str) -> DeadlyError:
    return DeadlyError(
        f"{deaths} workers died of it, the last at {address}: perhaps they have too little "
        "memory; give them more, or use a smaller --size, or --memory for smaller tiles"
    )
