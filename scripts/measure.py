"""What pictures have of the painting and of the photograph, as a table: a row a picture.

    python scripts/measure.py photograph.jpg waves painted.png other.png

palette    the distance of the colours from the painting's: of OkLab, projected to 32 directions,
           the mean difference of the sorted values, in hundredths.  1 can hardly be seen.
subject    |F - F_photograph|**2 / |F_photograph|**2 of VGG16's relu4_2: 0 is the photograph.
relu1_1 .. mean over the positions of 1 - cos to the most similar features of the painting, both
           less their mean: how much the places look like places of the painting.

All of it is seen at the size of the picture, 256 pixels at most.  The eye has the last word: a
photograph with the painting's palette has good numbers in the first two columns.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nst import demo
from nst.many.photographs import names_of
from nst.objective.style import style_loss
from nst.objective.styles.split import SplitStyle
from nst.pictures import colour, images
from nst.vgg import Vgg

SIDE = 256  # pixels, at most
DIRECTIONS, QUANTILES = 32, 1000
SUBJECT = "relu4_2"
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


def palette_distance(image: np.ndarray, painting: np.ndarray) -> float:
    """Return the sliced Wasserstein distance of the colours in OkLab, in hundredths."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((DIRECTIONS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    places = (np.arange(QUANTILES) + 0.5) / QUANTILES
    sorted_ones = [
        np.quantile(directions @ colour.as_oklab(linear(one)).reshape(3, -1), places, axis=1)
        for one in (image, painting)
    ]
    return float(100 * np.abs(sorted_ones[0] - sorted_ones[1]).mean())


def linear(image: np.ndarray) -> np.ndarray:
    """Return what sRGB's numbers mean: amounts of light."""
    dark = image <= 0.04045
    return np.where(dark, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)


def measure(
    vgg: Vgg, image: np.ndarray, photograph: np.ndarray, painting: np.ndarray
) -> dict[str, float]:
    """Return the numbers of one picture, by column; all are (3, H, W) RGB in [0, 1]."""
    side = min(SIDE, max(image.shape[1:]))
    height, width = images.fit(*image.shape[1:], side)
    shown = images.resize(image, height, width)
    style = images.resize(painting, *images.fit(*painting.shape[1:], side))
    content = vgg.features(images.resize(photograph, height, width))[SUBJECT]
    features, of_style = vgg.features(shown), vgg.features(style)
    difference = np.square(features[SUBJECT] - content).sum() / np.square(content).sum()
    found = {"palette": palette_distance(shown, style), "subject": float(difference)}
    for layer in LAYERS:
        target = SplitStyle.blend([SplitStyle.collect(of_style[layer])], [1.0])
        found[layer] = float(style_loss(features[layer], target)[0])
    return found


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return the rows, by the name of their picture, as a table in Markdown; the mean is last."""
    columns = list(next(iter(rows.values())))
    mean = {name: float(np.mean([row[name] for row in rows.values()])) for name in columns}
    lines = [f"| picture | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for name, row in [*rows.items(), *([("mean", mean)] if len(rows) > 1 else [])]:
        lines.append(f"| {name} | {' | '.join(f'{row[column]:.3f}' for column in columns)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photograph", type=Path)
    parser.add_argument("painting", type=Path, help=f"a file, or {', '.join(demo.STYLES)}")
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--model", default="auto", help="VGG16 where it is installed")
    options = parser.parse_args()
    photograph = images.load(options.photograph)
    painting = images.load(demo.found(options.painting))
    vgg = Vgg(options.model, (*LAYERS, SUBJECT))
    pictures = {name: images.load(path) for path, name in names_of(options.pictures).items()}
    found = {name: measure(vgg, one, photograph, painting) for name, one in pictures.items()}
    print(table(found))


if __name__ == "__main__":
    main()
