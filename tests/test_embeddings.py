"""Features in the plane: the axes of most variance, a fixed sample, labels by name, only from encoders that are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark import embeddings
from benchmark.__main__ import main
from jepakit.types import Data, Task


def test_the_plane_keeps_distances_of_flat_features_and_says_its_shares() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(50, 2)) * (3.0, 1.0)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0][:2]
    place, shares = embeddings.plane(flat @ turn + 7)
    apart = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    assert np.linalg.norm(place[:, None] - place[None], axis=-1) == pytest.approx(apart)
    spread = np.linalg.eigvalsh(np.cov(flat.T))[::-1]
    assert shares == pytest.approx(spread / spread.sum())
    assert not embeddings.plane(np.ones((5, 3)))[0].any()


def test_values_are_names_numbers_or_unknown() -> None:
    labels = {"kind": torch.tensor([1, -1, 0]), "size": torch.tensor([0.5, float("nan"), 2.0])}
    data = Data(torch.zeros(3, 1), labels, np.array(["a", "b", "c"]))
    tasks = [Task("size", "regression", "r2", nuisance=True), Task("kind", "class", "accuracy", ("cat", "dog"))]
    assert embeddings.question(tasks, nuisance=False) is tasks[1]
    assert embeddings.values(data, tasks[1], np.array([0, 1, 2])) == ["dog", None, "cat"]
    assert embeddings.values(data, tasks[0], np.array([1, 2])) == [None, 2.0]
    assert embeddings.values(data, embeddings.question([], nuisance=True), np.array([0])) == [None]


def test_the_command_writes_what_it_has_encoders_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--results", str(tmp_path)]
    words = ["tabular", "dataset=wine", "method=random_init,raw_features", "preset=smoke", "seed=0"]
    assert main(["embed", *words, *at]) == 3
    assert "run it first: run tabular dataset=wine preset=smoke" in capsys.readouterr().err
    assert main(["run", *words, *at]) == 0
    assert main(["embed", *words, *at]) == 0
    path = embeddings.path(tmp_path, "tabular", "wine", "smoke")
    made = pd.read_csv(path)
    assert list(made) == list(embeddings.COLUMNS) and set(made["method"]) == {"random_init"}
    assert len(made) <= embeddings.ROWS and made["label"].notna().all() and made["task"].nunique() == 1
    first = path.read_bytes()
    assert main(["embed", *words, *at]) == 0 and path.read_bytes() == first
    for encoder in (tmp_path / ".cache" / "encoders").iterdir():
        encoder.unlink()
    capsys.readouterr()
    assert main(["embed", *words, *at]) == 3
    told = capsys.readouterr()
    assert "no encoder in the cache" in told.out and "--force" in told.err
