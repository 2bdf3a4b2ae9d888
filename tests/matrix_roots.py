"""Newton and Schulz' steps for a square root and for its gradient, with matrices, in float64."""

import numpy as np


def root_in_steps(matrix, steps):
    """Return what so many steps make of the root of a positive ``matrix``."""
    norm = np.sqrt(np.sum(matrix**2))
    one = np.eye(len(matrix))
    y, z = matrix / norm, one
    for _ in range(steps):
        t = 1.5 * one - 0.5 * z @ y
        y, z = y @ t, t @ z
    return y * np.sqrt(norm)


def lyapunov_in_steps(root, d_root, steps):
    """Return what so many steps make of the X with ``root X + X root = d_root``.

    X is half of the upper right block of the sign of ((root, d_root), (0, -root)).
    """
    size = len(root)
    blocks = np.block([[root, d_root], [np.zeros_like(root), -root]]) / np.sqrt(np.sum(root**2))
    for _ in range(steps):
        blocks = 1.5 * blocks - 0.5 * blocks @ blocks @ blocks
    return blocks[:size, size:] / 2
