"""The command line: exit codes, dry run, resume, and one sentence for every wrong word."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from toybox import TINY, TOY, toys

from benchmark import record, request
from benchmark.__main__ import main
from jepakit.types import UsageError


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


def board(results: Path, *words: str) -> list[str]:
    return ["run", "toy", *words, *TINY, "--results", str(results), "--plugin", str(TOY), "--jobs", "1"]


def test_exit_codes_of_finished_boards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(board(tmp_path, "method=toy-ae,toy-still", "seeds=2")) == 0
    out = capsys.readouterr().out
    assert "toy/toy: Toy rows · licence CC0 · embedded" in out
    assert "4/4" in out
    assert (tmp_path / "leaderboard_toy.csv").exists()
    assert main(board(tmp_path, "method=toy-ae,toy-nan", "seeds=1")) == 2
    out = capsys.readouterr().out
    assert "1 finished before" in out
    assert "cached" in out
    assert main(board(tmp_path, "method=toy-nan", "seeds=1")) == 2, "a failed row stays failed when nothing is run"


def test_the_board_that_was_asked_for_is_the_one_that_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for steps in ("2", "3"):  # a word after TINY's own would be a repeated key
        words = [f"train.steps={steps}" if word.startswith("train.steps=") else word for word in board(tmp_path)]
        assert main([*words, "method=toy-ae", "seeds=1"]) == 0
        titles = [
            line.strip() for line in capsys.readouterr().out.splitlines() if line.strip().startswith("toy/toy · ")
        ]
        assert len(titles) == 1 and f"train.steps={steps}" in titles[0]
    assert main(["board", "toy", "--results", str(tmp_path), "--plugin", str(TOY)]) == 0
    out = capsys.readouterr().out
    assert "train.steps=2" in out and "train.steps=3" in out, "where no board compares methods, all are shown"


def test_a_failed_cell_does_not_stop_the_grid(tmp_path: Path) -> None:
    assert main(board(tmp_path, "method=toy-crash,toy-ae", "seeds=1")) == 2
    assert {one["method"]: one["status"] for one in record.load_all(tmp_path)} == {"toy-crash": "error", "toy-ae": "ok"}


def test_all_methods_skips_those_that_cannot_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "ecg", "seeds=1", "method=toy-ae", "--results", str(tmp_path / "r"), "--dry-run", "preset=smoke"]
    assert main(words) == 3
    assert "only runs on toys" in capsys.readouterr().err
    words[words.index("method=toy-ae")] = "method=all"
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "skipped toy-ae on ecg/simulated: 'toy-ae' only runs on toys" in out
    assert " mae " in out
    assert not (tmp_path / "r").exists(), "a dry run leaves nothing behind"


def test_dry_run_tells_what_is_cached_and_how_long_the_rest_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*board(tmp_path, "method=toy-ae", "seeds=1"), "--dry-run"]) == 0
    assert "unknown" in capsys.readouterr().out
    assert main(board(tmp_path, "method=toy-ae", "seeds=1")) == 0
    before = sorted(path for path in tmp_path.rglob("*"))
    capsys.readouterr()
    assert main([*board(tmp_path, "method=toy-ae", "seeds=3"), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "1 finished before, 2 to run" in out
    assert out.count("to run") == 3
    assert "estimated time" in out
    assert "unknown" not in out
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_a_device_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    assert main([*board(tmp_path, "method=toy-ae", "seeds=1"), "--device", missing]) == 3
    assert f"no {missing} device" in capsys.readouterr().err


def test_a_calibrated_dry_run_tells_the_time_of_rows_that_never_ran(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*board(tmp_path, "method=toy-ae", "seeds=1"), "--calibrate"]) == 0
    out = capsys.readouterr().out
    assert "(calibrated)" in out and "estimated time" in out and "unknown" not in out
    assert not (tmp_path / "r").exists(), "a dry run leaves nothing behind"


WRONG = [
    ([], "say which modality"),
    (["imag"], "no modality named 'imag'; did you mean 'image'"),
    (["toy", "toy"], "not of the form key=value"),
    (["toy", "dataset=tyo"], "did you mean 'toy'"),
    (["toy", "method=toy-aee"], "did you mean 'toy-ae'"),
    (["toy", "method=toy-ae,"], "empty item"),
    (["toy", "methd=toy-ae"], "did you mean 'method'"),
    (["toy", "preset=quik"], "did you mean 'quick'"),
    (["toy", "probe=linaer"], "did you mean 'linear'"),
    (["toy", "seed=a"], "seed takes a whole number"),
    (["toy", "seed=-1"], "whole numbers from 0 on"),
    (["toy", "seed=0", "seeds=2"], "not both"),
    (["toy", "seeds=0"], "seeds takes a count"),
    (["toy", "seed=1", "seed=2"], "given twice"),
    (["toy", "method="], "has no value"),
    (["toy", "jobs=none"], "jobs takes a whole number"),
    (["toy", "jobs=0"], "jobs takes a whole number"),
    (["toy", "train.lr=big"], "train.lr takes a number"),
    (["toy", "train.lrr=1"], "did you mean 'lr'"),
    (["toy", "size.dim=10"], "not a multiple"),
    (["toy", "method=toy-ae", "recipe.att=1"], "did you mean 'at'"),
    (["toy", "dataset=broken"], "train.dat is missing; copy it there"),
    (["toy", "--timeout", "0"], "--timeout takes a number above 0"),
    (["toy", "--devise", "cpu"], "unrecognized arguments: --devise"),
    (["toy", "--jobs", "many"], "--jobs takes a whole number"),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG, ids=[" ".join(words) or "nothing" for words, _ in WRONG])
def test_bad_input_ends_in_one_sentence_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["run", *words, "--results", str(tmp_path / "r"), "--plugin", str(TOY)]) == 3
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert sentence in error
    assert error.count("\n") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_other_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "--plugin", str(TOY)]) == 0
    out = capsys.readouterr().out
    for word in ("toy-ae", "toy/toy", "linear", "quick", "ecg/simulated", "CC0", "embedded"):
        assert word in out
    assert main(["board", "--results", str(tmp_path)]) == 0
    assert main(["board", "egc", "--results", str(tmp_path)]) == 3
    assert main(["fly"]) == 3
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0


def test_an_unwritable_results_folder_is_found_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(board(tmp_path / "file" / "results", "method=toy-ae")) == 3
    assert "--results" in capsys.readouterr().err


def test_words_become_a_request() -> None:
    asked = request.parse(["dataset=mitbih", "ecg", "method=ecgjepa,mae,mae", "seed=2,0", "train.lr=1e-3", "jobs=2"])
    assert asked == request.Request("ecg", ("mitbih",), ("ecgjepa", "mae"), (2, 0), "quick", {"train.lr": "1e-3"}, 2)
    plain = request.parse(["ecg"])
    assert (plain.datasets, plain.methods, plain.seeds, plain.jobs) == (("simulated",), None, (0, 1, 2), None)
    assert request.parse(["ecg", "seeds=5"]).seeds == (0, 1, 2, 3, 4)
    with pytest.raises(UsageError, match="no ecg data set named 'toy'"):
        request.parse(["ecg", "dataset=toy"])


@pytest.mark.parametrize(("name", "code", "jobs"), [("SIGINT", 130, "2"), ("SIGTERM", 143, "1")])
def test_an_interrupted_board_says_so_and_would_resume_from_its_checkpoint(
    tmp_path: Path, checkout: Path, capsys: pytest.CaptureFixture[str], name: str, code: int, jobs: str
) -> None:
    words = ("method=toy-ae", "seeds=2", "train.steps=4000")
    results = tmp_path / "r"
    base = [word for word in TINY if not word.startswith("train.steps")]
    command = [sys.executable, "-m", "benchmark", "run", "toy", *words, *base, "--results", str(results)]
    command += ["--plugin", str(TOY), "--jobs", jobs]
    process = subprocess.Popen(
        command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(results.glob(".runs/*/last.ckpt")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(getattr(signal, name))
    _, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    assert "run the same command to resume" in error
    assert "Traceback" not in error
    assert record.load_all(results) == []
    saved = [json.loads(path.read_text()) for path in results.glob(".runs/*/watch.json")]
    assert any(saved)
    assert list(results.glob(".runs/*/last.ckpt"))
    # That the resumed cell ends with the same bits is test_run.py's; here: the same words find the checkpoint.
    assert main([*command[3:], "--dry-run"]) == 0
    assert "resumes" in capsys.readouterr().out
