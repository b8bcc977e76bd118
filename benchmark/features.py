"""Frozen features: one pass of an encoder over one part of a data set, in float32, cached for all probes."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from benchmark.atomic import atomic
from jepakit.modality import Modality
from jepakit.nn import Embedder
from jepakit.types import Batch, Data, DataError, Tokens

# Above this size token features are stored in half precision (as bytes in float32).
HALF_ABOVE = 1 << 30


@dataclass(frozen=True)
class Features:
    """What probes see of a part. pooled: (n, d) float32; tokens: (n, tokens, d) float32 or float16, NaN
    where a token is padding, or None."""

    pooled: np.ndarray
    tokens: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.pooled)


def extract(
    encoder: Embedder,
    modality: Modality,
    data: Data,
    *,
    device: str,
    batch_size: int = 512,
    tokens: bool = False,
    dense: bool = False,
) -> Features:
    """Features of every row of ``data``, in its order: ``encoder.embed`` and, if asked, ``encoder.tokens``.

    ``dense``: the tokens are brought to the places of dense labels (``placed``); otherwise they are so where they can be,
    so that all rows of a board offer a probe the same places, and NaN where a token is padding. For the rest see ``over``.
    Raises ValueError when a feature is not finite, and for ``dense`` tokens that cannot be placed.
    """

    def both(batch: Batch) -> list[np.ndarray]:
        if not tokens and not dense:
            return [_array(encoder.embed(batch))]
        every = encoder.tokens(batch)
        # Both come from one pass unless an encoder pools in a way of its own.
        plain = type(encoder).embed is Embedder.embed
        mean = every.mean() if plain else encoder.embed(batch)
        x = _shown(every, modality.grid, dense)
        return [_array(mean), _array(x, half=x.shape[1] * x.shape[2] * 4 * len(data) > HALF_ABOVE)]

    found = over(encoder, data, both, device=device, batch_size=batch_size)
    features = Features(*found) if found else Features(np.zeros((0, 0), np.float32))
    bad = ~np.isfinite(features.pooled)
    if bad.any():
        raise ValueError(
            f"{modality.name}/{modality.dataset}: {int(bad.any(1).sum())} of {len(bad)} rows have non-finite features "
            f"(first row {int(bad.any(1).argmax())}, dimension {int(bad.any(0).argmax())})"
        )
    if features.tokens is not None:
        padding = np.isnan(features.tokens).all(-1) & (not dense)
        if not np.isfinite(features.tokens[~padding]).all():
            raise ValueError(f"{modality.name}/{modality.dataset}: non-finite token features")
    return features


def over(
    encoder: nn.Module,
    data: Data,
    function: Callable[[Batch], list[np.ndarray]],
    *,
    device: str,
    batch_size: int = 512,
) -> list[np.ndarray]:
    """What ``function`` gives for batches of ``data`` in order, each of its arrays joined; [] without rows.

    Runs in evaluation and inference mode with autocast and TF32 off and without augmentation or labels; the encoder is
    moved to ``device`` and its training mode is restored. Running out of memory halves the batch, which changes nothing in
    the result.
    """
    training = encoder.training
    encoder.to(device).eval()
    cpu_rows = torch.arange(len(data))
    pieces: list[list[np.ndarray]] = []
    kind = torch.device(device).type
    try:
        start, size = 0, max(1, min(batch_size, len(data)))
        while start < len(data):
            try:
                batch = _to(data.batch(cpu_rows[start : start + size]), device)
                with (
                    torch.inference_mode(),
                    torch.autocast(kind, enabled=False),
                    torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False),
                ):
                    pieces.append(function(batch))
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error) or size == 1:
                    raise
                size //= 2
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                continue
            start += size
    finally:
        encoder.train(training)
    return [np.concatenate(one) for one in zip(*pieces, strict=True)]


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


def _shown(tokens: Tokens, grid: tuple[int, ...], dense: bool) -> Float[Tensor, "b n d"]:
    try:
        x = placed(tokens, grid)
    except ValueError:
        if dense:
            raise
        x = tokens.x
    if dense or tokens.valid is None or x.shape[1] != tokens.x.shape[1]:
        return x
    return x.masked_fill(~tokens.valid[..., None], float("nan"))


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
