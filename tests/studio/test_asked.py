"""What a page asks of a studio whose files somebody has changed, or whose disk refuses."""

import errno
import http.client
import json
import resource
import socket
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from asking import told, until

from nst.errors import NstError
from nst.pictures import images
from nst.studio.wish import Wish, wish_from

SMALL = {"size": 32, "steps": 2}


def handed_in(here, path, value=0.5):
    """Return the id of a picture that was handed in."""
    images.save(path, np.full((3, 20, 30), value, np.float32))
    return told(here, f"pictures?name={path.name}", "POST", path.read_bytes())["id"]


def test_a_picture_that_was_removed_can_be_handed_in_again(studio, here, tmp_path):
    id = handed_in(here, tmp_path / "a.png")
    kept = studio.choices.shelf[id].path
    wish = json.dumps({"content": id})
    assert str(kept) in told(here, "command", "POST", wish)["command"]
    kept.unlink()
    assert "not found" in told(here, "command", "POST", wish, 400)["error"]
    assert handed_in(here, tmp_path / "a.png") == id
    assert studio.choices.shelf[id].path.exists()
    assert told(here, "command", "POST", wish)


def test_numbers_that_json_does_not_have_are_refused_and_never_told(studio, here):
    with pytest.raises(NstError, match="style_weight is nan"):
        wish_from({"style_weight": float("nan")}, "what it says")
    piece = studio.begin(Wish(**SMALL))
    until(lambda: not piece.live)
    piece.history[-1]["total"] = float("inf")
    assert told(here, f"pieces/{piece.id}")["losses"][-1]["total"] is None
    with socket.create_connection(("127.0.0.1", here.port), timeout=30) as listener:
        said = f"GET /{here.token}/events HTTP/1.1\r\nHost: 127.0.0.1:{here.port}\r\n\r\n"
        listener.sendall(said.encode())
        text = ""
        while "data: " not in text or not text.rstrip("\r").endswith("\n\n"):
            text += listener.recv(1 << 20).decode().replace("\r\n", "\n")
    assert "Infinity" not in text
    assert '"total": null' in text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EIO, "Input/output error", "/a/b"), "Input/output error: '/a/b'"),
        (MemoryError(), "memory ran out; paint it smaller, or close what else is open."),
        (ZeroDivisionError("one of ours"), "a bug of nst: ZeroDivisionError('one of ours')"),
    ],
)
def test_whatever_ends_an_answer_is_said_in_one_line(studio, here, monkeypatch, error, said):
    def refuse(*_):
        raise error

    monkeypatch.setattr(studio._history, "told", refuse)
    assert told(here, "pieces/x", status=500)["error"] == said
    assert told(here, "choices")


def test_what_ended_before_its_first_step_has_no_picture(studio, here):
    first = studio.begin(Wish(size=64, steps=400), 1)
    until(lambda: first.status == "paused")
    assert "stop it" in told(here, f"pieces/{first.id}/file", status=400)["error"]
    waits = studio.begin(Wish(**SMALL))
    studio.painter.stop(waits)
    said = told(here, f"pieces/{waits.id}/file", status=400)["error"]
    assert said == (
        f"there is no picture {waits.output.name}: it ended before its first step, or was removed."
    )


def test_the_address_without_its_last_stroke_leads_to_the_page(here):
    connection = http.client.HTTPConnection("127.0.0.1", here.port, timeout=60)
    connection.request("GET", f"/{here.token}")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("location")) == (307, here.address)
    connection.close()


def test_a_question_that_nobody_waits_for_any_more_ends_no_painter(studio):
    piece = studio.begin(Wish(size=64, steps=400), 1)
    until(lambda: piece.status == "paused")
    with studio.painter._news:
        left = studio.painter.estimate(Wish(**SMALL))
        assert left.cancel()
    assert studio.painter.estimate(Wish(**SMALL)).result(60)
    studio.painter.go(piece, 1)
    until(lambda: piece.step == 2)
    studio.painter.close()
    assert studio.painter.estimate(Wish(**SMALL)).cancelled()


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of another process is set there")
def test_more_connections_than_files_may_be_open_are_no_traceback(tmp_path):
    command = [sys.executable, "-m", "nst", "studio", "--no-browser", "--model", "vgg16-slim"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, text=True, **pipes) as child:
        address = child.stdout.readline().split()[-1]
        port = int(address.split(":")[2].split("/")[0])
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (40, 40))
        many = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
        for one in many:
            one.close()
        with urllib.request.urlopen(f"{address}choices", timeout=60) as answer:
            assert answer.status == 200
        child.terminate()
        _, said = child.communicate(timeout=60)
    assert said == "\nnst: interrupted. Nothing was painted in nst-studio.\n"
