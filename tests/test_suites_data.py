"""Suites on the real benchmarks: every record loads, gold is right, wrong is named, schemas are valid."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from slmkit.capability import suites
from slmkit.capability.suites import acebench, bfcl, when2call
from slmkit.capability.suites.items import rank
from slmkit.capability.suites.tools import NAME
from slmkit.errors import InputError
from slmkit.files import either, read_jsonl
from slmkit.records import Reply, ToolCall

pytestmark = pytest.mark.data
SUITES = [suite for suite in suites.names() if not suites.generated(suite)]
N_SCHEMAS = 150  # of each suite that jsonschema itself checks in the reduced form


def folder(suite):
    found = Path(os.environ["SLMKIT_DATA"]) / suite
    assert found.is_dir(), f"SLMKIT_DATA has no {suite}"
    return found


@cache
def loaded(suite):
    return suites.load(suite)


def by_category(suite):
    found = defaultdict(list)
    for item in loaded(suite):
        found[item.category].append(item)
    return found


def records(suite):
    """File -> records, as the data set's README has them."""
    rows = re.findall(r"^\| `([^`]+)` \| (\d+) \|", (folder(suite) / "README.md").read_text(encoding="utf-8"), re.M)
    return {name: int(n) for name, n in rows}


def calls(made):
    return Reply(tool_calls=[ToolCall(name=c["name"], arguments=json.dumps(c["arguments"])) for c in made])


@cache
def accepted():
    """BFCL id -> answers made from the gold that the official checker accepts (Java: source text)."""
    found = defaultdict(list)
    with gzip.open(folder("bfcl_checker_vectors") / "vectors.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["mutation"].startswith("oracle") and row["valid"]:
                found[row["id"]].append(row["model_output"])
    return found


def right(item):
    """Replies that are right for an item, made from its gold; none where the source's gold cannot be met."""
    if item.suite == "bfcl":
        if item.wants != "call":
            return [
                Reply(content="No tool fits.") if item.wants == "no_call" else calls([{"name": "f", "arguments": {}}])
            ]
        legal = {source: name for name, source in item.meta["names"].items()}
        named = [
            [{"name": legal[n], "arguments": a} for c in output for n, a in c.items()] for output in accepted()[item.id]
        ]
        return [calls(made) for made in named]
    if item.suite == "when2call":
        if item.gold == "tool_call":
            return [calls([json.loads(item.meta["answers"]["tool_call"])])]
        return [Reply(content=item.meta["answers"][item.gold])]
    if item.category == "special_irrelevant":
        return [Reply(content=item.gold)]
    if item.category == "special_error_param":
        said = [f"There is incorrect value ({v}) for the parameters ({k})." for k, vs in item.gold.items() for v in vs]
        return [Reply(content=" ".join(said))]
    if item.category == "special_incomplete":
        said = [f"Missing necessary parameters ({', '.join(v)}) for the api ({k})." for k, v in item.gold.items()]
        return [Reply(content=" ".join(said))]
    if item.suite == "acebench":
        return [calls(gold) for gold in item.gold]
    if item.suite == "toolalpaca":
        return [calls([step for step in item.gold if step["needed"]])]
    return [calls(item.gold)]


def expected_counts(suite):
    """Category -> items there must be, counted in the files or taken from the README, not by the loader."""
    files, where = records(suite), folder(suite)
    if suite == "bfcl":
        plain = {name.removesuffix(".gz"): n for name, n in files.items()}
        return {category: plain[f"BFCL_v4_{category}.json"] for category in bfcl.CATEGORIES}
    if suite == "acebench":
        return {category: files[f"data_en/data_{category}.json"] for category in acebench.CATEGORIES}
    if suite == "when2call":
        [path] = [name for name in files if name.startswith("when2call")]
        found = Counter(row["correct_answer"] for row in read_jsonl(where / path))
        assert sum(found.values()) == files[path]
        return found
    if suite == "api_bank":
        rows = list(read_jsonl(where / "dialogues.jsonl"))
        assert len(rows) == files["dialogues.jsonl"]
        levels = Counter()
        for row in rows:
            levels[f"level_{row['file'][6]}"] += sum(turn["role"] == "API" for turn in row["turns"])
        return levels
    if suite == "toolalpaca":
        parts = [name.removesuffix(".jsonl") for name in files if name.startswith("eval_")]
        return {part: sum(len(row["Instructions"]) for row in read_jsonl(where / f"{part}.jsonl")) for part in parts}
    parts = {name.removesuffix(".gz").removesuffix(".jsonl"): n for name, n in files.items() if "jsonl" in name}
    return {
        name.removesuffix("-data"): n
        for name, n in parts.items()
        if name.removesuffix("-data") in suites.categories(suite)
    }


@pytest.mark.parametrize("suite", SUITES)
def test_every_record_is_an_item(suite):
    assert Counter(item.category for item in loaded(suite)) == Counter(expected_counts(suite))
    ids = Counter((item.category, item.id) for item in loaded(suite))
    assert max(ids.values()) == 1


@pytest.mark.parametrize("suite", SUITES)
def test_items_are_standard_requests(suite):
    for item in loaded(suite):
        names = [tool["function"]["name"] for tool in item.tools]
        assert len(set(names)) == len(names) and list(item.meta["names"]) == names
        assert all(NAME.fullmatch(name) for name in names)
        assert item.messages[-1]["role"] in ("user", "tool"), item.id
        open_calls = set()
        for message in item.messages:
            assert isinstance(message["content"], str)
            open_calls |= {call["id"] for call in message.get("tool_calls", [])}
            if message["role"] == "tool":
                open_calls.remove(message["tool_call_id"])
        assert not open_calls
        json.dumps([item.messages, item.tools])


@pytest.mark.parametrize("suite", SUITES)
def test_names_lead_back_to_the_source(suite):
    items = loaded(suite)
    if suite == "bfcl":
        assert all(list(i.meta["names"].values()) == [f["name"] for f in i.meta["original"]] for i in items)
    if suite == "acebench":
        raw = {r["id"]: r for path in (folder(suite) / "data_en").glob("data_*.json") for r in read_jsonl(path)}
        assert all(list(i.meta["names"].values()) == [f["name"] for f in raw[i.id]["function"]] for i in items)
    for item in items:
        if item.wants == "call" and suite not in ("bfcl", "when2call"):
            gold = item.gold[0] if suite == "acebench" else item.gold
            needed = [step for step in gold if step.get("needed", True)]
            assert {step["name"] for step in needed} <= set(item.meta["names"]), item.id


def schemas(suite):
    return sorted({json.dumps(t["function"]["parameters"]) for item in loaded(suite) for t in item.tools})


@pytest.mark.parametrize("suite", SUITES)
def test_schemas_are_valid(suite):
    for text in sorted(schemas(suite), key=lambda text: rank("schema", text))[:N_SCHEMAS]:
        Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.full
@pytest.mark.parametrize("suite", SUITES)
def test_every_schema_is_valid(suite):
    for text in schemas(suite):
        Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.parametrize("suite", SUITES)
def test_the_gold_answer_is_right(suite):
    defects = (folder(suite) / "README.md").read_text(encoding="utf-8")
    for item in loaded(suite):
        replies = right(item)
        # Of Java, the oracle writes literals that the official checker does not always read.
        excused = item.id in defects or item.category == "simple_java"
        assert replies or excused, f"{item.id}: nothing is right, and the README does not say so"
        for reply in replies:
            found = suites.score(item, reply)
            assert found.correct, (item.id, found)


@pytest.mark.parametrize("suite", SUITES)
def test_wrong_answers_are_named(suite):
    for item in (item for item in loaded(suite) if right(item)):
        reply = right(item)[0]
        if item.wants == "any_call":
            assert suites.score(item, Reply(content="No.")).error == "missed_call"
        elif item.wants == "no_call":
            name = item.tools[0]["function"]["name"] if item.tools else "anything"
            assert suites.score(item, calls([{"name": name, "arguments": {}}])).error == "needless_call"
            if suite in ("acebench", "when2call"):
                assert suites.score(item, Reply()).error == "wrong_reply"
        else:
            assert suites.score(item, Reply()).error == "missed_call"
            assert suites.score(item, Reply(malformed=["{"])).error == "invalid_syntax"
            if suite != "when2call":  # there, which tool and which arguments is not judged
                _check_mutations(item, reply)


def _check_mutations(item, reply):
    made = [{"name": call.name, "arguments": call.parsed()} for call in reply.tool_calls]
    other = {"name": "no_such_tool", "arguments": {}}
    assert suites.score(item, calls([other] * len(made))).error == "wrong_tool"
    assert suites.score(item, calls([*made, other])).error == "needless_call"
    if len(made) > 1:
        assert suites.score(item, calls(made[:-1])).error == "missed_call"
    first = {**made[0], "arguments": {**made[0]["arguments"], "no_such_argument": 1}}
    error = suites.score(item, calls([first, *made[1:]])).error
    assert error == "extra_argument" if len(made) == 1 else error is not None


def test_bfcl_has_no_side_effects_on_its_entries():
    raw = {}
    for category in bfcl.CATEGORIES:
        raw |= {row["id"]: row for row in read_jsonl(either(folder("bfcl"), f"BFCL_v4_{category}.json"))}
    assert all(item.meta["original"] == raw[item.id]["function"] for item in loaded("bfcl"))


def test_bfcl_source_text_in_java_and_javascript():
    for category in ("simple_java", "simple_javascript"):
        for item in by_category("bfcl")[category]:
            properties = item.tools[0]["function"]["parameters"]["properties"]
            assert {schema["type"] for schema in properties.values()} == {"string"}


def test_when2call_rule_agrees_with_the_candidate_texts():
    agree = Counter()
    for item in loaded("when2call"):
        for label in ("direct", "request_for_info", "cannot_answer"):
            agree[label] += when2call.decision(Reply(content=item.meta["answers"][label])) == label
    n = len(loaded("when2call"))
    assert agree["cannot_answer"] / n > 0.9 and agree["request_for_info"] / n > 0.9 and agree["direct"] / n > 0.8


@pytest.mark.parametrize("suite", ["acebench", "when2call", "nestful", "seal_tools"])
def test_aggregates_of_gold_and_of_silence(suite):
    items = loaded(suite)
    best = suites.aggregate(items, [right(item)[0] for item in items])
    silent = suites.aggregate(items, [Reply()] * len(items))
    assert best.keys() == silent.keys()
    for name in best:
        assert best[name] == pytest.approx(0.0 if name == "tool_hallucination" else 1.0, abs=0.002), name
        assert silent[name] < 0.01, name


@pytest.mark.parametrize("suite", SUITES)
def test_a_limit_draws_the_same_items(suite):
    category, items = next(iter(by_category(suite).items()))
    few, more = (suites.load(f"{suite}/{category}", limit=n) for n in (3, 4))
    assert len(few) == 3 and {i.id for i in few} < {i.id for i in more} < {i.id for i in items}
    assert few == suites.load(f"{suite}/{category}", limit=3)
    assert few == [item for item in items if item.id in {i.id for i in few}]


def test_a_broken_line_of_a_real_file_is_named(tmp_path):
    name = "BFCL_v4_live_multiple.json"
    target = tmp_path / "bfcl" / f"{name}.gz"
    target.parent.mkdir()
    source = either(folder("bfcl"), name)
    text = (gzip.open if source.suffix == ".gz" else open)(source, "rb").read()
    lines = text.splitlines(keepends=True)
    lines[4] = lines[4][:-10] + b"\n"
    target.write_bytes(gzip.compress(b"".join(lines)))
    (tmp_path / "bfcl" / "possible_answer").symlink_to(folder("bfcl") / "possible_answer")
    with pytest.raises(InputError, match=r"BFCL_v4_live_multiple\.json\.gz:5: not JSON"):
        suites.load("bfcl/live_multiple", tmp_path)
