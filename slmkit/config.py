"""The one dial (`scale`) and where things lie: package resources, data sets, the user cache."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from slmkit.errors import InputError, unknown

ScaleName = Literal["smoke", "laptop", "full", "gpu"]

SOURCES = ("live", "recorded")  # recorded: every figure from data/results, no model call

_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Scale:
    """Every size that follows from the scale; a notebook parameter may override any single one."""

    name: str
    n_items: int  # items a category of a benchmark in a live evaluation; 0 means all
    n_own: int  # items a category of our own, whose prompts are short and cost a tenth
    n_bootstrap: int  # resamples of an interval
    n_simulations: int  # repetitions of a simulation or a coverage check
    max_tokens: int  # of a reply; 256 hold four parallel calls, even where a tokenizer is as fine as that of the minis
    evidence: bool  # False: figures carry the stamp "smoke run, not evidence"
    n_tasks: int  # test tasks of the agent's world; 0 means all
    n_calibration: int  # its calibration tasks


_FULL = Scale(
    "full", n_items=0, n_own=0, n_bootstrap=10_000, n_simulations=2_000, max_tokens=256, evidence=True,
    n_tasks=0, n_calibration=300,
)  # fmt: skip
SCALES = {
    "smoke": Scale(
        "smoke", n_items=2, n_own=3, n_bootstrap=200, n_simulations=50, max_tokens=96, evidence=False,
        n_tasks=4, n_calibration=4,
    ),
    "laptop": Scale(
        "laptop", n_items=8, n_own=60, n_bootstrap=2_000, n_simulations=500, max_tokens=256, evidence=True,
        n_tasks=64, n_calibration=48,
    ),
    "full": _FULL,
    "gpu": replace(_FULL, name="gpu"),
}  # fmt: skip


@dataclass(frozen=True)
class Tuning:
    """Sizes of notebook 03 that follow from the scale: what is trained, for how long, and on how much it is tested."""

    n_examples: int  # of the headline
    n_seeds: int
    steps: int  # of the headline run; 0: as the trainer picks from the number of rows
    batch_size: int
    n_test: int  # items of the task's test set
    n_side: int  # items of every other set
    rungs: tuple[int, ...]  # examples of the learning curve
    ranks: tuple[int, ...]
    grid: tuple[int, ...]  # examples of the grid of ranks and data
    arm_examples: int  # of the comparisons between ways to train
    arm_steps: int
    arm_seeds: int
    size_examples: int  # of the comparison of two sizes
    shares: tuple[float, ...]  # of general data mixed in
    validation_items: int
    scratch_steps: tuple[int, ...]  # of models trained from scratch, tested at each; none: not run


_FULL_TUNING = Tuning(
    n_examples=200, n_seeds=3, steps=0, batch_size=16, n_test=2_000, n_side=500,
    rungs=(10, 30, 50, 100, 200, 500, 1_000, 2_000, 5_000), ranks=(1, 4, 16, 64), grid=(50, 200, 1_000),
    arm_examples=200, arm_steps=0, arm_seeds=3, size_examples=1_000, shares=(0.0, 0.1, 0.3),
    validation_items=64, scratch_steps=(500, 1_000, 2_000),
)  # fmt: skip
TUNING = {
    "smoke": Tuning(
        n_examples=20, n_seeds=1, steps=2, batch_size=4, n_test=4, n_side=2,
        rungs=(20,), ranks=(16,), grid=(10,),
        arm_examples=10, arm_steps=1, arm_seeds=1, size_examples=10, shares=(0.0,),
        validation_items=2, scratch_steps=(),
    ),
    "laptop": Tuning(
        n_examples=200, n_seeds=1, steps=180, batch_size=8, n_test=100, n_side=24,
        rungs=(20, 200), ranks=(2, 16), grid=(50,),
        arm_examples=50, arm_steps=24, arm_seeds=1, size_examples=50, shares=(0.0, 0.25),
        validation_items=16, scratch_steps=(),
    ),
    "full": _FULL_TUNING,
    "gpu": replace(_FULL_TUNING, scratch_steps=()),
}  # fmt: skip


def scale(name: str) -> Scale:
    """The sizes of a scale by name; raises InputError with the nearest name when there is none."""
    if name not in SCALES:
        raise unknown("scale", name, SCALES)
    return SCALES[name]


def resource(relative: str) -> Path:
    """A file or folder that travels with the package, e.g. `data/mini`: from the repository, or from the wheel.

    Raises InputError when neither has it.
    """
    for base in filter(None, (root(), _PACKAGE / "resources")):
        if (base / relative).exists():
            return base / relative
    raise InputError(f"{relative}: not part of this installation; reinstall slmkit or run it from a clone")


def source(name: str) -> str:
    """`name` if it says where results come from (`live` or `recorded`); else InputError with the nearest name."""
    if name not in SOURCES:
        raise unknown("source", name, SOURCES)
    return name


def root() -> Path | None:
    """The repository that this package is run from, or None when it is installed from a wheel."""
    return _PACKAGE.parent if (_PACKAGE.parent / "pyproject.toml").is_file() else None


def outputs() -> Path:
    """Where runs are written: `outputs/` in the repository, or in the working directory when installed."""
    return (root() or Path.cwd()) / "outputs"


def display(path: Path) -> str:
    """A path as results name it: within the repository or a data folder, so that no machine's folders leak."""
    path = path.resolve()
    for base in filter(None, (root(), _PACKAGE / "resources", *data_folders())):
        if path.is_relative_to(base.resolve()):
            return str(path.relative_to(base.resolve()))
    return path.name


def cache() -> Path:
    """The user cache of slmkit: `SLMKIT_CACHE`, or the platform's usual place."""
    if folder := os.environ.get("SLMKIT_CACHE"):
        return Path(folder).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "slmkit"


def data_folders(data: str | Path | None = None) -> list[Path]:
    """Where data sets are looked for, in order: `data` if given, else `SLMKIT_DATA` if set, else the user cache."""
    given = data or os.environ.get("SLMKIT_DATA")
    return [Path(given).expanduser()] if given else [cache() / "datasets"]


def has_dataset(name: str, data: str | Path | None = None) -> bool:
    """Whether data set `name` is at hand; raises InputError when a folder was named but is missing."""
    for folder in data_folders(data):
        if (data or os.environ.get("SLMKIT_DATA")) and not folder.is_dir():
            raise InputError(f"data folder {folder} does not exist; unset SLMKIT_DATA or name a folder that does")
        if (folder / name).is_dir():
            return True
    return False


def dataset(name: str, data: str | Path | None = None) -> Path:
    """Folder of data set `name`; raises InputError naming the command that gets it."""
    if has_dataset(name, data):
        return data_folders(data)[0] / name
    folder = data_folders(data)[0]
    into = f" --into {folder}" if data or os.environ.get("SLMKIT_DATA") else ""
    raise InputError(f"data set {name!r} is not in {folder}; get it with `slmkit data pull {name}{into}`")
