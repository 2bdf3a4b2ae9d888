"""Bring the README's file tree up to date: a line a file, which is the first of its docstring.

    python scripts/tree.py

A test compares the two: the tree cannot go out of date.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"(?<=```\nnst/\n).*?(?=```)", re.DOTALL)
# The wings in the order of house: what is above knows of what is below.
WINGS = (
    "lesson",
    "studio",
    "film",
    "many",
    "run",
    "show",
    "pictures",
    "objective",
    "optimizers",
    "weights",
    "vgg",
    "kernels",
    "demo",
)
BESIDE = {  # files that have no docstring
    "kernels": {
        "kernels.cu": "The CUDA kernels themselves.",
        "neighbours.cu": "Those of nearest features.",
        "DERIVATIONS.md": "Every backward formula, derived from its definition.",
    },
}


def tree() -> str:
    """Return the lines of the tree below ``nst/``."""
    lines = [line(path, 2) for path in files(ROOT / "nst")]
    for wing in WINGS:
        lines += folder(ROOT / "nst" / wing, 2)
    return "".join(lines)


def folder(path: Path, indent: int) -> list[str]:
    """Return the lines of a folder: its own, its files', its folders'."""
    lines = [f"{' ' * indent}{path.name + '/':{26 - indent}} {first_line(path / '__init__.py')}\n"]
    lines += [line(file, indent + 2) for file in files(path)]
    for name, what in BESIDE.get(path.name, {}).items():
        lines.append(f"{' ' * (indent + 2)}{name:{24 - indent}} {what}\n")
    for below in sorted(path.iterdir()):
        if (below / "__init__.py").exists():
            lines += folder(below, indent + 2)
    return lines


def files(path: Path) -> list[Path]:
    """Return the modules in a folder that are worth a line."""
    return [file for file in sorted(path.glob("*.py")) if not file.name.startswith("__")]


def line(path: Path, indent: int) -> str:
    """Return the line of a module."""
    return f"{' ' * indent}{path.name:{26 - indent}} {first_line(path)}\n"


def first_line(path: Path) -> str:
    """Return the first line of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0]


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    README.write_text(BLOCK.sub(lambda _: tree(), text), encoding="utf-8")
    print(README)
