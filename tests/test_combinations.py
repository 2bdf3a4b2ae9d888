"""Every control of the artist with everything that a run can go through.

What each control means is in test_controls.py.  Here: that it means the same at every scale, in
tiles, in a run that was stopped and goes on, in a run that is repeated from its result, and in a
report.
"""

from dataclasses import replace

import numpy as np
import pytest
from objectives import styles_blended, styles_by_region
from running import begun
from show.test_report import pictures
from stopping import assert_the_same_when_stopped, saved, stop_after, without_seconds

from nst import cli, stylize
from nst.pictures import images
from nst.run.inputs import prepare
from nst.run.plan import draft
from nst.run.targets import objective_at
from nst.settings import Painting, Settings
from nst.stylize import complete

TAPS = {"content_taps": {"relu2_2": 2.0}, "style_taps": {"relu1_1": 1e3, "relu3_2": 5e2}}
CONTROLS = {  # name: settings, given the folder of the pictures
    "nothing": lambda at: {},
    "two styles": styles_blended,
    "masks": styles_by_region,
    "color content": lambda at: {"color": "content"},
    "color content-luminance": lambda at: {"color": "content-luminance"},
    "color match": lambda at: {"color": "match"},
    "strength": lambda at: {"strength": 0.4},
    "tap weights": lambda at: TAPS,
    "style scale": lambda at: {"style_scale": 1.7},
    "styles at chosen taps": lambda at: {
        "style": [
            Painting(at / "painting.png", taps=("relu1_1", "relu2_1"), region=at / "left.png"),
            Painting(at / "other.png", 2, taps=("relu2_1", "relu4_1"), mask=at / "right.png"),
        ]
    },
    "pooling": lambda at: {"pooling": "max"},
    "edges": lambda at: {"edges": 40.0},
    "tv weight": lambda at: {"tv_weight": 1e4},
    "weights": lambda at: {"content_weight": 30.0, "style_weight": 0.5},
    "noise": lambda at: {"init": "noise", "seed": 7},
    "start from the style": lambda at: {"init": "style"},
    "start from a file": lambda at: {"init": str(at / "other.png")},
    "adam": lambda at: {"optimizer": "adam"},
    "descent": lambda at: {"optimizer": "descent"},
    "steps": lambda at: {"steps": (1, 7)},
    "transparency": lambda at: {"content": at / "cut.png"},
    "holes": lambda at: {"content": at / "hole.png", "color": "match"},
    "moments": lambda at: {"recipe": "spst", **TAPS},
    "covariance": lambda at: {"recipe": "crowson", **TAPS},
    "logarithms": lambda at: {"recipe": "hvass", **TAPS},
}
# A mask of another shape than its picture's is stretched, and said to be.
pytestmark = pytest.mark.filterwarnings("ignore:the mask .* another shape")
TOUCHY = {"adam", "covariance"}  # whose first steps follow the sign of a gradient, however small
USUAL = {"size": 128, "scales": (80, 128), "steps": (3, 5)}
SHOWN = ["two styles", "masks", "color content", "color match", "transparency"]  # in reports


@pytest.fixture(params=CONTROLS)
def asked(request, settings, files, first, other, left, right):
    """A run of two scales and eight steps, with one control."""
    alpha = np.ones((90, 75), np.float32)
    alpha[:, :30] = 0.25
    images.save(files / "cut.png", images.load(files / "photograph.png"), alpha)
    images.save(files / "hole.png", images.load(files / "photograph.png"), alpha > 0.3)
    return settings(**USUAL | CONTROLS[request.param](files))


@pytest.fixture(scope="module")
def plain(files):
    """The picture without any control."""
    pictures, model = (files / "photograph.png", files / "painting.png"), str(files / "tiny.onnx")
    return stylize(Settings(*pictures, None, model=model, device="cpu", **USUAL)).image


@pytest.fixture
def name(request):
    return request.node.callspec.params["asked"]


def test_in_tiles_it_paints_the_same_picture(asked, name):
    runs = [begun(prepare(replace(asked, scales=1, steps=5))) for _ in range(2)]
    start = runs[0][2].image.copy()
    for (inputs, planned, state), side in zip(runs, (None, 96), strict=True):
        complete(inputs, replace(planned, side=side), state)
    whole, tiled = (state.image for _, _, state in runs)
    error, moved = np.abs(tiled - whole).mean(), np.abs(whole - start).mean()
    assert error < (1e-2 if name in TOUCHY else 1e-3) * moved
    for one, two in zip(*(without_seconds(state.history) for _, _, state in runs), strict=True):
        assert two == pytest.approx(one, rel=1e-2 if name in TOUCHY else 1e-3)


def test_each_scale_is_a_run_of_that_size(asked, name, rng):
    inputs = prepare(asked)
    planned = draft(inputs)
    for scale in planned.scales:
        alone = replace(asked, size=scale.height, scales=1, steps=1)
        if name == "logarithms":  # hvass' style image has 300 pixels at the full size
            alone = replace(alone, style_scale=scale.height / 128)
        lone = prepare(alone)
        image = rng.random((3, scale.height, scale.width), np.float32)
        found, d_found = objective_at(inputs, scale, share=planned.share(scale)).evaluate(image)
        losses, d_image = objective_at(lone, draft(lone).full).evaluate(image)
        assert found.floats() == pytest.approx(losses.floats(), rel=1e-6)
        np.testing.assert_allclose(d_found, d_image, atol=1e-6 * np.abs(d_image).max())


def test_stopped_and_resumed_it_paints_the_same_picture(asked, tmp_path):
    # At the end of the coarse scale, and in the fine one.
    assert_the_same_when_stopped(asked, tmp_path / "saved", 1, 3, 6)


def test_from_its_result_it_paints_the_same_picture(asked, name, plain, tmp_path, monkeypatch):
    result = stylize(asked)
    changed = name not in ("nothing", "transparency")  # which is none of the painting's
    assert (np.abs(result.image - plain).mean() > 2e-3) == changed
    assert len(saved(asked.output)) == (4 if name in ("transparency", "holes") else 3)
    again = tmp_path / "again.png"
    monkeypatch.chdir(asked.content.parent)  # a picture names its files, not where they are
    assert cli.main(["stylize", "--quiet", "--from", str(asked.output), "-o", str(again)]) == 0
    np.testing.assert_array_equal(saved(again), saved(asked.output))
    one, two = (images.read_metadata(path)["nst losses"] for path in (asked.output, again))
    assert one == two


@pytest.mark.parametrize("asked", SHOWN, indirect=True)
def test_a_report_of_a_stopped_run_shows_its_picture(asked, name, tmp_path):
    """In its final colours."""
    folder, page = tmp_path / "saved", tmp_path / "page.html"
    with pytest.raises(KeyboardInterrupt):
        stylize(replace(asked, checkpoint=folder), on_progress=stop_after(6))
    assert cli.main(["report", str(folder), "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    shown = pictures(text)["The painted picture"]
    expected = np.moveaxis(images.load(asked.output), 0, -1)
    if name == "transparency":  # a report shows what was painted
        shown, expected = shown[:, 60:], expected[:, 60:]
    assert np.abs(shown / 255 - expected).mean() < 0.03
    assert "107 x 128 pixels, 6 steps" in text
    assert ("The Gram matrices" in text) == (name != "masks")
