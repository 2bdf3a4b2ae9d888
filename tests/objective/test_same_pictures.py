"""Every recipe paints the picture that it painted before the objective was rebuilt.

``painted_before.npz`` holds some pixels of each run's result and the losses of all its steps.  A
change that is meant to paint another picture writes it anew, and says so:

    PYTHONPATH=tests python tests/objective/test_same_pictures.py
"""

import hashlib
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from running import paint
from small_networks import NARROW_VGG16, draw_arrays

from nst import Settings
from nst.objective.recipes import RECIPES
from nst.pictures import images
from nst.run.inputs import prepare
from nst.settings import Painting
from nst.vgg import weights
from nst.vgg.export import export_network

pytestmark = pytest.mark.filterwarnings("ignore:the mask")

STORED = Path(__file__).with_name("painted_before.npz")
PIXELS = 600  # values of each picture that are stored
SIDES = {"nst": 96, "hvass": 224}  # pixels of a tile, about the least that its layers allow
TILED = {"nst": 130, "hvass": 250}  # pixels of a picture in several tiles


def masked(at):
    return {
        "style": [
            Painting(at / "painting.png", 2, mask=at / "left.png", region=at / "left.png"),
            Painting(at / "other.png", 1, region=at / "right.png"),
        ]
    }


def blended(at):
    return {"style": [Painting(at / "painting.png", 3), Painting(at / "other.png", 1)]}


LAST = ("nnst", "strokes")  # with a last pass: pinned in test_nnst.py and test_neighbours.py
ALIKE = [name for name in RECIPES if name not in LAST]
RUNS = {name: (name, {}, None, False) for name in ALIKE}
RUNS |= {f"{name}, masks": (name, {}, masked, False) for name in ALIKE}
RUNS |= {f"{name}, tiles": (name, {}, None, True) for name in ("nst", "gatys-paper", "crowson")}
RUNS |= {f"{name}, masks, tiles": (name, {}, masked, True) for name in ("nst", "spst", "hvass")}
RUNS |= {
    f"{name}, {optimizer}": (name, {"optimizer": optimizer}, None, False)
    for name, optimizer in [("nst", "adam"), ("nst", "descent"), ("crowson", "lbfgs")]
}
RUNS |= {
    f"{name}, strength, blended": (name, {"strength": 0.4}, blended, False)
    for name in ("nst", "crowson")
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures_in(tmp_path_factory.mktemp("pictures"))


def pictures_in(folder):
    """Write a narrow network, a photograph, two paintings and two masks into ``folder``."""
    rng = np.random.default_rng(1889)
    network = weights.from_arrays(draw_arrays(NARROW_VGG16, rng), "average", name="narrow")
    export_network(network, folder / "narrow.onnx")
    rows, columns = np.mgrid[:120, :101] / 120
    images.save(folder / "photograph.png", np.stack([rows, columns, 1 - rows * columns]))
    images.save(folder / "painting.png", rng.random((3, 70, 92)))
    images.save(folder / "other.png", np.stack([columns, rows * columns, rows])[:, :, :60])
    left = np.clip(1.5 - 3 * columns, 0, 1) * np.ones((3, 1, 1))
    images.save(folder / "left.png", left)
    images.save(folder / "right.png", 1 - left)
    return folder


def painted(name, folder):
    """Return the result's pixels and all losses, an entry a step."""
    recipe, changes, styles, tiled = RUNS[name]
    side = TILED.get(recipe, 190) if tiled else 96
    asked = {
        "content": folder / "photograph.png",
        "style": folder / "painting.png",
        "output": None,
        "model": str(folder / "narrow.onnx"),
        "device": "cpu",
        "recipe": recipe,
        "size": side,
        "scales": (side // 2, side),
        "steps": (2, 3),
        "seed": 5,
        "init": "noise" if recipe == "hvass" else "content",  # others stay near the noise
        "color": "painted",  # as the losses leave it
        "pooling": "average",  # a maximum may change its place with the last bit of a product
    }
    inputs = prepare(Settings(**asked | changes | (styles(folder) if styles else {})))
    result = paint(inputs, side=SIDES.get(recipe, 160) if tiled else None)
    losses = [[v for k, v in step.items() if k != "seconds"] for step in result.history]
    return result.image, np.array(losses)


def some_of(image):
    chosen = np.random.default_rng(7).choice(image.size, PIXELS, replace=False)
    return image.reshape(-1)[np.sort(chosen)]


@pytest.mark.filterwarnings("ignore:the mask .* another shape")  # it is stretched
@pytest.mark.parametrize("name", RUNS)
def test_the_picture_is_the_one_painted_before(name, folder):
    image, losses = painted(name, folder)
    with np.load(STORED) as stored:
        np.testing.assert_allclose(losses, stored[f"{name}: losses"], rtol=1e-4)
        apart = np.abs(some_of(image) - stored[f"{name}: pixels"])
        # L-BFGS adds up its history in another order than it did then; losses agree as above.
        assert apart.mean() <= 1e-5
        # Where Adam follows a gradient that is about zero.
        assert np.mean(apart > (1e-5 if "nst" in name else 1e-6)) <= 0.05


if __name__ == "__main__":
    kept, here = {}, pictures_in(Path(tempfile.mkdtemp()))
    for run in RUNS:
        image, losses = painted(run, here)
        kept |= {f"{run}: pixels": some_of(image), f"{run}: losses": losses.astype(np.float32)}
        digest = hashlib.sha256(image.tobytes() + losses.tobytes()).hexdigest()[:16]
        print(f"{digest}  {run}")
    if sys.argv[1:] != ["--only-print"]:
        np.savez_compressed(STORED, **kept)
