"""What Python calls: with files, arrays, Pillow's images and bytes; and what comes back."""

import re
import typing
from dataclasses import fields
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import nst
from nst import Settings, demo
from nst.errors import NstError, NstWarning
from nst.options import Options
from nst.pictures import images
from nst.run.checkpoints import LONG_RUN
from nst.run.plan import checkpoint_folder


def painted(quick, content, style, **options):
    return nst.stylize(content, style, **quick | options)


@pytest.fixture
def photograph(files):
    return images.load(files / "photograph.png")


@pytest.fixture
def painting(files):
    return images.load(files / "painting.png")


# ---- What is taken ---------------------------------------------------------------------------


def test_every_form_of_a_picture_paints_the_same(quick, files, photograph, painting):
    expected = painted(quick, files / "photograph.png", files / "painting.png").image
    bytes_of = images.as_uint8
    encoded = BytesIO()
    PIL.Image.fromarray(bytes_of(photograph)).save(encoded, "PNG")
    forms = [
        (str(files / "photograph.png"), str(files / "painting.png")),
        (photograph, painting),
        (np.moveaxis(photograph, 0, -1), np.moveaxis(painting, 0, -1).astype(np.float64)),
        (bytes_of(photograph), bytes_of(painting)),
        (PIL.Image.open(files / "photograph.png"), PIL.Image.fromarray(bytes_of(painting))),
        ((files / "photograph.png").read_bytes(), (files / "painting.png").read_bytes()),
        (encoded.getvalue(), [painting]),
        (photograph, nst.Painting(painting)),
    ]
    for content, style in forms:
        np.testing.assert_array_equal(painted(quick, content, style).image, expected)


def test_settings_are_beneath(quick, photograph, painting, tmp_path):
    by_settings = nst.stylize(Settings(photograph, painting, None, **quick))
    np.testing.assert_array_equal(painted(quick, photograph, painting).image, by_settings.image)
    with pytest.raises(TypeError, match="Settings say everything"):
        nst.stylize(Settings(photograph, painting, None, **quick), painting)
    with pytest.raises(TypeError, match="there is no style"):
        nst.stylize(photograph)


def test_nothing_is_written_unless_asked(quick, photograph, painting, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    painted(quick, photograph, painting)
    assert list(tmp_path.iterdir()) == []
    painted(quick, photograph, painting, output="a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("name", demo.STYLES)
def test_a_painting_that_comes_along_is_called_by_its_name(name, photograph):
    assert Settings(photograph, name).style[0].path == demo.style_path(name)
    assert Settings(photograph, [name, nst.Painting(name)]).style[1].path == demo.style_path(name)


def test_a_file_of_that_name_comes_first(files, photograph, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images.save(tmp_path / "a.png", photograph)
    (tmp_path / "a.png").rename(tmp_path / "waves")
    assert Settings(photograph, "waves").style[0].path == Path("waves")


def test_a_name_that_is_none_is_told_with_those_that_are(photograph):
    with pytest.raises(NstError, match=r"style image not found: wavs\..*; did you mean waves\?"):
        nst.stylize(photograph, "wavs")


def test_masks_and_the_start_may_be_arrays(quick, settings, photograph, painting, tmp_path):
    where, to = np.zeros(painting.shape[1:], bool), np.zeros(photograph.shape[1:], np.float32)
    where[:, 20:], to[:, :30] = True, 1
    for name, mask in {"where": where, "to": to}.items():
        images.save(tmp_path / f"{name}.png", np.stack([mask.astype(np.float32)] * 3))
    files = nst.Painting(settings().style[0].path, 1, tmp_path / "where.png", tmp_path / "to.png")
    start = str(settings().style[0].path)
    from_files = nst.stylize(settings(style=files, init=start, output=None, **quick))
    style = nst.Painting(painting, mask=where, region=to)
    from_arrays = painted(quick, photograph, style, init=painting)
    np.testing.assert_array_equal(from_arrays.image, from_files.image)


def test_a_run_of_arrays_is_not_checkpointed(quick, photograph, painting, files, tmp_path):
    with pytest.raises(NstError, match="needs files to go on from, and a picture of this run"):
        painted(quick, photograph, painting, checkpoint=tmp_path / "saved")
    output, long = tmp_path / "a.png", 2 * LONG_RUN  # seconds
    assert checkpoint_folder(Settings(photograph, painting, output, **quick), long) is None
    of_files = Settings(files / "photograph.png", painting, output, **quick)
    assert checkpoint_folder(of_files, long) is None
    of_files = Settings(files / "photograph.png", "waves", output, **quick)
    assert checkpoint_folder(of_files, long) is not None


def test_an_array_s_run_is_told_from_another_s(quick, photograph, painting):
    one, other = (painted(quick, p, painting, steps=0) for p in (photograph, 1 - photograph))
    assert one.metadata["nst run"] != other.metadata["nst run"]
    assert re.search(r'"array-[0-9a-f]{12}": "[0-9a-f]{64}"', one.metadata["nst inputs"])


# ---- What comes back -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result(files):
    quick = {"model": str(files / "tiny.onnx"), "device": "cpu", "size": 48, "steps": (3, 2)}
    return nst.stylize(files / "photograph.png", files / "painting.png", scales=(32, 48), **quick)


def test_losses_are_arrays_with_a_number_a_step(result):
    assert {name: values.shape for name, values in result.losses.items()} == dict.fromkeys(
        [n for n in result.history[0] if n not in ("step", "scale", "size", "seconds")], (5,)
    )
    assert "total" in result.losses
    for name, values in result.losses.items():
        assert list(values) == [entry[name] for entry in result.history]


def test_its_repr_is_short(result):
    assert repr(result) == "<Result: 40 x 48 pixels after 5 steps>"


def test_pillow_and_a_notebook_see_the_picture(result):
    assert result.pil().mode == "RGB"
    np.testing.assert_array_equal(np.asarray(result.pil()), images.as_uint8(result.image))
    shown = PIL.Image.open(BytesIO(result._repr_png_()))
    np.testing.assert_array_equal(np.asarray(shown), images.as_uint8(result.image))


def test_transparency_comes_through(quick, photograph, painting):
    alpha = np.ones(photograph.shape[1:], np.float32)
    alpha[:30] = 0
    cut = painted(quick, np.concatenate([photograph, alpha[np.newaxis]]), painting)
    assert cut.pil().mode == "RGBA"
    assert np.asarray(cut.pil())[0, 0, 3] == 0
    assert PIL.Image.open(BytesIO(cut._repr_png_())).mode == "RGBA"


def test_what_is_too_large_for_a_screen_is_shown_smaller(rng):
    large = nst.Result(np.zeros((3, 20, 2000), np.float32), np.ones((20, 2000)), [], {})
    assert PIL.Image.open(BytesIO(large._repr_png_())).size == (1280, 13)
    assert large.pil().size == (2000, 20)


def test_saved_later_it_says_how_it_was_made(result, tmp_path):
    result.save(tmp_path / "later.png")
    assert images.read_metadata(tmp_path / "later.png") == result.metadata
    with pytest.raises(NstError, match="end it in"):
        result.save(tmp_path / "later.bmp")


def test_the_picture_of_a_step_is_shown_too(quick, photograph, painting):
    with nst.paint(photograph, painting, **quick) as run:
        progress = next(run)
        assert progress.pil().size == (40, 48)
        assert progress._repr_png_().startswith(b"\x89PNG")


# ---- Progress --------------------------------------------------------------------------------


def test_a_bar_is_shown_when_asked_and_never_else(quick, photograph, painting, capsys):
    painted(quick, photograph, painting)
    assert capsys.readouterr() == ("", "")
    seen = []
    painted(quick, photograph, painting, progress=True, on_progress=seen.append)
    told = capsys.readouterr()
    assert told.out == ""
    assert "100%" in told.err
    assert "step 2/2" in told.err
    assert len(seen) == 2


def test_with_a_bar_false_ends_the_run_too(quick, photograph, painting, capsys):
    stopped = painted(
        quick, photograph, painting, progress=True, on_progress=lambda progress: False
    )
    assert len(stopped.history) == 1


@pytest.mark.parametrize("asked", [False, True])
def test_of_several_pictures_a_bar_is_shown_when_asked(quick, files, tmp_path, capsys, asked):
    one, seen = files / "photograph.png", []
    more = quick | {"progress": asked, "on_progress": seen.append}
    nst.sheet(one, ["waves", "glass"], tmp_path / "sheet.png", **more)
    told = [capsys.readouterr()]
    nst.batch([one], ["waves", "glass"], tmp_path / "batch", **more)
    told.append(capsys.readouterr())
    assert [one.out for one in told] == ["", ""]
    assert ["picture 2/2, glass" in told[0].err, "photograph.png in glass" in told[1].err] == (
        [asked, asked]
    )
    assert asked or told[0].err == told[1].err == ""
    assert len(seen) == 8


def test_a_sheet_is_shown_and_written_only_where_it_is_said(quick, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = nst.sheet(files / "photograph.png", ["waves", "glass"], **quick)
    assert [len(one.history) for one in shown] == [2, 2]
    assert list(tmp_path.iterdir()) == []
    kept = nst.sheet(files / "photograph.png", ["waves", "glass"], "sheet.png", **quick)
    np.testing.assert_array_equal(shown.image, kept.image)
    np.testing.assert_allclose(images.load("sheet.png"), shown.image, atol=1 / 255)
    assert PIL.Image.open(BytesIO(shown._repr_png_())).size == shown.pil().size


def test_what_is_in_memory_is_no_batch(photograph, tmp_path):
    with pytest.raises(NstError, match=r"^a batch reads files, and this is .* with nst\.stylize"):
        nst.batch([photograph], "waves", tmp_path / "painted")
    assert list(tmp_path.iterdir()) == []


def test_a_bar_is_full_where_all_was_there_already(quick, files, tmp_path, capsys):
    for _ in range(2):
        nst.batch([files / "photograph.png"], "waves", tmp_path, progress=True, **quick)
        assert "100%" in capsys.readouterr().err


def test_what_python_calls_otherwise_is_told(photograph):
    with pytest.raises(TypeError, match=r"batch has no option 'format'; that is kind in Python"):
        nst.batch(["a.png"], "waves", "b", format="jpg")
    with pytest.raises(TypeError, match=r"paint has no option 'progress'; the steps are yours"):
        nst.paint(photograph, "waves", progress=True)
    with pytest.raises(NstError, match=r"'neighbors'; choose .*; did you mean neighbours\?"):
        nst.Settings(photograph, "waves", recipe="neighbors")
    assert set(dir(nst)) == set(nst.__all__)


def test_a_warning_points_at_the_line_that_called(quick, photograph):
    wide = np.ones((20, 60), np.float32)
    with pytest.warns(NstWarning, match="to which it is stretched") as found:
        nst.stylize(photograph, nst.Painting("waves", region=wide), **quick)
    assert {one.filename for one in found} == {__file__}


# ---- Types -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda **more: nst.stylize("a.png", "b.png", **more),
        lambda **more: nst.paint("a.png", "b.png", **more),
        lambda **more: nst.batch(["a.png"], ["b.png"], "out", **more),
        lambda **more: nst.sheet("a.png", **more),
        lambda **more: nst.video("a.mp4", ["b.png"], "out.mp4", **more),
    ],
    ids=["stylize", "paint", "batch", "sheet", "video"],
)
def test_a_name_that_is_no_option_is_told_with_the_one_that_was_meant(call):
    with pytest.raises(TypeError, match=r"has no option 'sise'; did you mean size\?$"):
        call(sise=3)
    with pytest.raises(TypeError, match=r"content_mask'; a mask belongs to a style: nst.Painting"):
        call(content_mask="a.png")
    with pytest.raises(TypeError, match=r"has no option 'xyzzy'; see nst.Settings$"):
        call(xyzzy=3)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda **more: nst.stylize("a.png", "b.png", **more), "on_progress"),
        (lambda **more: nst.resume("folder", **more), "on_progress"),
        (lambda **more: nst.batch(["a.png"], ["b.png"], "out", **more), "on_record"),
        (lambda **more: nst.sheet("a.png", **more), "on_progress"),
        (lambda **more: nst.video("a.mp4", ["b.png"], "out.mp4", **more), "on_plan"),
    ],
)
def test_what_cannot_be_called_is_told_before_anything_is_read(call, name):
    with pytest.raises(TypeError, match=f"^{name} is 3; give a function, or None$"):
        call(**{name: 3})


@pytest.mark.parametrize("shape", [(100_000, 100_000, 3), (4, 90_000, 90_000), (200_000, 200_000)])
@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_an_array_that_would_not_fit_is_refused_before_it_is_copied(quick, shape, kind):
    huge = np.broadcast_to(kind(1), shape)
    for pictures in ((huge, "waves"), (np.zeros((32, 32)), huge)):
        with pytest.raises(
            NstError, match=r"00 pixels, which take \d+ GB of memory, and there is"
        ):
            painted(quick, *pictures)


def test_one_picture_and_one_style_need_no_list(quick, files, tmp_path):
    (record,) = nst.batch(files / "photograph.png", "waves", tmp_path / "out", **quick)
    assert record.status == "painted"
    assert len(nst.sheet(files / "photograph.png", "waves", tmp_path / "a.png", **quick)) == 1


def test_every_setting_is_an_option():
    named = {field.name for field in fields(Settings)} - {"content", "style", "output"}
    assert set(typing.get_type_hints(Options)) == named


def test_the_package_says_that_it_is_typed():
    assert Path(nst.__file__).with_name("py.typed").exists()


CALLS = """
import numpy as np
import nst

result = nst.stylize("a.jpg", "waves", size=512, strength=0.5)
result = nst.stylize(np.zeros((20, 20, 3)), [b"", nst.Painting("a.jpg")], "b.png", steps=(1, 2))
result = nst.stylize(nst.Settings("a.jpg", "b.jpg", steps=100), progress=True)
reveal_type(result.losses)
with nst.paint("a.jpg", "b.jpg") as run:
    for step in run:
        reveal_type(step.picture())
nst.stylize("a.jpg", "waves", sise=512)
nst.stylize("a.jpg", "waves", size="large")
nst.Settings("a.jpg", 7)
"""


def test_a_type_checker_knows_what_is_called(tmp_path):
    from mypy import api

    (tmp_path / "calls.py").write_text(CALLS)
    told, errors, _ = api.run(
        [str(tmp_path / "calls.py"), "--config-file=", "--cache-dir=/dev/null"]
    )
    assert not errors
    lines = [line.split("calls.py:")[1] for line in told.splitlines() if "calls.py:" in line]
    wrong = [int(line.split(":")[0]) for line in lines if "error:" in line]
    assert sorted(set(wrong)) == [12, 13, 14], told
    assert any("dict[" in line for line in lines if line.startswith("8:"))
    assert any("ndarray" in line for line in lines if line.startswith("11:"))
