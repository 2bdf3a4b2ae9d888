"""The sheet of both networks: which pairs, and that each row is painted by both."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst import demo

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import networks


def test_the_demo_has_every_style_and_further_photographs_take_turns():
    photographs = [Path(f"{n}.png") for n in range(5)]
    found = list(networks.pairs(photographs))
    styles = list(demo.STYLES)
    assert found[:4] == [(str(demo.content_path()), style) for style in styles]
    assert found[4:] == [(f"{n}.png", styles[n % 4]) for n in range(5)]


def test_a_row_is_content_style_and_each_network_s_result(tmp_path, monkeypatch):
    painted = []

    def main(words):
        painted.append(words[words.index("--model") + 1])
        Image.new("RGB", (27, 32), "red").save(words[words.index("-o") + 1])
        return 0

    monkeypatch.setattr(networks.cli, "main", main)
    pictures = networks.row(str(demo.content_path()), "waves", 32, 0, tmp_path)
    assert painted == list(networks.NETWORKS)
    assert [picture.size for picture in pictures[2:]] == [(27, 32)] * 2
    given = np.asarray(Image.open(demo.style_path("waves")).convert("RGB"))
    np.testing.assert_array_equal(np.asarray(pictures[1]), given)


def test_what_is_there_is_kept_and_another_size_or_photograph_is_painted(tmp_path, monkeypatch):
    painted = []

    def main(words):
        painted.append(words)
        Image.new("RGB", (20, 24), "red").save(words[words.index("-o") + 1])
        return 0

    monkeypatch.setattr(networks.cli, "main", main)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (20, 24), "red").save(tmp_path / folder / "a.png")
    one, two = (str(tmp_path / folder / "a.png") for folder in ("one", "two"))
    for content, size, steps, expected in [
        (one, 32, 2, 2),
        (one, 32, 2, 2),
        (one, 48, 2, 4),
        (one, 32, 3, 6),
        (two, 32, 2, 8),
    ]:
        networks.row(content, "waves", size, steps, tmp_path)
        assert len(painted) == expected


def test_what_fails_stops_the_script(tmp_path):
    with pytest.raises(SystemExit) as stopped:
        networks.row(str(tmp_path / "nothing.jpg"), "waves", 32, 0, tmp_path)
    assert stopped.value.code == 2


def test_what_was_stopped_is_painted_anew(tmp_path, monkeypatch):
    def stopped(words):
        Image.new("RGB", (27, 32), "red").save(words[words.index("-o") + 1])
        return 130

    monkeypatch.setattr(networks.cli, "main", stopped)
    with pytest.raises(SystemExit):
        networks.row(str(demo.content_path()), "waves", 32, 0, tmp_path)
    assert not list(tmp_path.iterdir())
