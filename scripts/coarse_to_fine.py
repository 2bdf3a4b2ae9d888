"""What painting coarse to fine brings: the default scales against one scale, step by step.

    python scripts/coarse_to_fine.py photograph.jpg painting.jpg --size 512 --output pair.png

    python scripts/coarse_to_fine.py --init noise

Both runs minimise the same objective from the same start.  After every few steps the picture is
judged at the full size, at a half and at a quarter of it.  Time is counted in steps at the full
size, a step being worth its pixels, so that other programs on the machine do not matter; judging
is not counted.

What to expect: the large shapes, so the losses at a half and at a quarter, come in a small part of
the time.  The loss at the full size does not come sooner.  The network sees a few dozen pixels
around each of its features, so that loss asks for detail only, and most of what is left of it is
the photograph's finest, which no smaller picture has.  From noise a single scale takes longer, and
coarse to fine is ahead at every size.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from nst import Settings, demo
from nst.kernels.blocks import blas_on_one_thread
from nst.pictures import images
from nst.run.inputs import Inputs, prepare
from nst.run.plan import Plan, draft, plan
from nst.run.records import Progress
from nst.run.scales import Scale, share
from nst.run.state import start
from nst.run.targets import objective_at
from nst.stylize import complete
from nst.vgg.architecture import SMALLEST_SIDE

EVERY = 10  # steps between two judgements
SHARES = 1, 2, 4  # of the full size: by these it is divided where pictures are judged


class Judge:
    """Scores the pictures of a run: (work, total loss at each size) after every few steps."""

    def __init__(self, inputs: Inputs, plan: Plan, shares: tuple[int, ...] = SHARES) -> None:
        full = plan.full
        self.area = full.height * full.width
        sizes = [
            images.fit(full.height, full.width, max(full.height, full.width) // n) for n in shares
        ]
        scales = [Scale(*size, 1) for size in sizes]
        self.objectives = {
            size: objective_at(inputs, scale, plan.side, plan.share(scale))
            for size, scale in zip(sizes, scales, strict=True)
        }
        self.scores: list[tuple[float, ...]] = []
        self._work = 0.0

    def __call__(self, progress: Progress) -> None:
        self._work += progress.scale.height * progress.scale.width / self.area
        if progress.step % EVERY == 0 or progress.step == progress.steps:
            losses = [self._loss(progress.image, size) for size in self.objectives]
            self.scores.append((self._work, *losses))

    def split(self, image: np.ndarray) -> dict[str, float]:
        """Return what each term of the objective adds to the loss at the full size."""
        objective = next(iter(self.objectives.values()))
        weights = {
            f"{kind} {tap}": weight
            for kind in ("content", "style")
            for tap, weight in getattr(objective.weights, kind).items()
        }
        weights["smoothness"] = objective.weights.smoothness
        raw = objective.evaluate(image)[0].raw
        return {name: weights[name] * float(loss) for name, loss in raw.items()}

    def _loss(self, image: np.ndarray, size: tuple[int, int]) -> float:
        return float(self.objectives[size].evaluate(images.resize(image, *size))[0].total)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("content", nargs="?", type=Path, default=demo.content_path())
    parser.add_argument("style", nargs="?", type=Path, default=demo.style_path("swirl"))
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--init", default="content", help="content, noise or style")
    parser.add_argument("--output", type=Path, help="both pictures side by side")
    arguments = parser.parse_args()
    settings = Settings(
        arguments.content,
        arguments.style,
        output=None,
        size=arguments.size,
        until=0,
        scales="auto",
        init=arguments.init,
        device="cpu",
    )
    drafted = draft(prepare(settings))
    if refusal := too_small(drafted.full):
        parser.error(refusal)

    scores, pictures = {}, []
    steps = share(arguments.steps, [scale.longer for scale in drafted.scales])
    for scales, listed in {1: arguments.steps, "auto": tuple(steps)}.items():
        inputs = prepare(replace(settings, scales=scales, steps=listed))
        planned = plan(inputs)
        judge = Judge(inputs, planned)
        with blas_on_one_thread():
            pictures.append(complete(inputs, planned, start(inputs, planned), judge).image)
        scores[scales] = np.array(judge.scores)
        sides = " ".join(f"{max(s.height, s.width)}:{s.steps}" for s in planned.scales)
        report(f"scales {scales} ({sides})", scores[scales], judge.split(pictures[-1]))
    compare(scores[1], scores["auto"])
    if arguments.output is not None:
        images.save(arguments.output, np.concatenate(pictures, axis=2))


def too_small(full: Scale) -> str | None:
    """Return why a picture cannot be judged at its smallest size; None: it can."""
    height, width = images.fit(full.height, full.width, full.longer // max(SHARES))
    if min(height, width) >= SMALLEST_SIDE:
        return None
    return (
        f"at a quarter of --size {full.longer} the picture is {width} x {height} pixels, and the "
        f"network needs {SMALLEST_SIDE} on each side; give a larger --size."
    )


def report(name: str, scores: np.ndarray, split: dict[str, float]) -> None:
    print(f"\n{name}\n   time    loss at 1/1     at 1/2     at 1/4")
    for row in scores[:: max(1, len(scores) // 10)]:
        print(f"{row[0]:7.1f} " + "".join(f"{loss:11.3f}" for loss in row[1:]))
    print("at 1/1 the end is made of " + ", ".join(f"{n} {x:.3f}" for n, x in split.items()))


def compare(single: np.ndarray, coarse_to_fine: np.ndarray) -> None:
    """Say what both end with, and what each has in the other's time."""
    end, last = single[-1], coarse_to_fine[-1]
    meanwhile = single[max(0, np.searchsorted(single[:, 0], last[0], "right") - 1)]
    print(f"\nCoarse to fine takes {last[0] / end[0]:.2f} of the time of one scale.")
    print("loss at   one scale, and in the same time   coarse to fine, and when it has the first")
    for name, columns in {"1/1": [1], "1/2": [2], "1/4": [3], "the sum": [1, 2, 3]}.items():
        one, same_time, fine = (row[columns].sum() for row in (end, meanwhile, last))
        reached = coarse_to_fine[:, columns].sum(axis=1) <= one
        share = coarse_to_fine[reached.argmax(), 0] / end[0]
        when = f"after {share:.2f} of its time" if reached.any() else "not within its steps"
        print(f"{name:8}{one:11.3f}{same_time:22.3f}{fine:17.3f}   {when}", flush=True)


if __name__ == "__main__":
    main()
