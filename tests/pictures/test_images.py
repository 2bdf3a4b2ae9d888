"""Saved pictures are what was painted; and sizes."""

import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
from picture_files import HEIGHT, ONE_LEVEL, WIDTH, as_image, coloured_tiles, png_bytes, png_chunk
from refusals import raiser, refusal_of

from nst.pictures import images

# Saving


def test_all_256_levels_survive_a_png(tmp_path):
    levels = np.arange(3 * 16 * 32).reshape(3, 16, 32) % 256
    image = (levels / 255).astype(np.float32)
    images.save(tmp_path / "ramp.png", image)
    np.testing.assert_array_equal(images.load(tmp_path / "ramp.png"), image)


def test_values_are_rounded_half_up_and_clipped():
    levels = np.array([-3, -0.6, 0.49, 0.5, 1.49, 2.5, 127.5, 254.4, 254.5, 255, 256, 999])
    image = np.zeros((2, 1, 12), np.float32)
    image[1, 0] = levels / 255
    rounded = images.as_uint8(image)
    assert rounded.shape == (1, 12, 2)
    assert rounded.dtype == np.uint8
    assert rounded.flags.c_contiguous
    assert rounded[0, :, 1].tolist() == [0, 0, 0, 1, 1, 3, 128, 254, 255, 255, 255, 255]
    assert not rounded[0, :, 0].any()


def test_what_is_not_an_image_is_the_callers_mistake(tmp_path):
    image = np.zeros((3, 16, 17), np.float32)
    path = tmp_path / "out.png"
    with pytest.raises(ValueError, match="not finite"):
        images.save(path, image + np.float32(np.nan))
    with pytest.raises(TypeError, match="uint8"):
        images.save(path, image.astype(np.uint8))
    with pytest.raises(ValueError, match=r"\(3, H, W\), got \(16, 17, 3\)"):
        images.save(path, image.transpose(1, 2, 0))
    with pytest.raises(ValueError, match=r"alpha \(17, 16\) does not fit .* \(3, 16, 17\)"):
        images.save(path, image, alpha=np.ones((17, 16), np.float32))
    assert not list(tmp_path.iterdir())


def test_a_png_keeps_colour_and_alpha_apart(tmp_path, pixels, cover):
    alpha = cover / np.float32(255)
    images.save(tmp_path / "glass.png", as_image(pixels), alpha)
    with PIL.Image.open(tmp_path / "glass.png") as written:
        np.testing.assert_array_equal(np.asarray(written), np.dstack([pixels, cover]))


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_a_jpeg_lies_on_white(tmp_path, suffix):
    tiles = coloured_tiles()
    alpha = np.full(tiles.shape[:2], 0.25, np.float32)
    path = tmp_path / f"out{suffix}"
    images.save(path, as_image(tiles), alpha)
    rgb, read_alpha = images.load_with_alpha(path)
    assert read_alpha is None
    np.testing.assert_allclose(rgb, as_image(tiles) / 4 + 0.75, atol=0.02)


def test_a_jpeg_has_quality_95_and_whole_chroma(tmp_path, pixels):
    images.save(tmp_path / "out.jpg", as_image(pixels))
    with PIL.Image.open(tmp_path / "out.jpg") as written:
        assert written.format == "JPEG"
        sampling = [(across, down) for _, across, down, _ in written.layer]
        quantization = written.quantization[0]
    assert sampling == [(1, 1)] * 3
    # the first row of Annex K's table, scaled by 200 - 2 * 95 = 10 percent
    annex_k = [16, 11, 10, 16, 24, 40, 51, 61]
    assert quantization[:8] == [max(1, (10 * step + 50) // 100) for step in annex_k]


def test_a_png_carries_its_metadata(tmp_path, pixels):
    metadata = {
        "Software": "nst 0.1",
        "settings": '{"content": "montaña 山.jpg",\n "steps": 300}',
        "seed": "",
        "losses": "x" * 5000,
    }
    path = tmp_path / "out.png"
    images.save(path, as_image(pixels), metadata=metadata)
    assert images.read_metadata(path) == metadata
    assert path.read_bytes().count(b"iTXt") == 4
    np.testing.assert_array_equal(images.load(path), as_image(pixels))


def test_metadata_of_others_are_read_and_of_a_jpeg_there_are_none(tmp_path, pixels):
    text = png_chunk(b"tEXt", b"Author\0M\xfcnter")
    (tmp_path / "other.png").write_bytes(png_bytes(pixels, 8, 2, text))
    assert images.read_metadata(tmp_path / "other.png") == {"Author": "M\xfcnter"}
    images.save(tmp_path / "out.jpg", as_image(pixels), metadata={"seed": "1"})
    assert images.read_metadata(tmp_path / "out.jpg") == {}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_texts_are_read_without_a_look_at_the_pixels(tmp_path, kind, monkeypatch):
    """So a picture of any size takes no memory: a file of kilobytes may hold a gigabyte."""
    PIL.Image.new("RGB", (700, 500)).save(tmp_path / "picture", kind)
    texts = {}
    if kind == "PNG":
        texts = {"Software": "x" * 3000}
        images.save(tmp_path / "picture.png", np.zeros((3, 500, 700), np.float32), None, texts)
        (tmp_path / "picture.png").rename(tmp_path / "picture")
    for name in ("open", "frombytes"):
        monkeypatch.setattr(PIL.Image, name, raiser(AssertionError("pixels")))
    assert images.read_metadata(tmp_path / "picture") == texts


def test_a_png_that_is_cut_in_its_pixels_says_what_it_says(tmp_path, rng):
    images.save(tmp_path / "a.png", rng.random((3, 50, 60), np.float32), None, {"seed": "7"})
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    assert images.read_metadata(tmp_path / "a.png") == {"seed": "7"}


@pytest.mark.parametrize("keyword", ["", "x" * 80, "山", "two\nlines", "null\0"])
def test_a_keyword_that_png_cannot_hold_is_the_callers_mistake(tmp_path, pixels, keyword):
    with pytest.raises(ValueError, match="79 Latin-1 characters"):
        images.save(tmp_path / "out.png", as_image(pixels), metadata={keyword: "text"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("out.gif", "its name ends in '.gif'"),
        ("out.bmp", "its name ends in '.bmp'"),
        ("out", "its name has no ending"),
        (".png", "its name has no ending"),
    ],
)
def test_other_endings_are_refused(tmp_path, pixels, name, found):
    path = tmp_path / name
    message = f"cannot write {path}: {found}; end it in .png, .jpg, .webp, .tiff or .avif"
    assert refusal_of(images.save, path, as_image(pixels)) == message
    assert refusal_of(images.check_output, path) == message


def test_a_jpeg_too_long_for_its_format_is_refused(tmp_path):
    path = tmp_path / "wall.jpg"
    image = np.zeros((3, 1, 65501), np.float32)
    assert refusal_of(images.save, path, image) == (
        f"cannot write {path}: JPEG holds 65500 pixels a side, and the image is 65501 x 1; "
        "end the name in .png"
    )
    images.save(tmp_path / "wall.png", image)


# Sizes


def _lanczos(signal, size) -> np.ndarray:
    """Resample one row by the definition: sinc(x) sinc(x / 3), widened when shrinking."""
    scale = len(signal) / size
    reach = 3 * max(scale, 1)
    result = []
    for i in range(size):
        centre = (i + 0.5) * scale
        weighted = total = 0.0
        for j, value in enumerate(signal):
            x = (j + 0.5 - centre) / max(scale, 1)
            if abs(j + 0.5 - centre) < reach:
                weight = float(np.sinc(x) * np.sinc(x / 3))
                weighted, total = weighted + weight * value, total + weight
        result.append(weighted / total)
    return np.array(result)


@pytest.mark.parametrize("size", [(4, 11), (17, 3), (7, 9), (1, 1), (29, 9), (3, 20)])
def test_resize_is_lanczos(rng, size):
    image = rng.uniform(0.4, 0.6, (2, 7, 9)).astype(np.float32)  # no overshoot reaches 0 or 1
    resized = images.resize(image, *size)
    assert resized.shape == (2, *size)
    assert resized.dtype == np.float32
    for channel, out in zip(image, resized, strict=True):
        columns_done = np.array([_lanczos(row, size[1]) for row in channel])
        expected = np.array([_lanczos(column, size[0]) for column in columns_done.T]).T
        np.testing.assert_allclose(out, expected, atol=2e-6)


@pytest.mark.parametrize("size", [(5, 31), (50, 7), (19, 27), (64, 65)])
def test_resize_agrees_with_pillow_on_8_bits(pixels, size):
    pixels = pixels // 4 + 96  # no overshoot, which Pillow would clip between its two passes
    ours = images.resize(as_image(pixels), *size)
    theirs = PIL.Image.fromarray(pixels).resize(size[::-1], PIL.Image.Resampling.LANCZOS)
    np.testing.assert_allclose(ours, as_image(np.asarray(theirs)), atol=1.5 * ONE_LEVEL)


@pytest.mark.parametrize("value", [0, 0.3, 1])
@pytest.mark.parametrize("size", [(1, 1), (5, 31), (50, 7)])
def test_resize_keeps_a_constant(value, size):
    image = np.full((3, HEIGHT, WIDTH), value, np.float32)
    np.testing.assert_allclose(images.resize(image, *size), value, atol=1e-6)


@pytest.mark.parametrize("size", [(24, 36), (48, 24), (96, 144)])
def test_resize_keeps_the_mean(rng, size):
    image = rng.uniform(0.4, 0.6, (3, 48, 72)).astype(np.float32)
    before, after = image.mean(axis=(1, 2)), images.resize(image, *size).mean(axis=(1, 2))
    np.testing.assert_allclose(after, before, atol=1e-3)


def test_resize_clips_its_overshoot():
    edge = np.zeros((16, 16), np.float32)
    edge[:, 8:] = 1
    resized = images.resize(edge, 40, 40)
    assert resized.shape == (40, 40)
    assert (resized.min(), resized.max()) == (0, 1)
    assert (resized[0, -20:] == 1).sum() > 5  # there was overshoot to clip


def test_resize_takes_views_and_leaves_its_input_alone(rng):
    image = rng.random((3, 20, 30), np.float32)
    before = image.copy()
    flipped = images.resize(image[:, ::-1, ::2], 11, 13)
    np.testing.assert_array_equal(flipped, images.resize(image[:, ::-1, ::2].copy(), 11, 13))
    same = images.resize(image, 20, 30)
    np.testing.assert_array_equal(same, image)
    same[:] = 0
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("size", "longer", "expected"),
    [
        ((600, 800), 400, (300, 400)),
        ((800, 600), 400, (400, 300)),
        ((100, 100), 512, (512, 512)),
        ((333, 500), 512, (341, 512)),  # 340.99
        ((4, 8), 1, (1, 1)),  # 0.5 is rounded up
        ((1, 3000), 512, (1, 512)),  # 0.17 is not zero
        ((3000, 1), 512, (512, 1)),
        ((5, 2), 5, (5, 2)),
        ((2, 4), 5, (3, 5)),  # 2.5 is rounded up
        ((6, 4), 3, (3, 2)),
    ],
)
def test_fit(size, longer, expected):
    assert images.fit(*size, longer) == expected


@pytest.mark.parametrize(
    ("shape", "aspect", "rows", "columns"),
    [
        ((3, 10, 20), (1, 1), (0, 10), (5, 15)),
        ((3, 20, 10), (1, 1), (5, 15), (0, 10)),
        ((3, 10, 20), (50, 100), (0, 10), (0, 20)),
        ((3, 10, 20), (2, 3), (0, 10), (2, 17)),  # 15 columns of 20: two go left, three right
        ((3, 9, 20), (300, 200), (0, 9), (7, 13)),
        ((3, 20, 9), (200, 300), (7, 13), (0, 9)),
        ((3, 20, 7), (1, 100), (9, 10), (0, 7)),  # 0.07 rows: one
        ((10, 20), (1, 1), (0, 10), (5, 15)),
        ((3, 16, 17), (16, 16), (0, 16), (0, 16)),
    ],
)
def test_crop_to_aspect(rng, shape, aspect, rows, columns):
    image = rng.random(shape)
    cropped = images.crop_to_aspect(image, *aspect)
    np.testing.assert_array_equal(cropped, image[..., slice(*rows), slice(*columns)])


def test_sizes_below_one_are_the_callers_mistake():
    image = np.zeros((3, 20, 30), np.float32)
    with pytest.raises(ValueError, match="0 rows and 5 columns"):
        images.resize(image, 0, 5)
    with pytest.raises(ValueError, match="20 x 30 to a longer side of 0"):
        images.fit(20, 30, 0)
    with pytest.raises(ValueError, match="aspect of 3 x 0"):
        images.crop_to_aspect(image, 3, 0)


def test_importing_images_is_light():
    code = (
        "import sys, nst.pictures.images\n"
        "heavy = [m for m in sys.modules if m.endswith('ImagePlugin') or 'ImageCms' in m]\n"
        "assert not heavy, heavy\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
