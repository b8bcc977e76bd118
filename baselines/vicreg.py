"""VICReg (Bardes et al. 2022): two views agree, every dimension keeps its variance, dimensions are decorrelated.

Source: arXiv 2105.04906.
Kept: 25·MSE + 25·½(h₁ + h₂) + 1·(c₁ + c₂), unbiased variance, covariance over the joint batch divided by the width,
three-layer expander.
Differs: house encoder and AdamW instead of LARS; expander width 4·dim (8,192 in the paper); views come from the modality.
Published: ImageNet-1k ResNet-50 linear 73.2 [unverified]; CIFAR-10 ResNet-18, 1,000 epochs, online linear 92.07
(solo-learn);
ResNet-18, 300 epochs, 90.12 (eb_jepa).
Tests: test_pairwise.py, test_losses.py, test_siamese.py, test_methods.py.
"""

from functools import partial

from jepakit.modality import Modality
from jepakit.nn import Projector
from jepakit.pairwise import vicreg as loss
from jepakit.recipe import embedder
from jepakit.registry import methods
from jepakit.siamese import Siamese
from jepakit.types import Size


@methods.register(
    "vicreg",
    family="contrastive",
    paper="Bardes et al. 2022, arXiv 2105.04906",
    augmentation="modality-specific",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
    space={"recipe.covariance": (0.1, 10.0, "log")},
)
def vicreg(
    modality: Modality,
    size: Size,
    *,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    backbone: str = "vit",
) -> Siamese:
    """invariance, variance, covariance: weights of the terms (variance=0 shows the collapse that it prevents);
    backbone: the house vit or one of timm."""
    encoder = embedder(modality, size, backbone)
    width = 4 * encoder.dim
    terms = partial(loss, invariance=invariance, variance=variance, covariance=covariance)
    return Siamese(modality, encoder, Projector(encoder.dim, width, width, width), terms)
