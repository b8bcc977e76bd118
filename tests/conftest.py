"""Shared by all tests: one thread, shape annotations checked at run time, the folder with real data."""

from __future__ import annotations

import os

# Before torch and numpy are loaded: two test processes on two cores must not start a thread pool each.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"

from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# Every jaxtyping annotation of the library becomes a check; this must stand before the first import of jepakit.
install_import_hook("jepakit", "beartype.beartype")

import torch

CHECKOUT = Path(__file__).resolve().parents[1]

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the checkout."""
    return CHECKOUT


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The root with real data (``<root>/ecg/mitbih`` …): $JEPAKIT_DATA, else ``../shared/data`` beside the checkout."""
    named = os.environ.get("JEPAKIT_DATA")
    root = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    if not root.is_dir():
        pytest.skip(f"no real data at {root}: set JEPAKIT_DATA to a data root")
    return root
