"""Backbone and Predictor over timm's transformer blocks, and the sine-cosine position codes.

The house encoder is the bias-free pre-norm ViT of ECG-JEPA (Weimann & Conrad): every row of a board uses it, so that rows
differ by their objective alone. Hidden tokens are dropped *before* the first block, never masked inside it.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from jepakit.types import Batch, Tokens

PositionCode = Callable[[Float[Tensor, "*s p"], int], Float[Tensor, "*s d"]]
AttentionRule = Callable[[Float[Tensor, "b n p"]], Bool[Tensor, "b n n"]]


def sincos(pos: Float[Tensor, "*s p"], dim: int, *, interleaved: bool = False) -> Float[Tensor, "*s {dim}"]:
    """Fixed sine-cosine code of coordinates, base 10000.

    ``interleaved=False``: per axis all sines, then all cosines (MAE, I-JEPA); True: even dims sine, odd dims cosine
    (ECG-JEPA). Every axis gets 2·⌈dim/2p⌉ dims and the excess is cut off the end. Two axes are encoded last axis first
    (column before row, as in MAE and I-JEPA; time before lead for channel tokens), any other number in order.

    Raises ValueError for an odd ``dim``.
    """
    if dim % 2:
        raise ValueError(f"a sine-cosine code needs an even width, got {dim}")
    axes = pos.shape[-1]
    half = math.ceil(dim / (2 * axes))
    omega = 10000 ** (-torch.arange(half, dtype=torch.float32, device=pos.device) / half)
    codes = []
    for axis in reversed(range(axes)) if axes == 2 else range(axes):
        angle = pos[..., axis, None].float() * omega
        pair = (angle.sin(), angle.cos())
        codes.append(torch.stack(pair, -1).flatten(-2) if interleaved else torch.cat(pair, -1))
    return torch.cat(codes, -1)[..., :dim]


interleaved = partial(sincos, interleaved=True)


def weight_std(width: int) -> float:
    """Standard deviation of initial weights: the papers' .02 from width 192 (their smallest) upwards, proportionally more
    below, where a start at .02 would spend the warm-up of a short run on growing out of it."""
    return 0.02 * max(1.0, 192 / width)


def initialise(module: nn.Module, std: float) -> None:
    """Truncated-normal weights for every Linear and Conv of ``module``, zero biases."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            nn.init.trunc_normal_(part.weight, std=std)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class Transformer(nn.Module):
    """timm's pre-norm blocks in a row, with optional additive positions at every block and an attention rule."""

    def __init__(
        self, dim: int, depth: int, heads: int, *, bias: bool, drop_path: float = 0.0, init_depth: int | None = None
    ) -> None:
        """``init_depth``: the depth in the std .02/√(2·depth) of the residual output projections (default: ``depth``)."""
        super().__init__()
        if dim % heads:
            raise ValueError(f"width {dim} is not a multiple of {heads} heads")
        norm: Any = partial(nn.LayerNorm, eps=1e-6, bias=bias)
        rates = [drop_path * i / max(1, depth - 1) for i in range(depth)]
        self.blocks = nn.ModuleList(
            Block(dim, heads, qkv_bias=bias, proj_bias=bias, norm_layer=norm, drop_path=rate) for rate in rates
        )
        self.norm = norm(dim)
        std = weight_std(dim)
        initialise(self, std)
        for name, projection in self.blocks.named_modules():
            if name.endswith(("attn.proj", "mlp.fc2")) and isinstance(projection, nn.Linear):
                nn.init.trunc_normal_(projection.weight, std=std / math.sqrt(2 * (init_depth or depth)))

    def hidden(
        self,
        x: Float[Tensor, "b n d"],
        *,
        last: int = 1,
        every: Float[Tensor, "b n d"] | None = None,
        allowed: Bool[Tensor, "b #n n"] | None = None,
    ) -> list[Float[Tensor, "b n d"]]:
        """Outputs of the ``last`` blocks before the final norm. ``every`` is added to each block's input; ``allowed``
        is True where a query (second axis) may see a key (last axis)."""
        mask = None if allowed is None else allowed[:, None]
        outputs = []
        for depth, block in enumerate(self.blocks):
            x = block(x if every is None else x + every, attn_mask=mask)
            if depth >= len(self.blocks) - last:
                outputs.append(x)
        return outputs


class Embedder(nn.Module, ABC):
    """Anything that turns a Batch into token features: what is probed and shipped."""

    dim: int

    @abstractmethod
    def tokens(self, batch: Batch) -> Tokens:
        """Token features after the last layer."""

    def embed(self, batch: Batch) -> Float[Tensor, "b d"]:
        """One vector per sample: the mean over its valid tokens."""
        return self.tokens(batch).mean()


class Backbone(Embedder):
    """Tokenizer + positions + transformer.

    registers: learned vectors prepended to every sequence and removed from the output; code: the position code;
    every: add positions at every block instead of once; attention: which token may see which, from their coordinates.
    """

    def __init__(
        self,
        tokenizer: nn.Module,
        dim: int,
        depth: int,
        heads: int,
        *,
        registers: int = 1,
        bias: bool = False,
        code: PositionCode = interleaved,
        every: bool = False,
        attention: AttentionRule | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if registers and attention is not None:
            raise ValueError("registers have no coordinates, so an attention rule cannot place them; use registers=0")
        self.dim = dim
        self.tokenizer = tokenizer
        self.transformer = Transformer(dim, depth, heads, bias=bias, drop_path=drop_path)
        # One vector per register, each a 1-D parameter: it must never be weight-decayed.
        self.registers = nn.ParameterList(nn.init.trunc_normal_(torch.empty(dim), std=0.02) for _ in range(registers))
        self.code = code
        self.every = every
        self.attention = attention

    def tokenize(self, batch: Batch) -> Tokens:
        """All tokens of the input; with their position code added unless it is added at every block."""
        tokens: Tokens = self.tokenizer(batch)
        if self.every:
            return tokens
        return Tokens(tokens.x + self.code(tokens.pos, self.dim), tokens.pos, tokens.valid)

    def hidden(self, tokens: Tokens, last: int = 1) -> list[Float[Tensor, "b n d"]]:
        """Outputs of the ``last`` blocks on the given tokens only, before the final norm, without registers."""
        x, extra = tokens.x, len(self.registers)
        every = self.code(tokens.pos, self.dim) if self.every else None
        allowed = None if self.attention is None else self.attention(tokens.pos)
        if tokens.valid is not None:
            real = tokens.valid[:, None, :]
            allowed = real if allowed is None else allowed & real
        if extra:
            vectors = torch.stack(list(self.registers)).expand(len(x), -1, -1)
            x = torch.cat([vectors.to(x.dtype), x], 1)
            if every is not None:
                every = nn.functional.pad(every, (0, 0, extra, 0))
            if allowed is not None:
                allowed = nn.functional.pad(allowed, (extra, 0), value=True)
        return [h[:, extra:] for h in self.transformer.hidden(x, last=last, every=every, allowed=allowed)]

    def encode(self, tokens: Tokens) -> Tokens:
        """The transformer on the given tokens only (drop hidden ones first), after the final norm."""
        return Tokens(self.transformer.norm(self.hidden(tokens)[0]), tokens.pos, tokens.valid)

    def tokens(self, batch: Batch) -> Tokens:
        return self.encode(self.tokenize(batch))

    forward = tokens


class Predictor(nn.Module):
    """A narrow transformer that predicts target features at queried positions from the context (self-attention on
    [context; mask tokens], one sequence per target group, so that groups cannot see each other)."""

    def __init__(
        self,
        dim: int,
        width: int,
        depth: int,
        heads: int,
        *,
        out: int | None = None,
        bias: bool = False,
        code: PositionCode = interleaved,
        every: bool = False,
        init_depth: int | None = None,
    ) -> None:
        """``dim``: context width; ``width``: inner width; ``out``: target width (default ``dim``)."""
        super().__init__()
        self.width, self.every, self.code = width, every, code
        self.inward = nn.Linear(dim, width, bias=bias)
        self.mask_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(width), std=0.02))
        self.transformer = Transformer(width, depth, heads, bias=bias, init_depth=init_depth)
        self.outward = nn.Linear(width, out or dim, bias=bias)
        for layer in (self.inward, self.outward):
            initialise(layer, weight_std(width))

    def forward(self, context: Tokens, query: Float[Tensor, "b m t q p"]) -> Float[Tensor, "b m t q e"]:
        """``context``: the encoded visible tokens, x of shape (b·m, k, d); ``query``: coordinates to predict."""
        groups, q = query.shape[2], query.shape[3]
        flat = query.flatten(0, 2)
        places = self.code(torch.cat([context.pos.repeat_interleave(groups, 0), flat], 1), self.width)
        visible = self.inward(context.x).repeat_interleave(groups, 0)
        x = torch.cat([visible, self.mask_token.to(visible.dtype).expand(len(flat), q, -1)], 1)
        allowed = None
        if context.valid is not None:
            allowed = nn.functional.pad(context.valid.repeat_interleave(groups, 0), (0, q), value=True)[:, None, :]
        if self.every:
            x = self.transformer.hidden(x, every=places, allowed=allowed)[0]
        else:
            x = self.transformer.hidden(x + places, allowed=allowed)[0]
        return self.outward(self.transformer.norm(x[:, -q:])).unflatten(0, query.shape[:3])


class Projector(nn.Sequential):
    """MLP with BatchNorm and ReLU between layers, as view-based methods put behind the encoder: widths (in, …, out)."""

    def __init__(self, *widths: int) -> None:
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(itertools.pairwise(widths)):
            last = i == len(widths) - 2
            layers.append(nn.Linear(a, b, bias=last))
            if not last:
                layers += [nn.BatchNorm1d(b), nn.ReLU(inplace=True)]
        super().__init__(*layers)
