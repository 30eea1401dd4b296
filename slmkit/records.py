"""The data types that everything passes around; one JSON object a line on disk."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Outcome = Literal["holds", "fails", "conditional", "inconclusive", "not_testable"]
Kind = Literal["measured", "computed", "audit", "definition", "forecast"]


class Record(BaseModel):
    """Base of all records: unknown fields are refused, so a misspelt one is found at once."""

    model_config = ConfigDict(extra="forbid")


class ToolCall(Record):
    """One call of a tool; `arguments` is the raw JSON text as the model wrote it."""

    name: str
    arguments: str
    id: str = ""

    def parsed(self) -> dict[str, Any] | None:
        """The arguments as a mapping, or None when the text is no JSON object: a failure is data, not an error."""
        try:
            value = json.loads(self.arguments)
        except (ValueError, RecursionError):  # ValueError: also an integer of over 4,300 digits
            return None
        return value if isinstance(value, dict) else None

    def openai(self) -> dict[str, Any]:
        """The call in the form of an OpenAI chat message."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


class Usage(Record):
    """Tokens of one call. `cached` is part of `prompt`; `reasoning` is part of `completion`."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0


class Reply(Record):
    """What a model answered.

    `malformed` keeps what looked like a call but could not be parsed. `logprob` is the sum of the log-probabilities
    of the generated tokens, None where the model gives none. Times are seconds. `error` is set, and the rest empty,
    when the call failed.
    """

    content: str = ""
    tool_calls: list[ToolCall] = Field(default_factory=list)
    malformed: list[str] = Field(default_factory=list)
    reasoning: str = ""
    usage: Usage = Field(default_factory=Usage)
    ttft_s: float | None = None
    latency_s: float | None = None
    logprob: float | None = None
    finish_reason: str = ""
    model: str = ""
    error: str | None = None

    def message(self) -> dict[str, Any]:
        """The reply as an assistant message, to go on with the conversation."""
        message: dict[str, Any] = {"role": "assistant", "content": self.content}
        if self.tool_calls:
            message["tool_calls"] = [call.openai() for call in self.tool_calls]
        return message


class Price(Record):
    """What a call cost, and the date of the price that says so."""

    usd: float | None = None
    priced_at: str = ""


class Pii(Record):
    """Whether personal data has been looked for and replaced, and what stands for what."""

    state: Literal["unknown", "raw", "scrubbed", "none"] = "unknown"
    map: dict[str, str] = Field(default_factory=dict)


class Call(Record):
    """One language-model call: a line of an agent's log, of a recording, or of the evaluation cache."""

    call_id: str
    trace_id: str = ""
    parent_id: str | None = None
    step: int = 0
    task: str = ""
    source: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    first_token_at: datetime | None = None
    provider: str = ""
    model_requested: str = ""
    model_served: str = ""
    sampling: dict[str, Any] = Field(default_factory=dict)
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] = Field(default_factory=list)
    reply: Reply
    finish_reason: str = ""
    usage: Usage = Field(default_factory=Usage)
    price: Price = Field(default_factory=Price)
    error: str | None = None
    outcome: float | None = None
    user_facing: bool | None = None
    pii: Pii = Field(default_factory=Pii)
    raw_sha256: str = ""


class Verdict(Record):
    """What a notebook concludes about one claim of the ledger."""

    claim_id: str
    statement: str
    kind: Kind
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    unit: str = ""
    threshold: str = ""
    rule: str = ""
    outcome: Outcome
    condition: str = ""
    n: int = 0
    scale: str = ""
    models: list[str] = Field(default_factory=list)
    hardware: str = ""
    method: str = ""
    notebook: str = ""
    figure: str = ""
    evidence_from: list[str] = Field(default_factory=list)
