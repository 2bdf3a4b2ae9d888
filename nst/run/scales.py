"""The sizes that a picture is painted at, coarse to fine, and how many steps each one gets."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import log

import numpy as np

from nst.errors import NstError
from nst.objective.effort import draft_side
from nst.pictures import images
from nst.settings import LARGEST_SIDE, Settings
from nst.vgg.architecture import SMALLEST_SIDE

COARSEST = 256  # pixels, about: the longer side at which --scales auto starts
SMALLEST_SCALE = 64  # pixels on a side: below, nothing of the picture would be left to see
STEPS_RATIO = 1.5  # a scale gets so many times the steps of one twice its size


@dataclass(frozen=True)
class Scale:
    """One size of the picture, and how many steps are spent on it."""

    height: int
    width: int
    steps: int
    fine: bool = False  # what is minimised there is the recipe's `fine`

    @property
    def longer(self) -> int:
        """Its longer side, in pixels."""
        return max(self.height, self.width)

    @property
    def work(self) -> int:
        """What the scale costs: a step costs as many units as there are pixels."""
        return self.steps * self.height * self.width


def scales_for(height: int, width: int, settings: Settings) -> list[Scale]:
    """Return the scales, coarse to fine, for a content image of ``height`` x ``width``.

    The last has the asked size.  Scales that were counted, not listed, are left out where they
    are too small to see anything, and so are scales without a step.  What the settings do not
    say, the recipe says: where it goes down to a size, as far as the network can follow.  Those
    of a preview take the place of all that are no larger than it, and of the one at which "auto"
    starts.  Where the recipe has a fine stage, the last two have one size.

    Parameters
    ----------
    height, width : int
        Pixels of the content image.
    settings : Settings
        Its size, scales, steps, effort and recipe are used.

    Raises
    ------
    NstError
        If the coarsest would be too small for the network.
    """
    full = result_side(height, width, settings)
    if full > LARGEST_SIDE:
        raise NstError(
            f"{settings.recipe} gives the {settings.objective.side} side its size, so the result "
            f"would be {full} pixels long; the most are {LARGEST_SIDE}. Give a --size, or crop."
        )
    planned = _scales_to(full, height, width, settings, settings.scales)
    first = preview_scales(height, width, settings)
    if not first:
        return planned
    asked = settings.objective.scales if settings.scales is None else settings.scales
    coarsest = [planned[0].longer] if asked == "auto" and planned[0].longer < full else []
    side = max([scale.longer for scale in first] + coarsest)
    return first + [scale for scale in planned if scale.longer > side]


def preview_scales(height: int, width: int, settings: Settings) -> list[Scale]:
    """Return the scales of the draft that a run begins with; none where there is no preview.

    A result that is no larger than a draft has none: it is there as soon.

    Parameters
    ----------
    height, width, settings
        As for `scales_for`.
    """
    if not settings.preview or result_side(height, width, settings) <= draft_side():
        return []
    scales = _scales_to(draft_side(), height, width, settings, effort="draft")
    return [scale for scale in scales if scale.steps]


def _scales_to(
    full: int,
    height: int,
    width: int,
    settings: Settings,
    asked: str | int | tuple[int, ...] | None = None,
    effort: str | None = None,
) -> list[Scale]:
    """Return the scales up to one of ``full`` pixels: as ``asked``, or the recipe's.

    With the settings' own steps, or those of an ``effort``.
    """
    recipe = settings.objective
    scales = recipe.scales if asked is None else asked
    smallest = SMALLEST_SCALE
    if asked is None and recipe.coarsest is not None:
        sides, smallest = recipe.sides_to(full, settings.factor), SMALLEST_SIDE
    else:
        sides = longer_sides(full, scales, settings.factor)
    sizes = [images.fit(height, width, side) for side in sides]
    if not isinstance(scales, tuple):
        sizes = [size for size in sizes[:-1] if min(size) >= smallest] + sizes[-1:]
    if min(sizes[0]) < SMALLEST_SIDE:
        side = max(sizes[0])
        raise NstError(
            f"at a size of {side} the result would be {sizes[0][1]} x {sizes[0][0]} pixels; "
            f"the network needs {SMALLEST_SIDE} on each side. Use a larger --size, or crop."
        )
    fine = recipe.fine is not None and effort is None  # a draft has none
    sizes += sizes[-1:] if fine else []
    steps = settings.asked_steps if effort is None else settings.usual_steps(effort, full)
    if (
        (effort is not None or settings.steps is None)
        and isinstance(steps, tuple)
        and len(steps) != len(sizes)
    ):
        steps = sum(steps)  # the recipe lists those of its own scales
    counts = share(steps, [max(size) for size in sizes], recipe.coarse_steps)
    planned = told_of(zip(sizes, counts, strict=True), fine)
    kept = 2 if fine else 1
    return [scale for scale in planned[:-kept] if scale.steps] + planned[-kept:]


def told_of(planned: Iterable[tuple[tuple[int, int], int]], fine: bool) -> list[Scale]:
    """Return the scales of these (height, width) and steps; the last may be a ``fine`` one."""
    scales = [Scale(*size, steps) for size, steps in planned]
    return [*scales[:-1], replace(scales[-1], fine=fine)]


def result_side(height: int, width: int, settings: Settings) -> int:
    """Return the longer side of the result in pixels: as asked, as listed, or the recipe's.

    A recipe measures the side that its source does; without a size it takes the content's own.

    Parameters
    ----------
    height, width : int
        Pixels of the content image.
    settings : Settings
        Its size, scales and recipe are used.
    """
    if settings.asked_size is not None:
        return settings.asked_size
    recipe = settings.objective
    if recipe.size is None:
        return min(max(height, width), LARGEST_SIDE)
    return round(max(height, width) * recipe.size / side_of(height, width, recipe.side))


def side_of(height: int, width: int, side: str) -> int:
    """Return the length of the side that is meant.

    Parameters
    ----------
    height, width : int
        Pixels.
    side : "longer", "shorter", "height" or "width"
        Which one is meant.

    Examples
    --------
    >>> side_of(480, 640, "shorter")
    480
    """
    longer, shorter = max(height, width), min(height, width)
    return {"longer": longer, "shorter": shorter, "height": height, "width": width}[side]


def longer_sides(full: int, scales: str | int | tuple[int, ...], factor: float) -> list[int]:
    """Return the longer side at each scale in pixels, growing by ``factor`` up to ``full``.

    Parameters
    ----------
    full : int
        The longer side of the result, in pixels.
    scales : int, tuple of int or "auto"
        How many, or the sides themselves, of which those below ``full`` are taken; "auto": from
        about `COARSEST` up.
    factor : float
        Above 1.

    Examples
    --------
    >>> longer_sides(512, 3, 2)
    [128, 256, 512]
    """
    if isinstance(scales, tuple):
        return [side for side in scales if side < full] + [full]
    if scales == "auto":
        count = 1 + max(0, round(log(full / COARSEST, factor)))
    else:
        count = int(scales)
    sides = [int(full / factor**k + 1e-6) for k in range(count)]  # sqrt 2 squared is not 2
    return [side for side in sides[::-1] if side]


def share(
    steps: int | tuple[int, ...], sides: list[int], coarse: float | None = None
) -> list[int]:
    """Return the steps at each of the scales with these longer ``sides``.

    What was listed is taken as it is.  A total is shared out: each scale before the last gets
    ``coarse`` of its steps; or, with None, STEPS_RATIO times those of one twice its size, and
    still a fraction of its time.

    Parameters
    ----------
    steps : int or tuple of int
        In all, or at each scale.
    sides : list of int
        Pixels of each scale's longer side, coarse to fine.
    coarse : float or None
        See above.

    Examples
    --------
    >>> share((30, 20), [256, 512])
    [30, 20]
    >>> share(130, [256, 512], 0.3)
    [30, 100]
    >>> sum(share(300, [160, 320, 640]))
    300
    """
    if isinstance(steps, tuple):
        if len(steps) != len(sides):
            listed = ", ".join(map(str, sides))
            scales = f"are {len(sides)} scales" if len(sides) > 1 else "is 1 scale"
            raise NstError(
                f"--steps lists {len(steps)} numbers, and there {scales}, of {listed} pixels; "
                "list one number for each, or give one number in all."
            )
        return list(steps)
    shares = np.array([sides[-1] / side for side in sides]) ** np.log2(STEPS_RATIO)
    if coarse is not None:
        shares = np.array([coarse] * (len(sides) - 1) + [1.0])
    ends = np.round(np.cumsum(shares) / shares.sum() * steps).astype(int)
    return [int(n) for n in np.diff(ends, prepend=0)]
