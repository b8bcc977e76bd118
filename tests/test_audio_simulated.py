"""The simulator's factors are in its sounds: measured with estimators that know nothing of the synthesis."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jepakit.types import PARTS
from modalities.audio.instruments import BELL, INSTRUMENTS, draw_players, onsets, perform
from modalities.audio.rooms import add_noise, coloured, echoes, reverberate
from modalities.audio.simulated import Simulated, Simulation, simulate

RATE, SAMPLES = 8000.0, 8192


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return simulate(60, 2, SAMPLES, RATE, 3)


def play(instrument: str, pitch: float, start: list[float], seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    players = draw_players(random, len(INSTRUMENTS)).take(np.array([INSTRUMENTS.index(instrument)]))
    times = np.array([start + [np.inf] * (4 - len(start))])
    return perform(random, players, np.array([pitch]), times, SAMPLES, RATE)[0]


@pytest.mark.parametrize("instrument", INSTRUMENTS)
@pytest.mark.parametrize("pitch", [130.0, 400.0])
def test_partials_stand_at_multiples_of_the_pitch_but_for_the_bell(instrument: str, pitch: float) -> None:
    x = play(instrument, pitch, [0.05])
    power = np.abs(np.fft.rfft(x * np.hanning(SAMPLES))) ** 2
    frequency = np.arange(len(power)) * RATE / SAMPLES
    ratios = BELL if instrument == "bell" else np.arange(1, 13)
    near = np.zeros(len(power), dtype=bool)
    for ratio in ratios:
        near |= np.abs(frequency - ratio * pitch) < 6 + 0.03 * ratio * pitch
    assert power[near].sum() > 0.9 * power.sum()
    if instrument == "reed":  # odd partials dominate
        level = [power[np.abs(frequency - k * pitch) < 8].sum() for k in (1, 2, 3)]
        assert level[1] < 0.2 * min(level[0], level[2])


def test_plucked_and_struck_sounds_die_away_and_others_are_held() -> None:
    for instrument in INSTRUMENTS:
        x = play(instrument, 220.0, [0.1])
        early, late = (np.square(x[int(t * RATE) :][:800]).mean() for t in (0.2, 0.34))
        assert (late < 0.75 * early) == (instrument in {"pluck", "bell"}), instrument
    brass = play("brass", 220.0, [0.1, 0.4])
    assert np.square(brass[:600]).mean() < 1e-6, "sound before the first onset"


def test_onsets_are_as_many_as_asked_and_keep_their_distance() -> None:
    count = np.tile([1, 2, 3, 4], 200)
    start = onsets(np.random.default_rng(0), count, 1.024)
    assert (np.isfinite(start).sum(1) == count).all()
    known = np.where(np.isfinite(start), start, np.nan)
    assert np.nanmin(known) >= 0.03 - 1e-9 and np.nanmax(known) <= 1.024 - 0.12
    assert np.nanmin(np.diff(known, axis=1)) >= 0.12 - 1e-9


def test_a_room_has_the_decay_time_it_is_asked_for() -> None:
    """Schroeder's backward integral falls by 60 dB in that time."""
    decay = np.array([0.1, 0.3, 0.6])
    response = echoes(np.random.default_rng(0), decay, SAMPLES, RATE)
    for row, wanted in zip(response.astype(np.float64), decay):
        left = np.cumsum(np.square(row[::-1]))[::-1][24:]
        decibel = 10 * np.log10(left / left[0])
        fifth, twentyfifth = np.argmax(decibel < -5), np.argmax(decibel < -25)
        assert 3 * (twentyfifth - fifth) / RATE == pytest.approx(wanted, rel=0.15)
        assert np.square(row[1:]).sum() == pytest.approx(wanted / 0.4, rel=1e-3)
        assert row[0] == 1


def test_reverberation_is_convolution() -> None:
    random = np.random.default_rng(0)
    x, response = random.standard_normal((2, 3, 200)).astype(np.float32)
    wet = reverberate(x, response)
    for row in range(3):
        np.testing.assert_allclose(wet[row], np.convolve(x[row], response[row])[:200], atol=1e-3)


def test_noise_has_the_level_and_the_colour_it_is_asked_for() -> None:
    random = np.random.default_rng(0)
    x = np.sin(np.arange(SAMPLES) * 0.3)[None].repeat(3, 0).astype(np.float32)
    slope, ratio = np.array([0.0, 1.0, 1.5]), np.array([0.0, 10.0, 25.0])
    made = coloured(random, slope, SAMPLES)
    added = add_noise(x, made, ratio) - x
    measured = 10 * np.log10(np.square(x).mean(1) / np.square(added).mean(1))
    np.testing.assert_allclose(measured, ratio, atol=0.05)
    power = np.abs(np.fft.rfft(made)) ** 2
    fall = [np.log10(row[64:128].mean() / row[1024:2048].mean()) / np.log10(16) for row in power]
    np.testing.assert_allclose(fall, slope, atol=0.1)


def test_equal_seeds_give_equal_sounds_and_others_do_not(simulation: Simulation) -> None:
    again, other = simulate(60, 2, SAMPLES, RATE, 3), simulate(4, 2, SAMPLES, RATE, 4)
    assert np.array_equal(again.heard, simulation.heard) and not np.array_equal(other.heard, simulation.heard[:8])
    assert np.isfinite(simulation.heard).all()


def test_factors_are_in_range_and_a_player_keeps_an_instrument(simulation: Simulation) -> None:
    factors = simulation.factors
    assert set(np.unique(factors["events"])) == {0, 1, 2, 3}
    assert factors["pitch"].min() >= 0 and factors["pitch"].max() <= 2.5
    assert np.log(0.05) <= factors["reverberation"].min() and factors["reverberation"].max() <= np.log(0.8)
    for player in np.unique(simulation.player):
        assert len(np.unique(factors["instrument"][simulation.player == player])) == 1
    counts = np.bincount(factors["instrument"])
    assert (counts == counts[0]).all()


def test_dry_sound_plus_room_and_noise_is_what_is_heard(simulation: Simulation) -> None:
    """The quieter the noise and the shorter the decay, the nearer to the dry sound."""
    near = [np.corrcoef(a, b)[0, 1] for a, b in zip(simulation.dry, simulation.heard)]
    trouble = -simulation.factors["noise"] / 30 + simulation.factors["reverberation"]
    assert np.corrcoef(near, trouble)[0, 1] < -0.5


class Few(Simulated):
    """The simulated data set with few players."""

    players = 60
    clips = 2


def test_players_stay_in_one_part_and_loudness_tells_nothing() -> None:
    audio = Few()
    parts = {part: audio.data(part) for part in PARTS}
    units = [set(parts[part].unit) for part in PARTS]
    assert [len(unit) for unit in units] == [36, 12, 12]
    assert not units[0] & units[1] and not units[0] & units[2] and not units[1] & units[2]
    for data in parts.values():
        assert data.x.dtype == torch.float16 and data.x.shape[1:] == (1, 8192)
        level = data.x.float().square().mean((1, 2)).sqrt()
        assert level.min() > 0.2 and level.max() < 1.05
    assert set(parts["train"].labels) == {task.name for task in audio.tasks}
    assert [task.name for task in audio.tasks if task.nuisance] == ["reverberation", "noise"]
