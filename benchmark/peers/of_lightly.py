"""lightly's contestants, put together from its public modules as its documentation puts them together."""

from __future__ import annotations

import copy

import timm
import torch
from lightly.loss import NTXentLoss
from lightly.models import utils
from lightly.models.modules import IJEPAPredictorTIMM, MaskedVisionTransformerTIMM
from lightly.models.modules.heads import SimCLRProjectionHead
from lightly.models.modules.masked_vision_transformer_decoder_timm import MaskedVisionTransformerDecoderTIMM
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.peers import contest
from benchmark.peers.contest import Contestant, Inputs

PACKAGE = "lightly"
SIZE = contest.SIZE
TOKENS = contest.GRID[0] * contest.GRID[1]


class MAE(nn.Module):
    """Class token and visible patches through the encoder, the whole sequence through the decoder."""

    def __init__(self) -> None:
        super().__init__()
        vit = timm.create_model(contest.TIMM, num_classes=0)
        self.backbone = MaskedVisionTransformerTIMM(vit=vit)
        self.embed = nn.Linear(SIZE.dim, SIZE.predictor_dim)
        self.decoder = MaskedVisionTransformerDecoderTIMM(
            num_patches=TOKENS, embed_dim=SIZE.predictor_dim, depth=SIZE.predictor_depth, num_heads=SIZE.predictor_heads
        )
        self.predict = nn.Linear(SIZE.predictor_dim, contest.CHANNELS * contest.PATCH**2)

    def forward(self, images: Tensor) -> Tensor:
        shape = (len(images), self.backbone.sequence_length)
        keep, hidden = utils.random_token_mask(size=shape, mask_ratio=1 - contest.KEEP, device=images.device)
        encoded = self.embed(self.backbone.encode(images=images, idx_keep=keep))
        sequence = utils.repeat_token(self.decoder.mask_token, shape)
        sequence = utils.set_at_index(sequence.type_as(encoded), keep, encoded)
        predicted = self.predict(utils.get_at_index(self.decoder(sequence), hidden))
        wanted = utils.get_at_index(utils.patchify(images, contest.PATCH), hidden - 1)
        return F.mse_loss(predicted, utils.normalize_mean_var(wanted, dim=-1))


class SimCLR(nn.Module):
    """Both views through a timm model and the projection head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model(contest.TIMM, num_classes=0)
        self.head = SimCLRProjectionHead(SIZE.dim, contest.HIDDEN, contest.OUT)
        self.criterion = NTXentLoss(temperature=contest.TEMPERATURE)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        loss: Tensor = self.criterion(self.head(self.backbone(a)), self.head(self.backbone(b)))
        return loss


class IJEPA(nn.Module):
    """Visible patches through the encoder, one predictor sequence per target block, all patches through the teacher."""

    def __init__(self) -> None:
        super().__init__()
        vit = timm.create_model(contest.TIMM, num_classes=0, class_token=False, global_pool="avg", fc_norm=False)
        self.encoder = MaskedVisionTransformerTIMM(vit=vit)
        self.teacher = copy.deepcopy(self.encoder).requires_grad_(False)
        self.predictor = IJEPAPredictorTIMM(
            num_patches=TOKENS, depth=SIZE.predictor_depth, mlp_dim=SIZE.dim, predictor_embed_dim=SIZE.predictor_dim,
            num_heads=SIZE.predictor_heads,
        )  # fmt: skip

    def forward(self, images: Tensor, context: Tensor, targets: list[Tensor]) -> Tensor:
        with torch.no_grad():
            wanted = self.teacher.encode(images)
            wanted = utils.apply_masks(F.layer_norm(wanted, wanted.shape[-1:]), targets)
        visible = self.encoder.encode(images, idx_keep=context)
        return F.smooth_l1_loss(self.predictor(visible, context, targets), wanted)

    def follow(self) -> None:
        utils.update_momentum(self.encoder, self.teacher, contest.MOMENTUM)


def build(name: str) -> Contestant:
    """The contestant of that name."""
    if name == "mae":
        mae = MAE()
        return Contestant(PACKAGE, mae, lambda inputs: mae(inputs.images))
    if name == "simclr":
        simclr = SimCLR()
        return Contestant(PACKAGE, simclr, lambda inputs: simclr(inputs.images, inputs.other))
    ijepa = IJEPA()

    def loss(inputs: Inputs) -> Tensor:
        assert inputs.split is not None
        value: Tensor = ijepa(inputs.images, inputs.split.context[:, 0], list(inputs.split.target[:, 0].unbind(1)))
        return value

    return Contestant(PACKAGE, ijepa, loss, ijepa.follow)
