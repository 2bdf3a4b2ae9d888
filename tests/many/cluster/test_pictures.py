"""Batches on a cluster: what is painted there has the bytes of what is painted here."""

import gc
import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import distributed
import on_workers
import psutil
import pytest
from plain_data import globals_that_cross

import nst
from nst import machine
from nst.errors import NstError
from nst.many.cluster import connection, worker
from nst.pictures import images


@pytest.fixture
def place(tmp_path, files, other, monkeypatch):
    """A folder with three photographs and two styles."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    photograph = images.load(files / "photograph.png")
    images.save(tmp_path / "in" / "a.png", photograph)
    images.save(tmp_path / "in" / "b.png", photograph[:, :, ::-1])
    images.save(tmp_path / "in" / "sub" / "b.jpg", photograph[:, ::-1])
    images.save(tmp_path / "one.png", images.load(files / "painting.png"))
    images.save(tmp_path / "two.png", images.load(other))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paint(quick, folder="out", **more):
    given = {"recursive": True, "workers": 2} | quick | more
    return nst.batch(["in"], ["one.png", "two.png"], folder, **given)


def bytes_in(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file() and path.name != "batch.jsonl"
    }


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.usefixtures("borrowed")
def test_a_batch_on_workers_is_that_of_one_machine_byte_for_byte(place, quick, shared):
    where = {"workers": 2} if shared else {"scheduler": "tcp://somewhere", "workers": None}
    more = {"save_every": 1, "style_weight": 2.0}
    here = paint(quick, "here", workers=None, **more)
    there = paint(quick, "there", **where, **more)
    assert [record.status for record in there] == ["painted"] * 6
    assert [record.content for record in there] == [record.content for record in here]
    assert [record.losses for record in there] == [record.losses for record in here]
    found = bytes_in("there")
    assert len(found) == 18  # and nothing else was left
    assert found == bytes_in("here")
    assert len(Path("there/batch.jsonl").read_text().splitlines()) == 6
    again = paint(quick, "there", **where, **more)
    assert [record.status for record in again] == ["skipped"] * 6


def test_one_network_a_worker_and_each_painting_measured_once_of_all(
    place, quick, borrowed, plugged
):
    plugged(on_workers.Counting())
    borrowed.client.run(on_workers.forget)
    paint(quick, "out", style_weight=1.5)
    counted = borrowed.client.run(on_workers.count)
    opened = [there.pop("opened", 0) for there in counted.values()]
    assert max(opened) == 1
    measured = [image for there in counted.values() for image in there]
    assert sum(sum(there.values()) for there in counted.values()) == len(set(measured)) == 2


def test_a_worker_uses_its_share_of_the_machine(place, quick, borrowed):
    paint(quick)
    limits = {one["memory_limit"] for one in borrowed.client.scheduler_info()["workers"].values()}
    for cpus, left in borrowed.client.run(on_workers.granted).values():
        assert cpus == max(1, machine.cpus() // 2)
        assert left < worker.PAUSED * max(limits)


@pytest.mark.usefixtures("borrowed")
def test_what_is_pickled_of_nst_are_names_of_functions(place, quick, monkeypatch):
    seen = globals_that_cross(monkeypatch)
    Path("in/broken.png").write_bytes(b"no picture")
    paint(quick, scheduler="tcp://somewhere", workers=None)
    ours = {name.removeprefix("nst.many.cluster.") for name in seen if name.startswith("nst")}
    functions = {"painting.paint", "painting.measure", "worker.as_it_is"}
    assert functions <= ours <= functions | {"worker.hello", "worker.is_busy"}


@pytest.mark.usefixtures("borrowed")
def test_a_failure_on_a_worker_is_the_line_that_it_is_here(place, quick, plugged):
    Path("in/broken.png").write_bytes(b"no picture")
    Path("in/truncated.jpg").write_bytes(Path("in/sub/b.jpg").read_bytes()[:200])
    Path("there").mkdir()
    images.save("there/a-one.png", images.load("one.png"))
    here = paint(quick, "here", workers=None)
    there = paint(quick, "there")
    failed = {r.content: r.error for r in here if r.status == "failed"}
    assert len(failed) == 2
    told = {r.content: r.error for r in there if r.status == "failed"}
    assert "nst did not paint it" in told.pop("in/a.png")
    assert told == failed
    assert sum(r.status == "painted" for r in there) == 5


@pytest.mark.usefixtures("borrowed")
def test_a_bug_on_a_worker_is_raised_when_the_rest_is_painted(place, quick, plugged):
    plugged(on_workers.Failing("a-two.png", "bug"))
    with pytest.raises(RuntimeError, match=r"TypeError\('a bug'\)") as raised:
        paint(quick)
    assert "on_workers.py" in str(raised.value.__cause__)
    lines = map(json.loads, Path("out/batch.jsonl").read_text().splitlines())
    statuses = {line["output"]: line["status"] for line in lines}
    assert statuses.pop("a-two.png") == "failed"
    assert set(statuses.values()) == {"painted"}


@pytest.mark.usefixtures("borrowed")
@pytest.mark.parametrize("how", ["kill", "memory", "disk"])
def test_what_ends_a_picture_once_is_tried_again_with_the_same_bytes(place, quick, plugged, how):
    """A worker is killed by its process id, or its machine refuses something for a moment."""
    paint(quick, "here", workers=None)
    plugged(on_workers.Failing("b-two.png", how, str(place / "marker")))
    there = paint(quick, "there")
    assert (place / "marker").exists()
    assert [record.status for record in there] == ["painted"] * 6
    assert bytes_in("there") == bytes_in("here")


def test_a_picture_that_ends_its_workers_is_one_failure_and_takes_no_other_along(
    place, quick, borrowed, plugged
):
    plugged(on_workers.Failing("b-two.png", "kill"))
    borrowed.client.run_on_scheduler(on_workers.allow_failures, 1)
    try:
        records = paint(quick)
    finally:
        borrowed.client.run_on_scheduler(on_workers.allow_failures, 3)
    failed = [record for record in records if record.status != "painted"]
    assert [record.output for record in failed] == ["out/b-two.png", "out/sub/b-two.png"]
    for record in failed:
        assert re.match(r"[234] workers died of it, the last at tls:", record.error)
    assert len(records) == 6


@pytest.mark.usefixtures("heard")
def test_ctrl_c_cancels_what_the_workers_do(place, quick, borrowed):
    def interrupt():
        while len(busy := borrowed.client.run(worker.is_busy)) < 2 or not all(busy.values()):
            time.sleep(0.05)  # one that died before may not be there again
        os.kill(os.getpid(), signal.SIGINT)

    while any(borrowed.client.run(worker.is_busy).values()):  # with what a test before cancelled
        time.sleep(0.05)
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt) as stopped:
        paint(quick, steps=1_000_000, until=0.0)
    thread.join()
    assert stopped.value.__notes__ == ["6 of 6 are left: the same command goes on."]
    assert not any(borrowed.client.run(worker.is_busy).values())
    assert not any(borrowed.client.processing().values())


def test_only_loopback_is_listened_on_and_only_to_who_has_the_certificate(cluster):
    process = psutil.Process()
    own = [process, *process.children(recursive=True)]
    listening = [
        connection.laddr.ip
        for one in own
        for connection in one.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3
    assert set(listening) == {"127.0.0.1"}
    address = cluster.client.scheduler.address
    with pytest.raises(NstError, match="no scheduler of Dask answers at 'tls://127"):
        connection.opened(scheduler=address).__enter__()
    gc.collect()  # as `opened` does
    with pytest.raises(OSError, match=r".*"):
        distributed.Client(address.replace("tls", "tcp"), timeout=2, set_as_default=False)
