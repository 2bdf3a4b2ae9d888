"""The pictures of a batch on a cluster: a picture is a task, and a worker has one at a time."""

import json
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nst import files
from nst.errors import NstError, warn
from nst.many.batch import Batch, Standing, refuse_foreign
from nst.many.cluster import painting
from nst.many.cluster.connection import Cluster
from nst.many.cluster.sent import Sent
from nst.many.jobs import Job
from nst.many.journal import Record
from nst.pictures import reading
from nst.run.inputs import check_writable
from nst.settings import Settings


class Pictures:
    """Paints the pictures of a batch on the workers of a ``cluster``.

    A painting is measured by one worker, and what it found goes to the others; so do the network
    and the files that pictures have in common.  Where workers have the ``shared`` folders, they
    read and write there, and a picture that was stopped goes on from its checkpoint; else bytes
    of files go there and come back.
    """

    def __init__(self, cluster: Cluster, shared: bool) -> None:
        self._cluster = cluster
        self._shared = shared
        self._sent = Sent(cluster)
        self._measured: dict[str, Any] = {}  # futures of what was measured, by style

    def painted(
        self, jobs: Sequence[Job], batch: Batch
    ) -> Iterator[tuple[Record, Exception | None]]:
        """Yield what becomes of each picture, as it is done, and the error that ended it."""
        began = time.perf_counter()

        def start(job: Job, address: str) -> Any:
            return self._start(job, batch, address)

        for number, (job, told, error) in enumerate(
            self._cluster.each(deque(jobs), start), start=1
        ):
            record, error = self._record(job, batch, told, error)
            yield record, error
            if batch.on_progress is not None:
                left = (time.perf_counter() - began) * (len(jobs) / number - 1)
                batch.on_progress(Standing(number, len(jobs), job.title, None, left))

    def _start(self, job: Job, batch: Batch, address: str) -> Any:
        """Return the future of one picture, painted by the worker at ``address``."""
        refuse_foreign(job)
        settings = batch.settings_of(job)
        if settings.output is not None:
            files.make_folder(settings.output.parent)
        check_writable(settings)
        sha256, model = self._sent.network(settings)
        order = {
            "settings": settings.as_json() if self._shared else _portable(settings),
            "model": sha256,
            "cpus": self._cluster.cpus,
            "here": os.getcwd() if self._shared else None,
        }
        data = {} if self._shared else self._files(settings)
        measured = self._measure(order, data, model, settings)
        return self._cluster.submit(painting.paint, order, data, model, measured, on=address)

    def _files(self, settings: Settings) -> dict[str, Any]:
        """Return the files to read, by portable names; those of paintings are sent once."""
        names = settings.names
        found: dict[str, Any] = {}
        for path in settings.inputs:
            data = reading.read(path, settings.memory).data
            found[names[path]] = data if path == settings.content else self._sent.data(data)[1]
        return found

    def _measure(
        self,
        order: Mapping[str, Any],
        data: Mapping[str, Any],
        model: Any,
        settings: Settings,
    ) -> Any:
        """Return the future of what there is to know of the style, before it is painted in.

        It is bound to no worker: who paints in that style waits for it.
        """
        style = repr(settings.style)
        if style not in self._measured:
            names = settings.names
            of_photograph = names[settings.content]
            rest = {name: one for name, one in data.items() if name != of_photograph}
            measuring = self._cluster.submit(painting.measure, order, rest, model)
            self._measured[style] = measuring
        return self._measured[style]

    def _record(
        self, job: Job, batch: Batch, told: Any, error: Exception | None
    ) -> tuple[Record, Exception | None]:
        """Return the record of one picture, whose results are written where they did not come."""
        if error is None:
            for said in told["warnings"]:
                warn(said)
            error = painting.refusal_in(told)
            try:
                if error is None:
                    self._write(job, told["files"])
                    record = batch.record(job, "painted", told["seconds"], told["losses"])
                    return record, None
            except (NstError, OSError) as unwritten:
                error = unwritten
        elif isinstance(error, ValueError):  # what `worker.plain` makes of a refusal
            error = NstError(error)
        seconds = 0.0 if told is None else told["seconds"]
        return batch.failed(job, error, seconds), error

    def _write(self, job: Job, results: Mapping[str, bytes]) -> None:
        """Write what came back, the picture last: where it is, the rest is."""
        for name in sorted(results, key=lambda name: name == job.output.name):
            path = job.output.with_name(Path(name).name)
            with files.replace_atomically(path) as file:
                file.write(results[name])


def _portable(settings: Settings) -> str:
    """Return the settings as JSON, for a folder that has the files under portable names.

    The picture's text then says of its files what it would have said here.
    """
    told = settings.as_told()
    if settings.output is not None:
        told["output"] = f"{painting.RESULTS}/{settings.output.name}"
    return json.dumps(told)
