"""L-BFGS: the gradients of the last steps stand in for the second derivatives.

Within bounds every trial is clipped, so a search goes along a bent line: straight, until a pixel
comes to its bound and stays there.  So what it evaluates is always a picture.

With ``bands`` it begins with a curvature for each band of frequencies in place of one for all:
see first_curvatures.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nst import kernels
from nst.kernels import Array
from nst.optimizers import first_curvatures
from nst.optimizers.first_curvatures import Pair, known_of
from nst.optimizers.history import History
from nst.optimizers.line_search import LineSearch
from nst.optimizers.optimizer import clipped

FIRST_MOVE = 0.02  # root mean square move of the first trial, in units of the pixel range
SHORTEST = 1e-30  # length of a gradient: shorter ones need not be divided by


@dataclass
class Lbfgs:
    """Limited-memory BFGS (Nocedal and Wright 2006, Algorithm 7.5) with a strong Wolfe search.

    ``history`` pairs (s, y) of a move and the change of gradient along it stand in for the
    second derivatives.  A step is one evaluation: it either ends the line search, and begins
    the next, or moves ``image`` to the search's next trial.
    """

    history: int = 10
    bounds: tuple[float, float] | None = (0.0, 1.0)
    bands: int = 1  # of frequencies, each with a first curvature of its own; 1: one for all
    search: LineSearch | None = None
    start: Array = None  # where the running line search started
    d_start: Array = None  # the gradient at `start`
    direction: Array = None  # of the search: image = start + step * direction, clipped
    kept: History | None = None  # the pairs; None: none yet
    known: list[Pair] = field(default_factory=list)  # of the pairs: products, and what is in bands
    change: tuple[Array, Array, Array, Array] | None = None  # since the start: s, y, y.s, y.y

    @property
    def pairs(self) -> list[tuple[Array, Array]]:
        """The pairs (s, y) that are kept, oldest first."""
        return [] if self.kept is None else self.kept.pairs

    @pairs.setter
    def pairs(self, pairs: Sequence[tuple[Array, Array]]) -> None:
        self.kept = History(self.history, pairs) if pairs else None

    def asks(self, image: Array, loss: Array, d_image: Array) -> list[Array | float]:
        """Return what decides how a line search goes on, in the order in which `step` takes it."""
        if self.search is None:
            return [loss]
        k = kernels.of(image, d_image)
        s, y = self._moved(image), k.axpy(-1.0, self.d_start, d_image.copy())
        if self.bounds is not None:
            y *= s != 0  # what the others did to a pixel that is held would mislead them later
        self.change = s, y, k.dot(y, s), k.dot(y, y)
        return [loss, self.search.zero.slope, self._slope(image, d_image), *self.change[2:]]

    def step(
        self, image: Array, loss: Array, d_image: Array, told: Sequence[float] | None = None
    ) -> None:
        if told is None:
            told = kernels.floats(self.asks(image, loss, d_image))
        if self.search is None:
            self._begin(image, told[0], d_image)
            return
        here, opening, slope, bend, square = told
        if self.search.trials == 0 and not self._opens_downhill(image, here, d_image, opening):
            return
        self.search.advance(here, slope)
        if not self.search.done:
            self._move_to(self.search.trial, image)
        elif self.search.accepted:
            self._remember(curved=bend > 1e-10 * square)
            self._begin(image, here, d_image)
        else:  # go back to the best trial, and begin again from it without a history
            self._move_to(self.search.low.step, image)
            self.search = None
            self._forget()
        self.change = None  # two images less to keep until the next step

    def best(self, image: Array) -> Array:
        best = image if self.search is None else self.start
        return clipped(best.copy(), self.bounds)

    def state(self) -> dict[str, Any]:
        first = 0 if self.kept is None else self.kept.first
        state: dict[str, Any] = {"pairs": self.pairs, "first": first, "search": None}
        if self.search is not None:
            state["search"] = self.search.state()
            state["line"] = [self.start, self.d_start, self.direction]
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        self._forget()
        kept = History(self.history, state["pairs"], state.get("first", 0))
        self.kept = kept if len(kept) else None
        self.search = None
        if state["search"] is not None:
            self.search = LineSearch.from_state(state["search"])
            self.start, self.d_start, self.direction = state["line"]

    def _begin(self, image: Array, loss: float, d_image: Array) -> None:
        """Start a line search at ``image`` and go to its first trial."""
        self.start, self.d_start = image.copy(), d_image.copy()
        self._aim(image, loss)

    def _aim(self, image: Array, loss: float) -> None:
        """Choose the direction at `start`, and go to the first trial along it.

        Its slope decides whether it is any good.  On a GPU that would be a wait: there it is
        looked at when the trial has been evaluated.
        """
        k = kernels.of(image)
        self.search = None
        self.direction = self._downhill(self.start, self.d_start)
        slope = k.dot(self.d_start, self.direction)
        if isinstance(slope, np.ndarray):
            slope = float(slope)
            if self.kept and slope >= 0:  # rounding has spoilt the history
                self._forget()
                self._aim(image, loss)
                return
            if slope == 0:
                return  # nothing pulls, or only against the bounds: this is a minimum, stay
        self.search = LineSearch(loss, slope)
        self._move_to(self.search.trial, image)

    def _opens_downhill(self, image: Array, loss: float, d_image: Array, slope: float) -> bool:
        """Tell whether the slope at the start was good, now that it is known; else begin again."""
        if self.kept and slope >= 0:  # rounding has spoilt the history
            self._forget()
            self.change = None
            self._aim(image, self.search.zero.loss)  # type: ignore[union-attr]
            return False
        if slope == 0:  # the image has not moved
            self.change = None
            self._begin(image, loss, d_image)
            return False
        self.search.open(slope)  # type: ignore[union-attr]
        return True

    def _downhill(self, image: Array, d_image: Array) -> Array:
        """Return the direction to search: zero where a pixel is held by its bound.

        Such a pixel is pulled outward, and clipped it would stay; meanwhile its share of the
        direction would spoil that of the others, and the run would stall far from the minimum.
        Bertsekas, "Projected Newton methods ..." (1982).
        """
        if len(self.known) != len(self.pairs):  # of another optimizer's state
            self.known = [known_of(s, y, bands=self.bands) for s, y in self.pairs]
        if self.bounds is None:
            return two_loop_direction(d_image, self.kept, self.known)
        low, high = self.bounds
        held = ((image <= low) & (d_image > 0)) | ((image >= high) & (d_image < 0))
        free = (~held).astype(d_image.dtype)
        return two_loop_direction(free * d_image, self.kept, self.known, free)

    def _move_to(self, step: float, image: Array) -> None:
        """Set ``image`` to start + step * direction, clipped."""
        image[...] = self.start
        kernels.of(image).axpy(step, self.direction, image)
        clipped(image, self.bounds)

    def _moved(self, image: Array) -> Array:
        """Return s, how far ``image`` is from the start."""
        k = kernels.of(image)
        if self.bounds is None:
            return k.scale(self.search.trial, self.direction.copy())  # type: ignore[union-attr]
        return k.axpy(-1.0, self.start, image.copy())

    def _slope(self, image: Array, d_image: Array) -> Array:
        """Return the slope of the loss along the search; a pixel at its bound moves no more."""
        k = kernels.of(image, d_image)
        if self.bounds is None:
            return k.dot(d_image, self.direction)
        low, high = self.bounds
        moving = ((image > low) & (image < high)).astype(d_image.dtype)
        return k.dot(moving * d_image, self.direction)

    def _remember(self, curved: bool) -> None:
        """Keep the pair of this line search: s = image - start, y = d_image - d_start where s is.

        Unless it is not ``curved``: bounds and rounding aside, the strong Wolfe conditions see to
        it.
        """
        s, y, *products = self.change  # type: ignore[misc]
        self.change = None
        if not curved or not self.history:
            return
        self.kept = self.kept or History(self.history)
        s, y = self.kept.add(s, y)  # what came is copied, and not needed any more
        known = [*self.known, known_of(s, y, products, self.bands)]
        self.known = known[-self.history :]

    def _forget(self) -> None:
        self.kept, self.known = None, []


def two_loop_direction(
    d_image: Array,
    pairs: History | Sequence[tuple[Array, Array]] | None,
    known: list[Pair] | None = None,
    free: Array | None = None,
) -> Array:
    """Return ``-H d_image``, where H is the inverse Hessian that ``pairs`` describe.

    Nocedal and Wright (2006), Algorithm 7.4, from the H0 of `first_curvatures`; but each loop in
    one pass over the pairs.  What it takes from one of them to the next are products of moves and
    changes, which are known: Byrd, Nocedal and Schnabel (1994).  Without pairs, the gradient
    scaled to a root mean square move of FIRST_MOVE.

    Parameters
    ----------
    d_image : float array
        The gradient.
    pairs : History, or list of (s, y), oldest first
        Of arrays of the same shape: a move, and the change of gradient along it.
    known : list of Pair, optional
        `known_of` each pair, if it is at hand; else H0 is one number, eq. 7.20.
    free : float array, optional
        1, and 0 where a pixel is held.  H0 must not carry what pulls at it to others: the y of
        older pairs still have that.
    """
    k = kernels.of(d_image)
    q = d_image.copy()
    if not pairs:
        return k.scale(_over_length(-FIRST_MOVE * q.size**0.5, k.dot(q, q)), q)
    kept = pairs if isinstance(pairs, History) else History(len(pairs), pairs)
    known = known or [known_of(s, y) for s, y in kept.pairs]
    products = kept.products
    alphas = k.substitute_back(products, kept.along_moves(q))
    kept.add_changes(-alphas, q)
    r = first_curvatures.begin(known, q if free is None else free * q)
    r = r if free is None else free * r
    ends = products.diagonal() * alphas - kept.along_changes(r)
    kept.add_moves(k.substitute_back(products, ends, transposed=True), r)
    return k.scale(-1.0, r if free is None else free * r)


def _over_length(move: float, square: Array) -> Array | float:
    """Return ``move / square ** 0.5``, or what is finite where that is zero."""
    if isinstance(square, np.ndarray):
        length = float(square) ** 0.5
        return move / length if length else 0.0
    return move / (square.astype(np.float64) ** 0.5 + SHORTEST)  # not known yet: no branch
