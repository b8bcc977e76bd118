"""Probes of frozen features: importing this package registers every file of the folder."""

from __future__ import annotations

import importlib
import pkgutil

from benchmark.probes.base import Choice, Fitted, Probe
from benchmark.probes.evaluate import Score, Sealed, SealedError, evaluate

__all__ = ["Choice", "Fitted", "Probe", "Score", "Sealed", "SealedError", "evaluate"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
