"""The loop over scales and steps: place, measure targets, step, report, save.

Painting goes coarse to fine.  A network sees only so far (24 pixels to relu3_1), so at one size
it can paint strokes of one size; what it paints at a quarter of the size becomes the large shapes
of the result, and each finer scale adds its own strokes.
"""

import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import PIL.Image

from nst import files, kernels, memory, signals
from nst.devices import Device
from nst.errors import NstError, warn
from nst.kernels import Array
from nst.kernels.blocks import blas_on_one_thread
from nst.objective import Objective, check_finite
from nst.objective.effort import draft_side
from nst.objective.styles.finish import asks
from nst.pictures import images
from nst.run import marks
from nst.run.checkpoints import Keeper
from nst.run.ending import is_over, last_begun
from nst.run.inputs import Inputs
from nst.run.plan import Plan, plan_preview
from nst.run.records import NOT_LOSSES, Progress, Records
from nst.run.scales import Scale, result_side
from nst.run.state import State, choose_optimizer, snapshot, start
from nst.run.targets import objective_at
from nst.version import VERSION


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What a run returns.  A notebook shows its picture."""

    image: np.ndarray  # (3, H, W) RGB in [0, 1], at full size
    alpha: np.ndarray | None  # (H, W), the content's
    history: list[dict[str, float]]  # an entry a step: step, scale, seconds, total, raw losses
    metadata: dict[str, str]  # what the PNG carries as text
    finished: bool = True  # False: it was stopped before its last step

    def __repr__(self) -> str:
        height, width = self.image.shape[1:]
        count = len(self.history)
        told = f"{width} x {height} pixels after {count} step{'' if count == 1 else 's'}"
        return f"<Result: {told}{'' if self.finished else ', stopped'}>"

    @property
    def losses(self) -> dict[str, np.ndarray]:
        """The total and each raw loss, by name: an array with a number a step.

        That is of the picture before the step; where a scale has no such loss, it is not a number.
        """
        names = dict.fromkeys(name for entry in self.history for name in entry)
        return {
            name: np.array([entry.get(name, np.nan) for entry in self.history])
            for name in names
            if name not in NOT_LOSSES
        }

    def save(self, path: files.PathLike) -> None:
        """Write the picture, as `images.save` does, with all that it tells of itself as text.

        Raises NstError where that cannot be.
        """
        images.save(path, self.image, self.alpha, self.metadata)

    def pil(self) -> PIL.Image.Image:
        """Return the picture as an image of Pillow's: RGB, or RGBA of a transparent photograph."""
        return images.as_pil(self.image, self.alpha)

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows: the picture, no larger than a screen."""
        return images.as_png(self.image, self.alpha)


class Run:
    """A run, one step at a time: an iterator of Progress, and what was painted so far.

    It ends after its last step, by `close`, or when nobody has it any more: then the picture is
    saved as ``output``, if there is one, and the network is let go.  As a context manager it ends
    with the block.  An error or Ctrl-C saves the picture too: see `rescue`.

    No thread of its own works at it, and between two steps nothing does.

    Parameters
    ----------
    inputs, plan, state
        What was read, how it is painted, and how far it is: see ``run``.
    """

    def __init__(self, inputs: Inputs, plan: Plan, state: State) -> None:
        self.inputs, self.plan, self.state = inputs, plan, state
        self._opened: ExitStack | None = None  # the log, and the lock on the checkpoints
        self._keeper = Keeper(plan.folder, inputs.device, resumed=bool(state.history))
        self._steps: Iterator[Progress] = iter(())
        self._result: Result | None = None
        self._over = False

    def __repr__(self) -> str:
        how = "over" if self._over else "running"
        return f"<Run of {self.plan.full.width} x {self.plan.full.height} pixels, {how}>"

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Progress:
        if self._over:
            raise StopIteration
        self._open()
        try:
            with blas_on_one_thread():
                progress = next(self._steps, None)
        except BaseException as error:
            self._fail(error)
            raise
        if progress is None:
            self.close()
            raise StopIteration
        return progress

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if error is None:
            self.close()
        else:
            self._fail(error)

    def __del__(self) -> None:
        if self._opened is not None:  # whoever had it left in the middle
            self.close()

    @property
    def result(self) -> Result:
        """The picture so far at full size, and its losses; at the end, what was saved."""
        if self._result is None:
            return finish(self.inputs, self.plan, self.state, None)
        return self._result

    def close(self) -> None:
        """End the run where it is: save what was painted; ``result`` has it.

        Where the run has checkpoints, ``resume`` goes on from here.
        """
        if self._opened is None:  # over, or not begun
            self._over = True
            return
        try:
            with signals.held():
                self._finish()
            if self.plan.previewed is None:
                show(self.inputs, self.plan, self.state, self.result.image)
        except BaseException as error:
            self._fail(error)
            raise
        self._let_go()

    def _open(self) -> None:
        """Lock the checkpoints and begin the log, unless that was done."""
        if self._opened is not None:
            return
        inputs, state = self.inputs, self.state
        with ExitStack() as opened:
            opened.enter_context(self._keeper)
            records = Records(
                inputs.settings,
                self.plan.scales,
                inputs.device,
                state.history,
                inputs.present,
                inputs.mark,
                inputs.alpha,
            )
            opened.enter_context(records)
            self._steps = steps(inputs, self.plan, state, records, self._keeper)
            self._opened = opened.pop_all()

    def _finish(self) -> None:
        """Save the picture; the checkpoints of a run that is stopped stay, up to date."""
        output = self._output
        over = has_ended(self.inputs, self.plan, self.state)
        if not over and not self.state.history:
            output = None  # nothing was painted
        result = finish(self.inputs, self.plan, self.state, output)
        if over:
            self._keeper.remove()
        else:
            self._keeper.save(snapshot(self.inputs, self.plan, self.state))
        self._result = result

    @property
    def _output(self) -> Path | None:
        asked = self.inputs.settings.output
        return None if asked is None else self.inputs.here / asked  # also if the folder is removed

    def _fail(self, error: BaseException) -> None:
        """Save what was painted of a run that ``error`` ends, and say in a note where it is."""
        if self._opened is None:  # over, or not begun
            return
        asked = self.inputs.settings.output
        try:
            if self._result is None:
                rescue(self.inputs, self.plan, self.state, self._keeper, self._output, error)
            elif asked is not None:
                error.add_note(f"The picture is in {asked}.")
        finally:
            self._let_go()

    def _let_go(self) -> None:
        """Close what is open, the network too unless others paint with it."""
        self._over, self._steps = True, iter(())
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()
        if self.inputs.shared is None and self.plan.previewed is None:
            for vgg in self.inputs.networks:
                with suppress(Exception):
                    vgg.close()


def complete(
    inputs: Inputs,
    plan: Plan,
    state: State,
    on_progress: Callable[[Progress], object] | None = None,
) -> Result:
    """Paint a run from its ``state`` to its end, or to where it is stopped; save the result.

    It is stopped where ``on_progress`` returns False.  Whatever ends it after its first step, the
    picture is saved first: see ``rescue``.
    """
    with blas_on_one_thread(), Run(inputs, plan, state) as run:
        for progress in run:
            if on_progress is not None and on_progress(progress) is False:
                break
    return run.result


def preview(
    inputs: Inputs,
    on_progress: Callable[[Progress], object] | None = None,
    paint: Callable[..., Result] = complete,
) -> tuple[State, Result] | None:
    """Paint the draft that a run begins with, and save it; return it, and the state to go on from.

    None where no draft is asked for, or the result is no larger.  ``paint`` is `complete`, or one
    around it.
    """
    planned = plan_preview(inputs) if inputs.settings.preview else None
    if planned is None:
        _warn_of_no_draft(inputs)
        return None
    state = start(inputs, planned)
    result = paint(inputs, planned, state, on_progress)
    inputs.vgg.release()
    return state, result


def _warn_of_no_draft(inputs: Inputs) -> None:
    (_, height, width), asked = inputs.content.shape, inputs.settings
    if not asked.preview or asked.effort == "draft":  # the run itself is one
        return
    if result_side(height, width, asked) <= draft_side():
        warn(
            f"--preview paints nothing: the result is no larger than a draft, {draft_side()} "
            "pixels, and there as soon"
        )


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
    for vgg in inputs.networks:
        with suppress(Exception):
            vgg.release()


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
    if isinstance(failure, NstError | OSError):  # as the error itself says
        return "The picture could not be saved anywhere."
    return f"The picture could not be saved anywhere: {failure!r}"


def steps(
    inputs: Inputs, plan: Plan, state: State, records: Records, keeper: Keeper
) -> Iterator[Progress]:
    """Improve ``state.image`` step by step, scale by scale, from where its history ends."""
    until = inputs.settings.asked_until
    for number, scale in enumerate(plan.due, start=1):
        ending = scale.steps, until, plan.window
        if is_over(state.history, number, *ending):
            continue
        there = inputs.of(scale)
        if not state.history or state.history[-1]["scale"] < number:
            if state.history:
                recipe = inputs.of(last_begun(state.history, plan.scales)).recipe
                state.before = state.image, choose_optimizer(recipe)
            begin(there, plan, state, scale)
        share = plan.share(scale)
        objective = objective_at(there, scale, plan.side, share, state.asking, plan.crew)
        objective.evaluations = sum(entry["scale"] == number for entry in state.history)
        while not is_over(state.history, number, *ending):
            progress = step(state, scale, objective, records)
            if keeper.due():
                keeper.save(snapshot(inputs, plan, state))
            yield progress
        del objective  # what comes next needs the room, and its size is another
        there.vgg.release()


def begin(inputs: Inputs, plan: Plan, state: State, scale: Scale) -> None:
    """Bring the image to ``scale``, and start there without a memory of the one before."""
    before, state.image = state.image, carried_over(inputs, state.image, scale)
    state.asking = None  # the photograph
    if asks(inputs.recipe) and scale is not plan.scales[0]:
        state.asking = asked_by(inputs, before, state.image, scale)
    state.trial = state.image.copy()
    state.optimizer = choose_optimizer(inputs.recipe, plan.pairs_at(scale))


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
    state.whole, state.before = True, None
    return progress


def finish(inputs: Inputs, plan: Plan, state: State, output: Path | None) -> Result:
    """Save the picture as ``output``, if there is one, and return the result."""
    settings, full = inputs.settings, plan.due[-1]
    image = inputs.present(inputs.device.asnumpy(at_scale(state.image, full, inputs.device)))
    alpha = None if inputs.alpha is None else images.resize(inputs.alpha, full.height, full.width)
    last = state.history[-1] if state.history else {}
    names, hashes = settings.names, inputs.files
    over = has_ended(inputs, plan, state)
    finished = over and plan.previewed is None
    metadata = {
        "Software": f"nst {VERSION}",
        marks.KEYWORD: inputs.mark + (marks.FINISHED if finished else ""),
        "nst settings": json.dumps(settings.as_told()),
        "nst inputs": json.dumps({names[path]: hashes[str(path)] for path in settings.inputs}),
        "nst model": inputs.model_text,
        "nst losses": json.dumps({name: last[name] for name in last if name != "seconds"}),
    }
    if output is not None:
        images.save(output, image, alpha, metadata)
    return Result(image, alpha, state.history, metadata, over)


def has_ended(inputs: Inputs, plan: Plan, state: State) -> bool:
    """Return whether no scale that is due has a step to come."""
    until = inputs.settings.asked_until
    return all(
        is_over(state.history, number, scale.steps, until, plan.window)
        for number, scale in enumerate(plan.due, start=1)
    )


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
