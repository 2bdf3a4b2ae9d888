"""What a page asks for: knobs and pictures of the shelf -> Settings; and back."""

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec

from nst import demo, schema
from nst.errors import NstError, in_labels
from nst.run.scales import scales_for
from nst.settings import APART, Painting, Settings
from nst.studio.shelf import PHOTOGRAPH, Shelf
from nst.values import shown

TEXT = "what the picture says of its settings"  # as messages call it
PICTURES = ("content", "style", "content_mask", "style_mask")  # of a wish: ids on the shelf


@dataclass(frozen=True)
class Wish:
    """The knobs of the page; those that are called as a setting are that setting."""

    content: str = PHOTOGRAPH
    style: str = next(iter(demo.STYLES))
    content_mask: str | None = None
    style_mask: str | None = None
    recipe: str = Settings.recipe
    model: str = Settings.model  # one of `Models`
    effort: str = Settings.effort
    size: int | None = None
    steps: int | None = None
    content_weight: float = Settings.content_weight
    style_weight: float = Settings.style_weight
    edges: float = Settings.edges
    style_scale: float = Settings.style_scale
    strength: float = Settings.strength
    color: str = Settings.color
    seed: int = Settings.seed


# What the page calls its knobs, by their options: messages do so too
LABELS = {
    "content-weight": "Keep the photograph",
    "style-weight": "Take the painting",
    "style-scale": "Stroke size",
    "strength": "Strength",
    "edges": "Keep the lines",
    "color": "Colours",
    "effort": "Effort",
    "size": "Size in pixels",
    "steps": "Steps",
    "recipe": "Recipe",
    "model": "Network",
}


def in_page(message: str) -> str:
    """Return a ``message`` that names options as the page names its knobs."""
    return in_labels(message, LABELS)


KNOBS = tuple(field.name for field in fields(Wish) if field.name not in PICTURES)


@dataclass(frozen=True)
class Choices:
    """What a wish can name, and what is the same for all: whoever starts the studio decides."""

    shelf: Shelf
    models: dict[str, str]  # by the name in the page: what `Settings.model` takes
    device: str = "auto"
    memory: str = "auto"


def wish_from(said: Any, what: str = "what the page asks for") -> Wish:
    """Return the wish that was parsed from JSON; NstError says what is wrong with it."""
    knobs = schema.given(schema.convert(said, schema.record(Wish), what))
    for name, value in knobs.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise NstError(f"{what} cannot be used: {name} is {value}; give a number.")
    return Wish(**knobs)


def settings_of(wish: Wish, choices: Choices, output: Path | None, **more: Any) -> Settings:
    """Return the settings that a wish means; NstError says which knob is out of its range."""
    shelf = choices.shelf
    if wish.model not in choices.models:
        raise NstError(f"the network is {shown(wish.model)}; choose {', '.join(choices.models)}.")
    masks = [None if id is None else shelf[id].path for id in (wish.style_mask, wish.content_mask)]
    knobs = {name: getattr(wish, name) for name in KNOBS if getattr(wish, name) is not None}
    return Settings(
        **knobs
        | {
            "content": shelf[wish.content].path,
            "style": Painting(shelf[wish.style].path, mask=masks[0], region=masks[1]),
            "model": choices.models[wish.model],
            "output": output,
            "device": choices.device,
            "memory": choices.memory,
        }
        | more
    )


def onward(settings: Settings, height: int, width: int, side: int) -> Settings:
    """Return ``settings`` that leave out the sizes below ``side``: these are painted already.

    ``height`` and ``width`` are the photograph's.  Each size keeps its steps.
    """
    scales = scales_for(height, width, settings)
    left = [(scale.longer, scale.steps) for scale in scales if scale.longer >= side]
    if len(left) < 2:  # which a command line cannot list
        return replace(settings, scales=1, steps=scales[-1].steps)
    sizes, steps = zip(*left, strict=True)
    return replace(settings, scales=tuple(sizes), steps=tuple(steps))


class _Picture(msgspec.Struct):
    """What of a style in a result's text is needed here."""

    path: str
    region: str | None = None
    mask: str | None = None


class _Pictures(msgspec.Struct):
    """What of the pictures in a result's text is needed here."""

    content: str
    style: Annotated[list[_Picture], msgspec.Meta(min_length=1)]


def without_knob(told: dict[str, Any]) -> list[str]:
    """Return the settings of a result for which the page has no knob, as a command line has them.

    A run that went on when a knob was turned has two: the picture that it went on from, and its
    sizes.  ``told`` is what `wish_of` takes, and understands.
    """
    left_out = (*KNOBS, *APART, "content", "style", "device")
    others = {one.name: one.default for one in fields(Settings) if one.name not in left_out}
    names = [name for name, usual in others.items() if told.get(name, usual) != usual]
    if len(told["style"]) > 1 or told["style"][0].get("taps"):
        names.insert(0, "style")
    if not isinstance(told.get("steps"), int | None):
        names.append("steps")
    return ["--" + name.replace("_", "-") for name in names]


def wish_of(told: dict[str, Any], sha256: dict[str, str], choices: Choices) -> Wish:
    """Return the wish that a result's text tells of, with pictures of the shelf.

    ``told`` are its settings and ``sha256`` the hashes of its inputs, by their names.  What the
    page has no knob for is left out.  NstError where a picture is not here any more.
    """
    pictures: _Pictures = schema.convert(told, _Pictures, TEXT)
    painting = pictures.style[0]
    knobs = {name: told[name] for name in KNOBS if told.get(name) is not None}
    knobs["steps"] = told["steps"] if isinstance(told.get("steps"), int) else None
    by_setting = {setting: name for name, setting in choices.models.items()}
    knobs["model"] = by_setting.get(str(told.get("model")), Settings.model)
    named = {
        "content": pictures.content,
        "style": painting.path,
        "content_mask": painting.region,
        "style_mask": painting.mask,
    }
    for name, said in named.items():
        if said is None:
            continue
        found = choices.shelf.find(said, sha256.get(said))
        if found is None:
            raise NstError(
                f"{said}, which it was painted of, is not in {choices.shelf.folder} any more; "
                "bring it back, or choose another."
            )
        knobs[name] = found.id
    return wish_from(knobs, TEXT)
