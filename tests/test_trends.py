from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from slmkit.capability import published, trends
from slmkit.errors import InputError

FAST = {"n_resamples": 200, "rng": 1}


@pytest.fixture(scope="module")
def facts() -> pd.DataFrame:
    return published.load()


@pytest.fixture(scope="module")
def board(facts) -> pd.DataFrame:
    return published.board(facts)


def made_board(n: int = 40, seed: int = 0) -> pd.DataFrame:
    """Known slopes: 10 points a tenfold size in each column but web search (25) and irrelevance (0)."""
    rng = np.random.default_rng(seed)
    size = 10 ** np.linspace(-0.3, 2.5, n)
    slope = dict.fromkeys(("single-turn", *published.COLUMNS), 10.0) | {
        "web search": 25.0,
        "irrelevance": 0.0,
    }
    table = pd.DataFrame({name: 30 + s * np.log10(size) + rng.normal(0, 2, n) for name, s in slope.items()})
    return table.assign(
        model=[f"m{i}" for i in range(n)],
        params_b=size,
        specialist=False,
        size=np.select([size < 10, size >= 30], ["small", "large"], "between"),
        overall=table.mean(axis=1),
    )


def test_slopes_by_skill_find_the_slopes_that_are_there():
    table = trends.slopes_by_skill(made_board(), **FAST).set_index("skill")
    assert table.estimate["web search"] == pytest.approx(25, abs=2)
    assert (table.low < table.estimate).all() and (table.estimate < table.high).all()
    assert table.p_holm["web search"] < 0.001 and table.p_holm["irrelevance"] < 0.001
    assert table.p_holm["memory"] > 0.05 and np.isnan(table.p_holm["single-turn"])
    assert table.steeper["web search"] == pytest.approx(table.estimate["web search"] - table.estimate["single-turn"])


def test_slopes_leave_specialists_and_models_of_unknown_size_out(board):
    table = trends.slopes_by_skill(board, **FAST).set_index("skill")
    assert (table.n == 26).all()
    known = {
        "web search": 18.7,
        "multi-turn": 12.7,
        "live AST": 12.1,
        "non-live AST": 10.1,
        "irrelevance": 3.9,
    }
    for skill, value in known.items():
        assert table.estimate[skill] == pytest.approx(value, abs=0.06)


def panel(date_slope: float, seed: int = 0) -> pd.DataFrame:
    """Rows of six tables, each of its own level, with 8 points a tenfold size and so many a year."""
    rng = np.random.default_rng(seed)
    model = pd.DataFrame({"params_b": 10 ** rng.uniform(-0.3, 2, 40), "released": rng.uniform(2023, 2026, 40)})
    model["model"] = [f"m{i}" for i in range(40)]
    tables = [model.sample(12, random_state=t).assign(table=t, level=10.0 * t) for t in range(6)]
    rows = pd.concat(tables, ignore_index=True)
    score = rows.level + 8 * np.log10(rows.params_b) + date_slope * (rows.released - 2023) + rng.normal(0, 1, len(rows))
    return rows.assign(score=score, unit="%", benchmark="MMLU")


def test_size_and_date_are_told_apart_and_tables_keep_their_level():
    table = trends.size_and_date(panel(4), **FAST).set_index("term")
    assert table.estimate["size"] == pytest.approx(8, abs=0.7)
    assert table.estimate["date"] == pytest.approx(4, abs=0.5)
    assert table.estimate["years"] == pytest.approx(2, abs=0.4)
    assert table.low["date"] < 4 < table.high["date"] and (table.n_tables == 6).all()


def test_no_gain_with_date_means_never_in_years():
    table = trends.size_and_date(panel(-1), **FAST).set_index("term")
    assert table.high["date"] < 0 and np.isinf(table.estimate["years"])


def test_rank_correlation_agrees_with_scipy_and_flags_mixed_harnesses(facts, board):
    from scipy.stats import spearmanr

    table = trends.rank_correlations(facts, board, ("GPQA", "single-turn"), ("overall", "memory"), **FAST)
    assert table.mixed_harness.tolist() == [True, True, False, False]
    inside = table[table.general == "single-turn"].set_index("agentic").loc["memory"]
    assert inside.estimate == pytest.approx(spearmanr(board["single-turn"], board.memory).statistic)
    assert inside.n == 50 and inside.n_small == 25
    assert ((table.low <= table.estimate) & (table.estimate <= table.high)).all()


def test_shift_is_positive_when_small_models_rise(facts):
    made = made_board()
    made["overall"] = -np.log10(made.params_b)
    table = trends.rank_correlations(facts, made, ("single-turn",), ("overall",), **FAST)
    assert table.estimate.item() < -0.9 and table.shift_low.item() > 10


def test_best_gaps_and_share_within_agree(board):
    table = trends.best_gaps(board, **FAST)
    share = trends.share_within(board, margin=5, **FAST)
    assert share.estimate == pytest.approx((table.estimate >= -5).mean()) and share.low <= share.estimate <= share.high
    assert (table.estimate == table.score_small - table.score_large).all()
    web = table.set_index("column").loc["web search"]
    assert (web.small, web.large, web.estimate) == (
        "Command-R7B",
        "Claude-Opus-4.5",
        pytest.approx(27.0 - 84.5),
    )


def test_best_gaps_take_masks(board):
    small, large = board["size"].eq("small") & board.specialist, board["size"].eq("large") & ~board.specialist
    table = trends.best_gaps(board, ("multi-turn",), small, large, **FAST).iloc[0]
    assert (table.small, table.large) == ("xLAM-2-8b-fc-r", "Claude-Opus-4.5")
    with pytest.raises(InputError, match="empty"):
        trends.best_gaps(board, ("multi-turn",), small & large, large)


def test_median_gap_and_near_large_on_a_board_worked_by_hand():
    rows = pd.DataFrame(
        {
            "size": ["small"] * 4 + ["large"] * 3,
            "single-turn": [10.0, 20, 30, 60, 50, 60, 70],
            "irrelevance": 50.0,
        }
    )
    gap = trends.median_gap(rows, "single-turn", rows["size"] == "small", rows["size"] == "large", **FAST)
    assert gap.estimate == 25 - 60 and gap.low <= gap.estimate <= gap.high
    near = trends.near_large(rows, ["single-turn", "irrelevance"])
    assert near.estimate == 1 / 4 and near.n == 4


def test_regret_is_what_the_overall_leader_loses_at_each_job(board):
    small = board[board["size"] == "small"].reset_index(drop=True)
    table = trends.regret(small, **FAST)
    assert table.estimate.iloc[0] == pytest.approx(table.estimate.iloc[1:].mean())
    assert (table.estimate >= 0).all() and (table.chosen == "Nanbeige4-3B-Thinking").all()
    assert trends.regret(small, ("overall",), **FAST).estimate.tolist() == [0.0, 0.0]


def test_too_little_to_go_by_is_named(facts, board):
    with pytest.raises(InputError, match="models make no interval"):
        trends.over_models(board.iloc[:1], len)
    with pytest.raises(InputError, match="no table with 4 models"):
        trends.size_and_date(facts[facts.released.isna()])
