"""The painters of the demo's style pictures: one school a file, and the paint box they share.

Schools: ``oil``, ``glass``, ``woodblock`` and ``pointillism``; each has one painter,
``paint(rng, height, width)``, which returns the picture.  Shared: ``paintbox``
(colours, noise, blur, light), ``shapes`` (lines and polygons), ``flow`` (the way a
brush goes) and ``strokes`` (the wet paint it leaves).

Units: a position is (row, column) in heights of the picture, so that row 1 is
the lower edge and a painting keeps its composition at any size.  A colour is
RGB in [0, 1]; a picture is (H, W, 3) float32.  All luck comes from one ``Random``,
drawn from in a fixed order, so that one seed is one picture.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

Random: TypeAlias = np.random.Generator
Painter: TypeAlias = Callable[[Random, int, int], np.ndarray]  # (rng, height, width) -> picture
