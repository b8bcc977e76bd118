"""stable-pretraining's contestants: its method classes, told the contest's sizes."""

from __future__ import annotations

import torch
from loguru import logger
from torch import Tensor, nn

from benchmark.peers import contest
from benchmark.peers.contest import Absent, Contestant, Inputs

logger.disable("stable_pretraining")  # it remarks on every module that is used without its trainer, and on its import
from stable_pretraining import methods  # noqa: E402
from stable_pretraining.backbone.patch_masking import IJEPAMaskOutput  # noqa: E402

PACKAGE = "stable-pretraining"
SIZE = contest.SIZE


class Given(nn.Module):
    """Its masking module, with masks that are given."""

    def __init__(self) -> None:
        super().__init__()
        self.context = self.target = torch.empty(0)

    def forward(self, x: Tensor, height: int, width: int) -> IJEPAMaskOutput:
        return IJEPAMaskOutput(
            context_idx=self.context, target_idx=self.target, target_block_masks=[], mask=self.target
        )


def build(name: str) -> Contestant:
    """The contestant of that name. Raises Absent for I-JEPA's blocks one by one."""
    if name == "mae":
        mae = methods.MAE(
            contest.TIMM, decoder_embed_dim=SIZE.predictor_dim, decoder_depth=SIZE.predictor_depth,
            decoder_num_heads=SIZE.predictor_heads, mask_ratio=1 - contest.KEEP,
        )  # fmt: skip
        return Contestant(PACKAGE, mae, lambda inputs: mae(inputs.images).loss)
    if name == "simclr":
        simclr = methods.SimCLR(
            contest.TIMM, projector_dims=(contest.HIDDEN, contest.OUT), temperature=contest.TEMPERATURE
        )
        return Contestant(PACKAGE, simclr, lambda inputs: simclr(inputs.images, inputs.other).loss)
    if name == "ijepa":
        raise Absent("its predictor sees the union of the target blocks in one sequence: see ijepa-joint")
    ijepa = methods.IJEPA(
        contest.TIMM, predictor_embed_dim=SIZE.predictor_dim, predictor_depth=SIZE.predictor_depth,
        ema_decay_start=contest.MOMENTUM,
    )  # fmt: skip
    ijepa.masking = given = Given()

    def loss(inputs: Inputs) -> Tensor:
        assert inputs.split is not None
        given.context, given.target = inputs.split.context[:, 0], inputs.split.target[:, 0, 0]
        value: Tensor = ijepa(inputs.images).loss
        return value

    return Contestant(PACKAGE, ijepa, loss, ijepa.encoder.update_teacher)
