"""Chapter 4: the pull of one entry, against loops and slopes; and all entries add up."""

import numpy as np
import pytest

from nst.lesson import pulls


def gram_of(features):
    f = features.astype(np.float64)
    return np.einsum("irc,jrc->ij", f, f) / f[0].size


@pytest.mark.parametrize(("i", "j"), [(3, 11), (11, 3), (4, 4)])
def test_one_entry_pulls_on_two_maps_each_by_the_other(subject, i, j):
    shown = pulls.pull(subject, "relu1_1", i, j, 20)
    features = subject.features["relu1_1"].astype(np.float64)
    gram, target = gram_of(features), gram_of(subject.painting_features["relu1_1"])
    d_entry = 2 * (gram[i, j] - target[i, j]) / gram.size
    assert shown["value"] == pytest.approx(d_entry, rel=1e-3)
    both = 2 * d_entry / features[0].size  # (i, j) and (j, i), or for i = j twice in the product
    np.testing.assert_allclose(shown["first"].values, both * features[j], rtol=1e-3, atol=1e-12)
    np.testing.assert_allclose(shown["second"].values, both * features[i], rtol=1e-3, atol=1e-12)
    heat = np.abs(both) * (features[j] + (features[i] if i != j else 0))
    np.testing.assert_allclose(shown["heat"].values, heat, rtol=1e-3, atol=1e-12)
    assert shown["silent"] == len(gram) - (1 if i == j else 2)
    assert shown["wish"] == ("more" if gram[i, j] < target[i, j] else "less")


def test_the_pulls_of_all_entries_add_up_to_the_gradient_of_the_style_loss(subject):
    vgg, tap = subject.up_to("relu1_1"), "relu1_1"
    entries = pulls.strongest_entries(subject, tap)
    d_gram = pulls.d_gram_of(subject, tap)
    assert len(entries) == len(set(entries)) == 32 * 33 // 2
    np.testing.assert_array_equal(pulls.only(d_gram, entries), d_gram)
    parts = [pulls.only(d_gram, entries[k::3]) for k in range(3)]
    np.testing.assert_allclose(np.sum(parts, axis=0), d_gram, rtol=1e-6)
    shown = pulls.pull(subject, tap, 0, 1, len(entries))
    assert shown["several_left"] == "0.0%"
    features = vgg.forward(subject.photograph)[tap]
    f, target = features.astype(np.float64), gram_of(subject.painting_features[tap])
    d_features = 4 * np.tensordot(gram_of(f) - target, f, 1) / (target.size * f[0].size)
    d_image = vgg.backward({tap: d_features.astype(np.float32)})
    picture = (0.5 - 0.15 * d_image / d_image.std()).clip(0, 1)
    np.testing.assert_allclose(shown["all"].values, picture, atol=1e-3)


def test_the_strongest_entries_come_first_by_what_they_do_to_the_features(subject):
    tap = "relu1_1"
    features, d_gram = subject.features[tap], pulls.d_gram_of(subject, tap)
    sizes = []
    for i, j in pulls.strongest_entries(subject, tap):
        d = pulls.only(d_gram, [(i, j)]).astype(np.float64)
        sizes.append(np.linalg.norm(np.tensordot(d + d.T, features.astype(np.float64), 1)))
    assert np.all(np.diff(sizes) < 1e-5 * sizes[0])


def test_more_of_the_strongest_entries_leave_less(subject):
    left = [
        float(pulls.pull(subject, "relu1_1", 0, 1, count)["several_left"].rstrip("%"))
        for count in (1, 20, 200)
    ]
    assert left == sorted(left, reverse=True)
    assert left[-1] < 20


def test_way_down_is_grey_where_nothing_pulls():
    d_image = np.zeros((3, 4, 5), np.float32)
    d_image[1, 2, 3] = 2
    shown = pulls.way_down(d_image)
    assert np.all(shown[:, 0] == 0.5)
    assert shown[1, 2, 3] < 0.5  # less light where the loss grows with light


def test_of_the_slider_only_the_last_picture_is_kept(subject):
    first = pulls.pull(subject, "relu1_1", 0, 1, 1)["several"].values
    kept = len(subject.kept)
    for count in (2, 3, 4):
        assert np.any(pulls.pull(subject, "relu1_1", 0, 1, count)["several"].values != first)
    assert len(subject.kept) == kept
    again = pulls.pull(subject, "relu1_1", 5, 5, 1)["several"].values
    np.testing.assert_array_equal(again, first)


def test_a_pair_that_both_pictures_have_alike_is_told_so():
    assert [pulls.wish_of(slope) for slope in (-1.0, 0.0, 1.0)] == ["more", "as much", "less"]
