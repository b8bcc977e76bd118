"""Probes of encoders and their features: importing this package registers every file of the folder."""

from __future__ import annotations

import importlib
import pkgutil

from benchmark.probes.base import Choice, EncoderProbe, Fitted, Probe
from benchmark.probes.evaluate import Score, Sealed, SealedError, Source, evaluate, sees

__all__ = ["Choice", "EncoderProbe", "Fitted", "Probe", "Score", "Sealed", "SealedError", "Source", "evaluate", "sees"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
