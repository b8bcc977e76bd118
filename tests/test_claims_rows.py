"""Claims over rows with judges of their own: slopes, strength of views, the plane of scores, shares of labels, plateaus."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from test_claims import Asked
from test_leaderboard import write

from benchmark import plugin, record
from benchmark.claims import claim
from benchmark.claims.claim import Evidence
from benchmark.claims.experiments import bev_label_efficiency as bev
from benchmark.claims.experiments import inv_equiv_plane as plane
from benchmark.claims.experiments import lejepa_plateau as plateau
from benchmark.claims.experiments import nuisance_slopes as nuisance
from benchmark.claims.experiments import view_strength as strength
from benchmark.claims.judge import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED, Estimate
from benchmark.claims.slopes import shares, slopes, steeper

plugin.everything([])


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim.request, "parse", Asked)


def row(*values: float, chance: float = 0.5, way: float = 0.5) -> Any:
    sampled = SimpleNamespace(values=np.array(values), seeds=tuple(range(len(values))))
    return SimpleNamespace(sampled=sampled, chance=chance, way=way)


def test_slopes_by_hand() -> None:
    assert shares(row(0.75, 1.0)) == {0: 0.5, 1: 1.0}
    assert shares(row(0.3, chance=0.4, way=-0.4)) == {0: pytest.approx(0.25)}  # lower is better
    # Shares of 1, .9 and .7 at strengths 0, .5 and 1.5: ten points for every half, over a range of 1.5.
    falling = {0.0: row(1.0), 0.5: row(0.95), 1.5: row(0.85)}
    assert slopes(falling) == {0: pytest.approx(-0.3)}
    assert slopes({**falling, 2.0: None}) == {} == slopes({0.0: row(1.0)})
    assert slopes({0.0: row(1.0, 1.0), 1.0: row(0.75)}) == {0: pytest.approx(-0.5)}  # the seed that both have
    gap = steeper({0: -0.1, 1: -0.2, 2: -0.3}, {0: -0.2, 1: -0.4})
    assert gap is not None and (gap.mean, gap.replicates) == (pytest.approx(0.15), 2)
    assert steeper({0: 1.0}, {0: 1.0}) is None


def test_verdict_of_planted_slopes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nuisance, "PLACES", ("ecg/nuisance",))
    monkeypatch.setattr(nuisance, "STRENGTHS", ("1", "2"))
    monkeypatch.setitem(nuisance.ARMS, "ecg", {"jepa": "ecgjepa", "mae": "mae"})
    falls = {("ecgjepa", "noise"): 0.02, ("mae", "noise"): 0.2, ("ecgjepa", "waves"): 0.2, ("mae", "waves"): 0.2}
    for (method, kind), fall in falls.items():
        for level in (0, 1, 2):
            if level or kind == "noise":
                dataset = f"nuisance-{kind}-{level}" if level else "nuisance-none"
                for seed in range(3):
                    write(tmp_path, method, seed, dataset=dataset, skill=0.95 - fall * level)
    found = nuisance.judge(Evidence(record.load_all(tmp_path), tmp_path))
    assert found.verdict == REPRODUCED and found.effect is not None and found.seeds == 3
    noise, waves = found.table
    # By hand: mean shares at each strength, least squares over 0, 1, 2 is half of last minus first.
    assert noise["slope of mae"] < -0.3 < -0.15 < noise["slope of jepa"]
    for line in found.table:
        for arm in ("jepa", "mae"):
            assert line[f"slope of {arm}"] == pytest.approx(line[f"{arm} at the strongest"] - line[f"{arm} without"])
    assert noise["mae without"] == waves["mae without"] > 0.8
    assert found.effect.mean == pytest.approx(noise["slope of jepa"] - noise["slope of mae"])
    assert abs(waves["effect"]) < 0.15 and "on 1, more on 0 of 1" in found.says
    empty = nuisance.judge(Evidence([], tmp_path))
    assert (empty.verdict, empty.effect, empty.table) == ("", None, ())


def test_verdict_of_planted_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"none": "ecg/views-none", "crop": "ecg/views-crop", "full": "ecg/simulated"}
    monkeypatch.setattr(strength, "PLACES", {"ecg": places})
    for seed in range(3):
        for name, skill in (("views-none", 0.5), ("views-crop", 0.7), ("simulated", 0.9)):
            for method in strength.VIEWED:
                write(tmp_path, method, seed, dataset=name, skill=skill)
        write(tmp_path, strength.MASKED, seed, skill=0.8)
    found = strength.judge(Evidence(record.load_all(tmp_path), tmp_path))
    assert found.verdict == REPRODUCED and found.effect is not None and found.seeds == 3
    assert [line["views"] for line in found.table] == ["none", "crop", "full"]
    assert found.table[0]["simclr"] < found.table[1]["simclr"] < found.table[2]["simclr"]
    assert len({line["ijepa"] for line in found.table}) == 1 and "on 1 of 1" in found.says


def test_the_plane_wants_both_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane, "PLACES", ("ecg/simulated",))
    for seed in range(3):
        write(tmp_path, "seq", seed, skill=0.9)
        write(tmp_path, "simclr", seed, skill=0.9)
    records = record.load_all(tmp_path)
    told = {"seq": (0.6, 0.4), "simclr": (0.1, -0.5)}
    for one in records:
        for task, value in zip(("transform_x", "transform_y"), told[one["method"]]):
            value = value + 0.01 * one["seed"] * (one["method"] == "seq")
            score = {
                "task": task,
                "probe": "relative",
                "metric": "r2",
                "value": value,
                "headline": False,
                "nuisance": True,
            }
            one["scores"].append({**one["scores"][0], **score})  # type: ignore[index]
    evidence = Evidence(records, tmp_path)
    assert plane.transforms(evidence, plane.words("ecg/simulated", "simclr")) == pytest.approx(
        {0: 0.05, 1: 0.05, 2: 0.05}
    )
    found = plane.judge(evidence)
    assert found.effect is not None and found.effect.mean == pytest.approx(0.5 + 0.01 - 0.05)
    assert [line["row"] for line in found.table] == ["seq", "simclr"]
    better, same, worse = (Estimate(x, x - 0.01, x + 0.01, 2, 3) for x in (0.2, 0.0, -0.2))
    assert plane.verdict(better, same) == REPRODUCED
    assert plane.verdict(better, worse) == NOT_REPRODUCED == plane.verdict(worse, better)
    assert plane.verdict(better, Estimate(0.0, -0.3, 0.3, 2, 3)) == INCONCLUSIVE


def test_labels_are_judged_at_one_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bev, "PROBE", "linear")
    for percent, skill in (("3", 0.9), ("10", 0.9), ("100", 0.5)):
        for seed in range(3):
            write(tmp_path, "adljepa", seed, dataset=f"labels-{percent}", skill=skill, modality="lidar")
            write(tmp_path, "random_init", seed, dataset=f"labels-{percent}", skill=0.6, modality="lidar")
    study = bev.bev_label_efficiency()
    found = study.judge(Evidence(record.load_all(tmp_path), tmp_path))
    assert found.verdict == REPRODUCED and len(found.table) == 3
    assert found.effect is not None and found.effect.mean == pytest.approx(found.table[1]["effect"])
    assert found.table[2]["effect"] < 0 and "100 %: -" in found.says


@pytest.mark.parametrize(
    ("fifth", "fivefold", "verdict"), [(0.9, 0.9, REPRODUCED), (0.5, 0.6, NOT_REPRODUCED), (0.3, 0.9, NOT_REPRODUCED)]
)
def test_a_plateau_has_no_edge_on_either_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fifth: float, fivefold: float, verdict: str
) -> None:
    names = ("one", "two", "three")
    monkeypatch.setattr(plateau, "LINES", {name: plateau.Where(f"ecg/{name}") for name in names})
    weights = {"0.01": fifth, "0.25": fivefold}
    for name in names:
        for seed in range(3):
            write(tmp_path, "lejepa", seed, dataset=name, skill=0.9)
            for weight, skill in weights.items():
                write(tmp_path, "lejepa", seed, dataset=name, skill=skill, overrides={"recipe.weight": weight})
    records = record.load_all(tmp_path)
    found = plateau.judge(Evidence(records, tmp_path))
    assert found.verdict == verdict and found.effect is not None and found.seeds == 3 and len(found.table) == 6
    # The outcome: of two differences of a data set the mean, of three data sets the mean.
    assert found.effect.mean == pytest.approx(np.mean([line["effect"] for line in found.table]))
    assert found.effect.replicates == 3
    less = [one for one in records if one["dataset"] != "three" or one["overrides"]]
    waiting = plateau.judge(Evidence(less, tmp_path))
    assert waiting.effect is None and "2 of 3" in waiting.says
