"""Tables: what methods for rows of columns ask of a modality; heads and losses over numbers and categories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.modality import Modality
from jepakit.nn import Backbone, Embedder, initialise, weight_std
from jepakit.processes import terms
from jepakit.types import Batch, Tokens, UsageError


@runtime_checkable
class Tabular(Protocol):
    """A modality of tables: one token per column, ``Batch.x`` (b, columns) of numbers and codes.

    sizes: codes of each column, 0 for a number; ``corrupted`` takes the columns at ``hit`` from the marginal distribution
    of train; ``missing``: where nothing was written.
    """

    sizes: tuple[int, ...]

    def corrupted(self, batch: Batch, hit: Bool[Tensor, "b n"]) -> Batch: ...

    def missing(self, batch: Batch) -> Bool[Tensor, "b n"]: ...


def table_of(modality: Modality) -> Tabular:
    """``modality`` as what it says of columns. Raises UsageError for one that has no columns of numbers and categories."""
    if not isinstance(modality, Tabular):
        raise UsageError(
            f"{modality.name}/{modality.dataset} is no table of numbers and categories; "
            "use this method on a tabular data set"
        )
    return modality


def some(shape: torch.Size, count: int, device: torch.device) -> Bool[Tensor, "b n"]:
    """Exactly ``count`` columns of every row, drawn uniformly."""
    return torch.rand(shape, device=device).argsort(1).argsort(1) < count


class ColumnLoss(nn.Module):
    """How far outputs (b, columns, width) are from a row: squared error of numbers, cross-entropy of categories.

    The mean over the columns that are asked for. ``width`` is the most codes of a column (1 where all are numbers).
    """

    number: Tensor
    beyond: Tensor

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.width = max(1, *sizes)
        size = torch.tensor(sizes)
        self.register_buffer("number", size == 0, persistent=False)
        # Outputs beyond a column's own codes are no answer.
        self.register_buffer("beyond", torch.arange(self.width) >= size.clamp_min(1)[:, None], persistent=False)

    def forward(
        self, out: Float[Tensor, "b n w"], wanted: Float[Tensor, "b n"], asked: Bool[Tensor, "b n"]
    ) -> Float[Tensor, ""]:
        error = (out[..., 0] - wanted).square()
        logits = out.masked_fill(self.beyond, float("-inf")).float()
        code: Int[Tensor, "b n"] = torch.where(self.number, 0, wanted.long().clamp(0, self.width - 1))
        surprise = F.cross_entropy(logits.flatten(0, 1), code.flatten(), reduction="none").view_as(error)
        each = torch.where(self.number, error, surprise)
        return (each * asked).sum() / terms(asked)


class TokenHeads(nn.Module):
    """One linear map for each column, from its own token: (b, n, d) → (b, n, width)."""

    def __init__(self, columns: int, dim: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.trunc_normal_(torch.empty(columns, width, dim), std=weight_std(dim)))
        self.bias = nn.Parameter(torch.zeros(columns, width))

    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n w"]:
        return torch.einsum("bnd,nwd->bnw", tokens, self.weight) + self.bias


class RowHeads(nn.Module):
    """All columns from the embedding of a row, behind one hidden layer: (b, d) → (b, n, width)."""

    def __init__(self, columns: int, dim: int, width: int) -> None:
        super().__init__()
        self.shape = (columns, width)
        self.layers = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, columns * width))
        initialise(self, weight_std(dim))

    def forward(self, row: Float[Tensor, "b d"]) -> Float[Tensor, "b n w"]:
        out: Tensor = self.layers(row)
        return out.unflatten(1, self.shape)


def groups(columns: int, overlap: float, count: int = 4) -> list[tuple[int, int]]:
    """First column and the one after the last of ``count`` groups of successive columns, each as wide as its share of them
    and ``overlap`` of that; spread evenly from the first column to the last."""
    width = math.ceil(columns / count)
    wide = width + int(overlap * width)
    starts = [round(k * (columns - wide) / (count - 1)) for k in range(count)]
    return [(start, start + wide) for start in starts]


class Grouped(Embedder):
    """An encoder that sees groups of columns one by one."""

    def __init__(self, backbone: Backbone, spans: list[tuple[int, int]]) -> None:
        super().__init__()
        self.backbone, self.spans, self.dim = backbone, spans, backbone.dim

    def tokens(self, batch: Batch) -> Tokens:
        return self.backbone.tokens(batch)

    def each(self, batch: Batch) -> list[Float[Tensor, "b d"]]:
        """The embedding of every group."""
        tokens = self.backbone.tokenize(batch)
        return [self.backbone.encode(Tokens(tokens.x[:, a:b], tokens.pos[:, a:b])).mean() for a, b in self.spans]

    def embed(self, batch: Batch) -> Float[Tensor, "b d"]:
        return torch.stack(self.each(batch)).mean(0)
