"""The way of the goal: every question on it, with the right reply. Models are trained and compared on these states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slmkit.agent import loop
from slmkit.agent.decision import Ask, Decider, Decision, State, decide_all
from slmkit.agent.oracle import Oracle
from slmkit.agent.tasks import Task
from slmkit.records import Reply


class Watched:
    """Another decider, with each question and its decision kept."""

    def __init__(self, decider: Decider) -> None:
        self.decider, self.name = decider, decider.name
        self.seen: list[tuple[Ask, Decision]] = []

    def decide(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], state: State) -> Decision:
        return self.decide_many([Ask(messages, tools, state)])[0]

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        decisions = decide_all(self.decider, asks)
        self.seen += zip(asks, decisions, strict=True)
        return decisions


def goal_steps(tasks: Sequence[Task], **options: Any) -> list[tuple[Ask, Reply]]:
    """Every question on the goal's way through the tasks, with the goal's reply; `options` are those of `run_tasks`."""
    watched = Watched(Oracle(tasks))
    loop.run_tasks(tasks, watched, progress=False, **options)
    return [(ask, decision.reply) for ask, decision in watched.seen]
