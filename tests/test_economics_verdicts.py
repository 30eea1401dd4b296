"""Every rule of notebook 02: on the real tables, and on made-up ones that must come out each way."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from slmkit import claims, judging
from slmkit.economics import verdicts
from slmkit.economics.studies import activation, findings, published, tables, workloads
from slmkit.economics.studies import prices as list_prices
from slmkit.economics.verdicts import devices, edges, evidence, operation, prices, serving

UNITS = pd.DataFrame({
    "part": ["all layers", "layer 1 of 2", "layer 2 of 2"], "small_model": "a", "large_model": "b", "large": 50.0,
    "small": 60.0, "difference": [-10.0, -2.0, -20.0], "low": [-11.0, -3.0, -21.0], "high": [-9.0, -1.0, -19.0],
    "n": 100,
})  # fmt: skip


def read_back(table: pd.DataFrame) -> pd.DataFrame:
    """A table as the notebook reads it back from its CSV."""
    return pd.read_csv(io.StringIO(table.to_csv(index=False)))


@pytest.fixture(scope="module")
def real() -> verdicts.Evidence:
    """The real tables with few draws; activation made up, since it runs models."""
    found = {name: read_back(compute()) for name, compute in tables.for_verdicts(200, 200, 0).items()}
    found["share"] = read_back(tables.share(found["grid"], 200, 0))
    return verdicts.Evidence(claims.owned_by("02_economics"), found | {"activation": UNITS}, n_bootstrap=200)


@pytest.fixture(scope="module")
def judged(real) -> dict:
    """All verdicts by claim."""
    return {verdict.claim_id: verdict for verdict in verdicts.judge(real)}


def test_every_claim_has_its_rule_and_passes_the_ledger(judged):
    owned = claims.owned_by("02_economics")
    assert list(judged) == [claim.id for claim in owned] and set(verdicts.RULES) == set(judged)
    for claim in owned:
        verdict = judged[claim.id].model_copy(update={"notebook": "02_economics"})
        claims.check_verdict(verdict)
        assert verdict.threshold == claim.threshold and verdict.rule
        assert (verdict.condition != "") == (verdict.outcome == "conditional")


def test_what_was_measured_elsewhere_comes_out(judged):
    # Published on TensorRT-LLM tables: 5.6 to 9.1 times per GPU against dense 70 bn, 29 to 62 against 405 bn.
    ratio = judged["A2.1"]
    assert ratio.outcome == "conditional" and 4 < ratio.estimate < 10
    assert ratio.interval[0] < 6.8 < ratio.interval[1] * 1.2
    assert judged["S4-3"].outcome == "conditional" and "Llama-3.1-405B" in judged["S4-3"].condition
    assert judged["A2.2"].outcome == "holds"
    assert judged["S0-31"].outcome == "conditional" and "gpt-oss-120b" in judged["S0-31"].condition
    assert 5 < judged["D.3"].estimate < 30


def test_what_no_row_can_tell_is_not_testable(judged):
    for claim, words in (("A2.3", "scheduler"), ("A13", "years"), ("S4-18", "providers")):
        assert judged[claim].outcome == "not_testable" and words in judged[claim].rule, claim


def changed(real: verdicts.Evidence, **other) -> verdicts.Evidence:
    """The evidence with other tables."""
    return verdicts.Evidence(real.claims, dict(real.tables) | other, real.gpu, 200, 0)


@pytest.mark.parametrize(
    "ratio, low, high, outcome", [(15, 12, 20, "holds"), (6, 4, 9, "conditional"), (15, 5, 40, "conditional")]
)
def test_ten_to_thirty(real, ratio, low, high, outcome):
    table = real["saturated"].assign(ratio=ratio, low=low, high=high, energy=ratio, energy_low=low, energy_high=high,
                                     latency=ratio, latency_low=low, latency_high=high)  # fmt: skip
    assert serving.ten_to_thirty(changed(real, saturated=table)).outcome == outcome


def test_ten_to_thirty_fails_where_no_point_of_the_map_reaches_ten(real):
    flat = real["map"].assign(ratio=5.0)
    found = serving.ten_to_thirty(changed(real, map=flat))
    assert found.outcome == "fails"


@pytest.mark.parametrize(
    "rate, speed, outcome",
    [
        ((6, 5.5, 9), (6, 5.5, 9), "holds"),
        ((6, 5.5, 9), (2, 1, 3), "conditional"),
        ((6, 4, 9), (2, 1, 3), "fails"),
    ],
)  # fmt: skip
def test_five_to_ten(real, rate, speed, outcome):
    names = ("ratio", "low", "high", "latency", "latency_low", "latency_high")
    table = real["saturated"].assign(**dict(zip(names, (*rate, *speed), strict=True)))
    assert serving.five_to_ten(changed(real, saturated=table)).outcome == outcome


@pytest.mark.parametrize("estimate, low, high, outcome", [
    (0.95, 0.91, 0.99, "holds"), (0.7, 0.6, 0.8, "conditional"), (0.3, 0.2, 0.4, "fails"),
    (0.48, 0.4, 0.6, "inconclusive"),
])  # fmt: skip
def test_the_grid(real, estimate, low, high, outcome):
    table = pd.DataFrame([{"way": way, "estimate": estimate, "low": low, "high": high, "n": 500}
                          for way in ("own endpoint", "best of endpoint and API")])  # fmt: skip
    found = operation.cheaper_for_most(changed(real, share=table))
    assert found.outcome == outcome and found.interval == pytest.approx((100 * low, 100 * high))


@pytest.mark.parametrize("break_even, outcome", [(0.8, "holds"), (0.15, "conditional"), (0.02, "fails")])
def test_central_serving(real, break_even, outcome):
    table = pd.DataFrame([{"estimate": break_even, "low": break_even / 2, "high": break_even * 1.5, "n": 100}])
    assert operation.central_is_cheaper(changed(real, load=table)).outcome == outcome


@pytest.mark.parametrize("ratio, low, high, rival, outcome", [
    (10, 5, 10, 2.0, "holds"), (1.2, 1, 1.4, 2.0, "fails"), (2, 1.4, 2.5, 2.0, "inconclusive"),
    (10, 5, 10, 0.5, "inconclusive"),
])  # fmt: skip
def test_sharing(real, ratio, low, high, rival, outcome):
    table = real["shared"].assign(cost_ratio=ratio, low=low, high=high, llm_low=rival, llm_over_shared=rival)
    assert operation.sharing_lifts(changed(real, shared=table)).outcome == outcome


@pytest.mark.parametrize("scale, outcome", [(1e12, "holds"), (1e6, "fails")])
def test_fixed_cost(real, scale, outcome):
    table = real["fixed"].assign(estimate=scale, low=scale / 2, high=scale * 2)
    assert operation.hosting_is_dear(changed(real, fixed=table)).outcome == outcome


def test_fixed_cost_over_part_of_the_range(real):
    table = real["fixed"].assign(estimate=[1e8, 1e8, 1e10, 1e10], low=[1e7, 1e7, 2e9, 2e9], high=[5e8, 5e8, 1e11, 1e11])
    found = operation.hosting_is_dear(changed(real, fixed=table))
    assert found.outcome == "conditional" and "5,000" in found.condition


@pytest.mark.parametrize("low, high, outcome", [(1e3, 9e4, "holds"), (2e6, 9e9, "fails"), (1e4, 9e6, "inconclusive")])
def test_payback(real, low, high, outcome):
    table = real["payback"].assign(tasks=(low * high) ** 0.5, low=low, high=high)
    assert operation.development_repaid(changed(real, payback=table)).outcome == outcome


def test_payback_for_some_prices(real):
    table = real["payback"].assign(low=1e4, high=1e6)
    table.loc[0, "high"] = 5e4
    found = operation.development_repaid(changed(real, payback=table))
    assert found.outcome == "conditional" and found.condition.count("refreshes") == 1


@pytest.mark.parametrize("won, outcome", [(5, "holds"), (4, "conditional"), (3, "conditional"), (2, "fails")])
def test_five_uses(real, won, outcome):
    ratio = [2.0] * won + [0.5] * (5 - won)
    table = real["uses"].assign(ratio=ratio, low=0.1, high=9.0, only=False)
    assert operation.five_uses(changed(real, uses=table)).outcome == outcome


@pytest.mark.parametrize("gap, parts, outcome", [
    (-10, (-10, -10), "holds"), (-3, (-3, -10), "conditional"), (-3, (-3, -3), "fails"), (4, (4, 4), "fails"),
])  # fmt: skip
def test_parameters_in_use(real, gap, parts, outcome):
    table = UNITS.assign(
        difference=[gap, *parts], low=[gap - 1, *(p - 1 for p in parts)], high=[gap + 1, *(p + 1 for p in parts)]
    )
    assert serving.wasted_parameters(changed(real, activation=table)).outcome == outcome


@pytest.mark.parametrize("low, outcome", [(120, "holds"), (20, "conditional")])
def test_a_hundredfold(real, low, outcome):
    table = real["list"].copy()
    table.loc[table["rival"] == "dense 70 bn", ["estimate", "low", "high", "most"]] = [low * 1.2, low, low * 2, low * 2]
    assert prices.hundredfold(changed(real, list=table)).outcome == outcome
    cheap = table.assign(low=1.0, estimate=2.0, high=3.0, most=3.0)
    assert prices.hundredfold(changed(real, list=cheap)).outcome == "fails"


def test_falling_prices_need_two_years(real):
    rows = [{"series": name, "n": 20, "years": 3.0, "estimate": -0.3, "low": -0.4, "high": -0.2}
            for name in ("rent H100-SXM", "Llama-3.1-8B at x")]  # fmt: skip
    assert prices.falling(changed(real, trends=pd.DataFrame(rows))).outcome == "holds"
    rows[1] |= {"estimate": 0.0, "low": -0.15, "high": 0.1}
    assert prices.falling(changed(real, trends=pd.DataFrame(rows))).outcome == "conditional"
    rising = [row | {"estimate": 0.2, "low": 0.1, "high": 0.3} for row in rows]
    assert prices.falling(changed(real, trends=pd.DataFrame(rising))).outcome == "fails"


def test_special_chips_need_three_providers(real):
    rows = [{"provider": str(i), "ratio": ratio, "special": i < 3} for i, ratio in enumerate([20, 21, 22, 7, 7.5, 8])]
    assert prices.special_chips(changed(real, chips=pd.DataFrame(rows))).outcome == "holds"
    same = [row | {"ratio": 7 + 0.1 * i} for i, row in enumerate(rows)]
    assert prices.special_chips(changed(real, chips=pd.DataFrame(same))).outcome == "fails"


def test_a_class_that_follows_the_bar(real):
    table = real["fit_map"]
    steady = table.assign(tok_s=np.where(table["fits"], 500.0, 0.1))
    moved = table.assign(fits=True, tok_s=10.0)
    assert devices.usable(changed(real, fit_map=steady)).outcome == "holds"
    assert devices.usable(changed(real, fit_map=moved)).outcome == "fails"


def test_where_the_small_model_runs_cheapest(real):
    grid = real["grid"].assign(device_usd=1e-9, device_power_usd=1e-9)
    assert edges.need_not_be_on_the_device(changed(real, grid=grid)).outcome == "fails"
    grid = real["grid"].assign(device_usd=1e9, device_power_usd=1e9)
    assert edges.need_not_be_on_the_device(changed(real, grid=grid)).outcome == "holds"


def test_a_mix_of_device_and_back_end_by_hand():
    # All tasks sent: the back end alone, beside nothing on the device.
    assert edges.mix_ratios(1.0) == pytest.approx([1.0, 1.0])
    owned, bought = edges.mix_ratios(0.0)
    assert 0 < owned < bought


def test_first_true_and_within():
    assert judging.first_true(holds=False, conditional=True, fails=True) == "conditional"
    assert judging.first_true(holds=False) == "inconclusive"
    assert evidence.within(10, 30, 10, 30) and not evidence.within(9.9, 30, 10, 30)


def test_the_share_of_the_grid_by_hand():
    table = pd.DataFrame({"shape": "chat", "limit_ms": [1, 2, 3, 4], "load": 1.0, "rival": "dense 70 bn",
                          "ratio": [3.0, 1.5, 0.5, np.inf], "spread": [0.1, 0.5, 0.1, 0.1]})  # fmt: skip
    # 3 e^-0.196 and infinity lie above one; 1.5 e^-0.98 and 0.5 do not.
    assert workloads.share_cheaper(table, "h100", n=50)["estimate"] == 0.5


def test_units_in_use_by_hand():
    # 90 % of a mass of 100 in units of 50, 30, 15, 5: three of four.
    assert activation.share_of_units(np.array([5.0, 50.0, 15.0, 30.0])) == 0.75
    assert activation.share_of_units(np.ones(10)) == pytest.approx(0.9)


def shares(model: str, *by_layer: float) -> pd.DataFrame:
    """A table of `activation.measure`: the share of each layer, for three prompts that differ a little."""
    rows = [{"model": model, "prompt": prompt, "layer": layer, "share": share + prompt / 1_000}
            for prompt in range(3) for layer, share in enumerate(by_layer)]  # fmt: skip
    return pd.DataFrame(rows)


def test_layers_are_paired_by_depth():
    table = activation.compare(shares("s", 0.5, 0.9), shares("l", 0.4, 0.5, 0.6), n_resamples=100)
    assert list(table["part"]) == ["all layers", "layer 1 of 3", "layer 2 of 3", "layer 3 of 3"]
    assert table["difference"].tolist() == pytest.approx([-20, -10, 0, -30])  # the middle goes with the first
    assert (table["low"] <= table["difference"]).all() and table["large_model"].eq("l").all()


@pytest.mark.parametrize("text, year", [
    ("2026-01-01", 2026.0), ("2026-07", 2026.54), ("2025 catalogue snapshot", 2025.5), ("2024-12", 2024.96),
])  # fmt: skip
def test_dates_as_they_stand_in_the_catalogue(text, year):
    assert list_prices.year_of(text) == pytest.approx(year, abs=0.01)


def test_a_trend_needs_two_years_and_finds_the_change(monkeypatch):
    years = np.linspace(2022, 2026, 12)
    table = pd.DataFrame({"series": "rent X", "year": years, "usd": 4 * 0.8 ** (years - 2022)})
    monkeypatch.setattr(list_prices, "dated", lambda: table)
    row = list_prices.trends(200).iloc[0]
    assert row["estimate"] == pytest.approx(-0.2) and row["low"] <= row["estimate"] <= row["high"]
    monkeypatch.setattr(list_prices, "dated", lambda: table[table["year"] > 2024.5])
    assert np.isnan(list_prices.trends(200).iloc[0]["estimate"])


def test_published_pairs_are_of_one_gpu_and_load():
    table = published.pairs()
    assert len(table) > 300 and (table["ratio"] > 0).all()
    assert not {"Llama-3.1-8B"} & set(table["shape_large"])
    dense = table[(table["shape_large"] == "Llama-3.1-70B") & (table["family"] == "trtllm_v1.0_offline")]
    assert 5 < dense["ratio"].median() < 9  # the table of the evidence: 6.0 to 9.1 on H100, 5.6 to 8.0 on H200


def test_titles_are_whole_sentences(real):
    cells = workloads.shares(real["grid"])
    titles = [
        findings.by_parameters(real["saturated"]), findings.by_map(real["map"]), findings.by_grid(cells),
        findings.by_use(real["uses"]), findings.by_prices(real["list"]), findings.by_adapters(real["shared"]),
        findings.by_fixed(real["fixed"]), findings.by_payback(real["payback"]), findings.by_units(UNITS),
        findings.by_device(real["fit_map"][real["fit_map"]["precision"] == "4 bit"]),
    ]  # fmt: skip
    for title in titles:
        assert 20 < len(title) < 140 and "nan" not in title
        assert title.rstrip() == title and not title.endswith((",", " it", ":", "are"))
