"""I-JEPA (Assran et al. 2023): predict the latent features of four blocks from one context block, block by block.

Source: arXiv 2301.08243 and its released code (github facebookresearch/ijepa).
Kept: teacher on the full input, targets LayerNormed without affine after the encoder, four target blocks each
predicted in a pass of its own, context block minus targets, smooth-L1 (the release; the paper writes squared L2), EMA
.996 → 1, weight decay .04 → .4; with ``sampler="paper"`` the release's masks, biases included.
Differs: corrected mask sampler with a context of fixed size (masking.Blocks), any grid; house encoder and predictor (no
biases, one register); in runs under 2,500 steps the EMA start is lowered (schedules.momentum); no random resized crop
unless the modality crops; probed on the mean over the last layer's tokens.
Not verified: ImageNet-1k, none of whose rows was run here.
Published: ImageNet-1k linear probe of the teacher, ViT-B/16 600 epochs 72.9, ViT-L/16 600 epochs 77.5, ViT-H/14 300
epochs 79.3 (MAE in the same table 68.0, 76.0, 77.2); CIFAR-10, ViT of width 128 and depth 6, 100 epochs, linear probe 52.7
(keon/jepa); Imagenette, ViT-S/16, 200 epochs, linear 34.0, kNN 33.2 (stable-pretraining, untuned).
Tests: test_masking.py, test_paper_masks.py, test_contracts.py, test_nn.py, test_targets.py.
"""

from typing import Literal

from torch.nn import functional as F

from jepakit.masking import Blocks, Masker
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.paper_masks import PaperBlocks
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import EMA, layer_norm
from jepakit.types import Size, UsageError


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
    sampler: Literal["corrected", "paper"] = "corrected",
    ema: tuple[float, float] = (0.996, 1.0),
) -> MaskedJEPA:
    """targets: number of blocks; target_scale: their share of the grid; keep: visible share; sampler: the release's masks
    (two-axis grids, whatever share its cut leaves) or the corrected ones; ema: momentum range."""
    masker: Masker
    if sampler == "corrected":
        masker = Blocks(modality.grid, targets=targets, target_scale=target_scale, keep=keep)
    elif keep == 0.25:
        masker = PaperBlocks(modality.grid, targets=targets, target_scale=target_scale)
    else:
        raise UsageError(
            "the released sampler keeps what its cut to the batch leaves; recipe.keep needs sampler=corrected"
        )
    backbone = vit(modality, size)
    return MaskedJEPA(
        backbone=backbone,
        predictor=narrow(size),
        masker=masker,
        target=EMA(backbone, momentum(*ema, size.steps), norm=layer_norm),
        distance=F.smooth_l1_loss,
    )
