"""How the image moves: normalised descent, Adam and L-BFGS.  Knows the kernels, and no network.

Each optimizer is given one evaluation at a time, ``step(image, loss, d_image)``, and changes
``image`` in place to where the next evaluation should be.  So every optimizer costs one pass
through the network a step, and the loop around them is the same and has no callback in it.
With ``bounds`` every pixel is clipped to these after a step.
"""

from nst.optimizers.first_order import Adam, NormalisedDescent
from nst.optimizers.lbfgs import Lbfgs
from nst.optimizers.optimizer import EPSILON, Optimizer
from nst.optimizers.pyramid import PyramidAdam

__all__ = ["EPSILON", "Adam", "Lbfgs", "NormalisedDescent", "Optimizer", "PyramidAdam"]
