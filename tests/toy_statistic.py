"""A statistic in one short file, to see that it takes no more: the mean of each channel."""

from dataclasses import dataclass

import numpy as np

from nst import kernels
from nst.objective.relative import mean_square
from nst.objective.styles.sums import TINY_AREA, StyleSums, SumStyle, area_of


@dataclass(frozen=True)
class MeanStyle(SumStyle):
    mean: np.ndarray  # (C,), or CuPy's
    knobs = ()

    @classmethod
    def of(cls, sums, recipe):
        return cls((sums.sums / max(sums.area, TINY_AREA)).astype(np.float32))

    @staticmethod
    def measure(features, mask=None):
        weighed = features if mask is None else features * mask.pixels
        return StyleSums(weighed.sum((1, 2), dtype=np.float64), area_of(features, mask))

    def compare(self, sums):
        k, area = kernels.of(self.mean), max(sums.area, TINY_AREA)
        mean = (sums.sums / area).astype(self.mean.dtype)
        return k.mse(mean, self.mean), k.mse_backward(mean, self.mean) / area

    def spread(self, d_sums, features, mask=None, out=None, add=False):
        pull = d_sums.astype(features.dtype)[:, None, None]
        out = features.copy() if out is None else out
        out[...] = out * add + (pull if mask is None else pull * mask.pixels)
        return out

    def mean_square(self):
        return mean_square(self.mean[None])
