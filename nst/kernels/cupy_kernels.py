"""The CuPy twins of ``numpy_kernels``: same names, same signatures, on the GPU.

Read ``numpy_kernels`` for what each function means and ``kernels.cu`` for how a
GPU thread does it.  Here is only the glue: allocate, launch, return.
"""

import re
from pathlib import Path
from typing import Any, Literal

import cupy as cp
import numpy as np

from nst.kernels import checks

GRAM_KERNEL: Literal["cublas", "tiled"] = "cublas"  # cuBLAS' product, or kernels.cu's
GRAM_TILE, GRAM_STRIP = 64, 256  # TILE and STRIP of kernels.cu
GRAM_BLOCKS = 512  # enough to fill a GPU
NEAREST_BLOCKS = 512  # enough to fill a GPU
BAND_SLICES = 16  # blocks that share a band of a channel: the highest is half of it
BLOCK = 256  # threads per block; the Gram kernel needs exactly these
MAX_BLOCKS = 1024  # grid-stride loops cover the rest

SOURCES = [Path(__file__).with_name(name) for name in ("kernels.cu", "neighbours.cu")]
SOURCE = "".join(source.read_text(encoding="utf-8") for source in SOURCES)
_module = cp.RawModule(code=SOURCE, options=("--std=c++17",))  # compiled on first launch
_PARAMETERS = {  # of each kernel: [["float*", "d_x"], ["const", "float*", "x"], ...]
    name: [parameter.split() for parameter in parameters.split(",")]
    for name, parameters in re.findall(r"__global__ void (\w+)\(([^)]*)\)", SOURCE)
}


def gram(
    features: cp.ndarray, divisor: float | None = None, mask: cp.ndarray | None = None
) -> cp.ndarray:
    checks.has_rank(3, features=features)
    checks.is_map_of(features, mask)
    _is_float32("gram", features=features)
    divisor = checks.divisor_or_pixels(divisor, features)
    flat = _flat(features)
    if mask is not None:
        flat = flat * cp.sqrt(_row(mask))
    if GRAM_KERNEL == "tiled":
        return _gram_tiled(flat, divisor)
    products = flat @ flat.T
    return products if divisor == 1 else products / divisor


def gram_backward(
    d_gram: cp.ndarray,
    features: cp.ndarray,
    divisor: float | None = None,
    mask: cp.ndarray | None = None,
    out: cp.ndarray | None = None,
    add: bool = False,
) -> cp.ndarray:
    checks.is_gram_of(features, d_gram)
    checks.is_map_of(features, mask)
    _is_float32("gram_backward", d_gram=d_gram, features=features)
    divisor = checks.divisor_or_pixels(divisor, features)
    both = d_gram + d_gram.T
    both = both if divisor == 1 else both / divisor
    return _product(both, features, 0.0, mask, _output(out, features, add), add)


def moments(features: cp.ndarray, mask: cp.ndarray | None = None) -> cp.ndarray:
    """Compute the NumPy twin's formula; where that has a block of pixels, the whole layer."""
    checks.has_rank(3, features=features)
    checks.is_map_of(features, mask)
    _is_float32("moments", features=features)
    flat = _flat(features)
    row = cp.ones((1, flat.shape[1]), cp.float32) if mask is None else _row(mask)
    means = cp.mean(flat, axis=1, keepdims=True)
    deviations = flat - means
    weighed = deviations * cp.sqrt(row)
    c = means.astype(cp.float64)
    t = cp.sum(deviations * row, axis=1, keepdims=True, dtype=cp.float64)
    n = cp.sum(row, dtype=cp.float64)
    products = weighed @ weighed.T + t @ c.T + c @ t.T + n * (c @ c.T)
    return cp.hstack([products, t + n * c])


def moments_backward(
    d_moments: cp.ndarray,
    features: cp.ndarray,
    mask: cp.ndarray | None = None,
    out: cp.ndarray | None = None,
    add: bool = False,
) -> cp.ndarray:
    checks.is_moments_of(features, d_moments)
    checks.is_map_of(features, mask)
    _is_float32("moments_backward", d_moments=d_moments, features=features)
    d_products, d_totals = d_moments[:, :-1], d_moments[:, -1:]
    both = d_products + d_products.T
    return _product(both, features, d_totals, mask, _output(out, features, add), add)


def symmetric_power(matrix: cp.ndarray, exponent: float, smallest: float = 0.0) -> cp.ndarray:
    checks.is_square(matrix)
    values, vectors = cp.linalg.eigh(matrix)
    return (vectors * cp.maximum(values, smallest) ** exponent) @ vectors.T


def newton_schulz(matrix: cp.ndarray, steps: int) -> tuple[cp.ndarray, cp.ndarray]:
    checks.is_square(matrix)
    values, vectors = cp.linalg.eigh(matrix)
    values = values.astype(cp.float64, copy=False)
    roots, d_values = cp.empty_like(values), cp.empty_like(values)
    sizes = values.size, steps
    _launch("newton_schulz", 1, roots, d_values, cp.empty((), cp.float64), values, *sizes)
    found = (values.astype(vectors.dtype, copy=False) for values in (roots, d_values))
    root, d_matrix = ((vectors * each) @ vectors.T for each in found)
    return root, d_matrix


def mse(x: cp.ndarray, target: cp.ndarray) -> cp.ndarray:
    checks.same_shape(x=x, target=target)
    return _sum("mse", x.size, x, target, x.size, divisor=x.size)


def mse_backward(
    x: cp.ndarray,
    target: cp.ndarray,
    d_loss: float | cp.ndarray = 1.0,
    out: cp.ndarray | None = None,
) -> cp.ndarray:
    checks.same_shape(x=x, target=target)
    checks.is_scalar(d_loss=d_loss)
    d_x = _output(out, x)
    _launch("mse_backward", _blocks(x.size), d_x, x, target, *_factor(d_loss), x.size)
    return d_x


def masked_mse(x: cp.ndarray, target: cp.ndarray, mask: cp.ndarray) -> cp.ndarray:
    checks.has_rank(3, x=x)
    checks.same_shape(x=x, target=target)
    checks.is_map_of(x, mask)
    return _sum("masked_mse", mask.size, x, target, mask, len(x), mask.size, divisor=x.size)


def masked_mse_backward(
    x: cp.ndarray,
    target: cp.ndarray,
    mask: cp.ndarray,
    d_loss: float | cp.ndarray = 1.0,
    out: cp.ndarray | None = None,
    add: bool = False,
) -> cp.ndarray:
    checks.has_rank(3, x=x)
    checks.same_shape(x=x, target=target)
    checks.is_map_of(x, mask)
    checks.is_scalar(d_loss=d_loss)
    d_x = _output(out, x, add)
    name, sizes = "masked_mse_backward", (len(x), mask.size)
    _launch(name, _blocks(mask.size), d_x, x, target, mask, *_factor(d_loss), *sizes, add)
    return d_x


def total_variation_l1(image: cp.ndarray, reduction: str = "sum") -> cp.ndarray:
    return _total_variation("total_variation_l1", image, reduction)


def total_variation_l1_backward(
    image: cp.ndarray,
    reduction: str = "sum",
    d_loss: float | cp.ndarray = 1.0,
    out: cp.ndarray | None = None,
    add: bool = False,
) -> cp.ndarray:
    name = "total_variation_l1_backward"
    return _total_variation_backward(name, image, reduction, d_loss, out, add)


def total_variation_l2(image: cp.ndarray, reduction: str = "sum") -> cp.ndarray:
    return _total_variation("total_variation_l2", image, reduction)


def total_variation_l2_backward(
    image: cp.ndarray,
    reduction: str = "sum",
    d_loss: float | cp.ndarray = 1.0,
    out: cp.ndarray | None = None,
    add: bool = False,
) -> cp.ndarray:
    name = "total_variation_l2_backward"
    return _total_variation_backward(name, image, reduction, d_loss, out, add)


def total_variation_johnson(image: cp.ndarray, reduction: str = "sum") -> cp.ndarray:
    return _total_variation("total_variation_johnson", image, reduction)


def total_variation_johnson_backward(
    image: cp.ndarray,
    reduction: str = "sum",
    d_loss: float | cp.ndarray = 1.0,
    out: cp.ndarray | None = None,
    add: bool = False,
) -> cp.ndarray:
    name = "total_variation_johnson_backward"
    return _total_variation_backward(name, image, reduction, d_loss, out, add)


def total_variation_crowson(image: cp.ndarray, reduction: str = "mean") -> cp.ndarray:
    checks.is_mean(reduction)
    _is_float32("total_variation_crowson", image=image)
    straight = _total_variation("total_variation_l2", image, "mean").astype(cp.float64) * 2 / 3
    channels, height, width = image.shape
    corner_lines = channels * (height + 1)
    arguments = image, corner_lines, height, width
    diagonal = _sum("total_variation_crowson", image.size, *arguments, exact=True)
    return cp.asarray(straight + diagonal, cp.float32)


def total_variation_crowson_backward(
    image: cp.ndarray,
    reduction: str = "mean",
    d_loss: float | cp.ndarray = 1.0,
    out: cp.ndarray | None = None,
    add: bool = False,
) -> cp.ndarray:
    checks.is_mean(reduction)
    _is_float32("total_variation_crowson_backward", image=image)
    d_image = total_variation_l2_backward(image, "mean", d_loss * 2 / 3, out, add)
    channels, height, width = image.shape
    sizes = channels * height, height, width, channels * (height + 1) * (width + 1)
    arguments = d_image, image, *_factor(d_loss), *sizes
    _launch("total_variation_crowson_backward", _blocks(image.size), *arguments)
    return d_image


def laplacian(image: cp.ndarray) -> cp.ndarray:
    checks.has_rank(3, image=image)
    found = cp.empty(image.shape[1:], cp.float32)
    _launch("laplacian", _blocks(found.size), found, image, *image.shape)
    return found


def laplacian_backward(
    d_laplacian: cp.ndarray,
    image: cp.ndarray,
    out: cp.ndarray | None = None,
    add: bool = False,
) -> cp.ndarray:
    checks.is_laplacian_of(image, d_laplacian)
    d_image = _output(out, image, add)
    arguments = d_image, d_laplacian, *image.shape, add
    _launch("laplacian_backward", _blocks(d_laplacian.size), *arguments)
    return d_image


def reflect(image: cp.ndarray, margin: int) -> cp.ndarray:
    checks.has_rank(3, image=image)
    channels, height, width = image.shape
    checks.is_margin_of(height, width, margin)
    reflected = cp.empty((channels, height + 2 * margin, width + 2 * margin), cp.float32)
    sizes = channels * (height + 2 * margin), height, width, margin
    _launch("reflect", _blocks(reflected.size), reflected, image, *sizes)
    return reflected


def reflect_backward(d_reflected: cp.ndarray, margin: int) -> cp.ndarray:
    checks.has_rank(3, d_reflected=d_reflected)
    channels, height, width = d_reflected.shape
    height, width = height - 2 * margin, width - 2 * margin
    checks.is_margin_of(height, width, margin)
    d_image = cp.empty((channels, height, width), cp.float32)
    sizes = channels * height, height, width, margin
    _launch("reflect_backward", _blocks(d_image.size), d_image, d_reflected, *sizes)
    return d_image


def luminance(image: cp.ndarray) -> cp.ndarray:
    checks.is_rgb(image)
    luma = cp.empty(image.shape[1:], cp.float32)
    _launch("luminance", _blocks(luma.size), luma, image, luma.size)
    return luma


def dot(x: cp.ndarray, y: cp.ndarray) -> cp.ndarray:
    checks.same_shape(x=x, y=y)
    return _sum("dot", x.size, x, y, x.size)


def dots(vectors: cp.ndarray, x: cp.ndarray) -> cp.ndarray:
    """Return the NumPy twin's products; but float64 adds up all of each."""
    checks.are_alike(vectors, x)
    count, blocks = len(vectors), _blocks(x.size)
    products, partials = cp.empty(count, cp.float64), cp.empty((count, blocks), cp.float64)
    _launch("dots_partials", blocks, partials, vectors, x, count, x.size)
    _launch("dots", count, products, partials, blocks)
    return products


def combine(coefficients: cp.ndarray, vectors: cp.ndarray, y: cp.ndarray) -> cp.ndarray:
    checks.are_coefficients_of(coefficients, vectors)
    checks.are_alike(vectors, y)
    factors = coefficients.astype(cp.float32, copy=False)
    _launch("combine", _blocks(y.size), y, factors, vectors, len(vectors), y.size)
    return y


def substitute_back(upper: cp.ndarray, known: cp.ndarray, transposed: bool = False) -> cp.ndarray:
    checks.is_square(upper)
    checks.is_side_of(upper, known)
    x = cp.empty(len(known), cp.float64)
    matrix, side = (cp.ascontiguousarray(a, cp.float64) for a in (upper, known))
    _launch("substitute_back", 1, x, matrix, side, len(known), transposed)
    return x


def axpy(scale: float | cp.ndarray, x: cp.ndarray, y: cp.ndarray) -> cp.ndarray:
    checks.is_scalar(scale=scale)
    checks.same_shape(x=x, y=y)
    _launch("axpy", _blocks(x.size), y, *_factor(scale), x, x.size)
    return y


def scale(factor: float | cp.ndarray, x: cp.ndarray) -> cp.ndarray:
    checks.is_scalar(factor=factor)
    checks.same_shape(x=x)
    _launch("scale", _blocks(x.size), x, *_factor(factor), x.size)
    return x


def clip(image: cp.ndarray, low: float, high: float) -> cp.ndarray:
    checks.is_range(low, high)
    checks.same_shape(image=image)
    _launch("clip", _blocks(image.size), image, low, high, image.size)
    return image


def normalised_descent_step(
    image: cp.ndarray, d_image: cp.ndarray, step_size: float, epsilon: float = 1e-8
) -> cp.ndarray:
    checks.same_shape(image=image, d_image=d_image)
    n = image.size
    mean = _sum("normalised_descent_step_sum", n, d_image, n, divisor=n, exact=True)
    arguments = d_image, mean, n
    variance = _sum("normalised_descent_step_squares", n, *arguments, divisor=n, exact=True)
    arrays, numbers = (image, d_image, variance), (step_size, epsilon)
    _launch("normalised_descent_step", _blocks(n), *arrays, *numbers, n)
    return image


def adam_step(
    image: cp.ndarray,
    d_image: cp.ndarray,
    first_moment: cp.ndarray,
    second_moment: cp.ndarray,
    step: int,
    step_size: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> cp.ndarray:
    checks.same_shape(
        image=image, d_image=d_image, first_moment=first_moment, second_moment=second_moment
    )
    checks.is_step(step)
    arrays = image, first_moment, second_moment, d_image
    numbers = step_size, beta1, beta2, epsilon, 1 - beta1**step, 1 - beta2**step
    _launch("adam_step", _blocks(image.size), *arrays, *numbers, image.size)
    return image


def cosine_transform(image: cp.ndarray) -> cp.ndarray:
    from cupyx.scipy.fft import dctn

    checks.has_rank(3, image=image)
    _is_float32("cosine_transform", image=image)
    return cp.ascontiguousarray(dctn(image, norm="ortho"))


def inverse_cosine_transform(spectrum: cp.ndarray) -> cp.ndarray:
    from cupyx.scipy.fft import idctn

    checks.has_rank(3, spectrum=spectrum)
    _is_float32("inverse_cosine_transform", spectrum=spectrum)
    return cp.ascontiguousarray(idctn(spectrum, norm="ortho"))


def band_squares(spectrum: cp.ndarray, bands: int) -> cp.ndarray:
    checks.has_rank(3, spectrum=spectrum)
    channels, height, width = spectrum.shape
    partials = cp.empty((channels, bands, BAND_SLICES), cp.float64)
    sizes = height, width, bands, BAND_SLICES
    _launch("band_squares", partials.size, partials, spectrum, *sizes)
    return partials.sum(axis=2)


def scale_bands(factors: cp.ndarray, spectrum: cp.ndarray) -> cp.ndarray:
    checks.has_rank(3, spectrum=spectrum)
    _, height, width = spectrum.shape
    factors = cp.ascontiguousarray(factors, cp.float64)
    sizes = height, width, factors.shape[1], BAND_SLICES
    _launch("scale_bands", factors.size * BAND_SLICES, spectrum, factors, *sizes)
    return spectrum


# ---- Nearest features: see numpy_neighbours ------------------------------------------


def block_mean(
    features: cp.ndarray, side: int, factor: float = 1.0, out: cp.ndarray | None = None
) -> cp.ndarray:
    means = _new_output(out, features, checks.blocks_of(features, side))
    channels, height, width = means.shape
    sizes = channels * height, height, width, *features.shape[1:], side
    _launch("block_mean", _blocks(means.size), means, features, factor, *sizes)
    return means


def block_mean_backward(
    d_means: cp.ndarray,
    features: cp.ndarray,
    side: int,
    factor: float = 1.0,
    out: cp.ndarray | None = None,
    add: bool = False,
) -> cp.ndarray:
    checks.is_reduced(d_means, features, checks.blocks_of(features, side))
    d_features = _output(out, features, add)
    lines = len(features) * features.shape[1]
    sizes = lines, *d_means.shape[1:], *features.shape[1:], side, add
    arrays = d_features, d_means
    _launch("block_mean_backward", _blocks(features.size), *arrays, factor, *sizes)
    return d_features


def resize(
    features: cp.ndarray,
    height: int,
    width: int,
    grid: str = "centres",
    factor: float = 1.0,
    out: cp.ndarray | None = None,
) -> cp.ndarray:
    checks.has_rank(3, features=features)
    resized = _new_output(out, features, (len(features), height, width))
    numbers = factor, *_both_axes(features, height, width, grid)
    sizes = len(features) * height, height, width, *features.shape[1:]
    _launch("resize", _blocks(resized.size), resized, features, *numbers, *sizes)
    return resized


def resize_backward(
    d_resized: cp.ndarray,
    features: cp.ndarray,
    grid: str = "centres",
    factor: float = 1.0,
    out: cp.ndarray | None = None,
    add: bool = False,
) -> cp.ndarray:
    checks.has_rank(3, d_resized=d_resized, features=features)
    _, height, width = d_resized.shape
    checks.is_reduced(d_resized, features, (len(features), height, width))
    d_features = _output(out, features, add)
    numbers = factor, *_both_axes(features, height, width, grid)
    sizes = len(features) * features.shape[1], height, width, *features.shape[1:], add
    _launch("resize_backward", _blocks(features.size), d_features, d_resized, *numbers, *sizes)
    return d_features


def unit_vectors(vectors: cp.ndarray) -> cp.ndarray:
    checks.has_rank(2, vectors=vectors)
    units = cp.empty_like(vectors, order="C")
    _launch("unit_vectors", _blocks(vectors.shape[1]), units, vectors, *vectors.shape)
    return units


def nearest(queries: cp.ndarray, vectors: cp.ndarray) -> tuple[cp.ndarray, cp.ndarray]:
    """See the NumPy twin, whose products exist here in the registers of the threads alone."""
    checks.are_vectors_of_one_space(queries, vectors)
    (channels, count), others = queries.shape, vectors.shape[1]
    tiles = -(-count // GRAM_TILE)
    squares = -(-others // GRAM_TILE)
    slices = max(1, min(squares, NEAREST_BLOCKS // tiles))
    partials = cp.empty((slices, count), cp.float32)
    places = cp.empty((slices, count), cp.int32)
    products, index = cp.empty(count, cp.float32), cp.empty(count, cp.int32)
    sizes = channels, count, others, slices
    _launch("nearest_partials", slices * tiles, partials, places, queries, vectors, *sizes)
    _launch("nearest", _blocks(count), products, index, partials, places, count, slices)
    return index, products


def cosine_distance(
    features: cp.ndarray, target: cp.ndarray, mask: cp.ndarray | None = None
) -> cp.ndarray:
    checks.same_shape(features=features, target=target)
    checks.is_map_of(features, mask)
    positions = features[0].size
    return _sum("cosine_distance", positions, features, target, mask, len(features), positions)


def cosine_distance_backward(
    features: cp.ndarray,
    target: cp.ndarray,
    mask: cp.ndarray | None = None,
    d_loss: float | cp.ndarray = 1.0,
    out: cp.ndarray | None = None,
    add: bool = False,
) -> cp.ndarray:
    checks.same_shape(features=features, target=target)
    checks.is_map_of(features, mask)
    checks.is_scalar(d_loss=d_loss)
    d_features = _output(out, features, add)
    positions = features[0].size
    arrays, sizes = (features, target, mask), (len(features), positions, add)
    name = "cosine_distance_backward"
    _launch(name, _blocks(positions), d_features, *arrays, *_factor(d_loss), *sizes)
    return d_features


def map_channels(
    features: cp.ndarray,
    matrix: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    out: cp.ndarray | None = None,
) -> cp.ndarray:
    checks.is_map_of_channels(features, matrix, before, after)
    mapped = _new_output(out, features, (len(matrix), *features.shape[1:]))
    hosts = (np.ascontiguousarray(a, np.float32) for a in (matrix, before, after))
    numbers = map(cp.asarray, hosts)
    positions = features[0].size
    sizes = len(features), len(matrix), positions
    _launch("map_channels", _blocks(positions), mapped, features, *numbers, *sizes)
    return mapped


# ---- What launches them --------------------------------------------------------------


def _new_output(out: cp.ndarray | None, like: cp.ndarray, shape: tuple[int, ...]) -> cp.ndarray:
    """Return ``out``, checked, or a new array of this shape."""
    checks.is_new_output(out, like, shape)
    return cp.empty(shape, cp.float32) if out is None else out


def _both_axes(features: cp.ndarray, height: int, width: int, grid: str) -> tuple[float, ...]:
    """Return how far apart the points of the rows are, and the first; likewise of the columns."""
    _, full_height, full_width = features.shape
    rows = checks.points_of(grid, full_height, height)
    return *rows, *checks.points_of(grid, full_width, width)


def _output(out: cp.ndarray | None, like: cp.ndarray, add: bool = False) -> cp.ndarray:
    """Return ``out``, checked, or a new array."""
    checks.is_output(out, like, add)
    return cp.empty_like(like, order="C") if out is None else out


def _flat(features: cp.ndarray) -> cp.ndarray:
    return features.reshape(len(features), -1)


def _row(mask: cp.ndarray) -> cp.ndarray:
    return mask.reshape(1, -1)


def _product(
    both: cp.ndarray,
    features: cp.ndarray,
    offset: cp.ndarray | float,
    mask: cp.ndarray | None,
    out: cp.ndarray,
    add: bool,
) -> cp.ndarray:
    """Write ``mask * (both @ features + offset)`` into ``out``, or add it; return ``out``."""
    apart = add or out is features  # cuBLAS does not write over what it reads
    product = cp.matmul(both, _flat(features), out=None if apart else _flat(out))
    if not isinstance(offset, float):
        product += offset
    if mask is not None:
        product *= _row(mask)
    if add:
        out += product.reshape(out.shape)
    elif apart:
        out[...] = product.reshape(out.shape)
    return out


def _total_variation(name: str, image: cp.ndarray, reduction: str) -> cp.ndarray:
    checks.has_rank(3, image=image)
    channels, height, width = image.shape
    sizes = channels * height, height, width, *checks.step_divisors(reduction, image)
    return _sum(name, image.size, image, *sizes)


def _total_variation_backward(
    name: str,
    image: cp.ndarray,
    reduction: str,
    d_loss: float | cp.ndarray,
    out: cp.ndarray | None,
    add: bool,
) -> cp.ndarray:
    checks.has_rank(3, image=image)
    checks.is_scalar(d_loss=d_loss)
    checks.is_apart(out, image)
    d_image = _output(out, image, add)
    channels, height, width = image.shape
    sizes = channels * height, height, width, *checks.step_divisors(reduction, image)
    _launch(name, _blocks(image.size), d_image, image, *_factor(d_loss), *sizes, add)
    return d_image


def _gram_tiled(flat: cp.ndarray, divisor: float) -> cp.ndarray:
    """Return ``flat @ flat.T / divisor`` by the kernels drawn in kernels.cu."""
    channels, pixels = flat.shape
    tiles = -(-channels // GRAM_TILE)
    strips = -(-pixels // GRAM_STRIP)
    busy = tiles * (tiles + 1) // 2  # squares on and above the diagonal
    slices = max(1, min(strips, GRAM_BLOCKS // busy))
    partials = cp.empty((slices, channels, channels), cp.float64)
    _launch("gram_partials", slices * tiles * tiles, partials, flat, channels, pixels, slices)
    gram = cp.empty((channels, channels), cp.float32)
    _launch("gram", _blocks(gram.size), gram, partials, channels, slices, divisor)
    return gram


def _sum(name: str, size: int, *args: Any, divisor: float = 1, exact: bool = False) -> cp.ndarray:
    """Run the reduction kernel ``name`` over ``size`` elements; return its total / ``divisor``.

    A 0-d array: float32, or where it must be ``exact`` float64.
    """
    partials = cp.empty(_blocks(size), cp.float64)
    _launch(name, _blocks(size), partials, *args)
    total = cp.empty((), cp.float64 if exact else cp.float32)
    add_up = "add_up_exactly" if exact else "add_up"
    _launch(add_up, 1, total, partials, partials.size, divisor)
    return total


def _factor(value: float | cp.ndarray) -> tuple[cp.ndarray | None, float]:
    """Return ``value`` as a kernel takes it: what the GPU computed, or no pointer; and a number.

    So that nothing that the CPU knows has to be copied to the GPU first.
    """
    if isinstance(value, cp.ndarray):
        return value.astype(cp.float64, copy=False), 1.0
    return None, float(value)


def _blocks(size: int) -> int:
    return min(MAX_BLOCKS, -(-size // BLOCK))


def _launch(name: str, blocks: int, *args: Any) -> None:
    """Run kernel ``name``, its arguments checked against its parameters in kernels.cu.

    CuPy checks nothing here: float64 would be read as float32, a transposed view as if
    it were not, and the int 1 passed for a double as 4.9e-324.
    """
    parameters = _PARAMETERS[name]
    checked = [
        _argument(name, parameter, value)
        for parameter, value in zip(parameters, args, strict=True)
    ]
    _run(name, blocks, checked)


def _run(name: str, blocks: int, args: list[Any]) -> None:
    _module.get_function(name)((blocks,), (BLOCK,), tuple(args))


def _argument(kernel: str, parameter: list[str], value: Any) -> Any:
    """Return ``value`` as ``kernel`` takes its parameter ["const", "float*", "x"], or raise."""
    *_, c_type, name = parameter
    if c_type == "float*" and (value is not None or name != "mask"):
        _is_float32(kernel, **{name: value})
        return value
    if c_type.endswith("*"):  # made in this file, never by the caller, or no mask
        return 0 if value is None else value  # CuPy passes 0 as eight bytes: no pointer
    return {"long": int, "double": float}[c_type](value)


def _is_float32(function: str, **arrays: cp.ndarray) -> None:
    """Raise unless each named array is C-contiguous float32, all that kernels.cu reads."""
    for name, a in arrays.items():
        if a.dtype != cp.float32:
            raise TypeError(
                f"{function}: {name} must be float32 on the GPU, got {a.dtype}; "
                "place arrays with Device.asarray()"
            )
        if not a.flags.c_contiguous:
            raise ValueError(
                f"{function}: {name} of shape {a.shape} is not C-contiguous; "
                "copy it with cupy.ascontiguousarray()"
            )
