"""What other programs paint meanwhile, each from a checkout of its own and as it was published.

neural-style-pt       ProGamerGov's, after Johnson's (Torch)
style-transfer-pytorch  Crowson's

They paint with their own default settings, at the size that is asked, on the network that nst
paints with, which must have VGG16's widths.  The second one knows VGG19 alone: it is given one
whose fourth convolutions of blocks 3, 4 and 5 hand on what they get, which makes it VGG16.  Both
need PyTorch and torchvision in the Python that runs this.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarking.felt import EVERY, Frame, Painter
from nst import Settings
from nst.vgg import weights
from nst.vgg.architecture import VGG16

# What the first one was trained on, as RGB in [0, 1]: BGR from 0 to 255, less its mean.
CAFFE_MEAN = np.array((123.68, 116.779, 103.939)) / 255
CAFFE_STD = np.full(3, 1 / 255)
IMAGENET = np.array(weights.IMAGENET_MEAN), np.array(weights.IMAGENET_STD)
AS_VGG19 = Path(__file__).with_name("vgg16_as_vgg19.py")
IN_VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # places of its convolutions
IN_VGG19 = (0, 2, 5, 7, 10, 12, 14, 19, 21, 23, 28, 30, 32)  # and of the same ones there


def check(program: str, checkout: Path, model: str) -> None:
    """Raise ValueError if the ``program`` cannot paint, before others have painted for long."""
    if not (checkout / SCRIPTS[program]).is_file():
        raise ValueError(f"{checkout} is no checkout of {program}: it has no {SCRIPTS[program]}")
    if find_spec("torchvision") is None:
        raise ValueError(f"{program} needs torchvision, which is not installed here")
    if weights.load(model).architecture.blocks != VGG16.blocks:
        raise ValueError(
            f"{program} paints with VGG16 alone, and {model} is another; --model vgg16"
        )


def of(program: str, checkout: Path, seconds: float) -> Painter:
    """Return what paints with the ``program`` in ``checkout``, for so many seconds at most."""
    return partial(paint, program, checkout, seconds)


def paint(
    program: str, checkout: Path, seconds: float, settings: Settings, folder: Path
) -> list[Frame]:
    """Paint for so many seconds at most; return the frames in order, the last picture among them.

    Raises ValueError where nothing was painted.
    """
    folder.mkdir(parents=True)
    model = folder / "vgg16.pth"
    write_weights(settings.model, model, program)
    with (folder / "said.txt").open("wb") as said:
        began = time.time()
        process = subprocess.Popen(
            [sys.executable, *COMMANDS[program](checkout.resolve(), settings, model)],
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    saved = sorted(folder.glob("*.png"), key=lambda path: path.stat().st_mtime)
    if process.returncode:
        saved = saved[:-1]  # the last one may be half a picture
    if not saved:
        last = (folder / "said.txt").read_text(errors="replace").strip().splitlines()[-1:]
        passed = time.time() - began
        raise ValueError(f"{program} painted nothing in {passed:.0f} s; it said last: {last}")
    return [Frame(path.stat().st_mtime - began, path) for path in saved]


def write_weights(model: str, path: Path, program: str) -> None:
    """Write the weights of ``model`` as ``program`` loads them."""
    import torch

    network = weights.load(model)
    if program == "neural-style-pt":
        places, arrays = IN_VGG16, for_input(network.arrays, CAFFE_MEAN, CAFFE_STD)
        arrays["conv1_1.weight"] = arrays["conv1_1.weight"][:, ::-1]
    else:
        places, arrays = IN_VGG19, for_input(network.arrays, *IMAGENET)
    state = {}
    for layer, place in zip(VGG16.convolutions, places, strict=True):
        for part in ("weight", "bias"):
            state[f"features.{place}.{part}"] = torch.tensor(arrays[f"{layer}.{part}"].copy())
    torch.save(state, path)


def for_input(
    arrays: Mapping[str, np.ndarray], mean: np.ndarray, std: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the network that does to ``(image - mean) / std`` what ``arrays`` do to the image.

    With x = (image - m) / s and y = (image - mean) / std, x is (std y + mean - m) / s: the first
    kernel takes the factor, its bias the rest.  At the rim a padding of zeros means another
    colour, unless ``mean`` is m.
    """
    own_mean, own_std = (arrays[name].reshape(3).astype(np.float64) for name in ("mean", "std"))
    kernel = arrays["conv1_1.weight"].astype(np.float64)
    factor = (std / own_std)[:, None, None]
    shift = ((mean - own_mean) / own_std)[:, None, None]
    bias = arrays["conv1_1.bias"] + (kernel * shift).sum(axis=(1, 2, 3))
    made = {"conv1_1.weight": kernel * factor, "conv1_1.bias": bias}
    return {**arrays, **{name: array.astype(np.float32) for name, array in made.items()}}


def _neural_style_pt(checkout: Path, settings: Settings, model: Path) -> list[str]:
    words = ["-content_image", settings.content, "-style_image", settings.style[0].path]
    words += ["-image_size", settings.size, "-model_file", model, "-disable_check", "-gpu", "c"]
    words += ["-save_iter", EVERY, "-print_iter", 0, "-output_image", "out.png"]
    return [str(checkout / "neural_style.py"), *map(str, words)]


def _style_transfer_pytorch(checkout: Path, settings: Settings, model: Path) -> list[str]:
    words = [settings.content, settings.style[0].path, "--end-scale", settings.size]
    words += ["--save-every", EVERY, "--devices", "cpu", "--output", "out.png"]
    return [str(AS_VGG19), str(checkout), str(model), *map(str, words)]


SCRIPTS = {  # that a checkout has
    "neural-style-pt": "neural_style.py",
    "style-transfer-pytorch": "style_transfer/cli.py",
}
COMMANDS = {  # of each program, by its name
    "neural-style-pt": _neural_style_pt,
    "style-transfer-pytorch": _style_transfer_pytorch,
}
