"""A VGG is known by its shapes and their order, whatever its arrays are called."""

import warnings

import numpy as np
import onnx
import pytest
import safetensors.numpy
from graph_files import GraphFile
from published import NARROW, TORCHVISION_INDICES, keras_h5
from refusals import refusal_of
from small_networks import NARROW_VGG16, NARROW_VGG19, draw_arrays

from nst.vgg.architecture import ARCHITECTURES
from nst.weights import formats
from nst.weights.sources import CAFFE, TORCHVISION


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    for name, architecture in NARROW.items():
        monkeypatch.setitem(ARCHITECTURES, name, architecture)


@pytest.fixture
def arrays(rng):
    return draw_arrays(NARROW_VGG16, rng)


def assert_read(path, arrays, model="vgg16"):
    found = formats.read(path, model, TORCHVISION).arrays
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def refusal(path, model="vgg16"):
    return refusal_of(formats.read, path, model, TORCHVISION)


# --- Graphs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"classifier": False},
        {"classifier": "convolutions"},
        {"channels_last": True, "kernels": "turned"},
        {"channels_last": True, "bias": "added"},
        {"kernels": "constant", "bias": "reshaped"},
        {"padding": "same", "pool": "AveragePool"},
        {"padding": "node"},
    ],
    ids=str,
)
def test_a_graph_is_read_whatever_its_names(form, arrays, tmp_path):
    assert_read(GraphFile(arrays, **form).save(tmp_path / "a.onnx"), arrays)


def test_kernels_in_float16_are_read(arrays, tmp_path):
    half = {
        name: array.astype(np.float16) if array.ndim == 4 else array
        for name, array in arrays.items()
    }
    assert_read(GraphFile(arrays, kernels="half").save(tmp_path / "a.onnx"), half)


def test_vgg19_is_told_from_vgg16(arrays, rng, tmp_path):
    deeper = draw_arrays(NARROW_VGG19, rng)
    path = GraphFile(deeper).save(tmp_path / "19.onnx")
    assert_read(path, deeper, "vgg19")
    assert "0 pools lie before conv4_1" in refusal(path)
    path = GraphFile(arrays).save(tmp_path / "16.onnx")
    assert "its graph has 13 convolutions, expected 16" in refusal(path, "vgg19")


def test_weights_in_a_file_beside_the_graph_are_read(arrays, tmp_path):
    """PyTorch's newer exporter does so."""
    path = GraphFile(arrays).save(
        tmp_path / "a.onnx", save_as_external_data=True, location="a.data", size_threshold=0
    )
    assert (tmp_path / "a.data").stat().st_size > 1000
    assert_read(path, arrays)


@pytest.mark.parametrize(
    ("key", "value"), [("length", None), ("length", "7"), ("location", "../b")]
)
def test_weights_elsewhere_or_of_another_length_are_not_read(key, value, arrays, tmp_path):
    path = GraphFile(arrays).save(
        tmp_path / "a.onnx", save_as_external_data=True, location="a.data", size_threshold=0
    )
    (tmp_path.parent / "b").write_bytes((tmp_path / "a.data").read_bytes())
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        kept = [entry for entry in tensor.external_data if entry.key != key]
        del tensor.external_data[:]
        tensor.external_data.extend(kept)
        if value:
            tensor.external_data.add(key=key, value=value)
    onnx.save(model, path)
    refusal(path)


def as_functions(model):
    """Put every convolution with its ReLU into a function of its own, as PyTorch 2.1 did."""
    helper, nodes, functions = onnx.helper, list(model.graph.node), []
    kept, opset = [], [helper.make_opsetid("", 17)]
    while nodes:
        node = nodes.pop(0)
        if node.op_type != "Conv":
            kept.append(node)
            continue
        relu = nodes.pop(0)
        name = f"layer{len(functions)}"
        inside = [
            helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["y"], ["z"]),
        ]
        functions.append(
            helper.make_function("torch", name, ["x", "w", "b"], ["z"], inside, opset)
        )
        kept.append(helper.make_node(name, node.input, relu.output, domain="torch"))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.functions.extend(functions)
    model.opset_import.append(helper.make_opsetid("torch", 1))
    return model


def test_layers_in_functions_are_read(arrays, tmp_path):
    onnx.save(as_functions(GraphFile(arrays).model()), tmp_path / "a.onnx")
    assert_read(tmp_path / "a.onnx", arrays)


def test_functions_that_multiply_are_refused(arrays, tmp_path):
    """Forty functions, each of which calls the next twice, are 2 to the 40 nodes."""
    model, helper = GraphFile(arrays).model(), onnx.helper
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("many", 1)]
    for depth in range(40):
        callee = ("Relu", "") if depth == 39 else (f"f{depth + 1}", "many")
        twice = [
            helper.make_node(callee[0], ["x"], ["y"], domain=callee[1]),
            helper.make_node(callee[0], ["y"], ["z"], domain=callee[1]),
        ]
        model.functions.append(
            helper.make_function("many", f"f{depth}", ["x"], ["z"], twice, opset)
        )
    model.graph.node.append(helper.make_node("f0", ["image"], ["bang"], domain="many"))
    onnx.save(model, tmp_path / "a.onnx")
    assert "its functions call each other" in refusal(tmp_path / "a.onnx")


@pytest.mark.parametrize("norm", ["BatchNormalization", "Mul"])
@pytest.mark.parametrize("behind_relu", [False, True])
@pytest.mark.parametrize("at", ["conv1_1", "conv4_3"])
def test_batch_normalisation_is_refused_by_name(norm, behind_relu, at, arrays, tmp_path):
    graph = GraphFile(arrays, norm=norm, norm_at=at, norm_behind_relu=behind_relu)
    message = refusal(graph.save(tmp_path / "a.onnx"))
    assert f"it has batch normalisation, {norm} '@v" in message
    assert "another network" in message


def test_batch_normalisation_behind_the_last_convolution_is_refused(arrays, tmp_path):
    graph = GraphFile(arrays, norm="BatchNormalization", norm_at="conv5_3")
    assert "batch normalisation" in refusal(graph.save(tmp_path / "a.onnx"))


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"padding": "none"}, "conv1_1 (@v0) does not pad its input by one pixel"),
        ({"attributes": {"strides": [2, 2]}}, "conv1_1 (@v0) has strides [2, 2], expected [1, 1]"),
        ({"attributes": {"dilations": [2, 2]}}, "has dilations [2, 2]"),
        ({"attributes": {"group": 3}}, "has group 3"),
        ({"sides": {"kernel_shape": [3, 3], "strides": [2, 2]}}, "is not 2 x 2"),
        ({"sides": {"kernel_shape": [2, 2], "strides": [1, 1]}}, "is not 2 x 2"),
        ({"relu": "Sigmoid"}, "it has Sigmoid '@v1' between conv1_1 and its ReLU"),
        ({"bias": "none"}, "the bias of conv1_1 is no constant of the graph (there is none)"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_another_network_is_refused_with_the_place(form, told, arrays, tmp_path):
    assert told in refusal(GraphFile(arrays, **form).save(tmp_path / "a.onnx"))


def test_convolutions_beside_each_other_are_no_vgg(arrays, tmp_path):
    """The same shapes in the same order; but the second one sees the first one's input."""
    model = GraphFile(arrays, kernels="plain").model()
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    convolutions[5].input[0] = convolutions[4].input[0]
    onnx.save(model, tmp_path / "a.onnx")
    assert "does not follow the one before it" in refusal(tmp_path / "a.onnx")


@pytest.mark.parametrize("before", [True, False])
def test_a_graph_that_runs_in_a_circle_is_refused(before, arrays, tmp_path):
    model = GraphFile(arrays).model()
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    loop = onnx.helper.make_node("Identity", ["loop"], ["loop"], "round")
    if before:
        convolutions[5].input[0] = "loop"
    else:
        convolutions[5].output[0] = "loop"
    model.graph.node.insert(0, loop)
    onnx.save(model, tmp_path / "a.onnx")
    assert "its graph runs in a circle" in refusal(tmp_path / "a.onnx")


def test_what_a_graph_calls_its_nodes_is_fit_for_a_terminal(arrays, tmp_path):
    model = GraphFile(arrays, norm="Mul").model()
    for node in model.graph.node:
        node.name = "\x1b[2J\n" + "x" * 5_000
    onnx.save(model, tmp_path / "a.onnx")
    message = refusal(tmp_path / "a.onnx")
    assert message.isprintable()
    assert len(message) < 300 + len(str(tmp_path))


def test_a_shape_of_another_width_is_named(arrays, tmp_path):
    arrays["conv3_2.weight"] = arrays["conv3_2.weight"][:, :-1]
    message = refusal(GraphFile(arrays).save(tmp_path / "a.onnx"))
    right = NARROW_VGG16.parameters["conv3_2.weight"]
    assert f"must be {right} as (out, in, rows, columns), found" in message


def test_what_pytorch_exports_is_read(arrays, tmp_path):
    torch = pytest.importorskip("torch")
    layers, inputs = [], 3
    for block in NARROW_VGG16.blocks:
        for outputs in block:
            layers += [torch.nn.Conv2d(inputs, outputs, 3, padding=1), torch.nn.ReLU()]
            inputs = outputs
        layers.append(torch.nn.MaxPool2d(2))
    convolutions = [layer for layer in layers if isinstance(layer, torch.nn.Conv2d)]
    for name, layer in zip(NARROW_VGG16.convolutions, convolutions, strict=True):
        layer.weight.data = torch.from_numpy(np.float32(arrays[f"{name}.weight"]))
        layer.bias.data = torch.from_numpy(np.float32(arrays[f"{name}.bias"]))
    network = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(inputs, 2))
    image = (torch.zeros(1, 3, 32, 32),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is the older one; the newer needs more
        torch.onnx.export(network.eval(), image, tmp_path / "a.onnx", dynamo=False)
    assert_read(tmp_path / "a.onnx", arrays)


# --- Arrays alone -----------------------------------------------------------------------------


def renamed(arrays, rename):
    return {rename(*name.split(".")): np.float32(array) for name, array in arrays.items()}


FILES = {
    "prefixed": lambda layer, part: f"model.features.{TORCHVISION_INDICES[layer]}.{part}",
    "bare": lambda layer, part: f"{TORCHVISION_INDICES[layer]}.{part}",
    "lettered": lambda layer, part: f"{layer}_{'W' if part == 'weight' else 'b'}",
}


@pytest.mark.parametrize("rename", FILES.values(), ids=FILES)
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_names_that_are_unknown_but_numbered_are_read(suffix, rename, arrays, tmp_path):
    tensors = renamed(arrays, rename) | {
        "classifier.0.weight": np.ones((7, 7), np.float32),
        "classifier.0.bias": np.ones(7, np.float32),
    }
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        np.savez(path, **tensors)
    else:
        safetensors.numpy.save_file(tensors, path)  # sorts by name: 0, 10, 12, ..., 2, ...
    assert_read(path, arrays)


def test_what_keras_get_weights_gives_is_read(arrays, tmp_path):
    """np.savez(path, *model.get_weights()): arr_0, arr_1, ..., kernels (3, 3, I, O)."""
    listed = []
    for name, array in arrays.items():
        listed.append(array.transpose(2, 3, 1, 0) if name.endswith("weight") else array)
    np.savez(tmp_path / "a.npz", *listed, np.ones((6, 4)), np.ones(4))
    assert_read(tmp_path / "a.npz", arrays)


def test_what_keras_3_saves_is_read(arrays, tmp_path):
    """save_weights("a.weights.h5"): layers/conv2d/vars/0, layers/conv2d_1/vars/0, ..."""
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number, layer in enumerate(TORCHVISION_INDICES):
            group = f"layers/conv2d{f'_{number}' if number else ''}/vars"
            file[f"{group}/0"] = np.float32(arrays[f"{layer}.weight"].transpose(2, 3, 1, 0))
            file[f"{group}/1"] = np.float32(arrays[f"{layer}.bias"])
    assert_read(tmp_path / "a.h5", arrays)


def refusal_of_arrays(tensors, folder):
    np.savez(folder / "a.npz", **tensors)
    return refusal(folder / "a.npz")


def test_names_without_an_order_are_refused(arrays, tmp_path):
    words = iter("alpha bravo charlie delta echo fox golf hotel india jig kilo lima mike".split())
    word = {layer: next(words) for layer in TORCHVISION_INDICES}
    tensors = renamed(arrays, lambda layer, part: f"{word[layer]}.{part}")
    message = refusal_of_arrays(tensors, tmp_path)
    assert "the names of its kernels do not number them: alpha.weight, bravo" in message


def test_another_order_is_refused(arrays, tmp_path):
    rename = FILES["prefixed"]
    tensors = renamed(arrays, rename)
    one, other = (rename(layer, "weight") for layer in ("conv2_1", "conv3_1"))
    tensors[one], tensors[other] = tensors[other], tensors[one]
    assert f"{one} comes as conv2_1, which must be" in refusal_of_arrays(tensors, tmp_path)


def test_one_kernel_too_few_or_too_many_is_refused(arrays, tmp_path):
    tensors = renamed(arrays, FILES["prefixed"])
    more = tensors | {"model.features.30.weight": tensors["model.features.28.weight"]}
    assert "14 of its arrays are kernels of 3 x 3" in refusal_of_arrays(more, tmp_path)
    del tensors["model.features.28.weight"]
    assert "12 of its arrays are kernels of 3 x 3" in refusal_of_arrays(tensors, tmp_path)


def test_a_kernel_without_its_bias_is_refused(arrays, tmp_path):
    tensors = renamed(arrays, FILES["prefixed"])
    del tensors["model.features.12.bias"]
    message = refusal_of_arrays(tensors, tmp_path)
    assert "no bias of shape (3,) lies beside model.features.12.weight" in message


def test_batch_normalisation_among_arrays_is_refused_by_name(arrays, tmp_path):
    tensors = renamed(arrays, FILES["prefixed"])
    tensors["model.features.1.running_mean"] = np.zeros(3, np.float32)
    message = refusal_of_arrays(tensors, tmp_path)
    assert "batch normalisation, model.features.1.running_mean" in message


def test_keras_own_names_need_no_guess(arrays, tmp_path):
    kernels = {
        tuple(map(int, layer[4:].split("_"))): (
            np.float32(arrays[f"{layer}.weight"].transpose(2, 3, 1, 0)),
            np.float32(arrays[f"{layer}.bias"]),
        )
        for layer in TORCHVISION_INDICES
    }
    network = formats.read(keras_h5(tmp_path / "a.h5", kernels), "vgg16", CAFFE)
    np.testing.assert_array_equal(network.arrays["conv5_2.weight"], arrays["conv5_2.weight"])
