"""Local aggregation (DMT-JEPA): a token described by the neighbours that resemble it, through attention of one query."""

from __future__ import annotations

import copy
import itertools

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.nn import Backbone, initialise, weight_std
from jepakit.schedules import Schedule
from jepakit.targets import EMA, Norm, follow
from jepakit.types import Batch, UsageError, gather


def neighbours(grid: tuple[int, ...]) -> Int[Tensor, "n o"]:
    """The cells next to each cell of a row-major grid, corners included and the cell itself excluded, as sorted indices.

    The grid wraps around; a cell that is met twice on a short axis counts once. Raises UsageError for a grid of one cell.
    """
    moves = {tuple(step % side for step, side in zip(move, grid, strict=True))
             for move in itertools.product((-1, 0, 1), repeat=len(grid))}  # fmt: skip
    moves.discard((0,) * len(grid))
    if not moves:
        raise UsageError("a grid of one token has no neighbours; use a smaller patch (more tokens)")
    cells = torch.cartesian_prod(*[torch.arange(side) for side in grid]).reshape(-1, 1, len(grid))
    near = (cells + torch.tensor(sorted(moves))) % torch.tensor(grid)
    index = torch.zeros(near.shape[:2], dtype=torch.long)
    for axis, side in enumerate(grid):
        index = index * side + near[..., axis]
    return index.sort(1).values


def most_similar(
    x: Float[Tensor, "b n d"], near: Int[Tensor, "n o"], count: int
) -> Int[Tensor, "b n {min(count,near.shape[1])}"]:
    """For every token the indices of those ``count`` of its neighbours whose cosine to it is largest, best first."""
    direction = F.normalize(x.float(), dim=-1)
    cosine = torch.stack([(direction * direction[:, near[:, i]]).sum(-1) for i in range(near.shape[1])], -1)
    best = cosine.topk(min(count, near.shape[1])).indices
    return torch.gather(near.expand(len(x), -1, -1), 2, best)


class Attend(nn.Module):
    """One pre-norm block in which a single query attends to itself and to a set of tokens; no layer scale."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.mlp_norm = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.query, self.pair, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def attended(self, query: Float[Tensor, "r d"], tokens: Float[Tensor, "r k d"]) -> Float[Tensor, "r d"]:
        """What the query reads from [query, tokens]."""
        keys = self.norm(torch.cat([query[:, None], tokens], 1))
        asked, read, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(keys[:, :1]), *self.pair(keys).chunk(2, -1))
        )
        mixed: Tensor = self.out(F.scaled_dot_product_attention(asked, read, value).transpose(1, 2).flatten(2))
        return mixed[:, 0]

    def widen(self, x: Float[Tensor, "*s d"]) -> Float[Tensor, "*s d"]:
        """The residual MLP."""
        return x + self.mlp(self.mlp_norm(x))


class LocalAggregation(nn.Module):
    """Two ``Attend`` blocks and a final affine LayerNorm, used in two ways with the same weights."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.first, self.second = Attend(dim, heads), Attend(dim, heads)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        initialise(self, weight_std(dim))

    def around(self, x: Float[Tensor, "b n d"], sets: Int[Tensor, "b n k"]) -> Float[Tensor, "b n d"]:
        """Teacher's way: one vector per token. The query is the mean token of the token's own sample, the keys are the query
        and the tokens in the set; the second block's query is the result of the first."""
        members = gather(x, sets).flatten(0, 1)
        query = x.mean(1).repeat_interleave(x.shape[1], 0)  # rows of a sample stand together: (b·n, d)
        for block in (self.first, self.second):
            query = block.widen(query + block.attended(query, members))
        out: Tensor = self.norm(query)
        return out.unflatten(0, x.shape[:2])

    def forward(self, x: Float[Tensor, "b k d"]) -> Float[Tensor, "b k d"]:
        """Student's way: what the mean token reads from all tokens is added to every one of them."""
        for block in (self.first, self.second):
            x = block.widen(x + block.attended(x.mean(1), x)[:, None])
        out: Tensor = self.norm(x)
        return out


class Aggregated(EMA):
    """Targets of DMT-JEPA: the EMA teacher's normed tokens, each replaced by what an EMA copy of the head makes of the
    neighbours that resemble it."""

    near: Tensor

    def __init__(
        self,
        student: Backbone,
        head: LocalAggregation,
        grid: tuple[int, ...],
        momentum: Schedule,
        *,
        similar: int,
        norm: Norm | None = None,
    ) -> None:
        """``similar``: size of a token's set; the others as in EMA."""
        super().__init__(student, momentum, norm=norm)
        self.head = copy.deepcopy(head).requires_grad_(False)
        self._student_head = (head,)  # in a tuple, like the student
        self.similar = similar
        self.register_buffer("near", neighbours(grid), persistent=False)

    def compute(self, batch: Batch) -> Float[Tensor, "b n e"]:
        x = super().compute(batch)
        return self.head.around(x, most_similar(x, self.near, self.similar))

    def update(self, progress: float) -> None:
        super().update(progress)
        follow(self.head, self._student_head[0], self.momentum(progress))
