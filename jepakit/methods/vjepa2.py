"""V-JEPA 2 (Assran et al. 2025): V-JEPA with rotary positions in every block and a teacher of constant momentum.

Source: arXiv 2506.09985 and its released code (github facebookresearch/vjepa2).
Kept: what V-JEPA's file says of masks, sets, mask tokens, targets and L1; rotary positions in three equal even parts of each
head, the rest unturned, with the frequencies tiled over a pair of dims as in the release (``pairing="corrected"``: a pair
turns as one, so that only differences of positions count); EMA .99925 and weight decay .04 throughout, no clipping.
Differs: what V-JEPA's file says; the learning rate is the board's, where the paper's stays constant after its warm-up until
a cool-down with longer clips; fewer heads where a head would have no pair of dims for each axis; as many parts as the grid
has axes; in short runs the momentum is lower (1 − 10/steps).
Not verified: Kinetics and Something-Something, none of whose rows was run here; the cool-down.
Published: frozen encoder, attentive probe of four blocks: Something-Something v2 77.3, Diving-48 90.2; ViT-L in SALT's
setting: 68.2, Kinetics-400 83.8. No small setting.
Tests: test_methods_video.py, test_rotary.py, test_tubes.py, test_contracts.py.
"""

from typing import Literal

from torch.nn import functional as F

from jepakit.mask_sets import MaskSets
from jepakit.modality import Modality
from jepakit.recipe import narrow
from jepakit.registry import methods
from jepakit.rotary import Pairing, RotaryBackbone, RotaryPredictor
from jepakit.schedules import constant
from jepakit.targets import EMA, layer_norm
from jepakit.tubes import MultiBlocks, PaperMultiBlocks
from jepakit.types import Size


@methods.register(
    "vjepa2",
    family="jepa",
    paper="Assran et al. 2025, arXiv 2506.09985",
    augmentation="none",
    training={"weight_decay": (0.04, 0.04), "betas": (0.9, 0.999)},
    space={"recipe.ema": (0.99, 0.9999, "linear")},
)
def vjepa2(
    modality: Modality,
    size: Size,
    *,
    sampler: Literal["corrected", "legacy"] = "corrected",
    pairing: Pairing = "released",
    ema: float = 0.99925,
) -> MaskSets:
    """sampler: masks of fixed lengths or the release's; pairing: how frequencies lie in a head; ema: momentum throughout."""
    axes = len(modality.grid)
    backbone = RotaryBackbone(
        modality.tokenizer(size.dim), size.dim, size.depth, size.heads, axes=axes, pairing=pairing
    )
    held = min(ema, max(0.0, 1 - 10 / size.steps))
    return MaskSets(
        backbone=backbone,
        predictor=narrow(size, kind=RotaryPredictor, axes=axes, pairing=pairing),
        masker=MultiBlocks(modality.grid) if sampler == "corrected" else PaperMultiBlocks(modality.grid),
        target=EMA(backbone, constant(held), norm=layer_norm),
        distance=F.l1_loss,
    )
