"""`slmkit finetune` and `slmkit export`: an adapter from rows, and what serves it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slmkit.console import save, show

Json = Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")]


def finetune(
    base: Annotated[str, typer.Argument(help="Model reference such as mini-2m or Qwen/Qwen3-1.7B.")],
    train: Annotated[Path, typer.Argument(help="Rows to learn from, JSON lines: {messages, tools}, answer last.")],
    validation: Annotated[Path, typer.Argument(help="Rows whose reward chooses the checkpoint.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command again resumes a killed one.")],
    change: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of the settings; repeatable.")] = None,
    json: Json = None,
) -> None:
    """Train a LoRA adapter (or --set method=full) on tool calls; prints the reference that loads it.

    Example: slmkit finetune mini-2m train.jsonl validation.jsonl --out outputs/smart_home --set rank=8
    """
    from slmkit.specialization.launch import from_files

    tuned = from_files(base, train, validation, out, change or [])
    card = tuned.card
    row = {
        "reference": tuned.reference,
        "reward_before": card["before"]["reward"],
        "reward": card["best"]["reward"],
        "step": card["best"]["step"],
        "seconds": tuned.seconds,
        "tokens_per_s": tuned.tokens_per_s,
        "megabytes": card["size_bytes"] / 1e6,
        "stopped": tuned.stopped,
    }
    show([row])
    save(row, json)


def export(
    adapter: Annotated[Path, typer.Argument(help="Adapter folder of a run.")],
    out: Annotated[Path, typer.Option(help="New folder of the merged model.")],
    base: Annotated[str, typer.Option(help="Model reference of the base; else the one the adapter names.")] = "",
    json: Json = None,
) -> None:
    """Merge an adapter into its base, check it, and write the commands for vLLM LoRA and llama.cpp.

    Example: slmkit export outputs/smart_home/adapter --out outputs/smart_home-merged
    """
    from slmkit.specialization.contamination import GateError
    from slmkit.specialization.export import export as export_adapter

    try:
        made = export_adapter(adapter, out, base)
    except GateError as error:
        typer.echo(f"slmkit: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo((made.folder / "README.md").read_text(encoding="utf-8"))
    save({"folder": str(made.folder), "logit_difference": made.logit_difference}, json)
