"""Rotary positions on grids of any number of axes (V-JEPA 2): every block turns queries and keys, nothing is added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from timm.layers.attention import AttentionRope
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from jepakit.mask_sets import SetPredictor
from jepakit.nn import Backbone, Transformer
from jepakit.types import UsageError

Pairing = Literal["released", "corrected"]


def part(head: int, axes: int) -> int:
    """Dims of a head that each of ``axes`` turns: equal, even parts; what is left over stays as it is."""
    return 2 * (head // axes // 2)


def enough(width: int, heads: int, axes: int) -> int:
    """The largest number of heads, ``heads`` at most, of which each has a pair of dims for every axis.

    Raises UsageError where a single head has not.
    """
    for count in range(heads, 0, -1):
        if width % count == 0 and part(width // count, axes):
            return count
    raise UsageError(
        f"rotary positions on {axes} axes need a width of {2 * axes} or more, not {width}; use a larger size.dim and "
        "size.predictor_dim"
    )


@dataclass(frozen=True)
class Angles:
    """Coordinates → the angle by which each dim of a head is turned (to be used as a position code at every block).

    Axis a turns the a-th part of the head, dims (2j, 2j + 1) of the part together, by the coordinate times 10000^(−2j/part):
    ``corrected``. The release of V-JEPA 2 gives dim i of the part the frequency of number i modulo half the part, so that
    the two dims of a pair have different angles, and a shift of all positions is not without effect: ``released``.
    """

    heads: int
    pairing: Pairing = "released"

    def __call__(self, pos: Float[Tensor, "*s p"], dim: int) -> Float[Tensor, "*s head"]:
        head = dim // self.heads
        width = part(head, pos.shape[-1])
        omega = 10000 ** (-torch.arange(width // 2, dtype=torch.float32, device=pos.device) * 2 / width)
        omega = omega.repeat(2) if self.pairing == "released" else omega.repeat_interleave(2)
        angle = (pos.float()[..., None] * omega).flatten(-2)
        return nn.functional.pad(angle, (0, head - angle.shape[-1]))


class RotaryTransformer(Transformer):
    """The house transformer with timm's rotary attention in its blocks, initial weights included."""

    def __init__(self, dim: int, depth: int, heads: int, *, bias: bool, **more: Any) -> None:
        super().__init__(dim, depth, heads, bias=bias, **more)
        for block in self.of_timm():
            attention = AttentionRope(dim, heads, qkv_bias=bias, proj_bias=bias, num_prefix_tokens=0)
            attention.load_state_dict(block.attn.state_dict())
            block.attn = attention

    def of_timm(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def hidden(
        self,
        x: Float[Tensor, "b n d"],
        *,
        last: int = 1,
        every: Float[Tensor, "b n head"] | None = None,
        allowed: Bool[Tensor, "b #n n"] | None = None,
    ) -> list[Float[Tensor, "b n d"]]:
        """As in Transformer, ``every`` being the angles of each token; a register's are 0."""
        turned = None if every is None else torch.cat([every.sin(), every.cos()], -1)[:, None]
        mask = None if allowed is None else allowed[:, None]
        outputs = []
        for depth, block in enumerate(self.of_timm()):
            x = x + block.drop_path1(block.attn(block.norm1(x), rope=turned, attn_mask=mask))
            x = x + block.drop_path2(block.mlp(block.norm2(x)))
            if depth >= len(self.blocks) - last:
                outputs.append(x)
        return outputs


class RotaryBackbone(Backbone):
    """The house encoder with rotary positions: ``heads`` at most, see ``enough``."""

    def __init__(
        self, tokenizer: nn.Module, dim: int, depth: int, heads: int, *, axes: int, pairing: Pairing, **more: Any
    ) -> None:
        heads = enough(dim, heads, axes)
        super().__init__(tokenizer, dim, depth, heads, code=Angles(heads, pairing), every=True, **more)
        self.transformer = RotaryTransformer(dim, depth, heads, bias=more.get("bias", False))


class RotaryPredictor(SetPredictor):
    """The house predictor with rotary positions: mask tokens differ by their angles alone."""

    def __init__(
        self, dim: int, width: int, depth: int, heads: int, *, axes: int, pairing: Pairing, **more: Any
    ) -> None:
        heads = enough(width, heads, axes)
        super().__init__(dim, width, depth, heads, code=Angles(heads, pairing), every=True, **more)
        self.transformer = RotaryTransformer(
            width, depth, heads, bias=more.get("bias", False), init_depth=more.get("init_depth")
        )
