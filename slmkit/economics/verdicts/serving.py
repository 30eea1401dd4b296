"""Rules about large and small models on the same GPUs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slmkit import stats
from slmkit.economics.architecture import architecture
from slmkit.economics.catalogue import gpu
from slmkit.economics.compare import Setting, error_of
from slmkit.economics.edge import CLASSES, fit_map, owned
from slmkit.economics.roofline import predict
from slmkit.economics.uncertainty import prediction_range
from slmkit.economics.verdicts.evidence import LLM, SLM, Evidence, listed, measures, named, spelled, within
from slmkit.judging import Finding, Rule, first_true

METHOD = (
    "throughput model with constants fitted to published rows; the held-out error of each regime is carried through"
)
TEN, THIRTY = 10, 30


def _row(e: Evidence, llm: str = LLM, shape: str = "chat") -> pd.Series:
    table = e["saturated"]
    return table[(table["gpu"] == e.gpu) & (table["shape"] == shape) & (table["llm"] == llm)].iloc[0]


def region(e: Evidence) -> str:
    """Where the map reaches 10: latency limits at equal load, and the least load that still does; empty if nowhere."""
    table = e["map"].dropna(subset="ratio")
    equal = table[np.isclose(table["relative_load"], 1)]
    ten, thirty = (equal[equal["ratio"] >= bar]["limit_ms"] for bar in (TEN, THIRTY))
    if ten.empty:
        return ""
    floor, least = table["floor_ms"].iloc[0], table[table["ratio"] >= TEN]["relative_load"].min()
    above = f" (above {THIRTY} up to {thirty.max():.3g} ms)" if len(thirty) else ""
    return (
        f"at equal load under a limit of up to {ten.max():.3g} ms a token, {ten.max() / floor:.2g} times the large "
        f"model's floor of {floor:.3g} ms{above}; nowhere below {least:.0%} of the large one's load"
    )


def ten_to_thirty(e: Evidence) -> Finding:
    """A2.1: saturated cost ratio with energy and latency, and the map over limit and load."""
    row = _row(e)
    parts = {"cost": (row.ratio, row.low, row.high), "energy": (row.energy, row.energy_low, row.energy_high),
             "latency": (row.latency, row.latency_low, row.latency_high)}  # fmt: skip
    place = region(e)
    return Finding(
        first_true(
            holds=all(within(low, high, TEN, THIRTY) for _, low, high in parts.values()),
            conditional=bool(place),
            fails=not place,
        ),
        rule="saturated " + "; ".join(f"{name} {spelled(*part)}" for name, part in parts.items()),
        condition=f"reached {place}; at saturation without a limit {spelled(*parts['cost'])}",
        method=f"{METHOD}; {e.gpu}, 1,000 tokens in and out, {row.slm_gpus:g} against {row.llm_gpus:g} GPUs",
        figure="figure-map",
        models=[SLM, LLM],
        **measures(row.ratio, row.low, row.high, len(e["map"]), "times the cost a token, saturated"),
    )


def saturated_token(e: Evidence) -> Finding:
    """S4-3: the same ratio over all GPU types and rivals; whether it varies by a factor of 2."""
    table = e["saturated"]
    by_rival = table.groupby("llm", sort=False)[["ratio", "low", "high"]].median()
    dense = by_rival.loc[LLM]
    reached = by_rival[by_rival["ratio"] >= TEN]
    limited = region(e)
    varies = table["ratio"].max() / table["ratio"].min()
    where = ", ".join(f"{name} {spelled(*row)}" for name, row in by_rival.iterrows())
    return Finding(
        first_true(
            holds=within(dense["low"], dense["high"], TEN, THIRTY) and varies >= 2,
            conditional=len(reached) > 0 or bool(limited),
            fails=True,
        ),
        rule=f"median over {table['gpu'].nunique()} GPU types: {where}; spread {varies:.3g}x",
        condition=f"against {named(reached.index)} at saturation"
        + (f", and against {LLM} {limited}" if limited else ""),
        method=f"{METHOD}; medians over GPUs and shapes of call, ends taken as fully correlated",
        figure="figure-origin",
        models=[SLM, *by_rival.index],
        **measures(*dense, len(table), "times the cost a token, against dense 70 bn"),
    )


def five_to_ten(e: Evidence) -> Finding:
    """S0-18: throughput and single-stream latency against 5 to 10."""
    row = _row(e)
    rate, speed = (row.ratio, row.low, row.high), (row.latency, row.latency_low, row.latency_high)
    met = [within(low, high, 5, 10) for _, low, high in (rate, speed)]
    return Finding(
        first_true(holds=all(met), conditional=met[0], fails=not any(met)),
        rule=f"tokens/s a GPU {spelled(*rate)}, single-stream time a token {spelled(*speed)}; an interval counts "
        "only where the whole of it lies within 5 to 10",
        condition=f"throughput alone: latency {spelled(*speed)}",
        method=f"{METHOD}; {e.gpu}, each in its best deployment",
        figure="figure-origin",
        models=[SLM, LLM],
        **measures(*rate, 2, "times the tokens/s a GPU"),
    )


def little_parallelism(e: Evidence) -> Finding:
    """A2.2: cards that memory asks for."""
    table = e["needed"]
    parts = {}
    for precision, rows in table.groupby("precision"):
        small = rows[rows["params_b"] < 10]
        large = rows[(rows["params_b"] >= 70) & ~rows["sparse"].astype(bool)]
        parts[precision] = (int((small["cards"] == 1).sum()), len(small), float((large["cards"] >= 2).mean()))
    met = {name: one / n >= 0.95 and two >= 0.5 for name, (one, n, two) in parts.items()}
    one, n = sum(part[0] for part in parts.values()), sum(part[1] for part in parts.values())
    said = "; ".join(f"{name}: {one} of {n} small models on one card, {two:.0%} of dense 70 bn and more on two or more"
                     for name, (one, n, two) in parts.items())  # fmt: skip
    return Finding(
        first_true(holds=all(met.values()), conditional=any(met.values()), fails=True),
        rule=said,
        condition=f"in {named(name for name in met if met[name])}",
        method=f"weights and 8 requests of 4,096 tokens in bytes on {table['gpu'].iloc[0]}; Wilson",
        models=table["model"],
        **measures(one / n, *stats.wilson(one, n), n, "% of models under 10 bn on one card", 100),
    )


def memory_batch_second(e: Evidence) -> Finding:
    """S0-20: bytes, a batch on a 24 GB card, and a 64-token answer within a second."""
    small, large = architecture(SLM), architecture(LLM)
    size = small.weight_bytes("q4") / large.weight_bytes("q4")
    batch = small.weight_bytes("q4") + 8 * small.kv_bytes(4_096)
    seconds = answer_seconds()
    laptop = seconds.loc["laptop"]
    met = seconds["high"] < 1
    return Finding(
        first_true(
            holds=size <= 0.2 and batch <= 24 * 2**30 and met.all(),
            conditional=met.any(),
            fails=not met.any(),
        ),
        rule=f"bytes {size:.0%} of the large model's; 8 requests of 4,096 tokens take {batch / 2**30:.1f} GiB in 4 "
        "bit; 64-token answer: " + ", ".join(f"{name} {spelled(*row)} s" for name, row in seconds.iterrows()),
        condition=f"within a second on {named(seconds.index[met])}, not on {named(seconds.index[~met])}",
        method=f"{METHOD}; prompt of 512 tokens, one user; devices: the middle one of each class",
        figure="figure-edge",
        models=[SLM, LLM],
        **measures(*laptop, len(seconds), "seconds to a 64-token answer on a laptop"),
    )


def answer_seconds(prompt: int = 512, answer: int = 64) -> pd.DataFrame:
    """Seconds to a 64-token answer of the 8 bn model: on a server GPU in 8 bit and on the middle device of a class."""
    card = Setting().gpu
    found = predict(SLM, card, precision="fp8", input_tokens=prompt, output_tokens=answer, concurrency=1)
    server = float(found["prefill_s"] + answer * found["decode_step_s"])
    factor = prediction_range(*error_of(SLM, card, "fp8", 1)[1:])
    rows = {f"server ({gpu(card).name})": (server, server / factor.high, server / factor.low)}
    table = fit_map([SLM], ["4 bit"], owned())
    for kind in CLASSES:
        mine = table[table["device_class"] == kind]
        ends = [(mine["ttft_s"] + answer / mine[speed]).median() for speed in ("tok_s", "tok_s_high", "tok_s_low")]
        rows[kind] = tuple(ends)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "low", "high"])


def most_cost(e: Evidence) -> Finding:
    """S0-31: published pairs on one GPU and load; whole answers where their energy is published."""
    from slmkit.economics.studies import published

    share, answers = published.share_dearer(e["pairs"], e.n_bootstrap, e.seed), published.answers()
    cheaper = answers[answers["ratio"] < 1]
    broken = named(cheaper.loc[cheaper["sparse_large"].astype(bool), "model_large"])
    n_large = e["pairs"]["shape_large"].nunique()
    return Finding(
        first_true(
            holds=share["low"] >= 0.95 and cheaper.empty,
            conditional=len(cheaper) > 0 and cheaper["sparse_large"].astype(bool).all(),
            fails=share["high"] < 0.8,
        ),
        rule=f"dearer a token in {share['estimate']:.0%} of {share['n']} pairs with {n_large} large models; a whole "
        f"answer (energy, {answers['benchmark'].iloc[0]}): large over small {answers['ratio'].min():.2g} to "
        f"{answers['ratio'].max():.2g} in {len(answers)} pairs",
        condition=f"a token; not a whole answer: {broken}, sparse and brief, takes less energy an answer than dense "
        "8 bn",
        method=f"published rows, best of each side, bootstrap over {n_large} large models, which cannot show less "
        "than all where no pair differs; energy stands for cost where a whole answer is published",
        figure="figure-validation",
        models=[*e["pairs"]["shape_small"].unique(), *e["pairs"]["shape_large"].unique()],
        **measures(share["estimate"], share["low"], share["high"], share["n"], "% of pairs, cost a token", 100),
    )


def wasted_parameters(e: Evidence) -> Finding:
    """A2.6: share of feed-forward units that carry 90 % of the mass, larger minus smaller."""
    table = e["activation"].set_index("part")
    whole, parts = table.loc["all layers"], table.drop(index="all layers")
    lower = parts[parts["high"] < -5]
    return Finding(
        first_true(
            holds=whole["high"] < -5,
            conditional=len(lower) > 0,
            fails=whole["low"] >= -5,
        ),
        rule=f"larger minus smaller, points: {spelled(whole['difference'], whole['low'], whole['high'])} over all "
        "layers; " + listed(parts["difference"], "{:+.1f}"),
        condition=f"in {named(lower.index)}",
        method="mean absolute input of the down projection over a prompt's tokens, the same prompts, bootstrap over "
        "prompts",
        figure="figure-activation",
        models=[*table["small_model"], *table["large_model"]],
        **measures(whole["difference"], whole["low"], whole["high"], whole["n"], "points of feed-forward units"),
    )


RULES: dict[str, Rule] = {
    "A2.1": ten_to_thirty,
    "S4-3": saturated_token,
    "S0-18": five_to_ten,
    "A2.2": little_parallelism,
    "S0-20": memory_batch_second,
    "S0-31": most_cost,
    "A2.6": wasted_parameters,
}
