"""Checkpoints of a run that may be killed at any moment: which one is whole, and whose run a folder holds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from slmkit import files
from slmkit.errors import InputError

NEEDED = ("trainer_state.json", "optimizer.pt", "scheduler.pt")


def claim(out: Path, identity: dict[str, Any]) -> None:
    """Note whose run `out` holds; InputError when it holds another one, of which the first difference is named."""
    path = out / "run.json"
    if path.is_file():
        held = json.loads(path.read_text(encoding="utf-8"))
        for name, value in identity.items():
            if held.get(name) != value:
                named = _difference(held.get(name), value) or name
                mend = "choose another folder or remove it"
                raise InputError(f"{out}: holds a run that differs in {named}; {mend}")
        return
    if (out / "adapter").exists():
        raise InputError(f"{out}: holds an adapter of unknown origin; choose another folder or remove it")
    files.write_json(path, identity)


def _difference(held: Any, value: Any) -> str:
    if not isinstance(held, dict) or not isinstance(value, dict):
        return ""
    return next(
        (f"{name} ({held.get(name)}, not {value[name]})" for name in value if held.get(name) != value[name]), ""
    )


def last_whole(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; what a kill left half-written is removed.

    The trainer's state is written last, so a checkpoint with a readable state is whole.
    """
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    for path in found:
        if _whole(path):
            return path
        shutil.rmtree(path)
    return None


def _whole(path: Path) -> bool:
    try:
        json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return all((path / name).is_file() for name in NEEDED)
