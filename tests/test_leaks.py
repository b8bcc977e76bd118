"""Rows of test that pre-training has seen are counted, kept in the record and marked wherever the row is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from benchmark import leaderboard, leaks, outcome, record, terminal
from benchmark.board import boards
from benchmark.report import tables
from jepakit.types import Data


def rows(values: list[int], units: list[str]) -> Data:
    return Data(torch.tensor(values, dtype=torch.float32)[:, None], {}, np.array(units, dtype=object))


TRAIN = rows([1, 2, 3], ["a", "a", "b"])


@pytest.mark.parametrize(
    ("values", "units", "seen"),
    [
        ([4, 5], ["c", "d"], 0),
        ([4, 2], ["c", "d"], 1),  # a copy under another name
        ([4, 5, 6], ["b", "b", "d"], 2),  # other rows of a patient
        ([3, 3, 5], ["b", "d", "d"], 2),  # both, and a copy of a copy: each row once
    ],
)
def test_copies_and_units_are_counted_once_each(values: list[int], units: list[str], seen: int) -> None:
    test = rows(values, units)
    assert leaks.rows_seen(TRAIN, test) == seen
    facts = outcome.describe_data({"train": TRAIN, "val": rows([9], ["z"]), "test": test})
    assert facts.get("test_seen") == (seen or None)
    assert facts["n_test"] == len(values)


def test_rows_of_any_type_that_may_be_resident_are_compared() -> None:
    for kind in (torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int8, torch.int16):
        seen, asked = (Data(one.x.to(kind), {}, one.unit) for one in (TRAIN, rows([4, 2], ["c", "d"])))
        assert leaks.copies(seen, asked).tolist() == [False, True]


def test_a_row_that_saw_test_is_marked_on_every_board(checkout: Path) -> None:
    """Records of one committed board, one of which is said to have seen 7 rows."""
    made: list[Any] = [
        one for one in record.load_all(checkout / "results", "ecg") if one["dataset"] == "simulated" and one["seed"] == 0
        and one["preset"] == "quick" and one["method"] in ("mae", "random_init") and not one["overrides"]
    ]  # fmt: skip
    assert {one["method"] for one in made} == {"mae", "random_init"}
    marked = [{**one, "data": {**one["data"], "test_seen": 7}} if one["method"] == "mae" else one for one in made]
    board = boards(marked, None, lambda one: False)[0]
    lines = {line.method: line for line in board.lines if line.method in ("mae", "random_init")}
    assert lines["mae"].test_seen == 7 and lines["random_init"].test_seen is None
    console = Console(width=120)
    with console.capture() as capture:
        console.print(terminal.draw(board))
    shown = " ".join(capture.get().split())
    assert "mae §" in shown and "random_init §" not in shown and "§ pre-training saw rows of test" in shown
    assert ("§", "pre-training saw rows of test, or of their units") in list(tables.marks(lines["mae"], board.lines))
    assert not any(sign == "§" for sign, _ in tables.marks(lines["random_init"], board.lines))
    assert "(saw 7 rows of test)" in leaderboard.markdown("ecg", [board], {})
