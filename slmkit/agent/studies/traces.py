"""The cascade's signals on real agent traces (tau2-bench): does a run that shows them fail more often?

A run is one simulation with its reward. Of each call it is counted whether an argument stands nowhere in what user,
tools and policy said, whether it repeats an earlier one since the user last spoke, and what its tool may do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slmkit import config, files, stats
from slmkit.agent.routing.grounding import heard, ungrounded
from slmkit.agent.routing.scorer import auroc
from slmkit.errors import InputError

AGENTS = {"gpt-4.1": "gpt-4.1", "ft-gpt-4.1": "gpt-4.1, fine-tuned", "qwen2.5-7b": "qwen2.5-7b",
          "toolorchestra": "ToolOrchestra"}  # fmt: skip
MOST_RESAMPLES = 1_000
RULES = {  # what is counted in a run, and from which count on the rule would have asked for the large model
    "ungrounded": ("argument found nowhere", 1),
    "repeats": ("same call again", 1),
    "errors": ("tool errors", 2),
    "irreversible": ("call that cannot be undone", 1),
    "any_rule": ("any of the first three", 1),
}


@cache
def access() -> dict[str, str]:
    """What each tool of the two domains may do, from `data/agent/tau2_access.csv`."""
    table = pd.read_csv(config.resource("data/agent/tau2_access.csv"))
    return dict(zip(table["tool"], table["access"], strict=True))


def runs(data: str | Path | None = None) -> pd.DataFrame:
    """A row a run: agent, domain, task, failed (bool), calls, and the counts of `RULES`; also as shares of the calls.

    Raises InputError where the data set is absent, or a simulation lacks its messages.
    """
    folder = config.dataset("tau2_bench", data)
    rows = []
    for path in sorted(folder.glob("*.simulations.jsonl.gz")):
        agent, domain = path.name.removesuffix(".simulations.jsonl.gz").rsplit(".", 1)
        if agent not in AGENTS:
            continue
        policy = json.loads((folder / f"{agent}.{domain}.info.json").read_text(encoding="utf-8"))
        said = heard([{"role": "system", "content": policy["environment_info"]["policy"]}])
        schemas = {tool["name"]: tool["parameters"] for tool in _tools(folder / f"tools.{domain}.json")}
        for number, run in enumerate(files.read_jsonl(path), 1):
            if "messages" not in run:
                raise InputError(f"{path}:{number}: no `messages`; get the file again")
            reward = (run.get("reward_info") or {}).get("reward") or 0.0
            rows.append({"agent": AGENTS[agent], "domain": domain, "task": f"{domain}:{run['task_id']}",
                         "failed": reward < 1, **counted(run["messages"], said, schemas)})  # fmt: skip
    return pd.DataFrame(rows)


def counted(messages: list[dict[str, Any]], policy: str, schemas: Mapping[str, Any]) -> dict[str, int]:
    """The counts of one run."""
    found = dict.fromkeys(("calls", "ungrounded", "repeats", "errors", "irreversible"), 0)
    known, since_user = policy, set()
    for message in messages:
        for name, arguments in _calls(message):
            found["calls"] += 1
            found["ungrounded"] += bool(ungrounded(arguments, known, schemas.get(name)))
            key = f"{name} {json.dumps(arguments, sort_keys=True)}"
            found["repeats"] += key in since_user
            since_user.add(key)
            found["irreversible"] += access().get(name, "read") == "irreversible"
        if message["role"] == "user":
            since_user.clear()
        if message["role"] == "tool":
            found["errors"] += bool(message.get("error")) or str(message.get("content") or "").startswith("Error")
        known += heard([message])
    wrong = found["ungrounded"] + found["repeats"] + found["errors"] // RULES["errors"][1]
    return found | {"any_rule": wrong}


def _calls(message: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if message["role"] == "assistant":
        for call in message.get("tool_calls") or ():
            arguments = call.get("arguments")
            yield str(call.get("name")), arguments if isinstance(arguments, dict) else {}


def _tools(path: Path) -> list[dict[str, Any]]:
    return [tool.get("function", tool) for tool in json.loads(path.read_text(encoding="utf-8"))]


def predictors(table: pd.DataFrame, n_resamples: int, rng: int = 0) -> pd.DataFrame:
    """How well each count foretells a failed run, by agent and over all.

    Columns agent, signal, says, n, failed, flagged, precision, recall; auroc (0.5: no better than chance) with low and
    high, bootstrapped over tasks; failed_flagged and failed_clear: share of failures with and without the flag.
    """
    rows, n_resamples = [], min(n_resamples, MOST_RESAMPLES)
    for agent in ["all agents", *table["agent"].unique()]:
        part = table if agent == "all agents" else table[table["agent"] == agent]
        for signal, (says, least) in RULES.items():
            flag, failed = part[signal] >= least, part["failed"]
            both = float((flag & failed).sum())
            area = stats.bootstrap(np.c_[part[signal], failed], lambda r: auroc(r[:, 0], r[:, 1]), unit=part["task"],
                                   n_resamples=n_resamples, rng=rng) if failed.nunique() > 1 else None  # fmt: skip
            rows.append({
                "agent": agent, "signal": signal, "says": says, "n": len(part), "failed": int(failed.sum()),
                "flagged": int(flag.sum()), "precision": both / flag.sum() if flag.any() else np.nan,
                "recall": both / failed.sum() if failed.any() else np.nan,
                "failed_flagged": failed[flag].mean() if flag.any() else np.nan,
                "failed_clear": failed[~flag].mean() if (~flag).any() else np.nan,
                "estimate": area.estimate if area else np.nan, "low": area.low if area else np.nan,
                "high": area.high if area else np.nan,
            })  # fmt: skip
    return pd.DataFrame(rows)
