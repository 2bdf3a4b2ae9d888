"""Two workers of Dask on this machine, for as long as the tests run."""

import contextlib

import dask
import pytest

from nst.many.cluster import connection


@pytest.fixture(scope="session")
def two():
    """A cluster of two workers, as the last test has left it.

    One that was killed is given up by the other after 5 s, not after 30 s as usual.
    """
    with dask.config.set({"distributed.comm.timeouts.connect": "5s"}):
        with connection.opened(workers=2) as found:
            yield found


@pytest.fixture
def cluster(two):
    """A cluster of two workers, both of them there: one that a test before ended comes back."""
    two.client.wait_for_workers(2)
    return two


@pytest.fixture
def borrowed(cluster, monkeypatch):
    """Let whatever would start workers use those of the tests."""

    @contextlib.contextmanager
    def opened(workers=None, scheduler=None):
        assert workers is not None or scheduler is not None
        try:
            yield cluster
        finally:
            cluster.cancel()

    monkeypatch.setattr(connection, "opened", opened)
    return cluster


@pytest.fixture
def plugged(cluster):
    """A function that lets a plugin work on every worker until the test ends."""
    names = []

    def plug(plugin):
        names.append(plugin.name)
        cluster.client.register_plugin(plugin)

    yield plug
    for name in names:
        cluster.client.unregister_worker_plugin(name)
