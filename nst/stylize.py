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

from nst import files, images, kernels, marks, memory, signals
from nst.checkpoints import Keeper
from nst.devices import Device
from nst.errors import NstError
from nst.estimate import estimate
from nst.kernels import Array
from nst.kernels.blocks import blas_on_one_thread
from nst.objective import Objective, check_finite
from nst.records import Progress, Records
from nst.runs import Run, checkpoint_folder, choose_optimizer, prepare, reopen_to_paint, snapshot
from nst.scales import Scale
from nst.settings import Settings
from nst.targets import objective_at
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

    ``on_progress`` is called after every step.  Whatever ends the run after its first one (Ctrl-C,
    a loss that is no longer finite, a full memory, an error of ``on_progress``), the best picture
    so far is saved, and the exception goes on with a note that says where.  What cannot be written
    beside it is told in a warning.  A run that takes minutes is saved on the way too, and
    ``resume`` goes on with it.

    Raises NstError for what the user can mend: a bad image, an unknown model or tap, no GPU.
    """
    return complete(prepare(settings), on_progress)


def resume(folder: Path, on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Go on with the run whose checkpoints are in ``folder``, to its end; see ``stylize``.

    On the CPU the result is, bit for bit, that of a run that was never stopped.

    Raises NstError if there is no checkpoint, or if a file that the run reads has changed.
    """
    return complete(reopen_to_paint(folder), on_progress)


def complete(run: Run, on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Paint a prepared run to its end, or to where it is stopped; save and return the result.

    Whatever ends it after its first step, the picture is saved first: see ``rescue``.
    """
    if not run.planned:
        estimate(run)
    with Keeper(checkpoint_folder(run), run.device) as keeper:
        return _complete(run, keeper, on_progress)


def _complete(run: Run, keeper: Keeper, on_progress: Callable[[Progress], None] | None) -> Result:
    asked = run.settings.output
    output = None if asked is None else run.here / asked  # also if the current folder is removed
    result = None
    try:
        with (
            blas_on_one_thread(),
            Records(
                run.settings, run.scales, run.device, run.history, run.present, run.mark
            ) as records,
        ):
            paint(run, records, keeper, on_progress)
        with signals.held():
            result = finish(run, output)
            keeper.remove()
        show(run, result.image)
        return result
    except BaseException as error:
        if result is None:
            rescue(run, keeper, output, error)
        elif output is not None:
            error.add_note(f"The picture is in {asked}.")
        raise


def rescue(run: Run, keeper: Keeper, output: Path | None, error: BaseException) -> None:
    """Save the picture of a run that ``error`` ends, and its state; say in notes where they are.

    The picture goes first: what room there is, on the disk too, is for it.  What fails here is a
    note as well: it does not hide the error.  Signals wait; then they end the run in its place.
    """
    try:
        with signals.held():
            if memory.ran_out(error):
                make_room(run, error)
            if run.history and output is not None:
                error.add_note(save_near(run, output))
            whole = run.whole and not isinstance(error, NstError)
            if whole and keeper.save(snapshot(run)):
                error.add_note(f"`nst resume {keeper.folder}` goes on.")
    except KeyboardInterrupt as interrupt:
        if isinstance(error, KeyboardInterrupt):
            return  # one is enough
        for note in getattr(error, "__notes__", []):
            interrupt.add_note(note)
        raise


def make_room(run: Run, error: BaseException) -> None:
    """Free what painting needed and saving does not."""
    traceback.clear_frames(error.__traceback__)
    with suppress(Exception):
        run.vgg.release()


def save_near(run: Run, output: Path) -> str:
    """Save the picture as ``output``, or in the nearest place that takes it; return a note."""
    failure: Exception | None = None
    for place in files.places_near(output):
        try:
            finish(run, place)
        except Exception as error:  # whatever it is, the next place may do
            failure = failure or error
        else:
            shown = run.settings.output if place == output else place
            return f"The picture after step {len(run.history)} is in {shown}."
    return f"The picture could not be saved anywhere: {failure!r}"


def paint(
    run: Run,
    records: Records,
    keeper: Keeper,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Improve ``run.image`` step by step, scale by scale, from where its history ends."""
    behind = len(run.history)
    for scale in run.scales:
        if behind >= scale.steps:
            behind -= scale.steps
            continue
        if behind == 0:
            begin(run, scale)
        objective = objective_at(run, scale)
        for _ in range(behind, scale.steps):
            progress = step(run, scale, objective, records)
            if keeper.due():
                keeper.save(snapshot(run))
            if on_progress is not None:
                on_progress(progress)
        behind = 0


def begin(run: Run, scale: Scale) -> None:
    """Bring the image to ``scale``, and start there without a memory of the one before."""
    run.image = carried_over(run, scale)
    run.trial = run.image.copy()
    run.optimizer = choose_optimizer(run.recipe, run.pairs)


def carried_over(run: Run, scale: Scale) -> Array:
    """Return the image of the scale before, resized to ``scale``.

    Enlarged, it lacks the photograph's details.  Of these it gets the share that the strength
    leaves to the photograph: a run would end before it had found them again.
    """
    image = at_scale(run.image, scale, run.device)
    if image is run.image or run.settings.strength == 1:
        return image
    size = scale.height, scale.width
    enlarged = images.resize(images.resize(run.content, *run.image.shape[1:]), *size)
    details = images.resize(run.content, *size) - enlarged
    kernels.of(image).axpy(1 - run.settings.strength, run.device.asarray(details), image)
    return kernels.of(image).clip(image, 0, 1)


def step(run: Run, scale: Scale, objective: Objective, records: Records) -> Progress:
    """Evaluate the objective once, move the image, and record both."""
    losses, d_image = objective.evaluate(run.trial)
    length = kernels.of(d_image).dot(d_image, d_image)
    named = {"total": losses.total, **losses.raw, "gradient": length}
    asked = run.optimizer.asks(run.trial, losses.total, d_image)
    read = kernels.floats([*named.values(), *asked])  # the one wait for the GPU
    values = dict(zip(named, read, strict=False))
    check_finite(values)
    del values["gradient"]
    run.whole = False
    run.optimizer.step(run.trial, losses.total, d_image, read[len(named) :])
    run.image = run.optimizer.best(run.trial)
    progress = records.add(scale, values, run.image)
    run.whole = True
    return progress


def finish(run: Run, output: Path | None) -> Result:
    """Save the picture as ``output``, if there is one, and return the result."""
    settings, full = run.settings, run.scales[-1]
    image = run.present(run.device.asnumpy(at_scale(run.image, full, run.device)))
    alpha = None if run.alpha is None else images.resize(run.alpha, full.height, full.width)
    last = run.history[-1] if run.history else {}
    names = settings.names
    metadata = {
        "Software": f"nst {VERSION}",
        marks.KEYWORD: run.mark,
        "nst settings": json.dumps(settings.as_told()),
        "nst inputs": json.dumps({names[path]: run.inputs[str(path)] for path in settings.inputs}),
        "nst model": run.model_text,
        "nst losses": json.dumps({name: last[name] for name in last if name != "seconds"}),
    }
    if output is not None:
        images.save(output, image, alpha, metadata)
    return Result(image, alpha, run.history, metadata)


def show(run: Run, image: np.ndarray) -> None:
    """Write the plots and the report that were asked for beside the picture."""
    settings, beside = run.settings, files.Beside()
    mark = {marks.KEYWORD: run.mark}
    if settings.plot:
        triptych, curves = settings.plots
        with beside.attempt("triptych"):
            from nst import plots  # matplotlib takes a while to import

            plots.save(plots.draw_triptych(run.photograph, image, run.style), triptych, mark)
        with beside.attempt("plot of the losses"):
            if run.history:
                from nst import plots

                plots.save(plots.draw_losses(run.history), curves, mark)
    if settings.report is not None:
        from nst import report

        with beside.attempt("report"):
            report.write(settings.report, report.of_run(run, image))


def at_scale(image: Array, scale: Scale, device: Device) -> Array:
    """Return ``image`` resized to ``scale``, on the device; the same array if it fits."""
    if image.shape[1:] == (scale.height, scale.width):
        return image
    return device.asarray(images.resize(device.asnumpy(image), scale.height, scale.width))
