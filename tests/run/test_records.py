"""History, log file, frames and progress, from made-up steps."""

import csv

import numpy as np
import pytest

from nst.devices import CPU
from nst.pictures import images
from nst.run.records import Records
from nst.run.scales import Scale
from nst.settings import Settings

SCALES = [Scale(20, 16, 3), Scale(40, 32, 2)]


@pytest.fixture
def settings(tmp_path):
    def make(**changes):
        for name in ("content.png", "style.png"):
            (tmp_path / name).touch()
        changes = {"output": tmp_path / "out.png", **changes}
        return Settings(tmp_path / "content.png", tmp_path / "style.png", **changes)

    return make


def run(records):
    """Add every step of SCALES, with losses of its own; return what was reported."""
    reports = []
    for scale in SCALES:
        for _ in range(scale.steps):
            step = len(reports) + 1
            losses = {"total": 1.5 / step, "style relu1_1": 0.1 / step}
            image = np.full((3, scale.height, scale.width), step / 10, np.float32)
            reports.append(records.add(scale, losses, image))
    return reports


def test_history_has_an_entry_for_each_step(settings):
    with Records(settings(), SCALES, CPU) as records:
        run(records)
    assert [entry["step"] for entry in records.history] == [1, 2, 3, 4, 5]
    assert [entry["scale"] for entry in records.history] == [1, 1, 1, 2, 2]
    assert [entry["size"] for entry in records.history] == [20, 20, 20, 40, 40]
    assert [entry["total"] for entry in records.history] == [1.5 / n for n in range(1, 6)]
    seconds = [entry["seconds"] for entry in records.history]
    assert seconds == sorted(seconds)


def test_progress_counts_work_by_pixels(settings):
    with Records(settings(), SCALES, CPU) as records:
        reports = run(records)
    all_work = 3 * 20 * 16 + 2 * 40 * 32
    expected = [320, 640, 960, 960 + 1280, 960 + 2560]
    assert [report.done for report in reports] == pytest.approx([w / all_work for w in expected])
    assert reports[-1].done == 1
    assert [report.step for report in reports] == [1, 2, 3, 4, 5]
    assert {report.steps for report in reports} == {5}
    assert reports[3].scale == SCALES[1]
    assert reports[3].losses == {"total": 1.5 / 4, "style relu1_1": 0.1 / 4}
    assert (reports[3].image == np.float32(0.4)).all()


def test_log_is_the_history_as_csv(settings, tmp_path):
    log = tmp_path / "losses.csv"
    with Records(settings(log=log), SCALES, CPU) as records:
        run(records)
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "scale", "size", "seconds", "total", "style relu1_1"]
    assert [{name: float(v) for name, v in row.items()} for row in rows] == records.history


def test_every_line_of_the_log_is_there_at_once(settings, tmp_path):
    log = tmp_path / "losses.csv"
    with Records(settings(log=log), SCALES, CPU) as records:
        for lines in range(2, 5):
            records.add(SCALES[0], {"total": 1.0}, np.zeros((3, 20, 16), np.float32))
            assert len(log.read_text().splitlines()) == lines


def test_the_log_is_closed_when_the_run_fails(settings, tmp_path):
    log = tmp_path / "losses.csv"
    records = Records(settings(log=log), SCALES, CPU)
    with pytest.raises(ZeroDivisionError), records:
        records.add(SCALES[0], {"total": 1 / 0}, np.zeros((3, 20, 16), np.float32))
    assert records._log.closed


def test_frames_are_saved_every_so_many_steps(settings, tmp_path):
    with Records(settings(save_every=2), SCALES, CPU) as records:
        run(records)
    frames = sorted(path.name for path in tmp_path.glob("out-*.png"))
    assert frames == ["out-00002.png", "out-00004.png"]
    small, large = (images.load(tmp_path / name) for name in frames)
    assert small.shape == (3, 20, 16)
    assert large.shape == (3, 40, 32)
    np.testing.assert_allclose(small, 0.2, atol=1 / 255)
    np.testing.assert_allclose(large, 0.4, atol=1 / 255)


def test_without_being_asked_nothing_is_written(settings, tmp_path):
    with Records(settings(), SCALES, CPU) as records:
        run(records)
    assert {path.name for path in tmp_path.iterdir()} == {"content.png", "style.png"}


def test_a_run_that_goes_on_has_its_history_behind_it(settings, tmp_path):
    """The log of the first part may be longer than its history, or gone: it is written anew."""
    log = tmp_path / "losses.csv"
    with Records(settings(log=log), SCALES, CPU) as records:
        run(records)
    behind = [dict(entry) for entry in records.history[:4]]
    behind[-1]["seconds"] = 500.0
    with Records(settings(log=log), SCALES, CPU, behind) as records:
        assert records.history is behind
        image = np.zeros((3, 40, 32), np.float32)
        report = records.add(SCALES[1], {"total": 0.25, "style relu1_1": 0.5}, image)
    assert report.step == 5
    assert report.done == 1
    assert report.seconds > 500
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{name: float(v) for name, v in row.items()} for row in rows] == behind
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5"]
