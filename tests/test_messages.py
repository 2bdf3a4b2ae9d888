"""Error messages are code too: the commands, options and extras that they recommend must exist."""

import errno
import math
import pickle
import re
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import raiser, refusal_of

import nst
from nst import cli
from nst.errors import LONGEST, NstError, NstWarning, in_python, naming, naming_options
from nst.gpu import NoGpuError
from nst.objective.objective import check_finite

ROOT = Path(__file__).parent.parent
PYTHON = "".join(path.read_text() for path in sorted(ROOT.glob("nst/**/*.py")))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def options_of(parser):
    below = parser._subparsers._group_actions[0].choices.values() if parser._subparsers else ()
    return set(parser._option_string_actions).union(*map(options_of, below))


def options_of_all_commands():
    (commands,) = cli._parser()._subparsers._group_actions
    return {name: options_of(parser) for name, parser in commands.choices.items()}


OPTIONS = options_of_all_commands()


def found(pattern):
    return sorted(set(re.findall(pattern, PYTHON)))


@pytest.mark.parametrize("command", found(r"`nst ([a-z]+)"))
def test_recommended_command_exists(command):
    assert command in OPTIONS


@pytest.mark.parametrize("option", found(r"(?<![\w-])--[a-z][a-z-]+"))
def test_recommended_option_exists(option):
    others = {"--version", "--force-reinstall", "--std"}  # of nst itself, of pip and of NVRTC
    others |= {"--no-deps", "--only-binary", "--require-hashes", "--no-cache-dir", "--no-input"}
    others |= {"--disable-pip-version-check", "--no-color", "--dest", "--requirement", "--hash"}
    assert option in set.union(*OPTIONS.values()) | others


@pytest.mark.parametrize("extra", found(r"installing\(['\"](\w+)"))
def test_recommended_extra_exists(extra):
    assert extra in EXTRAS


def test_the_patterns_above_find_something():
    """A pattern that matches nothing would pass for ever."""
    assert found(r"`nst ([a-z]+)")
    assert "--device" in found(r"(?<![\w-])--[a-z][a-z-]+")
    assert {"cpu", "cluster", "heic"} <= set(found(r"installing\(['\"](\w+)"))


# ---- In Python, Python's names ---------------------------------------------------------------

SPOKEN_OF = [  # as it is written, and what Python reads
    ("--size is 3; it must be between 16 and 16384.", "size=3; it must be between 16 and 16384."),
    ("--style-weight is 'a'; give a number.", "style_weight='a'; give a number."),
    ("--steps lists 3 numbers", "steps lists 3 numbers"),
    ("use --size 640 or less, or more --memory.", "use size=640 or less, or more memory."),
    ("beyond --size 640; give a larger --size.", "beyond size=640; give a larger size."),
    ("--device auto takes the CPU", "device='auto' takes the CPU"),
    ("or use --model vgg16-slim, which", "or use model='vgg16-slim', which"),
    ("--style-mask is given 1 times", "mask is given 1 times"),
    ("run `pip install --force-reinstall x`; --log", "run `pip install --force-reinstall x`; log"),
    ("cannot read /a/--size/b: x--size", "cannot read /a/--size/b: x--size"),
]


@pytest.mark.parametrize(("written", "read"), SPOKEN_OF, ids=[text for text, _ in SPOKEN_OF])
@pytest.mark.parametrize("kind", [NstError, NstWarning])
def test_a_message_speaks_of_what_its_reader_can_write(kind, written, read):
    with naming(in_python):
        assert str(kind(written)) == read
        assert str(kind(read)) == read
        with naming_options():
            assert str(kind(written)) == written
        assert str(kind(written)) == read


def test_python_and_the_command_line_each_read_their_own(settings, capsys):
    given = settings().content, settings().style
    words = ["stylize", str(given[0]), str(given[1][0].path), "--size", "3"]
    with naming(in_python):
        with pytest.raises(NstError, match=r"^size=3; it must be between"):
            nst.Settings(*given, size=3)
        with pytest.raises(NstError, match=r"^size=3; it must be between"):
            nst.stylize(*given, size=3)
        assert cli.main(words) == 2
        assert capsys.readouterr().err.startswith("nst: --size is 3; it must be between")
        with pytest.raises(NstError, match=r"^size=3; "):  # also afterwards
            nst.Settings(*given, size=3)


def test_a_program_that_says_nothing_reads_python_s_names(tmp_path):
    code = "from nst.errors import NstError; print(NstError('--size is 3; give more'))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.stdout == "size=3; give more\n"


def test_losses_of_many_names_are_told_in_a_line():
    losses = {"content": 1.0} | {f"style relu{n}_1 mask": math.nan for n in range(60)}
    told = refusal_of(check_finite, losses)
    assert told.startswith("the run left the finite numbers: style relu0_1 mask is nan, style ")
    assert told.endswith(".... Try smaller weights, a smaller step, or another --init.")
    assert len(told) < 300


# Words of a user's that no message may repeat as they are.
WORDS = ("\u202egnp.exe", "\x1b[2J", "a\nb", "\udcff", "x" * 5000, "so many words " * 500)
SPOKEN = st.text(max_size=400) | st.sampled_from(WORDS)


@pytest.mark.parametrize("kind", [NstError, NstWarning, NoGpuError])
@given(word=SPOKEN, other=SPOKEN)
def test_every_message_is_readable_whatever_word_is_in_it(kind, word, other):
    told = str(kind(f"cannot read {word} beside {other}: it is a folder; name a file in it"))
    assert told.isprintable()
    assert len(told) <= LONGEST
    assert told.startswith("cannot read ")
    assert told.endswith("name a file in it")
    assert str(kind(told)) == told
    assert str(pickle.loads(pickle.dumps(kind(told)))) == told


def test_a_message_of_ordinary_words_is_told_as_it_is():
    said = f"cannot read {'folder/' * 30}photograph.png: it is a folder; name a file in it"
    assert str(NstError(said)) == said


@pytest.mark.parametrize(
    "word",
    [*WORDS[:3], "x" * 300 + ".png", "x" * 4000],
    ids="turned clear lines long page".split(),
)
@pytest.mark.parametrize("option", ["--style-mask", "--tap-weights", "--output", "--init"])
def test_a_word_naming_options_is_told_readably(option, word, files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    words = ["estimate", "photograph.png", "painting.png", "--model", "tiny.onnx", option, word]
    assert_one_line([*words, "--size", "32"], capsys)
    assert_one_line([*words, "--size", word], capsys)


def assert_one_line(words, capsys):
    with suppress(SystemExit):
        cli.main(words)
    (line,) = capsys.readouterr().err.splitlines() or [""]
    assert line.isprintable()
    assert len(line) <= 300


def test_a_refusal_of_the_system_is_told_readably(monkeypatch, capsys):
    failure = OSError(errno.EIO, "Input/output error", "\u202e" + "x" * 5000)
    monkeypatch.setitem(cli.COMMANDS, "doctor", cli.COMMANDS["doctor"]._replace(question=False))
    monkeypatch.setattr("nst.doctor.examine", raiser(failure))
    assert_one_line(["doctor"], capsys)


def test_errors_told_to_a_user_all_come_from_one_place():
    """A class that forgot to call the constructor would repeat a word as it is."""
    below = re.findall(
        r"class (\w+)\((?:NstError|NstWarning)\):\n(.*?)(?=\nclass |\ndef |\Z)", PYTHON, re.S
    )
    assert len(below) >= 2
    assert not [name for name, body in below if "__init__" in body or "__str__" in body]
