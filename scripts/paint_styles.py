"""Paint the demo's style pictures, from nothing but a seed.

    python scripts/paint_styles.py [--only swirl] [--seed N] [--size PIXELS] [--output FOLDER]

The painters, one school a file, are in ``painters/`` beside this script.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from painters import Painter, glass, oil, pointillism, woodblock
from PIL import Image


@dataclass(frozen=True)
class Painting:
    """A painter, and the paper it asks for."""

    painter: Painter
    height: int  # pixels
    width: int
    oversampling: int  # painted this many times larger, so that edges are smooth


SEED = 5  # of the pictures in nst/demo, chosen by eye
PAINTINGS = {
    "swirl": Painting(oil.paint, 608, 768, 2),
    "glass": Painting(glass.paint, 768, 608, 2),
    "waves": Painting(woodblock.paint, 544, 768, 3),
    "garden": Painting(pointillism.paint, 704, 640, 2),
}


def paint(name: str, seed: int = SEED, size: int | None = None) -> Image.Image:
    """Return the painting ``name``, its longer side ``size`` pixels (None: as shipped)."""
    painting = PAINTINGS[name]
    longer = max(painting.height, painting.width)
    scale = 1.0 if size is None else size / longer
    height, width = round(painting.height * scale), round(painting.width * scale)
    fine = painting.oversampling
    rng = np.random.default_rng([seed, *name.encode()])
    colour = painting.painter(rng, height * fine, width * fine)
    image = Image.fromarray((np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8))
    return image.resize((width, height), Image.Resampling.BOX)


def main(argv: list[str] | None = None) -> None:
    """Paint and save as JPEG."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Paint the demo's style pictures.")
    parser.add_argument("--only", choices=sorted(PAINTINGS), help="one painting, not all")
    parser.add_argument("--seed", type=int, default=SEED, help="another seed, another picture")
    parser.add_argument("--size", type=int, help="longer side, pixels (default: as shipped)")
    parser.add_argument("--output", type=Path, default=here.parent / "nst" / "demo")
    arguments = parser.parse_args(argv)
    if arguments.size is not None and arguments.size < 32:
        parser.error(f"--size is too small to paint on: {arguments.size}. Give 32 or more.")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in [arguments.only] if arguments.only else PAINTINGS:
        path = arguments.output / f"{name}.jpg"
        paint(name, arguments.seed, arguments.size).save(path, quality=90, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
