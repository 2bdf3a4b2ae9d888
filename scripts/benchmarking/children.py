"""What needs a process of its own: peak memory, memory over many steps, and start-up."""

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

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
    command = [sys.executable, str(BENCHMARK), "--watch-memory", name, "--sizes", str(size)]
    command += ["--steps", str(steps), "--device", device]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def watch_memory(name: str, size: int, steps: int, device: str) -> dict:
    """Return the peak, and resident memory and page faults after each step, of this process."""
    from benchmarking import contenders, machine, work
    from benchmarking.timing import Clock

    contender = contenders.make(name, work.make(size), device)
    resident, faults = [], [machine.page_faults()]
    for _ in range(steps):
        contender.step(Clock(contender.synchronize))
        resident.append(machine.resident_memory())
        faults.append(machine.page_faults())
    return {
        "peak": machine.peak_memory(),
        "resident": resident,
        "faults": [after - before for before, after in pairwise(faults)],
    }


def start_up(repeats: int = 5) -> dict[str, float]:
    """Return the best seconds of a few commands that do next to nothing."""
    with tempfile.TemporaryDirectory() as folder:
        demo = ["demo", "--size", "256", "--steps", "0", "--model", "vgg16-slim", "--quiet"]
        commands = {
            "nst --help": ["-m", "nst", "--help"],
            "nst demo, 256 px, 0 steps": ["-m", "nst", *demo, "-o", str(Path(folder) / "out.png")],
            "import nst": ["-c", "import nst"],
            "python itself": ["-c", "pass"],
        }
        return {name: _best_of(repeats, command) for name, command in commands.items()}


def _best_of(repeats: int, command: list[str]) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


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
