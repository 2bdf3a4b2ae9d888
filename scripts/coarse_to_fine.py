"""What painting coarse to fine brings: the default scales against one scale, step by step.

    python scripts/coarse_to_fine.py photograph.jpg painting.jpg --size 512 --output pair.png

Both runs minimise the same objective from the same start.  After every few steps the picture is
judged at the full size, at a half and at a quarter of it: the strokes are a matter of the first
loss, the large shapes of the others.  Time is counted in steps at the full size, a step being
worth its pixels, so that other programs on the machine do not matter; judging is not counted.
"""

import argparse
from pathlib import Path

import numpy as np

from nst import Settings, demo, images
from nst.kernels.blocks import blas_on_one_thread
from nst.records import Progress
from nst.runs import Run, prepare
from nst.scales import Scale
from nst.stylize import complete
from nst.targets import measure

EVERY = 10  # steps between two judgements


class Judge:
    """Scores the pictures of a run: (work, total loss at each size) after every few steps."""

    def __init__(self, run: Run, shares: tuple[int, ...] = (1, 2, 4)) -> None:
        full = run.scales[-1]
        self.area = full.height * full.width
        sizes = [
            images.fit(full.height, full.width, max(full.height, full.width) // n) for n in shares
        ]
        self.objectives = {size: measure(run, Scale(*size, 1)) for size in sizes}
        self.scores: list[tuple[float, ...]] = []
        self._work = 0.0

    def __call__(self, progress: Progress) -> None:
        self._work += progress.scale.height * progress.scale.width / self.area
        if progress.step % EVERY == 0 or progress.step == progress.steps:
            losses = [self._loss(progress.image, size) for size in self.objectives]
            self.scores.append((self._work, *losses))

    def _loss(self, image: np.ndarray, size: tuple[int, int]) -> float:
        return float(self.objectives[size].evaluate(images.resize(image, *size))[0].total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("content", nargs="?", type=Path, default=demo.content_path())
    parser.add_argument("style", nargs="?", type=Path, default=demo.style_path("swirl"))
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--output", type=Path, help="both pictures side by side")
    arguments = parser.parse_args()

    scores, pictures = {}, []
    for scales in (1, "auto"):
        run = prepare(
            Settings(
                arguments.content,
                arguments.style,
                output=None,
                size=arguments.size,
                steps=arguments.steps,
                scales=scales,
                device="cpu",
            )
        )
        judge = Judge(run)
        with blas_on_one_thread():
            pictures.append(complete(run, judge).image)
        scores[scales] = np.array(judge.scores)
        sides = " ".join(f"{max(s.height, s.width)}:{s.steps}" for s in run.scales)
        report(f"scales {scales} ({sides})", scores[scales])
    compare(scores[1], scores["auto"])
    if arguments.output is not None:
        images.save(arguments.output, np.concatenate(pictures, axis=2))


def report(name: str, scores: np.ndarray) -> None:
    print(f"\n{name}\n   time    loss at 1/1     at 1/2     at 1/4")
    for row in scores[:: max(1, len(scores) // 10)]:
        print(f"{row[0]:7.1f} " + "".join(f"{loss:11.3f}" for loss in row[1:]), flush=True)


def compare(single: np.ndarray, coarse_to_fine: np.ndarray) -> None:
    """Say when coarse to fine reaches what one scale ends with, as a share of its time."""
    print("\nWhat one scale ends with, coarse to fine has after this share of its time:")
    end = single[-1]
    for name, columns in {"1/1": [1], "1/2": [2], "1/4": [3], "the sum": [1, 2, 3]}.items():
        reached = coarse_to_fine[:, columns].sum(axis=1) <= end[columns].sum()
        when = coarse_to_fine[reached.argmax(), 0] / end[0] if reached.any() else None
        said = "not within its steps" if when is None else f"{when:.2f}"
        print(f"  loss at {name:8} {end[columns].sum():8.3f}   {said}", flush=True)


if __name__ == "__main__":
    main()
