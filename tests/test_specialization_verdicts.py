"""Every rule of notebook 03, on made-up tables that must come out each way."""

from __future__ import annotations

import numpy as np
import pytest
import specialization_tables as made

from slmkit import claims
from slmkit.specialization import verdicts
from slmkit.specialization.studies import generality, ways
from slmkit.specialization.verdicts import designs, evidence, gains, money, operation

OWNED = claims.owned_by("03_specialization")


def run(**other) -> verdicts.Evidence:
    """The evidence of a run in which everything worked, with some tables replaced."""
    return verdicts.Evidence(OWNED, made.tables(**other), made.BASE, made.LLM, 0.25, n_bootstrap=200)


def test_every_claim_has_its_rule_and_passes_the_ledger():
    judged = {verdict.claim_id: verdict for verdict in verdicts.judge(run())}
    assert list(judged) == [claim.id for claim in OWNED] and set(verdicts.RULES) == set(judged)
    for claim in OWNED:
        verdict = judged[claim.id].model_copy(update={"notebook": "03_specialization"})
        claims.check_verdict(verdict)
        assert verdict.threshold == claim.threshold and verdict.rule
        assert (verdict.condition != "") == (verdict.outcome == "conditional")


@pytest.mark.parametrize(
    "tables, outcome",
    [
        ({"generality": made.wide(outside=0.1)}, "holds"),
        ({"generality": made.wide(outside=0.01, base=0.3)}, "conditional"),
        ({"ladder": made.ladder(tuned=0.12)}, "fails"),
        ({"ladder": made.ladder(tuned=0.2)}, "inconclusive"),
        ({"ladder": made.ladder(seeds=1)}, "inconclusive"),
        ({"ladder": made.ladder(n=50)}, "inconclusive"),
    ],
)
def test_tuning_lifts(tables, outcome):
    assert gains.tuning_lifts(run(**tables)).outcome == outcome


@pytest.mark.parametrize(
    "before, after, n, outcome",
    [
        ((0.1, 0.5), (0.95, 0.95), 1_000, "holds"),
        ((0.1, 0.6), (0.7, 0.9), 1_000, "conditional"),
        ((0.1, 0.2), (0.5, 0.8), 1_000, "fails"),
        ((0.1, 0.5), (0.95, 0.95), 50, "inconclusive"),
    ],
)
def test_size_effect(before, after, n, outcome):
    assert gains.size_effect_shrinks(run(sizes=made.two(before, after, n))).outcome == outcome


@pytest.mark.parametrize(
    "right, seeds, outcome",
    [
        ({50: 0.1, 200: 0.6, 1_000: 0.9}, 3, "fails"),
        ({50: 0.1, 1_000: 0.1, 2_000: 0.1, 5_000: 0.6}, 3, "conditional"),
        ({50: 0.1, 1_000: 0.1, 5_000: 0.1}, 3, "holds"),
        ({50: 0.1, 200: 0.6}, 1, "inconclusive"),
        ({50: 0.6, 200: 0.1}, 3, "inconclusive"),  # level once, and not any more with more examples
    ],
)
def test_how_many_examples(right, seeds, outcome):
    found = gains.how_many_examples(run(curve=made.curve(right, seeds)))
    assert found.outcome == outcome and found.interval[0] <= found.estimate <= found.interval[1]


@pytest.mark.parametrize(
    "lora, full, by_rank, outcome",
    [
        (0.6, 0.6, {2: 0.2}, "holds"),
        (0.4, 0.6, {2: 0.2, 64: 0.6}, "conditional"),
        (0.4, 0.6, {2: 0.2, 64: 0.4}, "fails"),
    ],
)
def test_lora_against_full(lora, full, by_rank, outcome):
    table = made.trained(dict.fromkeys(made.METHODS, lora) | {ways.FULL: full})
    found = gains.lora_against_full(run(ways=table, ranks=made.ranks(by_rank, 0.6)))
    assert found.outcome == outcome and "old skills" in found.rule


def test_methods():
    every = dict.fromkeys(made.METHODS, 0.6)
    assert gains.methods_work(run(ways=made.trained(every))).outcome == "holds"
    some = gains.methods_work(run(ways=made.trained(every | {ways.DISTILLED: 0.1, ways.CURRICULUM: 0.9})))
    assert some.outcome == "conditional" and f"more than supervised tuning: {ways.CURRICULUM}" in some.condition
    del every[ways.PREFERENCE]
    fewer = gains.methods_work(run(ways=made.trained(every)))
    assert fewer.outcome == "conditional" and ways.PREFERENCE in fewer.condition
    assert gains.methods_work(run(ways=made.trained(dict.fromkeys(made.METHODS, 0.1)))).outcome == "fails"


@pytest.mark.parametrize(
    "inside, outside, outcome",
    [
        ((0.0, 0.2), (0.0, 0.2), "holds"),
        ((0.0, 0.2), (0.5, 0.2), "conditional"),
        ((0.4, 0.2), (0.5, 0.2), "fails"),
        ((0.2, 0.2), (0.2, 0.2), "inconclusive"),
    ],
)
def test_format_errors(inside, outside, outcome):
    tables = {"ladder": made.ladder(broken=inside), "generality": made.wide(broken=outside)}
    found = operation.fewer_format_errors(run(**tables))
    assert found.outcome == outcome and "removes the gap" in found.rule


def test_published_shares_are_named_where_they_are_at_hand():
    real = made.pd.DataFrame({"model": ["gpt-4-0613", "another"], "estimate": [0.013, 0.5]})
    found = operation.fewer_format_errors(run(undecodable=real))
    assert "gpt-4-0613 1.3%" in found.rule and "another" not in found.rule
    assert list(found.evidence_from) == ["01_capability"]


@pytest.mark.parametrize(
    "table, outcome",
    [
        (made.changed(), "holds"),
        (made.changed(prompt=(0.3, 0.3)), "conditional"),
        (made.changed(new=0.3, prompt=(0.3, 0.3)), "fails"),
        (made.changed(seconds=700), "inconclusive"),
        (made.changed(new=0.5), "inconclusive"),
    ],
)
def test_change(table, outcome):
    assert operation.adapts_faster(run(change=table)).outcome == outcome


def test_operation():
    assert operation.fits_operation(run()).outcome == "holds"
    slow = operation.fits_operation(run(serving=made.serving(0.3, 0.1)))
    assert slow.outcome == "conditional" and "not shown in latency" in slow.condition
    worst = {
        "serving": made.serving(0.3, 0.1).assign(weight_bytes=1e7),
        "ladder": made.ladder(broken=(0.4, 0.2)),
        "change": made.changed(new=0.2),
    }
    assert operation.fits_operation(run(**worst)).outcome == "fails"
    alike = {**worst, "serving": made.serving(0.3, 0.1), "ladder": made.ladder(broken=(0.2, 0.2))}
    undecided = operation.fits_operation(run(**alike))
    assert undecided.outcome == "inconclusive" and "in memory, undecided in format errors:" in undecided.rule


def test_overnight():
    found = money.overnight(run())
    assert found.outcome == "holds" and "contrast is not shown" in found.rule
    assert 1.5 < found.interval[1] < 2.2  # 4 x 8e9 x 1.024e7 FLOP at 5 % of 989e12, in hours
    assert money.overnight(run(projection=made.projection(peak=989e11))).outcome == "conditional"
    assert money.overnight(run(projection=made.projection(peak=989e8))).outcome == "fails"


@pytest.mark.parametrize(
    "seconds, n, usd, outcome",
    [(100, 200, (2, 3, 4), "conditional"), (300, 200, (2, 3, 4), "inconclusive"), (2_000, 200, (2, 3, 4), "fails"),
     (100, 50, (2, 3, 4), "inconclusive"), (100, 200, (1e5, 2e5, 3e5), "fails")],
)  # fmt: skip
def test_rounds(seconds, n, usd, outcome):
    tables = {"trainings": made.trainings(seconds, n), "projection": made.projection(usd)}
    found = money.short_rounds(run(**tables))
    assert found.outcome == outcome
    assert outcome != "conditional" or "without labels" in found.condition


def test_rounds_with_free_labels_hold():
    cheap = made.projection().assign(labels_usd=0.0, labels_usd_low=0.0, labels_usd_high=0.0)
    assert money.short_rounds(run(projection=cheap)).outcome == "holds"


def test_social_claim_is_not_tested_but_priced():
    found = money.lower_entry(run())
    assert found.outcome == "not_testable" and "USD" in found.rule


@pytest.mark.parametrize(
    "tuned, llm, format_loss, outcome",
    [
        ([0.8] * 8, [0.3, 0.0, 0.9, 0.3, 0.6, 0.3, 0.0, 0.3], False, "holds"),
        ([0.8] * 8, [0.3, 0.0, 0.9, 0.3, 0.6, 0.3, 0.0, 0.3], True, "conditional"),
        ([0.8, 0.0, 0.9, 0.1, 0.8, 0.2, 0.0, 0.9], [0.3] * 8, False, "fails"),
        ([0.8] * 3, [0.3, 0.0, 0.9], False, "inconclusive"),
    ],
)
def test_prompts(tuned, llm, format_loss, outcome):
    wide = made.wide(inside=0.8, outside=0.1 if format_loss else 0.8, base=0.1)
    found = operation.steadier_over_prompts(run(forms=made.forms(tuned, llm), generality=wide))
    assert found.outcome == outcome


def test_nothing_from_scratch_is_not_testable_and_names_what_is_published():
    judged = {verdict.claim_id: verdict for verdict in verdicts.judge(run())}
    for claim, words in (("A8", "Hymba"), ("S0-14", "Hymba"), ("S0-15", "xLAM-7b")):
        assert judged[claim].outcome == "not_testable" and words in judged[claim].rule and "full" in judged[claim].rule


def test_designs():
    def by(small: float, plain: float, large: float, early: float = 0.5):
        def right(design, size, data, steps):
            if data != "both":
                return 0.1
            if size != designs.scratch.SMALL:
                return large
            return plain if design == "Llama" else (early if steps == 500 else small)

        return run(scratch=made.from_scratch(right))

    assert designs.design_counts(by(0.8, 0.2, 0.9)).outcome == "holds"
    assert designs.design_counts(by(0.2, 0.2, 0.9)).outcome == "conditional"
    assert designs.design_counts(by(0.2, 0.2, 0.9, early=0.2)).outcome == "fails"
    assert designs.design_against_size(by(0.8, 0.2, 0.9)).outcome in ("holds", "conditional")
    assert designs.design_against_size(by(0.5, 0.4, 0.9)).outcome == "fails"
    assert designs.design_against_size(by(0.8, 0.1, 0.85, early=0.11)).outcome == "conditional"
    assert designs.data_needed(by(0.8, 0.2, 0.9)).outcome == "holds"
    same = run(scratch=made.from_scratch(lambda *which: 0.5))
    assert designs.data_needed(same).outcome == "fails"
    one = run(scratch=made.from_scratch(lambda d, s, data, n: 0.1 if data == "no tool calls" else 0.5))
    assert designs.data_needed(one).outcome == "conditional"


def test_difference_of_independent_shares():
    found = evidence.apart(made.items("a", 0.56, n_items=70), made.items("b", 0.6, n_items=80))
    # Newcombe's hybrid score interval, checked against 56/70 - 48/80 of his paper below.
    paper = evidence.apart(made.items("a", 0.8, n_items=70), made.items("b", 0.6, n_items=80))
    assert found.low < found.difference < found.high
    assert paper.difference == pytest.approx(0.2)
    assert (paper.low, paper.high) == pytest.approx((0.0524, 0.3339), abs=2e-4)


def test_several_tests_are_held_to_more():
    def one(middle: float, half: float):
        return evidence.stats.PairedDifference(100, middle, middle - half, middle + half, None, None, None, None)

    border = one(0.10, 0.0999)
    assert evidence.above({"a": border}) == {"a": True}
    assert not any(evidence.above({"a": border, "b": one(0, 0.1), "c": one(0, 0.1)}).values())
    assert evidence.below({"a": one(-0.2, 0.1)}) == {"a": True} and evidence.below({"a": one(0.2, 0.1)}) == {"a": False}


def test_headline_numbers():
    found = verdicts.headline(made.tables(), made.BASE, made.LLM, 0.25)
    assert found["base_percent"] == 10 and found["llm_percent"] == 30 and found["adapter_mb"] == 0.9
    assert found["drift_points"] == pytest.approx(0) and found["training_s"] == 100
    worse = verdicts.headline(made.tables(generality=made.wide(kept=0.5)), made.BASE, made.LLM, 0.25)
    assert worse["drift_points"] == pytest.approx(-30)
    assert (
        set(made.tables()["generality"]["set"]) >= set(generality.GENERAL) and np.isfinite(list(found.values())).all()
    )
