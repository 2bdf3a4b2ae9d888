"""The student: VGG16's thirteen convolutions, narrower, and what it puts out as weights."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from distillation import Features
from nst.vgg.architecture import VGG16_SLIM, relu_of
from nst.vgg.weights import IMAGENET_MEAN as MEAN
from nst.vgg.weights import IMAGENET_STD as STD

SLIM = VGG16_SLIM


class Student(nn.Module):
    """SLIM: 3x3 convolutions, zero padding, ReLU, average pooling between blocks.

    While it trains, its norms normalise by batch; in ``eval`` they are folded into the weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleDict()
        self.norms = nn.ModuleDict()
        for name in SLIM.convolutions:
            outputs, inputs, *side = SLIM.parameters[f"{name}.weight"]
            self.convolutions[name] = nn.Conv2d(inputs, outputs, side, padding=1, bias=False)
            self.norms[name] = nn.BatchNorm2d(outputs)

    def forward(self, images: Tensor) -> Features:
        """Return every ReLU's output; images: (N, 3, H, W), RGB in 0..1."""
        x = normalise(images)
        features: Features = {}
        for layer in SLIM.layers:
            if layer.startswith("pool"):
                x = F.avg_pool2d(x, 2)
            elif layer.startswith("conv"):
                if self.training:
                    x = self.norms[layer](self.convolutions[layer](x))
                else:
                    x = F.conv2d(x, *self._folded(layer), padding=1)
                x = features[relu_of(layer)] = x.relu()
        return features

    def _folded(self, name: str) -> tuple[Tensor, Tensor]:
        """Return one convolution's weight (O, I, 3, 3) and bias (O,) with its norm's.

        gamma (w * x - mean) / sqrt(variance + epsilon) + beta is a convolution with a bias.
        """
        norm = self.norms[name]
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        weight = self.convolutions[name].weight * gain[:, None, None, None]
        return weight, norm.bias - norm.running_mean * gain

    def folded(self) -> dict[str, np.ndarray]:
        """Return conv1_1.weight (O, I, 3, 3), conv1_1.bias (O,), ... in float32, without norms."""
        arrays = {}
        for name in self.convolutions:
            for part, array in zip(("weight", "bias"), self._folded(name), strict=True):
                host = array.detach().cpu().numpy()
                arrays[f"{name}.{part}"] = np.ascontiguousarray(host)
        return arrays


def normalise(images: Tensor) -> Tensor:
    """Return (images - mean) / std, per colour; images: (N, 3, H, W), RGB in 0..1."""
    mean, std = (images.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    return (images - mean) / std
