"""Flow fields: which way the brush goes at every pixel, and the paths that follow it.

A flow is unit vectors (H, W, 2), (row, column); a path is in pixels.
"""

import numpy as np


def along_contours(field: np.ndarray) -> np.ndarray:
    """Return unit vectors (H, W, 2) along the contour lines of ``field``.

    A contour runs at right angles to the gradient, so the flow has no sources:
    peaks and pits become vortices.
    """
    d_row, d_column = np.gradient(field)
    flow = np.stack([-d_column, d_row], axis=-1)
    return (flow / (np.linalg.norm(flow, axis=-1, keepdims=True) + 1e-12)).astype(np.float32)


def trace(flow: np.ndarray, starts: np.ndarray, length: float, steps: int = 14) -> np.ndarray:
    """Return paths (N, steps, 2) in pixels that follow ``flow`` from ``starts`` (N, 2)."""
    limits = np.array(flow.shape[:2]) - 1
    path = [starts.astype(np.float32)]
    for _ in range(steps - 1):
        row, column = np.clip(path[-1], 0, limits).astype(np.int32).T
        path.append(path[-1] + flow[row, column] * (length / (steps - 1)))
    return np.stack(path, axis=1)


def smear(image: np.ndarray, flow: np.ndarray, length: float, steps: int = 24) -> np.ndarray:
    """Return ``image`` (H, W) averaged along the flow (line integral convolution)."""
    height, width = image.shape
    starts = np.indices((height, width)).reshape(2, -1).T
    total = np.zeros(height * width, np.float32)
    for way in (1, -1):
        path = trace(way * flow, starts, length / 2, steps)
        rows = np.clip(path[..., 0], 0, height - 1).astype(np.int32)
        columns = np.clip(path[..., 1], 0, width - 1).astype(np.int32)
        total += image[rows, columns].mean(axis=1)
    return total.reshape(height, width) / 2
