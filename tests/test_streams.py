"""Streams that nobody reads, or cannot: the picture is painted, the exit status is right."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nst import cli, streams
from nst.pictures import images
from nst.streams import Lenient

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
NST = f"'{sys.executable}' -m nst"


def shell(line, folder, **more):
    """Run a line of shell in ``folder`` and return the finished process, its output as text."""
    return subprocess.run(
        line, shell=True, cwd=folder, capture_output=True, text=True, check=False, **more
    )


@pytest.fixture
def painting(settings):
    """The words of a run of two steps, as a shell has them."""
    asked = settings()
    return (
        f"{NST} stylize '{asked.content}' '{asked.style[0].path}' --model '{asked.model}' "
        "--size 32 --scales 1 --steps 2 --device cpu --log losses.csv"
    )


# What becomes of the streams, and what a person still sees of the messages
STREAMS = {
    "output closed": ">&-",
    "errors closed": "2>&-",
    "both closed": ">&- 2>&-",
    "all closed": "<&- >&- 2>&-",
    "output full": ">/dev/full",
    "errors full": "2>/dev/full",
    "both full": ">/dev/full 2>&1",
    "unbuffered": "2>/dev/full >&2",
}


@POSIX
@pytest.mark.parametrize("name", STREAMS)
def test_a_picture_is_painted_whoever_listens(painting, tmp_path, name):
    environment = os.environ | ({"PYTHONUNBUFFERED": "1"} if name == "unbuffered" else {})
    done = shell(f"{painting} {STREAMS[name]}", tmp_path, env=environment)
    assert done.returncode == 0, done
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert max(images.load(tmp_path / "out.png").shape) == 32
    heads, *rows = (tmp_path / "losses.csv").read_text().splitlines()
    assert heads.startswith("step,")  # nobody's messages are in it
    assert [row[:2] for row in rows] == ["1,", "2,"]


@POSIX
def test_a_picture_is_painted_though_the_reader_left(painting, tmp_path):
    done = shell(f"({painting}; echo $? >status) | true", tmp_path)
    assert (tmp_path / "status").read_text() == "0\n"
    assert "Traceback" not in done.stderr
    assert "Broken pipe" not in done.stderr
    assert (tmp_path / "out.png").is_file()


@POSIX
def test_a_picture_is_painted_without_a_terminal(painting, tmp_path):
    done = shell(painting, tmp_path, stdin=subprocess.DEVNULL, start_new_session=True)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "out.png"


@POSIX
@pytest.mark.parametrize("stream", [">/dev/full", ">&-"])
def test_an_answer_that_nobody_got_is_told_by_the_status(tmp_path, stream):
    done = shell(f"({NST} recipes; echo $? >status) {stream}", tmp_path)
    if stream == ">/dev/full":  # the shell's own
        done = shell(f"{NST} recipes {stream}; echo $? >status", tmp_path)
    assert (tmp_path / "status").read_text() == "1\n"
    said = {">/dev/full": "no space left on device", ">&-": "standard output is closed"}
    told = f"nst: standard output did not take all that was printed: {said.get(stream)}.\n"
    assert done.stderr == told


@POSIX
@pytest.mark.parametrize(("reader", "lines"), [("head -1", 1), ("true", 0)])
@pytest.mark.parametrize("unbuffered", ["", "1"])  # with "1" each line is written by itself
def test_an_answer_of_which_somebody_wants_a_part_is_done(tmp_path, reader, lines, unbuffered):
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    done = shell(f"({NST} recipes; echo $? >status) | {reader}", tmp_path, env=environment)
    assert (tmp_path / "status").read_text() == "0\n"
    assert (done.stdout.count("\n"), done.stderr) == (lines, "")


@POSIX
@pytest.mark.parametrize(("stream", "status"), [(">/dev/full", 1), (">&-", 1), ("| true", 0)])
@pytest.mark.parametrize("command", ["stylize", "batch"])
def test_a_record_that_did_not_arrive_is_told_by_the_status(
    painting, tmp_path, command, stream, status
):
    if command == "batch":
        painting = painting.replace("' '", "' --style '").replace(" --log losses.csv", " -o .")
    painting = painting.replace(" stylize ", f" {command} ")
    done = shell(f"({painting} --json --quiet; echo $? >status) {stream}", tmp_path)
    if status:  # the shell's own standard output
        done = shell(f"{painting} --json --quiet {stream}; echo $? >status", tmp_path)
    assert (tmp_path / "status").read_text() == f"{status}\n", done
    assert ("standard output did not take all" in done.stderr) == bool(status)
    name = "out.png" if command == "stylize" else "photograph-painting.png"
    assert max(images.load(tmp_path / name).shape) == 32


@POSIX
@pytest.mark.parametrize("stream", ["2>&-", "2>/dev/full"])
def test_a_refusal_that_nobody_reads_keeps_its_status(tmp_path, stream):
    done = shell(f"{NST} demo --size 8 {stream}", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")


def test_without_any_stream_as_under_pythonw(settings, monkeypatch):
    asked = settings()
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    words = ["stylize", asked.content, asked.style[0].path, "-o", asked.output]
    words += ["--model", asked.model, "--size", "32", "--scales", "1", "--steps", "2"]
    assert cli.main([*map(str, words), "--device", "cpu"]) == 0
    assert asked.output.is_file()
    assert cli.main(["demo", "--size", "8"]) == 2
    assert sys.stdout is None


# ---- The stream itself ---------------------------------------------------------------


class Stream:
    """A text stream that fails at its third call."""

    encoding = "ascii"

    def __init__(self, error):
        self.error, self.texts = error, []

    def write(self, text):
        if len(self.texts) == 2:
            raise self.error
        self.texts.append(text.encode("ascii").decode())

    def flush(self):
        self.write("")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), BrokenPipeError(), ValueError()])
@pytest.mark.parametrize("call", ["write", "flush"])
def test_the_first_error_is_kept_and_silences_it(error, call):
    stream = Stream(error)
    lenient = Lenient(stream)
    assert lenient.write("one") == 3
    lenient.write("two")
    assert lenient.failure is None
    lenient.flush() if call == "flush" else lenient.write("three")
    assert lenient.failure is error
    stream.error = ZeroDivisionError("it is asked again")
    assert lenient.write("four") == 4
    lenient.flush()
    assert stream.texts == ["one", "two"]


def test_what_the_encoding_lacks_is_escaped():
    stream = Stream(None)
    Lenient(stream).write("Gr\u00fc\u00dfe, \udcff")
    assert stream.texts == ["Gr\\xfc\\xdfe, \\udcff"]


def test_all_else_is_the_stream_s_own():
    stream = Stream(None)
    assert Lenient(stream).encoding == "ascii"
    assert Lenient(stream).texts is stream.texts


def test_the_streams_are_given_back(monkeypatch, tmp_path):
    with Path(tmp_path / "printed").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        with streams.lenient() as output:
            print("heard", end="")
            assert sys.stdout is output
        assert sys.stdout is file
    assert (tmp_path / "printed").read_text() == "heard"
