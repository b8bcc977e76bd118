"""The fidelity page: what it reads from docstrings and from leaderboard files."""

from __future__ import annotations

from pathlib import Path

import pytest

import jepakit.methods  # noqa: F401 - registers
import modalities.controlled  # noqa: F401 - registers
from benchmark import fidelity
from jepakit.registry import methods

COLUMNS = "method,variant,dataset,preset,data,task,probe,metric,n_seeds,mean,ci95_lo,ci95_hi,device_s,pflops,stale"
ROWS = """\
other,,one,quick,d1,kind,linear,f1,3,0.9,0.8,1.0,10,,no
mine,recipe.keep=0.5,one,quick,d1,kind,linear,f1,3,0.7,0.6,0.8,12,0.5,no
mine,,one,quick,d1,kind,linear,f1,3,0.6,0.5,0.7,11,0.4,no
mine,,one,quick,d1,kind,knn,f1,3,0.99,,,11,,no
mine,,one,quick,d1,minor,linear,f1,3,0.98,,,11,,no
other,,two,quick,d2,kind,linear,f1,1,0.2,,,1,,no
mine,,two,quick,d2,kind,linear,f1,1,0.1,,,2,,yes
other,,three,quick,d3,kind,linear,f1,1,0.3,,,2,,no
mine,,three,quick,d3,kind,linear,f1,0,,,,,,no
mine,,three,quick,d3,minor,linear,f1,1,0.5,,,2,,no
"""


def test_the_best_headline_row_of_each_board_is_said(tmp_path: Path) -> None:
    (tmp_path / "leaderboard_toy.csv").write_text(f"{COLUMNS}\n{ROWS}")
    assert fidelity.ours("mine", tmp_path) == [
        "toy/one, preset quick: f1 of kind 0.7 [0.6, 0.8] (3 seeds, 12 s, 0.5 PFLOP, with recipe.keep=0.5)",
        "toy/two, preset quick: f1 of kind 0.1 (1 seed, 2 s, made by older code)",
    ]
    assert fidelity.ours("absent", tmp_path) == []


def test_data_made_for_a_claim_are_no_place_to_compare_with_a_paper(tmp_path: Path) -> None:
    rows = [f"mine,,{place},quick,d1,kind,linear,f1,3,0.6,,,11,,no" for place in ("simulated", "views-crop")]
    (tmp_path / "leaderboard_ecg.csv").write_text("\n".join([COLUMNS, *rows]))
    assert fidelity.ours("mine", tmp_path) == ["ecg/simulated, preset quick: f1 of kind 0.6 (3 seeds, 11 s)"]


def test_every_field_of_a_docstring_is_read() -> None:
    first, fields = fidelity.parse(
        "A (B 2020): c.\n\nSource: s.\nKept: k.\nDiffers: d,\nmore d.\nNot verified: n.\nPublished: p 1,\np 2.\nTests: t.\n"
    )
    assert first == "A (B 2020): c."
    assert fields == {
        "Source": "s.", "Kept": "k.", "Differs": "d, more d.", "Not verified": "n.", "Published": "p 1, p 2.", "Tests": "t.",
    }  # fmt: skip


def test_a_section_gives_every_field_and_our_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fidelity, "ours", lambda name: [f"row of {name}"])
    text = "\n".join(fidelity.section(["ijepa"], methods["ijepa"]))
    for field in ("Source", "Kept", "Differs", "Not verified", "Published", "Tests"):
        assert f"- *{field}:* " in text
    assert "- *Here:* row of ijepa." in text
    assert text.index("*Published:*") < text.index("*Here:*") < text.index("*Tests:*")
    several = "\n".join(fidelity.section(["ijepa", "twin"], methods["ijepa"]))
    assert "- *Here (`twin`):* row of twin." in several
