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
from benchmarking import (
    children,
    contenders,
    convergence,
    felt,
    machine,
    peers,
    tables,
    timing,
    vgg16_as_vgg19,
    work,
)

from nst import Settings
from nst.pictures import images

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
        ("lesson", "the lesson at 64 px"),
    ],
)
@pytest.mark.usefixtures("without_pytorch")
def test_each_part_prints_its_table(small, capsys, monkeypatch, part, told):
    here = children.watch_memory  # in this process: another would measure the whole network
    monkeypatch.setattr(children, "memory_of", lambda *choice: here(*choice))
    sizes = ["--sizes", "32", "--pixel-sizes", "16", "32", "--steps", "6", "--repeats", "1"]
    sizes += ["--lesson-sizes", "64"]
    assert benchmark.main(["--parts", part, *sizes]) == 0
    assert told in capsys.readouterr().out


def test_memory_is_watched_in_a_process_of_its_own(monkeypatch):
    seen = children.memory_of("nst", 16, 2, "cpu")
    assert len(seen["resident"]) == len(seen["faults"]) == 2
    # Linux counts the two apart, and threads add to them in batches: never compared exactly
    assert seen["peak"] > 0.9 * max(seen["resident"]) > 50  # MB: the weights alone


def test_start_up_runs_its_commands(monkeypatch):
    best, until = children._best_of, children._until_there
    small = ["--size", "64", "--steps", "1"]
    monkeypatch.setattr(
        children, "_best_of", lambda n, c: best(n, [*c, *small] if "draft" in c else c)
    )
    monkeypatch.setattr(children, "_until_there", lambda path, c: until(path, [*c, *small]))
    assert list(children.start_up(repeats=1)) == [
        "nst --help",
        "nst demo, 256 px, 0 steps",
        "nst demo --effort draft",
        "import nst",
        "python itself",
        "nst demo --preview: its first picture",
    ]


def test_the_first_picture_is_waited_for_and_no_longer(tmp_path):
    picture = tmp_path / "out.png"
    code = f"import pathlib, time; pathlib.Path({str(picture)!r}).touch(); time.sleep(60)"
    picture.write_bytes(b"of a run before")
    assert children._until_there(picture, ["-c", code]) > 0
    assert picture.read_bytes() == b""
    picture.unlink()
    with pytest.raises(children.subprocess.CalledProcessError):
        children._until_there(picture, ["-c", "raise SystemExit(2)"])


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
    assert 0 < seen["peak"] <= gpu.pool.most / 1e6 < 8  # and not what this process holds
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


# ---- What a person feels -------------------------------------------------------------


@pytest.fixture
def tiny(files):
    """Settings of a picture that is painted at once."""
    style = files / "painting.png"
    how = {"size": 48, "model": str(files / "tiny.onnx"), "device": "cpu"}
    return Settings(files / "photograph.png", style, None, **how)


def test_frames_of_a_program_are_in_order_and_the_last_is_the_picture(tiny, tmp_path):
    frames = felt.paint(felt.ROOT, tiny, tmp_path / "painted")
    seconds = [frame.seconds for frame in frames]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    assert frames[-1].path.name == "out.png"
    assert len(frames) > 5
    found = felt.losses(tiny, frames)
    assert found[0] > found[-1] > 0
    assert felt.losses(tiny, frames[-1:]) == found[-1:]
    told = json.loads(images.read_metadata(frames[-1].path)["nst settings"])
    assert told["content_taps"] == tiny.objective.content  # of a program with others, too
    assert told["style_taps"] == tiny.objective.style


def test_a_quality_is_reached_with_the_first_frame_that_has_it():
    frames = [felt.Frame(seconds, Path(f"{seconds}.png")) for seconds in (1, 2, 3, 4)]
    assert felt.reached(frames, [3.0, 1.15, 1.05, 1.2], 1.0) == [2, 3, None]


def test_a_blind_sheet_has_each_pair_once_and_its_key_beside(tmp_path):
    """Nine black pictures of the program before, and nine white ones of today's."""
    pairs = []
    for number in range(9):
        size = 16 + number, 20 + 2 * number
        pair = tmp_path / f"before-{number}.png", tmp_path / f"now-{number}.png"
        for path, grey in zip(pair, (0, 1), strict=True):
            images.save(path, np.full((3, *size), grey, np.float32))
        pairs.append(pair)
    felt.blind_sheet(pairs, ["before", "now"], tmp_path / "sheet.png", seed=3)
    sheet = images.load(tmp_path / "sheet.png")
    key = (tmp_path / "sheet.txt").read_text().splitlines()
    assert set(key) == {"before | now", "now | before"}
    row = 0
    for number, order in enumerate(key):
        left, right = sheet[0, row, 0], sheet[0, row, 20 + 2 * number]
        assert (left, right) == ((0, 1) if order.startswith("before") else (1, 0))
        row += 16 + number + 8


def test_a_commit_that_is_not_there_is_no_error(tmp_path, capsys):
    assert not felt.unpack("no-such-commit", tmp_path)
    assert benchmark.main(["--parts", "felt", "--against", "no-such-commit"]) == 0
    assert "nothing to compare with" in capsys.readouterr().out


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not felt.unpack(felt.BEFORE, tmp_path)


def test_the_table_has_a_row_for_each_program(tiny, tmp_path, monkeypatch, capsys):
    taken = {"before": (2.0, 4.0), "now": (1.0, 2.0), "pt": (3.0, 9.0)}
    monkeypatch.setattr(felt, "unpack", lambda *_: True)
    monkeypatch.setattr(machine, "convolution_rate", lambda: 100.0)

    def paint(package, settings, folder):
        assert (package == felt.ROOT) == folder.name.endswith("now")
        return saved(folder)

    def paint_peer(program, checkout, seconds, settings, folder):
        assert (program, checkout, seconds) == ("neural-style-pt", tmp_path, 7)
        return saved(folder)

    def saved(folder):
        name = folder.name.split("-")[-1]
        folder.mkdir(parents=True)
        images.save(folder / "out.png", np.zeros((3, 16, 20), np.float32))
        return [felt.Frame(seconds, folder / "out.png") for seconds in taken[name]]

    monkeypatch.setattr(felt, "paint", paint)
    monkeypatch.setattr(peers, "paint", paint_peer)
    monkeypatch.setattr(peers, "check", lambda *_: None)
    monkeypatch.setattr(felt, "losses", lambda _, frames: [1.15, 1.0][: len(frames)])
    words = ["--parts", "felt", "--felt-sizes", "64", "--styles", "glass"]
    words += ["--peers", f"neural-style-pt={tmp_path}", "--peer-seconds", "7"]
    assert benchmark.main([*words, "--sheet", str(tmp_path / "sheet.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[-3:]]
    assert cells == [
        ["glass, 64 px", "before", "2.0", "4.0", "4.0", "4.0", "1.00"],
        ["glass, 64 px", "now", "1.0", "2.0", "2.0", "2.0", "1.00"],
        ["glass, 64 px", "neural-style-pt", "3.0", "9.0", "9.0", "9.0", "1.00"],
    ]
    assert (tmp_path / "sheet.png").exists()


# ---- Other programs ------------------------------------------------------------------


@pytest.mark.parametrize("wanted", ["other=.", "neural-style-pt", "neural-style-pt=nowhere"])
def test_a_peer_that_is_not_there_is_one_line(wanted, capsys):
    with pytest.raises(SystemExit) as stopped:
        benchmark.main(["--parts", "felt", "--peers", wanted])
    assert stopped.value.code == 2
    assert f"found {wanted!r}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "found", "model", "said"),
    [
        ("other.py", True, "any", "it has no neural_style.py"),
        ("neural_style.py", False, "any", "needs torchvision"),
        ("neural_style.py", True, "vgg16-slim", "paints with VGG16 alone"),
    ],
)
def test_a_peer_that_cannot_paint_is_told_before_others_paint(
    script, found, model, said, tmp_path, monkeypatch, capsys
):
    (tmp_path / script).touch()
    monkeypatch.setattr(peers, "find_spec", lambda name: found or None)
    words = ["--parts", "felt", "--model", model, "--peers", f"neural-style-pt={tmp_path}"]
    with pytest.raises(SystemExit) as stopped:
        benchmark.main(words)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_program_before_is_not_asked_for_colours_that_it_does_not_know(tiny, tmp_path):
    """Its own file says "painted" too, but for no colours: see the commit that felt.BEFORE is."""
    asked = []
    for name, text in (
        ("old", '"""What is painted."""'),
        ("new", 'COLORS = ("style", "painted")'),
    ):
        pictures = tmp_path / name / "nst" / "pictures"
        pictures.mkdir(parents=True)
        (pictures / "colour.py").write_text(text)
        asked.append(felt.colours(tmp_path / name))
    assert asked == [[], ["--color", "painted"]]


def checkout_of(folder, script):
    """A checkout of neural-style-pt whose program is ``script``."""
    folder.mkdir()
    (folder / "neural_style.py").write_text(script)
    return folder


@pytest.fixture
def no_weights(monkeypatch):
    monkeypatch.setattr(peers, "write_weights", lambda *_: None)


def test_a_peer_is_asked_in_its_own_words_and_its_frames_are_in_order(tiny, tmp_path, no_weights):
    script = """
import sys, time
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert words["-image_size"] == "48" and words["-content_image"].endswith("photograph.png")
for name in ("out_10", "out_5", "out"):
    open(name + ".png", "w").write(name)
    time.sleep(0.05)
"""
    checkout = checkout_of(tmp_path / "it", script)
    frames = peers.of("neural-style-pt", checkout, 60)(tiny, tmp_path / "painted")
    assert [frame.path.name for frame in frames] == ["out_10.png", "out_5.png", "out.png"]
    assert 0 < frames[0].seconds < frames[1].seconds < frames[2].seconds < 60


def test_a_peer_that_takes_too_long_is_stopped_and_half_a_picture_is_no_frame(
    tiny, tmp_path, no_weights
):
    script = """
import time
for name in ("out_5", "out_10"):
    open(name + ".png", "w").write(name)
    time.sleep(0.05)
time.sleep(600)
"""
    frames = peers.paint(
        "neural-style-pt", checkout_of(tmp_path / "it", script), 3, tiny, tmp_path / "p"
    )
    assert [frame.path.name for frame in frames] == ["out_5.png"]


def test_a_peer_that_fails_says_why(tiny, tmp_path, no_weights):
    checkout = checkout_of(tmp_path / "it", "raise ImportError('no torchvision here')")
    with pytest.raises(ValueError, match="no torchvision here"):
        peers.paint("neural-style-pt", checkout, 60, tiny, tmp_path / "painted")


def test_weights_for_another_input_do_the_same_to_the_image():
    """Away from the rim; at every place where the means are the same."""
    rng = np.random.default_rng(5)
    arrays = {
        "mean": rng.uniform(0.3, 0.6, (1, 3, 1, 1)),
        "std": rng.uniform(0.2, 0.3, (1, 3, 1, 1)),
        "conv1_1.weight": rng.standard_normal((4, 3, 3, 3)),
        "conv1_1.bias": rng.standard_normal(4),
    }
    image = rng.random((3, 3, 3))
    made = peers.for_input(arrays, peers.CAFFE_MEAN, peers.CAFFE_STD)
    own = (image - arrays["mean"][0]) / arrays["std"][0]
    other = (image - peers.CAFFE_MEAN[:, None, None]) * 255
    expected = (arrays["conv1_1.weight"] * own).sum(axis=(1, 2, 3)) + arrays["conv1_1.bias"]
    found = (made["conv1_1.weight"] * other).sum(axis=(1, 2, 3)) + made["conv1_1.bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@needs_pytorch
@pytest.mark.parametrize("program", peers.COMMANDS)
def test_a_peer_sees_what_our_vgg16_sees(program, tmp_path, monkeypatch):
    import torch

    from nst.vgg import Vgg, weights

    caffe = program == "neural-style-pt"
    mean, std = (peers.CAFFE_MEAN, peers.CAFFE_STD) if caffe else peers.IMAGENET
    task = work.make(48)
    network = weights.from_arrays(task.arrays, mean=tuple(mean), std=(0.3, 0.4, 0.5))
    monkeypatch.setattr(weights, "load", lambda model: network)
    peers.write_weights("any", tmp_path / "vgg.pth", program)
    layers = [*vgg16_as_vgg19.layers(torch.nn)]
    if caffe:  # that program has a VGG16 of its own
        layers = [layer for layer in layers if not isinstance(layer, torch.nn.Identity)]
    theirs = torch.nn.Module()
    theirs.features = torch.nn.Sequential(*layers)
    theirs.load_state_dict(torch.load(tmp_path / "vgg.pth"))
    seen = ((task.image - mean[:, None, None]) / std[:, None, None]).astype(np.float32)
    seen = torch.tensor(seen[::-1].copy() if caffe else seen)
    with torch.no_grad():
        found = theirs.features[: 18 if caffe else 20](seen[None])[0].numpy()
    expected = Vgg(network, ["conv4_1"]).forward(task.image)["conv4_1"]
    assert np.abs(found - expected).max() / np.abs(expected).max() < 1e-5
