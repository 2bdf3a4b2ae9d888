"""Where official weights are published: one table, in the order in which they are tried."""

from dataclasses import dataclass

from nst.vgg.weights import IMAGENET_MEAN, IMAGENET_STD


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects: ``(scale * image - mean) / std``, its channels in ``order``."""

    order: str  # "RGB" or "BGR"
    scale: float  # the image's white: 1 or 255
    mean: tuple[float, ...]  # in that order and on that scale
    std: tuple[float, ...]


CAFFE = Preprocessing("BGR", 255, (103.939, 116.779, 123.68), (1, 1, 1))
TORCHVISION = Preprocessing("RGB", 1, IMAGENET_MEAN, IMAGENET_STD)


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

    @property
    def suffix(self) -> str:
        """The file's format, as `formats` knows it: ``.h5``, ``.safetensors`` or ``.onnx``."""
        return "." + self.url.rsplit(".", 1)[1]


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
    ),
    Source(
        "vgg16",
        f"{_KERAS_BEFORE_2019}/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        58_889_256,
        "md5:6d6bbae143d832006294945121d1f1fc",
        "keras-team/keras-applications, keras_applications/vgg16.py",
        _OXFORD,
        CAFFE,
    ),
    Source(
        "vgg16",
        "https://huggingface.co/timm/vgg16.tv_in1k/resolve/"
        "b8d8aa2dd860af9233c8c67385a8097fd6c35d3f/model.safetensors",
        58_858_752,  # 14,714,688 weights and biases of 553 MB; no checksum of these alone is known
        "sha256:57b026918159a6bf9faf8405c3a551903768e7138989d9c6224a14227203fad8",
        "huggingface.co/timm/vgg16.tv_in1k/blob/main/model.safetensors",
        "BSD-3-Clause, torchvision",
        TORCHVISION,
        only_convolutions=True,
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
        "vgg19",
        f"{_KERAS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        80_134_624,
        "md5:253f8cb515780f3b799900260a226db6",
        "keras-team/keras, keras/src/applications/vgg19.py",
        _OXFORD,
        CAFFE,
    ),
    Source(
        "vgg19",
        f"{_KERAS_BEFORE_2019}/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        80_134_624,
        "md5:253f8cb515780f3b799900260a226db6",
        "keras-team/keras-applications, keras_applications/vgg19.py",
        _OXFORD,
        CAFFE,
    ),
)


def of(model: str) -> list[Source]:
    """Return the sources of ``model`` in the order to try; none for what nobody publishes."""
    return [source for source in SOURCES if source.model == model]
