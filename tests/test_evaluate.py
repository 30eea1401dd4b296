"""Evaluation: every item and model gives a row, failures included; an interrupted run pays for nothing twice."""

import json

import pandas as pd
import pytest

from slmkit import models
from slmkit.capability import evaluate, suites
from slmkit.capability.scoring import Score
from slmkit.capability.suites.items import Item
from slmkit.errors import InputError
from slmkit.records import Reply, ToolCall, Usage

TOOL = {"type": "function", "function": {"name": "add", "description": "", "parameters": {"type": "object"}}}
N = 40


class Fake(models.Model):
    """Right on the ids that it was given; item 7 fails; counts what it is asked."""

    def __init__(self, ref, right):
        self.ref, self.fingerprint, self.notes, self.right, self.asked = ref, ref, {}, right, 0

    def answer(self, requests, sampling):
        self.asked += len(requests)
        for index, request in enumerate(requests):
            yield index, self._answer(int(request.messages[0]["content"]))

    def _answer(self, number):
        if number == 7:
            return Reply(error="context overflow: 5,000 tokens > 4,096", model=self.ref)
        arguments = json.dumps({"x": number if number in self.right else -1})
        call = ToolCall(name="add", arguments=arguments)
        return Reply(tool_calls=[call], usage=Usage(prompt=10, completion=5), model=self.ref)


@pytest.fixture
def world(monkeypatch):
    fakes = {"small": Fake("small", set(range(0, N, 2))), "large": Fake("large", set(range(N)))}
    items = [Item("toy", "one", str(i), [{"role": "user", "content": str(i)}], [TOOL], "call", i) for i in range(N)]
    monkeypatch.setattr(models, "load", lambda ref, **options: fakes[ref])
    monkeypatch.setattr(suites, "load", lambda name, data, limit, seed: items[: limit or None])
    monkeypatch.setattr(suites, "schema", lambda suite, category: "out")
    monkeypatch.setattr(suites, "metric", lambda suite: "exact_match")

    def score(item, reply):
        right = reply.tool_calls[0].parsed()["x"] == item.gold
        return Score(right, None if right else "wrong_argument_value")

    monkeypatch.setattr(suites, "score", score)
    return fakes


def test_one_row_an_item_and_model_with_failures_kept(world):
    table = evaluate.evaluate(["small", "large"], ["toy"])
    assert len(table) == 2 * N
    failed = table[table["failed"].notna()]
    assert set(failed["id"]) == {"7"} and not failed["correct"].any()
    assert "5,000 tokens" in failed["failed"].iloc[0]


def test_summary_counts_a_failed_item_as_wrong(world):
    small, large = evaluate.summary(evaluate.evaluate(["small", "large"], ["toy"]))
    assert (large["n"], large["n_failed"], large["estimate"]) == (N, 1, (N - 1) / N)
    assert small["estimate"] == 0.5 and small["low"] < 0.5 < small["high"]
    assert small["metric"] == "exact_match" and small["tokens_per_s"] > 0
    assert list(small)[:4] == ["model", "suite", "category", "constrained"]


def test_comparison_is_paired_by_item(world):
    (row,) = evaluate.compare(evaluate.evaluate(["small", "large"], ["toy"]), "small", ["large"], margin=0.05)
    assert row["n"] == N and row["difference"] == pytest.approx(-19 / N)
    assert row["verdict"] == "inferior"
    assert row["low"] < row["difference"] < row["high"] < -0.05


def test_an_interrupted_run_resumes_from_the_recorded_calls(world, tmp_path):
    evaluate.evaluate(["large"], ["toy"], limit=10, cache=tmp_path)
    assert world["large"].asked == 10
    table = evaluate.evaluate(["large"], ["toy"], cache=tmp_path)
    # 30 new ones, and the failed one again: failures are not kept
    assert world["large"].asked == 10 + (N - 10) + 1
    assert table["seconds"].notna().sum() == N - 10 + 1
    assert table["correct"].sum() == N - 1


def test_other_decoding_is_another_call(world, tmp_path):
    evaluate.evaluate(["large"], ["toy"], limit=5, cache=tmp_path)
    evaluate.evaluate(["large"], ["toy"], limit=5, cache=tmp_path, constrained=True)
    assert world["large"].asked == 10


def test_the_plan_states_what_can_be_detected_and_runs_only_a_probe(world, tmp_path):
    (row,) = evaluate.plan(["small", "large"], ["toy"], margin=0.05, cache=tmp_path)
    assert world["small"].asked == world["large"].asked == evaluate.PROBE_ITEMS
    assert row["n"] == N and row["detectable"] > 0.05 and row["can_settle"] is False
    assert row["seconds"] >= 0


def test_models_without_a_common_item_cannot_be_compared(world):
    table = pd.concat([evaluate.evaluate(["small"], ["toy"]).head(5), evaluate.evaluate(["large"], ["toy"]).tail(5)])
    with pytest.raises(InputError, match="no item in common"):
        evaluate.compare(table, "small", ["large"])
