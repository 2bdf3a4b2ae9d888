"""Every kind of file that is written: its pixels, its opacity, and what it says of itself."""

import json

import numpy as np
import PIL.features
import PIL.Image
import pytest

from nst import stylize
from nst.errors import NstError
from nst.pictures import encoding, images
from nst.run import marks

SMOOTH = np.stack(np.meshgrid(np.linspace(0, 1, 40), np.linspace(0, 1, 30))).astype(np.float32)
IMAGE = np.stack([SMOOTH[0], SMOOTH[1], 1 - SMOOTH[0] * SMOOTH[1]])
TEXTS = {"nst run": "a" * 64, "nst settings": '{"style": "<a> & \\"b\\" ü.jpg"}'}
EXACT = (".png", ".tif", ".tiff")
ALL = sorted(encoding.WRITES)


@pytest.mark.parametrize("ending", ALL)
def test_what_is_written_is_read_back(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    images.save(path, IMAGE)
    allowed = 0.51 / 255 if ending in EXACT else 12 / 255
    np.testing.assert_allclose(images.load(path), IMAGE, rtol=0, atol=allowed)
    with PIL.Image.open(path) as opened:
        assert opened.format == encoding.WRITES[ending]


@pytest.mark.parametrize("ending", [e for e in ALL if e not in (".jpg", ".jpeg")])
def test_opacity_is_kept_and_colours_under_it(tmp_path, ending):
    alpha = (SMOOTH[0] > 0.5).astype(np.float32)
    images.save(tmp_path / f"a{ending}", IMAGE, alpha)
    rgb, read = images.load_with_alpha(tmp_path / f"a{ending}")
    np.testing.assert_allclose(read, alpha, atol=1 / 255)
    shown = alpha == 1
    np.testing.assert_allclose(rgb[:, shown], IMAGE[:, shown], rtol=0, atol=12 / 255)


@pytest.mark.parametrize("ending", [e for e in ALL if e not in (".jpg", ".jpeg")])
def test_texts_are_kept(tmp_path, ending):
    path = tmp_path / f"a{ending.upper()}"
    images.save(path, IMAGE, None, TEXTS)
    assert images.read_metadata(path) == TEXTS
    assert marks.is_ours(path)
    assert marks.carries(path, "a" * 64)
    assert not marks.carries(path, "b" * 64)
    images.save(path, IMAGE)
    assert images.read_metadata(path) == {}
    assert not marks.is_ours(path)


@pytest.mark.parametrize("ending", [".webp", ".tiff", ".avif"])
def test_the_mark_of_a_large_file_is_found(tmp_path, rng, ending):
    """It lies behind the pixels of a WebP, and before those of others."""
    path = tmp_path / f"a{ending}"
    images.save(path, rng.random((3, 400, 500)), None, TEXTS)
    assert path.stat().st_size > 2 * marks.HEAD
    assert marks.is_ours(path)
    assert marks.carries(path, "a" * 64)


@pytest.mark.parametrize("ending", [".webp", ".tiff", ".avif"])
def test_a_result_says_how_it_was_made(settings, tmp_path, ending):
    path = tmp_path / f"out{ending}"
    result = stylize(settings(output=path, size=48, scales=1, steps=2))
    assert images.read_metadata(path) == result.metadata
    assert json.loads(images.read_metadata(path)["nst settings"])["size"] == 48
    assert marks.is_finished(path, result.metadata["nst run"].split()[0])


@pytest.mark.parametrize("text", ["[1]", '{"a": 1}', "{", "x" * 100, ""])
def test_texts_of_another_s_are_refused_in_a_line(tmp_path, text):
    path = tmp_path / "a.webp"
    images.save(path, IMAGE)
    path.write_bytes(path.read_bytes() + f"<nst:texts>{text}</nst:texts>".encode())
    with pytest.raises(NstError, match="says of itself"):
        images.read_metadata(path)


def test_a_text_without_an_end_is_none(tmp_path):
    path = tmp_path / "a.webp"
    images.save(path, IMAGE)
    path.write_bytes(path.read_bytes() + b"<nst:texts>" + b"x" * 9)
    assert images.read_metadata(path) == {}


@pytest.mark.parametrize("ending", [".webp", ".avif"])
def test_what_this_pillow_cannot_write_is_told_before_the_run(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(PIL.features, "check", lambda name: False)
    with pytest.raises(NstError, match="this Pillow was built without"):
        images.check_output(tmp_path / f"a{ending}")
    images.check_output(tmp_path / "a.tiff")


def test_what_a_kind_cannot_hold_is_one_line(tmp_path):
    with pytest.raises(NstError, match="WEBP holds 16383 pixels a side, and the image is 16384 x"):
        images.save(tmp_path / "a.webp", np.zeros((3, 16, 16384), np.float32))
    assert list(tmp_path.iterdir()) == []
