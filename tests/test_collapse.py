"""Planted collapses, trained with the suite's own loop and watched by its own log, are flagged; healthy methods are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark import plugin
from benchmark.diagnostics import MEASURES, Look, Looker, collapse, look, projected, verdict
from benchmark.subset import limited
from benchmark.watch import WatchLog
from jepakit import pretrain, targets
from jepakit.modality import Modality, grid_positions
from jepakit.nn import Embedder, Projector, sincos
from jepakit.objective import MaskedJEPA, Objective
from jepakit.recipe import vit
from jepakit.registry import datasets, methods
from jepakit.types import Batch, Losses, Size, Tokens

SIZE = Size(32, 2, 4, 16, 1, 4, steps=60)


@pytest.fixture(scope="module")
def ecg() -> Modality:
    plugin.everything()
    return limited(datasets["ecg/simulated"].make(None), 160)


def watched(objective: Objective, modality: Modality, folder: Path, steps: int = 60, lr: float = 3e-3) -> WatchLog:
    folder.mkdir(parents=True, exist_ok=True)
    log = WatchLog(folder, modality, modality.windows(modality.data("val")), "cpu")
    settings = pretrain.Training(steps=steps, batch_size=32, lr=lr)
    pretrain.fit(objective, modality, settings, seed=0, device="cpu", watch=log, watch_every=max(1, steps // 3))
    return log


class Own(nn.Module):
    """Target: the student's own features, with gradient. Nothing but the predictor keeps them apart."""

    teacher = None

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.student = (backbone,)

    def forward(self, batch: Batch) -> Tensor:
        return targets.layer_norm(self.student[0].tokens(batch).x)

    def update(self, progress: float) -> None:
        """There is no teacher."""


@pytest.mark.parametrize("name", ["ecgjepa", "ijepa"])
def test_without_the_teacher_features_collapse(name: str, ecg: Modality, tmp_path: Path) -> None:
    objective = pretrain.build(name, ecg, SIZE, 0)
    assert isinstance(objective, MaskedJEPA)
    objective.target = Own(objective.backbone)  # type: ignore[assignment]
    log = watched(objective, ecg, tmp_path)
    assert log.history[-1]["collapsed"].startswith(("constant", "position only"))
    assert log.collapse_step() in (20, 40, 60)
    assert log.history[-1]["position_share"] > 0.8


def test_lejepa_without_its_regulariser_is_flagged(ecg: Modality, tmp_path: Path) -> None:
    log = watched(pretrain.build("lejepa", ecg, SIZE, 0, {"weight": 0.0}), ecg, tmp_path, 120, 5e-3)
    assert "projections are alike" in log.history[-1]["collapsed"]
    assert log.facts()["projected"] == log.history[-1]["collapsed"]
    assert log.facts()["collapse_step"] is not None


def test_lejepa_without_regulariser_and_projector_collapses_in_the_encoder(ecg: Modality, tmp_path: Path) -> None:
    objective = pretrain.build("lejepa", ecg, SIZE, 0, {"weight": 0.0})
    objective.projector = nn.Identity()
    assert watched(objective, ecg, tmp_path).history[-1]["collapsed"].startswith("constant")


class VICReg(Objective):
    """Invariance 25, variance ``hinge``, covariance 1 (Bardes et al. 2022), with or without a projector."""

    def __init__(self, modality: Modality, hinge: float, projector: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.modality, self.hinge = modality, hinge
        self.backbone = vit(modality, SIZE)
        self.projector = Projector(SIZE.dim, 64, 64) if projector else nn.Identity()

    def forward(self, batch: Batch, progress: float) -> Losses:
        z = [self.projector(self.backbone.embed(self.modality.views(batch))) for _ in range(2)]
        loss = 25 * F.mse_loss(z[0], z[1])
        for x in z:
            covariance = torch.cov(x.T)
            off = covariance.square().sum() - covariance.diagonal().square().sum()
            loss = loss + self.hinge / 2 * F.relu(1 - (x.var(0) + 1e-4).sqrt()).mean() + off / x.shape[1]
        return Losses(loss, {"loss": loss.detach()})


@pytest.mark.parametrize(("projector", "reason"), [(True, "projections are alike"), (False, "constant")])
def test_vicreg_without_its_variance_term(projector: bool, reason: str, ecg: Modality, tmp_path: Path) -> None:
    without = watched(VICReg(ecg, 0.0, projector), ecg, tmp_path / "without", 120, 5e-3)
    assert without.history[-1]["collapsed"].startswith(reason)
    whole = watched(VICReg(ecg, 25.0, projector), ecg, tmp_path / "whole")
    assert whole.history[-1]["collapsed"] is None and whole.collapse_step() is None


class Blind(Embedder):
    """Tokens that do not depend on the input: one vector, or the code of the position."""

    def __init__(self, modality: Modality, kind: str) -> None:
        super().__init__()
        self.dim, self.kind, self.grid = 32, kind, modality.grid

    def tokens(self, batch: Batch) -> Tokens:
        pos = grid_positions(self.grid)
        x = sincos(pos, self.dim) if self.kind == "position" else torch.ones(len(pos), self.dim)
        return Tokens(x.expand(len(batch), -1, -1), pos.expand(len(batch), -1, -1))


@pytest.mark.parametrize("kind", ["position", "constant"])
def test_encoders_that_do_not_look_at_the_input(kind: str, ecg: Modality) -> None:
    seen = Looker(ecg, ecg.data("val"), "cpu", viewed=16)(Blind(ecg, kind))
    assert verdict(seen) == "constant: features are the same for every sample"
    # Pooled features that live do not hide tokens that only know where they are.
    alive = Look(np.random.default_rng(0).normal(size=(64, 32)), seen.tokens, seen.place)
    kinds = {"position": "position only", "constant": "constant: token features"}
    assert str(verdict(alive)).startswith(kinds[kind])


def test_tokens_that_nearly_only_know_their_place() -> None:
    rng = np.random.default_rng(0)
    place = np.tile(np.arange(10), 100)
    pooled, where = rng.normal(size=(100, 16)), rng.normal(size=(10, 16))
    for content, flagged in ((0.01, True), (0.5, False)):
        tokens = where[place] + content * rng.normal(size=(1000, 16))
        reason = verdict(Look(pooled, tokens, place))
        assert (reason is not None and reason.startswith("position only")) == flagged
    thin = where[place] + np.outer(rng.normal(size=1000), rng.normal(size=16))
    assert str(verdict(Look(pooled, thin, place))).startswith("tokens of rank 1")


def test_projections_of_one_direction_are_alike() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 32)).astype(np.float32)
    assert projected(z) is None
    assert projected(0.1 * z + 1) == "projections are alike: mean cosine 0.99"  # 1 / (1 + .1²)


HEALTHY = ("ecgjepa", "ecgjepa-kim", "ijepa", "mae", "lejepa", "simclr", "supervised")


@pytest.mark.slow
def test_no_healthy_method_is_flagged(ecg: Modality, tmp_path: Path) -> None:
    flagged, runs = {}, 0
    for name in HEALTHY:
        assert name in methods
        for seed in range(3):
            log = watched(pretrain.build(name, ecg, SIZE, seed), ecg, tmp_path / f"{name}{seed}", steps=30)
            runs += 1
            if log.history[-1]["collapsed"]:
                flagged[name, seed] = log.history[-1]["collapsed"]
    assert not flagged
    page = (Path(__file__).parents[1] / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert f"of {runs} short runs of healthy methods on simulated ECG" in " ".join(page.split()) and runs >= 20
    assert f"(seven methods, three seeds) {len(flagged)} are" in " ".join(page.split())


def test_the_page_has_the_measures_and_thresholds_of_the_code() -> None:
    page = " ".join((Path(__file__).parents[1] / "docs" / "protocol.md").read_text(encoding="utf-8").split())
    for name, meaning in MEASURES.items():
        assert f"| `{name}` | {meaning} |" in page
    for words in (
        f"varies by less than {collapse.POOLED:.0%} of its root mean square",
        f"about the mean at their position, it varies by less than {collapse.TOKENS:.0%}",
        f"more than {collapse.SHARE:.0%} of the variance",
        f"a mean cosine above {collapse.ALIKE}",
        f"batch of up to {look.LOOKED_ROWS} rows",
    ):
        assert words in page
