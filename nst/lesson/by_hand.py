"""Style transfer by hand: a picture painted in a few lines of NumPy, and a network both ways.

python -m nst.lesson.by_hand PHOTOGRAPH PAINTING OUT.png [SIZE [STEPS]]
"""

import sys
from pathlib import Path

import numpy as np

from nst.pictures import images
from nst.vgg import Vgg

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu3_3")


def load(path: str, size: int) -> np.ndarray:
    """Load: a file becomes (3, H, W), the longer side ``size`` pixels."""
    image = images.load(path)
    _, height, width = image.shape
    return images.resize(image, *images.fit(height, width, size))


def gram(features: np.ndarray) -> np.ndarray:
    """Which channels go together: the mean of the product of each pair."""
    flat = features.reshape(len(features), -1)
    return flat @ flat.T / flat.shape[1]


def content_loss(features: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean squared error of the features, and its gradient."""
    difference = features - target
    return float(np.mean(difference**2)), 2 * difference / difference.size


def style_loss(features: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean squared error of the Gram matrices, and its gradient by the features."""
    difference = gram(features) - target
    d_gram = 2 * difference / difference.size
    flat = features.reshape(len(features), -1)
    d_flat = (d_gram + d_gram.T) @ flat / flat.shape[1]
    return float(np.mean(difference**2)), d_flat.reshape(features.shape)


def denoise_loss(image: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean squared step from a pixel to its right and lower neighbour, and its gradient."""
    d_image = np.zeros_like(image)
    loss = 0.0
    for axis in (1, 2):
        steps = np.diff(image, axis=axis)
        loss += float(np.sum(steps**2)) / image.size
        pull = 2 * steps / image.size
        before, after = np.zeros((2, *image.shape), image.dtype)
        before[:, : pull.shape[1], : pull.shape[2]] = pull
        after[:, -pull.shape[1] :, -pull.shape[2] :] = pull
        d_image += after - before
    return loss, d_image


def all_losses(
    vgg: Vgg,
    image: np.ndarray,
    content: np.ndarray,
    styles: dict[str, np.ndarray],
    smoothness: float = 0.5,
) -> tuple[float, np.ndarray]:
    """Return content, style and denoise loss of an image, added up, and their gradient."""
    features = {tap: found.copy() for tap, found in vgg.forward(image).items()}
    d_features = {}
    total = 0.0
    for tap, target in styles.items():
        weight = 1 / np.mean(target**2)  # so that every layer has an equal say
        loss, d = style_loss(features[tap], target)
        total, d_features[tap] = total + weight * loss, weight * d
    weight = 1 / np.mean(content**2)
    loss, d = content_loss(features[TAPS[-1]], content)
    total, d_features[TAPS[-1]] = total + weight * loss, d_features[TAPS[-1]] + weight * d
    d_image = vgg.backward({tap: d.astype(np.float32) for tap, d in d_features.items()})
    loss, d = denoise_loss(image)
    return total + smoothness * loss, d_image + smoothness * d


def paint(photograph: np.ndarray, painting: np.ndarray, steps: int) -> np.ndarray:
    """Return the photograph after so many steps downhill, each shorter than the one before."""
    vgg = Vgg("vgg16-slim", TAPS)
    content = vgg.features(photograph)[TAPS[-1]]
    styles = {tap: gram(features) for tap, features in vgg.features(painting).items()}
    image = photograph.copy()
    for step in range(steps):
        total, d_image = all_losses(vgg, image, content, styles)
        step_size = 10 / 255 * 0.93**step
        image -= np.float32(step_size / d_image.std()) * d_image
        image = image.clip(0, 1)
        print(f"step {step + 1}: total loss {total:.4f}")
    return image


if __name__ == "__main__":
    photograph, painting, output, *numbers = sys.argv[1:]
    size, steps = (*map(int, numbers), *(256, 60)[len(numbers) :])
    images.save(Path(output), paint(load(photograph, size), load(painting, size), steps))
