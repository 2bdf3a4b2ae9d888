"""Optimizers that know the gradient alone: normalised descent and Adam."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nst import kernels
from nst.kernels import Array
from nst.optimizers.optimizer import EPSILON, clipped, zeros_like


@dataclass
class NormalisedDescent:
    """Hvass' tutorial 15: every step moves the pixels by about ``step_size``, however flat.

    With ``decay`` = 1 it never settles: 10 grey levels at each step, for ever.  A decay below 1
    multiplies the step size after each step.
    """

    step_size: float = 10 / 255
    decay: float = 1.0
    bounds: tuple[float, float] | None = (0.0, 1.0)
    epsilon: float = EPSILON

    def asks(self, image: Array, loss: Array, d_image: Array) -> list[Array | float]:
        return []

    def step(
        self, image: Array, loss: Array, d_image: Array, told: Sequence[float] | None = None
    ) -> None:
        k = kernels.of(image, d_image)
        k.normalised_descent_step(image, d_image, self.step_size, self.epsilon)
        clipped(image, self.bounds)
        self.step_size *= self.decay

    def best(self, image: Array) -> Array:
        return image

    def state(self) -> dict[str, Any]:
        return {"step_size": self.step_size}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.step_size = state["step_size"]


@dataclass
class Adam:
    """Kingma and Ba (2015), Algorithm 1; ``decay`` multiplies the step size after each step.

    With an ``average`` of b the picture to show is the mean of all so far, the first one too: each
    with b times the weight of the next.  Crowson's program takes 0.99.
    """

    step_size: float = 0.02
    decay: float = 1.0
    bounds: tuple[float, float] | None = (0.0, 1.0)
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = EPSILON
    steps: int = 0
    moments: list[Array] = field(default_factory=list)  # running means of g and g**2
    average: float = 0.0  # 0: none, the last picture
    mean: Array | None = None  # of the pictures

    def asks(self, image: Array, loss: Array, d_image: Array) -> list[Array | float]:
        return []

    def step(
        self, image: Array, loss: Array, d_image: Array, told: Sequence[float] | None = None
    ) -> None:
        k = kernels.of(image, d_image)
        if not self.moments:
            self.moments = [zeros_like(d_image), zeros_like(d_image)]
        if self.average and self.mean is None:
            self.mean = image.copy()
        self.steps += 1
        sizes = self.step_size, *self.betas, self.epsilon
        k.adam_step(image, d_image, *self.moments, self.steps, *sizes)
        clipped(image, self.bounds)
        self.step_size *= self.decay
        if self.mean is not None:
            share = (1 - self.average) / (1 - self.average ** (self.steps + 1))
            k.axpy(share, image, k.scale(1 - share, self.mean))

    def best(self, image: Array) -> Array:
        return image if self.mean is None else self.mean

    def state(self) -> dict[str, Any]:
        names = "step_size", "steps", "moments", "mean"
        return {name: getattr(self, name) for name in names}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.step_size, self.steps = state["step_size"], state["steps"]
        self.moments, self.mean = list(state["moments"]), state.get("mean")
