"""CrossPredictor: queries read from the visible tokens and never from each other."""

from __future__ import annotations

import math
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.nn import Predictor, initialise, weight_std
from jepakit.types import Tokens


class Crossing(nn.Module):
    """One pre-norm block: each query attends to a memory, then the residual MLP."""

    def __init__(self, width: int, heads: int, *, bias: bool, depth: int) -> None:
        """``depth``: in the std .02/√(2·depth) of the residual output projections."""
        super().__init__()
        self.heads = heads
        self.norm, self.memory_norm, self.mlp_norm = (nn.LayerNorm(width, eps=1e-6, bias=bias) for _ in range(3))
        self.query, self.pair = nn.Linear(width, width, bias=bias), nn.Linear(width, 2 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        self.widen, self.narrow = nn.Linear(width, 4 * width, bias=bias), nn.Linear(4 * width, width, bias=bias)
        initialise(self, weight_std(width))
        for layer in (self.out, self.narrow):
            nn.init.trunc_normal_(layer.weight, std=weight_std(width) / math.sqrt(2 * depth))

    def forward(
        self, x: Float[Tensor, "r q w"], memory: Float[Tensor, "r k w"], allowed: Bool[Tensor, "r 1 1 k"] | None
    ) -> Float[Tensor, "r q w"]:
        """``allowed``: True where a memory token is real."""
        asked, read, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(self.norm(x)), *self.pair(self.memory_norm(memory)).chunk(2, -1))
        )
        mixed = F.scaled_dot_product_attention(asked, read, value, attn_mask=allowed)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.widen(self.mlp_norm(x))))


class CrossPredictor(Predictor):
    """The predictor by cross-attention alone: queries are the mask token and its position, memory the visible tokens.

    What is asked for in one place therefore never changes the answer in another, and cost is linear in the queries.
    """

    def __init__(
        self, dim: int, width: int, depth: int, heads: int, *, out: int | None = None, bias: bool = False, **more: Any
    ) -> None:
        super().__init__(dim, width, 0, heads, out=out, bias=bias, **more)  # its transformer keeps the last norm only
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of {heads} heads")
        self.blocks = nn.ModuleList(Crossing(width, heads, bias=bias, depth=depth) for _ in range(depth))

    def forward(self, context: Tokens, query: Float[Tensor, "b m t q p"]) -> Float[Tensor, "b m t q e"]:
        flat = query.flatten(0, 1).flatten(1, 2)  # b·m, t·q: groups need no pass of their own
        memory = self.inward(context.x)
        memory = memory + self.code(context.pos, self.width).to(memory.dtype)
        x = self.mask_token.to(memory.dtype) + self.code(flat, self.width).to(memory.dtype)
        allowed = None if context.valid is None else context.valid[:, None, None, :]
        for block in self.blocks:
            x = block(x, memory, allowed)
        return self.outward(self.transformer.norm(x)).unflatten(1, query.shape[2:4]).unflatten(0, query.shape[:2])
