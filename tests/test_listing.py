"""``ls methods``: facts of registrations, costs of records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from test_leaderboard import write
from toybox import toys

import baselines  # noqa: F401 - registers
import jepakit.methods  # noqa: F401 - registers
import modalities  # noqa: F401 - registers
from benchmark import listing, record
from benchmark.__main__ import main
from jepakit import pretrain
from jepakit.registry import datasets, methods
from jepakit.types import Size, UsageError

ALL = methods.names()


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


def row(results: Path, method: str) -> list[str]:
    console = Console(width=200, record=True, force_terminal=False)
    console.print(listing.costs(record.load_all(results)))
    (line,) = [line for line in console.export_text().splitlines() if line.split()[:1] == [method]]
    return line.split()


def test_costs_are_the_span_over_data_sets_of_the_default_preset(tmp_path: Path) -> None:
    write(tmp_path, "mae", dataset="a", cost={"gflop_encode": 0.0125, "gflop_step": 0.025})
    write(tmp_path, "mae", dataset="b", cost={"gflop_encode": 0.5, "gflop_step": 0.025})
    write(tmp_path, "mae", dataset="c", cost={})  # made before costs were counted
    write(tmp_path, "mae", dataset="d", preset="full", cost={"gflop_encode": 9.0, "gflop_step": 9.0})
    write(tmp_path, "mae", dataset="e", overrides={"size.dim": "9"}, cost={"gflop_encode": 8.0, "gflop_step": 8.0})
    assert row(tmp_path, "mae")[-3:] == ["none", "0.0125–0.5", "0.025"]
    assert row(tmp_path, "toy-ae") == ["toy-ae", "jepa", "Toy", "2026", "1", "none"]


def test_stages_are_said(tmp_path: Path) -> None:
    methods.register("toy-two", paper="P", stages=2)(methods["toy-ae"].make)
    assert row(tmp_path, "toy-two") == ["toy-two", "jepa", "P", "2", "none"]


def test_the_command_shows_methods_alone_or_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "methods", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "toy-ae" in out and "GFLOP" in out and "presets" not in out
    assert max(map(len, out.splitlines())) <= 132
    assert main(["ls", "methds"]) == 3
    assert main(["ls"]) == 0
    out = capsys.readouterr().out
    assert "presets" in out and "GFLOP" not in out


@pytest.mark.parametrize("name", ALL)
def test_a_registration_says_how_many_stages_its_objective_has(name: str) -> None:
    modality = datasets["ecg/simulated"].make(None)
    try:
        objective = pretrain.build(name, modality, Size(16, 1, 2, 8, 1, 2, 20), 0)
    except UsageError as error:
        pytest.skip(f"does not run on ECG: {error}")
    assert methods[name].info.get("stages", 1) == len(objective.stages)
