"""Checkpoints that no run has written: one line each, in no more memory than the file has."""

import json
import random
import zipfile

import numpy as np
import pytest
from hostile import DEEP, SHELL, VALUES, mutated

from nst import cli, memory, stylize
from nst.devices import CPU
from nst.errors import NstError, NstWarning
from nst.run import checkpoints
from nst.run.state import reopen_to_paint
from nst.stylize import complete


@pytest.fixture
def folder_of(settings, tmp_path, monkeypatch):
    """A function that returns the folder of a run that was stopped after step 4 of 6.

    What is made up may name files to write, and those go where the run began.
    """
    monkeypatch.chdir(tmp_path)

    def stop(progress):
        if progress.step == 4:
            raise KeyboardInterrupt

    def make(optimizer):
        folder = tmp_path / "saved"
        asked = settings(
            optimizer=optimizer,
            size=64,
            scales=(32, 64),
            steps=(3, 3),
            checkpoint=folder,
            output=None,
        )
        with pytest.raises(KeyboardInterrupt):
            stylize(asked, on_progress=stop)
        return folder

    return make


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pictures_and_memories_that_are_no_numbers_are_refused(folder_of, optimizer, value):
    folder = folder_of(optimizer)
    (path,) = checkpoints.saved(folder)[-1:]
    about, arrays = contents(path)
    for name in sorted(arrays):
        changed = dict(arrays) | {name: arrays[name].copy()}
        changed[name].flat[5] = value
        for old in checkpoints.saved(folder):
            old.unlink()
        forge(path, about, changed)
        assert cli.main(["report", str(folder)]) == 2
        with pytest.raises(NstError, match="does not fit together: the numbers cannot be so"):
            reopen_to_paint(folder)


def contents(path):
    """Return the text and the arrays of a checkpoint."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(str(arrays.pop("about"))), arrays


def forge(path, about, arrays, compression=zipfile.ZIP_STORED):
    """Write a checkpoint whose checksums are right, whatever is in it."""
    text = about if isinstance(about, str) else json.dumps(about)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, array in {"about": np.array(text), **arrays}.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)


def go_on(folder):
    """Go on with the run in ``folder``; return the one line that it ends with, or None."""
    line = None
    try:
        complete(*reopen_to_paint(folder))
    except NstError as error:
        line = str(error)
    assert line is None or (len(line) < 5000 and "\n" not in line)
    return line


TABLE = {
    "an optimizer's array of another shape": lambda about, arrays: arrays.update(
        array1=np.zeros((3, 8, 8), np.float32)
    ),
    "an image of another shape": lambda about, arrays: arrays.update(
        array0=np.zeros((3, 8, 8), np.float32)
    ),
    "an image of float64": lambda about, arrays: arrays.update(
        array0=arrays["array0"].astype(float)
    ),
    "an image of integers": lambda about, arrays: arrays.update(
        array0=arrays["array0"].astype(int)
    ),
    "no image": lambda about, arrays: about.update(image=None),
    "an array that is not there": lambda about, arrays: about.update(image={"array": "array99"}),
    "the text as an array": lambda about, arrays: about.update(image={"array": "about"}),
    "no history": lambda about, arrays: about.update(history=[]),
    "a history without losses": lambda about, arrays: about.update(history=[{}] * 4),
    "a history of text": lambda about, arrays: about.update(history=["a"]),
    "a history that counts otherwise": lambda about, arrays: about["history"][2].update(step=7),
    "a step of a scale that is not there": lambda about, arrays: about["history"][3].update(
        scale=9
    ),
    "more steps than there are": lambda about, arrays: about.update(
        scales=[[64, 53, 1], [32, 27, 1]]
    ),
    "other losses in the middle": lambda about, arrays: about["history"][2].update(more=1.0),
    "a loss that is called by a command": lambda about, arrays: [
        entry.update({"=cmd|'/c calc'!A0": 1.0}) for entry in about["history"]
    ],
    "no scales": lambda about, arrays: about.update(scales=[]),
    "huge scales": lambda about, arrays: about.update(scales=[[10**9, 10**9, 6]]),
    "scales of negative steps": lambda about, arrays: about.update(scales=[[64, 53, -6]]),
    "tiny tiles": lambda about, arrays: about.update(side=1),
    "no pairs": lambda about, arrays: about.update(pairs=0),
    "many pairs": lambda about, arrays: about.update(pairs=10**6),
    "another optimizer's state": lambda about, arrays: about.update(optimizer={"speed": 1}),
    "no state": lambda about, arrays: about.update(optimizer={}),
    "a state in depth": lambda about, arrays: about.update(
        optimizer={"pairs": [[[[[[[[[[]]]]]]]]]]}
    ),
    "a device that is none": lambda about, arrays: about.update(device=SHELL),
    "a model that is none": lambda about, arrays: about["settings"].update(model=SHELL),
    "settings of another type": lambda about, arrays: about.update(settings=[]),
    "no settings": lambda about, arrays: about.update(settings={}),
    "settings with a null character": lambda about, arrays: about["settings"].update(
        content="a\0b"
    ),
    "a number of steps that is a truth": lambda about, arrays: about["settings"].update(
        steps=True
    ),
    "a folder that is a number": lambda about, arrays: about.update(folder=3),
    "a hash that is none": lambda about, arrays: about["inputs"].update(a="../.."),
    "a field more": lambda about, arrays: about.update(brushes=3),
    "a format that is none": lambda about, arrays: about.update(format=SHELL),
    "a format that is a list": lambda about, arrays: about.update(format=[[]], nst={}),
}


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_checkpoint_that_was_made_up_is_one_line(folder_of, optimizer):
    folder = folder_of(optimizer)
    (path,) = checkpoints.saved(folder)
    original = contents(path)
    for name, change in TABLE.items():
        about, arrays = json.loads(json.dumps(original[0])), dict(original[1])
        change(about, arrays)
        forge(path, about, arrays)
        assert go_on(folder) is not None, name
        assert checkpoints.saved(folder) == [path], name
    forge(path, *original)
    assert go_on(folder) is None


def test_mutated_checkpoints_are_one_line_or_go_on(folder_of):
    folder = folder_of("lbfgs")
    (path,) = checkpoints.saved(folder)
    about, arrays = contents(path)
    chance, refused = random.Random(1853), 0
    for _ in range(60):
        forge(path, mutated(about, chance), arrays)
        refused += go_on(folder) is not None
        folder.mkdir(exist_ok=True)
    assert refused > 30


def test_a_text_that_is_none_is_one_line(folder_of):
    folder = folder_of("adam")
    (path,) = checkpoints.saved(folder)
    arrays = contents(path)[1]
    for text in ("", "3", "null", "[]", DEEP, '{"format": 1}', '{"format": 1, "f'):
        forge(path, text, arrays)
        assert "is cut short or damaged" in go_on(folder)


def test_numbers_that_are_no_numbers_do_not_go_unseen(folder_of):
    folder = folder_of("adam")
    (path,) = checkpoints.saved(folder)
    about, arrays = contents(path)
    for value in (v for v in VALUES if not isinstance(v, int | float) or isinstance(v, bool)):
        about["optimizer"]["step_size"] = value
        forge(path, about, arrays)
        assert go_on(folder) is not None, value


# ---- Memory ----------------------------------------------------------------------------


def refuses_in_little_memory(folder, told):
    with memory.Peak(CPU) as peak, pytest.raises(NstError, match=f"damaged .{told}"):
        checkpoints.load(folder)
    return peak.bytes < 100e6


def test_a_shape_that_the_file_does_not_hold_takes_no_memory(folder_of):
    folder = folder_of("adam")
    (path,) = checkpoints.saved(folder)
    about, _ = contents(path)
    for shape in ((3, 10**6, 10**6), (2**62, 2**62), (-3, -4), (0,), (3, 10**5, 10**4)):
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in {"about": np.array(json.dumps(about)), "array0": None}.items():
                with archive.open(f"{name}.npy", "w") as entry:
                    if array is not None:
                        np.lib.format.write_array(entry, array)
                        continue
                    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(entry, header)
                    entry.write(bytes(48))
        assert refuses_in_little_memory(folder, r"array0\.npy has the shape "), shape


def test_what_is_packed_is_not_unpacked(folder_of):
    """A gigabyte of zeros would be a megabyte in the file."""
    folder = folder_of("adam")
    (path,) = checkpoints.saved(folder)
    about, arrays = contents(path)
    arrays["array0"] = np.zeros((3, 8192, 4096), np.float32)
    forge(path, about, arrays, zipfile.ZIP_DEFLATED)
    del arrays
    assert path.stat().st_size < 2e6
    assert refuses_in_little_memory(folder, "its entries are not as they were written")


def test_one_entry_does_not_stand_for_many(folder_of):
    folder = folder_of("adam")
    (path,) = checkpoints.saved(folder)
    with pytest.warns(UserWarning, match="Duplicate name"):
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("array0.npy", b"other")
    assert "damaged" in go_on(folder)


def test_a_damaged_one_gives_way_to_the_one_before(folder_of):
    folder = folder_of("lbfgs")
    (path,) = checkpoints.saved(folder)
    about, arrays = contents(path)
    about["history"] = "none"
    forge(path.with_name("step-00000005.npz"), about, arrays)
    with pytest.warns(NstWarning, match=r"step-00000005\.npz is cut .*history: expected array"):
        assert go_on(folder) is None


def test_more_pairs_than_the_scale_has_steps_are_refused(folder_of):
    folder = folder_of("lbfgs")
    (path,) = checkpoints.saved(folder)
    about, arrays = contents(path)
    about["optimizer"]["pairs"] = 20 * [[about["image"], about["image"]]]  # a run may keep 30
    forge(path, about, arrays)
    assert "the pairs cannot be so" in go_on(folder)
