"""Paint in a process that is killed again and again, then to the end: see test_checkpoints.py.

    python tests/killed_run.py SETTINGS.json FOLDER KILLS SEED

Each life is a fork of this process, which has imported everything; it kills itself with SIGKILL,
so that nothing is cleaned up, when it has passed a random number of the points below.  Prints
where each one died, a line each.
"""

import os
import random
import signal
import sys
import traceback
from pathlib import Path

import numpy as np
import onnx  # noqa: F401 (imported here once, not in every life)

from nst import Settings, devices, resume, stylize
from nst.objective import Objective
from nst.optimizers import Lbfgs
from nst.run import checkpoints

devices.onnxruntime()  # once too

POINTS = {
    "compute": [(Objective, "evaluate"), (Lbfgs, "step")],
    "write": [(np.lib.format, "write_array"), (os, "fsync"), (os, "replace"), (Path, "unlink")],
}
FARTHEST = {"compute": 12, "write": 150}  # points passed in a life: some steps' worth


def live(settings: Settings, folder: Path) -> None:
    checkpoints.Keeper.due = lambda self: True  # save after every step
    if checkpoints.saved(folder):
        resume(folder)
    else:
        stylize(settings)


def arm(kind: str, passed: int, told: int) -> None:
    """Make this process kill itself at a point of that kind, before it or after it."""
    left = [passed]

    def watch(owner: object, name: str) -> None:
        real = getattr(owner, name)

        def watched(*arguments: object, **options: object) -> object:
            for moment in ("before", "after"):
                if moment == "after":
                    result = real(*arguments, **options)
                left[0] -= 1
                if left[0] == 0:
                    os.write(told, f"{kind}: {moment} {name}\n".encode())
                    os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, watched)

    for owner, name in POINTS[kind]:
        watch(owner, name)


def main(settings: Settings, folder: Path, kills: int, seed: int) -> int:
    chance = random.Random(seed)
    killed = 0
    while True:
        kind = chance.choice(list(POINTS))
        passed = chance.randint(1, FARTHEST[kind])
        child = os.fork()
        if child == 0:
            if killed < kills:
                arm(kind, passed, sys.stdout.fileno())
            try:
                live(settings, folder)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            return os.waitstatus_to_exitcode(status)
        killed += 1


if __name__ == "__main__":
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    sys.exit(main(Settings.from_json(text), Path(sys.argv[2]), *map(int, sys.argv[3:])))
