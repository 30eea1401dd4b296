"""Task sets: splits that stay apart, rows that can be learnt from, real data read where it is at hand."""

import json
import re

import pytest

from slmkit.errors import InputError
from slmkit.mini import requests
from slmkit.specialization import data, rows, tasks
from slmkit.specialization.sources import seal_tools, sgd, tau

GENERATED = [name for name in tasks.names() if name not in tasks.REAL]


@pytest.mark.parametrize("name", GENERATED)
def test_generated_rows_can_be_learnt_and_asked(name):
    task = tasks.get(name)
    for split in tasks.SPLITS:
        made = task.rows(split, 40)
        data.check(made, split)
        assert len({row["id"] for row in made}) == 40
    assert all(map(rows.wants_call, task.rows("test", 40)))
    assert not any(map(rows.wants_call, task.rows("no_call", 40)))
    assert 0.7 < sum(map(rows.wants_call, task.rows("train", 200))) / 200 < 0.95


def test_splits_ask_by_phrasings_of_their_own():
    for tool in (tool for name in GENERATED for tool in tasks.catalog.domain(name)):
        said = {split: set(tasks.phrased(tool, split).phrasings) for split in tasks.SPLITS[:3]}
        assert all(said.values())
        assert not said["train"] & said["validation"] and not said["train"] & said["test"]
        assert not said["validation"] & said["test"]
    task = tasks.get("smart_home")
    asked = {split: {row["messages"][0]["content"] for row in task.rows(split, 300)} for split in tasks.SPLITS}
    assert not asked["train"] & (asked["test"] | asked["no_call"] | asked["validation"])


def test_phrasings_of_training_name_the_arguments_and_leave_no_gaps():
    more = tasks._more()
    assert set(more) <= {tool.name for name in GENERATED for tool in tasks.catalog.domain(name)}
    for tool in (tool for name in GENERATED for tool in tasks.catalog.domain(name)):
        slots = dict(requests.places(tool.args))
        for phrasing in more.get(tool.name, ()):
            bare = re.sub(r"\{[^{}]*\|[^{}]*\}", "", phrasing)
            always = re.findall(r"\{([\w.]+)\}", re.sub(r"\[[^\]]*\]", "", bare))
            assert sorted(always) == sorted(place for place, arg in slots.items() if arg.required), phrasing
            assert set(re.findall(r"\{([\w.]+)\}", bare)) <= set(slots), phrasing
    texts = [row["messages"][0]["content"] for row in tasks.get("banking").rows("train", 300)]
    assert not [text for text in texts if re.search(r"  | [,.?]|[{}|]", text)]


def test_rows_are_the_same_every_time_and_grow():
    task = tasks.get("banking")
    few, many = task.rows("train", 5), task.rows("train", 20)
    assert many[:5] == few and task.rows("train", 5) == few
    assert task.rows("train", 5, seed=1) != few


def test_a_changed_task_has_one_field_more():
    task = tasks.get("smart_home")
    made = task.rows_after_change("test", 60)
    data.check(made)
    assert all("urgency" in tool["function"]["parameters"]["properties"] for row in made for tool in row["tools"])
    given = [json.loads(row["messages"][-1]["tool_calls"][0]["function"]["arguments"]) for row in made]
    said = [("urgency" in arguments) == ("urgency" in row["messages"][0]["content"]) for row, arguments in
            zip(made, given, strict=True)]  # fmt: skip
    assert all(said) and 10 < sum("urgency" in arguments for arguments in given) < 50


@pytest.mark.parametrize("style", rows.STYLES)
def test_other_styles_ask_for_the_same_call(style):
    made = tasks.get("smart_home").rows("test", 30)
    changed = [rows.STYLES[style](row) for row in made]
    data.check(changed)
    assert [row["messages"][0] for row in changed] == [row["messages"][0] for row in made]
    values = [[sorted(map(str, json.loads(row["messages"][-1]["tool_calls"][0]["function"]["arguments"]).values()))
               for row in some] for some in (made, changed)]  # fmt: skip
    assert values[0] == values[1] and changed != made


def test_renaming_keeps_names_apart():
    row = tasks.get("smart_home").rows("test", 1)[0]
    same = rows.renamed(row, lambda name: "x")
    names = [tool["function"]["name"] for tool in same["tools"]]
    assert len(set(names)) == len(names)
    data.check([same])


def test_general_rows_come_from_evaluation_sets():
    assert not any(map(rows.wants_call, tasks.general("no_tool", 10)))
    assert all(map(rows.wants_call, tasks.general("core_said", 10)))


@pytest.mark.parametrize(
    "ask, complaint",
    [
        (lambda: tasks.get("smart_hom"), "smart_home"),
        (lambda: tasks.get("banking").rows("tests", 3), "test"),
        (lambda: tasks.Task("few", "", "", lambda split, n, seed: []).rows("train", 3), "3 rows of split train"),
    ],
)
def test_bad_input(ask, complaint):
    with pytest.raises(InputError, match=complaint):
        ask()


def test_missing_data_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("SLMKIT_DATA", str(tmp_path))
    with pytest.raises(InputError, match="slmkit data pull sgd"):
        tasks.get("sgd")


@pytest.mark.data
@pytest.mark.parametrize("name, n", [("sgd", 60), ("seal_tools", 60), ("tau", 8)])
def test_real_rows_can_be_learnt(name, n):
    task = tasks.get(name)
    for split in ("train", "test", "no_call"):
        made = task.rows(split, n if split != "no_call" else 5)
        data.check(made, split)
    train, test = task.rows("train", n), task.rows("test", n)
    assert not {row["id"] for row in train} & {row["id"] for row in test}


@pytest.mark.data
def test_sgd_tests_services_that_training_never_calls():
    task = tasks.get("sgd")
    tools = [
        {json.dumps(tool, sort_keys=True) for row in task.rows(split, 60) for tool in row["tools"]}
        for split in ("train", "test")
    ]
    assert not tools[0] & tools[1]


@pytest.mark.data
def test_real_tasks_say_when_they_have_too_few():
    with pytest.raises(InputError, match="ask for less"):
        tasks.get("tau").rows("train", 10_000)


def test_sgd_keeps_calls_whose_values_can_be_read_off():
    service = {
        "service_name": "Cafes_1",
        "slots": [
            {"name": "city", "description": "city", "is_categorical": False, "possible_values": []},
            {"name": "date", "description": "day", "is_categorical": False, "possible_values": []},
        ],
        "intents": [{"name": "FindCafe", "description": "Find", "required_slots": ["city"],
                     "optional_slots": {"date": "dontcare"}}],
    }  # fmt: skip

    def dialogue(parameters):
        frame = {"service": "Cafes_1", "service_call": {"method": "FindCafe", "parameters": parameters}}
        turns = [
            {"speaker": "USER", "utterance": "A cafe in Oslo on the first of March", "frames": []},
            {"speaker": "SYSTEM", "utterance": "Here.", "frames": [frame]},
        ]
        return {"dialogue_id": "1", "services": ["Cafes_1"], "turns": turns}

    known = {"Cafes_1": service}
    (row,) = sgd._decisions(dialogue({"city": "Oslo"}), known)
    data.check([row])
    assert list(sgd._decisions(dialogue({"city": "Oslo", "date": "2019-03-01"}), known)) == []


def test_seal_tools_leaves_out_calls_that_need_another_result():
    entry = {"api_name": "getSum", "api_description": "Sum", "parameters": {"x": {"type": "int"}}, "required": ["x"]}
    made = {"getSum": seal_tools.tool(entry)}
    assert seal_tools._fits({"calling": [{"api": "getSum", "parameters": {"x": "3"}}]}, made)
    assert not seal_tools._fits({"calling": [{"api": "getSum", "parameters": {"x": "API_call_0"}}]}, made)
    assert not seal_tools._fits({"calling": [{"api": "getSum", "parameters": {}}]}, made)


def test_tau_offers_look_ups_alone_and_shows_the_end_of_the_conversation():
    function = {"description": "", "parameters": {"type": "object", "properties": {"id": {"type": "string"}}}}
    tools = [{"type": "function", "function": {"name": name, **function}} for name in ("get_user", "cancel_order")]
    call = {"id": "1", "type": "function", "function": {"name": "get_user", "arguments": '{"id": "a1"}'}}
    talk = [{"role": "user", "content": f"hello {place}"} for place in range(9)]
    record = {
        "simulation_id": "s",
        "tools": tools,
        "messages": [{"role": "system", "content": "policy"}, *talk, {"role": "assistant", "tool_calls": [call]}],
    }
    (row,) = tau._decisions(record, calls=True)
    data.check([row])
    assert [tool["function"]["name"] for tool in row["tools"]] == ["get_user"]
    assert len(row["messages"]) == tau.MESSAGES + 1 and row["messages"][0]["role"] == "user"
