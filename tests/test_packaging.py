"""The package: its version has one source, its wheel ships jepakit and nothing else, its pins cover what it needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import jepakit


def _pins(checkout: Path) -> dict[str, str]:
    lines = (checkout / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def _requirements(checkout: Path) -> list[Requirement]:
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + [r for extra in project["optional-dependencies"].values() for r in extra]
    return [Requirement(line) for line in lines]


def test_version_has_one_source(checkout: Path) -> None:
    assert Version(jepakit.__version__)
    assert "version" in tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dynamic"]


def test_import_of_the_package_is_light() -> None:
    code = "import sys, jepakit; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(jepakit.__file__).parents[1]).returncode == 0


def test_constraints_are_plain_pins_without_addresses_or_paths(checkout: Path) -> None:
    for line in (checkout / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert not line or line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[0-9][0-9A-Za-z.]*", line), line


def test_every_requirement_is_pinned_to_a_version_it_allows(checkout: Path) -> None:
    pins = _pins(checkout)
    for requirement in _requirements(checkout):
        version = pins.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} has no line in constraints.txt"
        assert requirement.specifier.contains(version), f"constraints.txt pins {requirement.name} outside its range"


@pytest.mark.slow
def test_wheel_ships_jepakit_only(checkout: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"jepakit", f"jepakit-{jepakit.__version__}.dist-info"}
    shipped = {name for name in names if name.startswith("jepakit/")}
    sources = {path.relative_to(checkout).as_posix() for path in (checkout / "jepakit").rglob("*.py")}
    assert shipped == sources | {"jepakit/py.typed"}


FAKE_PYTHON = """#!/bin/sh
case "$1 $2" in
  "-c "*) exit "${FAKE_TOO_OLD:-0}" ;;
  "--version "*) echo "Python 3.13.0" ;;
  "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip") [ "$3" = install ] || exit 0; echo "INSTALL $*"; exit "${FAKE_PIP:-0}" ;;
  *) echo "RUN $*" ;;
esac
"""


class Bench:
    """`make` in a copy of the build files, at a path with a space, with a python that only says what it is asked."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.folder = folder / "a checkout"
        self.tools = folder / "tools"
        self.folder.mkdir()
        self.tools.mkdir()
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(checkout / name, self.folder / name)
        python = self.tools / "python3.13"
        python.write_text(FAKE_PYTHON)
        python.chmod(0o755)

    def __call__(self, *words: str, **env: str) -> tuple[int, str]:
        path = f"{self.tools}{os.pathsep}{os.defpath}"
        done = subprocess.run(
            ["make", *words],
            cwd=self.folder,
            env={"PATH": path, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    def change_pins(self) -> None:
        pins = self.folder / "constraints.txt"
        pins.write_text(pins.read_text() + "# another set\n")
        later = time.time() + 5
        os.utime(pins, (later, later))


@pytest.fixture
def bench(checkout: Path, tmp_path: Path) -> Bench:
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    return Bench(checkout, tmp_path)


def test_make_alone_lists_the_targets(bench: Bench) -> None:
    code, text = bench()
    assert code == 0
    for target in ("bench", "test", "lint", "types", "data", "board", "ls", "clean"):
        assert re.search(rf"^  make {target} ", text, re.MULTILINE)
    assert not (bench.folder / ".venv").exists()


def test_bench_passes_on_what_was_given_and_nothing_else(bench: Bench) -> None:
    _, text = bench("bench", "MODALITY=ecg")
    assert text.splitlines()[-1] == "RUN -m benchmark run ecg"
    _, text = bench(
        "bench", "MODALITY=ecg", "DATASET=mitbih", "METHODS=mae,ijepa", "SEEDS=2", "PRESET=smoke", "DATA=/a b"
    )
    assert text.splitlines() == [
        "RUN -m benchmark run ecg dataset=mitbih method=mae,ijepa seeds=2 preset=smoke --data /a b"
    ]


def test_bench_without_modality_says_what_to_type_and_installs_nothing(bench: Bench) -> None:
    code, text = bench("bench")
    assert code == 2 and "make bench MODALITY=ecg" in text
    assert not (bench.folder / ".venv").exists()


def test_environment_is_made_once_and_again_when_the_pins_change(bench: Bench) -> None:
    assert "INSTALL -m pip install --disable-pip-version-check -c constraints.txt -e .\n" in bench("ls")[1]
    assert "INSTALL" not in bench("ls")[1]
    assert "-c constraints.txt -e .[dev]\n" in bench("test")[1]
    assert "INSTALL" not in bench("test")[1] and "INSTALL" not in bench("ls")[1]
    bench.change_pins()
    assert "INSTALL" in bench("test")[1]


def test_half_finished_environment_is_made_anew(bench: Bench) -> None:
    assert bench("test", FAKE_PIP="7")[0] != 0
    left = bench.folder / ".venv" / "left-over"
    left.touch()
    code, text = bench("test")
    assert code == 0 and "INSTALL" in text
    assert not left.exists()


def test_environment_of_someone_else_is_used_but_never_emptied(bench: Bench, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "bin").mkdir(parents=True)
    shutil.copy(bench.tools / "python3.13", theirs / "bin" / "python")
    (theirs / "precious").touch()
    assert bench("test", FAKE_PIP="7", VENV=str(theirs))[0] != 0
    assert "INSTALL" in bench("test", VENV=str(theirs))[1]
    assert "INSTALL" not in bench("test", VENV=str(theirs))[1]
    assert (theirs / "precious").exists() and not (bench.folder / ".venv").exists()


def test_no_python_gives_one_sentence(bench: Bench) -> None:
    code, text = bench("test", FAKE_TOO_OLD="1", PATH=str(_only_tools(bench)))
    assert code != 0 and "no Python 3.11 or newer" in text and "PYTHON=" in text


def _only_tools(bench: Bench) -> Path:
    """A path with the shell's tools and the fake python, but none of this machine's pythons."""
    for tool in ("make", "sh", "cat", "rm", "touch", "awk"):
        (bench.tools / tool).symlink_to(shutil.which(tool) or tool)
    return bench.tools
