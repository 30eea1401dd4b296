"""The studies of notebook 04 with models that know the goal: every table, every verdict, every figure, no weights."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from agent_models import Noisy, watch

from slmkit import claims, config, figures
from slmkit.agent import teacher, verdicts
from slmkit.agent.routing.routing import read
from slmkit.agent.studies import (
    arms,
    bfcl_v1,
    compute,
    exhibits,
    findings,
    forced,
    horizons,
    lab,
    mixed,
    recovery,
    traces,
)
from slmkit.economics import compare
from slmkit.errors import InputError
from slmkit.figures import agent, agent_steps

RIGHT = {"mini-1m": 0.75, "mini-2m": 0.97}
GIVE_BACK = "return_delivered_order_items"
RESAMPLING = {"n_resamples": 200, "rng": 0}


class Run:
    live, seed = True, 0

    def __init__(self, folder: Path, **parameters):
        self.folder, self.scale, self.notes = folder, config.scale("smoke"), []
        known = {"slm": "mini-1m", "llm": "mini-2m", "adapters": False, "n_tasks": 12, "budget": 0.35, "data": "",
                 "slm_priced_as": "llama-3.1-8b", "llm_priced_as": "llama-3.1-70b"}  # fmt: skip
        self.parameters = known | parameters

    def note(self, text):
        self.notes.append(text)


def back(table: pd.DataFrame) -> pd.DataFrame:
    """A table as the notebook reads it back from its CSV."""
    return pd.read_csv(io.StringIO(table.to_csv(index=False)))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    watch(patch)
    patch.setattr(arms, "load", lambda ref, calls=None: Noisy(arms.label(ref), RIGHT[arms.label(ref)]))
    figures.use_style()
    yield lab.Lab(Run(tmp_path_factory.mktemp("run")))
    patch.undo()


@pytest.fixture(scope="module")
def tables(bench):
    names = ("signals", "tried", "runs", "reworded", "shares", "order", "steps", "code", "latency", "specialists")
    found = {name: back(getattr(bench, name)()) for name in names}
    found["compute"] = back(bench.compute(compare.joules_per_token))
    found["attacks"] = back(exhibits.attacks(bench))
    outcomes = pd.DataFrame({"pair": ["a / b", "c / d"], "who": "learned", "tuned": True, "share": 0.3, "small": 0.8,
                             "large": 0.9, "router": 0.9, "ruling": "non-inferior", "cost_ratio": 0.4, "cost_low": 0.3,
                             "cost_high": 0.5, "random_low": [0.01, 0.02]})  # fmt: skip
    return found | {"routers": outcomes}


@pytest.fixture(scope="module")
def evidence(bench, tables):
    owned = claims.owned_by("04_heterogeneous_agent")
    return verdicts.Evidence(owned, tables, bench.slm, bench.llm, bench.sparse, n_bootstrap=200)


def test_the_large_model_is_better_and_the_cascade_between_or_above(tables):
    tested = tables["runs"][~tables["runs"]["extra"]]
    success = tested.groupby("arm")["reward"].mean()
    assert success[mixed.LLM] > success[mixed.SLM] + 0.1
    whole = mixed.frontier(tested, **RESAMPLING)
    best = whole[whole["arm"] == "trace"].sort_values("success").iloc[-1]
    assert best["success"] > success[mixed.SLM] + 0.1 and 0 < best["share"] < 0.7
    frontier = whole[whole["arm"] != "trace"].set_index("arm")
    assert frontier.loc[mixed.ORACLE, "success"] >= max(success[mixed.SLM], success[mixed.LLM])
    assert frontier.loc[mixed.LLM, "share"] == 1 and frontier.loc[mixed.SLM, "share"] == 0
    assert frontier.loc[mixed.SLM, "usd"] < frontier.loc[mixed.LLM, "usd"]
    both = (frontier["success_low"] <= frontier["success"]) & (frontier["success"] <= frontier["success_high"])
    assert both.all()


def test_a_cascade_pays_for_both_calls(bench, tables):
    outcome = next(o for o in bench.arms.outcomes[mixed.CHOSEN] if any(s.decision.escalated_because for s in o.steps))
    step = next(s for s in outcome.steps if s.decision.escalated_because)
    assert [call.role for call in step.decision.calls] == ["small", "large"]
    assert step.decision.usd == pytest.approx(sum(call.usd for call in step.decision.calls))


def test_the_routing_is_written_with_its_data_and_can_be_read(bench, tables):
    made = read(bench.run.folder / "routing.json")
    assert made.n_tasks == config.scale("smoke").n_calibration
    assert made.scorer and made.data_hash and made.access["cancel_rental"] == "irreversible"
    assert made.target == "budget" and made.small == "mini-1m"


def test_signals_tell_wrong_replies_apart(tables):
    wrong = tables["signals"]["wrong"].astype(bool)
    assert tables["signals"]["risk"][wrong].mean() > tables["signals"]["risk"][~wrong].mean() + 0.2


def test_without_the_large_model_nothing_irreversible_goes_wrong(tables):
    gone = tables["runs"][tables["runs"]["arm"] == mixed.GONE]
    assert gone["large_calls"].sum() == 0 and gone["wrong_irreversible"].sum() == 0
    assert (gone["status"] == "gave_up").any() and gone["reward"].sum() > 0


def test_every_claim_has_its_rule_and_passes_the_ledger(evidence):
    judged = {verdict.claim_id: verdict for verdict in verdicts.judge(evidence)}
    assert list(judged) == [claim.id for claim in evidence.claims] and set(judged) == set(verdicts.RULES)
    for claim in evidence.claims:
        verdict = judged[claim.id].model_copy(update={"notebook": "04_heterogeneous_agent"})
        claims.check_verdict(verdict)
        assert verdict.rule and verdict.threshold == claim.threshold
        assert (verdict.condition != "") == (verdict.outcome == "conditional")
    assert judged["S0-22"].outcome == "holds" and judged["A2.7"].outcome == "not_testable"


def test_where_nobody_solves_anything_nothing_about_the_world_is_decided(evidence, monkeypatch):
    monkeypatch.setattr(verdicts, "FLOOR", 0.9)  # none of these few tasks is no proof that fewer than a fifth are
    runs = evidence.tables["runs"].assign(reward=0.0)
    floor = replace(evidence, tables={**evidence.tables, "runs": runs})
    judged = {verdict.claim_id: verdict for verdict in verdicts.judge(floor)}
    assert {judged[claim].outcome for claim in verdicts.WORLD} <= {"inconclusive", "not_testable"}
    assert "solves 0% of" in judged["A1.12"].rule and judged["S0-22"].outcome == "holds"


def test_the_other_wordings_are_shown_beside_those_of_the_run(bench, tables):
    counts = tables["reworded"]["arm"].value_counts()
    assert counts.to_dict() == {f"{arm}, known wordings": len(bench.test) for arm in (mixed.SLM, mixed.LLM)}
    assert tables["reworded"]["task_id"].str.contains("-known-").all() and "known" not in bench.test[0].task_id
    assert "; in known wordings" in findings.by_gap(
        mixed.solved(pd.concat([tables["runs"], tables["reworded"]]), [mixed.SLM, mixed.LLM, *counts.index]),
        mixed.paired(tables["runs"], mixed.LLM, mixed.SLM, None, **RESAMPLING),
    )


def test_energy_follows_the_calls_and_the_model_that_ours_stand_for(tables):
    by = compute.summary(tables["compute"], 0.5, 0.03, **RESAMPLING).set_index("arm")
    assert (by["joules"] > 0).all() and by.loc["vote of 5", "joules"] > by.loc[compute.SINGLE, "joules"]
    same = compute.with_energy(tables["compute"], lambda model, *_: {"a": 1.0, "b": 3.0}[model], "a", "b")
    assert same["joules"].equals(same["decode_tokens"] * same["arm"].eq(compute.LARGE).map({True: 3.0, False: 1.0}))
    with pytest.raises(InputError, match="llama-9"):
        compute.with_energy(tables["compute"], compare.joules_per_token, "llama-9", "llama-3.1-70b")


def test_every_figure_draws(tables, evidence, bench, tmp_path):
    runs = tables["runs"]
    tested = runs[~runs["extra"]]
    gap, solved = (
        mixed.paired(tested, mixed.LLM, mixed.SLM, None, **RESAMPLING),
        mixed.solved(
            pd.concat([tested, tables["reworded"]]), [mixed.SLM, mixed.LLM, *tables["reworded"]["arm"].unique()]
        ),
    )
    frontier, kinds = mixed.frontier(tested, **RESAMPLING), forced.by_kind(tables["steps"], 0.03, **RESAMPLING)
    written = lab.writes(runs, [mixed.SLM, mixed.BARE, mixed.CHOSEN, mixed.GONE])
    four, recovered = exhibits.abilities(runs, tables["steps"], tables["order"], **RESAMPLING)
    three = [mixed.SLM, mixed.LLM, mixed.CHOSEN]
    lengths, fit = horizons.by_length(runs, three), horizons.fitted(runs, three, 50)
    modes = exhibits.agencies(tested, tables["code"])
    ways = compute.summary(tables["compute"], 0.5, 0.03, **RESAMPLING)
    drawn = {
        "gap": agent.arms(solved, findings.by_gap(solved, gap)),
        "calibration": agent.calibration(tables["signals"], findings.by_calibration(tables["signals"])),
        "frontier": agent.frontier(frontier, findings.by_frontier(frontier)),
        "answered": agent_steps.answered(tables["shares"], findings.by_share(tables["shares"])),
        "latency": agent_steps.latency(tables["latency"], findings.by_latency(tables["latency"])),
        "writes": agent_steps.writes(written, findings.by_writes(written)),
        "gone": agent.arms(mixed.solved(tested, three), findings.by_absence(tested)),
        "abilities": agent_steps.abilities(four, recovered, 0.05, findings.by_ability(four, recovered)),
        "kinds": agent_steps.step_kinds(kinds, findings.by_kind(kinds)),
        "horizon": agent_steps.horizon(lengths, horizons.predicted(fit), findings.by_length(fit)),
        "agency": agent_steps.agency(modes, findings.by_agency(modes)),
        "compute": agent_steps.compute(ways, findings.by_compute(ways)),
        "pairs": agent.differences(
            tables["routers"].assign(difference=0.0, low=-0.1, high=0.1, n=9),
            "pair",
            findings.by_pairs(tables["routers"]),
        ),
    }  # fmt: skip
    for name, picture in drawn.items():
        picture.savefig(tmp_path / f"{name}.svg")
        assert (tmp_path / f"{name}.svg").stat().st_size > 4_000 and picture.get_suptitle()


def test_the_way_of_the_goal_is_right_by_its_own_measure():
    tasks = arms.tasks("test", 10)
    goal = teacher.goal_steps(tasks)
    by_id = {task.task_id: task for task in tasks}
    assert all(forced.right(gold, gold, by_id[ask.state.task_id]) for ask, gold in goal)
    kinds = {forced.kind_of(ask, gold, by_id[ask.state.task_id]) for ask, gold in goal}
    assert kinds <= set(forced.KINDS) and len(kinds) >= 3


def test_horizons_find_p_and_the_term():
    rng = np.random.default_rng(0)
    n = rng.integers(1, 13, 3_000)
    for p, term in ((0.95, 0.0), (0.97, -0.02)):
        reward = (rng.random(len(n)) < p**n * np.exp(term * n * (n - 1) / 2)).astype(float)
        fit = horizons.fitted(pd.DataFrame({"arm": "a", "n_calls": n, "reward": reward}), ["a"], 40).iloc[0]
        assert fit["p"] == pytest.approx(p, abs=0.02) and fit["low"] - 0.005 <= term <= fit["high"] + 0.005
    assert [horizons.bin_of(k) for k in (1, 2, 7, 8, 40)] == ["1", "2-3", "4-7", "8-12", "8-12"]


def test_common_subsequence():
    assert recovery.common("abcd", "abcd") == 4 and recovery.common("abcd", "dcba") == 1
    assert recovery.common("abc", "xaybzc") == 3 and recovery.common("abc", "") == 0


def test_prices_are_those_of_the_list_and_cached_tokens_cost_a_tenth():
    from slmkit.records import Usage

    price = arms.prices({"a": "llama-3.1-8b"})
    usd_in, usd_out = price.rates["a"]
    assert price("a", Usage(prompt=1_000_000)) == pytest.approx(usd_in) and "list price" in price.priced_at
    assert price("a", Usage(prompt=1_000_000, cached=1_000_000, completion=1_000_000)) == pytest.approx(
        0.1 * usd_in + usd_out
    )
    assert price("b", Usage(prompt=1)) is None
    with pytest.raises(InputError):
        arms.prices({"a": "no-such-model"})


def test_adapters_of_this_batch_come_first(tmp_path):
    assert arms.reference("mini-1m", "no such subject", tmp_path) == "mini-1m"
    folder = tmp_path / "03" / "adapters" / "mini-1m-both"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    assert arms.reference("mini-1m", "both", tmp_path) == f"mini-1m+{folder}"
    assert arms.label(f"mini-1m+{folder}") == "mini-1m+both" and arms.label("mini-1m") == "mini-1m"
    with pytest.raises(InputError, match="name two models"):
        lab.Lab(Run(tmp_path, llm="mini-1m"))


def test_counts_of_a_trace():
    def said(role, content="", calls=None, **more):
        return {"role": role, "content": content, "tool_calls": calls, **more}

    look = [{"name": "get_order_details", "arguments": {"order_id": "#W1"}}]
    messages = [
        said("user", "Where is #W1?"), said("assistant", calls=look), said("tool", "Error: down", error=True),
        said("assistant", calls=look), said("tool", '{"item": "I77"}'),
        said("assistant", calls=[{"name": GIVE_BACK, "arguments": {"order_id": "#W1", "item": "I77"}}]),
        said("assistant", calls=[{"name": GIVE_BACK, "arguments": {"order_id": "#W9"}}]),
    ]  # fmt: skip
    found = traces.counted(messages, "", {})
    assert found == {"calls": 4, "ungrounded": 1, "repeats": 1, "errors": 1, "irreversible": 2, "any_rule": 2}


@pytest.mark.data
def test_real_traces_load_and_the_grounding_signal_is_above_chance():
    runs = traces.runs()
    assert set(runs["agent"]) == set(traces.AGENTS.values()) and len(runs) > 150
    table = traces.predictors(runs, 200).set_index(["agent", "signal"])
    assert table.loc[("all agents", "ungrounded"), "low"] > 0.5
    assert table["estimate"].dropna().between(0, 1).all()
    assert bfcl_v1.says(bfcl_v1.PAIRS[0]) == "xLAM-7b-fc-r / claude-3-5-sonnet"
