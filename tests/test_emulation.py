"""What stands in for CuPy, CUDA and ONNX Runtime's CUDA provider is as strict as they are.

See test_emulated_gpu.py for what runs on it.
"""

import sys
import threading

import emulated_runtime
import numpy as np
import pytest
from machine import cupy

from nst import devices, stylize
from nst.errors import NstError, NstWarning
from nst.objective.recipes import RECIPES
from nst.vgg import Vgg, runtime

TWO = {"size": 100, "scales": (70, 100), "steps": (2, 3), "conv": "direct"}

# ---- Names and arrays ----------------------------------------------------------------


def test_what_is_asked_of_cupy_is_there(gpu, settings):
    """That the stand-in has no name of its own."""
    if cupy is None:
        pytest.skip("needs CuPy (but no GPU), to look into it")
    small = {"size": 24, "scales": 1, "model": "vgg16-slim", "device": "cuda"}
    for name, recipe in RECIPES.items():
        steps = 1 if recipe.fine is None else (1, 1)
        stylize(settings(recipe=name, steps=steps, edges=1.0, strength=0.5, **small))
    assert len(gpu.used) > 10
    for name in gpu.used:
        found = cupy
        for part in name.split("."):
            assert hasattr(found, part), name
            found = getattr(found, part)


def bind_once(self, arrays, batch, bind=None):
    """Bind an array anew only where its address is another, and let each have the one before's."""
    bind = bind or self.binding.bind_input
    for name, array in arrays.items():
        if name not in self.bound:
            pointer = self.device.pointer(array)
            bind(name, self.device.name, 0, array.dtype.type, batch + array.shape, pointer)
            self.bound[name] = pointer


def test_an_array_bound_once_and_for_all_is_noticed(gpu, settings, monkeypatch):
    monkeypatch.setattr(runtime._Pass, "_bind", bind_once)
    with pytest.raises(AssertionError, match=r"its array is gone, or shorter"):
        stylize(settings(device="cuda", **TWO))


def bind_by_address(self, arrays, batch, bind=None):
    """Bind an array anew only where its address is another, whatever its shape."""
    bind = bind or self.binding.bind_input
    for name, array in arrays.items():
        pointer = self.device.pointer(array)
        if self.bound.get(name) != pointer:
            bind(name, self.device.name, 0, array.dtype.type, batch + array.shape, pointer)
            self.bound[name] = pointer


def of_two_shapes(rng):
    """Yield an upright picture's features and one's on its side, at one address; and the CPU's."""
    layers, addresses = ["relu1_1", "relu2_1"], set()
    vgg, on_cpu = Vgg("vgg16-slim", layers, device="cuda"), Vgg("vgg16-slim", layers)
    for shape in ((3, 48, 32), (3, 32, 48)):
        pixels = rng.random(shape, np.float32)
        image = vgg.device.asarray(pixels)
        addresses.add(image.data.ptr)
        yield vgg.features(image), on_cpu.features(pixels)
        del image
    assert len(addresses) == 1


def test_a_picture_of_another_shape_may_lie_where_the_one_before_lay(gpu, rng):
    for found, wanted in of_two_shapes(rng):
        for layer, features in wanted.items():
            assert found[layer].get() == pytest.approx(features, abs=1e-5)
        del found


def test_an_array_bound_by_its_address_alone_is_noticed(gpu, rng, monkeypatch):
    monkeypatch.setattr(runtime._Pass, "_bind", bind_by_address)
    with pytest.raises(AssertionError):
        test_a_picture_of_another_shape_may_lie_where_the_one_before_lay(gpu, rng)


def test_memory_that_was_given_back_is_noticed(gpu, rng):
    device = devices.pick("cuda")
    vgg = Vgg("vgg16-slim", ["relu1_1"], device=device)
    image = device.asarray(rng.random((3, 32, 48)))
    features = vgg.features(image)["relu1_1"]
    assert not np.isnan(features.get()).any()
    view = features.host
    del features
    assert np.isnan(view).all()
    one_for_all = vgg._pass("features", image.shape)
    with pytest.raises(AssertionError, match="relu1_1: its array is gone"):
        one_for_all.run({"image": image}, {})


def test_no_array_goes_to_the_host_by_itself(gpu, rng):
    array = devices.pick("cuda").asarray(rng.random((2, 3)))
    for silent in (np.asarray, np.array, lambda a: rng.random((2, 3)) + a):
        with pytest.raises(TypeError):
            silent(array)
    gpu.forget()
    assert float((array * 2).sum()) > 0
    assert sum(gpu.waits.values()) == 1


@pytest.mark.parametrize(
    "asking",
    [
        lambda array: array.nonzero(),
        lambda array: array[array > 0],
        lambda array: array[0][:, array[0, 0] > 0],
        np.flatnonzero,
        lambda array: f"{array[0, 0, 0]}",
    ],
)
def test_what_only_the_gpu_knows_is_waited_for(gpu, rng, asking):
    array = devices.pick("cuda").asarray(rng.random((2, 3, 4)))
    gpu.forget()
    asking(array)
    assert sum(gpu.waits.values()) == 1


def test_another_thread_is_on_a_stream_of_its_own(gpu, rng):
    vgg = Vgg("vgg16-slim", ["relu1_1"], device="cuda")
    image, said = vgg.device.asarray(rng.random((3, 32, 48))), []

    def ask():
        try:
            vgg.features(image)
        except ValueError as error:
            said.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert said == ["this network was opened on another CUDA stream or in another thread"]


# ---- A GPU that computes something else ----------------------------------------------


def in_place_of(monkeypatch, name, function):
    monkeypatch.setattr(emulated_runtime.InferenceSession, name, function)


def test_a_gpu_that_convolves_wrongly_is_not_taken(gpu, monkeypatch):
    in_place_of(monkeypatch, "run", lambda *_: [np.zeros((1, 4, 8, 8), np.float32)])
    with pytest.raises(NstError, match=r"on this GPU a convolution gives 0\.0 where 27 is right"):
        devices.pick("cuda")
    with pytest.warns(NstWarning, match=r"takes the CPU: on this GPU a convolution gives 0\.0"):
        assert devices.pick("auto") is devices.CPU


def test_a_gpu_whose_provider_does_not_start_is_not_taken(gpu, monkeypatch):
    in_place_of(monkeypatch, "get_providers", lambda _: ["CPUExecutionProvider"])
    with pytest.raises(NstError, match=r"ONNX Runtime's CUDA provider does not start"):
        devices.pick("cuda")


@pytest.mark.parametrize(
    ("kernel", "told"), [("luminance", "a kernel of nst's"), ("gram", "a matrix product")]
)
def test_a_gpu_whose_kernels_are_wrong_is_not_taken(gpu, monkeypatch, kernel, told):
    twin = sys.modules["nst.kernels.cupy_kernels"]
    right = getattr(twin, kernel)
    monkeypatch.setattr(twin, kernel, lambda *given: 2 * right(*given))
    with pytest.raises(NstError, match=f"on this GPU {told} gives .* is right"):
        devices.pick("cuda")
