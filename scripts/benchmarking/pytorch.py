"""The contender to beat: the same work in PyTorch, as its users write it and at its best."""

import numpy as np
import torch
from torch.nn import functional

from benchmarking.timing import Clock
from benchmarking.work import RECIPE, Work
from nst.vgg.architecture import Architecture
from nst.vgg.weights import IMAGENET_MEAN, IMAGENET_STD

HISTORY = 100  # of L-BFGS, as in neural-style-pt and PyTorch's own default


class Network(torch.nn.Module):
    """VGG with taps.  ReLUs work in place, as everywhere; weights need no gradient."""

    def __init__(self, work: Work, layout: torch.memory_format) -> None:
        super().__init__()
        self.architecture: Architecture = work.architecture
        self.layers = work.architecture.layers_to(RECIPE.taps)
        self.layout = layout
        for name, array in work.arrays.items():
            self.register_buffer(name.replace(".", "_"), torch.from_numpy(array))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        x = ((image - self.mean) / self.std).contiguous(memory_format=self.layout)
        features = {}
        for layer in self.layers:
            if layer.startswith("conv"):
                weight, bias = (getattr(self, f"{layer}_{kind}") for kind in ("weight", "bias"))
                x = functional.conv2d(x, weight, bias, padding=1)
            elif layer.startswith("relu"):
                x = functional.relu(x, inplace=True)
            else:
                x = functional.max_pool2d(x, 2)
            if layer in RECIPE.taps:
                features[layer] = x
        return features


def gram(features: torch.Tensor) -> torch.Tensor:
    """Return the (C, C) Gram matrix of (1, C, H, W), divided by the pixels."""
    flat = features.flatten(2)[0]
    return flat @ flat.T / flat.shape[1]


class PyTorch:
    """Autograd and torch.optim.LBFGS on one image.

    ``variant`` joins some of the words "eager", "channels_last", "compile" and, on a GPU, "tf32"
    by spaces: "compile channels_last".
    """

    def __init__(self, work: Work, variant: str = "eager", device: str = "cpu") -> None:
        self.device, words = torch.device(device), variant.split()
        self.tf32 = "tf32" in words
        torch.backends.cudnn.benchmark = True
        layout = torch.channels_last if "channels_last" in words else torch.contiguous_format
        network = Network(work, layout).to(self.device, memory_format=layout)
        content, style, image = (
            torch.from_numpy(array.copy())[None].to(self.device)
            for array in (work.content, work.style, work.image)
        )
        with torch.no_grad():
            features = network(content)
            self.content = {tap: features[tap] for tap in RECIPE.content}
            features = network(style)
            self.grams = {tap: gram(features[tap]) for tap in RECIPE.style}
        self.network = torch.compile(network) if "compile" in words else network
        self.objective = torch.compile(self._losses) if "compile" in words else self._losses
        self.image = image.requires_grad_()
        self.optimizer = torch.optim.LBFGS(
            [self.image], max_iter=1, history_size=HISTORY, tolerance_grad=-1, tolerance_change=-1
        )
        self.clock: Clock | None = None

    def _losses(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        total = torch.zeros((), device=self.device)
        for tap, weight in RECIPE.content.items():
            total = total + weight * functional.mse_loss(features[tap], self.content[tap])
        for tap, weight in RECIPE.style.items():
            total = total + weight * functional.mse_loss(gram(features[tap]), self.grams[tap])
        return total

    def _evaluate(self) -> torch.Tensor:
        torch.backends.cuda.matmul.allow_tf32 = self.tf32
        torch.backends.cudnn.allow_tf32 = self.tf32
        self.image.grad = None
        features = self.network(self.image)
        self._lap("forward")
        loss = self.objective(features)
        self._lap("losses")
        loss.backward()
        self._lap("backward")
        return loss

    def _lap(self, phase: str) -> None:
        if self.clock:
            self.clock.lap(phase)

    def gradient(self) -> np.ndarray:
        """Return d_image (3, H, W) at the image as it is now."""
        self._evaluate()
        return self.image.grad[0].contiguous().cpu().numpy()

    def step(self, clock: Clock) -> float:
        """Evaluate and move the image; return the loss before the move.

        The gradient of the losses is taken in PyTorch's backward, so "backward" has both.
        """
        self.clock = clock
        loss = self.optimizer.step(self._evaluate)
        clock.lap("optimizer")
        return float(loss.detach())

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
