"""How vgg16-slim is taught: one reason a file.

``student`` is the network that learns, ``teacher`` the one it learns from, ``lesson`` says how far
the one is from the other, and ``crops`` are what both look at.  ``training`` brings the four
together, ``files`` keeps what comes of it, and ``judging`` paints with it to see how good it is.

Images are (N, 3, H, W), RGB in [0, 1]; a picture in memory is (3, H, W) uint8.
"""

from typing import TypeAlias

from torch import Tensor

Features: TypeAlias = dict[str, Tensor]  # a layer's name -> (N, C, H, W)
