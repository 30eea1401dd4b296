"""The parameters of a notebook, read from its `parameters` cell without running it."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from slmkit import config

Value = bool | int | float | str | list


def notebooks() -> dict[str, Path]:
    """Every notebook by its stem, in order."""
    return {path.stem: path for path in sorted(config.resource("notebooks").glob("[0-9]*.ipynb"))}


def declared(name: str) -> dict[str, Value]:
    """The parameters of a notebook with their defaults, read from its `parameters` cell without running it."""
    cells = json.loads(notebooks()[name].read_text(encoding="utf-8"))["cells"]
    source = next("".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", []))
    found: dict[str, Value] = {}
    for node in ast.parse(source).body:
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]  # type: ignore[attr-defined]
        found[target.id] = ast.literal_eval(node.value)  # type: ignore[attr-defined, union-attr]
    return found
