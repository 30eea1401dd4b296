"""Rules that the models run here decide, on our own suite, decoding free of a grammar."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from slmkit import stats
from slmkit.capability import evaluate
from slmkit.capability.verdicts.evidence import Evidence, listed, mean_of, measures, non_inferior, percent
from slmkit.capability.verdicts.outcomes import MARGIN, TINY_BN
from slmkit.judging import Finding, Rule, first_true

METHOD = "exact match of name and all arguments, greedy, no grammar, resampling unit: the item"
# Tasks of S4-11, with suite and category of each; what the run does not have leaves its task open. Items count
# where the schema is one that the models were tuned on, as the claim speaks of tuned models.
TASKS = {
    "tool calls": ("own", ""),
    "structured extraction": ("errands", "extract"),
    "template filling": ("errands", "fill"),
    "reasoning over the context": ("errands", "reason"),
}


def free(e: Evidence, suite: str = "own") -> pd.DataFrame:
    """The items of a suite that were answered without a grammar."""
    return e.items[(e.items.suite == suite) & ~e.items.constrained.astype(bool)]


def size_bn(reference: str) -> float:
    """Billions of parameters by a model's name (`mini-2m`, `Qwen/Qwen3-1.7B`); NaN where it has none."""
    found = re.search(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", reference.lower())
    return float(found[1]) / (1_000 if found[2] == "m" else 1) if found else np.nan


def paired(e: Evidence, suite: str = "own", category: str = "") -> pd.DataFrame:
    """Smaller minus larger model on calls of seen tools, or on an errand, as one row (difference, low, high, n)."""
    rows = free(e, suite)
    rows = rows[(rows.schema == "in") & (rows.wants != "no_call") & ((rows.category == category) | (not category))]
    if e.slm == e.llm or not {e.slm, e.llm} <= set(rows.model):
        return pd.DataFrame(columns=["n", "difference", "low", "high"])
    both = evaluate.paired(rows, e.slm, e.llm)
    found = stats.paired_difference(both.a, both.b, margin=MARGIN, **e.resampling)
    scores = {"score_small": both.a.mean(), "score_large": both.b.mean()}
    return pd.DataFrame([found._asdict() | scores])


def in_schema(e: Evidence) -> pd.DataFrame:
    """The pair run here where one model is under 2 bn and the other is not, as a row of `outcomes.pairs`."""
    if not (size_bn(e.slm) < TINY_BN <= size_bn(e.llm)):
        return pd.DataFrame()
    return paired(e).assign(small=e.slm, large=e.llm, schema="our own tools")


def decodable(e: Evidence) -> str:
    """Share of the calls of the models run here that could be read, in words."""
    calls = e.items[~e.items.constrained.astype(bool) & e.items.called.astype(bool)]
    read = (calls.error != "invalid_syntax").groupby(calls.model, sort=False).mean()
    shares = (f"{model} {100 * share:.1f} % of calls decodable" for model, share in read.items())
    return ", ".join(shares) or "no calls"


def tool_use_at_small_scale(e: Evidence) -> Finding:
    """S0-3: seen tools, unseen tools, and restraint, of the smallest model of the run."""
    rows = free(e)
    rows = rows[rows.model == e.slm]
    calls = rows[rows.wants == "call"]
    seen, unseen = (calls[calls.schema == schema] for schema in ("in", "out"))
    none_fits = rows[rows.wants == "no_call"]
    if min(len(part) for part in (seen, unseen, none_fits)) == 0:
        return _not_run("seen tools, unseen tools, and turns that no tool fits, by the smaller model")
    by_tools = {name: _share(part) for name, part in (("seen tools", seen), ("unseen tools", unseen))}
    by_tools["call or no call"] = _balanced_accuracy(pd.concat([calls, none_fits]), e)
    bars = {"seen tools": 80, "unseen tools": 50, "call or no call": 80}
    met = {name: 100 * found.low >= bars[name] for name, found in by_tools.items()}
    read = {name: f"{name} {percent(found)} for {bars[name]} %" for name, found in by_tools.items()}
    return Finding(
        first_true(
            holds=all(met.values()),
            conditional=met["seen tools"],
            fails=100 * by_tools["seen tools"].high < 80,
        ),
        rule="; ".join(read.values()),
        condition=f"{'; '.join(read[name] for name in met if met[name])}; not shown: "
        f"{'; '.join(read[name] for name in met if not met[name])}",
        method=f"{METHOD}; Wilson, and bootstrap for balanced accuracy over all own items",
        figure="figure-splits",
        unit="% of items, seen tools",
        models=[e.slm],
        **measures(by_tools["seen tools"], 100),
    )


def after_light_tuning(e: Evidence) -> Finding:
    """S4-11: smaller minus larger model on four tasks, of which those with a suite are run."""
    run = {task: paired(e, *where) for task, where in TASKS.items()}
    tests = pd.concat([row.assign(task=task) for task, row in run.items() if len(row)] or [pd.DataFrame()])
    if tests.empty:
        return _not_run("a larger model on the same own items")
    level = non_inferior(tests, MARGIN)
    whole = mean_of(tests)
    differences = tests.set_index("task").difference * 100
    open_tasks = [task for task in TASKS if task not in differences]
    return Finding(
        first_true(
            inconclusive=len(open_tasks) > 0,
            holds=bool(level.all()),
            conditional=bool(level.any()),
            fails=bool((tests.high < -MARGIN).all()),
        ),
        rule=f"{e.slm} minus {e.llm}, points: {listed(differences)}; without a suite: "
        f"{', '.join(open_tasks) or 'none'}",
        condition=f"non-inferior: {listed(differences[level])}; not: {listed(differences[~level])}; "
        f"sizes compared: {_named(e.slm)} and {_named(e.llm)}",
        method=f"{METHOD}; tools that the models were tuned on, paired difference, Holm over the tasks",
        figure="figure-difference",
        unit="points",
        models=[e.slm, e.llm],
        **measures(whole, 100),
    )


def _named(reference: str) -> str:
    size = size_bn(reference)
    return f"{reference} ({'size not in its name' if np.isnan(size) else f'{size:g} bn'})"


def _share(rows: pd.DataFrame) -> stats.Estimate:
    k, n = int(rows.correct.astype(bool).sum()), len(rows)
    return stats.Estimate(k / n, *stats.wilson(k, n), n)


def _balanced_accuracy(rows: pd.DataFrame, e: Evidence) -> stats.Estimate:
    """Mean of the shares right among turns that want a call, and none; a failed item is wrong."""
    wanted = (rows.wants == "call").to_numpy()
    right = (rows.called.astype(bool).to_numpy() == wanted) & rows.failed.isna().to_numpy()

    def balanced(drawn: np.ndarray) -> float:
        called, correct = drawn[:, 0] > 0, drawn[:, 1]
        if called.all() or not called.any():
            return np.nan
        return (correct[called].mean() + correct[~called].mean()) / 2

    return stats.bootstrap(np.c_[wanted, right], balanced, **e.resampling)


def _not_run(missing: str) -> Finding:
    return Finding("not_testable", rule=f"not run: {missing}", method=METHOD, figure="figure-tasks")


RULES: dict[str, Rule] = {"S0-3": tool_use_at_small_scale, "S4-11": after_light_tuning}
