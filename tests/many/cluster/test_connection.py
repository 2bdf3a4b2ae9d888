"""Clusters that are not there, not ours or not to be had; and one with its own certificates."""

import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

import dask
import distributed
import pytest
import trustme

import nst
from nst import cli
from nst.errors import NstError
from nst.extras import installing
from nst.many.cluster import connection, worker
from nst.pictures import images

CONFIG = "distributed.comm.tls"


@pytest.fixture
def words(files, tmp_path, monkeypatch):
    """A batch of one tiny picture."""
    monkeypatch.chdir(tmp_path)
    given = ["batch", files / "photograph.png", "--style", files / "painting.png", "-o", "out"]
    given += ["--model", files / "tiny.onnx", "--size", 48, "--steps", 2, "--scales", 1]
    return [*map(str, given), "--device", "cpu"]


def refused(words, capsys):
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert not Path("out").exists()
    return err


def test_without_the_extra_dask_is_named(words, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert refused([*words, "--workers", "2"], capsys) == (
        "nst: --workers and --scheduler need Dask, which is not installed; "
        f"`{installing('cluster')}` brings it.\n"
    )


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--workers", "0"], "--workers is 0; give a number from 1 to 256."),
        (["--workers", "-3"], "--workers is -3"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "not both"),
        (["--scheduler", "tcp://127.0.0.1:1"], "no scheduler of Dask answers at"),
        (["--scheduler", "nonsense://x"], "no scheduler of Dask answers at 'nonsense://x'"),
        (["--shared"], "--shared is for the workers of a --scheduler"),
        (["--shared", "--workers", "2"], "--shared is for the workers of a --scheduler"),
    ],
)
def test_what_is_no_cluster_is_one_line_and_nothing_is_written(
    words, capsys, monkeypatch, more, expected
):
    monkeypatch.setattr(connection, "CONNECTING", 0.3)
    assert expected in refused([*words, *more], capsys)


def test_a_worker_that_has_another_nst_is_refused(cluster, monkeypatch):
    monkeypatch.setattr(connection, "VERSION", "9.9")
    with pytest.raises(nst.NstError, match=r"asks for, it has nst .*; install the same nst"):
        cluster.check()


def test_a_refusal_crosses_as_one_of_python_s_own():
    assert type(worker.plain(nst.NstError("a"))) is ValueError
    assert type(worker.plain(MemoryError("a"))) is MemoryError
    assert type(worker.plain(PermissionError("a"))) is OSError
    assert type(worker.plain(KeyError("a"))) is RuntimeError


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """A scheduler and a worker that are programs of their own, and talk by TLS."""
    folder = tmp_path_factory.mktemp("secured")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "own.pem")
    own = {"cert": str(folder / "own.pem"), "key": str(folder / "own.pem")}
    names = {"ca-file": str(folder / "ca.pem")}
    names |= {f"{who}.{n}": p for who in ("client", "scheduler", "worker") for n, p in own.items()}
    environment = {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}
    for name, value in names.items():
        key = name.upper().replace(".", "__").replace("-", "_")
        environment[f"DASK_DISTRIBUTED__COMM__TLS__{key}"] = value
    file = folder / "scheduler.json"
    common = {"env": os.environ | environment, "cwd": folder, "stderr": subprocess.DEVNULL}
    dask_program = str(Path(sys.executable).with_name("dask"))
    run = [dask_program]
    listen = ["--host", "tls://127.0.0.1", "--no-dashboard"]
    started = [
        subprocess.Popen(
            [*run, "scheduler", *listen, "--port", "0", "--scheduler-file", str(file)], **common
        )
    ]
    until = time.monotonic() + 120
    while not file.exists() or not file.read_text().strip():
        assert time.monotonic() < until
        time.sleep(0.2)
    started.append(
        subprocess.Popen(
            [*run, "worker", "--scheduler-file", file, *listen, "--nthreads", "1", "--no-nanny"],
            **common,
        )
    )
    with dask.config.set({f"{CONFIG}.{name}": value for name, value in names.items()}):
        address = json.loads(file.read_text())["address"]
        yield address, started[0]
    for process in reversed(started):
        process.kill()
        process.wait()


def test_a_scheduler_with_certificates_paints_and_when_it_is_gone_one_line_says_so(
    words, secured, capsys, monkeypatch
):
    address, scheduler = secured
    assert address.startswith("tls://127.0.0.1:")
    monkeypatch.setattr(connection, "WAITING", 120.0)
    assert cli.main([*words, "--scheduler", address, "--quiet"]) == 0
    assert images.load("out/photograph-painting.png").shape == (3, 48, 40)
    with (
        dask.config.set({f"{CONFIG}.client.cert": None, f"{CONFIG}.client.key": None}),
        pytest.raises((OSError, TypeError)),
    ):
        distributed.Client(address, timeout=1, set_as_default=False)
    capsys.readouterr()
    submit = connection.Cluster.submit

    def killing(self, *given, **more):
        future = submit(self, *given, **more)
        scheduler.kill()
        return future

    monkeypatch.setattr(connection.Cluster, "submit", killing)
    again = [*words, "--scheduler", address, "--quiet", "--style-weight", "2"]
    assert cli.main(again) == 2
    assert capsys.readouterr().err == (
        f"nst: the scheduler at {address} is gone; start it again. 1 of 1 are left: the same "
        "command goes on.\n"
    )


def test_neither_workers_nor_a_scheduler_is_no_cluster():
    with pytest.raises(NstError, match="give --workers, for a cluster on this machine, or --sch"):
        connection.opened().__enter__()


def test_what_is_left_of_clients_is_collected_before_another_begins(monkeypatch):
    """Else its end may come in the new one's thread, and wait there for a lock of its own."""

    class Left:
        def __init__(self):
            self.itself = self

        def __del__(self):
            collected.append(threading.current_thread())

    collected = []
    monkeypatch.setattr(connection, "CONNECTING", 0.2)
    gc.disable()
    try:
        Left()
        with pytest.raises(NstError, match="no scheduler of Dask answers"):
            connection.opened(scheduler="tcp://127.0.0.1:9").__enter__()
    finally:
        gc.enable()
    assert collected == [threading.current_thread()]


class Blaming:
    """Workers of which one dies of "deadly"; Dask blames each task that is in work then."""

    def __init__(self):
        self.in_work, self.started = [], []

    def workers(self):
        return ["one", "two"]

    def start(self, item, address):
        self.in_work.append(item)
        self.started.append(item)
        return Blamed(item)

    def _outcome(self, future):
        blamed = "deadly" in self.in_work and (None, connection.DeadlyError("died of it"))
        self.in_work.remove(future.key)
        return blamed or (future.key, None)


class Blamed:
    def __init__(self, key):
        self.key = key

    def add_done_callback(self, put):
        put(self)

    def cancel(self):
        pass


def test_what_was_in_work_beside_a_deadly_task_is_tried_once_more_alone():
    cluster = Blaming()
    items = deque(["beside", "deadly", "last"])
    found = {}
    for item, told, error in connection.Cluster.each(cluster, items, cluster.start):
        assert item not in found
        found[item] = told, error
    assert set(found) == {"beside", "deadly", "last"}
    assert found["beside"] == ("beside", None)
    assert found["last"] == ("last", None)
    assert str(found["deadly"][1]) == "died of it"
    assert cluster.started.count("beside") == 2
    assert cluster.started.count("deadly") == 2
