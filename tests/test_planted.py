"""Planted collapses: the rule that decides, the lines and the page made of them; the runs themselves are slow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.planted import table
from benchmark.planted.__main__ import PAGE, main
from benchmark.planted.arms import spread
from benchmark.planted.pairs import PAIRS, Pair, Run, as_told, at_floor, rows

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "planted.csv"
HEALTHY = Run(0.5, 0.2, 12.0, 0.3, 0.9, 20.0, None, None, 0.7, -0.8)
FLAT = replace(HEALTHY, verdict="projections are alike: mean cosine 0.99", collapse_step=40, z_std=0.1, score=0.5)
PLAIN = Pair("vicreg", {}, "variance term", "alike", "a paper")
SIMSIAM = Pair("simsiam", {}, "stop-gradient", "loss −1", "another", floor=-0.99, directions=True)


def test_a_pair_behaves_when_only_the_control_collapses() -> None:
    assert as_told(PLAIN, HEALTHY, FLAT) == (True, True)
    assert as_told(PLAIN, FLAT, HEALTHY) == (False, False)
    # Fewer directions are no collapse where no BatchNorm forces the projections apart.
    assert as_told(PLAIN, HEALTHY, replace(HEALTHY, z_rank=2.0)) == (True, False)


def test_simsiam_loses_directions_and_its_loss_is_counted_apart() -> None:
    lost = replace(HEALTHY, z_rank=13.0, loss=-0.98)
    assert as_told(SIMSIAM, HEALTHY, lost) == (True, True)
    assert as_told(SIMSIAM, HEALTHY, replace(lost, z_rank=14.0)) == (True, False)  # 14 · 1.5 > 20
    assert at_floor(SIMSIAM, HEALTHY, lost) == (True, False)
    assert at_floor(SIMSIAM, replace(HEALTHY, loss=-0.995), replace(lost, loss=-0.99)) == (False, True)
    assert at_floor(PLAIN, HEALTHY, lost) is None
    intact, control = rows(SIMSIAM, [(HEALTHY, lost), (HEALTHY, replace(lost, loss=-0.99))], {})
    assert (intact["loss_as_expected"], control["loss_as_expected"], control["as_expected"]) == (2, 1, 2)


def test_the_papers_controls_are_the_three_of_the_brief() -> None:
    assert [(pair.method, pair.removed) for pair in PAIRS] == [
        ("simsiam", "stop-gradient"), ("byol", "predictor"), ("vicreg", "variance term"),
    ]  # fmt: skip


def test_spread_of_projections() -> None:
    # Unit vectors on the two axes of a plane, both ways: each coordinate is 0 or ±1, variance ½, √½·√2 = 1.
    even = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    assert spread(5 * even) == pytest.approx((1.0, 2.0), rel=1e-4)
    assert spread(np.array([[3.0, 4.0]] * 5)) == (pytest.approx(0, abs=1e-12), 1.0)
    line = spread(np.outer([1.0, -1, 2, -2], [0.6, 0.8]))
    assert line == pytest.approx((1.4 / 2**0.5, 1.0), rel=1e-3)  # deviations .6 and .8, mean .7, times √2


def lines_of(tmp_path: Path, *arms: tuple[Run, Run]) -> list[dict[str, Any]]:
    facts = {
        "dataset": "a/b", "task": "kind", "metric": "macro_f1", "untrained": 0.4, "steps": 9, "batch_size": 2, "lr": 1.0,
    }  # fmt: skip
    return rows(PLAIN, arms, facts)


def test_the_two_lines_of_a_pair(tmp_path: Path) -> None:
    later = replace(FLAT, collapse_step=80, verdict="constant: all", score=0.3)
    other = replace(FLAT, collapse_step=60, verdict="projections are alike: mean cosine 0.91")
    intact, control = lines_of(tmp_path, (HEALTHY, FLAT), (HEALTHY, later), (FLAT, other))
    assert (intact["control"], intact["expected"], intact["as_expected"], intact["collapsed"]) == (
        "intact",
        "no collapse",
        2,
        1,
    )
    assert (intact["verdict"], intact["removed"], intact["collapse_step"]) == ("healthy", "", 40)
    assert (control["control"], control["as_expected"], control["seeds"]) == ("without variance term", 3, 3)
    assert (control["verdict"], control["collapse_step"]) == ("projections are alike", 60)
    assert control["score"] == pytest.approx(1.3 / 3) and control["steps"] == 9


def test_the_page_says_what_the_file_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pandas as pd

    both = lines_of(tmp_path, (HEALTHY, FLAT), (HEALTHY, HEALTHY))
    pd.DataFrame(both).to_csv(tmp_path / "planted.csv", index=False)
    assert (
        main(["--page", "--results", str(tmp_path), "--docs", str(tmp_path / "page.md")]) == 1
    )  # one control did not collapse
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "| vicreg | intact | 2 of 2 | – | healthy | – | -0.800 | 0.500 | 0.200 | 0.300 | 12.000 | 0.900 |" in text
    assert "| vicreg | without variance term | 1 of 2 | " in text and "| 40 | -0.800 |" in text
    assert "- `vicreg` without variance term: alike (a paper)." in text
    assert "`a/b`, 9 steps of 2, 2 seeds" in text and "macro_f1 of a linear probe on kind" in text
    assert "1 of 2" in capsys.readouterr().out


def test_the_committed_page_is_current() -> None:
    lines = table.read(RESULTS)
    assert (ROOT / PAGE).read_text(encoding="utf-8") == table.page(lines), "run python -m benchmark.planted --page"
    assert [line["method"] for line in lines] == [pair.method for pair in PAIRS for _ in range(2)]
    told = {(line["expected"], line["source"]) for line in lines if line["removed"]}
    assert told == {(pair.expected, pair.source) for pair in PAIRS}, "run make planted: what is expected has changed"


@pytest.mark.slow
def test_controls_collapse_and_intact_methods_do_not(tmp_path: Path) -> None:
    assert main(["--seeds", "1", "--results", str(tmp_path), "--docs", str(tmp_path / "page.md")]) == 0
