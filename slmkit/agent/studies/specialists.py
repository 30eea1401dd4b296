"""Lego or one piece: a router over two specialists, one small model for both domains, and the large one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from slmkit import stats
from slmkit.agent.decision import Ask, State
from slmkit.agent.routing.router import first_words
from slmkit.agent.studies.arms import Arms
from slmkit.agent.studies.compute import per_solved
from slmkit.agent.studies.deciders import ByDomain
from slmkit.agent.tasks import Task
from slmkit.models.base import Model

ROUTED, MULTI, LARGE = "router over two specialists", "one small for both", "large"


def learnt_domains(tasks: Sequence[Task]) -> Callable[[Sequence[Ask]], list[str]]:
    """A router that names the domain from the user's first words alone (TF-IDF, logistic), learnt on other tasks."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(max_iter=500))
    model.fit([task.turns[0].text for task in tasks], [task.domain for task in tasks])
    return lambda asks: [str(name) for name in model.predict([first_words(ask) for ask in asks])] if asks else []


def runs(arms: Arms, specialists: Mapping[str, Model], tasks: Sequence[Task], known: Sequence[Task]) -> pd.DataFrame:
    """A row a task and way; with the domain that the router picked (`picked`) and whether that was right."""
    pick = learnt_domains(known)
    rates = arms.price.rates
    for model in specialists.values():
        rates.setdefault(model.ref, rates[arms.small.ref])
    routed = arms.run(ROUTED, ByDomain(specialists, pick, **arms.options), tasks)
    texts = [Ask([{"role": "user", "content": task.turns[0].text}], [], State()) for task in tasks]
    picked = dict(zip([task.task_id for task in tasks], pick(texts), strict=True))
    parts = [routed, arms.run(MULTI, arms.alone(arms.small, "small"), tasks),
             arms.run(LARGE, arms.alone(arms.large, "large"), tasks)]  # fmt: skip
    table = pd.concat(parts, ignore_index=True)
    table["picked"] = table["task_id"].map(picked).where(table["arm"] == ROUTED, "")
    return table.assign(routed_right=table["picked"] == table["domain"])


def summary(table: pd.DataFrame, margin: float, n_resamples: int, rng: int = 0) -> pd.DataFrame:
    """The router against both rivals, over all and by domain.

    Columns group, rival, n, routed, other, difference, low, high, ruling; cost_ratio of USD per solved task with
    cost_low and cost_high; routing_errors, a share of the tasks.
    """
    rows = []
    for group in ["all", *table["domain"].unique()]:
        part = table if group == "all" else table[table["domain"] == group]
        routed = part[part["arm"] == ROUTED].set_index("task_id")
        for rival in (MULTI, LARGE):
            other = part[part["arm"] == rival].set_index("task_id").reindex(routed.index)
            if len(routed) < 2:
                continue
            found = stats.paired_difference(routed["reward"], other["reward"], None, margin, n_resamples, rng)
            money = np.c_[routed["usd"], routed["reward"], other["usd"], other["reward"]]
            cost = stats.bootstrap(money, per_solved, n_resamples=n_resamples, rng=rng)
            rows.append({
                "group": group, "rival": rival, "n": found.n, "routed": routed["reward"].mean(),
                "other": other["reward"].mean(), "difference": found.difference, "low": found.low, "high": found.high,
                "ruling": found.verdict, "cost_ratio": cost.estimate, "cost_low": cost.low, "cost_high": cost.high,
                "routing_errors": 1 - routed["routed_right"].mean(),
            })  # fmt: skip
    return pd.DataFrame(rows)
