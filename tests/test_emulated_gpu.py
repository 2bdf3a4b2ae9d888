"""The whole CUDA path where there is no GPU: the same pictures as on the CPU.

CuPy, CUDA and ONNX Runtime's CUDA provider are stood in for, by what is stricter than they are:
emulated_cupy.py, host_cuda.py and emulated_runtime.py.  The code of nst is the same.
"""

import sys
from dataclasses import replace

import emulated_runtime
import numpy as np
import pytest
from running import paint
from stopping import assert_the_same_when_stopped, without_seconds

from nst import cli, devices, kernels, stylize
from nst.errors import NstWarning
from nst.objective.recipes import RECIPES
from nst.optimizers import Lbfgs
from nst.pictures import images
from nst.run.inputs import prepare
from nst.run.probe import probe
from nst.run.scales import Scale
from nst.run.targets import objective_at
from nst.settings import Painting
from nst.vgg import Vgg

TWO = {"size": 100, "scales": (70, 100), "steps": (2, 3), "conv": "direct"}
TAPS = {"content_taps": {"relu2_2": 2.0}, "style_taps": {"relu1_1": 1e3, "relu3_2": 5e2}}


@pytest.fixture
def pictures(files, first, other, left, right):
    """The folder with photograph, two paintings and two masks."""
    return files


def assert_same_picture(found, expected, image=1e-4, first=1e-5):
    """Losses agree to 1e-5 at the first step and to 1e-4 at the last, and so do the pixels."""
    assert len(found.history) == len(expected.history)
    for one, two in zip(*(without_seconds(r.history) for r in (found, expected)), strict=True):
        assert one == pytest.approx(two, rel=first if one["step"] == 1 else 1e-4, abs=1e-9)
    assert np.abs(found.image - expected.image).mean() < image


# ---- The same pictures ---------------------------------------------------------------


def test_the_demo_is_painted_at_two_sizes(gpu, tmp_path, capsys):
    options = ["--size", "96", "--scales", "64,96", "--steps", "3,3", "--model", "vgg16-slim"]
    for device in ("cuda", "cpu"):
        output = ["-o", str(tmp_path / f"{device}.png"), "--conv", "direct"]
        assert cli.main(["demo", "--device", device, *options, *output]) == 0
        assert f", on {device}" in capsys.readouterr().out
    found, expected = (images.load(tmp_path / f"{device}.png") for device in ("cuda", "cpu"))
    assert np.abs(found - expected).max() < 2 / 255
    assert gpu.pool.reused
    assert gpu.launches["total_variation_l2_backward"] >= 6


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_paints_what_it_paints_on_the_cpu(gpu, settings, recipe):
    small = {"size": 72, "scales": (48, 72), "steps": (1, 2), "style_scale": 0.4}
    if RECIPES[recipe].fine is not None:  # which looks at many more positions
        small |= {"size": 30, "scales": (20, 30), "steps": (1, 1, 1)}
    asked = settings(recipe=recipe, model="vgg16-slim", conv="direct", **small)
    on_cpu = stylize(asked)
    on_gpu = stylize(replace(asked, device="cuda"))
    in_chroma = RECIPES[recipe].palette == "chroma"
    assert bool(gpu.launches["map_channels"]) == in_chroma
    # Adam's first steps go by the sign of a gradient, however small
    by_sign = RECIPES[recipe].optimizer in ("adam", "pyramid")
    assert_same_picture(on_gpu, on_cpu, 2e-3 if by_sign else 1e-4)


CONTROLS = {
    "regions": lambda at: {
        "style": [
            Painting(at / "painting.png", 2, mask=at / "left.png", region=at / "left.png"),
            Painting(at / "other.png", region=at / "right.png"),
        ]
    },
    "regions of moments": lambda at: {
        "recipe": "spst",
        "style": [
            Painting(at / "painting.png", region=at / "left.png"),
            Painting(at / "other.png", mask=at / "left.png", region=at / "right.png"),
        ],
        **TAPS,
    },
    "max pooling, grey, less strength": lambda at: {
        "pooling": "max",
        "color": "content-luminance",
        "strength": 0.6,
    },
    "descent": lambda at: {"optimizer": "descent"},
    "edges": lambda at: {"edges": 40.0},
    "adam": lambda at: {"optimizer": "adam"},
    "pyramid": lambda at: {"optimizer": "pyramid"},
}


@pytest.mark.filterwarnings("ignore:the mask .* another shape")
@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("side", [None, 96], ids=["whole", "tiles"])
def test_with_controls_whole_and_in_tiles(gpu, settings, pictures, control, side):
    asked = settings(**TWO | CONTROLS[control](pictures))
    results = []
    for device in ("cuda", "cpu"):
        inputs = prepare(replace(asked, device=device))
        results.append(paint(inputs, side=side))
    assert_same_picture(*results, 2e-3 if control in ("adam", "pyramid") else 2e-4)


def masked(at):
    """One painting, masked, on the left; another on the right."""
    left = Painting(at / "painting.png", 2, mask=at / "left.png", region=at / "left.png")
    return [left, Painting(at / "other.png", region=at / "right.png")]


FURTHER = {  # what is told of the photograph, the paintings and the colours, in pieces
    "nearest, in a fine stage": lambda at: {
        "recipe": "nnst",
        "style": masked(at),
        "strength": 0.5,
        "size": 24,
        "scales": 1,
        "steps": (1, 1),
    },
    "nearest, blended": lambda at: {
        "recipe": "neighbours",
        "style": [Painting(at / "painting.png", mask=at / "left.png"), Painting(at / "other.png")],
        "strength": 0.5,
    },
    "a mixture": lambda at: {"recipe": "mixture", "style": masked(at)},
    "covariances": lambda at: {"recipe": "crowson", "style": masked(at)},
    "logarithms, transparent": lambda at: {
        "recipe": "hvass",
        "content": at / "holes.png",
        "edges": 20.0,
    },
    "nearest, transparent": lambda at: {"recipe": "neighbours", "content": at / "holes.png"},
    "outside of the only region": lambda at: {
        "color": "content",
        "style": [Painting(at / "painting.png", region=at / "left.png")],
    },
    "noise, taps": lambda at: {
        "init": "noise",
        "style": [Painting(at / "painting.png", taps=("relu1_1",)), Painting(at / "other.png")],
    },
}


@pytest.mark.filterwarnings("ignore:the mask .* another shape")
@pytest.mark.parametrize("what", FURTHER)
def test_masks_transparency_and_what_else_goes_between_host_and_gpu(gpu, settings, pictures, what):
    rows, columns = np.mgrid[:90, :75] / 90
    holes = np.ones((90, 75), np.float32)
    holes[:40, :30] = 0
    images.save(pictures / "holes.png", np.stack([rows, columns, 1 - rows * columns]), holes)
    small = {"size": 40, "scales": (24, 40), "steps": (1, 2), "style_scale": 0.8}
    asked = settings(model="vgg16-slim", conv="direct", **small | FURTHER[what](pictures))
    on_gpu = stylize(replace(asked, device="cuda"))
    assert_same_picture(on_gpu, stylize(asked), 2e-3)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_stopped_and_resumed_it_is_the_same_picture(gpu, settings, tmp_path, optimizer):
    asked = settings(**TWO | {"device": "cuda", "optimizer": optimizer, "steps": (3, 3)})
    assert_the_same_when_stopped(asked, tmp_path / "saved", 2, 5)


def test_everything_that_is_written_on_the_way(gpu, settings, tmp_path):
    beside = {"plot": True, "save_every": 2, "log": tmp_path / "log.csv"}
    asked = settings(**TWO | beside | {"device": "cuda", "report": tmp_path / "report.html"})
    stylize(asked)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 6
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert (tmp_path / "out-triptych.png").exists()


def test_doctor_computes_on_it(gpu, capsys):
    assert cli.main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "GPU: a GPU, emulated, compute capability 9.0" in printed
    assert "GPU: a convolution was computed on it" in printed


# ---- Waits ---------------------------------------------------------------------------


MOST_LAUNCHES = 128, 600  # of our kernels in a step, and of CuPy's; a launch takes 5 us or more


@pytest.mark.parametrize("recipe", ["nst", "spst", "crowson", "hvass", "mixture"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_step_waits_for_the_gpu_once_and_copies_nothing_to_it(gpu, settings, recipe, optimizer):
    """Long enough for L-BFGS to begin in bands, to clip, and to forget its oldest pairs."""
    counted = []

    def after_step(progress):
        ours = {name: times for name, times in gpu.launches.items() if name != "cupy"}
        launches = sum(ours.values()), gpu.launches["cupy"]
        memory = gpu.pool.total_bytes(), gpu.pool.released
        counted.append((sum(gpu.waits.values()), sum(gpu.uploads.values()), *launches, *memory))

    picture = {"size": 32, "scales": 1, "steps": 60, "style_scale": 0.4, "model": "vgg16-slim"}
    asked = settings(device="cuda", recipe=recipe, optimizer=optimizer, **picture)
    paint(prepare(asked), after_step)
    waits, uploads, ours, cupys, memory, released = np.diff(counted, axis=0).T
    assert max(waits) == 1, gpu.waits
    assert max(uploads) == 0, gpu.uploads
    assert max(ours) <= MOST_LAUNCHES[0], gpu.launches
    assert max(cupys) <= MOST_LAUNCHES[1], gpu.launches
    assert max(memory[-10:]) == 0  # the pool has what a step needs
    assert max(released) == 0


def launches_of_a_step(gpu, pairs):
    """Return how often L-BFGS launches one of our kernels in a step, with so many pairs behind."""
    rng, device = np.random.default_rng(5), devices.pick("cuda")
    image, optimizer = device.asarray(rng.random((3, 8, 9))), Lbfgs(history=pairs, bounds=None)
    for _ in range(pairs + 2):
        loss = (image * image).sum().astype(np.float64)
        gpu.launches.clear()
        optimizer.step(image, loss, image * device.asarray(rng.random((3, 8, 9)) + 1))
    return {name: times for name, times in gpu.launches.items() if name != "cupy"}


def test_no_pair_of_the_optimizer_is_a_launch_of_its_own(gpu):
    assert launches_of_a_step(gpu, 3) == launches_of_a_step(gpu, 12)


@pytest.mark.filterwarnings("ignore:the mask .* another shape")
def test_a_painting_s_mask_costs_no_wait_where_neighbours_are_found_anew(gpu, settings, pictures):
    """Nor where regions share the picture, and each has its own mean and its own paintings."""
    styles = [
        Painting(pictures / "painting.png", mask=pictures / "left.png"),
        Painting(pictures / "other.png", region=pictures / "right.png"),
    ]
    counted = []

    def after_step(progress):
        totals = sum(gpu.waits.values()), sum(gpu.uploads.values())
        counted.append((progress.scale.fine, *totals))

    picture = {"size": 32, "scales": 1, "steps": (1, 3), "model": "vgg16-slim"}
    paint(prepare(settings(device="cuda", recipe="nnst", style=styles, **picture)), after_step)
    fine, waits, uploads = np.transpose(counted)
    assert list(fine) == [False, True, True, True]
    assert max(np.diff(waits[1:])) == 1, gpu.waits
    assert max(np.diff(uploads[1:])) == 0, gpu.uploads


def test_in_tiles_a_step_waits_once_more_to_give_memory_back(gpu, settings):
    waits = []
    inputs = prepare(settings(device="cuda", size=100, scales=1, steps=4))
    paint(inputs, lambda progress: waits.append(sum(gpu.waits.values())), side=96)
    assert max(np.diff(waits)) == 2, gpu.waits


def test_numbers_are_read_with_one_wait_for_all(gpu):
    asarray = devices.pick("cuda").xp.asarray
    numbers = [1.5, asarray(np.float32(0.1)), asarray(np.float64(0.1)), asarray(np.bool_(True))]
    gpu.forget()
    assert kernels.floats(numbers) == [1.5, float(np.float32(0.1)), 0.1, 1.0]
    assert sum(gpu.waits.values()) == 1
    assert kernels.floats([2, np.asarray(0.5, np.float32)]) == [2.0, 0.5]
    assert sum(gpu.waits.values()) == 1


def test_a_history_that_points_uphill_is_forgotten_after_one_evaluation(gpu, rng):
    """The slope at the start of a search is known with the first trial, not before."""
    device = devices.pick("cuda")
    d_image, start = device.asarray(rng.standard_normal((3, 4, 5))), rng.random((3, 4, 5))
    optimizer, image = Lbfgs(bounds=None), device.asarray(start)
    optimizer.pairs = [(d_image.copy(), d_image * -1)]  # negative curvature: never accepted so
    optimizer.step(image, device.asarray(np.asarray(1.0)), d_image)
    state = optimizer.state()
    for each in (optimizer, Lbfgs(bounds=None)):  # and in a run that goes on from there
        if each is not optimizer:
            each.restore(state)
        moved = device.asarray(image.get())
        each.step(moved, device.asarray(np.asarray(9.0)), d_image)
        assert each.pairs == []
        slope = float((each.direction * d_image).sum())
        assert slope < 0
        np.testing.assert_allclose(moved.get(), start + each.direction.get(), atol=1e-6)


@pytest.mark.parametrize("optimizer", [Lbfgs(), Lbfgs(bounds=None)], ids=["clipped", "free"])
def test_where_nothing_pulls_the_image_stays(gpu, rng, optimizer):
    device = devices.pick("cuda")
    start = rng.random((3, 4, 5), np.float32)
    image = device.asarray(start.copy())
    for _ in range(4):
        optimizer.step(image, device.asarray(np.asarray(1.0)), device.asarray(0 * start))
    np.testing.assert_array_equal(image.get(), start)


# ---- Memory --------------------------------------------------------------------------


def test_one_arena_for_all_graphs_grows_by_what_is_asked_for(gpu, rng):
    vgg = Vgg("vgg16-slim", ["relu1_1", "relu2_1"], device="cuda")
    vgg.backward(vgg.forward(vgg.device.asarray(rng.random((3, 32, 48)))))
    registered = [entry for entry in emulated_runtime.told if entry[0] == "allocator"]
    assert len(registered) == 1
    assert registered[0][1] == "CUDAExecutionProvider"


def test_without_a_shared_arena_it_works_and_says_so(gpu, rng, monkeypatch):
    def refuse(*_):
        raise RuntimeError("no such allocator")

    monkeypatch.setattr(sys.modules["onnxruntime"], "create_and_register_allocator_v2", refuse)
    with pytest.warns(NstWarning, match="memory of the GPU is not shared.*no such allocator"):
        vgg = Vgg("vgg16-slim", ["relu1_1"], device="cuda")
    assert vgg.features(vgg.device.asarray(rng.random((3, 32, 48))))


def test_released_it_gives_back_the_memory_of_both_sides(gpu, rng):
    vgg = Vgg("vgg16-slim", ["relu1_1", "relu2_1"], device="cuda")
    image = vgg.device.asarray(rng.random((3, 64, 96)))
    vgg.forward(image)
    before = gpu.pool.total_bytes()
    vgg.release()
    assert emulated_runtime.told[-1] == ("shrink", "gpu:0")
    assert gpu.pool.total_bytes() < before / 2
    assert set(vgg._passes) == {("features", None), ("forward", None)}  # and none ran for it
    assert not np.isnan(vgg.forward(image)["relu2_1"].get()).any()


def test_between_two_sizes_memory_is_given_back(gpu, settings):
    inputs, shrunk = prepare(settings(device="cuda", **TWO)), []
    paint(inputs, lambda p: shrunk.append(emulated_runtime.told.count(("shrink", "gpu:0"))))
    assert shrunk[0] == shrunk[1] < shrunk[2] == shrunk[4]


def test_within_a_graph_memory_is_used_again_and_no_size_keeps_its_own(gpu):
    Vgg("vgg16-slim", ["relu1_1"], device="cuda")
    (options,) = [told[1] for told in emulated_runtime.told if told[0] == "session"]
    assert options.enable_mem_reuse
    assert not options.enable_mem_pattern


def test_where_there_is_no_room_the_other_pool_is_emptied_first(gpu, rng, monkeypatch):
    vgg = Vgg("vgg16-slim", ["relu1_1"], device="cuda")
    image = vgg.device.asarray(rng.random((3, 32, 48)))
    run, tries = emulated_runtime.InferenceSession.run_with_iobinding, []

    def fail_once(self, *arguments):
        tries.append(gpu.pool.released)
        if len(tries) == 1:
            raise RuntimeError("bfc_arena.cc:376 Failed to allocate memory for requested buffer")
        run(self, *arguments)

    monkeypatch.setattr(emulated_runtime.InferenceSession, "run_with_iobinding", fail_once)
    assert not np.isnan(vgg.features(image)["relu1_1"].get()).any()
    assert tries == [0, 1]


def test_the_probe_counts_what_the_runtime_had_already(gpu, settings, rng):
    """None of ONNX Runtime's memory is seen here, as none is where its arena is warm."""
    run = prepare(settings(device="cuda", model="vgg16-slim", **TWO))
    image = run.device.asarray(rng.random((3, 64, 80)))
    cost = probe(objective_at(run, Scale(64, 80, 1)), image)
    assert cost.evaluating(64, 80) >= run.vgg.least_bytes(64, 80)
    assert cost.measuring(64, 80) >= run.vgg.least_bytes(64, 80, kept=False)
    assert run.vgg.least_bytes(64, 80) > 64 * 80 * 4 * (32 + 32 + 64 / 4)  # relu1_1, relu1_2, ...


def test_what_libraries_load_at_their_first_use_does_not_grow_with_the_picture(
    gpu, settings, rng, monkeypatch
):
    run = prepare(settings(device="cuda", model="vgg16-slim", **TWO))
    image, objective = run.device.asarray(rng.random((3, 64, 80))), None
    usual, loaded = gpu.runtime.memGetInfo, 5 * 10**8

    def seen():
        free, total = usual()
        return free - loaded * (objective is not None and objective.evaluations > 0), total

    monkeypatch.setattr(gpu.runtime, "memGetInfo", seen)
    objective = objective_at(run, Scale(64, 80, 1))
    assert probe(objective, image).evaluating(64, 80) < loaded / 2
