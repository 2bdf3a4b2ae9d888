"""Plots look as they should, whatever the user's matplotlib is told for other plots."""

import subprocess
import sys

import numpy as np
from matplotlib import rc_context, rcParams

from nst.show import plots

TASTE = {
    "text.usetex": True,
    "font.size": 40,
    "figure.facecolor": "red",
    "figure.dpi": 30,
    "savefig.bbox": "tight",
    "axes.facecolor": "black",
    "axes.grid": True,
    "lines.linewidth": 20,
    "path.sketch": (1, 100, 2),
    "image.cmap": "gray",
    "svg.fonttype": "none",
}


def test_the_user_s_matplotlibrc_changes_no_plot(tmp_path, rng):
    image = rng.random((3, 20, 30), np.float32)
    gram = rng.random((5, 5), np.float32)
    history = [{"step": n, "style relu1_1": 1 / n} for n in (1, 2, 3)]

    def draw():
        plots.triptych(image, image, image, tmp_path / "a.png", "title")
        plots.loss_curves(history, tmp_path / "b.png")
        plots.feature_maps(image, tmp_path / "c.png")
        plots.gram_matrices({"relu1_1": gram}, tmp_path / "d.png")
        drawn = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
        return [*drawn, plots.as_svg(plots.draw_losses(history))]

    expected = draw()
    with rc_context(TASTE):
        assert draw() == expected
        assert rcParams["font.size"] == 40  # and nothing of the user's is changed


def test_a_matplotlibrc_that_is_no_text_costs_the_plot_alone(settings, tmp_path):
    asked = settings(steps=1, scales=1, size=32, plot=True, report=tmp_path / "page.html")
    (tmp_path / "matplotlibrc").write_bytes(b"font.size: \xff\n")
    code = "import sys; from nst import Settings, stylize; "
    code += "stylize(Settings.from_json(sys.argv[1]))"
    command = [sys.executable, "-c", code, asked.as_json()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no triptych was saved: matplotlib does not start, see its matplotlibrc" in done.stderr
    assert asked.output.is_file()
