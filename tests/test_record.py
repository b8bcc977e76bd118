"""Records: written whole or not at all, checked when read, replaced by their successors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmark import record
from benchmark.atomic import HOST, atomic
from jepakit.types import UsageError


def example(key: str = "0" * 16, **changes: Any) -> record.Record:
    score = {"task": "t", "kind": "class", "probe": "linear", "metric": "macro_f1", "value": 0.5, "val": 0.4, "chosen": {},
             "headline": True, "nuisance": False}  # fmt: skip
    base = {
        "schema": record.SCHEMA, "key": key, "identity": {}, "modality": "toy", "dataset": "toy", "method": "m",
        "family": "jepa", "paper": "", "augmentation": "none", "preset": "quick", "seed": 0, "overrides": {},
        "variant": "", "status": "ok", "reason": None, "scores": [score], "diagnostics": {}, "history": [], "cost": {},
        "data": {}, "training": {}, "versions": {}, "created": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    return {**base, **changes}


def path_of(results: Path, key: str = "0" * 16) -> Path:
    return results / "records" / "toy" / "toy" / "m" / f"{key}.json"


def cell(key: str = "0" * 16) -> SimpleNamespace:
    return SimpleNamespace(modality="toy", dataset="toy", method="m", key=key)


def test_round_trip_with_predictions(tmp_path: Path) -> None:
    saved = record.save(
        tmp_path, example(cost={"wall_s": np.float32(1.5)}), {"t.linear.pred": np.arange(3, dtype=np.uint8)}
    )
    assert record.load(path_of(tmp_path)) == saved
    assert saved["cost"]["wall_s"] == 1.5
    with np.load(path_of(tmp_path).with_suffix(".npz")) as arrays:
        assert arrays["t.linear.pred"].tolist() == [0, 1, 2]
    assert [r["key"] for r in record.load_all(tmp_path, "toy")] == ["0" * 16]
    assert record.load_all(tmp_path, "other") == []


def test_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        record.save(tmp_path / name, example(), {"x": np.ones(3)})
    for suffix in (".json", ".npz"):
        one, other = (path_of(tmp_path / name).with_suffix(suffix).read_bytes() for name in ("a", "b"))
        assert one == other


@pytest.mark.parametrize("kept", [0, 1, 0.5, 0.99])
def test_a_truncated_record_is_set_aside_and_run_again(tmp_path: Path, kept: float) -> None:
    record.save(tmp_path, example())
    whole = path_of(tmp_path).read_bytes()
    path_of(tmp_path).write_bytes(whole[: int(kept * len(whole)) if kept < 1 else 1])
    with pytest.warns(UserWarning, match="record skipped"):
        assert record.load_all(tmp_path) == []
    with pytest.warns(UserWarning, match="set aside"):
        assert record.find(tmp_path, cell()) is None
    assert not path_of(tmp_path).exists()
    assert path_of(tmp_path).with_name(path_of(tmp_path).name + ".corrupt").exists()


def test_every_changed_value_is_noticed(tmp_path: Path) -> None:
    record.save(tmp_path, example())
    good = json.loads(path_of(tmp_path).read_text())
    for name in good:
        bad = {**good, name: "changed"}
        path_of(tmp_path).write_text(json.dumps(bad))
        with pytest.raises(record.CorruptRecord):
            record.load(path_of(tmp_path))
        del bad[name]
        path_of(tmp_path).write_text(json.dumps(bad))
        with pytest.raises(record.CorruptRecord):
            record.load(path_of(tmp_path))


def test_a_score_that_is_not_a_number_is_never_stored(tmp_path: Path) -> None:
    bad = example()
    bad["scores"][0]["value"] = float("nan")
    with pytest.raises(record.CorruptRecord, match="value"):
        record.save(tmp_path, bad)
    with pytest.raises(record.CorruptRecord, match="no score"):
        record.save(tmp_path, example(scores=[]))
    assert not list(tmp_path.rglob("*.json"))


def test_a_record_under_a_foreign_key_is_refused(tmp_path: Path) -> None:
    record.save(tmp_path, example())
    other = path_of(tmp_path, "1" * 16)
    other.write_bytes(path_of(tmp_path).read_bytes())
    with pytest.raises(record.CorruptRecord, match="another key"):
        record.load(other)


@pytest.mark.parametrize("status", record.STATUSES)
def test_which_failures_are_tried_again(tmp_path: Path, status: str) -> None:
    scores = example()["scores"] if status in ("ok", "collapsed") else []
    record.save(tmp_path, example(status=status, scores=scores))
    again = {"ok": False, "collapsed": False, "nan": False, "oom": True, "timeout": True, "error": True}
    assert (record.find(tmp_path, cell()) is None) == again[status]


def test_a_successor_retires_only_its_own_predecessor(tmp_path: Path) -> None:
    record.save(tmp_path, example("a" * 16), {"x": np.ones(1)})
    record.save(tmp_path, example("b" * 16, seed=1))
    record.save(tmp_path, example("c" * 16, variant="train.lr=0.1"))
    new = record.save(tmp_path, example("d" * 16))
    record.retire(tmp_path, new)
    assert [r["key"][0] for r in record.load_all(tmp_path)] == ["b", "c", "d"]
    assert (tmp_path / ".cache" / "superseded" / f"{'a' * 16}.npz").exists()


WRITER = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], sys.argv[3]]
import numpy as np
from benchmark import record
from benchmark.atomic import HOST, atomic
from test_record import example
print("ready", flush=True)
n = 0
while True:
    n += 1
    record.save(Path(sys.argv[1]), example(reason="x" * 200_000 + str(n)), {"p": np.arange(20_000)})
"""


def test_a_killed_writer_leaves_whole_files(tmp_path: Path, checkout: Path) -> None:
    for delay in (0.02, 0.05, 0.11, 0.17):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(checkout), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            time.sleep(delay)
            writer.kill()
        for path in tmp_path.rglob("*.json"):
            record.load(path)
            with np.load(path.with_suffix(".npz")) as arrays:
                assert len(arrays["p"]) == 20_000
    record.preflight(tmp_path)
    assert not [p for p in (tmp_path / "records").rglob("*") if p.name.endswith(".tmp")]


def test_preflight_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(UsageError, match=r"cannot be written .*--results"):
        record.preflight(blocked / "results")

    def refuse(self: Path, content: bytes) -> int:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(UsageError, match="free"):
        record.preflight(tmp_path / "small", needed=1 << 62)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(UsageError, match=r"Permission denied.*--results"):
        record.preflight(tmp_path / "readonly")


def test_preflight_spares_the_drafts_of_living_processes(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    with atomic(tmp_path / "records" / "a.json") as file:
        file.write(b"being written")
        (mine,) = (tmp_path / "records").glob(".a.json.*.tmp")
        # The same process number on another machine that shares the folder; one that nobody can have here.
        foreign = mine.with_name(mine.name.replace(HOST, "0" * 8))
        dead = mine.with_name(mine.name.replace(f".{os.getpid()}.", ".4194999."))
        gone = foreign.with_name(foreign.name.replace(f".{os.getpid()}.", ".4194999."))
        for path in (foreign, dead, gone):
            path.write_text("")
        record.preflight(tmp_path)
        assert [path.exists() for path in (mine, foreign, dead, gone)] == [True, True, False, True]
