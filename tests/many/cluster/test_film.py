"""Films on a cluster: scenes at once, and the bytes of a film that one process paints."""

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import on_workers
import pytest
from film_files import moving, write_film
from plain_data import check_plain, globals_that_cross

import nst
from nst import cli, machine
from nst.errors import NstError
from nst.many.cluster import connection, film, scenes, worker
from nst.stylize import complete

COUNTS = (5, 4)  # frames of each scene


@pytest.fixture
def paint(tmp_path, monkeypatch, quick, first):
    """A function that paints a film of two scenes, in stretches of two frames."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(film, "STRETCH", 2)
    frames = [*moving(COUNTS[0], seed=1), *moving(COUNTS[1], seed=2)]
    write_film("in.mp4", frames, sound=5)
    how = quick | {"size": 64, "steps": 4, "frame_steps": 2, "strength": 0.9}

    def painting(output, **more):
        return nst.video("in.mp4", [first], output, **how | more)

    return painting


def told(filmed):
    return [{n: v for n, v in one.items() if n != "seconds"} for one in filmed.painted]


def bytes_in(path):
    place = Path(path)
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    return [one.read_bytes() for one in files]


@pytest.mark.parametrize("output", ["mkv", "png"])
def test_a_film_by_one_worker_and_by_two_is_that_of_one_process_byte_for_byte(
    paint, borrowed, monkeypatch, output
):
    ending = ".mkv" if output == "mkv" else ""
    alone = paint(f"alone{ending}", color="content")
    two = paint(f"two{ending}", color="content", workers=2)
    monkeypatch.setattr(borrowed, "workers", lambda: borrowed.__class__.workers(borrowed)[:1])
    one = paint(f"one{ending}", color="content", scheduler="tcp://somewhere")
    assert bytes_in(f"two{ending}") == bytes_in(f"one{ending}") == bytes_in(f"alone{ending}")
    assert told(two) == told(one) == told(alone)
    assert [entry["frame"] for entry in two.painted] == list(range(1, 10))
    assert two.scenes == alone.scenes == ((0, 5), (5, 9))
    assert not any(Path(f"{name}-film").exists() for name in ("alone", "two", "one"))


def test_scenes_are_painted_at_once_and_the_frames_of_each_in_order(paint, borrowed, monkeypatch):
    asked, standings = [], []
    submit = borrowed.__class__.submit

    def watched(function, *data, on=None):
        if function is scenes.paint:
            order, _, _, stretch = data
            check_plain([order, stretch])
            asked.append((order["scene"].split()[-1], stretch["start"], on))
        return submit(borrowed, function, *data, on=on)

    monkeypatch.setattr(borrowed, "submit", watched)
    paint("out", workers=2, on_progress=standings.append)
    assert [start for scene, start, _ in asked if scene == "0"] == [0, 2, 4]
    assert [start for scene, start, _ in asked if scene == "5"] == [0, 2]
    assert len({on for *_, on in asked[:2]}) == len({scene for scene, *_ in asked[:2]}) == 2
    assert [standing.picture for standing in standings] == list(range(1, 10))
    assert {standing.title for standing in standings} == {"scene 1 of 2", "scene 2 of 2"}
    assert standings[-1].done == 1
    assert standings[-1].left == 0


@pytest.mark.usefixtures("borrowed")
@pytest.mark.parametrize("how", ["kill", "memory", "disk"])
def test_what_ends_a_task_once_is_tried_again_with_the_same_bytes(paint, plugged, how, tmp_path):
    """A worker is killed by its process id in the midst of a scene, or its machine refuses."""
    alone = paint("alone.mkv")
    plugged(on_workers.EndingScene(5, 2, how, str(tmp_path / "marker")))
    out = paint("out.mkv", workers=2)
    assert Path("marker").exists()
    assert told(out) == told(alone)
    assert bytes_in("out.mkv") == bytes_in("alone.mkv")


@pytest.mark.usefixtures("borrowed")
def test_frames_that_a_worker_took_along_for_good_are_painted_by_another(paint, monkeypatch):
    """A scene is begun anew where no other worker lived: see `Cluster.each`."""
    paint("alone.mkv")
    start = film.Scenes._start

    def twice(crew, reel, address):
        reel.next(crew._most)  # the worker that had these is gone
        return start(crew, reel, address)

    monkeypatch.setattr(film.Scenes, "_start", twice)
    paint("out.mkv", workers=2)
    assert bytes_in("out.mkv") == bytes_in("alone.mkv")


@pytest.mark.usefixtures("borrowed")
def test_a_scene_that_cannot_be_painted_ends_no_other_and_the_rest_is_kept(paint, plugged):
    paint("alone.mkv")
    plugged(on_workers.EndingScene(0, 1, "bug"))
    with pytest.raises(RuntimeError, match=r"TypeError\('a bug'\)") as raised:
        paint("out.mkv", workers=2)
    assert "on_workers.py" in str(raised.value.__cause__)
    assert raised.value.__notes__ == [
        "4 of 9 frames are painted and kept in out-film: the same command goes on."
    ]


@pytest.mark.usefixtures("borrowed")
def test_a_refusal_on_a_worker_is_the_line_that_it_is_here(paint, plugged):
    plugged(on_workers.EndingScene(0, 1, "refusal"))
    with pytest.raises(NstError, match="a refusal"):
        paint("out.mkv", workers=2)


def test_a_scheduler_that_is_gone_is_one_line_and_the_film_goes_on_at_its_frame(
    paint, borrowed, monkeypatch
):
    paint("alone.mkv")
    submit, count = borrowed.__class__.submit, iter(range(100))

    def gone(function, *data, on=None):
        if function is scenes.paint and next(count) == 3:
            raise borrowed._gone()
        return submit(borrowed, function, *data, on=on)

    with monkeypatch.context() as patch:
        patch.setattr(borrowed, "submit", gone)
        with pytest.raises(ConnectionError) as raised:
            paint("out.mkv", workers=2)
    (note,) = raised.value.__notes__
    painted = int(note.split()[0])
    assert 2 <= painted < 9
    assert note.endswith("of 9 frames are painted and kept in out-film: the same command goes on.")
    assert str(raised.value) == "the scheduler at this machine is gone; start it again."
    again = paint("out.mkv")  # without workers: what is kept is the same
    assert len(again.painted) == 9 - painted
    assert bytes_in("out.mkv") == bytes_in("alone.mkv")


def test_a_film_that_was_begun_here_goes_on_with_workers(paint, borrowed):
    paint("alone.mkv")
    count = iter(range(1, 100))

    def stopping(inputs, plan, state, on_progress):
        if next(count) == 4:
            raise KeyboardInterrupt
        return complete(inputs, plan, state, on_progress)

    with pytest.raises(KeyboardInterrupt):
        paint("out.mkv", paint=stopping)
    again = paint("out.mkv", workers=2)
    assert [entry["frame"] for entry in again.painted] == list(range(4, 10))
    assert bytes_in("out.mkv") == bytes_in("alone.mkv")


@pytest.mark.usefixtures("heard")
def test_ctrl_c_cancels_what_the_workers_do(paint, borrowed):
    while any(borrowed.client.run(worker.is_busy).values()):
        time.sleep(0.05)

    def interrupt():
        while len(busy := borrowed.client.run(worker.is_busy)) < 2 or not all(busy.values()):
            time.sleep(0.05)  # one that died before may not be there again
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt) as stopped:
        paint("out.mkv", workers=2, steps=1_000_000, until=0.0)
    thread.join()
    assert stopped.value.__notes__ == [
        "0 of 9 frames are painted and kept in out-film: the same command goes on."
    ]
    assert not any(borrowed.client.run(worker.is_busy).values())
    assert not any(borrowed.client.processing().values())


@pytest.mark.usefixtures("borrowed")
def test_what_is_pickled_of_nst_are_names_of_functions(paint, monkeypatch):
    seen = globals_that_cross(monkeypatch)
    paint("out.mkv", workers=2)
    ours = {name.removeprefix("nst.many.cluster.") for name in seen if name.startswith("nst")}
    functions = {"scenes.paint", "worker.as_it_is"}
    assert functions <= ours <= functions | {"worker.hello", "worker.is_busy"}


# ---- How many workers --------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch):
    """How many workers are started, in place of starting them, for so much free memory."""
    found = []

    @contextmanager
    def opened(workers, scheduler):
        found.append(workers)
        yield None

    monkeypatch.setattr(connection, "opened", opened)
    monkeypatch.setattr(film.memory, "free", lambda device: 10e9)
    monkeypatch.setattr(machine, "cpus", lambda: 16)

    def starting(needed, scenes, workers):
        estimate = None if needed is None else SimpleNamespace(bytes=needed)
        shoot = SimpleNamespace(first=SimpleNamespace(estimate=estimate), device=None)
        with film.opened(shoot, scenes, workers, None):
            return found[-1]

    return starting


@pytest.mark.parametrize(
    ("needed", "scenes", "workers", "expected"),
    [
        (3e9, 40, "auto", 2),  # 8 GB, less what a worker holds back
        (1e9, 40, "auto", 8),
        (1e6, 40, "auto", 16),  # the CPUs
        (1e6, 3, "auto", 3),
        (99e9, 40, "auto", 1),
        (1e9, 40, 5, 5),
        (1e9, 3, 5, 3),
        (None, 3, 2, 2),
    ],
)
def test_no_more_workers_are_started_than_memory_and_scenes_allow(
    started, needed, scenes, workers, expected
):
    assert started(needed, scenes, workers) == expected


def test_more_workers_than_memory_allows_are_refused(started):
    with pytest.raises(NstError, match=r"is 5; each takes 3.0 GB, and memory is enough for 2\."):
        started(3e9, 40, 5)


REFUSED = {
    "no number": (["--workers", "many"], "argument --workers: 'many' is no number, nor auto"),
    "none": (["--workers", "0"], "--workers is 0; give a number from 1 to 256."),
    "both": (["--workers", "--scheduler", "tcp://127.0.0.1:1"], "not both"),
    "nobody": (["--scheduler", "tcp://127.0.0.1:1"], "no scheduler of Dask answers at"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_cluster_is_one_line_and_nothing_is_written(
    paint, capsys, monkeypatch, what, first
):
    more, message = REFUSED[what]
    monkeypatch.setattr(connection, "CONNECTING", 0.3)
    before = set(Path().iterdir())
    words = ["video", "in.mp4", "--style", str(first), "-o", "out.mp4", "--model", "vgg16-slim"]
    try:
        status = cli.main([*words, *more])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err
    assert set(Path().iterdir()) == before


@pytest.mark.usefixtures("borrowed")
def test_the_command_says_how_many_paint(paint, capsys, first, files):
    words = ["video", "in.mp4", "--style", first, "-o", "out.mkv", "--model", files / "tiny.onnx"]
    words += ["--size", 64, "--steps", 2, "--scales", 1, "--frame-steps", 1, "--device", "cpu"]
    assert cli.main([*map(str, words), "--workers"]) == 0
    out, err = capsys.readouterr()
    assert "2 workers, a scene each at a time" in out.splitlines()
    assert out.splitlines()[-1] == "out.mkv"
    assert "frame 9/9, scene" in err
