"""Chapter 1: what a layer sees, down to one multiplication; and how far apart two pictures are."""

import numpy as np

from nst import kernels
from nst.lesson.pieces import Answer, Mark, Picture, Table, over
from nst.lesson.subject import CONTENT_TAP, Subject
from nst.losses import content_loss

BEFORE = {"conv1_1": None, "conv1_2": "relu1_1"}  # what a convolution reads; None: the pixels
SHOWN_PRODUCTS = 9  # rows of the table: the largest


def pixel(subject: Subject, row: int, column: int) -> Answer:
    """Return the photograph and one of its pixels, by number and by grey level."""
    _, height, width = subject.photograph.shape
    row, column = min(row, height - 1), min(column, width - 1)
    colours = subject.photograph[:, row, column]
    return {
        "photograph": Picture(subject.photograph, "The photograph"),
        "painting": Picture(subject.painting, "The painting"),
        "marks": [Mark.at(row, column)],
        "rows": height,
        "columns": width,
        **dict(zip(("red", "green", "blue"), colours, strict=True)),
        **{
            f"{name}_level": round(255 * float(value))
            for name, value in zip(("red", "green", "blue"), colours, strict=True)
        },
    }


def layer(subject: Subject, tap: str, channel: int, row: int, column: int) -> Answer:
    """Return one channel of a layer, one feature of it, and the pixels that this feature sees.

    Row and column are pixels of the photograph; the feature is the one that stands there.
    """
    features = subject.layers[tap]
    architecture = subject.vgg.network.architecture
    stride, radius = architecture.stride(tap), architecture.radius(tap)
    channels, height, width = features.shape
    channel = min(channel, channels - 1)
    r, c = min(row // stride, height - 1), min(column // stride, width - 1)
    top, left = r * stride - radius, c * stride - radius
    side = stride + 2 * radius
    found = features[channel]
    return {
        "map": Picture(found, f"Channel {channel} of {tap}", signed=tap.startswith("conv")),
        "photograph": Picture(subject.photograph, "The photograph, and what the feature sees"),
        "map_marks": [Mark.at(r, c)],
        "marks": [Mark(top, left, top + side, left + side)],
        "value": found[r, c],
        "where": f"features[{channel}, {r}, {c}]",
        "shape": f"({channels}, {height}, {width})",
        "channels": channels,
        "stride": stride,
        "side": side,
        "zeros": f"{np.mean(features == 0):.0%}",
    }


def convolution(subject: Subject, tap: str, channel: int, row: int, column: int) -> Answer:
    """Return one feature of a convolution as its products: a patch times a kernel, plus a bias."""
    given, kernel, bias = convolved(subject, tap, channel)
    channel = min(channel, len(subject.layers[tap]) - 1)
    _, height, width = given.shape
    row, column = min(row, height - 1), min(column, width - 1)
    patch = np.pad(given, ((0, 0), (1, 1), (1, 1)))[:, row : row + 3, column : column + 3]
    products = patch.astype(np.float64) * kernel
    total = products.sum() + bias
    order = np.argsort(-np.abs(products), axis=None, kind="stable")[:SHOWN_PRODUCTS]
    rows = []
    for i, u, v in zip(*np.unravel_index(order, products.shape), strict=True):
        place = f"{('above', 'same row', 'below')[u]}, {('left', 'here', 'right')[v]}"
        rows.append(
            (_name(tap, int(i)), place, patch[i, u, v], kernel[i, u, v], products[i, u, v])
        )
    strongest = int(np.abs(products).sum(axis=(1, 2)).argmax())
    name = _name(tap, strongest)
    return {
        "patch": Picture(patch[strongest], f"The nine numbers of {name} there", signed=True),
        "kernel": Picture(kernel[strongest], f"The kernel's nine weights for {name}", signed=True),
        "products": Picture(products[strongest], "Their nine products", signed=True),
        "table": Table(("reads", "where", "number", "weight", "product"), rows),
        "count": products.size,
        "sum": products.sum(),
        "bias": bias,
        "total": total,
        "network": subject.layers[tap][channel, row, column],
        "relu": max(total, 0.0),
        "marks": [Mark(row - 1, column - 1, row + 2, column + 2)],
        "photograph": Picture(subject.photograph, "The photograph, and the nine pixels"),
        "where": f"features[{channel}, {row}, {column}]",
    }


def _name(tap: str, channel: int) -> str:
    """Return what a convolution reads there: a colour, or a channel of the layer before."""
    return ("red", "green", "blue")[channel] if BEFORE[tap] is None else f"channel {channel}"


def convolved(subject: Subject, tap: str, channel: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return what a convolution reads (I, H, W), the kernel of a channel (I, 3, 3), its bias."""
    arrays, before = subject.vgg.network.arrays, BEFORE[tap]
    if before is None:
        given = (subject.photograph - arrays["mean"][0]) / arrays["std"][0]
    else:
        given = subject.layers[before]
    weights, biases = arrays[f"{tap}.weight"], arrays[f"{tap}.bias"]
    channel = min(channel, len(weights) - 1)
    return given, weights[channel], float(biases[channel])


def distance(subject: Subject, percent: int) -> Answer:
    """Return how far a picture is from the photograph: in pixels, and in features.

    The picture is the photograph, faded to the painting by so many percent.
    """
    share = np.float32(percent / 100)
    image = (1 - share) * subject.photograph + share * subject.faded
    k = kernels.of(image)
    features = subject.vgg.features(image)[CONTENT_TAP]
    target = subject.features[CONTENT_TAP]
    change = (features - target) ** 2
    loss, _ = content_loss(features, target)
    return {
        "image": Picture(image, f"The photograph, {percent} % faded to the painting"),
        "change": Picture(change.mean(axis=0), f"Where {CONTENT_TAP} has changed"),
        "pixels": k.mse(image, subject.photograph),
        "by_hand": np.mean((image - subject.photograph) ** 2, dtype=np.float64),
        "content": loss,
        "content_by_hand": np.mean(change, dtype=np.float64),
        "size": np.mean(target**2, dtype=np.float64),
        "relative": over(loss, np.mean(target**2, dtype=np.float64)),
    }
