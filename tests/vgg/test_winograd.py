"""Winograd's convolution against loops in float64, then a whole network by it against direct."""

from fractions import Fraction

import numpy as np
import pytest
from small_networks import NARROW_VGG16, ReferenceVgg, draw_arrays, relative_error
from small_nodes import naive_conv, run_alone

from nst.errors import NstError
from nst.vgg import Vgg, graphs, winograd
from nst.vgg.architecture import POOLINGS, VGG16
from nst.vgg.plan import Plan


def run(x, weight):
    """Run the nodes alone, in float64."""
    (outputs, inputs), (_, height, width) = weight.shape[:2], x.shape
    nodes = winograd.conv("kernel", "x", "y", inputs, outputs, height, width)
    constants = winograd.constants(np.dtype(np.float64))
    constants["kernel"] = winograd.transform_kernel(weight)
    return run_alone(nodes, x, (outputs, height, width), constants)


def test_one_row_is_exact_in_fractions():
    """No rounding at all: the three transforms are the identity that they claim to be."""
    g = [Fraction(2), Fraction(-3), Fraction(5)]
    x = [Fraction(n) for n in (1, 7, -4, 9, 3, -8)]
    kernel = [[Fraction(v).limit_denominator(24) for v in row] for row in winograd.KERNEL.tolist()]

    def apply(matrix, vector):
        return [sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix]

    points = [
        a * b for a, b in zip(apply(kernel, g), apply(winograd.INPUT.tolist(), x), strict=True)
    ]
    expected = [sum(g[i] * x[t + i] for i in range(3)) for t in range(4)]
    assert apply(winograd.OUTPUT.tolist(), points) == expected


@pytest.mark.parametrize("strip", [1, 4, 1024], ids="strips of {} squares".format)
@pytest.mark.parametrize("size", [(1, 1), (3, 9), (4, 4), (5, 8), (12, 7), (17, 22)])
def test_it_is_the_convolution(rng, monkeypatch, size, strip):
    monkeypatch.setattr(winograd, "SQUARES_AT_ONCE", strip)
    x, weight = rng.standard_normal((3, *size)), rng.standard_normal((5, 3, 3, 3))
    np.testing.assert_allclose(run(x, weight), naive_conv(x, weight), rtol=0, atol=1e-12)


def test_it_pays_with_many_channels_either_way():
    assert winograd.pays(512, 512)
    assert winograd.pays(128, 128)
    assert winograd.pays(128, 256) == winograd.pays(256, 128) is True
    assert not winograd.pays(64, 128)
    assert not winograd.pays(512, 3)


@pytest.fixture
def everywhere(monkeypatch):
    """Let it be used for the few channels of a test, and in more than one strip."""
    monkeypatch.setattr(winograd, "FEWEST_CHANNELS", 3)
    monkeypatch.setattr(winograd, "SQUARES_AT_ONCE", 12)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("size", [(35, 22), (16, 16), (17, 31)])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_network_by_it_is_the_direct_one(rng, pooling, size):
    taps = ("relu4_2", "conv1_1", "relu1_2", "conv3_1", "conv5_3")
    arrays = draw_arrays(NARROW_VGG16, rng)
    image = rng.random((3, *size))
    reference = ReferenceVgg(NARROW_VGG16, arrays, taps, pooling)
    expected = reference.forward(image)
    d_features = {tap: rng.standard_normal(f.shape) for tap, f in expected.items()}
    vgg = Vgg.from_arrays(arrays, taps, pooling)
    found = vgg.forward(image.astype(np.float32))
    for tap in taps:
        assert relative_error(found[tap], expected[tap]) <= 1e-4
    d_image = vgg.backward({tap: d.astype(np.float32) for tap, d in d_features.items()})
    assert relative_error(d_image, reference.backward(d_features)) <= 1e-4


@pytest.mark.usefixtures("everywhere")
def test_it_is_used_where_it_pays_and_never_if_told_so(rng):
    arrays = {**draw_arrays(NARROW_VGG16, rng), "mean": np.zeros((1, 3, 1, 1))}
    plan = Plan(NARROW_VGG16, ("relu2_1",), "max", (32, 48), "auto")
    kernels = ["conv1_1", "conv1_2", "conv2_1"]
    assert sorted(graphs.points(plan, arrays)) == [
        f"{name}.{kind}" for name in kernels for kind in ("points", "turned_points")
    ]
    direct = Plan(NARROW_VGG16, ("relu2_1",), "max", (32, 48), "direct")
    assert graphs.points(direct, arrays) == {}


def test_at_full_width_it_takes_over_with_the_second_block():
    plan = Plan(VGG16, ("relu5_3",), "max", (64, 64), "auto")
    direct = [name for name in VGG16.convolutions if not plan.points(name)]
    assert direct == ["conv1_1", "conv1_2", "conv2_1"]


def test_an_unknown_way_to_convolve_is_an_error(rng):
    with pytest.raises(NstError, match=r"--conv is 'fft'; choose auto or direct\."):
        Vgg.from_arrays(draw_arrays(NARROW_VGG16, rng), ["relu1_1"], convolution="fft")
