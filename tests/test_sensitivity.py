"""Which columns features depend on: shares of a known function, areas by hand, and the command on rows that were trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark import plugin
from benchmark.__main__ import main
from benchmark.sensitivity import areas, roles_of, shares
from jepakit.nn import Embedder
from jepakit.registry import datasets
from jepakit.types import Batch, Tokens, UsageError

plugin.everything([])
MADE = datasets["tabular/made_steps"].make(None)
ROLE = roles_of(MADE, "tabular/made_steps")
NUMBERS = [i for i, size in enumerate(MADE.sizes) if size == 0]


class Weighted(Embedder):
    """One feature: a weighted sum of the columns."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = weight

    def tokens(self, batch: Batch) -> Tokens:
        raise NotImplementedError

    def embed(self, batch: Batch) -> torch.Tensor:
        return (batch.x * self.weight).sum(1, keepdim=True)


def test_the_shares_of_a_sum_are_those_of_its_terms() -> None:
    """Two independent columns, weights 2 and 1: four fifths and one fifth of the variance; the others nothing."""
    noise = [i for i in NUMBERS if ROLE[i] == "noise"][:2]
    weight = torch.zeros(len(MADE.sizes))
    weight[noise] = torch.tensor([2.0, 1.0])
    found = shares(Weighted(weight), MADE, device="cpu")
    spread = MADE.data("test").x[:, noise].var(0) * torch.tensor([4.0, 1.0])
    assert found[noise] == pytest.approx((spread / spread.sum()).numpy(), abs=0.06)  # 1,000 rows
    assert found[noise] == pytest.approx([0.8, 0.2], abs=0.08)
    assert (np.delete(found, noise) == 0).all()


def test_areas_by_hand() -> None:
    roles = ["relevant", "noise", "redundant", "noise"]
    assert areas(np.array([3.0, 1.0, 0.5, 2.0]), roles) == (1.0, 0.5)  # redundant below both: 2 of 4 pairs
    assert areas(np.array([1.0, 1.0, 1.0, 1.0]), roles) == (0.5, 0.5)


def test_roles_are_those_of_the_law_in_token_order() -> None:
    assert sorted(ROLE) == ["noise"] * 10 + ["redundant"] * 6 + ["relevant"] * 4
    columns = [column.name for column in MADE.table().columns]
    assert [datasets["tabular/made_steps"].make.roles()[name] for name in columns] == ROLE
    with pytest.raises(UsageError, match="known are those of: tabular/made_linear"):
        roles_of(datasets["tabular/wine"].make(None), "tabular/wine")


def test_the_command_on_trained_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tabular", "dataset=made_steps", "preset=smoke"]
    place = ["--results", str(tmp_path)]
    assert main(["columns", *words, *place]) == 3
    assert "run it first: run tabular dataset=made_steps preset=smoke" in capsys.readouterr().err
    assert main(["run", *words, "method=random_init,raw_features", "jobs=1", *place]) == 0
    capsys.readouterr()
    assert main(["columns", *words, *place]) == 0
    shown = capsys.readouterr().out
    assert "raw_features" in shown and "random_init" in shown
    assert not list(tmp_path.glob("columns_*.csv")), "one named data set is not the table of all"
    for path in (tmp_path / ".cache" / "encoders").iterdir():
        path.unlink()
    assert main(["columns", *words, *place]) == 3
    assert "no encoder" in "".join(capsys.readouterr())


def test_the_committed_table_has_every_made_set() -> None:
    path = Path(__file__).resolve().parents[1] / "results" / "columns_tabular_quick.csv"
    if not path.is_file():
        pytest.skip("not computed yet")
    found = pd.read_csv(path)
    assert set(found["dataset"]) == {f"made_{name}" for name in ("linear", "pairs", "shells", "steps")}
    areas_found = found[["auc_relevant", "auc_signal"]].to_numpy()
    assert ((areas_found >= 0) & (areas_found <= 1)).all()
