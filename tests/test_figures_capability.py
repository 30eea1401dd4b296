from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from slmkit import figures, stats
from slmkit.capability import audit, findings, outcomes, published, trends
from slmkit.capability.scoring import ERRORS
from slmkit.figures import capability, marks
from slmkit.figures import published as drawn

FAST = {"n_resamples": 50}
TASKS = [("own", "seen tools"), ("own", "no call"), ("bfcl", "simple_python"), ("when2call", "all")]
MODELS = {"mini-2m": "slm", "mini-8m": "llm"}


@pytest.fixture(autouse=True, scope="module")
def style():
    figures.use_style()


def words(figure: Figure) -> list[str]:
    """Everything written in the figure."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def check(figure: Figure, *expected: str) -> list[str]:
    """The figure can be written, carries its title, and says what is expected of it."""
    assert figure.get_suptitle() == "The finding"
    figure.draw_without_rendering()
    said = words(figure)
    assert all(any(part in word for word in said) for part in expected), (expected, said)
    return said


def scores() -> pd.DataFrame:
    rows = []
    for place, (suite, category) in enumerate(TASKS):
        for shift, model in enumerate(MODELS):
            k = 50 - 14 * place + 3 * shift
            low, high = stats.wilson(k, 60)
            rows.append({"model": model, "suite": suite, "category": category, "n": 60})
            rows[-1] |= {"estimate": k / 60, "low": low, "high": high}
    return pd.DataFrame(rows)


def test_dot_interval_by_task_draws_an_interval_for_each_score_and_names_models_directly():
    figure = capability.dot_interval_by_task(
        scores(), "The finding", "60 items", MODELS, references={"never calls": 0.1}
    )
    check(figure, "own / seen tools", "when2call / all", "mini-2m", "mini-8m", "never calls", "60 items")
    axes = figure.axes[0]
    lines = [line for box in axes.containers for line in box.lines[2][0].get_segments()]
    table = scores()
    assert sorted(line[0][0] for line in lines) == pytest.approx(sorted(table.low))
    assert sorted(line[1][0] for line in lines) == pytest.approx(sorted(table.high))
    assert axes.get_legend() is None and not figure.legends


def test_a_task_that_one_model_was_not_asked_is_left_blank():
    check(capability.dot_interval_by_task(scores().iloc[:-1], "The finding"), "when2call / all")


def test_paired_difference_panel_says_verdict_and_items_that_would_settle_it():
    rows = [
        {"suite": "own", "category": verdict, "n": 60, "difference": d, "low": d - 0.04, "high": d + 0.04}
        | {"verdict": verdict, "n_to_settle": 310 if verdict == "inconclusive" else 60}
        for verdict, d in (("non-inferior", 0.02), ("inconclusive", -0.04), ("inferior", -0.2))
    ]
    said = check(capability.paired_difference_panel(pd.DataFrame(rows), "The finding"), "allowed loss, 5 points")
    assert "inconclusive, n = 60; 310 would settle it" in said and "inferior, n = 60" in said


def test_error_anatomy_fills_each_bar_and_tells_kinds_apart_without_colour():
    rng = np.random.default_rng(1)
    kinds = ("right", *ERRORS, "failed")
    rows = [
        {"model": model, "outcome": kind, "share": share}
        for model in MODELS
        for kind, share in zip(kinds, rng.dirichlet(np.ones(len(kinds))), strict=True)
    ]
    figure = capability.error_anatomy(pd.DataFrame(rows), "The finding")
    figure.savefig(io.BytesIO(), format="svg")
    check(figure, "wrong argument value", "needless call", "failed")
    bars = figure.axes[0].containers
    assert bars[0].get_label() == "right" and len(bars) == len(kinds)
    assert sum(bar[0].get_width() for bar in bars) == pytest.approx(1)
    assert len({bar[0].get_hatch() for bar in bars}) == len(kinds)


def test_latency_and_throughput_marks_the_grammar_and_uses_plain_ticks():
    rows = [
        {
            "model": model,
            "constrained": form,
            "latency_p50_s": p50,
            "latency_p95_s": 2 * p50,
            "tokens_per_s": rate,
        }
        for model, form, p50, rate in (("mini-2m", False, 0.2, 400), ("mini-2m", True, 0.3, 300))
    ]
    said = check(
        capability.latency_and_throughput(pd.DataFrame(rows), "The finding"),
        "mini-2m, grammar",
        "0.2 to 0.4 s",
    )
    assert "400" in said and not any("10^" in word for word in said)


@pytest.mark.data
def test_figures_of_item_outcomes():
    table = outcomes.load()
    figure = capability.undecodable(outcomes.undecodable(table).head(12), "The finding")
    check(figure, "xLAM-7b-fc-r", "small, tuned for tools", "0.4%")
    parts = [
        outcomes.what_the_large_adds(table, small, "claude-3-5-sonnet-20240620")
        for small in ("Salesforce_xLAM-7b-fc-r", "meta-llama_Meta-Llama-3-8B-Instruct")
    ]
    check(capability.what_the_large_adds(pd.concat(parts), "The finding"), "xLAM-7b-fc-r", "5.4% [4.0%, 7.1%]")
    table = table.loc[["simple", "relevance"]]
    by = outcomes.what_the_large_adds(table, "Salesforce_xLAM-7b-fc-r", "gpt-4-0613", by="category")
    check(capability.what_the_large_adds(by, "The finding"), "relevance", "simple")

    names = ["Salesforce_xLAM-7b-fc-r", "gpt-4-0613", "claude-3-5-sonnet-20240620"]
    pairs = outcomes.agreement(table, names)
    check(capability.agreement(pairs, "The finding"), "xLAM-7b-fc-r", f"{pairs.kappa.iloc[0]:.2f}")
    title = findings.by_agreement(pairs, outcomes.models())
    both_large = pairs[(pairs.a == names[1]) & (pairs.b == names[2])].kappa.iloc[0]
    assert f"large {both_large:.2f}" in title and f"tuned small {pairs.kappa.iloc[:2].median():.2f}" in title


def test_the_ladder_counts_the_steps_up_and_names_each_family(facts):
    steps = published.ladders(facts)
    said = check(drawn.family_ladder(steps, "The finding"), "Llama 3.1", "Qwen3")
    qwen = steps.rise[steps.line == "Qwen3"]
    assert f"{(qwen > 0).mean():.0%} of {len(qwen)} up, median {qwen.median():+.1f}" in said
    assert f"{(steps.rise > 0).mean():.0%} of {len(steps)}" in findings.by_ladder(steps)


@pytest.fixture(scope="module")
def facts() -> pd.DataFrame:
    return published.load()


def test_figures_of_published_scores(facts):
    board = published.board(facts)
    by_size = published.capability_by_size(facts, "BFCL V4 overall")
    check(drawn.capability_against_size(by_size, "The finding", names=["Kimi-K2"]), "Kimi-K2", "GLM-4.6")
    by_date = published.capability_by_size(facts, "BFCL V4 multi-turn", x="released")
    said = check(drawn.capability_against_size(by_date, "The finding", x="released"), "xLAM-2-70b-fc-r")
    assert any(word.startswith("2025-0") for word in said)
    check(drawn.slopes_by_skill(trends.slopes_by_skill(board, **FAST), "The finding"), "web search", "reference")
    ranks = trends.rank_correlations(facts, board, ("GPQA", "single-turn"), ("memory",), **FAST)
    check(drawn.rank_correlation(ranks, "The finding"), "GPQA with memory", "n = 20, mixed harnesses", "n = 50")
    check(drawn.gaps(published.gaps(facts, "code", **FAST), "The finding"), "all", "one table", "14 tables")
    best = drawn.gaps(trends.best_gaps(board, **FAST), "The finding", label="column")
    check(best, "-57.5  Command-R7B against Claude-Opus-4.5")
    check(
        drawn.format_sensitivity(published.format_sensitivity(facts), "The finding"),
        "ToolACE-2-8B, 8 bn",
        "81.5",
    )


def test_figures_of_the_audit(facts):
    table = audit.citation_audit(facts)
    said = check(drawn.citation_audit(table, "The finding"), "Phi-2  A1.1", "2 of 4", "3.5, source: 3.48")
    assert "15, source: none" in said
    check(drawn.claimed_parity(table.head(24), "The finding"), "-13.7  mismatch", "-13.1  mismatch, two tables")


def test_names_never_cover_each_other_or_a_point():
    _, (axes,) = figures.canvas("The finding")
    rng = np.random.default_rng(0)
    points = [(x, y, f"model {i}") for i, (x, y) in enumerate(rng.random((40, 2)))]
    axes.plot([x for x, _, _ in points], [y for _, y, _ in points], "o")
    marks.name_points(axes, points)
    boxes = [text.get_window_extent() for text in axes.texts]
    assert 5 < len(boxes) < 40
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    pixels = axes.transData.transform([(x, y) for x, y, _ in points])
    assert not any(box.contains(*pixel) for box in boxes for pixel in pixels)


def test_looks_follow_roles_and_stay_distinct_without_them():
    assert marks.looks(["a", "b"], {"b": "llm"})["b"] == figures.ROLES["llm"]
    found = marks.looks(["a", "b", "c"])
    assert len({look.colour for look in found.values()}) == len({look.marker for look in found.values()}) == 3
