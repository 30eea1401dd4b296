"""What a notebook calls first and last: the run folder holds everything, and a wrong verdict is refused."""

import json

import pandas as pd
import pytest

from slmkit import config, figures, notebook
from slmkit.errors import InputError
from slmkit.records import Verdict

NAME = "01_capability"


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("SLMKIT_RUN", str(tmp_path / "pass" / "smoke"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    return tmp_path / "pass" / "smoke" / NAME


def start(**more):
    return notebook.setup(NAME, {"scale": "smoke", "source": "live", "seed": 3, "data": "", "other": 1} | more)


def held(**more):
    fields = {"claim_id": "V1", "statement": "s", "kind": "computed", "estimate": 0.5, "interval": (0.4, 0.6)}
    fields |= {"unit": "share", "threshold": "t", "rule": "r", "outcome": "holds", "n": 10, "notebook": NAME}
    return Verdict(**(fields | more))


def test_a_run_writes_tables_figures_and_results(outputs, capsys):
    run = start()
    table = run.table("rows", lambda: pd.DataFrame({"x": [1.0, 2.0], "error": [None, "wrong_tool"]}))
    assert table["x"].tolist() == [1.0, 2.0]
    figure, axes = figures.canvas("A finding", "n = 2")
    axes[0].plot(table["x"])
    run.figure("figure-1", figure, table, "Two points.")
    run.number(tokens_per_s=12.5)
    notebook.verdict(run, [held()])
    results = json.loads((outputs / "results.json").read_text())
    assert results["verdicts"][0] | {"scale": "smoke", "notebook": NAME} == results["verdicts"][0]
    assert results["numbers"] == {"tokens_per_s": 12.5}
    assert results["provenance"]["seed"] == 3 and results["provenance"]["versions"]["python"]
    assert (outputs / "figure-1.svg").read_text().startswith("<?xml") and (outputs / "figure-1.csv").is_file()


def test_the_same_figure_gives_the_same_bytes(outputs):
    pictures = []
    for _ in range(2):
        run = start()
        figure, axes = figures.canvas("A finding")
        axes[0].plot([1, 2])
        run.figure("figure-1", figure, pd.DataFrame({"x": [1]}), "c")
        pictures.append((outputs / "figure-1.svg").read_bytes())
    assert pictures[0] == pictures[1]


def test_only_a_smoke_run_is_stamped(outputs):
    start()
    figure, _ = figures.canvas("A finding")
    assert any("not evidence" in text.get_text() for text in figure.texts)
    start(scale="laptop")
    figure, _ = figures.canvas("A finding")
    assert not any("not evidence" in text.get_text() for text in figure.texts)


def test_a_new_pass_leaves_no_old_result_behind(outputs):
    notebook.verdict(start(), [held()])
    start()
    assert not (outputs / "results.json").exists()


@pytest.mark.parametrize(
    "wrong, complaint",
    [
        ({"claim_id": "V9"}, "V9"),
        ({"estimate": None}, "estimate"),
        ({"interval": (0.6, 0.4)}, "interval"),
        ({"estimate": float("nan")}, "estimate"),
        ({"outcome": "conditional"}, "condition"),
    ],
)
def test_a_wrong_verdict_is_refused_and_nothing_written(outputs, wrong, complaint):
    with pytest.raises(InputError, match=complaint):
        notebook.verdict(start(), [held(**wrong)])
    assert not (outputs / "results.json").exists()


def test_unknown_dial_settings_name_the_nearest(outputs):
    with pytest.raises(InputError, match="did you mean 'smoke'"):
        start(scale="smok")
    with pytest.raises(InputError, match="did you mean 'live'"):
        start(source="alive")


def test_recorded_tables_call_no_model(outputs, tmp_path, monkeypatch):
    recorded = tmp_path / "results" / NAME
    recorded.mkdir(parents=True)
    (recorded / "rows.csv").write_text("x,error\n1.0,\n")
    real = config.resource
    monkeypatch.setattr(config, "resource", lambda path: recorded if "results" in path else real(path))
    table = start(source="recorded").table("rows", lambda: pytest.fail("computed"))
    assert table["x"].tolist() == [1.0]
    with pytest.raises(InputError, match="no such recorded table"):
        start(source="recorded").table("others", lambda: pytest.fail("computed"))


def test_a_missing_data_set_falls_back_to_the_recorded_table_and_says_so(outputs, tmp_path, monkeypatch):
    recorded = tmp_path / "results" / NAME
    recorded.mkdir(parents=True)
    (recorded / "rows.csv").write_text("x\n1\n")
    real = config.resource
    monkeypatch.setattr(config, "resource", lambda path: recorded if "results" in path else real(path))
    monkeypatch.setattr(config, "has_dataset", lambda name, data=None: False)
    run = start()
    run.table("rows", lambda: pytest.fail("computed"), needs="bfcl")
    assert "slmkit data pull bfcl" in run.notes[0]
