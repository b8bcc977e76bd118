"""Packages that mean harm: each refused in a sentence, with nothing written anywhere and nothing executed."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from guard import watched
from packages import Members, arrays, clean_tree, cli, members, npz, pack, run, signed, tree
from toybox import toys

from benchmark import record
from benchmark.cell import hash_of
from benchmark.publish import package
from benchmark.publish.merge import merge
from benchmark.publish.package import Refused


@pytest.fixture(scope="module", autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """The members of a package with one record, and the results folder it would be merged into beside it."""
    folder = tmp_path_factory.mktemp("honest")
    with pytest.MonkeyPatch.context() as patch:
        clean_tree(patch)
        assert run(folder / "results", "method=toy-ae", "seeds=1") == 0
        assert cli("submit", "--results", folder / "results", "--out", folder / "a.zip") == 0
    return members(folder / "a.zip")


class Evil:
    """Makes the file ``executed`` where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def names(held: Members) -> tuple[str, str]:
    (one,) = (name for name in held if name.startswith("records/") and name.endswith(".json"))
    return one, one.replace(".json", ".npz")


def changed(**change: Any) -> Callable[[Members], Members]:
    """The record with other fields, its checksum and the manifest's right again."""

    def make(held: Members) -> Members:
        one, _ = names(held)
        return {**held, one: signed(held[one], change)}

    return make


def renamed(**change: str) -> Callable[[Members], Members]:
    """A record whose names, key, place and checksums all agree with each other: only the name itself is bad."""

    def make(held: Members) -> Members:
        one, beside = names(held)
        found = json.loads(held[one])
        found |= change
        found["identity"] |= change
        found["key"] = hash_of(found["identity"])
        place = "/".join(("records", found["modality"], found["dataset"], found["method"], found["key"]))
        return {"manifest.json": held["manifest.json"], f"{place}.json": signed(json.dumps(found).encode(), {}),
                f"{place}.npz": held[beside]}  # fmt: skip

    return make


def score(**change: Any) -> Callable[[Members], Members]:
    def make(held: Members) -> Members:
        one, _ = names(held)
        scores = json.loads(held[one])["scores"]
        scores[0] |= change
        return {**held, one: signed(held[one], {"scores": scores})}

    return make


def predictions(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Callable[[Members], Members]:
    def make(held: Members) -> Members:
        _, beside = names(held)
        return {**held, beside: npz(change(arrays(held[beside])))}

    return make


def raw_array(content: bytes) -> Callable[[Members], Members]:
    """The first array of the predictions as these bytes."""

    def make(held: Members) -> Members:
        _, beside = names(held)
        file = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(held[beside])) as old, zipfile.ZipFile(file, "w") as new:
            for number, name in enumerate(old.namelist()):
                new.writestr(name, content if number == 0 else old.read(name))
        return {**held, beside: file.getvalue()}

    return make


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def lying_header(shape: str) -> bytes:
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + bytes(64)


def beside(name: str, content: bytes = b"x") -> Callable[[Members], Members]:
    return lambda held: {**held, name: content}


def text(content: str) -> Callable[[Members], Members]:
    def make(held: Members) -> Members:
        return {**held, names(held)[0]: content.encode("utf-8", "surrogatepass")}

    return make


def nested(held: Members) -> Members:
    return text("[" * 100_000 + "]" * 100_000)(held)


FOREIGN = "records/toy/toy/m/" + "0" * 16
HOSTILE: dict[str, tuple[Callable[[Members], Members], str]] = {
    "climbing member": (beside("../../records/x.json"), "has a name that no package has"),
    "absolute member": (beside("/tmp/x.json"), "has a name that no package has"),
    "drive": (beside("C:\\x.json"), "has a name that no package has"),
    "climbing inside": (beside("records/toy/../toy/" + "0" * 16 + ".json"), "has a name that no package has"),
    "folder": (beside("records/"), "has a name that no package has"),
    "executable beside": (beside("setup.py"), "has a name that no package has"),
    "hidden name": (beside("records/toy/toy/.m/" + "0" * 16 + ".json"), "has a name that no package has"),
    "direction mark": (beside("records/toy/toy/m\u202e/" + "0" * 16 + ".json"), "has a name that no package has"),
    "bomb": (beside(FOREIGN + ".npz", bytes(32 << 20)), "200 times as much"),
    "oversize": (beside(FOREIGN + ".npz", bytes((64 << 20) + 1)), "MiB, more than 64"),
    "bomb in predictions": (
        predictions(lambda a: {**a, "bomb.label": np.zeros(4 << 20)}), "200 times as much"
    ),
    "pickle": (raw_array(saved(np.array([Evil()], dtype=object))), "pickles are never read"),
    "structured array": (raw_array(saved(np.zeros(3, dtype=[("a", "i4")]))), "not plain numbers"),
    "text array": (raw_array(saved(np.array(["a"]))), "not plain numbers"),
    "lying header": (raw_array(lying_header("(549755813888,)")), "says another size than it has"),
    "negative shape": (raw_array(lying_header("(-8,)")), "another size|no header"),
    "no array": (raw_array(b"PK\x03\x04"), "no header of an array"),
    "huge class": (
        predictions(lambda a: {n: v.astype("i8") * (1 << 40) if n.endswith("label") else v for n, v in a.items()}),
        "holds classes below 0, or more|not what its predictions give",
    ),
    "not finite": (
        predictions(lambda a: {n: v * np.nan if v.dtype.kind == "f" else v for n, v in a.items()}), "are not finite"
    ),
    "array with a path": (predictions(lambda a: {**a, "../x.label": np.zeros(2)}), "has a name that no package has"),
    "no zip of predictions": (lambda held: {**held, names(held)[1]: b"PK" + bytes(50)}, "is damaged"),
    "no predictions": (
        lambda held: {n: c for n, c in held.items() if n != names(held)[1]}, "a score is not what its predictions give"
    ),
    "too good a score": (score(value=1.0), "a score is not what its predictions give"),
    "other predictions": (
        predictions(lambda a: {n: v[::-1] if "pred" in n else v for n, v in a.items()}), "not what its predictions give"
    ),
    "formula for a task": (score(task="=HYPERLINK(1)"), "a score that no board could show"),
    "unknown metric": (score(metric="votes"), "a score that no board could show"),
    "formula for a method": (renamed(method="=cmd|' /C calc'!A0"), "has a name that no package has"),
    "path for a method": (renamed(method=".."), "has a name that no package has"),
    "markup for a data set": (renamed(dataset="<script>"), "has a name that no package has"),
    "smoke": (renamed(preset="smoke"), "are never published"),
    "unknown preset": (renamed(preset="mine"), "are never published"),
    "other name than the place": (changed(method="mae"), "holds the record of another place"),
    "other seed than the identity": (changed(seed=7), "says other things than its identity"),
    "other overrides than the variant": (changed(overrides={"recipe.x": "1"}), "its variant is not what"),
    "formula for an override": (changed(overrides={"=x": "1"}, variant="=x=1"), "overrides that no command line gives"),
    "nonsense for trials": (changed(overrides={"tuned": "x"}, variant="tuned"), "does not say how it was tuned"),
    "unknown field": (changed(note="=1"), "has the unknown field"),
    "text for a number": (changed(cost={"wall_s": "=1+1"}), "has no number where one should be"),
    "no time": (changed(created="=NOW()"), "does not say when it was made"),
    "terminal escape": (changed(reason="\x1b]0;owned\x07"), "is not JSON as records have it"),
    "huge integer": (text('{"a": ' + "9" * 5000 + "}"), "is not JSON as records have it"),
    "huge float": (text('{"a": 1e999}'), "is not JSON as records have it"),
    "not a number": (text('{"a": NaN}'), "is not JSON as records have it"),
    "key twice": (text('{"a": 1, "a": 2}'), "is not JSON as records have it"),
    "lone surrogate": (text('{"a": "\ud800"}'), "is not JSON as records have it"),
    "nested deeply": (nested, "is not JSON as records have it"),
    "not a record": (text("[]"), "is not a record"),
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder with something in it, in the working folder."""
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    results.mkdir()
    (results / "runs.csv").write_text("kept\n")
    return results


def refuse(path: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of a package that is refused; everything around it is as it was."""
    before = tree(path.parent)
    capsys.readouterr()
    with watched() as touched:
        assert cli("merge", path, "--into", place) == 3
    assert not touched and tree(path.parent) == before and sorted(one.name for one in place.iterdir()) == ["runs.csv"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("error: ") and said.strip().isprintable()
    return said


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_package_is_refused_with_nothing_written(
    name: str, honest: Members, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, why = HOSTILE[name]
    path = pack(place.parent / "bad.zip", make(honest))
    said = refuse(path, place, capsys)
    assert "bad.zip was refused, nothing was merged" in said
    assert any(one in said for one in why.split("|")), said


def test_an_honest_package_is_taken_by_the_same_door(honest: Members, place: Path) -> None:
    """Else the tests above would prove nothing."""
    assert cli("merge", pack(place.parent / "good.zip", honest), "--into", place) == 0
    assert len(record.load_all(place)) == 1


def test_links_twins_and_checksums(honest: Members, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, beside = names(honest)
    bad = place.parent / "bad.zip"
    assert "is a link" in refuse(pack(bad, honest, links=(beside,)), place, capsys)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(pack(bad, honest), "a") as archive:
        archive.writestr(one, b"{}")
    assert "is there twice" in refuse(bad, place, capsys)
    broken = {**honest, beside: honest[beside] + b"\0"}
    assert "does not match the checksum" in refuse(pack(bad, broken, manifest=False), place, capsys)
    extra = {**honest, FOREIGN + ".npz": b""}
    assert "does not name exactly the members" in refuse(pack(bad, extra, manifest=False), place, capsys)
    less = {name: content for name, content in honest.items() if name != "manifest.json"}
    assert "has no manifest.json" in refuse(pack(bad, less, manifest=False), place, capsys)
    for change in ({"commit": "HEAD"}, {"schema": 99}):
        facts = json.loads(honest["manifest.json"]) | change
        refuse(pack(bad, {**honest, "manifest.json": json.dumps(facts).encode()}), place, capsys)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"hello", b"\x00" * 1000])
def test_what_is_no_zip(content: bytes, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = place.parent / "bad.zip"
    bad.write_bytes(content)
    assert "not a sound zip (BadZipFile)" in refuse(bad, place, capsys)
    assert "there is no package" in refuse(place.parent / "absent.zip", place, capsys)
    assert "there is no package" in refuse(place.parent, place, capsys)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_package_that_was_cut_short_or_flipped(
    share: float, honest: Members, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = pack(place.parent / "bad.zip", honest)
    whole = bad.read_bytes()
    at = int(len(whole) * share)
    bad.write_bytes(whole[:at])
    refuse(bad, place, capsys)


def test_limits_are_asked_before_anything_is_unpacked(
    honest: Members, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = pack(place.parent / "bad.zip", honest)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *words, **more: pytest.fail("unpacked"))
    for limit, value, why in (
        ("MEMBERS", 2, "more than 2"),
        ("TOTAL", 1000, "unpacks to"),
        ("BYTES", 100, "more than 0"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(package, limit, value)
            assert why in refuse(bad, place, capsys)


def test_members_inside_each_other(honest: Members, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two entries of the directory that share one stretch of the file, as in bombs without nesting."""
    bad = pack(place.parent / "bad.zip", honest)
    with zipfile.ZipFile(bad) as archive:
        first, second, *_ = sorted(archive.infolist(), key=lambda info: info.header_offset)
    content = bytearray(bad.read_bytes())
    entry = content.rindex(second.filename.encode()) - 46
    content[entry + 42 : entry + 46] = struct.pack("<I", first.header_offset + 1)
    bad.write_bytes(content)
    assert "lie inside each other" in refuse(bad, place, capsys)


def test_free_text_is_taken_and_shown_as_text(honest: Members, place: Path) -> None:
    held = changed(reason="=HYPERLINK(1)|<b>", paper="@SUM(A1)")(honest)
    assert cli("merge", pack(place.parent / "a.zip", held), "--into", place) == 0
    assert "'=HYPERLINK(1)|<b>" in (place / "runs.csv").read_text()
    assert ",=HYPERLINK" not in (place / "runs.csv").read_text()


def test_random_damage_is_refused_or_harmless(honest: Members, tmp_path: Path) -> None:
    """Whatever bytes are changed, of the package or of a record whose checksums are made right again."""
    whole = pack(tmp_path / "good.zip", honest).read_bytes()
    one, beside = names(honest)
    rng = np.random.default_rng(0)

    def damaged(content: bytes) -> bytes:
        out = bytearray(content)
        for at in rng.integers(0, len(out), rng.integers(1, 5)):
            out[at] = rng.integers(256)
        return bytes(out[: rng.integers(1, len(out))] if rng.random() < 0.2 else out)

    refusals = 0
    bad = tmp_path / "bad.zip"
    for number in range(150):
        if number % 3 == 0:
            bad.write_bytes(damaged(whole))
        else:
            name = (one, beside)[number % 3 - 1]
            pack(bad, {**honest, name: damaged(honest[name])})
        try:
            found = merge([bad], tmp_path / f"results{number}", lambda _: False)
        except Refused:
            refusals += 1
            assert not (tmp_path / f"results{number}").exists()
        else:
            (kept,) = found.added
            assert kept["scores"] == json.loads(honest[one])["scores"]
    assert refusals > 120
