"""LeJEPA (Balestriero & LeCun 2025): views pulled to their centre, features pushed to an isotropic Gaussian; no teacher.

Source: arXiv 2511.08544 and its released code (github rbalestr-lab/lejepa).
Kept: one backbone and one projector for all views, centre with gradient, (1 − λ)·invariance + λ·SIGReg with means
over dims (the code's convention), 17 knots on [0, 3], 256 fresh unit directions a step, float32, no stop-gradient.
Differs: all views are global and come from the modality; projector width 4·dim; learning rate and run length are the
board's.
Tests: test_losses.py, test_methods.py.
"""

import torch

from jepakit.losses import SIGReg, distance_to_centre
from jepakit.modality import Modality
from jepakit.nn import Projector
from jepakit.objective import Objective
from jepakit.recipe import vit
from jepakit.registry import methods
from jepakit.types import Batch, Losses, Size, UsageError


class LeJEPA(Objective):
    """The whole method: no teacher, no predictor, no stop-gradient."""

    def __init__(self, modality: Modality, size: Size, views: int, weight: float, slices: int, out: int) -> None:
        super().__init__()
        self.modality, self.views, self.weight = modality, views, weight
        self.backbone = vit(modality, size)
        self.projector = Projector(size.dim, 4 * size.dim, 4 * size.dim, out)
        self.sigreg = SIGReg(slices)

    def forward(self, batch: Batch, progress: float) -> Losses:
        views = torch.cat([self.modality.views(batch).x for _ in range(self.views)])
        z = self.projector(self.backbone.embed(Batch(views))).unflatten(0, (self.views, len(batch)))
        invariance, sigreg = distance_to_centre(z.float()), self.sigreg(z)
        total = (1 - self.weight) * invariance + self.weight * sigreg
        return Losses(total, {"invariance": invariance.detach(), "sigreg": sigreg.detach()})


@methods.register(
    "lejepa",
    family="jepa",
    paper="Balestriero & LeCun 2025, arXiv 2511.08544",
    augmentation="modality-specific",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
    space={"recipe.weight": (0.01, 0.2, "log")},
)
def lejepa(
    modality: Modality, size: Size, *, views: int = 2, weight: float = 0.05, slices: int = 256, out: int = 64
) -> LeJEPA:
    """views: per sample; weight: λ of the paper; slices: random directions a step; out: projector output width."""
    if not 0 <= weight <= 1:
        raise UsageError(f"λ weighs two losses and lies between 0 and 1; recipe.weight={weight} does not")
    return LeJEPA(modality, size, views, weight, slices, out)
