"""The loop over scales and steps: place, measure targets, step, report, save.

Painting goes coarse to fine.  A network sees only so far (24 pixels to relu3_1), so at one size
it can paint strokes of one size; what it paints at a quarter of the size becomes the large shapes
of the result, and each finer scale adds its own strokes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nst import images, kernels
from nst.checkpoints import Keeper
from nst.devices import Device
from nst.errors import NstError
from nst.estimate import estimate
from nst.kernels import Array
from nst.kernels.blocks import blas_on_one_thread
from nst.objective import Objective, check_finite
from nst.records import Progress, Records
from nst.runs import Run, checkpoint_folder, choose_optimizer, prepare, reopen, snapshot
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

    ``on_progress`` is called after every step.  On Ctrl-C, or when a loss is no longer finite,
    the best picture so far is saved, and the exception goes on with a note that says where.  A run
    that takes minutes is saved on the way too, and ``resume`` goes on with it.

    Raises NstError for what the user can mend: a bad image, an unknown model or tap, no GPU.
    """
    return complete(prepare(settings), on_progress)


def resume(folder: Path, on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Go on with the run whose checkpoints are in ``folder``, to its end; see ``stylize``.

    On the CPU the result is, bit for bit, that of a run that was never stopped.

    Raises NstError if there is no checkpoint, or if a file that the run reads has changed.
    """
    return complete(reopen(folder), on_progress)


def complete(run: Run, on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Paint a prepared run to its end, or to where it is stopped; save and return the result."""
    if not run.planned:
        estimate(run)
    output = run.settings.output
    keeper = Keeper(checkpoint_folder(run), run.device)
    with (
        blas_on_one_thread(),
        Records(run.settings, run.scales, run.device, run.history, run.present) as records,
    ):
        try:
            paint(run, records, keeper, on_progress)
        except (KeyboardInterrupt, NstError) as error:
            stopped = isinstance(error, KeyboardInterrupt) and run.whole
            kept = stopped and keeper.save(snapshot(run))
            if run.history and output is not None:
                finish(run)
                error.add_note(f"The picture after step {len(run.history)} is in {output}.")
            if kept:
                error.add_note(f"`nst resume {keeper.folder}` goes on.")
            raise
    result = finish(run)
    keeper.remove()
    return result


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
    values = losses.floats(gradient=kernels.of(d_image).dot(d_image, d_image))
    check_finite(values)
    del values["gradient"]  # which is no loss
    run.whole = False
    run.optimizer.step(run.trial, losses.total, d_image)
    run.image = run.optimizer.best(run.trial)
    progress = records.add(scale, values, run.image)
    run.whole = True
    return progress


def finish(run: Run) -> Result:
    """Save the picture and what was asked for beside it, and return the result."""
    settings, full = run.settings, run.scales[-1]
    image = run.present(run.device.asnumpy(at_scale(run.image, full, run.device)))
    alpha = None if run.alpha is None else images.resize(run.alpha, full.height, full.width)
    last = run.history[-1] if run.history else {}
    metadata = {
        "Software": f"nst {VERSION}",
        "nst settings": settings.as_json(),
        "nst model": run.model_text,
        "nst losses": json.dumps({name: last[name] for name in last if name != "seconds"}),
    }
    if settings.output is not None:
        images.save(settings.output, image, alpha, metadata)
    if settings.plot:
        from nst import plots  # matplotlib takes a while to import

        plots.triptych(run.photograph, image, run.style, settings.beside("triptych.png"))
        if run.history:
            plots.loss_curves(run.history, settings.beside("losses.png"))
    if settings.report is not None:
        from nst import report

        report.write(settings.report, report.of_run(run, image))
    return Result(image, alpha, run.history, metadata)


def at_scale(image: Array, scale: Scale, device: Device) -> Array:
    """Return ``image`` resized to ``scale``, on the device; the same array if it fits."""
    if image.shape[1:] == (scale.height, scale.width):
        return image
    return device.asarray(images.resize(device.asnumpy(image), scale.height, scale.width))
