"""The fuzzer: what it draws can be drawn again, and nothing that goes wrong escapes it."""

import hashlib
import json
import math
import random
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import fuzz
from fuzzing import checkpoints as fuzzed_checkpoints
from fuzzing import judge, mutations, pictures, workers
from fuzzing.kinds import KINDS


def alone(what):
    """Return what a function of this file gives in a process of its own.

    What other tests have left in this one is no part of a sound run's 1 GB.
    """
    command = [sys.executable, __file__, what]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def digests():
    """Return a digest of some cases of every kind."""
    found = {}
    for kind in KINDS:
        for number in range(6):
            case = workers.case_of(kind, 7, number)
            digest = hashlib.sha256(repr((case.what, case.words, sorted(case.files))).encode())
            for data in case.files.values():
                digest.update(data)
            found[f"{kind} {number}"] = digest.hexdigest()
    return found


def test_a_case_is_the_same_wherever_it_is_drawn():
    first, second = alone("digests"), alone("digests")
    assert first == second
    assert len(set(first.values())) == len(first) == 6 * len(KINDS)


def test_another_seed_draws_other_cases():
    assert workers.case_of("images", 1, 5) != workers.case_of("images", 2, 5)


def test_pictures_of_every_format_are_drawn_from_sound_ones():
    formats = {name.split()[0] for name, _ in pictures.seeds()}
    assert {"PNG", "JPEG", "WEBP", "TIFF", "GIF"} <= formats


def test_bytes_are_changed_in_every_way():
    rng, data = random.Random(3), bytes(range(256)) * 4
    changed = [mutations.damaged(rng, data, b"other" * 50) for _ in range(300)]
    assert sum(one != data for one in changed) > 290
    assert {len(one) > len(data) for one in changed} == {True, False}
    assert any(b"otherother" in one for one in changed)


@pytest.mark.parametrize(
    "old", [*mutations.TEXTS[:2], 7, 0.5, math.inf, -math.inf, math.nan, None, []]
)
def test_any_value_can_be_made_another(old):
    rng = random.Random(5)
    assert len({repr(mutations.near(rng, old)) for _ in range(100)}) > 20


def ways_to_change_a_checkpoint():
    """Return how many different checkpoints 300 changes of the arrays of one make."""
    (_, data), *_ = fuzzed_checkpoints.saved()
    return len({fuzzed_checkpoints._arrays(random.Random(k), data) for k in range(300)})


def test_a_checkpoint_s_arrays_can_be_changed_twice():
    assert alone("ways_to_change_a_checkpoint") > 100


EXPECTED = {
    "well": judge.FINE,
    "with a warning": judge.FINE,
    "refused": judge.REFUSED,
    "exception": judge.TRACEBACK,
    "traceback of a thread": judge.TRACEBACK,
    "another status": judge.TRACEBACK,
    "no reason": judge.MESSAGE,
    "two lines": judge.MESSAGE,
    "controls": judge.MESSAGE,
    "turned round": judge.MESSAGE,
    "long": judge.MESSAGE,
    "raw text": judge.RAW,
    "raw output": judge.RAW,
    "foreign warning": judge.RAW,
    "memory": judge.MEMORY,
    "crash": judge.CRASH,
    "exit": judge.CRASH,
    "hang": judge.HANG,
    "slow": judge.HANG,
    "overwritten": judge.TOUCHED,
    "half a file": judge.TOUCHED,
}


def test_everything_that_goes_wrong_is_noticed():
    command = [sys.executable, str(Path(__file__).parents[1] / "alarms.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert json.loads(done.stdout) == EXPECTED


def test_a_short_attack_finds_nothing(tmp_path):
    """Eighty pictures and some of each other kind; `python scripts/fuzz.py` has thousands."""
    options = ["--count", "80", "--processes", "1", "--keep", str(tmp_path)]
    command = [sys.executable, fuzz.__file__, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == list(KINDS)


@pytest.mark.parametrize("text", ["images:x", "nothing", ""])
def test_an_unknown_kind_is_refused(text, capsys):
    with pytest.raises(SystemExit) as ended:
        fuzz.main(["--kinds", text])
    assert ended.value.code == 2
    assert "is none of images, models" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("images:137", "'images:137' is no case, such as images:0:137"),
        ("images:0:x", "'images:0:x' is no case, such as images:0:137"),
        ("nothing:0:1", "'nothing' is none of images, models"),
    ],
)
def test_a_case_that_cannot_be_is_refused(text, said, capsys):
    with pytest.raises(SystemExit) as ended:
        fuzz.main(["--repeat", text])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
