"""What all tasks of one run have in common: it is sent once to each worker that needs it."""

import hashlib
from typing import Any

from nst.many.cluster import worker
from nst.many.cluster.connection import Cluster
from nst.settings import Settings
from nst.vgg import weights


class Sent:
    """Bytes that were sent to the workers of a ``cluster``."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._futures: dict[str, Any] = {}  # by sha256
        self._model: tuple[str, Any] | None = None

    def data(self, data: bytes) -> tuple[str, Any]:
        """Return the sha256 and the future of ``data``; what was sent before is there."""
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 not in self._futures:
            self._futures[sha256] = self._cluster.submit(worker.as_it_is, data)
        return sha256, self._futures[sha256]

    def network(self, settings: Settings) -> tuple[str, Any]:
        """Return the sha256 of the network's file, and the future of its bytes."""
        if self._model is None:
            self._model = self.data(weights.find(settings.model).read_bytes())
        return self._model
