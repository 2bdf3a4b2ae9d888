"""Writes a notebook of a script that is made of cells, `# %%`, and runs it: with its outputs.

    python scripts/notebook.py [SCRIPT] [-o FILE.ipynb]

It is executed in the notebook's folder, where it writes what it writes.  `make notebook` makes
walkthrough.ipynb of scripts/walkthrough.py.  Needs the extra `notebook`.
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

WALKTHROUGH = Path(__file__).with_name("walkthrough.py")
CELL = re.compile(r"^# %%(.*)\n", re.MULTILINE)


def cells_of(source: str) -> list[tuple[str, str]]:
    """Return (kind, text) of each cell of a script; kind is "markdown" or "code"."""
    before, *parts = CELL.split(source)
    if before.strip():
        raise ValueError("the script must begin with a cell, # %%")
    cells = []
    for mark, text in zip(parts[::2], parts[1::2], strict=True):
        if mark.strip() == "[markdown]":
            cells.append(("markdown", re.sub(r"^# ?", "", text, flags=re.MULTILINE).strip()))
        else:
            cells.append(("code", text.strip()))
    return cells


def notebook_of(source: str) -> nbformat.NotebookNode:
    """Return the notebook of a script, not executed."""
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    made = [make[kind](text, id=f"cell-{k}") for k, (kind, text) in enumerate(cells_of(source))]
    notebook = nbformat.v4.new_notebook(cells=made)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    return notebook


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write a notebook of a script, executed.")
    parser.add_argument("script", nargs="?", type=Path, default=WALKTHROUGH)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.ipynb", help="default: here")
    asked = parser.parse_args(argv)
    output = asked.output or Path(asked.script.stem + ".ipynb")
    notebook = notebook_of(asked.script.read_text(encoding="utf-8"))
    folder = output.absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=None, resources=place)
    status = 0
    try:
        client.execute()
    except CellExecutionError as error:
        print(error, file=sys.stderr)  # the notebook shows it where it happened
        status = 1
    nbformat.write(notebook, output)
    print(output)
    return status


if __name__ == "__main__":
    sys.exit(main())
