"""Rules on operation: formats, change, prompts, and what small models fit better."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slmkit import stats
from slmkit.judging import Finding, Rule, first_true
from slmkit.specialization.studies import change, generality
from slmkit.specialization.studies.lab import short
from slmkit.specialization.verdicts.evidence import MARGIN, METHOD, Evidence, apart, below, measures, points

ADAPT_S = 600  # of A3.1
PUBLISHED = (  # models of A5 in the table of notebook 01
    "Salesforce_xLAM-7b-fc-r",
    "Salesforce_xLAM-1b-fc-r",
    "gpt-4-0613",
    "gpt-4o-2024-08-06-FC",
    "claude-3-5-sonnet-20240620",
    "meta-llama_Meta-Llama-3-8B-Instruct",
)


def fewer_format_errors(e: Evidence) -> Finding:
    """A5: invalid outputs of the tuned small model minus those of the untuned larger one, in two formats."""
    inside = e.difference(e.arm("ladder", e.tuned), e.arm("ladder", short(e.llm)), column="invalid")
    items = e.tables["generality"]
    items = items[items["set"] == generality.FORMAT]
    mine, other = items[np.isclose(items["share"], e.share)], items[(items["share"] < 0) & (items["role"] == "llm")]
    outside = e.difference(mine, other, column="invalid")
    bound = e.arm("ladder", f"{short(e.llm)}, grammar")["invalid"].mean()
    removed = "removes the gap" if bound == 0 else f"leaves {bound:.1%} invalid"
    return Finding(
        first_true(
            holds=inside.high < 0 and outside.high < 0,
            conditional=inside.high < 0,
            fails=inside.low > 0,
        ),
        rule=f"invalid outputs, tuned minus untuned larger: {points(inside)} in the format of tuning, "
        f"{points(outside)} in one JSON object told in words; a grammar {removed}{_published(e)}",
        method=f"{METHOD}; undecodable, or no valid call of a tool on offer",
        figure="figure-formats",
        unit="points of invalid outputs",
        condition=f"in the format of tuning; asked for one JSON object in words the difference is {points(outside)}; "
        f"a grammar on the larger model {removed}",
        models=e.models,
        evidence_from=["01_capability"] if _published(e) else [],
        **measures(inside),
    )


def _published(e: Evidence) -> str:
    """Shares of unreadable calls of real models, from the results of notebook 01, in words."""
    rows = e.tables.get("undecodable", pd.DataFrame(columns=["model", "estimate"]))
    named = rows[rows["model"].isin(PUBLISHED)]
    said = ", ".join(f"{row.model.split('_')[-1]} {row.estimate:.1%}" for row in named.itertuples())
    return f"; real models on BFCL v1: {said}" if said else ""


def adapts_faster(e: Evidence) -> Finding:
    """A3.1: after a change of schema, a new adapter of the small model against a new prompt of the larger one."""
    c = _changed(e)
    return Finding(
        first_true(
            fails=c["prompt_level"].low > -MARGIN,
            holds=c["slm_back"] and c["seconds"] < ADAPT_S and not c["llm_back"],
            conditional=c["slm_back"] and c["llm_back"] and c["later"].low > 0,
        ),
        rule=f"new adapter after {c['seconds']:.0f} s: {points(c['slm'])} to its old level; larger model by prompt: "
        f"{points(c['llm'])} to its own old level, {points(c['prompt_level'])} to the new adapter",
        method=f"{METHOD}; renamed tools and parameters, one more field; old levels by other items (Newcombe); "
        "back: within 3 points by the estimate",
        figure="figure-change",
        unit="points, new adapter minus the best prompt",
        condition=f"both are back, and the new adapter is {points(c['later'])} better",
        models=e.models,
        **measures(c["later"]),
    )


def _changed(e: Evidence) -> dict:
    """What the change did to each side: differences to the old level, who is back, and after how many seconds."""
    items = e.tables["change"]

    def of(name: str, set_name: str) -> pd.DataFrame:
        return items[(items["name"] == name) & (items["set"] == set_name)]

    prompts = [name for name in dict.fromkeys(items["name"]) if items[items["name"] == name]["role"].iloc[0] == "llm"]
    best = max(prompts, key=lambda name: of(name, change.AFTER)["correct"].mean())
    slm = apart(of("new adapter", change.AFTER), of("old adapter", change.BEFORE))
    llm = apart(of(best, change.AFTER), of(best, change.BEFORE))
    later = e.difference(of("new adapter", change.AFTER), of(best, change.AFTER))
    turned = later._replace(difference=-later.difference, low=-later.high, high=-later.low)
    return {
        "slm": slm, "llm": llm, "later": later, "prompt_level": turned, "best": best,
        "slm_back": slm.difference >= -MARGIN, "llm_back": llm.difference >= -MARGIN,
        "seconds": float(of("new adapter", change.AFTER)["adapt_seconds"].iloc[0]),
    }  # fmt: skip


def fits_operation(e: Evidence) -> Finding:
    """V2: format errors, time to adapt, latency and memory, tuned small against untuned larger model."""
    errors = e.difference(e.arm("ladder", e.tuned), e.arm("ladder", short(e.llm)), column="invalid")
    served = e.tables["serving"]
    wide = served.pivot_table(index="id", columns="role", values="latency_s")
    slower = stats.bootstrap(
        (wide["specialist"] - wide["llm"]).to_numpy(), np.median, n_resamples=e.n_bootstrap, rng=e.seed
    )
    latency = stats.PairedDifference(slower.n, slower.estimate, slower.low, slower.high, None, None, None, None)
    better = below({"format errors": errors, "latency": latency})
    held = served.groupby("role")["weight_bytes"].first()
    c = _changed(e)
    better |= {
        "time to adapt": bool(c["slm_back"] and not c["llm_back"]),
        "memory": bool(held["specialist"] < held["llm"]),
    }
    won, lost = [k for k, v in better.items() if v], [k for k, v in better.items() if not v]
    undecided = [k for k, one in (("format errors", errors), ("latency", latency)) if k in lost and one.low < 0]
    seconds = f"{c['seconds']:.0f} s" if c["slm_back"] else f"not back after {c['seconds']:.0f} s"
    return Finding(
        first_true(holds=len(won) == 4, conditional=len(won) in (2, 3), fails=len(won) + len(undecided) <= 1),
        rule=f"better in {', '.join(won) or 'nothing'}, undecided in {', '.join(undecided) or 'nothing'}: "
        f"invalid outputs {points(errors)}; adapts in {seconds}, the larger model's prompt is "
        f"{'back at once' if c['llm_back'] else 'not back'}; latency {1000 * slower.estimate:+.0f} ms "
        f"[{1000 * slower.low:+.0f}, {1000 * slower.high:+.0f}]; weights {held['specialist'] / 1e6:.1f} against "
        f"{held['llm'] / 1e6:.1f} MB",
        method=f"{METHOD}; latency one request at a time, median of paired differences; weights held in memory; Holm",
        figure="figure-operation",
        unit="points of invalid outputs",
        condition=f"better in {', '.join(won)}; not shown in {', '.join(lost) or 'none'}",
        models=e.models,
        **measures(errors),
    )


def steadier_over_prompts(e: Evidence) -> Finding:
    """S4-13: spread over prompt forms, untuned larger minus tuned small model, and what the best prompt gains."""
    items = e.tables["forms"]
    tables = {role: part.groupby(["id", "form"])["correct"].mean().unstack("form").astype(float).dropna()
              for role, part in items.groupby("role")}  # fmt: skip
    rng = np.random.default_rng(e.seed)
    forms = list(tables["llm"].columns)
    values = {role: table[forms].to_numpy() for role, table in tables.items()}
    spread, median = _spread(values, e.n_bootstrap, rng), _gain(values["llm"], forms, e.n_bootstrap, rng)
    means = tables["llm"].mean()
    best = means.idxmax()
    loses = _loses_outside(e)
    return Finding(
        first_true(
            inconclusive=len(forms) < 5,
            fails=spread.high < 0,
            conditional=spread.low > 0 and loses.low > 0,
            holds=spread.low > 0 and median.low <= 0 <= median.high,
        ),
        rule=f"standard deviation over {len(forms)} forms, larger minus tuned: {points(spread)}; median prompt over "
        f"the plain one {points(median)}, best ({best}) {100 * (means.max() - means['plain']):+.1f} points; in another "
        f"format the tuned one loses {points(loses)} more",
        method=f"{METHOD}; bootstrap over forms and items",
        figure="figure-forms",
        unit="points of standard deviation",
        condition=f"within the format of tuning; in another one the tuned model loses {points(loses)} more than the "
        "larger one",
        models=e.models,
        **measures(spread),
    )


def _spread(values: dict[str, np.ndarray], n_resamples: int, rng: np.random.Generator) -> stats.Estimate:
    """SD over forms, llm minus specialist; items and forms are drawn together for both."""
    n, k = values["llm"].shape

    def difference(items: np.ndarray, forms: np.ndarray) -> float:
        sd = {role: table[np.ix_(items, forms)].mean(0).std(ddof=1) for role, table in values.items()}
        return float(sd["llm"] - sd["specialist"])

    drawn = [difference(rng.integers(n, size=n), rng.integers(k, size=k)) for _ in range(n_resamples)]
    middle = difference(np.arange(n), np.arange(k))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return stats.Estimate(middle, min(float(low), middle), max(float(high), middle), n)


def _gain(table: np.ndarray, forms: list[str], n_resamples: int, rng: np.random.Generator) -> stats.Estimate:
    """The median form minus the plain one, resampling items."""
    plain, n = forms.index("plain"), len(table)

    def gain(items: np.ndarray) -> float:
        means = table[items].mean(0)
        return float(np.median(np.delete(means, plain)) - means[plain])

    drawn = [gain(rng.integers(n, size=n)) for _ in range(n_resamples)]
    middle = gain(np.arange(n))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return stats.Estimate(middle, min(float(low), middle), max(float(high), middle), n)


def _loses_outside(e: Evidence) -> stats.PairedDifference:
    """How much more the tuned model loses than the larger one when the format changes, paired by item."""
    items = e.tables["generality"]
    mine, other = items[np.isclose(items["share"], e.share)], items[(items["share"] < 0) & (items["role"] == "llm")]

    def loss(part: pd.DataFrame) -> pd.DataFrame:
        wide = part[part["set"].isin([generality.IN_SCHEMA, generality.FORMAT])]
        wide = wide.groupby(["id", "set"])["correct"].mean().unstack("set").astype(float).dropna()
        lost = wide[generality.IN_SCHEMA] - wide[generality.FORMAT]
        return lost.rename("lost").reset_index().assign(seed=0)

    return e.difference(loss(mine), loss(other), column="lost")


RULES: dict[str, Rule] = {
    "V2": fits_operation,
    "A3.1": adapts_faster,
    "A5": fewer_format_errors,
    "S4-13": steadier_over_prompts,
}
