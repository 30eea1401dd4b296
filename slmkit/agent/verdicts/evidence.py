"""What the rules of notebook 04 look at, and the words that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from slmkit import stats
from slmkit.agent.studies import mixed
from slmkit.judging import Claim, Finding

METHOD = "tasks of the world, paired by task, bootstrap over tasks; success: final database and required answers"


@dataclass(frozen=True, eq=False)
class Evidence:
    """The tables of notebook 04 by name, as it reads them back from CSV.

    `runs` (`mixed.runs` and `mixed.pre_call`, with the goal's writes), `code` (both agencies), `steps` (`forced.steps`
    of both models), `order` (`recovery.in_order`), `compute` (`compute.with_energy`), `specialists`
    (`specialists.runs`, empty without adapters), `attacks` (`exhibits.attacks`), `routers` (pairs of recorded
    outcomes). `slm` and `llm` are labels; `sparse` is the price of a sparse large model over that of the dense one.
    """

    claims: Iterable[Claim]
    tables: Mapping[str, pd.DataFrame]
    slm: str
    llm: str
    sparse: float = 1.0
    n_bootstrap: int = 2_000
    seed: int = 0

    def __getitem__(self, name: str) -> pd.DataFrame:
        """A table; of `runs` the tasks of the natural mix alone (`more` adds the long and the broken ones)."""
        table = self.tables[name]
        return table[~table["extra"].astype(bool)] if name == "runs" else table

    @property
    def more(self) -> pd.DataFrame:
        """`runs` with the tasks that were added because they are long, or because a tool breaks."""
        return self.tables["runs"]

    @property
    def resampling(self) -> dict[str, int]:
        return {"n_resamples": self.n_bootstrap, "rng": self.seed}

    @property
    def models(self) -> list[str]:
        return [self.slm, self.llm]

    def paired(self, a: str, b: str, margin: float | None, table: str = "runs") -> stats.PairedDifference:
        """Success of arm a minus that of arm b."""
        return mixed.paired(self[table], a, b, margin, **self.resampling)


def points(found: Any) -> dict[str, Any]:
    """Estimate, interval, unit and n of a difference in shares, in points."""
    interval = (100 * found.low, 100 * found.high)
    return {"estimate": 100 * found.difference, "interval": interval, "unit": "points", "n": int(found.n)}


def spelled(found: Any) -> str:
    """`-2.5 [-4.5, -0.5] points`."""
    return f"{100 * found.difference:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}] points"


def non_inferior(table: pd.DataFrame, margin: float) -> np.ndarray:
    """Which of several differences (difference, low, high) lose less than `margin`, after Holm."""
    return _surely(table, margin, +1)


def inferior(table: pd.DataFrame, margin: float) -> np.ndarray:
    """Which of several differences lose more than `margin`, after Holm."""
    return _surely(table, margin, -1)


def _surely(table: pd.DataFrame, margin: float, side: int) -> np.ndarray:
    if table.empty:
        return np.zeros(0, dtype=bool)
    error = np.maximum((table["high"] - table["low"]) / 2 / 1.96, 1e-12)
    distance = side * (table["difference"] + margin)
    p = np.minimum(1, 2 * ndtr(-distance / error))
    end = table["low"] > -margin if side > 0 else table["high"] < -margin
    return np.asarray(end & ((stats.holm(p) < 0.05) | (len(table) == 1)))


def undecided(why: str, e: Evidence) -> Finding:
    """No data to decide on: the interval holds every difference."""
    return Finding("inconclusive", rule=why, method=METHOD, estimate=0.0, interval=(-100.0, 100.0), unit="points",
                   models=e.models)  # fmt: skip


def listed(names: Iterable[Any]) -> str:
    """`a, b`, each once; `none` for nothing."""
    return ", ".join(dict.fromkeys(str(name) for name in names)) or "none"
