"""Reference kernels: the formulas of style transfer in NumPy, forward above backward.

The package's docstring states the shapes and the contract; DERIVATIONS.md derives each
backward formula from the forward one above it.
"""

from collections.abc import Iterator
from functools import cache, partial
from types import ModuleType

import numpy as np

from nst import machine
from nst.kernels import blocks, checks, frequencies
from nst.kernels.numpy_neighbours import (  # noqa: F401  (one twin, in two files)
    block_mean,
    block_mean_backward,
    cosine_distance,
    cosine_distance_backward,
    map_channels,
    nearest,
    resize,
    resize_backward,
    unit_vectors,
)

STRIP = 256  # values that are added up in float32 before float64 takes over, as in kernels.cu
_ONE_AROUND = ((0, 0), (1, 1), (1, 1))  # of the pixels, none of the channels


def gram(
    features: np.ndarray, divisor: float | None = None, mask: np.ndarray | None = None
) -> np.ndarray:
    """Return how strongly each pair of channels fires together.

    ``gram[i, j] = (1 / divisor) * sum_p mask[p] * features[i, p] * features[j, p]``, that is
    ``F F' / (H W)``, with F the features as a matrix: a row a channel, a column a pixel.

    BLAS adds up a block of pixels in the dtype of ``features``, and float64 the blocks.

    Parameters
    ----------
    features : (C, H, W) float array
        Activations of one layer.
    divisor : float, optional
        H*W if not given, so that images of different sizes compare: the convention of
        Gatys' own notebook.  1 is Gatys et al. (2016, eq. 3) and Hvass, C*H*W Johnson's.
    mask : (H, W) float array, optional
        How much each pixel counts, 0 or more; all alike, 1, if not given.  That of a region
        makes this the guided Gram matrix of Gatys et al. (2017).

    Returns
    -------
    gram : (C, C) float array
        Symmetric.

    Raises
    ------
    ValueError
        If ``mask`` is not of the size of ``features``, or ``divisor`` not above 0.

    Examples
    --------
    Two channels of one row: the first fires at both pixels, the second at the last one.

    >>> features = np.array([[[1.0, 2.0]], [[0.0, 3.0]]])
    >>> gram(features, divisor=1)
    array([[5., 6.],
           [6., 9.]])
    >>> gram(features, divisor=1, mask=np.array([[1.0, 0.0]]))
    array([[1., 0.],
           [0., 0.]])
    """
    checks.has_rank(3, features=features)
    checks.is_map_of(features, mask)
    flat = _flat(features)  # F, of which the blocks below are some columns each
    if mask is None:
        products = blocks.add_up(lambda f: f @ f.T, flat)
    else:  # symmetric, and half the work, with the root of the mask on both sides
        products = blocks.add_up(_weighed_times_transpose, flat, np.sqrt(mask).reshape(1, -1))
    gram = products / checks.divisor_or_pixels(divisor, features)
    return gram.astype(features.dtype)


def gram_backward(
    d_gram: np.ndarray,
    features: np.ndarray,
    divisor: float | None = None,
    mask: np.ndarray | None = None,
    out: np.ndarray | None = None,
    add: bool = False,
) -> np.ndarray:
    """Return dL/dfeatures (C, H, W), given ``d_gram`` = dL/dgram (C, C).

    Channel i appears in row i and in column i of the Gram matrix, hence the
    two terms: ``d_features = mask * (d_gram + d_gram.T) @ features / divisor``.

    Parameters
    ----------
    d_gram : (C, C) float array
        Need not be symmetric.
    features, divisor, mask
        As `gram` took them.
    out : (C, H, W) float array, optional
        Takes the result; may be ``features``, unless ``add``.
    add : bool
        Add the result to what ``out`` holds.
    """
    checks.is_gram_of(features, d_gram)
    checks.is_map_of(features, mask)
    d_features = _output(out, features, add)
    both = (d_gram + d_gram.T) / checks.divisor_or_pixels(divisor, features)
    matrices = [_flat(d_features), _flat(features)]
    if mask is not None:
        matrices.append(mask.reshape(1, -1))
    blocks.write(partial(_write_product, both, add), *matrices)
    return d_features


def moments(features: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Return the sums that channel means and covariances are made of: (C, C + 1), in float64.

    ``moments[i, j] = sum_p mask[p] * features[i, p] * features[j, p]``, and as last column
    ``moments[i, C] = sum_p mask[p] * features[i, p]``

    A covariance is what the products leave over when the means are taken away, and nothing
    would be left of it in float32 where a channel's mean is large beside its spread.  So BLAS
    gets the deviations from the means of a block of pixels; the means come back in float64.

    Parameters
    ----------
    features : (C, H, W) float array
        Activations of one layer.
    mask : (H, W) float array, optional
        How much each pixel counts, 0 or more; 1 if not given.

    Examples
    --------
    >>> moments(np.array([[[1.0, 2.0]], [[0.0, 3.0]]]))
    array([[5., 6., 3.],
           [6., 9., 3.]])
    """
    checks.has_rank(3, features=features)
    checks.is_map_of(features, mask)
    if mask is None:
        mask = np.ones(features.shape[1:], features.dtype)
    return blocks.add_up(_moments, _flat(features), mask.reshape(1, -1))


def moments_backward(
    d_moments: np.ndarray,
    features: np.ndarray,
    mask: np.ndarray | None = None,
    out: np.ndarray | None = None,
    add: bool = False,
) -> np.ndarray:
    """Return dL/dfeatures (C, H, W), given ``d_moments`` = dL/dmoments (C, C + 1).

    ``d_features = mask * ((d_products + d_products.T) @ features + d_totals)`` with
    d_products the first C columns and d_totals the last one, the same at every pixel.
    """
    checks.is_moments_of(features, d_moments)
    checks.is_map_of(features, mask)
    d_features = _output(out, features, add)
    d_products, d_totals = d_moments[:, :-1], d_moments[:, -1:]
    matrices = [_flat(d_features), _flat(features)]
    if mask is not None:
        matrices.append(mask.reshape(1, -1))
    write = partial(_write_product, d_products + d_products.T, add, offset=d_totals)
    blocks.write(write, *matrices)
    return d_features


def symmetric_power(matrix: np.ndarray, exponent: float, smallest: float = 0.0) -> np.ndarray:
    """Return a symmetric, positive ``matrix`` (N, N) to the power ``exponent``, such as 0.5.

    ``V diag(max(values, smallest) ** exponent) V'`` with its eigenvectors V and values, which
    rounding may have pushed below ``smallest``.

    Parameters
    ----------
    matrix : (N, N) float array
        Symmetric; such as a covariance.
    exponent : float
        0.5 for the square root, -0.5 for its inverse.
    smallest : float
        What an eigenvalue is at the least; above 0 where ``exponent`` is below.
    """
    checks.is_square(matrix)
    values, vectors = np.linalg.eigh(matrix)
    power: np.ndarray = (vectors * np.maximum(values, smallest) ** exponent) @ vectors.T
    return power


def newton_schulz(matrix: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what ``steps`` of Newton and Schulz make of a square root, and of its gradient.

    ``(root, d_matrix)`` of a symmetric, positive ``matrix`` B (N, N): the root, and how much its
    trace is said to grow with B.  With the norm ``|B| = sqrt(sum(B**2))``,

        Y = B / |B|,  Z = 1;      T = (3 - Z Y) / 2,  Y = Y T,  Z = T Z;      root = Y |B|**(1/2)
        E = root / |root|,  X = 1 / |root|;     T = (3 - E E) / 2,  X = X T,  E = E T;    d = X / 2

    All of these have the eigenvectors of B, so the steps are taken by its eigenvalues alone.  They
    end before they have reached the small ones: so that d is not the slope of the root's trace.
    Lin and Maji, "Improved Bilinear Pooling with CNNs" (2017); see DERIVATIONS.md.
    """
    checks.is_square(matrix)
    values, vectors = np.linalg.eigh(matrix)
    norm = (values**2).sum() ** 0.5
    y, z = values / norm, 1.0
    for _ in range(steps):
        t = (3 - z * y) / 2
        y, z = y * t, t * z
    roots = y * norm**0.5
    size = (roots**2).sum() ** 0.5
    e, x = roots / size, 1 / size
    for _ in range(steps):
        t = (3 - e**2) / 2
        e, x = e * t, x * t
    return (vectors * roots) @ vectors.T, (vectors * (x / 2)) @ vectors.T


def mse(x: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the mean of ``(x - target) ** 2`` as a 0-d array; ValueError if shapes differ.

    >>> mse(np.array([1.0, 4.0]), np.array([0.0, 1.0]))
    array(5.)
    """
    checks.same_shape(x=x, target=target)
    total = 0.0
    for here, wanted in blocks.of(x, target):
        difference = here - wanted
        total += _dot(difference, difference)
    return np.asarray(total / x.size, x.dtype)


def mse_backward(
    x: np.ndarray,
    target: np.ndarray,
    d_loss: float | np.ndarray = 1.0,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return dL/dx = ``d_loss * 2 * (x - target) / x.size``, the shape of ``x``.

    Parameters
    ----------
    x, target : float arrays of one shape
        As `mse` took them.
    d_loss : float or 0-d array
        dL/dmse: how much the total grows with this mean.
    out : float array of the same shape, optional
        Takes the result; may be ``x``.

    Examples
    --------
    >>> mse_backward(np.array([1.0, 4.0]), np.array([0.0, 1.0]))
    array([1., 3.])
    """
    checks.same_shape(x=x, target=target)
    checks.is_scalar(d_loss=d_loss)
    d_x = _output(out, x)
    factor = x.dtype.type(d_loss * 2 / x.size)
    for here, wanted, pull in blocks.of(x, target, d_x):
        np.subtract(here, wanted, out=pull)
        pull *= factor
    return d_x


def masked_mse(x: np.ndarray, target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the mean of ``mask * (x - target) ** 2`` as a 0-d array.

    The mean is over all C*H*W values, whatever the mask.  The temporal loss of Ruder, Dosovitskiy
    and Brox, *Artistic Style Transfer for Videos* (2016, eq. 7).

    Parameters
    ----------
    x, target : (C, H, W) float arrays
        Of any range.
    mask : (H, W) float array
        How much each pixel counts, 0 or more.

    Examples
    --------
    >>> x, target = np.array([[[1.0, 4.0]]]), np.array([[[0.0, 1.0]]])
    >>> masked_mse(x, target, mask=np.array([[1.0, 0.5]]))
    array(2.75)
    """
    checks.has_rank(3, x=x)
    checks.same_shape(x=x, target=target)
    checks.is_map_of(x, mask)
    total = 0.0
    for channel, wanted_channel in zip(x, target, strict=True):
        for here, wanted, share in blocks.of(channel, wanted_channel, mask):
            difference = here - wanted
            total += _dot(share * difference, difference)
    return np.asarray(total / x.size, x.dtype)


def masked_mse_backward(
    x: np.ndarray,
    target: np.ndarray,
    mask: np.ndarray,
    d_loss: float | np.ndarray = 1.0,
    out: np.ndarray | None = None,
    add: bool = False,
) -> np.ndarray:
    """Return dL/dx = ``d_loss * 2 * mask * (x - target) / x.size``, the shape of ``x``.

    Parameters
    ----------
    x, target, mask
        As `masked_mse` took them.
    d_loss : float or 0-d array
        dL/dmasked_mse: how much the total grows with this mean.
    out : float array of the shape of ``x``, optional
        Takes the result; may be ``x``, unless ``add``.
    add : bool
        Add the result to what ``out`` holds.
    """
    checks.has_rank(3, x=x)
    checks.same_shape(x=x, target=target)
    checks.is_map_of(x, mask)
    checks.is_scalar(d_loss=d_loss)
    d_x = _output(out, x, add)
    factor = x.dtype.type(d_loss * 2 / x.size)
    for channel, wanted_channel, d_channel in zip(x, target, d_x, strict=True):
        for here, wanted, share, pull in blocks.of(channel, wanted_channel, mask, d_channel):
            change = here - wanted
            change *= share
            change *= factor
            if add:
                pull += change
            else:
                pull[...] = change
    return d_x


def total_variation_l1(image: np.ndarray, reduction: str = "sum") -> np.ndarray:
    """Return the summed absolute step to the right and lower neighbour, as a 0-d array.

    ``L = sum |right - here| / m + sum |below - here| / n``; the last column has no right
    neighbour and the last row none below.  The anisotropic form of Rudin, Osher and Fatemi
    (1992).

    Parameters
    ----------
    image : (C, H, W) float array
        Of any range.
    reduction : "sum", "mean" or "means"
        What m and n are: 1, as Hvass has it; C*H*W; the number of steps in that direction.

    Examples
    --------
    Steps of 1 and 2 to the right, and of 3 and 5 below:

    >>> total_variation_l1(np.array([[[0.0, 1.0], [3.0, 5.0]]]))
    array(10.)
    """
    checks.has_rank(3, image=image)
    m, n = checks.step_divisors(reduction, image)
    total = 0.0
    for _, right, below in _steps(image):
        total += np.sum(np.abs(right), dtype=np.float64) / m
        total += np.sum(np.abs(below), dtype=np.float64) / n
    return np.asarray(total, image.dtype)


def total_variation_l1_backward(
    image: np.ndarray,
    reduction: str = "sum",
    d_loss: float | np.ndarray = 1.0,
    out: np.ndarray | None = None,
    add: bool = False,
) -> np.ndarray:
    """Return dL/dimage (C, H, W): each step pulls on both of its ends, by its sign.

    Where two neighbours are equal |step| has no slope, and 0 is taken: the middle of
    its subgradients -1 .. 1.

    Parameters
    ----------
    image, reduction
        As the forward function took them; so also for the other kinds of total variation.
    d_loss : float or 0-d array
        dL/d(total variation): how much the total grows with it.
    out : (C, H, W) float array, optional
        Takes the result.
    add : bool
        Add the result to what ``out`` holds.
    """
    checks.has_rank(3, image=image)
    checks.is_scalar(d_loss=d_loss)
    d_image = _zeroed(out, image, add)
    to_right, to_below = _factors(1, d_loss, checks.step_divisors(reduction, image), image)
    for top, right, below in _steps(image):
        _pull_on_both_ends(to_right * np.sign(right), to_below * np.sign(below), d_image, top)
    return d_image


def total_variation_l2(image: np.ndarray, reduction: str = "sum") -> np.ndarray:
    """Return the summed squared step to the right and lower neighbour, as a 0-d array.

    ``L = sum (right - here)**2 / m + sum (below - here)**2 / n``, smoother than L1 and harder
    on edges; ``reduction`` as for `total_variation_l1`: "means" is Athalye's neural-style.
    """
    checks.has_rank(3, image=image)
    m, n = checks.step_divisors(reduction, image)
    total = 0.0
    for _, right, below in _steps(image):
        total += np.sum(right * right, dtype=np.float64) / m
        total += np.sum(below * below, dtype=np.float64) / n
    return np.asarray(total, image.dtype)


def total_variation_l2_backward(
    image: np.ndarray,
    reduction: str = "sum",
    d_loss: float | np.ndarray = 1.0,
    out: np.ndarray | None = None,
    add: bool = False,
) -> np.ndarray:
    """Return dL/dimage (C, H, W): each step pulls on both of its ends, by twice itself."""
    checks.has_rank(3, image=image)
    checks.is_scalar(d_loss=d_loss)
    d_image = _zeroed(out, image, add)
    to_right, to_below = _factors(2, d_loss, checks.step_divisors(reduction, image), image)
    for top, right, below in _steps(image):
        _pull_on_both_ends(to_right * right, to_below * below, d_image, top)
    return d_image


def total_variation_johnson(image: np.ndarray, reduction: str = "sum") -> np.ndarray:
    """Return half the summed squared steps from pixels that have both neighbours, 0-d.

    ``L = 1/2 sum (right - here)**2 + (below - here)**2`` over the first H - 1 rows and W - 1
    columns: what Johnson's neural-style descends.  ``reduction`` as for `total_variation_l1`.
    """
    checks.has_rank(3, image=image)
    m, n = checks.step_divisors(reduction, image)
    total = 0.0
    for _, right, below in _inner_steps(image):
        total += np.sum(right * right, dtype=np.float64) / (2 * m)
        total += np.sum(below * below, dtype=np.float64) / (2 * n)
    return np.asarray(total, image.dtype)


def total_variation_johnson_backward(
    image: np.ndarray,
    reduction: str = "sum",
    d_loss: float | np.ndarray = 1.0,
    out: np.ndarray | None = None,
    add: bool = False,
) -> np.ndarray:
    """Return dL/dimage (C, H, W): each step pulls on both of its ends, by itself."""
    checks.has_rank(3, image=image)
    checks.is_scalar(d_loss=d_loss)
    d_image = _zeroed(out, image, add)
    to_right, to_below = _factors(1, d_loss, checks.step_divisors(reduction, image), image)
    for top, right, below in _inner_steps(image):
        _pull_on_both_ends(to_right * right, to_below * below, d_image, top)
    return d_image


def total_variation_crowson(image: np.ndarray, reduction: str = "mean") -> np.ndarray:
    """Return the mean squared step to all eight neighbours, diagonals less, as a 0-d array.

    ``L = 2/3 (mean right**2 + mean below**2) + 1/6 (mean falling**2 + mean rising**2)`` of
    the image with its border repeated once around it: H*W steps to the right and below, those
    across the border 0, and (H + 1)*(W + 1) along each diagonal, which on the border go along
    it.  Crowson's style-transfer-pytorch, which calls it a nine point stencil.
    """
    checks.has_rank(3, image=image)
    checks.is_mean(reduction)
    total = total_variation_l2(image, "mean").astype(np.float64) * 2 / 3
    falling, rising = _diagonal_steps(np.pad(image, _ONE_AROUND, "edge"))
    total += np.mean(falling * falling, dtype=np.float64) / 6
    total += np.mean(rising * rising, dtype=np.float64) / 6
    return np.asarray(total, image.dtype)


def total_variation_crowson_backward(
    image: np.ndarray,
    reduction: str = "mean",
    d_loss: float | np.ndarray = 1.0,
    out: np.ndarray | None = None,
    add: bool = False,
) -> np.ndarray:
    """Return dL/dimage (C, H, W): steps pull on both of their ends, by 4/3 or 1/3 of themselves.

    What pulls on the repeated border pulls on the pixel that it repeats.
    """
    checks.has_rank(3, image=image)
    checks.is_mean(reduction)
    d_image = total_variation_l2_backward(image, "mean", d_loss * 2 / 3, out, add)
    falling, rising = _diagonal_steps(np.pad(image, _ONE_AROUND, "edge"))
    factor = image.dtype.type(d_loss / (3 * falling.size))
    channels, height, width = image.shape
    d_padded = np.zeros((channels, height + 2, width + 2), image.dtype)
    d_padded[:, 1:, 1:] += factor * falling
    d_padded[:, :-1, :-1] -= factor * falling
    d_padded[:, 1:, :-1] += factor * rising
    d_padded[:, :-1, 1:] -= factor * rising
    d_padded[:, :, 1] += d_padded[:, :, 0]
    d_padded[:, :, -2] += d_padded[:, :, -1]
    d_padded[:, 1] += d_padded[:, 0]
    d_padded[:, -2] += d_padded[:, -1]
    d_image += d_padded[:, 1:-1, 1:-1]
    return d_image


def laplacian(image: np.ndarray) -> np.ndarray:
    """Return the Laplacian (H, W) of ``image`` (C, H, W), summed over its channels.

    ``4 * here - above - below - left - right``: how much a pixel differs from its neighbours.
    Beyond the border they are the border's own pixels, so that the border is no edge.

    >>> laplacian(np.array([[[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]]))
    array([[ 0., -1.,  2.],
           [ 0.,  0., -1.]])
    """
    checks.has_rank(3, image=image)
    return _laplacian(image.sum(axis=0))


def laplacian_backward(
    d_laplacian: np.ndarray,
    image: np.ndarray,
    out: np.ndarray | None = None,
    add: bool = False,
) -> np.ndarray:
    """Return dL/dimage (C, H, W): in each channel the Laplacian of ``d_laplacian`` (H, W).

    A neighbour's neighbour is the pixel itself, across the border too: the matrix is symmetric.
    Of ``image`` only the shape is read.
    """
    checks.is_laplacian_of(image, d_laplacian)
    d_image = _output(out, image, add)
    pull = _laplacian(d_laplacian)
    d_image[...] = d_image + pull if add else pull
    return d_image


def reflect(image: np.ndarray, margin: int) -> np.ndarray:
    """Return ``image`` with ``margin`` pixels around it, in which it is mirrored at its border.

    ``reflected[c, r, s] = image[c, mirror(r - margin, H), mirror(s - margin, W)]`` with
    ``mirror(-1, H) = 0``, ``mirror(-2, H) = 1`` and ``mirror(H, H) = H - 1``: the border itself
    is repeated, so that there is no step across it.

    Parameters
    ----------
    image : (C, H, W) float array
        Pixels, or anything else of a picture's shape.
    margin : int
        0 up to the shorter side of ``image``.

    Returns
    -------
    reflected : (C, H + 2 * margin, W + 2 * margin) float array
    """
    checks.has_rank(3, image=image)
    _, height, width = image.shape
    checks.is_margin_of(height, width, margin)
    return np.pad(image, ((0, 0), (margin, margin), (margin, margin)), "symmetric")


def reflect_backward(d_reflected: np.ndarray, margin: int) -> np.ndarray:
    """Return dL/dimage (C, H, W), given ``d_reflected`` = dL/dreflected: the margin folded in.

    What pulls on a mirrored pixel pulls on the pixel that it shows.
    """
    checks.has_rank(3, d_reflected=d_reflected)
    _, height, width = d_reflected.shape
    checks.is_margin_of(height - 2 * margin, width - 2 * margin, margin)
    if not margin:
        return d_reflected.copy()
    d_rows = d_reflected[:, margin:-margin].copy()
    d_rows[:, :margin] += d_reflected[:, margin - 1 :: -1]
    d_rows[:, -margin:] += d_reflected[:, : -margin - 1 : -1]
    d_image = d_rows[:, :, margin:-margin].copy()
    d_image[:, :, :margin] += d_rows[:, :, margin - 1 :: -1]
    d_image[:, :, -margin:] += d_rows[:, :, : -margin - 1 : -1]
    return d_image


def luminance(image: np.ndarray) -> np.ndarray:
    """Return the luma Y' (H, W) of an RGB image (3, H, W), by the weights of Rec. 601.

    ``Y' = 0.299 R + 0.587 G + 0.114 B``: they sum to 1, so the range stays that of the
    image.

    >>> luminance(np.array([1.0, 0.5, 0.0]).reshape(3, 1, 1))
    array([[0.5925]])
    """
    checks.is_rgb(image)
    red, green, blue = image
    luma: np.ndarray = 0.299 * red + 0.587 * green + 0.114 * blue
    return luma


def dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the inner product ``sum x * y`` of two arrays of one shape, as a 0-d array.

    >>> dot(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    array(11.)
    """
    checks.same_shape(x=x, y=y)
    return np.asarray(_dot(x, y), x.dtype)


def dots(vectors: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the inner product of ``x`` with each of the ``vectors``, (N,), in float64.

    BLAS adds up a block in the dtype of ``x``, and float64 the blocks: one pass over all vectors.

    Parameters
    ----------
    vectors : (N, ...) float array
        N arrays of the shape of ``x``.
    x : float array
        Of any shape.

    Examples
    --------
    >>> dots(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([3.0, 4.0]))
    array([11.,  4.])
    """
    checks.are_alike(vectors, x)
    return blocks.add_up(_dots, vectors.reshape(len(vectors), -1), x.reshape(1, -1))


def combine(coefficients: np.ndarray, vectors: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Add ``sum_i coefficients[i] * vectors[i]`` to ``y`` in place, and return ``y``.

    N times `axpy`, in one pass over all vectors.

    Parameters
    ----------
    coefficients : (N,) float64 array
        One for each of the ``vectors``.
    vectors : (N, ...) float array
        N arrays of the shape of ``y``.
    y : float array
        Of any shape; it is written.

    Examples
    --------
    >>> combine(np.array([2.0, 10.0]), np.array([[1.0, 2.0], [0.0, 1.0]]), np.zeros(2))
    array([ 2., 14.])
    """
    checks.are_alike(vectors, y)
    checks.are_coefficients_of(coefficients, vectors)
    flat = y.reshape(1, -1), vectors.reshape(len(vectors), -1)
    blocks.write_columns(partial(_combine, coefficients.astype(y.dtype)), blocks.ELEMENTS, *flat)
    return y


def substitute_back(upper: np.ndarray, known: np.ndarray, transposed: bool = False) -> np.ndarray:
    """Return the x (N,) of ``upper @ x = known``, or of ``upper.T @ x = known``.

    An unknown at a time: the last first, where only one is left in its row; transposed, the first.

    Parameters
    ----------
    upper : (N, N) float64 array
        An upper triangle; what is below it is not read.
    known : (N,) float64 array
        The right side.
    transposed : bool
        Whether the system is that of the transposed matrix.

    Examples
    --------
    >>> substitute_back(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([4.0, 8.0]))
    array([1., 2.])
    """
    checks.is_square(upper)
    checks.is_side_of(upper, known)
    matrix = np.triu(upper).T if transposed else np.triu(upper)
    x = np.zeros_like(known)
    for i in range(len(x)) if transposed else reversed(range(len(x))):
        x[i] = (known[i] - matrix[i] @ x) / matrix[i, i]  # those not found yet are 0
    return x


def axpy(scale: float | np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Add ``scale * x`` to ``y`` in place, and return ``y``.  BLAS calls this axpy.

    Parameters
    ----------
    scale : float or 0-d array
        Such as ``dot`` returns.
    x, y : float arrays of one shape
        ``y`` changes.
    """
    checks.is_scalar(scale=scale)
    checks.same_shape(x=x, y=y)
    factor = y.dtype.type(scale)
    for here, there in blocks.of(x, y):
        there += factor * here
    return y


def scale(factor: float | np.ndarray, x: np.ndarray) -> np.ndarray:
    """Multiply ``x`` by ``factor``, a number or a 0-d array, in place, and return ``x``."""
    checks.is_scalar(factor=factor)
    checks.same_shape(x=x)
    x *= x.dtype.type(factor)
    return x


def clip(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Limit ``image`` to ``low`` .. ``high`` in place, and return it.  NaN stays NaN.

    Parameters
    ----------
    image : float array
        Of any shape; changes.
    low, high : float
        ValueError unless ``low <= high``.
    """
    checks.is_range(low, high)
    checks.same_shape(image=image)
    return np.clip(image, low, high, out=image)


def normalised_descent_step(
    image: np.ndarray, d_image: np.ndarray, step_size: float, epsilon: float = 1e-8
) -> np.ndarray:
    """Step ``image`` downhill in place by about ``step_size`` per pixel, and return it.

    ``image -= step_size * d_image / (std(d_image) + epsilon)``

    From Hvass' Tutorial 15, with a step of 10 grey levels.  The spread of the gradient
    is divided out, so the step never shrinks by itself: to converge, decay ``step_size``.

    Parameters
    ----------
    image, d_image : float arrays of one shape
        ``image`` changes.
    step_size : float
        In the unit of ``image``: 10 / 255 where white is 1.
    epsilon : float
        In the unit of ``d_image``; keeps the quotient finite where the gradient is flat.
    """
    checks.same_shape(image=image, d_image=d_image)
    axpy(-step_size / (_standard_deviation(d_image) + epsilon), d_image, image)
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
    beta1, beta2 : float
        How much of each running mean stays at a step, 0 to below 1.
    epsilon : float
        In the unit of ``d_image``: a gradient that is no larger moves its pixel less.
    """
    checks.same_shape(
        image=image, d_image=d_image, first_moment=first_moment, second_moment=second_moment
    )
    checks.is_step(step)
    for here, g, m, v in blocks.of(image, d_image, first_moment, second_moment):
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * (g * g)
        mean = m / (1 - beta1**step)
        mean_square = v / (1 - beta2**step)
        here -= step_size * mean / (np.sqrt(mean_square) + epsilon)
    return image


def cosine_transform(image: np.ndarray) -> np.ndarray:
    """Return the cosine transform of an image: how much there is of each frequency, (C, H, W).

    ``spectrum[k, i, j] = sum image[c, r, q] u_k(c, C) u_i(r, H) u_j(q, W)`` over channels, rows
    and columns, with ``u_i(r, H) = sqrt(2 / H) cos(pi i (2 r + 1) / (2 H))``, and for i = 0
    ``sqrt(1 / H)``: DCT-II, orthonormal.  It keeps ``dot``, and ``inverse_cosine_transform`` turns
    it back.  Frequencies grow along rows and columns from the mean at (0, 0).  Across red, green
    and blue they are grey, red against blue, and green against both.
    """
    checks.has_rank(3, image=image)
    spectrum: np.ndarray = _scipy_fft().dctn(image, norm="ortho", workers=machine.cpus())
    return spectrum


def inverse_cosine_transform(spectrum: np.ndarray) -> np.ndarray:
    """Return the image (C, H, W) whose ``cosine_transform`` is ``spectrum``."""
    checks.has_rank(3, spectrum=spectrum)
    image: np.ndarray = _scipy_fft().idctn(spectrum, norm="ortho", workers=machine.cpus())
    return image


@cache
def _scipy_fft() -> ModuleType:
    """Return SciPy's module, which takes a while to import, and so only where it is needed.

    On the way numpy.f2py reads SOURCE_DATE_EPOCH, and fails where it is no number.
    """
    with machine.without_variable("SOURCE_DATE_EPOCH"):
        import scipy.fft
    found: ModuleType = scipy.fft
    return found


def band_squares(spectrum: np.ndarray, bands: int) -> np.ndarray:
    """Return the sum of squares in each band of each channel: (C, bands), in float64.

    ``spectrum`` is a cosine transform; its bands are those of ``frequencies.rings``, coarse first.
    """
    checks.has_rank(3, spectrum=spectrum)
    sums = np.zeros((len(spectrum), bands))
    for band, parts in enumerate(frequencies.rings(spectrum.shape, bands)):
        for part in parts:
            rows = spectrum[part]
            for start in range(0, rows.shape[2], STRIP):
                strip = rows[:, :, start : start + STRIP]
                sums[:, band] += np.vecdot(strip, strip).sum(axis=1, dtype=np.float64)
    return sums


def scale_bands(factors: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
    """Multiply each band of each channel in place by its own of the ``factors``, (C, bands)."""
    checks.has_rank(3, spectrum=spectrum)
    channels, bands = factors.shape
    factors = factors.astype(spectrum.dtype).reshape(channels, bands, 1, 1)
    for band, parts in enumerate(frequencies.rings(spectrum.shape, bands)):
        for part in parts:
            spectrum[part] *= factors[:, band]
    return spectrum


# ---- What the kernels are made of ----------------------------------------------------


def _dot(x: np.ndarray, y: np.ndarray) -> float:
    """Return ``sum x * y``: strips of STRIP values in their own dtype, by BLAS, then in float64.

    Far faster than to convert all values first, and no float32 shows the difference.
    """
    x, y = x.reshape(-1), y.reshape(-1)
    whole = x.size - x.size % STRIP
    strips = np.vecdot(x[:whole].reshape(-1, STRIP), y[:whole].reshape(-1, STRIP))
    rest = np.vdot(x[whole:], y[whole:])
    return float(np.sum(strips, dtype=np.float64) + np.float64(rest))


def _dots(vectors: np.ndarray, x: np.ndarray) -> np.ndarray:
    products: np.ndarray = vectors @ x[0]
    return products


def _combine(coefficients: np.ndarray, y: np.ndarray, vectors: np.ndarray) -> None:
    y += coefficients @ vectors


def _standard_deviation(x: np.ndarray) -> float:
    """Return the standard deviation of ``x``, from the mean of its squares around its mean."""
    mean = sum(np.sum(here, dtype=np.float64) for (here,) in blocks.of(x)) / x.size
    squares = 0.0
    for (here,) in blocks.of(x):
        deviation = np.subtract(here, mean, dtype=np.float64)
        squares += _dot(deviation, deviation)
    return float(np.sqrt(squares / x.size))


def _output(out: np.ndarray | None, like: np.ndarray, add: bool = False) -> np.ndarray:
    """Return ``out``, checked, or a new array."""
    checks.is_output(out, like, add)
    return np.empty_like(like, order="C") if out is None else out


def _zeroed(out: np.ndarray | None, like: np.ndarray, add: bool) -> np.ndarray:
    """Return ``out``, or a new array, to add to: set to zero unless ``add``."""
    checks.is_apart(out, like)
    result = _output(out, like, add)
    if not add:
        result.fill(0)
    return result


def _flat(features: np.ndarray) -> np.ndarray:
    """Return the features as a matrix: a row for each channel, a column for each pixel."""
    return features.reshape(len(features), -1)


def _weighed_times_transpose(flat: np.ndarray, root: np.ndarray) -> np.ndarray:
    weighed = flat * root
    products: np.ndarray = weighed @ weighed.T
    return products


def _moments(flat: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the products, and as a last column the totals, of a block of pixels.

    With c the block's means, d = f - c the deviations, and n the sum of the mask,
    ``sum w f f' = sum w d d' + t c' + c t' + n c c'`` where ``t = sum w d``.
    """
    means = np.mean(flat, axis=1, keepdims=True)
    deviations = flat - means
    weighed = deviations * np.sqrt(mask)
    c = means.astype(np.float64)
    t = np.sum(deviations * mask, axis=1, keepdims=True, dtype=np.float64)
    n = np.sum(mask, dtype=np.float64)
    products = weighed @ weighed.T + t @ c.T + c @ t.T + n * (c @ c.T)
    return np.hstack([products, t + n * c])


def _write_product(
    both: np.ndarray,
    add: bool,
    d_flat: np.ndarray,
    flat: np.ndarray,
    mask: np.ndarray | float = 1.0,
    offset: np.ndarray | float = 0.0,
) -> None:
    """Write ``mask * (both @ flat + offset)`` into ``d_flat``, or add it."""
    product = np.matmul(both, flat, out=None if add else d_flat)
    if np.ndim(offset):
        product += offset
    if np.ndim(mask):
        product *= mask
    if add:
        d_flat += product


def _steps(image: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield the steps between neighbours, band by band of rows, each in the cache.

    That is ``(top, right, below)``: the band's first row, and the steps from its pixels to the
    right (C, rows, W - 1) and to the row below (C, rows, W), of which the last row has none.
    """
    channels, height, width = image.shape
    rows = max(1, blocks.ELEMENTS // (channels * width))
    for top in range(0, height, rows):
        here, following = image[:, top : top + rows], image[:, top + 1 : top + 1 + rows]
        below = following - here[:, : following.shape[1]]
        yield top, here[:, :, 1:] - here[:, :, :-1], below


def _inner_steps(image: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield `_steps`, without those from the last row and from the last column."""
    for top, right, below in _steps(image):
        yield top, right[:, : below.shape[1]], below[:, :, :-1]


def _diagonal_steps(padded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps down to the right and down to the left, each (C, rows - 1, columns - 1)."""
    falling = padded[:, 1:, 1:] - padded[:, :-1, :-1]
    rising = padded[:, 1:, :-1] - padded[:, :-1, 1:]
    return falling, rising


def _laplacian(grey: np.ndarray) -> np.ndarray:
    """Return the Laplacian (H, W) of one channel (H, W)."""
    around = np.pad(grey, 1, "edge")
    rows = around[:-2, 1:-1] + around[2:, 1:-1]
    columns = around[1:-1, :-2] + around[1:-1, 2:]
    found: np.ndarray = 4 * grey - rows - columns
    return found


def _factors(
    power: int, d_loss: float | np.ndarray, divisors: tuple[int, int], image: np.ndarray
) -> list[np.floating]:
    """Return what turns a step to the right, and one below, into its pull on its ends."""
    return [image.dtype.type(power * d_loss / divisor) for divisor in divisors]


def _pull_on_both_ends(
    right: np.ndarray, below: np.ndarray, d_image: np.ndarray, top: int
) -> None:
    """Add each step's pull to the pixel it leads to, and take it from where it starts."""
    from_here = d_image[:, top : top + right.shape[1]]
    from_here[:, :, 1:] += right
    from_here[:, :, :-1] -= right
    from_above = d_image[:, top : top + 1 + below.shape[1], : below.shape[2]]
    from_above[:, :-1] -= below
    from_above[:, 1:] += below
