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

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.masking import Masker
from jepakit.modality import Modality
from jepakit.nn import Backbone
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import EMA
from jepakit.types import Batch, Size, Split, Tokens, UsageError

Range = tuple[float, float]


def base_hundred(pos: Float[Tensor, "*s p"], dim: int) -> Float[Tensor, "*s {dim}"]:
    """Sines and cosines of the first coordinate, interleaved, base 100."""
    omega = 100 ** (-torch.arange(0, dim, 2, dtype=torch.float32, device=pos.device) / dim)
    angle = pos[..., :1].float() * omega
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)[..., :dim]


class ColumnSets(Masker):
    """A context and ``sets`` target sets of columns, drawn for every row; targets overlap each other, never the context.

    context, target: ranges of the share of the columns. Sizes are least + round((most − least)·U), drawn once a batch and
    again while the two together exceed the columns.
    """

    def __init__(self, grid: tuple[int, ...], context: Range, target: Range, *, sets: int = 4) -> None:
        """Raises UsageError where no draw fits."""
        super().__init__(grid)
        self.sets = sets
        self.context, self.target = (self.counts(shares) for shares in (context, target))
        if self.context[0] + self.target[0] > self.count:
            raise UsageError(
                f"a context of {context[0]:.0%} and targets of {target[0]:.0%} do not fit {self.count} columns; use smaller "
                "shares"
            )

    def counts(self, shares: Range) -> tuple[int, int]:
        """Fewest and most columns."""
        least, most = (max(1, round(share * self.count)) for share in shares)
        return least, max(least, most)

    def draw(self) -> tuple[int, int]:
        """Sizes of context and target sets of a batch."""
        while True:
            u = torch.rand(2).tolist()
            seen, asked = (a + round((b - a) * v) for (a, b), v in zip((self.context, self.target), u, strict=True))
            if seen + asked <= self.count:
                return seen, asked

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        seen, asked = self.draw()
        rows, device = len(tokens.x), tokens.x.device
        order = torch.rand(rows, self.count, device=device).argsort(1)
        rest = order[:, None, seen:].expand(-1, self.sets, -1)
        shuffled = rest.gather(2, torch.rand(rest.shape, device=device).argsort(2))
        return Split(order[:, None, :seen].sort(-1).values, shuffled[:, None, :, :asked].sort(-1).values)


class ReleasedSets(ColumnSets):
    """The released sampler: four equal target sets. On tokens [REG, column 1 … column D] its indices 0 … D − 1 take the
    regularisation token for a column and never reach the last one."""

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        split = super().forward(tokens, target, progress)
        return Split(split.context, split.target[:, :, :1].expand(-1, -1, self.sets, -1))


class WithToken(nn.Module):
    """A tokenizer whose rows begin with one learned token, at place 0; columns follow from place 1."""

    def __init__(self, inner: nn.Module, dim: int) -> None:
        super().__init__()
        self.inner, self.token = inner, nn.Parameter(nn.init.trunc_normal_(torch.empty(dim), std=0.02))

    def forward(self, batch: Batch) -> Tokens:
        tokens: Tokens = self.inner(batch)
        first = self.token.to(tokens.x.dtype).expand(len(tokens.x), 1, -1)
        place = torch.cat([torch.zeros_like(tokens.pos[:, :1]), tokens.pos + 1], 1)
        return Tokens(torch.cat([first, tokens.x], 1), place)


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
