"""One setting over data sets: planted rows with a known better and a known worse value, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from test_leaderboard import fresh, write

from benchmark import effect, plugin, record, request
from benchmark.__main__ import main

SETTING = "recipe.tokens"
plugin.everything([])


def plant(results: Path, dataset: str, skill: dict[str, float], **changes: object) -> None:
    for value, share in skill.items():
        for seed in range(4):
            overrides = {SETTING: value} if value != "1" else {}
            write(results, "tjepa", seed, dataset=dataset, skill=share, overrides=overrides, **changes)  # type: ignore[arg-type]


def found(results: Path, words: str = "ecg method=tjepa") -> pd.DataFrame:
    made = effect.study(record.load_all(results), results, request.parse(words.split()), SETTING, fresh)
    return made[made["probe"] == "linear"].set_index(["dataset", "value"])


def test_values_are_told_from_the_published_one(tmp_path: Path) -> None:
    plant(tmp_path, "one", {"0": 0.4, "1": 0.7, "2": 0.95})
    plant(tmp_path, "two", {"0": 0.69, "1": 0.7, "2": 0.95})
    plant(tmp_path, "three", {"1": 0.7})  # nothing to set it against
    write(tmp_path, "tjepa", 0, dataset="one", overrides={SETTING: "4", "train.lr": "1"})  # another setting moves too
    made = found(tmp_path)
    assert list(made.index) == [(name, value) for name in ("one", "two") for value in "012"]
    assert dict(made["verdict"]) == {
        ("one", "0"): "worse", ("one", "1"): "", ("one", "2"): "better",
        ("two", "0"): "not told apart", ("two", "1"): "", ("two", "2"): "better",
    }  # fmt: skip
    low, base = made.loc[("one", "0")], made.loc[("one", "1")]
    assert low["difference"] == pytest.approx(low["mean"] - base["mean"], abs=1e-9)
    assert low["difference_lo"] < low["difference"] < low["difference_hi"] < 0 and low["p_holm"] < 0.05
    text = effect.summary(made.reset_index().assign(probe="linear"))
    assert "worse on 1, not told apart on 1 of 2 data sets; collapsed in 0 of 8 runs" in text[0]
    assert "as published" in text[1] and "better on 2 of 2 data sets" in text[2]


def test_collapsed_runs_are_counted(tmp_path: Path) -> None:
    plant(tmp_path, "one", {"1": 0.7})
    plant(tmp_path, "one", {"0": 0.35}, status="collapsed")
    sentences = effect.summary(found(tmp_path).reset_index().assign(probe="linear"))
    assert "collapsed in 4 of 4 runs" in sentences[0] and "collapsed in 0 of 4 runs" in sentences[1]


def test_what_cannot_be_studied_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant(tmp_path, "one", {"1": 0.7})
    for words, said in (
        ("ecg method=tjepa", "two values of recipe.tokens"),
        ("ecg", "name one method"),
        ("ecg method=tjepa,mae", "name one method"),
        ("ecg method=mae", "mae has no setting 'recipe.tokens'; it has: recipe."),
    ):
        assert main(["effect", *words.split(), "--setting", SETTING, "--results", str(tmp_path)]) == 3
        assert said in capsys.readouterr().err
