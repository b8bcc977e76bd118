"""What every registered method owes, on grids of one, two and three axes: no method is named here, new ones are covered.

A method that cannot run on a grid refuses with UsageError; that is its contract there. What is asked stands in
``benchmark/contracts``, where ``python -m benchmark check`` finds it too; tests/test_check.py shows that each can fail.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
import torch

import baselines  # noqa: F401 - registers
import jepakit.methods  # noqa: F401 - registers
import modalities  # noqa: F401 - registers
from benchmark.contracts import facts, flow, learning
from benchmark.contracts.grids import GRIDS, grids, refusal
from benchmark.contracts.verdict import Unasked
from jepakit.registry import methods

CASES = [pytest.param(name, grid, id=f"{name}-{grid}") for name in methods for grid in grids(name)]


def ask(contract: Callable[[str, str], None], name: str, grid: str) -> None:
    """The contract, unless the method refuses the grid or it does not apply."""
    if refusal(name, grid) is None:
        with suppress(Unasked):
            contract(name, grid)


def first(name: str) -> str:
    """The first grid on which the method runs; ``make test-slow`` asks on all of them what takes long."""
    return next(grid for grid in GRIDS if refusal(name, grid) is None)


@pytest.mark.parametrize("name", list(methods))
def test_every_method_runs_somewhere_and_says_why_not_elsewhere(name: str) -> None:
    learning.runs(name)


@pytest.mark.parametrize("name", list(methods))
def test_what_a_registration_says_is_so(name: str) -> None:
    facts.registered(name)


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_loss_is_finite_and_its_gradient_reaches_what_is_trained_and_no_teacher(name: str, grid: str) -> None:
    ask(learning.finite, name, grid)
    ask(learning.learns, name, grid)


@pytest.mark.parametrize("name", list(methods))
def test_loss_falls_on_one_batch(name: str) -> None:
    ask(learning.falls, name, first(name))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "grid"), CASES)
def test_loss_falls_on_one_batch_of_every_grid(name: str, grid: str) -> None:
    ask(learning.falls, name, grid)


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_same_seed_same_numbers_and_state_round_trip(name: str, grid: str) -> None:
    ask(learning.repeats, name, grid)


@pytest.mark.parametrize("name", list(methods))
def test_a_killed_run_resumes_to_the_same_bits(name: str) -> None:
    ask(learning.resumes, name, first(name))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "grid"), CASES)
def test_a_killed_run_resumes_to_the_same_bits_on_every_grid(name: str, grid: str) -> None:
    ask(learning.resumes, name, grid)


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_teachers_are_still_undecayed_and_saved(name: str, grid: str) -> None:
    ask(learning.stills, name, grid)


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_features_depend_on_the_row_alone_and_the_loss_on_no_label(name: str, grid: str) -> None:
    ask(flow.encodes, name, grid)
    ask(flow.no_labels, name, grid)


# Information flow, for methods on the template of MaskedJEPA ---------------------------------------------------------


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_hidden_input_reaches_the_targets_alone_and_visible_input_the_predictions(name: str, grid: str) -> None:
    ask(flow.hides, name, grid)


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_target_groups_are_predicted_independently(name: str, grid: str) -> None:
    ask(flow.parts_groups, name, grid)


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_permuted_queries_permute_the_predictions(name: str, grid: str) -> None:
    ask(flow.permutes, name, grid)


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_a_teacher_starts_as_its_student_and_follows_it(name: str, grid: str) -> None:
    ask(flow.follows, name, grid)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("name", "grid"), CASES)
def test_no_step_waits_for_the_device(name: str, grid: str) -> None:
    ask(learning.on_device, name, grid)
