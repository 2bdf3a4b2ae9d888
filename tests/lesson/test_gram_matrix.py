"""Chapter 2: the Gram matrix, entry by entry."""

import numpy as np
import pytest

from nst.lesson import gram_matrix


@pytest.mark.parametrize("name", ["photograph", "painting"])
@pytest.mark.parametrize("pair", [(3, 7), (7, 3), (5, 5)])
def test_an_entry_is_the_mean_of_the_product_of_two_maps(subject, name, pair):
    i, j = pair
    shown = gram_matrix.entry(subject, "relu1_1", i, j, name)
    seen = subject.features if name == "photograph" else subject.painting_features
    first, second = seen["relu1_1"][i], seen["relu1_1"][j]
    total = 0.0
    for a, b in zip(first.ravel().tolist(), second.ravel().tolist(), strict=True):
        total += a * b
    assert shown["value"] == pytest.approx(total / first.size, rel=1e-5)
    assert shown["by_hand"] == pytest.approx(total / first.size, rel=1e-5)
    np.testing.assert_array_equal(shown["first"].values, first)
    np.testing.assert_array_equal(shown["second"].values, second)
    np.testing.assert_array_equal(shown["product"].values, first * second)


def test_the_brightest_places_are_the_largest_products_and_are_on_the_picture(subject):
    shown = gram_matrix.entry(subject, "relu2_1", 2, 9, "photograph")
    product = shown["product"].values
    places = [(mark.top, mark.left) for mark in shown["product_marks"]]
    assert len(places) == gram_matrix.BRIGHTEST
    apart = max(product.shape) // 10
    for number, (row, column) in enumerate(places):
        before = places[:number]
        free = [  # all that is not near one that was brighter
            product[r, c]
            for r, c in np.ndindex(product.shape)
            if all(max(abs(r - a), abs(c - b)) > apart for a, b in before)
        ]
        assert product[row, column] == max(free)
    on_picture = [(mark.top, mark.left, mark.bottom) for mark in shown["image_marks"]]
    assert on_picture == [(2 * r, 2 * c, 2 * r + 2) for r, c in places]


def test_the_strongest_pair_is_of_two_channels(subject):
    gram = np.array([[9.0, 1.0, 2.0], [1.0, 8.0, 3.0], [2.0, 3.0, 7.0]])
    assert gram_matrix.strongest_pair(gram) == (1, 2)


@pytest.mark.parametrize("percent", [0, 40, 100])
def test_shuffled_pixels_are_the_same_pixels_elsewhere(subject, percent):
    features = subject.features["relu1_1"]
    shuffled = gram_matrix.shuffle_pixels(features, percent / 100)
    vectors = features.reshape(len(features), -1)
    after = shuffled.reshape(len(features), -1)
    np.testing.assert_array_equal(np.sort(after, axis=1), np.sort(vectors, axis=1))
    assert sorted(map(tuple, after.T)) == sorted(map(tuple, vectors.T))  # all channels alike
    stayed = (after == vectors).all(axis=0).mean()
    assert stayed == pytest.approx(1 - percent / 100, abs=0.05)


def test_the_matrix_does_not_notice_but_the_features_do(subject):
    shown = gram_matrix.shuffle(subject, "relu1_1", 4, 100)
    assert shown["apart"] < 1e-5
    assert shown["change"] > 0.5 * shown["size"]
    assert gram_matrix.shuffle(subject, "relu1_1", 4, 0)["change"] == 0


def test_the_style_loss_is_the_mean_of_squared_differences(subject):
    shown = gram_matrix.style(subject, "relu2_1")

    def gram(features):
        f = features.astype(np.float64)
        return np.einsum("irc,jrc->ij", f, f) / f[0].size

    difference = gram(subject.features["relu2_1"]) - gram(subject.painting_features["relu2_1"])
    assert shown["loss"] == pytest.approx((difference**2).mean(), rel=1e-4)
    assert shown["by_hand"] == pytest.approx((difference**2).mean(), rel=1e-4)
    by_tap = {row[0]: row[1] for row in shown["table"].rows}
    assert by_tap["relu2_1"] == pytest.approx((difference**2).mean(), rel=1e-4)
    relative = next(row[2] for row in shown["table"].rows if row[0] == "relu2_1")
    target = gram(subject.painting_features["relu2_1"])
    assert relative == pytest.approx((difference**2).mean() / (target**2).mean(), rel=1e-4)


def test_two_pictures_come_to_have_one_gram_matrix(subject):
    first, last = gram_matrix.twin(subject, 0), gram_matrix.twin(subject, 25)
    np.testing.assert_array_equal(first["image"].values, subject.noise)
    assert last["apart"] < 0.2 * first["apart"]
    assert last["pixels_apart"] > 0.2  # they are two pictures
    assert gram_matrix.twin(subject, 0)["image"].values is first["image"].values
