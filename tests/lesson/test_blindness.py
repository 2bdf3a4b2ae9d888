"""Chapter 6: what each statistic sees, and that the changes are what they are called."""

import numpy as np
import pytest

from nst.lesson import blindness

SEES = {  # of the pixels themselves
    "shuffled": {"neighbours"},
    "contrast": {"w2", "moments", "neighbours"},
    "negative": {"neighbours"},
    "darker": {"gram", "w2", "moments"},
}


@pytest.mark.parametrize("change", blindness.CHANGES)
def test_who_sees_what(subject, change):
    shown = blindness.compared(subject, change, 100, "pixels")
    seen = {row[0] for row in shown["table"].rows if row[2] == "sees it"}
    assert seen == SEES[change]
    assert shown["pixels_apart"] > 20  # grey levels: a reader sees each of them


@pytest.mark.parametrize("change", blindness.CHANGES)
def test_a_network_sees_all(subject, change):
    shown = blindness.compared(subject, change, 100, "relu1_1")
    assert {row[2] for row in shown["table"].rows} == {"sees it"}


def test_no_change_is_no_distance(subject):
    for change in blindness.CHANGES:
        shown = blindness.compared(subject, change, 0, "pixels")
        assert all(row[1] < blindness.NOTHING for row in shown["table"].rows)


def test_the_changes_keep_what_they_say(subject):
    image = blindness.pale(subject).astype(np.float64)

    def moments(picture):
        flat = picture.reshape(3, -1)
        return flat.mean(axis=1), np.cov(flat, bias=True), flat @ flat.T / flat.shape[1]

    mean, covariance, gram = moments(image)
    m, c, g = moments(blindness.negative(image, 1.0))
    np.testing.assert_allclose(m, mean, rtol=1e-6)
    np.testing.assert_allclose(c, covariance, rtol=1e-6)
    m, c, g = moments(blindness.contrasted(image, 1.0))
    np.testing.assert_allclose(g, gram, rtol=1e-6)
    assert np.abs(m - mean).max() > 0.05
    dark = blindness.darker(image, 1.0)
    np.testing.assert_allclose(dark, 0.1 * image, rtol=1e-6)
    shuffled = blindness.shuffled(image, 1.0)
    assert sorted(map(tuple, shuffled.reshape(3, -1).T)) == sorted(
        map(tuple, image.reshape(3, -1).T)
    )


def test_each_pixel_has_one_partner():
    for width in (40, 55, 82, 96, 137):
        left, right = blindness.stripes(width)
        assert len(set(left) | set(right)) == 2 * len(left)
        assert right.max() < width


def test_distances_are_those_of_the_formulas(subject):
    image = blindness.pale(subject)
    other = blindness.darker(image, 0.5)
    found = blindness.distances_of(image, other)
    f, g = (x.reshape(3, -1).astype(np.float64) for x in (image, other))
    one, two = f @ f.T / f.shape[1], g @ g.T / g.shape[1]
    gram = ((one - two) ** 2).mean() / (one**2).mean()
    assert found["gram"] == pytest.approx(gram, rel=1e-4)
    mean = ((f.mean(axis=1) - g.mean(axis=1)) ** 2).mean()
    deviation = ((f.std(axis=1) - g.std(axis=1)) ** 2).mean()
    size = (one**2).mean()
    assert found["moments"] == pytest.approx(gram + (mean + deviation) / size, rel=1e-3)
    turned = blindness.negative(image, 1.0)
    t = turned.reshape(3, -1).astype(np.float64)
    cosine = (f * t).sum(axis=0) / np.linalg.norm(f, axis=0) / np.linalg.norm(t, axis=0)
    assert blindness.distances_of(image, turned)["neighbours"] == pytest.approx(
        1 - cosine.mean(), rel=1e-4
    )
