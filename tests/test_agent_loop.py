"""The loop: decisions carried out, limits, guard, view, trace and resume, both agencies, cards."""

from __future__ import annotations

import json

import pytest

from slmkit.agent.card import Card
from slmkit.agent.decision import Ask, Decision, ModelCall, ModelDecider, State, decide_all
from slmkit.agent.generate import make_tasks
from slmkit.agent.guard import Limits, RepeatGuard
from slmkit.agent.loop import run_task, run_tasks
from slmkit.agent.oracle import Oracle
from slmkit.agent.trace import Trace, read_decisions
from slmkit.agent.view import View, bounded, compact_tools, known_entities
from slmkit.errors import InputError
from slmkit.models.base import Model
from slmkit.records import Call, Reply, ToolCall, Usage

TASKS = make_tasks("test", 16)
PLAIN = next(task for task in TASKS if task.n_calls > 1 and not task.troubles)


class Scripted:
    """Gives the same replies in turn, the last of them for ever."""

    name = "scripted"

    def __init__(self, *replies: Reply) -> None:
        self.replies, self.asked = list(replies), 0

    def decide(self, messages, tools, state: State) -> Decision:
        reply = self.replies[min(self.asked, len(self.replies) - 1)]
        self.asked += 1
        usage = ModelCall("m", "agent", reply.model_copy(update={"usage": Usage(prompt=100, completion=10)}), usd=0.01)
        return Decision(reply, "m", calls=(usage,))


class Never(Scripted):
    def decide(self, messages, tools, state):
        raise AssertionError("no decision was due")


def call(name: str, **arguments) -> Reply:
    return Reply(tool_calls=[ToolCall(name=name, arguments=json.dumps(arguments))])


def first_read() -> Reply:
    return (
        call("get_rental", rental_id="RN0")
        if PLAIN.domain == "car_rental"
        else call("get_claim_status", claim_id="CL0")
    )


@pytest.mark.parametrize(
    "reply, limits, status",
    [
        (first_read(), Limits(), "loop"),
        (call("search_everything"), Limits(), "loop"),
        (Reply(malformed=["get_rental{"]), Limits(), "error"),
        (Reply(), Limits(), "error"),
        (Reply(error="endpoint refused"), Limits(), "error"),
        (Reply(content="Please tell me: more"), Limits(steps=3), "limit"),
        (Reply(content="Please confirm: cancel_rental {}"), Limits(steps=9), "limit"),
        (Reply(malformed=["x"]), Limits(invalid=99, steps_a_turn=4), "error"),
        (Reply(malformed=["x"]), Limits(invalid=99, tokens=300), "limit"),
        (Reply(malformed=["x"]), Limits(invalid=99, usd=0.025), "limit"),
    ],
)
def test_every_task_ends_with_a_reason(reply, limits, status):
    task = max(TASKS, key=lambda task: len(task.turns)) if status == "limit" else PLAIN
    if limits.steps_a_turn == 4:
        status = "limit"
    outcome = run_task(task, Scripted(reply), limits=limits)
    assert outcome.status == status and outcome.reason and outcome.reward == 0
    assert outcome.row()["status"] == status and outcome.wrong_writes == []


def test_giving_up_is_told():
    class GivesUp(Scripted):
        def decide(self, messages, tools, state):
            return Decision(Reply(), "cascade", gave_up="needs the large model")

    outcome = run_task(PLAIN, GivesUp())
    assert (outcome.status, outcome.reason, outcome.effects) == ("gave_up", "needs the large model", [])


def test_a_wrong_write_is_seen():
    task = next(task for task in TASKS if task.domain == "car_rental")
    wrong = call(
        "reserve_rental_vehicle", model="x", driver={"name": "A B", "age": 30}, pickup_date="2027-01-01", days=2
    )
    from slmkit.agent.world import World

    session = World().open(task)
    model = session.connection.execute("SELECT model FROM vehicles").fetchone()[0]
    wrong.tool_calls[0].arguments = wrong.tool_calls[0].arguments.replace('"x"', json.dumps(model))
    outcome = run_task(task, Scripted(wrong, Reply(content="Done.")))
    assert len(outcome.wrong_writes) == 1 and not outcome.database and outcome.reward == 0
    assert "+ rentals" in str(Card(outcome)) and "no part of the goal" in str(Card(outcome))


def test_the_guard_allows_one_more_try_after_a_fault_and_all_after_news():
    guard = RepeatGuard()
    guard.learnt("t", '{"a": 1}', "timed out", wrote=False, fault=True)
    assert not guard.repeated("t", '{"a":1}')
    guard.learnt("t", '{"a": 1}', "timed out", wrote=False, fault=True)
    assert guard.repeated("t", '{"a":  1}') and guard.count == 1
    guard.learnt("w", "{}", "ok", wrote=True, fault=False)
    assert not guard.repeated("t", '{"a": 1}') and guard.repeated("w", "{}")
    guard.news()
    assert not guard.repeated("w", "{}")


def test_a_long_conversation_is_bounded_and_what_is_dropped_is_noted():
    messages = [{"role": "system", "content": "policy"}]
    for number in range(30):
        messages += [{"role": "user", "content": f"about RN{1000 + number} " + "x" * 200}]
        messages += [{"role": "tool", "content": "y" * 3_000, "tool_call_id": "c"}]
    seen, dropped = bounded(messages, View(chars=2_000, turns=5))
    assert sum(len(message["content"]) for message in seen) < 2_100
    assert seen[0]["content"].startswith("policy\nNamed before: ") and seen[-2]["content"].startswith("about RN1029")
    assert any("earlier turns" in line for line in dropped) and any("cut from 3,000" in line for line in dropped)
    assert bounded(messages[:2], View()) == (messages[:2], ())
    assert known_entities(messages)[-1] == "RN1029"


def test_compact_tools_keep_what_a_call_needs():
    from slmkit.agent.world import domain

    schema = domain("insurance_claims").tools[4].schema
    bare = compact_tools([schema])[0]["function"]
    assert (
        "description" not in json.dumps(bare)
        and bare["parameters"]["required"] == schema["function"]["parameters"]["required"]
    )


@pytest.mark.parametrize("agency", ["lm", "code"])
def test_a_run_resumes_from_its_trace(tmp_path, agency):
    whole = run_tasks(TASKS, Oracle(TASKS), agency=agency, progress=False)
    assert all(outcome.reward == 1 for outcome in whole)
    path = tmp_path / "trace.jsonl"

    class Dies(Oracle):
        left = 7

        def decide_many(self, asks):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().decide_many(asks)

    with pytest.raises(KeyboardInterrupt):
        run_tasks(TASKS, Dies(TASKS), trace=path, agency=agency, batch=5, progress=False)
    before = path.read_bytes()
    path.write_bytes(before + b'{"call_id": "torn')
    resumed = run_tasks(TASKS, Oracle(TASKS), trace=path, agency=agency, progress=False)
    assert [o.row() for o in resumed] == [o.row() for o in whole] and sum(o.resumed for o in resumed) >= 30
    assert path.read_bytes().startswith(before) and b"torn" not in path.read_bytes()
    lines = [Call.model_validate_json(line) for line in path.read_text().splitlines()]
    assert len({line.call_id for line in lines}) == len(lines)
    again = run_tasks(
        TASKS, type("oracle", (Never,), {"name": "oracle"})(Reply()), trace=path, agency=agency, progress=False
    )
    assert [o.row() for o in again] == [o.row() for o in whole]


def test_the_trace_is_on_disk_before_the_effect(tmp_path):
    path = tmp_path / "trace.jsonl"
    seen = []

    def look(episode):
        seen.append(path.read_text().count("\n") >= len(episode.steps))

    run_task(PLAIN, Oracle([PLAIN]), trace=path, on_step=look)
    assert seen and all(seen)


def test_decisions_of_several_calls_come_back_whole(tmp_path):
    small, large = Reply(content="a", model="s"), Reply(content="b", model="l", usage=Usage(prompt=5))
    made = Decision(
        large, "l", ("invalid",),
        (ModelCall("s", "small", small, 0.1, "2026-01", False), ModelCall("l", "large", large)),
        {"grounding": 0.5},
    )  # fmt: skip
    composed = Decision(Reply(content="c"), "vote", calls=made.calls)
    from slmkit.agent.trace import lines_of

    with Trace(tmp_path / "t.jsonl") as trace:
        for step, decision in enumerate((made, composed)):
            ask = Ask([{"role": "user", "content": "x"}], [], State(task_id="t", step=step))
            trace.append(lines_of(ask, decision, "cascade"))
        trace.append(lines_of(Ask([], [], State(task_id="t", step=2)), made, "cascade")[:1])
    assert read_decisions(tmp_path / "t.jsonl") == {"t#0": [made, composed]}
    with pytest.raises(InputError, match="'cascade', not 'oracle'"):
        read_decisions(tmp_path / "t.jsonl", "oracle")


class Echo(Model):
    """A model that answers with its own name."""

    def __init__(self, ref: str) -> None:
        self.ref = self.fingerprint = ref
        self.notes, self.batches = {}, []

    def answer(self, requests, sampling):
        self.batches.append(len(requests))
        for index, _ in enumerate(requests):
            yield index, Reply(content=self.ref, model=self.ref, logprob=-2.0, usage=Usage(prompt=9, completion=4))


def test_each_kind_of_step_may_have_its_own_model_and_steps_go_in_batches():
    one, other = Echo("one"), Echo("other")
    decider = ModelDecider(
        one, by_kind={"result": other}, price=lambda ref, usage: usage.prompt * 0.001, priced_at="2026-11"
    )
    kinds = ("call", "result", "call")
    made = decide_all(decider, [Ask([{"role": "user", "content": "x"}], [], State(kind=kind)) for kind in kinds])
    assert [decision.answered_by for decision in made] == ["one", "other", "one"]
    assert one.batches == [2] and other.batches == [1]
    assert made[0].usd == pytest.approx(0.009) and made[0].signals == {"mean_logprob": -0.5}
    run_tasks(TASKS, ModelDecider(one), progress=False)
    assert max(one.batches) == len(TASKS)


def test_trials_have_databases_of_their_own(tmp_path):
    outcomes = run_tasks([PLAIN], Oracle([PLAIN]), trials=3, databases=tmp_path, progress=False)
    assert [outcome.trial for outcome in outcomes] == [0, 1, 2] and all(outcome.reward == 1 for outcome in outcomes)
    assert len(list(tmp_path.glob("*.sqlite"))) == 3


def test_a_card_reads():
    outcome = run_task(PLAIN, Oracle([PLAIN]))
    page, text = Card(outcome)._repr_html_(), repr(Card(outcome))
    assert PLAIN.turns[0].text in text and "solved" in text and text.count("oracle") >= len(outcome.steps)
    assert "<script" not in page and page.count('class="say"') == text.count("\n") + 1 - text.count("\n" + " " * 14)


def test_an_unknown_agency_is_named():
    with pytest.raises(InputError, match="agency"):
        run_tasks([PLAIN], Oracle([PLAIN]), agency="lmm")
