"""The way of the goal: a decider that knows each task, for states on that way, for training rows, and for tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from slmkit.agent import loop
from slmkit.agent.decision import Ask, Decider, Decision, State, decide_all
from slmkit.agent.tasks import Task, Turn
from slmkit.agent.world import World
from slmkit.records import Reply, ToolCall

NAME = "goal"


class Teacher:
    """Makes the goal's calls one by one, a call that broke once more, and closes each turn as the task says."""

    name = NAME

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.tasks = {task.task_id: task for task in tasks}

    def decide(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], state: State) -> Decision:
        return Decision(answer(self.tasks[state.task_id], state.history), NAME)

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        return [self.decide(ask.messages, ask.tools, ask.state) for ask in asks]


def answer(task: Task, history: Sequence[dict[str, Any]]) -> Reply:
    """The goal's next reply to a conversation that has followed the goal so far."""
    turn, said = _turn(task, history)
    broken = {json.dumps({"error": trouble[:200]}, ensure_ascii=False) for trouble in task.troubles.values()}
    place = tries = 0
    for message in said:
        if message["role"] != "tool":
            continue
        if message["content"] in broken and not tries:
            tries = 1
        elif message["content"] in broken:
            break
        else:
            place, tries = place + 1, 0
    else:
        if place < len(turn.calls):
            call = turn.calls[place]
            arguments = json.dumps(call["arguments"], ensure_ascii=False)
            return Reply(tool_calls=[ToolCall(name=call["name"], arguments=arguments)], finish_reason="tool_calls")
    return Reply(content=turn.says, finish_reason="stop")


def _turn(task: Task, history: Sequence[dict[str, Any]]) -> tuple[Turn, list[dict[str, Any]]]:
    """The turn that is going on, and what was said in it."""
    place, start = -1, 0
    for number, message in enumerate(history):
        following = place + 1
        waited = message["role"] == "user" and following < len(task.turns)
        if waited and message["content"] == task.turns[following].text:
            place, start = following, number + 1
    return task.turns[max(place, 0)], list(history[start:])


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


def goal_steps(tasks: Sequence[Task], world: World | None = None, agency: Any = "lm") -> list[tuple[Ask, Reply]]:
    """Every question on the goal's way through the tasks, with the goal's reply."""
    watched = Watched(Teacher(tasks))
    loop.run_tasks(tasks, watched, world, progress=False, agency=agency)
    return [(ask, decision.reply) for ask, decision in watched.seen]


def rows(tasks: Sequence[Task], world: World | None = None) -> list[dict[str, Any]]:
    """Training rows for `specialization.finetune`: conversation and tools as the loop shows them, the goal's reply.

    Take tasks of the split `train`; the tests of the world are no training data.
    """
    made = []
    for ask, reply in goal_steps(tasks, world):
        calls = [call.model_copy(update={"id": call.id or "c0"}) for call in reply.tool_calls]
        last = reply.model_copy(update={"tool_calls": calls}).message()
        made.append({"messages": [*ask.messages, last], "tools": ask.tools})
    return made
