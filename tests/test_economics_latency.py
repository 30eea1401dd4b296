from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from slmkit.economics import fit
from slmkit.economics.compare import Setting, compare, hosted
from slmkit.economics.constants import LATENCY, fitted, record
from slmkit.economics.roofline import predict
from slmkit.economics.throughput import latency
from slmkit.economics.throughput.points import points
from slmkit.economics.throughput.regimes import LATENCY_REGIME, OUTSIDE, errors, latency_error, regime_errors
from slmkit.economics.throughput.rows import checked, read_measured
from slmkit.economics.validate import validate

TRAFFIC = {"precision": "fp8", "input_tokens": 1024, "output_tokens": 256}


def test_a_load_test_reports_the_floor_and_a_share_of_the_burst():
    known = {"ttft_floor_vllm": 1.5, "ttft_burst_vllm": 0.1, "ttft_floor_sglang": 3.0, "ttft_burst_sglang": 1.0}
    engines = np.array(["vllm", "sglang", "llama.cpp"])
    found = latency.reported(np.full(3, 0.2), np.full(3, 4.0), engines, known)
    assert found == pytest.approx([0.7, 4.6, 0.7])  # 1.5 x 0.2 + 0.1 x 4; 3 x 0.2 + 4; an unknown one as vLLM
    assert latency.reported(0.2, 4.0, "vllm", {}) == pytest.approx(0.6), "the guesses: no losses, ten waves"


def test_half_of_a_burst_waits_before_a_request():
    """Prompts of 1,024 tokens go in eight at a time: of 64 at once one waits for half of eight chunks."""
    known = dict(fitted()) | {"chunk_tokens": 8192.0}
    one = predict("Llama-3.1-8B", "h100", concurrency=8, constants=known, **TRAFFIC)
    many = predict("Llama-3.1-8B", "h100", concurrency=64, constants=known, **TRAFFIC)
    chunk = one["burst_s"] * 8 / 4.5
    assert many["burst_s"] == pytest.approx(32.5 * chunk / 8)
    alone = predict("Llama-3.1-8B", "h100", concurrency=1, constants=known, **TRAFFIC)
    assert alone["burst_s"] == pytest.approx(alone["prefill_s"], rel=0.01)


def test_the_first_token_never_comes_before_its_floor():
    found = predict("Qwen3-30B-A3B", "h100", concurrency=np.array([1, 4, 16, 64, 256]), **TRAFFIC)
    assert (found["ttft_s"] >= found["ttft_floor_s"]).all()
    assert (np.diff(found["ttft_s"]) > 0).all() and (np.diff(found["burst_s"]) > 0).all()


def test_a_fit_finds_the_constants_that_made_the_rows():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "engine": "sglang",
            "ttft_floor_s": rng.uniform(0.1, 1, 60),
            "burst_s": rng.uniform(0.1, 9, 60),
            "queue_s": 0.05,
        }
    )
    table["ttft_ms"] = 1e3 * (2.0 * (table["ttft_floor_s"] - 0.05) + 0.3 * table["burst_s"] + 0.05)
    few = table.head(3).assign(engine="trtllm")
    found = latency.fit(pd.concat([table, few]))
    assert found["ttft_floor_sglang"] == pytest.approx(2.0, rel=0.01)
    assert found["ttft_burst_sglang"] == pytest.approx(0.3, rel=0.01)
    assert found["ttft_floor_trtllm"] == LATENCY["ttft_floor_trtllm"].guess, "three rows are too few"


def test_the_recorded_constants_are_what_a_fit_gives():
    table = fit.usable(read_measured())
    found = fit.fit_latency(table, record()["constants"])
    assert {name: found[name] for name in LATENCY} == pytest.approx(record()["latency"]["constants"], rel=1e-3)
    judged = fit.judged(table, found)
    for what in ("ttft", "tpot"):
        stated = record()["latency"]["in_sample"][what]["all"]
        assert errors(judged, f"{what}_ratio")["all"]["median_ape"] == pytest.approx(stated["median_ape"], abs=1e-3)
        assert stated["n"] > 1_600


@pytest.mark.parametrize("split", ["gpu", "shape"])
def test_held_out_errors_are_below_those_of_the_floor(split):
    """What the constants are for: without them the first token comes out two to four times too early."""
    table = fit.usable(read_measured())
    at = points(table).at_best(fitted())
    floor = at["ttft_floor_s"] * 1e3 / table["ttft_ms"].where(table["ttft_ms"] > 0)
    bare = (floor.dropna() - 1).abs().median()
    stated = record()["latency"]["held_out"][split]
    assert stated["ttft"]["all"]["median_ape"] < 0.7 * bare
    assert stated["tpot"]["all"]["median_ape"] < 0.15


def test_errors_go_by_engine_and_are_outside_where_tokens_a_second_are():
    name, median, p90 = latency_error("ttft", "Llama-3.1-70B", "h100", "fp8", 32)
    assert name.startswith("dense H100-SXM vllm") and 0 < median < p90
    assert latency_error("tpot", "Llama-3.1-70B", "h100", "fp8", 32)[1] < median
    assert latency_error("ttft", "Llama-3.1-70B", "a100", "bf16", 32) == OUTSIDE, "no row states one there"
    assert latency_error("ttft", "Llama-3.1-8B", "t4", "fp8") == OUTSIDE


def test_what_a_user_sees_has_an_error_of_its_own():
    setting = Setting(tpot_limit_s=0.03, ttft_limit_s=1.0, input_tokens=2_000, output_tokens=200)
    rows = [row for row in compare("Llama-3.1-8B", "Llama-3.1-70B", setting, n=50)["offers"] if row["tpot_ms"]]
    assert len(rows) == 2
    for row in rows:
        for what in ("ttft", "tpot"):
            assert row[f"{what}_ms_low"] < row[f"{what}_ms"] < row[f"{what}_ms_high"] and row[f"{what}_regime"]
        assert row["ttft_ms"] <= 1_000, "a limit is judged on what a load test would report"
    old = hosted("Llama-3.1-70B", Setting(gpu="A100-SXM-80GB", input_tokens=2_000, output_tokens=200))
    assert old.latency["ttft"][0] == OUTSIDE and old.latency["ttft"][1].high > 2


def test_a_users_rows_are_judged_by_their_latencies_too():
    row = {"hardware": "H100", "n_gpus": 1, "model": "Llama-3.1-8B", "weight_precision": "FP8", "engine": "vLLM 0.12"}
    row |= {"out_tok_s_total": 5_000.0, "concurrency": 64, "input_len": 1000, "output_len": 500}
    rows = pd.DataFrame([row | {"ttft_ms": 300.0, "tpot_or_itl_ms": 12.0}, row | {"ttft_ms": 0.0}])
    found = validate(checked(rows, "test"))
    assert found["n"] == 2 and found["latency"]["ttft"]["n"] == found["latency"]["tpot"]["n"] == 1, "0 is not measured"
    assert found["latency"]["ttft"]["median_ape"] > 0
    assert validate(checked(pd.DataFrame([row]), "test"))["latency"]["ttft"] == {
        "n": 0, "median_ape": None, "p90_ape": None, "bias": None, "regimes": {}}  # fmt: skip


def test_regimes_of_latency_are_of_rows_that_state_one():
    table = fit.judged(fit.usable(read_measured()), fitted())
    found = regime_errors(table, "ttft_ratio", LATENCY_REGIME)
    assert "dense H100-SXM vllm" in found and not any(name.startswith("dense A100") for name in found)
