"""How the image moves: normalised descent, Adam and L-BFGS.

Each optimizer is given one evaluation at a time, ``step(image, loss, d_image)``, and changes
``image`` in place to where the next evaluation should be.  So every optimizer costs one pass
through the network a step, and the loop around them is the same and has no callback in it.

After a step every pixel is clipped to [0, 1].  L-BFGS clips only where a line search has ended:
inside, the search would see a function that its gradient does not belong to.  And it clips only
after every tenth, because each clip costs an evaluation at the point that it moved to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from nst import kernels
from nst.kernels import Array
from nst.line_search import LineSearch

FIRST_MOVE = 0.02  # root mean square move of L-BFGS' first trial, in units of the pixel range
EPSILON = 1e-8  # keeps a division by a gradient finite; for pixels whose white is 1
CLIP_EVERY = 10  # line searches of L-BFGS between two clips


class Optimizer(Protocol):
    """What the loop needs of an optimizer."""

    def step(self, image: Array, loss: Array, d_image: Array) -> None:
        """Move ``image`` in place, given the loss and its gradient there."""

    def best(self, image: Array) -> Array:
        """Return the image to show: ``image``, or where a running line search started."""

    def state(self) -> dict[str, Any]:
        """Return what the next step depends on: arrays, numbers, and lists and dicts of them.

        The arrays are the optimizer's own: copy or write them before the next step.
        """

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over the ``state`` of another optimizer of this kind, to go on as it would."""


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

    def step(self, image: Array, loss: Array, d_image: Array) -> None:
        k = kernels.of(image, d_image)
        k.normalised_descent_step(image, d_image, self.step_size, self.epsilon)
        _clip(image, self.bounds)
        self.step_size *= self.decay

    def best(self, image: Array) -> Array:
        return image

    def state(self) -> dict[str, Any]:
        return {"step_size": self.step_size}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.step_size = state["step_size"]


@dataclass
class Adam:
    """Kingma and Ba (2015), Algorithm 1; ``decay`` multiplies the step size after each step."""

    step_size: float = 0.02
    decay: float = 1.0
    bounds: tuple[float, float] | None = (0.0, 1.0)
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = EPSILON
    steps: int = 0
    moments: list[Array] = field(default_factory=list)  # running means of g and g**2

    def step(self, image: Array, loss: Array, d_image: Array) -> None:
        k = kernels.of(image, d_image)
        if not self.moments:
            self.moments = [_zeros_like(d_image), _zeros_like(d_image)]
        self.steps += 1
        sizes = self.step_size, *self.betas, self.epsilon
        k.adam_step(image, d_image, *self.moments, self.steps, *sizes)
        _clip(image, self.bounds)
        self.step_size *= self.decay

    def best(self, image: Array) -> Array:
        return image

    def state(self) -> dict[str, Any]:
        return {"step_size": self.step_size, "steps": self.steps, "moments": self.moments}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.step_size, self.steps = state["step_size"], state["steps"]
        self.moments = list(state["moments"])


@dataclass
class Lbfgs:
    """Limited-memory BFGS (Nocedal and Wright 2006, Algorithm 7.5) with a strong Wolfe search.

    ``history`` pairs (s, y) of a move and the change of gradient along it stand in for the
    second derivatives.  A step is one evaluation: it either ends the line search, and begins
    the next, or moves ``image`` to the search's next trial.
    """

    history: int = 10
    bounds: tuple[float, float] | None = (0.0, 1.0)
    pairs: list[tuple[Array, Array]] = field(default_factory=list)  # (s, y), oldest first
    search: LineSearch | None = None
    searches: int = 0  # since the last clip
    start: Array = None  # where the running line search started,
    d_start: Array = None  # the gradient there,
    direction: Array = None  # and where it leads: image = start + step * direction

    def step(self, image: Array, loss: Array, d_image: Array) -> None:
        k = kernels.of(image, d_image)
        if self.search is None:
            self._begin(image, loss, d_image)
            return
        self.search.advance(float(loss), float(k.dot(d_image, self.direction)))
        if not self.search.done:
            self._move_to(self.search.trial, image)
        elif self.search.accepted:
            self._remember(d_image)
            self.searches += 1
            if self.searches >= CLIP_EVERY and self._clip_moves(image):
                self.search = None  # the gradient belongs to the point before the clip
            else:
                self._begin(image, loss, d_image)
        else:  # give up at the best trial, forget the history, and start afresh from there
            self._move_to(self.search.low.step, image)
            self._clip_moves(image)
            self.pairs, self.search = [], None

    def best(self, image: Array) -> Array:
        best = image if self.search is None else self.start
        return _clip(best.copy(), self.bounds)

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"pairs": self.pairs, "searches": self.searches, "search": None}
        if self.search is not None:
            state["search"] = self.search.state()
            state["line"] = [self.start, self.d_start, self.direction]
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        self.pairs = [(s, y) for s, y in state["pairs"]]
        self.searches = state["searches"]
        self.search = None
        if state["search"] is not None:
            self.search = LineSearch.from_state(state["search"])
            self.start, self.d_start, self.direction = state["line"]

    def _begin(self, image: Array, loss: Array, d_image: Array) -> None:
        """Start a line search at ``image`` and go to its first trial."""
        k = kernels.of(image, d_image)
        self.search = None
        self.start, self.d_start = image.copy(), d_image.copy()
        self.direction = self._downhill(image, d_image)
        slope = float(k.dot(d_image, self.direction))
        if self.pairs and slope >= 0:  # rounding has spoilt the history
            self.pairs = []
            self.direction = self._downhill(image, d_image)
            slope = float(k.dot(d_image, self.direction))
        if slope == 0:
            return  # nothing pulls, or only against the bounds: this is a minimum, stay
        self.search = LineSearch(float(loss), slope)
        self._move_to(self.search.trial, image)

    def _downhill(self, image: Array, d_image: Array) -> Array:
        """Return the direction to search: zero where a pixel is held by its bound.

        Such a pixel is pulled outward, and a clip would only bring it back; meanwhile its
        share of the direction would spoil that of the others, and the run would stall far from
        the minimum.  Bertsekas, "Projected Newton methods ..." (1982).
        """
        if self.bounds is None:
            return two_loop_direction(d_image, self.pairs)
        low, high = self.bounds
        held = ((image <= low) & (d_image > 0)) | ((image >= high) & (d_image < 0))
        free = (~held).astype(d_image.dtype)
        return free * two_loop_direction(free * d_image, self.pairs)

    def _move_to(self, step: float, image: Array) -> None:
        """Set ``image`` to start + step * direction."""
        image[...] = self.start
        kernels.of(image).axpy(step, self.direction, image)

    def _remember(self, d_image: Array) -> None:
        """Keep the pair of this line search: s = step * direction, y = d_image - d_start."""
        k = kernels.of(d_image)
        s = k.scale(self.search.trial, self.direction)  # type: ignore[union-attr]
        y = k.axpy(-1.0, self.d_start, d_image.copy())
        if k.dot(s, y) > 1e-10 * k.dot(y, y):  # rounding aside, strong Wolfe sees to it
            self.pairs = [*self.pairs, (s, y)][-self.history :]

    def _clip_moves(self, image: Array) -> bool:
        """Clip ``image``; return whether that moved it."""
        self.searches = 0
        before = image.copy()
        _clip(image, self.bounds)
        return bool((image != before).any())


def two_loop_direction(d_image: Array, pairs: list[tuple[Array, Array]]) -> Array:
    """Return ``-H d_image``, where H is the inverse Hessian that ``pairs`` describe.

    Nocedal and Wright (2006), Algorithm 7.4, with H0 = (s . y) / (y . y) of the newest pair
    (eq. 7.20).  Without pairs, the gradient scaled to a root mean square move of FIRST_MOVE.
    """
    k = kernels.of(d_image)
    q = d_image.copy()
    if not pairs:
        length = float(k.dot(q, q)) ** 0.5
        return k.scale(-FIRST_MOVE * q.size**0.5 / length if length else 0.0, q)
    alphas, curvatures = [], [k.dot(y, s) for s, y in pairs]
    for (s, y), curvature in zip(reversed(pairs), reversed(curvatures), strict=True):
        alpha = k.dot(s, q) / curvature
        k.axpy(-alpha, y, q)
        alphas.append(alpha)
    _, newest = pairs[-1]
    r = k.scale(curvatures[-1] / k.dot(newest, newest), q)
    for (s, y), curvature, alpha in zip(pairs, curvatures, reversed(alphas), strict=True):
        beta = k.dot(y, r) / curvature
        k.axpy(alpha - beta, s, r)
    return k.scale(-1.0, r)


def _clip(image: Array, bounds: tuple[float, float] | None) -> Array:
    return image if bounds is None else kernels.of(image).clip(image, *bounds)


def _zeros_like(array: Array) -> Array:
    zeros = array.copy()
    zeros.fill(0)
    return zeros
