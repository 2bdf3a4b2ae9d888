"""Every input is read once, into bytes, from wherever it comes; or refused in one line."""

import errno
import hashlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from refusals import raiser, refusal_of

from nst import Settings, memory, stylize
from nst.api import resume
from nst.cli import main
from nst.errors import NstError
from nst.pictures import images, reading
from nst.run import checkpoints
from nst.run.inputs import prepare
from nst.settings import Painting

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture
def folder(files, tmp_path, monkeypatch):
    """A working folder with a photograph, a painting and a mask, short of names."""
    for name in ("photograph.png", "painting.png", "tiny.onnx"):
        (tmp_path / name).write_bytes((files / name).read_bytes())
    images.save(tmp_path / "mask.png", np.ones((3, 25, 33), np.float32))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(content="photograph.png", style="painting.png", *more):
    run = ["--model", "tiny.onnx", "--size", "40", "--scales", "1", "--steps", "1", "--quiet"]
    return ["stylize", str(content), str(style), *run, *map(str, more)]


def write_later(pipe: Path, data: bytes) -> threading.Thread:
    thread = threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True)
    thread.start()
    return thread


# Read once


def test_an_input_has_its_bytes_and_their_sha256(tmp_path):
    data = bytes(range(256)) * 9
    (tmp_path / "a.png").write_bytes(data)
    read = reading.read(tmp_path / "a.png")
    assert read.name == str(tmp_path / "a.png")
    assert read.data == data
    assert read.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.filterwarnings("ignore:the mask .* another shape")
def test_a_run_opens_each_input_once_and_hashes_what_it_decodes(settings, files, monkeypatch):
    """A file that changes while it is read is decoded as it was hashed."""
    names = ["photograph.png", "painting.png", "start.png", "inside.png", "region.png"]
    for name in names[2:]:
        images.save(files / name, np.full((3, 30, 40), 0.8, np.float32))
    opened = []

    def hook(event, arguments):
        if event == "open" and isinstance(arguments[0], str) and arguments[0].endswith(".png"):
            opened.append(Path(arguments[0]).name)

    sys.addaudithook(hook)
    style = Painting(files / "painting.png", 1, files / "inside.png", files / "region.png")
    run = prepare(settings(style=style, init=str(files / "start.png"), output=None))
    assert sorted(opened) == sorted(names)
    for name in names:
        sha256 = hashlib.sha256((files / name).read_bytes()).hexdigest()
        assert run.files[str(files / name)] == sha256


@POSIX
@pytest.mark.parametrize("which", ["content", "style", "style mask", "content mask", "init"])
def test_a_named_pipe_will_do_for_every_input(folder, which):
    names = {
        "content": "photograph.png",
        "style": "painting.png",
        "style mask": "mask.png",
        "content mask": "mask.png",
        "init": "photograph.png",
    }
    os.mkfifo("pipe")
    writer = write_later(folder / "pipe", Path(names[which]).read_bytes())
    here = dict(names, **{which: "pipe"})
    more = ("--style-mask", here["style mask"], "--content-mask", here["content mask"])
    more += ("--init", here["init"])
    assert main(arguments(here["content"], here["style"], "-o", "piped.png", *more)) == 0
    writer.join()
    more = ("--style-mask", "mask.png", "--content-mask", "mask.png", "--init", "photograph.png")
    assert main(arguments("photograph.png", "painting.png", "-o", "plain.png", *more)) == 0
    np.testing.assert_array_equal(images.load("piped.png"), images.load("plain.png"))


@pytest.mark.parametrize("name", ["-", pytest.param("/dev/stdin", marks=POSIX)])
@pytest.mark.parametrize("which", ["content", "style", "mask", "init"])
def test_standard_input_will_do_for_every_input(folder, name, which):
    source = {"style": "painting.png", "mask": "mask.png"}.get(which, "photograph.png")
    words = arguments(
        name if which == "content" else "photograph.png",
        name if which == "style" else "painting.png",
        *(("--style-mask", name) if which == "mask" else ()),
        *(("--init", name) if which == "init" else ()),
    )
    with open(source, "rb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "nst", *words], stdin=file, capture_output=True, text=True
        )
        piped = subprocess.run(
            [sys.executable, "-m", "nst", *words, "-o", "piped.png"],
            input=Path(source).read_bytes(),
            capture_output=True,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert (piped.returncode, piped.stderr) == (0, b"")
    np.testing.assert_array_equal(images.load("out.png"), images.load("piped.png"))


def test_one_name_given_twice_is_read_once(folder):
    words = arguments("-", "-", "--init", "-")
    done = subprocess.run(
        [sys.executable, "-m", "nst", *words],
        input=Path("photograph.png").read_bytes(),
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_standard_input_keeps_its_name_from_folder_to_folder(folder, tmp_path_factory):
    said = Settings("-", "painting.png", init="-").as_json()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    moved = Settings.from_json(said, folder)
    assert (str(moved.content), moved.init) == ("-", "-")
    os.chdir(elsewhere)
    moved = Settings.from_json(said, folder)
    assert (str(moved.content), moved.init) == ("-", "-")
    assert moved.style[0].path == folder / "painting.png"


def test_a_run_from_standard_input_goes_on_with_the_same_bytes(settings, folder, monkeypatch):
    def given(name):
        return lambda path: open(name, "rb") if str(path) == "-" else open(path, "rb")

    def stop(progress):
        if progress.step == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(reading, "_opened", given("photograph.png"))
    asked = settings(content="-", checkpoint="saved", steps=3, scales=1)
    with pytest.raises(KeyboardInterrupt):
        stylize(asked, on_progress=stop)
    assert checkpoints.load(Path("saved")).inputs["-"]
    monkeypatch.setattr(reading, "_opened", given("painting.png"))
    assert "- has changed since" in refusal_of(resume, Path("saved"))
    monkeypatch.setattr(reading, "_opened", given("photograph.png"))
    resumed = resume(Path("saved"))
    once = stylize(settings(steps=3, scales=1, output="once.png"))
    np.testing.assert_array_equal(resumed.image, once.image)


# Refused


def _socket(path: Path):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    return listening


WRONG = {
    "folder": "cannot read folder: it is a folder; name an image in it",
    "": "cannot read an image without a name, or the folder '.'; name a file",
    ".": "cannot read an image without a name, or the folder '.'; name a file",
    "a.sock": "cannot read a.sock: it is a socket; name an image file",
    "empty.png": "cannot read empty.png: the file is empty; give a JPEG,",
    "/dev/null": "cannot read /dev/null: the file is empty; give a JPEG,",
    "photograph.png/x": "image not found: photograph.png/x. Check the path.",
    "x" * 300: "xxx: file name too long; check the file and its permissions",
    "a\0b": "'a\\x00b'",
}
PLACES = {
    "content": lambda name: arguments(name),
    "style": lambda name: arguments("photograph.png", name),
    "style mask": lambda name: arguments(*NAMES, "--style-mask", name),
    "content mask": lambda name: arguments(*NAMES, "--content-mask", name),
    "--init": lambda name: arguments(*NAMES, "--init", name),
}
NAMES = ("photograph.png", "painting.png")


@POSIX
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_image_file_is_one_line_wherever_it_is_given(folder, capsys, name, place):
    expected = WRONG[name]
    Path("folder").mkdir()
    Path("empty.png").touch()
    with _socket(Path("a.sock")):
        try:
            status = main(PLACES[place](name))
        except SystemExit as refused:  # by the command line itself
            status = refused.code
    assert status == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    name = name if len(name) < 60 else name[:40]  # a message shows no more
    others = [f"--init is {name!r}"[:50], *([] if name else ["the name is empty; give that of a"])]
    assert any(words in told for words in (expected, *others))
    assert not Path("out.png").exists()


@POSIX
@pytest.mark.parametrize("place", PLACES)
def test_a_file_without_read_permission_is_one_line(folder, capsys, monkeypatch, place):
    """Root may read everything, so the refusal is made up."""
    refuse = raiser(PermissionError(errno.EACCES, "Permission denied"))

    def opened(path):
        return refuse() if str(path) == "mask.png" else open(path, "rb")

    monkeypatch.setattr(reading, "_opened", opened)
    assert main(PLACES[place]("mask.png")) == 2
    assert capsys.readouterr().err == (
        "nst: cannot read mask.png: permission denied; check the file and its permissions\n"
    )


@POSIX
def test_an_endless_pipe_is_left_where_it_is_too_large(monkeypatch):
    monkeypatch.setattr(reading, "LARGEST", 5_000_000)
    assert _refusal_of_a_pipe("auto") == (
        "cannot use standard input: it is larger than 5 MB, the most that is read of an image "
        "here; make it smaller"
    )


@POSIX
@pytest.mark.parametrize("budget", ["200GB", "1MB", "auto"])
def test_an_endless_pipe_is_left_where_the_memory_ends(monkeypatch, budget):
    """Half of what the run may take, for a pipe's parts are joined; but never less than SMALL."""
    monkeypatch.setattr(memory, "used", lambda device: 0)
    monkeypatch.setattr(memory, "free", lambda device: 50_000_000)
    monkeypatch.setattr(reading, "SMALL", 3_000_000)
    most = {"200GB": int(memory.SHARE * 50), "1MB": 3, "auto": int(memory.SHARE * 50 / 2)}[budget]
    assert f"it is larger than {most} MB, the most that is read" in _refusal_of_a_pipe(budget)


def _refusal_of_a_pipe(budget):
    """Read a pipe without end as standard input; return the refusal."""
    endless = subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE)
    kept = os.dup(0)
    try:
        os.dup2(endless.stdout.fileno(), 0)
        return refusal_of(reading.read, "-", budget)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        endless.kill()
        endless.stdout.close()
        endless.wait()


@POSIX
def test_a_device_is_no_picture_however_much_it_holds():
    most = memory.highest()
    assert refusal_of(reading.read, "/dev/zero") == (
        "cannot read /dev/zero: it is a device, not a picture; name an image file"
    )
    assert memory.highest() - most < 50_000_000
    with open("/dev/zero", "rb") as file:
        done = subprocess.run(
            [sys.executable, "-c", "from nst.pictures import images; images.load('-')"],
            stdin=file,
            capture_output=True,
            text=True,
        )
    assert "cannot read standard input: it is a device, not a picture" in done.stderr


def test_a_large_file_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LARGEST", 1000)
    (tmp_path / "large.png").write_bytes(bytes(1001))
    (tmp_path / "just.png").write_bytes(bytes(1000))
    assert "it is larger than 0 MB" in refusal_of(reading.read, tmp_path / "large.png")
    assert len(reading.read(tmp_path / "just.png").data) == 1000


def test_no_more_is_read_than_there_is_memory_for(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "free", lambda device: 10**7)
    (tmp_path / "large.png").write_bytes(bytes(8_000_001))
    assert "it is larger than 8 MB" in refusal_of(reading.read, tmp_path / "large.png")


@POSIX
def test_a_terminal_is_no_picture():
    """Without a pipe `-` would wait for somebody to type one."""
    controller, terminal = os.openpty()
    done = subprocess.run(
        [sys.executable, "-c", "from nst.pictures import images; images.load('-')"],
        stdin=terminal,
        capture_output=True,
        text=True,
    )
    os.close(controller)
    os.close(terminal)
    assert "cannot read standard input: it is a terminal; pipe an image into it" in done.stderr


@POSIX
def test_a_closed_standard_input_is_one_line(folder):
    words = f"{sys.executable} -m nst {' '.join(arguments('-'))} <&-"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "cannot read standard input" in done.stderr


def test_an_unreadable_start_is_no_error_of_the_program(folder):
    with pytest.raises(NstError, match="--init is 'nowhere'; choose content, noise, style"):
        Settings("photograph.png", "painting.png", init="nowhere")


def test_messages_call_standard_input_by_its_name(folder):
    done = subprocess.run(
        [sys.executable, "-m", "nst", *arguments("-")],
        input=b"To whom it may concern",
        capture_output=True,
        text=False,
    )
    assert done.returncode == 2
    assert b"cannot read standard input: it is not a JPEG" in done.stderr


def test_a_picture_can_be_given_as_bytes(tmp_path, pixels):
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    read = reading.read(tmp_path / "a.png")
    (tmp_path / "a.png").unlink()
    assert images.load(read).shape == (3, *pixels.shape[:2])
