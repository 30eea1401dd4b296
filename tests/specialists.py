"""Rows for tests of fine-tuning, and a base on which a run takes a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from folders import TEMPLATE, write_model

# The same template with generation marks, as the minis have them.
_HEAD, _, _TAIL = TEMPLATE.partition("{%- for message in messages %}<|{{ message.role }}|>")
_SAID, _, _END = _TAIL.partition("\n{%- endfor %}{% if add_generation_prompt %}")
MARKED = (
    _HEAD
    + "{%- macro said(message) %}" + _SAID + "{%- endmacro %}"
    + "{%- for message in messages %}<|{{ message.role }}|>"
    + '{% if message.role == "assistant" %}{% generation %}{{ said(message) }}{% endgeneration %}'
    + "{% else %}{{ said(message) }}{% endif %}{%- endfor %}{% if add_generation_prompt %}" + _END
)  # fmt: skip

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": about,
            "parameters": {
                "type": "object",
                "properties": {argument: {"type": kind}, "note": {"type": "string"}},
                "required": [argument],
            },
        },
    }
    for name, about, argument, kind in (
        ("set_alarm", "Set an alarm", "hour", "integer"),
        ("get_weather", "Tell the weather", "city", "string"),
    )
]


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """An assistant message that makes one call."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}


def row(asked: str, answer: dict[str, Any] | str, tools: list[dict] | None = None) -> dict[str, Any]:
    """One row."""
    said = {"role": "assistant", "content": answer} if isinstance(answer, str) else answer
    return {"messages": [{"role": "user", "content": asked}, said], "tools": TOOLS if tools is None else tools}


def rows(n: int = 12) -> list[dict[str, Any]]:
    """Rows that call and rows that refuse."""
    kinds = (
        lambda i: row(f"Set an alarm for {i}", call("set_alarm", hour=i)),
        lambda i: row(f"What is the weather in Oslo, day {i}?", call("get_weather", city="Oslo")),
        lambda i: row(f"Book a table for {i}", "I cannot do that."),
    )
    return [kinds[i % 3](i) for i in range(n)]


def base(folder: Path, architecture: str = "lfm2", **options: Any) -> Path:
    """A random model of two layers, small enough to be trained in a second."""
    return write_model(folder, **{"architecture": architecture, "hidden_size": 32, "spread": 0.05, **options})
