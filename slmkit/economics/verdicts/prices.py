"""Rules about list prices, their history, and published rows; and the ratios of sizes."""

from __future__ import annotations

import numpy as np

from slmkit.economics.studies import published
from slmkit.economics.studies.prices import LEAST_PROVIDERS, LEAST_YEARS, SPECIAL_CHIPS
from slmkit.economics.studies.uses import parameter_ratios
from slmkit.economics.verdicts.evidence import LLM, SLM, Evidence, listed, measures, named, spelled
from slmkit.judging import Finding, Rule, first_true

METHOD = "list prices of one dated snapshot, three input tokens to one output token"


def hundredfold(e: Evidence) -> Finding:
    """S0-21: ratio of list prices against open rivals and closed flagships."""
    table = e["list"].set_index("rival")
    is_open = table["open"].astype(bool)
    sure = table["low"] >= 100
    closed = table[~is_open & sure]
    dense = table.loc["dense 70 bn"]
    return Finding(
        first_true(
            holds=(is_open & sure).any(),
            conditional=len(closed) > 0,
            fails=(table["most"] < 100).all(),
        ),
        rule="; ".join(f"{rival} {spelled(row.estimate, row.low, row.high)}" if np.isfinite(row.low)
                       else f"{rival} {row.estimate:.3g} (one provider)" for rival, row in table.iterrows()),
        condition=f"against {named(closed.index)} only, held against open 8 bn models of other providers; no open "
        "rival",
        method=f"{METHOD}; median over providers, bootstrap over them; a closed vendor sells no 8 bn model, so its "
        "flagship is held against each provider that does",
        figure="figure-prices",
        models=[SLM, LLM, *table.index[~is_open]],
        **measures(dense["estimate"], dense["low"], dense["high"], dense["n"], "times the list price, dense 70 bn"),
    )  # fmt: skip


def falling(e: Evidence) -> Finding:
    """A13: yearly change of rents and list prices; not testable where the rows span less than two years."""
    table = e["trends"]
    known = table[table["years"] >= LEAST_YEARS].dropna(subset="low")
    rents = known[known["series"].str.startswith("rent ")]
    lists = known[~known["series"].str.startswith("rent ")]
    longest = table.groupby(table["series"].str.startswith("rent "))["years"].max()
    spans = f"rents span {longest.get(True, 0):.2g} years, list prices at one provider {longest.get(False, 0):.2g}"
    if rents.empty or lists.empty:
        return Finding(
            "not_testable",
            rule=f"{spans}; the rule asks for two years of dated rows",
            method="dated rows of the catalogue",
        )
    fall = [(part["high"] < -0.1).any() for part in (rents, lists)]
    first = rents.iloc[0]
    return Finding(
        first_true(holds=all(fall), conditional=any(fall), fails=(known["low"] > 0).all()),
        rule=f"{spans}; yearly change: {listed(known.set_index('series')['estimate'], '{:+.0%}')}",
        condition=named(known.loc[known["high"] < -0.1, "series"]),
        method="least squares on the log, bootstrap over rows",
        models=[SLM, LLM],
        **measures(first["estimate"], first["low"], first["high"], first["n"], "% a year, rent", 100),
    )


def special_chips(e: Evidence) -> Finding:
    """S4-18: the price ratio on chips made for inference against GPUs; needs three providers of them."""
    table = e["chips"]
    special = table[table["special"].astype(bool)]
    if len(special) < LEAST_PROVIDERS:
        return Finding(
            "not_testable",
            rule=f"{len(special)} providers on special chips sell both sizes "
            f"({listed(special.set_index('provider')['ratio'])}), the rule asks for {LEAST_PROVIDERS}; others: "
            f"{listed(table[~table['special'].astype(bool)].set_index('provider')['ratio'])}",
            method=f"{METHOD}; special chips: {named(SPECIAL_CHIPS)}",
        )
    draws = np.random.default_rng(e.seed)
    parts = [np.log(part["ratio"].to_numpy()) for part in (special, table[~table["special"].astype(bool)])]
    means = [draws.choice(part, (e.n_bootstrap, len(part))).mean(axis=1) for part in parts]
    change = np.exp(means[0] - means[1])
    low, high = np.quantile(change, [0.025, 0.975])
    middle = float(np.exp(parts[0].mean() - parts[1].mean()))
    return Finding(
        first_true(holds=low >= 1.5 or high <= 1 / 1.5, fails=low >= 1 / 1.5 and high <= 1.5),
        rule=f"change {spelled(middle, low, high)}",
        method=f"{METHOD}; bootstrap over providers",
        models=[SLM, LLM],
        **measures(middle, low, high, len(table), "times the price ratio of GPU providers"),
    )


def schedulers(e: Evidence) -> Finding:
    """A2.3: published rows with and without a serving scheduler on the same model and hardware."""
    rows = published.with_scheduler()
    if rows.empty:
        return Finding(
            "not_testable",
            rule=f"no pair among the published rows: none names a scheduler ({named(published.SCHEDULERS)}) beside "
            "the same model, hardware and lengths without one",
            method="published serving rows of the catalogue",
        )
    gain = rows["out_tok_s_per_gpu_with"] / rows["out_tok_s_per_gpu_without"]
    size = published.sizes(rows["model"])["params_b"].to_numpy()
    parts = {"small": gain[size < 10].median(), "large": gain[size >= 70].median()}
    return Finding(
        first_true(holds=parts["small"] > parts["large"], fails=parts["large"] > parts["small"]),
        rule=f"median gain: {listed(parts)}",
        method="published serving rows of the catalogue",
        models=rows["model"],
        n=len(rows),
    )


def fewer_parameters(e: Evidence) -> Finding:
    """S0-19: ratios of total parameters, and of the active ones of sparse models."""
    table = parameter_ratios()
    named_pairs = table[table["named"]].set_index("pair")["ratio"]
    active = table[~table["named"]].set_index("pair")["ratio"]
    inside, outside = named_pairs.between(10, 100), active[~active.between(10, 100)]
    return Finding(
        first_true(
            fails=not inside.iloc[:2].all(),
            conditional=inside.all() and len(outside) > 0,
            holds=inside.all(),
        ),
        rule=listed(table.set_index("pair")["ratio"]),
        condition=f"total parameters; not the active ones of {len(outside)} of {len(active)} sparse models "
        f"({outside.min():.2g} to {outside.max():.2g})",
        method="parameters counted from configurations",
        figure="figure-origin",
        models=["Llama-2-7B", "Llama-2-70B", "GPT-3-175B"],
        **measures(
            named_pairs.iloc[0],
            named_pairs.min(),
            named_pairs.max(),
            len(table),
            "times the parameters, 7 against 70 bn",
        ),
    )


RULES: dict[str, Rule] = {
    "S0-21": hundredfold,
    "A13": falling,
    "S4-18": special_chips,
    "A2.3": schedulers,
    "S0-19": fewer_parameters,
}
