"""One line on each table of notebook 02: the finding as a figure's title, worked out from the table it titles."""

from __future__ import annotations

import numpy as np
import pandas as pd


def _times(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"


def by_parameters(table: pd.DataFrame) -> str:
    """Ratio of cost against ratio of parameters of the dense 70 bn, and the least sparse one."""
    middle = table.groupby("llm")["ratio"].median()
    sparse = table[table["sparse"].astype(bool)].groupby("llm")["ratio"].median()
    return (
        f"Saturated, dense 70 bn costs {_times(middle['Llama-3.1-70B'])} times an 8 bn model, sparse "
        f"{sparse.idxmin()} {_times(sparse.min())}"
    )


def by_map(table: pd.DataFrame) -> str:
    """Where the map reaches ten."""
    equal = table[np.isclose(table["relative_load"], 1)].dropna(subset="ratio")
    reached = equal[equal["ratio"] >= 10]["limit_ms"]
    if reached.empty:
        return f"Ten times is reached nowhere on this map; at most {_times(equal['ratio'].max())}"
    over = reached.max() / table["floor_ms"].iloc[0]
    return f"Ten times needs a limit within {_times(over)} times the large model's own floor, and equal load"


def by_frontier(table: pd.DataFrame, slm: str, llm: str) -> str:
    """Fastest single stream and best throughput of the pair."""
    best = table.groupby("model")[["tok_s_per_user", "tok_s_per_gpu"]].max()
    small, large = best.loc[slm], best.loc[llm]
    return (
        f"{slm}: {_times(small['tok_s_per_gpu'] / large['tok_s_per_gpu'])} times the tokens a GPU, but only "
        f"{_times(small['tok_s_per_user'] / large['tok_s_per_user'])} times the top speed"
    )


def by_load(table: pd.DataFrame) -> str:
    """Loads from which the own endpoint beats the cheapest API of either model."""
    apis = table[table["kind"] == "api"]
    parts = []
    for role, what in (("llm", "the large"), ("slm", "the small")):
        rows = apis[apis["role"] == role]
        if len(rows):
            share = rows["break_even"].max()
            parts.append(f"{share:.0%} against {what} model by API" if share <= 1 else f"never beats {what} one by API")
    return f"An own endpoint pays above a load of {', '.join(parts)}" if parts else "Neither model is sold by API here"


def by_sparsity(table: pd.DataFrame) -> str:
    """Dense and sparse rivals of like total size."""
    ratio = table.set_index("llm")["ratio"]
    return (
        f"A sparse model of 117 bn costs {_times(ratio['gpt-oss-120b'])} times the small one, a dense one of 70 bn "
        f"{_times(ratio['Llama-3.1-70B'])}"
    )


def by_grid(shares: pd.DataFrame) -> str:
    """Which rivals are beaten at which load."""
    at = shares[np.isclose(shares["load"], shares["load"].max())].set_index("rival")["share"]
    low = shares[np.isclose(shares["load"], shares["load"].min())]["share"].mean()
    lost = ", ".join(at.index[at < 0.5]) or "none"
    return (
        f"Fully busy, the small model is not surely cheaper than: {lost}; at {shares['load'].min():.0%} load it wins "
        f"{low:.0%}"
    )


def by_tornado(table: pd.DataFrame) -> str:
    """What turns the conclusion."""
    turning = list(table.loc[table["flips"].astype(bool), "input"])
    if not turning:
        return "No single input turns the ratio across one"
    more = f" and {len(turning) - 3} more" if len(turning) > 3 else ""
    return f"What can turn the ratio across one: {'; '.join(turning[:3])}{more}"


def by_task(table: pd.DataFrame) -> str:
    """Cheapest way of each size, a thousand solved tasks."""
    cheapest = table.sort_values("usd_per_1k_tasks").groupby("role").first()["usd_per_1k_tasks"]
    return (
        f"A thousand solved tasks: ${cheapest['slm']:.2f} small, ${cheapest['llm']:.2f} large, "
        f"${cheapest['router']:.2f} as the best cascade"
    )


def by_use(table: pd.DataFrame) -> str:
    """How many uses the small model surely wins."""
    only = table["only"].astype(bool)
    won, sure = (only | (table["ratio"] > 1)).sum(), (only | (table["low"] > 1)).sum()
    return f"The small model is cheaper in {won} of {len(table)} uses, by more than the error in {sure}"


def by_adapters(table: pd.DataFrame) -> str:
    """What ten adapters of 5 % load save."""
    row = table[(table["k"] == 10) & np.isclose(table["load_share"], 0.05)].iloc[0]
    return (
        f"Ten adapters at 5 % load each share one base at a {_times(row['cost_ratio'])}th of the cost of ten endpoints"
    )


def by_demand(table: pd.DataFrame) -> str:
    """Busy share at the largest load, by shape of the day."""
    last = table.sort_values("mean_rps").groupby("shape", sort=False).last()["utilization"]
    return "Bought for its peak, an endpoint is busy " + ", ".join(
        f"{share:.0%} ({shape})" for shape, share in last.items()
    )


def by_fixed(table: pd.DataFrame) -> str:
    """Whether hosting oneself is ever worth its fixed cost."""
    low = table["low"].min()
    never = (table["estimate"] >= 1e13).all()
    middle = "Even without fixed cost an API is cheaper at the middle of all ranges" if never else (
        f"Self-hosting repays its fixed cost from {table['estimate'].min() / 1e9:,.3g} bn tokens a month")  # fmt: skip
    return f"{middle}; at best from {low / 1e9:,.3g} bn"


def by_payback(table: pd.DataFrame) -> str:
    """Least and most tasks to payback without refreshes."""
    first = table[table["refreshes"] == 0]["tasks"]
    return f"Development is repaid after {first.min():,.0f} to {first.max():,.0f} tasks; each refresh adds half as much"


def by_development(table: pd.DataFrame) -> str:
    """What a round is spent on."""
    usd = table.set_index("part")["usd"]
    return (
        f"GPU hours are {usd['gpu'] / usd['total']:.1%} of a development round; people are "
        f"{usd['people'] / usd['total']:.0%}"
    )


def by_energy(table: pd.DataFrame, slm: str, llm: str) -> str:
    """Ratio of energy at the smallest and largest batch that both have."""
    wide = table.pivot_table(index="batch", columns="model", values="joules").dropna(subset=[slm, llm])
    ratio = wide[llm] / wide[slm]
    saved = wide[slm].iloc[0] / wide[slm].iloc[-1]
    return (
        f"{_times(ratio.min())} to {_times(ratio.max())} times the energy a token; batching alone saves the small "
        f"model a factor of {_times(saved)}"
    )


def by_device(table: pd.DataFrame) -> str:
    """How many devices run 7 to 8 bn at ten tokens/s, and 14 bn."""
    runs = table["fits"].astype(bool) & (table["tok_s"] >= 10)
    people = table[table["consumer"] == "yes"]
    shares = runs[people.index].groupby(people["params_b"].round(1)).mean()
    near = {target: shares.iloc[int(np.abs(shares.index - target).argmin())] for target in (8, 14)}
    return f"{near[8]:.0%} of consumer devices run 7.6 bn in 4 bit at 10 tokens/s, {near[14]:.0%} run 14.8 bn"


def by_line(table: pd.DataFrame) -> str:
    """The line at 4 and 8 bit."""
    rows = table[table["group"] == "devices"]
    four, eight = rows.iloc[0], rows.iloc[1]
    return (
        f"The line: {four['estimate']:.0f} bn [{four['low']:.0f}, {four['high']:.0f}] in 4 bit, "
        f"{eight['estimate']:.0f} bn in 8 bit"
    )


def by_error(table: pd.DataFrame, held_out: dict) -> str:
    """In-sample and held-out median errors."""
    dense = (table[table["kind"] == "dense"]["ratio"] - 1).abs().median()
    worst = {
        kind: max((split[kind]["median_ape"] for split in held_out.values()), default=np.nan)
        for kind in ("dense", "moe")
    }
    return (
        f"Dense within {dense:.0%} in the median; within {worst['dense']:.0%} (sparse {worst['moe']:.0%}) when GPU, "
        "shape or source was never seen"
    )


def by_latency(held_out: dict) -> str:
    """Held-out medians of TPOT, the worst of what was left out, and of TTFT, a new source apart."""
    off = {what: {by: kinds[what]["all"]["median_ape"] for by, kinds in held_out.items()} for what in ("ttft", "tpot")}
    known = max(error for by, error in off["ttft"].items() if by != "source")
    return (
        f"A token's time is foretold within {max(off['tpot'].values()):.0%} (held out), the first token's within "
        f"{known:.0%} for a new GPU or shape, {off['ttft']['source']:.0%} for a new source"
    )


def by_calibration(table: pd.DataFrame) -> str:
    """Error of the prediction on this machine."""
    error = table["error"].dropna().abs()
    return f"On this machine the prediction is off by {error.median():.0%} in the median, {error.max():.0%} at worst"


def by_prices(table: pd.DataFrame) -> str:
    """Open rivals against flagships."""
    is_open = table["open"].astype(bool)
    most, dearest = table[is_open]["estimate"].max(), table.loc[table["estimate"].idxmax()]
    return (
        f"By list price open rivals cost up to {_times(most)} times an 8 bn model, {dearest['rival']} "
        f"{_times(dearest['estimate'])}"
    )


def by_units(table: pd.DataFrame) -> str:
    """Difference over all layers."""
    row = table.set_index("part").loc["all layers"]
    word = "fewer" if row["difference"] < 0 else "more"
    return f"The larger model uses {abs(row['difference']):.1f} points {word} of its feed-forward units"
