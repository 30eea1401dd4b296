"""Rivals of the cascade: random mixing, and a small model that spends more on each reply."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slmkit.agent.decision import Ask, Decision, ModelCall, Pricer, State, decide_all
from slmkit.agent.language import read
from slmkit.agent.routing.signals import signals, well_formed
from slmkit.models.base import Model, Request
from slmkit.records import Reply


class _Batched:
    """A decider that answers in batches; `_chat` makes the calls and counts them."""

    def __init__(self, name: str, price: Pricer | None = None, priced_at: str = "", **options: Any) -> None:
        self.name, self.price, self.priced_at = name, price, priced_at
        self.options = {"max_tokens": 160, **options}

    def decide(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], state: State) -> Decision:
        return self.decide_many([Ask(messages, tools, state)])[0]

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        raise NotImplementedError

    def _chat(self, model: Model, asks: Sequence[Ask], **options: Any) -> list[Reply]:
        requests = [Request(ask.messages, ask.tools, ask.schema) for ask in asks]
        return model.chat_many(requests, progress=False, **{**self.options, **options}) if requests else []

    def _call(self, model: Model, role: str, reply: Reply, acts: bool) -> ModelCall:
        usd = self.price(model.ref, reply.usage) if self.price else None
        return ModelCall(model.ref, role, reply, usd, self.priced_at if usd is not None else "", acts)


class RandomMix(_Batched):
    """Each step goes to the large model with chance `share`, else to the small one, whatever it holds."""

    def __init__(self, small: Model, large: Model, share: float, seed: int = 0, **options: Any) -> None:
        super().__init__(f"random mix {share:.2f}", **options)
        self.small, self.large, self.share, self.seed = small, large, share, seed

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        sides = [drawn(f"{self.seed}/{ask.state.key}") < self.share for ask in asks]
        made: dict[int, Decision] = {}
        for side, model, role in ((False, self.small, "small"), (True, self.large, "large")):
            places = [place for place, chosen in enumerate(sides) if chosen is side]
            for place, reply in zip(places, self._chat(model, [asks[place] for place in places]), strict=True):
                made[place] = Decision(reply, model.ref, calls=(self._call(model, role, reply, True),))
        return [made[place] for place in range(len(asks))]


class Vote(_Batched):
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


class Verified(_Batched):
    """A reply that fits no schema, or holds an argument found nowhere, is asked for once more under the grammar."""

    def __init__(self, model: Model, **options: Any) -> None:
        super().__init__("schema verifier", **options)
        self.model = model

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        first = self._chat(self.model, asks)
        bad = [p for p, (reply, ask) in enumerate(zip(first, asks, strict=True)) if _refused(reply, ask)]
        second = dict(zip(bad, self._chat(self.model, [asks[p] for p in bad], constrained=True), strict=True))
        return [_either(self, self.model, reply, second.get(p), asks[p], "retry") for p, reply in enumerate(first)]


class SelfCritique(_Batched):
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


class ByDomain(_Batched):
    """A router over specialists: `pick` names the specialist for a question; its mistakes are part of the result."""

    def __init__(self, specialists: Mapping[str, Model], pick: Callable[[Sequence[Ask]], list[str]], **options: Any):
        super().__init__("router over specialists", **options)
        self.specialists, self.pick = dict(specialists), pick

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        names, made = self.pick(asks), {}
        for name, model in self.specialists.items():
            places = [place for place, chosen in enumerate(names) if chosen == name]
            for place, reply in zip(places, self._chat(model, [asks[place] for place in places]), strict=True):
                made[place] = Decision(reply, model.ref, calls=(self._call(model, "specialist", reply, True),))
        return [made[place] for place in range(len(asks))]


class ByKind(_Batched):
    """A fixed split: steps for which `is_large` holds go to the large model."""

    def __init__(self, small: Model, large: Model, is_large: Callable[[Ask], bool], name: str, **options: Any):
        super().__init__(name, **options)
        self.small, self.large, self.is_large = small, large, is_large

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        made: dict[int, Decision] = {}
        for side, model, role in ((False, self.small, "small"), (True, self.large, "large")):
            places = [place for place, ask in enumerate(asks) if self.is_large(ask) is side]
            for place, reply in zip(places, self._chat(model, [asks[place] for place in places]), strict=True):
                made[place] = Decision(reply, model.ref, calls=(self._call(model, role, reply, True),))
        return [made[place] for place in range(len(asks))]


def says(reply: Reply) -> str:
    """What a reply does, in a form in which equal deeds are equal text."""
    if reply.tool_calls:
        return json.dumps([[call.name, call.parsed() or call.arguments] for call in reply.tool_calls], sort_keys=True)
    return reply.content.strip().casefold()


def mean_logprob(reply: Reply) -> float:
    """Mean log-probability of a token; minus infinity where the model gives none."""
    return reply.logprob / max(1, reply.usage.completion) if reply.logprob is not None else float("-inf")


def drawn(name: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 0x1_0000_0000


def agreement(replies: Sequence[Reply]) -> float:
    """Share of the most frequent reply."""
    return Counter(map(says, replies)).most_common(1)[0][1] / len(replies)


def _refused(reply: Reply, ask: Ask) -> bool:
    found = signals(reply, ask)
    return found["invalid"] > 0 or found["ungrounded"] > 0


def _either(decider: _Batched, model: Model, first: Reply, second: Reply | None, ask: Ask, role: str) -> Decision:
    """The second reply where there is one that can be carried out, else the first; both are counted."""
    later = second is not None and well_formed(second, ask.tools)
    calls = [decider._call(model, "agent", first, not later)]
    if second is not None:
        calls.append(decider._call(model, role, second, later))
    return Decision(second if later and second is not None else first, model.ref, calls=tuple(calls))


def _shown(ask: Ask, reply: Reply) -> Ask:
    said = {"role": "assistant", "content": reply.content or says(reply)}
    return Ask([*ask.messages, said, {"role": "user", "content": read("critique")["again"]}], ask.tools, ask.state)


__all__ = ["ByDomain", "ByKind", "RandomMix", "SelfCritique", "Verified", "Vote", "decide_all"]
