"""A scene is painted: its first frame as any picture is, each later one from those before it.

A later frame starts from the last ones, moved along the optical flow, and one loss more holds it
there where they are known: see flow.py and objective/temporal.py.  It is painted at full size
only, and done as soon as steps cease to bring anything.

The colours of all frames are moved as those of the scene's most colourful one: what comes into the
picture does not change the colours of what is there.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from nst.devices import Device
from nst.film.clip import Clip
from nst.film.flow import BACK, grey, remembered
from nst.film.kept import LOOKED_BACK, Kept, as_picture
from nst.film.scenes import Scene, Survey
from nst.film.writing import Sink
from nst.objective import Warped
from nst.objective.effort import EFFORTS
from nst.objective.recipes import INITS
from nst.pictures import images
from nst.pictures.reading import Input
from nst.run.inputs import Inputs, content_of, inputs_of
from nst.run.plan import Plan, plan
from nst.run.records import Progress
from nst.run.scales import Scale
from nst.run.shared import Shared
from nst.run.state import State, choose_optimizer, start
from nst.settings import Settings

SHARE = 0.13  # of a still's work, in whole evaluations: the most that a later frame gets
UNTIL = 1.0  # percent that the loss has to come down by in WINDOW steps of a later frame
WINDOW = 5


@dataclass(frozen=True)
class Way:
    """How the frames of a film are painted."""

    temporal: float
    first: Plan  # of the first frame of a scene
    later: Plan  # of all others


@dataclass(frozen=True)
class Shoot(Way):
    """All that the scenes of one film have in common."""

    clip: Clip
    survey: Survey
    settings: Settings
    device: Device
    read: dict[Path, Input]  # the styles and their masks
    files: dict[str, str]  # path: sha256 of all that is read
    shared: Shared

    def base(self, scene: Scene) -> Inputs:
        """Return what the frames of a scene have in common."""
        common = self.settings, self.device, self.read, self.files
        return base_of(*common, scene.reference, self.shared)


def base_of(
    settings: Settings,
    device: Device,
    read: dict[Path, Input],
    files: dict[str, str],
    reference: np.ndarray,
    shared: Shared,
) -> Inputs:
    """Return the inputs of a run whose photograph is the ``reference`` frame of a scene.

    Where its colours are moved before it is painted, by the same map in every frame, they are not
    moved again after it: by each frame's own, what comes into the picture would change the rest.
    """
    inputs = inputs_of(settings, device, read, (reference, None), shared)
    if inputs.recipe.content_colors == "style":
        inputs = replace(inputs, recipe=replace(inputs.recipe, palette="painted"))
    if inputs.recipe.init not in INITS:
        picture = images.load_to_paint(read[Path(inputs.recipe.init)])[0]
        inputs = replace(inputs, start=picture)
    return replace(inputs, files=files)


def at_frame(base: Inputs, picture: np.ndarray) -> Inputs:
    """Return the inputs of one frame (3, H, W) of the scene of ``base``."""
    how = base.settings, base.recipe, picture, None, base.paintings
    content = content_of(*how, like=base.photograph)
    fine = base.fine and replace(base.fine, photograph=picture, content=content)
    return replace(base, photograph=picture, content=content, fine=fine)


def plans(inputs: Inputs, most: int | None) -> tuple[Plan, Plan]:
    """Return how to paint a scene's first frame, and how each later one, in ``most`` steps."""
    temporal = replace(inputs, recipe=replace(inputs.recipe, temporal=1.0))  # its memory counts
    first = replace(plan(temporal), folder=None)
    full = first.full
    if most is None:
        work = sum(scale.work for scale in first.scales)
        most = max(1, round(SHARE * work / (full.height * full.width)))
    pairs = first.pairs_at(full)  # no more than were counted
    scales = (Scale(full.height, full.width, most),)
    return first, replace(first, scales=scales, pairs=pairs, window=WINDOW)


# ---- Frames, one after the other ---------------------------------------------------------


@dataclass(frozen=True)
class Stretch:
    """Frames of one scene that are painted one after the other, and what they look back at."""

    start: int  # the number of the first in its scene
    pictures: list[np.ndarray]  # (3, H, W), of the size that is painted
    past: dict[int, tuple[np.ndarray, np.ndarray]]
    # ^ by number, of those before: luma (H, W) uint8, and as it was painted (3, H, W)
    unit: float | None  # of the scene's losses; None where it has no frame yet


@dataclass(frozen=True)
class Painted:
    """A frame of a scene, painted."""

    number: int  # in the scene
    levels: np.ndarray  # (H, W, 3) uint8: as later frames look back at it
    shown: np.ndarray  # the same in its final colours
    unit: float | None  # of the scene's losses
    history: list[dict[str, float]]  # of its steps


def paint_stretch(
    way: Way,
    base: Inputs,
    stretch: Stretch,
    paint: Any,
    telling: Callable[[int], Callable[[Progress], object]],
) -> Iterator[Painted]:
    """Yield the frames of a ``stretch`` in order, each painted from those before it.

    ``paint`` paints one, as `stylize.complete` does; ``telling(number)`` returns what is called
    after each step of a frame.
    """
    past, unit = dict(stretch.past), stretch.unit
    for number, picture in enumerate(stretch.pictures, start=stretch.start):
        inputs, luma = at_frame(base, picture), grey(picture)
        earlier = [past.get(number - back) for back in BACK]
        if any(earlier) and base.settings.strength > 0:  # with 0 each frame is its own photograph
            image, history = _paint_later(way, inputs, luma, earlier, unit, paint, telling(number))
        else:
            state = start(inputs, way.first)
            history = paint(inputs, way.first, state, telling(number)).history
            image, unit = inputs.device.asnumpy(state.image), unit_of(inputs, way.first, history)
        levels = images.as_uint8(image.clip(0, 1))
        painted = as_picture(levels)
        past[number] = luma, painted
        past.pop(number - LOOKED_BACK, None)
        shown = images.as_uint8(inputs.present(painted))
        yield Painted(number, levels, shown, unit, history)


def _paint_later(
    way: Way,
    inputs: Inputs,
    luma: np.ndarray,
    earlier: list[tuple[np.ndarray, np.ndarray] | None],
    unit: float | None,
    paint: Any,
    on_progress: Any,
) -> tuple[np.ndarray, list[dict[str, float]]]:
    """Paint one frame; return it as the optimizer left it, and the losses of its steps."""
    warped, begun = remembered(luma, earlier, inputs.content)
    later = with_memory(inputs, warped, way.temporal * (unit or 1.0))
    image = inputs.device.asarray(begun)
    pairs = way.later.pairs_at(way.later.full)
    state = State(image, image, choose_optimizer(inputs.recipe, pairs))
    result = paint(later, way.later, state, on_progress)
    return inputs.device.asnumpy(state.image), result.history


class Reel:
    """A scene as it is painted: what is kept of it, what comes next, and where it goes.

    Whoever paints it, here or elsewhere, asks for the next frames and gives them back painted.
    Those that an earlier run has painted are not asked for.
    """

    def __init__(self, shoot: Shoot, scene: Scene, kept: Kept, sink: Sink) -> None:
        self.scene = scene
        self._shoot, self._kept, self._sink = shoot, kept, sink
        self._past: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._asked: list[np.ndarray] = []  # frames that were handed out, and are not back
        self._frames = self._without_those_painted()

    @cached_property
    def base(self) -> Inputs:
        """What the frames of the scene have in common; not made where others paint all of it."""
        return self._shoot.base(self.scene)

    def next(self, most: int) -> Stretch | None:
        """Return the next frames to paint, at most so many; None at the end of the scene.

        What was handed out before and did not come back, its painter being gone, is handed out
        again.
        """
        self._asked = self._asked or list(islice(self._frames, most))
        if not self._asked:
            self._sink.close()
            self._kept.trim(self._sink.done)
            return None
        return Stretch(self._kept.painted, list(self._asked), dict(self._past), self._kept.unit)

    def take(self, painted: Painted) -> None:
        """Keep a frame, and let it be in the result."""
        if painted.number == 0 and painted.unit is not None:
            self._kept.keep_unit(painted.unit)
        image = self._kept.add(as_picture(painted.levels))
        self._look_back(painted.number, grey(self._asked.pop(0)), image)
        self._write(painted.number, as_picture(painted.shown))

    def _without_those_painted(self) -> Iterator[np.ndarray]:
        """Yield the frames that are to be painted, after those of an earlier run were taken."""
        done, painted = self._sink.done, self._kept.painted
        first = max(0, min(done, painted - LOOKED_BACK))
        full = self._shoot.first.full
        for frame in self._shoot.clip.frames(self.scene.start + first, self.scene.stop):
            number = frame.number - self.scene.start
            picture = images.resize(frame.picture, full.height, full.width)
            if number >= painted:
                yield picture
                continue
            image = self._kept.frame(number)
            self._look_back(number, grey(picture), image)
            if number >= done:
                self._write(number, at_frame(self.base, picture).present(image))

    def _look_back(self, number: int, luma: np.ndarray, image: np.ndarray) -> None:
        self._past[number] = luma, image
        self._past.pop(number - LOOKED_BACK, None)

    def _write(self, number: int, image: np.ndarray) -> None:
        self._sink.write(self.scene.start + number, image)
        self._kept.trim(self._sink.done)


def with_memory(inputs: Inputs, warped: Warped, weight: float) -> Inputs:
    """Return the inputs of a frame that is to keep what was painted before.

    The temporal loss is steep where it holds and absent where it does not: no band of frequencies
    has one curvature, and L-BFGS begins with one for all.
    """
    recipe = replace(inputs.recipe, temporal=weight, bands=1)
    asked = inputs.settings
    until = UNTIL if asked.until is None and EFFORTS[asked.effort].ends else asked.asked_until
    return replace(
        inputs, warped=warped, recipe=recipe, settings=replace(inputs.settings, until=until)
    )


def unit_of(inputs: Inputs, first: Plan, history: list[dict[str, float]]) -> float:
    """Return what the temporal loss is measured in: the total that a ``first`` frame ends with.

    So its weight means the same for every recipe, network and picture.  Of a recipe with a fine
    stage it is the total before that, for later frames have none.  A sum of logarithms has no
    such size: the sum of its weights is what a relative change of all losses changes it by.

    Parameters
    ----------
    inputs : Inputs
        Of the frame.
    first : Plan
        How it was painted.
    history : list of dict
        Its steps.
    """
    recipe = inputs.recipe
    if recipe.combination == "log":
        return sum([*recipe.content.values(), *recipe.style.values(), recipe.smoothness])
    coarse = [one for one in history if not first.scales[int(one["scale"]) - 1].fine]
    last = [entry["total"] for entry in coarse if entry["scale"] == coarse[-1]["scale"]]
    return min(last) if last else 1.0
