"""What stops an agent that goes round in circles or runs out of its means."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field

from slmkit.agent.decision import Decision


@dataclass(frozen=True)
class Limits:
    """Bounds of one task. None: no bound. `repeats` identical calls without new information end the task.

    `invalid` replies that could not be carried out end it too; `steps_a_turn` bounds the steps between two words of
    the user. Tokens are those of all model calls, prompts included; a call of unknown price counts as no money.
    """

    steps: int = 60
    steps_a_turn: int = 14
    tokens: int | None = 400_000
    usd: float | None = None
    repeats: int = 2
    invalid: int = 3


@dataclass
class Spent:
    """What a task has used so far."""

    limits: Limits
    steps: int = 0
    since_user: int = 0
    tokens: int = 0
    usd: float = 0.0

    def add(self, decision: Decision) -> None:
        self.steps += 1
        self.since_user += 1
        self.tokens += decision.usage.prompt + decision.usage.completion
        self.usd += decision.usd or 0.0

    def over(self) -> str:
        """The limit that has been reached, in words; empty where none is."""
        limits = self.limits
        if self.steps >= limits.steps:
            return f"limit of {limits.steps} steps"
        if self.since_user >= limits.steps_a_turn:
            return f"limit of {limits.steps_a_turn} steps in one turn"
        if limits.tokens is not None and self.tokens >= limits.tokens:
            return f"limit of {limits.tokens:,} tokens"
        if limits.usd is not None and self.usd >= limits.usd:
            return f"limit of {limits.usd} USD"
        return ""


@dataclass
class RepeatGuard:
    """Counts calls that repeat an earlier one although nothing new has been learnt since.

    New information is a word of the user, a result that differs from what that call gave before, or the effect of
    a write; a fault (a tool that broke) allows one more try of the same call.
    """

    seen: dict[str, str] = field(default_factory=dict)  # call to its result since the last news
    retried: set[str] = field(default_factory=set)
    count: int = 0

    def repeated(self, name: str, arguments: str) -> bool:
        """Whether this call would be a repetition; counts it where it is."""
        if self._key(name, arguments) in self.seen:
            self.count += 1
            return True
        return False

    def learnt(self, name: str, arguments: str, result: str, wrote: bool, fault: bool) -> None:
        """Note what a call gave."""
        key = self._key(name, arguments)
        if fault and key not in self.retried:
            self.retried.add(key)
            return
        if wrote:
            self.seen.clear()
        self.seen[key] = result

    def news(self) -> None:
        """The user has spoken."""
        self.seen.clear()
        self.retried.clear()

    @staticmethod
    def _key(name: str, arguments: str) -> str:
        with suppress(ValueError, RecursionError):
            arguments = json.dumps(json.loads(arguments), sort_keys=True)
        return f"{name} {arguments}"
