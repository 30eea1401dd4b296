"""The power curve, and which model runs on which device."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmkit.economics import edge, energy
from slmkit.economics.architecture import architecture
from slmkit.errors import InputError

SHARE = st.floats(0, 1)


def test_the_power_curve_by_hand():
    assert energy.gpu_watts(0.0, 0.0) == 292
    assert energy.gpu_watts(0.0, 0.32) == pytest.approx(387, abs=1)  # about what was measured at batch 1
    assert energy.gpu_watts(0.9, 0.9) == 700  # capped
    assert energy.gpu_watts(0.0, 0.0, tdp_w=350) == 146
    assert (energy.curve_error(700, "H100-SXM"), energy.curve_error(350, "L40S")) == (0.11, 0.22)


@given(compute=SHARE, memory=SHARE, tdp=st.floats(50, 1_500))
def test_a_gpu_never_draws_more_than_its_limit(compute, memory, tdp):
    watts = float(energy.gpu_watts(compute, memory, tdp))
    assert 0 < watts <= tdp + 1e-9
    assert energy.gpu_watts(min(1, compute + 0.1), memory, tdp) >= watts


def test_joules_and_grams_by_hand():
    assert energy.joules_per_token(500, 2, 1_000) == pytest.approx(1.0)
    # Half idle: an idle GPU at 12 % of 700 W is paid for each busy second as well.
    assert energy.joules_per_token(500, 1, 1_000, utilization=0.5) == pytest.approx((500 + 84) / 1_000)
    assert energy.joules_per_token(500, 1, 1_000, host_share=0.3, pue=1.2) == pytest.approx(0.5 * 1.3 * 1.2)
    assert energy.grams_co2(3.6e6, 400) == pytest.approx(400)
    assert energy.usd(3.6e6, 0.25) == pytest.approx(0.25)
    with pytest.raises(InputError, match="utilization"):
        energy.joules_per_token(500, 1, 1_000, utilization=0)


def test_every_device_row_is_whole():
    table = edge.devices()
    numbers = table[["memory_bytes", "bandwidth_bytes_s", "fp16_flop_s", "usd_at_launch", "power_w", "released"]]
    assert (numbers > 0).all().all() and table["device"].is_unique
    assert set(table["verified"]) <= {"yes", "partial", "no"}
    assert table["source"].str.startswith("https://").all() and not (table["verified"] == "no").any()
    assert set(edge.consumer()["device_class"]) == set(edge.CLASSES)
    assert edge.consumer()["memory_bytes"].between(*edge.CONSUMER_BYTES).all()
    assert set(edge.published()["device"]) <= set(table["device"])


def assumed(table, value: str) -> set[str]:
    """Devices whose notes say in one clause that a value is an assumption."""
    said = table["notes"].fillna("").str.contains(rf"(?:^|; )[^;]*{value}[^;]*assumption")
    return set(table.loc[said, "device"])


def test_no_speed_of_a_device_that_people_buy_is_an_assumption():
    owned = edge.owned()
    assert assumed(owned, "power") and assumed(owned, "price"), "what is assumed is found where it is said"
    assert assumed(owned, "bandwidth") == set() and assumed(owned, "FLOP/s") == set()
    # A row said to be read in full has no assumed value, and a partial one says which is not read.
    whole = owned["verified"] == "yes"
    assert not owned.loc[whole, "notes"].fillna("").str.contains("assumption").any()
    assert owned.loc[~whole, "notes"].str.contains("read|assumption").all()


def test_bytes_of_a_token_by_hand():
    arch = architecture("llama-3.1-8b")
    # Weights without the input embedding, which is looked up, and 256 tokens of a 131,072-byte cache.
    want = arch.weight_bytes("bf16") - 2 * arch.head_params + 256 * 131_072
    assert edge.token_bytes(arch, "bf16", 256) == pytest.approx(want, rel=0.002)
    assert edge.memory_bytes(arch, "bf16") == arch.weight_bytes("bf16") + 4_096 * 131_072


def test_the_edge_error_holds_on_devices_left_out():
    found = edge.fit()
    assert found.n >= 60 and 0.3 < found.memory_share <= 1
    assert found.median_ape <= 0.20 and found.p90_ape <= 0.60
    table = edge.validation()
    assert len(table) == found.n and table["ape"].median() == found.median_ape
    near = table[(table["device"] == "RTX-4090") & (table["model"] == "Llama-3.1-8B")]
    assert (near["ape"] < 0.15).all()


def test_faster_memory_is_never_slower_and_larger_models_never_faster():
    where = edge.device("RTX-4060").to_dict()
    faster = where | {"bandwidth_bytes_s": where["bandwidth_bytes_s"] * 1.5}
    speeds = [edge.tokens_per_s(architecture(name), where, "q4") for name in edge.LADDER]
    assert speeds == sorted(speeds, reverse=True)
    assert edge.tokens_per_s(architecture("qwen2.5-7b"), faster, "q4") > speeds[3]
    assert edge.first_token_s(architecture("qwen2.5-7b"), where, "q4", 1_024) > edge.first_token_s(
        architecture("qwen2.5-7b"), where, "q4", 512
    )


def test_the_map_follows_memory_in_bytes():
    table = edge.fit_map(["qwen2.5-7b", "qwen2.5-72b"], ["4 bit", "16 bit"])
    phone = table[table["device"] == "iPhone-15-Pro"].set_index(["model", "precision"])["fits"]
    assert phone["Qwen2.5-7B", "4 bit"] and not phone["Qwen2.5-7B", "16 bit"] and not phone["Qwen2.5-72B", "4 bit"]
    assert (table["fits"] == (table["needs_bytes"] <= table["memory_bytes"])).all()
    assert (table["tok_s_low"] < table["tok_s"]).all() and (table["ttft_s"] <= table["ttft_s_high"]).all()


def test_the_size_line():
    phone, desktop = (edge.device(name).to_dict() | {"device": name} for name in ("iPhone-15-Pro", "RTX-4090"))
    assert 3 < edge.largest_size_bn(phone) < 10 < edge.largest_size_bn(desktop) < 72
    assert edge.largest_size_bn(phone, bar_tok_s=5) > edge.largest_size_bn(phone, bar_tok_s=20)
    assert edge.largest_size_bn(phone, bar_tok_s=1e6) == 0.0
    sizes = sorted(edge.largest_size_bn(row) for row in edge.consumer().to_dict("records"))
    line = edge.line_bn(edge.consumer())
    assert np.mean([size >= line for size in sizes]) >= 0.5
    assert np.mean([size >= line * 1.001 for size in sizes]) < 0.5 + 1 / len(sizes)


def test_an_unknown_device_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'RTX-4090'"):
        edge.device("RTX-4091")
