"""Claims: intervals and power against scipy and draws, verdicts of planted rows, states, own numbers, the commands."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats
from test_leaderboard import write

from benchmark import plugin, record
from benchmark.__main__ import USAGE, main
from benchmark.cell import resolve
from benchmark.claims import claim, command, page, places
from benchmark.claims.claim import FACTS, Evidence, Finding, Study, claims
from benchmark.claims.contrast import Arm, contrast, over_places
from benchmark.claims.judge import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED, Estimate, Rule, estimate, no_worse
from benchmark.claims.rankings import dealt, orders, turned
from jepakit.registry import Registry
from jepakit.types import UsageError

plugin.everything([])
RESULTS = Path(__file__).resolve().parents[1] / "results"
FOUR = {"paper": "a paper", "says": "so", "fixed": "all", "budget": "none"}


# --- judging ---------------------------------------------------------------------------------------------------------


def test_the_interval_is_students() -> None:
    values = [0.1, 0.3, -0.2, 0.4, 0.05]
    found = estimate(values)
    half = scipy_stats.t.ppf(0.975, 4) * np.std(values, ddof=1) / np.sqrt(5)
    assert (found.mean, found.lo, found.hi) == pytest.approx((0.13, 0.13 - half, 0.13 + half))
    assert found.error == pytest.approx(np.std(values, ddof=1) / np.sqrt(5))
    one = estimate([0.2])
    assert (one.lo, one.hi) == (-np.inf, np.inf) and one.detectable == np.inf
    same = estimate([0.2, 0.2])
    assert (same.lo, same.hi, same.detectable) == (0.2, 0.2, 0.0)


def test_the_detectable_effect_is_found_four_times_in_five() -> None:
    deviation = 0.2
    half = scipy_stats.t.ppf(0.975, 7) * deviation / np.sqrt(8)
    known = Estimate(0.0, -half, half, 7, 8).detectable
    draws = np.random.default_rng(0).normal(known, deviation, (20_000, 8))
    assert np.mean(scipy_stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(
    ("rule", "lo", "hi", "verdict"),
    [
        (Rule(0.02), 0.01, 0.05, REPRODUCED),
        (Rule(0.02), -0.01, 0.01, NOT_REPRODUCED),
        (Rule(0.02), 0.001, 0.01, NOT_REPRODUCED),  # surely there, surely too small to matter
        (Rule(0.02), -0.01, 0.05, INCONCLUSIVE),
        (no_worse(0.02), -0.01, 0.5, REPRODUCED),
        (no_worse(0.02), -0.09, -0.03, NOT_REPRODUCED),
        (no_worse(0.02), -0.09, 0.1, INCONCLUSIVE),
    ],
)
def test_rules(rule: Rule, lo: float, hi: float, verdict: str) -> None:
    assert rule(Estimate((lo + hi) / 2, lo, hi, 4, 5)) == verdict


def test_few_data_sets_speak_of_themselves_many_of_others() -> None:
    one, two = Estimate(0.1, 0.06, 0.14, 4, 1), Estimate(0.3, 0.27, 0.33, 2, 1)
    both = over_places([one, two])
    assert both is not None and (both.mean, both.df) == (pytest.approx(0.2), 2)
    assert (both.lo, both.hi) == pytest.approx((0.2 - 0.025, 0.2 + 0.025))  # √(.04² + .03²) / 2
    many = over_places([one, two, one])
    assert many == estimate([0.1, 0.3, 0.1])
    assert over_places([]) is None


# --- arms that are rows ----------------------------------------------------------------------------------------------


def planted(results: Path, good: float, bad: float, seeds: int = 5, *, turned: bool = False) -> list[dict[str, Any]]:
    """turned: on the third data set the arms change places."""
    for dataset in ("one", "two", "three"):
        skills = (bad, good) if turned and dataset == "three" else (good, bad)
        for seed in range(seeds):
            write(results, "mae", seed, dataset=dataset, skill=skills[0])
            write(results, "mae", seed, dataset=dataset, skill=skills[1], overrides={"recipe.random": "0.5"})
            write(results, "mae", seed, dataset=dataset, skill=0.99, overrides={"recipe.random": "0.7"})  # no arm
    return record.load_all(results)


class Asked:
    """What ``request.parse`` is asked for, without registered data sets of these names."""

    def __init__(self, words: tuple[str, ...]) -> None:
        given = dict(word.split("=", 1) for word in words[1:])
        self.modality, self.datasets, self.method = words[0], (given["dataset"],), given["method"]
        self.seeds, self.preset, self.tuned = tuple(range(int(given["seeds"]))), given["preset"], False
        self.overrides = {key: text for key, text in given.items() if key.startswith("recipe.")}

    def rows(self, _: str) -> tuple[str, ...]:
        return (self.method,)


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr(claim.request, "parse", Asked)
    arms = {"blocks": Arm("mae"), "random": Arm("mae", {"recipe.random": "0.5"})}
    return contrast(["ecg/one", "ecg/two", "ecg/three"], arms, "blocks", "random", Rule(0.02))


@pytest.mark.parametrize(
    ("good", "bad", "turned", "verdict"),
    [(0.9, 0.6, False, REPRODUCED), (0.6, 0.9, False, NOT_REPRODUCED), (0.9, 0.6, True, INCONCLUSIVE)],
)
def test_verdicts_of_planted_rows(
    tmp_path: Path, blocks: Study, good: float, bad: float, turned: bool, verdict: str
) -> None:
    records = planted(tmp_path, good, bad, turned=turned)
    found = blocks.judge(Evidence(records, tmp_path))
    assert found.verdict == verdict and found.seeds == 5 and len(found.table) == 3
    # By hand: differences of means over the way from chance to 1, where the best guess of three even classes is constant.
    line = found.table[0]
    assert found.effect is not None
    ways = [(row["blocks"] - row["random"]) / row["effect"] for row in found.table]
    assert ways == pytest.approx([ways[0]] * 3) and 0.5 < ways[0] < 1
    scores = [
        one["scores"][0]["value"]
        for one in records
        if one["dataset"] == "one" and one["overrides"] == {"recipe.random": "0.5"}
    ]
    assert line["random"] == pytest.approx(np.mean(scores))


def test_a_difference_of_differences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim.request, "parse", Asked)
    planted(tmp_path, 0.9, 0.6)
    arms = {"a": Arm("mae"), "b": Arm("mae", {"recipe.random": "0.5"}), "c": Arm("mae", {"recipe.random": "0.7"})}
    whole = contrast(["ecg/one"], arms, "a", "b", Rule(0.02), beside=("c", "b"))
    plain = [contrast(["ecg/one"], arms, x, "b", Rule(0.02)) for x in "ac"]
    records = record.load_all(tmp_path)
    effects = [study.judge(Evidence(records, tmp_path)).effect for study in (whole, *plain)]
    assert all(effects)
    assert effects[0].mean == pytest.approx(effects[1].mean - effects[2].mean)  # type: ignore[union-attr]


def test_states(tmp_path: Path, blocks: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    own: Registry[Any] = Registry("claim")
    own.register("planted", **FOUR)(lambda: blocks)
    monkeypatch.setattr(claim, "claims", own)
    assert claim.status("planted", [], tmp_path).state == "not run"
    part = planted(tmp_path, 0.9, 0.6, seeds=2)
    some = claim.status("planted", part, tmp_path)
    assert (some.state, some.done, some.needed) == ("partly run", 12, 30)
    assert some.finding.verdict == REPRODUCED  # what is known so far; the state does not say it
    whole = claim.status("planted", planted(tmp_path, 0.9, 0.6), tmp_path)
    assert (whole.state, whole.done) == (REPRODUCED, 30)
    assert whole.seconds == pytest.approx(6 * sum(20.0 + seed for seed in range(5)))
    with pytest.raises(UsageError, match="did you mean 'planted'"):
        claim.status("plantet", [], tmp_path)


def test_orders_of_methods_turn_only_where_they_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.claims.contrast import rows_of

    skills = {"mae": 0.95, "lejepa": 0.8, "ijepa": 0.65, "ecgjepa": 0.5}
    for method, skill in skills.items():
        for seed in range(4):
            write(tmp_path, method, seed, skill=skill)
            write(tmp_path, method, seed, skill=1.45 - skill, dataset="turned")
    records = record.load_all(tmp_path)
    board = {
        name: rows_of([one for one in records if one["dataset"] == name], Evidence(records, tmp_path), "linear")[0]
        for name in ("simulated", "turned")
    }
    same, turned = orders(board["simulated"], board["simulated"]), orders(board["simulated"], board["turned"])
    assert same is not None and turned is not None
    assert same.tau == pytest.approx(1) and same.effect <= 0 and same.turned == 0 < same.apart
    assert turned.tau == pytest.approx(-1) and turned.effect > 1 and turned.turned == turned.apart
    assert orders({}, board["simulated"]) is None


def test_scores_dealt_out_anew_are_the_exact_null() -> None:
    x, y = [1.0, 2.0, 2.0, 4.0, 5.0], [0.1, 0.5, 0.4, 0.4, 0.9]
    every = [scipy_stats.kendalltau(x, order).statistic for order in itertools.permutations(y)]
    drawn = dealt(x, y, 20_000, 0)
    assert drawn.mean() == pytest.approx(0, abs=0.02)
    for cut in (0.2, 0.5, 0.8):
        assert np.mean(np.abs(drawn) > cut) == pytest.approx(np.mean(np.abs(every) > cut), abs=0.015)
    assert set(np.round(drawn, 9)) <= set(np.round(every, 9))
    assert np.isnan(dealt([1.0, 1.0], [0.0, 1.0], 3, 0)).all()
    assert turned("alpha_req", 0.7) == pytest.approx(-0.3) == turned("alpha_req", 1.3)
    assert turned("rankme", 3.0) == 3 and turned("uniformity", -2.0) == 2 and np.isnan(turned("rankme", None))


# --- a claim's own numbers -------------------------------------------------------------------------------------------


def test_own_numbers_are_kept_with_the_code_that_made_them(tmp_path: Path) -> None:
    assert claim.stored("deep-linear", tmp_path) is None
    claim.keep("deep-linear", tmp_path, {"x": np.float64(1.5)}, 2.0)
    found = claim.stored("deep-linear", tmp_path)
    assert found is not None and found["numbers"] == {"x": 1.5}
    path = claim.path("deep-linear", tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "code": "older"}))
    assert claim.stored("deep-linear", tmp_path) is None
    path.write_text("{")
    with pytest.raises(UsageError, match="delete it"):
        claim.stored("deep-linear", tmp_path)


def test_deep_linear_is_judged_part_by_part() -> None:
    stored = claim.stored("deep-linear", RESULTS)
    assert stored is not None, "run: make claim CLAIM=deep-linear"
    study = claims["deep-linear"].make()
    good = study.judge(Evidence([], RESULTS, stored["numbers"]))
    assert good.verdict == REPRODUCED and len(good.table) == 5
    for part, key, word in (("flow", "fixed_point_off", "fixed points"), ("collapse", "left", "collapse")):
        spoilt = json.loads(json.dumps(stored["numbers"]))
        spoilt[part][2][key] = 0.5
        bad = study.judge(Evidence([], RESULTS, spoilt))
        assert bad.verdict == NOT_REPRODUCED and f"not: {word}" in bad.says


def test_claims_over_all_boards_read_what_they_ask_for(tmp_path: Path) -> None:
    asked = {(one.dataset, one.method) for one in claim.cells(places.requests()) if one.modality == "ecg"}
    assert (
        ("simulated", "ecgjepa") in asked
        and ("simulated", "random_init") in asked
        and ("simulated", "byol") not in asked
    )
    kept = [write(tmp_path, "ecgjepa", seed) for seed in range(3)]
    write(tmp_path, "byol")  # run for another claim
    write(tmp_path, "ecgjepa", dataset="nuisance-none")
    write(tmp_path, "ecgjepa", overrides={"recipe.keep": "0.3"})
    write(tmp_path, "ecgjepa", preset="smoke")
    write(tmp_path, "random_init", family="reference")
    found = places.learners(Evidence(record.load_all(tmp_path), tmp_path), "ecg")
    assert {name: sorted(one["key"] for one in own) for name, own in found.items()} == {
        "simulated": sorted(one["key"] for one in kept)
    }


# --- all claims ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(claims))
def test_a_claim_says_what_it_is_before_it_is_run(name: str) -> None:
    entry = claims[name]
    assert set(entry.info) == set(FACTS) and all(entry.info[fact] for fact in FACTS)
    study = entry.make()
    assert study.outcome and study.rule and study.seeds >= 1
    assert study.requests or study.measure
    wanted = list(claim.cells(study.requests))
    assert len({json.dumps(vars(one), default=sorted, sort_keys=True) for one in wanted}) == len(wanted), "a cell twice"
    for one in {(one.modality, one.dataset, one.method, tuple(one.overrides.items())): one for one in wanted}.values():
        resolve(f"{one.modality}/{one.dataset}", one.method, one.preset, one.seed, dict(one.overrides), {})
    empty = claim.status(name, [], Path("nowhere"))
    assert empty.state == "not run" and isinstance(empty.finding, Finding)


def test_the_committed_table_and_page_are_what_records_say(tmp_path: Path) -> None:
    for folder in ("records", "claims"):
        shutil.copytree(RESULTS / folder, tmp_path / folder)
    command.rebuild(tmp_path)
    for name in (command.FILE, command.LINES):
        fresh, kept = ((folder / name).read_text(encoding="utf-8") for folder in (tmp_path, RESULTS))
        assert fresh == kept, f"run `make claims` and commit results/{name}"
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.page(text) == text, "run python -m benchmark.claims.page"
    assert all(f"`{name}`" in text for name in claims)


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["claim", "deep-liner"], "did you mean 'deep-linear'"),
        (["claim"], "name a claim"),
        (["claim", "deep-linear", "preset=full"], "'preset=full' cannot be given"),
    ):
        assert main([*words, "--results", str(tmp_path)]) == USAGE
        assert said in capsys.readouterr().err
    assert main(["claim", "deep-linear", "--dry-run", "--results", str(tmp_path)]) == 0
    assert "would compute deep-linear" in capsys.readouterr().out and not (tmp_path / "claims").exists()
    assert main(["claim", "position-leak", "--dry-run", "jobs=2", "--results", str(tmp_path)]) == 0
    said = capsys.readouterr().out  # two rows on two data sets are one grid, so that no process waits between them
    assert (
        "20 to run, jobs 2" in said and said.count("estimated time") == 1 and "preset  quick · recipe.leak=true" in said
    )
    assert said.partition("estimated")[0].rpartition("curves")[2].count("recipe.leak=true") == 10
    shutil.copytree(RESULTS / "claims", tmp_path / "claims")
    assert main(["claim", "deep-linear", "--results", str(tmp_path)]) == 0
    assert "deep-linear: reproduced" in capsys.readouterr().out
    assert main(["claims", "--results", str(tmp_path)]) == 0
    assert "not run" in capsys.readouterr().out
