"""Chapter 4: which entry of the Gram matrix pulls where, on the features and on the pixels."""

import numpy as np

from nst import kernels
from nst.lesson.pieces import Answer, Mark, Picture, over
from nst.lesson.subject import Subject


def pull(subject: Subject, tap: str, i: int, j: int, count: int) -> Answer:
    """Return where one entry of ``d_gram`` ends up: on the features, and on the pixels.

    Entry (i, j) and its mirror (j, i) are one.  Beside it the ``count`` strongest entries,
    added up, and all of them.
    """
    vgg = subject.up_to(tap)
    features = vgg.forward(subject.photograph)[tap].copy()
    d_gram = d_gram_of(subject, tap)
    i, j = (min(channel, len(d_gram) - 1) for channel in (i, j))
    k = kernels.of(features)

    def back(d_gram: np.ndarray) -> np.ndarray:
        return vgg.backward({tap: k.gram_backward(d_gram, features)})

    one, strongest = only(d_gram, [(i, j)]), strongest_entries(subject, tap)[:count]
    d_features, d_image = k.gram_backward(one, features), back(one)
    d_several = subject.last("several", (tap, count), lambda: back(only(d_gram, strongest)))
    d_all = subject.once(("all", tap), lambda: back(d_gram))
    size = np.linalg.norm(d_all)
    heat = np.abs(d_features).sum(axis=0)
    return {
        "d_gram": Picture(
            d_gram, "d_gram: how much the loss grows with each entry", signed=True, rooted=True
        ),
        "d_gram_marks": [Mark.at(i, j), Mark.at(j, i)],
        "value": d_gram[i, j],
        "where": f"d_gram[{i}, {j}]",
        "first": Picture(d_features[i], f"What channel {i} is told", signed=True),
        "second": Picture(d_features[j], f"What channel {j} is told", signed=True),
        "heat": Picture(heat, "Where the entry pulls on the features"),
        "image": Picture(way_down(d_image), "The way down for this entry alone"),
        "several": Picture(way_down(d_several), f"The way down for the {count} strongest"),
        "all": Picture(way_down(d_all), "The way down for all of them"),
        "share": f"{over(np.linalg.norm(d_image), size):.1%}",
        "several_left": f"{over(np.linalg.norm(d_all - d_several), size):.1%}",
        "entries": len(d_gram) * (len(d_gram) + 1) // 2,
        "count": count,
        "wish": wish_of(d_gram[i, j]),
        "silent": len(d_gram) - int(np.any(d_features != 0, axis=(1, 2)).sum()),
    }


def d_gram_of(subject: Subject, tap: str) -> np.ndarray:
    """Return how much the photograph's style loss grows with each entry of its Gram matrix."""
    k = kernels.of(subject.photograph)
    gram: np.ndarray = k.gram(subject.features[tap])
    d_gram: np.ndarray = k.mse_backward(gram, subject.target_grams[tap])
    return d_gram


def wish_of(slope: float) -> str:
    """Return how much the painting has of a pair, as the slope of its entry says it."""
    return "more" if slope < 0 else "less" if slope > 0 else "as much"


def only(d_gram: np.ndarray, entries: list[tuple[int, int]]) -> np.ndarray:
    """Return ``d_gram`` with these entries and their mirrors, and 0 elsewhere."""
    kept = np.zeros_like(d_gram)
    for i, j in entries:
        kept[i, j], kept[j, i] = d_gram[i, j], d_gram[j, i]
    return kept


def strongest_entries(subject: Subject, tap: str) -> list[tuple[int, int]]:
    """Return the pairs (i, j), i up to j, by how hard they pull on the features, hardest first.

    An entry that differs much pulls hard only where its channels fire: |d_features| of a pair is
    known from the Gram matrix itself, for gram[j, j] is the mean square of channel j.
    """
    gram = kernels.of(subject.photograph).gram(subject.features[tap])
    energy = gram.diagonal()
    both = energy[:, None] + energy
    np.fill_diagonal(both, energy)  # an entry on the diagonal pulls on one channel
    hard = np.abs(d_gram_of(subject, tap)) * np.sqrt(both)
    rows, columns = np.triu_indices(len(hard))
    order = np.argsort(-hard[rows, columns], kind="stable")
    return [(int(rows[k]), int(columns[k])) for k in order]


def way_down(d_image: np.ndarray) -> np.ndarray:
    """Return minus the gradient as a picture: grey means "leave this pixel"."""
    shown: np.ndarray = 0.5 - 0.15 * d_image / max(float(d_image.std()), 1e-30)
    return shown.clip(0, 1)
