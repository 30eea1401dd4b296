"""The log of a served cascade: one `records.Call` a line, secrets masked, and the agreement that it shows."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from slmkit import files, stats
from slmkit.agent.decision import Ask, Decision, ModelCall
from slmkit.agent.trace import Trace, lines_of
from slmkit.errors import InputError
from slmkit.records import Call

MASK = "[secret]"
_SECRET = re.compile(
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}|\bhf_[A-Za-z0-9]{20,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bAKIA[A-Z0-9]{16}\b"
    r"|\bxox[abpr]-[A-Za-z0-9-]{10,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}"
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{12,}"
)
_NAMED = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")


def masked(line: str, extra: Iterable[str] = ()) -> str:
    """A JSON line with keys masked: common forms, and the values of the environment's own secrets."""
    for value in {*extra, *(value for name, value in os.environ.items() if _NAMED.search(name))}:
        if len(value) >= 8:
            line = line.replace(json.dumps(value)[1:-1], MASK)
    return _SECRET.sub(MASK, line)


class ServedLog:
    """Appends to one file from several threads; each line is on the disk before the answer leaves."""

    def __init__(self, path: str | Path, secrets: Iterable[str] = ()) -> None:
        self.trace, self.secrets, self.lock = Trace(path), tuple(secrets), threading.Lock()

    def decided(self, ask: Ask, decision: Decision) -> None:
        """The model calls behind an answer."""
        self._append(lines_of(ask, decision, "slmkit serve"))

    def shadowed(self, ask: Ask, decision: Decision, call: ModelCall, agrees: bool) -> None:
        """What the large model would have said: a line of its own, with whether both say the same."""
        (line,) = lines_of(ask, Decision(call.reply, call.model, calls=(call,)), "slmkit serve")
        known = {"role": "shadow", "acts": False, "kind": ask.state.kind, "agrees": agrees}
        self._append([line.model_copy(update={"call_id": f"{line.trace_id}/0/shadow", "sampling": known})])

    def close(self) -> None:
        self.trace.close()

    def _append(self, calls: list[Call]) -> None:
        kept = [Call.model_validate_json(masked(call.model_dump_json(), self.secrets)) for call in calls]
        with self.lock:
            self.trace.append(kept)


def shadow_rows(path: str | Path) -> pd.DataFrame:
    """The lines in shadow: at (UTC), agrees. InputError names a line that is no record, or a log without any."""
    rows = []
    for number, row in enumerate(files.read_jsonl(path), 1):
        said = row.get("sampling")
        if not isinstance(said, dict) or "messages" not in row:
            raise InputError(f"{path}:{number}: no record of a call; name a log that `slmkit serve` wrote")
        if said.get("role") == "shadow" and "agrees" in said:
            rows.append({"at": row.get("ended_at"), "agrees": bool(said["agrees"])})
    if not rows:
        raise InputError(f"{path}: no call in shadow; serve with --shadow 0.02 and let some traffic pass")
    table = pd.DataFrame(rows)
    return table.assign(at=pd.to_datetime(table["at"], utc=True)).sort_values("at", ignore_index=True)


def report(path: str | Path, windows: int = 8) -> list[dict[str, Any]]:
    """Agreement over time: the shadow sample in `windows` equal parts, oldest first, and over all.

    Fields: window, since, until, n, k, agreement with low and high (Wilson, 95 %).
    """
    table = shadow_rows(path)
    size = max(1, -(-len(table) // windows))
    parts = [(f"{1 + start // size}", table.iloc[start : start + size]) for start in range(0, len(table), size)]
    rows = []
    for name, part in [*parts, ("all", table)]:
        k, n = int(part["agrees"].sum()), len(part)
        low, high = stats.wilson(k, n)
        rows.append({"window": name, "since": str(part["at"].iloc[0])[:19], "until": str(part["at"].iloc[-1])[:19],
                     "n": n, "k": k, "agreement": k / n, "low": low, "high": high})  # fmt: skip
    return rows
