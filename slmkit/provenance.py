"""What a result needs to be believed and repeated: commit, versions, hardware."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "slmkit", "torch", "transformers", "peft", "trl", "datasets", "accelerate", "tokenizers", "llguidance",
    "numpy", "scipy", "pandas", "statsmodels", "papermill", "wandb",
)  # fmt: skip


def git_state(folder: Path) -> dict[str, str | bool | None]:
    """Commit id of the checkout that holds `folder` and whether it has uncommitted changes; None outside of one."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    status = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(status) if commit else None}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result, of those that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _gpu() -> str:
    torch = sys.modules.get("torch")  # asked only when something has loaded it: importing it costs seconds
    return torch.cuda.get_device_name() if torch and torch.cuda.is_available() else ""


def hardware() -> str:
    """One line: processor, cores that this process may use, memory in GiB, GPU where there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = [_processor(), f"{cores} cores"]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        parts.append(f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB")
    return ", ".join(part for part in [*parts, _gpu()] if part)
