"""Models times suites to one tidy table: a row for each item and model, failed ones included."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slmkit import models, stats
from slmkit.capability import suites
from slmkit.capability.suites.items import Item
from slmkit.errors import InputError
from slmkit.records import Reply

PROBE_ITEMS = 4  # items that are run to estimate the time of the rest; recorded, so not paid for twice


def _recorded(ref: str, cache: Path | None, options: dict[str, Any]) -> Any:
    """The model, with its calls kept in a file of the cache folder when there is one."""
    model = models.load(ref, **options)
    if cache is None:
        return model
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", ref)
    return models.Recorded(model, cache / f"{name}.jsonl")


def _load(names: Sequence[str], data: Path | None, limit: int, seed: int) -> list[list[Item]]:
    """Items by suite and category, in the order asked for, each category once."""
    items = {(i.suite, i.category, i.id): i for name in names for i in suites.load(name, data, limit, seed)}
    return [list(group) for _, group in groupby(items.values(), key=lambda i: (i.suite, i.category))]


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
    limit: int = 0,
    constrained: bool = False,
    seed: int = 0,
    cache: Path | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Ask every model every item; `limit` items a category (0: all), the same ones for each model.

    Columns: model, suite, category, id, schema (`in` or `out` of what the model was trained on, as far as known),
    wants, constrained, correct, error (kind of miss), failed (why there is no answer; counts as wrong), called,
    prompt_tokens, completion_tokens, ttft_s, latency_s, logprob (nats), seconds (share of the wall time of its
    batch run; NaN for a call taken from the cache). `options` go to `models.load`.
    """
    groups = _load(suite_names, data, limit, seed)
    rows: list[dict[str, Any]] = []
    for ref in model_refs:
        model = _recorded(ref, cache, options)
        for group in groups:
            requests = [models.Request(item.messages, item.tools) for item in group]
            fresh = [not (cache and model.has(request, constrained=constrained)) for request in requests]
            start = time.perf_counter()
            label = f"{ref} {group[0].suite}/{group[0].category}"
            replies = model.chat_many(requests, constrained=constrained, description=label)
            share = (time.perf_counter() - start) / max(1, sum(fresh))
            for item, reply, new in zip(group, replies, fresh, strict=True):
                rows.append(_row(ref, constrained, item, reply, share if new else np.nan))
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame, by: Sequence[str] = ("suite", "category")) -> list[dict[str, Any]]:
    """One row a model and group: share correct with its Wilson interval; a failed item counts as wrong.

    `tokens_per_s` is completion tokens over wall time of the items that were run now, None where all came from the
    cache. Shares are fractions.
    """
    rows = []
    for keys, group in table.groupby(["model", *by, "constrained"], sort=False):
        n, k = len(group), int(group["correct"].sum())
        low, high = stats.wilson(k, n)
        timed = group.dropna(subset="seconds")
        seconds = timed["seconds"].sum()
        rows.append(
            {
                **dict(zip(["model", *by, "constrained"], keys, strict=True)),
                "metric": " ".join(sorted({suites.metric(s) for s in group["suite"].unique()})),
                "n": n,
                "n_failed": int(group["failed"].notna().sum()),
                "estimate": k / n,
                "low": low,
                "high": high,
                "tokens_per_s": float(timed["completion_tokens"].sum() / seconds) if seconds else None,
            }
        )
    return rows


def paired(table: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """Items that both models were asked, one row each with columns `a` and `b` (1.0 where right).

    Raises InputError when they have none in common.
    """
    keys = ["suite", "category", "id", "schema", "wants"]
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
            found = stats.paired_difference(
                group["a"], group["b"], margin=margin, n_resamples=n_resamples, rng=seed
            )
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
    limit: int = 0,
    constrained: bool = False,
    seed: int = 0,
    margin: float = 0.05,
    cache: Path | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """Before a run: items a category, the smallest difference it could detect, and about how long it takes.

    `detectable` is the paired difference found with 80 % power if the models disagree on a fifth of the items.
    `seconds` scales the time of the first few items (`PROBE_ITEMS` a category), so it is an upper estimate where
    larger batches are faster.
    """
    groups = _load(suite_names, data, limit, seed)
    loaded = [_recorded(ref, cache, options) for ref in model_refs]
    rows = []
    for group in groups:
        requests = [models.Request(item.messages, item.tools) for item in group]
        seconds = 0.0
        for model in loaded:
            left = [r for r in requests if not (cache and model.has(r, constrained=constrained))]
            start = time.perf_counter()
            model.chat_many(left[:PROBE_ITEMS], constrained=constrained, description="probe")
            seconds += (time.perf_counter() - start) / max(1, len(left[:PROBE_ITEMS])) * len(left[PROBE_ITEMS:])
        detectable = stats.minimum_detectable_difference(len(group), discordance=0.2)
        rows.append(
            {
                "suite": group[0].suite,
                "category": group[0].category,
                "n": len(group),
                "detectable": detectable,
                "margin": margin,
                "can_settle": detectable <= margin,
                "seconds": round(seconds, 1),
            }
        )
    return rows
