"""VideoMAE (Tong et al. 2022): reconstruct the normalised pixels of nine in ten tubes; the pixel-target control of V-JEPA.

Source: arXiv 2203.12602 and its released code (github MCG-NJU/VideoMAE).
Kept: tubes (the same cells hidden in every time slot), exactly int(.9 · cells) of them; joint attention over space and time
on visible tokens alone; target = the values of each cube normalised per cube and per channel (unbiased standard deviation +
1e-6); MSE on hidden cubes only; betas (.9, .95), weight decay .05.
Differs: house encoder and predictor; on planes of fewer than ten tokens a lower ``hide`` has to be said.
Not verified: Kinetics and Something-Something, none of whose rows was run here.
Published: fine-tuned: Kinetics-400 ViT-B 81.5, ViT-L 85.2, ViT-H 86.6; Something-Something v2 ViT-B 70.8; UCF-101 from
scratch 91.3 (hiding .75). No frozen number.
Tests: test_methods_video.py, test_tubes.py, test_contracts.py.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.targets import Input
from jepakit.tubes import RandomTubes
from jepakit.types import Batch, Size


def per_channel(x: Float[Tensor, "b n e"], channels: int) -> Float[Tensor, "b n e"]:
    """The values of each token (channel-major) to mean 0 and unbiased standard deviation 1 within each channel."""
    values = x.unflatten(-1, (channels, -1))
    return ((values - values.mean(-1, keepdim=True)) / (values.std(-1, keepdim=True) + 1e-6)).flatten(-2)


@methods.register(
    "videomae",
    family="mae",
    paper="Tong et al. 2022, arXiv 2203.12602",
    augmentation="none",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.95)},
    space={"recipe.hide": (0.6, 0.95, "linear")},
)
def videomae(modality: Modality, size: Size, *, hide: float = 0.9) -> MaskedJEPA:
    """hide: share of the tubes that is hidden."""

    def cubes(batch: Batch) -> Tensor:
        # Pictures and films are (b, channels, …, height, width); other inputs have one channel per token.
        return per_channel(modality.patches(batch), batch.x.shape[1] if batch.x.ndim > 3 else 1)

    return MaskedJEPA(
        backbone=vit(modality, size),
        predictor=narrow(size, out=modality.patch_values),
        masker=RandomTubes(modality.grid, hide),
        target=Input(cubes),
        distance=F.mse_loss,
    )
