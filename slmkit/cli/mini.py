"""`slmkit mini`: train, threshold, card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

mini_app = typer.Typer(help="Our own small models: rebuild them, read their card.", no_args_is_help=True)


@mini_app.command("train")
def mini_train(
    model: Annotated[str, typer.Argument(help="A member of the mini family.")] = "mini-2m",
    minutes: Annotated[float, typer.Option(min=0.05, help="Training time; a run that was stopped goes on.")] = 30.0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder of checkpoints and the model.")] = None,
    start_from: Annotated[Path | None, typer.Option(help="Model folder to train on from.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights and corpus.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps, instead of minutes.")] = None,
    recipe: Annotated[list[str] | None, typer.Option("--set", help="NAME=NUMBER of the recipe; repeatable.")] = None,
) -> None:
    """Train a mini model from the generated corpus; the same command again resumes.

    Example: slmkit mini train mini-2m --minutes 30 --out outputs/mini-2m
    """
    from slmkit import config
    from slmkit.mini.pretrain import changed_recipe, pretrain

    folder, changed = out or config.outputs() / model, changed_recipe(recipe or [])
    typer.echo(pretrain(model, folder, minutes, steps, seed, threads, changed, start_from))


@mini_app.command("threshold")
def mini_threshold(
    model: Annotated[str, typer.Argument(help="A member of the mini family, or a model folder.")] = "mini-2m",
    n: Annotated[int, typer.Option(min=10, help="Validation items with a call, and as many without.")] = 1000,
    write: Annotated[bool, typer.Option(help="Put it into the model folder, where loading finds it.")] = True,
) -> None:
    """Fit the threshold between call and no call on a validation split, and ship it with the model.

    Example: slmkit mini threshold mini-2m --n 1000
    """
    import json

    from slmkit import config
    from slmkit.mini.threshold import fit

    folder = Path(model) if Path(model).is_dir() else config.resource(f"data/mini/{model}")
    typer.echo(json.dumps(fit(folder, n, write=write), indent=1))


@mini_app.command("card")
def mini_card(model: Annotated[str, typer.Argument(help="mini-1m or mini-2m.")] = "mini-2m") -> None:
    """Print the model card of a mini model.

    Example: slmkit mini card mini-2m
    """
    from slmkit import config

    typer.echo((config.resource(f"data/mini/{model}") / "README.md").read_text(encoding="utf-8"))
