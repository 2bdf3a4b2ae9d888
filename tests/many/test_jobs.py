"""Lists of pairs, and results that are told apart."""

from pathlib import Path

import pytest
from refusals import refusal_of

from nst import demo
from nst.many.jobs import each_in_each, read_list
from nst.many.photographs import Photograph
from nst.settings import Painting


def listed(tmp_path, text, **rest):
    path = tmp_path / "list.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(**rest))
    return path


def test_a_list_is_read_as_spreadsheets_write_it(tmp_path):
    text = '\ufeffPhotograph,Style,Result\r\n"a,b.jpg",s.png,\r\n\r\nc.jpg, waves ,x/y.jpg\r\n'
    jobs = read_list(listed(tmp_path, text), Path("out"), "png")
    assert [job.content for job in jobs] == [tmp_path / "a,b.jpg", tmp_path / "c.jpg"]
    assert [job.style for job in jobs] == [tmp_path / "s.png", demo.style_path("waves")]
    assert [job.output for job in jobs] == [Path("out/a,b-s.png"), Path("out/x/y.jpg")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "names no pair"),
        ("photograph,style\n", "names no pair"),
        ("a.jpg,b.jpg\na.jpg\n", "line 2 of "),
        ("a.jpg;b.jpg\n", "line 1 of "),
        ("a.jpg,b.jpg,c.png,d\n", "line 1 of "),
        ("a.jpg,-\n", "standard input"),
        ("a.jpg,b.jpg,../c.png\n", "name a file in the batch's folder"),
        ("a.jpg,b.jpg,/c.png\n", "name a file in the batch's folder"),
        ("a.jpg,b.jpg,c.gif\n", "end it in .png, .jpg, .webp, .tiff or .avif"),
        (b"\xff\xfe,\n", "no CSV file in UTF-8"),
        (b"a\0.jpg,b.jpg\n", "no list of pairs"),
    ],
)
def test_what_is_no_list_is_told_by_its_line(tmp_path, text, expected):
    assert expected in refusal_of(read_list, listed(tmp_path, text), Path("out"), "png")


def test_results_that_would_be_called_alike_get_a_number():
    photographs = [Photograph(Path("a.jpg")), Photograph(Path("a-b.jpg"))]
    styles = [Painting(path) for path in map(demo.style_path, demo.STYLES)][:2]
    twice = [*styles, styles[0]]
    names = [job.output.name for job in each_in_each(photographs, twice, Path("out"), "png")]
    assert len(set(names)) == len(names) == 6
    assert names[:3] == ["a-swirl.png", "a-glass.png", "a-swirl-2.png"]


def test_folders_below_keep_photographs_of_one_name_apart():
    photographs = [Photograph(Path("in/a.jpg")), Photograph(Path("in/s/a.jpg"), Path("s"))]
    style = Painting(demo.style_path("waves"))
    jobs = each_in_each(photographs, [style], Path("out"), "jpg")
    assert [str(job.output) for job in jobs] == ["out/a-waves.jpg", "out/s/a-waves.jpg"]
