"""Pictures that were read wrongly once, and what a file may say beside its pixels.

The files in ``pictures`` were made small for this; beside each lies what it shows.
"""

import io
import struct
import subprocess
import sys
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import PIL.Image
import pillow_heif
import pytest
import tifffile
from picture_files import (
    as_image,
    encode_srgb,
    gamma_curve,
    png_bytes,
    png_chunk,
    rgb_profile,
    tiff_of_tags,
)
from refusals import refusal_of

from nst import memory
from nst.errors import NstError, NstWarning
from nst.extras import installing
from nst.pictures import decoding, images, profiles, tiff
from nst.pictures.reading import Input
from nst.run.paintings import read_mask

PICTURES = Path(__file__).with_name("odd")
RIGHT = [path.name.removesuffix(".npy") for path in sorted(PICTURES.glob("*.npy"))]


def read(data: bytes):
    return images.load_with_alpha(Input("picture", data, ""))


@pytest.mark.parametrize("name", RIGHT)
def test_what_was_read_wrongly_is_right(name):
    expected = np.moveaxis(np.load(PICTURES / f"{name}.npy"), -1, 0)
    rgb, alpha = images.load_with_alpha(PICTURES / name)
    found = rgb if len(expected) == 3 else np.concatenate([rgb, alpha[None]])
    np.testing.assert_allclose(found, expected, atol=1.01 / 255)


def test_a_mask_on_a_transparent_layer_has_an_inside_and_an_outside():
    mask = read_mask(PICTURES / "m_layer.png")
    _, alpha = images.load_with_alpha(PICTURES / "m_layer.png")
    assert mask.min() == 0
    assert mask.max() == 1
    assert not mask[alpha == 0].any()


def test_a_palette_png_without_a_palette_is_one_line():
    assert (
        "this PNG is cut short, damaged or of an unusual kind (it has no palette)"
        in refusal_of(images.load, PICTURES / "noplte.png")
    )


def test_a_profile_tag_of_the_wrong_type_is_a_warning():
    with pytest.warns(NstWarning, match=r"its colour profile cannot be used \(it is 7\)"):
        assert images.load(PICTURES / "iccint.tif").shape == (3, 32, 32)


# Pages of a TIFF


def pages(*kinds, sub=()) -> bytes:
    """A TIFF of pages, each of a grey of its own, with NewSubfileType ``kinds``."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for k, kind in enumerate(kinds):
            grey = np.full((20 + k, 30, 3), 10 * k + 5, np.uint8)
            subifds = len(sub) if k == 0 else 0
            writer.write(grey, subfiletype=kind, subifds=subifds, metadata=None, photometric="rgb")
            for j, kind_below in enumerate(sub if k == 0 else ()):
                below = np.full((40 + j, 50, 3), 100 + 10 * j, np.uint8)
                writer.write(below, subfiletype=kind_below, metadata=None, photometric="rgb")
    return file.getvalue()


@pytest.mark.parametrize(
    ("kinds", "sub", "grey", "warned"),
    [
        ([0], [], 5, False),
        ([1, 0], [], 15, False),
        ([1, 1, 0], [], 25, False),
        ([0, 1], [], 5, False),
        ([0, 0], [], 5, True),
        ([1], [0], 100, False),
        ([1], [1, 0], 110, False),
        ([0], [1], 5, False),
        ([1, 0], [0], 15, False),
    ],
)
def test_of_a_tiff_s_pages_the_first_whole_one_is_taken(kinds, sub, grey, warned):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        rgb, _ = read(pages(*kinds, sub=sub))
    assert np.round(rgb * 255).astype(int).min() == np.round(rgb * 255).astype(int).max() == grey
    assert bool(told) == warned


def test_a_tiff_of_previews_only_is_refused():
    with pytest.raises(NstError, match="it holds a preview only; give the picture itself"):
        read(pages(1, 1))


RAW = "it is a camera's raw file, which shows but a preview until it is developed"


@pytest.mark.parametrize(
    "tags",
    [{50706: [1, 4, 0, 0]}, {262: 32803}, {262: 34892}],
)
@pytest.mark.parametrize("order", "<>")
def test_a_camera_s_raw_file_is_refused_by_name(tags, order):
    plain = {256: 30, 257: 20, 258: 8, 259: 1, 262: 1, 277: 1, 278: 20}
    with pytest.raises(NstError, match=RAW):
        read(tiff_of_tags(bytes(600), plain | tags, order))


def test_a_canon_raw_file_is_refused_by_name():
    data = bytearray(pages(0))
    shifted = data[:4] + struct.pack("<I", struct.unpack("<I", data[4:8])[0] + 4) + b"CR\2\0"
    with pytest.raises(NstError, match=RAW):
        read(bytes(shifted + data[8:]))


def test_damaged_directories_end_the_walk_and_nothing_else(rng):
    whole = pages(1, 0, sub=(1, 0))
    for _ in range(400):
        damaged = bytearray(whole)
        for place in rng.integers(4, len(damaged), 3):
            damaged[place] = rng.integers(0, 256)
        with suppress(NstError):
            assert tiff.turn_to_picture(bytes(damaged), "picture").pages >= 1


def test_what_libtiff_says_of_damage_does_not_reach_the_terminal(tmp_path):
    rng = np.random.default_rng(3)
    noise = PIL.Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    for k, compression in enumerate(["tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"]):
        noise.save(tmp_path / "whole.tif", compression=compression)
        whole = (tmp_path / "whole.tif").read_bytes()
        for j in range(12):
            damaged = bytearray(whole)
            damaged[rng.integers(8, len(whole))] ^= 255
            damaged[-rng.integers(1, 200)] ^= 255
            (tmp_path / f"{k}-{j}.tif").write_bytes(damaged[: len(whole) - 3 * (j % 3)])
    code = """
import glob, sys, warnings
from nst import NstError
from nst.pictures import images
warnings.simplefilter("ignore")
refused = 0
for path in glob.glob(sys.argv[1] + "/*-*.tif"):
    try:
        images.load(path)
    except NstError:
        refused += 1
print(refused)
print("still there", file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 10
    assert done.stderr == "still there\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [(pages(0, 0), "holds several pictures"), (None, "its colour profile cannot be used")],
)
def test_what_we_say_of_a_tiff_does_reach_the_terminal(tmp_path, data, said):
    (tmp_path / "a.tif").write_bytes(data or (PICTURES / "iccint.tif").read_bytes())
    code = "import sys; from nst.pictures import images; images.load(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.tif")], stderr=subprocess.PIPE, text=True
    )
    assert said in done.stderr


def test_a_process_without_standard_error_reads_tiff(tmp_path, pixels):
    PIL.Image.fromarray(pixels).save(tmp_path / "a.tif", compression="tiff_lzw")
    code = "import os, sys; os.close(2)\n"
    code += "from nst.pictures import images; print(images.load(sys.argv[1]).shape)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.tif")], stdout=subprocess.PIPE, text=True
    )
    assert done.stdout == f"(3, {pixels.shape[0]}, {pixels.shape[1]})\n"


# What a file says of its colours


LINEAR = png_chunk(b"gAMA", struct.pack(">I", 100_000))
SRGB_GAMMA = png_chunk(b"gAMA", struct.pack(">I", 45_455))
SRGB_CHRM = png_chunk(
    b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
)
SWAPPED_CHRM = png_chunk(  # red and blue have changed places
    b"cHRM", struct.pack(">8I", 31270, 32900, 15000, 6000, 30000, 60000, 64000, 33000)
)
SRGB = png_chunk(b"sRGB", b"\0")
LINEAR_ICC = png_chunk(
    b"iCCP",
    b"linear\0\0"
    + zlib.compress(
        rgb_profile(
            ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)),
            gamma_curve(1),
        )
    ),
)


def cicp(primaries: int, transfer: int) -> bytes:
    return png_chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


@pytest.mark.parametrize(
    ("chunks", "meaning"),
    [
        ([], "itself"),
        ([SRGB_GAMMA], "itself"),
        ([SRGB_GAMMA, SRGB_CHRM], "itself"),
        ([SRGB_CHRM], "itself"),
        ([LINEAR], "linear"),
        ([LINEAR, SRGB_CHRM], "linear"),
        ([SRGB_GAMMA, SWAPPED_CHRM], "swapped, 2.2"),
        ([SWAPPED_CHRM], "swapped"),
        ([SRGB, LINEAR, SWAPPED_CHRM], "itself"),  # sRGB goes before gamma,
        ([LINEAR_ICC, SWAPPED_CHRM], "linear"),  # a profile before chromaticities,
        ([LINEAR_ICC, cicp(1, 13)], "itself"),  # and code points before all
        ([cicp(1, 8)], "linear"),
        ([cicp(1, 1)], "itself"),
        ([png_chunk(b"gAMA", bytes(4))], "itself"),  # damaged
        ([png_chunk(b"gAMA", b"\0")], "itself"),
        ([png_chunk(b"cHRM", bytes(32))], "itself"),
    ],
)
def test_a_png_s_word_on_its_colours_counts(pixels, chunks, meaning):
    rgb, _ = read(png_bytes(pixels.astype(int), 8, 2, *chunks))
    stored = as_image(pixels)
    expected = {"itself": stored, "linear": encode_srgb(stored), "swapped": stored[::-1]}
    expected["swapped, 2.2"] = encode_srgb(stored[::-1] ** 2.2)
    if meaning == "itself":
        np.testing.assert_array_equal(rgb, stored)
    np.testing.assert_allclose(
        rgb, expected[meaning], atol=(3 if meaning == "swapped" else 1.6) / 255
    )


def test_grey_with_a_gamma(rng):
    levels = rng.integers(0, 256, (20, 30))
    rgb, _ = read(png_bytes(levels, 8, 0, LINEAR))
    np.testing.assert_allclose(rgb, np.stack([encode_srgb(levels / 255)] * 3), atol=1.6 / 255)


@pytest.mark.parametrize(("transfer", "said"), [(16, "PQ"), (18, "HLG"), (11, "transfer 11")])
def test_colours_of_a_high_dynamic_range_are_warned_of(pixels, transfer, said):
    with pytest.warns(NstWarning, match=f"those of H.273, primaries 9, {said}; its colours are"):
        rgb, _ = read(png_bytes(pixels.astype(int), 8, 2, cicp(9, transfer)))
    np.testing.assert_array_equal(rgb, as_image(pixels))


def test_display_p3_is_wider_than_srgb():
    """P3's red in sRGB is (1.0931, -0.2267, -0.1501) in linear light; clipped: red."""
    levels = np.zeros((20, 30, 3), int)
    levels[:10] = 255, 0, 0
    levels[10:] = 120, 130, 140
    rgb, _ = read(png_bytes(levels, 8, 2, cicp(12, 13)))
    np.testing.assert_allclose(rgb[:, 0, 0], [1, 0, 0], atol=1.5 / 255)
    to_srgb = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]])
    linear = ((np.array([120, 130, 140]) / 255 + 0.055) / 1.055) ** 2.4
    np.testing.assert_allclose(rgb[:, 15, 9], encode_srgb(to_srgb @ linear), atol=1.5 / 255)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_code_points_in_avif_and_heic(kind):
    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    PIL.Image.new("RGB", (40, 32), (120, 130, 140)).save(file, kind, quality=95)
    data = file.getvalue()
    place = data.find(b"colrnclx") + 8
    if place < 8:  # no code points were written: put them where the decoder does not look
        pytest.fail("the encoder writes no code points any more")
    plain, _ = read(data)
    linear, _ = read(data[: place + 2] + struct.pack(">H", 8) + data[place + 4 :])
    np.testing.assert_allclose(linear, encode_srgb(plain), atol=2 / 255)


def adobe_exif(space: int, index: str) -> bytes:
    exif = PIL.Image.Exif()
    details = exif.get_ifd(0x8769)
    details[0xA001] = space
    details[0xA005] = {1: index}
    return exif.tobytes()


def save_with_exif(picture, path, kind, exif, **options):
    """Save ``picture``; of a TIFF, whose writer leaves the interoperability index out, add it."""
    picture.save(path, kind, exif=exif, **options)
    if kind == "TIFF":
        data = path.read_bytes()
        entry = data.index(struct.pack("<HHI", 0xA005, 4, 1))
        index = exif[exif.index(b"R") :][:4]
        added = struct.pack("<HHHI", 1, 1, 2, 4) + index + bytes(4)
        place = struct.pack("<I", len(data))
        path.write_bytes(data[: entry + 8] + place + data[entry + 12 :] + added)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_adobe_rgb_that_only_exif_declares_is_converted(tmp_path, kind):
    """Adobe RGB (1998), annex B: linear light to XYZ; then IEC 61966-2-1's inverse."""
    stored = np.zeros((32, 48, 3), np.uint8)
    stored[:, :16], stored[:, 16:32], stored[:, 32:] = (120, 160, 90), (60, 70, 200), (128,) * 3
    options = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    picture = PIL.Image.fromarray(stored)
    save_with_exif(picture, tmp_path / "a", kind, adobe_exif(65535, "R03"), **options)
    save_with_exif(picture, tmp_path / "b", kind, adobe_exif(65535, "R98"), **options)
    save_with_exif(picture, tmp_path / "c", kind, adobe_exif(1, "R03"), **options)
    to_xyz = [
        [0.57667, 0.18556, 0.18823],
        [0.29734, 0.62736, 0.07529],
        [0.02703, 0.07069, 0.99134],
    ]
    to_rgb = [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
    light = np.array(to_rgb) @ np.array(to_xyz) @ (stored[3, 8::16].T / 255) ** (563 / 256)
    rgb = images.load(tmp_path / "a")[:, 3, 8::16]
    np.testing.assert_allclose(rgb, encode_srgb(light.clip(0, 1)), atol=3 / 255)
    for other in "bc":
        plain = images.load(tmp_path / other)[:, 3, 8::16]
        np.testing.assert_allclose(plain, stored[3, 8::16].T / 255, atol=2.5 / 255)


def test_our_srgb_profile_is_srgb():
    """Made here and taken apart by littleCMS: nothing moves."""
    profile = profiles.matrix_profile(profiles.SRGB, profiles.SRGB_CURVE)
    convert = profiles.converter("RGB", profile, "picture")
    levels = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    converted = np.asarray(convert(PIL.Image.fromarray(levels))).astype(int)
    assert np.abs(converted - levels).max() <= 1


# HEIC without what reads it


def test_without_the_extra_heic_is_named(monkeypatch):
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(NstError) as told:
        read(data)
    assert str(told.value) == (
        f"cannot read picture: it is a HEIC image; `{installing('heic')}` lets nst read those, "
        "or save it as JPEG"
    )


# Memory


def bomb(side: int) -> bytes:
    """A small PNG of many pixels, all black."""
    row = bytes(1 + side)
    squeeze = zlib.compressobj(9)
    packed = b"".join(squeeze.compress(row) for _ in range(side)) + squeeze.flush()
    head = struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def test_a_picture_that_would_not_fit_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda device: 10**9)
    monkeypatch.setattr(PIL.Image.Image, "load", None)  # whoever decodes, fails
    with pytest.raises(NstError) as told:
        read(bomb(9000))
    assert str(told.value) == (
        "cannot use picture: it is 9000 x 9000 pixels, which take 1.6 GB of memory to read, and "
        "there is 800 MB for it; make it smaller, or use more --memory"
    )


def test_the_memory_that_the_user_names_counts_for_reading(settings, tmp_path):
    from nst.run.inputs import prepare

    (tmp_path / "bomb.png").write_bytes(bomb(4000))
    for name in ("content", "style"):
        with pytest.raises(NstError, match=r"it is 4000 x 4000 pixels, which take 320 MB of memo"):
            prepare(settings(**{name: tmp_path / "bomb.png"}, memory="50MB"))


def _peak(tmp_path, kind: str, data: bytes) -> tuple[int, int]:
    """Return the bytes that reading took at its highest, and what it was estimated to take."""
    (tmp_path / "large").write_bytes(data)
    code = """
import sys, io, warnings
import PIL.Image
import pillow_heif
pillow_heif.register_heif_opener()
from nst.pictures import images, reading, decoding
from nst import memory
from nst.devices import CPU
warnings.simplefilter("ignore")
given = reading.read(sys.argv[1])
images.load(sys.argv[2])  # whatever is imported on the way
with memory.Peak(CPU) as peak:
    rgb, _ = images.load_with_alpha(given)
    images.resize(rgb, 300, 400)
picture = PIL.Image.open(io.BytesIO(given.data))
print(peak.bytes, decoding.bytes_of(picture))
"""
    pillow_heif.register_heif_opener()
    small = tmp_path / "small"
    PIL.Image.new("RGB", (20, 20)).save(small, kind)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "large"), str(small)],
        capture_output=True,
        text=True,
        check=True,
    )
    peak, estimated = map(int, done.stdout.split())
    return peak, estimated


LARGE = {
    "PNG": ("RGB", {}),
    "PNG grey": ("L", {}),
    "PNG alpha": ("RGBA", {}),
    "JPEG": ("RGB", {"quality": 90}),
    "JPEG progressive": ("RGB", {"quality": 90, "progressive": True, "subsampling": 0}),
    "WEBP": ("RGB", {"quality": 30, "method": 0}),
    "TIFF": ("RGB", {}),
    "TIFF lzw": ("RGBA", {"compression": "tiff_lzw"}),
    "AVIF": ("RGB", {"quality": 30, "speed": 10}),
    "HEIF": ("RGB", {"quality": 30}),
    "PNG turned": ("RGB", {"exif": b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"}),
}


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux' count of memory")
@pytest.mark.parametrize("name", LARGE)
def test_reading_takes_no_more_memory_than_it_was_estimated_to(tmp_path, name):
    mode, options = LARGE[name]
    kind = name.split()[0]
    tile = np.random.default_rng(1).integers(0, 256, (90, 120, 4), dtype=np.uint8)
    picture = PIL.Image.fromarray(tile).convert(mode).resize((3000, 2000))
    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    picture.save(file, kind, **options)
    peak, estimated = _peak(tmp_path, kind, file.getvalue())
    assert peak < 1.1 * estimated + 10e6
    assert peak > 0.4 * estimated  # or small pictures are refused for nothing


def test_a_large_picture_is_read_strip_by_strip_as_it_is_at_once(tmp_path, monkeypatch, rng):
    levels = rng.integers(0, 256, (50, 40, 4), dtype=np.uint8)
    PIL.Image.fromarray(levels).save(tmp_path / "a.png")
    at_once = images.load_with_alpha(tmp_path / "a.png")
    monkeypatch.setattr(decoding, "PIXELS_AT_ONCE", 120)
    by_strips = images.load_with_alpha(tmp_path / "a.png")
    for one, other in zip(at_once, by_strips, strict=True):
        np.testing.assert_array_equal(one, other)
