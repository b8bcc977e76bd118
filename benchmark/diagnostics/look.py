"""Looker: the same few validation rows, their views and tokens, embedded by whatever encoder is to be diagnosed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from benchmark import features
from jepakit.modality import Modality
from jepakit.nn import Backbone, Embedder
from jepakit.randomness import mix, reseed
from jepakit.types import Data, UsageError

LOOKED_ROWS = 512  # rows of the fixed validation batch
TOKEN_ROWS = 128  # of these, rows whose single tokens are kept
VIEWS = 4  # views of a sample: members of a surrogate class of lda_rank
CHUNK = 64  # rows embedded at once where token features are kept
SEED = mix(0x6C6F6F6B)  # views are the same for every row of a board and every seed

Positives = Literal["views", "halves"]


@dataclass(frozen=True)
class Look:
    """What an encoder makes of the fixed rows, all float32.

    pooled: (n, d), one vector per sample. tokens: (m, e) token features of some of the samples, and place: (m,) the number
    of each token's position. views: (k, q, d) pooled features of q positives of a sample, and positives: what they are,
    the modality's ``views`` or, where it has none, random ``halves`` of the sample's tokens. None: the encoder has none.
    """

    pooled: np.ndarray
    tokens: np.ndarray | None = None
    place: np.ndarray | None = None
    views: np.ndarray | None = None
    positives: Positives | None = None


class Looker:
    """Embeds the same rows of a validation part, and the same views of them, for one encoder after the other."""

    def __init__(self, modality: Modality, val: Data, device: str, *, viewed: int) -> None:
        """``viewed``: how many of the rows are also embedded as ``VIEWS`` views each."""
        self.modality, self.device = modality, device
        self.rows = _evenly(val, LOOKED_ROWS)
        self.token_rows, self.viewed_rows = _evenly(self.rows, TOKEN_ROWS), _evenly(self.rows, viewed)
        self._views: list[Data] | None = None

    def __call__(self, encoder: Embedder, pooled: np.ndarray | None = None) -> Look:
        """One look. ``pooled``: features of more rows that are there already, else those of the fixed rows are extracted.

        Raises ValueError when a feature is not finite. Training mode and torch's generators are left as they were.
        """
        if pooled is None:
            pooled = self._pooled(encoder, self.rows)
        tokens, place = self._tokens(encoder)
        positives: Positives | None = None
        views = [self._pooled(encoder, data) for data in self._views_of_rows()]
        if views:
            positives = "views"
        elif isinstance(encoder, Backbone):
            positives, views = "halves", self._halves(encoder)
        return Look(pooled, tokens, place, np.stack(views, 1) if views else None, positives)

    def _pooled(self, encoder: Embedder, data: Data) -> np.ndarray:
        return features.extract(encoder, self.modality, data, device=self.device).pooled

    def _views_of_rows(self) -> list[Data]:
        """The views, drawn once and kept; none where the modality has no augmentation."""
        if self._views is None:
            batch = self.viewed_rows.batch(torch.arange(len(self.viewed_rows)))
            self._views = []
            try:
                for number in range(VIEWS):
                    with torch.random.fork_rng(devices=[]):
                        reseed(SEED, number)
                        view = self.modality.views(batch)
                    self._views.append(replace(self.viewed_rows, x=view.x, extra=view.extra, scale=None))
            except UsageError:
                pass
        return self._views

    def _tokens(self, encoder: Embedder) -> tuple[np.ndarray, np.ndarray]:
        x, pos = [], []
        with _frozen(encoder, self.device):
            rows = self.token_rows.to(self.device)
            for index in torch.arange(len(rows)).split(CHUNK):
                tokens = encoder.tokens(rows.batch(index))
                real = torch.ones(tokens.x.shape[:2], dtype=torch.bool) if tokens.valid is None else tokens.valid.cpu()
                x.append(tokens.x.float().cpu()[real])
                pos.append(tokens.pos.float().cpu()[real])
        every = torch.cat(x)
        if not torch.isfinite(every).all():
            raise ValueError(f"{self.modality.name}/{self.modality.dataset}: non-finite token features")
        return every.numpy(), torch.unique(torch.cat(pos), dim=0, return_inverse=True)[1].numpy()

    def _halves(self, encoder: Backbone) -> list[np.ndarray]:
        """Pooled features of random halves of the tokens of each sample, as masked prediction sees it."""
        found = []
        with _frozen(encoder, self.device):
            rows = self.viewed_rows.to(self.device)
            for number in range(VIEWS):
                generator = torch.Generator().manual_seed(mix(SEED, number))
                parts: list[Tensor] = []
                for index in torch.arange(len(rows)).split(CHUNK):
                    tokens = encoder.tokenize(rows.batch(index))
                    b, n = tokens.x.shape[:2]
                    kept = torch.rand(b, n, generator=generator).argsort(1)[:, None, : -(-n // 2)]
                    parts.append(encoder.encode(tokens.take(kept.to(tokens.x.device))).mean().float().cpu())
                found.append(torch.cat(parts).numpy())
        return found


@contextmanager
def _frozen(encoder: Embedder, device: str) -> Iterator[None]:
    """Evaluation and inference mode in float32 on ``device``; the training mode is restored."""
    training = encoder.training
    encoder.to(device).eval()
    try:
        with torch.inference_mode(), torch.autocast(torch.device(device).type, enabled=False):
            yield
    finally:
        encoder.train(training)


def _evenly(data: Data, rows: int) -> Data:
    return data.take(np.arange(0, len(data), max(1, -(-len(data) // rows))))
