"""Every kind of picture comes in right, or is refused in one line.

Expected pixels come from the file formats' own definitions; see picture_files.py.
"""

import io
import os
import re
import struct
import subprocess
import sys
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import PIL.Image
import pytest
from picture_files import (
    HEIGHT,
    ONE_LEVEL,
    SIDES,
    SRGB_PRIMARIES,
    WIDTH,
    as_image,
    as_the_camera_stores,
    cmyk_picture,
    cmyk_profile,
    coloured_tiles,
    draw_16_bits,
    draw_palette,
    encode_srgb,
    faded_profile,
    gamma_curve,
    grey_profile,
    icc_profile,
    luminance_of,
    on_white,
    palette_picture,
    png_bytes,
    png_chunk,
    rgb_profile,
    srgb_curve,
    tiff_bytes,
)
from PIL import ImageCms
from refusals import refusal_of

from nst.errors import NstError, NstWarning
from nst.pictures import decoding, images, tiff

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


def load_on_white(path):
    return images.load(path), images.load_with_alpha(path)[1]


# Formats


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".png", {}),
        (".webp", {"lossless": True}),
        (".tif", {}),
        (".tiff", {"compression": "tiff_lzw"}),
        (".tif", {"compression": "tiff_adobe_deflate"}),
    ],
)
def test_lossless_files_are_read_exactly(tmp_path, pixels, suffix, options):
    path = tmp_path / f"picture{suffix}"
    PIL.Image.fromarray(pixels).save(path, **options)
    rgb, alpha = images.load_with_alpha(path)
    assert rgb.dtype == np.float32
    assert rgb.flags.c_contiguous
    assert alpha is None
    np.testing.assert_array_equal(rgb, as_image(pixels))
    np.testing.assert_array_equal(images.load(str(path)), rgb)  # a str will do


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_lossy_files_are_read_nearly(tmp_path, suffix, options):
    tiles = coloured_tiles()
    PIL.Image.fromarray(tiles).save(tmp_path / f"t{suffix}", quality=95, **options)
    rgb = images.load(tmp_path / f"t{suffix}")
    # a lossy file is wrong at the edges of tiles, and hardly within
    np.testing.assert_allclose(rgb[:, 4::16, 4::16], as_image(tiles)[:, 4::16, 4::16], atol=0.03)


def test_the_name_does_not_decide_on_the_format(tmp_path, pixels):
    PIL.Image.fromarray(pixels).save(tmp_path / "really_png.jpg", "PNG")
    rgb = images.load(tmp_path / "really_png.jpg")
    np.testing.assert_array_equal(rgb, as_image(pixels))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("MPO", {"quality": 100})],
)
def test_of_several_frames_the_first_is_taken(tmp_path, kind, options):
    first, second = coloured_tiles(), coloured_tiles()[::-1]
    rest = [PIL.Image.fromarray(second)]
    PIL.Image.fromarray(first).save(
        tmp_path / "frames", kind, save_all=True, append_images=rest, **options
    )
    if kind == "MPO":
        rgb = images.load(tmp_path / "frames")
    else:
        with pytest.warns(NstWarning, match="holds several pictures; the first is taken"):
            rgb = images.load(tmp_path / "frames")
    np.testing.assert_allclose(rgb[:, 4::16, 4::16], as_image(first)[:, 4::16, 4::16], atol=0.03)


@POSIX
def test_a_pipe_will_do(tmp_path, pixels):
    PIL.Image.fromarray(pixels).save(tmp_path / "picture.png")
    code = "import sys; from nst.pictures import images; print(images.load('/dev/stdin').shape)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=(tmp_path / "picture.png").read_bytes(),
        capture_output=True,
    )
    assert done.stdout.decode() == f"(3, {HEIGHT}, {WIDTH})\n", done.stderr.decode()


# Orientation


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", SIDES)
def test_exif_orientation_is_applied(tmp_path, orientation, kind):
    scene = coloured_tiles()
    stored = as_the_camera_stores(scene, orientation)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}
    PIL.Image.fromarray(stored).save(tmp_path / "photo", kind, exif=exif, **options.get(kind, {}))
    rgb = images.load(tmp_path / "photo")
    np.testing.assert_allclose(rgb, as_image(scene), atol=0.02 if kind == "JPEG" else 0)
    assert rgb.flags.c_contiguous


@pytest.mark.parametrize("orientation", SIDES)
def test_alpha_turns_with_the_picture(tmp_path, rng, orientation):
    scene = rng.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored = PIL.Image.fromarray(as_the_camera_stores(scene, orientation))
    stored.save(tmp_path / "photo.png", exif=exif)
    rgb, alpha = load_on_white(tmp_path / "photo.png")
    np.testing.assert_array_equal(alpha, np.float32(scene[..., 3]) / np.float32(255))
    np.testing.assert_allclose(rgb, on_white(scene[..., :3], scene[..., 3]), atol=1e-6)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0rubbish",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01",
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_is_no_reason_to_refuse_a_picture(tmp_path, pixels, kind, exif):
    PIL.Image.fromarray(pixels).save(tmp_path / "photo", kind, exif=exif)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert images.load(tmp_path / "photo").shape == (3, HEIGHT, WIDTH)
    assert not warned


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_does_not_exist_is_upright(tmp_path, pixels, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(images.load(tmp_path / "photo.png"), as_image(pixels))


# Grey, palettes, transparency


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_has_three_equal_channels(tmp_path, pixels, suffix):
    grey = pixels[..., 0]
    PIL.Image.fromarray(grey).save(tmp_path / f"grey{suffix}")
    rgb = images.load(tmp_path / f"grey{suffix}")
    np.testing.assert_array_equal(rgb, as_image(np.stack([grey] * 3, axis=-1)))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_black_and_white(tmp_path, pixels, suffix):
    bits = pixels[..., 0] > 99
    PIL.Image.fromarray(bits).save(tmp_path / f"bits{suffix}")
    rgb = images.load(tmp_path / f"bits{suffix}")
    np.testing.assert_array_equal(rgb, np.stack([bits] * 3).astype(np.float32))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_transparency_shows_white_and_is_returned(tmp_path, pixels, cover, suffix):
    rgba = PIL.Image.fromarray(np.dstack([pixels, cover]))
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    rgba.save(tmp_path / f"glass{suffix}", **options)
    rgb, alpha = load_on_white(tmp_path / f"glass{suffix}")
    assert alpha.dtype == np.float32
    np.testing.assert_array_equal(alpha, np.float32(cover) / np.float32(255))
    np.testing.assert_allclose(rgb, on_white(pixels, cover), atol=1e-6)
    np.testing.assert_array_equal(rgb[:, 0, 0], [1, 1, 1])  # transparent: white, exactly
    np.testing.assert_array_equal(rgb[:, 0, 1], as_image(pixels)[:, 0, 1])  # opaque: itself


def test_an_opaque_alpha_channel_is_none(tmp_path, pixels):
    opaque = np.full((HEIGHT, WIDTH), 255, np.uint8)
    PIL.Image.fromarray(np.dstack([pixels, opaque])).save(tmp_path / "p.png")
    rgb, alpha = images.load_with_alpha(tmp_path / "p.png")
    assert alpha is None
    np.testing.assert_array_equal(rgb, as_image(pixels))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_with_alpha(tmp_path, pixels, cover, suffix):
    grey = pixels[..., 1]
    PIL.Image.fromarray(np.dstack([grey, cover])).save(tmp_path / f"la{suffix}")
    rgb, alpha = load_on_white(tmp_path / f"la{suffix}")
    np.testing.assert_array_equal(alpha, np.float32(cover) / np.float32(255))
    np.testing.assert_allclose(rgb, on_white(np.dstack([grey] * 3), cover), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_premultiplied_tiff(tmp_path, pixels, cover, channels):
    """ExtraSamples 1: colours are stored times alpha, so over white they need only its rest."""
    alpha = np.maximum(cover, 128)  # enough left of the colours to divide by
    stored = np.round(pixels[..., :channels] * (alpha / 255)[..., np.newaxis]).astype(np.uint8)
    samples = np.dstack([stored, alpha])
    data = tiff_bytes(samples, photometric=1 if channels == 1 else 2, extra=1)
    (tmp_path / "a.tif").write_bytes(data)
    rgb, read = load_on_white(tmp_path / "a.tif")
    over_white = np.moveaxis(stored / 255, -1, 0) + (1 - alpha / 255)
    np.testing.assert_array_equal(read, np.float32(alpha) / np.float32(255))
    np.testing.assert_allclose(rgb, np.broadcast_to(over_white, rgb.shape), atol=1.6 * ONE_LEVEL)


def test_palette(tmp_path, rng):
    colours, indices = draw_palette(rng)
    palette_picture(colours, indices).save(tmp_path / "p.png")
    rgb, alpha = images.load_with_alpha(tmp_path / "p.png")
    assert alpha is None
    np.testing.assert_array_equal(rgb, as_image(colours[indices]))


@pytest.mark.parametrize("transparency", [2, bytes([255, 0, 128, 7, 255])])
def test_palette_with_transparency(tmp_path, rng, transparency):
    colours, indices = draw_palette(rng)
    alphas = np.full(len(colours), 255, np.uint8)
    if isinstance(transparency, int):
        alphas[transparency] = 0
    else:
        alphas[: len(transparency)] = list(transparency)
    palette_picture(colours, indices).save(tmp_path / "p.png", transparency=transparency)
    rgb, alpha = load_on_white(tmp_path / "p.png")
    np.testing.assert_array_equal(alpha, np.float32(alphas[indices]) / np.float32(255))
    np.testing.assert_allclose(rgb, on_white(colours[indices], alphas[indices]), atol=1e-6)


def test_palette_with_an_alpha_channel(tmp_path, rng, cover):
    colours, indices = draw_palette(rng)
    picture = palette_picture(colours, indices).convert("PA")
    picture.putalpha(PIL.Image.fromarray(cover))
    picture.save(tmp_path / "pa.tif")
    rgb, alpha = load_on_white(tmp_path / "pa.tif")
    np.testing.assert_array_equal(alpha, np.float32(cover) / np.float32(255))
    np.testing.assert_allclose(rgb, on_white(colours[indices], cover), atol=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_grey_level_of_a_png_declared_transparent(tmp_path, rng, depth):
    """The tRNS chunk gives the level as it is stored: 3 is the white of two bits."""
    white = 2**depth - 1
    levels = rng.integers(0, white + 1, (HEIGHT, WIDTH))
    levels[3, 5] = key = white if depth < 8 else 77
    transparent = png_chunk(b"tRNS", struct.pack(">H", key))
    (tmp_path / "key.png").write_bytes(png_bytes(levels, depth, 0, transparent))
    rgb, alpha = load_on_white(tmp_path / "key.png")
    np.testing.assert_array_equal(alpha, levels != key)
    expected = np.where(levels == key, 1, levels / white)
    np.testing.assert_allclose(rgb, np.stack([expected] * 3), atol=1e-6)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_colour_of_a_png_declared_transparent(tmp_path, rng, depth):
    levels = rng.integers(0, 2**depth, (HEIGHT, WIDTH, 3))
    transparent = png_chunk(b"tRNS", struct.pack(">3H", *levels[3, 5]))
    (tmp_path / "key.png").write_bytes(png_bytes(levels, depth, 2, transparent))
    rgb, alpha = load_on_white(tmp_path / "key.png")
    opaque = (levels != levels[3, 5]).any(axis=-1)
    assert not opaque[3, 5]
    np.testing.assert_array_equal(alpha, opaque)
    np.testing.assert_allclose(rgb, on_white(levels >> (depth - 8), opaque * 255), atol=1e-6)


# 16 bits


def test_16_bit_grey_png(tmp_path, rng):
    levels = draw_16_bits(rng)
    (tmp_path / "deep.png").write_bytes(png_bytes(levels, 16, 0))
    rgb = images.load(tmp_path / "deep.png")
    np.testing.assert_allclose(rgb, np.stack([levels / 65535] * 3), atol=1e-7)


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_grey_tiff(tmp_path, rng, order):
    levels = draw_16_bits(rng)
    (tmp_path / "deep.tif").write_bytes(tiff_bytes(levels.astype(np.uint16), 1, order=order))
    rgb = images.load(tmp_path / "deep.tif")
    np.testing.assert_allclose(rgb, np.stack([levels / 65535] * 3), atol=1e-7)


def test_16_bit_grey_tiff_whose_zero_is_white(tmp_path, rng):
    levels = draw_16_bits(rng)
    (tmp_path / "negative.tif").write_bytes(tiff_bytes(levels.astype(np.uint16), 0))
    rgb = images.load(tmp_path / "negative.tif")
    np.testing.assert_allclose(rgb, np.stack([1 - levels / 65535] * 3), atol=1e-7)


def test_12_bit_grey_tiff(tmp_path, rng):
    levels = rng.integers(0, 4096, (HEIGHT, 28))
    first, second = levels[:, ::2], levels[:, 1::2]  # two levels in three bytes
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1)
    data = tiff_bytes(packed.astype(np.uint8).reshape(HEIGHT, 42), 1, bits=12, width=28)
    (tmp_path / "scope.tif").write_bytes(data)
    rgb = images.load(tmp_path / "scope.tif")
    np.testing.assert_allclose(rgb, np.stack([levels / 4095] * 3), atol=1e-7)


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_16_bit_colour_keeps_its_upper_bits(tmp_path, rng, kind):
    levels = rng.integers(0, 65536, (HEIGHT, WIDTH, 3))
    data = png_bytes(levels, 16, 2) if kind == "png" else tiff_bytes(levels.astype(np.uint16), 2)
    (tmp_path / f"deep.{kind}").write_bytes(data)
    rgb = images.load(tmp_path / f"deep.{kind}")
    np.testing.assert_array_equal(rgb, as_image((levels >> 8).astype(np.uint8)))


@pytest.mark.parametrize("channels", [2, 4])
def test_16_bit_png_with_alpha(tmp_path, rng, channels):
    levels = rng.integers(0, 65536, (HEIGHT, WIDTH, channels))
    (tmp_path / "deep.png").write_bytes(png_bytes(levels, 16, {2: 4, 4: 6}[channels]))
    rgb, alpha = load_on_white(tmp_path / "deep.png")
    true_alpha = levels[..., -1] / 65535
    true_rgb = np.moveaxis(levels[..., :-1] / 65535, -1, 0) * true_alpha + 1 - true_alpha
    np.testing.assert_allclose(alpha, true_alpha, atol=ONE_LEVEL)
    np.testing.assert_allclose(rgb, np.broadcast_to(true_rgb, rgb.shape), atol=2 * ONE_LEVEL)


# CMYK, other colour spaces and profiles


@pytest.mark.parametrize(("suffix", "atol"), [(".tif", ONE_LEVEL), (".jpg", 4 * ONE_LEVEL)])
def test_cmyk_without_a_profile(tmp_path, suffix, atol):
    inks = np.concatenate([coloured_tiles(), coloured_tiles()[::-1, :, :1] // 2], axis=-1)
    cmyk_picture(inks).save(tmp_path / f"print{suffix}", quality=95)
    rgb = images.load(tmp_path / f"print{suffix}")
    cyan, magenta, yellow, black = np.moveaxis(inks / 255, -1, 0)
    expected = np.stack([(1 - ink) * (1 - black) for ink in (cyan, magenta, yellow)])
    np.testing.assert_allclose(rgb[:, 4::16, 4::16], expected[:, 4::16, 4::16], atol=atol)


def test_ycbcr_tiff(tmp_path):
    """Rec. 601 as JPEG has it: Y and the scaled differences B - Y and R - Y."""
    tiles = coloured_tiles()
    PIL.Image.fromarray(tiles).convert("YCbCr").save(tmp_path / "video.tif")
    np.testing.assert_allclose(
        images.load(tmp_path / "video.tif"), as_image(tiles), atol=2 * ONE_LEVEL
    )


@pytest.mark.parametrize("with_profile", [False, True])
def test_lab_tiff(tmp_path, with_profile):
    """A neutral grey is L* alone; its luminance follows from the definition of L*."""
    lightness = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (HEIGHT, 1))
    neutral = np.zeros_like(lightness)  # a* and b* are signed
    samples = np.dstack([lightness, neutral, neutral])
    profile = rgb_profile(SRGB_PRIMARIES, gamma_curve(1)) if with_profile else b""
    (tmp_path / "lab.tif").write_bytes(tiff_bytes(samples, 8, profile=profile))
    rgb = images.load(tmp_path / "lab.tif")
    expected = encode_srgb(luminance_of(lightness / 255 * 100))
    np.testing.assert_allclose(rgb, np.stack([expected] * 3), atol=2 * ONE_LEVEL)


PROFILED = [".png", ".jpg", ".tif", ".webp"]


@pytest.mark.parametrize("suffix", PROFILED)
def test_a_profile_with_swapped_primaries_swaps_the_channels(tmp_path, suffix):
    tiles = coloured_tiles()
    swapped = rgb_profile(SRGB_PRIMARIES[::-1], srgb_curve())
    options = {".jpg": {"quality": 95, "subsampling": 0}, ".webp": {"lossless": True}}
    PIL.Image.fromarray(tiles).save(
        tmp_path / f"p{suffix}", icc_profile=swapped, **options.get(suffix, {})
    )
    rgb = images.load(tmp_path / f"p{suffix}")
    atol = (8 if suffix == ".jpg" else 2) * ONE_LEVEL
    np.testing.assert_allclose(rgb, as_image(tiles)[::-1], atol=atol)


def test_a_profile_in_linear_light_is_encoded_as_srgb(tmp_path, pixels):
    linear = rgb_profile(SRGB_PRIMARIES, gamma_curve(1))
    PIL.Image.fromarray(pixels).save(tmp_path / "linear.png", icc_profile=linear)
    rgb = images.load(tmp_path / "linear.png")
    np.testing.assert_allclose(rgb, encode_srgb(as_image(pixels)), atol=1.5 * ONE_LEVEL)


def test_the_srgb_profile_changes_nothing(tmp_path, pixels):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    PIL.Image.fromarray(pixels).save(tmp_path / "srgb.png", icc_profile=srgb)
    np.testing.assert_array_equal(images.load(tmp_path / "srgb.png"), as_image(pixels))


def test_a_profile_leaves_alpha_alone(tmp_path, pixels, cover):
    swapped = rgb_profile(SRGB_PRIMARIES[::-1], srgb_curve())
    rgba = PIL.Image.fromarray(np.dstack([pixels, cover]))
    rgba.save(tmp_path / "p.png", icc_profile=swapped)
    rgb, alpha = load_on_white(tmp_path / "p.png")
    np.testing.assert_array_equal(alpha, np.float32(cover) / np.float32(255))
    np.testing.assert_allclose(rgb, on_white(pixels[..., ::-1], cover), atol=2 * ONE_LEVEL)


def test_a_palette_with_a_profile(tmp_path, rng):
    colours, indices = draw_palette(rng)
    swapped = rgb_profile(SRGB_PRIMARIES[::-1], srgb_curve())
    palette_picture(colours, indices).save(tmp_path / "p.png", icc_profile=swapped)
    rgb = images.load(tmp_path / "p.png")
    np.testing.assert_allclose(rgb, as_image(colours[indices])[::-1], atol=2 * ONE_LEVEL)


@pytest.mark.parametrize("space", ["grey", "rgb"])
@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_with_a_profile(tmp_path, pixels, cover, mode, space):
    linear = gamma_curve(1)
    profile = grey_profile(linear) if space == "grey" else rgb_profile(SRGB_PRIMARIES, linear)
    grey = pixels[..., 2]
    opaque = np.full_like(cover, 255)
    samples = grey if mode == "L" else np.dstack([grey, opaque])
    PIL.Image.fromarray(samples).save(tmp_path / "g.png", icc_profile=profile)
    expected = encode_srgb(grey / 255)
    rgb = images.load(tmp_path / "g.png")
    np.testing.assert_allclose(rgb, np.stack([expected] * 3), atol=1.5 * ONE_LEVEL)


def test_16_bit_grey_with_a_profile_stays_deep(tmp_path):
    levels = np.linspace(20000, 60000, HEIGHT * WIDTH).astype(int).reshape(HEIGHT, WIDTH)
    profile = png_chunk(b"iCCP", b"grey\0\0" + zlib.compress(grey_profile(gamma_curve(1))))
    (tmp_path / "deep.png").write_bytes(png_bytes(levels, 16, 0, profile))
    rgb = images.load(tmp_path / "deep.png")
    expected = encode_srgb(levels / 65535)
    np.testing.assert_allclose(rgb, np.stack([expected] * 3), atol=1.5 * ONE_LEVEL)
    assert len(np.unique(rgb[0])) > 300  # 513 levels went in; 8 bits would leave 157


@pytest.mark.parametrize(("suffix", "atol"), [(".tif", 2.5), (".jpg", 5)])
def test_cmyk_with_a_profile(tmp_path, suffix, atol):
    """The profile says that only the black ink is seen, and L* = 100 (1 - black)."""
    inks = np.concatenate([coloured_tiles(), coloured_tiles()[::-1, :, :1]], axis=-1)
    picture = cmyk_picture(inks)
    picture.save(tmp_path / f"p{suffix}", quality=95, icc_profile=cmyk_profile())
    rgb = images.load(tmp_path / f"p{suffix}")[:, 4::16, 4::16]
    expected = encode_srgb(luminance_of(100 - inks[4::16, 4::16, 3] / 2.55))
    np.testing.assert_allclose(rgb, np.stack([expected] * 3), atol=atol * ONE_LEVEL)


@pytest.mark.parametrize("kind", ["colour", "grey"])
def test_the_black_of_a_profile_becomes_black(tmp_path, kind):
    """Its darkest is L* = 20, dark grey on a screen: what lies between is spread over all of it.

    Black-point compensation: luminance goes from (black, 1) to (0, 1) along a straight line
    (Adobe Systems' Implementation of Black Point Compensation, 2006).
    """
    levels = np.arange(256, dtype=np.uint8)
    rows = np.repeat(levels[np.newaxis], 20, axis=0)
    light = luminance_of(20 + 80 * (levels / 255))
    if kind == "colour":
        stored, profile = np.stack([rows // 2, rows, 255 - rows], axis=-1), faded_profile(20)
    else:
        curve = b"curv" + struct.pack(">2I", 0, 256) + (light * 65535).astype(">u2").tobytes()
        stored, profile = rows, grey_profile(curve)
    PIL.Image.fromarray(stored).save(tmp_path / "faded.png", icc_profile=profile)
    expected = encode_srgb((light - light[0]) / (1 - light[0]))
    rgb = images.load(tmp_path / "faded.png")
    np.testing.assert_allclose(rgb, np.broadcast_to(expected, rgb.shape), atol=1.5 * ONE_LEVEL)


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (b"rubbish", "cannot open profile from string"),
        ("cut", "cannot open profile from string"),
        ("grey", "a profile for 'GRAY' on a picture in RGB"),
        ("empty", "cannot build transform"),
    ],
)
def test_a_broken_profile_is_a_warning(tmp_path, pixels, profile, reason):
    made = {
        "cut": rgb_profile(SRGB_PRIMARIES, srgb_curve())[:150],
        "grey": grey_profile(gamma_curve(1)),
        "empty": icc_profile(b"RGB ", {}),
    }
    path = tmp_path / "photo.png"
    PIL.Image.fromarray(pixels).save(path, icc_profile=made.get(profile, profile))
    with pytest.warns(NstWarning) as warned:
        rgb = images.load(path)
    assert [str(w.message) for w in warned] == [
        f"{path}: its colour profile cannot be used ({reason}); its colours are taken as they "
        "are: convert it to sRGB if they look wrong"
    ]
    np.testing.assert_array_equal(rgb, as_image(pixels))


# Refused, each in one line


def _cut(kind: str, share: float) -> bytes:
    file = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    noise = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(file, kind, **options)
    return file.getvalue()[: int(len(file.getvalue()) * share)]


def _small(height: int, width: int) -> bytes:
    return png_bytes(np.zeros((height, width), int), 8, 0)


# For ~ any reason, in brackets, will do: it is Pillow's, and changes with its version.
UNUSUAL = "; copy it anew, or open it in an image editor and save it as PNG"
REFUSED = {
    "empty": (
        b"",
        "cannot read {}: the file is empty; give a JPEG, PNG, WebP, TIFF, GIF, AVIF or HEIC image",
    ),
    "text": (
        b"To whom it may concern",
        f"cannot read {{}}: it is not a {decoding.KINDS} image, but begins with "
        "b'To whom it m'; convert it to one",
    ),
    "wave": (
        b"RIFF\x24\0\0\0WAVEfmt ",
        f"cannot read {{}}: it is not a {decoding.KINDS} image, but begins with "
        "b'RIFF$\\x00\\x00\\x00WAVE'; convert it to one",
    ),
    "one pixel": (
        _small(1, 1),
        "cannot use {}: it is 1 x 1 pixels, and both sides need 16 or more; choose a larger image",
    ),
    "narrow": (
        _small(40, 15),
        "cannot use {}: it is 15 x 40 pixels, and both sides need 16 or more; "
        "choose a larger image",
    ),
    "low": (
        _small(15, 40),
        "cannot use {}: it is 40 x 15 pixels, and both sides need 16 or more; "
        "choose a larger image",
    ),
    "bomb": (
        png_bytes(np.zeros((20, 30), int), 8, 0, size=(30000, 20000)),
        "cannot use {}: Image size (600000000 pixels) exceeds limit of 178956970 pixels, could "
        "be decompression bomb DOS attack; make it smaller",
    ),
    "cut PNG header": (
        _cut("PNG", 0.003),
        "cannot read {}: this PNG is cut short, damaged or of an unusual kind~" + UNUSUAL,
    ),
    "cut PNG": (
        _cut("PNG", 0.5),
        "cannot read {}: this PNG is cut short, damaged or of an unusual kind~" + UNUSUAL,
    ),
    "cut JPEG": (
        _cut("JPEG", 0.5),
        "cannot read {}: this JPEG is cut short, damaged or of an unusual kind~" + UNUSUAL,
    ),
    "cut WebP": (
        _cut("WEBP", 0.5),
        "cannot read {}: this WebP is cut short, damaged or of an unusual kind~" + UNUSUAL,
    ),
    "cut TIFF": (
        _cut("TIFF", 0.5),
        "cannot read {}: this TIFF is cut short, damaged or of an unusual kind~" + UNUSUAL,
    ),
    "float TIFF": (
        tiff_bytes(np.zeros((20, 30), np.float32), 1, kind=3),
        "cannot use {}: its pixels are floating-point numbers, which do not say what is white; "
        "convert it to 8 or 16 bits per channel",
    ),
    "float colour TIFF": (
        tiff_bytes(np.zeros((20, 30, 3), np.float32), 2, kind=3),
        "cannot use {}: its pixels are floating-point numbers, which do not say what is white; "
        "convert it to 8 or 16 bits per channel",
    ),
    "integer TIFF": (
        tiff_bytes(np.zeros((20, 30), np.int32), 1, kind=2),
        "cannot use {}: its pixels are signed or 32-bit integers, which do not say what is "
        "white; convert it to 8 or 16 bits per channel",
    ),
    "signed TIFF": (
        tiff_bytes(np.zeros((20, 30), np.int16), 1, kind=2),
        "cannot use {}: its pixels are signed or 32-bit integers, which do not say what is "
        "white; convert it to 8 or 16 bits per channel",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, name):
    data, message = REFUSED[name]
    path = tmp_path / "picture.dat"
    path.write_bytes(data)
    expected = re.escape(message.format(path)).replace(r"\~", r"( \(.+\))?")
    assert re.fullmatch(expected, refusal_of(images.load, path))
    if decoding.kind_of(data) is None:
        assert re.fullmatch(expected, refusal_of(images.read_metadata, path))
    else:
        assert images.read_metadata(path) == {}


def test_a_tiff_of_too_many_samples_is_refused_in_silence(tmp_path):
    """Pillow logs an error then, and Python prints what is logged where nobody listens."""
    data = tiff_bytes(np.zeros((20, 30, 3), np.uint8), 2)
    three, nine = (struct.pack("<HHIHH", tiff.SAMPLES, 3, 1, n, 0) for n in (3, 9))
    assert data.count(three) == 1
    (tmp_path / "many.tif").write_bytes(data.replace(three, nine))
    program = (
        "from nst import NstError\nfrom nst.pictures import images\n"
        "try: images.load('many.tif')\n"
        "except NstError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.startswith("cannot read many.tif: this TIFF is cut short, damaged or ")
    assert done.stderr == ""


def test_a_missing_file_is_refused(tmp_path):
    path = tmp_path / "nowhere.png"
    assert refusal_of(images.load, path) == (
        f"cannot read {path}: there is no such file; check the name"
    )


def test_a_folder_is_refused(tmp_path):
    assert refusal_of(images.load, tmp_path) == (
        f"cannot read {tmp_path}: it is a folder; name an image in it"
    )


@POSIX
def test_a_name_that_is_too_long_is_refused(tmp_path):
    path = tmp_path / ("x" * 300 + ".png")
    message = refusal_of(images.load, path)  # the name is shortened in it
    assert message.startswith("cannot read ")
    assert message.endswith("x.png: file name too long; check the file and its permissions")


def test_large_is_allowed_silently_until_pillow_calls_it_a_bomb(tmp_path, pixels, monkeypatch):
    path = tmp_path / "large.png"
    PIL.Image.fromarray(pixels).save(path)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH // 2 + 1)
    np.testing.assert_array_equal(images.load(path), as_image(pixels))
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH // 2)
    assert "exceeds limit of 512 pixels" in refusal_of(images.load, path)


def _load_or_refuse(path):
    """Return the image, or the one line that refuses it."""
    try:
        return images.load(path)
    except NstError as error:
        return str(error)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_picture_cut_anywhere_is_whole_or_refused(tmp_path, kind):
    whole = _cut(kind, 1)
    path = tmp_path / "picture"
    path.write_bytes(whole)
    expected = images.load(path)
    refused = 0
    for length in [*range(0, len(whole), len(whole) // 50), len(whole) - 1]:
        path.write_bytes(whole[:length])
        result = _load_or_refuse(path)
        if isinstance(result, str):
            assert "\n" not in result
            refused += 1
        else:
            np.testing.assert_array_equal(result, expected)
    assert refused >= 49  # the last bytes may be padding or a checksum of nothing


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_damaged_picture_gives_an_image_or_one_line(tmp_path, rng, kind):
    whole = _cut(kind, 1)
    path = tmp_path / "picture"
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 600), 2):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        result = _load_or_refuse(path)
        if isinstance(result, str):
            assert "\n" not in result
            refused += 1
        else:
            assert result.shape[0] == 3
            assert 0 <= result.min() <= result.max() <= 1
    assert refused > 0


def test_one_thread_decodes_at_a_time(monkeypatch, tmp_path):
    """Warnings and standard error are the process's: two that overlap would lose them for good."""
    PIL.Image.new("RGB", (20, 20)).save(tmp_path / "a.tiff")
    inside, most, real = [], [], tiff.quietly

    @contextmanager
    def counted():
        inside.append(1)
        most.append(len(inside))
        with real():
            time.sleep(0.01)
            yield
        inside.pop()

    monkeypatch.setattr(tiff, "quietly", counted)
    filters = list(warnings.filters)
    with ThreadPoolExecutor(4) as four:
        list(four.map(images.load, 12 * [tmp_path / "a.tiff"]))
    assert (len(most), max(most)) == (12, 1)
    assert warnings.filters == filters
