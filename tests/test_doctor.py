"""What `nst doctor` finds on a machine where something is missing."""

import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from nst import devices, doctor
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
    assert "not installed" in line(facts, "model vgg19: ")
    assert not any("\n" in fact for fact in facts)


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
    assert "nst[cpu]" in problems[0]


def test_without_the_embedded_model_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "folders", lambda: [tmp_path])
    facts, problems = doctor.examine()
    assert len(problems) == 1
    assert "vgg16-slim" in problems[0]
    assert problems[0] in line(facts, "model vgg16-slim: ")


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


def test_cupy_without_a_gpu_is_no_problem(monkeypatch):
    cuda = SimpleNamespace(is_available=lambda: False)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(__version__="14.9", cuda=cuda))
    facts, problems = doctor.examine()
    assert "CuPy 14.9" in facts
    assert "takes the CPU" in line(facts, "GPU: ")
    assert problems == []


def test_a_gpu_without_its_provider_is_a_problem(monkeypatch):
    properties = {"name": b"NVIDIA H200", "totalGlobalMem": 150e9}
    cuda = SimpleNamespace(
        is_available=lambda: True,
        runtime=SimpleNamespace(getDeviceProperties=lambda device: properties),
    )
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(__version__="14.9", cuda=cuda))
    runtime = SimpleNamespace(get_available_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(devices, "onnxruntime", lambda: runtime)
    facts, problems = doctor.examine()
    assert line(facts, "GPU: ") == "GPU: NVIDIA H200, 150.0 GB"
    assert len(problems) == 1
    assert "CUDA provider" in problems[0]
