"""Names that mean harm: paths, control characters, formulas, markup. They are refused where they become files, and escaped
where they are shown."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import matplotlib.font_manager  # noqa: F401 - makes its cache folder now, not while folders are watched
import pytest
from guard import watched
from readers import RECORD
from rich.console import Console

import modalities  # noqa: F401 - registers
from benchmark import record, request
from benchmark.leaderboard import cell, escape, rebuild
from benchmark.report.ids import anchor
from jepakit.types import DataError, UsageError
from modalities.download import fetch
from modalities.ecg.ptbxl import read_table

CLIMBING = ("../../x", "..", "/etc/passwd", "a/../../b", "a\0b", "./x")
ODD = ("a\u202eb", "a b", "-x", "=1+1", "a\nb", "x" * 300, "")


def signed(**changes: Any) -> bytes:
    held = {**RECORD, **changes}
    held["sha256"] = hashlib.sha256(record.canonical(held)).hexdigest()
    return json.dumps(held).encode()


@pytest.mark.parametrize("field", ["modality", "dataset", "method", "key"])
@pytest.mark.parametrize("name", CLIMBING)
def test_a_record_with_a_path_for_a_name_is_set_aside_and_writes_nothing(tmp_path: Path, field: str, name: str) -> None:
    """Its checksum is right: only the name is not. A board would be written to a file named after the modality."""
    results = tmp_path / "a" / "b" / "results"
    place = results / "records" / "toy" / "toy" / "m"
    place.mkdir(parents=True)
    (place / "00ff.json").write_bytes(signed(**{field: name}))
    with pytest.raises(record.CorruptRecord, match=rf"00ff\.json has an impossible {field}"):
        record.load(place / "00ff.json")
    with watched(results) as outside, pytest.warns(UserWarning, match="record skipped"):
        rebuild(results)
    assert not outside and sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b"]
    assert sorted(path.name for path in results.parent.iterdir()) == ["results"]


@pytest.mark.parametrize("name", [*CLIMBING, *ODD])
def test_families_of_data_sets_do_not_take_any_name(name: str) -> None:
    for word in (f"folder-{name}", f"hub-{name}"):
        # folder-.. and folder--x are names of folders, ./x stays inside the folder, and for the hub see below
        if name not in ("..", "-x", "./x", ""):
            with pytest.raises(UsageError):
                request.parse(["image", f"dataset={word}", "method=mae"])


@pytest.mark.parametrize("name", ["../../x", "a/../../b", "a\0b", "/etc"])
def test_a_hub_name_is_no_path(tmp_path: Path, name: str) -> None:
    with watched(tmp_path / "root") as outside, pytest.raises(UsageError, match="is no name of a data set"):
        fetch("image", tmp_path / "root", dataset=f"hub-{name}", console=Console(quiet=True))
    assert not outside and not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["../../etc/x", "/etc/passwd", "a/../b", "a b", "..", "=x"])
def test_a_path_in_a_table_does_not_leave_the_folder(tmp_path: Path, path: str) -> None:
    table = tmp_path / "ptbxl_database.csv"
    head = "ecg_id,patient_id,scp_codes,strat_fold,filename_lr,filename_hr\n"
    table.write_text(head + "1,1.0,{'NORM': 100.0},1,records100/1_lr,records500/1_hr\n")
    assert len(read_table(table)) == 1
    table.write_text(head + f"1,1.0,{{'NORM': 100.0}},1,{path},records500/1_hr\n")
    with pytest.raises(DataError, match=r"ptbxl_database\.csv has a path in 'filename_lr' of row 1 that leaves"):
        read_table(table)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+cmd", "@SUM(A1)", "\t=1", "\r=1", " =HYPERLINK(1)", "\n@x"])
def test_a_spreadsheet_takes_no_cell_of_text_for_a_formula(text: str) -> None:
    assert cell("method", text).startswith("'") and "\n" not in cell("method", text)


def test_numbers_stay_numbers() -> None:
    assert cell("value", -0.5) == "-0.5000" and cell("value", -0.0) == "0.0000" and cell("seed", 3) == "3"


@pytest.mark.parametrize(
    "text", ["a|b", "<script>x</script>", "[x](javascript:y)", "`x`", "**x**", "a\nb", "![x](y)", "\\|"]
)
def test_markdown_shows_names_as_they_are(text: str) -> None:
    shown = escape(text)
    assert "\n" not in shown and "<" not in shown and ">" not in shown
    for sign in "|`*[]":
        assert all(shown[k - 1] == "\\" for k in range(len(shown)) if shown[k] == sign)


def test_anchors_are_letters_digits_and_dashes_and_stay_apart() -> None:
    names = ['a"><b', "a'><b", "../../x", "\u202e", "CON", "a\0b", "x" * 500]
    made = [anchor("method", name) for name in names]
    assert len(set(made)) == len(made) and all(set(one) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for one in made)
