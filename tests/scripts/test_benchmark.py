"""scripts/benchmark.py on pictures of a few pixels: what it measures, and what it prints."""

import gc
import io
import json
import sys
from contextlib import redirect_stdout
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from small_networks import NARROW_VGG16

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import benchmark
from benchmarking import children, contenders, convergence, machine, tables, timing, work

needs_pytorch = pytest.mark.skipif(
    not contenders.has_pytorch(), reason="needs PyTorch: pip install torch"
)


@pytest.fixture
def small(monkeypatch):
    """The same work on a narrow network."""
    make = work.make
    monkeypatch.setattr(work, "make", lambda size: make(size, NARROW_VGG16))
    return work.make


@pytest.fixture
def without_pytorch(monkeypatch):
    monkeypatch.setattr(contenders, "find_spec", lambda name: None)


class Sleeper:
    """A contender that takes as many of its own seconds as it is told to."""

    def __init__(self, name, seconds, turns, monkeypatch):
        self.name, self.seconds, self.turns = name, list(seconds), turns
        self.losses = [100.0, 31.0, 29.0, 4.0, 3.0]

    def step(self, clock):
        self.turns.append(self.name)
        clock.seconds["forward"] = self.seconds.pop(0)
        clock.seconds["optimizer"] = 0.5
        return self.losses.pop(0)

    def synchronize(self):
        self.turns.append("wait")


# ---- The work ------------------------------------------------------------------------


def test_the_arithmetic_is_that_of_vgg16_to_conv5_1():
    """150.7 GFLOP forward at 512 pixels, counted by hand in the literature, and the same back."""
    arrays = {
        name: np.broadcast_to(np.float32(0), shape)
        for name, shape in work.VGG16.parameters.items()
    }
    image = np.broadcast_to(np.float32(0), (3, 512, 512))
    task = work.Work(work.VGG16, arrays, image, image, image)
    assert task.gflop == pytest.approx(2 * 150.7, rel=1e-3)


def test_the_work_is_the_same_on_every_call_and_the_pictures_differ(small):
    one, again = small(48), small(48)
    np.testing.assert_array_equal(one.image, again.image)
    np.testing.assert_array_equal(one.arrays["conv5_1.weight"], again.arrays["conv5_1.weight"])
    assert one.size == 48
    for picture in (one.content, one.style, one.image):
        assert picture.shape == (3, 48, 48)
        assert 0 <= picture.min() < picture.max() <= 1
    assert not np.array_equal(one.content, one.style)
    assert not np.array_equal(one.content, one.image)


def test_weights_of_he_s_scale_keep_the_signal():
    from nst.vgg import Vgg

    architecture = work.Architecture(((48, 48), (48, 48), (48,) * 3, (48,) * 3, (48,) * 3))
    task = work.make(64, architecture)
    vgg = Vgg.from_arrays(task.arrays, ["conv1_1", "conv5_1"])
    features = vgg.forward(task.image)
    ratio = np.std(features["conv5_1"]) / np.std(features["conv1_1"])
    assert 0.2 < ratio < 5


# ---- Turns ---------------------------------------------------------------------------


def test_contenders_alternate_and_the_median_counts_after_the_warm_up(monkeypatch):
    turns = []
    one = Sleeper("one", [50, 1, 9, 2], turns, monkeypatch)
    two = Sleeper("two", [70, 3, 4, 80], turns, monkeypatch)
    times = timing.take_turns({"one": one, "two": two}, repeats=3, warm_up=1)
    assert turns == ["one", "two"] * 4
    assert times["one"]["forward"] == 2
    assert times["two"] == {
        "forward": 4, "losses": 0, "backward": 0, "optimizer": 0.5, "total": 4.5,
    }  # fmt: skip


def test_a_lap_waits_for_the_device_and_counts_from_the_last(monkeypatch):
    now = iter([10.0, 13.0, 14.0, 18.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(now))
    waits = []
    clock = timing.Clock(lambda: waits.append("wait"))
    for phase in ("forward", "losses", "forward"):
        clock.lap(phase)
    assert clock.seconds == {"forward": 7, "losses": 1, "backward": 0, "optimizer": 0}
    assert len(waits) == 3


def test_evaluations_count_until_the_loss_is_a_share_of_the_first(monkeypatch):
    contender = Sleeper("one", range(9), [], monkeypatch)
    reached = convergence.descend(contender, steps=5)
    assert [(r.share, r.evaluations) for r in reached] == [(0.3, 3), (0.1, 4), (0.05, 4)]
    assert convergence.descend(Sleeper("one", range(9), [], monkeypatch), steps=2) == []


def test_our_phases_are_all_timed_and_the_image_moves(small, monkeypatch):
    monkeypatch.setattr(timing.time, "perf_counter", count().__next__)  # no two readings agree
    ours = contenders.make("nst", small(32), "cpu")
    before = ours.image.copy()
    clock = timing.Clock(ours.synchronize)
    losses = [ours.step(clock) for _ in range(8)]
    assert all(clock.seconds[phase] > 0 for phase in timing.PHASES)
    assert not np.array_equal(ours.image, before)
    assert min(losses) < losses[0] / 2


# ---- What is printed -----------------------------------------------------------------


def test_ratios_are_to_eager_and_to_pytorch_s_best(small):
    names = {"nst": 2.0, "eager": 5.0, "channels_last": 4.0}
    times = {n: dict.fromkeys(timing.PHASES, t / 4) | {"total": t} for n, t in names.items()}
    header, _, ours, eager, _ = tables.of_times(small(32), times, rate=1.0).splitlines()
    columns = [cell.strip() for cell in header.strip("|").split("|")]
    cells = dict(zip(columns, (c.strip() for c in ours.strip("|").split("|")), strict=True))
    assert cells["/ eager"] == "0.40"
    assert cells["/ best"] == "0.50"
    assert cells["forward"] == "0.500"
    assert "| 1.00 " in eager


@pytest.mark.usefixtures("without_pytorch")
def test_without_pytorch_there_are_our_columns(small, capsys):
    assert benchmark.main(["--parts", "times", "--sizes", "32", "--repeats", "1"]) == 0
    printed = capsys.readouterr().out
    assert "PyTorch is not installed" in printed
    assert "| nst" in printed
    assert "eager  " not in printed
    assert "gradient against" not in printed


@needs_pytorch
def test_with_pytorch_the_gradients_agree(small, capsys):
    variants = ["--variants", "eager", "channels_last"]
    chosen = ["--parts", "times", "--sizes", "32", "48", "--repeats", "1"]
    assert benchmark.main([*chosen, *variants]) == 0
    printed = capsys.readouterr().out
    assert printed.count("| channels_last") == 2
    assert printed.count("gradient against PyTorch's") == 2


@needs_pytorch
def test_gradients_that_differ_are_told_by_the_exit_status(small, capsys, monkeypatch):
    from benchmarking.ours import Ours

    gradient = Ours.gradient
    monkeypatch.setattr(Ours, "gradient", lambda self: 1.001 * gradient(self))
    chosen = ["--parts", "times", "--sizes", "32", "--repeats", "1", "--variants", "eager"]
    assert benchmark.main(chosen) == 1
    assert "not PyTorch's to 0.0001" in capsys.readouterr().err


def test_the_difference_of_gradients_is_relative():
    theirs = np.array([3.0, -4.0, 0.0, 5.0])
    errors = benchmark.gradient_errors(
        {"nst": theirs + np.array([0.1, -0.1, 0.1, 0.0]), "eager": theirs, "other": theirs}
    )
    root_mean_square = np.sqrt((9 + 16 + 25) / 4)
    assert errors["nst"] == pytest.approx((0.1 / root_mean_square, 0.03**0.5 / 50**0.5))
    assert errors["other"] == (0, 0)
    assert benchmark.gradient_errors({"nst": theirs}) == {}


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("memory", "nst / this"),
        ("flatness", "page faults"),
        ("pixels", "s / megapixel"),
        ("convergence", "evaluations"),
    ],
)
@pytest.mark.usefixtures("without_pytorch")
def test_each_part_prints_its_table(small, capsys, monkeypatch, part, told):
    here = children.watch_memory  # in this process: another would measure the whole network
    monkeypatch.setattr(children, "memory_of", lambda *choice: here(*choice))
    sizes = ["--sizes", "32", "--pixel-sizes", "16", "32", "--steps", "6", "--repeats", "1"]
    assert benchmark.main(["--parts", part, *sizes]) == 0
    assert told in capsys.readouterr().out


def test_memory_is_watched_in_a_process_of_its_own(monkeypatch):
    seen = children.memory_of("nst", 16, 2, "cpu")
    assert len(seen["resident"]) == len(seen["faults"]) == 2
    # Linux counts the two apart, and threads add to them in batches: never compared exactly
    assert seen["peak"] > 0.9 * max(seen["resident"]) > 50  # MB: the weights alone


def test_start_up_runs_its_commands():
    commands = ["nst --help", "nst demo, 256 px, 0 steps", "import nst", "python itself"]
    assert list(children.start_up(repeats=1)) == commands


def test_start_up_tells_the_best_of_its_tries(monkeypatch):
    now = iter([0.0, 3.0, 10.0, 12.0, 20.0, 25.0])
    monkeypatch.setattr(children.time, "perf_counter", lambda: next(now))
    monkeypatch.setattr(children.subprocess, "run", lambda *_, **options: None)
    assert children._best_of(3, ["-c", "pass"]) == 2


def test_on_a_gpu_each_contender_has_a_process_and_memory_is_the_gpu_s(
    gpu, small, monkeypatch, without_pytorch, capsys
):
    """On the emulated one, and in this process, where that is."""
    started = []

    def as_in_a_new_process():
        gc.collect()  # what a run before held, in cycles, would hide this one's memory
        gpu.pool.free_all_blocks()

    def here(*words):
        started.append(words[:2])
        printed = io.StringIO()
        with redirect_stdout(printed):
            as_in_a_new_process()
            what, name, size, device, *options = map(str, words)
            sizes = ["--sizes", size, "--device", device]
            assert benchmark.main([what, name, *sizes, *options]) == 0
        return json.loads(printed.getvalue().splitlines()[-1])

    monkeypatch.setattr(children, "_alone", here)
    monkeypatch.setattr(machine, "SHAPES", ((4, 8),))
    chosen = ["--device", "cuda", "--sizes", "32", "--repeats", "1", "--warm-up", "0"]
    assert benchmark.main([*chosen, "--parts", "times", "memory"]) == 0
    printed = capsys.readouterr().out
    assert started == [(p, n) for p in ("--time", "--watch-memory") for n in ("nst", "nst tf32")]
    assert "| nst tf32 " in printed
    as_in_a_new_process()
    seen = children.watch_memory("nst", 32, 2, "cuda")
    assert 0 < seen["peak"] < gpu.LARGEST / 1e6 / 4  # and not what this process holds
    assert max(seen["resident"]) <= seen["peak"]


def test_what_an_import_brings_along_is_told(monkeypatch):
    monkeypatch.setattr(children, "UNWANTED", ("importlib", "torch"))
    assert children.imported() == ["importlib"]


def test_the_best_convolution_has_a_rate(monkeypatch):
    monkeypatch.setattr(machine, "SHAPES", ((4, 8), (8, 4)))
    monkeypatch.setattr(machine, "_rate", lambda *shape: shape[0] + shape[1] / 100)
    assert machine.convolution_rate() == 8.04
    monkeypatch.undo()
    assert machine._rate(4, 8, "cpu", 1) > 0


def test_the_machine_is_described():
    assert "ONNX Runtime" in machine.describe()
