"""What `nst doctor` finds on a machine where something is missing."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from fake_gpu import CPU_BUILD, GPU_BUILD, fake_cupy, fake_runtime

from nst import devices, doctor, gpu
from nst.extras import installing
from nst.vgg import weights


@pytest.fixture(autouse=True)
def _no_models_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("NST_MODELS", str(tmp_path))


@pytest.fixture
def installed(monkeypatch):
    """Versions by package, for a test to change; a package that is not in it is missing."""
    versions = dict.fromkeys([*doctor.PACKAGES, "onnxruntime"], "1.2.3")
    monkeypatch.setattr(doctor, "_version", versions.get)
    return versions


def line(lines, start):
    found = [line for line in lines if line.startswith(start)]
    assert len(found) == 1, (start, lines)
    return found[0]


def test_here_nothing_is_wrong():
    facts, problems = doctor.examine()
    assert problems == []
    assert facts[0].startswith("nst ")
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in facts[0]
    for package in doctor.PACKAGES:
        assert f"{package} {metadata.version(package)}" in facts[1]
    assert "CPUExecutionProvider" in line(facts, "ONNX Runtime: ")
    assert "13 convolutions, average pooling" in line(facts, "model vgg16-slim: ")
    assert line(facts, "model vgg19: ").startswith("model vgg19: not installed; run `nst models ")
    assert not any("\n" in fact for fact in facts)


def test_it_looks_for_all_that_is_needed():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    needed = project["project"]["dependencies"]
    assert {re.match(r"[\w-]+", one)[0] for one in needed} == set(doctor.PACKAGES)


def test_a_missing_package_is_a_problem(installed):
    del installed["tqdm"]
    facts, problems = doctor.examine()
    assert "tqdm missing" in facts[1]
    assert "numpy 1.2.3" in facts[1]
    assert problems == ["tqdm is not installed"]


def test_both_runtimes_at_once_are_a_problem(installed):
    installed["onnxruntime-gpu"] = "4.5.6"
    facts, problems = doctor.examine()
    assert "onnxruntime 1.2.3, onnxruntime-gpu 4.5.6" in line(facts, "ONNX Runtime: ")
    assert len(problems) == 1
    assert "onnxruntime and onnxruntime-gpu are both installed" in problems[0]


def test_no_runtime_at_all_is_a_problem(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    facts, problems = doctor.examine()
    assert line(facts, "ONNX Runtime: ") == "ONNX Runtime: none"
    assert len(problems) == 1
    assert f"`{installing('cpu')}`, or for an NVIDIA GPU" in problems[0]


def test_without_the_embedded_model_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "folders", lambda: [tmp_path])
    facts, problems = doctor.examine()
    assert len(problems) == 1
    assert "vgg16-slim" in problems[0]
    assert line(facts, "model vgg16-slim: ").startswith("model vgg16-slim: missing, which comes ")


def test_a_damaged_model_of_the_user_s_is_told(tmp_path):
    (tmp_path / "vgg16-slim.onnx").write_bytes(b"half a file")
    facts, problems = doctor.examine()
    assert "not a readable ONNX file" in line(facts, "model vgg16-slim: ")
    assert len(problems) == 1


def test_without_cupy_the_cpu_is_enough(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    facts, problems = doctor.examine()
    assert "only needed for --device cuda" in line(facts, "CuPy: ")
    assert problems == []


@pytest.fixture
def install(monkeypatch):
    """A function that puts a CuPy, an ONNX Runtime, and how a trial ends, in their places."""

    def install(cupy, providers, trial=None):
        def try_out(device, runtime):
            if trial is not None:
                raise trial

        monkeypatch.setitem(sys.modules, "cupy", cupy)
        monkeypatch.setattr(devices, "onnxruntime", lambda: fake_runtime(*providers))
        monkeypatch.setattr(gpu, "try_out", try_out)

    return install


def test_cupy_without_a_gpu_is_no_problem(install):
    install(fake_cupy("cudaErrorInsufficientDriver", driver=0), CPU_BUILD)
    facts, problems = doctor.examine()
    assert "CuPy 14.9" in facts
    assert "takes the CPU" in line(facts, "GPU: ")
    assert problems == []


def test_an_environment_for_a_gpu_without_one_is_a_problem(install):
    install(fake_cupy("cudaErrorInsufficientDriver", driver=0), GPU_BUILD)
    facts, problems = doctor.examine()
    assert "does not work; --device auto takes the CPU" in line(facts, "GPU: ")
    assert len(problems) == 1
    assert "check `nvidia-smi`" in problems[0]


@pytest.mark.parametrize(
    ("providers", "trial", "told"),
    [
        (CPU_BUILD, None, "CUDA provider is not among"),
        (GPU_BUILD, RuntimeError("NOT_IMPLEMENTED : cuDNN is not available"), "found no cuDNN"),
    ],
)
def test_a_gpu_that_does_not_compute_is_a_problem(install, providers, trial, told):
    install(fake_cupy(), providers, trial)
    facts, problems = doctor.examine()
    line(facts, "GPU: NVIDIA H200, compute capability 9.0, 150.0 GB, 149.0 GB free")
    line(facts, "CUDA: driver for 13.1, CuPy with 13.2, cuDNN ")
    line(facts, "GPU: does not work; --device auto takes the CPU")
    assert len(problems) == 1
    assert told in problems[0]


def test_a_gpu_that_computes_is_told(install):
    install(fake_cupy(), GPU_BUILD)
    facts, problems = doctor.examine()
    line(facts, "GPU: NVIDIA H200")
    line(facts, "GPU: a convolution was computed on it")
    assert problems == []


def test_a_cupy_that_does_not_start_is_a_problem(monkeypatch):
    def load_cupy():
        raise PermissionError(13, "Permission denied", "/home/a/.cupy")

    monkeypatch.setattr(gpu, "load_cupy", load_cupy)
    facts, problems = doctor.examine()
    assert line(facts, "CuPy: ") == "CuPy: does not start"
    assert len(problems) == 1
    assert "CuPy cannot write /home/a/.cupy" in problems[0]
