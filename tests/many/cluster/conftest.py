"""Two workers of Dask on this machine, for as long as the tests run."""

import contextlib
import os

import pytest

from nst.many.cluster import connection


@pytest.fixture(scope="session")
def cluster():
    """A cluster of two workers, and its scheduler's address."""
    with connection.opened(workers=2) as found:
        yield found


@pytest.fixture
def borrowed(cluster, monkeypatch):
    """Let whatever would start workers use those of the tests."""

    @contextlib.contextmanager
    def opened(workers=None, scheduler=None):
        assert workers is not None or scheduler is not None
        yield cluster

    monkeypatch.setattr(connection, "opened", opened)
    return cluster


def pids(cluster):
    """Return the process id of each worker."""
    return cluster.client.run(os.getpid)
