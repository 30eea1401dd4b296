"""The runner: parameters are checked before anything starts; what ran, and how it ended, is on the page."""

import json
import time
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from slmkit import cli, parameters, runner
from slmkit.errors import InputError

PARAMETERS = """scale: str = "laptop"  # smoke, laptop, full or gpu
source: str = "live"  # live or recorded
seed: int = 0  # everything random
margin: float = 0.05  # of non-inferiority
slm: str = "mini-2m"  # model reference
broken: bool = False  # fail on purpose"""
# Stands for setup() and verdict(): what the runner needs is the folder and a results.json at the end.
BODY = """import json, os, pathlib
folder = pathlib.Path(os.environ["SLMKIT_RUN"]) / "07_toy"
folder.mkdir(parents=True, exist_ok=True)
assert not broken, "broken on purpose"
verdict = dict(claim_id="V1", statement="s <b>", estimate=0.5, interval=[0.4, 0.6], unit="share", threshold="t",
               rule="r", outcome="holds", condition="", n=10)
results = dict(verdicts=[verdict], notes=[], figures=[], parameters=dict(scale=scale, seed=seed, slm=slm),
               provenance=dict(git=dict(commit=None, dirty=None), hardware="h", started_at="now"))
(folder / "results.json").write_text(json.dumps(results))"""


METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    cells = [nbformat.v4.new_code_cell(source) for source in (PARAMETERS, BODY)]
    cells[0].metadata["tags"] = ["parameters"]
    book = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    path = tmp_path / "07_toy.ipynb"
    nbformat.write(book, path)
    for module in (runner, parameters):
        monkeypatch.setattr(module, "notebooks", lambda: {"07_toy": path})
    return tmp_path / "out"


def test_declared_parameters_are_read_without_running(toy):
    assert parameters.declared("07_toy") == {
        "scale": "laptop", "source": "live", "seed": 0, "margin": 0.05, "slm": "mini-2m", "broken": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "given, complaint",
    [
        ({"sclae": "smoke"}, "did you mean 'scale'"),
        ({"seed": "three"}, "'seed' of 07_toy takes int, got 'three'"),
        ({"seed": True}, "takes int, got True"),
        ({"broken": 1}, "takes bool, got 1"),
        ({"source": "recoded"}, "did you mean 'recorded'"),
        ({"scale": "labtop"}, "did you mean 'laptop'"),
    ],
)
def test_bad_parameters_start_nothing(toy, given, complaint):
    with pytest.raises(InputError, match=complaint):
        runner.run(["07"], parameters=given, out=toy)
    assert not toy.exists()


def test_an_integer_serves_where_a_float_is_declared(toy):
    runner.check("07_toy", {"margin": 1})


def test_an_unknown_notebook_names_the_nearest(toy):
    with pytest.raises(InputError, match="did you mean '07_toy'"):
        runner.select(["07_toi"])


@pytest.mark.parametrize(
    "text, value", [("3", 3), ("0.5", 0.5), ("mini-2m", "mini-2m"), ("['a']", ["a"]), ("{1", "{1")]
)
def test_values_from_the_command_line(text, value):
    assert runner.parse_value(text) == value


def test_run_resume_sweep_and_failure(toy):
    done, page = runner.run(["07"], scale="smoke", parameters={"seed": 1}, out=toy)
    assert done[0].error is None and page == toy / "index.html"
    assert "s &lt;b&gt;" in page.read_text() and "✓ holds" in page.read_text()
    assert (toy / "smoke" / "07_toy.ipynb").is_file() and (toy / "smoke" / "07_toy.html").is_file()

    start = time.perf_counter()
    again, _ = runner.run(["07"], scale="smoke", parameters={"seed": 1}, out=toy, resume=True)
    assert again[0].resumed and time.perf_counter() - start < 3

    other, _ = runner.run(["07"], scale="smoke", parameters={"seed": 2}, out=toy, resume=True)
    assert not other[0].resumed, "other parameters are another run"

    broken, page = runner.run(["07"], scale="smoke", parameters={"broken": True}, out=toy / "broken")
    assert broken[0].error == "AssertionError: broken on purpose"
    assert "broken on purpose" in page.read_text() and "0 of 1 notebooks" in page.read_text()


def test_a_sweep_gathers_its_points_in_one_table(toy):
    done, _ = runner.sweep("07", {"seed": [1, 2]}, scale="smoke", out=toy, jobs=2)
    assert [d.error for d in done] == [None, None]
    lines = (toy / "sweep.csv").read_text().splitlines()
    assert lines[0].startswith("seed,claim_id") and [line[0] for line in lines[1:]] == ["1", "2"]
    assert (toy / "seed=1" / "07_toy.ipynb").is_file()


def test_the_longest_recorded_notebook_starts_first(monkeypatch):
    started = []
    monkeypatch.setattr(runner, "_execute", lambda point: started.append(point.name) or runner.Done(point, None, 0.0))
    monkeypatch.setattr("joblib.Parallel", lambda **_: lambda calls: [call(*given) for call, given, _ in calls])
    names = ("short", "unknown", "long", "middle")
    points = [runner.Point(Path(f"{name}.ipynb"), {}, Path(name)) for name in names]
    seconds = {"short": 1.0, "middle": 2.0, "long": 3.0}
    monkeypatch.setattr(runner, "_recorded_s", lambda name: seconds.get(name, 0.0))
    assert [done.point.name for done in runner.execute(points, jobs=2)] == list(names)
    assert started == ["long", "middle", "short", "unknown"]


def test_the_command_exits_1_when_a_notebook_fails(toy):
    result = CliRunner().invoke(cli.app, ["run", "07", "-p", "broken=True", "--out", str(toy)])
    assert result.exit_code == 1 and "broken on purpose" in result.stdout


def test_shipped_notebooks_declare_the_dial():
    for name in runner.notebooks():
        assert {"scale", "source", "seed"} <= set(parameters.declared(name)), name
        assert json.dumps(parameters.declared(name))
