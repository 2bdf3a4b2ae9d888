"""Published files to networks: the same features as in the library that they come from."""

import os
import tracemalloc
import zipfile

import numpy as np
import onnx
import pytest
import safetensors.numpy
from graph_files import GraphFile
from published import (
    NARROW,
    draw_keras,
    keras_h5,
    mxnet_onnx,
    torchvision_safetensors,
    torchvision_tensors,
)
from small_networks import NARROW_VGG16, NARROW_VGG19, draw_arrays, relative_error

from nst.errors import NstError, NstWarning
from nst.vgg import Vgg, weights
from nst.vgg.architecture import ARCHITECTURES, VGG16
from nst.vgg.export import export_network
from nst.weights import formats, sources
from nst.weights.sources import CAFFE, TORCHVISION, Preprocessing

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


# --- Nothing is read before its shape is known to be right --------------------------------------

LARGE = 1 << 28  # numbers: 1 GB of them


def h5_bomb(path):
    """A few kilobytes that say they hold a gigabyte: chunks that nobody has written."""
    import h5py

    with h5py.File(
        keras_h5(path, draw_keras(NARROW_VGG16, np.random.default_rng(1))), "a"
    ) as file:
        name = "block2_conv1/block2_conv1_b_1:0"
        del file[name]
        file.create_dataset(name, (LARGE,), np.float32, chunks=(1 << 20,), fillvalue=1)
    return path


def npz_bomb(path):
    arrays = draw_arrays(NARROW_VGG16, np.random.default_rng(1))
    del arrays["conv2_1.bias"]
    np.savez(path, **arrays)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        with file.open("conv2_1.bias.npy", "w", force_zip64=True) as member:
            header = {"descr": "<f4", "fortran_order": False, "shape": (LARGE,)}
            np.lib.format.write_array_header_1_0(member, header)
            member.write(bytes(1 << 24))  # enough to begin with; the rest need not be there
    return path


def colour_bomb(path):
    """``mean`` and ``std`` are arrays of the file, too."""
    arrays = draw_arrays(NARROW_VGG16, np.random.default_rng(1))
    np.savez(path, **arrays, mean=np.zeros(3))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        with file.open("std.npy", "w", force_zip64=True) as member:
            header = {"descr": "<f4", "fortran_order": False, "shape": (LARGE,)}
            np.lib.format.write_array_header_1_0(member, header)
            member.write(bytes(1 << 24))
    return path


def onnx_bomb(path):
    graph = GraphFile(draw_arrays(NARROW_VGG16, np.random.default_rng(1))).model()
    graph.graph.initializer[3].dims[0] = LARGE
    onnx.save(graph, path)
    return path


@pytest.mark.parametrize(
    ("make", "suffix"),
    [(h5_bomb, ".h5"), (npz_bomb, ".npz"), (colour_bomb, ".npz"), (onnx_bomb, ".onnx")],
)
def test_a_small_file_does_not_become_large_in_memory(make, suffix, tmp_path):
    path = make(tmp_path / f"bomb{suffix}")
    assert path.stat().st_size < 1e6
    tracemalloc.start()
    try:
        message = refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    assert str(LARGE) in message


def test_an_h5_dataset_that_lies_elsewhere_or_swells_is_not_read(rng, tmp_path):
    import h5py

    kernels = draw_keras(NARROW_VGG16, rng)
    name, bias = "block2_conv1/block2_conv1_b_1:0", kernels[2, 1][1]
    (tmp_path / "secret").write_bytes(bias.tobytes())
    ways = {
        "lies in another file": {"external": [(str(tmp_path / "secret"), 0, 4 * len(bias))]},
        "is compressed; save it without": {"compression": "gzip", "data": bias},
        "comes in chunks of (1048576,)": {"chunks": (1 << 20,), "maxshape": (None,), "data": bias},
    }
    for told, options in ways.items():
        with h5py.File(keras_h5(tmp_path / "a.h5", kernels), "a") as file:
            del file[name]
            file.create_dataset(name, bias.shape, bias.dtype, **options)
        assert told in refusal(tmp_path / "a.h5")


def test_what_is_no_plain_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")  # to open it would wait for ever
    assert "is no file" in refusal(tmp_path / "pipe.npz")
    (tmp_path / "folder.h5").mkdir()
    assert "is no file" in refusal(tmp_path / "folder.h5")


# --- Which colours? ----------------------------------------------------------------------------


@pytest.fixture
def known(monkeypatch):
    """A function that makes numbers known, as Oxford's and torchvision's are."""

    def make_known(arrays, preprocessing):
        digest = weights.digest(arrays, sources.KNOWN_CONVOLUTIONS, rounded=True)
        monkeypatch.setitem(sources.KNOWN, digest, ("somebody's VGG16", preprocessing))

    return make_known


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("preprocessing", [CAFFE, TORCHVISION, sources.CAFFE_RGB], ids=str)
def test_known_numbers_need_no_word(dtype, preprocessing, known, image, rng, tmp_path):
    """Whatever file they lie in: Caffe's numbers under torchvision's names are Caffe's."""
    arrays = draw_arrays(NARROW_VGG16, rng)
    arrays = {name: array.astype(np.float16).astype(float) for name, array in arrays.items()}
    known(arrays, preprocessing)
    tensors = {name: a.astype(dtype) for name, a in torchvision_tensors(arrays).items()}
    safetensors.numpy.save_file(tensors, tmp_path / "t.safetensors")
    network = formats.read(tmp_path / "t.safetensors", "vgg16")
    pixels = image.transpose(1, 2, 0).astype(float)
    if preprocessing == CAFFE:
        seen = 255 * pixels[..., ::-1] - [103.939, 116.779, 123.68]
    elif preprocessing == TORCHVISION:
        seen = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    else:
        seen = 255 * pixels - [123.68, 116.779, 103.939]
    convolutions = {
        (1, 1): (arrays["conv1_1.weight"].transpose(2, 3, 1, 0), arrays["conv1_1.bias"])
    }
    found = Vgg(network, ["conv1_1"]).forward(image)["conv1_1"]
    assert relative_error(found.transpose(1, 2, 0), forward(seen, convolutions)["conv1_1"]) < 1e-4


def test_a_choice_against_known_numbers_is_refused(known, rng, tmp_path):
    arrays = draw_arrays(NARROW_VGG16, rng)
    known(arrays, CAFFE)
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(NstError, match="its numbers are somebody's VGG16, which expects BGR"):
        formats.read(tmp_path / "a.npz", "vgg16", TORCHVISION)
    assert formats.read(tmp_path / "a.npz", "vgg16", CAFFE)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".onnx"])
def test_where_nothing_says_it_the_choice_is_explained(suffix, rng, tmp_path):
    arrays = draw_arrays(NARROW_VGG16, rng)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
    elif suffix == ".onnx":
        GraphFile(arrays).save(path)
    else:
        torchvision_safetensors(path, arrays)
    message = refusal(path)
    assert "nothing says which colours " in message
    assert "red and blue" in message
    for name in sources.PREPROCESSINGS:
        assert f"--preprocessing {name} (" in message


def test_layer_names_of_a_library_are_taken_for_its_network_aloud(rng, tmp_path):
    keras = keras_h5(tmp_path / "k.h5", draw_keras(NARROW_VGG16, rng))
    with pytest.warns(NstWarning, match=r"layer names of Keras, .* BGR, 0\.\.255, less"):
        network = formats.read(keras, "vgg16")
    assert network.arrays["mean"].ravel()[0] == np.float32(123.68 / 255)
    zoo = mxnet_onnx(tmp_path / "z.onnx", draw_arrays(NARROW_VGG16, rng))
    with pytest.warns(NstWarning, match=r"layer names of MXNet, .* RGB, 0\.\.1, less"):
        network = formats.read(zoo, "vgg16")
    assert network.arrays["mean"].ravel()[0] == np.float32(0.485)


def test_what_says_itself_what_it_expects_takes_no_choice(rng, tmp_path):
    arrays = draw_arrays(NARROW_VGG16, rng)
    export_network(weights.from_arrays(arrays), tmp_path / "ours.onnx")
    np.savez(tmp_path / "a.npz", **arrays, mean=np.zeros(3), std=np.ones(3))
    for name in ("ours.onnx", "a.npz"):
        with pytest.raises(NstError, match="says itself what it expects; leave --preprocessing"):
            formats.read(tmp_path / name, "vgg16", CAFFE)
