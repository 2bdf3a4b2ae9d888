"""The network: VGG's convolutions through ONNX Runtime, forward and backward.

vgg = Vgg("vgg16-slim", ["relu1_1", "relu3_1"])
features = vgg.forward(image)          # {"relu1_1": (32, H, W), "relu3_1": (192, H/4, W/4)}
d_image = vgg.backward({"relu3_1": d_relu3_1})
"""

from nst.vgg.runtime import Vgg

__all__ = ["Vgg"]
