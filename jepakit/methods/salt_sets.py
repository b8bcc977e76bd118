"""SALT (Li et al. 2025) under V-JEPA's two sets of masks: the frozen-teacher arm beside vjepa, and its first stage alone.

Source: arXiv 2509.24317; no code was read.
Kept: what SALT's file says; both stages under short-range and long-range tubes on every batch, as the paper takes them from
V-JEPA 2; salt-sets-teacher is stage 1 continued for the whole budget; the EMA arm at equal FLOPs is vjepa with budget=flops.
Differs: house encoder and predictor, also as the decoder of stage 1; lists of fixed length (tubes.MultiBlocks); weight decay
.05 in both stages; the learning rate is the board's.
Not verified: the paper's decoder size and its weight decay.
Published: frozen, attentive probe: ViT-L SSv2 74.9, K400 85.4 (V-JEPA 2 ViT-L in the same setting: 68.2, 83.8); students of
teachers trained on multi-block masks beat those of tube masks (77.4 against 76.9). No small setting.
Tests: test_methods_video.py, test_methods_salt.py, test_contracts.py.
"""

from typing import Any

from torch.nn import functional as F

from jepakit.mask_sets import MaskSets, SetPredictor
from jepakit.methods.salt import FACTS, SALT
from jepakit.modality import Modality
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.targets import Frozen, Input, patch_norm
from jepakit.tubes import MultiBlocks
from jepakit.types import Size, UsageError


class SaltSets(SALT, MaskSets):
    """SALT's two stages, each of them over several sets of masks."""


def first_stage(modality: Modality, size: Size) -> MaskSets:
    """A masked autoencoder under both sets of masks."""
    return MaskSets(
        backbone=vit(modality, size),
        predictor=narrow(size, out=modality.patch_values, kind=SetPredictor),
        masker=MultiBlocks(modality.grid),
        target=Input(modality.patches, norm=patch_norm),
        distance=F.mse_loss,
    )


@methods.register("salt-sets", family="jepa", paper="Li et al. 2025, arXiv 2509.24317", stages=2, **FACTS)
def salt_sets(modality: Modality, size: Size, *, stages: tuple[float, float] = (1 / 6, 5 / 6)) -> SaltSets:
    """stages: shares of the steps for teacher and student."""
    if min(stages) <= 0 or abs(sum(stages) - 1) > 1e-6:
        raise UsageError(f"recipe.stages are two shares above 0 that add up to 1, not {stages}")
    first = first_stage(modality, size)
    slots: dict[str, Any] = {
        "backbone": vit(modality, size),
        "predictor": narrow(size, kind=SetPredictor),
        "masker": MultiBlocks(modality.grid),
        "target": Frozen(first.backbone),
        "distance": F.l1_loss,
    }
    return SaltSets(first=first, stages=stages, **slots)


@methods.register("salt-sets-teacher", family="mae", paper="Li et al. 2025, stage 1 only", **FACTS)
def salt_sets_teacher(modality: Modality, size: Size) -> MaskSets:
    """The first stage for the whole budget: what the student has to beat."""
    return first_stage(modality, size)
