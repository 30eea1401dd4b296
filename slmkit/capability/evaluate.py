"""Models times suites to one tidy table: a row for each item and model, failed ones included."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slmkit import config, models, stats
from slmkit.capability import suites
from slmkit.capability.suites.items import Item
from slmkit.errors import InputError
from slmkit.records import Reply

PROBE_ITEMS = 8  # items that are run to estimate the time of the rest; recorded, so not paid for twice
MAX_TOKENS = config.scale("full").max_tokens  # of a reply

Limit = int | Mapping[str, int]


def _model(ref: str, cache: Path | None, options: dict[str, Any]) -> models.Model:
    """The model, with its calls kept in a file of the cache folder when there is one."""
    model = models.load(ref, **options)
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", ref)
    return models.record(model, cache / f"{name}.jsonl") if cache else model


def _load(names: Sequence[str], data: Path | None, limit: Limit, seed: int) -> list[Item]:
    """Items in the order asked for, each once."""
    sizes = limit if isinstance(limit, Mapping) else dict.fromkeys(names, limit)
    items = (item for name in names for item in suites.load(name, data, sizes[name], seed))
    return list({(item.suite, item.category, item.id): item for item in items}.values())


def _fresh(model: models.Model, requests: Sequence[models.Request], asked: dict[str, Any]) -> list[bool]:
    """Which requests the model will really be asked, and not its cache."""
    return [not (isinstance(model, models.Recorded) and model.has(request, **asked)) for request in requests]


def _row(model: str, constrained: bool, item: Item, reply: Reply, seconds: float) -> dict[str, Any]:
    score = suites.score(item, reply) if reply.error is None else None
    return {
        "model": model,
        "suite": item.suite,
        "category": item.category,
        "id": item.id,
        "schema": suites.schema(item.suite, item.category),
        "wants": item.wants,
        "constrained": constrained,
        "correct": bool(score and score.correct),
        "error": score.error if score else None,
        "failed": reply.error,
        "called": bool(reply.tool_calls or reply.malformed),
        "prompt_tokens": reply.usage.prompt,
        "completion_tokens": reply.usage.completion,
        "ttft_s": reply.ttft_s,
        "latency_s": reply.latency_s,
        "logprob": reply.logprob,
        "seconds": seconds,
    }


def evaluate(
    model_refs: Sequence[str],
    suite_names: Sequence[str],
    *,
    data: Path | None = None,
    limit: Limit = 0,
    constrained: bool = False,
    seed: int = 0,
    cache: Path | None = None,
    max_tokens: int = MAX_TOKENS,
    **options: Any,
) -> pd.DataFrame:
    """Ask every model every item; `limit` items a category (0: all), or one such number for each suite name.

    Columns: model, suite, category, id, schema (`in` or `out` of what the minis were trained on), wants,
    constrained, correct, error (kind of miss), failed (why there is no answer; counts as wrong), called,
    prompt_tokens, completion_tokens, ttft_s, latency_s, logprob (nats), seconds (wall time of the model's run, shared
    out evenly; missing for a call taken from the cache). `options` go to `models.load`.
    """
    items = _load(suite_names, data, limit, seed)
    requests = [models.Request(item.messages, item.tools, item.schema) for item in items]
    asked = {"constrained": constrained, "max_tokens": max_tokens}
    rows: list[dict[str, Any]] = []
    for ref in model_refs:
        model = _model(ref, cache, options)
        fresh = _fresh(model, requests, asked)
        start = time.perf_counter()
        replies = model.chat_many(requests, **asked)
        share = (time.perf_counter() - start) / max(1, sum(fresh))
        rows += [
            _row(ref, constrained, item, reply, share if new else np.nan)
            for item, reply, new in zip(items, replies, fresh, strict=True)
        ]
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame, by: Sequence[str] = ("suite", "category")) -> list[dict[str, Any]]:
    """One row a model and group: share correct with its Wilson interval; a failed item counts as wrong.

    `tokens_per_s` is completion tokens over wall time of the model's run (one figure for all groups, since batches mix
    them), None where all came from the cache. Shares are fractions.
    """
    rows = []
    timed = table.dropna(subset="seconds").groupby(["model", "constrained"])
    speed = (timed["completion_tokens"].sum() / timed["seconds"].sum()).to_dict()
    for keys, group in table.groupby(["model", *by, "constrained"], sort=False):
        n, k = len(group), int(group["correct"].sum())
        low, high = stats.wilson(k, n)
        rows.append(
            {
                **dict(zip(["model", *by, "constrained"], keys, strict=True)),
                "metric": ", ".join(sorted({suites.metric(s) for s in group["suite"].unique()})),
                "n": n,
                "n_failed": int(group["failed"].notna().sum()),
                "estimate": k / n,
                "low": low,
                "high": high,
                "tokens_per_s": speed.get((keys[0], keys[-1])),
            }
        )
    return rows


def paired(table: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """Items that both models were asked, one row each with columns `a` and `b` (1.0 where right).

    Raises InputError when they have none in common.
    """
    keys = ["suite", "category", "id", "schema", "wants", *(["task"] if "task" in table else [])]
    wide = table.pivot_table(index=keys, columns="model", values="correct", aggfunc="first", observed=True)
    wide = wide.reindex(columns=[a, b]).dropna().astype(float)
    if wide.empty:
        raise InputError(f"{a} and {b} have no item in common; evaluate both on the same suites")
    return wide.set_axis(["a", "b"], axis=1).reset_index()


def compare(
    table: pd.DataFrame,
    small: str,
    others: Iterable[str],
    margin: float = 0.05,
    by: Sequence[str] = ("suite", "category"),
    n_resamples: int = 2_000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Paired difference small - other by group: interval, margin, verdict, and the items that would settle it."""
    rows = []
    for other in others:
        for keys, group in paired(table, small, other).groupby(list(by), sort=False):
            found = stats.paired_difference(group["a"], group["b"], margin=margin, n_resamples=n_resamples, rng=seed)
            rows.append(
                {
                    "small": small,
                    "large": other,
                    **dict(zip(by, keys, strict=True)),
                    "n": found.n,
                    "difference": found.difference,
                    "low": found.low,
                    "high": found.high,
                    "margin": margin,
                    "verdict": found.verdict,
                    "n_to_settle": found.n_to_settle,
                }
            )
    return rows


def plan(
    model_refs: Sequence[str],
    suite_names: Sequence[str],
    *,
    data: Path | None = None,
    limit: Limit = 0,
    constrained: bool = False,
    seed: int = 0,
    margin: float = 0.05,
    cache: Path | None = None,
    max_tokens: int = MAX_TOKENS,
    **options: Any,
) -> list[dict[str, Any]]:
    """Before a run: items a category, the smallest difference it could detect, and about how long it takes.

    `detectable` is the paired difference found with 80 % power if the models disagree on a fifth of the items.
    `seconds` scales the time of `PROBE_ITEMS` items, so it is an upper estimate where larger batches are faster.
    """
    items = _load(suite_names, data, limit, seed)
    requests = [models.Request(item.messages, item.tools, item.schema) for item in items]
    asked = {"constrained": constrained, "max_tokens": max_tokens}
    seconds = np.zeros(len(items))
    for ref in model_refs:
        model = _model(ref, cache, options)
        left = np.flatnonzero(_fresh(model, requests, asked))
        probe = left[:: max(1, len(left) // PROBE_ITEMS)][:PROBE_ITEMS]
        start = time.perf_counter()
        model.chat_many([requests[index] for index in probe], description=f"{ref} probe", **asked)
        seconds[np.setdiff1d(left, probe)] += (time.perf_counter() - start) / max(1, len(probe))
    table = pd.DataFrame({"suite": [i.suite for i in items], "category": [i.category for i in items], "s": seconds})
    rows = []
    for (suite, category), group in table.groupby(["suite", "category"], sort=False):
        detectable = stats.minimum_detectable_difference(len(group), discordance=0.2)
        rows.append(
            {
                "suite": suite,
                "category": category,
                "n": len(group),
                "detectable": detectable,
                "margin": margin,
                "can_settle": detectable <= margin,
                "seconds": round(group["s"].sum(), 1),
            }
        )
    return rows
