"""Batches on a cluster: what is painted there has the bytes of what is painted here."""

import json
from pathlib import Path

import pytest

import nst
from nst.errors import NstError
from nst.pictures import images


@pytest.fixture
def place(tmp_path, files, other, monkeypatch):
    """A folder with three photographs and two styles."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    photograph = images.load(files / "photograph.png")
    images.save(tmp_path / "in" / "a.png", photograph)
    images.save(tmp_path / "in" / "b.png", photograph[:, :, ::-1])
    images.save(tmp_path / "in" / "sub" / "b.jpg", photograph[:, ::-1])
    images.save(tmp_path / "one.png", images.load(files / "painting.png"))
    images.save(tmp_path / "two.png", images.load(other))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paint(quick, folder="out", **more):
    given = {"recursive": True, "workers": 2} | quick | more
    return nst.batch(["in"], ["one.png", "two.png"], folder, **given)


def bytes_in(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file() and path.name != "batch.jsonl"
    }


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.usefixtures("borrowed")
def test_a_batch_on_workers_is_that_of_one_machine_byte_for_byte(place, quick, shared):
    where = {"workers": 2} if shared else {"scheduler": "tcp://somewhere", "workers": None}
    more = {"save_every": 1, "style_weight": 2.0}
    here = paint(quick, "here", workers=None, **more)
    there = paint(quick, "there", **where, **more)
    assert [record.status for record in there] == ["painted"] * 6
    assert [record.content for record in there] == [record.content for record in here]
    assert [record.losses for record in there] == [record.losses for record in here]
    found = bytes_in("there")
    assert len(found) == 18  # and nothing else was left
    assert found == bytes_in("here")
    assert len(Path("there/batch.jsonl").read_text().splitlines()) == 6
    again = paint(quick, "there", **where, **more)
    assert [record.status for record in again] == ["skipped"] * 6
