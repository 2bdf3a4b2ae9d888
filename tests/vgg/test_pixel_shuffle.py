"""The way back through the first convolution, four pixels at once, against loops in float64."""

import numpy as np
import pytest
from small_networks import NARROW_VGG16, draw_arrays
from small_nodes import naive_conv, run_alone

from nst.vgg import Vgg, graphs, pixel_shuffle
from nst.vgg.plan import Plan

SIZES = [(6, 8), (7, 8), (6, 9), (7, 9), (1, 1), (2, 1)]


def run(x, kernel, height, width, borders):
    """Run the nodes alone, in float64."""
    nodes = pixel_shuffle.conv("kernel", "x", "y", height, width, borders)
    constants = {"kernel": pixel_shuffle.shuffled_kernel(kernel)}
    return run_alone(nodes, x, (len(kernel), height, width), constants)


@pytest.mark.parametrize("borders", [(1, 1), (0, 1), (1, 0), (0, 0)])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_is_the_convolution_by_its_definition(rng, height, width, borders):
    kernel = rng.standard_normal((3, 5, 3, 3))
    x = rng.standard_normal((5, height + 2 - sum(borders), width))
    expected = naive_conv(x, kernel, borders)
    assert expected.shape == (3, height, width)
    np.testing.assert_allclose(run(x, kernel, height, width, borders), expected, atol=1e-12)


def test_each_pixel_of_a_square_has_the_kernel_at_its_own_place():
    kernel = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    shuffled = pixel_shuffle.shuffled_kernel(kernel)
    assert shuffled.shape == (4, 1, 4, 4)
    for index, (a, b) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        assert np.array_equal(shuffled[index, 0, a : a + 3, b : b + 3], kernel[0, 0])
        assert shuffled[index].sum() == kernel.sum()  # zeros around it


@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_only_the_way_back_through_the_first_convolution_goes_so(rng, size):
    arrays = draw_arrays(NARROW_VGG16, rng)
    arrays |= {
        "mean": np.zeros((1, 3, 1, 1), np.float32),
        "std": np.ones((1, 3, 1, 1), np.float32),
    }
    plan = Plan(NARROW_VGG16, ("relu2_1",), "max", size, "auto")
    model = graphs.backward(plan, arrays)
    assert [n.op_type for n in model.graph.node].count("DepthToSpace") == 1
    names = [i.name for i in model.graph.initializer]
    assert "conv1_1.shuffled" in names
    assert "conv1_1.weight" not in names  # nothing is carried that is not read


@pytest.mark.parametrize("size", [(40, 48), (41, 47)])
def test_the_gradient_is_the_direct_one_to_rounding(rng, size):
    arrays = draw_arrays(NARROW_VGG16, rng)
    image = rng.random((3, *size), np.float32)
    gradients = []
    for convolution in ("direct", "auto"):
        vgg = Vgg.from_arrays(arrays, ["relu1_1"], "max", convolution=convolution)
        features = vgg.forward(image)
        gradients.append(vgg.backward({"relu1_1": np.cos(features["relu1_1"])}))
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-6)
