"""The page's text: its numbers, its words, its formulas, and the lines of source it links to."""

import ast
import builtins
import html
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nst.lesson import blindness, by_hand, coarse, page, seeing, slope, stepping
from nst.lesson import subject as subjects
from nst.lesson.figures import FIGURES
from nst.lesson.sources import find
from nst.losses import smoothness_loss, style_loss
from nst.objective.styles import gram

ROOT = Path(__file__).parents[2]
WALKTHROUGH = (ROOT / "scripts" / "walkthrough.py").read_text(encoding="utf-8")
NUMBERS = {  # that may stand in the text: what no measurement can change
    "0": "black; nothing",
    "1": "white; one",
    "3": "the colours",
}
SPELLED = {  # the same of numbers in words: what is meant is counted by the reader, at sight
    "two": None,  # of many things
    "three": {"colours", "channels"},  # red, green, blue
    "four": {"neighbours"},  # of a pool of 2 x 2
    "eight": {"neighbours"},  # of a pixel
    "ten": {"more", "steps", "thousand"},  # a button; blindness.NOTHING, below
}
SHARED = {  # how many sentences a chapter has in common with the walkthrough, at the least
    1: 5,
    2: 8,
    3: 9,
    4: 7,
    5: 12,
    6: 10,
    7: 6,
}


@pytest.fixture(scope="module")
def rendered(subject):
    return page.render(subject)


def plain(text):
    """Return the words of HTML, or of the walkthrough's cells, without marks."""
    text = re.sub(r"<(m|pre|code)\b[^>]*>.*?</\1>", " CODE ", text, flags=re.DOTALL)
    text = re.sub(r"</(p|li|dd|dt|h\d|caption)>", " . ", text)
    text = html.unescape(re.sub(r"<[^>]+>", "", text))
    text = re.sub(r"^# ?", "", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]*`", " CODE ", text).replace("*", "")
    return re.sub(r"\s+", " ", text)


def sentences(text):
    parts = re.split(r"(?<=[.!?:])\)? +", plain(text))
    return {re.sub(r"[^a-z ]", "", part.lower().replace("code", "")).strip() for part in parts}


def test_lesson_and_walkthrough_say_the_same_in_the_same_words(subject):
    cells = re.findall(r"^# %% \[markdown\]\n((?:#.*\n)+)", WALKTHROUGH, re.MULTILINE)
    known = {re.sub(r" +", " ", s) for s in set().union(*map(sentences, cells))}
    for number, least in SHARED.items():
        said = {re.sub(r" +", " ", s) for s in sentences(page.filled(number, page.facts(subject)))}
        common = {s for s in said & known if len(s.split()) >= 4}
        assert len(common) >= least, (number, sorted(common))


@pytest.mark.parametrize("number", page.CHAPTERS)
def test_no_number_of_the_text_is_written_by_hand(number):
    """What is measured comes from the chapters; the rest is in NUMBERS, for a reason."""
    text = re.sub(r"<(m|pre|code)\b[^>]*>.*?</\1>", "", page.source_text(number), flags=re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]+>|\{\{\w+\}\}", " ", text))
    text = re.sub(r"float(32|64)|[Cc]hapters? \d(, \d)*( and \d)?", "", text)
    found = set(re.findall(r"\d[\d./]*(?<![./])", text))
    assert found <= set(NUMBERS), found
    words = r"\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\s+(\w+)"
    for count, counted in re.findall(words, text.lower()):
        allowed = SPELLED.get(count, ())
        assert allowed is None or counted in allowed, f"{count} {counted}"


def test_what_the_text_says_of_small_numbers_is_true(subject):
    facts = page.facts(subject)
    first, second = (subject.vgg.network.arrays[f"{n}.weight"] for n in ("conv1_1", "conv1_2"))
    features = subject.features["relu1_1"]
    assert seeing.layer(subject, "relu1_1", 0, 9, 9)["side"] == 3
    assert blindness.NOTHING == 1 / 10_000  # "one part in ten thousand"
    assert facts.pop("year_gatys") in (gram.__doc__ or "")
    told = {
        "pixels_read": str(first[0].size),
        "channels_read": str(len(features)),
        "products_deep": str(second[0].size),
        "channels": str(len(features)),
        "pairs": str(subject.target_grams["relu1_1"].size),
        "tap": "relu1_1",
        "taps": "four",
        "sees_first": "three",
        "digits_single": "7",
        "digits_double": "16",
        "white": "255",
        "grey": "10",
        "step": "10/255",
        "hvass_sum": "1.5 + 10 + 0.3 = 11.8",
        "coarse_steps": str(coarse.COARSE_STEPS),
        "python": "python",
    }
    counts = {
        "Losses": slope.LOSSES,
        "Optimizers": stepping.OPTIMIZERS,
        "pictures": stepping.PICTURES,
        "hvass": stepping.HVASS,
        "Statistics": blindness.SHOWN,
        "Changes": blindness.CHANGES,
    }
    for name, counted in counts.items():
        assert facts.pop(name).lower() == {3: "three", 4: "four"}[len(counted)]
    assert facts == told


@pytest.mark.parametrize("number", page.CHAPTERS)
def test_numbers_in_formulas_are_those_of_the_code(number):
    formulas = re.findall(r"<m>(.*?)</m>", page.source_text(number), re.DOTALL)
    found = [float(n) for n in re.findall(r"\d+\.?\d*", " ".join(formulas))]
    if number == 5:
        assert found == [*stepping.HVASS.values(), pytest.approx(sum(stepping.HVASS.values()))]
    else:
        assert set(found) <= {1, 2}  # of means, squares and their derivative, and neighbours


def test_the_lines_of_numpy_in_chapters_2_and_3_are_what_the_kernels_do(subject):
    target_gram, features = subject.target_grams["relu2_1"], subject.features["relu2_1"]
    channels, height, width = features.shape
    names = {"np": np, "features": features, "target_gram": target_gram}
    names |= {"channels": channels, "height": height, "width": width, "H": height, "W": width}
    for number in (2, 3):
        for code in re.findall(r"<pre><code>(.*?)</code>", page.source_text(number), re.DOTALL):
            exec(html.unescape(code), names)
    loss, d_features = style_loss(features, target_gram)
    assert names["loss"] == pytest.approx(float(loss), rel=1e-4)
    np.testing.assert_allclose(
        names["d_flat"].reshape(features.shape), d_features, rtol=1e-3, atol=1e-8
    )


def test_the_numbers_of_the_text_are_true(subject):
    facts = page.facts(subject)
    weights = subject.vgg.network.arrays
    assert facts["pixels_read"] == str(weights["conv1_1.weight"][0].size) == "27"
    assert facts["products_deep"] == str(weights["conv1_2.weight"][0].size)
    assert facts["channels"] == str(len(subject.features["relu1_1"]))
    assert facts["pairs"] == str(len(subject.features["relu1_1"]) ** 2)
    assert facts["hvass_sum"] == "1.5 + 10 + 0.3 = 11.8"
    assert int(facts["digits_single"]) == round(-np.log10(np.finfo(np.float32).eps))
    assert int(facts["digits_double"]) == round(-np.log10(np.finfo(np.float64).eps))


def test_formulas_are_typeset_as_they_are_written():
    sys.path.insert(0, str(ROOT / "scripts"))
    import formulas

    assert page._formulas() == formulas.formulas(), "run `python scripts/formulas.py`"
    assert len(page._formulas()) >= 12


def test_nothing_is_left_to_fill_in_and_nothing_is_fetched(rendered):
    text = re.sub(r"<(style|script|pre|code)\b.*?</\1>", "", rendered, flags=re.DOTALL)
    assert "<m>" not in text
    assert not re.search(r"\{\{\w|\w\}\}|\[\[\w+\]\]", re.sub(r"<[^>]+>", "", text))
    assert "http" not in re.sub(r"http://www\.w3\.org/[\w/]+", "", rendered)
    assert "style=" not in re.sub(r"<style>.*?</style>", "", rendered, flags=re.DOTALL)
    ids = re.findall(r'\bid="([^"]+)"', rendered)
    assert len(ids) == len(set(ids))


def test_every_link_leads_somewhere(rendered):
    ids = set(re.findall(r'\bid="([^"]+)"', rendered))
    links = re.findall(r'href="#([^"]+)"', rendered)
    assert len(links) > 40
    assert set(links) <= ids


def test_every_line_of_source_is_what_stands_there(rendered):
    places = re.findall(r'data-place="([^"]+)">[^<]+</a> <code>(.*?)</code>', rendered)
    assert len(places) >= 30
    for place, text in places:
        path, line = place.split(":")
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        assert lines[int(line) - 1].strip() == html.unescape(text), place
        assert f'id="{place}"><i>{line}</i>' in rendered


@pytest.mark.parametrize("name", sorted(set(FIGURES) - {"pixel"}))
def test_every_figure_names_code_and_not_a_docstring(name):
    assert FIGURES[name].lines
    for source in FIGURES[name].sources:
        docstring = "\n".join(source.code).split('"""')
        assert source.text not in (docstring[1] if len(docstring) > 2 else ""), source.place


def test_a_line_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="no line"):
        find(style_loss, "no such text")


def test_every_figure_has_a_place_and_shows_all_that_it_is_told(rendered, subject):
    shown = re.findall(r'<figure data-figure="(\w+)"', rendered)
    assert set(shown) == set(FIGURES)
    for name, inside in re.findall(
        r'<figure data-figure="(\w+)".*?>(.*?)</figure>', rendered, re.DOTALL
    ):
        figure = FIGURES[name]
        answer = figure.answer(subject, figure.opening)
        wanted = re.findall(r'data-(?:value|picture|table|curves|marks)="(\w+)"', inside)
        assert wanted
        assert set(wanted) <= set(answer), name


# ---- By hand ----------------------------------------------------------------------------------


def test_the_losses_by_hand_are_those_of_the_kernels(subject):
    features, target = subject.features["relu2_1"], subject.target_grams["relu2_1"]
    loss, d_features = by_hand.style_loss(features, target)
    expected, d_expected = style_loss(features, target)
    assert loss == pytest.approx(float(expected), rel=1e-4)
    np.testing.assert_allclose(d_features, d_expected, rtol=1e-3, atol=1e-8)
    loss, d_image = by_hand.denoise_loss(subject.photograph)
    expected, d_expected = smoothness_loss(subject.photograph)
    assert loss == pytest.approx(float(expected), rel=1e-4)
    np.testing.assert_allclose(d_image, d_expected, rtol=1e-3, atol=1e-8)


def test_all_losses_by_hand_are_those_of_the_objective(subject):
    image = subjects.objective_of(subject, subject.photograph)
    losses, d_image = image.evaluate(subject.faded)
    found, d_found = by_hand.all_losses(
        subject.vgg,
        subject.faded,
        subject.features["relu3_3"],
        dict(subject.target_grams),
        smoothness=0.0,
    )
    assert found == pytest.approx(float(losses.total), rel=1e-3)
    assert np.linalg.norm(d_found - d_image) < 1e-3 * np.linalg.norm(d_image)


def test_the_command_of_the_last_chapter_paints(tmp_path):
    from nst import demo
    from nst.pictures import images

    words = [demo.content_path(), demo.style_path("swirl"), tmp_path / "out.png", 64, 3]
    done = subprocess.run(
        [sys.executable, "-m", "nst.lesson.by_hand", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    losses = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    assert images.load(tmp_path / "out.png").shape == (3, 64, 55)


# ---- The reader's own file -----------------------------------------------------------------


def pieces_of_mine():
    """Return the pieces of code that the reader writes into a file, in order."""
    found = re.findall(
        r'<pre class="mine"[^>]*><code>(.*?)</code></pre>', page.source_text(8), re.DOTALL
    )
    return [html.unescape(piece) for piece in found]


def test_what_the_reader_writes_paints_piece_by_piece_in_a_fresh_folder(tmp_path):
    source = "\n\n".join(pieces_of_mine())
    for name, small in (("SIZE", 48), ("STEPS", 4)):
        source, changed = re.subn(rf"^{name} = \d+", f"{name} = {small}", source, flags=re.M)
        assert changed == 1
    (tmp_path / "mine.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-W", "error", "mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    measured, derived = re.search(r"measured (\S+) derived (\S+)", done.stdout).groups()
    assert float(measured) == pytest.approx(float(derived), rel=0.03)
    losses = [float(loss) for loss in re.findall(r"^step \d+ loss (\S+)$", done.stdout, re.M)]
    assert len(losses) == 4
    assert losses[-1] < 0.8 * losses[0]
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "mine.png"}


def test_each_piece_can_be_run_when_the_reader_has_written_it():
    """No piece needs a later one, and each prints something or is followed by what does."""
    pieces = pieces_of_mine()
    assert len(pieces) == 5
    for count in range(1, len(pieces) + 1):
        known = set(vars(builtins))
        tree = ast.parse("\n".join(pieces[:count]))
        stored = {
            name.id
            for name in ast.walk(tree)
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
        }
        stored |= {a.arg for a in ast.walk(tree) if isinstance(a, ast.arg)}
        stored |= {f.name for f in ast.walk(tree) if isinstance(f, ast.FunctionDef)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                stored |= {alias.asname or alias.name for alias in node.names}
        used = {name.id for name in ast.walk(tree) if isinstance(name, ast.Name)}
        assert used <= stored | known, used - stored - known
        assert "print(" in pieces[count - 1]


def test_the_loss_that_the_reader_writes_is_that_of_the_kernels_by_hand(subject):
    """The reader's own function against `by_hand`, which writes the kernels out."""
    namespace = {"__name__": "mine"}
    first, second, third, *_ = pieces_of_mine()
    exec(re.sub(r"^SIZE = \d+", "SIZE = 48", first, flags=re.M) + second + third, namespace)
    image, vgg = namespace["photograph"], namespace["vgg"]
    loss, d_image = namespace["loss_and_gradient"](image)
    expected, d_expected = by_hand.all_losses(vgg, image, namespace["content"], namespace["grams"])
    assert loss == pytest.approx(expected, rel=1e-3)
    assert np.linalg.norm(d_image - d_expected) < 1e-3 * np.linalg.norm(d_expected)


def test_the_page_says_which_python_runs_it_and_a_copy_does_not(subject):
    assert f"{html.escape(shlex.quote(sys.executable))} mine.py" in page.render(subject)
    nothing = {"figures": {name: [] for name in FIGURES}, "exercises": {}}
    copy = page.render(subject, nothing)
    assert "python mine.py" in copy
    assert sys.executable not in copy
    assert "a copy that needs no server" in copy
