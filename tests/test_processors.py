"""Embedded data do not depend on the processor: rows that were computed on different machines meet on one board."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

from benchmark import plugin
from benchmark.request import is_embedded
from jepakit.registry import datasets
from jepakit.types import PARTS

RECORDS = Path(__file__).resolve().parent.parent / "results" / "records"
plugin.everything()
# Other tests of the same process may have registered toys.
EMBEDDED = sorted(
    name for name in datasets if is_embedded(name) and datasets[name].make.__module__.startswith("modalities.")
)
# Of thousands of seconds of sound, of streets and of clips every hundredth will do.
FEWER: dict[str, dict[str, Any]] = {
    "audio": {"players": 24},
    "lidar": {"sizes": {"train": 16, "val": 16, "test": 16}},
    "video": {"sizes": {"train": 60, "val": 60, "test": 60}},
}


def fingerprints(name: str, **facts: Any) -> list[str]:
    kind = datasets[name].make
    modality = type(f"Some{kind.__name__}", (kind,), facts)(None) if facts else kind(None)
    return [modality.data(part).fingerprint() for part in PARTS]


def everything() -> dict[str, list[str]]:
    return {name: fingerprints(name, **FEWER.get(name.partition("/")[0], {})) for name in EMBEDDED}


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the features below are those of x86")
def test_an_older_processor_makes_the_same_data() -> None:
    found = numpy.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not found:
        pytest.skip("numpy uses nothing beyond its baseline on this processor")
    # Without the wide instructions numpy takes other polynomials for sin and exp, and OpenBLAS other orders of summation.
    old = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(found), "OPENBLAS_CORETYPE": "Prescott"}
    command = [sys.executable, "-c", "import json, test_processors as t; print(json.dumps(t.everything()))"]
    done = subprocess.run(command, env=old, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == everything()


def timed(name: str) -> object:
    """Sound at two ears and streets under a scanner take half a minute each."""
    return pytest.param(name, marks=pytest.mark.slow if name in ("audio/scenes", "lidar/scenes") else ())


@pytest.mark.parametrize("name", [timed(name) for name in EMBEDDED])
def test_committed_rows_are_of_the_data_that_are_made_here(name: str) -> None:
    rows = [json.loads(path.read_bytes()) for path in (RECORDS / name).glob("*/*.json")]
    if not rows:
        pytest.skip("no row of it is committed")
    found = {tuple(row["data"]["fingerprint"][part] for part in PARTS) for row in rows if row["status"] == "ok"}
    assert found == {tuple(fingerprints(name))}
