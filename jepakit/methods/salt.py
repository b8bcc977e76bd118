"""SALT (Li et al. 2025): a student predicts the latents of a frozen teacher, which learnt to reconstruct pixels.

Source: arXiv 2509.24317; no code was read.
Kept: stage 1 trains the teacher by masked reconstruction of normalised patches; stage 2 freezes it and trains a new student
and predictor with L1 on its latents (nothing after its last norm) at hidden places, no EMA; a sixth of the steps for the
teacher (40k of 240k), each stage with its own learning-rate schedule; multi-block masks in both.
Differs: house encoder and predictor, also as the decoder of stage 1; short-range blocks only, with context and targets of a
fixed size (patchwork.multiblock); weight decay .05 in both stages; the learning rate is the board's.
Not verified: the paper's decoder size and its weight decay.
Published: frozen, attentive probe: ViT-L SSv2 74.9, K400 85.4 (V-JEPA 2 ViT-L in the same setting: 68.2, 83.8); students of
teachers trained on multi-block masks beat those of tube masks (77.4 against 76.9). No small
setting. Controls are in salt_controls.py.
Tests: test_methods_salt.py, test_patchwork.py, test_methods.py.
"""

from dataclasses import replace
from typing import Any

from torch.nn import functional as F

from jepakit.modality import Modality
from jepakit.nn import Backbone, Embedder
from jepakit.objective import MaskedJEPA
from jepakit.patchwork import multiblock
from jepakit.recipe import narrow, trained, vit
from jepakit.registry import methods
from jepakit.schedules import stage_of
from jepakit.targets import Frozen, Input, patch_norm
from jepakit.types import Batch, Losses, Size, UsageError

FACTS = {"augmentation": "none", "training": {"weight_decay": (0.05, 0.05), "betas": (0.9, 0.95)}}


class SALT(MaskedJEPA):
    """The student of a frozen teacher, which ``first`` trains before it where given; the student is what is probed."""

    def __init__(self, first: MaskedJEPA | None = None, stages: tuple[float, ...] = (1.0,), **slots: Any) -> None:
        super().__init__(**slots)
        self.first, self.stages = first, stages
        if first is not None:
            first.requires_grad_(True)  # Frozen has switched the teacher's gradients off; stage 1 needs them

    def forward(self, batch: Batch, progress: float) -> Losses:
        if self.first is not None:
            learns = stage_of(progress, self.stages)[0] == 0
            self.first.backbone.train(learns and self.training)  # what drops units while it learns is still afterwards
            if learns:
                return self.first(batch, progress)
        return super().forward(batch, progress)

    def encoder(self) -> Embedder:
        return self.backbone


def reconstruction(modality: Modality, size: Size) -> MaskedJEPA:
    """Stage 1: a masked autoencoder."""
    return MaskedJEPA(
        backbone=vit(modality, size),
        predictor=narrow(size, out=modality.patch_values),
        masker=multiblock(modality.grid),
        target=Input(modality.patches, norm=patch_norm),
        distance=F.mse_loss,
    )


def student(modality: Modality, size: Size, teacher: Backbone, **stage: Any) -> SALT:
    """Stage 2: a new encoder and predictor before a frozen teacher."""
    return SALT(
        backbone=vit(modality, size),
        predictor=narrow(size, out=teacher.dim),
        masker=multiblock(modality.grid),
        target=Frozen(teacher),
        distance=F.l1_loss,
        **stage,
    )


@methods.register("salt", family="jepa", paper="Li et al. 2025, arXiv 2509.24317", stages=2, **FACTS)
def salt(
    modality: Modality,
    size: Size,
    *,
    stages: tuple[float, float] = (1 / 6, 5 / 6),
    teacher_dim: int | None = None,
    teacher_depth: int | None = None,
    teacher: str | None = None,
) -> SALT:
    """stages: shares of the steps for teacher and student; teacher_dim, teacher_depth: the teacher's size (default: the
    board's); teacher: a safetensors file with a trained encoder, which takes the place of stage 1."""
    if min(stages) <= 0 or abs(sum(stages) - 1) > 1e-6:
        raise UsageError(f"recipe.stages are two shares above 0 that add up to 1, not {stages}")
    theirs = replace(size, dim=teacher_dim or size.dim, depth=teacher_depth or size.depth)
    if theirs.dim % size.heads:
        raise UsageError(f"recipe.teacher_dim={theirs.dim} is not a multiple of the {size.heads} heads (size.heads)")
    if teacher is not None:
        return student(modality, size, trained(vit(modality, theirs), teacher))
    first = reconstruction(modality, theirs)
    return student(modality, size, first.backbone, first=first, stages=stages)
