"""Chapter 1: what a layer sees, against plain loops."""

import numpy as np
import pytest

from nst.lesson import seeing


def test_a_pixel_is_three_numbers_and_three_grey_levels(subject):
    shown = seeing.pixel(subject, 10, 20)
    for channel, name in enumerate(("red", "green", "blue")):
        value = float(subject.photograph[channel, 10, 20])
        assert shown[name] == value
        assert shown[f"{name}_level"] == round(255 * value)
    (mark,) = shown["marks"]
    assert (mark.top, mark.left, mark.bottom, mark.right) == (10, 20, 11, 21)


def test_a_place_outside_is_the_nearest_inside(subject):
    _, height, width = subject.photograph.shape
    shown = seeing.pixel(subject, 999, 999)
    assert shown["red"] == subject.photograph[0, height - 1, width - 1]


@pytest.mark.parametrize("tap", ["conv1_1", "conv1_2"])
@pytest.mark.parametrize("place", [(0, 0), (7, 11), (63, 54)])
def test_a_feature_is_a_sum_of_products_and_a_bias(subject, tap, place):
    """One multiplication after the other, with zeros around the picture."""
    row, column = place
    channel = 5
    arrays = subject.vgg.network.arrays
    weights, bias = arrays[f"{tap}.weight"][channel], arrays[f"{tap}.bias"][channel]
    if tap == "conv1_1":
        given = (subject.photograph - arrays["mean"][0]) / arrays["std"][0]
    else:
        given = subject.layers["relu1_1"]
    channels, height, width = given.shape
    total = float(bias)
    for i in range(channels):
        for u in (-1, 0, 1):
            for v in (-1, 0, 1):
                r, c = row + u, column + v
                if 0 <= r < height and 0 <= c < width:
                    total += float(given[i, r, c]) * float(weights[i, u + 1, v + 1])
    shown = seeing.convolution(subject, tap, channel, row, column)
    assert shown["count"] == 9 * channels
    assert shown["total"] == pytest.approx(total, rel=1e-6, abs=1e-6)
    assert shown["network"] == pytest.approx(total, rel=1e-4, abs=1e-5)
    assert shown["relu"] == max(shown["total"], 0)
    for _, _, number, weight, product in shown["table"].rows:
        assert product == pytest.approx(float(number) * float(weight), rel=1e-5)


@pytest.mark.parametrize("tap", ["relu1_1", "conv1_2", "relu2_1", "relu3_1", "relu3_3"])
def test_a_feature_sees_the_pixels_of_its_rectangle_and_no_others(subject, tap):
    """Change what is outside: the feature stays.  Change what is inside: it need not."""
    row, column, channel = 30, 25, 2
    shown = seeing.layer(subject, tap, channel, row, column)
    stride = shown["stride"]
    r, c = row // stride, column // stride
    assert shown["value"] == subject.layers[tap][channel, r, c]
    (mark,) = shown["marks"]
    _, height, width = subject.photograph.shape
    rows = slice(max(0, mark.top), min(height, mark.bottom))
    columns = slice(max(0, mark.left), min(width, mark.right))
    other = np.random.default_rng(0).random(subject.photograph.shape, np.float32)
    outside, inside = other.copy(), subject.photograph.copy()
    outside[:, rows, columns] = subject.photograph[:, rows, columns]
    inside[:, rows, columns] = other[:, rows, columns]
    vgg = subject.up_to(tap)
    here, kept, changed = (
        vgg.features(image)[tap][:, r, c] for image in (subject.photograph, outside, inside)
    )
    np.testing.assert_allclose(kept, here, rtol=1e-3, atol=1e-4)
    assert np.abs(changed - here).max() > 0.01
    assert (mark.bottom - mark.top, mark.right - mark.left) == (shown["side"], shown["side"])
    for corner in (0, -1):  # and no smaller rectangle would do
        edge = subject.photograph.copy()
        edge[:, rows, columns][:, corner, :] = 1 - edge[:, rows, columns][:, corner, :]
        if mark.top >= 0 and mark.bottom <= height:
            assert not np.array_equal(vgg.features(edge)[tap][:, r, c], here)


def test_how_many_features_are_zero(subject):
    zeros = seeing.layer(subject, "relu2_1", 0, 0, 0)["zeros"]
    counted = sum(value == 0 for value in subject.layers["relu2_1"].ravel().tolist())
    assert zeros == f"{counted / subject.layers['relu2_1'].size:.0%}"


@pytest.mark.parametrize("percent", [0, 30, 100])
def test_how_far_two_pictures_are_apart(subject, percent):
    shown = seeing.distance(subject, percent)
    image = shown["image"].values.astype(np.float64)
    assert image[1, 5, 6] == pytest.approx(
        (1 - percent / 100) * subject.photograph[1, 5, 6] + percent / 100 * subject.faded[1, 5, 6]
    )
    squares = [
        (a - b) ** 2 for a, b in zip(image.ravel(), subject.photograph.ravel(), strict=True)
    ]
    assert shown["pixels"] == pytest.approx(sum(squares) / len(squares), rel=1e-5, abs=1e-12)
    assert shown["content"] == pytest.approx(shown["content_by_hand"], rel=1e-5, abs=1e-12)
    assert (shown["content"] == 0) == (percent == 0)
    assert shown["change"].values.mean() == pytest.approx(shown["content"], rel=1e-5, abs=1e-12)
