"""The loop over scales and steps: place, measure targets, step, report, save.

Painting goes coarse to fine.  A network sees only so far (24 pixels to relu3_1), so at one size
it can paint strokes of one size; what it paints at a quarter of the size becomes the large shapes
of the result, and each finer scale adds its own strokes.
"""

import json
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nst import files, kernels, memory, signals
from nst.devices import Device
from nst.errors import NstError
from nst.kernels import Array
from nst.kernels.blocks import blas_on_one_thread
from nst.objective import Objective, check_finite
from nst.objective.styles.finish import asks
from nst.pictures import images
from nst.run import marks
from nst.run.checkpoints import Keeper
from nst.run.ending import is_over
from nst.run.inputs import Inputs, prepare
from nst.run.plan import Plan, plan
from nst.run.records import Progress, Records
from nst.run.scales import Scale
from nst.run.state import State, choose_optimizer, reopen_to_paint, snapshot, start
from nst.run.targets import objective_at
from nst.settings import Settings
from nst.version import VERSION


@dataclass(frozen=True)
class Result:
    """What a run returns."""

    image: np.ndarray  # (3, H, W) RGB in [0, 1], at full size
    alpha: np.ndarray | None  # (H, W), the content's
    history: list[dict[str, float]]  # an entry a step: step, scale, seconds, total, raw losses
    metadata: dict[str, str] = field(repr=False)  # what the PNG carries as text


def stylize(settings: Settings, on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Paint ``settings.content`` in the style of ``settings.style``; save and return the result.

    Whatever ends the run after its first step (Ctrl-C, a loss that is no longer finite, a full
    memory, an error of ``on_progress``), the best picture so far is saved, and the exception goes
    on with a note that says where.  What cannot be written beside it is told in a warning.  A run
    that takes minutes is saved on the way too, and ``resume`` goes on with it.

    Parameters
    ----------
    settings : Settings
        What to paint, and how.
    on_progress : function of a Progress, optional
        Called after every step.

    Returns
    -------
    result : Result
        The image, RGB in [0, 1], and the losses of every step.

    Raises
    ------
    NstError
        For what the user can mend: a bad image, an unknown model or tap, no GPU.
    """
    inputs = prepare(settings)  # read
    planned = plan(inputs)
    state = start(inputs, planned)
    return complete(inputs, planned, state, on_progress)  # each scale, step by step; save


def resume(folder: Path, on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Go on with the run whose checkpoints are in ``folder``, to its end; see ``stylize``.

    On the CPU the result is, bit for bit, that of a run that was never stopped.

    Parameters
    ----------
    folder : path
        Of the checkpoints, such as ``out-checkpoint``.
    on_progress : function of a Progress, optional
        Called after every step.

    Raises
    ------
    NstError
        If there is no checkpoint, or if a file that the run reads has changed.
    """
    return complete(*reopen_to_paint(folder), on_progress)


def complete(
    inputs: Inputs,
    plan: Plan,
    state: State,
    on_progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Paint a run from its ``state`` to its end, or to where it is stopped; save the result.

    Whatever ends it after its first step, the picture is saved first: see ``rescue``.
    """
    with Keeper(plan.folder, inputs.device) as keeper:
        return _complete(inputs, plan, state, keeper, on_progress)


def _complete(
    inputs: Inputs,
    plan: Plan,
    state: State,
    keeper: Keeper,
    on_progress: Callable[[Progress], None] | None,
) -> Result:
    asked = inputs.settings.output
    output = None if asked is None else inputs.here / asked  # also if the folder is removed
    result = None
    try:
        with (
            blas_on_one_thread(),
            Records(
                inputs.settings,
                plan.scales,
                inputs.device,
                state.history,
                inputs.present,
                inputs.mark,
                inputs.alpha,
            ) as records,
        ):
            paint(inputs, plan, state, records, keeper, on_progress)
        with signals.held():
            result = finish(inputs, plan, state, output)
            keeper.remove()
        show(inputs, plan, state, result.image)
        return result
    except BaseException as error:
        if result is None:
            rescue(inputs, plan, state, keeper, output, error)
        elif output is not None:
            error.add_note(f"The picture is in {asked}.")
        raise


def rescue(
    inputs: Inputs,
    plan: Plan,
    state: State,
    keeper: Keeper,
    output: Path | None,
    error: BaseException,
) -> None:
    """Save the picture of a run that ``error`` ends, and its state; say in notes where they are.

    The picture goes first: what room there is, on the disk too, is for it.  What fails here is a
    note as well: it does not hide the error.  Signals wait; then they end the run in its place.
    """
    try:
        with signals.held():
            if memory.ran_out(error):
                make_room(inputs, error)
            if state.history and output is not None:
                error.add_note(save_near(inputs, plan, state, output))
            whole = state.whole and not isinstance(error, NstError)
            if whole and keeper.save(snapshot(inputs, plan, state)):
                error.add_note(f"`nst resume {keeper.folder}` goes on.")
    except KeyboardInterrupt as interrupt:
        if isinstance(error, KeyboardInterrupt):
            return  # one is enough
        for note in getattr(error, "__notes__", []):
            interrupt.add_note(note)
        raise


def make_room(inputs: Inputs, error: BaseException) -> None:
    """Free what painting needed and saving does not."""
    traceback.clear_frames(error.__traceback__)
    with suppress(Exception):
        inputs.vgg.release()


def save_near(inputs: Inputs, plan: Plan, state: State, output: Path) -> str:
    """Save the picture as ``output``, or in the nearest place that takes it; return a note."""
    failure: Exception | None = None
    for place in files.places_near(output):
        try:
            finish(inputs, plan, state, place)
        except Exception as error:  # whatever it is, the next place may do
            failure = failure or error
        else:
            shown = inputs.settings.output if place == output else place
            return f"The picture after step {len(state.history)} is in {shown}."
    return f"The picture could not be saved anywhere: {failure!r}"


def paint(
    inputs: Inputs,
    plan: Plan,
    state: State,
    records: Records,
    keeper: Keeper,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Improve ``state.image`` step by step, scale by scale, from where its history ends."""
    until = inputs.settings.until
    for number, scale in enumerate(plan.scales, start=1):
        if is_over(state.history, number, scale.steps, until):
            continue
        there = inputs.of(scale)
        if not state.history or state.history[-1]["scale"] < number:
            begin(there, plan, state, scale)
        objective = objective_at(there, scale, plan.side, plan.share(scale), state.asking)
        objective.evaluations = sum(entry["scale"] == number for entry in state.history)
        while not is_over(state.history, number, scale.steps, until):
            progress = step(state, scale, objective, records)
            if keeper.due():
                keeper.save(snapshot(inputs, plan, state))
            if on_progress is not None:
                on_progress(progress)


def begin(inputs: Inputs, plan: Plan, state: State, scale: Scale) -> None:
    """Bring the image to ``scale``, and start there without a memory of the one before."""
    before, state.image = state.image, carried_over(inputs, state.image, scale)
    state.asking = None  # the photograph
    if asks(inputs.recipe) and scale is not plan.scales[0]:
        state.asking = asked_by(inputs, before, state.image, scale)
    state.trial = state.image.copy()
    state.optimizer = choose_optimizer(inputs.recipe, plan.pairs)


def carried_over(inputs: Inputs, before: Array, scale: Scale) -> Array:
    """Return ``before``, the image of the scale before, resized to ``scale``.

    Enlarged, it lacks the photograph's details.  Of these it gets the share that the strength
    leaves to the photograph: a run would end before it had found them again.
    """
    image = at_scale(before, scale, inputs.device)
    if image is before or inputs.settings.strength == 1:
        return image
    details = inputs.device.asarray(details_of(inputs, before, scale))
    kernels.of(image).axpy(1 - inputs.settings.strength, details, image)
    return kernels.of(image).clip(image, 0, 1)


def asked_by(inputs: Inputs, before: Array, carried: Array, scale: Scale) -> Array:
    """Return the picture (3, H, W) whose nearest features are the targets at ``scale``.

    ``share * photograph + (1 - share) * (carried + details)``: what was painted, with the details
    that the photograph has beyond the scale ``before``.
    """
    share = inputs.recipe.photograph_share
    photograph = images.resize(inputs.content, scale.height, scale.width)
    painted = inputs.device.asnumpy(carried)
    painted += np.float32(inputs.settings.strength) * details_of(inputs, before, scale)
    return inputs.device.asarray(share * photograph + (1 - share) * painted)


def details_of(inputs: Inputs, before: Array, scale: Scale) -> np.ndarray:
    """Return what the photograph shows at ``scale`` and not at the size of ``before``."""
    size = scale.height, scale.width
    enlarged = images.resize(images.resize(inputs.content, *before.shape[1:]), *size)
    return images.resize(inputs.content, *size) - enlarged


def step(state: State, scale: Scale, objective: Objective, records: Records) -> Progress:
    """Evaluate the objective once, move the image, and record both."""
    losses, d_image = objective.evaluate(state.trial)
    length = kernels.of(d_image).dot(d_image, d_image)
    named = {"total": losses.total, **losses.raw, "gradient": length}
    asked = state.optimizer.asks(state.trial, losses.total, d_image)
    read = kernels.floats([*named.values(), *asked])  # the one wait for the GPU
    values = dict(zip(named, read, strict=False))
    check_finite(values)
    del values["gradient"]
    state.whole = False
    state.optimizer.step(state.trial, losses.total, d_image, read[len(named) :])
    state.image = state.optimizer.best(state.trial)
    progress = records.add(scale, values, state.image)
    state.whole = True
    return progress


def finish(inputs: Inputs, plan: Plan, state: State, output: Path | None) -> Result:
    """Save the picture as ``output``, if there is one, and return the result."""
    settings, full = inputs.settings, plan.full
    image = inputs.present(inputs.device.asnumpy(at_scale(state.image, full, inputs.device)))
    alpha = None if inputs.alpha is None else images.resize(inputs.alpha, full.height, full.width)
    last = state.history[-1] if state.history else {}
    names, hashes = settings.names, inputs.files
    over = is_over(state.history, len(plan.scales), full.steps, settings.until)
    metadata = {
        "Software": f"nst {VERSION}",
        marks.KEYWORD: inputs.mark + (marks.FINISHED if over else ""),
        "nst settings": json.dumps(settings.as_told()),
        "nst inputs": json.dumps({names[path]: hashes[str(path)] for path in settings.inputs}),
        "nst model": inputs.model_text,
        "nst losses": json.dumps({name: last[name] for name in last if name != "seconds"}),
    }
    if output is not None:
        images.save(output, image, alpha, metadata)
    return Result(image, alpha, state.history, metadata)


def show(inputs: Inputs, plan: Plan, state: State, image: np.ndarray) -> None:
    """Write the plots and the report that were asked for beside the picture."""
    settings, beside = inputs.settings, files.Beside()
    mark = {marks.KEYWORD: inputs.mark}
    if settings.plot:
        triptych, curves = settings.plots
        with beside.attempt("triptych"):
            from nst.show import plots  # matplotlib takes a while to import

            content = images.over_white(inputs.photograph, inputs.alpha)
            mixed = images.over_white(image, inputs.alpha)
            style = images.over_white(inputs.style, inputs.paintings[0].alpha)
            plots.save(plots.draw_triptych(content, mixed, style), triptych, mark)
        with beside.attempt("plot of the losses"):
            if state.history:
                from nst.show import plots

                plots.save(plots.draw_losses(state.history), curves, mark)
    if settings.report is not None:
        from nst.show import report

        with beside.attempt("report"):
            report.write(settings.report, report.of_run(inputs, plan, state, image))


def at_scale(image: Array, scale: Scale, device: Device) -> Array:
    """Return ``image`` resized to ``scale``, on the device; the same array if it fits."""
    if image.shape[1:] == (scale.height, scale.width):
        return image
    return device.asarray(images.resize(device.asnumpy(image), scale.height, scale.width))
