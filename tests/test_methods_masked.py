"""C-JEPA and data2vec against slow loops, their initial losses, and how many teacher passes a step takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiles import Tiles
from torch import Tensor
from waves import Waves

from jepakit.methods.cjepa import pooled
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.pretrain import build
from jepakit.targets import EMA
from jepakit.types import Batch, Size, UsageError, gather

SIZE = Size(32, 3, 2, 16, 2, 2, steps=50)
GRIDS = {"sequence": Waves, "plane": Tiles, "volume": lambda: Waves(grid=(2, 4, 5))}


def made(name: str, modality: Modality, **settings: object) -> MaskedJEPA:
    objective = build(name, modality, SIZE, 0, settings).train()
    assert isinstance(objective, MaskedJEPA)
    return objective


def some(modality: Modality, rows: int = 8) -> Batch:
    return modality.data("train").batch(torch.arange(rows))


def step(objective: MaskedJEPA, batch: Batch) -> tuple[float, dict[str, float]]:
    torch.manual_seed(3)
    losses = objective(batch, 0.0)
    return float(losses.total.detach()), {k: float(v) for k, v in losses.parts.items()}


def arrays(objective: MaskedJEPA, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and targets (b, m, t, q, e) of the same draw, float64."""
    torch.manual_seed(3)
    with torch.no_grad():
        tokens, target = objective.backbone.tokenize(batch), objective.target(batch)
        split = objective.masker(tokens, target, 0.0)
        context = objective.backbone.encode(tokens.take(split.context))
        predicted = objective.predict(context, tokens, split)
    return predicted.double().numpy(), gather(target, split.target).double().numpy()


def silence(objective: MaskedJEPA) -> None:
    """Makes every prediction zero."""
    objective.predictor.outward.weight.data.zero_()


def test_pooling_keeps_images_and_blocks_apart() -> None:
    """Rows of a group are the images of the batch, never other blocks of the same image."""
    image = torch.arange(3.0).reshape(3, 1, 1, 1, 1).expand(3, 1, 4, 5, 2)
    block = 10 * torch.arange(4.0).reshape(1, 1, 4, 1, 1)
    token = torch.tensor([-2.0, -1, 0, 1, 2]).reshape(1, 1, 1, 5, 1)
    groups = pooled(image + block + token)
    assert groups.shape == (4, 3, 2)
    for g in range(4):
        assert groups[g, :, 0].tolist() == [10 * g, 10 * g + 1, 10 * g + 2]


@pytest.mark.parametrize("shape", ["sequence", "plane"])
def test_cjepa_against_a_loop_over_blocks(shape: str) -> None:
    modality = GRIDS[shape]()
    objective, batch = made("cjepa", modality, beta=0.01), some(modality)
    total, parts = step(objective, batch)
    predicted, wanted = arrays(objective, batch)
    error = np.abs(predicted - wanted)
    smooth = np.where(error < 1, 0.5 * error**2, error - 0.5).mean()
    invariance, variance, covariance = [], [], []
    for block in range(predicted.shape[2]):
        rows, aims = predicted[:, 0, block].mean(1), wanted[:, 0, block].mean(1)
        invariance.append(((rows - aims) ** 2).mean())
        variance.append(np.maximum(0, 1 - np.sqrt(rows.var(0, ddof=1) + 1e-4)).mean())
        c = np.cov(rows.T)
        covariance.append(((c**2).sum() - (np.diag(c) ** 2).sum()) / len(c))
    assert parts == pytest.approx({
        "prediction": smooth, "invariance": np.mean(invariance), "variance": np.mean(variance),
        "covariance": np.mean(covariance),
    }, rel=1e-3, abs=1e-7)  # fmt: skip
    vicreg = 25 * np.mean(invariance) + 25 * np.mean(variance) + np.mean(covariance)
    assert total == pytest.approx(smooth + 0.01 * vicreg, rel=1e-4)


def test_cjepa_without_its_terms_is_ijepa_and_zero_predictions_cost_what_they_should() -> None:
    modality = Tiles()
    plain, objective = made("ijepa", modality), made("cjepa", modality, beta=0.0)
    assert step(objective, some(modality))[0] == step(plain, some(modality))[0]
    silence(objective)
    objective.beta = 0.001  # type: ignore[assignment]
    total, parts = step(objective, some(modality))
    assert parts["variance"] == pytest.approx(0.99) and parts["covariance"] == 0
    vicreg = 25 * parts["invariance"] + 25 * 0.99
    assert total == pytest.approx(parts["prediction"] + 0.001 * vicreg, rel=1e-6)


@pytest.mark.parametrize("shape", list(GRIDS))
def test_data2vec_target_against_a_slow_average_of_layers(shape: str) -> None:
    modality = GRIDS[shape]()
    objective, batch = made("data2vec", modality), some(modality, 4)
    target = objective.target
    assert isinstance(target, EMA) and target.layers == 2  # round(3 · 5/6)
    teacher, outputs = target.teacher, []
    handles = [b.register_forward_hook(lambda m, i, out: outputs.append(out)) for b in teacher.transformer.blocks]
    found = target(batch)
    for handle in handles:
        handle.remove()
    average = 0
    for out in outputs[-2:]:
        x = out[:, 1:].double().numpy()  # without the register
        average = average + (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5) / 2
    wanted = (average - average.mean(-1, keepdims=True)) / np.sqrt(average.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-4)


@pytest.mark.parametrize("shape", list(GRIDS))
def test_data2vec_masks_of_a_sample_share_one_teacher_pass(shape: str) -> None:
    modality = GRIDS[shape]()
    objective, batch = made("data2vec", modality, masks=3), some(modality)
    calls: list[int] = []
    sizes: list[Tensor] = []
    assert isinstance(objective.target, EMA)
    first = objective.target.teacher.transformer.blocks[0]
    first.register_forward_hook(lambda m, given, out: calls.append(len(out)))
    objective.backbone.transformer.blocks[0].register_forward_hook(lambda m, given, out: sizes.append(out.shape))
    total, _ = step(objective, batch)
    n = int(np.prod(modality.grid))
    assert calls == [8] and [tuple(s[:2]) for s in sizes] == [(3 * 8, 1 + round(0.2 * n))]
    predicted, wanted = arrays(objective, batch)
    assert predicted.shape == (8, 3, 1, n - round(0.2 * n), 32)
    assert total == pytest.approx(((predicted - wanted) ** 2).mean(), rel=1e-4)


def test_data2vec_distances() -> None:
    """Zero predictions against targets of mean square 1 cost 1; β = 2 costs e²/4 below 2 and |e| − 1 above."""
    modality = Tiles()
    objective = made("data2vec", modality)
    silence(objective)
    assert step(objective, some(modality))[0] == pytest.approx(1.0, abs=1e-3)
    smooth = made("data2vec", modality, beta=2.0)
    silence(smooth)
    _, wanted = arrays(smooth, some(modality))
    error = np.abs(wanted)
    expected = np.where(error < 2, error**2 / 4, error - 1).mean()
    found = step(smooth, some(modality))[0]
    assert found == pytest.approx(expected, rel=1e-4) and found == pytest.approx(0.2470, abs=0.01)


def test_data2vec_moves_its_teacher_by_the_short_run_momentum() -> None:
    """.9998 would leave a 50-step teacher at its start; 1 − 10/50 = .8 is taken instead."""
    objective = made("data2vec", Tiles())
    assert isinstance(objective.target, EMA)
    assert objective.target.momentum(0.0) == pytest.approx(0.8)
    assert objective.target.momentum(1.0) == pytest.approx(0.99999)


def test_impossible_data2vec_settings_are_refused() -> None:
    for wrong in ({"layers": 4}, {"layers": 0}, {"beta": -1.0}):
        with pytest.raises(UsageError, match=r"size\.depth"):
            made("data2vec", Tiles(), **wrong)
    with pytest.raises(UsageError, match="smaller patch"):
        made("data2vec", Tiles(), hide=1.0)
