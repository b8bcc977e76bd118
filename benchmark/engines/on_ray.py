"""Ray: cells as tasks of a cluster, an existing one by its address or one on this machine.

Only JSON goes to workers; records and checkpoints go through the results folder, which every node has to see. Ray retries a
task whose worker or node died, and the retry goes on from the last checkpoint. Clusters use a token (RAY_AUTH_TOKEN; one is
drawn for a cluster of our own), no dashboard is started.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmark.engines.drive import RETRIES, Ended
from benchmark.grid import Options
from jepakit.types import UsageError

OLDEST = (2, 54)  # CVE-2026-27482


def available() -> Any:
    """The module. Raises UsageError where Ray is missing or too old to be safe."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray reads it when it is imported
    try:
        import ray
    except ImportError:
        raise UsageError("engine=ray needs Ray: .venv/bin/pip install -e '.[ray]'") from None
    if tuple(int(part) for part in ray.__version__.split(".")[:2]) < OLDEST:
        raise UsageError(
            f"Ray {ray.__version__} has known holes; install 2.54 or newer: .venv/bin/pip install -U 'ray>=2.54'"
        )
    return ray


class OnRay:
    """An engine (``benchmark.engines.drive``). cpus, gpus, memory: of one cell; address: of a running cluster.

    Raises UsageError where no node of the cluster can ever hold a cell.
    """

    slots: int | None = None

    def __init__(
        self, options: Options, *, address: str | None = None, jobs: int | None = None, cpus: float = 1.0,
        gpus: float = 0.0, memory: int = 0,
    ) -> None:  # fmt: skip
        if address is None:
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        self.ray = ray = available()
        self.options = replace(
            options, results=options.results.resolve(), root=options.root.resolve() if options.root else None
        )
        self.own = not ray.is_initialized()
        checkout = str(Path(__file__).resolve().parents[2])
        runtime = {"env_vars": {"PYTHONPATH": os.pathsep.join([checkout, os.environ.get("PYTHONPATH", "")])}}
        if self.own:
            if address is None:
                ray.init(
                    num_cpus=jobs,
                    include_dashboard=False,
                    log_to_driver=False,
                    runtime_env=runtime,
                    logging_level="error",
                )
            else:
                try:
                    ray.init(address, log_to_driver=False, runtime_env=runtime, logging_level="error")
                except (ConnectionError, RuntimeError) as error:
                    raise UsageError(
                        f"no cluster answers at {address} ({error}); check the address and RAY_AUTH_TOKEN, or leave "
                        "--address out for a cluster on this machine"
                    ) from None
        self.jobs: dict[int, Any] = {}
        try:
            self._preflight(cpus, gpus, memory)
        except UsageError:
            self.close()
            raise
        self.task = ray.remote(_cell)
        self.needs = {"num_cpus": cpus, "num_gpus": gpus, "memory": memory or None, "max_retries": RETRIES["killed"]}

    def _preflight(self, cpus: float, gpus: float, memory: int) -> None:
        """A request that no node can meet would wait for ever."""
        nodes = [one["Resources"] for one in self.ray.nodes() if one["Alive"]]
        need = {"CPU": cpus, "GPU": gpus, "memory": float(memory)}
        if any(all(node.get(name, 0.0) >= value for name, value in need.items()) for node in nodes):
            return
        most = {name: max((node.get(name, 0.0) for node in nodes), default=0.0) for name in need}
        lacking = [
            f"{name} {value:g} (most on a node: {most[name]:g})" for name, value in need.items() if value > most[name]
        ]
        raise UsageError(
            f"no node of the cluster can hold a cell: {', '.join(lacking) or 'no single node has all of it'}; ask for less"
        )

    def submit(self, said: str, name: str) -> int:
        """Queue a task."""
        number = len(self.jobs)
        self.jobs[number] = self.task.options(name=f"jepakit-{name}", **self.needs).remote(said, _plain(self.options))
        return number

    def ended(self, job: int) -> Ended | None:
        """What Ray says of a task."""
        ray, task = self.ray, self.jobs[job]
        ready, _ = ray.wait([task], timeout=0)
        if not ready:
            return None
        try:
            kind, detail = ray.get(task)
        except ray.exceptions.OutOfMemoryError as error:
            return Ended("oom", _short(error))
        except (
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.NodeDiedError,
            ray.exceptions.ObjectLostError,
        ) as error:
            return Ended("error", f"killed on every try: {_short(error)}")  # Ray itself has tried again
        except ray.exceptions.TaskCancelledError as error:
            return Ended("timeout", _short(error))
        except Exception as error:
            return Ended("error", f"{type(error).__name__}: {_short(error)}")
        return Ended(kind, detail)

    def stop(self, job: int) -> None:
        """Raises KeyboardInterrupt in the task, which saves and ends."""
        self.ray.cancel(self.jobs[job], force=False)

    def close(self) -> None:
        """Wait for tasks that were stopped, then leave the cluster; one of our own goes down."""
        left = [task for task in self.jobs.values() if not self.ray.wait([task], timeout=0)[0]]
        if left:
            self.ray.wait(left, num_returns=len(left), timeout=60)
        if self.own:
            self.ray.shutdown()


def _plain(options: Options) -> str:
    return json.dumps(asdict(options), default=str)


def _options(said: str) -> Options:
    """What ``_plain`` wrote down."""
    given = json.loads(said)
    given |= {"results": Path(given["results"]), "root": Path(given["root"]) if given["root"] else None}
    given |= {"plugins": tuple(map(Path, given["plugins"])), "loggers": tuple(given["loggers"])}
    return Options(**given)


def _cell(said: str, options: str) -> tuple[str, str]:
    """Body of a task: strings in, strings out."""
    from benchmark import worker

    try:
        worker.work(said, _options(options))
    except UsageError as error:
        return "usage", str(error)
    except KeyboardInterrupt:
        return "error", "stopped"
    finally:
        sys.stdout.flush()
    return "done", ""


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
