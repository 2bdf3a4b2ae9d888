"""scripts/distill.py and its rooms: student, teachers, crops, training, files and judge."""

import dataclasses
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from machine import unavailable
from PIL import Image

try:
    import torch
except ImportError:  # the extra `train` is for those who train
    torch = None

SCRIPTS = Path(__file__).parents[1] / "scripts"
NOWHERE = ["--teachers", "nowhere", "--images", "nowhere"]


@pytest.fixture(scope="module")
def script():
    """Return scripts/distill.py as a module."""
    if torch is None:
        unavailable("PyTorch (the extra `train`)")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)
        return importlib.import_module("distill")


@pytest.fixture(scope="module")
def distillation(script):
    """Return the rooms of the script, at full size."""
    return sys.modules["distillation"]


@pytest.fixture
def rooms(distillation, monkeypatch):
    """Return the rooms with a student of a few channels, so that a step takes no time."""
    widths = {name: 3 + i for i, name in enumerate(distillation.student.WIDTHS)}  # none twice
    monkeypatch.setattr(distillation.student, "WIDTHS", widths)
    stages = tuple(dataclasses.replace(stage, crops=2) for stage in distillation.lessons.STAGES)
    monkeypatch.setattr(distillation.training, "STAGES", stages)
    torch.manual_seed(1)
    return distillation


@pytest.fixture
def teachers(rooms, tmp_path, rng):
    """Return a folder with made-up teachers: their files' names and layers, few channels."""
    channels, vgg19 = 3, {}
    for i, name in enumerate(["1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "3_4"]):
        vgg19 |= _convolution(rng, f"conv{name}", 4 + i, channels, 3)
        channels = 4 + i
    vgg19["conv1_1.weight"] /= 100  # its inputs reach 255
    np.savez(tmp_path / rooms.teachers.VGG19_FILE, **vgg19)

    squeezenet = _convolution(rng, "conv0", 5, 3, 3)
    channels = 5
    for fire in range(1, 9):
        squeezenet |= _convolution(rng, f"conv{3 * fire - 2}", 2, channels, 1)
        squeezenet |= _convolution(rng, f"conv{3 * fire - 1}", 3, 2, 1)
        squeezenet |= _convolution(rng, f"conv{3 * fire}", 3, 2, 3)
        channels = 6
    np.savez(tmp_path / rooms.teachers.SQUEEZENET_FILE, **squeezenet)
    return tmp_path


def _convolution(rng, name, outputs, inputs, side):
    weight = rng.standard_normal((outputs, inputs, side, side)) / (side * inputs**0.5)
    bias = 0.1 + 0.1 * rng.random(outputs)
    return {f"{name}.weight": weight.astype(np.float16), f"{name}.bias": bias.astype(np.float16)}


@pytest.fixture
def pictures(tmp_path, rng):
    """Return a folder of 41 images: 40 photographs of many shapes, and one painting."""
    for name, count in (("photos", 40), ("paintings", 1)):
        (tmp_path / name).mkdir()
        for i in range(count):
            pixels = rng.integers(0, 256, (130 + i, 180 - i, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i:02}.jpg")
    return tmp_path


def _crops(rooms, rng, seed=0):
    images = [torch.from_numpy(rng.integers(0, 256, (3, 150, 200), np.uint8)) for _ in range(3)]
    return rooms.crops.Crops(images, np.random.default_rng(seed))


# --- The networks ------------------------------------------------------------------------------


def test_the_student_is_vgg16_within_eight_megabytes(distillation):
    from nst.vgg.architecture import VGG16

    assert list(distillation.student.WIDTHS) == VGG16.convolutions
    assert (
        sum(array.nbytes for array in distillation.student.Student().folded().values()) < 8_000_000
    )


def test_folded_weights_paint_as_the_student_did(rooms, rng):
    from nst.vgg import Vgg

    student = rooms.student.Student().eval()
    for norm in student.norms.values():  # anything but what they start with
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        torch.nn.init.uniform_(norm.weight, 0.5, 2)
        torch.nn.init.normal_(norm.bias)
    image = rng.random((3, 37, 50), np.float32)  # odd sides: pools drop a row, a column
    expected = student(torch.from_numpy(image)[None])
    vgg = Vgg.from_arrays(student.folded(), list(expected), pooling="average")
    for tap, features in vgg.forward(image).items():
        wanted = expected[tap][0].detach().numpy()
        np.testing.assert_allclose(features, wanted, rtol=1e-3, atol=1e-4, err_msg=tap)


def test_folding_leaves_the_student_as_it_was(rooms):
    student = rooms.student.Student()
    first, second = student.folded(), student.folded()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert {p.dtype for p in student.parameters()} == {torch.float32}


def test_vgg19_of_the_lessons_is_vgg19_of_the_judge(rooms, teachers, rng):
    """One reads BGR in PyTorch, the other RGB in ONNX Runtime: the same file, two ways."""
    from nst.vgg import Vgg

    image = rng.random((3, 32, 48), np.float32)
    layers = ["vgg19 relu1_1", "vgg19 relu2_2", "vgg19 relu3_3"]
    lessons = rooms.teachers.Teachers(teachers).features(torch.from_numpy(image)[None], layers)
    judge = Vgg(rooms.judging.real_network(teachers), [layer.split()[1] for layer in layers])
    for tap, features in judge.forward(image).items():
        taught = lessons[f"vgg19 {tap}"][0].float().numpy()
        assert np.abs(taught - features).max() < 0.03 * features.max(), tap  # bfloat16: 8 bits


@pytest.mark.parametrize(("stride", "fire"), [(8, "fire3"), (8, "fire4"), (16, "fire6")])
def test_squeezenet_sees_where_the_student_looks(rooms, teachers, stride, fire):
    """A bright square in the middle of one of the student's cells is brightest in that cell."""
    network = rooms.teachers.Teachers(teachers)
    network.squeezenet = {  # all averages: what comes out is a blurred copy of the image
        name: torch.full_like(w, 1 / w[0].numel() if w.ndim == 4 else 0)
        for name, w in network.squeezenet.items()
    }
    for row, column in ((3, 6), (5, 4)):
        image = torch.zeros(1, 3, 9 * stride, 11 * stride)
        top, left = row * stride + stride // 2 - 2, column * stride + stride // 2 - 2
        image[:, :, top : top + 4, left : left + 4] = 1
        blurred = _centred(network, image, fire)
        assert blurred.shape == (9, 11)
        mass = blurred / blurred.sum()
        rows, columns = torch.arange(9.0), torch.arange(11.0)
        # The grids differ by half a pixel; half a stride would be 0.5 here.
        assert (mass.sum(1) @ rows).item() == pytest.approx(row, abs=0.15)
        assert (mass.sum(0) @ columns).item() == pytest.approx(column, abs=0.15)


def _centred(network, image, fire):
    """Return how far the square, and nothing else, raises the first channel of ``fire``."""
    with_square = network.features(image + 2, [fire])[fire]
    without = network.features(torch.zeros_like(image) + 2, [fire])[fire]
    return (with_square - without)[0, 0].float().clamp(min=0)


# --- The images --------------------------------------------------------------------------------


def test_every_twentieth_picture_is_held_out(rooms, pictures):
    learnt_from, held_out = rooms.crops.load_images(pictures)
    assert len(learnt_from) == 38
    assert [tuple(image.shape) for image in held_out] == [
        (3, 130, 180),  # paintings/00 comes first,
        (3, 149, 161),  # then photos/19
        (3, 169, 141),  # and photos/39
    ]


def test_no_pictures_is_said_so(rooms, tmp_path):
    with pytest.raises(SystemExit, match=r"no \.jpg files in .*photos"):
        rooms.crops.load_images(tmp_path)


def test_crops_follow_their_generator_and_stay_in_range(rooms, rng):
    images = _crops(rooms, rng).images
    first, same, other = (
        rooms.crops.Crops(images, np.random.default_rng(seed)).batch(8, 32) for seed in (3, 3, 4)
    )
    assert first.shape == (8, 3, 32, 32)
    assert first.dtype == torch.float32
    assert 0 <= first.min() < 0.1
    assert 0.9 < first.max() <= 1
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_a_crop_can_be_as_large_as_the_smallest_picture(rooms):
    picture = torch.zeros(3, 40, 90, dtype=torch.uint8)
    crops = rooms.crops.Crops([picture], np.random.default_rng(0))
    assert crops.batch(20, 64).shape == (20, 3, 64, 64)


# --- Training ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1])
def test_training_teaches_and_leaves_the_frozen_alone(rooms, teachers, rng, number, monkeypatch):
    monkeypatch.setattr(rooms.training, "WARM_UP_STEPS", 1)
    stage, student, crops = (
        rooms.training.STAGES[number],
        rooms.student.Student(),
        _crops(rooms, rng),
    )
    trainer = rooms.training.Trainer(stage, student, rooms.teachers.Teachers(teachers), crops)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    first = [torch.from_numpy(rng.integers(0, 256, (3, 96, 128), np.uint8))]
    start = trainer.held_out_errors(first)
    for _ in range(80):
        trainer.train_step(0.0)
    trainer.settle_norms(batches=10)
    assert sum(trainer.held_out_errors(first)) < 0.7 * sum(start)
    for name, value in student.state_dict().items():
        block = name.split(".")[1].removeprefix("conv")[0]
        assert torch.equal(value, before[name]) == (block not in stage.learns), name


def test_a_resumed_training_goes_on_exactly(rooms, teachers, rng, tmp_path):
    crops = _crops(rooms, rng)
    path = tmp_path / "slim.checkpoint"
    whole = _trainer(rooms, teachers, crops.images)
    for step in range(4):
        whole.train_step(step / 4)
        if step == 1:
            rooms.files.save_checkpoint(path, whole.state())
    resumed = _trainer(rooms, teachers, crops.images)
    resumed.restore(rooms.files.load_checkpoint(path))
    for step in (2, 3):
        resumed.train_step(step / 4)
    expected = whole.student.state_dict()
    for name, value in resumed.student.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5, msg=name)


def _trainer(rooms, teachers, images):
    crops = rooms.crops.Crops(images, np.random.default_rng(7))
    torch.manual_seed(7)
    return rooms.training.Trainer(
        rooms.training.STAGES[0], rooms.student.Student(), rooms.teachers.Teachers(teachers), crops
    )


def test_the_rates_warm_up_stay_and_fall_in_a_line(rooms, teachers, rng):
    trainer = _trainer(rooms, teachers, _crops(rooms, rng).images)
    muon, adam = [], []
    for step, progress in ((0, 0.0), (24, 0.0), (49, 0.05), (400, 0.4), (700, 0.7), (999, 0.9985)):
        trainer.step = step
        trainer.train_step(progress)
        muon.append(trainer.muon.param_groups[0]["lr"] / rooms.training.MUON_RATE)
        adam.append(trainer.adam.param_groups[0]["lr"] / rooms.training.ADAM_RATE)
    assert muon == adam == pytest.approx([1 / 50, 1 / 2, 1, 1, 1 / 2, 1 / 400])


def test_a_lesson_pulls_by_what_it_counts(rooms, teachers, rng):
    pulls = []
    for counts in ((1, 1, 1, 1, 1, 1, 1), (2, 1, 0, 1, 1, 1, 1)):
        trainer = _trainer(rooms, teachers, _crops(rooms, rng).images)
        trainer.stage = dataclasses.replace(trainer.stage, counts=counts)
        trainer.train_step(0.0)
        pulls.append([linear_map.weight.grad.norm().item() for linear_map in trainer.maps])
    ratios = np.divide(pulls[1], pulls[0])
    assert ratios == pytest.approx([2, 1, 0, 1, 1, 1, 1], rel=0.1)  # bfloat16


@pytest.mark.parametrize("shape", [(5, 18), (40, 9)])
def test_orthogonalised_keeps_the_directions_and_evens_their_lengths(rooms, shape):
    torch.manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(shape[0], 5))
    right, _ = torch.linalg.qr(torch.randn(shape[1], 5))
    lengths = torch.tensor([7.0, 3.0, 1.0, 0.5, 0.2])
    found = rooms.muon.orthogonalised(left * lengths @ right.T)
    assert found.shape == shape
    evened = left.T @ found @ right
    assert (evened - evened.diag().diag()).abs().max() < 1e-4  # no direction mixes with another
    assert evened.diag().min() > 0.6
    assert evened.diag().max() < 1.3
    torch.testing.assert_close(left @ evened @ right.T, found, atol=1e-4, rtol=0)  # nothing new


def test_muon_steps_along_nesterov_s_momentum(rooms):
    torch.manual_seed(0)
    weight, first, second = torch.randn(3, 8, 2, 3, 3)  # (8, 2, 3, 3) each: a matrix of 8 x 18
    start = weight.clone()
    muon = rooms.muon.Muon([weight], rate=0.5)
    weight.grad = first
    muon.step()
    after_one = weight.clone()
    expected = rooms.muon.orthogonalised((1.9 * first).flatten(1)).reshape(start.shape)
    torch.testing.assert_close(after_one, start - 0.5 * expected)
    weight.grad = second
    muon.step()
    ahead = second + 0.9 * (second + 0.9 * first)
    expected = rooms.muon.orthogonalised(ahead.flatten(1)).reshape(start.shape)
    torch.testing.assert_close(weight, after_one - 0.5 * expected)


def test_muon_steps_further_where_there_are_more_rows_than_columns(rooms):
    torch.manual_seed(0)
    weight = torch.randn(36, 1, 3, 3)
    start, weight.grad = weight.clone(), torch.randn(36, 1, 3, 3)
    rooms.muon.Muon([weight], rate=0.5).step()
    lengths = torch.linalg.svdvals((start - weight).flatten(1))
    assert lengths.max() < 0.5 * 2 * 1.3  # the square root of 36 / 9
    assert lengths.min() > 0.5 * 2 * 0.6


def test_the_same_training_gives_the_same_weights(script, teachers, pictures):
    trained = []
    for name in ("one.npz", "two.npz"):
        script.main(_short_training(teachers, pictures, teachers / name))
        with np.load(teachers / name) as stored:
            trained.append(dict(stored))
    assert all(np.array_equal(trained[0][name], trained[1][name]) for name in trained[0])


def _short_training(teachers, pictures, output):
    common = ["--teachers", str(teachers), "--images", str(pictures)]
    return [*common, "--output", str(output), "--steps", "4"]


def test_held_out_errors_are_relative(rooms, teachers, rng):
    """A map that says nothing is wrong by all there is: an error of 1 at every lesson."""
    trainer = _trainer(rooms, teachers, _crops(rooms, rng).images)
    for linear_map in trainer.maps:
        torch.nn.init.zeros_(linear_map.weight)
    images = [torch.from_numpy(rng.integers(0, 256, (3, 70, 90), np.uint8)) for _ in range(2)]
    assert trainer.held_out_errors(images) == pytest.approx([1.0] * 7, rel=0.01)
    while_learning = [error.item() for error in trainer.errors(trainer._crops())]
    assert while_learning == pytest.approx([1.0] * 7, rel=0.9)  # crops differ; scales hardly


def test_settled_norms_hold_the_plain_mean_of_their_batches(rooms, teachers, rng):
    trainer = _trainer(rooms, teachers, _crops(rooms, rng).images)
    trainer.settle_norms(batches=3)
    settled = trainer.student.norms["conv1_1"].running_mean.clone()
    again = _trainer(rooms, teachers, trainer.crops.images)
    convolve, normalise = again.student.convolutions["conv1_1"], rooms.student.normalise
    means = [convolve(normalise(again._crops())).mean((0, 2, 3)) for _ in range(3)]
    torch.testing.assert_close(settled, torch.stack(means).mean(0))


def test_a_whole_run_leaves_weights_that_load(script, rooms, teachers, pictures, capsys):
    output = teachers / "slim.npz"
    common = _short_training(teachers, pictures, output)
    script.main(common)
    network = rooms.judging.slim_network(output)
    assert network.architecture.blocks[0] == (3, 4)
    assert "upper" in capsys.readouterr().out
    with np.load(output) as stored:
        trained = dict(stored)
    output.unlink()
    script.main([*common, "--export"])
    with np.load(output) as exported:
        assert exported.keys() == trained.keys()
        assert all(np.array_equal(exported[name], trained[name]) for name in trained)


# --- What is written ---------------------------------------------------------------------------


def test_a_model_file_holds_what_the_student_learnt(script, rooms, tmp_path):
    from nst.vgg import weights

    student = rooms.student.Student()
    for norm in student.norms.values():  # anything but what they start with
        norm.running_mean.normal_()
    output, checkpoint = tmp_path / "any.onnx", tmp_path / "any.checkpoint"
    rooms.files.save_checkpoint(checkpoint, {"student": student.state_dict()})
    script.main([*NOWHERE, "--export", "--output", str(output)])
    network = weights.load(output)
    assert (network.name, network.pooling) == ("vgg16-slim", "average")
    expected = student.folded()
    expected["mean"] = np.float32([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
    expected["std"] = np.float32([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
    assert network.arrays.keys() == expected.keys()
    for name, array in network.arrays.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize("name", ["slim.pt", "slim", "slim.NPZ"])
@pytest.mark.parametrize("mode", [[], ["--export"]])
def test_an_output_of_no_known_kind_is_refused_before_training(
    script, tmp_path, name, mode, capsys
):
    output = tmp_path / name
    with pytest.raises(SystemExit) as stopped:
        script.main([*NOWHERE, *mode, "--output", str(output)])
    assert stopped.value.code == 2
    line = f"distill: --output must end in .npz or .onnx, found {output}; rename it.\n"
    assert capsys.readouterr().err == line


# --- Judging -----------------------------------------------------------------------------------


def test_the_judge_knows_the_start_and_the_goal(rooms, teachers, tmp_path, rng):
    real = rooms.judging.real_network(teachers)
    content, style = (_picture(tmp_path / f"{name}.png", rng) for name in ("content", "style"))
    photograph, painting = (rooms.judging.nst.images.load(path) for path in (content, style))
    assert rooms.judging.measure(real, photograph, content, style) == pytest.approx((3.0, 0.0))
    style_loss, content_loss = rooms.judging.measure(real, painting, content, style)
    assert style_loss == pytest.approx(0.0, abs=1e-9)
    assert content_loss > 0.01


def test_judging_paints_each_pair_once_and_prints_a_row(
    script, rooms, teachers, tmp_path, rng, capsys
):
    arguments = _judging(rooms, teachers, tmp_path, rng)
    arguments += ["--paintings", str(tmp_path / "judged")]
    script.main(arguments)
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "| content, style | real | slim |"
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["a, b", "mean"]
    assert " s " in rows[2]
    assert sorted(path.name for path in (tmp_path / "judged").iterdir()) == [
        "a-b-real.png",
        "a-b-slim.png",
    ]
    script.main(arguments)
    again = capsys.readouterr().out.splitlines()[2]
    assert " s " not in again  # judged again, not painted
    script.main([*arguments, "--real-pooling", "max"])
    assert capsys.readouterr().out.splitlines()[2] != again  # the same pictures, another judge


def test_each_network_paints_with_its_own_pooling(script, rooms, teachers, tmp_path, rng):
    arguments = _judging(rooms, teachers, tmp_path, rng)
    painted = {}
    for pooling in ("average", "max"):
        folder = tmp_path / pooling
        script.main([*arguments, "--real-pooling", pooling, "--paintings", str(folder)])
        painted[pooling] = {p.stem[4:]: np.asarray(Image.open(p)) for p in folder.iterdir()}
    assert np.array_equal(painted["average"]["slim"], painted["max"]["slim"])
    assert not np.array_equal(painted["average"]["real"], painted["max"]["real"])


def test_a_line_without_two_paths_is_said_so(rooms, tmp_path):
    (tmp_path / "pairs.txt").write_text("only-one.jpg\n")
    with pytest.raises(SystemExit, match="a content and a style on every line"):
        rooms.judging.read_pairs(tmp_path / "pairs.txt", tmp_path)


def test_judging_without_pairs_is_said_so(script, capsys):
    with pytest.raises(SystemExit):
        script.main([*NOWHERE, "--judge", "slim.npz"])
    assert "--pairs FILE" in capsys.readouterr().err


def _judging(rooms, teachers, folder, rng):
    """Return the arguments that judge one untrained network by one pair, both in ``folder``."""
    for name in ("a", "b"):
        _picture(folder / f"{name}.png", rng)
    (folder / "pairs.txt").write_text("a.png b.png\n\n")
    np.savez(folder / "slim.npz", **rooms.student.Student().folded())
    arguments = ["--teachers", str(teachers), "--images", str(folder), "--size", "32"]
    return [*arguments, "--judge", f"{folder}/slim.npz", "--pairs", f"{folder}/pairs.txt"]


def _picture(path, rng):
    small = Image.fromarray(rng.integers(0, 256, (8, 12, 3), np.uint8))
    small.resize((48, 32), Image.Resampling.BICUBIC).save(path)
    return path
