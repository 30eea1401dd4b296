"""The live part of notebook 01: two models on the suites that are at hand, and the tables its figures need."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from slmkit import config, models, stats
from slmkit.capability import evaluate, suites
from slmkit.capability.scoring import ERRORS
from slmkit.errors import InputError
from slmkit.parameters import Run


def _data(run: Run) -> Path | None:
    return Path(run.parameters["data"]) if run.parameters["data"] else None


def _models(run: Run) -> list[str]:
    return list(dict.fromkeys([run.parameters["slm"], run.parameters["llm"]]))


def present(run: Run) -> list[str]:
    """The suites asked for that can be run now; each one left out is noted with the command that gets it."""
    found = []
    asked = run.parameters["suites"]
    for spec in suites.names() if "all" in asked else asked:
        suite, _ = suites.resolve(spec)
        if suites.generated(suite) or config.has_dataset(suite, _data(run)):
            found.append(spec)
        elif run.live:
            run.note(f"Suite `{suite}` is left out, its data is not at hand: `slmkit data pull {suite}` gets it.")
    return found


def preview(names: Sequence[str], run: Run) -> pd.DataFrame:
    """One item of each suite: where it is from, what is asked, which tools are on offer, what is right."""
    rows = []
    for spec in names:
        item = suites.load(spec, _data(run), limit=1, seed=run.seed)[0]
        rows.append(
            {
                "suite": item.suite,
                "licence": suites.licence(item.suite),
                "metric": suites.metric(item.suite),
                "asked": str(item.messages[-1]["content"])[:160],
                "tools": ", ".join(tool["function"]["name"] for tool in item.tools)[:80],
                "right": json.dumps(item.gold, ensure_ascii=False)[:120] if item.gold else item.wants,
            }
        )
    return pd.DataFrame(rows)


def plan(names: Sequence[str], run: Run) -> pd.DataFrame:
    """Before the run: items a category, what they can detect, about how many seconds they take."""
    parameters = run.parameters
    rows = evaluate.plan(
        _models(run), names, data=_data(run), limit=limit(names, run), seed=run.seed, margin=parameters["margin"],
        cache=run.folder / "calls", max_tokens=run.scale.max_tokens,
    )  # fmt: skip
    return pd.DataFrame(rows)


def limit(names: Sequence[str], run: Run) -> dict[str, int]:
    """Items a category of each suite: the parameter, or as the scale says; 0 for all."""
    own, others = run.parameters["n_items"] or run.scale.n_own, run.parameters["n_items"] or run.scale.n_items
    return {spec: own if suites.generated(spec.split("/")[0]) else others for spec in names}


def measure(names: Sequence[str], run: Run) -> pd.DataFrame:
    """A row for each model, item and decoding (free, and with the grammar of the offered tools)."""
    where = {
        "data": _data(run), "limit": limit(names, run), "seed": run.seed, "cache": run.folder / "calls",
        "max_tokens": run.scale.max_tokens,
    }  # fmt: skip
    tables = [evaluate.evaluate(_models(run), names, constrained=form, **where) for form in (False, True)]
    return pd.concat(tables, ignore_index=True)


def task(suite: str, category: str) -> str:
    """The row of a figure that a category belongs to: our own categories alone, the benchmarks by kind."""
    if suite in ("own", "errands"):
        return f"{suite} / {category.replace('_', ' ')}"
    if suite != "bfcl":
        return suite
    kind = "no call" if "irrelevance" in category else "live" if category.startswith("live") else "non-live"
    return f"bfcl / {kind}"


def _free(items: pd.DataFrame) -> pd.DataFrame:
    names = [task(suite, category) for suite, category in zip(items["suite"], items["category"], strict=True)]
    return items.assign(task=names)[~items["constrained"]]


def scores(items: pd.DataFrame) -> pd.DataFrame:
    """Share right by model and task with its interval, free decoding."""
    return pd.DataFrame(evaluate.summary(_free(items), by=("task",)))


def differences(items: pd.DataFrame, run: Run) -> pd.DataFrame:
    """Paired difference of small minus large by task, free decoding. InputError where both are one model."""
    small, large = run.parameters["slm"], run.parameters["llm"]
    if small == large:
        raise InputError(f"slm and llm are both {small!r}; name two models to compare")
    rows = evaluate.compare(
        _free(items), small, [large], run.parameters["margin"], ("task",), run.scale.n_bootstrap, run.seed
    )
    return pd.DataFrame(rows)


def subtitle(items: pd.DataFrame, run: Run) -> str:
    """What a live figure was measured on: items, scale."""
    n = items[["suite", "category", "id"]].drop_duplicates().shape[0]
    return f"n = {n:,} items, scale {run.scale.name}, 95 % intervals"


def splits(items: pd.DataFrame) -> pd.DataFrame:
    """Scores by what the model was trained on (in schema, out of it) and by the right decision (call, no call)."""
    free = items[~items["constrained"]]
    decision = {"call": "call wanted", "any_call": "call wanted", "no_call": "no call wanted"}
    schema = free["schema"].map({"in": "tools seen in training", "out": "tools never seen"})
    wanted = free["wants"].map(decision)
    tables = []
    for split, labels in (("schema", schema.where(wanted == "call wanted")), ("decision", wanted)):
        rows = evaluate.summary(free.assign(group=labels).dropna(subset="group"), by=("group",))
        tables.append(pd.DataFrame(rows).assign(split=split))
    return pd.concat(tables, ignore_index=True)


def errors(items: pd.DataFrame) -> pd.DataFrame:
    """What became of the items of each model and decoding: share of right ones and of each kind of miss."""
    kind = items["error"].where(items["failed"].isna(), "failed").where(~items["correct"], "right")
    counted = items.assign(outcome=kind).groupby(["model", "constrained", "outcome"]).size().rename("k").reset_index()
    counted["n"] = counted.groupby(["model", "constrained"])["k"].transform("sum")
    counted["share"] = counted["k"] / counted["n"]
    counted["decoding"] = counted["constrained"].map({True: "grammar", False: "free"})
    counted["place"] = counted["outcome"].map({name: i for i, name in enumerate(("right", *ERRORS, "failed"))})
    return counted.sort_values(["place", "model", "constrained"]).drop(columns="place").reset_index(drop=True)


def speed(items: pd.DataFrame) -> pd.DataFrame:
    """Per model and decoding: completion tokens a second over the run, latency and time to first token (medians, s)."""
    rows = []
    for (model, constrained), group in items[items["failed"].isna()].groupby(["model", "constrained"], sort=False):
        timed = group.dropna(subset="seconds")
        seconds = timed["seconds"].sum()
        rows.append(
            {
                "model": model,
                "constrained": constrained,
                "n": len(timed),
                "tokens_per_s": timed["completion_tokens"].sum() / seconds if seconds else None,
                "calls_per_s": len(timed) / seconds if seconds else None,
                "latency_p50_s": group["latency_s"].median(),
                "latency_p95_s": group["latency_s"].quantile(0.95),
                "ttft_p50_s": group["ttft_s"].median(),
            }
        )
    return pd.DataFrame(rows)


def grammar(items: pd.DataFrame, run: Run) -> pd.DataFrame:
    """What the grammar changes: paired difference of constrained minus free, by model and schema."""
    rows = []
    for (model, schema), group in items.groupby(["model", "schema"], sort=False):
        wide = group.pivot_table(index=["suite", "category", "id"], columns="constrained", values="correct").dropna()
        found = stats.paired_difference(
            wide[True].astype(float), wide[False].astype(float), n_resamples=run.scale.n_bootstrap, rng=run.seed
        )
        rows.append(
            {"model": model, "schema": schema, "n": found.n, "difference": found.difference,
             "low": found.low, "high": found.high}
        )  # fmt: skip
    return pd.DataFrame(rows)


def profile(run: Run) -> pd.DataFrame:
    """Where the time of each model in process goes: the rows of `models.profiling.profile`, with the model.

    Asked are calls of seen tools of our own suite; empty where no model runs in this process.
    """
    from slmkit.models.local import LocalModel
    from slmkit.models.profiling import profile as profiled

    items = suites.load("own/seen", limit=run.scale.n_own, seed=run.seed)
    requests = [models.Request(item.messages, item.tools) for item in items]
    tables = []
    for ref in _models(run):
        if isinstance(model := models.load(ref), LocalModel):
            table = profiled(model, requests, max_tokens=64)
            tables.append(table.reset_index().assign(model=ref, n=len(requests), **table.attrs))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["model", "part", "share"])
