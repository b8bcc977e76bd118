"""Columns: T-JEPA's context and target sets of columns, as meant and as released, and its position code."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from jepakit.masking import Masker, uniform
from jepakit.types import Batch, Split, Tokens, UsageError

Range = tuple[float, float]


def base_hundred(pos: Float[Tensor, "*s p"], dim: int) -> Float[Tensor, "*s {dim}"]:
    """Sines and cosines of the first coordinate, interleaved, base 100."""
    omega = 100 ** (-torch.arange(0, dim, 2, dtype=torch.float32, device=pos.device) / dim)
    angle = pos[..., :1].float() * omega
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)[..., :dim]


class ColumnSets(Masker):
    """A context and ``sets`` target sets of columns, drawn for every row; targets overlap each other, never the context.

    context, target: ranges of the share of the columns. Sizes are least + round((most − least)·U), drawn once a batch and
    again while the two together exceed the columns.
    """

    def __init__(self, grid: tuple[int, ...], context: Range, target: Range, *, sets: int = 4) -> None:
        """Raises UsageError where no draw fits."""
        super().__init__(grid)
        self.sets = sets
        self.context, self.target = (self.counts(shares) for shares in (context, target))
        if self.context[0] + self.target[0] > self.count:
            raise UsageError(
                f"a context of {context[0]:.0%} and targets of {target[0]:.0%} do not fit {self.count} columns; use smaller "
                "shares"
            )

    def counts(self, shares: Range) -> tuple[int, int]:
        """Fewest and most columns."""
        least, most = (max(1, round(share * self.count)) for share in shares)
        return least, max(least, most)

    def draw(self) -> tuple[int, int]:
        """Sizes of context and target sets of a batch."""
        while True:
            seen, asked = (a + round((b - a) * uniform(0.0, 1.0)) for a, b in (self.context, self.target))
            if seen + asked <= self.count:
                return seen, asked

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        seen, asked = self.draw()
        rows, device = len(tokens.x), tokens.x.device
        order = torch.rand(rows, self.count, device=device).argsort(1)
        rest = order[:, None, seen:].expand(-1, self.sets, -1)
        shuffled = rest.gather(2, torch.rand(rest.shape, device=device).argsort(2))
        return Split(order[:, None, :seen].sort(-1).values, shuffled[:, None, :, :asked].sort(-1).values)


class ReleasedSets(ColumnSets):
    """The released sampler: four equal target sets. On tokens [REG, column 1 … column D] its indices 0 … D − 1 take the
    regularisation token for a column and never reach the last one."""

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        split = super().forward(tokens, target, progress)
        return Split(split.context, split.target[:, :, :1].expand(-1, -1, self.sets, -1))


class WithToken(nn.Module):
    """A tokenizer whose rows begin with one learned token, at place 0; columns follow from place 1."""

    def __init__(self, inner: nn.Module, dim: int) -> None:
        super().__init__()
        self.inner, self.token = inner, nn.Parameter(nn.init.trunc_normal_(torch.empty(dim), std=0.02))

    def forward(self, batch: Batch) -> Tokens:
        tokens: Tokens = self.inner(batch)
        first = self.token.to(tokens.x.dtype).expand(len(tokens.x), 1, -1)
        place = torch.cat([torch.zeros_like(tokens.pos[:, :1]), tokens.pos + 1], 1)
        return Tokens(torch.cat([first, tokens.x], 1), place)
