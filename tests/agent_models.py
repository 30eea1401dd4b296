"""Models that know the goal of a task and are wrong on a share of its steps: notebook 04 without weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from slmkit.agent.episode import Episode
from slmkit.agent.oracle import Oracle
from slmkit.models.base import Model, Request, Sampling
from slmkit.records import Reply, ToolCall, Usage

STATES: dict[int, tuple[Any, Any]] = {}  # by the identity of the messages that a decider was shown


def watch(monkeypatch) -> None:
    """Let the models below find the state behind a question."""
    told = Episode.ask

    def ask(self):
        found = told(self)
        STATES[id(found.messages)] = (found, Oracle([self.task]))
        return found

    monkeypatch.setattr(Episode, "ask", ask)


class Noisy(Model):
    """Right on a share of the steps; a wrong reply is unsure, and now and then malformed or made up."""

    def __init__(self, ref: str, right: float) -> None:
        self.ref = self.fingerprint = ref
        self.notes, self.right, self.asked = {}, right, 0

    def answer(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        for index, request in enumerate(requests):
            self.asked += 1
            yield index, self._reply(request, sampling)

    def _reply(self, request: Request, sampling: Sampling) -> Reply:
        ask, oracle = STATES.get(id(request.messages), (None, None))
        usage = Usage(prompt=600, completion=12)
        if ask is None or request.schema is not None:
            return Reply(content="Done.", usage=usage, logprob=-2.0, latency_s=0.01)
        drawn = _number(f"{self.ref}/{ask.state.key}/{sampling.seed}/{sampling.constrained}")
        reply = oracle.reply(ask.state)
        sure = drawn < self.right
        if not sure:
            reply = _spoilt(reply, drawn)
        logprob = -(0.6 if sure else 4.0) * (0.5 + _number(f"{drawn}"))
        return reply.model_copy(update={"usage": usage, "logprob": logprob, "latency_s": 0.01, "model": self.ref})


def _spoilt(reply: Reply, drawn: float) -> Reply:
    kind = int(drawn * 1_000) % 3
    if not reply.tool_calls:
        return Reply(content="Done.")
    if kind == 0:
        return Reply(malformed=["get_"])
    call = reply.tool_calls[0]
    arguments = (call.parsed() or {}) | ({"rental_id": "RX9999"} if "rental_id" in call.arguments else {})
    return (
        Reply(tool_calls=[ToolCall(name=call.name, arguments=json.dumps(arguments))])
        if kind == 1
        else Reply(content="No.")
    )


def _number(name: str) -> float:
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 0x1_0000_0000
