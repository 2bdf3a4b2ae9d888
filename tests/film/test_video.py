"""A film is painted: scene by scene, each frame from those before it; stopped, it goes on."""

import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from film_files import NTSC, Stop, decoded, moving, sound_packets, stopping_at, write_film

import nst
from nst import cli
from nst.errors import NstError, NstWarning
from nst.extras import installing
from nst.film import painting
from nst.objective import Warped
from nst.pictures import images
from nst.run.ending import WINDOW
from nst.run.inputs import prepare
from nst.run.plan import draft
from nst.stylize import complete

TWO_SCENES = [*moving(3, seed=1), *moving(2, seed=2)]


@pytest.fixture
def how(quick, files):
    """Settings of a tiny film."""
    return quick | {"size": 64, "steps": 6, "frame_steps": 3}


@pytest.fixture
def film(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_film(tmp_path / "in.mp4", TWO_SCENES, sound=9)


def frames_in(folder):
    return [images.load(path) for path in sorted(Path(folder).glob("*.png"))]


def test_a_film_is_painted_whole_with_its_sound(film, how, first):
    filmed = nst.video(film, [first], "out.mp4", **how)
    assert filmed.output == Path("out.mp4")
    assert filmed.frames == 5
    assert filmed.scenes == ((0, 3), (3, 5))
    assert [one["frame"] for one in filmed.painted] == [1, 2, 3, 4, 5]
    assert [one["steps"] for one in filmed.painted] == [6, 3, 3, 6, 3]
    assert len(decoded("out.mp4")) == 5
    assert sound_packets("out.mp4") == sound_packets(film)
    assert not Path("out-film").exists()


def test_the_current_folder_takes_the_pictures(film, how, first, tmp_path, monkeypatch):
    (tmp_path / "frames").mkdir()
    monkeypatch.chdir(tmp_path / "frames")
    nst.video(film, [first], ".", **how)
    assert len(frames_in(tmp_path / "frames")) == 5
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} >= {"frames"}
    assert not (tmp_path / "frames-film").exists()


def test_a_fine_stage_paints_the_frame_itself(settings, rng):
    """And the temporal loss is measured in what later frames have: the total before that stage."""
    inputs = prepare(settings(recipe="strokes", size=64, scales=(32, 64), model="vgg16-slim"))
    frame = rng.random(inputs.content.shape, np.float32)
    there = painting.at_frame(inputs, frame)
    assert there.fine.photograph is frame
    np.testing.assert_array_equal(there.fine.content, there.content)
    first = draft(inputs)
    assert [scale.fine for scale in first.scales] == [False, False, True]
    totals = [(1, 9.0), (2, 0.5), (2, 0.4), (2, 0.6), (3, 3.0), (3, 2.0)]
    history = [{"scale": scale, "total": total} for scale, total in totals]
    assert painting.unit_of(inputs, first, history) == 0.4


def test_without_strength_it_is_the_film_itself(how, first, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    frames = moving(4, seed=1)
    for number, frame in enumerate(frames):
        images.save(Path("in") / f"{number}.png", frame)
    nst.video("in", [first], "out", **how, strength=0)
    painted = frames_in("out")
    expected = [images.resize(frame, *painted[0].shape[1:]) for frame in frames]
    np.testing.assert_allclose(painted, expected, rtol=0, atol=1.01 / 255)


def test_on_a_gpu_it_is_the_same_film(gpu, how, first, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    film = write_film("in.mp4", moving(3, seed=1))
    painted = {}
    for device in ("cuda", "cpu"):
        nst.video(film, [first], device, **how | {"device": device, "conv": "direct"})
        painted[device] = frames_in(device)
    assert gpu.launches["masked_mse_backward"] >= 2  # of what was painted before
    assert len(painted["cpu"]) == 3
    for found, expected in zip(painted["cuda"], painted["cpu"], strict=True):
        np.testing.assert_allclose(found, expected, atol=2.5 / 255)


@pytest.mark.parametrize("color", ["style", "content"])
def test_the_first_frame_of_each_scene_is_painted_as_a_photograph_is(film, how, first, color):
    """But for its colours, which are moved as those of the scene's most colourful frame."""
    how = how | {"recipe": "gatys", "model": "vgg16-slim", "color": color}
    nst.video(film, [first], "out", **how)
    painted = frames_in("out")
    assert len(painted) == 5
    still = {name: value for name, value in how.items() if name != "frame_steps"}
    for number in (0, 3):
        frame = decoded(film)[number].to_ndarray(format="rgb24")
        images.save("still.png", np.moveaxis(frame, -1, 0) / np.float32(255))
        result = nst.stylize(nst.Settings("still.png", first, None, **still))
        # In 8 bits; with the photograph's colours, also what is kept before it is given them.
        atol = {"style": 0.51, "content": 1.51}[color] / 255
        np.testing.assert_allclose(painted[number], result.image.clip(0, 1), atol=atol)


def test_later_frames_have_a_temporal_loss_against_what_was_painted(film, how, first):
    seen = []

    def paint(inputs, plan, state, on_progress):
        seen.append((inputs, plan, inputs.device.asnumpy(state.image).copy()))
        return complete(inputs, plan, state, on_progress)

    filmed = nst.video(film, [first], "out", paint=paint, **how)
    warped = [inputs.warped for inputs, *_ in seen]
    assert [one is None for one in warped] == [True, False, False, True, False]
    assert [len(plan.scales) for _, plan, _ in seen] == [1, 1, 1, 1, 1]
    assert [("temporal" in one) for one in filmed.painted] == [False, True, True, False, True]
    unit = filmed.painted[0]["total"]
    for (inputs, _, begun), before in zip(seen[1:3], frames_in("out")[:2], strict=True):
        assert inputs.recipe.temporal == pytest.approx(2000 * unit, rel=0.2)
        known = inputs.warped.certainty[4:-6, 4:-6] > 0
        assert known.mean() > 0.5
        moved = before[:, 5:-5, 6:-4]  # by a row and two columns
        for picture in (inputs.warped.picture, begun):
            assert np.abs(picture[:, 4:-6, 4:-6] - moved)[:, known].mean() < 0.02


@pytest.mark.parametrize("steps", [40, 300])
def test_a_later_frame_takes_at_most_a_quarter_of_a_photographs_work(settings, steps):
    inputs = prepare(settings(size=160, scales=2, steps=steps, output=None))
    first, later = painting.plans(inputs, None)
    assert [scale.work for scale in later.scales] == [later.full.work]
    assert later.full.work <= 0.25 * sum(scale.work for scale in first.scales)
    assert (later.full.height, later.full.width) == (first.full.height, first.full.width)
    assert painting.plans(inputs, 7)[1].full.steps == 7


@pytest.mark.parametrize(
    ("changes", "until"), [({}, painting.UNTIL), ({"until": 0.0}, 0.0), ({"until": 4.0}, 4.0)]
)
def test_a_later_frame_ends_when_steps_bring_no_more(settings, changes, until):
    inputs = prepare(settings(output=None, **changes))
    warped = Warped(inputs.content, np.ones(inputs.content.shape[1:], np.float32))
    later = painting.with_memory(inputs, warped, 3.0)
    assert later.settings.until == until
    assert later.recipe.temporal == 3.0
    assert painting.plans(inputs, None)[1].window == painting.WINDOW < WINDOW


def test_a_larger_weight_keeps_more(film, how, first):
    losses = []
    for temporal in (0.0, 4000.0):
        folder = f"out{temporal:g}"
        filmed = nst.video(film, [first], folder, temporal=temporal, **how)
        losses.append(filmed.painted[2].get("temporal"))
    assert losses[0] is None  # there is none
    free, held = (frames_in(f"out{t}") for t in ("0", "4000"))
    inner = np.s_[:, 5:-5, 6:-6]

    def moves(frames):
        return np.abs(frames[2][:, 4:-6, 4:-8] - frames[1][inner]).mean()

    assert moves(held) < 0.7 * moves(free)


def test_what_comes_into_a_scene_does_not_change_the_colours_of_the_rest(tmp_path, quick, files):
    """The colours of all frames are moved alike."""
    still = moving(1)[0]
    other = still.copy()
    other[:, 10:40, 30:60] = np.array([1.0, 0.0, 0.0])[:, None, None]
    settings = nst.Settings(
        files / "photograph.png", files / "painting.png", None, **quick | {"size": 64}
    )
    base = replace(prepare(settings), photograph=still, content=still)
    first, second = (painting.at_frame(base, f.astype(np.float32)) for f in (still, other))
    np.testing.assert_allclose(first.content[:, :, :30], second.content[:, :, :30], atol=1e-6)


# ---- Stopped, and gone on with -----------------------------------------------------------


@pytest.mark.parametrize("output", ["out", "out.mkv"])
@pytest.mark.parametrize("part", [2, 24])
def test_a_run_that_was_stopped_goes_on_at_its_frame_with_the_same_bits(
    film, how, first, output, part, monkeypatch
):
    monkeypatch.setattr("nst.film.writing.PART", part)
    nst.video(film, [first], f"whole-{output}", **how)
    painted = []
    for frame in (3, 2, 1):  # of what is left
        with pytest.raises(Stop) as stopped:
            nst.video(film, [first], output, paint=stopping_at(frame, 2), **how)
        (note,) = stopped.value.__notes__
        painted.append(int(note.split()[0]))
        assert note.endswith("frames are painted and kept in out-film: the same command goes on.")
    assert painted == [2, 3, 3]
    filmed = nst.video(film, [first], output, **how)
    assert [one["frame"] for one in filmed.painted] == [4, 5]
    assert not Path("out-film").exists()
    if output == "out":
        for a, b in zip(frames_in("whole-out"), frames_in("out"), strict=True):
            np.testing.assert_array_equal(a, b)
    else:
        assert Path(output).read_bytes() == Path(f"whole-{output}").read_bytes()


def test_half_a_frame_that_was_kept_is_painted_again(film, how, first):
    with pytest.raises(Stop):
        nst.video(film, [first], "out", paint=stopping_at(3, 1), **how)
    (recent,) = Path("out-film").glob("scene-*/recent-*")
    with recent.open("ab") as file:
        file.write(b"half a frame")
    filmed = nst.video(film, [first], "out", **how)
    assert [one["frame"] for one in filmed.painted] == [3, 4, 5]


def test_frames_that_were_painted_otherwise_are_not_gone_on_with(film, how, first, other):
    with pytest.raises(Stop):
        nst.video(film, [first], "out.mp4", paint=stopping_at(2, 1), **how)
    for changes in ({"temporal": 5.0}, {"steps": 5}, {"frame_steps": 2}, {"seed": 1}):
        with pytest.raises(NstError, match="out-film holds frames of a film that was painted oth"):
            nst.video(film, [first], "out.mp4", **how | changes)
    with pytest.raises(NstError, match="painted otherwise"):
        nst.video(film, [other], "out.mp4", **how)


def test_a_folder_of_that_name_that_is_not_ours_is_left_alone(film, how, first):
    folder = Path("out-film")
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(NstError, match="out-film is there, and nst did not make it"):
        nst.video(film, [first], "out.mp4", **how)
    assert (folder / "thesis.txt").read_text() == "precious"


def test_a_film_that_cannot_be_written_is_one_line_and_its_frames_are_kept(film, how, first):
    row = Path("row")
    row.mkdir()
    for number in (1, 2):
        images.save(row / f"{number}.png", images.load(first))
    with pytest.raises(NstError, match=r"cannot write out.mp4: .*; its frames are kept in out-f"):
        nst.video(row, [first], "out.mp4", rate="1/99999999999999", **how)
    assert any(Path("out-film").iterdir())


def test_scenes_can_be_painted_apart_and_in_any_order(film, how, first):
    nst.video(film, [first], "whole", **how)
    second = nst.video(film, [first], "out", scene=2, **how)
    assert second.output is None
    assert [one["frame"] for one in second.painted] == [4, 5]
    filmed = nst.video(film, [first], "out", scene=1, **how)
    assert filmed.output == Path("out")
    for a, b in zip(frames_in("whole"), frames_in("out"), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(NstError, match=r"--scene is 3; .* has 2 scenes"):
        nst.video(film, [first], "other", scene=3, **how)


# ---- The command line --------------------------------------------------------------------


@pytest.fixture
def words(how):
    named = {name.replace("_", "-"): value for name, value in how.items()}
    return [word for name, value in named.items() for word in (f"--{name}", str(value))]


def test_the_command_says_what_it_does(film, words, first, capsys):
    assert cli.main(["video", "in.mp4", "--style", str(first), "-o", "out.mp4", *words]) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0] == "5 frames, 24000/1001 a second, scenes begin at frame 1, 4"
    assert "each frame after it: at most 3 steps at 64 x 48" in lines
    assert lines[-1] == "out.mp4"
    assert "frame 5/5, scene 2 of 2, step 3/3" in told.err


def test_pictures_become_a_film_and_a_film_pictures(film, words, first, tmp_path, capsys):
    rest = ["--style", str(first), "--quiet", *words]
    assert cli.main(["video", "in.mp4", "-o", "frames", *rest]) == 0
    names = [path.name for path in sorted(Path("frames").glob("*.png"))]
    assert names == [f"{n:06d}.png" for n in range(1, 6)]
    asked = ["--rate", "24000/1001"]
    assert cli.main(["video", "frames", "-o", "again.mp4", *asked, *rest]) == 0
    assert [f.pts * f.time_base for f in decoded("again.mp4")] == [n / NTSC for n in range(5)]
    assert capsys.readouterr().out == ""


REFUSED = {
    "no such film": (["missing.mp4", "-o", "out.mp4"], "film image not found: missing.mp4"),
    "no kind": (["in.mp4", "-o", "out.avi"], "its name ends in '.avi'; end it in .mp4"),
    "itself": (["in.mp4", "-o", "in.mp4"], "--output would overwrite the film"),
    "a weight below 0": (["in.mp4", "-o", "a.mp4", "--temporal", "-1"], "--temporal is -1.0"),
    "no steps": (["in.mp4", "-o", "a.mp4", "--frame-steps", "0"], "--frame-steps is 0"),
    "a rate of nothing": (["in.mp4", "-o", "a.mp4", "--rate", "1/0"], "--rate is '1/0'; give"),
    "no scene": (["in.mp4", "-o", "a.mp4", "--scene", "9"], "--scene is 9; in.mp4 has 2 scenes"),
    "a photograph": (
        ["still.png", "-o", "a.mp4"],
        "still.png is a photograph, not a film: `nst s",
    ),
    "the film as its style": (["in.mp4", "-o", "a.mp4", "--style", "in.mp4"], "in.mp4: "),
    "no folder": (["in.mp4", "-o", "none/a.mp4"], "cannot write none/a.mp4: "),
    "too small": (["in.mp4", "-o", "a.mp4", "--size", "16"], "12 pixels; the network needs 16"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_in_one_line_and_leaves_nothing(film, what, capsys):
    words, message = REFUSED[what]
    images.save("still.png", moving(1)[0])
    before = set(Path().iterdir())
    assert cli.main(["video", *words, "--model", "vgg16-slim"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert line.startswith("nst: ")
    assert message in line
    assert set(Path().iterdir()) == before


def test_without_the_extra_nothing_is_begun(film, first, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert cli.main(["video", "in.mp4", "--style", str(first), "-o", "out.mp4"]) == 2
    assert f"`{installing('video')}` brings it" in capsys.readouterr().err


@pytest.mark.usefixtures("heard")
def test_a_signal_ends_it_between_two_steps_and_it_goes_on(
    film, how, words, first, monkeypatch, capsys
):
    begun = []

    def signalled(inputs, plan, state, on_progress):
        begun.append(len(begun) + 1)

        def after_step(progress):
            if begun[-1] == 3 and progress.step == 2:
                signal.raise_signal(signal.SIGTERM)
            on_progress(progress)

        return complete(inputs, plan, state, after_step)

    monkeypatch.setattr("nst.many.commands.complete", signalled)
    command = ["video", "in.mp4", "--style", str(first), "-o", "out", *words]
    assert cli.main(command) == 143
    said = capsys.readouterr().err
    assert "2 of 5 frames are painted and kept in out-film: the same command goes on." in said
    assert begun == [1, 2, 3]
    assert cli.main(command) == 0
    assert begun == [1, 2, 3, 4, 5, 6]  # the third frame is begun again, and no other
    nst.video(film, [first], "whole", **how)
    assert len(frames_in("out")) == 5
    for found, expected in zip(frames_in("out"), frames_in("whole"), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("option", ["plot", "preview", "checkpoint"])
def test_what_is_of_one_picture_is_no_option(film, first, option):
    with pytest.raises(TypeError, match=rf"a film has no \['{option}'\]"):
        nst.video(film, [first], "out.mp4", **{option: True})


def test_a_picture_of_the_film_may_be_its_style(film, how, tmp_path):
    Path("row").mkdir()
    for number, frame in enumerate(moving(2)):
        images.save(f"row/{number}.png", frame)
    filmed = nst.video("row", "row/0.png", "out", **how)
    assert len(filmed.painted) == 2
    with pytest.raises(NstError, match="--output is ''; give the path of a file"):
        nst.video("row", "row/0.png", "", **how)


def test_another_film_that_begins_alike_is_another(film, how, first):
    """Though its first picture, which is the style too, is the same."""
    Path("row").mkdir()
    for number, frame in enumerate(moving(3)):
        images.save(f"row/{number}.png", frame)
    with pytest.raises(Stop):
        nst.video("row", "row/0.png", "out", paint=stopping_at(2, 1), **how)
    images.save("row/2.png", moving(1, seed=3)[0])
    with pytest.raises(NstError, match="painted otherwise"):
        nst.video("row", "row/0.png", "out", **how)


def test_a_film_that_lacks_something_is_painted_and_it_is_said(how, first, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write_film(Path("a.mkv"), moving(30, 96, 128), rate=24).read_bytes()
    Path("b.mkv").write_bytes(data[: len(data) * 3 // 4])
    with pytest.warns(NstWarning, match="b.mkv is damaged: it"):
        nst.video("b.mkv", first, "out", **how | {"steps": 1, "frame_steps": 1, "size": 32})


def test_a_film_without_a_size_is_not_enlarged(film, how, first):
    del how["size"]
    seen = []
    nst.video(film, [first], "out", on_plan=lambda plan: seen.append(plan.shoot.first), **how)
    assert (seen[0].full.height, seen[0].full.width) == (48, 64)


def test_listed_scales_are_a_size_that_a_film_is_painted_at(film, how, first):
    del how["size"]
    nst.video(film, [first], "out", **how | {"scales": (32, 96), "steps": 2, "frame_steps": 1})
    assert {frame.shape for frame in frames_in("out")} == {(3, 72, 96)}
