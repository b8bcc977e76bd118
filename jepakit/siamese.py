"""Siamese templates: views of a sample through one encoder and one head, compared with each other or with a teacher's.

The view-based counterpart of ``MaskedJEPA``. Views pass the network one after the other, so that batch statistics are
those of one view, as in the papers.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from jepakit.modality import Modality
from jepakit.nn import Embedder, Projector
from jepakit.objective import Objective
from jepakit.schedules import Schedule
from jepakit.targets import follow
from jepakit.types import Batch, Losses

Pair = Callable[[Float[Tensor, "b k"], Float[Tensor, "b k"]], Float[Tensor, ""]]


def standardised(*widths: int) -> nn.Sequential:
    """A Projector whose output is batch-normalised without learned scale (SimSiam, MoCo v3)."""
    return nn.Sequential(Projector(*widths), nn.BatchNorm1d(widths[-1], affine=False))


class Siamese(Objective):
    """``loss`` of two projected views; no predictor, no teacher (VICReg, Barlow Twins, W-MSE)."""

    def __init__(self, modality: Modality, backbone: Embedder, projector: nn.Module, loss: Pair) -> None:
        super().__init__()
        self.modality, self.loss = modality, loss
        self.backbone, self.projector = backbone, projector

    def pair(self, batch: Batch) -> tuple[Batch, Batch]:
        """Two views of every sample."""
        return self.modality.views(batch), self.modality.views(batch)

    def project(self, view: Batch) -> Float[Tensor, "b k"]:
        """The projected embedding of one view."""
        z: Tensor = self.projector(self.backbone.embed(view))
        return z

    def forward(self, batch: Batch, progress: float) -> Losses:
        a, b = (self.project(view) for view in self.pair(batch))
        loss = self.loss(a, b)
        return Losses(loss, {"pair": loss.detach()})


class Taught(Siamese):
    """``loss(predicted, taught)`` summed over both directions: a predictor on the student's side, on the other the
    projection of an EMA teacher (BYOL, MoCo v3), or with ``momentum=None`` of the student itself (SimSiam).

    The teacher follows after each optimiser step and keeps its batch statistics, as in the papers. ``stop`` is False
    only to show what happens without the stop-gradient.
    """

    def __init__(
        self,
        modality: Modality,
        backbone: Embedder,
        projector: nn.Module,
        predictor: nn.Module,
        loss: Pair,
        momentum: Schedule | None,
        stop: bool = True,
    ) -> None:
        super().__init__(modality, backbone, projector, loss)
        self.predictor, self.momentum, self.stop = predictor, momentum, stop
        self.teacher: Embedder | None = None
        self.teacher_projector: nn.Module | None = None
        if momentum is not None:
            self.teacher, self.teacher_projector = copy.deepcopy((backbone, projector))
            nn.ModuleList([self.teacher, self.teacher_projector]).requires_grad_(False)

    def taught(self, view: Batch, own: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """What the other view's prediction should become; ``own``: the student's projection of the same view."""
        if self.teacher is None or self.teacher_projector is None:
            return own.detach() if self.stop else own
        with torch.no_grad():
            z: Tensor = self.teacher_projector(self.teacher.embed(view))
        return z

    def forward(self, batch: Batch, progress: float) -> Losses:
        views = self.pair(batch)
        z = [self.project(view) for view in views]
        targets = [self.taught(view, own) for view, own in zip(views, z, strict=True)]
        loss = self.loss(self.predictor(z[0]), targets[1]) + self.loss(self.predictor(z[1]), targets[0])
        return Losses(loss, {"pair": loss.detach()})

    def after_step(self, progress: float) -> None:
        if self.teacher is None or self.teacher_projector is None or self.momentum is None:
            return
        for teacher, student in ((self.teacher, self.backbone), (self.teacher_projector, self.projector)):
            follow(teacher, student, self.momentum(progress))


def others(taught: int, views: int) -> list[tuple[int, int]]:
    """(taught view, student view) of all pairs of different views; the first ``taught`` views go through the teacher."""
    return [(t, s) for t, s in itertools.product(range(taught), range(views)) if t != s]
