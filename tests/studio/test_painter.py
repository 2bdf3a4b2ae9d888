"""What the studio paints, and how it heeds a page: no browser yet."""

import shlex
import time
from pathlib import Path
from shlex import quote

import numpy as np
import pytest
from asking import until

from nst import cli
from nst.errors import NstError
from nst.pictures import images
from nst.pictures.reading import read
from nst.settings import Settings
from nst.show.command import command_of, program
from nst.studio import painter, steps
from nst.studio.painter import output_for
from nst.studio.wish import Wish, onward, settings_of, wish_from

SMALL = {"size": 64, "steps": 4}


def paused(piece, step):
    return lambda: piece.status == "paused" and piece.step == step


def begun(studio, steps, **knobs):
    """Return a piece that was begun, and pauses after so many steps."""
    piece = studio.begin(Wish(**SMALL | knobs), steps)
    until(paused(piece, steps))
    return piece


def test_a_piece_is_painted_to_its_end_and_kept_with_its_text(studio):
    piece = studio.begin(Wish(**SMALL))
    until(lambda: piece.status == "done")
    assert (piece.step, piece.ahead, len(piece.history)) == (4, 4, 4)
    assert piece.output.name == "photograph-swirl.png"
    assert max(images.load(piece.output).shape) == 64
    assert '"size": 64' in images.read_metadata(piece.output)["nst settings"]
    assert piece.lines[-1].startswith("about ")
    assert studio.kept() == [piece]


def test_a_picture_whose_curves_cannot_be_kept_is_painted_all_the_same(studio, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(painter.steps, "keep", full)
    piece = studio.begin(Wish(**SMALL))
    until(lambda: not piece.live)
    assert (piece.status, piece.error) == ("done", "")
    assert piece.output.exists()


def test_one_step_is_one_step(studio):
    piece = begun(studio, 1)
    studio.painter.go(piece, 1)
    until(paused(piece, 2))
    time.sleep(0.2)
    assert piece.step == 2
    studio.painter.go(piece)
    until(lambda: piece.status == "done")
    assert piece.step == 4


def test_a_step_at_a_time_paints_what_a_command_line_paints(studio, tmp_path):
    piece = begun(studio, 1, style_weight=2.0)
    for step in (2, 3):
        studio.painter.go(piece, 1)
        until(paused(piece, step))
    studio.painter.go(piece)
    until(lambda: piece.status == "done")
    painted = images.load(piece.output)
    piece.output.unlink()
    assert again(command_of(piece.settings, where=True)) == 0
    np.testing.assert_array_equal(images.load(piece.output), painted)


def again(command):
    nst, *words = shlex.split(command)
    assert nst == program()
    return cli.main([*words, "--quiet"])


def test_a_knob_that_is_turned_goes_on_from_the_picture_as_it_is(studio):
    piece = begun(studio, 3, style_weight=1.0)
    turned = Wish(**SMALL, style_weight=9.0)
    studio.painter.turn(piece, turned)
    studio.painter.go(piece, 1)
    until(paused(piece, 4))
    assert (piece.turns, piece.wish, piece.ahead) == ([3], turned, 7)
    assert piece.settings.style_weight == 9
    start = studio.folder / "inputs" / "photograph-swirl-start.png"
    assert piece.settings.init == str(start)
    studio.painter.go(piece)
    until(lambda: piece.status == "done")
    assert (piece.step, len(piece.history)) == (7, 7)
    painted = images.load(piece.output)
    assert "--init" in command_of(piece.settings, where=True)
    piece.output.unlink()
    assert again(command_of(piece.settings, where=True)) == 0
    np.testing.assert_array_equal(images.load(piece.output), painted)


def test_a_knob_that_is_turned_while_it_is_paused_is_told_at_once(studio):
    piece = begun(studio, 2)
    turned = Wish(**SMALL, style_weight=9.0)
    studio.painter.turn(piece, turned)
    told = piece.told()
    assert (told["step"], told["wish"]) == (2, vars(turned))
    assert "--style-weight 9" in told["command"]
    studio.painter.go(piece, 1)
    until(paused(piece, 3))
    assert piece.asked is None
    assert piece.told()["wish"] == vars(turned)
    assert "--init" in piece.told()["command"]


def test_what_a_turn_goes_on_from_overwrites_no_file(studio):
    other = studio.choices.shelf.folder / "photograph-swirl-start.png"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"handed in")
    piece = begun(studio, 1)
    studio.painter.turn(piece, Wish(**SMALL, style_weight=9.0))
    studio.painter.go(piece, 1)
    until(paused(piece, 2))
    start = Path(piece.settings.init)
    data = start.read_bytes()
    studio.painter.turn(piece, Wish(size=16000, steps=4, recipe="neighbours"))
    studio.painter.go(piece, 1)
    until(paused(piece, 3))
    assert piece.error
    assert piece.settings.init == str(start)
    assert (start.read_bytes(), other.read_bytes()) == (data, b"handed in")


def test_one_that_waits_has_the_command_line_of_its_knobs(studio):
    begun(studio, 1)
    waiting = studio.begin(Wish(**SMALL))
    studio.painter.turn(waiting, Wish(**SMALL, style_weight=9.0))
    assert waiting.status == "waiting"
    assert "--style-weight 9" in waiting.told()["command"]


def test_stopped_before_the_first_step_of_other_knobs_is_what_it_was_before(studio, monkeypatch):
    piece = begun(studio, 3)
    command = piece.told()["command"]
    begin = painter.Painter._begun

    def begin_and_stop(self, *rest):
        run = begin(self, *rest)
        self.stop(piece)
        return run

    monkeypatch.setattr(painter.Painter, "_begun", begin_and_stop)
    studio.painter.turn(piece, Wish(**SMALL, style_weight=9.0))
    studio.painter.go(piece)
    until(lambda: piece.status == "stopped")
    assert (piece.wish, piece.turns) == (Wish(**SMALL), [])
    assert piece.told()["command"] == command
    assert piece.output.is_file()
    sha256 = read(piece.output).sha256
    assert steps.kept(studio.choices.shelf.folder, piece.output, sha256).last == 3


def test_a_knob_that_is_turned_while_it_is_saved_is_said_to_be_too_late(studio, monkeypatch):
    def turned_meanwhile(*_):
        (piece,) = studio._pieces.values()
        studio.painter.turn(piece, Wish(**SMALL, style_weight=9.0))

    monkeypatch.setattr(painter.steps, "keep", turned_meanwhile)
    piece = studio.begin(Wish(**SMALL))
    until(lambda: not piece.live)
    assert (piece.status, piece.error) == ("done", painter.TOO_LATE)
    assert piece.told()["wish"] == vars(Wish(**SMALL))


def test_the_seconds_of_a_piece_are_without_its_pauses(studio, monkeypatch):
    slept = 0.0
    clock = time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + slept)
    piece = begun(studio, 1)
    studio.painter.ask(lambda: None).result(60)  # now it waits
    slept = 1e6
    studio.painter.go(piece, 1)
    until(paused(piece, 2))
    assert 0 <= piece.seconds < slept


def test_on_a_gpu_a_knob_is_turned_and_a_question_answered_in_the_thread_that_paints(gpu, on):
    studio = on("cuda")
    piece = begun(studio, 3, style_weight=1.0)
    lines = studio.painter.estimate(Wish(**SMALL | {"size": 96})).result(60)
    assert lines[-1].startswith("about ")
    studio.painter.turn(piece, Wish(**SMALL, style_weight=9.0))
    studio.painter.go(piece)
    until(lambda: piece.status in ("done", "failed"))
    assert (piece.error, piece.step, piece.turns) == ("", 7, [3])
    assert gpu.launches["mse_backward"]


def test_the_style_s_measurements_are_used_again(studio, monkeypatch):
    from nst.run import targets

    piece = begun(studio, 1)
    measured = []
    counted = targets.style_sums
    monkeypatch.setattr(targets, "style_sums", lambda *a: measured.append(1) or counted(*a))
    studio.painter.turn(piece, Wish(**SMALL, content_weight=3.0))
    studio.painter.go(piece, 1)
    until(paused(piece, 2))
    assert not measured
    studio.painter.turn(piece, Wish(**SMALL, content_weight=3.0, style="glass"))
    studio.painter.go(piece, 1)
    until(paused(piece, 3))
    assert measured


def test_what_is_turned_before_a_step_was_made_begins_anew(studio):
    piece = begun(studio, 1)
    for weight in (2.0, 3.0):
        studio.painter.turn(piece, Wish(**SMALL, content_weight=weight))
        until(lambda: piece.status == "paused")
    studio.painter.go(piece, 1)
    until(paused(piece, 2))
    assert piece.turns == [1]


def test_a_knob_that_cannot_be_is_refused_and_it_goes_on_as_it_was(studio):
    piece = begun(studio, 1)
    with pytest.raises(NstError, match="--size is 3; it must be between 16 and"):
        studio.painter.turn(piece, Wish(size=3))
    studio.painter.turn(piece, Wish(size=16000, steps=4, recipe="neighbours"))
    studio.painter.go(piece, 1)
    until(paused(piece, 2))
    assert piece.error
    assert piece.wish == Wish(**SMALL)
    assert piece.turns == []


def test_stopped_is_kept_and_the_next_that_waits_begins(studio):
    piece = begun(studio, 2)
    waiting, withdrawn = (studio.begin(Wish(**SMALL, style=name)) for name in ("glass", "waves"))
    time.sleep(0.2)
    assert waiting.status == "waiting"
    studio.painter.stop(withdrawn)
    assert withdrawn.status == "stopped"
    studio.painter.stop(piece)
    until(lambda: waiting.status == "done")
    assert piece.status == "stopped"
    assert piece.output.is_file()
    assert not withdrawn.output.exists()
    assert waiting.output.name == "photograph-glass.png"


def test_stopped_before_its_first_step_leaves_nothing(studio):
    piece = studio.begin(Wish(**SMALL), 0)
    until(lambda: piece.status == "paused")
    studio.painter.stop(piece)
    until(lambda: piece.status == "stopped")
    assert not piece.output.exists()
    assert studio.kept() == []


def test_the_end_of_the_studio_keeps_what_is_painted(studio):
    piece = begun(studio, 2)
    studio.close()
    assert piece.status == "stopped"
    assert piece.output.is_file()


def test_what_ends_a_run_is_said_and_the_next_is_painted(studio):
    from nst.studio import painter

    def fail(*_):
        raise MemoryError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(painter, "plan", fail)
        piece = studio.begin(Wish(**SMALL))
        until(lambda: piece.status == "failed")
    assert piece.error.startswith("memory ran out; paint it smaller")
    after = studio.begin(Wish(**SMALL))
    until(lambda: after.status == "done")


def test_an_estimate_is_the_command_line_s_also_while_it_paints(studio):
    begun(studio, 1)
    lines = studio.painter.estimate(Wish(size=128, steps=7)).result(120)
    assert "128 x" in lines[0] or "x 128" in lines[0]
    assert "7 steps of" in lines[0]
    assert lines[-1].startswith("about ")
    with pytest.raises(NstError, match="there is no picture"):
        studio.painter.estimate(Wish(content="../../etc/passwd")).result(120)


def test_an_estimate_that_is_refused_names_the_page_s_knobs(studio, monkeypatch):
    def refuse(_):
        raise NstError("there is no room; use --size 640 or less.")

    monkeypatch.setattr(painter, "plan", refuse)
    with pytest.raises(NstError, match=r"^there is no room; use “Size in pixels” 640 or less\.$"):
        studio.painter.estimate(Wish(**SMALL)).result(60)


def test_a_picture_is_made_only_when_the_last_has_arrived(studio):
    piece = begun(studio, 1)
    assert piece.version == 1
    piece.fetched = 0  # nobody has it yet
    studio.painter.go(piece)
    until(lambda: piece.status == "done")
    assert piece.version == 2  # the last one alone


def test_an_output_is_never_another_picture_s(studio):
    wish, choices = Wish(), studio.choices
    first = output_for(studio.folder, wish, choices, set())
    second = output_for(studio.folder, wish, choices, {first})
    assert (first.name, second.name) == ("photograph-swirl.png", "photograph-swirl-2.png")


def test_onward_keeps_the_steps_of_each_size_that_is_left(studio):
    settings = settings_of(Wish(size=1024, steps=300), studio.choices, None)
    whole = onward(settings, 640, 512, 0)
    assert whole.scales == (256, 512, 1024)
    left = onward(settings, 640, 512, 512)
    assert (left.scales, left.steps) == ((512, 1024), whole.steps[1:])
    last = onward(settings, 640, 512, 1024)
    assert (last.scales, last.steps) == (1, whole.steps[-1])
    assert onward(settings, 640, 512, 5000) == last


def test_the_command_says_where_files_are_and_only_what_differs(studio):
    settings = settings_of(Wish(), studio.choices, studio.folder / "a b.png")
    words = f"{program()} demo swirl -o 'nst-studio/a b.png' --device cpu --model "
    words += quote(str(settings.model))
    assert command_of(settings, where=True) == words
    more = settings_of(Wish(strength=0.5, color="match", seed=3), studio.choices, None)
    said = "--device cpu --strength 0.5 --color match --seed 3 --model"
    assert said in command_of(more, where=True)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "expected"),
        ({"content": 3}, "content: expected"),
        ({"output": "x.png"}, "unknown field"),
        ({"strength": "1"}, "strength: expected"),
    ],
)
def test_a_wish_of_the_wrong_kind_is_refused(said, why):
    with pytest.raises(NstError, match=rf"(?i)what the page asks for cannot be used: .*{why}"):
        wish_from(said)


def test_a_wish_names_no_path(studio, files):
    for knob in ({"model": str(files / "tiny.onnx")}, {"content": str(files / "photograph.png")}):
        with pytest.raises(NstError):
            settings_of(Wish(**knob), studio.choices, None)


def test_a_default_wish_is_the_default_of_the_command_of(studio):
    settings = settings_of(Wish(), studio.choices, Settings.output)
    assert settings == Settings(
        settings.content, settings.style, model=settings.model, device="cpu"
    )
