"""Probes of bird's-eye views: golden answers from features that hold the truth, chance from noise, and the command."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from plots import Plots, Town

from benchmark import metrics
from benchmark.__main__ import main
from benchmark.bev.command import elsewhere, load, save
from benchmark.bev.heads import Fit, Head, fit
from benchmark.bev.probes import Cells, Centres, Completion, Objects, objects
from benchmark.bev.scores import BANDS, IOU, Measure, measured
from benchmark.bev.suite import Question, drawn, facts
from benchmark.bev.truth import Part, handmade, middles, plan_of, ranges, truth
from jepakit.types import UsageError

PLOTS = Plots()
FACTS = facts(PLOTS)
QUICK = Fit(steps=120, batch=16, lr=0.05, decays=(0.01,))


def by_token(cells: np.ndarray) -> np.ndarray:
    """(n, 256) values of cells → (n, 64 tokens, 4)."""
    return cells.reshape(-1, 8, 2, 8, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 64, 4)


def part(name: str, told: str) -> Part:
    """A part whose features are the classes of a token's cells ("truth"), or noise."""
    known = truth(PLOTS.data(name))  # type: ignore[arg-type]
    if told == "truth":
        kind = np.where(known.cell_class >= 0, known.cell_class, np.where(known.full, 1, 0))
        x = np.concatenate([by_token(kind == k) for k in range(3)], -1)
    else:
        x = np.random.default_rng(len(known)).normal(size=(len(known), 64, 12))
    return Part(x.astype(np.float32), known)


PARTS = {told: {name: part(name, told) for name in ("train", "val", "test")} for told in ("truth", "noise")}


def test_the_plan_is_in_metres_around_the_sensor() -> None:
    plan = plan_of(PLOTS)
    assert middles(plan)[0].tolist() == [-7.5, -7.5] and middles(plan)[17].tolist() == [-6.5, -6.5]
    assert ranges(plan)[0] == pytest.approx(7.5 * 2**0.5) and len(ranges(plan)) == 256
    assert FACTS.classes == ("ground", "car", "wall") and FACTS.kinds == (1, 2)


def test_a_head_says_the_right_thing_about_each_cell_of_a_token() -> None:
    """With the identity as its map, a token's four numbers land on its four cells."""
    cells = np.arange(2 * 256, dtype=np.float32).reshape(2, 256)
    head = Head(np.random.default_rng(0).normal(size=(2, 64, 4)).astype(np.float32), plan_of(PLOTS), 1, False, 0.0)
    head.mean, head.inverse = torch.zeros(4), torch.ones(4)
    head.out.weight.data = torch.eye(4)
    assert head.answers(by_token(cells), "cpu")[..., 0].tolist() == cells.tolist()


def test_cells_are_told_from_features_that_know_them_and_not_from_noise() -> None:
    found = {}
    for told, parts in PARTS.items():
        probe = Cells(parts["train"], parts["val"], FACTS.plan, 3, 0, "cpu", QUICK)
        found[told] = probe.score(parts["test"])
    assert found["truth"]["miou"].value > 0.999 and found["noise"]["miou"].value < 0.4
    # Nothing lies beyond 15 m on this plan: the bands are those that have cells.
    assert set(found["truth"]) == {"miou", "miou 0–15 m"}
    assert found["truth"]["miou"].replicates.shape == (200,)


def test_bands_of_range_count_their_own_cells() -> None:
    """Answers that are right up to 20 m only, on a plan three times as large: a slow count of each band."""

    class Wide:
        low, cell, grid, patch = (-24.0, -24.0), 3.0, (8, 8), 2

    probe = Cells(PARTS["truth"]["train"], PARTS["truth"]["val"], Wide(), 3, 0, "cpu", Fit(steps=1))
    test = PARTS["truth"]["test"]
    far = ranges(Wide()) > 20
    label = test.truth.cell_class
    said = np.where(far, (label + 1) % 3, label)
    probe.said = lambda part: said  # type: ignore[method-assign]
    found = probe.score(test)
    assert found["miou 0–15 m"].value == 1 and set(found) == {"miou", *(f"miou {band}" for band in BANDS)}
    inside = (ranges(Wide()) >= 15) & (ranges(Wide()) < 30)
    overlap = []
    for kind in range(3):
        true, guess = (one[:, inside][label[:, inside] >= 0] == kind for one in (label, said))
        overlap.append((true & guess).sum() / (true | guess).sum())
    assert found["miou 15–30 m"].value == pytest.approx(np.mean(overlap))


def test_iou_by_hand_and_its_bootstrap_is_over_scenes() -> None:
    label, said = np.array([1, 1, 0, 0, 1]), np.array([1, 0, 1, 0, 1])
    assert IOU(label, said) == 2 / 4 and np.isnan(IOU(np.zeros(3), np.zeros(3, int)))
    found = measured(IOU, label, said, np.array([0, 0, 0, 1, 1]), 2)  # 1 of 3 in the first scene, 1 of 1 in the second
    assert found.value == 0.5 and set(np.round(found.replicates, 6)) == {0.333333, 0.5, 1.0}


@pytest.mark.parametrize("conv", [False, True])
def test_completion(conv: bool) -> None:
    how = Fit(batch=16, lr=0.01, decays=(0.0,), conv=True) if conv else QUICK
    parts = PARTS["truth"]
    found = Completion(parts["train"], parts["val"], FACTS.plan, 0, "cpu", how).score(parts["test"])
    noise = PARTS["noise"]
    chance = Completion(noise["train"], noise["val"], FACTS.plan, 0, "cpu", how).score(noise["test"])
    floor = float(noise["test"].truth.full.mean())
    assert found["iou full"].value > (0.5 if conv else 0.97) and chance["iou full"].value < 2 * floor + 0.05
    assert set(found) == {"iou full", "iou close"}


def test_centres() -> None:
    """A linear map of the classes of a token's cells finds more of the middles of cars than one of noise."""
    names = ["car", "wall"]
    scores = {}
    for told, parts in PARTS.items():
        probe = Centres(parts["train"], parts["val"], FACTS.plan, FACTS.kinds, names, 0, "cpu", QUICK)
        scores[told] = probe.score(parts["test"])
    assert scores["truth"]["ap"].value > scores["noise"]["ap"].value + 0.2 and scores["noise"]["ap"].value < 0.1
    assert set(scores["truth"]) == {"ap", "ap car", "ap wall"}
    mean = (scores["truth"]["ap car"].value + scores["truth"]["ap wall"].value) / 2
    assert scores["truth"]["ap"].value == pytest.approx(mean)


def test_tokens_of_objects_against_a_loop() -> None:
    test = PARTS["truth"]["test"]
    scene, token, kind = objects(test, FACTS.plan, FACTS.kinds)
    found = set(zip(scene.tolist(), token.tolist(), kind.tolist(), strict=True))
    expected = set()
    for s, boxes in enumerate(test.truth.boxes):
        for t in range(64):
            low = np.array([2 * (t // 8) - 8, 2 * (t % 8) - 8])
            near = []
            for box in boxes[boxes[:, 0] > 0]:
                half = box[4:6] / 2 if box[7] == 0 else box[[5, 4]] / 2  # walls stand along y
                overlap = (box[1:3] - half < low + 2 - 1e-6) & (box[1:3] + half > low + 1e-6)
                distance = float(np.hypot(*(low + 1 - box[1:3])))
                if overlap.all() and distance < 3:
                    near.append((distance, int(box[0]) - 1))
            if near and test.truth.occupied[s, t]:
                expected.add((s, t, min(near)[1]))
    assert len(found) > 60 and len(found ^ expected) <= 0.05 * len(expected)  # spots lie .17 of a box apart


def test_objects_are_known_by_their_neighbours() -> None:
    scores = {}
    for told, parts in PARTS.items():
        probe = Objects(parts["train"], FACTS.plan, FACTS.kinds, 0)
        assert np.bincount(probe.kind).tolist() == [len(probe.kind) // 2] * 2, "the bank is balanced"
        scores[told] = probe.score(parts["test"])["accuracy"].value
    assert scores["truth"] > 0.9 and 0.35 < scores["noise"] < 0.65


def test_handmade_statistics_lie_under_their_tokens() -> None:
    found = handmade(PLOTS, PLOTS.data("val"))
    x = PLOTS.data("val").x.numpy()
    assert found.x.shape == (40, 64, 16)
    cell = found.x[3, 8 * 2 + 5].reshape(4, 4)[3]  # row 2, column 5 of tokens, lower right cell
    np.testing.assert_allclose(cell, [*x[3, 5, 11], np.log1p(x[3, 5, 11, 0])], rtol=1e-6)


def test_shares_are_drawn_without_repetition() -> None:
    found = drawn(1200, 0.01, 3, 0)
    assert [len(set(rows.tolist())) for rows in found] == [12] * 3 and not np.array_equal(found[0], found[1])
    assert len(drawn(5, 0.01, 1, 0)[0]) == 1


def test_equal_seeds_give_equal_heads() -> None:
    x = PARTS["noise"]["train"].x
    wanted = torch.from_numpy(PARTS["noise"]["train"].truth.full.astype(np.float32))

    def loss(answers: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return (answers[..., 0] - wanted[rows]).square().mean()

    torch.manual_seed(1)
    a = fit(x, FACTS.plan, 1, loss, QUICK, 0.0, 3, "cpu").out.weight
    torch.manual_seed(2)
    b = fit(x, FACTS.plan, 1, loss, QUICK, 0.0, 3, "cpu").out.weight
    assert torch.equal(a, b)


def test_scores_are_kept_as_they_are(tmp_path: Path) -> None:
    found = {Question("cells", "miou 0–15 m", 0.1, "plots"): Measure(0.25, np.arange(3.0))}
    save(tmp_path / "one.npz", found)
    again = load(tmp_path / "one.npz")
    assert again is not None and list(again) == list(found)
    assert next(iter(again.values())).replicates.tolist() == [0, 1, 2]
    (tmp_path / "one.npz").write_bytes(b"half")
    assert load(tmp_path / "one.npz") is None and load(tmp_path / "none.npz") is None


def test_other_towns_are_those_called_after_a_data_set() -> None:
    assert elsewhere("plots/plots") == ["plots/plots-town"] and elsewhere("plots/plots-town") == []
    assert Town().data("test").x.shape == Plots().data("test").x.shape
    assert not torch.equal(Town().data("test").x, Plots().data("test").x)


def test_data_without_the_truth_are_refused() -> None:
    from tiles import Tiles

    with pytest.raises(UsageError, match="cell_class"):
        plan_of(Tiles())


def test_the_command_scores_finished_rows_on_both_towns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.bev.probes.LINEAR", Fit(steps=60, lr=0.05, decays=(0.01,)))
    monkeypatch.setattr("benchmark.bev.suite.SHARES", {1.0: 1, 0.1: 2})
    where, words = ["--results", str(tmp_path)], ["plots", "preset=smoke"]
    assert main(["bev", *words, *where]) == 3 and "run it first" in capsys.readouterr().err
    assert main(["run", *words, "method=random_init,adljepa", "seed=0", "probe=ridge", "--jobs", "1", *where]) == 0
    assert main(["run", *words, "method=random_init", "seed=1", "probe=ridge", "--jobs", "1", *where]) == 0
    assert main(["bev", *words, "--figure", "2", *where]) == 0
    text = capsys.readouterr().out
    assert "hand-made cells" in text and "→ town" in text
    assert (tmp_path / "figures" / "bev_plots_plots_smoke.png").stat().st_size > 10_000
    before = (tmp_path / "bev_plots_plots_smoke.csv").read_bytes()
    rows = list(csv.DictReader(before.decode().splitlines()))
    found = {(r["method"], r["probe"], r["metric"], r["labels"], r["tested"]): r for r in rows}
    for method, seeds in (("hand-made cells", "1"), ("random_init", "2"), ("adljepa", "1")):
        for share in ("1", "0.1"):
            for tested in ("plots", "plots-town"):
                one = found[method, "cells", "miou", share, tested]
                assert 0 <= float(one["lo"]) <= float(one["mean"]) <= float(one["hi"]) <= 1 and one["seeds"] == seeds
    label = PLOTS.data("test").extra["cell_class"].numpy().ravel()
    for method in ("hand-made cells", "random_init"):
        assert float(found[method, "cells", "miou", "1", "plots"]["mean"]) > metrics.get("miou").chance(
            label[label >= 0]
        )
    assert main(["bev", *words, *where]) == 0  # from the cache, the same bytes
    assert (tmp_path / "bev_plots_plots_smoke.csv").read_bytes() == before
