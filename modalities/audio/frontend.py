"""The wave front end: strided convolutions from samples to frames (wav2vec 2.0, WavJEPA), as the tokenizer of waveforms."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.modality import grid_positions
from jepakit.types import Batch, Tokens
from modalities.signals import token_std

# (width, kernel, stride) of each layer; WavJEPA's at 16 kHz: a frame every 10 ms that sees 15 ms.
Layers = tuple[tuple[int, int, int], ...]
WAVJEPA: Layers = ((512, 10, 5), (512, 3, 2), (512, 3, 2), (512, 3, 2), (512, 3, 2), (512, 2, 2))


def hop(layers: Layers) -> int:
    """Samples from one frame to the next."""
    return math.prod(stride for _, _, stride in layers)


def reach(layers: Layers) -> int:
    """Samples that one frame sees (the receptive field)."""
    seen = 1
    for _, kernel, stride in reversed(layers):
        seen = (seen - 1) * stride + kernel
    return seen


class FrontEnd(nn.Sequential):
    """Convolutions without bias, GELU after each, Kaiming weights: (b, c, t) → (b, width, frames).

    No statistic is taken over time (WavJEPA has a GroupNorm over the clip after the first layer): a frame depends on
    ``reach`` samples and nothing else, so that hidden input stays hidden.
    """

    def __init__(self, layers: Layers, channels: int = 1) -> None:
        parts: list[nn.Module] = []
        for width, kernel, stride in layers:
            conv = nn.Conv1d(channels, width, kernel, stride=stride, bias=False)
            nn.init.kaiming_normal_(conv.weight)
            parts += [conv, nn.GELU()]
            channels = width
        super().__init__(*parts)


class WaveTokenizer(nn.Module):
    """Waveform → one token per hop: front end, LayerNorm over its width, Linear to ``dim``.

    The input is padded by half of what frames overlap, so that frame i sees its own ``hop`` samples (its patch) in the
    middle and (reach − hop)/2 more on either side.
    """

    pos: Tensor

    def __init__(self, layers: Layers, grid: tuple[int, ...], dim: int, channels: int = 1) -> None:
        super().__init__()
        self.front = FrontEnd(layers, channels)
        overlap = reach(layers) - hop(layers)
        self.padding = (overlap // 2, overlap - overlap // 2)
        width = layers[-1][0]
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, dim, bias=False)
        nn.init.trunc_normal_(self.project.weight, std=token_std(width))
        self.register_buffer("pos", grid_positions(grid), persistent=False)

    def forward(self, batch: Batch) -> Tokens:
        frames: Float[Tensor, "b w n"] = self.front(F.pad(batch.x, self.padding))
        if frames.shape[-1] != len(self.pos):
            raise ValueError(f"the input gives {frames.shape[-1]} tokens, the grid has {len(self.pos)}; crop first")
        return Tokens(self.project(self.norm(frames.mT)), self.pos.expand(len(batch), -1, -1))
