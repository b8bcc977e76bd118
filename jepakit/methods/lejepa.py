"""LeJEPA (Balestriero & LeCun 2025): views pulled to their centre, features pushed to an isotropic Gaussian; no teacher.

Source: arXiv 2511.08544 and its released code (github rbalestr-lab/lejepa).
Kept: one backbone and one projector for all views, centre of the global views with gradient, (1 − λ)·invariance + λ·SIGReg
with means over dims (the code's convention) and over all views, global and local, in both terms; 17 knots on [0, 3] or the
paper's [−5, 5] (``rule``), 256 fresh unit directions a step, float32, no stop-gradient.
Differs: views come from the modality; two global views and no small crops by default (paper: 2 and 6 to 8); projector width
4·dim; learning rate and run length are the board's.
Conventions: at the same gradient up to a factor, eb_jepa's BCS weighs ½ΣT/N (10 knots on [−3, 3]) with w against the
mean squared pair distance of two views: w = 4λN/(1 − λ). stable-pretraining takes the statistic of all V·N rows at once and
no (1 − λ): its λ is λ/(1 − λ)/V of this one where views agree.
Not verified: the published accuracies; independent runs report 60–65 on CIFAR-100.
Published: linear top-1, ResNet-18 pre-trained in domain: CIFAR-10 92.51, CIFAR-100 69.94, Galaxy10 75.32 (their table 5);
ImageNet-1k ViT-H/14 79.0.
Tests: test_losses.py, test_distributed.py, test_methods_views.py, test_methods.py.
"""

from typing import Literal

import torch

from jepakit.losses import SIGReg, Sketch, distance_to_centre, full_rule, half_rule
from jepakit.modality import Modality
from jepakit.nn import Embedder, Projector
from jepakit.objective import Objective
from jepakit.recipe import embedder
from jepakit.registry import methods
from jepakit.types import Batch, Losses, Size, UsageError


class LeJEPA(Objective):
    """The whole method around any regulariser of the projections: no teacher, no predictor, no stop-gradient."""

    def __init__(
        self,
        modality: Modality,
        backbone: Embedder,
        regulariser: Sketch,
        views: int,
        local: int,
        weight: float,
        out: int,
    ) -> None:
        super().__init__()
        if not 0 <= weight <= 1:
            raise UsageError(f"λ weighs two losses and lies between 0 and 1; recipe.weight={weight} does not")
        if views < 1 or local < 0 or views + local < 2:
            raise UsageError(f"a centre needs a global view and one more; recipe.views={views}, recipe.local={local}")
        self.modality, self.views, self.local, self.weight = modality, views, local, weight
        self.backbone = backbone
        self.projector = Projector(backbone.dim, 4 * backbone.dim, 4 * backbone.dim, out)
        self.regulariser = regulariser

    def forward(self, batch: Batch, progress: float) -> Losses:
        passes = [torch.cat([self.modality.views(batch).x for _ in range(self.views)])]
        if self.local:  # of another resolution: a pass of their own
            passes.append(torch.cat([self.modality.local_views(batch).x for _ in range(self.local)]))
        features = torch.cat([self.backbone.embed(Batch(views)) for views in passes])
        z = self.projector(features).float().unflatten(0, (self.views + self.local, len(batch)))
        invariance, spread = distance_to_centre(z, self.views), self.regulariser(z)
        total = (1 - self.weight) * invariance + self.weight * spread
        name = type(self.regulariser).__name__.lower()
        return Losses(total, {"invariance": invariance.detach(), name: spread.detach()})


@methods.register(
    "lejepa",
    family="jepa",
    paper="Balestriero & LeCun 2025, arXiv 2511.08544",
    augmentation="modality-specific",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
    space={"recipe.weight": (0.01, 0.2, "log")},
)
def lejepa(
    modality: Modality,
    size: Size,
    *,
    views: int = 2,
    local: int = 0,
    weight: float = 0.05,
    slices: int = 256,
    rule: Literal["half", "full"] = "half",
    out: int = 64,
    backbone: str = "vit",
) -> LeJEPA:
    """views, local: global views and small crops per sample; weight: λ of the paper; slices: random directions a step;
    rule: knots on [0, 3] (half) or [−5, 5] (full); out: projector output width; backbone: the house vit or one of timm."""
    sigreg = SIGReg(slices, half_rule() if rule == "half" else full_rule())
    return LeJEPA(modality, embedder(modality, size, backbone), sigreg, views, local, weight, out)
