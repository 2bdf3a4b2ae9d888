"""Pictures of a batch on a worker: from the bytes of files to the bytes of files."""

import json
import os
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from nst import demo, memory
from nst.errors import NstError, NstWarning, with_notes
from nst.many.cluster import worker
from nst.many.picture import begun, losses_of
from nst.objective.styles.sums import StyleSums
from nst.run.inputs import prepare
from nst.run.plan import plan
from nst.run.records import Progress
from nst.run.shared import Shared
from nst.run.targets import measure_style
from nst.settings import Settings
from nst.show.apart import matplotlib_apart
from nst.stylize import complete

RESULTS = ".nst-results"  # the folder, in that of the task, which is sent back


def paint(
    order: Mapping[str, Any],
    files: Mapping[str, bytes],
    model: bytes,
    measured: Mapping[str, Any],
) -> dict[str, Any]:
    """Paint one picture; return its ``status``, and what else there is to say of it.

    Parameters
    ----------
    order : mapping
        ``settings``, as JSON; the ``model``'s sha256; the ``cpus`` to use; and ``here``, the
        folder in which relative paths begin, or None for one of our own.
    files : mapping of str to bytes
        What to read, by the paths in the settings; nothing where the worker finds it ``here``.
    model : bytes
        Of the network's file.
    measured : mapping
        What `measure` returned.

    Raises
    ------
    OSError, MemoryError
        Where another try, or another worker, may do better.
    """
    with at_work(order, files, model) as shared:
        shared.sent = measured
        began = time.perf_counter()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", NstWarning)
            told = attempted(_painted, order, shared)
        told["seconds"] = time.perf_counter() - began
        ours = [str(w.message) for w in warned if issubclass(w.category, NstWarning)]
        return told | {"warnings": ours}


def _painted(order: Mapping[str, Any], shared: "Measured") -> dict[str, Any]:
    settings = Settings.from_json(order["settings"])

    def mark(settings: Settings) -> str:
        return prepare(settings, asked=True, shared=shared).mark

    run = begun(settings, shared, mark)
    with matplotlib_apart():
        result = complete(*run, stop_if_unwanted)
    return {
        "status": "painted",
        "losses": losses_of(result.history),
        "files": {} if order["here"] else _results(),
    }


def attempted(
    paint: Callable[..., dict[str, Any]], order: Mapping[str, Any], shared: "Measured", *data: Any
) -> dict[str, Any]:
    """Return what ``paint`` returns, or what ended it and would end it anywhere.

    What another try may mend is raised, as one of Python's own exceptions.
    """
    try:
        return paint(order, shared, *data)
    except NstError as error:  # it would fail anywhere
        return {"status": "failed", "error": with_notes(error), "bug": None}
    except Exception as error:
        if isinstance(error, OSError) or memory.ran_out(error) or not _is_wanted():
            raise worker.plain(error) from None
        return {"status": "failed", "error": repr(error), "bug": traceback.format_exc()}
    finally:
        shared.release()


def refusal_in(told: Mapping[str, Any]) -> Exception | None:
    """Return, on the client, the error that a task has ``told`` of: see `attempted`."""
    if told["status"] == "painted":
        return None
    if told["bug"] is None:
        return NstError(told["error"])
    error = RuntimeError(told["error"])
    error.__cause__ = RuntimeError(f"on a worker:\n{told['bug']}")
    return error


def _is_wanted() -> bool:
    try:
        worker.stop_if_unwanted()
    except RuntimeError:
        return False
    return True


def stop_if_unwanted(_: Progress) -> None:
    """Let a run go on after a step only while somebody waits for it."""
    worker.stop_if_unwanted()


def _results() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(RESULTS).iterdir() if path.is_file()}


def measure(
    order: Mapping[str, Any], files: Mapping[str, bytes], model: bytes
) -> dict[str, dict[str, Any]]:
    """Return the sums of a painting at each size that a photograph will need; see `Measured`.

    ``order`` is that of a picture, of another photograph: what it looks like has no part in it,
    and what size it has, seldom.  Nothing where the painting cannot be measured: `paint` says why.
    """
    with at_work(order, files, model) as shared:
        shared.sent = {}
        shared.found = {}
        try:
            told = json.loads(order["settings"]) | {"content": str(demo.content_path())}
            inputs = prepare(Settings.from_json(json.dumps(told)), asked=True, shared=shared)
            planned = plan(inputs)
            for scale in planned.scales:
                for painting in inputs.paintings:
                    measure_style(inputs, painting, scale, planned.side, planned.share(scale))
        except (NstError, OSError, MemoryError):
            return {}
        finally:
            shared.release()
        return shared.found


class Measured(Shared):
    """What pictures share on one worker, and the sums that came from others.

    Sums are called by a digest of what they are of.  They travel as
    ``{digest: {tap: [sums, area]}}``.
    """

    sent: Mapping[str, Any] = {}
    found: dict[str, Any] | None = None  # where not None: what is measured here, too

    def sums_of(self, key: Any) -> dict[str, Any] | None:
        """Return what was kept under ``key``, here or where it came from."""
        there = self.sent.get(_called(key))
        if there is None:
            return super().sums_of(key)
        return {tap: StyleSums(sums, area) for tap, (sums, area) in there.items()}

    def keep(self, key: Any, sums: dict[str, Any]) -> None:
        """Keep the ``sums`` of a painting at one size."""
        super().keep(key, sums)
        plain = all(isinstance(one, StyleSums) for one in sums.values())
        if self.found is not None and plain:
            self.found[_called(key)] = {tap: [one.sums, one.area] for tap, one in sums.items()}


def _called(key: Any) -> str:
    """Return what the sums under ``key`` are called on every worker: see `measure_style`."""
    _, kinds, padding, side, content = key  # the network is that of the whole batch
    return f"{[(tap, kind.__name__) for tap, kind in kinds]} {padding} {side} {content}"


@contextmanager
def at_work(
    order: Mapping[str, Any], files: Mapping[str, bytes], model: bytes
) -> Iterator[Measured]:
    """Take a turn, in a folder where the settings' paths lead to their files."""
    with worker.turn(order["cpus"]), _folder(order["here"]) as folder, chdir(folder):
        for name, data in files.items():
            path = Path(folder, name)
            if not path.resolve().is_relative_to(Path(folder).resolve()):
                raise ValueError(f"{name} leads out of the folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if not order["here"]:
            Path(RESULTS).mkdir()
        sha256 = order["model"]
        path = worker.file_of(sha256, model)
        yield worker.kept(f"pictures:{sha256}", lambda: Measured(path))


@contextmanager
def _folder(here: str | None) -> Iterator[str]:
    if here is None:
        with tempfile.TemporaryDirectory(prefix="nst-") as folder:
            yield folder
    elif os.path.isdir(here):
        yield here
    else:
        raise ValueError(f"--shared: there is no folder {here} on this worker; leave it out")
