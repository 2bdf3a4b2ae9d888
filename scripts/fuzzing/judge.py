"""Running one case in this process, and saying what came of it.

Only two ends are good: exit status 0, and exit status 2 with one readable line that says why.
"""

import io
import os
import re
import signal
import sys
import threading
import time
import traceback
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from fuzzing.cases import Case, write
from nst import cli, memory
from nst.errors import NstError, NstWarning
from nst.run.inputs import prepare
from nst.run.plan import draft
from nst.run.state import start

FINE, REFUSED = "fine", "refused in one line"
TRACEBACK, HANG, MEMORY, RAW = "TRACEBACK", "HANG", "OVER MEMORY", "RAW TEXT"
MESSAGE, TOUCHED, CRASH = "UNREADABLE LINE", "FILE TOUCHED", "CRASH"
FAILURES = (TRACEBACK, HANG, MEMORY, RAW, MESSAGE, TOUCHED, CRASH)

LONGEST_LINE = 300  # characters
PATIENCE = 3.0  # seconds of work, after which a run gets Ctrl-C: it may be meant to be long
DEEPEST = 12  # frames of a traceback that are kept


@dataclass(frozen=True)
class Verdict:
    """What came of a case."""

    result: str  # FINE, REFUSED or one of FAILURES
    sort: str = ""  # what failures with one cause have in common
    text: str = ""  # all that was said


class Terminal:
    """Takes the place of file descriptors 1 and 2: what a C library writes there is raw text."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "terminal").open("w+b", buffering=0)
        for descriptor in (1, 2):
            os.dup2(self._file.fileno(), descriptor)

    def read(self) -> str:
        """Return what was written since the last time."""
        if not os.fstat(self._file.fileno()).st_size:
            return ""
        self._file.seek(0)
        text = self._file.read().decode(errors="replace")
        self._file.seek(0)
        self._file.truncate()
        return text


def judge(case: Case, folder: Path, terminal: Terminal, watch: "Watch", budget: int) -> Verdict:
    """Run ``case`` in ``folder`` and return what came of it; it removes its files again.

    ``budget`` is what this process may hold meanwhile, in bytes.
    """
    before = _files(folder)
    write(folder, case.files)
    own = _files(folder)
    os.chdir(folder)
    try:
        verdict = _judge(case, terminal, watch, budget)
        touched = _touched(own, _files(folder), case, verdict)
    finally:
        _restore(folder, before)
    if touched and verdict.result in (FINE, REFUSED):
        return Verdict(TOUCHED, "touched " + ", ".join(touched)[:60], verdict.text)
    return verdict


def _judge(case: Case, terminal: Terminal, watch: "Watch", budget: int) -> Verdict:
    terminal.read()
    with _said() as said, watch:
        try:
            status = _run(case)
        except KeyboardInterrupt:
            status = 128 + signal.SIGINT
        except BaseException as error:
            return _of_exception(error, said)
    text, raw = said.text(), terminal.read()
    if watch.highest > budget:
        return Verdict(MEMORY, _normal(case.what), f"{watch.highest / 1e6:.0f} MB held\n{text}")
    if raw or said.foreign:
        shown = raw or said.foreign[0]
        sort = _normal(re.split(r"[:,]", shown.splitlines()[0])[0]).split(" ")[0]
        return Verdict(RAW, sort, raw + "\n".join(said.foreign))
    if "Traceback (most recent call last)" in text:
        last = [line for line in text.splitlines() if line.strip()][-1]
        return Verdict(TRACEBACK, _normal(last), text)
    if status == 128 + signal.SIGINT:
        if "The picture after step" in text:
            return Verdict(FINE, text=text)
        return Verdict(HANG, f"interrupted before its first step: {_normal(case.what)}", text)
    return _of_lines(status, said)


def _run(case: Case) -> int:
    """Return the exit status of the case's command line, or 0 if its settings can be a run."""
    if case.words:
        try:
            return cli.main(case.words)
        except SystemExit as end:  # of the parser
            return end.code if isinstance(end.code, int) else 1
    try:
        inputs = prepare(case.settings())
        start(inputs, draft(inputs))
    except NstError as error:
        print("nst:", error, file=sys.stderr)
        return 2
    return 0


def _of_exception(error: BaseException, said: "_Said") -> Verdict:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if f"{os.sep}nst{os.sep}" in f.filename] or frames[-1:]
    last = f"{Path(ours[-1].filename).name}, {ours[-1].name}" if ours else "nowhere"
    text = said.text() + "".join(traceback.format_exception(error, limit=-DEEPEST))
    return Verdict(TRACEBACK, f"{type(error).__name__} in {last}: {_normal(str(error))}", text)


def _of_lines(status: int, said: "_Said") -> Verdict:
    """Judge the words of a run that ended by itself."""
    lines = [line for line in said.errors().split("\n") if line.strip()]
    foreign = [line for line in lines if not line.startswith(("nst: ", "nst:\t"))]
    refusals = [line for line in lines if not line.startswith("nst: warning:")]
    text = said.text()
    if status not in (0, 2):
        return Verdict(TRACEBACK, f"exit status {status}", text)
    if unreadable := [line for line in lines if not _readable(line)]:
        return Verdict(MESSAGE, "control characters: " + _normal(unreadable[0]), text)
    if foreign:
        return Verdict(MESSAGE, "not one line: " + _normal(lines[0]), text)
    if too_long := [line for line in lines if len(line) > LONGEST_LINE]:
        return Verdict(MESSAGE, f"{len(too_long[0])} characters: " + _normal(too_long[0]), text)
    if len(refusals) != (1 if status == 2 else 0):
        return Verdict(MESSAGE, f"{len(refusals)} refusals, status {status}", text)
    return Verdict(
        REFUSED if status == 2 else FINE, _normal(refusals[0]) if refusals else "", text
    )


def _readable(line: str) -> bool:
    """Tell whether a terminal shows ``line`` as it is: no controls, no halves of characters."""
    unwanted = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return not any(unicodedata.category(character) in unwanted for character in line)


def _normal(text: str) -> str:
    """Return what of a message is the same for every file: no names, no numbers."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "'...'", text)
    text = re.sub(
        r"\S*\.(png|jpg|tiff?|webp|gif|avif|heic|npz|onnx|h5|safetensors|toml)\b", "F", text
    )
    return re.sub(r"[0-9a-fx]*\d[0-9a-fx.]*", "N", " ".join(text.split()))[:110]


# --- What is said -----------------------------------------------------------------------------


class _Said:
    """What Python code wrote to standard output and error, and warned of."""

    def __init__(self) -> None:
        self.streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace") for _ in "oe"]
        self.foreign: list[str] = []

    def errors(self) -> str:
        return self._read(self.streams[1])

    def text(self) -> str:
        return "".join(map(self._read, self.streams))

    @staticmethod
    def _read(stream: io.TextIOWrapper) -> str:
        stream.flush()
        buffer = stream.buffer
        return buffer.getvalue().decode()  # type: ignore[attr-defined]


@contextmanager
def _said() -> Iterator[_Said]:
    """Catch what is said.  A warning that is not nst's own would be shown to a user: foreign."""
    said = _Said()
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = said.streams
    with warnings.catch_warnings():
        warnings.resetwarnings()
        for unseen in (DeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", unseen)
        warnings.showwarning = _warning_shower(said)
        try:
            with _cli_warnings(said):
                yield said
        finally:
            sys.stdout, sys.stderr = kept


def _warning_shower(said: _Said):
    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        if issubclass(category, NstWarning):
            print("nst: warning:", message, file=sys.stderr)
        else:
            said.foreign.append(f"{category.__name__}: {message}")

    return show


@contextmanager
def _cli_warnings(said: _Said) -> Iterator[None]:
    """Let the command line's own way to show a warning tell foreign ones apart too."""
    kept, cli.show_warning = cli.show_warning, _warning_shower(said)
    try:
        yield
    finally:
        cli.show_warning = kept


# --- Time -------------------------------------------------------------------------------------


class Watch:
    """Sees how much memory this process holds, and presses Ctrl-C after PATIENCE seconds of work.

    One thread looks at all cases, one after the other.  The system's own count of the most memory
    is not enough: nst itself sets it back when it measures.
    """

    def __init__(self) -> None:
        self.highest = 0  # bytes, in this case
        self._began: float | None = None  # None: no case runs, or it got its Ctrl-C
        self._process = psutil.Process()
        threading.Thread(target=self._look, daemon=True).start()

    def __enter__(self) -> None:
        with suppress(OSError):  # what it took to draw the case does not count
            Path("/proc/self/clear_refs").write_text("5")
        self.highest, self._began = 0, time.process_time()

    def __exit__(self, *_: object) -> None:
        self._began = None
        self.highest = max(self.highest, memory.highest())

    def _look(self) -> None:
        while True:
            time.sleep(0.02)
            began = self._began
            if began is None:
                continue
            self.highest = max(self.highest, self._process.memory_info().rss)
            if time.process_time() - began > PATIENCE:
                self._began = None
                os.kill(os.getpid(), signal.SIGINT)


# --- Files ------------------------------------------------------------------------------------


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the size and time of every file below ``folder``."""
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                path = os.path.join(root, name)
                about = os.lstat(path)
                found[os.path.relpath(path, folder)] = (about.st_size, about.st_mtime_ns)
    return found


def _touched(
    before: dict[str, tuple[int, int]],
    after: dict[str, tuple[int, int]],
    case: Case,
    verdict: Verdict,
) -> list[str]:
    """Return the files that were changed or removed, and those that were left half written."""
    changed = [name for name, about in before.items() if after.get(name) != about]
    left = [name for name in after if name not in before and name.endswith((".tmp", ".part"))]
    return [n for n in (*changed, *left) if not n.startswith(case.may_change or ("\0",))]


def _restore(folder: Path, before: dict[str, tuple[int, int]]) -> None:
    """Remove what in ``folder`` is new or changed; what should stand there is written again."""
    os.chdir(folder)
    for name, about in _files(folder).items():
        if before.get(name) != about:
            with suppress(OSError):
                os.unlink(folder / name)
    for root, folders, _ in os.walk(folder, topdown=False):
        for name in folders:
            with suppress(OSError):
                os.rmdir(os.path.join(root, name))
