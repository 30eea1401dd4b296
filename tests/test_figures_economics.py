"""The figures of notebook 02: drawn from real tables, with titles, labels and marks where they belong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from slmkit import figures
from slmkit.economics import edge
from slmkit.economics.compare import Setting
from slmkit.economics.studies import explore, lines, operation, prices, published, serving, tables, uses, workloads
from slmkit.figures import economics, economics_checks, economics_devices, economics_operation

PAIR = ("llama-3.1-8b", "llama-3.1-70b")
SETTING = Setting(input_tokens=2_000, output_tokens=200, tpot_limit_s=0.05, utilization=0.3)


@pytest.fixture(autouse=True)
def _style():
    figures.use_style()


def texts(figure: Figure) -> str:
    """Everything written on a figure, drawn."""
    figure.draw_without_rendering()
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def check(figure: Figure, *words: str) -> Figure:
    """A figure with its title, labelled axes, and these words on it."""
    said = texts(figure)
    assert said.count("A finding") == 1 and "about it" in said
    for axes in figure.axes:
        assert axes.get_xlabel() or axes.get_ylabel(), "an axis without a label"
    for word in words:
        assert word in said, word
    return figure


TITLE = ("A finding", "about it")


@pytest.fixture(scope="module")
def saturated() -> pd.DataFrame:
    """Ratios on two GPU types."""
    return serving.saturated(PAIR[0], gpus=("H100-SXM", "L40S"), shapes=("chat",), n=100)


def test_ratio_against_parameters(saturated):
    figure = economics.ratio_against_parameters(saturated, tables.sizes(saturated), *TITLE)
    axes = check(figure, "Llama-3.1-405B", "gpt-oss-120b", "claimed: 10 to 30 times").axes[0]
    marks = [line for line in axes.lines if line.get_marker() in ("s", "^") and len(line.get_xdata())]
    assert sum(len(line.get_xdata()) for line in marks) == len(saturated)
    low, high = axes.get_ylim()
    assert low < saturated["low"].min() * 1.01 and high > saturated["high"].max() * 0.99


def test_ratio_map_has_its_contours_and_the_floor():
    table = serving.ratio_map(*PAIR, SETTING)
    figure = check(economics.ratio_map(table, *TITLE), "10x", "large model cannot: floor")
    assert figure.axes[0].get_xlim()[0] < table["floor_ms"].iloc[0] < table["limit_ms"].min()


def test_ratio_map_where_the_large_model_never_meets_a_limit():
    table = serving.ratio_map(*PAIR, SETTING).assign(ratio=np.nan)
    table.loc[table["limit_ms"] > 50, "ratio"] = 3.0
    check(economics.ratio_map(table, *TITLE))


def test_frontiers_fall_and_carry_the_roles():
    table = serving.frontiers([*PAIR, "gpt-oss-120b"], SETTING)
    roles = {"Llama-3.1-8B": "slm", "Llama-3.1-70B": "llm"}
    axes = check(economics.frontiers(table, *TITLE, roles), "Llama-3.1-8B", "gpt-oss-120b", "8 on").axes[0]
    curves = [line for line in axes.lines if line.get_linestyle() == "-" and len(line.get_xdata()) > 3]
    assert len(curves) == 3
    assert {line.get_color() for line in curves} >= {figures.ROLES["slm"].colour, figures.ROLES["llm"].colour}
    assert len({line.get_color() for line in curves}) == 3
    for line in curves:
        assert (np.diff(line.get_ydata()) <= 1e-9).all()


def test_cost_against_load_marks_the_break_even_points():
    table = operation.by_utilization(*PAIR, SETTING)
    axes = check(economics.cost_against_load(table, *TITLE), "Llama-3.1-70B by novita").axes[0]
    circles = [line for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    assert circles
    for circle in circles:
        own = table[(table["kind"] == "self-hosted") & (table["role"] == "slm")]
        at = np.interp(np.log(circle.get_xdata()[0]), np.log(own["utilization"]), np.log(own["usd_per_mtok"]))
        assert np.exp(at) == pytest.approx(circle.get_ydata()[0], rel=0.02), "a circle lies on the curve and the line"


def test_dense_and_sparse(saturated):
    one = saturated[saturated["gpu"] == "H100-SXM"]
    figure = check(economics.dense_and_sparse(one, serving.experts_read(), *TITLE), "Mixtral-8x7B: 2 of 8")
    assert "e+" not in texts(figure)


def test_grid_shares_write_each_share():
    table = pd.DataFrame(
        {"rival": ["a", "a", "b", "b"], "load": [0.1, 1.0] * 2, "share": [0.0, 1.0, 0.25, 0.5], "n": 20}
    )
    check(economics.grid_shares(table, *TITLE), "0%", "100%", "25%", "50%")


def test_tornado_marks_what_turns_the_conclusion():
    table = workloads.cost_tornado(*PAIR, SETTING)
    figure = check(economics_checks.tornado(table, *TITLE), "busy share, small model")
    assert texts(figure).count("turns the conclusion") == int(table["flips"].sum()) > 0


def test_offers_and_uses():
    check(
        economics_checks.offers(workloads.tasks(*PAIR, SETTING), *TITLE), "cascade, 70% accepted", "50% of input cached"
    )
    table = uses.table(PAIR[0], n=50)
    check(economics_checks.uses(table, *TITLE), *table["use"])
    alone = table.copy()
    alone.loc[0, ["only", "ratio", "low", "high"]] = [True, np.inf, np.inf, np.inf]
    check(economics_checks.uses(alone, *TITLE), "no large model does")


def test_predicted_against_measured():
    table = published.scatter()
    check(economics_checks.predicted_against_measured(table, *TITLE), "median error", "sparse: n =")


def test_latency_against_measured():
    check(
        economics_checks.latency_against_measured(published.latencies(), *TITLE), "vllm: n =", "sglang", "first token"
    )


def test_measured_here():
    table = pd.DataFrame({"model": ["a", "a"], "batch": [1, 4], "ttft_s": [0.1, 0.4], "tpot_s": [0.01, 0.02],
                          "predicted_ttft_s": [0.11, 0.42], "predicted_tpot_s": [0.012, 0.018]})  # fmt: skip
    check(economics_checks.measured_here(table, *TITLE), "measured", "predicted")


def test_operation():
    check(economics_operation.shared_base(operation.shared_base(*PAIR, SETTING, n=50), *TITLE), "5% load each")
    check(economics_operation.demand_curves(operation.demand_curves(PAIR[0], SETTING), *TITLE), "bursty", "$")
    check(economics_operation.fixed_cost(operation.fixed_cost(*PAIR, SETTING, n=50), *TITLE), "USD 20,000 a month")
    check(economics_operation.payback(operation.payback(PAIR[0], SETTING, n=50), *TITLE), "12 refreshes", "100,000")
    check(economics_operation.development(operation.development(PAIR[0], SETTING, n=50), *TITLE), "people", "$")
    check(economics_operation.energy(serving.energy_table(PAIR, SETTING), *TITLE), "Llama-3.1-70B")


def test_the_device_map_is_grey_where_nothing_fits():
    table = edge.fit_map()
    four = table[table["precision"] == "4 bit"]
    axes = check(economics_devices.device_map(four, *TITLE), "iPhone-15-Pro  8 GB", "RTX-4090  24 GB").axes[0]
    written = [text for text in axes.texts if text.get_text()]
    assert len(written) == int(four["fits"].sum())


def test_size_line_prices_and_units():
    check(economics_devices.size_line(lines.table(), *TITLE), "three product lines in 2020", "phone")
    check(economics_devices.price_ratios(prices.medians(prices.ratios(), 50), *TITLE), "one provider", "gpt-4")
    units = pd.DataFrame({"part": ["all layers"], "large": [60.0], "small": [62.0], "difference": [-2.0], "low": [-3.0],
                          "high": [-1.0], "n": [9]})  # fmt: skip
    check(economics_devices.units_in_use(units, *TITLE), "60 % minus 62 %: -2.0 [-3.0, -1.0]")


class Run:
    """What the explorer needs of a notebook's run."""

    def figure(self, name, figure, table, caption):
        self.shown = (name, figure, table)


def test_the_explorer_stands_still_under_the_runner(monkeypatch):
    monkeypatch.setenv("SLMKIT_RUN", "somewhere")
    run = Run()
    explore.show(run, *PAIR, SETTING)
    name, figure, table = run.shown
    assert name == "figure-explore" and isinstance(figure, Figure) and len(table) > 100
    assert "prediction" in texts(figure) and "a GPU hour" in texts(figure)


def test_the_explorer_moves_for_a_person(monkeypatch, capsys):
    pytest.importorskip("ipywidgets")
    monkeypatch.delenv("SLMKIT_RUN", raising=False)
    run = Run()
    moved = explore.show(run, *PAIR, SETTING)
    assert not hasattr(run, "shown"), "no figure is recorded that a person may have moved"
    choices = {child.description: child for child in moved.widget.children if hasattr(child, "options")}
    assert choices["slm"].value == "Llama-3.1-8B" and choices["gpu"].value == "H100-SXM"
    moved("Llama-3.1-8B", "Llama-3.1-405B", "L4", 1.0, 1_000, 100, 0.5)  # does not fit: said, not raised
    assert "lacks" in capsys.readouterr().out


def test_a_smoke_run_is_stamped():
    figures.use_style(evidence=False)
    table = pd.DataFrame({"rival": ["a"], "load": [1.0], "share": [0.5], "n": 1})
    assert "not evidence" in texts(economics.grid_shares(table, *TITLE))
