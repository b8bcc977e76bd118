"""Two ranks train as one on the joint batch: loss and gradients of every method, and whole runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

import baselines  # noqa: F401 - registers
import jepakit.methods  # noqa: F401 - registers
import modalities  # noqa: F401 - registers
from benchmark import ranks as harness
from benchmark.cell import Cell, resolve
from benchmark.contracts.grids import GRIDS, SIZE, grids, made, refusal, some
from benchmark.fingerprint import fingerprints
from benchmark.run import run_cell
from jepakit.pretrain import Training, build, fit
from jepakit.processes import alone, terms, world_size
from jepakit.randomness import reseed
from jepakit.ranks import Team
from jepakit.registry import datasets, methods
from jepakit.types import Batch, UsageError

WORLD, ROWS = 2, 14  # seven rows a rank: no other axis of the small grids is a multiple of seven
# Methods whose rows are tied together, so that ranks differ from one process by design, and how.
TIED = {
    "adljepa": "a share of the occupied cells of the whole batch is kept, on ranks of each rank's rows",
    "adljepa-sigreg": "as adljepa",
    "bevmae": "targets are scaled by the spread of the cells in the batch",
    "bevcontrast": "negatives are places of the batch, on ranks of each rank's rows",
    "mixed-barlow": "partners are drawn among the rows of the batch, on ranks of each rank's rows",
    "mlp": "dropout inside torch is drawn for each rank's rows alone",
    "resnet-table": "dropout",
    "ft-transformer": "dropout",
}  # fmt: skip


def trained(name: str) -> list[str]:
    """The grids on which the method takes steps, the first of them."""
    return [grid for grid in grids(name) if refusal(name, grid) is None and made(name, grid).trains][:1]


NAMES = list(methods)
BATCH = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
WEIGHT = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
DRAWS = {
    "rows": lambda n: torch.rand(n, 5),
    "second axis": lambda n: torch.rand(2, n),
    "several a row": lambda n: torch.randn(2 * n, 2),
    "whole numbers": lambda n: torch.randint(100, (n,)),
    "between": lambda n: torch.randint(5, 100, (n, 2)),
    "like": lambda n: torch.randn_like(torch.zeros(n, 2, dtype=torch.float64)),
    "by keyword": lambda n: torch.rand(size=(n, 5)),
}  # fmt: skip


def step(name: str, grid: str, team: Team | None) -> dict[str, Tensor]:
    """Loss and gradients of one step in the middle of training; of a team the mean over its ranks."""
    objective = made(name, grid)
    reseed(1, 5)
    batch = some(grid, ROWS)
    if team is None:
        loss = objective(batch, 0.9).total
        loss.backward()
    else:
        batch = team.share(batch)
        with team.draws(len(batch)):
            loss = objective(batch, 0.9).total
        loss.backward()
    found = {"loss": loss.detach().clone()}
    for key, parameter in objective.named_parameters():
        if parameter.requires_grad:
            found[key] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
    if team is not None:
        for value in found.values():
            dist.all_reduce(value)
            value /= WORLD
    return found


def ranks(index: int, folder: str, cases: list[tuple[str, str]]) -> None:
    torch.set_num_threads(1)
    team = Team(index, WORLD, Path(folder) / "meet")
    with team.joined("cpu"):
        found = {name: step(name, grid, team) for name, grid in cases}
        tools = parts(team)
        whole = whole_run(Path(folder) / "run", team)
    torch.save({"steps": found, "parts": tools, "run": whole}, f"{folder}/{index}.pt")


def parts(team: Team) -> dict[str, Tensor]:
    """Draws, batch norm and counts of one rank."""
    found = {}
    with team.draws(3):
        for name, draw in DRAWS.items():
            reseed(0, 0)
            found[name] = draw(3)
        norm = nn.BatchNorm1d(4).double()
        x = BATCH.chunk(WORLD)[team.index].clone().requires_grad_()
        y = norm(x)
        (y * WEIGHT.chunk(WORLD)[team.index]).sum().backward()
        found |= {"y": y.detach(), "grad": x.grad, "mean": norm.running_mean, "var": norm.running_var}
    found["terms"] = terms(torch.tensor([True] * (3 if team.index else 0) + [False]))
    with alone():
        found["alone"] = torch.tensor(world_size())
    return found


def whole_run(folder: Path, team: Team | None) -> dict[str, Tensor]:
    """Weights after six steps, stopped after the third and continued; and the mean loss of the last three."""
    modality, losses = GRIDS["1d"](), []
    training = Training(steps=6, batch_size=16, accumulate=2)

    def progress(step: int) -> None:
        if step == 3 and not losses:
            signal.raise_signal(signal.SIGTERM)

    def watch(step: int, mean: dict[str, float], objective: nn.Module) -> None:
        losses.append(mean["loss"])

    first = team is None or team.index == 0
    while True:
        objective = build("lejepa", modality, SIZE, 0)
        try:
            fit(
                objective, modality, training, seed=3, folder=folder, device="cpu", watch=watch if first else None,
                watch_every=3, progress=progress if first and not losses else None, team=team,
            )  # fmt: skip
        except KeyboardInterrupt:
            assert (folder / "last.ckpt").is_file()
            losses.append(float("nan"))
            continue
        weights = torch.cat([p.detach().flatten() for p in objective.parameters()])
        return {"weights": weights, "loss": torch.tensor(losses[-1:])}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict]]:
    """What each of two ranks computed."""
    folder = tmp_path_factory.mktemp("ranks")
    cases = [(name, grid) for name in NAMES for grid in trained(name)]
    mp.spawn(ranks, args=(str(folder), cases), nprocs=WORLD)
    return [torch.load(folder / f"{index}.pt", weights_only=True) for index in range(WORLD)]


@pytest.fixture(scope="module")
def shared(two: list[dict[str, dict]]) -> dict[str, dict[str, Tensor]]:
    """Loss and gradients by method."""
    return two[0]["steps"]


@pytest.mark.parametrize("name", NAMES)
def test_two_ranks_have_the_loss_and_the_gradient_of_the_joint_batch(
    name: str, shared: dict[str, dict[str, Tensor]]
) -> None:
    if not trained(name):
        assert name not in shared
        return
    whole = step(name, trained(name)[0], None)
    # What a norm takes out again has a gradient of nothing but rounding, which goes by the largest gradient of the model.
    noise = 1e-6 * max(1.0, *(float(value.abs().max()) for value in whole.values()))
    same = all(
        torch.allclose(shared[name][key], value, rtol=0, atol=noise + 1e-3 * float(value.abs().max()))
        for key, value in whole.items()
    )
    worst = max(float((shared[name][key] - value).abs().max()) for key, value in whole.items())
    assert same != (name in TIED), f"{name}: {worst:.2g}" + (" (take it out of TIED)" if same else "")
    assert any(value.any() for key, value in whole.items() if key != "loss")


@pytest.mark.parametrize("name", list(DRAWS))
def test_ranks_draw_what_one_process_draws_for_the_joint_batch(name: str, two: list[dict[str, dict]]) -> None:
    reseed(0, 0)
    axis = 1 if name == "second axis" else 0
    assert torch.equal(torch.cat([one["parts"][name] for one in two], axis), DRAWS[name](6))


def test_what_no_row_owns_is_drawn_alike_and_own_generators_are_left_alone() -> None:
    with Team(1, 2, Path("nowhere")).draws(7):
        reseed(0, 0)
        found = torch.rand(()), torch.rand(5, 3), torch.rand(7, generator=torch.Generator().manual_seed(3))
    reseed(0, 0)
    assert all(
        map(
            torch.equal,
            found,
            (torch.rand(()), torch.rand(5, 3), torch.rand(7, generator=torch.Generator().manual_seed(3))),
        )
    )


def test_batch_norm_is_that_of_the_joint_batch(two: list[dict[str, dict]]) -> None:
    norm = nn.BatchNorm1d(4).double()
    x = BATCH.clone().requires_grad_()
    y = norm(x)
    (y * WEIGHT).sum().backward()
    joint = {name: torch.cat([one["parts"][name] for one in two]) for name in ("y", "grad")}
    torch.testing.assert_close(joint["y"], y.detach(), rtol=1e-5, atol=1e-6)  # statistics are float32
    torch.testing.assert_close(joint["grad"], x.grad, rtol=1e-5, atol=1e-6)
    for one in two:
        torch.testing.assert_close(one["parts"]["mean"], norm.running_mean, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(one["parts"]["var"], norm.running_var, rtol=1e-5, atol=1e-7)


def test_terms_are_counted_everywhere_and_a_rank_alone_counts_itself(two: list[dict[str, dict]]) -> None:
    assert [float(one["parts"]["terms"]) for one in two] == [1.5, 1.5]  # three in all, two ranks
    assert [int(one["parts"]["alone"]) for one in two] == [1, 1]
    assert int(terms(torch.tensor([False]))) == 1 and int(terms(torch.tensor([True, True, False]))) == 2


def test_a_run_of_two_stopped_and_continued_ends_as_one_process_does(
    two: list[dict[str, dict]], tmp_path: Path
) -> None:
    one = whole_run(tmp_path, None)
    assert torch.equal(two[0]["run"]["weights"], two[1]["run"]["weights"])
    start = torch.cat([p.detach().flatten() for p in build("lejepa", GRIDS["1d"](), SIZE, 0).parameters()])
    apart, moved = (two[0]["run"]["weights"] - one["weights"]).norm(), (one["weights"] - start).norm()
    assert apart < 5e-2 * moved  # Adam makes whole steps of gradients that are nothing but rounding
    torch.testing.assert_close(two[0]["run"]["loss"], one["loss"], rtol=1e-4, atol=1e-5)


def test_rows_that_cannot_be_shared_equally_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="5 rows cannot be shared by 2 ranks"):
        Team(0, 2, tmp_path / "meet").share(Batch(torch.zeros(5, 1)))
    odd = cell(tmp_path, "ijepa", "train.batch_size=33")
    with (
        pytest.raises(UsageError, match="33 rows cannot be shared by 2 devices"),
        harness.together(odd, datasets[odd.name].make(None), tmp_path, "cpu", 2),
    ):
        pass


def test_a_rank_that_dies_before_it_joins_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, words = harness._start, [sys.executable, "-c", "raise SystemExit('no data here')"]
    monkeypatch.setattr(harness, "_start", lambda _, log: start(words, log))
    made, began = cell(tmp_path, "ijepa"), time.monotonic()
    with (
        pytest.raises(harness.RankDied, match="rank 1 of 2 ended with exit code 1: no data here"),
        harness.together(made, datasets[made.name].make(None), tmp_path, "cpu", 2),
    ):
        pass
    assert time.monotonic() - began < 30 and not dist.is_initialized()


def cell(results: Path, method: str, *words: str) -> Cell:
    """A small cell of the simulated ECG."""
    modality = datasets["ecg/simulated"].make(None)
    data = fingerprints(results, "ecg/simulated", modality)
    return resolve("ecg/simulated", method, "smoke", 0, dict(word.split("=") for word in words), data)


@pytest.mark.slow
def test_a_cell_on_two_devices_has_the_record_of_one_but_for_rounding(tmp_path: Path) -> None:
    modality = datasets["ecg/simulated"].make(None)
    made = cell(tmp_path, "lejepa")
    one, two = (run_cell(made, modality, tmp_path / str(n), device="cpu", devices=n) for n in (1, 2))
    assert one["status"] == two["status"] == "ok", two["reason"]
    assert one["key"] == two["key"] and two["cost"]["devices"] == 2 and "devices" not in one["cost"]
    for left, right in zip(one["history"], two["history"], strict=True):
        assert right["loss"] == pytest.approx(left["loss"], rel=1e-3)
        assert right["rankme"] == pytest.approx(left["rankme"], rel=1e-2)  # watched by one rank while the other waits
    for left, right in zip(one["scores"], two["scores"], strict=True):
        assert right["value"] == pytest.approx(left["value"], abs=0.05)
    assert not list((tmp_path / "2" / ".runs").glob("*/meet*"))


@pytest.mark.slow
def test_a_rank_that_dies_is_a_row_and_the_next_run_goes_on(tmp_path: Path) -> None:
    """The second rank is killed at its third step; rank 0 would wait for ever for its gradients."""
    modality, made = datasets["ecg/simulated"].make(None), cell(tmp_path, "ijepa", "train.steps=40")

    def say(stage: str, fraction: float, detail: str) -> None:
        if detail.startswith("step ") and 10 <= int(detail.split()[1].partition("/")[0]) < 30:
            subprocess.run(["pkill", "-KILL", "-f", f"benchmark.ranks.*{made.key}"], check=False)

    began = time.monotonic()
    broken = run_cell(made, modality, tmp_path, say=say, device="cpu", devices=2)
    assert broken["status"] == "error" and "rank 1 of 2 died of signal 9" in broken["reason"]
    assert time.monotonic() - began < 120
    first: list[str] = []
    whole = run_cell(
        made, modality, tmp_path, say=lambda stage, fraction, detail: first.append(detail), device="cpu", devices=2
    )
    assert whole["status"] == "ok" and whole["history"][-1]["step"] == 40
    steps = [int(detail.split()[1].partition("/")[0]) for detail in first if detail.startswith("step ")]
    assert min(step for step in steps if step) > 4, "it went on from a checkpoint"
