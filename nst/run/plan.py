"""How a run is done: its sizes, tiles and memory, what it takes, and where it is saved."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from nst import machine, memory
from nst.kernels.blocks import blas_on_one_thread
from nst.objective.effort import draft_side
from nst.objective.styles.finish import fits_tiles
from nst.pictures import images
from nst.run.budget import fit
from nst.run.checkpoints import LONG_RUN
from nst.run.ending import WINDOW
from nst.run.estimate import (
    IMAGE,
    SAVING,
    SAVING_AVIF,
    SAVING_CHROMA,
    SAVING_PARTS,
    Estimate,
    Work,
)
from nst.run.inputs import Inputs, default_folder
from nst.run.probe import PROBE_TRIES, Cost, probe, probe_size
from nst.run.scales import Scale, preview_scales, scales_for
from nst.run.targets import TileCrew, kinds_of, objective_at, padding_in, painting_size
from nst.settings import Settings

AMPLE = 2 * 10**9  # bytes: more than a draft takes, of any recipe


@dataclass(frozen=True)
class Plan:
    """How a run is done; none of it changes."""

    scales: tuple[Scale, ...]  # coarse to fine
    side: int | None  # of the largest window that the network is given; None: all at once
    pairs: int  # that L-BFGS remembers: the recipe's, or fewer where memory is short
    estimate: Estimate | None = None  # what it takes; None where nobody asked: it goes on
    folder: Path | None = None  # where it is saved on the way; None: nowhere
    previewed: int | None = None  # of these scales: to be painted and saved before others are
    window: int = WINDOW  # steps that have to bring something: see ending.py
    crew: TileCrew | None = None  # who sees its tiles; None: this process

    @property
    def full(self) -> Scale:
        """The size of the result."""
        return self.scales[-1]

    def stage(self, fine: bool) -> "Plan":
        """Return the part of it that is, or is not, the recipe's fine stage."""
        return replace(self, scales=tuple(scale for scale in self.scales if scale.fine == fine))

    @property
    def due(self) -> tuple[Scale, ...]:
        """The scales to paint: all, or those of a preview."""
        return self.scales[: self.previewed]

    @property
    def lines(self) -> list[str]:
        """What it takes, as people read it; nothing where it was not estimated."""
        return [] if self.estimate is None else self.estimate.lines()

    def pairs_at(self, scale: Scale) -> int:
        """Return how many pairs L-BFGS remembers there: no more than it makes."""
        return max(1, min(self.pairs, scale.steps))

    def share(self, scale: Scale) -> float:
        """Return how large ``scale`` is of the full size, by the longer sides."""
        return scale.longer / self.full.longer


def plan(inputs: Inputs) -> Plan:
    """Return how to paint ``inputs`` within the memory that the settings allow; write nothing.

    A small image is evaluated for it, a second or two, and none of the result's size is made.
    Raises NstError, with a size that would fit, if there is no way to do it.
    """
    drafted = draft(inputs)
    stages = [(inputs, drafted.stage(fine=False))]
    stages += [] if inputs.fine is None else [(inputs.fine, drafted.stage(fine=True))]
    costs = [probe_small(*stage) for stage in stages]
    base = memory.used(inputs.device)
    share = memory.SHARE * memory.free(inputs.device)
    most = memory.parse(inputs.settings.memory) or base + share
    if machine.has_granted():  # to a worker, which is ended beyond it
        most = min(most, base + share)
    work, *fine = (work_of(*stage, cost, base) for stage, cost in zip(stages, costs, strict=True))
    found = fit(work, most, *fine)
    folder = checkpoint_folder(inputs.settings, found.seconds)
    return replace(drafted, side=found.side, pairs=found.pairs, estimate=found, folder=folder)


def draft(inputs: Inputs) -> Plan:
    """Return the plan as it would be with memory and time without end: seen as a whole."""
    _, height, width = inputs.content.shape
    scales = tuple(scales_for(height, width, inputs.settings))
    folder = checkpoint_folder(inputs.settings)
    return Plan(scales, None, inputs.recipe.history, folder=folder)


def plan_to_paint(inputs: Inputs) -> Plan:
    """Return how to paint one picture that somebody waits for: a draft without a measurement."""
    return plan_draft(inputs) or plan(inputs)


def plan_draft(inputs: Inputs) -> Plan | None:
    """Return how to paint a draft, which is to be there at once; None for anything else.

    Nothing is measured for it, which `plan` would do in a sixth of the time that it takes.  So it
    must be of a draft's size, in ample memory, and without a fine stage, which takes longer.
    """
    asked, drafted = inputs.settings, draft(inputs)
    small = drafted.full.longer <= draft_side()
    if asked.effort != "draft" or not small or inputs.fine is not None:
        return None
    return drafted if _ample(inputs) else None


def plan_preview(inputs: Inputs) -> Plan | None:
    """Return how to paint the draft that a run begins with; None where no preview is asked for.

    It is small, and nothing of it is saved on the way.  Nothing is measured for it, unless memory
    may be short: then it is painted as the run will be, if that can be painted at all.
    """
    _, height, width = inputs.content.shape
    first = preview_scales(height, width, inputs.settings)
    if not first:
        return None
    planned = draft(inputs) if _ample(inputs) else plan(inputs)
    return replace(planned, folder=None, estimate=None, previewed=len(first))


def _ample(inputs: Inputs) -> bool:
    """Return whether there is more memory than a draft takes, and nobody said how much to take."""
    free = memory.free(inputs.device)
    return memory.parse(inputs.settings.memory) is None and free >= AMPLE


def probe_small(inputs: Inputs, drafted: Plan) -> Cost:
    """Return what a small image takes, evaluated as the run will evaluate its own."""
    height, width = probe_size(drafted.full.height, drafted.full.width)
    scale = Scale(height, width, 1)
    small = drafted.full.longer <= draft_side()
    tries = 1 if small else PROBE_TRIES  # a draft must not wait for more
    with blas_on_one_thread():  # as in stylize.complete
        image = inputs.device.asarray(images.resize(inputs.content, height, width))
        return probe(objective_at(inputs, scale, share=drafted.share(scale)), image, tries)


def work_of(inputs: Inputs, plan: Plan, cost: Cost, base: float) -> Work:
    """Return what a run has to do, in a process that holds ``base`` bytes before it starts."""
    paintings = len(inputs.paintings) * (4 if inputs.recipe.rotations else 1)
    kinds = kinds_of(inputs.recipe)
    return Work(
        inputs.vgg.network.architecture,
        inputs.recipe.taps,
        tuple(inputs.recipe.content),
        tuple(inputs.recipe.style),
        inputs.recipe.optimizer,
        inputs.recipe.history,
        [(scale.height, scale.width, scale.steps) for scale in plan.scales],
        [largest_painting(inputs, plan, scale) for scale in plan.scales],
        cost,
        base,
        start=IMAGE,
        paintings=paintings,
        regions=len({one.part for one in inputs.paintings if one.region is not None}),
        frames=inputs.settings.save_every > 0,
        asking={t: kind for t, kind in kinds.items() if kind.per_scale},
        looking={t: kind for t, kind in kinds.items() if kind.keeps_maps},
        whole=not fits_tiles(inputs.recipe),
        looked_at=inputs.recipe.looked_at,
        both_ways=inputs.recipe.both_ways,
        blended=inputs.settings.strength < 1,
        averaged=inputs.recipe.average > 0,
        padding=padding_in(inputs),
        bands=inputs.recipe.bands,
        edges=inputs.recipe.edges > 0,
        warped=inputs.recipe.temporal > 0,
        saving=saving_images(inputs),
    )


def saving_images(inputs: Inputs) -> float:
    """Return how many images it takes to bring the picture into its last colours and save it."""
    settings, recipe = inputs.settings, inputs.recipe
    parts = inputs.alpha is not None or any(one.region is not None for one in settings.style)
    chroma = recipe.palette == "chroma" and settings.color != "painted"
    avif = settings.output is not None and settings.output.suffix.lower() == ".avif"
    return SAVING + SAVING_PARTS * parts + SAVING_CHROMA * chroma + SAVING_AVIF * avif


def largest_painting(inputs: Inputs, plan: Plan, scale: Scale) -> tuple[int, int]:
    """Return the height and width of the largest painting as it is measured at ``scale``."""
    share = plan.share(scale)
    sizes = [painting_size(inputs, painting, scale, share) for painting in inputs.paintings]
    return max(sizes, key=math.prod)


def checkpoint_folder(settings: Settings, seconds: float = 0.0) -> Path | None:
    """Return where to save a run: as asked, or beside its output if it takes long; or None.

    One that paints a picture from memory could not go on without it.
    """
    if settings.checkpoint is not None or settings.output is None or settings.in_memory:
        return settings.checkpoint
    return default_folder(settings) if seconds > LONG_RUN else None
