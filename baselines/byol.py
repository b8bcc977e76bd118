"""BYOL (Grill et al. 2020): predict an EMA teacher's projection of the other view; no negatives.

Source: arXiv 2006.07733.
Kept: 2 − 2·cos, both directions summed, predictor on the student's side only, teacher momentum on a cosine to 1, teacher
with its own batch statistics, the online encoder is probed.
Differs: house encoder and AdamW (the paper's LARS collapses BYOL on ViTs); hidden width 4·dim, output dim; momentum starts
at .99 (.996 for a batch of 4,096) and lower in runs under 1,000 steps; views come from the modality.
Published: ImageNet-1k ResNet-50 linear 74.3 [unverified]; CIFAR-10 ResNet-18,
1,000 epochs, online linear 92.58 (solo-learn).
Tests: test_pairwise.py, test_siamese.py, test_methods.py.
"""

from torch import nn

from jepakit.modality import Modality
from jepakit.nn import Projector
from jepakit.pairwise import cosine_gap
from jepakit.recipe import embedder
from jepakit.registry import methods
from jepakit.schedules import cosine, momentum
from jepakit.siamese import Taught
from jepakit.types import Size


@methods.register(
    "byol",
    family="contrastive",
    paper="Grill et al. 2020, arXiv 2006.07733",
    augmentation="modality-specific",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
)
def byol(
    modality: Modality,
    size: Size,
    *,
    ema: tuple[float, float] = (0.99, 1.0),
    predictor: bool = True,
    backbone: str = "vit",
) -> Taught:
    """ema: momentum range; predictor: False only to show the collapse that it prevents;
    backbone: the house vit or one of timm."""
    encoder = embedder(modality, size, backbone)
    dim, hidden = encoder.dim, 4 * encoder.dim
    return Taught(
        modality,
        encoder,
        Projector(dim, hidden, dim),
        Projector(dim, hidden, dim) if predictor else nn.Identity(),
        cosine_gap,
        momentum(*ema, size.steps, shape=cosine),
    )
