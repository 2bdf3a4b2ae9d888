"""What all kernels have in common: dtypes, memory, precision, what they change and refuse."""

import inspect
import math
import statistics
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from nst import kernels
from nst.kernels import numpy_kernels as k

ARRAYS = [
    *["features", "image", "d_image", "first_moment", "second_moment", "x", "y", "target"],
    "spectrum",
]
OPTIONS = {
    "margin": 1,
    "scale": 0.5,
    "factor": 0.5,
    "low": 0.2,
    "high": 0.8,
    "step": 2,
    "step_size": 0.1,
    "bands": 4,
}
IN_PLACE = {
    "axpy": {"y"},
    "combine": {"y"},
    "scale": {"x"},
    "clip": {"image"},
    "normalised_descent_step": {"image"},
    "adam_step": {"image", "first_moment", "second_moment"},
    "scale_bands": {"spectrum"},
}
NORMS = ["l1", "l2", "johnson", "crowson"]
NUMBERS = {"mse", "masked_mse", "dot"}  # the rest return arrays
NUMBERS |= {f"total_variation_{n}" for n in NORMS}
EXACT = {"moments", "band_squares", "dots", "substitute_back"}  # in float64 whatever comes in
NAMES = [
    name
    for name, f in vars(k).items()
    if inspect.isfunction(f) and f.__module__ == k.__name__ and not name.startswith("_")
]


def arguments_of(name, rng, dtype):
    """Return an argument for each required parameter of the kernel called ``name``."""
    drawn = {array: rng.random((3, 4, 7)).astype(dtype) for array in ARRAYS}
    drawn |= {"d_gram": rng.random((3, 3)).astype(dtype)} | OPTIONS
    drawn |= {"d_moments": rng.random((3, 4)).astype(dtype)}
    drawn |= {"d_laplacian": rng.random((4, 7)).astype(dtype)}
    drawn |= {"d_reflected": rng.random((3, 4, 7)).astype(dtype)}
    drawn |= {"matrix": np.diag([0.5, 2.0, 3.0]).astype(dtype), "exponent": 0.5, "steps": 12}
    drawn |= {"vectors": rng.random((2, 3, 4, 7)).astype(dtype), "coefficients": rng.random(2)}
    drawn |= {"upper": np.triu(rng.random((3, 3)) + 1), "known": rng.random(3)}
    drawn |= {"factors": rng.random((3, 4)), "mask": rng.random((4, 7)).astype(dtype)}
    parameters = inspect.signature(getattr(k, name)).parameters.values()
    return {p.name: drawn[p.name] for p in parameters if p.default is p.empty}


LARGE = 3, 700, 701  # 1.5 million values: several blocks of every kind
WHOLE = {
    "substitute_back"
} | {  # for small matrices, for one picture, or, moments, in blocks larger than this array
    *{"luminance", "moments", "symmetric_power", "newton_schulz", "reflect", "reflect_backward"},
    *{"total_variation_crowson", "total_variation_crowson_backward"},
    *{"laplacian", "laplacian_backward"},  # of a sixteenth of a picture
    *{"cosine_transform", "inverse_cosine_transform", "band_squares"},  # by SciPy, as a whole
}


@pytest.mark.parametrize("name", sorted(set(NAMES) - WHOLE))
def test_kernels_work_through_the_cache(rng, name):
    """Given where to write, none of them allocates a quarter of what a large array takes."""
    arguments = arguments_of(name, rng, np.float32)
    for parameter, value in arguments.items():
        if np.shape(value) == (3, 4, 7):
            arguments[parameter] = rng.random(LARGE, np.float32)
        elif np.shape(value) == (2, 3, 4, 7):
            arguments[parameter] = rng.random((2, *LARGE), np.float32)
        elif np.shape(value) == (4, 7):
            arguments[parameter] = rng.random(LARGE[1:], np.float32)
    if "out" in inspect.signature(getattr(k, name)).parameters:
        arguments["out"] = np.empty(LARGE, np.float32)
    getattr(k, name)(**arguments)  # starts the threads
    tracemalloc.start()
    try:
        getattr(k, name)(**arguments)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < math.prod(LARGE) * 4 / 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_the_dtype_that_goes_in_comes_out(rng, name, dtype):
    found = getattr(k, name)(**arguments_of(name, rng, dtype))
    for result in found if isinstance(found, tuple) else (found,):
        assert isinstance(result, np.ndarray)  # a number too: 0-d, as on the GPU
        assert (result.shape == ()) == (name in NUMBERS)
        assert result.dtype == (np.float64 if name in EXACT else dtype)


@pytest.mark.parametrize("name", NAMES)
def test_only_what_is_said_to_be_in_place_changes(rng, name):
    arguments = arguments_of(name, rng, np.float32)
    before = {p: np.copy(a) for p, a in arguments.items()}
    getattr(k, name)(**arguments)
    changed = {p for p, a in arguments.items() if not np.array_equal(a, before[p])}
    assert changed == IN_PLACE.get(name, set())


@pytest.mark.parametrize(
    "name", ["mse", "masked_mse", "total_variation_l1", "total_variation_l2", "dot"]
)
def test_sums_accumulate_in_float64(name):
    """One term of 2**24 and then sixteen of 1, which float32 would drop one by one.

    Two strips lie between any two of them, and a last strip is not full.
    """
    row = np.zeros((1, 1, 33 * 256 + 5), np.float32)
    row[0, 0, 0] = 2.0**12
    row[0, 0, 512::512] = 1.0
    if name == "dot":
        assert k.dot(row, row) == 2**24 + 16
    elif name == "mse":
        assert k.mse(row, np.zeros_like(row)) == np.float32((2**24 + 16) / row.size)
    elif name == "masked_mse":
        ones = np.ones_like(row[0])
        assert k.masked_mse(row, np.zeros_like(row), ones) == np.float32((2**24 + 16) / row.size)
    elif name == "total_variation_l2":
        assert k.total_variation_l2(row) == 2**24 + 2 * 16  # up and down
    else:
        row[0, 0, 0] = 2.0**24
        assert k.total_variation_l1(row) == 2**24 + 2 * 16


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1000])
def test_dot_takes_every_strip_and_the_rest(rng, size):
    x, y = rng.standard_normal((2, size))
    expected = math.fsum(a * b for a, b in zip(x, y, strict=True))
    assert k.dot(x, y) == pytest.approx(expected, rel=1e-11, abs=1e-12)


def test_the_spread_of_a_gradient_far_from_zero_keeps_its_digits(rng):
    d_image = (1e6 + rng.standard_normal((3, 40, 50))).astype(np.float32)
    image = np.zeros_like(d_image)
    k.normalised_descent_step(image, d_image, 1.0)
    spread = statistics.pstdev(map(float, d_image.flat))
    np.testing.assert_allclose(image, -d_image / spread, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_derivations_cover_every_kernel(name):
    page = Path(kernels.__file__).with_name("DERIVATIONS.md").read_text(encoding="utf-8")
    assert f"`{name}`" in page


# ---- What is refused -----------------------------------------------------------------


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


IMAGE = zeros(3, 2, 2)
REFUSED = {
    "unequal shapes": (
        lambda: k.mse(zeros(3, 2, 2), zeros(3, 2, 3)),
        ValueError,
        r"shapes must be equal, got x \(3, 2, 2\), target \(3, 2, 3\); resize",
    ),
    "an axis too few": (
        lambda: k.gram(zeros(3, 4)),
        ValueError,
        r"features must have 3 axes, got shape \(3, 4\)",
    ),
    "integers": (
        lambda: k.total_variation_l1(zeros(3, 2, 2, dtype=np.uint8)),
        TypeError,
        r"image must be float32 or float64, got uint8; convert",
    ),
    "half precision": (
        lambda: k.mse(zeros(2, dtype=np.float16), zeros(2, dtype=np.float16)),
        TypeError,
        r"x must be float32 or float64, got float16",
    ),
    "two dtypes": (
        lambda: k.dot(zeros(2), zeros(2, dtype=np.float64)),
        TypeError,
        r"dtypes must be equal, got x float32, y float64; convert",
    ),
    "nothing": (
        lambda: k.mse(zeros(3, 0, 2), zeros(3, 0, 2)),
        ValueError,
        r"x must not be empty, got shape \(3, 0, 2\)",
    ),
    "the Gram matrix of another layer": (
        lambda: k.gram_backward(zeros(4, 4), zeros(3, 2, 2)),
        ValueError,
        r"d_gram must be \(3, 3\) for features \(3, 2, 2\), got \(4, 4\); .* layer\?",
    ),
    "a Gram matrix of another dtype": (
        lambda: k.gram_backward(zeros(3, 3, dtype=np.float64), zeros(3, 2, 2)),
        TypeError,
        r"dtypes must be equal, got d_gram float64, features float32",
    ),
    "a divisor of zero": (
        lambda: k.gram(IMAGE, 0),
        ValueError,
        r"divisor must be positive or None for H\*W, got 0",
    ),
    "mask of another layer": (
        lambda: k.gram(IMAGE, mask=zeros(2, 3)),
        ValueError,
        r"mask must be \(2, 2\) for features \(3, 2, 2\), got \(2, 3\); resize",
    ),
    "a mask of another picture": (
        lambda: k.masked_mse(IMAGE, IMAGE, zeros(2, 3)),
        ValueError,
        r"mask must be \(2, 2\) for features \(3, 2, 2\), got \(2, 3\); resize",
    ),
    "moments of another layer": (
        lambda: k.moments_backward(zeros(3, 3), IMAGE),
        ValueError,
        r"d_moments must be \(3, 4\) for features \(3, 2, 2\), got \(3, 3\); .* layer\?",
    ),
    "an output of another shape": (
        lambda: k.mse_backward(IMAGE, IMAGE, out=zeros(3, 2, 1)),
        ValueError,
        r"shapes must be equal, got out \(3, 2, 1\), like \(3, 2, 2\)",
    ),
    "a part of an array as output": (
        lambda: k.gram_backward(zeros(3, 3), IMAGE, out=zeros(3, 2, 4)[:, :, ::2]),
        ValueError,
        r"out of shape \(3, 2, 2\) is not C-contiguous; give a whole array",
    ),
    "the image as its own gradient": (
        lambda: k.total_variation_l2_backward(IMAGE, out=IMAGE),
        ValueError,
        r"out is the image that is read; give another array, or none",
    ),
    "adding to nothing": (
        lambda: k.total_variation_l1_backward(IMAGE, add=True),
        ValueError,
        r"add needs an array to add to, got out=None",
    ),
    "a loss gradient per value": (
        lambda: k.mse_backward(IMAGE, IMAGE, zeros(2)),
        ValueError,
        r"d_loss must be a number or a 0-d array, got shape \(2,\)",
    ),
    "the power of an oblong": (
        lambda: k.symmetric_power(zeros(2, 3), 0.5),
        ValueError,
        r"matrix must be square, got shape \(2, 3\)",
    ),
    "the root of an oblong": (
        lambda: k.newton_schulz(zeros(2, 3), 12),
        ValueError,
        r"matrix must be square, got shape \(2, 3\)",
    ),
    "an unknown reduction": (
        lambda: k.total_variation_l2_backward(IMAGE, "average"),
        ValueError,
        r"reduction must be 'sum', 'mean' or 'means', got 'average'",
    ),
    "luminance of grey": (
        lambda: k.luminance(zeros(1, 2, 2)),
        ValueError,
        r"image must be RGB of shape \(3, H, W\), got \(1, 2, 2\)",
    ),
    "a scale per value": (
        lambda: k.axpy(zeros(2), zeros(2), zeros(2)),
        ValueError,
        r"scale must be a number or a 0-d array, got shape \(2,\)",
    ),
    "a factor per value": (
        lambda: k.scale(zeros(1), zeros(2)),
        ValueError,
        r"factor must be a number or a 0-d array, got shape \(1,\)",
    ),
    "a range upside down": (
        lambda: k.clip(IMAGE, 1, 0),
        ValueError,
        r"low must not exceed high, got low=1 and high=0",
    ),
    "edges of another image": (
        lambda: k.laplacian_backward(zeros(5, 3), zeros(3, 5, 2)),
        ValueError,
        r"d_laplacian must be \(5, 2\) for an image \(3, 5, 2\), got \(5, 3\)",
    ),
    "a margin wider than the image": (
        lambda: k.reflect(zeros(3, 5, 2), 3),
        ValueError,
        r"margin must be from 0 to the shorter side, got 3 around 5 x 2",
    ),
    "a margin that leaves nothing": (
        lambda: k.reflect_backward(zeros(3, 5, 2), 1),
        ValueError,
        r"margin must be from 0 to the shorter side, got 1 around 3 x 0",
    ),
    "a step before the first": (
        lambda: k.adam_step(IMAGE, IMAGE, IMAGE, IMAGE, 0, 0.1),
        ValueError,
        r"step counts from 1, got 0",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refuses_and_says_why(what):
    call, error, message = REFUSED[what]
    with pytest.raises(error, match=f"^{message}"):
        call()


# ---- Choosing the twin ---------------------------------------------------------------


def test_numpy_arrays_get_the_numpy_twin():
    assert kernels.of(np.zeros(3), np.zeros(())) is k


def test_mixed_arrays_are_refused():
    with pytest.raises(TypeError, match=r"numpy\.ndarray, builtins\.list"):
        kernels.of(np.zeros(3), [0.0])
