"""What a run has read: every file once, decoded and checked, and the network opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from nst import devices, files
from nst.devices import Device
from nst.errors import NstError, brief, warn
from nst.files import current_folder
from nst.objective import Warped
from nst.objective.recipes import INITS, Recipe
from nst.objective.styles.sums import painted_share
from nst.pictures import colour, images, reading
from nst.pictures.reading import Input
from nst.run import checkpoints, marks
from nst.run.colours import in_style_colours, in_style_palette, with_chroma, within_regions
from nst.run.paintings import ReadPainting, fitted, read_style
from nst.run.scales import Scale, scales_for
from nst.run.shared import Shared
from nst.settings import Painting, Settings
from nst.vgg import Vgg
from nst.vgg.architecture import COLUMNS, numbers

EVEN = 0.7  # power of the strength: of how far colours go, so that 0.5 looks half way


@dataclass(frozen=True)
class Inputs:
    """Everything that a run has read and opened; none of it changes."""

    settings: Settings
    recipe: Recipe  # with the settings' overrides
    device: Device
    vgg: Vgg
    photograph: np.ndarray  # (3, H, W), at the size of its file
    alpha: np.ndarray | None  # (H, W)
    content: np.ndarray  # the photograph in the colours that are painted: what is to stay
    paintings: tuple[ReadPainting, ...]
    files: Mapping[str, str]  # path: sha256 of every file that was read
    grey: bool = False  # nothing of what it is painted from has a colour
    start: np.ndarray | None = None  # (3, H, W): the picture in the file that --init names
    here: Path = field(default_factory=current_folder)  # where its relative paths begin
    shared: Shared | None = None  # with the other runs of a batch
    fine: "Inputs | None" = None  # the same for the recipe's fine stage
    warped: Warped | None = None  # of a film: what was painted before, on the host, at full size

    @property
    def networks(self) -> list[Vgg]:
        """What paints: of a recipe with a fine stage, two."""
        return [self.vgg] if self.fine is None else [self.vgg, self.fine.vgg]

    def of(self, scale: Scale) -> "Inputs":
        """Return what paints at ``scale``: another recipe, and its network, in a fine stage."""
        return self.fine if scale.fine and self.fine is not None else self

    @property
    def style(self) -> np.ndarray:
        """The first painting."""
        return self.paintings[0].picture

    @property
    def model_text(self) -> str:
        """The network, as the picture's text names it."""
        return f"{self.vgg.network.name} sha256 {self.vgg.network.sha256}"

    @property
    def mark(self) -> str:
        """What its files carry: see marks.py."""
        return marks.mark_of(self.settings, self.files, self.vgg.network.sha256)

    def present(self, image: np.ndarray) -> np.ndarray:
        """Return an image of this run in its final colours, in [0, 1].

        Recipes that do not clip while they paint may be beyond.
        """
        painted = image.clip(0, 1)
        alpha, strength = fitted(self.alpha, *painted.shape[1:]), self.settings.strength
        palette = "painted" if self.settings.color == "painted" else self.recipe.palette
        if palette == "matched":
            colouring = _colouring(self.recipe, self.paintings)
            photograph = colour.content_to_paint(self.settings.color, self.photograph)
            painted = in_style_palette(painted, alpha, colouring, strength**EVEN, photograph)
        elif palette == "chroma":
            photograph = images.resize(self.content, *painted.shape[1:])
            painted = with_chroma(
                painted, photograph, alpha, self.paintings, strength, self.device
            )
        painted = colour.as_grey(painted) if self.grey else painted
        finished = colour.finished(self.settings.color, painted, self.photograph)
        if any(painting.region is None for painting in self.settings.style):
            return finished
        return within_regions(finished, self.photograph, self.paintings)


def prepare(settings: Settings, asked: bool = False, shared: Shared | None = None) -> Inputs:
    """Read the images, open the network, and check that the run can write what it is to write.

    Where it is only ``asked`` what the run would take, nothing is written, and nothing need be
    writable.  What other runs have opened and measured is taken from ``shared``.
    """
    device = devices.pick(settings.device)
    if not asked:
        check_writable(settings)
    read = read_files(settings)
    inputs = open_inputs(settings, device, read, shared)
    if inputs.recipe.init not in INITS:
        start = images.load_to_paint(read[Path(inputs.recipe.init)])[0]
        inputs = replace(inputs, start=start)
    _, height, width = inputs.content.shape
    scales_for(height, width, settings)  # refuses sizes that cannot be, before a folder is made
    if not asked:
        _check_saving(settings)
    return inputs


def _check_saving(settings: Settings) -> None:
    """Make the folder of checkpoints; warn of what will not be saved, or is to be replaced.

    Raises NstError where the folder holds another run's.
    """
    if settings.save_every > settings.all_steps:
        warn(
            f"no frame will be saved: --save-every is {settings.save_every}, and there are "
            f"{settings.all_steps} steps"
        )
    if settings.checkpoint is not None:
        if checkpoints.saved(settings.checkpoint):
            raise NstError(
                f"{settings.checkpoint} holds the checkpoint of another run: "
                f"`nst resume {settings.checkpoint}` goes on with it. Remove it, or give another."
            )
        checkpoints.make_folder(settings.checkpoint)
    elif settings.output is not None and checkpoints.saved(default_folder(settings)):
        folder = default_folder(settings)
        warn(
            f"{folder} holds the checkpoint of a run that was stopped: `nst resume {folder}` goes "
            "on with it; should this run take as long, its own will replace it"
        )


def read_files(settings: Settings) -> dict[Path, Input]:
    """Read every file that the run reads, but for the model, and each once."""
    return {path: reading.read(path, settings.memory) for path in settings.inputs}


def check_writable(settings: Settings) -> None:
    """Raise NstError if what the run is to write could not be, before hours are spent on it."""
    if settings.output is not None:
        images.check_output(settings.output)
    beside = [settings.log, settings.report]
    beside += [*settings.plots, *settings.frames_there()]
    beside += [settings.frame(settings.all_steps)] if settings.save_every else []
    for path in filter(None, beside):
        files.check_writable(path)


def open_inputs(
    settings: Settings,
    device: Device,
    read: Mapping[Path, Input],
    shared: Shared | None = None,
) -> Inputs:
    """Return what the files hold that were ``read``, and open the network."""
    picture = images.load_to_paint(read[settings.content])
    return inputs_of(settings, device, read, picture, shared)


def inputs_of(
    settings: Settings,
    device: Device,
    read: Mapping[Path, Input],
    picture: tuple[np.ndarray, np.ndarray | None],
    shared: Shared | None = None,
) -> Inputs:
    """Return the inputs of a run whose photograph, and its alpha, is ``picture``; see above."""
    recipe = override(settings)
    vgg = (shared or Shared()).vgg(settings, recipe, device)
    photograph, alpha = picture
    paintings = tuple(
        read_style(one, settings.color, photograph, read, alpha) for one in settings.style
    )
    content = content_of(settings, recipe, photograph, alpha, paintings)
    inputs = Inputs(
        settings=settings,
        recipe=recipe,
        device=device,
        vgg=vgg,
        photograph=photograph,
        alpha=alpha,
        content=content,
        paintings=paintings,
        files={str(path): given.sha256 for path, given in read.items()},
        grey=colour.is_grey(content, *(painting.picture for painting in paintings)),
        shared=shared,
    )
    if recipe.fine is None:
        return inputs
    network = (shared or Shared()).vgg(settings, recipe.fine, device)
    everywhere = tuple(replace(painting, taps=None) for painting in paintings)
    return replace(
        inputs,
        fine=replace(inputs, recipe=recipe.fine, vgg=network, paintings=everywhere, shared=None),
    )


def content_of(
    settings: Settings,
    recipe: Recipe,
    photograph: np.ndarray,
    alpha: np.ndarray | None,
    paintings: Sequence[ReadPainting],
    like: np.ndarray | None = None,
) -> np.ndarray:
    """Return the photograph in the colours that are painted; ``like``: see `in_style_colours`."""
    content = colour.content_to_paint(settings.color, photograph)
    if recipe.content_colors == "style":
        chosen = _colouring(recipe, paintings)
        content = in_style_colours(content, alpha, chosen, settings.strength, like)
    return content


def _colouring(recipe: Recipe, paintings: Sequence[ReadPainting]) -> Sequence[ReadPainting]:
    """Return the paintings whose colours are taken: those of the shallowest layer, if any."""
    shallowest = min(recipe.style, key=lambda tap: (0, 0) if tap in COLUMNS else numbers(tap))
    return [one for one in paintings if one.taken_at(shallowest)] or paintings


def default_folder(settings: Settings) -> Path:
    """Return where a long run is saved if no folder was given: out-checkpoint for out.png."""
    return settings.beside("checkpoint")


def override(settings: Settings) -> Recipe:
    """Return the recipe that the settings name, with what else they say written over it."""
    recipe = settings.objective
    content = recipe.content if settings.content_taps is None else settings.content_taps
    style = recipe.style if settings.style_taps is None else settings.style_taps
    named = {name: getattr(settings, name) for name in ("pooling", "init", "optimizer")}
    if settings.init is not None:
        named["init"] = str(settings.init)  # of a file, or of what is in memory
    if settings.strength == 0:
        named["init"] = "content"
    _check_taken(settings.style, style)
    style = {tap: w for tap, w in style.items() if any(s.taken_at(tap) for s in settings.style)}
    given = {name: value for name, value in named.items() if value is not None}
    fine = recipe.fine
    if fine is not None:
        fine = _weighed(fine, fine.content, fine.style, settings, given)
    return replace(_weighed(recipe, content, style, settings, given), fine=fine)


def _weighed(
    recipe: Recipe,
    content: Mapping[str, float],
    style: Mapping[str, float],
    settings: Settings,
    given: Mapping[str, Any],
) -> Recipe:
    """Return a recipe, or its fine stage, with the settings' weights and what is ``given``."""
    return replace(
        recipe,
        content={t: w * settings.content_weight for t, w in content.items()},
        style={t: w * settings.style_weight for t, w in style.items()},
        edges=settings.edges,
        smoothness=recipe.smoothness * settings.tv_weight * painted_share(settings.strength),
        **given,
    )


def _check_taken(paintings: Sequence[Painting], style: Mapping[str, float]) -> None:
    """Raise NstError if a style is to be taken where the recipe takes none."""
    for painting in paintings:
        if unknown := [tap for tap in painting.taps or () if tap not in style]:
            raise NstError(
                f"style {painting.path} is to be taken at {brief(', '.join(unknown))}, where the "
                f"recipe has no weight; choose from {brief(', '.join(style))}, or give "
                "--tap-weights."
            )
