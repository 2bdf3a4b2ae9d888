"""How vgg16-slim is taught: one reason a file.

``student`` is the network that learns, ``teachers`` are those it learns from, ``lessons`` says
what is taught in which stage, and ``crops`` are what both look at.  ``training`` brings the four
together, ``files`` keeps what comes of it, and ``judging`` paints with it to see how good it is.

Images are (N, 3, H, W), RGB in [0, 1]; a picture in memory is (3, H, W) uint8.
"""

from typing import TypeAlias

from torch import Tensor

Features: TypeAlias = dict[str, Tensor]  # a layer's name -> (N, C, H, W)
