"""The BFCL checker: all official verdicts at hand, made-up entries for what those never touch, properties."""

import time
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmkit import config, files
from slmkit.capability import bfcl_checker
from slmkit.capability.answers import Entries
from slmkit.capability.bfcl_checker import check
from slmkit.capability.scoring import ERRORS


@cache
def vectors():
    """(entry, answer, official row) for each recorded verdict."""
    entries = Entries(config.dataset("bfcl"))
    rows = files.read_jsonl(config.dataset("bfcl_checker_vectors") / "vectors.jsonl.gz")
    return [(entries.find(row["id"]), row["model_output"], row) for row in rows]


def verdict(entry, answer):
    return check(entry.functions, answer, entry.possible_answer, entry.category)


@pytest.mark.data
def test_all_official_verdicts_and_error_types_agree():
    assert len(vectors()) == 9508
    for entry, answer, row in vectors():
        score = verdict(entry, answer)
        assert (score.valid, score.error_type) == (row["valid"], row["error_type"]), row
        assert (score.kind is None) == row["valid"] and score.kind in (None, *ERRORS), row


def verdicts_per_second():
    cases = [(entry, answer) for entry, answer, _ in vectors()]
    start = time.process_time()
    for entry, answer in cases:
        verdict(entry, answer)
    return len(cases) / (time.process_time() - start)


@pytest.mark.data
def test_speed_is_of_the_right_order():
    assert verdicts_per_second() > 1_000


@pytest.mark.data
@pytest.mark.full
def test_five_thousand_verdicts_a_second_on_one_core():
    assert verdicts_per_second() >= 5_000


def function(name="f", required=(), **properties):
    """A function in BFCL's schema; a property is a type or `(type, type of its elements)`."""
    schemas = {
        parameter: {"type": kind} if isinstance(kind, str) else {"type": kind[0], "items": {"type": kind[1]}}
        for parameter, kind in properties.items()
    }
    return {"name": name, "parameters": {"type": "dict", "properties": schemas, "required": list(required)}}


def one(kind, accepted, value, category="simple_python"):
    """The error type for an answer with the one argument `x`, None when it is valid."""
    score = check([function(x=kind)], [{"f": {"x": value}}], [{"f": {"x": accepted}}], category)
    assert score.valid == (score.error_type is None)
    return score.error_type


@pytest.mark.parametrize(
    "kind, accepted, value, error",
    [
        # types
        ("integer", [5], 5, None),
        ("integer", [5], 5.0, "type_error:simple"),
        ("integer", [5], True, "type_error:simple"),
        ("integer", [1], "1", "type_error:simple"),
        ("integer", [5], None, "type_error:simple"),
        ("float", [5.0], 5, None),
        ("float", [5], 5.0, None),
        ("float", [5], 6, "value_error:others"),
        ("boolean", [True], True, None),
        ("boolean", [True], 1, "type_error:simple"),
        ("boolean", [True], False, "value_error:others"),
        ("any", ["a"], "A", None),
        ("any", [3], 3, None),  # type `any` means a string, but the answer's own type passes
        ("any", [3], "3", "value_error:others"),
        # strings
        ("string", ["New York, NY"], "new-york/ny", None),
        ("string", ["it's"], 'IT"S', None),
        ("string", ["a"], "a!", "value_error:string"),
        ("string", ["a"], "a\t", "value_error:string"),
        ("string", ["ab"], "a^b*_", None),
        ("string", ["", "a"], ".", None),  # the empty string is an acceptable value like any other
        ("string", ["Straße"], "STRASSE", "value_error:string"),
        ("string", [3, "a"], "a", None),  # a variable: exactly equal
        ("string", [3, "a"], "A", "value_error:others"),
        # variables
        ("integer", ["n"], "n", None),
        ("integer", ["n"], "N", "value_error:others"),
        ("integer", [1, "n"], "n", "type_error:simple"),  # only the first value's type counts
        ("integer", ["n", 1], 1, None),
        ("integer", [""], 1, "value_error:others"),
        ("integer", [""], "", "type_error:simple"),
        ("boolean", [1], True, None),  # of the declared type, and equal to 1 in Python
        # lists
        (("array", "string"), [["a b", "c"]], ["A.B", "C"], None),
        (("array", "string"), [["a", "b"]], ["b", "a"], "value_error:list/tuple"),
        (("array", "string"), [["a"]], "a", "type_error:simple"),
        (("array", "string"), [["a"], ""], [], None),  # "" counts as a list of no letters
        (("array", "string"), [["a"], "xy"], ["x", "Y"], None),
        (("array", "integer"), [[1, 2]], [1, 2.0], "type_error:nested"),
        (("array", "integer"), [[1, 2]], [True, 2], "type_error:nested"),
        (("array", "float"), [[1.5, 2.0]], [1.5, 2], "type_error:nested"),  # no integer for a float in here
        (("array", "float"), [[1, 2]], [1, 2], None),  # but of the type of the answer's first element
        (("array", "float"), [[1, 2]], [1.0, 2.0], None),
        (("array", "integer"), [["n"]], ["n"], None),
        (("array", "integer"), [["n"]], ["N"], None),
        (("array", "integer"), [], [1], "type_error:simple"),
        (("array", "integer"), [], [], "type_error:simple"),
        (("array", "integer"), [[], [1]], [1], None),
        (("array", "integer"), ["ids"], "ids", None),
        (("array", "integer"), ["ids"], [1], "value_error:others"),
        (("array", "array"), [[["a"]]], [["a"]], None),
        (
            ("array", "array"),
            [[["a"]]],
            [["A"]],
            "value_error:list/tuple",
        ),  # strings compare loosely at one depth only
        (("array", "string"), [[]], [], None),
        (("tuple", "integer"), [[1, 2]], (1, 2), None),
        (("tuple", "integer"), [[1, 2]], [1, 2], None),
        (("array", "integer"), [[1, 2]], (1, 2), "type_error:simple"),
        # dictionaries
        ("dict", [{"a": [1, ""], "b": ["x y"]}], {"b": "X-Y"}, None),
        ("dict", [{"a": [1], "b": ["x"]}], {"b": "x"}, "value_error:dict_key"),
        ("dict", [{"a": [1]}], {"a": 2}, "value_error:dict_value"),
        ("dict", [{"a": [1]}], {"a": 1.0}, None),  # no types inside a dictionary
        ("dict", [{"a": [1]}], {"a": True}, None),
        ("dict", [{"a": [1]}], {"a": 1, "b": 2}, "value_error:dict_key"),
        ("dict", [{"a": [1], "b": [2]}], {"a": 9}, "value_error:dict_key"),
        ("dict", [{"a": [1]}, {"b": [2]}], {"b": 2}, None),
        ("dict", [{"a": [1]}, {"b": [2]}], {"a": 1, "b": 2}, "value_error:dict_key"),
        ("dict", [{"a": [["P"]]}], {"a": ["p"]}, "value_error:dict_value"),
        ("dict", [{"a": "xy"}], {}, None),  # every text contains the empty string
        ("dict", [{"a": "xy"}], {"a": "Y"}, None),  # and counts as a list of letters
        ("dict", [{"a": "xy"}], {"a": "xy"}, "value_error:dict_value"),
        ("dict", [{"a": {"b": [1]}}], {"a": {"b": 1}}, "checker_error:KeyError"),
        ("dict", [""], {}, "dict_checker:unclear"),
        ("dict", [{}], {}, None),
        ("dict", ["params"], "params", None),
        ("dict", ["params"], {}, "value_error:others"),
        ("dict", [{"a": [1]}], [], "type_error:simple"),
        (("array", "dict"), [[{"a": [1]}, {"b": ["x"]}]], [{"a": 1}, {"b": "X"}], None),
        (("array", "dict"), [[{"a": [1]}, {"b": ["x"]}]], [{"b": "x"}, {"a": 1}], "value_error:dict_key"),
        (("array", "dict"), [[{"a": [1]}]], [{"a": 2}], "value_error:dict_value"),
        (("array", "dict"), [[{"a": [1]}]], [], "value_error:list_dict_count"),
        (("array", "dict"), [[{"a": [1]}], ""], [], None),
        (("array", "dict"), [[{"a": [1]}], [{"a": [2]}]], [{"a": 2}], None),
        (("array", "dict"), [["v"]], ["v"], "checker_error:AttributeError"),
        # entries that contradict themselves
        ("number", [1], 1, "checker_error:KeyError"),
        ("array", [[1]], [1], "checker_error:KeyError"),
        (("array", "object"), [[{}]], [{}], "checker_error:KeyError"),
        (("array", "string"), [["a"], 5], ["b"], "checker_error:TypeError"),
        ("float", [1.0], 10**400, "checker_error:OverflowError"),
    ],
)
def test_python_values(kind, accepted, value, error):
    assert one(kind, accepted, value) == error


@pytest.mark.parametrize(
    "kind, accepted, value, error",
    [
        ("integer", [5], "5", None),
        ("integer", [5], 5, "type_error:java"),
        ("integer", [5], "5.0", "type_error:simple"),
        ("long", [5], "5L", None),
        ("long", [5], "5", "type_error:simple"),
        ("float", [2.5], "2.5f", None),
        ("double", [3], "3", None),
        ("boolean", [True], "true", None),
        ("boolean", [True], "True", "type_error:simple"),
        ("boolean", ["flag"], "flag", None),
        ("char", ["c"], "'c'", "value_error:string"),
        ("String", ["a b"], "A-B", None),
        ("String", ["a"], '"a"', "value_error:string"),
        ("any", [20.5, "20.5"], "20.5", None),
        ("any", [20.5], "20.5", "value_error:others"),
        (("Array", "integer"), [[1, 2]], "new int[]{1, 2}", None),
        (("Array", "integer"), [[1, 2]], "new double[]{1.0, 2.0}", "type_error:nested"),
        (("Array", "integer"), ["ids"], "ids", None),
        (("Array", "String"), [["a"]], 'new String[]{"a"}', "value_error:list/tuple"),  # its quotes stay
        (("ArrayList", "String"), [["a b", "c"]], 'new ArrayList<>(Arrays.asList("A B", "C"))', None),
        (
            ("ArrayList", "HashMap"),
            [[{}]],
            "new ArrayList<>(Arrays.asList(new HashMap<>()))",
            "type_error:nested",
        ),
        ("HashMap", [{"k": [1]}], 'new HashMap<String, Integer>() {{ put("k", 1); }}', None),
        (
            "HashMap",
            [{"k": [1]}],
            'new HashMap<String, Integer>() {{ put("k", 2); }}',
            "value_error:dict_value",
        ),
        ("HashMap", ["config"], "config", None),
        ("HashMap", [{"k": [1]}], "config", "type_error:simple"),
        ("Set", [["a"]], "x", "checker_error:NotImplementedError"),
        ("string", ["a"], "a", "checker_error:KeyError"),
        (("Array", "int"), [[1]], "new int[]{1}", "checker_error:KeyError"),
    ],
)
def test_java_values(kind, accepted, value, error):
    assert one(kind, accepted, value, "simple_java") == error


@pytest.mark.parametrize(
    "kind, accepted, value, error",
    [
        ("integer", [5], "5", None),
        ("integer", [5], 5, "type_error:js"),
        ("float", [5.0], "5", None),
        ("Bigint", [5], "5n", None),
        ("Boolean", [False], "false", None),
        ("String", ["a b"], "'A B'", None),
        ("any", ["null"], "null", None),
        (("array", "float"), [[1.5, 2.0]], "[1.5, 2]", None),
        (("array", "String"), [["a"]], "['A']", None),
        (("array", "String"), ["list"], "list", None),
        (("array", "array"), [[[1, 2], [3, 4]]], "[[1, 2], [3, 4]]", None),
        (("array", "dict"), [[{"a": [1]}, {"a": [2]}]], "[{a: 1}, {a: 2}]", None),
        ("dict", [{"a": [1], "b": [["x"]]}], "{a: 1, b: ['x']}", None),
        ("dict", [{"a": [1], "b": ["", 2]}], "{a: 1}", None),
        ("dict", [{"a": [1]}], "{}", "value_error:dict_key"),
        ("dict", ["options"], "options", None),
        ("boolean", [True], "true", "checker_error:KeyError"),
        ("array", [[1]], "[1]", "checker_error:KeyError"),
    ],
)
def test_javascript_values(kind, accepted, value, error):
    assert one(kind, accepted, value, "simple_javascript") == error


TOOLS = [function("geo.find", ["x"], x="integer", y="string"), function("g", z="string")]
WANTED = {"geo.find": {"x": [1], "y": ["a", ""]}}


@pytest.mark.parametrize(
    "category, output, gold, error, kind",
    [
        ("simple_python", [{"geo.find": {"x": 1}}], [WANTED], None, None),
        ("simple_python", [], [WANTED], "simple_function_checker:wrong_count", "missed_call"),
        (
            "simple_python",
            [{"geo.find": {"x": 1}}] * 2,
            [WANTED],
            "simple_function_checker:wrong_count",
            "needless_call",
        ),
        (
            "simple_python",
            [{"geo_find": {"x": 1}}],
            [WANTED],
            "simple_function_checker:wrong_func_name",
            "wrong_tool",
        ),
        (
            "simple_python",
            [{"geo.find": {}}],
            [WANTED],
            "simple_function_checker:missing_required",
            "missing_argument",
        ),
        (
            "simple_python",
            [{"geo.find": {"x": 1, "q": 0}}],
            [WANTED],
            "simple_function_checker:unexpected_param",
            "extra_argument",
        ),
        (
            "simple_python",
            [{"geo.find": {"x": 1, "y": "a"}}],
            [{"geo.find": {"x": [1]}}],
            "simple_function_checker:unexpected_param",
            "extra_argument",
        ),
        (
            "simple_python",
            [{"geo.find": {"x": 1}}],
            [{"geo.find": {"x": [1], "y": ["a"]}}],
            "simple_function_checker:missing_optional",
            "missing_argument",
        ),
        ("simple_python", [{"geo.find": {"x": "1"}}], [WANTED], "type_error:simple", "wrong_argument_type"),
        ("simple_python", [{"geo.find": {"x": 2}}], [WANTED], "value_error:others", "wrong_argument_value"),
        (
            "simple_python",
            [{"g": {}}],
            [{"g": {}}],
            "simple_function_checker:wrong_func_name",
            "wrong_tool",
        ),  # the first on offer
        ("multiple", [{"g": {"z": "a"}}], [{"g": {"z": ["a"]}}], None, None),
        ("multiple", [], [WANTED], "multiple_function_checker:wrong_count", "missed_call"),
        ("multiple", [{"g": {}}], [{"lost": {}}], "checker_error:LookupError", "wrong_argument_type"),
        (
            "live_parallel",
            [{"g": {"z": "b"}}, {"g": {"z": "a"}}],
            [{"g": {"z": ["a"]}}, {"g": {"z": ["b"]}}],
            None,
            None,
        ),
        (
            "parallel",
            [{"g": {"z": "a"}}],
            [{"g": {"z": ["a"]}}] * 2,
            "parallel_function_checker_no_order:wrong_count",
            "missed_call",
        ),
        ("parallel", [], [], None, None),
        # a wanted call takes the first that fits, even if that leaves nothing to a later one
        (
            "parallel",
            [{"g": {"z": "a"}}, {"g": {"z": "b"}}],
            [{"g": {"z": ["a", "b"]}}, {"g": {"z": ["a"]}}],
            "parallel_function_checker_no_order:cannot_find_match",
            "wrong_argument_value",
        ),
        (
            "parallel_multiple",
            [{"h": {}}, {"g": {"z": 1}}],
            [{"g": {"z": ["a"]}}, WANTED],
            "parallel_function_checker_no_order:cannot_find_match",
            "wrong_argument_type",
        ),
        (
            "parallel_multiple",
            [{"h": {}}, {"g": {"z": "a"}}],
            [{"g": {"z": ["a"]}}, WANTED],
            "parallel_function_checker_no_order:cannot_find_match",
            "wrong_tool",
        ),
        ("irrelevance", [], None, None, None),
        ("live_irrelevance", None, None, None, None),
        ("irrelevance", "no tool fits", None, None, None),
        ("irrelevance", [{}], None, None, None),
        ("irrelevance", [{"g": {}}], None, "irrelevance_error:decoder_success", "needless_call"),
        ("live_relevance", [{"anything": {}}], None, None, None),
        ("live_relevance", [], None, "relevance_error:decoder_failed", "missed_call"),
        ("live_relevance", None, None, "relevance_error:decoder_failed", "missed_call"),
        ("simple_python", None, [WANTED], "ast_decoder:decoder_failed", "invalid_syntax"),
        (
            "simple_python",
            {"geo.find": {"x": 1}},
            [WANTED],
            "ast_decoder:decoder_wrong_output_format",
            "invalid_syntax",
        ),
        (
            "simple_python",
            [{"geo.find": {"x": 1}, "g": {}}],
            [WANTED],
            "ast_decoder:decoder_wrong_output_format",
            "invalid_syntax",
        ),
        (
            "simple_python",
            [{"geo.find": [1]}],
            [WANTED],
            "ast_decoder:decoder_wrong_output_format",
            "invalid_syntax",
        ),
        (
            "simple_python",
            ["geo.find"],
            [WANTED],
            "ast_decoder:decoder_wrong_output_format",
            "invalid_syntax",
        ),
    ],
)
def test_calls(category, output, gold, error, kind):
    score = check(TOOLS, output, gold, category)
    assert (score.valid, score.error_type, score.kind) == (error is None, error, kind)
    assert score.correct == score.valid and score.error == score.kind


def test_an_answer_that_the_schema_lacks_cannot_be_given():
    gold = [{"f": {"x": [1], "lost": [2]}}]
    for arguments, kind in [({"x": 1, "lost": 2}, "extra_argument"), ({"x": 1}, "missing_argument")]:
        assert check([function(x="integer")], [{"f": arguments}], gold, "simple_python").kind == kind


def test_names_with_underscores_for_dots_on_request():
    answer = [{"geo_find": {"x": 1}}]
    assert check(TOOLS, answer, [WANTED], "simple_python", underscore_to_dot=True).valid
    dotted = [{"geo.find": {"x": 1}}]
    assert not check(TOOLS, dotted, [WANTED], "simple_python", underscore_to_dot=True).valid


def test_language_follows_from_the_category_unless_given():
    assert [bfcl_checker.language_of(c) for c in bfcl_checker.CATEGORIES[:3]] == [
        "python",
        "java",
        "javascript",
    ]
    java = [function(x="long")]
    assert check(java, [{"f": {"x": "5L"}}], [{"f": {"x": [5]}}], "multiple", language="java").valid


# Made-up entries with acceptable values of every type, and answers that take one of them.

words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=6)
numbers = st.integers(-9, 9)
scalars = {
    "string": words,
    "integer": numbers,
    "float": numbers | st.sampled_from([0.5, 2.0]),
    "boolean": st.booleans(),
}


@st.composite
def parameters(draw):
    """(schema, acceptable values, one of them as an answer)."""
    kind = draw(st.sampled_from([*scalars, "array", "tuple", "dict", "array of dict"]))
    members = st.dictionaries(st.sampled_from("pqr"), st.lists(words, min_size=1, max_size=2), max_size=2)

    def pick(options):
        return draw(st.sampled_from(options))

    def filled(member):
        return {key: pick(options) for key, options in member.items()}

    if kind in scalars:
        schema, accepted = {"type": kind}, draw(st.lists(scalars[kind], min_size=1, max_size=3))
        return schema, accepted, pick(accepted)
    if kind == "dict":
        accepted = draw(st.lists(members, min_size=1, max_size=2))
        return {"type": "dict"}, accepted, filled(pick(accepted))
    if kind == "array of dict":
        accepted = draw(st.lists(st.lists(members, max_size=2), min_size=1, max_size=2))
        schema = {"type": "array", "items": {"type": "dict"}}
        return schema, accepted, [filled(member) for member in pick(accepted)]
    element = draw(st.sampled_from(["string", "integer", "boolean"]))
    accepted = draw(st.lists(st.lists(scalars[element], max_size=3), min_size=1, max_size=2))
    return {"type": kind, "items": {"type": element}}, accepted, pick(accepted)


@st.composite
def entries(draw, name="f"):
    """(function, gold call, a right answer), with some parameters that may be left out and are."""
    drawn = draw(st.dictionaries(st.sampled_from("abcd"), parameters(), min_size=1, max_size=4))
    optional = draw(st.sets(st.sampled_from("abcd")))
    left_out = optional & draw(st.sets(st.sampled_from("abcd")))
    described = {
        "name": name,
        "parameters": {
            "properties": {parameter: schema for parameter, (schema, _, _) in drawn.items()},
            "required": [parameter for parameter in drawn if parameter not in optional],
        },
    }
    gold = {p: accepted + [""] * (p in optional) for p, (_, accepted, _) in drawn.items()}
    answer = {p: value for p, (_, _, value) in drawn.items() if p not in left_out}
    return described, {name: gold}, {name: answer}


@settings(max_examples=40)
@given(entries(), st.randoms(use_true_random=False))
def test_an_acceptable_answer_is_valid_in_any_order_of_arguments(entry, random):
    described, gold, answer = entry
    arguments = list(answer["f"].items())
    random.shuffle(arguments)
    for category in ("simple_python", "multiple", "parallel"):
        assert check([described], [{"f": dict(arguments)}], [gold], category).valid


@settings(max_examples=40)
@given(entries(), st.data())
def test_without_a_required_argument_no_answer_is_valid(entry, data):
    described, gold, answer = entry
    required = described["parameters"]["required"]
    if not required:
        return
    dropped = data.draw(st.sampled_from(required))
    answer = {"f": {name: value for name, value in answer["f"].items() if name != dropped}}
    score = check([described], [answer], [gold], "simple_python")
    assert (score.valid, score.kind) == (False, "missing_argument")


@settings(max_examples=30)
@given(entries(), words)
def test_an_unknown_argument_is_never_valid(entry, name):
    described, gold, answer = entry
    extra = {"f": {f"_{name}": 1, **answer["f"]}}
    assert check([described], [extra], [gold], "simple_python").kind == "extra_argument"


@settings(max_examples=25)
@given(st.lists(entries(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_parallel_calls_are_valid_in_any_order(drawn, random):
    tools = [{**described, "name": f"f{index}"} for index, (described, _, _) in enumerate(drawn)]
    gold = [{f"f{index}": answers["f"]} for index, (_, answers, _) in enumerate(drawn)]
    answer = [{f"f{index}": arguments["f"]} for index, (_, _, arguments) in enumerate(drawn)]
    random.shuffle(answer)
    assert check(tools, answer, gold, "parallel_multiple").valid
    assert not check(tools, answer[1:], gold, "parallel_multiple").valid


@given(st.text(), st.text(" ,./-_*^", max_size=5))
def test_ignored_letters_are_ignored_wherever_they_stand(text, ignored):
    half = len(text) // 2
    assert one("string", [text], text[:half] + ignored + text[half:]) is None
    assert one(("array", "string"), [[text]], [ignored + text]) is None
    assert one("dict", [{"k": [text]}], {"k": text + ignored}) is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["f", "a", "b"]), inner, max_size=2),
    max_leaves=10,
)


@settings(max_examples=60)
@given(entries(), anything, st.sampled_from(bfcl_checker.CATEGORIES))
def test_any_json_may_come_as_answer(entry, value, category):
    described, gold, _ = entry
    arguments = dict.fromkeys(described["parameters"]["properties"], value)
    for output in (value, [value], [{"f": value}], [{"f": arguments}]):
        score = check([described], output, [gold], category)
        assert score.valid == (score.error is None) and (score.valid or score.error in ERRORS)


@given(anything, st.lists(anything, max_size=3), st.sampled_from(sorted(bfcl_checker.CATEGORIES)))
def test_no_entry_raises_either(value, accepted, category):
    for kind in (
        "string",
        "dict",
        "integer",
        ("array", "string"),
        ("array", "dict"),
        "String",
        "HashMap",
        "nonsense",
    ):
        check([function(x=kind)], [{"f": {"x": value}}], [{"f": {"x": accepted}}], category)
