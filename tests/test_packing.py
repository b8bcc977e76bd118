"""Packing: what runs beside each other fits into the memory of its place; needs and rooms are computed by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from benchmark import grid, packing, plan, plugin, record, request
from benchmark.cell import Cell
from benchmark.packing import CONTEXT, SHARE, USUAL, Packing

plugin.everything()


def cell(method: str, seed: int = 0) -> Cell:
    asked = request.parse(["ecg", f"method={method}", "preset=smoke", f"seed={seed}"])
    return plan.plan(asked, None, Path("none"), remember=False).cells[0]


def finished(of: Cell, **cost: Any) -> dict[str, Any]:
    return {
        "modality": "ecg", "dataset": of.dataset, "method": of.method, "preset": of.preset, "variant": of.variant,
        "status": "ok", "cost": {"device": "cpu", **cost},
    }  # fmt: skip


def test_the_first_that_fits_is_chosen() -> None:
    packed = Packing({0: 600.0, 1: 500.0, 2: 300.0}, {None: 1000.0})
    assert packed.choose([0, 1, 2], [], None) == 0
    assert packed.choose([1, 2], [0], None) == 1  # 600 + 500 is too much, 600 + 300 is not
    assert packed.choose([1], [0], None) is None
    assert packed.choose([1], [2], None) == 0  # once the large one has ended
    assert packed.choose([], [2], None) is None


def test_one_that_fits_nowhere_runs_alone() -> None:
    packed = Packing({0: 5000.0}, {None: 1000.0})
    assert packed.choose([0], [1], None) is None and packed.choose([0], [], None) == 0


def test_what_is_not_known_takes_as_much_as_usual_and_an_unknown_place_takes_all() -> None:
    packed = Packing({}, {"0": 2 * USUAL})
    assert packed.choose([3], [1], "0") == 0 and packed.choose([3], [1, 2], "0") is None
    assert packed.choose([3], [1, 2], "1") == 0


def test_needs_are_the_peaks_of_the_row_else_of_the_modality(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "free_memory", lambda: 4 << 30)
    known = [
        finished(cell("mae"), peak_rss_mib=900.0, peak_device_mib=0.0),
        finished(cell("mae", 1), peak_rss_mib=950.0, peak_device_mib=0.0),
        finished(cell("simclr"), peak_rss_mib=1200.0, peak_device_mib=0.0),
        {**finished(cell("simclr"), peak_rss_mib=9000.0), "cost": {"device": "cuda", "peak_rss_mib": 9000.0}},
    ]
    made = packing.packing([(4, cell("mae", 2)), (7, cell("ijepa"))], known, "cpu", [])
    assert made.needs == {4: 950.0, 7: 1200.0} and made.room == {None: SHARE * 4096}
    assert packing.packing([(4, cell("mae"))], [], "cpu", []).need(4) == USUAL
    monkeypatch.setattr(packing, "free_memory", lambda: None)  # as many as were asked for, where nothing is known
    assert packing.packing([], [], "cpu", []).room == {}


def test_a_gpu_needs_its_own_memory_and_what_cuda_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """GPUs 2 and 5 are left visible, 8 and 4 GiB; a cell on both has room for what the smaller one holds."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    sizes = [8 << 30, 4 << 30]
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda n: SimpleNamespace(total_memory=sizes[n]))
    one = finished(cell("mae"), device="cuda", peak_rss_mib=3000.0, peak_device_mib=700.0)
    made = packing.packing([(0, cell("mae"))], [one], "cuda", ["2", "5"])
    assert made.needs == {0: 700.0 + CONTEXT} and made.room == {"2": SHARE * 8192, "5": SHARE * 4096}
    assert packing.packing([], [], "cuda", ["2,5"]).room == {"2,5": SHARE * 4096}
    assert grid.places("cuda", 2) == ["2,5"] and grid.places("cuda") == ["2", "5"] and grid.places("cpu") == []


def test_a_container_has_less_than_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "GROUP", tmp_path)
    whole = packing.free_memory()
    assert whole is not None
    texts = {"memory.max": "1000000\n", "memory.current": "700000\n", "memory.stat": "anon 5\ninactive_file 200000\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    assert packing.free_memory() == 500000 < whole
    (tmp_path / "memory.max").write_text("max\n")
    assert packing.free_memory() == pytest.approx(whole, rel=0.5)


def test_a_process_waits_until_its_cell_fits(tmp_path: Path) -> None:
    """Two ready processes, room for one of the two cells; then the second cell fits."""
    pool = grid._Pool(
        grid.Options(results=tmp_path, device="cpu"),
        2,
        lambda *a: None,
        lambda *a: None,
        Packing({0: 800.0, 1: 800.0}, {None: 1e3}),
    )
    sent: list[Any] = []
    pool.workers = [
        grid._Worker(cast(Any, None), cast(Any, SimpleNamespace(send=sent.append)), ready=True) for _ in range(2)
    ]
    todo = [(i, cell("mae", i)) for i in range(2)]
    first, second = todo
    for worker in pool.workers:
        pool._give(worker, todo)
    assert sent == [first] and todo == [second] and pool.workers[1].task is None
    pool.workers[0].task = None
    pool._give(pool.workers[1], todo)
    assert sent == [first, second] and not todo and pool.workers[1].task == second


@pytest.mark.slow
def test_two_large_cells_do_not_run_beside_each_other(tmp_path: Path) -> None:
    """Two processes, room for one of the cells: the second starts when the first has ended."""
    cells = [(i, cell("random_init", i)) for i in range(2)]
    events: list[tuple[str, int]] = []

    def say(number: int, stage: str, fraction: float, detail: str) -> None:
        if ("start", number) not in events:
            events.append(("start", number))

    def done(number: int, one: record.Record) -> None:
        events.append(("end", number))

    options = grid.Options(results=tmp_path, device="cpu")
    grid.run_grid(cells, options, 2, say, done, Packing({0: 800.0, 1: 800.0}, {None: 1000.0}))
    assert events == [("start", 0), ("end", 0), ("start", 1), ("end", 1)]
