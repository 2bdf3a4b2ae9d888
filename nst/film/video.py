"""A film is painted: gone through once, then scene by scene and frame by frame, and written."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from nst import devices, files, terminal
from nst.errors import NstError, brief, warn
from nst.files import PathLike
from nst.film import TEMPORAL, damage, extra, writing
from nst.film.clip import Clip, open_clip
from nst.film.kept import Kept, told_in
from nst.film.painting import Painted, Reel, Shoot, base_of, paint_stretch, plans
from nst.film.scenes import Scene, Survey, survey
from nst.film.writing import Kind, Parts, Pictures, Sink, parts_in
from nst.many.batch import Painter, Standing
from nst.many.jobs import OF_ONE_PICTURE
from nst.options import check_options
from nst.pictures import reading
from nst.run import checkpoints
from nst.run.records import Progress
from nst.run.scales import result_side
from nst.run.shared import Shared
from nst.settings import Painting, Settings, paintings_of
from nst.stylize import complete
from nst.values import check_functions, counted, is_count, is_number, path_of, shown

NOT_HERE = ("content", *OF_ONE_PICTURE, "plot", "save_every")
MOST_TEMPORAL, MOST_FRAME_STEPS = 1e6, 100_000  # larger numbers are slips


@dataclass(frozen=True)
class FilmPlan:
    """How a film is painted: what is told before it begins."""

    shoot: Shoot = field(repr=False)
    scene: int | None  # counts from 1: the only one that is painted now
    workers: int = 0  # that paint scenes at once; 0: this process, one after the other

    @property
    def seconds(self) -> float:
        """What painting all of it takes, about."""
        estimate = self.shoot.first.estimate
        if estimate is None:
            return 0.0
        last, scenes = estimate.scales[-1], len(self.scenes)
        later = last.preparing_seconds + self.shoot.later.full.steps * last.seconds
        return scenes * estimate.seconds + (self.frames - scenes) * later

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """Those that are painted."""
        scenes = self.shoot.survey.scenes
        return scenes if self.scene is None else scenes[self.scene - 1 : self.scene]

    @property
    def frames(self) -> int:
        """How many are painted."""
        return sum(map(len, self.scenes))


@dataclass(frozen=True)
class Filmed:
    """What a film came to."""

    output: Path | None  # None: not all scenes are painted yet
    frames: int  # of the whole film
    scenes: tuple[tuple[int, int], ...]  # from which frame, and before which
    painted: list[dict[str, float]] = field(repr=False)
    # ^ of each frame that was painted now: frame, steps, seconds, and its last losses


class SceneCrew(Protocol):
    """What paints several scenes at once, elsewhere: see many/cluster/film.py."""

    def painted(self, reels: Sequence[Reel]) -> Iterator[tuple[Scene, Painted]]:
        """Yield each frame when it was painted and kept, with its scene."""


def video(
    film: PathLike,
    styles: PathLike | Painting | Iterable[PathLike | Painting],
    output: PathLike,
    *,
    temporal: float = TEMPORAL,
    frame_steps: int | None = None,
    rate: Fraction | str | int | None = None,
    scene: int | None = None,
    on_plan: Callable[[FilmPlan], None] | None = None,
    on_progress: Callable[[Standing], None] | None = None,
    progress: bool = False,
    paint: Painter = complete,
    workers: int | Literal["auto"] | None = None,
    scheduler: str | None = None,
    **options: Any,
) -> Filmed:
    """Paint a ``film`` in the style of ``styles``, so that strokes move with what they are on.

    After Ruder, Dosovitskiy and Brox, *Artistic Style Transfer for Videos* (2016).  The first
    frame of each scene is painted as a photograph is; see `nst.film.painting` for the others.
    Sound is copied.  While it is painted, what is there is kept in a folder beside ``output``,
    such as ``out-film``; the same call goes on with it.

    Parameters
    ----------
    film : path
        A video file, a GIF, a folder of pictures, or a glob of them.
    styles : path, Painting, or iterable of these
        One or more.
    output : path
        .mp4, .m4v, .mov, .mkv, .webm or .gif; any other name is a folder for pictures.
    temporal : float
        How much a frame keeps of those before it, 0 or more: the weight of the temporal loss, in
        units of the total that the scene's first frame ended with.
    frame_steps : int, optional
        The most steps for a frame that is not the first of its scene; by default so many that
        it takes 0.13 of a still's work.
    rate : Fraction, str such as "24000/1001", or int, optional
        Frames a second of a row of pictures; 25 if not given.
    scene : int, optional
        Paint this scene only, counted from 1; when all are painted, the film is written.
    on_plan : function of a FilmPlan, optional
        Called before the first frame.
    on_progress : function of a Standing, optional
        Called after every step.
    progress : bool
        Show a bar, in a notebook or a terminal.
    paint : Painter
        What paints one frame: ``stylize.complete``; of a film that is painted here.
    workers, scheduler : int or "auto", str, optional
        So many processes on this machine paint scenes at once, or the workers of the Dask
        scheduler at this address; "auto" is as many as memory, CPUs and scenes allow.  The result
        has the same bits.
    options
        Further `Settings`, the same for all frames.  Without a ``size`` none is enlarged: a film
        keeps its own, up to that which the recipe has.

    Returns
    -------
    filmed : Filmed

    Raises
    ------
    NstError
        For what the user can mend: no film, a broken one, an extra that is not installed.
    ConnectionError
        Where the scheduler is gone; what was painted is kept.
    KeyboardInterrupt
        What was painted is kept.
    """
    check_functions(on_plan=on_plan, on_progress=on_progress)
    check_options(options, video, NOT_HERE, "a film")
    _check_numbers(temporal, frame_steps)
    extra.pyav(), extra.opencv()
    far = workers is not None or scheduler is not None
    if far:
        from nst.many.cluster import connection

        connection.check(1 if workers == "auto" else workers, scheduler)
    place = path_of("--output", output)
    clip = open_clip(film, _rate(rate))
    kind = writing.kind_of(place)
    settings = Settings(clip.path, paintings_of(styles), None, **options)
    device = devices.pick(settings.device)
    writing.check(place, kind, clip)
    surveyed = survey(clip)
    damage.warn_of(clip, surveyed)
    settings = _not_enlarged(settings, surveyed)
    shoot = _prepared(clip, surveyed, settings, device, temporal, frame_steps)
    if scene is not None and not (is_count(scene) and 1 <= scene <= len(shoot.survey.scenes)):
        raise NstError(
            f"--scene is {shown(scene)}; {clip.name} has "
            f"{counted(len(shoot.survey.scenes), 'scene')}, and they count from 1."
        )
    plan = FilmPlan(shoot, scene)
    mark = _mark(shoot, kind, frame_steps)
    named = files.named(place)
    folder = named.with_name(f"{named.stem}-film")
    with ExitStack() as stack:
        crew = None
        if far:
            from nst.many.cluster.film import Scenes, opened

            cluster = stack.enter_context(opened(shoot, len(plan.scenes), workers, scheduler))
            crew = Scenes(cluster, shoot, mark)
            plan = replace(plan, workers=len(cluster.workers()))
        after_step = stack.enter_context(terminal.shown(on_progress, progress, several=True))
        run = _Run(plan, folder, place, kind, mark, paint, after_step, crew)
        stack.enter_context(_locked(folder, mark))
        if on_plan is not None:
            on_plan(plan)
        try:
            whole = run.paint_all()
        except (extra.pyav().FFmpegError, OverflowError) as error:
            raise NstError(
                f"cannot write {place}: {brief(error)}; its frames are kept in {folder}: another "
                "kind of file, such as .mkv, or another --rate may hold them."
            ) from error
    if whole:
        _remove(folder)
    scenes = tuple((one.start, one.stop) for one in shoot.survey.scenes)
    return Filmed(place if whole else None, len(shoot.survey), scenes, run.painted)


def _check_numbers(temporal: float, frame_steps: int | None) -> None:
    if not is_number(temporal) or not 0 <= temporal <= MOST_TEMPORAL:
        raise NstError(
            f"--temporal is {shown(temporal)}; it must be a number from 0 to {MOST_TEMPORAL:g}."
        )
    if frame_steps is not None and not (
        is_count(frame_steps) and 1 <= frame_steps <= MOST_FRAME_STEPS
    ):
        raise NstError(
            f"--frame-steps is {shown(frame_steps)}; give a whole number from 1 to "
            f"{MOST_FRAME_STEPS}."
        )


def _not_enlarged(settings: Settings, surveyed: Survey) -> Settings:
    """Return the settings with the film's own size, where nothing asks for one, and it is less.

    Scales that are listed ask for one: the last.
    """
    size = surveyed.height, surveyed.width
    listed = isinstance(settings.scales, tuple)
    if settings.size is None and not listed and result_side(*size, settings) > max(size):
        return replace(settings, size=max(size))
    return settings


def _rate(rate: Fraction | str | int | None) -> Fraction | None:
    if rate is None:
        return None
    try:
        found = Fraction(0) if isinstance(rate, str) and "e" in rate.lower() else Fraction(rate)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        found = Fraction(0)
    if not 0 < found <= 1000:
        raise NstError(f"--rate is {shown(rate)}; give frames a second, such as 25 or 24000/1001.")
    return found


def _prepared(
    clip: Clip,
    surveyed: Survey,
    settings: Settings,
    device: devices.Device,
    temporal: float,
    frame_steps: int | None,
) -> Shoot:
    """Read the styles, open the network, and plan how frames are painted."""
    read = {path: reading.read(path, settings.memory) for path in settings.beside_content}
    hashes = {str(path): given.sha256 for path, given in read.items()}
    hashes[str(settings.content)] = clip.digest()  # which is of more than one of its pictures
    shared, reference = Shared(), surveyed.scenes[0].reference
    base = base_of(settings, device, read, hashes, reference, shared)
    picture = next(iter(clip.frames(0, 1))).picture
    first, later = plans(replace(base, photograph=picture, content=picture), frame_steps)
    common = clip, surveyed, settings, device, read, hashes, shared
    return Shoot(float(temporal), first, later, *common)


def _mark(shoot: Shoot, kind: Kind | None, frame_steps: int | None) -> str:
    """Return a hash of all that decides what is painted, as `marks.mark_of` does for a picture."""
    base = shoot.base(shoot.survey.scenes[0])
    told = [base.mark, shoot.temporal, frame_steps, str(shoot.clip.rate), kind]
    return hashlib.sha256(json.dumps(told, default=repr).encode()).hexdigest()


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _remove(folder: Path) -> None:
    """Remove the folder of a film that is written; of a link to one, the link too.

    Warn with NstWarning where that cannot be: what was painted is there.
    """
    try:
        shutil.rmtree(files.resolved(folder))
        if folder.is_symlink():
            folder.unlink()
    except OSError as error:
        warn(
            f"{folder} could not be removed ({brief(error.strerror or error)}): the film is "
            "whole, and nothing in it is needed any more"
        )


class _locked:
    """The folder of a film that is painted: no other run's, and no second run in it."""

    def __init__(self, folder: Path, mark: str) -> None:
        self._folder, self._mark = folder, mark
        self._lock: Any = None

    def __enter__(self) -> None:
        path = self._folder / "film.json"
        if path.exists():
            if told_in(path, dict[str, str]).get("mark") != self._mark:
                raise NstError(
                    f"{self._folder} holds frames of a film that was painted otherwise: paint it "
                    "as then to go on with it, remove the folder, or give another --output."
                )
        elif os.path.lexists(self._folder) and not _is_empty(self._folder):
            raise NstError(
                f"{self._folder} is there, and nst did not make it: a film's frames are kept in a "
                "folder of this name. Move it away, or give another --output."
            )
        files.make_folder(self._folder)
        self._lock = checkpoints.lock(self._folder, "--output")
        with files.replace_atomically(path) as file:
            file.write(json.dumps({"mark": self._mark}).encode())

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()


class _Run:
    """The scenes of a film, painted one after the other, or by workers at once."""

    def __init__(
        self,
        plan: FilmPlan,
        folder: Path,
        output: Path,
        kind: Kind | None,
        mark: str,
        paint: Painter,
        on_progress: Callable[[Standing], None] | None,
        crew: SceneCrew | None = None,
    ) -> None:
        self.painted: list[dict[str, float]] = []
        self._plan, self._shoot = plan, plan.shoot
        self._folder, self._output, self._kind = folder, output, kind
        self._mark, self._paint, self._on_progress = mark, paint, on_progress
        self._crew = crew

    def paint_all(self) -> bool:
        """Paint what is not painted yet; write the film if that was all, and return whether."""
        try:
            left = [one for one in self._plan.scenes if self._sink(one).done < len(one)]
            if self._crew is None:
                for one in left:
                    self._paint_scene(one)
            else:
                self._paint_elsewhere(left, self._crew)
        except BaseException as error:
            surveyed = self._shoot.survey
            error.add_note(
                f"{self._done(surveyed.scenes)} of {len(surveyed)} frames are painted and kept in "
                f"{self._folder}: the same command goes on."
            )
            raise
        self.painted.sort(key=lambda one: one["frame"])
        if any(self._sink(one).done < len(one) for one in self._shoot.survey.scenes):
            return False
        if self._kind is not None:
            parts = [part for one in self._shoot.survey.scenes for part in parts_in(self._at(one))]
            clip, surveyed = self._shoot.clip, self._shoot.survey
            writing.assemble(self._output, self._kind, clip, surveyed, parts)
        return True

    def _at(self, scene: Scene) -> Path:
        return self._folder / f"scene-{scene.start:08d}"

    def _sink(self, scene: Scene) -> Sink:
        if self._kind is None:
            return Pictures(self._output, scene.start, scene.stop, self._mark)
        return Parts(self._at(scene), scene.start, self._kind, self._shoot.clip)

    def _done(self, scenes: Sequence[Scene]) -> int:
        """Return how many frames of the ``scenes`` need not be painted again."""
        done = 0
        for one in scenes:
            painted = 0
            with suppress(NstError):  # what is kept of it is damaged
                painted = self._kept(one).painted if self._at(one).is_dir() else 0
            done += max(painted, self._sink(one).done)
        return done

    def _kept(self, scene: Scene) -> Kept:
        full = self._shoot.first.full
        return Kept(self._at(scene), full.height, full.width)

    def _reel(self, scene: Scene) -> Reel:
        return Reel(self._shoot, scene, self._kept(scene), self._sink(scene))

    def _paint_scene(self, scene: Scene) -> None:
        reel, telling = self._reel(scene), partial(self._telling, scene)
        while (stretch := reel.next(1)) is not None:
            for painted in paint_stretch(self._shoot, reel.base, stretch, self._paint, telling):
                reel.take(painted)
                self._record(scene, painted)

    def _paint_elsewhere(self, scenes: Sequence[Scene], crew: SceneCrew) -> None:
        began, count = time.perf_counter(), self._plan.frames
        before = self._done(self._plan.scenes)
        reels = [self._reel(scene) for scene in scenes]
        for done, (scene, painted) in enumerate(crew.painted(reels), start=before + 1):
            self._record(scene, painted)
            if self._on_progress is not None:
                mean = (time.perf_counter() - began) / (done - before)
                title, left = self._title(scene), mean * (count - done)
                self._on_progress(Standing(done, count, title, None, left, "frame"))

    def _record(self, scene: Scene, painted: Painted) -> None:
        if painted.history:
            last = painted.history[-1]
            told = {"frame": scene.start + painted.number + 1, "steps": len(painted.history)}
            self.painted.append(last | told)

    def _title(self, scene: Scene) -> str:
        scenes = self._shoot.survey.scenes
        number = 1 + sum(one.stop <= scene.start for one in scenes)
        return f"scene {number} of {len(scenes)}"

    def _telling(self, scene: Scene, in_scene: int) -> Callable[[Progress], None]:
        """Return what is called after each step of a frame of a ``scene``."""
        number = scene.start + in_scene
        scenes = self._plan.scenes
        firsts = {scene.start for scene in scenes}
        position = 1 + sum(min(max(number - s.start, 0), len(s)) for s in scenes)
        behind = self._plan.frames - position
        title = self._title(scene)
        later = [one["seconds"] for one in self.painted if one["frame"] - 1 not in firsts]

        def tell(progress: Progress) -> None:
            if self._on_progress is None:
                return
            rest = progress.seconds * (1 / progress.done - 1) if progress.done else 0.0
            mean = sum(later) / len(later) if later else self._foreseen()
            left = rest + behind * mean
            self._on_progress(
                Standing(position, self._plan.frames, title, progress, left, "frame")
            )

        return tell

    def _foreseen(self) -> float:
        """Return the seconds of a later frame as they were estimated."""
        estimate = self._shoot.first.estimate
        if estimate is None:
            return 0.0
        return self._shoot.later.full.steps * estimate.scales[-1].seconds
