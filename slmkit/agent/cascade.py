"""The cascade: the small model answers, and the large one is asked where the reply looks wrong or must not be wrong.

Both calls are counted. What cannot be undone is done only where both models say the same, or the user confirms it. The
conversation is handed over whole: each model sees the same messages and the same tools.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from slmkit.agent.decision import Ask, Batched, Decision, ModelCall, drawn
from slmkit.agent.language import language, marked
from slmkit.agent.routing.routing import Routing
from slmkit.agent.routing.signals import reasons, signals, well_formed
from slmkit.models.base import Model
from slmkit.records import Reply, ToolCall

NEEDS_LARGE = "needs the large model"
DECLINED = "the user did not confirm"
REST_S = 30.0  # after a failure the large model is left alone this long, so that its absence costs no waiting


class Cascade(Batched):
    """Small first, large by exception, as a `Routing` says; a `BatchDecider`.

    `large` may be None: the large model is gone. `shadow` is a share of the decisions on which the large model is asked
    too although the small one acts; what it would have said is kept in `calls`, with `acts=False`. `options` are
    `price`, `priced_at` and sampling, as in `Batched`.
    """

    def __init__(
        self,
        small: Model,
        large: Model | None,
        routing: Routing,
        *,
        name: str = "cascade",
        shadow: float = 0.0,
        rest_s: float = REST_S,
        **options: Any,
    ) -> None:
        super().__init__(name, **{**routing.sampling, **options})
        self.small, self.large, self.routing, self.shadow, self.rest_s = small, large, routing, shadow, rest_s
        self._rest = {"until": 0.0}  # shared by copies with other sampling

    @property
    def resting(self) -> bool:
        """Whether the large model is gone, or was when it was last asked."""
        return self.large is None or time.monotonic() < self._rest["until"]

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        """A decision for each question: one batch of the small model, then one of the large for those it is for."""
        decisions: dict[int, Decision] = {
            place: confirmed for place, ask in enumerate(asks) if (confirmed := self._confirmed(ask))
        }
        first = [place for place in range(len(asks)) if place not in decisions]
        small = dict(zip(first, self._chat(self.small, [asks[place] for place in first]), strict=True))
        seen = {place: signals(small[place], asks[place]) for place in first}
        why = {place: self._why(seen[place], small[place]) for place in first}
        shadowed = {place for place in first if not why[place] and self._in_shadow(asks[place])}
        second = [place for place in first if why[place] or place in shadowed]
        large = dict(zip(second, self._ask_large([asks[place] for place in second]), strict=True))
        for place in first:
            decisions[place] = self._settle(
                asks[place], small[place], large.get(place), seen[place], why[place], place in shadowed
            )
        return [decisions[place] for place in range(len(asks))]

    def _why(self, found: dict[str, float], reply: Reply) -> list[str]:
        """Why the large model should be asked; the risk is put among the signals."""
        routing = self.routing
        found["risk"] = routing.scorer.risk(found) if routing.scorer else 0.0
        because = reasons(found, routing.rules)
        if found["risk"] >= routing.threshold or (reply.error and "invalid" not in because):
            because.append("risk")
        return because

    def _settle(
        self, ask: Ask, small: Reply, large: Reply | None, found: dict[str, float], why: list[str], shadowed: bool
    ) -> Decision:
        """What is carried out: the reply of one of the two, a question to the user, or nothing."""
        said = large is not None and large.error is None
        took_over = bool(why) and said
        calls = [self._call(self.small, "small", small, not took_over)]
        if large is not None and self.large is not None:
            calls.append(self._call(self.large, "shadow" if shadowed else "large", large, took_over))
        reply = large if took_over and large is not None else small
        answered = self.large.ref if took_over and self.large is not None else self.small.ref
        made: dict[str, Any] = {"escalated_because": tuple(why), "calls": tuple(calls), "signals": found}
        if shadowed and said:
            found["agrees"] = float(same(small, large))  # type: ignore[arg-type]
        if why and not said and (not well_formed(small, ask.tools) or found["risk"] >= self.routing.alone):
            return Decision(small, answered, gave_up=NEEDS_LARGE, **made)
        undone = [call for call in reply.tool_calls if ask.state.access.get(call.name) == "irreversible"]
        if undone and self.routing.confirm and not (took_over and same(small, reply)):
            return self._ask_user(ask, undone[0], answered, made)
        return Decision(reply, answered, **made)

    def _ask_user(self, ask: Ask, call: ToolCall, answered: str, made: dict[str, Any]) -> Decision:
        """A question to the user in place of what cannot be undone; given up where it was declined before."""
        question = _question(call)
        if any(m["role"] == "assistant" and m.get("content") == question for m in ask.state.history):
            return Decision(Reply(content=question), answered, gave_up=DECLINED, **made)
        return Decision(Reply(content=question, finish_reason="stop"), answered, **made)

    def _confirmed(self, ask: Ask) -> Decision | None:
        """The call that the user has just said yes to; no model is asked again."""
        history = ask.state.history
        if len(history) < 2 or history[-1]["role"] != "user" or not _yes(history[-1].get("content")):
            return None
        asked = str(history[-2].get("content") or "")
        if history[-2]["role"] != "assistant" or not marked(asked, "confirm"):
            return None
        name, _, arguments = asked[len(language()["marks"]["confirm"]) :].strip(" :").partition(" ")
        reply = Reply(tool_calls=[ToolCall(name=name, arguments=arguments)], finish_reason="tool_calls")
        return Decision(reply, "user", signals={"confirmed": 1.0})

    def second_opinion(self, ask: Ask, decision: Decision) -> tuple[ModelCall, bool] | None:
        """What the large model would have said to a question that it was not asked, and whether it agrees.

        None where it was asked anyway, or is gone. It has no effect: this is how lost parity is seen.
        """
        if self.large is None or any(call.role == "large" for call in decision.calls):
            return None
        (reply,) = self._ask_large([ask])
        if reply.error:
            return None
        return self._call(self.large, "shadow", reply, False), same(decision.reply, reply)

    def _ask_large(self, asks: Sequence[Ask]) -> list[Reply]:
        """The large model's replies; one with `error` where it is gone, and then it is left alone for a while."""
        if not asks:
            return []
        if self.large is None or self.resting:
            return [Reply(error=NEEDS_LARGE)] * len(asks)
        replies = self._chat(self.large, asks)
        if all(reply.error for reply in replies):
            self._rest["until"] = time.monotonic() + self.rest_s
        return replies

    def _in_shadow(self, ask: Ask) -> bool:
        """The same share of decisions on each run, by the name of the step and not by chance."""
        return drawn(f"shadow/{ask.state.key}") < self.shadow


def same(a: Reply, b: Reply) -> bool:
    """Whether two replies do the same: equal calls (arguments as JSON values), or words that close a turn alike."""
    from slmkit.capability.scoring import same_json

    if a.error or b.error or len(a.tool_calls) != len(b.tool_calls):
        return False
    pairs = zip(a.tool_calls, b.tool_calls, strict=True)
    if a.tool_calls:
        return all(x.name == y.name and same_json(x.parsed(), y.parsed()) for x, y in pairs)
    return a.content.strip().casefold() == b.content.strip().casefold()


def _yes(content: Any) -> bool:
    """Whether the user's words begin with a yes."""
    return str(content or "").strip().casefold().startswith(language()["user"]["yes"].split(",")[0].casefold())


def _question(call: ToolCall) -> str:
    arguments: Mapping[str, Any] = call.parsed() or {}
    return f"{language()['marks']['confirm']}: {call.name} {json.dumps(arguments, ensure_ascii=False)}"
