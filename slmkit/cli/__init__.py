"""The command line: thin calls into the package. Exit status 0 done, 1 a check failed, 2 bad input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from slmkit.cli.agent import agent_app
from slmkit.cli.cost import cost_app
from slmkit.cli.mini import mini_app
from slmkit.cli.serve import serve
from slmkit.cli.specialize import export, finetune
from slmkit.console import save, show
from slmkit.errors import InputError

app = typer.Typer(
    help="Test the claims of 'Small Language Models are the Future of Agentic AI', on your models and your logs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
score_app = typer.Typer(help="Score a file of answers.", no_args_is_help=True, rich_markup_mode=None)
data_app = typer.Typer(help="Real benchmarks and traces, checked by SHA-256.", no_args_is_help=True)
app.add_typer(score_app, name="score")
app.add_typer(data_app, name="data")
app.add_typer(mini_app, name="mini")
app.add_typer(cost_app, name="cost")
app.add_typer(agent_app, name="agent")
app.command()(serve)
app.command()(finetune)
app.command()(export)

Json = Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder of data sets; else SLMKIT_DATA, else the cache.")]
Parameters = Annotated[list[str] | None, typer.Option("-p", help="name=value of a notebook parameter; repeatable.")]


def pairs(given: Sequence[str] | None) -> dict[str, str]:
    """`name=value` options as a mapping; raises InputError for one without an equals sign."""
    for text in given or ():
        if "=" not in text:
            raise InputError(f"-p {text}: write it as name=value")
    return dict(text.split("=", 1) for text in given or ())


def _report(done: Sequence[Any], page: Path) -> None:
    for each in done:
        state = each.error or ("kept from before" if each.resumed else f"done in {each.wall_s:.0f} s")
        typer.echo(f"{each.point.name}  {state}")
    typer.echo(f"{page}")
    if any(each.error for each in done):
        raise typer.Exit(1)


@app.command()
def run(
    names: Annotated[list[str] | None, typer.Argument(help="Notebooks such as 01; all when none is named.")] = None,
    scale: Annotated[str, typer.Option(help="smoke, laptop, full or gpu.")] = "laptop",
    parameters: Parameters = None,
    out: Annotated[Path | None, typer.Option(help="Folder of this pass; else outputs/<time>.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Notebooks at a time.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Keep notebooks of --out that came to their end.")] = False,
) -> None:
    """Run notebooks through papermill and write index.html.

    Example: slmkit run 01 --scale smoke -p slm=mini-2m
    """
    from slmkit import runner

    chosen = {name: runner.parse_value(text) for name, text in pairs(parameters).items()}
    _report(*runner.run(names or (), scale, chosen, out, jobs, resume))


@app.command()
def sweep(
    name: Annotated[str, typer.Argument(help="The notebook, such as 01.")],
    parameters: Parameters = None,
    scale: Annotated[str, typer.Option(help="smoke, laptop, full or gpu.")] = "laptop",
    out: Annotated[Path | None, typer.Option(help="Folder of the sweep; else outputs/<time>.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Points at a time.")] = 1,
    cluster: Annotated[str, typer.Option(help="Address of a Dask scheduler (extra `cluster`).")] = "",
) -> None:
    """Run one notebook at every combination of values, and gather the verdicts in sweep.csv.

    Example: slmkit sweep 01 -p seed=0,1,2 --scale smoke --jobs 2
    """
    from slmkit import runner

    grid = {key: [runner.parse_value(v) for v in text.split(",")] for key, text in pairs(parameters).items()}
    if not grid:
        raise InputError("sweep needs at least one -p name=value,value")
    _report(*runner.sweep(name, grid, scale, out, jobs, cluster))


@app.command()
def record(
    folder: Annotated[Path, typer.Argument(help="The folder of a scale, such as outputs/<run>/full.")],
) -> None:
    """Take a run's results over into data/results and bring the README's table up to date.

    Example: slmkit record outputs/20260102-030405/full
    """
    from slmkit import results

    typer.echo(f"{len(results.record(folder))} files")
    typer.echo(results.update_readme())


@app.command()
def evaluate(
    models: Annotated[list[str], typer.Argument(help="Model references such as mini-2m or Qwen/Qwen3-1.7B.")],
    suite: Annotated[list[str], typer.Option(help="Suite such as bfcl or bfcl/simple_python; repeatable.")],
    data: Data = None,
    limit: Annotated[int, typer.Option(min=0, help="Items a category; 0 for all.")] = 0,
    constrained: Annotated[bool, typer.Option("--constrained/--free", help="Grammar of the tools, or none.")] = False,
    margin: Annotated[float, typer.Option(help="Non-inferiority margin of the pairwise comparison.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
    cache: Annotated[Path | None, typer.Option(help="Folder of recorded calls; else the user cache.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would run, and what it could detect.")] = False,
    items: Annotated[Path | None, typer.Option(help="Also write one row an item to this CSV.")] = None,
    json: Json = None,
) -> None:
    """Evaluate models on suites: one row a model and category, with 95 % intervals.

    Example: slmkit evaluate mini-1m mini-2m --suite own --suite bfcl/simple_python --limit 100
    """
    from slmkit import config
    from slmkit.capability import evaluate as evaluation

    where = {"data": data, "limit": limit, "constrained": constrained, "seed": seed}
    folder = cache or config.cache() / "calls"
    planned = evaluation.plan(models, suite, margin=margin, cache=folder, **where)
    show(planned)
    if plan:
        return save(planned, json)
    table = evaluation.evaluate(models, suite, cache=folder, **where)
    rows = evaluation.summary(table)
    show(rows)
    if len(models) > 1:
        typer.echo()
        show(evaluation.compare(table, models[0], models[1:], margin=margin))
    if items:
        from slmkit.files import write_csv

        write_csv(items, table)
    save(rows, json)


@score_app.command("bfcl")
def score_bfcl(
    answers: Annotated[Path, typer.Argument(help="JSON lines: {id, model_output} or the official {id, result}.")],
    data: Data = None,
    verify: Annotated[bool, typer.Option("--verify", help="Rows carry `valid`: say where we disagree.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Not every entry is answered: score those that are.")
    ] = False,
    json: Json = None,
) -> None:
    """Score answers to BFCL single-turn entries with the official AST semantics.

    Example: slmkit score bfcl answers.jsonl --data ../datasets --json scores.json
    """
    from slmkit import config
    from slmkit.capability.answers import score_answers

    result = score_answers(answers, config.dataset("bfcl", data), verify=verify, partial=partial)
    save(result, json)
    if verify:
        typer.echo(f"{result['agree']} of {result['n']} verdicts agree")
        if result["disagree"]:
            show(result["disagree"][:20])
            raise typer.Exit(1)
    else:
        show(result["summary"])


@data_app.command("list")
def data_list(json: Json = None) -> None:
    """Data sets with size, licence, and whether they are at hand.

    Example: slmkit data list
    """
    from slmkit import downloads

    rows = downloads.available()
    show(rows)
    save(rows, json)


@data_app.command("pull")
def data_pull(
    names: Annotated[list[str], typer.Argument(help="Data sets such as bfcl; `slmkit data list` names them.")],
    into: Annotated[Path | None, typer.Option(help="Folder to lay them out in; else the user cache.")] = None,
) -> None:
    """Download data sets, check each file, and lay them out for the suites.

    Example: slmkit data pull bfcl when2call
    """
    from slmkit import downloads

    for path in downloads.pull(names, into):
        typer.echo(path)


def main() -> None:
    """Entry point: bad input is one line and exit status 2."""
    try:
        app()
    except InputError as error:
        typer.echo(f"slmkit: {error}", err=True)
        raise SystemExit(2) from None
