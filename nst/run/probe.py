"""What one evaluation takes, of time and memory: a small image is evaluated, and it is measured.

It is evaluated as the run will evaluate its own, and what that took of time is scaled up by
pixels.  So is of memory what is bound, see `Vgg.bound_bytes`.  The rest, what lies between, is
of the strips in which layers are gone through: it grows up to `Vgg.full_pixels` and no more.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nst import kernels
from nst.kernels import Array
from nst.memory import Peak
from nst.objective import Objective
from nst.objective.tiling import with_margin
from nst.run.targets import network_size

PROBE_SECONDS = 0.3
PROBE_TRIES = 5
PROBE_SIDE = 320  # pixels
PROBE_PRODUCT = 512  # rows and columns of two matrices


@dataclass(frozen=True)
class Cost:
    """What one evaluation took for each pixel of a small image, and what it takes of any."""

    bytes: float  # at its peak: activations, gradients, what the runtime keeps
    seconds: float  # of an image that is seen as a whole
    features_bytes: float  # of a forward pass that keeps nothing: the first pass over tiles
    features_seconds: float
    pass_seconds: float = 0.0  # of adding one array of its size to another
    product_seconds: float = 0.0  # of a multiplication in a large product of matrices
    opening_seconds: float = 0.0  # not for each pixel: the first evaluation of a size takes more
    fixed_bytes: float = 0.0  # of both, what no image of `full_pixels` or more takes more of
    features_fixed_bytes: float = 0.0
    full_pixels: float = 1.0

    def evaluating(self, height: int, width: int) -> float:
        """Return the bytes of an evaluation of an image, or a window, of this size."""
        pixels = height * width
        return self.fixed_bytes * min(1, pixels / self.full_pixels) + self.bytes * pixels

    def measuring(self, height: int, width: int) -> float:
        """Return the bytes of a forward pass that keeps nothing."""
        pixels = height * width
        fixed = self.features_fixed_bytes * min(1, pixels / self.full_pixels)
        return fixed + self.features_bytes * pixels


def probe(objective: Objective, image: Array, tries: int = PROBE_TRIES) -> Cost:
    """Return what ``objective`` takes for each pixel of ``image``, seen as a whole.

    Times are means of so many ``tries`` at most.
    """
    vgg = objective.vgg
    shown = with_margin(image, objective.padding)  # of whose pixels windows are made
    _, height, width = shown.shape
    pixels = height * width
    on_gpu = vgg.bound_bytes(height, width) is None
    if on_gpu:  # where libraries load what they need at its first use, which does not grow
        objective.evaluate(image)
    vgg.release()
    with Peak(vgg.device) as features_peak:
        vgg.features(shown)
    vgg.release()
    with Peak(vgg.device) as peak:
        first = _seconds(lambda: objective.evaluate(image)[0].floats(), most=1)
        seconds = _seconds(lambda: objective.evaluate(image)[0].floats(), tries)
    features_seconds = _seconds(lambda: vgg.features(shown), tries)
    vgg.release()
    total, k = shown.copy(), kernels.of(shown)
    pass_seconds = _seconds(lambda: k.axpy(0.5, shown, total), tries)
    square = vgg.device.xp.ones((PROBE_PRODUCT, PROBE_PRODUCT), np.float32)

    def nearest() -> None:
        kernels.floats([k.nearest(square, square)[1][0]])

    product_seconds = _seconds(nearest, tries)
    if on_gpu:  # should the runtime have had some of it already
        peak.bytes = max(peak.bytes, vgg.least_bytes(height, width))
        features_peak.bytes = max(features_peak.bytes, vgg.least_bytes(height, width, kept=False))
    buffers = objective.buffer_bytes()
    growing = _growing(peak.bytes, vgg.bound_bytes(height, width), buffers)
    features_growing = _growing(features_peak.bytes, vgg.bound_bytes(height, width, kept=False))
    full_pixels = max(1.0, vgg.full_pixels(height, width))
    enlarged = max(1.0, full_pixels / pixels)
    return Cost(
        bytes=growing / pixels,
        seconds=seconds / pixels,
        features_bytes=features_growing / pixels,
        features_seconds=features_seconds / pixels,
        pass_seconds=pass_seconds / pixels,
        product_seconds=product_seconds / PROBE_PRODUCT**3,
        opening_seconds=max(0.0, first - seconds),
        fixed_bytes=enlarged * (peak.bytes - growing),
        features_fixed_bytes=enlarged * (features_peak.bytes - features_growing),
        full_pixels=full_pixels,
    )


def _growing(peak: float, network: int | None, buffers: int = 0) -> float:
    """Return what of a ``peak`` grows with the image; all of it where the network cannot tell."""
    return peak if network is None else min(peak, network + buffers)


def _seconds(work: Callable[[], object], most: int) -> float:
    """Return the time that ``work`` takes, the mean of a few tries."""
    began, tries = time.perf_counter(), 0
    while not tries or (time.perf_counter() - began < PROBE_SECONDS and tries < most):
        work()
        tries += 1
    return (time.perf_counter() - began) / tries


def probe_size(height: int, width: int) -> tuple[int, int]:
    """Return the size at which an image of ``height`` x ``width`` is probed: no larger than it.

    A narrow image stays as wide as the network needs.
    """
    smaller = network_size(height, width, min(PROBE_SIDE, max(height, width)))
    return smaller if math.prod(smaller) < height * width else (height, width)
