"""Vgg as callers use it: shapes, order of calls, and errors by name.

That its numbers are right is shown in test_graphs.py.
"""

import numpy as np
import onnxruntime
import pytest
from machine import HAS_GPU, cupy, needs_gpu
from small_networks import TWO_BLOCKS, draw_arrays, relative_error

from nst import devices
from nst.errors import NstError
from nst.vgg import Vgg, runtime, weights
from nst.vgg.architecture import POOLINGS, VGG16, VGG19

TAPS = ("relu2_1", "conv1_1", "relu1_1")


@pytest.fixture
def arrays(rng):
    return draw_arrays(TWO_BLOCKS, rng)


@pytest.fixture(params=POOLINGS)
def vgg(arrays, request):
    return Vgg.from_arrays(arrays, TAPS, request.param)


def draw(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def photograph(rng, height=17, width=22):
    return rng.random((3, height, width), np.float32)


def gradients(rng, features):
    return {tap: draw(rng, *array.shape) for tap, array in features.items()}


# ---- Shapes and order ----------------------------------------------------------------


def test_features_come_in_the_order_of_the_taps_each_with_its_shape(rng, vgg):
    features = vgg.forward(photograph(rng))
    shapes = {tap: array.shape for tap, array in features.items()}
    assert shapes == {"relu2_1": (6, 8, 11), "conv1_1": (4, 17, 22), "relu1_1": (4, 17, 22)}
    assert list(features) == list(TAPS)
    for array in features.values():
        assert array.dtype == np.float32
        assert array.flags.c_contiguous


def test_a_tap_named_twice_is_read_once(rng, arrays):
    vgg = Vgg.from_arrays(arrays, ["relu1_1", "relu1_1"])
    assert vgg.taps == ("relu1_1",)
    assert list(vgg.forward(photograph(rng))) == ["relu1_1"]


@pytest.mark.parametrize("size", [(16, 16), (16, 77), (33, 16)])
def test_any_size_from_sixteen_pixels_up(rng, vgg, size):
    features = vgg.forward(photograph(rng, *size))
    assert vgg.backward(gradients(rng, features)).shape == (3, *size)


@pytest.mark.parametrize("architecture", [VGG16, VGG19], ids=["vgg16", "vgg19"])
def test_at_full_width_every_block_runs_forward_and_back(architecture, monkeypatch):
    """Weights of zero take no time to draw; the shapes are what is looked at."""
    monkeypatch.setattr("nst.vgg.weights.check_values", lambda *_: None)  # nobody trained them
    arrays = {}
    inputs = 3
    for name in architecture.convolutions:
        outputs = architecture.channels(name)
        arrays[f"{name}.weight"] = np.zeros((outputs, inputs, 3, 3), np.float32)
        arrays[f"{name}.bias"] = np.ones(outputs, np.float32)
        inputs = outputs
    taps = [tap for tap in architecture.taps if tap.endswith("_2")]
    vgg = Vgg.from_arrays(arrays, taps)
    features = vgg.forward(np.zeros((3, 35, 22), np.float32))
    sides = [(35, 22), (17, 11), (8, 5), (4, 2), (2, 1)]
    for tap in taps:
        block = int(tap[4])
        assert features[tap].shape == (64 * min(2 ** (block - 1), 8), *sides[block - 1])
        assert (features[tap] == 1).all()
    assert not vgg.backward(features).any()


# ---- Forward and backward in whatever order ------------------------------------------


def test_backward_again_after_one_forward_gives_the_same(rng, vgg):
    d_features = gradients(rng, vgg.forward(photograph(rng)))
    first = vgg.backward(d_features)
    again = vgg.backward(d_features)
    assert again is not first
    np.testing.assert_array_equal(again, first)


def test_backward_is_linear_in_what_comes_in(rng, vgg):
    d_features = gradients(rng, vgg.forward(photograph(rng)))
    d_image = vgg.backward(d_features)
    twice = vgg.backward({tap: 2 * d for tap, d in d_features.items()})
    assert relative_error(twice, 2 * d_image) < 1e-6
    parts = [vgg.backward({tap: d}) for tap, d in d_features.items()]
    assert relative_error(sum(parts), d_image) < 1e-5


def test_a_tap_that_is_not_given_counts_as_zero(rng, vgg):
    features = vgg.forward(photograph(rng))
    d_relu1_1 = draw(rng, *features["relu1_1"].shape)
    zeros = {tap: np.zeros_like(array) for tap, array in features.items()}
    expected = vgg.backward(zeros | {"relu1_1": d_relu1_1})
    np.testing.assert_array_equal(vgg.backward({"relu1_1": d_relu1_1}), expected)
    assert expected.any()
    assert not vgg.backward({}).any()


@pytest.mark.parametrize("other", [(16, 30), (17, 22)])
def test_backward_belongs_to_the_last_forward(rng, arrays, vgg, other):
    one, two = photograph(rng), photograph(rng, *other)
    d_features = gradients(rng, vgg.forward(one))
    expected = vgg.backward(d_features)
    d_other = vgg.backward(gradients(rng, vgg.forward(two)))
    assert d_other.shape == two.shape
    vgg.forward(one)
    np.testing.assert_array_equal(vgg.backward(d_features), expected)


def test_measuring_gives_the_same_features_and_leaves_the_backward_alone(rng, arrays, vgg):
    image, other = photograph(rng), photograph(rng, 33, 18)
    features = vgg.forward(image)
    d_features = gradients(rng, features)
    expected = vgg.backward(d_features)
    vgg.features(other)
    np.testing.assert_array_equal(vgg.backward(d_features), expected)
    for tap, measured in vgg.features(image).items():
        np.testing.assert_array_equal(measured, features[tap])


def test_a_forward_overwrites_what_the_last_one_returned(rng, vgg):
    """Nothing is allocated while the size stays; what must stay comes from `features`."""
    first, measured = photograph(rng), vgg.features(photograph(rng))
    copies = {tap: array.copy() for tap, array in measured.items()}
    before = vgg.forward(first)
    after = vgg.forward(photograph(rng))
    for tap, array in after.items():
        assert array is before[tap]
        np.testing.assert_array_equal(measured[tap], copies[tap])
    for tap, array in vgg.forward(photograph(rng, 19, 24)).items():
        assert array is not before[tap]


def test_only_the_graphs_that_were_used_last_are_kept(rng, arrays, monkeypatch):
    opened = []
    session = runtime._session
    monkeypatch.setattr(runtime, "MOST_PASSES", 2)
    monkeypatch.setattr(runtime, "_session", lambda *a: (opened.append(1), session(*a))[1])
    vgg = Vgg.from_arrays(arrays, TAPS)
    one, two, three = (photograph(rng, side, 22) for side in (16, 17, 18))
    for image, so_far in ((one, 1), (two, 2), (one, 2), (three, 3), (one, 3), (two, 4)):
        vgg.features(image)
        assert len(opened) == so_far


def test_neither_pass_writes_into_what_it_is_given(rng, vgg):
    image = photograph(rng)
    d_features = gradients(rng, vgg.forward(image))
    before = image.copy(), {tap: d.copy() for tap, d in d_features.items()}
    vgg.forward(image)
    vgg.backward(d_features)
    np.testing.assert_array_equal(image, before[0])
    for tap, d in d_features.items():
        np.testing.assert_array_equal(d, before[1][tap])


def test_memory_that_is_used_again_for_another_shape_is_bound_anew(rng, arrays):
    """One graph for all sizes, as on a GPU, whose pool gives the next array the same address."""
    vgg = Vgg.from_arrays(arrays, ["relu1_1"], convolution="direct")
    one_for_all = vgg._open("features", None)
    image, features = np.empty(3 * 18 * 30, np.float32), np.empty(4 * 18 * 30, np.float32)
    for height, width in [(18, 30), (30, 18), (18, 30), (27, 20)]:
        picture = image.reshape(3, height, width)
        picture[...] = photograph(rng, height, width)
        found = features.reshape(4, height, width)
        one_for_all.run({"image": picture}, {"relu1_1": found})
        np.testing.assert_allclose(found, vgg.features(picture)["relu1_1"], rtol=1e-5, atol=1e-6)


def test_a_view_is_read_as_what_it_shows(rng, vgg):
    wide = rng.random((17, 44, 3), np.float32)
    view = wide.transpose(2, 0, 1)[:, :, ::2]
    expected = vgg.forward(np.ascontiguousarray(view))
    for tap, array in vgg.forward(view).items():
        np.testing.assert_array_equal(array, expected[tap])


def test_the_same_image_gives_the_same_bits(rng, arrays):
    image = photograph(rng, 40, 37)
    results = []
    for _ in range(2):
        vgg = Vgg.from_arrays(arrays, TAPS)
        features = vgg.forward(image)
        results.append([*features.values(), vgg.backward(features)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


# ---- Which network -------------------------------------------------------------------


def test_pooling_is_the_model_s_own_unless_said(rng):
    image = photograph(rng)
    own = Vgg("vgg16-slim", ["relu2_1"]).forward(image)["relu2_1"]
    average = Vgg("vgg16-slim", ["relu2_1"], "average").forward(image)["relu2_1"]
    largest = Vgg("vgg16-slim", ["relu2_1"], "max").forward(image)["relu2_1"]
    np.testing.assert_array_equal(own, average)
    assert not np.allclose(own, largest)


def test_a_network_is_taken_as_it_is(rng, arrays):
    network = weights.from_arrays(arrays, "average")
    vgg = Vgg(network, TAPS)
    assert vgg.network is network
    assert vgg.pooling == "average"
    expected = Vgg.from_arrays(arrays, TAPS, "average").forward(photograph(rng))
    assert set(expected) == set(TAPS)


def test_from_arrays_takes_the_colours_it_is_told(rng, arrays):
    image = photograph(rng)
    mean, std = np.array([0.5, 0.25, 0.125], np.float32), np.array([0.5, 2, 4], np.float32)
    told = Vgg.from_arrays(arrays, ["conv1_1"], mean=tuple(mean), std=tuple(std))
    plain = Vgg.from_arrays(arrays, ["conv1_1"], mean=(0, 0, 0), std=(1, 1, 1))
    normalised = (image - mean[:, None, None]) / std[:, None, None]
    found, expected = told.forward(image)["conv1_1"], plain.forward(normalised)["conv1_1"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


# ---- Errors --------------------------------------------------------------------------


def test_a_tap_that_the_model_lacks_is_told_with_those_it_has():
    with pytest.raises(NstError, match=r"no tap 'relu3_4'; it has conv1_1, .*, relu5_3\. Choose"):
        Vgg("vgg16-slim", ["relu1_1", "relu3_4"])


def test_no_taps_at_all_is_an_error(arrays):
    with pytest.raises(NstError, match="no taps given"):
        Vgg.from_arrays(arrays, [])


def test_an_unknown_pooling_is_an_error(arrays):
    with pytest.raises(NstError, match="pooling is 'sum'; choose max or average"):
        Vgg(weights.from_arrays(arrays), TAPS, "sum")


def test_a_session_that_cannot_be_opened_prints_nothing_and_is_tried_once(
    rng, arrays, monkeypatch, capfd
):
    """Standard output may be the picture's, and no other device is meant."""
    tried = []

    def fail(self, providers, *_):
        tried.append(providers)
        raise RuntimeError("/onnxruntime_src/env.cc: pthread_create failed, error code: 12 ")

    monkeypatch.setattr(onnxruntime.InferenceSession, "_create_inference_session", fail)
    with pytest.raises(RuntimeError, match="pthread_create failed"):
        Vgg.from_arrays(arrays, TAPS).forward(photograph(rng))
    assert len(tried) == 1
    assert capfd.readouterr().out == ""


def test_an_unknown_device_is_an_error(arrays):
    with pytest.raises(NstError, match="--device is 'tpu'"):
        Vgg.from_arrays(arrays, TAPS, device="tpu")


@pytest.mark.parametrize(
    "shape", [(17, 22), (1, 17, 22), (4, 17, 22), (1, 3, 17, 22), (3, 15, 22), (3, 17, 15)]
)
def test_an_image_of_another_shape_is_refused(vgg, shape):
    with pytest.raises(ValueError, match="with sides of at least 16, found") as error:
        vgg.forward(np.zeros(shape, np.float32))
    assert str(shape) in str(error.value)


def test_what_is_no_array_of_the_device_is_refused(rng, vgg):
    with pytest.raises(TypeError, match=r"image must be a numpy array, found list; place it"):
        vgg.forward(photograph(rng).tolist())
    features = vgg.forward(photograph(rng))
    with pytest.raises(TypeError, match=r"d_relu1_1 must be a numpy array, found list"):
        vgg.backward({"relu1_1": features["relu1_1"].tolist()})


def test_backward_before_forward_is_refused(rng, vgg):
    with pytest.raises(ValueError, match="backward needs a forward first"):
        vgg.backward({"relu1_1": draw(rng, 4, 17, 22)})


def test_a_gradient_at_no_tap_is_refused(rng, vgg):
    features = vgg.forward(photograph(rng))
    with pytest.raises(ValueError, match=r"no such taps: \['relu1_2'\]; this network has \('rel"):
        vgg.backward({**features, "relu1_2": draw(rng, 5, 17, 22)})


def test_a_gradient_of_another_shape_is_refused(rng, vgg):
    vgg.forward(photograph(rng))
    with pytest.raises(ValueError, match=r"d_relu1_1 .* \(4, 17, 22\), found \(4, 22, 17\)"):
        vgg.backward({"relu1_1": draw(rng, 4, 22, 17)})


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_provider_that_does_not_start_is_an_error(arrays):
    """ONNX Runtime itself falls back to the CPU, and a run would be slow without a word."""
    absent = devices.Device("cpu", np, "CUDAExecutionProvider")
    with pytest.raises(NstError, match="could not start CUDAExecutionProvider"):
        Vgg.from_arrays(arrays, TAPS, device=absent)


def test_an_unknown_precision_is_an_error(arrays):
    with pytest.raises(NstError, match=r"--precision is 'fp8'; choose float32 or tf32\."):
        Vgg.from_arrays(arrays, TAPS, precision="fp8")


def test_another_thread_s_stream_is_refused(rng, vgg, monkeypatch):
    vgg.forward(photograph(rng))
    monkeypatch.setattr(devices.Device, "stream", lambda self: 7)
    with pytest.raises(ValueError, match="opened on another CUDA stream"):
        vgg.forward(photograph(rng))


# ---- What ONNX Runtime is told -------------------------------------------------------


@pytest.mark.parametrize(("precision", "use_tf32"), [("float32", "0"), ("tf32", "1")])
def test_on_a_gpu_the_stream_is_shared_and_tf32_is_a_choice(monkeypatch, precision, use_tf32):
    monkeypatch.setattr(devices.Device, "stream", lambda self: 140_000_000_000_001)
    provider, options = runtime._provider(
        devices.Device("cuda", np, "CUDAExecutionProvider"), precision
    )
    assert provider == "CUDAExecutionProvider"
    assert options["user_compute_stream"] == "140000000000001"
    assert options["has_user_compute_stream"] == "1"
    assert options["use_tf32"] == use_tf32


def test_on_the_cpu_there_is_nothing_to_tell():
    assert runtime._provider(devices.CPU, "tf32") == ("CPUExecutionProvider", {})
    assert devices.CPU.stream() == 0


def test_an_array_is_bound_anew_where_address_shape_or_type_is_another(arrays):
    one = Vgg.from_arrays(arrays, TAPS)._pass("features", (3, 16, 16))
    told, memory = [], np.zeros(8, np.float32)
    for array in (memory, memory[:4], memory[:4], memory[:4].view(np.int32), memory[4:]):
        one._bind({"a name": array}, (), lambda name, device, index, *place: told.append(place))
    at = memory.ctypes.data
    assert told == [
        (np.float32, (8,), at),
        (np.float32, (4,), at),
        (np.int32, (4,), at),
        (np.float32, (4,), at + 16),
    ]


# ---- On the GPU ----------------------------------------------------------------------


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-4), ("tf32", 1e-2)])
def test_the_gpu_gives_what_the_cpu_gives(rng, arrays, pooling, precision, error):
    assert HAS_GPU
    image = photograph(rng, 35, 22)
    on_cpu = Vgg.from_arrays(arrays, TAPS, pooling)
    on_gpu = Vgg.from_arrays(arrays, TAPS, pooling, "cuda", precision=precision)
    expected = on_cpu.forward(image)
    found = on_gpu.forward(cupy.asarray(image))
    d_features = gradients(rng, expected)
    for tap in TAPS:
        assert relative_error(found[tap].get(), expected[tap]) < error
    d_image = on_gpu.backward({tap: cupy.asarray(d) for tap, d in d_features.items()})
    assert relative_error(d_image.get(), on_cpu.backward(d_features)) < error


@pytest.mark.gpu
@needs_gpu
def test_on_the_gpu_each_pass_sees_what_was_launched_before_it(rng, arrays):
    """No wait in between: a stream that is not shared would read half-written arrays."""
    on_gpu = Vgg.from_arrays(arrays, TAPS, "max", "cuda")
    image = cupy.asarray(photograph(rng, 512, 512))
    expected = {tap: array.get() for tap, array in on_gpu.features(image).items()}
    for _ in range(20):
        moved = cupy.zeros_like(image)
        for _ in range(50):
            moved += image / 50
        moved[...] = image
        found = on_gpu.forward(moved)
        for tap in TAPS:
            np.testing.assert_allclose(found[tap].get(), expected[tap], rtol=1e-4, atol=1e-4)
