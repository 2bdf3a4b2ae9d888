"""Pictures that are in memory are the pictures that their files would be."""

import copy
import json
import pickle
import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import PIL.Image
import pytest

from nst import memory
from nst.errors import NstError
from nst.pictures import images, reading
from nst.pictures.held import held
from nst.settings import Painting

H, W = 19, 27


def of(value, what="content"):
    """Return the colours and the opacity that reading what is held gives."""
    return images.load_with_alpha(reading.read(held(value, what)))


def as_array(floats, alpha=None):
    return np.moveaxis(floats, 0, -1) if alpha is None else np.dstack([*floats, alpha])


# ---- Arrays ----------------------------------------------------------------------------------


@pytest.fixture
def floats(rng):
    return rng.random((3, H, W), np.float32)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("first", [True, False], ids=["3HW", "HW3"])
def test_floats_are_taken_as_they_are(floats, kind, first):
    given = floats.astype(kind)
    rgb, alpha = of(given if first else as_array(given))
    np.testing.assert_array_equal(rgb, given.astype(np.float32))
    assert rgb.dtype == np.float32
    assert alpha is None


def test_whole_numbers_go_to_the_highest(pixels):
    expected = np.moveaxis(pixels, -1, 0).astype(np.float32) / 255
    for given in (pixels, np.moveaxis(pixels, -1, 0), pixels.astype(np.uint16) * 257):
        np.testing.assert_allclose(of(given)[0], expected, atol=1e-7)


def test_what_is_held_is_what_a_file_of_it_holds(pixels, cover, tmp_path):
    PIL.Image.fromarray(np.dstack([pixels, cover])).save(tmp_path / "cut.png")
    expected = images.load_with_alpha(tmp_path / "cut.png")
    for given in (
        np.dstack([pixels, cover]),
        PIL.Image.open(tmp_path / "cut.png"),
        (tmp_path / "cut.png").read_bytes(),
        bytearray((tmp_path / "cut.png").read_bytes()),
    ):
        for found, wanted in zip(of(given), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_grey_and_yes_or_no_are_three_equal_colours(rng):
    grey = rng.random((H, W), np.float32)
    for channel in of(grey)[0]:
        np.testing.assert_array_equal(channel, grey)
    np.testing.assert_array_equal(of(grey > 0.5)[0][1], grey > 0.5)


def test_an_opaque_fourth_channel_is_none(floats):
    assert of(as_array(floats, np.ones((H, W))))[1] is None


def test_views_of_any_order_are_taken(floats):
    turned = np.asfortranarray(as_array(floats))[::-1, ::-1]
    np.testing.assert_array_equal(of(turned)[0], floats[:, ::-1, ::-1])


def test_what_numpy_makes_an_array_of_is_one(floats):
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return floats

    np.testing.assert_array_equal(of(Tensor())[0], floats)


def test_a_hair_beyond_is_rounding(floats):
    floats[0, 0, 0], floats[1, 2, 3] = -1e-6, 1 + 1e-6
    rgb, _ = of(floats)
    assert rgb.min() == 0
    assert rgb.max() == 1


def test_the_caller_s_array_and_the_held_one_are_apart(floats, rng):
    path = held(floats, "content")
    before = floats.copy()
    floats[:] = 0.5
    rgb, _ = images.load_with_alpha(reading.read(path))
    np.testing.assert_array_equal(rgb, before)
    rgb[:] = 0.25
    np.testing.assert_array_equal(images.load_with_alpha(reading.read(path))[0], before)


REFUSED = [
    (np.zeros((H, W, 3), np.int64), "is of int64, which does not say what is white; give uint8"),
    (np.zeros((H, W, 3), complex), "is of complex128"),
    (np.full((H, W, 3), "a"), "is of <U1"),
    (np.full((H, W, 3), 255.0), "goes from 255 to 255; floats go from 0, black, to 1, white"),
    (np.full((3, H, W), -0.5), r"goes from -0\.5 to -0\.5"),
    (np.full((3, H, W), np.nan), f"has {3 * H * W} values not finite; give floats"),
    (np.zeros((H, W, 2)), r"has the shape \(19, 27, 2\); give \(H, W, 3\), \(3, H, W\)"),
    (np.zeros((2, H, W, 3)), r"has the shape \(2, 19, 27, 3\)"),
    (np.float32(0.5), r"has the shape \(\)"),
    (np.zeros((15, 40, 3)), "is 40 x 15 pixels, and both sides need 16 or more"),
    (np.zeros((0, 0, 3)), "is 0 x 0 pixels"),
]


@pytest.mark.parametrize(("array", "told"), REFUSED, ids=[told[:12] for _, told in REFUSED])
def test_what_is_no_picture_is_refused_in_a_line(array, told):
    with pytest.raises(NstError, match="^the style mask array " + told):
        held(array, "style mask")


# ---- Pillow's images -------------------------------------------------------------------------


def test_an_image_is_turned_upright_and_brought_to_srgb(pixels, tmp_path):
    picture = PIL.Image.fromarray(pixels)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.png", exif=exif, gamma=1.0)
    opened = PIL.Image.open(tmp_path / "turned.png")
    expected = images.load(tmp_path / "turned.png")
    assert expected.shape == (3, W, H)
    np.testing.assert_array_equal(of(opened)[0], expected)
    assert opened.size == (W, H)  # the caller's own is not touched


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_images_of_any_mode_are_read_as_their_files_are(pixels, mode):
    picture = PIL.Image.fromarray(pixels)
    picture = picture.convert("L").convert("I;16") if mode == "I;16" else picture.convert(mode)
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    encoded = BytesIO()
    picture.save(encoded, kind)
    rounding = 1.01 / 255 if mode == "YCbCr" else 0  # two programs make RGB of it
    expected = of(encoded.getvalue())[0]
    np.testing.assert_allclose(of(picture)[0], expected, rtol=0, atol=rounding)


def test_an_image_that_says_no_white_is_refused():
    with pytest.raises(NstError, match="cannot use the style image: its pixels are floating"):
        held(PIL.Image.new("F", (20, 20)), "style")
    with pytest.raises(NstError, match="the style image: it is 8 x 20 pixels"):
        held(PIL.Image.new("RGB", (8, 20)), "style")


def test_an_image_that_memory_has_no_room_for_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "room", lambda *_: 100_000_000)
    picture = PIL.Image.new("RGB", (3000, 3000))
    with pytest.raises(NstError, match=r"content image: it is 3000 x 3000 pixels, which take 180"):
        held(picture, "content")


def test_an_image_that_is_cut_short_is_refused(pixels):
    encoded = BytesIO()
    PIL.Image.fromarray(np.tile(pixels, (9, 9, 1))).save(encoded, "PNG")
    opened = PIL.Image.open(BytesIO(encoded.getvalue()[:2000]))
    with pytest.raises(NstError, match=r"^cannot use the content image: "):
        held(opened, "content")
    with pytest.raises(NstError, match=r"^cannot read the content's bytes: this PNG is cut short"):
        of(encoded.getvalue()[:2000])


# ---- Its path --------------------------------------------------------------------------------


def test_it_is_called_by_what_it_holds(floats):
    first, again, other = held(floats, "a"), held(as_array(floats), "b"), held(1 - floats, "c")
    assert re.fullmatch(r"array-[0-9a-f]{12}", str(first))
    assert first == again
    assert hash(first) == hash(again)
    assert first != other
    assert reading.read(first).sha256.startswith(str(first)[6:])


@pytest.mark.parametrize("given", ["a.jpg", None, ["a.jpg"], 7, Painting], ids=repr)
def test_what_is_no_picture_in_memory_stays_what_it_is(given):
    assert held(given, "content") is given


def test_settings_keep_it_through_changes(settings, floats):
    asked = settings(content=floats, style=(Painting(floats, mask=floats[0] > 0.5),), init=floats)
    changed = replace(asked, size=100)
    for name in (changed.content, changed.style[0].path, changed.style[0].mask, changed.init):
        assert reading.read(name).pixels is not None
    assert changed.in_memory
    assert not settings().in_memory
    told = json.loads(asked.as_json())
    assert told["content"] == asked.as_told()["content"] == str(asked.content)
    assert told["init"] == str(asked.init)
    assert str(copy.deepcopy(asked.content)) == str(asked.content)
    assert str(pickle.loads(pickle.dumps(asked.content))) == str(asked.content)
