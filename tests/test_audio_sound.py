"""The parts of the audio modality: front end, spectrogram, hand-made features and views, against slow oracles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.fft import dct
from torch import Tensor

from jepakit.registry import datasets
from jepakit.types import Batch, Data, Part, UsageError
from modalities.audio.base import AudioModality
from modalities.audio.features import LogMel, active, usual
from modalities.audio.frontend import WAVJEPA, FrontEnd, Layers, WaveTokenizer, hop, reach
from modalities.audio.simulated import Simulated
from modalities.audio.views import equalise, excerpt, gain, noise, view
from modalities.perturb import mask_time

NAMES = ("simulated", "fsdd", "esc10", "esc50", "speech-commands", "folder-mine")
NARROW: Layers = tuple((2, kernel, stride) for _, kernel, stride in WAVJEPA)


class Few(Simulated):
    """The simulated data set with few players."""

    players = 12
    clips = 2


def tone(frequency: float, rate: float, samples: int) -> Tensor:
    return torch.sin(2 * torch.pi * frequency * torch.arange(samples) / rate)[None]


# Front end -----------------------------------------------------------------------------------------------------------


def test_wavjepas_front_end_gives_200_frames_that_see_240_samples_each() -> None:
    assert hop(WAVJEPA) == 160 and reach(WAVJEPA) == 240
    torch.manual_seed(0)
    front = FrontEnd(NARROW)
    x = torch.randn(1, 1, 32_160, requires_grad=True)
    frames = front(x)
    assert frames.shape == (1, 2, 200)
    frames[0, :, 100].abs().sum().backward()
    assert x.grad is not None
    support = torch.nonzero(x.grad[0, 0])[:, 0]
    assert support.min() == 100 * 160 and support.max() == 100 * 160 + 239


def test_the_front_end_has_the_papers_layers_without_bias() -> None:
    assert [width for width, _, _ in WAVJEPA] == [512] * 6
    convs = [module for module in FrontEnd(NARROW) if isinstance(module, torch.nn.Conv1d)]
    assert [(conv.kernel_size[0], conv.stride[0]) for conv in convs] == [(10, 5), *[(3, 2)] * 4, (2, 2)]
    assert all(conv.bias is None for conv in convs)


@pytest.mark.parametrize("name", NAMES)
def test_tokens_line_up_with_patches(name: str) -> None:
    """Token i sees its patch in the middle and the same number of samples on either side."""
    kind = datasets[f"audio/{name}"].make
    assert hop(kind.layers) == kind.patch and kind.length % kind.patch == 0
    grid = (kind.length // kind.patch,)
    tokenizer = WaveTokenizer(kind.layers, grid, 8)
    x = torch.randn(1, 1, kind.length, requires_grad=True)
    tokens = tokenizer(Batch(x)).x
    assert tokens.shape == (1, *grid, 8)
    place = 7
    tokens[0, place].sum().backward()
    assert x.grad is not None
    support = torch.nonzero(x.grad[0, 0])[:, 0]
    first, last = place * kind.patch, (place + 1) * kind.patch - 1
    margin = (reach(kind.layers) - kind.patch) // 2
    assert support.min() == first - margin and support.max() == last + margin
    assert margin < kind.patch / 8, "a token would see much of what its neighbours hide"


def test_an_input_of_another_length_is_named() -> None:
    tokenizer = WaveTokenizer(((4, 8, 8),), (10,), 4)
    with pytest.raises(ValueError, match="gives 9 tokens, the grid has 10; crop first"):
        tokenizer(Batch(torch.zeros(1, 1, 72)))


# Spectrogram and features --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_spectrogram_facts_fit_together(name: str) -> None:
    kind = datasets[f"audio/{name}"].make
    assert issubclass(kind, AudioModality)
    assert kind.length % (kind.frame * kind.tile[1]) == 0 and kind.bands % kind.tile[0] == 0
    banks = LogMel(kind.rate, kind.window, kind.frame, kind.bands).banks
    assert (banks.sum(1) > 0).all(), "a band without a single frequency"


def test_log_mel_against_a_slow_oracle() -> None:
    rate, window, step, bands = 8000, 256, 80, 20
    torch.manual_seed(0)
    x = torch.randn(2, 800)
    mel = LogMel(rate, window, step, bands)(x)
    assert mel.shape == (2, bands, 10)
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), bands + 2) / 2595) - 1)
    frequency = np.arange(window // 2 + 1) * rate / window
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    for row, frame in ((0, 0), (0, 4), (1, 9)):
        centre = frame * step + step // 2
        piece = np.array([x[row, i] if 0 <= i < 800 else 0 for i in range(centre - window // 2, centre + window // 2)])
        power = np.abs(np.fft.rfft(piece * hann)) ** 2 / (hann**2).sum()
        for band in range(bands):
            low, middle, high = edges[band : band + 3]
            weight = np.clip(np.minimum((frequency - low) / (middle - low), (high - frequency) / (high - middle)), 0, 1)
            assert mel[row, band, frame].item() == pytest.approx(np.log(weight @ power + 1e-6), abs=1e-3)


def test_hand_made_features_are_mfcc_and_log_mel_statistics_of_the_sounding_part() -> None:
    torch.manual_seed(0)
    mel = torch.randn(1, 40, 30)
    mel[:, :, :7] -= 40  # silence before
    mel[:, :, 22:] -= 40  # and after: 15 frames sound
    assert active(mel)[0].tolist() == [0.0] * 7 + [1.0] * 15 + [0.0] * 8
    part = mel[0, :, 7:22].double().numpy()
    mfcc = dct(part, axis=0, type=2, norm="ortho")[:20]
    wanted = [mfcc[:, 3 * k : 3 * k + 3].mean(1) for k in range(5)]
    wanted += [mfcc.mean(1), mfcc.std(1), part.mean(1), part.std(1)]
    np.testing.assert_allclose(usual(mel)[0].numpy(), np.concatenate(wanted), atol=1e-3)


@pytest.mark.parametrize("frames", [1, 3])
def test_features_of_silence_and_of_the_shortest_sounds_are_finite(frames: int) -> None:
    mel = torch.full((2, 40, 30), np.log(1e-6))
    mel[1, :, :frames] = 0.0
    features = usual(mel)
    assert features.shape == (2, 220) and torch.isfinite(features).all()
    torch.testing.assert_close(features[1, :20], features[1, 100:120])  # every segment is the sound


# Views ---------------------------------------------------------------------------------------------------------------


def test_an_excerpt_without_change_of_speed_is_a_stretch_of_the_recording() -> None:
    torch.manual_seed(0)
    x = torch.arange(1000.0).repeat(200, 1, 1)
    cut = excerpt(x, 400, 0.0)
    torch.testing.assert_close(cut.diff(dim=-1), torch.ones(200, 1, 399), rtol=0, atol=1e-3)
    assert cut.min() >= 0 and cut.max() <= 999
    assert cut[:, 0, 0].std() == pytest.approx(600 / 12**0.5, rel=0.2)


def test_a_recording_as_long_as_the_input_moves_by_a_tenth_into_silence() -> None:
    torch.manual_seed(0)
    x = torch.ones(300, 1, 500)
    moved = excerpt(x, 500, 0.0)
    silent = (moved[:, 0].abs() < 1e-6).sum(1)
    assert silent.max() <= 51 and silent.float().mean() == pytest.approx(25, rel=0.3)
    assert ((moved[:, 0, 0] > 0.99) | (moved[:, 0, -1] > 0.99)).all(), "silence on one side only"


def test_speed_stretches_around_the_middle_and_never_wraps() -> None:
    torch.manual_seed(0)
    x = torch.zeros(400, 1, 1001)
    x[:, :, 500] = 1.0
    x[:, :, -1] = 5.0
    faster = excerpt(torch.nn.functional.pad(x[..., :-1], (0, 1)), 1001, 0.2)
    assert (faster[:, 0].argmax(1).float().sub(500).abs() <= 0.1 * 1001 / 0.8 + 2).all()
    wave = tone(200.0, 8000.0, 4000).repeat(200, 1)[:, None]
    spectrum = torch.fft.rfft(excerpt(wave, 4000, 0.1)[:, 0]).abs().argmax(1) * 2.0
    assert spectrum.min() >= 176 and spectrum.max() <= 224 and spectrum.std() > 5
    still = torch.fft.rfft(excerpt(wave, 4000, 0.0)[:, 0]).abs().argmax(1) * 2.0
    assert (still == 200).all()


def test_the_equaliser_changes_bands_by_at_most_six_decibel_and_keeps_silence() -> None:
    torch.manual_seed(0)
    x = torch.randn(100, 1, 2048)
    change = 20 * (torch.fft.rfft(equalise(x)).abs() / torch.fft.rfft(x).abs()).log10()
    assert change[..., 1:-1].abs().max() <= 6.05 and change.std() > 1.5
    assert torch.equal(equalise(torch.zeros(2, 1, 64)), torch.zeros(2, 1, 64))


def test_gain_noise_and_gaps_stay_in_their_ranges() -> None:
    torch.manual_seed(0)
    ones = torch.ones(500, 1, 400)
    factor = gain(ones)[:, 0, 0]
    assert factor.min() >= 0.6 and factor.max() <= 1.6
    level = 20 * noise(torch.zeros(300, 1, 4000)).std(-1).log10()
    assert level.min() > -41 and level.max() < -9.5
    lost = (mask_time(ones, 0.1) == 0).float().mean(-1)
    assert lost.max() <= 0.1025 and lost.mean() == pytest.approx(0.05, rel=0.2)


def test_views_differ_between_calls_and_samples_and_repeat_with_the_seed() -> None:
    x = tone(300.0, 8000.0, 4096).repeat(4, 1)[:, None]
    torch.manual_seed(0)
    first, second = view(x, 2048, 0.1), view(x, 2048, 0.1)
    torch.manual_seed(0)
    assert torch.equal(first, view(x, 2048, 0.1))
    assert first.shape == (4, 1, 2048) and not torch.equal(first, second) and not torch.equal(first[0], first[1])


# The modality --------------------------------------------------------------------------------------------------------


def test_views_of_a_crop_are_stretches_of_its_recording() -> None:
    class Long(Few):
        length = 4096

        @classmethod
        def read(cls, root: Path | None) -> dict[Part, Data]:
            return Few.read(root)

    audio = Long()
    batch = audio.data("train").batch(torch.arange(4))
    cut = audio.crop(batch)
    assert cut.x.shape[-1] == 4096 and torch.equal(cut.extra["whole"], batch.x)
    seen = audio.views(cut)
    assert seen.x.shape == cut.x.shape and "whole" not in seen.extra
    windows = audio.windows(audio.data("train"))
    assert len(windows) == 3 * len(audio.data("train")) and windows.record is not None


def test_spectral_tokens_share_the_data_and_line_up_with_their_patches() -> None:
    audio = Few()
    tiles = audio.spectral()
    batch = audio.data("train").batch(torch.arange(6))
    assert tiles.grid == (4, 8) and tiles.spectral() is tiles and tiles.data("train") is audio.data("train")
    tokenizer = tiles.tokenizer(8)
    tokens, patches = tokenizer(batch), tiles.patches(batch)
    assert patches.shape == (6, 32, tiles.patch_values == 80 and 80)
    by_hand = patches @ tokenizer.project.weight.flatten(1).T
    torch.testing.assert_close(tokens.x, by_hand, rtol=1e-4, atol=1e-5)
    # A low tone lights the lowest row of tiles, a late sound the last column.
    low = tone(100.0, 8000.0, 8192)[:, None]
    rows = tiles.patches(Batch(low)).mean(-1).unflatten(1, (4, 8)).mean(2)[0]
    assert rows.argmax() == 0
    late = torch.zeros(1, 1, 8192)
    late[..., -900:] = torch.randn(900)
    columns = tiles.patches(Batch(late)).mean(-1).unflatten(1, (4, 8)).mean(1)[0]
    assert columns.argmax() == 7
    assert tokens.pos[0, 9].tolist() == [1.0, 1.0]


def test_bands_are_standardised_with_train() -> None:
    audio = Few()
    data = audio.data("train")
    values = audio.spectral().patches(data.batch(torch.arange(len(data))))
    assert values.mean().abs() < 1e-3 and values.std() == pytest.approx(1.0, abs=1e-2)


def test_mono_sound_has_no_channel_tokens() -> None:
    with pytest.raises(UsageError, match="no channels that could be tokens of their own"):
        Few().channelwise()
