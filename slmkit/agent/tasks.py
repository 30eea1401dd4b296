"""A task: what a user wants, turn by turn, and by what end it is judged. Written once, read by every part."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Call = dict[str, Any]  # {"name": str, "arguments": dict}
End = Literal["done", "answer", "refuse", "ask", "report"]
KINDS = ("call", "several", "chain", "conditional", "refuse", "clarify", "tool_error")


@dataclass(frozen=True)
class Turn:
    """One thing that the user says, and what should come of it.

    `calls` are the goal's calls in order, each a step of its own; `end` is how the agent should close the turn, with
    the text `says`. `answers` are strings that the closing text must hold. Where `end` is `ask`, the next turn is
    the user's answer.
    """

    text: str
    calls: tuple[Call, ...] = ()
    end: End = "done"
    says: str = ""
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A task of one domain. `world_seed` is the population of the database before the task.

    `troubles` maps the number of a tool call (counted from 0 over the task) to what goes wrong with it. `n_calls` is
    the number of calls on the goal's way, `kind` one of KINDS, `split` train, calibration or test.
    """

    task_id: str
    domain: str
    split: str
    kind: str
    world_seed: int
    turns: tuple[Turn, ...]
    troubles: dict[int, str] = field(default_factory=dict)

    @property
    def n_calls(self) -> int:
        return sum(len(turn.calls) for turn in self.turns)

    @property
    def goal(self) -> list[Call]:
        """The calls that lead from the first state of the database to the goal state."""
        return [call for turn in self.turns for call in turn.calls]

    def row(self) -> dict[str, Any]:
        """The task as a JSON object."""
        return asdict(self) | {"troubles": {str(place): trouble for place, trouble in self.troubles.items()}}
