"""Paint the sheet of both networks: content, style, and what each network paints of them.

    python scripts/networks.py PHOTOGRAPH ... [--output .pictures/networks.jpg] [--size PIXELS]

The demo's photograph in each painting that comes along, and each PHOTOGRAPH in one of them, in
turn.  VGG16 has to be installed: `make vgg16`.
"""

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from gallery import hang
from PIL import Image

from nst import cli, demo

NETWORKS = "vgg16-slim", "vgg16"


def pairs(photographs: list[Path]) -> Iterator[tuple[str, str]]:
    """Yield each photograph's path with the name of a painting."""
    for style in demo.STYLES:
        yield str(demo.content_path()), style
    for photograph, style in zip(photographs, cycle(demo.STYLES), strict=False):
        yield str(photograph), style


def row(content: str, style: str, size: int, steps: int, folder: Path) -> list[Image.Image]:
    """Return content, style, and the result of each network, which may be there already."""
    asked_for = json.dumps([str(Path(content).resolve()), size, steps])
    digest = hashlib.sha256(asked_for.encode()).hexdigest()[:12]
    paths = [Path(content), demo.style_path(style)]
    for network in NETWORKS:
        path = folder / f"{Path(content).stem}-{style}-{network}-{digest}.png"
        asked = ["stylize", content, style, "-o", str(path), "--model", network, "--quiet"]
        if not path.exists():
            if status := cli.main([*asked, "--size", str(size), "--steps", str(steps)]):
                path.unlink(missing_ok=True)  # painted in part
                raise SystemExit(status)
        paths.append(path)
    return [Image.open(path).convert("RGB") for path in paths]


def main(argv: list[str] | None = None) -> None:
    """Paint, hang and save."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Paint the sheet of both networks.")
    parser.add_argument("photographs", type=Path, nargs="*", metavar="PHOTOGRAPH")
    parser.add_argument("--output", type=Path, default=here.parent / ".pictures" / "networks.jpg")
    parser.add_argument("--size", type=int, default=256, help="longer side of each, pixels")
    parser.add_argument("--steps", type=int, default=150, help="spent on each")
    parser.add_argument("--folder", type=Path, help="keep the results there, and go on with them")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as passing:
        folder = arguments.folder or Path(passing)
        how = arguments.size, arguments.steps, folder
        rows = [row(content, style, *how) for content, style in pairs(arguments.photographs)]
    captions = ["photograph", "painting", *NETWORKS] * len(rows)
    sheet = hang([picture for one in rows for picture in one], captions, 2 + len(NETWORKS))
    sheet.save(arguments.output, quality=85, optimize=True)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
