"""What each of the artist's controls means, in the losses and in the picture."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from objectives import features_seen
from running import begun, paint
from small_networks import FOUR_BLOCKS, draw_arrays, relative_error

from nst import cli, demo, stylize
from nst.arguments import settings_of
from nst.errors import NstError
from nst.lookup import Lookup
from nst.objective.styles.finish import STATISTICS
from nst.pictures import images
from nst.run.colours import within_regions
from nst.run.inputs import prepare
from nst.run.paintings import ReadPainting, read_mask
from nst.run.plan import draft
from nst.run.scales import Scale
from nst.run.targets import objective_at
from nst.settings import Painting, Settings
from nst.stylize import begin
from nst.vgg import weights
from nst.vgg.export import export_network

# Masks of another shape than their pictures' are stretched, and said to be.
pytestmark = pytest.mark.filterwarnings("ignore:the mask .* another shape")


def style_grams(settings, tap="relu2_1"):
    """Return the style targets at a tap, one for each region, at full size."""
    inputs = prepare(settings)
    found = objective_at(inputs, draft(inputs).full).targets.style
    return [region.style.gram for region in found[tap]]


def gram_in_loops(features, mask):
    """The guided Gram matrix, pixel by pixel: products weighed by the mask, over its sum."""
    total, area = 0.0, 0.0
    for row, column in np.ndindex(mask.shape):
        here = features[:, row, column].astype(np.float64)
        total = total + mask[row, column] * np.outer(here, here)
        area += mask[row, column]
    return total / area


# ---- Several styles --------------------------------------------------------------------


def test_weights_blend_gram_matrices(settings, first, other):
    (one,) = style_grams(settings(style=first))
    (two,) = style_grams(settings(style=other))
    assert relative_error(two, one) > 0.1  # they differ
    (both,) = style_grams(settings(style=[Painting(first, 3), Painting(other, 1)]))
    np.testing.assert_allclose(both, 0.75 * one + 0.25 * two, rtol=1e-5)
    (tenfold,) = style_grams(settings(style=[Painting(first, 30), Painting(other, 10)]))
    np.testing.assert_allclose(both, tenfold, rtol=1e-5)  # only their ratio counts


def test_a_style_blended_with_itself_is_itself(settings, first):
    expected = stylize(settings(steps=4)).image
    found = stylize(settings(style=[Painting(first, 2), Painting(first, 5)], steps=4)).image
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_a_weight_is_above_zero(first, weight):
    with pytest.raises(NstError, match=r"the weight of style .*painting\.png is .* above 0"):
        Painting(first, weight)


def test_some_style_is_needed(settings):
    with pytest.raises(NstError, match="there is no style image"):
        settings(style=[])


# ---- Masks -----------------------------------------------------------------------------


def test_a_style_mask_says_where_the_painting_is_looked_at(settings, first, files):
    """A mask on one part of the painting gives the Gram matrix of that part, in plain loops."""
    soft = np.clip(np.mgrid[:50, :66][1] / 66, 0, 1).astype(np.float32) ** 2
    images.save(files / "soft.png", np.stack([soft] * 3))
    asked = settings(style=Painting(first, mask=files / "soft.png"), size=66, scales=1)
    run = prepare(asked)
    features = features_seen(run, images.load(first))
    mask = images.load(files / "soft.png")[0]
    found = objective_at(run, Scale(66, 55, 1)).targets.style
    np.testing.assert_allclose(
        found["relu1_1"][0].style.gram, gram_in_loops(features["relu1_1"], mask), rtol=1e-4
    )
    halved = mask.reshape(25, 2, 33, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(
        found["relu2_1"][0].style.gram, gram_in_loops(features["relu2_1"], halved), rtol=1e-4
    )


def test_a_white_mask_is_no_mask(settings, first, files):
    images.save(files / "white.png", np.ones((3, 20, 31)))
    expected = stylize(settings(steps=4)).image
    for field in ("mask", "region"):
        painting = Painting(first, **{field: files / "white.png"})
        found = stylize(settings(style=painting, steps=4)).image
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_outside_of_its_content_mask_a_style_does_nothing(settings, first, left):
    """With a content weight of zero nothing but the style pulls; its network sees 24 pixels."""
    asked = settings(
        style=Painting(first, region=left), content_weight=0, tv_weight=0, steps=3, scales=1
    )
    result = stylize(replace(asked, style_taps={"relu1_1": 1.0, "relu2_1": 1.0}))
    start = images.resize(prepare(asked).content, 160, 133)  # its colours are in the region only
    moved = np.abs(result.image - start).mean(axis=0)
    assert moved[:, :60].mean() > 0.005
    assert moved[:, 80:].max() < 5e-4  # no pull, but the first curvatures are of whole waves


def test_each_region_takes_its_own_style(settings, first, other, left, right):
    """Black and white paintings, side by side: each half goes to its painting's brightness."""
    images.save(first.with_name("black.png"), np.full((3, 40, 40), 0.1))
    images.save(first.with_name("bright.png"), np.full((3, 40, 40), 0.9))
    halves = [
        Painting(first.with_name("black.png"), region=left),
        Painting(first.with_name("bright.png"), region=right),
    ]
    result = stylize(settings(style=halves, content_weight=0, steps=30, init="noise"))
    image = result.image.mean(axis=0)
    assert image[:, :50].mean() < image[:, 83:].mean() - 0.2


def test_regions_count_by_their_area(settings, first, left, right):
    """One style in two halves pulls as much as in one whole."""
    halves = [Painting(first, region=left), Painting(first, region=right)]
    asked = settings(scales=1)
    whole = prepare(asked)
    parts = prepare(replace(asked, style=tuple(halves)))
    for tap in whole.recipe.style:
        weights = [
            objective_at(inputs, draft(inputs).full).targets.style[tap]
            for inputs in (whole, parts)
        ]
        assert sum(region.weight for region in weights[1]) == pytest.approx(1, abs=0.02)
        assert weights[0][0].weight == 1


def test_an_empty_mask_is_refused(files):
    images.save(files / "empty.png", np.full((3, 20, 30), 0.2))
    with pytest.raises(NstError, match=r"empty\.png is empty: its brightest pixel is 0\.20") as e:
        read_mask(files / "empty.png")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(("kind", "of"), [("mask", "painting.png"), ("region", "the photograph")])
def test_a_mask_of_which_nothing_is_left_at_its_picture_s_size_is_refused(
    settings, files, first, kind, of
):
    """Stretched to it, the one white pixel of a very long mask is hardly grey."""
    long = np.zeros((3, 9000, 20), np.float32)
    long[:, 400, 3] = 1
    images.save(files / "long.png", long)
    style = Painting(first, **{kind: files / "long.png"})
    with pytest.raises(NstError, match=rf"^the mask .*long\.png is empty at the .*{of}:"):
        prepare(settings(style=[style]))


@pytest.mark.parametrize("recipe", ["nst", "neighbours", "mixture", "strokes"])
def test_where_no_style_is_painted_the_photograph_stays(settings, files, first, recipe):
    """To the pixel beyond the mask, and at its soft edge by half."""
    region = np.ones((3, 90, 75), np.float32)
    region[:, :, 40:] = 0
    region[:, :, 40] = 0.5
    images.save(files / "part.png", region)
    style = Painting(first, region=files / "part.png")
    asked = settings(style=style, size=90, scales=1, steps=3, recipe=recipe)
    painted, photograph = stylize(asked).image, images.load(files / "photograph.png")
    np.testing.assert_allclose(painted[:, :, 41:], photograph[:, :, 41:], atol=1e-6)
    assert np.abs(painted - photograph)[:, :, :40].mean() > 0.01


@pytest.mark.parametrize("other", ["left", "everywhere"])
def test_within_its_regions_a_picture_is_as_painted(rng, other):
    picture, photograph = rng.random((2, 3, 8, 6), np.float32)
    left = np.zeros((8, 6), np.float32)
    left[:, :2], left[:, 2] = 1, 0.25
    masks = {"left": left, "everywhere": np.ones((8, 6), np.float32)}
    paintings = [
        ReadPainting(picture, region=left, part="left"),
        ReadPainting(picture, region=masks[other], part=other),
    ]
    found = within_regions(picture, photograph, paintings)
    covered = left if other == "left" else masks[other]  # two that share one are there once
    np.testing.assert_array_equal(found[:, covered == 1], picture[:, covered == 1])
    np.testing.assert_allclose(found, covered * picture + (1 - covered) * photograph, atol=1e-6)


def test_a_missing_mask_is_named(first, tmp_path):
    for field, name in (("mask", "style mask"), ("region", "content mask")):
        with pytest.raises(NstError, match=f"{name} image not found: {tmp_path}"):
            Painting(first, **{field: tmp_path / "none.png"})


# ---- Strength --------------------------------------------------------------------------


def test_strength_blends_the_photograph_s_own_style_in(settings, files, monkeypatch):
    monkeypatch.setattr("nst.run.inputs.in_style_colours", lambda content, *_: content)
    (full,) = style_grams(settings())
    (own,) = style_grams(settings(style=files / "photograph.png"))
    (half,) = style_grams(settings(strength=0.5))  # of which the painting's share is 1/4
    np.testing.assert_allclose(half, full / 4 + own * 3 / 4, rtol=1e-4)


@pytest.mark.parametrize("statistic", ["gram", "neighbours", "split"])
def test_each_statistic_has_its_own_share_of_the_painting(statistic):
    """Of sums the strength's square; of directions it, and where they are sought anew its root."""
    share = {"gram": 1 / 16, "neighbours": 1 / 4, "split": 1 / 2}[statistic]
    assert STATISTICS[statistic].painted_share(0.25) == share
    assert [STATISTICS[statistic].painted_share(s) for s in (0, 1)] == [0, 1]


def test_the_last_pass_of_strokes_looks_at_the_photograph_too(settings):
    inputs = prepare(settings(recipe="strokes", strength=0.36, model="vgg16-slim"))
    found = objective_at(inputs.fine, draft(inputs).full).targets.style["relu2_1"]
    assert [region.style.shares for region in found] == [pytest.approx((0.4, 0.6))]


@pytest.mark.parametrize(
    ("recipe", "painting"),
    [
        ("nst", "swirl"),
        ("nst", "waves"),
        ("nst", "garden"),
        ("neighbours", "waves"),
        ("strokes", "waves"),
        ("strokes", "garden"),
    ],
)
def test_half_the_strength_is_half_the_way(recipe, painting):
    content, style = demo.content_path(), demo.style_path(painting)
    how = {"size": 96, "steps": 40, "model": "vgg16-slim", "device": "cpu"}
    asked = Settings(content, style, None, recipe=recipe, **how)
    full, half = (paint(prepare(replace(asked, strength=s))).image for s in (1, 0.5))
    photograph = images.resize(images.load(content), *full.shape[1:])
    share = np.abs(half - photograph).mean() / np.abs(full - photograph).mean()
    assert 0.4 <= share <= 0.6


@pytest.fixture
def detailed(files, rng):
    """A photograph whose details are lost at half its size."""
    smooth = images.load(files / "photograph.png")
    images.save(files / "detailed.png", 0.5 * smooth + 0.5 * rng.random((1, 90, 75)))
    return files / "detailed.png"


@pytest.mark.parametrize("recipe", ["nst", "hvass"])
@pytest.mark.parametrize("color", ["style", "content", "content-luminance", "match"])
def test_strength_zero_is_the_photograph_itself(settings, detailed, color, recipe):
    """Whatever the start, for hvass has noise."""
    asked = settings(content=detailed, strength=0, color=color, recipe=recipe)
    asked = replace(asked, style_taps={"relu1_1": 1.0}, size=90, scales=None)
    result = stylize(asked)
    assert result.history == []
    np.testing.assert_allclose(result.image, images.load(detailed), atol=1e-6)
    np.testing.assert_array_equal(images.load(asked.output), images.load(detailed))


def test_more_strength_moves_further_away_and_a_little_a_little(settings, detailed):
    photograph = images.resize(images.load(detailed), 160, 133)
    results = [
        stylize(settings(content=detailed, strength=s, steps=20)).image
        for s in (0.01, 0.1, 0.3, 1)
    ]
    distances = [np.abs(image - photograph).mean() for image in results]
    assert 20 * distances[0] < distances[3]
    assert distances == sorted(distances)


def test_a_finer_scale_begins_with_the_details_that_strength_leaves(settings, detailed, rng):
    """Enlarged, the image lacks what half the size cannot show."""
    inputs, planned, state = begun(prepare(settings(content=detailed, strength=0.25)))
    coarse, fine = planned.scales
    content = inputs.content
    begin(inputs, planned, state, coarse)
    np.testing.assert_array_equal(state.image, state.trial)
    state.image = before = rng.random(state.image.shape, np.float32)  # as it was painted
    begin(inputs, planned, state, fine)
    size = fine.height, fine.width
    missing = images.resize(content, *size) - images.resize(
        images.resize(content, coarse.height, coarse.width), *size
    )
    assert np.abs(missing).max() > 0.05
    expected = images.resize(before, *size) + 0.75 * missing
    assert expected.max() > 1
    np.testing.assert_allclose(state.image, expected.clip(0, 1), atol=1e-6)
    np.testing.assert_array_equal(state.image, state.trial)


# ---- Sizes -----------------------------------------------------------------------------


def test_style_scale_is_the_size_of_the_style_image(settings, first):
    run = prepare(settings(style_scale=0.5))
    found = objective_at(run, Scale(160, 133, 1)).targets.style["relu1_1"][0].style.gram
    features = features_seen(run, images.resize(images.load(first), 61, 80))["relu1_1"]
    np.testing.assert_allclose(found, gram_in_loops(features, np.ones((61, 80))), rtol=1e-4)


def test_a_painting_s_file_may_have_any_size(settings, files, other):
    """What is measured has the size of the result, and so has its strokes."""
    painting = images.load(other)
    (expected,) = style_grams(settings(style=other))
    for height, width in ((210, 123), (420, 246)):
        images.save(files / "sized.png", images.resize(painting, height, width))
        (found,) = style_grams(settings(style=files / "sized.png"))
        assert relative_error(found, expected) < 0.01
    (smaller,) = style_grams(settings(style=other, style_scale=0.25))
    assert relative_error(smaller, expected) > 0.02  # what a size would do


# ---- Weights ---------------------------------------------------------------------------


def test_tap_weights_take_the_place_of_the_recipe_s(settings):
    asked = settings(content_taps={"conv2_1": 3.0}, style_taps={"relu1_1": 2, "relu3_2": 0.5})
    run = prepare(replace(asked, style_weight=10.0))
    assert run.recipe.content == {"conv2_1": 3.0}
    assert run.recipe.style == {"relu1_1": 20, "relu3_2": 5.0}
    history = stylize(asked).history
    assert {"content conv2_1", "style relu1_1", "style relu3_2"} < set(history[0])
    only = prepare(settings(style_taps={"relu1_1": 2.0})).recipe
    assert only.content == prepare(settings()).recipe.content


@pytest.mark.parametrize("weight", [-1, float("nan"), "2", None])
def test_tap_weights_are_numbers(settings, weight):
    with pytest.raises(NstError, match=r"the style weight of relu1_1 is .*; it must be a number"):
        settings(style_taps={"relu1_1": weight})
    with pytest.raises(NstError, match=r"the table \[content\] of --tap-weights is empty"):
        settings(content_taps={})


def test_tv_weight_is_a_factor_on_total_variation(settings):
    rough, smooth = (stylize(settings(tv_weight=w, steps=25)).image for w in (0, 1e4))

    def variation(image):
        return np.abs(np.diff(image, axis=1)).mean() + np.abs(np.diff(image, axis=2)).mean()

    assert variation(smooth) < 0.7 * variation(rough)


# ---- Colours ---------------------------------------------------------------------------


def chroma(image):
    luma = np.tensordot((0.299, 0.587, 0.114), image, 1)
    return image - luma


@pytest.mark.parametrize("color", ["content", "content-luminance"])
def test_the_content_s_colours_are_the_content_s(settings, files, color):
    """Chroma is that of the photograph up to a factor where it had to give way to the luma."""
    asked = settings(color=color, steps=8, save_every=8)
    result = stylize(asked)
    photograph = images.resize(images.load(files / "photograph.png"), 160, 133)
    found, expected = chroma(result.image), chroma(photograph)
    along = (found * expected).sum(axis=0) / (expected**2).sum(axis=0).clip(1e-6)
    np.testing.assert_allclose(found, along * expected, atol=2e-3)
    assert along.max() < 1.01
    frame = images.load(asked.frame(8))  # what is saved on the way has the same colours
    np.testing.assert_allclose(frame, result.image, atol=0.51 / 255)


def test_match_brings_the_painting_to_the_content_s_palette(settings, files):
    run = prepare(settings(color="match"))
    photograph = images.load(files / "photograph.png").reshape(3, -1)
    matched = run.style.reshape(3, -1)
    unmatched = images.load(files / "painting.png").reshape(3, -1)
    distance = [np.abs(p.mean(1) - photograph.mean(1)).max() for p in (matched, unmatched)]
    assert distance[0] < 0.3 * distance[1]


@pytest.fixture
def grey(files):
    """A function that returns a picture in black and white, as an RGB file."""

    def make(name):
        image = images.load(files / name)
        luma = np.tensordot((0.299, 0.587, 0.114), image, 1)
        images.save(files / f"grey-{name}", np.stack([luma] * 3))
        return files / f"grey-{name}"

    return make


@pytest.mark.parametrize("color", ["style", "content", "content-luminance", "match"])
def test_black_and_white_in_black_and_white_stays_so(settings, grey, color):
    """And is painted: a style loss alone would let colours in."""
    asked = settings(content=grey("photograph.png"), style=grey("painting.png"), color=color)
    asked = replace(asked, init="noise", save_every=8)
    result = stylize(asked)
    assert np.ptp(result.image, axis=0).max() < 1e-6
    assert np.ptp(images.load(asked.frame(8)), axis=0).max() == 0
    photograph = images.resize(images.load(asked.content), 160, 133)
    assert 0.02 < np.abs(result.image - photograph).mean() < 0.5


@pytest.mark.parametrize("color", ["content", "content-luminance", "match"])
def test_a_black_and_white_photograph_keeps_to_it_where_its_colours_count(settings, grey, color):
    result = stylize(settings(content=grey("photograph.png"), color=color))
    assert np.ptp(result.image, axis=0).max() < 1e-6
    coloured = stylize(settings(content=grey("photograph.png"), color="style"))
    assert np.ptp(coloured.image, axis=0).max() > 0.1


@pytest.mark.parametrize("color", ["style", "content", "content-luminance", "match"])
def test_flat_pictures_have_finite_pictures(settings, files, color):
    """Neither a flat photograph nor a flat painting has a palette to match or divide by."""
    images.save(files / "flat.png", np.full((3, 90, 75), 0.5))
    for changes in ({"content": files / "flat.png"}, {"style": files / "flat.png"}):
        for both in (changes, dict.fromkeys(("content", "style"), files / "flat.png")):
            result = stylize(settings(**both, color=color, steps=6))
            assert np.isfinite(result.image).all()
            assert np.isfinite([entry["total"] for entry in result.history]).all()


def test_transparency_and_shape_are_the_content_s_whatever_the_controls(
    settings, files, first, other, left
):
    alpha = np.ones((90, 75), np.float32)
    alpha[:, :30] = 0.25
    images.save(files / "cut.png", images.load(files / "photograph.png"), alpha)
    asked = settings(
        content=files / "cut.png",
        style=[Painting(first, 2, region=left), Painting(other, mask=left)],
        color="content",
        strength=0.7,
        style_scale=1.3,
        steps=3,
    )
    assert stylize(asked).image.shape == (3, 160, 133)
    _, kept = images.load_with_alpha(asked.output)
    assert kept[80, 10] == pytest.approx(0.25, abs=0.01)
    assert kept[80, 120] == 1


# ---- Flat skies ------------------------------------------------------------------------


def roughness(image):
    """Return the mean square of second differences: what speckle has most of, and strokes less."""
    inner = 2 * image[:, 1:-1, 1:-1]
    across = image[:, 1:-1, 2:] - inner + image[:, 1:-1, :-2]
    down = image[:, 2:, 1:-1] - inner + image[:, :-2, 1:-1]
    return (across**2 + down**2).mean()


@pytest.fixture
def sky(files, rng):
    """A sky without a cloud, 96 x 128 pixels, above rough ground from row 52 on."""
    rows, columns = np.mgrid[:96, :128]
    blue = np.stack([0.45 + rows / 960, 0.62 + rows / 1200, np.full(rows.shape, 0.85)])
    ground = rng.uniform(0.1, 0.6, blue.shape)
    images.save(files / "sky.png", np.where(rows > 60 + 8 * np.sin(columns / 15), ground, blue))
    return files / "sky.png"


@pytest.fixture
def wall(files):
    """Nothing but grey."""
    images.save(files / "wall.png", np.full((3, 96, 128), 0.5))
    return files / "wall.png"


@pytest.mark.parametrize("painting", ["waves", "swirl"])
@pytest.mark.parametrize(("picture", "most"), [("sky", 0.5), ("wall", 1)])
def test_what_is_flat_gets_strokes_and_no_speckle(settings, request, picture, most, painting):
    """Painted coarse to fine, by the embedded model, it is less rough than the painting."""
    style = images.load(demo.style_path(painting))
    style = images.resize(style, *images.fit(*style.shape[1:], 128))
    asked = settings(
        content=request.getfixturevalue(picture),
        style=demo.style_path(painting),
        model="vgg16-slim",
        size=128,
        scales=(64, 128),
        steps=30,
    )
    flat = stylize(asked).image[:, :48]
    assert roughness(flat) < most * roughness(style)
    assert flat.std(axis=(1, 2)).mean() > 0.05


# ---- With tiles ------------------------------------------------------------------------


def test_every_control_composes_with_tiles(settings, first, other, left, right):
    """The objective of all controls at once, of one piece and in tiles of 96 pixels."""
    asked = settings(
        style=[
            Painting(first, 2, mask=left, region=left),
            Painting(other, 1, region=left),
            Painting(other, mask=left, region=right),
        ],
        strength=0.6,
        style_scale=1.2,
        size=230,
    )
    evaluated = []
    for side in (None, 96):
        inputs = prepare(asked)
        objective = objective_at(inputs, draft(inputs).full, side)
        evaluated.append(objective.evaluate(images.resize(inputs.style, 230, 192)))
    (whole, d_whole), (tiled, d_tiled) = evaluated
    assert relative_error(d_tiled, d_whole) < 1e-4
    for name, loss in whole.floats().items():
        assert tiled.floats()[name] == pytest.approx(loss, rel=1e-4), name


# ---- On the command line ---------------------------------------------------------------


def asked_for(*arguments):
    """Return the settings that a command line means."""
    options = vars(cli._parser().parse_args(["stylize", *map(str, arguments)]))
    for name in ("command", "quiet", "source", "as_json", "workers", "scheduler"):
        del options[name]
    return settings_of(**options)


def test_styles_with_weights_and_masks(files, first, other, left):
    content = files / "photograph.png"
    given = asked_for(content, "--style", f"{first}:2", "--style", f"{other}:0.5")
    assert given.style == (Painting(first, 2.0), Painting(other, 0.5))
    masks = ["--content-mask", left, "--content-mask", "none"]
    masks += ["--style-mask", "none", "--style-mask", left]
    given = asked_for(content, first, "--style", other, *masks)
    assert given.style == (Painting(first, 1.0, None, left), Painting(other, 1.0, left, None))
    assert asked_for(content, first).style == (Painting(first),)
    assert asked_for(content).style[0].path.name == "swirl.jpg"
    assert asked_for(content, "waves:3").style[0].path.name == "waves.jpg"
    with pytest.raises(NstError, match=r"--style-mask is given 1 time, and there are 2 styles"):
        asked_for(content, first, "--style", other, "--style-mask", left)


def test_a_name_with_a_colon_is_a_name(files, first):
    odd = files / "ratio 16:9"
    odd.write_bytes(first.read_bytes())
    content = files / "photograph.png"
    assert asked_for(content, odd).style == (Painting(odd, 1.0),)
    assert asked_for(content, f"{odd}:2").style == (Painting(odd, 2.0),)
    with pytest.raises(NstError, match=r"style image not found: a:b\.png"):
        asked_for(content, "a:b.png")


def test_tap_weights_come_from_a_toml_file(files, tmp_path):
    table = tmp_path / "taps.toml"
    table.write_text("[content]\nrelu2_1 = 2\n[style]\nrelu1_1 = 0.5\nrelu3_1 = 1e3\n")
    given = asked_for(files / "photograph.png", "--tap-weights", table)
    assert given.content_taps == {"relu2_1": 2}
    assert given.style_taps == {"relu1_1": 0.5, "relu3_1": 1000.0}
    assert Settings.from_json(given.as_json()) == given


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[style\n", "is not TOML: "),
        ("[strokes]\nrelu1_1 = 2\n", "has strokes; give the tables"),
        ("", "has nothing; give the tables"),
        ("[style]\n", "the table [style] of --tap-weights is empty"),
        ("[style]\nrelu1_1 = 'a lot'\n", "the style weight of relu1_1 is 'a lot'"),
        (None, "cannot read"),
    ],
)
def test_a_wrong_file_of_tap_weights_is_one_line(files, tmp_path, text, told):
    table = tmp_path / "taps.toml"
    if text is not None:
        table.write_text(text)
    with pytest.raises(NstError) as error:
        asked_for(files / "photograph.png", "--tap-weights", table)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_tap_is_told_with_those_there_are(settings):
    with pytest.raises(NstError, match="no tap 'relu9_9'; it has conv1_1"):
        prepare(settings(style_taps={"relu9_9": 1.0}))


def test_every_control_is_in_the_picture_s_text(settings, first, other, left):
    asked = settings(
        style=[Painting(first, 2, mask=left), Painting(other, region=left)],
        strength=0.5,
        style_taps={"relu1_1": 2.0},
        color="match",
        steps=2,
    )
    stylize(asked)
    said = json.loads(images.read_metadata(asked.output)["nst settings"])
    assert [one["path"] for one in said["style"]] == ["painting.png", "other.png"]
    found = Settings.from_json(json.dumps(said), Lookup(beside=(first.parent,)))
    written = {"output": asked.output, "model": asked.model}  # which nobody looks for like that
    assert replace(found, **written) == asked


# ---- Painted again ---------------------------------------------------------------------


@pytest.fixture
def result(settings, first, other, left, files, tmp_path):
    """A picture of many controls, ``result.png``; what it was painted of is beside it."""
    for path in (first, other, left, files / "photograph.png", files / "tiny.onnx"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    asked = settings(
        style=[Painting(first, 2, mask=left), Painting(other)],
        output=tmp_path / "result.png",
        color="content",
        steps=(4, 3),
        seed=5,
        init="noise",
    )
    stylize(asked)
    return asked.output


def nst(*arguments):
    return cli.main(["stylize", "--quiet", *map(str, arguments)])


def test_from_a_result_the_same_picture_is_painted(result, tmp_path):
    again = tmp_path / "again.png"
    assert nst("--from", result, "-o", again) == 0
    np.testing.assert_array_equal(images.load(again), images.load(result))
    one, two = (images.read_metadata(path) for path in (result, again))
    assert one["nst losses"] == two["nst losses"]


def test_what_is_given_beside_it_counts(result, first, tmp_path):
    again = tmp_path / "again.png"
    assert (
        nst("--from", result, "-o", again, "--seed", "6", "--style", first, "--color", "style")
        == 0
    )
    said = json.loads(images.read_metadata(again)["nst settings"])
    assert (said["seed"], said["color"], said["steps"]) == (6, "style", [4, 3])
    assert [painting["path"] for painting in said["style"]] == [first.name]
    assert not np.array_equal(images.load(again), images.load(result))


def test_a_result_alone_in_another_folder_says_what_it_needs(
    result, tmp_path, monkeypatch, capsys
):
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(result, alone)
    monkeypatch.chdir(alone)
    assert nst("--from", "result.png", "-o", "again.png") == 2
    told = capsys.readouterr().err
    assert "result.png was painted of photograph.png" in told
    assert "neither here nor beside it" in told
    assert "nst stylize CONTENT STYLE --from result.png" in told
    assert not (alone / "again.png").exists()


def test_where_to_write_does_not_come_from_the_result(result, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert nst("--from", "result.png") == 0
    assert (tmp_path / "out.png").exists()
    assert nst("--from", "result.png", "--output", tmp_path / "result.png") == 2
    assert "--output would overwrite result.png, which --from reads" in capsys.readouterr().err


def test_an_estimate_is_made_of_what_a_result_says(result, tmp_path, monkeypatch, capsys):
    """Of one called out.png as well: nothing is written, so nothing is overwritten."""
    monkeypatch.chdir(tmp_path)
    result.rename("out.png")
    assert cli.main(["estimate", "--from", "out.png"]) == 0
    title, *scales, _ = capsys.readouterr().out.splitlines()
    assert "133 x 160 pixels, 2 scales, 7 steps, tiny" in title
    assert [line.split("steps")[0].split()[-1] for line in scales] == ["4", "3"]
    assert cli.main(["estimate", "--from", "out.png", "--size", "96", "--steps", "9"]) == 0
    assert "80 x 96 pixels, 1 scale, 9 steps" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.png"]


def test_from_a_picture_that_says_nothing(files, capsys):
    assert nst("--from", files / "painting.png") == 2
    assert "does not say how it was made; give a .png that nst painted." in capsys.readouterr().err
    assert nst() == 2
    assert "there is no CONTENT to paint; name an image" in capsys.readouterr().err


def test_a_file_that_is_gone_is_named(settings, files, first, tmp_path, capsys, monkeypatch):
    gone = tmp_path / "gone.png"
    gone.write_bytes(first.read_bytes())
    monkeypatch.chdir(files)
    stylize(settings(style=gone, steps=1))
    gone.unlink()
    assert nst("--from", tmp_path / "out.png", "-o", tmp_path / "two.png") == 2
    assert (
        "was painted of gone.png, which is neither here nor beside it" in capsys.readouterr().err
    )
    again = ["--from", tmp_path / "out.png", "-o", tmp_path / "two.png", "--style", first]
    assert nst(*again) == 0


def test_another_model_is_warned_of(result, files, tmp_path, rng, capsys):
    arrays = draw_arrays(FOUR_BLOCKS, rng)
    export_network(weights.from_arrays(arrays, "average", name="tiny"), tmp_path / "new.onnx")
    again = ["--from", result, "-o", tmp_path / "two.png"]
    shape = "another shape, to which it is stretched"  # of the mask: that is told as well
    assert nst(*again) == 0
    assert [line for line in capsys.readouterr().err.splitlines() if shape not in line] == []
    assert nst(*again, "--model", tmp_path / "new.onnx") == 0
    told = capsys.readouterr().err.splitlines()
    (told,) = [line for line in told if shape not in line]
    assert told.startswith("nst: warning: ")
    assert "result.png was painted with tiny sha256 " in told
