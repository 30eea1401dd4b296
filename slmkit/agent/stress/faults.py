"""Tools that break, on purpose: what an agent makes of it, and whether the world stays whole.

Kinds: a call that hangs, one that raises, a result that is no JSON, a huge one, one that is no UTF-8.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from slmkit.agent import database
from slmkit.agent.decision import Decider
from slmkit.agent.loop import run_tasks
from slmkit.agent.outcome import Outcome
from slmkit.agent.tasks import Task
from slmkit.agent.world import SqlSession, World, domain
from slmkit.errors import unknown
from slmkit.records import ToolCall

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("timeout", "exception", "malformed", "huge", "not_utf8")
GARBLE: dict[str, Callable[[str], str | bytes]] = {  # how a result of these kinds arrives
    "malformed": lambda text: text[:-1] + ",,",
    "huge": lambda text: text[:-1] + ', "log": "' + "x" * 1_000_000 + '"}',
    "not_utf8": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
}
HANG_S, TIMEOUT_S = 0.08, 0.03


class FaultyWorld(World):
    """The built-in world with a share `rate` of its tool calls broken, the same ones for the same seed."""

    def __init__(self, kinds: Sequence[str] = KINDS, rate: float = 0.25, seed: int = 0) -> None:
        for kind in kinds:
            if kind not in KINDS:
                raise unknown("fault", kind, KINDS)
        self.kinds, self.rate, self.seed = tuple(kinds), rate, seed
        self.injected = 0

    def open(self, task: Task, trial: int = 0, folder: str | Path | None = None) -> SqlSession:
        """A session whose calls break; which ones follows from task, trial and number of the call."""

        def fault(number: int) -> str:
            dice = Random(f"{self.seed} {task.task_id} {trial} {number}")
            return dice.choice(self.kinds) if dice.random() < self.rate else ""

        def hook(number: int, call: ToolCall) -> None:
            kind = fault(number)
            self.injected += bool(kind)
            if kind == "timeout":
                time.sleep(HANG_S)
            if kind == "exception":
                raise RuntimeError("service unavailable")

        def garble(number: int, text: str) -> str | bytes:
            return GARBLE.get(fault(number), str)(text)

        made = domain(task.domain)
        path = self.path(task, trial, folder)
        return SqlSession(made, task.world_seed, path, task.troubles, hook, garble, timeout_s=TIMEOUT_S)


def table(
    decider: Decider, tasks: Sequence[Task], kinds: Iterable[str] = KINDS, rate: float = 0.25, seed: int = 0
) -> pd.DataFrame:
    """How a decider fares with broken tools, a row a kind of fault and one (`none`) without.

    Columns: `n` tasks, `injected` faults, `success`, `refused_or_recorded` (ended otherwise, with a reason) and
    `unexplained` (neither) as shares of tasks, `half_applied` databases that no whole number of calls explains,
    `repeated_writes` counts.
    """
    import pandas as pd

    rows = []
    for kind in ("none", *kinds):
        world = FaultyWorld(KINDS if kind == "none" else (kind,), 0.0 if kind == "none" else rate, seed)
        watched = Watched(world)
        outcomes = run_tasks(tasks, decider, watched, progress=False)
        lost = [outcome for outcome in outcomes if outcome.reward < 1]
        told = sum(bool(outcome.reason or outcome.status != "done") for outcome in lost)
        rows.append(
            {
                "fault": kind,
                "n": len(tasks),
                "injected": world.injected,
                "success": (len(tasks) - len(lost)) / len(tasks),
                "refused_or_recorded": told / len(tasks),
                "unexplained": (len(lost) - told) / len(tasks),
                "half_applied": watched.half_applied,
                "repeated_writes": sum(map(repeated_writes, outcomes)),
            }
        )
    return pd.DataFrame(rows)


class Watched(World):
    """Another world, whose databases are looked at when a session closes."""

    def __init__(self, world: World) -> None:
        self.world, self.half_applied = world, 0

    def open(self, task: Task, trial: int = 0, folder: str | Path | None = None) -> Any:
        session = self.world.open(task, trial, folder)
        close = session.close

        def look() -> None:
            self.half_applied += not whole(session)  # type: ignore[arg-type]
            close()

        session.close = look  # type: ignore[method-assign]
        return session


def whole(session: SqlSession) -> bool:
    """Whether the database is what its journal says: the changes of each call that was entered, and nothing else."""
    fresh = SqlSession(session.domain, session.seed)
    state = {f"{name} {row}" for name, rows in database.rows(fresh.connection).items() for row in rows}
    fresh.close()
    for (text,) in session.connection.execute("SELECT changes FROM journal ORDER BY rowid"):
        for line in json.loads(text):
            (state.add if line[0] == "+" else state.discard)(line[2:])
    return state == {f"{name} {row}" for name, rows in database.rows(session.connection).items() for row in rows}


def repeated_writes(outcome: Outcome) -> int:
    """Writes of a task that took effect more often than its goal wants them."""
    made = [(effect.name, str(effect.arguments)) for effect in outcome.effects if effect.changes and not effect.wanted]
    done = [(effect.name, str(effect.arguments)) for effect in outcome.right_writes]
    return sum(call in done for call in made)
