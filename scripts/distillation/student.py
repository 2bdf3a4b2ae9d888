"""The student: VGG16's thirteen convolutions, narrower, and what it puts out as weights."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from distillation import Features
from nst.vgg.weights import IMAGENET_MEAN as MEAN
from nst.vgg.weights import IMAGENET_STD as STD

# Channels of each convolution.  As many directions leave of VGG19's mean square, at the best,
# .001 at relu1_1, .004 at relu1_2, .006 at relu2_1, .018 at relu2_2, .011 at relu3_1, .018 at
# relu3_2 and .007 at relu3_3: the first of a block, where painting reads the style, is the widest
# for it.  The upper blocks take what is left of 8 MB.  Multiples of 16 fill the vector units.
WIDTHS = {
    "conv1_1": 32,
    "conv1_2": 32,
    "conv2_1": 96,
    "conv2_2": 96,
    "conv3_1": 192,
    "conv3_2": 160,
    "conv3_3": 128,
    "conv4_1": 192,
    "conv4_2": 192,
    "conv4_3": 176,
    "conv5_1": 128,
    "conv5_2": 96,
    "conv5_3": 64,
}


class Student(nn.Module):
    """VGG16's convolutions at WIDTHS: 3x3, zero padding, ReLU, average pooling between blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleDict()
        self.norms = nn.ModuleDict()
        channels = 3
        for name, width in WIDTHS.items():
            self.convolutions[name] = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            self.norms[name] = nn.BatchNorm2d(width)
            channels = width

    def forward(self, images: Tensor, blocks: str = "12345") -> Features:
        """Return every ReLU's output in ``blocks``; images: (N, 3, H, W), RGB in 0..1."""
        x = normalise(images)
        features: Features = {}
        for name, convolution in self.convolutions.items():
            if block_of(name) not in blocks:
                break
            if name in ("conv2_1", "conv3_1", "conv4_1", "conv5_1"):
                x = F.avg_pool2d(x, 2)
            x = self.norms[name](convolution(x)).relu()
            features[name.replace("conv", "relu")] = x
        return features

    def channels(self, tap: str) -> int:
        """Return the width of a ReLU's output, "relu1_1" and so on."""
        return self.convolutions[tap.replace("relu", "conv")].out_channels

    def folded(self) -> dict[str, np.ndarray]:
        """Return conv1_1.weight (O, I, 3, 3), conv1_1.bias (O,), ... in float32, without norms.

        gamma (w * x - mean) / sqrt(variance + epsilon) + beta is a convolution with a bias.
        """
        arrays = {}
        for name, convolution in self.convolutions.items():
            norm = self.norms[name].double()
            gain = norm.weight / (norm.running_var + norm.eps).sqrt()
            weight = convolution.weight.double() * gain[:, None, None, None]
            bias = norm.bias - norm.running_mean * gain
            for part, array in (("weight", weight), ("bias", bias)):
                host = array.detach().float().cpu().numpy()
                arrays[f"{name}.{part}"] = np.ascontiguousarray(host)
            norm.float()
        return arrays


def normalise(images: Tensor) -> Tensor:
    """Return (images - mean) / std, per colour; images: (N, 3, H, W), RGB in 0..1."""
    mean, std = (images.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    return (images - mean) / std


def block_of(convolution: str) -> str:
    return convolution.removeprefix("conv")[0]
