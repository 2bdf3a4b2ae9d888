"""One lesson: how far the student's features are from telling the teacher's."""

from typing import Any, TypeAlias

import torch
from torch import Tensor

Cells: TypeAlias = tuple[slice, slice]  # rows and columns


class MappedError(torch.autograd.Function):
    """The mean of (W x - scale t)^2 over all features: of x, mapped linearly, from t, scaled.

    The same as four lines of PyTorch, in a third of the time: the lessons have many more channels
    than the student, so that every pass over them counts.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, target: Tensor, scale: float, cells: Cells
    ) -> Tensor:
        """Return a float32 scalar; x: (N, S, H, W), weight: (T, S), target: (N, T, H, W).

        cells: which rows and columns count.
        """
        weight, rows = weight.to(x.dtype), _rows(x, cells)
        rest = torch.addmm(_rows(target, cells), rows, weight.T, beta=-scale)
        ctx.save_for_backward(x, rows, weight, rest)
        ctx.cells = cells
        return torch.linalg.vector_norm(rest, dtype=torch.float32).square() / rest.numel()

    @staticmethod
    def backward(ctx: Any, d_error: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Return the gradients at x and weight."""
        x, rows, weight, rest = ctx.saved_tensors
        slope = 2 * d_error / rest.numel()
        d_rows = rest @ (slope * weight).to(x.dtype)
        d_x = torch.zeros_like(x)
        there = d_x.permute(0, 2, 3, 1)[:, *ctx.cells]
        there.copy_(d_rows.view(there.shape))
        return d_x, slope * (rest.T @ rows), None, None, None


def _rows(features: Tensor, cells: Cells) -> Tensor:
    """Return (N H W, C) of (N, C, H, W), of some of its rows and columns."""
    return features.permute(0, 2, 3, 1)[:, *cells].flatten(0, 2)
