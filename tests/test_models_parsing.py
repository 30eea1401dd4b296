"""What models write, and what is read in it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from slmkit.models.parsing import MARKS, THOUGHTS, Parsed, parse

F = '{"name": "f", "arguments": {"a": 1}}'
G = '{"name": "g", "parameters": {}}'


def calls(parsed: Parsed) -> list[tuple[str, dict | None]]:
    return [(call.name, call.parsed()) for call in parsed.tool_calls]


@pytest.mark.parametrize(
    "text",
    [
        f"<|call|>{F}<|call|>{G}",
        'f<|call|>{"a": 1}\ng<|call|>{}',
        ' f <|call|> {"a": 1} \n\n g<|call|>{}\n',
        f"<tool_call>\n{F}\n</tool_call>\n<tool_call>\n{G}\n</tool_call>",
        f"<tool_call>{F}</tool_call><tool_call>{G}",  # cut after the last call
        f"<tool_call>[{F}, {G}]</tool_call>",
        f"<|python_tag|>{F}; {G}",
        f"[TOOL_CALLS][{F}, {G}]",
        "<|tool_call_start|>[f(a=1), g()]<|tool_call_end|>",
        '[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]g[ARGS]{}',
        '[TOOL_CALLS]f[CALL_ID]Ab12[ARGS]{"a": 1}[TOOL_CALLS]g[CALL_ID]c[ARGS]{}',
        f"[TOOL_CALLS] [{F}, {G}][/TOOL_CALLS]",
        f'<|tool_call|>[{{"type": "function", "function": {F}}}, {G}]<|/tool_call|>',
        f"<tool_call>[{F},{G}]",
        f'{{"thought": "", "tool_calls": [{F}, {G}]}}',  # xLAM 1
        "<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>"
        "<tool_call><function=g></function></tool_call>",
        "<function=f>\n<parameter=a>1</parameter></function>\n<function=g>\n</function>",
        '<function=f>{"a": 1}</function><function=g>{}</function>',
        "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>\n<tool_call>g\n</tool_call>",
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{"a": 1}\n```<｜tool▁call▁end｜>'
        "\n<｜tool▁call▁begin｜>g<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        '<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{"a": 1}'
        "<|tool_call_end|><|tool_call_begin|>functions.g:1<|tool_call_argument_begin|>{}<|tool_call_end|>",
        "<|tool_call>call:f{a:1}<tool_call|><|tool_call>call:g{}<tool_call|>",
        '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": 1}<|call|>'
        "<|start|>assistant<|channel|>commentary to=functions.g<|message|>{}",
        "f(a=1)\ng()",
        'f{"a": 1}\ng{}',
        f"{F}\n{G}",
        f" [{F},{G}] ",
        f"```json\n[{F}, {G}]\n```",
        "[f(a=1), g()]",
        f'{{"type": "function", "function": {F}}}\n{G}',
        '[{"name": "f", "arguments": "{\\"a\\": 1}"}, {"name": "g", "arguments": {}}]',
    ],
)
def test_every_form_of_two_calls(text: str) -> None:
    parsed = parse(text, names={"f": {}, "g": {}})
    assert calls(parsed) == [("f", {"a": 1}), ("g", {})]
    assert (parsed.content, parsed.malformed) == ("", [])


def test_arguments_stay_as_written() -> None:
    assert parse('<|call|>{"name": "f", "arguments": {"a":1.50,  "b": "\\u00e9"}}').tool_calls[0].arguments == (
        '{"a":1.50,  "b": "\\u00e9"}'
    )


def test_python_values() -> None:
    text = "[a.b(x=-1.5, y=[True, none_], z={'k': None})]"
    assert parse(text).malformed == [text]
    text = "[a.b(x=-1.5, y=[True, false], z={'k': None}, s='it\\'s')]"
    assert calls(parse(text)) == [("a.b", {"x": -1.5, "y": [True, False], "z": {"k": None}, "s": "it's"})]


def test_names_and_keys_that_python_would_not_take() -> None:
    assert calls(parse("[get-time(from='x', user-id=3, in=[1])]")) == [
        ("get-time", {"from": "x", "user-id": 3, "in": [1]})
    ]
    assert calls(parse("[f(text='a\nb = c(d)')]")) == [("f", {"text": "a\nb = c(d)"})]


def test_a_schema_says_what_is_a_string() -> None:
    text = "<tool_call><function=f><parameter=a>1</parameter><parameter=b>007</parameter></function></tool_call>"
    assert calls(parse(text, {"f": {"properties": {"a": {"type": "string"}}}})) == [("f", {"a": "1", "b": "007"})]
    assert calls(parse(text)) == [("f", {"a": 1, "b": "007"})]


def test_a_channel_that_calls_wrongly_is_kept() -> None:
    parsed = parse(
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant to=functions.f<|channel|>commentary json<|message|>{"
    )
    assert parsed.reasoning == "hm" and len(parsed.malformed) == 1 and "functions.f" in parsed.malformed[0]


def test_text_around_calls_is_content() -> None:
    parsed = parse(f"Let me look.\n<tool_call>{F}</tool_call>\nDone.")
    assert calls(parsed) == [("f", {"a": 1})]
    assert parsed.content.split() == ["Let", "me", "look.", "Done."]


def test_a_mark_inside_a_string_is_no_mark() -> None:
    text = '<tool_call>{"name": "f", "arguments": {"a": "</tool_call><tool_call>"}}</tool_call>'
    assert calls(parse(text)) == [("f", {"a": "</tool_call><tool_call>"})]


@pytest.mark.parametrize(
    ("text", "reasoning", "content"),
    [
        ("<think>\nhm\n</think>\n\nyes", "hm", "yes"),
        ("hm</think>yes", "hm", "yes"),  # the template wrote the start
        ("<think>hm", "hm", ""),
        ("[THINK]hm[/THINK]yes", "hm", "yes"),
        ("<|channel>thought\nhm\n<channel|>yes", "hm", "yes"),
        ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>yes", "hm", "yes"),
        (" to=self<|message|>hm<|eom|><|start|>assistant to=user<|message|>yes<|eot|>", "hm", "yes"),
        ("<think></think>yes", "", "yes"),
        ("a tag <think> is not a block</think>", "", "a tag <think> is not a block</think>"),
        ("no thought", "", "no thought"),
    ],
)
def test_reasoning_is_kept_apart(text: str, reasoning: str, content: str) -> None:
    parsed = parse(text)
    assert (parsed.reasoning, parsed.content) == (reasoning, content)


def test_a_call_inside_reasoning_is_no_call() -> None:
    parsed = parse(f"<think>maybe <tool_call>{G}</tool_call></think><tool_call>{F}</tool_call>")
    assert calls(parsed) == [("f", {"a": 1})]
    assert "g" in parsed.reasoning


@pytest.mark.parametrize(
    ("text", "names", "content", "malformed"),
    [
        ('Let me look.\nf<|call|>{"a": 1}', [], "Let me look.", []),
        ('Let me look. f<|call|>{"a": 1}', [], "Let me look. f", ['<|call|>{"a": 1}']),
        (f"Sure<|call|>{F}", [], "Sure", []),
        ('f<|call|>{"a": 1}\nDone.', [], "Done.", []),
        ('g<|call|>{"a": \nf<|call|>{"a": 1}', [], "", ['g<|call|>{"a":']),
        ('g<|call|>{"a": 1}}\nf<|call|>{"a": 1}', [], "", ['g<|call|>{"a": 1}}']),
        ('g<|call|>[1]\nf<|call|>{"a": 1}', [], "", ["g<|call|>[1]"]),
        ("g<|call|>", [], "", ["g<|call|>"]),
        ('g<|call|>{"a": "<|call|>', [], "", ['g<|call|>{"a": "', "<|call|>"]),
        (f"f<|call|>{G}", ["g"], "f", []),
    ],
)
def test_named_calls_among_other_text(text: str, names: list, content: str, malformed: list) -> None:
    parsed = parse(text, names)
    assert (parsed.content, parsed.malformed) == (content, malformed)
    if "f" in text and '"a": 1}' in text and not (malformed and "look" in text):
        assert calls(parsed) == [("f", {"a": 1})]


def test_a_named_call_may_have_arguments_called_name_and_arguments() -> None:
    assert calls(parse(f"h<|call|>{F}", names={"h"})) == [("h", {"name": "f", "arguments": {"a": 1}})]


@pytest.mark.parametrize(
    "text",
    [
        '<|call|>{"name": "f", "arguments": {"a": 1}',
        '<|call|>{"name": "f", "arguments": {"a": 1}}}',
        "<|call|>",
        "<|call|>[]",
        '<|call|>{"arguments": {}}',
        '<|call|>{"name": 1, "arguments": {}}',
        '<|call|>{"name": "\\ud800", "arguments": {}}',
        "<|call|>f(1)",
        "<|call|>f(**x)",
        "<|call|>__import__('os').system(a='x')(b=1)",
        '{"name": "f", "arguments": {"a":',
        '[{"name": "f", "arguments": {}} {"name": "f", "arguments": {}}]',
        "[f(a=)]",
        "[f(a=open)]",
    ],
)
def test_what_looks_like_a_call_and_is_none_is_kept(text: str) -> None:
    parsed = parse(text)
    assert parsed.malformed == [text]
    assert (parsed.tool_calls, parsed.content) == ([], "")


def test_one_broken_call_does_not_hide_the_other() -> None:
    parsed = parse(f'<|call|>{{"name": <|call|>{F}')
    assert calls(parsed) == [("f", {"a": 1})]
    assert parsed.malformed == ['<|call|>{"name": ']


@pytest.mark.parametrize(
    "text",
    [
        "I cannot help with that.",
        '{"name": "Ann", "age": 3}',
        "[1, 2, 3]",
        "f(a=1)",
        "print('hello')",
        'The call {"name": "f", "arguments": {}} would do.',
        "```python\nf(a=1)\n```",
        "",
        "{",
        "[",
    ],
)
def test_what_is_no_call_stays_content(text: str) -> None:
    parsed = parse(text)
    assert parsed.content == text
    assert (parsed.tool_calls, parsed.malformed) == ([], [])


def test_a_bare_python_call_of_an_offered_tool_is_a_call() -> None:
    assert calls(parse("f(a=1)", names={"f"})) == [("f", {"a": 1})]
    assert calls(parse("f(a=1)\nf(a=2)", names={"f"})) == [("f", {"a": 1}), ("f", {"a": 2})]
    assert parse("f(a=b)", names={"f"}).malformed == ["f(a=b)"]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '<|call|>{"a":' * 2_000, f'{{"name": "f", "arguments": {"9" * 5_000}}}']
)
def test_hostile_text_is_read_without_harm(text: str) -> None:
    parse(text)


MARKUP = [*MARKS, *filter(None, MARKS.values()), "<think>", "</think>", "```json\n", "\n```", F, G]
SCRAPS = [
    "g<|call|>{",
    "[ARGS]",
    "[CALL_ID]a",
    "<function=f>",
    "<parameter=a>",
    "</parameter>",
    "</function>",
    '<invoke name="f">',
    "</invoke>",
    "<arg_key>a</arg_key>",
    "<arg_value>1</arg_value>",
    "<｜tool▁sep｜>f\n```json",
    "call:f{a:",
    '<|"|>',
    "<|channel|>commentary to=functions.f",
    "<|message|>",
    "<|start|>assistant",
    "<|end|>",
    " to=self",
    "f(a=1)",
    "f(",
    ")",
    "name",
    '"name":',
    '"arguments":',
    "1e999",
    "\\ud800",
    "\ud800",
    "\x00",
    *"[]{}\"',;:",
]
PIECES = st.sampled_from([*MARKUP, *SCRAPS])
TEXT = st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=12).map("".join)


@pytest.mark.parametrize("examples", [400, pytest.param(20_000, marks=pytest.mark.full)])
def test_nothing_raises(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(
        TEXT, st.sampled_from([(), {"f"}, {"f": {"properties": {"a": {"type": "string"}}}}, {"f": {"properties": [1]}}])
    )
    def check(text: str, names: object) -> None:
        parsed = parse(text, names)
        for call in parsed.tool_calls:
            call.model_dump_json()
            assert call.name
        json.dumps(parsed.malformed)
        assert parse(text, names, calls=False).tool_calls == []

    check()


def test_hostile_text_is_read_in_no_time() -> None:
    started = time.process_time()
    for piece in [*MARKUP, *SCRAPS]:
        for start in ("", *MARKS):
            parse(start + piece * 500, names={"f"})
    assert time.process_time() - started < 20  # a fraction of it where nothing grows with the square


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), min_size=1, max_size=3))
def test_what_a_template_writes_is_read_back(arguments: list[dict]) -> None:
    bodies = [json.dumps({"name": "f", "arguments": given_}, ensure_ascii=False) for given_ in arguments]
    # The prompt may hold the opening mark of a thought, so a closing one counts wherever it stands, in a string too.
    assume(not any(mark in body for body in bodies for mark in THOUGHTS.values()))
    for start, end in [("<|call|>", ""), ("<tool_call>\n", "\n</tool_call>\n")]:
        parsed = parse("".join(start + body + end for body in bodies))
        assert [call.parsed() for call in parsed.tool_calls] == arguments
    assert [call.parsed() for call in parse(f"[{', '.join(bodies)}]").tool_calls] == arguments
