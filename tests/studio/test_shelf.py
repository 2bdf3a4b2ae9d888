"""Pictures that a page hands in: decoded before they are kept, bounded, and never a path."""

import io

import numpy as np
import PIL.Image
import pytest

from nst.errors import NstError
from nst.pictures import images
from nst.studio import shelf as shelves
from nst.studio.shelf import Shelf, free, plain


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "inputs")


def png(height=20, width=30, value=200, **rest):
    encoded = io.BytesIO()
    PIL.Image.new("RGB", (width, height), (value, 40, 90)).save(encoded, "PNG", **rest)
    return encoded.getvalue()


def test_what_is_handed_in_is_kept_under_a_name_of_ours(shelf):
    one = shelf.take("My  Photo (1).PNG", png())
    assert one.path == shelf.folder / "My-Photo-1.png"
    assert one.path.read_bytes() == png()
    assert shelf[one.id] == one
    assert one.name == "My  Photo (1).PNG"
    again, other = shelf.take("another.png", png()), shelf.take("My-Photo-1.png", png(value=3))
    assert again == one
    assert other.path.name == "My-Photo-1-2.png"


@pytest.mark.parametrize(
    "name", ["../../evil.png", "..\\evil.png", "/etc/evil.png", "evil", "evil.png\0.jpg", ".evil"]
)
def test_a_name_leads_nowhere_else(shelf, name):
    one = shelf.take(name, png())
    assert one.path.parent == shelf.folder
    assert [path for path in shelf.folder.parent.rglob("*") if path.is_file()] == [one.path]


def test_names_of_other_scripts_stay_and_all_have_one():
    assert plain("été à la mer") == "été-à-la-mer"
    assert plain("...") == plain("") == "picture"
    assert len(plain("x" * 300)) == shelves.LONGEST_NAME


def test_what_is_no_picture_is_not_kept(shelf):
    for data in (b"", b"no picture", b"<svg onload=alert(1)>", png()[:60]):
        with pytest.raises(NstError, match=r"a\.png"):
            shelf.take("a.png", data)
    assert not shelf.folder.exists()


def test_pixels_are_bounded_before_they_are_decoded(shelf, monkeypatch):
    data = png()
    monkeypatch.setattr(shelves, "MOST_PIXELS", 599)
    monkeypatch.setattr(PIL.Image.Image, "load", lambda _: pytest.fail("it was decoded"))
    message = r"cannot use a\.png: it is 30 x 20 pixels, and the most here are 0\.000599 million"
    with pytest.raises(NstError, match=message):
        shelf.take("a.png", data)


def test_a_mask_without_white_is_refused(shelf):
    dark, light = np.zeros((3, 20, 30)), np.ones((3, 20, 30))
    images.save(shelf.folder.parent / "dark.png", dark)
    images.save(shelf.folder.parent / "light.png", light)
    with pytest.raises(NstError, match="is empty"):
        shelf.take("m.png", (shelf.folder.parent / "dark.png").read_bytes(), mask=True)
    assert shelf.take("m.png", (shelf.folder.parent / "light.png").read_bytes(), mask=True)


def test_a_preview_is_upright_and_small(shelf):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    one = shelf.take("a.png", png(20, 300, exif=exif))
    shown = PIL.Image.open(io.BytesIO(shelf.preview(one.id)))
    assert (shown.format, shown.size) == ("JPEG", (20, 300))
    assert PIL.Image.open(io.BytesIO(shelf.preview(one.id, 60))).size == (4, 60)
    assert "exif" not in shown.info


def test_a_result_finds_its_pictures_on_the_shelf_alone(shelf, tmp_path):
    one = shelf.take("a.png", png())
    (tmp_path / "secret.png").write_bytes(png(value=9))
    fresh = Shelf(shelf.folder)  # of the next session
    assert fresh.find("somewhere/else/a.png", one.sha256).path == one.path
    assert fresh.find("a.png", "0" * 64) is None
    for name in ("../secret.png", str(tmp_path / "secret.png"), "secret.png", "..", "/etc/passwd"):
        assert fresh.find(name, None) is None
    assert fresh.find("swirl.jpg", None).id == "swirl"
    (shelf.folder / "link.png").symlink_to(tmp_path / "secret.png")
    assert fresh.find("link.png", None) is None


def test_an_unknown_id_is_refused(shelf):
    with pytest.raises(NstError, match="there is no picture 'x' here; hand it in again"):
        shelf["x"]


def test_a_free_path_is_no_file_of_others(tmp_path):
    (tmp_path / "a.png").write_bytes(b"1")
    assert free(tmp_path, "a", ".png").name == "a-2.png"
    assert free(tmp_path, "a", ".png", b"1").name == "a.png"
