"""Runs that are stopped and go on: Ctrl-C after a step, and what must be the same at the end."""

from dataclasses import replace

import numpy as np
import pytest

from nst import resume, stylize
from nst.pictures import images


def stop_after(last):
    """Return an ``on_progress`` that is Ctrl-C after a step, the first of all being 1."""

    def stop(progress):
        if progress.step == last:
            raise KeyboardInterrupt

    return stop


def without_seconds(history):
    """Return the history but for what no two runs have in common."""
    return [{name: v for name, v in entry.items() if name != "seconds"} for entry in history]


def saved(path):
    """Return the pixels and the transparency of a file; None where none is written."""
    if path is None:
        return None
    rgb, alpha = images.load_with_alpha(path)
    return rgb if alpha is None else np.concatenate([rgb, alpha[None]])


def assert_the_same_when_stopped(asked, folder, *steps):
    """Stop a run after each of these ``steps``; in the end it is as one that was never stopped.

    And so is its file, if it has one.
    """
    expected = stylize(asked)
    written = saved(asked.output)
    first, *others = map(stop_after, steps)
    with pytest.raises(KeyboardInterrupt):
        stylize(replace(asked, checkpoint=folder), on_progress=first)
    for stop in others:
        with pytest.raises(KeyboardInterrupt):
            resume(folder, stop)
    result = resume(folder)
    np.testing.assert_array_equal(result.image, expected.image)
    np.testing.assert_array_equal(saved(asked.output), written)
    assert without_seconds(result.history) == without_seconds(expected.history)
    return expected
