"""A scene is painted: its first frame as any picture is, each later one from those before it.

A later frame starts from the last ones, moved along the optical flow, and one loss more holds it
there where they are known: see flow.py and objective/temporal.py.  It is painted at full size
only, and done as soon as steps cease to bring anything.

The colours of all frames are moved as those of the scene's most colourful one: what comes into the
picture does not change the colours of what is there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nst.devices import Device
from nst.film.clip import Clip
from nst.film.flow import BACK, grey, remembered
from nst.film.kept import LOOKED_BACK, Kept
from nst.film.scenes import Scene, Survey
from nst.objective import Warped
from nst.objective.effort import EFFORTS
from nst.objective.recipes import INITS
from nst.pictures import images
from nst.pictures.reading import Input
from nst.run.inputs import Inputs, content_of, inputs_of
from nst.run.plan import Plan, plan
from nst.run.scales import Scale
from nst.run.shared import Shared
from nst.run.state import State, choose_optimizer, start
from nst.settings import Settings

SHARE = 0.15  # of a still's work, in whole evaluations: the most that a later frame gets
UNTIL = 1.0  # percent that the loss has to come down by in WINDOW steps of a later frame
WINDOW = 5


@dataclass(frozen=True)
class Shoot:
    """All that the scenes of one film have in common."""

    clip: Clip
    survey: Survey
    settings: Settings
    device: Device
    read: dict[Path, Input]  # the styles and their masks
    files: dict[str, str]  # path: sha256 of all that is read
    shared: Shared
    temporal: float
    first: Plan  # of the first frame of a scene
    later: Plan  # of all others

    def base(self, scene: Scene) -> Inputs:
        """Return what the frames of a scene have in common."""
        return base_of(self.settings, self.device, self.read, self.files, scene, self.shared)


def base_of(
    settings: Settings,
    device: Device,
    read: dict[Path, Input],
    files: dict[str, str],
    scene: Scene,
    shared: Shared,
) -> Inputs:
    """Return the inputs of a run whose photograph is the reference frame of a ``scene``."""
    inputs = inputs_of(settings, device, read, (scene.reference, None), shared)
    if inputs.recipe.init not in INITS:
        picture = images.load_to_paint(read[Path(inputs.recipe.init)])[0]
        inputs = replace(inputs, start=picture)
    return replace(inputs, files=files)


def at_frame(base: Inputs, picture: np.ndarray) -> Inputs:
    """Return the inputs of one frame (3, H, W) of the scene of ``base``."""
    how = base.settings, base.recipe, picture, None, base.paintings
    return replace(base, photograph=picture, content=content_of(*how, like=base.photograph))


def plans(inputs: Inputs, most: int | None) -> tuple[Plan, Plan]:
    """Return how to paint a scene's first frame, and how each later one, in ``most`` steps."""
    temporal = replace(inputs, recipe=replace(inputs.recipe, temporal=1.0))  # its memory counts
    first = replace(plan(temporal), folder=None)
    full = first.full
    if most is None:
        work = sum(scale.work for scale in first.scales)
        most = max(1, round(SHARE * work / (full.height * full.width)))
    later = replace(first, scales=(Scale(full.height, full.width, most),), window=WINDOW)
    return first, later


@dataclass
class Painted:
    """A frame of a scene, painted."""

    number: int  # in the film
    image: np.ndarray  # (3, H, W), in its final colours
    history: list[dict[str, float]]  # of its steps; none where it was painted by an earlier run


def paint_scene(
    shoot: Shoot, scene: Scene, kept: Kept, done: int, paint: Any, on_progress: Any
) -> Iterator[Painted]:
    """Yield the frames of a ``scene`` in order, from the first that is not ``done``.

    Those that were painted by an earlier run are taken from what is ``kept``; ``done`` of them are
    in the result already.  ``paint`` paints one, as `stylize.complete` does.
    """
    base = shoot.base(scene)
    painted_before = kept.painted
    first_needed = max(0, min(done, painted_before - LOOKED_BACK))
    past: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for frame in shoot.clip.frames(scene.start + first_needed, scene.stop):
        number = frame.number - scene.start
        full = shoot.first.full
        picture = images.resize(frame.picture, full.height, full.width)
        inputs = at_frame(base, picture)
        luma, history = grey(picture), list[dict[str, float]]()
        if number < painted_before:
            painted = kept.frame(number)
        else:
            earlier = [past.get(number - back) for back in BACK]
            image, history = _paint(
                shoot, inputs, luma, earlier, kept, paint, on_progress(frame.number)
            )
            painted = kept.add(image.clip(0, 1))
        past[number] = luma, painted
        past.pop(number - LOOKED_BACK, None)
        if number >= done:
            yield Painted(frame.number, inputs.present(painted), history)


def _paint(
    shoot: Shoot,
    inputs: Inputs,
    luma: np.ndarray,
    earlier: list[tuple[np.ndarray, np.ndarray] | None],
    kept: Kept,
    paint: Any,
    on_progress: Any,
) -> tuple[np.ndarray, list[dict[str, float]]]:
    """Paint one frame; return it as the optimizer left it, and the losses of its steps."""
    if not any(earlier):
        state = start(inputs, shoot.first)
        result = paint(inputs, shoot.first, state, on_progress)
        kept.keep_unit(unit_of(inputs, result.history))
        return inputs.device.asnumpy(state.image), result.history
    warped, begun = remembered(luma, earlier, inputs.content)
    later = with_memory(inputs, warped, shoot.temporal * (kept.unit or 1.0))
    image = inputs.device.asarray(begun)
    state = State(image, image, choose_optimizer(inputs.recipe, shoot.later.pairs))
    result = paint(later, shoot.later, state, on_progress)
    return inputs.device.asnumpy(state.image), result.history


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


def unit_of(inputs: Inputs, history: list[dict[str, float]]) -> float:
    """Return what the temporal loss is measured in: the total that a first frame ends with.

    So its weight means the same for every recipe, network and picture.  A sum of logarithms has no
    such size: the sum of its weights is what a relative change of all losses changes it by.
    """
    recipe = inputs.recipe
    if recipe.combination == "log":
        return sum([*recipe.content.values(), *recipe.style.values(), recipe.smoothness])
    last = [entry["total"] for entry in history if entry["scale"] == history[-1]["scale"]]
    return min(last) if last else 1.0
