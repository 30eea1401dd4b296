"""The world of the agent: business domains on real databases, and the tools that act on them.

A call is checked before it has any effect, runs in one transaction, and is entered in a journal in that same
transaction: a call that is made again under its key (by a run that resumes) gives the journal's result.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from slmkit.agent import database
from slmkit.agent.decision import Access
from slmkit.agent.language import system
from slmkit.agent.observe import observation, within
from slmkit.agent.outcome import Effect
from slmkit.agent.tasks import Call, Task
from slmkit.agent.tools import Domain, Tool, ToolError, checked
from slmkit.errors import unknown
from slmkit.records import ToolCall

DOMAINS = ("car_rental", "insurance_claims")
Hook = Callable[[int, ToolCall], Any]  # number of the call and the call: may raise what a tool may raise, or hang
Garble = Callable[[int, str], str | bytes]  # number of the call and its result, as it comes over a bad line
TIMEOUT_S = 10.0


class Session(Protocol):
    """The world as one trial sees it."""

    system: str
    tools: list[dict[str, Any]]
    access: Mapping[str, Access]
    own_errors: bool  # whether errors are this program's words, and not those of a foreign server

    def call(self, call: ToolCall, key: str) -> Effect: ...

    def reached(self, task: Task) -> bool: ...

    def close(self) -> None: ...


class World:
    """The built-in domains. A subclass may open other sessions (`outside.client`) or break tools (`stress`)."""

    def open(self, task: Task, trial: int = 0, folder: str | Path | None = None) -> Session:
        """A session on a fresh database of the task, in memory or in a file of `folder`."""
        return SqlSession(domain(task.domain), task.world_seed, self.path(task, trial, folder), task.troubles)

    def path(self, task: Task, trial: int, folder: str | Path | None) -> Path | None:
        """The file of a trial's database; its name holds no sign that could lead out of the folder."""
        name = re.sub(r"[^\w.-]", "_", task.task_id).lstrip(".")
        return None if folder is None else Path(folder) / f"{name}-{trial}.sqlite"


@cache
def domain(name: str) -> Domain:
    """A domain by name; raises InputError with the nearest name."""
    if name not in DOMAINS:
        raise unknown("domain", name, DOMAINS)
    from slmkit.agent.domains import car_rental, insurance_claims

    return {"car_rental": car_rental.DOMAIN, "insurance_claims": insurance_claims.DOMAIN}[name]


@cache
def population(name: str, seed: int) -> bytes:
    """The database of a domain before any task, as SQLite's own bytes."""
    made = domain(name)
    connection = database.build(made.schema)
    with database.transaction(connection):
        made.populate(connection, seed)
    content = connection.serialize()
    connection.close()
    return content


@cache
def goal_digest(name: str, seed: int, goal: str) -> str:
    """The state after the calls of `goal` (JSON text); an error of a goal's call leaves the state as it is."""
    session = SqlSession(domain(name), seed)
    for number, call in enumerate(json.loads(goal)):
        session.call(ToolCall(name=call["name"], arguments=json.dumps(call["arguments"])), f"goal/{number}")
    state = database.digest(session.connection)
    session.close()
    return state


class SqlSession:
    """One database and the tools on it.

    `troubles` breaks calls by their number, `hook` runs before each (for `timeout_s` seconds at most), `garble`
    changes each result.
    """

    def __init__(
        self,
        domain: Domain,
        seed: int,
        path: Path | None = None,
        troubles: Mapping[int, str] | None = None,
        hook: Hook | None = None,
        garble: Garble | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.domain, self.seed, self.own_errors = domain, seed, True
        self.system = system(domain.name)
        self.tools = [tool.schema for tool in domain.tools]
        self.access = {tool.name: tool.access for tool in domain.tools}
        self.connection = database.copy(population(domain.name, seed), path)
        self.troubles, self.hook, self.garble = dict(troubles or {}), hook, garble
        self.timeout_s = timeout_s
        self.number = 0

    def call(self, call: ToolCall, key: str) -> Effect:
        """Check a call, run it, and say what came of it; never raises for what a model or a tool did."""
        arguments = call.parsed()
        tool, problem = checked(self.domain.tools, call.name, arguments)
        access = self.access.get(call.name, "")
        if tool is None or arguments is None:
            return Effect(call.name, arguments, access, "invalid", error_text(problem))
        number, self.number = self.number, self.number + 1
        if known := self._journal(key):
            return Effect(call.name, arguments, access, known[0], known[1], tuple(json.loads(known[2])))  # type: ignore[arg-type]
        try:
            if number in self.troubles:
                raise TimeoutError(self.troubles[number])
            if self.hook:
                hook = self.hook
                within(self.timeout_s, lambda: hook(number, call))
            return self._run(tool, arguments, key, number)
        except ToolError as error:
            return self._failed(call.name, arguments, access, key, "error", str(error))
        except Exception as error:  # a tool may break in any way
            return self._failed(call.name, arguments, access, key, "fault", str(error) or type(error).__name__)

    def reached(self, task: Task) -> bool:
        """Whether the database is in the state that the task's goal leads to."""
        return database.digest(self.connection) == goal_digest(self.domain.name, self.seed, goal_text(task.goal))

    def close(self) -> None:
        self.connection.close()

    def _run(self, tool: Tool, arguments: dict[str, Any], key: str, number: int) -> Effect:
        writes = tool.access != "read"
        before = database.rows(self.connection) if writes else {}
        with database.transaction(self.connection), database.deadline(self.connection, self.timeout_s):
            raw: str | bytes = json.dumps(tool.run(self.connection, arguments), ensure_ascii=False)
            changed = database.changes(before, database.rows(self.connection)) if writes else ()
            text, fault = observation(self.garble(number, str(raw)) if self.garble else raw, writes)
            self._enter(key, "fault" if fault else "ok", text, changed)
        return Effect(tool.name, arguments, tool.access, "fault" if fault else "ok", text, changed)

    def _failed(self, name: str, arguments: dict[str, Any], access: str, key: str, status: Any, why: str) -> Effect:
        text = error_text(why)
        with database.transaction(self.connection):
            self._enter(key, status, text, ())
        return Effect(name, arguments, access, status, text)

    def _journal(self, key: str) -> sqlite3.Row | None:
        return self.connection.execute("SELECT status, result, changes FROM journal WHERE key = ?", (key,)).fetchone()

    def _enter(self, key: str, status: str, text: str, changed: tuple[str, ...]) -> None:
        row = (key, status, text, json.dumps(changed))
        self.connection.execute("INSERT INTO journal (key, status, result, changes) VALUES (?, ?, ?, ?)", row)


def error_text(why: str) -> str:
    """A tool's no, as the model sees it."""
    return json.dumps({"error": why[:200]}, ensure_ascii=False)


def goal_text(goal: Sequence[Call]) -> str:
    return json.dumps(list(goal), sort_keys=True)
