"""The teacher: VGG16, complete, pooled by averages."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distillation import Features
from nst.vgg.architecture import VGG16, relu_of

FILE = "vgg16.npz"
MEAN_BGR = (103.939, 116.779, 123.68)  # of 0..255


class Teacher:
    """VGG16's thirteen convolutions, read from the .npz file in ``folder``.

    They run in bfloat16, which matrix units multiply several times as fast: the mean squared
    error of that is .00002 of the mean square at relu1_1 and .0002 at relu5_3, far below any
    student's.

    It pools by averages here, as VGG19 did where Gatys et al. painted with it ("A Neural Algorithm
    of Artistic Style", 2015, methods).  The student pools so too, and what a maximum took cannot
    be told from an average: taught by the maxima, a student stopped at .041 at relu3_1.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.weights: dict[str, Tensor] = {}
        with np.load(folder / FILE) as stored:
            for name in VGG16.parameters:
                array = torch.from_numpy(stored[name].astype(np.float32)).to(device)
                layout = torch.channels_last if array.ndim == 4 else torch.preserve_format
                self.weights[name] = array.to(torch.bfloat16, memory_format=layout)

    @torch.no_grad()
    def features(self, images: Tensor) -> Features:
        """Return every ReLU's output, in bfloat16; images: (N, 3, H, W), RGB in 0..1."""
        x = 255 * images.flip(1) - images.new_tensor(MEAN_BGR)[:, None, None]
        x = x.to(torch.bfloat16, memory_format=torch.channels_last)
        found: Features = {}
        for layer in VGG16.layers:
            if layer.startswith("pool"):
                x = F.avg_pool2d(x, 2)
            elif layer.startswith("conv"):
                weight, bias = self.weights[f"{layer}.weight"], self.weights[f"{layer}.bias"]
                x = found[relu_of(layer)] = F.conv2d(x, weight, bias, padding=1).relu()
        return found
