"""One question put to a model, whatever benchmark it comes from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Item:
    """One conversation to answer, with the tools on offer and what counts as right.

    `messages` and `tools` are OpenAI chat shapes (tool parameters are JSON Schema). `wants` says which decision is
    right: a call, no call, any call, or a JSON object that fits `schema`. `gold` and `meta` hold what the suite's own
    `score` needs: `meta["names"]` maps each offered tool name to the source's, and `meta["file"]` names the file
    that the item came from.
    """

    suite: str
    category: str
    id: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    wants: Literal["call", "no_call", "any_call", "json"]
    gold: Any = None
    meta: dict[str, Any] = field(default_factory=dict)
    schema: dict[str, Any] | None = None


def rank(*parts: object) -> int:
    """A number of 64 bits that depends on the parts alone: for choices that are the same on every machine."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big")
