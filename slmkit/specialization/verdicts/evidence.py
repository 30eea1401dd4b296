"""What the rules of notebook 03 look at, and the tests and words that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from slmkit import stats
from slmkit.judging import Claim
from slmkit.specialization.studies import ladder
from slmkit.specialization.studies.lab import short

MARGIN = 0.03  # the ledger's, in shares; no parameter of a run moves it
SEEDS = 3  # that the ledger asks for
METHOD = "exact match of name and all arguments, greedy, no grammar, test phrasings apart; paired by item"


@dataclass(frozen=True, eq=False)
class Evidence:
    """The tables of notebook 03 by name, as it reads them back from CSV, and what was run.

    `tables`: ladder, curve, ranks, generality, change, forms, ways, sizes, scratch (items), trainings, serving,
    projection. `share` is the default share of general data.
    """

    claims: Iterable[Claim]
    tables: Mapping[str, pd.DataFrame]
    base: str
    llm: str
    share: float
    n_bootstrap: int = 2_000
    seed: int = 0

    @property
    def models(self) -> list[str]:
        """The small and the larger model."""
        return [self.base, self.llm]

    @property
    def tuned(self) -> str:
        """The specialist's name in the tables."""
        return f"{short(self.base)} + LoRA"

    def difference(
        self, a: pd.DataFrame, b: pd.DataFrame, margin: float | None = None, column: str = "correct"
    ) -> stats.PairedDifference:
        """Mean of a minus b by item, seeds and items both in the interval."""
        return ladder.difference(a, b, margin, self.n_bootstrap, self.seed, column)

    def arm(self, table: str, name: str, set_name: str = ladder.TASK) -> pd.DataFrame:
        """The items of an arm in a table."""
        return ladder.arm(self.tables[table], name, set_name)


def measures(found: Any, scale: float = 100) -> dict[str, Any]:
    """Estimate, interval and n of anything with `estimate` or `difference`, `low`, `high`, `n`; shares to points."""
    middle = found.difference if hasattr(found, "difference") else found.estimate
    low, high = float(found.low) * scale, float(found.high) * scale
    return {"estimate": float(middle) * scale, "interval": (low, high), "n": int(found.n)}


def points(found: Any) -> str:
    """`+12.0 [+8.1, +15.9] points`."""
    read = measures(found)
    return f"{read['estimate']:+.1f} [{read['interval'][0]:+.1f}, {read['interval'][1]:+.1f}] points"


def apart(a: pd.DataFrame, b: pd.DataFrame, column: str = "correct") -> stats.PairedDifference:
    """Share of `a` minus share of `b` over different items (Newcombe 1998, hybrid score interval)."""
    (k, n), (j, m) = ((int(part[column].sum()), len(part)) for part in (a, b))
    p, q = k / n, j / m
    (low_p, high_p), (low_q, high_q) = stats.wilson(k, n), stats.wilson(j, m)
    low = p - q - float(np.hypot(p - low_p, high_q - q))
    high = p - q + float(np.hypot(high_p - p, q - low_q))
    return stats.PairedDifference(n, p - q, low, high, None, None, None, None)


def above(tests: Mapping[str, Any], bound: float = 0.0) -> dict[str, bool]:
    """Which of several differences lie above `bound`, after Holm; one alone decides as its interval does.

    p-values come from the width of the interval.
    """
    if not tests:
        return {}
    found = list(tests.values())
    error = [max((one.high - one.low) / 2 / 1.96, 1e-12) for one in found]
    p = stats.holm([float(ndtr(-(one.difference - bound) / e)) for one, e in zip(found, error, strict=True)])
    sure = [one.low > bound and (value < 0.05 or len(found) == 1) for one, value in zip(found, p, strict=True)]
    return dict(zip(tests, sure, strict=True))


def below(tests: Mapping[str, Any], bound: float = 0.0) -> dict[str, bool]:
    """Which of several differences lie below `bound`, after Holm."""
    turned = {
        name: one._replace(difference=-one.difference, low=-one.high, high=-one.low) for name, one in tests.items()
    }
    return above(turned, -bound)
