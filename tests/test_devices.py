"""Which device a run gets, and what is said when it cannot get one."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from machine import cupy, needs_gpu

from nst import devices
from nst.errors import NstError


class FakeStream:
    """What CuPy's streams have of use here; ``in_use`` is the thread's current one."""

    def __init__(self, ptr=7, non_blocking=False):
        self.ptr, self.non_blocking = ptr, non_blocking

    def use(self):
        FakeStream.in_use = self


def fake_cupy(gpu):
    FakeStream.in_use = FakeStream(ptr=0)  # as CuPy starts: the null stream
    cuda = SimpleNamespace(
        is_available=lambda: gpu,
        get_current_stream=lambda: FakeStream.in_use,
        Stream=FakeStream,
    )
    return SimpleNamespace(__version__="14.9", cuda=cuda)


def fake_runtime(*providers):
    return SimpleNamespace(get_available_providers=lambda: list(providers))


@pytest.fixture
def without_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # what makes `import cupy` fail


@pytest.fixture
def without_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(gpu=False))


@pytest.fixture
def without_provider(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(gpu=True))
    runtime = fake_runtime("AzureExecutionProvider", "CPUExecutionProvider")
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)


def assert_refused(name, *told):
    with pytest.raises(NstError) as error:
        devices.pick(name)
    assert "\n" not in str(error.value)
    for words in told:
        assert words in str(error.value)


# ---- Errors --------------------------------------------------------------------------


@pytest.mark.usefixtures("without_cupy")
def test_cuda_without_cupy_says_what_to_install():
    assert_refused("cuda", "needs CuPy, which is not installed", "pip install 'nst[cuda]'")


@pytest.mark.usefixtures("without_gpu")
def test_cuda_without_a_gpu_says_where_to_look():
    assert_refused("cuda", "CuPy 14.9 found no usable NVIDIA GPU", "`nvidia-smi`", "--device cpu")


@pytest.mark.usefixtures("without_provider")
def test_cuda_without_its_provider_lists_those_there_are():
    assert_refused(
        "cuda",
        "ONNX Runtime's CUDA provider",
        "AzureExecutionProvider, CPUExecutionProvider",
        "pip install 'nst[cuda]'",
    )


@pytest.mark.parametrize("name", ["gpu", "CPU", "", "cuda:1"])
def test_an_unknown_name_is_told_with_those_there_are(name):
    assert_refused(name, f"--device is {name!r}; choose auto, cpu or cuda.")


def test_without_onnx_runtime_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(NstError, match=r"ONNX Runtime is not installed.*'nst\[cpu\]'"):
        devices.onnxruntime()


# ---- What is picked ------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["without_cupy", "without_gpu", "without_provider"])
def test_auto_takes_the_cpu_where_anything_is_missing(request, missing):
    request.getfixturevalue(missing)
    assert devices.pick("auto") is devices.CPU


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_the_gpu_is_taken_where_all_is_there(monkeypatch, name):
    module = fake_cupy(gpu=True)
    monkeypatch.setitem(sys.modules, "cupy", module)
    runtime = fake_runtime("CUDAExecutionProvider", "CPUExecutionProvider")
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    device = devices.pick(name)
    assert (device.name, device.provider) == ("cuda", "CUDAExecutionProvider")
    assert device.xp is module
    assert device.stream() == device.kept.ptr == 7  # one that ONNX Runtime can share: not 0
    assert devices.pick(name).kept is device.kept


def test_cpu_is_cpu_whatever_else_there_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(gpu=True))
    assert devices.pick("cpu") is devices.CPU


# ---- Arrays --------------------------------------------------------------------------


def test_asarray_gives_contiguous_float32(rng):
    host = rng.random((5, 4, 3)).transpose(2, 0, 1)
    placed = devices.CPU.asarray(host)
    assert placed.dtype == np.float32
    assert placed.flags.c_contiguous
    np.testing.assert_array_equal(placed, host.astype(np.float32))


def test_asnumpy_is_a_copy(rng):
    array = rng.random((3, 4, 5), np.float32)
    host = devices.CPU.asnumpy(array)
    host[:] = 0
    assert array.any()


def test_pointer_is_the_address_of_the_first_element(rng):
    array = rng.random((3, 4, 5), np.float32)
    step = devices.CPU.pointer(array[1]) - devices.CPU.pointer(array)
    assert step == 4 * 5 * 4  # bytes


def test_the_cpu_has_nothing_to_wait_for():
    devices.CPU.synchronize()


@pytest.mark.gpu
@needs_gpu
def test_arrays_go_to_the_gpu_and_back(rng):
    device = devices.pick("cuda")
    host = rng.random((3, 5, 4), np.float32)
    placed = device.asarray(host)
    assert isinstance(placed, cupy.ndarray)
    device.synchronize()
    np.testing.assert_array_equal(device.asnumpy(placed), host)
