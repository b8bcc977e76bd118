"""Frames: what control rows see of an input in time: its middle frame alone, or its frames in an order of no meaning.

A modality whose samples are sequences of frames states ``time``, the axis of ``Batch.x`` that is time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from jepakit.modality import Modality
from jepakit.nn import Embedder
from jepakit.types import Batch, Tokens, UsageError

Change = Callable[[Tensor, int], Tensor]
STEPS = 2.0**24  # per unit of the input: how finely the keys of frames read it (exact: a power of two)
ODD = 6364136223846793005  # Knuth's multiplier: products wrap around at 64 bits and scatter


def time_axis(modality: Modality) -> int:
    """The axis of the input that is time. Raises UsageError for samples that are no sequences of frames."""
    axis = getattr(modality, "time", None)
    if not isinstance(axis, int):
        raise UsageError(
            f"{modality.name}/{modality.dataset} has no frames in time; controls of frames cannot run on it, name another "
            "method"
        )
    return axis


def still(x: Tensor, axis: int) -> Tensor:
    """The middle frame in place of every frame."""
    frames = x.shape[axis]
    return x.narrow(axis, frames // 2, 1).expand_as(x)


def unordered(x: Tensor, axis: int) -> Tensor:
    """The frames of each sample, sorted by a key made of their content alone.

    Samples of the same frames in another order become the same bits, so nothing is left of the order; yet the same sample
    always looks the same, as what is probed must. The key scatters: frames that are alike do not come to lie side by side.
    """
    first = x.movedim(axis, 1)
    flat = (first.reshape(*first.shape[:2], -1) * STEPS).round().long()
    place = torch.arange(flat.shape[2], device=x.device)
    key = (flat * (place * place * ODD + place + 1)).sum(-1)  # whole numbers: exact in any order of summation
    order = ((key ^ (key >> 29)) * ODD).argsort(dim=1, stable=True)
    index = order.reshape(*order.shape, *(1,) * (first.dim() - 2)).expand_as(first)
    return first.gather(1, index).movedim(1, axis)


class Frames(Embedder):
    """An encoder that is shown a changed input, in training and when probed."""

    def __init__(self, inner: Embedder, modality: Modality, change: Change) -> None:
        super().__init__()
        self.inner, self.dim = inner, inner.dim
        self.axis, self.change = time_axis(modality), change

    def tokens(self, batch: Batch) -> Tokens:
        return self.inner.tokens(batch.with_x(self.change(batch.x, self.axis)))
