"""The parameters of a notebook, read from its `parameters` cell without running it; and a run, as studies see it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any, Protocol

from slmkit import config

Value = bool | int | float | str | list


class Run(Protocol):
    """What the studies use of a notebook's run (`notebook.Run` is one)."""

    parameters: dict[str, Any]
    scale: config.Scale
    folder: Path
    seed: int
    live: bool

    def note(self, text: str) -> None:
        """Say something on the page and in the results."""


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
