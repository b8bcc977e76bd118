"""timm's image models as encoders of view-level methods, with the small-image stem of the CIFAR literature."""

from __future__ import annotations

import difflib
from typing import Any

import timm
import torch
from timm.models.resnet import ResNet
from torch import nn

from jepakit.modality import Modality, grid_positions
from jepakit.nn import Embedder
from jepakit.registry import did_you_mean
from jepakit.types import Batch, Tokens, UsageError

# Inputs up to this side get the ResNet stem of the CIFAR literature.
SMALL = 64


class Timm(Embedder):
    """A timm model without its classifier: ``tokens`` are the places of its last feature map, after the model's last norm;
    ``embed`` is their mean."""

    def __init__(
        self, model: nn.Module, grid: tuple[int, int], *, least: int = 1, size: tuple[int, int] | None = None
    ) -> None:
        """``grid``: the modality's tokens per axis, in whose units places are told; ``least``: smallest side of an input;
        ``size``: the one height and width that the model takes, or None."""
        super().__init__()
        self.model, self.grid, self.least, self.size = model, grid, least, size
        # Some models widen their features once more before the classifier.
        self.dim = int(getattr(model, "head_hidden_size", 0) or model.num_features)  # type: ignore[arg-type]

    def tokens(self, batch: Batch) -> Tokens:
        height, width = batch.x.shape[-2:]
        if min(height, width) < self.least or self.size not in (None, (height, width)):
            takes = f"at least {self.least} pixels a side" if self.size is None else f"{self.size} pixels only"
            raise UsageError(
                f"this backbone reads images of {takes}, not {(height, width)}; use recipe.backbone=vit, or recipe.local=0 "
                "where the small crops are meant"
            )
        x = self.model(batch.x)
        if x.ndim == 4:  # (b, d, h, w), or channels last
            x = x if getattr(self.model, "output_fmt", "NCHW") == "NHWC" else x.permute(0, 2, 3, 1)
            rows, columns = x.shape[1:3]
            x = x.flatten(1, 2)
        else:  # (b, class and register tokens + places, d)
            x = x[:, int(getattr(self.model, "num_prefix_tokens", 0)) :]
            rows = round((x.shape[1] * height / width) ** 0.5)
            columns = x.shape[1] // rows
        stretch = torch.tensor([self.grid[0] / rows, self.grid[1] / columns], device=x.device)
        pos = (grid_positions((rows, columns)).to(x.device) + 0.5) * stretch - 0.5
        return Tokens(x, pos.expand(len(x), -1, -1))


def timm_embedder(modality: Modality, name: str) -> Timm:
    """An untrained timm model for the images of ``modality``.

    ResNets read images of up to 64 pixels a side with a 3×3 stem of stride 1 and without its max-pooling, as the CIFAR
    literature does. Raises UsageError for an unknown name and for rows that are not (channels, height, width).
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, ["vit", *timm.list_models()], n=1)
        raise did_you_mean("backbone", name, near or ["vit", "resnet18", "convnext_atto"])  # not all thousand of them
    shape = tuple(modality.crop(modality.data("train").batch(torch.zeros(1, dtype=torch.long))).x.shape[1:])
    if len(shape) != 3 or len(modality.grid) != 2:
        raise UsageError(
            f"backbone {name} reads images (channels, height, width); a row of {modality.name}/{modality.dataset} has shape "
            f"{shape}; use recipe.backbone=vit"
        )
    channels, height, width = shape
    # Models with positions are built for one input size; the others take any.
    known = timm.get_pretrained_cfg(name)
    fixed = known is not None and known.fixed_input_size
    options: dict[str, Any] = {"img_size": (height, width)} if fixed else {}
    model = timm.create_model(name, pretrained=False, num_classes=0, in_chans=channels, global_pool="", **options)
    if isinstance(model, ResNet) and max(height, width) <= SMALL and isinstance(model.conv1, nn.Conv2d):
        stem = nn.Conv2d(channels, model.conv1.out_channels, 3, 1, 1, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
        model.conv1, model.maxpool = stem, nn.Identity()  # type: ignore[assignment]
    # A last feature map of at least one place needs an input as large as the stride; ResNets pad and take any.
    least = 1 if fixed or isinstance(model, ResNet) else int(model.feature_info[-1]["reduction"])  # type: ignore[index]
    return Timm(model, (modality.grid[0], modality.grid[1]), least=least, size=(height, width) if fixed else None)
