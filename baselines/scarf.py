"""SCARF (Bahri et al. 2022): a row attracts itself with most columns taken from other rows, all other rows repel.

Source: arXiv 2106.15147.
Kept: the anchor is clean; int(.6·D) columns of the other view are drawn from their marginal distributions, each value from
a row of its own; InfoNCE on cosines, temperature 1, in one direction.
Differs: house encoder, mean over columns, projector with BatchNorm; AdamW; no early stop on the pre-training loss.
Not verified: the published win rates over 69 OpenML sets.
Tests: test_methods_tabular.py, test_contracts.py.
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from jepakit.losses import joint
from jepakit.modality import Modality
from jepakit.nn import Projector
from jepakit.recipe import vit
from jepakit.registry import methods
from jepakit.siamese import Siamese
from jepakit.table import some, table_of
from jepakit.types import Batch, Size


def one_way(anchor: Float[Tensor, "b k"], view: Float[Tensor, "b k"], temperature: float) -> Float[Tensor, ""]:
    """Cross-entropy of each anchor against its own view among all views, on cosines."""
    with torch.autocast(anchor.device.type, enabled=False):
        a, b = (F.normalize(joint(z.float()), dim=-1) for z in (anchor, view))
        return F.cross_entropy(a @ b.T / temperature, torch.arange(len(a), device=a.device))


class Scarf(Siamese):
    """The clean row and a corrupted one."""

    def __init__(self, modality: Modality, size: Size, corrupt: float, temperature: float, out: int) -> None:
        table = table_of(modality)
        backbone = vit(modality, size)
        projector = Projector(size.dim, 4 * size.dim, out)
        super().__init__(modality, backbone, projector, partial(one_way, temperature=temperature))
        self.table, self.count = table, max(1, int(corrupt * len(table.sizes)))

    def pair(self, batch: Batch) -> tuple[Batch, Batch]:
        hit = some(batch.x.shape, self.count, batch.x.device)
        return batch, self.table.corrupted(batch, hit)


@methods.register(
    "scarf",
    family="contrastive",
    paper="Bahri et al. 2022, arXiv 2106.15147",
    augmentation="modality-specific",
    needs="table",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
    space={"recipe.corrupt": (0.2, 0.8, "linear")},
)
def scarf(modality: Modality, size: Size, *, corrupt: float = 0.6, temperature: float = 1.0, out: int = 64) -> Scarf:
    """corrupt: share of the columns; temperature: of the softmax; out: projector output width."""
    return Scarf(modality, size, corrupt, temperature, out)
