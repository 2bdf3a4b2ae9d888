"""The exported pair: what is in the files, and what they compute without this program."""

import numpy as np
import onnx
import pytest
from small_networks import TWO_BLOCKS, draw_arrays, relative_error

from nst import devices
from nst.errors import NstError
from nst.vgg import Vgg, weights
from nst.vgg.architecture import POOLINGS
from nst.vgg.export import export_network, export_pair, write

TAPS = ["relu2_1", "conv1_2"]


@pytest.fixture
def model_file(rng, tmp_path):
    path = tmp_path / "models" / "small.onnx"
    path.parent.mkdir()
    arrays = draw_arrays(TWO_BLOCKS, rng)
    export_network(weights.from_arrays(arrays, "average", name="small"), path)
    return path


def metadata(path):
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def run(path, **feeds):
    """Run a file as any other program would, by name and without I/O binding."""
    session = devices.onnxruntime().InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    wanted = {value.name for value in session.get_inputs()}
    feeds = {name: array[None] for name, array in feeds.items() if name in wanted}
    return dict(zip(names, (y[0] for y in session.run(None, feeds)), strict=True))


def test_the_pair_is_two_files_named_after_the_model(model_file, tmp_path):
    paths = export_pair(model_file, TAPS, tmp_path)
    assert paths == (tmp_path / "small.forward.onnx", tmp_path / "small.backward.onnx")
    for path in paths:
        onnx.checker.check_model(onnx.load(path), full_check=True)


def test_both_carry_the_same_metadata(model_file, tmp_path):
    forward, backward = export_pair(model_file, [*TAPS, "relu2_1"], tmp_path, "max")
    assert metadata(forward) == metadata(backward)
    assert metadata(forward) == {
        **metadata(model_file),
        "taps": "relu2_1 conv1_2",
        "pooling": "max",
    }
    assert metadata(forward)["sha256"] == weights.load(model_file).sha256


def test_pooling_is_the_model_s_own_unless_said(model_file, tmp_path):
    forward, _ = export_pair(model_file, TAPS, tmp_path)
    assert metadata(forward)["pooling"] == "average"
    kinds = {node.op_type for node in onnx.load(forward).graph.node}
    assert "AveragePool" in kinds
    assert "MaxPool" not in kinds


def test_a_model_that_calls_itself_a_path_stays_in_the_folder(model_file, tmp_path):
    model = onnx.load(model_file)
    next(one for one in model.metadata_props if one.key == "model").value = "../evil"
    onnx.save(model, tmp_path / "model.onnx")
    made = export_pair(tmp_path / "model.onnx", ["relu1_1"], tmp_path / "inner")
    assert [path.parent for path in made] == 2 * [tmp_path / "inner"]
    assert all(path.is_file() for path in made)


def test_names_are_ones_that_a_person_can_read(tmp_path):
    forward, backward = (
        onnx.load(p).graph for p in export_pair("vgg16-slim", ["relu3_1"], tmp_path)
    )
    assert [value.name for value in forward.input] == ["image"]
    assert forward.output[0].name == "relu3_1"
    assert [value.name for value in backward.output] == ["d_image"]
    assert "d_relu3_1" in [value.name for value in backward.input]
    assert {tensor.name for tensor in forward.initializer} >= {"conv3_1.weight", "conv3_1.bias"}
    assert not any("3_2" in name for node in forward.node for name in node.output)
    for graph in (forward, backward):
        assert all(node.name for node in graph.node)
        assert len({node.name for node in graph.node}) == len(graph.node)


def test_the_forward_graph_puts_out_the_taps_and_then_what_backward_reads(model_file, tmp_path):
    forward, backward = (
        onnx.load(p).graph for p in export_pair(model_file, TAPS, tmp_path, "max")
    )
    outputs = [value.name for value in forward.output]
    assert outputs[:2] == TAPS
    read = {value.name for value in backward.input} - {"d_relu2_1", "d_conv1_2"}
    assert read <= set(outputs)
    assert "relu1_2_winners" in read


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_files_alone_give_the_features_and_the_gradient_of_vgg(
    rng, model_file, tmp_path, pooling
):
    forward, backward = export_pair(model_file, TAPS, tmp_path, pooling)
    image = rng.random((3, 19, 26), np.float32)
    vgg = Vgg(model_file, TAPS, pooling)
    expected = vgg.forward(image)
    d_taps = {tap: rng.standard_normal(f.shape, np.float32) for tap, f in expected.items()}

    outputs = run(forward, image=image)
    for tap in TAPS:
        assert relative_error(outputs[tap], expected[tap]) < 1e-6
    d_image = run(backward, **outputs, **{f"d_{tap}": d for tap, d in d_taps.items()})["d_image"]
    assert relative_error(d_image, vgg.backward(d_taps)) < 1e-6


def test_a_forward_graph_with_every_layer_is_a_model_file_too(model_file, tmp_path):
    forward, _ = export_pair(model_file, ["relu2_1"], tmp_path)
    assert weights.load(forward).sha256 == weights.load(model_file).sha256


def test_a_forward_graph_that_stops_earlier_is_none(model_file, tmp_path):
    """It says whose weights they are, but does not hold them all."""
    forward, _ = export_pair(model_file, ["relu1_2"], tmp_path)
    with pytest.raises(NstError, match="damaged or cut"):
        weights.load(forward)


# ---- Errors --------------------------------------------------------------------------


def test_an_unknown_tap_is_refused_and_nothing_is_written(model_file, tmp_path):
    with pytest.raises(NstError, match="no tap 'relu3_1'; it has conv1_1"):
        export_pair(model_file, ["relu3_1"], tmp_path)
    assert not list(tmp_path.glob("*.onnx"))


@pytest.mark.parametrize("pooling", ["sum", "Max"])
def test_an_unknown_pooling_is_refused(model_file, tmp_path, pooling):
    with pytest.raises(NstError, match="choose max or average"):
        export_pair(model_file, TAPS, tmp_path, pooling)


def test_a_folder_that_does_not_exist_is_made(model_file, tmp_path):
    forward, backward = export_pair(model_file, TAPS, tmp_path / "some" / "where")
    assert forward.parent == tmp_path / "some" / "where"
    assert forward.is_file() and backward.is_file()  # noqa: PT018


def test_a_folder_that_cannot_be_made_is_named(model_file, tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NstError, match=r"cannot make the folder .*file") as error:
            export_pair(model_file, TAPS, folder)
        assert "\n" not in str(error.value)


def test_for_what_cannot_be_exported_no_folder_is_made(model_file, tmp_path):
    with pytest.raises(NstError):
        export_pair(model_file, ["relu9_9"], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_graph_that_is_wrong_is_not_written(model_file, tmp_path):
    broken = onnx.load(model_file)
    broken.graph.node[2].input[1] = "weights_of_nowhere"
    with pytest.raises(onnx.checker.ValidationError):
        write(broken, tmp_path / "broken.onnx")
    assert not (tmp_path / "broken.onnx").exists()
