"""Random kills and many writers over a small grid, and another seed of hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_run import make, result, run
from toybox import TOY, toys

from benchmark import record, stress
from benchmark.grid import Options

pytestmark = pytest.mark.slow
KILLS = 200


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


def test_killed_grids_end_with_the_same_bytes(tmp_path: Path) -> None:
    steps = {"train.steps": "300"}
    cells = [make(tmp_path, name, seed, **steps) for name in ("toy-ae", "toy-collapse", "toy-still") for seed in (0, 1)]
    options = Options(results=tmp_path, plugins=(TOY,), device="cpu")
    tally = stress.kill(cells, options, tmp_path / "work", KILLS, 0, lambda text: print(text, flush=True))
    assert tally.wrong == []
    assert tally.kills == KILLS
    assert tally.written == tally.expected == len(cells) * tally.rounds


def test_eight_writers_lose_nothing(tmp_path: Path) -> None:
    tally = stress.write(tmp_path / "many", 8, 50, run(tmp_path / "one", make(tmp_path / "one")))
    assert (tally.written, tally.expected, tally.wrong) == (400, 400, [])


HASHED = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:4]
from toybox import toys
with toys():
    from test_run import make, run
    results = Path(sys.argv[1])
    run(results, make(results))
"""


def test_the_seed_of_hashes_changes_nothing(tmp_path: Path, checkout: Path) -> None:
    here = run(tmp_path / "here", make(tmp_path / "here"))
    subprocess.run(
        [sys.executable, "-c", HASHED, str(tmp_path / "there"), str(checkout), str(Path(__file__).parent)],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        check=True,
        timeout=600,
    )
    (there,) = record.load_all(tmp_path / "there")
    assert result(there) == result(here)
