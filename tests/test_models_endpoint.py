"""An OpenAI-compatible server, in good health and in bad: every fault is retried to success, or recorded."""

from __future__ import annotations

import random
import time
from types import SimpleNamespace

import pytest
from servers import FakeOpenAI, chunk, unused_port

from slmkit import models
from slmkit.models import Request
from slmkit.models.endpoint import EndpointModel

TOOL = {"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object"}}}


def connect(url: str, **options: object) -> EndpointModel:
    return models.load(f"openai:m@{url}", **{"backoff_s": 0.01, "timeout_s": 5.0, "max_tries": 3, **options})


def say(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def test_text_usage_logprob_and_times() -> None:
    with FakeOpenAI() as server:
        reply = connect(server.url).chat(say("hello there"))
    assert reply.error is None
    assert reply.content == "hello there"
    assert reply.usage.model_dump() == {"prompt": 20, "cached": 16, "completion": 5, "reasoning": 2}
    assert reply.logprob == -0.5
    assert 0 < reply.ttft_s < reply.latency_s
    assert reply.finish_reason == "stop"


def test_sampling_and_tools_reach_the_server() -> None:
    with FakeOpenAI() as server:
        options = {
            "temperature": 0.5,
            "seed": 7,
            "max_tokens": 9,
            "stop": "x",
            "top_k": 3,
            "constrained": True,
        }
        connect(server.url).chat(say("hi"), [TOOL], **options)
        body = server.bodies[0]
    assert (body["model"], body["temperature"], body["seed"], body["max_tokens"]) == ("m", 0.5, 7, 9)
    assert (body["stop"], body["top_k"]) == (["x"], 3)
    assert body["tools"][0]["function"]["strict"] is True


def test_streamed_calls_and_reasoning() -> None:
    def answer(body: dict) -> list[dict]:
        piece = {"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}
        return [
            chunk({"role": "assistant", "reasoning_content": "let me see"}),
            chunk({"tool_calls": [piece]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a": '}}]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
            # one server gives every call the index 0
            chunk({"tool_calls": [{**piece, "id": "2", "function": {"name": "g", "arguments": "{}"}}]}),
            chunk({}, finish="tool_calls"),
        ]

    with FakeOpenAI(reply=answer) as server:
        reply = connect(server.url).chat(say("hi"), [TOOL])
    assert [(call.name, call.arguments, call.id) for call in reply.tool_calls] == [
        ("f", '{"a": 1}', "1"),
        ("g", "{}", "2"),
    ]
    assert reply.reasoning == "let me see"
    assert reply.content == ""


def test_a_call_that_the_server_left_in_the_text_is_read() -> None:
    text = '<think>hm</think><tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    with FakeOpenAI() as server:
        reply = connect(server.url).chat(say(text), [TOOL])
    assert reply.tool_calls[0].parsed() == {"a": 1}
    assert reply.reasoning == "hm"


def test_arguments_are_sent_as_text() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
    messages = [*say("x"), {"role": "assistant", "content": None, "tool_calls": [call]}, *say("y")]
    with FakeOpenAI() as server:
        connect(server.url).chat(messages, [TOOL])
        sent = server.bodies[0]["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert sent == '{"a": 1}'


@pytest.mark.parametrize("fault", ["429", "500", "503", "408", "cut", "garbage", "html", "empty", "error", "reset"])
def test_a_fault_that_passes_ends_in_success(fault: str) -> None:
    with FakeOpenAI(fault, fault, "ok") as server:
        reply = connect(server.url).chat(say("hello"))
        assert len(server.bodies) == 3
    assert (reply.error, reply.content) == (None, "hello")


@pytest.mark.parametrize("fault", ["429", "500", "cut", "garbage", "html", "empty", "error", "reset"])
def test_a_fault_that_stays_is_recorded(fault: str) -> None:
    with FakeOpenAI(fault) as server:
        reply = connect(server.url).chat(say("hello"))
        assert len(server.bodies) == 3
    assert "3 tries" in reply.error
    assert "\n" not in reply.error
    assert (reply.content, reply.tool_calls) == ("", [])


@pytest.mark.parametrize("status", ["400 wrong", "401", "404", "422"])
def test_a_fault_that_cannot_pass_is_not_tried_again(status: str) -> None:
    with FakeOpenAI(status) as server:
        reply = connect(server.url).chat(say("hello"))
        assert len(server.bodies) == 1
    assert status.partition(" ")[0] in reply.error


@pytest.mark.parametrize(("fault", "reason"), [("slow", "no end after 0.3 s"), ("silent", "timed out")])
def test_a_server_that_never_ends_is_given_up(fault: str, reason: str) -> None:
    with FakeOpenAI(fault) as server:
        started = time.perf_counter()
        reply = connect(server.url, timeout_s=0.3, max_tries=2).chat(say("hello"))
        assert time.perf_counter() - started < 3
    assert reason in reply.error


FAULTS = ("429", "500", "503", "408", "cut", "garbage", "html", "empty", "error", "reset")


@pytest.mark.parametrize("count", [40, pytest.param(1_000, marks=pytest.mark.full)])
def test_whatever_goes_wrong_each_request_ends_in_an_answer_or_a_reason(count: int) -> None:
    dice = random.Random(count)
    script = [dice.choice(FAULTS) if dice.random() < 0.5 else "ok" for _ in range(5 * count)]
    texts = [f"message {number}" for number in range(count)]
    with FakeOpenAI(*script) as server:
        model = connect(server.url, concurrency=8, max_tries=4, backoff_s=0.001)
        replies = model.chat_many([Request(say(text)) for text in texts], progress=False)
        tried = len(server.bodies)
    answered = [reply.error is None for reply in replies]
    for text, reply in zip(texts, replies, strict=True):
        assert reply.content == ("" if reply.error else text)
        assert reply.error is None or ("4 tries" in reply.error and "\n" not in reply.error)
    assert 0.8 * count < sum(answered) and count < tried <= 4 * count
    assert count < 100 or not all(answered)  # one in sixteen meets four faults in a row


def test_pauses_grow_and_are_spread_and_heed_the_server() -> None:
    model = connect("http://127.0.0.1:1/v1", backoff_s=0.5)
    pauses = {number: [model._pause_s(ValueError(), number) for _ in range(200)] for number in (1, 2, 3, 20)}
    for number in (1, 2, 3):
        middle = 0.5 * 2 ** (number - 1)
        assert 0.5 * middle <= min(pauses[number]) < 0.7 * middle and 1.3 * middle < max(pauses[number]) <= 1.5 * middle
    assert max(pauses[20]) == 60.0
    wished = ValueError()
    wished.response = SimpleNamespace(headers={"retry-after": "7"})
    assert model._pause_s(wished, 1) == 7.0


def test_logprobs_are_dropped_where_the_server_refuses_them() -> None:
    with FakeOpenAI("400 logprobs are not supported", "ok") as server:
        reply = connect(server.url).chat(say("hello"))
        assert [("logprobs" in body) for body in server.bodies] == [True, False]
    assert reply.content == "hello"


def test_refused_connection_is_recorded_and_the_rest_fail_fast() -> None:
    model = connect(f"http://127.0.0.1:{unused_port()}/v1", backoff_s=0.2, concurrency=1)
    started = time.perf_counter()
    replies = model.chat_many([Request(say("hello"))] * 12, progress=False)
    assert time.perf_counter() - started < 5
    assert all("Connection" in reply.error for reply in replies)
    assert "(3 tries)" in replies[0].error and "(1 try)" in replies[-1].error


def test_order_is_kept_and_the_concurrency_bounded() -> None:
    with FakeOpenAI("ok", "500", "ok") as server:
        texts = [f"message {number}" for number in range(40)]
        replies = connect(server.url, concurrency=4).chat_many([Request(say(t)) for t in texts], progress=False)
        assert 1 < server.most_in_flight <= 4
    assert [reply.content for reply in replies] == texts
