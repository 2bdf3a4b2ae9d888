"""A contact sheet: one photograph in several styles, small and quick, on one page."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import PIL.Image

from nst import demo, files, terminal
from nst.errors import NstError
from nst.files import PathLike
from nst.many.batch import Painter, Standing
from nst.many.jobs import OF_ONE_PICTURE
from nst.many.pace import Pace
from nst.options import check_options
from nst.pictures import images, reading
from nst.pictures.held import held
from nst.run import marks
from nst.run.inputs import Inputs, prepare
from nst.run.plan import plan
from nst.run.records import Progress
from nst.run.shared import Shared
from nst.run.state import start
from nst.settings import Painting, Settings, paintings_of
from nst.stylize import Result, complete
from nst.values import check_functions

NOT_HERE = ("content", *OF_ONE_PICTURE, "plot", "save_every")
SIZE, STEPS = 256, 40  # of each picture: enough to choose by


def sheet(
    photograph: PathLike,
    styles: PathLike | Painting | Iterable[PathLike | Painting] = (),
    output: PathLike | None = None,
    *,
    on_progress: Callable[[Standing], None] | None = None,
    progress: bool = False,
    paint: Painter = complete,
    **options: Any,
) -> "Sheet":
    """Paint one page: the ``photograph``, and beside it the same in each of the ``styles``.

    Parameters
    ----------
    photograph : path
        An image file; - is standard input.
    styles : path, Painting, or iterable of these
        By default the four paintings that come along.
    output : path, optional
        .png or .jpg, where to save the sheet; the pictures on it are not saved apart.
    on_progress : function of a Standing, optional
        Called after every step.
    progress : bool
        Show a bar, in a notebook or a terminal.
    paint : Painter
        What paints one picture: ``stylize.complete``.
    options
        Further `Settings`, the same for all; ``size`` and ``steps`` are SIZE and STEPS by default.

    Returns
    -------
    results : Sheet
        A list of a Result for each style, which a notebook shows as the sheet.

    Raises
    ------
    NstError
        For what the user can mend; nothing is written then.
    """
    check_functions(on_progress=on_progress)
    check_options(options, sheet, NOT_HERE, "a sheet")
    paintings = paintings_of(styles or [demo.style_path(name) for name in demo.STYLES])
    options = {"size": SIZE, "steps": STEPS} | options
    if str(photograph) == reading.STDIN:  # it can be read only once
        photograph = held(reading.read(photograph).data, "content")
    runs = [Settings(photograph, (one,), None, **options) for one in paintings]
    read_too = {files.resolved(path) for run in runs for path in run.inputs}
    if output is not None:
        if files.resolved(output) in read_too:
            raise NstError(f"--output would overwrite an input, {output}; give another name.")
        images.check_output(output)
    with terminal.shown(on_progress, progress, several=True) as after_step:
        inputs, results = _painted(runs, paint, after_step)
    from nst.show import plots  # matplotlib takes a while to import

    panels = [("photograph", images.over_white(inputs.photograph, inputs.alpha))]
    for result, one in zip(results, paintings, strict=True):
        panels.append((one.path.stem, images.over_white(result.image, result.alpha)))
    found = Sheet(results, plots.drawn(plots.draw_sheet(panels)))
    if output is not None:
        images.save(output, found.image, metadata={marks.KEYWORD: inputs.mark})
    return found


class Sheet(list[Result]):
    """The results of a contact sheet, a style each, and its own ``image``, (3, H, W) in [0, 1]."""

    def __init__(self, results: Iterable[Result], image: np.ndarray) -> None:
        super().__init__(results)
        self.image = image

    def pil(self) -> PIL.Image.Image:
        """Return the sheet as an image of Pillow's, RGB."""
        return images.as_pil(self.image)

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows."""
        return images.as_png(self.image)


def _painted(
    runs: Sequence[Settings], paint: Painter, on_progress: Callable[[Standing], None] | None
) -> tuple[Inputs, list[Result]]:
    """Paint each of ``runs``; return the last one's inputs, and the results."""
    shared, pace, results = Shared(), Pace(), list[Result]()
    for number, settings in enumerate(runs):
        inputs = prepare(settings, shared=shared)
        planned = plan(inputs)
        estimate = 0.0 if planned.estimate is None else planned.estimate.seconds
        title, behind = settings.style[0].path.stem, len(runs) - number - 1

        def after_step(
            progress: Progress,
            number: int = number,
            title: str = title,
            estimate: float = estimate,
            behind: int = behind,
        ) -> None:
            if on_progress is not None:
                left = pace.left(estimate, progress.done, progress.seconds, behind)
                on_progress(Standing(number + 1, len(runs), title, progress, left))

        results.append(paint(inputs, planned, start(inputs, planned), after_step))
        pace.add(estimate, results[-1].history[-1]["seconds"] if results[-1].history else 0.0)
        shared.release()
    return inputs, results
