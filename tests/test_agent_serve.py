"""The served cascade: the openai client against the app, keys, limits, logs, and a large model that is gone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from servers import FakeOpenAI, unused_port
from typer.testing import CliRunner

from slmkit import cli, models
from slmkit.agent.cascade import Cascade
from slmkit.agent.routing.routing import Routing, read
from slmkit.agent.serving import log, wire
from slmkit.errors import InputError
from slmkit.models.base import Model, Request, Sampling
from slmkit.records import Reply, ToolCall, Usage

pytest.importorskip("fastapi", reason="needs the extra `serve`")

TOOLS = [{"type": "function", "function": {"name": "get_order", "description": "Get an order", "parameters": {
    "type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}}}]  # fmt: skip
ROUTING = Routing("small", "large", rules=("invalid", "ungrounded"), access={"get_order": "read"})


class Scripted(Model):
    """Answers with what a function makes of the request; counts what it was asked."""

    def __init__(self, ref, answer):
        self.ref = self.fingerprint = ref
        self.notes, self.make, self.asked = {}, answer, 0

    def answer(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        for index, request in enumerate(requests):
            self.asked += 1
            yield index, self.make(request).model_copy(update={"model": self.ref})


def call(order_id: str) -> Reply:
    arguments = json.dumps({"order_id": order_id})
    return Reply(tool_calls=[ToolCall(name="get_order", arguments=arguments)], usage=Usage(prompt=20, completion=6),
                 logprob=-0.6, finish_reason="tool_calls")  # fmt: skip


def words(text: str) -> Reply:
    return Reply(content=text, usage=Usage(prompt=10, completion=3), logprob=-0.3, finish_reason="stop")


class Running:
    """The app under uvicorn in a thread, on a free port of loopback."""

    def __init__(self, served, **options):
        import uvicorn

        from slmkit.agent.serving import app

        port = unused_port()
        made = app.build(served, **options)
        self.server = uvicorn.Server(uvicorn.Config(made, host="127.0.0.1", port=port, log_level="error"))
        self.url = f"http://127.0.0.1:{port}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        until = time.monotonic() + 20
        while not self.server.started:
            assert time.monotonic() < until
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(10)

    def client(self, key="none"):
        from openai import OpenAI

        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=1)


def cascade(small, large, routing=ROUTING, **options):
    return Cascade(Scripted("small", small), large and Scripted("large", large), routing, **options)


ASK = [{"role": "user", "content": "Where is order A-17?"}]


def test_tools_whole_and_streamed_are_the_same(tmp_path):
    with Running(cascade(lambda r: call("A-17"), lambda r: call("A-17")), log=tmp_path / "log.jsonl") as running:
        client = running.client()
        whole = client.chat.completions.create(model="anything", messages=ASK, tools=TOOLS)
        found = whole.choices[0]
        assert found.finish_reason == "tool_calls" and found.message.content is None
        assert json.loads(found.message.tool_calls[0].function.arguments) == {"order_id": "A-17"}
        assert found.message.tool_calls[0].id and whole.usage.total_tokens == 26
        pieces = list(client.chat.completions.create(
            model="anything", messages=ASK, tools=TOOLS, stream=True, stream_options={"include_usage": True}
        ))  # fmt: skip
        told = [c for p in pieces if p.choices for c in p.choices[0].delta.tool_calls or ()]
        assert told[0].function.name == "get_order" and json.loads(told[0].function.arguments) == {"order_id": "A-17"}
        assert pieces[-1].usage.total_tokens == 26 and pieces[-2].choices[0].finish_reason == "tool_calls"
        through_ours = models.load(f"openai:x@{running.url}/v1").chat(ASK, TOOLS)
        assert through_ours.tool_calls[0].parsed() == {"order_id": "A-17"} and through_ours.error is None
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(lines) == 3 and {line["model_requested"] for line in lines} == {"small"}


def test_what_is_ungrounded_goes_to_the_large_model_and_both_are_counted():
    with Running(cascade(lambda r: call("B-99"), lambda r: call("A-17"))) as running:
        raw = running.client().chat.completions.with_raw_response.create(model="x", messages=ASK, tools=TOOLS)
        answer = raw.parse()
        assert json.loads(answer.choices[0].message.tool_calls[0].function.arguments) == {"order_id": "A-17"}
        assert raw.headers["x-slmkit-answered-by"] == "large" and raw.headers["x-slmkit-escalated"] == "ungrounded"
        assert answer.usage.prompt_tokens == 40


def test_text_is_streamed_in_pieces_and_models_can_be_named():
    long = "It left the warehouse on Monday and comes on Wednesday."
    with Running(cascade(lambda r: words(long), lambda r: words("large says"))) as running:
        client = running.client()
        pieces = list(client.chat.completions.create(model="x", messages=ASK, stream=True))
        assert "".join(p.choices[0].delta.content or "" for p in pieces) == long and len(pieces) > 4
        named = client.chat.completions.create(model="large", messages=ASK)
        assert named.choices[0].message.content == "large says"
        assert [m.id for m in client.models.list()] == [wire.NAME, "small", "large"]


def test_without_the_large_model_what_can_be_done_is_done_and_the_rest_said():
    import openai

    small = Scripted("small", lambda r: call("A-17") if "A-17" in str(r.messages) else Reply(malformed=["get_order("]))
    with FakeOpenAI("500") as gone:
        large = models.load(f"openai:big@{gone.url}", max_tries=1)
        routing = ROUTING.at(small="small", large=large.ref)
        with Running(Cascade(small, large, routing)) as running:
            client = running.client()
            done = client.chat.completions.create(model="x", messages=ASK, tools=TOOLS)
            assert done.choices[0].message.tool_calls
            other = [{"role": "user", "content": "And the other one?"}]
            for _ in range(3):
                with pytest.raises(openai.APIStatusError) as refused:
                    client.chat.completions.create(model="x", messages=other, tools=TOOLS)
            assert refused.value.status_code == 503 and "needs the large model" in str(refused.value)
            assert len(gone.bodies) == 1, "after a failure it is left alone for a while, and clients do not retry"
            import urllib.request

            state = json.loads(urllib.request.urlopen(f"{running.url}/health").read())
            assert state["status"] == "ok" and state["large_answers"] is False


def test_a_key_is_asked_and_stays_out_of_the_log(tmp_path, monkeypatch):
    import openai

    key = "correct-horse-battery"
    monkeypatch.setenv("SOME_SERVICE_TOKEN", "token-of-another-service")
    path = tmp_path / "log.jsonl"
    with Running(cascade(lambda r: words("fine"), None), key=key, log=path) as running:
        for wrong in ("none", "correct-horse-batterx"):
            with pytest.raises(openai.AuthenticationError):
                running.client(wrong).chat.completions.create(model="x", messages=ASK)
            with pytest.raises(openai.AuthenticationError):
                running.client(wrong).models.list()
        secrets = f"use {key}, token-of-another-service, sk-abcdefghijklmnopqrstuv and Bearer abcdefghijklmnop"
        running.client(key).chat.completions.create(model="x", messages=[{"role": "user", "content": secrets}])
    text = path.read_text()
    assert log.MASK in text and "use [secret], [secret], [secret] and Bearer [secret]" in text
    assert not any(part in text for part in (key, "token-of-another", "sk-abc", "abcdefghijklmnop"))


@pytest.mark.parametrize(
    "body, names",
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "content"),
        ({"messages": ASK, "tools": [{"name": "x"}]}, "tools[0]"),
        ({"messages": ASK, "temperature": "hot"}, "temperature"),
        ({"messages": ASK, "temperature": -1}, "temperature"),
        ({"messages": ASK, "n": 3}, "n:"),
        ({"messages": ASK, "stream": "yes"}, "stream"),
        ({"messages": ASK, "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"messages": ASK, "response_format": {"type": "json_schema"}}, "response_format"),
        ([], "JSON object"),
    ],
)
def test_a_bad_request_is_named(body, names):
    with pytest.raises(InputError, match=r".*") as error:
        wire.read(body)
    assert names in str(error.value) and "\n" not in str(error.value)


def test_bad_and_huge_bodies_do_not_stop_the_server():
    import urllib.error
    import urllib.request

    with Running(cascade(lambda r: words("fine"), None)) as running:
        for content, status in ((b"{", 400), (b"[" * 100_000, 400), (b"x" * 4_100_000, 413), (b'{"messages": 1}', 400)):
            ask = urllib.request.Request(f"{running.url}/v1/chat/completions", content, {"content-type": "a/b"})
            with pytest.raises(urllib.error.HTTPError) as error:
                urllib.request.urlopen(ask)
            assert error.value.code == status
            assert "message" in json.loads(error.value.read())["error"]
        assert running.client().chat.completions.create(model="x", messages=ASK).choices[0].message.content == "fine"


def test_shadow_calls_are_logged_without_effect_and_reported(tmp_path):
    path = tmp_path / "log.jsonl"
    served = cascade(lambda r: call("A-17"), lambda r: call("A-17") if "even" in str(r.messages) else words("No."))
    with Running(served, log=path, shadow=0.5) as running:
        client = running.client()
        for number in range(16):
            text = f"Order A-17, {'even' if number % 4 == 1 else 'odd'} {number}"
            answer = client.chat.completions.create(
                model="x", messages=[{"role": "user", "content": text}], tools=TOOLS
            )
            assert answer.choices[0].message.tool_calls
        until = time.monotonic() + 10
        while len(log.shadow_rows(path)) < 8 and time.monotonic() < until:
            time.sleep(0.02)
    assert served.small.asked == 16 and served.large.asked == 8
    rows = log.report(path, windows=2)
    assert [row["window"] for row in rows] == ["1", "2", "all"] and rows[-1]["n"] == 8
    assert rows[-1]["agreement"] == 0.5 and rows[-1]["low"] < 0.5 < rows[-1]["high"]
    told = CliRunner().invoke(cli.app, ["serve", "--report", str(path), "--json", str(tmp_path / "r.json")])
    assert told.exit_code == 0 and json.loads((tmp_path / "r.json").read_text())[-1]["n"] == 8
    assert CliRunner().invoke(cli.app, ["serve", "--report", str(path), "--floor", "0.999"]).exit_code in (0, 1)


def test_a_log_without_shadow_or_of_something_else_is_named(tmp_path):
    empty, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    empty.write_text("")
    other.write_text('{"id": 1}\n')
    with pytest.raises(InputError, match="--shadow"):
        log.report(empty)
    with pytest.raises(InputError, match=r"b\.jsonl:1"):
        log.report(other)


def test_addresses_that_others_reach_need_a_key():
    from slmkit.agent.serving.app import check_address

    for host in ("127.0.0.1", "::1", "localhost"):
        check_address(host, "")
    for host in ("0.0.0.0", "::", "192.168.1.4", "example.org"):
        with pytest.raises(InputError, match="key-env"):
            check_address(host, "")
        check_address(host, "a key")


@pytest.mark.parametrize(
    "content, names",
    [
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ('{"small": "mini-1m"}', "`large`"),
        ('{"small": "mini-1m", "large": "mini-2m", "treshold": 1}', "threshold"),
        ('{"small": "mini-1m", "large": "mini-2m", "threshold": "high"}', "threshold"),
        ('{"small": "mini-1m", "large": "mini-2m", "rules": ["invald"]}', "invalid"),
        ('{"small": "mini-1m", "large": "mini-2m", "scorer": {"names": []}}', "routing.json"),
    ],
)
def test_a_bad_routing_file_is_one_line(tmp_path, content, names):
    path = tmp_path / "routing.json"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read(path)
    assert names in str(error.value) and "routing.json" in str(error.value) and "\n" not in str(error.value)


def test_the_command_refuses_in_one_line(tmp_path):
    invoke = CliRunner().invoke
    assert isinstance(invoke(cli.app, ["serve"]).exception, InputError)
    assert "no such routing file" in str(invoke(cli.app, ["serve", str(tmp_path / "x.json")]).exception)
    found = invoke(cli.app, ["serve", str(tmp_path / "x.json"), "--host", "0.0.0.0"]).exception
    assert "key-env" in str(found)
    assert "empty" in str(invoke(cli.app, ["serve", "x", "--key-env", "NO_SUCH_VARIABLE_HERE"]).exception)


@pytest.mark.full
def test_the_command_serves_two_minis(tmp_path: Path):
    import subprocess
    import sys
    import urllib.request

    routing, port = tmp_path / "routing.json", unused_port()
    Routing("mini-1m", "mini-2m", threshold=0.5).write(routing)
    command = [str(Path(sys.executable).with_name("slmkit")), "serve", str(routing), "--port", str(port)]
    with subprocess.Popen([*command, "--log", str(tmp_path / "log.jsonl"), "--shadow", "1"]) as server:
        try:
            until = time.monotonic() + 120
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
                    break
                except OSError:
                    assert server.poll() is None and time.monotonic() < until
                    time.sleep(0.3)
            reply = models.load(f"openai:cascade@http://127.0.0.1:{port}/v1").chat(ASK, TOOLS, max_tokens=32)
            assert reply.error is None and (reply.tool_calls or reply.content)
        finally:
            server.terminate()
