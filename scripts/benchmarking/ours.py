"""The contender that is measured: one step of nst, by the phases that it has."""

import numpy as np

from benchmarking.timing import Clock
from benchmarking.work import POOLING, RECIPE, Work
from nst import devices
from nst.objective import Objective, Region, Targets
from nst.objective.styles.finish import finish
from nst.objective.styles.gram import GramStyle
from nst.objective.tiling import features_of, style_sums
from nst.optimizers import Lbfgs
from nst.vgg import Vgg


class Ours:
    """nst's objective and L-BFGS on one image.  `step` changes the image as a run would."""

    def __init__(self, work: Work, device: str = "cpu", tf32: bool = False) -> None:
        self.device = devices.pick(device)
        precision = {"precision": "tf32"} if tf32 else {}
        vgg = Vgg.from_arrays(work.arrays, RECIPE.taps, POOLING, self.device, **precision)
        content = features_of(vgg, self.device.asarray(work.content), RECIPE.content, None)
        painting = self.device.asarray(work.style)
        style = style_sums(
            vgg, painting, dict.fromkeys(RECIPE.style), dict.fromkeys(RECIPE.style, GramStyle)
        )
        targets = Targets(
            content, {tap: [Region(finish(s, RECIPE, tap))] for tap, s in style.items()}
        )
        self.vgg = _Timed(vgg)
        self.objective = Objective(self.vgg, targets, RECIPE)  # type: ignore[arg-type]  # it has what Objective calls
        self.optimizer = Lbfgs(bounds=None)  # PyTorch's has none
        self.image = self.device.asarray(work.image.copy())

    def gradient(self) -> np.ndarray:
        """Return d_image (3, H, W) at the image as it is now."""
        return self.device.asnumpy(self.objective.evaluate(self.image)[1])

    def step(self, clock: Clock) -> float:
        """Evaluate and move the image; return the loss before the move."""
        self.vgg.clock = clock
        losses, d_image = self.objective.evaluate(self.image)
        clock.lap("losses")  # what of `evaluate` is neither forward nor backward
        self.optimizer.step(self.image, losses.total, d_image)
        clock.lap("optimizer")
        return float(losses.total)

    def synchronize(self) -> None:
        """Wait for the device."""
        self.device.synchronize()


class _Timed:
    """A `Vgg` whose passes end a lap on the clock; what lies between them is the losses."""

    def __init__(self, vgg: Vgg) -> None:
        self.vgg = vgg
        self.clock: Clock | None = None

    def forward(self, image):
        features = self.vgg.forward(image)
        if self.clock:
            self.clock.lap("forward")
        return features

    def backward(self, d_features):
        if self.clock:
            self.clock.lap("losses")
        d_image = self.vgg.backward(d_features)
        if self.clock:
            self.clock.lap("backward")
        return d_image

    def __getattr__(self, name: str):
        return getattr(self.vgg, name)
