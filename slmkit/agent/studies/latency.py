"""How long one call takes when it is asked alone, and what a cascade makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from slmkit.agent.decision import Ask
from slmkit.models.base import Model

QUANTILES = (0.5, 0.95)


def timed(
    asks: Sequence[Ask], escalated: Sequence[bool], small: Model, large: Model, max_tokens: int = 100
) -> pd.DataFrame:
    """Seconds of single calls, one after the other: a row a question and arm (small, large, cascade).

    A cascade that asks the large model takes the time of both. `small` and `large` must be the bare models, not ones
    that answer from a file. The first question warms up and is not counted.
    """
    rows = []
    for place, ask in enumerate([asks[0], *asks]) if asks else ():
        seconds = {
            role: model.chat(ask.messages, ask.tools, max_tokens=max_tokens).latency_s or 0.0
            for role, model in (("small", small), ("large", large))
        }
        if place:
            both = seconds["small"] + (seconds["large"] if escalated[place - 1] else 0.0)
            for arm, value in (*seconds.items(), ("cascade", both)):
                rows.append({"arm": arm, "question": place - 1, "seconds": value})
    return pd.DataFrame(rows, columns=["arm", "question", "seconds"])


def quantiles(table: pd.DataFrame) -> pd.DataFrame:
    """Median and 95th percentile of each arm, seconds: arm, n, p50, p95."""
    rows = []
    for arm, part in table.groupby("arm", sort=False):
        p50, p95 = part["seconds"].quantile(list(QUANTILES))
        rows.append({"arm": arm, "n": len(part), "p50": p50, "p95": p95})
    return pd.DataFrame(rows)
