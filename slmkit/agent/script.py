"""One item of a task, played on a database: slots drawn, calls carried out, texts filled in.

In the data, `{slot}` alone stands for the value itself, within a text for its words; `{r0.usd}` is a field of the first
call's result, `{r0.vehicles.0.model}` of a list's element, `.min:FIELD` the element where that field is smallest,
`.all:FIELD` that field of all. In phrasings, `{this|that|}` is one of the options.
"""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from random import Random
from typing import Any

from slmkit.agent.language import read
from slmkit.agent.tasks import Turn
from slmkit.agent.world import SqlSession, domain
from slmkit.mini import values
from slmkit.mini.catalog import Arg
from slmkit.records import ToolCall

_SLOT = re.compile(r"\{([\w.:]+)\}")


class Blocked(Exception):
    """This item cannot be played on this database."""


class Stage:
    """A database on which the items of one task are played in order, in the phrasings of a split."""

    def __init__(self, name: str, split: str, world_seed: int, rng: Random) -> None:
        self.name, self.split, self.rng = name, split, rng
        self.session = SqlSession(domain(name), world_seed)
        self.slots: dict[str, Any] = {}
        self.used: set[str] = set()
        self.count = 0

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def play(self, item: dict[str, Any]) -> list[Turn]:
        """The turns of an item; raises Blocked where its rows or its calls do not come about."""
        kept = {item["follows"]: self.slots[item["follows"]]} if "follows" in item else {}
        self.slots, self.said = dict(kept), {name: str(value) for name, value in kept.items()}
        if "rows" in item:
            self._row(item["rows"])
        for slot, kind in (item.get("needs") or {}).items():
            self.slots[slot], self.said[slot] = self._draw(kind)
        return [self._turn(turn, item) for turn in item.get("turns", [item])]

    def _turn(self, turn: dict[str, Any], item: dict[str, Any]) -> Turn:
        calls, results = [], {}
        for number, (tool, pattern) in enumerate(turn.get("calls", ())):
            call = {"name": tool, "arguments": self._filled(pattern, results)}
            self.count += 1
            done = self.session.call(ToolCall(name=tool, arguments=json.dumps(call["arguments"])), f"made/{self.count}")
            if (done.status == "ok") == bool(turn.get("fails")) or done.status in ("invalid", "fault"):
                raise Blocked(f"{item['name']}: {done.text}")
            results[f"r{number}"] = json.loads(done.text)
            calls.append(call)
        source = turn if self.split in turn else _named(self.name, item["like"])
        phrasing = values.choose(self.rng.choice(source[self.split]), self.rng)
        text = _SLOT.sub(lambda match: self.said[match.group(1)], phrasing)
        answers = [self._filled(answer, results) for answer in turn.get("answers", ())]
        flat = [part for answer in answers for part in (answer if isinstance(answer, list) else [answer])]
        says = self._told(turn["says"], results)
        return Turn(text, tuple(calls), turn.get("end", "done"), says, tuple(map(str, flat)))

    def _row(self, query: str) -> None:
        """Slots from a row that this task has not used yet."""
        found = [dict(row) for row in self.session.connection.execute(query)]
        free = [row for row in found if not self.used & {str(value) for name, value in row.items() if _is_id(name)}]
        if not free:
            raise Blocked(query)
        row = self.rng.choice(sorted(free, key=str))
        self.used |= {str(value) for name, value in row.items() if _is_id(name)}
        self.slots |= row
        self.said |= {name: str(value) for name, value in row.items()}

    def _draw(self, kind: str) -> tuple[Any, str]:
        """A value of a kind, and the words for it."""
        head, _, rest = kind.partition(" ")
        if head == "int":
            low, high = map(int, rest.split(".."))
            number = self.rng.randint(low, high)
            return number, str(number)
        if head == "date":
            day = (date(2027, 1, 1) + timedelta(days=self.rng.randrange(365))).isoformat()
            return day, day
        if head == "after":  # days after a date; the days are a range or another slot
            slot, days = rest.split()
            more = self.slots[days] if days in self.slots else self._draw(f"int {days}")[0]
            day = (date.fromisoformat(self.slots[slot]) + timedelta(days=more)).isoformat()
            return day, day
        if head == "made":  # an id that no row has
            number = f"{rest}{self.rng.randint(1_000, 9_999)}"
            return (number, number) if number not in self.used else self._draw(kind)
        options = tuple(part.strip() for part in rest.split(",")) if rest else ()
        return values.value(Arg((head,), head, options), self.rng)

    def _filled(self, pattern: Any, results: dict[str, Any]) -> Any:
        """Arguments with their slots filled, typed where a slot stands alone."""
        if isinstance(pattern, dict):
            return {key: self._filled(part, results) for key, part in pattern.items()}
        if not isinstance(pattern, str):
            return pattern
        alone = _SLOT.fullmatch(pattern)
        return self._value(alone.group(1), results) if alone else self._told(pattern, results)

    def _told(self, pattern: str, results: dict[str, Any]) -> str:
        def words(match: re.Match[str]) -> str:
            value = self._value(match.group(1), results)
            return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

        return _SLOT.sub(words, pattern)

    def _value(self, path: str, results: dict[str, Any]) -> Any:
        """What a slot or a path into a result stands for; raises Blocked where the result has no such field."""
        first, *rest = path.split(".")
        value = results[first] if first in results else self.slots[first]
        try:
            for step in rest:
                if step.startswith("min:"):
                    value = min(value, key=lambda part: part[step[4:]])
                elif step.startswith("all:"):
                    value = [part[step[4:]] for part in value]
                else:
                    value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError, ValueError):
            raise Blocked(f"{path}: not in the result") from None
        if isinstance(value, list) and not value:
            raise Blocked(f"{path}: empty")
        return value


def _is_id(name: str) -> bool:
    return name in ("rental", "claim", "other")


def _named(domain_name: str, name: str) -> dict[str, Any]:
    return next(item for item in read(f"tasks/{domain_name}")["items"] if item["name"] == name)
