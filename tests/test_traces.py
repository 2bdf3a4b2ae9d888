"""What a run leaves behind: what was asked for, and nothing else, on the disk or in the net."""

import os
import subprocess
import sys

import pytest

# Python's own hooks see the sockets that Python opens; those of libraries are seen here
CHILD = """
import os, sys

def heard(event, _):
    if event.startswith("socket."):
        print("heard", event, flush=True)

sys.addaudithook(heard)
from nst import cli

status = cli.main(sys.argv[1:])
opened = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
          if os.path.islink(f"/proc/self/fd/{n}")]
print("sockets", sum(one.startswith("socket:") for one in opened))
print("telemetry", os.environ["ORT_DISABLE_TELEMETRY"])
sys.exit(status)
"""


@pytest.fixture
def empty_home(tmp_path):
    """A user without any file, as the environment of a process."""
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "temporary").mkdir()
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("XDG_", "ORT_", "MPL", "MATPLOTLIB"))
    }
    return kept | {
        "HOME": str(home),
        "TMPDIR": str(tmp_path / "temporary"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture
def whole_run(settings, tmp_path):
    """The words of a run with everything that can be written beside its picture."""
    asked = settings()
    words = ["stylize", asked.content, asked.style[0].path, "-o", tmp_path / "out.png"]
    words += ["--model", asked.model, "--device", "cpu", "--size", "48", "--steps", "3"]
    words += ["--scales", "1", "--plot", "--save-every", "2", "--log", tmp_path / "log.csv"]
    return [*map(str, words), "--report", str(tmp_path / "page.html"), "--quiet"]


WRITTEN = {"log.csv", "page.html"}
WRITTEN |= {"out.png", "out-triptych.png", "out-losses.png", "out-00002.png"}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_whole_run_opens_no_socket_and_leaves_what_was_asked_for(
    whole_run, empty_home, tmp_path
):
    command = [sys.executable, "-c", CHILD, *whole_run]
    done = subprocess.run(
        command, env=empty_home, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "heard" not in done.stdout
    assert "sockets 0" in done.stdout
    assert "telemetry 1" in done.stdout
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert found == {"home", "temporary"} | WRITTEN


def test_who_wants_telemetry_has_it(empty_home):
    code = "from nst import devices; import os; devices.onnxruntime(); "
    code += "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    for said, expected in {"0": "0", "": "", None: "1"}.items():
        more = {} if said is None else {"ORT_DISABLE_TELEMETRY": said}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=empty_home | more,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected
