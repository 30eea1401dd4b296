"""The bench of notebook 03: which models, which task, which sizes; adapters are trained once and kept by content."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from slmkit import config, models
from slmkit.errors import InputError
from slmkit.models import loading
from slmkit.parameters import Run
from slmkit.specialization import tasks
from slmkit.specialization.data import Row
from slmkit.specialization.finetune import Tuned, finetune
from slmkit.specialization.rows import wants_call
from slmkit.specialization.settings import Settings
from slmkit.specialization.studies import asking

MAX_TOKENS = 96  # of an answer; the longest call of a task takes some sixty
SHOTS = 4
HEADLINE = "headline"  # the name of its trainings
GENERAL = ("core_said", "seen", "no_tool")  # what a specialist must not forget: calls, other wordings, restraint


@dataclass(frozen=True)
class Arm:
    """A model in one form of asking. `role` is its role in figures; `seed` and `n` say how it was trained."""

    name: str
    ref: str
    role: str = "slm"
    constrained: bool = False
    shots: int = 0
    seed: int = 0
    n: int = 0


class Lab:
    """Models, task and sizes of one pass; `trained` has a row for each adapter that was made or found."""

    def __init__(self, run: Run):
        given = run.parameters
        self.run, self.seed = run, run.seed
        self.base, self.llm = pair(given["base"], given["llm"])
        sizes = config.TUNING[run.scale.name]
        n_examples, n_seeds = given["n_examples"] or sizes.n_examples, given["seeds"] or sizes.n_seeds
        self.sizes = replace(sizes, n_examples=n_examples, n_seeds=n_seeds)
        self.rank, self.share = given["rank"], given["general_share"]
        self.trained: list[dict[str, Any]] = []
        self._rows: dict[tuple, list[Row]] = {}

    def rows(self, split: str, n: int, seed: int = 0) -> list[Row]:
        """Rows of the task, made once."""
        key = (split, n, seed)
        if key not in self._rows:
            self._rows[key] = self.task.rows(split, n, seed)
        return self._rows[key]

    @cached_property
    def task(self) -> tasks.Task:
        """The task of the parameters; InputError with the nearest name."""
        return tasks.get(self.run.parameters["task"], self.run.parameters["data"])

    def setting(self) -> pd.DataFrame:
        """One row of what is compared, for a reader and for recorded results: models, task, sizes."""
        sizes = {name: getattr(self.sizes, name) for name in ("n_examples", "n_seeds", "n_test", "n_side")}
        row = {"base": self.base, "llm": self.llm, "task": self.task.name, **sizes, "rank": self.rank}
        return pd.DataFrame([row | {"share": self.share, "says": self.task.says, "licence": self.task.licence}])

    def preview(self) -> pd.DataFrame:
        """Rows of each split: what is asked, which tools are on offer, what is right."""
        rows = []
        for split in tasks.SPLITS:
            row = self.rows(split, self.sizes.n_side if split in ("test", "no_call") else 2)[0]
            calls = [call["function"] for call in row["messages"][-1].get("tool_calls") or []]
            right = ", ".join(f"{call['name']} {call['arguments']}" for call in calls)
            offered = ", ".join(tool["function"]["name"] for tool in row["tools"])
            asked = next(m["content"] for m in reversed(row["messages"]) if m["role"] == "user")
            rows.append(
                {"split": split, "asked": asked[:140], "tools": offered[:90], "right": right[:120] or "no call"}
            )
        return pd.DataFrame(rows)

    @cached_property
    def sets(self) -> dict[str, list[Row]]:
        """The task's test set, and requests that no tool on offer fits."""
        return {"task": self.rows("test", self.sizes.n_test), "no call": self.rows("no_call", self.sizes.n_side)}

    @cached_property
    def side_sets(self) -> dict[str, list[Row]]:
        """For comparisons of many trainings: some items of the task, and of calls and restraint among old skills."""
        some = {"task": self.sets["task"][: 2 * self.sizes.n_side]}
        return some | {name: self.general_sets[name] for name in (GENERAL[0], GENERAL[-1])}

    @cached_property
    def general_sets(self) -> dict[str, list[Row]]:
        """General skills of the minis."""
        return {name: tasks.general(name, self.sizes.n_side, self.seed) for name in GENERAL}

    def settings(self, n: int, seed: int = 0, **changes: Any) -> Settings:
        """How `n` examples are trained on at this scale."""
        sizes = self.sizes
        steps = sizes.steps and max(2, round(sizes.steps * min(1.0, (n / sizes.n_examples) ** 0.5)))
        made = Settings(
            rank=self.rank, alpha=2 * self.rank, steps=steps, batch_size=sizes.batch_size, seed=self.seed + seed,
            general_share=self.share, validation_items=sizes.validation_items,
            warmup_steps=min(10, steps // 5) if steps else 10,
        )  # fmt: skip
        made = replace(made, **changes)
        last = made.n_steps(n)
        return made if made.evaluate_every else replace(made, evaluate_every=max(last // 3, min(5, last)))

    def arm_settings(self, seed: int = 0, **changes: Any) -> Settings:
        """How the ways to train are compared: equal examples, equal steps, no general data."""
        given = {"steps": self.sizes.arm_steps, "general_share": 0.0} | changes
        return self.settings(self.sizes.arm_examples, seed, **given)

    def tune(
        self, name: str, rows: Sequence[Row], settings: Settings, base: str = "", validation: Sequence[Row] = ()
    ) -> Tuned:
        """The model trained on `rows`, from the folder of this run where the same was trained before."""
        base = base or self.base
        chosen = list(validation or self.rows("validation", self.sizes.validation_items))
        weights = loading.fingerprint(models.parse_reference(base))
        asked = {"base": weights, "rows": rows, "validation": chosen, "settings": asdict(settings)}
        folder = self.run.folder / "adapters" / _hash(asked)
        tuned = finetune(base, rows, chosen, settings, folder)
        self.keep(name, base, len(rows), settings, tuned)
        return tuned

    def keep(self, name: str, base: str, n: int, settings: Settings, tuned: Tuned) -> None:
        """Add a row to `trained`."""
        card = tuned.card
        row = {"name": name, "base": base, "n": n, "seed": settings.seed, "method": settings.method}
        row |= {"rank": settings.rank if settings.method == "lora" else 0, "general_share": settings.general_share}
        row |= {"steps": card["steps"], "batch_size": settings.batch_size, "seconds": tuned.seconds}
        row |= {name: card[name] for name in ("training_seconds", "tokens", "tokens_per_s", "peak_memory_bytes")}
        row |= {"adapter_bytes": card["size_bytes"], "trainable_parameters": card["trainable_parameters"]}
        row |= {"reward_before": card["before"]["reward"], "reward": card["best"]["reward"], "stopped": tuned.stopped}
        if row not in self.trained:
            self.trained.append(row)

    def trainings(self) -> pd.DataFrame:
        """A row for each training: what, on how much, seconds, tokens/s without padding, bytes, rewards."""
        return pd.DataFrame(self.trained)

    def specialist(self, n: int = 0, seed: int = 0, base: str = "", **changes: Any) -> Arm:
        """The arm of a LoRA on `n` examples of the task (0: the headline's number)."""
        n = n or self.sizes.n_examples
        base = base or self.base
        settings = self.settings(n, seed, **changes)
        main = n == self.sizes.n_examples and base == self.base and settings == self.settings(n, seed)
        tuned = self.tune(HEADLINE if main else "LoRA", self.rows("train", n, seed), settings, base)
        return Arm(f"{short(base)} + LoRA", tuned.reference, "specialist", seed=seed, n=n)

    def answers(self, arms: Sequence[Arm], sets: Mapping[str, Sequence[Row]]) -> pd.DataFrame:
        """A row for each arm and item: arm, role, n, seed, constrained, shots, set, id, wants, and how it went."""
        rows = []
        for arm in arms:
            model = models.record(models.load(arm.ref), self.run.folder / "calls" / f"{_hash(arm.ref)}.jsonl")
            names = [name for name, items in sets.items() for _ in items]
            every = [row for items in sets.values() for row in items]  # all at once: larger batches are faster
            found = self.ask(model, every, arm)
            rows += [asdict(arm) | {"set": name} | row for name, row in zip(names, found, strict=True)]
        return pd.DataFrame(rows).drop(columns="ref")

    def ask(self, model: models.Model, items: Sequence[Row], arm: Arm) -> list[dict[str, Any]]:
        """How each item went; `seconds` is the wall time shared out, missing where all came from the recording."""
        if arm.shots:
            pool = self.rows("train", max(60, self.sizes.n_examples))
            items = [asking.with_examples(row, pool, arm.shots) if row["tools"] else row for row in items]
        requests = [asking.request(row) for row in items]
        asked = {"max_tokens": MAX_TOKENS, "constrained": arm.constrained}
        fresh = sum(not model.has(request, **asked) for request in requests)  # type: ignore[attr-defined]
        began = time.perf_counter()
        replies = model.chat_many(requests, description=arm.name, **asked)
        share = (time.perf_counter() - began) / fresh if fresh else np.nan
        return [
            {
                "id": row["id"],
                "wants": "call" if wants_call(row) else "no_call",
                **asking.judged(row, reply),
                "logprob": reply.logprob,
                "completion_tokens": reply.usage.completion,
                "prompt_tokens": reply.usage.prompt,
                "seconds": share,
            }
            for row, reply in zip(items, replies, strict=True)
        ]


def pair(base: str, llm: str) -> tuple[str, str]:
    """The model to tune and the larger one; by default the largest mini that has a larger sibling, and the largest.

    InputError where only one mini is committed and a name is missing.
    """
    sizes = sorted(minis().items(), key=lambda found: found[1])
    if not (base and llm) and len(sizes) < 2:
        raise InputError("base, llm: fewer than two minis are committed; name both models")
    llm = llm or sizes[-1][0]
    smaller = [name for name, _ in sizes if name != llm]
    return base or smaller[-1], llm


def minis() -> dict[str, int]:
    """The committed minis by name, with the bytes of their weights."""
    folders = config.resource("data/mini").glob("mini-*/model.safetensors")
    return {path.parent.name: path.stat().st_size for path in folders}


def short(reference: str) -> str:
    """A model's name without its folders."""
    return re.split(r"[/:]", reference.rstrip("/"))[-1]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]
