"""One question put to a model, whatever benchmark it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Item:
    """One conversation to answer, with the tools on offer and what counts as right.

    `messages` and `tools` are OpenAI chat shapes (tool parameters are JSON Schema). `wants` says which decision is
    right: a call, no call, or any call; `gold` and `meta` hold what the suite's own `score` needs.
    """

    suite: str
    category: str
    id: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    wants: Literal["call", "no_call", "any_call"]
    gold: Any = None
    meta: dict[str, Any] = field(default_factory=dict)
