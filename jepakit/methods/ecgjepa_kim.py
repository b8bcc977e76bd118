"""ECG_JEPA (Kim 2024): one token per lead and time, attention only within a lead or a time, prediction lead by lead.

Source: github sehunfromdaegu/ECG_JEPA, arXiv 2410.08559 and its released code.
Kept: cross-pattern attention, positions (lead, time) added at every block, a time mask common to all leads, targets
LayerNormed without affine, lead-wise predictor without lead code, smooth-L1, EMA .996 → 1, weight decay .05.
Differs: leads, patch and sampling rate are the data set's; residual projections are initialised with one std for
all blocks; random masks are drawn per sample; in short runs the EMA start is lowered (schedules.momentum); the last
legal start of a block is drawn (``legacy=True`` restores the release).
Not verified: the published numbers; none was run here.
Published: PTB-XL, linear macro AUC ≈ .894 after about 22 GPU hours, read off a figure of its repository (ST-MEM ≈ .880);
CPSC 2018, multilabel linear, log of the repository: AUC .971, F1 .789 (multi-block masks, epoch 100).
Tests: test_masking.py, test_contracts.py, test_nn.py, test_methods.py.
"""

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from jepakit.masking import Columns, SharedBlocks, Subset
from jepakit.modality import Modality
from jepakit.nn import Predictor, sincos
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import EMA, layer_norm
from jepakit.types import Size, Tokens


def cross_pattern(pos: Float[Tensor, "b n p"]) -> Bool[Tensor, "b n n"]:
    """CroPA: a token may attend to tokens of its own lead or of its own time."""
    return (pos[:, :, None] == pos[:, None, :]).any(-1)


class LeadPredictor(Predictor):
    """The predictor on each lead's sequence alone, with time positions only."""

    leads: int

    def forward(self, context: Tokens, query: Float[Tensor, "b m t q p"]) -> Float[Tensor, "b m t q e"]:
        samples = len(query)
        x = context.x.unflatten(1, (self.leads, -1)).flatten(0, 1)
        time = context.pos[..., 1:].unflatten(1, (self.leads, -1)).flatten(0, 1)
        asked = query[:, 0, 0, :, 1:].unflatten(1, (self.leads, -1)).flatten(0, 1)
        predicted = super().forward(Tokens(x, time), asked[:, None, None])
        return predicted[:, 0, 0].unflatten(0, (samples, self.leads)).flatten(1, 2)[:, None, None]


@methods.register(
    "ecgjepa-kim",
    family="jepa",
    paper="Kim 2024, arXiv 2410.08559",
    augmentation="none",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
)
def ecgjepa_kim(
    modality: Modality,
    size: Size,
    *,
    blocks: bool = True,
    legacy: bool = False,
    cropa: bool = True,
    ema: tuple[float, float] = (0.996, 1.0),
) -> MaskedJEPA:
    """blocks: multi-block masks (the variant with a published log) or random times; legacy: the release's block starts;
    cropa: its attention; ema: momentum start and end."""
    modality = modality.channelwise()
    leads, times = modality.grid
    along = SharedBlocks((times,), legacy=legacy) if blocks else Subset((times,), hide=(0.6, 0.7))
    attention = cross_pattern if cropa else None
    theirs: dict[str, Any] = {"code": sincos, "every": True, "bias": True}
    backbone = vit(modality, size, registers=0, attention=attention, drop_path=0.1, **theirs)
    predictor = narrow(size, kind=LeadPredictor, **theirs)
    predictor.leads = leads  # type: ignore[assignment]
    return MaskedJEPA(
        backbone=backbone,
        predictor=predictor,
        masker=Columns(modality.grid, along),
        target=EMA(backbone, momentum(*ema, size.steps), norm=layer_norm),
        distance=F.smooth_l1_loss,
    )
