"""The corpus of the mini models: what is held out stays out, seeds decide, calls fit their tools."""

from __future__ import annotations

import re
import time
from itertools import islice
from random import Random

import pytest
from jsonschema import Draft202012Validator

from slmkit.errors import InputError
from slmkit.mini import catalog, conversation, corpus, errands, invent, offers, requests, values

STREAM = list(islice(corpus.stream(123), 700)) + list(islice(corpus.stream(123, easy=True), 100))
REFUSAL = catalog.read("language")["refusal"]


def assistant_turns(conversations):
    return [m for made in conversations for m in made["messages"] if m["role"] == "assistant"]


def test_held_out_list_is_the_committed_one():
    assert set(catalog.held_out_domains()) == {"smart_home", "banking", "car_rental", "insurance_claims"}
    assert len(catalog.held_out_tools()) == len(catalog.read("held_out")["tools"]) >= 10
    assert all(len(catalog.domain(name)) >= 6 for name in catalog.held_out_domains())


def test_the_corpus_is_broad():
    tools = catalog.training_tools(True) + catalog.training_tools(False)
    assert len(catalog.training_tools(False)) >= 400
    assert len(catalog.training_tools(True)) >= 191
    assert len({tool.domain for tool in tools}) >= 100
    assert sum(len(tool.phrasings) for tool in catalog.training_tools(False)) > 3000
    assert len({tool.name for tool in catalog.training_tools(False)}) == len(catalog.training_tools(False))


def test_held_out_tools_never_enter_the_training_stream():
    held = [
        *catalog.held_out_tools(),
        *(tool for name in catalog.held_out_domains() for tool in catalog.domain(name)),
    ]
    names, abouts = {tool.name for tool in held}, {tool.about for tool in held}
    offered = [tool["function"] for made in STREAM for tool in made["tools"]]
    assert len(offered) > 1500
    assert not names & {function["name"] for function in offered}
    assert not names & {function["name"].split(".")[-1] for function in offered}
    assert not abouts & {function["description"] for function in offered}
    said = {phrasing for tool in held for phrasing in (*tool.phrasings, *tool.test)}
    assert not said & {p for tool in catalog.training_tools(False) for p in tool.phrasings}


def test_phrasings_of_the_evaluation_are_not_those_of_training():
    everything = catalog.training_tools(False) + catalog.held_out_tools()
    trained = {phrasing for tool in catalog.training_tools(False) for phrasing in tool.phrasings}
    for tool in everything:
        assert tool.verb or (len(tool.test) >= 3 and not set(tool.test) & trained)
        assert catalog.for_testing(tool).phrasings == tool.test
    lines = catalog.read("language")
    for kind, frames in lines["frames"].items():
        assert not set(frames) & set(lines["test_frames"][kind])
    for kind, asks in lines["errands"]["train"].items():
        assert lines["errands"]["test"][kind] and not set(asks) & set(lines["errands"]["test"][kind])
    composed = catalog.training_tools(True)[0]
    rng, offer = Random(3), offers.composed(catalog.for_testing(composed), Random(3))
    assert offer.tool.test and requests.ask(offer, rng)


def test_every_slot_of_a_phrasing_is_an_argument_and_required_ones_are_always_said():
    for tool in catalog.catalog():
        slots = dict(requests.places(tool.args))
        required = {place for place, arg in slots.items() if arg.required and _chain_required(tool.args, place)}
        for phrasing in (*tool.phrasings, *tool.test):
            assert set(re.findall(r"\{([\w.]+)\}", phrasing)) <= set(slots), (tool.name, phrasing)
            bare = re.sub(r"\[[^\]]*\]", "", phrasing)
            assert required <= set(re.findall(r"\{([\w.]+)\}", bare)), (tool.name, phrasing)


def _chain_required(args, place):
    return next(arg for arg in args if arg.name == place.split(".")[0]).required


def test_errands_ask_for_one_object_that_fits_their_schema():
    for kind in errands.KINDS:
        for item in corpus.evaluation_set(kind, 80, seed=2):
            Draft202012Validator.check_schema(item["schema"])
            schema = {**item["schema"], "additionalProperties": False}
            assert not list(Draft202012Validator(schema).iter_errors(item["answer"])), item
            assert "calls" not in item and not item["tools"] and item["messages"][-1]["role"] == "user"
            if kind == "fill":
                assert "{" not in next(iter(item["answer"].values()))
    trained = [made for made in STREAM if "schema" in made]
    assert 0.04 < len(trained) / len(STREAM) < 0.13
    assert all(made["messages"][0]["role"] == "system" for made in trained)


def test_some_turns_ask_back_go_step_by_step_or_meet_an_error():
    prefix = catalog.read("language")["ask_back"].partition("{")[0]
    asked = [m for made in STREAM for m in made["messages"] if (m["content"] or "").startswith(prefix)]
    assert len(asked) > 10
    results = [m["content"] for made in STREAM for m in made["messages"] if m["role"] == "tool"]
    assert any("error" in text for text in results) and any("ok" in text for text in results)
    in_steps = [
        made
        for made in STREAM
        for i, m in enumerate(made["messages"][:-2])
        if m["role"] == "tool" and made["messages"][i + 1].get("tool_calls")
    ]
    assert len(in_steps) > 5


def test_no_training_tool_is_a_near_duplicate_of_a_held_out_one():
    assert catalog.near_duplicates() == []
    assert catalog.near_duplicates(limit=0.2), "the check finds nothing at all, so it cannot fail"


def test_the_same_seed_gives_the_same_stream_and_another_seed_another():
    again = list(islice(corpus.stream(7), 40))
    assert again == list(islice(corpus.stream(7), 40))
    assert again != list(islice(corpus.stream(8), 40))
    assert corpus.evaluation_set("renamed", 30, 1) == corpus.evaluation_set("renamed", 30, 1)
    assert corpus.evaluation_set("renamed", 30, 1) != corpus.evaluation_set("renamed", 30, 2)


def validate(tools, calls):
    offered = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
    assert len(offered) == len(tools), "tools of one prompt share a name"
    for call in calls:
        schema = {**offered[call["name"]], "additionalProperties": False}
        assert not list(Draft202012Validator(schema).iter_errors(call["arguments"])), (call, schema)


def test_every_call_of_the_stream_fits_its_schema():
    for tool in STREAM[0]["tools"] + STREAM[-1]["tools"]:
        Draft202012Validator.check_schema(tool["function"]["parameters"])
    for made in STREAM:
        calls = [c["function"] for m in made["messages"] for c in m.get("tool_calls", [])]
        validate(made["tools"], calls)


def test_every_call_of_the_evaluation_sets_fits_its_schema():
    for name in corpus.evaluation_names():
        for item in corpus.evaluation_set(name, 100, seed=5) if name not in errands.KINDS else ():
            validate(item["tools"], item["calls"])
            assert bool(item["calls"]) == (not name.startswith("no_tool"))
            assert set(item) == {"id", "messages", "tools", "calls"}
            assert item["messages"][-1]["role"] == "user"


def test_evaluation_requests_are_distinct_cheap_and_named():
    started = time.perf_counter()
    items = corpus.evaluation_set("seen", 1000)
    assert time.perf_counter() - started < 3
    assert len({item["id"] for item in items}) == 1000
    assert len({item["messages"][-1]["content"] for item in items}) > 900
    with pytest.raises(InputError, match="held_out_tools"):
        corpus.evaluation_set("held_out_tool", 1)


def test_the_mix_of_turns():
    turns = assistant_turns(STREAM[:700])
    refused = sum(turn["content"] == REFUSAL for turn in turns) / len(turns)
    several = sum(len(turn.get("tool_calls", [])) > 1 for turn in turns) / len(turns)
    assert 0.22 < refused < 0.34
    assert 0.02 < several < 0.10
    assert max(len(made["tools"]) for made in STREAM) >= 6
    roles = {m["role"] for made in STREAM for m in made["messages"]}
    assert roles == {"system", "user", "assistant", "tool"}
    optional = [
        (
            set(function["parameters"]["properties"]) - set(function["parameters"]["required"]),
            set(call["function"]["arguments"]),
        )
        for made in STREAM
        for function in (tool["function"] for tool in made["tools"])
        for m in made["messages"]
        for call in m.get("tool_calls", [])
        if call["function"]["name"] == function["name"]
    ]
    given = sum(bool(extra & used) for extra, used in optional if extra) / sum(bool(extra) for extra, _ in optional)
    assert 0.3 < given < 0.8, "optional arguments are sometimes left out, sometimes given"
    types = {
        p["type"] for made in STREAM for t in made["tools"] for p in t["function"]["parameters"]["properties"].values()
    }
    assert types == {"string", "integer", "number", "boolean", "array", "object"}


def test_a_tool_taken_away_turns_its_calls_into_refusals():
    rng = Random(0)
    pairs = [(made, twin) for made in STREAM[:400] if (twin := conversation.without_a_tool(made, rng))]
    assert len(pairs) > 100
    for made, twin in pairs:
        (gone,) = {t["function"]["name"] for t in made["tools"]} - {t["function"]["name"] for t in twin["tools"]}
        assert gone not in {c["function"]["name"] for m in twin["messages"] for c in m.get("tool_calls", [])}
        users = [[m["content"] for m in side["messages"] if m["role"] == "user"] for side in (made, twin)]
        assert users[0] == users[1]
        refusals = [sum(m["content"] == REFUSAL for m in assistant_turns([side])) for side in (made, twin)]
        assert refusals[1] > refusals[0]


def test_swapped_tools_keep_their_slots():
    rng = Random(1)
    for tool in catalog.training_tools(False):
        other = invent.swapped(tool, rng)
        assert [arg.kind for arg in other.args] == [arg.kind for arg in tool.args]
        assert len({arg.name for arg in other.args}) == len(other.args)
        for phrasing in other.phrasings:
            said = {slot.split(".")[0] for slot in re.findall(r"\{([\w.]+)\}", phrasing)}
            assert said >= {arg.name for arg in other.args if arg.required}


def test_values_have_the_type_that_their_pool_promises():
    rng = Random(2)
    python = {"integer": int, "number": (int, float), "string": str}
    for pool in catalog.pools()["pools"]:
        for _ in range(30):
            made, said = values.value(catalog.Arg(("x",), pool), rng)
            assert isinstance(made, python[values.json_type(pool)])
            assert "{" not in said and "}" not in said


def test_a_choice_in_a_phrasing_is_made_and_leaves_no_gap():
    said = {values.choose("{hello |}take {this|that|} , {slot}", Random(seed)) for seed in range(60)}
    assert said == {f"{start}take{what}, {{slot}}" for start in ("hello ", "") for what in (" this", " that", "")}
    state = (rng := Random(1)).getstate()
    assert values.choose("no  choice , {slot}", rng) == "no  choice , {slot}" and rng.getstate() == state


def test_a_broken_corpus_file_is_named(tmp_path, monkeypatch):
    (tmp_path / "language.yaml").write_text("a: [1,", encoding="utf-8")
    monkeypatch.setattr(catalog, "folder", lambda: tmp_path)
    with pytest.raises(InputError, match=r"language\.yaml"):
        catalog.read.__wrapped__("language")
