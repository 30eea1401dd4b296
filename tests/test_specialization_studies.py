"""The studies of notebook 03: how models are asked and judged, how arms are compared, what is trained once."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import specialization_tables as made

from slmkit import config, models
from slmkit.economics import tuning
from slmkit.errors import InputError
from slmkit.mini.recipe import Recipe
from slmkit.records import Reply, ToolCall
from slmkit.specialization import rows, tasks
from slmkit.specialization.studies import asking, believable, change, generality, ladder, price, scratch, ways
from slmkit.specialization.studies import lab as bench

PARAMETERS = {"base": "mini-1m", "llm": "mini-2m", "task": "smart_home", "n_examples": 0, "rank": 4, "seeds": 0,
              "general_share": 0.25, "data": ""}  # fmt: skip


@pytest.fixture
def lab(tmp_path):
    """A bench at smoke scale in a folder of its own."""
    run = SimpleNamespace(parameters=PARAMETERS, scale=config.scale("smoke"), folder=tmp_path, seed=0)
    return bench.Lab(run)


@pytest.fixture
def row():
    return tasks.get("smart_home").rows("test", 1)[0]


def right(row) -> Reply:
    """The reply that a row wants."""
    call = row["messages"][-1]["tool_calls"][0]["function"]
    return Reply(tool_calls=[ToolCall(name=call["name"], arguments=call["arguments"])], logprob=-0.1)


class Oracle(models.Model):
    """Answers every request as `rows` want, in the tool form."""

    def __init__(self, items):
        self.ref = self.fingerprint = "oracle"
        self.notes, self.asked = {}, []
        self.known = {json.dumps(item["messages"][:-1][-1:], sort_keys=True): item for item in items}

    def answer(self, requests, sampling):
        for index, request in enumerate(requests):
            self.asked.append(request)
            item = self.known[json.dumps(request.messages[-1:], sort_keys=True)]
            yield index, right(item) if rows.wants_call(item) else Reply(content="no")


def test_replies_are_judged(row):
    good = right(row)
    assert asking.judged(row, good) == {"correct": True, "error": None, "invalid": False, "called": True}
    name = row["messages"][-1]["tool_calls"][0]["function"]["name"]
    for reply in (
        Reply(tool_calls=[ToolCall(name=name, arguments="{")]),
        Reply(tool_calls=[ToolCall(name="no_such_tool", arguments="{}")]),
        Reply(tool_calls=[ToolCall(name=name, arguments='{"no_such_argument_type": 1}')]),
        Reply(malformed=["call("]),
    ):
        found = asking.judged(row, reply)
        assert not found["correct"]
        assert found["invalid"] == asking.invalid(row, reply)
    assert asking.invalid(row, Reply(malformed=["call("])) and asking.invalid(row, Reply(error="gone"))
    assert asking.invalid(row, Reply(tool_calls=[ToolCall(name="no_such_tool", arguments="{}")]))
    refusal = asking.judged(row, Reply(content="I cannot do that."))
    assert refusal["error"] == "missed_call" and not refusal["invalid"]


def test_the_other_format_is_one_object_in_words(row):
    asked = asking.as_object(row)
    call = row["messages"][-1]["tool_calls"][0]["function"]
    said = {"function": call["name"], "arguments": json.loads(call["arguments"])}
    assert asked["tools"] == [] and call["name"] in asked["messages"][0]["content"]
    assert asking.request(asked).schema["properties"]["function"]["enum"]
    assert asking.judged(asked, Reply(content=json.dumps(said)))["correct"]
    assert not asking.judged(asked, Reply(content=json.dumps(said)))["invalid"]
    for wrong in ("no object", "[]", '{"function": "x"}', json.dumps({"function": "x", "arguments": {}})):
        assert asking.judged(asked, Reply(content=wrong))["invalid"], wrong
    assert not asking.judged(asked, right(row))["correct"], "a call by tools is not what was asked for"


def test_examples_call_tools_that_are_on_offer(row):
    pool = tasks.get("smart_home").rows("train", 100)
    shown = asking.with_examples(row, pool, 3)
    assert len(shown["messages"]) == len(row["messages"]) + 6 and shown["messages"][-2:] == row["messages"]
    offered = {tool["function"]["name"] for tool in row["tools"]}
    called = {c["function"]["name"] for m in shown["messages"][:-2] for c in m.get("tool_calls", [])}
    assert called and called <= offered
    assert asking.with_examples(row, pool, 0)["messages"] == row["messages"]
    told = {**row, "messages": [{"role": "system", "content": "policy"}, *row["messages"]]}
    assert asking.with_examples(told, pool, 2)["messages"][0]["role"] == "system"


def test_prompt_forms_change_the_request_and_not_the_answer(row):
    names = [form["name"] for form in change.forms()]
    assert names[0] == "plain" and len(set(names)) == len(names) >= 5
    assert change.in_form(row, change.forms()[0])["messages"] == row["messages"]
    for form in change.forms()[1:]:
        told = asking.with_examples(
            change.in_form(row, form), tasks.get("smart_home").rows("train", 200), form.get("examples", 0)
        )
        assert told["messages"] != row["messages"] and told["messages"][-1] == row["messages"][-1]


def test_arms_are_asked_once(lab, monkeypatch):
    oracle = Oracle(lab.sets["task"] + lab.sets["no call"])
    monkeypatch.setattr(models, "load", lambda ref: oracle)
    arm = bench.Arm("oracle", "oracle", "llm")
    first = lab.answers([arm], lab.sets)
    again = lab.answers([arm], lab.sets)
    assert first["correct"].all() and len(oracle.asked) == len(first) == lab.sizes.n_test + lab.sizes.n_side
    assert first["seconds"].notna().all() and again["seconds"].isna().all()
    assert set(first["wants"]) == {"call", "no_call"} and (first["role"] == "llm").all()


def test_models_by_default():
    assert bench.pair("", "") == tuple(sorted(bench.minis(), key=bench.minis().get)[-2:])
    assert bench.pair("a", "b") == ("a", "b")
    assert bench.pair("", "other")[0] == max(bench.minis(), key=bench.minis().get)
    assert bench.short("org/name-8b") == "name-8b" and bench.short("mini-2m") == "mini-2m"


def test_a_single_mini_asks_for_names(monkeypatch):
    monkeypatch.setattr(bench, "minis", lambda: {"mini-1m": 1})
    with pytest.raises(InputError, match="name both"):
        bench.pair("", "")


def test_an_unknown_task_has_a_nearest_name(lab):
    lab.run.parameters = PARAMETERS | {"task": "smarthome"}
    with pytest.raises(InputError, match="smart_home"):
        _ = lab.task


def test_settings_follow_scale_and_parameters(lab):
    settings = lab.settings(20)
    assert settings.rank == 4 and settings.alpha == 8 and settings.general_share == 0.25
    assert lab.arm_settings().general_share == 0 and lab.arm_settings(order="curriculum").order == "curriculum"
    assert lab.arm_settings(1).seed == 1
    lab.sizes = config.TUNING["full"]
    assert lab.settings(200).n_steps(200) > lab.settings(50).n_steps(50)


def test_differences_are_paired_and_hold_the_spread_of_seeds():
    base = made.items("b", 0.2)
    one = ladder.difference(made.items("a", 0.5), base)
    assert one.difference == pytest.approx(0.3) and one.low > 0.2
    spread = made.pd.concat([made.items("a", share, seed=i) for i, share in enumerate((0.2, 0.5, 0.8))])
    wide = ladder.difference(spread, base, margin=0.03)
    assert wide.difference == pytest.approx(0.3) and wide.low < one.low - 0.1
    assert wide.verdict == ("non-inferior" if wide.low > -0.03 else "inconclusive")
    part = ladder.difference(made.items("a", 0.5, n_items=50), base)
    assert part.n == 50


def test_shares_pool_seeds_by_item():
    table = made.pd.concat([made.items("a", 0.5, seed=i) for i in range(3)])
    (row,) = ladder.share(table).to_dict("records")
    assert row["n_items"] == made.N and row["seeds"] == 3 and row["low"] < 0.5 < row["high"]
    one = ladder.share(made.items("a", 0.5)).iloc[0]
    assert abs((row["high"] - row["low"]) - (one["high"] - one["low"])) < 0.03, "seeds are no new items"


def test_sets_out_of_schema_are_the_same_items(lab):
    sets = generality.sets(lab)
    ids = [row["id"] for row in sets[generality.IN_SCHEMA]]
    for name in generality.OUT_OF_SCHEMA[:3]:
        assert [row["id"] for row in sets[name]] == ids
    assert set(generality.GENERAL) <= set(sets)


def test_drift_pairs_base_and_specialist():
    before, after = believable.pairs(made.wide(kept=0.5), 0.25)
    assert len(before) == len(after) == 600
    assert np.mean(before) == pytest.approx(0.8) and np.mean(after) == pytest.approx(0.5)
    gate, passed, said = believable._drift(before, after)
    assert not passed and "general skill" in said and gate
    assert believable._drift(before, before)[1]


def test_the_mask_is_shown_with_what_is_learnt_in_bold():
    tokens = made.pd.DataFrame({"token": ["a", "b`", "c", "d"], "in_loss": [False, False, True, True]})
    assert believable.shown(tokens) == "`ab'` **`cd`**"
    long = made.pd.DataFrame({"token": ["x" * 500, "y"], "in_loss": [False, True]})
    assert " … " in believable.shown(long) and len(believable.shown(long)) < 250


def test_projection_follows_first_principles():
    jobs = price.projection(tuning.training_flop, 989e12, (2, 3, 4)).set_index(["model", "job"])
    row = jobs.loc[("8 bn", "10,000 examples")]
    assert row["hours"] == pytest.approx(4 * 8e9 * 10_000 * 1_024 / (0.2 * 989e12) / 3600)
    assert row["usd_low"] == pytest.approx(row["hours_low"] * 2) and row["usd_high"] == pytest.approx(
        row["hours_high"] * 4
    )
    assert jobs.loc[("70 bn", "one cycle"), "hours"] == pytest.approx(8.75 * jobs.loc[("8 bn", "one cycle"), "hours"])


def test_the_headline_is_the_main_adapter():
    table = made.pd.concat(
        [made.trainings(), made.trainings(5.0, 50).assign(name="LoRA"), made.trainings(7.0).assign(name="curriculum")]
    )
    found = price.headline(table)
    assert set(found["n"]) == {200} and len(found) == 3 and (found["seconds"] == 100).all()


def test_ways_to_train_have_names_of_their_own():
    names = [ways.SUPERVISED, ways.FULL, ways.DISTILLED, ways.PREFERENCE, ways.CURRICULUM, ways.MULTI_TASK]
    assert len(set(names)) == 6


@pytest.mark.parametrize("design, data", [("LFM2", "no tool calls"), ("Llama", "both")])
def test_models_from_scratch(tmp_path, design, data):
    found = dict(scratch.train(tmp_path / "run", design, "mini-test", data, 0, (1, 2)))
    assert list(found) == [1, 2]
    kind = json.loads((found[2] / "config.json").read_text())["model_type"]
    assert kind == design.lower()
    before = (found[1] / "model.safetensors").stat().st_mtime_ns
    assert dict(scratch.train(tmp_path / "run", design, "mini-test", data, 0, (1, 2))) == found
    assert Recipe().batch_tokens == scratch.BATCH_TOKENS
    assert (found[1] / "model.safetensors").stat().st_mtime_ns == before, "nothing is trained twice"


def test_designs_have_as_many_parameters():
    from transformers import AutoModelForCausalLM

    from slmkit.mini import tokenizer as tokenizers
    from slmkit.mini.recipe import config as recipe

    tokens = tokenizers.load(config.resource("data/mini/mini-2m"))
    plain = AutoModelForCausalLM.from_config(recipe("mini-2m-llama", tokens))
    mini = AutoModelForCausalLM.from_config(recipe("mini-2m", tokens))
    assert plain.num_parameters() == pytest.approx(mini.num_parameters(), rel=0.005)


def test_a_part_of_the_data_has_weight_alone():
    from slmkit.mini.batches import Batch

    ids = np.array([[9, 1, 2], [7, 1, 2]])
    batch = Batch(ids, np.ones(ids.shape), ids > 1, ids > 1)
    stream = SimpleNamespace(tokenizer=SimpleNamespace(convert_tokens_to_ids=lambda token: 9))

    class Once(SimpleNamespace):
        def __next__(self):
            return batch

    made_of = Once(**vars(stream))
    assert next(scratch.Part(made_of, "no tool calls")).weights.sum(1).tolist() == [0, 3]
    assert next(scratch.Part(made_of, "no instructions")).weights.sum(1).tolist() == [3, 0]
