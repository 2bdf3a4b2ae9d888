"""What a run has read: every file once, decoded and checked, and the network opened."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from nst import devices, files, kernels
from nst.devices import Device
from nst.errors import NstError, brief, warn
from nst.files import PathLike, current_folder
from nst.objective import Warped
from nst.objective.recipes import INITS, Recipe
from nst.objective.styles.sums import painted_share
from nst.pictures import colour, images, reading
from nst.pictures.reading import Input
from nst.run import checkpoints, marks
from nst.run.scales import Scale, scales_for
from nst.run.shared import Shared
from nst.settings import Painting, Settings
from nst.vgg import Vgg

LEAST_SHARE = 0.01  # of a mask, below which a pixel is outside
EVEN = 0.7  # power of the strength: of how far colours go, so that 0.5 looks half way


@dataclass(frozen=True)
class ReadPainting:
    """A painting as it was read: see `settings.Painting`."""

    picture: np.ndarray  # (3, H, W), in the colours that are measured
    weight: float = 1.0
    mask: np.ndarray | None = None  # (H, W) in [0, 1], of the painting
    region: np.ndarray | None = None  # (H, W) in [0, 1], of the photograph
    part: str = ""  # the name of that region: paintings of one part are blended
    alpha: np.ndarray | None = None  # (H, W), of the painting's file
    taps: tuple[str, ...] | None = None  # at which it is taken; None: all

    def taken_at(self, tap: str) -> bool:
        """Return whether this style is taken at ``tap``."""
        return self.taps is None or tap in self.taps


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
        alpha, strength = _fitted(self.alpha, *painted.shape[1:]), self.settings.strength
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
    """Return the photograph in the colours that are painted; for ``like`` see below."""
    content = colour.content_to_paint(settings.color, photograph)
    if recipe.content_colors == "style":
        chosen = _colouring(recipe, paintings)
        content = in_style_colours(content, alpha, chosen, settings.strength, like)
    return content


def _colouring(recipe: Recipe, paintings: Sequence[ReadPainting]) -> Sequence[ReadPainting]:
    """Return the paintings whose colours are taken: those of the shallowest layer, if any."""
    return [one for one in paintings if one.taken_at(min(recipe.style))] or paintings


def read_style(
    painting: Painting,
    color: str,
    photograph: np.ndarray,
    read: Mapping[Path, Input],
    alpha: np.ndarray | None = None,
) -> ReadPainting:
    """Decode a painting and its masks, and bring it into the colours that are measured.

    What is transparent has no style: a painting is not looked at there, and where the photograph
    is wholly transparent, by its ``alpha``, none is painted.
    """
    picture, opacity = images.load_to_paint(read[painting.path])
    picture = colour.style_to_paint(color, picture, photograph, opacity, alpha)
    mask = region = None
    if painting.mask is not None:
        mask = read_mask(read[painting.mask])
        check_shape(read[painting.mask], mask, read[painting.path], picture)
    if painting.region is not None:
        region = read_mask(read[painting.region])
        check_shape(read[painting.region], region, None, photograph)
    mask = mask_within(mask, opacity, f"the style {painting.path}")
    region = mask_within(region, where_shown(alpha), "the photograph")
    part = str(painting.region)
    return ReadPainting(picture, painting.weight, mask, region, part, opacity, painting.taps)


def in_style_colours(
    content: np.ndarray,
    alpha: np.ndarray | None,
    paintings: Sequence[ReadPainting],
    strength: float = 1.0,
    like: np.ndarray | None = None,
) -> np.ndarray:
    """Return ``content`` (3, H, W) with its colours matched to those of the ``paintings``.

    With a ``strength`` below 1 they go so much of the way.  They are moved as those of another
    picture would be, ``like`` (3, h, w): so all frames of a scene are moved alike.

    Mean and covariance of each region become those of the paintings of that region, pooled by
    their weights; what lies in no region stays as it is.  Only what can be seen is counted: an
    ``alpha`` (H, W) of 0 or a mask of 0 leaves a pixel out.

    Features of bright snow cannot stay where the painting is a grey fog: content and style pull
    apart, and the stronger one wins.  In the painting's own range of colours they agree.
    """
    coloured = content
    for sharing, region in _by_region(paintings, *content.shape[1:]):
        of_paintings = colour.blended(
            [
                colour.colour_moments(one.picture, _fitted(one.mask, *one.picture.shape[1:]))
                for one in sharing
            ],
            [one.weight for one in sharing],
        )
        own = None
        if like is not None:
            own = colour.colour_moments(like, _fitted(sharing[0].region, *like.shape[1:]))
        shown = alpha if region is None else region
        matched = colour.match_moments(content, of_paintings, shown, own)
        share = np.float32(1) if region is None else region
        coloured = coloured + share * (matched - content)
    return content + np.float32(strength) * (np.clip(coloured, 0, 1) - content)


def in_style_palette(
    painted: np.ndarray,
    alpha: np.ndarray | None,
    paintings: Sequence[ReadPainting],
    share: float = 1.0,
    photograph: np.ndarray | None = None,
) -> np.ndarray:
    """Return ``painted`` (3, H, W) with colours as the paintings have them, and nearly as often.

    Region by region, see `colour.with_distribution_of`.  With a ``share`` below 1 they lie so
    much of the way from those of the ``photograph``, of any size, to the paintings'.
    """
    if share == 0:
        return painted
    if share < 1 and photograph is not None:
        photograph = images.resize(photograph, *painted.shape[1:])
    coloured = painted
    for sharing, region in _by_region(paintings, *painted.shape[1:]):
        shown = alpha if region is None else region
        if shown is not None and not shown.any():
            continue  # too small to be seen at this size
        wanted = colour.distribution_of(
            [one.picture for one in sharing],
            [_fitted(one.mask, *one.picture.shape[1:]) for one in sharing],
            [one.weight for one in sharing],
        )
        if share < 1 and photograph is not None:
            own = colour.distribution_of([photograph], [shown], [1])
            wanted = colour.between(own, wanted, share)
        found = colour.with_distribution_of(painted, wanted, shown)
        if region is None and coloured is painted:
            coloured = found  # as ever, but for styles in regions; images are large
        else:
            covered = np.float32(1) if region is None else region
            coloured = coloured + covered * (found - painted)
    return coloured.clip(0, 1, out=None if coloured is painted else coloured)


def with_chroma(
    painted: np.ndarray,
    photograph: np.ndarray,
    alpha: np.ndarray | None,
    paintings: Sequence[ReadPainting],
    strength: float = 1.0,
    device: Device = devices.CPU,
) -> np.ndarray:
    """Return ``painted`` (3, H, W) with the photograph's chroma, spread as the paintings'.

    Region by region, and so much of the way, as in `in_style_colours`.  The paintings are seen at
    the picture's size.  See `colour.with_chroma_of`.
    """
    coloured = painted
    for sharing, region in _by_region(paintings, *painted.shape[1:]):
        longer = max(painted.shape[1:])
        shapes = [one.picture.shape[1:] for one in sharing]
        sizes = [images.fit(height, width, longer) for height, width in shapes]
        palette = colour.palette_of(
            [images.resize(one.picture, *s) for one, s in zip(sharing, sizes, strict=True)],
            [_fitted(one.mask, *size) for one, size in zip(sharing, sizes, strict=True)],
            [one.weight for one in sharing],
        )
        seen = alpha if region is None else region
        shown = None if seen is None else device.asarray(seen)
        pictures = device.asarray(painted), device.asarray(photograph)
        found = device.asnumpy(colour.with_chroma_of(*pictures, palette, shown))
        share = np.float32(1) if region is None else region
        coloured = coloured + share * (found - painted)
    return painted + np.float32(strength) * (np.clip(coloured, 0, 1) - painted)


def within_regions(
    picture: np.ndarray, photograph: np.ndarray, paintings: Sequence[ReadPainting]
) -> np.ndarray:
    """Return ``picture`` (3, H, W), and the ``photograph`` where no painting's region is.

    ``photograph + covered (picture - photograph)``, where ``covered`` is the sum of the regions,
    at most 1.  What is painted reaches a little beyond its region, and a recipe without a content
    loss keeps nothing of what is outside.
    """
    height, width = picture.shape[1:]
    regions = [region for _, region in _by_region(paintings, height, width)]
    covered = np.clip(sum(region for region in regions if region is not None), 0, 1)
    covered[covered > 1 - 2 * LEAST_SHARE] = 1  # two masks that meet are rounded each
    shown = images.resize(photograph, height, width)
    return np.where(covered == 1, picture, shown + covered * (picture - shown))


def _by_region(
    paintings: Sequence[ReadPainting], height: int, width: int
) -> Iterator[tuple[list[ReadPainting], np.ndarray | None]]:
    """Yield the paintings that share a region, and it, (height, width); None: everywhere.

    Where regions lie over one another they share what is there: their sum is 1 at most.
    """
    parts: dict[str, list[ReadPainting]] = {}
    for painting in paintings:
        parts.setdefault(painting.part, []).append(painting)
    regions = [_fitted(sharing[0].region, height, width) for sharing in parts.values()]
    covered = sum(np.float32(1) if region is None else region for region in regions)
    if len(regions) > 1 and np.max(covered) > 1 + 2 * LEAST_SHARE:  # not two that only meet
        most = np.maximum(covered, np.float32(1))
        regions = [(np.float32(1) if region is None else region) / most for region in regions]
    yield from zip(parts.values(), regions, strict=True)


def _fitted(mask: np.ndarray | None, height: int, width: int) -> np.ndarray | None:
    if mask is None:
        return None
    fitted = images.resize(mask, height, width)
    return np.where(fitted < LEAST_SHARE, 0, fitted)  # what resizing lets over is outside


def where_shown(alpha: np.ndarray | None) -> np.ndarray | None:
    """Return where a picture is not wholly transparent, (H, W) of bool; None: everywhere."""
    return None if alpha is None or alpha.all() else alpha > 0


def read_mask(source: PathLike | Input) -> np.ndarray:
    """Return the mask in an image file, (H, W): its luma, 0 outside to 1 inside.

    What is transparent is outside.
    """
    given = source if isinstance(source, Input) else reading.read(source)
    picture, alpha = images.load_with_alpha(given)
    mask = kernels.of(picture).luminance(picture)
    mask = mask if alpha is None else mask * alpha
    if mask.max() < 0.5:
        raise NstError(
            f"{_called(given)} is empty: its brightest pixel is {mask.max():.2f} of white. "
            "Paint white what is meant."
        )
    return mask


def mask_within(mask: np.ndarray | None, seen: np.ndarray | None, what: str) -> np.ndarray | None:
    """Return a mask, of any size, less what cannot be seen; None is everything."""
    if seen is None:
        return mask
    seen = seen.astype(np.float32)
    within = seen if mask is None else seen * images.resize(mask, *seen.shape)
    if within.max() < LEAST_SHARE:
        raise NstError(
            f"{what} is transparent wherever its mask, or all of it, is looked at; give one that "
            "shows something there"
        )
    return within


def check_shape(given: Input, mask: np.ndarray, of: Input | None, picture: np.ndarray) -> None:
    """Warn where a mask has not the shape of its picture: it is stretched to that.

    Raises NstError where nothing is left of it then.
    """
    (height, width), (rows, columns) = mask.shape, picture.shape[1:]
    name = "the photograph" if of is None else of.name
    called = _called(given)
    if images.resize(mask, rows, columns).max() < LEAST_SHARE:
        raise NstError(
            f"{called} is empty at the {columns} x {rows} pixels of {name}: paint "
            "white more of what is meant."
        )
    fitting = images.fit(rows, columns, max(height, width))
    if abs(fitting[0] - height) + abs(fitting[1] - width) > 1 + max(height, width) // 50:
        warn(
            f"{called} is {width} x {height} pixels, and {name} {columns} x {rows}: "
            "another shape, to which it is stretched"
        )


def _called(given: Input) -> str:
    """Return what messages call a mask: an array has no name but what it is."""
    return given.name if given.name.startswith("the ") else f"the mask {given.name}"


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
