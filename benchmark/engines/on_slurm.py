"""SLURM: cells as jobs of a site, through submitit; ``local=True`` runs the same jobs as processes of this machine.

What submitit stores is a list of words and no objects of ours: each job runs ``python -m benchmark.worker`` on a spec.
Before its time is over, or when it is preempted, the job's process is told to save and the job is queued again.
"""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass
from typing import Any

from benchmark import worker
from benchmark.atomic import write_bytes
from benchmark.engines.drive import Ended
from benchmark.grid import Options
from jepakit.types import UsageError

GRACE = 60.0  # seconds that a cell has to save
KINDS = {worker.OK: "done", worker.FAILED: "done", worker.USAGE: "usage"}
KILLED = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGABRT, 128 + signal.SIGKILL)


def available() -> Any:
    """The module. Raises UsageError where submitit is missing."""
    try:
        import submitit
    except ImportError:
        raise UsageError("engine=slurm needs submitit: .venv/bin/pip install -e '.[slurm]'") from None
    return submitit


@dataclass
class Job:
    """Runs a command; called on the node. Returns (exit code, what it said last)."""

    words: list[str]

    def __call__(self) -> tuple[int, str]:
        process = subprocess.Popen(self.words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.process = process
        said, _ = process.communicate()
        return process.returncode, said.strip().splitlines()[-1] if said.strip() else ""

    def checkpoint(self) -> Any:
        """Told by submitit before the job's time is over: the cell saves, the job is queued again."""
        process = getattr(self, "process", None)
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
        return available().helpers.DelayedSubmission(Job(self.words))


class OnSlurm:
    """An engine (``benchmark.engines.drive``). jobs: most at a time; the rest: of one job, as submitit names them."""

    def __init__(
        self, options: Options, *, local: bool = False, jobs: int | None = None, minutes: int = 240, cpus: int = 1,
        gpus: int = 0, memory_gb: int = 8, partition: str | None = None,
    ) -> None:  # fmt: skip
        submitit = available()
        self.options, self.slots = options, jobs
        self.folder = options.results.resolve() / ".jobs"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)  # what submitit keeps here is code to whoever may write it
        try:
            self.executor = submitit.AutoExecutor(self.folder, cluster="local" if local else "slurm")
        except RuntimeError as error:
            raise UsageError(
                f"there is no SLURM here ({error}); run this on a login node, or use engine=local"
            ) from None
        wanted: dict[str, Any] = {
            "timeout_min": minutes,
            "cpus_per_task": cpus,
            "gpus_per_node": gpus,
            "mem_gb": memory_gb,
        }
        if not local:
            wanted |= {"name": "jepakit", **({"slurm_partition": partition} if partition else {})}
        self.executor.update_parameters(**wanted)
        self.jobs: list[Any] = []

    def submit(self, said: str, name: str) -> int:
        """Queue a job."""
        path = self.folder / "specs" / f"{name}.json"
        write_bytes(path, said.encode())
        self.jobs.append(self.executor.submit(Job(worker.command(path, self.options))))
        return len(self.jobs) - 1

    def ended(self, job: int) -> Ended | None:
        """What submitit says of a job, and then its exit code."""
        one = self.jobs[job]
        if not one.done():
            return None
        if one.state in ("TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY"):
            kinds = {"TIMEOUT": "timeout", "OUT_OF_MEMORY": "oom"}
            return Ended(kinds.get(one.state, "killed"), f"SLURM says {one.state}")
        try:
            code, said = one.result()
        except Exception as error:  # the job's own process is gone
            return Ended("killed", " ".join(str(error).split())[:200])
        if code in KINDS:
            return Ended(KINDS[code], said.removeprefix("error: "))
        return Ended("killed" if code in KILLED else "error", f"the process ended with {code}: {said}"[:200])

    def stop(self, job: int) -> None:
        """SLURM's own stop: SIGTERM, after its KillWait SIGKILL; the cell saves in between."""
        self.jobs[job].cancel()

    def close(self) -> None:
        """Jobs that run on a site go on without us; there is nothing to give back."""
