"""Loss formulas, each written once: SIGReg (LeJEPA), the view-to-centre distance, VICReg's hinge and covariance, NT-Xent.

Distances between predictions and targets are torch's own (``l1_loss``, ``smooth_l1_loss``, ``mse_loss``): pass the function.
A formula that sees the batch sees the batch of all processes and is computed in float32.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather, all_reduce
from torch.nn import functional as F

from jepakit.processes import world_size


def joint(z: Float[Tensor, "*v n k"]) -> Float[Tensor, "*v m k"]:
    """The rows of all processes along the sample axis, with gradient; ``z`` itself where there is one process."""
    return torch.cat(all_gather(z.contiguous()), -2) if world_size() > 1 else z


def half_rule(limit: float = 3.0, knots: int = 17) -> tuple[Tensor, Tensor]:
    """Trapezoid on [0, limit], doubled for the symmetric half: (nodes, weights), weights times e^(−t²/2)."""
    t = torch.linspace(0, limit, knots)
    weight = torch.full((knots,), 2 * limit / (knots - 1))
    weight[[0, -1]] /= 2
    return t, weight * torch.exp(-t.square() / 2)


def full_rule(limit: float = 5.0, knots: int = 17) -> tuple[Tensor, Tensor]:
    """Trapezoid on [−limit, limit] (the paper's listing): (nodes, weights), weights times e^(−t²/2)."""
    t = torch.linspace(-limit, limit, knots)
    weight = torch.full((knots,), 2 * limit / (knots - 1))
    weight[[0, -1]] /= 2
    return t, weight * torch.exp(-t.square() / 2)


class Sketch(nn.Module, ABC):
    """The mean of a one-dimensional statistic over random directions of the features.

    Always float32. Directions are drawn afresh at every call from a counter that is part of the state, so they continue
    after a resume and are the same on every process.
    """

    def __init__(self, slices: int = 256) -> None:
        super().__init__()
        self.slices = slices
        self.calls = 0

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": self.calls}

    def set_extra_state(self, state: Any) -> None:
        self.calls = state["calls"]

    def directions(self, width: int, device: torch.device) -> Float[Tensor, "k s"]:
        """Unit columns for this call."""
        generator = torch.Generator(device=device).manual_seed(self.calls)
        return F.normalize(torch.randn(width, self.slices, generator=generator, device=device), dim=0)

    @abstractmethod
    def statistic(self, y: Float[Tensor, "*v n s"]) -> Float[Tensor, "*v s"]:
        """How far each column is from a standard normal sample, over the batch axis n."""

    def forward(self, z: Float[Tensor, "*v n k"]) -> Float[Tensor, ""]:
        """The mean statistic over directions (and over leading view axes, which share the directions)."""
        with torch.autocast(z.device.type, enabled=False):
            value = self.statistic(z.float() @ self.directions(z.shape[-1], z.device)).mean()
        self.calls += 1
        return value


class SIGReg(Sketch):
    """Sketched isotropic Gaussian regularisation (LeJEPA, arXiv 2511.08544): the mean over random directions of the
    Epps–Pulley statistic of the projected batch against N(0, 1).

    T = N·W·∫|φ̂(t) − e^(−t²/2)|² e^(−t²/2) dt with N·W the batch over all processes; about 1.05 for a standard normal
    batch of any size, not 0.
    """

    nodes: Tensor
    weights: Tensor

    def __init__(self, slices: int = 256, rule: tuple[Tensor, Tensor] | None = None) -> None:
        super().__init__(slices)
        nodes, weights = half_rule() if rule is None else rule
        self.register_buffer("nodes", nodes, persistent=False)
        self.register_buffer("weights", weights, persistent=False)

    def statistic(self, y: Float[Tensor, "*v n s"]) -> Float[Tensor, "*v s"]:
        """The Epps–Pulley statistic of each column over the batch axis n."""
        angle = y[..., None] * self.nodes
        real, imaginary = angle.cos().mean(-3), angle.sin().mean(-3)
        world = world_size()
        if world > 1:
            real, imaginary = all_reduce(real) / world, all_reduce(imaginary) / world
        gap = (real - torch.exp(-self.nodes.square() / 2)).square() + imaginary.square()
        return y.shape[-2] * world * (gap * self.weights).sum(-1)


def distance_to_centre(z: Float[Tensor, "v n k"], centres: int | None = None) -> Float[Tensor, ""]:
    """LeJEPA's invariance: mean over views, samples and dims of (μ − z)², μ the mean of the first ``centres`` (global)
    views, with gradient through μ. For two views it is a quarter of their mean squared distance."""
    centre = z[:centres].mean(0)
    return (centre - z).square().mean()


def vicreg_variance(z: Float[Tensor, "*v n k"], floor: float = 1.0, eps: float = 1e-4) -> Float[Tensor, ""]:
    """VICReg's hinge (arXiv 2105.04906): mean over dims of max(0, floor − √(var + eps)), unbiased variance over the batch;
    .99 for a batch of equal rows.

    Leading axes (views, groups) are averaged, so that two stacked branches give ½(h₁ + h₂), the term that the official
    code weighs with 25. solo-learn and eb_jepa weigh h₁ + h₂: twice this.
    """
    with torch.autocast(z.device.type, enabled=False):
        return F.relu(floor - (joint(z.float()).var(-2) + eps).sqrt()).mean()


def vicreg_covariance(z: Float[Tensor, "*v n k"]) -> Float[Tensor, ""]:
    """VICReg's covariance term: sum over i ≠ j of C²ᵢⱼ, divided by k; C is the unbiased covariance over the batch.

    Leading axes are averaged: two stacked branches give ½(c₁ + c₂), and the official code weighs c₁ + c₂ with 1. eb_jepa
    takes the mean over the k(k − 1) pairs: this divided by k − 1.
    """
    with torch.autocast(z.device.type, enabled=False):
        z = joint(z.float())
        z = z - z.mean(-2, keepdim=True)
        covariance = z.mT @ z / (z.shape[-2] - 1)
        variance = covariance.diagonal(dim1=-2, dim2=-1)
        return ((covariance.square().sum((-2, -1)) - variance.square().sum(-1)) / z.shape[-1]).mean()


def nt_xent(a: Float[Tensor, "b k"], b: Float[Tensor, "b k"], temperature: float) -> Float[Tensor, ""]:
    """SimCLR's loss: cross-entropy of each of the 2b views against its partner among the other 2b − 1, on cosines.

    Several processes: the batch is gathered with gradient, and the mean is over the joint batch.
    """
    with torch.autocast(a.device.type, enabled=False):
        a, b = joint(a.float()), joint(b.float())
        z = F.normalize(torch.cat([a, b]), dim=-1)
        logits = (z @ z.T / temperature).fill_diagonal_(-math.inf)
        n = len(a)
        partner = torch.arange(2 * n, device=z.device).roll(n)
        return F.cross_entropy(logits, partner)
