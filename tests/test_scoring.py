"""Scoring: exact match in any order, and a name for every kind of miss."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmkit.capability.scoring import (
    ERRORS,
    Score,
    differences,
    same_json,
    score_any_call,
    score_calls,
    score_no_call,
)
from slmkit.records import Reply, ToolCall


def call(name, **arguments):
    return {"name": name, "arguments": arguments}


def reply(*calls, **fields):
    made = [ToolCall(name=one["name"], arguments=json.dumps(one["arguments"])) for one in calls]
    return Reply(tool_calls=made, **fields)


GOLD = [call("book", city="Oslo", people=4), call("notify", who="Ann")]


@pytest.mark.parametrize(
    "calls, error, detail",
    [
        (GOLD, None, ""),
        (GOLD[::-1], None, ""),
        ([], "missed_call", "0 of 2 calls made"),
        (GOLD[:1], "missed_call", "1 of 2 calls made"),
        ([*GOLD, GOLD[0]], "needless_call", "3 calls made, 2 wanted"),
        ([GOLD[0], GOLD[0]], "wrong_tool", "book instead of notify"),
        ([call("hold", city="Oslo", people=4), GOLD[1]], "wrong_tool", "hold instead of book"),
        ([call("book", city="Oslo"), GOLD[1]], "missing_argument", "people"),
        ([call("book", city="Oslo", people=4, day=1), GOLD[1]], "extra_argument", "day"),
        ([call("book", city="Oslo", people="4"), GOLD[1]], "wrong_argument_type", "people: '4' instead of 4"),
        (
            [call("book", city="Oslo", people=True), GOLD[1]],
            "wrong_argument_type",
            "people: True instead of 4",
        ),
        (
            [call("book", city="Oslo", people=None), GOLD[1]],
            "wrong_argument_type",
            "people: None instead of 4",
        ),
        (
            [call("book", city="oslo", people=4), GOLD[1]],
            "wrong_argument_value",
            "city: 'oslo' instead of 'Oslo'",
        ),
        ([call("book", city="Oslo", people=4.0), GOLD[1]], None, ""),
        (
            [call("book", city="Rome", people=5), GOLD[1]],
            "wrong_argument_value",
            "city: 'Rome' instead of 'Oslo'",
        ),
    ],
)
def test_each_miss_has_its_name(calls, error, detail):
    assert score_calls(GOLD, reply(*calls)) == Score(error is None, error, detail)


def test_the_nearest_call_names_the_miss():
    gold = [call("f", a=1, b=2), call("f", a=5, b=6)]
    assert score_calls(gold, reply(call("f", a=1, b=2), call("f", a=5, b=7))).detail == "b: 7 instead of 6"
    assert score_calls(gold, reply(call("f", x=0), call("f", a=5, b=7))).detail == "b: 7 instead of 6"


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"a": 1}}', "a=1"])
def test_arguments_that_do_not_parse_are_invalid_syntax(text):
    broken = Reply(tool_calls=[ToolCall(name="f", arguments=text)])
    for score in (score_calls([call("f", a=1)], broken), score_no_call(broken), score_any_call(broken)):
        assert (score.correct, score.error) == (False, "invalid_syntax")


def test_malformed_and_failed_replies_are_never_right():
    for bad in (reply(GOLD[0], malformed=["<call>{"]), reply(malformed=["f("]), Reply(error="timeout")):
        for score in (
            score_calls([GOLD[0]], bad),
            score_no_call(bad),
            score_any_call(bad),
            score_calls([], bad),
        ):
            assert (score.correct, score.error) == (False, "invalid_syntax")
    assert score_no_call(Reply(error="timeout")).detail == "no reply: timeout"


def test_decisions():
    talk, act = Reply(content="I cannot do that."), reply(GOLD[0])
    assert score_no_call(talk).correct and score_any_call(act).correct
    assert score_no_call(act) == Score(False, "needless_call", "book")
    assert score_any_call(talk).error == "missed_call"
    assert score_calls([], talk).correct and score_calls([], act).error == "needless_call"


def test_a_suite_may_compare_values_in_its_own_way():
    loose = score_calls([call("f", a="Oslo")], reply(call("f", a="OSLO")), lambda one, two: one.lower() == two.lower())
    assert loose.correct


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
calls = st.lists(
    st.builds(
        lambda name, arguments: {"name": name, "arguments": arguments},
        st.sampled_from("fgh"),
        st.dictionaries(st.sampled_from("abc"), json_values, max_size=3),
    ),
    max_size=3,
)


@given(calls, st.randoms(use_true_random=False))
def test_the_gold_calls_are_right_in_any_order(gold, random):
    shuffled = random.sample(gold, len(gold))
    assert score_calls(gold, reply(*shuffled)).correct


@given(calls, calls)
def test_right_exactly_when_the_calls_are_the_same(gold, made):
    def key(one):
        return json.dumps([one["name"], as_floats(one["arguments"])], sort_keys=True)

    score = score_calls(gold, reply(*made))
    assert score.correct == (sorted(map(key, gold)) == sorted(map(key, made)))
    assert score.correct == (score.error is None) and (score.correct or score.error in ERRORS)


def as_floats(value):
    """JSON with every number in one notation; true and false stay apart from 1 and 0."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return [as_floats(item) for item in value]
    if isinstance(value, dict):
        return {name: as_floats(item) for name, item in value.items()}
    return {"number": str(int(value)) if value == int(value) else repr(value)} if abs(value) < 1e300 else repr(value)


@given(json_values, json_values)
def test_same_json_is_an_equality(one, other):
    assert same_json(one, json.loads(json.dumps(one)))
    assert same_json(one, other) == same_json(other, one)


@pytest.mark.parametrize(
    "one, other, same",
    [
        (1, 1.0, True),
        (True, 1, False),
        (0, False, False),
        (None, False, False),
        ("1", 1, False),
        ("a", "A", False),
        ([1, [True]], [1.0, [True]], True),
        ([1], [True], False),
        ([1, 2], [2, 1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": None}, {}, False),
        ({}, [], False),
        (0.1 + 0.2, 0.3, False),
    ],
)
def test_same_json(one, other, same):
    assert same_json(one, other) is same and same_json(other, one) is same


def test_differences_come_in_the_order_of_errors():
    found = differences({"a": 1, "b": "x", "c": 2}, {"b": "y", "c": "2", "d": 0})
    assert [error for error, _ in found] == [
        "missing_argument",
        "extra_argument",
        "wrong_argument_type",
        "wrong_argument_value",
    ]
