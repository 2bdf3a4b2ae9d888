"""Reference kernels of nearest features, in NumPy: further ones of `numpy_kernels`.

A *hypercolumn* stacks what several layers see at one place, so layers are brought to one grid:
shallow ones by means of blocks, deep ones by bilinear enlargement.  Then each position of one
picture finds the position of another whose features point in the most similar direction, and the
painted image is pulled towards these.

The package's docstring states the shapes and the contract; DERIVATIONS.md derives each backward
formula.  Vectors stand in columns: (C, N) are N positions of C channels.
"""

from functools import cache, partial

import numpy as np

from nst.kernels import blocks, checks

STRIP = 256  # channels that are added up in the arrays' dtype before float64 takes over
TINY_SQUARE = 1e-8  # of a vector's length: a shorter one is as long as this
BAND = 64  # samples along a side whose matrix is multiplied at once
MATCHED_ELEMENTS = 1 << 22  # products of vectors that exist at once, for each core


def block_mean(
    features: np.ndarray, side: int, factor: float = 1.0, out: np.ndarray | None = None
) -> np.ndarray:
    """Return ``factor`` times the mean of each block of ``side`` x ``side`` pixels.

    (C, H // side, W // side), of ``features`` (C, H, W): a remainder at the end has no block.
    With a side of 1 that is ``factor * features``.
    """
    means = _output(out, features, checks.blocks_of(features, side))
    blocks.by_channels(partial(_block_mean, side, factor), means, features)
    return means


def block_mean_backward(
    d_means: np.ndarray,
    features: np.ndarray,
    side: int,
    factor: float = 1.0,
    out: np.ndarray | None = None,
    add: bool = False,
) -> np.ndarray:
    """Return dL/dfeatures (C, H, W): each pixel gets ``factor / side**2`` of its block's pull.

    A pixel without a block gets none.  Of ``features`` only the shape is read.
    """
    checks.is_reduced(d_means, features, checks.blocks_of(features, side))
    d_features = _pulled(out, features, add)
    blocks.by_channels(partial(_block_mean_backward, side, factor), d_features, d_means)
    return d_features


def resize(
    features: np.ndarray,
    height: int,
    width: int,
    grid: str = "centres",
    factor: float = 1.0,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return ``factor`` times ``features`` (C, H, W), interpolated bilinearly at a grid of points.

    ``resized = R F C'`` with R (height, H) and C (width, W), each row of which has at most two
    numbers that are not zero: 1 - t and t at the neighbours of its point.  Point r lies, in
    pixels of ``features``, and no further out than their centres,

        "corners"   at r * (H - 1) / (height - 1): the outermost points are the outermost pixels
        "centres"   at (r + 1/2) * H / height - 1/2: both pictures cover the same area
        "doubled"   at (r + 1/2) / 2 - 1/2: twice as fine, for height = 2 H or 2 H + 1

    The first two are what PyTorch's interpolate does with and without ``align_corners``.  Only
    the last is the same in every tile of a picture.
    """
    checks.has_rank(3, features=features)
    resized = _output(out, features, (len(features), height, width))
    rows, columns = _both_axes(features, height, width, grid)
    blocks.by_channels(partial(_resize, rows, columns, factor), resized, features)
    return resized


def resize_backward(
    d_resized: np.ndarray,
    features: np.ndarray,
    grid: str = "centres",
    factor: float = 1.0,
    out: np.ndarray | None = None,
    add: bool = False,
) -> np.ndarray:
    """Return dL/dfeatures (C, H, W) = ``factor * R' d_resized C``: the matrices transposed.

    Of ``features`` only the shape is read.
    """
    checks.has_rank(3, d_resized=d_resized, features=features)
    checks.is_reduced(d_resized, features, (len(features), *d_resized.shape[1:]))
    d_features = _pulled(out, features, add)
    _, height, width = d_resized.shape
    rows, columns = _both_axes(features, height, width, grid)
    transposed = partial(_resize_backward, rows, columns, factor)
    blocks.by_channels(transposed, d_features, d_resized)
    return d_features


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Return each column of ``vectors`` (C, N) divided by its length: a direction.

    One shorter than 1e-4 is divided by that.
    """
    checks.has_rank(2, vectors=vectors)
    units = np.empty_like(vectors, order="C")
    blocks.write(_unit_vectors, units, vectors)
    return units


def nearest(queries: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each column of ``queries`` which column of ``vectors`` is nearest, and how near.

    ``index[n] = argmax_m <queries[:, n], vectors[:, m]>``, and that product; of several alike the
    first.  With unit vectors the product is the length of the query times their cosine.  Never
    more than a block of the (N, M) products exists.

    Parameters
    ----------
    queries : (C, N) float array
        In columns.
    vectors : (C, M) float array
        In columns.

    Returns
    -------
    index : (N,) int32 array
    products : (N,) float array
    """
    checks.are_vectors_of_one_space(queries, vectors)
    index = np.empty((1, queries.shape[1]), np.int32)
    products = np.empty((1, queries.shape[1]), queries.dtype)
    rows = max(1, MATCHED_ELEMENTS // vectors.shape[1])
    blocks.write_columns(partial(_nearest, vectors), rows, index, products, queries)
    return index[0], products[0]


def cosine_distance(
    features: np.ndarray, target: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """Return ``sum_p mask[p] * (1 - <features_p, target_p> / |features_p|)`` as a 0-d array.

    Parameters
    ----------
    features : (C, H, W) float array
        A vector at each position p.
    target : (C, H, W) float array
        Unit vectors, so that the fraction is the cosine of the angle between the two; it is 0
        where a target is the zero vector.
    mask : (H, W) float array, optional
        How much each position counts; 1 if not given.
    """
    checks.same_shape(features=features, target=target)
    checks.is_map_of(features, mask)
    total = 0.0
    for f, t, w in _position_blocks(features, target, mask):
        cosine, _ = _cosine(f, t)
        total += np.sum(w * (1 - cosine), dtype=np.float64)
    return np.asarray(total, features.dtype)


def cosine_distance_backward(
    features: np.ndarray,
    target: np.ndarray,
    mask: np.ndarray | None = None,
    d_loss: float | np.ndarray = 1.0,
    out: np.ndarray | None = None,
    add: bool = False,
) -> np.ndarray:
    """Return dL/dfeatures (C, H, W): each vector is turned towards its target.

    ``d_features_p = d_loss * mask[p] * (cosine_p features_p / |features_p| - target_p)
    / |features_p|``; where a vector is shorter than 1e-4, the first term is missing.
    """
    checks.same_shape(features=features, target=target)
    checks.is_map_of(features, mask)
    checks.is_scalar(d_loss=d_loss)
    checks.is_output(out, features, add)
    d_features = np.empty_like(features, order="C") if out is None else out
    flat = d_features.reshape(len(features), -1)
    write = partial(_cosine_distance_backward, d_loss, add)
    maps = [] if mask is None else [mask.reshape(1, -1)]
    blocks.write(write, flat, *(a.reshape(flat.shape) for a in (features, target)), *maps)
    return d_features


def map_channels(
    features: np.ndarray,
    matrix: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return ``matrix @ (features_p - before) + after`` at each position p: (O, H, W).

    With ``matrix = S_target**(1/2) S**(-1/2)`` and the two means, colours of mean and covariance S
    get those of a target: the moment match.  `moments` has the sums that these are made of.

    Parameters
    ----------
    features : (C, H, W) float array
        Such as the three channels of a picture.
    matrix, before, after : (O, C), (C,) and (O,) NumPy arrays
        A few numbers, which stay on the host in either twin.
    out : (O, H, W) float array, optional
        Takes the result; not ``features``.
    """
    checks.is_map_of_channels(features, matrix, before, after)
    mapped = _output(out, features, (len(matrix), *features.shape[1:]))
    numbers = (a.astype(features.dtype) for a in (matrix, before[:, None], after[:, None]))
    flat = (a.reshape(len(a), -1) for a in (mapped, features))
    blocks.write(partial(_map_channels, *numbers), *flat)
    return mapped


# ---- What the kernels are made of ----------------------------------------------------


def _output(out: np.ndarray | None, like: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return ``out``, checked, or a new array of this shape."""
    checks.is_new_output(out, like, shape)
    return np.empty(shape, like.dtype) if out is None else out


def _pulled(out: np.ndarray | None, like: np.ndarray, add: bool) -> np.ndarray:
    """Return ``out``, checked, or a new array, to add a pull to: zero unless ``add``."""
    checks.is_output(out, like, add)
    result = np.empty_like(like, order="C") if out is None else out
    if not add:
        result.fill(0)
    return result


def _block_mean(side: int, factor: float, means: np.ndarray, features: np.ndarray) -> None:
    channels, height, width = means.shape
    used = features[:, : height * side, : width * side]
    strips = used.reshape(channels, height, side, width * side).sum(axis=2)
    total = strips[:, :, ::side].copy()
    for column in range(1, side):
        total += strips[:, :, column::side]
    np.multiply(total, means.dtype.type(factor / side**2), out=means)


def _block_mean_backward(
    side: int, factor: float, d_features: np.ndarray, d_means: np.ndarray
) -> None:
    _, height, width = d_means.shape
    share = d_means * d_means.dtype.type(factor / side**2)
    wide = share.repeat(side, axis=2)
    used = d_features[:, : height * side, : width * side]
    for row in range(side):
        used[:, row::side] += wide


def _both_axes(
    features: np.ndarray, height: int, width: int, grid: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrices R (height, H) and C (width, W) of `resize`."""
    _, rows, columns = features.shape
    return (
        _points(rows, height, grid, features.dtype.str),
        _points(columns, width, grid, features.dtype.str),
    )


@cache
def _points(length: int, count: int, grid: str, dtype: str) -> np.ndarray:
    """Return the matrix (count, length) that interpolates at ``count`` points of a line."""
    step, first = checks.points_of(grid, length, count)
    points = np.clip(first + step * np.arange(count), 0, length - 1)
    before = np.minimum(points.astype(int), length - 1)
    t = points - before
    matrix = np.zeros((count, length))
    matrix[np.arange(count), before] = 1 - t
    matrix[np.arange(count), np.minimum(before + 1, length - 1)] += t
    return matrix.astype(dtype)


def _resize(
    rows: np.ndarray,
    columns: np.ndarray,
    factor: float,
    resized: np.ndarray,
    features: np.ndarray,
) -> None:
    tall = _rows_times(rows, features)
    resized[...] = _rows_times(columns * resized.dtype.type(factor), tall.swapaxes(1, 2)).swapaxes(
        1, 2
    )


def _resize_backward(
    rows: np.ndarray,
    columns: np.ndarray,
    factor: float,
    d_features: np.ndarray,
    d_resized: np.ndarray,
) -> None:
    short = _rows_times(rows.T, d_resized)
    scaled = columns.T * d_features.dtype.type(factor)
    d_features += _rows_times(scaled, short.swapaxes(1, 2)).swapaxes(1, 2)


def _rows_times(matrix: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return ``matrix @ x[c]`` of each channel, by bands of rows: only there it is not zero."""
    found = np.empty((len(x), len(matrix), x.shape[2]), x.dtype)
    for start in range(0, len(matrix), BAND):
        band = matrix[start : start + BAND]
        used = np.flatnonzero(band.any(axis=0))
        first, last = (used[0], used[-1] + 1) if len(used) else (0, 1)
        np.matmul(band[:, first:last], x[:, first:last], out=found[:, start : start + BAND])
    return found


def _squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return ``sum_c x[c] * y[c]`` for each position, in float64."""
    total = np.zeros(x.shape[1])
    for first in range(0, len(x), STRIP):
        total += np.einsum("cn,cn->n", x[first : first + STRIP], y[first : first + STRIP])
    return total


def _lengths(x: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.sqrt(np.maximum(_squares(x, x), TINY_SQUARE))
    return lengths


def _unit_vectors(units: np.ndarray, vectors: np.ndarray) -> None:
    np.multiply(vectors, (1 / _lengths(vectors)).astype(vectors.dtype), out=units)


def _nearest(
    vectors: np.ndarray, index: np.ndarray, products: np.ndarray, queries: np.ndarray
) -> None:
    found = queries.T @ vectors
    index[0] = found.argmax(axis=1)
    products[0] = found[np.arange(len(found)), index[0]]


def _cosine(f: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cosines (N,) and the lengths of ``f``, in float64."""
    lengths = _lengths(f)
    return _squares(f, t) / lengths, lengths


def _position_blocks(
    features: np.ndarray, target: np.ndarray, mask: np.ndarray | None
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray | float]]:
    """Cut features and target into blocks of positions, with the mask of each."""
    flat = features.reshape(len(features), -1), target.reshape(len(features), -1)
    if mask is None:
        return [(f, t, 1.0) for f, t in blocks.columns(flat)]
    return [(f, t, w[0]) for f, t, w in blocks.columns((*flat, mask.reshape(1, -1)))]


def _cosine_distance_backward(
    d_loss: float | np.ndarray,
    add: bool,
    d_flat: np.ndarray,
    f: np.ndarray,
    t: np.ndarray,
    mask: np.ndarray | None = None,
) -> None:
    cosine, lengths = _cosine(f, t)
    pull = np.float64(d_loss) / lengths * (1.0 if mask is None else mask[0])
    along = np.where(lengths**2 > TINY_SQUARE, pull * cosine / lengths, 0)
    wanted = t * pull.astype(f.dtype)
    if add:
        d_flat += f * along.astype(f.dtype) - wanted
    else:
        np.multiply(f, along.astype(f.dtype), out=d_flat)
        d_flat -= wanted


def _map_channels(
    matrix: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    mapped: np.ndarray,
    flat: np.ndarray,
) -> None:
    np.matmul(matrix, flat - before, out=mapped)
    mapped += after
