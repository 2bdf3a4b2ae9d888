"""Chapter 5: one step, and many: from the same place, by three optimizers; and how far to go."""

from collections.abc import Callable

import numpy as np

from nst import kernels
from nst.lesson.pieces import Answer, Curves, Picture, Table, over
from nst.lesson.pulls import way_down
from nst.lesson.race import Race, grey_levels
from nst.lesson.subject import CONTENT_TAP, STYLE_TAPS, Subject
from nst.losses import content_loss, smoothness_loss, style_loss
from nst.objective.objective import TINY
from nst.optimizers import Adam, Lbfgs, NormalisedDescent, Optimizer

STEP = 10 / 255  # Hvass' step, where white is 1
OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "descent": lambda: NormalisedDescent(STEP),
    "adam": lambda: Adam(STEP),
    "lbfgs": Lbfgs,
}
HVASS = {"content": 1.5, "style": 10.0, "smoothness": 0.3}
PICTURES = ("one step on", "noise", "painting")  # that Hvass' losses are asked of


def step(subject: Subject, optimizer: str, step: int) -> Answer:
    """Return where an optimizer is after so many steps from the photograph, and its last move."""
    race = race_of(subject, optimizer)
    here, start = race.at(step), race.at(0)
    moved = here.moved if step else np.zeros_like(here.image)
    return {
        "image": Picture(here.image, f"After {step} steps of {optimizer}"),
        "gradient": Picture(way_down(here.d_image), "The way down from here"),
        "move": Picture(way_down(-moved), "What the last step did"),
        "moved": grey_levels(moved),
        "largest": 255 * float(np.abs(moved).max()),
        "loss": here.losses["total"],
        "start": start.losses["total"],
        "curves": Curves(
            {optimizer: race.totals(step)}, f"The total loss, step by step, of {optimizer}"
        ),
        "table": Table(
            ("loss", "at the photograph", "now"),
            [(name, start.losses[name], value) for name, value in here.losses.items()],
        ),
        "step": step,
    }


def race_of(subject: Subject, optimizer: str) -> Race:
    """Return the race of one optimizer, from the photograph."""
    made = OPTIMIZERS[optimizer]
    return Race.of(subject, optimizer, lambda: subject.objective, made, subject.photograph)


def scale(subject: Subject, factor: float, white: float) -> Answer:
    """Return how far one step goes when the loss is counted ``factor`` times, by each rule.

    With a ``white`` of 255 the rules see pixels in grey levels: then each number of the gradient
    is 255 times smaller, for one grey level matters 255 times less than all of white.
    """
    start = race_of(subject, "descent").at(0)
    d_image, k = start.d_image, kernels.of(start.d_image)
    d = (factor / white * d_image).astype(np.float32)
    rate = plain_rate(subject)
    pixels = white * subject.photograph
    moves = {
        "plain: a rate times the gradient": -rate * d,
        "normalised: Hvass'": k.normalised_descent_step(pixels.copy(), d, STEP) - pixels,
        "Adam": first_adam_step(pixels, d),
    }
    rows = [(name, grey_levels(move / white)) for name, move in moves.items()]
    return {
        "table": Table(("rule", "typical move, grey levels"), rows),
        "loss": factor * start.losses["total"],
        "slope": factor / white * float(d_image.std()),
        "white": white,
        "factor": factor,
        "rate": rate,
        **{name.split(":")[0].lower(): found for name, found in rows},
    }


def plain_rate(subject: Subject) -> float:
    """Return the rate with which plain descent moves pixels in [0, 1] as far as Hvass' step."""
    return over(STEP, race_of(subject, "descent").at(0).d_image.std())


def first_adam_step(image: np.ndarray, d_image: np.ndarray) -> np.ndarray:
    """Return what Adam's first step adds to an image, before anything is cut off at 0 or 1."""
    moments = np.zeros_like(image), np.zeros_like(image)
    moved = kernels.of(image).adam_step(image.copy(), d_image, *moments, 1, STEP)
    difference: np.ndarray = moved - image
    return difference


def hvass(subject: Subject, picture: str) -> Answer:
    """Return Hvass' three losses of a picture, what he prints, and what goes down in truth."""
    image = picture_of(subject, picture)
    losses = subject.once(("Hvass", picture), lambda: three_losses(subject, image))
    rows = [(kind, HVASS[kind], loss, 1 / (loss + TINY)) for kind, loss in losses.items()]
    return {
        "image": Picture(image, f"The picture: {picture}"),
        "table": Table(("loss", "weight", "value", "adaptive factor"), rows),
        "combined": sum(HVASS[kind] * loss / (loss + TINY) for kind, loss in losses.items()),
        "expected": sum(HVASS.values()),
        "logarithms": sum(HVASS[kind] * np.log(loss + TINY) for kind, loss in losses.items()),
    }


def picture_of(subject: Subject, picture: str) -> np.ndarray:
    """Return one of PICTURES, as large as the photograph."""
    if picture == "one step on":
        return race_of(subject, "lbfgs").at(1).image
    return subject.noise if picture == "noise" else subject.faded


def three_losses(subject: Subject, image: np.ndarray) -> dict[str, float]:
    """Return Hvass' content, style and smoothness loss of an image."""
    features = subject.vgg.features(image)
    content, _ = content_loss(features[CONTENT_TAP], subject.features[CONTENT_TAP])
    styles = []
    for tap in STYLE_TAPS:
        painting = subject.painting_features[tap]
        undivided = subject.target_grams[tap] * painting[0].size
        styles.append(float(style_loss(features[tap], undivided, "none")[0]))
    smoothness, _ = smoothness_loss(image, "l1", "sum")
    return {
        "content": float(content),
        "style": float(np.mean(styles)),
        "smoothness": float(smoothness),
    }
