"""What needs a process of its own: peak memory, memory over many steps, and start-up."""

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from nst import memory

BENCHMARK = Path(__file__).parents[1] / "benchmark.py"
UNWANTED = (
    "matplotlib",
    "PIL.PngImagePlugin",
    "onnx",
    "onnxruntime",
    "torch",
)  # what `import nst` does without


def memory_of(name: str, size: int, steps: int, device: str) -> dict:
    """Take ``steps`` steps in a process of its own; return what `watch_memory` saw there."""
    return _alone("--watch-memory", name, size, device, "--steps", str(steps))


def watch_memory(name: str, size: int, steps: int, device: str) -> dict:
    """Return the peak, and memory and page faults after each step, of this process.

    On a GPU the memory is the GPU's, and the peak is beyond what others held at the start.
    """
    from benchmarking import contenders, machine, work
    from benchmarking.timing import Clock

    observed = machine.observed(device)
    before = memory.used(observed) if device == "cuda" else 0
    resident, faults = [], [machine.page_faults()]
    with memory.Peak(observed) as peak:
        contender = contenders.make(name, work.make(size), device)
        for _ in range(steps):
            contender.step(Clock(contender.synchronize))
            resident.append((memory.used(observed) - before) / 1e6)
            faults.append(machine.page_faults())
    return {
        "peak": (peak.bytes if device == "cuda" else memory.highest()) / 1e6,
        "resident": resident,
        "faults": [after - before for before, after in pairwise(faults)],
    }


def times_of(
    name: str, size: int, repeats: int, warm_up: int, device: str
) -> tuple[dict[str, float], np.ndarray]:
    """Return the seconds by phase, and the gradient, of a contender in a process of its own.

    So that no other one holds memory of the GPU or has tuned it meanwhile.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gradient.npy"
        counts = ["--repeats", str(repeats), "--warm-up", str(warm_up), "--gradient", str(file)]
        return _alone("--time", name, size, device, *counts), np.load(file)


def time_alone(name: str, size: int, repeats: int, warm_up: int, device: str, file: Path) -> dict:
    """Return the seconds by phase of a contender in this process; its gradient is in ``file``."""
    from benchmarking import contenders, timing, work

    contender = contenders.make(name, work.make(size), device)
    np.save(file, contender.gradient())
    return timing.take_turns({name: contender}, repeats, warm_up)[name]


def _alone(what: str, name: str, size: int, device: str, *options: str) -> dict:
    """Return what this benchmark prints of one contender, as JSON, in a process of its own."""
    command = [sys.executable, str(BENCHMARK), what, name, "--sizes", str(size)]
    command += ["--device", device, *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def start_up(repeats: int = 5) -> dict[str, float]:
    """Return the best seconds of a few commands that do little, and until a picture is there."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "out.png"
        demo = ["-m", "nst", "demo", "--model", "vgg16-slim", "--quiet", "-o", str(picture)]
        commands = {
            "nst --help": ["-m", "nst", "--help"],
            "nst demo, 256 px, 0 steps": [*demo, "--size", "256", "--steps", "0"],
            "nst demo --effort draft": [*demo, "--effort", "draft"],
            "import nst": ["-c", "import nst"],
            "python itself": ["-c", "pass"],
        }
        found = {name: _best_of(repeats, command) for name, command in commands.items()}
        first = [_until_there(picture, [*demo, "--preview"]) for _ in range(repeats)]
        return found | {"nst demo --preview: its first picture": min(first)}


def _best_of(repeats: int, command: list[str]) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _until_there(picture: Path, command: list[str]) -> float:
    """Return the seconds until a command has written its first ``picture``, and end it there."""
    picture.unlink(missing_ok=True)
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL) as running:
        while not picture.exists():
            if running.poll() is not None:
                raise subprocess.CalledProcessError(running.returncode, command)
            time.sleep(0.01)
        seconds = time.perf_counter() - start
        running.kill()
    return seconds


def imported() -> list[str]:
    """Return which of UNWANTED a bare ``import nst`` brings along."""
    program = f"import nst, sys; print(*[n for n in {UNWANTED} if n in sys.modules])"
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return done.stdout.split()
