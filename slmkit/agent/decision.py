"""What decides the next step of an agent: what it is asked, what it answers, and what that cost.

A decider is a model, a cascade of models, a vote, or a script. The loop (`slmkit.agent.loop`) takes any of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from slmkit.models.base import Model, Request, Sampling
from slmkit.records import Reply, Usage

Access = Literal["read", "write", "irreversible"]
Pricer = Callable[[str, Usage], float | None]  # model reference and tokens to USD, None where no price is known


@dataclass(frozen=True)
class ModelCall:
    """One model call behind a decision. `role` says what it was for: `agent`, `small`, `large`, `vote`, `check`, ...

    `acts` is True for the call whose reply was carried out (False in shadow, or when it was overruled).
    """

    model: str
    role: str
    reply: Reply
    usd: float | None = None
    priced_at: str = ""
    acts: bool = True


@dataclass(frozen=True)
class Decision:
    """One step: the reply to carry out, who gave it, and every model call that was made for it.

    `escalated_because` names the reasons for which the large model was asked, empty where it was not.
    `signals` are numbers that a router may use: confidence, grounding, risk. `gave_up` is set where no allowed
    decision could be had (for example `"needs the large model"`): the loop then ends the task with these words.
    """

    reply: Reply
    answered_by: str
    escalated_because: tuple[str, ...] = ()
    calls: tuple[ModelCall, ...] = ()
    signals: Mapping[str, float] = field(default_factory=dict)
    gave_up: str = ""

    @property
    def usd(self) -> float | None:
        """USD of all calls; None where the price of any of them is not known."""
        costs = [call.usd for call in self.calls]
        return None if any(cost is None for cost in costs) else float(sum(cost or 0.0 for cost in costs))

    @property
    def usage(self) -> Usage:
        """Tokens of all calls."""
        fields = Usage.model_fields
        return Usage(**{name: sum(getattr(call.reply.usage, name) for call in self.calls) for name in fields})

    @property
    def latency_s(self) -> float:
        """Seconds of all calls, one after the other."""
        return sum(call.reply.latency_s or 0.0 for call in self.calls)


@dataclass(frozen=True)
class State:
    """What the loop knows when it asks for a decision; all of it serialises to JSON but for `access`.

    `history` is the whole canonical conversation, where `messages` of an `Ask` is the bounded view of it.
    `access` marks each tool as read, write or irreversible. `kind` is the kind of step: `call` (after the user
    spoke), `result` (after a tool result) or `errand:NAME` in code agency. `failures` counts tool errors so far,
    `repeats` identical calls, `invalid` replies that could not be carried out; `since_user` counts steps since
    the user last spoke.
    """

    task_id: str = ""
    trial: int = 0
    step: int = 0
    domain: str = ""
    kind: str = "call"
    policy: str = ""
    access: Mapping[str, Access] = field(default_factory=dict)
    history: tuple[dict[str, Any], ...] = ()
    failures: int = 0
    repeats: int = 0
    invalid: int = 0
    since_user: int = 0
    seed: int = 0

    @property
    def key(self) -> str:
        """Name of this step in stored outcomes."""
        return f"{self.task_id}/{self.trial}/{self.step}"


@dataclass(frozen=True)
class Ask:
    """One question to a decider: OpenAI chat messages, the tools on offer, the state; `schema` for an errand."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    state: State
    schema: dict[str, Any] | None = None


@runtime_checkable
class Decider(Protocol):
    """Decides one step. `name` stands in traces and figures."""

    name: str

    def decide(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], state: State) -> Decision: ...


@runtime_checkable
class BatchDecider(Decider, Protocol):
    """A decider that answers many tasks in one go, order kept; the loop prefers it."""

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]: ...


def decide_all(decider: Decider, asks: Sequence[Ask]) -> list[Decision]:
    """A decision for each question, in one batch where the decider can."""
    if isinstance(decider, BatchDecider):
        return decider.decide_many(asks)
    return [decider.decide(ask.messages, ask.tools, ask.state) for ask in asks]


class Batched:
    """What deciders that ask models share: questions in batches, and each call with its price.

    `price` gives the USD of a call, `priced_at` says what these prices are; `options` are those of
    `models.base.Sampling`, InputError for one that it lacks.
    """

    def __init__(self, name: str, price: Pricer | None = None, priced_at: str = "", **options: Any) -> None:
        self.name, self.price, self.priced_at = name, price, priced_at
        self.options = {"max_tokens": 160, **options}
        Sampling.of(**self.options)

    def decide(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], state: State) -> Decision:
        return self.decide_many([Ask(messages, tools, state)])[0]

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        raise NotImplementedError

    def _chat(self, model: Model, asks: Sequence[Ask], **options: Any) -> list[Reply]:
        requests = [Request(ask.messages, ask.tools, ask.schema) for ask in asks]
        return model.chat_many(requests, progress=False, **{**self.options, **options}) if requests else []

    def _call(self, model: Model, role: str, reply: Reply, acts: bool = True) -> ModelCall:
        usd = self.price(model.ref, reply.usage) if self.price else None
        return ModelCall(model.ref, role, reply, usd, self.priced_at if usd is not None else "", acts)


class ModelDecider(Batched):
    """One model alone. `by_kind` names another model for a kind of step (`call`, `result`, `errand:NAME`).

    A step's seed differs by trial, so that trials differ when `temperature` is above 0.
    """

    def __init__(
        self,
        model: Model,
        *,
        name: str = "",
        by_kind: Mapping[str, Model] | None = None,
        role: str = "agent",
        **options: Any,
    ) -> None:
        super().__init__(name or model.ref, **options)
        self.model, self.by_kind, self.role = model, dict(by_kind or {}), role

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        decisions: list[Decision | None] = [None] * len(asks)
        groups: dict[tuple[int, int], list[int]] = {}
        for index, ask in enumerate(asks):
            seed = self.options.get("seed", 0) + 1_000 * ask.state.trial if self.options.get("temperature") else 0
            groups.setdefault((id(self._model(ask)), seed), []).append(index)
        for (_, seed), members in groups.items():
            model = self._model(asks[members[0]])
            replies = self._chat(model, [asks[index] for index in members], **({"seed": seed} if seed else {}))
            for index, reply in zip(members, replies, strict=True):
                call = self._call(model, self.role, reply)
                decisions[index] = Decision(reply, model.ref, calls=(call,), signals=signals_of(reply))
        return decisions  # type: ignore[return-value]

    def _model(self, ask: Ask) -> Model:
        return self.by_kind.get(ask.state.kind, self.model)


def signals_of(reply: Reply) -> dict[str, float]:
    """What a reply itself says of its certainty: the mean log-probability of a token, where the model gives one."""
    if reply.logprob is None or not reply.usage.completion:
        return {}
    return {"mean_logprob": reply.logprob / reply.usage.completion}


def drawn(name: str) -> float:
    """A number in [0, 1) that depends on the name alone, so that each run draws alike."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 0x1_0000_0000
