"""Chapter 3: what is measured and what is claimed, against losses written out here."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nst.kernels import numpy_kernels
from nst.lesson import slope
from nst.lesson.derivations import LINES
from nst.lesson.exercises import EXERCISES
from nst.vgg import Vgg

DERIVATIONS = Path(numpy_kernels.__file__).with_name("DERIVATIONS.md").read_text(encoding="utf-8")
NO_GRADIENT = {  # headings of steps, and of what is for the reader: nothing to nudge
    "Adam on a Laplacian pyramid: `PyramidAdam`, of `resize` and `resize_backward`",
    "The palette of a painted picture: `map_channels`, which `match_moments` and "
    "`with_chroma_of` are made of",
    "Normalised descent: `normalised_descent_step`",
    "Adam: `adam_step`",
    "L-BFGS: two loops, of `dots`, `combine` and `substitute_back`",
    "L-BFGS' first curvatures, by band: `cosine_transform`, `inverse_cosine_transform`, "
    "`band_squares`, `scale_bands`",
    "Strong Wolfe line search",
}
NOT_ITS_DERIVATIVE = {"root that has not converged"}


def written_out(subject, loss, image):
    """Return a loss of an image by formulas that stand here."""
    if loss == "smoothness":
        steps = 0.0
        for plane in image.astype(np.float64):
            steps += sum(np.sum(np.diff(plane, axis=axis) ** 2) for axis in (0, 1))
        return steps / image.size
    tap = {"style": "relu2_1", "content": "relu3_3"}[loss]
    f = subject.vgg.features(image)[tap].astype(np.float64)
    if loss == "content":
        return ((f - subject.features[tap]) ** 2).mean()
    p = subject.painting_features[tap].astype(np.float64)
    one, other = (np.einsum("irc,jrc->ij", x, x) / x[0].size for x in (f, p))
    return ((one - other) ** 2).mean()


@pytest.mark.parametrize("loss", slope.LOSSES)
def test_a_nudged_pixel_moves_the_loss_by_what_the_gradient_says(subject, loss):
    image = slope.picture(subject)
    _, d_image = slope.evaluated(subject, loss, image)
    colour, row, column = slope.strongest_pixel(d_image)
    shown = slope.pixel_slope(subject, loss, row, column, slope.COLOURS[colour], 0.003)
    assert shown["apart"] < 0.05  # one pixel, in float32, through corners of ReLUs
    assert shown["claimed"] == d_image[colour, row, column]
    assert shown["loss"].number == pytest.approx(written_out(subject, loss, image), rel=1e-4)
    up = image.copy()
    up[colour, row, column] += np.float32(0.003)
    assert shown["above"].number == pytest.approx(written_out(subject, loss, up), rel=1e-6)
    assert f"row {row}, column {column}" in shown["strongest"]


@pytest.mark.parametrize("loss", slope.LOSSES)
def test_the_whole_gradient_is_a_slope(subject, loss):
    """All pixels at once, along a smooth direction: far less is rounding."""
    image = slope.picture(subject)
    _, d_image = slope.evaluated(subject, loss, image)
    direction = subject.faded - subject.photograph
    h = 1e-3
    above, below = (slope.loss_of(subject, loss, image + s * h * direction) for s in (1, -1))
    claimed = np.sum(d_image.astype(np.float64) * direction)
    assert (above - below) / (2 * h) == pytest.approx(claimed, rel=1e-2)


@pytest.mark.parametrize("line", sorted(set(LINES) - NOT_ITS_DERIVATIVE))
@pytest.mark.parametrize("element", [0, 1, 17])
def test_every_line_is_a_slope(subject, line, element):
    """Measured and claimed agree; a float32 network's to fewer digits."""
    x = LINES[line].start(subject)
    exact = x.dtype == np.float64
    shown = slope.line_slope(subject, line, element, 1e-5 if exact else 1e-2)
    assert shown["apart"] < (1e-5 if exact else 1e-3), shown
    assert shown["claimed"] != 0


@pytest.mark.parametrize("line", sorted(set(LINES) - NOT_ITS_DERIVATIVE))
def test_every_line_is_a_slope_in_all_elements_at_once(subject, line):
    x = LINES[line].start(subject)
    both = LINES[line].at(x)
    _, d_x = both(x)
    direction = np.random.default_rng(5).standard_normal(x.shape).astype(x.dtype)
    exact = x.dtype == np.float64
    h = x.dtype.type(1e-6 if exact else 2e-4)
    measured = (both(x + h * direction)[0] - both(x - h * direction)[0]) / (2 * float(h))
    claimed = float(np.sum(d_x.astype(np.float64) * direction))
    assert measured == pytest.approx(claimed, rel=1e-5 if exact else 2e-2)


def test_the_root_that_has_not_converged_says_that_it_is_none(subject):
    shown = slope.line_slope(subject, "root that has not converged", 0, 1e-5)
    assert "need not agree" in shown["remark"]


def test_every_heading_of_the_derivations_can_be_tried():
    headings = set(re.findall(r"^### (.+)$", DERIVATIONS, re.MULTILINE))
    tried = {line.heading for line in LINES.values()}
    assert tried <= headings
    assert headings - tried == NO_GRADIENT


def test_every_backward_kernel_can_be_tried():
    names = {n for n in vars(numpy_kernels) if n.endswith("_backward") and n[0] != "_"}
    assert names <= {line.backward for line in LINES.values()}


def test_every_function_of_a_line_exists():
    from nst import losses
    from nst.objective import objective
    from nst.objective.styles import covariance, moments, newton_schulz
    from nst.vgg import graphs

    places = (numpy_kernels, losses, objective, covariance, moments, newton_schulz, graphs)
    known = {"convolution": "conv", "convolution_backward": "conv_backward", "max_pool": "pool"}
    known["average_pool"] = "pool"
    for line in LINES.values():
        for name in (line.forward, line.backward):
            first = known.get(name, name).split(".")[0]
            assert any(hasattr(place, first) for place in places), name


def test_digits_run_out_in_float32_first(subject):
    rows = slope.digits(subject)["table"].rows
    assert [row[0] for row in rows] == ["1e-01", "1e-02", "1e-03", "1e-04", "1e-05", "1e-06"]
    single, double = np.array([row[1:] for row in rows]).T
    assert double.min() < 1e-6
    assert np.all(
        double[:2] / double[1:3] > 50
    )  # tenfold smaller nudge, hundredfold smaller error
    assert single[-1] > 100 * double[-1]


def louder(subject, times):
    """Return the subject with a network whose features are so many times as large."""
    arrays = dict(subject.vgg.network.arrays)
    for name in arrays:
        if name.endswith(".bias") or name == "conv1_1.weight":
            arrays[name] = np.float32(times) * arrays[name]
    network = replace(subject.vgg.network, arrays=arrays)
    return replace(subject, vgg=Vgg(network, subject.vgg.taps), kept={})


def test_the_digits_and_the_best_nudge_do_not_depend_on_how_large_features_are(subject):
    """Features of VGG16 are a thousand times as large as those of the slim one."""
    other = louder(subject, 1024)
    one, two = slope.digits(subject), slope.digits(other)
    assert two["size"] == pytest.approx(1024 * one["size"], rel=1e-5)
    bent = [[row[2] for row in shown["table"].rows[:3]] for shown in (one, two)]
    assert bent[1] == pytest.approx(bent[0], rel=1e-2)
    right, because = EXERCISES["nudge"].solve(other)
    assert EXERCISES["nudge"].choices[right] == "one in the middle"
    assert f"in float64 too it is {bent[1][0]:.4g}" in because
