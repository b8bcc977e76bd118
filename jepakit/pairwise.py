"""Losses between two embedded views, each formula once: cosine, MoCo v3, Barlow Twins and its mixed form, DINO, whitening.

All run in float32 whatever autocast says. Where a statistic is over the batch it is over the joint batch of all processes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional as F

from jepakit.losses import joint, vicreg_covariance, vicreg_variance
from jepakit.processes import world_size

P = ParamSpec("P")


def full_precision(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """The same function with autocast off and its float tensors in float32."""

    @wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        device = next(arg.device for arg in args if isinstance(arg, Tensor))
        with torch.autocast(device.type, enabled=False):
            cast = [arg.float() if isinstance(arg, Tensor) and arg.is_floating_point() else arg for arg in args]
            return function(*cast, **kwargs)  # type: ignore[arg-type]

    return inner


@full_precision
def cosine_gap(predicted: Float[Tensor, "b k"], wanted: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """BYOL's regression, 2 − 2·cos: 0 identical, 2 orthogonal, 4 opposite."""
    return 2 - 2 * F.cosine_similarity(predicted, wanted, dim=-1, eps=1e-12).mean()


@full_precision
def key_contrast(query: Float[Tensor, "b k"], key: Float[Tensor, "b k"], temperature: float) -> Float[Tensor, ""]:
    """MoCo v3, one direction: 2τ·cross-entropy of each query against the keys of the joint batch, on cosines."""
    query, key = (F.normalize(joint(z), dim=-1) for z in (query, key))
    own = torch.arange(len(query), device=query.device)
    return 2 * temperature * F.cross_entropy(query @ key.T / temperature, own)


def columns(z: Float[Tensor, "n k"], *, unbiased: bool = False) -> Float[Tensor, "n k"]:
    """Every dimension to mean 0 and variance 1 over the batch (eps 1e-5)."""
    return (z - z.mean(0)) / (z.var(0, correction=int(unbiased)) + 1e-5).sqrt()


@full_precision
def barlow(
    a: Float[Tensor, "b k"], b: Float[Tensor, "b k"], weight: float, *, unbiased: bool = False
) -> Float[Tensor, ""]:
    """Barlow Twins: Σ(1 − C_ii)² + weight·Σ_{i≠j} C_ij², C the cross-correlation over the joint batch."""
    a, b = columns(joint(a), unbiased=unbiased), columns(joint(b), unbiased=unbiased)
    c = a.T @ b / len(a)
    diagonal = c.diagonal()
    return (1 - diagonal).square().sum() + weight * (c.square().sum() - diagonal.square().sum())


@full_precision
def mixed_barlow(
    mixed: Float[Tensor, "b k"],
    a: Float[Tensor, "b k"],
    b: Float[Tensor, "b k"],
    partner: Int[Tensor, "b"],
    share: float,
) -> Float[Tensor, ""]:
    """The extra term of Mixed Barlow Twins for inputs x_m = share·x_a + (1 − share)·x_b[partner]: squared distance of the
    cross-correlations of the mixture with both views to those an embedding linear in the mixture would have.

    ``partner`` numbers rows of this process.
    """
    swapped = joint(b[partner])
    mixed, a, b = (columns(joint(z), unbiased=True) for z in (mixed, a, b))
    swapped = columns(swapped, unbiased=True)  # the rows of b in another order: the same statistics
    blend = share * a + (1 - share) * swapped
    n = len(a)
    return sum(((mixed.T @ z - blend.T @ z) / n).square().sum() for z in (a, b))  # type: ignore[return-value]


@full_precision
def vicreg(
    a: Float[Tensor, "b k"], b: Float[Tensor, "b k"], invariance: float, variance: float, covariance: float
) -> Float[Tensor, ""]:
    """VICReg as released: invariance·MSE + variance·½(h₁ + h₂) + covariance·(c₁ + c₂), c divided by the width."""
    both = torch.stack([a, b])
    spread = variance * vicreg_variance(both) + 2 * covariance * vicreg_covariance(both)
    return invariance * F.mse_loss(a, b) + spread


@full_precision
def distil(
    student: Float[Tensor, "b k"], teacher: Float[Tensor, "b k"], student_temperature: float, teacher_temperature: float
) -> Float[Tensor, ""]:
    """DINO, one pair of views: cross-entropy of the student's distribution to the (already centred) teacher's."""
    wanted = (teacher / teacher_temperature).softmax(-1)
    return -(wanted * (student / student_temperature).log_softmax(-1)).sum(-1).mean()


class Centre(nn.Module):
    """DINO's centre: a running mean of the teacher's outputs over the joint batch, moved once per optimiser step.

    ``observe`` what the teacher said (once per micro-batch), then ``update``.
    """

    value: Tensor

    def __init__(self, width: int, keep: float = 0.9) -> None:
        super().__init__()
        self.keep = keep
        self.register_buffer("value", torch.zeros(width))
        self._seen: list[Tensor] = []

    def observe(self, outputs: Float[Tensor, "n k"]) -> None:
        """Keep the mean of these outputs until the next update."""
        self._seen.append(outputs.detach().float().mean(0))

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the mean of what was observed since the last update."""
        mean = torch.stack(self._seen).mean(0)
        self._seen.clear()
        if world_size() > 1:
            mean = all_reduce(mean) / world_size()
        self.value.lerp_(mean, 1 - self.keep)


def whiten(z: Float[Tensor, "g n k"], eps: float = 0.0) -> Float[Tensor, "g n k"]:
    """Each group of rows to mean 0 and identity covariance by the inverse Cholesky factor of its (unbiased) covariance,
    shrunk towards the identity by ``eps``."""
    centred = z - z.mean(1, keepdim=True)
    k = z.shape[-1]
    covariance = centred.mT @ centred / (z.shape[1] - 1)
    eye = torch.eye(k, dtype=z.dtype, device=z.device)
    factor = torch.linalg.cholesky_ex((1 - eps) * covariance + eps * eye).L
    white: Tensor = torch.linalg.solve_triangular(factor, centred.mT, upper=False).mT
    return white


class Whitening(nn.Module):
    """W-MSE: 2 − 2·cos of two views whitened on random sub-batches of the joint batch, the same rows in both views.

    The permutation is drawn from a counter that is part of the state, so that it continues after a resume and is the same
    on every process. Rows that fill no whole sub-batch are left out of this step.
    """

    def __init__(self, rows: int, times: int = 1, eps: float = 1e-4) -> None:
        super().__init__()
        self.rows, self.times, self.eps = rows, times, eps
        self.calls = 0

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": self.calls}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.calls = state["calls"]

    def forward(self, a: Float[Tensor, "b k"], b: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
        """The mean over ``times`` draws of sub-batches."""
        with torch.autocast(a.device.type, enabled=False):
            a, b = joint(a.float()), joint(b.float())
            generator = torch.Generator(device=a.device).manual_seed(self.calls)
            self.calls += 1
            rows = min(self.rows, len(a))
            total = a.new_zeros(())
            for _ in range(self.times):
                order = torch.rand(len(a), generator=generator, device=a.device).argsort()
                groups = order[: len(a) // rows * rows].unflatten(0, (-1, rows))
                x, y = (whiten(z[groups], self.eps).flatten(0, 1) for z in (a, b))
                total = total + cosine_gap(x, y)
            return total / self.times
