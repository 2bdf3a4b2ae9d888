"""What the lesson takes apart: a photograph, a painting, a network, and what it sees of both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nst import demo, kernels
from nst.errors import NstError
from nst.objective import Objective, Region, Targets
from nst.objective.recipe import Recipe
from nst.objective.styles.gram import GramStyle
from nst.pictures import images
from nst.vgg import Vgg
from nst.vgg.weights import EMBEDDED

T = TypeVar("T")

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu3_3")  # those of scripts/walkthrough.py
STYLE_TAPS, CONTENT_TAP = TAPS, "relu3_3"
LAYERS = ("conv1_1", "relu1_1", "conv1_2", *TAPS[1:])  # where chapter 1 looks
SMALLEST, LARGEST, USUAL = 64, 160, 96  # pixels, the longer side
NARROWEST = 32  # pixels, the shorter side: half of it is the least that the network takes


@dataclass(frozen=True)
class Subject:
    """Two pictures, (3, H, W) RGB in [0, 1], and a network whose taps are those of the lesson."""

    photograph: np.ndarray
    painting: np.ndarray
    vgg: Vgg  # with the taps TAPS
    names: tuple[str, str] = ("photograph", "painting")  # of their files
    kept: dict[Any, Any] = field(default_factory=dict)  # what was computed once: see `once`

    def once(self, name: Any, compute: Callable[[], T]) -> T:
        """Return what ``compute`` returned when this was first asked for by ``name``."""
        if name not in self.kept:
            self.kept[name] = compute()
        found: T = self.kept[name]
        return found

    def last(self, name: str, given: Any, compute: Callable[[], T]) -> T:
        """Return what ``compute`` returned for ``given``, if that was asked for last by ``name``.

        Only one is kept: of a slider, each position would be one more picture.

        Parameters
        ----------
        name : str
            What is asked for.
        given : Any
            What it is computed of.
        compute : callable
            Returns it; called where ``given`` is not that of the last time.
        """
        if name not in self.kept or self.kept[name][0] != given:
            self.kept[name] = given, compute()
        found: T = self.kept[name][1]
        return found

    def up_to(self, tap: str) -> Vgg:
        """Return the network to ``tap`` and no further, which is quicker."""
        return self.once(("network", tap), lambda: Vgg(self.vgg.network, [tap]))

    @cached_property
    def features(self) -> Mapping[str, np.ndarray]:
        """What each tap sees of the photograph: (C, H, W)."""
        return self.vgg.features(self.photograph)

    @cached_property
    def painting_features(self) -> Mapping[str, np.ndarray]:
        """What each tap sees of the painting."""
        return self.vgg.features(self.painting)

    @cached_property
    def layers(self) -> Mapping[str, np.ndarray]:
        """What each of LAYERS sees of the photograph, before a ReLU too."""
        direct = Vgg(self.vgg.network, LAYERS, convolution="direct")
        return direct.features(self.photograph)

    @cached_property
    def target_grams(self) -> Mapping[str, np.ndarray]:
        """The painting's Gram matrix at each tap."""
        return {tap: kernels.of(f).gram(f) for tap, f in self.painting_features.items()}

    @cached_property
    def faded(self) -> np.ndarray:
        """The painting at the photograph's size: its middle."""
        _, height, width = self.photograph.shape
        return images.resize(images.crop_to_aspect(self.painting, height, width), height, width)

    @cached_property
    def objective(self) -> Objective:
        """What the walkthrough minimises: style at four taps, content at the deepest, relative."""
        return objective_of(self, self.photograph)

    @cached_property
    def noise(self) -> np.ndarray:
        """A picture of nothing, as large as the photograph, always the same."""
        rng = np.random.default_rng(0)
        return rng.random(self.photograph.shape, np.float32)


def read(content: Path | None, style: str, size: int = USUAL, model: str = EMBEDDED) -> Subject:
    """Return the subject of two files, or of the demo's pictures.

    Parameters
    ----------
    content : path or None
        The photograph; None is the demo's.
    style : str
        A painting's file, or the name of one that comes along.
    size : int
        The longer side of both in pixels, SMALLEST to LARGEST.
    model : str
        As for `Vgg`.
    """
    if not SMALLEST <= size <= LARGEST:
        raise NstError(
            f"--size is {size}; the lesson answers at once from {SMALLEST} to {LARGEST} pixels."
        )
    photograph = demo.content_path() if content is None else content
    painting = demo.style_path(style) if style in demo.STYLES else Path(style)
    return Subject(
        _small(photograph, size),
        _small(painting, size),
        Vgg(model, TAPS),
        (photograph.name, painting.name),
    )


def objective_of(subject: Subject, photograph: np.ndarray) -> Objective:
    """Return the lesson's objective for a ``photograph`` of any size."""
    content = {CONTENT_TAP: subject.vgg.features(photograph)[CONTENT_TAP]}
    style = {tap: [Region(GramStyle(subject.target_grams[tap]))] for tap in STYLE_TAPS}
    recipe = Recipe(
        "the lesson's",
        content={CONTENT_TAP: 1.0},
        style=dict.fromkeys(STYLE_TAPS, 1.0),
        relative=True,
    )
    return Objective(subject.vgg, Targets(content, style), recipe)


def _small(path: Path, size: int) -> np.ndarray:
    image = images.load(path)
    _, height, width = image.shape
    rows, columns = images.fit(height, width, size)
    if min(rows, columns) < NARROWEST:
        raise NstError(
            f"{path} is {width} x {height} pixels, and at --size {size} only {columns} x {rows}; "
            f"the lesson needs {NARROWEST} on the shorter side: give a larger --size (up to "
            f"{LARGEST}), or cut it to be less narrow."
        )
    return images.resize(image, rows, columns)
