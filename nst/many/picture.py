"""One picture of a batch: begun, or gone on with where it was stopped, and what it came to."""

from collections.abc import Callable, Sequence

from nst import files, memory
from nst.errors import NstError
from nst.run import checkpoints
from nst.run.inputs import Inputs, default_folder, prepare
from nst.run.plan import Plan, plan
from nst.run.records import NOT_LOSSES
from nst.run.shared import Shared
from nst.run.state import State, reopen_to_paint, start
from nst.settings import Settings


def begun(
    settings: Settings, shared: Shared, mark: Callable[[Settings], str]
) -> tuple[Inputs, Plan, State]:
    """Return a run at its start, or where an earlier one of the same picture was stopped.

    ``mark(settings)`` is the mark of the picture: see marks.py.
    """
    if settings.output is not None:
        files.make_folder(settings.output.parent)
    folder = default_folder(settings)
    if checkpoints.saved(folder):
        try:
            saved = reopen_to_paint(folder)
            if saved[0].mark == mark(settings):
                return saved
        except NstError:
            pass  # of other inputs, or damaged: painted anew
    inputs = prepare(settings, shared=shared)
    planned = plan(inputs)
    return inputs, planned, start(inputs, planned)


def is_refusal(error: Exception) -> bool:
    """Return whether the machine or nst refuses; anything else is a bug."""
    return isinstance(error, NstError | OSError) or memory.ran_out(error)


def losses_of(history: Sequence[dict[str, float]]) -> dict[str, float] | None:
    """Return the losses of the last step: the total and each raw one; None where there is none."""
    if not history:
        return None
    return {name: value for name, value in history[-1].items() if name not in NOT_LOSSES}
