"""Files, folders and globs become photographs, each once, and each with a name of its own."""

import os
from pathlib import Path

import numpy as np
import pytest
from refusals import refusal_of

from nst.many.photographs import LONGEST_NAME, find, names_of
from nst.pictures import images


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.PNG", "notes.txt", ".hidden.jpg", "._a.jpg", "sub/c.webp"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"-")
    return tmp_path


def found(*words, recursive=False):
    there = find(words, Path("out"), recursive)
    assert not there.unreadable
    return [(str(one.path), str(one.below)) for one in there.photographs]


def test_a_folder_is_its_pictures_and_a_file_is_itself(place):
    assert found("in") == [("in/a.jpg", "."), ("in/b.PNG", ".")]
    assert found("in", recursive=True)[2:] == [("in/sub/c.webp", "sub")]
    assert found("in/notes.txt") == [("in/notes.txt", ".")]
    assert found("in/sub", "in") == [("in/sub/c.webp", "."), ("in/a.jpg", "."), ("in/b.PNG", ".")]


def test_a_glob_is_what_it_matches(place):
    assert found("in/*.jpg") == [("in/a.jpg", ".")]
    assert found("in/**/*.webp", recursive=True) == [("in/sub/c.webp", ".")]
    Path("in/[x]*.jpg").write_bytes(b"-")
    assert found("in/[x]*.jpg") == [("in/[x]*.jpg", ".")]  # such a file there is


def test_what_is_named_twice_is_painted_once(place):
    assert found("in/a.jpg", "in", str(place / "in/a.jpg")) == [
        ("in/a.jpg", "."),
        ("in/b.PNG", "."),
    ]
    os.symlink("a.jpg", "in/link.jpg")
    assert found("in/link.jpg", "in/a.jpg") == [("in/link.jpg", ".")]


def test_a_circle_of_links_is_walked_once(place):
    os.symlink("..", "in/sub/up")
    assert len(found("in", recursive=True)) == 3


def test_what_is_no_file_is_not_found_but_may_be_named(place):
    """Nobody writes into a pipe that lies in a folder: reading it would never end."""
    os.mkfifo("in/pipe.png")
    os.symlink("/dev/zero", "in/zero.png")
    os.symlink("nowhere.png", "in/broken.png")
    os.symlink("a.jpg", "in/link.png")
    assert [name for name, _ in found("in")] == ["in/a.jpg", "in/b.PNG", "in/broken.png"]
    assert [name for name, _ in found("in/*.png")] == ["in/broken.png", "in/link.png"]
    assert found("in/pipe.png") == [("in/pipe.png", ".")]


def test_an_empty_folder_says_where_else_pictures_may_be(place):
    Path("empty/more").mkdir(parents=True)
    assert "--recursive looks" in refusal_of(find, ["empty"], Path("out"), False)
    assert "--recursive" not in refusal_of(find, ["empty"], Path("out"), True)


def test_a_picture_of_nst_elsewhere_is_a_photograph(place):
    mark = {"nst run": "0" * 64}
    for name in ("in/z.png", "out/z.png", "in/z.jpg", "out/z.jpg"):
        Path(name).parent.mkdir(exist_ok=True)
        images.save(name, np.zeros((3, 16, 17), np.float32), metadata=mark)
    Path("out/foreign.jpg").write_bytes(b"-")
    names = [name for name, _ in found("in", "out")]
    assert names == ["in/a.jpg", "in/b.PNG", "in/z.jpg", "in/z.png", "out/foreign.jpg"]


NAMES = [
    (["x/a.jpg", "x/b.jpg"], ["a", "b"]),
    (["x/a.jpg", "x/a.png", "x/b.png"], ["a.jpg", "a.png", "b"]),
    (["x/a.jpg", "y/a.jpg"], ["x-a.jpg", "y-a.jpg"]),
    (["x/a.jpg", "x/A.jpg"], None),  # alike where the case of letters counts for nothing
    (["p/x/a.jpg", "q/x/a.jpg"], None),
    (["x/a.jpg", "y/a.jpg", "x/x-a.jpg.png"], None),
    (["x/" + "n" * 250 + ".jpg", "x/" + "n" * 249 + "m.jpg"], None),
    (["x/" + "\N{SNOWMAN}" * 80 + ".jpg"], None),
    (
        ["x/\udcff.jpg", "x/new\nline.jpg", "x/-o.jpg", "x/a:2.jpg"],
        ["\udcff", "new\nline", "-o", "a:2"],
    ),
]


@pytest.mark.parametrize(("paths", "expected"), NAMES)
def test_each_has_a_name_of_its_own(paths, expected):
    named = names_of(map(Path, paths))
    assert set(named) == set(map(Path, paths))
    if expected is not None:
        assert [named[Path(path)] for path in paths] == expected
    assert len({name.casefold() for name in named.values()}) == len(paths)
    assert max(len(os.fsencode(name)) for name in named.values()) <= LONGEST_NAME
    assert named == names_of(map(Path, paths))


def test_one_file_that_is_named_in_several_ways_has_several_names():
    here = Path.cwd()
    paths = [Path("a.jpg"), here / "a.jpg", Path("..", here.name, "a.jpg")]
    assert len(set(names_of(paths).values())) == 3
