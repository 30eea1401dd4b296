"""What the rules of notebook 02 look at, what they answer, and the words that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from slmkit.judging import Claim

SLM, LLM = "Llama-3.1-8B", "Llama-3.1-70B"  # the pair that the claims speak of: 8 bn against dense 70 bn
NEVER = 1e13  # what stands for "never" where a number must be finite


@dataclass(frozen=True, eq=False)
class Evidence:
    """The tables of notebook 02 by name, as it reads them back from CSV, for the claims' own pair of models.

    `saturated`, `map`, `needed` (`studies.serving`); `grid` (`studies.workloads`); `uses` (`studies.uses`); `shared`,
    `fixed`, `payback`, `load` (`studies.operation`); `list`, `trends`, `chips` (`studies.prices`); `pairs`
    (`studies.published`); `fit_map` (`edge`); `share` (`studies.tables.share`); `activation`
    (`studies.activation.compare`); `here` (`studies.tables.measured_here`), which no rule decides by.
    """

    claims: Iterable[Claim]
    tables: Mapping[str, pd.DataFrame]
    gpu: str = "H100-SXM"
    n_bootstrap: int = 2_000
    seed: int = 0

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.tables[name]


def within(low: float, high: float, floor: float, ceiling: float) -> bool:
    """Whether a whole interval lies within two bounds."""
    return bool(floor <= low and high <= ceiling)


def measures(estimate: float, low: float, high: float, n: int, unit: str, scale: float = 1) -> dict[str, Any]:
    """Fields of a finding from a number and its interval; what is infinite is cut at `NEVER`."""
    values = [float(np.clip(value * scale, -NEVER, NEVER)) for value in (estimate, low, high)]
    return {"estimate": values[0], "interval": (values[1], values[2]), "n": int(n), "unit": unit}


def spelled(estimate: float, low: float, high: float, unit: str = "") -> str:
    """`6.1 [4.2, 8.8] bn`."""
    return f"{estimate:.3g} [{low:.3g}, {high:.3g}] {unit}".strip()


def listed(values: Mapping[str, float] | pd.Series, form: str = "{:.3g}") -> str:
    """`H100 (6.1), H200 (5.2)`; `none` for nothing."""
    return ", ".join(f"{name} ({form.format(value)})" for name, value in values.items()) or "none"


def named(names: Iterable[Any]) -> str:
    """`a, b`, each once; `none` for nothing."""
    return ", ".join(dict.fromkeys(str(name) for name in names)) or "none"
