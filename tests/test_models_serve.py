"""A real OpenAI-compatible server, `transformers serve` on loopback, with one of our own models behind it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import unused_port
from test_models_prefix import CITIES

from slmkit import config, models
from slmkit.models import Request

pytest.importorskip("fastapi", reason="needs the extra `serve`")

FOLDER = config.resource("data/mini/mini-2m")
STARTS_WITHIN_S = 240.0


def function(name: str, about: str, **properties: str) -> dict:
    parameters = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
    }
    return {"type": "function", "function": {"name": name, "description": about, "parameters": parameters}}


TOOLS = [
    function("get_weather", "Get the weather forecast of a city", city="string", days="integer"),
    function("set_alarm", "Set an alarm", time="string"),
    function("convert_currency", "Convert an amount of money", amount="number", target="string"),
]


def asked(count: int) -> list[Request]:
    texts = ["What is the weather in {} for the next {} days?", "Set an alarm for {1}:30 to call {0}", "Hello from {}!"]
    found = []
    for number in range(count):
        text = texts[number % 3].format(CITIES[number % 12], 2 + number % 7)
        found.append(Request([{"role": "user", "content": text}], TOOLS[: 1 + number % 3]))
    return found


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, log = unused_port(), tmp_path_factory.mktemp("serve") / "log.txt"
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(FOLDER)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output, env=quiet) as server:
        try:
            until = time.monotonic() + STARTS_WITHIN_S
            while not healthy(port):
                assert server.poll() is None and time.monotonic() < until, log.read_text()[-2_000:]
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.mark.parametrize("count", [6, pytest.param(60, marks=pytest.mark.full)])
def test_the_server_says_what_the_model_says_in_process(url: str, count: int) -> None:
    served = models.load(f"openai:{FOLDER}@{url}", concurrency=4)
    local = models.load("mini-2m", device="cpu", dtype="float32")
    requests = asked(count)
    replies = served.chat_many(requests, max_tokens=48, progress=False)
    expected = local.chat_many(requests, max_tokens=48, progress=False)
    differ = 0
    for request, reply, other in zip(requests, replies, expected, strict=True):
        assert reply.error is None
        assert 0 < reply.ttft_s < reply.latency_s
        assert reply.usage.prompt == other.usage.prompt
        same = (reply.content, reply.tool_calls, reply.malformed) == (other.content, other.tool_calls, other.malformed)
        offered = {tool["function"]["name"] for tool in request.tools}
        named = [call.name for call in other.tool_calls] + [text.partition("<|call|>")[0] for text in other.malformed]
        invented = [name for name in named if name not in offered]
        if invented:  # the server drops the mark of a call, and without it only a name on offer tells one from text
            assert same or invented[0] in reply.content
            continue
        differ += not same
        assert not same or reply.finish_reason == other.finish_reason
    assert differ <= 0.02 * count
    assert sum(bool(reply.tool_calls) for reply in replies) >= count // 3
    assert {reply.logprob for reply in replies} == {None}  # this server has none to give


def test_sampling_reaches_the_server(url: str) -> None:
    served = models.load(f"openai:{FOLDER}@{url}")
    messages = asked(1)[0].messages
    reply = served.chat(messages, TOOLS, max_tokens=3)
    assert (reply.usage.completion, reply.finish_reason) == (3, "length")
    stopped = served.chat(messages, TOOLS, stop="weather", max_tokens=30)
    assert stopped.error is None


def test_an_answer_by_schema_is_asked_for(url: str) -> None:
    served = models.load(f"openai:{FOLDER}@{url}")
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    plain = served.chat(asked(1)[0].messages, max_tokens=4)
    told = served.chat(asked(1)[0].messages, schema=schema, max_tokens=4, constrained=True)
    assert told.error is None
    assert told.usage.prompt > plain.usage.prompt + 20  # the schema stands in the prompt


def test_what_the_server_refuses_is_recorded(url: str) -> None:
    started = time.perf_counter()
    reply = models.load(f"openai:no/such-model@{url}", max_tries=2, backoff_s=0.01).chat(asked(1)[0].messages)
    assert reply.error and "\n" not in reply.error and reply.content == ""
    assert time.perf_counter() - started < 60
    long = models.load(f"openai:{FOLDER}@{url}", timeout_s=1e-3, max_tries=2, backoff_s=0.01).chat(asked(1)[0].messages)
    assert "(2 tries)" in long.error
