"""EEG-VJEPA (Hojjati et al. 2025): V-JEPA's recipe on EEG as a film of electrodes by time, as a video-style port.

Source: github amir-hojjati/eeg-vjepa, which changes V-JEPA (arXiv 2404.08471) in its input only.
Kept: short-range masks (union of 8 blocks of 15 % of the plane) and long-range ones (2 of 70 %), aspects .75 to 1.5, blocks
through all axes before the last two, L1 on targets LayerNormed without affine, EMA .998 → 1, weight decay .04 → .4, clip 10;
blocks are cut to the plane as in the release, so that a plane of few rows hides much less than was meant.
Differs: tokens of one channel and stretch of time instead of tubelets of four channels by thirty samples; one of the two
mask sets a step, drawn at random, instead of both; one mask token; contexts of a fixed length by random subsampling (the
release keeps the first tokens up to the batch minimum); no flips in training; ``corrected=True`` keeps the blocks' share
on planes that are no squares; in short runs the EMA start is lowered (schedules.momentum).
Not verified: the published numbers, which are on a split of TUAB of the authors' own.
Published: TUAB, own split (276 normal and 270 abnormal recordings to train): frozen with an attentive classifier accuracy
.833, AUROC .877; fine-tuned .858, .885.
Tests: test_spheres.py, test_contracts.py, test_methods.py.
"""

from torch.nn import functional as F

from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.spheres import spatial
from jepakit.targets import EMA, layer_norm
from jepakit.types import Size
from jepakit.video_masks import VideoBlocks


@methods.register(
    "eeg-vjepa",
    family="jepa",
    paper="Hojjati et al. 2025, EEG-VJEPA",
    augmentation="none",
    training={"weight_decay": (0.04, 0.4), "betas": (0.9, 0.999), "clip": 10.0},
    space={"recipe.corrected": (True, False, "choice")},
)
def film(
    modality: Modality, size: Size, *, corrected: bool = False, ema: tuple[float, float] = (0.998, 1.0)
) -> MaskedJEPA:
    """corrected: blocks keep their share of a plane that is no square; ema: momentum start and end."""
    modality = spatial(modality)
    backbone = vit(modality, size)
    return MaskedJEPA(
        backbone=backbone,
        predictor=narrow(size),
        masker=VideoBlocks(modality.grid, corrected=corrected),
        target=EMA(backbone, momentum(*ema, size.steps), norm=layer_norm),
        distance=F.l1_loss,
    )
