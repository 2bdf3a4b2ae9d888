"""Painting with a plan of the test's choice, which takes no probe; and with the run's own."""

from dataclasses import replace

from nst.run.plan import draft
from nst.run.state import start
from nst.stylize import complete


def paint(inputs, on_progress=None, **changes):
    """Paint as a whole and save nothing on the way, but for these ``changes`` of the plan."""
    planned = replace(draft(inputs), **changes)
    return complete(inputs, planned, start(inputs, planned), on_progress)


def begun(inputs):
    """Return what a run is before its first step, without a probe."""
    planned = draft(inputs)
    return inputs, planned, start(inputs, planned)
