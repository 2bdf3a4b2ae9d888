"""Text from outside: whatever is wrong with it is one line, and what is right is read."""

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hostile import DEEP, SHELL, VALUES, changed, mutated, places
from refusals import refusal_of

from nst import cli, schema, terminal
from nst.arguments import options_of
from nst.errors import NstError, brief, printable
from nst.lookup import Lookup
from nst.pictures import images
from nst.run.inputs import override
from nst.run.scales import scales_for
from nst.settings import APART, Painting, Settings

# As nst 0.1.0 wrote it into a PNG.
OF_VERSION_0_1 = (
    '{"content": "photograph.png", "style": [{"path": "painting.png", "weight": 2.0, "mask": '
    'null, "region": "left.png"}], "output": "out.png", "size": 160, "steps": [4, 3], "scales": 2,'
    ' "scale_factor": null, "model": "vgg16-slim", "device": "cpu", "recipe": "nst", '
    '"content_weight": 1.0, "style_weight": 2, "tv_weight": 1.0, "content_taps": null, '
    '"style_taps": {"relu1_1": 2, "relu2_1": 0.5}, "strength": 1.0, "style_scale": 1.0, "color": '
    '"style", "optimizer": "adam", "pooling": null, "init": "painting.png", "conv": "auto", '
    '"precision": "float32", "seed": 5, "save_every": 2, "plot": true, "log": "losses.csv", '
    '"memory": "auto", "report": "r.html", "checkpoint": null}'
)


@pytest.fixture
def beside(files, left, monkeypatch):
    """The folder of the pictures that the text above names, as the current one."""
    monkeypatch.chdir(files)
    return files


def check_line(message):
    assert message == " ".join(message.splitlines())
    assert len(message) < 5000  # a path may be long


def read(text):
    """Read settings as --from does, and plan the run; return the settings, or the one line."""
    try:
        settings = Settings.from_json(text, Lookup(), APART)
        scales_for(90, 75, settings)
        override(settings)
        assert Settings.from_json(settings.as_json()) == settings
    except NstError as error:
        check_line(printable(error))
        return str(error)
    return settings


# ---- Settings --------------------------------------------------------------------------


def test_what_version_0_1_wrote_is_read(beside):
    settings = Settings.from_json(OF_VERSION_0_1)
    assert settings.style == (Painting("painting.png", 2.0, region="left.png"),)
    assert (settings.size, settings.steps, settings.init) == (160, (4, 3), "painting.png")
    assert settings.style_taps == {"relu1_1": 2, "relu2_1": 0.5}
    assert (settings.output, settings.log) == (Path("out.png"), Path("losses.csv"))
    kept = Settings.from_json(OF_VERSION_0_1, without=APART)
    assert (kept.log, kept.plot, kept.save_every) == (None, False, 0)


def test_a_byte_order_mark_is_no_harm(beside):
    assert read("\ufeff" + OF_VERSION_0_1) == read(OF_VERSION_0_1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is not JSON: "),
        ("null", "expected object, got null"),
        ("[]", "expected object, got array"),
        ("{}", "missing required field content"),
        (DEEP, "is not JSON: brackets are nested too deep"),
        (DEEP[:40_000].replace("[", '{"a":'), "is not JSON: brackets are nested too deep"),
        ('{"content": "a.png", "content": "b.png"}', "is not JSON: 'content' is there twice"),
        ('{"size": ' + "9" * 5000 + "}", "is not JSON: "),
        ('{"size": "' + "9" * 300_000 + '"}', "characters, more than 250000"),
        ('{"content": "photograph.png", "style": ', "is not JSON: "),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_settings_at_all(text, told):
    assert told in read(text)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("size", "true", "size: expected int | null, got bool"),
        ("size", "1.5", "size: expected int | null, got float"),
        ("seed", "NaN", "seed: expected int, got float"),
        ("steps", "[4, true]", "steps[1]: expected int, got bool"),
        ("strength", "true", "strength: expected float, got bool"),
        ("strength", "NaN", "--strength is nan; it must be between 0 and 1."),
        ("strength", "1e999", "--strength is inf; it must be between 0 and 1."),
        ("style_weight", "Infinity", "--style-weight is inf; it must be at most 1e+12."),
        ("style", "3", "style: expected array, got int"),
        ("style", '{"path": "painting.png"}', "style: expected array, got object"),
        ("style", "[{}]", "style[0]: object missing required field path"),
        ("style", '[{"path": 3}]', "style[0].path: expected Path, got int"),
        ("style", '[{"path": "a", "brush": 3}]', "style[0]: object contains unknown field brush"),
        ("style_taps", '{"relu1_1": [1]}', "style_taps[...]: expected float, got array"),
        ("content", '"a\\u0000b"', "content: expected a path, got 'a\\x00b'"),
        ("content", '"\\ud800"', "content: expected a path, got '\\ud800'"),
        ("size", "1" + "0" * 400, "--size is 1000"),
        ("steps", "1000000000", "--steps is 1000000000; it must be at most 1e+06."),
        ("steps", "[999999, 2]", "--steps is 1000001 in all; it must be at most 1000000."),
        ("seed", "1" + "0" * 400, "it must be at most 1.84467e+19."),
        ("style_weight", "1" + "0" * 400, "out of range"),
        ("scales", "[" + "17," * 99 + "18]", "give whole numbers, 64 at most"),
        ("plot", "1", "plot: expected bool, got int"),
        ("brushes", "3", "has what this nst does not know: brushes."),
    ],
)
def test_what_is_wrong_is_named_with_its_place(beside, name, value, told):
    said = json.loads(OF_VERSION_0_1)
    said.pop(name, None)
    text = f'{{"{name}": {value}, {json.dumps(said)[1:]}'
    if name == "plot":  # which --from leaves out, but not unread
        assert told in refusal_of(Settings.from_json, text)
    assert told in read(text)


def test_a_memory_beyond_all_numbers_is_one_line(beside):
    assert "--memory is " in refusal_of(
        Settings.from_json, json.dumps(json.loads(OF_VERSION_0_1) | {"memory": "9" * 500 + "GB"})
    )


def test_every_odd_value_at_every_place_is_one_line_or_is_read(beside):
    said = json.loads(OF_VERSION_0_1)
    refused = 0
    for place in places(said):
        for value in VALUES:
            refused += isinstance(read(json.dumps(changed(said, place, value))), str)
    assert 0.6 < refused / (len(places(said)) * len(VALUES)) < 1


def test_mutated_texts_are_one_line_or_are_read(beside):
    chance = random.Random(1853)
    for _ in range(300):
        said = json.loads(OF_VERSION_0_1)
        for _ in range(chance.randint(1, 3)):
            said = mutated(said, chance)
        text = json.dumps(said)
        if chance.random() < 0.2:
            cut = chance.randrange(len(text))
            text = text[:cut] + chance.choice(["", "\0", '"', "}", "\x1b", "é"]) + text[cut + 1 :]
        read(text)


def test_on_the_command_line_it_is_one_line_without_control_characters(beside, tmp_path, capsys):
    chance = random.Random(16)
    path = tmp_path / "result.png"
    texts = [json.dumps(mutated(json.loads(OF_VERSION_0_1), chance)) for _ in range(20)]
    texts += [json.dumps({SHELL: 1}), f'{{"content": {json.dumps(SHELL)}, "style": []}}']
    for text in texts:
        images.save(path, np.zeros((3, 16, 16)), metadata={"nst settings": text})
        # a name that nothing has: it ends at the latest there
        status = cli.main(["estimate", "--from", str(path), "--style", "nowhere.png"])
        captured = capsys.readouterr()
        assert status == 2, text
        assert captured.err.count("\n") == 1
        assert captured.err[:-1].isprintable()


@pytest.mark.parametrize("text", [DEEP, "3", '{"a.png": 3}', "nonsense", "\ufeff[]"])
def test_hashes_of_inputs_that_are_none_are_one_line(beside, tmp_path, capsys, text):
    path = tmp_path / "result.png"
    metadata = {"nst settings": OF_VERSION_0_1, "nst inputs": text}
    images.save(path, np.zeros((3, 16, 16)), metadata=metadata)
    assert cli.main(["estimate", "--from", str(path)]) == 2
    told = capsys.readouterr().err
    assert "result.png says of its inputs " in told
    assert told.count("\n") == 1


# ---- Tables of weights -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"style = 3\n", "style: expected object, got int"),
        (b"content = []\n", "content: expected object, got array"),
        (b"[style]\nrelu1_1 = true\n", "the style weight of relu1_1 is True; it must be a number"),
        (b"[style]\nrelu1_1 = nan\n", "the style weight of relu1_1 is nan; it must be a number"),
        (b"[style]\nrelu1_1 = inf\n", "the style weight of relu1_1 is inf; it must be a number"),
        (b"[style]\nrelu1_1 = 1979-05-27\n", "the style weight of relu1_1 is datetime.date"),
        (b"[style]\nrelu1_1.a = 1\n", "the style weight of relu1_1 is {'a': 1}"),
        (b"[style]\nrelu1_1 = " + b"9" * 5000, "is not TOML: "),
        (b"[style]\nrelu1_1 = 1" + b"0" * 400, "the style weight of relu1_1 is 1000"),
        (b"[style]\nrelu1_1 = 1\nrelu1_1 = 2\n", "is not TOML: "),
        (
            b"[style]\nrelu1_1 = " + DEEP[:9000].encode(),
            "is not TOML: brackets are nested too deep",
        ),
        (b"[style]\n" + b"a." * 4_000 + b"a = 1\n", "the style weight of a is "),
        (b"\xff\xfe[\0s\0", "is not TOML: 'utf-8' codec can't decode"),
        (b"#" * 50_000, "characters, more than 10000"),
        (b"[style]\n'\x1b[31m' = -1\n", "is not TOML: "),
        (b'[style]\n"\\u001b[31m" = -1\n', "the style weight of "),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_a_table_that_is_wrong_is_one_line(beside, tmp_path, data, told):
    path = tmp_path / "taps.toml"
    path.write_bytes(data)

    def read_it():
        Settings("photograph.png", "painting.png", **options_of(tap_weights=path))

    message = refusal_of(read_it)
    assert told in message
    check_line(printable(message))


def test_a_table_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "taps.toml"
    path.write_bytes(b"\xef\xbb\xbf[style]\nrelu1_1 = 2\n")
    assert options_of(tap_weights=path) == {"style_taps": {"relu1_1": 2}}


# ---- Callers from Python ---------------------------------------------------------------


@pytest.mark.parametrize("value", [*VALUES, b"bytes", object(), 3j, np.zeros(3), [None], Settings])
def test_values_of_any_kind_are_one_line_from_python(beside, value):
    names = [name for name in Settings.__dataclass_fields__ if name not in ("content", "style")]
    for name in ("content", "style", *names):
        given = {"content": "photograph.png", "style": "painting.png", "plot": False, name: value}
        try:
            settings = Settings(**given)
        except NstError as error:
            check_line(printable(error))
        else:
            json.loads(settings.as_json())


def test_numbers_of_numpy_are_numbers(beside):
    settings = Settings(
        "photograph.png",
        "painting.png",
        size=np.int64(64),
        steps=(np.uint8(3), np.int32(2)),
        strength=np.float32(0.5),
        style_taps={"relu1_1": np.float64(2)},
    )
    assert Settings.from_json(settings.as_json()) == settings
    assert json.loads(settings.as_json())["size"] == 64


# ---- The door itself -------------------------------------------------------------------


@dataclass
class Kind:
    path: Path
    number: float = 1.0


def test_a_dataclass_is_a_schema():
    text = schema.record(Kind)
    assert schema.given(schema.convert({"path": "a"}, text, "it")) == {"path": Path("a")}
    assert "it cannot be used: number: expected float, got str" in refusal_of(
        schema.convert, {"path": "a", "number": "2"}, text, "it"
    )


def test_printable_shows_what_a_terminal_would_obey():
    assert printable("naïve 絵 file.png") == "naïve 絵 file.png"
    assert printable("a\x1b[2J\n\u202e\udcff\u2028b") == r"a\x1b[2J\n\u202e\udcff\u2028b"
    assert printable(SHELL).isprintable()


def test_brief_is_one_line_of_a_length():
    assert brief(ValueError("a\n  b.\n")) == "a b"
    assert brief(ValueError("")) == "ValueError"
    assert len(brief("long " * 100)) <= 200
    assert brief("long " * 100).endswith("...")


def test_all_that_is_printed_goes_through_one_place(capsys):
    terminal.show_warning(f"{SHELL}\n")
    terminal.say("nst:", SHELL)
    terminal.tell(SHELL, "next")
    captured = capsys.readouterr()
    assert all(line.isprintable() for line in (captured.err + captured.out).splitlines())
    assert (captured.err.count("\n"), captured.out.count("\n")) == (2, 2)
    nst = Path(terminal.__file__).parent
    printing = [p for p in nst.rglob("*.py") if re.search(r"\bprint\(", p.read_text("utf-8"))]
    lesson = nst / "lesson" / "by_hand.py"  # prints its own numbers, for who copies it
    assert set(printing) == {nst / "terminal.py", lesson}
    prints = re.findall(r"print\(.*", (nst / "terminal.py").read_text("utf-8"))
    assert all("map(printable" in line for line in prints)
