"""The gallery: its commands are commands, and every picture hangs over its caption."""

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst import cli

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import gallery


@pytest.mark.parametrize("command", [c for wall in gallery.WALLS.values() for c in wall])
def test_commands_parse(command):
    program, *arguments = shlex.split(command)
    assert program == "nst"
    cli._parser().parse_args(arguments)


def test_every_command_is_painted_in_order(tmp_path):
    commands = ("nst demo waves", "nst demo glass --init style")
    photograph, painting = gallery.paint(commands, 32, 0, tmp_path)
    assert photograph.size == painting.size == (27, 32)
    again = gallery.paint(commands[1:], 32, 0, tmp_path)[0]
    np.testing.assert_array_equal(np.asarray(again), np.asarray(painting))
    assert not np.array_equal(np.asarray(photograph), np.asarray(painting))


def test_a_wall_is_painted_at_the_size_of_its_commands(tmp_path, monkeypatch):
    words = []

    def main(asked):
        words.append(asked)
        Image.new("RGB", (27, 32)).save(asked[asked.index("-o") + 1])
        return 0

    monkeypatch.setattr(gallery.cli, "main", main)
    gallery.main(["styles", "--output", str(tmp_path / "styles.jpg")])
    assert [asked[:2] for asked in words] == [["demo", s] for s in gallery.demo.STYLES]
    assert not any("--size" in asked or "--steps" in asked for asked in words)
    with Image.open(tmp_path / "styles.jpg") as wall:
        assert wall.width == 4 * (gallery.WIDTH + gallery.GAP) + gallery.GAP


def test_a_command_that_fails_stops_the_script(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        gallery.paint(("nst demo nowhere.jpg",), 32, 0, tmp_path)
    assert stopped.value.code == 2
    assert "nowhere.jpg" in capsys.readouterr().err


def test_pictures_hang_in_rows_over_their_captions():
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 0)]
    pictures = [Image.new("RGB", (60, 40), colour) for colour in colours]
    wall = np.asarray(gallery.hang(pictures, ["one", "two", "three", "four"], 3))
    height = round(40 * gallery.WIDTH / 60)
    pitch = gallery.WIDTH + gallery.GAP, height + gallery.CAPTION + gallery.GAP
    assert wall.shape == (2 * pitch[1] + gallery.GAP, 3 * pitch[0] + gallery.GAP, 3)
    for number, colour in enumerate(colours):
        left, top = gallery.GAP + number % 3 * pitch[0], gallery.GAP + number // 3 * pitch[1]
        panel = wall[top : top + height, left : left + gallery.WIDTH]
        assert np.all(panel == colour)
        caption = wall[top + height : top + height + gallery.CAPTION, left : left + gallery.WIDTH]
        assert caption.min() < 100, "something is written"
    assert np.all(wall[pitch[1] + gallery.GAP :, 2 * pitch[0] :] == 255), "no fifth picture"


def test_a_row_is_as_high_as_its_highest_picture():
    pictures = [Image.new("RGB", (60, high), "red") for high in (20, 60, 30)]
    wall = np.asarray(gallery.hang(pictures, ["one", "two", "three"], 2))
    heights = [round(high * gallery.WIDTH / 60) for high in (60, 30)]
    assert wall.shape[0] == sum(heights) + 2 * (gallery.CAPTION + gallery.GAP) + gallery.GAP
    second = gallery.GAP + heights[0] + gallery.CAPTION + gallery.GAP
    assert np.all(wall[second : second + heights[1], gallery.GAP : gallery.WIDTH] == (255, 0, 0))
