"""Published files to networks: the same features as in the library that they come from."""

import numpy as np
import onnx
import pytest
import safetensors.numpy
from published import (
    NARROW,
    draw_keras,
    keras_h5,
    mxnet_onnx,
    torchvision_safetensors,
    torchvision_tensors,
)
from small_networks import NARROW_VGG16, NARROW_VGG19, draw_arrays, relative_error

from nst.errors import NstError
from nst.vgg import Vgg, formats, weights
from nst.vgg.architecture import ARCHITECTURES, VGG16
from nst.vgg.export import export_network
from nst.vgg.sources import CAFFE, TORCHVISION, Preprocessing

TAPS = ("conv1_1", "relu1_2", "relu3_3", "relu5_3")


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    for name, architecture in NARROW.items():
        monkeypatch.setitem(ARCHITECTURES, name, architecture)


@pytest.fixture
def image(rng):
    return rng.random((3, 35, 22), np.float32)


def forward(x, convolutions):
    """Return {"conv1_1": ..., "relu1_1": ...} of x (H, W, I), with channels last and in float64.

    ``convolutions``: {(block, index): (kernel (3, 3, I, O), bias (O,))}, as Keras has them.
    """
    layers = {}
    for (block, index), (kernel, bias) in convolutions.items():
        if index == 1 and block > 1:
            rows, columns = x.shape[0] // 2, x.shape[1] // 2
            x = x[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, -1).max(axis=(1, 3))
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        x = np.zeros((*x.shape[:2], len(bias))) + bias
        for i in range(3):
            for j in range(3):
                x += padded[i : i + x.shape[0], j : j + x.shape[1]] @ kernel[i, j].astype(float)
        layers[f"conv{block}_{index}"] = x
        x = np.maximum(x, 0)
        layers[f"relu{block}_{index}"] = x
    return layers


def keras_features(image, kernels):
    """What Keras computes: preprocess_input of mode "caffe", then the network, channels last."""
    pixels = 255 * image.transpose(1, 2, 0).astype(float)
    blue_green_red = pixels[..., [2, 1, 0]] - [103.939, 116.779, 123.68]
    return forward(blue_green_red, kernels)


def torchvision_features(image, arrays):
    """What torchvision computes: ToTensor and Normalize, then the network."""
    normalised = (image.transpose(1, 2, 0) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    convolutions = {
        tuple(map(int, name[4:-7].split("_"))): (
            weight.transpose(2, 3, 1, 0),
            arrays[name.replace("weight", "bias")],
        )
        for name, weight in arrays.items()
        if name.endswith("weight")
    }
    return forward(normalised, convolutions)


def assert_same_features(network, image, expected):
    features = Vgg(network, TAPS).forward(image)
    for tap in TAPS:
        assert relative_error(features[tap].transpose(1, 2, 0), expected[tap]) < 1e-4, tap


def through_our_file(network, folder):
    path = folder / "ours.onnx"
    export_network(network, path)
    return weights.load(path)


@pytest.mark.parametrize("style", ["notop", "weights", "model"])
def test_keras_file_gives_the_features_of_keras(style, image, rng, tmp_path):
    kernels = draw_keras(NARROW_VGG16, rng)
    network = formats.read(keras_h5(tmp_path / "k.h5", kernels, style), "vgg16", CAFFE)
    assert network.name == "vgg16"
    assert network.pooling == "max"
    expected = keras_features(image, kernels)
    assert_same_features(network, image, expected)
    assert_same_features(through_our_file(network, tmp_path), image, expected)


def test_keras_vgg19_gives_the_features_of_keras(image, rng, tmp_path):
    kernels = draw_keras(NARROW_VGG19, rng)
    network = formats.read(keras_h5(tmp_path / "k.h5", kernels), "vgg19", CAFFE)
    assert network.architecture == NARROW_VGG19
    assert_same_features(network, image, keras_features(image, kernels))


def test_torchvision_file_gives_the_features_of_torchvision(image, rng, tmp_path):
    arrays = draw_arrays(NARROW_VGG16, rng)
    network = formats.read(
        torchvision_safetensors(tmp_path / "t.safetensors", arrays), "vgg16", TORCHVISION
    )
    expected = torchvision_features(image, arrays)
    assert_same_features(network, image, expected)
    assert_same_features(through_our_file(network, tmp_path), image, expected)


def test_model_zoo_file_gives_the_features_of_torchvision(image, rng, tmp_path):
    arrays = draw_arrays(NARROW_VGG16, rng)
    network = formats.read(mxnet_onnx(tmp_path / "z.onnx", arrays), "vgg16", TORCHVISION)
    assert_same_features(network, image, torchvision_features(image, arrays))


def test_npz_with_our_names_is_taken_as_it_is(image, rng, tmp_path):
    arrays = draw_arrays(NARROW_VGG16, rng)
    np.savez(tmp_path / "a.npz", **arrays)
    network = formats.read(tmp_path / "a.npz", "vgg16", TORCHVISION)
    assert_same_features(network, image, torchvision_features(image, arrays))


def test_npz_may_bring_its_own_mean_and_std(rng, tmp_path):
    colours = {"mean": np.array([0.1, 0.2, 0.3]), "std": np.array([0.5, 0.25, 0.125])}
    np.savez(tmp_path / "a.npz", **draw_arrays(NARROW_VGG16, rng), **colours)
    network = formats.read(tmp_path / "a.npz", "vgg16")
    for name, values in colours.items():
        np.testing.assert_array_equal(network.arrays[name].ravel(), np.float32(values))


def test_a_model_file_of_ours_keeps_what_it_says_of_itself(rng, tmp_path):
    arrays = draw_arrays(NARROW_VGG16, rng)
    colours = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)
    mine = weights.from_arrays(arrays, "average", *colours, name="mine")
    export_network(mine, tmp_path / "mine.onnx")
    network = formats.read(tmp_path / "mine.onnx", "vgg16")
    assert network.name == "vgg16"
    assert network.pooling == "average"
    assert network.sha256 == mine.sha256


def test_preprocessing_of_the_source_goes_before_the_format_s(image, rng, tmp_path):
    """A .safetensors file for BGR from -1 to 1: (2 x - 1) / 1."""
    arrays = draw_arrays(NARROW_VGG16, rng)
    path = torchvision_safetensors(tmp_path / "t.safetensors", arrays)
    ours = Preprocessing("BGR", 2, (1, 1, 1), (1, 1, 1))
    network = formats.read(path, "vgg16", ours)
    arrays["conv1_1.weight"] = arrays["conv1_1.weight"][:, [2, 1, 0]]
    half = np.full((3, 1, 1), 0.5)
    expected = weights.from_arrays(arrays, "max", half.ravel(), half.ravel())
    found, wanted = (Vgg(n, TAPS).forward(image) for n in (network, expected))
    for tap in TAPS:
        assert relative_error(found[tap], wanted[tap]) < 1e-5


def test_float16_and_float64_become_float32(rng, tmp_path):
    for dtype in (np.float16, np.float64):
        arrays = {k: v.astype(dtype) for k, v in draw_arrays(NARROW_VGG16, rng).items()}
        np.savez(tmp_path / "a.npz", **arrays)
        network = formats.read(tmp_path / "a.npz", "vgg16", CAFFE)
        np.testing.assert_array_equal(
            network.arrays["conv4_2.weight"], np.float32(arrays["conv4_2.weight"])
        )
        assert network.arrays["conv4_2.weight"].dtype == np.float32


def test_full_width_vgg16_of_keras(rng, tmp_path, monkeypatch):
    """The real widths, read, exported and loaded again: 59 MB each."""
    monkeypatch.setitem(ARCHITECTURES, "vgg16", VGG16)
    kernels = draw_keras(VGG16, rng)
    path = keras_h5(tmp_path / "k.h5", kernels)
    assert 0 < path.stat().st_size - 4 * 14_714_688 < 100_000  # the published: 30,504 more
    network = through_our_file(formats.read(path, "vgg16", CAFFE), tmp_path)
    assert network.architecture == VGG16
    kernel, bias = kernels[5, 3]
    assert network.arrays["conv5_3.weight"][411, 97, 0, 2] == kernel[0, 2, 97, 411]
    np.testing.assert_array_equal(network.arrays["conv5_3.bias"], bias)
    assert network.arrays["conv1_1.weight"][63, 0, 2, 1] == kernels[1, 1][0][2, 1, 2, 63]


# --- What never becomes a model ---------------------------------------------------------------


def refusal(path, model="vgg16"):
    with pytest.raises(NstError) as error:
        formats.read(path, model)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pkl", ".bin", ".ckpt", ".PTH"])
def test_a_pickle_is_refused_unopened_with_the_way_out(suffix, tmp_path):
    """The file does not even exist: nothing can have been read."""
    message = refusal(tmp_path / f"vgg16{suffix}")
    assert "pickle" in message
    assert f"torch.load('vgg16{suffix}', weights_only=True), 'vgg16.safetensors')" in message


def test_an_unknown_suffix_lists_the_known(tmp_path):
    assert "choose .h5, .safetensors, .onnx, .npz" in refusal(tmp_path / "vgg16.txt")


@pytest.mark.parametrize("suffix", [".h5", ".safetensors", ".onnx", ".npz"])
def test_a_missing_file_is_named(suffix, tmp_path):
    assert "not found" in refusal(tmp_path / f"nowhere{suffix}")


@pytest.mark.parametrize("suffix", [".h5", ".safetensors", ".onnx", ".npz"])
@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>" * 9], ids=["empty", "a page"])
def test_what_is_no_such_file_is_refused(suffix, content, tmp_path):
    path = tmp_path / f"page{suffix}"
    path.write_bytes(content)
    message = refusal(path)
    assert "not a readable" in message or "0 convolutions" in message  # no ONNX file at all


@pytest.mark.parametrize("suffix", [".h5", ".safetensors", ".onnx", ".npz"])
def test_a_file_cut_in_the_middle_is_refused(suffix, rng, tmp_path):
    arrays = draw_arrays(NARROW_VGG16, rng)
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".h5":
        keras_h5(whole, draw_keras(NARROW_VGG16, rng))
    elif suffix == ".safetensors":
        torchvision_safetensors(whole, arrays)
    elif suffix == ".onnx":
        mxnet_onnx(whole, arrays)
    else:
        np.savez(whole, **arrays)
    path = tmp_path / f"half{suffix}"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    refusal(path)


def test_a_pickle_inside_an_npz_is_not_read(rng, tmp_path):
    arrays = draw_arrays(NARROW_VGG16, rng)
    arrays["conv3_1.bias"] = np.array([print, None, {}, 4, 5], object)
    np.savez(tmp_path / "a.npz", **arrays)
    assert "conv3_1.bias holds object" in refusal(tmp_path / "a.npz")


def test_a_layer_that_is_missing_is_named(rng, tmp_path):
    kernels = draw_keras(NARROW_VGG16, rng)
    del kernels[4, 2]
    message = refusal(keras_h5(tmp_path / "k.h5", kernels))
    assert "conv4_2.weight is missing" in message
    assert "block1_conv1/block1_conv1_W_1:0" in message


def test_vgg19_is_no_vgg16_and_the_other_way_round(rng, tmp_path):
    kernels = draw_keras(NARROW_VGG19, rng)
    message = refusal(keras_h5(tmp_path / "19.h5", kernels), "vgg16")
    assert "block3_conv4/block3_conv4_W_1:0 is one convolution too many" in message
    kernels = draw_keras(NARROW_VGG16, rng)
    assert "conv3_4.weight is missing" in refusal(keras_h5(tmp_path / "16.h5", kernels), "vgg19")


def test_a_sixth_block_is_one_too_many(rng, tmp_path):
    arrays = draw_arrays(NARROW_VGG16, rng)
    arrays["conv6_1.weight"] = np.zeros((4, 4, 3, 3))
    np.savez(tmp_path / "a.npz", **arrays)
    assert "conv6_1.weight is one convolution too many" in refusal(tmp_path / "a.npz")


def test_batch_normalisation_is_refused(rng, tmp_path):
    """vgg16_bn has other indices, and layers of which nothing may be dropped in silence."""
    tensors = torchvision_tensors(draw_arrays(NARROW_VGG16, rng))
    tensors["features.1.running_mean"] = np.zeros(3, np.float32)
    safetensors.numpy.save_file(tensors, tmp_path / "t.safetensors")
    assert "features.1.running_mean is one" in refusal(tmp_path / "t.safetensors")


def test_the_same_layer_twice_is_refused(rng, tmp_path):
    arrays = draw_arrays(NARROW_VGG16, rng)
    np.savez(tmp_path / "a.npz", **arrays, **{"features.0.bias": arrays["conv1_1.bias"]})
    assert "are the same layer" in refusal(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["conv1_1.weight", "conv3_2.weight", "conv5_3.bias"])
def test_a_wrong_shape_is_named_with_the_right_one(name, rng, tmp_path):
    arrays = draw_arrays(NARROW_VGG16, rng)
    right = arrays[name].shape
    arrays[name] = np.concatenate([arrays[name], arrays[name][:1]])
    np.savez(tmp_path / "a.npz", **arrays)
    message = refusal(tmp_path / "a.npz")
    assert f"{name} must be {right}" in message
    assert f"found {arrays[name].shape}" in message


def test_a_narrow_network_is_no_vgg16(rng, tmp_path, monkeypatch):
    """All its shapes fit each other; but none fits VGG16."""
    monkeypatch.setitem(ARCHITECTURES, "vgg16", VGG16)
    path = keras_h5(tmp_path / "k.h5", draw_keras(NARROW_VGG16, rng))
    assert "block1_conv1/block1_conv1_W_1:0 must be (64, 3, 3, 3)" in refusal(path)
    export_network(weights.from_arrays(draw_arrays(NARROW_VGG16, rng)), tmp_path / "ours.onnx")
    assert "conv1_1.weight must be (64, 3, 3, 3)" in refusal(tmp_path / "ours.onnx")


def test_channels_first_in_a_keras_file_are_refused(rng, tmp_path):
    """The old ``th`` files have kernels (O, I, 3, 3)."""
    kernels = draw_keras(NARROW_VGG16, rng)
    turned = {key: (kernel.transpose(3, 2, 0, 1), b) for key, (kernel, b) in kernels.items()}
    message = refusal(keras_h5(tmp_path / "k.h5", turned))
    assert "block1_conv2_W_1:0 must be (4, 3, 3, 3)" in message
    assert "found (3, 3, 4, 3)" in message


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad, rng, tmp_path):
    arrays = draw_arrays(NARROW_VGG16, rng)
    arrays["conv2_2.weight"][1, 2, 0, 1] = bad
    np.savez(tmp_path / "a.npz", **arrays)
    assert "conv2_2.weight holds values that are not finite" in refusal(tmp_path / "a.npz")


def test_integers_are_refused(rng, tmp_path):
    arrays = draw_arrays(NARROW_VGG16, rng)
    arrays["conv2_2.weight"] = arrays["conv2_2.weight"].astype(np.int8)
    np.savez(tmp_path / "a.npz", **arrays)
    assert "conv2_2.weight holds int8" in refusal(tmp_path / "a.npz")


@pytest.mark.parametrize("std", [[0.2, 0, 0.2], [0.2, np.nan, 0.2], [0.2, 0.2]])
def test_colours_that_make_no_sense_are_refused(std, rng, tmp_path):
    np.savez(tmp_path / "a.npz", **draw_arrays(NARROW_VGG16, rng), mean=np.zeros(3), std=std)
    refusal(tmp_path / "a.npz")


def test_a_damaged_model_file_of_ours_is_refused(rng, tmp_path):
    path = tmp_path / "ours.onnx"
    export_network(weights.from_arrays(draw_arrays(NARROW_VGG16, rng), name="vgg16"), path)
    model = onnx.load(path)
    (tensor,) = [t for t in model.graph.initializer if t.name == "conv2_1.weight"]
    changed = onnx.numpy_helper.to_array(tensor) * 1.01
    tensor.CopyFrom(onnx.numpy_helper.from_array(changed, tensor.name))
    onnx.save(model, path)
    assert "damaged" in refusal(path)
