"""The images: pictures from a folder, and the augmented crops that the networks see of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class Crops:
    """An endless supply of augmented crops of ``images``, (3, H, W) uint8."""

    images: list[Tensor]
    seed: int

    def batch(self, number: int, count: int, size: int) -> Tensor:
        """Return (count, 3, size, size), RGB in 0..1; the same for the same number.

        Painting takes a network far from photographs, so the crops go there too: any scale,
        mirrored, colours exchanged (30 %), contrast and brightness changed (30 %), white noise
        (25 %), coarse noise (10 %), two crops blended (10 %).
        """
        draw = np.random.default_rng((self.seed, number))
        return torch.stack([self._augmented(draw, size) for _ in range(count)]).clamp_(0, 1)

    def _augmented(self, draw: np.random.Generator, size: int) -> Tensor:
        crop = self._crop(draw, size)
        if draw.random() < 0.10:
            crop = torch.lerp(crop, self._crop(draw, size), draw.uniform(0.2, 0.8))
        if draw.random() < 0.30:
            crop = crop[torch.from_numpy(draw.permutation(3))]
        if draw.random() < 0.30:
            mean = crop.mean(dim=(1, 2), keepdim=True)
            crop = (crop - mean) * draw.uniform(0.4, 1.6) + mean + draw.uniform(-0.25, 0.25)
        if draw.random() < 0.25:
            crop = crop + draw.uniform(0, 0.25) * _noise(draw, size, size)
        if draw.random() < 0.10:
            grain = size // int(draw.integers(2, 17))
            crop = crop + draw.uniform(0, 0.25) * _noise(draw, grain, size)
        return crop

    def _crop(self, draw: np.random.Generator, size: int) -> Tensor:
        """Return a random square of 0.7 to 3 times ``size``, resized to it and maybe mirrored."""
        image = self.images[draw.integers(len(self.images))]
        height, width = image.shape[1:]
        side = min(int(size * 0.7 * (3 / 0.7) ** draw.random()), height, width)
        row, column = draw.integers(height - side + 1), draw.integers(width - side + 1)
        square = image[:, row : row + side, column : column + side].float() / 255
        mirrored = [axis for axis, chance in ((2, 0.5), (1, 0.2)) if draw.random() < chance]
        return _resize(square.flip(mirrored), size, antialias=True)


def _noise(draw: np.random.Generator, grain: int, size: int) -> Tensor:
    """Return unit white noise of grain x grain, enlarged to (3, size, size)."""
    noise = draw.standard_normal((3, grain, grain), np.float32)
    return _resize(torch.from_numpy(noise), size)


def _resize(image: Tensor, size: int, **options: bool) -> Tensor:
    return F.interpolate(image[None], (size, size), mode="bilinear", **options)[0]


def load_images(folder: Path) -> tuple[list[Tensor], list[Tensor]]:
    """Return (to learn from, held out): every twentieth photograph or painting is held out."""
    paths = sorted(p for name in ("photos", "paintings") for p in (folder / name).glob("*.jpg"))
    if not paths:
        raise SystemExit(f"distill: no .jpg files in {folder}/photos or /paintings; see --help.")
    images = [_load_image(path) for path in paths]
    return [image for i, image in enumerate(images) if i % 20], images[::20]


def _load_image(path: Path) -> Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


def centre_crop(image: Tensor, side: int = 192) -> Tensor:
    """Return the central (3, h, w), RGB in 0..1, of a uint8 image; h, w multiples of 16."""
    height, width = (min(side, n) // 16 * 16 for n in image.shape[1:])
    row, column = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    return image[:, row : row + height, column : column + width].float() / 255
