"""Checkpoints that are damaged, or say what no run of ours has said."""

import io
import json
import os
import random
import zipfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing import words
from fuzzing.bombs import undated, write_zeros
from fuzzing.cases import Case, inside
from fuzzing.mutations import altered, as_json, damaged
from nst import Settings, stylize

PRECIOUS = ("precious.png", "precious.csv", "precious.html")
OWN = ("saved", "o.png", "o-", "o.csv", "o.html", "r.html")  # what the run may write


def standing() -> dict[str, bytes]:
    """Return the inputs of the saved runs, and files that no checkpoint may overwrite."""
    return words.standing() | dict.fromkeys(PRECIOUS, b"of somebody else\n")


def draw(rng: random.Random) -> Case:
    """Return a case: a folder of checkpoints to go on with, or to show."""
    name, data = rng.choice(saved())
    what, changed = rng.choice(_CHANGES)(rng, data)
    files = {f"saved/{name}": changed}
    if rng.random() < 0.15:
        later = name.replace("3.npz", "4.npz")
        files[f"saved/{later}"] = damaged(rng, data)
    command = ("resume", "saved", "--quiet")
    if rng.random() < 0.2:
        command = ("report", "saved", "--output", "r.html")
    return Case(f"{what} to {command[0]}", files, command, may_change=OWN)


@cache
def saved() -> tuple[tuple[str, bytes], ...]:
    """Return the name and the bytes of each of some checkpoints: every optimizer has one."""
    shared: dict[str, Any] = {"content": "a.png", "style": "b.png", "model": "tiny.onnx"}
    shared |= {"size": 32, "scales": 1, "steps": 5, "device": "cpu", "output": "o.png"}
    shared |= {"checkpoint": "saved", "memory": "1GB"}
    full = {"scales": (32, 40), "size": 40, "steps": (2, 3), "log": "o.csv", "report": "o.html"}
    full |= {"init": "b.png", "plot": True, "save_every": 2}
    changes = ({"optimizer": "lbfgs"}, {"optimizer": "adam"}, {"optimizer": "descent"} | full)
    return tuple(_stopped(Settings, shared | change) for change in changes)


def _stopped(settings: type[Settings], said: dict[str, Any]) -> tuple[str, bytes]:
    """Return the checkpoint of a run that was stopped after its third step."""

    def stop(progress: Any) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    with inside(standing()) as folder:
        with suppress(KeyboardInterrupt):
            stylize(settings(**said), on_progress=stop)
        (path,) = Path("saved").glob("*.npz")
        entries = _entries(path.read_bytes())
        text = json.dumps(_without(json.loads(_about(entries)), os.path.realpath(folder)))
        return path.name, _joined(entries | {"about.npy": _npy(np.array(text))})


def _without(tree: Any, folder: str) -> Any:
    """Return ``tree`` without what differs from one run to the next: the folder, and the time."""
    if isinstance(tree, dict):
        return {
            name: 0.5 if name == "seconds" else _without(inner, folder)
            for name, inner in tree.items()
        }
    if isinstance(tree, list):
        return [_without(inner, folder) for inner in tree]
    return tree.replace(folder, ".") if isinstance(tree, str) else tree


# --- Changes ----------------------------------------------------------------------------------


def _bytes(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    return "bytes", damaged(rng, data)


def _text(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    entries = _entries(data)
    text = as_json(rng, altered(rng, json.loads(_about(entries))))
    return "text", _joined(entries | {"about.npy": _npy(_as_array(text))})


def _outputs(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """Let the run write over files of somebody else's: precious ones, or its inputs."""
    entries = _entries(data)
    about = json.loads(_about(entries))
    name, suffix = rng.choice((("output", "png"), ("log", "csv"), ("report", "html")))
    about["settings"][name] = rng.choice((f"precious.{suffix}", f"./precious.{suffix}"))
    if rng.random() < 0.2:
        about["settings"][rng.choice(("log", "report"))] = rng.choice(("a.png", "tiny.onnx"))
    return f"precious {name}", _joined(entries | {"about.npy": _npy(np.array(json.dumps(about)))})


def _arrays(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    entries = _entries(data)
    for _ in range(rng.randrange(1, 3)):
        name = rng.choice([name for name in entries if name != "about.npy"] or ["array0.npy"])
        array = np.load(io.BytesIO(entries[name])) if name in entries else np.zeros(3)
        array = array if array.dtype.kind != "U" else np.zeros(3)  # the text of the change before
        with np.errstate(all="ignore"):
            cast = array.astype(rng.choice(("f2", "f8", "i4", "?", "i8")))
        changed = (
            cast,
            array[..., :-1],
            array.ravel(),
            np.full(array.shape, rng.choice((np.nan, np.inf, -1e38, 2.0)), np.float32),
            np.zeros((3, 0, 4), np.float32),
            np.array(["text"]),
            array.swapaxes(-1, -2) if array.ndim > 1 else array,
        )
        entries[name] = _npy(rng.choice(changed))
        if rng.random() < 0.2:
            del entries[name]
    return "arrays", _joined(entries)


@cache
def _bomb_bytes() -> bytes:
    (_, data), *_ = saved()
    file = io.BytesIO(data)
    entries = _entries(data)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, inside in entries.items():
            if name != "array0.npy":
                archive.writestr(undated(archive, name), inside)
        write_zeros(archive, "array0.npy")
    return file.getvalue()


def _bomb(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    return "an array of 1.6 GB", _bomb_bytes()


_CHANGES = (*[_bytes] * 8, *[_text] * 20, *[_outputs] * 4, *[_arrays] * 8, _bomb)


# --- The file ---------------------------------------------------------------------------------


def _entries(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _joined(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in entries.items():
            archive.writestr(undated(archive, name), data)
    return file.getvalue()


def _about(entries: dict[str, bytes]) -> str:
    return str(np.load(io.BytesIO(entries["about.npy"])))


def _as_array(text: str) -> np.ndarray:
    return np.array(text.encode("utf-8", "replace").decode())


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
