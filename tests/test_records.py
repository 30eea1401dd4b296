"""Records: raw arguments are kept, misspelt fields refused, everything survives a line of JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from slmkit.records import Call, Reply, ToolCall, Usage, Verdict


@given(st.text())
def test_arguments_never_raise_and_are_kept_as_written(text):
    call = ToolCall(name="f", arguments=text)
    assert call.arguments == text
    assert call.parsed() is None or isinstance(call.parsed(), dict)


def test_only_an_object_is_a_mapping_of_arguments():
    assert ToolCall(name="f", arguments='{"a": 5.0}').parsed() == {"a": 5.0}
    assert ToolCall(name="f", arguments="[1]").parsed() is None
    assert ToolCall(name="f", arguments='{"a": 1').parsed() is None


def test_a_call_survives_a_line_of_json():
    call = Call(
        call_id="1",
        messages=[{"role": "user", "content": "hi"}],
        reply=Reply(tool_calls=[ToolCall(name="f", arguments="{}")], usage=Usage(prompt=3, completion=2)),
        started_at="2026-01-02T03:04:05Z",
    )
    assert Call.model_validate_json(call.model_dump_json()) == call


def test_a_misspelt_field_is_refused():
    with pytest.raises(ValidationError, match="promt"):
        Usage(promt=3)


def test_a_verdict_takes_only_the_five_outcomes():
    with pytest.raises(ValidationError):
        Verdict(claim_id="V1", statement="s", kind="measured", outcome="true")


def test_a_reply_becomes_the_next_message():
    reply = Reply(content="", tool_calls=[ToolCall(name="f", arguments='{"a": 1}', id="c1")])
    assert reply.message()["tool_calls"][0] == {
        "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'},
    }  # fmt: skip
    assert "tool_calls" not in Reply(content="no").message()
