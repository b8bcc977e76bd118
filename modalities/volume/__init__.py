"""Volumes: phantoms with known anatomy and lesions, of slices that are thicker than their pixels."""

from __future__ import annotations

from modalities.volume import phantoms

__all__ = ["phantoms"]
