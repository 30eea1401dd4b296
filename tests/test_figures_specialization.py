"""The figures of notebook 03: drawn from tables of its shape, with titles, labels and marks where they belong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import specialization_tables as made
from matplotlib.figure import Figure
from matplotlib.text import Text

from slmkit import figures
from slmkit.figures import specialization, specialization_generality
from slmkit.specialization.studies import anatomy, findings, points

TITLE = ("A finding", "about it")


@pytest.fixture(autouse=True)
def _style():
    figures.use_style()


def check(figure: Figure, *words: str) -> Figure:
    """A figure with its title, labelled axes, and these words on it."""
    figure.draw_without_rendering()
    said = "\n".join(text.get_text() for text in figure.findobj(Text))
    assert said.count("A finding") == 1 and "about it" in said
    for axes in figure.axes:
        assert axes.get_xlabel() or axes.get_ylabel(), "an axis without a label"
    for word in words:
        assert word in said, word
    return figure


def test_ladder():
    table = points.ladder(made.ladder())
    check(specialization.ladder(table, *TITLE), made.TUNED, "task: right", "no call: right")
    assert table["low"].between(0, table["estimate"]).all() and table["high"].ge(table["estimate"]).all()
    assert "from 10%" in findings.by_ladder(table, made.BASE, made.LLM)


def test_learning_curve_says_where_it_crosses():
    rival = made.items(made.LLM, 0.3, role="llm")
    curve = points.curve(made.curve({50: 0.2, 200: 0.6}), rival, 200, 0, 0.03)
    levels = points.references(made.ladder(), made.BASE, made.LLM)
    said = points.crossing(curve, made.LLM)
    assert "from 200 examples: +30 points" in said
    check(specialization.learning_curve(curve, levels, *TITLE, said), said, "(the paper)", made.LLM, "60%")
    assert "not level" in points.crossing(curve[curve["n"] == 50], made.LLM)
    assert "50 examples give 20%" in findings.by_curve(curve)


def test_labels_of_references_do_not_collide():
    moved = specialization._spread([0.3, 0.1, 0.11, 0.31], 0.05)
    assert np.diff(np.sort(moved)).min() >= 0.05 - 1e-9 and list(np.argsort(moved)) == [1, 2, 0, 3]


def test_rank_and_data():
    table = points.ranks(made.ranks({2: 0.5, 16: 0.6}, 0.55))
    check(specialization.rank_and_data(table, *TITLE), "rank 16", "all weights", "60%\n9 s", "kept: old skills")
    assert "Rank 16 learns most" in findings.by_rank(table)


def test_calibration():
    sure = made.ladder()
    sure.loc[sure["correct"], "logprob"] = -0.05
    bins = anatomy.calibration(sure[sure["name"] == made.TUNED])
    assert bins["auroc"].eq(1).all() and bins["ece"].between(0, 0.7).all()
    check(specialization.reliability(bins, *TITLE), "calibrated", "AUROC 1.00")
    assert anatomy.auroc(np.array([0.9, 0.1, 0.5]), np.array([1.0, 0.0, 0.0])) == 1
    assert np.isnan(anatomy.auroc(np.array([0.9]), np.array([1.0])))


def test_ways_and_sizes():
    gains = points.gains(made.trained(dict.fromkeys(made.METHODS, 0.6)), made.BASE, 200, 0)
    check(specialization.ways(gains, *TITLE), *made.METHODS, "old skills: change over the base")
    assert findings.by_way(gains).startswith("6 of 6 ways")
    table = points.sizes(made.two())
    check(specialization.sizes(table, *TITLE), "untuned", made.LLM)
    assert findings.by_size(table) == "Size is worth +30 points untuned and +0 after the same examples"


def test_from_scratch():
    table = points.from_scratch(made.from_scratch(lambda design, *_: 0.8 if design == "LFM2" else 0.2))
    check(specialization.from_scratch(table, *TITLE), "Llama, mini-2m, both", "training tokens")
    assert points.from_scratch(made.from_scratch()).empty and "Nothing" in findings.by_scratch(pd.DataFrame())


def test_generality_and_formats():
    wide = made.wide()
    table = points.in_and_out(wide)
    figure = check(specialization_generality.in_and_out(table, *TITLE), "another domain", made.TUNED)
    colours = {line.get_color() for line in figure.axes[0].lines if line.get_marker() not in ("", "None", None)}
    assert len(colours) == 3, "each model has a look of its own"
    assert findings.by_generality(table, made.BASE) == "80% in schema becomes 10% out of it, on average"
    mixed = points.mixed(wide)
    check(specialization_generality.in_and_out(mixed, *TITLE), "25% general data")
    assert findings.by_mix(mixed) == "Old skills: 80% mini-2m, 80% with 0% general data, 80% with 25% general data"
    formats = points.formats(wide, made.ladder(), made.BASE, made.LLM, 0.25)
    check(specialization_generality.in_and_out(formats, *TITLE, "invalid"), f"{made.LLM}, grammar")
    assert "50% against 20%" in findings.by_format(formats, made.LLM)


def test_change_and_forms():
    after = points.changed(made.changed())
    check(specialization_generality.after_a_change(after, *TITLE), "60 s to adapt", "no training")
    assert "80% in 60 s" in findings.by_change(after)
    forms = points.forms(made.forms([0.8] * 5, [0.3, 0.1, 0.5, 0.3, 0.2]))
    check(specialization_generality.prompt_forms(forms, *TITLE), "plain", "form 4")
    assert "0.0 points for the specialist" in findings.by_form(forms)


def test_price_and_operation():
    jobs = made.projection()
    check(specialization_generality.price(made.trainings(), jobs, *TITLE), "12 h", "70 bn, one cycle")
    assert findings.by_price(jobs).startswith("10,000 examples on 8 bn: 0.5 H100-hours")
    served = made.serving()
    check(specialization_generality.operation(served, *TITLE), "10.0 MB", "30.0 MB")
    assert "0.33 times its memory" in findings.by_operation(served)


def test_errors_and_decisions():
    table = anatomy.errors(made.ladder())
    assert np.allclose(table.groupby(["name", "set"])["share"].sum(), 1)
    assert "wrong argument value (90%)" in findings.by_error(table, made.BASE)
    decisions = anatomy.decisions(made.ladder())
    check(specialization_generality.in_and_out(decisions, *TITLE), "no call where none fits")
    assert "calls in 100% of requests that want it and refrains in 0%" in findings.by_decision(decisions, made.BASE)
