"""`nst video`, from the words of the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nst import demo
from nst.arguments import options_of
from nst.film.video import FilmPlan
from nst.film.video import video as paint_video
from nst.many.commands import heeding_signals
from nst.show.apart import matplotlib_apart
from nst.terminal import BatchBar, tell
from nst.values import counted, format_seconds


def video(film: str, styles: Sequence[str], output: Path, quiet: bool, **options: Any) -> int:
    """Paint FILM frame by frame; strokes move with what they are on."""
    given = options_of(styles=styles, **options)
    paintings = given.pop("style", (demo.style_path(next(iter(demo.STYLES))),))

    def show(plan: FilmPlan) -> None:
        if not quiet:
            tell(*lines_of(plan))

    with BatchBar(quiet) as bar, matplotlib_apart():
        filmed = paint_video(
            film,
            paintings,
            output,
            on_plan=show,
            on_progress=bar.show_standing,
            paint=heeding_signals,
            **given,
        )
    if not quiet and filmed.output is not None:
        tell(filmed.output)
    return 0


def lines_of(plan: FilmPlan) -> list[str]:
    """Return what painting a film takes, as people read it."""
    shoot = plan.shoot
    starts = ", ".join(str(scene.start + 1) for scene in shoot.survey.scenes[:12])
    more = len(shoot.survey.scenes) - 12
    full, estimate = shoot.first.full, shoot.first.estimate
    lines = [
        f"{counted(len(shoot.survey), 'frame')}, {shoot.clip.rate} a second, scenes begin at "
        f"frame {starts}" + (f" and {more} more" if more > 0 else ""),
        *(["the first frame of a scene:", *estimate.lines()] if estimate is not None else []),
        f"each frame after it: at most {counted(shoot.later.full.steps, 'step')} at "
        f"{full.width} x {full.height}",
        *([f"{counted(plan.workers, 'worker')}, a scene each at a time"] if plan.workers else []),
        f"at most about {format_seconds(plan.seconds)} for {counted(plan.frames, 'frame')}",
    ]
    return lines
