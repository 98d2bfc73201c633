"""What is every point network built of? One dense layer with batch norm, on rows of any leading shape."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class DenseNorm(nn.Module):
    """Linear, batch norm over all rows, leaky ReLU (slope 0 is ReLU).

    Works on (..., C): rows stay contiguous, so that VAFP can gather them.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool = False, slope: float = 0.0) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=bias)
        self.norm = nn.BatchNorm1d(outputs)
        self.slope = slope

    def forward(self, x: Float[Tensor, "*rows C"]) -> Float[Tensor, "*rows D"]:
        rows = self.norm(self.linear(x).flatten(0, -2))
        activated = F.leaky_relu(rows, self.slope) if self.slope else F.relu(rows)
        return activated.view(*x.shape[:-1], -1)
