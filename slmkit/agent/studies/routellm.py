"""Routing on recorded outcomes of real models: MMLU and GSM8K of RouteLLM, Mixtral-8x7B and GPT-4, item by item."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slmkit import config
from slmkit.agent.routing import router, tradeoff
from slmkit.agent.studies.bfcl_v1 import judged
from slmkit.errors import InputError

WEAK, STRONG = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
SETS = {"mmlu": "MMLU", "gsm8k": "GSM8K"}
ROUTERS = {"text": "text router", "subject_gap": "by subject", "length": "by length", "random": "random",
           "oracle": "oracle"}  # fmt: skip


def load(data: str | Path | None = None, limit: int = 0, seed: int = 0) -> pd.DataFrame:
    """Items with columns set, subject, prompt, small, large (bool); `limit` draws so many of each set, 0 takes all.

    Raises InputError where the data set is absent or a file lacks a column.
    """
    tables = []
    for path in sorted(config.dataset("routellm", data).glob("*.csv*")):
        name = path.name.split(".")[0]
        which, _, subject = name.partition("_")
        try:
            table = pd.read_csv(path)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path}: cannot be read ({error}); get the file again") from None
        if missing := {"prompt", WEAK, STRONG} - set(table.columns):
            raise InputError(f"{path}: no column {sorted(missing)[0]!r}; get the file again")
        right = {"small": table[WEAK].astype(bool), "large": table[STRONG].astype(bool)}
        tables.append(table[["prompt"]].assign(set=which, subject=subject or which, **right))
    items = pd.concat(tables, ignore_index=True)
    if limit:
        items = items.groupby("set").sample(frac=1, random_state=seed).groupby("set").head(limit)
    return items.reset_index(drop=True)


def scored(items: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Items without their prompts, with the scores of each router, all learnt on the other half.

    `text`: TF-IDF and logistic regression on the prompt; `subject`: the gap of the subject; `length`: the longer, the
    sooner to the large model; `random`; `oracle`.
    """
    parts = []
    for name, part in items.groupby("set", sort=False):
        rng = np.random.default_rng(seed)
        made = part.drop(columns="prompt").assign(
            text=router.crossfit(list(part["prompt"]), part["small"], part["large"], seed),
            subject_gap=_by_group(part, seed),
            length=part["prompt"].str.len(),
            random=rng.random(len(part)),
            oracle=tradeoff.oracle(part["small"], part["large"]),
        )
        parts.append(made if name != "gsm8k" else made.drop(columns="subject_gap"))
    return pd.concat(parts, ignore_index=True)


def _by_group(part: pd.DataFrame, seed: int) -> np.ndarray:
    """Gap of the item's subject in the other half; 0 for a subject that is not there."""
    half = np.random.default_rng(seed).permutation(len(part)) % 2
    gap, found = part["large"].astype(float) - part["small"].astype(float), np.zeros(len(part))
    for side in (0, 1):
        known = gap[half != side].groupby(part["subject"][half != side]).mean()
        found[half == side] = part["subject"][half == side].map(known).fillna(0.0)
    return found


def _columns(items: pd.DataFrame) -> Iterator[tuple[str, str, tradeoff.Columns]]:
    for name, part in items.groupby("set", sort=False):
        for column, who in ROUTERS.items():
            if column in part and part[column].notna().all():
                yield str(name), who, tradeoff.columns(part[column], part["small"], part["large"])


def curves(items: pd.DataFrame) -> pd.DataFrame:
    """The trade-off of each router on each set: columns set, who, share, quality."""
    return pd.concat(
        [tradeoff.curve(rows, who).assign(set=name) for name, who, rows in _columns(items)], ignore_index=True
    )


def metrics(items: pd.DataFrame, n_resamples: int, rng: int = 0) -> pd.DataFrame:
    """APGR and CPT of each router with intervals, with RouteLLM's own as published beside (`published` True)."""
    rows = [tradeoff.summary(found, who, n_resamples, rng, set=name) for name, who, found in _columns(items)]
    ours = pd.DataFrame(rows).assign(published=False, source="this run")
    return pd.concat([ours, published()], ignore_index=True)


def published() -> pd.DataFrame:
    """What RouteLLM publishes for its own routers on these sets (`data/agent/routellm_published.csv`), as shares."""
    table = pd.read_csv(config.resource("data/agent/routellm_published.csv"))
    shares = {name: table[name] / 100 for name in ("cpt50", "cpt80")}
    return table.assign(who=table["router"], published=True, **shares)[
        ["set", "who", "training", "cpt50", "cpt80", "apgr", "published", "source"]
    ]


def pairs(items: pd.DataFrame, cost: float, margin: float, n_resamples: int, seed: int = 0) -> pd.DataFrame:
    """The text router with its threshold learnt on the other half, against large alone and random mixing (S0-22).

    `items` from `load`, with prompts. Columns and rule for the threshold as in `bfcl_v1.pairs`; a router before the
    call pays for one model an item; `cost` is that of a small call over a large one.
    """
    rows: list[dict[str, Any]] = []
    for name, part in items.groupby("set", sort=False):
        chosen = _chosen(part, margin / 2, seed)
        paid = np.where(chosen, 1.0, cost)
        told = SETS[str(name)]
        pair = {"set": told, "pair": f"Mixtral-8x7B / GPT-4, {told}", "who": "text router", "tuned": False}
        rows.append(pair | judged(part["small"], part["large"], chosen, paid, margin, n_resamples, seed))
    return pd.DataFrame(rows)


def _chosen(part: pd.DataFrame, loss: float, seed: int) -> np.ndarray:
    """Which items go to the large model: router and threshold of each half come from the other half alone."""
    half = np.random.default_rng(seed).permutation(len(part)) % 2
    chosen = np.zeros(len(part), dtype=bool)
    for side in (0, 1):
        known, test = part[half != side], part[half == side]
        texts = list(known["prompt"])
        inner = router.crossfit(texts, known["small"], known["large"], seed)
        rows = tradeoff.columns(inner, known["small"], known["large"])
        threshold = tradeoff.highest(rows, rows[:, 2].mean() - loss)
        learnt = router.TextRouter().fit(texts, known["small"], known["large"])
        chosen[half == side] = learnt.score(list(test["prompt"])) >= threshold
    return chosen
