"""Unchanged: code that was shown to compute the same bits keeps its digest, until its next edit; anything else refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark import plugin, record, source, unchanged
from jepakit.types import UsageError


@pytest.fixture(scope="module")
def records(checkout: Path) -> list[record.Record]:
    """Committed records of two small boards."""
    plugin.everything()
    return [
        record.load(path)
        for name in ("tabular/diabetes", "ecg/simulated")
        for path in sorted((checkout / "results" / "records" / name).glob("*/*.json"))
    ]


def tree(root: Path, text: str) -> Path:
    """A checkout of one module."""
    path = root / "jepakit" / "x.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    source.unchanged.cache_clear()
    return path


def test_an_equal_edit_has_the_old_digest_and_the_next_one_its_own(tmp_path: Path) -> None:
    path = tree(tmp_path, "x = 1\n")
    old = source.digest([path], tmp_path)
    tree(tmp_path, "x = 2 - 1\n")
    new = source.digest([path], tmp_path)
    assert new != old
    (tmp_path / source.UNCHANGED).parent.mkdir()
    (tmp_path / source.UNCHANGED).write_text(json.dumps([{"code": {new: {"as": old, "of": "method"}}}]))
    source.unchanged.cache_clear()
    assert source.digest([path], tmp_path) == old
    tree(tmp_path, "x = 3 - 2\n")
    assert source.digest([path], tmp_path) not in (old, new)
    source.unchanged.cache_clear()


def test_nothing_differs_from_itself(records: list[record.Record], checkout: Path) -> None:
    assert unchanged.changed(records, checkout) == {}


def test_the_cover_runs_every_part_that_differs(records: list[record.Record]) -> None:
    """All code of all records: every method, recipe, data set and set of probes of each modality is in a chosen cell."""
    parts = {
        source.digest(files): {"as": "", "of": kind}
        for one in records
        for kind, files in unchanged.sources(one).items()
    }
    chosen = unchanged.cover(records, parts)
    assert {one["method"] for one in chosen} == {one["method"] for one in records}
    for what in (
        lambda r: tuple((k, v) for k, v in r["overrides"].items() if k.startswith("recipe.")),
        lambda r: (r["modality"], r["dataset"]),
        lambda r: (r["modality"], tuple(r["identity"]["probes"])),
    ):
        assert {what(one) for one in chosen} == {what(one) for one in records}
    assert len(chosen) < len(records)
    one_loss = {
        digest: part
        for digest, part in parts.items()
        if digest == source.digest(unchanged.sources(records[0])["method"])
    }
    assert {one["method"] for one in unchanged.cover(records, one_loss)} == {records[0]["method"]}


def test_words_ask_for_the_chosen_cells_and_no_budget_of_theirs(records: list[record.Record]) -> None:
    chosen = [one for one in records if one["method"] in ("lejepa", "mae") and one["modality"] == "ecg"]
    words = unchanged.requests(chosen)
    asked = {word for line in words for word in line}
    assert {"ecg", "dataset=simulated", "preset=smoke", "seeds=1"} <= asked
    assert not any(word.startswith(("train.", "budget", "size.")) for word in asked)
    assert sum("lejepa" in line[-3] for line in words) >= 1


def stored(results: Path, one: record.Record, weights: bytes = b"w", shift: float = 0.0, **change: Any) -> None:
    """A record with predictions and an encoder."""
    made = {**one, **change}
    record.save(results, made, {"rhythm.linear.pred": np.arange(4.0) + shift})
    place = results / ".cache" / "encoders" / f"{made['keys']['encoder']}.safetensors"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(weights)


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "weights": ({"weights": b"v"}, "other weights"),
    "predictions": ({"shift": 1e-7}, "other predictions"),
    "losses": ({"history": [{"step": 1, "loss": 2.0}]}, "other history"),
    "status": ({"status": "collapsed"}, "other status"),
    "method": ({"method": "other"}, "not the same cells"),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_one_bit_that_differs_is_refused(name: str, records: list[record.Record], tmp_path: Path) -> None:
    change, said = CHANGES[name]
    old, new, same = tmp_path / "old", tmp_path / "new", tmp_path / "same"
    stored(old, records[0])
    stored(same, records[0], key="f" * 16)  # other code gives other keys
    assert len(unchanged.compare(old, same)) == 1
    stored(new, records[0], **change)
    with pytest.raises(UsageError, match=said):
        unchanged.compare(old, new)


def test_an_empty_comparison_shows_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not the same cells"):
        unchanged.compare(tmp_path / "a", tmp_path / "b")


def test_data_that_read_otherwise_are_refused(records: list[record.Record]) -> None:
    one = next(r for r in records if r["modality"] == "tabular")
    digest = source.digest(unchanged.sources(one)["data"])
    assert unchanged.read_whole([one], {digest: {"as": "", "of": "data"}}, None) == ["tabular/diabetes"]
    other = {**one, "identity": {**one["identity"], "data": {**one["identity"]["data"], "test": "0"}}}
    with pytest.raises(UsageError, match="tabular/diabetes reads other data"):
        unchanged.read_whole([other], {digest: {"as": "", "of": "data"}}, None)


def test_what_stands_in_the_file_says_what_was_seen(checkout: Path) -> None:
    for entry in json.loads((checkout / source.UNCHANGED).read_text()):
        assert entry["why"] and entry["cells"] and entry["code"]
        assert all(len(new) == len(part["as"]) == 64 and new != part["as"] for new, part in entry["code"].items())
