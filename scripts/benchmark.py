"""Measure nst against PyTorch on the same work, and print tables.

The work is one loss-and-gradient of Gatys' recipe on full-width VGG16 with seeded random weights,
max pooling, float32, and the step of L-BFGS after it.  Contenders take turns in one process on the
CPU, and on a GPU each has a process of its own; medians are shown.  PyTorch's losses run backward
inside its "backward".

    python scripts/benchmark.py                                   everything
    python scripts/benchmark.py --parts times --sizes 512         a part of it
    python scripts/benchmark.py --device cuda --sizes 512 1024 2048 4096

Needs the extra ``benchmark`` (PyTorch) for the comparison; without it there are our columns.  Exit
status 1: our gradient is not PyTorch's to 1e-4.  The rooms are in ``benchmarking/`` beside this
script.
"""

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from benchmarking import (
    children,
    contenders,
    convergence,
    felt,
    lesson,
    machine,
    peers,
    tables,
    timing,
    work,
)
from numpy.linalg import norm

from nst import Settings, demo
from nst.kernels.blocks import blas_on_one_thread

PARTS = ("times", "memory", "flatness", "startup", "pixels", "convergence", "felt", "lesson")
TOLERANCE = 1e-4  # of our gradient against PyTorch's, both in float32


def main(argv: list[str] | None = None) -> int:
    """Print the parts that are asked for; return the exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        for name, checkout in arguments.peers:
            peers.check(name, checkout, arguments.model)
    except ValueError as error:
        parser.error(str(error))
    with blas_on_one_thread():  # as a run has it: see nst.stylize.complete
        if arguments.time:
            size, counts = arguments.sizes[0], (arguments.repeats, arguments.warm_up)
            alone = arguments.time, size, *counts, arguments.device, arguments.gradient
            print(json.dumps(children.time_alone(*alone)))
            return 0
        if arguments.watch_memory:
            seen = children.watch_memory(
                arguments.watch_memory, arguments.sizes[0], arguments.steps, arguments.device
            )
            print(json.dumps(seen))
            return 0
        print(machine.describe(), flush=True)
        if not contenders.has_pytorch():
            print("PyTorch is not installed: no comparison; pip install -e '.[benchmark]'")
        parts: dict[str, Callable[[argparse.Namespace], bool]] = {
            "times": times,
            "memory": memory,
            "flatness": flatness,
            "startup": startup,
            "pixels": pixels,
            "convergence": descents,
            "felt": seconds_to_quality,
            "lesson": answers,
        }
        return 0 if all([parts[part](arguments) for part in arguments.parts]) else 1


def times(arguments: argparse.Namespace) -> bool:
    """Print seconds by phase at each size; return whether the gradients agree."""
    agreed = True
    for size in arguments.sizes:
        task = work.make(size)
        names = contenders.names(arguments.device, arguments.variants)
        if arguments.device == "cpu":
            taking_part = {name: contenders.make(name, task, arguments.device) for name in names}
            gradients = {name: c.gradient() for name, c in taking_part.items()}
            measured = timing.take_turns(taking_part, arguments.repeats, arguments.warm_up)
        else:
            counts = size, arguments.repeats, arguments.warm_up, arguments.device
            alone = {name: children.times_of(name, *counts) for name in names}
            measured = {name: seconds for name, (seconds, _) in alone.items()}
            gradients = {name: gradient for name, (_, gradient) in alone.items()}
        errors = gradient_errors(gradients)
        rate = machine.convolution_rate(arguments.device)
        print(f"\nbest convolution: {rate:.0f} GFLOP/s; direct ones need {task.gflop:.0f} GFLOP")
        print(tables.of_times(task, measured, rate))
        if errors:
            print(tables.of_errors(errors), flush=True)
        agreed &= "nst" not in errors or errors["nst"][0] <= TOLERANCE
    if not agreed:
        print(f"our gradient is not PyTorch's to {TOLERANCE}", file=sys.stderr)
    return agreed


def gradient_errors(gradients: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Return the median and the length of each gradient's difference from PyTorch's eager one.

    Both relative, to the root mean square and to the length.  The median is what must agree: where
    two pixels of a max pool are equal but for rounding either may win, and a patch of the gradient
    differs.  So PyTorch's own variants differ in length from one another, as we do from them.
    """
    others = [name for name in gradients if not contenders.is_ours(name)]
    if not others:
        return {}
    reference = "eager" if "eager" in others else others[0]
    expected = gradients[reference].astype(np.float64)
    errors = {}
    for name, gradient in gradients.items():
        if name != reference:
            difference = np.abs(gradient - expected)
            median = np.median(difference) / np.sqrt(np.mean(expected**2))
            errors[name] = float(median), float(norm(difference) / norm(expected))
    return errors


def memory(arguments: argparse.Namespace) -> bool:
    """Print the peak memory of each contender, in a process of its own."""
    names = contenders.names(arguments.device, arguments.variants)
    rows = []
    for size in arguments.sizes:
        peaks = {n: children.memory_of(n, size, 3, arguments.device)["peak"] for n in names}
        for name, peak in peaks.items():
            rows.append([size, name, f"{peak:.0f}", f"{peaks['nst'] / peak:.2f}"])
    print("\n" + tables.table(["px", "peak memory", "MB", "nst / this"], rows), flush=True)
    return True


def flatness(arguments: argparse.Namespace) -> bool:
    """Print resident memory and page faults of our steps: flat, if nothing is made anew."""
    size, steps = arguments.sizes[0], max(arguments.steps, 4)
    seen = children.memory_of("nst", size, steps, arguments.device)
    rows = [
        [step, f"{resident:.0f}", faults]
        for step, resident, faults in zip(
            range(1, steps + 1), seen["resident"], seen["faults"], strict=True
        )
        if step & (step - 1) == 0 or step == steps  # 1, 2, 4, 8, ... and the last
    ]
    print("\n" + tables.table([f"step at {size} px", "resident MB", "page faults"], rows))
    return True


def startup(arguments: argparse.Namespace) -> bool:
    """Print how long it takes until something happens."""
    rows = [[name, f"{seconds:.2f}"] for name, seconds in children.start_up().items()]
    print("\n" + tables.table(["start-up", "s"], rows))
    print("`import nst` brings along:", ", ".join(children.imported()) or "nothing heavy")
    return True


def pixels(arguments: argparse.Namespace) -> bool:
    """Print our cost per iteration from 256 to 2048 pixels: linear, if s per megapixel is flat."""
    rows = []
    for size in arguments.pixel_sizes:
        contender = {"nst": contenders.make("nst", work.make(size), arguments.device)}
        repeats = max(1, min(arguments.repeats, 2**22 // size**2))
        total = timing.take_turns(contender, repeats, warm_up=1)["nst"]["total"]
        rows.append([size, f"{total:.3f}", f"{total / size**2 * 1e6:.2f}"])
    print("\n" + tables.table(["px", "s / iteration", "s / megapixel"], rows), flush=True)
    return True


def descents(arguments: argparse.Namespace) -> bool:
    """Print how many evaluations, and seconds, the loss takes to fall."""
    rows = []
    task = work.make(arguments.sizes[0])
    for name in contenders.names(arguments.device, arguments.variants or ["eager"]):
        contender = contenders.make(name, task, arguments.device)
        for reached in convergence.descend(contender, arguments.steps):
            cells = f"{reached.share:.0%}", reached.evaluations, f"{reached.seconds:.1f}"
            rows.append([name, *cells])
    header = [f"L-BFGS at {task.size} px", "of the first loss", "evaluations", "s"]
    print("\n" + tables.table(header, rows), flush=True)
    return True


def seconds_to_quality(arguments: argparse.Namespace) -> bool:
    """Print the seconds from Enter to a picture of given quality: before, now, and the peers'."""
    rows, last = [], []
    with tempfile.TemporaryDirectory() as place:
        before, folder = Path(place, "before"), Path(place, "painted")
        if not felt.unpack(arguments.against, before):
            print(f"\nno commit {arguments.against} here: nothing to compare with")
            return True
        programs = {"before": felt.of(before), "now": felt.of(felt.ROOT)}
        for name, checkout in arguments.peers:
            programs[name] = peers.of(name, checkout, arguments.peer_seconds)
        for size in arguments.felt_sizes:
            for style in arguments.styles:
                painting = demo.style_path(style)
                settings = Settings(
                    demo.content_path(), painting, None, size=size, model=arguments.model
                )
                wanted, pictures = 0.0, []
                for name, paint in programs.items():
                    frames = paint(settings, folder / f"{style}-{size}-{name}")
                    found = felt.losses(settings, frames)
                    wanted = wanted or found[-1]
                    cells = felt.row(frames, found, wanted)
                    rows.append([f"{style}, {size} px", name, *cells])
                    pictures.append(frames[-1].path)
                last.append(pictures)
        if arguments.sheet is not None:
            felt.blind_sheet(last, list(programs), arguments.sheet)
    shares = [f"{quality:g} x" for quality in felt.QUALITIES]
    header = [f"s from Enter, {arguments.model}", "", *shares, "end", "loss there"]
    print(f"\nbest convolution: {machine.convolution_rate():.0f} GFLOP/s")
    print(tables.table(header, rows), flush=True)
    return True


def answers(arguments: argparse.Namespace) -> bool:
    """How long a reader of the lesson waits for an answer."""
    header = ["ms", "wall, median", "wall, least", "processor, median", "processor, most"]
    for size in arguments.lesson_sizes:
        waited = lesson.wait(size, arguments.repeats, random.Random(1))
        print(f"\nthe lesson at {size} px")
        print(tables.table(header, [each.row for each in waited]), flush=True)
    return True


def _peer(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if name not in peers.COMMANDS or not Path(folder).is_dir() or not folder:
        known = " or ".join(peers.COMMANDS)
        raise argparse.ArgumentTypeError(f"wanted {known}, =, and its folder; found {text!r}")
    return name, Path(folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=PARTS, help="which tables to print")
    add("--sizes", nargs="+", type=int, default=[256, 512, 1024], help="sides, pixels")
    add("--pixel-sizes", nargs="+", type=int, default=[256, 512, 1024, 2048], help="for pixels")
    add("--repeats", type=int, default=5, help="counted rounds; the median is shown")
    add("--warm-up", type=int, default=2, help="rounds before those that count")
    add("--steps", type=int, default=100, help="of flatness and convergence, at the first size")
    add(
        "--variants",
        nargs="+",
        help='of PyTorch, such as "compile channels_last"; all if not given',
    )
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute")
    add("--felt-sizes", nargs="+", type=int, default=[512, 1024], help="longer sides, for felt")
    add(
        "--styles", nargs="+", choices=(*demo.STYLES,), default=["swirl", "waves"], help="for felt"
    )
    add("--lesson-sizes", nargs="+", type=int, default=lesson.SIZES, help="for lesson")
    add("--model", default="vgg16-slim", help="for felt")
    add("--against", default=felt.BEFORE, metavar="COMMIT", help="for felt: the program before")
    add("--sheet", type=Path, metavar="FILE.png", help="for felt: last pictures, in random order")
    add(
        "--peers",
        nargs="+",
        type=_peer,
        default=[],
        metavar="NAME=FOLDER",
        help=f"for felt: checkouts of {' and '.join(peers.COMMANDS)}; give --model vgg16",
    )
    add("--peer-seconds", type=float, default=600, help="after which a peer is stopped")
    add("--watch-memory", metavar="NAME", help=argparse.SUPPRESS)  # what the child processes run
    add("--time", metavar="NAME", help=argparse.SUPPRESS)
    add("--gradient", metavar="FILE", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
