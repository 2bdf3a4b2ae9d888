"""Reference kernels: the formulas of style transfer in NumPy, forward above backward.

The package's docstring states the shapes and the contract; DERIVATIONS.md derives each
backward formula from the forward one above it.
"""

import numpy as np

from nst.kernels import checks


def gram(features: np.ndarray, divisor: float | None = None) -> np.ndarray:
    """Return how strongly each pair of channels fires together.

    ``gram[i, j] = (1 / divisor) * sum_p features[i, p] * features[j, p]``

    The one sum that is left to BLAS, and so accumulates in the dtype of ``features``.

    Parameters
    ----------
    features : (C, H, W) float array
        Activations of one layer.
    divisor : float, optional
        H*W if not given, so that images of different sizes compare: the convention of
        Gatys' own notebook.  1 is Gatys et al. (2016, eq. 3) and Hvass, C*H*W Johnson's.

    Returns
    -------
    gram : (C, C) float array
        Symmetric.
    """
    checks.has_rank(3, features=features)
    channels, height, width = features.shape
    flat = features.reshape(channels, height * width)
    return flat @ flat.T / checks.gram_divisor(divisor, features)


def gram_backward(
    d_gram: np.ndarray, features: np.ndarray, divisor: float | None = None
) -> np.ndarray:
    """Return dL/dfeatures (C, H, W), given ``d_gram`` = dL/dgram (C, C).

    Channel i appears in row i and in column i of the Gram matrix, hence the
    two terms: ``d_features = (d_gram + d_gram.T) @ features / divisor``.
    """
    checks.is_gram_of(features, d_gram)
    channels, height, width = features.shape
    flat = features.reshape(channels, height * width)
    both = (d_gram + d_gram.T) / checks.gram_divisor(divisor, features)
    return (both @ flat).reshape(features.shape)


def mse(x: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the mean of ``(x - target) ** 2`` as a 0-d array."""
    checks.same_shape(x=x, target=target)
    difference = x - target
    return np.asarray(np.mean(difference * difference, dtype=np.float64), x.dtype)


def mse_backward(x: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return dL/dx = ``2 * (x - target) / x.size``, the shape of ``x``."""
    checks.same_shape(x=x, target=target)
    return (x - target) * (2 / x.size)


def total_variation_l1(image: np.ndarray, reduction: str = "sum") -> np.ndarray:
    """Return the summed absolute step to the right and lower neighbour, as a 0-d array.

    ``L = sum |right - here| + |below - here|``; the last column has no right neighbour
    and the last row none below.  The anisotropic form of Rudin, Osher and Fatemi (1992),
    as Hvass sums it; ``reduction="mean"`` divides by C*H*W.
    """
    checks.has_rank(3, image=image)
    right, below = _steps(image)
    total = np.sum(np.abs(right), dtype=np.float64) + np.sum(np.abs(below), dtype=np.float64)
    return np.asarray(total / checks.reduction_divisor(reduction, image), image.dtype)


def total_variation_l1_backward(image: np.ndarray, reduction: str = "sum") -> np.ndarray:
    """Return dL/dimage (C, H, W): each step pulls on both of its ends, by its sign.

    Where two neighbours are equal |step| has no slope, and 0 is taken: the middle of
    its subgradients -1 .. 1.
    """
    checks.has_rank(3, image=image)
    right, below = _steps(image)
    d_image = _pull_on_both_ends(np.sign(right), np.sign(below), image)
    d_image /= checks.reduction_divisor(reduction, image)
    return d_image


def total_variation_l2(image: np.ndarray, reduction: str = "sum") -> np.ndarray:
    """Return the summed squared step to the right and lower neighbour, as a 0-d array.

    ``L = sum (right - here)**2 + (below - here)**2``, smoother than L1 and harder on
    edges; Johnson's neural-style descends half of it.  ``reduction="mean"`` divides by
    C*H*W.
    """
    checks.has_rank(3, image=image)
    right, below = _steps(image)
    total = np.sum(right * right, dtype=np.float64) + np.sum(below * below, dtype=np.float64)
    return np.asarray(total / checks.reduction_divisor(reduction, image), image.dtype)


def total_variation_l2_backward(image: np.ndarray, reduction: str = "sum") -> np.ndarray:
    """Return dL/dimage (C, H, W): each step pulls on both of its ends, by twice itself."""
    checks.has_rank(3, image=image)
    right, below = _steps(image)
    d_image = _pull_on_both_ends(right, below, image)
    d_image *= 2 / checks.reduction_divisor(reduction, image)
    return d_image


def luminance(image: np.ndarray) -> np.ndarray:
    """Return the luma Y' (H, W) of an RGB image (3, H, W), by the weights of Rec. 601.

    ``Y' = 0.299 R + 0.587 G + 0.114 B``: they sum to 1, so the range stays that of the
    image.
    """
    checks.is_rgb(image)
    red, green, blue = image
    return 0.299 * red + 0.587 * green + 0.114 * blue


def dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the inner product ``sum x * y`` of two arrays of one shape, as a 0-d array."""
    checks.same_shape(x=x, y=y)
    return np.asarray(np.sum(np.multiply(x, y, dtype=np.float64)), x.dtype)


def axpy(scale: float | np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Add ``scale * x`` to ``y`` in place, and return ``y``.  BLAS calls this axpy.

    ``scale`` is a number or a 0-d array, such as ``dot`` returns.
    """
    checks.is_scalar(scale=scale)
    checks.same_shape(x=x, y=y)
    y += y.dtype.type(scale) * x
    return y


def scale(factor: float | np.ndarray, x: np.ndarray) -> np.ndarray:
    """Multiply ``x`` by ``factor``, a number or a 0-d array, in place, and return ``x``."""
    checks.is_scalar(factor=factor)
    checks.same_shape(x=x)
    x *= x.dtype.type(factor)
    return x


def clip(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Limit ``image`` to ``low`` .. ``high`` in place, and return it.  NaN stays NaN."""
    checks.is_range(low, high)
    checks.same_shape(image=image)
    return np.clip(image, low, high, out=image)


def normalised_descent_step(
    image: np.ndarray, d_image: np.ndarray, step_size: float
) -> np.ndarray:
    """Step ``image`` downhill in place by about ``step_size`` per pixel, and return it.

    ``image -= step_size * d_image / (std(d_image) + 1e-8)``

    From Hvass' Tutorial 15, with a step of 10 grey levels.  The spread of the gradient
    is divided out, so the step never shrinks by itself: to converge, decay ``step_size``.
    """
    checks.same_shape(image=image, d_image=d_image)
    spread = np.std(d_image, dtype=np.float64)
    image -= image.dtype.type(step_size / (spread + 1e-8)) * d_image
    return image


def adam_step(
    image: np.ndarray,
    d_image: np.ndarray,
    first_moment: np.ndarray,
    second_moment: np.ndarray,
    step: int,
    step_size: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> np.ndarray:
    """Take one step of Adam in place, on ``image`` and both moments, and return ``image``.

    Kingma and Ba (2015), Algorithm 1, with m and v for the moments and g for ``d_image``::

        m = beta1 * m + (1 - beta1) * g           running mean of the gradient
        v = beta2 * v + (1 - beta2) * g**2        running mean of its square
        image -= step_size * m / (1 - beta1**step) / (sqrt(v / (1 - beta2**step)) + epsilon)

    Parameters
    ----------
    image, d_image, first_moment, second_moment : float arrays of one shape
        The moments start as zeros; dividing by ``1 - beta**step`` undoes that bias.
    step : int
        Counts from 1.
    step_size : float
        About the largest move of a pixel in one step, in the unit of ``image``.
    """
    checks.same_shape(
        image=image, d_image=d_image, first_moment=first_moment, second_moment=second_moment
    )
    checks.is_step(step)
    first_moment *= beta1
    first_moment += (1 - beta1) * d_image
    second_moment *= beta2
    second_moment += (1 - beta2) * (d_image * d_image)
    mean = first_moment / (1 - beta1**step)
    mean_square = second_moment / (1 - beta2**step)
    image -= step_size * mean / (np.sqrt(mean_square) + epsilon)
    return image


def _steps(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps to the right (C, H, W - 1) and to the row below (C, H - 1, W)."""
    right = image[:, :, 1:] - image[:, :, :-1]
    below = image[:, 1:, :] - image[:, :-1, :]
    return right, below


def _pull_on_both_ends(right: np.ndarray, below: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Add each step's pull to the pixel it leads to, and take it from where it starts."""
    d_image = np.zeros_like(image)
    d_image[:, :, 1:] += right
    d_image[:, :, :-1] -= right
    d_image[:, 1:, :] += below
    d_image[:, :-1, :] -= below
    return d_image
