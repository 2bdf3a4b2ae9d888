"""Attack nst with damaged files: nothing but success, or one readable line, may come of it.

    python scripts/fuzz.py --count 10000                     10,000 images, 2,000 models, 2,000
                                                             settings and 500 checkpoints
    python scripts/fuzz.py --count 500 --kinds images
    python scripts/fuzz.py --repeat images:0:137             one case, whose files stay

Every case is drawn from its kind, the seed and its number, and so can be repeated.  It runs in a
process that is watched; a failure is a traceback, more than 5 seconds, more memory than --budget,
text on the terminal that is not ours, a line that is none or cannot be read, a crash, or another's
file that was touched.  Its files are kept in --keep.  Exit status 1: there was a failure.  The
rooms are in ``fuzzing/`` beside this script.
"""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from fuzzing import workers
from fuzzing.cases import write
from fuzzing.judge import FAILURES, FINE, REFUSED
from fuzzing.kinds import KINDS
from fuzzing.workers import Finding

from nst import memory

KEPT = 5  # files of failures of one sort


def main(argv: list[str] | None = None) -> int:
    """Run the cases that are asked for, print what came of them, and return the exit status."""
    arguments = _parser().parse_args(argv)
    if arguments.repeat:
        kind, seed, number = arguments.repeat
        chosen = {kind: [number]}
    else:
        seed = arguments.seed
        counts = {kind: round(arguments.count * KINDS[kind].share) for kind in arguments.kinds}
        first = arguments.first
        chosen = {kind: range(first, first + max(1, n)) for kind, n in counts.items()}
    failed = 0
    for kind, numbers in chosen.items():
        failed += _attack(kind, numbers, seed, arguments)
    return 1 if failed else 0


def _attack(
    kind: str, numbers: list[int] | range, seed: int, arguments: argparse.Namespace
) -> int:
    """Run the cases of one kind; print a table of what came of them; return the failures."""
    results: Counter[str] = Counter()
    sorts: dict[tuple[str, str], list[Finding]] = {}
    budget = memory.parse(arguments.budget) or 0
    began = time.monotonic()
    processes = min(arguments.processes, len(numbers))
    for finding in workers.attack(kind, numbers, seed, processes, budget):
        verdict = finding.verdict
        results[verdict.result] += 1
        alike = sorts.setdefault((verdict.result, verdict.sort), [])
        alike.append(finding)
        if arguments.repeat or (verdict.result in FAILURES and len(alike) <= KEPT):
            _keep(finding, seed, arguments.keep)
    seconds = time.monotonic() - began
    counts = ", ".join(f"{results[name]} {name}" for name in (FINE, REFUSED, *FAILURES))
    print(
        f"{kind}: {len(numbers)} cases, {len(numbers) / seconds:.0f} a second: {counts}",
        flush=True,
    )
    shown = (*FAILURES, REFUSED) if arguments.refusals else FAILURES
    for (result, sort), alike in sorted(sorts.items(), key=lambda item: -len(item[1])):
        if result in shown:
            print(f"  {len(alike):5} {result}: {sort}   {kind}:{seed}:{alike[0].number}")
    if arguments.repeat:
        (finding,) = next(iter(sorts.values()))
        print(f"{finding.what}\n{finding.verdict.text}")
    return sum(results[name] for name in FAILURES)


def _keep(finding: Finding, seed: int, folder: Path) -> None:
    """Write the files of a case, and what came of it."""
    case = workers.case_of(finding.kind, seed, finding.number)
    place = folder / f"{finding.kind}-{seed}-{finding.number}"
    place.mkdir(parents=True, exist_ok=True)
    write(place, case.files)
    about = {
        "repeat": f"{finding.kind}:{seed}:{finding.number}",
        "what": finding.what,
        "words": case.words,
        "settings": repr(case.call),
        "result": finding.verdict.result,
        "sort": finding.verdict.sort,
    }
    text = json.dumps(about, indent=1) + "\n" + finding.verdict.text
    (place / "about.txt").write_text(text, encoding="utf-8", errors="backslashreplace")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="images; of the others a share")
    parser.add_argument("--kinds", type=_kinds, default=list(KINDS), help=",".join(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument(
        "--repeat", type=_case, metavar="KIND:SEED:NUMBER", help="run that case alone"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--budget", default="1.1GB", help="memory of a process")
    parser.add_argument("--keep", type=Path, default=Path("dist/fuzz"), help="files of failures")
    parser.add_argument("--refusals", action="store_true", help="list these too, by their sort")
    return parser


def _kinds(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in KINDS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(KINDS)}")
    return names


def _case(text: str) -> tuple[str, int, int]:
    try:
        kind, seed, number = text.split(":")
        found = kind, int(seed), int(number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no case, such as images:0:137") from None
    _kinds(kind)
    return found


if __name__ == "__main__":
    sys.exit(main())
