"""Published scores of real models, small beside large, from `data/published_benchmarks.csv`.

Two models are compared only inside one *table*: rows that share benchmark, `source_url` and
`source_locator`, hence one harness, one set of prompts, one day. The same model and benchmark occur
elsewhere with other scores; those are never mixed, except where a general is ranked against an agentic score
(`trends.rank_correlations`), which says so. Scores are percentages, sizes billions of parameters in all.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from slmkit import stats
from slmkit.config import resource
from slmkit.errors import InputError

TABLE = ["benchmark", "source_url", "source_locator"]
SMALL_BN, LARGE_BN = 10, 30
SMALL_TIER = re.compile(r"(?:^|[^a-z])(?:mini|nano|micro|haiku|flash|lite|instant|small)(?:[^a-z]|$)", re.I)
SPECIALISTS = ("xLAM", "ToolACE", "Hammer", "CoALM", "BitAgent", "Arch-Agent", "watt-tool", "LoopTool")
NO_SCORE = "MT-Bench|CodeForces|Serving:|[Ff]ormat sensitivity|[Tt]hroughput|undecodable|Average"

BOARD = "leaderboard page, state of 2026-04-12"  # BFCL V4; its two modes are one board
COLUMNS = ("non-live AST", "live AST", "multi-turn", "web search", "memory", "irrelevance")
# Benchmarks of one ability, as patterns of whole labels: the sets that the ledger's rules name.
ABILITIES = {
    "multi-step": r"tau-bench overall|BFCL (v3|V4|\(ICML 2025\)) multi-turn( base)?|ACEBench agent",
    "knowledge": r"TriviaQA.*|SimpleQA|Natural Questions.*|MMLU( \(.*\)| 5-shot)?|.*: Factual knowledge",
    "reasoning": r"GPQA(-Diamond)?|AIME 2024( pass@1)?|MATH(-500)?|BBH.*|BigBench.*|.*GSM8K.*|.*: Reasoning",
    "code": r"HumanEval.*|MBPP.*|LiveCodeBench|Coding .*|Code|.*: Code generation",
    "agentic": r"(BFCL|tau-bench|ACEBench|API-Bank|Nexus|Gorilla).*",
}
# Models of one line and generation; sizes of one line are its ladder.
LINES = {
    "Llama 3.1": r"Llama-3\.1-\d+B(-Instruct)?",
    "Qwen3": r"Qwen3-[\d.]+B.*",
    "Gemma 3": r"Gemma-3-\d+b",
    "xLAM-2": r"xLAM-2-\d+b-fc-r",
    "Hammer2.1": r"Hammer2\.1-[\d.]+b",
    "Arch-Agent": r"Arch-Agent-[\d.]+B",
    "Qwen2.5": r"Qwen2\.5-[\d.]+B-Instruct",
    "Qwen2.5-Coder": r"Qwen2\.5-Coder-\d+B",
}


def load(path: Path | None = None) -> pd.DataFrame:
    """All rows, with `size` (small, between, large), `specialist`, `released` (years), `table` (a number).

    Small: under 10 bn. Large: 30 bn or more, or closed and not of its vendor's small tier (mini, nano,
    haiku, flash, lite and the like). Specialist: tuned for tool calls. InputError when the file cannot be
    read or lacks a column.
    """
    path = path or resource("data/published_benchmarks.csv")
    try:
        facts = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); restore it from the repository") from None
    needed = {"model", "family", "params_b", "release_date", "score", "unit", *TABLE}
    if missing := sorted(needed - set(facts)):
        raise InputError(f"{path}: no column {missing[0]!r}; restore the file from the repository")
    facts[TABLE] = facts[TABLE].fillna("")
    closed_and_large = facts.params_b.isna() & ~facts.model.str.contains(SMALL_TIER)
    facts["size"] = np.select(
        [facts.params_b < SMALL_BN, (facts.params_b >= LARGE_BN) | closed_and_large],
        ["small", "large"],
        "between",
    )
    facts["specialist"] = facts.model.str.startswith(SPECIALISTS)
    day = facts.release_date.str.extract(r"(\d{4})-(\d{2})(?:-(\d{2}))?").astype(float)
    facts["released"] = day[0] + (day[1] - 1) / 12 + (day[2].fillna(15) - 1) / 365
    locator = facts.source_locator.mask(facts.source_locator.str.startswith(BOARD), BOARD)
    facts["table"] = facts.assign(source_locator=locator).groupby(TABLE, sort=False).ngroup()
    return facts


def select(facts: pd.DataFrame, benchmarks: str, locator: str = "") -> pd.DataFrame:
    """Rows whose whole benchmark label matches, in tables whose locator starts so; InputError for none."""
    found = facts[facts.benchmark.str.fullmatch(benchmarks) & facts.source_locator.str.startswith(locator)]
    if found.empty:
        raise InputError(f"no published row matches benchmark {benchmarks!r} and locator {locator!r}")
    return found


def scores(facts: pd.DataFrame) -> pd.DataFrame:
    """The rows that are shares of right answers: no cost, speed, rating, spread or share of failures."""
    return facts[facts.unit.str.startswith("%") & ~facts.benchmark.str.contains(NO_SCORE)]


def board(facts: pd.DataFrame) -> pd.DataFrame:
    """BFCL V4, one row a model: its columns in percent, `single-turn` the mean of live and non-live AST."""
    rows = select(facts, r"BFCL V4 .*", BOARD)
    about = rows.groupby("model", sort=False)[["family", "params_b", "released", "size", "specialist"]].first()
    wide = rows.pivot_table(index="model", columns="benchmark", values="score")
    wide.columns = wide.columns.str.removeprefix("BFCL V4 ")
    wide.insert(0, "single-turn", wide[["live AST", "non-live AST"]].mean(axis=1))
    return about.join(wide).reset_index()


def capability_by_size(facts: pd.DataFrame, benchmark: str, locator: str = "", x: str = "params_b") -> pd.DataFrame:
    """Models of a benchmark's largest table by size, with `frontier`: the best score at or below each size.

    With `x="released"` by date instead, closed models included. Columns: model, params_b, released, size,
    specialist, score, frontier (percent), on_frontier.
    """
    rows = scores(select(facts, re.escape(benchmark), locator)).dropna(subset=x)
    if rows.empty:
        raise InputError(f"{benchmark}: no model of known {x} in a table {locator!r}")
    rows = rows[rows.table == rows.table.mode()[0]].sort_values([x, "score"])
    rows = rows[["model", "params_b", "released", "size", "specialist", "score"]].reset_index(drop=True)
    rows["frontier"] = rows.groupby(x).score.transform("max").cummax()
    return rows.assign(on_frontier=rows.score == rows.frontier)


def same_table_pairs(facts: pd.DataFrame, benchmarks: str, generalists: bool = False) -> pd.DataFrame:
    """One row a table with both: best small and best large model, scores, `gap` (small - large, points)."""
    rows = scores(select(facts, benchmarks))
    rows = rows[~rows.specialist] if generalists else rows
    best = rows.loc[rows.groupby(["table", "size"]).score.idxmax()].set_index("table")
    small, large = (
        best[best["size"] == size].rename(columns={"model": size, "score": f"score_{size}"})
        for size in ("small", "large")
    )
    pairs = small[[*TABLE, "small", "score_small"]].join(large[["large", "score_large"]], how="inner")
    return pairs.assign(gap=pairs.score_small - pairs.score_large).reset_index(drop=True)


def gaps(facts: pd.DataFrame, ability: str, generalists: bool = False, **resampling) -> pd.DataFrame:
    """Within-table gap of an ability in points: row `all` (bootstrap over tables), then one a benchmark.

    Columns: benchmark, estimate, low, high, n (tables). A single table has no interval.
    """
    pairs = same_table_pairs(facts, ABILITIES[ability], generalists)
    rows = []
    for name, group in [("all", pairs), *pairs.groupby("benchmark", sort=False)]:
        alone = stats.Estimate(group.gap.mean(), np.nan, np.nan, 1)
        found = stats.bootstrap(group.gap, **resampling) if len(group) > 1 else alone
        rows.append({"benchmark": name, **found._asdict()})
    return pd.DataFrame(rows)


def gap_by_ability(facts: pd.DataFrame, **resampling) -> pd.DataFrame:
    """The gap over all tables of each ability, in points: columns ability, estimate, low, high, n (tables)."""
    rows = [{"ability": ability, **gaps(facts, ability, **resampling).iloc[0]} for ability in ABILITIES]
    return pd.DataFrame(rows).drop(columns="benchmark")


def ladders(facts: pd.DataFrame, benchmarks: str = ABILITIES["agentic"]) -> pd.DataFrame:
    """One row a step to the next size of the same line in the same table; `rise` in points.

    Columns: line, benchmark, source_locator, smaller, larger, params_b (of the larger), rise.
    """
    rows, steps = scores(select(facts, benchmarks)).dropna(subset="params_b"), []
    for line, pattern in LINES.items():
        members = rows[rows.model.str.fullmatch(pattern)].sort_values(["params_b", "score"])
        members = members.drop_duplicates(["table", "params_b"], keep="last")
        step = members.assign(
            line=line,
            smaller=members.groupby("table").model.shift(),
            rise=members.groupby("table").score.diff(),
        )
        steps.append(step.dropna(subset="rise").rename(columns={"model": "larger"}))
    columns = ["line", "benchmark", "source_locator", "smaller", "larger", "params_b", "rise"]
    return pd.concat(steps)[columns].reset_index(drop=True)


def format_sensitivity(facts: pd.DataFrame) -> pd.DataFrame:
    """BFCL V4's largest change of accuracy across prompt formats, in points, one row a model, sorted."""
    rows = select(facts, r"BFCL V4 format sensitivity.*", BOARD)
    columns = ["model", "params_b", "size", "specialist", "score"]
    return rows.sort_values("score", ascending=False)[columns].rename(columns={"score": "spread"})
