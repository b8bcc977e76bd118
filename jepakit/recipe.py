"""The house parts that recipes are made of: every method of a board builds its encoder and predictor here, so that they
have the same one."""

from __future__ import annotations

from typing import Any

from jepakit.modality import Modality
from jepakit.nn import Backbone, Predictor
from jepakit.types import Size


def vit(modality: Modality, size: Size, **changes: Any) -> Backbone:
    """The house encoder on the modality's tokens; ``changes`` are keyword arguments of Backbone."""
    return Backbone(modality.tokenizer(size.dim), size.dim, size.depth, size.heads, **changes)


def narrow(size: Size, *, out: int | None = None, kind: type[Predictor] = Predictor, **changes: Any) -> Predictor:
    """The house predictor (or MAE decoder, with ``out`` = patch size); ``changes`` are keyword arguments of ``kind``."""
    return kind(
        size.dim,
        size.predictor_dim,
        size.predictor_depth,
        size.predictor_heads,
        out=out,
        init_depth=changes.pop("init_depth", size.depth),
        **changes,
    )
