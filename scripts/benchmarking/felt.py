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
from collections.abc import Sequence
from dataclasses import dataclass
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


def unpack(commit: str, folder: Path) -> bool:
    """Put the package as it was at ``commit`` into ``folder``; False where git has no such."""
    git = ["git", "-C", str(ROOT), "archive", commit, "nst", "models"]
    done = subprocess.run(git, capture_output=True, check=False)
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
    command = [sys.executable, "-m", "nst", *map(str, words), "-o", str(output)]
    began = time.time()
    environment = {**os.environ, "PYTHONPATH": str(package)}
    subprocess.run(command, check=True, cwd=folder, env=environment, capture_output=True)
    saved = [*sorted(folder.glob("out-*.png")), output]
    return [Frame(path.stat().st_mtime - began, path) for path in saved]


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


def reached(frames: Sequence[Frame], found: Sequence[float], wanted: float) -> list[float | None]:
    """Return the seconds to each of QUALITIES times the ``wanted`` loss; None: never."""
    first = []
    for quality in QUALITIES:
        good = (
            f.seconds for f, loss in zip(frames, found, strict=True) if loss <= quality * wanted
        )
        first.append(next(good, None))
    return first


def blind_sheet(pairs: Sequence[Sequence[Path]], path: Path, seed: int | None = None) -> None:
    """Save the pairs of pictures below one another, each in a random order; the key lies beside.

    ``pairs`` are of the program before and of today's.
    """
    rng, rows, key = random.Random(seed), [], []
    for pair in pairs:
        order = rng.sample(range(2), 2)
        key.append(" | ".join(("before", "now")[k] for k in order))
        rows.append(np.concatenate([images.load(pair[k]) for k in order], axis=2))
    width = max(row.shape[2] for row in rows)
    fitted = [np.pad(row, ((0, 0), (0, 8), (0, width - row.shape[2]))) for row in rows]
    images.save(path, np.concatenate(fitted, axis=1))
    path.with_suffix(".txt").write_text("\n".join(key) + "\n", encoding="utf-8")
