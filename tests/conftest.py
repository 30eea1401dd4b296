"""What every test may rely on: one repository root, no network tracking, no touched home, skips by mark."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]

os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("TQDM_DISABLE", "1")
if given := os.environ.get("SLMKIT_DATA"):
    os.environ["SLMKIT_DATA"] = str(Path(given).expanduser().resolve())  # kernels run in other folders

# The same examples on each run, and no deadline: continuous integration runs on shared cores.
hypothesis.settings.register_profile("slmkit", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("slmkit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip `gpu` tests without a GPU, `data` tests where SLMKIT_DATA is not set (a missing folder fails).

    The notebooks come first: they are the longest file, and another worker has the rest meanwhile.
    """
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")
    skips = {}
    if not os.environ.get("SLMKIT_DATA"):
        skips["data"] = pytest.mark.skip(reason="SLMKIT_DATA is not set")
    if not shutil.which("nvidia-smi"):
        skips["gpu"] = pytest.mark.skip(reason="no CUDA GPU")
    for item in items:
        for mark, skip in skips.items():
            if item.get_closest_marker(mark):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository root."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep recorded calls and downloads of tests out of the user's cache."""
    os.environ["SLMKIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
