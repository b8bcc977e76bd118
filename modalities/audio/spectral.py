"""SpectralTokens: the same sounds cut into tiles of their log-mel spectrogram: a grid of (bands, time)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.modality import Modality, grid_positions
from jepakit.types import Batch, Data, Part, Tokens
from modalities.audio.features import LogMel
from modalities.signals import token_std

if TYPE_CHECKING:
    from modalities.audio.base import AudioModality

ROWS = 500  # of train, evenly spread, that the mean and deviation of a band are taken from


class Spectrogram(LogMel):
    """Log-mel bands standardised with mean and deviation of train, each band by itself."""

    mean: Tensor
    std: Tensor

    def __init__(self, audio: AudioModality) -> None:
        super().__init__(audio.rate, audio.window, audio.frame, audio.bands)
        data = audio.data("train")
        rows = torch.linspace(0, len(data) - 1, min(ROWS, len(data))).round().long()
        total, squares, count = torch.zeros(audio.bands), torch.zeros(audio.bands), 0
        for piece in rows.split(50):
            mel = super().forward(data.batch(piece).x.mean(1))
            total, squares = total + mel.sum((0, 2)), squares + mel.square().sum((0, 2))
            count += mel.shape[0] * mel.shape[2]
        mean = total / count
        self.register_buffer("mean", mean[:, None], persistent=False)
        self.register_buffer("std", (squares / count - mean**2).clamp_min(1e-4).sqrt()[:, None], persistent=False)

    def forward(self, x: Float[Tensor, "b t"]) -> Float[Tensor, "b m f"]:
        return (super().forward(x) - self.mean) / self.std


class SpectralTokens(Modality):
    """A data set of sounds with one token per tile of ``audio.tile`` = (bands, frames) of the spectrogram of the mean over
    its channels.

    Tokens are band-major, pos = (row, column) of the tile, lowest band first. Samples, crops, windows, views and
    hand-made features stay those of the waveform. Frames overlap, so a tile sees (window − frame)/2 samples of its
    neighbours in time; bands overlap by half.
    """

    def __init__(self, audio: AudioModality) -> None:
        super().__init__(audio.root)
        # Class facts everywhere else; here they are those of the instance that is wrapped.
        vars(self).update(name=audio.name, dataset=audio.dataset, card=audio.card, augmentation=audio.augmentation)
        self.audio, self.tasks, self.tile = audio, audio.tasks, audio.tile
        self.grid = (audio.bands // self.tile[0], audio.length // audio.frame // self.tile[1])
        self._spectrograms: dict[torch.device, Spectrogram] = {}

    def data(self, part: Part) -> Data:
        return self.audio.data(part)

    def tokenizer(self, dim: int) -> nn.Module:
        return TileTokenizer(Spectrogram(self.audio), self.tile, self.grid, dim)

    @property
    def patch_values(self) -> int:
        return self.tile[0] * self.tile[1]

    def patches(self, batch: Batch) -> Float[Tensor, "b n e"]:
        """(b, n, bands · frames of a tile), band-major inside a token, like the weight of the tokenizer."""
        device = batch.x.device
        if device not in self._spectrograms:
            self._spectrograms[device] = Spectrogram(self.audio).to(device)
        return F.unfold(self._spectrograms[device](batch.x.mean(1))[:, None], self.tile, stride=self.tile).mT

    def crop(self, batch: Batch) -> Batch:
        return self.audio.crop(batch)

    def windows(self, data: Data) -> Data:
        return self.audio.windows(data)

    def views(self, batch: Batch) -> Batch:
        return self.audio.views(batch)

    def handmade(self, batch: Batch) -> Float[Tensor, "b f"]:
        return self.audio.handmade(batch)

    def spectral(self) -> SpectralTokens:
        return self


class TileTokenizer(nn.Module):
    """One tile of the spectrogram → one token: Conv2d(1 → dim, kernel = stride = tile), no bias."""

    pos: Tensor

    def __init__(self, spectrogram: Spectrogram, tile: tuple[int, int], grid: tuple[int, ...], dim: int) -> None:
        super().__init__()
        self.spectrogram = spectrogram
        self.project = nn.Conv2d(1, dim, tile, stride=tile, bias=False)
        nn.init.trunc_normal_(self.project.weight, std=token_std(tile[0] * tile[1]))
        self.register_buffer("pos", grid_positions(grid), persistent=False)

    def forward(self, batch: Batch) -> Tokens:
        x = self.project(self.spectrogram(batch.x.mean(1))[:, None]).flatten(2).mT
        if x.shape[1] != len(self.pos):
            raise ValueError(f"the input gives {x.shape[1]} tiles, the grid has {len(self.pos)}; crop first")
        return Tokens(x, self.pos.expand(len(batch), -1, -1))
