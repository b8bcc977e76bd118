"""Barlow Twins (Zbontar et al. 2021): the cross-correlation of two views becomes the identity.

Source: arXiv 2103.03230.
Kept: embeddings batch-normalised without scale (biased variance, eps 1e-5), λ .0051, cross-correlation over the joint
batch, three-layer projector.
Differs: house encoder and AdamW (the paper's LARS collapses it on ViTs), so the loss scale of the released code is left
out; projector width 4·dim (8,192 in the paper); both views are drawn alike; views come from the modality.
Published: ImageNet-1k ResNet-50 linear 73.2 [unverified]; CIFAR-10 ResNet-18,
1,000 epochs, online linear 92.10 (solo-learn).
Tests: test_pairwise.py, test_siamese.py, test_methods.py.
"""

from functools import partial

from jepakit.modality import Modality
from jepakit.nn import Projector
from jepakit.pairwise import barlow as loss
from jepakit.recipe import embedder
from jepakit.registry import methods
from jepakit.siamese import Siamese
from jepakit.types import Size


@methods.register(
    "barlow",
    family="contrastive",
    paper="Zbontar et al. 2021, arXiv 2103.03230",
    augmentation="modality-specific",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
    space={"recipe.weight": (0.001, 0.025, "log")},
)
def barlow(modality: Modality, size: Size, *, weight: float = 0.0051, backbone: str = "vit") -> Siamese:
    """weight: λ of the off-diagonal entries; backbone: the house vit or one of timm."""
    encoder = embedder(modality, size, backbone)
    width = 4 * encoder.dim
    return Siamese(modality, encoder, Projector(encoder.dim, width, width, width), partial(loss, weight=weight))
