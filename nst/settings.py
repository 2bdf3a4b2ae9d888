"""Everything a run depends on, in one frozen record with the defaults in one place."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from nst import inputs, memory
from nst.colour import COLORS
from nst.errors import NstError
from nst.objective.recipes import INITS, OPTIMIZERS, RECIPES, Recipe
from nst.vgg.architecture import CONVOLUTIONS, POOLINGS, PRECISIONS, SMALLEST_SIDE

LARGEST_SIDE = 16384  # pixels; a slip of the finger beyond
PATHS = ("content", "init", "model", "output", "log", "report", "checkpoint")  # or names, two
# What does not change the picture, and so does not come with --from:
APART = ("output", "save_every", "plot", "log", "memory", "report", "checkpoint")


@dataclass(frozen=True)
class Painting:
    """An image whose style to take, where in it, and where to."""

    path: Path
    weight: float = 1.0  # above 0; relative to the other paintings of the same region
    mask: Path | None = None  # an image, white where the painting is looked at
    region: Path | None = None  # an image, white where the photograph takes this style

    def __post_init__(self) -> None:
        for name in ("path", "mask", "region"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)))
        kinds = {"style": self.path, "style mask": self.mask, "content mask": self.region}
        for kind, path in kinds.items():
            if path is not None:
                inputs.check(path, kind)
        if not 0 < self.weight < float("inf"):
            raise NstError(
                f"the weight of style {self.path} is {self.weight}; it must be a number above 0."
            )

    @property
    def files(self) -> list[Path]:
        return [path for path in (self.path, self.mask, self.region) if path is not None]


@dataclass(frozen=True)
class Settings:
    """One stylization.  Weights are factors on the recipe's own; None leaves it to the recipe.

    Raises NstError, naming the command-line option, if a value is out of its range.
    """

    content: Path  # the photograph
    style: tuple[Painting, ...]  # one or more; a path alone will do
    output: Path | None = Path("out.png")  # .png or .jpg; None: only return the result
    size: int | None = None  # pixels, the longer side of the result; the aspect is the content's
    steps: int | tuple[int, ...] | None = None  # evaluations of the objective: all, or by scale
    scales: str | int | tuple[int, ...] | None = None  # auto, how many, or the longer sides
    scale_factor: float | None = None  # by which each scale is larger than the one before
    model: str = "auto"  # vgg16, vgg19, vgg16-slim, an .onnx file; auto: vgg16 where installed
    device: str = "auto"  # auto, cpu or cuda
    recipe: str = "nst"  # a name that `nst recipes` lists
    content_weight: float = 1.0  # 0 or more
    style_weight: float = 1.0  # 0 or more
    tv_weight: float = 1.0  # of total variation, 0 or more
    content_taps: Mapping[str, float] | None = None  # weights in place of the recipe's
    style_taps: Mapping[str, float] | None = None
    strength: float = 1.0  # 0, the photograph itself, to 1
    style_scale: float = 1.0  # size of the style images, relative to the result
    color: str = "style"  # whose colours; see colour.py
    optimizer: str | None = None  # descent, adam or lbfgs
    pooling: str | None = None  # max or average
    init: str | None = None  # content, noise, style, or an image file
    conv: str = "auto"  # auto or direct: how a CPU convolves; see vgg/winograd.py
    precision: str = "float32"  # or tf32: of products on a GPU
    seed: int = 0  # of the noise
    save_every: int = 0  # steps between saved frames; 0: none
    plot: bool = False  # write the triptych and the loss curves beside the output
    log: Path | None = None  # a .csv file for the losses of every step
    memory: str = "auto"  # the most to use, such as 4GB; auto: most of what is free
    report: Path | None = None  # an .html file that shows the run
    checkpoint: Path | None = None  # a folder; None: beside the output, in a run that takes long

    def __post_init__(self) -> None:
        for name in ("content", "output", "log", "report", "checkpoint"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)))
        inputs.check(self.content, "content")
        object.__setattr__(self, "style", _paintings(self.style))
        for name in ("steps", "scales"):  # JSON has lists
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check_choice("recipe", tuple(RECIPES))
        if self.size is not None:
            self._check_number("size", SMALLEST_SIDE, LARGEST_SIDE)
        self._check_steps()
        self._check_scales()
        if self.scale_factor is not None:
            self._check_number("scale_factor", 1.1, 8)
        self._check_number("save_every", 0)
        self._check_number("seed", 0)
        for name in ("content_weight", "style_weight", "tv_weight"):
            self._check_number(name, 0)
        self._check_number("strength", 0, 1)
        self._check_number("style_scale", 0.1, 10)
        for name in ("content_taps", "style_taps"):
            self._check_taps(name)
        self._check_choice("color", COLORS)
        self._check_choice("device", ("auto", "cpu", "cuda"))
        self._check_choice("optimizer", (None, *OPTIMIZERS))
        self._check_choice("pooling", (None, *POOLINGS))
        self._check_choice("conv", CONVOLUTIONS)
        self._check_choice("precision", PRECISIONS)
        if self.init not in (None, *INITS):
            if not inputs.exists(self.init):
                raise NstError(
                    f"--init is {self.init!r}; choose {', '.join(INITS)}, or an existing image "
                    "file."
                )
            inputs.check(self.init, "--init")
        memory.parse(self.memory)
        self._check_outputs()

    @classmethod
    def from_json(cls, text: str, folder: Path | None = None, **changes: Any) -> "Settings":
        """Return the settings that ``as_json`` wrote, with ``changes``.

        Relative paths in the text begin at ``folder``.

        Raises NstError for what an nst of another version has written.
        """
        said = json.loads(text)
        if unknown := sorted(set(said) - {f.name for f in fields(cls)}):
            raise NstError(
                f"the settings have what this nst does not know: {', '.join(unknown)}. Use the "
                "version of nst that wrote them."
            )
        if folder is not None and folder != Path.cwd():
            _anchor(said, PATHS, folder)
            for painting in said["style"]:
                _anchor(painting, ("path", "mask", "region"), folder)
        return cls(**said | changes)

    @property
    def objective(self) -> Recipe:
        """The recipe that --recipe names."""
        return RECIPES[self.recipe]

    def as_json(self) -> str:
        """Return every setting as JSON, paths as text."""
        return json.dumps(asdict(self), default=str)

    def beside(self, suffix: str) -> Path:
        """Return a path next to the output: ``plot.png`` gives out-plot.png for out.png."""
        if self.output is None:
            raise ValueError("there is no output to write beside")
        return self.output.with_name(f"{self.output.stem}-{suffix}")

    def frame(self, step: int) -> Path:
        """Return where the frame after ``step`` is saved: out-00050.png for out.png."""
        return self.beside(f"{step:05d}.png")

    @property
    def asked_steps(self) -> int | tuple[int, ...]:
        """The steps over all scales, or by scale; none where the photograph is to stay."""
        if self.strength == 0:
            return 0
        return self.objective.steps if self.steps is None else self.steps

    @property
    def all_steps(self) -> int:
        """The steps over all scales."""
        steps = self.asked_steps
        return sum(steps) if isinstance(steps, tuple) else steps

    @property
    def inputs(self) -> list[Path]:
        """Every file that the run reads, but for the model."""
        start = [] if self.init in (None, *INITS) else [Path(str(self.init))]
        paintings = [file for painting in self.style for file in painting.files]
        return list(dict.fromkeys([self.content, *paintings, *start]))

    def _check_steps(self) -> None:
        if self.steps is not None and not isinstance(self.steps, tuple):
            self._check_number("steps", 0)
        elif self.steps is not None and (not self.steps or min(self.steps) < 0):
            raise NstError(
                f"--steps is {_listed(self.steps)}; give a number for each scale, 0 or more."
            )

    def _check_scales(self) -> None:
        if isinstance(self.scales, tuple):
            growing = all(a < b for a, b in pairwise(self.scales))
            if not self.scales or not growing or self.scales[0] < SMALLEST_SIDE:
                raise NstError(
                    f"--scales is {_listed(self.scales)}; the sizes must grow, from "
                    f"{SMALLEST_SIDE} pixels up."
                )
            if self.scales[-1] > (self.size or LARGEST_SIDE):
                raise NstError(
                    f"--scales goes up to {self.scales[-1]} pixels, beyond --size "
                    f"{self.size or LARGEST_SIDE}; give a larger --size."
                )
        elif self.scales not in (None, "auto"):
            self._check_number("scales", 1, 10)

    def _check_taps(self, name: str) -> None:
        kind = name.split("_")[0]
        weights = getattr(self, name)
        if weights is not None and not weights:
            raise NstError(
                f"the table [{kind}] of --tap-weights is empty; name a tap or leave it out."
            )
        for tap, weight in (weights or {}).items():
            if not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
                raise NstError(
                    f"the {kind} weight of {tap} is {weight!r}; it must be a number, 0 or more."
                )

    def _check_number(self, name: str, low: float, high: float = float("inf")) -> None:
        value = getattr(self, name)
        if isinstance(value, str):
            raise NstError(f"{_option(name)} is {value!r}; give a number.")
        if not low <= value <= high or value == float("inf"):
            wanted = f"between {low} and {high}" if high < float("inf") else f"at least {low}"
            raise NstError(f"{_option(name)} is {value}; it must be {wanted}.")

    def _check_choice(self, name: str, choices: tuple[str | None, ...]) -> None:
        if getattr(self, name) not in choices:
            listed = ", ".join(str(c) for c in choices if c is not None)
            raise NstError(f"{_option(name)} is {getattr(self, name)!r}; choose {listed}.")

    def _check_outputs(self) -> None:
        if (self.plot or self.save_every) and self.output is None:
            raise NstError("--plot and --save-every write beside the output; give --output.")
        written = {"--output": [self.output], "--log": [self.log], "--report": [self.report]}
        if self.plot:
            written["--plot"] = [self.beside("triptych.png"), self.beside("losses.png")]
        if self.save_every:
            due = range(self.save_every, self.all_steps + 1, self.save_every)
            written["--save-every"] = [self.frame(step) for step in due]
        taken = {path.resolve(): "an input" for path in self.inputs}
        for option, paths in written.items():
            for path in filter(None, paths):
                if what := taken.get(path.resolve()):
                    raise NstError(f"{option} would overwrite {what}, {path}; give another name.")
                taken[path.resolve()] = "the file of " + option


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _paintings(style: object) -> tuple[Painting, ...]:
    """Return the paintings that a path, a painting, or a sequence of them means."""
    if isinstance(style, Painting):
        return (style,)
    if isinstance(style, str | os.PathLike):
        return (Painting(Path(style)),)
    if isinstance(style, Mapping):  # from JSON
        return (Painting(**style),)
    paintings = tuple(_paintings(one)[0] for one in style)  # type: ignore[attr-defined]
    if not paintings:
        raise NstError("there is no style image. Give one or more.")
    return paintings


def _anchor(said: dict[str, Any], names: tuple[str, ...], folder: Path) -> None:
    """Let the paths of these ``names`` begin at ``folder``; neither standard input
    nor a name of a model is one."""
    for name in names:
        value = said.get(name)
        if (
            value
            and value != inputs.STDIN
            and (name not in ("model", "init") or (folder / value).is_file())
        ):
            said[name] = str(folder / value)
