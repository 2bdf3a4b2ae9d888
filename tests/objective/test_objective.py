"""The whole objective against its slope, its combinations against Hvass', and its errors."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from gradcheck import assert_gradient
from objectives import everywhere, mask_of, recipe_of
from small_networks import ReferenceVgg, draw_arrays, relative_error

from nst import losses
from nst.errors import NstError
from nst.objective import (
    Losses,
    Objective,
    Region,
    Targets,
    Term,
    check_finite,
)
from nst.objective.objective import combine
from nst.objective.styles.covariance import CovarianceStyle
from nst.objective.styles.gram import GramStyle
from nst.vgg import Vgg
from nst.vgg.architecture import POOLINGS, Architecture

THREE_BLOCKS = Architecture(((4, 5), (6,), (5, 4)))
TAPS = ("relu3_1", "relu1_1", "conv2_1", "conv3_2")
WEIGHTS = recipe_of(
    content={"conv3_2": 0.7, "relu3_1": 1.9},  # relu3_1 and conv2_1 pull twice
    style={"relu1_1": 3.0, "conv2_1": 11.0, "relu3_1": 0.4},
    smoothness=0.6,
)
CONVENTIONS = [
    {"gram_normalization": "HW", "smoothness_kind": "l2", "smoothness_reduction": "mean"},
    {"gram_normalization": "none", "smoothness_kind": "l1", "smoothness_reduction": "sum"},
    {"gram_normalization": "CHW", "smoothness_kind": "l2", "smoothness_reduction": "sum"},
    {"smoothness_kind": "crowson", "content_reduction": "half sum"},
]
NAMES = {
    "content conv3_2",
    "content relu3_1",
    "style relu1_1",
    "style conv2_1",
    "style relu3_1",
    "smoothness",
}


@pytest.fixture
def arrays(rng):
    return draw_arrays(THREE_BLOCKS, rng)


def naive_gram(features, normalization):
    flat = features.reshape(len(features), -1)
    divisor = {"HW": flat.shape[1], "CHW": flat.size, "none": 1}[normalization]
    return np.einsum("ip,jp->ij", flat, flat) / divisor


def targets_of(vgg, rng, size, normalization="HW"):
    content = vgg.forward(rng.random((3, *size)))
    painting = vgg.forward(rng.random((3, 26, 18)))
    return Targets(
        {tap: content[tap] for tap in WEIGHTS.content},
        everywhere(
            {tap: naive_gram(painting[tap], normalization) for tap in WEIGHTS.style}, normalization
        ),
    )


def gram_of(objective, tap):
    """Return the Gram matrix that the style of the whole image is compared with."""
    (region,) = objective.targets.style[tap]
    return region.style.gram


def in_float32(targets):
    return Targets(
        {tap: array.astype(np.float32) for tap, array in targets.content.items()},
        everywhere(
            {tap: region.style.gram.astype(np.float32) for tap, (region,) in targets.style.items()}
        ),
    )


@pytest.fixture
def small(rng, arrays):
    """An objective in float64, and an image to look at."""
    vgg = ReferenceVgg(THREE_BLOCKS, arrays, TAPS, "average")
    return Objective(vgg, targets_of(vgg, rng, (21, 16)), WEIGHTS), rng.random((3, 21, 16))


# ---- Against its slope ---------------------------------------------------------------


@pytest.mark.parametrize("conventions", CONVENTIONS, ids=["gatys", "hvass", "johnson", "other"])
@pytest.mark.parametrize("combination", ["sum", "log"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_gradient_is_the_slope_of_the_total(rng, arrays, pooling, combination, conventions):
    vgg = ReferenceVgg(THREE_BLOCKS, arrays, TAPS, pooling)
    targets = targets_of(vgg, rng, (21, 16), conventions.get("gram_normalization", "HW"))
    recipe = replace(WEIGHTS, combination=combination, **conventions)
    objective = Objective(vgg, targets, recipe)
    image = rng.random((3, 21, 16))
    _, d_image = objective.evaluate(image)
    assert_gradient(lambda i: objective.evaluate(i)[0].total, image, d_image)


@pytest.mark.parametrize("combination", ["sum", "log"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_in_float32_through_onnx_runtime_it_is_the_same(rng, arrays, pooling, combination):
    reference = ReferenceVgg(THREE_BLOCKS, arrays, TAPS, pooling)
    targets = targets_of(reference, rng, (21, 16))
    image = rng.random((3, 21, 16))
    recipe = replace(WEIGHTS, combination=combination)
    expected, d_expected = Objective(reference, targets, recipe).evaluate(image)
    vgg = Vgg.from_arrays(arrays, TAPS, pooling)
    objective = Objective(vgg, in_float32(targets), recipe)
    found, d_image = objective.evaluate(image.astype(np.float32))
    assert d_image.dtype == np.float32
    assert relative_error(d_image, d_expected) <= 1e-4
    assert found.floats() == pytest.approx(expected.floats(), rel=1e-4)


def test_content_and_style_at_one_tap_both_pull(rng, small):
    objective, image = small
    vgg, targets = objective.vgg, objective.targets
    both = Objective(
        vgg,
        Targets({"relu3_1": targets.content["relu3_1"]}, {"relu3_1": targets.style["relu3_1"]}),
        recipe_of({"relu3_1": 2.0}, {"relu3_1": 5.0}),
    )
    content = Objective(vgg, Targets(both.targets.content, {}), recipe_of({"relu3_1": 2.0}, {}))
    style = Objective(vgg, Targets({}, both.targets.style), recipe_of({}, {"relu3_1": 5.0}))
    separate = [objective.evaluate(image) for objective in (content, style)]
    together, d_image = both.evaluate(image)
    assert together.total == pytest.approx(sum(losses.total for losses, _ in separate))
    np.testing.assert_allclose(d_image, sum(d for _, d in separate), rtol=1e-9, atol=1e-15)


# ---- What is reported ----------------------------------------------------------------


def test_every_raw_loss_is_reported_by_name(small):
    objective, image = small
    found, _ = objective.evaluate(image)
    features = objective.vgg.forward(image)
    assert set(found.raw) == NAMES
    for tap in WEIGHTS.content:
        target = objective.targets.content[tap]
        expected = np.mean((features[tap] - target) ** 2)
        assert found.raw[f"content {tap}"] == pytest.approx(expected)
    for tap in WEIGHTS.style:
        gram = naive_gram(features[tap], "HW")
        expected = np.mean((gram - gram_of(objective, tap)) ** 2)
        assert found.raw[f"style {tap}"] == pytest.approx(expected)
    assert found.raw["smoothness"] == losses.smoothness_loss(image)[0]


def test_content_is_reduced_as_it_is_told(small):
    objective, image = small
    features = objective.vgg.forward(image)
    expected = {tap: features[tap] - objective.targets.content[tap] for tap in WEIGHTS.content}
    for reduction, factor in {"sum": 1, "half sum": 0.5}.items():
        told = replace(WEIGHTS, content_reduction=reduction)
        found, _ = Objective(objective.vgg, objective.targets, told).evaluate(image)
        for tap, difference in expected.items():
            total = factor * sum(d * d for d in difference.flat)
            assert found.raw[f"content {tap}"] == pytest.approx(total, rel=1e-9)


def test_the_sum_weighs_each_loss_once(small):
    objective, image = small
    found = objective.evaluate(image)[0].floats()
    expected = (
        0.7 * found["content conv3_2"]
        + 1.9 * found["content relu3_1"]
        + 3.0 * found["style relu1_1"]
        + 11.0 * found["style conv2_1"]
        + 0.4 * found["style relu3_1"]
        + 0.6 * found["smoothness"]
    )
    assert found["total"] == pytest.approx(expected, rel=1e-12)


def test_floats_are_python_s(small):
    objective, image = small
    floats = objective.evaluate(image)[0].floats()
    assert next(iter(floats)) == "total"
    assert set(floats) == {"total", *NAMES}
    assert {type(value) for value in floats.values()} == {float}


def test_without_smoothness_there_is_no_such_term(small):
    objective, image = small
    plain = Objective(objective.vgg, objective.targets, replace(WEIGHTS, smoothness=0.0))
    assert set(plain.evaluate(image)[0].raw) == NAMES - {"smoothness"}


def test_smoothness_alone_never_asks_the_network(rng, small):
    objective, image = small
    alone = Objective(objective.vgg, Targets({}, {}), recipe_of({}, {}, 0.25))
    found, d_image = alone.evaluate(image)
    loss, d_expected = losses.smoothness_loss(image)
    assert found.total == pytest.approx(0.25 * loss)
    np.testing.assert_allclose(d_image, 0.25 * d_expected, rtol=1e-12)


def test_evaluate_changes_neither_the_image_nor_the_targets(small):
    objective, image = small
    grams = [gram_of(objective, tap) for tap in WEIGHTS.style]
    arrays = [image, *objective.targets.content.values(), *grams]
    copies = [array.copy() for array in arrays]
    first = objective.evaluate(image)
    again = objective.evaluate(image)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    np.testing.assert_array_equal(first[1], again[1])


# ---- Combinations --------------------------------------------------------------------


def test_the_log_combination_is_hvass_adaptive_weights(small):
    """One weight a kind, divided by the kind's own loss: 1.5, 10 and 0.3, as in his tutorial."""
    objective, image = small
    content, style, smoothness = 1.5, 10.0, 0.3
    weights = recipe_of(
        {tap: content / 2 for tap in WEIGHTS.content},
        {tap: style / 3 for tap in WEIGHTS.style},
        smoothness,
        combination="log",
    )
    _, d_found = Objective(objective.vgg, objective.targets, weights).evaluate(image)

    raw = objective.evaluate(image)[0].floats()
    loss_c = np.mean([raw[f"content {tap}"] for tap in WEIGHTS.content])
    loss_s = np.mean([raw[f"style {tap}"] for tap in WEIGHTS.style])
    adapted = recipe_of(  # constants, as his session keeps them in variables
        {tap: content / (loss_c + 1e-10) / 2 for tap in WEIGHTS.content},
        {tap: style / (loss_s + 1e-10) / 3 for tap in WEIGHTS.style},
        smoothness / (raw["smoothness"] + 1e-10),
    )
    combined, d_expected = Objective(objective.vgg, objective.targets, adapted).evaluate(image)
    np.testing.assert_allclose(d_found, d_expected, rtol=1e-9, atol=1e-15)
    assert combined.total == pytest.approx(11.8, rel=1e-6)  # and so it is constant


def term(kind, tap, weight, loss):
    return Term(kind, tap, weight, np.asarray(loss))


TERMS = [
    term("content", "relu3_1", 1.5, 4.0),
    term("style", "relu1_1", 2.0, 3.0),
    term("style", "relu2_1", 6.0, 5.0),
    term("smoothness", "image", 0.3, 7.0),
]


def test_combine_by_sum():
    total, factors = combine(TERMS, "sum")
    assert total == pytest.approx(1.5 * 4 + 2 * 3 + 6 * 5 + 0.3 * 7)
    assert factors == [1.5, 2.0, 6.0, 0.3]


def test_combine_by_log():
    total, factors = combine(TERMS, "log")
    style = (2 * 3 + 6 * 5) / 8
    assert total == pytest.approx(1.5 * math.log(4) + 8 * math.log(style) + 0.3 * math.log(7))
    assert factors == pytest.approx([1.5 / 4, 2 / style, 6 / style, 0.3 / 7])


def test_the_log_of_a_loss_of_zero_is_finite():
    total, factors = combine([term("content", "relu1_1", 2.0, 0.0)], "log")
    assert total == pytest.approx(2 * math.log(1e-10))
    assert factors == pytest.approx([2e10])


def test_the_log_leaves_out_a_kind_of_weight_zero():
    total, factors = combine([term("content", "relu3_1", 0.0, 4.0), *TERMS[1:]], "log")
    expected, others = combine(TERMS[1:], "log")
    assert total == pytest.approx(float(expected))
    assert factors == pytest.approx([0.0, *others])


@pytest.mark.parametrize("combination", ["sum", "log"])
def test_float32_losses_are_added_in_float64(combination):
    terms = [
        Term("style", "relu1_1", 1.0, np.asarray(2.0**24, np.float32)),
        Term("style", "relu1_2", 1.0, np.asarray(1.0, np.float32)),
    ]
    total, _ = combine(terms, combination)
    exact = 2**24 + 1  # one more than float32 can count
    expected = exact if combination == "sum" else 2 * math.log(exact / 2)
    assert total == pytest.approx(expected, rel=1e-15)


# ---- Errors --------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_named_with_its_tap(value):
    with pytest.raises(NstError) as error:
        check_finite({"total": 1.0, "style relu3_1": value, "content relu1_1": 2.0})
    assert f"style relu3_1 is {value}." in str(error.value)
    assert "content" not in str(error.value)
    assert "\n" not in str(error.value)


def test_finite_values_pass():
    check_finite({"total": 1e308, "style relu3_1": -0.0, "gradient": 5e-324})


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_term_that_overflows_is_named_and_no_other(rng, arrays, monkeypatch):
    """Such a network is refused where it is read; this one gets past."""
    monkeypatch.setattr("nst.vgg.weights.check_values", lambda *_: None)
    arrays["conv3_1.weight"] = arrays["conv3_1.weight"] * 1e18
    vgg = Vgg.from_arrays(arrays, ["relu1_1", "relu3_1"])
    features = vgg.forward(rng.random((3, 16, 18), np.float32))
    targets = Targets(
        {"relu1_1": np.zeros_like(features["relu1_1"])},
        everywhere({"relu3_1": np.zeros((5, 5), np.float32)}),
    )
    objective = Objective(vgg, targets, recipe_of({"relu1_1": 1.0}, {"relu3_1": 1.0}))
    found, _ = objective.evaluate(rng.random((3, 16, 18), np.float32))
    with pytest.raises(NstError, match=r"total is .*style relu3_1 is") as error:
        check_finite(found.floats())
    assert "content" not in str(error.value)


@pytest.mark.parametrize("kind", ["content", "style"])
def test_a_target_without_a_weight_is_named(small, kind):
    objective, _ = small
    weights = {"content": dict(WEIGHTS.content), "style": dict(WEIGHTS.style)}
    weights[kind].pop("relu3_1")
    with pytest.raises(ValueError, match=rf"{kind} targets are at \[.*'relu3_1'.*each target"):
        Objective(objective.vgg, objective.targets, recipe_of(**weights))


def test_an_unknown_combination_is_named(small):
    objective, _ = small
    with pytest.raises(ValueError, match=r"combination is 'product'; choose \('sum', 'log'"):
        Objective(objective.vgg, objective.targets, replace(WEIGHTS, combination="product"))


def test_an_image_of_another_size_than_the_content_is_refused(small):
    objective, image = small
    with pytest.raises(ValueError, match="shapes must be equal"):
        objective.evaluate(np.pad(image, [(0, 0), (0, 4), (0, 0)]))


def test_losses_keep_arrays_until_they_are_asked_for_floats():
    total = np.asarray(2.0)
    found = Losses(total, {"smoothness": np.asarray(0.5, np.float32)})
    assert found.total is total
    assert found.floats() == {"total": 2.0, "smoothness": 0.5}


# ---- In parts ------------------------------------------------------------------------


def halves(targets, features):
    """Return features and targets of the upper and the lower half, by tap, as tiles have them."""
    for part in (0, 1):

        def cut(array, part=part):
            middle = array.shape[-2] // 2
            rows = slice(middle) if part == 0 else slice(middle, None)
            return np.ascontiguousarray(array[..., rows, :])

        style = {
            tap: [
                replace(r, mask=None if r.mask is None else mask_of(cut(r.mask.pixels)))
                for r in regions
            ]
            for tap, regions in targets.style.items()
        }
        yield (
            {tap: cut(array) for tap, array in features.items()},
            Targets({tap: cut(array) for tap, array in targets.content.items()}, style),
        )


@pytest.fixture
def in_regions(rng, small):
    """An objective whose style at one tap is of two regions, the second by its covariance."""
    objective, image = small
    features = objective.vgg.forward(image)["relu3_1"]
    sky = rng.random(features.shape[1:])
    ground = CovarianceStyle.of(CovarianceStyle.measure(rng.random((5, 4, 7))))
    regions = [
        Region(GramStyle(gram_of(objective, "relu3_1")), mask_of(sky), weight=0.75),
        Region(ground, mask_of(1 - sky), weight=0.25),
    ]
    targets = Targets(objective.targets.content, {**objective.targets.style, "relu3_1": regions})
    return Objective(objective.vgg, targets, WEIGHTS), image


@pytest.mark.parametrize("combination", ["sum", "log"])
@pytest.mark.parametrize("which", ["small", "in_regions"])
def test_what_is_measured_in_parts_adds_up(request, which, combination):
    given, image = request.getfixturevalue(which)
    recipe = replace(WEIGHTS, combination=combination)
    objective = Objective(given.vgg, given.targets, recipe)
    expected, d_expected = objective.evaluate(image)

    features = objective.vgg.forward(image)
    parts = list(halves(objective.targets, features))
    first, second = (objective.measure(*part) for part in parts)
    sums = first + second
    terms, d_style = objective.compare(sums)
    for term in terms:
        assert term.loss == pytest.approx(float(expected.raw[term.name]), rel=1e-9)

    weights = objective.weights if combination == "sum" else objective.adapted(terms, image)
    pulls = objective.pulls(weights, sums, d_style)
    d_parts = []
    for part in parts:
        pulled = objective.spread(pulls, *part)
        d_parts.append({tap: array.copy() for tap, array in pulled.items()})
    whole = {tap: np.concatenate([d[tap] for d in d_parts], axis=1) for tap in d_parts[0]}
    d_image = objective.vgg.backward(whole)
    objective.smoothness(image, weights.smoothness, d_image, add=True)
    np.testing.assert_allclose(d_image, d_expected, rtol=1e-7, atol=1e-12)


def test_the_gradient_with_regions_is_the_slope(in_regions):
    objective, image = in_regions
    _, d_image = objective.evaluate(image)
    assert_gradient(lambda i: objective.evaluate(i)[0].total, image, d_image, rtol=3e-6)


def test_regions_add_up_to_one_style_loss(in_regions):
    objective, image = in_regions
    found, _ = objective.evaluate(image)
    features = objective.vgg.forward(image)["relu3_1"]
    expected = 0.0
    for region in objective.targets.style["relu3_1"]:
        sums = region.style.measure(features, region.mask)
        expected += region.weight * region.style.compare(sums)[0]
    assert found.raw["style relu3_1"] == pytest.approx(float(expected), rel=1e-12)
    assert set(found.raw) == NAMES


def test_the_arrays_between_losses_and_network_are_kept(rng, arrays):
    vgg = Vgg.from_arrays(arrays, TAPS)
    reference = ReferenceVgg(THREE_BLOCKS, arrays, TAPS, "max")
    targets = in_float32(targets_of(reference, rng, (21, 16)))
    objective = Objective(vgg, targets, WEIGHTS)
    given = []
    backward = vgg.backward
    vgg.backward = lambda d_features: given.append(dict(d_features)) or backward(d_features)
    for _ in range(2):
        objective.evaluate(rng.random((3, 21, 16), np.float32))
    assert set(given[0]) == set(TAPS)
    for tap in TAPS:
        assert np.shares_memory(given[0][tap], given[1][tap])


def in_parts(objective, features):
    """Return ``d_features`` by way of the sums, as tiles have it."""
    sums = objective.measure(features, objective.targets)
    _, d_style = objective.compare(sums)
    pulls = objective.pulls(objective.weights, sums, d_style)
    return objective.spread(pulls, features, objective.targets)


def test_a_gradient_is_written_over_features_that_one_loss_reads(rng):
    features = {tap: rng.random((4, 9, 7)) for tap in ("relu1_1", "relu1_2", "relu2_1")}
    copies = {tap: array.copy() for tap, array in features.items()}
    content = {tap: rng.random((4, 9, 7)) for tap in ("relu1_1", "relu1_2")}
    style = {tap: rng.random((4, 4)) for tap in ("relu1_2", "relu2_1")}
    targets = Targets(content, everywhere(style))
    recipe = recipe_of(dict.fromkeys(content, 1), dict.fromkeys(style, 1))
    objective = Objective(None, targets, recipe)
    d_features = in_parts(objective, features)
    for tap in ("relu1_1", "relu2_1"):
        assert d_features[tap] is features[tap]
    np.testing.assert_array_equal(features["relu1_2"], copies["relu1_2"])
    d_content = 2 * (copies["relu1_1"] - content["relu1_1"]) / (4 * 9 * 7)
    np.testing.assert_allclose(d_features["relu1_1"], d_content, rtol=1e-12)
    _, d_style = losses.style_loss(copies["relu2_1"], style["relu2_1"])
    np.testing.assert_allclose(d_features["relu2_1"], d_style, rtol=1e-6)


def test_an_evaluation_allocates_nothing_as_large_as_its_features(rng):
    """What the losses need of that size is kept from the first evaluation on."""
    features = {"relu1_1": rng.random((8, 700, 701), np.float32)}
    gram = np.eye(8, dtype=np.float32)
    content = {"relu1_1": np.zeros_like(features["relu1_1"])}
    targets = Targets(content, everywhere({"relu1_1": gram}))
    recipe = recipe_of({"relu1_1": 1.0}, {"relu1_1": 1.0}, 1.0)
    objective = Objective(None, targets, recipe)  # between the network's two ways
    image = rng.random((3, 700, 701), np.float32)
    d_image = np.zeros_like(image)

    def evaluate():
        in_parts(objective, features)
        objective.smoothness(image, 1.0, d_image, add=True)

    evaluate()
    tracemalloc.start()
    try:
        evaluate()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < image.nbytes < features["relu1_1"].nbytes
