"""Cache: pre-trained encoders and frozen features by key, so that a new probe neither retrains nor extracts again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from benchmark import features
from benchmark.atomic import write_bytes
from benchmark.features import Features
from jepakit.types import Data, DataError, Part

# Features are cheap to extract again from a cached encoder; the oldest go first when they exceed this.
FEATURE_BYTES = 2 << 30


class Cache:
    """The folder ``results/.cache``: nothing in it is needed to read a board, all of it may be deleted."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.encoders = results / ".cache" / "encoders"
        self.features = results / ".cache" / "features"

    def save_encoder(self, key: str, encoder: nn.Module, facts: Mapping[str, Any]) -> None:
        """Store weights as safetensors, then the facts of the run (cost, history) as JSON beside them."""
        state = {name: value.detach().cpu().contiguous().clone() for name, value in encoder.state_dict().items()}
        write_bytes(self.encoders / f"{key}.safetensors", safetensors.torch.save(state))
        write_bytes(self.encoders / f"{key}.json", json.dumps(facts, sort_keys=True).encode())

    def facts(self, key: str) -> dict[str, Any] | None:
        """What was said of a stored encoder, or None when there is none or it cannot be read."""
        try:
            facts = json.loads((self.encoders / f"{key}.json").read_bytes())
        except (OSError, ValueError):
            return None
        return facts if isinstance(facts, dict) and (self.encoders / f"{key}.safetensors").is_file() else None

    def load_encoder(self, key: str, encoder: nn.Module) -> bool:
        """Fill ``encoder`` with the stored weights; False (and an untouched encoder) when they do not fit."""
        try:
            state = safetensors.torch.load((self.encoders / f"{key}.safetensors").read_bytes())
        except (OSError, safetensors.SafetensorError):
            return False
        own = encoder.state_dict()
        if {n: v.shape for n, v in own.items()} != {n: v.shape for n, v in state.items()}:
            return False
        with torch.no_grad():
            encoder.load_state_dict(state)
        return True

    def save_features(self, key: str, parts: Mapping[Part, Features]) -> None:
        """Store the features of all parts and drop the oldest files beyond ``FEATURE_BYTES``; a full disk is no error."""
        try:
            features.save(self.features / f"{key}.npz", {str(part): one for part, one in parts.items()})
            files = sorted(self.features.glob("*.npz"), key=lambda path: path.stat().st_mtime, reverse=True)
            total = 0
            for path in files:
                total += path.stat().st_size
                if total > FEATURE_BYTES:
                    path.unlink(missing_ok=True)
        except OSError:
            return

    def load_features(self, key: str, data: Mapping[Part, Data], tokens: bool) -> dict[Part, Features] | None:
        """Stored features that match ``data`` row by row (and hold token features if asked), or None."""
        path = self.features / f"{key}.npz"
        if not path.is_file():
            return None
        try:
            stored = features.load(path)
        except DataError:
            path.unlink(missing_ok=True)
            return None
        if any(part not in stored or len(stored[part]) != len(rows) for part, rows in data.items()):
            return None
        found = {part: stored[part] for part in data}
        return None if tokens and any(one.tokens is None for one in found.values()) else found
