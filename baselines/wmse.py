"""W-MSE (Ermolov et al. 2021): two views, whitened within sub-batches, become equal.

Source: arXiv 2007.06346.
Kept: Cholesky whitening of the unbiased covariance on random sub-batches of at most 128 rows, the same rows in both views,
2 − 2·cos between normalised whitened pairs; a sub-batch holds at least twice as many rows as dimensions.
Differs: house encoder and AdamW; 16 dimensions instead of 64, so that batches of 32 satisfy the sub-batch rule; covariance
shrunk towards the identity by 1e-4; sub-batches of the joint batch of all processes; views come from the modality.
Published: CIFAR-10 ResNet-18, 1,000 epochs, online linear 88.67 (solo-learn); paper 91.55 [unverified].
Tests: test_pairwise.py, test_siamese.py, test_methods.py.
"""

from jepakit.modality import Modality
from jepakit.nn import Projector
from jepakit.pairwise import Whitening
from jepakit.recipe import embedder
from jepakit.registry import methods
from jepakit.siamese import Siamese
from jepakit.types import Size, UsageError


@methods.register(
    "wmse",
    family="contrastive",
    paper="Ermolov et al. 2021, arXiv 2007.06346",
    augmentation="modality-specific",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
)
def wmse(
    modality: Modality, size: Size, *, out: int = 16, rows: int = 128, times: int = 1, backbone: str = "vit"
) -> Siamese:
    """out: whitened width; rows: of a sub-batch, at most; times: draws of sub-batches a step; backbone: the house vit or
    one of timm."""
    if rows < 2 * out:
        raise UsageError(
            f"whitening {out} dimensions needs sub-batches of {2 * out} rows; recipe.rows={rows} is too few"
        )
    encoder = embedder(modality, size, backbone)
    projector = Projector(encoder.dim, 4 * encoder.dim, out)
    objective = Siamese(modality, encoder, projector, Whitening(rows, times))
    objective.least_batch = 2 * out
    return objective
