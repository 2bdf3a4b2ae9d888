"""The command line as a person uses it: arguments in, files and an exit status out."""

import csv
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from refusals import raiser

from nst import cli, commands, demo, devices, files, terminal
from nst.errors import LONGEST, NstError, NstWarning
from nst.objective.recipes import RECIPES
from nst.pictures import images
from nst.run.records import Progress
from nst.run.scales import Scale
from nst.settings import Settings
from nst.vgg import runtime

QUICK = ["--size", "48", "--steps", "3", "--scales", "1", "--device", "cpu"]


def nst(*arguments, cwd, **rest):
    """Run ``python -m nst`` and return the finished process, its output as text."""
    command = [sys.executable, "-m", "nst", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **rest)


def error_of(*arguments, cwd):
    """Run ``nst`` where it must refuse; return its one line."""
    done = nst(*arguments, cwd=cwd)
    assert done.returncode == 2, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("nst: ")
    return lines[0]


@pytest.mark.parametrize("buffered", [True, False])
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path, buffered):
    """As in ``nst recipes gatys | head -1``."""
    command = [sys.executable, *([] if buffered else ["-u"]), "-m", "nst", "recipes", "gatys"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, text=True, **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.fixture
def pictures(tmp_path, rng):
    """A folder with a landscape ``my photo.png`` and an upright ``painting.jpg``."""
    levels = rng.integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(levels).resize((120, 80)).save(tmp_path / "my photo.png")
    Image.fromarray(levels[:, :30]).resize((60, 96)).save(tmp_path / "painting.jpg")
    return tmp_path


def test_an_estimate_says_what_a_run_would_take_and_paints_nothing(pictures):
    files = sorted(pictures.iterdir())
    done = nst("estimate", "my photo.png", "painting.jpg", *QUICK, cwd=pictures)
    assert done.returncode == 0, done.stderr
    title, scale, whole = done.stdout.splitlines()
    assert title.startswith("48 x 32 pixels, 1 scale, 3 steps, vgg16-slim, on cpu")
    assert scale.split()[:3] == ["48", "x", "32"]
    assert "as a whole" in scale
    assert "3 steps of" in scale
    assert whole.startswith("about ")
    assert whole.endswith(" memory")
    assert sorted(pictures.iterdir()) == files


def test_an_estimate_is_what_was_asked_for_and_never_quiet(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["estimate", "a.png", "--quiet"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --quiet" in capsys.readouterr().err


def test_an_estimate_needs_nothing_that_can_be_written(pictures, monkeypatch, capsys):
    """It may be asked about what would be overwritten, and where nothing can be written."""
    monkeypatch.chdir(pictures)
    monkeypatch.setattr(files, "check_writable", raiser(NstError("not writable")))
    images.save("out.png", images.load("my photo.png"))
    before = {path: path.read_bytes() for path in pictures.iterdir()}
    for content, more in {
        "out.png": [],
        "my photo.png": ["-o", "no folder/out.gif", "--plot", "--save-every", "1"],
        "painting.jpg": ["--log", "no/l.csv", "--report", "no/p.html", "--checkpoint", "no/c"],
    }.items():
        assert cli.main(["estimate", content, "painting.jpg", *QUICK, *more]) == 0
        assert " as a whole " in capsys.readouterr().out
    assert {path: path.read_bytes() for path in pictures.iterdir()} == before


def test_an_estimate_repeats_a_result_that_lies_where_a_run_would_write(
    pictures, monkeypatch, capsys
):
    monkeypatch.chdir(pictures)
    assert cli.main(["stylize", "my photo.png", "painting.jpg", *QUICK, "--quiet"]) == 0
    assert cli.main(["estimate", "--from", "out.png", "--size", "64"]) == 0
    assert "64 x 43 pixels" in capsys.readouterr().out


def test_frames_that_are_never_due_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo", *QUICK, "--save-every", "50"]) == 0
    told = "nst: warning: no frame will be saved: --save-every is 50, and there are 3 steps\n"
    assert capsys.readouterr().err.startswith(told)


def test_one_is_no_plural(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (
        cli.main(
            ["estimate", "--steps", "1", *QUICK[:2], *QUICK[4:], str(demo.content_path()), "waves"]
        )
        == 0
    )
    title, scale, _ = capsys.readouterr().out.splitlines()
    assert ", 1 scale, 1 step, " in title
    assert " 1 step of " in scale


def test_a_run_begins_with_its_estimate(tmp_path):
    first = nst("demo", *QUICK, cwd=tmp_path).stdout.splitlines()[:3]
    assert first[0].startswith("41 x 48 pixels")
    assert "3 steps of" in first[1]
    assert first[2].startswith("about ")


def test_of_a_run_that_takes_long_it_is_said_what_would_be_sooner(pictures, monkeypatch, capsys):
    monkeypatch.chdir(pictures)
    assert cli.main(["demo", *QUICK]) == 0
    assert "sooner: " not in capsys.readouterr().out
    monkeypatch.setattr(commands, "LONG", 0)
    assert cli.main(["demo", *QUICK, "--model", "vgg16-slim"]) == 0
    assert "memory\nsooner: a smaller --size, --effort draft\n" in capsys.readouterr().out


def test_of_a_run_that_ended_early_it_is_said_why(pictures, monkeypatch, capsys):
    monkeypatch.chdir(pictures)
    words = ["demo", "--size", "32", "--steps", "60", "--device", "cpu"]
    assert cli.main([*words, "--until", "50"]) == 0
    told = capsys.readouterr().out
    assert re.search(
        r"\nended after \d+ of 60 steps: more .* \(--until 0 goes on\)\nout.png\n", told
    )
    assert cli.main([*words, "--until", "0"]) == 0
    assert "ended" not in capsys.readouterr().out


def test_a_picture_that_cannot_fit_is_refused_before_it_is_painted(pictures):
    options = ["--size", "9000", "--memory", "700MB"]
    error = error_of("stylize", "my photo.png", "painting.jpg", *options, cwd=pictures)
    assert "painting 9000 x 6000 pixels takes" in error
    assert "there is 700 MB for it; use --size" in error
    assert not (pictures / "out.png").exists()


def test_the_demo_paints_a_picture_that_says_how_it_was_made(tmp_path):
    done = nst("demo", *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "out.png"
    assert "on cpu" in done.stdout
    assert "step 3/3" in done.stderr
    assert images.load(tmp_path / "out.png").shape == (3, 48, 41)  # Grace Hopper is 512 x 600
    texts = images.read_metadata(tmp_path / "out.png")
    assert json.loads(texts["nst settings"])["steps"] == 3
    assert json.loads(texts["nst losses"])["step"] == 3
    assert texts["nst model"].startswith("vgg16-slim sha256 ")


def test_own_pictures_and_everything_that_can_be_written_beside(pictures):
    options = ["-o", "a result.png", "--plot", "--save-every", "2", "--log", "losses.csv"]
    done = nst("stylize", "my photo.png", "painting.jpg", *options, *QUICK, cwd=pictures)
    assert done.returncode == 0, done.stderr
    written = {path.name for path in pictures.iterdir()} - {"my photo.png", "painting.jpg"}
    assert written == {
        "a result.png",
        "a result-00002.png",
        "a result-triptych.png",
        "a result-losses.png",
        "losses.csv",
    }
    assert images.load(pictures / "a result.png").shape == (3, 32, 48)
    rows = list(csv.DictReader((pictures / "losses.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["total"]) < float(rows[0]["total"])


def test_the_same_seed_gives_the_same_file(pictures):
    for name in ("one.png", "two.png"):
        run = ["stylize", "my photo.png", "painting.jpg", "--init", "noise", "--seed", "7"]
        assert nst(*run, *QUICK, "-o", name, cwd=pictures).returncode == 0
    one, two = (np.asarray(Image.open(pictures / name)) for name in ("one.png", "two.png"))
    np.testing.assert_array_equal(one, two)


def test_a_painting_that_comes_along_can_be_named(pictures):
    done = nst("stylize", "my photo.png", "waves", *QUICK, "-o", "out.jpg", cwd=pictures)
    assert done.returncode == 0, done.stderr
    assert (pictures / "out.jpg").read_bytes().startswith(b"\xff\xd8")  # JPEG's first bytes


def test_quiet_is_silent(pictures):
    done = nst("stylize", "my photo.png", "painting.jpg", *QUICK, "--quiet", cwd=pictures)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.usefixtures("heard")
def test_ctrl_c_saves_what_there_is_and_says_where(pictures):
    """At a coarse scale still: the result must have the full size all the same.

    So many steps take hours, and so the run is saved without being asked.
    """
    command = [sys.executable, "-m", "nst", "stylize", "my photo.png", "painting.jpg"]
    command += ["--size", "256", "--steps", "100000", "--scales", "2", "--log", "steps.csv"]
    log = pictures / "steps.csv"
    process = subprocess.Popen(command, cwd=pictures, stderr=subprocess.PIPE, text=True)
    while not (log.exists() and log.read_text().count("\n") > 3):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted. The picture after step " in complaint
    assert complaint.rstrip().endswith("is in out.png. `nst resume out-checkpoint` goes on.")
    assert "Traceback" not in complaint
    assert images.load(pictures / "out.png").shape == (3, 171, 256)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["stylize", "nowhere.jpg", "painting.jpg"], "content image not found: nowhere.jpg"),
        (["stylize", "my photo.png", "nowhere.jpg"], "style image not found: nowhere.jpg"),
        (["demo", "--size", "8"], "--size is 8; it must be between 16 and"),
        (["demo", "--size", "big"], "argument --size: invalid int value: 'big'"),
        (["demo", "--steps", "-1"], "--steps is -1; it must be at least 0"),
        (["demo", "--style-weight", "nan"], "--style-weight is nan"),
        (["demo", "--model", "vgg17"], "unknown model 'vgg17'"),
        (["demo", "--model", "vgg16"], "not installed; run `nst models fetch vgg16`, or"),
        (["models", "fetch", "vgg17"], "unknown model 'vgg17'"),
        (["models", "fetch"], "required: NAME"),
        (["models", "add", "vgg16", "nowhere.h5"], "weights file not found: nowhere.h5"),
        (["models", "add", "vgg16", "my photo.png"], "choose .h5, .safetensors, .onnx, .npz"),
        (["demo", "--output", "out.gif"], "out.gif"),
        (["demo", "--output", "no folder/out.png"], "no folder"),
        (["demo", "--log", "no folder/log.csv"], "no folder/log.csv"),
        (["demo", "--init", "chaos"], "--init is 'chaos'; choose content, noise, style, or"),
        (["demo", "--device", "cuda"], "--device cuda"),
        (["stylize", "my photo.png", "waves", "-o", "my photo.png"], "would overwrite an input"),
        (["export", "--taps", "relu9_9"], "has no tap 'relu9_9'; it has conv1_1, relu1_1,"),
        (["export", "--taps", ","], "no taps given"),
        (["stylize", "my photo.png", "waves", "-o", "folder"], "folder: it is a folder; name a"),
        (["stylize", "my photo.png", "waves", "-o", ".", "--plot"], "is a folder; name a file in"),
        (["stylize", "my photo.png", "waves", "--report", "/"], "--report is /: that is a folder"),
        (["stylize", "my photo.png", "waves", "-o", ""], "--output: the name is empty; give that"),
        (["stylize", "", "waves"], "argument CONTENT: the name is empty"),
        (["stylize", "my photo.png", ""], "cannot read an image without a name"),
        (["stylize", "my photo.png", "painting.jpg:x"], "'x' is no weight: give a number behind"),
        (["stylize", "my photo.png", "painting.jpg:"], "the colon, such as painting.jpg:2."),
        (["video", "my photo.png", "-o", ""], "--output: the name is empty; give that"),
        (["demo", "--memory", "2"], "--memory is '2', which is 2 bytes; give its unit too, such"),
        (["paint"], "invalid choice: 'paint'"),
        (["demo", "--recipe", 500 * "x"], "'spst', 'hvass', 'w2'); see `nst demo --help`."),
        (["lesson", "my photo.png", "--export", "my photo.png"], "would overwrite an input"),
        (
            ["lesson", "my photo.png", "painting.jpg", "--export", "painting.jpg"],
            "would overwrite",
        ),
        (["lesson", "--export", "folder"], "folder: it is a folder; name a file in it"),
        (["studio", "--no-browser", "-o", "painting.jpg"], "cannot make the folder painting.jpg"),
        (["studio", "--no-browser", "-o", "painting.jpg/x"], "cannot make the folder painting.jp"),
        (["studio", "--no-browser", "--model", "vgg17"], "unknown model 'vgg17'"),
        (["studio", "--no-browser", "--memory", "much"], "--memory is 'much'"),
        (["studio", "--no-browser", "--port", "70000"], "give a number from 0 to 65535"),
        (["batch", "my photo.png", "--style", "waves", "-o", "-"], "for `nst stylize` alone"),
        (["export", "-o", "-"], "--output: - is standard output, for `nst stylize` alone"),
        (["demo", "--log", "-"], "--log: - is standard output, for `nst stylize` alone"),
        (["batch", "my photo.png", "--style", "-", "-o", "out"], "files, not standard input"),
        (
            ["batch", "my photo.png", "--style", "waves", "--init", "-", "-o", "out"],
            "a batch reads files, not standard input",
        ),
        (
            ["stylize", "my photo.png", "waves", "--style-mask", "a", "--style-mask", "b"],
            "--style-mask is given 2 times, and there is 1 style;",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(pictures, arguments, expected):
    before = {path: path.read_bytes() for path in pictures.iterdir()}
    (pictures / "folder").mkdir()
    environment = os.environ | {"NST_MODELS": str(pictures / "models")}
    done = nst(*arguments, cwd=pictures, env=environment, timeout=60)
    assert done.returncode == 2, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert len(done.stderr) < LONGEST
    assert done.stderr.startswith("nst: ")
    assert expected in done.stderr
    assert not any((pictures / "folder").iterdir())
    (pictures / "folder").rmdir()
    assert {path: path.read_bytes() for path in pictures.iterdir()} == before


def test_an_unknown_painting_is_told_the_four(pictures):
    for command in (["demo", "glas"], ["stylize", "my photo.png", "Glas:2"]):
        told = error_of(*command, cwd=pictures)
        assert "swirl, glass, waves, garden; did you mean glass?" in told
    assert "garden." in error_of("demo", "cubism", cwd=pictures)


@pytest.mark.parametrize(
    "arguments",
    [
        ["stylize", "https://example.com/a.jpg", "waves"],
        ["stylize", "my photo.png", "https://example.com/a.jpg"],
        ["demo", "--style", "https://example.com/a.jpg:2"],
        ["demo", "waves", "--style-mask", "https://example.com/a.jpg"],
        ["demo", "waves", "--content-mask", "https://example.com/a.jpg"],
        ["demo", "--init", "https://example.com/a.jpg"],
        ["stylize", "--from", "https://example.com/a.jpg"],
    ],
)
def test_an_address_of_the_web_is_told_that_files_are_wanted(
    pictures, arguments, monkeypatch, capsys
):
    monkeypatch.chdir(pictures)
    assert cli.main(arguments) == 2
    told = capsys.readouterr().err
    assert "https://example.com/a.jpg" in told
    assert "nst reads files: download it" in told
    assert told.count("\n") == 1


def test_a_run_says_whose_style_it_takes_and_that_it_enlarges(pictures, monkeypatch, capsys):
    monkeypatch.chdir(pictures)
    quick = ["--steps", "1", "--scales", "1", "--device", "cpu"]
    assert cli.main(["stylize", "my photo.png", *quick, "--size", "128"]) == 0
    title = capsys.readouterr().out.splitlines()[0]
    assert title.endswith("in the style of swirl; the photograph, 120 x 80, is enlarged")
    assert cli.main(["stylize", "my photo.png", "painting.jpg", *quick, "--size", "120"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("in the style of painting.jpg")
    assert cli.main(["demo", *quick, "--size", "48"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("in the style of swirl")


def test_steps_of_a_smaller_picture_are_warned_of(pictures, monkeypatch, capsys):
    monkeypatch.chdir(pictures)
    assert cli.main(["demo", "--quiet", *QUICK]) == 0
    estimate = ["estimate", "--from", "out.png", "--scales", "auto"]
    assert cli.main(estimate) == 0
    assert capsys.readouterr().err == ""
    assert cli.main([*estimate, "--size", "96"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nst: warning: out.png was painted in 3 steps, and so is this at ")
    assert "give --steps" in line
    assert cli.main([*estimate, "--size", QUICK[QUICK.index("--size") + 1]]) == 0
    assert capsys.readouterr().err == ""
    assert cli.main([*estimate, "--size", "96", "--steps", "5"]) == 0
    assert capsys.readouterr().err == ""


def test_progress_into_a_file_is_plain_lines(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    losses = {"total": 1.0, "content relu3_3": 0.5, "style relu1_1": 0.25}
    with terminal.ProgressBar(quiet=False) as bar:
        for step in range(1, 101):
            now[0] += 0.5
            bar.show(Progress(step, 100, Scale(30, 40, 100), step / 100, step / 2, losses, None))
    with terminal.DownloadBar(quiet=False) as bar:
        for step in range(1, 101):
            now[0] += 0.5
            bar.show("example.com", step * 10**6, 10**8)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == 20
    assert lines[0] == " 10%  5 s, 45 s left  40 px, step 10/100  content 0.5  style 0.25"
    assert lines[9].startswith("100%  50 s, 0 s left  40 px, step 100/100")
    assert lines[10] == " 10%  of 100 MB  example.com"
    assert "\r" not in err
    with terminal.ProgressBar(quiet=True) as bar:
        bar.show(Progress(1, 1, Scale(30, 40, 1), 1.0, 1.0, losses, None))
    assert capsys.readouterr().err == ""


def test_errors_of_onnx_and_its_runtime_are_one_line(pictures, monkeypatch, capsys):
    monkeypatch.chdir(pictures)
    (pictures / "bad.onnx").write_bytes(b"no model\n" * 100)
    assert cli.main(["demo", "--model", "bad.onnx"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert len(told) < 350

    class Runtime:
        def __init__(self, *_):
            pass

        def __getattr__(self, name):
            raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL :\n" + "a long story\n" * 100)

    class Opened(Runtime):
        SessionOptions = onnxruntime.SessionOptions

    monkeypatch.setattr(devices, "onnxruntime", Opened)
    monkeypatch.setattr(runtime, "_share_one_arena", lambda *_: None)
    assert cli.main(["demo", *QUICK]) == 2
    told = capsys.readouterr().err
    assert "ONNX Runtime cannot open the network on cpu: [ONNXRuntimeError] : 1 : FAIL" in told
    assert told.count("\n") == 1
    assert len(told) < 400


def test_the_wheel_needs_build_and_no_more():
    root = Path(cli.__file__).parents[1]
    command = ["make", "--dry-run", "--always-make", "wheel"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    installs = [line for line in done.stdout.splitlines() if "pip install" in line]
    assert [line.split()[-1] for line in installs] == ["'build>=1.2'"]
    assert "-m build --wheel" in done.stdout


def test_a_file_that_is_no_image_is_named(pictures):
    (pictures / "notes.jpg").write_text("not a picture")
    assert "notes.jpg" in error_of("stylize", "notes.jpg", "waves", cwd=pictures)


def test_a_warning_is_one_line(pictures, capsys):
    terminal.show_warning(NstWarning("the profile is broken; it was left out"))
    assert capsys.readouterr().err == "nst: warning: the profile is broken; it was left out\n"


def test_export_writes_the_pair(tmp_path):
    done = nst("export", "--taps", "relu1_1, relu2_1", "-o", ".", cwd=tmp_path)
    assert done.stdout.splitlines() == ["vgg16-slim.forward.onnx", "vgg16-slim.backward.onnx"]
    assert all((tmp_path / name).is_file() for name in done.stdout.splitlines())


def test_recipes_are_listed_and_printed_in_full(capsys):
    assert cli.main(["recipes"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(RECIPES)
    assert cli.main(["recipes", "gatys"]) == 0
    printed = capsys.readouterr().out
    assert "NeuralStyleTransfer.ipynb" in printed
    assert "0.0038147 at relu4_1, relu5_1" in " ".join(printed.split())


def test_doctor_finds_a_working_installation(tmp_path):
    done = nst("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "CPUExecutionProvider" in done.stdout
    assert "13 convolutions" in done.stdout
    assert done.stdout.splitlines()[-1] == "nothing is wrong"


def test_version_and_help(tmp_path):
    assert nst("--version", cwd=tmp_path).stdout.startswith("nst ")
    for command in ("stylize", "demo", "export", "models", "doctor"):
        assert nst(command, "--help", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_does_not_say_that_a_switch_is_on(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([*command.split(), "--help"])
    assert "default: True" not in capsys.readouterr().out


HEAVY = {"onnx", "onnxruntime", "matplotlib", "cupy", "PIL.PngImagePlugin", "tqdm", "scipy"}
HEAVY |= {"requests", "urllib3", "filelock", "h5py", "safetensors", "threadpoolctl", "psutil"}
ARRAYS = {"numpy", "PIL", "msgspec"}


def imported_by(code):
    """Return the modules that a Python has loaded at the end of ``code``, whatever ends it."""
    code = f"""
import sys
try:
    {code}
except SystemExit:
    pass
print("these:", *sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split("these:")[1].split())


@pytest.mark.parametrize(
    "words", ["--help", "--version", "", "paint", "models --help", "doctor 1"]
)
def test_help_needs_no_arrays(words):
    imported = imported_by(f"from nst.cli import main; main({words.split()})")
    assert "nst.cli" in imported
    assert not (HEAVY | ARRAYS | {"nst.arguments", "nst.stylize"}) & imported


@pytest.mark.parametrize("words", ["stylize --help", "demo --size 1", "recipes gatys", "models"])
def test_what_paints_nothing_stays_light(words):
    """What takes long to import is imported where it is used."""
    imported = imported_by(f"from nst.cli import main; main({words.split()})")
    assert {"nst.arguments", "numpy"} <= imported
    assert not HEAVY & imported


def test_painting_imports_nothing_for_plots_or_the_web(tmp_path):
    words = ["demo", *QUICK, "--output", str(tmp_path / "out.png")]
    imported = imported_by(f"from nst.cli import main; main({words})")
    assert "onnxruntime" in imported
    assert not {"matplotlib", "requests", "urllib3", "h5py", "safetensors", "cupy"} & imported


def test_importing_nst_imports_nothing_yet():
    assert not (HEAVY | ARRAYS) & imported_by("import nst")


def test_public_names_are_there_whatever_was_imported_before():
    code = """import nst
    assert callable(nst.stylize) and nst.__version__ and nst.Settings.model == "auto"
    assert nst.vgg.Vgg and nst.kernels.of and nst.objective.Objective and nst.recipes.RECIPES
    import nst.stylize
    from nst.stylize import step
    from nst import *
    assert nst.stylize is stylize and stylize.__name__ == "stylize"
    assert not set(nst.__all__) - set(dir(nst))
    assert not hasattr(nst, "sketch") and not hasattr(nst, "__wrapped__")"""
    assert "nst.stylize" in imported_by(code)
    modules_first = """import nst.stylize, nst.many.batch
    assert callable(nst.stylize) and callable(nst.batch)"""
    assert "nst.many.batch" in imported_by(modules_first)


def parser_of(name):
    parser = cli._parser(name.split())
    for word in name.split():
        (choices,) = (
            action.choices for action in parser._actions if action.dest == "==SUPPRESS=="
        )
        parser = choices[word]
    return parser


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS if name != "models"])
def test_a_command_is_where_the_table_says_and_does_what_it_says(name):
    command = cli.COMMANDS[name]
    assert inspect.getdoc(cli._function(command.place)).split("\n")[0] == command.help
    told = {action.dest: None for action in parser_of(name)._actions} | parser_of(name)._defaults
    assert told.pop("command") == name
    del told["help"]
    inspect.signature(cli._function(command.place)).bind(**told)
    assert bool(told) == bool(command.arguments)


def test_defaults_live_in_settings_only():
    options = vars(cli._parser().parse_args(["stylize", "a.png", "b.png"]))
    defaults = Settings.__dataclass_fields__
    others = {"command", "quiet", "source", "styles", "style_mask", "content_mask", "tap_weights"}
    others |= {"as_json", "workers", "scheduler"}
    assert set(options) == set(defaults) - {"content_taps", "style_taps"} | others
    for name, value in options.items():
        if name not in ("content", "style", *others):
            assert value == defaults[name].default, name


def test_without_a_word_it_is_help_that_is_shown(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 0
    assert "stylize" in capsys.readouterr().out


MEANT = [
    (["demo", "--colour", "match"], "--colour; did you mean --color? See `nst demo --help`."),
    (["stylize", "a", "b", "--style_weight=3"], "did you mean --style-weight? See `nst stylize "),
    (
        ["models", "add", "x", "--preprocess3", "y"],
        "--preprocessing? See `nst models add --help`.",
    ),
    (["demo", "--recipe", "neighbors"], "did you mean neighbours? See `nst demo --help`."),
    (["stylise", "a", "b"], "did you mean stylize? See `nst --help`."),
    (["demo", "--sise", "3", "--stepz", "3"], "did you mean --size and --steps? See `nst demo "),
    (["demo", "--xyzzy"], "arguments: --xyzzy; see `nst demo --help`."),
    (["demo", "--color", "xyzzy"], "'match'); see `nst demo --help`."),
]


@pytest.mark.parametrize(("words", "expected"), MEANT, ids=[" ".join(words) for words, _ in MEANT])
def test_a_word_near_a_known_one_is_asked_about(words, expected, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


LONG_WORDS = {
    "xxx' (choose from": ["estimate", "a.png", "--pooling", "x" * 5000],
    "...x y x y": ["models", "add", "vgg16", "a.npz", "--preprocessing", "x y " * 90],
    "unrecognized arguments: --yyy": ["demo", "--" + "y" * 5000],
}


@pytest.mark.parametrize("expected", LONG_WORDS)
def test_a_word_of_a_page_is_cut_in_what_is_said_of_it(expected, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(LONG_WORDS[expected])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert "..." in line
    assert line.endswith("--help`.")
    assert len(line) < 450


def test_a_model_of_any_name_is_one_short_line(pictures, monkeypatch, capsys):
    monkeypatch.chdir(pictures)
    assert cli.main(["demo", "--quiet", *QUICK]) == 0
    texts = images.read_metadata("out.png") | {"nst model": "\x1b[2Jlarge " * 400}
    images.save("out.png", images.load("out.png"), metadata=texts)
    assert cli.main(["estimate", "--from", "out.png"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nst: warning: out.png was painted with ")
    assert line.endswith("; the result will differ: see `nst models`")
    assert len(line) < 300
