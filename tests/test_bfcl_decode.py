"""From what a model said to the calls that BFCL's checker takes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmkit.capability.bfcl_decode import decode_reply, decode_result, score_reply
from slmkit.records import Reply, ToolCall

TOOLS = [
    {"name": "math.gcd", "parameters": {"properties": {"a": {"type": "integer"}}, "required": ["a"]}},
    {"name": "plain_name", "parameters": {"properties": {}, "required": []}},
]


def made(*calls):
    return Reply(tool_calls=[ToolCall(name=name, arguments=text) for name, text in calls])


def test_tool_calls_come_under_the_names_that_are_meant():
    reply = made(("math_gcd", '{"a": 5.0}'), ("other_name", "{}"))
    calls = decode_reply(reply, {"math_gcd": "math.gcd"})
    assert calls == [{"math.gcd": {"a": 5.0}}, {"other_name": {}}]
    assert isinstance(calls[0]["math.gcd"]["a"], float)
    assert decode_reply(Reply(content="no")) == []
    assert decode_reply(made(("f", "{"))) is None


def test_a_name_on_offer_is_never_another():
    tools = [{"name": "a_b"}, {"name": "a.b"}]
    assert decode_result([{"a_b": "{}"}, {"a.b": "{}"}], tools, "python") == [{"a_b": {}}, {"a.b": {}}]


def test_a_reply_is_judged_as_bfcl_does():
    names = {"math_gcd": "math.gcd"}
    gold = [{"math.gcd": {"a": [5]}}]
    assert score_reply(TOOLS, made(("math_gcd", '{"a": 5}')), gold, "simple_python", names).valid
    broken, failed = made(("math_gcd", '{"a": 5')), Reply(error="timeout")
    assert score_reply(TOOLS, broken, gold, "simple_python", names).error == "invalid_syntax"
    assert score_reply(TOOLS, broken, None, "irrelevance", names).valid  # no call, as officially
    assert score_reply(TOOLS, broken, None, "live_relevance", names).error == "missed_call"
    for category in ("simple_python", "irrelevance", "live_relevance"):
        assert not score_reply(TOOLS, failed, gold, category, names).valid


def test_java_arguments_have_to_be_source_text():
    tools = [{"name": "f", "parameters": {"properties": {"x": {"type": "long"}}, "required": ["x"]}}]
    gold = [{"f": {"x": [5]}}]
    assert score_reply(tools, made(("f", '{"x": "5L"}')), gold, "simple_java").valid
    assert score_reply(tools, made(("f", '{"x": 5}')), gold, "simple_java").error_type == "type_error:java"


@pytest.mark.parametrize(
    "result, calls",
    [
        ([], []),
        ([{"math_gcd": '{"a": 1}'}], [{"math.gcd": {"a": 1}}]),
        (
            [{"math.gcd": '{"a": 1}'}, {"plain_name": {"b": 2}}],
            [{"math.gcd": {"a": 1}}, {"plain_name": {"b": 2}}],
        ),
        ([{"plain_name": "{"}], None),
        ([{"plain_name": "[1]"}], [{"plain_name": [1]}]),
        ([{}], None),
        (["f"], None),
        (None, None),
        (5, None),
    ],
)
def test_tool_calls_of_an_answers_file(result, calls):
    assert decode_result(result, TOOLS, "python") == calls


@pytest.mark.parametrize(
    "text, calls",
    [
        ("[f(a=1)]", [{"f": {"a": 1}}]),
        ("f(a=1), g.h.i(b='x')", [{"f": {"a": 1}}, {"g.h.i": {"b": "x"}}]),
        ("```\n[f(a=1)]\n```", [{"f": {"a": 1}}]),
        ("```python\n[f(a=1)]\n```", None),
        (
            "[f(a=[1, 2.0, -3], b={'k': (True, None)}, c=...)]",
            [{"f": {"a": [1, 2.0, -3], "b": {"k": (True, None)}, "c": "..."}}],
        ),
        (
            "[f(a=name, b=true, c=x[0], d=h(1), e=h(k=2))]",
            [{"f": {"a": "name", "b": "true", "c": "x[0]", "d": "h(1)", "e": {"h": {"k": 2}}}}],
        ),
        (
            "[f(a=2*3+1, b=10**-2, c='ab'*2, d=[1]+[2], e=7//2)]",
            [{"f": {"a": 7, "b": 0.01, "c": "abab", "d": [1, 2], "e": 3}}],
        ),
        ("[f(a=+5)]", [{"f": {"a": -5}}]),
        ("[f(1, a=2)]", [{"f": {"a": 2}}]),
        ("", []),
        ("[]", []),
        ("[f(a=1), 2]", None),
        ("[f]", None),
        ("I would call f(a=1).", None),
        ("[f(a=B.c)]", None),
        ("[f(a={1, 2})]", None),
        ("[f(a=[x for x in y])]", None),
        ("[f(a=-x)]", None),
        ("[f(a={[]: 1})]", None),
        ("[f(a=x + 1)]", None),
        ("[f(a=1/0)]", None),
        ("[f(a='%9999999999d' % 1)]", None),
        ("[f(a=9**9**9**9)]", None),
        ("[f(a=(10**300)**1000**2)]", None),
        ("[f(a='x'*10**9)]", None),
        ("[f(a=1 << 10**9)]", None),
        ("[f(a=__import__('os').getcwd() + 'x')]", None),
        ("[f(a=" + "(" * 5000 + ")]", None),
        ("[f(a='\x00')]", None),
    ],
)
def test_python_text(text, calls):
    assert decode_result(text, TOOLS, "python") == calls


@pytest.mark.parametrize(
    "text, arguments",
    [
        (
            "[A.b(x=1, y=\"two\", z=true, c='q', n=null)]",
            {"x": "1", "y": "two", "z": "true", "c": "q", "n": "null"},
        ),
        ("A.b(x = 5L , y = -2.5f)", {"x": "5L", "y": "-2.5f"}),
        ('A.b(x="a, (b", y="it\'s")', {"x": "a, (b", "y": "it's"}),
        (
            "A.b(x=a + b, y=(int) 5, z=Foo.class, t=v -> v + 1)",
            {"x": "a+b", "y": "(int)5", "z": "Foo.class", "t": "v->v+1"},
        ),
        (
            'A.b(x=Paths.get("a", "b"), y=new C(1,"x").run(2, 3))',
            {"x": 'Paths.get("a", "b")', "y": 'new C(1,"x").run(2, 3)'},
        ),
        (
            'A.b(x=new String[] {"a", "b c"}, y=new int[][]{{1, 2}})',
            {"x": 'new String[]{"a","b c"}', "y": "new int[]{{1,2}}"},
        ),
        (
            "A.b(x=new ArrayList<Integer>(Arrays.asList(1, 2)))",
            {"x": "new ArrayList<Integer>(Arrays.asList(1, 2))"},
        ),
        ("A.b(x=new C(1,2), y=new D( ))", {"x": "new C(1, 2)", "y": "new D()"}),
        # the body of an anonymous class is lost, officially too
        (
            'A.b(x=new HashMap<String, Integer>() {{ put("a", 1); }}, y=2)',
            {"x": "new HashMap<String,Integer>()", "y": "2"},
        ),
        ("A.b(free, 5, a == b)", {None: "free"}),
        ("A.b()", {}),
    ],
)
def test_java_text(text, arguments):
    assert decode_result(text, TOOLS, "java") == [{"A.b": arguments}]


@pytest.mark.parametrize(
    "text, arguments",
    [
        (
            "[A.b(x=1, y='two', z=[1, [2, 3]], n=100n)]",
            {"x": "1", "y": "two", "z": "[1, [2, 3]]", "n": "100n"},
        ),
        ("A.b(x={k: 'v', l: [1]}, f=(p, q) => p + q)", {"x": "{k: 'v', l: [1]}", "f": "(p, q) => p + q"}),
        (
            "A.b(x=`t, ${y}`, f=function(p, q) { return p; })",
            {"x": "`t, ${y}`", "f": "function(p, q) { return p; }"},
        ),
        ("A.b(x=a < b, y=c > d)", {"x": "a < b", "y": "c > d"}),
        ("A.b(true)", {None: "true"}),
    ],
)
def test_javascript_text(text, arguments):
    assert decode_result(text, TOOLS, "javascript") == [{"A.b": arguments}]


@pytest.mark.parametrize("language", ["java", "javascript"])
@pytest.mark.parametrize(
    "text",
    [
        "[f(a=1), g(b=2)]",
        "[f(a=1, a=2)]",
        "[f(a, b)]",
        "no call",
        "[f(a=1]",
        "[f(a='x)]",
        "[f(a=[1)]",
        "[f(a=(1])]",
        "",
    ],
)
def test_what_is_no_single_call_cannot_be_decoded(text, language):
    assert decode_result(text, TOOLS, language) is None


def test_a_java_array_without_elements_cannot_be_decoded():
    assert decode_result("f(a=new int[5])", TOOLS, "java") is None


@given(st.text(), st.sampled_from(["python", "java", "javascript"]))
def test_any_text_may_come_as_result(text, language):
    for result in (text, f"[f({text})]", f"[f(a={text})]", f"[f(a=new A({text}))]"):
        decode_result(result, TOOLS, language)


plain = st.recursive(
    st.booleans() | st.integers(0) | st.floats(0, allow_infinity=False) | st.text() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), plain))
def test_python_calls_come_back(arguments):
    text = f"[f({', '.join(f'{name}={value!r}' for name, value in arguments.items())})]"
    assert decode_result(text, TOOLS, "python") == [{"f": arguments}]
    assert decode_result([{"f": json.dumps(arguments)}], TOOLS, "python") == [{"f": arguments}]
