"""Rivals of the cascade: random mixing, and a small model that spends more on each reply."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slmkit.agent.decision import Ask, Batched, Decision, drawn
from slmkit.agent.language import read
from slmkit.agent.routing.signals import signals, well_formed
from slmkit.models.base import Model
from slmkit.records import Reply


class _Shared(Batched):
    """Several models, each of which answers the questions that are its own."""

    def __init__(self, name: str, models: Mapping[str, Model], **options: Any) -> None:
        super().__init__(name, **options)
        self.models = dict(models)

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        names, made = self.names(asks), {}
        for name, model in self.models.items():
            places = [place for place, chosen in enumerate(names) if chosen == name]
            for place, reply in zip(places, self._chat(model, [asks[place] for place in places]), strict=True):
                made[place] = Decision(reply, model.ref, calls=(self._call(model, self.role(name), reply),))
        return [made[place] for place in range(len(asks))]

    def names(self, asks: Sequence[Ask]) -> list[str]:
        """Which of `models` answers each question."""
        raise NotImplementedError

    def role(self, name: str) -> str:
        """The role of a model's calls."""
        return name


class RandomMix(_Shared):
    """Each step goes to the large model with chance `share`, else to the small one, whatever it holds."""

    def __init__(self, small: Model, large: Model, share: float, seed: int = 0, **options: Any) -> None:
        super().__init__(f"random mix {share:.2f}", {"small": small, "large": large}, **options)
        self.share, self.seed = share, seed

    def names(self, asks: Sequence[Ask]) -> list[str]:
        return ["large" if drawn(f"{self.seed}/{ask.state.key}") < self.share else "small" for ask in asks]


class ByKind(_Shared):
    """A fixed split: steps for which `is_large` holds go to the large model."""

    def __init__(self, small: Model, large: Model, is_large: Callable[[Ask], bool], name: str, **options: Any) -> None:
        super().__init__(name, {"small": small, "large": large}, **options)
        self.is_large = is_large

    def names(self, asks: Sequence[Ask]) -> list[str]:
        return ["large" if self.is_large(ask) else "small" for ask in asks]


class ByDomain(_Shared):
    """A router over specialists: `pick` names the specialist for a question; its mistakes are part of the result."""

    def __init__(
        self, specialists: Mapping[str, Model], pick: Callable[[Sequence[Ask]], list[str]], **options: Any
    ) -> None:
        super().__init__("router over specialists", specialists, **options)
        self.pick = pick

    def names(self, asks: Sequence[Ask]) -> list[str]:
        return self.pick(asks)

    def role(self, name: str) -> str:
        return "specialist"


class Vote(Batched):
    """The reply that most of `k` samples give; of equals the one of the higher mean log-probability."""

    def __init__(self, model: Model, k: int, temperature: float = 0.7, **options: Any) -> None:
        super().__init__(f"vote of {k}", **options)
        self.model, self.k, self.temperature = model, k, temperature

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        samples = [
            self._chat(self.model, asks, temperature=self.temperature if seed else 0.0, seed=seed)
            for seed in range(self.k)
        ]
        return [self._elect([replies[place] for replies in samples]) for place in range(len(asks))]

    def _elect(self, replies: Sequence[Reply]) -> Decision:
        votes: dict[str, list[Reply]] = defaultdict(list)
        for reply in replies:
            votes[says(reply)].append(reply)
        best = max(votes.values(), key=lambda group: (len(group), max(map(mean_logprob, group))))
        calls = tuple(self._call(self.model, "vote", reply, reply is best[0]) for reply in replies)
        return Decision(best[0], self.model.ref, calls=calls, signals={"votes": len(best) / len(replies)})


class Verified(Batched):
    """A reply that fits no schema, or holds an argument found nowhere, is asked for once more under the grammar."""

    def __init__(self, model: Model, **options: Any) -> None:
        super().__init__("schema verifier", **options)
        self.model = model

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        first = self._chat(self.model, asks)
        bad = [p for p, (reply, ask) in enumerate(zip(first, asks, strict=True)) if _refused(reply, ask)]
        second = dict(zip(bad, self._chat(self.model, [asks[p] for p in bad], constrained=True), strict=True))
        return [_either(self, self.model, reply, second.get(p), asks[p], "retry") for p, reply in enumerate(first)]


class SelfCritique(Batched):
    """The model sees its own reply, is told to look at it again, and gives it once more."""

    def __init__(self, model: Model, **options: Any) -> None:
        super().__init__("self-critique", **options)
        self.model = model

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        first = self._chat(self.model, asks)
        again = [_shown(ask, reply) for ask, reply in zip(asks, first, strict=True)]
        second = self._chat(self.model, again)
        pairs = zip(first, second, asks, strict=True)
        return [_either(self, self.model, one, two, ask, "critique") for one, two, ask in pairs]


def says(reply: Reply) -> str:
    """What a reply does, in a form in which equal deeds are equal text."""
    if reply.tool_calls:
        return json.dumps([[call.name, call.parsed() or call.arguments] for call in reply.tool_calls], sort_keys=True)
    return reply.content.strip().casefold()


def mean_logprob(reply: Reply) -> float:
    """Mean log-probability of a token; minus infinity where the model gives none."""
    return reply.logprob / max(1, reply.usage.completion) if reply.logprob is not None else float("-inf")


def _refused(reply: Reply, ask: Ask) -> bool:
    found = signals(reply, ask)
    return found["invalid"] > 0 or found["ungrounded"] > 0


def _either(decider: Batched, model: Model, first: Reply, second: Reply | None, ask: Ask, role: str) -> Decision:
    """The second reply where there is one that can be carried out, else the first; both are counted."""
    later = second is not None and well_formed(second, ask.tools)
    calls = [decider._call(model, "agent", first, not later)]
    if second is not None:
        calls.append(decider._call(model, role, second, later))
    return Decision(second if later and second is not None else first, model.ref, calls=tuple(calls))


def _shown(ask: Ask, reply: Reply) -> Ask:
    said = {"role": "assistant", "content": reply.content or says(reply)}
    return Ask([*ask.messages, said, {"role": "user", "content": read("critique")["again"]}], ask.tools, ask.state)
