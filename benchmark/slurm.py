"""SLURM: a job whose time is announced to end is queued again, and the training framework does not see the cluster."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

PATIENCE = 30  # seconds for an answer of the batch system


def requeue(environment: Mapping[str, str] = os.environ) -> str | None:
    """Ask SLURM to queue this job again; one sentence about how it went, None outside of a job."""
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID")
    if not job or not re.fullmatch(r"\d+(_\d+)?", job):
        return None
    try:
        done = subprocess.run(
            ["scontrol", "requeue", job], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"job {job} could not be queued again ({type(error).__name__}); submit the same command"
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[:200]
        return f"job {job} could not be queued again ({said or done.returncode}); submit the same command"
    return f"job {job} is queued again"


@contextmanager
def unseen() -> Iterator[None]:
    """Inside, Lightning takes a SLURM job for an interactive one, as its documentation says: every cell is one process
    on one device, whatever ``--ntasks`` says, and signals and the queue are our own business."""
    before = os.environ.get("SLURM_JOB_NAME")
    inside = "SLURM_JOB_ID" in os.environ or "SLURM_NTASKS" in os.environ
    if inside:
        os.environ["SLURM_JOB_NAME"] = "interactive"
    try:
        yield
    finally:
        if inside and before is None:
            del os.environ["SLURM_JOB_NAME"]
        elif inside and before is not None:
            os.environ["SLURM_JOB_NAME"] = before
