"""The sizes that a picture is painted at, and how the steps are shared out."""

from dataclasses import replace
from functools import partial

import pytest

from nst.errors import NstError
from nst.objective.recipes import RECIPES
from nst.run.scales import Scale, longer_sides, scales_for


def test_scales_double_from_coarse_to_fine(settings):
    scales = scales_for(768, 1024, settings(recipe="gatys", size=512, scales=3, steps=150))
    assert [(s.height, s.width) for s in scales] == [(96, 128), (192, 256), (384, 512)]
    assert [s.steps for s in scales] == [71, 47, 32]  # as 1.5 * 1.5 to 1.5 to 1


@pytest.mark.parametrize(
    ("size", "factor", "sides"),
    [
        (200, 2, [200]),
        (256, 2, [256]),
        (361, 2, [361]),  # nearer to 256 than to 512, as factors go
        (363, 2, [181, 363]),
        (512, 2, [256, 512]),
        (640, 2, [320, 640]),
        (1024, 2, [256, 512, 1024]),
        (8192, 2, [256, 512, 1024, 2048, 4096, 8192]),
        (512, 2**0.5, [256, 362, 512]),
        (1024, 3, [341, 1024]),
    ],
)
def test_auto_starts_at_about_256_pixels(size, factor, sides):
    assert longer_sides(size, "auto", factor) == sides


def test_a_result_beyond_the_most_is_refused(settings):
    """By a recipe that gives the shorter side its size, of a photograph that is a strip."""
    with pytest.raises(NstError, match=r"20800 pixels long; the most are 16384\. Give a --size"):
        scales_for(32, 1300, settings(recipe="gatys", size=None, steps=None))


def test_counted_scales_grow_by_the_factor():
    assert longer_sides(900, 3, 3) == [100, 300, 900]


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        (400, "longer", (300, 400)),
        (400, "shorter", (400, 533)),
        (400, "width", (300, 400)),
        (300, "height", (300, 400)),
        (None, "longer", (90, 120)),  # the content's own
    ],
)
def test_without_a_size_the_recipe_says_which_side_is_how_long(
    settings, monkeypatch, size, side, expected
):
    recipe = replace(RECIPES["gatys"], size=size, side=side, steps=77, scales=1)
    monkeypatch.setitem(RECIPES, "gatys", recipe)
    asked = settings(recipe="gatys", size=None, steps=None, scales=None)
    assert scales_for(90, 120, asked) == [Scale(*expected, 77)]
    assert asked.all_steps == 77


def test_what_is_said_goes_before_the_recipe(settings):
    asked = settings(recipe="gatys", size=200, steps=9, scales=1)
    assert scales_for(90, 120, asked) == [Scale(150, 200, 9)]
    listed = settings(recipe="gatys", size=None, scales=(80, 160), steps=(3, 4))
    assert scales_for(90, 120, listed) == [Scale(60, 80, 3), Scale(120, 160, 4)]


def test_our_own_recipe_paints_640_pixels_in_two_scales(settings):
    scales = scales_for(768, 1024, settings(size=None, steps=None, scales=None))
    assert scales == [Scale(240, 320, 32), Scale(480, 640, 108)]


def crowson_s_sides(end):
    """Return what the program goes through: end / 2**(i / 2), rounded, as long as it is 128."""
    sides = {round(end / 2 ** (i / 2)) for i in range(40)}
    return sorted(side for side in sides if side >= min(128, end))


@pytest.mark.parametrize("size", [None, 64, 127, 128, 150, 256, 257, 340, 512, 518, 1024, 4096])
def test_crowson_s_scales_have_the_steps_that_he_gives_them(settings, size):
    asked = settings(recipe="crowson", size=size, steps=None, scales=None)
    scales = scales_for(600, 800, asked)
    sides = crowson_s_sides(size or 512)
    assert [scale.width for scale in scales] == sides
    assert [scale.steps for scale in scales] == [1000, *[500] * (len(sides) - 1)]
    assert asked.all_steps == sum(scale.steps for scale in scales)
    known = {None: 5, 1024: 7, 256: 3}
    assert len(sides) == known.get(size, len(sides))


def test_crowson_s_scales_go_down_to_what_the_network_sees(settings):
    asked = settings(recipe="crowson", size=None, steps=None, scales=None)
    narrow = scales_for(100, 800, asked)
    assert [(scale.width, scale.height) for scale in narrow][:2] == [(128, 16), (181, 23)]
    narrower = scales_for(70, 800, asked)  # 128 x 11 is too small: its steps go to the others
    assert [scale.width for scale in narrower] == [181, 256, 362, 512]
    assert sum(scale.steps for scale in narrower) == asked.all_steps == 3000


def test_with_another_factor_crowson_s_scales_still_go_down_to_128(settings):
    asked = settings(recipe="crowson", size=1100, scale_factor=2, steps=None, scales=None)
    assert [(scale.width, scale.steps) for scale in scales_for(600, 800, asked)] == [
        *[(138, 1000), (275, 500), (550, 500), (1100, 500)]
    ]
    assert asked.all_steps == 2500


def test_a_recipe_s_list_of_steps_is_shared_out_over_other_scales(settings):
    asked = settings(recipe="crowson", size=None, steps=None, scales=2)
    assert [scale.width for scale in scales_for(600, 800, asked)] == [362, 512]
    assert sum(scale.steps for scale in scales_for(600, 800, asked)) == 3000
    listed = replace(asked, scales=(200, 300))
    assert [scale.width for scale in scales_for(600, 800, listed)] == [200, 300]
    assert sum(scale.steps for scale in scales_for(600, 800, listed)) == listed.all_steps == 2000


@pytest.mark.parametrize("steps", [None, 7, (5, 6)])
def test_at_a_strength_of_zero_nothing_is_painted(settings, steps):
    asked = settings(strength=0, steps=steps)
    assert scales_for(90, 120, asked) == [Scale(120, 160, 0)]
    assert asked.all_steps == 0


@pytest.mark.parametrize("listed", [(100, 150), (100, 150, 400)])
def test_listed_scales_end_at_the_size(settings, listed):
    scales = scales_for(80, 160, settings(scales=listed, size=400, steps=(7, 0, 5)))
    assert scales == [Scale(50, 100, 7), Scale(200, 400, 5)]  # a scale without steps is left out


def test_listed_scales_may_be_small(settings):
    scales = scales_for(100, 100, settings(scales=(20, 40), size=160, steps=30))
    assert [scale.width for scale in scales] == [20, 40, 160]
    with pytest.raises(NstError, match="at a size of 20 the result would be 20 x 5 pixels"):
        scales_for(50, 200, settings(scales=(20, 40), size=160))


def test_steps_follow_the_ratio_of_sizes(settings):
    """1.5 times as many at half the size, whatever the way there."""
    gatys = partial(settings, recipe="gatys", size=512)
    steep = scales_for(512, 512, gatys(scales=2, scale_factor=4, steps=1300))
    assert [s.steps for s in steep] == [900, 400]  # 1.5 * 1.5 to 1
    gentle = scales_for(512, 512, gatys(scales=3, scale_factor=2**0.5, steps=10_000))
    assert gentle[0].steps / gentle[2].steps == pytest.approx(1.5, abs=0.01)
    assert gentle[1].steps / gentle[2].steps == pytest.approx(1.5**0.5, abs=0.01)


def test_ours_gives_each_small_scale_three_tenths_of_the_steps_at_full_size(settings):
    for expected in ([1000], [300, 1000], [300, 300, 1000]):
        asked = settings(size=512, scales=len(expected), steps=sum(expected))
        assert [s.steps for s in scales_for(512, 512, asked)] == expected


def test_a_list_of_steps_fits_the_scales_or_is_refused(settings):
    scales = scales_for(90, 75, settings(size=160, scales=2, steps=(9, 4)))
    assert [s.steps for s in scales] == [9, 4]
    with pytest.raises(NstError) as error:
        scales_for(90, 75, settings(size=160, scales=2, steps=(9, 4, 1)))
    assert "--steps lists 3 numbers, and there are 2 scales, of 80, 160 pixels" in str(error.value)
    with pytest.raises(
        NstError, match="--steps lists 2 numbers, and there is 1 scale, of 160 pix"
    ):
        scales_for(90, 75, settings(size=160, scales=1, steps=(2, 3)))


def test_work_is_steps_times_pixels():
    assert Scale(20, 16, 3).work == 960


@pytest.mark.parametrize("scales", [1, 2, 3, 5])
def test_the_steps_are_all_given_out(settings, scales):
    for steps in [*range(40), 150, 997, 100_000]:
        planned = scales_for(1000, 800, settings(size=1024, scales=scales, steps=steps))
        assert sum(s.steps for s in planned) == steps
        assert all(s.steps > 0 for s in planned[:-1])
        assert (planned[-1].height, planned[-1].width) == (1024, 819)
        if steps > 100:
            assert len(planned) == min(scales, 4)
            assert all(s.steps < planned[-1].steps for s in planned[:-1])


@pytest.mark.parametrize(
    ("content", "size", "sizes"),
    [
        ((100, 100), 128, [(64, 64), (128, 128)]),
        ((100, 100), 127, [(127, 127)]),
        ((100, 200), 256, [(64, 128), (128, 256)]),
        ((30, 20), 16, None),
        ((20, 20), 16, [(16, 16)]),
        ((1000, 999), 600, [(75, 75), (150, 150), (300, 300), (600, 599)]),
    ],
)
def test_scales_that_would_be_tiny_are_left_out(settings, content, size, sizes):
    asked = settings(size=size, scales=10)
    if sizes is None:
        with pytest.raises(NstError):
            scales_for(*content, asked)
    else:
        assert [(s.height, s.width) for s in scales_for(*content, asked)] == sizes


@pytest.mark.parametrize(
    ("content", "told"), [((16, 1000), "64 x 1 pixels"), ((1000, 16), "1 x 64")]
)
def test_too_narrow_a_picture_is_refused_before_it_is_painted(settings, content, told):
    with pytest.raises(NstError, match="at a size of 64 the result would be") as error:
        scales_for(*content, settings(size=64))
    assert told in str(error.value)
    assert "\n" not in str(error.value)
