"""Run style-transfer-pytorch on a VGG16, and keep each picture that it saves.

    python vgg16_as_vgg19.py CHECKOUT MODEL.pth CONTENT STYLE [its own options]

The program asks torchvision for a VGG19.  It is given one of VGG16's weights, whose fourth
convolutions of blocks 3, 4 and 5 hand on what they get.  A process of its own, for `peers`.
"""

import sys
from itertools import count
from pathlib import Path

CHANNELS = 64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, *[512] * 4, 0, *[512] * 4, 0  # 0: a pool
FOURTH = 16, 25, 34  # places of the convolutions that VGG16 has not


def main() -> None:
    """Paint, each picture in a file of its own in the current folder."""
    program, checkout, model, *words = sys.argv
    sys.argv, sys.path[0] = [program, *words], checkout
    import torch
    from style_transfer import cli
    from torchvision import models

    def vgg19(**_: object) -> torch.nn.Module:
        network = torch.nn.Module()
        network.features = torch.nn.Sequential(*layers(torch.nn))
        network.load_state_dict(torch.load(model))
        return network

    models.vgg19 = vgg19
    save, number = cli.save_image, count()
    cli.save_image = lambda path, image: save(f"{Path(path).stem}-{next(number):06}.png", image)
    cli.main()


def layers(nn):
    """Yield VGG19's layers up to its last pool, those that VGG16 has not doing nothing."""
    width, place = 3, 0
    for channels in CHANNELS:
        if not channels:
            yield nn.MaxPool2d(2)
            place += 1
            continue
        missing = place in FOURTH
        yield nn.Identity() if missing else nn.Conv2d(width, channels, 3, padding=1)
        yield nn.Identity() if missing else nn.ReLU(inplace=False)
        width, place = channels, place + 2


if __name__ == "__main__":
    main()
