"""Java and JavaScript literals: what BFCL's patterns make of source text, right or not."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmkit.capability import bfcl_literals as literals


def same(found, expected):
    return found == expected and repr(found) == repr(expected)  # 1, 1.0 and True apart, in lists too


@pytest.mark.parametrize(
    "text, declared, value",
    [
        ("12", "integer", 12),
        ("-3", "byte", -3),
        ("12L", "integer", "12L"),
        ("1.0", "short", "1.0"),
        ("1_000", "integer", "1_000"),
        ("12", "long", "12"),
        ("-12l", "long", -12),
        ("2.5f", "float", 2.5),
        ("3e-3F", "float", 0.003),
        ("2.5", "float", "2.5"),
        ("2.5", "double", 2.5),
        ("7", "double", 7.0),
        ("2.5d", "double", "2.5d"),
        (".5", "double", ".5"),
        ("true", "boolean", True),
        ("True", "boolean", "True"),
        ("'c'", "char", "'c'"),
        ('"quoted"', "String", '"quoted"'),
        ("5", "any", "5"),
    ],
)
def test_java_scalars(text, declared, value):
    assert same(literals.java(text, declared), value)


@pytest.mark.parametrize(
    "text, items, value",
    [
        ("new int[]{1, 2, 3}", "integer", [1, 2, 3]),
        ("new  int[]  { }", "integer", []),
        ("new long[]{1L, 2, 3L}", "long", [1, "2", 3]),
        ('new String[]{"a", "b, c"}', "String", ['"a"', '"b', 'c"']),  # quotes stay, commas always cut
        ('new Object[]{1, "a", true, 2.5f}', None, [1, "a", True, 2.5]),
        ("int[] x = new int[]{1};", "integer", [1]),  # found anywhere in the text
        ("new int[]{1,\n2}", "integer", "new int[]{1,\n2}"),  # but not across lines
        ("new int[2]", "integer", "new int[2]"),
        ("{1, 2}", "integer", "{1, 2}"),
        ("new int[][]{{1}, {2}}", "Array", "new int[][]{{1}, {2}}"),
        ("new Object[]{new int[]{1, 2}}", "Array", ["new int[]{1", "2"]),
    ],
)
def test_java_arrays(text, items, value):
    assert same(literals.java(text, "Array", items), value)


@pytest.mark.parametrize(
    "text, items, value",
    [
        ("new ArrayList<Integer>(Arrays.asList(1, 2))", "integer", [1, 2]),
        ('new ArrayList<>(Arrays.asList("a", "b"))', "String", ["a", "b"]),
        ("new ArrayList<>(Arrays.asList('a','b'))", "char", ["a", "b"]),
        ('new ArrayList<>(Arrays.asList("a", 1, false))', None, ["a", 1, False]),
        (
            "new ArrayList<>(Arrays.asList(a, bc))",
            "String",
            ["", ""],
        ),  # first and last letter are taken for quotes
        ("new ArrayList<>(Arrays.asList(f(1), 2))", "any", ["f(1)", "2"]),
        ("new ArrayList<>(Arrays.asList())", "integer", "new ArrayList<>(Arrays.asList())"),
        ('new ArrayList<String>() {{ add("a"); add("b"); }}', "String", ["a", "b"]),
        ("new ArrayList<Double>(){{\n  add(1.5);\n  add(2);\n}}", "double", [1.5, 2.0]),
        ("new ArrayList<>()", "integer", []),
        ("new ArrayList<>() {{ }}", "integer", []),
        ("new ArrayList<Map<K, V>>()", "any", "new ArrayList<Map<K, V>>()"),
        ("Arrays.asList(1, 2)", "integer", "Arrays.asList(1, 2)"),
        ("List.of(1)", "integer", "List.of(1)"),
    ],
)
def test_java_lists(text, items, value):
    assert same(literals.java(text, "ArrayList", items), value)


@pytest.mark.parametrize(
    "text, value",
    [
        ("new HashMap<>()", {}),
        ("new HashMap<>() {{ }}", {}),
        (
            'new HashMap<String, Object>() {{ put("a", 1); put("b", "x"); put("c", true); }}',
            {"a": 1, "b": "x", "c": True},
        ),
        (
            'new HashMap<String, Long>(){{put("a",5L);put("b",2.5f);put("c",null);}}',
            {"a": 5, "b": 2.5, "c": "null"},
        ),
        ('new HashMap<>() {\n  {\n    put("a", 1e3);\n  }\n}', {"a": 1000.0}),
        ('new HashMap<>() {{ put("a", "}"); put("b", 2); }}', {}),  # the first brace ends it, in a string too
        ('new HashMap<>() {{ put("a", f(1)); }}', {"a": "f(1"}),
        ("new HashMap<>() {{ put('a', 1); }}", {}),
        ('Map.of("a", 1)', 'Map.of("a", 1)'),
        ("new HashMap()", "new HashMap()"),
    ],
)
def test_java_maps(text, value):
    assert same(literals.java(text, "HashMap"), value)


@pytest.mark.parametrize("declared", ["Set", "Hashtable", "Queue", "Stack", "Vector"])
def test_java_collections_that_bfcl_does_not_read(declared):
    with pytest.raises(NotImplementedError):
        literals.java("x", declared)


@pytest.mark.parametrize(
    "text, declared, value",
    [
        ("12", "integer", 12),
        ("1.0", "integer", "1.0"),
        ("5", "float", 5.0),
        ("-2.5", "float", -2.5),
        ("1e3", "float", "1e3"),
        ("100n", "Bigint", 100),
        ("100", "Bigint", "100"),
        ("true", "Boolean", True),
        ("1", "Boolean", "1"),
        ('"a b"', "String", "a b"),
        ("'a\"", "String", "'a\""),
        ("a", "String", "a"),
        ("'a'", "any", "'a'"),
    ],
)
def test_javascript_scalars(text, declared, value):
    assert same(literals.javascript(text, declared), value)


@pytest.mark.parametrize(
    "text, items, value",
    [
        ("[1, 2]", "integer", [1, 2]),
        (" [ ] ", "integer", []),
        ("[1n, 2]", "Bigint", [1, "2"]),
        ("new Array(1.5, 2)", "float", [1.5, 2.0]),
        ("new Array()", "float", []),
        ("['a', \"b\", c]", "String", ["a", "b", "c"]),
        ("['a, b']", "String", ["'a", "b'"]),
        ("[1, 'two', true, 3.5]", None, [1, "two", True, 3.5]),
        ("[[1, 2], ['a']]", "array", [[1, 2], ["a"]]),
        ("[ [ 1 ], [2] ]", "array", [[1], [2]]),
        ("[\n  [1, 2],\n  [3]\n]", "array", [[1, 2], [3]]),
        ("new Array([1], [true])", "array", [[1], [True]]),
        ("[[]]", "array", [[""]]),
        ("[[1], [2]].concat([[3]])", "array", [[1], [2]]),  # it ends where it first can
        ("[[1], [2], [3], 4]]", "array", [[1], [2], [3]]),
        ("[[1\n], [2]]", "array", "[[1\n], [2]]"),
        ("[[1], 2]", "array", ["[1"]),  # no array of arrays: one that ends at the first bracket
        ('[{"a": 1}, {"b": 2}]', "dict", [{"a": 1}, {"b": 2}]),
        ('[{"a": 1, "b": 2}]', "dict", ['{"a": 1', '"b": 2}']),
        ("[1,\n2]", "integer", "[1,\n2]"),
        ("items", "String", "items"),
        ("[1, 2].map(f)", "integer", [1, 2]),
    ],
)
def test_javascript_arrays(text, items, value):
    assert same(literals.javascript(text, "array", items), value)


@pytest.mark.parametrize(
    "text, value",
    [
        ("{}", {}),
        ('{a: 1, \'b\': "x", "c": true}', {"a": 1, "b": "x", "c": True}),
        ("{a: '1'}", {"a": 1}),  # quotes are dropped before the value is guessed
        ("{a: x, b: ['p', 2], c: f(y)}", {"a": "x", "b": ["p", 2], "c": "f(y)"}),
        ("{a: 'x, y', b: 2}", {"a": "x, y", "b": 2}),
        ("{url: 'http://x'}", {"url": "http://x"}),
        ("{a: {b: 1}}", {"a": "{b: 1"}),  # it ends at the first brace
        ("{\n  a: 1\n}", "{\n  a: 1\n}"),
        ("config", "config"),
    ],
)
def test_javascript_objects(text, value):
    assert same(literals.javascript(text, "dict"), value)


def test_an_array_of_arrays_that_never_ends_takes_no_time():
    start = time.process_time()
    assert isinstance(literals.javascript("[[" + "1],[" * 400, "array", "array"), list)
    assert isinstance(literals.javascript("new Array([" + "1],[" * 400, "array", "array"), str)
    assert time.process_time() - start < 1


@given(
    st.text(),
    st.sampled_from(sorted(literals.JAVASCRIPT_TYPES)),
    st.sampled_from(sorted(literals.JAVASCRIPT_TYPES)),
)
def test_any_text_is_read_as_javascript(text, declared, items):
    literals.javascript(text, declared, items)
    literals.javascript(f"[{text}]", "array", items)


READ_JAVA = sorted(set(literals.JAVA_TYPES) - {"Set", "Hashtable", "Queue", "Stack"})


@given(st.text(), st.sampled_from(READ_JAVA), st.sampled_from(READ_JAVA))
def test_any_text_is_read_as_java(text, declared, items):
    literals.java(text, declared, items)
    literals.java(f"new int[]{{{text}}}", "Array", items)
    literals.java(f"new ArrayList<>(Arrays.asList({text}))", "ArrayList", items)


@given(st.lists(st.integers(), min_size=1))
def test_lists_of_integers_come_back(numbers):
    text = ", ".join(map(str, numbers))
    assert literals.java(f"new ArrayList<Integer>(Arrays.asList({text}))", "ArrayList", "integer") == numbers
    assert literals.java(f"new int[]{{{text}}}", "Array", "integer") == numbers
    assert literals.javascript(f"[{text}]", "array", "integer") == numbers
    assert literals.javascript(f"[[{text}], [1]]", "array", "array") == [numbers, [1]]
