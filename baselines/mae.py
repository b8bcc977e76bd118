"""MAE (He et al. 2022): reconstruct the normalised raw patches of hidden tokens; the pixel-target control of a JEPA.

Source: arXiv 2111.06377.
Kept: hidden tokens dropped before the encoder, light decoder, per-patch normalised target (unbiased variance), MSE on
hidden patches only, betas (.9, .95), weight decay .05.
Differs: on sequences the masks are those of the board's latent-predicting rows (hidden runs, 15–25 % visible), so that
only the target differs; elsewhere a random quarter stays visible; house encoder and predictor.
Not verified: ImageNet-1k, none of whose rows was run here.
Published: ImageNet-1k, linear probe behind a BatchNorm: ViT-B 68.0, ViT-L 76.0, ViT-H 77.2 (run again: 67.8, 75.8, 76.6);
fine-tuned 83.66, 85.95, 86.93. CIFAR-10, 100 epochs, encoder and decoder of 9 + 3 layers: linear 49.33 (Keras example);
Imagenette, ViT-S/16, 200 epochs: best online linear 84.1, kNN 72.1 (stable-pretraining).
Tests: test_targets.py, test_contracts.py, test_methods.py.
"""

from torch.nn import functional as F

from jepakit.masking import Subset, structured
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.targets import Input, patch_norm
from jepakit.types import Size


@methods.register(
    "mae",
    family="mae",
    paper="He et al. 2022, arXiv 2111.06377",
    augmentation="none",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.95)},
)
def mae(modality: Modality, size: Size, *, random: float | None = None) -> MaskedJEPA:
    """random: the share of tokens that stays visible, drawn at random as in the paper (.25 there), whatever the grid."""
    return MaskedJEPA(
        backbone=vit(modality, size),
        predictor=narrow(size, out=modality.patch_values),
        masker=structured(modality.grid) if random is None else Subset(modality.grid, random),
        target=Input(modality.patches, norm=patch_norm),
        distance=F.mse_loss,
    )
