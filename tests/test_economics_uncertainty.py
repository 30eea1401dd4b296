"""Ranges, Monte Carlo intervals and the tornado."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmkit.economics import uncertainty as u
from slmkit.errors import InputError


@given(mid=st.floats(0.01, 100), down=st.floats(1, 10), up=st.floats(1, 10))
def test_a_range_has_its_ends_at_two_standard_deviations(mid, down, up):
    given = u.Range(mid / down, mid, mid * up)
    assert given.at([-u.Z95, 0, u.Z95]) == pytest.approx([given.low, mid, given.high])
    assert (np.diff(given.at(np.linspace(-4, 4, 50))) >= -1e-12 * mid).all()


def test_a_range_around_zero_varies_by_differences_and_a_share_stops_at_one():
    assert u.Range(-1, 0, 3).at([-u.Z95, u.Z95]) == pytest.approx([-1, 3])
    assert u.Range(0.5, 0.9, 1.0, ceiling=1.0).at(5.0) == 1.0
    with pytest.raises(InputError, match="expected low <= mid <= high"):
        u.Range(2, 1, 3)


def test_error_of_a_prediction_as_a_factor():
    # Log-normal with a median absolute error of 10 %: ln 1.1 / 0.674 = 0.141, unless the tail asks for more.
    assert u.spread_of_error(0.10, 0.20) == pytest.approx(np.log(1.1) / 0.67449, rel=1e-4)
    assert u.spread_of_error(0.10, 0.60) == pytest.approx(np.log(1.6) / 1.64485, rel=1e-4)
    given = u.prediction_range(0.10, 0.20)
    assert given.low * given.high == pytest.approx(1) and given.high == pytest.approx(np.exp(1.96 * 0.1413), rel=1e-3)
    drawn = given.at(np.random.default_rng(0).standard_normal(20_000))
    assert np.median(np.abs(np.log(drawn))) == pytest.approx(np.log(1.1), rel=0.03)


def test_the_interval_of_a_ratio_is_that_of_the_formula():
    # Two independent factors of spread s: the log of their ratio has spread s sqrt 2.
    ranges = {"a": u.prediction_range(0.1, 0.2), "b": u.prediction_range(0.1, 0.2)}
    found = u.monte_carlo(lambda a, b: 5 * a / b, ranges, n=40_000)
    reach = np.exp(u.Z95 * 0.1413 * np.sqrt(2))
    assert (found.estimate, found.low, found.high) == pytest.approx((5, 5 / reach, 5 * reach), rel=0.02)
    assert u.share_above(lambda a, b: 5 * a / b, ranges, bar=5, n=40_000) == pytest.approx(0.5, abs=0.01)


def test_the_same_seed_gives_the_same_draws():
    ranges = {"a": u.Range(1, 2, 3)}
    assert u.monte_carlo(lambda a: a, ranges, 100, 3) == u.monte_carlo(lambda a: a, ranges, 100, 3)
    assert u.monte_carlo(lambda a: a, ranges, 100, 3) != u.monte_carlo(lambda a: a, ranges, 100, 4)


def test_a_result_that_does_not_vary_has_a_point_for_an_interval():
    assert u.monte_carlo(lambda a: 7.0, {"a": u.Range(1, 2, 3)}, 10)[:3] == (7, 7, 7)


def test_the_tornado_orders_by_width_and_says_what_turns_the_conclusion():
    ranges = {"wide": u.Range(0.1, 1.0, 10.0, says="load"), "narrow": u.Range(0.9, 1.0, 1.1)}
    table = u.tornado(lambda wide, narrow: 2 * wide * narrow, ranges, bar=1.0)
    assert list(table["input"]) == ["load", "narrow"] and list(table["flips"]) == [True, False]
    assert table["base"].tolist() == [2.0, 2.0]
    assert table.loc[0, ["at_low", "at_high"]].tolist() == pytest.approx([0.2, 20])
