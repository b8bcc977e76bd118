"""What shares a line of the page, and what stands in one table or board alone: arms of claims must not make it too large."""

from __future__ import annotations

import re
from pathlib import Path

from rich.console import Console
from test_leaderboard import fresh, write

from benchmark import record, terminal
from benchmark.board import boards
from benchmark.overall import compared
from benchmark.report import facts, indexes, page, tables


def test_records_that_differ_in_their_seed_share_a_line(tmp_path: Path) -> None:
    same = [write(tmp_path, "mae", seed, skill=0.3 + 0.2 * seed) for seed in (1, 0, 2)]
    apart = [write(tmp_path, "mae", 3, status="nan"), write(tmp_path, "mae", 0, overrides={"recipe.x": "1"})]
    view = facts.method("mae", [*same, *apart], {one["key"]: one is same[2] for one in [*same, *apart]}, ()).runs
    at = {column.head: i for i, column in enumerate(view.columns)}
    rows = [(row.cells[at["seeds"]].text, row.cells[at["records"]].text, row.classes) for row in view.groups[0][1]]
    keys = [one["key"] for one in same]
    assert sorted(rows) == sorted(
        [("0, 1", f"{keys[1]} {keys[0]}", ""), ("2", keys[2], "stale"),
         ("3", apart[0]["key"], ""), ("0", apart[1]["key"], "")]
    )  # fmt: skip
    (pair,) = (row.cells[at["headline"]] for row in view.groups[0][1] if row.cells[at["seeds"]].text == "0, 1")
    first, second = sorted(one["scores"][0]["value"] for one in same[:2])
    assert pair.text == f"{(first + second) / 2:.3f}" and pair.note == f" [{first:.3f}, {second:.3f}]"


def test_arms_stand_in_the_first_table_of_a_board_alone(tmp_path: Path) -> None:
    for overrides in (None, {"recipe.keep": "0.3"}):
        write(tmp_path, "ecgjepa", overrides=overrides)
    write(tmp_path, "mae", overrides={"recipe.random": "0.25"})
    (board,) = boards(record.load_all(tmp_path), tmp_path, fresh)
    first, second = ([m for m in board.measures if m.task == name] for name in ("rhythm", "noise"))
    views = (tables.task(board, first, "a", costs=True), tables.task(board, second, "b", costs=False))
    names = [sorted(row.name for _, own in view.groups for row in own if " " in row.name or row.link) for view in views]
    assert names[0] == ["ecgjepa", "ecgjepa recipe.keep=0.3", "mae recipe.random=0.25"]
    assert names[1] == ["ecgjepa", "mae recipe.random=0.25"] and "1 more with other settings" in views[1].caption


def test_boards_where_nothing_is_compared_have_no_section(tmp_path: Path) -> None:
    write(tmp_path, "ecgjepa")
    write(tmp_path, "ecgjepa", overrides={"train.steps": "112"})
    for method in ("ecgjepa", "mae"):
        write(tmp_path, method, overrides={"budget": "flops"})
        write(tmp_path, method, dataset="views-crop")
    here = boards(record.load_all(tmp_path), tmp_path, fresh)
    assert len(here) == 4
    assert [(board.dataset, board.budget) for board in here if compared(board)] == [
        ("simulated", ""), ("simulated", "budget=flops")
    ]  # fmt: skip
    console = Console(width=120, record=True, force_terminal=False)
    console.print(terminal.table(record.load_all(tmp_path), tmp_path, stale=fresh, arms=False))
    text = console.export_text()
    assert text.count("ecg/simulated · quick") == 2 and "views-crop" not in text and "train.steps" not in text
    assert text.rstrip().splitlines()[-1].startswith("2 more in the CSV")


def test_data_made_for_a_claim_is_listed_without_a_section(tmp_path: Path) -> None:
    write(tmp_path, "mae")
    write(tmp_path, "mae", dataset="views-crop")
    content = page.render(tmp_path, stale=fresh).decode()
    index = content.partition('<table id="data-index"')[2].partition("</table>")[0]
    rows = re.findall(r'<th scope="row"><span>(?:<a href="#(.*?)">)?([^<]*)', index)
    assert rows == [(indexes.section_of("ecg", "simulated"), "ecg/simulated"), ("", "ecg/views-crop")]
    assert re.findall(r'<section id="(data-.+?)"', content) == [rows[0][0]]
