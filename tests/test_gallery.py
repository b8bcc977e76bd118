"""The page of boards on the site: made of the leaderboards, every number theirs, nothing of them is markup."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd

from benchmark.report import gallery

ROOT = Path(__file__).resolve().parents[1]
LINE = {
    "rank": "1", "method": "mae", "variant": "", "family": "mae", "dataset": "simulated", "preset": "quick", "budget": "",
    "task": "rhythm", "probe": "linear", "metric": "macro_f1", "mean": "0.7123", "ci95_lo": "0.6012", "ci95_hi": "0.8234",
    "tie_group": "a", "stale": "no", "nuisance": "no",
}  # fmt: skip


def write(folder: Path, *lines: dict[str, str], modality: str = "ecg") -> None:
    pd.DataFrame([{**LINE, **one} for one in lines]).to_csv(folder / f"leaderboard_{modality}.csv", index=False)


def test_a_board_is_a_figure_of_its_headline_task(tmp_path: Path) -> None:
    write(
        tmp_path, {"task": "noise", "nuisance": "yes", "mean": "0.1111"}, {},
        {"method": "simclr", "family": "contrastive", "rank": "2", "mean": "0.6543", "tie_group": "ab"},
        {"method": "ijepa", "family": "jepa", "rank": "3", "mean": "0.5222", "ci95_lo": "", "ci95_hi": "", "tie_group": "b"},
        {"method": "old", "stale": "yes", "rank": "", "mean": "0.9999", "tie_group": ""},
        {"method": "broken", "rank": "", "mean": "", "tie_group": ""}, {"method": "chance", "rank": "", "mean": "0.2"},
        {"probe": "knn", "mean": "0.4321"}, {"budget": "train.steps=9", "mean": "0.8888"},
    )  # fmt: skip
    text = gallery.page(tmp_path)
    assert re.findall(r"^##+ .*", text, re.M) == ["## ecg", "### ecg/simulated · quick"]
    (figure,) = re.findall(r"<svg.*?</svg>", text, re.S)
    words = ElementTree.fromstring(figure).findtext("desc") or ""
    assert "mae 0.712 [0.601, 0.823]; simclr 0.654 [0.601, 0.823]; ijepa 0.522." in words
    assert not re.search(r"noise|old|broken|chance|0\.432|0\.889", words)
    assert "<figcaption>mae is first, and no test tells it apart from: simclr.</figcaption>" in text
    assert "`make bench MODALITY=ecg DATASET=simulated PRESET=quick`" in text
    used = set(re.findall(r"var\(--(\w+)\)", text))
    assert used <= set(gallery.LIGHT) == set(gallery.DARK)


def test_names_stay_text_and_nothing_is_not_an_error(tmp_path: Path) -> None:
    assert "No board is committed" in gallery.page(tmp_path)
    write(tmp_path, {"method": "<script>alert(1)</script>"}, {"method": "b<i>", "rank": "2"})
    text = gallery.page(tmp_path)
    assert "<script" not in text and "<i>" not in text and "&lt;script&gt;" in text
    write(tmp_path, {"nuisance": "yes"})
    assert "###" not in gallery.page(tmp_path)


def test_every_committed_board_is_there() -> None:
    text = gallery.page(ROOT / "results")
    for path in (ROOT / "results").glob("leaderboard_*.csv"):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        modality = path.stem.removeprefix("leaderboard_")
        for dataset, preset in {(a, b) for a, b, c in zip(table["dataset"], table["preset"], table["budget"]) if not c}:
            assert f"### {modality}/{dataset} · {preset}\n" in text
    assert "href" not in re.sub(r'href="#f', "", text) and "http" not in text
