"""Schedules at the golden points of the I-JEPA code and the end points of ECG-JEPA."""

import pytest

from jepakit.schedules import cosine, linear, momentum, stage_of, warmup_cosine


def test_learning_rate_golden_values() -> None:
    lr = warmup_cosine(2e-4, 1e-3, 1e-6, 0.1)
    for step, wanted in {1: 2.8e-4, 9: 9.2e-4, 10: 1e-3, 55: 5.005e-4, 100: 1e-6}.items():
        assert lr(step / 100) == pytest.approx(wanted, rel=1e-9)


def test_weight_decay_golden_values() -> None:
    decay = cosine(0.04, 0.4)
    for step, wanted in {1: 0.0400888, 25: 0.0927208, 50: 0.22, 100: 0.4}.items():
        assert decay(step / 100) == pytest.approx(wanted, abs=5e-8)


def test_momentum_golden_values() -> None:
    ema = linear(0.996, 1.0)
    for step, wanted in {0: 0.996, 50: 0.998, 99: 0.99996}.items():
        assert ema(step / 100) == pytest.approx(wanted, rel=1e-9)


def test_ecgjepa_end_points() -> None:
    lr = warmup_cosine(1e-6, 1e-3, 1e-6, 0.1)
    assert lr(0.0) == pytest.approx(1e-6) and lr(10_000 / 100_000) == pytest.approx(1e-3)
    assert lr(1.0) == pytest.approx(1e-6)


def test_short_runs_start_with_a_faster_teacher() -> None:
    assert momentum(0.996, 1.0, 100_000)(0.0) == 0.996
    start = momentum(0.996, 1.0, 400)
    remaining = 1.0
    for step in range(400):
        remaining *= start(step / 400)
    assert remaining == pytest.approx(2.718281828**-5, rel=0.1)


def test_stages_partition_the_run() -> None:
    stages = (0.25, 0.75)
    assert stage_of(0.0, stages) == (0, 0.0, 0.25)
    assert stage_of(99 / 400, stages)[0] == 0 and stage_of(100 / 400, stages) == (1, 0.25, 0.75)
    assert stage_of(0.9999, stages)[0] == 1
    assert stage_of(0.5, (1.0,)) == (0, 0.0, 1.0)
    thirds = (1 / 3, 1 / 3, 1 / 3)
    assert [stage_of(step / 9, thirds)[0] for step in range(9)] == [0] * 3 + [1] * 3 + [2] * 3
