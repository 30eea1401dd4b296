"""Money from tokens a second: hand-worked cases, what must be monotone, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmkit.economics import compare, cost, market
from slmkit.economics.catalogue import api_prices
from slmkit.errors import InputError

POSITIVE = st.floats(0.01, 1e4)
SHARE = st.floats(0.01, 1.0)


def test_the_worked_example_of_the_evidence():
    # Llama-3.1-8B FP8 on one H100, 15,220 output tokens/s, USD 2.69 an hour: USD 0.049 per million, input included.
    assert cost.usd_per_mtok_all_in(2.69, 1, 15_220) == pytest.approx(0.049, abs=5e-4)


def test_input_and_output_share_the_rent_by_time():
    # 3.6 USD an hour is 0.001 a second; 1,000 output and 2,000 input tokens/s; a quarter of the time is input.
    usd_in, usd_out = cost.usd_per_mtok(3.6, 1, 1_000, 2_000, 1_000, 0.25)
    assert (usd_in, usd_out) == (pytest.approx(0.125), pytest.approx(0.75))
    assert (usd_in * 2_000 + usd_out * 1_000) / 1_000 == pytest.approx(cost.usd_per_mtok_all_in(3.6, 1, 1_000))


def test_idle_hours_are_paid_for():
    busy, idle = (cost.usd_per_mtok(4, 2, 500, 100, 100, 0.1, load)[1] for load in (1.0, 0.25))
    assert idle == pytest.approx(4 * busy)


@given(price=POSITIVE, factor=st.floats(1.01, 50), rate=POSITIVE, load=SHARE)
def test_cost_scales_with_price_and_falls_with_speed(price, factor, rate, load):
    base = cost.usd_per_mtok_all_in(price, 1, rate, load)
    assert cost.usd_per_mtok_all_in(price * factor, 1, rate, load) == pytest.approx(base * factor)
    assert cost.usd_per_mtok_all_in(price, 1, rate * factor, load) < base
    assert cost.usd_per_mtok_all_in(price, 2, rate, load) == pytest.approx(2 * base)


def test_a_call_with_a_cached_prefix():
    # 600 fresh tokens at 1, 400 cached at 0.1, 100 out at 3 USD a million.
    assert cost.call_usd((1.0, 3.0, 0.1), 1_000, 100, 400) == pytest.approx((600 + 40 + 300) / 1e6)
    with pytest.raises(InputError, match="the input has only 10"):
        cost.call_usd((1.0, 3.0, 0.1), 10, 1, 11)


def test_failed_tasks_are_paid_for():
    assert cost.solved_task_usd(0.01, 5, 0.5) == pytest.approx(0.1)


def test_a_cascade_pays_for_both_calls_when_it_falls_back():
    assert cost.cascade_usd(1, 10, 0.7, 0.5, 0.25) == pytest.approx(1.75 + 3)
    assert cost.cascade_usd(1, 10, 0.0) == 11  # refused every time: the small call comes on top
    # The evidence: at a sevenfold gap and free checks more than 0.14 has to be accepted, at 2.5 more than 0.40.
    assert cost.cascade_break_even(1, 7) == pytest.approx(1 / 7)
    assert cost.cascade_break_even(1, 2.5) == pytest.approx(0.4)


@given(slm=POSITIVE, llm=POSITIVE, accepted=st.floats(0, 1))
def test_the_break_even_of_a_cascade_is_where_it_equals_the_large_model(slm, llm, accepted):
    cheaper = cost.cascade_usd(slm, llm, accepted) < llm * (1 - 1e-9)
    assert not cheaper or accepted > cost.cascade_break_even(slm, llm) * (1 - 1e-9)
    at = float(np.minimum(1, cost.cascade_break_even(slm, llm)))
    if slm < llm:
        assert cost.cascade_usd(slm, llm, at) == pytest.approx(llm)


def test_break_even_points():
    assert cost.break_even_utilization(0.02, 0.1) == pytest.approx(0.2)
    assert cost.break_even_tokens_per_month(1_000, 0.1, 0.6) == pytest.approx(2e9)
    assert cost.break_even_tokens_per_month(1_000, 0.6, 0.1) == np.inf


@pytest.mark.parametrize(
    "wrong, complaint",
    [
        (lambda: cost.usd_per_mtok_all_in(0, 1, 100), "usd_per_gpu_hour: expected an amount above 0"),
        (lambda: cost.usd_per_mtok_all_in(-3, 1, 100), "usd_per_gpu_hour: expected an amount above 0"),
        (lambda: cost.usd_per_mtok_all_in(np.nan, 1, 100), "usd_per_gpu_hour: expected an amount above 0"),
        (lambda: cost.usd_per_mtok_all_in(3, 1, 100, 0), r"utilization: expected a share in \(0, 1\]"),
        (lambda: cost.usd_per_mtok_all_in(3, 1, 100, 30), r"utilization: expected a share in \(0, 1\]"),
        (lambda: cost.cascade_usd(1, 2, 1.2), "acceptance: expected a share from 0 to 1"),
        (lambda: cost.solved_task_usd(1, 0, 0.5), "calls_per_task: expected an amount above 0"),
        (lambda: compare.Setting(utilization=1.5), "utilization"),
        (lambda: compare.Setting(tpot_limit_s=-1), "tpot_limit_s"),
        (lambda: market.rent("h100", -2.0), "usd_per_gpu_hour"),
        (lambda: market.rent("T4"), "no rent for it; give its price"),
    ],
)
def test_bad_input_is_one_line(wrong, complaint):
    with pytest.raises(InputError, match=complaint) as found:
        wrong()
    assert "\n" not in str(found.value)


def test_every_tariff_says_what_it_rests_on():
    host = compare.hosted("llama-3.1-8b", compare.Setting(utilization=0.3, tpot_limit_s=0.05))
    said = host.tariff.says()
    for part in (
        "Llama-3.1-8B",
        "1 x H100-SXM at $",
        "busy 30%",
        "limit 50 ms a token",
        "median",
        host.tariff.precision,
    ):
        assert part in said
    assert any(year in said for year in ("2025", "2026")), "the rent's date"
    listed = cost.by_api(market.served_by_api("llama-3.1-8b").iloc[0].to_dict()).says()
    assert "list price, 2026" in listed and "busy" not in listed


def test_rents_keep_their_range_and_leave_out_what_nobody_can_order():
    found = market.rent("h100")
    assert found.usd.low < found.usd.mid < found.usd.high and found.usd.low > 2  # spot, at 1.25, is left out
    given = market.rent("h100", 3.0)
    assert given.usd.mid == 3.0 and "given by the user" in given.source


def test_api_names_resolve_to_models():
    providers = {model: set(market.served_by_api(model)["provider"]) for model in ("llama-3.1-8b", "llama-3.1-70b")}
    assert {"groq", "together", "novita", "aws", "cerebras"} <= providers["llama-3.1-8b"] & providers["llama-3.1-70b"]
    assert list(market.served_by_api("gpt-oss-120b")["provider"])
    assert market.served_by_api("Phi-3-mini").empty


def test_a_price_by_name_is_the_cheapest_that_fits():
    prices = api_prices()
    assert cost.pick_api(prices, "gpt-4o")["usd_per_1m_output"] == 10  # exact before any longer name
    assert cost.pick_api(prices, "llama-3.1-8b")["provider"] == "novita"
    assert cost.pick_api(prices, "llama-3.1-8b", provider="groq")["provider"] == "groq"
    with pytest.raises(InputError, match="did you mean 'gpt-4o-mini'"):
        cost.pick_api(prices, "gpt-4o-mimi")
    assert cost.blended(1.0, 5.0) == 2.0


def test_comparison_is_whole():
    setting = compare.Setting(tpot_limit_s=0.03, utilization=0.3)
    found = compare.compare("llama-3.1-8b", "llama-3.1-70b", setting, n=200)
    ratio = found["ratio"]
    assert 1 < ratio["low"] < ratio["ratio"] < ratio["high"]
    hosted = [row for row in found["offers"] if row["kind"] == "self-hosted"]
    assert [row["role"] for row in hosted] == ["slm", "llm"]
    for row in hosted:
        assert row["tpot_ms"] <= 30 and row["usd_per_mtok_out"] > 0 and row["regime"] and row["price_source"]
    # The ratio is that of the two offers, since both pay the same rent and load.
    assert ratio["ratio"] == pytest.approx(hosted[1]["usd_per_1k_calls"] / hosted[0]["usd_per_1k_calls"])
    turn = found["break_even"][0]
    offer = next(row for row in found["offers"] if row["offer"] == turn["against"])
    assert hosted[0]["usd_per_1k_calls"] * 0.3 / turn["utilization"] == pytest.approx(offer["usd_per_1k_calls"])


def test_a_model_that_does_not_fit_says_by_how_many_bytes_and_what_would():
    with pytest.raises(InputError, match=r"lacks [\d,]+ bytes on 1 x L4 in fp8; \d+ of them would hold it, or 1 x"):
        compare.hosted("llama-3.1-70b", compare.Setting(gpu="l4", max_gpus=1))
    with pytest.raises(InputError, match="too slow"):
        compare.hosted("llama-3.1-405b", compare.Setting(tpot_limit_s=0.001))


def test_price_and_load_do_not_change_the_deployment():
    first = compare.deploy("llama-3.1-8b", compare.Setting(utilization=0.1, usd_per_gpu_hour=9.0))
    assert first == compare.deploy("llama-3.1-8b", compare.Setting())
