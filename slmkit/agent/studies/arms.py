"""What every experiment on the world shares: two models, their prices, and one way to run an arm on tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from slmkit import config, models
from slmkit.agent import loop
from slmkit.agent.cascade import Cascade
from slmkit.agent.decision import Decider, ModelDecider
from slmkit.agent.generate import make_tasks
from slmkit.agent.guard import Limits
from slmkit.agent.outcome import Outcome
from slmkit.agent.routing.routing import Routing
from slmkit.agent.tasks import Task
from slmkit.economics.cost import call_usd, pick_api
from slmkit.errors import InputError
from slmkit.models.base import Model
from slmkit.models.reference import minis
from slmkit.models.replay import Recorded
from slmkit.records import Usage

LIMITS = Limits(steps_a_turn=8, tokens=None)  # no way to a goal has more than six steps in one turn
BOTH = "both"  # the adapter that was trained on both domains


def adapter(mini: str, subject: str = BOTH, batch: Path | None = None) -> Path | None:
    """The adapter of a mini for a domain, or both: one trained in this batch of runs, else the committed one."""
    name = f"{mini}-{subject}"
    for folder in sorted(batch.glob(f"*/adapters/{name}")) if batch else ():
        if (folder / "adapter_config.json").is_file():
            return folder
    try:
        return config.resource(f"data/mini/adapters/{name}")
    except InputError:
        return None


def reference(ref: str, subject: str = BOTH, batch: Path | None = None) -> str:
    """A model reference with its adapter: a mini gets the one of the subject where there is one, others stay."""
    found = adapter(ref, subject, batch) if ref in minis() else None
    return f"{ref}+{found}" if found else ref


def label(ref: str) -> str:
    """How a reference reads in tables, without the folders of a machine: `mini-1m+both`."""
    base, plus, folder = ref.partition("+")
    return f"{base}+{Path(folder).name.removeprefix(base + '-')}" if plus else base


def load(ref: str, calls: Path | None = None) -> Model:
    """A model that answers each request once: what it said is kept, in memory or in a file of folder `calls`."""
    model = models.load(ref)
    model.ref = label(ref)
    if calls is None:
        return model
    return Recorded(model, calls / f"{label(ref).replace('/', '_').replace(':', '_')}.jsonl")


@dataclass(frozen=True)
class Prices:
    """USD per million tokens (in, out) by model label, and what they are: list prices of models that stand for ours."""

    rates: dict[str, tuple[float, float]]
    priced_at: str

    def __call__(self, ref: str, usage: Usage) -> float | None:
        """USD of one call; a cached prompt token costs a tenth. None for a model without a price."""
        if ref not in self.rates:
            return None
        usd_in, usd_out = self.rates[ref]
        cached = min(usage.cached, usage.prompt)
        return float(call_usd((usd_in, usd_out, 0.1 * usd_in), usage.prompt, usage.completion, cached))


def prices(pairs: dict[str, str]) -> Prices:
    """Prices by label: each is charged as the model of the list that it stands for, cheapest provider."""
    table = pd.read_csv(config.resource("data/economics/api_prices.csv"))
    rates, said = {}, []
    for name, stands_for in pairs.items():
        row = pick_api(table, stands_for)
        rates[name] = (float(row["usd_per_1m_input"]), float(row["usd_per_1m_output"]))
        said.append(f"{name} as {row['model']} by {row['provider']}, list price {str(row['as_of'])[:10]}")
    return Prices(rates, "; ".join(dict.fromkeys(said)))


@dataclass
class Arms:
    """Two models and their prices; `outcomes` keeps what each arm did, for cards and step tables."""

    small: Model
    large: Model
    price: Prices
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    max_tokens: int = 96

    @property
    def options(self) -> dict[str, Any]:
        """Keyword options of every decider of this pair."""
        return {"price": self.price, "priced_at": self.price.priced_at, "max_tokens": self.max_tokens}

    def alone(self, model: Model, role: str, **options: Any) -> ModelDecider:
        """One model for all steps."""
        return ModelDecider(model, name=f"{role} alone", role=role, **{**self.options, **options})

    def cascade(self, routing: Routing, gone: bool = False) -> Cascade:
        """The cascade of both models; without the large one where it is `gone`."""
        return Cascade(self.small, None if gone else self.large, routing, **self.options)

    def run(self, arm: str, decider: Decider, tasks: Sequence[Task], **options: Any) -> pd.DataFrame:
        """A row a task: arm, those of `Outcome.row`, and the calls and USD of each model."""
        found = loop.run_tasks(tasks, decider, limits=LIMITS, progress=False, **options)
        self.outcomes[arm] = found
        return pd.DataFrame([{"arm": arm, **row(outcome, self.small.ref, self.large.ref)} for outcome in found])


def row(outcome: Outcome, small: str, large: str) -> dict[str, Any]:
    """`Outcome.row` with calls by model, tokens of the large one, and goal writes that were done or missed."""
    counted = outcome.calls_by_model()
    calls = [call for step in outcome.steps for call in step.decision.calls]
    return outcome.row() | {
        "small_calls": sum(n for ref, n in counted.items() if ref != large),
        "large_calls": counted[large],
        "decode_tokens": sum(call.reply.usage.completion for call in calls),
        "right_writes": len(outcome.right_writes),
        "right_irreversible": sum(effect.access == "irreversible" for effect in outcome.right_writes),
    }


def tasks(split: str, n: int, seed: int = 0, length: int | None = None, wordings: str = "new") -> list[Task]:
    """The first `n` tasks of a split (0: all), domains, kinds and lengths mixed; the rest is as `make_tasks` has it."""
    return make_tasks(split, n or None, seed, length=length, wordings=wordings)


def goal_writes(tasks_: Sequence[Task], access: dict[str, str]) -> pd.DataFrame:
    """By task: how many writes, and how many that cannot be undone, its goal holds."""
    rows = []
    for task in tasks_:
        kinds = [access.get(call["name"], "read") for call in task.goal]
        rows.append({"task_id": task.task_id, "goal_writes": sum(kind != "read" for kind in kinds),
                     "goal_irreversible": sum(kind == "irreversible" for kind in kinds)})  # fmt: skip
    return pd.DataFrame(rows)
