"""Suites: every loader on a small folder, names and schemas, sampling, and bad input in one clear line."""

from __future__ import annotations

import copy
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from slmkit.capability import suites
from slmkit.capability.suites import acebench, bfcl, dialogue, nestful, seal_tools, tools, when2call
from slmkit.capability.suites.source import Shelf, words
from slmkit.errors import InputError
from slmkit.records import Reply, ToolCall


def call(name, **arguments):
    return ToolCall(name=name, arguments=json.dumps(arguments))


def calls(*made):
    return Reply(tool_calls=list(made))


def put(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def function(name, properties=None, required=(), kind="dict", **more):
    schema = {"type": kind, "properties": properties or {}, "required": list(required)}
    return {"name": name, "description": f"Does {name}.", "parameters": schema, **more}


def checked(items):
    """The items, each with tools that a server takes: valid JSON Schema, legal names that map back."""
    for item in items:
        names = [tool["function"]["name"] for tool in item.tools]
        assert len(set(names)) == len(names) and list(item.meta["names"]) == names
        assert all(tools.NAME.fullmatch(name) for name in names)
        for tool in item.tools:
            assert tool["type"] == "function" and tool["function"]["parameters"]["type"] == "object"
            Draft202012Validator.check_schema(tool["function"]["parameters"])
        assert {message["role"] for message in item.messages} <= {"system", "user", "assistant", "tool"}
    return items


# BFCL
# ----

AREA = function(
    "geo.area",
    {
        "width": {"type": "float", "description": "Width."},
        "corner": {"type": "tuple", "items": {"type": "integer"}, "description": "Corner."},
        "style": {"type": "dict", "properties": {"fill": {"type": "any"}}, "description": "Style."},
        "unit": {"type": "string", "enum": ["m", "km"], "default": "m", "optional": "True"},
    },
    ["width"],
)
BFCL = {
    "simple_python": ([AREA], [{"geo.area": {"width": [2.5], "corner": ["", [1, 2]], "unit": ["", "km"]}}]),
    "multiple": ([AREA, function("geo_area")], [{"geo.area": {"width": [2.5]}}]),
    "parallel": ([AREA], [{"geo.area": {"width": [1.0]}}, {"geo.area": {"width": [2.0]}}]),
    "simple_java": (
        [
            function(
                "Sorter.sort",
                {
                    "values": {"type": "ArrayList", "items": {"type": "String"}, "description": "Values."},
                    "stable": {"type": "boolean", "description": "Stable?", "default": "true"},
                },
                ["values"],
            )
        ],
        [{"Sorter.sort": {"values": [["a", "b"]], "stable": ["", True]}}],
    ),
    "simple_javascript": (
        [function("draw", {"box": {"type": "dict", "properties": {"w": {"type": "integer"}}}}, ["box"])],
        [{"draw": {"box": [{"w": [3]}]}}],
    ),
    "irrelevance": ([AREA], None),
    "live_irrelevance": ([], None),
    "live_relevance": ([AREA], None),
}


@pytest.fixture
def data(tmp_path):
    """A data folder with a few records of every suite."""
    turn = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How large is it?"}]
    for category in bfcl.CATEGORIES:
        functions, answers = BFCL.get(category, BFCL["multiple"])
        rows = [{"id": f"{category}_{i}", "question": [turn], "function": functions} for i in range(12)]
        put(tmp_path / "bfcl" / f"BFCL_v4_{category}.json", *rows)
        if answers:
            gold = [{"id": row["id"], "ground_truth": answers} for row in rows]
            put(tmp_path / "bfcl" / "possible_answer" / f"BFCL_v4_{category}.json", *gold)
    write_acebench(tmp_path / "acebench" / "data_en")
    write_when2call(tmp_path / "when2call")
    write_api_bank(tmp_path / "api_bank")
    write_nestful(tmp_path / "nestful")
    write_seal_tools(tmp_path / "seal_tools")
    write_toolalpaca(tmp_path / "toolalpaca")
    return tmp_path


def test_bfcl_tools_are_standard_and_the_checker_sees_the_original(data):
    before = copy.deepcopy(BFCL)
    item = checked(suites.load("bfcl/simple_python", data))[0]
    schema = item.tools[0]["function"]["parameters"]
    assert item.tools[0]["function"]["name"] == "geo_area" and item.meta["names"] == {"geo_area": "geo.area"}
    assert {name: value.get("type") for name, value in schema["properties"].items()} == {
        "width": "number",
        "corner": "array",
        "style": "object",
        "unit": "string",
    }
    assert schema["properties"]["style"]["properties"] == {"fill": {}}
    assert "optional" not in schema["properties"]["unit"] and schema["required"] == ["width"]
    assert item.meta["original"] == [AREA] and before == BFCL
    assert [message["role"] for message in item.messages] == ["system", "user"]


def test_bfcl_names_stay_apart(data):
    item = suites.load("bfcl/multiple", data, limit=1)[0]
    assert item.meta["names"] == {"geo_area_2": "geo.area", "geo_area": "geo_area"}
    assert suites.score(item, calls(call("geo_area_2", width=2.5))).correct
    assert suites.score(item, calls(call("geo_area", width=2.5))).error == "wrong_tool"


@pytest.mark.parametrize(
    ("category", "reply", "error"),
    [
        ("simple_python", calls(call("geo_area", width=2.5, unit="KM")), None),
        ("simple_python", calls(call("geo_area", width=2.5, corner=[1, 2])), None),
        ("simple_python", calls(call("geo_area")), "missing_argument"),
        ("simple_python", calls(call("geo_area", width="wide")), "wrong_argument_type"),
        ("simple_python", calls(call("geo_area", width=9.5)), "wrong_argument_value"),
        ("simple_python", calls(call("geo_area", width=2.5, depth=1)), "extra_argument"),
        ("simple_python", calls(call("volume", width=2.5)), "wrong_tool"),
        ("simple_python", calls(ToolCall(name="geo_area", arguments="{width")), "invalid_syntax"),
        ("simple_python", Reply(malformed=["<call>geo_area("]), "invalid_syntax"),
        ("simple_python", Reply(), "missed_call"),
        ("simple_python", calls(*[call("geo_area", width=2.5)] * 2), "needless_call"),
        ("parallel", calls(call("geo_area", width=2.0), call("geo_area", width=1.0)), None),
        ("simple_java", calls(call("Sorter_sort", values='List.of("a", "b")')), "wrong_argument_type"),
        ("simple_java", calls(call("Sorter_sort", values=["a", "b"])), "wrong_argument_type"),
        ("simple_javascript", calls(call("draw", box="{w: 3}")), None),
        ("irrelevance", calls(call("geo_area", width=1.0)), "needless_call"),
        ("irrelevance", Reply(content="I cannot."), None),
        ("irrelevance", Reply(malformed=["<call>"]), None),  # as officially: what does not parse is no call
        ("live_irrelevance", Reply(content="I cannot."), None),
        ("live_relevance", calls(call("anything")), None),
        ("live_relevance", Reply(content="I cannot."), "missed_call"),
    ],
)
def test_bfcl_verdicts(data, category, reply, error):
    item = suites.load(f"bfcl/{category}", data, limit=1)[0]
    found = suites.score(item, reply)
    assert (found.correct, found.error) == (error is None, error)


def test_bfcl_java_asks_for_source_text(data):
    item = suites.load("bfcl/simple_java", data, limit=1)[0]
    values = item.tools[0]["function"]["parameters"]["properties"]["values"]
    assert values["type"] == "string" and "items" not in values
    assert "ArrayList" in values["description"] and "String" in values["description"]
    good = calls(call("Sorter_sort", values='new ArrayList<>(Arrays.asList("a", "b"))', stable="true"))
    assert suites.score(item, good).correct


def test_an_entry_without_tools_loads(data):
    item = suites.load("bfcl/live_irrelevance", data, limit=1)[0]
    assert item.tools == [] and item.wants == "no_call" and item.meta["names"] == {}


# ACEBench
# --------

STAY = {"city": {"type": "string"}, "nights": {"type": "integer"}, "late": {"type": "boolean"}}
BOOK = function("hotel.book", STAY, ["city"], "object")
ACE_QUESTION = (
    "user: I need a room.\nsystem: Where?\nuser: In Oslo:\n- near the sea\n"
    'system: [hotel.book(city="Oslo", nights=2, late=true)]\n'
    "system: Booked.\nuser: And in Rome, for 3 nights.\n"
)


def write_acebench(folder):
    for category in acebench.CATEGORIES:
        gold = [{"hotel.book": {"city": "Rome", "nights": 3}}, {"hotel.book": {"city": "Roma", "nights": 3}}]
        if category == "normal_single_turn_parallel_function":
            gold = {"hotel.book_1": {"city": "Rome"}, "hotel.book_2": {"city": "Bern"}}
        elif category == "special_incomplete":
            gold = {"hotel.book": ["city ", "nights"]}
        elif category == "special_error_param":
            gold = {"nights": ["three-ish"]}
        elif category == "special_irrelevant":
            gold = "Due to the limitations of the function, I cannot solve this problem."
        more = {"profile": "{'name': 'Ada'}"} if category == "normal_preference" else {"time": "It is Monday."}
        old = {k: v for k, v in BOOK.items() if k != "parameters"} | {
            "arguments": BOOK["parameters"],
            "name": "x.y",
        }
        shared = {"question": ACE_QUESTION, "function": [BOOK, old], **more}
        rows = [{"id": f"{category}_0_{i}", **shared} for i in range(2)]
        put(folder / f"data_{category}.json", *rows)
        gold_rows = [{"id": row["id"], "ground_truth": gold} for row in rows]
        put(folder / "possible_answer" / f"data_{category}.json", *gold_rows)


def test_acebench_quoted_calls_become_tool_calls(data):
    item = checked(suites.load("acebench/normal_atom_bool", data))[0]
    roles = [message["role"] for message in item.messages]
    assert roles == ["system", "user", "assistant", "user", "assistant", "tool", "user"]
    assert item.messages[3]["content"] == "In Oslo:\n- near the sea"
    made = item.messages[4]["tool_calls"][0]
    assert made["function"]["name"] == "hotel_book"
    assert json.loads(made["function"]["arguments"]) == {"city": "Oslo", "nights": 2, "late": True}
    assert item.messages[5] == {"role": "tool", "tool_call_id": made["id"], "content": "Booked."}
    assert "Ada" in suites.load("acebench/normal_preference", data)[0].messages[0]["content"]


@pytest.mark.parametrize("text", ["[not a call", "[1, 2]", "[f(x=open('a'))]", "[f(x=y)]", "[f(1)]", "[f(**{})]"])
def test_other_text_in_brackets_is_not_run_and_stays_text(text):
    messages = dialogue.messages_of(f"user: hi\nsystem: {text}\nsystem: done\nuser: go", {})
    if text not in ("[f(1)]", "[f(**{})]"):
        assert [m["role"] for m in messages] == ["user", "assistant", "user"]
        assert messages[1]["content"] == f"{text}\ndone"


@pytest.mark.parametrize(
    ("category", "reply", "error"),
    [
        ("normal_atom_enum", calls(call("hotel_book", city="rome", nights=3)), None),
        ("normal_atom_enum", calls(call("hotel_book", city="Roma", nights=3)), None),
        ("normal_atom_enum", calls(call("hotel_book", city="Rome, Italy", nights=3.0)), None),
        ("normal_atom_enum", calls(call("hotel_book", city="Bern", nights=3)), "wrong_argument_value"),
        ("normal_atom_enum", calls(call("hotel_book", city="Rome", nights=4)), "wrong_argument_value"),
        ("normal_atom_enum", calls(call("hotel_book", city="Rome", nights="3")), "wrong_argument_type"),
        ("normal_atom_enum", calls(call("hotel_book", city="Rome")), "missing_argument"),
        ("normal_atom_enum", calls(call("hotel_book", city="Rome", nights=3, late=True)), "extra_argument"),
        ("normal_atom_enum", calls(call("x_y", city="Rome", nights=3)), "wrong_tool"),
        ("normal_atom_enum", Reply(), "missed_call"),
        (
            "normal_single_turn_parallel_function",
            calls(call("hotel_book", city="Bern"), call("hotel_book", city="Rome")),
            None,
        ),
        ("normal_single_turn_parallel_function", calls(call("hotel_book", city="Bern")), "missed_call"),
        (
            "special_incomplete",
            Reply(content="Missing necessary parameters (city, nights) for the api (hotel_book)"),
            None,
        ),
        (
            "special_incomplete",
            Reply(content="Missing necessary parameters (city) for the api (hotel.book)"),
            "wrong_reply",
        ),
        ("special_incomplete", Reply(content="Which city?"), "wrong_reply"),
        ("special_incomplete", calls(call("hotel_book", city="?")), "needless_call"),
        ("special_error_param", Reply(content="There is incorrect value (three-ish) for (nights)."), None),
        ("special_error_param", Reply(content="There is incorrect value (3)."), "wrong_reply"),
        ("special_irrelevant", Reply(content="Due to the limitations of the function, no."), None),
        ("special_irrelevant", Reply(), "wrong_reply"),
    ],
)
def test_acebench_verdicts(data, category, reply, error):
    item = suites.load(f"acebench/{category}", data, limit=1)[0]
    found = suites.score(item, reply)
    assert (found.correct, found.error) == (error is None, error)


def test_acebench_aggregate_gives_dialogues_and_the_reading_of_the_source(data):
    items = suites.load("acebench/normal_multi_turn_user_adjust", data)
    right, loose = (
        calls(call("hotel_book", city="Rome", nights=3)),
        calls(call("hotel_book", city="Rome", nights=7)),
    )
    assert suites.aggregate(items, [right, right]) == {
        "accuracy": 1.0,
        "source_accuracy": 1.0,
        "end_accuracy": 1.0,
        "process_accuracy": 1.0,
    }
    assert suites.aggregate(items, [right, loose]) == {
        "accuracy": 0.5,
        "source_accuracy": 1.0,
        "end_accuracy": 0.0,
        "process_accuracy": 0.5,
    }
    assert suites.aggregate(items, [right, Reply()])["source_accuracy"] == 0.5


# When2Call
# ---------


def write_when2call(folder):
    answers = {
        "direct": "It is 3.",
        "tool_call": "{}",
        "request_for_info": "Where?",
        "cannot_answer": "I can't.",
    }
    offered = [json.dumps(function("Weather.get", {"city": {"type": "string"}}, ["city"]))]
    rows = [
        {
            "uuid": f"{decision}-{i}",
            "question": "Weather?",
            "correct_answer": decision,
            "answers": answers,
            "tools": [] if decision == "cannot_answer" and i else offered,
        }
        for decision in when2call.CATEGORIES
        for i in range(3)
    ]
    put(folder / "when2call_test_llm_judge.jsonl", *rows)


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("Which city do you mean?", "request_for_info"),
        ("To go on, I need to know the city. Please specify it.", "request_for_info"),
        ("I'm sorry, but I can't browse. Could you please tell me the title?", "request_for_info"),
        ("I’m sorry, I can’t look up the weather.", "cannot_answer"),
        ("Apologies, I'm unable to do that. Please check a website.", "cannot_answer"),
        ("It is sunny in Oslo.", "direct"),
        ("I found a table for two. Would you like me to book it?", "direct"),
        ("", "direct"),
    ],
)
def test_when2call_rule(text, decision):
    assert when2call.decision(Reply(content=text)) == decision


def test_when2call_verdicts_and_figures(data):
    items = {category: checked(suites.load(f"when2call/{category}", data)) for category in when2call.CATEGORIES}
    ask, decline, use = Reply(content="Which city?"), Reply(content="I can't."), calls(call("Weather_get"))
    assert suites.score(items["tool_call"][0], use).correct  # which arguments is not judged
    assert suites.score(items["tool_call"][0], ask).error == "missed_call"
    assert suites.score(items["request_for_info"][0], use).error == "needless_call"
    assert suites.score(items["request_for_info"][0], decline).error == "wrong_reply"
    assert suites.score(items["request_for_info"][0], Reply()).error == "wrong_reply"
    assert suites.score(items["request_for_info"][0], ask).correct
    assert suites.score(items["cannot_answer"][0], decline).correct
    everything = [item for group in items.values() for item in group]
    best = {"tool_call": use, "request_for_info": ask, "cannot_answer": decline}
    figures = suites.aggregate(everything, [best[item.gold] for item in everything])
    assert figures == {"accuracy": 1.0, "macro_f1": 1.0, "tool_hallucination": 0.0}
    figures = suites.aggregate(everything, [use] * len(everything))
    assert figures["accuracy"] == pytest.approx(1 / 3) and figures["tool_hallucination"] == 1.0
    assert figures["macro_f1"] == pytest.approx((2 * 3 / 12) / 3)


# API-Bank
# --------


def write_api_bank(folder):
    def api(name, output, **given):
        result = {"api_name": name, "input": given, "output": output, "exception": None}
        return {"role": "API", "api_name": name, "param_dict": given, "result": result}

    found = {
        "name": "AddAlarm",
        "description": "Sets an alarm.",
        "input_parameters": {"time": {"type": "str", "description": "Format: %H:%M"}},
        "output_parameters": {},
    }
    first = [
        {"role": "User", "text": "Add 1 and 2."},
        {"role": "AI", "text": "Sure."},
        api("Calculator", 3, formula="1 + 2"),
        {"role": "AI", "text": "It is 3."},
        {"role": "User", "text": "Log my pulse."},
        api("Record", "ok", user="7", values="[{'name': 'Pulse', 'value': 60}]"),
    ]
    second = [
        {"role": "User", "text": "Wake me at 7."},
        {"role": "AI", "text": "I will look for a tool."},
        api("ToolSearcher", found, keywords="set alarm"),
        api("AddAlarm", "success", time="07:00"),
    ]
    rows = [
        {"file": "level-1-given-desc/Calculator-level-1-1.jsonl", "turns": first},
        {"file": "level-1-given-desc/Empty-level-1-1.jsonl", "turns": []},
        {"file": "level-2-toolsearcher/AddAlarm-level-2-1.jsonl", "turns": second},
    ]
    put(folder / "dialogues.jsonl", *rows)
    about = "description = 'Calculates.'\ninput_parameters = {\n 'infix': {'description': 'What.'}\n}\n"
    (folder / "all_apis.csv").write_text(f'id,类名,api_info\n1,Calculator,"{about}"\n', encoding="utf-8")


def test_api_bank_one_item_a_call(data):
    items = checked(suites.load("api_bank", data))
    assert [item.id.split("-level-")[0] for item in items] == [
        "Calculator",
        "Calculator",
        "AddAlarm",
        "AddAlarm",
    ]
    one, two, search, alarm = items
    assert [message["role"] for message in one.messages] == [
        "system",
        "user",
    ]  # "Sure." belongs to the answer
    assert [m["role"] for m in two.messages] == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert two.messages[2]["content"] == "Sure." and two.messages[2]["tool_calls"]
    formula = one.tools[0]["function"]["parameters"]["properties"]["formula"]
    assert formula == {"type": "string", "description": "What."}
    assert list(search.meta["names"]) == ["ToolSearcher"]
    assert list(alarm.meta["names"]) == ["ToolSearcher", "AddAlarm"]


def test_api_bank_verdicts(data):
    one, two, search, alarm = suites.load("api_bank", data)
    assert suites.score(one, calls(call("Calculator", formula="1  + 2 "))).correct
    assert suites.score(one, calls(call("Calculator", formula="2+2"))).error == "wrong_argument_value"
    assert suites.score(two, calls(call("Record", user=7, values=[{"name": "pulse", "value": "60"}]))).correct
    assert suites.score(two, calls(call("Record", user=7))).error == "missing_argument"
    assert suites.score(search, calls(call("ToolSearcher", keywords="an alarm please"))).correct
    assert not suites.score(search, calls(call("ToolSearcher", keywords="calculates"))).correct
    assert not suites.score(search, calls(call("ToolSearcher", keywords=7))).correct
    assert suites.score(alarm, calls(call("ToolSearcher", keywords="alarm"))).error == "wrong_tool"
    assert suites.score(alarm, Reply(content="Done!")).error == "missed_call"


# NESTFUL and Seal-Tools
# ----------------------


def write_nestful(folder):
    def step(name, label=None, **arguments):
        return {"name": name, "arguments": arguments, **({"label": label} if label else {})}

    put(
        folder / "glaive-data.jsonl",
        {
            "input": "Add tax to the price of milk, and tell Bo",
            "output": [
                step("get_price", "var1", item="milk"),
                step("add_tax", "var2", amount="$var1.price$", rate=10),
                step("send_sms", "var3", to="Bo"),
                step("var_result", total="$var2$"),
            ],
        },
    )
    spec = {"type": "number", "required": True, "description": "Amount."}
    fillers = [{"name": f"filler_{i}", "description": f"Fills {i}.", "parameters": {}} for i in range(9)]
    put(
        folder / "glaive-spec.jsonl",
        {
            "name": "get_price",
            "description": "Price of an item",
            "query_parameters": {"item": {"type": "string", "required": True}},
            "output_parameters": {"price": {"type": "number"}},
        },
        {
            "name": "add_tax",
            "description": "Other tax.",
            "parameters": {"country": {"type": "string", "required": True}},
        },
        {
            "name": "add_tax",
            "description": "Tax.",
            "parameters": {"amount": spec, "rate": {"type": "integer"}},
        },
        *fillers,
    )


def test_nestful_offers_what_the_gold_needs(data):
    [item] = checked(suites.load("nestful", data))
    offered = {tool["function"]["name"]: tool["function"] for tool in item.tools}
    assert len(offered) == 3 + nestful.N_OTHERS and {"get_price", "add_tax", "send_sms"} <= set(offered)
    assert "var_result" not in offered and "Returns: price." in offered["get_price"]["description"]
    assert offered["add_tax"]["parameters"]["properties"]["amount"]["type"] == ["number", "string"]
    assert offered["add_tax"]["parameters"]["required"] == ["amount"]
    assert offered["send_sms"]["parameters"]["properties"] == {"to": {"type": "string"}}  # no definition: from the call
    assert suites.load("nestful", data)[0].tools == item.tools


def test_nestful_partial_and_full(data):
    [item] = suites.load("nestful", data)
    price, tax = call("get_price", item="milk"), call("add_tax", amount="$var1.price", rate=10)
    sms = call("send_sms", to="Bo")
    assert suites.score(item, calls(price, tax, sms)).correct  # the closing dollar is forgiven
    swapped = suites.score(item, calls(tax, price, sms))
    assert swapped.error == "wrong_tool" and swapped.detail.startswith("1 of 3")
    short = suites.score(item, calls(tax, sms))
    assert short.error == "missed_call" and short.detail.startswith("2 of 3")
    assert suites.score(item, Reply()).error == "missed_call"
    figures = suites.aggregate([item, item], [calls(price, tax, sms), calls(tax, sms)])
    assert figures["full_sequence_accuracy"] == 0.5
    assert figures["partial_sequence_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert figures["function_f1"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert figures["slot_f1"] == pytest.approx((2 / 3 + 1 + 1 + 1) / 4)
    assert set(suites.aggregate([item], [Reply(malformed=["x"])]).values()) == {0.0}


@pytest.mark.parametrize(
    ("gold", "found", "expected"),
    [
        ("abc", "abc", (3, 3)),
        ("abc", "abd", (2, 3)),
        ("abc", "bc", (2, 3)),
        ("ab", "xab", (0, 5)),
        ("ab", "", (0, 2)),
    ],
)
def test_nestful_alignment(gold, found, expected):
    def sequence(names):
        return [{"name": name, "arguments": {}} for name in names]

    assert nestful.places(sequence(gold), sequence(found)) == expected


def write_seal_tools(folder):
    def tool(name, **parameters):
        return {
            "api_name": name,
            "api_description": f"{' '.join(words(name))} of a place",
            "field": "Geo/Maps",
            "parameters": {key: {"type": kind, "description": key} for key, kind in parameters.items()},
            "required": list(parameters),
            "responses": {"value": {"type": "str", "description": "The value"}},
        }

    put(folder / "tool.jsonl", tool("getTide", place="str", day="int"), tool("getPM2.5Level", area="str"))
    put(folder / "tool_distractors.jsonl", *(tool(f"getThing{i}", x="float") for i in range(30)))
    calling = [
        {"api": "getTide", "parameters": {"place": "Oslo", "day": "3"}, "responses": ["API_call_0"]},
        {"api": "getPM2.5Level", "parameters": {"area": "API_call_0"}, "responses": ["API_call_1"]},
    ]
    rows = [{"id": f"dev-easy-{i}", "query": "The tide of a place", "calling": calling} for i in range(4)]
    put(folder / "dev.jsonl", *rows)


def test_seal_tools_adds_others_and_scores(data):
    items = checked(suites.load("seal_tools", data))
    assert {item.category for item in items} == {"dev"}  # the other two sets are not at hand
    item = items[0]
    assert len(item.tools) == 2 + seal_tools.N_OTHERS and item.meta["names"]["getPM2_5Level"] == "getPM2.5Level"
    orders = {tuple(t["function"]["name"] for t in other.tools) for other in items}
    assert len(orders) > 1  # the right tools are not always in the same place
    tide, level = call("getTide", place="Oslo", day=3), call("getPM2_5Level", area="API_call_0")
    assert suites.score(item, calls(level, tide)).correct
    assert suites.score(item, calls(tide)).error == "missed_call"
    assert suites.score(item, calls(tide, call("getPM2_5Level", area="Oslo"))).error == "wrong_argument_value"
    assert suites.score(item, Reply()).error == "missed_call"
    figures = suites.aggregate(items[:2], [calls(tide, level), calls(tide, call("getThing1", x=1.5, y=2))])
    assert figures["format_accuracy"] == 1.0
    assert figures["tool_precision"] == figures["tool_recall"] == figures["tool_f1"] == 0.75
    assert figures["parameter_precision"] == pytest.approx(5 / 7)
    assert figures["parameter_recall"] == pytest.approx(5 / 6)
    assert figures["parameter_f1"] == pytest.approx(10 / 13)
    assert set(suites.aggregate(items, [Reply(malformed=["x"])] * 4).values()) == {0.0}


def test_seal_tools_without_distractors_takes_the_other_tools(data):
    (data / "seal_tools" / "tool_distractors.jsonl").unlink()
    assert all(len(item.tools) == 2 for item in checked(suites.load("seal_tools/dev", data)))


def test_a_call_of_an_unknown_tool_is_named(data):
    put(data / "seal_tools" / "tool.jsonl")
    with pytest.raises(InputError, match=r"dev\.jsonl: dev-easy-0 calls 'getTide'"):
        suites.load("seal_tools", data)


# ToolAlpaca
# ----------


def write_toolalpaca(folder):
    page = {
        "name": "page",
        "in": "query",
        "required": False,
        "schema": {"type": "integer"},
        "description": "Page.",
    }
    document = {
        "openapi": "3.0.0",
        "paths": {
            "/find": {
                "get": {
                    "operationId": "find",
                    "parameters": [
                        {
                            "name": "q",
                            "in": "query",
                            "required": True,
                            "schema": {"type": "string"},
                            "description": "What.",
                        },
                        page,
                    ],
                }
            },
            "/make": {
                "post": {
                    "operationId": "make",
                    "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Make"}}}},
                }
            },
        },
        "components": {
            "schemas": {
                "Make": {
                    "type": "object",
                    "properties": {"id": {"type": "integer"}, "when": {"type": "string", "format": "date"}},
                    "required": ["id"],
                }
            }
        },
    }
    golden = [
        [("find", '{"q": "Milk", "page": ""}')],
        [("find", '{"q": "milk"}'), ("make", '{"id": ${id from find}, "when": ${a date}"}')],
        [("getDetails", '{"Question": "Which?"}'), ("make", '{"id": ${id from getDetails}}')],
        [
            ("make", '{"id": 7, "when": "{start date}"}'),
            ("[Optional]find", '{"q": "x"}'),
            ("find", "{nonsense"),
        ],
    ]
    row = {
        "Name": "Dairy",
        "Documentation": json.dumps(document),
        "Function_Description": {"find": "Finds.\nParameters: {}", "make": "Makes.", "components": ""},
        "Function_Projection": {"find": ["/find", "get"], "make": ["/make", "POST"]},
        "Instructions": [f"Do {i}" for i in range(4)],
        "Golden_Answers": [[{"Action": a, "Action_Input": i} for a, i in steps] for steps in golden],
    }
    put(folder / "eval_simulated.jsonl", row)


def test_toolalpaca_reads_openapi(data):
    item = checked(suites.load("toolalpaca", data))[0]
    offered = {tool["function"]["name"]: tool["function"] for tool in item.tools}
    assert list(offered) == ["find", "make", "getDetails"]
    assert offered["find"]["description"] == "Finds." and offered["find"]["parameters"]["required"] == ["q"]
    assert offered["make"]["parameters"]["properties"]["when"] == {"type": "string", "format": "date"}
    assert offered["make"]["parameters"]["required"] == ["id"]


@pytest.mark.parametrize(
    ("number", "reply", "error"),
    [
        (0, calls(call("find", q="milk")), None),
        (0, calls(call("find", q="milk", page="")), None),
        (0, calls(call("find", q="milk", page=2)), "extra_argument"),
        (0, calls(call("find")), "missing_argument"),
        (0, calls(call("make", id=1)), "wrong_tool"),
        (0, Reply(content="?"), "missed_call"),
        (0, calls(ToolCall(name="find", arguments="{")), "invalid_syntax"),
        (1, calls(call("find", q="milk")), None),
        (1, calls(call("find", q="milk"), call("make", id=12, when="today")), None),
        (1, calls(call("make", id=12, when="today")), "wrong_tool"),
        (1, calls(call("find", q="milk"), call("find", q="tea")), "needless_call"),
        (2, calls(call("getDetails", Question="Which one?")), None),
        (2, Reply(content="Which one?"), None),
        (2, Reply(content="I do not know."), "missed_call"),
        (3, calls(call("make", id=7, when="2026-01-01")), None),
        (3, calls(call("make", id=7, when="2026-01-01"), call("find", q="X")), None),
        (3, calls(call("make", id=8, when="2026-01-01")), "wrong_argument_value"),
    ],
)
def test_toolalpaca_verdicts(data, number, reply, error):
    item = suites.load("toolalpaca", data)[number]
    found = suites.score(item, reply)
    assert (found.correct, found.error) == (error is None, error)


# our own
# -------


@pytest.mark.parametrize("category", suites.categories("own"))
def test_own(category):
    items = checked(suites.load(f"own/{category}", limit=25))
    assert len(items) == 25 and len({item.id for item in items}) == 25
    for item in items:
        gold = calls(*(ToolCall(name=c["name"], arguments=json.dumps(c["arguments"])) for c in item.gold))
        assert suites.score(item, gold).correct
        if item.wants == "call":
            assert suites.score(item, Reply()).error == "missed_call"
            assert suites.score(item, calls(call("no_such_tool"), *gold.tool_calls[1:])).error == "wrong_tool"
            broken = calls(call(item.gold[0]["name"], surely_unknown=1), *gold.tool_calls[1:])
            assert suites.score(item, broken).error in ("missing_argument", "extra_argument")
        else:
            assert suites.score(item, calls(call(item.tools[0]["function"]["name"]))).error == "needless_call"
    assert suites.schema("own", category) == ("in" if category in ("core_said", "seen", "no_tool") else "out")


# the registry
# ------------


def test_every_suite_says_what_it_is(data):
    for suite in suites.names():
        module = suites.module(suite)
        assert module.CATEGORIES and module.METRIC and module.LICENCE and "Source:" in module.__doc__
        assert suites.metric(suite) == module.METRIC
        loaded = checked(suites.load(suite, data, limit=3))
        assert loaded and {item.suite for item in loaded} == {suite}
        optional = set(getattr(module, "OPTIONAL", ()))
        assert {item.category for item in loaded} >= set(module.CATEGORIES) - optional
        for item in loaded:
            if not suites.generated(suite):
                assert suites.schema(suite, item.category) == "out"
            if item.wants == "call":
                assert suites.score(item, Reply()).error == "missed_call"
            assert not suites.score(item, Reply(error="context overflow")).correct or item.wants == "no_call"


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("bfc", "unknown suite 'bfc': did you mean 'bfcl'?"),
        ("bfcl/simple_pyton", "unknown category of bfcl 'simple_pyton': did you mean 'simple_python'?"),
        ("own/sen", "did you mean 'seen'?"),
        ("zzz", "known: acebench, api_bank"),
    ],
)
def test_unknown_names(spec, complaint, data):
    with pytest.raises(InputError) as error:
        suites.load(spec, data)
    assert complaint in str(error.value) and "\n" not in str(error.value)


def test_a_data_set_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="slmkit data pull bfcl"):
        suites.load("bfcl", tmp_path)
    (tmp_path / "nestful").mkdir()
    with pytest.raises(InputError, match="holds none of glaive, executable, sgd"):
        suites.load("nestful", tmp_path)
    with pytest.raises(InputError, match=r"sgd-data\.jsonl: no such file"):
        suites.load("nestful/sgd", tmp_path)


def test_a_broken_line_is_named(data):
    path = data / "bfcl" / "BFCL_v4_multiple.json"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:4], lines[4][:-9], *lines[5:]]))
    with pytest.raises(InputError, match=r"BFCL_v4_multiple\.json:5: not JSON"):
        suites.load("bfcl/multiple", data, limit=1)


def test_a_missing_field_and_a_missing_answer_are_named(data):
    put(data / "when2call" / "when2call_test_llm_judge.jsonl", {"uuid": "1", "question": "?"})
    with pytest.raises(InputError, match=r"llm_judge\.jsonl: record 1 has no field 'correct_answer'"):
        suites.load("when2call", data)
    put(data / "bfcl" / "possible_answer" / "BFCL_v4_multiple.json", {"id": "multiple_0", "ground_truth": []})
    with pytest.raises(InputError, match="multiple_1 has no ground truth"):
        suites.load("bfcl/multiple", data)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "dict", "properties": {"x": {"type": "strin"}}},
        {"type": "dict", "properties": {"x": {"type": 12}}},
        {"type": "dict", "properties": {"x": {"type": "string", "enum": "a"}}},
        {"type": "dict", "properties": ["x"]},
        {"type": "dict", "properties": {"x": "string"}},
        {"type": "dict", "properties": {}, "required": "x"},
        {
            "type": "dict",
            "properties": {"x": {"type": "array", "items": {"type": "integer", "minimum": "2"}}},
        },
        "string",
    ],
)
def test_a_tool_without_valid_schema_is_named(data, schema):
    functions = [{**AREA}, {"name": "bad.tool", "description": "", "parameters": schema}]
    rows = [{"id": f"multiple_{i}", "question": [[]], "function": functions if i == 7 else [AREA]} for i in range(12)]
    put(data / "bfcl" / "BFCL_v4_multiple.json", *rows)
    with pytest.raises(InputError) as error:
        suites.load("bfcl/multiple", data, limit=1)  # whichever item is drawn
    message = str(error.value)
    assert "BFCL_v4_multiple.json" in message and "multiple_7" in message and "'bad.tool'" in message
    assert "\n" not in message


def test_a_record_out_of_shape_is_an_input_error(data):
    rows = [{"id": "multiple_0", "question": "How?", "function": 3}]
    put(data / "bfcl" / "BFCL_v4_multiple.json", *rows)
    with pytest.raises(InputError, match="bfcl/multiple: the record after its start is not as expected"):
        suites.load("bfcl/multiple", data)


def test_a_limit_takes_the_same_items_and_a_larger_one_keeps_them(data):
    everything = [item.id for item in suites.load("bfcl", data)]
    drawn = [[item.id for item in suites.load("bfcl", data, limit=n)] for n in range(1, 13)]
    for n, ids in enumerate(drawn, 1):
        assert len(ids) == n * len(bfcl.CATEGORIES)  # a limit is for each category
        assert ids == [ident for ident in everything if ident in set(ids)]  # in the order of the source
        assert ids == [item.id for item in suites.load("bfcl", data, limit=n)]
    assert all(set(fewer) < set(more) for fewer, more in pairwise(drawn))
    assert drawn[-1] == everything
    one = {item.id for item in suites.load("bfcl/multiple", data, limit=6)}
    assert one != {item.id for item in suites.load("bfcl/multiple", data, limit=6, seed=1)}
    assert one != {f"multiple_{i}" for i in range(6)}
    with pytest.raises(InputError, match="limit"):
        suites.load("bfcl", data, limit=-1)


def test_aggregate_is_of_one_suite(data):
    assert suites.aggregate([], []) == {}
    assert suites.aggregate(suites.load("own/seen", limit=1), [Reply()]) == {}
    mixed = [*suites.load("nestful", data), *suites.load("own/seen", limit=1)]
    with pytest.raises(InputError, match="one suite at a time"):
        suites.aggregate(mixed, [Reply()] * 2)


# names, schemas, neighbours
# --------------------------


@given(st.lists(st.text(alphabet="ab_.-é 0", max_size=70), max_size=12))
def test_legal_names_are_legal_and_lead_back(names):
    legal = tools.legal_names(names)
    assert list(legal.values()) == names and len(legal) == len(names)
    assert all(tools.NAME.fullmatch(name) for name in legal)
    unique = {name for name in names if names.count(name) == 1 and tools.NAME.fullmatch(name)}
    assert all(legal[name] == name for name in unique)


NODE = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from([*tools.TYPES, "HashMap", "String", "list(string)", "nonsense", 3]),
            "enum": st.lists(st.one_of(st.integers(), st.sampled_from(["3", "True", "x", None])), max_size=3),
            "required": st.one_of(st.booleans(), st.lists(st.sampled_from("abc"), max_size=3), st.just("a")),
            "minimum": st.one_of(st.integers(), st.just("1")),
            "exclusiveMinimum": st.one_of(st.booleans(), st.integers()),
            "minLength": st.integers(min_value=-1, max_value=3),
            "pattern": st.sampled_from(["^a+$", "[\\w-\\.]+", "("]),
            "default": st.none(),
            "optional": st.booleans(),
        },
    ),
    lambda node: st.one_of(
        st.dictionaries(st.sampled_from("abc"), node).map(lambda found: {"type": "dict", "properties": found}),
        st.fixed_dictionaries({"type": st.just("array"), "items": node}),
        st.fixed_dictionaries({"anyOf": st.lists(node, min_size=1, max_size=2)}),
    ),
    max_leaves=6,
)


@given(NODE)
def test_schemas_are_copied_checked_as_jsonschema_does_and_stay_as_they_are_when_converted_again(node):
    before = copy.deepcopy(node)
    schema = tools.parameters(node)
    assert node == before
    assert tools.parameters(schema) == schema
    try:
        Draft202012Validator.check_schema(schema)
        valid = True
    except SchemaError:
        valid = False
    assert (tools.fault(schema) is None) == valid


def test_conversion_of_schemas():
    convert = tools.json_schema
    assert convert({"type": "HashMap"}) == {"type": "object"}
    assert convert({"type": "any", "description": "x"}) == {"description": "x"}
    assert convert({"type": "list(string)"}) == {"type": "array", "items": {"type": "string"}}
    assert convert({"type": ["float", "any"]}) == {}
    assert convert({"type": "boolean", "enum": ["True", "False", "dontcare"]}) == {
        "type": "boolean",
        "enum": [True, False],
    }
    assert convert({"type": "integer", "enum": ["1", 2, True]}) == {"type": "integer", "enum": [1, 2]}
    assert convert({"type": "integer", "enum": ["few"]}) == {"type": "integer"}
    assert convert({"type": "array", "items": {"type": "str"}, "enum": ["a"]}) == {
        "type": "array",
        "items": {"type": "string", "enum": ["a"]},
    }
    assert convert({"type": "number", "minimum": 2, "exclusiveMinimum": True}) == {
        "type": "number",
        "exclusiveMinimum": 2,
    }
    assert convert({"type": "string", "pattern": "[\\w-\\.]"})["description"] == "Pattern: [\\w-\\.]"
    assert convert({"type": "dict", "properties": {"a": {"type": "int", "required": True}}}) == {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
    }
    assert tools.parameters({"type": "dict", "properties": {}, "required": ["a", "a"]})["required"] == ["a"]
    assert tools.parameters(None) == {"type": "object", "properties": {}}


def test_neighbours_are_near_and_always_the_same():
    shelf = Shelf(
        [{"name": f"getWeather{place}", "description": "forecast"} for place in "ABCDEFGH"]
        + [{"name": f"sendMail{i}", "description": "post a letter"} for i in range(60)]
    )
    right = [{"name": "getWeatherA", "description": "forecast"}]
    chosen = shelf.beside(right, "weather forecast for today", 5, key="1")
    assert chosen == shelf.beside(right, "weather forecast for today", 5, key="1")
    assert len(chosen) == 6 and right[0] in chosen and len({f["name"] for f in chosen}) == 6
    assert all(f["name"].startswith("getWeather") for f in chosen)
    assert len(shelf.beside(right, "zzz", 5, key="1")) == 6  # nothing near: any others
    assert len(Shelf(right).beside(right, "weather", 5, key="1")) == 1
    assert words("getHTTPStatus_code 42") == ["get", "httpstatus", "code", "42"]


def test_an_errand_is_right_as_its_object_alone():
    for item in suites.load("errands", limit=3):
        assert item.wants == "json" and item.schema["type"] == "object" and not item.tools
        assert suites.schema("errands", item.category) == "in"
        told = json.dumps(item.gold)
        assert suites.score(item, Reply(content=told)).correct
        assert suites.score(item, Reply(content=f"Here: {told}")).error == "invalid_syntax"
        assert suites.score(item, Reply(content="[1]")).error == "invalid_syntax"
        assert suites.score(item, Reply(error="cut")).error == "invalid_syntax"
        name = next(iter(item.gold))
        assert suites.score(item, Reply(content=json.dumps({**item.gold, name: ["?"]}))).error.startswith("wrong")
        assert suites.score(item, Reply(content=json.dumps({**item.gold, "more": 1}))).error == "extra_argument"
