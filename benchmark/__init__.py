"""The protocol: cells, records, frozen-feature probes and leaderboards (``python -m benchmark``)."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

# One thread per BLAS call unless the caller says otherwise: thread counts change bits, and oversubscription costs more
# than it gives at these sizes. It has to be said before numpy and torch are imported.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import torch  # noqa: E402

# Denormal floats make the gradients of a converged logistic probe ten times slower on a CPU.
torch.set_flush_denormal(True)

CHECKOUT = Path(__file__).resolve().parent.parent


def check_checkout(checkout: Path = CHECKOUT) -> None:
    """Raise ImportError when ``modalities`` or ``baselines`` would come from somewhere else than this checkout.

    Both names are taken on the package index, so another package may shadow ours; scores would then be someone else's.
    """
    for name in ("modalities", "baselines", "jepakit"):
        spec = importlib.util.find_spec(name)
        places = (
            [] if spec is None else [*([spec.origin] if spec.origin else []), *(spec.submodule_search_locations or [])]
        )
        if not places:
            raise ImportError(f"the package '{name}' is not importable; run from the checkout at {checkout}")
        if not any(Path(place).resolve().is_relative_to(checkout) for place in places):
            raise ImportError(
                f"'{name}' would be imported from {places[0]}, not from this checkout ({checkout}); "
                "uninstall that package or run from the checkout"
            )


check_checkout()
