"""The comparison with other packages: what is refused, how rounds are compared, and our side of it; no peer is needed."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark import bench_peers
from benchmark.bench_peers import OURS, admitted, count, lines, rounds_of, verdict
from benchmark.peers import contest, ours
from benchmark.peers.contest import Absent, Contestant, Inputs
from jepakit.objective import MaskedJEPA
from jepakit.randomness import reseed


def linear(package: str, width: int = 8, **more: object) -> Contestant:
    """A contestant whose step is one matrix product of ``width`` columns, forward and backward."""
    module = nn.Linear(4, width, bias=False)

    def loss(inputs: Inputs) -> Tensor:
        value: Tensor = module(inputs.images).square().mean()
        return value

    return Contestant(package, module, loss, **more).prepare(torch.device("cpu"))  # type: ignore[arg-type]


def rows(n: int = 6) -> Inputs:
    return Inputs(torch.ones(n, 4), torch.ones(n, 4))


def test_flops_of_a_step_are_counted_per_sample() -> None:
    # 2·4·8 a sample forward, as many for the weight's gradient, none for the input's.
    assert count(linear("one"), rows()) == pytest.approx(2 * 2 * 4 * 8 / 1e9)


@pytest.mark.parametrize(
    ("gflop", "allowed"), [(1.0, True), (1.029, True), (0.971, True), (1.031, False), (0.969, False)]
)
def test_more_than_three_percent_of_flops_is_refused(gflop: float, allowed: bool) -> None:
    assert admitted(gflop, 1.0) is allowed


def test_what_is_refused_or_absent_has_no_time() -> None:
    times = {
        OURS: np.array([[10.0, 20.0], [30.0, 40.0], [20.0, 30.0]]),
        "near": np.array([[11.0, 30.0], [27.0, 40.0], [24.0, 45.0]]),
    }
    told = lines(
        "mae", {OURS: 2.0, "near": 2.02, "far": 2.2}, times, {"none": "has no MAE"}, (OURS, "near", "far", "none")
    )
    mine, near, far, none = told
    assert (mine["status"], mine["ms"], mine["ms_min"], mine["ms_max"], mine["wall_ms"]) == ("measured", 20, 10, 30, 30)
    # Ratios are taken round by round: 1.1, .9 and 1.2; of wall times 1.5, 1 and 1.5.
    assert [near[k] for k in ("ratio", "ratio_min", "ratio_max", "wall_ratio")] == pytest.approx([1.1, 0.9, 1.2, 1.5])
    assert near["flops_ratio"] == pytest.approx(1.01) and near["verdict"] == "equal"
    assert far["status"] == "refused" and "+10.0%" in far["note"] and far["gflop_per_sample"] == 2.2
    assert (none["status"], none["note"]) == ("absent", "has no MAE")
    assert not any(key in line for line in (far, none) for key in ("ms", "wall_ms", "ratio", "verdict"))


def test_the_verdict_asks_for_the_middle_half() -> None:
    assert verdict(np.array([0.5, 1.1, 1.2, 1.3, 1.4])) == "ours faster"
    assert verdict(np.array([0.6, 0.7, 0.8, 0.9, 1.5])) == "ours slower"
    assert verdict(np.array([0.9, 0.95, 1.0, 1.1, 1.2])) == "equal"


def test_contestants_take_turns_on_the_same_draws() -> None:
    seen: list[tuple[str, float]] = []

    def noting(package: str) -> Contestant:
        one = linear(package)
        plain = one.loss
        one.loss = lambda inputs: seen.append((package, float(torch.rand(())))) or plain(inputs)  # type: ignore[func-returns-value]
        return one

    found = rounds_of([noting("a"), noting("b")], lambda step: rows(), rounds=2, steps=2, precision=torch.float32)
    assert [package for package, _ in seen] == ["a", "a", "b", "b", "b", "b", "a", "a", "a", "a", "b", "b"]
    draws = {package: sorted(draw for one, draw in seen if one == package) for package in "ab"}
    assert draws["a"] == draws["b"] and len(set(draws["a"])) == 6
    assert {name: times.shape for name, times in found.items()} == {"a": (2, 2), "b": (2, 2)}


def test_the_teacher_follows_behind_the_optimiser() -> None:
    order: list[str] = []
    one = linear("one", after=lambda: order.append("after"))
    plain = one.optimizer.step
    one.optimizer.step = lambda *args, **kwargs: order.append("step") or plain()  # type: ignore[method-assign,func-returns-value,assignment]
    before = one.module.weight.clone()
    one.step(rows(), torch.float32)
    assert order == ["step", "after"] and not torch.equal(before, one.module.weight)  # type: ignore[arg-type]


SHAPES = {"mae": (49, 1, 147), "ijepa": (49, 4, None), "ijepa-joint": (49, 1, None)}


@pytest.mark.parametrize("name", SHAPES)
def test_the_masks_handed_out_are_those_our_step_draws(name: str) -> None:
    one, objective = ours.build_ours(name)
    assert isinstance(objective, MaskedJEPA)
    drawn = []
    inner = objective.masker.forward
    objective.masker.forward = lambda *args: drawn.append(inner(*args)) or drawn[-1]  # type: ignore[method-assign,func-returns-value]
    images = torch.randn(2, 3, contest.SIDE, contest.SIDE)
    split = bench_peers.given(objective, images, images, 5).split
    drawn.clear()
    reseed(0, 5)
    with torch.no_grad():
        one.loss(Inputs(images, images, split))
    assert (
        split is not None
        and torch.equal(split.context, drawn[0].context)
        and torch.equal(split.target, drawn[0].target)
    )
    visible, groups, asked = SHAPES[name]
    assert split.context.shape == (2, 1, visible) and split.target.shape[:3] == (2, 1, groups)
    # A target block covers 15–20 % of 196 tokens, the one region 65–70 % (sides are rounded).
    low, high = (asked, asked) if asked else (26, 42) if groups == 4 else (120, 143)
    assert low <= split.target.shape[3] <= high


def test_our_views_are_the_given_ones() -> None:
    one, objective = ours.build_ours("simclr")
    assert ours.masks(objective, 2, torch.device("cpu")) is None
    seen: list[Tensor] = []
    objective.backbone.tokenizer.register_forward_pre_hook(lambda module, args: seen.append(args[0].x))  # type: ignore[union-attr,operator]
    a, b = torch.randn(2, 2, 3, contest.SIDE, contest.SIDE).unbind()
    with torch.no_grad():
        one.loss(Inputs(a, b))
    assert len(seen) == 2 and torch.equal(seen[0], a) and torch.equal(seen[1], b)


def test_the_command_writes_one_line_per_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With stand-ins for the packages: one like ours, one twice as large, one without the method."""

    def lacking(name: str) -> Contestant:
        raise Absent("it predicts colours")

    modules = {
        "same": lambda name: linear("lightly"),
        "lacking": lacking,
        "large": lambda name: linear("stable-pretraining", 16),
    }
    for module, build in modules.items():
        monkeypatch.setitem(sys.modules, f"{__name__}.{module}", SimpleNamespace(build=build))  # type: ignore[arg-type]
    monkeypatch.setattr(ours, "build_ours", lambda name: (linear(OURS), nn.Identity()))
    monkeypatch.setattr(bench_peers, "given", lambda objective, images, other, step: rows())
    monkeypatch.setattr(bench_peers, "version", lambda package: f"1 of {package}")

    def run(second: str) -> tuple[int, list[dict[str, str]]]:
        peers = {"lightly": f"{__name__}.same", "stable-pretraining": f"{__name__}.{second}"}
        monkeypatch.setattr(bench_peers, "PEERS", peers)
        threads = torch.get_num_threads()
        try:
            code = bench_peers.main(
                ["--contests", "mae", "--rounds", "2", "--batch", "1", "--device", "cpu", "--results", str(tmp_path)]
            )
        finally:
            torch.set_num_threads(threads)
        with (tmp_path / "bench_peers.csv").open(newline="") as file:
            return code, list(csv.DictReader(file))

    code, (mine, same, lacked) = run("lacking")
    assert code == 0 and [mine["status"], same["status"], lacked["status"]] == ["measured", "measured", "absent"]
    assert float(same["flops_ratio"]) == 1 and float(same["ratio"]) > 0 and mine["ratio"] == ""
    assert same["version"] == "1 of lightly" and same["compared"] == "process CPU ms" and same["hardware"]
    code, (_, _, large) = run("large")
    assert code == 1 and large["status"] == "refused" and large["ms"] == "" and large["flops_ratio"] == "2"
    assert "refused" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        bench_peers.main(["--contests", "mea"])
    assert "no contest named ['mea']" in capsys.readouterr().err
