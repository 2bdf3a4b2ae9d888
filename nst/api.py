"""What Python calls: `stylize`, `paint` step by step, and `resume`."""

from collections.abc import Callable
from pathlib import Path

from nst.run.inputs import prepare
from nst.run.plan import plan
from nst.run.records import Progress
from nst.run.state import reopen_to_paint, start
from nst.settings import Settings
from nst.stylize import Result, Run, complete, preview


def stylize(settings: Settings, on_progress: Callable[[Progress], object] | None = None) -> Result:
    """Paint ``settings.content`` in the style of ``settings.style``; save and return the result.

    Whatever ends the run after its first step (Ctrl-C, a loss that is no longer finite, a full
    memory, an error of ``on_progress``), the best picture so far is saved, and the exception goes
    on with a note that says where.  What cannot be written beside it is told in a warning.  A run
    that takes minutes is saved on the way too, and ``resume`` goes on with it.

    Parameters
    ----------
    settings : Settings
        What to paint, and how.
    on_progress : function of a Progress, optional
        Called after every step; where it returns False, the run ends there.

    Returns
    -------
    result : Result
        The image, RGB in [0, 1], and the losses of every step.

    Raises
    ------
    NstError
        For what the user can mend: a bad image, an unknown model or tap, no GPU.
    """
    inputs = prepare(settings)  # read
    draft = preview(inputs, on_progress)
    if draft is not None and not draft[1].finished:  # stopped in it
        return draft[1]
    planned = plan(inputs)
    state = start(inputs, planned) if draft is None else draft[0]
    return complete(inputs, planned, state, on_progress)  # each scale, step by step; save


def paint(settings: Settings) -> Run:
    """Return the run that `stylize` would paint, to be painted one step at a time.

    Its ``result`` is what was painted so far.  See `Run`.

    Parameters
    ----------
    settings : Settings
        What to paint, and how.

    Raises
    ------
    NstError
        For what the user can mend, before the first step.
    """
    inputs = prepare(settings)
    draft = preview(inputs)
    planned = plan(inputs)
    return Run(inputs, planned, start(inputs, planned) if draft is None else draft[0])


def resume(folder: Path, on_progress: Callable[[Progress], object] | None = None) -> Result:
    """Go on with the run whose checkpoints are in ``folder``, to its end; see `stylize`.

    On the CPU the result is, bit for bit, that of a run that was never stopped.

    Parameters
    ----------
    folder : path
        Of the checkpoints, such as ``out-checkpoint``.
    on_progress : function of a Progress, optional
        Called after every step; where it returns False, the run ends there.

    Raises
    ------
    NstError
        If there is no checkpoint, or if a file that the run reads has changed.
    """
    return complete(*reopen_to_paint(folder), on_progress)
