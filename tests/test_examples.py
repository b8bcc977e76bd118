"""The examples keep the contracts, and the made machines differ in what their labels say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmark.__main__ import main

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.mark.parametrize("name", ["spread_jepa.py", "bearings.py"])
def test_an_example_keeps_the_contracts(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(EXAMPLES / name)]) == 0
    assert "FAIL" not in capsys.readouterr().out


def test_the_fault_of_a_bearing_is_in_its_rhythm() -> None:
    """Hand-made features tell the faults of machines that were never seen; the first moments alone do not tell the rings."""
    spec = importlib.util.spec_from_file_location("bearings_example", EXAMPLES / "bearings.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    machines = module.Bearings()
    x, y = {}, {}
    for part in ("train", "test"):
        batch = machines.data(part).batch(torch.arange(len(machines.data(part))))
        x[part], y[part] = machines.handmade(batch).numpy(), batch.labels["fault"].numpy()
    whole = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(x["train"], y["train"])
    assert whole.score(x["test"], y["test"]) > 0.6
    few = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(x["train"][:, :6], y["train"])
    rings = np.isin(y["test"], (1, 2))
    guess = few.predict_proba(x["test"][rings, :6])[:, 1:3].argmax(1) + 1
    assert (guess == y["test"][rings]).mean() < (whole.predict(x["test"][rings]) == y["test"][rings]).mean()
