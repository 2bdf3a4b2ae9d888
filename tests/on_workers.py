"""What tests do inside of a worker's process: count, fail and die at a definite moment.

A worker that is started anew has it, too: see `distributed.WorkerPlugin`.
"""

import os
import signal
from collections import Counter
from pathlib import Path

import distributed

from nst import machine
from nst.errors import NstError
from nst.many.cluster import painting, scenes, tiles, worker
from nst.run import targets
from nst.vgg import runtime

counted: Counter = Counter()


class Counting(distributed.WorkerPlugin):
    """Counts the networks that are opened, and each picture whose sums are measured."""

    name = "counting"

    def setup(self, worker):
        self.init, self.sums_at = runtime.Vgg.__init__, targets.sums_at

        def opening(vgg, *given):
            counted["opened"] += 1
            self.init(vgg, *given)

        def measuring(inputs, image, *rest):
            counted[image.tobytes().hex()] += 1
            return self.sums_at(inputs, image, *rest)

        runtime.Vgg.__init__, targets.sums_at = opening, measuring

    def teardown(self, worker):
        runtime.Vgg.__init__, targets.sums_at = self.init, self.sums_at
        counted.clear()


class Failing(distributed.WorkerPlugin):
    """Lets the painting of one result end as ``how`` says: once, if there is a ``marker`` file."""

    name = "failing"

    def __init__(self, output, how, marker=None):
        self.output, self.how, self.marker = output, how, marker

    def setup(self, worker):
        self.complete = painting.complete

        def complete(inputs, plan, state, on_progress):
            def after_step(progress):
                on_progress(progress)
                if inputs.settings.output.name == self.output and self.is_due():
                    end(self.how)

            return self.complete(inputs, plan, state, after_step)

        painting.complete = complete

    def is_due(self):
        if self.marker is None:
            return True
        first = not Path(self.marker).exists()
        Path(self.marker).touch()
        return first

    def teardown(self, worker):
        painting.complete = self.complete


class EndingScene(distributed.WorkerPlugin):
    """Lets the painting of a scene end as ``how`` says, after the first step of a frame.

    Frames count from 1 in each task; once in all, if there is a ``marker`` file.
    """

    name = "ending-scene"

    def __init__(self, scene, frame, how, marker=None):
        self.scene, self.frame, self.how, self.marker = scene, frame, how, marker

    def setup(self, worker):
        self.painted, self.complete = scenes._painted, scenes.complete
        here = {"due": False, "frames": 0}

        def painted(order, *given):
            here.update(due=order["scene"].split()[-1] == str(self.scene), frames=0)
            return self.painted(order, *given)

        def complete(inputs, plan, state, on_progress):
            here["frames"] += 1

            def after_step(progress):
                on_progress(progress)
                if here["due"] and here["frames"] == self.frame and self.is_due():
                    end(self.how)

            return self.complete(inputs, plan, state, after_step)

        scenes._painted, scenes.complete = painted, complete

    is_due = Failing.is_due

    def teardown(self, worker):
        scenes._painted, scenes.complete = self.painted, self.complete


class Dying(distributed.WorkerPlugin):
    """Lets the worker die in a pass over tiles, once in all: ``marker`` is a file."""

    name = "dying"

    def __init__(self, function, number, marker):
        self.function, self.number, self.marker = function, number, marker

    def setup(self, worker):
        self.real = getattr(tiles, self.function)
        calls = []

        def dying(*given):
            calls.append(given)
            if len(calls) == self.number and not Path(self.marker).exists():
                Path(self.marker).touch()
                end("kill")
            return self.real(*given)

        dying.__module__, dying.__qualname__ = tiles.__name__, self.function
        setattr(tiles, self.function, dying)

    def teardown(self, worker):
        setattr(tiles, self.function, self.real)


def die_once(marker, data):
    """Return ``data``; the first time, end the process."""
    if not Path(marker).exists():
        Path(marker).touch()
        end("kill")
    return data


def die(*_):
    end("kill")


def end(how):
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    errors = {"memory": MemoryError, "bug": TypeError, "disk": OSError, "refusal": NstError}
    raise errors[how](f"a {how}")


def forget():
    worker._opened.clear()


def count():
    return dict(counted)


def granted():
    return machine.cpus(), min(machine.memory_left())


def allow_failures(count, dask_scheduler):
    dask_scheduler.allowed_failures = count
