"""The experiments of notebook 03: each takes the `Lab` and gives a tidy table, a row an item, a run or an arm."""

from __future__ import annotations

from slmkit.specialization.studies import (
    anatomy,
    believable,
    change,
    findings,
    generality,
    ladder,
    points,
    price,
    scratch,
    ways,
)
from slmkit.specialization.studies.lab import Lab, short

__all__ = [
    "Lab",
    "anatomy",
    "believable",
    "change",
    "findings",
    "generality",
    "ladder",
    "points",
    "price",
    "scratch",
    "short",
    "ways",
]
