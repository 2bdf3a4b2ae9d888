"""The demo's pictures: whole, small, what their painter paints, and as unlike as schools are."""

import importlib
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst import demo
from nst.errors import NstError

ROOT = Path(__file__).parent.parent
LARGEST = 300_000  # bytes: four of them travel in every wheel


@pytest.fixture(scope="module")
def painter():
    """``scripts/paint_styles.py`` as a module."""
    return _module("paint_styles")


def _module(name):
    """Return a module of ``scripts/``, which Python finds only while it runs a script there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts")
        return importlib.import_module(name)


def _pixels(image, height=None, width=None):
    """Return (H, W, 3) in [0, 1], averaged down to ``height`` x ``width``."""
    if height is not None:
        image = image.resize((width, height), Image.Resampling.BOX)
    return np.asarray(image, np.float64) / 255


def _shipped(name):
    with Image.open(demo.style_path(name)) as image:
        image.load()  # the whole file, not the header only
        return image


@pytest.mark.parametrize("name", demo.STYLES)
def test_a_picture_is_a_small_whole_rgb_jpeg(name):
    assert demo.style_path(name).stat().st_size < LARGEST
    image = _shipped(name)
    assert (image.format, image.mode) == ("JPEG", "RGB")
    assert max(image.size) >= 640
    assert image.width != image.height


def test_no_two_pictures_share_a_shape():
    assert len({_shipped(name).size for name in demo.STYLES}) == len(demo.STYLES)


def test_the_folder_holds_the_listed_pictures_and_no_others(painter):
    files = {path.stem for path in Path(demo.__file__).parent.glob("*.jpg")}
    assert files == set(demo.STYLES) == set(painter.PAINTINGS)


@pytest.mark.parametrize("name", demo.STYLES)
def test_one_seed_is_one_picture_and_another_seed_another(painter, name):
    first, again, other = (painter.paint(name, seed, 64) for seed in (7, 7, 8))
    assert first.tobytes() == again.tobytes()
    assert np.abs(_pixels(first) - _pixels(other)).mean() > 0.01


@pytest.mark.parametrize("name", demo.STYLES)
def test_the_shipped_picture_is_what_the_script_paints(painter, name):
    """A painting keeps its composition at any size, so a quarter of the size will do."""
    shipped = _shipped(name)
    quarter = painter.paint(name, size=max(shipped.size) // 4)
    assert quarter.size == (shipped.width // 4, shipped.height // 4)
    blocks = shipped.height // 32, shipped.width // 32
    difference = np.abs(_pixels(quarter, *blocks) - _pixels(shipped, *blocks))
    assert difference.mean() < 0.03  # another seed: 0.05 and more


@pytest.mark.parametrize("name", demo.STYLES)
def test_a_style_is_rich(name):
    """Dark and light, colourful, and textured nearly everywhere: what Gram matrices feed on."""
    pixels = _pixels(_shipped(name))
    luma = pixels @ (0.299, 0.587, 0.114)
    dark, light = np.quantile(luma, (0.05, 0.95))
    assert light - dark > 0.45
    assert (pixels.max(axis=2) - pixels.min(axis=2)).mean() > 0.15
    tiles = luma[: luma.shape[0] // 32 * 32, : luma.shape[1] // 32 * 32]
    tiles = tiles.reshape(luma.shape[0] // 32, 32, luma.shape[1] // 32, 32)
    assert (tiles.std(axis=(1, 3)) > 0.02).mean() > 0.85  # a sky may rest


def test_the_schools_differ_in_what_a_gram_matrix_sees():
    """Second moments of colour and of slopes at three scales, no two pictures alike."""
    moments = {name: _moments(_pixels(_shipped(name))) for name in demo.STYLES}
    for one, other in itertools.combinations(moments, 2):
        a, b = moments[one], moments[other]
        assert np.linalg.norm(a - b) / np.linalg.norm(a + b) > 0.1, (one, other)


def _moments(pixels):
    parts = []
    for step in (1, 2, 4):
        slopes = np.concatenate(np.gradient(pixels[::step, ::step], axis=(0, 1)), axis=2)
        flat = slopes.reshape(-1, 6) / slopes.std()
        parts.append(flat.T @ flat / len(flat))
    colours = pixels.reshape(-1, 3)
    return np.concatenate(
        [part.ravel() for part in [*parts, 9 * colours.T @ colours / len(colours)]]
    )


def test_an_unknown_style_is_told_the_known_ones():
    with pytest.raises(NstError) as caught:
        demo.style_path("cubism")
    assert str(caught.value) == (
        "unknown demo style: 'cubism'. Choose one of: swirl, glass, waves, garden."
    )


def test_the_photograph_is_the_one_matplotlib_names():
    import matplotlib

    expected = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    assert demo.content_path().samefile(expected)
    with Image.open(demo.content_path()) as image:
        assert image.size == (512, 600)


def test_finding_the_photograph_does_not_import_matplotlib():
    code = "import sys, nst.demo as d; d.content_path(); print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("installed", [True, False])
def test_a_missing_photograph_says_where_it_looked(monkeypatch, tmp_path, installed):
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(demo, "find_spec", lambda name: Spec if installed else None)
    found = f"not in matplotlib's folder {tmp_path}" if installed else "matplotlib is missing"
    with pytest.raises(NstError, match=r"^demo photograph not found: .* `pip install ") as caught:
        demo.content_path()
    assert found in str(caught.value)


def test_the_script_paints_one_picture_into_a_folder(painter, tmp_path, capsys):
    painter.main(["--only", "waves", "--size", "48", "--output", str(tmp_path / "new")])
    (path,) = (tmp_path / "new").iterdir()
    assert path.name == "waves.jpg"
    with Image.open(path) as image:
        assert image.size == (48, 34)
    assert capsys.readouterr().out.startswith(f"{path}: ")


def test_the_script_runs_from_any_folder(tmp_path):
    script = ROOT / "scripts" / "paint_styles.py"
    command = [sys.executable, script, "--only", "glass", "--size", "32", "--output", "here"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here" / "glass.jpg").is_file()


def test_the_script_refuses_a_size_too_small(painter, tmp_path, capsys):
    with pytest.raises(SystemExit):
        painter.main(["--size", "8", "--output", str(tmp_path)])
    assert "--size is too small to paint on: 8. Give 32 or more." in capsys.readouterr().err


@pytest.mark.parametrize("way", [1, -1])
def test_a_rim_lies_outside_its_shape(way):
    """A circle of radius 0.2 swollen by 0.05 is one of 0.25, whichever way it was drawn."""
    shapes = _module("painters.shapes")
    rim = shapes.grown(shapes.disc((0.3, 0.7), 0.2)[::way], 0.05)
    np.testing.assert_allclose(np.linalg.norm(rim - (0.3, 0.7), axis=1), 0.25, atol=0.001)


def test_the_flow_around_a_hilltop_is_a_circle():
    along_contours = _module("painters.flow").along_contours
    rows, columns = np.mgrid[-6:7, -4:5].astype(np.float64)
    flow = along_contours(100 - rows**2 - columns**2)[1:-1, 1:-1]  # centred slopes
    outwards = np.stack([rows, columns], axis=-1)[1:-1, 1:-1]
    np.testing.assert_allclose((flow * outwards).sum(axis=2), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(flow, axis=2).ravel()[:20], 1, rtol=1e-6)


@pytest.mark.parametrize("degrees", [0, 20, 45])
def test_a_stroke_paints_where_its_path_leads_and_nowhere_else(rng, degrees):
    """It is 30 pixels long and at most 7 wide: see each pixel's place along and across it."""
    strokes = _module("painters.strokes")
    canvas = strokes.Canvas(np.zeros((40, 60, 3), np.float32), np.zeros((40, 60), np.float32))
    down, right = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    path = (10, 20) + np.linspace(0, 30, 9)[:, None] * (down, right)
    brush = strokes.Brush(length=0.75, width=0.15, bristles=6, load=1.0)
    strokes.brush_strokes(rng, canvas, path[None], np.array([[0.9, 0.5, 0.1]]), brush)
    rows, columns = np.mgrid[-10:30, -20:40]
    along, across = rows * down + columns * right, rows * right - columns * down
    painted = canvas.colour.any(axis=2)
    assert -1 <= along[painted].min() <= along[painted].max() <= 31
    assert np.abs(across[painted]).max() <= 4.2
    middle = (along > 6) & (along < 20) & (np.abs(across) < 1.2)  # it has no holes
    assert (canvas.colour[middle] > 0).all()
    assert (canvas.relief[middle] != 0).all()
