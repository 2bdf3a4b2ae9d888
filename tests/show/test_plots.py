"""The plots show what they were given: read back from the pixels, or from the figure drawn."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from nst.errors import NstError
from nst.pictures import images
from nst.show import plots


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plot.png"


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were written, to look at their parts."""
    figures: list[Figure] = []
    save = plots._save

    def keep(figure, path):
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(plots, "_save", keep)
    return figures


# Triptych


def _flat(height, width, colour) -> np.ndarray:
    return np.broadcast_to(np.float32(colour)[:, None, None], (3, height, width)).copy()


def _box(picture, colour) -> tuple[int, int, int, int]:
    """The rows and columns (first, past the last) of what has exactly this colour."""
    found = (np.abs(picture - np.float32(colour)[:, None, None]) < 0.002).all(axis=0)
    rows, columns = np.nonzero(found.any(axis=1))[0], np.nonzero(found.any(axis=0))[0]
    box = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    assert found[box[0] : box[1], box[2] : box[3]].all()  # one solid rectangle
    return tuple(int(side) for side in box)


RED, GREEN, BLUE = (1, 0, 0), (0, 1, 0), (0, 0, 1)


@pytest.mark.parametrize("title", [None, "one title"])
@pytest.mark.parametrize(
    "sizes",
    [
        ((40, 60), (80, 120), (90, 30)),
        ((17, 170), (17, 31), (200, 201)),  # a panorama, which makes all of them lower
        ((500, 50), (33, 35), (1200, 60)),
    ],
)
def test_triptych_has_equal_heights_in_order_and_in_proportion(path, sizes, title):
    parts = [_flat(*size, colour) for size, colour in zip(sizes, (RED, GREEN, BLUE), strict=True)]
    plots.triptych(*parts, path, title=title)
    picture = images.load(path)
    boxes = [_box(picture, colour) for colour in (RED, GREEN, BLUE)]
    assert len({(top, bottom) for top, bottom, _, _ in boxes}) == 1
    height = boxes[0][1] - boxes[0][0]
    for (rows, columns), (_, _, left, right) in zip(sizes, boxes, strict=True):
        assert abs((right - left) - height * columns / rows) <= 0.5
    assert boxes[0][3] < boxes[1][2]  # content, a gap, mixed,
    assert boxes[1][3] < boxes[2][2]  # a gap, style
    assert picture.shape[2] <= 2500
    for _, _, left, right in boxes:  # something is written above each
        assert picture[:, : boxes[0][0], left:right].min() < 0.3
    np.testing.assert_array_equal(picture[:, boxes[0][1] :], 1)  # and nothing below


def test_triptych_shows_the_image_itself_upright(path, rng):
    content, mixed, style = rng.random((3, 3, plots.PANEL_HEIGHT, 40), np.float32)
    plots.triptych(content, mixed, style, path)
    picture = images.load(path)
    top = picture.shape[1] - plots.MARGIN - plots.PANEL_HEIGHT
    left = plots.MARGIN
    for image in (content, mixed, style):
        panel = picture[:, top : top + plots.PANEL_HEIGHT, left : left + 40]
        np.testing.assert_allclose(panel, image, atol=0.51 / 255)
        left += 40 + plots.GAP


@pytest.mark.parametrize(
    "title", ["wave $x^_{ and 100 %", "山 in the style of 🎨", "<&>\\alpha$$"]
)
def test_a_title_may_be_any_file_name(path, drawn, title):
    flat = _flat(50, 70, RED)
    plots.triptych(flat, flat, flat, path, title=title)
    written = [text.get_text() for text in drawn[0].texts]
    assert written == ["content", "mixed", "style", title]


def test_plots_can_be_jpegs(tmp_path):
    flat = _flat(50, 70, BLUE)
    plots.triptych(flat, flat, flat, tmp_path / "plot.jpg")
    assert (tmp_path / "plot.jpg").read_bytes().startswith(b"\xff\xd8")


# Loss curves


def _history(steps_per_scale=(6, 4, 3)) -> list[dict]:
    history = []
    for scale, steps in enumerate(steps_per_scale):
        for i in range(steps):
            history.append(
                {
                    "step": len(history) + 1,
                    "scale": scale,
                    "size": 128 * (scale + 1),
                    "seconds": 0.5 * len(history),
                    "total": 11.8,
                    "content relu3_3": 2.0 * i,
                    "style relu1_1": 1e4 / (i + 1),
                    "style relu2_1": 1e3 / (i + 1),
                    "style relu3_1": 1e2 / (i + 1),
                    "smoothness": 30.0,
                }
            )
    return history


TERMS = ["content relu3_3", "style relu1_1", "style relu2_1", "style relu3_1", "smoothness"]


def _curves(figure) -> dict:
    """The curves by label, without the lines that mark the scales."""
    (axes,) = figure.axes
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_every_raw_loss_is_a_curve_on_a_log_axis(path, drawn):
    history = _history()
    plots.loss_curves(history, path)
    curves = _curves(drawn[0])
    assert list(curves) == TERMS
    assert drawn[0].axes[0].get_yscale() == "log"
    for name, line in curves.items():
        np.testing.assert_array_equal(line.get_xdata(), range(1, 14))
        expected = [row[name] if row[name] > 0 else np.nan for row in history]
        np.testing.assert_array_equal(line.get_ydata(), expected)


def test_the_total_is_a_thin_grey_line_if_asked_for(path, drawn):
    plots.loss_curves(_history(), path, total=True)
    curves = _curves(drawn[0])
    assert list(curves) == [*TERMS, "total"]
    np.testing.assert_array_equal(curves["total"].get_ydata(), [11.8] * 13)
    red, green, blue = to_rgb(curves["total"].get_color())
    assert red == green == blue
    assert curves["total"].get_linewidth() < curves["smoothness"].get_linewidth()


def test_where_the_scale_changes_is_a_line_and_a_size(path, drawn):
    plots.loss_curves(_history(), path)
    axes = drawn[0].axes[0]
    marks = [line.get_xdata()[0] for line in axes.lines if line.get_label().startswith("_")]
    assert marks == [6.5, 10.5]
    assert [(text.get_text(), text.xy[0]) for text in axes.texts] == [
        ("128 px", 1),
        ("256 px", 6.5),
        ("384 px", 10.5),
    ]


def test_one_scale_is_not_marked(path, drawn):
    plots.loss_curves(_history((5,)), path)
    axes = drawn[0].axes[0]
    assert len(axes.lines) == len(TERMS)
    assert not axes.texts


def test_steps_counted_anew_at_each_scale_are_counted_on(path, drawn):
    history = [row | {"step": i} for row, i in zip(_history((3, 2)), [1, 2, 3, 1, 2], strict=True)]
    plots.loss_curves(history, path)
    for line in _curves(drawn[0]).values():
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4, 5])


def test_steps_may_be_far_apart(path, drawn):
    history = [row for row in _history((30,)) if row["step"] % 10 == 0]
    plots.loss_curves(history, path)
    np.testing.assert_array_equal(_curves(drawn[0])["smoothness"].get_xdata(), [10, 20, 30])


@pytest.mark.parametrize("bad", [0.0, -3.0, np.nan, np.inf, 1e308, 1e-310])
def test_what_a_log_axis_cannot_show_is_left_out_without_a_word(path, drawn, bad):
    history = [row | {"style relu2_1": bad} for row in _history()]
    history[2]["style relu1_1"] = bad
    plots.loss_curves(history, path)
    curves = _curves(drawn[0])
    assert np.isnan(curves["style relu2_1"].get_ydata()).all()
    assert np.flatnonzero(np.isnan(curves["style relu1_1"].get_ydata())).tolist() == [2]
    assert images.load(path).shape[0] == 3


def test_a_term_that_comes_later_starts_later(path, drawn):
    history = _history()
    history[-1]["style relu4_1"] = 5.0
    plots.loss_curves(history, path)
    values = _curves(drawn[0])["style relu4_1"].get_ydata()
    np.testing.assert_array_equal(values, [np.nan] * 12 + [5.0])


@pytest.mark.parametrize("count", [0, 1])
def test_a_run_stopped_at_once_can_be_plotted(path, drawn, count):
    plots.loss_curves(_history()[:count], path)
    axes = drawn[0].axes[0]
    if count == 0:
        assert [text.get_text() for text in axes.texts] == ["no step was taken"]
    else:
        assert _curves(drawn[0])["smoothness"].get_marker() == "o"  # one point is no line


def test_the_legend_names_the_curves_and_covers_none(path, drawn):
    taps = [
        f"relu{b}_{k}" for b, n in enumerate((2, 2, 3, 3, 3), start=1) for k in range(1, n + 1)
    ]
    history = [{"step": i, "smoothness": 1.0} for i in range(1, 9)]
    history = [row | {f"style {tap}": 9.0 for tap in taps} for row in history]
    plots.loss_curves(history, path)
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == list(_curves(drawn[0]))
    assert len(legend.get_texts()) == 14
    box = legend.get_window_extent()
    assert box.x0 > drawn[0].axes[0].get_window_extent().x1
    assert drawn[0].bbox.containsx(box.x1)
    assert drawn[0].bbox.containsy(box.y0)


def _seen(colour, cones) -> np.ndarray:
    """sRGB as a viewer with these cones sees it, in linear light."""
    encoded = np.array(to_rgb(colour))
    light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return cones @ light


# Machado, Oliveira and Fernandes 2009, severity 1
VIEWERS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    ),
    "deuteranopia": np.array(
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    ),
    "tritanopia": np.array(
        [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]
    ),
}


@pytest.mark.parametrize("viewer", VIEWERS)
def test_solid_curves_can_be_told_apart_by_every_eye(path, drawn, viewer):
    plots.loss_curves(_history(), path)
    lines = [line for line in _curves(drawn[0]).values() if line.get_linestyle() == "-"]
    assert len(lines) == 4
    seen = [np.cbrt(_seen(line.get_color(), VIEWERS[viewer])) for line in lines]
    for i, one in enumerate(seen):
        for other in seen[:i]:
            assert np.linalg.norm(one - other) > 0.2  # black to white is 1.7


def test_deeper_style_layers_are_lighter(path, drawn):
    plots.loss_curves(_history(), path)
    luma = [
        np.dot((0.299, 0.587, 0.114), to_rgb(line.get_color()))
        for name, line in _curves(drawn[0]).items()
        if name.startswith("style")
    ]
    assert luma == sorted(luma)
    assert luma[-1] - luma[0] > 0.3


# Feature maps


@pytest.fixture
def features(rng):
    return rng.standard_normal((11, 6, 9)).astype(np.float32) * np.arange(11)[:, None, None]


def test_feature_maps_shows_each_channel_with_its_range(path, drawn, features):
    plots.feature_maps(features, path, columns=4)
    figure = drawn[0]
    assert len(figure.axes) == 11
    for i, axes in enumerate(figure.axes):
        (shown,) = axes.images
        np.testing.assert_array_equal(shown.get_array(), features[i])
        assert shown.get_clim() == (features[i].min(), features[i].max())
        assert figure.texts[i].get_text() == (
            f"{i}:  {features[i].min():.3g} to {features[i].max():.3g}"
        )
    assert figure.texts[-1].get_text() == "11 channels, each 6 x 9"


def test_feature_maps_reads_left_to_right_and_down(path, drawn, features):
    plots.feature_maps(features, path, columns=4)
    boxes = [axes.get_window_extent() for axes in drawn[0].axes]
    for i, box in enumerate(boxes):
        assert box.x0 == pytest.approx(boxes[i % 4].x0)
        assert box.y0 == pytest.approx(boxes[i - i % 4].y0)
        assert box.height / box.width == pytest.approx(6 / 9, rel=0.01)
    assert boxes[0].x1 < boxes[1].x0
    assert boxes[4].y1 < boxes[0].y0
    assert all(drawn[0].bbox.contains(box.x0, box.y0) for box in boxes)


def test_feature_maps_stops_at_its_limit_and_says_so(path, drawn, features):
    plots.feature_maps(features, path, limit=5)
    assert len(drawn[0].axes) == 5
    assert drawn[0].texts[-1].get_text() == "the first 5 of 11 channels, each 6 x 9"


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 300), (3, 300, 1), (1, 7, 5)])
def test_feature_maps_of_any_shape(path, drawn, shape):
    plots.feature_maps(np.zeros(shape, np.float32), path)  # a dead channel has no range
    assert len(drawn[0].axes) == shape[0]
    height, width = images.load(path).shape[1:]
    assert 100 < width < 1200
    assert 50 < height < 700


def test_what_is_not_features_is_the_callers_mistake(path, features):
    with pytest.raises(ValueError, match=r"got \(6, 9\)"):
        plots.feature_maps(features[0], path)
    with pytest.raises(ValueError, match="8 and 0"):
        plots.feature_maps(features, path, limit=0)
    with pytest.raises(ValueError, match=r"got \(0, 6, 9\)"):
        plots.feature_maps(features[:0], path)


# Gram matrices


@pytest.fixture
def grams(rng):
    spread = rng.random((5, 5)) ** 4
    return {"relu1_1": spread + spread.T, "conv2_1": rng.standard_normal((8, 8))}


def _bars(figure):
    return figure.axes[::2], figure.axes[1::2]


def test_gram_matrices_stand_side_by_side_each_with_its_bar(path, drawn, grams):
    plots.gram_matrices(grams, path)
    matrices, bars = _bars(drawn[0])
    for axes, bar, gram in zip(matrices, bars, grams.values(), strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), gram)
        box, below = axes.get_window_extent(), bar.get_window_extent()
        assert (box.x0, box.x1) == pytest.approx((below.x0, below.x1))
        assert below.y1 < box.y0
        assert box.width == pytest.approx(box.height)
    assert matrices[0].get_window_extent().x1 < matrices[1].get_window_extent().x0
    assert [text.get_text() for text in drawn[0].texts] == [
        "relu1_1, 5 channels",
        "conv2_1, 8 channels",
    ]


def test_colour_follows_the_root_from_zero_or_around_it(path, drawn, grams):
    plots.gram_matrices(grams, path)
    positive, signed = (axes.images[0].norm for axes in _bars(drawn[0])[0])
    top = grams["relu1_1"].max()
    assert [float(positive(top * x)) for x in (0, 0.01, 0.25, 1)] == pytest.approx(
        [0, 0.1, 0.5, 1]
    )
    top = np.abs(grams["conv2_1"]).max()
    assert [float(signed(top * x)) for x in (-1, -0.25, 0, 0.25, 1)] == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1]
    )
    ticks = [axes.get_xticklabels() for axes in _bars(drawn[0])[1]]
    assert [label.get_text() for label in ticks[1]] == [f"{-top:.3g}", "0", f"{top:.3g}"]


@pytest.mark.parametrize(
    ("gram", "ends"),
    [
        (np.zeros((4, 4)), (0, 1)),  # no channel fires: any range will do, but there is one
        (np.full((1, 1), 7.0), (0, 7)),
        (np.full((2, 2), -3.0), (-3, 3)),
    ],
)
def test_gram_matrices_without_variety(path, drawn, gram, ends):
    plots.gram_matrices({"relu1_1": gram.astype(np.float32)}, path)
    (shown,) = drawn[0].axes[0].images
    np.testing.assert_array_equal(shown.get_array(), gram)
    assert shown.get_clim() == ends


def test_what_is_not_a_gram_matrix_is_the_callers_mistake(path):
    with pytest.raises(ValueError, match=r"relu1_1 is \(3, 4\)"):
        plots.gram_matrices({"relu1_1": np.zeros((3, 4))}, path)
    with pytest.raises(ValueError, match="at least one"):
        plots.gram_matrices({}, path)


# Files


def test_a_figure_has_exactly_its_pixels():
    inexact = [width for width in range(50, 2500) if int(width / 100 * 100) != width]
    for width in inexact[::10]:  # those that inches and floats could lose one of
        figure = plots._figure(width, 99)
        figure.canvas.draw()
        assert np.asarray(figure.canvas.buffer_rgba()).shape == (99, width, 4)


ALL = {
    "triptych": lambda path: plots.triptych(*[_flat(50, 70, RED)] * 3, path),
    "loss_curves": lambda path: plots.loss_curves(_history(), path),
    "feature_maps": lambda path: plots.feature_maps(np.ones((2, 3, 4), np.float32), path),
    "gram_matrices": lambda path: plots.gram_matrices({"relu1_1": np.eye(3)}, path),
}


@pytest.mark.parametrize("name", ALL)
def test_a_full_disk_leaves_the_old_plot(path, monkeypatch, name):
    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    path.write_bytes(b"the old plot")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(NstError, match=r"plot\.png: the disk is full; free some space"):
        ALL[name](path)
    assert path.read_bytes() == b"the old plot"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ALL)
def test_the_same_input_gives_the_same_bytes(tmp_path, name):
    for file in ("one.png", "two.png"):
        ALL[name](tmp_path / file)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_plots_need_no_display_and_leave_nothing_behind(path):
    code = (
        "import sys, matplotlib, numpy as np\n"
        "from nst.show import plots\n"
        "def settings():\n"  # to look at the backend is to choose one
        "    return {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'}\n"
        "before = settings()\n"
        "plots.gram_matrices({'relu1_1': np.eye(3)}, sys.argv[1])\n"
        "assert settings() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    subprocess.run([sys.executable, "-c", code, path], check=True, env=environment)
    assert path.exists()
