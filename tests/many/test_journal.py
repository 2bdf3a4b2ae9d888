"""batch.jsonl has one line a picture, that of its last try, whatever ended a batch."""

import json
from pathlib import Path

import pytest
from refusals import refusal_of

from nst.many.journal import Journal, Record


def record(folder, name, status="painted", **rest):
    return Record("a.jpg", ["b.jpg"], str(folder / name), status, **rest)


def lines(folder):
    return [json.loads(line) for line in (folder / "batch.jsonl").read_text().splitlines()]


def test_a_picture_has_the_line_of_its_last_try(tmp_path):
    first = Journal(tmp_path)
    first.begin([])
    for name in ("x.png", "y.png"):
        first.add(record(tmp_path, name, "failed", error="so"))
    second = Journal(tmp_path)
    second.begin([tmp_path / "x.png"])
    assert [one["output"] for one in lines(tmp_path)] == ["y.png"]
    second.add(record(tmp_path, "x.png"))
    assert [(one["output"], one["status"]) for one in lines(tmp_path)] == [
        ("y.png", "failed"),
        ("x.png", "painted"),
    ]
    assert second.knows(tmp_path / "y.png")
    assert not second.knows(tmp_path / "z.png")


def test_a_line_that_was_cut_short_is_left_out(tmp_path):
    journal = Journal(tmp_path)
    journal.begin([])
    journal.add(record(tmp_path, "x.png"))
    path = tmp_path / "batch.jsonl"
    path.write_text(path.read_text() + '{"content": "a.j')
    again = Journal(tmp_path)
    again.begin([])
    assert [one["output"] for one in lines(tmp_path)] == ["x.png"]


@pytest.mark.parametrize("text", [b"[1]\n", b"{}\n", b"\xff\n", b"words\n", b"[" * 9999 + b"\n"])
def test_what_is_no_journal_is_left_alone(tmp_path, text):
    (tmp_path / "batch.jsonl").write_bytes(text)
    assert "ove " in refusal_of(Journal, tmp_path)
    assert (tmp_path / "batch.jsonl").read_bytes() == text


def test_odd_names_and_numbers_are_json():
    odd = Record("a\udcff\n.jpg", ["☃"], None, "painted", losses={"total": float("nan")})
    line = odd.as_line()
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line)["content"] == "a\udcff\n.jpg"
    assert json.loads(line)["losses"] == {"total": None}


def test_a_folder_that_fails_is_forgotten_next_time(tmp_path):
    journal = Journal(tmp_path)
    journal.begin([])
    journal.add(Record("folder", [], None, "failed", error="so"))
    assert len(lines(tmp_path)) == 1
    Journal(tmp_path).begin([Path(tmp_path, "x.png")])
    assert lines(tmp_path) == []
