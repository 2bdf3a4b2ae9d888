"""Each recipe's loss and gradient against its published definition, in float64.

Nothing here is shared with nst but the network's numbers.  The convolutions, the pools and their
backward passes, the losses and their weights are written anew from what was published; gradients
of style and content are central differences of the loss over every single activation.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from matrix_roots import lyapunov_in_steps, root_in_steps
from small_networks import NARROW_VGG19, draw_arrays

from nst import Settings
from nst.devices import CPU
from nst.objective.recipes import RECIPES
from nst.pictures import images
from nst.run.inputs import Inputs
from nst.run.paintings import ReadPainting
from nst.run.scales import Scale
from nst.run.targets import objective_at
from nst.vgg import Vgg, weights

HEIGHT, WIDTH = 33, 38  # block 5 sees 2 x 2
STYLE = (38, 29)
CAFFE_MEAN = np.array([123.68, 116.779, 103.939]).reshape(3, 1, 1)  # RGB, of 0 .. 255
TORCH_MEAN = np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1)
TORCH_STD = np.array([0.229, 0.224, 0.225]).reshape(3, 1, 1)
RELUS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
WIDTHS = (64, 128, 256, 512, 512)  # VGG's channels there


# ---- A network, forward and back -----------------------------------------------------


def shifted(array, row, column):
    """Return ``array`` moved by (row, column), with zeros where it came from."""
    padded = np.pad(array, 1)
    return padded[1 - row :, 1 - column :][: array.shape[0], : array.shape[1]]


OFFSETS = [(i - 1, j - 1, i, j) for i in range(3) for j in range(3)]


def convolve(inputs, weight, bias):
    outputs = np.empty((len(weight), *inputs.shape[1:]))
    for o in range(len(weight)):
        outputs[o] = bias[o]
        for c in range(len(inputs)):
            for row, column, i, j in OFFSETS:
                outputs[o] += weight[o, c, i, j] * shifted(inputs[c], -row, -column)
    return outputs


def convolve_backward(d_outputs, weight):
    d_inputs = np.zeros((weight.shape[1], *d_outputs.shape[1:]))
    for o in range(len(weight)):
        for c in range(len(d_inputs)):
            for row, column, i, j in OFFSETS:
                d_inputs[c] += weight[o, c, i, j] * shifted(d_outputs[o], row, column)
    return d_inputs


def quarters(array, ceil):
    """Return the four members of every 2 x 2 cell; NaN for what is not there.

    An odd last row or column is left out, or makes cells of its own: ``ceil``.
    """
    _, height, width = array.shape
    if ceil:
        padded = [(0, 0), (0, height % 2), (0, width % 2)]
        array = np.pad(array, padded, constant_values=np.nan)
    even = array[:, : array.shape[1] // 2 * 2, : array.shape[2] // 2 * 2]
    return np.stack([even[:, i::2, j::2] for i in (0, 1) for j in (0, 1)])


def pool(inputs, kind, ceil):
    members = quarters(inputs, ceil)
    return np.nanmax(members, axis=0) if kind == "max" else np.nanmean(members, axis=0)


def pool_backward(d_outputs, inputs, kind, ceil):
    members = quarters(inputs, ceil)
    first = np.nanargmax(members, axis=0)
    count = np.sum(~np.isnan(members), axis=0)
    d_inputs = np.zeros_like(inputs)
    height, width = d_outputs.shape[1] * 2, d_outputs.shape[2] * 2
    for k, (i, j) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        share = (first == k) if kind == "max" else 1 / count
        there = d_inputs[:, i:height:2, j:width:2]
        there[...] = (share * d_outputs)[:, : there.shape[1], : there.shape[2]]
    return d_inputs


class NaiveVgg:
    def __init__(self, arrays, pooling, ceil=False):
        self.arrays, self.pooling, self.ceil = arrays, pooling, ceil
        self.layers = NARROW_VGG19.layers

    def forward(self, pixels):
        """Return every layer's output for pixels that are ready for the first convolution."""
        here, outputs = pixels, {}
        for layer in self.layers:
            if layer.startswith("pool"):
                here = pool(here, self.pooling, self.ceil)
            elif layer.startswith("conv"):
                here = convolve(here, self.arrays[f"{layer}.weight"], self.arrays[f"{layer}.bias"])
            else:
                here = np.where(here > 0, here, 0)
            outputs[layer] = here
        return outputs

    def backward(self, d_taps, outputs):
        """Return dL/dpixels from dL/dlayer at some layers."""
        d_here = 0.0
        for index in reversed(range(len(self.layers))):
            layer = self.layers[index]
            if layer not in d_taps and isinstance(d_here, float):
                continue  # nothing pulls from further up
            d_here = d_here + d_taps.get(layer, 0)
            if layer.startswith("pool"):
                inputs = outputs[self.layers[index - 1]]
                d_here = pool_backward(d_here, inputs, self.pooling, self.ceil)
            elif layer.startswith("conv"):
                d_here = convolve_backward(d_here, self.arrays[f"{layer}.weight"])
            else:
                d_here = d_here * (outputs[layer] > 0)
        return d_here


def test_the_naive_network_has_the_slopes_that_it_claims(rng):
    for pooling, ceil in product(("max", "average"), (False, True)):
        network = NaiveVgg(draw_arrays(NARROW_VGG19, rng), pooling, ceil)
        pixels, taps = rng.standard_normal((3, 19, 17)), ("conv2_2", "relu4_1", "relu5_1")
        outputs = network.forward(pixels)
        d_taps = {tap: rng.standard_normal(outputs[tap].shape) for tap in taps}
        claimed = network.backward(d_taps, outputs)

        def loss(pixels, network=network, d_taps=d_taps):
            outputs = network.forward(pixels)
            return sum(np.vdot(outputs[tap], d_taps[tap]) for tap in d_taps)

        for index in [(0, 0, 0), (1, 18, 16), (2, 7, 9), (0, 18, 3)]:
            step = np.zeros_like(pixels)
            step[index] = 1e-6
            slope = (loss(pixels + step) - loss(pixels - step)) / 2e-6
            assert claimed[index] == pytest.approx(slope, rel=1e-6, abs=1e-8)


# ---- What total variation may be -----------------------------------------------------


def over_pairs(pixels, pairs, power):
    """Return the sum of ``weight * |there - here| ** power`` over pairs, and its gradient."""
    loss, gradient = 0.0, np.zeros_like(pixels)
    for weight, here, there in pairs:
        for channel in range(len(pixels)):
            step = pixels[channel][there] - pixels[channel][here]
            loss += weight * abs(step) ** power
            pull = weight * (np.sign(step) if power == 1 else 2 * step)
            gradient[channel][there] += pull
            gradient[channel][here] -= pull
    return loss, gradient


def neighbours(both, right=1.0, below=1.0):
    """Yield each pixel with its right and its lower neighbour; both: only where it has both."""
    for row, column in np.ndindex(HEIGHT, WIDTH):
        has_right, has_below = column + 1 < WIDTH, row + 1 < HEIGHT
        if has_right and (has_below or not both):
            yield right, (row, column), (row, column + 1)
        if has_below and (has_right or not both):
            yield below, (row, column), (row + 1, column)


def nine_points():
    """Yield crowson's pairs: the picture is padded by one pixel, which repeats its edge."""

    def inside(row, column):
        return min(max(row, 0), HEIGHT - 1), min(max(column, 0), WIDTH - 1)

    axial = 2 / 3 / (3 * HEIGHT * WIDTH)
    diagonal = 2 / 12 / (3 * (HEIGHT + 1) * (WIDTH + 1))
    for row in range(-1, HEIGHT):
        for column in range(-1, WIDTH):
            yield diagonal, inside(row, column), inside(row + 1, column + 1)
            yield diagonal, inside(row + 1, column), inside(row, column + 1)
            if row >= 0 and column >= 0:
                yield axial, (row, column), inside(row, column + 1)
                yield axial, (row, column), inside(row + 1, column)


# ---- The published definitions -------------------------------------------------------


def gram(features):
    """Return the sum over pixels of f f', channel by channel, undivided."""
    return np.array([[np.sum(a * b) for b in features] for a in features])


def pixels_of(features):
    return features.shape[1] * features.shape[2]


def mean_square(difference):
    return np.sum(difference**2) / difference.size


def with_gram(weight, divisor):
    """Return a style loss: weight * mean((G / divisor - A / divisor) ** 2)."""

    def loss(features, style):
        return weight * mean_square(
            gram(features) / divisor(features) - gram(style) / divisor(style)
        )

    return loss


def gatys():
    content = {"relu4_2": lambda f, p: mean_square(f - p)}
    style = {tap: with_gram(1e3 / n**2, pixels_of) for tap, n in zip(RELUS, WIDTHS, strict=True)}
    return content, style, None


def gatys_paper():
    def squared_error_loss(features, style):
        """Eq. 4, with M the pixels of the image that each Gram matrix is made of."""
        n = len(features)
        difference = gram(features) / pixels_of(features) - gram(style) / pixels_of(style)
        return 1 / (4 * n**2) * np.sum(difference**2)

    content = {"conv4_2": lambda f, p: np.sum((f - p) ** 2) / 2}
    taps = [relu.replace("relu", "conv") for relu in RELUS]
    style = {tap: lambda f, s: 1e3 * squared_error_loss(f, s) / 5 for tap in taps}
    return content, style, None


def size_of(features):
    return features.size


def johnson():
    content = {"relu4_2": lambda f, p: 5 * mean_square(f - p)}
    style = {tap: with_gram(100, size_of) for tap in RELUS}
    return content, style, lambda x: over_pairs(256 * x, neighbours(True, 5e-4, 5e-4), 2)


def johnson_pt():
    content, style, _ = johnson()
    return content, style, lambda x: over_pairs(255 * x, neighbours(False, 1e-3, 1e-3), 1)


def anish():
    content = {"relu4_2": lambda f, p: 5 * np.sum((f - p) ** 2) / f.size}
    style = {tap: with_gram(500 / 5, size_of) for tap in RELUS}
    right, below = 3 * HEIGHT * (WIDTH - 1), 3 * (HEIGHT - 1) * WIDTH
    pairs = list(neighbours(False, 100 / right, 100 / below))
    return content, style, lambda x: over_pairs(255 * x, pairs, 2)


def mean_and_covariance(features):
    flat = features.reshape(len(features), -1)
    mean = flat.mean(axis=1)
    centred = flat - mean[:, None]
    return mean, centred @ centred.T / flat.shape[1]


def wasserstein(features, style):
    """Squared distance of two Gaussians; tr (B^1/2 A B^1/2)^1/2 is the sum of the roots of the
    eigenvalues of A B."""
    (mean, a), (target, b) = mean_and_covariance(features), mean_and_covariance(style)
    a, b = a + 1e-4 * np.eye(len(a)), b + 1e-4 * np.eye(len(b))
    roots = np.sqrt(np.abs(np.linalg.eigvals(a @ b)))
    return mean_square(mean - target) + (np.trace(a) + np.trace(b) - 2 * roots.sum()) / len(a)


class TwelveSteps:
    """Crowson's distance, whose roots take twelve steps, and the gradient that is no slope of it.

    trace(2 root(R A R)) pulls at A by R X R, where root X + X root = 2, solved in twelve steps.
    """

    def __init__(self, weight):
        self.weight = weight

    def __call__(self, features, style):
        return self.weight * self.both(features, style)[0]

    def gradient(self, features, style):
        return self.weight * self.both(features, style)[1]

    def both(self, features, style):
        (mean, a), (target, b) = mean_and_covariance(features), mean_and_covariance(style)
        one, pixels = np.eye(len(a)), pixels_of(features)
        a, b = a + 1e-4 * one, b + 1e-4 * one
        side = root_in_steps(b, 12)
        root = root_in_steps(side @ a @ side, 12)
        loss = mean_square(mean - target) + np.trace(a + b - 2 * root) / len(a)

        d_a = (one - side @ lyapunov_in_steps(root, 2 * one, 12) @ side) / len(a)
        centred = features - mean[:, None, None]
        d_mean = 2 * (mean - target) / len(mean)
        d_features = np.tensordot(d_a + d_a.T, centred, 1) + d_mean[:, None, None]
        return loss, d_features / pixels


def crowson(distance=TwelveSteps):
    content = {"relu4_2": lambda f, p: 0.015 * mean_square(f - p)}
    style = {
        tap: distance(weight / 341) for tap, weight in zip(RELUS, (256, 64, 16, 4, 1), strict=True)
    }

    def smoothness(x):
        loss, gradient = over_pairs(x, nine_points(), 2)
        return 2.0 * loss, 2.0 * gradient

    return content, style, smoothness


def w2():
    return crowson(lambda weight: lambda f, s: weight * wasserstein(f, s))


def pystiche():
    content = {"relu4_2": lambda f, p: mean_square(f - p)}
    style = {tap: with_gram(1e3 / 5, pixels_of) for tap in RELUS}
    return content, style, None


def spst():
    def loss(features, style, n):
        """``1e3 / n ** 2`` is the Gram matrix's weight, times n ** 2 * 1000 / 100 the others'."""
        weight = 1e3 / n**2
        others = weight * len(features) ** 2 * 1000 / 100  # n is the layer's own number there
        (mean, covariance) = mean_and_covariance(features)
        (target, target_covariance) = mean_and_covariance(style)
        deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
        target_deviation = np.sqrt(np.diag(target_covariance))
        return (
            with_gram(weight, pixels_of)(features, style)
            + others * mean_square(mean - target)
            + others * mean_square(deviation - target_deviation)
        )

    content = {"relu4_2": lambda f, p: mean_square(f - p)}
    style = {tap: lambda f, s, n=n: loss(f, s, n) for tap, n in zip(RELUS, WIDTHS, strict=True)}
    return content, style, None


def hvass():
    """The three losses without weights; `adaptive` weighs them."""
    content = {"relu3_1": lambda f, p: mean_square(f - p)}
    taps = [layer for layer in NARROW_VGG19.taps if layer.startswith("relu")]
    taps = [tap for tap in taps if tap not in ("relu3_4", "relu4_4", "relu5_4")]  # VGG16's
    style = {tap: with_gram(1 / 13, lambda features: 1) for tap in taps}
    return content, style, lambda x: over_pairs(255 * x, neighbours(False), 1)


def nst():
    """Ours, as the README tells it: a loss of 1 is as far from its target as nothing at all."""

    def style(features, painting):
        target = gram(painting) / pixels_of(painting)
        difference = gram(features) / pixels_of(features) - target
        return 15 * mean_square(difference) / mean_square(target)

    pairs = list(neighbours(False, *[0.5 / (3 * HEIGHT * WIDTH)] * 2))
    content = {"relu4_1": lambda f, p: 2.5 * mean_square(f - p) / mean_square(p)}
    return content, dict.fromkeys(RELUS[:4], style), lambda x: over_pairs(x, pairs, 2)


PADDING = {"nst": 16}  # pixels around the image, by recipe

PUBLISHED = {
    "nst": nst,
    "gatys": gatys,
    "gatys-paper": gatys_paper,
    "johnson": johnson,
    "johnson-pt": johnson_pt,
    "anish": anish,
    "crowson": crowson,
    "w2": w2,
    "pystiche": pystiche,
    "spst": spst,
    "hvass": hvass,
}
TORCHVISION = ("nst", "crowson", "w2", "pystiche")  # others have Oxford's, for pixels of 0 .. 255
AVERAGE = ("nst", "gatys-paper")  # pools; our own recipe takes those of the model
CEIL = ("johnson", "anish", "hvass")  # loadcaffe's pools, and TensorFlow's "SAME"
WHITE = {"johnson": 256.0}


def adaptive(kinds):
    """Return Hvass' total and d_total/d_loss of each kind: sum of w * log(loss + 1e-10)."""
    factors = {"content": 1.5, "style": 10.0, "smoothness": 0.3}
    total = sum(factors[kind] * np.log(loss + 1e-10) for kind, loss in kinds.items())
    return total, {kind: factors[kind] / (loss + 1e-10) for kind, loss in kinds.items()}


def slopes(loss, features):
    """Return d_loss/d_features by a central difference at every activation."""
    gradient = np.empty_like(features)
    step = 1e-5 * np.abs(features).max()
    for index in np.ndindex(features.shape):
        there = features.copy()
        there[index] += step
        above = loss(there)
        there[index] -= 2 * step
        gradient[index] = (above - loss(there)) / (2 * step)
    return gradient


def places_shown(length, padding):
    """Return which pixel is seen at each place of a row with a mirror at both of its ends."""
    there_and_back = [*range(length), *reversed(range(length))]
    return [
        there_and_back[place % len(there_and_back)] for place in range(-padding, length + padding)
    ]


class Oracle:
    """The published objective of one recipe, at one image."""

    def __init__(self, name, arrays, image, content, style):
        self.name = name
        self.losses, self.d_images = {}, {}  # by kind
        of_content, of_style, smoothness = PUBLISHED[name]()
        network = NaiveVgg(arrays, "average" if name in AVERAGE else "max", name in CEIL)
        outputs = network.forward(self.ready(self.padded(image)))
        compared = {
            "content": (of_content, network.forward(self.ready(self.padded(content)))),
            "style": (of_style, network.forward(self.ready(self.padded(style)))),
        }
        for kind, (functions, targets) in compared.items():
            d_taps = {}
            self.losses[kind] = 0.0
            for tap, function in functions.items():
                own = self.own(tap, HEIGHT, WIDTH)
                target = targets[tap][
                    self.own(tap, *(style if kind == "style" else image).shape[1:])
                ]

                def loss(features, function=function, target=target):
                    return function(features, target)

                self.losses[kind] += loss(outputs[tap][own])
                d_taps[tap] = np.zeros_like(outputs[tap])
                if isinstance(function, TwelveSteps):
                    d_taps[tap][own] = function.gradient(outputs[tap][own], target)
                else:
                    d_taps[tap][own] = slopes(loss, outputs[tap][own])
            self.d_images[kind] = self.unpadded(self.scale * network.backward(d_taps, outputs))
        if smoothness is not None:
            self.losses["smoothness"], d_pixels = smoothness(image)
            white = 1.0 if name in TORCHVISION else WHITE.get(name, 255.0)
            self.d_images["smoothness"] = white * d_pixels

    def padded(self, image):
        padding = PADDING.get(self.name, 0)
        rows, columns = (places_shown(length, padding) for length in image.shape[1:])
        return image[:, rows][:, :, columns]

    def unpadded(self, d_padded):
        """Return the gradient of what `padded` was given: each pixel's places, added up."""
        d_image = np.zeros((3, HEIGHT, WIDTH))
        rows, columns = (places_shown(n, PADDING.get(self.name, 0)) for n in (HEIGHT, WIDTH))
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                d_image[:, row, column] += d_padded[:, i, j]
        return d_image

    def own(self, tap, height, width):
        """Return the place of a picture's own features among those of the padded one."""
        stride = 2 ** (int(tap[4]) - 1)
        first = PADDING.get(self.name, 0) // stride
        up = stride - 1 if self.name in CEIL else 0
        rows, columns = (slice(first, first + (n + up) // stride) for n in (height, width))
        return slice(None), rows, columns

    def ready(self, image):
        if self.name in TORCHVISION:
            return (image - TORCH_MEAN) / TORCH_STD
        return WHITE.get(self.name, 255.0) * image - CAFFE_MEAN

    @property
    def scale(self):
        """What ``ready`` multiplies an image by: the gradient's factor on its way back."""
        return 1 / TORCH_STD if self.name in TORCHVISION else WHITE.get(self.name, 255.0)

    def expected(self, kinds):
        """Return the total of some kinds of losses, and its gradient."""
        if self.name == "hvass":
            total, factors = adaptive({kind: self.losses[kind] for kind in kinds})
        else:
            total, factors = sum(self.losses[kind] for kind in kinds), dict.fromkeys(kinds, 1.0)
        return total, sum(factors[kind] * self.d_images[kind] for kind in kinds)


# ---- The recipes ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(15)
    image, content = rng.uniform(0, 1, (2, 3, HEIGHT, WIDTH))
    style = rng.uniform(0, 1, (3, *STYLE)) ** 2
    return [picture.astype(np.float32).astype(np.float64) for picture in (image, content, style)]


@pytest.fixture(scope="module")
def arrays():
    return draw_arrays(NARROW_VGG19, np.random.default_rng(16))


def only(recipe, kinds):
    """Return the recipe with the losses of ``kinds`` and no other."""
    return replace(
        recipe,
        content=recipe.content if "content" in kinds else {},
        style=recipe.style if "style" in kinds else {},
        smoothness=recipe.smoothness if "smoothness" in kinds else 0.0,
    )


def paint_objective(recipe, vgg, content, style, folder):
    """Return what `stylize` minimises at the content's size."""
    for name, picture in (("content", content), ("style", style)):
        images.save(folder / f"{name}.png", picture)
    settings = Settings(folder / "content.png", folder / "style.png", None)
    content, style = content.astype(np.float32), style.astype(np.float32)
    scale = Scale(HEIGHT, WIDTH, 1)
    inputs = Inputs(
        settings=settings,
        recipe=recipe,
        device=CPU,
        vgg=vgg,
        photograph=content,
        alpha=None,
        content=content,
        paintings=(ReadPainting(style),),
        files={},
    )
    return objective_at(inputs, scale)


@pytest.mark.parametrize("name", PUBLISHED)
def test_loss_and_gradient_are_the_published_ones(name, pictures, arrays, tmp_path):
    recipe = replace(RECIPES[name], style_size=None, style_side="longer")
    image, content, style = pictures
    oracle = Oracle(name, arrays, *pictures)
    if name in TORCHVISION:
        network = weights.from_arrays(arrays, "average" if name == "nst" else "max")
    else:
        mean = tuple(CAFFE_MEAN.ravel() / 255)
        network = weights.from_arrays(arrays, mean=mean, std=(1 / 255,) * 3)
    network = network.brightened(recipe.input_gain).rounded(recipe.pool_rounding)
    vgg = Vgg(network, recipe.taps, recipe.pooling)

    every = tuple(oracle.losses)
    for kinds in [*((kind,) for kind in every), every]:
        objective = paint_objective(only(recipe, kinds), vgg, content, style, tmp_path)
        losses, d_image = objective.evaluate(image.astype(np.float32))
        total, d_expected = oracle.expected(kinds)
        assert losses.total == pytest.approx(total, rel=1e-4), kinds
        error = np.abs(d_image - d_expected).max() / np.abs(d_expected).max()
        assert error < 1e-4, kinds


OTHERS = {"neighbours", "mixture", "nnst", "strokes"}  # in test_neighbours.py, test_nnst.py


def test_every_recipe_is_pinned():
    assert set(PUBLISHED) == set(RECIPES) - OTHERS
    assert PADDING == {n: RECIPES[n].padding for n in PUBLISHED if RECIPES[n].padding}
