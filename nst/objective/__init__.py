"""What is minimised: content, style and smoothness of an image, alone and all together.

It knows of the network, of the kernels and of memory; nothing of runs, files or settings.
"""

from nst.objective.objective import (
    COMBINATIONS,
    Losses,
    Objective,
    Targets,
    Term,
    Weights,
    check_finite,
)
from nst.objective.style import Region

__all__ = [
    "COMBINATIONS",
    "Losses",
    "Objective",
    "Region",
    "Targets",
    "Term",
    "Weights",
    "check_finite",
]
