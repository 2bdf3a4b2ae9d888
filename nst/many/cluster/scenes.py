"""Frames of a film's scene on a worker: from arrays to arrays."""

import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nst import demo, devices
from nst.film.painting import Painted, Stretch, Way, base_of, paint_stretch
from nst.many.cluster import worker
from nst.many.cluster.painting import Measured, at_work, attempted, stop_if_unwanted
from nst.pictures import reading
from nst.run.inputs import Inputs
from nst.run.plan import Plan
from nst.run.records import Progress
from nst.run.scales import Scale
from nst.settings import Settings
from nst.stylize import complete

Plain = Mapping[str, Any]


def paint(
    order: Plain, files: Mapping[str, bytes], model: bytes, stretch: Plain
) -> dict[str, Any]:
    """Paint a ``stretch`` of a scene; return its ``status``, and its ``frames`` or what ended it.

    Parameters
    ----------
    order : mapping
        As `painting.paint` has it; with the ``way`` that frames are painted, and the name of the
        ``scene``.
    files : mapping of str to bytes
        The paintings and masks, by the paths in the settings.
    model : bytes
        Of the network's file.
    stretch : mapping
        What `plain_stretch` returned.

    Raises
    ------
    OSError, MemoryError
        Where another try, or another worker, may do better.
    """
    with at_work(order, files, model) as shared, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client has said them
        return attempted(_painted, order, shared, stretch)


def _painted(order: Plain, shared: Measured, told: Plain) -> dict[str, Any]:
    way, stretch = _way_of(order["way"]), _stretch_of(told)

    def make() -> Inputs:
        return _base(order["settings"], told["reference"], shared)

    base = worker.kept(f"scene:{order['scene']}", make)
    frames = paint_stretch(way, base, stretch, complete, _telling)
    return {"status": "painted", "frames": [_plain_painted(one) for one in frames]}


def _base(settings: str, reference: np.ndarray, shared: Measured) -> Inputs:
    """Return what the frames of a scene have in common; its photograph is the ``reference``."""
    told = json.loads(settings) | {"content": str(demo.content_path())}  # the film is not here
    found = Settings.from_json(json.dumps(told))
    paths = [path for path in found.inputs if path != found.content]
    read = {path: reading.read(path, found.memory) for path in paths}
    files = dict.fromkeys(map(str, found.inputs), "")  # no picture is saved that would name them
    return base_of(found, devices.pick(found.device), read, files, reference, shared)


def _telling(_: int) -> Callable[[Progress], object]:
    return stop_if_unwanted


# ---- As they travel ----------------------------------------------------------------------


def plain_way(way: Way) -> dict[str, Any]:
    """Return how frames are painted as numbers."""
    plans = {"first": way.first, "later": way.later}
    return {"temporal": way.temporal} | {
        name: {
            "scales": [[one.height, one.width, one.steps, one.fine] for one in plan.scales],
            "side": plan.side,
            "pairs": plan.pairs,
            "window": plan.window,
        }
        for name, plan in plans.items()
    }


def _way_of(told: Plain) -> Way:
    first, later = (
        Plan(**told[name] | {"scales": tuple(Scale(*one) for one in told[name]["scales"])})
        for name in ("first", "later")
    )
    return Way(told["temporal"], first, later)


def plain_stretch(stretch: Stretch, reference: np.ndarray) -> dict[str, Any]:
    """Return frames to paint, and the scene's ``reference`` (3, h, w), as numbers and arrays."""
    return {
        "start": stretch.start,
        "pictures": stretch.pictures,
        "past": {number: list(known) for number, known in stretch.past.items()},
        "unit": stretch.unit,
        "reference": reference,
    }


def _stretch_of(told: Plain) -> Stretch:
    past = {number: (luma, image) for number, (luma, image) in told["past"].items()}
    return Stretch(told["start"], told["pictures"], past, told["unit"])


def _plain_painted(painted: Painted) -> dict[str, Any]:
    return {
        "number": painted.number,
        "levels": painted.levels,
        "shown": painted.shown,
        "unit": painted.unit,
        "history": painted.history,
    }


def painted_of(told: Plain) -> Painted:
    """Undo, on the client, what a worker has made of a painted frame."""
    return Painted(**told)
