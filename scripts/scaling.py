"""What more machines bring: measured on this one, and reckoned for many with Dask's own scheduler.

    python scripts/scaling.py batch       # pictures a minute with one worker and with two
    python scripts/scaling.py overhead    # what a task takes beside its work
    python scripts/scaling.py bytes       # what a step of a poster sends, what stays
    python scripts/scaling.py simulate    # 10, 100 and 1000 workers that do nothing but wait

Every worker has one thread.  Times on a busy machine are worth little; ratios are worth more, for
which one worker and two take turns.  What is simulated is Dask's scheduler and ours: the workers
are those of Dask, in one process, and a task waits for as long as it was recorded to take.  What
a network takes is added: bytes over its bandwidth, since all of them pass the client.
"""

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections import deque
from pathlib import Path

import dask
import distributed
import numpy as np

import nst
from nst import demo
from nst.many.cluster import connection, poster, worker
from nst.objective.recipes import RECIPES
from nst.objective.tiling import cut
from nst.pictures import images
from nst.run.estimate import optimizer_images
from nst.vgg.architecture import ARCHITECTURES

GIGABIT = 125e6  # bytes a second


def batch(pictures: int, size: int, steps: int, rounds: int) -> None:
    """Paint the same pictures with one worker and with two, by turns.

    On a machine that has other work, two workers may get no more of it than one.  So processor
    time is told too: with a processor for each, the one that computes most says how long it takes.
    """
    photograph = images.load(demo.content_path())
    rates: dict[int, list[float]] = {1: [], 2: []}
    longest: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        photographs = [Path(folder, f"{number}.png") for number in range(pictures)]
        for number, path in enumerate(photographs):  # no two alike
            images.save(path, np.roll(photograph, 20 * number, 2))
        for turn in range(rounds):
            for workers in rates:
                with _kept_open(workers) as cluster:
                    options = {"size": size, "model": "vgg16-slim", "device": "cpu"}
                    style = [demo.style_path("waves")]
                    first = Path(folder, f"first-{turn}-{workers}")
                    nst.batch(photographs[:2], style, first, steps=1, workers=1, **options)
                    began, here = time.perf_counter(), time.process_time()
                    before = cluster.client.run(time.process_time)
                    out = Path(folder, f"out-{turn}-{workers}")
                    nst.batch(photographs, style, out, steps=steps, workers=1, **options)
                    rates[workers].append(60 * pictures / (time.perf_counter() - began))
                    after = cluster.client.run(time.process_time)
                    computed = [after[address] - before[address] for address in before]
                    longest[workers].append(max(computed))
                    print(
                        f"{workers}: {rates[workers][-1]:.2f} pictures a minute; computed "
                        f"{', '.join(f'{one:.1f} s' for one in computed)}, and here "
                        f"{time.process_time() - here:.1f} s",
                        flush=True,
                    )
    for what, ratios in (
        ("pictures a minute", [two / one for one, two in zip(*rates.values(), strict=True)]),
        ("processor time", [one / two for one, two in zip(*longest.values(), strict=True)]),
    ):
        told = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"two workers paint so many times as many as one, by {what}: {told}")


@contextlib.contextmanager
def _kept_open(workers: int):
    """Let every batch use one cluster of workers with one thread each."""
    opened = connection.opened
    with opened(workers=workers) as cluster:
        cluster.cpus = 1
        connection.opened = lambda *_: contextlib.nullcontext(cluster)
        try:
            yield cluster
        finally:
            connection.opened = opened


def overhead(count: int) -> None:
    """Have two workers do nothing, many times, as the pictures of a batch are done."""
    with connection.opened(workers=2) as cluster:

        def start(number: int, address: str) -> object:
            return cluster.submit(worker.as_it_is, number, on=address)

        list(cluster.each(deque(range(20)), start))
        began, cpu = time.perf_counter(), time.process_time()
        list(cluster.each(deque(range(count)), start))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(
        f"a task takes {1e3 * seconds / count:.1f} ms beside its work, "
        f"{1e3 * cpu / count:.1f} ms of them computing in the client and the scheduler"
    )


def tiles_and_bytes(size: int, model: str = "vgg16") -> tuple[int, int, int]:
    """Return the tiles of a square poster, the bytes that a step sends, and those it brings."""
    recipe, architecture = RECIPES["nst"], ARCHITECTURES[model]
    stride = max(architecture.coarsest(tap) for tap in recipe.taps)
    padding = -(-recipe.padding // stride) * stride
    tiles = cut(architecture, recipe.taps, size, size, poster.SIDE, padding)
    height, width = tiles[0].shape
    window = 12 * height * width
    channels = [architecture.shape(tap, 64, 64)[0] for tap in recipe.style]
    sums = 8 * sum(c * c for c in channels)
    return len(tiles), len(tiles) * window + sums // 2, len(tiles) * (window + sums)


def tell_bytes() -> None:
    """Say what a step of a poster sends, and what its optimizer holds on the client."""
    recipe = RECIPES["nst"]
    for size in (2048, 4096, 8192, 16384):
        tiles, out, back = tiles_and_bytes(size)
        held = []
        for kind, pairs in (("lbfgs", recipe.history), ("lbfgs", 2), ("adam", 0)):
            kept, passing = optimizer_images(kind, pairs, False, recipe.bands)
            held.append(f"{kind} {pairs or ''} {12e-9 * size**2 * (2 + kept + passing):.1f} GB")
        print(
            f"{size:6} px: {tiles:4} tiles, {out / 1e6:6.0f} MB out and {back / 1e6:6.0f} MB back "
            f"a step; on the client {', '.join(held)}"
        )


async def wait(seconds: float, *_: object) -> None:
    """Do nothing for so long."""
    await asyncio.sleep(seconds)


def simulate(counts: list[int], picture: float, tile: float, bandwidth: float) -> None:
    """Say how much of the time so many workers would work, of batches and of a poster's steps."""
    tiles, out, back = tiles_and_bytes(16384)
    for count in counts:
        with _fakes(count) as cluster:

            def start(seconds: float, address: str, cluster: connection.Cluster = cluster):
                return cluster.submit(wait, seconds, on=address)

            rng = np.random.default_rng(count)
            times = picture * rng.uniform(0.8, 1.2, 4 * count)
            began, cpu = time.perf_counter(), time.process_time()
            list(cluster.each(deque(times), start))
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            print(
                f"batch, {count} workers: {times.sum() / count / seconds:.0%}; client, scheduler "
                f"and Dask's part of workers computed {1e3 * cpu / len(times):.1f} ms a picture",
                flush=True,
            )

            kept = [cluster.submit(wait, 0.25 * tile) for _ in range(tiles)]  # of the photograph
            for future in kept:
                cluster.result(future)
            began, cpu = time.perf_counter(), time.process_time()
            windows = [
                cluster.submit(worker.as_it_is, number, one) for number, one in enumerate(kept)
            ]
            for share in (0.25, 0.75):  # of a tile's time: forward, then forward and backward
                asked = [
                    cluster.submit(wait, share * tile, *pair)
                    for pair in zip(kept, windows, strict=True)
                ]
                for future in asked:
                    cluster.result(future)
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            work = tiles * tile / count
            network = (out + back) / bandwidth
            print(
                f"16k poster, {count} workers: {work / seconds:.0%} of {seconds:.1f} s a step; "
                f"with {network:.1f} s of network {work / (seconds + network):.0%}; they computed "
                f"{1e3 * cpu / tiles / 3:.1f} ms a task",
                flush=True,
            )


QUIET = {  # what each worker does for who watches it: a thousand in one process do nothing else
    "distributed.admin.tick.interval": "1h",
    "distributed.admin.system-monitor.interval": "1h",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.worker.profile.enabled": False,
    "distributed.comm.timeouts.connect": "5 minutes",
}


@contextlib.contextmanager
def _fakes(count: int):
    """Yield a cluster of so many workers of Dask in this process."""
    with (
        dask.config.set(QUIET),
        distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=0,  # theirs is this one process', which is larger than a share
            processes=False,
            dashboard_address=None,
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        yield connection.Cluster(client, "nowhere", 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("batch", "overhead", "bytes", "simulate"))
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--size", type=int, default=256, help="of the pictures")
    parser.add_argument("--steps", type=int, default=30, help="of each picture")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--workers", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--picture", type=float, default=40.0, help="seconds, as recorded")
    parser.add_argument("--tile", type=float, default=6.0, help="seconds, as recorded")
    parser.add_argument("--bandwidth", type=float, default=10 * GIGABIT, help="bytes a second")
    given = parser.parse_args()
    if given.what == "batch":
        batch(given.pictures, given.size, given.steps, given.rounds)
    elif given.what == "overhead":
        overhead(given.tasks)
    elif given.what == "bytes":
        tell_bytes()
    else:
        simulate(given.workers, given.picture, given.tile, given.bandwidth)


if __name__ == "__main__":
    main()
