"""A cluster all of whose workers die: its tasks wait for those that come, and some do come."""

import re
from collections import deque
from pathlib import Path

import dask
import on_workers
import pytest
from dask.utils import parse_timedelta

from nst.many.cluster import connection, worker

PATIENCE = 120  # seconds: far more than a worker takes to start on a busy machine


@pytest.fixture(scope="module")
def alone():
    """A cluster of one worker."""
    with connection.opened(workers=1) as found:
        yield found


def test_the_only_worker_dies_and_its_tasks_go_on(alone, tmp_path):
    marker = str(tmp_path / "marker")
    kept = alone.submit(worker.as_it_is, 3)
    beside = alone.submit(worker.as_it_is, 4, kept)
    assert alone.result(beside) == 4
    found = alone.submit(on_workers.die_once, marker, [kept, beside])
    assert found.result(timeout=PATIENCE) == [3, 4]
    assert Path(marker).exists()


def test_an_item_whose_only_worker_dies_is_begun_anew_and_a_deadly_one_ends(alone, tmp_path):
    """Both are bound to a worker, and where no other lives, Dask would keep them for it."""
    items = deque(["once", "always", "never"])

    def start(item, address):
        function = {"always": on_workers.die}.get(item, on_workers.die_once)
        marker = tmp_path / item
        if item == "never":
            marker.touch()
        return alone.submit(function, str(marker), item, on=address)

    found = {item: (told, error) for item, told, error in alone.each(items, start)}
    assert found["once"] == ("once", None)
    assert found["never"] == ("never", None)
    told, error = found["always"]
    assert told is None
    assert re.match("[34] workers died of it, the last at tls://127.0.0.1:", str(error))


def test_a_worker_that_dask_gives_up_is_started_anew(alone, tmp_path):
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"}):
        found = alone.submit(on_workers.die_once, str(tmp_path / "marker"), 5)
        assert found.result(timeout=PATIENCE) == 5


@pytest.mark.usefixtures("alone")
def test_a_worker_that_is_slow_to_come_back_is_not_given_up():
    """The time counts from a death, and whoever has died again by its end would be given up."""
    found = dask.config.get("distributed.deploy.lost-worker-timeout")
    assert parse_timedelta(found) >= 3600
