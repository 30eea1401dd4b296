from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slmkit import stats
from slmkit.errors import InputError

RNG = np.random.default_rng(7)
counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
outcomes = st.integers(2, 60).flatmap(
    lambda n: st.tuples(*(arrays(float, n, elements=st.sampled_from([0.0, 1.0])) for _ in range(2)))
)
columns = st.integers(4, 40).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(0, 30), min_size=n, max_size=n) for _ in range(2)))
)


# --- against scipy and statsmodels ---


@given(counts, st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_that_of_statsmodels(k_of_n, level):
    from statsmodels.stats.proportion import proportion_confint

    k, n = k_of_n
    low, high = stats.wilson(k, n, level)
    assert (low, high) == pytest.approx(proportion_confint(k, n, 1 - level, method="wilson"), abs=1e-12)
    assert 0 <= low <= k / n <= high <= 1
    assert (low == 0) == (k == 0) and (high == 1) == (k == n)


@given(outcomes)
@settings(deadline=None, max_examples=60)
def test_mcnemar_is_that_of_statsmodels(pair):
    from statsmodels.stats.contingency_tables import mcnemar

    a, b = pair
    table = [[int(((a == i) & (b == j)).sum()) for j in (1, 0)] for i in (1, 0)]
    found = stats.paired_difference(a, b, n_resamples=10)
    assert found.p_mcnemar == pytest.approx(mcnemar(table, exact=True).pvalue)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(deadline=None, max_examples=15)
def test_holm_is_that_of_statsmodels(p_values):
    from statsmodels.stats.multitest import multipletests

    assert stats.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


@given(columns)
def test_spearman_is_that_of_scipy(pair):
    from scipy.stats import spearmanr

    x, y = pair
    if len(set(x)) == 1 or len(set(y)) == 1:
        with pytest.raises(InputError, match="does not vary"):
            stats.spearman(x, y)
        return
    found = stats.spearman(x, y)
    assert found.estimate == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert -1 <= found.low <= found.estimate <= found.high <= 1 and found.low < found.high


def test_spearman_interval_is_bonett_and_wright():
    x, y = np.arange(20), np.r_[np.arange(10)[::-1], np.arange(10, 20)]
    found = stats.spearman(x, y)
    error = np.sqrt((1 + found.estimate**2 / 2) / 17)
    expected = np.tanh(np.arctanh(found.estimate) + 1.959964 * error * np.array([-1, 1]))
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("clustered", [False, True])
def test_slope_is_that_of_statsmodels(clustered):
    import statsmodels.api as sm

    size, family = 10 ** RNG.uniform(-1, 2, 40), RNG.integers(0, 8, 40)
    score = 30 + 12 * np.log10(size) + RNG.normal(0, 5 + size / 20) + family
    how = {"cov_type": "cluster", "cov_kwds": {"groups": family}} if clustered else {"cov_type": "HC3"}
    fit = sm.OLS(score, sm.add_constant(np.log10(size))).fit(use_t=True, **how)
    found = stats.slope_per_tenfold(size, score, unit=family if clustered else None)
    assert found == pytest.approx((fit.params[1], *fit.conf_int()[1], 40))


def test_mean_intervals_are_those_of_scipy_and_statsmodels():
    import statsmodels.api as sm
    from scipy.stats import ttest_1samp

    values, unit = RNG.normal(3, 2, 50), np.repeat(np.arange(10), 5)
    plain = ttest_1samp(values, 0).confidence_interval()
    assert stats.mean_interval(values)[1:3] == pytest.approx((plain.low, plain.high))
    how = {"groups": unit, "use_correction": False}
    fit = sm.OLS(values, np.ones(50)).fit(cov_type="cluster", cov_kwds=how)
    found = stats.mean_interval(values, unit=[f"task {u}" for u in unit])
    assert (found.high - found.estimate) / 2.262157 == pytest.approx(fit.bse[0] * np.sqrt(10 / 9), rel=1e-5)


def test_bootstrap_agrees_with_scipy_on_any_statistic():
    from scipy.stats import bootstrap

    values = RNG.exponential(2, 300)
    theirs = bootstrap((values,), np.median, method="percentile", n_resamples=2500, rng=1).confidence_interval
    ours = stats.bootstrap(values, np.median, n_resamples=2500, rng=1)
    assert ours.estimate == np.median(values)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.03)


# --- properties ---


@given(outcomes, st.sampled_from([0.0, 0.02, 0.1, 0.5]))
@settings(deadline=None, max_examples=60)
def test_paired_difference_is_ordered_antisymmetric_and_rules_by_its_interval(pair, margin):
    a, b = pair
    found = stats.paired_difference(a, b, margin=margin, n_resamples=200)
    mirrored = stats.paired_difference(b, a, margin=margin, n_resamples=200)
    assert found.low <= found.difference <= found.high and found.low < found.high
    assert found.difference == -mirrored.difference and found.p_mcnemar == mirrored.p_mcnemar
    assert found.verdict == stats.non_inferiority(found.low, found.high, margin)
    assert (found.n_to_settle > found.n) == (found.verdict == "inconclusive")


@given(outcomes)
@settings(deadline=None, max_examples=30)
def test_same_seed_same_interval(pair):
    same = [stats.bootstrap(pair[0] + pair[1], n_resamples=50, rng=3) for _ in range(2)]
    generators = [stats.bootstrap(pair[0], n_resamples=50, rng=np.random.default_rng(3)) for _ in range(2)]
    assert same[0] == same[1] and generators[0] == generators[1]


def test_two_models_that_never_differ_are_not_equal_for_certain():
    few = stats.paired_difference([1] * 20, [1] * 20, margin=0.05)
    many = stats.paired_difference([1] * 2000, [1] * 2000, margin=0.05)
    assert few.verdict == "inconclusive" and few.n_to_settle > 100 and few.p_mcnemar == 1
    assert many.verdict == "non-inferior" and many.n_to_settle == 2000


def test_verdicts_of_clear_cases_and_no_verdict_without_a_margin():
    right, wrong = np.ones(400), np.zeros(400)
    half = np.r_[np.ones(200), np.zeros(200)]
    assert stats.paired_difference(half, right, margin=0.05).verdict == "inferior"
    assert stats.paired_difference(half, wrong, margin=0.0).verdict == "non-inferior"
    assert stats.paired_difference(half, right).verdict is None
    assert stats.non_inferiority(-0.049, 0.2, 0.05) == "non-inferior"
    assert stats.non_inferiority(-0.05, 0.2, 0.05) == "inconclusive"
    assert stats.non_inferiority(-0.3, -0.051, 0.05) == "inferior"


def test_the_items_said_to_settle_it_settle_it_about_four_times_in_five():
    draw = np.array([1] * 8 + [0, 1]), np.array([1] * 8 + [1, 0])  # they differ on a fifth, and are equal
    first = stats.paired_difference(np.tile(draw[0], 10), np.tile(draw[1], 10), margin=0.06)
    assert first.verdict == "inconclusive" and first.difference == 0
    assert first.n_to_settle == pytest.approx(stats.sample_size(0.06, discordance=0.2), rel=0.25)
    rng, settled = np.random.default_rng(5), []
    for _ in range(200):
        item = rng.integers(10, size=first.n_to_settle)
        found = stats.paired_difference(draw[0][item], draw[1][item], margin=0.06, n_resamples=200)
        settled.append(found.verdict == "non-inferior")
    assert np.mean(settled) == pytest.approx(0.8, abs=0.1)


def test_units_widen_the_interval_when_their_items_go_together():
    value, unit = np.repeat(RNG.integers(0, 2, 40), 10), np.repeat(np.arange(40), 10)
    for interval in (stats.mean_interval, stats.bootstrap):
        alone, together = interval(value), interval(value, unit=unit)
        assert together.high - together.low > 2 * (alone.high - alone.low)
    difference = stats.paired_difference(value, 1 - value, unit=unit)
    assert difference.p_mcnemar is None
    # A statistic given by hand resamples units just as the built-in mean does.
    assert stats.bootstrap(value, np.mean, unit) == pytest.approx(stats.bootstrap(value, unit=unit))


def test_ratio_interval_is_inverted_with_its_columns_and_scales():
    cost = RNG.lognormal(0, 1, 80)
    other = cost * RNG.lognormal(1, 0.3, 80)
    found, inverse = stats.ratio_interval(other, cost), stats.ratio_interval(cost, other)
    assert found.estimate == pytest.approx(other.mean() / cost.mean())
    assert (1 / inverse.high, 1 / inverse.low) == pytest.approx((found.low, found.high), rel=0.01)
    assert stats.ratio_interval(10 * other, cost).low == pytest.approx(10 * found.low)
    assert found.low < np.exp(1.05) < found.high
    sparse = stats.ratio_interval([0, 0, 1], [1, 1, 1])  # some resamples hold no amount at all
    assert sparse.low == 0 and np.isfinite(sparse.high)


@given(st.integers(20, 5000), st.floats(0.05, 0.95), st.floats(0.6, 0.95))
def test_sample_size_inverts_the_detectable_difference(n, p, power):
    difference = stats.minimum_detectable_difference(n, p, power=power)
    if difference < 2 * p * (1 - p):
        assert stats.sample_size(difference, p, power=power) == n


def test_a_detectable_difference_is_detected_with_the_power_stated():
    n, discordance = 400, 0.2
    difference = stats.minimum_detectable_difference(n, discordance=discordance)
    won = RNG.random((2000, n)) < discordance
    sign = np.where(RNG.random((2000, n)) < (1 + difference / discordance) / 2, 1, -1)
    values = won * sign
    z = values.mean(1) / (values.std(1) / np.sqrt(n))
    assert (z > 1.96).mean() == pytest.approx(0.8, abs=0.04)


# --- coverage ---


def covered(kind: str, rng: np.random.Generator) -> bool:
    """Whether one simulated interval of this kind holds the true value."""
    if kind == "wilson":  # one rate of many: a score interval is nominal on average over rates, not at each
        p = rng.uniform(0.05, 0.95)
        low, high = stats.wilson(int(rng.binomial(80, p)), 80)
        return low <= p <= high
    if kind == "paired":
        u = rng.random(120)
        found = stats.paired_difference(u < 0.6, (u > 0.15) & (u < 0.65), n_resamples=250, rng=rng)
        return found.low <= 0.1 <= found.high
    if kind == "paired, clustered":
        rate, unit = np.repeat(rng.beta(2, 2, 60), 3), np.repeat(np.arange(60), 3)
        a, b = rng.random(180) < rate, rng.random(180) < 0.5
        found = stats.paired_difference(a, b, unit=unit, n_resamples=250, rng=rng)
        return found.low <= 0 <= found.high
    if kind == "mean, clustered":
        values = np.repeat(rng.normal(0, 1, 30), 4) + rng.normal(0, 1, 120)
        found = stats.mean_interval(values, unit=np.repeat(np.arange(30), 4))
        return found.low <= 0 <= found.high
    if kind == "bootstrap":
        found = stats.bootstrap(rng.normal(0, 1, 40), n_resamples=250, rng=rng)
        return found.low <= 0 <= found.high
    if kind == "ratio":
        base = rng.lognormal(0, 0.4, 80)
        found = stats.ratio_interval(3 * base * rng.lognormal(0, 0.3, 80), base, n_resamples=250, rng=rng)
        return found.low <= 3 * np.exp(0.045) <= found.high
    if kind == "slope":
        size = 10 ** rng.uniform(-1, 2, 26)
        found = stats.slope_per_tenfold(size, 12 * np.log10(size) + rng.normal(0, 10, 26))
        return found.low <= 12 <= found.high
    x, e = rng.normal(0, 1, (2, 40))  # Spearman of a bivariate normal is known
    found = stats.spearman(x, 0.7 * x + np.sqrt(0.51) * e)
    return found.low <= 6 / np.pi * np.arcsin(0.35) <= found.high


KINDS = (
    "wilson", "paired", "paired, clustered", "mean, clustered", "bootstrap", "ratio", "slope", "spearman",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("repetitions", [120, pytest.param(2000, marks=pytest.mark.full)])
def test_intervals_cover_as_often_as_they_say(kind, repetitions):
    rng = np.random.default_rng(2025)
    share = np.mean([covered(kind, rng) for _ in range(repetitions)])
    error = np.sqrt(0.95 * 0.05 / repetitions)
    assert share == pytest.approx(0.95, abs=3 * error)


# --- bad input ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stats.wilson(3, 0), "n > 0"),
        (lambda: stats.wilson(-1, 5), "k=-1"),
        (lambda: stats.wilson(6, 5), "k=6"),
        (lambda: stats.wilson(1, 5, level=95), "share between 0 and 1"),
        (lambda: stats.mean_interval([]), "values: expected a list"),
        (lambda: stats.mean_interval([1, float("nan"), 2]), "item 1 is missing"),
        (lambda: stats.mean_interval(["a", "b"]), "numbers only"),
        (lambda: stats.mean_interval([1, 2], unit=["x", "x"]), "not all the same"),
        (lambda: stats.mean_interval([1, 2, 3], unit=["x", "y"]), "3 labels"),
        (lambda: stats.bootstrap([1.0, np.inf]), "infinite"),
        (lambda: stats.bootstrap([1.0, 2.0], n_resamples=0), "n_resamples"),
        (lambda: stats.paired_difference([1, 0], [1, 0, 1]), "a has 2 items, b has 3"),
        (lambda: stats.paired_difference([1, None], [1, 0]), "a: item 1"),
        (lambda: stats.paired_difference([1, 0], [1, 0], margin=-0.1), "margin"),
        (lambda: stats.ratio_interval([0, 0], [1, 2]), "something in each column"),
        (lambda: stats.ratio_interval([1, -2], [1, 2]), "0 or more"),
        (lambda: stats.minimum_detectable_difference(0), "at least 1 item"),
        (lambda: stats.minimum_detectable_difference(10, p=1.0), "discordance"),
        (lambda: stats.sample_size(0.0), "above 0"),
        (lambda: stats.sample_size(0.5, discordance=0.1), "up to the discordance"),
        (lambda: stats.holm([0.1, 1.2]), "between 0 and 1"),
        (lambda: stats.slope_per_tenfold([1, 2, 0, 4], [1, 2, 3, 4]), "sizes above 0"),
        (lambda: stats.slope_per_tenfold([8, 8, 8, 8], [1, 2, 3, 4]), "two of them different"),
        (lambda: stats.slope_per_tenfold([1, 2, 3], [1, 2, 3]), "list of 4"),
        (lambda: stats.spearman([1, 1, 1, 1], [1, 2, 3, 4]), "does not vary"),
    ],
)
def test_bad_input_is_one_clear_line(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
