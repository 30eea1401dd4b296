"""Code agency: a fixed graph holds the reins and asks models for errands, as on the right of the paper's figure 1.

    plan: which call is next, or none      (errand `plan`: {"call": NAME}, a classification)
      └─ fill: the arguments of that call  (errand `fill`: one object that fits the tool's schema, an extraction)
            └─ the graph makes the call, once more where it broke, and plans anew
      └─ close: what to tell the user      (errand `close`: {"text": ...})

A model sees one errand at a time and has no tools. What depends on a result (look up, then decide) is settled by the
next plan.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from slmkit.agent.decision import Ask, Decision
from slmkit.agent.episode import Episode
from slmkit.agent.language import language
from slmkit.agent.outcome import Step
from slmkit.records import Reply, ToolCall

NONE = "none"
BROKEN = ("timed out", "service unavailable", "result unreadable")


class GraphEpisode(Episode):
    """An episode in which the graph, not a model, decides what comes next. Errands come one at a time."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.node, self.tool = "plan", ""
        super().__init__(*args, **options)

    def ask(self) -> Ask:
        """The errand that is due; no tools are on offer, as the graph makes the calls."""
        ask = super().ask()
        self.kind = f"errand:{self.node}"
        messages = [*ask.messages, {"role": "user", "content": self._told()}]
        return Ask(messages, [], self.state(), self._schema())

    def apply(self, decision: Decision) -> None:
        """Carry an errand's answer out: note the plan, make the call, or tell the user."""
        answer = ToolCall(name="", arguments=decision.reply.content).parsed()
        node, failed = self.node, decision.gave_up or decision.reply.error
        if failed or answer is None:
            self.node = "plan"
            super().apply(decision if failed else replace(decision, reply=Reply()))
        elif node == "plan":
            self.tool = str(answer.get("call", NONE))
            self.node = "close" if self.tool not in self.session.access else "fill"
            self._note(decision)
        elif node == "fill":
            self.node = "plan"
            call = ToolCall(name=self.tool, arguments=json.dumps(answer, ensure_ascii=False))
            super().apply(replace(decision, reply=Reply(tool_calls=[call])))
            self._once_more(call)
        else:
            self.node = "plan"
            super().apply(replace(decision, reply=Reply(content=str(answer.get("text", "")))))

    def _once_more(self, call: ToolCall) -> None:
        """Make a call again that broke: the graph knows to, no model is asked."""
        effects = self.steps[-1].effects
        if self.over or not effects or not any(word in effects[0].text for word in BROKEN):
            return
        super().apply(Decision(Reply(tool_calls=[call]), "graph"))

    def _note(self, decision: Decision) -> None:
        """A step without an effect."""
        self.spent.add(decision)
        self.steps.append(Step(len(self.steps), self.kind, decision, (), self.dropped))
        if limit := self.spent.over():
            self._end("limit", limit)

    def _told(self) -> str:
        return language()["errands"][self.node].replace("{tool}", self.tool)

    def _schema(self) -> dict[str, Any]:
        if self.node == "plan":
            names = [*self.session.access, NONE]
            return _object({"call": {"type": "string", "enum": names}})
        if self.node == "fill":
            return next(t["function"]["parameters"] for t in self.tools if t["function"]["name"] == self.tool)
        return _object({"text": {"type": "string"}})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}
