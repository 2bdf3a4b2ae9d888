"""Everything a run depends on, in one frozen record with the defaults in one place."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from nst import demo, files, memory, schema
from nst.errors import NstError, brief, meant
from nst.lookup import Lookup, portable
from nst.objective.effort import EFFORTS, draft_side
from nst.objective.recipes import INITS, OPTIMIZERS, RECIPES, Recipe
from nst.options import Options, Picture
from nst.pictures import reading
from nst.pictures.colour import COLORS
from nst.pictures.held import held
from nst.pictures.reading import Held
from nst.values import is_count, is_number, path_of, shown
from nst.vgg.architecture import (
    CONVOLUTIONS,
    POOLINGS,
    PRECISIONS,
    SMALLEST_SIDE,
    is_tap_name,
)

LARGEST_SIDE = 16384  # pixels; a larger number is taken for a typing mistake
MOST_STEPS = 1_000_000  # a larger number is taken for a typing mistake
LARGEST_SEED = 2**64 - 1
MOST_SCALES, MOST_STYLES, MOST_TAPS = 64, 64, 64  # that can be listed
LARGEST_FACTOR = 1e12  # of weights: beyond, losses leave the finite numbers
OUTPUTS = ("output", "log", "report", "checkpoint")
# What does not change the picture, and so does not come with --from:
APART = ("output", "save_every", "plot", "log", "memory", "report", "checkpoint")


@dataclass(frozen=True)
class Painting:
    """An image whose style to take, where in it, and where to.

    Parameters
    ----------
    path : path, array, PIL.Image.Image or bytes
        The painting; or the name of one that comes along.
    weight : float
        Above 0; relative to the other paintings of the same region.
    mask : as path, optional
        White where the painting is looked at; an array (H, W) will do.  `--style-mask`.
    region : as path, optional
        White where the photograph takes this style.  `--content-mask`.
    taps : sequence of str, optional
        Layers that take this style, such as "relu1_1"; by default all of the recipe's.

    Raises
    ------
    NstError
        For what is no image, and a weight or taps that cannot be.

    Examples
    --------
    >>> import numpy as np
    >>> left = np.zeros((40, 60))
    >>> left[:, :30] = 1
    >>> Painting("waves", region=left).path.name
    'waves.jpg'
    """

    path: Path
    weight: float = 1.0
    mask: Path | None = None
    region: Path | None = None
    taps: tuple[str, ...] | None = None

    if TYPE_CHECKING:  # what may be given is more than what is kept

        def __init__(
            self,
            path: Picture,
            weight: float = 1.0,
            mask: Picture | None = None,
            region: Picture | None = None,
            taps: Sequence[str] | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        kinds = {"path": "style", "mask": "style mask", "region": "content mask"}
        for name, kind in kinds.items():
            if name == "path" or getattr(self, name) is not None:
                path = path_of(f"the {kind} image", held(getattr(self, name), kind))
                path = demo.found(path) if name == "path" else path
                object.__setattr__(self, name, path)
                reading.check(path, kind)
        if not is_number(self.weight) or not 0 < self.weight <= LARGEST_FACTOR:
            raise NstError(
                f"the weight of style {self.path} is {shown(self.weight)}; it must be a number "
                f"above 0, up to {LARGEST_FACTOR:g}."
            )
        object.__setattr__(self, "weight", float(self.weight))
        if self.taps is not None:
            object.__setattr__(self, "taps", self._checked_taps())

    def _checked_taps(self) -> tuple[str, ...]:
        """Return the taps, each once; the network and the recipe know which there can be."""
        taps = self.taps
        named = isinstance(taps, list | tuple) and 0 < len(taps) <= MOST_TAPS
        if not named or not all(isinstance(tap, str) and is_tap_name(tap) for tap in taps or ()):
            raise NstError(
                f"the taps of style {self.path} are {shown(taps)}; give names of layers such as "
                "relu1_1,relu2_1."
            )
        return tuple(dict.fromkeys(taps or ()))

    def taken_at(self, tap: str) -> bool:
        """Return whether this style is taken at ``tap``."""
        return self.taps is None or tap in self.taps

    @property
    def files(self) -> list[Path]:
        """The picture's and its masks'."""
        return [path for path in (self.path, self.mask, self.region) if path is not None]


@dataclass(frozen=True)
class Settings:
    """One stylization.  Weights are factors on the recipe's own; None leaves it to the recipe.

    A picture is a path, or what `held.held` takes: an array, an image of Pillow's, bytes.

    Raises
    ------
    NstError
        If a value is out of its range; it names the command-line option.
    """

    content: Path  # the photograph
    style: tuple[Painting, ...]  # one or more; a picture alone will do
    output: Path | None = Path("out.png")  # its end says the kind; None: only return the result
    size: int | None = None  # pixels, the longer side of the result; the aspect is the content's
    steps: int | tuple[int, ...] | None = None  # evaluations of the objective: all, or by scale
    until: float | None = None  # percent: a scale ends when steps bring less, see ending.py
    effort: str = "normal"  # draft, normal or best: size, steps and until, where these are None
    preview: bool = False  # paint a draft first, save it, and go on from it
    scales: str | int | tuple[int, ...] | None = None  # auto, how many, or the longer sides
    scale_factor: float | None = None  # by which each scale is larger than the one before
    model: str = "auto"  # vgg16, vgg19, vgg16-slim, an .onnx file; auto: vgg16 where installed
    device: str = "auto"  # auto, cpu or cuda
    recipe: str = "nst"  # a name that `nst recipes` lists
    content_weight: float = 1.0  # 0 or more
    style_weight: float = 1.0  # 0 or more
    tv_weight: float = 1.0  # of total variation, 0 or more
    edges: float = 0.0  # weight of the photograph's own edges, 0 or more
    content_taps: Mapping[str, float] | None = None  # weights in place of the recipe's
    style_taps: Mapping[str, float] | None = None
    strength: float = 1.0  # 0, the photograph itself, to 1
    style_scale: float = 1.0  # size of the style images, relative to the result
    color: str = "style"  # whose colours; see colour.py
    optimizer: str | None = None  # descent, adam, lbfgs or pyramid
    pooling: str | None = None  # max or average
    init: str | Path | None = None  # content, noise, style, or a picture
    conv: str = "auto"  # auto or direct: how a CPU convolves; see vgg/winograd.py
    precision: str = "float32"  # or tf32: of products on a GPU
    seed: int = 0  # of the noise
    save_every: int = 0  # steps between saved frames; 0: none
    plot: bool = False  # write the triptych and the loss curves beside the output
    log: Path | None = None  # a .csv file for the losses of every step
    memory: str = "auto"  # the most to use, such as 4GB; auto: most of what is free
    report: Path | None = None  # an .html file that shows the run
    checkpoint: Path | None = None  # a folder; None: beside the output, in a run that takes long

    if TYPE_CHECKING:  # what may be given is more than what is kept

        def __init__(
            self,
            content: Picture,
            style: Picture | Painting | Sequence[Picture | Painting],
            output: files.PathLike | None = "out.png",
            **options: Unpack[Options],
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in ("content", "init"):
            object.__setattr__(self, name, held(getattr(self, name), name))
        for name in ("content", *OUTPUTS):
            value = getattr(self, name)
            if name == "content" or value is not None:
                what = "the content image" if name == "content" else _option(name)
                path = path_of(what, value)
                if name not in ("content", "checkpoint") and not path.name:
                    raise NstError(f"{what} is {path}: that is a folder; name a file in it.")
                object.__setattr__(self, name, path)
        reading.check(self.content, "content")
        object.__setattr__(self, "style", paintings_of(self.style))
        for name in ("steps", "scales"):  # JSON has lists
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check_choice("recipe", tuple(RECIPES))
        if self.size is not None:
            self._check_count("size", SMALLEST_SIDE, LARGEST_SIDE)
        self._check_steps()
        self._check_scales()
        if self.scale_factor is not None:
            self._check_number("scale_factor", 1.1, 8)
        self._check_count("save_every", 0, MOST_STEPS)
        self._check_count("seed", 0, LARGEST_SEED)
        for name in ("content_weight", "style_weight", "tv_weight", "edges"):
            self._check_number(name, 0, LARGEST_FACTOR)
        if self.content_weight != 1 and not (self.content_taps or self.objective.has_content):
            raise NstError(
                f"--content-weight has nothing to weigh: recipe {self.recipe} has no content loss "
                "and keeps its subject by itself. Use --strength for more of the photograph."
            )
        self._check_number("strength", 0, 1)
        if self.until is not None:
            self._check_number("until", 0, 50)
        self._check_choice("effort", tuple(EFFORTS))
        self._check_number("style_scale", 0.1, 10)
        for name in ("content_taps", "style_taps"):
            self._check_taps(name)
        self._check_choice("color", COLORS)
        self._check_choice("device", ("auto", "cpu", "cuda"))
        self._check_choice("optimizer", (None, *OPTIMIZERS))
        self._check_choice("pooling", (None, *POOLINGS))
        self._check_choice("conv", CONVOLUTIONS)
        self._check_choice("precision", PRECISIONS)
        for name in ("model", "init"):
            given = getattr(self, name)
            if isinstance(given, os.PathLike) and not isinstance(given, Held):
                object.__setattr__(self, name, str(given))
        path_of("--model", self.model)
        if self.init is not None and not isinstance(self.init, str | Held):
            raise NstError(f"--init is {shown(self.init)}; give a name or an image file.")
        if isinstance(self.init, str) and self.init not in INITS:
            reading.refuse_address(self.init, "--init")
            if not reading.exists(self.init):
                raise NstError(
                    f"--init is {shown(self.init)}; choose {', '.join(INITS)}, or an existing "
                    "image file."
                )
            reading.check(self.init, "--init")
        for name in ("plot", "preview"):
            if not isinstance(getattr(self, name), bool):
                raise NstError(
                    f"{name} is {shown(getattr(self, name))}; it must be True or False."
                )
        if not isinstance(self.memory, str):
            raise NstError(f"--memory is {shown(self.memory)}; give auto, or text such as 4GB.")
        memory.parse(self.memory)
        if self.checkpoint is not None and self.in_memory:
            raise NstError(
                "--checkpoint needs files to go on from, and a picture of this run is in memory; "
                "save it and name the file, or leave the checkpoint out."
            )
        self._check_outputs()

    @classmethod
    def from_json(
        cls,
        text: str,
        lookup: Lookup | Path | None = None,
        without: Iterable[str] = (),
        **changes: Any,
    ) -> "Settings":
        """Return the settings that ``as_json`` wrote, but for those ``without``, and ``changes``.

        ``lookup`` finds the files that the text names; a folder is where its relative paths begin.

        Raises NstError for what an nst of another version has written, and for any other text.
        """
        found = lookup if isinstance(lookup, Lookup) else Lookup(folder=lookup)
        return cls.from_said(schema.parse_json(text, found.text), found, without, **changes)

    @classmethod
    def from_said(
        cls,
        parsed: Any,
        lookup: Lookup,
        without: Iterable[str] = (),
        **changes: Any,
    ) -> "Settings":
        """Return the settings of a text that was parsed already; see ``from_json``."""
        names = {field.name for field in fields(cls)}
        if isinstance(parsed, dict) and (unknown := sorted(map(str, set(parsed) - names))):
            raise NstError(
                f"{lookup.text} has what this nst does not know: {brief(', '.join(unknown))}. "
                "Use the version of nst that wrote it."
            )
        text = schema.convert(parsed, _text_schema(), lookup.text)
        left_out = {*without, *changes}
        told = {name: value for name, value in schema.given(text).items() if name not in left_out}
        _find_files(told, lookup)
        return cls(**told | changes)

    @property
    def objective(self) -> Recipe:
        """The recipe that --recipe names."""
        return RECIPES[self.recipe]

    def as_json(self) -> str:
        """Return every setting as JSON, paths as text."""
        return json.dumps(asdict(self), default=str)

    def as_told(self) -> dict[str, Any]:
        """Return every setting for others to read: of files the names, not where they are.

        So the picture and the report say nothing of the user's folders.
        """
        names = self.names
        told = asdict(self)
        told["content"] = names[self.content]
        for painting, one in zip(self.style, told["style"], strict=True):
            for name in ("path", "mask", "region"):
                path = getattr(painting, name)
                one[name] = None if path is None else names[path]
        for name in OUTPUTS:
            path = getattr(self, name)
            told[name] = None if path is None else path.name
        told["init"] = names.get(Path(self.init), self.init) if self.init else self.init
        told["model"] = names.get(Path(self.model), self.model)
        return told

    @property
    def names(self) -> dict[Path, str]:
        """What each input, and the model's file, is called in what others read."""
        model = [Path(self.model)] if _is_file_name(self.model) else []
        return portable([*self.inputs, *model])

    def beside(self, suffix: str) -> Path:
        """Return a path next to the output: ``plot.png`` gives out-plot.png for out.png."""
        if self.output is None:
            raise ValueError("there is no output to write beside")
        return self.output.with_name(f"{self.output.stem}-{suffix}")

    def frame(self, step: int) -> Path:
        """Return where the frame after ``step`` is saved: out-00050.png for out.png."""
        return self.beside(f"{step:05d}.png")

    @property
    def plots(self) -> tuple[Path, ...]:
        """Where the triptych and the loss curves are written, if they are."""
        names = ("triptych.png", "losses.png") if self.plot else ()
        return tuple(self.beside(name) for name in names)

    def frame_step(self, path: Path) -> int | None:
        """Return the step whose frame has this path, among those that will be saved; or None."""
        if self.output is None or not self.save_every:
            return None
        found = re.fullmatch(rf"{re.escape(self.output.stem)}-(\d{{5,9}})\.png", path.name)
        step = int(found[1]) if found else 0
        due = 1 <= step <= self.all_steps and step % self.save_every == 0
        return step if due and self.frame(step).name == path.name else None

    def frames_there(self) -> list[Path]:
        """Return the frames that are in the output's folder already, in the order of steps."""
        there = []
        if self.output is not None and self.save_every:
            with suppress(OSError):  # there is no such folder, or it cannot be listed
                there = [self.output.with_name(name) for name in os.listdir(self.output.parent)]
        steps = {self.frame_step(path): path for path in there}
        return [steps[step] for step in sorted(filter(None, steps))]

    @property
    def asked_steps(self) -> int | tuple[int, ...]:
        """The steps over all scales, or by scale, but for those of a preview."""
        if self.steps is not None and self.strength:
            return self.steps
        return self.usual_steps(
            self.effort, self.asked_size or self.objective.size or LARGEST_SIDE
        )

    def usual_steps(self, effort: str, size: int) -> int | tuple[int, ...]:
        """Return the steps of a result of ``size`` pixels with this ``effort``.

        They are none where the photograph is to stay.
        """
        if self.strength == 0:
            return 0
        return EFFORTS[effort].steps(self.objective.steps_to(size, self.factor))

    @property
    def asked_until(self) -> float:
        """The percentage below which a scale ends; 0: never."""
        if self.until is not None:
            return self.until
        return self.objective.until if EFFORTS[self.effort].ends else 0.0

    @property
    def asked_size(self) -> int | None:
        """The longer side of the result in pixels; None: the recipe's, or the photograph's."""
        if self.size is not None:
            return self.size
        if isinstance(self.scales, tuple):
            return self.scales[-1]
        return EFFORTS[self.effort].size

    @property
    def factor(self) -> float:
        """By which each scale is larger than the one before."""
        return self.objective.scale_factor if self.scale_factor is None else self.scale_factor

    @property
    def all_steps(self) -> int:
        """The most steps that there can be over all scales."""
        before = self.usual_steps("draft", draft_side()) if self.preview else 0
        return sum(sum(n) if isinstance(n, tuple) else n for n in (before, self.asked_steps))

    @property
    def inputs(self) -> list[Path]:
        """Every file that the run reads, but for the model."""
        return list(dict.fromkeys([self.content, *self.beside_content]))

    @property
    def beside_content(self) -> list[Path]:
        """Every file that style and start are read from; the photograph may be among them."""
        start = [] if self.init in (None, *INITS) else [_as_path(self.init)]
        paintings = [file for painting in self.style for file in painting.files]
        return list(dict.fromkeys([*paintings, *start]))

    @property
    def in_memory(self) -> bool:
        """Whether a picture of the run is in no file."""
        return any(isinstance(path, Held) for path in self.inputs)

    def _check_steps(self) -> None:
        if self.steps is None:
            return
        if not isinstance(self.steps, tuple):
            self._check_count("steps", 0, MOST_STEPS)
            return
        counts = self._counts("steps")
        if not counts or min(counts) < 0:
            raise NstError(
                f"--steps is {_listed(counts)}; give a number for each scale, 0 or more."
            )
        if sum(counts) > MOST_STEPS:
            raise NstError(f"--steps is {sum(counts)} in all; it must be at most {MOST_STEPS}.")

    def _check_scales(self) -> None:
        if isinstance(self.scales, tuple):
            sizes = self._counts("scales")
            growing = all(a < b for a, b in pairwise(sizes))
            if not sizes or not growing or sizes[0] < SMALLEST_SIDE:
                raise NstError(
                    f"--scales is {_listed(sizes)}; the sizes must grow, from "
                    f"{SMALLEST_SIDE} pixels up."
                )
            if sizes[-1] > (self.size or LARGEST_SIDE):
                raise NstError(
                    f"--scales goes up to {sizes[-1]} pixels, beyond --size "
                    f"{self.size or LARGEST_SIDE}; give a larger --size."
                )
        elif self.scales is not None and not (
            isinstance(self.scales, str) and self.scales == "auto"
        ):
            self._check_count("scales", 1, 10)

    def _counts(self, name: str) -> tuple[int, ...]:
        """Return the whole numbers of a list, after putting plain ones in their place."""
        numbers = getattr(self, name)
        if len(numbers) > MOST_SCALES or not all(map(is_count, numbers)):
            raise NstError(
                f"{_option(name)} is {shown(numbers)}; give whole numbers, {MOST_SCALES} at most."
            )
        object.__setattr__(self, name, tuple(map(int, numbers)))
        return getattr(self, name)

    def _check_taps(self, name: str) -> None:
        kind = name.split("_")[0]
        weights = getattr(self, name)
        if weights is None:
            return
        if not isinstance(weights, Mapping):
            raise NstError(f"the {kind} taps are {shown(weights)}; give a weight for each name.")
        if not weights:
            raise NstError(
                f"the table [{kind}] of --tap-weights is empty; name a tap or leave it out."
            )
        for tap, weight in weights.items():
            if not is_number(weight) or not 0 <= weight <= LARGEST_FACTOR:
                raise NstError(
                    f"the {kind} weight of {tap} is {shown(weight)}; it must be a number, 0 or "
                    f"more, up to {LARGEST_FACTOR:g}."
                )
        plain = {str(tap): float(weight) for tap, weight in weights.items()}
        object.__setattr__(self, name, plain)

    def _check_count(self, name: str, low: int, high: int) -> None:
        if not is_count(getattr(self, name)):
            wanted = "number" if isinstance(getattr(self, name), str) else "whole number"
            raise NstError(f"{_option(name)} is {shown(getattr(self, name))}; give a {wanted}.")
        self._check_range(name, low, high)
        object.__setattr__(self, name, int(getattr(self, name)))

    def _check_number(self, name: str, low: float, high: float) -> None:
        if not is_number(getattr(self, name)):
            raise NstError(f"{_option(name)} is {shown(getattr(self, name))}; give a number.")
        self._check_range(name, low, high)
        object.__setattr__(self, name, float(getattr(self, name)))

    def _check_range(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            wanted = f"between {low} and {high}"
            if high >= MOST_STEPS:  # a slip of the finger, and no range to know of
                wanted = f"at most {high:g}" if value > high else f"at least {low}"
            raise NstError(f"{_option(name)} is {shown(value)}; it must be {wanted}.")

    def _check_choice(self, name: str, choices: tuple[str | None, ...]) -> None:
        value = getattr(self, name)
        if not isinstance(value, str | None) or value not in choices:
            listed = ", ".join(str(c) for c in choices if c is not None)
            asked = [value] if isinstance(value, str) else []
            question = meant(asked, [c for c in choices if c is not None])
            end = f"; {question}" if question else "."
            raise NstError(f"{_option(name)} is {shown(value)}; choose {listed}{end}")

    def _check_outputs(self) -> None:
        if (self.plot or self.save_every) and self.output is None:
            raise NstError("--plot and --save-every write beside the output; give --output.")
        written = {"--output": [self.output], "--log": [self.log], "--report": [self.report]}
        written["--plot"] = [*self.plots]
        written["--checkpoint"] = [self.checkpoint]
        taken = {files.resolved(path): "an input" for path in self.inputs}
        for option, paths in written.items():
            for path in filter(None, paths):
                self._check_free(option, path, taken)
                taken[files.resolved(path)] = "the file of " + option
        for path in self.frames_there():  # a link among the frames may lead to an input
            self._check_free("--save-every", path, taken)
        for path in taken:
            if self.output is not None and path.parent == files.resolved(self.output.parent):
                if step := self.frame_step(path):
                    self._check_free("--save-every", self.frame(step), taken)

    def _check_free(self, option: str, path: Path, taken: Mapping[Path, str]) -> None:
        if what := taken.get(files.resolved(path)):
            raise NstError(f"{option} would overwrite {what}, {path}; give another name.")


def _as_path(named: str | Path | None) -> Path:
    return named if isinstance(named, Path) else Path(str(named))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def paintings_of(style: object) -> tuple[Painting, ...]:
    """Return the paintings that a path, a painting, or a sequence of them means."""
    if isinstance(style, Painting):
        return (style,)
    style = held(style, "style")
    if isinstance(style, str | os.PathLike):
        return (Painting(path_of("the style image", style)),)
    if not isinstance(style, Iterable) or isinstance(style, Mapping):
        raise NstError(
            f"the style is {shown(style)}; give an image file, a Painting, or a list of them."
        )
    several = [held(one, "style") for one in style]
    if not several:
        raise NstError("there is no style image. Give one or more.")
    if len(several) > MOST_STYLES or not all(
        isinstance(one, Painting | str | os.PathLike) for one in several
    ):
        raise NstError(
            f"the styles are {shown(several)}; give image files or Paintings, {MOST_STYLES} at "
            "most."
        )
    return tuple(paintings_of(one)[0] for one in several)


# --- As text --------------------------------------------------------------------------


@cache
def _text_schema() -> Any:
    return schema.record(Settings, style=tuple[schema.record(Painting), ...], init=str | None)  # type: ignore[misc]


def _is_file_name(model: str) -> bool:
    """Return whether a model is called by its file, as `vgg.weights.find` has it."""
    return Path(model).suffix == ".onnx" or os.sep in model


def _find_files(told: dict[str, Any], lookup: Lookup) -> None:
    """Let the paths that a text has told lead to files that are there."""
    if "content" in told:
        told["content"] = lookup.find(told["content"])
        reading.check(told["content"], "content")
    if "style" in told:
        told["style"] = tuple(_find_painting(one, lookup) for one in told["style"])
    if told.get("init") not in (None, *INITS):
        told["init"] = str(lookup.find(Path(told["init"])))
    if _is_file_name(told.get("model", "")):
        told["model"] = str(lookup.find(Path(told["model"])))
    for name in OUTPUTS:
        if told.get(name) is not None:
            told[name] = lookup.place(told[name])


def _find_painting(text: Any, lookup: Lookup) -> Painting:
    values = schema.given(text)
    for name in ("path", "mask", "region"):
        if values.get(name) is not None:
            values[name] = lookup.find(values[name])
    return Painting(**values)
