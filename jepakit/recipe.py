"""The house parts that recipes are made of: every method of a board builds its encoder and predictor here, so that they
have the same one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError

from jepakit.backbones import timm_embedder
from jepakit.modality import Modality
from jepakit.nn import Backbone, Embedder, Predictor
from jepakit.types import Size, UsageError


def vit(modality: Modality, size: Size, **changes: Any) -> Backbone:
    """The house encoder on the modality's tokens; ``changes`` are keyword arguments of Backbone."""
    return Backbone(modality.tokenizer(size.dim), size.dim, size.depth, size.heads, **changes)


def embedder(modality: Modality, size: Size, name: str = "vit") -> Embedder:
    """What view-level methods train: the house encoder ("vit"), or a timm image model, whose size is its own.

    Methods that drop hidden tokens need the house encoder. Raises UsageError for an unknown name or rows that are no images.
    """
    return vit(modality, size) if name == "vit" else timm_embedder(modality, name)


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


def trained(backbone: Backbone, path: str) -> Backbone:
    """``backbone`` with the weights of a safetensors file, as the benchmark stores encoders.

    Raises UsageError for an unreadable file, and for weights of another shape, naming the first key that does not fit.
    """
    try:
        stored = safetensors.torch.load_file(Path(path))
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path} cannot be read as a safetensors file ({error}); name one with an encoder") from None
    wanted = backbone.state_dict()
    for key in sorted(wanted.keys() | stored.keys()):
        here, there = (list(state[key].shape) if key in state else "absent" for state in (wanted, stored))
        if here != there:
            raise UsageError(
                f"the encoder in {path} does not fit: '{key}' is {there} there and {here} here; name an encoder of this "
                "data set and set the width and depth that it has"
            )
    backbone.load_state_dict(stored)
    return backbone
