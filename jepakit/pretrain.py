"""The one training loop: a LightningModule that knows only Objective, and ``fit``, which runs, watches and resumes it."""

from __future__ import annotations

import logging
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from jepakit.modality import Modality
from jepakit.objective import Objective
from jepakit.processes import alone
from jepakit.randomness import batch_index, mix, reseed
from jepakit.ranks import Team
from jepakit.registry import methods
from jepakit.saving import AtomicCheckpointIO
from jepakit.schedules import cosine, stage_of, warmup_cosine
from jepakit.types import Data, Size, UsageError

Watch = Callable[[int, dict[str, float], Objective], None]


@dataclass(frozen=True)
class Training:
    """Optimisation settings; a method's registration may override the preset's, the command line both.

    warmup: fraction of the steps; lr rises linearly from lr·``lr_start`` and falls on a cosine to lr·``lr_end``;
    weight_decay: (start, end) on a cosine, applied to Linear and Conv weights only; clip: gradient norm or None.
    """

    steps: int = 1000
    batch_size: int = 128
    lr: float = 1e-3
    warmup: float = 0.1
    lr_start: float = 0.01
    lr_end: float = 0.001
    weight_decay: tuple[float, float] = (0.05, 0.05)
    betas: tuple[float, float] = (0.9, 0.99)
    eps: float = 1e-8
    clip: float | None = None
    accumulate: int = 1


@dataclass(frozen=True)
class Fit:
    """What a run cost and how its losses went. step_ms: (p50, p95) wall time of a step; data_wait: its share spent
    on gathering and cropping the batch; history: one row per watched step."""

    steps: int
    seconds: float
    step_ms: tuple[float, float]
    data_wait: float
    samples_per_s: float
    peak_device_mib: float
    device: str
    precision: str
    history: list[dict[str, float]] = field(default_factory=list)


class Diverged(Exception):
    """The loss became NaN or infinite."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss became non-finite at step {step}; lower train.lr or set train.clip")
        self.step = step


class _Interrupted(BaseException):
    """Ctrl-C or SIGTERM, after the checkpoint was written (Lightning would turn KeyboardInterrupt into exit 1)."""


def hardware() -> tuple[str, str, int]:
    """(device, Lightning precision, loader workers) that suit this machine. Data are resident: no worker is needed."""
    if torch.cuda.is_available():
        return "cuda", "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true", 0
    if torch.backends.mps.is_available():
        return "mps", "32-true", 0
    return "cpu", "32-true", 0


def build(
    method: str, modality: Modality, size: Size, seed: int, settings: Mapping[str, Any] | None = None
) -> Objective:
    """The objective of a registered method with weights initialised from ``seed``.

    Raises UsageError for an unknown method or a modality on which it cannot run.
    """
    reseed(mix(seed, 0x696E6974), 0)
    objective: Objective = methods[method].make(modality, size, **(settings or {}))
    return objective


def decay_groups(objective: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Trainable parameters as (decayed, not decayed): only weights of Linear and Conv layers decay."""
    layers = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    decayed = {id(m.weight) for m in objective.modules() if isinstance(m, layers)}
    trainable = [p for p in objective.parameters() if p.requires_grad]
    return [p for p in trainable if id(p) in decayed], [p for p in trainable if id(p) not in decayed]


def check_batch(objective: Objective, training: Training) -> None:
    """Raises UsageError when a batch has fewer rows than the loss needs."""
    if training.batch_size < objective.least_batch:
        raise UsageError(
            f"this method needs batches of at least {objective.least_batch} rows, not {training.batch_size}; raise "
            "train.batch_size or choose a smaller recipe"
        )


class Steps:
    """The step numbers still to do, as the loader of the loop: data are resident, so a step number is the batch."""

    def __init__(self, module: Pretrain) -> None:
        self.module = module

    def __iter__(self) -> Iterator[int]:
        return iter(range(int(self.module.step), self.module.training_settings.steps))


class Pretrain(pl.LightningModule):
    """Optimises any Objective on a resident training part; the batch at step i is a function of (seed, i) alone, and a
    rank of a ``team`` takes its share of it."""

    def __init__(
        self, objective: Objective, modality: Modality, training: Training, seed: int, team: Team | None = None
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.objective = objective
        self.modality = modality
        self.training_settings = training
        self.seed = seed
        self.team = team
        self.lr = warmup_cosine(
            training.lr * training.lr_start, training.lr, training.lr * training.lr_end, training.warmup
        )
        self.weight_decay = cosine(*training.weight_decay)
        self.step = 0
        self.sums: dict[str, Tensor] = {}
        self.data_seconds = 0.0
        self.resident: Data | None = None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        decayed, kept = decay_groups(self.objective)
        settings = self.training_settings
        groups = [{"params": decayed, "decays": True}, {"params": kept, "decays": False, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, eps=settings.eps, fused=True)

    def on_fit_start(self) -> None:
        self.resident = self.objective.select(self.modality.data("train")).to(self.device)

    def training_step(self, step: int) -> None:
        assert self.resident is not None
        settings, optimizer = self.training_settings, self.optimizers()
        assert not isinstance(optimizer, list)
        reseed(self.seed, step, self.device)
        progress = step / settings.steps
        _, begin, share = stage_of(progress, self.objective.stages)
        after = min(1.0, ((step + 1) / settings.steps - begin) / share)
        for group in optimizer.param_groups:
            group["lr"] = self.lr(after)
            if group["decays"]:
                group["weight_decay"] = self.weight_decay(after)
        optimizer.zero_grad(set_to_none=True)
        for part in range(settings.accumulate):
            began = time.perf_counter()
            micro = step * settings.accumulate + part
            index = batch_index(self.seed, micro, len(self.resident), settings.batch_size)
            batch = self.modality.crop(self.resident.batch(index))
            if self.team:
                batch = self.team.share(batch)
            self.data_seconds += time.perf_counter() - began
            with self.team.draws(len(batch)) if self.team else nullcontext():
                losses = self.objective(batch, progress)
            self.manual_backward(losses.total / settings.accumulate)
            for name, value in {"loss": losses.total.detach(), **losses.parts}.items():
                self.sums[name] = self.sums.get(name, 0) + value / settings.accumulate
        if settings.clip is not None:
            nn.utils.clip_grad_norm_(self.objective.parameters(), settings.clip)
        optimizer.step()
        self.objective.after_step(progress)
        self.step = step + 1

    def drain(self, steps: int) -> dict[str, float]:
        """Mean losses over the last ``steps`` steps; the only place that waits for the device."""
        means = {name: float(value) / steps for name, value in self.sums.items()}
        self.sums = {}
        return {name: self.team.mean(value) for name, value in means.items()} if self.team else means

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["step"], checkpoint["sums"] = self.step, {k: v.cpu() for k, v in self.sums.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.step = checkpoint["step"]
        self.sums = {k: v.to(self.device) for k, v in checkpoint["sums"].items()}


class Watcher(pl.Callback):
    """Losses, divergence, timing, checkpoints and interruption, each at the end of a step."""

    def __init__(
        self,
        folder: Path | None,
        every: int,
        checkpoint_every: int,
        watch: Watch | None,
        progress: Callable[[int], None] | None,
    ) -> None:
        self.checkpoint = None if folder is None else folder / "last.ckpt"
        self.every, self.checkpoint_every, self.watch, self.progress = every, checkpoint_every, watch, progress
        self.history: list[dict[str, float]] = []
        self.last_drain = 0
        self.times: list[float] = []
        self.told = 0.0
        self.stop: str | None = None

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        self.times.append(time.perf_counter())

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(module, Pretrain)
        step, last = module.step, module.step == module.training_settings.steps
        if step % self.every == 0 or last:
            losses = module.drain(step - self.last_drain)
            self.last_drain = step
            if not np.isfinite(losses["loss"]):
                raise Diverged(step)
            self.history.append({"step": float(step), **losses})
            if self.watch:
                with alone():
                    self.watch(step, losses, module.objective)
        if self.checkpoint and self.checkpoint_every and step % self.checkpoint_every == 0 and not last:
            trainer.save_checkpoint(self.checkpoint)
        now = time.perf_counter()
        if self.progress and (now - self.told > 0.1 or last):
            self.told = now
            self.progress(step)
        if module.team.any(self.stop is not None) if module.team else self.stop:
            if self.checkpoint:
                trainer.save_checkpoint(self.checkpoint)
            raise _Interrupted(self.stop or "another rank was stopped")

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history, "last_drain": self.last_drain}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history, self.last_drain = state_dict["history"], state_dict["last_drain"]


@contextmanager
def _signals(watcher: Watcher) -> Iterator[None]:
    """First SIGINT or SIGTERM: finish the step, save, stop. Second: the default action at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: Any) -> None:
        watcher.stop = signal.Signals(number).name
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def fit(
    objective: Objective,
    modality: Modality,
    training: Training,
    *,
    seed: int,
    folder: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    checkpoint_every: int = 0,
    watch: Watch | None = None,
    watch_every: int = 50,
    progress: Callable[[int], None] | None = None,
    team: Team | None = None,
) -> Fit:
    """Pre-train ``objective`` on the train part of ``modality``, continuing from ``folder``/last.ckpt where there is one.

    A resumed run ends with the same bits as an undisturbed one. ``watch(step, mean losses, objective)`` is called every
    ``watch_every`` steps and at the end; ``progress(finished steps)`` at most ten times a second. ``team``: this process is
    one of several ranks (``Team.joined``) that all call this with the same arguments but ``watch`` and ``progress``, which
    belong to the first; the batch size is that of all ranks together.

    Raises UsageError for a batch that is too small, Diverged on a non-finite loss,
    KeyboardInterrupt after an interruption (with the checkpoint written when ``folder`` is given).
    """
    auto_device, auto_precision, _ = hardware()
    device = auto_device if device == "auto" else device
    precision = auto_precision if precision == "auto" else precision
    if not objective.trains:
        return Fit(0, 0.0, (0.0, 0.0), 0.0, 0.0, 0.0, device, precision)
    check_batch(objective, training)
    module = Pretrain(objective, modality, training, seed, team)
    watcher = Watcher(folder, watch_every, checkpoint_every, watch, progress)
    with warnings.catch_warnings(), _quiet():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        trainer = pl.Trainer(
            accelerator={"cuda": "gpu"}.get(device, device),
            devices=team.world if team else 1,
            strategy=team.strategy() if team else "auto",
            precision=precision,  # type: ignore[arg-type]
            max_steps=training.steps,
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[watcher],
            plugins=[AtomicCheckpointIO()],
            default_root_dir=folder,
        )
        began = time.perf_counter()
        checkpoint = watcher.checkpoint if watcher.checkpoint and watcher.checkpoint.exists() else None
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        try:
            with _signals(watcher):
                trainer.fit(module, train_dataloaders=Steps(module), ckpt_path=checkpoint, weights_only=True)
        except _Interrupted as stopped:
            raise KeyboardInterrupt(str(stopped)) from None
    seconds = time.perf_counter() - began
    gaps = np.diff(watcher.times) * 1e3 if len(watcher.times) > 1 else np.array([seconds * 1e3])
    median = float(np.median(gaps))
    return Fit(
        steps=module.step,
        seconds=seconds,
        step_ms=(median, float(np.quantile(gaps, 0.95))),
        data_wait=min(1.0, module.data_seconds / max(seconds, 1e-9)),
        samples_per_s=training.batch_size * training.accumulate / max(median, 1e-9) * 1e3,
        peak_device_mib=torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0.0,
        device=device,
        precision=precision,
        history=watcher.history,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's banners belong to Lightning's users, not to a board of many short runs."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
