"""V-JEPA (Bardes et al. 2024): predict the latent features of tubes, under short-range and long-range masks on every batch.

Source: arXiv 2404.08471 and its released code (github facebookresearch/jepa).
Kept: tubes over all frames; the union of 8 blocks of 15 % and of 2 of 70 % of the plane, aspects .75 to 1.5, sizes per
batch; both sets on each batch with one teacher pass; a mask token per set, zero at first; all hidden places predicted in
one sequence; L1 on targets LayerNormed without affine; EMA .998 → 1, weight decay .04 → .4, clip 10; the optional variance
term (weight 0); ``sampler="legacy"``: the release's masks and its cut to the batch minimum.
Differs: lists of fixed length from whole tubes drawn at random (tubes.MultiBlocks; about what the release's cut leaves of a
batch of 24); house encoder and predictor and their position code; the learning rate is the board's and schedules end with
the run (the release stops at four fifths); in short runs the EMA start is lowered (schedules.momentum).
Not verified: Kinetics and Something-Something, none of whose rows was run here.
Published: frozen encoder, attentive probe, ViT-L/16, ViT-H/16: Kinetics-400 80.8, 82.0; Something-Something v2 69.5, 71.4;
ImageNet-1k 74.8, 75.9. No small setting.
Tests: test_methods_video.py, test_tubes.py, test_contracts.py.
"""

from typing import Literal

from torch.nn import functional as F

from jepakit.mask_sets import MaskSets, SetPredictor
from jepakit.modality import Modality
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import EMA, layer_norm
from jepakit.tubes import MultiBlocks, PaperMultiBlocks
from jepakit.types import Size


@methods.register(
    "vjepa",
    family="jepa",
    paper="Bardes et al. 2024, arXiv 2404.08471",
    augmentation="none",
    training={"weight_decay": (0.04, 0.4), "betas": (0.9, 0.999), "clip": 10.0},
)
def vjepa(
    modality: Modality,
    size: Size,
    *,
    sampler: Literal["corrected", "legacy"] = "corrected",
    variance: float = 0.0,
    ema: tuple[float, float] = (0.998, 1.0),
) -> MaskSets:
    """sampler: masks of fixed lengths or the release's; variance: weight of the variance term; ema: momentum range."""
    backbone = vit(modality, size)
    return MaskSets(
        backbone=backbone,
        predictor=narrow(size, kind=SetPredictor),
        masker=MultiBlocks(modality.grid) if sampler == "corrected" else PaperMultiBlocks(modality.grid),
        target=EMA(backbone, momentum(*ema, size.steps), norm=layer_norm),
        distance=F.l1_loss,
        variance=variance,
    )
