"""The live part of notebook 01: tables and titles follow from the items, and nothing is left out in silence."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from folders import write_model

from slmkit import config
from slmkit.capability import findings, live, suites
from slmkit.errors import InputError
from slmkit.figures import capability as draw


def make_items(seed: int = 0) -> pd.DataFrame:
    """Answers of two models, free and constrained: the small one weak on unseen tools, never declining."""
    rng, rows = np.random.default_rng(seed), []
    shape = [("own", "seen", "in", "call", 0.9), ("own", "held_out_tools", "out", "call", 0.3),
             ("own", "no_tool", "in", "no_call", 0.0), ("bfcl", "live_simple", "out", "call", 0.2)]  # fmt: skip
    for model, gain in (("small", 0.0), ("large", 0.1)):
        for constrained in (False, True):
            for suite, category, schema, wants, share in shape:
                right = rng.random(50) < share + gain + 0.2 * (constrained and schema == "out")
                for i, ok in enumerate(right):
                    miss = "needless_call" if wants == "no_call" else "wrong_argument_value"
                    rows.append(
                        {"model": model, "suite": suite, "category": category, "id": str(i), "schema": schema,
                         "wants": wants, "constrained": constrained, "correct": bool(ok),
                         "error": np.nan if ok else miss, "failed": np.nan, "called": True, "prompt_tokens": 100,
                         "completion_tokens": 40, "ttft_s": 0.1, "latency_s": 0.5, "logprob": -1.0,
                         "seconds": 0.02 if model == "small" else 0.04}
                    )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def run(tmp_path):
    notes: list[str] = []
    parameters = {"slm": "small", "llm": "large", "suites": ["own", "bfcl"], "n_items": 0, "margin": 0.05, "data": ""}
    return SimpleNamespace(parameters=parameters, scale=config.scale("smoke"), folder=tmp_path, seed=0, live=True,
                           notes=notes, note=notes.append)  # fmt: skip


def test_a_suite_that_is_not_at_hand_is_left_out_and_named(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SLMKIT_DATA", str(tmp_path))
    assert live.present(run) == ["own"]
    assert "slmkit data pull bfcl" in run.notes[0]


def test_an_unknown_suite_names_the_nearest(run):
    run.parameters["suites"] = ["bfcll"]
    with pytest.raises(InputError, match="did you mean 'bfcl'"):
        live.present(run)


def test_our_own_items_are_cheap_and_get_more(run):
    assert live.limit(["own/seen", "bfcl"], run) == {"own/seen": run.scale.n_own, "bfcl": run.scale.n_items}
    run.parameters["n_items"] = 7
    assert set(live.limit(["own", "bfcl"], run).values()) == {7}


def test_scores_and_splits_count_free_decoding_only(run):
    items = make_items()
    scores = live.scores(items)
    assert (scores["n"] == 50).all() and set(scores["task"]) == {
        "own / seen", "own / held out tools", "own / no tool", "bfcl / live",
    }  # fmt: skip
    splits = live.splits(items)
    assert set(splits["group"]) == {
        "tools seen in training", "tools never seen", "call wanted", "no call wanted",
    }  # fmt: skip
    small = splits[splits["model"] == "small"].set_index("group")
    assert small.loc["no call wanted", "estimate"] == 0
    assert small.loc["tools never seen", "n"] == 100, "no-call items have no place among tools"


def test_differences_need_two_models(run):
    items = make_items()
    assert (live.differences(items, run)["n"] == 50).all()
    run.parameters["llm"] = "small"
    with pytest.raises(InputError, match="two models"):
        live.differences(items, run)


def test_outcomes_of_each_model_sum_to_one():
    items = make_items()
    items["failed"] = items["failed"].astype(object)
    items.loc[0, ["failed", "correct"]] = ["context overflow", False]
    shares = live.errors(items).groupby(["model", "constrained"])["share"].sum()
    assert np.allclose(shares, 1)
    assert "failed" in set(live.errors(items)["outcome"])


def test_the_grammar_is_compared_on_the_same_items(run):
    grammar = live.grammar(make_items(), run).set_index(["model", "schema"])
    assert grammar.loc[("small", "out"), "difference"] > 0.05


def test_speed_is_tokens_over_time():
    speed = live.speed(make_items()).set_index(["model", "constrained"])
    assert speed.loc[("small", False), "tokens_per_s"] == pytest.approx(40 / 0.02)


def test_speed_of_calls_from_a_cache_is_unknown():
    speed = live.speed(make_items().assign(seconds=np.nan))
    assert speed["tokens_per_s"].isna().all()


def test_titles_are_worked_out_from_the_tables(run):
    items = make_items()
    assert "0% of own / no tool" in findings.by_task(live.scores(items), "small")
    title = findings.by_split(live.splits(items), "small")
    assert title.startswith("Tools never seen cost small")
    flipped = items.assign(schema=items["schema"].map({"in": "out", "out": "in"}))
    assert findings.by_split(live.splits(flipped), "small") != title
    assert "needless call" in findings.by_error(live.errors(items[items["wants"] == "no_call"]), "small")
    assert findings.by_speed(live.speed(items), "small", "large").startswith("small writes 2.0 times")
    assert findings.by_difference(live.differences(items, run)).startswith("Small against large on 4 sets")


def test_all_suites_are_meant_by_all(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SLMKIT_DATA", str(tmp_path))
    run.parameters["suites"] = ["all"]
    assert live.present(run) == ["own", "errands"] and len(run.notes) == len(suites.names()) - 2


def test_the_profile_has_the_parts_of_each_model_in_process_and_its_figure_names_them(run, tmp_path):
    write_model(tmp_path / "tiny")
    (tmp_path / "calls.jsonl").touch()
    run.parameters |= {"slm": str(tmp_path / "tiny"), "llm": f"replay:{tmp_path / 'calls.jsonl'}"}
    table = live.profile(run)
    assert set(table.model) == {run.parameters["slm"]} and set(table.part) >= {"prefill", "decode", "total"}
    assert table.share[table.part != "total"].sum() == pytest.approx(1)
    assert "tiny" in findings.by_profile(table, run.parameters["slm"])
    assert "does not run" in findings.by_profile(table, "elsewhere")
    figure = draw.where_time_goes(table, "The finding")
    assert {"prefill", "decode"} <= {text.get_text() for legend in figure.legends for text in legend.get_texts()}
