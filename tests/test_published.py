from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from slmkit.capability import audit, published
from slmkit.errors import InputError


@pytest.fixture(scope="module")
def facts() -> pd.DataFrame:
    return published.load()


def rows(*cells: tuple[str, float | None, str, float], locator: str = "T1") -> pd.DataFrame:
    """Published rows in the form of the file: (model, params_b, benchmark, score)."""
    table = pd.DataFrame(cells, columns=["model", "params_b", "benchmark", "score"])
    return table.assign(
        family="F",
        release_date="2025-04",
        metric="accuracy",
        unit="%",
        source_url="u",
        source_locator=locator,
    )


def loaded(tmp_path, table: pd.DataFrame) -> pd.DataFrame:
    table.to_csv(tmp_path / "facts.csv", index=False)
    return published.load(tmp_path / "facts.csv")


@pytest.mark.parametrize(
    ("model", "params_b", "size"),
    [
        ("Qwen3-8B", 8.0, "small"),
        ("Phi-4", 14.7, "between"),
        ("Llama-3.3-70B-Instruct", 70.0, "large"),
        ("Claude-Opus-4.5", None, "large"),
        ("Gemini-3-Pro", None, "large"),  # "mini" inside a word is no tier
        ("GPT-4o-mini-2024-07-18", None, "between"),
        ("Claude-Haiku-4.5", None, "between"),
        ("gemini-2.0-flash-lite", None, "between"),
        ("nova-micro", None, "between"),
    ],
)
def test_sizes_are_small_large_or_between(tmp_path, model, params_b, size):
    assert loaded(tmp_path, rows((model, params_b, "MMLU", 50.0)))["size"].tolist() == [size]


def test_release_dates_become_years(facts):
    days = facts.drop_duplicates("release_date").set_index("release_date").released
    assert days["2025-08-07"] == pytest.approx(2025 + 7 / 12 + 6 / 365)
    assert days["2025-04"] == pytest.approx(2025.288, abs=0.01)
    assert days[days.index.isna()].isna().all()


def test_a_table_is_one_benchmark_in_one_source_and_the_board_is_one_table(facts):
    assert (facts.groupby("table").benchmark.nunique() == 1).all()
    assert (facts.groupby("table").source_url.nunique() == 1).all()
    on_board = facts[facts.benchmark.eq("BFCL V4 overall") & facts.source_locator.str.startswith(published.BOARD)]
    assert on_board.table.nunique() == 1 and len(on_board) == 50
    others = facts[~facts.source_locator.str.startswith(published.BOARD)]
    assert (others.groupby("table").source_locator.nunique() == 1).all()


def test_pairs_never_cross_tables(tmp_path):
    one = rows(("Qwen3-8B", 8.0, "MMLU", 60.0), ("Qwen3-4B", 4.0, "MMLU", 62.0), ("Llama-70B", 70.0, "MMLU", 80.0))
    other = rows(("Qwen3-8B", 8.0, "MMLU", 99.0), locator="T2")
    third = rows(("Qwen3-8B", 8.0, "GPQA", 40.0), ("GPT-4", None, "GPQA", 39.0))
    pairs = published.same_table_pairs(loaded(tmp_path, pd.concat([one, other, third])), "MMLU|GPQA")
    assert pairs[["benchmark", "small", "large", "gap"]].to_numpy().tolist() == [
        ["MMLU", "Qwen3-4B", "Llama-70B", -18.0],
        ["GPQA", "Qwen3-8B", "GPT-4", 1.0],
    ]


def test_pairs_of_generalists_leave_specialists_out(facts):
    every = published.same_table_pairs(facts, "BFCL V4 multi-turn").iloc[0]
    general = published.same_table_pairs(facts, "BFCL V4 multi-turn", generalists=True).iloc[0]
    assert (every.small, every.large) == ("xLAM-2-8b-fc-r", "xLAM-2-70b-fc-r")
    assert general.gap < every.gap < 0 and "xLAM" not in general.small + general.large


def test_gaps_are_the_mean_over_tables_with_an_interval_where_there_are_two(facts):
    table = published.gaps(facts, "multi-step", n_resamples=200)
    whole, parts = table.iloc[0], table.iloc[1:]
    assert whole.benchmark == "all" and whole.n == parts.n.sum() == 5
    assert whole.estimate == pytest.approx(np.average(parts.estimate, weights=parts.n))
    assert whole.low < whole.estimate < whole.high
    assert parts[parts.n == 1].low.isna().all() and parts[parts.n > 1].low.notna().all()


@pytest.mark.parametrize("ability", published.ABILITIES)
def test_every_ability_has_tables_and_only_shares_of_right_answers(facts, ability):
    found = published.scores(published.select(facts, published.ABILITIES[ability]))
    assert len(found) > 20 and found.score.between(0, 100).all()
    assert not found.benchmark.str.contains("latency|cost|sensitivity|undecodable").any()


def test_the_frontier_never_falls_and_holds_the_best_at_each_size(facts):
    table = published.capability_by_size(facts, "BFCL V4 overall")
    assert table.frontier.is_monotonic_increasing and (table.frontier >= table.score).all()
    assert table[table.on_frontier].score.is_monotonic_increasing and table.params_b.is_monotonic_increasing
    for _, row in table.iterrows():
        assert row.frontier == table[table.params_b <= row.params_b].score.max()


def test_board_is_one_row_a_model(facts):
    board = published.board(facts)
    assert board.model.is_unique and len(board) == 50 and {*published.COLUMNS, "overall"} <= set(board)
    xlam = board.set_index("model").loc["xLAM-2-8b-fc-r"]
    assert xlam["single-turn"] == pytest.approx((xlam["live AST"] + xlam["non-live AST"]) / 2)
    assert bool(xlam.specialist) and xlam["size"] == "small"


def test_ladders_are_steps_up_inside_a_line_and_a_table(tmp_path, facts):
    small = rows(*((f"Qwen3-{n}B", float(n), "BFCL v1", s) for n, s in ((32, 70.0), (4, 50.0), (8, 45.0))))
    steps = published.ladders(
        loaded(tmp_path, pd.concat([small, rows(("Qwen3-14B", 14.0, "BFCL v1", 0.0), locator="T2")]))
    )
    assert steps[["smaller", "larger", "rise"]].to_numpy().tolist() == [
        ["Qwen3-4B", "Qwen3-8B", -5.0],
        ["Qwen3-8B", "Qwen3-32B", 25.0],
    ]
    real = published.ladders(facts)
    assert set(real.line) == set(published.LINES)
    llama = real[(real.line == "Llama 3.1") & (real.benchmark == "Nexus")]
    assert llama.rise.tolist() == pytest.approx([56.7 - 38.5, 58.7 - 56.7])


def test_format_sensitivity_is_sorted_and_names_the_most_fragile(facts):
    table = published.format_sensitivity(facts)
    assert table.spread.is_monotonic_decreasing and table.model.is_unique
    assert table.set_index("model").spread["ToolACE-2-8B"] == 81.5


def test_bad_input_is_named(tmp_path, facts):
    with pytest.raises(InputError, match="cannot be read"):
        published.load(tmp_path / "absent.csv")
    (tmp_path / "half.csv").write_text("model,score\na,1\n")
    with pytest.raises(InputError, match="no column 'benchmark'"):
        published.load(tmp_path / "half.csv")
    with pytest.raises(InputError, match="no published row"):
        published.select(facts, "No such benchmark")
    with pytest.raises(InputError, match="no model of known params_b"):
        published.capability_by_size(facts[facts.params_b.isna()], "BFCL V4 overall")


# --- the citation audit ---


@pytest.fixture(scope="module")
def audited(facts) -> pd.DataFrame:
    return audit.citation_audit(facts)


def test_the_readings_in_the_file_are_those_computed_from_the_cells(audited):
    from slmkit.config import resource

    written = pd.read_csv(resource("data/citation_audit.csv"))
    assert audited.verdict.tolist() == written.verdict.tolist()
    assert set(audited.verdict) == {"match", "half", "mismatch"}
    assert audited.source_says.str.len().min() > 0 and audited.source_url.str.startswith("https://").all()


def test_the_audit_covers_nine_models_and_the_maths_citation(audited):
    assert list(audited.claim_id.unique()) == [f"A1.{n}" for n in range(1, 11)]
    score = audited.set_index(["claim_id", "detail"])
    assert score.difference["A1.2", "c"].iloc[0] == pytest.approx((61.0 + 71.7 - 78.7 - 81.3) / 2)
    assert score.source_figure["A1.5", "a"] == pytest.approx(664 / 191)


def test_every_source_of_the_audit_is_in_the_bibliography(audited, root):
    bibliography = (root / "papers" / "references.bib").read_text(encoding="utf-8")
    assert [key for key in audited.source.unique() if f"{{{key}," not in bibliography] == []


def test_summary_counts_details_and_names_what_was_missed(audited):
    table = audit.summary(audited).set_index("claim_id")
    assert table.loc["A1.1", ["n_match", "n_details", "missed"]].tolist() == [2, 4, "a, b"]
    assert table.loc["A1.6", ["n_match", "n_details"]].tolist() == [7, 11]
    assert table.loc["A1.9", ["n_match", "n_details"]].tolist() == [6, 9]
    assert table.loc["A1.3", "missed"] == "a, b, c, d"  # one of the four rows of d misses, so d does


def test_a_changed_cell_changes_the_verdict_and_a_missing_one_is_named(facts):
    better = facts.copy()
    code = better.benchmark.isin(["HumanEval 0-shot", "MBPP 3-shot"]) & better.model.eq("Phi-3-small-8k")
    better.loc[code, "score"] = 79.0
    found = audit.citation_audit(better)
    assert found[(found.claim_id == "A1.2") & found.decides & (found.detail == "c")].verdict.item() == "match"
    with pytest.raises(InputError, match=r"A1\.1 c: no one cell Phi-2"):
        audit.citation_audit(facts[facts.model != "Phi-2"])
