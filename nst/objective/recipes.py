"""Published objectives as data: which layers, which weights, which conventions.

A weight means nothing without its conventions: whether a Gram matrix is divided by the number of
pixels, whether a loss is a mean or a sum, what total variation is, and whether a pixel's white is
1 or 255.  So each recipe states all, in the units of its source; what a field does not say has
the value in recipe.py, which is Gatys' notebook's wherever that has one.

Where the numbers are in pixels (``pixel_range``, the image's white), the painted image here is
in [0, 1] all the same: smoothness is measured on ``pixel_range * image``, and a step of 10 grey
levels is one of ``10 / pixel_range``.  The features' own scale belongs to the network's weights
and not to a recipe: all published programs but crowson and pystiche took Oxford's, as our vgg16
and vgg19 are.  With another network the objective is the same and the numbers are not.

What a recipe cannot say, ``departs`` says: what its source does, and what nst does otherwise.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from nst.objective.recipe import GREY_NOISE, INITS, OPTIMIZERS, Noise, Recipe
from nst.objective.styles.finish import STATISTICS, statistics
from nst.vgg.architecture import HYPERCOLUMN, HYPERCOLUMN_POINTS, VGG16

__all__ = [
    "GREY_NOISE",
    "INITS",
    "OPTIMIZERS",
    "RECIPES",
    "Noise",
    "Recipe",
    "describe",
    "table",
]

_MEAN_COLOUR = (123.68, 116.779, 103.939)  # of ImageNet: zero behind the mean's subtraction
_FIRST_RELUS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
_BELOW_BLOCK_5 = _FIRST_RELUS[:4]
_FIRST_CONVOLUTIONS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
_BY_CHANNELS = {relu: 1e3 / VGG16.channels(relu) ** 2 for relu in _FIRST_RELUS}  # 64, ... 512


_LINE_SEARCH = (
    "the source's L-BFGS takes steps of length 1, and the first of 1 / sum |gradient|; nst's "
    "searches for the length of each (strong Wolfe)"
)
_TOLERANCE = (
    "the source may end early, by a tolerance, and always finishes the last 20 steps; nst takes "
    "the steps that it is told"
)
_LANCZOS = "the source resizes pictures bilinearly; nst by Lanczos' filter"
_CUT = "the source cuts a side off to whole pixels; nst rounds it"


def _each(taps: tuple[str, ...], weight: float) -> dict[str, float]:
    return dict.fromkeys(taps, weight)


_PADDING = (
    16  # pixels: with 8 what pulls on the outermost of them leaves a line where it is folded
)
_PAINTED: dict[str, Any] = {  # how our own recipes with nearest features are painted at one size
    "relative": True,
    "pixel_range": 1,
    "pooling": "average",
    "padding": _PADDING,
    "history": 10,
    "step_size": 0.02,
    "clip": True,
}
_OURS: dict[str, Any] = {**_PAINTED, "palette": "matched", "coarsest": 64, "steps": 120}
_NEAREST: dict[str, Any] = {  # and the objective of two of them
    "content": {},
    "style": {HYPERCOLUMN: 1.0},
    "style_statistic": "neighbours",
    "both_ways": True,
    "smoothness": 1.0,
    **_OURS,
}

RECIPES = {
    "nst": Recipe(
        source="this program's default: four blocks, every loss relative to its target",
        content={"relu4_1": 2.5},
        content_colors="style",
        style=_each(_BELOW_BLOCK_5, 15.0),
        relative=True,
        smoothness=0.5,
        pixel_range=1,
        pooling="average",
        padding=_PADDING,
        size=640,
        scales="auto",
        steps=140,
        coarse_steps=0.3,
        until=3.0,
        history=30,
        bands=12,
        step_size=0.02,
        clip=True,
        palette="matched",
    ),
    "neighbours": Recipe(
        source="this program's; Kolkin et al., Neural Neighbor Style Transfer (2022), its base",
        **_NEAREST,
    ),
    "mixture": Recipe(
        source="this program's: nearest features, and lightly the Gram matrices of the default",
        content={},
        style={HYPERCOLUMN: 1.0} | _each(_BELOW_BLOCK_5, 0.03),
        statistics={HYPERCOLUMN: "neighbours"},
        smoothness=0.7,
        **_OURS,
    ),
    "strokes": Recipe(
        source="this program's: nearest features, then layer by layer: strokes follow the forms",
        fine=Recipe(
            source="this program's: feature splitting, with the photograph's own content",
            content={"relu3_3": 1.0},
            style=_each(_BELOW_BLOCK_5, 2.5),
            style_statistic="split",
            both_ways=True,
            smoothness=0.5,
            **_PAINTED,
        ),
        **_NEAREST,
    ),
    "nnst": Recipe(
        source="nkolkin13/NeuralNeighborStyleTransfer: NNST-Opt, styleTransfer.py",
        # Lines of utils/stylize.py: pyramids 45, start 63-68, what asks 90, matching 107 and 151,
        # layers 223, last pass 292-318; of styleTransfer.py: scales and size 39, steps 66.
        departs=(
            "the program leaves the last of its 200 steps out; nst evaluates each scale 199 times",
            "a slip of the program: in its last pass layers of 64 positions and less, at 512 "
            "pixels block 4, are not compared, but relu3_3 in their place; nst compares them",
            "the program centres what asks in blocks, each by its own mean; nst by that of all",
            "the program enlarges bilinearly, beyond black and white too; nst by Lanczos, clipped",
            "from 1024 pixels on the program begins the scales of 128 and 256 pixels with the "
            "photograph's details; nst with what was painted",
            _LANCZOS,
            _CUT,
        ),
        content={},
        style={HYPERCOLUMN_POINTS: 1.0},
        style_statistic="neighbours",
        looked_at=None,
        rotations=True,
        pixel_range=1,
        pooling="max",
        coarsest=64,
        steps=(199, 199),
        optimizer="pyramid",
        step_size=0.002,
        palette="chroma",
        fine=Recipe(
            source="the program's last pass: feature splitting",
            content={},
            style=_each(VGG16.parts(HYPERCOLUMN), 1.0),
            style_statistic="split",
            rotations=True,
            pixel_range=1,
            pooling="max",
            steps=199,
            optimizer="pyramid",
            step_size=0.002,
        ),
    ),
    "gatys": Recipe(
        source="leongatys/PytorchNeuralStyleTransfer, NeuralStyleTransfer.ipynb",
        # Lines of the file: Gram / HW 128, size 146, weights 259, steps 306-308.
        departs=(
            "the notebook has a second stage, of 800 pixels on the shorter side; nst takes it for "
            "a run of its own: --init FILE --size 1066 --steps 200 for a picture of 4 : 3, whose "
            "longer side that is",
            _LINE_SEARCH,
            _TOLERANCE,
            _LANCZOS,
            _CUT,
        ),
        content={"relu4_2": 1.0},
        style=_BY_CHANNELS,
        pooling="max",
        side="shorter",
        style_side="shorter",
    ),
    "gatys-paper": Recipe(
        source="Gatys, Ecker and Bethge, CVPR 2016: eqs. 1 to 7, alpha / beta = 1e-3",
        # Sections: scaled filters 2, average pooling 2, L-BFGS 2.3, alpha / beta and sizes 3.
        departs=(
            "the paper's network has its filters scaled to a mean activation of 1; nst takes "
            "them as they were published",
            "the paper does not say size, steps, noise and how L-BFGS is set; nst takes the "
            "notebook's, and noise of 0 to 255",
            "the paper resizes the style image to the content's size; nst keeps its aspect, and "
            "its longer side becomes the result's",
        ),
        content={"conv4_2": 1.0},
        content_reduction="half sum",
        style=_each(_FIRST_CONVOLUTIONS, 1e3 / 5 / 4),  # 1 / (4 N**2 M**2), G undivided
        pooling="average",
        init="noise",
        noise=Noise("uniform", (0, 0, 0), 255),
    ),
    "johnson": Recipe(
        source="jcjohnson/neural-style, neural_style.lua",
        # Lines: size 17, weights 22-24, steps 25, noise 203, white 419-426, Gram 534, TV 576-597.
        departs=(
            "the program's printed loss leaves total variation out, of which it takes only the "
            "gradient; nst's total has it",
            "the program's average pools drop an odd last row, which its maximum pools keep; "
            "nst's keep it too",
            _LINE_SEARCH,
            _LANCZOS,
        ),
        content={"relu4_2": 5.0},
        style=_each(_FIRST_RELUS, 100.0),
        gram_normalization="CHW",
        smoothness=1e-3,
        smoothness_kind="johnson",
        smoothness_reduction="sum",
        pixel_range=256,
        input_gain=256 / 255,
        pooling="max",
        pool_rounding="ceil",
        init="noise",
        noise=Noise("normal", _MEAN_COLOUR, 1e-3, white=256),
        steps=1000,
        step_size=10,
    ),
    "johnson-pt": Recipe(
        source="ProGamerGov/neural-style-pt, neural_style.py",
        # Lines where it differs from neural_style.lua: white 343, TV 484-486, L-BFGS 270-274.
        departs=(_LINE_SEARCH, _LANCZOS, _CUT),
        content={"relu4_2": 5.0},
        style=_each(_FIRST_RELUS, 100.0),
        gram_normalization="CHW",
        smoothness=1e-3,
        smoothness_kind="l1",
        smoothness_reduction="sum",
        pooling="max",
        init="noise",
        noise=Noise("normal", _MEAN_COLOUR, 1e-3),
        steps=1000,
    ),
    "anish": Recipe(
        source="anishathalye/neural-style, neural_style.py and stylize.py",
        # Lines: weights and steps 15-27 of neural_style.py, TV 158-163 of stylize.py.
        departs=(
            "the program keeps the picture with the lowest loss; nst the last",
            "the program adds Adam's epsilon before the bias is taken out of the moments; nst "
            "after",
            "the program resizes the style image bilinearly; nst by Lanczos' filter",
        ),
        content={"relu4_2": 5.0},
        style=_each(_FIRST_RELUS, 500 / 5),
        gram_normalization="CHW",
        smoothness=100.0,
        smoothness_kind="l2",
        smoothness_reduction="means",  # of rows and of columns, each over as many as there are
        pooling="max",
        pool_rounding="ceil",
        init="noise",
        noise=Noise("normal", _MEAN_COLOUR, 0.256),
        size=None,
        style_side="width",
        steps=1000,
        optimizer="adam",
        step_size=10,
    ),
    "crowson": Recipe(
        source="crowsonkb/style-transfer-pytorch, style_transfer.py",
        # Lines of all defaults: 309-363.
        departs=(
            "the program's conv1_1 pads by replication; nst's with zeros",
            "the program takes a running mean of the steps with L-BFGS too; nst with Adam only",
            "the program keeps Adam's moments from one scale to the next; nst begins anew",
            "the program never enlarges a style image; nst does",
            "the program resizes pictures bicubically; nst by Lanczos' filter",
        ),
        content={"relu4_2": 0.015},
        style={
            "relu1_1": 256 / 341,
            "relu2_1": 64 / 341,
            "relu3_1": 16 / 341,
            "relu4_1": 4 / 341,
            "relu5_1": 1 / 341,
        },
        style_statistic="newton-schulz",
        smoothness=2.0,
        smoothness_kind="crowson",
        pixel_range=1,
        pooling="max",
        coarsest=128,  # 128, 181, 256, 362, 512
        scale_factor=2**0.5,
        steps=(1000, 500),
        optimizer="adam",
        step_size=0.02,
        betas=(0.9, 0.99),
        average=0.99,
        clip=True,
    ),
    "pystiche": Recipe(
        source="pystiche/pystiche, _cli.py",
        # Lines of all defaults: 364-483.
        departs=(
            _LINE_SEARCH,
            "the program may end early, by a tolerance; nst takes the steps that it is told",
            _LANCZOS,
        ),
        content={"relu4_2": 1.0},
        style=_each(_FIRST_RELUS, 1e3 / 5),
        pixel_range=1,
        pooling="max",
        size=500,
        side="shorter",
        style_size=500,
        style_side="shorter",
        step_size=0.02,
    ),
    "spst": Recipe(
        source="bgalerne/scaling_painting_style_transfer, spst.py",
        # Lines: first size 23, weights 87-92, steps 145-150, history 152.
        departs=(
            "the program doubles the size up to the file's own, with a third of the steps each "
            "time, but 30 at least, and a history of 10; nst has its first scale only",
            "the program's first size is the file's, halved until its shorter side is 1023 or "
            "less, and it never enlarges a style image; nst brings both to 1023",
            _LINE_SEARCH,
            _TOLERANCE,
            "the program resizes pictures by Pillow's default; nst by Lanczos' filter",
        ),
        content={"relu4_2": 1.0},
        style=_BY_CHANNELS,
        style_statistic="moments",
        moment_weight=1000 / 100,
        pooling="max",
        size=1023,
        side="shorter",
        style_side="shorter",
        steps=600,
    ),
    "hvass": Recipe(
        source="Hvass-Labs/TensorFlow-Tutorials, 15_Style_Transfer.ipynb: where nst began",
        # Lines of the file: Gram 301, style loss 328, TV 397, weights 414-415, step 525-531.
        departs=(
            "the tutorial leaves it to chance whether a weight is that of the step before; nst's "
            "is always that of the step",
            "the tutorial's network seems to multiply pixels of 0 to 255 by 255 once more; nst's "
            "does not",
            _CUT,
        ),
        content={"relu3_1": 1.5},
        style=_each(tuple(tap for tap in VGG16.taps if tap.startswith("relu")), 10 / 13),
        gram_normalization="none",
        combination="log",
        smoothness=0.3,
        smoothness_kind="l1",
        smoothness_reduction="sum",
        pooling="max",
        pool_rounding="ceil",
        init="noise",
        size=None,
        style_size=300,
        steps=60,
        optimizer="descent",
        step_size=10,
        clip=True,
    ),
}

RECIPES["w2"] = replace(
    RECIPES["crowson"],
    source="the distance that crowson's program means: with exact roots",
    departs=(
        "the program's roots take 12 steps of Newton and Schulz, and have not converged: close to "
        "the style its gradient is another, by a factor of several; for the rest see crowson",
    ),
    style_statistic="w2",
)


def table() -> str:
    """Return one line for each recipe: its name and its source."""
    widest = max(map(len, RECIPES))
    return "\n".join(f"{name:{widest}}  {recipe.source}" for name, recipe in RECIPES.items())


def describe(name: str) -> str:
    """Return the recipe ``name`` in full, a line or two for each field that it makes use of."""
    recipe = RECIPES[name]
    rows = [("recipe", name)]
    for field in fields(Recipe):
        value = getattr(recipe, field.name)
        if field.name == "departs":
            rows += [("" if i else "departs", f"- {what}") for i, what in enumerate(value)]
        elif field.name not in _unused(recipe):
            told = _text(value) or _LEFT_OPEN[field.name]
            apart = field.name == "style_size" and value is not None
            rows.append((field.name, f"{told}, whatever the result's" if apart else told))
    widest = max(len(label) for label, _ in rows) + 2
    lines = []
    for label, text in rows:
        lines += textwrap.wrap(f"{label:{widest}}{text}", 99, subsequent_indent=" " * widest)
    return "\n".join(lines)


_LEFT_OPEN = {
    "size": "the content file's own",
    "looked_at": "all",
    "style_size": "as large as the result",
}


def _unused(recipe: Recipe) -> set[str]:
    """Return the fields that say nothing in this recipe."""
    unused = {"fine"} if recipe.fine is None else set()
    unused |= {knob for style in STATISTICS.values() for knob in style.knobs}
    unused -= {knob for style in statistics(recipe) for knob in style.knobs}
    unused |= set() if recipe.rotations else {"rotations"}
    named = ("content", "statistics", "temporal")
    unused |= {name for name in named if not getattr(recipe, name)}
    if not recipe.content:
        unused |= {"content_reduction", "content_colors"}
    if not set(recipe.style) - set(recipe.statistics):
        unused |= {"style_statistic"}
    if recipe.palette == "painted":
        unused |= {"palette"}
    unused |= {"coarsest"} if recipe.coarsest is None else {"scales"}
    unused |= {name for name in ("until", "coarse_steps") if not getattr(recipe, name)}
    unused |= set() if recipe.edges else {"edges"}
    if not recipe.smoothness:
        unused |= {"smoothness_kind", "smoothness_reduction"}
    if recipe.init != "noise":
        unused |= {"noise"}
    unused |= {"average"} if recipe.optimizer != "adam" or not recipe.average else set()
    if not recipe.padding:
        unused |= {"padding"}
    if recipe.optimizer == "lbfgs":
        return unused | {"step_size", "step_decay", "betas"}
    return unused | {"history", "bands"} | ({"betas"} if recipe.optimizer == "descent" else set())


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        taps_of: dict[str, list[str]] = {}
        for tap, weight in value.items():
            said = weight if isinstance(weight, str) else f"{weight:.6g}"
            taps_of.setdefault(said, []).append(tap)
        return "; ".join(f"{weight} at {', '.join(taps)}" for weight, taps in taps_of.items())
    if isinstance(value, Recipe):
        return (
            f"{value.source}, at full size: {value.style_statistic}, {_text(value.style)}; "
            f"{_text(value.steps)} steps of {value.optimizer}"
        )
    if isinstance(value, Noise):
        return f"{value.kind}, {_text(value.base)} + {value.spread:g}, of {value.white:g}"
    if isinstance(value, tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
