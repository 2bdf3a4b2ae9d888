"""What Python calls: `stylize`, `paint` step by step, and `resume`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack, overload

from nst.files import PathLike
from nst.many.cluster.poster import shared_out
from nst.options import Options, Picture, check_options
from nst.run.inputs import prepare
from nst.run.plan import plan_to_paint
from nst.run.records import Progress
from nst.run.state import reopen_to_paint, start
from nst.settings import Painting, Settings
from nst.stylize import Result, Run, complete, preview
from nst.terminal import shown
from nst.values import check_functions

Style = Picture | Painting | Sequence[Picture | Painting]
OnProgress = Callable[[Progress], object]


@overload
def stylize(
    content: Settings,
    style: OnProgress | None = None,
    *,
    on_progress: OnProgress | None = None,
    progress: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Result: ...


@overload
def stylize(
    content: Picture,
    style: Style,
    output: PathLike | None = None,
    *,
    on_progress: OnProgress | None = None,
    progress: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    **options: Unpack[Options],
) -> Result: ...


def stylize(
    content: Picture | Settings,
    style: Style | OnProgress | None = None,
    output: PathLike | None = None,
    *,
    on_progress: OnProgress | None = None,
    progress: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    **options: Unpack[Options],
) -> Result:
    """Paint ``content`` in the style of ``style`` and return the result.

    Whatever ends the run after its first step (Ctrl-C, a loss that is no longer finite, a full
    memory, an error of ``on_progress``), the best picture so far is saved where ``output`` says,
    and the exception goes on with a note that tells where.  What cannot be written beside it is
    told in a warning.  A run of files that takes minutes is saved on the way too, and ``resume``
    goes on with it.

    Parameters
    ----------
    content : path, array, PIL.Image.Image or bytes; or Settings
        The photograph.  Arrays are (H, W, 3) or (3, H, W), uint8 or floats in [0, 1]; a fourth
        channel is opacity, and (H, W) is grey.  Bytes are those of a picture file.  `Settings`
        say everything by themselves; behind them ``on_progress`` may stand in place of a style.
    style : the same, the name of a painting that comes along, a Painting, or a list of these
        What is painted after.
    output : path, optional
        Where to save the picture; without, it is only returned.
    on_progress : function of a Progress, optional
        Called after every step; where it returns False, the run ends there.
    progress : bool
        Show a bar, in a notebook or a terminal.
    workers, scheduler : int, str, optional
        The tiles of a large picture are seen by so many processes of this machine, or by the
        workers of the Dask scheduler at this address.
    options
        Further `Settings`: ``size``, ``steps``, ``strength`` and so on.

    Returns
    -------
    result : Result
        The image, RGB in [0, 1], and the losses of every step.

    Raises
    ------
    NstError
        For what the user can mend: a bad image, an unknown model or tap, no GPU.
    ConnectionError
        Where the scheduler is gone; what was painted is saved.

    Examples
    --------
    >>> import numpy as np
    >>> photograph = np.random.default_rng(0).random((48, 64, 3))
    >>> result = stylize(photograph, "waves", size=48, scales=1, steps=3, model="vgg16-slim")
    >>> result
    <Result: 48 x 36 pixels after 3 steps>
    >>> result.image.shape
    (3, 36, 48)
    >>> sorted(result.losses)[:2], result.losses["total"].shape
    (['content relu4_1', 'smoothness'], (3,))
    """
    if isinstance(content, Settings) and callable(style):
        style, on_progress = None, style
    check_options(options, stylize)
    check_functions(on_progress=on_progress)
    inputs = prepare(_settings(content, style, output, options))  # read
    with shown(on_progress, progress) as after_step:
        draft = preview(inputs, after_step)
        if draft is not None and not draft[1].finished:  # stopped in it
            return draft[1]
        with shared_out(inputs, plan_to_paint(inputs), workers, scheduler) as planned:
            state = start(inputs, planned) if draft is None else draft[0]
            return complete(inputs, planned, state, after_step)  # each scale, step by step; save


@overload
def paint(content: Settings) -> Run: ...


@overload
def paint(
    content: Picture, style: Style, output: PathLike | None = None, **options: Unpack[Options]
) -> Run: ...


def paint(
    content: Picture | Settings,
    style: Style | None = None,
    output: PathLike | None = None,
    **options: Unpack[Options],
) -> Run:
    """Return the run that `stylize` would paint, to be painted one step at a time.

    It takes the pictures and options that `stylize` takes.  See `Run`: its ``result`` is what was
    painted so far.

    Parameters
    ----------
    content, style, output, options
        As for `stylize`.

    Raises
    ------
    NstError
        For what the user can mend, before the first step.

    Examples
    --------
    >>> import numpy as np
    >>> grey = np.linspace(0, 1, 40 * 50).reshape(40, 50)
    >>> run = paint(grey, "glass", size=40, scales=1, steps=9, model="vgg16-slim")
    >>> for progress in run:
    ...     if progress.step == 2:
    ...         break
    >>> run.close()
    >>> run.result
    <Result: 40 x 32 pixels after 2 steps, stopped>
    """
    check_options(options, paint)
    inputs = prepare(_settings(content, style, output, options))
    draft = preview(inputs)
    planned = plan_to_paint(inputs)
    return Run(inputs, planned, start(inputs, planned) if draft is None else draft[0])


def resume(
    folder: PathLike,
    on_progress: OnProgress | None = None,
    progress: bool = False,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Result:
    """Go on with the run whose checkpoints are in ``folder``, to its end; see `stylize`.

    On the CPU the result is, bit for bit, that of a run that was never stopped.

    Parameters
    ----------
    folder : path
        Of the checkpoints, such as ``out-checkpoint``.
    on_progress : function of a Progress, optional
        Called after every step; where it returns False, the run ends there.
    progress : bool
        Show a bar, in a notebook or a terminal.
    workers, scheduler : int, str, optional
        See `stylize`; a run goes on with workers, and without, with the tiles that it began with.

    Raises
    ------
    NstError
        If there is no checkpoint, or if a file that the run reads has changed.
    """
    check_functions(on_progress=on_progress)
    inputs, saved, state = reopen_to_paint(Path(folder))
    with (
        shown(on_progress, progress) as after_step,
        shared_out(inputs, saved, workers, scheduler) as planned,
    ):
        return complete(inputs, planned, state, after_step)


def _settings(
    content: Picture | Settings, style: Any, output: PathLike | None, options: Options
) -> Settings:
    if not isinstance(content, Settings):
        if style is None:
            raise TypeError("there is no style; give one beside the content, or Settings alone")
        return Settings(content, style, output, **options)
    if style is not None or output is not None or options:
        raise TypeError("Settings say everything by themselves; use dataclasses.replace on them")
    return content
