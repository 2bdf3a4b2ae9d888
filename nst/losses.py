"""The losses, each -> (loss, gradient), under one roof: see nst/objective/."""

from nst.kernels import Array
from nst.objective import style
from nst.objective.content import content_loss
from nst.objective.edges import edges_loss
from nst.objective.smoothness import smoothness_loss
from nst.objective.styles.gram import GramStyle
from nst.objective.temporal import temporal_loss

__all__ = ["content_loss", "edges_loss", "smoothness_loss", "style_loss", "temporal_loss"]


def style_loss(
    features: Array, target_gram: Array, normalization: str = "HW"
) -> tuple[Array, Array]:
    """Return ``(loss, d_features)`` for taking a plain Gram matrix (C, C) of a painting.

    Parameters
    ----------
    features : (C, H, W) float array
        Activations of one layer, of the painted image.
    target_gram : (C, C) float array
        The painting's, of the same layer; the painting may have any size.
    normalization : "HW", "CHW" or "none"
        What the sum over pixels was divided by: Gatys' notebook, Johnson's neural-style, Hvass.

    Returns
    -------
    loss : 0-d float array
        ``mean((gram(features) - target_gram)**2)``, over the C * C entries.
    d_features : (C, H, W) float array
        Its gradient.
    """
    return style.style_loss(features, GramStyle(target_gram, normalization))
