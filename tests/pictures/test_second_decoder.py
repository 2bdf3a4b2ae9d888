"""Every kind of picture, as a second decoder writes or reads it: right within a level, or refused.

TIFF comes from tifffile and imagecodecs, and what those cannot write from `picture_files`; PNG is
written out there too, and read with imagecodecs' libpng; JPEG, WebP and AVIF are compared with
libjpeg-turbo, libwebp and libavif as imagecodecs has them.
"""

import io
import itertools
import struct
import warnings
import zlib

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile
from picture_files import as_the_camera_stores, png_bytes, png_chunk, tiff_of_tags

from nst.errors import NstError, NstWarning
from nst.pictures import images
from nst.pictures.reading import Input

ROWS, COLUMNS = 37, 53
LEVEL = 1.01 / 255
ORIENTATIONS = range(1, 9)


def read(data: bytes):
    return images.load_with_alpha(Input("picture", data, ""))


def shades(channels: int, depth: int) -> np.ndarray:
    """A picture without noise, (H, W, C), that has no symmetry and no two channels alike."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    levels = [(rows * (3 + k) + columns * (5 - k) + 40 * k) % 256 for k in range(channels)]
    share = np.stack(levels, axis=-1) / 255
    return np.round(share * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)


def assert_colours(rgb, expected, seen=None):
    assert rgb.shape == expected.shape
    off = np.abs(rgb - expected)
    assert (off if seen is None else off[:, seen]).max() <= LEVEL


# ---- TIFF, written by tifffile ------------------------------------------------------------

MODES = {  # channels, depth, photometric, extra channels
    "grey": (1, 8, "minisblack", []),
    "grey 16": (1, 16, "minisblack", []),
    "white is 0": (1, 8, "miniswhite", []),
    "white is 0, 16": (1, 16, "miniswhite", []),
    "grey, alpha": (2, 8, "minisblack", ["unassalpha"]),
    "grey, alpha 16": (2, 16, "minisblack", ["unassalpha"]),
    "RGB": (3, 8, "rgb", []),
    "RGB 16": (3, 16, "rgb", []),
    "RGBA": (4, 8, "rgb", ["unassalpha"]),
    "RGBA 16": (4, 16, "rgb", ["unassalpha"]),
    "RGBa": (4, 8, "rgb", ["assocalpha"]),
    "RGBa 16": (4, 16, "rgb", ["assocalpha"]),
    "RGBX": (4, 8, "rgb", ["unspecified"]),
    "RGBX 16": (4, 16, "rgb", ["unspecified"]),
    "RGBAX": (5, 8, "rgb", ["unassalpha", "unspecified"]),
    "CMYK": (4, 8, "separated", []),
    "CMYK 16": (4, 16, "separated", []),
    "CMYKX": (5, 8, "separated", ["unspecified"]),
}
# What Pillow cannot read, or reads wrongly, and is refused:
REFUSED = {
    ("grey, alpha 16", "contig"),
    ("grey, alpha 16", "separate"),
    ("grey, alpha", "separate"),
    ("RGBAX", "separate"),
    ("white is 0, 16", ">"),
}
COMPRESSIONS = ["none", "lzw", "adobe_deflate", "deflate", "packbits", "zstd", "lzma"]
LAYOUTS = {"one strip": {"rowsperstrip": 10_000}, "strips": {"rowsperstrip": 7}}
LAYOUTS["tiles"] = {"tile": (32, 48)}


def tiff(
    stored, mode, planar, compression, layout, order, orientation=1, predictor=False
) -> bytes:
    channels, _, photometric, extra = MODES[mode]
    stored = stored[..., 0] if channels == 1 else stored
    options = dict(LAYOUTS[layout], photometric=photometric, byteorder=order, metadata=None)
    if channels > 1:
        options["planarconfig"] = planar
        stored = np.moveaxis(stored, -1, 0) if planar == "separate" else stored
    if extra:
        options["extrasamples"] = extra
    if compression != "none":
        options |= {"compression": compression, "predictor": predictor}
    if orientation != 1:
        options["extratags"] = [(274, 3, 1, orientation, True)]
    file = io.BytesIO()
    tifffile.imwrite(file, np.ascontiguousarray(stored), **options)
    return file.getvalue()


def scene_of(mode):
    """Return the stored levels of a mode, and the colours and the opacity that they mean."""
    channels, depth, photometric, extra = MODES[mode]
    levels = shades(channels, depth)
    if "assocalpha" in extra:
        levels[..., :3] = np.minimum(levels[..., :3], levels[..., 3:])
    share = levels / (2**depth - 1)
    if photometric == "separated":
        inks, black = share[..., :3], share[..., 3:4]
        colours = (1 - inks) * (1 - black)
    elif photometric == "miniswhite":
        colours = 1 - share
    else:
        colours = share[..., : 3 if photometric == "rgb" else 1]
    alpha = None
    if extra and extra[0] != "unspecified":
        alpha = share[..., 3 if photometric == "rgb" else 1]
    if "assocalpha" in extra:
        colours = colours / np.maximum(alpha, 1e-9)[..., None]
    expected = np.broadcast_to(np.moveaxis(colours, -1, 0), (3, ROWS, COLUMNS))
    return levels, expected, alpha


def check_tiff(mode, planar, compression, layout, order, orientation=1, predictor=False):
    levels, expected, alpha = scene_of(mode)
    if orientation != 1:
        levels = as_the_camera_stores(levels, orientation).astype(levels.dtype)
    data = tiff(levels, mode, planar, compression, layout, order, orientation, predictor)
    if {(mode, planar), (mode, order)} & REFUSED:
        with pytest.raises(NstError):
            read(data)
        return
    rgb, opacity = read(data)
    if alpha is None:
        assert opacity is None
        assert_colours(rgb, expected)
        return
    assert np.abs(opacity - alpha).max() <= LEVEL
    deep_enough = alpha > (0.99 if "a" in mode.split()[0] else 0)  # premultiplied by less
    assert_colours(rgb, expected, deep_enough)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_tiff_of_every_mode_layout_and_compression(mode, planar, compression):
    for layout, order in itertools.product(LAYOUTS, "<>"):
        check_tiff(mode, planar, compression, layout, order)
        if compression in ("lzw", "adobe_deflate"):
            check_tiff(mode, planar, compression, layout, order, predictor=True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_tiff_of_every_orientation(mode, orientation):
    layouts = ("one strip", "strips", "tiles")
    for planar, compression, layout in itertools.product(
        ("contig", "separate"), ("none", "lzw"), layouts
    ):
        check_tiff(mode, planar, compression, layout, "<", orientation)


@pytest.mark.parametrize("order", "<>")
def test_bigtiff_is_read_or_refused(order):
    file = io.BytesIO()
    tifffile.imwrite(file, shades(3, 8), bigtiff=True, byteorder=order, photometric="rgb")
    if order == "<":
        assert_colours(read(file.getvalue())[0], np.moveaxis(shades(3, 8) / 255, -1, 0))
    else:
        with pytest.raises(NstError, match="this TIFF is cut short, damaged or of an unusual"):
            read(file.getvalue())


@pytest.mark.parametrize(
    "layout", [{"rowsperstrip": 64}, {"rowsperstrip": 16}, {"tile": (16, 32)}]
)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("photometric", "subsampling"),
    [("ycbcr", (1, 1)), ("ycbcr", (2, 1)), ("ycbcr", (2, 2)), ("rgb", None), ("minisblack", None)],
)
def test_jpeg_in_tiff(layout, order, photometric, subsampling):
    options = dict(layout, byteorder=order, photometric=photometric, compression="jpeg")
    if subsampling is not None:
        options["subsampling"] = subsampling
    stored = shades(3, 8) if photometric != "minisblack" else shades(1, 8)[..., 0]
    file = io.BytesIO()
    tifffile.imwrite(file, stored, metadata=None, **options)
    expected = tifffile.imread(io.BytesIO(file.getvalue())) / 255
    expected = np.moveaxis(expected, -1, 0) if expected.ndim == 3 else np.stack([expected] * 3)
    assert_colours(read(file.getvalue())[0], expected)


# ---- TIFF, written by hand ---------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("photometric", [0, 1, 3])
@pytest.mark.parametrize("fill_order", [1, 2])
@pytest.mark.parametrize("planes", [1, 2])
def test_tiff_of_few_bits(rng, bits, photometric, fill_order, planes):
    most = 2**bits - 1
    levels = rng.integers(0, most + 1, (ROWS, COLUMNS))
    colours = rng.integers(0, 256, (3, most + 1))
    packed = (levels[..., None] >> np.arange(bits - 1, -1, -1) & 1).reshape(ROWS, -1)
    bit_order = "big" if fill_order == 1 else "little"
    data = np.packbits(packed.astype(np.uint8), axis=1, bitorder=bit_order).tobytes()
    tags = {256: COLUMNS, 257: ROWS, 258: bits, 259: 1, 262: photometric, 266: fill_order}
    tags |= {277: 1, 278: ROWS, 284: planes}
    if photometric == 3:
        tags[320] = [int(level) * 257 for level in colours.ravel()]
    grey = levels / most
    expected = {0: np.stack([1 - grey] * 3), 1: np.stack([grey] * 3), 3: colours[:, levels] / 255}
    assert_colours(read(tiff_of_tags(data, tags))[0], expected[photometric])


@pytest.mark.parametrize("factor", [1, 256, 257])
def test_a_tiff_s_palette_in_8_bits_is_not_black(rng, factor):
    colours = rng.integers(0, 256, (3, 256))
    levels = rng.integers(0, 256, (ROWS, COLUMNS))
    tags = {256: COLUMNS, 257: ROWS, 258: 8, 259: 1, 262: 3, 277: 1, 278: ROWS}
    tags[320] = [int(level) * factor for level in colours.ravel()]
    data = tiff_of_tags(levels.astype(np.uint8).tobytes(), tags)
    assert_colours(read(data)[0], colours[:, levels] / 255)


@pytest.mark.parametrize("across", [1, 2, 4])
@pytest.mark.parametrize("down", [1, 2, 4])
def test_uncompressed_subsampled_colour(rng, across, down):
    """TIFF 6.0, section 21: luma of a block, row by row, then its Cb and Cr."""
    height, width = 36, 52
    luma = rng.integers(60, 180, (height, width))
    chroma = rng.integers(100, 150, (2, height // down, width // across))
    blocks = luma.reshape(height // down, down, width // across, across).swapaxes(1, 2)
    blocks = blocks.reshape(*chroma.shape[1:], -1)
    data = np.concatenate([blocks, np.moveaxis(chroma, 0, -1)], axis=-1).astype(np.uint8)
    tags = {256: width, 257: height, 258: [8] * 3, 259: 1, 262: 6, 277: 3, 278: height}
    tags[530] = [across, down]
    file = tiff_of_tags(data.tobytes(), tags)
    if max(across, down) > 2:
        with pytest.raises(NstError, match="blocks of four pixels, uncompressed, which"):
            read(file)
        return
    blue, red = chroma.repeat(down, axis=1).repeat(across, axis=2) - 128.0
    expected = [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue]
    assert_colours(read(file)[0], np.stack(expected).clip(0, 255) / 255)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_lab_in_planes_is_refused(planar):
    stored = shades(3, 8) if planar == "contig" else np.moveaxis(shades(3, 8), -1, 0)
    file = io.BytesIO()
    tifffile.imwrite(file, stored, photometric="cielab", planarconfig=planar, metadata=None)
    if planar == "contig":
        assert read(file.getvalue())[0].shape == (3, ROWS, COLUMNS)
    else:
        with pytest.raises(NstError, match="in separate planes, which is not read"):
            read(file.getvalue())


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.uint32, np.float32, np.float16])
@pytest.mark.parametrize("channels", [1, 3])
def test_numbers_without_a_white_are_refused(kind, channels):
    file = io.BytesIO()
    levels = shades(channels, 8).squeeze().astype(kind)
    photometric = "rgb" if channels == 3 else "minisblack"
    tifffile.imwrite(file, levels, photometric=photometric, metadata=None)
    with pytest.raises(NstError, match="which do not say what is white"):
        read(file.getvalue())


# ---- PNG -----------------------------------------------------------------------------------

PNG_MODES = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PNG_KINDS = [(kind, depth) for kind, depths in PNG_MODES.items() for depth in depths]


@pytest.mark.parametrize(
    ("kind", "depth", "transparent"),
    # A PNG with an alpha channel has no transparent colour.
    [(*k, t) for k in PNG_KINDS for t in (False, True) if not t or k[0] not in (4, 6)],
)
@pytest.mark.parametrize("interlaced", [False, True])
def test_png_of_every_mode(rng, kind, depth, interlaced, transparent):
    most = 2**depth - 1
    levels = rng.integers(0, most + 1, (ROWS, COLUMNS, CHANNELS[kind]))
    levels[5, 9:14] = levels[3, 4]
    if depth == 16:
        levels[6, 9:14] = levels[3, 4] ^ 1  # shares the upper byte
    chunks, colours, alphas = [], rng.integers(0, 256, (most + 1, 3)), None
    if kind == 3:
        chunks.append(png_chunk(b"PLTE", colours.astype(np.uint8).tobytes()))
    if transparent and kind == 3:
        alphas = rng.integers(0, 256, min(most + 1, 3))
        chunks.append(png_chunk(b"tRNS", bytes(alphas.tolist())))
    elif transparent:
        chunks.append(png_chunk(b"tRNS", struct.pack(f">{CHANNELS[kind]}H", *levels[3, 4])))
    rgb, opacity = read(png_bytes(levels, depth, kind, *chunks, interlaced=interlaced))

    share = levels / most
    expected = {0: share, 2: share, 4: share[..., :1], 6: share[..., :3]}.get(kind)
    if kind == 3:
        expected = colours[levels[..., 0]] / 255
    assert_colours(rgb, np.broadcast_to(np.moveaxis(expected, -1, 0), rgb.shape))
    if kind in (4, 6):
        assert np.abs(opacity - share[..., -1]).max() <= LEVEL
    elif not transparent:
        assert opacity is None
    elif kind == 3:
        table = np.concatenate([alphas / 255, np.ones(most + 1 - len(alphas))])
        np.testing.assert_allclose(opacity, table[levels[..., 0]], atol=1e-6)
    else:
        np.testing.assert_array_equal(opacity, (levels != levels[3, 4]).any(axis=-1))


@pytest.mark.parametrize(("kind", "depth"), [k for k in PNG_KINDS if k[1] >= 8 and k[0] != 3])
def test_our_pngs_are_what_libpng_takes_them_for(rng, kind, depth):
    """So that the expected pixels above are not only ours."""
    levels = rng.integers(0, 2**depth, (ROWS, COLUMNS, CHANNELS[kind]))
    for interlaced in (False, True):
        data = png_bytes(levels, depth, kind, interlaced=interlaced)
        np.testing.assert_array_equal(imagecodecs.png_decode(data), levels.squeeze())


# ---- JPEG, WebP, AVIF ------------------------------------------------------------------------


def saved(picture, kind, **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg(mode, progressive, subsampling):
    picture = PIL.Image.fromarray(shades(3, 8)).convert(mode)
    options = {} if mode == "L" else {"subsampling": subsampling}
    data = saved(picture, "JPEG", quality=90, progressive=progressive, **options)
    decoded = imagecodecs.jpeg8_decode(data) / 255
    if mode == "CMYK":  # stored inverted, as Adobe does
        decoded = decoded[..., :3] * decoded[..., 3:]
    expected = np.moveaxis(decoded, -1, 0) if decoded.ndim == 3 else np.stack([decoded] * 3)
    assert_colours(read(data)[0], expected)


def test_jpeg_of_inks_as_luma_and_chroma():
    """YCCK: what Photoshop writes.  The transform's number is in Adobe's marker."""
    inks = shades(4, 8)
    data = imagecodecs.jpeg8_encode(inks, level=95, colorspace="CMYK", outcolorspace="YCCK")
    assert data[data.index(b"Adobe") + 11] == 2
    decoded = imagecodecs.jpeg8_decode(data, colorspace="YCCK", outcolorspace="CMYK") / 255
    expected = np.moveaxis(decoded[..., :3] * decoded[..., 3:], -1, 0)
    assert np.abs(read(data)[0] - expected).max() <= 2 * LEVEL


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("lossless", [False, True])
def test_webp(channels, lossless):
    picture = PIL.Image.fromarray(shades(channels, 8))
    data = saved(picture, "WEBP", quality=90, lossless=lossless, exact=True)
    decoded = np.moveaxis(imagecodecs.webp_decode(data) / 255, -1, 0)
    rgb, alpha = read(data)
    assert_colours(rgb, decoded[:3])
    assert (alpha is None) == (channels == 3)
    if channels == 4:
        assert np.abs(alpha - decoded[3]).max() <= LEVEL


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_avif(channels, subsampling):
    data = saved(PIL.Image.fromarray(shades(channels, 8)), "AVIF", subsampling=subsampling)
    decoded = np.moveaxis(imagecodecs.avif_decode(data) / 255, -1, 0)
    rgb, alpha = read(data)
    assert np.abs(rgb - decoded[:3]).max() <= 3 * LEVEL  # chroma is enlarged in two ways
    assert (alpha is None) == (channels == 3)
    if channels == 4:
        assert np.abs(alpha - decoded[3]).max() <= LEVEL


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_orientation_of_avif_and_heic(orientation, kind):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    scene = np.zeros((32, 48, 3), np.uint8)
    scene[:16, :16] = 220, 40, 30
    scene[16:, :16] = 30, 60, 210
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored = PIL.Image.fromarray(as_the_camera_stores(scene, orientation))
    rgb, _ = read(saved(stored, kind, quality=95, exif=exif.tobytes()))
    assert rgb.shape == (3, 32, 48)
    middles = np.s_[:, 4:-4:8, 4:-4:8]
    assert np.abs(rgb - np.moveaxis(scene / 255, -1, 0))[middles].max() < 0.1


@pytest.mark.parametrize("transparent", [False, True])
def test_gif(rng, transparent):
    colours = rng.integers(0, 256, (16, 3), dtype=np.uint8)
    levels = rng.integers(0, 16, (ROWS, COLUMNS), dtype=np.uint8)
    picture = PIL.Image.fromarray(levels)
    picture.putpalette(colours.tobytes())
    options = {"transparency": 5} if transparent else {}
    rgb, alpha = read(saved(picture, "GIF", **options))
    seen = levels != 5 if transparent else np.ones(levels.shape, bool)
    assert_colours(rgb, np.moveaxis(colours[levels] / 255, -1, 0), seen)
    assert (alpha is None) != transparent
    if transparent:
        np.testing.assert_array_equal(alpha, seen)


def _frames(kind) -> bytes:
    frames = [PIL.Image.fromarray(np.full((40, 50, 3), level, np.uint8)) for level in (30, 220)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_of_a_moving_picture_the_first_is_taken_and_said(kind):
    with pytest.warns(NstWarning, match="picture holds several pictures; the first is taken"):
        rgb, _ = read(_frames(kind))
    assert np.abs(rgb - 30 / 255).max() < 0.03


def test_a_still_picture_of_any_kind_warns_of_nothing():
    still = PIL.Image.fromarray(shades(3, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in ("GIF", "PNG", "WEBP", "AVIF", "TIFF", "JPEG"):
            read(saved(still.convert("P") if kind == "GIF" else still, kind))


def test_a_profile_of_any_size_is_found_in_a_png():
    comment = zlib.compress(b"Copyright\0" + bytes(3_000_000))
    levels = shades(3, 8).astype(int)
    data = png_bytes(levels, 8, 2, png_chunk(b"zTXt", b"Comment\0\0" + comment))
    assert_colours(read(data)[0], np.moveaxis(levels / 255, -1, 0))
