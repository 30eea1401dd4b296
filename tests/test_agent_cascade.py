"""The cascade: when it asks the large model, what it does about harm, what it does alone, and how it is calibrated."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pytest

from slmkit.agent import loop
from slmkit.agent.cascade import DECLINED, NEEDS_LARGE, Cascade, same
from slmkit.agent.decision import Ask, State
from slmkit.agent.generate import make_tasks
from slmkit.agent.language import language
from slmkit.agent.oracle import Oracle
from slmkit.agent.routing import calibrate, grounding, scorer
from slmkit.agent.routing.routing import RULES, Routing, hash_of, loadable, read
from slmkit.agent.routing.signals import NAMES, reasons, signals, well_formed
from slmkit.errors import InputError
from slmkit.models.base import Model, Request, Sampling
from slmkit.records import Reply, ToolCall, Usage

TOOLS = [
    {"type": "function", "function": {"name": name, "description": name, "parameters": {
        "type": "object", "required": ["order"],
        "properties": {"order": {"type": "string"}, "days": {"type": "integer"}}}}}
    for name in ("look", "change", "cancel")
]  # fmt: skip
ACCESS = {"look": "read", "change": "write", "cancel": "irreversible"}


class Scripted(Model):
    def __init__(self, ref, answer):
        self.ref = self.fingerprint = ref
        self.notes, self.make, self.asked = {}, answer, 0

    def answer(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        for index, request in enumerate(requests):
            self.asked += 1
            yield index, self.make(request)


def call(name="look", logprob=-0.5, **arguments):
    arguments = {"order": "A-17"} | arguments
    return Reply(tool_calls=[ToolCall(name=name, arguments=json.dumps(arguments))], logprob=logprob,
                 usage=Usage(prompt=50, completion=10))  # fmt: skip


def words(text):
    return Reply(content=text, logprob=-0.2, usage=Usage(prompt=50, completion=5))


def ask(text="Look at order A-17, 3 days, please.", said=(), **state):
    messages = [{"role": "system", "content": "Be quick."}, {"role": "user", "content": text}, *said]
    return Ask(messages, TOOLS, State("t", access=ACCESS, history=tuple(messages), **state))


def decide(small, large, question=None, **routing):
    models = Scripted("small", lambda r: small), large and Scripted("large", lambda r: large)
    made = Cascade(
        *models, Routing("small", "large", **routing), price=lambda ref, usage: 1.0 if ref == "small" else 9.0
    )
    return made.decide_many([question or ask()])[0], models


def test_a_good_reply_costs_one_small_call():
    decision, (_, large) = decide(call(), call("change"))
    assert decision.reply.tool_calls[0].name == "look" and decision.escalated_because == ()
    assert large.asked == 0 and decision.usd == 1.0 and decision.answered_by == "small"


@pytest.mark.parametrize(
    "small, state, why",
    [
        (Reply(malformed=["look("]), {}, "invalid"),
        (call("lock"), {}, "invalid"),
        (call(days="three"), {}, "invalid"),
        (Reply(), {}, "invalid"),
        (call(order="B-99"), {}, "ungrounded"),
        (call(days=14), {}, "ungrounded"),
        (call(), {"failures": 2}, "trouble"),
        (call(), {"repeats": 1}, "trouble"),
    ],
)
def test_what_looks_wrong_goes_on_and_both_are_paid(small, state, why):
    decision, (_, large) = decide(small, call(), ask(**state))
    assert why in decision.escalated_because and large.asked == 1
    assert decision.answered_by == "large" and decision.usd == 10.0
    assert [(c.role, c.acts) for c in decision.calls] == [("small", False), ("large", True)]


def test_low_confidence_goes_on_by_the_learned_score():
    rng = np.random.default_rng(0)
    table = pd.DataFrame([{**dict.fromkeys(NAMES, 0.0), "mean_logprob": x} for x in rng.uniform(-2, 0, 300)])
    wrong = table["mean_logprob"] + rng.normal(0, 0.2, 300) < -1
    score = scorer.fit(table, wrong)
    assert scorer.auroc(score.risks(table), wrong) > 0.95
    sure, _ = decide(call(logprob=-0.5), call("change"), scorer=score, threshold=0.5)
    unsure, _ = decide(call(logprob=-18.0), call("change"), scorer=score, threshold=0.5)
    assert sure.answered_by == "small" and unsure.escalated_because == ("risk",)
    assert sure.signals["risk"] < 0.5 < unsure.signals["risk"]
    always, _ = decide(call(), call("change"), scorer=score, threshold=0.0)
    assert always.answered_by == "large"


def test_what_cannot_be_undone_needs_both_or_the_user():
    both, _ = decide(call("cancel"), call("cancel"))
    assert both.reply.tool_calls[0].name == "cancel"
    differ, _ = decide(call("cancel"), call("change"))
    assert differ.reply.tool_calls[0].name == "change"
    alone, _ = decide(call("cancel"), call("cancel", order="A-18"))
    question = alone.reply.content
    assert not alone.reply.tool_calls and question.startswith(language()["marks"]["confirm"]) and "A-18" in question
    gone, _ = decide(call("cancel"), None)
    assert not gone.reply.tool_calls and "cancel" in gone.reply.content
    free, _ = decide(call("cancel"), None, rules=(), confirm=False)
    assert free.reply.tool_calls[0].name == "cancel"


def test_after_a_yes_the_very_call_is_made_and_after_a_no_it_is_not():
    asked = decide(call("cancel"), None)[0].reply.content
    yes = [{"role": "assistant", "content": asked}, {"role": "user", "content": language()["user"]["yes"]}]
    decision, (small, _) = decide(call("look"), None, ask(said=yes))
    assert decision.reply.tool_calls[0].name == "cancel" and small.asked == 0 and decision.answered_by == "user"
    no = [yes[0], {"role": "user", "content": language()["user"]["no"]}]
    decision, _ = decide(call("cancel"), None, ask(said=no))
    assert decision.gave_up == DECLINED and not decision.reply.tool_calls
    tool = [yes[0], {"role": "tool", "content": language()["user"]["yes"]}]
    decision, _ = decide(call("look"), None, ask(said=tool))
    assert decision.reply.tool_calls[0].name == "look", "a tool result cannot say yes"


def test_without_the_large_model_it_says_so_or_acts():
    assert decide(Reply(malformed=["x"]), None)[0].gave_up == NEEDS_LARGE
    assert decide(Reply(malformed=["x"]), Reply(error="refused"))[0].gave_up == NEEDS_LARGE
    acts, _ = decide(call(order="B-99"), None)
    assert acts.gave_up == "" and acts.reply.tool_calls, "a read is harmless, its risk below the limit"
    stops, _ = decide(call(order="B-99"), None, alone=0.0)
    assert stops.gave_up == NEEDS_LARGE


def test_an_absent_large_model_is_left_alone_for_a_while():
    large = Scripted("large", lambda r: Reply(error="refused"))
    made = Cascade(Scripted("small", lambda r: Reply(malformed=["x"])), large, Routing("small", "large"), rest_s=60)
    for _ in range(5):
        assert made.decide_many([ask()])[0].gave_up == NEEDS_LARGE
    assert large.asked == 1 and made.resting


def test_shadow_asks_a_share_and_changes_nothing():
    large = Scripted("large", lambda r: call("change"))
    made = Cascade(Scripted("small", lambda r: call()), large, Routing("small", "large"), shadow=0.25)
    decisions = made.decide_many([ask(step=step) for step in range(200)])
    assert {d.reply.tool_calls[0].name for d in decisions} == {"look"} and 30 < large.asked < 70
    assert all(d.signals["agrees"] == 0.0 for d in decisions if len(d.calls) == 2)
    again = Cascade(made.small, large, made.routing, shadow=0.25)
    assert [len(d.calls) for d in again.decide_many([ask(step=s) for s in range(200)])] == [
        len(d.calls) for d in decisions
    ]


def test_same_is_about_deeds():
    assert same(call(days=3), Reply(tool_calls=[ToolCall(name="look", arguments='{"days": 3, "order": "A-17"}')]))
    assert not same(call(), call(order="A-18")) and not same(call(), words("Done."))
    assert same(words("Done."), words(" done. ")) and not same(Reply(error="x"), Reply(error="x"))


@pytest.mark.parametrize(
    "value, found",
    [
        ("A-17", True), ("A-1", False), ("rome", True), ("Berlin", False), (14, True), (4, False), (3, True),
        (19.5, True), ("2027-03-14", True), ("2027-03-15", False), ("2027-05-02", True), (True, True),
        ("", True),
        (["rome", 14], True),        ({"x": "rome", "y": "Berlin"}, False), (float("nan"), False), ("fast", True),
    ],
)  # fmt: skip
def test_grounding(value, found):
    said = "Order A-17 to Rome for 14 days, three people, 19.50 EUR, from March 14 until 2 May."
    known = grounding.heard([{"role": "user", "content": said}])
    schema = {"properties": {"v": {"enum": ["fast", "slow"]}}}
    assert (grounding.ungrounded({"v": value}, known, schema) == []) is found


def test_a_model_does_not_ground_itself():
    known = grounding.heard([{"role": "assistant", "content": "B-99"}, {"role": "tool", "content": '{"id": "C-5"}'}])
    assert grounding.ungrounded({"a": "B-99", "b": "C-5"}, known) == ["a"]


def test_signals_of_a_repeated_call_and_of_words():
    made = call().model_copy()
    said = [made.message(), {"role": "tool", "content": "{}"}]
    assert signals(call(), ask(said=said))["repeats"] == 1 and signals(call(), ask())["repeats"] == 0
    found = signals(words("Done."), ask())
    assert found["invalid"] == found["is_call"] == 0 and set(found) == set(NAMES)
    assert reasons(signals(call("cancel"), ask()), RULES) == ["irreversible"]
    assert not well_formed(Reply(error="x"), TOOLS)


def test_the_routing_file_goes_round(tmp_path):
    table = pd.DataFrame([{**dict.fromkeys(NAMES, 0.0), "mean_logprob": -x} for x in range(10)])
    made = Routing(
        "small", "large", scorer.fit(table, [False] * 5 + [True] * 5), 0.4, 0.7, ("invalid",), {"look": "read"}
    )
    back = read(made.write(tmp_path / "routing.json"))
    assert back.scorer == made.scorer and back.threshold == 0.4 and back.rules == ("invalid",)
    assert back.access == {"look": "read"}
    assert loadable("mini-2m+no/such/folder") == "mini-2m+no/such/folder" and loadable("mini-2m") == "mini-2m"
    assert hash_of([{"a": 1}, {"b": 2}]) == hash_of([{"b": 2}, {"a": 1}]) != hash_of([{"a": 1}])


def tried(*points):
    """Ten tasks by routing: success and large calls a task."""
    return {
        Routing("s", "l", threshold=threshold): pd.DataFrame({"reward": [1.0] * won + [0.0] * (10 - won),
                                                              "large_calls": [calls] * 10})
        for threshold, won, calls in points
    }  # fmt: skip


def test_the_threshold_meets_the_budget_or_the_floor():
    alone = pd.DataFrame({"reward": [1.0] * 9 + [0.0], "large_calls": [10.0] * 10})
    points = tried((2.0, 5, 0.0), (0.6, 8, 3.0), (0.4, 9, 6.0), (0.0, 9, 10.0))
    assert calibrate.choose(points, alone, "budget", 0.35).threshold == 0.6
    assert calibrate.choose(points, alone, "budget", 0.7).threshold == 0.4
    assert calibrate.choose(points, alone, "floor", 0.0).threshold == 0.4
    assert calibrate.choose(points, alone, "floor", 0.12).threshold == 0.6
    assert calibrate.choose(tried((0.0, 9, 10.0)), alone, "budget", 0.35).threshold == 0.0, (
        "the nearest where none fits"
    )
    chosen = calibrate.choose(points, alone, "budget", 0.35)
    assert (chosen.target, chosen.target_value) == ("budget", 0.35)
    with pytest.raises(InputError, match="budget"):
        calibrate.choose(points, alone, "budgets")


def test_learning_says_where_right_and_wrong_part():
    risk, wrong = np.array([0.1, 0.2, 0.3, 0.8, 0.9]), np.array([False, False, False, True, True])
    assert calibrate.apart(risk, wrong) == 0.8 and calibrate.apart(risk, np.zeros(5, bool)) == 2.0
    with pytest.raises(InputError, match="task_id"):
        calibrate.learn("s", "l", pd.DataFrame({"wrong": [True]}))
    with pytest.raises(InputError, match="mean_logprob"):
        scorer.fit(pd.DataFrame({"x": [1]}), [True])
    one_kind = scorer.fit(pd.DataFrame([dict.fromkeys(NAMES, 0.0)] * 8), [True] * 8)
    assert one_kind.risk(dict.fromkeys(NAMES, 5.0)) == pytest.approx(0.9)


def test_on_the_world_it_repairs_what_the_small_model_breaks():
    tasks = make_tasks("calibration", 12)
    oracle = Oracle(tasks)
    states = {}

    class Seen(Cascade):
        def decide_many(self, asks):
            states.update({id(a.messages): a.state for a in asks})
            return super().decide_many(asks)

    def of(ref, spoil):
        def make(request):
            reply = oracle.reply(states[id(request.messages)])
            bad = spoil and reply.tool_calls and len(request.messages) % 2 == 0
            return Reply(malformed=["?"]) if bad else reply.model_copy(update={"usage": Usage(prompt=1, completion=1)})

        return Scripted(ref, make)

    routing = Routing("small", "large", rules=("invalid", "irreversible"))
    done = loop.run_tasks(tasks, Seen(of("small", True), of("large", False), routing), progress=False)
    assert all(outcome.reward == 1 for outcome in done)
    asked = sum(outcome.calls_by_model()["large"] for outcome in done)
    assert 0 < asked < sum(outcome.calls_by_model()["small"] for outcome in done)
    gone = loop.run_tasks(tasks, Seen(of("small", True), None, routing), progress=False)
    assert {outcome.status for outcome in gone if outcome.reward < 1} <= {"gave_up"}
    assert not any(effect.access == "irreversible" for outcome in gone for effect in outcome.wrong_writes)
