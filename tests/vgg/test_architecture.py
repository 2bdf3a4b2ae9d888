"""VGG's tables, against the paper's."""

from dataclasses import replace

import pytest

from nst.errors import NstError
from nst.vgg.architecture import (
    ARCHITECTURES,
    VGG16,
    VGG16_SLIM,
    VGG19,
    Architecture,
    numbers,
    relu_of,
)

MINI = Architecture(((4, 5), (6,)))


def test_vgg16_is_column_d_of_the_paper():
    widths = {name: VGG16.channels(name) for name in VGG16.convolutions}
    assert widths == {
        "conv1_1": 64, "conv1_2": 64,
        "conv2_1": 128, "conv2_2": 128,
        "conv3_1": 256, "conv3_2": 256, "conv3_3": 256,
        "conv4_1": 512, "conv4_2": 512, "conv4_3": 512,
        "conv5_1": 512, "conv5_2": 512, "conv5_3": 512,
    }  # fmt: skip


def test_vgg19_is_column_e_one_convolution_more_in_each_deep_block():
    more = {"conv3_4": 256, "conv4_4": 512, "conv5_4": 512}
    widths = {name: VGG19.channels(name) for name in VGG19.convolutions}
    assert widths == {name: VGG16.channels(name) for name in VGG16.convolutions} | more
    assert len(VGG19.convolutions) == 16


def test_vgg16_slim_is_vgg16_with_narrower_layers():
    assert VGG16_SLIM.taps == VGG16.taps
    for convolution in VGG16_SLIM.convolutions:
        assert VGG16_SLIM.channels(convolution) < VGG16.channels(convolution)


def test_names_are_those_of_the_command_line():
    assert ARCHITECTURES == {"vgg16": VGG16, "vgg19": VGG19, "vgg16-slim": VGG16_SLIM}


def test_layers_are_in_the_order_of_the_forward_pass():
    assert MINI.layers == [
        "conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1", "conv2_1", "relu2_1",
    ]  # fmt: skip


def test_taps_are_every_convolution_and_every_relu_but_no_pool():
    assert MINI.taps == ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "conv2_1", "relu2_1"]
    assert len(VGG16.taps) == 26
    assert len(VGG19.taps) == 32


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("conv1_2", (64, 35, 22)),
        ("pool1", (64, 17, 11)),
        ("relu2_1", (128, 17, 11)),
        ("pool2", (128, 8, 5)),
        ("conv3_3", (256, 8, 5)),
        ("relu4_2", (512, 4, 2)),
        ("pool4", (512, 2, 1)),
        ("relu5_3", (512, 2, 1)),
    ],
)
def test_shape_halves_at_each_pool_and_drops_the_odd_row(layer, shape):
    assert VGG16.shape(layer, 35, 22) == shape


@pytest.mark.parametrize("taps", [("relu1_2", "conv1_1"), ("conv1_1", "relu1_2")])
def test_layers_stop_at_the_deepest_tap_in_whatever_order(taps):
    assert MINI.layers_to(taps) == ["conv1_1", "relu1_1", "conv1_2", "relu1_2"]


def test_layers_stop_before_the_relu_of_a_convolution_tap():
    assert MINI.layers_to(("conv2_1",))[-2:] == ["pool1", "conv2_1"]


@pytest.mark.parametrize("tap", ["relu4_2", "pool1", "relu1_3", "conv0_1", "image", ""])
def test_a_tap_that_is_missing_is_named_with_those_there_are(tap):
    with pytest.raises(NstError) as error:
        MINI.layers_to(("relu1_1", tap))
    assert repr(tap) in str(error.value)
    assert "conv1_1, relu1_1, conv1_2, relu1_2, conv2_1, relu2_1" in str(error.value)


def test_no_taps_at_all_lists_those_there_are():
    with pytest.raises(NstError, match=r"no taps given; choose from conv1_1, relu1_1, "):
        MINI.layers_to(())


def test_numbers_and_relu_of():
    assert numbers("conv4_2") == numbers("relu4_2") == (4, 2)
    assert numbers("relu12_10") == (12, 10)
    assert relu_of("conv4_2") == "relu4_2"


def test_a_hypercolumn_of_pools_that_keep_an_odd_row_is_refused():
    VGG16.check_taps(("hypercolumn",))
    with pytest.raises(
        NstError, match="hypercolumn is made of whole squares; choose from conv1_1"
    ):
        replace(VGG16, rounding="ceil").check_taps(("relu1_1", "hypercolumn"))
