"""Run by test_fuzz.py: a fuzzer whose nst goes wrong in each of the ways that must be noticed.

The processes that it starts import this file again, as multiprocessing has it, and so find the
kind of cases and the misbehaving program there too.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from fuzzing import cases, judge, kinds, workers

from nst import cli
from nst.errors import NstWarning

BUDGET = 400_000_000  # bytes


def refuse(text):
    print("nst:", text, file=sys.stderr)
    return 2


def hold_memory():
    block = np.ones(BUDGET // 4, np.float32)
    time.sleep(0.2)
    return 0 * len(block)


def sleep_in_c():
    """Work without ever looking whether Ctrl-C was pressed."""
    matrix = np.ones((600, 600))
    while True:
        try:
            matrix = matrix @ matrix % 7
        except KeyboardInterrupt:
            continue


def work_in_python():
    while True:
        pass


def warn(category):
    warnings.warn("in passing", category, stacklevel=2)
    return 0


def overwrite():
    Path("precious.txt").write_text("of the run")
    return 0


def leave_half():
    Path(".nst-1.tmp").write_text("half a pic")
    return refuse("the disk is full; free some space")


def fail():
    raise ZeroDivisionError("one of ours")


def say_traceback():
    print("Traceback (most recent call last):\n  ...\nValueError: of a thread", file=sys.stderr)
    return 0


ENDS = {
    "well": lambda: 0,
    "with a warning": lambda: warn(NstWarning),
    "refused": lambda: refuse("this PNG is cut short; copy it anew"),
    "exception": fail,
    "traceback of a thread": say_traceback,
    "another status": lambda: 1,
    "no reason": lambda: 2,
    "two lines": lambda: refuse("this is wrong\nand that"),
    "controls": lambda: refuse("no file \x1b[31mred"),
    "turned round": lambda: refuse("no file \u202egnp.exe"),
    "long": lambda: refuse("x" * 400),
    "raw text": lambda: os.write(2, b"TIFFReadDirectory: what a mess\n") * 0,
    "raw output": lambda: os.write(1, b"from a library\n") * 0,
    "foreign warning": lambda: warn(RuntimeWarning),
    "memory": hold_memory,
    "crash": os.abort,
    "exit": lambda: os._exit(3),
    "hang": sleep_in_c,
    "slow": work_in_python,
    "overwritten": overwrite,
    "half a file": leave_half,
}
NAMES = list(ENDS)


def draw(rng):
    """Return a case that ends in one of the ways; it stands beside one that draws none."""
    name = NAMES[rng.randrange(len(NAMES))]
    return cases.Case(name, {"x.png": b"a picture"}, (name,))


kinds.KINDS["alarms"] = cases.Kind(draw, lambda: {"precious.txt": b"of somebody else"})
cli.main = lambda words: ENDS[words[0]]()
judge.PATIENCE, workers.LIMIT = 0.5, 2.0


def main():
    seed, found = 0, {}
    wanted = {}
    number = 0
    while len(wanted) < len(NAMES):  # the first case of each way
        wanted.setdefault(workers.case_of("alarms", seed, number).what, number)
        number += 1
    for finding in workers.attack("alarms", sorted(wanted.values()), seed, 2, BUDGET):
        found[finding.what] = finding.verdict.result
    print(json.dumps(found))


if __name__ == "__main__":
    main()
