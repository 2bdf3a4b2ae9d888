"""What a poster takes: one exact evaluation, tile by tile, with VGG16 at full width.

    python scripts/poster.py                               8192 x 8192 pixels in 6 GB
    python scripts/poster.py --size 4096 --memory 3GB

Random weights (seeded, scaled to keep the signal's size from layer to layer) take the same time
and memory as trained ones.  Gatys' layers: content at relu4_2, style at relu1_1 ... relu5_1.  It
prints what was expected and what it took, and the cost of a pixel beside that of an untiled
1024 px image, which is measured in the same process.
"""

import argparse
import sys
import time

import numpy as np

from nst import memory
from nst.errors import NstError, naming_options
from nst.kernels.blocks import blas_on_one_thread
from nst.objective import Objective, Region, Targets
from nst.objective.recipe import Recipe
from nst.objective.styles.finish import finish
from nst.objective.styles.gram import GramStyle
from nst.objective.tiling import features_of, style_sums
from nst.run.budget import fit
from nst.run.estimate import Work
from nst.run.probe import probe
from nst.values import format_seconds
from nst.vgg import Vgg
from nst.vgg.architecture import VGG16

STYLE = tuple(f"relu{block}_1" for block in range(1, 6))
CONTENT = ("relu4_2",)
RECIPE = Recipe(
    "Gatys' layers",
    content=dict.fromkeys(CONTENT, 1.0),
    style=dict.fromkeys(STYLE, 1.0),
    smoothness=1.0,
    pixel_range=1,
)


def full_width_vgg(rng: np.random.Generator) -> Vgg:
    """Return VGG16 with random weights."""
    arrays = {}
    for name, shape in VGG16.parameters.items():
        spread = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) == 4 else 0.0
        arrays[name] = (rng.standard_normal(shape, np.float32) * spread).astype(np.float32)
    return Vgg.from_arrays(arrays, [*STYLE, *CONTENT])


def objective(vgg: Vgg, content: np.ndarray, painting: np.ndarray, side: int | None) -> Objective:
    """Return Gatys' objective at the size of ``content``."""
    sums = style_sums(vgg, painting, dict.fromkeys(STYLE), dict.fromkeys(STYLE, GramStyle), side)
    targets = Targets(
        features_of(vgg, content, CONTENT, side),
        {tap: [Region(finish(sums[tap], RECIPE, tap))] for tap in STYLE},
    )
    return Objective(vgg, targets, RECIPE, side)


def seconds_of(work: Objective, image: np.ndarray) -> float:
    """Return how long one evaluation takes."""
    began = time.perf_counter()
    work.evaluate(image)[0].floats()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=8192, help="pixels a side")
    parser.add_argument("--memory", default="6GB", help="the most to use")
    options = parser.parse_args()
    most = memory.parse(options.memory)
    if most is None:
        parser.error("--memory is auto; give the amount to measure with, such as 6GB.")
    rng = np.random.default_rng(0)
    vgg = full_width_vgg(rng)
    painting = rng.random((3, 512, 640), np.float32)

    small = rng.random((3, 320, 320), np.float32)
    cost = probe(objective(vgg, 1 - small, painting, None), small)
    size = (options.size, options.size)
    work = Work(
        VGG16,
        vgg.taps,
        CONTENT,
        STYLE,
        "descent",
        0,
        [(*size, 1)],
        [(512, 640)],
        cost,
        memory.used(vgg.device),
    )
    expected = fit(work, most)
    print(*expected.lines(), sep="\n", flush=True)

    side = expected.side
    image = rng.random((3, *size), np.float32)
    poster = objective(vgg, image, painting, side)
    image *= 0.9
    took = seconds_of(poster, image)
    highest = memory.highest()
    print(
        f"one evaluation: {format_seconds(took)}, at most {memory.format_bytes(highest)} resident",
        flush=True,
    )

    image = rng.random((3, 1024, 1024), np.float32)
    untiled = objective(vgg, 1 - image, painting, None)
    seconds_of(untiled, image)
    least = min(seconds_of(untiled, image) for _ in range(2))
    ratio = (took / options.size**2) / (least / 1024**2)
    print(f"1024 px as a whole: {format_seconds(least)}; a pixel costs {ratio:.2f} times as much")


if __name__ == "__main__":
    with blas_on_one_thread(), naming_options():  # as a run has it: see nst.stylize.complete
        try:
            main()
        except NstError as error:
            print(f"poster.py: {error}", file=sys.stderr)
            sys.exit(2)
