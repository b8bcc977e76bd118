"""Past runs: chosen, sorted, shown and as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from test_leaderboard import write

from benchmark import record, runs
from benchmark.__main__ import main
from jepakit.types import UsageError


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("results")
    for day, (method, skill) in enumerate((("mae", 0.7), ("ijepa", 0.9), ("lejepa", 0.5)), start=1):
        write(made, method, skill=skill, created=f"2026-01-0{day}T12:00:00+00:00")
    write(made, "mae", 1, status="nan", created="2026-01-04T12:00:00+00:00")
    write(made, "mae", dataset="other", preset="smoke", created="2026-01-05T12:00:00+00:00")
    return made


def methods(results: Path, *words: str) -> list[str]:
    return [one["method"] for one in runs.lines(record.load_all(results), words)]


def test_the_newest_come_first_and_words_choose(results: Path) -> None:
    assert methods(results) == ["mae", "mae", "lejepa", "ijepa", "mae"]
    assert methods(results, "ecg", "dataset=simulated", "status=ok") == ["lejepa", "ijepa", "mae"]
    assert methods(results, "method=mae,ijepa", "preset=quick", "seed=0") == ["ijepa", "mae"]
    assert methods(results, "since=2026-01-04") == ["mae", "mae"]
    assert methods(results, "since=2026-01-04T13:00:00") == ["mae"]
    assert methods(results, "tuned=no", "status=nan") == ["mae"]
    assert methods(results, "tuned=yes") == methods(results, "status=oom") == []


def test_sorted_by_score_runs_without_one_are_last(results: Path) -> None:
    found = runs.lines(record.load_all(results), ["dataset=simulated", "sort=value"])
    assert [one["method"] for one in found] == ["ijepa", "mae", "lejepa", "mae"]
    assert (found[0]["task"], found[0]["probe"], found[-1]["value"]) == ("rhythm", "linear", None)
    assert methods(results, "dataset=simulated", "sort=method") == ["ijepa", "lejepa", "mae", "mae"]


@pytest.mark.parametrize(
    ("word", "why"),
    [("method=meas", "did you mean 'mae'"), ("since=yesterday", "takes a date such as"), ("sort=scores", "no sort named"),
     ("sead=1", "did you mean 'seed'"), ("eeg", "no modality named 'eeg'")],
)  # fmt: skip
def test_words_that_name_nothing(results: Path, word: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        methods(results, word)


def test_the_command_and_its_csv(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "ecg", "--results", str(results), "status=nan"]) == 0
    out = capsys.readouterr().out
    assert "1 runs" in out and "2026-01-04 12:00" in out and "nan: =planted" in out
    assert main(["runs", "--csv", "--results", str(results)]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 5 and tuple(rows[0]) == runs.COLUMNS
    assert [row["reason"] for row in rows if row["status"] == "nan"] == ["'=planted | reason"]
    assert float(rows[-1]["value"]) > 0 and rows[-1]["wall_s"] == "20.0"
