"""Which device a run gets, and what is said when it cannot get one."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from fake_gpu import CPU_BUILD, GPU_BUILD, fake_cupy, fake_runtime
from machine import cupy, gpu_works, needs_gpu, unavailable
from packaging.requirements import Requirement

from nst import devices, gpu
from nst.errors import NstError, NstWarning

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
NO_DRIVER = "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime"


@pytest.fixture
def install(monkeypatch):
    """A function that puts a CuPy, an ONNX Runtime, and how a trial ends, in their places."""

    def install(cupy, runtime=None, trial=None):
        def try_out(device, runtime):
            if trial is not None:
                raise trial

        monkeypatch.setitem(sys.modules, "cupy", cupy)
        if runtime is not None:
            monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
        monkeypatch.setattr(gpu, "try_out", try_out)

    return install


@pytest.fixture
def without_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # what makes `import cupy` fail


def a_gpu(install, trial=None):
    """Put a GPU in place; computing on it ends in the error ``trial``, or in nothing."""
    install(fake_cupy(), fake_runtime(*GPU_BUILD), trial)


def assert_refused(name, *told):
    with pytest.raises(NstError) as error:
        devices.pick(name)
    assert "\n" not in str(error.value)
    for words in told:
        assert words in str(error.value)


# ---- Errors --------------------------------------------------------------------------


@pytest.mark.usefixtures("without_cupy")
def test_cuda_without_cupy_says_what_to_install():
    assert_refused("cuda", "--device cuda: CuPy is not installed", "`make install-cuda`")


@pytest.mark.parametrize(
    ("gpus", "driver", "build", "told"),
    [
        (NO_DRIVER, 0, GPU_BUILD, "found no usable NVIDIA GPU; check `nvidia-smi`"),
        ("cudaErrorNoDevice: no device is detected", 13010, GPU_BUILD, "no usable NVIDIA GPU"),
        (NO_DRIVER, 12040, GPU_BUILD, "too old for this CUDA: it knows 12.4, CuPy was built for"),
        (1, 13010, CPU_BUILD, "not among AzureExecutionProvider, CPUExecutionProvider"),
    ],
    ids=["no driver", "no device", "old driver", "for the cpu"],
)
def test_what_is_missing_is_told_by_cuda_and_by_auto(install, gpus, driver, build, told):
    install(fake_cupy(gpus, driver), fake_runtime(*build))
    assert_refused("cuda", "--device cuda: ", told, "--device cpu")
    with pytest.warns(NstWarning, match="--device auto takes the CPU: ") as warned:
        assert devices.pick("auto") is devices.CPU
    assert told in str(warned[0].message)


@pytest.mark.parametrize(
    ("trial", "told"),
    [
        (
            RuntimeError("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : cuDNN is not available."),
            "no cuDNN, which its convolutions need; `make install-cuda`, in the folder of",
        ),
        (
            RuntimeError("CUDA failure 209: no kernel image is available for execution on the"),
            "no machine code for this GPU, NVIDIA H200 of compute capability 9.0: ONNX Runtime's",
        ),
        (RuntimeError("cudaErrorNoKernelImageForDevice"), "compute capability 7.5, 8.0, 8.6"),
        (
            RuntimeError("it broke\nin\nmany lines" + 300 * "."),
            "it broke in; `make install",
        ),
        (NstError("on this GPU a convolution gives 0.0 where 27 is right"), "27 is right"),
        (MemoryError("Out of memory allocating 512 bytes"), "MemoryError: Out of memory"),
    ],
)
def test_a_gpu_that_cannot_compute_is_told_by_cuda_and_by_auto(install, trial, told):
    a_gpu(install, trial)
    assert_refused("cuda", "--device cuda: ", told)
    with pytest.warns(NstWarning, match="--device auto takes the CPU: ") as warned:
        assert devices.pick("auto") is devices.CPU
    assert told in str(warned[0].message)
    assert "\n" not in str(warned[0].message)


def test_a_cupy_that_cannot_be_imported_is_told(monkeypatch, tmp_path):
    """It makes a folder for its kernels in the user's home, and dies where it cannot."""
    home = tmp_path / "home"
    home.write_text("no folder")
    program = "from nst import devices; print(devices.pick('auto').name); devices.pick('cuda')"
    environment = {**os.environ, "HOME": str(home)}
    environment.pop("CUPY_CACHE_DIR", None)
    done = run_python(program, environment)
    if "No module named 'cupy'" in done.stderr or "is not installed" in done.stderr:
        unavailable("CuPy")
    assert done.stdout == "cpu\n"
    assert "device='auto' takes the CPU: CuPy cannot write" in done.stderr
    assert "device='cuda': CuPy cannot write" in done.stderr.splitlines()[-1]
    assert "CUPY_CACHE_DIR" in done.stderr.splitlines()[-1]


def run_python(program, environment):
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["gpu", "CPU", "", "cuda:1"])
def test_an_unknown_name_is_told_with_those_there_are(name):
    assert_refused(name, f"--device is {name!r}; choose auto, cpu or cuda.")


def test_without_onnx_runtime_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(NstError, match=r"is not installed. Install it with `.*pip install"):
        devices.onnxruntime()


# ---- What is picked ------------------------------------------------------------------


@pytest.mark.usefixtures("without_cupy")
def test_auto_takes_the_cpu_without_a_word_where_cupy_is_not_installed():
    assert devices.pick("auto") is devices.CPU


def test_auto_takes_the_cpu_without_a_word_where_nothing_is_meant_for_a_gpu(install):
    install(fake_cupy(NO_DRIVER, driver=0), fake_runtime(*CPU_BUILD))
    assert devices.pick("auto") is devices.CPU


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_the_gpu_is_taken_where_it_computes(install, capfd, name):
    a_gpu(install)
    device = devices.pick(name)
    assert (device.name, device.provider) == ("cuda", "CUDAExecutionProvider")
    assert device.xp is sys.modules["cupy"]
    assert device.stream() == device.kept.ptr == 7  # one that ONNX Runtime can share: not 0
    assert devices.pick(name).kept is device.kept
    assert capfd.readouterr() == ("", "")  # what was found on the way is not the user's business


def test_cpu_is_cpu_whatever_else_there_is(install):
    a_gpu(install)
    assert devices.pick("cpu") is devices.CPU


def test_libraries_are_loaded_before_the_first_session(install, monkeypatch):
    """The provider itself looks in no Python package."""
    a_gpu(install)
    done = []
    runtime = sys.modules["onnxruntime"]
    monkeypatch.setattr(runtime, "preload_dlls", lambda: done.append("libraries"))
    monkeypatch.setattr(gpu, "try_out", lambda *found: done.append("trial"))
    devices.pick("cuda")
    assert done == ["libraries", "trial"]


def test_tests_for_a_gpu_ask_the_environment_that_runs_them(install):
    """A machine with a GPU, and an environment whose ONNX Runtime is for the CPU."""
    install(fake_cupy(), fake_runtime(*CPU_BUILD))
    assert not gpu_works()
    a_gpu(install)
    assert gpu_works()


# ---- What is installed ---------------------------------------------------------------


def asked_by(extra):
    """Return what an extra asks for, and what those in it ask for: {name: Requirement}."""
    extras = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    found = {}
    for asked in map(Requirement, extras[extra]):
        others = map(asked_by, asked.extras) if asked.name == "nst" else [{asked.name: asked}]
        for other in others:
            found |= other
    return found


def test_the_extra_for_a_gpu_brings_cuda_s_libraries_and_cudnn():
    """Neither ONNX Runtime nor CuPy has them: without, the first convolution cannot run."""
    asked = asked_by("cuda")
    assert asked["onnxruntime-gpu"].extras == {"cuda", "cudnn"}
    assert asked["cupy-cuda13x"].extras == {"ctk"}


@pytest.mark.parametrize("extra", ["cuda", "test", "benchmark"])
def test_no_extra_that_goes_with_a_gpu_brings_the_cpu_s_onnx_runtime(extra):
    """The two are one module: the one that was installed last would be there."""
    assert "onnxruntime" not in asked_by(extra)
    assert "onnxruntime" in asked_by("dev")


def test_make_installs_and_tests_with_the_extra_for_a_gpu():
    makefile = PROJECT.with_name("Makefile").read_text(encoding="utf-8")
    installs = [line for line in makefile.splitlines() if ".venv-cuda/bin/pip" in line]
    assert [line.split("--editable ")[1] for line in installs] == ["'.[cuda]'", "'.[cuda,test]'"]


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
