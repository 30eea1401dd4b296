"""What the paper says of nine models beside what its sources say, from `data/citation_audit.csv`.

A detail is a fact that the paper states and its source can confirm or deny. Where `published_benchmarks.csv`
holds the cells, figure and verdict are computed from them here; elsewhere the reading in the file stands.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from slmkit.config import resource
from slmkit.errors import InputError

TEXTS = ["source_says", "tolerance", "model_row", "rival_row", "rival_benchmarks", "rival_locator"]


def citation_audit(facts: pd.DataFrame, path: Path | None = None) -> pd.DataFrame:
    """One row a detail, with `score`, `rival_score`, `difference` where two published cells decide it.

    `verdict`: match, half or mismatch. A difference matches at `-tolerance` or better (above 0 where that is
    0), a ratio within a tolerance given in percent of `paper_figure`. `one_table` is False where the two
    cells come from two tables; rows that do not decide stand beside. InputError names a detail
    whose cell is missing.
    """
    path = path or resource("data/citation_audit.csv")
    audit = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str))
    audit[TEXTS] = audit[TEXTS].fillna("")
    audit["decides"] = audit.decides == "yes"
    computed, ratio = audit.model_row != "", audit.tolerance.str.endswith("%")
    for i, row in audit[computed].iterrows():
        rival = (row.rival_row, row.rival_benchmarks or row.benchmarks, row.rival_locator or row.locator)
        audit.loc[i, "score"] = _cell(facts, row, row.model_row, row.benchmarks, row.locator)
        audit.loc[i, "rival_score"] = _cell(facts, row, *rival)
    audit["difference"] = audit.score - audit.rival_score
    audit["one_table"] = audit.rival_locator == ""
    audit["source_figure"] = audit.source_figure.mask(ratio & computed, audit.score / audit.rival_score)
    limit = audit.tolerance.str.rstrip("%").replace("", "nan").astype(float)
    close = (audit.source_figure / audit.paper_figure - 1).abs() <= limit / 100
    enough = np.where(limit > 0, audit.difference.round(6) >= -limit, audit.difference > 0)
    verdict = np.where(np.where(ratio, close, enough), "match", "mismatch")
    audit["verdict"] = audit.verdict.mask(computed | ratio, pd.Series(verdict, audit.index))
    read = [f"{r.model_row} {r.score:g}, {r.rival_row} {r.rival_score:g}" for r in audit.itertuples()]
    audit["source_says"] = audit.source_says.mask(computed, pd.Series(read, audit.index))
    return audit.drop(columns=["tolerance", "benchmarks", "locator", "rival_benchmarks", "rival_locator"])


def summary(audit: pd.DataFrame) -> pd.DataFrame:
    """One row a claim: n_match, n_details, details missed; a detail of several rows matches if all do."""
    rows = audit[audit.decides].assign(matches=lambda t: t.verdict == "match")
    details = rows.groupby(["claim_id", "model", "detail"], sort=False).matches.all().reset_index()
    claims = details.groupby(["claim_id", "model"], sort=False).matches.agg(n_match="sum", n_details="size")
    missed = details[~details.matches].groupby("claim_id").detail.agg(", ".join)
    return claims.reset_index().assign(missed=lambda t: t.claim_id.map(missed).fillna(""))


def _cell(facts: pd.DataFrame, row: pd.Series, model: str, benchmarks: str, locator: str) -> float:
    """Mean over the named benchmarks of a model, in the tables whose locator starts so."""
    rows = facts[(facts.model == model) & facts.source_locator.str.startswith(locator)]
    cells = [rows[rows.benchmark == name].score.unique() for name in benchmarks.split("; ")]
    if any(len(cell) != 1 for cell in cells):
        raise InputError(f"citation audit {row.claim_id} {row.detail}: no one cell {model} / {benchmarks}")
    return float(np.mean(cells))
