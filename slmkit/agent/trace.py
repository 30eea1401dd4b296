"""The durable trace: each step's model calls, on disk before the step has any effect.

A line is a `records.Call`. The lines of a step are written together and flushed to the disk (fsync) before the loop
goes on. The last line of a step carries the decision in `sampling["decision"]`: who answered, why it escalated,
the signals, and the reply where it is not that line's own. A step whose last line is missing was cut off, and is
decided anew when the task is resumed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from slmkit import files
from slmkit.agent.decision import Ask, Decision, ModelCall
from slmkit.errors import InputError
from slmkit.records import Call, Price, Reply


class Trace:
    """An append-only JSON-lines file of `records.Call`; opening it cuts off a line that a kill left torn."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self.torn = self._mend()

    def append(self, calls: Iterable[Call]) -> None:
        """Write lines and wait until they are on the disk."""
        content = "".join(call.model_dump_json() + "\n" for call in calls).encode()
        while content:
            content = content[os.write(self.handle, content) :]
        os.fsync(self.handle)

    def decisions(self, source: str = "") -> dict[str, list[Decision]]:
        """The whole steps on file: decisions in order, by trace id; as `read_decisions`."""
        return read_decisions(self.path, source)

    def close(self) -> None:
        os.close(self.handle)

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _mend(self) -> int:
        """Cut off what follows the last line end; returns the number of bytes."""
        size = os.fstat(self.handle).st_size
        end = size
        while end and os.pread(self.handle, 1, end - 1) != b"\n":
            end -= 1
        if end != size:
            os.ftruncate(self.handle, end)
            os.fsync(self.handle)
        return size - end


def trace_id(task_id: str, trial: int) -> str:
    return f"{task_id}#{trial}"


def lines_of(ask: Ask, decision: Decision, source: str) -> list[Call]:
    """The lines of one step."""
    state, now = ask.state, datetime.now(UTC)
    here = trace_id(state.task_id, state.trial)
    calls = list(decision.calls) or [ModelCall(decision.answered_by, "script", decision.reply)]
    known: dict[str, Any] = {
        "answered_by": decision.answered_by,
        "escalated_because": list(decision.escalated_because),
        "signals": dict(decision.signals),
        "gave_up": decision.gave_up,
        "calls": len(decision.calls),
    }
    acting = next((place for place, call in enumerate(calls) if call.reply == decision.reply), None)
    known["reply"] = decision.reply.model_dump() if acting is None else acting
    lines = []
    for place, call in enumerate(calls):
        sampling: dict[str, Any] = {"role": call.role, "acts": call.acts, "kind": state.kind}
        if place == len(calls) - 1:
            sampling["decision"] = known
        lines.append(
            Call(
                call_id=f"{here}/{state.step}/{place}",
                trace_id=here,
                parent_id=f"{here}/{state.step - 1}/0" if state.step else None,
                step=state.step,
                task=state.task_id,
                source=source,
                started_at=now - timedelta(seconds=call.reply.latency_s or 0.0),
                ended_at=now,
                provider="in process" if not call.model.startswith("openai:") else "endpoint",
                model_requested=call.model,
                model_served=call.reply.model,
                sampling=sampling,
                messages=ask.messages,
                tools=ask.tools,
                reply=call.reply,
                finish_reason=call.reply.finish_reason,
                usage=call.reply.usage,
                price=Price(usd=call.usd, priced_at=call.priced_at),
                error=call.reply.error,
                user_facing=not call.reply.tool_calls,
            )
        )
    return lines


def read_decisions(path: str | Path, source: str = "") -> dict[str, list[Decision]]:
    """Decisions of a trace in order, by trace id.

    Raises InputError naming a line that is no record of a call, or that another decider than `source` wrote.
    """
    found: dict[str, list[Decision]] = {}
    open_steps: dict[str, list[ModelCall]] = {}
    for number, row in enumerate(files.read_jsonl(path), 1):
        try:
            line = Call.model_validate(row)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            raise InputError(f"{path}:{number}: {where}: {problem['msg']}; this is no trace of an agent") from None
        if source and line.source != source:
            raise InputError(f"{path}:{number}: a step of {line.source!r}, not {source!r}; name another file")
        steps = found.setdefault(line.trace_id, [])
        if line.call_id.endswith("/0"):  # a step that was cut off is told anew from its first call
            open_steps[line.trace_id] = []
        if line.step < len(steps):
            continue
        said = line.sampling
        calls = open_steps.setdefault(line.trace_id, [])
        role, acts = said.get("role", ""), said.get("acts", True)
        calls.append(ModelCall(line.model_requested, role, line.reply, line.price.usd, line.price.priced_at, acts))
        if "decision" not in said:
            continue
        known = said["decision"]
        reply = calls[known["reply"]].reply if isinstance(known["reply"], int) else Reply(**known["reply"])
        made = tuple(calls) if known["calls"] else ()
        because = tuple(known["escalated_because"])
        steps.append(Decision(reply, known["answered_by"], because, made, known["signals"], known["gave_up"]))
    return found
