"""What a person feels: seconds from Enter to a picture of a given quality.

Each program paints the same pictures with the same network and today's weights at the same layers,
in a process of its own, and saves a frame every few steps.  A frame's time is that of its file;
its quality is the loss that today's objective gives it at full size, relative to that of the last
picture of the program before.
"""

import os
import random
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np

from nst import Settings
from nst.pictures import images
from nst.run.inputs import prepare
from nst.run.scales import Scale, scales_for
from nst.run.targets import objective_at

ROOT = Path(__file__).parents[2]
BEFORE = "632fa3c9358f7d3b7611fd234a7e2a1e0d83fbe9"  # content at relu3_3; 300 steps by 3 : 2
QUALITIES = (1.2, 1.1, 1.0)  # times the loss that the program before ends with
EVERY = 5  # steps between two frames


@dataclass(frozen=True)
class Frame:
    """A picture that a program had saved after so many seconds."""

    seconds: float
    path: Path


Painter = Callable[[Settings, Path], list[Frame]]  # paints into a folder, which it makes


def unpack(commit: str, folder: Path) -> bool:
    """Put the package as it was at ``commit`` into ``folder``.

    Return whether that could be: there may be no such commit, and no git.
    """
    git = ["git", "-C", str(ROOT), "archive", commit, "nst", "models"]
    try:
        done = subprocess.run(git, capture_output=True, check=False)
    except OSError:
        return False
    if done.returncode:
        return False
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return True


def paint(package: Path, settings: Settings, folder: Path) -> list[Frame]:
    """Paint with the program in ``package``; return the frames and the last picture, in order."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    output = folder / "out.png"
    (folder / "taps.toml").write_text(_taps(settings), encoding="utf-8")
    words = ["stylize", settings.content, settings.style[0].path, "--size", settings.size]
    words += ["--tap-weights", "taps.toml"]
    words += ["--model", settings.model, "--save-every", EVERY, "--device", "cpu", "--quiet"]
    words += colours(package)
    command = [sys.executable, "-m", "nst", *map(str, words), "-o", str(output)]
    began = time.time()
    environment = {**os.environ, "PYTHONPATH": str(package)}
    subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True)
    saved = [*sorted(folder.glob("out-*.png")), output]
    return [Frame(path.stat().st_mtime - began, path) for path in saved]


def colours(package: Path) -> list[str]:
    """Return what leaves colours as the losses make them; programs before did so unasked."""
    text = (package / "nst" / "pictures" / "colour.py").read_text(encoding="utf-8")
    return ["--color", "painted"] if '"painted"' in text else []


def _taps(settings: Settings) -> str:
    """Return today's weights at each layer as --tap-weights reads them."""
    lines = []
    for kind in ("content", "style"):
        weights = getattr(settings.objective, kind)
        lines += [f"[{kind}]", *(f"{tap} = {weight}" for tap, weight in weights.items())]
    return "\n".join(lines) + "\n"


def losses(settings: Settings, frames: Sequence[Frame]) -> list[float]:
    """Return the loss of each frame at full size, by today's objective."""
    inputs = prepare(settings)
    *_, full = scales_for(*inputs.content.shape[1:], settings)
    objective = objective_at(inputs, Scale(full.height, full.width, 1))
    size = full.height, full.width
    shown = (np.ascontiguousarray(images.resize(images.load(f.path), *size)) for f in frames)
    return [float(objective.evaluate(image)[0].total) for image in shown]


def of(package: Path) -> Painter:
    """Return what paints with the program in ``package``."""
    return partial(paint, package)


def row(frames: Sequence[Frame], found: Sequence[float], wanted: float) -> list[str]:
    """Return a program's cells: seconds to each quality and to its end, and the loss there."""
    cells = ["never" if t is None else f"{t:.1f}" for t in reached(frames, found, wanted)]
    return [*cells, f"{frames[-1].seconds:.1f}", f"{found[-1] / wanted:.2f}"]


def reached(frames: Sequence[Frame], found: Sequence[float], wanted: float) -> list[float | None]:
    """Return the seconds to each of QUALITIES times the ``wanted`` loss; None: never."""
    first = []
    for quality in QUALITIES:
        good = (
            f.seconds for f, loss in zip(frames, found, strict=True) if loss <= quality * wanted
        )
        first.append(next(good, None))
    return first


def blind_sheet(
    pictures: Sequence[Sequence[Path]],
    programs: Sequence[str],
    path: Path,
    seed: int | None = None,
) -> None:
    """Save the rows of pictures below one another, each in a random order; the key lies beside.

    A row has a picture of each of the ``programs``, of the height of the first one.
    """
    rng, rows, key = random.Random(seed), [], []
    for row in pictures:
        order = rng.sample(range(len(row)), len(row))
        key.append(" | ".join(programs[k] for k in order))
        loaded = [images.load(row[k]) for k in order]
        height = loaded[order.index(0)].shape[1]
        sized = [
            images.resize(one, height, round(one.shape[2] * height / one.shape[1]))
            for one in loaded
        ]
        rows.append(np.concatenate(sized, axis=2))
    width = max(row.shape[2] for row in rows)
    fitted = [np.pad(row, ((0, 0), (0, 8), (0, width - row.shape[2]))) for row in rows]
    images.save(path, np.concatenate(fitted, axis=1))
    path.with_suffix(".txt").write_text("\n".join(key) + "\n", encoding="utf-8")
