"""Trade-offs from stored outcomes, and routers that read the text: known answers, ties, gaps, the committed figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmkit.agent.decision import Ask, State
from slmkit.agent.routing import router, tradeoff
from slmkit.agent.studies import bfcl_v1, routellm
from slmkit.errors import InputError


def rows(score, small, large):
    return tradeoff.columns(score, small, large)


def at_share(rows, share):
    return tradeoff.curve(rows, "any", [share])["quality"].item()


def test_known_answers():
    # Four items; the large model alone solves the first two, and the score knows it.
    perfect = rows([4, 3, 2, 1], [0, 0, 1, 1], [1, 1, 1, 1])
    assert at_share(perfect, 0.5) == 1.0 and at_share(perfect, 0.25) == 0.75
    assert tradeoff.apgr(perfect) == pytest.approx(0.75)
    assert tradeoff.cpt(0.5)(perfect) == 0.25 and tradeoff.cpt(0.8)(perfect) == pytest.approx(0.4)
    worst = rows([1, 2, 3, 4], [0, 0, 1, 1], [1, 1, 1, 1])
    assert tradeoff.apgr(worst) == pytest.approx(0.25) and tradeoff.cpt(0.5)(worst) == 0.75


def test_equal_scores_are_mixed_by_chance():
    flat = rows([1] * 10, [0] * 5 + [1] * 5, [1] * 10)
    assert tradeoff.apgr(flat) == pytest.approx(0.5)
    assert at_share(flat, 0.3) == pytest.approx(0.65)


def test_without_a_gap_there_is_nothing_to_recover():
    assert np.isnan(tradeoff.apgr(rows([1, 2], [1, 0], [0, 1])))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), min_size=2, max_size=40))
def test_ends_and_oracle_bound(items):
    score, small, large = (np.array(column, float) for column in zip(*items, strict=True))
    found, best = rows(score, small, large), rows(tradeoff.oracle(small, large), small, large)
    assert at_share(found, 0) == pytest.approx(small.mean())
    assert at_share(found, 1) == pytest.approx(large.mean())
    for share in (0.1, 0.5, 0.9):
        assert at_share(found, share) <= at_share(best, share) + 1e-9


def test_the_highest_threshold_that_keeps_the_quality():
    found = rows([4, 3, 2, 1], [0, 0, 1, 1], [1, 1, 1, 1])
    assert tradeoff.highest(found, 1.0) == 3 and tradeoff.highest(found, 0.75) == 4
    assert tradeoff.highest(found, 0.5) == np.inf and tradeoff.highest(found, 1.1) == -np.inf


def test_lengths_must_agree():
    with pytest.raises(InputError, match="2, 1 and 2"):
        tradeoff.columns([1, 2], [1], [1, 2])


def texts(n, seed=0):
    rng = np.random.default_rng(seed)
    hard = rng.random(n) < 0.5
    words = [f"{'integrate the function' if h else 'say hello'} number {i % 7}" for i, h in enumerate(hard)]
    return words, ~hard | (rng.random(n) < 0.1), np.ones(n, bool)


def test_a_text_router_learns_what_words_tell():
    words, small, large = texts(200)
    score = router.crossfit(words, small, large)
    assert tradeoff.apgr(rows(score, small, large)) > 0.7
    assert router.crossfit(words, large, large).std() == 0, "no gap, nothing to tell apart"


class Answering:
    def __init__(self, ref):
        self.ref = self.fingerprint = ref
        self.notes = {}

    def chat_many(self, requests, **options):
        from slmkit.records import Reply

        return [Reply(content=self.ref) for _ in requests]


def test_a_router_before_the_call_keeps_a_task_with_one_model():
    words, small, large = texts(200)
    learnt = router.TextRouter().fit(words, small, large)
    pre = router.PreCall(Answering("small"), Answering("large"), learnt, 0.4)
    asks = []
    for text in ("integrate the function number 3", "say hello number 3"):
        first = {"role": "user", "content": text}
        asks += [Ask([first], [], State("t", history=(first,))),
                 Ask([first], [], State("t", history=(first, {"role": "user", "content": "and then?"})))]  # fmt: skip
    assert [decision.answered_by for decision in pre.decide_many(asks)] == ["large", "large", "small", "small"]


def test_published_figures_are_shares_and_better_than_chance():
    table = routellm.published()
    assert table[["cpt50", "cpt80"]].le(1).all(axis=None) and set(table["set"]) == {"mmlu", "gsm8k"}
    # The paper's table of savings is the ratio of random to the best router: 1.41 and 1.49 at half of the gap.
    for name, ratio in (("mmlu", 1.41), ("gsm8k", 1.49)):
        rows_ = table[table["set"] == name].set_index("who")["cpt50"]
        assert rows_["random"] / rows_.min() == pytest.approx(ratio, abs=0.01)


def pair_table(n=400, seed=0):
    rng = np.random.default_rng(seed)
    category = rng.choice(["easy", "hard"], n)
    small = pd.Series(np.where(category == "easy", rng.random(n) < 0.99, rng.random(n) < 0.2))
    large = pd.Series(rng.random(n) < 0.9)
    return pd.DataFrame({"pair": "a / b", "tuned": True, "category": category, "cell": category, "small": small,
                         "large": large, "half": rng.permutation(n) % 2})  # fmt: skip


def test_a_pair_with_an_easy_category_is_routed_by_it():
    found = bfcl_v1.pairs(pair_table(), 0.1, 0.02, 200).set_index("who")
    assert found.loc["learned", "share"] == pytest.approx(0.5, abs=0.1)
    assert found.loc["learned", "random_low"] > 0 and found.loc["by category", "cost_high"] < 0.7
    assert found.loc["learned", "cost_ratio"] == pytest.approx(0.1 + found.loc["learned", "share"])


@pytest.mark.data
def test_the_oracle_shares_are_those_of_the_evidence_page():
    # Counted over all 1,700 items there: xLAM-7b 5.1 %, xLAM-1b 14.4 %, untuned Llama-3-8B against 70B 27.9 %.
    needed = bfcl_v1.needed(bfcl_v1.scored(bfcl_v1.load())).set_index("pair")["estimate"]
    assert needed["xLAM-7b-fc-r / claude-3-5-sonnet"] == pytest.approx(0.051, abs=0.02)
    assert needed["xLAM-1b-fc-r / claude-3-5-sonnet"] == pytest.approx(0.144, abs=0.03)
    assert needed["Llama-3-8B / Llama-3-70B"] == pytest.approx(0.279, abs=0.04)


@pytest.mark.data
def test_routellm_sets_load_and_score():
    items = routellm.load(limit=120)
    assert set(items["set"]) == {"mmlu", "gsm8k"} and len(items) == 240
    scored = routellm.scored(items)
    table = routellm.metrics(scored, 50)
    assert {"text router", "random", "oracle"} <= set(table["who"]) and table["published"].any()
    assert routellm.curves(scored).groupby(["set", "who"]).size().eq(21).all()
    only_large = items["large"] & ~items["small"]
    assert only_large.groupby(items["set"]).mean().between(0.05, 0.5).all()
