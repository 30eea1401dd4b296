"""What a command prints for people and writes for machines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a table; numbers to the right, floats to three digits."""
    from rich.console import Console
    from rich.table import Table

    names = list(rows[0]) if rows else []
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        numeric = any(isinstance(row[name], int | float) and not isinstance(row[name], bool) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[name]) for name in names))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def save(value: Any, path: Path | None) -> None:
    """Write a result as JSON where the user asked for it."""
    if path:
        from slmkit.files import write_json

        write_json(path, value)
