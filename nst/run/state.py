"""How far a run is: the picture, what the optimizer remembers, the history; begun and reopened."""

import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from nst import devices
from nst.errors import NstError
from nst.kernels import Array
from nst.lookup import Lookup
from nst.objective.recipes import GREY_NOISE, Noise, Recipe
from nst.objective.tiling import smallest_side
from nst.optimizers import EPSILON, Adam, Lbfgs, NormalisedDescent, Optimizer, PyramidAdam
from nst.pictures import images
from nst.run import checkpoint_schema, checkpoints, marks
from nst.run.checkpoints import Checkpoint
from nst.run.ending import last_begun
from nst.run.inputs import Inputs, check_writable, open_inputs, read_files
from nst.run.plan import Plan
from nst.run.scales import Scale, told_of
from nst.settings import Settings
from nst.vgg import weights


@dataclass
class State:
    """What changes while a run is painted."""

    image: Array  # (3, H, W) on the device: the best so far, at the scale being painted
    trial: Array  # where the optimizer wants to be evaluated next
    optimizer: Optimizer  # of the scale being painted
    history: list[dict[str, float]] = field(default_factory=list)  # see Records
    asking: Array | None = None  # what asks for targets that are made per scale; see asked_by
    whole: bool = True  # between two steps: image, trial, optimizer and history fit together
    # What the scale before ended with, and an optimizer that remembers nothing: until the next
    # one has made a step, a run that is stopped goes on from there.
    before: tuple[Array, Optimizer] | None = None


def start(inputs: Inputs, plan: Plan) -> State:
    """Return the state of a run before its first step: the image that it starts from."""
    recipe = inputs.recipe
    picture = inputs.style if inputs.start is None else inputs.start
    image = inputs.device.asarray(
        initial_image(
            recipe.init,
            inputs.settings.seed,
            inputs.content,
            picture,
            plan.scales[0],
            recipe.noise,
        )
    )
    return State(image, image, choose_optimizer(recipe, plan.pairs_at(plan.scales[0])))


def reopen(folder: Path) -> tuple[Inputs, Plan, State]:
    """Return the run whose newest checkpoint is in ``folder``, as it was then."""
    saved = checkpoints.load(folder)
    lookup = Lookup(
        f"the checkpoint in {folder}",
        Path(saved.folder),
        (folder.absolute().parent, folder),
        saved.inputs,
    )
    settings = _as_begun(Settings.from_said(saved.settings, lookup), saved.model)
    read = read_files(settings)
    for name in lookup.changed({str(path): given.sha256 for path, given in read.items()}):
        raise NstError(
            f"{name} has changed since the run in {folder} began. Bring the old file back, or "
            "start a new run."
        )
    device = devices.pick(saved.device)
    check_writable(settings)
    inputs = open_inputs(settings, device, read)
    network = inputs.vgg.network
    if network.sha256 != saved.model:
        raise NstError(
            f"the model {settings.model} is {network.name} with the sha256 {network.sha256[:12]}, "
            f"and the run in {folder} began with {saved.model[:12]}. Bring that one back (`nst "
            "models` lists those that are installed), or start a new run."
        )
    sizes = [((height, width), steps) for height, width, steps in saved.scales]
    scales = told_of(sizes, inputs.fine is not None)
    last = last_begun(saved.history, scales)
    recipe = inputs.of(last).recipe
    smallest = smallest_side(network.architecture, recipe.taps)
    until = settings.asked_until
    plan = Plan(tuple(scales), saved.side, saved.pairs, folder=folder)
    pairs = plan.pairs_at(last)
    most_pairs = recipe.history, pairs
    checkpoint_schema.check(saved, recipe.optimizer, most_pairs, smallest, until > 0)
    return inputs, plan, _restored(saved, inputs, recipe, pairs)


def _as_begun(settings: Settings, sha256: str) -> Settings:
    """Return the settings with the network that the run began with, where "auto" is another now.

    It may have become so: the best that is installed may not have been then.
    """
    if settings.model != "auto":
        return settings
    for name in (settings.model, weights.BEST, weights.EMBEDDED):
        with suppress(NstError):  # not installed, or damaged
            gain = settings.objective.input_gain
            if weights.load(name).brightened(gain).sha256 == sha256:
                return settings if name == "auto" else replace(settings, model=name)
    return settings


def _restored(saved: Checkpoint, inputs: Inputs, recipe: Recipe, pairs: int) -> State:
    """Return the state that was ``saved``, placed on the device."""
    optimizer = choose_optimizer(recipe, pairs)
    trial = inputs.device.asarray(saved.image)
    optimizer.restore(checkpoints.handed_over(saved.optimizer, inputs.device))
    asking = None if saved.asking is None else inputs.device.asarray(saved.asking)
    return State(optimizer.best(trial), trial, optimizer, saved.history, asking)


def reopen_to_paint(folder: Path) -> tuple[Inputs, Plan, State]:
    """Return what ``reopen`` does; NstError where it would overwrite another's file."""
    inputs, plan, state = reopen(folder)
    marks.check(inputs.settings, inputs.mark, state.history)
    return inputs, plan, state


def snapshot(inputs: Inputs, plan: Plan, state: State) -> Checkpoint:
    """Return what ``reopen`` needs to go on from here."""
    image, optimizer = state.before or (state.trial, state.optimizer)
    return Checkpoint(
        settings=json.loads(inputs.settings.as_json()),
        folder=str(inputs.here),
        inputs=dict(inputs.files),
        model=inputs.vgg.network.sha256,
        device=inputs.device.name,
        scales=[[scale.height, scale.width, scale.steps] for scale in plan.scales],
        side=plan.side,
        pairs=plan.pairs,
        history=state.history,
        image=image,
        optimizer=optimizer.state(),
        asking=None if state.before else state.asking,
    )


def initial_image(
    init: str,
    seed: int,
    content: np.ndarray,
    picture: np.ndarray,
    scale: Scale,
    noise: Noise = GREY_NOISE,
) -> np.ndarray:
    """Return the image that painting starts from, (3, H, W) at ``scale``.

    ``noise`` is the recipe's; ``picture``, the painting or that of a file, is for any other
    ``init`` than noise and content, and is cropped to the aspect of the content.
    """
    if init == "noise":
        rng = np.random.default_rng(seed)
        draw = rng.random if noise.kind == "uniform" else rng.standard_normal
        drawn = draw((3, scale.height, scale.width), np.float32)
        base = np.reshape(np.array(noise.base, np.float32), (3, 1, 1))
        return (base + np.float32(noise.spread) * drawn) / np.float32(noise.white)
    if init == "content":
        return images.resize(content, scale.height, scale.width)
    cropped = images.crop_to_aspect(picture, scale.height, scale.width)
    return images.resize(cropped, scale.height, scale.width)


def choose_optimizer(recipe: Recipe, pairs: int | None = None) -> Optimizer:
    """Return a fresh optimizer of the recipe's kind: each scale starts without a memory.

    ``pairs`` is what L-BFGS remembers; None: the recipe's history.
    """
    step_size = recipe.step_size / recipe.pixel_range
    epsilon = EPSILON * recipe.pixel_range  # a smaller pixel has a larger gradient
    bounds = (0.0, 1.0) if recipe.clip else None
    if recipe.optimizer == "descent":
        return NormalisedDescent(step_size, recipe.step_decay, bounds, epsilon)
    if recipe.optimizer == "adam":
        adam = Adam(step_size, recipe.step_decay, bounds, recipe.betas, epsilon)
        return replace(adam, average=recipe.average)
    if recipe.optimizer == "pyramid":
        return PyramidAdam(step_size, recipe.step_decay, bounds, recipe.betas, epsilon)
    history = recipe.history if pairs is None else pairs
    return Lbfgs(history, bounds, recipe.bands)
