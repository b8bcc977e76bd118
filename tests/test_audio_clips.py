"""Sound files as people have them: every damage is one sentence that names the file, every repair is counted."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jepakit.types import DataError
from modalities.audio.clips import clips, fit, is_sound, level, prepare, read_clip, sounds

RATE = 8000
REMEDY = "copy it again"


def tone(seconds: float = 0.5, rate: int = RATE, frequency: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_clip(path, REMEDY)
    text = str(caught.value)
    assert str(path) in text and text.endswith(REMEDY) and "\n" not in text
    return text


@pytest.mark.parametrize(
    ("name", "form"), [("a.wav", None), ("a.flac", None), ("a.ogg", "VORBIS"), ("a.aiff", None), ("a.mp3", None)]
)
def test_common_formats_are_read(tmp_path: Path, name: str, form: str | None) -> None:
    soundfile.write(tmp_path / name, tone(), RATE, subtype=form)
    x, rate, repairs = read_clip(tmp_path / name, REMEDY)
    assert rate == RATE and x.dtype == np.float32 and x.ndim == 1 and abs(len(x) - RATE // 2) < 1200
    assert np.abs(np.fft.rfft(x)).argmax() * rate / len(x) == pytest.approx(440, abs=4)
    assert not any(repairs.values())


def test_stereo_is_averaged_and_counted(tmp_path: Path) -> None:
    left, right = tone(), tone(frequency=660)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), RATE, subtype="FLOAT")
    x, _, repairs = read_clip(tmp_path / "a.wav", REMEDY)
    np.testing.assert_allclose(x, (left + right) / 2, atol=1e-6)
    assert repairs["clips_mixed_to_mono"] == 1
    soundfile.write(tmp_path / "b.wav", np.stack([left, -left], 1), RATE, subtype="FLOAT")
    x, _, _ = read_clip(tmp_path / "b.wav", REMEDY)
    np.testing.assert_allclose(np.abs(x), np.abs(left), atol=1e-6)  # not the silence of their sum


def test_nan_and_infinite_samples_are_interpolated_and_counted(tmp_path: Path) -> None:
    x = np.linspace(-0.5, 0.5, 1000, dtype=np.float32)
    broken = x.copy()
    broken[100:110], broken[500] = np.nan, np.inf
    soundfile.write(tmp_path / "a.wav", broken, RATE, subtype="FLOAT")
    mended, _, repairs = read_clip(tmp_path / "a.wav", REMEDY)
    np.testing.assert_allclose(mended, x, atol=1e-6)
    assert repairs["nan_samples_interpolated"] == 11
    soundfile.write(tmp_path / "b.wav", np.full(50, np.nan, dtype=np.float32), RATE, subtype="FLOAT")
    assert "no valid sample in channel 1" in refusal(tmp_path / "b.wav")


def test_clipped_and_silent_clips_are_kept_and_counted(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", np.clip(4 * tone(), -1, 1), RATE)
    soundfile.write(tmp_path / "full.wav", 1.9 * tone(), RATE)
    soundfile.write(tmp_path / "silent.wav", np.zeros(800, dtype=np.float32), RATE)
    assert read_clip(tmp_path / "loud.wav", REMEDY)[2]["clipped_clips_kept"] == 1
    assert read_clip(tmp_path / "full.wav", REMEDY)[2]["clipped_clips_kept"] == 0
    assert read_clip(tmp_path / "silent.wav", REMEDY)[2]["silent_clips_kept"] == 1
    x, _ = prepare(tmp_path / "silent.wav", RATE, 1000, "repeat", REMEDY)
    assert x.shape == (1000,) and not x.any()


def test_what_is_no_sound_is_named(tmp_path: Path) -> None:
    for name, content in (("empty.wav", b""), ("text.wav", b"RIFF, he said"), ("page.mp3", b"<html>not found</html>")):
        (tmp_path / name).write_bytes(content)
        assert "cannot be read as sound" in refusal(tmp_path / name)
    assert "cannot be read as sound" in refusal(tmp_path / "nowhere.wav")
    assert "cannot be read as sound" in refusal(tmp_path)
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0, dtype=np.float32), RATE)
    assert "holds no sound" in refusal(tmp_path / "nothing.wav")


def test_truncated_files_are_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), RATE)
    content = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(content[:3000])
    assert "ends too early (2956 of 8000 bytes of sound)" in refusal(tmp_path / "a.wav")
    random = np.random.default_rng(0).normal(0, 0.1, 16000)
    for name in ("a.flac", "a.ogg"):
        soundfile.write(tmp_path / name, random, RATE)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        refusal(tmp_path / name)


def test_an_unknown_length_of_a_recorder_is_no_damage(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    at = content.find(b"data") + 4
    content[at : at + 4] = struct.pack("<I", 2**32 - 1)
    (tmp_path / "a.wav").write_bytes(content)
    assert len(read_clip(tmp_path / "a.wav", REMEDY)[0]) == RATE // 2


def test_headers_that_claim_the_impossible_are_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", tone(), RATE)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] |= 0x0F  # STREAMINFO: 36 bits of "how many samples"
    content[22:26] = b"\xff" * 4
    (tmp_path / "a.flac").write_bytes(content)
    assert "more than the 600 s" in refusal(tmp_path / "a.flac")
    soundfile.write(tmp_path / "a.wav", tone(), RATE)
    for at, value, said in ((24, 7, "at 7 Hz"), (24, 2**31 - 1, "at 2147483647 Hz")):
        content = bytearray((tmp_path / "a.wav").read_bytes())
        content[at : at + 4] = struct.pack("<I", value)
        (tmp_path / "b.wav").write_bytes(content)
        assert said in refusal(tmp_path / "b.wav")
    soundfile.write(tmp_path / "many.wav", np.zeros((10, 40), dtype=np.float32), RATE)
    assert "claims 40 channels" in refusal(tmp_path / "many.wav")


def test_another_rate_is_resampled_and_counted(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0, 44_100) + tone(1.0, 44_100, 9000), 44_100)
    x, repairs = prepare(tmp_path / "a.wav", RATE, RATE, "silence", REMEDY)
    power = np.abs(np.fft.rfft(x)) ** 2
    assert power.argmax() == 440 and repairs["clips_resampled"] == 1
    assert power[430:450].sum() > 0.999 * power.sum(), "9 kHz must not fold into 4 kHz"


def test_level_ignores_silence_around_a_sound_and_the_gain_of_a_recording() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 1600).astype(np.float32)
    padded = np.pad(sound, (4000, 8000))
    wanted = np.sqrt(np.square(level(sound, RATE)).mean())
    assert wanted == pytest.approx(1.0, rel=1e-3)
    inside = level(padded, RATE)[4000:5600]
    np.testing.assert_allclose(inside, level(sound, RATE), atol=0.02)
    np.testing.assert_allclose(level(7 * padded + 0.3, RATE), level(padded, RATE), atol=1e-3)


def test_fit_centres_repeats_and_keeps_the_loudest_stretch() -> None:
    sound = np.ones(4, dtype=np.float32)
    assert fit(sound, 9, "silence").tolist() == [0, 0, 1, 1, 1, 1, 0, 0, 0]
    ramp = np.array([1, 2, 3, 0, 0, 0], dtype=np.float32)
    assert fit(ramp, 8, "repeat").tolist() == [1, 2, 3, 1, 2, 3, 1, 2]
    long = np.array([0, 1, 0, 5, 6, 0, 1, 1], dtype=np.float32)
    assert fit(long, 3, "silence").tolist() in ([0, 5, 6], [5, 6, 0])
    assert fit(np.zeros(3, dtype=np.float32), 5, "repeat").tolist() == [0] * 5


def test_only_sounds_are_listed(tmp_path: Path) -> None:
    for name in ("b.WAV", "a/c.flac", "a/._c.flac", "notes.txt", ".hidden.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [path.relative_to(tmp_path).as_posix() for path in sounds(tmp_path)] == ["a/c.flac", "b.WAV"]
    assert is_sound("x.mp3") and not is_sound("x.mp4")


def test_decoded_clips_are_kept_and_made_anew_when_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JEPAKIT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(3):
        soundfile.write(folder / f"{number}.wav", tone(frequency=200 + 100 * number), RATE)

    def read(rate: int = RATE) -> np.ndarray:
        clips.cache_clear()  # as a new process would
        return clips(folder, "mine", sounds, rate, 4000, "silence", REMEDY).x

    first = read()
    assert first.shape == (3, 4000) and first.dtype == np.float16
    monkeypatch.setattr("modalities.audio.clips.prepare", None)  # decoding again would now fail
    assert np.array_equal(read(), first)
    monkeypatch.undo()
    monkeypatch.setenv("JEPAKIT_CACHE", str(tmp_path / "cache"))
    other = read(4000)
    assert not np.array_equal(other, first) and np.array_equal(read(), first)
    soundfile.write(folder / "1.wav", tone(0.25), RATE)
    changed = read()
    assert np.array_equal(changed[0], first[0]) and not np.array_equal(changed[1], first[1])


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no sound files; copy it again"):
        clips(tmp_path, "mine", sounds, RATE, 100, "silence", REMEDY)
