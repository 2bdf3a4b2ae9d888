"""What is minimised: content, style, smoothness and in a film the temporal loss of an image.

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
from nst.objective.temporal import Warped

__all__ = [
    "COMBINATIONS",
    "Losses",
    "Objective",
    "Region",
    "Targets",
    "Term",
    "Warped",
    "Weights",
    "check_finite",
]
