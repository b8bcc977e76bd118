"""Grid: all cells of a plan, in this process or in several; one failed cell never stops the others."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import torch

from benchmark import plugin, record, signals
from benchmark.cell import Cell
from benchmark.lock import locked
from benchmark.outcome import Outcome
from benchmark.packing import USUAL, Packing, free_memory, packing
from benchmark.run import Say as RunSay
from benchmark.run import keep, lock_of, quiet, run_cell
from jepakit import pretrain
from jepakit.modality import Modality
from jepakit.registry import datasets
from jepakit.types import UsageError

UNKNOWN = 8 << 30  # bytes of free memory where the system does not say
GRACE = 60.0  # seconds a worker has to save its checkpoint after an interruption
SILENCE = 7200.0  # a stage of a cell that says nothing (a probe on a large data set) takes minutes
ESCALATION = 10.0  # seconds from asking a hanging worker to stop until it is killed with all its children

Say = Callable[[int, str, float, str], None]
Done = Callable[[int, record.Record], None]


@dataclass(frozen=True)
class Options:
    """How cells are run; nothing in here changes a score on the same kind of device."""

    results: Path
    root: Path | None = None
    plugins: tuple[Path, ...] = ()
    device: str = "auto"
    threads: int | None = None
    timeout: float | None = None
    force: bool = False
    only_cache: bool = False
    devices: int = 1  # that pre-train one cell together
    heartbeat: float | None = None  # seconds after which a worker that has said nothing is ended; None: SILENCE
    loggers: tuple[str, ...] = ()  # names of ``benchmark.loggers``


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or a signal: running cells were saved; ``name`` is the signal's name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def choose_jobs(asked: int | None, cells: int, device: str, devices: int = 1) -> int:
    """How many cells run at a time. None (auto): one per GPU, else one per core as far as memory reaches; fewer where
    ``devices`` of them share a cell.

    A board's models are so small that two single-threaded cells beat one with two threads; every cell computes with one
    thread on a CPU in either case, so scores do not depend on the number of jobs.
    """
    if asked is None:
        device = pretrain.hardware()[0] if device == "auto" else device
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        fitting = int((free_memory() or UNKNOWN) / 2**20 // USUAL)
        asked = max(1, len(gpus(device))) if device != "cpu" else min(cores, max(1, fitting))
        asked = max(1, asked // devices)
    return max(1, min(asked, cells))


def present(device: str, devices: int = 1) -> None:
    """Raises UsageError where this machine has no such device, or not as many."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device, True):
        raise UsageError(
            f"this machine has no {device} device that torch can use; leave --device out, or use --device cpu"
        )
    names = gpus(device)
    if devices > 1 and names and len(names) < devices:
        raise UsageError(
            f"this machine shows {len(names)} GPUs, not the {devices} of --devices; ask for as many or fewer"
        )


def gpus(device: str) -> list[str]:
    """The names under which CUDA shows the GPUs that processes share in turn; none where cells run on something else."""
    if device == "auto":
        device = pretrain.hardware()[0]
    if device != "cuda":
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    return [str(number) for number in range(torch.cuda.device_count())]


def places(device: str, devices: int = 1) -> list[str]:
    """The GPUs that a process sees, ``devices`` at a time with commas between; none where cells run on something else."""
    names = gpus(device)
    return [",".join(names[i : i + devices]) for i in range(0, len(names) - devices + 1, devices)]


@contextmanager
def seeing(gpu: str | None) -> Iterator[None]:
    """A process that is started inside sees this GPU, or these."""
    if gpu is None:
        yield
        return
    name, before = "CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ[name] = gpu
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def pack(cells: Sequence[tuple[int, Cell]], options: Options, records: Sequence[record.Record]) -> Packing:
    """What these cells need of the memory of the places where ``options`` has them run, as ``records`` tell."""
    device = pretrain.hardware()[0] if options.device == "auto" else options.device
    return packing(cells, records, device, places(device, options.devices))


def ordered(
    cells: Sequence[tuple[int, Cell]], weights: Sequence[float], *, by_data: bool = True
) -> list[tuple[int, Cell]]:
    """Numbered cells in the order in which they are run: of a data set and seed the longest first, so that no long cell is
    left over at the end. ``weights``: by number how long each takes; ``by_data`` no: the longest of all first."""
    return sorted(cells, key=lambda one: (by_data and (one[1].name, one[1].seed), -weights[one[0]]))


def run_grid(
    cells: Sequence[tuple[int, Cell]], options: Options, jobs: int, say: Say, done: Done, packed: Packing | None = None
) -> None:
    """Run numbered cells; ``say(number, stage, fraction, detail)`` while they run, ``done(number, record)`` at the end.
    ``packed``: what they need of which memory, where not as many as ``jobs`` may fit beside each other.

    Raises UsageError (bad data found late) and Interrupted; finished cells have their records in both cases.
    """
    if jobs > 1 or (options.heartbeat is not None and cells):  # a process cannot watch over itself
        _Pool(options, jobs, say, done, packed).run(list(cells))
        return
    modality: Modality | None = None
    current = ""
    for number, cell in cells:
        if modality is None or current != cell.name:
            modality, current = datasets[cell.name].make(options.root), cell.name

        def tell(stage: str, fraction: float, detail: str, number: int = number) -> None:
            say(number, stage, fraction, detail)

        try:
            done(number, run_one(cell, modality, options, tell))
        except KeyboardInterrupt as stop:
            raise Interrupted(signals.reason(stop)) from None


def run_one(cell: Cell, modality: Modality, options: Options, tell: RunSay = quiet) -> record.Record:
    """``run_cell`` with these options."""
    return run_cell(
        cell,
        modality,
        options.results,
        say=tell,
        device=options.device,
        threads=options.threads,
        timeout=options.timeout,
        force=options.force,
        only_cache=options.only_cache,
        devices=options.devices,
        loggers=options.loggers,
    )


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    ready: bool = False
    task: tuple[int, Cell] | None = None
    heard: float = field(default_factory=time.monotonic)
    gpu: str | None = None  # that it sees, or several
    hung: float | None = None  # when it was asked to stop because it had said nothing for too long


class _Pool:
    """Spawned processes, each with a pipe: cells go in, what happens comes out. A worker that dies becomes a record, and
    so does one that says nothing for too long: it is asked to stop, then killed with all its children."""

    def __init__(self, options: Options, jobs: int, say: Say, done: Done, packed: Packing | None = None) -> None:
        self.options, self.jobs, self.say, self.done = options, jobs, say, done
        self.packed = packed or Packing({}, {})
        self.silence = SILENCE if options.heartbeat is None else options.heartbeat
        self.context = multiprocessing.get_context("spawn")
        self.workers: list[_Worker] = []
        self.gpus = places(options.device, options.devices)

    def run(self, todo: list[tuple[int, Cell]]) -> None:
        try:
            while todo or any(worker.task for worker in self.workers):
                while todo and len(self.workers) < self.jobs:
                    self._start()
                for worker in self.workers:
                    if worker.ready and worker.task is None:
                        self._give(worker, todo)
                for pipe in wait([worker.pipe for worker in self.workers], min(1.0, self.silence / 4)):
                    self._receive(next(worker for worker in self.workers if worker.pipe is pipe))
                for worker in list(self.workers):
                    self._watch_over(worker)
        except KeyboardInterrupt as stop:
            with suppress(KeyboardInterrupt):  # a second one: who has not saved by now is ended
                self._stop(GRACE)
            raise Interrupted(signals.reason(stop)) from None
        finally:
            self._stop(2.0)

    def _give(self, worker: _Worker, todo: list[tuple[int, Cell]]) -> None:
        """The next cell that fits beside what runs where this worker is, if any does."""
        beside = [other.task[0] for other in self.workers if other.task and other.gpu == worker.gpu]
        index = self.packed.choose([number for number, _ in todo], beside, worker.gpu)
        if index is not None:
            worker.task, worker.heard = todo.pop(index), time.monotonic()
            worker.pipe.send(worker.task)

    def _watch_over(self, worker: _Worker) -> None:
        """A worker that is silent for too long is told to stop (SIGTERM), and killed ten seconds later."""
        now = time.monotonic()
        if worker.task is None or now - worker.heard < self.silence:
            return
        if worker.hung is None:
            worker.hung = now
            worker.process.terminate()
        elif now - worker.hung > ESCALATION and worker.process.pid:
            with suppress(ProcessLookupError):
                os.killpg(worker.process.pid, signal.SIGKILL)  # it leads a group of its own

    def _start(self) -> None:
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=_work, args=(theirs, self.options), daemon=True)
        # A worker must not see the terminal's Ctrl-C: it is told once, by us, and a second signal would cost its save.
        taken = [worker.gpu for worker in self.workers]
        gpu = min(self.gpus, key=taken.count, default=None)  # that with the fewest processes
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with seeing(gpu):
                process.start()
        finally:
            signal.signal(signal.SIGINT, previous)
        theirs.close()
        self.workers.append(_Worker(process, ours, gpu=gpu))

    def _receive(self, worker: _Worker) -> None:
        try:
            kind, *content = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        if worker.hung is None:
            worker.heard = time.monotonic()
        if kind == "ready":
            worker.ready = True
        elif kind == "say":
            self.say(*content)
        elif kind == "record":
            worker.task = None
            self.done(*content)
        elif kind == "interrupted":
            # Somebody told one worker to end: unless it was us, that is meant for the whole run.
            if worker.hung is None:
                raise KeyboardInterrupt(content[0])
        else:
            raise UsageError(content[0])

    def _bury(self, worker: _Worker) -> None:
        """A worker is gone without a word: its cell becomes a failed record, the others go on."""
        worker.process.join(5)
        self.workers.remove(worker)
        code = worker.process.exitcode
        if worker.task is None:
            if code:
                raise UsageError(
                    f"a worker process ended with code {code} before its first cell; try jobs=1 to see why"
                )
            return
        number, cell = worker.task
        killed = code == -signal.SIGKILL
        reason = (
            "the process was killed, probably out of memory; try fewer jobs"
            if killed
            else f"the process ended with {code}"
        )
        outcome = Outcome(status="oom" if killed else "error", reason=reason)
        if worker.hung is not None:
            silent = f"the process said nothing for {self.silence:g} s and was ended; see --heartbeat"
            outcome = Outcome(status="timeout", reason=silent)
        results = self.options.results
        with locked(lock_of(results, cell), remove=True):
            # Another run may have finished the cell while this worker waited for it: a death takes no result away.
            finished = None if self.options.force else record.find(results, cell)
            self.done(number, finished or keep(results, cell, outcome))

    def _stop(self, grace: float) -> None:
        """Interrupt the workers once, give them time to save, then end those that remain (by their own id)."""
        for worker in self.workers:
            if not worker.ready:  # still importing, deaf to signals: nothing is lost
                worker.process.kill()
            elif worker.task is None:
                worker.pipe.close()
            elif worker.process.pid and worker.process.is_alive():
                os.kill(worker.process.pid, signal.SIGINT)
        limit = time.monotonic() + grace
        try:
            for worker in self.workers:
                worker.process.join(max(0.1, limit - time.monotonic()))
        finally:
            for worker in self.workers:
                if worker.process.is_alive():
                    worker.process.kill()
                    worker.process.join(5)
            self.workers.clear()


def _work(pipe: Connection, options: Options) -> None:
    """Body of a worker: take cells until the pipe closes."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    modality: Modality | None = None
    current = ""
    try:
        with signals.stopping():
            # What a batch system announces to every process of a job is the parent's to pass on, once.
            for number in (signal.SIGUSR1, signal.SIGUSR2):
                signal.signal(number, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            plugin.everything(options.plugins)
            pipe.send(("ready",))
            while True:
                number, cell = pipe.recv()
                if modality is None or current != cell.name:
                    modality, current = datasets[cell.name].make(options.root), cell.name
                pipe.send(("record", number, run_one(cell, modality, options, _teller(pipe, number))))
    except UsageError as error:
        pipe.send(("usage", str(error)))
    except KeyboardInterrupt as stop:
        signals.deaf()
        with suppress(BrokenPipeError):
            pipe.send(("interrupted", signals.reason(stop)))
    except (EOFError, BrokenPipeError):
        pass
    finally:
        pipe.close()


def _teller(pipe: Connection, number: int) -> Callable[[str, float, str], None]:
    last: dict[str, Any] = {"time": 0.0, "stage": ""}

    def tell(stage: str, fraction: float, detail: str) -> None:
        now = time.monotonic()
        if stage != last["stage"] or now - last["time"] > 0.2:
            last.update(time=now, stage=stage)
            try:
                pipe.send(("say", number, stage, fraction, detail))
            except BrokenPipeError:  # the parent is gone: save and stop (the training loop passes over nothing else)
                signal.raise_signal(signal.SIGINT)

    return tell
