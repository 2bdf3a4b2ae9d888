"""Runs that survive: what is saved, what happens to it on the way, and that nothing is lost."""

import csv
import dataclasses
import errno
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from running import begun
from small_networks import FOUR_BLOCKS, draw_arrays
from stopping import stop_after, without_seconds

from nst import memory, resume, stylize
from nst.devices import CPU
from nst.errors import NstError, NstWarning
from nst.objective import Objective
from nst.objective.recipes import RECIPES
from nst.pictures import images
from nst.run import checkpoints
from nst.run.checkpoints import Checkpoint, Keeper, load, placed, save, saved
from nst.run.inputs import prepare
from nst.run.plan import checkpoint_folder, draft, plan
from nst.run.probe import Cost
from nst.run.state import reopen, start
from nst.settings import Painting
from nst.stylize import complete
from nst.vgg import weights
from nst.vgg.export import export_network

HERE = Path(__file__).parents[1]


@pytest.fixture
def checkpoint(rng):
    """A function that returns a checkpoint after so many steps, with every kind of value."""

    def make(steps=3, **changes):
        pairs = [(rng.random((3, 4, 5), np.float32), rng.random((3, 4, 5))) for _ in range(2)]
        made = Checkpoint(
            settings={"content": "a.jpg", "size": 64, "weight": 0.1, "steps": [3, 2]},
            folder="somewhere",
            inputs={"a.jpg": "00ff"},
            model="abcd",
            device="cpu",
            scales=[[4, 5, steps]],
            side=None,
            pairs=10,
            history=[{"step": n, "total": 1 / n, "odd": math.inf} for n in range(1, steps + 1)],
            image=rng.random((3, 4, 5), np.float32),
            optimizer={"pairs": pairs, "search": None, "line": {"trial": 1 / 3, "done": False}},
        )
        return dataclasses.replace(made, **changes)

    return make


def same(one, other):
    """Whether two values are equal bit for bit; a tuple may have become a list."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def flip(path, position):
    """Turn over one bit of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << position % 8
    path.write_bytes(bytes(content))


# ---- The file ------------------------------------------------------------------------


def test_what_is_saved_comes_back_bit_for_bit(tmp_path, checkpoint):
    made = checkpoint()
    assert save(tmp_path, made, CPU) == tmp_path / "step-00000003.npz"
    assert same(vars(made), vars(load(tmp_path)))


def test_any_flipped_bit_is_noticed_or_harmless(tmp_path, checkpoint):
    made = checkpoint(optimizer={"moments": [np.ones((1, 2, 2), np.float32)]})
    path = save(tmp_path, made, CPU)
    noticed, size = 0, path.stat().st_size
    for position in range(0, size, 3):
        flip(path, position)
        try:
            found = load(tmp_path)
        except NstError:
            noticed += 1
        else:
            assert same(vars(made), vars(found)), position
        flip(path, position)
    assert noticed > 0.6 * size / 3  # the rest are a zip's dates and attributes


@pytest.mark.parametrize("kept", [0, 1, 100, -100, -1])
def test_a_truncated_checkpoint_gives_way_to_the_one_before(tmp_path, checkpoint, kept):
    before = checkpoint(steps=7)
    save(tmp_path, before, CPU)
    path = save(tmp_path, checkpoint(steps=8), CPU)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.warns(NstWarning, match=r"step-00000008.* is cut short or damaged") as warned:
        found = load(tmp_path)
    assert same(vars(before), vars(found))
    assert "\n" not in str(warned[0].message)
    saved(tmp_path)[0].unlink()
    with pytest.raises(NstError, match=r"damaged .*, and there is no other; start a new run"):
        load(tmp_path)


def test_nothing_is_unpickled(tmp_path, checkpoint):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    path = save(tmp_path, checkpoint(), CPU)
    with zipfile.ZipFile(path, "w") as archive, archive.open("about.npy", "w") as entry:
        np.lib.format.write_array(entry, np.array(Trap(), dtype=object), allow_pickle=True)
    with pytest.raises(NstError, match="cut short or damaged"):
        load(tmp_path)
    assert not (tmp_path / "sprung").exists()
    with zipfile.ZipFile(path) as archive, archive.open("about.npy") as entry:
        pickle.loads(entry.read().split(b"\n", 1)[1])
    assert (tmp_path / "sprung").exists()  # the trap works


def test_another_format_is_refused(tmp_path, checkpoint, monkeypatch):
    save(tmp_path, checkpoint(steps=1), CPU)
    monkeypatch.setattr(checkpoints, "FORMAT", 2)
    save(tmp_path, checkpoint(steps=2), CPU)
    monkeypatch.undo()
    with pytest.raises(NstError, match=r"has format 2, of nst .* reads format 1: go on") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_arrays_are_placed_wherever_they_are(rng):
    class Elsewhere:
        def asarray(self, array):
            return ("placed", array)

    array = rng.random((2, 3))
    state = {"a": [1, array, {"b": array}], "c": None, "d": "text"}
    found = placed(state, Elsewhere())
    assert found == {"a": [1, ("placed", array), {"b": ("placed", array)}], "c": None, "d": "text"}


# ---- The folder ----------------------------------------------------------------------


def test_the_last_two_are_kept(tmp_path, checkpoint):
    other = tmp_path / "notes.txt"
    other.touch()
    for steps in (1, 2, 9, 10, 11, 11):
        save(tmp_path, checkpoint(steps=steps), CPU)
    assert [path.name for path in saved(tmp_path)] == ["step-00000010.npz", "step-00000011.npz"]
    checkpoints.remove(tmp_path)
    assert list(tmp_path.iterdir()) == [other]  # what is not ours stays, and so does the folder


def test_never_more_than_two_and_never_none(tmp_path, checkpoint, monkeypatch):
    counts = []
    real = np.lib.format.write_array

    def count(*arguments, **options):
        counts.append(len(saved(tmp_path)))
        real(*arguments, **options)

    for steps in (1, 2, 3):
        save(tmp_path, checkpoint(steps=steps), CPU)
    monkeypatch.setattr(np.lib.format, "write_array", count)
    save(tmp_path, checkpoint(steps=4), CPU)
    assert set(counts) == {1}
    assert len(saved(tmp_path)) == 2


def test_what_a_run_that_was_given_up_left_gives_way_to_a_new_run(tmp_path, checkpoint):
    for steps in (250, 300):
        save(tmp_path, checkpoint(steps=steps), CPU)
    keeper = Keeper(tmp_path, CPU)
    for steps in (100, 150):
        assert keeper.save(checkpoint(steps=steps))
        assert len(load(tmp_path).history) == steps
    assert [path.name for path in saved(tmp_path)] == ["step-00000100.npz", "step-00000150.npz"]


def test_a_run_that_goes_on_keeps_the_one_before_and_nothing_later(tmp_path, checkpoint):
    for steps in (250, 300):
        save(tmp_path, checkpoint(steps=steps), CPU)
    (tmp_path / "step-00000300.npz").write_bytes(b"damaged")
    assert Keeper(tmp_path, CPU, resumed=True).save(checkpoint(steps=270))
    assert [path.name for path in saved(tmp_path)] == ["step-00000250.npz", "step-00000270.npz"]


def test_what_a_killed_run_was_writing_is_removed(tmp_path, checkpoint):
    (tmp_path / ".nst-0123456789abcdef.tmp").touch()
    save(tmp_path, checkpoint(), CPU)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003.npz"]


def test_an_empty_folder_is_no_checkpoint(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NstError, match=r"there is no checkpoint in .*; name the folder"):
            load(folder)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_what_the_disk_refuses_is_one_line_and_the_one_before_is_good(
    tmp_path, checkpoint, monkeypatch, number
):
    before = checkpoint(steps=1)
    save(tmp_path, before, CPU)
    real = np.lib.format.write_array

    def full(file, array, **options):
        if array.ndim:  # some has been written by then
            raise OSError(number, os.strerror(number))
        real(file, array, **options)

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(NstError, match=r"cannot write .*step-00000002\.npz: ") as error:
        save(tmp_path, checkpoint(steps=2), CPU)
    assert "\n" not in str(error.value)
    assert ("the disk is full" in str(error.value)) == (number == errno.ENOSPC)
    assert same(vars(before), vars(load(tmp_path)))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NstError, match=r"cannot make the folder .*; choose another") as error:
            checkpoints.make_folder(folder)
        assert "\n" not in str(error.value)


# ---- When it is saved ----------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """The clock that checkpoints read, to be set by hand."""
    now = [1000.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    return now


@dataclasses.dataclass
class Taking:
    """An estimate that a run takes so long."""

    seconds: float
    side: int | None = None
    pairs: int = 10


@pytest.mark.parametrize(("seconds", "saved_there"), [(299.0, False), (301.0, True)])
def test_a_run_estimated_above_five_minutes_is_saved_without_being_asked(
    settings, tmp_path, monkeypatch, seconds, saved_there
):
    monkeypatch.setattr(sys.modules["nst.run.plan"], "fit", lambda *_: Taking(seconds))
    with pytest.raises(KeyboardInterrupt):
        stylize(settings(), on_progress=stop_after(2))
    assert len(saved(tmp_path / "out-checkpoint")) == saved_there
    assert checkpoint_folder(settings(output=None), seconds) is None  # nowhere to save


def test_the_folder_that_was_asked_for_goes_first(settings, tmp_path):
    asked = settings(checkpoint=tmp_path / "saved")
    assert checkpoint_folder(asked) == tmp_path / "saved"
    assert checkpoint_folder(asked, 1e6) == tmp_path / "saved"
    assert draft(prepare(asked)).folder == tmp_path / "saved"


def test_a_minute_lies_between_two_and_more_where_saving_is_slow(
    tmp_path, clock, checkpoint, monkeypatch
):
    keeper = Keeper(tmp_path, CPU)
    real, took = checkpoints.save, [0.5]

    def slow(*arguments):
        clock[0] += took[0]
        return real(*arguments)

    monkeypatch.setattr(checkpoints, "save", slow)
    for seconds, wait in ((0.5, 60), (4.0, 200)):  # 2 % of 200 seconds are 4
        took[0] = seconds
        assert keeper.save(checkpoint())
        clock[0] += wait - 1
        assert not keeper.due()
        clock[0] += 2
        assert keeper.due()


def test_without_a_folder_nothing_is_saved(clock, checkpoint):
    keeper = Keeper(None, CPU)
    clock[0] += 1e6
    assert not keeper.due()
    assert not keeper.save(checkpoint())
    keeper.remove()


# ---- Runs ----------------------------------------------------------------------------


@pytest.fixture
def eager(monkeypatch):
    """Save after every step."""
    monkeypatch.setattr(Keeper, "due", lambda self: self.folder is not None)


@pytest.mark.parametrize("part", ["objective_at", "choose_optimizer"])
@pytest.mark.parametrize(
    ("recipe", "steps"),
    [("nst", (3, 3)), ("neighbours", (3, 3)), ("strokes", (3, 3, 3)), ("nnst", (2, 2, 2))],
)
def test_a_run_stopped_between_two_scales_paints_the_same_picture(
    settings, tmp_path, monkeypatch, recipe, steps, part
):
    """Its image has the next scale's size already, and no step was made there."""
    asked = settings(
        recipe=recipe, size=64, scales=(32, 64), steps=steps, strength=0.8, model="vgg16-slim"
    )
    expected = stylize(asked)
    for last in range(1, len(steps)):
        made, real = [], getattr(sys.modules["nst.stylize"], part)

        def stopping(*arguments, made=made, real=real, last=last, **options):
            made.append(1)
            if len(made) == last + 1:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        folder = tmp_path / str(last)
        with monkeypatch.context() as patched:
            patched.setattr(sys.modules["nst.stylize"], part, stopping)
            with pytest.raises(KeyboardInterrupt):
                stylize(dataclasses.replace(asked, checkpoint=folder))
        found = resume(folder)
        assert without_seconds(found.history) == without_seconds(expected.history)
        np.testing.assert_array_equal(found.image, expected.image)


@pytest.mark.parametrize(
    ("recipe", "scales", "steps"),
    [("nst", (32, 64), (4, 0)), ("strokes", 1, (0, 4)), ("strokes", (32, 64), (2, 0, 3))],
)
def test_scales_without_steps_neither_end_a_run_nor_spoil_its_checkpoint(
    settings, tmp_path, recipe, scales, steps
):
    asked = settings(recipe=recipe, size=64, scales=scales, steps=steps, model="vgg16-slim")
    expected = stylize(asked)
    kept = dataclasses.replace(asked, checkpoint=tmp_path / "saved")
    assert stylize(kept, on_progress=lambda progress: progress.step < 2).finished is False
    np.testing.assert_array_equal(resume(tmp_path / "saved").image, expected.image)


def test_pairs_are_handed_over_one_by_one():
    """There are many, each two images: what comes back must not need room for them twice."""
    pairs = [[np.full(3, i), np.full(3, -i)] for i in range(4)]
    given = checkpoints.handed_over({"pairs": pairs, "first": 1}, CPU)
    assert given["first"] == 1
    for left, (s, y) in zip(range(3, -1, -1), given["pairs"], strict=True):
        assert len(pairs) == left
        assert s[0] == -y[0] == 3 - left


@pytest.mark.parametrize("optimizer", ["descent", "adam", "averaged", "lbfgs"])
def test_a_run_stopped_time_and_again_paints_the_same_picture(
    settings, tmp_path, monkeypatch, optimizer
):
    if optimizer == "averaged":
        monkeypatch.setitem(RECIPES, "nst", dataclasses.replace(RECIPES["nst"], average=0.9))
        optimizer = "adam"
    folder = tmp_path / "saved"
    asked = settings(optimizer=optimizer, init="noise", seed=3, size=96, scales=(64, 96), steps=26)
    expected = stylize(asked)
    written = asked.output.read_bytes()
    asked.output.unlink()

    first = prepare(dataclasses.replace(asked, checkpoint=folder))
    for last in (1, 2, 3, 5, 6, 7, 8, 13, 20, 25, 26):
        run = begun(first) if last == 1 else reopen(folder)
        with pytest.raises(KeyboardInterrupt) as interrupt:
            complete(*run, stop_after(last))
        assert interrupt.value.__notes__ == [
            f"The picture after step {last} is in {asked.output}.",
            f"`nst resume {folder}` goes on.",
        ]
    result = resume(folder)
    assert [entry["scale"] for entry in result.history] == [1] * 6 + [2] * 20
    np.testing.assert_array_equal(result.image, expected.image)
    assert without_seconds(result.history) == without_seconds(expected.history)
    pixels, texts = images.load(asked.output), images.read_metadata(asked.output)
    asked.output.write_bytes(written)
    np.testing.assert_array_equal(pixels, images.load(asked.output))
    assert texts["nst losses"] == images.read_metadata(asked.output)["nst losses"]
    assert not folder.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_killed_twenty_times_paints_the_same_picture(settings, tmp_path):
    asked = settings(steps=30, save_every=7, log=tmp_path / "losses.csv", size=96)
    asked = dataclasses.replace(asked, checkpoint=tmp_path / "saved")
    stylize(asked)
    expected = {path.name: path.read_bytes() for path in tmp_path.glob("out*.png")}
    losses = list(csv.DictReader(asked.log.read_text().splitlines()))
    for path in [*tmp_path.glob("out*.png"), asked.log]:
        path.unlink()

    recipe = tmp_path / "settings.json"
    recipe.write_text(asked.as_json())
    command = [sys.executable, HERE / "killed_run.py", recipe, asked.checkpoint, "20", "1853"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    deaths = done.stdout.splitlines()
    assert len(deaths) == 20, done.stderr
    assert sum(death.startswith("compute") for death in deaths) >= 5
    assert sum("write_array" in death for death in deaths) >= 5  # inside a file
    assert {path.name: path.read_bytes() for path in tmp_path.glob("out*.png")} == expected
    again = list(csv.DictReader(asked.log.read_text().splitlines()))
    assert without_seconds(again) == without_seconds(losses)
    assert not asked.checkpoint.exists()
    assert not list(tmp_path.glob("**/.nst-*.tmp"))


@pytest.fixture
def stopped(settings, files, tmp_path, eager):
    """A run of its own inputs, stopped after step 4 of 10: its settings and its folder."""
    for name in ("photograph.png", "painting.png", "tiny.onnx"):
        (tmp_path / name).write_bytes((files / name).read_bytes())
    asked = settings(
        content=tmp_path / "photograph.png",
        style=tmp_path / "painting.png",
        model=str(tmp_path / "tiny.onnx"),
        checkpoint=tmp_path / "saved",
    )
    with pytest.raises(KeyboardInterrupt):
        stylize(asked, on_progress=stop_after(4))
    return asked, tmp_path / "saved"


@pytest.mark.parametrize("name", ["photograph.png", "painting.png"])
def test_a_changed_input_is_named_and_the_checkpoint_stays(stopped, tmp_path, rng, name):
    original = (tmp_path / name).read_bytes()
    images.save(tmp_path / name, rng.random((3, 60, 50)))
    with pytest.raises(NstError, match=rf"{name} has changed since the run in .* began") as error:
        resume(stopped[1])
    assert "\n" not in str(error.value)
    (tmp_path / name).unlink()
    with pytest.raises(NstError, match=f"image not found: .*{name}"):
        resume(stopped[1])
    (tmp_path / name).write_bytes(original)
    assert len(resume(stopped[1]).history) == 10


def test_a_changed_model_is_named(stopped, files, tmp_path, rng):
    arrays = draw_arrays(FOUR_BLOCKS, rng)
    export_network(weights.from_arrays(arrays, "average", name="tiny"), tmp_path / "tiny.onnx")
    began = load(stopped[1]).model[:12]
    with pytest.raises(
        NstError, match=rf"is tiny with the sha256 \w+, .* began with {began}"
    ) as error:
        resume(stopped[1])
    assert "\n" not in str(error.value)
    (tmp_path / "tiny.onnx").write_bytes((files / "tiny.onnx").read_bytes())
    assert len(resume(stopped[1]).history) == 10


def test_a_run_goes_on_with_its_network_though_auto_is_another_now(
    settings, files, tmp_path, monkeypatch
):
    monkeypatch.setenv("NST_MODELS", str(tmp_path / "models"))
    folder = tmp_path / "saved"
    asked = settings(model="auto", size=48, scales=1, steps=6, checkpoint=folder)
    whole = stylize(dataclasses.replace(asked, checkpoint=None))

    def stop():
        asked.output.unlink(missing_ok=True)
        with pytest.raises(KeyboardInterrupt):
            stylize(asked, on_progress=stop_after(3))

    stop()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "vgg16.onnx").write_bytes((files / "tiny.onnx").read_bytes())
    result = resume(folder)
    np.testing.assert_array_equal(result.image, whole.image)
    assert result.metadata["nst model"] == whole.metadata["nst model"]
    stop()  # now with that which is "auto" since
    (tmp_path / "models" / "vgg16.onnx").unlink()
    with pytest.raises(NstError, match="the model auto is vgg16-slim with the sha256 "):
        resume(folder)


def test_paths_mean_what_they_meant(stopped, tmp_path, monkeypatch):
    """A run of relative paths goes on from another folder, and its folder may have moved."""
    asked, folder = stopped
    monkeypatch.chdir(tmp_path)
    checkpoints.remove(folder)
    relative = {"content": "photograph.png", "style": "painting.png", "model": "./tiny.onnx"}
    with pytest.raises(KeyboardInterrupt):
        stylize(
            dataclasses.replace(asked, **relative, output="here.png", checkpoint="saved"),
            on_progress=stop_after(4),
        )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder.rename("moved")
    resume(Path("moved"))
    assert (tmp_path / "here.png").exists()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_checkpoint_is_not_overwritten_by_another_run(stopped):
    asked, folder = stopped
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(NstError, match=f"`nst resume {folder}` goes on with it. Remove it"):
        stylize(asked)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_new_run_of_the_same_output_says_that_there_is_an_old_one(settings, tmp_path, stopped):
    _, folder = stopped
    folder.rename(tmp_path / "out-checkpoint")
    with pytest.warns(NstWarning, match=r"out-checkpoint` goes on with it; should this run"):
        stylize(settings())


@pytest.mark.filterwarnings("ignore:.*holds the checkpoint of a run")
def test_a_new_run_of_the_same_output_is_the_one_that_goes_on(
    settings, tmp_path, monkeypatch, eager
):
    monkeypatch.setattr(sys.modules["nst.run.plan"], "fit", lambda *_: Taking(1e6))
    for steps, seed in ((5, 1), (2, 2)):
        with pytest.raises(KeyboardInterrupt):
            stylize(settings(seed=seed, steps=8), on_progress=stop_after(steps))
        (tmp_path / "out.png").unlink()
    assert load(tmp_path / "out-checkpoint").settings["seed"] == 2
    assert len(resume(tmp_path / "out-checkpoint").history) == 8


def test_a_run_goes_on_where_no_checkpoint_can_be_saved(settings, tmp_path, monkeypatch, eager):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    asked = settings(checkpoint=tmp_path / "saved", steps=3)
    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.warns(NstWarning, match=r"no checkpoint was saved: .* the disk is full"):
        result = stylize(asked)
    assert len(result.history) == 3


def test_losses_that_are_not_finite_are_not_saved(settings, tmp_path, monkeypatch, eager):
    real, calls = Objective.evaluate, []

    def evaluate(self, image):
        losses, d_image = real(self, image)
        calls.append(1)
        if len(calls) == 5:
            d_image[:] = np.nan
        return losses, d_image

    monkeypatch.setattr(Objective, "evaluate", evaluate)
    monkeypatch.setattr(sys.modules["nst.run.plan"], "plan", draft)  # the probe evaluates too
    with pytest.raises(NstError, match="left the finite numbers"):
        stylize(settings(checkpoint=tmp_path / "saved"))
    assert len(load(tmp_path / "saved").history) == 4


def test_a_run_in_tiles_goes_on_in_the_same_tiles(settings, tmp_path, monkeypatch):
    """Other tiles, or none, would round otherwise; and so would another history of L-BFGS."""

    def in_tiles(inputs):
        return dataclasses.replace(draft(inputs), side=112, pairs=3)

    monkeypatch.setattr(sys.modules["nst.run.plan"], "plan", in_tiles)
    inputs = prepare(settings())
    planned = in_tiles(inputs)
    state = start(inputs, planned)
    complete(inputs, planned, state)
    expected = state.image.copy()

    def stop(progress):
        if progress.step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylize(settings(checkpoint=tmp_path / "saved"), on_progress=stop)
    again, plan_again, state_again = reopen(tmp_path / "saved")
    assert (plan_again.side, plan_again.pairs, plan_again.lines) == (112, 3, [])
    assert state_again.optimizer.history == 3
    complete(again, plan_again, state_again)
    np.testing.assert_array_equal(state_again.image, expected)


@pytest.mark.filterwarnings("ignore:the mask .* another shape")
def test_everything_at_once_goes_on_bit_for_bit(settings, files, tmp_path, monkeypatch):
    """Regions, blended styles, scales, memory for tiles only, frames; stopped in each scale."""
    for name, columns in {"left": np.arange(75) < 31, "right": np.arange(75) >= 31}.items():
        images.save(tmp_path / f"{name}.png", np.broadcast_to(columns, (3, 90, 75)) * 1.0)
    left, right = tmp_path / "left.png", tmp_path / "right.png"
    asked = settings(
        style=[
            Painting(files / "painting.png", 2, mask=right, region=left),
            Painting(files / "photograph.png", region=left),
            Painting(files / "painting.png", region=right),
        ],
        strength=0.8,
        color="content",
        size=320,
        scales=3,
        steps=(4, 3, 4),
        save_every=5,
        memory="184MB",
    )
    cost = Cost(2000.0, 1e-6, 700.0, 1e-6)
    monkeypatch.setattr(sys.modules["nst.run.plan"], "probe", lambda *_: cost)
    monkeypatch.setattr(memory, "used", lambda _: 100 * 10**6)
    inputs = prepare(asked)
    planned = plan(inputs)
    estimate = planned.estimate
    assert [scale.tiles for scale in estimate.scales[:2]] == [(1, 1), (1, 1)]
    assert min(estimate.scales[2].tiles) > 1
    expected = complete(inputs, planned, start(inputs, planned))
    written = {path.name: path.read_bytes() for path in tmp_path.glob("out*.png")}
    assert set(written) == {"out.png", "out-00005.png", "out-00010.png"}

    folder = tmp_path / "saved"
    inputs = prepare(dataclasses.replace(asked, checkpoint=folder))
    planned = plan(inputs)
    run = inputs, planned, start(inputs, planned)
    for last in (2, 6, 9):
        with pytest.raises(KeyboardInterrupt):
            complete(*run, stop_after(last))
        run = reopen(folder)
    result = complete(*run)
    assert without_seconds(result.history) == without_seconds(expected.history)
    np.testing.assert_array_equal(result.image, expected.image)
    again = {path.name: path.read_bytes() for path in tmp_path.glob("out-*.png")}
    assert again == {name: written[name] for name in again}


# ---- Signals -------------------------------------------------------------------------


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name
)
def test_a_signal_saves_and_resume_ends_the_run(settings, tmp_path, number):
    asked = settings(size=64, scales=1, steps=150, until=0)
    expected = stylize(asked).image
    command = [sys.executable, "-m", "nst", "stylize", asked.content, asked.style[0].path]
    command += ["-o", "out.png", "--size", "64", "--scales", "1", "--steps", "150"]
    command += ["--until", "0"]
    command += ["--model", asked.model, "--device", "cpu", "--log", "l.csv", "--checkpoint", "c"]
    log = tmp_path / "l.csv"
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not (log.exists() and log.read_text().count("\n") > 3):
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        process.send_signal(number)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 128 + number, complaint
    assert "Traceback" not in complaint
    assert complaint.rstrip().endswith("is in out.png. `nst resume c` goes on.")
    made = len(load(tmp_path / "c").history)
    assert 3 <= made < 150
    assert json.loads(images.read_metadata(tmp_path / "out.png")["nst losses"])["step"] == made

    command = [sys.executable, "-m", "nst", "resume", "c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"from step {made + 1}" in done.stdout
    np.testing.assert_allclose(images.load(tmp_path / "out.png"), expected, atol=0.51 / 255)
    assert [row["step"] for row in csv.DictReader(log.read_text().splitlines())] == [
        str(step) for step in range(1, 151)
    ]
    assert not (tmp_path / "c").exists()
