"""Run notebooks headlessly through papermill: parameters checked first, executed copies, one report."""

from __future__ import annotations

import ast
import itertools
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from slmkit import config, report
from slmkit.errors import InputError, unknown
from slmkit.parameters import Value, declared, notebooks


@dataclass(frozen=True)
class Point:
    """One notebook to execute with its parameters, and the folder that gets the executed copy."""

    source: Path
    parameters: dict[str, Value]
    folder: Path

    @property
    def name(self) -> str:
        """The notebook's stem."""
        return self.source.stem

    @property
    def key(self) -> tuple[str, str]:
        """What tells this point from the others of its pass."""
        return str(self.folder), self.name

    @property
    def results(self) -> Path:
        """The file that exists only when the notebook came to its end."""
        return self.folder / self.name / "results.json"


@dataclass(frozen=True)
class Done:
    """How one notebook ended: `error` is one line, or None; `wall_s` in seconds."""

    point: Point
    error: str | None
    wall_s: float
    resumed: bool = False


def select(names: Sequence[str]) -> list[str]:
    """Stems for names such as `01` or `01_capability`; all of them for none. Raises InputError with the nearest."""
    known = notebooks()
    chosen = []
    for name in names or known:
        matches = [stem for stem in known if stem == name or stem.split("_")[0] == name]
        if not matches:
            raise unknown("notebook", name, known)
        chosen.append(matches[0])
    return list(dict.fromkeys(chosen))


def parse_value(text: str) -> Value:
    """A parameter as typed on a command line: a Python literal, or else the text itself."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if isinstance(value, bool | int | float | str | list) else text


def check(name: str, parameters: Mapping[str, Value]) -> None:
    """Refuse parameters that notebook `name` does not declare, or values of another type, before anything starts."""
    defaults = declared(name)
    for key, value in parameters.items():
        if key not in defaults:
            raise unknown(f"parameter of {name}", key, defaults)
        wanted = type(defaults[key])
        fits = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
        if not fits and not (wanted is float and type(value) is int):
            raise InputError(f"parameter {key!r} of {name} takes {wanted.__name__}, got {value!r}")
    if "scale" in parameters:
        config.scale(str(parameters["scale"]))
    config.source(str(parameters.get("source", "live")))


def _execute(point: Point) -> Done:
    """Run one notebook in this process; its failure is an answer, not an exception."""
    import papermill

    before = dict(os.environ)
    # The kernel inherits these; the last one silences a warning that says nothing about the notebook.
    os.environ |= {"SLMKIT_RUN": str(point.folder), "TQDM_DISABLE": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    if data := before.get("SLMKIT_DATA"):
        os.environ["SLMKIT_DATA"] = str(Path(data).expanduser().resolve())  # the kernel works in another folder
    point.folder.mkdir(parents=True, exist_ok=True)
    start, error = time.perf_counter(), None
    try:
        papermill.execute_notebook(
            str(point.source),
            str(point.folder / f"{point.name}.ipynb"),
            parameters=point.parameters,
            kernel_name="python3",
            progress_bar=False,
            log_output=False,
            cwd=str(point.folder),
        )
    except papermill.PapermillExecutionError as failure:
        error = f"{failure.ename}: {failure.evalue}".splitlines()[0]
    except Exception as failure:  # a kernel that died, a full disk: said in the report, the others go on
        error = f"{type(failure).__name__}: {failure}".splitlines()[0]
    finally:
        os.environ.clear()
        os.environ.update(before)
    if error is None and not point.results.is_file():
        error = "the notebook ended without a verdict: its last cell must call notebook.verdict()"
    return Done(point, error, time.perf_counter() - start)


def _backend(cluster: str):
    """Where parallel runs go: this machine, or a Dask cluster at `cluster` (extra `cluster`)."""
    if not cluster:
        return nullcontext()
    try:
        from dask.distributed import Client
    except ImportError:
        raise InputError("--cluster needs Dask: pip install 'slmkit[cluster]'") from None
    import joblib

    Client(cluster)
    return joblib.parallel_config(backend="dask")


def _recorded_s(name: str) -> float:
    """Seconds that the recorded run of a notebook took; 0 where none is recorded."""
    try:
        path = config.resource(f"data/results/{name}/results.json")
    except InputError:
        return 0.0
    return json.loads(path.read_text(encoding="utf-8"))["provenance"]["wall_s"]


def execute(points: Sequence[Point], jobs: int = 1, resume: bool = False, cluster: str = "") -> list[Done]:
    """Run all points, `jobs` at a time, with a progress bar; with `resume`, those that have results are kept."""
    from joblib import Parallel, delayed
    from tqdm.auto import tqdm

    def kept(point: Point) -> bool:
        if not (resume and point.results.is_file()):
            return False
        before = json.loads(point.results.read_text(encoding="utf-8"))["parameters"]
        return all(before.get(key) == value for key, value in point.parameters.items())

    done = {point.key: Done(point, None, 0.0, resumed=True) for point in points if kept(point)}
    todo = [point for point in points if point.key not in done]
    if jobs > 1:  # the longest first, so that none goes on alone at the end
        todo.sort(key=lambda point: _recorded_s(point.name), reverse=True)
    with tqdm(total=len(points), initial=len(done), desc="notebooks", unit="nb") as bar, _backend(cluster):
        if jobs == 1 and not cluster:
            finished = map(_execute, todo)
        else:
            finished = Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(_execute)(p) for p in todo)
        for each in finished:
            done[each.point.key] = each
            bar.update()
            bar.set_postfix_str(each.point.name)
    return [done[point.key] for point in points]


def write_report(folder: Path, done: Sequence[Done]) -> Path:
    """The page over a pass: what ran, how it ended, its verdicts and figures."""
    return report.write(folder, [report.Entry(d.point.folder, d.point.name, d.error, d.wall_s) for d in done])


def run(
    names: Sequence[str] = (),
    scale: str = "laptop",
    parameters: Mapping[str, Value] | None = None,
    out: Path | None = None,
    jobs: int = 1,
    resume: bool = False,
) -> tuple[list[Done], Path]:
    """Run notebooks at a scale and write the page `index.html`; returns how each ended and that page.

    A parameter goes to the notebooks that declare it; one that none declares is refused by name.
    """
    given = {"scale": scale, **(parameters or {})}
    chosen = select(names)
    known = {name: declared(name) for name in chosen}
    for key in given:
        if not any(key in defaults for defaults in known.values()):
            raise unknown("parameter", key, {k for defaults in known.values() for k in defaults})
    folder = (out or config.outputs() / datetime.now().strftime("%Y%m%d-%H%M%S")).resolve()
    points = []
    for name in chosen:
        own = {key: value for key, value in given.items() if key in known[name]}
        check(name, own)
        points.append(Point(notebooks()[name], own, folder / scale))
    done = execute(points, jobs, resume)
    return done, write_report(folder, done)


def sweep(
    name: str,
    grid: Mapping[str, Sequence[Value]],
    scale: str = "laptop",
    out: Path | None = None,
    jobs: int = 1,
    cluster: str = "",
) -> tuple[list[Done], Path]:
    """Run one notebook at every point of a grid, one folder a point, and gather the verdicts in `sweep.csv`."""
    import pandas as pd

    (stem,) = select([name])
    folder = (out or config.outputs() / datetime.now().strftime("%Y%m%d-%H%M%S")).resolve()
    points = []
    for values in itertools.product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        check(stem, {"scale": scale, **chosen})
        label = ",".join(f"{key}={value}" for key, value in chosen.items()).replace("/", "_")
        points.append(Point(notebooks()[stem], {"scale": scale, **chosen}, folder / label))
    done = execute(points, jobs, cluster=cluster)
    rows = []
    for each in (d for d in done if d.error is None):
        results = json.loads(each.point.results.read_text(encoding="utf-8"))
        point = {key: each.point.parameters[key] for key in grid}
        rows += [point | {k: v for k, v in verdict.items() if k in report.COLUMNS} for verdict in results["verdicts"]]
    pd.DataFrame(rows).to_csv(folder / "sweep.csv", index=False)
    return done, write_report(folder, done)
