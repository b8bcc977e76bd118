"""The field's supervised networks for tables (MLP, ResNet, FT-Transformer), by their authors, with the board's budget.

Source: Gorishniy et al. 2021, arXiv 2106.11959; rtdl_revisiting_models.
Kept: the architectures, with the package's default constants; numbers as normal scores, categories one-hot (MLP, ResNet) or
embedded (FT-Transformer).
Differs: the board's batches, steps and optimiser, no early stopping; probed on what enters the head.
Published: tuned, 15 seeds: MLP, ResNet, FT-Transformer: Adult .852 .854 .859, Jannis .720 .728 .732, California RMSE .499
.486 .459 (100,000 dollars).
Tests: test_methods_tabular.py, test_contracts.py.

The rows run where rtdl_revisiting_models is installed.
"""

import importlib

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baselines.supervised import Supervised
from jepakit.modality import Modality
from jepakit.nn import Embedder
from jepakit.registry import methods
from jepakit.table import table_of
from jepakit.types import Batch, Size, Tokens

ROWS = {"mlp": "MLP", "resnet-table": "ResNet", "ft-transformer": "FTTransformer"}


def _network(kind: str, sizes: tuple[int, ...], width: int, features: int) -> nn.Module:
    models = importlib.import_module("rtdl_revisiting_models")
    if kind == "MLP":
        made = models.MLP(d_in=features, d_out=width, n_blocks=2, d_block=4 * width, dropout=0.1)
    elif kind == "ResNet":
        shape = {"d_block": 3 * width, "d_hidden": None, "d_hidden_multiplier": 2.0, "dropout1": 0.15, "dropout2": 0.0}
        made = models.ResNet(d_in=features, d_out=width, n_blocks=2, **shape)
    else:
        codes = [size for size in sizes if size]
        shape = models.FTTransformer.get_default_kwargs(n_blocks=2)
        made = models.FTTransformer(
            n_cont_features=len(sizes) - len(codes), cat_cardinalities=codes, d_out=width, **shape
        )
    return made


class Network(Embedder):
    """A network of the package up to its last layer, of the encoder's width."""

    numbers: Tensor
    codes: Tensor

    def __init__(self, modality: Modality, size: Size, kind: str) -> None:
        super().__init__()
        self.table, self.modality, self.kind = table_of(modality), modality, kind
        self.dim = size.dim
        first = modality.data("train").batch(torch.arange(1))
        number = torch.tensor(self.table.sizes) == 0
        self.register_buffer("numbers", number.nonzero()[:, 0], persistent=False)
        self.register_buffer("codes", (~number).nonzero()[:, 0], persistent=False)
        self.model = _network(kind, self.table.sizes, size.dim, modality.handmade(first).shape[1])

    def embed(self, batch: Batch) -> Float[Tensor, "b d"]:
        if self.kind != "FTTransformer":
            row: Float[Tensor, "b d"] = self.model(self.modality.handmade(batch))
            return row
        numbers, categories = batch.x[:, self.numbers], batch.x[:, self.codes].long()
        out: Tensor = self.model(*(part if part.shape[1] else None for part in (numbers, categories)))
        return out

    def tokens(self, batch: Batch) -> Tokens:
        row = self.embed(batch)
        return Tokens(row[:, None], row.new_zeros(len(row), 1, 1))


def register(name: str, kind: str) -> None:
    """The row of one network."""

    @methods.register(
        name,
        family="supervised",
        paper="Gorishniy et al. 2021, arXiv 2106.11959",
        augmentation="none",
        needs="table",
        training={"weight_decay": (1e-5, 1e-5), "betas": (0.9, 0.999)},
        space={"train.warmup": (0.02, 0.4, "log")},
        extra="rtdl_revisiting_models>=0.0.2",
    )
    def network(modality: Modality, size: Size) -> Supervised:
        """End-to-end training on the labels."""
        return Supervised(Network(modality, size, kind), modality)


for _name, _kind in ROWS.items():
    register(_name, _kind)
