"""`slmkit agent`: adapters for the agent's world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slmkit.errors import InputError, unknown

agent_app = typer.Typer(help="The agent's world of notebook 04.", no_args_is_help=True)


@agent_app.command()
def train(
    mini: Annotated[str, typer.Argument(help="A mini such as mini-2m, or a folder of one.")],
    domain: Annotated[str, typer.Option(help="car_rental, insurance_claims, or both.")] = "both",
    tasks: Annotated[int, typer.Option(min=2, help="Training tasks of the world.")] = 600,
    rows: Annotated[int, typer.Option(min=0, help="Stretches of them to train on, drawn; 0 for all.")] = 2_400,
    steps: Annotated[int, typer.Option(min=0, help="Training steps; 0: as the number of rows says.")] = 0,
    learning_rate: Annotated[float, typer.Option(min=0, help="0: by the size of the model.")] = 0.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows a step.")] = 8,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the adapter.")] = 16,
    seed: Annotated[int, typer.Option(help="Seed of tasks, rows and training.")] = 0,
    work: Annotated[Path | None, typer.Option(help="Folder of checkpoints; the same command again resumes.")] = None,
    out: Annotated[Path | None, typer.Option(help="The adapter; else data/mini/adapters/MINI-DOMAIN.")] = None,
) -> None:
    """Train an adapter on the world's training tasks, both agencies; validation is by calibration tasks.

    Example: slmkit agent train mini-2m --domain both --tasks 600 --steps 300
    """
    import shutil

    from slmkit import config
    from slmkit.agent.generate import make_tasks
    from slmkit.agent.rows import both_agencies, training_rows
    from slmkit.agent.world import DOMAINS
    from slmkit.specialization.finetune import finetune
    from slmkit.specialization.settings import Settings

    if domain not in (*DOMAINS, "both"):
        raise unknown("domain", domain, (*DOMAINS, "both"))
    domains = DOMAINS if domain == "both" else (domain,)
    name = f"{Path(mini).name}-{domain}"
    target = out or (config.root() or Path.cwd()) / "data/mini/adapters" / name
    if target.exists():
        raise InputError(f"{target} is there already; remove it or name another folder with --out")
    known = make_tasks("train", tasks, seed, domains=domains)
    held_out = make_tasks("calibration", 40, seed, domains=domains)
    chosen = both_agencies(known, rows, seed)
    checked = training_rows(held_out, 64, seed=seed)
    settings = Settings(
        rank=rank, alpha=2 * rank, steps=steps, batch_size=batch_size, seed=seed, learning_rate=learning_rate
    )
    made = finetune(mini, chosen, checked, settings, work or config.outputs() / "adapters" / name)
    shutil.copytree(made.adapter, target)
    before, after = (made.card[when]["reward"] for when in ("before", "best"))
    typer.echo(f"{target}  {len(chosen)} rows, reward {before:.2f} to {after:.2f}")
