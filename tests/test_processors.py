"""Embedded data do not depend on the processor: rows that were computed on different machines meet on one board."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

from benchmark import plugin
from jepakit.registry import datasets
from jepakit.types import PARTS

RECORDS = Path(__file__).resolve().parent.parent / "results" / "records"
EMBEDDED = ("ecg/simulated", "eeg/simulated", "audio/simulated", "audio/scenes", "image/shapes")
PRINT = """
import json, sys
from benchmark import plugin
from jepakit.registry import datasets
from jepakit.types import PARTS
plugin.everything()
print(json.dumps({name: [datasets[name].make(None).data(part).fingerprint() for part in PARTS] for name in sys.argv[1:]}))
"""


def fingerprints(name: str) -> list[str]:
    plugin.everything()
    modality = datasets[name].make(None)
    return [modality.data(part).fingerprint() for part in PARTS]


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="names of processor features are those of x86"
)
def test_an_older_processor_makes_the_same_data() -> None:
    found = numpy.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not found:
        pytest.skip("numpy uses nothing beyond its baseline on this processor")
    here = {name: fingerprints(name) for name in EMBEDDED}
    # Without the wide instructions numpy takes other polynomials for sin and exp, and OpenBLAS other orders of summation.
    old = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(found), "OPENBLAS_CORETYPE": "Prescott"}
    command = [sys.executable, "-c", PRINT, *EMBEDDED]
    done = subprocess.run(command, env=old, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == here


@pytest.mark.parametrize("name", EMBEDDED)
def test_committed_rows_are_of_the_data_that_are_made_here(name: str) -> None:
    rows = [json.loads(path.read_bytes()) for path in (RECORDS / name).glob("*/*.json")]
    if not rows:
        pytest.skip("no row of it is committed")
    found = {tuple(row["data"]["fingerprint"][part] for part in PARTS) for row in rows if row["status"] == "ok"}
    assert found == {tuple(fingerprints(name))}
