"""Every notebook at smoke scale through papermill, as `make test` and a user run it."""

import json
import math
import os

import pandas as pd
import pytest

from slmkit import claims, parameters, runner

pytestmark = pytest.mark.notebooks


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """One pass over all notebooks; kept where `SLMKIT_TEST_OUTPUTS` says, for CI to publish."""
    folder = os.environ.get("SLMKIT_TEST_OUTPUTS")
    out = tmp_path_factory.mktemp("pass") if folder is None else parameters.config.root() / folder
    return runner.run(scale="smoke", out=out, jobs=2)


def test_every_notebook_comes_to_its_verdict(executed):
    done, page = executed
    assert [(d.point.name, d.error) for d in done] == [(name, None) for name in parameters.notebooks()]
    text = page.read_text(encoding="utf-8")
    assert f"{len(done)} of {len(done)} notebooks" in text and "not evidence" not in text.split("<img")[0]


@pytest.mark.parametrize("name", list(parameters.notebooks()))
def test_results_are_whole(executed, name):
    (done,) = [d for d in executed[0] if d.point.name == name]
    results = json.loads(done.point.results.read_text(encoding="utf-8"))
    assert [v["claim_id"] for v in results["verdicts"]] == [claim.id for claim in claims.owned_by(name)]
    for verdict in results["verdicts"]:
        if verdict["kind"] in claims.QUANTITATIVE:
            low, high = verdict["interval"]
            assert math.isfinite(verdict["estimate"]) and low <= high, verdict["claim_id"]
    made = results["provenance"]
    assert made["seed"] == 0 and made["hardware"] and made["versions"]["torch"] and made["wall_s"] > 0
    folder = done.point.results.parent
    assert results["figures"]
    for figure in results["figures"]:
        assert (folder / f"{figure['name']}.svg").is_file() and figure["caption"]
        assert len(pd.read_csv(folder / f"{figure['name']}.csv")) > 0
    shown = {verdict["figure"] for verdict in results["verdicts"]} - {""}
    assert shown <= {figure["name"] for figure in results["figures"]}


@pytest.mark.parametrize("name", list(parameters.notebooks()))
def test_recorded_results_draw_the_same_pages_without_a_model(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SLMKIT_DATA", "")
    monkeypatch.setenv("SLMKIT_CACHE", str(tmp_path / "cache"))
    done, _ = runner.run([name], scale="laptop", parameters={"source": "recorded"}, out=tmp_path / "out")
    assert done[0].error is None
    results = json.loads(done[0].point.results.read_text(encoding="utf-8"))
    assert results["source"] == "recorded"
    assert not list((tmp_path / "out").rglob("calls/*.jsonl")), "no model was called"
    committed = json.loads((parameters.config.resource(f"data/results/{name}") / "results.json").read_text())
    outcomes = {v["claim_id"]: v["outcome"] for v in results["verdicts"]}
    assert outcomes == {v["claim_id"]: v["outcome"] for v in committed["verdicts"]}
