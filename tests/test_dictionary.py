"""Every column of every committed CSV is described, in order, and results/README.md says so."""

from __future__ import annotations

import csv
import fnmatch
from pathlib import Path

import pytest

from benchmark import dictionary, effect, robustness, sensitivity, suite
from benchmark.bev import command

RESULTS = Path(__file__).resolve().parents[1] / "results"


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.csv")), ids=lambda path: path.name)
def test_every_column_of_a_committed_file_is_described(path: Path) -> None:
    (table,) = [one for one in dictionary.TABLES if fnmatch.fnmatch(path.name, one.pattern)]
    with path.open(newline="", encoding="utf-8") as file:
        assert list(table.columns) == next(csv.reader(file))


def test_every_description_is_of_a_column_and_says_something() -> None:
    used = {column for table in dictionary.TABLES for column in table.columns if column not in table.own}
    assert used == set(dictionary.COLUMNS)
    for table in dictionary.TABLES:
        assert set(table.own) <= set(table.columns)
        assert len(set(table.columns)) == len(table.columns)
        assert all(table.meaning(column).strip() and "|" not in table.meaning(column) for column in table.columns)


def test_files_that_are_not_committed_here_have_the_columns_that_the_code_writes() -> None:
    columns = {table.pattern: tuple(table.columns) for table in dictionary.TABLES}
    for pattern, written in (("suite_*.csv", suite), ("effect_*.csv", effect), ("columns_*.csv", sensitivity),
                             ("robustness_*.csv", robustness), ("bev_*.csv", command)):  # fmt: skip
        assert columns[pattern] == tuple(written.COLUMNS)


def test_the_page_is_current() -> None:
    assert dictionary.PAGE.read_text(encoding="utf-8") == dictionary.page(), "run python -m benchmark.dictionary"
