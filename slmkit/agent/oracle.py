"""The decider that knows the script: plays the goal's calls and closings. For tests, bounds and training rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slmkit.agent.decision import Ask, Decision, State
from slmkit.agent.language import language
from slmkit.agent.tasks import Task, Turn
from slmkit.records import Reply, ToolCall

TRANSIENT = ("timed out", "service unavailable")


class Oracle:
    """Answers each step of known tasks as their goals want it; a call that broke is made once more."""

    name = "oracle"

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.tasks: Mapping[str, Task] = {task.task_id: task for task in tasks}

    def decide(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], state: State) -> Decision:
        return Decision(errand(self.reply(state), state.kind), self.name)

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        return [self.decide(ask.messages, ask.tools, ask.state) for ask in asks]

    def reply(self, state: State) -> Reply:
        """The reply that the task's script has at this point of the conversation."""
        turn, results = self._place(state)
        done = 0
        for place, result in enumerate(results):
            broke = any(word in result for word in TRANSIENT)
            again = place > 0 and any(word in results[place - 1] for word in TRANSIENT)
            if broke and again:  # broke twice: it is left at that
                return Reply(content=f"{language()['marks']['report']}: {json.loads(result)['error']}", model=self.name)
            done += not broke
        if done < len(turn.calls):
            call = turn.calls[done]
            arguments = json.dumps(call["arguments"], ensure_ascii=False)
            return Reply(tool_calls=[ToolCall(name=call["name"], arguments=arguments)], model=self.name)
        return Reply(content=turn.says, model=self.name)

    def _place(self, state: State) -> tuple[Turn, list[str]]:
        """The turn of the script that is under way, and the tool results in it so far."""
        task = self.tasks[state.task_id]
        spoken = [place for place, message in enumerate(state.history) if message["role"] == "user"]
        own = {language()["user"][word] for word in ("nothing_more", "yes", "no")} | {language()["loop"]["unreadable"]}
        starts = [place for place in spoken if state.history[place]["content"] not in own]
        results = [m["content"] for m in state.history[starts[-1] :] if m["role"] == "tool"]
        return task.turns[min(len(starts), len(task.turns)) - 1], results


def errand(reply: Reply, kind: str) -> Reply:
    """The reply as the answer to an errand of code agency, where the step is one: one JSON object as text."""
    if not kind.startswith("errand:"):
        return reply
    call = reply.tool_calls[0] if reply.tool_calls else None
    answers = {
        "errand:plan": {"call": call.name if call else "none"},
        "errand:fill": call.parsed() if call else {},
        "errand:close": {"text": reply.content},
    }
    return Reply(content=json.dumps(answers[kind], ensure_ascii=False), model=reply.model)
