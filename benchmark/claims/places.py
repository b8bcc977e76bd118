"""Places: the boards that claims about the whole suite look at, and the mean over modalities that they speak of.

They read the rows that they ask for and no others. This was changed after a look: at first they read every published row of
a modality, so that each row run for another claim moved their outcomes, and in the end their verdicts. Seeds of ECG and of
images were raised after a look too, for sixty checkpoints of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmark import folds
from benchmark.board import Record
from benchmark.claims.claim import Evidence, Words, cells
from benchmark.claims.judge import Estimate, estimate
from benchmark.lines import REFERENCES

PRESET = "quick"
# Data sets of every modality whose boards are committed; those with files need a data root to be run again.
BOARDS: dict[str, tuple[str, ...]] = {
    "audio": ("simulated", "scenes", "fsdd-folds", "esc10-folds"),
    "ecg": ("simulated", "mitbih", "ludb"),
    "eeg": ("simulated", "eegmat-folds"),
    "image": ("shapes", "cifar10_jpeg"),
    "lidar": ("scenes",),
    "tabular": ("suite",),
    "video": ("sprites",),
    "volume": ("phantoms",),
}
SEEDS = {"ecg/simulated": 5, "image/shapes": 2}  # of every row; one elsewhere, though all that are there are read


def requests() -> tuple[Words, ...]:
    """The words of ``run`` for the rows of all these boards."""
    return tuple(
        (modality, f"dataset={name}", f"preset={PRESET}", f"seeds={SEEDS.get(f'{modality}/{name}', 1)}")
        for modality, names in BOARDS.items()
        for name in names
    )


def learners(evidence: Evidence, modality: str) -> dict[str, list[Record]]:
    """By board of a modality, the records of asked rows that learn without labels, as published, with all their seeds."""
    asked = {(one.dataset, one.method) for one in cells(requests()) if one.modality == modality}
    found: dict[str, list[Record]] = {}
    for one in evidence.records:
        published = (one["modality"], one["preset"]) == (modality, PRESET) and not set(one["overrides"]) - {"probe"}
        if published and (one["dataset"], one["method"]) in asked and one["family"] not in REFERENCES:
            found.setdefault(folds.board(modality, one["dataset"]), []).append(one)
    return dict(sorted(found.items()))


def over_modalities(effects: Mapping[str, Sequence[float]]) -> Estimate:
    """Every modality counts once, by the mean over its boards; the interval is over modalities."""
    return estimate([float(np.mean(own)) for own in effects.values() if len(own)])
