"""A run: the files it has read, what it has set up, and how far it is; saved and reopened."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from nst import (
    checkpoint_schema,
    checkpoints,
    colour,
    devices,
    files,
    images,
    inputs,
    kernels,
    marks,
)
from nst.checkpoints import Checkpoint
from nst.devices import Device
from nst.errors import NstError, NstWarning
from nst.files import PathLike
from nst.inputs import Input
from nst.kernels import Array
from nst.lookup import Lookup
from nst.objective.recipes import GREY_NOISE, INITS, Noise, Recipe
from nst.objective.tiling import smallest_side
from nst.optimizers import EPSILON, Adam, Lbfgs, NormalisedDescent, Optimizer
from nst.scales import Scale, plan
from nst.settings import Painting, Settings
from nst.vgg import Vgg, weights


@dataclass(frozen=True)
class Source:
    """A painting as it was read: see `settings.Painting`."""

    picture: np.ndarray  # (3, H, W), in the colours that are measured
    weight: float = 1.0
    mask: np.ndarray | None = None  # (H, W) in [0, 1], of the painting
    region: np.ndarray | None = None  # (H, W) in [0, 1], of the photograph
    part: str = ""  # the name of that region: paintings of one part are blended


@dataclass
class Run:
    """Everything that a run has read and set up, and the picture it is painting."""

    settings: Settings
    recipe: Recipe  # with the settings' overrides
    device: Device
    vgg: Vgg
    photograph: np.ndarray  # (3, H, W), at the size of its file
    alpha: np.ndarray | None  # (H, W)
    content: np.ndarray  # the photograph in the colours that are painted
    styles: list[Source]
    inputs: dict[str, str]  # path: sha256 of every file that was read
    scales: list[Scale]  # coarse to fine
    optimizer: Optimizer  # of the scale being painted
    image: Array = None  # (3, H, W) on the device: the best so far, at the scale being painted
    trial: Array = None  # where the optimizer wants to be evaluated next
    history: list[dict[str, float]] = field(default_factory=list)  # see Records
    side: int | None = None  # of the largest window that the network is given; None: all at once
    pairs: int = 0  # that L-BFGS remembers: the recipe's, or fewer where memory is short
    grey: bool = False  # nothing of what it is painted from has a colour
    planned: bool = False  # side and pairs were chosen for the memory there is
    seconds: float = 0.0  # that it was estimated to take
    folder: Path | None = None  # where it was asked to be saved on the way, or has been
    here: Path = field(default_factory=files.current_folder)  # where its relative paths begin
    whole: bool = True  # between two steps: image, trial, optimizer and history fit together

    @property
    def style(self) -> np.ndarray:
        """The first painting."""
        return self.styles[0].picture

    @property
    def model_text(self) -> str:
        """The network, as the picture's text names it."""
        return f"{self.vgg.network.name} sha256 {self.vgg.network.sha256}"

    @property
    def mark(self) -> str:
        """What its files carry: see marks.py."""
        return marks.mark_of(self.settings, self.inputs, self.vgg.network.sha256)

    def present(self, image: np.ndarray) -> np.ndarray:
        """Return an image of this run in its final colours, in [0, 1].

        Recipes that do not clip while they paint may be beyond.
        """
        painted = colour.as_grey(image.clip(0, 1)) if self.grey else image.clip(0, 1)
        return colour.finished(self.settings.color, painted, self.photograph)


def prepare(settings: Settings, asked: bool = False) -> Run:
    """Read the images, open the network, and check that the run can work to its end.

    Where it is only ``asked`` what the run would take, nothing is written, and nothing need be
    writable.
    """
    device = devices.pick(settings.device)
    if not asked:
        _check_writable(settings)
    read = read_inputs(settings)
    run = _open(settings, device, read)
    init: str | Input = run.recipe.init
    if run.recipe.init not in INITS:
        init = read[Path(run.recipe.init)]
    start = initial_image(
        init, settings.seed, run.content, run.style, run.scales[0], run.recipe.noise
    )
    run.image = run.trial = device.asarray(start)
    if asked:
        return run
    if settings.save_every > settings.all_steps:
        warnings.warn(
            f"no frame will be saved: --save-every is {settings.save_every}, and there are "
            f"{settings.all_steps} steps",
            NstWarning,
            stacklevel=2,
        )
    if settings.checkpoint is not None:
        if checkpoints.saved(settings.checkpoint):
            raise NstError(
                f"{settings.checkpoint} holds the checkpoint of another run: "
                f"`nst resume {settings.checkpoint}` goes on with it. Remove it, or give another."
            )
        checkpoints.make_folder(settings.checkpoint)
        run.folder = settings.checkpoint
    elif settings.output is not None and checkpoints.saved(default_folder(settings)):
        folder = default_folder(settings)
        warnings.warn(
            f"{folder} holds the checkpoint of a run that was stopped: `nst resume {folder}` goes "
            "on with it; should this run take as long, its own will replace it",
            NstWarning,
            stacklevel=2,
        )
    return run


def reopen(folder: Path) -> Run:
    """Return the run whose newest checkpoint is in ``folder``, as it was then."""
    saved = checkpoints.load(folder)
    lookup = Lookup(
        f"the checkpoint in {folder}",
        Path(saved.folder),
        (folder.absolute().parent, folder),
        saved.inputs,
    )
    settings = Settings.from_said(saved.settings, lookup)
    read = read_inputs(settings)
    for name in lookup.changed({str(path): given.sha256 for path, given in read.items()}):
        raise NstError(
            f"{name} has changed since the run in {folder} began. Bring the old file back, or "
            "start a new run."
        )
    device = devices.pick(saved.device)
    _check_writable(settings)
    run = _open(settings, device, read)
    if run.vgg.network.sha256 != saved.model:
        raise NstError(
            f"the model {settings.model} is not the one that the run in {folder} began with: its "
            f"sha256 is {run.vgg.network.sha256}, not {saved.model}. Bring the old one back, or "
            "start a new run."
        )
    smallest = smallest_side(run.vgg.network.architecture, run.recipe.taps)
    checkpoint_schema.check(saved, run.recipe.optimizer, run.recipe.history, smallest)
    run.scales = [Scale(*scale) for scale in saved.scales]
    run.history, run.folder = saved.history, folder
    run.side, run.pairs, run.planned = saved.side, saved.pairs, True
    run.optimizer = choose_optimizer(run.recipe, run.pairs)
    run.trial = device.asarray(saved.image)
    run.optimizer.restore(checkpoints.placed(saved.optimizer, device))
    run.image = run.optimizer.best(run.trial)
    return run


def reopen_to_paint(folder: Path) -> Run:
    """Return what ``reopen`` does; NstError where it would overwrite another's file."""
    run = reopen(folder)
    marks.check(run.settings, run.mark, run.history)
    return run


def read_inputs(settings: Settings) -> dict[Path, Input]:
    """Read every file that the run reads, but for the model, and each once."""
    return {path: inputs.read(path, settings.memory) for path in settings.inputs}


def _check_writable(settings: Settings) -> None:
    """Raise NstError if what the run is to write could not be, before hours are spent on it."""
    if settings.output is not None:
        images.check_output(settings.output)
    beside = [settings.log, settings.report]
    beside += [*settings.plots, *settings.frames_there()]
    beside += [settings.frame(settings.all_steps)] if settings.save_every else []
    for path in filter(None, beside):
        files.check_writable(path)


def _open(settings: Settings, device: Device, read: Mapping[Path, Input]) -> Run:
    """Return a run that has what its files hold, but has no image yet."""
    recipe = override(settings)
    network = weights.load(settings.model).brightened(recipe.input_gain)
    photograph, alpha = images.load_to_paint(read[settings.content])
    content = colour.content_to_paint(settings.color, photograph)
    styles = [read_style(one, settings.color, photograph, read, alpha) for one in settings.style]
    return Run(
        settings=settings,
        recipe=recipe,
        device=device,
        vgg=Vgg(network, recipe.taps, recipe.pooling, device, settings.conv, settings.precision),
        photograph=photograph,
        alpha=alpha,
        content=content,
        styles=styles,
        inputs={str(path): given.sha256 for path, given in read.items()},
        scales=plan(content.shape[1], content.shape[2], settings),
        optimizer=choose_optimizer(recipe),
        pairs=recipe.history,
        grey=colour.is_grey(content, *(source.picture for source in styles)),
    )


def read_style(
    painting: Painting,
    color: str,
    photograph: np.ndarray,
    read: Mapping[Path, Input],
    alpha: np.ndarray | None = None,
) -> Source:
    """Decode a painting and its masks, and bring it into the colours that are measured.

    What is transparent has no style: a painting is not looked at there, and where the photograph
    is wholly transparent, by its ``alpha``, none is painted.
    """
    picture, opacity = images.load_to_paint(read[painting.path])
    picture = colour.style_to_paint(color, picture, photograph, opacity, alpha)
    mask = region = None
    if painting.mask is not None:
        mask = read_mask(read[painting.mask])
        warn_of_shape(read[painting.mask], mask, read[painting.path], picture)
    if painting.region is not None:
        region = read_mask(read[painting.region])
        warn_of_shape(read[painting.region], region, None, photograph)
    mask = mask_within(mask, opacity, f"the style {painting.path}")
    shown = None if alpha is None or alpha.all() else alpha > 0
    region = mask_within(region, shown, "the photograph")
    return Source(picture, painting.weight, mask, region, str(painting.region))


def read_mask(source: PathLike | Input) -> np.ndarray:
    """Return the mask in an image file, (H, W): its luma, 0 outside to 1 inside.

    What is transparent is outside.
    """
    given = source if isinstance(source, Input) else inputs.read(source)
    picture, alpha = images.load_with_alpha(given)
    mask = kernels.of(picture).luminance(picture)
    mask = mask if alpha is None else mask * alpha
    if mask.max() < 0.5:
        raise NstError(
            f"the mask {given.name} is empty: its brightest pixel is {mask.max():.2f} of white. "
            "Paint white what is meant."
        )
    return mask


def mask_within(mask: np.ndarray | None, seen: np.ndarray | None, what: str) -> np.ndarray | None:
    """Return a mask, of any size, less what cannot be seen; None is everything."""
    if seen is None:
        return mask
    seen = seen.astype(np.float32)
    within = seen if mask is None else seen * images.resize(mask, *seen.shape)
    if not within.max():
        raise NstError(
            f"{what} is transparent wherever its mask, or all of it, is looked at; give one that "
            "shows something there"
        )
    return within


def warn_of_shape(given: Input, mask: np.ndarray, of: Input | None, picture: np.ndarray) -> None:
    """Warn where a mask has not the shape of its picture: it is stretched to that."""
    (height, width), (rows, columns) = mask.shape, picture.shape[1:]
    fitting = images.fit(rows, columns, max(height, width))
    if abs(fitting[0] - height) + abs(fitting[1] - width) > 1 + max(height, width) // 50:
        warnings.warn(
            f"the mask {given.name} is {width} x {height} pixels, and "
            f"{'the photograph' if of is None else of.name} {columns} x {rows}: another shape, to "
            "which it is stretched",
            NstWarning,
            stacklevel=2,
        )


def snapshot(run: Run) -> Checkpoint:
    """Return what ``reopen`` needs to go on from here."""
    return Checkpoint(
        settings=json.loads(run.settings.as_json()),
        folder=str(run.here),
        inputs=run.inputs,
        model=run.vgg.network.sha256,
        device=run.device.name,
        scales=[[scale.height, scale.width, scale.steps] for scale in run.scales],
        side=run.side,
        pairs=run.pairs,
        history=run.history,
        image=run.trial,
        optimizer=run.optimizer.state(),
    )


def checkpoint_folder(run: Run) -> Path | None:
    """Return where to save ``run``: as asked, or beside its output if it takes long; or None."""
    if run.folder is not None or run.settings.output is None:
        return run.folder
    return default_folder(run.settings) if run.seconds > checkpoints.LONG_RUN else None


def default_folder(settings: Settings) -> Path:
    """Return where a long run is saved if no folder was given: out-checkpoint for out.png."""
    return settings.beside("checkpoint")


def override(settings: Settings) -> Recipe:
    """Return the recipe that the settings name, with what else they say written over it."""
    recipe = settings.objective
    content = recipe.content if settings.content_taps is None else settings.content_taps
    style = recipe.style if settings.style_taps is None else settings.style_taps
    named = {name: getattr(settings, name) for name in ("pooling", "init", "optimizer")}
    if settings.strength == 0:
        named["init"] = "content"
    return replace(
        recipe,
        content={t: w * settings.content_weight for t, w in content.items()},
        style={t: w * settings.style_weight for t, w in style.items()},
        smoothness=recipe.smoothness * settings.tv_weight * settings.strength,
        **{name: value for name, value in named.items() if value is not None},
    )


def initial_image(
    init: str | Input,
    seed: int,
    content: np.ndarray,
    style: np.ndarray,
    scale: Scale,
    noise: Noise = GREY_NOISE,
) -> np.ndarray:
    """Return the image that painting starts from, (3, H, W) at ``scale``.

    ``noise`` is the recipe's; ``style``, or the image of a file, is cropped to the aspect of the
    content.
    """
    if init == "noise":
        rng = np.random.default_rng(seed)
        draw = rng.random if noise.kind == "uniform" else rng.standard_normal
        drawn = draw((3, scale.height, scale.width), np.float32)
        base = np.reshape(np.array(noise.base, np.float32), (3, 1, 1))
        return (base + np.float32(noise.spread) * drawn) / np.float32(noise.white)
    if init == "content":
        return images.resize(content, scale.height, scale.width)
    start = style if init == "style" else images.load_to_paint(init)[0]
    cropped = images.crop_to_aspect(start, scale.height, scale.width)
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
        return Adam(step_size, recipe.step_decay, bounds, recipe.betas, epsilon)
    return Lbfgs(recipe.history if pairs is None else pairs, bounds)
