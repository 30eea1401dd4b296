"""The user of a task: says the turns of the script, answers a question, confirms what was meant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from slmkit.agent.language import language, marked
from slmkit.agent.tasks import Task
from slmkit.capability.scoring import same_json


@dataclass
class User:
    """Follows the script of one task and keeps what the agent said at the end of each turn."""

    task: Task
    place: int = 0
    closings: list[str] = field(default_factory=list)
    asked_in_vain: bool = False
    confirmations: int = 0

    def first(self) -> str:
        return self.task.turns[0].text

    @property
    def finished(self) -> bool:
        return self.place >= len(self.task.turns)

    def hears(self, text: str) -> str | None:
        """What the user says to the agent's words; None where the conversation is over.

        A question that the script does not foresee is answered once in a turn, with the word that all has been said.
        """
        if self.finished:
            return None
        turn = self.task.turns[self.place]
        if marked(text, "ask") and turn.end != "ask" and not self.asked_in_vain:
            self.asked_in_vain = True
            return language()["user"]["nothing_more"]
        self.closings.append(text)
        self.place += 1
        self.asked_in_vain = False
        return None if self.finished else self.task.turns[self.place].text

    def confirms(self, name: str, arguments: dict[str, Any] | None) -> bool:
        """Whether a call that the agent asks about is one that the goal holds."""
        self.confirmations += 1
        return any(call["name"] == name and same_json(call["arguments"], arguments) for call in self.task.goal)
