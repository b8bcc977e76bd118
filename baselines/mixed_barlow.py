"""Mixed Barlow Twins (Bandara et al. 2023): Barlow Twins, and mixed inputs should embed as the mixture of embeddings.

Source: arXiv 2312.02151.
Kept: mixture of view 1 with a permutation of view 2, share ~ Beta(1, 1) per batch, unbiased standard deviation, extra loss
λ_reg·λ_BT·(‖C^A − ideal‖² + ‖C^B − ideal‖²), λ_BT 1/128, λ_reg 4.
Differs: house encoder and AdamW; projector width 4·dim (1,024 in the paper); views come from the modality.
Published: CIFAR-10 ResNet-18, 1,000 epochs, kNN 90.52, linear 92.58 (best epoch on test, optimistic).
Tests: test_pairwise.py, test_siamese.py, test_methods.py.
"""

import torch

from jepakit.masking import uniform
from jepakit.modality import Modality
from jepakit.nn import Embedder, Projector
from jepakit.pairwise import barlow, mixed_barlow
from jepakit.recipe import embedder
from jepakit.registry import methods
from jepakit.siamese import Siamese
from jepakit.types import Batch, Losses, Size


class MixedBarlow(Siamese):
    """Barlow Twins with a third, mixed view."""

    def __init__(
        self, modality: Modality, backbone: Embedder, projector: Projector, weight: float, mixed: float
    ) -> None:
        super().__init__(modality, backbone, projector, lambda a, b: barlow(a, b, weight, unbiased=True))
        self.mixed = mixed * weight

    def forward(self, batch: Batch, progress: float) -> Losses:
        one, two = self.pair(batch)
        share = uniform(0.0, 1.0)  # Beta(1, 1)
        partner = torch.rand(len(batch), device=batch.x.device).argsort()
        a, b, m = (self.project(v) for v in (one, two, one.with_x(share * one.x + (1 - share) * two.x[partner])))
        pair, mixture = self.loss(a, b), mixed_barlow(m, a, b, partner, share)
        return Losses(pair + self.mixed * mixture, {"pair": pair.detach(), "mixture": mixture.detach()})


@methods.register(
    "mixed-barlow",
    family="contrastive",
    paper="Bandara et al. 2023, arXiv 2312.02151",
    augmentation="modality-specific",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
    space={"recipe.mixed": (1.0, 16.0, "log")},
)
def mixed_barlow_twins(
    modality: Modality, size: Size, *, weight: float = 1 / 128, mixed: float = 4.0, backbone: str = "vit"
) -> MixedBarlow:
    """weight: λ_BT of the off-diagonal entries; mixed: λ_reg of the mixture term; backbone: the house vit or one of timm."""
    encoder = embedder(modality, size, backbone)
    width = 4 * encoder.dim
    return MixedBarlow(modality, encoder, Projector(encoder.dim, width, width, width), weight, mixed)
