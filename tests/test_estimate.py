"""What a run is said to take: the arithmetic by hand, the memory against what it then takes."""

import json
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nst import Settings, demo, images, memory
from nst.errors import NstError
from nst.estimate import Cost, Estimate, Work, estimate, optimizer_images, time_said
from nst.kernels import numpy_kernels
from nst.optimizers import Adam, Lbfgs, NormalisedDescent
from nst.runs import prepare
from nst.vgg.architecture import VGG16

MB = 10**6
COST = Cost(bytes=2000.0, seconds=3e-6, features_bytes=700.0, features_seconds=1e-6)
WORK = Work(
    architecture=VGG16,
    taps=("relu1_1", "relu4_2", "relu5_1"),
    content_taps=("relu4_2",),
    optimizer="adam",
    pairs=10,
    sizes=[(300, 400, 20), (1200, 1600, 10)],
    style_sizes=[(400, 200), (1600, 800)],
    cost=COST,
    base=100 * MB,
)
IMAGE, PIXELS = 12 * 1200 * 1600, 1200 * 1600


# ---- The arithmetic -------------------------------------------------------------------


def test_a_run_with_room_is_done_as_a_whole():
    found = WORK.fit(20_000 * MB)
    assert found.side is None
    assert [scale.tiles for scale in found.scales] == [(1, 1), (1, 1)]
    targets = 4 * 512 * (1200 // 8) * (1600 // 8)
    # image and d_image, Adam's two moments and what its step needs; and the network
    assert found.bytes == pytest.approx(100 * MB + (2 + 2 + 1) * IMAGE + targets + 2000 * PIXELS)
    assert found.scales[1].seconds == pytest.approx(3e-6 * PIXELS)
    assert found.seconds == pytest.approx(20 * 3e-6 * 300 * 400 + 10 * 3e-6 * PIXELS)


def test_a_run_without_room_is_done_in_the_largest_tiles_that_fit():
    budget = 1200 * MB
    found = WORK.fit(budget)
    assert found.side is not None
    assert found.scales[0].tiles == (1, 1)
    rows, columns = found.scales[1].tiles
    assert rows * columns > 1
    height, width = found.scales[1].window
    assert max(height, width) <= found.side
    seen = rows * height * columns * width
    assert found.scales[1].seconds == pytest.approx((3e-6 + 1e-6) * seen)
    own = 4 * 64 * height * width  # of relu1_1, the largest tap
    network = 2000 * height * width + own
    assert found.bytes == pytest.approx(100 * MB + (2 + 2) * IMAGE + network)
    assert 0.7 * budget < found.bytes <= budget
    assert WORK.fit(budget - 50 * MB).side <= found.side


def test_what_does_not_grow_with_the_image_counts_once():
    cost = replace(COST, fixed_bytes=300.0 * MB, features_fixed_bytes=800.0 * MB)
    more = WORK.fit(20_000 * MB).bytes + 300 * MB
    assert replace(WORK, cost=cost).fit(20_000 * MB).bytes == pytest.approx(more)
    strip = replace(WORK, sizes=[(160, 3200, 1)], style_sizes=[(3200, 3200)])
    more = strip.fit(100_000 * MB).bytes + 800 * MB
    assert replace(strip, cost=cost).fit(100_000 * MB).bytes == pytest.approx(more)


def test_a_painting_larger_than_the_photograph_counts_too():
    strip = replace(WORK, sizes=[(160, 3200, 1)], style_sizes=[(3200, 3200)])
    assert strip.fit(100_000 * MB).bytes > 100 * MB + 700 * 3200 * 3200


def test_lbfgs_gives_up_pairs_where_memory_is_short():
    work = replace(WORK, optimizer="lbfgs")
    assert work.fit(20_000 * MB).pairs == 10
    assert work.fit(WORK.fit(1000 * MB).bytes + 6 * IMAGE).pairs < 10


def test_pairs_that_there_are_no_steps_for_take_no_memory():
    long = replace(WORK, optimizer="lbfgs", sizes=[(1200, 1600, 100)], style_sizes=[(1600, 800)])
    short = replace(long, sizes=[(1200, 1600, 3)])
    assert long.fit(20_000 * MB).bytes - short.fit(20_000 * MB).bytes == 2 * 7 * IMAGE


def test_what_cannot_fit_is_refused_with_a_size_that_can():
    budget = 250 * MB
    with pytest.raises(
        NstError, match=r"painting 1600 x 1200 pixels takes .* use --size"
    ) as error:
        WORK.fit(budget)
    message = str(error.value)
    assert "there is 250 MB for it" in message
    assert "\n" not in message
    size = int(message.split("--size ")[1].split()[0])

    def at(side):
        steps = WORK.sizes[-1][2]
        return replace(WORK, sizes=[(side * 3 // 4, side, steps)], style_sizes=[(side, side // 2)])

    assert at(size).fit(budget).bytes <= budget
    with pytest.raises(NstError):
        at(size + 32).fit(budget)


def test_where_nothing_fits_only_memory_helps():
    with pytest.raises(NstError, match="50 MB for it; use more --memory"):
        WORK.fit(50 * MB)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.04 s"),
        (0.4567, "0.46 s"),
        (9.9, "9.9 s"),
        (9.96, "10 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (5969, "99 min"),
        (5971, "1.7 h"),
    ],
)
def test_times_that_people_read(seconds, text):
    assert time_said(seconds) == text


def test_the_lines_say_sizes_tiles_memory_and_time():
    lines = WORK.fit(1200 * MB).lines()
    assert lines[0].split()[:3] == ["400", "x", "300"]
    assert "as a whole" in lines[0]
    assert "20 steps of 0.36 s" in lines[0]
    assert "tiles of" in lines[1]
    assert lines[2].endswith("of 1.2 GB memory")


# ---- The counts behind it -------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "optimizer"),
    [("descent", NormalisedDescent()), ("adam", Adam()), ("lbfgs", Lbfgs(3))],
)
def test_optimizers_take_the_images_that_they_are_said_to(kind, optimizer, rng):
    """Of a bowl in 2 million pixels; less than is said is fine, more is not."""
    image = rng.random((3, 800, 900), np.float32)
    tracemalloc.start()
    for _ in range(12):
        loss = numpy_kernels.dot(image, image)
        d_image = 2 * image
        optimizer.step(image, loss, d_image)
        best = optimizer.best(image)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del best
    kept, passing = optimizer_images(kind, 3)
    said = (1 + kept + passing) * image.nbytes  # and d_image
    assert 0.6 * said < peak < 1.1 * said


# ---- For real -------------------------------------------------------------------------

CHILD = """
import json, sys
from nst import Settings, memory
from nst.estimate import estimate
from nst.runs import prepare
from nst.stylize import complete

run = prepare(Settings(**json.loads(sys.argv[1])))
expected = estimate(run)
complete(run)
tiles = [rows * columns for rows, columns in (scale.tiles for scale in expected.scales)]
print(json.dumps({"expected": expected.bytes, "found": memory.highest(), "tiles": tiles}))
"""


@pytest.mark.parametrize(
    "options",
    [
        {"size": 720, "steps": 3},
        {"size": 900, "steps": 2, "memory": "500MB", "optimizer": "adam"},
    ],
    ids=["as a whole", "in tiles"],
)
def test_memory_is_within_a_quarter_of_what_was_said(options, tmp_path):
    settings = {
        "content": str(demo.content_path()),
        "style": str(demo.style_path("glass")),
        "output": str(tmp_path / "out.png"),
        "scales": 1,
        "device": "cpu",
        "model": "vgg16-slim",
        **options,
    }
    command = [sys.executable, "-c", CHILD, json.dumps(settings)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(result.stdout)
    assert (said["tiles"][0] > 1) == ("memory" in options)
    assert said["expected"] == pytest.approx(said["found"], rel=0.25)


@pytest.fixture
def small_run(tmp_path, rng):
    for name, size in (("content", (96, 128)), ("style", (64, 80))):
        images.save(tmp_path / f"{name}.png", rng.random((3, *size), np.float32))
    return lambda **options: prepare(
        Settings(
            tmp_path / "content.png",
            tmp_path / "style.png",
            tmp_path / "out.png",
            size=128,
            steps=2,
            device="cpu",
            model="vgg16-slim",
            **options,
        )
    )


def test_an_estimate_settles_how_the_run_is_done(small_run):
    run = small_run()
    assert not run.planned
    found = estimate(run)
    assert isinstance(found, Estimate)
    assert run.planned
    assert (run.side, run.pairs) == (found.side, found.pairs) == (None, 10)
    assert found.scales[-1].seconds > 0


def test_the_budget_is_the_users_or_a_share_of_what_is_free(small_run, monkeypatch):
    assert estimate(small_run(memory="3GB")).budget == 3000 * MB
    monkeypatch.setattr(memory, "free", lambda _: 1000 * MB)
    monkeypatch.setattr(memory, "used", lambda _: 200 * MB)
    assert estimate(small_run()).budget == 200 * MB + 0.8 * 1000 * MB


def test_too_little_memory_is_refused_before_anything_is_painted(small_run, tmp_path):
    run = small_run(memory="20MB")
    with pytest.raises(NstError, match="there is 20 MB for it"):
        estimate(run)
    assert not Path(tmp_path / "out.png").exists()
