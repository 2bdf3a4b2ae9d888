"""scripts/distill.py and its rooms: student, teacher, lesson, crops, training, files and judge."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from machine import unavailable
from PIL import Image

from nst.vgg.architecture import VGG16, Architecture

try:
    import torch
except ImportError:  # the extra `train` is for those who train
    torch = None

SCRIPTS = Path(__file__).parents[2] / "scripts"
NOWHERE = ["--teacher", "nowhere", "--images", "nowhere"]
TINY = Architecture(((3, 4), (5, 6), (7, 8, 9), (10, 11, 12), (13, 14, 15)))  # no width twice


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
    for room in (distillation.student, distillation.training):
        monkeypatch.setattr(room, "SLIM", TINY)
    monkeypatch.setattr(distillation.training, "CROPS", 1)
    torch.manual_seed(1)
    return distillation


@pytest.fixture
def teacher(rooms, tmp_path, rng):
    """Return a folder with a made-up teacher: VGG16's layers, few channels."""
    channels, arrays = 3, {}
    for i, name in enumerate(VGG16.convolutions):
        arrays |= _convolution(rng, name, 4 + i, channels, 3)
        channels = 4 + i
    arrays["conv1_1.weight"] /= 100  # its inputs reach 255
    np.savez(tmp_path / rooms.teacher.FILE, **arrays)
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
    return rooms.crops.Crops(images, seed)


# --- The networks ------------------------------------------------------------------------------


def test_the_student_is_vgg16_within_ten_megabytes(distillation):
    assert distillation.student.SLIM.convolutions == VGG16.convolutions
    student = distillation.student.Student()
    assert sum(array.nbytes for array in student.folded().values()) < 10_000_000


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
    assert len(expected) == 13
    for tap, features in vgg.forward(image).items():
        wanted = expected[tap][0].detach().numpy()
        np.testing.assert_allclose(features, wanted, rtol=1e-3, atol=1e-4, err_msg=tap)


def test_a_student_that_trains_normalises_by_its_batch(rooms, rng):
    student = rooms.student.Student()
    images = torch.from_numpy(rng.random((2, 3, 32, 48), np.float32))
    student.train()
    first = student.convolutions["conv1_1"](rooms.student.normalise(images))
    deviation, mean = torch.std_mean(first, (0, 2, 3), correction=0, keepdim=True)
    expected = ((first - mean) / deviation).clamp(min=0)
    torch.testing.assert_close(student(images)["relu1_1"], expected, rtol=1e-3, atol=1e-4)


def test_the_teacher_of_the_lessons_is_the_network_of_the_judge(rooms, teacher, rng):
    """One reads BGR in PyTorch, the other RGB in ONNX Runtime: the same file, two ways."""
    from nst.vgg import Vgg

    image = rng.random((3, 32, 48), np.float32)
    lessons = rooms.teacher.Teacher(teacher).features(torch.from_numpy(image)[None])
    assert list(lessons) == [tap for tap in VGG16.taps if tap.startswith("relu")]
    judge = Vgg(rooms.judging.real_network(teacher), list(lessons))
    for tap, features in judge.forward(image).items():
        taught = lessons[tap][0].float().numpy()
        assert np.abs(taught - features).max() < 0.04 * features.max(), tap  # bfloat16: 8 bits


# --- The lesson --------------------------------------------------------------------------------

CELLS = (slice(1, None, 2), slice(None))


def _plain_error(x, weight, target, scale, cells):
    """The mean of (W x - scale t)^2, feature by feature."""
    total, count = 0.0, 0
    for image, wanted in zip(x.detach().numpy(), target.numpy(), strict=True):
        for row in range(image.shape[1])[cells[0]]:
            for column in range(image.shape[2])[cells[1]]:
                predicted = weight.detach().double().numpy() @ image[:, row, column]
                total += ((predicted - scale * wanted[:, row, column]) ** 2).sum()
                count += len(predicted)
    return total / count


def _lesson():
    torch.manual_seed(3)
    x = torch.randn(2, 5, 3, 4).to(memory_format=torch.channels_last)
    return x.requires_grad_(), torch.randn(7, 5, requires_grad=True), torch.randn(2, 7, 3, 4)


def test_a_lesson_s_error_is_the_mean_square_of_what_the_map_misses(distillation):
    x, weight, target = _lesson()
    error = distillation.lesson.MappedError.apply(x, weight, target, 0.3, CELLS)
    assert error.item() == pytest.approx(_plain_error(x, weight, target, 0.3, CELLS), rel=1e-6)


def test_a_lesson_s_gradients_are_the_slopes_of_its_error(distillation):
    x, weight, target = _lesson()
    error = distillation.lesson.MappedError.apply(x, weight, target, 0.3, CELLS)
    for array, gradient in zip((x, weight), torch.autograd.grad(error, (x, weight)), strict=True):
        step = torch.randn_like(array)
        sides = []
        for sign in (1, -1):
            with torch.no_grad():
                array += sign * step
                sides.append(_plain_error(x, weight, target, 0.3, CELLS))
                array -= sign * step
        slope = (sides[0] - sides[1]) / 2  # of a parabola: exact
        assert (gradient * step).sum().item() == pytest.approx(slope, rel=1e-4)
    assert not torch.autograd.grad(
        distillation.lesson.MappedError.apply(x, weight, target, 0.3, CELLS), x
    )[0][:, :, ::2].any()  # what is not compared is not pulled


def test_every_feature_of_the_lower_blocks_is_compared_in_turn(distillation):
    seen = torch.zeros(6, 8)
    for number in range(8):
        seen[distillation.training.compared("relu3_1", number)] += 1
    assert torch.equal(seen, torch.full((6, 8), 2.0))
    everywhere = slice(None), slice(None)
    assert distillation.training.compared("relu4_1", 3) == everywhere
    assert distillation.training.compared("relu1_1", None) == everywhere


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


def test_crops_follow_their_number_and_stay_in_range(rooms, rng):
    crops = _crops(rooms, rng, seed=3)
    first, same, other = (crops.batch(number, 8, 32) for number in (5, 5, 6))
    assert first.shape == (8, 3, 32, 32)
    assert first.dtype == torch.float32
    assert 0 <= first.min() < 0.1
    assert 0.9 < first.max() <= 1
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert not torch.equal(first, rooms.crops.Crops(crops.images, 4).batch(5, 8, 32))


def test_a_crop_can_be_as_large_as_the_smallest_picture(rooms):
    picture = torch.zeros(3, 40, 90, dtype=torch.uint8)
    crops = rooms.crops.Crops([picture], 0)
    assert crops.batch(0, 20, 64).shape == (20, 3, 64, 64)


# --- Training ----------------------------------------------------------------------------------


def test_training_teaches_every_layer(rooms, teacher, rng, monkeypatch):
    monkeypatch.setattr(rooms.training, "WARM_UP_STEPS", 1)
    trainer = _trainer(rooms, teacher, _crops(rooms, rng).images)
    before = {name: value.clone() for name, value in trainer.student.named_parameters()}
    unseen = [torch.from_numpy(rng.integers(0, 256, (3, 96, 128), np.uint8))]
    start = trainer.held_out_errors(unseen)
    for _ in range(60):
        trainer.train_step(0.0)
    trainer.settle_norms(batches=10)
    errors = trainer.held_out_errors(unseen)
    assert all(error < 0.7 * first for error, first in zip(errors, start, strict=True))
    for name, value in trainer.student.named_parameters():
        assert not torch.equal(value, before[name]), name


def test_a_resumed_training_goes_on_exactly(rooms, teacher, rng, tmp_path, monkeypatch):
    monkeypatch.setattr(rooms.training, "SETTLING", 0.5)
    images = _crops(rooms, rng).images
    path = tmp_path / "slim.checkpoint"
    whole = _trainer(rooms, teacher, images)
    for step in range(4):
        if step == 3:
            rooms.files.save_checkpoint(path, whole.state())
        whole.train_step(step / 4)
    resumed = _trainer(rooms, teacher, images)
    resumed.restore(rooms.files.load_checkpoint(path))
    resumed.train_step(3 / 4)
    expected = whole.student.state_dict()
    for name, value in resumed.student.state_dict().items():
        assert torch.equal(value, expected[name]), name


def _trainer(rooms, teacher, images):
    crops = rooms.crops.Crops(images, 7)
    torch.manual_seed(7)
    return rooms.training.Trainer(rooms.student.Student(), rooms.teacher.Teacher(teacher), crops)


def test_the_rates_warm_up_stay_and_fall_in_a_line(rooms, teacher, rng):
    trainer = _trainer(rooms, teacher, _crops(rooms, rng).images)
    trainer.settled = True
    muon, adam = [], []
    for step, progress in ((0, 0.0), (24, 0.0), (49, 0.05), (400, 0.4), (700, 0.7), (999, 0.9985)):
        trainer.step = step
        trainer.train_step(progress)
        muon.append(trainer.muon.param_groups[0]["lr"] / rooms.training.MUON_RATE)
        adam.append(trainer.adam.param_groups[0]["lr"] / rooms.training.ADAM_RATE)
    assert muon == adam == pytest.approx([1 / 50, 1 / 2, 1, 1, 1 / 2, 1 / 400])


def test_a_lesson_pulls_by_what_it_counts(rooms, teacher, rng, monkeypatch):
    images, pulls = _crops(rooms, rng).images, []
    for count in (1, 2, 0):
        monkeypatch.setitem(rooms.training.COUNTS, "relu2_1", count)
        pulls.append(_pulls(_trainer(rooms, teacher, images)))
    for count, pull in zip((2, 0), pulls[1:], strict=True):
        torch.testing.assert_close(pull / pulls[0], torch.tensor([1.0, 1, count, *[1.0] * 10]))


def test_a_large_error_pulls_no_more_than_a_small_one(rooms, teacher, rng):
    """A map of zeros misses scale^2 t^2: a slope as scale, its logarithm as 1 / scale."""
    images, pulls = _crops(rooms, rng).images, []
    for factor in (1, 2):
        trainer = _trainer(rooms, teacher, images)
        trainer.scales["relu2_1"] *= factor
        for linear_map in trainer.maps.values():
            torch.nn.init.zeros_(linear_map.weight)
        pulls.append(_pulls(trainer))
    torch.testing.assert_close(pulls[1] / pulls[0], torch.tensor([1.0, 1, 0.5, *[1.0] * 10]))


def _pulls(trainer):
    """Return how strongly a step pulls at each lesson's map."""
    trainer.train_step(0.0)
    return torch.stack([linear_map.weight.grad.norm() for linear_map in trainer.maps.values()])


def test_a_step_takes_the_mean_of_its_workers_gradients(rooms, teacher, rng):
    trainer = _trainer(rooms, teacher, _crops(rooms, rng).images)
    trainer.student.train()
    trainer.step = 5
    errors, gradients = zip(*(trainer._learn(number) for number in (10, 11)), strict=True)
    found = trainer.train_step(0.0)
    torch.testing.assert_close(found, (errors[0] + errors[1]) / 2)
    for parameter, one, other in zip(trainer.learning, *gradients, strict=True):
        torch.testing.assert_close(parameter.grad, (one + other) / 2)


@pytest.mark.parametrize("shape", [(5, 18), (40, 9)])
def test_orthogonalised_keeps_the_directions_and_evens_their_lengths(rooms, shape):
    torch.manual_seed(0)
    count = min(shape)
    left, _ = torch.linalg.qr(torch.randn(shape[0], count))
    right, _ = torch.linalg.qr(torch.randn(shape[1], count))
    found = rooms.muon.orthogonalised(left * torch.linspace(7, 0.7, count) @ right.T)
    assert found.shape == shape
    assert found.dtype == torch.float32
    evened = left.T @ found @ right
    assert (evened - evened.diag().diag()).abs().max() < 0.03  # no direction mixes with another
    assert evened.diag().min() > 0.6
    assert evened.diag().max() < 1.3
    torch.testing.assert_close(left @ evened @ right.T, found, atol=0.03, rtol=0)  # nothing new


def test_muon_steps_along_nesterov_s_momentum(rooms):
    torch.manual_seed(0)
    weight, first, second = torch.randn(3, 8, 2, 3, 3)  # (8, 2, 3, 3) each: a matrix of 8 x 18
    start = weight.clone()
    muon = rooms.muon.Muon([weight], rate=0.5)
    weight.grad = first
    muon.step()
    after_one = weight.clone()
    expected = rooms.muon.orthogonalised((1.9 * first).flatten(1)).reshape(start.shape)
    torch.testing.assert_close(after_one, start - 0.5 * expected, atol=0.01, rtol=0)
    weight.grad = second
    muon.step()
    ahead = second + 0.9 * (second + 0.9 * first)
    expected = rooms.muon.orthogonalised(ahead.flatten(1)).reshape(start.shape)
    torch.testing.assert_close(weight, after_one - 0.5 * expected, atol=0.01, rtol=0)


def test_muon_steps_further_where_there_are_more_rows_than_columns(rooms):
    torch.manual_seed(0)
    weight = torch.randn(36, 1, 3, 3)
    start, weight.grad = weight.clone(), torch.randn(36, 1, 3, 3)
    rooms.muon.Muon([weight], rate=0.5).step()
    lengths = torch.linalg.svdvals((start - weight).flatten(1))
    assert lengths.max() < 0.5 * 2 * 1.3  # the square root of 36 / 9
    assert lengths.min() > 0.5 * 2 * 0.6


def test_the_same_training_gives_the_same_weights(script, teacher, pictures):
    trained = []
    for name in ("one.npz", "two.npz"):
        script.main(_short_training(teacher, pictures, teacher / name))
        with np.load(teacher / name) as stored:
            trained.append(dict(stored))
    assert all(np.array_equal(trained[0][name], trained[1][name]) for name in trained[0])


def _short_training(teacher, pictures, output, steps=2):
    common = ["--teacher", str(teacher), "--images", str(pictures)]
    return [*common, "--output", str(output), "--steps", str(steps)]


def test_held_out_errors_are_relative(rooms, teacher, rng):
    """A map that says nothing is wrong by all there is: an error of 1 at every lesson."""
    trainer = _trainer(rooms, teacher, _crops(rooms, rng).images)
    for linear_map in trainer.maps.values():
        torch.nn.init.zeros_(linear_map.weight)
    images = [torch.from_numpy(rng.integers(0, 256, (3, 70, 90), np.uint8)) for _ in range(2)]
    assert trainer.held_out_errors(images) == pytest.approx([1.0] * 13, rel=0.01)
    while_learning = trainer.train_step(0.0).tolist()
    assert while_learning == pytest.approx([1.0] * 13, rel=0.9)  # crops differ; scales hardly


def test_settled_norms_hold_the_plain_mean_of_their_batches(rooms, teacher, rng):
    trainer = _trainer(rooms, teacher, _crops(rooms, rng).images)
    trainer.step = 4
    trainer.settle_norms(batches=3)
    settled = trainer.student.norms["conv1_1"].running_mean.clone()
    convolve, normalise = trainer.student.convolutions["conv1_1"], rooms.student.normalise
    batches = [trainer._crops(number) for number in (4, 5, 6)]
    means = [convolve(normalise(crops)).mean((0, 2, 3)) for crops in batches]
    torch.testing.assert_close(settled, torch.stack(means).mean(0))


def test_a_whole_run_leaves_weights_that_load(script, rooms, teacher, pictures, capsys):
    output = teacher / "slim.npz"
    common = _short_training(teacher, pictures, output)
    script.main(common)
    assert rooms.judging.slim_network(output).architecture == TINY
    assert "held out" in capsys.readouterr().out
    with np.load(output) as stored:
        trained = dict(stored)
    output.unlink()
    script.main([*common, "--export"])
    with np.load(output) as exported:
        assert exported.keys() == trained.keys()
        assert all(np.array_equal(exported[name], trained[name]) for name in trained)


def test_a_run_can_be_resumed_to_end_later(script, rooms, teacher, pictures, capsys):
    output = teacher / "slim.npz"
    script.main(_short_training(teacher, pictures, output, steps=1))
    script.main([*_short_training(teacher, pictures, output, steps=3), "--resume"])
    steps = [
        line.split()[2] for line in capsys.readouterr().out.splitlines() if "held out" in line
    ]
    assert steps == ["1", "3"]


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


def test_the_judge_knows_the_start_and_the_goal(rooms, teacher, tmp_path, rng):
    real = rooms.judging.real_network(teacher)
    content, style = (_picture(tmp_path / f"{name}.png", rng) for name in ("content", "style"))
    photograph, painting = (
        rooms.judging.nst.pictures.images.load(path) for path in (content, style)
    )
    assert rooms.judging.measure(real, photograph, content, style) == pytest.approx((4.0, 0.0))
    style_loss, content_loss = rooms.judging.measure(real, painting, content, style)
    assert style_loss == pytest.approx(0.0, abs=1e-9)
    assert content_loss > 0.01


def test_judging_paints_each_pair_once_and_prints_a_row(
    script, rooms, teacher, tmp_path, rng, capsys
):
    arguments = _judging(rooms, teacher, tmp_path, rng)
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


def test_each_network_paints_with_its_own_pooling(script, rooms, teacher, tmp_path, rng):
    arguments = _judging(rooms, teacher, tmp_path, rng)
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


def _judging(rooms, teacher, folder, rng):
    """Return the arguments that judge one untrained network by one pair, both in ``folder``."""
    for name in ("a", "b"):
        _picture(folder / f"{name}.png", rng)
    (folder / "pairs.txt").write_text("a.png b.png\n\n")
    np.savez(folder / "slim.npz", **rooms.student.Student().folded())
    arguments = ["--teacher", str(teacher), "--images", str(folder), "--size", "32"]
    return [*arguments, "--judge", f"{folder}/slim.npz", "--pairs", f"{folder}/pairs.txt"]


def _picture(path, rng):
    small = Image.fromarray(rng.integers(0, 256, (8, 12, 3), np.uint8))
    small.resize((48, 32), Image.Resampling.BICUBIC).save(path)
    return path
