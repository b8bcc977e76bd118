"""SimCLR (Chen et al. 2020): two views of a sample attract, all other samples of the batch repel.

Source: arXiv 2002.05709.
Kept: NT-Xent over 2·batch views on cosines, projector with BatchNorm dropped after training, two augmented views.
Differs: house encoder, mean over tokens, AdamW instead of LARS, temperature .2 for small batches; views come from
the modality.
Not verified: ImageNet-1k, none of whose rows was run here.
Published: online linear, ResNet-18, 1000 epochs, temperature .2: CIFAR-10 90.74, CIFAR-100 65.78 (solo-learn); kNN on
CIFAR-10, ResNet-18, 200 epochs .847 (lightly); Imagenette, ViT-S/16, 200 epochs, best online linear 74.9, kNN 73.3
(stable-pretraining); ImageNet-1k, ResNet-50, linear 69.3 [unverified].
Tests: test_losses.py, test_contracts.py, test_methods.py.
"""

import torch

from jepakit.losses import nt_xent
from jepakit.modality import Modality
from jepakit.nn import Projector
from jepakit.objective import Objective
from jepakit.recipe import vit
from jepakit.registry import methods
from jepakit.types import Batch, Losses, Size


class SimCLR(Objective):
    """Encoder, projector, contrast."""

    def __init__(self, modality: Modality, size: Size, temperature: float, out: int) -> None:
        super().__init__()
        self.modality, self.temperature = modality, temperature
        self.backbone = vit(modality, size)
        self.projector = Projector(size.dim, 4 * size.dim, out)

    def forward(self, batch: Batch, progress: float) -> Losses:
        views = torch.cat([self.modality.views(batch).x, self.modality.views(batch).x])
        a, b = self.projector(self.backbone.embed(Batch(views))).chunk(2)
        loss = nt_xent(a, b, self.temperature)
        return Losses(loss, {"contrast": loss.detach()})


@methods.register(
    "simclr",
    family="contrastive",
    paper="Chen et al. 2020, arXiv 2002.05709",
    augmentation="modality-specific",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
)
def simclr(modality: Modality, size: Size, *, temperature: float = 0.2, out: int = 64) -> SimCLR:
    """temperature: of the softmax; out: projector output width."""
    return SimCLR(modality, size, temperature, out)
