"""Budgets: the promises a preset makes, whatever its numbers are."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from benchmark import budget, plugin
from benchmark.cell import resolve
from jepakit.pretrain import Training
from jepakit.registry import probes
from jepakit.types import UsageError

EVERY = [
    *budget.PRESETS.values(),
    *(preset.of(modality) for preset in budget.PRESETS.values() for modality in preset.modalities),
]


@pytest.mark.parametrize("preset", EVERY, ids=lambda preset: f"{preset.name} {preset.size.dim}x{preset.size.depth}")
def test_a_preset_can_be_run(preset: budget.Preset) -> None:
    plugin.everything()
    assert set(preset.training) <= {field.name for field in fields(Training)}
    assert set(preset.probes) <= set(probes)
    size = preset.size
    assert size.dim % size.heads == 0
    assert size.predictor_dim % size.predictor_heads == 0


def test_only_smoke_is_not_published_and_only_smoke_cuts_the_data() -> None:
    assert [p.name for p in budget.PRESETS.values() if not p.published] == ["smoke"]
    assert [p.name for p in budget.PRESETS.values() if p.limit] == ["smoke"]


def test_published_presets_have_at_least_three_seeds_and_grow() -> None:
    published = [p for p in budget.PRESETS.values() if p.published]
    assert all(p.seeds >= 3 for p in published)
    samples = [p.training["steps"] * p.training["batch_size"] for p in budget.PRESETS.values()]
    assert samples == sorted(samples)


def test_full_is_the_xs_encoder_of_the_specification() -> None:
    full = budget.preset("full")  # ECG-JEPA XS is 192 wide and 8 deep, with a predictor 96 wide and 8 deep
    assert (full.size.dim, full.size.depth, full.size.predictor_dim, full.size.predictor_depth) == (192, 8, 96, 8)
    assert full.seeds >= 5


def test_a_modality_may_have_a_budget_of_its_own_under_the_same_name() -> None:
    quick, image = budget.preset("quick"), budget.preset("quick").of("image")
    assert (image.name, image.seeds, image.probes) == (quick.name, quick.seeds, quick.probes)
    assert image.training["batch_size"] == 32 and quick.training["batch_size"] == 64
    assert quick.of("ecg") == replace(quick, modalities={})
    cell = resolve("image/shapes", "ijepa", "quick", 0, {}, {})
    assert (cell.size.depth, cell.training.steps, cell.training.batch_size) == (2, 1500, 32)
    assert resolve("image/shapes", "ijepa", "quick", 0, {"size.depth": "5"}, {}).size.depth == 5
    assert resolve("ecg/simulated", "ijepa", "quick", 0, {}, {}).training.batch_size == 64


def test_the_full_image_budget_is_a_hundred_epochs_of_the_published_small_ijepa() -> None:
    # 45,000 training images are left after validation; ViT 128 × 6, predictor 64 × 4
    full = budget.preset("full").of("image")
    assert (full.size.dim, full.size.depth, full.size.predictor_dim, full.size.predictor_depth) == (128, 6, 64, 4)
    assert full.training["steps"] * full.training["batch_size"] / 45_000 == pytest.approx(100, rel=0.01)


def test_unknown_preset_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="no preset named 'quik'; did you mean 'quick'"):
        budget.preset("quik")
