"""--effort and --preview: how much work a picture is worth, and a draft before the rest."""

import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from stopping import assert_the_same_when_stopped, stop_after, without_seconds

import nst
from nst import Settings, cli, demo, paint, stylize
from nst.errors import NstError
from nst.objective.effort import EFFORTS
from nst.objective.recipes import RECIPES
from nst.pictures import images
from nst.run import marks
from nst.run.ending import is_over
from nst.run.inputs import prepare
from nst.run.plan import AMPLE, draft, plan_draft, plan_preview
from nst.run.scales import preview_scales, scales_for

LARGE = 3000, 4000  # pixels of a photograph


@pytest.fixture
def some():
    """A function that returns the settings of the demo, with changes."""
    return lambda **changes: Settings(
        demo.content_path(), demo.style_path("swirl"), None, **changes
    )


def sides_and_steps(settings):
    return [(scale.width, scale.steps) for scale in scales_for(*LARGE, settings)]


def all_steps(settings):
    return sum(steps for _, steps in sides_and_steps(settings))


# --- Effort -----------------------------------------------------------------------------------


def test_a_draft_is_small_and_takes_few_steps(some):
    draft = some(effort="draft")
    assert sides_and_steps(draft) == [(256, EFFORTS["draft"].most)]
    assert all_steps(draft) == draft.all_steps < all_steps(some()) / 4


def test_the_best_takes_twice_the_steps_and_all_of_them(some):
    usual, best = some(), some(effort="best")
    assert [width for width, _ in sides_and_steps(best)] == [
        width for width, _ in sides_and_steps(usual)
    ]
    assert all_steps(best) == 2 * all_steps(usual)
    assert best.asked_until == 0


@pytest.mark.parametrize("effort", EFFORTS)
def test_what_is_given_itself_is_taken(some, effort):
    settings = some(effort=effort, size=400, steps=77, until=3.0)
    assert sides_and_steps(settings)[-1][0] == 400
    assert all_steps(settings) == 77
    assert settings.asked_until == 3.0
    assert sides_and_steps(some(effort=effort, scales=(100, 300)))[-1][0] == 300


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_has_a_draft_and_its_own_steps_otherwise(some, recipe):
    usual = some(recipe=recipe, size=300)
    steps = RECIPES[recipe].steps_to(300, usual.factor)
    assert usual.asked_steps == steps
    assert usual.asked_until == RECIPES[recipe].until
    draft = sides_and_steps(some(recipe=recipe, effort="draft"))
    assert max(draft)[0] == 256
    assert all(0 < steps <= EFFORTS["draft"].most for _, steps in draft)


def test_published_recipes_end_after_their_steps():
    ours = {"nst", "neighbours", "mixture", "strokes"}
    assert all(not recipe.until for name, recipe in RECIPES.items() if name not in ours)


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_photograph_that_is_to_stay_takes_no_step(some, effort):
    assert all_steps(some(effort=effort, preview=True, strength=0)) == 0


@pytest.mark.parametrize("effort", ["most", "", None, 1, ["draft"]])
def test_another_word_is_refused(some, effort):
    with pytest.raises(NstError, match=r"^--effort is .*; choose draft, normal, best\.$"):
        some(effort=effort)


def test_the_recipe_s_percentage_ends_a_run_and_a_resumed_one(settings, tmp_path, monkeypatch):
    ends = replace(RECIPES["nst"], until=8.0)
    monkeypatch.setitem(RECIPES, "nst", ends)
    asked = settings(size=48, scales=(32, 48), steps=(300, 300))
    expected = assert_the_same_when_stopped(asked, tmp_path / "saved", 50, 100)
    assert len(expected.history) < 300
    assert is_over(expected.history, 2, 300, 8.0)
    best = stylize(replace(asked, effort="best", steps=(50, 50)))
    assert len(best.history) == 100


# --- What is painted at once ------------------------------------------------------------------


@pytest.fixture
def measured(monkeypatch):
    """A list of the sizes that are measured to plan a run: one for each of its stages."""
    sizes = []
    module = sys.modules["nst.run.plan"]
    probe = module.probe
    monkeypatch.setattr(module, "probe", lambda *a: sizes.append(a[1].shape) or probe(*a))
    return sizes


@pytest.mark.usefixtures("small_drafts")
@pytest.mark.parametrize("recipe", ["nst", "neighbours"])
def test_a_draft_is_painted_as_if_it_were_measured_and_is_not(settings, measured, recipe):
    asked = settings(size=None, scales=None, steps=None, effort="draft", recipe=recipe)
    at_once = stylize(asked)
    assert not measured
    stepped = paint(asked)
    assert not measured
    for _ in stepped:
        pass
    as_usual = stylize(replace(asked, memory="1GB"))
    assert len(measured) == 1
    for other in (stepped.result, as_usual):
        np.testing.assert_array_equal(other.image, at_once.image)
        assert without_seconds(other.history) == without_seconds(at_once.history)


@pytest.mark.usefixtures("small_drafts")
@pytest.mark.parametrize(
    "changes", [{"effort": "normal", "size": 32}, {"size": 33}, {"memory": "1GB"}]
)
def test_what_is_no_usual_draft_is_measured(settings, changes):
    asked = settings(**{"size": None, "scales": None, "effort": "draft", **changes})
    assert plan_draft(prepare(asked)) is None


@pytest.mark.usefixtures("small_drafts")
def test_a_draft_is_measured_where_memory_is_short_or_a_fine_stage_follows(settings, monkeypatch):
    inputs = prepare(settings(size=None, scales=None, effort="draft"))
    assert plan_draft(inputs) == draft(inputs)
    assert plan_draft(replace(inputs, fine=inputs)) is None
    monkeypatch.setattr("nst.memory.free", lambda device: AMPLE - 1)
    assert plan_draft(inputs) is None


# --- Preview ----------------------------------------------------------------------------------


@pytest.fixture
def small_drafts(monkeypatch):
    """Drafts of 32 pixels and few steps."""
    monkeypatch.setitem(EFFORTS, "draft", replace(EFFORTS["draft"], most=3, size=32))


def test_a_preview_takes_the_place_of_the_small_scales(some):
    draft = all_steps(some(effort="draft"))
    usual = dict(sides_and_steps(some(size=512)))
    assert list(usual) == [256, 512]
    assert sides_and_steps(some(size=512, preview=True)) == [(256, draft), (512, usual[512])]
    listed = {"size": 640, "scales": (128, 320)}
    assert sides_and_steps(some(**listed, preview=True)) == [
        (256, draft),
        *sides_and_steps(some(**listed))[1:],
    ]
    assert all_steps(some(size=640, preview=True)) <= some(size=640, preview=True).all_steps


def test_where_memory_may_be_short_a_preview_is_painted_as_the_run_will_be(some, monkeypatch):
    """And where that cannot be painted at all, nothing is painted first."""
    module = sys.modules["nst.run.plan"]
    inputs = prepare(some(size=512, preview=True, memory="2GB", model="vgg16-slim"))
    monkeypatch.setattr(module, "plan", lambda inputs: replace(draft(inputs), side=64, pairs=2))
    found = plan_preview(inputs)
    assert (found.side, found.pairs, found.previewed) == (64, 2, 1)
    ample = replace(inputs, settings=replace(inputs.settings, memory="auto"))
    monkeypatch.setattr(module.memory, "free", lambda _: AMPLE)
    assert plan_preview(ample).side is None
    monkeypatch.setattr(module.memory, "free", lambda _: AMPLE - 1)
    assert plan_preview(ample).side == 64


def test_a_preview_takes_the_place_of_the_scale_at_which_auto_starts(some):
    draft = all_steps(some(effort="draft"))
    for size in (300, 384, 640, 1000, 2000):
        usual = sides_and_steps(some(size=size))
        beyond = usual[1:] or usual
        assert sides_and_steps(some(size=size, preview=True)) == [(256, draft), *beyond]
    assert [side for side, _ in sides_and_steps(some(size=640))] == [320, 640]


def test_what_is_no_larger_than_a_draft_has_no_preview(some):
    small = some(size=256, preview=True)
    assert preview_scales(*LARGE, small) == []
    assert sides_and_steps(small) == sides_and_steps(some(size=256))


def test_a_preview_of_scales_from_the_coarsest_up(some):
    draft = sides_and_steps(some(recipe="neighbours", effort="draft"))
    assert [width for width, _ in draft] == [64, 128, 256]
    seen = sides_and_steps(some(recipe="neighbours", size=512, preview=True))
    assert seen == [*draft, sides_and_steps(some(recipe="neighbours", size=512))[-1]]


@pytest.mark.usefixtures("small_drafts")
@pytest.mark.parametrize("recipe", ["nst", "neighbours"])
def test_a_draft_is_saved_before_the_rest_is_planned(settings, monkeypatch, recipe):
    module, there = sys.modules["nst.run.plan"], []
    plan = module.plan

    def spied(inputs):
        there.append((images.load(asked.output), marks.is_finished(asked.output, inputs.mark)))
        return plan(inputs)

    monkeypatch.setattr(module, "plan", spied)
    asked = settings(size=48, scales=1, steps=4, preview=True, recipe=recipe, plot=True)
    result = stylize(asked)
    ((draft, finished),) = there
    assert draft.shape == (3, 32, 27)
    assert not finished
    assert [entry["scale"] for entry in result.history] == [1] * 3 + [2] * 4
    assert result.image.shape == (3, 48, 40)
    assert b" finished" in asked.output.read_bytes()


@pytest.mark.usefixtures("small_drafts")
def test_the_run_goes_on_from_it(settings):
    """It is a run of these scales, to the last bit."""
    with_preview = stylize(settings(size=48, scales=1, steps=4, preview=True))
    listed = stylize(settings(size=48, scales=(32, 48), steps=(3, 4)))
    np.testing.assert_array_equal(with_preview.image, listed.image)
    assert without_seconds(with_preview.history) == without_seconds(listed.history)


@pytest.mark.usefixtures("small_drafts")
def test_stopped_behind_its_preview_it_goes_on(settings, tmp_path):
    asked = settings(size=48, scales=1, steps=4, preview=True)
    assert_the_same_when_stopped(asked, tmp_path / "saved", 4, 6)


@pytest.mark.usefixtures("small_drafts")
def test_stopped_in_its_preview_it_keeps_the_picture(settings):
    asked = settings(size=48, scales=1, steps=4, preview=True)
    with pytest.raises(KeyboardInterrupt) as stopped:
        stylize(asked, on_progress=stop_after(2))
    assert images.load(asked.output).shape == (3, 32, 27)
    assert stopped.value.__notes__ == [f"The picture after step 2 is in {asked.output}."]


def test_a_preview_is_yes_or_no(settings):
    with pytest.raises(NstError, match=r"^preview is 'yes'; it must be True or False\.$"):
        settings(preview="yes")


# --- The command line -------------------------------------------------------------------------


@pytest.fixture
def words(files, tmp_path, monkeypatch):
    names = "photograph.png", "painting.png", "tiny.onnx"
    for name in names:
        shutil.copy(files / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return ["stylize", *names[:2], "--model", names[2], "--device=cpu"]


@pytest.mark.usefixtures("small_drafts")
def test_the_command_names_the_preview_before_the_plan(words, capsys):
    assert cli.main([*words, "--preview", "--size", "48", "--steps", "4", "--scales", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "out.png: a preview, 27 x 32"
    assert lines[1].startswith("40 x 48 pixels, 2 scales, 7 steps, tiny, on cpu, from step 4")
    assert lines[-1] == "out.png"
    assert cli.main(["estimate", "--from", "out.png"]) == 0
    assert "2 scales, 7 steps" in capsys.readouterr().out


@pytest.mark.usefixtures("small_drafts")
def test_the_command_paints_a_draft(words, capsys):
    assert cli.main([*words, "--effort", "draft"]) == 0
    title, *rest = capsys.readouterr().out.splitlines()
    assert title.startswith("27 x 32 pixels, 1 scale, 3 steps, tiny, on cpu")
    assert rest == ["out.png"]
    assert images.load("out.png").shape == (3, 32, 27)
    assert cli.main(["estimate", "--from", "out.png", "--effort", "normal"]) == 0
    assert capsys.readouterr().out.startswith(f"533 x {RECIPES['nst'].size} pixels, 2 scales, ")


@pytest.mark.usefixtures("small_drafts")
def test_nobody_is_told_of_a_preview_that_there_is_not(words, capsys):
    assert cli.main([*words, "--preview", "--size", "32", "--steps", "2", "--quiet"]) == 0
    assert cli.main([*words, "--preview", "--size", "32", "--steps", "2"]) == 0
    told = capsys.readouterr()
    assert "preview" not in told.out
    line = (
        "--preview paints nothing: the result is no larger than a draft, 32 pixels, and there as"
    )
    assert told.err.count(f"nst: warning: {line} soon\n") == 2
    assert cli.main([*words, "--size", "32", "--steps", "2"]) == 0
    assert cli.main([*words, "--effort", "draft", "--preview"]) == 0  # there is the draft itself
    assert "preview" not in capsys.readouterr().err


def test_many_pictures_have_no_preview(files, tmp_path):
    for command in (["batch", "a.png", "--style", "b.png", "-o", "x"], ["sheet", "a.png"]):
        with pytest.raises(SystemExit):
            cli.main([*command, "--preview"])
    with pytest.raises(TypeError, match="preview"):
        nst.batch([files / "photograph.png"], [files / "painting.png"], tmp_path, preview=True)
