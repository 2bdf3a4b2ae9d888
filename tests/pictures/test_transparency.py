"""What cannot be seen counts for nothing, and what can keeps its colour and its opacity."""

import numpy as np
import PIL.Image
import pytest
from gradcheck import assert_gradient
from refusals import refusal_of

from nst import stylize
from nst.errors import NstError, NstWarning
from nst.objective.content import content_loss
from nst.objective.tiling import features_of
from nst.pictures import colour, images
from nst.run.inputs import prepare
from nst.run.paintings import read_mask
from nst.run.plan import draft
from nst.run.scales import Scale
from nst.run.targets import measure_style, objective_at
from nst.settings import Painting
from nst.show import plots, report


def cut_out(path, rgb, alpha, under):
    """Save a picture with an alpha channel, and the colour ``under`` where that is 0."""
    levels = images.as_uint8(np.where(alpha > 0, rgb, np.reshape(under, (3, 1, 1))))
    cover = np.round(alpha * 255).astype(np.uint8)
    PIL.Image.fromarray(np.dstack([levels, cover])).save(path)
    return path


@pytest.fixture
def disc():
    """Opacity of 90 x 75 pixels: a disc with a soft edge."""
    rows, columns = np.mgrid[:90, :75]
    away = np.hypot(rows - 40, columns - 33)
    return np.clip((30 - away) / 6 + 0.5, 0, 1).astype(np.float32)


# Reading


def test_colours_are_not_mixed_with_white(tmp_path, rng):
    levels = rng.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    PIL.Image.fromarray(levels).save(tmp_path / "a.png")
    rgb, alpha = images.load_with_alpha(tmp_path / "a.png")
    np.testing.assert_array_equal(rgb, np.moveaxis(np.float32(levels[..., :3]) / 255, -1, 0))
    np.testing.assert_array_equal(alpha, np.float32(levels[..., 3]) / np.float32(255))
    images.save(tmp_path / "b.png", rgb, alpha)
    with PIL.Image.open(tmp_path / "b.png") as again:
        np.testing.assert_array_equal(np.asarray(again), levels)


@pytest.mark.parametrize("shape", [(20, 30), (16, 301), (33, 16)])
def test_hidden_pixels_take_a_colour_from_around_them(rng, shape):
    rgb = np.empty((3, *shape), np.float32)
    rgb[...] = np.reshape([0.9, 0.2, 0.4], (3, 1, 1))
    alpha = np.ones(shape, np.float32)
    alpha[3:, 5:] = 0
    rgb[:, 3:, 5:] = rng.random((3, shape[0] - 3, shape[1] - 5))
    images.fill_hidden(rgb, alpha)
    np.testing.assert_allclose(rgb, np.reshape([[0.9, 0.2, 0.4]], (3, 1, 1)) + 0 * rgb, atol=1e-5)


def test_nothing_that_can_be_seen_is_filled(rng):
    rgb = rng.random((3, 20, 30)).astype(np.float32)
    alpha = rng.integers(0, 2, (20, 30)).astype(np.float32) / 3
    filled = rgb.copy()
    images.fill_hidden(filled, alpha)
    np.testing.assert_array_equal(filled[:, alpha > 0], rgb[:, alpha > 0])
    assert not np.array_equal(filled[:, alpha == 0], rgb[:, alpha == 0])


# Painting


def test_an_opaque_alpha_channel_changes_nothing(settings, files, tmp_path):
    opaque = np.ones((90, 75), np.float32)
    photograph = images.load(files / "photograph.png")
    same = cut_out(tmp_path / "opaque.png", photograph, opaque, [0, 0, 0])
    one = stylize(settings(steps=4, output=None))
    two = stylize(settings(steps=4, output=None, content=same))
    np.testing.assert_array_equal(one.image, two.image)


@pytest.mark.parametrize("color", ["style", "match", "content", "content-luminance"])
@pytest.mark.parametrize("strength", [1, 0.6])
def test_colours_under_wholly_transparent_pixels_count_for_nothing(
    settings, files, tmp_path, disc, color, strength
):
    """Of the photograph, of a painting and of a mask alike: the same picture, bit for bit."""
    photograph = images.load(files / "photograph.png")
    painting = images.load(files / "painting.png")
    hole = np.ones(painting.shape[1:], np.float32)
    hole[10:30, 20:50] = 0
    white = np.ones((3, 90, 75), np.float32)
    results = []
    for under in ([0, 0, 0], [1, 0.2, 1]):
        style = cut_out(tmp_path / "style.png", painting, hole, under)
        region = cut_out(tmp_path / "region.png", white, disc, under)
        content = cut_out(tmp_path / "content.png", photograph, disc, under)
        asked = settings(
            content=content,
            style=Painting(style, region=region),
            steps=4,
            color=color,
            strength=strength,
            output=tmp_path / "out.png",
        )
        results.append(stylize(asked))
    np.testing.assert_array_equal(results[0].image, results[1].image)
    np.testing.assert_array_equal(results[0].alpha, results[1].alpha)


def test_a_painting_s_transparent_regions_are_left_out_of_its_style(settings, files, tmp_path):
    """The sums are those of a mask that is white where the painting can be seen."""
    painting = images.load(files / "painting.png")
    alpha = np.ones(painting.shape[1:], np.float32)
    alpha[:, 30:] = 0
    cut = cut_out(tmp_path / "cut.png", painting, alpha, [0, 0, 0])
    images.save(tmp_path / "mask.png", np.stack([alpha] * 3))
    filled = images.load_to_paint(cut)[0]
    images.save(tmp_path / "filled.png", filled)
    by_alpha = prepare(settings(style=cut, output=None))
    masked = Painting(tmp_path / "filled.png", mask=tmp_path / "mask.png")
    by_mask = prepare(settings(style=masked, output=None))
    scale = draft(by_alpha).full
    one = measure_style(by_alpha, by_alpha.paintings[0], scale)
    two = measure_style(by_mask, by_mask.paintings[0], scale)
    for tap, sums in one.items():
        assert sums.area == pytest.approx(two[tap].area)
        assert 0 < sums.area
        scale_of = np.abs(two[tap].sums).max()
        np.testing.assert_allclose(sums.sums, two[tap].sums, atol=0.01 * scale_of)


def test_the_photograph_is_painted_where_it_can_be_seen(settings, files, tmp_path, disc):
    content = cut_out(tmp_path / "c.png", images.load(files / "photograph.png"), disc, [0, 0, 0])
    run = prepare(settings(content=content, output=None))
    np.testing.assert_array_equal(run.paintings[0].region, disc > 0)
    assert prepare(settings(output=None)).paintings[0].region is None


def test_a_cut_out_over_black_has_no_pale_ring(settings, tmp_path):
    """A red disc with a soft edge stays red to its edge, in the file too."""
    rows, columns = np.mgrid[:90, :75]
    disc = np.clip((30 - np.hypot(rows - 40, columns - 33)) / 6 + 0.5, 0, 1)
    red = np.zeros((3, 90, 75), np.float32)
    red[0] = 1
    cut = cut_out(tmp_path / "red.png", red, disc, [1, 1, 1])
    asked = settings(content=cut, strength=0, output=tmp_path / "out.png")
    stylize(asked)
    rgb, alpha = images.load_with_alpha(tmp_path / "out.png")
    edge = (alpha > 0.02) & (alpha < 0.98)
    assert edge.any()
    over_black = (rgb * alpha)[:, edge]
    assert over_black[1:].max() < 0.02
    np.testing.assert_allclose(over_black[0], alpha[edge], atol=0.02)


@pytest.mark.parametrize("which", ["content", "style"])
def test_a_picture_of_which_nothing_can_be_seen_is_refused(settings, files, tmp_path, which):
    nothing = np.zeros((90, 75), np.float32)
    path = cut_out(tmp_path / "no.png", images.load(files / "photograph.png"), nothing, [0, 0, 0])
    with pytest.raises(NstError, match="is transparent wherever its mask, or all of it, is"):
        prepare(settings(**{which: path}, output=None))


# Masks


def test_a_mask_s_transparent_parts_are_outside(tmp_path):
    alpha = np.zeros((20, 30), np.float32)
    alpha[4:9, 11:25] = 1
    alpha[12, 3] = 0.6
    white = np.ones((3, 20, 30), np.float32)
    for under in (1, 0):
        path = cut_out(tmp_path / "mask.png", white, alpha, [under] * 3)
        np.testing.assert_allclose(read_mask(path), alpha, atol=1e-6)


def test_a_mask_that_is_wholly_transparent_is_empty(tmp_path):
    white, nothing = np.ones((3, 20, 30), np.float32), np.zeros((20, 30), np.float32)
    path = cut_out(tmp_path / "mask.png", white, nothing, [1, 1, 1])
    assert "is empty: its brightest pixel is 0.00 of white" in refusal_of(read_mask, path)


@pytest.mark.parametrize(
    ("size", "warned"),
    [
        ((90, 75), False),
        ((180, 150), False),
        ((45, 38), False),
        ((75, 90), True),
        ((50, 50), True),
    ],
)
@pytest.mark.parametrize("of", ["mask", "region"])
def test_a_mask_of_another_shape_than_its_picture_warns(
    settings, files, tmp_path, recwarn, size, warned, of
):
    images.save(tmp_path / "mask.png", np.ones((3, *size), np.float32))
    images.save(tmp_path / "tall.png", np.random.default_rng(1).random((3, 90, 75)))
    prepare(settings(style=Painting(tmp_path / "tall.png", **{of: tmp_path / "mask.png"})))
    told = [str(w.message) for w in recwarn if issubclass(w.category, NstWarning)]
    assert bool(told) == warned
    if warned:
        what = "the photograph" if of == "region" else str(tmp_path / "tall.png")
        assert told == [
            f"the mask {tmp_path / 'mask.png'} is {size[1]} x {size[0]} pixels, and {what} "
            "75 x 90: another shape, to which it is stretched"
        ]


def test_colours_that_cannot_be_seen_are_not_matched(rng):
    image, target = rng.random((2, 3, 12, 17)).astype(np.float32)
    alpha = np.ones((12, 17), np.float32)
    alpha[:, 9:] = 0
    matched = colour.match_colours(image, target, alpha, alpha)
    expected = colour.match_colours(image[:, :, :9], target[:, :, :9])
    np.testing.assert_allclose(matched[:, :, :9], expected, atol=1e-6)


def test_what_is_hidden_of_the_photograph_counts_for_nothing_in_the_content_loss(
    settings, files, tmp_path, disc, rng
):
    """Whole and in tiles, against the formula written out."""
    content = cut_out(tmp_path / "c.png", images.load(files / "photograph.png"), disc, [0, 0, 0])
    inputs = prepare(settings(content=content, style_weight=0.0, tv_weight=0.0, output=None))
    scale = Scale(180, 150, 1)
    whole, tiled = objective_at(inputs, scale), objective_at(inputs, scale, side=96)
    image = rng.random((3, 180, 150), np.float32)
    (tap,) = inputs.recipe.content
    features = features_of(inputs.vgg, image, [tap], None, whole.padding)[tap]
    seen = whole.targets.seen[tap]
    assert 0 < seen.mean() < 1
    assert set(np.unique(seen)) == {0, 1}
    expected = np.mean(((features - whole.targets.content[tap]) * seen) ** 2)
    (losses, d_image), (in_tiles, d_in_tiles) = whole.evaluate(image), tiled.evaluate(image)
    assert losses.floats()[f"content {tap}"] == pytest.approx(expected, rel=1e-5)
    assert in_tiles.floats()[f"content {tap}"] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(d_in_tiles, d_image, atol=1e-4 * np.abs(d_image).max())


def test_the_gradient_of_content_that_is_seen_in_part_is_its_slope(rng):
    features, target = rng.random((2, 3, 6, 5))
    seen = (rng.random((6, 5)) > 0.4).astype(np.float64)
    _, d_features = content_loss(features, target, d_loss=1.7, seen=seen)
    assert (d_features[:, seen == 0] == 0).all()
    assert_gradient(lambda f: 1.7 * content_loss(f, target, seen=seen)[0], features, d_features)


# Showing


def white_corner(picture):
    """Tell whether the top left of an image (3, H, W), or (H, W, 3) in 8 bits, is white paper."""
    corner = picture[:3, :3] if picture.dtype == np.uint8 else np.moveaxis(picture, 0, -1)[:3, :3]
    return corner.min() > (0.98 if picture.dtype != np.uint8 else 250)


@pytest.fixture
def shown(settings, tmp_path, disc, rng, monkeypatch):
    """What the triptych and the report of a run are given, and the frame that it saved.

    Both pictures are cut-outs, whose colours, hidden ones too, are dark.
    """
    dark = rng.uniform(0.1, 0.4, (3, *disc.shape))
    content = cut_out(tmp_path / "a.png", dark, disc, (0, 0, 0))
    style = cut_out(tmp_path / "b.png", dark[::-1], disc, (0, 0, 0))
    given = {}

    def draw_triptych(*pictures):
        given["triptych"] = pictures
        return plots.draw_losses([])

    def write(path, made):
        given["report"] = [made.content, *made.styles.values(), made.painted]

    monkeypatch.setattr(plots, "draw_triptych", draw_triptych)
    monkeypatch.setattr(report, "write", write)
    asked = settings(
        content=content, style=style, steps=2, save_every=2, plot=True, report=tmp_path / "r.html"
    )
    stylize(asked)
    return given | {"frame": [asked.frame(2)]}


@pytest.mark.parametrize("where", ["triptych", "report"])
def test_what_is_transparent_is_shown_as_paper(shown, where):
    assert len(shown[where]) == 3
    for picture in shown[where]:
        assert white_corner(picture)
        rows, columns = picture.shape[1:]
        assert picture[:, rows // 2 - 2, columns // 2 - 2].max() < 0.9


def test_a_frame_is_as_transparent_as_the_result(shown):
    with PIL.Image.open(shown["frame"][0]) as frame:
        opacity = np.asarray(frame.getchannel("A"))
    assert (opacity[0, 0], opacity[len(opacity) // 2 - 2, opacity.shape[1] // 2 - 2]) == (0, 255)
