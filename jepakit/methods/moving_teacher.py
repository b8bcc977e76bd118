"""Control of SALT (Li et al. 2025): its student before a teacher that follows it, as V-JEPA's does (arXiv 2404.08471).

Source: arXiv 2509.24317 and 2404.08471; no code was read.
Kept: the masks, predictor, distance and schedules of SALT's second stage, for the whole budget; of V-JEPA the teacher: EMA
of the student, momentum .998 → 1, targets LayerNormed without affine.
Differs: everything that SALT's file says; of V-JEPA its tubes, mask sets, weight decay and clipping, so that two rows differ
by their teacher alone; in short runs the EMA start is lowered (schedules.momentum).
Not verified: nothing is published of this row.
Published: no setting.
Tests: test_methods_salt.py, test_methods.py.
"""

from torch.nn import functional as F

from jepakit.methods.salt import FACTS
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.patchwork import multiblock
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import EMA, layer_norm
from jepakit.types import Size


@methods.register("moving-teacher", family="jepa", paper="Li et al. 2025, V-JEPA's teacher", **FACTS)
def moving_teacher(modality: Modality, size: Size, *, ema: tuple[float, float] = (0.998, 1.0)) -> MaskedJEPA:
    """ema: first and last momentum of the teacher."""
    backbone = vit(modality, size)
    return MaskedJEPA(
        backbone=backbone,
        predictor=narrow(size),
        masker=multiblock(modality.grid),
        target=EMA(backbone, momentum(*ema, size.steps), norm=layer_norm),
        distance=F.l1_loss,
    )
