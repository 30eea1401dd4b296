"""Queues, days and shared adapters against formulas worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmkit.economics import adapters, demand
from slmkit.errors import InputError


def test_erlang_by_hand():
    assert demand.erlang_c(1, 0.5) == pytest.approx(0.5)  # one server: the wait is as likely as it is busy
    assert demand.erlang_c(2, 1.0) == pytest.approx(1 / 3)
    # Three servers, offered 2: B = (8/6) / (1 + 2 + 2 + 8/6) = 4/19, C = B / (1 - 2/3 (1 - B)).
    assert demand.erlang_c(3, 2.0) == pytest.approx((4 / 19) / (1 - 2 / 3 * (1 - 4 / 19)))
    assert demand.erlang_c(5, 5.0) == 1.0


def test_the_wait_of_one_server_is_that_of_the_textbook():
    # M/M/1 at half load and 1 s of service waits 1 s; the correction for a coefficient of 0.5 makes it 0.75 s.
    assert demand.wait_s(0.5, 1.0, 1, service_scv=1.0) == pytest.approx(1.0)
    assert demand.wait_s(0.5, 1.0, 1) == pytest.approx(0.75)
    assert demand.wait_s(1.0, 1.0, 1) == np.inf


@given(slots=st.integers(1, 400), service=st.floats(0.1, 60), limit=st.floats(0.01, 5))
def test_the_highest_load_keeps_the_limit_and_no_more(slots, service, limit):
    load = float(demand.highest_load_rps(service, slots, limit))
    assert 0 < load < slots / service
    assert demand.wait_s(load, service, slots) <= limit
    assert demand.wait_s(load * 1.001, service, slots) > limit * 0.999 or load * 1.001 >= slots / service * 0.999


@given(slots=st.integers(1, 200), service=st.floats(0.1, 30))
def test_more_slots_carry_more_than_their_share(slots, service):
    one, two = (float(demand.highest_load_rps(service, n, 1.0)) for n in (slots, 2 * slots))
    assert two >= 2 * one * (1 - 1e-6)


@pytest.mark.parametrize("shape", demand.SHAPES)
def test_a_day_keeps_its_mean(shape):
    assert demand.curve(shape, 3.0).mean() == pytest.approx(3.0)
    assert demand.peak_to_mean(shape) >= 1 - 1e-12


def test_a_day_with_a_peak_leaves_more_idle_than_a_flat_one():
    busy = {shape: demand.plan(shape, 200.0, 10.0, 100)["utilization"] for shape in demand.SHAPES}
    assert busy["constant"] > busy["daily"] > busy["bursty"]
    with pytest.raises(InputError, match="did you mean 'daily'"):
        demand.curve("daly", 1.0)


def test_a_plan_by_hand():
    # 100 slots of 10 s are 10 requests a second; a flat 25 a second needs three of them and leaves them at 5/6.
    found = demand.plan("constant", 25.0, 10.0, 100, wait_limit_s=1e3)
    assert (found["replicas"], found["utilization"]) == (3, pytest.approx(25 / 30))


def test_idle_hardware_changes_the_ratio():
    assert demand.effective_ratio(6.8, 0.05, 0.8) == pytest.approx(6.8 / 16)  # the fleet of the evidence


def test_bytes_of_an_adapter_by_hand():
    # hidden 4, kv 2, MLP 8, rank 2: q, o: 2 x 8; k, v: 2 x 6; three of 12 -> 64 sides x 2 x 2 bytes, 3 layers.
    assert adapters.adapter_bytes(4, 3, 8, 2, 2) == 3 * (2 * 8 + 2 * 6 + 3 * 12) * 2 * 2


def test_touched_adapters_slow_a_step_by_their_bytes():
    assert adapters.step_slowdown(1, 64, 10, 1_000) == pytest.approx(1.01)
    assert adapters.step_slowdown(10, 1, 10, 1_000) == pytest.approx(1.01)  # one request touches one adapter
    assert adapters.step_slowdown(10, 10_000, 10, 1_000) == pytest.approx(1.1)


def test_sharing_by_hand():
    # Ten adapters at 5 % fill half of one endpoint; at 80 % of its speed it is 62.5 % busy: one replica for ten.
    found = adapters.compare(10, 0.05, service_s=20.0, slots=100)
    assert (found["own_replicas"], found["shared_replicas"], found["cost_ratio"]) == (10, 1, 10)
    assert found["shared_utilization"] == pytest.approx(0.625)
    # Ten adapters of a fiftieth of a step each make it 1.2 times as long: 75 % busy.
    heavy = adapters.compare(10, 0.05, service_s=20.0, slots=1_000, adapter_share=0.02)
    assert heavy["shared_utilization"] == pytest.approx(0.75)
    full = adapters.compare(10, 0.9, service_s=20.0, slots=100, engine_share=1.0)
    assert full["cost_ratio"] == pytest.approx(1.0, abs=0.15)  # nothing to share on busy endpoints


def test_the_gain_has_an_interval_and_a_rival():
    base = {"service_s": 20.0, "slots": 100, "llm": {"service_s": 40.0, "slots": 100, "cost": 2.0}}
    found = adapters.gain(base, 10, 0.05)
    assert found["low"] <= found["cost_ratio"] <= found["high"] and found["low"] < found["high"]
    assert found["llm_over_shared"] == 4.0  # half as fast: two replicas of twice the cost
    assert found == adapters.gain(base, 10, 0.05)
    with pytest.raises(InputError, match="load_share"):
        adapters.compare(3, 0.0, service_s=1.0, slots=1)
