"""The wheel, in a fresh environment and away from the checkout, as a user gets it."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from machine import unavailable

ROOT = Path(__file__).parent.parent
UNREACHABLE = ("NewConnectionError", "NameResolutionError", "ConnectTimeout", "ProxyError")


def run(*command, cwd):
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def install(python, what):
    """Install ``what`` with its dependencies; skip where no package index can be reached."""
    command = [python, "-m", "pip", "install", "--quiet", "--retries", "1", what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and any(words in done.stderr for words in UNREACHABLE):
        unavailable("a package index")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
    run(*build, cwd=ROOT)
    (path,) = folder.glob("nst-*.whl")
    return path


def test_the_wheel_holds_what_is_no_python(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = "models/vgg16-slim.onnx", "kernels/kernels.cu", "kernels/neighbours.cu"
    files += "demo/swirl.jpg", "show/report.html", "studio/studio.html"
    for name in files:
        assert f"nst/{name}" in names
    assert not [name for name in names if name.startswith(("tests/", "scripts/"))]


def test_a_fresh_environment_paints_the_demo(wheel, tmp_path):
    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / "bin" / "python"
    install(python, f"{wheel}[cpu]")
    nst = tmp_path / "fresh" / "bin" / "nst"
    output = run(nst, "demo", "waves", "--size", 48, "--steps", 2, cwd=tmp_path)
    assert output.splitlines()[-1] == "out.png"
    assert (tmp_path / "out.png").is_file()
    where = run(python, "-c", "import nst; print(nst.__file__)", cwd=tmp_path)
    assert str(tmp_path) in where  # the wheel's, not the checkout's
    assert "nothing is wrong" in run(nst, "doctor", cwd=tmp_path)
