"""The committed boards are what their records say: written again from the records, they are the same bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmark import leaderboard, plugin, record
from benchmark.__main__ import main
from jepakit.registry import datasets

RESULTS = Path(__file__).resolve().parents[1] / "results"
# Other tables (overhead, simulations …) are measured, not derived from records.
PATTERNS = ("runs.csv", "leaderboard*.csv", "leaderboard_*.md")
DERIVED = sorted(path.name for pattern in PATTERNS for path in RESULTS.glob(pattern))


def test_boards_are_written_again_byte_for_byte(tmp_path: Path) -> None:
    if not DERIVED:
        pytest.skip("no board is committed")
    plugin.everything()  # a row whose method is not registered would count as stale
    shutil.copytree(RESULTS / "records", tmp_path / "records")
    leaderboard.rebuild(tmp_path, cards={name: datasets[name].make.card for name in datasets})
    assert sorted(path.name for path in tmp_path.glob("*.*") if path.is_file()) == sorted(DERIVED)
    for name in DERIVED:
        fresh, kept = (tmp_path / name).read_text(encoding="utf-8"), (RESULTS / name).read_text(encoding="utf-8")
        assert fresh == kept, f"results/{name} is not what the records say; run make board and commit it"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("suite_tabular_quick.csv", ["suite", "tabular"]),
        (
            "effect_tabular_tjepa_recipe_tokens_quick.csv",
            ["effect", "tabular", "method=tjepa", "--setting", "recipe.tokens"],
        ),
    ],
)
def test_tables_across_data_sets_are_what_the_records_say(name: str, words: list[str], tmp_path: Path) -> None:
    shutil.copytree(RESULTS / "records" / "tabular", tmp_path / "records" / "tabular")
    assert main([*words, "--results", str(tmp_path)]) == 0
    fresh, kept = (tmp_path / name).read_text(encoding="utf-8"), (RESULTS / name).read_text(encoding="utf-8")
    assert fresh == kept, f"results/{name} is not what the records say; run `python -m benchmark {' '.join(words)}`"


def test_every_record_is_whole_and_has_its_predictions() -> None:
    paths = sorted((RESULTS / "records").rglob("*.json"))
    if not paths:
        pytest.skip("no record is committed")
    for path in paths:
        one = record.load(path)
        assert one["key"] == path.stem and path.with_suffix(".npz").is_file()
        assert [one["modality"], one["dataset"], one["method"]] == list(path.relative_to(RESULTS / "records").parts[:3])
