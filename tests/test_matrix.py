"""The fault matrix: every row is there, every named test exists, the page shows the rows of the code."""

from __future__ import annotations

import ast
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmark import matrix


def test_all_rows_are_there_and_show_a_test_or_say_why_not() -> None:
    assert [fault.number for fault in matrix.FAULTS] == list(range(1, 29))
    assert all(bool(fault.tests) != bool(fault.waits) for fault in matrix.FAULTS)


@pytest.mark.parametrize("name", sorted({name for fault in matrix.FAULTS for name in fault.tests}))
def test_every_named_test_exists(name: str, checkout: Path) -> None:
    file, _, function = name.partition("::")
    tree = ast.parse((checkout / file).read_text(encoding="utf-8"))
    known = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert not function or function in known


def test_the_page_has_the_rows_of_the_code() -> None:
    page = matrix.PAGE.read_text(encoding="utf-8")
    shown = page.partition(matrix.BEGIN)[2].partition(matrix.END)[0].strip()
    assert shown == matrix.table(matrix.told(page)), "run python -m benchmark.matrix --table"
    assert not any("failed" in result for result, _ in matrix.told(page).values())


def test_results_are_summed_up_by_function() -> None:
    fault = matrix.Fault(1, "a", "b", ("tests/test_x.py::test_a", "tests/test_y.py"))
    case = '<testcase classname="tests.{}" name="{}" time="{}">{}</testcase>'
    rows = (("test_x", "test_a[1]", 1.5, ""), ("test_x", "test_ab", 9, ""), ("test_y", "test_c", 0.5, "<skipped/>"))
    cases = ElementTree.fromstring(f"<s>{''.join(case.format(*row) for row in rows)}</s>")
    assert matrix._sum_up(fault, list(cases)) == ("1 passed, 1 skipped", 2.0)
    ElementTree.SubElement(cases[0], "failure")
    assert matrix._sum_up(fault, list(cases)) == ("1 of 2 failed", 2.0)
    assert matrix._sum_up(fault, []) == ("not run", 0.0)
