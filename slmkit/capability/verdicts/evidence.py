"""What the rules of notebook 01 look at, and the words and tests that they share."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from slmkit import stats
from slmkit.capability import audit, published, trends
from slmkit.judging import Claim

CAVEAT = "published scores of one harness and day"


@dataclass(frozen=True, eq=False)
class Evidence:
    """The tables that notebook 01 holds, as it reads them back from CSV.

    `claims`: the ledger rows to judge, `claims.owned_by("01_capability")`. `facts`: `published.load()`.
    `items`: `evaluate.evaluate` of `slm` (the smaller) and `llm`. `pairs` and `needs`: what
    `outcomes.pairs` and `outcomes.needs` of this folder made of the BFCL v1 outcomes. `specialised`: interval
    of tuned small minus large in the small one's own field, in points, from notebook 03; None before it ran.
    """

    claims: Iterable[Claim]
    facts: pd.DataFrame
    items: pd.DataFrame
    slm: str
    llm: str
    pairs: pd.DataFrame
    needs: pd.DataFrame
    n_bootstrap: int = 2_000
    seed: int = 0
    specialised: tuple[float, float] | None = None

    @property
    def resampling(self) -> dict[str, int]:
        """How intervals are drawn: the keyword arguments of `stats.bootstrap`."""
        return {"n_resamples": self.n_bootstrap, "rng": self.seed}

    @functools.cached_property
    def board(self) -> pd.DataFrame:
        """BFCL V4, one row a model."""
        return published.board(self.facts)

    @functools.cached_property
    def gaps(self) -> pd.DataFrame:
        """Best small minus best large model of V4 by column (the index), in points."""
        return trends.best_gaps(self.board, **self.resampling).set_index("column")

    @functools.cached_property
    def audit(self) -> pd.DataFrame:
        """The details of the citation audit."""
        return audit.citation_audit(self.facts)


def measures(found: Any, scale: float = 1) -> dict[str, Any]:
    """Estimate, interval and n of anything that has `estimate` (or `difference`), `low`, `high`, `n`."""
    middle = found.difference if hasattr(found, "difference") else found.estimate
    low, high = float(found.low) * scale, float(found.high) * scale
    return {"estimate": float(middle) * scale, "interval": (low, high), "n": int(found.n)}


def mean_of(tests: pd.DataFrame) -> stats.Estimate:
    """Mean over independent tests (columns difference, low, high, n), their errors added in squares."""
    mean, k = tests.difference.mean(), len(tests)
    down, up = (np.sqrt(((tests[end] - tests.difference) ** 2).sum()) / k for end in ("low", "high"))
    return stats.Estimate(float(mean), float(mean - down), float(mean + up), int(tests.n.sum()))


def non_inferior(tests: pd.DataFrame, margin: float) -> np.ndarray:
    """Which of several differences (columns difference, low, high) lose less than `margin`, after Holm.

    p-values come from the width of the interval; one test alone decides as its interval does.
    """
    if tests.empty:
        return np.zeros(0, dtype=bool)
    error = np.maximum((tests.high - tests.low) / 2 / 1.96, 1e-12)
    p = np.minimum(1, 2 * ndtr(-(tests.difference + margin) / error))
    return np.asarray((tests.low > -margin) & ((stats.holm(p) < 0.05) | (len(tests) == 1)))


def spelled(found: Any, unit: str = "points", scale: float = 1) -> str:
    """`-2.5 [-4.5, -0.5] points`."""
    read = measures(found, scale)
    return f"{read['estimate']:+.1f} [{read['interval'][0]:+.1f}, {read['interval'][1]:+.1f}] {unit}".strip()


def percent(share: Any) -> str:
    """`5.1 % [3.8, 6.8]` of a share."""
    return f"{100 * share.estimate:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def listed(values: Mapping[str, float] | pd.Series) -> str:
    """`web search (-57.5), memory (-37.0)`; `none` for nothing."""
    return ", ".join(f"{name} ({value:+.1f})" for name, value in values.items()) or "none"
