"""Rules about the edge: what phones, laptops and desktop cards run, and when the device is the cheaper place."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slmkit.economics import edge
from slmkit.economics.architecture import architecture
from slmkit.economics.studies import lines
from slmkit.economics.studies.workloads import API_MODEL, SUCCESS, api_call, cheapest_way, device_usd_per_s
from slmkit.economics.verdicts.devices import METHOD
from slmkit.economics.verdicts.evidence import SLM, Evidence, measures, named, spelled
from slmkit.judging import Finding, Rule, first_true

ASKED = {"1 bn": "Llama-3.2-1B", "3 bn": "Llama-3.2-3B", "8 bn": SLM}


def no_noticeable_delay(e: Evidence) -> Finding:
    """A2.5: tokens/s and first token of 1, 3 and 8 bn on phone, laptop and desktop GPU."""
    table = edge.fit_map(list(ASKED.values()), ["4 bit"], edge.owned())
    met, said = {}, []
    for size, model in ASKED.items():
        for kind in edge.CLASSES:
            rows = table[(table["model"] == architecture(model).name) & (table["device_class"] == kind)]
            speed, first = rows["tok_s_low"].median(), rows["ttft_s_high"].median()
            met[size, kind] = bool(speed >= 10 and first <= 2 and rows["fits"].mean() >= 0.5)
            said.append(f"{size} {kind} {rows['tok_s'].median():.3g} tok/s (low {speed:.3g}), {first:.2g} s")
    share = np.mean([met["8 bn", kind] for kind in edge.CLASSES])
    laptop = table[(table["model"] == architecture(SLM).name) & (table["device_class"] == "laptop")]
    here = measured_here(e.tables.get("here"))
    return Finding(
        first_true(holds=share >= 0.5, conditional=any(met.values()), fails=not any(met.values())),
        rule="; ".join(said) + (f"; measured here: {here}" if here else ""),
        condition="reached by " + ", ".join(f"{size} on {kind}" for (size, kind), good in met.items() if good)
        + "; not by " + ", ".join(f"{size} on {kind}" for (size, kind), good in met.items() if not good),
        method=f"{METHOD}; lower end of the speed and upper end of the first token, prompt of 512 tokens, median "
        "device",
        figure="figure-edge",
        models=ASKED.values(),
        **measures(laptop["tok_s"].median(), laptop["tok_s_low"].median(), laptop["tok_s_high"].median(), len(table),
                   "tokens/s, 8 bn in 4 bit on a laptop"),
    )  # fmt: skip


def measured_here(table: pd.DataFrame | None) -> str:
    """Models of 100 million parameters and more that were measured on this machine, one request at a time."""
    if table is None:
        return ""
    rows = table[(table["batch"] == 1) & (table["params"] >= 1e8)]
    return ", ".join(
        f"{row.model} {row.out_tok_s:.3g} tok/s, first token of {row.input_tokens} after {row.ttft_s:.2g} s on "
        f"{row.device}" for row in rows.itertuples()
    )  # fmt: skip


def consumer_hardware(e: Evidence) -> Finding:
    """S0-23: share of consumer devices that run 8 bn in 4 bit at 10 tokens/s."""
    devices, error = edge.consumer(), edge.fit().error
    rows = devices.to_dict("records")
    size = architecture(SLM).params / 1e9
    shares = [np.mean([edge.largest_size_bn(where, 10, "4 bit", factor) >= size for where in rows])
              for factor in (1.0, error.low, error.high)]  # fmt: skip
    arch = architecture(SLM)
    first = np.median([edge.first_token_s(arch, where, "q4", 512) for where in rows])
    by_memory = devices.assign(
        runs=[edge.largest_size_bn(where, 10, "4 bit", error.low) >= size for where in rows]
    ).groupby("memory_bytes")["runs"].mean()  # fmt: skip
    enough = [memory for memory in by_memory.index if by_memory[by_memory.index >= memory].min() >= 0.5]
    return Finding(
        first_true(holds=min(shares) >= 0.5, conditional=len(enough) > 0, fails=max(shares) < 0.5),
        rule=f"{shares[0]:.0%} [{min(shares):.0%}, {max(shares):.0%}] of {len(rows)} devices; first token after "
        f"{first:.2g} s (512 tokens, median device) against a network's 0.05 to 0.3 s; no call leaves the device",
        condition=f"from {min(enough) / 2**30:.0f} GiB up" if enough else "",
        method=METHOD,
        figure="figure-edge",
        models=[SLM],
        **measures(shares[0], min(shares), max(shares), len(rows), "% of consumer devices of 8 to 24 GB", 100),
    )


def at_the_edge(e: Evidence) -> Finding:
    """S4-14: largest model of each class, and device with back end against back end alone."""
    people = edge.consumer()
    sizes = {kind: lines.line(people[people["device_class"] == kind]) for kind in edge.CLASSES}
    met = {kind: ends[1] >= 1 for kind, ends in sizes.items()}
    mixes = pd.DataFrame({share: mix_ratios(share) for share in (0.0, 0.1, 0.3, 0.5)}, index=["owned", "bought"])
    cheaper = (mixes.loc[:, mixes.columns <= 0.3] < 1).all(axis=1)
    said = "; ".join(
        f"device {name}: " + ", ".join(f"{share:.0%} {ratio:.2g}" for share, ratio in row.items())
        for name, row in mixes.iterrows()
    )
    return Finding(
        first_true(
            holds=all(met.values()) and cheaper.all(),
            conditional=any(met.values()),
            fails=not any(met.values()),
        ),
        rule="largest dense size: "
        + ", ".join(f"{kind} {spelled(*ends, 'bn')}" for kind, ends in sizes.items())
        + f"; cost with x of the tasks sent to the back end, over the back end alone, {said}",
        condition=f"sizes: {named(kind for kind in met if met[kind])}; cheaper than the back end alone only where "
        f"the device is {named(cheaper.index[cheaper])}; sensors and cameras have no row",
        method=f"{METHOD}; middle laptop; owned: electricity alone, bought: launch price over three years at two "
        "hours a day as well; back end: 70 bn by API",
        figure="figure-edge",
        models=[SLM],
        **measures(*sizes["phone"], len(people), "bn parameters, dense, 4 bit, on a phone"),
    )


def mix_ratios(sent: float, n_in: int = 2_000, n_out: int = 200) -> list[float]:
    """Cost of a solved task with a share sent to the back end over the back end alone, device owned and bought."""
    laptops = edge.consumer()[edge.consumer()["device_class"] == "laptop"]
    arch, usd = architecture(SLM), []
    for where in laptops.to_dict("records"):
        busy = edge.first_token_s(arch, where, "q4", n_in) + n_out / edge.tokens_per_s(arch, where, "q4")
        usd.append([busy * rate for rate in device_usd_per_s(where)])
    back = api_call(API_MODEL, n_in, n_out).mid / SUCCESS["llm"].mid
    return [float(((1 - sent) * device / SUCCESS["slm"].mid + sent * back) / back) for device in np.median(usd, axis=0)]


def need_not_be_on_the_device(e: Evidence) -> Finding:
    """S4-15: share of the grid in which a shared endpoint or an API is the cheapest way to run the small model."""
    shares = {owned: float((cheapest_way(e["grid"], owned) != "device").mean()) for owned in (False, True)}
    low, high = sorted(shares.values())
    cells = len(e["grid"].drop_duplicates(["shape", "limit_ms", "load"]))
    return Finding(
        first_true(holds=low >= 0.2, conditional=high > 0, fails=high == 0),
        rule=f"not a device in {shares[False]:.0%} of {cells} cells when the device is bought for it, "
        f"{shares[True]:.0%} when it is owned anyway and only its electricity counts",
        condition=f"where the device has to be paid for ({shares[False]:.0%} of the cells); with an owned one, "
        f"{shares[True]:.0%}",
        method="grid of V3; interval: from electricity alone to launch price over three years at two hours a day",
        figure="figure-grid",
        models=[SLM],
        **measures(shares[False], low, high, cells, "% of cells, endpoint or API the cheapest", 100),
    )


RULES: dict[str, Rule] = {
    "A2.5": no_noticeable_delay,
    "S0-23": consumer_hardware,
    "S4-14": at_the_edge,
    "S4-15": need_not_be_on_the_device,
}
