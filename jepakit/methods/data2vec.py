"""data2vec 2 (Baevski et al. 2022): predict the average of an EMA teacher's upper layers; many masks share a teacher pass.

Source: arXiv 2212.07525 and 2202.03555 (data2vec) and their released code.
Kept: teacher on the full input; target = mean of its last layers (10 of 12), each instance-normed over the tokens, then
LayerNormed without affine; inverse block masks hide 80 %, hidden tokens never enter the encoder; several masks of a sample
per teacher pass; squared error at all hidden tokens (``beta`` = 2: data2vec's smooth-L1); betas (.9, .95), clipping at 4,
EMA .9998 → .99999.
Differs: house predictor instead of six convolutions; four masks a sample (paper: 16); no noise on the tokens and no loss on
a class token (the house encoder has none); in short runs the EMA start is lowered (schedules.momentum); the momentum rises
over the whole run (paper: 100k of 375k updates); the teacher is probed.
Not verified: equality of the released mask sampler, which may place blocks across the border.
Published: Imagenette, ViT-S/16, 200 epochs, best online linear 26.3 (stable-pretraining); no small number by the authors.
Tests: test_targets.py, test_patchwork.py, test_methods_masked.py, test_methods.py.
"""

from functools import partial

from torch.nn import functional as F

from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.patchwork import inverse_blocks
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import EMA, instance_norm, layer_norm
from jepakit.types import Size, UsageError


@methods.register(
    "data2vec",
    family="jepa",
    paper="Baevski et al. 2022, arXiv 2212.07525",
    augmentation="none",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.95), "clip": 4.0},
    space={"recipe.hide": (0.5, 0.9, "linear")},
)
def data2vec(
    modality: Modality,
    size: Size,
    *,
    layers: int | None = None,
    hide: float = 0.8,
    block: int = 3,
    masks: int = 4,
    beta: float = 0.0,
    ema: tuple[float, float] = (0.9998, 0.99999),
) -> MaskedJEPA:
    """layers: how many of the teacher's last layers are averaged (5 of 6 by default); hide: hidden share (.6 to .8); block:
    side of a visible block in tokens; masks: per sample and teacher pass; beta: threshold of smooth-L1, 0 for squared error;
    ema: momentum range."""
    top = max(1, round(size.depth * 5 / 6)) if layers is None else layers
    if not 1 <= top <= size.depth or beta < 0:
        raise UsageError(f"recipe.layers is 1 to {size.depth} (size.depth) and recipe.beta ≥ 0, not {top} and {beta}")
    backbone = vit(modality, size)
    target = EMA(backbone, momentum(*ema, size.steps), norm=instance_norm, layers=top, final=layer_norm)
    return MaskedJEPA(
        backbone=backbone,
        predictor=narrow(size),
        masker=inverse_blocks(modality.grid, hide=hide, side=block, contexts=masks),
        target=target,
        distance=partial(F.smooth_l1_loss, beta=beta) if beta else F.mse_loss,
    )
