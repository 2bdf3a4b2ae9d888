"""What must be in a checkpoint: the types and ranges of its text, and what has to fit together."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from nst import schema
from nst.errors import NstError
from nst.optimizers import pyramid
from nst.run.ending import WINDOW, last_begun
from nst.settings import LARGEST_SIDE, MOST_SCALES, MOST_STEPS

if TYPE_CHECKING:
    from nst.run.checkpoints import Checkpoint

DEEPEST = 6  # brackets in brackets of an optimizer's state
MOST_TEXT, TEXT_OF_A_STEP = 250_000, 4000  # characters: of all else, and of a step's losses

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_STEPS)]
Side = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_SIDE)]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{0,64}$")]
LossName = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,40}( [a-z0-9_]{1,40})?$")]
Array = np.ndarray
Trial = tuple[float, float, float]  # see line_search.Trial


class Named(msgspec.Struct, forbid_unknown_fields=True):
    """An array of the archive."""

    array: str


class About(msgspec.Struct, forbid_unknown_fields=True):
    """The text beside the arrays: see `checkpoints.Checkpoint`, whose fields these are.

    The settings have a schema of their own, and so has each optimizer's state.
    """

    settings: dict[str, Any]
    folder: Path
    inputs: dict[str, Digest]
    model: Digest
    device: str
    scales: Annotated[
        list[tuple[Side, Side, Count]], msgspec.Meta(min_length=1, max_length=MOST_SCALES)
    ]
    side: Side | None
    pairs: Count
    history: Annotated[list[dict[LossName, int | float]], msgspec.Meta(max_length=MOST_STEPS)]
    image: Named
    optimizer: dict[str, Any]
    asking: Named | None = None


class Descent(msgspec.Struct, forbid_unknown_fields=True):
    """The state of `optimizers.NormalisedDescent`."""

    step_size: float


class Adam(msgspec.Struct, forbid_unknown_fields=True):
    """The state of `optimizers.Adam`."""

    step_size: float
    steps: Count
    moments: list[Array]
    mean: Array | None = None


class PyramidAdam(msgspec.Struct, forbid_unknown_fields=True):
    """The state of `optimizers.PyramidAdam`."""

    step_size: float
    steps: Count
    levels: list[Array]
    moments: list[tuple[Array, Array]]


class Search(msgspec.Struct, forbid_unknown_fields=True):
    """The state of `line_search.LineSearch`."""

    zero: Trial
    low: Trial
    high: Trial | None
    trial: float
    trials: Count
    accepted: bool


class Lbfgs(msgspec.Struct, forbid_unknown_fields=True):
    """The state of `optimizers.Lbfgs`."""

    pairs: list[tuple[Array, Array]]
    search: Search | None
    line: tuple[Array, Array, Array] | None = None
    first: Count = 0  # the row of the oldest pair: see `optimizers.history`


STATES: dict[str, Any] = {
    "descent": Descent,
    "adam": Adam,
    "pyramid": PyramidAdam,
    "lbfgs": Lbfgs,
}


def check(
    saved: "Checkpoint",
    optimizer: str,
    most_pairs: tuple[int, int],
    smallest_tile: int,
    ends_early: bool,
) -> None:
    """Raise NstError unless all that ``saved`` holds fits together, and the run's recipe.

    ``most_pairs`` are those that the run may keep, and those that the last scale can.  Where it
    ``ends_early``, a scale may have ended before its steps.

    A checkpoint that a run has written does.  One that somebody has made up might not, and would
    end in the middle of a step.
    """
    state = schema.convert(saved.optimizer, STATES[optimizer], "the optimizer's state")
    arrays = [saved.image, *_arrays([saved.asking])]
    arrays += [] if optimizer == "pyramid" else [*_arrays(saved.optimizer)]
    sound = {
        "the steps": _counts_up(saved, ends_early),
        "the image": saved.image.shape == (3, *last_begun(saved.history, saved.scales)[:2]),
        "an array": all(a.shape == saved.image.shape and a.dtype == np.float32 for a in arrays),
        "the numbers": all(
            a.dtype.kind == "f" and np.isfinite(a).all()
            for a in [saved.image, *_arrays([saved.asking]), *_arrays(saved.optimizer)]
        ),
        "the tiles": saved.side is None or saved.side >= smallest_tile,
        "the pairs": 1 <= saved.pairs <= most_pairs[0],
    }
    if optimizer == "adam":
        sound["the moments"] = len(state.moments) in (0, 2)
    if optimizer == "pyramid":
        sizes = pyramid.sizes_of(*saved.image.shape[1:]) if sound["the image"] else []
        shapes = [(3, *size) for size in sizes] if state.levels else []
        whole = [state.levels, *([each[i] for each in state.moments] for i in (0, 1))]
        sound["the pyramid"] = all([a.shape for a in each] == shapes for each in whole) and all(
            a.dtype == np.float32 for each in whole for a in each
        )
    if optimizer == "lbfgs":
        sound["the line search"] = (state.search is None) == (state.line is None)
        sound["the pairs"] &= len(state.pairs) <= most_pairs[1] and state.first < most_pairs[1]
    if wrong := [name for name, is_so in sound.items() if not is_so]:
        raise NstError(
            f"the checkpoint does not fit together: {' and '.join(wrong)} cannot be so. It was "
            "not written by nst like this; start a new run."
        )


def _counts_up(saved: "Checkpoint", ends_early: bool) -> bool:
    """Return whether the history counts the steps of the scales, each with losses of its own."""
    names = {"step": 0, "scale": 0, "size": 0, "seconds": 0.0, "total": 0.0}
    kept: dict[float, list[str]] = {}  # a fine stage has losses of its own
    for one in saved.history:
        if not names.keys() <= one.keys() or list(one) != kept.setdefault(one["scale"], list(one)):
            return False
    counted = [(entry["step"], entry["scale"]) for entry in saved.history]
    scales = [scale for _, scale in counted]
    made = Counter(scales)
    due = [k for k, scale in enumerate(saved.scales, start=1) if scale[2]]  # those with steps
    begun = due[: len(made)]
    return (
        counted == list(enumerate(sorted(scales), start=1))
        and sorted(made) == begun
        and all(made[k] <= saved.scales[k - 1][2] for k in begun)
        and all(_may_be_over(saved, k, made[k], ends_early) for k in begun[:-1])
    )


def _may_be_over(saved: "Checkpoint", number: int, made: int, ends_early: bool) -> bool:
    """Return whether scale ``number`` may have ended after the steps that were ``made``."""
    return (ends_early and made >= 2 * WINDOW) or made == saved.scales[number - 1][2]


def _arrays(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _arrays(inner)
    elif isinstance(value, np.ndarray):
        yield value
