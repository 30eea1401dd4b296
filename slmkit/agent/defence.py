"""Defence against instructions in foreign text: what is shown to models, and when the user must confirm a write.

Words of the user are the user's will, but what the user quotes is not, nor is free text in a tool result. Results
of tools keep numbers and short values; a longer text is withheld. From then on the conversation counts as tainted,
and each write needs a yes of the user, outside the conversation, so that no model can give it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_QUOTED = re.compile(r'"([^"]+)"|«([^»]+)»|“([^”]+)”|```(.+?)```', re.S)


@dataclass(frozen=True)
class Defence:
    """`value_chars` is the longest text in a tool result that passes, `quote_chars` the shortest quote that taints."""

    value_chars: int = 30
    quote_chars: int = 25

    def withhold(self, text: str) -> tuple[str, str]:
        """A tool result without its long texts, and why it taints the conversation (empty where it does not)."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        cut: list[int] = []
        kept = self._kept(value, cut)
        if not cut:
            return text, ""
        return json.dumps(kept, ensure_ascii=False), f"a tool result held a text of {max(cut)} characters"

    def quoted(self, text: str) -> str:
        """Why a message of the user taints the conversation: a quote that is long enough to hold an instruction."""
        quotes = [part for match in _QUOTED.findall(text) for part in match if len(part) >= self.quote_chars]
        return f"the user quoted a text of {max(map(len, quotes))} characters" if quotes else ""

    def _kept(self, value: Any, cut: list[int]) -> Any:
        if isinstance(value, dict):
            return {self._kept(str(key), cut): self._kept(part, cut) for key, part in value.items()}
        if isinstance(value, list):
            return [self._kept(part, cut) for part in value]
        if isinstance(value, str) and len(value) > self.value_chars:
            cut.append(len(value))
            return f"[text of {len(value)} characters withheld]"
        return value
