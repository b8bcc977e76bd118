"""T-JEPA (Thimonier et al. 2024): predict the latent features of hidden columns of a row from others, with learned
regularisation tokens.

Source: arXiv 2410.05016 and its released code (github jose-melo/t-jepa).
Kept: one token per column, context and targets disjoint, sizes drawn once a batch from ranges of shares, four target sets
predicted apart, regularisation tokens that every encoder pass sees, position code of base 100, mean squared error on targets
without norm, EMA .996 → 1, no weight decay.
Differs: four independent target sets over all columns (the release shuffles one array in place, so that all four are the
same, and its indices are off by the regularisation token, which is thereby hidden and asked for like a column while the
last column never takes part; ``released=True`` does that); house encoder and predictor (pre-norm, no biases); no clamp on
gradients; pre-trained on train alone, where the release sees the test rows too; in runs under 2,500 steps the EMA start is
lowered (schedules.momentum); probed on the mean over columns, where the paper flattens them (the probe ``flat``).
Not verified: the published figures, whose validation rows are the test rows.
Published: with an MLP on the features: Adult .866, Jannis .728, California RMSE .468 of standardised values; XGBoost on the
raw columns .874, .720 and .462 of 100,000 dollars.
Tests: test_methods_tabular.py, test_contracts.py.
"""

from torch.nn import functional as F

from jepakit.columns import ColumnSets, Range, ReleasedSets, WithToken, base_hundred
from jepakit.modality import Modality
from jepakit.nn import Backbone
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import EMA
from jepakit.types import Size, UsageError


@methods.register(
    "tjepa",
    family="jepa",
    paper="Thimonier et al. 2024, arXiv 2410.05016",
    augmentation="none",
    training={"weight_decay": (0.0, 0.0), "betas": (0.9, 0.999)},
    space={"recipe.tokens": (0, 1, 2, 4, "choice")},
)
def tjepa(
    modality: Modality,
    size: Size,
    *,
    tokens: int = 1,
    context: Range = (0.136, 0.368),
    target: Range = (0.156, 0.622),
    released: bool = False,
    ema: Range = (0.996, 1.0),
) -> MaskedJEPA:
    """tokens: regularisation tokens; context, target: ranges of shares of the columns (the paper's of Jannis); released:
    the masks of the release, off by one and four times the same (one token); ema: momentum range."""
    if len(modality.grid) != 1:
        raise UsageError("T-JEPA hides columns of a row of tokens; use it on a grid of one axis, or ijepa on this one")
    sets = (ReleasedSets if released else ColumnSets)(modality.grid, context, target)
    backbone: Backbone
    if released:
        if tokens != 1:
            raise UsageError(
                "the released masks know one regularisation token; use recipe.tokens=1 with recipe.released=true"
            )
        inner = WithToken(modality.tokenizer(size.dim), size.dim)
        backbone = Backbone(inner, size.dim, size.depth, size.heads, registers=0, code=base_hundred)
    else:
        backbone = vit(modality, size, registers=tokens, code=base_hundred)
    return MaskedJEPA(
        backbone=backbone,
        predictor=narrow(size, code=base_hundred),
        masker=sets,
        target=EMA(backbone, momentum(*ema, size.steps)),
        distance=F.mse_loss,
    )
