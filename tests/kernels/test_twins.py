"""The CuPy kernels against their NumPy twins: compiled, on the host, on the GPU."""

import inspect
import re
import statistics
import sys

import numpy as np
import pytest
import scipy.fft
from host_cuda import SOURCE, kernel_names
from machine import cupy, needs_gpu, unavailable

from nst import kernels
from nst.kernels import numpy_kernels as reference
from nst.kernels import numpy_neighbours

SHAPES = [(1, 1, 1), (3, 1, 5), (3, 5, 1), (2, 4, 7), (3, 17, 31)]
GRAM_SHAPES = [  # (C, H, W) around the tile's 64 channels, its 16 pixels and the strip's 256
    (1, 1, 1),
    (5, 3, 5),
    (3, 40, 50),  # eight strips
    (63, 7, 9),
    (64, 16, 16),
    (65, 3, 100),
    (130, 5, 7),
]


def public_names(module):
    """The functions that ``module`` defines, in the order of the file."""
    functions = inspect.getmembers(module, inspect.isfunction)
    own = [f for name, f in functions if f.__module__ == module.__name__ and name[0] != "_"]
    return [f.__name__ for f in sorted(own, key=lambda f: f.__code__.co_firstlineno)]


NAMES = public_names(reference)
ALL = [*NAMES, *public_names(numpy_neighbours)]  # which have tests of their own
SHARED = {"add_up", "add_up_exactly"}  # of all that add up: first in the file
OF_MATRICES = {"symmetric_power", "newton_schulz", "substitute_back"}  # of any dtype and layout
EXACT = {"moments", "band_squares", "dots", "substitute_back"}  # in float64
LIBRARY = {"symmetric_power"} | {  # without a kernel
    *{"gram_backward", "moments", "moments_backward"},
    *{"cosine_transform", "inverse_cosine_transform"},
}
DRAWN = object()  # stands for an argument that has a default and is drawn nevertheless
ADDED = {"out": DRAWN, "add": True}
PULLS = [{}, {"d_loss": 2}, {"d_loss": np.asarray(-1.3)}, {"out": DRAWN}]
STEPS = [{}, {"reduction": "mean"}, {"reduction": "means"}]
PULLED_STEPS = [*STEPS, *PULLS, {"reduction": "means", "d_loss": 0.7} | ADDED]
CASES = {  # the arguments that are not arrays of the shape under test, and so are not drawn
    "gram": [{}, {"divisor": 1}, {"divisor": 105.0}, {"mask": DRAWN}],
    "gram_backward": [
        *[{}, {"divisor": 1}, {"mask": DRAWN}, {"out": DRAWN}, ADDED],
        {"divisor": 7.0, "mask": DRAWN} | ADDED,
    ],
    "moments": [{}, {"mask": DRAWN}],
    "moments_backward": [{}, {"mask": DRAWN}, {"out": DRAWN}, {"mask": DRAWN} | ADDED],
    "symmetric_power": [{"exponent": 0.5}, {"exponent": -1, "smallest": 0.7}],
    "newton_schulz": [{"steps": 2}, {"steps": 12}],
    "mse_backward": PULLS,
    "masked_mse_backward": [*PULLS, {"d_loss": 0.7} | ADDED],
    "total_variation_l1": STEPS,
    "total_variation_l1_backward": PULLED_STEPS,
    "total_variation_l2": STEPS,
    "total_variation_l2_backward": PULLED_STEPS,
    "total_variation_johnson": STEPS,
    "total_variation_johnson_backward": PULLED_STEPS,
    "total_variation_crowson_backward": [*PULLS, {"d_loss": 0.7} | ADDED],
    "laplacian_backward": [{}, {"out": DRAWN}, ADDED],
    "reflect": [{"margin": 1}, {"margin": 0}],
    "reflect_backward": [{"margin": 1}],
    "substitute_back": [{}, {"transposed": True}],
    "axpy": [{"scale": -0.7}, {"scale": 2}, {"scale": np.asarray(1.3, np.float32)}],
    "scale": [{"factor": -0.7}, {"factor": 2}, {"factor": np.asarray(1.3, np.float32)}],
    "clip": [{"low": 0, "high": 1}, {"low": 0.25, "high": 0.25}],
    "band_squares": [{"bands": 1}, {"bands": 5}],
    "normalised_descent_step": [{"step_size": 10 / 255}, {"step_size": 1, "epsilon": 0.7}],
    "adam_step": [
        {"step": 1, "step_size": 0.02},
        {"step": 7, "step_size": 1, "beta1": 0.5, "beta2": 0.9, "epsilon": 0.1},
    ],
}


@pytest.fixture(
    params=["host", "host-backwards", pytest.param("gpu", marks=[needs_gpu, pytest.mark.gpu])]
)
def twin(request, monkeypatch):
    """``cupy_kernels`` on the GPU, or with NumPy for CuPy and C++ fibers for CUDA threads."""
    cupy_kernels = import_twin()
    if request.param != "gpu":
        host = request.getfixturevalue("host")
        backwards = request.param == "host-backwards"

        def run(name, blocks, args):
            host.launch(name, blocks, cupy_kernels.BLOCK, args, backwards=backwards)

        monkeypatch.setattr(cupy_kernels, "cp", np)
        monkeypatch.setitem(sys.modules, "cupyx.scipy.fft", scipy.fft)
        monkeypatch.setattr(cupy_kernels, "_run", run)
        monkeypatch.setattr(cupy_kernels, "MAX_BLOCKS", 2)  # so that every loop strides
        monkeypatch.setattr(cupy_kernels, "GRAM_BLOCKS", 6)
    return cupy_kernels


def import_twin():
    if cupy is None:
        unavailable("CuPy (but no GPU), to import the twin")
    from nst.kernels import cupy_kernels

    return cupy_kernels


def draw(name, shape, rng):
    """One argument for the parameter called ``name``."""
    if name == "d_gram":
        return rng.standard_normal((shape[0], shape[0]), np.float32)
    if name == "d_moments":
        return rng.standard_normal((shape[0], shape[0] + 1), np.float32)
    if name == "d_reflected":  # around an image of this shape, with a margin of 1
        return rng.standard_normal((shape[0], shape[1] + 2, shape[2] + 2), np.float32)
    if name == "factors":
        return rng.random((shape[0], 5))
    if name == "mask":
        return rng.random(shape[1:], np.float32)
    if name == "d_laplacian":
        return rng.standard_normal(shape[1:], np.float32)
    if name == "second_moment":
        return rng.random(shape, np.float32)
    if name == "vectors":
        return rng.standard_normal((2, *shape), np.float32)
    if name == "coefficients":
        return rng.standard_normal(2)
    if name == "known":
        return rng.standard_normal(shape[0])
    if name == "upper":  # what is below its diagonal is nobody's business
        return rng.standard_normal((shape[0], shape[0])) + 3 * np.eye(shape[0])
    if name == "matrix":  # symmetric, its eigenvalues 1 or more
        side = rng.standard_normal((shape[0], 1), np.float32)
        return side @ side.T + np.eye(shape[0], dtype=np.float32)
    return rng.standard_normal(shape, np.float32)


def draw_all(name, shape, case, rng):
    """The arguments ``case``, and one for every other parameter that has no default."""
    return case | {p: draw(p, shape, rng) for p in to_draw(name, case)}


def to_draw(name, case):
    parameters = inspect.signature(getattr(reference, name)).parameters.values()
    return [p.name for p in parameters if case.get(p.name, p.default) in (p.empty, DRAWN)]


def call(module, name, arguments, *, asarray=np.array):
    """Return the result, and the arguments as they are afterwards, all on the host."""
    placed = {
        parameter: asarray(value) if isinstance(value, np.ndarray) else value
        for parameter, value in arguments.items()
    }
    result = getattr(module, name)(**placed)
    return on_host(result), {p: on_host(value) for p, value in placed.items()}


def on_host(value):
    if isinstance(value, tuple):
        return np.stack([on_host(one) for one in value])
    return value.get() if hasattr(value, "get") else value


# ---- the three files tell one story --------------------------------------------------


def test_twins_define_the_same_functions_in_the_same_order():
    assert public_names(import_twin()) == ALL


@pytest.mark.parametrize("name", ALL)
def test_twins_have_the_same_signature(name):
    ours = inspect.signature(getattr(reference, name)).parameters.values()
    theirs = inspect.signature(getattr(import_twin(), name)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in theirs] == [
        (p.name, p.kind, p.default) for p in ours
    ]


def test_kernels_are_in_the_order_of_their_twins():
    """A kernel is called after its twin, perhaps with a suffix: gram, gram_partials."""
    order = []
    kernels_of_all, own = np.split(kernel_names(SOURCE), [len(SHARED)])
    assert set(kernels_of_all) == SHARED
    for kernel in own:
        owners = [n for n in ALL if kernel == n or kernel.startswith(f"{n}_")]
        assert owners, f"{kernel} has no twin"
        order.append(ALL.index(max(owners, key=len)))
    assert order == sorted(order)
    without_kernel = set(ALL) - {ALL[i] for i in order}
    assert without_kernel == LIBRARY


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90", "sm_100"])
def test_kernels_compile(arch):
    nvrtc, program = compiled(SOURCE, arch)
    cubin = nvrtc.getCUBIN(program)
    for name in kernel_names(SOURCE):
        assert f".text.{name}\0".encode() in cubin


def compiled(source, arch):
    """Return NVRTC, and the ``source`` as it has compiled it."""
    if cupy is None:
        unavailable("CuPy (but no GPU), for NVRTC")
    # Not cupy.cuda.compiler.compile_using_nvrtc: that asks the driver for a device.
    nvrtc = cupy.cuda.nvrtc
    program = nvrtc.createProgram(source, "kernels.cu", (), ())
    try:
        nvrtc.compileProgram(program, (f"-arch={arch}", "--std=c++17"))
    except nvrtc.NVRTCError:
        pytest.fail(nvrtc.getProgramLog(program))
    return nvrtc, program


SLOW = re.compile(r"\b((?:div|rem|sqrt|rcp)\S*\.(?:[fsu]64)) ")
LABEL, JUMP = re.compile(r"\s*(\$\w+):"), re.compile(r"\bbra\S*\s+(\$\w+);")


def slow_in_loops(source):
    """Return ``kernel: instruction`` of what is slow and is done for each element.

    A GPU has no units for a division of long longs, and many have few for one of doubles.  For a
    line, or a position, of which a loop goes through all pixels or channels, it does not count.
    """
    nvrtc, program = compiled(source, "compute_80")
    entries = r"\.entry (\w+)\((?:.|\n)*?\{\n((?:.|\n)*?)\n\}"
    found = []
    for kernel, body in re.findall(entries, nvrtc.getPTX(program).decode()):
        lines = body.splitlines()
        labels = {m[1]: at for at, line in enumerate(lines) if (m := LABEL.match(line))}
        jumps = [(labels[m[1]], at) for at, line in enumerate(lines) if (m := JUMP.search(line))]
        loops = {(first, last) for first, last in jumps if first <= last}
        for at, line in enumerate(lines):
            around = {loop for loop in loops if loop[0] <= at <= loop[1]}
            if not (slow := SLOW.search(line)) or not around:
                continue
            inmost = min(around, key=lambda loop: loop[1] - loop[0])
            inside = [one for one in loops if inmost[0] < one[0] and one[1] < inmost[1]]
            if not inside or len({first for first, _ in around}) > 1:
                found.append(f"{kernel}: {slow[1]}")
    return found


def test_no_element_costs_a_division_of_doubles_or_long_longs():
    assert slow_in_loops(SOURCE) == []


def test_a_division_for_each_element_is_noticed():
    hoisted = """float factor = (float)(factor_of(d_loss, known) * 2.0 / n);
    FOR_EACH(i, n) {
        d_x[i] = (x[i] - target[i]) * factor;"""
    assert SOURCE.count(hoisted) == 1
    for division, found in {
        "(double)(x[i] - target[i]) / n": "div.rn.f64",
        "(x[i] - target[i]) * (float)(i / known_width)": "div.s64",
    }.items():
        each = f"long long known_width = n - 1; FOR_EACH(i, n) {{ d_x[i] = {division};"
        assert f"mse_backward: {found}" in slow_in_loops(SOURCE.replace(hoisted, each))


def test_cupy_arrays_get_the_cupy_twin():
    """CuPy's arrays can lie about where they are, and so need no GPU to be recognised."""
    twin = import_twin()
    host = np.zeros(3, np.float32)
    memory = cupy.cuda.UnownedMemory(host.ctypes.data, host.nbytes, host, 0)
    array = cupy.ndarray((3,), np.float32, cupy.cuda.MemoryPointer(memory, 0))
    assert kernels.of(array, array) is twin
    with pytest.raises(TypeError, match=r"cupy\.ndarray, numpy\.ndarray.*Device\.asarray"):
        kernels.of(array, host)


# ---- the twins agree -----------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name in NAMES for case in CASES.get(name, [{}])]
)
def test_twins_agree(twin, rng, name, case, shape):
    if name == "luminance":
        shape = (3, *shape[1:])
    arguments = draw_all(name, shape, case, rng)

    expected, expected_after = call(reference, name, arguments)
    actual, actual_after = call(twin, name, arguments, asarray=twin.cp.array)

    assert isinstance(actual, np.ndarray)
    assert actual.dtype == (np.float64 if name in EXACT else np.float32)
    assert actual.shape == expected.shape
    # BLAS and cuBLAS add up a Gram matrix in float32, each in its own order
    atol = 2e-5 if name in ("gram", "moments") else 1e-6
    np.testing.assert_allclose(actual, expected, rtol=3e-6, atol=atol)
    for parameter in to_draw(name, case):  # what is changed in place, and that nothing else is
        np.testing.assert_allclose(
            actual_after[parameter], expected_after[parameter], rtol=3e-6, atol=1e-6
        )


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("total_variation")])
def test_lines_wider_than_a_block_has_threads(twin, rng, name):
    arguments = draw_all(name, (2, 3, 2 * twin.BLOCK + 7), {}, rng)
    expected, _ = call(reference, name, arguments)
    actual, _ = call(twin, name, arguments, asarray=twin.cp.array)
    np.testing.assert_allclose(actual, expected, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("margin", [2, 5])
@pytest.mark.parametrize("width", [5, 300])  # more columns than a block has threads
def test_margins_up_to_the_width_of_the_image(twin, rng, margin, width):
    image = rng.random((2, 5, width), np.float32)
    d_reflected = rng.random((2, 5 + 2 * margin, width + 2 * margin), np.float32)
    given = {"reflect": {"image": image}, "reflect_backward": {"d_reflected": d_reflected}}
    for name, arguments in given.items():
        arguments |= {"margin": margin}
        expected, _ = call(reference, name, arguments)
        actual, _ = call(twin, name, arguments, asarray=twin.cp.array)
        np.testing.assert_array_equal(actual, expected)  # added up in the same order


@pytest.mark.parametrize("count", [31, 300])  # more than a block has threads
@pytest.mark.parametrize("name", ["substitute_back", "newton_schulz", "dots", "combine"])
def test_what_goes_by_vectors_takes_as_many_as_there_are(twin, rng, name, count):
    triangle = np.triu(rng.standard_normal((count, count))) / count + np.eye(count)
    arrays = {
        "upper": triangle,
        "known": rng.random(count),
        "matrix": triangle @ triangle.T,
        "vectors": rng.standard_normal((count, 2, 3), np.float32),
        "coefficients": rng.standard_normal(count),
        "x": rng.standard_normal((2, 3), np.float32),
        "y": rng.standard_normal((2, 3), np.float32),
    }
    for case in CASES.get(name, [{}]):
        arguments = case | {p: arrays[p] for p in to_draw(name, case)}
        expected, _ = call(reference, name, arguments)
        actual, _ = call(twin, name, arguments, asarray=twin.cp.array)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", GRAM_SHAPES)
def test_tiled_gram_agrees_with_the_library_product(twin, rng, monkeypatch, shape):
    features = twin.cp.asarray(rng.standard_normal(shape, np.float32))
    library = on_host(twin.gram(features, 3.0))
    monkeypatch.setattr(twin, "GRAM_KERNEL", "tiled")
    tiled = on_host(twin.gram(features, 3.0))
    again = on_host(twin.gram(features, 3.0))

    np.testing.assert_allclose(tiled, library, rtol=3e-6, atol=2e-5)
    np.testing.assert_array_equal(tiled, tiled.T)
    np.testing.assert_array_equal(tiled, again)


def test_tiled_gram_adds_its_strips_in_float64(twin, monkeypatch):
    """Once at 2**32, float32 counts in steps of 512: the 256 ones of a strip would be lost."""
    monkeypatch.setattr(twin, "GRAM_KERNEL", "tiled")
    features = twin.cp.ones((1, 17, 256), np.float32)
    first_strip = features.reshape(-1)[:256]
    first_strip[:] = 0.0
    first_strip[7] = 2.0**16
    assert float(twin.gram(features, 1)[0, 0]) == 2**32 + 16 * 256


@pytest.mark.parametrize(
    "name", ["clip", "total_variation_l1_backward", "luminance", "mse", "masked_mse"]
)
def test_nan_stays_nan_in_both_twins(twin, rng, name):
    image = rng.standard_normal((3, 4, 5), np.float32)
    image[1, 2, 3] = np.nan
    arguments = {"image": image}
    if name == "clip":
        arguments |= {"low": 0.0, "high": 1.0}
    if name == "mse":
        arguments = {"x": image, "target": np.zeros_like(image)}
    if name == "masked_mse":
        arguments = {"x": image, "target": np.zeros_like(image), "mask": np.zeros_like(image[0])}
    expected, _ = call(reference, name, arguments)
    actual, _ = call(twin, name, arguments, asarray=twin.cp.array)
    assert np.isnan(expected).any()
    np.testing.assert_allclose(actual, expected, rtol=3e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_bits(twin, rng, name):
    """On a GPU the blocks of (3, 70, 90) finish in any order."""
    arguments = draw_all(name, (3, 70, 90), CASES.get(name, [{}])[0], rng)
    first, first_after = call(twin, name, arguments, asarray=twin.cp.array)
    again, again_after = call(twin, name, arguments, asarray=twin.cp.array)
    np.testing.assert_array_equal(first, again)
    for parameter, value in first_after.items():
        np.testing.assert_array_equal(value, again_after[parameter])


@pytest.mark.parametrize(
    "kernel",
    ["mse", "dot", "normalised_descent_step_sum", "normalised_descent_step_squares"],
)
def test_sums_of_values_accumulate_in_float64(twin, kernel):
    """2**24 and then sixteen ones for the same thread, which float32 would drop one by one."""
    x = twin.cp.zeros(8193, np.float32)
    x[0] = 2.0**12
    x[512::512] = 1.0
    arguments = {
        "mse": [x, twin.cp.zeros_like(x)],
        "dot": [x, x],
        "normalised_descent_step_sum": [x * x],
        "normalised_descent_step_squares": [x, twin.cp.zeros((), np.float64)],
    }
    total = twin._sum(kernel, x.size, *arguments[kernel], x.size, exact=True)
    assert float(total) == 2**24 + 16


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_sums_of_steps_accumulate_in_float64(twin, norm):
    image = twin.cp.zeros((1, 1, 8195), np.float32)
    image[0, 0, 0] = 2.0**24 if norm == "l1" else 2.0**12
    image[0, 0, 513::512] = 1.0  # up, a step of the first thread, and down, of the second
    sizes = 1, 1, image.size, 1, 1
    total = twin._sum(f"total_variation_{norm}", image.size, image, *sizes, exact=True)
    assert float(total) == 2**24 + 16 + 16


def test_a_gradient_far_from_zero_keeps_the_digits_of_its_spread(twin, rng):
    """Beside 1e12, its square, float32 has no room for a variance of 1."""
    d_image = (1e6 + rng.standard_normal((3, 40, 50))).astype(np.float32)
    image = np.zeros_like(d_image)
    arguments = {"image": image, "d_image": d_image, "step_size": 1.0}
    actual, _ = call(twin, "normalised_descent_step", arguments, asarray=twin.cp.array)
    spread = statistics.pstdev(map(float, d_image.flat))
    np.testing.assert_allclose(actual, -d_image / spread, rtol=1e-6)


# ---- the twins refuse ----------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(NAMES) - OF_MATRICES))
def test_float64_is_refused_on_the_gpu(twin, name):
    arguments = small_arguments(name, np.float64)
    with pytest.raises(TypeError, match=rf"^{name}\w*: \w+ must be float32 on the GPU, got"):
        call(twin, name, arguments, asarray=twin.cp.array)


@pytest.mark.parametrize("name", sorted(set(NAMES) - OF_MATRICES))
def test_a_view_that_is_not_contiguous_is_refused_on_the_gpu(twin, name):
    def every_second(array):
        array = twin.cp.array(array)
        return twin.cp.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array

    arguments = small_arguments(name, np.float32)
    with pytest.raises(ValueError, match=rf"^{name}\w*: \w+ of shape .* is not C-contiguous"):
        call(twin, name, arguments, asarray=every_second)


def small_arguments(name, dtype):
    """Zeros of (3, 2, 3) for every array that has a feature map's shape."""
    case = CASES.get(name, [{}])[0]
    shapes = {"d_gram": (3, 3), "d_moments": (3, 4), "d_reflected": (3, 4, 5), "factors": (3, 5)}
    shapes |= {
        "d_laplacian": (2, 3),
        "mask": (2, 3),
        "vectors": (2, 3, 2, 3),
        "coefficients": (2,),
    }
    return case | {p: np.zeros(shapes.get(p, (3, 2, 3)), dtype) for p in to_draw(name, case)}


# ---- the host runner notices ---------------------------------------------------------


def test_the_host_runner_notices_what_a_gpu_would_hide(host):
    x, y = np.arange(1, 5, dtype=np.float32), np.zeros(4, np.float32)

    host.launch("reads_before", 1, 4, [y, x, 4])
    np.testing.assert_array_equal(y, [np.nan, 1, 2, 3])
    with pytest.raises(AssertionError, match="writes_before: wrote before an array"):
        host.launch("writes_before", 1, 4, [y, x, 4])
    for name in ("reads_behind", "writes_behind"):
        with pytest.raises(AssertionError, match=f"{name}: went past the end of an array"):
            host.launch(name, 1, 4, [y, x, 4])
    with pytest.raises(AssertionError, match=r"waits_alone: .* wait at different __syncthreads"):
        host.launch("waits_alone", 1, 4, [y, x, 4])

    host.launch("reads_too_early", 1, 4, [y, x, 4])
    np.testing.assert_array_equal(y, [0, 0, 2, 1])  # those before it had not been written
    host.launch("reads_too_early", 1, 4, [y, x + 4, 4], backwards=True)
    np.testing.assert_array_equal(y, [8, 7, 2, 1])  # of the last run: not yet overwritten
