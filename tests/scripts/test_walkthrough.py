"""The walkthrough as script, cells and notebook and in the debugger, and what it claims."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

from nst import demo
from nst.kernels import numpy_kernels
from nst.objective import objective
from nst.pictures import images
from nst.vgg import Vgg

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "walkthrough.py"
SOURCE = SCRIPT.read_text(encoding="utf-8")
A_SCREEN = 60  # lines
COMPARISON = re.compile(r"^ *(.+): (.+), apart by (\S+) \(allowed (\S+)\)$", re.MULTILINE)
PICTURES = {"features", "grams", "way_down", "strip", "triptych", "losses"}


def run_python(*arguments: object, folder: Path, typed: str = "") -> subprocess.CompletedProcess:
    """Run Python in ``folder`` without a display, every warning an error."""
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment, input=typed, capture_output=True, text=True
    )


@pytest.fixture(autouse=True)
def _environment_restored(monkeypatch):
    """Cells that run in this process set this variable; no other test should see it."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """One whole run, as a user starts it: where it ran, what it printed, its pictures."""
    folder = tmp_path_factory.mktemp("walk")
    done = run_python(SCRIPT, folder=folder)
    return SimpleNamespace(
        folder=folder, pictures=folder / "walkthrough", printed=done.stdout, done=done
    )


def cells(source: str) -> list[tuple[str, str]]:
    """Return (kind, text) of each cell; kind is "markdown" or "code"."""
    before, *parts = re.split(r"^# %%(.*)\n", source, flags=re.MULTILINE)
    assert before == "", "the file must begin with a cell"
    kinds = {"": "code", " [markdown]": "markdown"}
    return [(kinds[mark], text) for mark, text in zip(parts[::2], parts[1::2], strict=True)]


def code_cells(size: int, steps: int) -> list[str]:
    """Return the code cells, with a smaller picture and fewer steps."""
    source, changed = re.subn(r"^SIZE = \d+", f"SIZE = {size}", SOURCE, flags=re.MULTILINE)
    source, again = re.subn(r"^STEPS = \d+", f"STEPS = {steps}", source, flags=re.MULTILINE)
    assert (changed, again) == (1, 1)
    return [text for kind, text in cells(source) if kind == "code"]


def run_cells(code: list[str], **given: object) -> dict:
    """Run the cells one after another in one namespace, and return it."""
    namespace = {"__name__": "__main__", **given}
    for index, text in enumerate(code):
        exec(compile(text, f"code cell {index}", "exec"), namespace)
    return namespace


# --- As a script ------------------------------------------------------------------------------


def test_it_runs_without_a_word_of_complaint(walk):
    assert (walk.done.returncode, walk.done.stderr) == (0, "")
    assert walk.printed.startswith("pictures go to walkthrough\n")


def test_it_writes_its_pictures_and_nothing_else(walk):
    written = {path.stem for path in walk.pictures.iterdir()}
    assert written == PICTURES | {path.stem for path in frames(walk)}
    assert list(walk.folder.iterdir()) == [walk.pictures]
    pointed_at = set(re.findall(r"^look at (.+)$", walk.printed, re.MULTILINE))
    assert pointed_at == {str(Path("walkthrough", f"{name}.png")) for name in PICTURES}


def test_an_output_that_is_a_file_is_one_line_and_status_2(tmp_path):
    (tmp_path / "taken").write_text("a file")
    done = run_python(SCRIPT, "--output", "taken", folder=tmp_path)
    assert done.returncode == 2
    assert "--output taken cannot be a folder: File exists. Name another." in done.stderr
    assert "Traceback" not in done.stderr


# --- What it claims ---------------------------------------------------------------------------


def test_every_comparison_is_printed_and_holds(walk):
    found = COMPARISON.findall(walk.printed)
    calls = re.findall(r"^( *)agree\(", SOURCE, re.MULTILINE)
    assert len(found) == len(calls) + 2 * calls.count("    ")  # one is in a loop over three
    assert len(found) >= 15
    for what, both, apart, allowed in found:
        assert float(apart) <= float(allowed), what
        assert float(allowed) <= 1e-2, what
        if " and " in both:
            one, other = map(float, both.split(" and "))
            assert one == pytest.approx(other, rel=float(allowed) + 1e-6), what


def test_the_slope_in_float64_behaves_as_the_text_says(walk):
    table = walk.printed.split("float32  float64\n")[1].splitlines()[:6]
    h, single, double = np.array([row.split() for row in table], float).T
    np.testing.assert_array_equal(h, [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
    falls = double[:2] / double[1:3]  # tenfold smaller h, hundredfold smaller error
    assert np.all((falls > 50) & (falls < 200))
    assert double.min() < 1e-7
    assert single[-1] > 0.05  # rounding has taken most of the digits
    assert np.all(single[3:] > 100 * double[3:])


def test_the_combined_loss_is_constant_while_the_losses_are_not(walk):
    number = r"([\d.e+]+)"
    losses = re.findall(
        f"content {number}, style {number}, smoothness {number}\n(.*11.8 and 11.8.*)", walk.printed
    )
    assert len(losses) == 3
    contents, styles, smoothnesses, _ = zip(*losses, strict=True)
    for values in (contents, styles, smoothnesses):
        assert max(map(float, values)) > 1.1 * min(map(float, values))
    assert "size of the slope of the combined loss: 0.0000" in walk.printed


def test_both_optimizers_go_down_and_only_lbfgs_comes_to_rest(walk):
    rows = re.findall(r"^ +(\d+) +([\d.]+) +([\d.]+)$", walk.printed, re.MULTILINE)
    steps, descent, lbfgs = np.array(rows, float).T
    assert steps[0] == 1
    assert descent[0] == lbfgs[0]
    assert lbfgs[-1] < descent[-1] < 0.5 * descent[0]
    last_move = float(re.search(r"last move of descent: (\S+)", walk.printed)[1])
    assert last_move == pytest.approx(10, abs=1)
    assert float(re.search(r"last five moves: (\S+)", walk.printed)[1]) < last_move / 2


def test_each_change_is_unnoticed_by_some_statistic_and_each_statistic_is_blind(walk):
    table = walk.printed.split("moments  neighbours\n")[1].splitlines()[:4]
    seen = {row.split()[0]: [cell != "nothing" for cell in row.split()[1:]] for row in table}
    assert list(seen) == ["shuffled", "contrast", "negative", "darker"]
    assert all(any(cells) and not all(cells) for cells in seen.values())
    assert all(not all(column) for column in zip(*seen.values(), strict=True))


def test_what_was_painted_at_half_the_size_is_nearer_the_painting(walk):
    before, after = re.search(
        r"at the photograph: ([\d.]+), at what was painted at half the size: ([\d.]+)",
        walk.printed,
    ).groups()
    assert float(after) < 0.7 * float(before)


# --- Its pictures -----------------------------------------------------------------------------


def frames(walk) -> list[Path]:
    return sorted(walk.pictures.glob("frame-*.png"))


def test_the_strip_is_the_frames_side_by_side(walk):
    pictures = [images.load(path) for path in frames(walk)]
    assert len(pictures) >= 5
    strip = images.load(walk.pictures / "strip.png")
    np.testing.assert_array_equal(strip[:, ::2, ::2], np.concatenate(pictures, axis=2))


def test_the_first_frame_is_the_photograph_and_the_last_is_nearer_the_painting(walk):
    first, last = (images.load(frames(walk)[i]) for i in (0, -1))
    _, height, width = first.shape
    photo = images.resize(images.load(demo.content_path()), height, width)
    np.testing.assert_allclose(first, photo, atol=0.6 / 255)  # a file has whole grey levels

    painting = images.load(demo.style_path("swirl"))
    painting = images.resize(painting, *images.fit(*painting.shape[1:], max(height, width)))
    vgg = Vgg("vgg16-slim", ["relu2_1"])

    def gram(image):
        features = vgg.forward(image)["relu2_1"].astype(np.float64)
        return np.einsum("ihw,jhw->ij", features, features) / features[0].size

    start, end = (np.linalg.norm(gram(image) - gram(painting)) for image in (first, last))
    assert end < 0.5 * start


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_a_picture_shows_something(walk, name):
    picture = images.load(walk.pictures / f"{name}.png")
    assert min(picture.shape[1:]) >= 200
    assert picture.std() > 0.05


# --- As cells and as a notebook ---------------------------------------------------------------


def test_every_code_cell_has_words_before_it_and_fits_on_a_screen():
    kinds = [kind for kind, _ in cells(SOURCE)]
    assert kinds[::2] == ["markdown"] * (len(kinds) // 2)
    assert kinds[1::2] == ["code"] * (len(kinds) // 2)
    for kind, text in cells(SOURCE):
        assert len(text.splitlines()) <= A_SCREEN
        if kind == "markdown":
            assert all(re.match(r"#( |$)", line) for line in text.strip().splitlines())
        else:
            assert "assert" not in text


def notebook(size: int, steps: int) -> nbformat.NotebookNode:
    """Return the walkthrough as a notebook, as jupytext would make it."""
    code = iter(code_cells(size, steps))
    made = []
    for kind, text in cells(SOURCE):
        if kind == "code":
            made.append(nbformat.v4.new_code_cell(next(code).strip()))
        else:
            words = re.sub(r"^# ?", "", text.strip(), flags=re.MULTILINE)
            made.append(nbformat.v4.new_markdown_cell(words))
    return nbformat.v4.new_notebook(cells=made)


def test_it_is_a_notebook_whose_cells_run_one_after_another(tmp_path, monkeypatch, capsys):
    nbformat.write(notebook(size=48, steps=5), tmp_path / "walkthrough.ipynb")
    read = nbformat.read(tmp_path / "walkthrough.ipynb", as_version=4)
    nbformat.validate(read)
    assert read.cells[0].source.startswith("# Style transfer, one step at a time\n\n")

    shown = []
    module = SimpleNamespace(Image=lambda filename: Path(filename).name, display=shown.append)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json", "--o=x"])
    monkeypatch.chdir(tmp_path)
    code = [cell.source for cell in read.cells if cell.cell_type == "code"]
    run_cells(code, get_ipython=object())
    assert sorted(shown) == sorted(f"{name}.png" for name in PICTURES)
    assert {path.stem for path in (tmp_path / "walkthrough").iterdir()} > PICTURES


def test_output_may_be_a_folder_in_folders_that_do_not_exist(tmp_path, monkeypatch):
    wanted = tmp_path / "a folder" / "pictures"
    monkeypatch.setattr(sys, "argv", ["walkthrough.py", "--output", str(wanted)])
    namespace = run_cells(code_cells(size=48, steps=2)[:2])
    assert namespace["OUTPUT"] == wanted
    assert wanted.is_dir()


# --- A wrong formula stops it -----------------------------------------------------------------


def wrongly(right, change):
    """Return ``right`` with its result changed."""
    return lambda *arguments: change(right(*arguments))


def upwards(image, d_image, step_size):
    image += step_size * d_image / d_image.std()
    return image


def forgetful_combine(terms, combination):
    """Return the logarithms' total with the plain sum's gradient."""
    total, _ = objective_combine(terms, combination)
    return total, [term.weight for term in terms]


objective_combine = objective.combine
WRONG = {  # what is wrong: (where, name, the wrong function, the comparison that stops)
    "a Gram matrix one percent too large": (
        numpy_kernels,
        "gram",
        wrongly(numpy_kernels.gram, lambda gram: gram * np.float32(1.01)),
        "it, by hand and by kernel",
    ),
    "one of the two terms of gram_backward": (
        numpy_kernels,
        "gram_backward",
        wrongly(numpy_kernels.gram_backward, lambda d_features: d_features / 2),
        "gradient by hand and by nst",
    ),
    "rows that are swapped in the style gradient": (
        numpy_kernels,
        "gram_backward",
        wrongly(numpy_kernels.gram_backward, lambda d_features: d_features[:, ::-1].copy()),
        "gradient by hand and by nst",
    ),
    "an image gradient from the right to the left": (
        Vgg,
        "backward",
        wrongly(Vgg.backward, lambda d_image: d_image[:, :, ::-1].copy()),
        "through VGG: measured slope and gradient",
    ),
    "a factor that the network's backward pass lost": (
        Vgg,
        "backward",
        wrongly(Vgg.backward, lambda d_image: d_image * np.float32(0.98)),
        "through VGG: measured slope and gradient",
    ),
    "a step uphill": (
        numpy_kernels,
        "normalised_descent_step",
        upwards,
        "step by hand and by kernel",
    ),
    "logarithms without their derivative": (
        objective,
        "combine",
        forgetful_combine,
        "Hvass' gradient by hand and by nst",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_it_stops_at_a_wrong_formula(what, tmp_path, monkeypatch, capsys):
    where, name, wrong, comparison = WRONG[what]
    monkeypatch.setattr(where, name, wrong)
    monkeypatch.setattr(sys, "argv", ["walkthrough.py", "--output", str(tmp_path)])
    with pytest.raises(ArithmeticError, match=f"disagree. {comparison}: .*Check the formula"):
        run_cells(code_cells(size=48, steps=3))


# --- In the debugger --------------------------------------------------------------------------


def test_the_debugger_lines_stop_where_they_say(walk, tmp_path):
    last_lines = walk.printed.splitlines()[-7:]
    start, *typed = [re.split(r" {3,}", line)[0] for line in last_lines]
    assert start == "python -m pdb scripts/walkthrough.py"
    assert typed[0].startswith("b nst/objective/styles/gram.py:")
    done = run_python("-m", "pdb", SCRIPT, folder=tmp_path, typed="\n".join([*typed, "q\n"]))
    _, stopped = done.stdout.split("-> loss = k.mse(gram, self.gram)\n", 1)
    assert "compare()" in done.stdout
    assert stopped.startswith("(Pdb) (96, 96)\n")  # the 96 channels of relu2_1
    assert "numpy_kernels.py" in stopped
    assert "-> def mse(" in stopped
    assert "--Return--" in stopped
