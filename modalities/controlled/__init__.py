"""Simulated data with one thing set to a known strength, for claims: nuisances, views, the share of labels.

Families of names, so that no listing and no board takes them up by itself; each class says ``aside``, and standings over
data sets leave it out (``benchmark.overall``).
"""

from __future__ import annotations

from modalities.controlled import labels, nuisances, veils, views

__all__ = ["labels", "nuisances", "veils", "views"]
