"""Recorded calls: answering from a file, and going on after an interruption."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmkit import models
from slmkit.errors import InputError
from slmkit.models import Model, Recorded, Request, Sampling
from slmkit.models.replay import ReplayModel, read_calls
from slmkit.records import Reply, ToolCall, Usage

TOOL = {"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object"}}}


class Parrot(Model):
    """Says the last message again; fails on "fail", is interrupted on "stop"; counts what it was asked."""

    def __init__(self, ref: str = "parrot", fingerprint: str = "parrot 1", shows_temperature: bool = False) -> None:
        self.ref, self.fingerprint, self.notes = ref, fingerprint, {}
        self.shows_temperature = shows_temperature
        self.asked: list[str] = []

    def answer(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        for index in reversed(range(len(requests))):
            text = requests[index].messages[-1]["content"]
            self.asked.append(text)
            if text == "stop":
                raise KeyboardInterrupt
            if text == "fail":
                yield index, Reply(error="failed", model=self.ref)
                continue
            text += str(sampling.temperature) if self.shows_temperature else ""
            calls = [ToolCall(name="f", arguments='{"a": 1}')] if requests[index].tools else []
            usage = Usage(prompt=3, completion=2)
            yield (
                index,
                Reply(content=text, tool_calls=calls, usage=usage, ttft_s=0.1, latency_s=0.2, model=self.ref),
            )


def ask(*texts: str, tools: list[dict] | None = None) -> list[Request]:
    return [Request([{"role": "user", "content": text}], tools or []) for text in texts]


def test_order_is_kept_and_unknown_options_are_named() -> None:
    model = Parrot()
    assert [reply.content for reply in model.chat_many(ask("a", "b", "c"))] == ["a", "b", "c"]
    with pytest.raises(InputError, match="did you mean 'temperature'"):
        model.chat([{"role": "user", "content": "a"}], temprature=0)
    with pytest.raises(InputError, match="top_p"):
        model.chat([{"role": "user", "content": "a"}], top_p=0)


def test_key_is_stable_and_tells_requests_apart() -> None:
    request = ask("hello", tools=[TOOL])[0]
    # The value itself, so that no change makes old caches worthless unseen.
    assert request.key("m") == "3b7ec30e754a3bc082d52bf978375baa2238199f04462a74db020f3af7d131a3"
    assert Request(json.loads(json.dumps(request.messages)), request.tools).key("m") == request.key("m")
    others = [ask("hello")[0].key("m"), request.key("n"), request.key("m", Sampling(temperature=0.5))]
    assert len({request.key("m"), *others}) == 4
    assert request.key("m", Sampling()) == request.key("m")


def test_what_is_on_file_is_not_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "calls.jsonl"
    first = models.record(Parrot(), path)
    replies = first.chat_many(ask("a", "b", tools=[TOOL]))
    second = Recorded(Parrot(), path)
    assert second.has(ask("a", tools=[TOOL])[0])
    assert not second.has(ask("a")[0])
    assert not second.has(ask("a", tools=[TOOL])[0], temperature=1.0)
    assert second.chat_many(ask("b", "a", "c", "c", tools=[TOOL]))[:2] == [replies[1], replies[0]]
    assert second.model.asked == ["c"]
    assert len(read_calls(path)) == 3


def test_another_model_under_the_same_name_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    Recorded(Parrot(), path).chat_many(ask("a"))
    retrained = Recorded(Parrot(fingerprint="parrot 2"), path)
    retrained.chat_many(ask("a"))
    assert retrained.model.asked == ["a"]


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with pytest.raises(KeyboardInterrupt):
        Recorded(Parrot(), path).chat_many(ask("a", "stop", "b", "c"))
    again = Recorded(Parrot(), path)
    assert [reply.content for reply in again.chat_many(ask("a", "b", "c"))] == ["a", "b", "c"]
    assert again.model.asked == ["a"]


def test_a_failed_reply_is_recorded_nowhere_and_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    model = Recorded(Parrot(), path)
    assert [reply.error for reply in model.chat_many(ask("a", "fail"))] == [None, "failed"]
    model.chat_many(ask("a", "fail"))
    assert model.model.asked == ["fail", "a", "fail"]


@given(st.data())
def test_a_torn_last_line_is_dropped_and_the_file_mended(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("torn") / "calls.jsonl"
    Recorded(Parrot(), path).chat_many(ask("ä", "b"))
    whole = path.read_bytes()
    last = whole.index(b"\n") + 1
    path.write_bytes(whole[: data.draw(st.integers(last + 1, len(whole) - 1))])
    with pytest.warns(UserWarning, match=r"calls.jsonl:2: the last line is incomplete"):
        model = Recorded(Parrot(), path)
    assert [reply.content for reply in model.chat_many(ask("ä", "b"))] == ["ä", "b"]
    assert len(model.model.asked) == 1
    assert len(read_calls(path)) == 2


def test_a_record_holds_the_whole_call(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    Recorded(Parrot(), path).chat_many(ask("a", tools=[TOOL]), temperature=0.5, stop="x")
    call = read_calls(path)[0]
    assert (call.model_requested, call.model_served, call.source) == ("parrot", "parrot", "slmkit")
    assert call.sampling == {"temperature": 0.5, "stop": ["x"]}
    assert call.tools == [TOOL]
    assert (call.ended_at - call.started_at).total_seconds() == pytest.approx(0.2, abs=1e-6)
    assert call.usage == call.reply.usage == Usage(prompt=3, completion=2)


def test_replay_answers_what_is_on_file(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    Recorded(Parrot(), path).chat_many(ask("a", "b"))
    model = models.load(f"replay:{path}")
    replies = model.chat_many(ask("b", "x"))
    assert replies[0].content == "b"
    assert "no reply on file" in replies[1].error
    with pytest.raises(InputError, match="none of the 1 requests is on file"):
        model.chat([{"role": "user", "content": "x"}])
    with pytest.raises(InputError, match="on file"):  # recorded free, asked for constrained
        model.chat_many(ask("a"), constrained=True)


def test_replay_prefers_the_same_sampling(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    recorded = Recorded(Parrot(shows_temperature=True), path)
    for temperature in (0.5, 1.0):
        recorded.chat_many(ask("a"), temperature=temperature, stop=("x",))
    model = ReplayModel("replay", path)
    assert model.chat_many(ask("a"), temperature=0.5, stop=("x",))[0].content == "a0.5"
    assert model.chat_many(ask("a"), temperature=0.7)[0].content == "a1.0"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"call_id": "x"}\n', "calls.jsonl:1: not a recorded call (messages"),
        ("nonsense\n", "calls.jsonl:1: not a recorded call"),
        ('{"call_id": "x", "messages": [], "reply": {}, "extra": 1}\n', "extra"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text(line)
    for load in (lambda: models.load(f"replay:{path}"), lambda: Recorded(Parrot(), path)):
        with pytest.raises(InputError) as caught:
            load()
        assert said in str(caught.value)


def test_a_recording_of_two_models_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    Recorded(Parrot("one"), path).chat_many(ask("a"))
    Recorded(Parrot("two"), path).chat_many(ask("b"))
    with pytest.raises(InputError, match="2 models"):
        models.load(f"replay:{path}")
