"""The three losses, each -> (loss, gradient), under one roof: see nst/objective/."""

from nst.kernels import Array
from nst.objective import style
from nst.objective.content import content_loss
from nst.objective.smoothness import smoothness_loss
from nst.objective.styles.gram import GramStyle

__all__ = ["content_loss", "smoothness_loss", "style_loss"]


def style_loss(
    features: Array, target_gram: Array, normalization: str = "HW"
) -> tuple[Array, Array]:
    """Return ``(loss, d_features)`` for taking a plain Gram matrix (C, C) of a painting.

    ``normalization`` says what the sum over pixels was divided by: "HW" (Gatys' notebook), "CHW"
    (Johnson's neural-style) or "none" (Hvass).
    """
    return style.style_loss(features, GramStyle(target_gram, normalization))
