"""`nst models`: list, fetch and add, from the command line to a picture painted with the model."""

import errno
import hashlib
import os
import re
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import filelock
import numpy as np
import pytest
import safetensors.numpy
from graph_files import GraphFile
from published import (
    NARROW,
    Server,
    draw_keras,
    keras_h5,
    mxnet_onnx,
    torchvision_safetensors,
    torchvision_tensors,
    write_table,
)
from small_networks import NARROW_VGG16, TWO_BLOCKS, draw_arrays

from nst import cli
from nst.errors import NstError, NstWarning
from nst.pictures import images
from nst.vgg import Vgg, weights
from nst.vgg.architecture import ARCHITECTURES
from nst.vgg.export import export_network
from nst.weights import download, install, sources
from nst.weights.sources import CAFFE, SOURCES, Pin

PROGRAM = Path(__file__).parents[1] / "published.py"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's folder of models, not there yet; real names have narrow networks."""
    for name, architecture in NARROW.items():
        monkeypatch.setitem(ARCHITECTURES, name, architecture)
    monkeypatch.setenv("NST_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def server(folder, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0)
    monkeypatch.setattr(download, "PIECE", 1024)
    with Server() as running:
        yield running


@pytest.fixture
def kernels(rng):
    return draw_keras(NARROW_VGG16, rng)


@pytest.fixture
def table(server, kernels, rng, tmp_path, monkeypatch):
    """Three sources of vgg16 as in the real table: Keras, torchvision, and the model zoo."""
    arrays = draw_arrays(NARROW_VGG16, rng)
    h5 = keras_h5(tmp_path / "a.h5", kernels).read_bytes()
    onnx = mxnet_onnx(tmp_path / "a.onnx", arrays).read_bytes()
    tensors = safetensors.numpy.save(torchvision_tensors(arrays, classifier=50), {"format": "pt"})
    table = (
        server.source("/keras.h5", h5),
        server.source("/timm.safetensors", tensors, only_convolutions=True),
        server.source("/zoo.onnx", onnx),
    )
    monkeypatch.setattr(sources, "SOURCES", table)
    return table


def fetch(model="vgg16"):
    return install.fetch(model, lambda *_: None)


def files(folder):
    return {path.name for path in folder.iterdir()} - {".vgg16.lock"}


def start(table, *arguments, folder, program=(), **rest):
    """Start ``nst`` with this table, or as ``program`` says, in a process of its own."""
    path = write_table(folder.parent / "table.json", table)
    command = [sys.executable, *(program or [str(PROGRAM), str(path)]), *arguments]
    environment = os.environ | {"NST_MODELS": str(folder)}
    return subprocess.Popen(
        command,
        env=environment,
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **rest,
    )


# --- Fetch ------------------------------------------------------------------------------------


def test_the_first_source_becomes_the_model_and_nothing_else_is_left(table, server, folder):
    path = fetch()
    assert path == folder / "vgg16.onnx"
    assert files(folder) == {"vgg16.onnx"}
    assert {asked for asked, _ in server.requests} == {"/keras.h5"}
    assert weights.find("vgg16") == weights.find("auto") == path
    network = weights.load("vgg16")
    assert network.name == "vgg16"
    mean = network.arrays["mean"].ravel()
    np.testing.assert_allclose(mean * 255, [123.68, 116.779, 103.939], rtol=1e-6)


def test_each_of_the_sources_gives_a_model(table, server, folder, monkeypatch, rng):
    """The second and third hold the same weights, brought in two ways."""
    image = rng.random((3, 19, 33), np.float32)
    features = []
    for source in table:
        monkeypatch.setattr(sources, "SOURCES", (source,))
        fetch().rename(folder.parent / "kept.onnx")
        features.append(Vgg(folder.parent / "kept.onnx", ["relu5_3"]).forward(image)["relu5_3"])
    np.testing.assert_array_equal(features[1], features[2])
    assert np.abs(features[0] - features[1]).max() > 1e-3


def test_the_umask_decides_who_may_read_the_model(table, folder):
    before = os.umask(0o077)
    try:
        assert stat.S_IMODE(fetch().stat().st_mode) == 0o600
    finally:
        os.umask(before)


@pytest.mark.parametrize("status", [404, 500])
def test_the_next_source_is_tried_and_the_reason_is_told(status, table, server, folder):
    server.faults["/keras.h5"].status = status
    with pytest.warns(NstWarning, match=rf"http://127\.0\.0\.1:\d+/keras\.h5: HTTP {status} "):
        fetch()
    assert files(folder) == {"vgg16.onnx"}
    assert len(server.ranges("/timm.safetensors")) == 3
    assert server.ranges("/zoo.onnx") == []


def test_without_byte_ranges_the_third_source_is_taken(table, server, folder):
    server.faults["/keras.h5"].status = 404
    server.faults["/timm.safetensors"].no_ranges = True
    with pytest.warns(NstWarning) as told:
        fetch()
    assert "gives no byte ranges" in str(told[1].message)
    assert files(folder) == {"vgg16.onnx"}
    assert server.ranges("/zoo.onnx") == [""]


def test_a_wrong_checksum_is_no_model(table, server, folder, monkeypatch):
    monkeypatch.setattr(sources, "SOURCES", table[:1])
    server.files["/keras.h5"] = server.files["/keras.h5"][:-1] + b"!"
    with pytest.warns(NstWarning, match="has md5"), pytest.raises(NstError, match="its 1 sources"):
        fetch()
    assert files(folder) == set()


def test_any_fault_of_a_source_is_named_and_the_next_is_tried(table, folder, monkeypatch):
    """Even one that nobody has thought of."""
    real = download.download

    def fail_once(source, *rest):
        if source == table[0]:
            raise ZeroDivisionError("nobody thought\nof \x1b[2J this")
        return real(source, *rest)

    monkeypatch.setattr(download, "download", fail_once)
    with pytest.warns(NstWarning, match=r"h5: ZeroDivisionError: nobody thought of \[2J this\.$"):
        fetch()
    assert files(folder) == {"vgg16.onnx"}


def test_other_numbers_than_the_pinned_are_no_model(table, folder, monkeypatch):
    """As if the file of a published checksum held another network than it should."""
    wrong = replace(table[0], pin=Pin(13, "0" * 64))
    monkeypatch.setattr(sources, "SOURCES", (wrong, *table[1:]))
    with pytest.warns(NstWarning, match=r"h5: is not vgg16: its numbers are others"):
        fetch()
    assert files(folder) == {"vgg16.onnx"}


@pytest.mark.parametrize("depth", [4, 13])
def test_the_pinned_numbers_are_those_as_published(depth, table, server, rng, folder, monkeypatch):
    """Before the colours are brought to ours; the first layers, or all of them."""
    arrays = draw_arrays(NARROW_VGG16, rng)
    body = safetensors.numpy.save(torchvision_tensors(arrays), {"format": "pt"})
    digest = hashlib.sha256()
    for name in sorted(arrays):
        if depth == 13 or name < "conv3":
            digest.update(name.encode() + np.float32(arrays[name]).tobytes())
    pin = Pin(depth, digest.hexdigest())
    source = server.source("/pinned.safetensors", body, CAFFE, only_convolutions=True, pin=pin)
    monkeypatch.setattr(sources, "SOURCES", (source,))
    fetch()
    np.testing.assert_array_equal(
        weights.load("vgg16").arrays["conv1_1.weight"], arrays["conv1_1.weight"][:, ::-1]
    )


def test_weights_that_are_all_zero_are_no_model(table, server, folder, tmp_path, monkeypatch):
    """Of a .safetensors file only a part is brought, which no checksum of a file vouches for."""
    zeros = {name: np.zeros(shape) for name, shape in NARROW_VGG16.parameters.items()}
    body = safetensors.numpy.save(torchvision_tensors(zeros), {"format": "pt"})
    false = server.source("/zeros.safetensors", body, only_convolutions=True)
    monkeypatch.setattr(sources, "SOURCES", (false, table[0]))
    with pytest.warns(NstWarning, match=r"is not vgg16: conv1_1\.weight is 0 everywhere"):
        fetch()
    assert weights.load("vgg16").arrays["conv1_1.weight"].any()


def test_a_file_with_the_right_checksum_and_wrong_layers_is_no_model(
    server, kernels, folder, tmp_path, monkeypatch
):
    del kernels[5, 3]
    content = keras_h5(tmp_path / "short.h5", kernels).read_bytes()
    monkeypatch.setattr(sources, "SOURCES", (server.source("/short.h5", content),))
    with (
        pytest.warns(NstWarning, match=r"short\.h5: .*is not vgg16: conv5_3\.weight is mis"),
        pytest.raises(NstError, match="run `nst models add vgg16 FILE`"),
    ):
        fetch()
    assert files(folder) == set()


def test_what_a_source_left_behind_goes_when_another_works(table, server, folder):
    server.faults["/keras.h5"].cut_after, server.faults["/keras.h5"].cuts = 1_024, 99
    with pytest.warns(NstWarning, match=r"keras\.h5: .*, after 0\.0 of 0\.\d MB"):
        fetch()
    assert server.ranges("/keras.h5")[1] == f"bytes=1024-{table[0].size - 1}"
    assert files(folder) == {"vgg16.onnx"}


def test_a_cut_download_goes_on_at_the_next_try(table, server, folder, monkeypatch):
    monkeypatch.setattr(sources, "SOURCES", table[:1])
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    server.faults["/keras.h5"].cut_after = 5_120
    with pytest.warns(NstWarning), pytest.raises(NstError):
        fetch()
    assert not (folder / "vgg16.onnx").exists()
    with pytest.raises(NstError, match="not installed"):
        weights.find("vgg16")
    fetch()
    assert server.ranges("/keras.h5") == ["", f"bytes=5120-{table[0].size - 1}"]
    assert files(folder) == {"vgg16.onnx"}


def test_what_is_installed_is_not_brought_again(table, server, folder):
    first = fetch().read_bytes()
    server.requests.clear()
    assert fetch().read_bytes() == first
    assert server.requests == []


def test_a_damaged_model_is_replaced(table, folder):
    good = fetch().read_bytes()
    (folder / "vgg16.onnx").write_bytes(good[: len(good) // 2])
    with pytest.warns(NstWarning, match=r"vgg16\.onnx .* It is replaced"):
        fetch()
    assert (folder / "vgg16.onnx").read_bytes() == good


def test_another_network_under_that_name_is_replaced(table, folder, rng):
    folder.mkdir()
    network = weights.from_arrays(draw_arrays(TWO_BLOCKS, rng), name="vgg16")
    export_network(network, folder / "vgg16.onnx")
    with pytest.warns(NstWarning, match=r"is not vgg16: conv2_2\.weight .* It is replaced"):
        fetch()
    assert weights.load("vgg16").architecture == NARROW_VGG16


def test_a_disk_that_fills_up_while_converting_leaves_no_model(table, folder, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("nst.files.os.fsync", full)
    with pytest.raises(NstError, match="the disk is full"):
        fetch()
    assert files(folder) == set()


def test_a_folder_that_cannot_be_made_is_named(table, folder):
    folder.write_text("a file is in the way")
    with pytest.raises(NstError, match=r"cannot write into .*models"):
        fetch()


@pytest.mark.parametrize("model", ["vgg17", "auto", "../vgg16"])
def test_an_unknown_model_lists_the_known(model, folder):
    with pytest.raises(NstError, match=r"unknown model .*vgg16, vgg19\.$"):
        fetch(model)
    assert not folder.exists()


def test_the_embedded_model_needs_no_fetching(folder):
    with pytest.raises(NstError, match="comes with nst"):
        fetch("vgg16-slim")
    with pytest.raises(NstError, match="comes with nst"):
        install.add("vgg16-slim", folder / "a.npz")


def test_another_process_at_work_is_waited_for(table, folder):
    folder.mkdir()
    lock = filelock.FileLock(folder / ".vgg16.lock")
    with lock.acquire():
        process = start(table, "models", "fetch", "vgg16", folder=folder)
        assert process.stderr.readline() == (
            "nst: warning: another process is at work on vgg16; waiting for it.\n"
        )
        assert process.poll() is None
        assert files(folder) == set()
    assert process.communicate()[0] == f"{folder / 'vgg16.onnx'}\n"
    assert process.returncode == 0


def test_two_processes_at_once_bring_it_once(table, server, folder):
    server.faults["/keras.h5"].trickle = 0.01  # long enough for both to be there
    both = [start(table, "models", "fetch", "vgg16", folder=folder) for _ in range(2)]
    for process in both:
        printed, complaint = process.communicate(timeout=60)
        assert process.returncode == 0, complaint
        assert printed == f"{folder / 'vgg16.onnx'}\n"
    assert server.ranges("/keras.h5") == [""]
    assert files(folder) == {"vgg16.onnx"}


@pytest.mark.usefixtures("heard")
def test_ctrl_c_keeps_what_has_come_and_the_next_try_goes_on(table, server, folder):
    fault = server.faults["/keras.h5"]
    fault.stall_after = 5_120
    process = start(table, "models", "fetch", "vgg16", folder=folder)
    while not (parts := list(folder.glob("*.part"))) or parts[0].stat().st_size < 5_120:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed == ""
    assert "Traceback" not in complaint
    last = complaint.splitlines()[-1]
    assert last.startswith("nst: interrupted. 0.0 of 0.0 MB are kept in ")
    assert last.endswith("`nst models fetch vgg16` goes on from there.")
    assert str(parts[0]) in last
    assert not (folder / "vgg16.onnx").exists()

    fault.release.set()
    done = start(table, "models", "fetch", "vgg16", folder=folder)
    assert done.communicate(timeout=60)[0] == f"{folder / 'vgg16.onnx'}\n"
    assert server.ranges("/keras.h5") == ["", f"bytes=5120-{table[0].size - 1}"]
    assert files(folder) == {"vgg16.onnx"}


# --- Add --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".h5", ".safetensors", ".onnx", ".npz"])
def test_a_file_in_hand_becomes_the_model(suffix, kernels, rng, folder, tmp_path):
    file = tmp_path / f"in hand{suffix}"
    arrays = draw_arrays(NARROW_VGG16, rng)
    if suffix == ".h5":
        keras_h5(file, kernels)
    elif suffix == ".safetensors":
        torchvision_safetensors(file, arrays)
    elif suffix == ".onnx":
        mxnet_onnx(file, arrays)
    else:
        np.savez(file, **arrays)
    before = file.read_bytes()
    colours = "caffe" if suffix == ".h5" else "torchvision"
    assert install.add("vgg16", file, colours) == folder / "vgg16.onnx"
    assert weights.load("vgg16").architecture == NARROW_VGG16
    assert files(folder) == {"vgg16.onnx"}
    assert file.read_bytes() == before


def test_the_file_of_a_source_is_known_in_hand(table, server, folder, tmp_path):
    """The model zoo's: nothing in it says which colours, but its checksum is published."""
    file = tmp_path / "renamed.onnx"
    GraphFile(draw_arrays(NARROW_VGG16, np.random.default_rng(7))).save(file)
    with pytest.raises(NstError, match="nothing says which colours "):
        install.add("vgg16", file)
    sources.SOURCES = (*table, server.source("/known.onnx", file.read_bytes(), CAFFE))
    install.add("vgg16", file)
    assert weights.load("vgg16").arrays["mean"].ravel()[0] == np.float32(123.68 / 255)


def test_preprocessing_on_the_command_line(rng, folder, tmp_path, capsys):
    file = tmp_path / "a.npz"
    np.savez(file, **draw_arrays(NARROW_VGG16, rng))
    status, printed, complaint = run(capsys, "models", "add", "vgg16", file)
    assert (status, printed) == (2, "")
    assert len(complaint.splitlines()) == 1
    assert "--preprocessing caffe (BGR, 0..255, less (103.939, 116.779, 123.68))" in complaint
    assert "--preprocessing torchvision (RGB, 0..1, less (0.485, 0.456, 0.406), over" in complaint
    for name, red in {"caffe": 123.68 / 255, "torchvision": 0.485}.items():
        command = ("models", "add", "vgg16", file, "--preprocessing", name)
        assert run(capsys, *command) == (0, f"{folder / 'vgg16.onnx'}\n", "")
        assert weights.load("vgg16").arrays["mean"].ravel()[0] == np.float32(red)
    with pytest.raises(SystemExit, match="2"):
        run(capsys, "models", "add", "vgg16", file, "--preprocessing", "keras")


def test_a_wrong_file_leaves_the_installed_model_alone(table, folder, tmp_path):
    good = fetch().read_bytes()
    (tmp_path / "wrong.h5").write_text("<html>Sign in to the hotel's network</html>")
    with pytest.raises(NstError, match=r"wrong\.h5 is not a readable \.h5 file"):
        install.add("vgg16", tmp_path / "wrong.h5")
    assert (folder / "vgg16.onnx").read_bytes() == good


# --- The command line -------------------------------------------------------------------------


def run(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_the_list_names_every_model_its_sources_and_their_licences(folder, capsys):
    status, listed, complaint = run(capsys, "models")
    assert (status, complaint) == (0, "")
    for source in SOURCES:
        assert source.place in listed
        assert source.licence in listed
    assert "vgg16       13 convolutions  not installed; `nst models fetch vgg16`" in listed
    assert "vgg19       16 convolutions  not installed; `nst models fetch vgg19`" in listed
    assert re.search(r"vgg16-slim +\d+ convolutions  /.*vgg16-slim\.onnx", listed)
    assert "59 MB" in listed
    assert "80 MB" in listed


def test_the_list_says_what_is_installed(table, folder, capsys):
    fetch()
    assert f"13 convolutions  {folder / 'vgg16.onnx'}\n" in run(capsys, "models")[1]


def test_fetch_shows_progress_and_prints_the_path(table, server, folder, capsys):
    server.faults["/keras.h5"].trickle = 0.001
    status, printed, complaint = run(capsys, "models", "fetch", "vgg16")
    assert (status, printed) == (0, f"{folder / 'vgg16.onnx'}\n")
    assert "100%" in complaint
    assert "127.0.0.1" in complaint
    (folder / "vgg16.onnx").unlink()
    assert run(capsys, "models", "fetch", "vgg16", "--quiet")[2] == ""


def test_a_failure_names_each_url_and_its_reason_and_the_way_by_hand(
    table, server, folder, capsys
):
    server.faults["/keras.h5"].status = 404
    server.faults["/timm.safetensors"].no_ranges = True
    server.files["/zoo.onnx"] += b"\0"
    status, printed, complaint = run(capsys, "models", "fetch", "vgg16")
    assert (status, printed) == (2, "")
    first, second, third, last = [line for line in complaint.splitlines() if line.strip()]
    assert first == f"nst: warning: {table[0].url}: HTTP 404 Not Found."
    assert second.startswith(f"nst: warning: {table[1].url}: gives no byte ranges")
    assert third.startswith(f"nst: warning: {table[2].url}: has {table[2].size + 1} bytes, expec")
    assert last.startswith("nst: vgg16 could not be fetched from any of its 3 sources;")
    assert "`nst models add vgg16 FILE`" in last
    assert files(folder) == set()


def test_add_prints_the_path_and_refuses_a_pickle(kernels, folder, tmp_path, capsys):
    file = keras_h5(tmp_path / "a.h5", kernels)
    status, printed, complaint = run(capsys, "models", "add", "vgg16", file)
    assert (status, printed) == (0, f"{folder / 'vgg16.onnx'}\n")
    assert complaint == (
        f"nst: warning: {file} has the layer names of Keras, so it is taken to expect BGR, "
        "0..255, less (103.939, 116.779, 123.68); --preprocessing would say otherwise.\n"
    )
    (tmp_path / "a.pth").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    status, printed, complaint = run(capsys, "models", "add", "vgg16", tmp_path / "a.pth")
    assert (status, printed) == (2, "")
    assert len(complaint.splitlines()) == 1
    assert "safetensors.torch.save_file" in complaint
    assert not Path("opened").exists()


def test_a_picture_is_painted_with_what_was_fetched(table, folder, tmp_path, capsys):
    """--model auto takes vgg16 as soon as it is there, and says so; its deep layers are there."""
    options = ["--size", 32, "--steps", 1, "--scales", 1, "-o", tmp_path / "out.png"]
    assert "vgg16-slim, on" in run(capsys, "demo", *options)[1]
    fetch()
    assert "vgg16, on" in run(capsys, "demo", *options)[1]
    assert "vgg16, on" in run(capsys, "demo", *options, "--recipe", "gatys", "--model", "vgg16")[1]
    assert images.read_metadata(tmp_path / "out.png")["nst model"].startswith("vgg16 sha256 ")
    assert "vgg16-slim, on" in run(capsys, "demo", *options, "--model", "vgg16-slim")[1]
