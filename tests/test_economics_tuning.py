"""Training cost and payback against the figures of the evidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmkit.economics import tuning
from slmkit.economics.uncertainty import Range
from slmkit.errors import InputError

H100 = 989e12


@pytest.mark.parametrize(
    "parameters, tokens, hours, usd",
    [(8e9, 10e6, 0.22, 0.60), (8e9, 100e6, 2.2, 6.0), (70e9, 10e6, 2.0, 5.3), (405e9, 10e6, 11.4, 31)],
)  # fmt: skip
def test_gpu_hours_of_the_evidence(parameters, tokens, hours, usd):
    # First principles on an H100 at 40 % and USD 2.69 an hour, adapters.
    flop = tuning.training_flop(parameters, tokens)
    assert flop / (0.4 * H100) / 3600 == pytest.approx(hours, rel=0.03)
    assert tuning.training_usd(parameters, tokens, H100, 0.4, 2.69) == pytest.approx(usd, rel=0.03)


def test_full_tuning_needs_half_as_much_again():
    assert tuning.training_flop(1e9, 1e6, full=True) == pytest.approx(1.5 * tuning.training_flop(1e9, 1e6))


def test_development_by_hand():
    found = tuning.development_usd(
        parameters=1e9, peak_flop_s=1e15, usd_per_gpu_hour=3.6, n_labels=1_000, usd_per_label=0.1,
        tokens_per_example=1_000, epochs=2, mfu=0.5, runs=1, evaluation_usd=50, people_hours=2, usd_per_person_hour=25,
    )  # fmt: skip
    # 2e6 tokens x 4e9 FLOP = 8e15, at 5e14 a second 16 s, at 0.001 USD a second.
    assert found["gpu"] == pytest.approx(0.016)
    assert (found["labels"], found["evaluation"], found["people"]) == (100, 50, 50)
    assert found["total"] == pytest.approx(200.016)


def test_payback_by_hand():
    assert tuning.payback_tasks(1_000, 0.02, 0.01) == pytest.approx(100_000)
    assert tuning.payback_tasks(1_000, 0.02, 0.01, refreshes=4) == pytest.approx(300_000)  # each at half the cost
    assert tuning.payback_tasks(1_000, 0.01, 0.02) == np.inf
    with pytest.raises(InputError, match="refreshes"):
        tuning.payback_tasks(1_000, 0.02, 0.01, refreshes=-1)


@given(spent=st.floats(1, 1e6), llm=st.floats(0.001, 1), saved=st.floats(0.05, 0.95), more=st.floats(1.01, 10))
def test_a_dearer_development_takes_longer_and_a_dearer_rival_repays_sooner(spent, llm, saved, more):
    slm = llm * (1 - saved)
    base = tuning.payback_tasks(spent, llm, slm)
    assert tuning.payback_tasks(spent * more, llm, slm) == pytest.approx(base * more)
    assert tuning.payback_tasks(spent, llm * more, slm) < base


def test_the_interval_spans_the_ranges():
    given = {"parameters": 8e9, "peak_flop_s": H100, "usd_per_gpu_hour": Range(2, 3, 6), "n": 500}
    found = tuning.payback(0.02, Range(0.001, 0.002, 0.004), **given)
    assert found.low < found.estimate < found.high
    assert tuning.payback(0.02, Range(0.001, 0.002, 0.004), **given) == found
    dearer = tuning.payback(0.02, Range(0.001, 0.002, 0.004), refreshes=12, **given)
    assert dearer.estimate == pytest.approx(found.estimate * 7)
