# %% [markdown]
# # Style transfer, one step at a time
#
# A photograph is painted in the style of a painting, and nothing on the way stays a secret.
# You need NumPy and the calculus of one slope; every formula is derived in
# `nst/kernels/DERIVATIONS.md`.
#
# Three ways to read this file:
#
# * run it: `python scripts/walkthrough.py [--output FOLDER]`;
# * run it cell by cell in an editor that knows `# %%` (VS Code, Spyder, PyCharm);
# * as a notebook: `make notebook` writes it, run, into `walkthrough.ipynb`.
#
# Change a number, run the cell again, and see what happens: that is what it is for.

# %%
import argparse
import inspect
import os
from collections.abc import Callable
from pathlib import Path

# Our matrices are small: a second thread of NumPy's would wait longer than it works.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import ArrayLike

from nst import demo, kernels
from nst.lesson import blindness
from nst.losses import content_loss, smoothness_loss, style_loss
from nst.objective import Objective, Region, Targets
from nst.objective.objective import TINY
from nst.objective.recipe import Recipe
from nst.objective.style import style_loss as loss_of_any
from nst.objective.styles.gram import GramStyle
from nst.objective.styles.neighbours import NeighboursStyle
from nst.objective.tiling import smallest_side
from nst.optimizers import Lbfgs, NormalisedDescent, Optimizer
from nst.pictures import images
from nst.show import plots
from nst.vgg import Vgg

SIZE = 160  # pixels, the longer side of both pictures: small, so that every cell is quick
STEPS = 40  # evaluations of the loss by each optimizer

# %% [markdown]
# ## Three helpers
#
# `agree` is the heart of this file.  Again and again a number, or a whole array of numbers, is
# found in two ways; `agree` prints how far they are apart, and stops everything if that is more
# than it should be.  "Apart by 1e-3" is one part in a thousand: the difference over the second
# number, and for arrays the length of the difference over the length of the second.  Where two
# ways should give the very same, a few 1e-8 are left: float32 keeps about 7 digits.


# %%
def agree(what: str, one: ArrayLike, other: ArrayLike, allowed: float) -> None:
    """Print how far two numbers or arrays are apart; raise ArithmeticError if too far."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if one.shape != other.shape:
        raise ValueError(f"{what}: shapes {one.shape} and {other.shape} cannot be compared")
    apart = np.linalg.norm(one - other) / np.linalg.norm(other)
    both = f"{one:.7g} and {other:.7g}" if one.ndim == 0 else f"two arrays of shape {one.shape}"
    line = f"{what}: {both}, apart by {apart:.0e} (allowed {allowed:.0e})"
    if not apart <= allowed:
        raise ArithmeticError(f"two ways to the same thing disagree. {line}. Check the formula.")
    print(line)


def show(path: Path) -> None:
    """Say where a picture is, and in a notebook put it below the cell."""
    print(f"look at {path}")
    if "get_ipython" in globals():
        from IPython.display import Image, display

        display(Image(filename=str(path)))


def output_folder() -> Path:
    """Return the folder for the pictures.  An editor's own arguments are let pass."""
    parser = argparse.ArgumentParser(
        description="Walk through style transfer.", allow_abbrev=False
    )
    parser.add_argument(
        "--output", type=Path, default="walkthrough", help="for the pictures [%(default)s]"
    )
    folder = parser.parse_known_args()[0].output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--output {folder} cannot be a folder: {error.strerror}. Name another.")
    return folder


OUTPUT = output_folder()
print(f"pictures go to {OUTPUT}")

# %% [markdown]
# ## Two pictures
#
# A picture is an array of shape (3, H, W): three colours (red, green, blue), H rows, W columns.
# Its numbers are float32 between 0 (dark) and 1 (bright); a file stores 255 times that, in whole
# *grey levels*.  The photograph comes with matplotlib, the painting with this program.


# %%
def load_small(path: Path) -> np.ndarray:
    """Return the picture in a file, (3, H, W), with a longer side of SIZE pixels."""
    image = images.load(path)
    _, height, width = image.shape
    return images.resize(image, *images.fit(height, width, SIZE))


photo = load_small(demo.content_path())
painting = load_small(demo.style_path("swirl"))
for name, image in {"photograph": photo, "painting": painting}.items():
    print(f"{name}: shape {image.shape}, {image.dtype}, {image.min():.2f} to {image.max():.2f}")

red, green, blue = photo[:, 10, 20]  # row 10 from the top, column 20 from the left
print(f"one pixel: red {red:.3f}, green {green:.3f}, blue {blue:.3f}")
print(f"in grey levels: {255 * red:.0f}, {255 * green:.0f}, {255 * blue:.0f}")

# %% [markdown]
# ## What the network sees
#
# VGG was trained to name what is in a photograph; `vgg16-slim` is a small student of it.  On the
# way to the name it turns a picture into *features*: (C, H, W) again, but C is now a number of
# *channels*, each of which looks for one small pattern everywhere.  `features[7, 10, 20]` says
# how much of pattern 7 there is at row 10, column 20.  A *tap* is a layer where we read them;
# `relu2_1` is the first of the second block.  A ReLU turns what is negative into 0, so many
# features are 0: their pattern is not there.
#
# Every block after the first has half the rows and columns of the one before it: a number in
# `relu3_1` stands for 4 x 4 pixels, and has seen their surroundings too.

# %%
TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu3_3")
vgg = Vgg("vgg16-slim", TAPS)
photo_features = vgg.features(photo)
painting_features = vgg.features(painting)
for tap, features in photo_features.items():
    zeros = np.mean(features == 0)
    print(f"{tap}: shape {features.shape}, mean {features.mean():.2f}, {zeros:.0%} are 0")

# %% [markdown]
# Look at some of them.  Every map below is one channel: bright where the photograph has that
# channel's pattern.  Find the ones that see edges, and note which way the edges run; find the
# ones that see a colour.

# %%
plots.feature_maps(photo_features["relu2_1"], OUTPUT / "features.png", limit=24)
show(OUTPUT / "features.png")

# %% [markdown]
# ## Style is which patterns go together
#
# Take two channels, multiply them pixel by pixel, and take the mean.  The result is large if
# both patterns are strong *in the same places*.  Do it for every pair of channels, and you have
# the *Gram matrix*: C rows and C columns.  Gatys, Ecker and Bethge found in 2015 that this table
# describes style well: as if it said "blue goes with curved strokes, and yellow with dots".
#
#     gram[i, j] = mean over all pixels of features[i] * features[j]
#
# Two nested loops say it best.  The kernel does the same in one matrix product.

# %%
features = photo_features["relu1_1"]
channels, height, width = features.shape
gram_by_hand = np.zeros((channels, channels))
for i in range(channels):
    for j in range(channels):
        gram_by_hand[i, j] = np.mean(features[i] * features[j], dtype=np.float64)

k = kernels.of(features)  # the NumPy kernels, since these are NumPy arrays
gram = k.gram(features)
row, column = np.unravel_index(np.argmax(gram), gram.shape)
print(f"{channels} channels, so {gram.size} pairs; the largest is gram[{row}, {column}]")
agree("it, by hand and by kernel", gram_by_hand[row, column], gram[row, column], 1e-5)
agree("all of them, by hand and by kernel", gram_by_hand, gram, 1e-5)

# %% [markdown]
# ## A Gram matrix forgets where
#
# The mean runs over all pixels, in whatever order.  So shuffle the pixels (the same way in all
# channels): nothing is left of the picture, and the Gram matrix has not noticed.  This is why it
# can carry a style from one picture to another that shows something else, and has another size.
# The features have changed, though, by about as much as they are large.

# %%
shuffle = np.random.default_rng(0).permutation(height * width)
shuffled = features.reshape(channels, -1)[:, shuffle].reshape(features.shape)
agree("Gram matrix, shuffled and not", k.gram(shuffled), gram, 1e-5)
print(f"mean square of a feature: {np.mean(features**2):.3f}")
print(f"mean square of its change: {np.mean((shuffled - features) ** 2):.3f}")

# %% [markdown]
# The photograph and the painting, as the style loss sees them.  Bright off the diagonal: two
# patterns that go together.  What we shall do is change the photograph until the left table
# looks like the right one.

# %%
TAP = "relu2_1"  # where we look closely from here on
target_gram = k.gram(painting_features[TAP])
both = {"photograph": k.gram(photo_features[TAP]), "painting": target_gram}
plots.gram_matrices(both, OUTPUT / "grams.png")
show(OUTPUT / "grams.png")

# %% [markdown]
# ## The style loss, forward
#
# How far is one table from the other?  Square the differences and take their mean.  This is
# `GramStyle` in `nst/objective/styles/gram.py`, written out:

# %%
features = photo_features[TAP]
channels, height, width = features.shape
flat = features.reshape(channels, height * width)  # one row a channel, one column a pixel

gram = flat @ flat.T / (height * width)  # all the means of products at once
difference = gram - target_gram
loss = np.mean(difference**2)
agree("style loss by hand and by nst", loss, style_loss(features, target_gram)[0], 1e-5)

# %% [markdown]
# ## The style loss, backward
#
# Which features should grow and which should shrink to make the loss smaller?  The *gradient*
# says it, for every one of them: how fast the loss grows as that one number grows.  We call it
# `d_features`; the `d_` stands for "dL/d...", and it always has the shape of what it belongs to.
#
# Go back through the lines of the style loss, last one first:
#
#     loss = mean of difference**2      ->  d_gram = 2 * difference / (number of entries)
#     gram = flat @ flat.T / (H * W)    ->  d_flat = (d_gram + d_gram.T) @ flat / (H * W)
#
# Two terms in the last line, because `flat` stands in that product twice.

# %%
d_gram = 2 * difference / difference.size
d_flat = (d_gram + d_gram.T) @ flat / (height * width)
d_features = d_flat.reshape(features.shape)

_, d_by_nst = style_loss(features, target_gram)
agree("gradient by hand and by nst", d_features, d_by_nst, 1e-5)

# %% [markdown]
# ## Is it true?  Nudge one feature
#
# A derivation can be wrong, and so can code.  But a gradient can be *measured*: make one number
# larger by h, then smaller by h, and see how the loss changes.
#
#     slope = (loss(up) - loss(down)) / (2 h)
#
# We do this in float64, where a number has 16 digits; soon we shall see why.

# %%
exact = features.astype(np.float64)
exact_target = target_gram.astype(np.float64)
_, d_exact = style_loss(exact, exact_target)

h = 1e-4
strongest = np.unravel_index(np.argmax(np.abs(d_exact)), d_exact.shape)
up, down = exact.copy(), exact.copy()
up[strongest] += h
down[strongest] -= h
slope = (style_loss(up, exact_target)[0] - style_loss(down, exact_target)[0]) / (2 * h)
agree("one feature: measured slope and gradient", slope, d_exact[strongest], 1e-4)

# %% [markdown]
# ## Nudge all of them at once
#
# One feature is checked, and there are C * H * W of them.  There is a shorter way: move *all*,
# each by its own random amount.  If feature i moves by h * direction[i], the loss must change by
# the sum over i of d_features[i] * h * direction[i].  One wrong element, and that sum is wrong.
# The amounts are in units of the features' own size, which differs much between networks.

# %%
print(f"{exact.size} features")
size = np.sqrt(np.mean(exact**2))
direction = size * np.random.default_rng(1).standard_normal(exact.shape)
claimed = np.sum(d_exact * direction)


def measured_slope(at: np.ndarray, target: np.ndarray, step: float) -> float:
    """Return the slope of the style loss along `direction`, in the dtype of `at`."""
    move = (step * direction).astype(at.dtype)
    above, _ = style_loss(at + move, target)
    below, _ = style_loss(at - move, target)
    return (float(above) - float(below)) / (2 * step)


slope = measured_slope(exact, exact_target, 1e-4)
agree("all at once: measured slope and gradient", slope, claimed, 1e-5)

# %% [markdown]
# ## Why float64?
#
# How small should h be?  Too large, and the loss bends between the two ends: that error falls a
# hundredfold whenever h falls tenfold.  Too small, and the two losses agree in nearly all their
# digits, so that subtracting them leaves only the last ones, which are rounding: that error
# *grows* as h falls.  float64 has 16 digits, and for many h all is well.  float32 has 7: the
# rounding comes in long before h is small, and an error of 1 means that nothing is left.
#
# Each row below: h, and how far the measured slope is from the claimed one, in units of it.

# %%
print("h        float32  float64")
for step in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
    single = abs(measured_slope(features, target_gram, step) / claimed - 1)
    double = abs(measured_slope(exact, exact_target, step) / claimed - 1)
    print(f"{step:.0e}    {single:.0e}    {double:.0e}")

# %% [markdown]
# ## Through the network and back
#
# We know how the *features* should change.  But a painter moves *pixels*.  The network's own
# backward pass turns the one into the other: `d_features` in, `d_image` out, layer by layer in
# reverse.  ONNX Runtime does it, as a second graph beside the forward one; `nst/vgg/graphs.py`
# has each layer's two halves, one above the other.
#
# A backward pass belongs to the forward pass before it: which ReLUs were open is remembered from
# there.  So far we have only looked, with `features`, which remembers nothing.

# %%
vgg.forward(photo)
d_image = vgg.backward({TAP: d_features})
print(f"d_image: shape {d_image.shape}, like the photograph's {photo.shape}")

# %% [markdown]
# Look at it.  Grey means "leave this pixel"; where the picture below is brighter, darker or
# coloured, the style loss wants more light, less light or that colour.  (It is *minus* the
# gradient, the way down, every pixel drawn four times as large.)


# %%
def enlarged(image: np.ndarray, times: int) -> np.ndarray:
    """Return a picture with every pixel repeated."""
    return image.repeat(times, axis=1).repeat(times, axis=2)


images.save(OUTPUT / "way_down.png", enlarged(0.5 - 0.15 * d_image / d_image.std(), 4))
show(OUTPUT / "way_down.png")

# %% [markdown]
# Is it true?  The same check, now from the pixels to the loss and back.  As the direction we
# take the way from the photograph to the painting: fade a thousandth of the way there, and a
# thousandth of the way off, and compare.
#
# The network runs in float32, and every ReLU has a corner, so a part in a hundred is all we ask.
# (`tests/` holds the same graphs in float64 to a far smaller error.)


# %%
def like_photo(image: np.ndarray) -> np.ndarray:
    """Return the middle of a picture, at the photograph's size."""
    _, height, width = photo.shape
    return images.resize(images.crop_to_aspect(image, height, width), height, width)


def style_loss_of(image: np.ndarray) -> float:
    """Return the style loss at TAP of a picture: forward all the way."""
    return float(style_loss(vgg.forward(image)[TAP], target_gram)[0])


h = 1e-3
fade = like_photo(painting) - photo
slope = (style_loss_of(photo + h * fade) - style_loss_of(photo - h * fade)) / (2 * h)
claimed = np.sum(d_image * fade, dtype=np.float64)
agree("through VGG: measured slope and gradient", slope, claimed, 1e-2)
print(f"it is {'negative' if slope < 0 else 'positive'}: fading to the painting", end=" ")
print("makes the loss smaller" if slope < 0 else "makes the loss larger")

# %% [markdown]
# ## Which entry pulls where
#
# Each entry of the table has its own share in the gradient, and we can follow it alone: from the
# entry to the features, and through the network to the pixels.  If the photograph's entry (i, j)
# is too small, its `d_gram` is below 0: the loss falls as the entry grows.  The entry grows if map
# i grows where map j is bright, and the other way round.  Nothing else is in the formula:
#
#     d_features[i] = 2 / (H * W) * d_gram[i, j] * features[j]    and j with features[i]
#
# The backward pass is linear, which means that to add first and go back then, or the other way
# round, is the same: the pulls of all entries add up to the gradient of the whole style loss.

# %%
apart = np.where(np.eye(channels, dtype=bool), np.inf, d_gram)
i, j = np.unravel_index(np.argmin(apart), apart.shape)  # what the photograph lacks most
alone = np.zeros_like(d_gram)
alone[i, j], alone[j, i] = d_gram[i, j], d_gram[j, i]
pull = k.gram_backward(alone, features)
agree("pull on map i", 2 / (height * width) * d_gram[i, j] * features[j], pull[i], 1e-5)

vgg.forward(photo)
d_alone, d_rest = vgg.backward({TAP: pull}), vgg.backward({TAP: d_features - pull})
agree("pulls of this entry and of all others", d_alone + d_rest, d_image, 1e-4)
print(f"entry ({i}, {j}) alone is {np.linalg.norm(d_alone) / np.linalg.norm(d_image):.0%} as long")

# %% [markdown]
# ## All losses together
#
# Style at four taps asks for the painting's Gram matrices.  The *content loss* asks that the
# deepest features stay those of the photograph; it is the mean of their squared change.  An
# `Objective` adds them up, each with its weight, and sends the sum back to the pixels.
#
# Here the recipe is *relative*: a weight is one over the mean square of its target.  Then a loss
# of 1 means "as far off as if there were nothing at all", and four taps of very different sizes
# get an equal say.

# %%
targets = Targets(
    content={"relu3_3": photo_features["relu3_3"]},
    style={tap: [Region(GramStyle(k.gram(painting_features[tap])))] for tap in TAPS},
)
ours = Recipe("ours", content={"relu3_3": 1.0}, style=dict.fromkeys(TAPS, 1.0), relative=True)
objective = Objective(vgg, targets, ours)

at_photo, d_image = objective.evaluate(photo)
added_up = 0.0
for tap in TAPS:
    raw = at_photo.raw[f"style {tap}"]
    weighed = objective.weights.style[tap] * raw
    added_up += weighed
    print(f"style {tap}: loss {raw:.3f}, after its weight {weighed:.3f}")
print(f"content relu3_3: {at_photo.raw['content relu3_3']:.3f}, for it is the photograph itself")
agree("total, added up and by nst", added_up, at_photo.total, 1e-5)

# %% [markdown]
# ## One step, by hand
#
# The gradient points uphill, so we go the other way.  How far?  Hvass' tutorial, from which this
# program comes, divides the gradient by its standard deviation: then a typical element is 1, and
# 10/255 times that moves a typical pixel by 10 grey levels, whether the hill is steep or not.

# %%
step_size = 10 / 255
stepped = photo - step_size * d_image / d_image.std()
by_kernel = k.normalised_descent_step(photo.copy(), d_image, step_size)
agree("step by hand and by kernel", stepped, by_kernel, 1e-5)

typical_move = 255 * np.sqrt(np.mean((stepped - photo) ** 2))  # the root of the mean square
after_step, _ = objective.evaluate(np.clip(stepped, 0, 1))
print(f"typical move of a pixel: {typical_move:.2f} grey levels")
print(f"total loss before: {at_photo.total:.3f}, after one step: {after_step.total:.3f}")

# %% [markdown]
# ## Many steps, two ways
#
# Normalised descent takes such steps one after the other.  L-BFGS remembers its last moves and
# how the gradient changed along each, learns from them how the hill bends, and chooses its own
# way and length.  (Not all of its steps lead on: some are trials of a line search, and may go up,
# and some look again after pixels were cut off at 0 or 1.)
#
# `paint` is the whole loop of this program, for one size: evaluate, step, repeat.

# %%
SHOWN = [step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500) if step < STEPS] + [STEPS]


def paint(optimizer: Optimizer) -> tuple[list[dict], list[float], list]:
    """Return, of STEPS steps from the photograph, the losses, the moves and the pictures."""
    image = photo.copy()
    history, moves, pictures = [], [], []
    for step in range(1, STEPS + 1):
        here, d_image = objective.evaluate(image)
        before = image.copy()
        optimizer.step(image, here.total, d_image)  # changes image in place
        history.append({"step": step, **here.floats()})  # the losses before the step
        moves.append(255 * np.sqrt(np.mean((image - before) ** 2)))
        pictures.append(optimizer.best(image).copy())
    return history, moves, pictures


descent, descent_moves, _ = paint(NormalisedDescent(step_size))
history, moves, pictures = paint(Lbfgs())

print("total loss before step   descent   L-BFGS")
for step in SHOWN:
    print(f"{step:22d}   {descent[step - 1]['total']:7.3f}  {history[step - 1]['total']:7.3f}")
print(f"last move of descent: {descent_moves[-1]:.1f} grey levels")
print(f"largest of L-BFGS' last five moves: {max(moves[-5:]):.1f} grey levels")

# %% [markdown]
# Both go down, and L-BFGS further.  Descent never rests: its last move is about as large as its
# first, so that at the bottom of the valley it jumps from one side to the other, for ever.  It
# needs a step size that decays.  L-BFGS' moves become smaller by themselves.
#
# Now watch the picture.  The strip has one frame for each row of the table; the last is the
# result.

# %%
painted = pictures[-1]
for step in SHOWN:
    images.save(OUTPUT / f"frame-{step:03d}.png", pictures[step - 1])
strip = np.concatenate([pictures[step - 1] for step in SHOWN], axis=2)
images.save(OUTPUT / "strip.png", enlarged(strip, 2))
show(OUTPUT / "strip.png")

plots.triptych(photo, painted, painting, OUTPUT / "triptych.png")
show(OUTPUT / "triptych.png")
plots.loss_curves(history, OUTPUT / "losses.png")
show(OUTPUT / "losses.png")

# %% [markdown]
# ## What Hvass' adaptive weights are
#
# Hvass adds up three losses: content, style, and *smoothness*, the sum of all steps from a pixel
# to its neighbours.  They are of very different sizes, so he divides each by its own last value:
#
#     combined = 1.5 * content / content + 10 * style / style + 0.3 * smoothness / smoothness
#
# and that is 1.5 + 10 + 0.3 = 11.8, whatever the picture!  See for yourself: three pictures,
# with very different losses, and one combined loss.  (Only a loss of exactly 0 drops out of it, as
# the content's does at the photograph; `TINY`, 1e-10, keeps 0 / 0 away.)

# %%
HVASS = {"content": 1.5, "style": 10.0, "smoothness": 0.3}
undivided = {tap: k.gram(f, divisor=1) for tap, f in painting_features.items()}  # Hvass' Gram


def three_losses(image: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
    """Return each of Hvass' losses and its own gradient, each back through the network alone."""
    features = vgg.forward(image)
    content, d_content = content_loss(features["relu3_1"], photo_features["relu3_1"])
    styles = {tap: style_loss(features[tap], undivided[tap], "none") for tap in TAPS}
    style = np.mean([loss for loss, _ in styles.values()])
    d_style = {tap: d_features / len(TAPS) for tap, (_, d_features) in styles.items()}
    smoothness, d_smoothness = smoothness_loss(image, "l1", "sum")
    return {
        "content": (float(content), vgg.backward({"relu3_1": d_content})),
        "style": (float(style), vgg.backward(d_style)),
        "smoothness": (float(smoothness), d_smoothness),
    }


def combined(found: dict) -> float:
    """Return what Hvass' tutorial prints: each loss over its own value, weighted and added."""
    return sum(HVASS[kind] / (loss + TINY) * loss for kind, (loss, _) in found.items())


noise = np.random.default_rng(0).random(photo.shape, np.float32)
for name, image in {"painted": painted, "noise": noise, "painting": like_photo(painting)}.items():
    found = three_losses(image)
    print(f"{name}:", ", ".join(f"{kind} {loss:.3g}" for kind, (loss, _) in found.items()))
    agree("    combined loss, and 1.5 + 10 + 0.3", combined(found), 11.8, 1e-6)

# %% [markdown]
# So that number says nothing, and no picture can make it smaller.  Yet his pictures do improve.
# What goes down, then?  He treats the weights as constants when he takes the gradient:
#
#     gradient = 1.5 * d_content / content + 10 * d_style / style + 0.3 * d_smoothness / smoothness
#
# Now d_content / content is the derivative of log(content).  So his gradient is, exactly, that of
#
#     1.5 * log(content) + 10 * log(style) + 0.3 * log(smoothness)
#
# A sum of logarithms: to halve a loss pays the same, however large or small it is.  Measure the
# slope of both along the way to the painting, and see to which of them his gradient belongs.


# %%
def log_sum(found: dict) -> float:
    """Return the weighted sum of the logarithms of Hvass' losses."""
    return sum(HVASS[kind] * np.log(loss + TINY) for kind, (loss, _) in found.items())


found = three_losses(painted)
hvass_gradient = sum(HVASS[kind] / (loss + TINY) * d for kind, (loss, d) in found.items())

h = 1e-3
fade = like_photo(painting) - painted
above, below = three_losses(painted + h * fade), three_losses(painted - h * fade)
slope = (combined(above) - combined(below)) / (2 * h)
print(f"size of the slope of the combined loss: {abs(slope):.4f}, for it is constant")
slope = (log_sum(above) - log_sum(below)) / (2 * h)
claimed = np.sum(hvass_gradient * fade, dtype=np.float64)
agree("slope of the sum of logarithms, and Hvass' gradient", slope, claimed, 1e-2)

# %% [markdown]
# This program has it as `combination="log"`, and reports the sum of logarithms as its total.

# %%
hvass_recipe = Recipe(
    "Hvass, at our taps",
    content={"relu3_1": 1.5},
    style=dict.fromkeys(TAPS, 10 / len(TAPS)),
    gram_normalization="none",
    smoothness=0.3,
    smoothness_kind="l1",
    smoothness_reduction="sum",
    pixel_range=1,
    combination="log",
)
hvass_style = {tap: [Region(GramStyle(gram, "none"))] for tap, gram in undivided.items()}
hvass_targets = Targets({"relu3_1": photo_features["relu3_1"]}, hvass_style)
hvass = Objective(vgg, hvass_targets, hvass_recipe)
at_painted, d_image = hvass.evaluate(painted)
agree("Hvass' gradient by hand and by nst", hvass_gradient, d_image, 1e-4)
agree("sum of logarithms by hand and by nst", log_sum(found), at_painted.total, 1e-5)

# %% [markdown]
# ## What each statistic cannot see
#
# A *statistic* is what is measured of the features and then compared; the Gram matrix is one.
# Four ways to compare styles come with `nst`.  Each is blind to something, and what it is blind
# to it cannot paint.  Here the features are the pixels themselves, three channels, so that you
# see what a statistic does not.
#
#     gram = K + m m'
#
# A Gram matrix is the covariance plus the mean times itself: two numbers in one, and only their
# sum is kept.  (K is the covariance, m the means of the channels, as a column.)

# %%
pixels = blindness.DARKEST + blindness.SPREAD * photo  # paler: no change makes it cut off
spread_out = pixels.reshape(3, -1)
mean = spread_out.mean(axis=1, dtype=np.float64)
centred = spread_out - mean[:, None]
K = centred @ centred.T / spread_out.shape[1]
agree("gram, and K + m m'", K + np.outer(mean, mean), k.gram(pixels), 1e-5)

# %% [markdown]
# So a Gram matrix can trade brightness against contrast.  Means and deviations pin down the
# brightness and contrast that a Gram matrix can trade against each other.  Four changes, each of
# which some statistic does not notice.
#
# * *Shuffled*: the pixels change places.
# * *Contrast*: stripes become darker and brighter in turns, so that all sums of squares and
#   products stay.
# * *Negative*: each pixel is turned over around the mean colour.
# * *Darker*: all colours are a share of what they were.
#
# Each distance is over the size of the statistic itself; what is below one part in ten thousand
# is rounding, and counts as nothing.

# %%
print("change     " + "".join(f"{name:>12s}" for name in blindness.SHOWN))
for change, make in blindness.CHANGES.items():
    distances = blindness.distances_of(pixels, make(pixels, 1.0)).values()
    told = (f"{d:.1e}" if d > blindness.NOTHING else "nothing" for d in distances)
    print(f"{change:11s}" + "".join(f"{text:>12s}" for text in told))

# %% [markdown]
# A layer looks at neighbours before the sums are made: what was invisible in the pixels is seen
# there.  That is why a style is taken at several layers, and why the first statistics paint well
# in spite of all.
#
# ## Coarse to fine
#
# A network sees only so far, so at one size it can paint strokes of one size; what it paints at a
# smaller size becomes the large shapes of the result, and each finer scale adds its own strokes.
# A step at half the size costs a quarter, for there are a quarter of the pixels.  Then the
# picture is enlarged, and painted on.

# %%
architecture = vgg.network.architecture
seen = architecture.stride("relu3_3") + 2 * architecture.radius("relu3_3")
height, width = photo.shape[1:]
print(f"a feature of relu3_3 sees {seen} of {height} rows, and of {height // 2} at half the size")
small = images.resize(photo, height // 2, width // 2)
at_half = {"relu3_3": vgg.features(small)["relu3_3"].copy()}
coarse = Objective(vgg, Targets(at_half, targets.style), ours)
optimizer, image = Lbfgs(), small.copy()
for _ in range(STEPS // 2):
    here, d_image = coarse.evaluate(image)
    optimizer.step(image, here.total, d_image)
enlarged_first, _ = objective.evaluate(images.resize(optimizer.best(image), height, width))
print(f"total loss at the photograph: {at_photo.total:.3f}", end=", ")
print(f"at what was painted at half the size: {enlarged_first.total:.3f}")

# %% [markdown]
# ## Tiles that add up
#
# A picture that does not fit into memory is evaluated tile by tile: loss and gradient, a piece at
# a time.  A tile *owns* a rectangle of the image, and *reads* a window that is larger by what its
# features see beyond it.  A Gram matrix, before it is divided, is a sum over pixels, so the sums
# of tiles add up to those of the picture.  And the gradient is a sum over features: the shares
# overlap and are added.  Nothing is approximated.

# %%
features = photo_features["relu1_1"]
left, right = np.split(features, [features.shape[2] // 3], axis=2)
sums = k.gram(np.ascontiguousarray(left), divisor=1) + k.gram(
    np.ascontiguousarray(right), divisor=1
)
agree("sums of two tiles, and of the picture", sums, k.gram(features, divisor=1), 1e-5)

in_tiles = Objective(vgg, targets, ours, smallest_side(architecture, TAPS))
losses_in_tiles, d_in_tiles = in_tiles.evaluate(photo)
at_photo, d_image = objective.evaluate(photo)
agree("total loss in tiles and in one piece", losses_in_tiles.total, at_photo.total, 1e-4)
agree("gradient in tiles and in one piece", d_in_tiles, d_image, 1e-3)

# %% [markdown]
# ## Another way: the nearest features
#
# A Gram matrix forgets where everything is, in the photograph too: nothing but the content loss
# holds the subject.  Kolkin et al. (2022) ask at each *place* of the photograph: which place of
# the painting looks most like this one?  Two places look alike where their features, a *vector*
# of C numbers each, point in about the same direction: where the cosine of the angle is near 1.
# What all places have in common says nothing, so the mean is taken away first.

# %%
NEAR = "relu3_1"


def vectors_of(features: np.ndarray) -> np.ndarray:
    """Return features (C, H, W) as vectors (C, H * W), one column a place."""
    return features.reshape(len(features), -1)


asking, offered = vectors_of(photo_features[NEAR]), vectors_of(painting_features[NEAR])
centred = offered - offered.mean(axis=1, keepdims=True)
directions = centred / np.linalg.norm(centred, axis=0)
asked = asking - asking.mean(axis=1, keepdims=True)
nearest = (asked.T @ directions).argmax(axis=1)  # for each place of the photograph
print(f"{asking.shape[1]} places ask {offered.shape[1]}; {len(set(nearest))} are taken")
by_kernel, _ = k.nearest(asked, k.unit_vectors(centred))
agree("places where both take the same", np.mean(nearest == by_kernel), 1, 1e-2)

# %% [markdown]
# What was chosen is the *target* of its place, and stays so: now each place is to turn to it.
#
#     loss = mean over the places of  1 - cos,    cos = <f, u> / |f|,    u = target / |target|
#
# Its gradient is (cos f / |f| - u) / |f| over the number of places: at a right angle to f, for a
# vector that grows without turning comes no nearer.

# %%
targets_near = offered[:, nearest] / np.linalg.norm(offered[:, nearest], axis=0)
lengths = np.linalg.norm(asking, axis=0)
cosines = (asking * targets_near).sum(axis=0) / lengths
turn = (cosines * asking / lengths - targets_near) / lengths / len(lengths)
print(f"mean of 1 - cos at the photograph: {np.mean(1 - cosines):.4f}")
agree("largest part of the turn along f", 1 + np.abs((turn * asking).sum(axis=0)).max(), 1, 1e-5)

shape = photo_features[NEAR].shape
near_style = NeighboursStyle(targets_near.reshape(shape), vgg.device)
near_loss, d_near = loss_of_any(photo_features[NEAR], near_style)
agree("loss by hand and by nst", np.mean(1 - cosines), near_loss, 1e-5)
agree("gradient by hand and by nst", turn.reshape(shape), d_near, 1e-4)

# %% [markdown]
# `--recipe neighbours` does this with all layers at once (a *hypercolumn*), and at scales from 64
# pixels up, at each of which the places are asked anew, partly by what was painted so far.
#
# ## Where to go on
#
# * `nst/kernels/DERIVATIONS.md` derives every gradient, a few lines each.
# * `nst/kernels/numpy_kernels.py` is the mathematics; `kernels.cu` beside it is the same in CUDA.
# * `nst/stylize.py` has `steps` for several sizes: first a small picture, for the large shapes,
#   then larger ones, for the strokes.
# * `nst demo` paints these two at full size; `nst stylize PHOTO PAINTING -o OUT.png` paints yours.
#
# Break something, and see whether `agree` notices: forget `d_gram.T` in `gram_backward`, or swap
# the two sides of a subtraction.  Take `demo.style_path("glass")` as the painting.  Let `TAP` be
# `relu3_1`.  Start from `noise`.  Leave the content out.
#
# And walk through it in the debugger.  Type what is on the left:


# %%
def line_number(function: Callable, text: str) -> int:
    """Return the line of its file on which the source of `function` has `text`."""
    lines, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(lines) if text in line)


stop = line_number(GramStyle.compare, "loss = k.mse")
print("python -m pdb scripts/walkthrough.py     start it, from the project's folder")
print(f"b nst/objective/styles/gram.py:{stop:<10}stop in the middle of the style loss")
print("c                                        run until then")
print("p gram.shape                             print something: any Python will do")
print("s                                        step into the kernel")
print("n                                        on to the next line")
print("r                                        on to where this function returns")
