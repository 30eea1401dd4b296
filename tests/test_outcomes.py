from __future__ import annotations

import gzip

import pandas as pd
import pytest

from slmkit.capability import outcomes
from slmkit.errors import InputError

SMALL, LARGE, UNTUNED = (
    "Salesforce_xLAM-7b-fc-r",
    "claude-3-5-sonnet-20240620",
    "meta-llama_Meta-Llama-3-8B-Instruct",
)


def written(folder, rows: list[str]) -> str:
    """A data folder with these lines as the outcomes file."""
    (folder / "bfcl_v1_outcomes").mkdir(parents=True)
    with gzip.open(folder / "bfcl_v1_outcomes" / "outcomes.csv.gz", "wt") as file:
        file.write("\n".join(rows) + "\n")
    return str(folder)


@pytest.fixture
def tiny(tmp_path) -> pd.DataFrame:
    """Ten items of three models: the small one right on six, the large one on eight, a broken run on one."""
    kinds = ["ok"] * 5 + [
        "ast_decoder:decoder_failed",
        "value_error:string",
        "executable_decoder:wrong_output_format",
    ]
    small = [*kinds, "ok", "relevance_error:decoder_success"]
    large = ["ok"] * 4 + ["value_error:string"] + ["ok"] * 3 + ["ok", "relevance_error:decoder_success"]
    lines = [
        f"{'simple' if i < 8 else 'relevance'},{i},{a},{b},{'ok' if i == 0 else 'value_error:string'}"
        for i, (a, b) in enumerate(zip(small, large, strict=True))
    ]
    return outcomes.load(written(tmp_path, [f"category,index,{SMALL},{LARGE},gpt-4o-2024-08-06", *lines]))


def test_broken_runs_are_dropped(tiny):
    assert list(tiny.columns) == [SMALL, LARGE] and len(tiny) == 10


def test_undecodable_counts_decoder_errors_on_call_items_only(tiny):
    table = outcomes.undecodable(tiny).set_index("model")
    assert table.loc[SMALL, ["k", "n"]].tolist() == [2, 8] and table.loc[LARGE, "k"] == 0
    assert bool(table.loc[SMALL, "tuned_for_tools"]) and table.loc[SMALL, "size"] == "small"
    assert table.loc[LARGE, "size"] == "large" and bool(table.loc[LARGE, "closed"])
    assert table.loc[LARGE, "high"] > 0.3  # none in eight is no proof of none


def test_the_four_parts_make_a_whole_and_the_oracle_takes_the_best_of_both(tiny):
    parts = outcomes.what_the_large_adds(tiny, SMALL, LARGE).set_index("part")
    assert parts.k.to_dict() == {"both": 5, "small only": 1, "large only": 3, "neither": 1}
    who = outcomes.oracle(tiny, SMALL, LARGE).set_index("who")
    assert who.k.to_dict() == {SMALL: 6, LARGE: 8, "oracle": 9}
    assert who.to_large.to_dict() == {SMALL: 0.0, LARGE: 1.0, "oracle": 0.3}
    by = outcomes.what_the_large_adds(tiny, SMALL, LARGE, by="category")
    assert by.groupby("group").k.sum().to_dict() == {"simple": 8, "relevance": 2}


def test_agreement_counts_both_right_and_both_wrong(tiny):
    row = outcomes.agreement(tiny, [SMALL, LARGE]).iloc[0]
    assert (row.k, row.n) == (6, 10)
    assert row.kappa == pytest.approx((0.6 - (0.6 * 0.8 + 0.4 * 0.2)) / (1 - (0.6 * 0.8 + 0.4 * 0.2)))
    twin = outcomes.agreement(tiny.assign(twin=tiny[SMALL]), [SMALL, "twin"]).iloc[0]
    assert twin.estimate == 1 and twin.kappa == 1


def test_compare_is_paired_by_item(tiny):
    found = outcomes.compare(tiny, SMALL, LARGE, margin=0.05, n_resamples=200)
    assert found.difference == pytest.approx(-0.2) and found.n == 10 and found.verdict == "inconclusive"


def test_bad_input_is_named(tmp_path, tiny):
    with pytest.raises(InputError, match="slmkit data pull bfcl_v1_outcomes"):
        (tmp_path / "empty").mkdir()
        outcomes.load(tmp_path / "empty")
    with pytest.raises(InputError, match="'b' has an empty cell"):
        outcomes.load(written(tmp_path / "gap", ["category,index,a,b", "simple,1,ok,ok", "simple,2,ok,"]))
    with pytest.raises(InputError, match=f"did you mean '{LARGE}'"):
        outcomes.oracle(tiny, SMALL, "claude-3-5-sonet-20240620")


@pytest.fixture(scope="module")
def real() -> pd.DataFrame:
    return outcomes.load()


@pytest.mark.data
def test_the_three_broken_runs_are_the_ones_dropped_and_every_column_is_described(real):
    known = outcomes.models()
    assert set(known.index) - set(real.columns) == {
        "gpt-4o-2024-08-06",
        "mistral-large-2407",
        "NousResearch_Hermes-2-Theta-Llama-3-70B",
    }
    assert set(real.columns) <= set(known.index)
    assert (known.closed == known.params_b.isna()).all()


@pytest.mark.data
def test_shares_of_undecodable_outputs_agree_with_the_board_of_all_items(real):
    from slmkit.capability import published

    rows = published.select(published.load(), "BFCL v1 undecodable.*")
    column = rows.source_locator.str.extract(r"score/([^,]+),")[0]
    board = pd.Series(rows.score.to_numpy() / 100, index=column)
    ours = outcomes.undecodable(real).set_index("model")
    both = ours.join(board.rename("board"), how="inner")
    inside = (both.low <= both.board) & (both.board <= both.high)
    assert len(both) == 29 and inside.sum() >= 27  # half of the items: 95 % of the intervals should hold


@pytest.mark.data
def test_tuned_small_models_break_format_less_than_untuned_ones(real):
    share = outcomes.undecodable(real).set_index("model")
    assert share.high[SMALL] < share.low[UNTUNED]
    needed = outcomes.what_the_large_adds(real, SMALL, LARGE).set_index("part").loc["large only"]
    assert needed.high < 0.10
    assert outcomes.compare(real, SMALL, LARGE, n_resamples=500).verdict == "non-inferior"
