"""ECG-JEPA (Weimann & Conrad 2024): predict the latent features of long hidden stretches of an ECG from what is left.

Source: the paper and its released code (github kweimann/ECG-JEPA).
Kept: joint-lead patch tokens, bias-free encoder with one register, hidden-run masks (1.3), L1 on the teacher's normed
output, narrow predictor over all hidden tokens at once, EMA .998 → .9995, weight decay .01 → .1.
Differs: the EMA update follows the optimiser step (the release updates before the next forward: the same sequence of
teachers, momentum read one step earlier); in runs under 5,000 steps the EMA start is lowered (schedules.momentum);
learning rate, batch and run length are the board's; probed linearly on the mean token.
Not verified: PTB-XL with the paper's data and run length.
Published: PTB-XL, macro AUC of all 71 statements, frozen encoder under attention pooling with one learnt query: ViT-S
.938 and ViT-XS .933 (ten data sets), ViT-S .926 and ViT-XS .931 (PTB-XL alone); random ViT-XS .815, SimCLR .883, BYOL .878,
CPC .927. Fine-tuned: ViT-S .945 and .930, ViT-XS .939 and .940.
Tests: test_masking.py, test_contracts.py, test_nn.py, test_targets.py, test_methods.py.
"""

from torch.nn import functional as F

from jepakit.masking import Runs
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import EMA
from jepakit.types import Size


@methods.register(
    "ecgjepa",
    family="jepa",
    paper="Weimann & Conrad 2024, ECG-JEPA",
    augmentation="none",
    training={"weight_decay": (0.01, 0.1), "betas": (0.9, 0.99), "eps": 1e-6},
    space={"recipe.keep": (0.5, 2.0, "factor")},
)
def ecgjepa(
    modality: Modality,
    size: Size,
    *,
    keep: tuple[float, float] = (0.15, 0.25),
    min_block: int | None = None,
    ema: tuple[float, float] = (0.998, 0.9995),
) -> MaskedJEPA:
    """keep: range of the visible fraction; min_block: shortest hidden block in tokens; ema: momentum start and end."""
    backbone = vit(modality, size)
    return MaskedJEPA(
        backbone=backbone,
        predictor=narrow(size),
        masker=Runs(modality.grid, keep, min_block),
        target=EMA(backbone, momentum(*ema, size.steps)),
        distance=F.l1_loss,
    )
