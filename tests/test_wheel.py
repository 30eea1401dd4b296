"""The built wheel holds all that the package reads, and runs a model without the repository."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built with the installed hatchling, so that no network is needed."""
    folder = tmp_path_factory.mktemp("dist")
    words = [
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        folder,
        ROOT,
    ]
    subprocess.run([sys.executable, *words], check=True)
    (built,) = folder.glob("slmkit-*.whl")
    return built


def environment(folder: Path) -> Path:
    """An empty environment in `folder`; returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"


def install(python: Path, *words: str | Path) -> None:
    """Run this environment's pip for another one."""
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-compile", *words], check=True)


def run(python: Path, *words: str) -> str:
    """A command of the other environment, from a folder outside the repository and without our variables."""
    ours = ("SLMKIT_", "PYTHON", "VIRTUAL_ENV")
    where = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    where |= {"SLMKIT_CACHE": str(python.parents[2] / "cache"), "HF_HUB_OFFLINE": "1"}
    folder = python.parents[1]
    done = subprocess.run(
        [folder / "bin" / words[0], *words[1:]], cwd=folder, env=where, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def check(python: Path) -> None:
    """The installed package is the wheel's, finds its resources, and evaluates a model."""
    home = run(python, "python", "-c", "import slmkit; print(slmkit.__file__)").strip()
    assert home.startswith(str(python.parents[1]))
    listed = run(python, "python", "-c", "from slmkit import runner; print(*runner.notebooks())").split()
    assert listed == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    result = python.parents[1] / "rows.json"
    run(python, "slmkit", "evaluate", "mini-2m", "--suite", "own/seen", "--limit", "2", "--json", str(result))
    (row,) = json.loads(result.read_text(encoding="utf-8"))
    assert (row["model"], row["suite"], row["category"], row["n"]) == ("mini-2m", "own", "seen", 2)
    assert 0 <= row["low"] <= row["estimate"] <= row["high"] <= 1


def test_wheel_holds_what_the_package_reads(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    inside = {name.removeprefix("slmkit/resources/") for name in names if name.startswith("slmkit/resources/")}
    there = {
        str(path.relative_to(ROOT))
        for folder in ("data", "notebooks")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not {".ipynb_checkpoints", "__pycache__"} & set(path.parts)
    }
    assert inside == there | {"papers/claims.yaml"}
    package = {str(path.relative_to(ROOT)) for path in (ROOT / "slmkit").rglob("*.py")}
    assert {name for name in names if name.startswith("slmkit/") and name.endswith(".py")} == package
    assert not {name for name in names if name.split("/")[0] in ("tests", "papers", "outputs", "data")}


def test_wheel_runs_in_its_own_environment(wheel, tmp_path):
    python = environment(tmp_path / "env")
    install(python, "--no-deps", wheel)
    # Dependencies are borrowed by path, so that this stays cheap; the full form below installs them.
    (borrowed,) = (folder for folder in site.getsitepackages() if Path(folder, "torch").is_dir())
    (packages,) = (tmp_path / "env/lib").glob("python3.*/site-packages")
    (packages / "borrowed.pth").write_text(f"{borrowed}\n", encoding="utf-8")
    check(python)


@pytest.mark.full
def test_wheel_runs_with_only_what_it_asks_for(wheel, tmp_path):
    python = environment(tmp_path / "env")
    lock = ROOT / "binder/constraints.txt"
    torch = next(line for line in lock.read_text(encoding="utf-8").splitlines() if line.startswith("torch=="))
    install(
        python,
        "-c",
        lock,
        "--extra-index-url",
        "https://download.pytorch.org/whl/cpu",
        "--timeout",
        "15",
        torch,
    )
    install(python, "-c", lock, wheel)
    installed = run(python, "python", "-c", "import importlib.util as u; print(u.find_spec('pytest'))")
    assert installed.strip() == "None"
    check(python)
