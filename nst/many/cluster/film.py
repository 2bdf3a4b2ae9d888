"""The scenes of a film on a cluster: several at once, and of each a few frames after the others.

A task is a stretch of a scene: the frames to paint, of the size that is painted, and those that
they look back at.  What comes back is kept and written here, as it is of a film that is painted
here: so a run that was stopped goes on, with workers or without, and loses a stretch at most.
"""

import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from nst import machine, memory
from nst.errors import NstError
from nst.film.painting import Painted, Reel, Shoot
from nst.film.scenes import Scene
from nst.many.cluster import connection, painting, scenes, worker
from nst.many.cluster.connection import Cluster
from nst.many.cluster.sent import Sent

STRETCH = 8  # frames of a task at most: what is painted again where a worker dies
LARGEST = 100e6  # bytes of these frames, about


@contextmanager
def opened(
    shoot: Shoot, count: int, workers: int | Literal["auto"] | None, scheduler: str | None
) -> Iterator[Cluster]:
    """Yield a cluster for so many scenes: no more workers are started than have something to do.

    Raises
    ------
    NstError
        Where memory is not enough for them, and see `connection.opened`.
    """
    if workers is not None:
        workers = _fitting(shoot, count, workers)
    with connection.opened(workers, scheduler) as cluster:
        yield cluster


def _fitting(shoot: Shoot, count: int, workers: int | Literal["auto"]) -> int:
    """Return how many workers to start.

    They paint as was planned here, in the same tiles, whatever memory each of them has: so the
    film has the same bits.
    """
    estimate = shoot.first.estimate
    needed = 0.0 if estimate is None else estimate.bytes
    free = worker.PAUSED * memory.free(shoot.device)
    most = max(1, int(free / max(needed, 1.0)))
    if workers == "auto":
        return min(most, count, machine.cpus(), connection.MOST_WORKERS)
    if min(workers, count) > most:
        raise NstError(
            f"--workers is {workers}; each takes {memory.format_bytes(needed)}, and memory is "
            f"enough for {most}. Give --workers {most} or auto, or --memory for smaller tiles."
        )
    return min(workers, count)


class Scenes:
    """Paints the scenes of a film on the workers of a ``cluster``; ``mark`` is the film's."""

    def __init__(self, cluster: Cluster, shoot: Shoot, mark: str) -> None:
        self._cluster, self._shoot, self._mark = cluster, shoot, mark
        self._sent = Sent(cluster)
        settings, full = shoot.settings, shoot.first.full
        self._most = max(1, min(STRETCH, int(LARGEST / (12 * full.height * full.width))))
        names = settings.names
        self._files = {names[p]: self._sent.data(one.data)[1] for p, one in shoot.read.items()}
        self._settings = json.dumps(settings.as_told())

    def painted(self, reels: Sequence[Reel]) -> Iterator[tuple[Scene, Painted]]:
        """Yield each frame when it was painted and kept, with its scene.

        What ends a scene ends no other; it is raised when the rest is painted.

        Raises
        ------
        NstError, RuntimeError
            What ended a scene, as far as the user can mend it or not.
        ConnectionError
            Where the scheduler is gone.
        """
        waiting, ended = deque(reels), list[Exception]()
        for reel, told, error in self._cluster.each(waiting, self._start):
            error = error or painting.refusal_in(told)
            if error is not None:
                ended.append(NstError(error) if isinstance(error, ValueError) else error)
                continue
            for frame in told["frames"]:
                painted = scenes.painted_of(frame)
                reel.take(painted)
                yield reel.scene, painted
            waiting.appendleft(reel)
        if ended:
            raise ended[0]

    def _start(self, reel: Reel, address: str) -> Any:
        """Return the future of the next frames of a scene; None where it has no more."""
        stretch = reel.next(self._most)
        if stretch is None:
            return None
        sha256, model = self._sent.network(self._shoot.settings)
        order = {
            "settings": self._settings,
            "model": sha256,
            "cpus": self._cluster.cpus,
            "here": None,
            "way": scenes.plain_way(self._shoot),
            "scene": f"{self._mark} {reel.scene.start}",
        }
        told = scenes.plain_stretch(stretch, reel.scene.reference)
        return self._cluster.submit(scenes.paint, order, self._files, model, told, on=address)
