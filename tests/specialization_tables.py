"""Made-up tables in the shape of notebook 03's, with scores that a test sets."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from slmkit.economics import tuning
from slmkit.specialization.studies import change, generality, price, scratch, ways
from slmkit.specialization.studies.lab import HEADLINE

BASE, LLM = "mini-2m", "mini-8m"
TUNED = f"{BASE} + LoRA"
N = 400


def items(name: str, right: float, set_name: str = "task", role: str = "slm", n_items: int = N, **more: Any) -> Any:
    """Items of an arm of which the share `right` is right, the first ones; `more` are further columns."""
    k = round(right * n_items)
    table = pd.DataFrame(
        {"id": [f"{set_name}-{i}" for i in range(n_items)], "correct": [i < k for i in range(n_items)]}
    )
    plain = {
        "name": name, "role": role, "constrained": False, "shots": 0, "seed": 0, "n": 0, "set": set_name,
        "wants": "no_call" if "no" in set_name.split() or set_name.endswith("no tool fits") else "call", "called": True,
        "error": None, "invalid": False, "logprob": -0.5, "completion_tokens": 20, "prompt_tokens": 100,
        "seconds": 0.05,
    }  # fmt: skip
    table = table.assign(**(plain | more))
    return table.assign(error=np.where(table["correct"], None, "wrong_argument_value"))


def invalid(table: pd.DataFrame, share: float) -> pd.DataFrame:
    """The items with the last ones of them invalid."""
    return table.assign(invalid=np.arange(len(table)) >= len(table) - round(share * len(table)))


def ladder(
    base: float = 0.1, tuned: float = 0.8, llm: float = 0.3, seeds: int = 3, n: int = 200, broken: Any = (0.0, 0.2)
):
    """Base, specialist and larger model on the task and on requests without a call."""
    tables = []
    for set_name in ("task", "no call"):
        tables += [
            items(BASE, base, set_name),
            items(f"{BASE}, 4 examples in the prompt", base + 0.05, set_name, shots=4),
        ]
        tables += [
            invalid(items(TUNED, tuned + 0.01 * seed, set_name, "specialist", seed=seed, n=n), broken[0])
            for seed in range(seeds)
        ]
        tables += [invalid(items(LLM, llm, set_name, "llm"), broken[1])]
        tables += [items(f"{LLM}, grammar", llm, set_name, "llm", constrained=True)]
    return pd.concat(tables, ignore_index=True)


def curve(right: dict[int, float], seeds: int = 3) -> pd.DataFrame:
    """The specialist by examples."""
    return pd.concat(
        [items(TUNED, share, role="specialist", n=n, seed=s) for n, share in right.items() for s in range(seeds)],
        ignore_index=True,
    )


def wide(inside: float = 0.8, outside: float = 0.1, base: float = 0.1, kept: float = 0.8, broken: Any = (0.5, 0.2)):
    """The specialist in schema and out of it; `broken`: invalid outputs in the other format, tuned and larger."""
    sets = [generality.IN_SCHEMA, *generality.OUT_OF_SCHEMA, "no call", *generality.GENERAL]
    tables = []
    for name in sets:
        tuned = {generality.IN_SCHEMA: inside}.get(name, kept if name in generality.GENERAL else outside)
        plain = 0.8 if name in generality.GENERAL else base
        rows = [(BASE, plain, "slm", -1.0, np.nan, 0.0), (LLM, plain, "llm", -1.0, np.nan, broken[1])]
        rows += [(TUNED, tuned, "specialist", 0.25, np.nan, broken[0])]
        if name in (generality.IN_SCHEMA, "no call", *generality.GENERAL):
            rows += [(f"{mix:.0%} general data", tuned, "specialist", np.nan, mix, 0.0) for mix in (0.0, 0.25)]
        for arm, right, role, share, mix, bad in rows:
            made = items(arm, right, name, role, 200, share=share, mix=mix)
            made = made.assign(id=[str(i) for i in range(len(made))])
            tables.append(invalid(made, bad) if name == generality.FORMAT else made)
    return pd.concat(tables, ignore_index=True)


def changed(new: float = 0.8, old: float = 0.8, prompt: tuple[float, float] = (0.4, 0.1), seconds: float = 60.0):
    """After a change: the new adapter, and the larger model's prompt before and after it."""
    rows = [
        ("old adapter", old, change.BEFORE, "specialist", 0.0),
        ("old adapter", 0.1, change.AFTER, "specialist", 0.0),
    ]
    rows += [("new adapter", new, change.AFTER, "specialist", seconds)]
    for name in (f"{LLM}, new schema", f"{LLM}, 4 new examples"):
        rows += [(name, prompt[0], change.BEFORE, "llm", 0.0), (name, prompt[1], change.AFTER, "llm", 0.0)]
    return pd.concat([items(a, b, c, d, adapt_seconds=e) for a, b, c, d, e in rows], ignore_index=True)


def forms(tuned: list[float], llm: list[float]) -> pd.DataFrame:
    """Prompt forms, the plain one first."""
    names = ["plain", *(f"form {i}" for i in range(1, len(llm)))]
    rows = [(TUNED, "specialist", tuned), (LLM, "llm", llm)]
    made = [
        items(name, right, "f", role, form=form).assign(set=form)
        for name, role, shares in rows
        for form, right in zip(names, shares, strict=True)
    ]
    return pd.concat(made, ignore_index=True)


def trained(right: dict[str, float], base: float = 0.1) -> pd.DataFrame:
    """Ways to train, each by its share right on the task."""
    tables = [items(BASE, base), items(BASE, 0.8, "core_said")]
    for name, share in right.items():
        tables += [items(name, share, role="specialist", n=200), items(name, 0.7, "core_said", "specialist", n=200)]
    return pd.concat(tables, ignore_index=True)


def two(before: tuple[float, float] = (0.1, 0.4), after: tuple[float, float] = (0.95, 0.95), n: int = 1_000):
    """Two sizes, untuned and tuned."""
    rows = [(BASE, "slm", before[0], False), (LLM, "llm", before[1], False)]
    rows += [(TUNED, "slm", after[0], True), (f"{LLM} + LoRA", "llm", after[1], True)]
    made = [
        items(name, right, role=size, n=n if tuned else 0, size=size, tuned=tuned) for name, size, right, tuned in rows
    ]
    return pd.concat(made, ignore_index=True)


def ranks(right: dict[int, float], full: float) -> pd.DataFrame:
    """Ranks against full tuning on 50 examples."""
    rows = [("rank " + str(rank), rank, share) for rank, share in right.items()] + [("all weights", 0, full)]
    more = {"modules": "all", "train_seconds": 9.0, "trained_parameters": 1_000}
    tables = [items(BASE, 0.1, rank=0, **more | {"modules": "none"}), items(BASE, 0.8, "core_said", rank=0, **more)]
    for name, rank, share in rows:
        tables += [items(name, share, role="specialist", n=50, rank=rank, **more)]
        tables += [items(name, 0.6, "core_said", "specialist", n=50, rank=rank, **more)]
    return pd.concat(tables, ignore_index=True)


def from_scratch(right: Callable[[str, str, str, int], float] | None = None) -> pd.DataFrame:
    """Models from scratch by (design, size, data, steps); empty without a rule."""
    if right is None:
        return pd.DataFrame(columns=scratch.COLUMNS)
    runs = [("LFM2", scratch.SMALL, data) for data in scratch.DATA]
    runs += [("Llama", scratch.SMALL, "both"), ("LFM2", scratch.LARGE, "both")]
    made = [
        items(", ".join(run), right(*run, steps), skill, design=run[0], size=run[1], data=run[2], steps=steps)
        for run in runs
        for steps in (500, 2_000)
        for skill in scratch.SKILLS
    ]
    return pd.concat(made, ignore_index=True)


def trainings(seconds: float = 100.0, n: int = 200, seeds: int = 3) -> pd.DataFrame:
    """The headline's trainings."""
    row = {"name": HEADLINE, "base": BASE, "n": n, "method": "lora", "rank": 16, "general_share": 0.25, "steps": 100}
    row |= {"seconds": seconds, "training_seconds": 80.0, "tokens": 1e5, "tokens_per_s": 1e3, "peak_memory_bytes": 1e9}
    row |= {"adapter_bytes": 9e5, "trainable_parameters": 2e5, "reward_before": 0.1, "reward": 0.8, "stopped": ""}
    return pd.DataFrame([row | {"seed": seed} for seed in range(seeds)])


def serving(specialist: float = 0.1, llm: float = 0.3) -> pd.DataFrame:
    """Latency and weights of the pair."""
    rng = np.random.default_rng(0)
    rows = [(TUNED, "specialist", specialist, 1e7), (LLM, "llm", llm, 3e7)]
    return pd.DataFrame(
        [{"name": name, "role": role, "id": str(i), "latency_s": s * rng.uniform(0.9, 1.1), "weight_bytes": held,
          "completion_tokens": 20} for name, role, s, held in rows for i in range(12)]
    )  # fmt: skip


def projection(usd_per_gpu_hour: tuple[float, float, float] = (2.0, 3.0, 4.0), peak: float = 989e12) -> pd.DataFrame:
    """GPU hours and USD by the cost model."""
    return price.projection(tuning.training_flop, peak, usd_per_gpu_hour)


def tables(**other: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """All tables of a run in which everything worked, as read back from CSV; some of them replaced."""
    return dict(_usual()) | {name: read_back(table) for name, table in other.items()}


def read_back(table: pd.DataFrame) -> pd.DataFrame:
    """A table as the notebook reads it back from its CSV."""
    return pd.read_csv(io.StringIO(table.to_csv(index=False)))


@cache
def _usual() -> dict[str, pd.DataFrame]:
    made = {
        "ladder": ladder(), "curve": curve({50: 0.2, 200: 0.6, 1_000: 0.9}), "ranks": ranks({2: 0.5, 16: 0.6}, 0.6),
        "generality": wide(), "change": changed(), "forms": forms([0.8] * 6, [0.3, 0.31, 0.1, 0.5, 0.3, 0.2]),
        "ways": trained(dict.fromkeys(METHODS, 0.6)), "sizes": two(), "scratch": from_scratch(),
        "trainings": trainings(), "serving": serving(), "projection": projection(),
    }  # fmt: skip
    return {name: read_back(table) for name, table in made.items()}


METHODS = (ways.SUPERVISED, ways.FULL, ways.DISTILLED, ways.PREFERENCE, ways.CURRICULUM, ways.MULTI_TASK)
