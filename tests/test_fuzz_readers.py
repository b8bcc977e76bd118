"""Every reader of foreign files on thousands of damaged ones: a result, a repair or one sentence that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import Reader, apart, fuzz
from guard import watched
from readers import READERS

import modalities  # noqa: F401 - registers the families of data sets

FAST, SLOW = 5, 60  # inputs for each reader


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEPAKIT_CACHE", str(tmp_path / "cache"))


def checked(reader: Reader, home: Path, examples: int) -> None:
    home = home / "in"
    home.mkdir()
    tally = fuzz(reader, home, examples)
    print(
        f"{reader.name}: {tally.inputs} inputs, {tally.read} read or mended, {tally.refused} refused, "
        f"{tally.defects.total()} defects, slowest {tally.slowest:.2f} s"
    )
    assert tally.inputs == examples
    assert not tally.defects, f"{reader.name}: {tally.defects}"


def test_the_readers_are_those_of_all_modalities() -> None:
    names = [reader.name for reader in READERS]
    assert {name.partition("/")[0] for name in names} == {
        "image", "audio", "eeg", "ecg", "video", "lidar", "tabular", "benchmark"
    }  # fmt: skip
    assert len(names) == len(set(names))
    assert len(names) * FAST >= 200 and len(names) * SLOW >= 2000


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_sound_file_is_read(reader: Reader, tmp_path: Path) -> None:
    """Else the fuzzers would only see how nonsense is refused."""
    for name, content in reader.files().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert apart(reader, tmp_path, tmp_path) == ("read", "")


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_few_damaged_files(reader: Reader, tmp_path: Path) -> None:
    checked(reader, tmp_path, FAST)


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_many_damaged_files(reader: Reader, tmp_path: Path) -> None:
    checked(reader, tmp_path, SLOW)


def test_the_judge_sees_what_it_should(tmp_path: Path) -> None:
    def crash(folder: Path) -> None:
        import os

        os.abort()

    def hold(folder: Path) -> None:
        (tmp_path.parent / "outside").write_text("x")

    def files() -> dict[str, bytes]:
        return {"a.txt": b"sound"}

    for read, said in (
        (crash, "died of signal"),
        (hold, "reached outside: open"),
        (lambda _: 1 / 0, "ZeroDivisionError"),
    ):
        home = tmp_path / "in"
        home.mkdir()
        tally = fuzz(Reader("x", files, read), home, 2)
        assert tally.defects.total() == 2 and all(said in text for text in tally.defects)
    (tmp_path.parent / "outside").unlink()
    with watched(tmp_path) as seen:
        (tmp_path / "inside").write_text("x")
    assert not seen
