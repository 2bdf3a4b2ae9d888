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
# * make a notebook of it: `jupytext --to ipynb scripts/walkthrough.py`.
#
# Change a number, run the cell again, and see what happens: that is what it is for.

# %%
import argparse
import inspect
from pathlib import Path

import numpy as np

from nst import demo, images, kernels, losses, plots
from nst.losses import content_loss, smoothness_loss, style_loss
from nst.objective import TINY, Objective, Targets, Weights
from nst.optimizers import Lbfgs, NormalisedDescent
from nst.stylize import relative_to
from nst.vgg import Vgg

SIZE = 128  # pixels, the longer side of both pictures: small, so that every cell is quick
STEPS = 30  # evaluations of the loss by each optimizer

# %% [markdown]
# ## Three helpers
#
# `agree` is the heart of this file.  Again and again a number is found in two ways that have
# nothing in common; `agree` prints both, and stops here if they differ by more than it allows.
# A difference is measured in units of the second number, so 1e-3 means one part in a thousand.


# %%
def agree(what: str, one: float, other: float, allowed: float) -> None:
    """Print both numbers and how far they are apart; raise ArithmeticError if too far."""
    apart = abs(float(one) - float(other)) / abs(float(other))
    line = f"{what}: {one:.7g} and {other:.7g}, apart by {apart:.1g} (allowed {allowed:.0g})"
    if not apart <= allowed:
        raise ArithmeticError(f"two ways to one number disagree: {line}. Check the formula.")
    print(line)


def show(path: Path) -> None:
    """Say where a picture is, and in a notebook put it below the cell."""
    print(f"look at {path}")
    if "get_ipython" in globals():
        from IPython.display import Image, display

        display(Image(path))


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
# VGG was trained to name what is in a photograph.  On the way it turns a picture into
# *features*: (C, H, W) again, but C is now a number of *channels*, each of which looks for one
# small pattern everywhere.  `features[7, 10, 20]` says how much of pattern 7 there is at row 10,
# column 20.  A *tap* is a layer where we read them; `relu2_1` is the first of the second block.
# A ReLU turns what is negative into 0, so many features are 0: their pattern is not there.
#
# Every block halves the rows and columns: the channels of `relu3_1` look at 4 x 4 pixels at a
# time and at their surroundings.

# %%
TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu3_3")
vgg = Vgg("vgg16-slim", TAPS)
photo_features = vgg.forward(photo)
painting_features = vgg.forward(painting)
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
# is a good description of style: "blue goes with curved strokes, and yellow with dots".
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
print(f"{channels} channels, so {gram.size} pairs")
agree(f"gram[{row}, {column}], the largest", gram_by_hand[row, column], gram[row, column], 1e-5)
largest_error = np.abs(gram - gram_by_hand).max() / gram.max()
print(f"largest error of all pairs, in units of the largest entry: {largest_error:.1g}")
if not largest_error <= 1e-5:
    raise ArithmeticError(f"the Gram matrix by hand is another: {largest_error:.1g} apart")

# %% [markdown]
# ## A Gram matrix forgets where
#
# The mean runs over all pixels, in any order.  So shuffle the pixels (the same way in all
# channels): nothing is left of the picture, and the Gram matrix has not noticed.  This is why it
# can carry a style from one picture to another that shows something else, and has another size.

# %%
shuffle = np.random.default_rng(0).permutation(height * width)
shuffled = features.reshape(channels, -1)[:, shuffle].reshape(features.shape)
agree("the same entry after shuffling", k.gram(shuffled)[row, column], gram[row, column], 1e-5)
print(f"and yet the mean squared change of a feature is {k.mse(shuffled, features):.3f},")
print(f"beside a mean square of {k.mse(features, np.zeros_like(features)):.3f}")

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
# `style_loss` in `nst/losses.py`, written out:

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
# says it, for every feature: how much the loss grows when that one feature grows by a tiny bit,
# per bit.  We call it `d_features`; the `d_` stands for "dL/d...", and it always has the shape of
# what it belongs to.
#
# Go back through the lines above, last one first:
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
length = np.linalg.norm  # the root of the sum of squares
agree("length of the gradient, by hand and by nst", length(d_features), length(d_by_nst), 1e-5)
agree("as a whole: 1 +", 1 + length(d_features - d_by_nst) / length(d_by_nst), 1, 1e-5)

# %% [markdown]
# ## Is it true?  Nudge one feature
#
# A derivation can be wrong, and so can code.  But a gradient can be *measured*: make one feature
# larger by h, then smaller by h, and see how the loss changes.
#
#     slope = (loss(up) - loss(down)) / (2 h)
#
# We do this in float64, where a number has 16 digits (the next cell but one says why).

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
# One feature checked, some hundred thousand to go.  There is a shorter way: move *all* of them,
# each by its own random amount.  If feature i moves by h * direction[i], the loss must change by
# the sum of d_features[i] * h * direction[i].  One wrong element, and that sum is wrong.

# %%
direction = np.random.default_rng(1).standard_normal(exact.shape)
claimed = np.sum(d_exact * direction)


def measured_slope(at: np.ndarray, target: np.ndarray, step: float) -> float:
    """Return the slope of the style loss along `direction`, in the dtype of `at`."""
    move = (step * direction).astype(at.dtype)
    above, _ = style_loss(at + move, target)
    below, _ = style_loss(at - move, target)
    return (float(above) - float(below)) / (2 * step)


agree("all at once: measured and claimed", measured_slope(exact, exact_target, 1e-4), claimed, 1e-5)

# %% [markdown]
# ## Why float64?
#
# How small should h be?  Too large, and the loss bends between the two ends.  Too small, and
# the two losses agree in nearly all their digits: subtracting them leaves only the last ones,
# which are rounding.  float64 has 16 digits, and for many h all is well.  float32 has 7, and the
# rounding drowns the slope long before h is small: no h is good.
#
# Each row below: h, and how far the measured slope is from the claimed one, in units of it.

# %%
print("h        float32  float64")
for step in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
    single = abs(measured_slope(features, target_gram, step) / claimed - 1)
    double = abs(measured_slope(exact, exact_target, step) / claimed - 1)
    print(f"{step:.0e}    {single:.0e}    {double:.0e}")
