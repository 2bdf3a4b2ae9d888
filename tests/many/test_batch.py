"""Many pictures: what is there is skipped, what fails is told, and the rest goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import nst
from nst import cli, signals
from nst.errors import NstError
from nst.many import batch as module
from nst.many.journal import Journal
from nst.pictures import images
from nst.run import marks, targets
from nst.run.inputs import prepare
from nst.run.shared import Shared
from nst.settings import Painting, Settings
from nst.stylize import complete
from nst.vgg import runtime


@pytest.fixture
def words(quick):
    """The same as words of the command line."""
    return [word for name, value in quick.items() for word in (f"--{name}", str(value))]


@pytest.fixture
def place(tmp_path, files, other, monkeypatch):
    """A folder with two photographs in ``in``, one of them in a folder there, and two styles."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    photograph = images.load(files / "photograph.png")
    images.save(tmp_path / "in" / "a.png", photograph)
    images.save(tmp_path / "in" / "sub" / "b.jpg", photograph[:, ::-1])
    images.save(tmp_path / "one.png", images.load(files / "painting.png"))
    images.save(tmp_path / "two.png", images.load(other))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def journal(folder="out"):
    lines = (Path(folder) / "batch.jsonl").read_text().splitlines()
    return {one["output"]: one for one in map(json.loads, lines)}


def statuses(records):
    return [record.status for record in records]


def paint(quick, photographs=("in",), styles=("one.png", "two.png"), folder="out", **more):
    return nst.batch(photographs, styles, folder, **quick | more)


def test_each_photograph_is_painted_in_each_style_as_stylize_paints_it(place, quick):
    records = paint(quick, recursive=True)
    assert statuses(records) == ["painted"] * 4
    names = ["a-one.png", "a-two.png", "sub/b-one.png", "sub/b-two.png"]
    assert [record.output for record in records] == [f"out/{name}" for name in names]
    assert list(journal()) == names
    alone = nst.stylize(Settings(place / "in/sub/b.jpg", "two.png", "alone.png", **quick))
    np.testing.assert_array_equal(images.load("out/sub/b-two.png"), images.load("alone.png"))
    told = journal()["sub/b-two.png"]
    assert told["content"] == "in/sub/b.jpg"
    assert told["style"] == ["two.png"]
    assert told["seconds"] > 0
    assert told["error"] is None
    assert told["losses"]["total"] == pytest.approx(alone.history[-1]["total"], rel=1e-12)


def test_without_recursive_the_folders_in_a_folder_are_left(place, quick):
    assert [r.output for r in paint(quick, styles=["one.png"])] == ["out/a-one.png"]


@pytest.mark.parametrize("color", ["style", "match"])
def test_one_network_is_opened_and_a_painting_measured_once_for_a_size(
    place, quick, color, monkeypatch
):
    opened, measured = [], []
    init, sums_at = runtime.Vgg.__init__, targets.sums_at

    def opening(self, *given):
        opened.append(given)
        init(self, *given)

    def measuring(inputs, image, *rest):
        measured.append(image.tobytes())
        return sums_at(inputs, image, *rest)

    monkeypatch.setattr(runtime.Vgg, "__init__", opening)
    monkeypatch.setattr(targets, "sums_at", measuring)
    paint(quick, recursive=True, color=color)
    assert len(opened) == 1
    assert len(measured) == len(set(measured))
    shown = len(measured)
    assert shown == (2 if color == "style" else 4)


@pytest.mark.filterwarnings("ignore:the mask .* another shape")
def test_with_masks_what_is_shared_is_what_it_would_be(place, quick, left):
    style = [Painting(Path("one.png"), mask=left), Painting(Path("one.png"))]
    records = paint(quick, styles=style)
    assert [Path(record.output).name for record in records] == ["a-one.png", "a-one-2.png"]
    for record, one in zip(records, style, strict=True):
        nst.stylize(Settings("in/a.png", one, "alone.png", **quick))
        np.testing.assert_array_equal(images.load(record.output), images.load("alone.png"))


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_what_is_painted_is_skipped_and_what_has_changed_is_not(place, quick, kind):
    assert statuses(paint(quick, kind=kind)) == ["painted"] * 2
    assert statuses(paint(quick, kind=kind)) == ["skipped"] * 2
    assert journal()[f"a-one.{kind}"]["status"] == "painted"
    assert statuses(paint(quick, kind=kind, style_weight=2.0)) == ["painted"] * 2
    assert statuses(paint(quick, kind=kind)) == ["painted"] * 2
    images.save("two.png", images.load("two.png")[:, ::-1])
    assert statuses(paint(quick, kind=kind)) == ["skipped", "painted"]
    images.save("in/a.png", images.load("in/a.png")[:, ::-1])
    assert statuses(paint(quick, kind=kind)) == ["painted"] * 2
    os.remove("out/batch.jsonl")
    assert statuses(paint(quick, kind=kind)) == ["skipped"] * 2
    assert journal()[f"a-one.{kind}"]["status"] == "skipped"


def test_a_style_at_other_taps_is_another_picture(place, quick):
    def at(tap):
        return paint(quick, styles=[Painting(Path("one.png"), taps=(tap,))])

    assert statuses(at("relu1_1")) == ["painted"]
    assert statuses(at("relu2_1")) == ["painted"]
    assert statuses(at("relu2_1")) == ["skipped"]


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_batch_that_is_stopped_saves_its_picture_and_goes_on(place, quick, kind):
    def stop(inputs, plan, state, on_progress):
        def after_step(progress):
            on_progress(progress)
            if inputs.settings.output.stem == "a-two":
                raise KeyboardInterrupt

        return complete(inputs, plan, state, after_step)

    with pytest.raises(KeyboardInterrupt) as stopped:
        paint(quick, recursive=True, kind=kind, paint=stop)
    assert "3 of 4 are left: the same command goes on." in stopped.value.__notes__
    assert images.load(f"out/a-two.{kind}").shape == (3, 48, 40)
    assert journal()[f"a-two.{kind}"]["status"] == "stopped"
    assert statuses(paint(quick, recursive=True, kind=kind)) == ["skipped", *["painted"] * 3]
    assert {one["status"] for one in journal().values()} == {"painted"}
    assert len(Path("out/batch.jsonl").read_text().splitlines()) == 4


def test_a_stopped_picture_with_a_checkpoint_goes_on_where_it_was(place, quick, monkeypatch):
    def stop(inputs, plan, state, on_progress):
        def after_step(progress):
            on_progress(progress)
            if progress.step == 3:
                raise KeyboardInterrupt

        return complete(inputs, plan, state, after_step)

    longer = quick | {"steps": 6}
    monkeypatch.setattr("nst.run.plan.LONG_RUN", 0.0)
    with pytest.raises(KeyboardInterrupt):
        paint(longer, styles=["one.png"], paint=stop)
    assert Path("out/a-one-checkpoint").is_dir()
    seen = []
    records = paint(longer, styles=["one.png"], on_progress=seen.append)
    assert statuses(records) == ["painted"]
    assert [standing.progress.step for standing in seen] == [4, 5, 6]
    assert seen[0].left == pytest.approx(seen[0].progress.seconds / 4 * 2)
    assert not Path("out/a-one-checkpoint").exists()
    nst.stylize(Settings("in/a.png", "one.png", "alone.png", **longer))
    np.testing.assert_array_equal(images.load("out/a-one.png"), images.load("alone.png"))


def test_a_failure_is_one_line_and_the_rest_goes_on(place, words, capsys):
    Path("in/broken.png").write_bytes(b"no picture")
    Path("in/truncated.jpg").write_bytes(Path("in/sub/b.jpg").read_bytes()[:200])
    run = ["batch", "in", "--recursive", "--style", "one.png", "-o", "out", *words]
    assert cli.main(run) == 1
    out, err = capsys.readouterr()
    told = [line for line in err.splitlines() if line.startswith("nst: ")]
    assert [line.split(":")[1] for line in told] == [
        " in/broken.png in one.png",
        " in/truncated.jpg in one.png",
    ]
    assert out.splitlines() == [
        "out/a-one.png",
        "out/sub/b-one.png",
        "2 painted, 0 skipped, 2 failed; see out/batch.jsonl",
    ]
    failed = journal()["broken-one.png"]
    assert failed["status"] == "failed"
    assert failed["error"].startswith("cannot read in/broken.png: ")
    assert failed["losses"] is None
    os.remove("in/broken.png")
    os.remove("in/truncated.jpg")
    assert cli.main(run) == 0


def test_what_became_of_a_picture_is_said_though_the_disk_is_full(
    place, words, monkeypatch, capsys
):
    """It was saved elsewhere: who is not told where has lost it."""

    def full(*_):
        raise NstError("the disk is full; free some space")

    monkeypatch.setattr(Journal, "add", full)
    monkeypatch.setattr(images, "save", full)
    run = ["batch", "in", "--recursive", "--style", "one.png", "-o", "out", *words]
    assert cli.main(run) == 2
    first, last = [line for line in capsys.readouterr().err.splitlines() if "nst: " in line]
    assert first.startswith("nst: in/a.png in one.png: the disk is full; free some space")
    assert last == "nst: the disk is full; free some space"


def test_memory_that_runs_out_and_a_bug_end_one_picture(place, quick):
    failures = {"a-one.png": MemoryError(), "a-two.png": TypeError("a bug")}

    def failing(inputs, plan, state, on_progress):
        if failure := failures.get(inputs.settings.output.name):
            raise failure
        return complete(inputs, plan, state, on_progress)

    with pytest.raises(TypeError, match="a bug"):
        paint(quick, recursive=True, paint=failing)
    told = journal()
    assert [one["status"] for one in told.values()] == ["failed"] * 2 + ["painted"] * 2
    assert told["a-one.png"]["error"] == "memory ran out"
    assert told["a-two.png"]["error"] == "a bug of nst: TypeError('a bug')"


def test_pictures_of_others_are_not_overwritten(place, quick):
    Path("out").mkdir()
    images.save("out/a-one.png", images.load("one.png"))
    before = Path("out/a-one.png").read_bytes()
    records = paint(quick)
    assert statuses(records) == ["failed", "painted"]
    assert "nst did not paint it" in records[0].error
    assert Path("out/a-one.png").read_bytes() == before


@pytest.mark.parametrize("folder", ["in", "in/results"])
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_its_own_results_are_not_painted(place, quick, kind, folder):
    more = {"folder": folder, "styles": ["one.png"], "kind": kind, "recursive": True}
    for status in ("painted", "skipped"):
        assert statuses(paint(quick, save_every=1, plot=True, **more)) == [status] * 2
    with pytest.raises(NstError, match="nothing to paint"):
        paint(quick, [f"{folder}/a-one.{kind}"], folder=folder)


def test_json_is_one_object_a_picture_and_nothing_else(place, words, capsys):
    Path("in/broken.png").write_bytes(b"no picture")
    run = ["batch", "in", "--style", "one.png", "-o", "out", "--json", *words]
    for first in ("painted", "skipped"):
        assert cli.main(run) == 1
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert {one["output"]: one["status"] for one in told} == {
            "out/a-one.png": first,
            "out/broken-one.png": "failed",
        }


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([], "there is no photograph"),
        (["in"], "there is no style"),
        (["nowhere.jpg", "--style", "one.png"], "content image not found: nowhere.jpg"),
        (["*.webp", "--style", "one.png"], "no file is called *.webp"),
        (["empty", "--style", "one.png"], "there is no picture in the folder empty"),
        (["-", "--style", "one.png"], "not standard input"),
        (["in", "--style", "nowhere.jpg"], "style image not found: nowhere.jpg"),
        (["in", "--style", "one.png", "--size", "8"], "--size is 8"),
        (["in", "--style", "one.png", "--model", "vgg17"], "unknown model 'vgg17'"),
        (["in", "--style", "one.png", "--log", "l.csv"], "unrecognized arguments: --log"),
        (["in", "--style", "one.png", "-o", "one.png"], "cannot make the folder one.png"),
        (["--pairs", "list.csv", "in"], "--pairs names photographs and styles"),
        (["--pairs", "nowhere.csv"], "cannot read nowhere.csv"),
        (["in", "--style", "one.png", "-o", "in"], "line 1 of in/batch.jsonl"),
    ],
)
def test_what_no_picture_could_be_painted_with_is_one_line_and_status_2(
    place, words, capsys, more, expected
):
    (place / "empty").mkdir()
    (place / "in/batch.jsonl").write_text("not ours\n")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    try:
        status = cli.main(["batch", *words, "-o", "out", *more])
    except SystemExit as exit:
        status = exit.code
    assert status == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert expected in err
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def check_unlisted(records):
    assert statuses(records) == ["failed", "painted"]
    assert records[0].error.startswith("cannot look into in/sub: permission denied")
    assert records[0].content == "in/sub"


def test_a_folder_that_the_system_does_not_list(place, quick, monkeypatch):
    """Which root may read all the same."""
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    check_unlisted(paint(quick, styles=["one.png"], recursive=True))
    with pytest.raises(NstError, match="cannot look into in/sub: permission denied"):
        paint(quick, ["in/sub"])


def test_the_time_left_is_told_of_pictures_that_are_to_be_painted(place, quick):
    paint(quick, styles=["one.png"], recursive=True)
    seen = []
    paint(quick, recursive=True, on_progress=seen.append)
    assert [(s.picture, s.pictures, s.progress.step) for s in seen] == [
        (1, 2, 1),
        (1, 2, 2),
        (2, 2, 1),
        (2, 2, 2),
    ]
    assert seen[-1].left == 0
    assert seen[0].left > 0
    assert [s.done for s in seen] == [0.25, 0.5, 0.75, 1]
    assert seen[0].title == "in/a.png in two"


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", signals.NUMBERS, ids=lambda n: signal.Signals(n).name)
def test_a_signal_between_two_pictures_ends_it_with_a_line(
    place, words, monkeypatch, capsys, number
):
    """While a picture is read and planned none is painted, and no step comes that would hear."""
    begun = module.begun

    def second_is_read(settings, *rest):
        if Path("out/a-one.png").exists():
            signal.raise_signal(number)
        return begun(settings, *rest)

    monkeypatch.setattr("nst.many.batch.begun", second_is_read)
    command = ["batch", "in", "--recursive", "--style", "one.png", "-o", "out", *words]
    assert cli.main(command) == 128 + number
    said = capsys.readouterr().err.strip()
    assert said.endswith("nst: interrupted. 1 of 2 are left: the same command goes on.")


@pytest.mark.usefixtures("heard")
def test_a_picture_is_written_down_before_it_is_told(place, words, monkeypatch, capsys):
    def told(self):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("nst.terminal.BatchBar.clear", told)
    command = ["batch", "in", "--recursive", "--style", "one.png", "-o", "out", *words]
    assert cli.main(command) == 130
    said = capsys.readouterr().err.strip()
    assert said.endswith("nst: interrupted. 1 of 2 are left: the same command goes on.")
    assert [line["status"] for line in journal().values()] == ["painted"]


@pytest.mark.usefixtures("heard")
def test_ctrl_c_saves_the_picture_leaves_the_rest_and_the_next_start_goes_on(place, words):
    run = [sys.executable, "-m", "nst", "batch", "in", "--recursive", "--style", "one.png"]
    run += ["-o", "out", *words]
    long = [*run, "--steps", "100000", "--save-every", "2"]
    process = subprocess.Popen(long, stderr=subprocess.PIPE, text=True)
    while not Path("out/a-one-00002.png").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted. The picture after step " in complaint
    assert complaint.rstrip().endswith("2 of 2 are left: the same command goes on.")
    assert images.load("out/a-one.png").shape == (3, 48, 40)
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert "2 painted, 0 skipped, 0 failed" in done.stdout


def test_a_picture_says_whether_it_is_finished(place, quick):
    settings = Settings("in/a.png", "one.png", "x.jpg", **quick)
    nst.stylize(settings)
    assert marks.is_ours(Path("x.jpg"))
    assert not marks.is_ours(Path("in/sub/b.jpg"))
    mark = prepare(settings, asked=True).mark
    assert marks.is_finished(Path("x.jpg"), mark)
    assert not marks.is_finished(Path("x.jpg"), mark[::-1])


def test_what_is_kept_of_paintings_has_an_end():
    shared = Shared()
    for number in range(1000):
        shared.keep(number, {})
    assert shared.sums_of(999) == {}
    assert shared.sums_of(0) is None
    assert len(shared._sums) < 100
