"""Dimensions that tell nothing beside features: what is added, what numbers make of it, and the verdict by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.claims.claim import Evidence
from benchmark.claims.experiments.rank_injected import METRICS, by_method, judge
from benchmark.claims.judge import NOT_REPRODUCED
from benchmark.claims.toys.injected import SORTS, injected, looked, scored
from benchmark.diagnostics.look import Look
from benchmark.diagnostics.measures import measure
from modalities.tabular.made import Linear


def features(n: int = 400, d: int = 6) -> Look:
    random = np.random.default_rng(0)
    content = random.standard_normal((n, d)).astype(np.float32)
    views = content[:, None] + 0.1 * random.standard_normal((n, 4, d)).astype(np.float32)
    return Look(content, views=views, positives="views")


def test_what_was_there_stays_and_noise_is_as_large_as_told() -> None:
    look = features()
    out = injected(look.pooled, 5, 3.0, np.random.default_rng(1))
    assert out.shape == (400, 11) and out.dtype == np.float32
    np.testing.assert_array_equal(out[:, :6], look.pooled)
    assert out[:, 6:].std() == pytest.approx(3, rel=0.05)
    assert injected(look.pooled, 0, 3.0, np.random.default_rng(1)).shape == (400, 6)


def test_views_share_the_noise_of_their_row_or_do_not() -> None:
    look = features()
    fresh, own = (looked(look, 5, 1.0, sort, 0).views for sort in SORTS)
    assert fresh is not None and own is not None and fresh.shape == own.shape == (400, 4, 11)
    assert (own[:, :1, 6:] == own[:, :, 6:]).all() and (fresh[:, 0, 6:] != fresh[:, 1, 6:]).all()
    assert len(np.unique(own[:, 0, 6])) == 400


def test_ranks_rise_and_the_rank_of_views_takes_own_noise_for_content() -> None:
    plain, (fresh, own) = measure(features()), (measure(looked(features(), 5, 1.0, sort, 0)) for sort in SORTS)
    # Eleven even directions in place of six.
    for found in (fresh, own):
        assert plain["rankme"] == pytest.approx(6, abs=0.1) and found["rankme"] == pytest.approx(11, abs=0.2)
    # Views that agree to the last bit make a direction without any spread: it outweighs what views tell apart.
    assert plain["lda_rank"] == pytest.approx(6, abs=0.1) and own["lda_rank"] == pytest.approx(5, abs=0.2)


def test_the_probe_reads_what_it_read() -> None:
    modality = Linear(None)
    x = {part: modality.data(part).x.float().numpy() for part in ("train", "val", "test")}
    score, noisy = (scored(x, modality, k, 1.0, 0) for k in (0, 16))
    assert score > 0.6 and noisy == pytest.approx(score, abs=0.05)


def lines(scores: tuple[float, ...]) -> list[dict[str, object]]:
    return [
        {"method": method, "seed": seed, "sort": sort, "k": k, "score": score, **dict.fromkeys(METRICS, 10.0 + k)}
        for method in ("a", "b")
        for seed in (0, 1)
        for sort in SORTS
        for k, score in zip((0, 4, 16, 64), scores)
    ]


def test_verdict_by_hand() -> None:
    falling = judge(Evidence([], Path(), {"lines": lines((0.9, 0.8, 0.7, 0.6))}))
    assert falling.verdict == NOT_REPRODUCED and falling.effect is not None and falling.effect.mean == -1
    assert falling.seeds == 2 and len(falling.table) == 2 * len(METRICS)
    turned = next(row for row in falling.table if row["metric"] == "alpha_req")
    assert turned["τ"] == 1  # nearer to 1 is better there
    # Of six pairs four rise: (4 − 2) / 6.
    assert by_method(lines((0.6, 0.9, 0.7, 0.8)), "rankme") == {"a": pytest.approx(1 / 3), "b": pytest.approx(1 / 3)}
    assert by_method(lines((0.5, 0.5, 0.5, 0.5)), "rankme") == {}
