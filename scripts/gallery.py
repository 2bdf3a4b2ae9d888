"""Paint the README's walls: what the controls do, the demo in its paintings, and by recipes.

    python scripts/gallery.py [gallery | styles | recipes] [--output FILE.jpg]
                              [--size PIXELS] [--steps N]

Each panel is made by the command that the README shows for it, with --size and --steps added, on
the photograph and the paintings that come along: anyone can repeat it.
"""

import argparse
import shlex
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from nst import cli, demo

COMMANDS = (
    "nst demo waves",
    "nst demo waves --color content",
    "nst demo waves --color match",
    "nst demo waves --strength 0.3",
    "nst demo waves --style-scale 2",
    "nst demo waves --style glass",
)
STYLES = tuple(f"nst demo {style}" for style in demo.STYLES)
RECIPES = "nst", "strokes", "neighbours", "nnst"
BY_RECIPE = tuple(  # nnst alone takes many minutes a picture: so two paintings
    f"nst demo {style} --recipe {recipe}" for style in ("swirl", "waves") for recipe in RECIPES
)
WALLS = {"gallery": COMMANDS, "styles": STYLES, "recipes": BY_RECIPE}
COLUMNS = {"gallery": 3, "styles": len(STYLES), "recipes": len(RECIPES)}
WIDTH, GAP, CAPTION = 300, 10, 26  # pixels: of a panel, between them, and below
PAPER, INK = "white", "#222222"
LANCZOS = Image.Resampling.LANCZOS


def paint(
    commands: tuple[str, ...], size: int | None, steps: int | None, folder: Path
) -> list[Image.Image]:
    """Run each command, its result ``size`` pixels at the longer side, and return the results.

    None: as the command itself says.
    """
    given = {"--size": size, "--steps": steps}
    how = [str(word) for pair in given.items() if pair[1] is not None for word in pair]
    pictures = []
    for number, command in enumerate(commands):
        path = folder / f"{number}.png"
        asked = [*shlex.split(command)[1:], *how]
        if status := cli.main([*asked, "--model", "vgg16-slim", "-o", str(path), "--quiet"]):
            raise SystemExit(status)
        with Image.open(path) as picture:
            pictures.append(picture.convert("RGB"))
    return pictures


def hang(pictures: list[Image.Image], captions: list[str], most: int) -> Image.Image:
    """Return the pictures in rows of ``most``, each WIDTH pixels wide, over its caption."""
    sized = [
        picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), LANCZOS)
        for picture in pictures
    ]
    rows = [range(k, min(k + most, len(sized))) for k in range(0, len(sized), most)]
    heights = [max(sized[k].height for k in row) for row in rows]
    width = len(rows[0]) * (WIDTH + GAP) + GAP
    wall = Image.new("RGB", (width, sum(heights) + len(rows) * (CAPTION + GAP) + GAP), PAPER)
    draw, font, top = ImageDraw.Draw(wall), ImageFont.load_default(size=15), GAP
    for row, height in zip(rows, heights, strict=True):
        for column, k in enumerate(row):
            left = GAP + column * (WIDTH + GAP)
            wall.paste(sized[k], (left, top))
            middle = left + WIDTH / 2, top + height + CAPTION / 2 + 2
            draw.text(middle, captions[k], INK, font, anchor="mm")
        top += height + CAPTION + GAP
    return wall


def main(argv: list[str] | None = None) -> None:
    """Paint, hang and save."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Paint a wall of the README.")
    parser.add_argument("wall", nargs="?", choices=list(WALLS), default="gallery")
    parser.add_argument("--output", type=Path, help=".pictures/WALL.jpg unless given")
    parser.add_argument("--size", type=int, help="longer side of each, pixels")
    parser.add_argument("--steps", type=int, help="spent on each")
    arguments = parser.parse_args(argv)
    commands = WALLS[arguments.wall]
    output = arguments.output or here.parent / ".pictures" / f"{arguments.wall}.jpg"
    with tempfile.TemporaryDirectory() as folder:
        pictures = paint(commands, arguments.size, arguments.steps, Path(folder))
    captions = [command.removeprefix("nst demo ") for command in commands]
    hang(pictures, captions, COLUMNS[arguments.wall]).save(output, quality=85, optimize=True)
    print(f"{output}: {output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
