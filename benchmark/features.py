"""Frozen features: one pass of an encoder over one part of a data set, in float32, cached for all probes."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmark.atomic import atomic
from jepakit.modality import Modality
from jepakit.nn import Embedder
from jepakit.types import Batch, Data, DataError, Tokens

# Above this size token features are stored in half precision (as bytes in float32).
HALF_ABOVE = 1 << 30


@dataclass(frozen=True)
class Features:
    """What probes see of a part. pooled: (n, d) float32; tokens: (n, tokens, d) float32 or float16, or None."""

    pooled: np.ndarray
    tokens: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.pooled)


def extract(
    encoder: Embedder, modality: Modality, data: Data, *, device: str, batch_size: int = 512, tokens: bool = False
) -> Features:
    """Features of every row of ``data``, in its order: ``encoder.embed`` and, if asked, ``encoder.tokens``.

    Runs in evaluation and inference mode with autocast and TF32 off and without augmentation; the encoder is moved to
    ``device`` and its training mode is restored. Running out of memory halves the batch, which changes nothing in the
    result. ``modality`` is only named in the error: ValueError when a feature is not finite.
    """
    training = encoder.training
    encoder.to(device).eval()
    cpu_rows = torch.arange(len(data))
    pooled: list[np.ndarray] = []
    token: list[np.ndarray] = []
    try:
        start, size = 0, max(1, min(batch_size, len(data)))
        while start < len(data):
            try:
                batch = _to(data.batch(cpu_rows[start : start + size]), device)
                mean, every = _embed(encoder, batch, tokens, modality.grid, device)
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error) or size == 1:
                    raise
                size //= 2
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                continue
            pooled.append(_array(mean))
            if every is not None:
                row = every.shape[1] * every.shape[2] * 4
                token.append(_array(every, half=row * len(data) > HALF_ABOVE))
            start += size
    finally:
        encoder.train(training)
    features = Features(
        np.concatenate(pooled) if pooled else np.zeros((0, 0), np.float32), np.concatenate(token) if token else None
    )
    bad = ~np.isfinite(features.pooled)
    if bad.any():
        raise ValueError(
            f"{modality.name}/{modality.dataset}: {int(bad.any(1).sum())} of {len(bad)} rows have non-finite features "
            f"(first row {int(bad.any(1).argmax())}, dimension {int(bad.any(0).argmax())})"
        )
    if features.tokens is not None and not np.isfinite(features.tokens).all():
        raise ValueError(f"{modality.name}/{modality.dataset}: non-finite token features")
    return features


def placed(tokens: Tokens, grid: tuple[int, ...]) -> Float[Tensor, "b n d"]:
    """Token features at the places that dense labels have: the modality's own ``grid``.

    Channel tokens (channel, time) are averaged over the channels of a time, and each place takes the time that covers its
    middle. Raises ValueError when the tokens cannot be brought to the places.
    """
    x, places = tokens.x, math.prod(grid)
    if tokens.pos.shape[-1] == len(grid) + 1 == 2:
        times = int(tokens.pos[0, :, -1].max()) + 1
        if x.shape[1] % times == 0:
            covering = (torch.arange(places, device=x.device) + 0.5) * times / places
            return x.unflatten(1, (-1, times)).mean(1)[:, covering.long()]
    if x.shape[1] != places:
        raise ValueError(f"{x.shape[1]} tokens cannot be brought to the {places} places of a dense label")
    return x


def _embed(
    encoder: Embedder, batch: Batch, tokens: bool, grid: tuple[int, ...], device: str
) -> tuple[Tensor, Tensor | None]:
    kind = torch.device(device).type
    with (
        torch.inference_mode(),
        torch.autocast(kind, enabled=False),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False),
    ):
        if not tokens:
            return encoder.embed(batch), None
        every = encoder.tokens(batch)
        # Both come from one pass unless an encoder pools in a way of its own.
        plain = type(encoder).embed is Embedder.embed
        return (every.mean() if plain else encoder.embed(batch)), placed(every, grid)


def _to(batch: Batch, device: str) -> Batch:
    return Batch(batch.x.to(device), {}, {name: column.to(device) for name, column in batch.extra.items()})


def _array(x: Tensor, half: bool = False) -> np.ndarray:
    return x.to(dtype=torch.float16 if half else torch.float32).cpu().numpy()


def _out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        sign in text for sign in ("out of memory", "can't allocate memory", "not enough memory")
    )


def save(path: Path, features: Mapping[str, Features]) -> None:
    """Write the features of several parts as one npz file, atomically."""
    arrays = {f"{part}.pooled": value.pooled for part, value in features.items()}
    arrays |= {f"{part}.tokens": value.tokens for part, value in features.items() if value.tokens is not None}

    with atomic(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> dict[str, Features]:
    """The features that ``save`` wrote, by part. Raises DataError when the file is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a readable feature cache ({error}); delete it and run again.") from error
    parts = [name.removesuffix(".pooled") for name in arrays if name.endswith(".pooled")]
    return {part: Features(arrays[f"{part}.pooled"], arrays.get(f"{part}.tokens")) for part in parts}
