"""Column tokens: one token per column, a line for a number and an embedding row for a category (FT-Transformer, T-JEPA)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from jepakit.modality import grid_positions
from jepakit.types import Batch, Tokens
from modalities.signals import token_std


class ColumnTokenizer(nn.Module):
    """x (b, columns) of normal scores and codes → tokens (b, columns, dim): x·w + b for numbers, a row of a table + b for
    categories, a learned vector + b where a number is missing (``extra["missing"]``)."""

    number: Tensor
    first: Tensor
    last: Tensor
    pos: Tensor

    def __init__(self, sizes: Sequence[int], dim: int) -> None:
        """sizes: codes of each column, 0 for a number."""
        super().__init__()
        size = torch.tensor(sizes)
        first = torch.cumsum(size, 0) - size
        self.register_buffer("number", size == 0, persistent=False)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("last", (size - 1).clamp_min(0), persistent=False)
        self.register_buffer("pos", grid_positions((len(sizes),)), persistent=False)
        std = token_std(1)
        self.weight = nn.Parameter(nn.init.trunc_normal_(torch.empty(len(sizes), dim), std=std))
        self.bias = nn.Parameter(nn.init.trunc_normal_(torch.empty(len(sizes), dim), std=std))
        self.absent = nn.Parameter(nn.init.trunc_normal_(torch.empty(len(sizes), dim), std=std))
        self.table = nn.Embedding(max(1, int(size.sum())), dim)
        nn.init.trunc_normal_(self.table.weight, std=std)

    def forward(self, batch: Batch) -> Tokens:
        x = batch.x
        line = x[..., None] * self.weight
        code = torch.minimum(x.long().clamp_min(0), self.last)
        # Columns of numbers read row 0 of the table, which is then not used.
        row = self.table(torch.where(self.number, 0, code + self.first))
        token = torch.where(self.number[:, None], line, row)
        gone = batch.extra.get("missing")
        if gone is not None:
            token = torch.where((gone & self.number)[..., None], self.absent, token)
        return Tokens(token + self.bias, self.pos.expand(len(x), -1, -1))


def piecewise(x: Float[Tensor, "b c"], edges: Float[Tensor, "c k"]) -> Float[Tensor, "b c k-1"]:
    """Piecewise-linear code of numbers: 1 for every bin below the value, the share of its own bin, 0 above (Gorishniy et
    al. 2022, arXiv 2203.05556, equation 1). Bins of no width are steps."""
    low, high = edges[:, :-1], edges[:, 1:]
    return ((x[..., None] - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
