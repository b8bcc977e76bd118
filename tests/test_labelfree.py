"""Label-free study: correlations against scipy and by hand, empty where undefined, a stable file, the command."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import spearmanr
from test_leaderboard import fresh, write

from benchmark import labelfree, record
from benchmark.__main__ import USAGE, main
from benchmark.labelfree import correlate
from jepakit.types import UsageError


def test_rho_is_spearmans_and_p_near_its_own() -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, 8, 40).astype(float)  # with ties
    y = x + rng.normal(0, 6, 40)
    wanted = spearmanr(x, y)
    n, rho, p = correlate(x, y)
    assert n == 40 and rho == pytest.approx(wanted.statistic)
    assert p == pytest.approx(wanted.pvalue, abs=0.03)


def test_within_methods_a_difference_between_methods_adds_nothing() -> None:
    # Two methods, far apart, in each of which the order is reversed.
    x, y = [1, 2, 3, 11, 12, 13], [3, 2, 1, 13, 12, 11]
    assert correlate(x, y)[1] == pytest.approx(1 - 6 * 16 / 210)  # Σd² = 4 + 0 + 4 twice
    n, rho, p = correlate(x, y, [0, 0, 0, 1, 1, 1])
    assert (n, rho) == (6, pytest.approx(-1))
    # Of the 3!² orders, two are as extreme: all reversed, all alike.
    assert p == pytest.approx(2 / 36, abs=0.02)
    # A method with one checkpoint is not counted; order of the input does not matter.
    assert correlate([*x, 5], [*y, 99], [0, 0, 0, 1, 1, 1, 2])[:2] == (6, pytest.approx(-1))
    mixed = [3, 0, 5, 1, 4, 2]
    groups = [(0, 0, 0, 1, 1, 1)[i] for i in mixed]
    assert correlate([x[i] for i in mixed], [y[i] for i in mixed], groups)[1] == pytest.approx(-1)


@pytest.mark.parametrize(
    ("x", "y", "group", "n"),
    [
        ([], [], None, 0),
        ([1, 2, 3], [1, 2, 3], None, 3),
        ([1, 1, 1, 1], [1, 2, 3, 4], None, 4),
        ([1, 2, 3, 4], [5, 5, 5, 5], None, 4),
        ([1, 2, 3, 4], [1, 2, 3, 4], [0, 1, 2, 3], 0),
        ([1, 1, 2, 2], [1, 2, 3, 4], [0, 0, 1, 1], 4),
    ],
)
def test_undefined_is_empty_not_zero(x: list[float], y: list[float], group: list[int] | None, n: int) -> None:
    assert correlate(x, y, group) == (n, None, None)


def test_no_relation_is_rarely_significant() -> None:
    rng = np.random.default_rng(0)
    low = [correlate(rng.normal(size=12), rng.normal(size=12), np.repeat(range(4), 3))[2] for _ in range(200)]
    assert np.mean([p <= 0.05 for p in low if p is not None]) <= 0.09  # 5 % + 2.6 standard errors


def numbers(rankme: float, **more: Any) -> dict[str, Any]:
    return {"rankme": rankme, "lda_rank": None, "collapsed": False, "collapse_step": None, **more}


def planted(results: Path) -> None:
    """RankMe follows the score, lda_rank is missing, and alignment is known for three records only."""
    for i, method in enumerate(("random_init", "lejepa", "mae", "ijepa")):
        for seed in range(2):
            one = write(results, method, seed, skill=0.3 + 0.15 * i)
            score = next(s["value"] for s in one["scores"] if s["headline"] and s["probe"] == "linear")
            more = {"alignment": 0.1 * i} if method == "mae" or (method, seed) == ("ijepa", 0) else {}
            write(results, method, seed, skill=0.3 + 0.15 * i, created="2026-02-01T00:00:00+00:00",
                  diagnostics=numbers(10 * score, **more))  # fmt: skip
    write(results, "mae", 0, skill=0.99, overrides={"train.lr": "1"}, diagnostics=numbers(0.0))
    write(results, "simclr", 0, status="error")


def rows(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    with path.open(newline="") as file:
        return {(row["diagnostic"], row["scope"]): row for row in csv.DictReader(file)}


def test_study_of_planted_records(tmp_path: Path) -> None:
    planted(tmp_path)
    tables = labelfree.study(record.load_all(tmp_path), tmp_path, "ecg", stale=fresh)
    found = rows(tmp_path / "labelfree_ecg.csv")
    # The newest record of each method and seed counts once; overridden and failed runs do not.
    assert {k: found["rankme", "all"][k] for k in ("n", "methods", "rho")} == {"n": "8", "methods": "4", "rho": "1.000"}
    assert float(found["rankme", "all"]["p"]) < 0.01
    assert (found["rankme", "within"]["n"], found["rankme", "within"]["rho"]) == ("8", "1.000")
    assert {k: found["lda_rank", "all"][k] for k in ("n", "rho", "p")} == {"n": "0", "rho": "", "p": ""}
    assert {k: found["alignment", "all"][k] for k in ("n", "rho", "p")} == {"n": "3", "rho": "", "p": ""}
    console = Console(width=160, record=True)
    for table in tables:
        console.print(table)
    shown = " ".join(console.export_text().split())
    assert "8 checkpoints of 4 methods; references among them: random_init" in shown


def test_the_file_is_the_same_twice(tmp_path: Path) -> None:
    planted(tmp_path)
    found = record.load_all(tmp_path)
    labelfree.study(found, tmp_path, "ecg", stale=fresh)
    first = (tmp_path / "labelfree_ecg.csv").read_bytes()
    labelfree.study(found[::-1], tmp_path, "ecg", ["simulated"], stale=fresh)
    assert (tmp_path / "labelfree_ecg.csv").read_bytes() == first


def test_data_made_for_a_claim_are_studied_only_where_they_are_named(tmp_path: Path) -> None:
    planted(tmp_path)
    write(tmp_path, "mae", 0, dataset="views-crop", diagnostics=numbers(0.0))
    found = record.load_all(tmp_path)
    for only, tables in (([], 1), (["views-crop"], 1), (["simulated", "views-crop"], 2)):
        assert len(labelfree.study(found, tmp_path, "ecg", only, stale=fresh)) == tables
        with (tmp_path / "labelfree_ecg.csv").open(newline="") as file:
            assert {row["dataset"] for row in csv.DictReader(file)} == {"simulated"}


def test_nothing_to_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted(tmp_path)
    with pytest.raises(UsageError, match="no finished run of ecg/ludb"):
        labelfree.study(record.load_all(tmp_path), tmp_path, "ecg", ["ludb"], stale=fresh)
    with pytest.raises(UsageError, match="'simulatd'; did you mean 'simulated'"):  # beside one that is there
        labelfree.study(record.load_all(tmp_path), tmp_path, "ecg", ["simulated", "simulatd"], stale=fresh)
    # Made-up records were made by no code of this checkout: all of them are stale.
    assert main(["labelfree", "ecg", "--results", str(tmp_path)]) == USAGE
    assert "are stale" in capsys.readouterr().err
    assert main(["labelfree", "ecg", "seed=1", "--results", str(tmp_path)]) == USAGE
    assert "dataset=name" in capsys.readouterr().err
