"""Chapter 3: the slope.  Nudge one pixel, and compare how the loss moves with what was derived."""

import numpy as np

from nst.lesson.derivations import LINES, derivation
from nst.lesson.pieces import Answer, Link, Long, Mark, Picture, Table
from nst.lesson.sources import Source
from nst.lesson.subject import CONTENT_TAP, Subject
from nst.losses import content_loss, smoothness_loss, style_loss

LOSSES = ("style", "content", "smoothness")
TAP = "relu2_1"  # where the style is looked at closely
NUDGES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)  # of the table of digits
COLOURS = ("red", "green", "blue")


def pixel_slope(
    subject: Subject, loss: str, row: int, column: int, colour: str, nudge: float
) -> Answer:
    """Return how a loss moves with one number of the picture, measured and derived.

    The picture is the photograph, a quarter of the way to the painting: so that no loss is 0.
    """
    image = picture(subject)
    _, height, width = image.shape
    row, column = min(row, height - 1), min(column, width - 1)
    plane = COLOURS.index(colour)
    here, d_image = gradient(subject, loss)
    claimed = d_image[plane, row, column]
    up, down = image.copy(), image.copy()
    up[plane, row, column] += np.float32(nudge)
    down[plane, row, column] -= np.float32(nudge)
    apart = float(up[plane, row, column]) - float(down[plane, row, column])
    above, below = loss_of(subject, loss, up), loss_of(subject, loss, down)
    slope = (above - below) / apart
    strongest = strongest_pixel(d_image)
    return {
        "image": Picture(image, "The photograph, a quarter of the way to the painting"),
        "marks": [Mark.at(row, column)],
        "gradient": Picture(
            d_image[plane],
            f"The gradient of {colour} at every pixel",
            signed=True,
        ),
        "value": image[plane, row, column],
        "loss": Long(here),
        "above": Long(above),
        "below": Long(below),
        "slope": slope,
        "claimed": claimed,
        "apart": _apart(slope, claimed),
        "where": f"d_image[{plane}, {row}, {column}]",
        "strongest": f"row {strongest[1]}, column {strongest[2]}, {COLOURS[strongest[0]]}",
    }


def picture(subject: Subject) -> np.ndarray:
    """Return the photograph, a quarter of the way to the painting."""
    image: np.ndarray = np.float32(0.75) * subject.photograph + np.float32(0.25) * subject.faded
    return image


def gradient(subject: Subject, loss: str) -> tuple[float, np.ndarray]:
    """Return a loss of that picture, and its gradient: once, for all nudges."""
    return subject.once(("slope", loss), lambda: evaluated(subject, loss, picture(subject)))


def strongest_pixel(d_image: np.ndarray) -> tuple[int, int, int]:
    """Return colour, row and column of the number that the loss depends on most."""
    place = np.unravel_index(np.argmax(np.abs(d_image)), d_image.shape)
    return int(place[0]), int(place[1]), int(place[2])


def loss_of(subject: Subject, loss: str, image: np.ndarray) -> float:
    """Return a loss of an image (3, H, W), in float64 from the features on."""
    if loss == "smoothness":
        return float(smoothness_loss(image.astype(np.float64))[0])
    tap = TAP if loss == "style" else CONTENT_TAP
    features = subject.up_to(tap).features(image)[tap].astype(np.float64)
    if loss == "style":
        return float(style_loss(features, subject.target_grams[tap].astype(np.float64))[0])
    return float(content_loss(features, subject.features[tap].astype(np.float64))[0])


def evaluated(subject: Subject, loss: str, image: np.ndarray) -> tuple[float, np.ndarray]:
    """Return a loss of an image, and its gradient (3, H, W) by the formulas and the network."""
    if loss == "smoothness":
        found, d_image = smoothness_loss(image.astype(np.float64))
        return float(found), d_image
    tap = TAP if loss == "style" else CONTENT_TAP
    vgg = subject.up_to(tap)
    features = vgg.forward(image)[tap]
    if loss == "style":
        found, d_features = style_loss(features, subject.target_grams[tap])
    else:
        found, d_features = content_loss(features, subject.features[tap])
    return float(found), vgg.backward({tap: d_features})


def digits(subject: Subject) -> Answer:
    """Return how far the measured slope is from the claimed one, by nudge: in float32, in float64.

    All features at TAP are nudged at once, each by its own random amount in units of their size,
    in which networks differ: scripts/walkthrough.py.
    """
    return subject.once("digits", lambda: _digits(subject))


def _digits(subject: Subject) -> Answer:
    features, target = subject.features[TAP], subject.target_grams[TAP]
    exact, exact_target = features.astype(np.float64), target.astype(np.float64)
    size = float(np.sqrt(np.mean(exact**2)))
    direction = size * np.random.default_rng(1).standard_normal(exact.shape)
    claimed = float(np.sum(style_loss(exact, exact_target)[1] * direction))

    def apart(at: np.ndarray, target: np.ndarray, nudge: float) -> float:
        move = (nudge * direction).astype(at.dtype)
        above, below = style_loss(at + move, target)[0], style_loss(at - move, target)[0]
        return _apart((float(above) - float(below)) / (2 * nudge), claimed)

    rows = [
        (f"{h:.0e}", apart(features, target, h), apart(exact, exact_target, h)) for h in NUDGES
    ]
    table = Table(("nudge", "float32", "float64"), rows)
    return {"table": table, "count": exact.size, "size": size}


def line_slope(subject: Subject, line: str, element: int, nudge: float) -> Answer:
    """Return the same for one line of DERIVATIONS.md, on a small piece of the photograph.

    The ``element`` is one of the numbers that the line takes, counted by how much it matters.
    """
    chosen = LINES[line]
    x = chosen.start(subject)
    both = chosen.at(x)
    y, d_x = both(x)
    order = np.argsort(-np.abs(d_x), axis=None, kind="stable")
    place = np.unravel_index(order[min(element, x.size - 1)], x.shape)
    up, down = x.copy(), x.copy()
    up[place] += x.dtype.type(nudge)
    down[place] -= x.dtype.type(nudge)
    width = float(up[place]) - float(down[place])
    above, below = both(up)[0], both(down)[0]
    slope, claimed = (above - below) / width, float(d_x[place])
    return {
        "heading": chosen.heading.replace("`", ""),
        "derivation": derivation(chosen.heading),
        **dict(zip(("forward", "backward"), map(_link, chosen.sources), strict=True)),
        "where": f"d_x[{', '.join(map(str, map(int, place)))}]",
        "shape": f"({', '.join(map(str, x.shape))})",
        "count": x.size,
        "value": x[place],
        "loss": Long(y),
        "above": Long(above),
        "below": Long(below),
        "slope": slope,
        "claimed": claimed,
        "apart": _apart(slope, claimed),
        "digits": "16 digits (float64)" if x.dtype == np.float64 else "7 digits (float32)",
        "remark": chosen.remark,
    }


def _link(source: Source) -> Link:
    return Link(source.place, f"{source.name} ({source.place})")


def _apart(one: float, other: float) -> float:
    """Return the difference over the size of the second number: as in scripts/walkthrough.py."""
    return abs(float(one) - float(other)) / max(abs(float(other)), 1e-30)
