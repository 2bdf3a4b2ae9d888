"""A contact sheet shows the photograph and each style."""

import numpy as np
import pytest

import nst
from nst import cli
from nst.pictures import images, reading
from nst.settings import Settings
from nst.show import plots


def contains(sheet, picture):
    """Return whether a picture's own pixels are somewhere in a sheet."""
    wanted, page = images.as_uint8(picture), images.as_uint8(sheet)
    height, width = wanted.shape[:2]
    return any(
        np.array_equal(page[row : row + height, column : column + width], wanted)
        for row in range(page.shape[0] - height + 1)
        for column in np.flatnonzero((page[row] == wanted[0, 0]).all(axis=1))
    )


def test_the_four_paintings_are_on_it_as_stylize_paints_them(files, quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [word for name, value in quick.items() for word in (f"--{name}", str(value))]
    assert cli.main(["sheet", str(files / "photograph.png"), *words]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    page = images.load("sheet.png")
    for name in nst.demo.STYLES:
        run = Settings(files / "photograph.png", nst.demo.style_path(name), None, **quick)
        assert contains(page, nst.stylize(run).image), name
    photograph = images.resize(images.load(files / "photograph.png"), 48, 40)
    assert contains(page, photograph)


def test_given_styles_are_on_it_instead(files, first, other, quick, tmp_path):
    out = tmp_path / "page.jpg"
    results = nst.sheet(files / "photograph.png", [first, other], out, **quick)
    assert [result.image.shape for result in results] == [(3, 48, 40)] * 2
    assert out.exists()


def test_a_photograph_from_standard_input_is_painted_in_every_style(
    files, first, other, quick, tmp_path, monkeypatch
):
    """Standard input can be read only once."""
    with (files / "photograph.png").open("rb") as file:
        opened = reading._opened
        given = iter([file])

        def once(path):
            return next(given) if str(path) == "-" else opened(path)

        monkeypatch.setattr(reading, "_opened", once)
        found = nst.sheet("-", [first, other], tmp_path / "one.png", **quick)
    monkeypatch.undo()
    named = nst.sheet(files / "photograph.png", [first, other], tmp_path / "two.png", **quick)
    for one, same in zip(found, named, strict=True):
        np.testing.assert_array_equal(one.image, same.image)


def test_it_overwrites_no_input_and_writes_nothing_that_failed(files, quick, tmp_path, capsys):
    photograph = tmp_path / "a.png"
    photograph.write_bytes((files / "photograph.png").read_bytes())
    assert cli.main(["sheet", str(photograph), "-o", str(photograph)]) == 2
    assert "would overwrite an input" in capsys.readouterr().err
    (tmp_path / "broken.png").write_bytes(b"-")
    page = tmp_path / "page.png"
    broken = ["--style", str(tmp_path / "broken.png"), "--model", quick["model"]]
    assert cli.main(["sheet", str(photograph), *broken, "-o", str(page)]) == 2
    assert not page.exists()


@pytest.mark.parametrize("count", [2, 5, 7])
@pytest.mark.parametrize("shape", [(3, 30, 40), (3, 64, 17)])
def test_panels_stand_apart_in_rows(count, shape, rng):
    pictures = [rng.random(shape, np.float32) for _ in range(count)]
    drawn = plots.draw_sheet([(f"name {i}" * i, one) for i, one in enumerate(pictures)])
    drawn.canvas.draw()
    page = np.moveaxis(np.asarray(drawn.canvas.buffer_rgba())[..., :3], -1, 0) / 255
    for picture in pictures:
        assert contains(page, picture)


@pytest.mark.parametrize(
    "option", ["log", "report", "checkpoint", "preview", "plot", "save_every"]
)
def test_what_is_of_one_picture_is_no_option(option, files, first):
    with pytest.raises(TypeError, match=rf"a sheet has no \['{option}'\]"):
        nst.sheet(files / "photograph.png", [first], None, **{option: True})
