"""What became of a task: the reward, how it ended, and what each step cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from slmkit.agent.decision import Decision

Status = Literal["done", "refused", "gave_up", "limit", "loop", "error"]


@dataclass(frozen=True)
class Effect:
    """One tool call that was tried: what it gave back and which rows of the database it changed.

    `status` is ok, invalid (refused before any effect), error (the tool said no) or fault (the tool broke).
    """

    name: str
    arguments: dict[str, Any] | None
    access: str
    status: Literal["ok", "invalid", "error", "fault"]
    text: str
    changes: tuple[str, ...] = ()
    wanted: bool = True  # whether the goal holds this call; what is not wanted and writes is a wrong write


@dataclass(frozen=True)
class Step:
    """One decision and what came of it. `dropped` says what the bounded view left out."""

    index: int
    kind: str
    decision: Decision
    effects: tuple[Effect, ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The end of one trial of a task.

    `reward` is 1 where the final database equals the goal's and every required answer was given (`database`,
    `answers`), else 0. `status` says how the task ended, `reason` in words.
    """

    task_id: str
    trial: int
    domain: str
    kind: str
    n_calls: int
    reward: float
    database: bool
    answers: bool
    status: Status
    reason: str = ""
    steps: tuple[Step, ...] = ()
    messages: tuple[dict[str, Any], ...] = ()
    confirmations: int = 0
    resumed: int = 0  # steps taken from the trace of an earlier run

    @property
    def effects(self) -> list[Effect]:
        return [effect for step in self.steps for effect in step.effects]

    @property
    def wrong_writes(self) -> list[Effect]:
        """Writes that took effect although the goal does not hold them."""
        return [e for e in self.effects if e.status == "ok" and e.access != "read" and not e.wanted]

    @property
    def right_writes(self) -> list[Effect]:
        return [e for e in self.effects if e.status == "ok" and e.access != "read" and e.wanted]

    def calls_by_model(self) -> Counter[str]:
        """Number of model calls by model reference, those in shadow and those overruled included."""
        return Counter(call.model for step in self.steps for call in step.decision.calls)

    def row(self) -> dict[str, Any]:
        """One flat row for a table: reward, ending, counts, tokens, USD (None: some price unknown), seconds."""
        decisions = [step.decision for step in self.steps]
        costs = [decision.usd for decision in decisions]
        return {
            "task_id": self.task_id,
            "trial": self.trial,
            "domain": self.domain,
            "kind": self.kind,
            "n_calls": self.n_calls,
            "reward": self.reward,
            "database": self.database,
            "answers": self.answers,
            "status": self.status,
            "reason": self.reason,
            "steps": len(self.steps),
            "model_calls": sum(self.calls_by_model().values()),
            "escalated": sum(bool(decision.escalated_because) for decision in decisions),
            "wrong_writes": len(self.wrong_writes),
            "wrong_irreversible": sum(effect.access == "irreversible" for effect in self.wrong_writes),
            "tool_errors": sum(effect.status in ("error", "fault") for effect in self.effects),
            "prompt_tokens": sum(decision.usage.prompt for decision in decisions),
            "completion_tokens": sum(decision.usage.completion for decision in decisions),
            "usd": None if any(cost is None for cost in costs) else sum(costs),  # type: ignore[arg-type]
            "latency_s": sum(decision.latency_s for decision in decisions),
            "confirmations": self.confirmations,
        }
