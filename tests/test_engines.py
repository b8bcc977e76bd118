"""Cells elsewhere: specs that travel, a worker for any scheduler, retries by class, the same records from every engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_run import make, run
from toybox import TINY, TOY, toys

from benchmark import record, spec, worker
from benchmark.__main__ import main
from benchmark.cell import Cell
from benchmark.engines import drive, on_ray
from benchmark.engines.drive import Ended
from benchmark.grid import Interrupted, Options
from jepakit.types import UsageError


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


def options(results: Path) -> Options:
    return Options(results, None, (TOY,), "cpu")


def test_a_spec_is_the_cell_and_holds_no_place(tmp_path: Path) -> None:
    cell = make(tmp_path, **{"recipe.at": "0.7"})
    said = spec.text(cell)
    assert spec.parse(said) == cell and spec.parse(said).key == cell.key
    assert str(tmp_path) not in said
    (tmp_path / "one.json").write_text(said)
    assert spec.read(tmp_path / "one.json") == cell


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 99}, "no spec of schema 1"),
        ({"seed": "0"}, "lacks seed"),
        ({"seed": True}, "lacks seed"),
        ({"overrides": {"train.lr": 1}}, "lacks overrides"),
        ({"identity": None}, "lacks identity.data"),
        ({"method": "toy-as"}, "no method named 'toy-as'; did you mean 'toy-ae'"),
        ({"dataset": "../../x"}, "no data set named"),
        ({"overrides": {"train.lr": "0.5"}}, "use the same commit"),
        ({"key": "0" * 16}, "use the same commit"),
    ],
)
def test_a_spec_that_was_tampered_with_is_refused(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    said = json.dumps(json.loads(spec.text(make(tmp_path))) | change)
    with pytest.raises(UsageError, match=says.replace("(", r"\(")):
        spec.parse(said)


@pytest.mark.parametrize("said", ["", "[1]", "{", "[" * 100_000, "x" * (spec.LARGEST + 1)])
def test_what_is_no_spec_is_refused(said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"spec|JSON"):
        spec.parse(said)
    (tmp_path / "bad.json").write_text(said)
    with pytest.raises(UsageError, match=r"bad\.json"):
        spec.read(tmp_path / "bad.json")
    with pytest.raises(UsageError, match=r"none\.json cannot be read"):
        spec.read(tmp_path / "none.json")


def test_plan_then_worker_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same board by two ways, byte for byte but for its costs."""
    words = ["toy", "dataset=toy", "method=toy-ae,toy-nan", "preset=smoke", *TINY]
    place = ["--results", str(tmp_path / "a")]
    assert main(["plan", *words, *place, "--out", str(tmp_path / "cells"), "--dry-run"]) == 0
    assert "2 to write" in capsys.readouterr().out and not (tmp_path / "cells").exists()
    assert main(["plan", *words, *place, "--out", str(tmp_path / "cells")]) == 0
    assert "2 cells, 0 finished, 2 written" in capsys.readouterr().out
    specs = sorted((tmp_path / "cells").iterdir())
    arguments = [*map(str, specs), *place, "--device", "cpu", "--plugin", str(TOY)]
    assert worker.main(arguments) == worker.FAILED, "one cell diverges"
    assert "nan" in capsys.readouterr().out
    assert worker.main(arguments) == worker.FAILED  # nothing is done twice
    assert main(["plan", *words, *place, "--out", str(tmp_path / "none")]) == 0
    assert not (tmp_path / "none").exists()
    assert main(["run", *words, "--results", str(tmp_path / "b"), "jobs=1"]) == 2
    one, two = (record.load_all(tmp_path / name) for name in "ab")
    assert [r["key"] for r in one] == [r["key"] for r in two]
    assert [r["scores"] for r in one] == [r["scores"] for r in two]


def test_the_cells_of_a_claim_are_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--results", str(tmp_path / "a"), "--out", str(tmp_path / "cells")]
    assert main(["plan", "--claim", "gradient-target", *place]) == 0
    assert "15 cells, 0 finished, 15 written" in capsys.readouterr().out
    cells = [spec.read(path) for path in (tmp_path / "cells").iterdir()]
    assert {(one.method, one.seed) for one in cells} == {(m, s) for m in ("sar", "mae", "ijepa") for s in range(5)}
    assert main(["plan", "--claim", "gradient-tarket", *place]) == worker.USAGE
    assert "did you mean 'gradient-target'" in capsys.readouterr().err
    assert main(["plan", "ecg", "--claim", "gradient-target", *place]) == worker.USAGE
    assert "'ecg' cannot be given" in capsys.readouterr().err


def test_the_worker_refuses_other_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell = make(tmp_path)
    other = Cell(**{**vars(cell), "data": dict.fromkeys(cell.data, "0" * 64)})
    path = tmp_path / "one.json"
    path.write_text(spec.text(other))
    assert worker.main([str(path), "--results", str(tmp_path), "--plugin", str(TOY)]) == worker.USAGE
    assert "is not the data that the cell was planned on" in capsys.readouterr().err
    assert worker.main([str(tmp_path / "gone.json"), "--results", str(tmp_path)]) == worker.USAGE


class Fake:
    """An engine whose jobs end as they are told to, one word per try; "done" runs the cell here."""

    def __init__(self, results: Path, ends: list[str], slots: int | None = 1) -> None:
        self.results, self.ends, self.slots = results, ends, slots
        self.said: list[str] = []
        self.stopped: list[int] = []
        self.closed = False

    def submit(self, said: str, name: str) -> int:
        self.said.append(said)
        return len(self.said) - 1

    def ended(self, job: int) -> Ended | None:
        kind = self.ends.pop(0)
        if kind == "ctrl-c":
            raise KeyboardInterrupt("SIGTERM")
        if kind == "done":
            worker.work(self.said[job], options(self.results))
        return None if kind == "wait" else Ended(kind, f"because {kind}")

    def stop(self, job: int) -> None:
        self.stopped.append(job)

    def close(self) -> None:
        self.closed = True


def drive_one(
    results: Path, ends: list[str], monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> tuple[Fake, dict[int, Any]]:
    monkeypatch.setattr(drive, "POLL", 0.0)
    done: dict[int, Any] = {}
    engine = Fake(results, ends)
    cells = [(4, make(results, **changes))]
    drive.run_cells(cells, options(results), engine, lambda *a: None, lambda n, one: done.update({n: one}))
    assert engine.closed
    return engine, done


def test_a_killed_job_is_tried_three_more_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, done = drive_one(tmp_path, ["wait", "killed", "killed", "wait", "killed", "done"], monkeypatch)
    assert len(engine.said) == 4 and done[4]["status"] == "ok"
    engine, done = drive_one(tmp_path, ["killed"] * 4, monkeypatch, seed=1)
    assert len(engine.said) == 4 and done[4]["status"] == "error" and "killed on every try" in done[4]["reason"]
    assert {one["seed"]: one["status"] for one in record.load_all(tmp_path)} == {0: "ok", 1: "error"}, "it is a row"


@pytest.mark.parametrize(("kind", "tries"), [("oom", 1), ("error", 1), ("timeout", 2)])
def test_other_ends_have_fewer_tries(kind: str, tries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, done = drive_one(tmp_path, [kind] * tries, monkeypatch)
    assert len(engine.said) == tries and (done[4]["status"], done[4]["reason"]) == (kind, f"because {kind}")


def test_a_failure_that_the_cell_itself_reports_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, done = drive_one(tmp_path, ["done"], monkeypatch, method="toy-oom")
    assert len(engine.said) == 1 and done[4]["status"] == "oom"


def test_a_record_counts_and_not_how_the_job_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished = run(tmp_path, make(tmp_path))
    engine, done = drive_one(tmp_path, ["killed"], monkeypatch)
    assert done[4] == finished and len(engine.said) == 1


def test_bad_input_ends_everything_and_an_interruption_stops_the_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="because usage"):
        drive_one(tmp_path, ["usage"], monkeypatch)
    monkeypatch.setattr(drive, "POLL", 0.0)
    engine = Fake(tmp_path, ["wait", "ctrl-c"], slots=2)
    cells = [(i, make(tmp_path, seed=i)) for i in range(3)]
    with pytest.raises(Interrupted) as stop:
        drive.run_cells(cells, options(tmp_path), engine, lambda *a: None, lambda *a: None)
    assert stop.value.name == "SIGTERM" and engine.stopped == [0, 1] and len(engine.said) == 2 and engine.closed


def same(one: Path, two: Path) -> None:
    a, b = record.load_all(one), record.load_all(two)
    assert len(a) == len(b) > 0
    for x, y in zip(a, b, strict=True):
        assert {k: x[k] for k in ("key", "status", "scores", "diagnostics", "history")} == {
            k: y[k] for k in ("key", "status", "scores", "diagnostics", "history")
        }


def command(results: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``run`` as a person types it, in a process of its own."""
    checkout = Path(__file__).resolve().parents[1]
    given = {word.partition("=")[0] for word in words}
    missing = [word for word in TINY if word.partition("=")[0] not in given]
    return subprocess.run(
        [sys.executable, "-m", "benchmark", "run", "toy", "dataset=toy", "preset=smoke", *words, *missing,
         "--results", str(results), "--plugin", str(TOY), "--device", "cpu"],
        cwd=checkout, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_how_cells_are_run_survives_the_way_as_text() -> None:
    asked = Options(
        Path("r"), Path("d"), (Path("a.py"), Path("b.py")), "cuda", 2, 60.0, force=True, only_cache=True, devices=4,
        heartbeat=5.0, loggers=("mlflow",),
    )  # fmt: skip
    for one in (asked, Options(Path("r"))):
        assert on_ray._options(on_ray._plain(one)) == one
        json.loads(on_ray._plain(one))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["ray", "slurm-here"])
def test_an_engine_gives_what_one_process_gives_and_survives_a_kill(engine: str, tmp_path: Path) -> None:
    """One cell is killed half-way through its training, once: it goes on elsewhere to the same bits."""
    pytest.importorskip("ray" if engine == "ray" else "submitit")
    marker = tmp_path / "marker"
    words = ["method=toy-ae,toy-interrupt,toy-nan", "seeds=2"]
    assert command(tmp_path / "plain", *words, "jobs=1").returncode == 2
    marker.touch()
    done = command(
        tmp_path / "far", *words, "jobs=2", "--engine", engine, TOY_INTERRUPT=str(marker), TOY_SIGNAL="SIGKILL"
    )
    assert done.returncode == 2, done.stdout + done.stderr  # toy-nan fails, as it should
    assert not marker.exists(), "nothing was killed"
    same(tmp_path / "plain", tmp_path / "far")
    if engine == "slurm-here":
        assert (tmp_path / "far" / ".jobs").stat().st_mode & 0o077 == 0, (
            "what lies there is run: nobody else may write it"
        )


@pytest.mark.slow
def test_a_node_is_lost_and_its_cell_goes_on_elsewhere(tmp_path: Path) -> None:
    """Two nodes of one processor each; the node of the running cell is taken away without a word."""
    ray = pytest.importorskip("ray")
    script = tmp_path / "lost.py"
    script.write_text(NODES)
    words = ["method=toy-ae", "seeds=1", "size.dim=16", "recipe.at=1.0", "train.steps=4000"]
    assert command(tmp_path / "plain", *words, "jobs=1").returncode == 0
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "far"), str(Path(__file__).parent), *words],
        cwd=Path(__file__).resolve().parents[1], capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost" in done.stdout and ray is not None
    same(tmp_path / "plain", tmp_path / "far")


NODES = """
import os, sys, threading, time
os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", "0" * 64
sys.path.insert(0, sys.argv[2])
sys.path.insert(0, os.getcwd())
from pathlib import Path
from ray.cluster_utils import Cluster
from toybox import TINY, TOY
from benchmark.__main__ import main

results = Path(sys.argv[1])
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]

def lose():
    while not list((results / ".runs").rglob("*.ckpt")):
        time.sleep(0.1)
    import ray
    for node in nodes:
        if ray._private.state.available_resources_per_node().get(node.node_id, {}).get("CPU", 0) < 1:  # it is busy
            cluster.remove_node(node, allow_graceful=False)
            print("lost", node.node_id, flush=True)
            return

threading.Thread(target=lose, daemon=True).start()
code = main(["run", "toy", "dataset=toy", "preset=smoke", TINY[1], TINY[3], *sys.argv[3:], "--results", str(results),
             "--plugin", str(TOY), "--device", "cpu", "--engine", "ray", "--address", cluster.address, "--memory", "0"])
cluster.shutdown()
sys.exit(code)
"""


def test_what_no_cluster_can_hold_is_an_error_and_so_is_a_missing_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "toy", "dataset=toy", "method=toy-ae", "preset=smoke", *TINY, "--results", str(tmp_path)]
    for name, says in (("ray", "engine=ray needs Ray"), ("submitit", "engine=slurm needs submitit")):
        monkeypatch.setitem(sys.modules, name, None)
        assert main([*words, "--engine", "ray" if name == "ray" else "slurm"]) == 3
        assert says in capsys.readouterr().err
    monkeypatch.undo()
    assert main([*words, "--engine", "slurm-here", "--heartbeat", "1"]) == 3
    assert "--heartbeat watches processes of this machine" in capsys.readouterr().err
    if shutil.which("srun") is None:
        pytest.importorskip("submitit")
        assert main([*words, "--engine", "slurm"]) == 3
        assert "there is no SLURM here" in capsys.readouterr().err


def test_a_request_that_no_node_can_meet_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.engines.on_ray import OnRay

    engine = object.__new__(OnRay)
    nodes = [{"Alive": True, "Resources": {"CPU": 2.0, "memory": 8e9}}, {"Alive": False, "Resources": {"CPU": 64.0}}]
    engine.ray = type("Ray", (), {"nodes": staticmethod(lambda: nodes)})
    engine._preflight(2.0, 0.0, 0)
    with pytest.raises(UsageError, match=r"CPU 4 \(most on a node: 2\)"):
        engine._preflight(4.0, 0.0, 0)
    with pytest.raises(UsageError, match=r"GPU 0.25 \(most on a node: 0\)"):
        engine._preflight(1.0, 0.25, 0)
