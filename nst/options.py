"""The types of what Python's callers give: pictures, and the options of a run."""

import inspect
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypedDict

import numpy as np
import PIL.Image

from nst.errors import PYTHON_NAMES, meant

# A file, an array as `pictures.held` takes it, an image of Pillow's, or the bytes of a file.
Picture = str | os.PathLike[str] | np.ndarray | PIL.Image.Image | bytes


class Options(TypedDict, total=False):
    """What `Settings` have besides the pictures and the output: see there."""

    size: int | None
    steps: int | tuple[int, ...] | None
    until: float | None
    effort: str
    preview: bool
    scales: str | int | tuple[int, ...] | None
    scale_factor: float | None
    model: str | os.PathLike[str]
    device: str
    recipe: str
    content_weight: float
    style_weight: float
    tv_weight: float
    edges: float
    content_taps: Mapping[str, float] | None
    style_taps: Mapping[str, float] | None
    strength: float
    style_scale: float
    color: str
    optimizer: str | None
    pooling: str | None
    init: Picture | None
    conv: str
    precision: str
    seed: int
    save_every: int
    plot: bool
    log: str | os.PathLike[str] | None
    memory: str
    report: str | os.PathLike[str] | None
    checkpoint: str | os.PathLike[str] | None


def check_options(
    options: Iterable[str],
    function: Callable[..., Any],
    not_here: Collection[str] = (),
    several: str = "",
) -> None:
    """Raise TypeError for a name among ``options`` that ``function`` and settings do not have.

    Those that are ``not_here`` are settings of one picture, and ``function`` paints ``several``,
    such as "a film".
    """
    known = {*inspect.signature(function).parameters, *Options.__annotations__} - {"options"}
    for name in options:
        if name not in known and name not in not_here:
            advice = meant([name], sorted(known)) or "see nst.Settings"
            if (here := PYTHON_NAMES.get(name)) in known:
                advice = f"that is {here} in Python"
            if name in ("progress", "on_progress"):
                advice = "the steps are yours: look at each as it comes"
            if name in ("style_mask", "content_mask", "mask", "region"):
                advice = "a mask belongs to a style: nst.Painting(style, mask=..., region=...)"
            raise TypeError(f"{function.__name__} has no option {name!r}; {advice}")
    if unknown := set(options) & set(not_here):
        raise TypeError(f"{several} has no {sorted(unknown)}: they are of one picture each")
