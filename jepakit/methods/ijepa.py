"""I-JEPA (Assran et al. 2023): predict the latent features of four blocks from one context block, block by block.

Source: arXiv 2301.08243 and its released code (github facebookresearch/ijepa).
Kept: teacher on the full input, targets LayerNormed without affine after the encoder, four target blocks each
predicted in a pass of its own, context block minus targets, smooth-L1, EMA .996 → 1, weight decay .04 → .4.
Differs: corrected mask sampler with a context of fixed size (masking.Blocks), one- or two-axis grids; house encoder
(no biases, one register); in runs under 2,500 steps the EMA start is lowered (schedules.momentum); no random resized
crop unless the modality crops.
Tests: test_masking.py, test_nn.py, test_targets.py, test_methods.py.
"""

from torch.nn import functional as F

from jepakit.masking import Blocks
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import EMA, layer_norm
from jepakit.types import Size


@methods.register(
    "ijepa",
    family="jepa",
    paper="Assran et al. 2023, arXiv 2301.08243",
    augmentation="none",
    training={"weight_decay": (0.04, 0.4), "betas": (0.9, 0.999)},
    space={"recipe.keep": (0.125, 0.5, "log")},
)
def ijepa(
    modality: Modality,
    size: Size,
    *,
    targets: int = 4,
    target_scale: tuple[float, float] = (0.15, 0.20),
    keep: float = 0.25,
    ema: tuple[float, float] = (0.996, 1.0),
) -> MaskedJEPA:
    """targets: number of blocks; target_scale: their share of the grid; keep: visible share; ema: momentum range."""
    backbone = vit(modality, size)
    return MaskedJEPA(
        backbone=backbone,
        predictor=narrow(size),
        masker=Blocks(modality.grid, targets=targets, target_scale=target_scale, keep=keep),
        target=EMA(backbone, momentum(*ema, size.steps), norm=layer_norm),
        distance=F.smooth_l1_loss,
    )
