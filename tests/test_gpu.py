"""Whole runs on a real GPU, where there is one: what test_emulated_gpu.py asks of a stand-in."""

from dataclasses import replace

import numpy as np
import pytest
from machine import cupy, needs_gpu
from running import paint
from test_emulated_gpu import assert_same_picture

from nst import stylize
from nst.objective.recipes import RECIPES
from nst.run.inputs import prepare

pytestmark = [pytest.mark.gpu, needs_gpu]
SMALL = {"size": 96, "scales": (64, 96), "steps": (2, 3), "conv": "direct", "model": "vgg16-slim"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_paints_what_it_paints_on_the_cpu_and_twice_the_same(settings, recipe):
    steps = {"steps": (2, 2, 2)} if RECIPES[recipe].fine is not None else {}
    asked = settings(recipe=recipe, **SMALL | steps)
    on_gpu, again = (stylize(replace(asked, device="cuda")) for _ in range(2))
    by_sign = RECIPES[recipe].optimizer in ("adam", "pyramid")  # of a gradient, however small
    assert_same_picture(on_gpu, stylize(asked), 2e-3 if by_sign else 1e-4, 1e-4)
    np.testing.assert_array_equal(on_gpu.image, again.image)


def test_in_tiles_it_is_the_same_picture(settings):
    asked = settings(**SMALL | {"model": settings().model, "size": 120, "scales": (70, 120)})
    results = [paint(prepare(replace(asked, device=d)), side=96) for d in ("cuda", "cpu")]
    assert_same_picture(*results, 2e-4, 1e-4)


def test_no_size_leaves_memory_behind(settings):
    inputs = prepare(settings(device="cuda", **SMALL))
    free = []
    for _ in range(3):
        paint(inputs)
        inputs.vgg.release()
        free.append(cupy.cuda.runtime.memGetInfo()[0])
    assert free[1] - free[2] < 2**26  # once everything is loaded
