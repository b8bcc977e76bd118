"""Rank stability: Kendall τ between probing protocols on made records, against values counted by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmark.__main__ import USAGE, main
from benchmark.stability import rank_stability, table


def made(method: str, seed: int, family: str = "jepa", **variants: float) -> dict[str, Any]:
    extras = {f"accuracy_{name}": value for name, value in variants.items()}
    score = {"task": "shape", "probe": "band", "metric": "accuracy", "value": variants["mean_last_std"],
             "extras": {**extras, "accuracy_band_min": 0.0}, "headline": True, "nuisance": False}  # fmt: skip
    return {
        "modality": "toy", "dataset": "toy", "preset": "quick", "data": {"fingerprint": {}}, "method": method,
        "family": family, "seed": seed, "status": "ok", "key": f"{method}{seed}", "scores": [score],
    }  # fmt: skip


def test_kendall_tau_between_protocols():
    records = []
    # house order a > b > c > d; max swaps one of the six pairs: τ = (5 - 1)/6; l2 turns all around: τ = -1.
    for seed, shift in ((0, 0.01), (1, -0.01)):
        rows = (("a", 0.9, 0.8, 0.1), ("b", 0.8, 0.9, 0.2), ("c", 0.7, 0.7, 0.3), ("d", 0.6, 0.6, 0.4))
        for method, house, peak, unit in rows:
            records.append(
                made(method, seed, mean_last_std=house + shift, max_last_std=peak - shift, mean_last_l2=unit)
            )
    records.append(made("random_init", 0, "reference", mean_last_std=0.99, max_last_std=0.0, mean_last_l2=0.99))
    (found,) = rank_stability(records, "toy", "quick")
    assert found.to_house == {"max_last_std": pytest.approx(4 / 6), "mean_last_l2": pytest.approx(-1)}
    assert found.scores["mean_last_std"] == pytest.approx({"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6})
    assert found.pairs[0] == (pytest.approx(-1), "mean_last_std", "mean_last_l2")
    assert found.mean == pytest.approx((4 / 6 - 1 - 4 / 6) / 3)
    assert table(found).row_count == 3


def test_a_variant_that_a_method_lacks_is_compared_on_the_others():
    records = [
        made("a", 0, mean_last_std=0.9, mean_last2_std=0.5),
        made("b", 0, mean_last_std=0.8, mean_last2_std=0.6),
        made("c", 0, mean_last_std=0.7),
    ]
    (found,) = rank_stability(records, "toy", "quick")
    assert found.to_house == {"mean_last2_std": -1.0}
    alone = [made("a", 0, mean_last_std=0.9, mean_last2_std=0.5), made("c", 0, mean_last_std=0.7)]
    (found,) = rank_stability(alone, "toy", "quick")
    assert math.isnan(found.to_house["mean_last2_std"]) and math.isnan(found.mean)
    assert rank_stability(records[:1], "toy", "quick") == rank_stability(records, "other", "quick") == []


def test_the_command_names_the_remedy(tmp_path, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    assert main(["band", "ecg", "dataset=simulated", "--results", str(tmp_path)]) == USAGE
    assert "run ecg dataset=simulated preset=quick probe=band" in capsys.readouterr().err
