"""Chapter 2: the Gram matrix.  Which patterns go together, and nothing of where they are."""

import numpy as np

from nst import kernels
from nst.lesson.pieces import Answer, Mark, Picture, Table, over
from nst.lesson.race import Race
from nst.lesson.subject import STYLE_TAPS, TAPS, Subject
from nst.losses import style_loss
from nst.objective import Objective, Region, Targets
from nst.objective.recipe import Recipe
from nst.objective.styles.gram import GramStyle
from nst.optimizers import Lbfgs
from nst.vgg import Vgg

BRIGHTEST = 5  # places that are marked
BETWEEN = 10  # of a map's longer side, the part that two of them are apart at the least
TWIN_TAPS = TAPS[:2]  # at which two pictures come to have the same Gram matrices


def entry(subject: Subject, tap: str, i: int, j: int, picture: str) -> Answer:
    """Return entry (i, j) of a Gram matrix: both maps, their product, and its brightest places."""
    painted = picture == "painting"
    features = (subject.painting_features if painted else subject.features)[tap]
    i, j = (min(channel, len(features) - 1) for channel in (i, j))
    gram = kernels.of(features).gram(features)
    product = features[i] * features[j]
    places = brightest(product)
    stride = subject.vgg.network.architecture.stride(tap)
    image = subject.painting if painted else subject.photograph
    return {
        "gram": Picture(gram, f"The Gram matrix of the {picture} at {tap}", rooted=True),
        "gram_marks": [Mark.at(i, j)],
        "first": Picture(features[i], f"Channel {i}"),
        "second": Picture(features[j], f"Channel {j}"),
        "product": Picture(product, f"Channel {i} times channel {j}, pixel by pixel"),
        "product_marks": [Mark.at(*place) for place in places],
        "image": Picture(image, f"The {picture}, with the brightest places of the product"),
        "image_marks": [
            Mark(stride * r, stride * c, stride * (r + 1), stride * (c + 1)) for r, c in places
        ],
        "value": gram[i, j],
        "by_hand": np.mean(product, dtype=np.float64),
        "where": f"gram[{i}, {j}]",
        "channels": len(features),
        "pairs": gram.size,
        "rank": int((gram > gram[i, j]).sum()) + 1,
        "top": f"gram[{', '.join(map(str, strongest_pair(gram)))}]",
    }


def brightest(product: np.ndarray) -> list[tuple[int, int]]:
    """Return rows and columns of the largest values of a map, the largest first.

    No two are near each other, for the neighbour of a bright place is often bright too.
    """
    left = product.copy()
    places: list[tuple[int, int]] = []
    apart = max(1, max(product.shape) // BETWEEN)
    while len(places) < BRIGHTEST and left.max() > 0:
        row, column = divmod(int(left.argmax()), product.shape[1])
        places.append((row, column))
        rows = slice(max(0, row - apart), row + apart + 1)
        left[rows, max(0, column - apart) : column + apart + 1] = 0
    return places


def strongest_pair(gram: np.ndarray) -> tuple[int, int]:
    """Return the pair of different channels that go together most."""
    apart = np.where(np.eye(len(gram), dtype=bool), -np.inf, gram)
    i, j = np.unravel_index(np.argmax(apart), gram.shape)
    return int(i), int(j)


def shuffle(subject: Subject, tap: str, channel: int, percent: int) -> Answer:
    """Return what is left of a map, and of the Gram matrix, when pixels change places.

    As many percent of the pixels take part; they move the same way in all channels.
    """
    features = subject.features[tap]
    channel = min(channel, len(features) - 1)
    k = kernels.of(features)
    shuffled = shuffle_pixels(features, percent / 100)
    before, after = k.gram(features), k.gram(shuffled)
    highest = float(before.max())
    return {
        "before": Picture(features[channel], f"Channel {channel} of {tap}"),
        "after": Picture(shuffled[channel], f"The same, {percent} % of its pixels shuffled"),
        "gram_before": Picture(before, "The Gram matrix", highest=highest, rooted=True),
        "gram_after": Picture(
            after, "The Gram matrix of the shuffled maps", highest=highest, rooted=True
        ),
        "apart": over(np.linalg.norm(after - before), np.linalg.norm(before)),
        "size": np.mean(features**2, dtype=np.float64),
        "change": np.mean((shuffled - features) ** 2, dtype=np.float64),
        "value": before[channel, channel],
        "value_after": after[channel, channel],
        "where": f"gram[{channel}, {channel}]",
    }


def shuffle_pixels(features: np.ndarray, share: float) -> np.ndarray:
    """Return features (C, H, W) with a ``share`` of the pixels shuffled, always the same way."""
    channels, height, width = features.shape
    rng = np.random.default_rng(0)
    moved = rng.permutation(height * width)[: round(share * height * width)]
    order = np.arange(height * width)
    order[np.sort(moved)] = moved
    return np.ascontiguousarray(features.reshape(channels, -1)[:, order]).reshape(features.shape)


def style(subject: Subject, tap: str) -> Answer:
    """Return both Gram matrices at a tap, and how far they are apart: the style loss."""
    features, target = subject.features[tap], subject.target_grams[tap]
    gram = kernels.of(features).gram(features)
    difference = gram - target
    loss, _ = style_loss(features, target)
    highest = float(np.maximum(gram, target).max())
    return {
        "photograph": Picture(gram, "The photograph's Gram matrix", highest=highest, rooted=True),
        "painting": Picture(target, "The painting's Gram matrix", highest=highest, rooted=True),
        "difference": Picture(
            difference, "Their difference", signed=True, highest=highest, rooted=True
        ),
        "loss": loss,
        "by_hand": np.mean(difference.astype(np.float64) ** 2),
        "entries": gram.size,
        "table": Table(
            ("tap", "style loss", "over the painting's own size"),
            [(t, *map(float, _style_losses(subject, t))) for t in STYLE_TAPS],
        ),
    }


def _style_losses(subject: Subject, tap: str) -> tuple[float, float]:
    target = GramStyle(subject.target_grams[tap])
    loss, _ = style_loss(subject.features[tap], target.gram)
    return float(loss), over(loss, target.mean_square())


def twin(subject: Subject, step: int) -> Answer:
    """Return a second picture that comes to have the photograph's Gram matrices, from noise."""
    start, here = twins(subject).at(0), twins(subject).at(step)
    tap = TWIN_TAPS[-1]
    gram = kernels.of(here.image).gram(subject.up_to(tap).features(here.image)[tap])
    wanted = kernels.of(gram).gram(subject.features[tap])
    highest = float(wanted.max())
    image = here.image
    return {
        "photograph": Picture(subject.photograph, "The photograph"),
        "image": Picture(image, f"From noise, after {step} steps"),
        "gram": Picture(
            gram, f"The noise's Gram matrix at {tap}, now", highest=highest, rooted=True
        ),
        "wanted": Picture(
            wanted, f"The photograph's Gram matrix at {tap}", highest=highest, rooted=True
        ),
        "left": f"{over(here.losses['total'], start.losses['total']):.2%}",
        "apart": over(np.linalg.norm(gram - wanted), np.linalg.norm(wanted)),
        "pixels_apart": np.sqrt(np.mean((image - subject.photograph) ** 2)),
        "step": step,
    }


def twins(subject: Subject) -> Race:
    """Return the race of one: from noise to the photograph's Gram matrices at TWIN_TAPS."""
    return Race.of(subject, "twin", lambda: _twin_objective(subject), Lbfgs, subject.noise)


def _twin_objective(subject: Subject) -> Objective:
    features = {tap: subject.features[tap] for tap in TWIN_TAPS}
    style = {tap: [Region(GramStyle(kernels.of(f).gram(f)))] for tap, f in features.items()}
    recipe = Recipe("a twin", content={}, style=dict.fromkeys(TWIN_TAPS, 1.0), relative=True)
    return Objective(Vgg(subject.vgg.network, TWIN_TAPS), Targets({}, style), recipe)
