"""Paint the README's gallery: one photograph, one painting, and what the controls do to them.

    python scripts/gallery.py [--output .pictures/gallery.jpg] [--size PIXELS] [--steps N]

Each panel is made by the command that the README shows for it, with --size and --steps added, on
the photograph and the paintings that come along: anyone can repeat it.
"""

import argparse
import shlex
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from nst import cli

COMMANDS = (
    "nst demo waves",
    "nst demo waves --color content",
    "nst demo waves --color match",
    "nst demo waves --strength 0.3",
    "nst demo waves --style-scale 2",
    "nst demo waves --style glass",
)
COLUMNS, WIDTH, GAP, CAPTION = 3, 300, 10, 26  # pixels: of a panel, between them, and below
PAPER, INK = "white", "#222222"


def paint(commands: tuple[str, ...], size: int, steps: int, folder: Path) -> list[Image.Image]:
    """Run each command, its result ``size`` pixels at the longer side, and return the results."""
    pictures = []
    for number, command in enumerate(commands):
        path = folder / f"{number}.png"
        asked = [*shlex.split(command)[1:], "--size", str(size), "--steps", str(steps)]
        if status := cli.main([*asked, "--model", "vgg16-slim", "-o", str(path), "--quiet"]):
            raise SystemExit(status)
        with Image.open(path) as picture:
            pictures.append(picture.convert("RGB"))
    return pictures


def hang(pictures: list[Image.Image], captions: list[str], most: int = COLUMNS) -> Image.Image:
    """Return the pictures in rows of ``most``, each WIDTH pixels wide, over its caption."""
    height = max(round(picture.height * WIDTH / picture.width) for picture in pictures)
    columns, rows = min(most, len(pictures)), -(-len(pictures) // most)
    pitch = WIDTH + GAP, height + CAPTION + GAP
    wall = Image.new("RGB", (columns * pitch[0] + GAP, rows * pitch[1] + GAP), PAPER)
    draw, font = ImageDraw.Draw(wall), ImageFont.load_default(size=15)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = GAP + number % most * pitch[0]
        top = GAP + number // most * pitch[1]
        size = WIDTH, round(picture.height * WIDTH / picture.width)
        wall.paste(picture.resize(size, Image.Resampling.LANCZOS), (left, top))
        middle = left + WIDTH / 2, top + height + CAPTION / 2 + 2
        draw.text(middle, caption, INK, font, anchor="mm")
    return wall


def main(argv: list[str] | None = None) -> None:
    """Paint, hang and save."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Paint the README's gallery.")
    parser.add_argument("--output", type=Path, default=here.parent / ".pictures" / "gallery.jpg")
    parser.add_argument("--size", type=int, default=300, help="longer side of each, pixels")
    parser.add_argument("--steps", type=int, default=150, help="spent on each")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        pictures = paint(COMMANDS, arguments.size, arguments.steps, Path(folder))
    captions = [command.removeprefix("nst demo ") for command in COMMANDS]
    hang(pictures, captions).save(arguments.output, quality=85, optimize=True)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
