from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from slmkit import config, files
from slmkit.economics import fit
from slmkit.economics.architecture import architecture
from slmkit.economics.constants import CONSTANTS, LATENCY, fitted, record
from slmkit.economics.throughput.points import points
from slmkit.economics.throughput.regimes import OUTSIDE, band, errors, reach, regime_error, summary
from slmkit.economics.throughput.rows import engine_family, layout, questions, read_measured
from slmkit.economics.validate import compare, validate
from slmkit.errors import InputError

# The bars: constants are never fitted on the rows judged. MoE p90 and medians are stated as they are elsewhere.
DENSE_MEDIAN, DENSE_P90 = 0.12, 0.40
MOE_MEDIAN, MOE_P90 = 0.20, 0.70


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return read_measured()


@pytest.fixture(scope="module")
def usable(rows) -> pd.DataFrame:
    return fit.usable(rows)


def one(**change) -> pd.DataFrame:
    """A measured row of a user: Llama-3.1-8B on one H100."""
    row = {"hardware": "H100", "n_gpus": 1, "model": "Llama-3.1-8B", "weight_precision": "FP8"}
    row |= {"out_tok_s_total": 5_000.0, "concurrency": 64, "input_len": 1000, "output_len": 500, "engine": "vLLM 0.12"}
    return pd.DataFrame([row | change])


def write(tmp_path, table: pd.DataFrame):
    table.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path / "rows.csv"


def test_the_record_is_of_the_committed_rows(rows):
    file = config.resource("data/economics/measured_throughput.csv")
    assert record()["rows_sha256"] == fit.rows_sha256(rows) == files.sha256(file)
    assert not fit.changed()
    assert record()["fitted_on"].startswith("20") and record()["n_rows"] > 2_900
    assert set(fitted()) == set(CONSTANTS) | set(LATENCY)


@pytest.mark.parametrize("split", fit.SPLITS)
def test_held_out_error_is_within_the_bars(split):
    held_out = record()["held_out"][split]
    assert held_out["dense"]["n"] > 1_700 and held_out["moe"]["n"] > 1_200
    assert held_out["dense"]["median_ape"] <= DENSE_MEDIAN and held_out["dense"]["p90_ape"] <= DENSE_P90
    assert held_out["moe"]["median_ape"] <= MOE_MEDIAN and held_out["moe"]["p90_ape"] <= MOE_P90


@pytest.mark.parametrize(("split", "name"), [("gpu", "L40S"), ("source", "trtllm_v0.9_static")])
def test_a_recorded_fold_is_what_a_refit_gives(usable, split, name):
    out = usable[f"left_out_{split}"] == name
    constants = fit.fit(usable[~out].reset_index(drop=True), max_steps=20)
    part = usable[out].reset_index(drop=True)
    found = summary(pd.Series(points(part).throughput(constants)) / part["out_tok_s_total"])
    recorded = record()["worst_left_out"][split][name]
    assert found["n"] == recorded["n"]
    assert found["median_ape"] == pytest.approx(recorded["median_ape"], abs=0.015)
    assert found["p90_ape"] == pytest.approx(recorded["p90_ape"], abs=0.03)


@pytest.mark.full
def test_all_folds_are_what_a_refit_gives(usable):
    for split in fit.SPLITS:
        found, recorded = errors(fit.held_out(usable, split)), record()["held_out"][split]
        for kind in ("dense", "moe"):
            assert found[kind]["median_ape"] == pytest.approx(recorded[kind]["median_ape"], abs=0.01)
            assert found[kind]["median_ape"] <= (DENSE_MEDIAN if kind == "dense" else MOE_MEDIAN)


def test_committed_constants_on_all_rows(rows):
    found = validate(rows)
    assert found["n"] + sum(found["skipped"].values()) == len(rows)
    assert found["n"] / len(rows) >= 0.95
    dense, moe = found["regimes"]["dense"], found["regimes"]["moe"]
    assert dense["median_ape"] <= 0.10 and dense["p90_ape"] <= 0.35 and abs(dense["bias"]) < 0.03
    assert moe["median_ape"] <= 0.15 and moe["p90_ape"] <= 0.50 and abs(moe["bias"]) < 0.05
    assert found["default_input"] > 250
    assert {"gpu H100-SXM", "engine vllm", "precision fp8", "concurrency saturated", "moe B200-SXM"} <= set(
        found["regimes"]
    )


def test_constants_matter(rows):
    """Without losses the model is the peak roofline, and far too fast: the error sees it."""
    some = rows[rows["family"] == "trtllm_v0.14_offline"]
    ideal = dict(fitted()) | {name: 1.0 for name in CONSTANTS if name.startswith(("mfu", "mbu", "link_share"))}
    ideal |= {"layer_s": 0.0, "step_s_trtllm": 0.0, "sequence_s_trtllm": 0.0, "passes": 0.0, "prefill_layer_s": 0.0}
    assert validate(some, ideal)["median_ape"] > 2 * validate(some)["median_ape"]


def test_fitting_finds_constants_that_made_the_rows(usable):
    part = usable[(usable["gpu"] == "H100-SXM") & usable["tp"].notna()].iloc[::6].reset_index(drop=True)
    true = {name: constant.guess for name, constant in CONSTANTS.items()} | {"mbu_weights": 0.6, "layer_s": 8e-5}
    part["out_tok_s_total"] = points(part).throughput(true)
    found = fit.fit(part.dropna(subset=["out_tok_s_total"]).reset_index(drop=True), pull=0.02)
    assert found["mbu_weights"] == pytest.approx(0.6, rel=0.1)
    assert found["layer_s"] == pytest.approx(8e-5, rel=0.2)


def test_a_users_file_is_read(tmp_path):
    table = pd.concat([one(), one(concurrency=np.nan), one(model="Qwen3-8B-Instruct")])
    found = validate(read_measured(write(tmp_path, table)))
    assert found["n"] == 3 and found["skipped"] == {} and found["default_input"] == 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"out_tok_s_total": np.nan}, r"row 3: out_tok_s_total is nan; it must be a number above 0"),
        ({"out_tok_s_total": -1}, r"row 3: out_tok_s_total is -1"),
        ({"n_gpus": 0}, r"row 3: n_gpus is 0"),
        ({"model": None}, r"row 3: model is nan; it must be given"),
        ({"concurrency": "many"}, r"row 3: concurrency is 'many'; it must be a number or blank"),
    ],
)
def test_a_broken_row_is_named_by_its_number(tmp_path, change, complaint):
    table = pd.concat([one(), one(**change)])
    with pytest.raises(InputError, match=complaint):
        read_measured(write(tmp_path, table))


def test_a_missing_column_or_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no column 'model'"):
        read_measured(write(tmp_path, one().drop(columns="model")))
    with pytest.raises(InputError, match="cannot be read as CSV"):
        read_measured(tmp_path / "none.csv")
    with pytest.raises(InputError, match="no rows"):
        read_measured(write(tmp_path, one().iloc[:0]))


def test_what_cannot_be_predicted_is_counted_by_reason():
    table = pd.concat(
        [
            one(),
            one(model="Unheard-of-3B"),
            one(hardware="Abacus"),
            one(weight_precision="FP3"),
            one(hardware="MI300X (x8), MI325X (x16)"),
            one(model="Llama-3.1-405B"),
        ],
        ignore_index=True,
    )
    found = validate(read_checked(table))
    assert found["n"] == 1
    assert found["skipped"] == {
        "unknown model": 1,
        "unknown hardware": 1,
        "unknown precision": 1,
        "mixed hardware": 1,
        "does not fit in memory or its latency limit": 1,
    }


def read_checked(table: pd.DataFrame) -> pd.DataFrame:
    from slmkit.economics.throughput.rows import checked

    return checked(table, "test")


def test_blank_lengths_take_a_documented_default_and_are_flagged():
    table = pd.concat([one(input_len=np.nan), one(input_len=150)], ignore_index=True)
    found = compare(read_checked(table))
    assert found["default_input"].tolist() == [True, False]
    assert found["predicted"].nunique() == 1
    offline = one(scenario="mlperf_datacenter_offline (long-context mix)", input_len=np.nan, output_len=np.nan)
    asked = questions(read_checked(offline)).iloc[0]
    assert (asked["input_tokens"], asked["output_tokens"]) == (9428, 685)


def test_a_limit_of_latency_lowers_what_is_predicted():
    offline = one(scenario="mlperf_datacenter_offline (OpenOrca)", model="Llama-2-70B", n_gpus=8, concurrency=np.nan)
    limited = offline.assign(scenario="mlperf_datacenter_interactive (OpenOrca)")
    fast, slow = (compare(read_checked(table))["predicted"].iloc[0] for table in (offline, limited))
    assert slow < fast


def test_layouts_as_the_rows_mean_them():
    row = {"tp": 64.0, "pp": 1.0, "dp": 1.0, "ep": 8.0, "n_gpus": 64, "source_url": "x#deepseek_tp8_ep8_921"}
    deepseek = architecture("DeepSeek-R1")

    def read(arch=deepseek, **change) -> tuple[float, ...]:
        found = layout(row | change, arch)
        return tuple(found[name] for name in ("tp", "dp", "ep", "replicas"))

    assert read() == (8, 1, 8, 1)
    assert read(source_url="unknown")[0] == 8
    assert read(dp=64.0) == (8, 8, 8, 1)
    assert read(tp=72.0, n_gpus=72, ep=1.0, source_url="") == (72, 72, 72, 1)
    assert np.isnan(read(tp=np.nan, ep=np.nan, source_url="")[0])
    plain = {"tp": 2.0, "ep": np.nan, "dp": 4.0, "n_gpus": 8, "source_url": ""}
    assert read(architecture("Llama-3.1-8B"), **plain) == (2, 1, 1, 4)  # a dense model is copied
    assert read(**plain) == (8, 8, 8, 1)  # a mixture of experts is spread


def test_replicas_share_the_requests_in_flight():
    single = compare(read_checked(one(tp=1)))["predicted"].iloc[0]
    four = compare(read_checked(one(tp=1, n_gpus=4, concurrency=256)))["predicted"].iloc[0]
    assert four == pytest.approx(4 * single)


@pytest.mark.parametrize(
    ("engine", "family"),
    [
        ("TensorRT-LLM 1.0", "trtllm"),
        ("trtllm 1.2.0rc2", "trtllm"),
        ("NVIDIA NIM 1.8.0", "trtllm"),
        ("vLLM 0.10", "vllm"),
        ("sglang", "sglang"),
        ("llama.cpp/ollama", "llama.cpp"),
        ("something new", "vllm"),
        (np.nan, "vllm"),
    ],
)
def test_engine_families(engine, family):
    assert engine_family(engine) == family


def test_every_regime_states_its_error_or_that_it_has_none():
    name, median, p90 = regime_error("Llama-3.1-70B", "h100", "fp8", 64)
    assert name.startswith("dense H100-SXM fp8") and 0 < median < p90 < 1
    assert regime_error("Llama-3.1-8B", "t4", "fp8") == OUTSIDE
    assert regime_error("Qwen3-30B-A3B", "a100", "int4") == OUTSIDE


def test_bands_and_summaries():
    assert [band(value) for value in (1, 4, 63, 256, 9e9, np.nan)] == [
        "1-3",
        "4-15",
        "16-63",
        "256+",
        "256+",
        "saturated",
    ]
    found = summary(pd.Series([1.1, 0.9, 1.0, 2.0, np.nan]))
    assert found["n"] == 4 and found["median_ape"] == pytest.approx(0.1) and found["bias"] == pytest.approx(0.05)
    assert summary(pd.Series([], dtype=float))["n"] == 0


def test_more_requests_in_flight_than_were_measured_are_outside():
    most = reach()["gpt-oss-120b"]
    assert 64 <= most < 4_096
    assert regime_error("gpt-oss-120b", "H100-SXM", "fp8", most) != OUTSIDE
    assert regime_error("gpt-oss-120b", "H100-SXM", "fp8", 2 * most) == OUTSIDE
    assert regime_error("Llama-3.1-8B", "H100-SXM", "fp8", 10_000) != OUTSIDE, "measured saturated"


def test_models_far_from_the_measured_sizes_are_outside():
    assert regime_error("Llama-3.1-8B", "B200-SXM", "fp8", 64) == OUTSIDE, "only 70 bn was measured there in fp8"
    assert regime_error("Llama-3.1-70B", "B200-SXM", "fp8", 64) != OUTSIDE
    assert regime_error("SmolLM2-135M", "H100-SXM", "bf16", 8) == OUTSIDE
    assert regime_error("Llama-3.1-405B", "H100-SXM", "bf16", 8) == OUTSIDE
