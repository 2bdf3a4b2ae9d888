"""The teachers: VGG19's lower blocks and SqueezeNet 1.1, on the student's grid of cells."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distillation import Features
from distillation.student import normalise

VGG19_MEAN_BGR = (103.939, 116.779, 123.68)  # of 0..255
VGG19_FILE, SQUEEZENET_FILE = "vgg19_conv1_1-3_4.npz", "squeezenet1.1.npz"


class Teachers:
    """VGG19 up to relu3_4 and SqueezeNet 1.1, read from the .npz files in ``folder``.

    They run in bfloat16: half the time, and an error that is small beside the student's.

    VGG19 pools by averages here, as it did where Gatys et al. painted with it ("A Neural Algorithm
    of Artistic Style", 2015, methods).  The student pools so too, and what a maximum took cannot
    be told from an average: taught by the maxima, a student stopped at .041 at relu3_1.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.vgg19 = _load_teacher(folder / VGG19_FILE, "conv1_1", device)
        self.squeezenet = _load_teacher(folder / SQUEEZENET_FILE, "conv0", device)

    @torch.no_grad()
    def features(self, images: Tensor, layers: Iterable[str]) -> Features:
        """Return the named layers; images: (N, 3, H, W), RGB in 0..1, H and W multiples of 16."""
        wanted = set(layers)
        found: Features = {}
        if any(name.startswith("vgg19") for name in wanted):
            found |= self._vgg19(images, wanted)
        for stride, fires in ((8, ("fire3", "fire4")), (16, ("fire5", "fire6", "fire7", "fire8"))):
            if wanted & set(fires):
                every = self._squeezenet(images, stride)
                found |= {name: every[name] for name in fires}
        return {name: found[name] for name in wanted}

    def _vgg19(self, images: Tensor, wanted: set[str]) -> Features:
        x = 255 * images.flip(1) - images.new_tensor(VGG19_MEAN_BGR)[:, None, None]
        x = x.contiguous(memory_format=torch.channels_last)
        found: Features = {}
        for name in (key.removesuffix(".weight") for key in self.vgg19 if "weight" in key):
            if not wanted - found.keys():
                break
            if name in ("conv2_1", "conv3_1"):
                x = F.avg_pool2d(x, 2)
            x = _convolve(self.vgg19, name, x, padding=1)
            found[name.replace("conv", "vgg19 relu")] = x
        found["vgg19 pool3"] = F.avg_pool2d(x, 2)
        return found

    def _squeezenet(self, images: Tensor, stride: int) -> Features:
        """Return fire1 to fire8; those at ``stride`` lie exactly over the student's cells.

        conv0 and the pools have no padding, so a cell lies half a stride further right and down
        than the student's.  Half a stride of zeros on every side moves it there, and makes the
        number of cells the same.
        """
        x = F.pad(normalise(images), [stride // 2] * 4)
        x = x.contiguous(memory_format=torch.channels_last)
        x = F.max_pool2d(_convolve(self.squeezenet, "conv0", x, stride=2), 3, 2)
        found: Features = {}
        for fire in range(1, 9):
            squeeze, narrow, wide = (f"conv{3 * fire - 2 + i}" for i in range(3))
            x = _convolve(self.squeezenet, squeeze, x)
            expanded = [
                _convolve(self.squeezenet, narrow, x),
                _convolve(self.squeezenet, wide, x, padding=1),
            ]
            x = found[f"fire{fire}"] = torch.cat(expanded, 1)
            if fire in (2, 4):
                x = F.max_pool2d(x, 3, 2)
        return found


def _load_teacher(path: Path, first: str, device: str) -> dict[str, Tensor]:
    """Return the arrays as bfloat16, and the first layer, whose inputs reach 255, as float32."""
    with np.load(path) as stored:
        arrays = {name: torch.from_numpy(stored[name].astype(np.float32)) for name in stored}
    return {
        name: array.to(device, None if name.split(".")[0] == first else torch.bfloat16)
        for name, array in arrays.items()
    }


def _convolve(weights: Mapping[str, Tensor], name: str, x: Tensor, **options: int) -> Tensor:
    x = F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **options)
    return x.relu_().to(torch.bfloat16)
