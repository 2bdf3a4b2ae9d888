"""Notebooks, executed by a real kernel: the walkthrough, and an engineer's own."""

import base64
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import nbformat
import numpy as np
import PIL.Image
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import notebook as notebooks  # noqa: E402

WALKTHROUGH = notebooks.WALKTHROUGH.read_text(encoding="utf-8")


def executed(source, folder):
    """Return what scripts/notebook.py writes of a script, and how it ended."""
    (folder / "script.py").write_text(source, encoding="utf-8")
    command = [sys.executable, str(ROOT / "scripts" / "notebook.py"), "script.py", "-o", "a.ipynb"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    made = nbformat.read(folder / "a.ipynb", 4)
    nbformat.validate(made)
    return made, done


def shown(cell, kind):
    """Return what a cell shows of one kind, joined."""
    found = []
    for output in cell.outputs:
        if output.output_type == "stream" and kind == output.name:
            found.append(output.text)
        elif kind in output.get("data", {}):
            found.append(output["data"][kind])
    return "".join(found)


def test_the_walkthrough_is_a_notebook_with_its_outputs(tmp_path):
    quick = WALKTHROUGH.replace("SIZE = 160", "SIZE = 48").replace("STEPS = 40", "STEPS = 3")
    assert quick.count("= 48") == 1
    made, done = executed(quick, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "a.ipynb\n"
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 6
    assert sum("apart by" in shown(cell, "stdout") for cell in code) > 8
    assert made.cells[0].source.startswith("# Style transfer, one step at a time")
    assert (tmp_path / "walkthrough" / "triptych.png").is_file()


def test_the_folder_of_a_notebook_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))  # it warns of a home that cannot be written
    (tmp_path / "script.py").write_text("# %%\nprint(2)\n", encoding="utf-8")
    output = tmp_path / "new" / "a.ipynb"
    assert notebooks.main([str(tmp_path / "script.py"), "-o", str(output)]) == 0
    assert shown(nbformat.read(output, 4).cells[0], "stdout") == "2\n"


ENGINEER = """# %% [markdown]
# # Arrays in, arrays out
# %%
import numpy as np
import nst

rows, columns = np.mgrid[:60, :80] / 80
photograph = np.stack([rows, columns, 1 - rows], axis=-1)
quick = dict(size=48, scales=1, steps=4, model="vgg16-slim", device="cpu")
# %%
result = nst.stylize(photograph, "waves", progress=True, **quick)
result
# %%
print(result, {name: values.round(3).shape for name, values in result.losses.items()})
# %%
for step in nst.paint((255 * photograph).astype(np.uint8), ["waves", "glass"], **quick):
    if step.step == 2:
        break
step
# %%
run = nst.paint(photograph, "waves", **quick)
next(run), run
# %%
run.close()
run.result.save("stopped.webp")
run.result.pil().size
# %%
nst.stylize(photograph, "waves", size=3)
# %%
print("never")
"""


@pytest.fixture(scope="module")
def engineer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engineer")
    made, done = executed(ENGINEER, folder)
    return folder, made.cells, done


def test_a_result_is_seen_below_its_cell(engineer):
    _, cells, _ = engineer
    painted = PIL.Image.open(BytesIO(base64.b64decode(shown(cells[2], "image/png"))))
    assert painted.size == (48, 36)
    assert np.asarray(painted).std() > 20
    assert shown(cells[2], "text/plain") == "<Result: 48 x 36 pixels after 4 steps>"
    bar = shown(cells[2], "stderr") + shown(cells[2], "text/plain")
    assert "step 4/4" in bar
    assert "Warning" not in bar
    assert "'total': (4,)" in shown(cells[3], "stdout")


def test_a_step_is_seen_and_a_run_can_be_left(engineer):
    folder, cells, _ = engineer
    assert shown(cells[4], "image/png")
    assert "array" not in shown(cells[4], "text/plain")
    assert "<Run of 48 x 36 pixels, running>" in shown(cells[5], "text/plain")
    assert (folder / "stopped.webp").is_file()
    assert shown(cells[6], "text/plain") == "(48, 36)"


def test_an_error_ends_it_in_python_s_words(engineer):
    _, cells, done = engineer
    assert done.returncode == 1
    assert "size=3; it must be between 16 and" in done.stderr
    (error,) = cells[7].outputs
    assert (error.ename, error.evalue[:8]) == ("NstError", "size=3; ")
    assert cells[8].outputs == []
