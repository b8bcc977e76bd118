"""Two rows against each other: differences by hand, the board's own test, verdicts both ways, costs, three forms."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from test_leaderboard import everything, fresh, read, write

from benchmark import leaderboard, record
from benchmark.__main__ import main
from benchmark.board import Board, boards
from benchmark.compare import Difference
from benchmark.lines import Measure
from benchmark.versus import BETTER, EQUAL, NONE, WORSE, Contrast, Versus, flops, latex, markdown, seconds, versus
from jepakit.types import UsageError


def here(results: Path) -> list[Board]:
    return boards(record.load_all(results), results, fresh)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    everything(results)
    for seed in range(3):  # names as long as "mae" have its luck: the same predictions where the skill is the same
        write(results, "mad", seed, skill=0.7)
        write(results, "ijepa", seed, dataset="ludb", skill=0.75)
        write(results, "mae", seed, dataset="ludb", skill=0.7)
    return results


@pytest.fixture(scope="module")
def made(kept: Path) -> list[Board]:
    return here(kept)


def test_a_difference_is_the_mean_of_paired_seeds_and_the_test_is_the_boards(kept: Path, made: list[Board]) -> None:
    found = versus(made, "ijepa", "mae")
    assert [(one.place, one.measure.task) for one in found.contrasts] == [
        ("ecg/ludb quick", "rhythm"), ("ecg/simulated quick", "rhythm"),
    ], "one contrast a board: nuisance tasks, other probes and other poolings are left out"  # fmt: skip
    values = {
        (r["method"], r["seed"]): s["value"]
        for r in record.load_all(kept) for s in r["scores"]
        if (r["dataset"], s["task"], s["probe"]) == ("simulated", "rhythm", "linear")
    }  # fmt: skip
    one = found.contrasts[1]
    by_hand = np.mean([values["ijepa", seed] - values["mae", seed] for seed in range(3)])
    assert one.found is not None and one.found.mean == pytest.approx(by_hand, abs=1e-12) and one.found.n == 3
    leaderboard.rebuild(kept, stale=fresh)
    (row,) = [
        row for row in read(kept / "leaderboard_ecg.csv")
        if (row["dataset"], row["method"], row["task"], row["probe"], row["metric"])
        == ("simulated", "ijepa", "rhythm", "linear", "macro_f1")
    ]  # fmt: skip
    for name, value in (("", one.found.mean), ("_lo", one.found.lo), ("_hi", one.found.hi)):
        assert float(row[f"d_best_baseline{name}"]) == pytest.approx(value, abs=6e-5)


def test_verdicts_are_mirrored_and_corrected_over_the_question(made: list[Board]) -> None:
    there, back = (versus(made, *pair) for pair in (("ijepa", "lejepa"), ("lejepa", "ijepa")))
    (one,), (two,) = there.contrasts, back.contrasts
    assert (one.verdict, two.verdict) == (BETTER, WORSE)
    assert one.found is not None and two.found is not None
    assert (one.found.mean, one.found.lo, one.found.hi) == (-two.found.mean, -two.found.hi, -two.found.lo)
    assert there.summary()[0] == "ijepa against lejepa: better on 1 of 1 task (1 board)."
    assert there.summary()[1].startswith("ijepa is better on ecg/simulated quick rhythm (macro_f1) by +0.")
    (same,) = versus(made, "mae", "mad").contrasts
    assert same.found is not None and same.found.mean == 0.0 and same.verdict == EQUAL
    pair = versus(made, "ijepa", "mae").contrasts
    p = sorted(one.found.p for one in pair if one.found)
    # Holm on two tests: the smaller p twice, the larger one at least that.
    assert sorted(one.p_holm for one in pair if one.p_holm is not None) == [
        pytest.approx(min(1, 2 * p[0])), pytest.approx(min(1, max(2 * p[0], p[1]))),
    ]  # fmt: skip


def test_references_can_be_compared_too(made: list[Board]) -> None:
    (one,) = versus(made, "ijepa", "random_init").contrasts
    assert one.verdict == BETTER and one.found is not None and one.found.lo > 0


def test_lower_is_better_where_the_metric_says_so(made: list[Board]) -> None:
    line = versus(made, "ijepa", "mae").contrasts[0].a
    measure = Measure(False, False, "age", False, 0, "linear", "rmse", "rmse")
    planted = [
        Contrast("ecg/x quick", measure, line, line, Difference(mean, mean - 0.1, mean + 0.1, 0.001, 3), "", p)
        for mean, p in ((-1.0, 0.001), (1.0, 0.001), (-1.0, 0.2), (-1.0, None))
    ]
    assert [one.verdict for one in planted] == [BETTER, WORSE, EQUAL, NONE]


def test_no_test_says_why(tmp_path: Path) -> None:
    write(tmp_path, "ijepa", 0)
    for seed in range(2):
        write(tmp_path, "mae", seed)
        write(tmp_path, "sar", seed, status="nan")
    one, failed = (versus(here(tmp_path), "mae", other).contrasts[0] for other in ("ijepa", "sar"))
    assert (one.verdict, one.why) == (NONE, "fewer than two common seeds or test units")
    assert (failed.verdict, failed.why) == (NONE, "sar has no score (nan:2)")
    mixed = boards(record.load_all(tmp_path), tmp_path, lambda one: one["method"] == "mae")
    assert versus(mixed, "mae", "ijepa").contrasts[0].why == "mae was made by older code"
    for path in tmp_path.rglob("*.npz"):
        path.unlink()
    with pytest.warns(UserWarning, match="not readable"):
        (blind,) = versus(here(tmp_path), "mae", "ijepa").contrasts
    assert blind.why == "the predictions of mae are not stored"


def test_costs_are_ratios_where_they_can_be_compared(tmp_path: Path) -> None:
    cost = {"pflop": 1e-3, "pretrain_s": 4.0, "features_s": 1.0, "device": "cpu", "precision": "32-true"}
    for seed in range(2):
        write(tmp_path, "ijepa", seed, cost={**cost, "pflop": 3e-3, "pretrain_s": 9.0})
        write(tmp_path, "mae", seed, cost=cost)
        write(tmp_path, "sar", seed, cost={**cost, "device": "cuda", "pflop": None})
    (one,), (other,) = (versus(here(tmp_path), "ijepa", name).contrasts for name in ("mae", "sar"))
    assert (flops(one), seconds(one)) == (pytest.approx(3.0), pytest.approx(2.0))
    assert (flops(other), seconds(other)) == (None, None), "another device's seconds are no measure"
    assert "| ecg/simulated quick | 3 | 1 | 3.00 | 10.0 | 5.0 | 2.00 |" in markdown(
        versus(here(tmp_path), "ijepa", "mae")
    )


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("ijpea", "mae"), "did you mean 'ijepa'"), (("mae", "mae"), "named twice"), (("mae", "chance"), "no row named"),
        (("lejepa", "only-there"), "no board has both"),
    ],
)  # fmt: skip
def test_wrong_names_end_in_a_sentence(
    made: list[Board], tmp_path: Path, names: tuple[str, str], sentence: str
) -> None:
    for seed in range(2):
        write(tmp_path, "only-there", seed, dataset="mitbih")
    with pytest.raises(UsageError, match=sentence):
        versus([*made, *here(tmp_path)], *names)


def hostile(tmp_path: Path) -> Versus:
    for seed in range(2):
        write(tmp_path, "a|b_<script>&%$#{}~^\\", seed, skill=0.9)
        write(tmp_path, "mae", seed)
    return versus(here(tmp_path), "a|b_<script>&%$#{}~^\\", "mae")


def test_a_row_of_smoke_alone_is_told_what_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "mae", 0)
    write(tmp_path, "ijepa", 0, preset="smoke")
    assert main(["compare", "ijepa", "mae", "--results", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert "'ijepa' was run at preset smoke alone" in said
    assert said.endswith("run ecg dataset=simulated method=ijepa preset=quick\n")


def test_markdown_keeps_its_columns_and_its_text(tmp_path: Path) -> None:
    text = markdown(hostile(tmp_path))
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("| board")]
    assert len(tables) == 2
    for lines in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert "<script>" not in text and "&lt;script&gt;" in text


def test_latex_is_booktabs_and_escapes(tmp_path: Path) -> None:
    text = latex(hostile(tmp_path))
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    rules = (r"\begin{tabular}", r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}")
    assert all(body.count(rule) == 2 for rule in rules)
    name = r"a|b\_\textless{}script\textgreater{}\&\%\$\#\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}"
    assert name in body
    for table, align in zip(body.split(r"\toprule")[1:], ("lllrrrrl", "lrrrrrr"), strict=True):
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(align) - 1}
    assert re.search(r"\$\+0\.\d{3} \[", body)


def test_the_command(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["compare", "ijepa", "mae", "ecg", "--results", str(kept)]
    assert main(base) == 0
    assert "ijepa against mae" in capsys.readouterr().out
    assert main([*base, "dataset=ludb", "--markdown"]) == 0
    out = capsys.readouterr().out
    assert "ecg/ludb quick" in out and "ecg/simulated" not in out and out.startswith("ijepa against mae")
    assert main([*base, "probe=knn", "--latex"]) == 0
    assert r"\toprule" in capsys.readouterr().out
    for words, sentence in (
        (["dataset=lubd"], "did you mean 'ludb'"), (["datset=ludb"], "did you mean 'dataset'"),
        (["more"], "one word too many"),
    ):  # fmt: skip
        assert main([*base, *words]) == 3
        assert sentence in capsys.readouterr().err
    assert main(["compare", "a", "b", "--results", str(kept / "none")]) == 3
    assert "no published record" in capsys.readouterr().err
