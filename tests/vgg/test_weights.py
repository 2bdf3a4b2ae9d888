"""Networks to files and back, and every file that is no network."""

import hashlib
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from refusals import raiser
from small_networks import TWO_BLOCKS, draw_arrays

from nst import cli
from nst.errors import NstError
from nst.vgg import Vgg, weights
from nst.vgg.architecture import VGG16_SLIM
from nst.vgg.export import export_network

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture
def arrays(rng):
    return draw_arrays(TWO_BLOCKS, rng)


@pytest.fixture
def model_file(arrays, tmp_path):
    """A model file as `nst export` would keep it."""
    path = tmp_path / "small.onnx"
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    export_network(weights.from_arrays(arrays, "average", mean, std, "small"), path)
    return path


def assert_refused(path, *told):
    with pytest.raises(NstError) as error:
        weights.load(path)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    for words in told:
        assert words in message


# ---- Round trip ----------------------------------------------------------------------


def test_a_network_comes_back_from_its_file_as_it_was(arrays, model_file):
    network = weights.load(model_file)
    assert network.name == "small"
    assert network.architecture == TWO_BLOCKS
    assert network.pooling == "average"
    assert network.arrays["mean"].ravel().tolist() == pytest.approx([0.4, 0.5, 0.6])
    assert network.arrays["std"].ravel().tolist() == pytest.approx([0.2, 0.3, 0.25])
    assert set(network.arrays) == {*arrays, "mean", "std"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(network.arrays[name], array)  # float32 holds them
        assert network.arrays[name].dtype == np.float32


def test_the_hash_is_that_of_names_shapes_and_little_endian_bytes(arrays):
    network = weights.from_arrays(arrays)
    digest = hashlib.sha256()
    for name in sorted(network.arrays):
        digest.update(f"{name} {network.arrays[name].shape}\n".encode())
        digest.update(b"".join(v.astype("<f4").tobytes() for v in network.arrays[name].flat))
    assert network.sha256 == digest.hexdigest()


@pytest.mark.parametrize("name", ["conv1_2.weight", "conv2_1.bias"])
def test_one_weight_changes_the_hash(arrays, name):
    before = weights.from_arrays(arrays).sha256
    assert weights.from_arrays(arrays).sha256 == before
    arrays[name].flat[-1] += 1e-3
    assert weights.from_arrays(arrays).sha256 != before


def test_the_colours_are_part_of_the_hash(arrays):
    one, other = (weights.from_arrays(arrays, mean=(m, 0.5, 0.5)) for m in (0.5, 0.25))
    assert one.sha256 != other.sha256


def test_metadata_say_what_a_graph_was_made_of(arrays):
    network = weights.from_arrays(arrays, mean=(0.5, 0.25, 0.125), std=(1, 2, 4), name="mine")
    assert network.metadata(("relu2_1", "conv1_1"), "average") == {
        "model": "mine",
        "taps": "relu2_1 conv1_1",
        "pooling": "average",
        "mean": "0.5 0.25 0.125",
        "std": "1.0 2.0 4.0",
        "sha256": network.sha256,
    }


# ---- Arrays that do not fit each other -----------------------------------------------


def test_any_widths_and_any_number_of_blocks_are_read_off_the_shapes(arrays):
    assert weights.from_arrays(arrays).architecture == TWO_BLOCKS
    one_block = {name: array for name, array in arrays.items() if name.startswith("conv1")}
    assert weights.from_arrays(one_block).architecture.blocks == ((4, 5),)


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("conv1_1.weight", (4, 1, 3, 3), "(4, 3, 3, 3)"),
        ("conv1_2.weight", (5, 3, 3, 3), "(5, 4, 3, 3)"),
        ("conv2_1.weight", (6, 4, 3, 3), "(6, 5, 3, 3)"),
        ("conv2_1.weight", (6, 5, 5, 5), "(6, 5, 3, 3)"),
        ("conv1_2.weight", (5,), "(5, 4, 3, 3)"),
        ("conv1_2.weight", (), ""),
        ("conv1_1.bias", (3,), "(4,)"),
        ("conv2_1.bias", (6, 1), "(6,)"),
    ],
)
def test_a_wrong_shape_is_named(arrays, name, shape, wanted):
    arrays[name] = np.zeros(shape)
    with pytest.raises(ValueError, match="must have shape") as error:
        weights.from_arrays(arrays)
    for words in (name, wanted, f"found {shape}"):
        assert words in str(error.value)


def test_a_missing_bias_is_named(arrays):
    del arrays["conv1_2.bias"]
    with pytest.raises(ValueError, match=r"conv1_2\.bias must have shape \(5,\), found nothing"):
        weights.from_arrays(arrays)


@pytest.mark.parametrize("missing", ["conv1_1", "conv1_2"])
def test_a_gap_in_the_names_is_named(arrays, missing):
    arrays["conv1_3.weight"] = arrays["conv1_2.weight"]
    del arrays[f"{missing}.weight"]
    with pytest.raises(ValueError, match=r"without gaps; found .*conv2_1"):
        weights.from_arrays(arrays)


def test_no_arrays_at_all_is_said():
    with pytest.raises(ValueError, match="found nothing"):
        weights.from_arrays({})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_named(arrays, value):
    arrays["conv1_2.weight"][0, 1, 2, 0] = value
    with pytest.raises(ValueError, match=r"conv1_2\.weight holds values that are not finite"):
        weights.from_arrays(arrays)


ABSURD = {
    "zero": ("conv2_1.weight", np.zeros_like, "is 0 everywhere"),
    "constant": ("conv1_2.weight", lambda array: 0 * array + 0.25, "is 0.25 everywhere"),
    "faint": ("conv1_1.weight", lambda array: 1e-9 * array, "times as large"),
    "loud": ("conv1_1.weight", lambda array: 1e9 * array, "times as large"),
    "beyond": ("conv1_1.weight", lambda array: array * 1e38 / abs(array).max(), "times as large"),
    "bias": ("conv1_2.bias", lambda array: array - 1e9, "holds 1e+09, which nobody trained"),
    "nan": ("conv1_2.bias", lambda array: array * np.nan, "not finite"),
}


@pytest.mark.parametrize(("name", "change", "told"), ABSURD.values(), ids=ABSURD)
def test_numbers_that_no_training_gives_are_refused_from_every_door(
    name, change, told, arrays, tmp_path, monkeypatch
):
    """From arrays, and as a model file that says the right sha256 of them."""
    arrays[name] = change(arrays[name])
    with pytest.raises(ValueError, match=re.escape(f"{name} ")) as error:
        weights.from_arrays(arrays)
    assert told in str(error.value)
    with monkeypatch.context() as patch:
        patch.setattr(weights, "check_values", lambda *_: None)
        export_network(weights.from_arrays(arrays), tmp_path / "absurd.onnx")
    assert_refused(tmp_path / "absurd.onnx", name, told)


def test_a_bias_may_be_zero_and_a_kernel_may_have_one_weight(arrays):
    arrays["conv1_1.bias"][:] = 0
    arrays["conv2_1.weight"][:] = 0
    arrays["conv2_1.weight"][0, 0, 1, 1] = 1
    weights.from_arrays(arrays)


@pytest.mark.parametrize(
    ("mean", "std"),
    [((0.5,) * 3, (0.2, 0, 0.2)), ((0.5,) * 3, (1, -1, 1)), ((np.nan,) * 3, (1, 1, 1)),
     ((0.5,) * 3, (1, np.inf, 1)), ((0.5,) * 3, (1, np.nan, 1))],
)  # fmt: skip
def test_colours_that_make_no_sense_are_refused(mean, std, arrays):
    with pytest.raises(ValueError, match="make no colours"):
        weights.from_arrays(arrays, mean=mean, std=std)


def test_a_model_file_that_points_at_another_file_is_refused(model_file):
    """Nothing but the file itself is read: its weights could lie anywhere."""
    stored = onnx.load(model_file)
    onnx.save(stored, model_file, save_as_external_data=True, location="beside", size_threshold=0)
    assert model_file.with_name("beside").exists()
    assert_refused(model_file)


def test_a_digest_is_that_of_names_and_bytes_in_the_order_of_the_names(arrays):
    first = {name: array for name, array in arrays.items() if name < "conv1_2"}
    expected = hashlib.sha256()
    for name in ("conv1_1.bias", "conv1_1.weight"):
        expected.update(name.encode() + arrays[name].astype("<f4").tobytes())
    assert weights.digest(arrays, 1) == weights.digest(first, 3) == expected.hexdigest()
    assert weights.digest(arrays, 2) != weights.digest(arrays, 1)


def test_a_rounded_digest_is_the_same_of_a_rounded_copy(arrays):
    half = {name: array.astype(np.float16) for name, array in arrays.items()}
    assert weights.digest(arrays, 3) != weights.digest(half, 3)
    assert weights.digest(arrays, 3, rounded=True) == weights.digest(half, 3, rounded=True)
    assert weights.digest(half, 3) == weights.digest(half, 3, rounded=True)


def test_an_unknown_pooling_is_refused(arrays):
    with pytest.raises(NstError, match="pooling is 'median'; choose max or average"):
        weights.from_arrays(arrays, pooling="median")


# ---- Files that are no model ---------------------------------------------------------


def test_a_file_that_was_cut_short_is_refused_wherever_it_ends(model_file):
    whole = model_file.read_bytes()
    for length in (0, 1, 10, len(whole) // 3, len(whole) // 2, len(whole) - 100, len(whole) - 1):
        model_file.write_bytes(whole[:length])
        assert_refused(model_file)


def test_a_damaged_byte_is_refused_wherever_it_is(model_file, rng):
    """A byte of a name that nobody reads may change; one that changes the network may not."""
    whole = model_file.read_bytes()
    right, refused = weights.load(model_file), 0
    for place in rng.integers(len(whole), size=300):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        model_file.write_bytes(damaged)
        try:
            assert weights.load(model_file).sha256 == right.sha256
        except NstError:
            refused += 1
    assert refused > 150  # most of the file is weights


def test_a_changed_weight_is_told_by_both_hashes(model_file):
    stored = onnx.load(model_file)
    weight = next(t for t in stored.graph.initializer if t.name == "conv1_2.weight")
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0, 0, 0, 0] += 1
    weight.raw_data = values.tobytes()
    onnx.save(stored, model_file)
    said = next(entry.value for entry in stored.metadata_props if entry.key == "sha256")
    assert_refused(model_file, "damaged or cut", said[:12], "get it again")


@pytest.mark.parametrize("key", ["model", "pooling", "mean", "std", "sha256"])
def test_missing_metadata_are_refused(model_file, key):
    stored = onnx.load(model_file)
    kept = [entry for entry in stored.metadata_props if entry.key != key]
    del stored.metadata_props[:]
    stored.metadata_props.extend(kept)
    onnx.save(stored, model_file)
    assert_refused(model_file, "nothing" if key == "sha256" else f"'{key}'")


@pytest.mark.parametrize(
    ("key", "value"),
    [("pooling", "median"), ("mean", "0.5 0.5"), ("std", "a b c"), ("mean", ""), ("std", "0 1 1")],
)
def test_metadata_that_make_no_sense_are_refused(model_file, key, value):
    stored = onnx.load(model_file)
    next(entry for entry in stored.metadata_props if entry.key == key).value = value
    onnx.save(stored, model_file)
    assert_refused(model_file)


def test_another_program_s_onnx_file_is_refused(tmp_path):
    path = tmp_path / "foreign.onnx"
    kind = onnx.TensorProto.FLOAT
    x, y = (onnx.helper.make_tensor_value_info(name, kind, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    onnx.save(onnx.helper.make_model(graph), path)
    assert_refused(path, "no model of this program", "`nst export`")


def test_what_a_file_says_is_fit_for_a_terminal(model_file):
    """Names and texts in it may be long, and hold what moves the cursor."""
    stored = onnx.load(model_file)
    stored.graph.initializer[0].name = "conv9_9.\x1b[2J\n" + "x" * 5_000
    onnx.save(stored, model_file)
    with pytest.raises(NstError) as error:
        weights.load(model_file)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300 + len(str(model_file))


def test_a_reader_that_cannot_be_loaded_is_no_fault_of_the_file(model_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(NstError, match=r"^onnx cannot be loaded \(import of onnx halted"):
        weights.load(model_file)


def test_memory_that_runs_out_is_no_fault_of_the_file(model_file, monkeypatch):
    monkeypatch.setattr(onnx, "load", raiser(MemoryError()))
    with pytest.raises(MemoryError):
        weights.load(model_file)


def test_a_text_file_is_refused(tmp_path):
    path = tmp_path / "notes.onnx"
    path.write_text("the weights are on the other disk\n")
    assert_refused(path, "not a readable ONNX file")


def test_a_missing_file_is_named_with_the_known_names(tmp_path):
    assert_refused(tmp_path / "nowhere.onnx", "not found", "vgg16, vgg19, vgg16-slim")


def test_a_folder_is_no_model_file(tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    assert_refused(tmp_path / "folder.onnx", "not found")


# ---- Names ---------------------------------------------------------------------------


def test_an_unknown_name_is_told_with_those_there_are():
    with pytest.raises(
        NstError, match=r"unknown model 'vgg17'; known names are .*vgg16, vgg19, vgg"
    ):
        weights.load("vgg17")


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_a_name_that_is_not_installed_says_what_to_do(monkeypatch, tmp_path, name):
    monkeypatch.setenv("NST_MODELS", str(tmp_path))
    with pytest.raises(NstError, match=f"model {name} is not installed; .*--model vgg16-slim"):
        weights.load(name)


def test_auto_is_vgg16_where_that_is_installed(monkeypatch, tmp_path, model_file):
    monkeypatch.setenv("NST_MODELS", str(tmp_path))
    assert weights.find("auto") == weights.find("vgg16-slim")
    (tmp_path / "vgg16.onnx").write_bytes(model_file.read_bytes())
    assert weights.find("auto") == tmp_path / "vgg16.onnx"


def test_the_user_s_folder_comes_before_our_own(monkeypatch, tmp_path, model_file):
    monkeypatch.setenv("NST_MODELS", str(tmp_path))
    for name in ("vgg16", "vgg16-slim"):
        (tmp_path / f"{name}.onnx").write_bytes(model_file.read_bytes())
        assert weights.find(name) == tmp_path / f"{name}.onnx"
        assert weights.load(name).architecture == TWO_BLOCKS


def test_without_nst_models_the_cache_folder_is_used(monkeypatch, tmp_path):
    monkeypatch.delenv("NST_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert weights.user_folder().parts[-2:] == ("nst", "models")


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """A process without HOME, whose user the system does not know, as containers have it."""
    for name in ("HOME", "XDG_CACHE_HOME", "NST_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", raiser(KeyError("getpwuid(): uid not found")))
    monkeypatch.chdir(tmp_path)


@POSIX
def test_without_a_home_no_folder_is_made_up(nobody, capsys):
    Path("~/.cache/nst/models").mkdir(parents=True)  # somebody else's
    Path("~/.cache/nst/models/vgg16.onnx").write_bytes(b"no model")
    assert cli.main(["models"]) == 0
    assert "vgg16       13 convolutions  not installed" in capsys.readouterr().out
    assert weights.load(weights.EMBEDDED).name == "vgg16-slim"
    assert cli.main(["models", "fetch", "vgg16", "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "nst: this user has no folder of their own; let NST_MODELS name one."


# ---- The embedded model --------------------------------------------------------------


def test_the_embedded_model_is_what_its_name_says(monkeypatch, tmp_path):
    monkeypatch.setenv("NST_MODELS", str(tmp_path))  # nobody's own copy
    network = weights.load(weights.EMBEDDED)
    assert network.name == "vgg16-slim"
    assert network.architecture == VGG16_SLIM
    assert network.pooling == "average"
    assert network.arrays["mean"].ravel().tolist() == pytest.approx(weights.IMAGENET_MEAN)
    assert network.arrays["std"].ravel().tolist() == pytest.approx(weights.IMAGENET_STD)


def test_the_embedded_model_carries_its_documented_metadata():
    path = weights.find(weights.EMBEDDED)
    stored = onnx.load(path)
    onnx.checker.check_model(stored, full_check=True)
    said = {entry.key: entry.value for entry in stored.metadata_props}
    assert set(said) == {"model", "taps", "pooling", "mean", "std", "sha256"}
    assert said["taps"].split() == [tap for tap in VGG16_SLIM.taps if tap.startswith("relu")]
    assert said["taps"].split() == [output.name for output in stored.graph.output]


def test_a_renamed_network_keeps_its_hash(arrays):
    network = weights.from_arrays(arrays, name="one")
    assert replace(network, name="another").sha256 == network.sha256


@pytest.mark.parametrize("gain", [256 / 255, 0.5])
def test_a_brightened_network_sees_so_many_times_the_image(arrays, rng, gain):
    network = weights.from_arrays(arrays, "average", (0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
    image = rng.random((3, 17, 19)).astype(np.float32)
    plain = Vgg(network, ["conv1_1"]).features(np.float32(gain) * image)["conv1_1"]
    brightened = Vgg(network.brightened(gain), ["conv1_1"]).features(image)["conv1_1"]
    np.testing.assert_allclose(brightened, plain, rtol=1e-4, atol=1e-5)
    assert network.brightened(1) is network
