"""Notebooks that read well and diff well; no kernel is started."""

from __future__ import annotations

import ast
import copy
import io
import json
import re
import statistics
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

SINGLE = ("title", "parameters", "setup", "explore", "verdict", "limits")
SERIES = ("data", "experiment", "figure", "ablation")
CELL_ID = re.compile(rf"({'|'.join(SINGLE)})(-[a-z0-9]+)*|({'|'.join(SERIES)})(-[a-z0-9]+)+")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The code cells in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def code_lines(cell: dict[str, Any]) -> list[str]:
    """Lines of a code cell that are not blank."""
    return [line for line in "".join(cell["source"]).splitlines() if line.strip()]


def form(notebook: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the file: outputs, counts, leftovers of a run, kernel, ids."""
    if notebook["metadata"].get("kernelspec") != KERNEL:
        yield f"kernelspec is not {KERNEL}"
    if "papermill" in notebook["metadata"]:
        yield "metadata of a papermill run"
    ids = [cell["id"] for cell in notebook["cells"]]
    yield from (f"id {cell_id!r} is used twice" for cell_id in sorted({i for i in ids if ids.count(i) > 1}))
    yield from (f"id {cell_id!r} is not of the vocabulary" for cell_id in ids if not CELL_ID.fullmatch(cell_id))
    for cell in notebook["cells"]:
        extra = set(cell["metadata"]) - {"tags", "jupyter", "slideshow"}
        if extra or "injected-parameters" in cell["metadata"].get("tags", []):
            yield f"{cell['id']}: leftovers of a run {sorted(extra)}"
    for cell in code_cells(notebook):
        if cell["outputs"] or cell["execution_count"] is not None:
            yield f"{cell['id']}: outputs or a count are left"
        if any(re.match(r"\s*(!|%pip|%conda|%%bash|%%sh)", line) for line in code_lines(cell)):
            yield f"{cell['id']}: shell or install command"


def shape(notebook: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the order of things: title, parameters, setup, ..., verdict, limits."""
    cells, code = notebook["cells"], code_cells(notebook)
    first = "".join(cells[0]["source"])
    if cells[0]["id"] != "title" or not first.startswith("# ") or len(re.findall(r"^# ", first, re.M)) != 1:
        yield "the first cell is not one `#` title"
    if any(re.search(r"^# ", "".join(c["source"]), re.M) for c in cells[1:] if c["cell_type"] == "markdown"):
        yield "a second `#` title"
    if [cell["id"] for cell in code[:2]] != ["parameters", "setup"] or len(code_lines(code[1])) > 5:
        yield "the first code cells are not `parameters` and a `setup` of at most 5 lines"
    if code[-1]["id"] != "verdict":
        yield "the last code cell is not `verdict`"
    if "limits" not in [cell["id"] for cell in cells]:
        yield "no `limits` cell"
    if len(cells) < 2 * len(code):
        yield f"{len(cells) - len(code)} Markdown cells for {len(code)} code cells"


def length(notebook: dict[str, Any]) -> Iterator[str]:
    """Which limits the code breaks: median 4, 90th percentile 12, maximum 25 lines a cell, 10 % comments."""
    lines = [code_lines(cell) for cell in code_cells(notebook)]
    counts = sorted(map(len, lines))
    if (median := statistics.median(counts)) > 4:
        yield f"median of {median} lines a code cell"
    if (p90 := statistics.quantiles(counts, n=10, method="inclusive")[-1]) > 12:
        yield f"90th percentile of {p90:.0f} lines a code cell"
    if counts[-1] > 25:
        yield f"a code cell of {counts[-1]} lines"
    comments = sum(line.lstrip().startswith("#") for cell in lines for line in cell)
    if comments > 0.10 * sum(counts):
        yield f"{comments} comment lines in {sum(counts)}"
    for cell in code_cells(notebook):
        source = "\n".join(line for line in code_lines(cell) if line[0] not in "%!")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 6:  # type: ignore[operator]
                yield f"{cell['id']}: function {node.name} is longer than 6 lines"


def parameters(notebook: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the parameters cell, which papermill, the runner and people read."""
    tagged = [cell for cell in code_cells(notebook) if "parameters" in cell["metadata"].get("tags", [])]
    if [cell["id"] for cell in tagged] != ["parameters"]:
        yield "not one cell tagged `parameters`"
        return
    source = "".join(tagged[0]["source"])
    commented = {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip()
    }
    names = []
    for node in ast.parse(source).body:
        line = ast.get_source_segment(source, node)
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name) or node.value is None:
            yield f"{line!r} is not `name: type = literal`"
            continue
        names.append(node.target.id)
        if "None" in ast.unparse(node.annotation):
            yield f"{line!r}: papermill cannot read an optional type; use '' or 0 for unset"
        try:
            ast.literal_eval(node.value)
        except ValueError:
            yield f"{line!r} is computed"
        if node.lineno != node.end_lineno or node.lineno not in commented:
            yield f"{line!r}: one line, with a trailing comment"
    if not 4 <= len(names) <= 11:
        yield f"{len(names)} parameters"
    if missing := {"scale", "source", "seed"} - set(names):
        yield f"no parameter {sorted(missing)}"


def complaints(notebook: dict[str, Any]) -> list[str]:
    """Everything wrong with a notebook; what cannot be read as a notebook is one complaint."""
    return [text for check in (form, shape, length, parameters) for text in check(notebook)]


def cell(cell_id: str, source: str, **metadata: Any) -> dict[str, Any]:
    """A cell for the sample below; Markdown where the id says so."""
    text = {"id": cell_id, "metadata": metadata, "source": source.splitlines(keepends=True)}
    if cell_id == "title" or cell_id.endswith(("-about", "limits")):
        return {"cell_type": "markdown", **text}
    return {"cell_type": "code", "execution_count": None, "outputs": [], **text}


PARAMETERS = """scale: str = "laptop"  # smoke, laptop, full or gpu
source: str = "live"  # live or recorded
seed: int = 0  # of everything random
models: list[str] = ["mini-2m"]  # model references"""


def sample() -> dict[str, Any]:
    """A notebook without fault."""
    cells = [
        cell("title", "# 01 · A question?\n\nClaim, cost."),
        cell("parameters", PARAMETERS, tags=["parameters"]),
        cell("setup-about", "## Setup"),
        cell("setup", "from slmkit import notebook\n\nrun = notebook.setup()"),
        cell("data-about", "Where it comes from."),
        cell("data-items", "items.head(3)"),
        cell("verdict-about", "## Verdict"),
        cell("verdict", "notebook.verdict(run, [])"),
        cell("limits", "- not shown"),
    ]
    return {"cells": cells, "metadata": {"kernelspec": dict(KERNEL)}, "nbformat": 4, "nbformat_minor": 5}


def test_there_are_notebooks():
    assert NOTEBOOKS and all(re.fullmatch(r"\d\d_[a-z_]+", path.stem) for path in NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    nbformat.validate(notebook)
    assert complaints(notebook) == []


def test_the_sample_is_without_fault():
    nbformat.validate(sample())
    assert complaints(sample()) == []


def change(position: int, **fields: Any) -> Any:
    """A mistake: fields of one cell of the sample replaced."""
    return lambda notebook: notebook["cells"][position].update(fields)


@pytest.mark.parametrize(
    "mistake, complaint",
    [
        (change(3, outputs=[{"output_type": "stream", "name": "stdout", "text": "x"}]), "outputs"),
        (change(3, execution_count=1), "count"),
        (change(3, metadata={"papermill": {}}), "leftovers"),
        (change(5, id="3f2a9c01"), "vocabulary"),
        (change(5, id="data"), "vocabulary"),
        (change(5, id="setup"), "used twice"),
        (change(5, source=["!ls\n"]), "shell"),
        (change(5, source=["%pip install x\n"]), "shell"),
        (change(0, source=["A question?"]), "title"),
        (change(4, source=["# Another"]), "second"),
        (change(7, id="experiment-last"), "not `verdict`"),
        (change(8, id="limits-about"), "no `limits`"),
        (change(5, source=["x = 1\n"] * 26), "of 26 lines"),
        (change(5, source=["# a\n", "# b\n", "x = 1\n"]), "comment lines"),
        (change(5, source=["def f():\n", *["    x = 1\n"] * 6]), "longer than 6 lines"),
        (change(1, metadata={}), "not one cell tagged"),
        (change(1, source=[PARAMETERS.replace("seed: int = 0", "seed: int = 1 + len('')")]), "computed"),
        (change(1, source=[PARAMETERS.replace("  # of everything random", "")]), "trailing comment"),
        (change(1, source=[PARAMETERS.replace("seed: int", "seed")]), "name: type = literal"),
        (change(1, source=[PARAMETERS.replace("int = 0", "int | None = 0")]), "optional type"),
        (change(1, source=[PARAMETERS.replace("source:", "origin:")]), "no parameter ['source']"),
        (lambda notebook: notebook["metadata"]["kernelspec"].update(name="slmkit"), "kernelspec"),
        (lambda notebook: notebook["metadata"].update(papermill={}), "papermill run"),
        (lambda notebook: notebook["cells"].pop(2) and notebook["cells"].pop(3), "3 Markdown cells for 4"),
    ],
)
def test_each_rule_bites(mistake, complaint):
    notebook = copy.deepcopy(sample())
    mistake(notebook)
    assert any(complaint in text for text in complaints(notebook))


def test_limits_of_length():
    long = sample()
    long["cells"][5:5] = [cell(f"figure-{n}", "x = 1\n" * 13) for n in range(2)]
    assert {"90th percentile of 13 lines a code cell"} <= set(length(long))
    long["cells"][5:5] = [cell(f"ablation-{n}", "x = 1\n" * 5) for n in range(4)]
    assert any(text.startswith("median of 5") for text in length(long))
