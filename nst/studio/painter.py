"""The one who paints: a thread that takes piece after piece, and heeds the page between steps.

A knob that is turned ends a run between two steps and begins another, with the new settings, from
the picture as it is then: that is saved beside the inputs, and is the new run's --init.  So each
result can be painted again by a command line, and no loss is ever asked of a picture that another
objective has painted.  What is opened and measured already is kept for the next run.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from nst.errors import NstError, naming
from nst.pictures import images
from nst.run.ending import last_begun
from nst.run.inputs import prepare
from nst.run.plan import Plan, draft, plan
from nst.run.shared import Shared
from nst.run.state import start
from nst.settings import Settings
from nst.studio import steps
from nst.studio.piece import Knobs, Piece, Status
from nst.studio.shelf import as_jpeg, free, plain
from nst.studio.telling import said_of
from nst.studio.wish import PICTURES, Choices, Wish, in_page, onward, settings_of
from nst.stylize import Run

# Knobs that decide on sizes and memory: where one is turned, it is planned anew.
PLANNED = ("recipe", "model", "effort", "size", "style_scale", *PICTURES[1:])
TOO_LATE = "it was painted to its end before the last knob was turned; paint it once more."


class Painter:
    """Paints one piece at a time, the others wait; from any thread it takes what a page asks.

    ``changed`` is called, in its thread, when there is something new to tell.
    """

    def __init__(self, choices: Choices, changed: Callable[[], None]) -> None:
        self._choices = choices
        self._changed = changed
        self._news = threading.Condition()
        self._waiting: deque[Piece] = deque()
        self._questions: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._steps: float = 0  # that the present piece may still take; inf: it is not paused
        self._stop = False  # is asked for
        self._stopped = False  # was done
        self._closed = False
        self._shared, self._sharing = Shared(), ("", "")
        self.present: Piece | None = None
        self._thread = threading.Thread(target=self._work, name="painter", daemon=True)
        self._thread.start()

    # --- What a page asks, in any thread ------------------------------------------------------

    def add(self, piece: Piece) -> None:
        """Let a piece wait for its turn."""
        with self._news:
            self._waiting.append(piece)
            self._news.notify()

    def go(self, piece: Piece, steps: float = inf) -> None:
        """Let a piece take so many steps more, then pause."""
        with self._news:
            if piece is self.present:
                self._steps = steps
                self._news.notify()

    def pause(self, piece: Piece) -> None:
        """Let a piece take no step more for now."""
        self.go(piece, 0)

    def stop(self, piece: Piece) -> None:
        """End a piece and keep its picture; one that waits is taken off."""
        with self._news:
            if piece in self._waiting:
                self._waiting.remove(piece)
                piece.status = "stopped"
            elif piece is self.present:
                self._stop = True
                self._news.notify()
        self._changed()

    def turn(self, piece: Piece, wish: Wish) -> None:
        """Let a piece go on with other knobs, from its picture as it is."""
        settings = settings_of(wish, self._choices, piece.output)  # what cannot be is refused here
        with self._news:
            if piece in self._waiting:
                piece.wish, piece.settings = wish, settings
            elif piece is self.present:
                piece.asked = Knobs(wish, settings)
                self._news.notify()
            else:
                raise NstError(f"{piece.output.name} is painted to its end; paint it once more.")
        self._changed()

    def ask(self, question: Callable[[], Any]) -> Future[Any]:
        """Call ``question`` in the painter's thread, between two steps."""
        answer: Future[Any] = Future()
        with self._news:
            self._questions.append((question, answer))
            if self._closed and not self._thread.is_alive():
                answer.cancel()
            self._news.notify()
        return answer

    def waiting(self) -> list[Piece]:
        """Return the pieces that wait, in their order."""
        return list(self._waiting)

    def estimate(self, wish: Wish) -> Future[Any]:
        """Return the lines of what a wish would take."""

        def lines() -> list[str]:
            settings = settings_of(wish, self._choices, None)
            return plan(prepare(settings, asked=True, shared=self._shared)).lines

        return self.ask(lines)

    def close(self) -> None:
        """End after the present step; what was painted is kept."""
        with self._news:
            self._closed = self._stop = True
            self._news.notify()
        self._thread.join()
        for _, answer in self._questions:
            answer.cancel()

    # --- The thread ---------------------------------------------------------------------------

    def _work(self) -> None:
        while (piece := self._next()) is not None:
            try:
                with naming(in_page):
                    self._paint(piece)
                status: Status = "stopped" if self._stopped else "done"
            except Exception as error:
                status, piece.error = "failed", said_of(error)
            with self._news:
                self.present = None
                if piece.asked is not None and status == "done":
                    piece.error = TOO_LATE
                piece.asked, piece.status = None, status
            with suppress(Exception):
                self._shared.release()
            self._changed()

    def _next(self) -> Piece | None:
        """Return the piece to paint next, when there is one; None: it is to end."""
        while True:
            with self._news:
                while not (self._closed or self._waiting or self._questions):
                    self._news.wait()
                if self._closed:
                    return None
                if not self._questions:
                    self.present = self._waiting.popleft()
                    self._stop = False
                    self._steps = self.present.at_first
                    return self.present
            self._answer()

    def _answer(self) -> None:
        """Answer what was asked."""
        while self._questions:
            question, answer = self._questions.popleft()
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                with naming(in_page):
                    answer.set_result(question())
            except Exception as error:
                answer.set_exception(error)

    def _paint(self, piece: Piece) -> None:
        self._tell(piece, "preparing")
        run: Run | None = self._begun(piece, settings_of(piece.wish, self._choices, piece.output))
        try:
            while run is not None:
                run = self._painted(piece, run)
        finally:
            piece.take_back()
        if piece.step:
            with suppress(NstError, OSError):  # without its curves the picture is whole
                steps.keep(self._choices.shelf.folder, piece.output, piece.history, piece.turns)

    def _painted(self, piece: Piece, run: Run) -> Run | None:
        """Paint a run to its end, or to where another goes on: that one."""
        other = None
        with run:
            while True:
                came = time.perf_counter()
                self._stopped = not self._may_go_on(piece)
                piece.waited += time.perf_counter() - came
                if self._stopped:
                    break
                if (other := self._taken(piece, run)) is not None:
                    break
                progress = next(run, None)
                if progress is None:
                    break
                piece.took(progress)
                with self._news:
                    self._steps -= 1
                    paused = self._steps < 1
                if piece.wanted or paused:
                    shown = images.over_white(progress.picture(), run.inputs.alpha)
                    piece.show(as_jpeg(shown))
                self._tell(piece, "paused" if paused else "painting")
        if run.state.history:
            result = run.result
            piece.size = result.image.shape[2], result.image.shape[1]
            piece.show(as_jpeg(images.over_white(result.image, result.alpha)))
        return other

    def _may_go_on(self, piece: Piece) -> bool:
        """Wait while it is paused, answering what is asked; return False where it is to stop."""
        while True:
            self._answer()
            with self._news:
                if self._stop:
                    return False
                if self._steps >= 1:
                    return True
                if not self._questions:
                    self._tell(piece, "paused")
                    self._news.wait()

    def _taken(self, piece: Piece, run: Run) -> Run | None:
        """Return the run that goes on with the knobs that were turned; None where ``run`` does."""
        asked = piece.asked
        if asked is None:
            return None
        other = self._other(piece, run, asked.wish)
        with self._news:
            if piece.asked is asked:  # and none was turned meanwhile
                piece.asked = None
        return other

    def _other(self, piece: Piece, run: Run, wish: Wish) -> Run | None:
        """Return the run that goes on with ``wish`` where ``run`` is; None where that is refused.

        Then it goes on as it was, and the piece says why.
        """
        if wish == piece.wish:
            return None
        before = Knobs(piece.wish, piece.settings)
        piece.wish = wish
        try:
            settings = settings_of(wish, self._choices, piece.output)
            if piece.behind or run.state.history:
                settings = self._from_here(piece, run, settings)
            self._tell(piece, "preparing")
            alike = all(getattr(before.wish, name) == getattr(wish, name) for name in PLANNED)
            alike = alike and (before.wish.strength < 1) == (wish.strength < 1)
            other = self._begun(piece, settings, run.plan if alike else None)
        except (NstError, MemoryError) as error:
            piece.wish, piece.settings, piece.error = before.wish, before.settings, said_of(error)
            self._tell(piece)
            return None
        if run.state.history:
            piece.before, piece.behind = before, piece.step
            piece.turns.append(piece.step)
        return other

    def _from_here(self, piece: Piece, run: Run, settings: Settings) -> Settings:
        """Return ``settings`` that go on from the picture as it is, at its size."""
        history, height, width = run.state.history, *run.inputs.content.shape[1:]
        init = run.inputs.settings.init
        if history:
            path = free(self._choices.shelf.folder, f"{piece.output.stem}-start", ".png")
            images.save(path, run.inputs.device.asnumpy(run.state.image).clip(0, 1))
            init = str(path)
        scale = last_begun(history, run.plan.scales)
        settings = replace(settings, init=init)
        return onward(settings, height, width, scale.longer)

    def _begun(self, piece: Piece, settings: Settings, like: Plan | None = None) -> Run:
        """Return a run with these settings, planned, or as another that takes the same."""
        sharing = settings.model, settings.recipe
        if sharing != self._sharing:  # what the last one opened would only take memory
            self._shared, self._sharing = Shared(), sharing
        inputs = prepare(settings, shared=self._shared)
        if like is None:
            planned = plan(inputs)
            piece.lines = planned.lines
        else:
            planned = replace(draft(inputs), side=like.side, pairs=like.pairs, folder=like.folder)
        piece.settings, piece.error = settings, ""
        return Run(inputs, planned, start(inputs, planned))

    def _tell(self, piece: Piece, status: Any = None) -> None:
        if status is not None:
            piece.status = status
        self._changed()


def output_for(folder: Path, wish: Wish, choices: Choices, taken: set[Path]) -> Path:
    """Return where a piece is kept: ``photograph-painting.png``, or with a number behind it."""
    stem = "-".join(plain(Path(choices.shelf[id].name).stem) for id in (wish.content, wish.style))
    number = 1
    while True:
        path = folder / f"{stem}{f'-{number}' if number > 1 else ''}.png"
        if path not in taken and not path.exists():
            return path
        number += 1
