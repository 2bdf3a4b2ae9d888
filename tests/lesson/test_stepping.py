"""Chapter 5: steps against their formulas written out, and the constant that Hvass prints."""

import numpy as np
import pytest

from nst.lesson import stepping
from nst.lesson.subject import objective_of


def test_all_start_at_the_photograph_with_one_gradient(subject):
    for optimizer in stepping.OPTIMIZERS:
        shown = stepping.step(subject, optimizer, 0)
        np.testing.assert_array_equal(shown["image"].values, subject.photograph)
        assert shown["moved"] == 0
        assert shown["loss"] == shown["start"]
    frames = [stepping.race_of(subject, name).at(0) for name in stepping.OPTIMIZERS]
    for frame in frames[1:]:
        np.testing.assert_array_equal(frame.d_image, frames[0].d_image)


def test_the_first_step_of_each_is_its_formula(subject):
    d = stepping.race_of(subject, "descent").at(0).d_image.astype(np.float64)
    photo = subject.photograph.astype(np.float64)
    moves = {
        "descent": -10 / 255 * d / d.std(),
        "adam": -10 / 255 * np.sign(d),  # the step size that the text names for both
        "lbfgs": -0.02 * d / np.sqrt(np.mean(d**2)),  # no history yet: downhill, a short way
    }
    for name, move in moves.items():
        shown = stepping.step(subject, name, 1)
        expected = (photo + move).clip(0, 1)
        found = shown["image"].values
        assert np.abs(found - expected).mean() < 1e-4, name
        typical = 255 * np.sqrt(np.mean((found - photo) ** 2))
        assert shown["moved"] == pytest.approx(typical, rel=1e-3)


def test_losses_of_a_step_are_those_of_its_picture(subject):
    shown = stepping.step(subject, "lbfgs", 3)
    losses, _ = objective_of(subject, subject.photograph).evaluate(shown["image"].values)
    for name, _, now in shown["table"].rows:
        assert now == pytest.approx(losses.floats()[name], rel=1e-4)
    assert shown["curves"].lines["lbfgs"][3] == shown["loss"]


def test_many_steps_go_down_and_only_descent_does_not_rest(subject):
    last = {name: stepping.step(subject, name, 20) for name in stepping.OPTIMIZERS}
    for shown in last.values():
        assert shown["loss"] < 0.5 * shown["start"]
    assert last["descent"]["moved"] > 8
    assert last["lbfgs"]["moved"] < 0.7 * last["descent"]["moved"]
    assert last["lbfgs"]["loss"] < last["descent"]["loss"]


@pytest.mark.parametrize("factor", [1.0, 1000.0])
def test_plain_descent_goes_as_far_as_the_loss_is_counted(subject, factor):
    shown = stepping.scale(subject, factor, 1.0)
    assert shown["plain"] == pytest.approx(10 * factor, rel=1e-2)
    assert shown["normalised"] == pytest.approx(10, rel=1e-2)
    assert shown["adam"] == pytest.approx(10, rel=1e-2)


def test_a_white_of_255_makes_plain_descent_65025_times_shorter(subject):
    one, other = stepping.scale(subject, 1.0, 1.0), stepping.scale(subject, 1.0, 255.0)
    assert one["plain"] / other["plain"] == pytest.approx(255**2, rel=1e-3)
    assert one["normalised"] / other["normalised"] == pytest.approx(255, rel=1e-2)
    assert other["slope"] == pytest.approx(one["slope"] / 255, rel=1e-5)


def test_what_hvass_prints_is_constant_and_the_logarithms_are_not(subject):
    shown = [stepping.hvass(subject, name) for name in stepping.PICTURES]
    for each in shown:
        assert each["combined"] == pytest.approx(1.5 + 10 + 0.3, rel=1e-6)
        by_kind = {row[0]: row[2] for row in each["table"].rows}
        logs = (
            1.5 * np.log(by_kind["content"])
            + 10 * np.log(by_kind["style"])
            + 0.3 * np.log(by_kind["smoothness"])
        )
        assert each["logarithms"] == pytest.approx(logs, rel=1e-6)
    assert len({round(each["logarithms"], 3) for each in shown}) == 3


def test_hvass_losses_are_those_of_the_pictures(subject):
    image = subject.faded
    losses = stepping.three_losses(subject, image)
    steps = sum(np.abs(np.diff(image.astype(np.float64), axis=axis)).sum() for axis in (1, 2))
    assert losses["smoothness"] == pytest.approx(steps, rel=1e-5)
    seen = subject.vgg.features(image)
    styles = []
    for tap, features in seen.items():
        f, p = features.astype(np.float64), subject.painting_features[tap].astype(np.float64)
        one, other = np.einsum("irc,jrc->ij", f, f), np.einsum("irc,jrc->ij", p, p)
        styles.append(((one - other) ** 2).mean())
    assert losses["style"] == pytest.approx(np.mean(styles), rel=1e-3)
