"""Trained: the encoders of finished rows, from ``results/.cache``, for studies that ask more of them than a probe does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmark.board import BUDGET, Record, row_variant
from benchmark.cache import Cache
from benchmark.cell import again, is_stale
from jepakit import pretrain
from jepakit.modality import Modality
from jepakit.nn import Embedder


def wanted(records: Iterable[Record], name: str, preset: str, methods: Sequence[str] | None) -> list[Record]:
    """Fresh finished records of the data set with the preset's own budget, by method and seed."""
    found = [
        one
        for one in records
        if f"{one['modality']}/{one['dataset']}" == name
        and one["preset"] == preset
        and one["status"] in ("ok", "collapsed")
        and (methods is None or one["method"] in methods)
        and not any(key.startswith(BUDGET) for key in one.get("overrides") or {})
        and not is_stale(one)
    ]
    return sorted(found, key=lambda one: (one["method"], row_variant(one), one["seed"]))


def encoder(one: Record, modality: Modality, cache: Cache) -> Embedder | None:
    """The trained encoder of a record, None where the cache has it no more."""
    cell = again(one)
    objective = pretrain.build(cell.method, modality, cell.size, cell.seed, dict(cell.settings))
    return objective.encoder() if cache.load_encoder(cell.encoder_key, objective.encoder()) else None
